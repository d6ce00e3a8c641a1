/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * displaystest.h - displays.h beside a compositor that the test has written itself, both in this process and on its
 * main loop; what the displays tell is recorded.
 */
#ifndef DISPLAYSTEST_H
#define DISPLAYSTEST_H

#include "displays.h"

#include <wayland-server-core.h>

typedef struct DisplaysTest {
    struct wl_display *server;
    Wayland *wayland;
    Displays *displays;
    char *layout;       /* the last one: "NAME MODExMODE WxH+X+Y TRANSFORM; ..." */
    char *refusal;      /* the last one */
    guint layouts, applied, done, lost, closed;
    /* Private. */
    gboolean (*serve)(Displays *displays, Wayland *wayland, GError **error);
    guint source;
} DisplaysTest;

/* A server without globals, to which the caller adds its own. */
void displaystest_init(DisplaysTest *test);

/* Connect to it, and serve it when it has answered. */
void displaystest_start(DisplaysTest *test, const DisplaysPolicy *policy,
                        gboolean (*serve)(Displays *displays, Wayland *wayland, GError **error));
void displaystest_clear(DisplaysTest *test);

/* Run both sides once; or for so long. */
void displaystest_step(DisplaysTest *test);
void displaystest_run(DisplaysTest *test, guint ms);

/* Run both sides until there is such a layout, for some seconds at most; returns whether it came. */
gboolean displaystest_wait(DisplaysTest *test, const char *layout);

/* What a client asks for, "1024x768+0+0 800x600+1024+0"; runs both sides until the answer: was it done? */
gboolean displaystest_ask(DisplaysTest *test, const char *monitors);

/* Post an event by its name, with its arguments. */
#define DISPLAYSTEST_SEND(interface, resource, name, ...) \
    wl_resource_post_event(resource, displaystest_event(&interface##_interface, name), ##__VA_ARGS__)
guint displaystest_event(const struct wl_interface *interface, const char *name);

#endif
