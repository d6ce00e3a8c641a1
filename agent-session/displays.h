/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * displays.h - sizes and positions of the guest's outputs: applied as the SPICE client asks, followed where the device
 * changes them, and reported for the pointer.
 */
#ifndef DISPLAYS_H
#define DISPLAYS_H

#include "vdagent.h"
#include "x11.h"

#include <glib.h>

typedef struct Displays Displays;

typedef struct DisplaysPolicy {
    gboolean follow; /* take over an output's new preferred mode when the desktop did not */
    gboolean scale;  /* DPI from physical sizes */
} DisplaysPolicy;

typedef struct DisplaysPeer {
    /* The layout as it is now, a(suuiiuuu) of Agent1.SetLayout; floating reference. */
    void (*layout)(GVariant *outputs, gpointer user);
    void (*refused)(const char *what, const char *why, gpointer user);
} DisplaysPeer;

Displays *displays_new(const DisplaysPolicy *policy, const DisplaysPeer *peer, gpointer user);
void displays_free(Displays *displays);

/* Serve this X connection; NULL for none. Reports the layout at once and at each change. */
gboolean displays_set_x11(Displays *displays, X11 *x11, GError **error);

/* MONITORS_CONFIG of the client. FALSE if it cannot be had: what was there before is there again. */
gboolean displays_apply(Displays *displays, const VdagentMonitors *monitors);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Displays, displays_free)

#endif
