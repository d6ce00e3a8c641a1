/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Clipboard content between a SPICE client and X programs on a real X server: our own program, xclip and xsel. */
#include "cliptest.h"

#include <X11/Xutil.h>
#include <string.h>

/* "Grüße €" */
#define GREETING "Gr\xc3\xbc\xc3\x9f" "e \xe2\x82\xac"
#define GREETING_LATIN1 "Gr\xfc\xdf" "e ?"
#define CAFE "caf\xc3\xa9"
#define CAFE_LATIN1 "caf\xe9"

static void assert_got(const GByteArray *got, const void *data, gsize size)
{
    g_assert_cmpmem(got->data, got->len, data, size);
}

static void assert_same(const GByteArray *got, GBytes *want)
{
    g_autofree char *a = g_compute_checksum_for_data(G_CHECKSUM_SHA256, got->data, got->len);
    g_autofree char *b = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, want);
    g_assert_cmpuint(got->len, ==, g_bytes_get_size(want));
    g_assert_cmpstr(a, ==, b);
}


/* The program pastes, the client answers once. */
static XResult *paste(Fixture *f, const char *target, guint32 type, const void *data, gsize size)
{
    g_autofree char *request = g_strdup_printf("request 0 %s", vdagent_clipboard_name(type));
    XResult *result = xprogram_paste(f->program, "CLIPBOARD", target);
    host_expect(f->host, request);
    host_answer(f->host, 0, type, data, size, size);
    host_until(result->done);
    return result;
}

/* --- Guest to host --- */

static void test_guest_text(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    xprogram_offer(f->program, "UTF8_STRING", NULL, GREETING, strlen(GREETING));
    xprogram_own(f->program, "CLIPBOARD");
    host_expect(f->host, "grab 0 #0 text");
    host_wait(50);
    g_assert_cmpuint(f->program->served, ==, 0); /* nothing moves before it is asked for */
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 text 11");
    assert_got(f->host->data, GREETING, strlen(GREETING));
    xprogram_disown(f->program, "CLIPBOARD");
    host_expect(f->host, "release 0");
}

/* Text that is offered under one target only. */
static void test_guest_text_targets(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    char *list[] = { (char *) GREETING };
    XTextProperty compound;
    g_assert_cmpint(Xutf8TextListToTextProperty(f->program->display, list, 1, XCompoundTextStyle, &compound), ==,
                    Success);
    g_assert_cmpint(memcmp(compound.value, GREETING, strlen(GREETING)), !=, 0);
    const struct {
        const char *target, *type;
        const void *data;
        gsize size;
        const char *want;
    } cases[] = {
        { "STRING", "STRING", CAFE_LATIN1, strlen(CAFE_LATIN1), CAFE },
        { "COMPOUND_TEXT", "COMPOUND_TEXT", compound.value, compound.nitems, GREETING },
        { "TEXT", "COMPOUND_TEXT", compound.value, compound.nitems, GREETING },
        { "TEXT", "STRING", CAFE_LATIN1, strlen(CAFE_LATIN1), CAFE },
        { "TEXT", "UTF8_STRING", CAFE, strlen(CAFE), CAFE },
        { "text/plain", "text/plain", CAFE, strlen(CAFE), CAFE },
        { "text/plain", "text/plain", CAFE_LATIN1, strlen(CAFE_LATIN1), CAFE },
        { "text/plain;charset=utf-8", "text/plain;charset=utf-8", GREETING, strlen(GREETING), GREETING },
        { "text/plain;charset=UTF-8", "text/plain;charset=UTF-8", "a\nb", 3, "a\nb" },
        { "UTF8_STRING", "UTF8_STRING", "a\r\nb", 4, "a\r\nb" },
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *line = g_strdup_printf("grab 0 #%u text", i);
        g_autofree char *answer = g_strdup_printf("data 0 text %zu", strlen(cases[i].want));
        g_test_message("%s as %s", cases[i].target, cases[i].type);
        xprogram_offer_nothing(f->program);
        xprogram_offer(f->program, cases[i].target, cases[i].type, cases[i].data, cases[i].size);
        xprogram_own(f->program, "CLIPBOARD");
        host_expect(f->host, line);
        host_request(f->host, 0, TEXT);
        host_expect(f->host, answer);
        assert_got(f->host->data, cases[i].want, strlen(cases[i].want));
    }
    XFree(compound.value);
}

static void test_guest_images(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    xprogram_offer(f->program, "text/html", NULL, "<b>", 3);
    xprogram_offer(f->program, "image/jpeg", NULL, "jpeg", 4);
    xprogram_offer(f->program, "image/png", NULL, "\x89PNG\0", 5);
    xprogram_offer(f->program, "image/x-MS-bmp", NULL, "BM", 2);
    xprogram_offer(f->program, "image/tiff", NULL, "II*", 3);
    xprogram_own(f->program, "CLIPBOARD");
    host_expect(f->host, "grab 0 #0 png bmp tiff jpeg");
    host_request(f->host, 0, BMP);
    host_expect(f->host, "data 0 bmp 2");
    host_request(f->host, 0, PNG);
    host_expect(f->host, "data 0 png 5");
    assert_got(f->host->data, "\x89PNG\0", 5);
    host_request(f->host, 0, TIFF);
    host_expect(f->host, "data 0 tiff 3");
    host_request(f->host, 0, JPG);
    host_expect(f->host, "data 0 jpeg 4");
    host_request(f->host, 0, TEXT); /* not offered */
    host_expect(f->host, "data 0 none 0");
    g_assert_cmpuint(f->program->served, ==, 4);
}

static void test_guest_primary(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    xprogram_offer(f->program, "UTF8_STRING", NULL, "marked", 6);
    xprogram_own(f->program, "PRIMARY");
    host_expect(f->host, "grab 1 #0 text");
    host_request(f->host, 1, TEXT);
    host_expect(f->host, "data 1 text 6");
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 none 0");
}

/* Two requests for one type are one conversion and two answers. */
static void test_guest_asked_twice(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    xprogram_offer(f->program, "UTF8_STRING", NULL, "once", 4);
    xprogram_own(f->program, "CLIPBOARD");
    host_expect(f->host, "grab 0 #0 text");
    host_request(f->host, 0, TEXT);
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 text 4");
    host_expect(f->host, "data 0 text 4");
    g_assert_cmpuint(f->program->served, ==, 1);
}

/* By INCR and in one property; the connection takes it slowly, and memory is given back. */
static void test_guest_large(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    const gsize size = 50 * 1000 * 1000;
    g_autoptr(GBytes) noise = cliptest_noise(size);
    xprogram_offer(f->program, "image/png", NULL, g_bytes_get_data(noise, NULL), size);
    f->program->chunk = 1000000;
    g_byte_array_set_size(f->host->data, size); /* what the test itself needs */
    memset(f->host->data->data, 1, size);
    g_byte_array_set_size(f->host->data, 0);
    xprogram_own(f->program, "CLIPBOARD");
    host_expect(f->host, "grab 0 #0 png");
    gsize before = cliptest_memory();
    cliptest_memory_reset();
    f->host->room = 0;
    gint64 start = g_get_monotonic_time();
    host_request(f->host, 0, PNG);
    host_expect(f->host, "data 0 png 50000000");
    while (f->host->data->len < size)
        host_make_room(f->host, 131072);
    g_test_message("50 MB guest to host in %d ms", (int) (g_get_monotonic_time() - start) / 1000);
    assert_same(f->host->data, noise);
    g_test_message("memory %zu, peak %zu, after %zu KiB", before, cliptest_memory_peak(), cliptest_memory());
#ifndef __SANITIZE_ADDRESS__
    g_assert_cmpuint(cliptest_memory_peak(), <, before + 60000); /* one copy, and a piece */
    g_assert_cmpuint(cliptest_memory(), <, before + 4000);
#endif
}

static void test_guest_one_property(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GBytes) noise = cliptest_noise(3000001);
    xprogram_offer(f->program, "image/png", NULL, g_bytes_get_data(noise, NULL), 3000001);
    xprogram_own(f->program, "CLIPBOARD");
    host_expect(f->host, "grab 0 #0 png");
    host_request(f->host, 0, PNG);
    host_expect(f->host, "data 0 png 3000001");
    assert_same(f->host->data, noise);
}

/* --- Host to guest --- */

static void test_host_targets(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    cliptest_grab(f, 0, 0, SET(TEXT) | SET(BMP));
    g_autofree char *targets = xprogram_atoms(f->program, xprogram_get(f->program, "CLIPBOARD", "TARGETS"));
    g_assert_cmpstr(targets, ==,
                    "TARGETS MULTIPLE TIMESTAMP SAVE_TARGETS UTF8_STRING text/plain;charset=utf-8 COMPOUND_TEXT STRING "
                    "TEXT text/plain image/bmp image/x-bmp image/x-MS-bmp image/x-win-bitmap");
    const XResult *time = xprogram_get(f->program, "CLIPBOARD", "TIMESTAMP");
    g_assert_cmpuint(time->data->len, ==, sizeof(long));
    g_assert_cmpint(*(const long *) (gconstpointer) time->data->data, >, 0);
    g_assert_false(xprogram_get(f->program, "CLIPBOARD", "SAVE_TARGETS")->refused);
    g_assert_true(xprogram_get(f->program, "CLIPBOARD", "image/png")->refused);
    g_assert_true(xprogram_get(f->program, "CLIPBOARD", "DELETE")->refused);
    g_assert_true(xprogram_get(f->program, "CLIPBOARD", "x-special/nonsense")->refused);
    g_assert_cmpstr(f->host->log->str, ==, ""); /* nobody has pasted */
}

static void test_host_text(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    const struct {
        const char *target, *type, *text, *want;
    } cases[] = {
        { "UTF8_STRING", "UTF8_STRING", GREETING, GREETING },
        { "text/plain", "text/plain", GREETING, GREETING },
        { "text/plain;charset=utf-8", "text/plain;charset=utf-8", GREETING, GREETING },
        { "STRING", "STRING", GREETING, GREETING_LATIN1 },
        { "TEXT", "STRING", CAFE, CAFE_LATIN1 },
        { "TEXT", "COMPOUND_TEXT", GREETING, NULL },
        { "COMPOUND_TEXT", "COMPOUND_TEXT", GREETING, NULL },
        { "UTF8_STRING", "UTF8_STRING", "a\nb\r\n", "a\nb\r\n" },
    };
    cliptest_grab(f, 0, 0, SET(TEXT));
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s of %s", cases[i].target, cases[i].text);
        XResult *result = paste(f, cases[i].target, TEXT, cases[i].text, strlen(cases[i].text));
        g_assert_cmpuint(result->type, ==, xprogram_atom(f->program, cases[i].type));
        if (cases[i].want != NULL) {
            assert_got(result->data, cases[i].want, strlen(cases[i].want));
            continue;
        }
        XTextProperty property = { result->data->data, result->type, 8, result->data->len };
        char **list;
        int count;
        g_assert_cmpint(Xutf8TextPropertyToTextList(f->program->display, &property, &list, &count), ==, Success);
        g_assert_cmpint(count, ==, 1);
        g_assert_cmpstr(list[0], ==, cases[i].text);
        XFreeStringList(list);
    }
    host_release(f->host, 0);
    host_until(!xprogram_sees_owner(f->program, "CLIPBOARD"));
}

/* One zero that ends a text is no part of it; any other is, and so is one of another type. */
static void test_host_terminated_text(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    const struct {
        const char *text;
        gsize size, want;
    } cases[] = { { "abc\0", 4, 3 }, { "a\0b", 3, 3 }, { "ab\0\0", 4, 3 }, { "\0", 1, 0 } };
    cliptest_grab(f, 0, 0, SET(TEXT) | SET(PNG));
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        assert_got(paste(f, "UTF8_STRING", TEXT, cases[i].text, cases[i].size)->data, cases[i].text, cases[i].want);
        assert_got(paste(f, "STRING", TEXT, cases[i].text, cases[i].size)->data, cases[i].text, cases[i].want);
        assert_got(paste(f, "image/png", PNG, cases[i].text, cases[i].size)->data, cases[i].text, cases[i].size);
    }
    /* By INCR, where the zero comes as a piece of its own, and where all but the zero fits in one property. */
    static const gsize sizes[] = { 2 * 262144 + 1, 262145, 262144 };
    for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree char *text = g_strnfill(sizes[i] - 1, 'x');
        const XResult *result = paste(f, "UTF8_STRING", TEXT, text, sizes[i]);
        assert_got(result->data, text, sizes[i] - 1);
        g_assert_cmpint(result->incr, ==, sizes[i] > 262144);
    }
}

/* QEMU's built-in agent channel takes the place of the client. */
static void qemu_arrives(Fixture *f)
{
    static const unsigned theirs[] = {
        VD_AGENT_CAP_MOUSE_STATE, VD_AGENT_CAP_CLIPBOARD_BY_DEMAND, VD_AGENT_CAP_CLIPBOARD_SELECTION,
        VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL,
    };
    Caps caps = caps_of(theirs, G_N_ELEMENTS(theirs));
    Caps agreed = caps_both(&caps, vdagent_layout_caps());
    clipboard_peer(f->host->clipboard, &agreed, &caps);
}

/* As paste(), with an answer that comes in two pieces. */
static const XResult *paste_cut(Fixture *f, const char *target, guint32 type, const void *data, gsize size, gsize cut)
{
    g_autofree char *request = g_strdup_printf("request 0 %s", vdagent_clipboard_name(type));
    XResult *result = xprogram_paste(f->program, "CLIPBOARD", target);
    const VdagentMessage head = { .type = VD_AGENT_CLIPBOARD, .clipboard = { .type = type, .size = size } };
    host_expect(f->host, request);
    clipboard_bulk(f->host->clipboard, &head);
    if (cut > 0)
        clipboard_data(f->host->clipboard, data, cut);
    clipboard_data(f->host->clipboard, (const guint8 *) data + cut, size - cut);
    clipboard_bulk_end(f->host->clipboard);
    host_until(result->done);
    return result;
}

/* Texts of a VNC client have CR LF, wherever they are cut; images are left alone. */
static void test_host_crlf(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    const struct {
        const char *text;
        gsize size;
        const char *want;
    } cases[] = {
        { "a\r\nb", 4, "a\nb" },   { "a\r\n\0", 4, "a\n" },         { "\r\n\r\n", 4, "\n\n" }, { "a\rb", 3, "a\rb" },
        { "a\r\r\nb\r", 6, "a\r\nb\r" }, { "a\r\0", 3, "a\r" }, { "\n\r\0", 3, "\n\r" },   { "\r", 1, "\r" },
    };
    qemu_arrives(f);
    cliptest_grab(f, 0, 0, SET(TEXT) | SET(PNG));
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (gsize cut = 0; cut < cases[i].size; cut++) {
            g_test_message("case %u cut at %zu", i, cut);
            assert_got(paste_cut(f, "UTF8_STRING", TEXT, cases[i].text, cases[i].size, cut)->data, cases[i].want,
                       strlen(cases[i].want));
        }
    }
    assert_got(paste_cut(f, "STRING", TEXT, "a\r\nb", 4, 2)->data, "a\nb", 3);
    assert_got(paste_cut(f, "image/png", PNG, "a\r\nb", 4, 2)->data, "a\r\nb", 4);
    /* What is announced for INCR may be twice what comes, less than one property takes or more. */
    static const gsize lines[] = { 140000, 1000000 };
    for (guint i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(GString) crlf = g_string_new(NULL);
        g_autofree char *lf = g_strnfill(lines[i], '\n');
        for (gsize k = 0; k < lines[i]; k++)
            g_string_append(crlf, "\r\n");
        const XResult *result = paste(f, "UTF8_STRING", TEXT, crlf->str, crlf->len + 1);
        g_assert_true(result->incr);
        assert_got(result->data, lf, lines[i]);
        assert_got(paste(f, "STRING", TEXT, crlf->str, crlf->len)->data, lf, lines[i]);
    }
    /* Any other client converts by itself. */
    host_leave(f->host);
    host_arrive(f->host);
    cliptest_grab(f, 0, 0, SET(TEXT));
    assert_got(paste_cut(f, "UTF8_STRING", TEXT, "a\r\nb", 4, 2)->data, "a\r\nb", 4);
}

static void test_host_image(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    cliptest_grab(f, 0, 0, SET(PNG) | SET(BMP));
    assert_got(paste(f, "image/png", PNG, "\x89PNG\0", 5)->data, "\x89PNG\0", 5);
    assert_got(paste(f, "image/x-MS-bmp", BMP, "BM", 2)->data, "BM", 2);
}

static void test_host_primary(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    cliptest_grab(f, 1, 0, SET(TEXT));
    g_assert_false(xprogram_sees_owner(f->program, "CLIPBOARD"));
    XResult *result = xprogram_paste(f->program, "PRIMARY", "UTF8_STRING");
    host_expect(f->host, "request 1 text");
    host_answer(f->host, 1, TEXT, "marked", 6, 6);
    host_until(result->done);
    assert_got(result->data, "marked", 6);
}

/* Sizes around what goes in one property and what by INCR. */
static void test_host_sizes(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    static const gsize sizes[] = {
        1, 3, 65535, 65536, 262143, 262144, 262145, 327680, 524287, 524288, 524289, 1000003,
    };
    cliptest_grab(f, 0, 0, SET(PNG));
    for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(GBytes) noise = cliptest_noise(sizes[i]);
        const XResult *result = paste(f, "image/png", PNG, g_bytes_get_data(noise, NULL), sizes[i]);
        assert_same(result->data, noise);
        g_assert_cmpint(result->incr, ==, sizes[i] > 262144);
    }
}

static void test_host_large(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    const gsize size = 50 * 1000 * 1000;
    g_autoptr(GBytes) noise = cliptest_noise(size);
    cliptest_grab(f, 0, 0, SET(PNG));
    XResult *result = xprogram_paste(f->program, "CLIPBOARD", "image/png");
    host_expect(f->host, "request 0 png");
    host_answer(f->host, 0, PNG, g_bytes_get_data(noise, NULL), size, size);
    g_byte_array_set_size(result->data, size); /* what the test itself needs */
    memset(result->data->data, 1, size);
    g_byte_array_set_size(result->data, 0);
    gsize before = cliptest_memory();
    cliptest_memory_reset();
    gint64 start = g_get_monotonic_time();
    host_until(result->done);
    g_test_message("50 MB host to guest in %d ms", (int) (g_get_monotonic_time() - start) / 1000);
    assert_same(result->data, noise);
    g_test_message("memory %zu, peak %zu KiB", before, cliptest_memory_peak());
#ifndef __SANITIZE_ADDRESS__
    g_assert_cmpuint(cliptest_memory_peak(), <, before + 4000);
#endif
}

/* Text for STRING is gathered to be converted, and goes by INCR all the same. */
static void test_host_large_latin1(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GString) text = g_string_new(NULL);
    while (text->len < 3000000)
        g_string_append(text, CAFE);
    cliptest_grab(f, 0, 0, SET(TEXT));
    const XResult *result = paste(f, "STRING", TEXT, text->str, text->len);
    g_assert_true(result->incr);
    g_autofree char *latin1 = g_convert(text->str, text->len, "ISO-8859-1", "UTF-8", NULL, NULL, NULL);
    assert_got(result->data, latin1, strlen(latin1));
}

/* What Xlib would convert as a whole is not taken beyond a size. */
static void test_host_large_compound(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    const gsize most = 4 << 20;
    g_autofree char *text = g_strnfill(most + 1, 'x');
    cliptest_grab(f, 0, 0, SET(TEXT));
    assert_got(paste(f, "COMPOUND_TEXT", TEXT, text, most)->data, text, most);
    g_assert_true(paste(f, "COMPOUND_TEXT", TEXT, text, most + 1)->refused);
    g_assert_true(cliptest_logged("guest: 4194305 bytes are too many to be pasted as COMPOUND_TEXT"));
    g_assert_true(paste(f, "TEXT", TEXT, text, most + 1)->refused);
    assert_got(paste(f, "STRING", TEXT, text, most + 1)->data, text, most + 1);
    assert_got(paste(f, "text/plain", TEXT, text, most + 1)->data, text, most + 1);
}

/* Those who ask before the answer comes share it; those after it get one of their own. */
static void test_host_many(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    XProgram *program[8];
    XResult *result[G_N_ELEMENTS(program)];
    g_autoptr(GBytes) noise = cliptest_noise(2000000);
    gconstpointer bytes = g_bytes_get_data(noise, NULL);
    cliptest_grab(f, 0, 0, SET(PNG));
    for (guint i = 0; i < G_N_ELEMENTS(program); i++) {
        program[i] = xprogram_new();
        result[i] = xprogram_paste(program[i], "CLIPBOARD", "image/png");
    }
    host_expect(f->host, "request 0 png");
    host_wait(50);
    host_answer(f->host, 0, PNG, bytes, 2000000, 2000000);
    host_until(result[0]->incr);
    XResult *late = xprogram_paste(f->program, "CLIPBOARD", "image/png");
    for (guint i = 0; i < G_N_ELEMENTS(program); i++) {
        host_until(result[i]->done);
        assert_same(result[i]->data, noise);
        xprogram_free(program[i]);
    }
    host_expect(f->host, "request 0 png");
    g_assert_cmpstr(f->host->log->str, ==, "");
    host_answer(f->host, 0, PNG, bytes, 1000000, 1000000);
    host_until(late->done);
    g_assert_cmpuint(late->data->len, ==, 1000000);
}

static void test_host_multiple(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    static const char *const targets[] = {
        "UTF8_STRING", "image/png", "x-special/nonsense", "STRING", "TARGETS", NULL,
    };
    g_autoptr(GBytes) noise = cliptest_noise(1000000);
    cliptest_grab(f, 0, 0, SET(TEXT) | SET(PNG));
    xprogram_paste_multiple(f->program, "CLIPBOARD", targets);
    host_expect(f->host, "request 0 text");
    host_expect(f->host, "request 0 png");
    host_answer(f->host, 0, TEXT, CAFE, 5, 5);
    host_answer(f->host, 0, PNG, g_bytes_get_data(noise, NULL), 1000000, 1000000);
    XResult **result = (XResult **) f->program->results->pdata;
    for (guint i = 0; i < 5; i++)
        host_until(result[i]->done);
    assert_got(result[0]->data, CAFE, 5);
    assert_same(result[1]->data, noise);
    g_assert_true(result[1]->incr);
    g_assert_true(result[2]->refused);
    assert_got(result[3]->data, CAFE_LATIN1, 4);
    g_assert_cmpuint(result[4]->data->len, >, 10 * sizeof(Atom));
    g_assert_cmpstr(f->host->log->str, ==, "");
}

/* Lists that are not lists of pairs are refused, and do no harm. */
static void test_host_multiple_malformed(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    const struct {
        int format, count;
    } lists[] = { { 8, 4 }, { 32, 0 }, { 32, 1 }, { 32, 3 }, { 32, 66 }, { 16, 2 } };
    Display *display = f->program->display;
    Atom pairs = xprogram_atom(f->program, "PAIRS"), multiple = xprogram_atom(f->program, "MULTIPLE");
    long nothing[66] = { 0 };
    cliptest_grab(f, 0, 0, SET(TEXT));
    for (guint i = 0; i <= G_N_ELEMENTS(lists) + 1; i++) {
        f->program->notified = FALSE;
        XDeleteProperty(display, f->program->window, pairs);
        if (i < G_N_ELEMENTS(lists))
            XChangeProperty(display, f->program->window, pairs, xprogram_atom(f->program, "ATOM_PAIR"), lists[i].format,
                            PropModeReplace, (guint8 *) nothing, lists[i].count);
        XConvertSelection(display, xprogram_atom(f->program, "CLIPBOARD"), multiple,
                          i <= G_N_ELEMENTS(lists) ? pairs : None, f->program->window, CurrentTime);
        XFlush(display);
        host_until(f->program->notified);
    }
    assert_got(paste(f, "UTF8_STRING", TEXT, "fine", 4)->data, "fine", 4);
}

/* --- Both, with the tools that people use --- */

/* Text of many lines, or bytes that could be an image. */
static GBytes *content_of(guint32 type, gsize size)
{
    if (type != TEXT)
        return cliptest_noise(size);
    GString *text = g_string_new(GREETING);
    while (text->len < size)
        g_string_append_printf(text, "line %zu\n", text->len);
    return g_string_free_to_bytes(text);
}

typedef struct Tool {
    const char *paste, *copy;
    guint8 selection;
    guint32 type;
    gsize size;
} Tool;

static const Tool tools[] = {
    { "xclip -selection clipboard -o", "xclip -selection clipboard -i", 0, TEXT, 20 },
    { "xclip -selection primary -o", "xclip -selection primary -i", 1, TEXT, 20 },
    { "xclip -selection clipboard -t image/png -o", "xclip -selection clipboard -t image/png -i", 0, PNG, 20000 },
    { "xclip -selection clipboard -t image/png -o", "xclip -selection clipboard -t image/png -i", 0, PNG, 8000000 },
    { "xclip -selection clipboard -o", "xclip -selection clipboard -i", 0, TEXT, 8000000 },
    { "xsel --clipboard --output", "xsel --clipboard --input", 0, TEXT, 20 },
    { "xsel --primary --output", "xsel --primary --input", 1, TEXT, 20 },
    { "xsel --clipboard --output", "xsel --clipboard --input", 0, TEXT, 3000000 },
};

static void test_tools(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    guint32 serial[2] = { 0 };
    for (guint i = 0; i < G_N_ELEMENTS(tools); i++) {
        const Tool *tool = &tools[i];
        g_test_message("%s, %zu bytes", tool->paste, tool->size);
        g_autoptr(GBytes) content = content_of(tool->type, tool->size);
        cliptest_grab(f, tool->selection, serial[tool->selection]++, SET(tool->type));
        f->host->content = content;
        g_autoptr(GBytes) got = cliptest_run(tool->paste);
        g_assert_true(g_bytes_equal(got, content));
        f->host->content = NULL;

        g_test_message("%s", tool->copy);
        g_autoptr(GBytes) copy = content_of(tool->type, tool->size + 100);
        g_autofree char *grabbed = g_strdup_printf("grab %u #%u %s", tool->selection, serial[tool->selection]++,
                                                   vdagent_clipboard_name(tool->type));
        g_autofree char *answered = g_strdup_printf("data %u %s %zu", tool->selection,
                                                    vdagent_clipboard_name(tool->type), g_bytes_get_size(copy));
        cliptest_feed(tool->copy, copy);
        host_expect(f->host, grabbed);
        host_request(f->host, tool->selection, tool->type);
        host_expect(f->host, answered);
        assert_same(f->host->data, copy);
    }
}

/* Nothing that a window manager could show, focus or list. */
static void test_no_window(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    Window root, parent, *children;
    unsigned count;
    cliptest_grab(f, 0, 0, SET(TEXT));
    Window owner = XGetSelectionOwner(f->program->display, xprogram_atom(f->program, "CLIPBOARD"));
    XQueryTree(f->program->display, x11_root(f->program->x11), &root, &parent, &children, &count);
    guint ours = 0;
    for (unsigned i = 0; i < count; i++)
        ours += (children[i] ^ owner) >> 21 == 0; /* of one connection */
    g_assert_cmpuint(ours, ==, 1);
    XFree(children);
    XWindowAttributes attributes;
    g_assert_cmpint(XGetWindowAttributes(f->program->display, owner, &attributes), !=, 0);
    g_assert_cmpint(attributes.map_state, ==, IsUnmapped);
    g_assert_cmpint(attributes.class, ==, InputOnly);
}

int main(int argc, char **argv)
{
    cliptest_init(&argc, &argv);
    CLIPTEST_ADD("guest/text", NULL, test_guest_text);
    CLIPTEST_ADD("guest/text-targets", NULL, test_guest_text_targets);
    CLIPTEST_ADD("guest/images", NULL, test_guest_images);
    CLIPTEST_ADD("guest/primary", NULL, test_guest_primary);
    CLIPTEST_ADD("guest/asked-twice", NULL, test_guest_asked_twice);
    CLIPTEST_ADD("guest/one-property", NULL, test_guest_one_property);
    CLIPTEST_ADD("guest/large", NULL, test_guest_large);
    CLIPTEST_ADD("host/targets", NULL, test_host_targets);
    CLIPTEST_ADD("host/text", NULL, test_host_text);
    CLIPTEST_ADD("host/terminated-text", NULL, test_host_terminated_text);
    CLIPTEST_ADD("host/crlf", NULL, test_host_crlf);
    CLIPTEST_ADD("host/image", NULL, test_host_image);
    CLIPTEST_ADD("host/primary", NULL, test_host_primary);
    CLIPTEST_ADD("host/sizes", NULL, test_host_sizes);
    CLIPTEST_ADD("host/large", NULL, test_host_large);
    CLIPTEST_ADD("host/large-latin1", NULL, test_host_large_latin1);
    CLIPTEST_ADD("host/large-compound", NULL, test_host_large_compound);
    CLIPTEST_ADD("host/many", NULL, test_host_many);
    CLIPTEST_ADD("host/multiple", NULL, test_host_multiple);
    CLIPTEST_ADD("host/multiple-malformed", NULL, test_host_multiple_malformed);
    CLIPTEST_ADD("tools", NULL, test_tools);
    CLIPTEST_ADD("no-window", NULL, test_no_window);
    return g_test_run();
}
