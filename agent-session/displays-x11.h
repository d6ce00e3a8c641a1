/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * displays-x11.h - outputs of an X server, by RandR 1.3.
 *
 * Display number i of SPICE is output i of RandR's list. Modes of a size that no output offers are made under the name
 * "spice-WxH" and removed when unused. A change that the server refuses is undone.
 */
#ifndef DISPLAYS_X11_H
#define DISPLAYS_X11_H

#include "displays.h"

typedef struct DisplaysX11 DisplaysX11;

/* Reports the layout through `peer` at once and when anything changed. The connection must outlive the result. */
DisplaysX11 *displays_x11_new(X11 *x11, const DisplaysPolicy *policy, const DisplaysPeer *peer, gpointer user,
                              GError **error);
void displays_x11_free(DisplaysX11 *displays);

/* As displays_apply(). */
gboolean displays_x11_apply(DisplaysX11 *displays, const VdagentMonitors *monitors);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(DisplaysX11, displays_x11_free)

#endif
