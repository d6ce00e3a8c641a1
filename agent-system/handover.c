/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handover.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct Handover {
    char *path;
    int fd; /* -1 without a connection */
    int watch_fd;
    guint source_id, watch_id;
    gboolean known;
    guint8 layout[LAYOUT_WIRE_SIZE];
};

static void disconnect(Handover *handover)
{
    g_clear_handle_id(&handover->source_id, g_source_remove);
    if (handover->fd >= 0)
        close(handover->fd);
    handover->fd = -1;
}

/* The other side never sends, so what comes is its end. */
static gboolean on_end(G_GNUC_UNUSED gint fd, G_GNUC_UNUSED GIOCondition condition, gpointer user)
{
    Handover *handover = user;

    g_debug("%s: closed by the other end", handover->path);
    handover->source_id = 0;
    disconnect(handover);
    return G_SOURCE_REMOVE;
}

static gboolean connect_to(Handover *handover)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    if (g_strlcpy(address.sun_path, handover->path, sizeof(address.sun_path)) >= sizeof(address.sun_path))
        return FALSE;
    handover->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (handover->fd >= 0 && connect(handover->fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
        /* Before what the directory says: the end of one comes before the next. */
        handover->source_id =
            g_unix_fd_add_full(G_PRIORITY_HIGH, handover->fd, G_IO_IN | G_IO_HUP, on_end, handover, NULL);
        return TRUE;
    }
    g_debug("%s: %s", handover->path, g_strerror(errno)); /* nobody there is the usual case */
    disconnect(handover);
    return FALSE;
}

/* Layouts are rare: a connection that is full has a reader that is stuck, and the next one may not be. */
static void tell(Handover *handover)
{
    for (guint attempts = 2; handover->known && attempts > 0; attempts--) {
        if (handover->fd < 0 && !connect_to(handover))
            return;
        if (send(handover->fd, handover->layout, sizeof(handover->layout), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
            return;
        g_debug("%s: %s", handover->path, g_strerror(errno));
        disconnect(handover);
    }
}

static gboolean on_directory(gint fd, G_GNUC_UNUSED GIOCondition condition, gpointer user)
{
    Handover *handover = user;
    char buffer[4096];
    gboolean any = FALSE;

    while (read(fd, buffer, sizeof(buffer)) > 0)
        any = TRUE;
    if (any && handover->fd < 0)
        tell(handover);
    return G_SOURCE_CONTINUE;
}

Handover *handover_new(const char *path)
{
    Handover *handover = g_new0(Handover, 1);
    g_autofree char *dir = g_path_get_dirname(path);

    handover->path = g_strdup(path);
    handover->fd = -1;
    /* A socket file can be written to by its owner only after its mode has been set. */
    handover->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (handover->watch_fd >= 0 && inotify_add_watch(handover->watch_fd, dir, IN_CREATE | IN_MOVED_TO | IN_ATTRIB) >= 0)
        handover->watch_id = g_unix_fd_add(handover->watch_fd, G_IO_IN, on_directory, handover);
    else
        g_debug("%s is not watched: %s", dir, g_strerror(errno));
    return handover;
}

void handover_free(Handover *handover)
{
    if (handover == NULL)
        return;
    disconnect(handover);
    g_clear_handle_id(&handover->watch_id, g_source_remove);
    if (handover->watch_fd >= 0)
        close(handover->watch_fd);
    g_free(handover->path);
    g_free(handover);
}

void handover_set(Handover *handover, const Layout *layout)
{
    layout_encode(layout, handover->layout);
    handover->known = TRUE;
    tell(handover);
}
