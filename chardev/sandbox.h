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
    /* the same and a D-Bus connection, opening and reading files, new unix sockets, threads. For spice-agent-system. */
    SANDBOX_SYSTEM
} SandboxProfile;

/*
 * Enter for good: not dumpable, no new privileges, all capabilities dropped (and user `user` taken when started as root
 * and `user` is not NULL), and a system call filter on all threads under which every ioctl answers EPERM, so that an open
 * uinput descriptor can do no more than move and click, and nothing can be executed. Errors name the stage.
 */
gboolean sandbox_enter(SandboxProfile profile, const char *user, GError **error);

#endif
