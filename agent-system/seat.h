/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * seat.h - the session that is active on seat0, as logind (or elogind) knows it.
 *
 * Fails closed: while logind does not answer, or says something that cannot be, no session is active. Object paths are
 * asked for, never built. All calls are asynchronous.
 */
#ifndef SEAT_H
#define SEAT_H

#include <gio/gio.h>

typedef enum SeatClass {
    SEAT_CLASS_OTHER, /* may do nothing: lock screens, background sessions, whatever comes later */
    SEAT_CLASS_USER,  /* "user", "user-early" */
    SEAT_CLASS_GREETER
} SeatClass;

/* Borrowed for the call it is given to. */
typedef struct SeatSession {
    const char *id;
    guint32 uid;
    SeatClass class;
    gboolean locked; /* LockedHint; several screen lockers never set it */
} SeatSession;

typedef struct Seat Seat;

/*
 * Follow seat0 on this bus, which must outlive the result. `changed` is called from the main loop with what is active from now
 * on, NULL for none; first when that is known, or when it is known that there is no logind.
 */
Seat *seat_new(GDBusConnection *bus, void (*changed)(const SeatSession *session, gpointer user), gpointer user);

/* NULL is fine. */
void seat_free(Seat *seat);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Seat, seat_free)

#endif
