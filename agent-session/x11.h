/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * x11.h - one connection to an X server on the GLib main loop.
 *
 * Events go to the handlers that the backends register. A server that dies ends the connection, not the process: the
 * `closed` callback runs from the main loop before anything else of normal priority, and until x11_free() the Xlib
 * calls that a callback already under way still makes are harmless. Replies then fail: initialise what they should
 * fill.
 */
#ifndef X11_H
#define X11_H

#include <X11/Xlib.h>
#include <glib.h>

typedef struct X11 X11;

/* Returns TRUE if the event was for this handler; the others then do not see it. */
typedef gboolean (*X11Handler)(const XEvent *event, gpointer user);

/*
 * Connect to `display` (":0") with `xauthority` (NULL: the default file; else the process's XAUTHORITY is set to it,
 * since Xlib takes it from there). Connecting blocks for a local server's handshake only; a display that is not local
 * is refused. `closed` is called once, from the main loop, when the server went away; x11_free() is fine in it.
 */
X11 *x11_new(const char *display, const char *xauthority, void (*closed)(gpointer user), gpointer user, GError **error);
void x11_free(X11 *x11);

/* Do not be the client for which a server goes on running that would end with its last one, if it can tell (XFixes 6). */
void x11_let_end(X11 *x11);

/* Borrowed. */
Display *x11_display(X11 *x11);
Window x11_root(X11 *x11);

/* At most 8 handlers, called in the order of registration. */
void x11_add_handler(X11 *x11, X11Handler handler, gpointer user);
void x11_remove_handler(X11 *x11, X11Handler handler, gpointer user);

/*
 * Errors are logged, but for BadWindow. Those of requests between push and pop are kept instead; pop flushes, waits and
 * returns the first code or 0.
 */
void x11_push_errors(X11 *x11);
int x11_pop_errors(X11 *x11);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(X11, x11_free)

#endif
