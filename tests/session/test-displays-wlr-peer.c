/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Displays of a compositor that we write ourselves and that speaks as those on wlroots do: what these do only with a
 * real device (another preferred mode, hotplug), in some versions (another mode than asked, called done), or never.
 */
#include "check.h"
#include "displaystest.h"
#include "edid.h"
#include "wlr-output-management-unstable-v1.h"
#include "xdg-output-unstable-v1.h"

#include <glib/gstdio.h>

#define SEND DISPLAYSTEST_SEND
/* By then what the desktop did by itself has been looked at: twice the time it is given. */
#define FOLLOWED_MS 600
/* More than SPICE has displays. */
#define MANY ((int) LIMIT_DISPLAYS + 1)

typedef struct Head {
    const char *name;
    int x, y, transform;
    double scale;
    gboolean on;
    int w, h;         /* of the current mode */
    int mode[4][2];   /* those it has; the first one is preferred */
    /* Private. */
    struct wl_resource *resource, *mode_resource[4], *output, *xdg;
    struct wl_global *global;
} Head;

/* What it does with a configuration. */
typedef enum Manner { OBEY, REFUSE, REPLACE, CANCEL, CANCEL_ONCE, UNPLUG, SWAP_CANCEL, SWAP_REFUSE, DIE } Manner;

static struct {
    DisplaysTest test;
    gsize count;
    Head head[MANY], next[MANY];
    struct wl_resource *manager;
    guint serial, configurations;
    gboolean xdg;
    Manner manner;
    char script[512]; /* of the last configuration */
} peer;

/* --- Events --- */

static void send_output(Head *head)
{
    if (head->output == NULL)
        return;
    gboolean turned = head->transform % 2 == 1;
    int w = (turned ? head->h : head->w) / head->scale, h = (turned ? head->w : head->h) / head->scale;
    SEND(wl_output, head->output, "geometry", head->x, head->y, 0, 0, 0, "", "", head->transform);
    SEND(wl_output, head->output, "mode", WL_OUTPUT_MODE_CURRENT, head->w, head->h, 60000);
    SEND(wl_output, head->output, "scale", (int) (head->scale + 0.99));
    SEND(wl_output, head->output, "name", head->name);
    if (head->xdg != NULL) {
        SEND(zxdg_output_v1, head->xdg, "logical_position", head->x, head->y);
        SEND(zxdg_output_v1, head->xdg, "logical_size", w, h);
    }
    SEND(wl_output, head->output, "done");
}

static void send_head(Head *head)
{
    SEND(zwlr_output_head_v1, head->resource, "enabled", head->on);
    if (!head->on)
        return;
    for (gsize i = 0; i < G_N_ELEMENTS(head->mode); i++) {
        if (head->w == head->mode[i][0] && head->h == head->mode[i][1])
            SEND(zwlr_output_head_v1, head->resource, "current_mode", head->mode_resource[i]);
    }
    SEND(zwlr_output_head_v1, head->resource, "transform", head->transform);
    SEND(zwlr_output_head_v1, head->resource, "scale", wl_fixed_from_double(head->scale));
}

static void send_done(void)
{
    SEND(zwlr_output_manager_v1, peer.manager, "done", ++peer.serial);
}

static int on_output_request(G_GNUC_UNUSED const void *data, void *resource, G_GNUC_UNUSED guint32 number,
                             G_GNUC_UNUSED const struct wl_message *message, G_GNUC_UNUSED union wl_argument *args)
{
    wl_resource_destroy(resource);
    return 0;
}

static void forget_output(struct wl_resource *resource)
{
    for (gsize i = 0; i < peer.count; i++) {
        if (peer.head[i].output == resource)
            peer.head[i].output = NULL;
        if (peer.head[i].xdg == resource)
            peer.head[i].xdg = NULL;
    }
}

static void bind_output(struct wl_client *client, void *data, guint32 version, guint32 id)
{
    Head *head = data;
    head->output = wl_resource_create(client, &wl_output_interface, version, id);
    wl_resource_set_dispatcher(head->output, on_output_request, NULL, head, forget_output);
    send_output(head);
}

static void put(Head *head)
{
    if (head->on && head->global == NULL)
        head->global = wl_global_create(peer.test.server, &wl_output_interface, 4, head, bind_output);
    else if (!head->on && head->global != NULL)
        g_clear_pointer(&head->global, wl_global_destroy);
    else
        send_output(head);
}

static int on_xdg_request(G_GNUC_UNUSED const void *data, void *resource, G_GNUC_UNUSED guint32 number,
                          const struct wl_message *message, union wl_argument *args)
{
    if (strcmp(message->name, "get_xdg_output") != 0) {
        wl_resource_destroy(resource);
        return 0;
    }
    Head *head = wl_resource_get_user_data((struct wl_resource *) args[1].o);
    head->xdg = wl_resource_create(wl_resource_get_client(resource), &zxdg_output_v1_interface, 3, args[0].n);
    wl_resource_set_dispatcher(head->xdg, on_output_request, NULL, head, forget_output);
    send_output(head);
    return 0;
}

static void bind_xdg(struct wl_client *client, G_GNUC_UNUSED void *data, guint32 version, guint32 id)
{
    wl_resource_set_dispatcher(wl_resource_create(client, &zxdg_output_manager_v1_interface, version, id),
                               on_xdg_request, NULL, NULL, NULL);
}

/* --- Requests --- */

static void unplug(Head *head)
{
    SEND(zwlr_output_head_v1, head->resource, "finished");
    head->resource = NULL;
    head->on = FALSE;
    put(head);
}

static void announce(Head *head);

/* Virtual-2 goes, and another comes, which is off at first. */
static void swap(void)
{
    peer.manner = OBEY;
    unplug(&peer.head[1]);
    peer.head[peer.count] = (Head){ .name = "Virtual-11", .scale = 1, .mode = { { 1280, 800 } } };
    announce(&peer.head[peer.count++]);
    send_done();
}

static void obey(void)
{
    for (gsize i = 0; i < peer.count; i++) {
        Head *head = &peer.head[i];
        const Head *next = &peer.next[i];
        head->on = next->on;
        head->w = next->w;
        head->h = next->h;
        head->x = next->x;
        head->y = next->y;
        head->scale = next->scale;
        head->transform = next->transform;
        put(head);
        if (head->resource != NULL)
            send_head(head);
    }
    send_done();
}

static gboolean end_client(gpointer client)
{
    wl_client_destroy(client);
    return G_SOURCE_REMOVE;
}

static void finish(struct wl_resource *configuration)
{
    peer.configurations++;
    switch (peer.manner) {
    case REPLACE:
        for (gsize i = 0; i < peer.count; i++) {
            peer.next[i].w = peer.head[i].mode[0][0];
            peer.next[i].h = peer.head[i].mode[0][1];
        }
        /* fall through */
    case OBEY:
        SEND(zwlr_output_configuration_v1, configuration, "succeeded");
        obey();
        break;
    case REFUSE:
        SEND(zwlr_output_configuration_v1, configuration, "failed");
        break;
    case CANCEL_ONCE:
        peer.manner = OBEY;
        /* fall through */
    case CANCEL:
        send_done();
        SEND(zwlr_output_configuration_v1, configuration, "cancelled");
        break;
    case UNPLUG:
        peer.manner = OBEY;
        unplug(&peer.head[1]);
        send_done();
        SEND(zwlr_output_configuration_v1, configuration, "cancelled");
        break;
    case SWAP_CANCEL:
        swap();
        SEND(zwlr_output_configuration_v1, configuration, "cancelled");
        break;
    case SWAP_REFUSE:
        swap();
        SEND(zwlr_output_configuration_v1, configuration, "failed");
        break;
    case DIE: /* not from inside of its request */
        g_idle_add(end_client, wl_resource_get_client(configuration));
        break;
    }
}

static void note(const char *format, ...) G_GNUC_PRINTF(1, 2);
static void note(const char *format, ...)
{
    gsize used = strlen(peer.script);
    va_list args;
    va_start(args, format);
    g_vsnprintf(peer.script + used, sizeof peer.script - used, format, args);
    va_end(args);
}

static int on_head_setting(G_GNUC_UNUSED const void *data, void *resource, G_GNUC_UNUSED guint32 number,
                           const struct wl_message *message, union wl_argument *args)
{
    Head *head = wl_resource_get_user_data(resource);
    if (strcmp(message->name, "set_mode") == 0) {
        const int *mode = wl_resource_get_user_data((struct wl_resource *) args[0].o);
        head->w = mode[0];
        head->h = mode[1];
        note(" mode %dx%d", mode[0], mode[1]);
    } else if (strcmp(message->name, "set_custom_mode") == 0) {
        head->w = args[0].i;
        head->h = args[1].i;
        note(" custom %dx%d", args[0].i, args[1].i);
    } else if (strcmp(message->name, "set_position") == 0) {
        head->x = args[0].i;
        head->y = args[1].i;
        note(" %+d%+d", args[0].i, args[1].i);
    } else if (strcmp(message->name, "set_transform") == 0) {
        head->transform = args[0].i;
        note(" transform %d", args[0].i);
    } else {
        head->scale = wl_fixed_to_double(args[0].f);
        note(" scale %g", head->scale);
    }
    return 0;
}

static int on_configuration_request(G_GNUC_UNUSED const void *data, void *resource, G_GNUC_UNUSED guint32 number,
                                    const struct wl_message *message, union wl_argument *args)
{
    gboolean enable = strcmp(message->name, "enable_head") == 0;
    if (strcmp(message->name, "apply") == 0) {
        finish(resource);
        return 0;
    }
    if (strcmp(message->name, "destroy") == 0) {
        wl_resource_destroy(resource);
        return 0;
    }
    const Head *head = wl_resource_get_user_data((struct wl_resource *) args[enable].o);
    Head *next = &peer.next[head - peer.head];
    next->on = enable;
    note("%s%s %s", peer.script[0] != '\0' ? "; " : "", head->name, enable ? "on" : "off");
    if (enable)
        wl_resource_set_dispatcher(wl_resource_create(wl_resource_get_client(resource),
                                                      &zwlr_output_configuration_head_v1_interface, 3, args[0].n),
                                   on_head_setting, NULL, next, NULL);
    return 0;
}

static int on_manager_request(G_GNUC_UNUSED const void *data, void *resource, G_GNUC_UNUSED guint32 number,
                              const struct wl_message *message, union wl_argument *args)
{
    if (strcmp(message->name, "stop") == 0) {
        SEND(zwlr_output_manager_v1, resource, "finished");
        wl_resource_destroy(resource);
        return 0;
    }
    struct wl_resource *configuration =
        wl_resource_create(wl_resource_get_client(resource), &zwlr_output_configuration_v1_interface, 3, args[0].n);
    wl_resource_set_dispatcher(configuration, on_configuration_request, NULL, NULL, NULL);
    CHECK_EQ(args[1].u, peer.serial);
    memcpy(peer.next, peer.head, sizeof peer.next);
    peer.script[0] = '\0';
    return 0;
}

static struct wl_resource *new_head(gpointer user)
{
    struct wl_resource *resource =
        wl_resource_create(wl_resource_get_client(peer.manager), &zwlr_output_head_v1_interface, 3, 0);
    wl_resource_set_dispatcher(resource, on_output_request, NULL, user, NULL);
    SEND(zwlr_output_manager_v1, peer.manager, "head", resource);
    return resource;
}

static struct wl_resource *new_mode(struct wl_resource *head, int w, int h, gpointer user)
{
    struct wl_resource *resource =
        wl_resource_create(wl_resource_get_client(peer.manager), &zwlr_output_mode_v1_interface, 3, 0);
    wl_resource_set_dispatcher(resource, on_output_request, NULL, user, NULL);
    SEND(zwlr_output_head_v1, head, "mode", resource);
    SEND(zwlr_output_mode_v1, resource, "size", w, h);
    SEND(zwlr_output_mode_v1, resource, "refresh", 60000);
    return resource;
}

static void announce(Head *head)
{
    head->resource = new_head(head);
    SEND(zwlr_output_head_v1, head->resource, "name", head->name);
    SEND(zwlr_output_head_v1, head->resource, "description", "");
    SEND(zwlr_output_head_v1, head->resource, "physical_size", 300, 200);
    SEND(zwlr_output_head_v1, head->resource, "make", "");
    for (gsize i = 0; i < G_N_ELEMENTS(head->mode) && head->mode[i][0] > 0; i++) {
        head->mode_resource[i] = new_mode(head->resource, head->mode[i][0], head->mode[i][1], head->mode[i]);
        if (i == 0)
            SEND(zwlr_output_mode_v1, head->mode_resource[i], "preferred");
    }
    send_head(head);
}

static void bind_manager(struct wl_client *client, G_GNUC_UNUSED void *data, guint32 version, guint32 id)
{
    peer.manager = wl_resource_create(client, &zwlr_output_manager_v1_interface, version, id);
    wl_resource_set_dispatcher(peer.manager, on_manager_request, NULL, NULL, NULL);
    for (gsize i = 0; i < peer.count; i++)
        announce(&peer.head[i]);
    send_done();
}

/* --- The kernel's word on the connectors --- */

static char *sysfs, *drm;

/* `modes` may be NULL, for nothing connected. */
static void connector(const char *entry, const char *modes)
{
    g_autofree char *directory = g_build_filename(drm, entry, NULL);
    g_autofree char *status = g_build_filename(directory, "status", NULL);
    g_autofree char *list = g_build_filename(directory, "modes", NULL);
    g_mkdir_with_parents(directory, 0755);
    g_assert_true(g_file_set_contents(status, modes != NULL ? "connected\n" : "disconnected\n", -1, NULL));
    g_assert_true(g_file_set_contents(list, modes != NULL ? modes : "", -1, NULL));
}

/* --- Cases --- */

/* Announced in the wrong order, on a device whose connectors are not known. */
static const Head two[] = {
    { .name = "Virtual-10", .x = 1280, .scale = 1, .on = TRUE, .w = 1024, .h = 768,
      .mode = { { 1280, 800 }, { 1024, 768 } } },
    { .name = "Virtual-2", .scale = 1, .on = TRUE, .w = 1280, .h = 800, .mode = { { 1280, 800 }, { 1920, 1080 } } },
};

#define AT_FIRST "Virtual-2 1280x800 1280x800+0+0 0; Virtual-10 1024x768 1024x768+1280+0 0"

static void start(const char *name, const Head *heads)
{
    check_case("%s", name);
    memset(&peer, 0, sizeof peer);
    peer.xdg = TRUE;
    peer.count = G_N_ELEMENTS(two);
    memcpy(peer.head, heads, sizeof two);
    displaystest_init(&peer.test);
}

static void serve(void)
{
    const DisplaysPolicy policy = { .follow = TRUE, .auto_scale = TRUE, .sysfs = sysfs };
    wl_global_create(peer.test.server, &zwlr_output_manager_v1_interface, 3, NULL, bind_manager);
    if (peer.xdg)
        wl_global_create(peer.test.server, &zxdg_output_manager_v1_interface, 3, NULL, bind_xdg);
    for (gsize i = 0; i < peer.count; i++)
        put(&peer.head[i]);
    displaystest_start(&peer.test, &policy, displays_serve_wlr);
}

static void stop(void)
{
    displaystest_clear(&peer.test);
}

static gboolean ask(const char *monitors)
{
    peer.script[0] = '\0';
    return displaystest_ask(&peer.test, monitors);
}

static gboolean wait_for(const char *layout)
{
    return displaystest_wait(&peer.test, layout);
}

static void asked(void)
{
    start("asked", two);
    serve();
    CHECK(wait_for(AT_FIRST));
    /* Modes it has are taken from there; what does not change is not named. */
    CHECK(ask("1920x1080+0+0 1024x768+1920+0"));
    CHECK_STR(peer.script, "Virtual-2 on mode 1920x1080 +0+0; Virtual-10 on +1920+0");
    CHECK(ask("1000x700+0+0 1280x800+0+700"));
    CHECK_STR(peer.script, "Virtual-2 on custom 1000x700 +0+0; Virtual-10 on mode 1280x800 +0+700");
    CHECK(ask("1000x700+0+0 0x0+0+0"));
    CHECK_STR(peer.script, "Virtual-2 on +0+0; Virtual-10 off");
    CHECK(wait_for("Virtual-2 1000x700 1000x700+0+0 0"));
    CHECK(ask("1000x700+0+0 1024x768+1000+0"));
    CHECK_STR(peer.script, "Virtual-2 on +0+0; Virtual-10 on mode 1024x768 +1000+0");
    CHECK(wait_for("Virtual-2 1000x700 1000x700+0+0 0; Virtual-10 1024x768 1024x768+1000+0 0"));
    CHECK_EQ(peer.configurations, 4);
    CHECK(ask("1000x700+0+0 1024x768+1000+0"));
    CHECK_EQ(peer.test.applied, 5);
    stop();
}

/* What was called done, and was not: once more, and then the truth. */
static void replaced(void)
{
    start("replaced", two);
    peer.manner = REPLACE;
    serve();
    CHECK(wait_for(AT_FIRST));
    CHECK(!ask("1000x700+0+0 1024x768+1000+0"));
    CHECK_EQ(peer.configurations, 2);
    CHECK_STR(peer.test.refusal, "the desktop has made something else of it");
    peer.manner = REFUSE;
    CHECK(!ask("1000x700+0+0 1024x768+1000+0"));
    CHECK_EQ(peer.configurations, 4);
    CHECK_STR(peer.test.refusal, "the compositor refuses it");
    stop();
}

/* Outdated on its way: the same once more, not something near it. */
static void cancelled(void)
{
    start("cancelled", two);
    serve();
    CHECK(wait_for(AT_FIRST));
    peer.manner = CANCEL_ONCE;
    CHECK(ask("1001x700+0+0 1024x768+1001+0"));
    CHECK(wait_for("Virtual-2 1001x700 1001x700+0+0 0; Virtual-10 1024x768 1024x768+1001+0 0"));
    CHECK_EQ(peer.configurations, 2);
    peer.manner = CANCEL;
    CHECK(!ask("1003x700+0+0 1024x768+1003+0"));
    CHECK_EQ(peer.configurations, 2 + 2 * 5);
    stop();
}

static void unplugged(void)
{
    start("unplugged while being configured", two);
    serve();
    CHECK(wait_for(AT_FIRST));
    peer.manner = UNPLUG; /* what is the second one here is the first one in order */
    ask("1001x700+0+0 1024x768+1001+0");
    CHECK(displaystest_ask(&peer.test, "800x600+0+0"));
    CHECK(wait_for("Virtual-10 800x600 800x600+0+0 0"));
    /* Another one comes, not at once. */
    displaystest_run(&peer.test, FOLLOWED_MS);
    peer.head[1].on = TRUE;
    announce(&peer.head[1]);
    put(&peer.head[1]);
    send_done();
    CHECK(wait_for("Virtual-2 1280x800 1280x800+0+0 0; Virtual-10 800x600 800x600+1280+0 0"));
    stop();
}

static void dies(void)
{
    start("dies", two);
    serve();
    CHECK(wait_for(AT_FIRST));
    peer.manner = DIE;
    CHECK(!ask("1001x700+0+0 1024x768+1001+0"));
    CHECK_STR(peer.test.refusal, "the desktop went away");
    CHECK_EQ(peer.test.closed, 1);
    stop();
}

static void finished(void)
{
    start("finished", two);
    serve();
    CHECK(wait_for(AT_FIRST));
    SEND(zwlr_output_manager_v1, peer.manager, "finished");
    wl_resource_destroy(peer.manager);
    while (peer.test.lost == 0)
        displaystest_step(&peer.test);
    displaystest_run(&peer.test, 100);
    CHECK(!ask("1001x700+0+0 1024x768+1001+0"));
    CHECK_EQ(peer.test.closed, 0);
    stop();
}

/* Without xdg-output, rectangles are what mode, scale and transform make. */
static void no_xdg_output(void)
{
    Head heads[G_N_ELEMENTS(two)];
    memcpy(heads, two, sizeof heads);
    heads[1].scale = 2;
    heads[1].transform = 3;
    heads[0].x = 400;
    heads[0].y = -7;
    start("no xdg-output", heads);
    peer.xdg = FALSE;
    serve();
    CHECK(wait_for("Virtual-2 1280x800 400x640+0+0 3; Virtual-10 1024x768 1024x768+400-7 0"));
    CHECK(ask("1000x700+0+0 1024x768+1000+0"));
    CHECK_STR(peer.script, "Virtual-2 on custom 1000x700 +0+0 transform 0; Virtual-10 on +500+0");
    stop();
}

/* The device wants another size, which the compositor does not see. */
static void followed(void)
{
    connector("card0-Virtual-2", "1280x800\n1024x768\n");
    connector("card0-Virtual-10", "1280x800\n1024x768\n");
    connector("card1-Virtual-2", NULL);
    start("followed", two);
    serve();
    CHECK(wait_for(AT_FIRST));
    displaystest_run(&peer.test, FOLLOWED_MS);
    CHECK_EQ(peer.configurations, 0); /* Virtual-10 has not what it prefers, but has it so since before */
    connector("card0-Virtual-2", "1400x901\n1280x800\n");
    send_done();
    CHECK(wait_for("Virtual-2 1400x901 1400x901+0+0 0; Virtual-10 1024x768 1024x768+1400+0 0"));
    CHECK_STR(peer.script, "Virtual-2 on custom 1400x901 +0+0; Virtual-10 on +1400+0");
    /* A turned one stays turned, and has the size of the mode. */
    peer.head[1].transform = 1;
    send_output(&peer.head[1]);
    send_head(&peer.head[1]);
    send_done();
    CHECK(wait_for("Virtual-2 1400x901 901x1400+0+0 1; Virtual-10 1024x768 1024x768+1400+0 0"));
    connector("card0-Virtual-2", "1500x900\n1280x800\n");
    send_done();
    CHECK(wait_for("Virtual-2 1500x900 900x1500+0+0 1; Virtual-10 1024x768 1024x768+900+0 0"));
    /* Disconnected and connected, where the compositor keeps the output. */
    connector("card0-Virtual-10", NULL);
    send_done();
    CHECK(wait_for("Virtual-2 1500x900 900x1500+0+0 1"));
    displaystest_run(&peer.test, FOLLOWED_MS);
    connector("card0-Virtual-10", "1111x777\n");
    send_done();
    CHECK(wait_for("Virtual-2 1500x900 900x1500+0+0 1; Virtual-10 1111x777 1111x777+900+0 0"));
    CHECK_EQ(peer.test.applied, 0);
    stop();
}

static void monitor(const char *entry, guint w, guint h, guint w_mm, guint h_mm)
{
    g_autofree char *directory = g_build_filename(drm, entry, NULL);
    edid_write(directory, TRUE, w, h, w_mm, h_mm);
}

/* The client's window is on another monitor: its resolution gives the scale, once; the user's own is kept until then. */
static void followed_by_scale(void)
{
    connector("card0-Virtual-2", "1280x800\n");
    connector("card0-Virtual-10", "1024x768\n");
    monitor("card0-Virtual-2", 1280, 800, 325, 203);
    start("followed by scale", two);
    serve();
    CHECK(wait_for(AT_FIRST));
    connector("card0-Virtual-2", "2560x1600\n");
    monitor("card0-Virtual-2", 2560, 1600, 339, 212);
    send_done();
    CHECK(wait_for("Virtual-2 2560x1600 1280x800+0+0 0; Virtual-10 1024x768 1024x768+1280+0 0"));
    CHECK_STR(peer.script, "Virtual-2 on custom 2560x1600 +0+0 scale 2; Virtual-10 on +1280+0");
    peer.head[1].scale = 1;
    send_output(&peer.head[1]);
    send_head(&peer.head[1]);
    connector("card0-Virtual-2", "2400x1500\n");
    monitor("card0-Virtual-2", 2400, 1500, 318, 199);
    send_done();
    CHECK(wait_for("Virtual-2 2400x1500 2400x1500+0+0 0; Virtual-10 1024x768 1024x768+2400+0 0"));
    monitor("card0-Virtual-2", 2400, 1500, 423, 264);
    send_done();
    CHECK(wait_for("Virtual-2 2400x1500 1600x1000+0+0 0; Virtual-10 1024x768 1024x768+1600+0 0"));
    monitor("card0-Virtual-2", 2400, 1500, 609, 381);
    send_done();
    CHECK(wait_for("Virtual-2 2400x1500 2400x1500+0+0 0; Virtual-10 1024x768 1024x768+2400+0 0"));
    stop();
}

/* An output that comes is switched on by the compositor, in a mode that is not the one preferred by now. */
static void plugged(void)
{
    Head heads[G_N_ELEMENTS(two)];
    memcpy(heads, two, sizeof heads);
    heads[0].on = FALSE;
    connector("card0-Virtual-2", "1280x800\n");
    connector("card0-Virtual-10", NULL);
    start("plugged", heads);
    peer.count = 1; /* without Virtual-2 */
    serve();
    CHECK(wait_for(""));
    peer.count = 2;
    connector("card0-Virtual-2", "1111x911\n");
    announce(&peer.head[1]);
    put(&peer.head[1]);
    send_done();
    CHECK(wait_for("Virtual-2 1111x911 1111x911+0+0 0"));
    CHECK_EQ(peer.configurations, 1);
    stop();
}

/* Outputs go while the device is followed: what it wants of the others is done all the same, and nobody is told. */
static void followed_while_unplugged(void)
{
    connector("card0-Virtual-2", "1280x800\n");
    connector("card0-Virtual-10", "1280x800\n");
    start("followed while unplugged", two);
    serve();
    CHECK(wait_for(AT_FIRST));
    connector("card0-Virtual-10", "1400x901\n");
    peer.manner = UNPLUG; /* Virtual-2 */
    send_done();
    CHECK(wait_for("Virtual-10 1400x901 1400x901+0+0 0"));
    CHECK_STR(peer.test.refusal, NULL);
    stop();
}

/* The same while one goes and another comes, so that there are as many as before. */
static void followed_while_swapped(void)
{
    connector("card0-Virtual-2", "1280x800\n");
    connector("card0-Virtual-10", "1280x800\n");
    start("followed while swapped", two);
    serve();
    CHECK(wait_for(AT_FIRST));
    connector("card0-Virtual-10", "1400x901\n");
    peer.manner = SWAP_REFUSE;
    send_done();
    CHECK(wait_for("Virtual-10 1400x901 1400x901+0+0 0; Virtual-11 1280x800 1280x800+1400+0 0"));
    CHECK_STR(peer.test.refusal, NULL);
    stop();
}

/* What the user has switched off before we came stays off. */
static void off_at_first(void)
{
    Head heads[G_N_ELEMENTS(two)];
    memcpy(heads, two, sizeof heads);
    heads[0].on = FALSE;
    connector("card0-Virtual-2", "1280x800\n");
    connector("card0-Virtual-10", "1280x800\n");
    start("off at first", heads);
    serve();
    CHECK(wait_for("Virtual-2 1280x800 1280x800+0+0 0"));
    send_done();
    displaystest_run(&peer.test, FOLLOWED_MS);
    CHECK_EQ(peer.configurations, 0);
    stop();
}

/* What cannot be pointed at is left out by itself: a mode, a rectangle, or a place that no layout has. */
static void impossible(void)
{
    static const int rows[][6] = {
        { 0, 0, 1280, 800, 5, 5 },         { 0, 0, 0, 0, 5, 5 },
        { 1280, 0, 1280, 800, 0, 0 },      { 1280, 800, 1280, 0, 0, 0 },
        { 1280, 800, 0, 800, -5, 0 },      { 1280, 800, 1280, 800, G_MININT32, 0 },
        { 1280, 800, 1280, 800, 0, G_MAXINT32 }, { 1280, 800, 1280, 800, (1 << 20) - 1279, 0 },
    };
    Head *head = &peer.head[1];
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        const int *row = rows[i];
        check_case("nonsense, %zu", i);
        SEND(wl_output, head->output, "mode", WL_OUTPUT_MODE_CURRENT, row[0], row[1], 0);
        SEND(zxdg_output_v1, head->xdg, "logical_size", row[2], row[3]);
        SEND(zxdg_output_v1, head->xdg, "logical_position", row[4], row[5]);
        SEND(wl_output, head->output, "done");
        CHECK(wait_for("Virtual-2 0x0 0x0+0+0 0; Virtual-10 1024x768 1024x768+1920+0 0"));
        send_output(head);
        CHECK(wait_for("Virtual-2 1920x1080 1920x1080+0+0 0; Virtual-10 1024x768 1024x768+1920+0 0"));
    }
}

static void nonsense(void)
{
    start("nonsense", two);
    serve();
    CHECK(wait_for(AT_FIRST));
    Head *head = &peer.head[1];
    for (int i = 0; i < 10000; i++) {
        new_mode(head->resource, -i, G_MAXINT32, NULL);
        if (i % 100 == 0)
            displaystest_step(&peer.test);
    }
    SEND(zwlr_output_head_v1, head->resource, "scale", G_MININT32);
    SEND(zwlr_output_head_v1, head->resource, "transform", -1);
    SEND(wl_output, head->output, "name", "\xff\n\"';output * disable");
    SEND(wl_output, head->output, "geometry", G_MININT32, G_MAXINT32, -1, -1, -1, "", "", 77);
    SEND(wl_output, head->output, "mode", WL_OUTPUT_MODE_CURRENT, -1, 65536, -1);
    SEND(wl_output, head->output, "scale", -5);
    SEND(zxdg_output_v1, head->xdg, "logical_size", -1, 1 << 30);
    SEND(zxdg_output_v1, head->xdg, "logical_position", G_MININT32, G_MAXINT32);
    SEND(wl_output, head->output, "done");
    send_done();
    CHECK(wait_for("Virtual-10 1024x768 1024x768+1280+0 0")); /* the head has no output of its name any more */
    send_output(head);
    CHECK(wait_for(AT_FIRST));
    /* Zero in all that is a size. */
    SEND(wl_output, head->output, "mode", WL_OUTPUT_MODE_CURRENT, 0, 0, 0);
    SEND(zxdg_output_v1, head->xdg, "logical_size", 0, 0);
    SEND(wl_output, head->output, "done");
    CHECK(wait_for("Virtual-2 0x0 0x0+0+0 0; Virtual-10 1024x768 1024x768+1280+0 0"));
    CHECK(ask("1920x1080+0+0 1024x768+1920+0"));
    CHECK(wait_for("Virtual-2 1920x1080 1920x1080+0+0 0; Virtual-10 1024x768 1024x768+1920+0 0"));
    impossible();
    /* More heads than SPICE has displays, without a name. */
    for (int i = 0; i < 1000; i++) {
        new_head(NULL);
        if (i % 100 == 0)
            displaystest_step(&peer.test);
    }
    send_done();
    displaystest_run(&peer.test, 100);
    CHECK(!ask("1000x700+0+0 1024x768+1000+0"));
    CHECK_STR(peer.test.refusal, "the compositor has too many outputs");
    CHECK(wait_for("Virtual-2 1920x1080 1920x1080+0+0 0; Virtual-10 1024x768 1024x768+1920+0 0"));
    CHECK_EQ(peer.test.closed, 0);
    stop();
}

/* What a client asks for, and the layout, of outputs from Virtual-`first` on: one of that width and then others. */
static void row_of(guint first, int x, int w, char **ret_monitors, char **ret_layout)
{
    GString *monitors = g_string_new(NULL), *layout = g_string_new(NULL);
    for (guint i = 0; i < LIMIT_DISPLAYS; i++) {
        g_string_append_printf(monitors, "%s%dx600+%d+0", i > 0 ? " " : "", w, x);
        g_string_append_printf(layout, "%sVirtual-%u %dx600 %dx600+%d+0 0", i > 0 ? "; " : "", first + i, w, w, x);
        x += w;
        w = 800;
    }
    *ret_monitors = g_string_free(monitors, FALSE);
    *ret_layout = g_string_free(layout, FALSE);
}

/* With more outputs than there can be displays none is changed; when one goes, the others are as if it had not been. */
static void too_many(void)
{
    char name[MANY][16];
    g_autofree char *ask_first = NULL, *layout_first = NULL, *layout_less = NULL, *ask_less = NULL, *ask_then = NULL,
                    *layout_then = NULL;
    start("too many", two);
    peer.count = MANY;
    for (int i = 0; i < MANY; i++) {
        g_snprintf(name[i], sizeof name[i], "Virtual-%d", i + 1);
        peer.head[i] = (Head){ .name = name[i], .x = 800 * i, .scale = 1, .on = TRUE, .w = 800, .h = 600,
                               .mode = { { 800, 600 } } };
    }
    row_of(1, 0, 800, &ask_first, &layout_first);
    row_of(2, 800, 800, &ask_less, &layout_less);
    row_of(2, 0, 1000, &ask_then, &layout_then);
    serve();
    CHECK(wait_for(layout_first));
    CHECK(!ask(ask_then));
    CHECK_STR(peer.test.refusal, "the compositor has too many outputs");
    CHECK_EQ(peer.configurations, 0);
    unplug(&peer.head[0]);
    send_done();
    CHECK(wait_for(layout_less));
    CHECK(ask(ask_then));
    CHECK(wait_for(layout_then));
    stop();
}

/* A card with one connector, at this PCI slot of the host's. */
static void card(VdagentDevices *devices, const char *slot, const char *entry)
{
    VdagentDevice *device = &devices->device[devices->count];
    g_autofree char *directory =
        g_strdup_printf("%s/devices/pci0000:00/0000:00:%s/drm/%.5s/%s", sysfs, slot, entry, entry);
    g_assert_cmpint(g_mkdir_with_parents(directory, 0755), ==, 0);
    *device = (VdagentDevice){ .channel_id = devices->count };
    g_snprintf(device->address, sizeof device->address, "pci/0000/%s", slot);
    devices->count++;
}

/* The host's first display is not on the card that the kernel has found first. */
static void two_cards(void)
{
    VdagentDevices devices = { 0 };
    card(&devices, "06.0", "card1-Virtual-10");
    card(&devices, "02.0", "card0-Virtual-2");
    start("two cards", two);
    serve();
    CHECK(wait_for(AT_FIRST));
    displays_devices(peer.test.displays, &devices);
    CHECK(ask("1280x800+0+0 1920x1080+1280+0"));
    CHECK_STR(peer.script, "Virtual-2 on mode 1920x1080 +1280+0; Virtual-10 on mode 1280x800 +0+0");
    CHECK(ask("0x0+0+0 1920x1080+0+0"));
    CHECK(wait_for("Virtual-2 1920x1080 1920x1080+0+0 0"));
    check_case("two cards, neither is the desktop's");
    g_snprintf(devices.device[0].address, LIMIT_DEVICE_ADDRESS, "pci/0000/07.0");
    g_snprintf(devices.device[1].address, LIMIT_DEVICE_ADDRESS, "pci/0000/08.0");
    displays_devices(peer.test.displays, &devices);
    CHECK(ask("1280x800+0+0 1024x768+1280+0"));
    CHECK(wait_for("Virtual-2 1280x800 1280x800+0+0 0; Virtual-10 1024x768 1024x768+1280+0 0"));
    stop();
}

/* The plan that a client has asked for is made anew when there are as many outputs, but others. */
static void swapped(void)
{
    VdagentDevices devices = { 0 };
    card(&devices, "02.0", "card0-Virtual-2");
    card(&devices, "06.0", "card1-Virtual-10");
    start("swapped while being configured", two);
    serve();
    CHECK(wait_for(AT_FIRST));
    displays_devices(peer.test.displays, &devices);
    peer.manner = SWAP_CANCEL;
    CHECK(ask("1920x1080+0+0 1112x777+1920+0"));
    CHECK(wait_for("Virtual-10 1112x777 1112x777+0+0 0"));
    stop();
}

int main(void)
{
    sysfs = g_dir_make_tmp("sysfs-XXXXXX", NULL);
    drm = g_build_filename(sysfs, "class", "drm", NULL);
    asked();
    replaced();
    cancelled();
    unplugged();
    dies();
    finished();
    no_xdg_output();
    nonsense();
    followed();
    followed_by_scale();
    plugged();
    followed_while_unplugged();
    followed_while_swapped();
    off_at_first();
    too_many();
    two_cards();
    swapped();
    return check_done();
}
