/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * logins.h - this user's sessions as logind knows them.
 *
 * They are read again whenever one of them begins, ends or changes. What the callers get is always one whole reading.
 */
#ifndef LOGINS_H
#define LOGINS_H

#include <gio/gio.h>

typedef struct Login {
    char *id, *type, *display; /* display: "" for none */
    gboolean active;
    gboolean seated; /* it has a seat; one by ssh has none */
} Login;

typedef struct Logins Logins;

/* `bus` may be NULL, else it must outlive the result. `changed` runs from the main loop, first when all is known. */
Logins *logins_new(GDBusConnection *bus, void (*changed)(gpointer user), gpointer user);
void logins_free(Logins *logins);

/* logind does not answer, or there is no bus to ask it on. */
gboolean logins_missing(const Logins *logins);

/* FALSE while nothing is known yet. */
gboolean logins_known(const Logins *logins);

/* Borrowed until the next changed(); at(): NULL after the last one; find(): NULL for one that is not there. */
const Login *logins_at(const Logins *logins, guint index);
const Login *logins_find(const Logins *logins, const char *id);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Logins, logins_free)

#endif
