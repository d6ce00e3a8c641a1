/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * places.h - where the desktop of a session may be, best first.
 *
 * Compositors are known by their sockets: wayland-N in the runtime directory, and what somebody names (hints, the service
 * manager's environment). The process that listens there must be this user's, and its control group tells which session
 * it is in. One that is in none, since the service manager started it (GNOME, KDE, UWSM) or its session has no seat (ssh,
 * with seatd), is taken where the session has none of its own. One that is shown inside of another comes last.
 *
 * X servers are root's or this user's: anybody could listen on a free display number. They are named by a hint, logind or
 * the service manager, or run inside of the session. An X display that is XWayland's is no desktop, and nobody connects
 * to it from here: that would start it.
 */
#ifndef PLACES_H
#define PLACES_H

#include "backends.h"
#include "logins.h"

typedef struct Places Places;

/* `logins` must outlive the result. */
Places *places_new(const Logins *logins);
void places_free(Places *places);

/*
 * What a process of this user says, a{ss} as in AgentSession1.Attach; of the last 16 that differ in the place. What is
 * said in a session without a seat is taken as said in none.
 */
void places_attach(Places *places, GVariant *environment);

/* The service manager's environment, "NAME=value" each, in place of what it was before. */
void places_manager(Places *places, const char *const *environment);

/* The session that was named last, NULL if none was: what there is to go by without logind. Borrowed. */
const char *places_session(const Places *places);

/* What may be the desktop of a session, by the type that logind has for it. */
gboolean places_compositor_wanted(const Places *places, const char *session);
gboolean places_x_wanted(const Places *places, const char *session);

/* Where X servers have their sockets. */
#define PLACES_X_SOCKETS "/tmp/.X11-unix"

/* Is an entry of the runtime or the home directory, that came or changed, one that desktops are found by? */
gboolean places_name_counts(const Places *places, const char *name);

/*
 * Offer the places of a session, best first, until one is taken, which `offer` says by TRUE; FALSE if none was. The place
 * is borrowed for the call. `made` is when a compositor's socket was, in ns, and another one for a compositor that was
 * started anew; `nested`: it is shown inside of another desktop.
 */
typedef gboolean (*PlacesOffer)(const BackendsPlace *place, gint64 made, gboolean nested, gpointer user);
gboolean places_search(const Places *places, const char *session, PlacesOffer offer, gpointer user);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Places, places_free)

#endif
