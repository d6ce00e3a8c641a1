/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A SPICE client without a window, on the library that remote-viewer and virt-manager use, driven by lines.
 *
 * Each line on standard input is "NUMBER VERB ARGUMENT…" with shell quoting and is answered by one line of JSON,
 * {"id":NUMBER,"ok":true,…} or {"id":NUMBER,"ok":false,"error":TEXT}; what happens without being asked is
 * {"event":NAME,"time":MICROSECONDS,…}. Verbs (SEL is 0 clipboard, 1 primary, 2 secondary; TYPE is a number of the
 * vdagent protocol):
 *
 *   connect unix PATH | tcp HOST PORT | tls HOST PORT, then PROPERTY=VALUE…
 *                                          properties of SpiceSession: password, ca-file, verify (hostname, subject),
 *                                          cert-subject, enable-usbredir (yes, no), smartcard-certificates (A,B,C), …
 *   disconnect
 *   channels                               type, number and last state of each
 *   state                                  mouse mode, agent, capabilities, displays
 *   mode client | server                   asks for that mouse mode
 *   position X Y DISPLAY                   motion DX DY
 *   key SCANCODE                           a key of the first PC set, pressed and released
 *   press BUTTON | release BUTTON          buttons 1…7, wheel steps are 4 (up) and 5 (down)
 *   burst position|click|moved-click|wheel N RATE
 *                                          N of them, RATE per second or 0 for without a pause; the answer comes when
 *                                          the last one has been handed to the library. Number I of the positions, and
 *                                          of those where a moved-click is, is 10 + I % 500, 10 + I % 400
 *   latency PATH N GAP                     N times: a position, then wait for a byte on the unix socket PATH, then GAP
 *                                          ms of silence; answers with the times in µs, -1 for "nothing within 2 s"
 *   grab SEL TYPE=FILE…                    offers the files; "TYPE=" never answers a request for that type
 *   ungrab SEL                             takes the offer back
 *   request SEL TYPE FILE                  answers when the guest's data has been written to FILE
 *   monitor ID X Y W H [MMW MMH]           monitor ID off      send (the configuration built so far)
 *   files PATH…                            answers when all have ended; "file" events tell how each of them did
 *   cancel NAME                            cancels the transfer of that name
 *   share-cd FILE                          redirects an emulated USB drive with this medium; answers when the library
 *                                          has given it to a channel, needs enable-usbredir
 *   unshare                                answers when all redirected devices have been taken away
 *   ports                                  the named port channels
 *   port NAME TEXT                         writes to it (C escapes); answers when the library has taken it
 *   card remove | insert                   the software smartcard, needs smartcard-certificates; only the first
 *                                          connection of a process can be trusted with it, since the library takes the
 *                                          reader for known to each later server and does not announce it
 *
 * A channel that fails tells why: a "channel" event of state "error" has a reason (connect, tls, link, auth, io) and a
 * message. A device that the server takes back is a "usb-error". Text from a port comes in "port-data" events, with one
 * character per byte.
 */
#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <glib-unix.h>
#include <spice-client.h>
#include <spice/vd_agent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SELECTIONS = 3, TYPES = 8, DISPLAYS = 16 };

typedef struct Request {
    gint64 id;
    guint32 type;
    char *path;
} Request;

typedef struct Burst {
    gint64 id;
    char *kind;
    int count, done;
    double rate;
    gint64 start;
} Burst;

typedef struct Latency {
    gint64 id;
    int fd, left;
    guint gap, timeout, next;
    gint64 sent;
    GString *times;
} Latency;

typedef struct PortWrite {
    gint64 id;
    char *text; /* the library sends from here until it calls back */
} PortWrite;

static GMainLoop *loop;
static SpiceSession *session;
static SpiceMainChannel *main_channel;
static SpiceInputsChannel *inputs;
static SpiceChannel *displays[DISPLAYS];
static guint button_mask;
static char *offers[SELECTIONS][TYPES]; /* file per type; "" = never answer */
static GQueue requests[SELECTIONS] = { G_QUEUE_INIT, G_QUEUE_INIT, G_QUEUE_INIT };
static GPtrArray *transfers;

G_GNUC_PRINTF(1, 2)
static void say(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
}

G_GNUC_PRINTF(2, 3)
static void event(const char *name, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *rest = g_strdup_vprintf(format, ap);
    va_end(ap);
    say("{\"event\":\"%s\",\"time\":%" G_GINT64_FORMAT "%s%s}", name, g_get_monotonic_time(), *rest ? "," : "", rest);
}

static char *quoted(const char *text)
{
    GString *s = g_string_new("\"");
    for (; text && *text; text++)
        if ((guchar)*text < 0x20 || *text == '"' || *text == '\\')
            g_string_append_printf(s, "\\u%04x", (guchar)*text);
        else
            g_string_append_c(s, *text);
    g_string_append_c(s, '"');
    return g_string_free(s, FALSE);
}

/* Bytes that need be no UTF-8: one character of the result's string for each. */
static char *quoted_bytes(const guchar *data, gsize size)
{
    GString *s = g_string_new("\"");
    for (gsize i = 0; i < size; i++)
        if (data[i] < 0x20 || data[i] > 0x7e || data[i] == '"' || data[i] == '\\')
            g_string_append_printf(s, "\\u%04x", data[i]);
        else
            g_string_append_c(s, data[i]);
    g_string_append_c(s, '"');
    return g_string_free(s, FALSE);
}

static void done(gint64 id)
{
    say("{\"id\":%" G_GINT64_FORMAT ",\"ok\":true}", id);
}

static void failed(gint64 id, const char *why)
{
    g_autofree char *text = quoted(why);
    say("{\"id\":%" G_GINT64_FORMAT ",\"ok\":false,\"error\":%s}", id, text);
}

/* --- what the library tells --- */

static char *describe_display(SpiceChannel *channel)
{
    GString *s = g_string_new(NULL);
    SpiceDisplayPrimary primary = { 0 };
    GArray *monitors = NULL;
    int number;
    g_object_get(channel, "channel-id", &number, "monitors", &monitors, NULL);
    gboolean has = spice_display_channel_get_primary(channel, 0, &primary);
    g_string_printf(s, "\"display\":%d,\"width\":%d,\"height\":%d,\"monitors\":[", number, has ? primary.width : 0,
                    has ? primary.height : 0);
    for (guint i = 0; monitors && i < monitors->len; i++) {
        SpiceDisplayMonitorConfig *m = &g_array_index(monitors, SpiceDisplayMonitorConfig, i);
        g_string_append_printf(s, "%s[%u,%u,%u,%u,%u]", i ? "," : "", m->id, m->x, m->y, m->width, m->height);
    }
    g_string_append_c(s, ']');
    g_clear_pointer(&monitors, g_array_unref);
    return g_string_free(s, FALSE);
}

static void on_display(SpiceChannel *channel)
{
    g_autofree char *text = describe_display(channel);
    event("display", "%s", text);
}

static char *describe_agent(void)
{
    GString *s = g_string_new(NULL);
    gboolean connected = FALSE;
    int mode = 0;
    if (main_channel)
        g_object_get(main_channel, "agent-connected", &connected, "mouse-mode", &mode, NULL);
    g_string_printf(s, "\"mouse\":\"%s\",\"agent\":%s,\"caps\":[",
                    mode == SPICE_MOUSE_MODE_CLIENT ? "client" : "server", connected ? "true" : "false");
    for (guint32 cap = 0, n = 0; main_channel && cap < VD_AGENT_END_CAP; cap++)
        if (spice_main_channel_agent_test_capability(main_channel, cap))
            g_string_append_printf(s, "%s%u", n++ ? "," : "", cap);
    g_string_append_c(s, ']');
    return g_string_free(s, FALSE);
}

static void on_agent(void)
{
    g_autofree char *text = describe_agent();
    event("agent", "%s", text);
}

static void on_grab(SpiceMainChannel *channel, guint selection, guint32 *types, guint count)
{
    (void)channel;
    GString *s = g_string_new(NULL);
    for (guint i = 0; i < count; i++)
        g_string_append_printf(s, "%s%u", i ? "," : "", types[i]);
    event("grab", "\"selection\":%u,\"types\":[%s]", selection, s->str);
    g_string_free(s, TRUE);
}

static void on_release(SpiceMainChannel *channel, guint selection)
{
    (void)channel;
    event("release", "\"selection\":%u", selection);
}

static gboolean on_request(SpiceMainChannel *channel, guint selection, guint32 type)
{
    const char *path = selection < SELECTIONS && type < TYPES ? offers[selection][type] : NULL;
    g_autofree char *data = NULL;
    gsize size = 0;
    event("request", "\"selection\":%u,\"type\":%u", selection, type);
    if (!path || (*path && !g_file_get_contents(path, &data, &size, NULL)))
        return FALSE;
    if (*path)
        spice_main_channel_clipboard_selection_notify(channel, selection, type, (guchar *)data, size);
    return TRUE;
}

static void on_data(SpiceMainChannel *channel, guint selection, guint32 type, gpointer data, guint size)
{
    (void)channel;
    Request *request = selection < SELECTIONS ? g_queue_pop_head(&requests[selection]) : NULL;
    g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, data, size);
    if (!request) {
        event("stray-data", "\"selection\":%u,\"type\":%u,\"size\":%u", selection, type, size);
        return;
    }
    if (g_file_set_contents(request->path, data, size, NULL))
        say("{\"id\":%" G_GINT64_FORMAT ",\"ok\":true,\"type\":%u,\"size\":%u,\"sha256\":\"%s\"}", request->id, type,
            size, sum);
    else
        failed(request->id, "cannot write the file");
    g_free(request->path);
    g_free(request);
}

static void on_file_finished(SpiceFileTransferTask *task, GError *error)
{
    g_autofree char *name = spice_file_transfer_task_get_filename(task), *text = quoted(name);
    g_autofree char *why = quoted(error ? error->message : "");
    event("file", "\"name\":%s,\"finished\":true,\"error\":%s,\"transferred\":%" G_GUINT64_FORMAT, text, why,
          spice_file_transfer_task_get_transferred_bytes(task));
    g_ptr_array_remove(transfers, task);
}

static void on_file_progress(SpiceFileTransferTask *task)
{
    g_autofree char *name = spice_file_transfer_task_get_filename(task), *text = quoted(name);
    event("file", "\"name\":%s,\"finished\":false,\"transferred\":%" G_GUINT64_FORMAT ",\"total\":%" G_GUINT64_FORMAT,
          text, spice_file_transfer_task_get_transferred_bytes(task), spice_file_transfer_task_get_total_bytes(task));
}

static void on_new_file(SpiceMainChannel *channel, SpiceFileTransferTask *task)
{
    (void)channel;
    g_ptr_array_add(transfers, g_object_ref(task));
    g_signal_connect(task, "finished", G_CALLBACK(on_file_finished), NULL);
    g_signal_connect(task, "notify::progress", G_CALLBACK(on_file_progress), NULL);
}

static const char *reason(SpiceChannelEvent what)
{
    switch (what) {
    case SPICE_CHANNEL_ERROR_CONNECT:
        return "connect";
    case SPICE_CHANNEL_ERROR_TLS:
        return "tls";
    case SPICE_CHANNEL_ERROR_LINK:
        return "link";
    case SPICE_CHANNEL_ERROR_AUTH:
        return "auth";
    default:
        return "io";
    }
}

/* What is known of a channel, as the inside of a JSON object. */
static char *describe_channel(SpiceChannel *channel, const char *state)
{
    int type, number;
    g_object_get(channel, "channel-type", &type, "channel-id", &number, NULL);
    return g_strdup_printf("\"type\":\"%s\",\"number\":%d,\"state\":\"%s\"", spice_channel_type_to_string(type), number,
                           state);
}

static void on_channel_event(SpiceChannel *channel, SpiceChannelEvent what)
{
    const char *state = what == SPICE_CHANNEL_OPENED ? "opened" : what == SPICE_CHANNEL_CLOSED ? "closed" : "error";
    g_autofree char *text = describe_channel(channel, state);
    g_object_set_data(G_OBJECT(channel), "state", (gpointer)state);
    if (strcmp(state, "error") == 0) {
        const GError *error = spice_channel_get_error(channel);
        g_autofree char *message = quoted(error ? error->message : "");
        event("channel", "%s,\"reason\":\"%s\",\"message\":%s", text, reason(what), message);
    } else {
        event("channel", "%s", text);
    }
}

static char *describe_port(SpiceChannel *channel)
{
    g_autofree char *name = NULL;
    gboolean opened;
    int number;
    g_object_get(channel, "port-name", &name, "port-opened", &opened, "channel-id", &number, NULL);
    g_autofree char *text = quoted(name);
    return g_strdup_printf("\"port\":%s,\"opened\":%s,\"number\":%d,\"webdav\":%s", text, opened ? "true" : "false",
                           number, SPICE_IS_WEBDAV_CHANNEL(channel) ? "true" : "false");
}

static void on_port(SpiceChannel *channel)
{
    g_autofree char *text = describe_port(channel);
    event("port", "%s", text);
}

static void on_port_data(SpiceChannel *channel, gpointer data, int size)
{
    g_autofree char *port = describe_port(channel);
    g_autofree char *text = quoted_bytes(data, size);
    event("port-data", "%s,\"text\":%s", port, text);
}

static void on_channel_new(SpiceSession *s, SpiceChannel *channel)
{
    (void)s;
    int number;
    g_object_get(channel, "channel-id", &number, NULL);
    g_signal_connect(channel, "channel-event", G_CALLBACK(on_channel_event), NULL);
    if (SPICE_IS_MAIN_CHANNEL(channel)) {
        main_channel = SPICE_MAIN_CHANNEL(channel);
        g_signal_connect(channel, "main-agent-update", G_CALLBACK(on_agent), NULL);
        g_signal_connect(channel, "main-mouse-update", G_CALLBACK(on_agent), NULL);
        g_signal_connect(channel, "main-clipboard-selection-grab", G_CALLBACK(on_grab), NULL);
        g_signal_connect(channel, "main-clipboard-selection-release", G_CALLBACK(on_release), NULL);
        g_signal_connect(channel, "main-clipboard-selection-request", G_CALLBACK(on_request), NULL);
        g_signal_connect(channel, "main-clipboard-selection", G_CALLBACK(on_data), NULL);
        g_signal_connect(channel, "new-file-transfer", G_CALLBACK(on_new_file), NULL);
    } else if (SPICE_IS_INPUTS_CHANNEL(channel)) {
        inputs = SPICE_INPUTS_CHANNEL(channel);
        spice_channel_connect(channel);
    } else if (SPICE_IS_DISPLAY_CHANNEL(channel) && number < DISPLAYS) {
        displays[number] = channel;
        g_signal_connect(channel, "display-primary-create", G_CALLBACK(on_display), NULL);
        g_signal_connect(channel, "notify::monitors", G_CALLBACK(on_display), NULL);
        spice_channel_connect(channel);
    } else if (SPICE_IS_PORT_CHANNEL(channel)) {
        g_signal_connect(channel, "notify::port-opened", G_CALLBACK(on_port), NULL);
        g_signal_connect(channel, "port-data", G_CALLBACK(on_port_data), NULL);
        spice_channel_connect(channel);
    } else if (SPICE_IS_SMARTCARD_CHANNEL(channel)) {
        spice_channel_connect(channel);
    }
}

static void on_channel_destroy(SpiceSession *s, SpiceChannel *channel)
{
    (void)s;
    if (channel == (SpiceChannel *)main_channel)
        main_channel = NULL;
    if (channel == (SpiceChannel *)inputs)
        inputs = NULL;
    for (int i = 0; i < DISPLAYS; i++)
        if (displays[i] == channel)
            displays[i] = NULL;
}

/* --- verbs --- */

static void hang_up(void)
{
    if (!session)
        return;
    spice_session_disconnect(session);
    g_clear_object(&session);
    main_channel = NULL;
    inputs = NULL;
    memset(displays, 0, sizeof displays);
    button_mask = 0;
}

/* Sets a property of the session from "name=value". Returns NULL or what is wrong with it. */
static const char *set_property(const char *pair)
{
    g_auto(GStrv) parts = g_strsplit(pair, "=", 2);
    const char *name = parts[0], *value = parts[1];
    GParamSpec *spec = value ? g_object_class_find_property(G_OBJECT_GET_CLASS(session), name) : NULL;
    if (!spec)
        return "not a property of a session";
    if (spec->value_type == G_TYPE_STRING) {
        g_object_set(session, name, value, NULL);
    } else if (spec->value_type == G_TYPE_BOOLEAN) {
        g_object_set(session, name, strcmp(value, "yes") == 0, NULL);
    } else if (spec->value_type == G_TYPE_STRV) {
        g_auto(GStrv) list = g_strsplit(value, ",", 0);
        g_object_set(session, name, list, NULL);
    } else if (G_IS_PARAM_SPEC_FLAGS(spec)) {
        GFlagsValue *flag = g_flags_get_value_by_nick(G_PARAM_SPEC_FLAGS(spec)->flags_class, value);
        if (!flag)
            return "not a value of that property";
        g_object_set(session, name, flag->value, NULL);
    } else {
        return "not a property that can be set";
    }
    return NULL;
}

static void on_usb_error(SpiceUsbDeviceManager *manager, SpiceUsbDevice *device, const GError *error)
{
    (void)manager, (void)device;
    g_autofree char *message = quoted(error->message);
    event("usb-error", "\"message\":%s", message);
}

static const char *dial(int argc, char **args)
{
    gboolean local = strcmp(args[0], "unix") == 0;
    hang_up();
    session = spice_session_new();
    g_object_set(session, "enable-audio", FALSE, "enable-usbredir", FALSE, "enable-smartcard", FALSE, NULL);
    if (local)
        g_object_set(session, "unix-path", args[1], NULL);
    else if (argc > 2)
        g_object_set(session, "host", args[1], strcmp(args[0], "tls") == 0 ? "tls-port" : "port", args[2], NULL);
    for (int i = local ? 2 : 3; i < argc; i++) {
        const char *problem = set_property(args[i]);
        if (problem)
            return problem;
    }
    g_signal_connect(session, "channel-new", G_CALLBACK(on_channel_new), NULL);
    g_signal_connect(session, "channel-destroy", G_CALLBACK(on_channel_destroy), NULL);
    gboolean usb;
    g_object_get(session, "enable-usbredir", &usb, NULL);
    SpiceUsbDeviceManager *manager = usb ? spice_usb_device_manager_get(session, NULL) : NULL;
    if (manager)
        g_signal_connect(manager, "device-error", G_CALLBACK(on_usb_error), NULL);
    return spice_session_connect(session) ? NULL : "cannot connect";
}

/* Answers with a list of the channels for which describe() gives a text. */
static void list_channels(gint64 id, char *(*describe)(SpiceChannel *channel))
{
    GString *s = g_string_new(NULL);
    GList *channels = session ? spice_session_get_channels(session) : NULL;
    for (GList *l = channels; l; l = l->next) {
        g_autofree char *text = describe(l->data);
        if (text)
            g_string_append_printf(s, "%s{%s}", s->len ? "," : "", text);
    }
    say("{\"id\":%" G_GINT64_FORMAT ",\"ok\":true,\"list\":[%s]}", id, s->str);
    g_list_free(channels);
    g_string_free(s, TRUE);
}

static char *describe_any(SpiceChannel *channel)
{
    const char *state = g_object_get_data(G_OBJECT(channel), "state");
    return describe_channel(channel, state ? state : "new");
}

static char *describe_if_port(SpiceChannel *channel)
{
    return SPICE_IS_PORT_CHANNEL(channel) ? describe_port(channel) : NULL;
}

static void state(gint64 id)
{
    g_autofree char *agent = describe_agent();
    GString *s = g_string_new(NULL);
    for (int i = 0; i < DISPLAYS; i++)
        if (displays[i]) {
            g_autofree char *text = describe_display(displays[i]);
            g_string_append_printf(s, "%s{%s}", s->len ? "," : "", text);
        }
    say("{\"id\":%" G_GINT64_FORMAT ",\"ok\":true,%s,\"displays\":[%s]}", id, agent, s->str);
    g_string_free(s, TRUE);
}

static void press(int button, gboolean down)
{
    guint bit = 1u << (button - 1);
    if (down) {
        spice_inputs_channel_button_press(inputs, button, button_mask);
        button_mask |= bit;
    } else {
        button_mask &= ~bit;
        spice_inputs_channel_button_release(inputs, button, button_mask);
    }
}

static void burst_one(const Burst *burst)
{
    if (strcmp(burst->kind, "position") == 0 || strcmp(burst->kind, "moved-click") == 0)
        spice_inputs_channel_position(inputs, 10 + burst->done % 500, 10 + burst->done % 400, 0, button_mask);
    if (strcmp(burst->kind, "position") == 0)
        return;
    int button = strcmp(burst->kind, "wheel") == 0 ? SPICE_MOUSE_BUTTON_DOWN : SPICE_MOUSE_BUTTON_LEFT;
    press(button, TRUE);
    press(button, FALSE);
}

static gboolean burst_step(gpointer data)
{
    Burst *burst = data;
    gint64 now = g_get_monotonic_time();
    int due = burst->rate > 0 ? MIN(burst->count, 1 + (int)((now - burst->start) * burst->rate / 1e6)) : burst->count;
    if (!inputs) {
        failed(burst->id, "connection lost");
    } else {
        for (; burst->done < due; burst->done++)
            burst_one(burst);
        if (burst->done < burst->count)
            return G_SOURCE_CONTINUE;
        say("{\"id\":%" G_GINT64_FORMAT ",\"ok\":true,\"elapsed\":%" G_GINT64_FORMAT "}", burst->id,
            now - burst->start);
    }
    g_free(burst->kind);
    g_free(burst);
    return G_SOURCE_REMOVE;
}

static void latency_next(Latency *latency);

static gboolean latency_send(gpointer data)
{
    Latency *latency = data;
    latency->next = 0;
    latency->sent = g_get_monotonic_time();
    if (inputs)
        spice_inputs_channel_position(inputs, 10 + latency->left % 500, 20 + latency->left % 400, 0, button_mask);
    return G_SOURCE_REMOVE;
}

static void latency_record(Latency *latency, gint64 value)
{
    g_string_append_printf(latency->times, "%s%" G_GINT64_FORMAT, latency->times->len ? "," : "", value);
    g_clear_handle_id(&latency->timeout, g_source_remove);
    latency->sent = 0;
    latency->left--;
    latency_next(latency);
}

static gboolean latency_lost(gpointer data)
{
    Latency *latency = data;
    latency->timeout = 0;
    latency_record(latency, -1);
    return G_SOURCE_REMOVE;
}

static gboolean latency_ready(gint fd, GIOCondition condition, gpointer data)
{
    Latency *latency = data;
    char buffer[256];
    gint64 now = g_get_monotonic_time();
    (void)condition;
    if (read(fd, buffer, sizeof buffer) <= 0 || latency->left == 0) {
        if (latency->left > 0)
            failed(latency->id, "the echo port was closed");
        g_clear_handle_id(&latency->timeout, g_source_remove);
        g_clear_handle_id(&latency->next, g_source_remove);
        close(fd);
        g_string_free(latency->times, TRUE);
        g_free(latency);
        return G_SOURCE_REMOVE;
    }
    if (latency->sent)
        latency_record(latency, now - latency->sent);
    return G_SOURCE_CONTINUE;
}

static void latency_next(Latency *latency)
{
    if (latency->left == 0) {
        say("{\"id\":%" G_GINT64_FORMAT ",\"ok\":true,\"times\":[%s]}", latency->id, latency->times->str);
        shutdown(latency->fd, SHUT_RDWR);
        return;
    }
    latency->timeout = g_timeout_add(latency->gap + 2000, latency_lost, latency);
    latency->next = g_timeout_add(latency->gap, latency_send, latency);
}

static void latency_start(gint64 id, char **args)
{
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(args[0]);
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocketConnection) connection =
        g_socket_client_connect(client, G_SOCKET_CONNECTABLE(address), NULL, &error);
    if (!connection) {
        failed(id, error->message);
        return;
    }
    Latency *latency = g_new0(Latency, 1);
    *latency = (Latency){ .id = id, .left = atoi(args[1]), .gap = atoi(args[2]), .times = g_string_new(NULL),
                          .fd = dup(g_socket_get_fd(g_socket_connection_get_socket(connection))) };
    g_unix_fd_add(latency->fd, G_IO_IN | G_IO_HUP, latency_ready, latency);
    latency_next(latency);
}

static void grab(guint selection, char **pairs)
{
    guint32 types[TYPES];
    int count = 0;
    for (int i = 0; i < TYPES; i++)
        g_clear_pointer(&offers[selection][i], g_free);
    for (; *pairs && count < TYPES; pairs++) {
        guint32 type = strtoul(*pairs, NULL, 10) % TYPES;
        offers[selection][type] = g_strdup(strchr(*pairs, '=') ? strchr(*pairs, '=') + 1 : "");
        types[count++] = type;
    }
    spice_main_channel_clipboard_selection_grab(main_channel, selection, types, count);
}

static void ungrab(guint selection)
{
    for (int i = 0; i < TYPES; i++)
        g_clear_pointer(&offers[selection][i], g_free);
    spice_main_channel_clipboard_selection_release(main_channel, selection);
}

static void request(gint64 id, guint selection, guint32 type, const char *path)
{
    Request *r = g_new0(Request, 1);
    *r = (Request){ id, type, g_strdup(path) };
    g_queue_push_tail(&requests[selection], r);
    spice_main_channel_clipboard_selection_request(main_channel, selection, type);
}

static void monitor(int argc, char **args)
{
    int n[7] = { 0 };
    int id = atoi(args[0]);
    if (argc == 2) {
        spice_main_channel_update_display_enabled(main_channel, id, FALSE, FALSE);
        return;
    }
    for (int i = 0; i < argc && i < 7; i++)
        n[i] = atoi(args[i]);
    spice_main_channel_update_display_enabled(main_channel, id, TRUE, FALSE);
    spice_main_channel_update_display(main_channel, id, n[1], n[2], n[3], n[4], FALSE);
    if (argc == 7)
        spice_main_channel_update_display_mm(main_channel, id, n[5], n[6], FALSE);
}

static void files_done(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autofree gint64 *id = data;
    g_autoptr(GError) error = NULL;
    if (spice_main_channel_file_copy_finish(SPICE_MAIN_CHANNEL(source), result, &error))
        done(*id);
    else
        failed(*id, error ? error->message : "unknown");
}

static void files(gint64 id, char **paths)
{
    guint count = g_strv_length(paths);
    g_autofree GFile **sources = g_new0(GFile *, count + 1);
    for (guint i = 0; i < count; i++)
        sources[i] = g_file_new_for_path(paths[i]);
    spice_main_channel_file_copy_async(main_channel, sources, G_FILE_COPY_NONE, NULL, NULL, NULL, files_done,
                                       g_memdup2(&id, sizeof id));
    for (guint i = 0; i < count; i++)
        g_object_unref(sources[i]);
}

static gboolean cancel(const char *wanted)
{
    for (guint i = 0; i < transfers->len; i++) {
        SpiceFileTransferTask *task = g_ptr_array_index(transfers, i);
        g_autofree char *name = spice_file_transfer_task_get_filename(task);
        if (g_strcmp0(name, wanted) == 0) {
            spice_file_transfer_task_cancel(task);
            return TRUE;
        }
    }
    return FALSE;
}

static void port_written(GObject *source, GAsyncResult *result, gpointer data)
{
    PortWrite *writing = data;
    g_autoptr(GError) error = NULL;
    if (spice_port_channel_write_finish(SPICE_PORT_CHANNEL(source), result, &error) >= 0)
        done(writing->id);
    else
        failed(writing->id, error->message);
    g_free(writing->text);
    g_free(writing);
}

static void write_port(gint64 id, const char *wanted, const char *escaped)
{
    GList *channels = session ? spice_session_get_channels(session) : NULL;
    SpicePortChannel *port = NULL;
    for (GList *l = channels; l && !port; l = l->next) {
        g_autofree char *name = NULL;
        if (SPICE_IS_PORT_CHANNEL(l->data))
            g_object_get(l->data, "port-name", &name, NULL);
        if (g_strcmp0(name, wanted) == 0)
            port = l->data;
    }
    g_list_free(channels);
    if (!port) {
        failed(id, "no such port");
        return;
    }
    PortWrite *writing = g_new0(PortWrite, 1);
    *writing = (PortWrite){ id, g_strcompress(escaped) };
    spice_port_channel_write_async(port, writing->text, strlen(writing->text), NULL, port_written, writing);
}

static void cd_redirected(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autofree gint64 *id = data;
    g_autoptr(GError) error = NULL;
    if (spice_usb_device_manager_connect_device_finish(SPICE_USB_DEVICE_MANAGER(source), result, &error))
        done(*id);
    else
        failed(*id, error->message);
}

/* The new drive is announced from the main loop; of its own accord the library would redirect none. */
static void on_usb_device(SpiceUsbDeviceManager *manager, SpiceUsbDevice *device, gpointer id)
{
    if (!spice_usb_device_manager_is_device_shared_cd(manager, device))
        return;
    g_signal_handlers_disconnect_by_func(manager, on_usb_device, id);
    spice_usb_device_manager_connect_device_async(manager, device, NULL, cd_redirected, id);
}

static const char *share_cd(gint64 id, char *path)
{
    SpiceUsbDeviceManager *manager = spice_usb_device_manager_get(session, NULL);
    if (!manager)
        return "no USB here";
    if (!spice_usb_device_manager_create_shared_cd_device(manager, path, NULL))
        return "not a medium";
    g_signal_connect(manager, "device-added", G_CALLBACK(on_usb_device), g_memdup2(&id, sizeof id));
    return NULL;
}

static void unshare_next(gint64 *id);

static void unshared(GObject *source, GAsyncResult *result, gpointer data)
{
    gint64 *id = data;
    g_autoptr(GError) error = NULL;
    if (spice_usb_device_manager_disconnect_device_finish(SPICE_USB_DEVICE_MANAGER(source), result, &error)) {
        unshare_next(id);
        return;
    }
    failed(*id, error->message);
    g_free(id);
}

static void unshare_next(gint64 *id)
{
    SpiceUsbDeviceManager *manager = spice_usb_device_manager_get(session, NULL);
    g_autoptr(GPtrArray) devices = manager ? spice_usb_device_manager_get_devices(manager) : g_ptr_array_new();
    for (guint i = 0; i < devices->len; i++)
        if (spice_usb_device_manager_is_device_connected(manager, devices->pdata[i])) {
            spice_usb_device_manager_disconnect_device_async(manager, devices->pdata[i], NULL, unshared, id);
            return;
        }
    done(*id);
    g_free(id);
}

static const char *move_card(const char *how)
{
    SpiceSmartcardManager *manager = spice_smartcard_manager_get();
    gboolean moved = strcmp(how, "insert") == 0 ? spice_smartcard_manager_insert_card(manager)
                                                : spice_smartcard_manager_remove_card(manager);
    return moved ? NULL : "no software card";
}

typedef struct Verb {
    const char *name;
    int args;     /* at least so many */
    enum { ANY, MAIN, INPUTS } needs;
    gboolean late; /* answers itself */
} Verb;

static const Verb verbs[] = {
    { "connect", 2, ANY, FALSE },    { "disconnect", 0, ANY, FALSE }, { "state", 0, ANY, TRUE },
    { "position", 3, INPUTS, FALSE }, { "motion", 2, INPUTS, FALSE },  { "press", 1, INPUTS, FALSE },
    { "release", 1, INPUTS, FALSE }, { "burst", 3, INPUTS, TRUE },    { "latency", 3, INPUTS, TRUE },
    { "grab", 1, MAIN, FALSE },      { "ungrab", 1, MAIN, FALSE },    { "request", 3, MAIN, TRUE },
    { "monitor", 2, MAIN, FALSE },   { "send", 0, MAIN, FALSE },      { "files", 1, MAIN, TRUE },
    { "cancel", 1, MAIN, FALSE },    { "channels", 0, ANY, TRUE },    { "mode", 1, MAIN, FALSE },
    { "key", 1, INPUTS, FALSE },     { "share-cd", 1, MAIN, TRUE },   { "unshare", 0, MAIN, TRUE },
    { "ports", 0, ANY, TRUE },       { "port", 2, MAIN, TRUE },       { "card", 1, MAIN, FALSE },
};

/* Returns NULL or what went wrong. */
static const char *perform(gint64 id, const char *verb, int argc, char **args)
{
    guint selection = argc > 0 ? strtoul(args[0], NULL, 10) % SELECTIONS : 0;
    if (strcmp(verb, "connect") == 0)
        return dial(argc, args);
    if (strcmp(verb, "disconnect") == 0)
        hang_up();
    else if (strcmp(verb, "state") == 0)
        state(id);
    else if (strcmp(verb, "position") == 0)
        spice_inputs_channel_position(inputs, atoi(args[0]), atoi(args[1]), atoi(args[2]), button_mask);
    else if (strcmp(verb, "motion") == 0)
        spice_inputs_channel_motion(inputs, atoi(args[0]), atoi(args[1]), button_mask);
    else if (strcmp(verb, "press") == 0 || strcmp(verb, "release") == 0)
        press(CLAMP(atoi(args[0]), 1, 7), *verb == 'p');
    else if (strcmp(verb, "burst") == 0) {
        Burst *burst = g_new0(Burst, 1);
        *burst = (Burst){ id, g_strdup(args[0]), atoi(args[1]), 0, atof(args[2]), g_get_monotonic_time() };
        g_timeout_add(burst->rate > 0 ? 1 : 0, burst_step, burst);
    } else if (strcmp(verb, "latency") == 0)
        latency_start(id, args);
    else if (strcmp(verb, "grab") == 0)
        grab(selection, args + 1);
    else if (strcmp(verb, "ungrab") == 0)
        ungrab(selection);
    else if (strcmp(verb, "request") == 0)
        request(id, selection, strtoul(args[1], NULL, 10), args[2]);
    else if (strcmp(verb, "monitor") == 0)
        monitor(argc, args);
    else if (strcmp(verb, "send") == 0)
        return spice_main_channel_send_monitor_config(main_channel) ? NULL : "not sent";
    else if (strcmp(verb, "files") == 0)
        files(id, args);
    else if (strcmp(verb, "cancel") == 0)
        return cancel(args[0]) ? NULL : "no such transfer";
    else if (strcmp(verb, "channels") == 0)
        list_channels(id, describe_any);
    else if (strcmp(verb, "ports") == 0)
        list_channels(id, describe_if_port);
    else if (strcmp(verb, "mode") == 0)
        spice_main_channel_request_mouse_mode(
            main_channel, strcmp(args[0], "client") == 0 ? SPICE_MOUSE_MODE_CLIENT : SPICE_MOUSE_MODE_SERVER);
    else if (strcmp(verb, "key") == 0)
        spice_inputs_channel_key_press_and_release(inputs, strtoul(args[0], NULL, 0));
    else if (strcmp(verb, "share-cd") == 0)
        return share_cd(id, args[0]);
    else if (strcmp(verb, "unshare") == 0)
        unshare_next(g_memdup2(&id, sizeof id));
    else if (strcmp(verb, "port") == 0)
        write_port(id, args[0], args[1]);
    else if (strcmp(verb, "card") == 0)
        return move_card(args[0]);
    return NULL;
}

static void command(const char *line)
{
    int argc = 0;
    g_auto(GStrv) argv = NULL;
    if (!g_shell_parse_argv(line, &argc, &argv, NULL) || argc < 2)
        return;
    gint64 id = g_ascii_strtoll(argv[0], NULL, 10);
    const Verb *verb = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++)
        if (strcmp(verbs[i].name, argv[1]) == 0 && argc - 2 >= verbs[i].args)
            verb = &verbs[i];
    if (!verb || (verb->needs == MAIN && !main_channel) || (verb->needs == INPUTS && !inputs)) {
        failed(id, verb ? "not connected" : "unknown verb or too few arguments");
        return;
    }
    const char *problem = perform(id, verb->name, argc - 2, argv + 2);
    if (problem)
        failed(id, problem);
    else if (!verb->late)
        done(id);
}

static gboolean on_stdin(GIOChannel *channel, GIOCondition condition, gpointer data)
{
    (void)condition, (void)data;
    do {
        g_autofree char *line = NULL;
        GIOStatus status = g_io_channel_read_line(channel, &line, NULL, NULL, NULL);
        if (status == G_IO_STATUS_EOF || status == G_IO_STATUS_ERROR) {
            g_main_loop_quit(loop);
            return G_SOURCE_REMOVE;
        }
        if (line)
            command(line);
    } while (g_io_channel_get_buffer_condition(channel) & G_IO_IN);
    return G_SOURCE_CONTINUE;
}

int main(void)
{
    g_autoptr(GIOChannel) input = g_io_channel_unix_new(STDIN_FILENO);
    g_io_channel_set_encoding(input, NULL, NULL);
    g_io_channel_set_flags(input, G_IO_FLAG_NONBLOCK, NULL);
    transfers = g_ptr_array_new_with_free_func(g_object_unref);
    loop = g_main_loop_new(NULL, FALSE);
    g_io_add_watch(input, G_IO_IN | G_IO_HUP, on_stdin, NULL);
    g_main_loop_run(loop);
    hang_up();
    return 0;
}
