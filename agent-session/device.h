/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device.h - what must be known of the graphics device behind an output, and the display server does not say.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include <glib.h>

/*
 * The number of which the width of a mode must be a multiple for this connector (its name as in /sys/class/drm,
 * "Virtual-1"): 8 for QEMU's standard VGA, whose registers drop the lower bits of a width although its driver takes
 * any; else 1.
 */
guint device_width_step(const char *connector);

#endif
