/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * wayland.h - one connection to a Wayland compositor on the GLib main loop, and the list of its globals.
 *
 * A compositor that dies, or that finds a mistake in what we said, ends the connection, not the process: `closed` runs
 * from the main loop, and until wayland_free() requests that are still made go nowhere.
 */
#ifndef WAYLAND_H
#define WAYLAND_H

#include <glib.h>
#include <sys/types.h>
#include <wayland-client.h>

typedef struct Wayland Wayland;

/* Called from the main loop, once each; wayland_free() is fine in both, and in no listener. */
typedef struct WaylandEvents {
    /* The globals that the compositor has are known. */
    void (*ready)(gpointer user);
    /* The connection ended; `why` names the compositor's error if it gave one. Also instead of ready(). */
    void (*closed)(const char *why, gpointer user);
} WaylandEvents;

/*
 * Connect to the socket `path`. Does not block: a compositor that does not answer is waited for. Errors: nobody listens
 * there.
 */
Wayland *wayland_new(const char *path, const WaylandEvents *events, gpointer user, GError **error);
void wayland_free(Wayland *wayland);

/* Borrowed. Requests are flushed before the loop sleeps. */
struct wl_display *wayland_display(Wayland *wayland);

/* The version of a global by its interface's name; 0: there is none. */
guint32 wayland_version(const Wayland *wayland, const char *interface);

/* All interfaces that have a global, with versions: a{su}, floating. */
GVariant *wayland_globals(const Wayland *wayland);

/* Process that listens on the socket; 0 if it cannot be told. */
pid_t wayland_pid(const Wayland *wayland);

/* Name of the program that listens on the socket, as in /proc/PID/comm; "" if it cannot be told. To be freed. */
char *wayland_program(const Wayland *wayland);

/* Bind the first global of an interface, in at most `version`; NULL: there is none. The proxy is the caller's. */
gpointer wayland_bind(Wayland *wayland, const struct wl_interface *interface, guint32 version);

/*
 * For interfaces with several globals: told of each that is there or comes, in order, and of each that goes, by its
 * number. The first calls are from inside of wayland_watch(). At most 8 watches.
 */
typedef struct WaylandWatch {
    void (*appeared)(guint32 name, guint32 version, gpointer user);
    void (*vanished)(guint32 name, gpointer user);
} WaylandWatch;

void wayland_watch(Wayland *wayland, const char *interface, const WaylandWatch *watch, gpointer user);
void wayland_unwatch(Wayland *wayland, const WaylandWatch *watch, gpointer user);
gpointer wayland_bind_name(Wayland *wayland, guint32 name, const struct wl_interface *interface, guint32 version);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Wayland, wayland_free)

#endif
