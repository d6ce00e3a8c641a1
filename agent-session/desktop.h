/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * desktop.h - which session of this user is served, and where its display is.
 *
 * The session is the user's active one on a seat, as logind says; without logind the environment names it. Its display
 * is looked for in what other processes of the user handed over (desktop_attach), our own environment, what logind and
 * the user's service manager know, and among the X servers that run inside of the session. Nothing is polled: it is
 * looked again when one of these changes or an X server's socket or authority file appears, and a few times in the
 * seconds after that, as servers and their access lists take a moment.
 *
 * A display is used only if root or this user runs its server: anybody could listen on a free display number.
 */
#ifndef DESKTOP_H
#define DESKTOP_H

#include "backends.h"

#include <gio/gio.h>

typedef struct Desktop Desktop;

/* Called from the main loop. */
typedef struct DesktopEvents {
    /* logind's id of the session to serve, NULL for none. */
    void (*session)(const char *session, gpointer user);
    /* Serve this desktop from now on; FALSE if it does not let us. With NULL stop serving the last one. */
    gboolean (*serve)(const BackendsPlace *place, gpointer user);
} DesktopEvents;

/* `system_bus` and `user_bus` may be NULL and must outlive the result. */
Desktop *desktop_new(GDBusConnection *system_bus, GDBusConnection *user_bus, const DesktopEvents *events,
                     gpointer user);
void desktop_free(Desktop *desktop);

/* What desktop_attach() takes, a{ss}, of this process. Floating. */
GVariant *desktop_environment(void);

/* A process of this user says where its session's display is: a{ss}, as in AgentSession1.Attach. */
void desktop_attach(Desktop *desktop, GVariant *environment);

/* The display served has gone. */
void desktop_lost(Desktop *desktop);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Desktop, desktop_free)

#endif
