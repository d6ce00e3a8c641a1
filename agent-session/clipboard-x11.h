/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clipboard-x11.h - CLIPBOARD and PRIMARY of an X server, for the clipboard facade.
 *
 * Works with one unmapped InputOnly window: nothing that a window manager could show or focus.
 */
#ifndef CLIPBOARD_X11_H
#define CLIPBOARD_X11_H

#include "clipboard-backend.h"
#include "x11.h"

/* Serve these selections. Fails without the XFixes extension. `x11` outlives the result. */
ClipboardBackend *clipboard_x11_new(X11 *x11, guint selections, guint timeout_ms, const ClipboardBackendEvents *events,
                                    gpointer user, GError **error);

#endif
