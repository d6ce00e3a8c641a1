/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "clipboard.h"

#include "bus.h"
#include "options.h"

#include <errno.h>
#include <gio/gunixfdlist.h>
#include <glib-unix.h>
#include <poll.h>
#include <unistd.h>

#define PIECE 65536

/* One copy or paste under way. */
typedef struct Job {
    const char *method, *selection, *mime;
    int from, to;      /* what is pumped; -1 when at its end */
    guint source;      /* watches `from` */
    gboolean answered; /* the call has ended, with `error` or without */
    GError *error;
    int failed; /* errno of our own side */
} Job;

static void end_input(Job *job)
{
    g_clear_handle_id(&job->source, g_source_remove);
    /* For copy this tells the daemon that all has been said. */
    if (job->to > STDERR_FILENO) {
        close(job->to);
    }
    job->to = -1;
    job->from = -1;
}

/* Standard output may be one that does not block, as another program left it. */
static gboolean write_all(int fd, const char *data, gsize size)
{
    while (size > 0) {
        gssize done = write(fd, data, size);

        if (done < 0 && errno == EAGAIN) {
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
            continue;
        }
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return FALSE;
        }
        data += done;
        size -= (gsize)done;
    }
    return TRUE;
}

static gboolean pump(gint fd, GIOCondition condition, gpointer user)
{
    Job *job = user;
    static char piece[PIECE];
    gssize size = read(fd, piece, sizeof piece);

    (void)condition;
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) {
        return G_SOURCE_CONTINUE;
    }
    if (size < 0 || (size > 0 && !write_all(job->to, piece, (gsize)size))) {
        /* A daemon that reads no further says why in its answer. (GLib has SIGPIPE ignored.) */
        job->failed = errno == EPIPE && job->to != STDOUT_FILENO ? 0 : errno;
        size = 0;
    }
    if (size > 0) {
        return G_SOURCE_CONTINUE;
    }
    job->source = 0;
    end_input(job);
    return G_SOURCE_REMOVE;
}

static void answered(GObject *object, GAsyncResult *result, gpointer user)
{
    Job *job = user;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_with_unix_fd_list_finish(G_DBUS_CONNECTION(object), NULL, result, &job->error);

    (void)reply;
    job->answered = TRUE;
}

static void explain(const Job *job)
{
    g_autofree char *remote = g_dbus_error_get_remote_error(job->error);
    const char *advice = "Ask 'spice-agentctl doctor' what is missing.";

    if (g_strcmp0(remote, BUS_SESSION ".Error.Empty") == 0) {
        if (g_str_equal(job->method, "Copy")) {
            g_printerr("spice-agentctl: standard input is empty, nothing was copied.\n");
            return;
        }
        g_printerr("spice-agentctl: the %s holds nothing of type %s.\n", job->selection, job->mime);
        return;
    }
    if (g_strcmp0(remote, BUS_SESSION ".Error.Refused") == 0) {
        advice = "The policy is in /etc/spice-pv/agent-session.conf, see spice-pv.conf(5).";
    } else if (g_strcmp0(remote, BUS_SESSION ".Error.Timeout") == 0) {
        advice = "The program that owns the clipboard did not answer; copy again there.";
    } else if (g_error_matches(job->error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS)) {
        advice = "The types are text/plain, image/png, image/bmp, image/tiff and image/jpeg.";
    } else if (g_error_matches(job->error, G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED)) {
        advice = "Another one that waits for its input or its reader has to end first.";
    } else if (bus_nobody_there(job->error)) {
        g_printerr("spice-agentctl: the session daemon is not running.\n"
                   "Start it with 'systemctl --user start spice-agent-session'; see also 'spice-agentctl doctor'.\n");
        return;
    }
    g_printerr("spice-agentctl: %s: %s\n%s\n", job->method, bus_error_text(job->error), advice);
}

/* Runs the call and the pump beside each other until both are done or one has failed. */
static int run(Job *job)
{
    gboolean paste = g_str_equal(job->method, "Paste");
    g_autoptr(GError) error = NULL;
    g_autoptr(GDBusConnection) bus = bus_connect(G_BUS_TYPE_SESSION, &error);
    g_autoptr(GUnixFDList) list = NULL;
    int ends[2];

    if (!bus) {
        g_printerr("spice-agentctl: no session bus: %s\n"
                   "The desktop's user must be logged in, and this command run as that user.\n", error->message);
        return 1;
    }
    g_dbus_connection_set_exit_on_close(bus, FALSE);
    if (!g_unix_open_pipe(ends, FD_CLOEXEC, &error)) {
        g_printerr("spice-agentctl: %s\n", error->message);
        return 1;
    }
    job->from = paste ? ends[0] : STDIN_FILENO;
    job->to = paste ? STDOUT_FILENO : ends[1];
    list = g_unix_fd_list_new_from_array(&ends[paste ? 1 : 0], 1);
    g_dbus_connection_call_with_unix_fd_list(bus, BUS_SESSION, BUS_SESSION_PATH, BUS_SESSION, job->method,
                                             g_variant_new("(ssh)", job->selection, job->mime, 0), NULL,
                                             G_DBUS_CALL_FLAGS_NO_AUTO_START, G_MAXINT, list, NULL, answered, job);
    /* The end of data is seen when the daemon closes its end, so no copy of that end may stay here. */
    g_clear_object(&list);
    job->source = g_unix_fd_add(job->from, G_IO_IN | G_IO_HUP, pump, job);

    while (!job->failed && (!job->answered || (paste && !job->error && job->from >= 0))) {
        g_main_context_iteration(NULL, TRUE);
    }
    end_input(job);
    if (job->error) {
        explain(job);
        g_clear_error(&job->error);
        return 1;
    }
    if (job->failed == EPIPE) {
        return 1; /* as in 'paste | head -c 1': nobody wants to know */
    }
    if (job->failed) {
        g_printerr("spice-agentctl: %s: %s\n", paste ? "standard output" : "standard input", g_strerror(job->failed));
        return 1;
    }
    return 0;
}

static int start(const char *method, const char *summary, int argc, char **argv)
{
    gboolean primary = FALSE;
    g_autofree char *mime = NULL;
    const GOptionEntry entries[] = {
        {"primary", 'p', 0, G_OPTION_ARG_NONE, &primary, "The selection made with the mouse, not the clipboard",
         NULL},
        {"type", 't', 0, G_OPTION_ARG_STRING, &mime, "MIME type, default text/plain;charset=utf-8", "TYPE"},
        G_OPTION_ENTRY_NULL
    };
    Job job = {.method = method, .from = -1, .to = -1};

    if (!options_parse(summary, entries, argc, argv)) {
        return 2;
    }
    job.selection = primary ? "primary" : "clipboard";
    job.mime = mime ? mime : "text/plain;charset=utf-8";
    return run(&job);
}

int clipboard_copy(int argc, char **argv)
{
    return start("Copy", "Copies standard input to the clipboard.", argc, argv);
}

int clipboard_paste(int argc, char **argv)
{
    return start("Paste", "Writes the clipboard's content to standard output.", argc, argv);
}
