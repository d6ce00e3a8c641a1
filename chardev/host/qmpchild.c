/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE /* close_range */
#include "qmpchild.h"

#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PARENT_FD 3

/* Verbs taken, and bytes read from QEMU, before the other end gets its turn. */
#define VERBS_PER_TURN 64
#define READ_SIZE 16384

typedef struct Child {
    struct sockaddr_un address;
    Monitor *monitor;
    guint n_displays;
    int qemu;          /* -1: not connected */
    gint64 at;         /* when to connect next, or, when `ending`, to end */
    gboolean ending;   /* the parent is gone */
    VerbState told;
    gboolean untold;   /* the parent's socket is full */
} Child;

static gint64 after_ms(int ms)
{
    return g_get_monotonic_time() + (gint64)ms * 1000;
}

/* Descriptors: ours is PARENT_FD, and none is left that could be anybody else's. */
static gboolean close_others(int parent, GError **error)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(parent, PARENT_FD) < 0 ||
        close_range(PARENT_FD + 1, ~0u, 0) < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "closing descriptors: %s", g_strerror(errno));
        return FALSE;
    }
    return TRUE;
}

static gboolean lock_down(int parent, GError **error)
{
    static const int ignored[] = { SIGHUP, SIGINT, SIGTERM, SIGPIPE };

    for (gsize i = 0; i < G_N_ELEMENTS(ignored); i++) {
        signal(ignored[i], SIG_IGN);
    }
    prctl(PR_SET_NAME, "spicevmc-qmp");
    json_object_seed(0); /* from the kernel, which the sandbox would not allow */
    return close_others(parent, error) && sandbox_enter(SANDBOX_MONITOR, NULL, error);
}

static void hang_up(Child *child)
{
    close(child->qemu);
    child->qemu = -1;
    if (!child->ending) {
        child->at = after_ms(QMPCHILD_RETRY_MS);
    }
    monitor_disconnected(child->monitor);
}

/* A unix socket connects at once or not at all. */
static void try_connect(Child *child)
{
    child->qemu = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (child->qemu < 0) {
        child->at = after_ms(QMPCHILD_RETRY_MS);
        return;
    }
    if (connect(child->qemu, (struct sockaddr *)&child->address, sizeof(child->address)) < 0) {
        hang_up(child);
        return;
    }
    monitor_connected(child->monitor);
}

static void read_qemu(Child *child)
{
    guint8 data[READ_SIZE];
    gssize size = read(child->qemu, data, sizeof(data));

    if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (size <= 0 || !monitor_input(child->monitor, data, (gsize)size)) {
        hang_up(child);
    }
}

static void write_qemu(Child *child)
{
    size_t size;
    const char *data = monitor_output(child->monitor, &size);

    while (size > 0) {
        gssize written = send(child->qemu, data, size, MSG_NOSIGNAL);

        if (written < 0 && errno == EAGAIN) {
            return;
        }
        if (written < 0 && errno != EINTR) {
            hang_up(child);
            return;
        }
        monitor_written(child->monitor, written > 0 ? (gsize)written : 0);
        data = monitor_output(child->monitor, &size);
    }
}

static void parent_gone(Child *child)
{
    child->ending = TRUE;
    child->at = after_ms(QMPCHILD_END_MS);
    monitor_release(child->monitor);
}

static void read_parent(Child *child)
{
    for (guint i = 0; i < VERBS_PER_TURN; i++) {
        guint8 data[VERB_SIZE + 1];
        Verb verb;
        gssize size = recv(PARENT_FD, data, sizeof(data), MSG_DONTWAIT);

        if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (size <= 0 || !verb_decode(data, (gsize)size, child->n_displays, &verb)) {
            parent_gone(child);
            return;
        }
        monitor_verb(child->monitor, &verb);
    }
}

static void tell_parent(Child *child)
{
    const VerbState *state = monitor_state(child->monitor);
    guint8 data[VERB_STATE_SIZE], told[VERB_STATE_SIZE];

    verb_encode_state(state, data);
    verb_encode_state(&child->told, told);
    child->untold = FALSE;
    if (memcmp(data, told, sizeof(data)) == 0) {
        return;
    }
    if (send(PARENT_FD, data, sizeof(data), MSG_DONTWAIT | MSG_NOSIGNAL) == (gssize)sizeof(data)) {
        child->told = *state;
    } else {
        child->untold = errno == EAGAIN; /* else it has gone, as the next read will say */
    }
}

static int timeout_ms(const Child *child)
{
    if (child->qemu >= 0 && !child->ending) {
        return -1;
    }
    return (int)CLAMP((child->at - g_get_monotonic_time() + 999) / 1000, 0, QMPCHILD_RETRY_MS);
}

static void wait(Child *child)
{
    size_t unsent;
    struct pollfd fds[] = {
        { .fd = child->ending ? -1 : PARENT_FD, .events = (short)(POLLIN | (child->untold ? POLLOUT : 0)) },
        { .fd = child->qemu, .events = POLLIN },
    };

    monitor_output(child->monitor, &unsent);
    fds[1].events |= (short)(unsent > 0 ? POLLOUT : 0);
    if (poll(fds, G_N_ELEMENTS(fds), timeout_ms(child)) < 0) {
        return;
    }
    if (fds[0].revents & (POLLIN | POLLHUP | POLLERR)) {
        read_parent(child);
    }
    if (fds[1].revents & (POLLIN | POLLHUP | POLLERR)) {
        read_qemu(child);
    }
}

static gboolean finished(const Child *child)
{
    return child->ending && (child->qemu < 0 || monitor_idle(child->monitor) || g_get_monotonic_time() >= child->at);
}

_Noreturn void qmpchild_run(int parent, const char *path, const QmpDisplay *displays, guint n_displays,
                            const char *const *paths, guint n_paths)
{
    g_autoptr(GError) error = NULL;
    Child child = { .address = { .sun_family = AF_UNIX }, .n_displays = n_displays, .qemu = -1 };
    guint8 ready[VERB_STATE_SIZE];

    child.monitor = monitor_new(displays, n_displays, paths, n_paths);
    g_strlcpy(child.address.sun_path, path, sizeof(child.address.sun_path)); /* its length was checked */
    if (!lock_down(parent, &error)) {
        send(parent, error->message, strlen(error->message), MSG_NOSIGNAL);
        _exit(1);
    }
    verb_encode_state(&child.told, ready);
    send(PARENT_FD, ready, sizeof(ready), MSG_NOSIGNAL);
    while (!finished(&child)) {
        if (child.qemu < 0 && g_get_monotonic_time() >= child.at) {
            try_connect(&child);
        }
        if (child.qemu >= 0) {
            write_qemu(&child);
        }
        tell_parent(&child);
        wait(&child);
    }
    _exit(0);
}
