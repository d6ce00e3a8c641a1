/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * remote.h - methods of the system's services, called over the bus, and for each failure one sentence that says which
 * service it was and what can be done.
 */
#ifndef REMOTE_H
#define REMOTE_H

#include "bus.h"

/* What is called. All is borrowed until remote_call() returns. */
typedef struct Remote {
    const char *title; /* static: what people call the service */
    const char *name, *path, *interface, *method;
} Remote;

/*
 * One of `reply` and `error` is not NULL; both are borrowed. `missing`: there is no such object, or not any more, also
 * since the process with that unique name has ended.
 */
typedef void (*RemoteReady)(GVariant *reply, const char *error, gboolean missing, gpointer user);

/*
 * Call it; takes over floating `arguments`, NULL are none. The reply is of `type`, or of any when that is NULL. The
 * answer comes once, from the main loop and within REMOTE_TIMEOUT_MS after there is a connection (bus.h); never when
 * `cancellable` was cancelled before.
 */
#define REMOTE_TIMEOUT_MS 30000
void remote_call(Bus *bus, GCancellable *cancellable, const Remote *remote, GVariant *arguments, const char *type,
                 RemoteReady ready, gpointer user);

#endif
