/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE /* struct ucred */
#include "layoutsock.h"

#include "listener.h"
#include "log.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTIONS_MAX 4

typedef struct Connection {
    int fd; /* -1: free */
    guint source;
} Connection;

struct LayoutSock {
    Listener *listener;
    uid_t daemon; /* LAYOUTSOCK_USER, root if there is none */
    LayoutSockChanged changed;
    gpointer user;
    LogPeer peer;
    Connection connection[CONNECTIONS_MAX]; /* oldest first */
};

static void close_connection(LayoutSock *sock, gsize i)
{
    g_clear_handle_id(&sock->connection[i].source, g_source_remove);
    close(sock->connection[i].fd);
    memmove(&sock->connection[i], &sock->connection[i + 1], (CONNECTIONS_MAX - 1 - i) * sizeof(Connection));
    sock->connection[CONNECTIONS_MAX - 1] = (Connection){ .fd = -1 };
}

/* One layout of a connection. False when the connection is over. */
static gboolean take_layout(LayoutSock *sock, int fd)
{
    guint8 data[LAYOUT_WIRE_SIZE];
    Layout layout;
    gssize size = recv(fd, data, sizeof(data), MSG_DONTWAIT | MSG_TRUNC);

    if (size < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    if (size == 0) {
        return FALSE;
    }
    if (size != sizeof(data) || !layout_decode(data, &layout)) {
        log_peer(&sock->peer, "a layout of %zd bytes that cannot be", size);
        return FALSE;
    }
    sock->changed(&layout, sock->user);
    return TRUE;
}

static gboolean connection_ready(int fd, GIOCondition condition, gpointer user)
{
    LayoutSock *sock = user;

    (void)condition;
    if (take_layout(sock, fd)) {
        return G_SOURCE_CONTINUE;
    }
    for (gsize i = 0; i < CONNECTIONS_MAX; i++) {
        if (sock->connection[i].fd == fd) {
            close_connection(sock, i);
            break;
        }
    }
    return G_SOURCE_REMOVE;
}

static gboolean may_speak(LayoutSock *sock, int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
        return FALSE;
    }
    if (peer.uid == 0 || peer.uid == sock->daemon || peer.uid == geteuid()) {
        return TRUE;
    }
    log_peer(&sock->peer, "uid %u may not set the layout", (unsigned)peer.uid);
    return FALSE;
}

static void add_connection(LayoutSock *sock, int fd)
{
    gsize i = 0;

    if (sock->connection[CONNECTIONS_MAX - 1].fd >= 0) {
        close_connection(sock, 0);
    }
    while (sock->connection[i].fd >= 0) {
        i++;
    }
    sock->connection[i].fd = fd;
    sock->connection[i].source = g_unix_fd_add(fd, G_IO_IN, connection_ready, sock);
}

static void incoming(int fd, gpointer user)
{
    LayoutSock *sock = user;

    if (may_speak(sock, fd)) {
        add_connection(sock, fd);
    } else {
        close(fd);
    }
}

/* The socket that systemd passed as descriptor 3, or -1. */
static int passed_socket(void)
{
    const char *pid = g_getenv("LISTEN_PID"), *count = g_getenv("LISTEN_FDS");
    int type = 0;
    socklen_t size = sizeof(type);

    if (!pid || !count || strtol(pid, NULL, 10) != getpid() || strtol(count, NULL, 10) != 1 ||
        getsockopt(3, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET ||
        !g_unix_set_fd_nonblocking(3, TRUE, NULL)) {
        return -1;
    }
    return 3;
}

/*
 * The socket gets its name when it listens: who sees the name appear can connect, and one that was there before is
 * replaced.
 */
static int listen_at(const char *path)
{
    g_autofree char *new_path = g_strconcat(path, ".new", NULL);
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    if (g_strlcpy(address.sun_path, new_path, sizeof(address.sun_path)) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    unlink(new_path);

    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0117); /* owner and group */
    gboolean done = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 8) == 0 &&
                    rename(new_path, path) == 0;
    int error_number = errno;

    umask(mask);
    if (fd >= 0 && !done) {
        close(fd);
        errno = error_number;
        return -1;
    }
    return fd;
}

LayoutSock *layoutsock_new(const char *path, LayoutSockChanged changed, gpointer user, GError **error)
{
    const struct passwd *entry = getpwnam(LAYOUTSOCK_USER);
    g_autoptr(LayoutSock) sock = g_new0(LayoutSock, 1);

    for (gsize i = 0; i < CONNECTIONS_MAX; i++) {
        sock->connection[i].fd = -1;
    }
    sock->daemon = entry ? entry->pw_uid : 0;
    sock->changed = changed;
    sock->user = user;
    sock->peer.name = "session";

    int fd = passed_socket();

    if (fd < 0) {
        fd = listen_at(path);
    }
    if (fd < 0) {
        int error_number = errno;

        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(error_number), "%s: %s", path, g_strerror(error_number));
        return NULL;
    }
    sock->listener = listener_new(fd, path, incoming, sock);
    return g_steal_pointer(&sock);
}

void layoutsock_free(LayoutSock *sock)
{
    if (!sock) {
        return;
    }
    while (sock->connection[0].fd >= 0) {
        close_connection(sock, 0);
    }
    listener_free(sock->listener, FALSE); /* who comes next replaces the socket, or systemd has it */
    g_free(sock);
}
