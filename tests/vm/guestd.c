/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs commands inside the guest for the tests, over a virtio-serial port.
 *
 * Both directions carry frames: id (u32), type (u8), length (u32), payload; little-endian. The id names a command and
 * is chosen by the host.
 *
 *   host → guest  'R'  run: user name, NUL, shell command. An empty user is root.
 *                 'I'  data for its standard input; an empty payload closes it
 *                 'K'  send the signal in the one payload byte to its process group
 *   guest → host  'O'  from its standard output
 *                 'E'  from its standard error
 *                 'X'  exit status (u32, 128 + signal when killed); the id is free again
 *
 * A command has ended when its process has: children that keep its output open are not waited for. A command that does
 * not read its input holds up the port, not the memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HEADER = 9, PAYLOAD_MAX = 65536, COMMANDS_MAX = 32 };
enum slot { SLOT_EXIT, SLOT_IN, SLOT_OUT, SLOT_ERR, SLOTS };

typedef struct Command {
    bool used;
    uint32_t id;
    pid_t pid;
    int fd[SLOTS];   /* pidfd and our ends of the three pipes; -1 when closed */
    bool stuck;      /* its input pipe is full and the frame at the head of the buffer waits for it */
} Command;

static Command commands[COMMANDS_MAX];
static int port = -1, epfd = -1;
static uint8_t in[HEADER + PAYLOAD_MAX];
static size_t in_len;
static size_t in_done; /* payload bytes of the frame at the head that its command has taken */

static void die(const char *what)
{
    fprintf(stderr, "guestd: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint32_t get32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = v >> (8 * i);
}

/* Blocks until the host takes it: poll() on a port without a host returns at once, for ever, and would spin. */
static void port_write(const uint8_t *data, size_t len)
{
    fcntl(port, F_SETFL, 0);
    while (len > 0) {
        ssize_t n = write(port, data, len);
        if (n < 0 && errno != EINTR)
            die("port");
        if (n > 0) {
            data += n;
            len -= n;
        }
    }
    fcntl(port, F_SETFL, O_NONBLOCK);
}

static void send_frame(uint32_t id, char type, const void *data, size_t len)
{
    static uint8_t out[HEADER + PAYLOAD_MAX];
    put32(out, id);
    out[4] = type;
    put32(out + 5, len);
    memcpy(out + HEADER, data, len);
    port_write(out, HEADER + len);
}

static void watch(Command *command, enum slot slot, uint32_t events)
{
    struct epoll_event ev = { .events = events, .data.u32 = (command - commands) * SLOTS + slot };
    if (epoll_ctl(epfd, EPOLL_CTL_ADD, command->fd[slot], &ev) < 0)
        die("epoll_ctl");
}

static void close_slot(Command *command, enum slot slot)
{
    if (command->fd[slot] >= 0)
        close(command->fd[slot]);
    command->fd[slot] = -1;
    if (slot == SLOT_IN)
        command->stuck = false;
}

/* What a shell of the user's session has; DISPLAY is the caller's business, a user may have two. */
static void become(const char *user)
{
    const struct passwd *pw = getpwnam(user);
    char text[128];
    if (!pw || initgroups(user, pw->pw_gid) < 0 || setgid(pw->pw_gid) < 0 || setuid(pw->pw_uid) < 0)
        die(user);
    snprintf(text, sizeof text, "/run/user/%u", pw->pw_uid);
    setenv("XDG_RUNTIME_DIR", text, 1);
    snprintf(text, sizeof text, "unix:path=/run/user/%u/bus", pw->pw_uid);
    setenv("DBUS_SESSION_BUS_ADDRESS", text, 1);
    setenv("HOME", pw->pw_dir, 1);
    setenv("USER", user, 1);
    setenv("LOGNAME", user, 1);
}

static void run_child(const char *user, const char *script, const int ends[3])
{
    for (int i = 0; i < 3; i++)
        dup2(ends[i], i);
    setsid();
    signal(SIGPIPE, SIG_DFL);
    setenv("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", 1);
    setenv("LANG", "C.UTF-8", 1);
    setenv("HOME", "/root", 1);
    if (*user)
        become(user);
    if (chdir(getenv("HOME")) < 0)
        die("chdir");
    execl("/bin/bash", "bash", "-c", script, (char *)NULL);
    die("bash");
}

static void run(uint32_t id, const char *user, const char *script)
{
    int pipes[3][2];
    Command *command = commands;
    while (command < commands + COMMANDS_MAX && command->used)
        command++;
    if (command == commands + COMMANDS_MAX) {
        errno = EAGAIN;
        die("too many commands");
    }
    for (int i = 0; i < 3; i++)
        if (pipe2(pipes[i], O_CLOEXEC) < 0)
            die("pipe");
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0)
        run_child(user, script, (int[]){ pipes[0][0], pipes[1][1], pipes[2][1] });
    *command = (Command){ true, id, pid, { pidfd_open(pid, 0), pipes[0][1], pipes[1][0], pipes[2][0] }, false };
    close(pipes[0][0]);
    close(pipes[1][1]);
    close(pipes[2][1]);
    for (enum slot slot = SLOT_IN; slot < SLOTS; slot++)
        fcntl(command->fd[slot], F_SETFL, O_NONBLOCK);
    watch(command, SLOT_EXIT, EPOLLIN);
    watch(command, SLOT_OUT, EPOLLIN);
    watch(command, SLOT_ERR, EPOLLIN);
}

static Command *find(uint32_t id)
{
    for (Command *c = commands; c < commands + COMMANDS_MAX; c++)
        if (c->used && c->id == id)
            return c;
    return NULL;
}

/* Returns false when the command's input is full; the rest of the frame is then offered again later. */
static bool feed(Command *command, const uint8_t *data, size_t len)
{
    if (len == 0)
        close_slot(command, SLOT_IN);
    while (command->fd[SLOT_IN] >= 0 && in_done < len) {
        ssize_t n = write(command->fd[SLOT_IN], data + in_done, len - in_done);
        if (n < 0 && errno == EAGAIN) {
            if (!command->stuck)
                watch(command, SLOT_IN, EPOLLOUT);
            command->stuck = true;
            return false;
        }
        if (n < 0)
            close_slot(command, SLOT_IN); /* it no longer reads: its own affair */
        else
            in_done += n;
    }
    in_done = 0;
    return true;
}

static bool frame(uint32_t id, char type, uint8_t *payload, size_t len)
{
    Command *command = find(id);
    if (type == 'R') {
        char *text = strndup((char *)payload, len);
        size_t user_len = strlen(text);
        char *script = user_len < len ? strndup((char *)payload + user_len + 1, len - user_len - 1) : strdup("");
        run(id, text, script);
        free(script);
        free(text);
    } else if (type == 'I' && command) {
        return feed(command, payload, len);
    } else if (type == 'K' && command && len == 1) {
        kill(-command->pid, payload[0]);
    }
    return true;
}

static void reset(void)
{
    for (Command *c = commands; c < commands + COMMANDS_MAX; c++) {
        if (!c->used)
            continue;
        kill(-c->pid, SIGKILL);
        waitpid(c->pid, NULL, 0);
        for (enum slot slot = 0; slot < SLOTS; slot++)
            close_slot(c, slot);
        c->used = false;
    }
    in_len = in_done = 0;
}

/* Edge-triggered: reads until the port is dry, or a command's full input says stop. */
static void port_ready(void)
{
    for (;;) {
        while (in_len >= HEADER && in_len - HEADER >= get32(in + 5)) {
            size_t len = get32(in + 5);
            if (!frame(get32(in), in[4], in + HEADER, len))
                return;
            in_len -= HEADER + len;
            memmove(in, in + HEADER + len, in_len);
        }
        if (in_len >= HEADER && get32(in + 5) > PAYLOAD_MAX) {
            errno = EMSGSIZE;
            die("frame");
        }
        ssize_t n = read(port, in + in_len, sizeof in - in_len);
        if (n > 0)
            in_len += n;
        else if (n == 0) { /* the host is not connected, or gone; the next edge tells when it is back */
            reset();
            return;
        } else if (errno == EAGAIN)
            return;
        else if (errno != EINTR)
            die("port");
    }
}

static bool output_ready(Command *command, enum slot slot)
{
    uint8_t data[PAYLOAD_MAX / 4];
    ssize_t n = command->fd[slot] < 0 ? 0 : read(command->fd[slot], data, sizeof data);
    if (n > 0)
        send_frame(command->id, slot == SLOT_OUT ? 'O' : 'E', data, n);
    else if (n == 0)
        close_slot(command, slot);
    return n > 0;
}

static void ended(Command *command)
{
    int status;
    uint8_t payload[4];
    while (output_ready(command, SLOT_OUT) || output_ready(command, SLOT_ERR))
        ;
    waitpid(command->pid, &status, 0);
    put32(payload, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    send_frame(command->id, 'X', payload, sizeof payload);
    bool stuck = command->stuck;
    for (enum slot slot = 0; slot < SLOTS; slot++)
        close_slot(command, slot);
    command->used = false;
    if (stuck) {
        in_done = 0;
        port_ready();
    }
}

static void dispatch(uint32_t where)
{
    Command *command = &commands[where / SLOTS];
    enum slot slot = where % SLOTS;
    if (!command->used || command->fd[slot] < 0)
        return;
    switch (slot) {
    case SLOT_EXIT:
        ended(command);
        break;
    case SLOT_IN:
        epoll_ctl(epfd, EPOLL_CTL_DEL, command->fd[SLOT_IN], NULL);
        command->stuck = false;
        port_ready();
        break;
    case SLOT_OUT:
    case SLOT_ERR:
        output_ready(command, slot);
        break;
    case SLOTS:
        break;
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: guestd PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    epfd = epoll_create1(EPOLL_CLOEXEC);
    port = open(argv[1], O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (port < 0)
        die(argv[1]);
    struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.u32 = UINT32_MAX };
    if (epoll_ctl(epfd, EPOLL_CTL_ADD, port, &ev) < 0)
        die("epoll_ctl");
    for (;;) {
        struct epoll_event event;
        int n = epoll_wait(epfd, &event, 1, -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        if (n == 1 && event.data.u32 == UINT32_MAX)
            port_ready();
        else if (n == 1)
            dispatch(event.data.u32);
    }
}
