/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * uinput.h - the evdev devices "SPICE pvmouse" (absolute) and "SPICE pvmouse relative".
 *
 * Created once, before the process locks itself down; the absolute range is 0..65535 on both axes for the device's
 * whole life. The absolute device has no REL_X and REL_Y, since libinput discards absolute events of a device that
 * has them.
 */
#ifndef UINPUT_H
#define UINPUT_H

#include "pointer.h"

#include <glib.h>

typedef struct Uinput Uinput;

/*
 * Create the absolute device and, if `relative`, the relative one, through `path` (normally /dev/uinput). If `path`
 * is not a character device (a FIFO, socket or file of a test) no device is created and the events are written there
 * as struct input_event. Errors name the path and what to do (module uinput, permission).
 */
Uinput *uinput_new(const char *path, gboolean relative, GError **error);

/* Destroys the devices: the kernel releases what was pressed. NULL is fine. */
void uinput_free(Uinput *uinput);

/*
 * Write the events of one call of the engine. False if the device is gone; the caller then gives up the pointer.
 *
 * Edges in a burst are written at the pace of pace.h from the main loop; when its queue is full the oldest go out at
 * once. A recorder gets everything at once.
 */
gboolean uinput_write(Uinput *uinput, const PointerStep *steps, gsize count, GError **error);

/*
 * True while something waits for its time: motion is best held back then. `caught_up` is called from the main loop
 * whenever that ends, also by a failure, and may free the object.
 */
gboolean uinput_behind(const Uinput *uinput);
void uinput_on_caught_up(Uinput *uinput, void (*caught_up)(gpointer user), gpointer user);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Uinput, uinput_free)

#endif
