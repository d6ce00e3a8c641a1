/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "exec.h"

#include "commands.h"
#include "helper.h"
#include "log.h"
#include "pipes.h"
#include "services.h"

#include <errno.h>
#include <gio/gunixfdlist.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SERVICE EXEC_SYSTEMD ".Service"
#define PROPERTIES "org.freedesktop.DBus.Properties"

/* Status of a service whose program could not be started, see systemd.exec(5); a program may have the same. */
#define EXIT_EXEC 203

/* Where programs are looked for if the environment does not say. */
#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct Exec {
    GQueue processes; /* the oldest first */
    guint64 next;
    gsize output_room, input_room; /* left of what all of them may keep */
    LogPeer log;
};

typedef struct Process {
    Exec *exec;
    Call *call; /* until it runs */
    char *program, *unit;
    GVariant *arguments; /* of StartTransientUnit */
    GUnixFDList *fds;
    GDBusConnection *bus;
    GCancellable *cancellable;
    Helper *helper; /* that has started it and keeps the unit; NULL: we have */
    char *path; /* of its object */
    guint job_signal, properties_signal;
    gboolean executed; /* execve() has worked, as far as systemd has seen it */
    gint64 pid; /* 0: not known yet */
    gboolean ended;
    gint32 code, status; /* as waitid() has them */
    Pipe in, out, err;
} Process;

Exec *exec_new(void)
{
    Exec *exec = g_new0(Exec, 1);

    g_queue_init(&exec->processes);
    exec->output_room = EXEC_OUTPUT_TOTAL;
    exec->input_room = EXEC_INPUT_TOTAL;
    exec->log.name = "host";
    return exec;
}

static void process_free(Process *process)
{
    g_cancellable_cancel(process->cancellable);
    helper_free(process->helper);
    g_object_unref(process->cancellable);
    if (process->job_signal != 0)
        g_dbus_connection_signal_unsubscribe(process->bus, process->job_signal);
    if (process->properties_signal != 0)
        g_dbus_connection_signal_unsubscribe(process->bus, process->properties_signal);
    if (process->bus)
        g_signal_handlers_disconnect_by_data(process->bus, process);
    g_clear_object(&process->bus);
    g_clear_object(&process->fds);
    g_clear_pointer(&process->arguments, g_variant_unref);
    pipe_clear(&process->in);
    pipe_clear(&process->out);
    pipe_clear(&process->err);
    g_free(process->program);
    g_free(process->unit);
    g_free(process->path);
    g_free(process);
}

static void forget(Process *process)
{
    g_queue_remove(&process->exec->processes, process);
    process_free(process);
}

static void fail(Process *process, const char *why)
{
    call_fail(g_steal_pointer(&process->call), "Failed to execute child process \342\200\234%s\342\200\235 (%s)",
              process->program, why);
    forget(process);
}

void exec_free(Exec *exec)
{
    Process *process;

    if (!exec)
        return;
    while ((process = g_queue_peek_head(&exec->processes))) {
        if (process->call)
            fail(process, "the agent ends");
        else
            forget(process);
    }
    g_free(exec);
}

/* ---- the service's life ---- */

/* The reply, or NULL: `*ret_gone` then tells that the process is not there any more. */
static GVariant *finish(GObject *bus, GAsyncResult *result, GError **error, gboolean *ret_gone)
{
    GVariant *reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, error);

    *ret_gone = !reply && g_error_matches(*error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    return reply;
}

static void call_manager(Process *process, const char *method, GVariant *arguments, const char *type,
                         GAsyncReadyCallback ready)
{
    g_dbus_connection_call(process->bus, EXEC_SYSTEMD, EXEC_SYSTEMD_PATH, EXEC_MANAGER, method, arguments,
                           type ? G_VARIANT_TYPE(type) : NULL, G_DBUS_CALL_FLAGS_NONE, -1,
                           ready ? process->cancellable : NULL, ready, process);
}

/* It has been started, so its pipes are to end with the program. */
static void drop_start(Process *process)
{
    g_clear_object(&process->fds);
    g_clear_pointer(&process->arguments, g_variant_unref);
}

static void end(Process *process)
{
    process->ended = TRUE;
    drop_start(process); /* systemd may have told us first, and the helper is not listened to any more */
    if (process->properties_signal != 0)
        g_dbus_connection_signal_unsubscribe(process->bus, process->properties_signal);
    process->properties_signal = 0;
    /* It was kept for us. */
    if (!process->helper)
        call_manager(process, "UnrefUnit", g_variant_new("(s)", process->unit), NULL, NULL);
    g_clear_pointer(&process->helper, helper_free);
}

/* Nobody tells of it any more. */
static void on_closed(G_GNUC_UNUSED GDBusConnection *bus, G_GNUC_UNUSED gboolean remote, G_GNUC_UNUSED GError *error,
                      gpointer user)
{
    Process *process = user;

    if (process->call)
        fail(process, "the system bus has gone");
    else if (!process->ended)
        end(process);
}

static void on_properties(GObject *bus, GAsyncResult *result, gpointer user)
{
    Process *process = user;
    g_autoptr(GError) error = NULL;
    gboolean gone;
    g_autoptr(GVariant) reply = finish(bus, result, &error, &gone);
    g_autoptr(GVariant) all = reply ? g_variant_get_child_value(reply, 0) : NULL;
    guint32 pid = 0;

    if (gone || process->ended)
        return;
    if (all) {
        g_variant_lookup(all, "ExecMainPID", "u", &pid);
        g_variant_lookup(all, "ExecMainCode", "i", &process->code);
        g_variant_lookup(all, "ExecMainStatus", "i", &process->status);
    }
    if (process->call && pid == 0) {
        fail(process, error ? error->message : "systemd has not started it");
        return;
    }
    if (process->call && !process->executed && process->code == CLD_EXITED && process->status == EXIT_EXEC) {
        end(process);
        fail(process, "systemd cannot execute it");
        return;
    }
    if (!all || process->code != 0)
        end(process);
    if (process->call) {
        process->pid = pid;
        call_return(g_steal_pointer(&process->call), json_pack("{s:I}", "pid", (json_int_t)pid));
    }
}

static void read_properties(Process *process)
{
    g_dbus_connection_call(process->bus, EXEC_SYSTEMD, process->path, PROPERTIES, "GetAll", g_variant_new("(s)", SERVICE),
                           G_VARIANT_TYPE("(a{sv})"), G_DBUS_CALL_FLAGS_NONE, -1, process->cancellable, on_properties,
                           process);
}

static void on_properties_changed(G_GNUC_UNUSED GDBusConnection *bus, G_GNUC_UNUSED const char *sender,
                                  G_GNUC_UNUSED const char *path, G_GNUC_UNUSED const char *interface,
                                  G_GNUC_UNUSED const char *signal, G_GNUC_UNUSED GVariant *arguments, gpointer user)
{
    read_properties(user);
}

static void on_unit(GObject *bus, GAsyncResult *result, gpointer user)
{
    Process *process = user;
    g_autoptr(GError) error = NULL;
    gboolean gone;
    g_autoptr(GVariant) reply = finish(bus, result, &error, &gone);

    if (gone)
        return;
    if (!reply) {
        fail(process, error->message);
        return;
    }
    g_variant_get(reply, "(o)", &process->path);
    process->properties_signal =
        g_dbus_connection_signal_subscribe(process->bus, EXEC_SYSTEMD, PROPERTIES, "PropertiesChanged", process->path,
                                           SERVICE, G_DBUS_SIGNAL_FLAGS_NONE, on_properties_changed, process, NULL);
    read_properties(process);
}

/*
 * Whether it has worked stands in the unit's properties: the job has failed also where the program has ended with an
 * error before systemd took notice that it was there.
 */
static void on_job_removed(G_GNUC_UNUSED GDBusConnection *bus, G_GNUC_UNUSED const char *sender,
                           G_GNUC_UNUSED const char *path, G_GNUC_UNUSED const char *interface,
                           G_GNUC_UNUSED const char *signal, GVariant *arguments, gpointer user)
{
    Process *process = user;
    const char *unit, *result;

    if (!g_variant_is_of_type(arguments, G_VARIANT_TYPE("(uoss)")))
        return;
    g_variant_get(arguments, "(uo&s&s)", NULL, NULL, &unit, &result);
    if (!g_str_equal(unit, process->unit))
        return;
    process->executed = g_str_equal(result, "done");
    g_dbus_connection_signal_unsubscribe(process->bus, process->job_signal);
    process->job_signal = 0;
    call_manager(process, "GetUnit", g_variant_new("(s)", process->unit), "(o)", on_unit);
}

/* A failure says nothing any more where systemd has told us first that it runs. */
static void started(Process *process, const char *why)
{
    drop_start(process);
    if (why && process->call)
        fail(process, why);
}

static void on_started(GObject *bus, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_with_unix_fd_list_finish(G_DBUS_CONNECTION(bus), NULL, result, &error);

    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return;
    if (error)
        g_dbus_error_strip_remote_error(error);
    started(user, error ? error->message : NULL);
}

/* Without a helper: polkit then has to let our user do it. */
static void start_by_ourselves(Process *process)
{
    g_clear_pointer(&process->helper, helper_free);
    g_dbus_connection_call_with_unix_fd_list(process->bus, EXEC_SYSTEMD, EXEC_SYSTEMD_PATH, EXEC_MANAGER,
                                             "StartTransientUnit", process->arguments, G_VARIANT_TYPE("(o)"),
                                             G_DBUS_CALL_FLAGS_NONE, -1, process->fds, process->cancellable, on_started,
                                             process);
}

static void on_helped(G_GNUC_UNUSED const char *const *words, const GError *error, gpointer user)
{
    Process *process = user;

    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return; /* it is being freed, or has ended */
    if (helper_is_missing(error))
        start_by_ourselves(process);
    else
        started(process, error ? error->message : NULL);
}

/* Whatever the answer is, the bus knows by now what we want to hear: the helper goes a way of its own to systemd. */
static void on_subscribed(GObject *bus, GAsyncResult *result, gpointer user)
{
    Process *process = user;
    g_autoptr(GError) error = NULL;
    gboolean gone;
    g_autoptr(GVariant) reply = finish(bus, result, &error, &gone);

    if (gone)
        return;

    g_autofree char *arguments = g_variant_print(process->arguments, TRUE);
    const char *const words[] = { "guest-exec", process->unit, arguments, NULL };

    process->helper = helper_new();
    helper_hold(process->helper, process->fds);
    helper_ask(process->helper, HELPER_EXEC, words, on_helped, process);
}

static void on_bus(GDBusConnection *connection, const GError *error, gpointer user)
{
    Process *process = user;

    if (!connection) {
        fail(process, error->message);
        return;
    }
    process->bus = g_object_ref(connection);
    g_signal_connect(connection, "closed", G_CALLBACK(on_closed), process);
    process->job_signal =
        g_dbus_connection_signal_subscribe(connection, EXEC_SYSTEMD, EXEC_MANAGER, "JobRemoved", EXEC_SYSTEMD_PATH, NULL,
                                           G_DBUS_SIGNAL_FLAGS_NONE, on_job_removed, process, NULL);
    /* Else it sends no signals; to do it twice is an error without consequence. */
    call_manager(process, "Subscribe", NULL, NULL, on_subscribed);
}

/* ---- what is to be run ---- */

static void add_strings(GVariantBuilder *builder, const json_t *list)
{
    size_t i;
    const json_t *value;

    json_array_foreach(list, i, value)
        g_variant_builder_add(builder, "s", json_string_value(value));
}

static GVariant *command_line(const Process *process, const char *path, const json_t *arguments)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a(sasas)"));
    g_variant_builder_open(&builder, G_VARIANT_TYPE("(sasas)"));
    g_variant_builder_add(&builder, "s", path);
    g_variant_builder_open(&builder, G_VARIANT_TYPE("as"));
    g_variant_builder_add(&builder, "s", process->program);
    add_strings(&builder, arguments);
    g_variant_builder_close(&builder);
    g_variant_builder_add_parsed(&builder, "['no-env-expand']");
    g_variant_builder_close(&builder);
    return g_variant_builder_end(&builder);
}

static void add_property(GVariantBuilder *builder, const char *name, GVariant *value)
{
    g_variant_builder_add(builder, "(sv)", name, value);
}

/* A stream of the program's is `fd`, which is taken over; -1: nothing. Returns its number in the list. */
static gint add_stream(Process *process, GVariantBuilder *builder, const char *name, int fd)
{
    g_autofree char *property = g_strconcat(name, fd < 0 ? "" : "FileDescriptor", NULL);
    gint number = fd < 0 ? -1 : g_unix_fd_list_append(process->fds, fd, NULL);

    if (fd >= 0)
        close(fd);
    add_property(builder, property, number < 0 ? g_variant_new_string("null") : g_variant_new_handle(number));
    return number;
}

/* As the schema has it: true is "separated", false "none". */
static const char *const capture_words[] = { "none", "stdout", "stderr", "separated", "merged", NULL };

static const char *capture_of(const json_t *args)
{
    const json_t *value = json_object_get(args, "capture-output");

    return json_is_string(value) ? json_string_value(value) : json_is_true(value) ? "separated" : "none";
}

static void add_streams(Process *process, GVariantBuilder *builder, GByteArray *input, const char *capture)
{
    gboolean merged = g_str_equal(capture, "merged"), both = merged || g_str_equal(capture, "separated");
    gboolean out = both || g_str_equal(capture, "stdout"), err = (both && !merged) || g_str_equal(capture, "stderr");
    gint number;

    add_stream(process, builder, "StandardInput",
               input ? pipe_write(&process->in, input, &process->exec->input_room) : -1);
    number = add_stream(process, builder, "StandardOutput",
                        out ? pipe_read(&process->out, EXEC_OUTPUT_MAX, &process->exec->output_room) : -1);
    if (merged && number >= 0)
        add_property(builder, "StandardErrorFileDescriptor", g_variant_new_handle(number));
    else
        add_stream(process, builder, "StandardError",
                   err ? pipe_read(&process->err, EXEC_OUTPUT_MAX, &process->exec->output_room) : -1);
}

static void prepare(Process *process, const char *path, const json_t *args, GByteArray *input)
{
    GVariantBuilder builder, environment;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a(sv)"));
    add_property(&builder, "Description", g_variant_new_string("Program run by the virtual machine's host"));
    /* Started when execve() has worked. */
    add_property(&builder, "Type", g_variant_new_string("exec"));
    add_property(&builder, "ExecStartEx", command_line(process, path, json_object_get(args, "arg")));
    g_variant_builder_init(&environment, G_VARIANT_TYPE("as"));
    add_strings(&environment, json_object_get(args, "env"));
    add_property(&builder, "Environment", g_variant_builder_end(&environment));
    add_streams(process, &builder, input, capture_of(args));
    /* What the program leaves behind runs on, and what became of it can be read until UnrefUnit. */
    add_property(&builder, "KillMode", g_variant_new_string("process"));
    add_property(&builder, "AddRef", g_variant_new_boolean(TRUE));
    add_property(&builder, "CollectMode", g_variant_new_string("inactive-or-failed"));
    process->arguments = g_variant_ref_sink(
        g_variant_new("(ss@a(sv)@a(sa(sv)))", process->unit, "fail", g_variant_builder_end(&builder),
                      g_variant_new_array(G_VARIANT_TYPE("(sa(sv))"), NULL, 0)));
}

/* As g_find_program_in_path(), but by the mode alone: what we may not do to a file says nothing about root. */
static char *find_in_path(const char *name)
{
    const char *variable = g_getenv("PATH");
    g_auto(GStrv) directories = g_strsplit(variable ? variable : PATH_DEFAULT, ":", -1);

    for (guint i = 0; directories[i]; i++) {
        g_autofree char *path = g_build_filename(directories[i], name, NULL);
        struct stat status;

        if (path[0] == '/' && stat(path, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & 0111) != 0)
            return g_steal_pointer(&path);
    }
    return NULL;
}

/* Where the program is; NULL: nowhere. */
static char *find_program(const char *program)
{
    g_autofree char *path = NULL;

    if (!strchr(program, '/'))
        return program[0] != '\0' ? find_in_path(program) : NULL;
    path = g_canonicalize_filename(program, "/");
    /* Likewise. */
    return access(path, F_OK) == 0 || errno != ENOENT ? g_steal_pointer(&path) : NULL;
}

static gboolean make_room(Exec *exec)
{
    if (g_queue_get_length(&exec->processes) < EXEC_MAX)
        return TRUE;
    for (GList *link = exec->processes.head; link; link = link->next) {
        Process *process = link->data;

        if (process->ended) {
            forget(process);
            return TRUE;
        }
    }
    return FALSE;
}

static void run(Call *call, const json_t *args)
{
    Exec *exec = call_services(call)->exec;
    const char *program = args_string(args, "path", NULL);
    g_autofree char *path = find_program(program);
    gsize size = 0;
    guint8 *input = args_base64(args, "input-data", &size);
    GByteArray *data = NULL;
    Process *process;
    const char *why = !input                    ? ARGS_BASE64_ERROR
                      : size > exec->input_room ? "too much input waits for programs already"
                      : !make_room(exec)        ? "too many programs run already"
                                                : NULL;

    if (why) {
        call_fail(call, "%s", why);
        g_free(input);
        return;
    }
    process = g_new0(Process, 1);
    process->exec = exec;
    process->call = call;
    process->program = g_strdup(program);
    process->unit = g_strdup_printf("spice-agent-exec-%d-%" G_GUINT64_FORMAT ".service", (int)getpid(), exec->next++);
    process->cancellable = g_cancellable_new();
    process->fds = g_unix_fd_list_new();
    g_queue_push_tail(&exec->processes, process);
    if (!path) {
        g_free(input);
        fail(process, g_strerror(ENOENT));
        return;
    }
    log_peer(&exec->log, "runs %s", path);
    if (args_has(args, "input-data"))
        data = g_byte_array_new_take(g_steal_pointer(&input), size);
    g_free(input);
    prepare(process, path, args, data);
    bus_get(call_services(call)->bus, on_bus, process);
}

/* ---- what became of it ---- */

static Process *find(const Exec *exec, gint64 pid)
{
    for (GList *link = exec->processes.head; link; link = link->next) {
        Process *process = link->data;

        if (!process->call && process->pid == pid)
            return process;
    }
    return NULL;
}

static void add_output(json_t *result, const Pipe *pipe, const char *data, const char *truncated)
{
    g_autofree char *text = NULL;

    if (!pipe->data || (pipe->data->len == 0 && !pipe->truncated))
        return;
    text = g_base64_encode(pipe->data->data, pipe->data->len);
    json_object_set_new(result, data, json_string_nocheck(text));
    json_object_set_new(result, truncated, json_boolean(pipe->truncated));
}

static void status(Call *call, const json_t *args)
{
    gint64 pid = args_int(args, "pid", 0);
    Process *process = find(call_services(call)->exec, pid);
    gboolean ended;
    json_t *result;

    if (!process) {
        call_fail(call, "PID %" G_GINT64_FORMAT " does not exist", pid);
        return;
    }
    ended = process->ended && process->out.source == 0 && process->err.source == 0;
    result = json_pack("{s:b}", "exited", ended);
    if (ended) {
        if (process->code == CLD_EXITED)
            json_object_set_new(result, "exitcode", json_integer(process->status));
        else if (process->code != 0)
            json_object_set_new(result, "signal", json_integer(process->status));
        add_output(result, &process->out, "out-data", "out-truncated");
        add_output(result, &process->err, "err-data", "err-truncated");
        forget(process);
    }
    call_return(call, result);
}

static const Arg exec_args[] = {
    { .name = "path", .type = ARG_STRING },
    { .name = "arg", .type = ARG_STRINGS, .optional = TRUE },
    { .name = "env", .type = ARG_STRINGS, .optional = TRUE },
    { .name = "input-data", .type = ARG_STRING, .optional = TRUE },
    { .name = "capture-output", .type = ARG_BOOL_OR_WORD, .optional = TRUE, .words = capture_words,
      .schema = "GuestExecCaptureOutput" },
    { .name = NULL },
};
static const Arg status_args[] = { { .name = "pid", .type = ARG_INT }, { .name = NULL } };

const Command exec_commands[] = {
    { "guest-exec", COMMAND_EXEC, 0, exec_args, run },
    { "guest-exec-status", COMMAND_EXEC, 0, status_args, status },
    { .name = NULL },
};
