/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * spice-pvmouse - moves the guest's pointer by what arrives on its dedicated virtio-serial port.
 *
 * What can wake it: the port, the layout socket and its few connections; a timer for at most a second after the host
 * got out of step; and the pace of uinput.h while a burst of edges waits. Everything is open before the sandbox
 * closes, so a port that goes away ends the program; the unit starts it again when the port is back.
 */
#include "layoutsock.h"
#include "log.h"
#include "port.h"
#include "sandbox.h"
#include "session.h"
#include "uinput.h"

#include <errno.h>
#include <gio/gio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct Daemon {
    GMainLoop *loop;
    int status;
    Port *port;
    Uinput *uinput;
    LayoutSock *layout;
    Pointer pointer;
    Session session;
    LogPeer host;
    guint timer; /* for session_deadline() */
} Daemon;

static void quit(Daemon *daemon, int status)
{
    daemon->status = status;
    g_main_loop_quit(daemon->loop);
}

static void write_steps(Daemon *daemon, const PointerStep *steps, gsize count)
{
    g_autoptr(GError) error = NULL;

    if (count > 0 && daemon->status == EXIT_SUCCESS && !uinput_write(daemon->uinput, steps, count, &error)) {
        g_warning("%s", error->message);
        quit(daemon, EXIT_FAILURE);
    }
}

static void release(Daemon *daemon)
{
    PointerStep steps[POINTER_STEPS_MAX];

    write_steps(daemon, steps, pointer_release(&daemon->pointer, steps));
}

static void data(const guint8 *bytes, gsize size, gpointer user)
{
    Daemon *daemon = user;
    BytesReader in = bytes_reader(bytes, size);
    PointerStep steps[POINTER_STEPS_MAX];
    SessionEvent event;
    gint64 now = g_get_monotonic_time();

    for (;;) {
        switch (session_next(&daemon->session, &in, now, &event)) {
        case SESSION_MORE:
            return;
        case SESSION_OPEN:
            g_debug("the host has answered");
            break;
        case SESSION_INPUT:
            if (event.why) {
                log_peer(&daemon->host, "%s", event.why);
            }
            write_steps(daemon, steps, pointer_feed(&daemon->pointer, &event.frame, steps));
            break;
        case SESSION_REFUSED:
            log_peer(&daemon->host, "frame refused: %s", event.why);
            break;
        case SESSION_RESTART:
            if (event.why) {
                log_peer(&daemon->host, "starting over: %s", event.why);
            }
            release(daemon);
            break;
        }
    }
}

static gboolean timer_fired(gpointer user)
{
    Daemon *daemon = user;

    daemon->timer = 0;
    port_kick(daemon->port);
    return G_SOURCE_REMOVE;
}

static gsize fill(guint8 *buffer, gsize size, gpointer user)
{
    Daemon *daemon = user;
    gint64 now = g_get_monotonic_time(), deadline;

    (void)size; /* PORT_FILL_MIN is more than SESSION_OUTPUT_MAX */

    gsize written = session_output(&daemon->session, now, !uinput_behind(daemon->uinput), buffer);

    deadline = session_deadline(&daemon->session);
    if (deadline >= 0 && daemon->timer == 0) {
        daemon->timer = g_timeout_add((guint)((deadline - now) / 1000 + 1), timer_fired, daemon);
    }
    return written;
}

/* Motion waits while edges do, which take their position along; so does the credit for them. */
static void drained(gpointer user)
{
    Daemon *daemon = user;
    PointerStep steps[POINTER_STEPS_MAX];

    if (uinput_behind(daemon->uinput)) {
        return;
    }
    write_steps(daemon, steps, pointer_flush(&daemon->pointer, steps));
    if (session_output_due(&daemon->session)) {
        port_kick(daemon->port);
    } else if (!uinput_behind(daemon->uinput)) {
        port_stay(daemon->port);
    }
}

static void connected(gboolean is_connected, gpointer user)
{
    Daemon *daemon = user;

    if (is_connected) {
        session_connected(&daemon->session, g_get_monotonic_time());
        port_kick(daemon->port);
    } else {
        session_disconnected(&daemon->session);
        release(daemon);
    }
}

static void gone(const GError *error, gpointer user)
{
    Daemon *daemon = user;

    release(daemon);
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CLOSED)) {
        g_info("%s", error->message);
        quit(daemon, daemon->status);
    } else {
        g_warning("%s", error->message);
        quit(daemon, EXIT_FAILURE);
    }
}

static void layout_changed(const Layout *layout, gpointer user)
{
    Daemon *daemon = user;

    g_debug("new layout, desktop of %ux%u", layout->box_w, layout->box_h);
    pointer_set_layout(&daemon->pointer, layout);
}

static gboolean open_all(Daemon *daemon, const char *port, const char *uinput, const char *layout, GError **error)
{
    static const PortEvents events = {
        .data = data, .drained = drained, .fill = fill, .connected = connected, .gone = gone
    };
    g_autoptr(GError) no_layout = NULL;

    daemon->uinput = uinput_new(uinput, TRUE, error);
    if (!daemon->uinput) {
        return FALSE;
    }
    uinput_on_caught_up(daemon->uinput, drained, daemon);
    daemon->port = port_open(port, &events, daemon, error);
    if (!daemon->port) {
        return FALSE;
    }
    daemon->layout = layoutsock_new(layout, layout_changed, daemon, &no_layout);
    if (!daemon->layout) {
        g_warning("no layout, one display is taken for the whole desktop: %s", no_layout->message);
    }
    return sandbox_enter(SANDBOX_POINTER, NULL, error);
}

static int run(const char *port, const char *uinput, const char *layout)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    g_autoptr(GError) error = NULL;
    Daemon daemon = { .loop = loop, .host = { .name = "host" } };

    if (access(port, F_OK) < 0 && errno == ENOENT) {
        g_info("%s: there is no such port, nothing to do", port);
        return EXIT_SUCCESS;
    }
    g_main_context_set_poll_func(NULL, port_poll);
    pointer_init(&daemon.pointer);
    session_init(&daemon.session, g_random_int());
    if (open_all(&daemon, port, uinput, layout, &error)) {
        g_info("%s: waiting for the host", port);
        g_main_loop_run(loop);
    } else {
        g_warning("%s", error->message);
        daemon.status = EXIT_FAILURE;
    }
    g_clear_handle_id(&daemon.timer, g_source_remove);
    layoutsock_free(daemon.layout);
    port_free(daemon.port);
    uinput_free(daemon.uinput);
    return daemon.status;
}

int main(int argc, char **argv)
{
    gboolean debug = FALSE, version = FALSE;
    g_autofree char *port = NULL, *uinput = NULL, *layout = NULL;
    g_autoptr(GError) error = NULL;
    const GOptionEntry options[] = {
        { "port", 0, 0, G_OPTION_ARG_FILENAME, &port, "Port of the host, or a unix socket or pty", "PATH" },
        { "uinput", 0, 0, G_OPTION_ARG_FILENAME, &uinput, "Device to make pointers with, or a FIFO, socket, file",
          "PATH" },
        { "layout-socket", 0, 0, G_OPTION_ARG_FILENAME, &layout, "Where to be told how the displays lie", "PATH" },
        { "debug", 0, 0, G_OPTION_ARG_NONE, &debug, "Log more", NULL },
        { "version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version and exit", NULL },
        G_OPTION_ENTRY_NULL
    };
    g_autoptr(GOptionContext) context = g_option_context_new("- move the pointer for the host");

    g_option_context_add_main_entries(context, options, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "spice-pvmouse: %s\n", error->message);
        return EXIT_FAILURE;
    }
    if (argc > 1) {
        fprintf(stderr, "spice-pvmouse: unexpected argument %s\n", argv[1]);
        return EXIT_FAILURE;
    }
    if (version) {
        puts("spice-pvmouse " SPICE_PV_VERSION);
        return EXIT_SUCCESS;
    }
    signal(SIGPIPE, SIG_IGN);
    log_setup("spice-pvmouse", debug);
    return run(port ? port : "/dev/virtio-ports/" PVMOUSE_PORT_NAME, uinput ? uinput : "/dev/uinput",
               layout ? layout : LAYOUT_SOCKET);
}
