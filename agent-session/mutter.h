/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mutter.h - one of the services that Mutter, which is GNOME's compositor, has on the session bus: waits for it, calls
 * it, and hears its signals.
 *
 * Nothing here blocks. A call that is not answered is given up after MUTTER_CALL_MS, but not before mutter_ready(): where a
 * login takes long the compositor has its services a minute before it answers. Whoever owns the name later is another
 * compositor, which has to be asked anew: a service that went away does not come back.
 */
#ifndef MUTTER_H
#define MUTTER_H

#include <gio/gio.h>
#include <gio/gunixfdlist.h>

#define MUTTER_CALL_MS 10000
/* A compositor has its socket before its names on the bus, and sets up its outputs between the two. */
#define MUTTER_START_MS 10000

typedef struct Mutter Mutter;

/* Called from the main loop, never from inside of a function below. mutter_free() is fine in all of them. */
typedef struct MutterEvents {
    /* The service is there. Once. */
    void (*found)(gpointer user);
    /* It is not, or not any more; `why` is for the user. Once, and nothing is called after it. */
    void (*lost)(const char *why, gpointer user);
    /* A signal from what mutter_listen() was told. `arguments` are borrowed, and of any type. */
    void (*heard)(const char *name, GVariant *arguments, gpointer user);
} MutterEvents;

/* Wait for a service, by its name on the bus. `events` must outlive the result. */
Mutter *mutter_new(GDBusConnection *bus, const char *name, const MutterEvents *events, gpointer user);

/* No call is answered any more. */
void mutter_free(Mutter *mutter);

/* The service has answered what it was asked in the beginning. */
void mutter_ready(Mutter *mutter);

/* Have the signals of one object's interface; once, after found(). What comes before an answer is heard before it. */
void mutter_listen(Mutter *mutter, const char *path, const char *interface);

/*
 * The end of a call: `reply` of the type that was asked for and the descriptors with it (borrowed, NULL if none), or
 * `error`, without the prefix of its kind.
 */
typedef void (*MutterDone)(GVariant *reply, GUnixFDList *descriptors, const GError *error, gpointer user);

/* Call a method, after found(). `arguments` may be floating; NULL: none. Without `done` no reply is asked for. */
void mutter_call(Mutter *mutter, const char *path, const char *interface, const char *method, GVariant *arguments,
                 const char *reply_type, MutterDone done, gpointer user);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Mutter, mutter_free)

#endif
