/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * displays-x11.h - outputs of an X server, by RandR 1.3.
 *
 * Display number i of SPICE is output i of RandR's list. Modes of a size that no output offers are made under the name
 * "spice-WxH" and removed when unused. A change that the server refuses is undone.
 */
#ifndef DISPLAYS_X11_H
#define DISPLAYS_X11_H

#include "displays-backend.h"
#include "x11.h"

/*
 * The connection must outlive the result. With `physical`, the desktop's resolution comes from the sizes that the
 * client gives.
 */
DisplaysBackend *displays_x11_new(X11 *x11, gboolean physical, const DisplaysBackendEvents *events, gpointer user,
                                  GError **error);

#endif
