/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inputs.h"

#include "sinks.h"

#define EXTENDED_0 0xe0u
#define EXTENDED_1 0xe1u
#define RELEASED 0x80u
#define GREY 0x80u /* in QEMU's key numbers: came behind 0xe0 */
#define KEYS 256

struct Inputs {
    SpiceKbdInstance keyboard;
    SpiceMouseInstance mouse;
    const ChannelContext *context;
    guint8 prefix;     /* 0xe0, or 0xe1 and what of its two bytes is still to come */
    guint prefix_left;
    guint8 down[KEYS / 8]; /* as QMP was told last */
    guint64 dropped;
};

/* Buttons as libspice-server gives them to a mouse, which are QEMU's. */
static const struct {
    guint32 mouse, pvmouse;
} buttons[] = {
    { 1 << 0, PVMOUSE_BUTTON_LEFT }, { 1 << 1, PVMOUSE_BUTTON_RIGHT }, { 1 << 2, PVMOUSE_BUTTON_MIDDLE },
    { 1 << 6, PVMOUSE_BUTTON_SIDE }, { 1 << 7, PVMOUSE_BUTTON_EXTRA },
};

static void say_key(Inputs *inputs, guint8 code, gboolean down)
{
    gboolean said = inputs->context->qmp && qmp_key(inputs->context->qmp, code, down);
    guint8 *keys = &inputs->down[code / 8];

    if (said || !down) { /* qmp.h makes up for a release that has no room or no connection */
        *keys = (guint8)((*keys & ~(1u << code % 8)) | (guint)down << code % 8);
    }
    inputs->dropped += !said;
}

static void push_scan(SpiceKbdInstance *keyboard, uint8_t scan)
{
    Inputs *inputs = SPICE_CONTAINEROF(keyboard, Inputs, keyboard);

    if (scan == EXTENDED_0 || scan == EXTENDED_1) {
        inputs->prefix = scan;
        inputs->prefix_left = scan == EXTENDED_0 ? 1 : 2;
        return;
    }

    gboolean grey = inputs->prefix == EXTENDED_0;
    gboolean pause = inputs->prefix == EXTENDED_1;

    if (inputs->prefix_left > 0 && --inputs->prefix_left > 0) {
        return; /* Pause is e1 1d 45: the middle byte says nothing */
    }
    inputs->prefix = 0;

    /* QEMU knows Pause as the grey form of Scroll Lock: 0x46 behind 0xe0. */
    say_key(inputs, pause ? 0x46 | GREY : (scan & 0x7f) | (grey ? GREY : 0), !(scan & RELEASED));
}

static uint8_t get_leds(SpiceKbdInstance *keyboard)
{
    (void)keyboard;
    return 0; /* QMP does not tell */
}

static void to_sinks(SpiceMouseInstance *mouse, int dx, int dy, int dz, uint32_t state)
{
    Inputs *inputs = SPICE_CONTAINEROF(mouse, Inputs, mouse);
    PvmouseFrame frame = { .type = PVMOUSE_MOTION,
                           .dx = (int16_t)CLAMP(dx, G_MININT16, G_MAXINT16),
                           .dy = (int16_t)CLAMP(dy, G_MININT16, G_MAXINT16),
                           .wheel = (int16_t)(-CLAMP(dz, -1, 1) * PVMOUSE_DETENT) };

    for (gsize i = 0; i < G_N_ELEMENTS(buttons); i++) {
        frame.buttons |= state & buttons[i].mouse ? buttons[i].pvmouse : 0;
    }
    sinks_motion(inputs->context->sinks, &frame);
}

static void motion(SpiceMouseInstance *mouse, int dx, int dy, int dz, uint32_t state)
{
    to_sinks(mouse, dx, dy, dz, state);
}

static void on_buttons(SpiceMouseInstance *mouse, uint32_t state)
{
    const ChannelContext *context = SPICE_CONTAINEROF(mouse, Inputs, mouse)->context;

    to_sinks(mouse, 0, 0, 0, state);
    if (context->qmp && sinks_current(context->sinks) == SINKS_NONE) {
        qmp_refresh(context->qmp); /* a click in vain: there may be a tablet by now */
    }
}

static const SpiceKbdInterface keyboard_interface = {
    .base = { .type = SPICE_INTERFACE_KEYBOARD,
              .description = "QEMU's keyboard",
              .major_version = SPICE_INTERFACE_KEYBOARD_MAJOR,
              .minor_version = SPICE_INTERFACE_KEYBOARD_MINOR },
    .push_scan_freg = push_scan,
    .get_leds = get_leds,
};

static const SpiceMouseInterface mouse_interface = {
    .base = { .type = SPICE_INTERFACE_MOUSE,
              .description = "relative pointer",
              .major_version = SPICE_INTERFACE_MOUSE_MAJOR,
              .minor_version = SPICE_INTERFACE_MOUSE_MINOR },
    .motion = motion,
    .buttons = on_buttons,
};

Inputs *inputs_new(const ChannelContext *context)
{
    Inputs *inputs = g_new0(Inputs, 1);

    inputs->context = context;
    inputs->keyboard.base.sif = &keyboard_interface.base;
    inputs->mouse.base.sif = &mouse_interface.base;
    if (context->options->policy.keyboard) {
        spice_server_add_interface(context->server, &inputs->keyboard.base);
    }
    if (context->options->policy.pointer) {
        spice_server_add_interface(context->server, &inputs->mouse.base);
    }
    return inputs;
}

void inputs_free(Inputs *inputs)
{
    g_free(inputs);
}

void inputs_reset(Inputs *inputs)
{
    inputs->prefix = 0;
    inputs->prefix_left = 0;
    /*
     * libspice-server has released what it knows to be down, but it takes Pause for Num Lock, and its first release
     * stands behind the client's half a key.
     */
    for (guint code = 0; code < KEYS; code++) {
        if (inputs->down[code / 8] >> code % 8 & 1) {
            say_key(inputs, (guint8)code, FALSE);
        }
    }
}

guint64 inputs_dropped_keys(const Inputs *inputs)
{
    return inputs->dropped;
}
