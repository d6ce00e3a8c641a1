/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pointer.h"

#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    uint16_t pvmouse, code;
} buttons[] = {
    { PVMOUSE_BUTTON_LEFT, BTN_LEFT },       { PVMOUSE_BUTTON_MIDDLE, BTN_MIDDLE }, { PVMOUSE_BUTTON_RIGHT, BTN_RIGHT },
    { PVMOUSE_BUTTON_SIDE, BTN_SIDE },       { PVMOUSE_BUTTON_EXTRA, BTN_EXTRA },
    { PVMOUSE_BUTTON_FORWARD, BTN_FORWARD }, { PVMOUSE_BUTTON_BACK, BTN_BACK },
};

/* The events of one call; they are cut into reports where the device changes. */
typedef struct Steps {
    PointerStep *step;
    size_t count;
} Steps;

static void add(Steps *steps, bool relative, uint16_t type, uint16_t code, int32_t value)
{
    steps->step[steps->count++] = (PointerStep){ .relative = relative, .type = type, .code = code, .value = value };
}

/* End the report under way, if there is one. */
static void report(Steps *steps)
{
    if (steps->count > 0 && steps->step[steps->count - 1].type != EV_SYN) {
        add(steps, steps->step[steps->count - 1].relative, EV_SYN, SYN_REPORT, 0);
    }
}

/* Begin events of a device: a report under way for the other one ends. */
static void begin(Steps *steps, bool relative)
{
    if (steps->count > 0 && steps->step[steps->count - 1].relative != relative) {
        report(steps);
    }
}

static void write_axis(Pointer *pointer, Steps *steps, uint16_t code, uint16_t *at, uint16_t to)
{
    if (pointer->nudge) {
        add(steps, false, EV_ABS, code, to ^ 1);
    }
    if (pointer->nudge || *at != to) {
        add(steps, false, EV_ABS, code, to);
    }
    *at = to;
}

static void write_position(Pointer *pointer, Steps *steps)
{
    if (!pointer->position_held) {
        return;
    }
    begin(steps, false);
    write_axis(pointer, steps, ABS_X, &pointer->ux, pointer->held_ux);
    write_axis(pointer, steps, ABS_Y, &pointer->uy, pointer->held_uy);
    pointer->nudge = false;
    pointer->position_held = false;
}

static void write_motion(Pointer *pointer, Steps *steps)
{
    if (pointer->dx == 0 && pointer->dy == 0) {
        return;
    }
    begin(steps, true);
    if (pointer->dx != 0) {
        add(steps, true, EV_REL, REL_X, pointer->dx);
    }
    if (pointer->dy != 0) {
        add(steps, true, EV_REL, REL_Y, pointer->dy);
    }
    pointer->dx = pointer->dy = 0;
    pointer->nudge = true; /* the desktop's pointer has left the absolute device's position */
}

static void write_buttons(Pointer *pointer, Steps *steps, uint16_t down)
{
    if (down == pointer->buttons) {
        return;
    }
    begin(steps, pointer->buttons_relative);
    for (size_t i = 0; i < sizeof(buttons) / sizeof(*buttons); i++) {
        if ((down ^ pointer->buttons) & buttons[i].pvmouse) {
            add(steps, pointer->buttons_relative, EV_KEY, buttons[i].code, (down & buttons[i].pvmouse) != 0);
            pointer->presses += (down & buttons[i].pvmouse) != 0;
        }
    }
    pointer->buttons = down;
}

/* Whole detents are what remains after 120 parts, also across a turn back: the sum of all is exact. */
static void write_wheel(Steps *steps, bool relative, int32_t turn, int32_t *parts, uint16_t hi_res, uint16_t whole)
{
    if (turn == 0) {
        return;
    }
    begin(steps, relative);
    add(steps, relative, EV_REL, hi_res, turn);
    *parts += turn;
    if (*parts / PVMOUSE_DETENT != 0) {
        add(steps, relative, EV_REL, whole, *parts / PVMOUSE_DETENT);
        *parts %= PVMOUSE_DETENT;
    }
}

static void write_wheels(Pointer *pointer, Steps *steps, const PvmouseFrame *frame)
{
    bool relative = frame->type == PVMOUSE_MOTION;

    pointer->turns += (uint64_t)abs(frame->wheel) + (uint64_t)abs(frame->hwheel);
    write_wheel(steps, relative, frame->wheel, &pointer->wheel, REL_WHEEL_HI_RES, REL_WHEEL);
    write_wheel(steps, relative, frame->hwheel, &pointer->hwheel, REL_HWHEEL_HI_RES, REL_HWHEEL);
}

void pointer_init(Pointer *pointer)
{
    memset(pointer, 0, sizeof(*pointer));
    pointer->nudge = true;
}

void pointer_set_layout(Pointer *pointer, const Layout *layout)
{
    pointer->layout = *layout;
    pointer->nudge = true;
}

static bool map(const Pointer *pointer, const PvmouseFrame *frame, uint16_t *ret_ux, uint16_t *ret_uy)
{
    if (layout_known(&pointer->layout)) {
        return layout_map(&pointer->layout, frame->display, frame->x, frame->y, ret_ux, ret_uy);
    }
    if (frame->display != 0) {
        return false;
    }
    *ret_ux = frame->x;
    *ret_uy = frame->y;
    return true;
}

static void hold_position(Pointer *pointer, const PvmouseFrame *frame)
{
    if (frame->no_position) {
        return;
    }
    if (!map(pointer, frame, &pointer->held_ux, &pointer->held_uy)) {
        pointer->unknown_display++;
        return;
    }
    pointer->coalesced += pointer->position_held;
    pointer->position_held = true;
}

/* A sum that does not wrap: beyond any screen there is no difference. */
static int32_t add_motion(int32_t sum, int16_t motion)
{
    int64_t total = (int64_t)sum + motion;

    return total > INT32_MAX ? INT32_MAX : total < INT32_MIN ? INT32_MIN : (int32_t)total;
}

static void hold_motion(Pointer *pointer, const PvmouseFrame *frame)
{
    pointer->coalesced += (frame->dx != 0 || frame->dy != 0) && (pointer->dx != 0 || pointer->dy != 0);
    pointer->dx = add_motion(pointer->dx, frame->dx);
    pointer->dy = add_motion(pointer->dy, frame->dy);
}

size_t pointer_feed(Pointer *pointer, const PvmouseFrame *frame, PointerStep ret_steps[POINTER_STEPS_MAX])
{
    Steps steps = { .step = ret_steps };

    switch (frame->type) {
    case PVMOUSE_HELLO:
    case PVMOUSE_CREDIT:
        return 0;
    case PVMOUSE_RELEASE:
        pointer->frames++;
        return pointer_release(pointer, ret_steps);
    case PVMOUSE_STATE:
        write_motion(pointer, &steps);
        report(&steps);
        hold_position(pointer, frame);
        break;
    case PVMOUSE_MOTION:
        write_position(pointer, &steps);
        report(&steps);
        hold_motion(pointer, frame);
        break;
    }

    pointer->frames++;
    if (pointer->buttons == 0) {
        pointer->buttons_relative = frame->type == PVMOUSE_MOTION;
    }
    if (frame->buttons != pointer->buttons || frame->wheel != 0 || frame->hwheel != 0) {
        write_position(pointer, &steps);
        write_motion(pointer, &steps);
        write_buttons(pointer, &steps, frame->buttons & PVMOUSE_BUTTONS_ALL);
        write_wheels(pointer, &steps, frame);
        report(&steps);
    }
    return steps.count;
}

size_t pointer_flush(Pointer *pointer, PointerStep ret_steps[POINTER_STEPS_MAX])
{
    Steps steps = { .step = ret_steps };

    write_position(pointer, &steps);
    write_motion(pointer, &steps);
    report(&steps);
    return steps.count;
}

size_t pointer_release(Pointer *pointer, PointerStep ret_steps[POINTER_STEPS_MAX])
{
    Steps steps = { .step = ret_steps };

    pointer->position_held = false;
    pointer->dx = pointer->dy = 0;
    pointer->wheel = pointer->hwheel = 0;
    pointer->nudge = true; /* who comes next knows nothing of where the device stands */
    write_buttons(pointer, &steps, 0);
    report(&steps);
    return steps.count;
}
