/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct Side {
    Link *link;
    RouterSocket socket;
    int fd;
    GSource *source;
    gpointer tag;
    GIOCondition condition;
} Side;

struct Link {
    LinkEvents events;
    gpointer user;
    Side side[ROUTER_SOCKETS];
    guint depth; /* of calls that are under way */
    gboolean dead;
};

typedef struct SideSource {
    GSource source;
    Side *side;
} SideSource;

static void enter(Link *link)
{
    link->depth++;
}

/* False once the link was freed: it must not be touched any more. */
static gboolean leave(Link *link)
{
    gboolean dead = link->dead;

    if (--link->depth == 0 && dead)
        g_free(link);
    return !dead;
}

static void fail(Link *link, int error_number)
{
    link->events.closed(error_number == 0 ? "closed by the session" : g_strerror(error_number), link->user);
}

static void write_side(Side *side)
{
    Link *link = side->link;

    while (!link->dead) {
        gsize size;
        const guint8 *data = link->events.peek(side->socket, &size, link->user);
        gssize sent = size > 0 ? send(side->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;

        if (sent > 0) {
            link->events.taken(side->socket, (gsize)sent, link->user);
        } else if (sent < 0 && errno == EINTR) {
            continue;
        } else {
            if (sent < 0 && errno != EAGAIN)
                fail(link, errno);
            return;
        }
        if ((gsize)sent < size)
            return; /* the kernel's buffer is full */
    }
}

static void read_side(Side *side)
{
    guint8 buffer[LIMIT_READ];
    Link *link = side->link;
    gsize want = link->events.want(side->socket, link->user);
    gssize size = want > 0 ? recv(side->fd, buffer, MIN(want, sizeof(buffer)), MSG_DONTWAIT) : -1;

    if (size > 0)
        link->events.data(side->socket, buffer, (gsize)size, link->user);
    else if (want > 0 && size == 0)
        fail(link, 0);
    else if (want > 0 && errno != EAGAIN && errno != EINTR)
        fail(link, errno);
}

/* Watch for what can be done; the ends of a socket that nobody wants to read show when they are. */
static void watch_side(Side *side)
{
    Link *link = side->link;
    GIOCondition condition = 0;
    gsize size;

    link->events.peek(side->socket, &size, link->user);
    if (size > 0)
        condition |= G_IO_OUT;
    if (link->events.want(side->socket, link->user) > 0)
        condition |= G_IO_IN;
    if (condition != side->condition)
        g_source_modify_unix_fd(side->source, side->tag, condition);
    side->condition = condition;
}

void link_update(Link *link)
{
    enter(link);
    for (gsize i = 0; i < ROUTER_SOCKETS && !link->dead; i++)
        write_side(&link->side[i]);
    for (gsize i = 0; i < ROUTER_SOCKETS && !link->dead; i++)
        watch_side(&link->side[i]);
    leave(link);
}

static gboolean dispatch(GSource *source, GSourceFunc callback, gpointer user)
{
    Side *side = ((SideSource *)source)->side;
    Link *link = side->link;
    GIOCondition ready = g_source_query_unix_fd(source, side->tag);

    (void)callback;
    (void)user;
    enter(link);
    if (ready & G_IO_IN)
        read_side(side);
    else if (ready & (G_IO_HUP | G_IO_ERR))
        fail(link, 0);
    if (!link->dead)
        link_update(link);
    leave(link);
    return G_SOURCE_CONTINUE;
}

static gboolean open_side(Side *side, Link *link, RouterSocket socket, int *ret_peer)
{
    static GSourceFuncs functions = { .dispatch = dispatch };
    int fd[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) < 0)
        return FALSE;
    side->link = link;
    side->socket = socket;
    side->fd = fd[0];
    side->condition = G_IO_IN;
    side->source = g_source_new(&functions, sizeof(SideSource));
    ((SideSource *)side->source)->side = side;
    /* Nothing recurses here, but GLib would wake itself up for each dispatch; see port_open(). */
    g_source_set_can_recurse(side->source, TRUE);
    side->tag = g_source_add_unix_fd(side->source, side->fd, side->condition);
    g_source_set_name(side->source, socket == ROUTER_SOCKET_FILES ? "session files" : "session control");
    g_source_attach(side->source, NULL);
    *ret_peer = fd[1];
    return TRUE;
}

Link *link_new(const LinkEvents *events, gpointer user, int ret_peer[ROUTER_SOCKETS], GError **error)
{
    g_autoptr(Link) link = g_new0(Link, 1);
    int peer[ROUTER_SOCKETS] = { -1, -1 };

    link->events = *events;
    link->user = user;
    for (gsize i = 0; i < ROUTER_SOCKETS; i++)
        link->side[i].fd = -1;
    for (gsize i = 0; i < ROUTER_SOCKETS; i++) {
        if (!open_side(&link->side[i], link, i, &peer[i])) {
            g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "socketpair: %s", g_strerror(errno));
            if (i > 0)
                close(peer[0]);
            return NULL;
        }
    }
    memcpy(ret_peer, peer, sizeof(peer));
    return g_steal_pointer(&link);
}

void link_free(Link *link)
{
    if (link == NULL)
        return;
    link->dead = TRUE;
    for (gsize i = 0; i < ROUTER_SOCKETS; i++) {
        Side *side = &link->side[i];

        if (side->source != NULL) {
            g_source_destroy(side->source);
            g_source_unref(side->source);
            close(side->fd);
        }
    }
    enter(link);
    leave(link);
}
