/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * service.h - org.spice_space.AgentSession1 on the session bus: status, policy, and a terminal's copy and paste.
 */
#ifndef SERVICE_H
#define SERVICE_H

#include <gio/gio.h>

#define SERVICE_NAME "org.spice_space.AgentSession1"
#define SERVICE_PATH "/org/spice_space/AgentSession1"

typedef struct Service Service;

typedef struct ServiceEvents {
    /* a{ss}; borrowed. */
    void (*attach)(GVariant *environment, gpointer user);
    /*
     * `fd` is the callee's; ends by returning `task`, which is the callee's too. Errors of G_IO_ERROR become those of
     * the interface: PERMISSION_DENIED is Refused, NOT_FOUND is Empty, TIMED_OUT is Timeout, INVALID_ARGUMENT is
     * InvalidArgs, BUSY is LimitsExceeded.
     */
    void (*copy)(guint8 selection, const char *mime, int fd, GTask *task, gpointer user);
    void (*paste)(guint8 selection, const char *mime, int fd, GTask *task, gpointer user);
} ServiceEvents;

/* `bus` may be NULL: every function then does nothing. It must outlive the result. */
Service *service_new(GDBusConnection *bus, const ServiceEvents *events, gpointer user);
void service_free(Service *service);

/* The value of a property, of the type in the interface; floating. Signalled when it differs. */
void service_set(Service *service, const char *property, GVariant *value);

/*
 * Emit Refused, at most ten times within five seconds: peers cause it. `what` is UTF-8; `why` may hold a path, which
 * need not be.
 */
void service_refused(Service *service, const char *what, const char *why);

/*
 * Hand our session's environment over to the daemon that is there already or, with `start_it`, can be started by the
 * bus. Blocks, for use before the main loop runs. Errors: nobody has the name, or the call failed.
 */
gboolean service_hand_over(GDBusConnection *bus, GVariant *environment, gboolean start_it, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Service, service_free)

#endif
