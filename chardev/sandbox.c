/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE /* CLONE_THREAD */
#include "sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <gio/gio.h>
#include <linux/netlink.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(scmp_filter_ctx, seccomp_release, NULL)

/*
 * Only what works on open descriptors, memory, time and the process itself, as 64-bit architectures have it. libseccomp
 * leaves out what does not exist on one of them (poll on arm64), and we what an older libseccomp does not know.
 */
static const char *const calls_pointer[] = {
    /* descriptors */
    "read", "readv", "write", "close", "fcntl", "fstat", "lseek", "recvfrom", "sendto", "accept4", "getsockopt",
    /* waiting */
    "poll", "ppoll", "epoll_wait", "epoll_pwait", "epoll_pwait2", "futex",
    "clock_gettime", "clock_nanosleep", "gettimeofday", "nanosleep", "restart_syscall",
    /* memory; mmap and mprotect have rules of their own */
    "brk", "munmap", "mremap", "madvise",
    /* ourselves */
    "getpid", "gettid", "getuid", "geteuid", "getrandom", "sched_yield", "rseq", "set_robust_list", "membarrier",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "tgkill", "exit", "exit_group",
};

/* In addition: files, unix sockets with descriptors, threads (socket, connect and clone are allowed below). */
static const char *const calls_system[] = {
    /* files */
    "open", "openat", "openat2", "stat", "lstat", "newfstatat", "statx", "access", "faccessat", "faccessat2",
    "readlink", "readlinkat", "getdents64", "getcwd", "statfs", "fstatfs", "fadvise64", "pread64", "flock",
    "unlink", "unlinkat", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "ftruncate", "fsync", "fdatasync",
    "fchmod", "umask", "inotify_init1", "inotify_add_watch", "inotify_rm_watch", "memfd_create",
    /* descriptors */
    "dup", "dup2", "dup3", "pipe2", "close_range", "eventfd2", "epoll_create1", "epoll_ctl", "timerfd_create",
    "timerfd_settime", "timerfd_gettime", "signalfd4", "select", "pselect6",
    "writev", "shutdown", "socketpair", "bind", "listen", "accept", "getsockname", "getpeername",
    "setsockopt", "recvmsg", "recvmmsg", "sendmsg", "sendmmsg",
    /* time and threads */
    "clock_getres", "set_tid_address", "sched_getaffinity", "sched_getparam", "sched_getscheduler",
    "sched_get_priority_max", "sched_get_priority_min", "get_robust_list", "rt_sigtimedwait", "rt_sigsuspend",
    "arch_prctl",
    /* ourselves */
    "getppid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "getpgrp", "getrlimit", "getrusage",
    "sysinfo", "times", "uname", "prlimit64",
};

static gboolean fail(GError **error, const char *stage, int error_number)
{
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(error_number), "sandbox: %s: %s", stage,
                g_strerror(error_number));
    return FALSE;
}

/* Stage 1: user, groups and capabilities. */
static gboolean drop_privileges(const char *user, GError **error)
{
    if (capng_get_caps_process() != 0) {
        return fail(error, "capabilities", errno ? errno : EPERM);
    }

    /*
     * The bounding set can be cleared only with CAP_SETPCAP; who has not got it has nothing to gain by that set
     * either.
     */
    capng_select_t select = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) ? CAPNG_SELECT_ALL : CAPNG_SELECT_CAPS;

    if (capng_have_permitted_capabilities() == CAPNG_NONE) {
        return TRUE; /* also where the unit's own filter refuses capset() */
    }
    capng_clear(CAPNG_SELECT_ALL);
    if (user && geteuid() == 0) {
        errno = 0;

        const struct passwd *entry = getpwnam(user);

        if (!entry) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "sandbox: user: there is no user %s", user);
            return FALSE;
        }
        if (capng_change_id((int)entry->pw_uid, (int)entry->pw_gid, CAPNG_INIT_SUPP_GRP | CAPNG_CLEAR_BOUNDING) != 0) {
            return fail(error, "user", errno ? errno : EPERM);
        }
        select = CAPNG_SELECT_CAPS;
    }
    if (capng_apply(select) != 0) {
        return fail(error, "capabilities", errno ? errno : EPERM);
    }
    return TRUE;
}

static int allow(scmp_filter_ctx filter, const char *const *names, gsize count)
{
    for (gsize i = 0; i < count; i++) {
        int number = seccomp_syscall_resolve_name(names[i]);
        int result = number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);

        if (result < 0) {
            return result;
        }
    }
    return 0;
}

/* Memory for data; executable memory is for the profile that may load a name service module. */
static int allow_memory(scmp_filter_ctx filter, SandboxProfile profile)
{
    static const int calls[] = { SCMP_SYS(mmap), SCMP_SYS(mprotect) };

    for (gsize i = 0; i < G_N_ELEMENTS(calls); i++) {
        int result = profile >= SANDBOX_SYSTEM
                         ? seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0)
                         : seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 1,
                                            SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

        if (result < 0) {
            return result;
        }
    }
    return 0;
}

static int allow_unix_sockets(scmp_filter_ctx filter)
{
    int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));

    return result < 0 ? result : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(connect), 0);
}

static int allow_routing(scmp_filter_ctx filter)
{
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, SCMP_A0(SCMP_CMP_EQ, AF_NETLINK, 0),
                            SCMP_A2(SCMP_CMP_EQ, NETLINK_ROUTE, 0));
}

/* A thread but no process; clone3 hides its flags in memory and answers ENOSYS, so that the C library uses clone. */
static int allow_threads(scmp_filter_ctx filter)
{
    int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));

    if (result == 0) {
        result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    }
    return result;
}

/* Stage 3: the system call filter, on all threads. */
static gboolean load_filter(SandboxProfile profile, GError **error)
{
    g_auto(scmp_filter_ctx) filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));

    if (!filter) {
        return fail(error, "system call filter", ENOMEM);
    }

    int result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

    if (result == 0) {
        result = allow(filter, calls_pointer, G_N_ELEMENTS(calls_pointer));
    }
    if (result == 0) {
        result = allow_memory(filter, profile);
    }
    if (result == 0 && profile >= SANDBOX_SYSTEM) {
        result = allow(filter, calls_system, G_N_ELEMENTS(calls_system));
    }
    if (result == 0 && profile >= SANDBOX_SYSTEM) {
        result = allow_threads(filter);
    }
    if (result == 0 && profile != SANDBOX_POINTER) {
        result = allow_unix_sockets(filter);
    }
    if (result == 0 && profile == SANDBOX_MANAGE) {
        result = allow_routing(filter);
    }
    if (result == 0) {
        result = seccomp_load(filter);
    }
    return result == 0 || fail(error, "system call filter", -result);
}

gboolean sandbox_enter(SandboxProfile profile, const char *user, GError **error)
{
    if (!drop_privileges(user, error)) {
        return FALSE;
    }
    /* Stage 2, after the change of user, which may set the process dumpable again. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        return fail(error, "no new privileges", errno);
    }
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        return fail(error, "not dumpable", errno);
    }
    return load_filter(profile, error);
}
