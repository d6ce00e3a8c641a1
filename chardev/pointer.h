/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pointer.h - the pointer engine: state frames and a layout in, evdev events out (pure).
 *
 * Positions are held back until pointer_flush() and only the last one counts; a button edge or a wheel turn is never
 * held, dropped or reordered, and carries the position it happened at. Buttons are released by pointer_release()
 * when the sender goes away.
 */
#ifndef POINTER_H
#define POINTER_H

#include "layout.h"
#include "pvmouse.h"

/*
 * Bound of the events that one call can cause: positions and motion held back, seven buttons, four wheel codes,
 * reports.
 */
#define POINTER_STEPS_MAX 24u

/* One struct input_event without its time: type and code are EV_*, ABS_*, REL_*, BTN_* of linux/input-event-codes.h. */
typedef struct PointerStep {
    bool relative; /* for the relative device, else for the absolute one */
    uint16_t type, code;
    int32_t value;
} PointerStep;

/* Private but for the counters. */
typedef struct Pointer {
    Layout layout;
    uint16_t ux, uy;           /* of the absolute device */
    uint16_t held_ux, held_uy; /* position held back */
    int32_t dx, dy;            /* relative motion held back */
    uint16_t buttons;          /* down on a device */
    int32_t wheel, hwheel;     /* 1/120 detents not yet given as a whole detent */
    bool position_held, nudge, buttons_relative;
    uint64_t frames, coalesced, unknown_display;
    uint64_t presses, turns; /* buttons that went down, and 1/120 detents in either direction */
} Pointer;

/* No layout is known: display 0 is the whole desktop and others do not exist. */
void pointer_init(Pointer *pointer);

/*
 * Use a new layout from the next frame on. The next position is sent even if the device has it already: the desktop may
 * have moved the pointer with the resize, and the kernel drops unchanged values (the axis is stepped aside and back
 * within one report). So is the first position of all, after relative motion and after a release. A layout that is not
 * known (all zero) puts display 0 over the whole desktop again.
 */
void pointer_set_layout(Pointer *pointer, const Layout *layout);

/*
 * Take a STATE, MOTION or RELEASE frame (others cause nothing). Writes the events that must go out now to `ret_steps`
 * and returns their number; a frame without edge and turn causes none until pointer_flush(), unless what is held back
 * is of the other kind and has to go first.
 *
 * Buttons are pressed on the device of the frame (MOTION: the relative one) and released on the device that has them.
 * The position of a display that the layout does not have is counted and not used.
 */
size_t pointer_feed(Pointer *pointer, const PvmouseFrame *frame, PointerStep ret_steps[POINTER_STEPS_MAX]);

/* The end of what could be read in one go: write the motion held back. */
size_t pointer_flush(Pointer *pointer, PointerStep ret_steps[POINTER_STEPS_MAX]);

/* Release every button that is down, and forget held motion and parts of a wheel detent. */
size_t pointer_release(Pointer *pointer, PointerStep ret_steps[POINTER_STEPS_MAX]);

#endif
