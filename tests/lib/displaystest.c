/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "displaystest.h"

#include <glib-unix.h>
#include <stdio.h>
#include <string.h>

#define LIMIT_MS 20000

/* --- What the displays tell --- */

static void on_layout(GVariant *outputs, gpointer user)
{
    DisplaysTest *test = user;
    g_autoptr(GVariant) sunk = g_variant_ref_sink(outputs);
    GString *text = g_string_new(NULL);
    GVariantIter iter;
    const char *name;
    guint32 mode_w, mode_h, w, h, transform;
    gint32 x, y;
    g_variant_iter_init(&iter, sunk);
    while (g_variant_iter_next(&iter, "(&suuiiuuu)", &name, &mode_w, &mode_h, &x, &y, &w, &h, &transform))
        g_string_append_printf(text, "%s%s %ux%u %ux%u%+d%+d %u", text->len > 0 ? "; " : "", name, mode_w, mode_h, w, h,
                               x, y, transform);
    g_free(test->layout);
    test->layout = g_string_free(text, FALSE);
    test->layouts++;
}

static void on_applied(gboolean done, gpointer user)
{
    DisplaysTest *test = user;
    test->applied++;
    test->done += done;
}

static void on_refused(G_GNUC_UNUSED const char *what, const char *why, gpointer user)
{
    DisplaysTest *test = user;
    g_free(test->refusal);
    test->refusal = g_strdup(why);
}

static void on_lost(G_GNUC_UNUSED const char *why, gpointer user)
{
    DisplaysTest *test = user;
    test->lost++;
    displays_serve_none(test->displays);
}

/* --- The connection --- */

static void on_ready(gpointer user)
{
    DisplaysTest *test = user;
    g_autoptr(GError) error = NULL;
    test->serve(test->displays, test->wayland, &error);
    g_assert_no_error(error);
}

static void on_closed(const char *why, gpointer user)
{
    DisplaysTest *test = user;
    test->closed++;
    fprintf(stderr, "closed: %s\n", why);
    displays_serve_none(test->displays);
}

static gboolean on_server(G_GNUC_UNUSED int fd, G_GNUC_UNUSED GIOCondition condition, gpointer user)
{
    wl_event_loop_dispatch(wl_display_get_event_loop(((DisplaysTest *) user)->server), 0);
    return G_SOURCE_CONTINUE;
}

void displaystest_init(DisplaysTest *test)
{
    *test = (DisplaysTest){ .server = wl_display_create() };
    int fd = wl_event_loop_get_fd(wl_display_get_event_loop(test->server));
    test->source = g_unix_fd_add(fd, G_IO_IN, on_server, test);
}

void displaystest_start(DisplaysTest *test, const DisplaysPolicy *policy,
                        gboolean (*serve)(Displays *displays, Wayland *wayland, GError **error))
{
    static const WaylandEvents wayland_events = { .ready = on_ready, .closed = on_closed };
    static const DisplaysPeer peer = {
        .layout = on_layout, .applied = on_applied, .refused = on_refused, .lost = on_lost
    };
    g_autoptr(GError) error = NULL;
    const char *socket = wl_display_add_socket_auto(test->server);
    g_assert_nonnull(socket);
    g_autofree char *path = g_build_filename(g_getenv("XDG_RUNTIME_DIR"), socket, NULL);
    test->serve = serve;
    test->displays = displays_new(policy, &peer, test);
    test->wayland = wayland_new(path, &wayland_events, test, &error);
    g_assert_no_error(error);
}

void displaystest_clear(DisplaysTest *test)
{
    displays_free(test->displays);
    wayland_free(test->wayland);
    g_source_remove(test->source);
    wl_display_destroy_clients(test->server);
    wl_display_destroy(test->server);
    g_free(test->layout);
    g_free(test->refusal);
}

/* --- Both sides --- */

void displaystest_step(DisplaysTest *test)
{
    wl_display_flush_clients(test->server);
    g_main_context_iteration(NULL, TRUE);
}

static gboolean on_limit(gpointer user)
{
    *(gboolean *) user = TRUE;
    return G_SOURCE_REMOVE;
}

void displaystest_run(DisplaysTest *test, guint ms)
{
    gboolean over = FALSE;
    g_timeout_add(ms, on_limit, &over);
    while (!over)
        displaystest_step(test);
}

gboolean displaystest_wait(DisplaysTest *test, const char *layout)
{
    gboolean late = FALSE;
    guint limit = g_timeout_add(LIMIT_MS, on_limit, &late);
    while (g_strcmp0(test->layout, layout) != 0 && !late)
        displaystest_step(test);
    if (late)
        fprintf(stderr, "layout is \"%s\", not \"%s\"\n", test->layout, layout);
    else
        g_source_remove(limit);
    return !late;
}

gboolean displaystest_ask(DisplaysTest *test, const char *text)
{
    VdagentMonitors monitors = { .flags = VD_AGENT_CONFIG_MONITORS_FLAG_USE_POS };
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    guint applied = test->applied, done = test->done;
    for (char **word = words; *word != NULL; word++) {
        VdagentMonitor *monitor = &monitors.monitor[monitors.count++];
        g_assert_cmpint(sscanf(*word, "%ux%u%d%d", &monitor->width, &monitor->height, &monitor->x, &monitor->y), ==, 4);
    }
    gboolean late = FALSE;
    guint limit = g_timeout_add(LIMIT_MS, on_limit, &late);
    displays_apply(test->displays, &monitors);
    while (test->applied == applied && !late)
        displaystest_step(test);
    g_assert_false(late);
    g_source_remove(limit);
    g_assert_cmpuint(test->applied, ==, applied + 1);
    return test->done > done;
}

guint displaystest_event(const struct wl_interface *interface, const char *name)
{
    for (int i = 0; i < interface->event_count; i++) {
        if (strcmp(interface->events[i].name, name) == 0)
            return i;
    }
    g_assert_not_reached();
}
