/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp.h"

#include "qmpchild.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* States taken in one turn of the main loop. */
#define STATES_PER_TURN 16

/* Asked for: a burst during which the child does not run. 2700 verbs, or 500 with the default bound of the kernel. */
#define SEND_BUFFER (1 << 20)

/* The child ends in QMPCHILD_END_MS; then it is killed. */
#define END_TIMEOUT_MS (QMPCHILD_END_MS + 500)

#define KEYS 256

struct Qmp {
    int fd; /* -1: the child is gone */
    pid_t pid;
    guint source;
    guint n_displays, n_channels;
    QmpEvents events;
    gpointer user;
    VerbState state;
    guint64 dropped;
    gboolean refusal_logged;
    /* What the socket had no room for and must come true all the same. */
    guint room_source;
    gboolean pointer_owed;
    Verb pointer;        /* last position and buttons */
    guint8 keys_owed[KEYS / 8]; /* releases */
    gboolean refresh_owed;
    gboolean dispatching, freed;
};

static gboolean check_arguments(const char *monitor, const QmpDisplay *displays, guint n_displays, guint n_paths,
                                GError **error)
{
    if (strlen(monitor) >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FILENAME_TOO_LONG, "%s: too long for a socket", monitor);
        return FALSE;
    }
    if (n_displays > LIMIT_DISPLAYS || n_paths > VERB_CHANNELS_MAX) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "%u displays and %u channels are too many",
                    n_displays, n_paths);
        return FALSE;
    }
    for (guint i = 0; i < n_displays; i++) {
        if (displays[i].device && !g_utf8_validate(displays[i].device, -1, NULL)) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "the device of display %u is not UTF-8", i);
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean io_failed(const char *what, GError **error)
{
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "QMP: %s: %s", what, g_strerror(errno));
    return FALSE;
}

/* The child's first word: a state, or an error's text. */
static gboolean wait_ready(Qmp *qmp, GError **error)
{
    guint8 data[512];
    gssize size;

    do {
        size = recv(qmp->fd, data, sizeof(data), 0);
    } while (size < 0 && errno == EINTR);
    if (size < 0) {
        return io_failed("recv", error);
    }
    if (!verb_decode_state(data, (gsize)size, qmp->n_channels, &qmp->state)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "QMP: the child process has ended: %.*s", (int)size,
                    (const char *)data);
        return FALSE;
    }
    return TRUE;
}

Qmp *qmp_new(const char *monitor, const QmpDisplay *displays, guint n_displays, const char *const *paths, guint n_paths,
             GError **error)
{
    g_autoptr(Qmp) qmp = NULL;
    const int size = SEND_BUFFER;
    int ends[2];

    if (!check_arguments(monitor, displays, n_displays, n_paths, error)) {
        return NULL;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        io_failed("socketpair", error);
        return NULL;
    }
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)); /* less is less, but no failure */
    qmp = g_new0(Qmp, 1);
    qmp->fd = ends[0];
    qmp->n_displays = n_displays;
    qmp->n_channels = n_paths;
    qmp->pid = fork();
    if (qmp->pid == 0) {
        qmpchild_run(ends[1], monitor, displays, n_displays, paths, n_paths);
    }
    close(ends[1]);
    if (qmp->pid < 0) {
        io_failed("fork", error);
        return NULL;
    }
    return wait_ready(qmp, error) ? g_steal_pointer(&qmp) : NULL;
}

static void forget_pointer(Qmp *qmp)
{
    qmp->pointer_owed = FALSE;
    qmp->pointer = (Verb){ .type = VERB_POINTER };
}

static void forget_owed(Qmp *qmp)
{
    g_clear_handle_id(&qmp->room_source, g_source_remove);
    forget_pointer(qmp);
    memset(qmp->keys_owed, 0, sizeof(qmp->keys_owed));
    qmp->refresh_owed = FALSE;
}

static void disconnect(Qmp *qmp)
{
    qmp->refusal_logged = FALSE;
    forget_owed(qmp);
    if (!qmp->freed) {
        qmp->events.connected(FALSE, qmp->user);
    }
}

/* Tell the owner, who may free us at any time, what has come to be different. */
static void apply(Qmp *qmp, const VerbState *old)
{
    const VerbState now = qmp->state;
    gboolean again = now.connected && now.connections != old->connections;
    guint32 changed = again ? ~0u : now.connected ? old->open ^ now.open : 0;

    if (old->connected && (again || !now.connected)) {
        disconnect(qmp);
    }
    if (again && !qmp->freed) {
        qmp->events.connected(TRUE, qmp->user);
    }
    for (guint i = 0; i < qmp->n_channels && !qmp->freed; i++) {
        if (changed >> i & 1) {
            qmp->events.guest_open(i, now.open >> i & 1, qmp->user);
        }
    }
    if (old->connected && now.connected && !again && now.tablet != old->tablet && !qmp->freed) {
        qmp->events.tablet(qmp->user);
    }
    if (now.resets != old->resets && !qmp->freed) {
        qmp->events.reset(qmp->user);
    }
    if (now.refused != old->refused && !qmp->freed && !qmp->refusal_logged) {
        g_message("host: QEMU refuses input: the machine is paused, or a display has no tablet");
        qmp->refusal_logged = TRUE;
    }
}

static void child_gone(Qmp *qmp, const char *why)
{
    VerbState old = qmp->state;

    g_warning("bug: the process for QEMU's monitor %s; no QMP until spicevmc is started again", why);
    qmp->source = 0; /* by its return value */
    close(qmp->fd);
    qmp->fd = -1;
    qmp->state.connected = qmp->state.tablet = false;
    qmp->state.open = 0;
    apply(qmp, &old);
}

static void take_states(Qmp *qmp)
{
    for (guint i = 0; i < STATES_PER_TURN && !qmp->freed; i++) {
        guint8 data[VERB_STATE_SIZE + 1];
        VerbState old = qmp->state;
        gssize size = recv(qmp->fd, data, sizeof(data), MSG_DONTWAIT);

        if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (size <= 0) {
            child_gone(qmp, "has ended");
            return;
        }
        if (!verb_decode_state(data, (gsize)size, qmp->n_channels, &qmp->state)) {
            child_gone(qmp, "says what it cannot mean");
            return;
        }
        apply(qmp, &old);
    }
}

static gboolean readable(int fd, GIOCondition condition, gpointer user)
{
    Qmp *qmp = user;

    (void)fd, (void)condition;
    qmp->dispatching = TRUE;
    take_states(qmp);
    qmp->dispatching = FALSE;
    if (qmp->freed) {
        g_free(qmp);
        return G_SOURCE_REMOVE;
    }
    return qmp->fd >= 0;
}

void qmp_start(Qmp *qmp, const QmpEvents *events, gpointer user)
{
    qmp->events = *events;
    qmp->user = user;
    qmp->source = g_unix_fd_add(qmp->fd, G_IO_IN, readable, qmp);
}

/* Our end is at its end for the child, which then has its time; neither kill nor wait is allowed in every sandbox. */
static void end_child(Qmp *qmp)
{
    gint64 until = g_get_monotonic_time() + END_TIMEOUT_MS * 1000;

    if (qmp->fd >= 0) {
        struct pollfd fd = { .fd = qmp->fd, .events = POLLIN };
        guint8 data[VERB_STATE_SIZE];
        gint64 left;

        shutdown(qmp->fd, SHUT_WR);
        while ((left = until - g_get_monotonic_time()) > 0 && poll(&fd, 1, (int)(left / 1000 + 1)) >= 0 &&
               recv(qmp->fd, data, sizeof(data), MSG_DONTWAIT) > 0) {
            /* what it says meanwhile */
        }
        close(qmp->fd);
        qmp->fd = -1;
    }
    if (qmp->pid > 0) {
        kill(qmp->pid, SIGKILL);
        waitpid(qmp->pid, NULL, 0);
    }
}

void qmp_free(Qmp *qmp)
{
    if (!qmp) {
        return;
    }
    forget_owed(qmp);
    end_child(qmp);
    if (qmp->dispatching) {
        qmp->freed = TRUE;
    } else {
        g_clear_handle_id(&qmp->source, g_source_remove);
        g_free(qmp);
    }
}

gboolean qmp_is_connected(const Qmp *qmp)
{
    return qmp->state.connected;
}

gboolean qmp_has_tablet(const Qmp *qmp)
{
    return qmp->state.tablet;
}

static gboolean send_verb(Qmp *qmp, const Verb *verb)
{
    guint8 data[VERB_SIZE];

    verb_encode(verb, data);
    if (send(qmp->fd, data, sizeof(data), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        return FALSE;
    }
    /* Each pointer verb names all buttons, and each key its state. */
    if (verb->type == VERB_KEY) {
        qmp->keys_owed[verb->scancode / 8] &= (guint8)~(1u << verb->scancode % 8);
    } else if (verb->type == VERB_REFRESH) {
        qmp->refresh_owed = FALSE;
    } else {
        forget_pointer(qmp);
    }
    return TRUE;
}

static const Verb refresh = { .type = VERB_REFRESH };

/* There is room again. */
static gboolean pay(int fd, GIOCondition condition, gpointer user)
{
    Qmp *qmp = user;

    (void)fd, (void)condition;
    if (qmp->pointer_owed && !send_verb(qmp, &qmp->pointer)) {
        return G_SOURCE_CONTINUE;
    }
    for (guint key = 0; key < KEYS; key++) {
        const Verb verb = { .type = VERB_KEY, .scancode = (guint8)key };

        if (qmp->keys_owed[key / 8] >> key % 8 & 1 && !send_verb(qmp, &verb)) {
            return G_SOURCE_CONTINUE;
        }
    }
    if (qmp->refresh_owed && !send_verb(qmp, &refresh)) {
        return G_SOURCE_CONTINUE;
    }
    qmp->room_source = 0;
    return G_SOURCE_REMOVE;
}

static void owe(Qmp *qmp, const Verb *verb)
{
    guint8 *keys = &qmp->keys_owed[verb->scancode / 8];

    switch (verb->type) {
    case VERB_POINTER:
    case VERB_MOTION:
        if (verb->position) {
            qmp->pointer = *verb;
            qmp->pointer.wheel = qmp->pointer.hwheel = 0;
        }
        qmp->pointer.buttons = verb->buttons;
        qmp->pointer_owed = TRUE;
        break;
    case VERB_KEY:
        *keys = (guint8)((*keys & ~(1u << verb->scancode % 8)) | !verb->down << verb->scancode % 8);
        break;
    case VERB_REFRESH:
        qmp->refresh_owed = TRUE;
        break;
    }
    if (qmp->room_source == 0) {
        qmp->room_source = g_unix_fd_add(qmp->fd, G_IO_OUT, pay, qmp);
    }
}

/* Now, or as far as it must come true when there is room. */
static gboolean pass(Qmp *qmp, const Verb *verb)
{
    if (!qmp->state.connected) {
        return FALSE;
    }
    if (send_verb(qmp, verb)) {
        return TRUE;
    }
    if (errno == EAGAIN) {
        owe(qmp, verb);
    }
    return FALSE;
}

static gboolean say(Qmp *qmp, const Verb *verb)
{
    gboolean said = pass(qmp, verb);

    qmp->dropped += !said;
    return said;
}

gboolean qmp_pointer(Qmp *qmp, guint display, gboolean position, guint16 x, guint16 y, guint buttons, int wheel,
                     int hwheel)
{
    Verb verb = { .type = VERB_POINTER,
                  .position = position,
                  .buttons = buttons & PVMOUSE_BUTTONS_ALL,
                  .wheel = (gint16)CLAMP(wheel, -VERB_WHEEL_MAX, VERB_WHEEL_MAX),
                  .hwheel = (gint16)CLAMP(hwheel, -VERB_WHEEL_MAX, VERB_WHEEL_MAX) };

    if (position) {
        if (display >= qmp->n_displays) {
            qmp->dropped++;
            return FALSE;
        }
        verb.display = (guint8)display;
        verb.x = x;
        verb.y = y;
    }
    return say(qmp, &verb);
}

gboolean qmp_motion(Qmp *qmp, int dx, int dy, guint buttons, int wheel, int hwheel)
{
    const Verb verb = { .type = VERB_MOTION,
                        .dx = (gint16)CLAMP(dx, G_MININT16, G_MAXINT16),
                        .dy = (gint16)CLAMP(dy, G_MININT16, G_MAXINT16),
                        .buttons = buttons & PVMOUSE_BUTTONS_ALL,
                        .wheel = (gint16)CLAMP(wheel, -VERB_WHEEL_MAX, VERB_WHEEL_MAX),
                        .hwheel = (gint16)CLAMP(hwheel, -VERB_WHEEL_MAX, VERB_WHEEL_MAX) };

    return say(qmp, &verb);
}

gboolean qmp_key(Qmp *qmp, guint8 scancode, gboolean down)
{
    const Verb verb = { .type = VERB_KEY, .scancode = scancode, .down = down };

    return say(qmp, &verb);
}

void qmp_refresh(Qmp *qmp)
{
    pass(qmp, &refresh);
}

guint64 qmp_dropped(const Qmp *qmp)
{
    return qmp->dropped + qmp->state.lost + qmp->state.refused;
}
