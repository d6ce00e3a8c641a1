/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The port on unix sockets and ptys. What only a virtio port does (reads of 0 bytes, unplugging) is tested in the VM.
 */
#define _GNU_SOURCE
#include "check.h"
#include "port.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    CALL_DATA = 1,
    CALL_DRAINED,
    CALL_FILL,
    CALL_CONNECTED,
    CALL_GONE
};

/* An owner that records all it is told. */
typedef struct Owner {
    Port *port;
    GByteArray *in;
    guint data, drained, fills, connected;
    GError *gone;
    gsize to_send, sent;
    int free_in; /* CALL_* in which the port is freed */
    gboolean stays;
} Owner;

static char *directory, *path;
static int listener;
static guint polls;

static int count_poll(GPollFD *fds, guint count, int timeout)
{
    polls++;
    return g_poll(fds, count, timeout);
}

static guint8 pattern(gsize at)
{
    return (guint8)(at * 31 + (at >> 8));
}

static void called(Owner *owner, int call)
{
    CHECK(owner->port != NULL); /* nothing is called after port_free() */
    if (owner->free_in == call) {
        g_clear_pointer(&owner->port, port_free);
    }
}

static void on_data(const guint8 *data, gsize size, gpointer user)
{
    Owner *owner = user;

    CHECK(size > 0 && size <= LIMIT_READ);
    CHECK_EQ(owner->connected, TRUE);
    owner->data++;
    g_byte_array_append(owner->in, data, (guint)size);
    called(owner, CALL_DATA);
}

static void on_drained(gpointer user)
{
    Owner *owner = user;

    owner->drained++;
    if (owner->stays) {
        port_stay(owner->port);
    }
    called(owner, CALL_DRAINED);
}

static gsize on_fill(guint8 *buffer, gsize size, gpointer user)
{
    Owner *owner = user;
    gsize now = MIN(MIN(owner->to_send - owner->sent, size), PORT_FILL_MIN);

    CHECK(size >= PORT_FILL_MIN);
    for (gsize i = 0; i < now; i++) {
        buffer[i] = pattern(owner->sent + i);
    }
    owner->fills++;
    owner->sent += now;
    called(owner, CALL_FILL);
    return now;
}

static void on_connected(gboolean connected, gpointer user)
{
    Owner *owner = user;

    CHECK_EQ(owner->connected, !connected);
    owner->connected = connected;
    called(owner, CALL_CONNECTED);
}

static void on_gone(const GError *error, gpointer user)
{
    Owner *owner = user;

    CHECK(owner->gone == NULL);
    owner->gone = g_error_copy(error);
    called(owner, CALL_GONE);
}

static const PortEvents events = {
    .data = on_data, .drained = on_drained, .fill = on_fill, .connected = on_connected, .gone = on_gone
};

/* Open the port and return the other end, not blocking. */
static int open_pair(Owner *owner)
{
    g_autoptr(GError) error = NULL;

    *owner = (Owner){ .in = g_byte_array_new() };
    owner->port = port_open(path, &events, owner, &error);
    CHECK(owner->port != NULL);
    return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static void close_pair(Owner *owner, int peer)
{
    port_free(owner->port);
    g_byte_array_unref(owner->in);
    g_clear_error(&owner->gone);
    close(peer);
}

/* One turn of the main loop, if there is something to do. */
static gboolean turn(void)
{
    return g_main_context_iteration(NULL, FALSE);
}

/* Until nothing is left to do. Ends, as nobody sends meanwhile. */
static void settle(void)
{
    while (turn()) {
    }
}

/* Write as much as fits; returns how much. */
static gsize stuff(int fd, gsize most)
{
    gsize written = 0;

    while (written < most) {
        guint8 bytes[4096];
        gsize now = MIN(sizeof(bytes), most - written);

        for (gsize i = 0; i < now; i++) {
            bytes[i] = pattern(written + i);
        }

        gssize size = write(fd, bytes, now);

        if (size < 0) {
            CHECK_EQ(errno, EAGAIN);
            break;
        }
        written += (gsize)size;
    }
    return written;
}

static void check_pattern(const guint8 *data, gsize from, gsize size)
{
    for (gsize i = 0; i < size; i++) {
        if (data[i] != pattern(from + i)) {
            CHECK_EQ(i, size);
            return;
        }
    }
    CHECK(size > 0);
}

static void test_data(void)
{
    Owner owner;
    int peer = open_pair(&owner);

    check_case("%s", "data");
    CHECK_EQ(owner.connected, FALSE);
    settle();
    CHECK_EQ(owner.connected, TRUE);
    CHECK_EQ(owner.data, 0);
    CHECK_EQ(owner.fills, 0);
    CHECK_EQ(write(peer, "abc", 3), 3);
    settle();
    CHECK_EQ(owner.data, 1);
    CHECK_EQ(owner.drained, 1);
    CHECK_EQ(owner.in->len, 3);
    CHECK_EQ(write(peer, "def", 3), 3);
    settle();
    CHECK_EQ(owner.drained, 2);
    CHECK_MEM(owner.in->data, "abcdef", 6);
    close_pair(&owner, peer);
}

static gboolean count_idle(gpointer user)
{
    (*(guint *)user)++;
    return G_SOURCE_CONTINUE;
}

/* A flood of input: output and other sources get their turns in between. */
static void test_flood(void)
{
    Owner owner;
    int peer = open_pair(&owner), large = 1 << 20;
    guint others = 0, source;
    gboolean answered = FALSE;
    gsize sent;

    check_case("%s", "flood");
    setsockopt(peer, SOL_SOCKET, SO_SNDBUF, &large, sizeof(large));
    settle();
    sent = stuff(peer, 1 << 20);
    CHECK(sent > 8 * LIMIT_READ);
    owner.to_send = 10;
    port_kick(owner.port);
    source = g_timeout_add(0, count_idle, &others);
    for (guint turns = 1; owner.in->len < sent; turns++) {
        char byte[16];

        turn();
        CHECK(owner.in->len <= turns * 4 * LIMIT_READ);
        CHECK(owner.drained <= turns);
        CHECK(owner.drained > 0 || owner.in->len == 0);
        if (owner.drained == 1 && !answered) {
            CHECK_EQ(read(peer, byte, sizeof(byte)), 10);
            CHECK(owner.in->len < sent);
            answered = TRUE;
        }
        CHECK(turns < 1000);
        if (turns >= 1000) {
            break;
        }
    }
    CHECK(answered);
    CHECK(others >= 3);
    check_pattern(owner.in->data, 0, sent);
    g_source_remove(source);
    close_pair(&owner, peer);
}

static void test_pause(void)
{
    Owner owner;
    int peer = open_pair(&owner);
    gsize sent, more;

    check_case("%s", "pause");
    settle();
    port_pause(owner.port, TRUE);
    sent = stuff(peer, 64 << 20);
    CHECK(sent < 64 << 20); /* the sender feels it */
    settle();
    CHECK_EQ(owner.data, 0);
    port_pause(owner.port, FALSE);
    settle();
    CHECK_EQ(owner.in->len, sent);
    check_pattern(owner.in->data, 0, sent);
    /* Output goes on meanwhile, and a pause in the middle of a read takes effect at once. */
    port_pause(owner.port, TRUE);
    owner.to_send = 5000;
    port_kick(owner.port);
    more = stuff(peer, 1000);
    settle();
    CHECK_EQ(owner.sent, 5000);
    CHECK_EQ(owner.in->len, sent);
    /* Nothing is lost when the sender goes while we pause. */
    shutdown(peer, SHUT_RDWR);
    settle();
    CHECK(owner.gone == NULL);
    port_pause(owner.port, FALSE);
    settle();
    CHECK_EQ(owner.in->len, sent + more);
    CHECK(g_error_matches(owner.gone, G_IO_ERROR, G_IO_ERROR_CLOSED));
    close_pair(&owner, peer);
}

static void test_output(void)
{
    static guint8 bytes[4 << 20];
    Owner owner;
    int peer = open_pair(&owner);
    gsize got = 0;

    check_case("%s", "output");
    owner.to_send = sizeof(bytes);
    port_kick(owner.port);
    settle();
    CHECK(owner.sent > PORT_FILL_MIN && owner.sent < sizeof(bytes)); /* nobody reads: it stops asking */
    guint fills = owner.fills;

    settle();
    CHECK_EQ(owner.fills, fills);
    while (got < sizeof(bytes)) {
        gssize size = read(peer, bytes + got, MIN(sizeof(bytes) - got, 30000));

        CHECK(size > 0);
        if (size <= 0) {
            break;
        }
        got += (gsize)size;
        settle();
    }
    CHECK_EQ(got, sizeof(bytes));
    check_pattern(bytes, 0, got);
    fills = owner.fills;
    settle();
    CHECK_EQ(owner.fills, fills); /* answered 0, so it is not asked again */
    owner.to_send += 1;
    port_kick(owner.port);
    settle();
    CHECK_EQ(read(peer, bytes, sizeof(bytes)), 1);
    close_pair(&owner, peer);
}

static void test_end(void)
{
    Owner owner;
    int peer = open_pair(&owner);

    check_case("%s", "end");
    settle();
    CHECK_EQ(write(peer, "last", 4), 4);
    close(peer);
    settle();
    CHECK_EQ(owner.in->len, 4);
    CHECK_EQ(owner.drained, 1);
    CHECK(g_error_matches(owner.gone, G_IO_ERROR, G_IO_ERROR_CLOSED));
    CHECK(owner.gone && strstr(owner.gone->message, path));
    port_kick(owner.port); /* dead, but still there */
    port_pause(owner.port, FALSE);
    settle();
    close_pair(&owner, -1);
}

/* The owner may free the port wherever it is called. */
static void test_free(void)
{
    for (int call = CALL_DATA; call <= CALL_GONE; call++) {
        Owner owner;
        int peer = open_pair(&owner);

        check_case("freed in call %d", call);
        owner.free_in = call;
        owner.to_send = 100;
        port_kick(owner.port);
        CHECK_EQ(write(peer, "abc", 3), 3);
        if (call == CALL_GONE) {
            close(peer);
        }
        settle();
        CHECK(owner.port == NULL);
        if (call != CALL_GONE) {
            char byte[4];
            struct pollfd closed = { .fd = peer, .events = POLLIN };

            CHECK_EQ(poll(&closed, 1, 0), 1);
            CHECK(read(peer, byte, sizeof(byte)) <= 0);
            CHECK(owner.gone == NULL);
        }
        close_pair(&owner, call == CALL_GONE ? -1 : peer);
    }
}

enum { SMALL = 8, MANY = 50 };

/* The other end of test_stay(): small messages that come one by one, then a wake-up of the loop. */
static gpointer trickle(gpointer data)
{
    int peer = GPOINTER_TO_INT(data);

    for (int i = 0; i < MANY; i++) {
        CHECK_EQ(write(peer, "message", SMALL), SMALL);
        g_usleep(2000);
    }
    g_main_context_wakeup(NULL);
    return NULL;
}

/* How many rounds of the main loop it takes to read them. */
static guint rounds(Owner *owner, int peer)
{
    GThread *thread = g_thread_new("peer", trickle, GINT_TO_POINTER(peer));
    guint count = 0;

    g_byte_array_set_size(owner->in, 0);
    owner->drained = 0;
    while (owner->in->len < MANY * SMALL) {
        g_main_context_iteration(NULL, TRUE);
        count++;
    }
    g_thread_join(thread);
    settle();
    return count;
}

/* The owner decides whether the loop has a turn after each input. */
static void test_stay(void)
{
    Owner owner;
    int peer = open_pair(&owner);
    guint count;

    check_case("%s", "stay");
    g_main_context_set_poll_func(NULL, port_poll);
    settle();
    owner.stays = TRUE;
    count = rounds(&owner, peer);
    CHECK(count <= 5); /* the first, the wake-up at the end, and the odd coincidence, but not one for each of MANY */
    owner.stays = FALSE;
    count = rounds(&owner, peer);
    CHECK(count >= owner.drained);

    check_case("%s", "stay, with something to send");
    owner.stays = TRUE;
    owner.to_send = owner.sent + 100;
    port_kick(owner.port);
    rounds(&owner, peer);
    CHECK_EQ(owner.sent, owner.to_send);

    check_case("%s", "stay, with a timer");
    guint timer = g_timeout_add_seconds(1000, G_SOURCE_FUNC(g_thread_join), NULL);
    count = rounds(&owner, peer);
    CHECK(count >= owner.drained);
    g_source_remove(timer);

    check_case("%s", "stay, freed and ended");
    owner.free_in = CALL_DATA;
    CHECK_EQ(write(peer, "abc", 3), 3);
    g_main_context_iteration(NULL, TRUE); /* only one that may wait stays */
    CHECK(owner.port == NULL);
    close_pair(&owner, peer);
    peer = open_pair(&owner);
    owner.stays = TRUE;
    settle();
    CHECK_EQ(write(peer, "abc", 3), 3);
    settle();
    CHECK_EQ(owner.in->len, 3);
    close(peer);
    settle();
    CHECK(g_error_matches(owner.gone, G_IO_ERROR, G_IO_ERROR_CLOSED));
    close_pair(&owner, -1);
    g_main_context_set_poll_func(NULL, count_poll);
}

/* Writing to a socket that was closed ends the port and not the program. */
static void test_write_to_closed(void)
{
    Owner owner;
    int peer = open_pair(&owner);

    check_case("%s", "write to closed");
    settle();
    port_pause(owner.port, TRUE);
    close(peer);
    owner.to_send = 100;
    port_kick(owner.port);
    settle();
    CHECK(owner.gone != NULL);
    close_pair(&owner, -1);
}

static gboolean quit(gpointer loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

/* Connected and quiet: the main loop sleeps. */
static void test_idle(void)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    Owner owner;
    int peer = open_pair(&owner);

    check_case("%s", "idle");
    CHECK_EQ(write(peer, "abc", 3), 3);
    owner.to_send = 3;
    port_kick(owner.port);
    settle();
    CHECK_EQ(owner.in->len, 3);
    polls = 0;
    g_timeout_add(300, quit, loop);
    g_main_loop_run(loop);
    CHECK(polls <= 2);
    /* Also with something to send that nobody takes, and while paused with something to read. */
    owner.to_send = 64 << 20;
    port_kick(owner.port);
    port_pause(owner.port, TRUE);
    CHECK_EQ(write(peer, "abc", 3), 3);
    settle();
    polls = 0;
    g_timeout_add(300, quit, loop);
    g_main_loop_run(loop);
    CHECK(polls <= 2);
    close_pair(&owner, peer);
}

static void test_pty(void)
{
    static const char odd[] = "\x03\x04\r\n\x11\x13\x1a\x7f\xff\0x";
    Owner owner = { .in = g_byte_array_new() };
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    char bytes[64] = { 0 };

    check_case("%s", "pty");
    CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    owner.port = port_open(ptsname(master), &events, &owner, NULL);
    CHECK(owner.port != NULL);
    settle();
    CHECK_EQ(owner.connected, TRUE);
    CHECK_EQ(write(master, odd, sizeof(odd)), sizeof(odd));
    owner.to_send = 40;
    port_kick(owner.port);
    for (int i = 0; i < 100 && owner.in->len < sizeof(odd); i++) { /* a pty hands on by a kernel thread */
        g_poll(NULL, 0, 10);
        settle();
    }
    CHECK_EQ(owner.in->len, sizeof(odd));
    CHECK_MEM(owner.in->data, odd, MIN(owner.in->len, sizeof(odd)));
    CHECK_EQ(read(master, bytes, sizeof(bytes)), 40);
    check_pattern((guint8 *)bytes, 0, 40);
    close(master);
    settle();
    CHECK(owner.gone != NULL);
    close_pair(&owner, -1);
}

static void test_errors(void)
{
    g_autofree char *file = g_build_filename(directory, "file", NULL);
    g_autofree char *missing = g_build_filename(directory, "missing", NULL);
    g_autofree char *dead = g_build_filename(directory, "dead", NULL);
    g_autofree char *name = g_strnfill(200, 'x'), *deep = g_build_filename(directory, name, NULL);
    const char *paths[] = { missing, file, directory, dead, deep };
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    Owner owner = { .in = NULL };

    g_strlcpy(address.sun_path, dead, sizeof(address.sun_path));
    CHECK_EQ(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd); /* nobody listens */
    CHECK(g_file_set_contents(file, "text", -1, NULL));
    for (gsize i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autoptr(GError) error = NULL;

        check_case("open %s", paths[i]);
        CHECK(port_open(paths[i], &events, &owner, &error) == NULL);
        CHECK(error && g_str_has_prefix(error->message, paths[i]));
    }
    port_free(NULL);
    g_unlink(file);
    g_unlink(dead);
}

int main(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    directory = g_dir_make_tmp("spice-pv-XXXXXX", NULL);
    path = g_build_filename(directory, "port", NULL);
    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_EQ(listen(listener, 4), 0);
    g_main_context_set_poll_func(NULL, count_poll);
    test_data();
    test_flood();
    test_pause();
    test_output();
    test_end();
    test_free();
    test_stay();
    test_write_to_closed();
    test_idle();
    test_pty();
    test_errors();
    close(listener);
    g_unlink(path);
    g_rmdir(directory);
    g_free(path);
    g_free(directory);
    return check_done();
}
