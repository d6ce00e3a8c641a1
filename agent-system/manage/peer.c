/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer.h"

#include "listener.h"
#include "log.h"
#include "port.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Bytes of replies that may wait while requests are taken. */
#define REPLIES_ENOUGH 65536u

struct Peer {
    char *path;
    PeerEvents events;
    gpointer user;
    Port *port; /* where we listen: NULL without a client */
    Listener *listener;
    GQueue replies; /* of GBytes */
    gsize sent;     /* of the first */
    gsize waiting;  /* bytes */
    guint8 input[LIMIT_READ];
    gsize held; /* bytes in it that the owner did not take */
    guint resume;
    LogPeer log;
};

static void forget(Peer *peer)
{
    g_queue_clear_full(&peer->replies, (GDestroyNotify)g_bytes_unref);
    peer->sent = peer->waiting = peer->held = 0;
    g_clear_handle_id(&peer->resume, g_source_remove);
    if (peer->port)
        port_pause(peer->port, FALSE);
}

static void offer(Peer *peer)
{
    gsize taken = peer->waiting > REPLIES_ENOUGH ? 0 : peer->events.input(peer->input, peer->held, peer->user);

    memmove(peer->input, peer->input + taken, peer->held - taken);
    peer->held -= taken;
    if (peer->port)
        port_pause(peer->port, peer->held > 0);
}

static void on_data(const guint8 *data, gsize size, gpointer user)
{
    Peer *peer = user;

    /* Nothing is held, else the port is paused. */
    memcpy(peer->input, data, size);
    peer->held = size;
    offer(peer);
}

static void on_drained(G_GNUC_UNUSED gpointer user)
{
}

static gboolean on_resume(gpointer user)
{
    Peer *peer = user;

    peer->resume = 0;
    offer(peer);
    return G_SOURCE_REMOVE;
}

void peer_resume(Peer *peer)
{
    if (peer->held > 0 && peer->resume == 0)
        peer->resume = g_idle_add(on_resume, peer);
}

static gsize on_fill(guint8 *buffer, gsize size, gpointer user)
{
    Peer *peer = user;
    gsize used = 0;

    while (used < size && !g_queue_is_empty(&peer->replies)) {
        gsize all;
        const guint8 *data = g_bytes_get_data(g_queue_peek_head(&peer->replies), &all);
        gsize part = MIN(all - peer->sent, size - used);

        memcpy(buffer + used, data + peer->sent, part);
        used += part;
        peer->sent += part;
        if (peer->sent == all) {
            g_bytes_unref(g_queue_pop_head(&peer->replies));
            peer->sent = 0;
        }
    }
    peer->waiting -= used;
    if (peer->waiting <= REPLIES_ENOUGH)
        peer_resume(peer);
    return used;
}

static void leave(Peer *peer)
{
    forget(peer);
    peer->events.left(peer->user);
}

static void on_connected(gboolean connected, gpointer user)
{
    if (!connected)
        leave(user);
}

static void on_gone(const GError *error, gpointer user)
{
    Peer *peer = user;

    if (!peer->listener) {
        peer->events.gone(error, peer->user);
        return;
    }
    g_debug("%s", error->message);
    g_clear_pointer(&peer->port, port_free);
    leave(peer);
    listener_pause(peer->listener, FALSE);
}

static const PortEvents port_events = { on_data, on_drained, on_fill, on_connected, on_gone };

static void on_client(int fd, gpointer user)
{
    Peer *peer = user;
    g_autoptr(GError) error = NULL;

    peer->port = port_adopt(fd, peer->path, &port_events, peer, &error);
    if (peer->port)
        listener_pause(peer->listener, TRUE);
    else
        log_peer(&peer->log, "cannot serve: %s", error->message);
}

static Peer *peer_new(const char *path, const PeerEvents *events, gpointer user)
{
    Peer *peer = g_new0(Peer, 1);

    peer->path = g_strdup(path);
    peer->events = *events;
    peer->user = user;
    peer->log.name = "host";
    g_queue_init(&peer->replies);
    return peer;
}

Peer *peer_open(const char *path, const PeerEvents *events, gpointer user, GError **error)
{
    g_autoptr(Peer) peer = peer_new(path, events, user);

    peer->port = port_open(path, &port_events, peer, error);
    return peer->port ? g_steal_pointer(&peer) : NULL;
}

static gboolean bind_socket(int fd, const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct stat status;

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return FALSE;
    }
    strcpy(address.sun_path, path);
    if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode))
        unlink(path);

    mode_t mask = umask(0177);
    gboolean bound = bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    int error_number = errno;

    umask(mask);
    errno = error_number;
    return bound;
}

Peer *peer_listen(const char *path, const PeerEvents *events, gpointer user, GError **error)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || !bind_socket(fd, path) || listen(fd, 8) < 0) {
        int error_number = errno;

        if (fd >= 0)
            close(fd);
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(error_number), "%s: %s", path, g_strerror(error_number));
        return NULL;
    }

    Peer *peer = peer_new(path, events, user);

    peer->listener = listener_new(fd, path, on_client, peer);
    return peer;
}

void peer_free(Peer *peer)
{
    if (!peer)
        return;
    g_clear_pointer(&peer->port, port_free);
    forget(peer);
    listener_free(peer->listener, TRUE);
    g_free(peer->path);
    g_free(peer);
}

gboolean peer_send(Peer *peer, GBytes *reply)
{
    if (!peer->port) {
        g_bytes_unref(reply);
        return TRUE;
    }
    g_queue_push_tail(&peer->replies, reply);
    peer->waiting += g_bytes_get_size(reply);
    port_kick(peer->port);
    return peer->waiting <= REPLIES_ENOUGH;
}
