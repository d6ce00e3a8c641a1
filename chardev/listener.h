/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * listener.h - a listening socket on the main loop.
 */
#ifndef LISTENER_H
#define LISTENER_H

#include <glib.h>

typedef struct Listener Listener;

/* A connection, non-blocking and close-on-exec; the callee owns `fd`. */
typedef void (*ListenerAccept)(int fd, gpointer user);

/*
 * Take connections of the listening, non-blocking socket `fd`, which it takes over. `name` is that of a unix socket, or
 * what is said of another one. When the process has no descriptor left, they wait for a second at a time. NULL for an `fd`
 * of -1.
 */
Listener *listener_new(int fd, const char *name, ListenerAccept accept, gpointer user);
/* Let connections wait in the kernel, or take them again. */
void listener_pause(Listener *listener, gboolean paused);
/* Closes the socket; with `remove`, removes the unix socket of its name. NULL is fine. */
void listener_free(Listener *listener, gboolean remove);

#endif
