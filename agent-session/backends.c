/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backends.h"

#include "wayland.h"
#include "x11.h"
#include "xwayland.h"

/* It is looked for each time that something happens on the clipboard, which some programs make happen all the time. */
#define XWAYLAND_LOOK_US G_USEC_PER_SEC

/* GNOME may say that its screen is unlocked before it lets anybody have the clipboard again. */
#define UNLOCK_RETRY_MS 500u
#define UNLOCK_RETRIES 5u

struct Backends {
    Clipboard *clipboard;
    Displays *displays;
    GDBusConnection *session_bus;
    BackendsEvents events;
    gpointer user;
    X11 *x11;
    Wayland *wayland;
    gboolean answered; /* the compositor's globals are known */
    gint64 next_look;  /* for an X server that has PRIMARY */
    guint lock_id;     /* subscription */
    guint unlock_id, unlock_tries; /* timer, and how often it has run out since the screen was unlocked */
    char *socket; /* of the compositor */
    char *no_clipboard, *no_displays; /* why, while there is none */
};

static void set_text(char **text, const char *value)
{
    char *old = *text;
    *text = g_strdup(value);
    g_free(old);
}

static void stop_unlocking(Backends *backends)
{
    g_clear_handle_id(&backends->unlock_id, g_source_remove);
    backends->unlock_tries = UNLOCK_RETRIES;
}

static void drop(Backends *backends, const char *why)
{
    clipboard_serve_none(backends->clipboard);
    displays_serve_none(backends->displays);
    g_clear_pointer(&backends->x11, x11_free);
    g_clear_pointer(&backends->wayland, wayland_free);
    if (backends->lock_id != 0)
        g_dbus_connection_signal_unsubscribe(backends->session_bus, backends->lock_id);
    backends->lock_id = 0;
    stop_unlocking(backends);
    backends->answered = FALSE;
    set_text(&backends->socket, NULL);
    set_text(&backends->no_clipboard, why);
    set_text(&backends->no_displays, why);
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

static gboolean serve_x11(Backends *backends, const BackendsPlace *place)
{
    g_autoptr(GError) error = NULL;
    X11 *x11 = x11_new(place->display, place->xauthority, on_x11_closed, backends, &error);
    if (x11 == NULL) {
        g_debug("%s", error->message);
        return FALSE;
    }
    drop(backends, NULL);
    backends->x11 = x11;
    g_message("serving X display %s", place->display);
    if (!clipboard_serve_x11(backends->clipboard, x11, CLIPBOARD_BOTH, &error))
        backends_lost_clipboard(backends, error->message);
    g_clear_error(&error);
    if (!displays_serve_x11(backends->displays, x11, &error))
        backends_lost_displays(backends, error->message);
    return TRUE;
}

/* --- Wayland --- */

/* Mutter has a global that only GNOME's programs use, and on the session bus what others have as protocols. */
static gboolean is_mutter(const Backends *backends)
{
    return wayland_version(backends->wayland, "gtk_shell1") > 0;
}

#define SCREENSAVER "org.gnome.ScreenSaver"
#define NO_BUS "the compositor has it on the session bus, which cannot be reached"

/* The best backends for what the compositor offers; what it does not offer has its reason already. */
static void choose_clipboard(Backends *backends)
{
    if (clipboard_serve_wayland(backends->clipboard, backends->wayland, CLIPBOARD_BOTH, NULL) || !is_mutter(backends))
        return;
    if (backends->session_bus != NULL)
        clipboard_serve_mutter(backends->clipboard, backends->session_bus);
    else
        backends_lost_clipboard(backends, NO_BUS);
}

/* While its screen is locked GNOME ends what has the clipboard, and lets nobody have it anew. */
static void on_lock(G_GNUC_UNUSED GDBusConnection *bus, G_GNUC_UNUSED const char *sender,
                    G_GNUC_UNUSED const char *path, G_GNUC_UNUSED const char *interface,
                    G_GNUC_UNUSED const char *signal, GVariant *arguments, gpointer user)
{
    Backends *backends = user;
    g_autofree char *served = clipboard_backends(backends->clipboard);
    gboolean locked = TRUE;
    if (g_variant_is_of_type(arguments, G_VARIANT_TYPE("(b)")))
        g_variant_get(arguments, "(b)", &locked);
    stop_unlocking(backends);
    if (locked || served != NULL)
        return;
    backends->unlock_tries = 0;
    choose_clipboard(backends);
    backends->events.changed(backends->user);
}

static gboolean on_unlock_retry(gpointer user)
{
    Backends *backends = user;
    backends->unlock_id = 0;
    choose_clipboard(backends);
    backends->events.changed(backends->user);
    return G_SOURCE_REMOVE;
}

static void watch_lock(Backends *backends)
{
    backends->lock_id = g_dbus_connection_signal_subscribe(backends->session_bus, SCREENSAVER, SCREENSAVER,
                                                           "ActiveChanged", "/org/gnome/ScreenSaver", NULL,
                                                           G_DBUS_SIGNAL_FLAGS_NONE, on_lock, backends, NULL);
}

static void choose_displays(Backends *backends)
{
    if (displays_serve_kde(backends->displays, backends->wayland, NULL) ||
        displays_serve_wlr(backends->displays, backends->wayland, NULL))
        return;
    if (is_mutter(backends) && backends->session_bus != NULL) {
        displays_serve_mutter(backends->displays, backends->session_bus);
        return;
    }
    if (is_mutter(backends))
        backends_lost_displays(backends, NO_BUS);
    displays_serve_outputs(backends->displays, backends->wayland);
}

static void on_xwayland_closed(gpointer user)
{
    Backends *backends = user;
    clipboard_unserve(backends->clipboard, CLIPBOARD_ONLY(VD_AGENT_CLIPBOARD_SELECTION_PRIMARY));
    g_clear_pointer(&backends->x11, x11_free);
    backends->events.changed(backends->user);
}

/* Mutter has no PRIMARY for us, but that of XWayland is the same as its own. */
void backends_no_primary(Backends *backends)
{
    g_autofree char *display = NULL;
    g_autofree char *authority = NULL;
    g_autoptr(GError) error = NULL;
    gint64 now = g_get_monotonic_time();
    if (!backends->answered || !is_mutter(backends) || backends->x11 != NULL || now < backends->next_look)
        return;
    backends->next_look = now + XWAYLAND_LOOK_US;
    if (!xwayland_find(wayland_pid(backends->wayland), &display, &authority))
        return;
    backends->x11 = x11_new(display, authority, on_xwayland_closed, backends, &error);
    if (backends->x11 != NULL)
        x11_let_end(backends->x11);
    if (backends->x11 == NULL || !clipboard_serve_x11(backends->clipboard, backends->x11,
                                                      CLIPBOARD_ONLY(VD_AGENT_CLIPBOARD_SELECTION_PRIMARY), &error)) {
        g_debug("no primary selection: %s", error->message);
        g_clear_pointer(&backends->x11, x11_free);
        return;
    }
    backends->events.changed(backends->user);
}

static void on_wayland_ready(gpointer user)
{
    Backends *backends = user;
    backends->answered = TRUE;
    set_text(&backends->no_clipboard, "the compositor has no clipboard protocol");
    set_text(&backends->no_displays, "the compositor has no protocol to change outputs");
    if (is_mutter(backends) && backends->session_bus != NULL)
        watch_lock(backends);
    choose_clipboard(backends);
    choose_displays(backends);
    backends->events.changed(backends->user);
    backends->events.answered(backends->user);
}

static void on_wayland_closed(const char *why, gpointer user)
{
    lost(user, why);
}

static gboolean serve_wayland(Backends *backends, const BackendsPlace *place)
{
    static const WaylandEvents events = { .ready = on_wayland_ready, .closed = on_wayland_closed };
    g_autoptr(GError) error = NULL;
    Wayland *wayland = wayland_new(place->wayland, &events, backends, &error);
    if (wayland == NULL) {
        g_debug("%s", error->message);
        return FALSE;
    }
    drop(backends, "the compositor has not answered yet");
    backends->wayland = wayland;
    set_text(&backends->socket, place->wayland);
    g_message("serving the compositor at %s", place->wayland);
    return TRUE;
}

/* --- Both --- */

gboolean backends_serve(Backends *backends, const BackendsPlace *place)
{
    gboolean served = TRUE;
    if (place == NULL)
        drop(backends, "no desktop");
    else if (place->wayland != NULL)
        served = serve_wayland(backends, place);
    else
        served = serve_x11(backends, place);
    if (served)
        backends->events.changed(backends->user);
    return served;
}

void backends_lost_clipboard(Backends *backends, const char *why)
{
    g_warning("no clipboard: %s", why);
    clipboard_serve_none(backends->clipboard);
    if (backends->wayland != NULL)
        g_clear_pointer(&backends->x11, x11_free);
    set_text(&backends->no_clipboard, why);
    if (backends->unlock_tries < UNLOCK_RETRIES && backends->unlock_id == 0)
        backends->unlock_id = g_timeout_add(UNLOCK_RETRY_MS << backends->unlock_tries++, on_unlock_retry, backends);
    backends->events.changed(backends->user);
}

void backends_lost_displays(Backends *backends, const char *why)
{
    gboolean could_apply;
    displays_backend(backends->displays, &could_apply);
    g_warning("no displays: %s", why);
    displays_serve_none(backends->displays);
    set_text(&backends->no_displays, why);
    if (could_apply && backends->answered)
        displays_serve_outputs(backends->displays, backends->wayland);
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
    return *ret_can_apply ? g_strdup(name) : g_strconcat("none: ", backends->no_displays, NULL);
}

char *backends_layout(const Backends *backends)
{
    gboolean can_apply;
    const char *name = displays_backend(backends->displays, &can_apply);
    return name != NULL ? g_strdup(name) : g_strconcat("none: ", backends->no_displays, NULL);
}

GVariant *backends_compositor(const Backends *backends)
{
    GVariantBuilder values;
    g_variant_builder_init(&values, G_VARIANT_TYPE_VARDICT);
    if (backends->wayland != NULL) {
        g_autofree char *comm = wayland_program(backends->wayland);
        g_autofree char *program = g_utf8_make_valid(comm, -1);
        g_autofree char *socket = g_utf8_make_valid(backends->socket, -1);
        g_variant_builder_add(&values, "{sv}", "socket", g_variant_new_string(socket));
        g_variant_builder_add(&values, "{sv}", "program", g_variant_new_string(program));
    }
    if (backends->answered)
        g_variant_builder_add(&values, "{sv}", "globals", wayland_globals(backends->wayland));
    return g_variant_builder_end(&values);
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
    stop_unlocking(backends);
    set_text(&backends->no_clipboard, "no desktop");
    set_text(&backends->no_displays, "no desktop");
    return backends;
}

void backends_free(Backends *backends)
{
    if (backends == NULL)
        return;
    drop(backends, NULL);
    set_text(&backends->no_clipboard, NULL);
    set_text(&backends->no_displays, NULL);
    g_free(backends);
}
