/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sandbox from inside: this program starts itself once for each profile, with a peer-to-peer D-Bus server for the
 * one that needs D-Bus.
 */
#define _GNU_SOURCE
#include "check.h"
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <gio/gunixfdlist.h>
#include <glib-unix.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <pwd.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK_EPERM(call) \
    do { \
        errno = 0; \
        CHECK((call) == -1); \
        CHECK_EQ(errno, EPERM); \
    } while (0)

static void check_common(int fd)
{
    char *const argv[] = { (char *)"true", NULL };
    char byte = 0;
    struct iovec local = { &byte, 1 }, remote = { &byte, 1 };
    int bytes;

    CHECK_EPERM(ioctl(fd, FIONREAD, &bytes));
    CHECK_EPERM(syscall(SYS_ioctl, fd, FIONREAD, &bytes));
    CHECK_EPERM(execv("/bin/true", argv));
    CHECK_EPERM(syscall(SYS_execveat, AT_FDCWD, "/bin/true", argv, NULL, 0));
    CHECK_EPERM(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0));
    CHECK_EPERM(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
    CHECK_EPERM(process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
    CHECK_EPERM(kill(getppid(), 0));
    CHECK_EPERM(socket(AF_INET, SOCK_STREAM, 0));
    CHECK_EPERM(socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT));
    CHECK_EPERM(setuid(0));
    CHECK_EPERM(syscall(SYS_bpf, 0, NULL, 0));
    CHECK_EPERM(syscall(SYS_io_uring_setup, 1, NULL));
    CHECK_EPERM(syscall(SYS_pidfd_open, getpid(), 0));
    CHECK_EPERM(syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0));
}


/* All of that but what needs rights works without the sandbox, or the checks above would show nothing. */
static void check_outside(int fd)
{
    int bytes;
    pid_t child = fork();

    if (child == 0) {
        execl("/bin/true", "true", NULL);
        _exit(1);
    }

    int status = -1;

    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_EQ(ioctl(fd, FIONREAD, &bytes), 0);
    CHECK_EQ(prctl(PR_GET_DUMPABLE), 1);
}

/* One line of /proc/self/status, which was opened before. */
static void check_status(int fd, const char *field, const char *expected)
{
    static char text[8192];

    CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);

    gssize size = read(fd, text, sizeof(text) - 1);

    CHECK(size > 0);
    text[size > 0 ? size : 0] = '\0';

    char *line = strstr(text, field);

    CHECK(line != NULL);
    if (line) {
        line += strlen(field);
        line[strcspn(line, "\n")] = '\0';
        CHECK_STR(line, expected);
    }
}

static void check_identity(int status, gboolean was_root)
{
    check_status(status, "\nCapInh:\t", "0000000000000000");
    check_status(status, "\nCapPrm:\t", "0000000000000000");
    check_status(status, "\nCapEff:\t", "0000000000000000");
    check_status(status, "\nCapAmb:\t", "0000000000000000");
    check_status(status, "\nNoNewPrivs:\t", "1");
    check_status(status, "\nSeccomp:\t", "2");
    if (was_root) {
        check_status(status, "\nCapBnd:\t", "0000000000000000");
    }
    CHECK(geteuid() != 0);
}

typedef struct Loop {
    GMainLoop *loop;
    int reader, writer, seen;
} Loop;

static gboolean write_byte(gpointer user)
{
    CHECK_EQ(write(((Loop *)user)->writer, "x", 1), 1);
    return G_SOURCE_REMOVE;
}

static gboolean read_byte(int fd, GIOCondition condition, gpointer user)
{
    Loop *loop = user;
    char byte;

    (void)condition;
    loop->seen++;
    CHECK_EQ(read(fd, &byte, 1), 1);
    g_main_loop_quit(loop->loop);
    return G_SOURCE_REMOVE;
}

/* What a daemon goes on doing: timers and descriptors on its main loop, memory. */
static void check_loop(Loop *loop)
{
    g_timeout_add(1, write_byte, loop);
    g_unix_fd_add(loop->reader, G_IO_IN, read_byte, loop);
    g_main_loop_run(loop->loop);
    CHECK_EQ(loop->seen, 1);

    g_autofree char *memory = g_malloc0(64 << 20);

    CHECK(memory != NULL);
}

typedef struct Thread {
    int begun[2], go[2];
} Thread;

static gpointer try_ioctl(gpointer user)
{
    Thread *thread = user;
    int bytes;
    char go;

    CHECK_EQ(write(thread->begun[1], "b", 1), 1);
    CHECK_EQ(read(thread->go[0], &go, 1), 1); /* written when the sandbox is there */
    CHECK_EPERM(ioctl(thread->go[0], FIONREAD, &bytes));
    return NULL;
}

static gpointer return_itself(gpointer user)
{
    return user;
}

/* Nobody but who asks for network interfaces. */
static void check_routing(gboolean allowed)
{
    struct ifaddrs *interfaces = NULL;

    errno = 0;
    CHECK_EQ(getifaddrs(&interfaces), allowed ? 0 : -1);
    CHECK_EQ(interfaces != NULL, allowed);
    CHECK(allowed || errno == EPERM);
    if (interfaces)
        freeifaddrs(interfaces);
}

static void check_system(const char *address)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;

    CHECK(g_file_get_contents("/proc/uptime", &text, NULL, NULL));
    CHECK(getpwnam("root") != NULL);
    CHECK(g_thread_join(g_thread_new("after", return_itself, &error)) == &error);

    g_autoptr(GDBusConnection) bus = g_dbus_connection_new_for_address_sync(
        address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, NULL, &error);

    CHECK(bus != NULL);
    if (!bus) {
        fprintf(stderr, "%s\n", error->message);
        return;
    }

    g_autoptr(GUnixFDList) sent = g_unix_fd_list_new(), got = NULL;

    CHECK_EQ(g_unix_fd_list_append(sent, STDERR_FILENO, NULL), 0);

    g_autoptr(GVariant) answer = g_dbus_connection_call_with_unix_fd_list_sync(
        bus, NULL, "/test", "test.Echo", "Echo", g_variant_new("(h)", 0), NULL, G_DBUS_CALL_FLAGS_NONE, 5000, sent,
        &got, NULL, &error);

    CHECK(answer != NULL);
    CHECK(got != NULL && g_unix_fd_list_get_length(got) == 1);
}

/* What spicevmc's child needs to find QEMU's monitor. */
static void check_connects(const char *path)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    CHECK(fd >= 0);
    g_strlcpy(name.sun_path, path, sizeof(name.sun_path));
    CHECK_EQ(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
    CHECK_EQ(send(fd, "x", 1, MSG_NOSIGNAL), 1);
    CHECK_EPERM(bind(fd, (struct sockaddr *)&name, sizeof(name)));
    CHECK_EPERM(listen(fd, 1));
    close(fd);
}

static void check_opens_nothing(void)
{
    CHECK_EPERM(open("/dev/null", O_RDONLY));
    CHECK(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);

    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(page != MAP_FAILED);
    CHECK_EPERM(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

/* Inside; `address` is that of the D-Bus server, or the path of a socket for the monitor profile. */
static int run_inside(SandboxProfile profile, const char *address)
{
    static const char *const names[] = { "pointer", "monitor", "system" };
    gboolean was_root = geteuid() == 0;
    int ends[2], status = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    g_autoptr(GError) error = NULL;

    g_assert_no_errno(status);
    g_assert_no_errno(pipe(ends));
    check_case("%s", names[profile]);
    check_outside(ends[0]);

    Loop loop = { .loop = g_main_loop_new(NULL, FALSE), .reader = ends[0], .writer = ends[1] };

    if (was_root) {
        CHECK(!sandbox_enter(profile, "no-such-user", &error));
        g_clear_error(&error);
    }

    /* A thread from before the sandbox, which the filter must hold too. */
    Thread shared;
    char byte;

    g_assert_no_errno(pipe(shared.begun));
    g_assert_no_errno(pipe(shared.go));

    GThread *thread = g_thread_new("before", try_ioctl, &shared);

    CHECK_EQ(read(shared.begun[0], &byte, 1), 1);
    CHECK(sandbox_enter(profile, was_root ? "nobody" : NULL, &error));
    if (error) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    check_common(ends[0]);
    check_routing(profile == SANDBOX_MANAGE);
    check_identity(status, was_root);
    check_loop(&loop);
    CHECK_EQ(write(shared.go[1], "g", 1), 1);
    g_thread_join(thread);
    switch (profile) {
    case SANDBOX_POINTER:
        CHECK_EPERM(socket(AF_UNIX, SOCK_STREAM, 0));
        check_opens_nothing();
        break;
    case SANDBOX_MONITOR:
        check_connects(address);
        check_opens_nothing();
        break;
    case SANDBOX_SYSTEM:
    case SANDBOX_MANAGE:
        check_system(address);
        break;
    }
    /* Let the parent look at us from outside. */
    CHECK_EQ(write(STDOUT_FILENO, "r", 1), 1);
    CHECK_EQ(read(STDIN_FILENO, &byte, 1), 1);
    return check_done();
}

static void echo(GDBusConnection *bus, const char *sender, const char *path, const char *interface, const char *method,
                 GVariant *parameters, GDBusMethodInvocation *invocation, gpointer user)
{
    (void)bus, (void)sender, (void)path, (void)interface, (void)method, (void)user;
    g_dbus_method_invocation_return_value_with_unix_fd_list(
        invocation, parameters, g_dbus_message_get_unix_fd_list(g_dbus_method_invocation_get_message(invocation)));
}

static gboolean accept_bus(GDBusServer *server, GDBusConnection *bus, gpointer info)
{
    static const GDBusInterfaceVTable table = { .method_call = echo };

    (void)server;
    g_object_ref(bus); /* for as long as this process runs */
    return g_dbus_connection_register_object(bus, "/test", info, &table, NULL, NULL, NULL) != 0;
}

static gboolean allow_anyone(GDBusAuthObserver *observer, GIOStream *stream, GCredentials *credentials, gpointer user)
{
    (void)observer, (void)stream, (void)credentials, (void)user;
    return TRUE;
}

typedef struct Child {
    GMainLoop *loop;
    gboolean passed;
} Child;

static void child_ended(GObject *process, GAsyncResult *result, gpointer user)
{
    Child *child = user;

    child->passed = g_subprocess_wait_check_finish(G_SUBPROCESS(process), result, NULL);
    g_main_loop_quit(child->loop);
}

/* The child is there and inside: what belongs to a process that is not dumpable belongs to root in /proc. */
static void child_ready(GObject *output, GAsyncResult *result, gpointer user)
{
    GSubprocess *process = user;
    g_autofree char *path = g_strdup_printf("/proc/%s/status", g_subprocess_get_identifier(process));
    g_autoptr(GBytes) ready = g_input_stream_read_bytes_finish(G_INPUT_STREAM(output), result, NULL);
    struct stat info;

    if (ready && g_bytes_get_size(ready) == 1) {
        CHECK_EQ(stat(path, &info), 0);
        CHECK_EQ(info.st_uid, 0);
        CHECK_EQ(g_output_stream_write(g_subprocess_get_stdin_pipe(process), "g", 1, NULL, NULL), 1);
    }
}

static gboolean run_child(const char *program, SandboxProfile profile, const char *address)
{
    const char digit[] = { (char)('0' + profile), '\0' };
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    Child child = { .loop = loop };
    const GSubprocessFlags flags = G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE;
    g_autoptr(GSubprocess) process = g_subprocess_new(flags, NULL, program, "--inside", digit, address, NULL);
    GInputStream *output = g_subprocess_get_stdout_pipe(process);

    g_assert_nonnull(process);
    g_input_stream_read_bytes_async(output, 1, G_PRIORITY_DEFAULT, NULL, child_ready, process);
    g_subprocess_wait_check_async(process, NULL, child_ended, &child);
    g_main_loop_run(loop);
    return child.passed;
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        /* A leak check at exit would need what the sandbox forbids. */
        _exit(run_inside((SandboxProfile)(argv[2][0] - '0'), argv[3]));
    }

    g_autoptr(GError) error = NULL;
    g_autoptr(GDBusNodeInfo) node = g_dbus_node_info_new_for_xml(
        "<node><interface name='test.Echo'><method name='Echo'><arg type='h' direction='in'/>"
        "<arg type='h' direction='out'/></method></interface></node>", NULL);
    g_autoptr(GDBusAuthObserver) observer = g_dbus_auth_observer_new();
    g_autofree char *guid = g_dbus_generate_guid();
    g_autoptr(GDBusServer) server = g_dbus_server_new_sync("unix:tmpdir=/tmp", G_DBUS_SERVER_FLAGS_NONE, guid, observer,
                                                           NULL, &error);

    g_assert_no_error(error);
    g_signal_connect(observer, "authorize-authenticated-peer", G_CALLBACK(allow_anyone), NULL);
    g_signal_connect(server, "new-connection", G_CALLBACK(accept_bus), node->interfaces[0]);
    g_dbus_server_start(server);

    g_autofree char *socket_path = g_strdup_printf("/tmp/spice-pv-sandbox-%d", getpid());
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(name.sun_path, socket_path, sizeof(name.sun_path));
    g_assert_no_errno(bind(listener, (struct sockaddr *)&name, sizeof(name)));
    g_assert_no_errno(chmod(socket_path, 0777)); /* the child may be another user */
    g_assert_no_errno(listen(listener, 1));
    CHECK(run_child(argv[0], SANDBOX_POINTER, NULL));
    CHECK(run_child(argv[0], SANDBOX_MONITOR, socket_path));
    CHECK(run_child(argv[0], SANDBOX_SYSTEM, g_dbus_server_get_client_address(server)));
    CHECK(run_child(argv[0], SANDBOX_MANAGE, g_dbus_server_get_client_address(server)));
    unlink(socket_path);
    g_dbus_server_stop(server);
    return check_done();
}
