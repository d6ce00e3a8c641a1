/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * spicevmc - the SPICE server of one virtual machine, outside QEMU.
 *
 * What can wake it: the clients' connections and libspice-server's timers (core.h), QEMU's sockets (endpoint.h, one for
 * each channel), the QMP child, the listening sockets, SIGTERM and SIGINT. In order: the configuration is read and checked,
 * the runtime directory locked, the QMP child forked, and only then is anything opened that others can reach.
 */
#include "access.h"
#include "channel.h"
#include "control.h"
#include "core.h"
#include "inputs.h"
#include "recipe.h"
#include "screens.h"
#include "server.h"
#include "sinks.h"
#include "vdiport.h"

#include <gio/gio.h>
#include <glib-unix.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct Daemon {
    Options *options;
    GMainLoop *loop;
    Qmp *qmp;
    Server *server;
    Sinks *sinks;
    Screens *screens;
    Inputs *inputs;
    Control *control;
    ChannelContext context;
    GPtrArray *channels;
    OptionsChannel no_vdagent; /* for a machine whose agent has no port: the client's pointer needs the device all the same */
    Channel *vdagent;
    guint clients;
} Daemon;

/* --- events of the parts --- */

static void input_gone(gpointer user)
{
    Daemon *daemon = user;

    if (daemon->sinks) {
        sinks_release(daemon->sinks);
    }
    if (daemon->inputs) {
        inputs_reset(daemon->inputs);
    }
}

static void watched(guint clients, guint viewers, gpointer user)
{
    Daemon *daemon = user;

    if (clients > daemon->clients && daemon->qmp) {
        qmp_refresh(daemon->qmp); /* a tablet may have been plugged */
    }
    daemon->clients = clients;
    if (daemon->screens) {
        screens_watched(daemon->screens, clients, viewers);
    }
}

static void resized(guint display, guint32 w, guint32 h, gpointer user)
{
    Daemon *daemon = user;

    channel_vdagent_set_size(daemon->vdagent, display, w, h);
}

static void qmp_connected(gboolean connected, gpointer user)
{
    Daemon *daemon = user;

    g_info("QEMU's monitor %s", connected ? "answers" : "is gone");
    if (!connected) {
        for (guint i = 0; i < daemon->channels->len; i++) {
            channel_set_guest(g_ptr_array_index(daemon->channels, i), CHANNEL_GUEST_UNKNOWN);
        }
    }
    core_settle();
}

static void qmp_guest_open(guint channel, gboolean open, gpointer user)
{
    Daemon *daemon = user;

    channel_set_guest(g_ptr_array_index(daemon->channels, channel), open ? CHANNEL_GUEST_OPEN : CHANNEL_GUEST_CLOSED);
}

static void qmp_reset(gpointer user)
{
    (void)user;
    g_info("the machine was reset");
}

static void qmp_tablet(gpointer user)
{
    (void)user;
    core_settle();
}

/* --- the pointer by QMP --- */

static gboolean qmp_way_open(gpointer user)
{
    return qmp_has_tablet(((Daemon *)user)->qmp);
}

static gboolean qmp_way_input(const PvmouseFrame *frame, const VdagentMouseState *raw, gpointer user)
{
    Qmp *qmp = ((Daemon *)user)->qmp;
    int wheel = frame->wheel / PVMOUSE_DETENT;
    int hwheel = frame->hwheel / PVMOUSE_DETENT;

    (void)raw;
    return frame->type == PVMOUSE_MOTION
               ? qmp_motion(qmp, frame->dx, frame->dy, frame->buttons, wheel, hwheel)
               : qmp_pointer(qmp, frame->display, !frame->no_position, frame->x, frame->y, frame->buttons, wheel, hwheel);
}

static void qmp_way_release(const PvmouseFrame *frame, const VdagentMouseState *raw, gpointer user)
{
    (void)raw;
    qmp_pointer(((Daemon *)user)->qmp, frame->display, FALSE, 0, 0, 0, 0, 0);
}

/* --- status --- */

static const char *guest_text(const Channel *channel)
{
    switch (channel->guest) {
    case CHANNEL_GUEST_CLOSED:
        return "closed";
    case CHANNEL_GUEST_OPEN:
        return "open";
    case CHANNEL_GUEST_UNKNOWN:
        break;
    }
    return "unknown";
}

static json_t *status(gpointer user)
{
    Daemon *daemon = user;
    json_t *channels = json_array();
    json_t *counters = json_object();

    for (guint i = 0; i < daemon->channels->len; i++) {
        Channel *channel = g_ptr_array_index(daemon->channels, i);
        json_t *item;

        if (channel->class->count) {
            channel->class->count(channel, counters);
        }
        if (!channel->options->path) {
            continue;
        }
        item = json_pack("{s:s, s:s, s:b, s:s, s:I, s:I}", "type", options_channel_name(channel->options->type), "path",
                         channel->options->path, "qemu", (int)endpoint_is_connected(channel->endpoint), "guest",
                         guest_text(channel), "queued", (json_int_t)channel_queued(channel), "dropped",
                         (json_int_t)channel->dropped);
        json_array_append_new(channels, item);
    }
    for (SinksKind kind = SINKS_NONE; kind <= SINKS_LEGACY; kind++) {
        g_autofree gchar *taken = g_strconcat("pointer-", sinks_name(kind), NULL);
        g_autofree gchar *lost = g_strconcat(taken, "-lost", NULL);

        json_object_set_new(counters, taken, json_integer((json_int_t)sinks_taken(daemon->sinks, kind)));
        json_object_set_new(counters, lost, json_integer((json_int_t)sinks_lost(daemon->sinks, kind)));
    }
    if (daemon->qmp) {
        json_object_set_new(counters, "qmp-dropped", json_integer((json_int_t)qmp_dropped(daemon->qmp)));
    }
    json_object_set_new(counters, "keys-dropped", json_integer((json_int_t)inputs_dropped_keys(daemon->inputs)));
    return json_pack("{s:s, s:s, s:o, s:o, s:s, s:o}", "name", daemon->options->name, "uri", server_uri(daemon->server),
                     "clients", server_clients(daemon->server), "channels", channels, "sink",
                     sinks_name(sinks_current(daemon->sinks)), "counters", counters);
}

/* --- life --- */

static gboolean terminate(gpointer user)
{
    g_main_loop_quit(((Daemon *)user)->loop);
    return G_SOURCE_CONTINUE;
}

/* libspice-server warns about what clients do as often as they do it. */
static void spice_log(const gchar *domain, GLogLevelFlags level, const gchar *message, gpointer user)
{
    static LogPeer peer = { .name = "libspice-server" };

    if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_DEBUG | G_LOG_LEVEL_INFO)) {
        g_log_default_handler(domain, level, message, user);
    } else {
        log_peer(&peer, "%s", message);
    }
}

static gboolean fork_qmp(Daemon *daemon, GError **error)
{
    const Options *options = daemon->options;
    QmpDisplay displays[LIMIT_DISPLAYS];
    const char *paths[OPTIONS_CHANNELS_MAX];

    if (!options->qmp) {
        return TRUE;
    }
    for (guint i = 0; i < options->n_displays; i++) {
        displays[i] = (QmpDisplay){ options->display[i].device, options->display[i].head };
    }
    for (guint i = 0; i < options->n_channels; i++) {
        paths[i] = options->channel[i].path;
    }
    daemon->qmp = qmp_new(options->qmp, displays, options->n_displays, paths, options->n_channels, error);
    return daemon->qmp != NULL;
}

static gboolean add_channel(Daemon *daemon, const OptionsChannel *options, GError **error)
{
    Channel *channel = channel_new(&daemon->context, options, error);

    if (!channel) {
        return FALSE;
    }
    g_ptr_array_add(daemon->channels, channel);
    if (options->type == OPTIONS_VDAGENT) {
        daemon->vdagent = channel;
    }
    return TRUE;
}

static gboolean start_server(Daemon *daemon, GError **error)
{
    static const ServerEvents events = { .input_gone = input_gone, .watched = watched };
    g_autofree char *ticket = daemon->options->ticket_file ? access_ticket(daemon->options, error) : NULL;

    if (daemon->options->ticket_file && !ticket) {
        return FALSE;
    }
    daemon->server = server_new(daemon->options, ticket, &events, daemon, error);
    if (ticket) {
        explicit_bzero(ticket, strlen(ticket));
    }
    return daemon->server != NULL;
}

static gboolean start(Daemon *daemon, GError **error)
{
    static const QmpEvents qmp_events = {
        .connected = qmp_connected, .guest_open = qmp_guest_open, .reset = qmp_reset, .tablet = qmp_tablet
    };
    const Options *options = daemon->options;
    SinksWay by_qmp = { .open = qmp_way_open, .input = qmp_way_input, .release = qmp_way_release, .user = daemon };

    if (!fork_qmp(daemon, error) || !start_server(daemon, error)) {
        return FALSE;
    }
    daemon->sinks = sinks_new(options->policy.pointer);
    daemon->context = (ChannelContext){ .options = options,
                                        .server = server_spice(daemon->server),
                                        .gate = server_gate(daemon->server),
                                        .sinks = daemon->sinks,
                                        .qmp = daemon->qmp };
    for (guint i = 0; i < options->n_channels; i++) {
        if (!add_channel(daemon, &options->channel[i], error)) {
            return FALSE;
        }
    }
    if (!daemon->vdagent && !add_channel(daemon, &daemon->no_vdagent, error)) {
        return FALSE;
    }
    daemon->screens = screens_new(options, server_spice(daemon->server), resized, daemon);
    daemon->context.screens = daemon->screens;
    daemon->inputs = inputs_new(&daemon->context);
    if (daemon->qmp) {
        sinks_set_way(daemon->sinks, SINKS_QMP, &by_qmp);
        qmp_start(daemon->qmp, &qmp_events, daemon);
    }
    daemon->control = control_new(options, status, daemon, error);
    return daemon->control != NULL;
}

static void stop(Daemon *daemon)
{
    control_free(daemon->control);
    if (daemon->sinks) {
        sinks_release(daemon->sinks);
        core_settle();
    }
    g_clear_pointer(&daemon->screens, screens_free);
    g_ptr_array_unref(daemon->channels);
    server_free(daemon->server);
    g_clear_pointer(&daemon->inputs, inputs_free);
    qmp_free(daemon->qmp);
    sinks_free(daemon->sinks);
    g_main_loop_unref(daemon->loop);
}

/* Tell systemd that clients can connect; see sd_notify(3). */
static void tell_ready(void)
{
    static const char ready[] = "READY=1";
    const char *path = g_getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    gsize size = path ? strlen(path) : 0;

    if (size == 0 || size >= sizeof(address.sun_path)) {
        return;
    }
    memcpy(address.sun_path, path, size);
    if (address.sun_path[0] == '@') {
        address.sun_path[0] = '\0';
    }

    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd >= 0) {
        sendto(fd, ready, sizeof(ready) - 1, MSG_NOSIGNAL, (struct sockaddr *)&address,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size));
        close(fd);
    }
}

static gboolean run(Options *options, GError **error)
{
    Daemon daemon = { .options = options, .no_vdagent = { .type = OPTIONS_VDAGENT } };
    gboolean ok;

    if (access_lock(options, error) < 0) { /* held for good */
        return FALSE;
    }
    daemon.loop = g_main_loop_new(NULL, FALSE);
    daemon.channels = g_ptr_array_new_with_free_func((GDestroyNotify)channel_free);
    ok = start(&daemon, error);
    if (ok) {
        g_unix_signal_add(SIGTERM, terminate, &daemon);
        g_unix_signal_add(SIGINT, terminate, &daemon);
        tell_ready();
        g_message("%s: clients connect to %s", options->name, server_uri(daemon.server));
        g_main_loop_run(daemon.loop);
    }
    stop(&daemon);
    return ok;
}

static gboolean print(char *text)
{
    if (text) {
        fputs(text, stdout);
        g_free(text);
    }
    return text != NULL;
}

static gboolean perform(Options *options, GError **error)
{
    switch (options->action) {
    case OPTIONS_STATUS:
        return control_print(options, error);
    case OPTIONS_PRINT_QEMU_ARGS:
        return print(recipe_qemu_args(options));
    case OPTIONS_PRINT_LIBVIRT_XML:
        return print(recipe_libvirt_xml(options));
    case OPTIONS_PRINT_VV:
        return print(recipe_vv(options, error));
    case OPTIONS_CHECK_CONFIG:
        return access_check(options, error);
    case OPTIONS_RUN:
        return access_check(options, error) && run(options, error);
    }
    return FALSE;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;

    signal(SIGPIPE, SIG_IGN);

    g_autoptr(Options) options = options_parse(argc, argv, &error);

    if (options) {
        log_setup("spicevmc", options->debug);
        g_log_set_handler("Spice", G_LOG_LEVEL_MASK | G_LOG_FLAG_FATAL | G_LOG_FLAG_RECURSION, spice_log, NULL);
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* a huge page for each thread's stack is memory for nothing */
        /*
         * libspice-server has 8 MiB for each client, which would else be kept, once for each display's thread. What it has for
         * one USB packet is smaller, and would else be mapped and cleared by the kernel for each.
         */
        mallopt(M_MMAP_THRESHOLD, 1 << 18);
        mallopt(M_TRIM_THRESHOLD, 1 << 19);
    }
    if (!options || !perform(options, &error)) {
        g_printerr("spicevmc: %s\n", error->message);
        return (int)options_exit(error);
    }
    return OPTIONS_EXIT_OK;
}
