/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "desktop.h"

#include "places.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define SYSTEMD "org.freedesktop.systemd1"
#define PROPERTIES "org.freedesktop.DBus.Properties"
#define CALL_TIMEOUT_MS 10000
/* After an event: 0.2, 0.4, … 6.4 seconds, then silence until the next event. */
#define RETRY_FIRST_MS 200u
#define RETRY_LAST_MS 6400u
/* A compositor that has not answered by then is one to do without, if there is another. */
#define PATIENCE_MS 5000u
/* One that ends the connection sooner than this may do so each time: it is not tried at once again. */
#define STEADY_US (10 * G_USEC_PER_SEC)
/* More compositors than that which do not serve well are forgotten, and tried anew. */
#define DOUBTS_MAX 16u

struct Desktop {
    GDBusConnection *user_bus;
    DesktopEvents events;
    gpointer user;
    GCancellable *calls;
    Logins *logins;
    Places *places;
    char *session, *type; /* type: as logind said when its desktop was looked for last */
    /* What is served: the socket of a compositor, or an X display. */
    char *socket, *display;
    gint64 made, since;      /* the socket, see places.h, and when serving began */
    gboolean settled;        /* there is no better one to be looked for */
    gboolean picky, skipped; /* a search leaves out what is no good, and has done so */
    GHashTable *doubts;      /* sockets of compositors that did not answer, or not for long → when they were made */
    guint start_id, retry_id, retry_ms, patience_id;
    int inotify;
    guint inotify_id;
    int socket_watch, home_watch, runtime_watch;
};

static void kick(Desktop *desktop);
static void search(Desktop *desktop);
static void ask_manager(Desktop *desktop);

/* --- What is served --- */

static gboolean looking(const Desktop *desktop)
{
    return desktop->session != NULL && !desktop->settled;
}

static void forget(Desktop *desktop)
{
    g_clear_pointer(&desktop->socket, g_free);
    g_clear_pointer(&desktop->display, g_free);
    g_clear_handle_id(&desktop->patience_id, g_source_remove);
    desktop->settled = FALSE;
}

static void drop(Desktop *desktop)
{
    gboolean served = desktop->socket != NULL || desktop->display != NULL;
    forget(desktop);
    if (served)
        desktop->events.serve(NULL, desktop->user);
}

static void doubt(Desktop *desktop)
{
    if (g_hash_table_size(desktop->doubts) >= DOUBTS_MAX)
        g_hash_table_remove_all(desktop->doubts);
    g_hash_table_insert(desktop->doubts, g_strdup(desktop->socket), g_memdup2(&desktop->made, sizeof desktop->made));
}

static gboolean on_patience(gpointer user)
{
    Desktop *desktop = user;
    desktop->patience_id = 0;
    g_message("the compositor at %s does not answer", desktop->socket);
    doubt(desktop);
    desktop->settled = FALSE;
    kick(desktop);
    return G_SOURCE_REMOVE;
}

static gboolean serve(Desktop *desktop, const BackendsPlace *place, gint64 made)
{
    if (place->wayland != NULL)
        g_debug("trying the compositor at %s", place->wayland);
    else
        g_debug("trying X display %s with %s", place->display, place->xauthority);
    if (!desktop->events.serve(place, desktop->user))
        return FALSE;
    forget(desktop);
    desktop->socket = g_strdup(place->wayland);
    desktop->display = g_strdup(place->display);
    desktop->made = made;
    desktop->since = g_get_monotonic_time();
    if (place->wayland != NULL)
        desktop->patience_id = g_timeout_add(PATIENCE_MS, on_patience, desktop);
    return TRUE;
}

static gboolean is_served(const Desktop *desktop, const BackendsPlace *place)
{
    return place->wayland != NULL ? g_strcmp0(place->wayland, desktop->socket) == 0
                                  : desktop->socket == NULL && g_strcmp0(place->display, desktop->display) == 0;
}

static gboolean on_offer(const BackendsPlace *place, gint64 made, gboolean nested, gpointer user)
{
    Desktop *desktop = user;
    const gint64 *doubtful = place->wayland != NULL ? g_hash_table_lookup(desktop->doubts, place->wayland) : NULL;
    gboolean good = !nested && (doubtful == NULL || *doubtful != made);
    desktop->skipped = desktop->skipped || !good;
    if (desktop->picky && !good)
        return FALSE;
    if (!is_served(desktop, place) && !serve(desktop, place, made))
        return FALSE;
    desktop->settled = good;
    return TRUE;
}

/* --- Looking for it --- */

static void unwatch(Desktop *desktop, int *watch)
{
    if (*watch >= 0)
        inotify_rm_watch(desktop->inotify, *watch);
    *watch = -1;
}

static void watch(Desktop *desktop, gboolean wanted, const char *directory, int *watch_id)
{
    if (wanted)
        *watch_id = inotify_add_watch(desktop->inotify, directory,
                                      IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR);
    else
        unwatch(desktop, watch_id);
}

/* Only while a desktop is looked for: homes are busy places. What is watched already stays so. */
static void watch_files(Desktop *desktop)
{
    gboolean wanted = looking(desktop), x = wanted && places_x_wanted(desktop->places, desktop->session);
    if (desktop->inotify < 0)
        return;
    watch(desktop, x, PLACES_X_SOCKETS, &desktop->socket_watch);
    watch(desktop, x, g_get_home_dir(), &desktop->home_watch);
    /* Last, as it may be the home directory, and one watch with it. */
    watch(desktop, wanted, g_get_user_runtime_dir(), &desktop->runtime_watch);
}

static gboolean on_retry(gpointer user)
{
    Desktop *desktop = user;
    desktop->retry_id = 0;
    search(desktop);
    ask_manager(desktop);
    return G_SOURCE_REMOVE;
}

static void retry_later(Desktop *desktop)
{
    if (desktop->retry_id != 0 || desktop->retry_ms > RETRY_LAST_MS)
        return;
    desktop->retry_id = g_timeout_add(desktop->retry_ms, on_retry, desktop);
    desktop->retry_ms *= 2;
}

static void search(Desktop *desktop)
{
    watch_files(desktop);
    if (!looking(desktop))
        return;
    desktop->picky = TRUE;
    desktop->skipped = FALSE;
    if (!places_search(desktop->places, desktop->session, on_offer, desktop) && desktop->skipped) {
        desktop->picky = FALSE;
        places_search(desktop->places, desktop->session, on_offer, desktop);
    }
    if (!desktop->settled)
        retry_later(desktop);
    watch_files(desktop);
}

static void on_manager(GObject *bus, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, &error);
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return;
    Desktop *desktop = user;
    g_autoptr(GVariant) value = NULL;
    if (reply != NULL)
        g_variant_get(reply, "(v)", &value);
    if (value == NULL || !g_variant_is_of_type(value, G_VARIANT_TYPE("as")))
        return;
    g_autofree const char **environment = g_variant_get_strv(value, NULL);
    places_manager(desktop->places, environment);
    search(desktop);
}

static void ask_manager(Desktop *desktop)
{
    if (desktop->user_bus == NULL || !looking(desktop))
        return;
    g_dbus_connection_call(desktop->user_bus, SYSTEMD, "/org/freedesktop/systemd1", PROPERTIES, "Get",
                           g_variant_new("(ss)", SYSTEMD ".Manager", "Environment"), G_VARIANT_TYPE("(v)"),
                           G_DBUS_CALL_FLAGS_NO_AUTO_START, CALL_TIMEOUT_MS, desktop->calls, on_manager, desktop);
}

/* Something changed that may have brought a desktop. */
static void kick(Desktop *desktop)
{
    g_clear_handle_id(&desktop->retry_id, g_source_remove);
    desktop->retry_ms = RETRY_FIRST_MS;
    search(desktop);
    ask_manager(desktop);
}

static gboolean on_inotify(int fd, G_GNUC_UNUSED GIOCondition condition, gpointer user)
{
    Desktop *desktop = user;
    union {
        char bytes[4096];
        struct inotify_event aligned;
    } buffer;
    gssize size = read(fd, &buffer, sizeof buffer);
    gboolean wanted = FALSE;
    for (gssize at = 0; at < size;) {
        const struct inotify_event *event = (const struct inotify_event *) (buffer.bytes + at);
        wanted = wanted || event->wd == desktop->socket_watch ||
                 (event->len > 0 && places_name_counts(desktop->places, event->name));
        at += sizeof *event + event->len;
    }
    if (wanted && looking(desktop))
        kick(desktop);
    return G_SOURCE_CONTINUE;
}

/* --- Sessions --- */

static void set_session(Desktop *desktop, const char *session)
{
    if (g_strcmp0(session, desktop->session) == 0)
        return;
    drop(desktop);
    g_hash_table_remove_all(desktop->doubts);
    g_free(desktop->session);
    desktop->session = g_strdup(session);
    desktop->events.session(session, desktop->user);
}

/* The active session on a seat; else the one served while it is there; without logind what the newest hint says. */
static void choose_session(Desktop *desktop)
{
    const char *chosen = NULL;
    if (logins_missing(desktop->logins))
        chosen = places_session(desktop->places);
    else if (!logins_known(desktop->logins))
        return;
    else if (logins_find(desktop->logins, desktop->session) != NULL)
        chosen = desktop->session;
    const Login *login;
    for (guint i = 0; (login = logins_at(desktop->logins, i)) != NULL; i++) {
        if (login->seated && login->active)
            chosen = login->id;
    }
    set_session(desktop, chosen);
}

/* What may be the session's desktop depends on its type, which compositors change when they start. */
static void on_logins(gpointer user)
{
    Desktop *desktop = user;
    choose_session(desktop);
    const Login *login = logins_find(desktop->logins, desktop->session);
    const char *type = login != NULL ? login->type : NULL;
    if (g_strcmp0(type, desktop->type) != 0) {
        g_free(desktop->type);
        desktop->type = g_strdup(type);
        desktop->settled = FALSE;
    }
    kick(desktop);
}

/* --- Events --- */

static const char *const environment_keys[] = { "DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "XDG_SESSION_ID",
                                                "XDG_SESSION_TYPE" };

GVariant *desktop_environment(void)
{
    GVariantBuilder builder;
    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{ss}"));
    for (gsize i = 0; i < G_N_ELEMENTS(environment_keys); i++) {
        const char *value = g_getenv(environment_keys[i]);
        if (value != NULL && value[0] != '\0' && g_utf8_validate(value, -1, NULL))
            g_variant_builder_add(&builder, "{ss}", environment_keys[i], value);
    }
    return g_variant_builder_end(&builder);
}

void desktop_attach(Desktop *desktop, GVariant *environment)
{
    g_autoptr(GVariant) kept = g_variant_ref_sink(environment);
    places_attach(desktop->places, kept);
    choose_session(desktop);
    kick(desktop);
}

void desktop_answered(Desktop *desktop)
{
    g_clear_handle_id(&desktop->patience_id, g_source_remove);
    if (g_hash_table_remove(desktop->doubts, desktop->socket))
        search(desktop);
}

void desktop_lost(Desktop *desktop)
{
    gboolean steady = desktop->socket == NULL || g_get_monotonic_time() - desktop->since >= STEADY_US;
    if (!steady)
        doubt(desktop);
    drop(desktop);
    if (steady) {
        kick(desktop);
    } else {
        watch_files(desktop);
        retry_later(desktop);
    }
}

static gboolean on_start(gpointer user)
{
    Desktop *desktop = user;
    desktop->start_id = 0;
    desktop_attach(desktop, desktop_environment());
    return G_SOURCE_REMOVE;
}

Desktop *desktop_new(GDBusConnection *system_bus, GDBusConnection *user_bus, const DesktopEvents *events, gpointer user)
{
    Desktop *desktop = g_new0(Desktop, 1);
    desktop->user_bus = user_bus;
    desktop->events = *events;
    desktop->user = user;
    desktop->calls = g_cancellable_new();
    desktop->doubts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    desktop->socket_watch = desktop->home_watch = desktop->runtime_watch = -1;
    desktop->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (desktop->inotify >= 0)
        desktop->inotify_id = g_unix_fd_add(desktop->inotify, G_IO_IN, on_inotify, desktop);
    else
        g_warning("cannot watch for display servers: %s", g_strerror(errno));
    desktop->logins = logins_new(system_bus, on_logins, desktop);
    desktop->places = places_new(desktop->logins);
    desktop->start_id = g_idle_add(on_start, desktop);
    return desktop;
}

void desktop_free(Desktop *desktop)
{
    if (desktop == NULL)
        return;
    g_cancellable_cancel(desktop->calls);
    g_object_unref(desktop->calls);
    g_clear_handle_id(&desktop->start_id, g_source_remove);
    g_clear_handle_id(&desktop->retry_id, g_source_remove);
    g_clear_handle_id(&desktop->patience_id, g_source_remove);
    g_clear_handle_id(&desktop->inotify_id, g_source_remove);
    if (desktop->inotify >= 0)
        close(desktop->inotify);
    places_free(desktop->places);
    logins_free(desktop->logins);
    g_hash_table_unref(desktop->doubts);
    g_free(desktop->session);
    g_free(desktop->type);
    g_free(desktop->socket);
    g_free(desktop->display);
    g_free(desktop);
}
