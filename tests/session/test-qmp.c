/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* QEMU's monitor through the child process: a real QEMU without a guest, and monitors that are none. */
#define _GNU_SOURCE /* accept4 */
#include "check.h"
#include "pvmouse.h"
#include "qmp.h"
#include "qmptext.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_S 20 /* for anything */

/* It is forked with 2 MB. The sanitizer keeps what was freed. */
#ifdef __SANITIZE_ADDRESS__
#define CHILD_PEAK_KB 500000
#else
#define CHILD_PEAK_KB 10000
#endif

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"
#define DONE "{\"return\": {}}\r\n"
#define MICE "{\"return\": [{\"name\": \"QEMU Virtio Tablet\", \"absolute\": true}]}\n"
#define REFUSED "{\"error\": {\"class\": \"GenericError\", \"desc\": \"VM not running\"}}\r\n"
#define RELEASED " left- middle- right- side- extra-"

static char *directory;
static char *paths[3]; /* of channels */
static const QmpDisplay displays[] = { { "v0", 0 }, { "v0", 1 }, { "nothing", 0 } };

typedef struct Log {
    Qmp *qmp;
    gboolean connected, open[3], free_now;
    guint connections, disconnections, told[3], resets, tablets;
} Log;

static void on_connected(gboolean connected, gpointer user)
{
    Log *log = user;

    log->connected = connected;
    log->connections += connected;
    log->disconnections += !connected;
    CHECK_EQ(qmp_is_connected(log->qmp), connected);
    memset(log->open, 0, sizeof(log->open)); /* not known */
    if (log->free_now) {
        g_clear_pointer(&log->qmp, qmp_free);
    }
}

static void on_guest_open(guint channel, gboolean open, gpointer user)
{
    Log *log = user;

    CHECK(log->qmp != NULL && channel < 3);
    CHECK(log->connected);
    log->open[channel] = open;
    log->told[channel]++;
}

static void on_reset(gpointer user)
{
    ((Log *)user)->resets++;
}

static void on_tablet(gpointer user)
{
    ((Log *)user)->tablets++;
}

static Log start(const char *monitor, guint n_displays)
{
    g_autoptr(GError) error = NULL;
    Log log = { .qmp = qmp_new(monitor, displays, n_displays, (const char *const *)paths, 3, &error) };

    g_assert_no_error(error);
    return log;
}

static void listen_to(Log *log)
{
    static const QmpEvents events = { on_connected, on_guest_open, on_reset, on_tablet };

    qmp_start(log->qmp, &events, log);
}

static gboolean wake(gpointer user)
{
    (void)user;
    return G_SOURCE_CONTINUE;
}

/* Run the main loop until the condition holds. */
#define UNTIL(condition) \
    do { \
        gint64 until_end = g_get_monotonic_time() + LIMIT_S * G_USEC_PER_SEC; \
        guint until_wake = g_timeout_add(5, wake, NULL); \
        while (!(condition) && g_get_monotonic_time() < until_end) \
            g_main_context_iteration(NULL, TRUE); \
        g_source_remove(until_wake); \
        CHECK(condition); \
    } while (0)

static void run_for(guint ms)
{
    gint64 end = g_get_monotonic_time() + (gint64)ms * 1000;

    UNTIL(g_get_monotonic_time() >= end);
}

static char *in_directory(const char *name)
{
    return g_build_filename(directory, name, NULL);
}

/* The child of this process with the name that it gives itself. */
static pid_t child_pid(void)
{
    g_autofree char *name = g_strdup_printf("/proc/self/task/%d/children", getpid()), *text = NULL;

    g_file_get_contents(name, &text, NULL, NULL);

    g_auto(GStrv) pids = g_strsplit(text ? text : "", " ", -1);

    for (guint i = 0; pids[i] && *pids[i]; i++) {
        g_autofree char *file = g_strdup_printf("/proc/%s/comm", pids[i]), *comm = NULL;

        if (g_file_get_contents(file, &comm, NULL, NULL) && strcmp(comm, "spicevmc-qmp\n") == 0) {
            return (pid_t)atoi(pids[i]);
        }
    }
    return -1;
}

/* A number of a line of /proc/PID/status. */
static gulong status_of(pid_t pid, const char *field, int base)
{
    g_autofree char *name = g_strdup_printf("/proc/%d/status", pid), *text = NULL;
    const char *line;

    g_file_get_contents(name, &text, NULL, NULL);
    line = text ? strstr(text, field) : NULL;
    CHECK(line != NULL);
    return line ? strtoul(line + strlen(field), NULL, base) : 0;
}

/* --- a monitor that the test plays --- */

static int make_listener(const char *path)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(name.sun_path, path, sizeof(name.sun_path));
    unlink(path);
    g_assert_no_errno(bind(fd, (struct sockaddr *)&name, sizeof(name)));
    g_assert_no_errno(listen(fd, 4));
    return fd;
}

static gboolean can_read(int fd)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

    return poll(&poll_fd, 1, LIMIT_S * 1000) > 0;
}

static int take_connection(int listener)
{
    CHECK(can_read(listener));
    return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

static void say(int fd, const char *text)
{
    send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* NULL at the end. */
static char *next_line(int fd)
{
    g_autoptr(GString) line = g_string_new(NULL);
    char byte;

    while (can_read(fd) && read(fd, &byte, 1) == 1) {
        if (byte == '\n') {
            return g_strdup(line->str);
        }
        g_string_append_c(line, byte);
    }
    return NULL;
}

/* In short; NULL at the end. */
static char *next_command(int fd)
{
    g_autofree char *line = next_line(fd);

    return line ? qmptext(line) : NULL;
}

static void expect(int fd, const char *expected, const char *answer)
{
    g_autofree char *text = next_command(fd);

    CHECK_STR(text, expected);
    say(fd, answer);
}

static int serve(int listener, const char *channels)
{
    int fd = take_connection(listener);

    say(fd, GREETING);
    expect(fd, "qmp_capabilities", DONE);
    expect(fd, "query-mice", MICE);
    expect(fd, "query-chardev", channels);
    expect(fd, "v0/0" RELEASED, DONE);
    expect(fd, "v0/1" RELEASED, DONE);
    expect(fd, "any" RELEASED, REFUSED);
    return fd;
}

#define NO_CHANNELS "{\"return\": []}\n"

static void test_conversation(void)
{
    g_autofree char *path = in_directory("fake");
    g_autofree char *channels = g_strdup_printf("{\"return\": [{\"label\": \"a\", \"filename\": \"unix:%s,server=on\", "
                                                "\"frontend-open\": true}]}\n", paths[1]);
    Log log = start(path, 2);
    int listener;

    check_case("nobody is there yet");
    listen_to(&log);
    run_for(100);
    CHECK(!qmp_pointer(log.qmp, 0, TRUE, 0, 0, 0, 0, 0));
    CHECK_EQ(qmp_dropped(log.qmp), 1);
    listener = make_listener(path);

    check_case("connected when all is known and released");
    int fd = take_connection(listener);

    say(fd, GREETING);
    expect(fd, "qmp_capabilities", DONE);
    expect(fd, "query-mice", MICE);
    expect(fd, "query-chardev", channels);
    run_for(100);
    CHECK_EQ(log.connections, 0);
    expect(fd, "v0/0" RELEASED, DONE);
    expect(fd, "v0/1" RELEASED, DONE);
    expect(fd, "any" RELEASED, DONE);
    UNTIL(log.told[2] == 1);
    CHECK_EQ(log.connections, 1);
    CHECK(!log.open[0] && log.open[1] && !log.open[2]);
    CHECK_EQ(log.told[0] + log.told[1] + log.told[2], 3);

    check_case("verbs");
    CHECK(qmp_pointer(log.qmp, 1, TRUE, 65535, 0, PVMOUSE_BUTTON_LEFT, 0, 0));
    expect(fd, "v0/1 x=32767 y=0 left+", DONE);
    CHECK(qmp_motion(log.qmp, 1000000, -2, PVMOUSE_BUTTON_LEFT, -1, 0));
    expect(fd, "any dx=32767 dy=-2 wheel-down+ wheel-down-", DONE);
    CHECK(qmp_key(log.qmp, 0xc8, TRUE));
    expect(fd, "any key200+", DONE);
    CHECK(!qmp_pointer(log.qmp, 2, TRUE, 0, 0, 0, 0, 0));
    CHECK(qmp_pointer(log.qmp, 0, FALSE, 0, 0, 0, 1000, 0));
    for (guint i = 0; i < 127; i++) {
        expect(fd, i == 0 ? "v0/1 left- wheel-up+ wheel-up-" : "v0/1 wheel-up+ wheel-up-", DONE);
    }
    CHECK_EQ(qmp_dropped(log.qmp), 2);

    check_case("the guest closes and opens");
    say(fd, "{\"event\": \"VSERPORT_CHANGE\", \"data\": {\"open\": false, \"id\": \"x\"}}\n");
    expect(fd, "query-chardev", NO_CHANNELS);
    UNTIL(!log.open[1]);
    qmp_refresh(log.qmp);
    expect(fd, "query-mice", MICE);
    expect(fd, "query-chardev", channels);
    UNTIL(log.open[1]);
    CHECK_EQ(log.told[0] + log.told[1] + log.told[2], 5);
    say(fd, "{\"event\": \"RESET\"}\n");
    UNTIL(log.resets == 1);

    check_case("the tablet goes and comes");
    CHECK(qmp_has_tablet(log.qmp));
    CHECK_EQ(log.tablets, 0);
    say(fd, "{\"event\": \"DEVICE_DELETED\", \"data\": {\"path\": \"/machine/peripheral/t\"}}\n");
    expect(fd, "query-mice", NO_CHANNELS);
    UNTIL(log.tablets == 1);
    CHECK(!qmp_has_tablet(log.qmp));
    qmp_refresh(log.qmp);
    expect(fd, "query-mice", MICE);
    UNTIL(log.tablets == 2);
    CHECK(qmp_has_tablet(log.qmp));
    expect(fd, "query-chardev", channels);

    check_case("a monitor that does not answer");
    for (guint i = 0; i < 2 * LIMIT_POINTER_EDGES; i++) {
        qmp_pointer(log.qmp, 0, TRUE, 0, 0, i & 1 ? 0 : PVMOUSE_BUTTON_LEFT, 0, 0);
    }
    UNTIL(qmp_dropped(log.qmp) > 2);
    CHECK(log.connected);

    check_case("gone");
    close(fd);
    UNTIL(!log.connected);
    CHECK_EQ(log.told[0] + log.told[1] + log.told[2], 5);
    CHECK(!qmp_has_tablet(log.qmp));
    CHECK_EQ(log.tablets, 2);

    check_case("another monitor");
    fd = serve(listener, NO_CHANNELS);
    expect(fd, "any key200-", DONE); /* down over the one before */
    UNTIL(log.connected && log.told[1] == 4);
    CHECK(!log.open[1]);
    CHECK_EQ(log.connections, 2);

    check_case("the end releases what is down");
    CHECK(qmp_key(log.qmp, 30, TRUE));
    expect(fd, "any key30+", DONE);
    /* The end waits for the child, and the child for us. */
    pid_t other = fork();

    if (other == 0) {
        static const char *const commands[] = { "v0/0" RELEASED, "v0/1" RELEASED, "any" RELEASED, "any key30-" };

        for (guint i = 0; i < G_N_ELEMENTS(commands); i++) {
            expect(fd, commands[i], DONE);
        }

        g_autofree char *text = next_command(fd);

        CHECK(text == NULL);
        _exit(check_done());
    }
    close(fd);

    gint64 begun = g_get_monotonic_time();
    int status;

    qmp_free(log.qmp);
    CHECK(g_get_monotonic_time() - begun < 900000);
    CHECK_EQ(waitpid(other, &status, 0), other);
    CHECK_EQ(status, 0);
    close(listener);
}

static void test_freed_inside(void)
{
    g_autofree char *path = in_directory("fake");
    int listener = make_listener(path);
    Log log = start(path, 2);

    check_case("freed in a callback");
    log.free_now = TRUE;
    listen_to(&log);

    int fd = serve(listener, NO_CHANNELS);

    UNTIL(log.qmp == NULL);
    CHECK_EQ(log.told[0], 0);
    close(fd);
    close(listener);
}

/* Whoever uses the monitor is killed with a button down. */
static void test_killed(void)
{
    g_autofree char *path = in_directory("fake");
    int listener = make_listener(path);
    pid_t user = fork();

    check_case("spicevmc is killed");
    if (user == 0) {
        Log log = start(path, 2);

        close(listener);
        listen_to(&log);
        UNTIL(log.connected);
        qmp_pointer(log.qmp, 0, TRUE, 0, 0, PVMOUSE_BUTTON_LEFT, 0, 0);
        run_for(LIMIT_S * 1000);
        _exit(1);
    }

    int fd = serve(listener, NO_CHANNELS);

    expect(fd, "v0/0 x=0 y=0 left+", DONE);
    kill(user, SIGKILL);
    waitpid(user, NULL, 0);
    expect(fd, "v0/0" RELEASED, DONE);
    expect(fd, "v0/1" RELEASED, DONE);
    expect(fd, "any" RELEASED, DONE);

    g_autofree char *text = next_command(fd);

    CHECK(text == NULL);
    close(fd);
    close(listener);
}

static void test_child(void)
{
    g_autofree char *path = in_directory("fake");
    int listener = make_listener(path);
    Log log = start(path, 2);
    pid_t child = child_pid();
    g_autofree char *fds_name = g_strdup_printf("/proc/%d/fd", child);
    g_autoptr(GDir) fds = g_dir_open(fds_name, 0, NULL);
    guint count = 0;

    check_case("the child's rights");
    CHECK(child > 0);
    CHECK_EQ(status_of(child, "\nSeccomp:\t", 10), 2);
    CHECK_EQ(status_of(child, "\nNoNewPrivs:\t", 10), 1);
    CHECK_EQ(status_of(child, "\nCapPrm:\t", 16), 0);
    CHECK_EQ(status_of(child, "\nCapEff:\t", 16), 0);
    listen_to(&log);

    int fd = serve(listener, NO_CHANNELS);

    UNTIL(log.connected);
    while (fds && g_dir_read_name(fds)) {
        count++;
    }
    CHECK(!fds || count == 5); /* standard ones, ours, QEMU's */

    check_case("signals meant for spicevmc");
    kill(child, SIGTERM);
    kill(child, SIGINT);
    kill(child, SIGHUP);
    CHECK(qmp_key(log.qmp, 1, TRUE));
    expect(fd, "any key1+", DONE);

    check_case("a child that does not run");
    kill(child, SIGSTOP);

    guint sent = 0;

    while (sent < 100000 && qmp_pointer(log.qmp, 0, TRUE, 0, 0, PVMOUSE_BUTTON_LEFT, 0, 0)) {
        sent++;
    }
    CHECK(sent > 100 && sent < 10000);
    CHECK(!qmp_key(log.qmp, 1, FALSE));
    CHECK(!qmp_key(log.qmp, 2, FALSE));
    CHECK(!qmp_key(log.qmp, 2, TRUE));
    CHECK(!qmp_pointer(log.qmp, 1, TRUE, 4, 4, PVMOUSE_BUTTON_LEFT, 5, 0));
    CHECK(!qmp_motion(log.qmp, 1, 1, 0, 5, 0));
    CHECK_EQ(qmp_dropped(log.qmp), 6);
    kill(child, SIGCONT);
    expect(fd, "v0/0 x=0 y=0 left+", "");
    run_for(500); /* all the rest has arrived */
    say(fd, DONE);
    expect(fd, "v0/1 x=2 y=2", DONE);
    expect(fd, "v0/0 left-", DONE);
    expect(fd, "any key1-", DONE);
    CHECK(qmp_key(log.qmp, 3, TRUE));
    expect(fd, "any key3+", DONE);

    check_case("what is owed is no older than what was sent");
    CHECK(qmp_pointer(log.qmp, 0, TRUE, 8, 8, PVMOUSE_BUTTON_LEFT, 0, 0));
    expect(fd, "v0/0 x=4 y=4 left+", DONE);
    kill(child, SIGSTOP);
    while (qmp_key(log.qmp, 4, TRUE)) {
    }
    CHECK(!qmp_pointer(log.qmp, 0, FALSE, 0, 0, 0, 0, 0));
    kill(child, SIGCONT);
    expect(fd, "any key4+", "");
    run_for(500);
    CHECK(qmp_has_tablet(log.qmp));

    g_autofree char *place = NULL; /* where the pointer is, as there were too many keys */

    do {
        say(fd, DONE);
        g_free(place);
        place = next_command(fd);
    } while (place && !strstr(place, " x="));
    CHECK_STR(place, "v0/0 x=4 y=4");
    say(fd, DONE);

    check_case("a question is owed, too");
    UNTIL(qmp_key(log.qmp, 5, FALSE));
    kill(child, SIGSTOP);
    while (qmp_key(log.qmp, 4, TRUE)) {
    }
    qmp_refresh(log.qmp);
    kill(child, SIGCONT);
    run_for(500);

    g_autofree char *question = NULL;

    do {
        g_free(question);
        question = next_command(fd);
        say(fd, g_str_equal(question ? question : "", "query-mice") ? MICE : DONE);
    } while (question && !g_str_equal(question, "query-chardev"));
    CHECK_STR(question, "query-chardev");

    check_case("the child is killed");
    kill(child, SIGKILL);
    UNTIL(!log.connected);
    CHECK(!qmp_has_tablet(log.qmp));
    CHECK(!qmp_pointer(log.qmp, 0, TRUE, 0, 0, 0, 0, 0));
    CHECK(!qmp_key(log.qmp, 1, FALSE));
    qmp_refresh(log.qmp);
    run_for(50);
    CHECK_EQ(log.disconnections, 1);
    qmp_free(log.qmp);
    close(fd);
    close(listener);
}

static void test_arguments(void)
{
    static const QmpDisplay bad = { "\xff", 0 };
    g_autofree char *path = g_strnfill(108, 'x');
    g_autoptr(GError) error = NULL;

    check_case("arguments");
    CHECK(!qmp_new(path, NULL, 0, NULL, 0, &error));
    CHECK(error != NULL);
    g_clear_error(&error);
    CHECK(!qmp_new("/x", &bad, 1, NULL, 0, &error));
    CHECK(error != NULL);
    g_clear_error(&error);
    CHECK(!qmp_new("/x", displays, 1, (const char *const *)paths, 33, &error));
    CHECK(error != NULL);
}

/* What a monitor may say that is none; NULL: a whole line of it, endlessly. */
static const struct {
    const char *name, *text, *endless;
} hostile[] = {
    { "silent", "", NULL },
    { "garbage", "\x16\x03\x01\x02", NULL },
    { "wrong greeting", "{\"return\": {}}\n", NULL },
    { "answers unasked", GREETING DONE DONE DONE DONE DONE DONE DONE DONE DONE DONE, NULL },
    { "endless line", GREETING, "          " },
    { "endless nesting", GREETING, "[[[[[[[[[[" },
    { "endless lists", GREETING "{\"return\": [", "[],{}," },
    { "endless events", GREETING DONE "{\"return\": []}\n",
      "{\"event\": \"VSERPORT_CHANGE\"}\n{\"event\": \"RESUME\"}\n" },
    { "endless resets", GREETING DONE "{\"return\": []}\n", "{\"event\": \"RESET\"}\n" },
};

static void test_hostile(void)
{
    g_autofree char *path = in_directory("fake");
    int listener = make_listener(path);
    Log log = start(path, 2);
    pid_t child = child_pid();

    listen_to(&log);
    for (gsize i = 0; i < G_N_ELEMENTS(hostile); i++) {
        int fd = take_connection(listener);
        gint64 end = g_get_monotonic_time() + 300000;
        struct timeval patience = { .tv_usec = 10000 };

        check_case("hostile: %s", hostile[i].name);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        say(fd, hostile[i].text);
        while (hostile[i].endless && g_get_monotonic_time() < end) {
            g_autoptr(GString) text = g_string_new(NULL);

            while (text->len < 30000) {
                g_string_append(text, hostile[i].endless);
            }
            say(fd, text->str);
            g_main_context_iteration(NULL, FALSE);
        }
        qmp_key(log.qmp, 1, TRUE);
        run_for(50);
        close(fd);
        UNTIL(!log.connected);
    }

    /* Closed at each byte of what a good one says; most of the time goes into waiting for the next attempt. */
    static const char talk[] = GREETING DONE NO_CHANNELS DONE DONE DONE;

    for (gsize size = 0; size < sizeof(talk); size += sizeof(talk) / 4) {
        int fd = take_connection(listener);

        check_case("closed after %zu bytes", size);
        send(fd, talk, size, MSG_NOSIGNAL);
        close(fd);
    }

    check_case("after hostile ones");

    int fd = serve(listener, NO_CHANNELS);

    UNTIL(log.connected);
    CHECK(qmp_key(log.qmp, 1, TRUE));
    expect(fd, "any key1+", DONE);
    CHECK(status_of(child, "\nVmHWM:", 10) < CHILD_PEAK_KB);
    close(fd);
    close(listener);
    qmp_free(log.qmp);
}

/* --- QEMU --- */

static GPid spawn(const char *const *argv)
{
    g_autoptr(GError) error = NULL;
    GPid pid = 0;

    g_spawn_async(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, &error);
    g_assert_no_error(error);
    return pid;
}

static GPid start_qemu(const char *monitor, const char *other)
{
    g_autofree char *qmp1 = g_strdup_printf("unix:%s,server=on,wait=off", monitor);
    g_autofree char *qmp2 = g_strdup_printf("unix:%s,server=on,wait=off", other);
    g_autofree char *a = g_strdup_printf("socket,id=a,path=%s,server=on,wait=off", paths[0]);
    g_autofree char *b = g_strdup_printf("socket,id=b,path=%s,reconnect=1", paths[1]);
    g_autofree char *c = g_strdup_printf("socket,id=c,path=%s,reconnect=1", paths[2]);
    /* A serial port is open as long as there is one; a virtio port only when the guest says so. */
    const char *const argv[] = { "qemu-system-x86_64", "-accel", "tcg", "-nodefaults", "-no-user-config", "-display",
        "none", "-qmp", qmp1, "-qmp", qmp2, "-device", "virtio-vga,id=v0,max_outputs=2", "-device",
        "virtio-tablet-pci,display=v0,head=0", "-device", "virtio-tablet-pci,display=v0,head=1", "-chardev", a,
        "-device", "isa-serial,chardev=a", "-chardev", b, "-device", "isa-serial,chardev=b", "-device",
        "virtio-serial-pci", "-chardev", c, "-device", "virtserialport,chardev=c,name=x.y.0,id=c", NULL };

    return spawn(argv);
}

static void end_qemu(GPid pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static int connect_to(const char *path)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(name.sun_path, path, sizeof(name.sun_path));
    g_assert_no_errno(connect(fd, (struct sockaddr *)&name, sizeof(name)));
    return fd;
}

static void wait_line(int fd, const char *part)
{
    g_autofree char *line = NULL;

    do {
        g_free(line);
        line = next_line(fd);
    } while (line && !strstr(line, part));
    CHECK(line != NULL);
}

static void test_qemu(void)
{
    g_autofree char *path = in_directory("qmp"), *other = in_directory("qmp2");
    int listener = make_listener(paths[1]);
    Log log = start(path, 3);
    GPid qemu;

    check_case("QEMU comes later");
    listen_to(&log);
    run_for(200);
    qemu = start_qemu(path, other);
    UNTIL(log.told[2] == 1);
    CHECK(log.connected);
    CHECK(log.open[0] && log.open[1] && !log.open[2]);

    check_case("with its channels connected");
    int channel_a = connect_to(paths[0]), channel_b = take_connection(listener);

    qmp_refresh(log.qmp);
    run_for(300);
    CHECK(log.open[0] && log.open[1] && !log.open[2]);
    CHECK_EQ(log.told[0] + log.told[1] + log.told[2], 3);

    check_case("100 events a second");
    for (guint i = 0; i < 200; i++) {
        CHECK(qmp_pointer(log.qmp, i / 100, TRUE, (guint16)(300 * i), 0, i & 1 ? 0 : PVMOUSE_BUTTON_LEFT, 0, 0));
        run_for(10);
    }
    CHECK(qmp_key(log.qmp, 0xdb, TRUE));
    CHECK(qmp_key(log.qmp, 0xdb, FALSE));
    CHECK(qmp_pointer(log.qmp, 0, FALSE, 0, 0, 0, -2, 0));
    CHECK(qmp_motion(log.qmp, 3, -3, PVMOUSE_BUTTON_RIGHT, 0, 0));
    CHECK(qmp_motion(log.qmp, 3, -3, 0, 1, -1));
    run_for(200);
    CHECK_EQ(qmp_dropped(log.qmp), 0);

    check_case("a machine that is paused");
    int second = connect_to(other);

    say(second, "{\"execute\": \"qmp_capabilities\"} {\"execute\": \"stop\"}\n");
    wait_line(second, "\"STOP\"");
    CHECK(qmp_key(log.qmp, 30, TRUE));
    UNTIL(qmp_dropped(log.qmp) == 1);
    say(second, "{\"execute\": \"cont\"}\n");
    wait_line(second, "\"RESUME\"");
    CHECK(qmp_key(log.qmp, 30, FALSE));
    run_for(200);
    CHECK_EQ(qmp_dropped(log.qmp), 1);

    check_case("a tablet that there is not");
    CHECK(qmp_pointer(log.qmp, 2, TRUE, 0, 0, 0, 0, 0));
    UNTIL(qmp_dropped(log.qmp) == 2);

    check_case("reset");
    say(second, "{\"execute\": \"system_reset\"}\n");
    UNTIL(log.resets == 1);

    check_case("QEMU is killed, another one comes");
    end_qemu(qemu);
    UNTIL(!log.connected);
    qemu = start_qemu(path, other);
    UNTIL(log.connections == 2 && log.open[0] && log.open[1]);
    CHECK(qmp_pointer(log.qmp, 1, TRUE, 0, 0, 0, 0, 0));

    check_case("we are restarted");
    qmp_free(log.qmp);
    log = start(path, 3);
    listen_to(&log);
    UNTIL(log.told[2] == 1);
    CHECK(log.connected && log.open[0]);

    check_case("QEMU ends by itself");
    close(second);
    second = connect_to(other);
    say(second, "{\"execute\": \"qmp_capabilities\"} {\"execute\": \"quit\"}\n");
    UNTIL(log.resets == 1 && !log.connected);
    waitpid(qemu, NULL, 0);
    qmp_free(log.qmp);
    close(second);
    close(channel_a);
    close(channel_b);
    close(listener);
}

static void test_qemu_tablet(void)
{
    g_autofree char *path = in_directory("qmp"), *other = in_directory("qmp2");
    g_autofree char *qmp1 = g_strdup_printf("unix:%s,server=on,wait=off", path);
    g_autofree char *qmp2 = g_strdup_printf("unix:%s,server=on,wait=off", other);
    const char *const argv[] = { "qemu-system-x86_64", "-accel", "tcg", "-nodefaults", "-no-user-config", "-display",
        "none", "-qmp", qmp1, "-qmp", qmp2, "-device", "qemu-xhci,id=x", NULL };
    Log log = start(path, 0);
    GPid qemu = spawn(argv);

    check_case("a machine without a tablet");
    listen_to(&log);
    UNTIL(log.connected);
    CHECK(!qmp_has_tablet(log.qmp));

    check_case("a tablet is plugged");
    int second = connect_to(other);

    say(second, "{\"execute\": \"qmp_capabilities\"} {\"execute\": \"device_add\", "
                "\"arguments\": {\"driver\": \"usb-tablet\", \"id\": \"t\", \"bus\": \"x.0\"}}\n");
    wait_line(second, "\"return\"");
    wait_line(second, "\"return\"");
    qmp_refresh(log.qmp);
    UNTIL(log.tablets == 1);
    CHECK(qmp_has_tablet(log.qmp));

    check_case("and unplugged");
    say(second, "{\"execute\": \"device_del\", \"arguments\": {\"id\": \"t\"}}\n");
    UNTIL(log.tablets == 2);
    CHECK(!qmp_has_tablet(log.qmp));
    qmp_free(log.qmp);
    close(second);
    end_qemu(qemu);
}

int main(void)
{
    g_autofree char *qemu = g_find_program_in_path("qemu-system-x86_64");

    signal(SIGPIPE, SIG_IGN);
    directory = g_dir_make_tmp("spice-pv-qmp-XXXXXX", NULL);
    for (guint i = 0; i < 3; i++) {
        g_autofree char *name = g_strdup_printf("channel-%u", i);

        paths[i] = in_directory(name);
    }
    test_arguments();
    test_conversation();
    test_freed_inside();
    test_killed();
    test_child();
    test_hostile();
    if (qemu) {
        test_qemu();
        test_qemu_tablet();
    } else {
        fprintf(stderr, "no QEMU: only the monitor that the test plays\n");
    }

    g_autoptr(GDir) files = g_dir_open(directory, 0, NULL);

    for (const char *file; (file = g_dir_read_name(files)) != NULL;) {
        g_autofree char *path = in_directory(file);

        unlink(path);
    }
    g_rmdir(directory);
    for (guint i = 0; i < 3; i++) {
        g_free(paths[i]);
    }
    g_free(directory);
    return check_done();
}
