/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * spice-agent-session: clipboard, displays and file transfers of one user's graphical session.
 *
 * What can wake the process: the system bus (system daemon, logind), the session bus, the display server, the two sockets of
 * client.h, inotify while a desktop is looked for, signals, and the timers of what is under way.
 */
#include "backends.h"
#include "client.h"
#include "config.h"
#include "desktop.h"
#include "files.h"
#include "log.h"
#include "notify.h"
#include "service.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_NAME "spice-agent-session.lock"
#define MAX_SIZE_LIMIT ((gint64) 1 << 31)
#define TIMEOUT_MIN_MS 100
#define TIMEOUT_MAX_MS 600000
/*
 * Another process serves this user, and knows of this session: the unit starts none again after this exit status, and
 * one after any other. To the desktop's autostart it is success, since systemd makes a unit of that too, which failed
 * otherwise.
 */
#define EXIT_HANDED_OVER 3

static const ConfigKey config_keys[] = {
    { "clipboard", "to-host", "true" },     { "clipboard", "from-host", "true" }, { "clipboard", "primary", "true" },
    { "clipboard", "max-size", "100M" },    { "clipboard", "timeout-ms", "5000" }, { "files", "enabled", "true" },
    { "files", "directory", "" },           { "displays", "follow", "true" },      { "displays", "scale", "auto" },
    { NULL, NULL, NULL },
};

typedef struct Session {
    GMainLoop *loop;
    int status;
    GDBusConnection *system_bus, *session_bus; /* session_bus may be NULL */
    FilesPolicy files_policy;
    Client *client;
    Clipboard *clipboard;
    Displays *displays;
    guint monitors_asked, monitors_left; /* MONITORS_CONFIG under way; of these, of clients that have left */
    Files *files;
    Notify *notify;
    Service *service;
    Desktop *desktop;
    Backends *backends;
} Session;

/* What works now, and with it what is announced. */
static void publish_backends(Session *session)
{
    Caps caps = { 0 };
    gboolean can_apply = FALSE;
    g_autofree char *clipboard = backends_clipboard(session->backends);
    g_autofree char *displays = backends_displays(session->backends, &can_apply);
    g_autofree char *layout = backends_layout(session->backends);
    clipboard_add_caps(session->clipboard, &caps);
    if (can_apply) {
        caps_add(&caps, VD_AGENT_CAP_REPLY);
        caps_add(&caps, VD_AGENT_CAP_MONITORS_CONFIG);
        caps_add(&caps, VD_AGENT_CAP_SPARSE_MONITORS_CONFIG);
        caps_add(&caps, VD_AGENT_CAP_MONITORS_CONFIG_POSITION);
    }
    if (!session->files_policy.enabled)
        caps_add(&caps, VD_AGENT_CAP_FILE_XFER_DISABLED);
    client_set_caps(session->client, &caps);

    GVariantBuilder backends;
    g_variant_builder_init(&backends, G_VARIANT_TYPE("a{ss}"));
    g_variant_builder_add(&backends, "{ss}", "clipboard", clipboard);
    g_variant_builder_add(&backends, "{ss}", "displays", displays);
    g_variant_builder_add(&backends, "{ss}", "layout", layout);
    g_variant_builder_add(&backends, "{ss}", "files", session->files_policy.enabled ? "directory" : "none: disabled");
    service_set(session->service, "Backends", g_variant_builder_end(&backends));
    service_set(session->service, "Compositor", backends_compositor(session->backends));
}

static void on_refused(const char *what, const char *why, gpointer user)
{
    Session *session = user;
    service_refused(session->service, what, why);
}

/* client.h → the services: the control socket is for clipboard and displays, the other for files. */

static void on_session(GVariant *info, gpointer user)
{
    Session *session = user;
    service_set(session->service, "Connected", g_variant_new_boolean(info != NULL));
    if (info != NULL)
        return;
    session->monitors_left = session->monitors_asked;
    service_set(session->service, "ClientConnected", g_variant_new_boolean(FALSE));
    clipboard_peer(session->clipboard, NULL, NULL);
    files_peer(session->files, NULL);
}

static void on_peer(ClientSocket socket, const Caps *agreed, const Caps *theirs, gpointer user)
{
    Session *session = user;
    if (socket == CLIENT_FILES) {
        files_peer(session->files, agreed);
        return;
    }
    if (agreed == NULL)
        session->monitors_left = session->monitors_asked;
    service_set(session->service, "ClientConnected", g_variant_new_boolean(agreed != NULL));
    clipboard_peer(session->clipboard, agreed, theirs);
}

/* In the order in which they came. The client there now is not to take what a former one asked for as its own. */
static void on_monitors_applied(gboolean done, gpointer user)
{
    Session *session = user;
    session->monitors_asked--;
    if (session->monitors_left > 0) {
        session->monitors_left--;
        return;
    }
    VdagentMessage reply = { .type = VD_AGENT_REPLY };
    reply.reply.type = VD_AGENT_MONITORS_CONFIG;
    reply.reply.error = done ? VD_AGENT_SUCCESS : VD_AGENT_ERROR;
    client_send(session->client, CLIENT_CONTROL, &reply);
}

static void on_message(ClientSocket socket, const VdagentMessage *message, gpointer user)
{
    Session *session = user;
    if (socket == CLIENT_FILES) {
        files_message(session->files, message);
    } else if (message->type == VD_AGENT_MONITORS_CONFIG) {
        session->monitors_asked++;
        displays_apply(session->displays, &message->monitors);
    } else if (message->type == VD_AGENT_GRAPHICS_DEVICE_INFO) {
        displays_devices(session->displays, &message->devices);
    } else if (message->type == VD_AGENT_CLIPBOARD_GRAB || message->type == VD_AGENT_CLIPBOARD_REQUEST ||
               message->type == VD_AGENT_CLIPBOARD_RELEASE || message->type == VD_AGENT_MAX_CLIPBOARD) {
        clipboard_message(session->clipboard, message);
    } else {
        g_debug("%s is not for the session", vdagent_name(message->type));
    }
}

static void on_bulk(ClientSocket socket, const VdagentMessage *head, gpointer user)
{
    Session *session = user;
    if (socket == CLIENT_FILES)
        files_bulk(session->files, head);
    else
        clipboard_bulk(session->clipboard, head);
}

static void on_data(ClientSocket socket, const guint8 *data, gsize size, gpointer user)
{
    Session *session = user;
    if (socket == CLIENT_FILES)
        files_data(session->files, data, size);
    else
        clipboard_data(session->clipboard, data, size);
}

static void on_bulk_end(ClientSocket socket, gpointer user)
{
    Session *session = user;
    if (socket == CLIENT_FILES)
        files_bulk_end(session->files);
    else
        clipboard_bulk_end(session->clipboard);
}

static void on_writable(ClientSocket socket, gpointer user)
{
    Session *session = user;
    if (socket == CLIENT_CONTROL)
        clipboard_writable(session->clipboard);
}

static const ClientEvents client_events = {
    .session = on_session,
    .peer = on_peer,
    .message = on_message,
    .bulk = on_bulk,
    .data = on_data,
    .bulk_end = on_bulk_end,
    .writable = on_writable,
};

/* The services → client.h. */

static gboolean send_control(const VdagentMessage *message, gpointer user)
{
    return client_send(((Session *) user)->client, CLIENT_CONTROL, message);
}

static gsize control_room(gpointer user)
{
    return client_room(((Session *) user)->client, CLIENT_CONTROL);
}

static void send_control_data(const guint8 *data, gsize size, gpointer user)
{
    client_send_data(((Session *) user)->client, CLIENT_CONTROL, data, size);
}

static void pause_control(gboolean paused, gpointer user)
{
    client_pause(((Session *) user)->client, CLIENT_CONTROL, paused);
}

static gboolean send_files(const VdagentMessage *message, gpointer user)
{
    return client_send(((Session *) user)->client, CLIENT_FILES, message);
}

static void on_layout(GVariant *outputs, gpointer user)
{
    Session *session = user;
    g_autoptr(GVariant) kept = g_variant_ref_sink(outputs);
    client_set_layout(session->client, kept);
    service_set(session->service, "Outputs", kept);
}

static void on_clipboard_lost(const char *why, gpointer user)
{
    backends_lost_clipboard(((Session *) user)->backends, why);
}

static void on_no_primary(gpointer user)
{
    backends_no_primary(((Session *) user)->backends);
}

static void on_displays_lost(const char *why, gpointer user)
{
    backends_lost_displays(((Session *) user)->backends, why);
}

static const ClipboardPeer clipboard_peer_functions = {
    .send = send_control,
    .room = control_room,
    .send_data = send_control_data,
    .pause = pause_control,
    .refused = on_refused,
    .lost = on_clipboard_lost,
    .no_primary = on_no_primary,
};

static const FilesPeer files_peer_functions = { .send = send_files, .refused = on_refused };

static const DisplaysPeer displays_peer_functions = {
    .layout = on_layout, .applied = on_monitors_applied, .refused = on_refused, .lost = on_displays_lost
};

/* desktop.h → the services. */

static void on_served_session(const char *id, gpointer user)
{
    Session *session = user;
    g_message("serving session %s", id != NULL ? id : "none");
    client_set_session(session->client, id);
    service_set(session->service, "Session", g_variant_new_string(id != NULL ? id : ""));
}

static gboolean on_serve(const BackendsPlace *place, gpointer user)
{
    Session *session = user;
    if (!backends_serve(session->backends, place))
        return FALSE;
    const char *name = place == NULL ? "" : place->wayland != NULL ? place->wayland : place->display;
    service_set(session->service, "Display", g_variant_new_take_string(g_utf8_make_valid(name, -1)));
    return TRUE;
}

static const DesktopEvents desktop_events = { .session = on_served_session, .serve = on_serve };

/* backends.h → the services. */

static void on_backends_changed(gpointer user)
{
    publish_backends(user);
}

static void on_desktop_answered(gpointer user)
{
    desktop_answered(((Session *) user)->desktop);
}

static void on_desktop_lost(gpointer user)
{
    desktop_lost(((Session *) user)->desktop);
}

static const BackendsEvents backends_events = {
    .changed = on_backends_changed, .answered = on_desktop_answered, .lost = on_desktop_lost
};

/* service.h → the services. */

static void on_attach(GVariant *environment, gpointer user)
{
    desktop_attach(((Session *) user)->desktop, environment);
}

static void on_copy(guint8 selection, const char *mime, int fd, GTask *task, gpointer user)
{
    clipboard_copy(((Session *) user)->clipboard, selection, mime, fd, task);
}

static void on_paste(guint8 selection, const char *mime, int fd, GTask *task, gpointer user)
{
    clipboard_paste(((Session *) user)->clipboard, selection, mime, fd, task);
}

static const ServiceEvents service_events = { .attach = on_attach, .copy = on_copy, .paste = on_paste };

/* Start and end. */

static gboolean on_signal(gpointer user)
{
    g_main_loop_quit(((Session *) user)->loop);
    return G_SOURCE_CONTINUE;
}

/*
 * Without the system bus there is nothing to serve. Without the session bus nobody can hand over to this process, which
 * has the lock: it would outlive its login and stand in the way of the next one.
 */
static void on_bus_closed(GDBusConnection *bus, G_GNUC_UNUSED gboolean vanished, G_GNUC_UNUSED GError *error,
                          gpointer user)
{
    Session *session = user;
    g_warning("the %s bus is gone", bus == session->system_bus ? "system" : "session");
    session->status = 1;
    g_main_loop_quit(session->loop);
}

static gboolean is_own_directory(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == getuid();
}

/*
 * The lock, the buses and the compositors of this user are in one directory, which a login has in its environment. Over
 * su it may be another user's, and over sudo none.
 */
static void find_runtime_directory(void)
{
    g_autofree char *usual = g_strdup_printf("/run/user/%u", (unsigned) getuid());
    const char *named = g_getenv("XDG_RUNTIME_DIR");
    if (named != NULL && is_own_directory(named))
        return;
    if (named != NULL)
        g_message("XDG_RUNTIME_DIR is no directory of this user: %s", named);
    if (is_own_directory(usual))
        g_setenv("XDG_RUNTIME_DIR", usual, TRUE);
    else
        g_unsetenv("XDG_RUNTIME_DIR");
    g_message("using the runtime directory %s", g_get_user_runtime_dir());
}

/* FALSE if another process of this user has the lock; it goes with the process. */
static gboolean lock_instance(void)
{
    g_autofree char *path = g_build_filename(g_get_user_runtime_dir(), LOCK_NAME, NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        g_warning("%s: %s; going on without a lock", path, g_strerror(errno));
        return TRUE;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return TRUE;
    close(fd);
    return FALSE;
}

/* Tell the process that serves this user where this session is, by our session bus or the user's. */
static gboolean hand_over(GDBusConnection *session_bus, gboolean start_it)
{
    g_autoptr(GVariant) environment = g_variant_ref_sink(desktop_environment());
    g_autoptr(GError) error = NULL;
    if (session_bus != NULL && service_hand_over(session_bus, environment, start_it, NULL))
        return TRUE;
    g_autofree char *address = g_strdup_printf("unix:path=%s/bus", g_get_user_runtime_dir());
    g_autoptr(GDBusConnection) user_bus = g_dbus_connection_new_for_address_sync(
        address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION, NULL,
        NULL, &error);
    if (user_bus != NULL && service_hand_over(user_bus, environment, start_it, &error))
        return TRUE;
    g_message("no daemon could be told of this session: %s", error->message);
    return FALSE;
}

static GDBusConnection *connect_bus(const char *address, GError **error)
{
    if (address == NULL)
        return g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, error);
    return g_dbus_connection_new_for_address_sync(address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                               G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                                  NULL, NULL, error);
}

static void publish_policy(Session *session, const Config *config)
{
    GVariantBuilder policy;
    g_variant_builder_init(&policy, G_VARIANT_TYPE("a{ss}"));
    for (const ConfigKey *key = config_keys; key->group != NULL; key++) {
        g_autofree char *name = g_strdup_printf("%s.%s", key->group, key->key);
        g_variant_builder_add(&policy, "{ss}", name, config_string(config, key->group, key->key));
    }
    service_set(session->service, "Policy", g_variant_builder_end(&policy));
}

static gboolean auto_scale(const Config *config)
{
    const char *scale = config_string(config, "displays", "scale");
    if (strcmp(scale, "auto") != 0 && strcmp(scale, "keep") != 0)
        g_warning("[displays] scale: \"%s\" is neither auto nor keep, using keep", scale);
    return strcmp(scale, "auto") == 0;
}

static const char *files_directory(const Config *config)
{
    const char *directory = config_string(config, "files", "directory");
    if (directory[0] == '\0')
        return NULL;
    if (g_path_is_absolute(directory))
        return directory;
    g_warning("[files] directory: \"%s\" is not an absolute path, using the download directory", directory);
    return NULL;
}

/*
 * Leave the session to another process that serves this user, if there is one: then the exit status of this one, else
 * -1, and this one has the lock.
 */
static int yield(GDBusConnection *session_bus, gboolean autostart)
{
    /* One that a unit runs comes back when it is killed. */
    gboolean told = autostart && hand_over(session_bus, TRUE);
    if (!told && lock_instance())
        return -1;
    if (!told && !hand_over(session_bus, FALSE)) {
        /* It is about to end, or hangs: whoever starts this one is to try again. */
        g_warning("another process has the lock and cannot be told of this session");
        return 1;
    }
    return autostart ? 0 : EXIT_HANDED_OVER;
}

static void start(Session *session, const Config *config)
{
    ClipboardPolicy clipboard_policy = {
        .to_host = config_boolean(config, "clipboard", "to-host"),
        .from_host = config_boolean(config, "clipboard", "from-host"),
        .primary = config_boolean(config, "clipboard", "primary"),
        .max_size = config_number(config, "clipboard", "max-size", 0, MAX_SIZE_LIMIT),
        .converter = LIBEXECDIR "/spice-agent-convert",
        .timeout_ms = config_number(config, "clipboard", "timeout-ms", TIMEOUT_MIN_MS, TIMEOUT_MAX_MS),
    };
    DisplaysPolicy displays_policy = {
        .sysfs = "/sys",
        .follow = config_boolean(config, "displays", "follow"),
        .auto_scale = auto_scale(config),
    };
    session->files_policy = (FilesPolicy){
        .enabled = config_boolean(config, "files", "enabled"),
        .directory = files_directory(config),
    };
    session->service = service_new(session->session_bus, &service_events, session);
    session->notify = notify_new(session->session_bus);
    session->client = client_new(session->system_bus, &client_events, session);
    session->clipboard = clipboard_new(&clipboard_policy, &clipboard_peer_functions, session);
    session->displays = displays_new(&displays_policy, &displays_peer_functions, session);
    session->files = files_new(&session->files_policy, &files_peer_functions, session->notify, session);
    session->backends = backends_new(session->clipboard, session->displays, session->session_bus, &backends_events,
                                     session);
    publish_policy(session, config);
    publish_backends(session);
    session->desktop = desktop_new(session->system_bus, session->session_bus, &desktop_events, session);
}

static void stop(Session *session)
{
    desktop_free(session->desktop);
    backends_free(session->backends);
    files_free(session->files);
    displays_free(session->displays);
    clipboard_free(session->clipboard);
    client_free(session->client);
    notify_free(session->notify);
    service_free(session->service);
}

int main(int argc, char **argv)
{
    gboolean autostart = FALSE, debug = FALSE, version = FALSE;
    g_autofree char *bus = NULL, *directory = NULL;
    const GOptionEntry entries[] = {
        { "autostart", 0, 0, G_OPTION_ARG_NONE, &autostart, "have the user's systemd run it, if there is one", NULL },
        { "bus", 0, 0, G_OPTION_ARG_STRING, &bus, "D-Bus address to use instead of the system bus", "ADDRESS" },
        { "config", 0, 0, G_OPTION_ARG_FILENAME, &directory, "read settings from DIR instead of " CONFIG_DIR, "DIR" },
        { "debug", 0, 0, G_OPTION_ARG_NONE, &debug, "log what happens in detail", NULL },
        { "version", 0, 0, G_OPTION_ARG_NONE, &version, "print the version and exit", NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    g_autoptr(GOptionContext) options = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;
    g_option_context_set_summary(options, "Clipboard, displays and file transfers of a SPICE guest's session.");
    g_option_context_add_main_entries(options, entries, NULL);
    if (!g_option_context_parse(options, &argc, &argv, &error) || argc > 1) {
        fprintf(stderr, "spice-agent-session: %s\n", error != NULL ? error->message : "unexpected argument");
        return 2;
    }
    if (version) {
        printf("spice-agent-session %s\n", SPICE_PV_VERSION);
        return 0;
    }
    log_setup("spice-agent-session", debug);
    /* Else the stack of a thread costs 2 MiB when it happens to be aligned to that. notify.c does not pass it on. */
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);

    find_runtime_directory();
    g_autoptr(Config) config = config_load(directory, "agent-session", config_keys, &error);
    if (config == NULL) {
        g_warning("%s", error->message);
        return 1;
    }
    Session session = { 0 };
    session.session_bus = g_bus_get_sync(G_BUS_TYPE_SESSION, NULL, &error);
    if (session.session_bus == NULL) {
        g_message("no session bus, so neither status nor notifications: %s", error->message);
        g_clear_error(&error);
    } else {
        g_dbus_connection_set_exit_on_close(session.session_bus, FALSE);
    }
    int yielded = yield(session.session_bus, autostart);
    if (yielded >= 0) {
        g_clear_object(&session.session_bus);
        return yielded;
    }
    session.system_bus = connect_bus(bus, &error);
    if (session.system_bus == NULL) {
        g_warning("system bus: %s", error->message);
        g_clear_object(&session.session_bus);
        return 1;
    }
    g_dbus_connection_set_exit_on_close(session.system_bus, FALSE);
    session.loop = g_main_loop_new(NULL, FALSE);
    gulong system_id = g_signal_connect(session.system_bus, "closed", G_CALLBACK(on_bus_closed), &session);
    gulong session_id = 0;
    if (session.session_bus != NULL)
        session_id = g_signal_connect(session.session_bus, "closed", G_CALLBACK(on_bus_closed), &session);
    guint signal_ids[] = {
        g_unix_signal_add(SIGTERM, on_signal, &session),
        g_unix_signal_add(SIGINT, on_signal, &session),
    };
    start(&session, config);
    g_main_loop_run(session.loop);
    stop(&session);
    for (gsize i = 0; i < G_N_ELEMENTS(signal_ids); i++)
        g_source_remove(signal_ids[i]);
    g_signal_handler_disconnect(session.system_bus, system_id);
    if (session.session_bus != NULL)
        g_signal_handler_disconnect(session.session_bus, session_id);
    g_main_loop_unref(session.loop);
    g_clear_object(&session.system_bus);
    g_clear_object(&session.session_bus);
    return session.status;
}
