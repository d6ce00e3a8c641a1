/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backends.h"

#include "wayland.h"
#include "x11.h"

struct Backends {
    Clipboard *clipboard;
    Displays *displays;
    GDBusConnection *session_bus;
    BackendsEvents events;
    gpointer user;
    X11 *x11;
    Wayland *wayland;
    char *no_clipboard, *no_displays; /* why, while there is none */
};

static void set_reason(char **reason, const char *why)
{
    g_free(*reason);
    *reason = g_strdup(why);
}

static void drop(Backends *backends, const char *why)
{
    clipboard_serve_none(backends->clipboard);
    displays_serve_none(backends->displays);
    g_clear_pointer(&backends->x11, x11_free);
    g_clear_pointer(&backends->wayland, wayland_free);
    set_reason(&backends->no_clipboard, why);
    set_reason(&backends->no_displays, why);
}

static void lost(Backends *backends, const char *why)
{
    g_message("%s", why);
    drop(backends, why);
    backends->events.lost(backends->user);
}

/* --- X --- */

static void on_x11_closed(gpointer user)
{
    lost(user, "the X server went away");
}

static gboolean serve_x11(Backends *backends, const char *display, const char *xauthority)
{
    g_autoptr(GError) error = NULL;
    backends->x11 = x11_new(display, xauthority, on_x11_closed, backends, &error);
    if (backends->x11 == NULL) {
        g_debug("%s", error->message);
        return FALSE;
    }
    g_message("serving X display %s", display);
    if (!clipboard_serve_x11(backends->clipboard, backends->x11, CLIPBOARD_BOTH, &error))
        backends_lost_clipboard(backends, error->message);
    g_clear_error(&error);
    if (!displays_serve_x11(backends->displays, backends->x11, &error))
        backends_lost_displays(backends, error->message);
    return TRUE;
}

/* --- Wayland --- */

static void on_wayland_ready(gpointer user)
{
    Backends *backends = user;
    set_reason(&backends->no_clipboard, "the compositor has no clipboard protocol");
    set_reason(&backends->no_displays, "the compositor has no protocol to change outputs");
    backends->events.changed(backends->user);
}

static void on_wayland_closed(const char *why, gpointer user)
{
    lost(user, why);
}

static gboolean serve_wayland(Backends *backends, const char *path)
{
    static const WaylandEvents events = { .ready = on_wayland_ready, .closed = on_wayland_closed };
    g_autoptr(GError) error = NULL;
    backends->wayland = wayland_new(path, &events, backends, &error);
    if (backends->wayland == NULL) {
        g_debug("%s", error->message);
        return FALSE;
    }
    g_message("serving the compositor at %s", path);
    set_reason(&backends->no_clipboard, "the compositor has not answered yet");
    set_reason(&backends->no_displays, "the compositor has not answered yet");
    return TRUE;
}

/* --- Both --- */

gboolean backends_serve(Backends *backends, const BackendsPlace *place)
{
    drop(backends, "no desktop");
    gboolean served = TRUE;
    if (place != NULL && place->wayland != NULL)
        served = serve_wayland(backends, place->wayland);
    else if (place != NULL)
        served = serve_x11(backends, place->display, place->xauthority);
    if (served)
        backends->events.changed(backends->user);
    return served;
}

void backends_lost_clipboard(Backends *backends, const char *why)
{
    g_warning("no clipboard: %s", why);
    clipboard_serve_none(backends->clipboard);
    set_reason(&backends->no_clipboard, why);
    backends->events.changed(backends->user);
}

void backends_lost_displays(Backends *backends, const char *why)
{
    g_warning("no displays: %s", why);
    displays_serve_none(backends->displays);
    set_reason(&backends->no_displays, why);
    backends->events.changed(backends->user);
}

char *backends_clipboard(const Backends *backends)
{
    char *names = clipboard_backends(backends->clipboard);
    return names != NULL ? names : g_strconcat("none: ", backends->no_clipboard, NULL);
}

char *backends_displays(const Backends *backends, gboolean *ret_can_apply)
{
    const char *name = displays_backend(backends->displays, ret_can_apply);
    return name != NULL ? g_strdup(name) : g_strconcat("none: ", backends->no_displays, NULL);
}

Backends *backends_new(Clipboard *clipboard, Displays *displays, GDBusConnection *session_bus,
                       const BackendsEvents *events, gpointer user)
{
    Backends *backends = g_new0(Backends, 1);
    backends->clipboard = clipboard;
    backends->displays = displays;
    backends->session_bus = session_bus;
    backends->events = *events;
    backends->user = user;
    set_reason(&backends->no_clipboard, "no desktop");
    set_reason(&backends->no_displays, "no desktop");
    return backends;
}

void backends_free(Backends *backends)
{
    if (backends == NULL)
        return;
    drop(backends, NULL);
    g_free(backends);
}
