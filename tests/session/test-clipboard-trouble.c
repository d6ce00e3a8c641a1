/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The clipboard with programs and clients that do not answer, do not read, have too much, or vanish; and policy. */
#include "cliptest.h"

#include <malloc.h>
#include <string.h>

#define MEGABYTE 1000000u

static const ClipboardPolicy quick = {
    .to_host = TRUE, .from_host = TRUE, .primary = TRUE, .max_size = 64 * MEGABYTE, .timeout_ms = 300,
};
static const ClipboardPolicy hasty = {
    .to_host = TRUE, .from_host = TRUE, .primary = TRUE, .max_size = 64 * MEGABYTE, .timeout_ms = 1500,
};
static const ClipboardPolicy small = {
    .to_host = TRUE, .from_host = TRUE, .primary = TRUE, .max_size = MEGABYTE, .timeout_ms = 1000,
};
static const ClipboardPolicy only_from_host = {
    .to_host = FALSE, .from_host = TRUE, .primary = TRUE, .max_size = MEGABYTE, .timeout_ms = 1000,
};
static const ClipboardPolicy only_to_host = {
    .to_host = TRUE, .from_host = FALSE, .primary = TRUE, .max_size = MEGABYTE, .timeout_ms = 1000,
};
static const ClipboardPolicy no_primary = {
    .to_host = TRUE, .from_host = TRUE, .primary = FALSE, .max_size = MEGABYTE, .timeout_ms = 1000,
};

static void assert_text(const GByteArray *got, const char *text)
{
    g_assert_cmpmem(got->data, got->len, text, strlen(text));
}

/* The program offers and owns; the client sees it. */
static void own(Fixture *f, const char *target, gsize size, const char *line)
{
    g_autoptr(GBytes) noise = cliptest_noise(size);
    xprogram_offer_nothing(f->program);
    xprogram_offer(f->program, target, NULL, g_bytes_get_data(noise, NULL), size);
    xprogram_own(f->program, "CLIPBOARD");
    host_expect(f->host, line);
}

static void assert_paste_works(Fixture *f)
{
    XResult *result = xprogram_paste(f->program, "CLIPBOARD", "UTF8_STRING");
    host_expect(f->host, "request 0 text");
    host_answer(f->host, 0, TEXT, "fine", 4, 4);
    host_until(result->done);
    assert_text(result->data, "fine");
}

/* --- Programs that own --- */

static void test_silent_owner(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    own(f, "UTF8_STRING", 10, "grab 0 #0 text");
    f->program->silent = TRUE;
    gint64 start = g_get_monotonic_time();
    host_request(f->host, 0, TEXT);
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 none 0");
    host_expect(f->host, "data 0 none 0");
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 299 * 1000);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 1500 * 1000);
    g_assert_true(cliptest_logged("client: a request for clipboard data (text) was answered with nothing"));
    f->program->silent = FALSE;
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 text 10");
}

static void test_deaf_owner(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    own(f, "UTF8_STRING", 10, "grab 0 #0 text");
    XProgram *deaf = xprogram_new();
    deaf->deaf = TRUE;
    xprogram_own(deaf, "CLIPBOARD");
    host_expect(f->host, "release 0");
    g_assert_true(cliptest_logged("guest: the owner of CLIPBOARD does not say what it offers in time"));
    xprogram_free(deaf);
    own(f, "UTF8_STRING", 10, "grab 0 #1 text");
}

static void test_owner_stops(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    f->program->chunk = 10000;
    f->program->stop_after = 3;
    own(f, "image/png", 100000, "grab 0 #0 png");
    host_request(f->host, 0, PNG);
    host_expect(f->host, "data 0 none 0");
    /* It comes to life again, too late, and what it sends is taken from it unread. */
    f->program->stop_after = -1;
    host_request(f->host, 0, PNG);
    host_expect(f->host, "data 0 png 100000");
}

/* It writes one piece in two parts, which are read at once: the second event finds nothing, and means nothing. */
static void test_owner_writes_in_parts(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    XProgram *owner = f->program;
    g_autoptr(GBytes) noise = cliptest_noise(100000);
    owner->chunk = 10000;
    owner->stop_after = 2;
    own(f, "image/png", 100000, "grab 0 #0 png");
    host_request(f->host, 0, PNG);
    host_until(owner->stop_after == 0);
    host_wait(50);
    const guint8 *at = (const guint8 *) g_bytes_get_data(noise, NULL) + owner->sent;
    for (guint i = 0; i < 2; i++)
        XChangeProperty(owner->display, owner->to, owner->to_property, owner->sending.type, 8,
                        i == 0 ? PropModeReplace : PropModeAppend, at + i * 5000, 5000);
    XSync(owner->display, False);
    owner->sent += 10000;
    owner->stop_after = -1;
    host_expect(f->host, "data 0 png 100000");
    g_assert_cmpmem(f->host->data->data, f->host->data->len, g_bytes_get_data(noise, NULL), 100000);
}

static void test_owner_vanishes(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    own(f, "UTF8_STRING", 10, "grab 0 #0 text");
    f->program->silent = TRUE;
    host_request(f->host, 0, TEXT);
    host_wait(20);
    xprogram_free(g_steal_pointer(&f->program));
    host_expect(f->host, "data 0 none 0");
    host_expect(f->host, "release 0");
}

static void test_owner_changes(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    own(f, "UTF8_STRING", 10, "grab 0 #0 text");
    f->program->silent = TRUE;
    host_request(f->host, 0, TEXT);
    host_wait(20);
    XProgram *other = xprogram_new();
    xprogram_offer(other, "UTF8_STRING", NULL, "other", 5);
    xprogram_own(other, "CLIPBOARD");
    host_expect(f->host, "data 0 none 0");
    host_expect(f->host, "grab 0 #1 text");
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 text 5");
    xprogram_free(other);
}

static void test_owner_lies(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    xprogram_offer(f->program, "image/png", "x-special/nonsense", "lie", 3);
    xprogram_offer(f->program, "UTF8_STRING", NULL, "", 0);
    xprogram_offer(f->program, "image/bmp", NULL, "12345678", 8);
    g_array_index(f->program->contents, XContent, 2).format = 32;
    xprogram_own(f->program, "CLIPBOARD");
    host_expect(f->host, "grab 0 #0 text png bmp");
    host_request(f->host, 0, PNG);
    host_expect(f->host, "data 0 none 0");
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 none 0");
    host_request(f->host, 0, BMP);
    host_expect(f->host, "data 0 none 0");
}

/* More than allowed: in one property, by INCR that says so, and by INCR that does not. */
static void test_owner_has_too_much(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    own(f, "image/png", MEGABYTE + 1, "grab 0 #0 png");
    host_request(f->host, 0, PNG);
    host_expect(f->host, "data 0 none 0");
    host_expect(f->host, "refused clipboard to-host: the content is larger than allowed");
    f->program->chunk = 100000;
    host_request(f->host, 0, PNG);
    host_expect(f->host, "data 0 none 0");
    host_expect(f->host, "refused clipboard to-host: the content is larger than allowed");
    host_until(f->program->finished); /* it is not left hanging */
    f->program->claim = 1;
    own(f, "image/png", 5 * MEGABYTE, "grab 0 #1 png");
    host_request(f->host, 0, PNG);
    host_expect(f->host, "data 0 none 0");
    g_assert_false(f->program->finished); /* no more was gathered than is allowed */
    host_expect(f->host, "refused clipboard to-host: the content is larger than allowed");
    host_until(f->program->finished);
    f->program->claim = 0;
    own(f, "image/png", MEGABYTE, "grab 0 #2 png");
    host_request(f->host, 0, PNG);
    host_expect(f->host, "data 0 png 1000000");
}

static void test_client_limit(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    const VdagentMessage limit = { .type = VD_AGENT_MAX_CLIPBOARD, .max_clipboard = { 100 } };
    clipboard_message(f->host->clipboard, &limit);
    own(f, "UTF8_STRING", 101, "grab 0 #0 text");
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 none 0");
    host_expect(f->host, "refused clipboard to-host: the content is larger than allowed");
    own(f, "UTF8_STRING", 100, "grab 0 #1 text");
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 text 100");
}

/* A client that asks and does not read: what waits for it stays within the bound. */
static void test_client_does_not_read(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    own(f, "image/png", 600000, "grab 0 #0 png");
    f->host->room = 0;
    host_request(f->host, 0, PNG);
    host_expect(f->host, "data 0 png 600000");
    host_request(f->host, 0, PNG);
    host_expect(f->host, "refused clipboard to-host: the content is larger than allowed");
    for (guint i = 0; i < 1000; i++)
        host_request(f->host, 0, TEXT);
    host_make_room(f->host, G_MAXSIZE / 2);
    for (guint i = 0; i < 255; i++)
        g_assert_true(host_saw(f->host, "data 0 none 0"));
    g_assert_false(host_saw(f->host, "data 0 none 0"));
    host_request(f->host, 0, PNG);
    host_expect(f->host, "data 0 png 600000");
}

/* --- Clients that do not answer --- */

static void test_silent_client(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    cliptest_grab(f, 0, 0, SET(TEXT));
    gint64 start = g_get_monotonic_time();
    g_assert_true(xprogram_get(f->program, "CLIPBOARD", "UTF8_STRING")->refused);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 299 * 1000);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 1500 * 1000);
    g_assert_true(cliptest_logged("client: no answer to a request for clipboard data (text) within 300 ms"));
    /* The late answer is not what the next one gets, though it comes while he waits. */
    XResult *next = xprogram_paste(f->program, "CLIPBOARD", "UTF8_STRING");
    host_expect(f->host, "request 0 text");
    host_expect(f->host, "request 0 text");
    host_answer(f->host, 0, TEXT, "late", 4, 4);
    host_wait(100);
    g_assert_false(next->done);
    g_assert_true(cliptest_logged("4 bytes of clipboard data (text) that came too late are dropped"));
    host_answer(f->host, 0, TEXT, "fresh", 5, 5);
    host_until(next->done);
    assert_text(next->data, "fresh");
}

static void test_client_has_nothing(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    cliptest_grab(f, 0, 0, SET(TEXT) | SET(PNG));
    XResult *result = xprogram_paste(f->program, "CLIPBOARD", "image/png");
    host_expect(f->host, "request 0 png");
    host_answer(f->host, 0, VD_AGENT_CLIPBOARD_NONE, "", 0, 0);
    host_until(result->done);
    g_assert_true(result->refused);
    result = xprogram_paste(f->program, "CLIPBOARD", "image/png");
    host_expect(f->host, "request 0 png");
    host_answer(f->host, 0, PNG, "", 0, 0);
    host_until(result->done);
    g_assert_true(result->refused);
    host_answer(f->host, 0, TEXT, "unasked", 7, 7);
    host_answer(f->host, 2, TEXT, "unasked", 7, 7);
    host_answer(f->host, 255, 4294967295u, "unasked", 7, 7);
    host_until(g_queue_is_empty(&f->host->sending));
    g_assert_true(cliptest_logged("7 bytes of clipboard data (text) that nobody asked for are dropped"));
    assert_paste_works(f);
}

static void test_client_stops(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GBytes) noise = cliptest_noise(MEGABYTE);
    cliptest_grab(f, 0, 0, SET(TEXT) | SET(PNG));
    XResult *result = xprogram_paste(f->program, "CLIPBOARD", "image/png");
    host_expect(f->host, "request 0 png");
    host_answer(f->host, 0, PNG, g_bytes_get_data(noise, NULL), MEGABYTE, 500000);
    host_until(result->incr);
    /* Those who wait for its end, before and after it was given up, do so no longer than anybody. */
    for (guint i = 0; i < 2; i++) {
        gint64 start = g_get_monotonic_time();
        g_assert_true(xprogram_get(f->program, "CLIPBOARD", "image/png")->refused);
        g_assert_cmpint(g_get_monotonic_time() - start, <, 1500 * 1000);
        g_assert_true(cliptest_logged("client: no answer"));
    }
    g_assert_cmpstr(f->host->log->str, ==, ""); /* nothing can be asked meanwhile */
    g_assert_false(result->done);               /* a part is never passed off as the whole */
    host_leave(f->host);
    host_arrive(f->host);
    cliptest_grab(f, 0, 0, SET(TEXT));
    assert_paste_works(f);
}

static void test_client_has_too_much(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GBytes) noise = cliptest_noise(MEGABYTE + 1);
    cliptest_grab(f, 0, 0, SET(TEXT) | SET(PNG));
    XResult *result = xprogram_paste(f->program, "CLIPBOARD", "image/png");
    host_expect(f->host, "request 0 png");
    host_answer(f->host, 0, PNG, g_bytes_get_data(noise, NULL), MEGABYTE + 1, MEGABYTE + 1);
    host_until(result->done);
    g_assert_true(result->refused);
    host_expect(f->host, "refused clipboard from-host: 1000001 bytes are more than the maximum of 1000000");
    assert_paste_works(f);
}

static void test_client_leaves(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GBytes) noise = cliptest_noise(8 * MEGABYTE);
    cliptest_grab(f, 0, 0, SET(TEXT) | SET(PNG));
    XResult *waiting = xprogram_paste(f->program, "CLIPBOARD", "UTF8_STRING");
    XResult *half = xprogram_paste(f->program, "CLIPBOARD", "image/png");
    host_expect(f->host, "request 0 png");
    host_answer(f->host, 0, PNG, g_bytes_get_data(noise, NULL), 8 * MEGABYTE, 8 * MEGABYTE);
    host_until(half->incr && half->pieces > 1);
    host_leave(f->host);
    host_until(waiting->done);
    g_assert_true(waiting->refused);
    host_until(!xprogram_sees_owner(f->program, "CLIPBOARD"));
    g_assert_false(half->done);
    host_arrive(f->host);
    cliptest_grab(f, 0, 0, SET(TEXT));
    assert_paste_works(f);
}

/* --- Programs that paste --- */

/* One stops reading in the middle of 50 MB: the others and the connection wait less than a second for it. */
static void test_reader_stops(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GBytes) noise = cliptest_noise(50 * MEGABYTE);
    cliptest_grab(f, 0, 0, SET(TEXT) | SET(PNG));
    XProgram *stuck = xprogram_new();
    stuck->take = 5;
    XResult *half = xprogram_paste(stuck, "CLIPBOARD", "image/png");
    XResult *whole = xprogram_paste(f->program, "CLIPBOARD", "image/png");
    host_expect(f->host, "request 0 png");
    host_wait(20);
    host_answer(f->host, 0, PNG, g_bytes_get_data(noise, NULL), 50 * MEGABYTE, 50 * MEGABYTE);
    host_until(whole->done);
    g_assert_cmpuint(half->pieces, ==, 5);
    g_assert_cmpint(f->host->longest, >, 600 * 1000);
    g_assert_cmpint(f->host->longest, <, 1000 * 1000);
    g_assert_true(cliptest_logged("guest: a program stopped reading in the middle of a paste of 50000000 bytes"));
    g_assert_cmpuint(whole->data->len, ==, 50 * MEGABYTE);
    g_assert_cmpmem(whole->data->data, whole->data->len, g_bytes_get_data(noise, NULL), 50 * MEGABYTE);
    assert_paste_works(f);
    xprogram_free(stuck);
}

/* The only one, in the middle of so much that it is not kept: the rest of the message is dropped. */
static void test_only_reader_stops(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GBytes) noise = cliptest_noise(20 * MEGABYTE);
    cliptest_grab(f, 0, 0, SET(TEXT) | SET(PNG));
    f->program->take = 0;
    xprogram_paste(f->program, "CLIPBOARD", "image/png");
    host_expect(f->host, "request 0 png");
    host_answer(f->host, 0, PNG, g_bytes_get_data(noise, NULL), 20 * MEGABYTE, 20 * MEGABYTE);
    host_until(f->host->paused);
    host_until(g_queue_is_empty(&f->host->sending));
    g_assert_true(cliptest_logged("guest: a program stopped reading in the middle of a paste of 20000000 bytes"));
    f->program->take = -1;
    assert_paste_works(f);
}

/* Go on with the piece that waits in the property. */
static void take_again(XProgram *program, const XResult *result)
{
    XEvent event = { .xproperty = {
        .type = PropertyNotify,
        .window = program->window,
        .atom = result->property,
        .state = PropertyNewValue,
    } };
    program->take = -1;
    XPutBackEvent(program->display, &event);
}

/* A program that pauses gets all of it in the end, and the connection waits less than a second. */
static void test_reader_pauses(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GBytes) noise = cliptest_noise(5 * MEGABYTE);
    cliptest_grab(f, 0, 0, SET(TEXT) | SET(PNG));
    f->program->take = 3;
    XResult *result = xprogram_paste(f->program, "CLIPBOARD", "image/png");
    host_expect(f->host, "request 0 png");
    gint64 start = g_get_monotonic_time();
    host_answer(f->host, 0, PNG, g_bytes_get_data(noise, NULL), 5 * MEGABYTE, 5 * MEGABYTE);
    host_until(g_queue_is_empty(&f->host->sending));
    g_assert_cmpint(f->host->longest, >, 600 * 1000);
    g_assert_cmpint(f->host->longest, <, 1000 * 1000);
    host_until(g_get_monotonic_time() - start > 2 * G_USEC_PER_SEC);
    g_assert_cmpuint(result->pieces, ==, 3);
    take_again(f->program, result);
    host_until(result->done);
    g_assert_cmpmem(result->data->data, result->data->len, g_bytes_get_data(noise, NULL), 5 * MEGABYTE);
    assert_paste_works(f);
}

/* One that does not go on is given up by its own timeout, and what was kept for it is freed. */
static void test_reader_hangs(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GBytes) noise = cliptest_noise(16 * MEGABYTE);
    cliptest_grab(f, 0, 0, SET(TEXT) | SET(PNG));
    f->program->take = 3;
    const XResult *result = xprogram_paste(f->program, "CLIPBOARD", "image/png");
    host_expect(f->host, "request 0 png");
    gsize before = cliptest_memory();
    host_answer(f->host, 0, PNG, g_bytes_get_data(noise, NULL), 16 * MEGABYTE, 16 * MEGABYTE);
    cliptest_memory_reset();
    host_until(g_queue_is_empty(&f->host->sending));
    host_until(cliptest_logged("guest: a program stopped reading in the middle of a paste\n"));
    g_assert_false(result->done);
    malloc_trim(0);
    g_test_message("memory %zu, peak %zu, after %zu KiB", before, cliptest_memory_peak(), cliptest_memory());
#ifndef __SANITIZE_ADDRESS__
    g_assert_cmpuint(cliptest_memory_peak(), <, before + 40000); /* the test's copy, and ours */
    g_assert_cmpuint(cliptest_memory(), <, before + 4000);
#endif
    f->program->take = -1;
    assert_paste_works(f);
}

static void test_reader_vanishes(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GBytes) noise = cliptest_noise(8 * MEGABYTE);
    cliptest_grab(f, 0, 0, SET(TEXT) | SET(PNG));
    XProgram *reader = xprogram_new();
    reader->take = 3;
    XResult *result = xprogram_paste(reader, "CLIPBOARD", "image/png");
    host_expect(f->host, "request 0 png");
    host_answer(f->host, 0, PNG, g_bytes_get_data(noise, NULL), 8 * MEGABYTE, 8 * MEGABYTE);
    host_until(f->host->paused && result->pieces == 3);
    xprogram_free(reader);
    host_until(g_queue_is_empty(&f->host->sending));
    g_assert_cmpint(f->host->longest, <, 600 * 1000); /* noticed, not waited for */
    /* Before anything came. */
    reader = xprogram_new();
    xprogram_paste(reader, "CLIPBOARD", "image/png");
    xprogram_free(reader);
    host_wait(50);
    host_saw(f->host, "request 0 png");
    host_answer(f->host, 0, PNG, "late", 4, 4);
    host_until(g_queue_is_empty(&f->host->sending));
    assert_paste_works(f);
}

/* A window that is gone before its request is handled. */
static void test_requestor_gone(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    static const char *const targets[] = { "UTF8_STRING", "TARGETS", "MULTIPLE", "TIMESTAMP" };
    cliptest_grab(f, 0, 0, SET(TEXT));
    Display *display = f->program->display;
    for (guint i = 0; i < G_N_ELEMENTS(targets); i++) {
        Window window = XCreateSimpleWindow(display, x11_root(f->program->x11), 0, 0, 1, 1, 0, 0, 0);
        XConvertSelection(display, xprogram_atom(f->program, "CLIPBOARD"), xprogram_atom(f->program, targets[i]),
                          xprogram_atom(f->program, "HERE"), window, CurrentTime);
        XDestroyWindow(display, window);
        XSync(display, False);
    }
    host_wait(50);
    assert_paste_works(f);
}

static void test_too_many_pastes(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    guint refused = 0, done = 0;
    cliptest_grab(f, 0, 0, SET(TEXT));
    XProgram *program[80];
    for (guint i = 0; i < G_N_ELEMENTS(program); i++) {
        program[i] = xprogram_new();
        xprogram_paste(program[i], "CLIPBOARD", "UTF8_STRING");
    }
    host_expect(f->host, "request 0 text");
    host_wait(50);
    host_answer(f->host, 0, TEXT, "fine", 4, 4);
    for (guint i = 0; i < G_N_ELEMENTS(program); i++) {
        const XResult *result = program[i]->results->pdata[0];
        host_until(result->done);
        refused += result->refused;
        done += !result->refused;
        xprogram_free(program[i]);
    }
    g_assert_cmpuint(done, ==, 64);
    g_assert_cmpuint(refused, ==, 16);
    assert_paste_works(f);
}

/* --- Clipboard managers --- */

/* The manager reads text of the host's content, and takes the selection over with `text` and perhaps something else. */
static void manage(Fixture *f, const char *text, const char *more)
{
    XResult *result = xprogram_paste(f->program, "CLIPBOARD", "UTF8_STRING");
    host_expect(f->host, "request 0 text");
    host_answer(f->host, 0, TEXT, "host's", 6, 6);
    host_until(result->done);
    assert_text(result->data, "host's");
    xprogram_offer_nothing(f->program);
    xprogram_offer(f->program, "UTF8_STRING", NULL, text, strlen(text));
    if (more != NULL)
        xprogram_offer(f->program, more, NULL, "more", 4);
    xprogram_own(f->program, "CLIPBOARD");
}

static void test_manager_same(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    cliptest_grab(f, 0, 0, SET(TEXT));
    manage(f, "host's", NULL);
    host_wait(200);
    g_assert_cmpstr(f->host->log->str, ==, ""); /* no grab */
    g_assert_true(xprogram_owns(f->program, "CLIPBOARD"));
    g_assert_cmpuint(f->program->served, ==, 1); /* it was compared */
    /* It ends: the host still has the content. */
    xprogram_disown(f->program, "CLIPBOARD");
    host_until(xprogram_sees_owner(f->program, "CLIPBOARD"));
    assert_paste_works(f);
    g_assert_cmpstr(f->host->log->str, ==, "");
}

/* It offers only text of text and image: the image is not lost, and nobody fights over it. */
static void test_manager_fewer(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    cliptest_grab(f, 0, 0, SET(TEXT) | SET(PNG));
    manage(f, "host's", NULL);
    host_until(xprogram_sees_owner(f->program, "CLIPBOARD"));
    XResult *image = xprogram_paste(f->program, "CLIPBOARD", "image/png");
    host_expect(f->host, "request 0 png");
    host_answer(f->host, 0, PNG, "image", 5, 5);
    host_until(image->done);
    assert_text(image->data, "image");
    /* It insists. */
    xprogram_own(f->program, "CLIPBOARD");
    host_wait(200);
    g_assert_true(xprogram_owns(f->program, "CLIPBOARD"));
    g_assert_cmpstr(f->host->log->str, ==, "");
    /* New content of the host starts anew. */
    cliptest_grab(f, 0, 1, SET(TEXT));
    assert_paste_works(f);
}

static void test_manager_changed(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    cliptest_grab(f, 0, 0, SET(TEXT));
    manage(f, "trimmed", NULL);
    host_expect(f->host, "grab 0 #1 text");
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 text 7");
}

/* What the user has changed at the end of a large paste, without another length, is not what the host has. */
static void test_manager_changed_far(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GBytes) noise = cliptest_noise(MEGABYTE);
    gsize size;
    cliptest_grab(f, 0, 0, SET(PNG));
    XResult *result = xprogram_paste(f->program, "CLIPBOARD", "image/png");
    host_expect(f->host, "request 0 png");
    host_answer(f->host, 0, PNG, g_bytes_get_data(noise, NULL), MEGABYTE, MEGABYTE);
    host_until(result->done);
    g_autofree guint8 *changed = g_bytes_unref_to_data(g_bytes_ref(noise), &size);
    xprogram_offer_nothing(f->program);
    xprogram_offer(f->program, "image/png", NULL, changed, size);
    xprogram_own(f->program, "CLIPBOARD");
    host_until(f->program->served == 1);
    host_wait(200);
    g_assert_cmpstr(f->host->log->str, ==, ""); /* the same so far */
    changed[size - 1] ^= 1;
    xprogram_offer_nothing(f->program);
    xprogram_offer(f->program, "image/png", NULL, changed, size);
    xprogram_own(f->program, "CLIPBOARD");
    host_expect(f->host, "grab 0 #1 png");
    host_request(f->host, 0, PNG);
    host_expect(f->host, "data 0 png 1000000");
    g_assert_cmpmem(f->host->data->data, f->host->data->len, changed, size);
}

static void test_manager_with_more(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    cliptest_grab(f, 0, 0, SET(TEXT) | SET(PNG));
    manage(f, "host's", "text/html");
    host_wait(200);
    g_assert_cmpstr(f->host->log->str, ==, "");
    g_assert_true(xprogram_owns(f->program, "CLIPBOARD"));
    /* What the host clears is gone from the host, and is not put back there. */
    host_release(f->host, 0);
    host_wait(50);
    g_assert_cmpstr(f->host->log->str, ==, "");
    g_assert_true(xprogram_owns(f->program, "CLIPBOARD"));
}

/* It takes over only what nobody owns any more. What another owns after that is the guest's. */
static void test_manager_fills(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    cliptest_grab(f, 0, 0, SET(TEXT));
    XResult *result = xprogram_paste(f->program, "CLIPBOARD", "UTF8_STRING");
    host_expect(f->host, "request 0 text");
    host_answer(f->host, 0, TEXT, "host's", 6, 6);
    host_until(result->done);
    host_release(f->host, 0);
    host_until(!xprogram_sees_owner(f->program, "CLIPBOARD"));
    xprogram_offer(f->program, "UTF8_STRING", NULL, "host's", 6);
    xprogram_own(f->program, "CLIPBOARD");
    host_until(f->program->served == 1); /* it is compared */
    host_wait(100);
    g_assert_cmpstr(f->host->log->str, ==, "");
    xprogram_own(f->program, "CLIPBOARD");
    host_expect(f->host, "grab 0 #1 text");
}

/* The host's content goes while the manager's is being compared: the manager keeps its own. */
static void test_manager_compared_too_late(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    cliptest_grab(f, 0, 0, SET(TEXT));
    f->program->silent = TRUE;
    manage(f, "host's", NULL);
    host_wait(100);
    host_release(f->host, 0);
    host_wait(100);
    g_assert_true(xprogram_owns(f->program, "CLIPBOARD"));
    g_assert_cmpstr(f->host->log->str, ==, "");
}

/* A program takes over and the host's content goes before it is known what the program has: it keeps the selection. */
static void test_release_after_loss(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    cliptest_grab(f, 0, 0, SET(TEXT));
    f->program->deaf = TRUE;
    xprogram_own(f->program, "CLIPBOARD");
    host_wait(50);
    host_release(f->host, 0);
    host_wait(50);
    g_assert_true(xprogram_owns(f->program, "CLIPBOARD"));
    /* The same when the client's release is on its way to the server already. */
    cliptest_grab(f, 0, 1, SET(TEXT));
    host_wait(50);
    xprogram_own(f->program, "CLIPBOARD");
    host_release(f->host, 0);
    XSync(x11_display(f->x11), False);
    g_assert_true(xprogram_owns(f->program, "CLIPBOARD"));
}

/* --- Policy --- */

static void test_to_host_off(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    own(f, "UTF8_STRING", 10, "refused clipboard to-host: switched off in the configuration");
    xprogram_own(f->program, "CLIPBOARD");
    host_wait(100);
    host_request(f->host, 0, TEXT);
    host_wait(50);
    g_assert_cmpstr(f->host->log->str, ==, "data 0 none 0\n");
    g_assert_cmpuint(f->program->served, ==, 0);
    g_string_truncate(f->host->log, 0);
    cliptest_grab(f, 0, 0, SET(TEXT));
    assert_paste_works(f);
}

static void test_from_host_off(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    host_grab(f->host, 0, 0, SET(TEXT));
    g_assert_cmpstr(f->host->log->str, ==, "refused clipboard from-host: switched off in the configuration\n");
    host_wait(50);
    g_assert_false(xprogram_sees_owner(f->program, "CLIPBOARD"));
    own(f, "UTF8_STRING", 10, "grab 0 #1 text");
}

static void test_primary_off(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    xprogram_offer(f->program, "UTF8_STRING", NULL, "marked", 6);
    xprogram_own(f->program, "PRIMARY");
    host_wait(100);
    g_assert_cmpstr(f->host->log->str, ==, "");
    host_grab(f->host, 1, 0, SET(TEXT));
    host_wait(50);
    g_assert_true(xprogram_owns(f->program, "PRIMARY"));
    g_assert_cmpstr(f->host->log->str, ==, "refused primary from-host: switched off in the configuration\n");
}

int main(int argc, char **argv)
{
    cliptest_init(&argc, &argv);
    CLIPTEST_ADD("owner/silent", &quick, test_silent_owner);
    CLIPTEST_ADD("owner/deaf", &quick, test_deaf_owner);
    CLIPTEST_ADD("owner/stops", &quick, test_owner_stops);
    CLIPTEST_ADD("owner/writes-in-parts", &quick, test_owner_writes_in_parts);
    CLIPTEST_ADD("owner/vanishes", NULL, test_owner_vanishes);
    CLIPTEST_ADD("owner/changes", NULL, test_owner_changes);
    CLIPTEST_ADD("owner/lies", NULL, test_owner_lies);
    CLIPTEST_ADD("owner/too-much", &small, test_owner_has_too_much);
    CLIPTEST_ADD("client/limit", &small, test_client_limit);
    CLIPTEST_ADD("client/does-not-read", &small, test_client_does_not_read);
    CLIPTEST_ADD("client/silent", &quick, test_silent_client);
    CLIPTEST_ADD("client/nothing", NULL, test_client_has_nothing);
    CLIPTEST_ADD("client/stops", &quick, test_client_stops);
    CLIPTEST_ADD("client/too-much", &small, test_client_has_too_much);
    CLIPTEST_ADD("client/leaves", NULL, test_client_leaves);
    CLIPTEST_ADD("reader/stops", NULL, test_reader_stops);
    CLIPTEST_ADD("reader/only-one-stops", NULL, test_only_reader_stops);
    CLIPTEST_ADD("reader/pauses", NULL, test_reader_pauses);
    CLIPTEST_ADD("reader/hangs", &hasty, test_reader_hangs);
    CLIPTEST_ADD("reader/vanishes", NULL, test_reader_vanishes);
    CLIPTEST_ADD("reader/gone-before", NULL, test_requestor_gone);
    CLIPTEST_ADD("reader/too-many", NULL, test_too_many_pastes);
    CLIPTEST_ADD("manager/same", NULL, test_manager_same);
    CLIPTEST_ADD("manager/fewer", NULL, test_manager_fewer);
    CLIPTEST_ADD("manager/changed", NULL, test_manager_changed);
    CLIPTEST_ADD("manager/changed-far", NULL, test_manager_changed_far);
    CLIPTEST_ADD("manager/more", NULL, test_manager_with_more);
    CLIPTEST_ADD("manager/fills", NULL, test_manager_fills);
    CLIPTEST_ADD("manager/too-late", NULL, test_manager_compared_too_late);
    CLIPTEST_ADD("owner/release-after-loss", NULL, test_release_after_loss);
    CLIPTEST_ADD("policy/to-host-off", &only_from_host, test_to_host_off);
    CLIPTEST_ADD("policy/from-host-off", &only_to_host, test_from_host_off);
    CLIPTEST_ADD("policy/primary-off", &no_primary, test_primary_off);
    return g_test_run();
}
