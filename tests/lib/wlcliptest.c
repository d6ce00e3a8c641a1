/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wlcliptest.h"

#include <stdlib.h>

void wlcliptest_init(int *argc, char ***argv)
{
    static const char *const sway[] = { "/usr/bin/python3", SOURCE_DIR "/tests/session/compositor.py", "--xwayland",
                                        "sway", NULL };
    cliptest_init_in(argc, argv, "COMPOSITOR_PID", sway);
}

static void on_ready(gpointer user)
{
    ((WlFixture *) user)->ready = TRUE;
}

/* As backends.c does it. */
static void on_closed(G_GNUC_UNUSED const char *why, gpointer user)
{
    WlFixture *f = user;
    f->closed = TRUE;
    clipboard_serve_none(f->host->clipboard);
}

void wlcliptest_connect(WlFixture *f)
{
    static const WaylandEvents events = { .ready = on_ready, .closed = on_closed };
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(getenv("XDG_RUNTIME_DIR"), getenv("WAYLAND_DISPLAY"), NULL);
    f->ready = FALSE;
    f->wayland = wayland_new(path, &events, f, &error);
    g_assert_no_error(error);
    host_until(f->ready);
    g_assert_true(clipboard_serve_wayland(f->host->clipboard, f->wayland, CLIPBOARD_BOTH, &error));
    g_assert_no_error(error);
}

void wlcliptest_disconnect(WlFixture *f)
{
    clipboard_serve_none(f->host->clipboard);
    g_clear_pointer(&f->wayland, wayland_free);
}

void wlcliptest_set_up(WlFixture *f, gconstpointer data)
{
    cliptest_forget_log();
    f->host = host_new(data != NULL ? data : &host_policy);
    wlcliptest_connect(f);
    host_arrive(f->host);
    f->program = wlprogram_new();
}

void wlcliptest_tear_down(WlFixture *f, G_GNUC_UNUSED gconstpointer data)
{
    cliptest_check_log();
    if (f->program != NULL)
        wlprogram_free(f->program);
    wlcliptest_disconnect(f);
    g_clear_pointer(&f->host->content, g_bytes_unref);
    host_free(f->host);
    host_wait(2);
}

void wlcliptest_grab(WlFixture *f, guint8 selection, guint32 serial, guint32 types)
{
    guint before = f->program->selections;
    host_grab(f->host, selection, serial, types);
    host_until(f->program->selections != before);
}
