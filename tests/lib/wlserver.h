/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * wlserver.h - a compositor without any screen, for tests of what real ones seldom do with selections: other versions
 * of data-control, seats that come and go, devices that end. Runs on the test's main loop and is for one client.
 *
 * It behaves as the real ones: a source is cancelled before what takes its place is announced, and who sets a selection
 * is told too.
 */
#ifndef WLSERVER_H
#define WLSERVER_H

#include <glib.h>
#include <wayland-server-core.h>

#define WLSERVER_SELECTIONS 2

typedef struct WlServer {
    char *path; /* of its socket */
    guint devices;   /* how many the client has taken */
    guint offers;    /* that the client has not destroyed */
    const char *bound; /* name of the manager's interface; NULL: not yet */
    gboolean hopeless; /* each device ends at once */
    struct wl_resource *source[WLSERVER_SELECTIONS]; /* of the client, while it owns the selection */
    guint set[WLSERVER_SELECTIONS];                  /* how often the client has set it */
    GPtrArray *names; /* of the client's last source */
    /* Private. */
    struct wl_display *display;
    guint loop;
    struct wl_resource *device;
    struct wl_resource *offer[WLSERVER_SELECTIONS];
    struct wl_interface interface[2];
    guint protocols;
} WlServer;

WlServer *wlserver_new(void);
void wlserver_free(WlServer *server);

/* Have a data-control protocol, by the name of its manager. At most two. */
void wlserver_add_protocol(WlServer *server, const char *interface, guint32 version);
struct wl_global *wlserver_add_seat(WlServer *server);
void wlserver_remove_seat(WlServer *server, struct wl_global *seat);

/* A program owns a selection with text, "program"; with `name` NULL nobody does. */
void wlserver_own(WlServer *server, guint selection, const char *name);

/* Introduce an offer that no selection will have. */
void wlserver_introduce(WlServer *server);

/* The device serves no more. */
void wlserver_finish(WlServer *server);

/* A program pastes what the client owns: the reading end of its pipe. */
int wlserver_paste(WlServer *server, guint selection, const char *name);

#endif
