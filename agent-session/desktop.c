/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include "desktop.h"

#include <errno.h>
#include <glib-unix.h>
#include <stddef.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LOGIND "org.freedesktop.login1"
#define LOGIND_PATH "/org/freedesktop/login1"
#define LOGIND_MANAGER "org.freedesktop.login1.Manager"
#define LOGIND_SESSION "org.freedesktop.login1.Session"
#define SYSTEMD "org.freedesktop.systemd1"
#define PROPERTIES "org.freedesktop.DBus.Properties"
#define SOCKET_DIR "/tmp/.X11-unix"
#define CALL_TIMEOUT_MS 10000
/* After an event: 0.2, 0.4, … 6.4 seconds, then silence until the next event. */
#define RETRY_FIRST_MS 200u
#define RETRY_LAST_MS 6400u
#define HINTS_MAX 16u

/* Somebody's word on where a display is. */
typedef struct Hint {
    char *session; /* NULL: not said */
    char *display;    /* NULL: none */
    char *xauthority; /* NULL: not said */
} Hint;

typedef struct Session {
    char *id, *type, *display;
    gboolean active, seated;
} Session;

struct Desktop {
    GDBusConnection *system_bus, *user_bus;
    DesktopEvents events;
    gpointer user;
    GCancellable *calls;
    GPtrArray *hints;    /* newest last */
    Hint *manager;       /* of the service manager's environment */
    GPtrArray *sessions; /* of this user; NULL while logind has not answered */
    GPtrArray *reading;  /* the same, being read */
    guint unread;
    gboolean stale, no_logind;
    char *session;
    char *display;
    guint logind_id, changes_id, retry_id, retry_ms;
    int inotify;
    guint inotify_id;
    int socket_watch, home_watch, runtime_watch;
};

static void search(Desktop *desktop);
static void read_sessions(Desktop *desktop);

static void hint_free(gpointer data)
{
    Hint *hint = data;
    if (hint == NULL)
        return;
    g_free(hint->session);
    g_free(hint->display);
    g_free(hint->xauthority);
    g_free(hint);
}

static void session_free(gpointer data)
{
    Session *session = data;
    g_free(session->id);
    g_free(session->type);
    g_free(session->display);
    g_free(session);
}

static const Session *find_session(const Desktop *desktop, const char *id)
{
    for (guint i = 0; desktop->sessions != NULL && i < desktop->sessions->len; i++) {
        const Session *session = desktop->sessions->pdata[i];
        if (g_strcmp0(session->id, id) == 0)
            return session;
    }
    return NULL;
}

/* ":0" and ":0.0" are one display. NULL for one that is not local. */
static char *plain_display(const char *display)
{
    if (display != NULL && g_str_has_prefix(display, "unix:"))
        display += strlen("unix");
    if (display == NULL || display[0] != ':')
        return NULL;
    gsize length = strspn(display + 1, "0123456789");
    if (length == 0 || length > 5)
        return NULL;
    return g_strndup(display, length + 1);
}

/*
 * The process that listens on a display; 0 when there is none, or when it is neither root's nor ours. Xlib tries the
 * abstract name first, so both must be.
 */
static pid_t find_server(const char *display)
{
    pid_t server = 0;
    for (int abstract = 1; abstract >= 0; abstract--) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int length = g_snprintf(address.sun_path + abstract, sizeof address.sun_path - abstract, SOCKET_DIR "/X%s",
                                display + 1);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
            return 0;
        struct ucred peer = { .uid = (uid_t) -1 };
        socklen_t size = sizeof peer;
        gboolean open = connect(fd, (struct sockaddr *) &address,
                                offsetof(struct sockaddr_un, sun_path) + abstract + length + !abstract) == 0;
        if (open)
            getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
        close(fd);
        if (open && peer.uid != 0 && peer.uid != getuid()) {
            g_debug("X display %s is another user's", display);
            return 0;
        }
        if (open)
            server = peer.pid;
    }
    return server;
}

/* Does the process belong to a logind session? Display managers' servers do not; logind then knows their display. */
static gboolean in_session(pid_t pid, const char *session)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cgroup", (int) pid);
    g_autofree char *scope = g_strdup_printf("/session-%s.scope", session);
    g_autofree char *text = NULL;
    return g_file_get_contents(path, &text, NULL, NULL) && strstr(text, scope) != NULL;
}

/* Somebody says that this display belongs to another session than `session`. */
static gboolean claimed(const Desktop *desktop, const char *display, const char *session)
{
    for (guint i = 0; i < desktop->hints->len; i++) {
        const Hint *hint = desktop->hints->pdata[i];
        if (hint->session != NULL && strcmp(hint->session, session) != 0 &&
            g_strcmp0(hint->display, display) == 0)
            return TRUE;
    }
    for (guint i = 0; desktop->sessions != NULL && i < desktop->sessions->len; i++) {
        const Session *other = desktop->sessions->pdata[i];
        if (strcmp(other->id, session) != 0 && g_strcmp0(other->display, display) == 0)
            return TRUE;
    }
    return FALSE;
}

static gboolean try_with(Desktop *desktop, const char *display, const char *xauthority)
{
    g_debug("trying X display %s with %s", display, xauthority);
    const BackendsPlace place = { .display = display, .xauthority = xauthority };
    if (!desktop->events.serve(&place, desktop->user))
        return FALSE;
    desktop->display = g_strdup(display);
    return TRUE;
}

/* Try a display with the authority file that was named, else with the usual ones. */
static gboolean try_display(Desktop *desktop, const char *display, const char *xauthority)
{
    if (find_server(display) == 0)
        return FALSE;
    if (xauthority != NULL && try_with(desktop, display, xauthority))
        return TRUE;
    g_autofree char *home = g_build_filename(g_get_home_dir(), ".Xauthority", NULL);
    if (g_strcmp0(home, xauthority) != 0 && try_with(desktop, display, home))
        return TRUE;
    const char *runtime = g_get_user_runtime_dir();
    g_autofree char *gdm = g_build_filename(runtime, "gdm", "Xauthority", NULL);
    if (access(gdm, R_OK) == 0 && try_with(desktop, display, gdm))
        return TRUE;
    g_autoptr(GDir) dir = g_dir_open(runtime, 0, NULL);
    const char *name;
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_str_has_prefix(name, "xauth_") ? g_build_filename(runtime, name, NULL) : NULL;
        if (path != NULL && try_with(desktop, display, path))
            return TRUE;
    }
    return FALSE;
}

static gboolean try_hint(Desktop *desktop, const Hint *hint)
{
    if (hint->display == NULL)
        return FALSE;
    if (hint->session != NULL ? strcmp(hint->session, desktop->session) != 0
                              : claimed(desktop, hint->display, desktop->session))
        return FALSE;
    return try_display(desktop, hint->display, hint->xauthority);
}

/* A display is looked for. That of a Wayland session is the compositor's own business. */
static gboolean looking(const Desktop *desktop)
{
    const Session *session = find_session(desktop, desktop->session);
    return desktop->display == NULL && desktop->session != NULL &&
           (session == NULL || strcmp(session->type, "wayland") != 0);
}

static gboolean try_all(Desktop *desktop)
{
    const Session *session = find_session(desktop, desktop->session);
    for (guint i = desktop->hints->len; i > 0; i--) {
        if (try_hint(desktop, desktop->hints->pdata[i - 1]))
            return TRUE;
    }
    g_autofree char *known = session != NULL ? plain_display(session->display) : NULL;
    if (known != NULL && try_display(desktop, known, NULL))
        return TRUE;
    if (desktop->manager != NULL && try_hint(desktop, desktop->manager))
        return TRUE;
    g_autoptr(GDir) dir = g_dir_open(SOCKET_DIR, 0, NULL);
    const char *name;
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *text = name[0] == 'X' ? g_strconcat(":", name + 1, NULL) : NULL;
        g_autofree char *display = plain_display(text);
        /* Nobody has said that this one is the session's: it may as well be a nested or a virtual server. */
        if (display != NULL && in_session(find_server(display), desktop->session) &&
            try_display(desktop, display, NULL))
            return TRUE;
    }
    return FALSE;
}

static gboolean on_retry(gpointer user)
{
    Desktop *desktop = user;
    desktop->retry_id = 0;
    search(desktop);
    return G_SOURCE_REMOVE;
}

static void unwatch(Desktop *desktop, int *watch)
{
    if (*watch >= 0)
        inotify_rm_watch(desktop->inotify, *watch);
    *watch = -1;
}

/* Only while a display is looked for: homes are busy places. What is watched already stays so. */
static void watch_files(Desktop *desktop)
{
    const guint32 mask = IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR;
    if (desktop->inotify < 0)
        return;
    if (looking(desktop)) {
        desktop->socket_watch = inotify_add_watch(desktop->inotify, SOCKET_DIR, mask);
        desktop->home_watch = inotify_add_watch(desktop->inotify, g_get_home_dir(), mask);
        desktop->runtime_watch = inotify_add_watch(desktop->inotify, g_get_user_runtime_dir(), mask);
    } else {
        unwatch(desktop, &desktop->socket_watch);
        unwatch(desktop, &desktop->home_watch);
        unwatch(desktop, &desktop->runtime_watch);
    }
}

static void search(Desktop *desktop)
{
    watch_files(desktop);
    if (looking(desktop) && !try_all(desktop) && desktop->retry_id == 0 && desktop->retry_ms <= RETRY_LAST_MS) {
        desktop->retry_id = g_timeout_add(desktop->retry_ms, on_retry, desktop);
        desktop->retry_ms *= 2;
    }
    watch_files(desktop);
}

static const char *lookup(const char *const *environment, const char *key)
{
    gsize length = strlen(key);
    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, key, length) == 0 && (*environment)[length] == '=')
            return *environment + length + 1;
    }
    return NULL;
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
    g_autofree char *display = plain_display(lookup(environment, "DISPLAY"));
    g_clear_pointer(&desktop->manager, hint_free);
    if (display == NULL)
        return;
    desktop->manager = g_new0(Hint, 1);
    desktop->manager->display = g_steal_pointer(&display);
    desktop->manager->xauthority = g_strdup(lookup(environment, "XAUTHORITY"));
    search(desktop);
}

/* Something changed that may have brought a display. */
static void kick(Desktop *desktop)
{
    g_clear_handle_id(&desktop->retry_id, g_source_remove);
    desktop->retry_ms = RETRY_FIRST_MS;
    search(desktop);
    if (!looking(desktop) || desktop->user_bus == NULL)
        return;
    g_dbus_connection_call(desktop->user_bus, SYSTEMD, "/org/freedesktop/systemd1", PROPERTIES, "Get",
                           g_variant_new("(ss)", SYSTEMD ".Manager", "Environment"), G_VARIANT_TYPE("(v)"),
                           G_DBUS_CALL_FLAGS_NO_AUTO_START, CALL_TIMEOUT_MS, desktop->calls, on_manager, desktop);
}

static void drop_display(Desktop *desktop)
{
    if (desktop->display == NULL)
        return;
    g_clear_pointer(&desktop->display, g_free);
    desktop->events.serve(NULL, desktop->user);
}

static void set_session(Desktop *desktop, const char *session)
{
    if (g_strcmp0(session, desktop->session) == 0)
        return;
    drop_display(desktop);
    g_free(desktop->session);
    desktop->session = g_strdup(session);
    desktop->events.session(session, desktop->user);
}

/* The active session on a seat; else the one served while it is there; without logind what the newest hint says. */
static void choose_session(Desktop *desktop)
{
    const char *chosen = NULL;
    if (desktop->no_logind) {
        for (guint i = 0; i < desktop->hints->len; i++) {
            const Hint *hint = desktop->hints->pdata[i];
            if (hint->session != NULL)
                chosen = hint->session;
        }
    } else if (desktop->sessions == NULL) {
        return;
    }
    for (guint i = 0; desktop->sessions != NULL && i < desktop->sessions->len; i++) {
        const Session *session = desktop->sessions->pdata[i];
        if (session->seated && session->active)
            chosen = session->id;
    }
    if (chosen == NULL && find_session(desktop, desktop->session) != NULL)
        return;
    set_session(desktop, chosen);
}

static gboolean on_inotify(int fd, G_GNUC_UNUSED GIOCondition condition, gpointer user)
{
    Desktop *desktop = user;
    char buffer[4096] G_GNUC_UNUSED __attribute__((aligned(__alignof__(struct inotify_event))));
    gboolean wanted = FALSE;
    gssize got = read(fd, buffer, sizeof buffer);
    for (gssize at = 0; at < got;) {
        const struct inotify_event *event = (const struct inotify_event *) (buffer + at);
        const char *name = event->len > 0 ? event->name : "";
        wanted = wanted || event->wd == desktop->socket_watch || strcmp(name, ".Xauthority") == 0 ||
                 g_str_has_prefix(name, "xauth_") || strcmp(name, "gdm") == 0;
        at += sizeof *event + event->len;
    }
    if (wanted && looking(desktop))
        kick(desktop);
    return G_SOURCE_CONTINUE;
}

static void sessions_read(Desktop *desktop)
{
    g_clear_pointer(&desktop->sessions, g_ptr_array_unref);
    desktop->sessions = g_steal_pointer(&desktop->reading);
    choose_session(desktop);
    kick(desktop);
    if (desktop->stale)
        read_sessions(desktop);
}

static void on_session(GObject *bus, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, &error);
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return;
    Desktop *desktop = user;
    if (reply != NULL) {
        g_autoptr(GVariant) values = NULL;
        Session *session = g_new0(Session, 1);
        g_variant_get(reply, "(@a{sv})", &values);
        g_variant_lookup(values, "Id", "s", &session->id);
        g_variant_lookup(values, "Type", "s", &session->type);
        g_variant_lookup(values, "Display", "s", &session->display);
        g_variant_lookup(values, "Active", "b", &session->active);
        const char *seat = NULL;
        g_autoptr(GVariant) seat_value = g_variant_lookup_value(values, "Seat", G_VARIANT_TYPE("(so)"));
        if (seat_value != NULL)
            g_variant_get(seat_value, "(&s&o)", &seat, NULL);
        session->seated = seat != NULL && seat[0] != '\0';
        if (session->id != NULL && session->type != NULL)
            g_ptr_array_add(desktop->reading, session);
        else
            session_free(session);
    }
    if (--desktop->unread == 0)
        sessions_read(desktop);
}

static void on_sessions(GObject *bus, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, &error);
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return;
    Desktop *desktop = user;
    desktop->no_logind = reply == NULL;
    if (reply != NULL) {
        g_autoptr(GVariantIter) iter = NULL;
        guint32 uid;
        const char *path;
        g_variant_get(reply, "(a(susso))", &iter);
        while (g_variant_iter_next(iter, "(&su&s&s&o)", NULL, &uid, NULL, NULL, &path)) {
            if (uid != getuid())
                continue;
            desktop->unread++;
            g_dbus_connection_call(desktop->system_bus, LOGIND, path, PROPERTIES, "GetAll",
                                   g_variant_new("(s)", LOGIND_SESSION), G_VARIANT_TYPE("(a{sv})"),
                                   G_DBUS_CALL_FLAGS_NONE, CALL_TIMEOUT_MS, desktop->calls, on_session, desktop);
        }
    } else {
        g_debug("no logind: %s", error->message);
    }
    if (desktop->unread == 0)
        sessions_read(desktop);
}

static void read_sessions(Desktop *desktop)
{
    desktop->stale = desktop->reading != NULL;
    if (desktop->stale)
        return;
    desktop->reading = g_ptr_array_new_with_free_func(session_free);
    g_dbus_connection_call(desktop->system_bus, LOGIND, LOGIND_PATH, LOGIND_MANAGER, "ListSessions", NULL,
                           G_VARIANT_TYPE("(a(susso))"), G_DBUS_CALL_FLAGS_NONE, CALL_TIMEOUT_MS, desktop->calls,
                           on_sessions, desktop);
}

static void on_logind(G_GNUC_UNUSED GDBusConnection *bus, G_GNUC_UNUSED const char *sender,
                      G_GNUC_UNUSED const char *path, G_GNUC_UNUSED const char *interface, const char *signal,
                      G_GNUC_UNUSED GVariant *parameters, gpointer user)
{
    if (strcmp(signal, "SessionNew") == 0 || strcmp(signal, "SessionRemoved") == 0 ||
        strcmp(signal, "PropertiesChanged") == 0)
        read_sessions(user);
}

static const char *const environment_keys[] = { "DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "XDG_SESSION_ID",
                                                "XDG_SESSION_TYPE" };

GVariant *desktop_environment(void)
{
    GVariantBuilder builder;
    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{ss}"));
    for (gsize i = 0; i < G_N_ELEMENTS(environment_keys); i++) {
        const char *value = g_getenv(environment_keys[i]);
        if (value != NULL && value[0] != '\0')
            g_variant_builder_add(&builder, "{ss}", environment_keys[i], value);
    }
    return g_variant_builder_end(&builder);
}

void desktop_attach(Desktop *desktop, GVariant *environment)
{
    g_autoptr(GVariant) values = g_variant_ref_sink(environment);
    const char *display = NULL, *xauthority = NULL, *session = NULL;
    g_variant_lookup(values, "DISPLAY", "&s", &display);
    g_variant_lookup(values, "XAUTHORITY", "&s", &xauthority);
    g_variant_lookup(values, "XDG_SESSION_ID", "&s", &session);
    g_autofree char *plain = plain_display(display);
    for (guint i = 0; i < desktop->hints->len; i++) {
        const Hint *old = desktop->hints->pdata[i];
        if (g_strcmp0(old->display, plain) == 0 || desktop->hints->len >= HINTS_MAX)
            g_ptr_array_remove_index(desktop->hints, i--);
    }
    Hint *hint = g_new0(Hint, 1);
    hint->session = g_strdup(session);
    hint->display = g_steal_pointer(&plain);
    hint->xauthority = g_strdup(xauthority);
    g_ptr_array_add(desktop->hints, hint);
    choose_session(desktop);
    kick(desktop);
}

void desktop_lost(Desktop *desktop)
{
    drop_display(desktop);
    kick(desktop);
}

static gboolean on_start(gpointer user)
{
    Desktop *desktop = user;
    desktop->retry_id = 0;
    desktop_attach(desktop, desktop_environment());
    if (desktop->system_bus != NULL)
        read_sessions(desktop);
    return G_SOURCE_REMOVE;
}

Desktop *desktop_new(GDBusConnection *system_bus, GDBusConnection *user_bus, const DesktopEvents *events, gpointer user)
{
    Desktop *desktop = g_new0(Desktop, 1);
    desktop->system_bus = system_bus;
    desktop->user_bus = user_bus;
    desktop->events = *events;
    desktop->user = user;
    desktop->calls = g_cancellable_new();
    desktop->hints = g_ptr_array_new_with_free_func(hint_free);
    desktop->no_logind = system_bus == NULL;
    desktop->socket_watch = desktop->home_watch = desktop->runtime_watch = -1;
    desktop->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (desktop->inotify >= 0)
        desktop->inotify_id = g_unix_fd_add(desktop->inotify, G_IO_IN, on_inotify, desktop);
    else
        g_warning("cannot watch for X servers: %s", g_strerror(errno));
    if (system_bus != NULL) {
        GDBusSignalFlags flags = G_DBUS_SIGNAL_FLAGS_NONE;
        desktop->logind_id = g_dbus_connection_signal_subscribe(system_bus, LOGIND, LOGIND_MANAGER, NULL, LOGIND_PATH,
                                                                NULL, flags, on_logind, desktop, NULL);
        desktop->changes_id =
            g_dbus_connection_signal_subscribe(system_bus, LOGIND, PROPERTIES, "PropertiesChanged", NULL,
                                               LOGIND_SESSION, flags, on_logind, desktop, NULL);
    }
    desktop->retry_id = g_idle_add(on_start, desktop);
    return desktop;
}

void desktop_free(Desktop *desktop)
{
    if (desktop == NULL)
        return;
    g_cancellable_cancel(desktop->calls);
    g_object_unref(desktop->calls);
    if (desktop->system_bus != NULL) {
        g_dbus_connection_signal_unsubscribe(desktop->system_bus, desktop->logind_id);
        g_dbus_connection_signal_unsubscribe(desktop->system_bus, desktop->changes_id);
    }
    g_clear_handle_id(&desktop->retry_id, g_source_remove);
    g_clear_handle_id(&desktop->inotify_id, g_source_remove);
    if (desktop->inotify >= 0)
        close(desktop->inotify);
    g_clear_pointer(&desktop->sessions, g_ptr_array_unref);
    g_clear_pointer(&desktop->reading, g_ptr_array_unref);
    g_clear_pointer(&desktop->manager, hint_free);
    g_ptr_array_unref(desktop->hints);
    g_free(desktop->session);
    g_free(desktop->display);
    g_free(desktop);
}
