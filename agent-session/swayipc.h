/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swayipc.h - has sway run commands, by its own IPC on the main loop: it takes a size that no mode has only this way.
 *
 * Only a socket on which the same process listens as on the Wayland socket is spoken to.
 */
#ifndef SWAYIPC_H
#define SWAYIPC_H

#include <glib.h>

typedef struct SwayIpc SwayIpc;

/* Of the compositor that serves the Wayland connection `wayland_fd`; NULL: it is not sway, or hides its socket. */
SwayIpc *swayipc_new(int wayland_fd);

/* Also ends what is under way, without done(). Fine from inside of done(). */
void swayipc_free(SwayIpc *ipc);

/*
 * Run commands, separated by ";". done() comes once, perhaps from inside of this call, unless swayipc_stop() is called
 * before; `why` not all could be done, valid until the next run, else NULL, which is only sway's word: it calls done
 * what it has not done. None may be under way.
 */
void swayipc_run(SwayIpc *ipc, const char *commands, void (*done)(const char *why, gpointer user), gpointer user);
void swayipc_stop(SwayIpc *ipc);

#endif
