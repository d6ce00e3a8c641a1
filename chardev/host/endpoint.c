/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "endpoint.h"

#include "access.h"
#include "listener.h"
#include "log.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define RETRY_S 1

/* The connection to the peer, as a source: its descriptor is looked at for what the owner waits for only. */
typedef struct Peer {
    GSource source;
    gpointer tag;
    Endpoint *endpoint;
} Peer;

struct Endpoint {
    const OptionsChannel *channel;
    EndpointEvents events;
    gpointer user;
    Listener *listener; /* NULL if we connect */
    guint retry_id;
    int fd; /* of the peer, or -1 */
    Peer *peer;
    gboolean paused, full, keeps;
    gboolean dispatching; /* what is watched is settled at its end: each change costs a wake-up of the loop */
    GIOCondition watched;
    LogPeer log;
    gboolean broken; /* the peer is gone; to be told from the main loop */
};

static gboolean retry(gpointer user);

static void update(Endpoint *endpoint)
{
    GIOCondition wanted = (endpoint->paused ? 0 : G_IO_IN) | (endpoint->full ? G_IO_OUT : 0);

    if (endpoint->peer && !endpoint->dispatching && endpoint->watched != wanted) {
        endpoint->watched = wanted;
        if (endpoint->peer->tag) {
            g_source_modify_unix_fd(&endpoint->peer->source, endpoint->peer->tag, wanted);
        } else {
            endpoint->peer->tag = g_source_add_unix_fd(&endpoint->peer->source, endpoint->fd, wanted);
        }
    }
}

static void drop_peer(Endpoint *endpoint)
{
    if (endpoint->peer) {
        g_source_destroy(&endpoint->peer->source);
        g_source_unref(&endpoint->peer->source);
        endpoint->peer = NULL;
    }
    if (endpoint->fd >= 0) {
        close(endpoint->fd);
        endpoint->fd = -1;
    }
    endpoint->broken = FALSE;
}

static void try_later(Endpoint *endpoint)
{
    if (!endpoint->listener && endpoint->retry_id == 0) {
        endpoint->retry_id = g_timeout_add_seconds(RETRY_S, retry, endpoint);
    }
}

static void lose_peer(Endpoint *endpoint)
{
    drop_peer(endpoint);
    endpoint->events.connected(FALSE, endpoint->user);
    try_later(endpoint);
}

static gboolean leaves_rest(const Endpoint *endpoint)
{
    guint8 byte;

    return endpoint->keeps && endpoint->paused && !endpoint->broken &&
           recv(endpoint->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/*
 * The peer has gone while nobody reads. What it has written waits in the socket, which leaves the poll: that would
 * report the end for ever.
 */
static void peer_left(Endpoint *endpoint)
{
    g_source_remove_unix_fd(&endpoint->peer->source, endpoint->peer->tag);
    endpoint->peer->tag = NULL;
    endpoint->watched = 0;
    endpoint->full = FALSE;
    try_later(endpoint);
}

/* Not at once: who reads or writes is in the middle of something. */
static void peer_failed(Endpoint *endpoint)
{
    endpoint->broken = TRUE;
    g_source_set_ready_time(&endpoint->peer->source, 0);
}

static gboolean peer_dispatch(GSource *source, GSourceFunc callback, gpointer user)
{
    Endpoint *endpoint = ((Peer *)source)->endpoint;
    GIOCondition ready = endpoint->peer->tag ? g_source_query_unix_fd(source, endpoint->peer->tag) : 0;

    (void)callback, (void)user;
    endpoint->dispatching = TRUE;
    if ((ready & G_IO_OUT) && endpoint->full) {
        endpoint->full = FALSE;
        endpoint->events.writable(endpoint->user);
    }
    if (endpoint->peer && (ready & G_IO_IN) && !endpoint->paused && !endpoint->broken) {
        endpoint->events.input(endpoint->user);
    }

    gboolean gone = ready & (G_IO_HUP | G_IO_ERR) && (endpoint->paused || !(ready & G_IO_IN));

    if (endpoint->peer && gone && leaves_rest(endpoint)) {
        peer_left(endpoint);
    } else if (endpoint->peer && (gone || endpoint->broken)) {
        lose_peer(endpoint);
    }
    endpoint->dispatching = FALSE;
    update(endpoint);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs peer_funcs = { .dispatch = peer_dispatch };

static void take_peer(Endpoint *endpoint, int fd)
{
    GSource *source = g_source_new(&peer_funcs, sizeof(Peer));

    g_clear_handle_id(&endpoint->retry_id, g_source_remove);
    endpoint->fd = fd;
    endpoint->paused = endpoint->full = endpoint->broken = FALSE;
    endpoint->peer = (Peer *)source;
    endpoint->peer->endpoint = endpoint;
    g_source_set_can_recurse(source, TRUE); /* else each dispatch costs a wake-up */
    g_source_set_static_name(source, endpoint->channel->path);
    endpoint->watched = G_IO_IN;
    endpoint->peer->tag = g_source_add_unix_fd(source, fd, endpoint->watched);
    g_source_attach(source, NULL);
    endpoint->events.connected(TRUE, endpoint->user);
}

/* It may have gone, and we have not looked yet. */
static gboolean peer_is_gone(const Endpoint *endpoint)
{
    struct pollfd look = { .fd = endpoint->fd };

    return endpoint->broken || (poll(&look, 1, 0) > 0 && (look.revents & (POLLHUP | POLLERR)));
}

static void incoming(int fd, gpointer user)
{
    Endpoint *endpoint = user;

    if (endpoint->fd >= 0 && peer_is_gone(endpoint)) {
        lose_peer(endpoint);
    }
    if (endpoint->fd >= 0) {
        log_peer(&endpoint->log, "%s: a second connection is turned away", endpoint->channel->path);
        close(fd);
    } else {
        take_peer(endpoint, fd);
    }
}

static gboolean try_connect(Endpoint *endpoint)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        return FALSE;
    }
    g_strlcpy(address.sun_path, endpoint->channel->path, sizeof(address.sun_path));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        close(fd);
        return FALSE;
    }
    if (endpoint->fd >= 0) {
        lose_peer(endpoint); /* it had left */
    }
    take_peer(endpoint, fd);
    return TRUE;
}

static gboolean retry(gpointer user)
{
    Endpoint *endpoint = user;

    endpoint->retry_id = 0;
    if (!try_connect(endpoint)) {
        try_later(endpoint);
    }
    return G_SOURCE_REMOVE;
}

Endpoint *endpoint_new(const Options *options, const OptionsChannel *channel, const EndpointEvents *events, gpointer user,
                       GError **error)
{
    g_autoptr(Endpoint) endpoint = g_new0(Endpoint, 1);

    endpoint->channel = channel;
    endpoint->events = *events;
    endpoint->user = user;
    endpoint->fd = -1;
    endpoint->log.name = "host";
    if (channel->path && channel->listen) {
        int fd = access_listen(channel->path, options->socket_mode, options->socket_group, error);

        endpoint->listener = listener_new(fd, channel->path, incoming, endpoint);
        if (!endpoint->listener) {
            return NULL;
        }
    } else if (channel->path) {
        endpoint->retry_id = g_idle_add(retry, endpoint);
    }
    return g_steal_pointer(&endpoint);
}

void endpoint_free(Endpoint *endpoint)
{
    if (endpoint) {
        drop_peer(endpoint);
        g_clear_handle_id(&endpoint->retry_id, g_source_remove);
        listener_free(endpoint->listener, TRUE);
        g_free(endpoint);
    }
}

void endpoint_keep_rest(Endpoint *endpoint)
{
    endpoint->keeps = TRUE;
}

gboolean endpoint_is_connected(const Endpoint *endpoint)
{
    return endpoint->fd >= 0 && !endpoint->broken;
}

gsize endpoint_read(Endpoint *endpoint, guint8 *ret_data, gsize size)
{
    if (!endpoint_is_connected(endpoint) || size == 0) {
        return 0;
    }

    ssize_t got = recv(endpoint->fd, ret_data, size, MSG_DONTWAIT);

    if (got > 0) {
        return (gsize)got;
    }
    if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        peer_failed(endpoint);
    }
    return 0;
}

gsize endpoint_write(Endpoint *endpoint, const guint8 *data, gsize size)
{
    if (!endpoint_is_connected(endpoint) || size == 0) {
        return 0;
    }

    ssize_t sent = send(endpoint->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        if (endpoint->keeps && (errno == EPIPE || errno == ECONNRESET)) {
            return size; /* nobody takes it; the end is found by reading up to it */
        }
        peer_failed(endpoint);
        return 0;
    }
    if (sent < (ssize_t)size && !endpoint->full) {
        endpoint->full = TRUE;
        update(endpoint);
    }
    return sent < 0 ? 0 : (gsize)sent;
}

void endpoint_pause(Endpoint *endpoint, gboolean paused)
{
    if (endpoint->peer && endpoint->paused != paused) {
        endpoint->paused = paused;
        update(endpoint);
    }
}

void endpoint_hang_up(Endpoint *endpoint)
{
    if (endpoint->fd >= 0) {
        drop_peer(endpoint);
        try_later(endpoint);
    }
}
