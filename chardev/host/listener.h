/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * listener.h - a listening unix socket on the main loop.
 */
#ifndef LISTENER_H
#define LISTENER_H

#include <glib.h>
#include <sys/types.h>

typedef struct Listener Listener;

/* A connection, non-blocking and close-on-exec; the callee owns `fd`. */
typedef void (*ListenerAccept)(int fd, gpointer user);

/*
 * Listen at `path` (see access_listen() for mode, group and what may stand there). When the process has no descriptor left,
 * connections wait for a second at a time. Errors name the path.
 */
Listener *listener_new(const char *path, mode_t mode, const char *group, ListenerAccept accept, gpointer user, GError **error);
/* Removes the socket. NULL is fine. */
void listener_free(Listener *listener);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Listener, listener_free)

#endif
