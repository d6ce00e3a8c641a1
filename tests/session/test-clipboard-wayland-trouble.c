/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The clipboard on a real compositor with programs and clients that do not answer, do not read, have too much, or
 * vanish; with clipboard managers; and, at the end, without the compositor.
 */
#include "wlcliptest.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MEGABYTE 1000000u
#define UTF8 "text/plain;charset=utf-8"

static const ClipboardPolicy quick = {
    .to_host = TRUE, .from_host = TRUE, .primary = TRUE, .max_size = 64 * MEGABYTE, .timeout_ms = 300,
};
static const ClipboardPolicy hasty = {
    .to_host = TRUE, .from_host = TRUE, .primary = TRUE, .max_size = 64 * MEGABYTE, .timeout_ms = 1500,
};
static const ClipboardPolicy large = {
    .to_host = TRUE, .from_host = TRUE, .primary = TRUE, .max_size = 100 * MEGABYTE, .timeout_ms = 5000,
};
static const ClipboardPolicy small = {
    .to_host = TRUE, .from_host = TRUE, .primary = TRUE, .max_size = MEGABYTE, .timeout_ms = 1000,
};

static const char *const text_names[] = { UTF8, NULL };
static const char *const both_names[] = { UTF8, "image/png", NULL };

static void assert_text(const GByteArray *got, const char *text)
{
    g_assert_cmpmem(got->data, got->len, text, strlen(text));
}

/* The program offers text of a size; the client sees it. */
static void own(WlFixture *f, gsize size, const char *line)
{
    g_autoptr(GBytes) noise = cliptest_noise(size);
    wlprogram_content(f->program, g_bytes_get_data(noise, NULL), size);
    wlprogram_own(f->program, 0, text_names);
    host_expect(f->host, line);
}

static void assert_paste_works(WlFixture *f)
{
    WlResult *result = wlprogram_paste(f->program, 0, UTF8);
    host_expect(f->host, "request 0 text");
    host_answer(f->host, 0, TEXT, "fine", 4, 4);
    host_until(result->done);
    assert_text(result->data, "fine");
}

static guint open_files(void)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    guint count = 0;
    while (g_dir_read_name(dir) != NULL)
        count++;
    return count;
}

/* --- Programs that own --- */

/* Reads nothing into the pipe, and keeps it open. */
static void test_silent_owner(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    own(f, 10, "grab 0 #0 text");
    f->program->stop_after = 0;
    gint64 start = g_get_monotonic_time();
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 none 0");
    gint64 took = g_get_monotonic_time() - start;
    g_assert_cmpint(took, >=, 300 * 1000);
    g_assert_cmpint(took, <, 1000 * 1000);
    g_assert_true(cliptest_logged("the program that has them was silent for 300 ms"));
    f->program->stop_after = -1;
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 text 10");
}

static void test_owner_stops(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    own(f, 10 * MEGABYTE, "grab 0 #0 text");
    f->program->stop_after = MEGABYTE;
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 none 0");
    f->program->stop_after = -1;
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 text 10000000");
}

static void test_owner_has_nothing(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    own(f, 0, "grab 0 #0 text");
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 none 0");
}

/* A pipe can only end: what it has written is taken for all. */
static void test_owner_vanishes(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    own(f, 10 * MEGABYTE, "grab 0 #0 text");
    f->program->stop_after = MEGABYTE;
    host_request(f->host, 0, TEXT);
    host_until(f->program->kept->len == 1);
    g_clear_pointer(&f->program, wlprogram_free);
    for (guint i = 0; strstr(f->host->log->str, "data 0") == NULL; i++) {
        g_assert_cmpuint(i, <, 100000);
        host_iterate();
    }
    host_expect(f->host, "release 0");
}

/* The content changes while it is fetched: nothing of the old one is answered for the new. */
static void test_owner_changes(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    own(f, 10, "grab 0 #0 text");
    f->program->stop_after = 0;
    host_request(f->host, 0, TEXT);
    host_until(f->program->kept->len == 1);
    f->program->stop_after = -1;
    own(f, 20, "grab 0 #1 text");
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 text 20");
    g_assert_cmpstr(f->host->log->str, ==, "");
}

static void test_owner_has_too_much(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    own(f, 50 * MEGABYTE, "grab 0 #0 text");
    gsize before = cliptest_memory();
    cliptest_memory_reset();
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "refused clipboard to-host: the content is larger than allowed");
    host_wait(50);
    wlcliptest_assert_memory(cliptest_memory_peak(), before + 3 * MEGABYTE / 1024);
    own(f, 100, "grab 0 #1 text");
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 text 100");
}

/* The program offers so many bytes of Latin-1, each of which is two in UTF-8. */
static void own_latin1(WlFixture *f, gsize size, const char *line)
{
    static const char *const names[] = { "STRING", NULL };
    g_autofree char *text = g_strnfill(size, '\xe9');
    wlprogram_content(f->program, text, size);
    wlprogram_own(f->program, 0, names);
    host_expect(f->host, line);
}

/* What becomes larger on the wire is held once, and is refused before it is too large. */
static void test_owner_widens(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    own_latin1(f, 60 * MEGABYTE, "grab 0 #0 text");
    gsize before = cliptest_memory();
    cliptest_memory_reset();
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "refused clipboard to-host: the content is larger than allowed");
    wlcliptest_assert_memory(cliptest_memory_peak(), before + 70 * MEGABYTE / 1024);
    own_latin1(f, 40 * MEGABYTE, "grab 0 #1 text");
    before = cliptest_memory();
    cliptest_memory_reset();
    f->host->room = 0;
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 text 80000000");
    wlcliptest_assert_memory(cliptest_memory_peak(), before + 90 * MEGABYTE / 1024);
}

/* A thousand names, some of them as long as a message can be; the known one is the last. */
static void test_owner_has_many_names(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    const char *names[1002] = { NULL };
    g_autofree char *text = g_strnfill(4000, 'x');
    for (guint i = 0; i < 1000; i++)
        names[i] = i % 100 == 0 ? g_strdup(text) : g_strdup_printf("application/x-test-%u", i);
    names[1000] = UTF8;
    wlprogram_content(f->program, "last", 4);
    wlprogram_own(f->program, 0, names);
    host_expect(f->host, "grab 0 #0 text");
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 text 4");
    for (guint i = 0; i < 1000; i++)
        g_free((char *) names[i]);
}

/* 10^4 offers: memory stays flat, the last one counts. */
static void test_owner_raves(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlprogram_content(f->program, "raving", 6);
    for (guint i = 0; i < 100; i++)
        wlprogram_own(f->program, 0, both_names);
    wlprogram_sync(f->program);
    g_string_truncate(f->host->log, 0);
    gsize before = cliptest_memory();
    guint files = open_files();
    gint64 start = g_get_monotonic_time();
    for (guint i = 0; i < 10000; i++) {
        wlprogram_own(f->program, i % 2, both_names);
        if (i % 50 == 49)
            wlprogram_sync(f->program);
    }
    g_test_message("10^4 offers in %d ms", (int) (g_get_monotonic_time() - start) / 1000);
    wlprogram_content(f->program, "calm", 4);
    wlprogram_own(f->program, 0, text_names);
    wlprogram_sync(f->program);
    host_wait(20);
    guint grabs = 0;
    for (const char *at = f->host->log->str; (at = strstr(at, "grab ")) != NULL; at++)
        grabs++;
    g_test_message("%u grabs, memory %zu, then %zu KiB", grabs, before, cliptest_memory());
    g_assert_cmpuint(grabs, <=, 10001);
    wlcliptest_assert_memory(cliptest_memory(), before + 2048);
    g_assert_cmpuint(open_files(), ==, files);
    g_string_truncate(f->host->log, 0);
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 text 4");
}

/* The client grabs that often: each is one offer to the programs, and nothing comes back. */
static void test_client_raves(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    gsize before = cliptest_memory();
    for (guint i = 0; i < 10000; i++) {
        host_grab(f->host, 0, i, SET(TEXT));
        if (i % 50 == 49)
            wlprogram_sync(f->program);
    }
    wlprogram_sync(f->program);
    host_wait(20);
    g_assert_cmpstr(f->host->log->str, ==, "");
    wlcliptest_assert_memory(cliptest_memory(), before + 2048);
    assert_paste_works(f);
}

/* --- Clients that do not answer --- */

static void test_silent_client(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlcliptest_grab(f, 0, 0, SET(TEXT));
    WlResult *result = wlprogram_paste(f->program, 0, UTF8);
    host_expect(f->host, "request 0 text");
    host_until(result->done);
    g_assert_cmpuint(result->data->len, ==, 0);
    g_assert_true(cliptest_logged("client: no answer to a request for clipboard data (text) within 300 ms"));
}

static void test_client_leaves(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlcliptest_grab(f, 0, 0, SET(TEXT));
    WlResult *result = wlprogram_paste(f->program, 0, UTF8);
    host_expect(f->host, "request 0 text");
    host_leave(f->host);
    host_until(result->done && f->program->offered[0] == NULL);
    g_assert_cmpuint(result->data->len, ==, 0);
}

/* --- Programs that paste --- */

/* It never reads: nothing is kept for it of a value this large, and the other one gets all. */
static void test_reader_stops(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    const gsize size = 50 * MEGABYTE;
    g_autoptr(GBytes) noise = cliptest_noise(size);
    wlcliptest_grab(f, 0, 0, SET(TEXT) | SET(PNG));
    int stuck = wlprogram_ask(f->program, 0, "image/png");
    WlResult *whole = wlprogram_paste(f->program, 0, "image/png");
    host_expect(f->host, "request 0 png");
    wlprogram_sync(f->program);
    host_wait(20);
    host_answer(f->host, 0, PNG, g_bytes_get_data(noise, NULL), size, size);
    host_until(f->host->paused);
    gsize before = cliptest_memory();
    host_wait(300);
    wlcliptest_assert_memory(cliptest_memory(), before + 1024);
    host_until(whole->done);
    g_assert_cmpint(f->host->longest, <, 1000 * 1000);
    g_assert_true(cliptest_logged("guest: a program stopped reading in the middle of a paste of 50000000 bytes"));
    g_assert_cmpmem(whole->data->data, whole->data->len, g_bytes_get_data(noise, NULL), size);
    assert_paste_works(f);
    close(stuck);
}

/* One that pauses with little gets all of it in the end, and the connection waits less than a second. */
static void test_reader_pauses(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GBytes) noise = cliptest_noise(5 * MEGABYTE);
    wlcliptest_grab(f, 0, 0, SET(TEXT) | SET(PNG));
    int fd = wlprogram_ask(f->program, 0, "image/png");
    host_expect(f->host, "request 0 png");
    host_answer(f->host, 0, PNG, g_bytes_get_data(noise, NULL), 5 * MEGABYTE, 5 * MEGABYTE);
    host_until(f->host->paused);
    host_until(g_queue_is_empty(&f->host->sending));
    assert_paste_works(f);
    GByteArray *got = g_byte_array_new();
    guint8 piece[65536];
    gssize count;
    while ((count = read(fd, piece, sizeof piece)) > 0) {
        g_byte_array_append(got, piece, count);
        for (guint i = 0; i < 5; i++)
            host_iterate();
    }
    g_assert_cmpmem(got->data, got->len, g_bytes_get_data(noise, NULL), 5 * MEGABYTE);
    g_byte_array_unref(got);
    close(fd);
}

/* One that never goes on is given up, and its memory is given back. */
static void test_reader_hangs(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GBytes) noise = cliptest_noise(5 * MEGABYTE);
    wlcliptest_grab(f, 0, 0, SET(TEXT) | SET(PNG));
    guint files = open_files();
    int fd = wlprogram_ask(f->program, 0, "image/png");
    host_expect(f->host, "request 0 png");
    host_answer(f->host, 0, PNG, g_bytes_get_data(noise, NULL), 5 * MEGABYTE, 5 * MEGABYTE);
    gboolean logged = FALSE;
    host_until((logged = logged || cliptest_logged("guest: a program stopped reading in the middle of a paste")));
    g_assert_cmpuint(open_files(), ==, files + 1);
    assert_paste_works(f);
    close(fd);
}

/* Before the answer comes, and in the middle of it. */
static void test_reader_vanishes(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GBytes) noise = cliptest_noise(20 * MEGABYTE);
    wlcliptest_grab(f, 0, 0, SET(TEXT) | SET(PNG));
    guint files = open_files();
    int fd = wlprogram_ask(f->program, 0, "image/png");
    host_expect(f->host, "request 0 png");
    close(fd);
    gint64 start = g_get_monotonic_time();
    host_until(open_files() == files);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 2 * G_USEC_PER_SEC); /* not by the timeout */
    host_answer(f->host, 0, PNG, "late", 4, 4);
    host_wait(20);
    fd = wlprogram_ask(f->program, 0, "image/png");
    host_expect(f->host, "request 0 png");
    host_answer(f->host, 0, PNG, g_bytes_get_data(noise, NULL), 20 * MEGABYTE, 20 * MEGABYTE);
    host_until(f->host->paused);
    close(fd);
    host_until(g_queue_is_empty(&f->host->sending));
    g_assert_cmpint(f->host->longest, <, 500 * 1000);
    g_assert_cmpuint(open_files(), ==, files);
    assert_paste_works(f);
}

/* As many as are allowed are served, the others get nothing, and then it goes on. */
static void test_too_many_pastes(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    WlResult *result[80];
    guint over = 0, served = 0;
    wlcliptest_grab(f, 0, 0, SET(TEXT));
    for (guint i = 0; i < G_N_ELEMENTS(result); i++) {
        result[i] = wlprogram_paste(f->program, 0, UTF8);
        wlprogram_sync(f->program); /* a message holds only so many descriptors */
    }
    host_wait(50);
    for (guint i = 0; i < G_N_ELEMENTS(result); i++)
        over += result[i]->done;
    g_assert_cmpuint(over, ==, 16);
    host_expect(f->host, "request 0 text");
    host_answer(f->host, 0, TEXT, "served", 6, 6);
    for (guint i = 0; i < G_N_ELEMENTS(result); i++) {
        host_until(result[i]->done);
        served += result[i]->data->len == 6;
    }
    g_assert_cmpuint(served, ==, 64);
    assert_paste_works(f);
}

/* --- Clipboard managers --- */

static void read_text(WlFixture *f)
{
    WlResult *result = wlprogram_paste(f->program, 0, UTF8);
    host_expect(f->host, "request 0 text");
    host_answer(f->host, 0, TEXT, "host's", 6, 6);
    host_until(result->done);
}

/* It takes over what it has just read, as it is kept when its owner ends. */
static void manage(WlFixture *f, const char *text, const char *const *names)
{
    read_text(f);
    wlprogram_content(f->program, text, strlen(text));
    wlprogram_own(f->program, 0, names);
    wlprogram_sync(f->program);
}

static void test_manager_same(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlcliptest_grab(f, 0, 0, SET(TEXT));
    manage(f, "host's", text_names);
    host_wait(100);
    g_assert_cmpstr(f->host->log->str, ==, ""); /* no grab */
    g_assert_cmpuint(f->program->lost, ==, 0);
    g_assert_cmpuint(f->program->served, ==, 1); /* it was compared */
    /* It ends: the host still has the content. */
    wlprogram_disown(f->program, 0);
    host_until(wlprogram_sees(f->program, 0, "UTF8_STRING"));
    assert_paste_works(f);
    g_assert_cmpstr(f->host->log->str, ==, "");
}

/* It offers only text of text and image: the image is not lost, and nobody fights over it. */
static void test_manager_fewer(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlcliptest_grab(f, 0, 0, SET(TEXT) | SET(PNG));
    manage(f, "host's", text_names);
    host_until(f->program->lost == 1 && wlprogram_sees(f->program, 0, "image/png"));
    wlprogram_own(f->program, 0, text_names); /* it insists */
    host_wait(100);
    g_assert_cmpuint(f->program->lost, ==, 1);
    g_assert_cmpstr(f->host->log->str, ==, "");
}

static void test_manager_changed(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlcliptest_grab(f, 0, 0, SET(TEXT));
    manage(f, "trimmed", text_names);
    host_expect(f->host, "grab 0 #1 text");
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 text 7");
}

/* It takes over only what nobody owns any more. What another owns after that is the guest's. */
static void test_manager_fills(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlcliptest_grab(f, 0, 0, SET(TEXT));
    read_text(f);
    host_release(f->host, 0);
    host_until(!wlprogram_sees(f->program, 0, "UTF8_STRING"));
    wlprogram_content(f->program, "host's", 6);
    wlprogram_own(f->program, 0, text_names);
    host_until(f->program->served == 1); /* it is compared */
    host_wait(100);
    g_assert_cmpstr(f->host->log->str, ==, "");
    wlprogram_own(f->program, 0, text_names);
    host_expect(f->host, "grab 0 #1 text");
}

/* A real one, made of wl-clipboard's programs: it takes over each content that it has not got yet. */
static void test_manager_of_tools(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    f->host->content = g_bytes_new_static("kept", 4);
    g_autoptr(GSubprocess) manager = g_subprocess_new(
        G_SUBPROCESS_FLAGS_STDERR_SILENCE, &error, "wl-paste", "--watch", "sh", "-c",
        "[ \"${CLIPBOARD_STATE:-data}\" = data ] || exit 0; " /* newer ones run it without an owner, too */
        "cat >now; cmp -s now last || { cp now last; wl-copy --type 'text/plain;charset=utf-8' <last; }", NULL);
    g_assert_no_error(error);
    guint before = f->program->selections;
    wlcliptest_grab(f, 0, 0, SET(TEXT));
    host_expect(f->host, "request 0 text");
    host_until(f->program->selections >= before + 2); /* ours, and it has taken over */
    host_wait(300);
    g_assert_cmpstr(f->host->log->str, ==, ""); /* which nobody answers with a grab */
    before = f->program->selections;
    host_wait(300);
    g_assert_cmpuint(f->program->selections, ==, before);
    g_bytes_unref(cliptest_run("wl-copy typed"));
    host_expect(f->host, "grab 0 #1 text");
    host_request(f->host, 0, TEXT);
    host_expect(f->host, "data 0 text 5");
    g_subprocess_force_exit(manager);
    g_subprocess_wait(manager, NULL, NULL);
}

/* --- The compositor dies --- */

/* In the middle of transfers in both directions. The last test: there is no compositor after it. */
static void test_compositor_dies(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    const gsize size = 20 * MEGABYTE;
    g_autoptr(GBytes) noise = cliptest_noise(size);
    guint files = open_files();
    wlprogram_content(f->program, "marked", 6);
    wlprogram_own(f->program, 1, text_names);
    host_expect(f->host, "grab 1 #0 text");
    f->program->stop_after = 2;
    host_request(f->host, 1, TEXT);
    wlcliptest_grab(f, 0, 0, SET(PNG));
    int fd = wlprogram_ask(f->program, 0, "image/png");
    host_expect(f->host, "request 0 png");
    host_answer(f->host, 0, PNG, g_bytes_get_data(noise, NULL), size, size);
    host_until(f->host->paused && f->program->kept->len == 1);
    kill(atoi(getenv("COMPOSITOR_PID")), SIGKILL);
    host_until(f->closed);
    host_expect(f->host, "data 1 none 0");
    host_expect(f->host, "release 1");
    host_until(!f->host->paused && g_queue_is_empty(&f->host->sending));
    close(fd);
    g_clear_pointer(&f->program, wlprogram_free);
    g_clear_pointer(&f->wayland, wayland_free);
    g_assert_cmpuint(open_files(), <=, files);
    host_grab(f->host, 0, 1, SET(TEXT)); /* into the void */
    host_release(f->host, 0);
}

int main(int argc, char **argv)
{
    wlcliptest_init(&argc, &argv);
    WLCLIPTEST_ADD("owner/silent", &quick, test_silent_owner);
    WLCLIPTEST_ADD("owner/stops", &quick, test_owner_stops);
    WLCLIPTEST_ADD("owner/nothing", NULL, test_owner_has_nothing);
    WLCLIPTEST_ADD("owner/vanishes", NULL, test_owner_vanishes);
    WLCLIPTEST_ADD("owner/changes", NULL, test_owner_changes);
    WLCLIPTEST_ADD("owner/too-much", &small, test_owner_has_too_much);
    WLCLIPTEST_ADD("owner/widens", &large, test_owner_widens);
    WLCLIPTEST_ADD("owner/many-names", NULL, test_owner_has_many_names);
    WLCLIPTEST_ADD("owner/raves", NULL, test_owner_raves);
    WLCLIPTEST_ADD("client/raves", NULL, test_client_raves);
    WLCLIPTEST_ADD("client/silent", &quick, test_silent_client);
    WLCLIPTEST_ADD("client/leaves", NULL, test_client_leaves);
    WLCLIPTEST_ADD("reader/stops", NULL, test_reader_stops);
    WLCLIPTEST_ADD("reader/pauses", NULL, test_reader_pauses);
    WLCLIPTEST_ADD("reader/hangs", &hasty, test_reader_hangs);
    WLCLIPTEST_ADD("reader/vanishes", NULL, test_reader_vanishes);
    WLCLIPTEST_ADD("reader/too-many", NULL, test_too_many_pastes);
    WLCLIPTEST_ADD("manager/same", NULL, test_manager_same);
    WLCLIPTEST_ADD("manager/fewer", NULL, test_manager_fewer);
    WLCLIPTEST_ADD("manager/fills", NULL, test_manager_fills);
    WLCLIPTEST_ADD("manager/changed", NULL, test_manager_changed);
    WLCLIPTEST_ADD("manager/of-tools", NULL, test_manager_of_tools);
    WLCLIPTEST_ADD("compositor/dies", NULL, test_compositor_dies);
    return g_test_run();
}
