/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The administrator's program, which has data bases and the like come to rest before a freeze and go on after it. */
#define _GNU_SOURCE /* memfd_create */
#include "asker.h"
#include "helperverbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOOK_PATH "/etc/qemu/fsfreeze-hook"
#define LOCK_PATH "/run/spice-agent-hook.lock"
#define FAILED "child process has failed to execute fsfreeze hook"

/* Of its output; the rest is not repeated. */
#define OUTPUT_MAX 1024

/* ": " and what it said, or nothing. */
static char *output_of(int fd)
{
    char text[OUTPUT_MAX];
    gssize size = pread(fd, text, sizeof(text), 0);
    g_autofree char *output = g_strstrip(g_strndup(text, (gsize)MAX(size, 0)));

    return output[0] != '\0' ? g_strconcat(": ", output, NULL) : g_strdup("");
}

static char *failure_of(int status, int fd)
{
    g_autofree char *output = output_of(fd);

    if (!WIFEXITED(status))
        return g_strconcat("child process has terminated abnormally", output, NULL);
    if (output[0] == '\0')
        return g_strdup_printf(FAILED ": exit status %d", WEXITSTATUS(status));
    return g_strconcat(FAILED, output, NULL);
}

/*
 * Run it to its end. Its output goes to memory, as there would be no end of a pipe that something in the background
 * keeps open, a client that holds a lock for the time, say.
 */
static char *run(const char *verb)
{
    const char *const argv[] = { HOOK_PATH, verb, NULL };
    g_autoptr(GError) error = NULL;
    GPid pid;
    int fd, status = 0;
    char *why = NULL;

    if (access(HOOK_PATH, F_OK) < 0 && errno == ENOENT)
        return NULL;
    fd = memfd_create("output", MFD_CLOEXEC);
    if (fd < 0)
        return g_strdup_printf(FAILED ": %s", g_strerror(errno));
    if (!g_spawn_async_with_fds(NULL, (char **)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, -1, fd, fd,
                                &error)) {
        why = g_strdup_printf(FAILED ": %s", error->message);
    } else {
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        if (status != 0)
            why = failure_of(status, fd);
    }
    close(fd);
    return why;
}

/*
 * NULL when there is no other freeze whose hook still runs, of a daemon that has ended meanwhile: that one is undone
 * when it comes to its end, and would undo ours with it. A thaw does not ask: it must not wait for a hook that hangs.
 * The lock is held to the end of the process, and goes by no descriptor to the program.
 */
static char *lock(void)
{
    int fd = open(LOCK_PATH, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        return NULL;
    return errno == EWOULDBLOCK ? g_strdup(FAILED ": that of an earlier freeze still runs")
                                : g_strdup_printf(FAILED ": " LOCK_PATH ": %s", g_strerror(errno));
}

char *hook_freeze(G_GNUC_UNUSED const char *const *words, G_GNUC_UNUSED GPtrArray *reply)
{
    char *why = lock();

    if (!why)
        why = run("freeze");
    if (why || !asker_has_left())
        return why;
    /* No file system was frozen after it, and nobody is left to say that it is over. */
    why = run("thaw");
    return why ? why : g_strdup(ASKER_HAS_LEFT);
}

char *hook_thaw(G_GNUC_UNUSED const char *const *words, G_GNUC_UNUSED GPtrArray *reply)
{
    return run("thaw");
}
