/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE /* accept4 */
#include "listener.h"

#include "log.h"

#include <errno.h>
#include <glib-unix.h>
#include <sys/socket.h>
#include <unistd.h>

#define RETRY_S 1

struct Listener {
    gchar *name;
    int fd;
    guint source; /* the watch, or the timer until it is back */
    ListenerAccept accept;
    gpointer user;
    LogPeer log;
};

static gboolean incoming(gint fd, GIOCondition condition, gpointer user);

static gboolean again(gpointer user)
{
    Listener *listener = user;

    listener->source = g_unix_fd_add(listener->fd, G_IO_IN, incoming, listener);
    return G_SOURCE_REMOVE;
}

static gboolean incoming(gint fd, GIOCondition condition, gpointer user)
{
    Listener *listener = user;
    int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)condition;
    if (peer >= 0) {
        listener->accept(peer, listener->user); /* which may pause */
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        /* poll() would report it again at once, for ever. */
        log_peer(&listener->log, "cannot take a connection: %s", g_strerror(errno));
        listener->source = g_timeout_add_seconds(RETRY_S, again, listener);
        return G_SOURCE_REMOVE;
    }
    return G_SOURCE_CONTINUE;
}

Listener *listener_new(int fd, const char *name, ListenerAccept accept, gpointer user)
{
    if (fd < 0) {
        return NULL;
    }

    Listener *listener = g_new0(Listener, 1);

    listener->name = g_strdup(name);
    listener->log.name = listener->name;
    listener->fd = fd;
    listener->accept = accept;
    listener->user = user;
    again(listener);
    return listener;
}

void listener_pause(Listener *listener, gboolean paused)
{
    g_clear_handle_id(&listener->source, g_source_remove);
    if (!paused) {
        again(listener);
    }
}

void listener_free(Listener *listener, gboolean remove)
{
    if (listener) {
        listener_pause(listener, TRUE);
        if (remove) {
            unlink(listener->name);
        }
        close(listener->fd);
        g_free(listener->name);
        g_free(listener);
    }
}
