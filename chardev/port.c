/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "port.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

/* A virtio port gives one chunk of the host's at a time: these many are asked for at once. */
#define CHUNKS_PER_READ (LIMIT_READ / PORT_FILL_MIN)

/* A read of less is most likely all that is there. */
#define SMALL_READ 128

/* Unix98 terminals, by the kernel's list of devices (admin-guide/devices.txt). */
#define PTY_MAJOR_FIRST 136
#define PTY_MAJOR_LAST 143

/* Reads in one turn, before output and the rest of the main loop get theirs. */
#define READS_PER_TURN 4

/*
 * Bytes given to the kernel in one write: enough chunks to be cheap, few enough for a small message not to wait long.
 */
#define WRITE_BATCH (8 * PORT_FILL_MIN)

struct Port {
    int fd, epoll;
    GSource *source;
    char *path;
    PortEvents events;
    gpointer user;
    gboolean is_socket;
    gboolean virtio; /* a read of 0 bytes means “not connected” */
    gboolean connected, paused;
    gboolean announced; /* the kernel knows of the connection; data may come before that */
    gboolean readable, writable; /* not known to be otherwise */
    gpointer tag;                /* of what the loop watches: the port itself if `direct`, else `epoll` */
    gboolean direct;
    GIOCondition watched;
    gboolean filling;            /* the owner may have more to send */
    gboolean again;              /* a turn is due, whatever the kernel says */
    gboolean stay;               /* the owner allows another turn without the loop */
    gboolean dispatching, freed;
    gsize out_at, out_size;
    guint8 in[LIMIT_READ];
    guint8 out[WRITE_BATCH];
};

/* The one of port_poll(), which gets no argument. */
static Port *polled;

typedef struct PortSource {
    GSource source;
    Port *port;
} PortSource;

static void set_connected(Port *port, gboolean connected)
{
    if (port->connected == connected) {
        return;
    }
    port->connected = connected;
    port->writable = connected;
    if (!connected) {
        port->announced = FALSE;
        port->out_at = port->out_size = 0;
    }
    g_debug("%s: host %s", port->path, connected ? "connected" : "disconnected");
    port->events.connected(connected, port->user);
}

static void stop(Port *port)
{
    if (polled == port) {
        polled = NULL;
    }
    if (port->source) {
        g_source_destroy(port->source);
        g_clear_pointer(&port->source, g_source_unref);
    }
    if (port->epoll >= 0) {
        close(port->epoll);
        port->epoll = -1;
    }
    if (port->fd >= 0) {
        close(port->fd);
        port->fd = -1;
    }
}

/* The port is over. Its owner may free it in the callback. */
static void end(Port *port, int error_number)
{
    gboolean closed = error_number == 0 || error_number == ENODEV;
    g_autoptr(GError) error = g_error_new(G_IO_ERROR, closed ? G_IO_ERROR_CLOSED : g_io_error_from_errno(error_number),
                                          "%s: %s", port->path,
                                          error_number == 0 ? "closed by the other end" : g_strerror(error_number));

    stop(port);
    port->events.gone(error, port->user);
}

/* False once the port was freed or has ended: nothing of it may be used any more but `freed`. */
static gboolean alive(const Port *port)
{
    return !port->freed && port->fd >= 0;
}

/* Ask the kernel what has happened. */
static void take_events(Port *port)
{
    struct epoll_event event;

    if (epoll_wait(port->epoll, &event, 1, 0) <= 0) {
        return;
    }
    port->readable = port->readable || (event.events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR));
    if (!(event.events & EPOLLHUP)) {
        port->announced = TRUE;
        set_connected(port, TRUE);
    }
    if (alive(port)) {
        port->writable = port->connected && (port->writable || (event.events & EPOLLOUT));
    }
}

/*
 * The driver ends a read where a chunk of the host's ends, and readv() after the first that was shorter than asked for:
 * full ones come many at a time, all others as by read().
 */
static gssize read_port(Port *port)
{
    struct iovec chunks[CHUNKS_PER_READ];

    if (!port->virtio) {
        return read(port->fd, port->in, sizeof(port->in));
    }
    for (guint i = 0; i < CHUNKS_PER_READ; i++) {
        chunks[i] = (struct iovec){ port->in + i * PORT_FILL_MIN, PORT_FILL_MIN };
    }
    return readv(port->fd, chunks, CHUNKS_PER_READ);
}

static void give_output(Port *port);

static void take_input(Port *port)
{
    gboolean any = FALSE, ended = FALSE;
    int error_number = 0;

    for (guint i = 0; i < READS_PER_TURN && port->readable && !port->paused; i++) {
        gssize size = read_port(port);

        if (size <= 0) {
            error_number = size < 0 ? errno : 0;
            ended = error_number != EAGAIN && error_number != EINTR;
            port->readable = error_number == EINTR;
            continue;
        }
        any = TRUE;
        /* A single small message, as a motion is: poll() tells of the next one. */
        port->readable = !port->direct || (gsize)size >= SMALL_READ;
        set_connected(port, TRUE);
        if (alive(port)) {
            port->events.data(port->in, (gsize)size, port->user);
        }
        if (!alive(port)) {
            return;
        }
    }
    if (any) {
        port->events.drained(port->user);
    }
    if (!ended || !alive(port)) {
        return;
    }
    if (port->virtio && error_number == 0) {
        /* Else no end, but a connection whose data were faster than the word of it. */
        if (port->announced) {
            set_connected(port, FALSE);
        }
        return;
    }
    /* Who has said all it had to say may still wait for the answer. */
    give_output(port);
    if (alive(port)) {
        end(port, error_number);
    }
}

/* Let the owner fill the empty output buffer. */
static void fill(Port *port)
{
    while (port->filling && sizeof(port->out) - port->out_size >= PORT_FILL_MIN) {
        gsize size = port->events.fill(port->out + port->out_size, sizeof(port->out) - port->out_size, port->user);

        if (!alive(port)) {
            return;
        }
        port->out_size += size;
        port->filling = size > 0;
    }
}

static void give_output(Port *port)
{
    while (port->writable) {
        if (port->out_at == port->out_size) {
            port->out_at = port->out_size = 0;
            fill(port);
            if (!alive(port) || port->out_size == 0) {
                return;
            }
        }

        const guint8 *at = port->out + port->out_at;
        gsize left = port->out_size - port->out_at;
        gssize size = port->is_socket ? send(port->fd, at, left, MSG_NOSIGNAL) : write(port->fd, at, left);

        if (size >= 0) {
            port->out_at += (gsize)size;
        } else if (errno == EAGAIN) {
            port->writable = FALSE;
        } else if (errno != EINTR) {
            end(port, errno);
            return;
        }
    }
}

/*
 * A connected port can be asked by the loop's own poll(), which spares two system calls for each thing that happens; the
 * epoll instance is needed where that would return at once, again and again.
 */
static void watch(Port *port)
{
    gboolean direct = port->connected && port->announced && !port->paused;
    GIOCondition wanted = direct && !port->writable ? G_IO_IN | G_IO_OUT : G_IO_IN;

    if (!port->tag || direct != port->direct) {
        if (port->tag) {
            g_source_remove_unix_fd(port->source, port->tag);
        }
        port->tag = g_source_add_unix_fd(port->source, direct ? port->fd : port->epoll, wanted);
    } else if (wanted != port->watched) {
        g_source_modify_unix_fd(port->source, port->tag, wanted);
    }
    port->direct = direct;
    port->watched = wanted;
}

static void take_condition(Port *port)
{
    GIOCondition ready = g_source_query_unix_fd(port->source, port->tag);

    port->readable = port->readable || (ready & (G_IO_IN | G_IO_HUP | G_IO_ERR)) != 0;
    port->writable = port->writable || (ready & G_IO_OUT) != 0;
}

/* What is known to be possible. */
static void act(Port *port)
{
    port->again = FALSE;
    if (alive(port)) {
        take_input(port);
    }
    if (alive(port)) {
        give_output(port);
    }
    if (alive(port)) {
        port->again = (port->readable && !port->paused) || (port->filling && port->writable);
        watch(port);
    }
}

/* A ready time of 0 would do as well, at the price of two or three system calls for each change. */
static gboolean prepare(GSource *source, int *timeout)
{
    *timeout = -1;
    return ((PortSource *)source)->port->again;
}

/* False if the owner has freed the port. */
static gboolean turn(Port *port, void (*look)(Port *port))
{
    gboolean freed;

    port->dispatching = TRUE;
    look(port);
    act(port);
    port->dispatching = FALSE;
    freed = port->freed;
    if (freed) {
        g_free(port);
    }
    return !freed;
}

static gboolean dispatch(GSource *source, GSourceFunc callback, gpointer user)
{
    Port *port = ((PortSource *)source)->port;

    (void)callback;
    (void)user;
    if (!port->dispatching) {
        turn(port, port->direct ? take_condition : take_events);
    }
    return G_SOURCE_CONTINUE;
}

static void is_readable(Port *port)
{
    port->readable = TRUE;
}

/* Take what a poll has found, if it is this port's input and nothing else. True if the loop need not know of it. */
static gboolean take_found(Port *port, GPollFD *fds, guint count)
{
    guint i = 0;

    while (i < count && fds[i].revents == 0) {
        i++;
    }
    if (i == count || fds[i].fd != port->fd || fds[i].revents != G_IO_IN || !port->direct || port->dispatching) {
        return FALSE;
    }
    fds[i].revents = 0;
    port->stay = FALSE;
    return turn(port, is_readable) && port->stay && !port->again && port->direct && port->writable;
}

gint port_poll(GPollFD *fds, guint count, gint timeout)
{
    gint ready;

    do {
        ready = g_poll(fds, count, timeout);
    } while (ready == 1 && timeout < 0 && polled && take_found(polled, fds, count));
    return ready;
}

void port_stay(Port *port)
{
    port->stay = TRUE;
}

static int connect_socket(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);

    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int error_number = errno;

        close(fd);
        errno = error_number;
        return -1;
    }
    return fd;
}

/* Bytes shall pass a pty unchanged. */
static void make_raw(int fd)
{
    struct termios terminal;

    if (tcgetattr(fd, &terminal) == 0) {
        cfmakeraw(&terminal);
        tcsetattr(fd, TCSANOW, &terminal);
    }
}

static gboolean open_device(Port *port)
{
    struct stat status;

    if (stat(port->path, &status) < 0) {
        return FALSE;
    }
    port->is_socket = S_ISSOCK(status.st_mode);
    port->fd = port->is_socket ? connect_socket(port->path)
                               : open(port->path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (port->fd < 0) {
        return FALSE;
    }
    /* Told by its number: a process that has given up ioctl() cannot ask whether it is a terminal. */
    if (S_ISCHR(status.st_mode) && major(status.st_rdev) >= PTY_MAJOR_FIRST &&
        major(status.st_rdev) <= PTY_MAJOR_LAST) {
        make_raw(port->fd);
    } else {
        port->virtio = S_ISCHR(status.st_mode);
    }
    return TRUE;
}

static gboolean watch_edges(Port *port)
{
    struct epoll_event interest = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };

    port->epoll = epoll_create1(EPOLL_CLOEXEC);
    return port->epoll >= 0 && epoll_ctl(port->epoll, EPOLL_CTL_ADD, port->fd, &interest) == 0;
}

/* `fd` is a socket; -1: what `path` names. */
static Port *port_new(int fd, const char *path, const PortEvents *events, gpointer user, GError **error)
{
    static GSourceFuncs functions = { .prepare = prepare, .dispatch = dispatch };
    g_autoptr(Port) port = g_new0(Port, 1);

    port->fd = fd;
    port->is_socket = fd >= 0;
    port->epoll = -1;
    port->path = g_strdup(path);
    port->events = *events;
    port->user = user;
    if ((fd < 0 && !open_device(port)) || !watch_edges(port)) {
        int error_number = errno;

        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(error_number), "%s: %s", path,
                    error_number == EBUSY ? "in use by another program" : g_strerror(error_number));
        return NULL;
    }
    port->source = g_source_new(&functions, sizeof(PortSource));
    ((PortSource *)port->source)->port = port;
    g_source_set_name(port->source, path);
    /* Else GLib takes the descriptor out of its poll and wakes itself, with three system calls, for each dispatch. */
    g_source_set_can_recurse(port->source, TRUE);
    watch(port);
    g_source_attach(port->source, NULL);
    polled = port;
    return g_steal_pointer(&port);
}

Port *port_open(const char *path, const PortEvents *events, gpointer user, GError **error)
{
    return port_new(-1, path, events, user, error);
}

Port *port_adopt(int fd, const char *name, const PortEvents *events, gpointer user, GError **error)
{
    return port_new(fd, name, events, user, error);
}

void port_free(Port *port)
{
    if (!port) {
        return;
    }
    stop(port);
    g_clear_pointer(&port->path, g_free);
    if (port->dispatching) {
        port->freed = TRUE; /* dispatch() frees it */
    } else {
        g_free(port);
    }
}

void port_kick(Port *port)
{
    port->filling = TRUE;
    port->again = TRUE;
}

void port_pause(Port *port, gboolean paused)
{
    port->again = port->again || (port->paused && !paused);
    port->paused = paused;
}
