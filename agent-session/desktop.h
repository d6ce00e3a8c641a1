/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * desktop.h - which session of this user is served, and which desktop of it.
 *
 * The session is the user's active one on a seat, as logind says; without logind the environment names it. Its desktop is
 * the first of places.h that lets itself be served. Nothing is polled: it is looked again when logind, a hint or a
 * directory that servers use says something new, and a few times in the seconds after that, as servers and their access
 * lists take a moment.
 *
 * What serves for want of a better desktop, which is one inside of another or one that does not answer, gives way when a
 * better one comes.
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
    /* As backends_serve(). */
    gboolean (*serve)(const BackendsPlace *place, gpointer user);
} DesktopEvents;

/* `system_bus` and `user_bus` may be NULL and must outlive the result. */
Desktop *desktop_new(GDBusConnection *system_bus, GDBusConnection *user_bus, const DesktopEvents *events,
                     gpointer user);
void desktop_free(Desktop *desktop);

/* What desktop_attach() takes, a{ss}, of this process. Floating. */
GVariant *desktop_environment(void);

/* A process of this user says where its session's desktop is: a{ss}, as in AgentSession1.Attach. */
void desktop_attach(Desktop *desktop, GVariant *environment);

/* Of the desktop served, as in backends.h. */
void desktop_answered(Desktop *desktop);
void desktop_lost(Desktop *desktop);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Desktop, desktop_free)

#endif
