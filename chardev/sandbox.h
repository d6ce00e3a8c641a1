/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sandbox.h - give up what a running daemon does not need, after everything it needs is open.
 *
 * The units restrict the processes from outside as well; this holds for whoever starts the program by hand too.
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <glib.h>

typedef enum SandboxProfile {
    /* read, write and wait on what is open; accept on an open unix socket. For spice-pvmouse. */
    SANDBOX_POINTER,
    /* the same and new unix sockets, to connect. For the child of spicevmc that has QEMU's monitor. */
    SANDBOX_MONITOR,
    /* the same and a D-Bus connection, opening and reading files, new unix sockets, threads. For spice-agent-system. */
    SANDBOX_SYSTEM,
    /* the same and asking the kernel for network interfaces. For spice-agent-manage. */
    SANDBOX_MANAGE
} SandboxProfile;

/*
 * Enter for good: all capabilities dropped (and user `user` with its groups taken when started as root and `user` is
 * not NULL), no new privileges, not dumpable, and a system call filter on all threads. What is not in the profile's
 * list answers EPERM, so that a library's unexpected call ends in an error and not in a dead pointer; a foreign
 * system call convention kills. In all profiles
 *
 * - every ioctl is refused, so that an open uinput descriptor can do no more than move and click;
 * - nothing can be executed, no process made, none traced or inspected;
 * - SANDBOX_POINTER opens nothing at all, SANDBOX_MONITOR no file, and neither gets executable memory;
 * - only unix sockets are made, if any, but that SANDBOX_MANAGE makes netlink sockets to the kernel's routing.
 *
 * Capabilities belong to a thread: call it before the first other thread when the process has any. Open what needs an
 * ioctl (terminals, DRM, netlink) before. Errors name the stage.
 */
gboolean sandbox_enter(SandboxProfile profile, const char *user, GError **error);

#endif
