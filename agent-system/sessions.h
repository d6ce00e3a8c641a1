/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sessions.h - org.spice_space.Agent1 on the system bus: who may call what, as its XML says.
 *
 * A caller is known by the uid that the bus has for it, and by nothing else. Calls that change something are for the uid of
 * the active session. What one uid can cost is bounded: calls waiting for the bus's answer about their sender, and the rate of
 * OpenSession.
 */
#ifndef SESSIONS_H
#define SESSIONS_H

#include "outputs.h"
#include "router.h"
#include "seat.h"

#define SESSIONS_NAME "org.spice_space.Agent1"
#define SESSIONS_PATH "/org/spice_space/Agent1"

/* OpenSession calls of one uid: so many at once, and one more each interval. A daemon that restarts needs one a time. */
#define SESSIONS_OPEN_BURST 10
#define SESSIONS_OPEN_INTERVAL_S 2

/* Calls of one sender, and of all beyond their first, whose uid has been asked for. */
#define SESSIONS_ASKING_SENDER 8
#define SESSIONS_ASKING 256

typedef struct Sessions Sessions;

/* Called from the main loop for callers that may. The object must not be freed inside. */
typedef struct SessionsEvents {
    /*
     * A connection for the active session: make it, in place of one that is there, and return the caller's ends, which are
     * closed after the reply.
     */
    gboolean (*open)(RouterSession session, int ret_peer[ROUTER_SOCKETS], GError **error, gpointer user);
    /* The layout of its outputs; false if it cannot be. */
    gboolean (*layout)(const OutputsEntry *entries, gsize count, gpointer user);
    /* The value of a property of the interface; never NULL. */
    GVariant *(*property)(const char *name, gpointer user);
} SessionsEvents;

/*
 * Offer the interface on `bus`, which must outlive the result, and ask for the name. `clipboard` and `files` are what the
 * configuration allows, for the info of OpenSession.
 */
Sessions *sessions_new(GDBusConnection *bus, gboolean clipboard, gboolean files, const SessionsEvents *events,
                       gpointer user, GError **error);
void sessions_free(Sessions *sessions);

/* The active session, NULL for none; calls are judged by it from now on. */
void sessions_set_active(Sessions *sessions, const SeatSession *session);

/* The properties ActiveSession (borrowed until the next sessions_set_active()) and ActiveUser. */
const char *sessions_active(const Sessions *sessions);
guint32 sessions_active_user(const Sessions *sessions);

/*
 * A property (its name lives for ever) may have changed: its value is signalled when the main loop is idle, if it then differs from the last one
 * signalled. So a peer that changes it without end costs one signal at a time.
 */
void sessions_changed(Sessions *sessions, const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sessions, sessions_free)

#endif
