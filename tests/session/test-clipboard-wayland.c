/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Clipboard content between a SPICE client and programs on a real compositor: our own program, wl-clipboard's, GTK's
 * and Qt's, and xclip through XWayland.
 */
#include "wlcliptest.h"

#include <X11/Xlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "Grüße €" */
#define GREETING "Gr\xc3\xbc\xc3\x9f" "e \xe2\x82\xac"
#define GREETING_LATIN1 "Gr\xfc\xdf" "e ?"
#define CAFE "caf\xc3\xa9"
#define CAFE_LATIN1 "caf\xe9"
#define UTF8 "text/plain;charset=utf-8"
#define LARGE 50000000u

static const char *const text_names[] = { UTF8, "text/plain", NULL };

static void assert_got(const GByteArray *got, const void *data, gsize size)
{
    g_assert_cmpmem(got->data, got->len, data, size);
}

static void assert_bytes(GBytes *got, const char *text)
{
    g_assert_cmpmem(g_bytes_get_data(got, NULL), g_bytes_get_size(got), text, strlen(text));
    g_bytes_unref(got);
}

static void assert_same(const void *data, gsize size, GBytes *want)
{
    g_autofree char *a = g_compute_checksum_for_data(G_CHECKSUM_SHA256, data, size);
    g_autofree char *b = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, want);
    g_assert_cmpuint(size, ==, g_bytes_get_size(want));
    g_assert_cmpstr(a, ==, b);
}

static void set_content(WlFixture *f, const char *text)
{
    g_clear_pointer(&f->host->content, g_bytes_unref);
    f->host->content = g_bytes_new_static(text, strlen(text));
}

/* A window of an X program that has the focus, without which wlroots lets no X program at the clipboard. */
static Display *focused_x_window(void)
{
    Display *display = XOpenDisplay(NULL);
    g_assert_nonnull(display);
    Window window = XCreateSimpleWindow(display, DefaultRootWindow(display), 0, 0, 100, 100, 0, 0, 0);
    XSelectInput(display, window, FocusChangeMask);
    XMapWindow(display, window);
    XEvent event = { .type = 0 };
    while (event.type != FocusIn)
        XNextEvent(display, &event);
    return display;
}

/* Programs with a window: they copy a text when a key is pressed, or print what they paste when they get the focus. */
static const char gtk[] =
    "import gi, sys\n"
    "gi.require_version('Gdk', '3.0')\n"
    "gi.require_version('Gtk', '3.0')\n"
    "from gi.repository import Gdk, Gtk\n"
    "window = Gtk.Window()\n"
    "clipboard = Gtk.Clipboard.get(Gdk.SELECTION_CLIPBOARD)\n"
    "def copy(*_):\n"
    "    if sys.argv[1:]:\n"
    "        clipboard.set_text(sys.argv.pop(), -1)\n"
    "def paste(*_):\n"
    "    clipboard.request_text(lambda _, text: (print(text, end=''), Gtk.main_quit()))\n"
    "window.connect('key-press-event', copy)\n"
    "if not sys.argv[1:]:\n"
    "    window.connect('focus-in-event', paste)\n"
    "window.show_all()\n"
    "Gtk.main()\n";
static const char qt[] =
    "import sys\n"
    "from PyQt5 import QtCore, QtWidgets\n"
    "application = QtWidgets.QApplication(['qt'])\n"
    "clipboard = application.clipboard()\n"
    "class Window(QtWidgets.QWidget):\n"
    "    def keyPressEvent(self, event):\n"
    "        if sys.argv[1:]:\n"
    "            clipboard.setText(sys.argv.pop())\n"
    "def paste():\n"
    "    if clipboard.text():\n"
    "        print(clipboard.text(), end='', flush=True)\n"
    "        application.quit()\n"
    "if not sys.argv[1:]:\n"
    "    application.focusWindowChanged.connect(lambda window: QtCore.QTimer.singleShot(0, paste))\n"
    "    clipboard.dataChanged.connect(paste)\n"
    "window = Window()\n"
    "window.show()\n"
    "application.exec()\n";

/* A keyboard, without which nothing gets the focus, and somebody who presses a key of it now and then. */
static GSubprocess *start_keyboard(void)
{
    const char *command[4 * 100 + 2] = { "wtype" };
    for (guint i = 0; i < 100; i++)
        memcpy(&command[1 + 4 * i], ((const char *[]){ "-k", "c", "-s", "100" }), 4 * sizeof *command);
    GSubprocess *keyboard = g_subprocess_newv(command, G_SUBPROCESS_FLAGS_NONE, NULL);
    g_assert_nonnull(keyboard);
    return keyboard;
}

static void end(GSubprocess *process)
{
    g_subprocess_force_exit(process);
    g_subprocess_wait(process, NULL, NULL);
    g_object_unref(process);
}

/* --- Guest to host --- */

static void test_guest_text(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlprogram_content(f->program, GREETING, strlen(GREETING));
    wlprogram_own(f->program, 0, text_names);
    host_expect(f->host, "grab 0 #0 text");
    host_wait(50);
    g_assert_cmpuint(f->program->served, ==, 0); /* nothing moves before it is asked for */
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 text 11");
    assert_got(f->host->data, GREETING, strlen(GREETING));
    wlprogram_disown(f->program, 0);
    host_expect(f->host, "release 0");
}

/* Text that is offered under one name only. */
static void test_guest_text_names(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    static const struct {
        const char *name, *data, *want;
    } cases[] = {
        { UTF8, GREETING, GREETING },
        { "text/plain; Charset=\"UTF-8\"", GREETING, GREETING },
        { "TEXT/PLAIN;charset=utf8", GREETING, GREETING },
        { "text/plain", GREETING, GREETING },
        { "text/plain", CAFE_LATIN1, CAFE },
        { "UTF8_STRING", "a\r\nb", "a\r\nb" },
        { "STRING", CAFE_LATIN1, CAFE },
        { "STRING", GREETING, GREETING },
        { "TEXT", CAFE, CAFE },
        { "text/plain;charset=ISO-8859-1", CAFE_LATIN1, CAFE },
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *names[] = { "text/html", cases[i].name, NULL };
        g_autofree char *line = g_strdup_printf("grab 0 #%u text", i);
        g_autofree char *answer = g_strdup_printf("data 0 text %zu", strlen(cases[i].want));
        g_test_message("%s", cases[i].name);
        wlprogram_content(f->program, cases[i].data, strlen(cases[i].data));
        wlprogram_own(f->program, 0, names);
        host_expect(f->host, line);
        host_request(f->host, 0, TEXT);
        host_expect(f->host, answer);
        assert_got(f->host->data, cases[i].want, strlen(cases[i].want));
    }
}

static void test_guest_images(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    static const char *const names[] = { "text/html", "image/jpg", "image/x-MS-bmp", "image/png", "image/tiff", NULL };
    wlprogram_content(f->program, "\x89PNG\0", 5);
    wlprogram_own(f->program, 0, names);
    host_expect(f->host, "grab 0 #0 png bmp tiff jpeg");
    for (guint32 type = PNG; type <= JPG; type++) {
        g_autofree char *answer = g_strdup_printf("data 0 %s 5", vdagent_clipboard_name(type));
        host_request(f->host, 0, type);
        host_expect(f->host, answer);
        assert_got(f->host->data, "\x89PNG\0", 5);
    }
    host_request(f->host, 0, TEXT); /* not offered */
    host_expect(f->host, "data 0 none 0");
    g_assert_cmpuint(f->program->served, ==, 4);
}

static void test_guest_primary(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlprogram_content(f->program, "marked", 6);
    wlprogram_own(f->program, 1, text_names);
    host_expect(f->host, "grab 1 #0 text");
    host_request(f->host, 1, TEXT);
    host_expect(f->host, "data 1 text 6");
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 none 0");
    wlprogram_disown(f->program, 1);
    host_expect(f->host, "release 1");
}

/* Two requests for one type are one transfer and two answers. */
static void test_guest_asked_twice(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlprogram_content(f->program, "once", 4);
    wlprogram_own(f->program, 0, text_names);
    host_expect(f->host, "grab 0 #0 text");
    host_request(f->host, 0, TEXT);
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 text 4");
    host_expect(f->host, "data 0 text 4");
    g_assert_cmpuint(f->program->served, ==, 1);
}

/* Each copy is a grab of its own; only what the last one has is fetched. */
static void test_guest_copies_again(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlprogram_content(f->program, "one", 3);
    wlprogram_own(f->program, 0, text_names);
    host_expect(f->host, "grab 0 #0 text");
    wlprogram_content(f->program, "second", 6);
    wlprogram_own(f->program, 0, text_names);
    host_expect(f->host, "grab 0 #1 text");
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 text 6");
}

static void test_guest_large(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    static const char *const names[] = { "image/png", NULL };
    g_autoptr(GBytes) noise = cliptest_noise(LARGE);
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "noise", NULL);
    g_assert_true(g_file_set_contents(path, g_bytes_get_data(noise, NULL), LARGE, NULL));
    g_autofree char *command = g_strdup_printf("exec wl-copy -t %s <%s", names[0], path);
    g_byte_array_set_size(f->host->data, LARGE); /* what the test itself needs */
    memset(f->host->data->data, 1, LARGE);
    g_byte_array_set_size(f->host->data, 0);
    g_bytes_unref(cliptest_run(command));
    host_expect(f->host, "grab 0 #0 png");
    gsize before = cliptest_memory();
    cliptest_memory_reset();
    f->host->room = 0;
    gint64 start = g_get_monotonic_time();
    host_request(f->host, 0, PNG);
    host_expect(f->host, "data 0 png 50000000");
    while (f->host->data->len < LARGE)
        host_make_room(f->host, 131072);
    g_test_message("50 MB guest to host in %d ms", (int) (g_get_monotonic_time() - start) / 1000);
    assert_same(f->host->data->data, f->host->data->len, noise);
    g_test_message("memory %zu, peak %zu, after %zu KiB", before, cliptest_memory_peak(), cliptest_memory());
    wlcliptest_assert_memory(cliptest_memory_peak(), before + LARGE / 1024 + 2048);
    wlcliptest_assert_memory(cliptest_memory(), before + 2048);
    remove(path);
}

static void test_guest_wl_copy(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_bytes_unref(cliptest_run("wl-copy '" GREETING "'"));
    host_expect(f->host, "grab 0 #0 text");
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 text 11");
    assert_got(f->host->data, GREETING, strlen(GREETING));
    /* It takes a KWin where nobody owns PRIMARY for one without. */
    wlprogram_own(f->program, 1, text_names);
    host_expect(f->host, "grab 1 #0 text");
    g_bytes_unref(cliptest_run("printf marked | wl-copy --primary"));
    host_expect(f->host, "grab 1 #1 text");
    host_request(f->host, 1, TEXT);
    host_expect(f->host, "data 1 text 6");
    g_bytes_unref(cliptest_run("wl-copy --clear"));
    host_expect(f->host, "release 0");
    g_bytes_unref(cliptest_run("printf '\\211PNG\\r\\n' | wl-copy --type image/png"));
    host_expect(f->host, "grab 0 #1 png");
    host_request(f->host, 0, PNG);
    host_expect(f->host, "data 0 png 6");
}

static void test_guest_xclip(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    Display *display = focused_x_window();
    g_bytes_unref(cliptest_run("printf '" GREETING "' | xclip -selection clipboard >/dev/null 2>&1"));
    host_expect(f->host, "grab 0 #0 text");
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 text 11");
    assert_got(f->host->data, GREETING, strlen(GREETING));
    XCloseDisplay(display);
}

/* `data` is the program. */
static void test_guest_toolkit(WlFixture *f, gconstpointer data)
{
    GSubprocess *keyboard = start_keyboard();
    GSubprocess *program =
        g_subprocess_new(G_SUBPROCESS_FLAGS_NONE, NULL, "/usr/bin/python3", "-c", data, GREETING, NULL);
    g_assert_nonnull(program);
    host_expect(f->host, "grab 0 #0 text");
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 text 11");
    assert_got(f->host->data, GREETING, strlen(GREETING));
    end(program);
    end(keyboard);
}

/* What was copied before there was a clipboard is not offered, since that would take it from the client's user. */
static void test_guest_before(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlcliptest_disconnect(f);
    wlprogram_content(f->program, "old", 3);
    wlprogram_own(f->program, 0, text_names);
    wlprogram_sync(f->program);
    wlcliptest_connect(f);
    host_wait(100);
    g_assert_cmpstr(f->host->log->str, ==, "");
    wlprogram_content(f->program, "newer", 5);
    wlprogram_own(f->program, 0, text_names);
    host_expect(f->host, "grab 0 #0 text");
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 text 5");
}

/* --- Host to guest --- */

static void test_host_text(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlcliptest_grab(f, 0, 0, SET(TEXT));
    host_wait(50);
    g_assert_cmpstr(f->host->log->str, ==, ""); /* nothing moves, and our own selection is not a grab */
    WlResult *result = wlprogram_paste(f->program, 0, UTF8);
    host_expect(f->host, "request 0 text");
    host_answer(f->host, 0, TEXT, GREETING, strlen(GREETING), strlen(GREETING));
    host_until(result->done);
    assert_got(result->data, GREETING, strlen(GREETING));
    host_release(f->host, 0);
    host_until(f->program->offered[0] == NULL);
    host_wait(50);
    g_assert_cmpstr(f->host->log->str, ==, "");
}

/* Each name, in its form; and one that is spelled otherwise than offered. */
static void test_host_text_names(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    static const struct {
        const char *name, *want;
    } cases[] = {
        { UTF8, GREETING }, { "text/plain", GREETING }, { "UTF8_STRING", GREETING }, { "TEXT", GREETING },
        { "STRING", GREETING_LATIN1 },
    };
    set_content(f, GREETING);
    wlcliptest_grab(f, 0, 0, SET(TEXT));
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].name);
        g_assert_true(wlprogram_sees(f->program, 0, cases[i].name));
        WlResult *result = wlprogram_get(f->program, 0, cases[i].name);
        assert_got(result->data, cases[i].want, strlen(cases[i].want));
    }
    g_assert_cmpuint(wlprogram_get(f->program, 0, "image/png")->data->len, ==, 0);
    g_assert_cmpuint(wlprogram_get(f->program, 0, "text/html")->data->len, ==, 0);
}

/* Characters that the client's pieces cut. */
static void test_host_latin1_pieces(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    GString *text = g_string_new("x"), *want = g_string_new("x");
    for (guint i = 0; i < 100000; i++) {
        g_string_append(text, CAFE "\xe2\x82\xac");
        g_string_append(want, CAFE_LATIN1 "?");
    }
    set_content(f, text->str);
    wlcliptest_grab(f, 0, 0, SET(TEXT));
    assert_got(wlprogram_get(f->program, 0, "STRING")->data, want->str, want->len);
    g_clear_pointer(&f->host->content, g_bytes_unref);
    g_string_free(text, TRUE);
    g_string_free(want, TRUE);
}

static void test_host_images(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    static const char *const names[] = { "image/png", "image/bmp", "image/x-MS-bmp", "image/tiff", "image/jpeg" };
    set_content(f, "picture");
    wlcliptest_grab(f, 0, 0, SET(PNG) | SET(BMP) | SET(TIFF) | SET(JPG));
    g_assert_false(wlprogram_sees(f->program, 0, "text/plain"));
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_assert_true(wlprogram_sees(f->program, 0, names[i]));
        assert_got(wlprogram_get(f->program, 0, names[i])->data, "picture", 7);
    }
}

static void test_host_nothing(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlcliptest_grab(f, 0, 0, SET(TEXT));
    WlResult *result = wlprogram_paste(f->program, 0, UTF8);
    host_expect(f->host, "request 0 text");
    host_answer(f->host, 0, VD_AGENT_CLIPBOARD_NONE, "", 0, 0);
    host_until(result->done);
    g_assert_cmpuint(result->data->len, ==, 0);
}

static void test_host_primary(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlcliptest_grab(f, 1, 0, SET(TEXT));
    g_assert_null(f->program->offered[0]);
    WlResult *result = wlprogram_paste(f->program, 1, UTF8);
    host_expect(f->host, "request 1 text");
    host_answer(f->host, 1, TEXT, "marked", 6, 6);
    host_until(result->done);
    assert_got(result->data, "marked", 6);
}

static int compare(gconstpointer a, gconstpointer b)
{
    gint64 difference = *(const gint64 *) a - *(const gint64 *) b;
    return difference > 0 ? 1 : difference < 0 ? -1 : 0;
}

/* From the request for 1 KB to its first byte, with a client that answers at once; the compositor's part is in it. */
static void test_host_time(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    gint64 times[101];
    g_autofree char *text = g_strnfill(1000, 'x');
    set_content(f, text);
    wlcliptest_grab(f, 0, 0, SET(TEXT));
    for (guint i = 0; i < G_N_ELEMENTS(times); i++) {
        gint64 start = g_get_monotonic_time();
        times[i] = wlprogram_get(f->program, 0, UTF8)->first - start;
    }
    qsort(times, G_N_ELEMENTS(times), sizeof *times, compare);
    g_test_message("1 KB host to guest: p50 %d us, p99 %d us", (int) times[50], (int) times[99]);
    g_assert_cmpint(times[50], <=, 5000);
    g_clear_pointer(&f->host->content, g_bytes_unref);
}

/* Those who ask while an answer is awaited share it. */
static void test_host_pasted_together(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    WlResult *result[8];
    wlcliptest_grab(f, 0, 0, SET(TEXT));
    for (guint i = 0; i < G_N_ELEMENTS(result); i++)
        result[i] = wlprogram_paste(f->program, 0, UTF8);
    wlprogram_sync(f->program);
    host_expect(f->host, "request 0 text");
    host_answer(f->host, 0, TEXT, "shared", 6, 6);
    for (guint i = 0; i < G_N_ELEMENTS(result); i++) {
        host_until(result[i]->done);
        assert_got(result[i]->data, "shared", 6);
    }
    g_assert_false(host_saw(f->host, "request 0 text"));
}

/* A grab over a grab: a paste that is under way gets what it asked for. */
static void test_host_grabs_again(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlcliptest_grab(f, 0, 0, SET(TEXT));
    WlResult *result = wlprogram_paste(f->program, 0, UTF8);
    host_expect(f->host, "request 0 text");
    wlcliptest_grab(f, 0, 1, SET(TEXT) | SET(PNG));
    host_answer(f->host, 0, TEXT, "old", 3, 3);
    host_until(result->done);
    assert_got(result->data, "old", 3);
    result = wlprogram_paste(f->program, 0, "image/png");
    host_expect(f->host, "request 0 png");
    host_answer(f->host, 0, PNG, "newer", 5, 5);
    host_until(result->done);
    assert_got(result->data, "newer", 5);
}

/* A program copies, the client grabs at the same moment: the last one holds, on both sides. */
static void test_host_overtakes(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlprogram_content(f->program, "program", 7);
    for (guint i = 0; i < 50; i++) {
        host_leave(f->host);
        host_arrive(f->host);
        wlprogram_own(f->program, 0, text_names);
        wl_display_flush(wayland_display(f->program->wayland));
        for (guint k = 0; k < i % 10; k++)
            host_iterate();
        g_string_truncate(f->host->log, 0);
        guint before = f->program->lost;
        host_grab(f->host, 0, 100, SET(TEXT));
        host_wait(5);
        wlprogram_sync(f->program);
        if (f->program->lost == before) {
            /* The program came after us: then the client knows it. */
            host_expect(f->host, "grab 0 #101 text");
            continue;
        }
        WlResult *result = wlprogram_paste(f->program, 0, UTF8);
        host_expect(f->host, "request 0 text");
        host_answer(f->host, 0, TEXT, "client", 6, 6);
        host_until(result->done);
        assert_got(result->data, "client", 6);
    }
}

static void test_host_large(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GBytes) noise = cliptest_noise(LARGE);
    g_autofree char *sum = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, noise);
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "sum", NULL);
    g_autofree char *command =
        g_strdup_printf("{ wl-paste --type image/png | sha256sum >%s.new; mv %s.new %s; } &", path, path, path);
    g_autofree char *got = NULL;
    g_autoptr(GBytes) none = g_bytes_new_static("", 0);
    wlcliptest_grab(f, 0, 0, SET(PNG));
    cliptest_feed(command, none);
    host_expect(f->host, "request 0 png");
    host_answer(f->host, 0, PNG, g_bytes_get_data(noise, NULL), LARGE, LARGE);
    gsize before = cliptest_memory();
    cliptest_memory_reset();
    gint64 start = g_get_monotonic_time();
    host_until(g_file_test(path, G_FILE_TEST_EXISTS));
    g_test_message("50 MB host to guest in %d ms, paused %u times", (int) (g_get_monotonic_time() - start) / 1000,
                   f->host->pauses);
    g_test_message("memory %zu, peak %zu KiB", before, cliptest_memory_peak());
    wlcliptest_assert_memory(cliptest_memory_peak(), before + 2048);
    g_assert_true(g_file_get_contents(path, &got, NULL, NULL));
    g_assert_true(g_str_has_prefix(got, sum));
    unlink(path);
}

static void test_host_wl_paste(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    set_content(f, GREETING);
    wlcliptest_grab(f, 0, 0, SET(TEXT) | SET(PNG));
    assert_bytes(cliptest_run("wl-paste --no-newline"), GREETING);
    assert_bytes(cliptest_run("wl-paste --no-newline --type image/png"), GREETING);
    assert_bytes(cliptest_run("wl-paste --list-types"),
                 UTF8 "\nUTF8_STRING\ntext/plain\nTEXT\nSTRING\nimage/png\n");
    wlcliptest_grab(f, 1, 1, SET(TEXT));
    assert_bytes(cliptest_run("wl-paste --no-newline --primary"), GREETING);
    host_release(f->host, 0);
    host_until(f->program->offered[0] == NULL);
    assert_bytes(cliptest_run("wl-paste --no-newline --primary"), GREETING);
}

static void test_host_xclip(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    Display *display = focused_x_window();
    set_content(f, GREETING);
    wlcliptest_grab(f, 0, 0, SET(TEXT));
    assert_bytes(cliptest_run("xclip -o -selection clipboard"), GREETING);
    assert_bytes(cliptest_run("xclip -o -selection clipboard -t STRING"), GREETING_LATIN1);
    XCloseDisplay(display);
}

static void test_host_toolkit(WlFixture *f, gconstpointer data)
{
    GSubprocess *keyboard = start_keyboard();
    set_content(f, GREETING);
    wlcliptest_grab(f, 0, 0, SET(TEXT));
    g_setenv("SCRIPT", data, TRUE);
    assert_bytes(cliptest_run("/usr/bin/python3 -c \"$SCRIPT\""), GREETING);
    end(keyboard);
}

static void set_up(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlcliptest_set_up(f, NULL);
}

/* The clipboard goes: programs are not left with an offer that nobody serves. */
static void test_host_disconnects(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlcliptest_grab(f, 0, 0, SET(TEXT));
    WlResult *result = wlprogram_paste(f->program, 0, UTF8);
    host_expect(f->host, "request 0 text");
    clipboard_serve_none(f->host->clipboard);
    host_until(result->done && f->program->offered[0] == NULL);
    wlcliptest_disconnect(f);
    guint before = f->program->selections;
    wlcliptest_connect(f); /* what the client offers still stands */
    host_until(f->program->selections > before && wlprogram_sees(f->program, 0, UTF8));
}

int main(int argc, char **argv)
{
    wlcliptest_init(&argc, &argv);
    /* Toolkits choose XWayland where they can. */
    g_setenv("GDK_BACKEND", "wayland", TRUE);
    g_setenv("QT_QPA_PLATFORM", "wayland", TRUE);
#define ADD(name, data, function)                                                                                      \
    g_test_add("/clipboard/" name, WlFixture, data, set_up, function, wlcliptest_tear_down)
    WLCLIPTEST_ADD("guest/text", NULL, test_guest_text);
    WLCLIPTEST_ADD("guest/text-names", NULL, test_guest_text_names);
    WLCLIPTEST_ADD("guest/images", NULL, test_guest_images);
    WLCLIPTEST_ADD("guest/primary", NULL, test_guest_primary);
    WLCLIPTEST_ADD("guest/asked-twice", NULL, test_guest_asked_twice);
    WLCLIPTEST_ADD("guest/copies-again", NULL, test_guest_copies_again);
    WLCLIPTEST_ADD("guest/large", NULL, test_guest_large);
    WLCLIPTEST_ADD("guest/wl-copy", NULL, test_guest_wl_copy);
    WLCLIPTEST_ADD("guest/xclip", NULL, test_guest_xclip);
    ADD("guest/gtk", gtk, test_guest_toolkit);
    ADD("guest/qt", qt, test_guest_toolkit);
    WLCLIPTEST_ADD("guest/before", NULL, test_guest_before);
    WLCLIPTEST_ADD("host/text", NULL, test_host_text);
    WLCLIPTEST_ADD("host/text-names", NULL, test_host_text_names);
    WLCLIPTEST_ADD("host/latin1-pieces", NULL, test_host_latin1_pieces);
    WLCLIPTEST_ADD("host/images", NULL, test_host_images);
    WLCLIPTEST_ADD("host/nothing", NULL, test_host_nothing);
    WLCLIPTEST_ADD("host/primary", NULL, test_host_primary);
    WLCLIPTEST_ADD("host/time", NULL, test_host_time);
    WLCLIPTEST_ADD("host/pasted-together", NULL, test_host_pasted_together);
    WLCLIPTEST_ADD("host/grabs-again", NULL, test_host_grabs_again);
    WLCLIPTEST_ADD("host/overtakes", NULL, test_host_overtakes);
    WLCLIPTEST_ADD("host/large", NULL, test_host_large);
    WLCLIPTEST_ADD("host/wl-paste", NULL, test_host_wl_paste);
    WLCLIPTEST_ADD("host/xclip", NULL, test_host_xclip);
    ADD("host/gtk", gtk, test_host_toolkit);
    ADD("host/qt", qt, test_host_toolkit);
    WLCLIPTEST_ADD("host/disconnects", NULL, test_host_disconnects);
    return g_test_run();
}
