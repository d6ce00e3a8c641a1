/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "swayipc.h"

#include "socketpeer.h"
#include "swaywire.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_SIZE 4096

struct SwayIpc {
    pid_t pid; /* of sway */
    char *path;
    /* Of the commands under way. */
    int fd;
    guint watch_id;
    Swaywire *reply;
    void (*done)(const char *why, gpointer user);
    gpointer user;
    char why[256];
};

/* A connection to the process at a socket; -1: it is not there. */
static int connect_to(const char *path, pid_t pid)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path)
        return -1;
    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *) &address, sizeof address) == 0 && socketpeer_pid(fd) == pid)
        return fd;
    close(fd);
    return -1;
}

SwayIpc *swayipc_new(int wayland_fd)
{
    pid_t pid = socketpeer_pid(wayland_fd);
    if (pid <= 0)
        return NULL;
    g_autofree char *name = g_strdup_printf("sway-ipc.%u.%d.sock", (guint) getuid(), (int) pid);
    g_autofree char *usual = g_build_filename(g_get_user_runtime_dir(), name, NULL);
    const char *candidates[] = { usual, g_getenv("SWAYSOCK") };
    for (gsize i = 0; i < G_N_ELEMENTS(candidates); i++) {
        int fd = candidates[i] != NULL ? connect_to(candidates[i], pid) : -1;
        if (fd < 0)
            continue;
        close(fd);
        SwayIpc *ipc = g_new0(SwayIpc, 1);
        ipc->pid = pid;
        ipc->path = g_strdup(candidates[i]);
        ipc->fd = -1;
        return ipc;
    }
    return NULL;
}

void swayipc_stop(SwayIpc *ipc)
{
    g_clear_handle_id(&ipc->watch_id, g_source_remove);
    g_clear_pointer(&ipc->reply, g_free);
    if (ipc->fd >= 0)
        close(ipc->fd);
    ipc->fd = -1;
}

void swayipc_free(SwayIpc *ipc)
{
    if (ipc == NULL)
        return;
    swayipc_stop(ipc);
    g_free(ipc->path);
    g_free(ipc);
}

static void end(SwayIpc *ipc, const char *why)
{
    swayipc_stop(ipc);
    ipc->done(why, ipc->user);
}

static void judge(SwayIpc *ipc)
{
    char error[128];
    if (swaywire_succeeded(ipc->reply, error, sizeof error)) {
        end(ipc, NULL);
        return;
    }
    g_snprintf(ipc->why, sizeof ipc->why, "sway says: %s", error[0] != '\0' ? error : "no");
    end(ipc, ipc->why);
}

static gboolean on_readable(int fd, G_GNUC_UNUSED GIOCondition condition, gpointer user)
{
    SwayIpc *ipc = user;
    guint8 data[READ_SIZE];
    ssize_t size = read(fd, data, sizeof data);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    SwaywireResult result = size > 0 ? swaywire_feed(ipc->reply, data, size) : SWAYWIRE_BAD;
    if (result == SWAYWIRE_MORE)
        return G_SOURCE_CONTINUE;
    ipc->watch_id = 0;
    if (result == SWAYWIRE_COMPLETE)
        judge(ipc);
    else
        end(ipc, size > 0 ? "sway's IPC is not understood" : "sway's IPC broke off");
    return G_SOURCE_REMOVE;
}

void swayipc_run(SwayIpc *ipc, const char *commands, void (*done)(const char *why, gpointer user), gpointer user)
{
    guint8 header[SWAYWIRE_HEADER];
    gsize size = strlen(commands);
    struct iovec parts[] = { { header, sizeof header }, { (char *) commands, size } };
    const struct msghdr message = { .msg_iov = parts, .msg_iovlen = G_N_ELEMENTS(parts) };
    g_assert(ipc->reply == NULL);
    swaywire_command(size, header);
    ipc->done = done;
    ipc->user = user;
    ipc->reply = g_new0(Swaywire, 1);
    ipc->fd = connect_to(ipc->path, ipc->pid);
    /* A new connection has room for all of it. */
    if (ipc->fd < 0 || sendmsg(ipc->fd, &message, MSG_NOSIGNAL) != (ssize_t) (sizeof header + size))
        end(ipc, "sway's IPC cannot be reached");
    else
        ipc->watch_id = g_unix_fd_add(ipc->fd, G_IO_IN, on_readable, ipc);
}
