/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cliptest.h"

#include <gio/gunixinputstream.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static GString *logged;

static GLogWriterOutput on_log(G_GNUC_UNUSED GLogLevelFlags level, const GLogField *fields, gsize count,
                               G_GNUC_UNUSED gpointer user)
{
    for (gsize i = 0; i < count; i++) {
        if (g_str_equal(fields[i].key, "MESSAGE"))
            g_string_append_printf(logged, "%s\n", (const char *) fields[i].value);
    }
    return G_LOG_WRITER_HANDLED;
}

static void on_unstructured_log(G_GNUC_UNUSED const char *domain, G_GNUC_UNUSED GLogLevelFlags level,
                                const char *message, G_GNUC_UNUSED gpointer user)
{
    g_string_append_printf(logged, "%s\n", message);
}

void cliptest_init_in(int *argc, char ***argv, const char *variable, const char *const *server)
{
    if (getenv(variable) == NULL) {
        g_autoptr(GPtrArray) command = g_ptr_array_new();
        for (; *server != NULL; server++)
            g_ptr_array_add(command, (char *) *server);
        for (int i = 0; i < *argc; i++)
            g_ptr_array_add(command, (*argv)[i]);
        g_ptr_array_add(command, NULL);
        execv(command->pdata[0], (char **) command->pdata);
        g_error("cannot run %s", (char *) command->pdata[0]);
    }
    signal(SIGPIPE, SIG_IGN); /* as GLib does in a daemon, when it uses its first socket */
    g_test_init(argc, argv, NULL);
    logged = g_string_new(NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
    g_log_set_writer_func(on_log, NULL, NULL);
    g_log_set_default_handler(on_unstructured_log, NULL);
}

void cliptest_init(int *argc, char ***argv)
{
    static const char *const xorg[] = { SOURCE_DIR "/tests/session/xorg", NULL };
    cliptest_init_in(argc, argv, "XORG_PID", xorg);
}

gboolean cliptest_logged(const char *text)
{
    gboolean found = strstr(logged->str, text) != NULL;
    g_string_truncate(logged, 0);
    return found;
}

void cliptest_forget_log(void)
{
    g_string_truncate(logged, 0);
}

void cliptest_check_log(void)
{
    if (strstr(logged->str, "bug:") != NULL || strstr(logged->str, "x11:") != NULL)
        g_error("logged:\n%s", logged->str);
}

static void on_closed(gpointer user)
{
    Fixture *f = user;
    f->closed = TRUE;
}

void cliptest_set_up(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    cliptest_forget_log();
    f->x11 = x11_new(getenv("DISPLAY"), NULL, on_closed, f, &error);
    g_assert_no_error(error);
    f->host = host_new(data != NULL ? data : &host_policy);
    g_assert_true(clipboard_serve_x11(f->host->clipboard, f->x11, CLIPBOARD_BOTH, &error));
    g_assert_no_error(error);
    host_arrive(f->host);
    f->program = xprogram_new();
}

void cliptest_tear_down(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    cliptest_check_log();
    if (f->program != NULL)
        xprogram_free(f->program);
    host_free(f->host);
    x11_free(f->x11);
    host_wait(2);
}

void cliptest_grab(Fixture *f, guint8 selection, guint32 serial, guint32 types)
{
    host_grab(f->host, selection, serial, types);
    XSync(x11_display(f->x11), False);
    g_assert_true(xprogram_sees_owner(f->program, selection == 0 ? "CLIPBOARD" : "PRIMARY"));
}

GBytes *cliptest_noise(gsize size)
{
    guint32 *data = g_malloc(size + 4);
    guint32 state = 2463534242u;
    for (gsize i = 0; i < (size + 3) / 4; i++) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        data[i] = state;
    }
    return g_bytes_new_take(data, size);
}

void cliptest_feed(const char *command, GBytes *input)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GSubprocess) process = g_subprocess_new(G_SUBPROCESS_FLAGS_STDIN_PIPE, &error, "sh", "-c", command, NULL);
    g_assert_no_error(error);
    GOutputStream *pipe = g_subprocess_get_stdin_pipe(process);
    gsize size;
    const void *data = g_bytes_get_data(input, &size);
    g_assert_true(g_output_stream_write_all(pipe, data, size, NULL, NULL, &error));
    g_assert_true(g_output_stream_close(pipe, NULL, &error));
    g_assert_true(g_subprocess_wait(process, NULL, &error));
}

GBytes *cliptest_run(const char *command)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GSubprocess) process =
        g_subprocess_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error, "timeout", "20", "sh", "-c", command, NULL);
    g_assert_no_error(error);
    GByteArray *text = g_byte_array_new();
    int fd = g_unix_input_stream_get_fd(G_UNIX_INPUT_STREAM(g_subprocess_get_stdout_pipe(process)));
    gssize got;
    do {
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        while (poll(&ready, 1, 0) == 0)
            host_iterate();
        guint8 piece[65536];
        got = read(fd, piece, sizeof piece);
        if (got > 0)
            g_byte_array_append(text, piece, got);
    } while (got > 0);
    g_assert_true(g_subprocess_wait(process, NULL, &error));
    return g_byte_array_free_to_bytes(text);
}

static gsize memory(const char *key)
{
    char line[256];
    gsize value = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, file) != NULL) {
        if (g_str_has_prefix(line, key))
            value = strtoul(line + strlen(key), NULL, 10);
    }
    fclose(file);
    return value;
}

gsize cliptest_memory(void)
{
    return memory("VmRSS:");
}

gsize cliptest_memory_peak(void)
{
    return memory("VmHWM:");
}

void cliptest_memory_reset(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "w");
    g_assert_nonnull(file);
    fputs("5", file);
    fclose(file);
}
