/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copy and paste of somebody at a terminal, with X and without; and an X server that goes away. */
#include "cliptest.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const ClipboardPolicy quick = {
    .to_host = TRUE, .from_host = TRUE, .primary = TRUE, .max_size = 1000000, .timeout_ms = 300,
};

typedef struct Outcome {
    gboolean done;
    GError *error;
} Outcome;

static void on_outcome(G_GNUC_UNUSED GObject *source, GAsyncResult *result, gpointer user)
{
    Outcome *outcome = user;
    outcome->done = TRUE;
    g_task_propagate_boolean(G_TASK(result), &outcome->error);
}

/* The descriptor for the other side. */
static int start(Fixture *f, gboolean copy, guint8 selection, const char *mime, Outcome *outcome)
{
    int ends[2];
    g_assert_cmpint(pipe(ends), ==, 0);
    *outcome = (Outcome){ FALSE, NULL };
    GTask *task = g_task_new(NULL, NULL, on_outcome, outcome);
    if (copy)
        clipboard_copy(f->host->clipboard, selection, mime, ends[0], task);
    else
        clipboard_paste(f->host->clipboard, selection, mime, ends[1], task);
    return ends[copy];
}

static void copy(Fixture *f, const char *mime, GBytes *value)
{
    Outcome outcome;
    int fd = start(f, TRUE, 0, mime, &outcome);
    gsize size, at = 0;
    const char *data = g_bytes_get_data(value, &size);
    while (at < size) {
        gssize put = write(fd, data + at, MIN(size - at, 1000));
        g_assert_cmpint(put, >, 0);
        at += put;
    }
    close(fd);
    host_until(outcome.done);
    g_assert_no_error(outcome.error);
    XSync(x11_display(f->x11), False);
}

static void copy_text(Fixture *f, const char *text)
{
    g_autoptr(GBytes) value = g_bytes_new(text, strlen(text));
    copy(f, "text/plain;charset=utf-8", value);
}

/* What a paste gave so far; nothing is lost when the pipe is full, since it is read as it fills. */
static void read_all(int fd, Outcome *outcome, GByteArray *got)
{
    gssize size;
    guint8 piece[65536];
    g_assert_true(g_unix_set_fd_nonblocking(fd, TRUE, NULL));
    do {
        host_iterate();
        size = read(fd, piece, sizeof piece);
        if (size > 0)
            g_byte_array_append(got, piece, size);
    } while (size > 0 || (size < 0 && errno == EAGAIN));
    host_until(outcome->done);
    close(fd);
}

static void assert_paste(Fixture *f, const char *want)
{
    Outcome outcome;
    g_autoptr(GByteArray) got = g_byte_array_new();
    read_all(start(f, FALSE, 0, "text/plain", &outcome), &outcome, got);
    g_assert_no_error(outcome.error);
    g_assert_cmpmem(got->data, got->len, want, strlen(want));
}

static void assert_paste_fails(Fixture *f, guint8 selection, const char *mime, GIOErrorEnum code)
{
    Outcome outcome;
    g_autoptr(GByteArray) got = g_byte_array_new();
    read_all(start(f, FALSE, selection, mime, &outcome), &outcome, got);
    g_assert_error(outcome.error, G_IO_ERROR, (int) code);
    g_assert_cmpuint(got->len, ==, 0);
    g_clear_error(&outcome.error);
}

static void answer_one(Fixture *f, const char *text)
{
    host_expect(f->host, "request 0 text");
    host_answer(f->host, 0, TEXT, text, strlen(text), strlen(text));
}

/* A copy serves programs, the client and other terminals. */
static void test_copy(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    copy_text(f, "from a terminal");
    host_expect(f->host, "grab 0 #0 text");
    XResult *result = xprogram_get(f->program, "CLIPBOARD", "UTF8_STRING");
    g_assert_cmpmem(result->data->data, result->data->len, "from a terminal", 15);
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 text 15");
    g_assert_cmpmem(f->host->data->data, f->host->data->len, "from a terminal", 15);
    assert_paste(f, "from a terminal");
    assert_paste_fails(f, 0, "image/png", G_IO_ERROR_NOT_FOUND);
    copy_text(f, "again");
    host_expect(f->host, "grab 0 #1 text");
    assert_paste(f, "again");
    host_grab(f->host, 0, 2, SET(TEXT));
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 none 0");
}

static void test_copy_large(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GBytes) noise = cliptest_noise(5000000);
    copy(f, "image/png", noise);
    host_expect(f->host, "grab 0 #0 png");
    XProgram *other = xprogram_new();
    XResult *one = xprogram_paste(f->program, "CLIPBOARD", "image/png");
    XResult *two = xprogram_paste(other, "CLIPBOARD", "image/png");
    host_until(one->done && two->done);
    g_assert_true(one->incr);
    g_assert_cmpmem(one->data->data, one->data->len, g_bytes_get_data(noise, NULL), 5000000);
    g_assert_cmpmem(two->data->data, two->data->len, g_bytes_get_data(noise, NULL), 5000000);
    host_request(f->host, 0, PNG);
    host_expect(f->host, "data 0 png 5000000");
    xprogram_free(other);
}

static void test_copy_refused(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    Outcome outcome[6];
    int fd[6];
    const struct {
        guint8 selection;
        const char *mime;
    } wrong[] = { { 2, "text/plain" }, { 0, "text/html" }, { 255, "" } };
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        close(start(f, TRUE, wrong[i].selection, wrong[i].mime, &outcome[0]));
        host_until(outcome[0].done);
        g_assert_error(outcome[0].error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
        g_clear_error(&outcome[0].error);
    }
    close(start(f, TRUE, 0, "text/plain", &outcome[0]));
    host_until(outcome[0].done);
    g_assert_error(outcome[0].error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
    g_clear_error(&outcome[0].error);
    g_assert_cmpstr(f->host->log->str, ==, "");
    /* Four at a time, and then again four. */
    for (guint round = 0; round < 2; round++) {
        for (guint i = 0; i < 6; i++)
            fd[i] = start(f, TRUE, 0, "text/plain", &outcome[i]);
        for (guint i = 0; i < 6; i++) {
            gssize put = write(fd[i], "x", 1);
            close(fd[i]);
            host_until(outcome[i].done);
            g_assert_cmpint(put == 1, ==, i < 4);
            g_assert_cmpint(outcome[i].error == NULL, ==, i < 4);
            g_assert_true(i < 4 || g_error_matches(outcome[i].error, G_IO_ERROR, G_IO_ERROR_BUSY));
            g_clear_error(&outcome[i].error);
        }
    }
}

static void test_copy_too_much(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GBytes) noise = cliptest_noise(1000001);
    Outcome outcome;
    int fd = start(f, TRUE, 0, "image/png", &outcome);
    const char *bytes = g_bytes_get_data(noise, NULL);
    for (gsize at = 0, put = 1; at < 1000001 && put > 0; at += put)
        put = MAX(write(fd, bytes + at, 1000001 - at), 0);
    close(fd);
    host_until(outcome.done);
    g_assert_error(outcome.error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED);
    g_clear_error(&outcome.error);
    g_assert_cmpstr(f->host->log->str, ==, "");
}

static void test_paste(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    assert_paste_fails(f, 0, "text/plain", G_IO_ERROR_NOT_FOUND);
    xprogram_offer(f->program, "STRING", NULL, "caf\xe9", 4);
    xprogram_own(f->program, "CLIPBOARD");
    host_expect(f->host, "grab 0 #0 text");
    assert_paste(f, "caf\xc3\xa9");
    assert_paste_fails(f, 0, "image/png", G_IO_ERROR_NOT_FOUND);
    assert_paste_fails(f, 1, "text/plain", G_IO_ERROR_NOT_FOUND);
    assert_paste_fails(f, 2, "text/plain", G_IO_ERROR_INVALID_ARGUMENT);
    f->program->silent = TRUE;
    assert_paste_fails(f, 0, "text/plain", G_IO_ERROR_TIMED_OUT);
    cliptest_grab(f, 0, 1, SET(TEXT));
    f->host->content = g_bytes_new_static("host's", 6);
    assert_paste(f, "host's");
    g_clear_pointer(&f->host->content, g_bytes_unref);
    assert_paste_fails(f, 0, "text/plain", G_IO_ERROR_TIMED_OUT);
}

/* A reader that takes its time, or nothing at all, holds up nobody. */
static void test_paste_slowly(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GBytes) noise = cliptest_noise(900000);
    g_autoptr(GByteArray) got = g_byte_array_new();
    Outcome outcome, never;
    cliptest_grab(f, 0, 0, SET(PNG) | SET(TEXT));
    f->host->content = noise;
    int fd = start(f, FALSE, 0, "image/png", &outcome);
    int unread = start(f, FALSE, 0, "image/png", &never);
    host_expect(f->host, "request 0 png");
    host_until(g_queue_is_empty(&f->host->sending));
    g_assert_cmpuint(f->host->pauses, ==, 0);
    host_wait(800);
    f->host->content = NULL;
    XResult *result = xprogram_paste(f->program, "CLIPBOARD", "UTF8_STRING");
    answer_one(f, "meanwhile");
    host_until(result->done);
    g_assert_false(outcome.done);
    read_all(fd, &outcome, got);
    g_assert_no_error(outcome.error);
    g_assert_cmpmem(got->data, got->len, g_bytes_get_data(noise, NULL), 900000);
    close(unread);
    host_until(never.done);
    g_assert_error(never.error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE);
    g_clear_error(&never.error);
}

static void test_without_x11(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    clipboard_serve_none(f->host->clipboard);
    copy_text(f, "over ssh");
    host_expect(f->host, "grab 0 #0 text");
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 text 8");
    assert_paste(f, "over ssh");
    host_grab(f->host, 0, 1, SET(TEXT));
    f->host->content = g_bytes_new_static("host's", 6);
    assert_paste(f, "host's");
    g_clear_pointer(&f->host->content, g_bytes_unref);
    /* What was copied or grabbed before X came is there for its programs. */
    g_assert_true(clipboard_serve_x11(f->host->clipboard, f->x11, CLIPBOARD_BOTH, NULL));
    host_until(xprogram_sees_owner(f->program, "CLIPBOARD"));
    XResult *result = xprogram_paste(f->program, "CLIPBOARD", "UTF8_STRING");
    host_saw(f->host, "request 0 text");
    answer_one(f, "still");
    host_until(result->done);
    g_assert_cmpmem(result->data->data, result->data->len, "still", 5);
}

/*
 * The host's content goes while a program's is compared with it: the program's is what there is to paste. It goes by a
 * release, and by a grab of nothing that we know.
 */
static void test_paste_compared(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    xprogram_offer(f->program, "UTF8_STRING", NULL, "program's", 9);
    for (guint i = 0; i < 2; i++) {
        cliptest_grab(f, 0, i, SET(TEXT));
        XResult *result = xprogram_paste(f->program, "CLIPBOARD", "UTF8_STRING");
        answer_one(f, "host's");
        host_until(result->done);
        f->program->silent = TRUE;
        xprogram_own(f->program, "CLIPBOARD");
        host_wait(100);
        if (i == 0)
            host_release(f->host, 0);
        else
            host_grab(f->host, 0, i + 1, SET(9));
        f->program->silent = FALSE;
        assert_paste(f, "program's");
        g_assert_true(xprogram_owns(f->program, "CLIPBOARD"));
    }
}

/* An owner that was there before us is not offered, but can be pasted; and it goes with its X server. */
static void test_owner_before(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    clipboard_serve_none(f->host->clipboard);
    xprogram_offer(f->program, "UTF8_STRING", NULL, "before", 6);
    xprogram_own(f->program, "CLIPBOARD");
    g_assert_true(clipboard_serve_x11(f->host->clipboard, f->x11, CLIPBOARD_BOTH, NULL));
    host_wait(100);
    g_assert_cmpstr(f->host->log->str, ==, "");
    assert_paste(f, "before");
    xprogram_own(f->program, "CLIPBOARD");
    host_expect(f->host, "grab 0 #0 text");
    host_request(f->host, 0, TEXT);
    clipboard_serve_none(f->host->clipboard);
    host_expect(f->host, "release 0");
}

/* The last test: it kills the server in the middle of a paste each way. */
static void test_server_dies(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GBytes) noise = cliptest_noise(8000000);
    xprogram_offer(f->program, "UTF8_STRING", NULL, "x", 1);
    f->program->silent = TRUE;
    xprogram_own(f->program, "CLIPBOARD");
    host_expect(f->host, "grab 0 #0 text");
    host_request(f->host, 0, TEXT);
    cliptest_grab(f, 1, 0, SET(PNG));
    f->program->take = 2;
    XResult *result = xprogram_paste(f->program, "PRIMARY", "image/png");
    host_expect(f->host, "request 1 png");
    host_answer(f->host, 1, PNG, g_bytes_get_data(noise, NULL), 8000000, 8000000);
    Outcome outcome;
    int fd = start(f, FALSE, 0, "text/plain", &outcome);
    host_until(result->pieces == 2 && f->host->paused);
    g_assert_cmpint(kill(atoi(getenv("XORG_PID")), SIGKILL), ==, 0);
    host_until(f->closed);
    clipboard_serve_none(f->host->clipboard);
    g_clear_pointer(&f->x11, x11_free);
    host_expect(f->host, "data 0 none 0");
    host_expect(f->host, "release 0");
    host_until(g_queue_is_empty(&f->host->sending));
    host_until(outcome.done);
    g_assert_nonnull(outcome.error);
    g_clear_error(&outcome.error);
    close(fd);
    g_autoptr(GError) error = NULL;
    g_assert_null(x11_new(getenv("DISPLAY"), NULL, NULL, NULL, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_FAILED);
    g_clear_error(&error);
    g_assert_null(x11_new("example.org:0", NULL, NULL, NULL, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
}

int main(int argc, char **argv)
{
    cliptest_init(&argc, &argv);
    CLIPTEST_ADD("terminal/copy", NULL, test_copy);
    CLIPTEST_ADD("terminal/copy-large", NULL, test_copy_large);
    CLIPTEST_ADD("terminal/copy-refused", NULL, test_copy_refused);
    CLIPTEST_ADD("terminal/copy-too-much", &quick, test_copy_too_much);
    CLIPTEST_ADD("terminal/paste", &quick, test_paste);
    CLIPTEST_ADD("terminal/paste-slowly", NULL, test_paste_slowly);
    CLIPTEST_ADD("terminal/paste-compared", NULL, test_paste_compared);
    CLIPTEST_ADD("x11/without", NULL, test_without_x11);
    CLIPTEST_ADD("x11/owner-before", NULL, test_owner_before);
    CLIPTEST_ADD("x11/server-dies", NULL, test_server_dies);
    return g_test_run();
}
