/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backends.h - from the place of a desktop to what serves it: connects to its display servers, finds out what they
 * offer, and gives clipboard and displays the best backend each.
 */
#ifndef BACKENDS_H
#define BACKENDS_H

#include "clipboard.h"
#include "displays.h"

#include <gio/gio.h>

/* Where a desktop is. */
typedef struct BackendsPlace {
    const char *wayland; /* path of the compositor's socket; NULL: it is an X desktop */
    const char *display; /* ":0", of an X desktop */
    const char *xauthority; /* NULL: the default */
} BackendsPlace;

typedef struct Backends Backends;

typedef struct BackendsEvents {
    /* The backends are others than before. */
    void (*changed)(gpointer user);
    /* The desktop served has told what it offers. From the main loop; of an X server not at all. */
    void (*answered)(gpointer user);
    /* The desktop went away: backends_serve() with NULL has been done. */
    void (*lost)(gpointer user);
} BackendsEvents;

/* All must outlive the result; `session_bus` may be NULL. */
Backends *backends_new(Clipboard *clipboard, Displays *displays, GDBusConnection *session_bus,
                       const BackendsEvents *events, gpointer user);
void backends_free(Backends *backends);

/*
 * Serve this desktop from now on, and not the one before; NULL: none. FALSE if its display server cannot be reached:
 * then the one before is still served. What a compositor offers is known later, and told by answered().
 */
gboolean backends_serve(Backends *backends, const BackendsPlace *place);

/* For the clipboard's and the displays' peers: their backend failed. */
void backends_lost_clipboard(Backends *backends, const char *why);
void backends_lost_displays(Backends *backends, const char *why);

/* For the clipboard's peer: PRIMARY is served where an X server that runs already has it. */
void backends_no_primary(Backends *backends);

/*
 * What serves, for the user, to be freed: the backends' names, or "none: " and why. Displays are told apart by what is
 * done with them: changing them, and reading where they lie.
 */
char *backends_clipboard(const Backends *backends);
char *backends_displays(const Backends *backends, gboolean *ret_can_apply);
char *backends_layout(const Backends *backends);

/* The compositor and what it offers, as AgentSession1.Compositor: a{sv}, floating. */
GVariant *backends_compositor(const Backends *backends);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Backends, backends_free)

#endif
