/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * spice-agent-manage: the guest's management daemon, which speaks the protocol of QEMU's guest agent.
 *
 *   port or socket → peer → dispatch → a command → its answer → peer → port or socket
 */
#include "commands.h"
#include "dispatch.h"
#include "exec.h"
#include "extensions.h"
#include "freeze.h"
#include "helper.h"
#include "openfiles.h"
#include "packages.h"
#include "log.h"
#include "manageconf.h"
#include "peer.h"
#include "power.h"
#include "rival.h"
#include "sandbox.h"
#include "services.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#define PORT_PATH "/dev/virtio-ports/org.qemu.guest_agent.0"
#define STATE_DIR "/run/spice-agent-manage"

/* The settings cannot be read, and systemd is not to try again. */
#define EXIT_SETTINGS 2

typedef struct Options {
    char *port, *listen, *state_dir, *config, *allow, *block, *bus;
    gboolean dump, debug, version;
} Options;

typedef struct App {
    GMainLoop *loop;
    gboolean ended;
    int status;
    Options options;
    Policy *policy;
    char *restartable; /* units, as in the settings */
    Freeze *freeze;
    Services services;
    Dispatch *dispatch;
    Peer *peer;
} App;

static void quit(App *app, int status)
{
    app->status = status;
    app->ended = TRUE;
    g_main_loop_quit(app->loop);
}

/* ---- peer and dispatch ---- */

static gsize on_input(const guint8 *data, gsize size, gpointer user)
{
    App *app = user;

    return dispatch_feed(app->dispatch, data, size);
}

static void on_left(gpointer user)
{
    App *app = user;

    dispatch_reset(app->dispatch);
}

static void on_gone(const GError *error, gpointer user)
{
    gboolean closed = g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CLOSED);

    if (closed)
        g_message("%s; ending until the port is there again", error->message);
    else
        g_warning("%s", error->message);
    quit(user, closed ? EXIT_SUCCESS : EXIT_FAILURE);
}

static gboolean on_reply(GBytes *reply, gpointer user)
{
    App *app = user;

    return peer_send(app->peer, reply);
}

static void on_ready(gpointer user)
{
    App *app = user;

    if (app->peer)
        peer_resume(app->peer);
}

static void open_peer(App *app)
{
    static const PeerEvents events = { on_input, on_left, on_gone };
    g_autoptr(GError) error = NULL;

    if (app->options.listen)
        app->peer = peer_listen(app->options.listen, &events, app, &error);
    else
        app->peer = peer_open(app->options.port ? app->options.port : PORT_PATH, &events, app, &error);
    if (app->peer)
        return;
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND) ||
        g_error_matches(error, G_IO_ERROR, G_IO_ERROR_BUSY)) {
        g_message("%s; nothing to do", error->message);
        quit(app, EXIT_SUCCESS);
    } else {
        g_critical("%s", error->message);
        quit(app, EXIT_FAILURE);
    }
}

static void on_rival(gboolean running, gpointer user)
{
    if (running) {
        g_message(RIVAL_UNIT " serves the port; nothing to do");
        quit(user, EXIT_SUCCESS);
    } else {
        open_peer(user);
    }
}

/* ---- settings ---- */

static gboolean make_policy(App *app, GError **error)
{
    g_autoptr(Config) config = manageconf_load(app->options.config, error);
    const char *word;
    guint position = 0;

    if (!config)
        return FALSE;
    app->policy = manageconf_policy(config);
    app->restartable = g_strdup(config_string(config, "services", "restart"));
    policy_allow(app->policy, app->options.allow);
    policy_block(app->policy, app->options.block);
    while ((word = policy_unknown(app->policy, commands_tables, &position)))
        g_warning("policy: there is no command or group %s", word);
    return TRUE;
}

/* What is in force, as a manage.conf, with what comes of it in comments. */
static void dump(const App *app)
{
    g_autofree char *allowed = policy_allowed(app->policy);
    g_autofree char *blocked = policy_blocked(app->policy);

    if (app->options.listen)
        g_print("# listen-unix %s\n", app->options.listen);
    else
        g_print("# port %s\n", app->options.port ? app->options.port : PORT_PATH);
    g_print("# state-dir %s\n\n[policy]\nallow=%s\nblock=%s\n\n[services]\nrestart=%s\n\n",
            app->options.state_dir ? app->options.state_dir : STATE_DIR, allowed, blocked, app->restartable);
    for (const Command *const *table = commands_tables; *table; table++)
        for (const Command *command = *table; command->name; command++) {
            const char *refusal = policy_refusal(app->policy, command);

            g_print("# %s (%s): %s\n", command->name, policy_group_name(command->group), refusal ? refusal : "on");
        }
}

/* ---- start ---- */

static gboolean on_signal(gpointer user)
{
    quit(user, EXIT_SUCCESS);
    return G_SOURCE_CONTINUE;
}

/* What listens does so before it gives up the means, and what opens a port asks for rivals first. */
static gboolean start(App *app, GError **error)
{
    if (app->options.listen)
        open_peer(app);
    if (app->ended)
        return TRUE;
    if (!sandbox_enter(SANDBOX_MANAGE, NULL, error))
        return FALSE;
    if (app->options.port)
        open_peer(app);
    else if (!app->options.listen)
        rival_ask(app->services.bus, on_rival, app);
    return TRUE;
}

static void run(App *app)
{
    static const DispatchEvents events = { on_reply, on_ready };
    g_autoptr(GError) error = NULL;

    app->services = (Services){ .bus = bus_new(app->options.bus), .files = openfiles_new(), .exec = exec_new() };
    app->services.helper = helper_new();
    app->services.power = power_new();
    app->services.freeze = app->freeze;
    app->services.extensions = extensions_new(app->restartable);
    app->services.packages = packages_new(app->services.bus);
    app->dispatch = dispatch_new(commands_tables, app->policy, &app->services, &events, app);
    freeze_attach(app->freeze, app->dispatch, app->services.packages);
    app->loop = g_main_loop_new(NULL, FALSE);
    signal(SIGPIPE, SIG_IGN);
    g_unix_signal_add(SIGTERM, on_signal, app);
    g_unix_signal_add(SIGINT, on_signal, app);
    if (!start(app, &error)) {
        g_critical("%s", error->message);
        app->status = EXIT_FAILURE;
    } else if (!app->ended) {
        g_main_loop_run(app->loop);
    }
    g_clear_pointer(&app->peer, peer_free);
    dispatch_reset(app->dispatch); /* its client is gone: nobody waits for the command under way */
    exec_free(app->services.exec);
    helper_free(app->services.helper);
    power_free(app->services.power);
    extensions_free(app->services.extensions);
    packages_free(app->services.packages);
    openfiles_free(app->services.files);
    bus_free(app->services.bus);
    dispatch_free(app->dispatch);
    g_main_loop_unref(app->loop);
}

int main(int argc, char **argv)
{
    App app = { .status = EXIT_SUCCESS };
    Options *o = &app.options;
    const GOptionEntry entries[] = {
        { "port", 0, 0, G_OPTION_ARG_FILENAME, &o->port, "Agent port (" PORT_PATH ")", "PATH" },
        { "listen-unix", 0, 0, G_OPTION_ARG_FILENAME, &o->listen, "Listen at a socket in place of the port", "PATH" },
        { "state-dir", 0, 0, G_OPTION_ARG_FILENAME, &o->state_dir, "What outlives a restart (" STATE_DIR ")", "DIR" },
        { "config", 0, 0, G_OPTION_ARG_FILENAME, &o->config, "Settings (" CONFIG_DIR "/manage.conf)", "FILE" },
        { "allow", 0, 0, G_OPTION_ARG_STRING, &o->allow, "Commands and groups to allow", "LIST" },
        { "block", 0, 0, G_OPTION_ARG_STRING, &o->block, "Commands and groups to block", "LIST" },
        { "dump-conf", 0, 0, G_OPTION_ARG_NONE, &o->dump, "Print the settings in force and exit", NULL },
        { "bus", 0, 0, G_OPTION_ARG_STRING, &o->bus, "D-Bus address in place of the system bus", "ADDRESS" },
        { "debug", 0, 0, G_OPTION_ARG_NONE, &o->debug, "Log more", NULL },
        { "version", 0, 0, G_OPTION_ARG_NONE, &o->version, "Print the version and exit", NULL },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;

    g_option_context_set_summary(context, "The guest's management daemon: the protocol of QEMU's guest agent.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        g_printerr("%s\n", error->message);
        return EXIT_FAILURE;
    }
    if (o->version) {
        g_print("spice-agent-manage " SPICE_PV_VERSION "\n");
        return EXIT_SUCCESS;
    }
    log_setup("spice-agent-manage", o->debug);
    /* Else the stack of a thread costs 2 MiB when it happens to be aligned to that. */
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    if (o->port && o->listen) {
        g_critical("--port and --listen-unix are alternatives");
        return EXIT_FAILURE;
    }
    if (!o->dump)
        app.freeze = freeze_new(o->state_dir ? o->state_dir : STATE_DIR);
    if (!make_policy(&app, &error)) {
        g_critical("%s", error->message);
        return EXIT_SETTINGS;
    }
    if (o->dump)
        dump(&app);
    else
        run(&app);
    freeze_free(app.freeze);
    policy_free(app.policy);
    g_free(app.restartable);
    return app.status;
}
