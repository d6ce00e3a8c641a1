/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The clipboard with each data-control protocol and version, and with seats and devices that come and go, on a
 * compositor made for that.
 */
#include "cliptest.h"
#include "wlserver.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define UTF8 "text/plain;charset=utf-8"
#define EXT "ext_data_control_manager_v1"
#define WLR "zwlr_data_control_manager_v1"

typedef struct ServerFixture {
    WlServer *server;
    Wayland *wayland;
    gboolean ready, closed;
    Host *host;
    guint32 serial;
} ServerFixture;

static void on_ready(gpointer user)
{
    ((ServerFixture *) user)->ready = TRUE;
}

static void on_closed(G_GNUC_UNUSED const char *why, gpointer user)
{
    ((ServerFixture *) user)->closed = TRUE;
}

static void set_up(ServerFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    f->server = wlserver_new();
    f->host = host_new(&host_policy);
    host_arrive(f->host);
}

static void tear_down(ServerFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_assert_false(f->closed); /* which a mistake in what we say would do */
    host_free(f->host);
    wayland_free(f->wayland);
    wlserver_free(f->server);
}

static gboolean serve(ServerFixture *f)
{
    static const WaylandEvents events = { .ready = on_ready, .closed = on_closed };
    g_autoptr(GError) error = NULL;
    f->wayland = wayland_new(f->server->path, &events, f, &error);
    g_assert_no_error(error);
    host_until(f->ready);
    return clipboard_serve_wayland(f->host->clipboard, f->wayland, CLIPBOARD_BOTH, &error);
}

static void assert_backends(ServerFixture *f, const char *want)
{
    g_autofree char *names = clipboard_backends(f->host->clipboard);
    g_assert_cmpstr(names, ==, want);
}

/* Copy and paste on a selection. */
static void assert_works(ServerFixture *f, guint8 selection)
{
    g_autofree char *request = g_strdup_printf("request %u text", selection);
    guint before = f->server->set[selection];
    f->serial += 1000;
    host_grab(f->host, selection, f->serial, SET(TEXT));
    host_until(f->server->set[selection] > before);
    int fd = wlserver_paste(f->server, selection, UTF8);
    host_expect(f->host, request);
    host_answer(f->host, selection, TEXT, "client", 6, 6);
    host_wait(20);
    char text[16];
    g_assert_cmpint(read(fd, text, sizeof text), ==, 6);
    g_assert_cmpmem(text, 6, "client", 6);
    close(fd);
    wlserver_own(f->server, selection, "text/plain");
    host_until(strstr(f->host->log->str, "grab ") != NULL);
    g_string_truncate(f->host->log, 0);
    g_autofree char *answer = g_strdup_printf("data %u text 7", selection);
    host_request(f->host, selection, TEXT);
    host_expect(f->host, answer);
    g_assert_cmpmem(f->host->data->data, 7, "program", 7);
}

/* --- Protocols --- */

static void test_ext(ServerFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlserver_add_protocol(f->server, WLR, 2);
    wlserver_add_protocol(f->server, EXT, 1);
    wlserver_add_seat(f->server);
    g_assert_true(serve(f));
    assert_backends(f, "ext-data-control");
    assert_works(f, 0);
    assert_works(f, 1);
    g_assert_cmpstr(f->server->bound, ==, EXT);
}

static void test_wlr2(ServerFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlserver_add_protocol(f->server, WLR, 2);
    wlserver_add_seat(f->server);
    g_assert_true(serve(f));
    assert_backends(f, "wlr-data-control");
    assert_works(f, 0);
    assert_works(f, 1);
    g_assert_cmpstr(f->server->bound, ==, WLR);
}

/* The first version has no PRIMARY: the client's grabs of it go nowhere, and nothing is asked of the compositor. */
static void test_wlr1(ServerFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlserver_add_protocol(f->server, WLR, 1);
    wlserver_add_seat(f->server);
    g_assert_true(serve(f));
    assert_backends(f, "wlr-data-control, primary: none");
    host_grab(f->host, 1, 0, SET(TEXT));
    assert_works(f, 0);
    g_assert_cmpuint(f->server->set[1], ==, 0);
}

static void test_none(ServerFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlserver_add_seat(f->server);
    g_assert_false(serve(f));
    assert_backends(f, NULL);
}

/* --- Seats and devices --- */

/* The device ends, the seat does not: what the client offers is offered again by a new one. */
static void test_device_ends(ServerFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlserver_add_protocol(f->server, EXT, 1);
    wlserver_add_seat(f->server);
    g_assert_true(serve(f));
    host_grab(f->host, 0, 0, SET(TEXT));
    host_until(f->server->set[0] == 1);
    wlserver_own(f->server, 1, "text/plain");
    host_expect(f->host, "grab 1 #0 text");
    wlserver_finish(f->server);
    host_until(f->server->devices == 2 && f->server->set[0] == 2);
    host_expect(f->host, "release 1");
    assert_works(f, 0);
}

/* Each device ends at once: no more than one try. */
static void test_no_device_lasts(ServerFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlserver_add_protocol(f->server, EXT, 1);
    wlserver_add_seat(f->server);
    f->server->hopeless = TRUE;
    g_assert_true(serve(f));
    host_grab(f->host, 0, 0, SET(TEXT));
    host_wait(100);
    g_assert_cmpuint(f->server->devices, ==, 1);
    f->server->hopeless = FALSE;
    wlserver_add_seat(f->server);
    host_until(f->server->devices == 2);
    assert_works(f, 0);
}

/* The device ends because its seat goes: nothing more is asked of that. */
static void test_seat_ends(ServerFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlserver_add_protocol(f->server, EXT, 1);
    struct wl_global *first = wlserver_add_seat(f->server);
    wlserver_add_seat(f->server);
    g_assert_true(serve(f));
    host_grab(f->host, 0, 0, SET(TEXT));
    host_until(f->server->set[0] == 1);
    wlserver_finish(f->server);
    wlserver_remove_seat(f->server, first);
    host_until(f->server->devices == 2 && f->server->set[0] == 2);
    assert_works(f, 0);
}

static void test_seats(ServerFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlserver_add_protocol(f->server, EXT, 1);
    g_assert_true(serve(f));
    host_grab(f->host, 0, 0, SET(TEXT)); /* there is no seat yet */
    host_wait(20);
    g_assert_cmpuint(f->server->devices, ==, 0);
    struct wl_global *first = wlserver_add_seat(f->server);
    host_until(f->server->set[0] == 1);
    struct wl_global *second = wlserver_add_seat(f->server);
    host_wait(20);
    g_assert_cmpuint(f->server->devices, ==, 1);
    wlserver_remove_seat(f->server, first);
    host_until(f->server->devices == 2 && f->server->set[0] == 2);
    assert_works(f, 0);
    wlserver_remove_seat(f->server, second);
    host_expect(f->host, "release 0");
    host_wait(20);
    g_assert_cmpuint(f->server->devices, ==, 2);
    wlserver_add_seat(f->server);
    host_until(f->server->devices == 3);
    assert_works(f, 0);
}

/* --- Offers --- */

/* Offers that belong to no selection are not kept. */
static void test_offers_unused(ServerFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    wlserver_add_protocol(f->server, EXT, 1);
    wlserver_add_seat(f->server);
    g_assert_true(serve(f));
    host_until(f->server->devices == 1);
    for (guint i = 0; i < 10000; i++) {
        wlserver_introduce(f->server);
        if (i % 50 == 49)
            host_until(f->server->offers <= 1);
    }
    wlserver_own(f->server, 0, "text/plain");
    host_expect(f->host, "grab 0 #0 text");
    wlserver_own(f->server, 0, NULL);
    host_expect(f->host, "release 0");
    host_until(f->server->offers == 0);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add("/clipboard/" name, ServerFixture, NULL, set_up, function, tear_down)
    ADD("protocol/ext", test_ext);
    ADD("protocol/wlr-2", test_wlr2);
    ADD("protocol/wlr-1", test_wlr1);
    ADD("protocol/none", test_none);
    ADD("device/ends", test_device_ends);
    ADD("device/none-lasts", test_no_device_lasts);
    ADD("seat/ends", test_seat_ends);
    ADD("seat/comes-and-goes", test_seats);
    ADD("offer/unused", test_offers_unused);
    return g_test_run();
}
