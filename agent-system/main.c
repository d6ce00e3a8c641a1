/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * spice-agent-system: the guest's system daemon.
 *
 *   port → demux → pointer → uinput                     session's sockets → link → relay → port
 *                ↘ relay → link → session's sockets     seat, sessions (D-Bus) → who may have a link
 *   sessions, devices of the host → mapping → pointer, demux, and spice-pvmouse
 */
#include "config.h"
#include "link.h"
#include "log.h"
#include "mapping.h"
#include "pointer.h"
#include "port.h"
#include "relay.h"
#include "sandbox.h"
#include "seat.h"
#include "sessions.h"
#include "uinput.h"

#include <errno.h>
#include <glib-unix.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define PORT_PATH "/dev/virtio-ports/com.redhat.spice.0"
#define UINPUT_PATH "/dev/uinput"
#define SYSFS_PATH "/sys"
/* How often a port is tried that another program has. */
#define BUSY_S 5
/* The settings cannot be read, and systemd is not to try again. */
#define EXIT_SETTINGS 2

typedef struct App {
    GMainLoop *loop;
    gboolean ending;
    int status;
    const char *port_path, *sysfs;

    Port *port;
    guint busy_id;
    gboolean busy_told;
    gboolean host;
    gboolean relayed; /* what came in this turn was not for the pointer alone */
    guint64 opened; /* counts: a port that was opened anew is not the one whose input is being taken */
    Demux demux;
    Relay *relay;
    guint timer_id;
    gint64 timer_at;

    gboolean pointer_wanted;
    char *pointer_error;
    Uinput *uinput;
    Pointer pointer;

    Link *link;
    gboolean client;
    Caps client_caps;

    GDBusConnection *bus;
    Seat *seat;
    Sessions *sessions;
    gboolean clipboard, files;

    Mapping *mapping;
    Layout layout;

    LogPeer host_log;
} App;

static void open_port(App *app);
static void close_port(App *app);
static void after_relay(App *app);

static gint64 now_ms(void)
{
    return g_get_monotonic_time() / 1000;
}

static void quit(App *app, int status)
{
    app->status = status;
    app->ending = TRUE;
    g_main_loop_quit(app->loop);
}

static void changed(App *app, const char *name)
{
    if (app->sessions)
        sessions_changed(app->sessions, name);
}

/* ---- pointer ---- */

static void write_steps(App *app, const PointerStep *steps, gsize count)
{
    g_autoptr(GError) error = NULL;

    if (count == 0 || !app->uinput || app->status != EXIT_SUCCESS || uinput_write(app->uinput, steps, count, &error))
        return;
    g_warning("the pointer stops working: %s", error->message);
    quit(app, EXIT_FAILURE);
}

/* Motion waits while edges do, which take their position along. */
static void flush_pointer(gpointer user)
{
    App *app = user;
    PointerStep steps[POINTER_STEPS_MAX];

    if (app->uinput && !uinput_behind(app->uinput))
        write_steps(app, steps, pointer_flush(&app->pointer, steps));
}

static void release_buttons(App *app)
{
    PointerStep steps[POINTER_STEPS_MAX];

    write_steps(app, steps, pointer_release(&app->pointer, steps));
}

/* ---- displays ---- */

static void on_mapping(const Layout *layout, gpointer user)
{
    App *app = user;

    app->layout = *layout;
    for (guint i = 0; i < LIMIT_DISPLAYS; i++)
        demux_set_size(&app->demux, i, layout->display[i].mode_w, layout->display[i].mode_h);
    pointer_set_layout(&app->pointer, layout);
    changed(app, "Displays");
    open_port(app);
}

static gboolean on_layout(const OutputsEntry *entries, gsize count, gpointer user)
{
    App *app = user;

    return mapping_session(app->mapping, entries, count);
}

static void on_devices(const VdagentDevices *devices, void *user)
{
    App *app = user;

    mapping_devices(app->mapping, devices);
    changed(app, "Displays"); /* their connectors */
}

/* ---- port ---- */

static void on_pointer(App *app, const PvmouseFrame *frame)
{
    PointerStep steps[POINTER_STEPS_MAX];

    write_steps(app, steps, pointer_feed(&app->pointer, frame, steps));
    mapping_used(app->mapping);
}

static void reopen_port(App *app)
{
    g_clear_pointer(&app->port, port_free);
    release_buttons(app);
    open_port(app);
}

static void on_port_data(const guint8 *data, gsize size, gpointer user)
{
    App *app = user;
    BytesReader in = bytes_reader(data, size);
    guint64 opened = app->opened;
    gint64 now = -1; /* asked for when needed: motion needs none, and a clock may be slow in a guest */
    DemuxEvent event;

    while (app->port && app->opened == opened) {
        switch (demux_next(&app->demux, &in, &event)) {
        case DEMUX_MORE:
            /* What the session gets goes out when all that is there has been read; see on_port_drained(). */
            if (app->relayed)
                port_pause(app->port, relay_paused(app->relay));
            return;
        case DEMUX_POINTER:
            on_pointer(app, &event.pointer);
            break;
        case DEMUX_AGENT:
            app->relayed = TRUE;
            now = now < 0 ? now_ms() : now;
            relay_host_event(app->relay, &event, now);
            /* The client may have left in the middle of a message. */
            if (event.result == STREAM_MESSAGE && event.stream.header.type == VD_AGENT_CLIENT_DISCONNECTED)
                demux_reset_client(&app->demux);
            break;
        case DEMUX_SKIPPED:
            log_peer(&app->host_log, "a chunk for port %u, which does not exist, is passed over", event.port);
            break;
        case DEMUX_BROKEN:
            log_peer(&app->host_log, "its byte stream is out of step; opening the port anew");
            relay_host(app->relay, false, now_ms());
            reopen_port(app);
            break;
        }
    }
    after_relay(app);
}

static void on_port_drained(gpointer user)
{
    App *app = user;

    flush_pointer(app);
    if (app->relayed)
        after_relay(app);
    else if (app->uinput && !uinput_behind(app->uinput))
        port_stay(app->port); /* nothing but motion */
    app->relayed = FALSE;
}

static gsize on_port_fill(guint8 *buffer, gsize size, gpointer user)
{
    App *app = user;
    guint8 chunk[MUX_CHUNK_MAX];
    gsize used = 0, next;

    G_STATIC_ASSERT(MUX_CHUNK_MAX == PORT_FILL_MIN);
    while (size - used >= MUX_CHUNK_MAX && (next = relay_fill(app->relay, chunk)) > 0) {
        memcpy(buffer + used, chunk, next);
        used += next;
    }
    after_relay(app);
    return used;
}

static void on_port_connected(gboolean connected, gpointer user)
{
    App *app = user;

    app->host = connected;
    relay_host(app->relay, connected, now_ms());
    /*
     * QEMU's built-in agent channel closes to make us start over, and waits for our end to close too; for others there is no
     * difference between the old descriptor and a new one.
     */
    if (!connected)
        reopen_port(app);
    after_relay(app);
    changed(app, "PortState");
}

static void on_port_gone(const GError *error, gpointer user)
{
    App *app = user;

    gboolean closed = g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CLOSED);

    if (closed)
        g_message("%s; ending until the port is there again", error->message);
    else
        g_warning("%s", error->message);
    close_port(app);
    quit(app, closed ? EXIT_SUCCESS : EXIT_FAILURE);
}

static gboolean port_allowed(const App *app)
{
    return !app->pointer_wanted || (app->uinput && layout_known(&app->layout));
}

static gboolean on_busy(gpointer user)
{
    App *app = user;

    app->busy_id = 0;
    open_port(app);
    return G_SOURCE_REMOVE;
}

static void on_open_failed(App *app, const GError *error)
{
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND)) {
        g_message("%s; nothing to do", error->message);
        quit(app, EXIT_SUCCESS);
    } else if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_BUSY)) {
        /* As another agent's, which may be ended one day: nobody tells. */
        if (!app->busy_told)
            g_warning("%s; trying again every %d s", error->message, BUSY_S);
        app->busy_told = TRUE;
        app->busy_id = g_timeout_add_seconds(BUSY_S, on_busy, app);
    } else {
        g_warning("%s", error->message);
        quit(app, EXIT_FAILURE);
    }
}

static void open_port(App *app)
{
    static const PortEvents events = { on_port_data, on_port_drained, on_port_fill, on_port_connected, on_port_gone };
    g_autoptr(GError) error = NULL;

    if (app->port || app->busy_id != 0 || !port_allowed(app))
        return;
    demux_reset(&app->demux);
    app->host = FALSE;
    app->opened++;
    app->port = port_open(app->port_path, &events, app, &error);
    if (app->port)
        app->busy_told = FALSE;
    else
        on_open_failed(app, error);
    changed(app, "PortState");
}

static void close_port(App *app)
{
    if (!app->port)
        return;
    g_clear_pointer(&app->port, port_free);
    app->host = FALSE;
    app->opened++;
    release_buttons(app);
    relay_host(app->relay, false, now_ms());
    changed(app, "PortState");
}

/* ---- relay ---- */

static void on_client(const Caps *agreed, const Caps *theirs, void *user)
{
    static const Caps none = { { 0 } };
    App *app = user;

    app->client = agreed != NULL;
    app->client_caps = theirs ? *theirs : none;
    demux_set_caps(&app->demux, agreed ? agreed : &none);
    g_debug("client %s", agreed ? "connected" : "disconnected");
    if (!agreed)
        release_buttons(app);
    changed(app, "ClientConnected");
    changed(app, "ClientCapabilities");
}

static void on_kick(void *user)
{
    App *app = user;

    if (app->port)
        port_kick(app->port);
}

static void on_end_session(G_GNUC_UNUSED const char *why, void *user)
{
    App *app = user;

    g_clear_pointer(&app->link, link_free);
    changed(app, "SessionConnected");
}

static void on_reopen(G_GNUC_UNUSED const char *why, void *user)
{
    reopen_port(user);
}

static gboolean on_timer(gpointer user)
{
    App *app = user;

    app->timer_id = 0;
    /* The kernel tells of room only when most of its buffer is empty: what a slow reader has taken shows when tried. */
    if (app->link)
        link_update(app->link);
    relay_tick(app->relay, now_ms());
    after_relay(app);
    return G_SOURCE_REMOVE;
}

/* What every call into the relay may have changed. */
static void watch_relay(App *app)
{
    gint64 deadline = relay_deadline(app->relay);

    if (app->port)
        port_pause(app->port, relay_paused(app->relay));
    if (app->timer_id != 0 && app->timer_at == deadline)
        return;
    g_clear_handle_id(&app->timer_id, g_source_remove);
    app->timer_at = deadline;
    if (deadline != INT64_MAX)
        app->timer_id = g_timeout_add((guint)CLAMP(deadline - now_ms(), 0, G_MAXINT), on_timer, app);
}

static void after_relay(App *app)
{
    if (app->link)
        link_update(app->link);
    watch_relay(app);
}

/* ---- session ---- */

static gsize on_link_want(RouterSocket socket, gpointer user)
{
    App *app = user;

    return relay_session_want(app->relay, socket);
}

static void on_link_data(RouterSocket socket, const guint8 *data, gsize size, gpointer user)
{
    App *app = user;

    relay_session_data(app->relay, socket, data, size, now_ms());
    watch_relay(app);
}

static const guint8 *on_link_peek(RouterSocket socket, gsize *ret_size, gpointer user)
{
    App *app = user;

    return relay_session_peek(app->relay, socket, ret_size);
}

static void on_link_taken(RouterSocket socket, gsize size, gpointer user)
{
    App *app = user;

    relay_session_taken(app->relay, socket, size, now_ms());
    watch_relay(app);
}

static void end_link(App *app, const char *why)
{
    if (!app->link)
        return;
    g_message("session connection ended: %s", why);
    g_clear_pointer(&app->link, link_free);
    relay_session_close(app->relay, now_ms());
    watch_relay(app);
    changed(app, "SessionConnected");
}

static void on_link_closed(const char *why, gpointer user)
{
    App *app = user;

    end_link(app, why);
    mapping_forget_session(app->mapping); /* nobody would tell of the next change; the next connection says it again */
}

static gboolean on_open(RouterSession session, int ret_peer[ROUTER_SOCKETS], GError **error, gpointer user)
{
    static const LinkEvents events = { on_link_want, on_link_data, on_link_peek, on_link_taken, on_link_closed };
    App *app = user;

    end_link(app, "a newer one takes its place");
    app->link = link_new(&events, app, ret_peer, error);
    if (!app->link)
        return FALSE;
    g_message("session %s connected", sessions_active(app->sessions));
    relay_session_open(app->relay, session, now_ms());
    after_relay(app);
    changed(app, "SessionConnected");
    return TRUE;
}

static void on_seat(const SeatSession *session, gpointer user)
{
    App *app = user;
    g_autofree char *before = g_strdup(sessions_active(app->sessions));

    relay_locked(app->relay, session && session->locked);
    if (!session || !g_str_equal(session->id, before)) {
        end_link(app, "another session is active");
        release_buttons(app);
        mapping_forget_session(app->mapping);
    }
    sessions_set_active(app->sessions, session);
    if (session && !g_str_equal(session->id, before))
        g_message("active session: %s of user %u", session->id, session->uid);
}

/* ---- properties ---- */

static GVariant *displays(const App *app)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a(usuu)"));
    for (guint i = 0; i < LIMIT_DISPLAYS; i++) {
        const LayoutDisplay *display = &app->layout.display[i];

        if (display->mode_w > 0)
            g_variant_builder_add(&builder, "(usuu)", i, mapping_connector(app->mapping, i), display->mode_w, display->mode_h);
    }
    return g_variant_builder_end(&builder);
}

static GVariant *counters(const App *app)
{
    const struct {
        const char *name;
        guint64 value;
    } own[] = {
        { "mouse-states", app->demux.mouse_states },
        { "mouse-unknown-display", app->demux.unknown_displays + app->pointer.unknown_display },
        { "pointer-frames", app->pointer.frames },
        { "pointer-coalesced", app->pointer.coalesced },
        { "pointer-presses", app->pointer.presses },
        { "pointer-turns", app->pointer.turns },
        { "port-opened", app->opened },
    };
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{st}"));
    for (gsize i = 0; i < G_N_ELEMENTS(own); i++)
        g_variant_builder_add(&builder, "{st}", own[i].name, own[i].value);
    for (guint i = 0; i < RELAY_COUNTERS; i++)
        g_variant_builder_add(&builder, "{st}", relay_counter_name(i), relay_counters(app->relay)[i]);
    return g_variant_builder_end(&builder);
}

static GVariant *capabilities(const App *app)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("au"));
    for (guint i = 0; i < 32 * LIMIT_CAPS_WORDS; i++) {
        if (caps_has(&app->client_caps, i))
            g_variant_builder_add(&builder, "u", i);
    }
    return g_variant_builder_end(&builder);
}

static GVariant *pointer_state(const App *app)
{
    if (!app->pointer_wanted)
        return g_variant_new_string("off");
    if (app->uinput)
        return g_variant_new_string("uinput");

    g_autofree char *text = g_strdup_printf("failed: %s", app->pointer_error);
    return g_variant_new_string(text);
}

static GVariant *on_property(const char *name, gpointer user)
{
    App *app = user;

    if (g_str_equal(name, "ActiveSession"))
        return g_variant_new_string(sessions_active(app->sessions));
    if (g_str_equal(name, "ActiveUser"))
        return g_variant_new_uint32(sessions_active_user(app->sessions));
    if (g_str_equal(name, "PortState"))
        return g_variant_new_string(!app->port ? "closed" : app->host ? "open" : "waiting");
    if (g_str_equal(name, "ClientConnected"))
        return g_variant_new_boolean(app->client);
    if (g_str_equal(name, "ClientCapabilities"))
        return capabilities(app);
    if (g_str_equal(name, "SessionConnected"))
        return g_variant_new_boolean(app->link != NULL);
    if (g_str_equal(name, "PointerState"))
        return pointer_state(app);
    if (g_str_equal(name, "Displays"))
        return displays(app);
    if (g_str_equal(name, "Counters"))
        return counters(app);
    return g_variant_new_string(SPICE_PV_VERSION);
}

/* ---- bus ---- */

static void on_bus_closed(G_GNUC_UNUSED GDBusConnection *bus, G_GNUC_UNUSED gboolean vanished,
                          G_GNUC_UNUSED GError *error, gpointer user)
{
    g_warning("the system bus is gone");
    quit(user, EXIT_FAILURE);
}

static void on_bus(G_GNUC_UNUSED GObject *source, GAsyncResult *result, gpointer user)
{
    static const SessionsEvents events = { on_open, on_layout, on_property };
    g_autoptr(GError) error = NULL;
    App *app = user;

    app->bus = g_dbus_connection_new_for_address_finish(result, &error);
    if (app->bus)
        app->sessions = sessions_new(app->bus, app->clipboard, app->files, &events, app, &error);
    if (!app->sessions) {
        g_warning("no session can connect: %s", error->message);
        return;
    }
    g_signal_connect(app->bus, "closed", G_CALLBACK(on_bus_closed), app);
    app->seat = seat_new(app->bus, on_seat, app);
}

static gboolean connect_bus(App *app, const char *address, GError **error)
{
    g_autofree char *system = address ? NULL : g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, error);

    if (!address && !system)
        return FALSE;
    g_dbus_connection_new_for_address(address ? address : system,
                                      G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                          G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                      NULL, NULL, on_bus, app);
    return TRUE;
}

/* ---- start ---- */

static gboolean on_signal(gpointer user)
{
    quit(user, EXIT_SUCCESS);
    return G_SOURCE_CONTINUE;
}

static void open_pointer(App *app, const char *path)
{
    g_autoptr(GError) error = NULL;

    app->uinput = uinput_new(path, FALSE, &error);
    if (!app->uinput) {
        g_warning("no pointer: %s; the port stays closed, unless the configuration says [pointer] enabled=false",
                  error->message);
        app->pointer_error = g_strdup(error->message);
        return;
    }
    uinput_on_caught_up(app->uinput, flush_pointer, app);
}

static gboolean start(App *app, const char *config_dir, const char *uinput_path, const char *bus, GError **error)
{
    static const ConfigKey keys[] = {
        { "pointer", "enabled", "true" },
        { "clipboard", "enabled", "true" },
        { "clipboard", "max-size", "0" },
        { "files", "enabled", "true" },
        { NULL, NULL, NULL },
    };
    static const RelayEvents events = { on_client, on_devices, on_kick, on_end_session, on_reopen };
    g_autoptr(Config) config = config_load(config_dir, "agent-system", keys, error);
    RelayPolicy policy;

    if (!config) {
        app->status = EXIT_SETTINGS;
        return FALSE;
    }
    app->pointer_wanted = config_boolean(config, "pointer", "enabled");
    app->clipboard = config_boolean(config, "clipboard", "enabled");
    app->files = config_boolean(config, "files", "enabled");
    policy = (RelayPolicy){
        .clipboard = app->clipboard,
        .files = app->files,
        .max_clipboard = (guint32)config_number(config, "clipboard", "max-size", 0, G_MAXUINT32),
    };
    app->relay = relay_new(&policy, &events, app);
    app->host_log.name = "host";
    demux_init(&app->demux);
    pointer_init(&app->pointer);

    app->mapping = mapping_new(app->sysfs, on_mapping, app, error);
    if (!app->mapping)
        return FALSE;
    if (app->pointer_wanted)
        open_pointer(app, uinput_path);
    if (!sandbox_enter(SANDBOX_SYSTEM, NULL, error))
        return FALSE;

    relay_pointer(app->relay, app->uinput != NULL, now_ms());
    g_unix_signal_add(SIGTERM, on_signal, app);
    g_unix_signal_add(SIGINT, on_signal, app);
    open_port(app);
    return connect_bus(app, bus, error);
}

static void stop(App *app)
{
    close_port(app);
    g_clear_pointer(&app->link, link_free);
    g_clear_handle_id(&app->timer_id, g_source_remove);
    g_clear_handle_id(&app->busy_id, g_source_remove);
    g_clear_pointer(&app->seat, seat_free);
    g_clear_pointer(&app->sessions, sessions_free);
    g_clear_object(&app->bus);
    mapping_free(app->mapping);
    uinput_free(app->uinput);
    relay_free(app->relay);
    g_free(app->pointer_error);
    g_main_loop_unref(app->loop);
}

int main(int argc, char **argv)
{
    g_autofree char *config = NULL, *port = NULL, *uinput = NULL, *bus = NULL, *sysfs = NULL;
    gboolean debug = FALSE, version = FALSE;
    const GOptionEntry entries[] = {
        { "config", 0, 0, G_OPTION_ARG_FILENAME, &config, "Directory of agent-system.conf (" CONFIG_DIR ")", "DIR" },
        { "port", 0, 0, G_OPTION_ARG_FILENAME, &port, "Agent port (" PORT_PATH ")", "PATH" },
        { "uinput", 0, 0, G_OPTION_ARG_FILENAME, &uinput, "Input device node (" UINPUT_PATH ")", "PATH" },
        { "bus", 0, 0, G_OPTION_ARG_STRING, &bus, "D-Bus address in place of the system bus", "ADDRESS" },
        { "sysfs", 0, 0, G_OPTION_ARG_FILENAME, &sysfs, "Where sysfs is mounted (" SYSFS_PATH ")", "DIR" },
        { "debug", 0, 0, G_OPTION_ARG_NONE, &debug, "Log more", NULL },
        { "version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version and exit", NULL },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) options = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;
    App app = { .status = EXIT_SUCCESS };

    g_option_context_set_summary(options, "The SPICE agent's system daemon: pointer, and the relay to sessions.");
    g_option_context_add_main_entries(options, entries, NULL);
    if (!g_option_context_parse(options, &argc, &argv, &error)) {
        g_printerr("%s\n", error->message);
        return EXIT_FAILURE;
    }
    if (version) {
        g_print("spice-agent-system " SPICE_PV_VERSION "\n");
        return EXIT_SUCCESS;
    }
    log_setup("spice-agent-system", debug);
    /* Else the stack of a thread costs 2 MiB when it happens to be aligned to that. */
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    app.port_path = port ? port : PORT_PATH;
    app.sysfs = sysfs ? sysfs : SYSFS_PATH;
    if (access(app.port_path, F_OK) < 0 && errno == ENOENT) {
        g_message("%s: no such port; nothing to do", app.port_path);
        return EXIT_SUCCESS;
    }
    app.loop = g_main_loop_new(NULL, FALSE);
    g_main_context_set_poll_func(NULL, port_poll);
    if (start(&app, config, uinput ? uinput : UINPUT_PATH, bus, &error)) {
        if (!app.ending)
            g_main_loop_run(app.loop);
    } else {
        g_critical("%s", error->message);
        if (app.status == EXIT_SUCCESS)
            app.status = EXIT_FAILURE;
    }
    stop(&app);
    return app.status;
}
