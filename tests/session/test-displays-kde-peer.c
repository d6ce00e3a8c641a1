/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Displays of a compositor that we write ourselves and that speaks as KWin does: what KWin does only with a real device
 * (another preferred mode), only in newer versions (the registry, made modes), or never (silence, floods, nonsense).
 */
#include "check.h"
#include "displaystest.h"
#include "kde-output-device-v2.h"
#include "kde-output-management-v2.h"

#include <glib/gstdio.h>
#include <sys/socket.h>

#define SEND DISPLAYSTEST_SEND
#define VERSION 21
/* Events in a row that the connection has room for. */
#define PIECE 20
/* By then what the desktop did by itself has been looked at: twice the time it is given. */
#define FOLLOWED_MS 600
#define CUSTOM KDE_OUTPUT_DEVICE_MODE_V2_FLAGS_CUSTOM
#define REDUCED KDE_OUTPUT_DEVICE_MODE_V2_FLAGS_REDUCED_BLANKING

typedef struct Mode {
    int w, h, refresh;
    guint flags;
    gboolean preferred;
    struct wl_resource *resource;
} Mode;

typedef struct Device {
    const char *name;
    int x, y, transform;
    double scale;
    gboolean enabled;
    gsize count, current;
    Mode mode[16];
    struct wl_resource *resource;
} Device;

/* What it does with a configuration. */
typedef enum Manner { OBEY, REFUSE, REFUSE_MUTELY, SILENT, UNPLUG, DIE } Manner;

static struct {
    DisplaysTest test;
    struct wl_client *client;
    struct wl_resource *registry;
    gsize count;
    Device device[2], next[2]; /* as they are, and as the configuration that is being made wants them */
    Mode listed[16];
    gsize listed_count;
    Manner manner;
    GString *requests;
    char script[1024];    /* the requests of the configuration that was applied last */
    guint configurations; /* applied so far */
} peer;

/* --- Events --- */

static void send_modes(Device *device)
{
    for (gsize i = 0; i < device->count; i++) {
        Mode *mode = &device->mode[i];
        mode->resource = wl_resource_create(peer.client, &kde_output_device_mode_v2_interface,
                                            wl_resource_get_version(device->resource), 0);
        wl_resource_set_user_data(mode->resource, (void *) i);
        SEND(kde_output_device_v2, device->resource, "mode", mode->resource);
        SEND(kde_output_device_mode_v2, mode->resource, "size", mode->w, mode->h);
        SEND(kde_output_device_mode_v2, mode->resource, "refresh", mode->refresh);
        if (mode->preferred)
            SEND(kde_output_device_mode_v2, mode->resource, "preferred");
        if (wl_resource_get_version(device->resource) >= 19)
            SEND(kde_output_device_mode_v2, mode->resource, "flags", mode->flags);
    }
    if (device->count > 0)
        SEND(kde_output_device_v2, device->resource, "current_mode", device->mode[device->current].resource);
}

/* As KWin does: all modes are new ones, and the resources of the old ones stay (so that no number is taken again). */
static void replace_modes(Device *device, const Device *next)
{
    Device old = *device;
    device->count = next->count;
    device->current = next->current;
    memcpy(device->mode, next->mode, sizeof device->mode);
    send_modes(device);
    for (gsize i = 0; i < old.count; i++)
        SEND(kde_output_device_mode_v2, old.mode[i].resource, "removed");
}

static void send_state(Device *device)
{
    SEND(kde_output_device_v2, device->resource, "geometry", device->x, device->y, 300, 200, 0, "make", "model",
         device->transform);
    SEND(kde_output_device_v2, device->resource, "scale", wl_fixed_from_double(device->scale));
    SEND(kde_output_device_v2, device->resource, "enabled", device->enabled);
}

static void describe(Device *device)
{
    struct wl_resource *resource = device->resource;
    guint version = wl_resource_get_version(resource);
    send_state(device);
    send_modes(device);
    SEND(kde_output_device_v2, resource, "name", device->name);
    /* Of no use to us, but it must do no harm either. */
    SEND(kde_output_device_v2, resource, "uuid", "u");
    SEND(kde_output_device_v2, resource, "edid", "");
    SEND(kde_output_device_v2, resource, "overscan", 0);
    if (version >= VERSION) {
        SEND(kde_output_device_v2, resource, "capabilities", KDE_OUTPUT_DEVICE_V2_CAPABILITY_CUSTOM_MODES);
        SEND(kde_output_device_v2, resource, "brightness_metadata", 1, 2, 3);
        SEND(kde_output_device_v2, resource, "brightness_overrides", -1, -1, -1);
        SEND(kde_output_device_v2, resource, "max_bits_per_color_range", 8, 10);
        SEND(kde_output_device_v2, resource, "replication_source", "");
        SEND(kde_output_device_v2, resource, "auto_brightness", 0);
    }
    SEND(kde_output_device_v2, resource, "done");
}

/* --- Requests --- */

static int on_device_request(G_GNUC_UNUSED const void *data, void *resource, G_GNUC_UNUSED guint32 number,
                             const struct wl_message *message, G_GNUC_UNUSED union wl_argument *args)
{
    g_assert_cmpstr(message->name, ==, "release");
    wl_resource_destroy(resource);
    return 0;
}

static void forget_device(struct wl_resource *resource)
{
    Device *device = wl_resource_get_user_data(resource);
    if (device != NULL)
        device->resource = NULL;
}

static void new_device(Device *device, struct wl_resource *resource)
{
    device->resource = resource;
    wl_resource_set_dispatcher(resource, on_device_request, NULL, device, forget_device);
}

static void announce(Device *device)
{
    new_device(device, wl_resource_create(peer.client, &kde_output_device_v2_interface, VERSION, 0));
    SEND(kde_output_device_registry_v2, peer.registry, "output", device->resource);
    describe(device);
}

static int on_list_request(G_GNUC_UNUSED const void *data, void *resource, G_GNUC_UNUSED guint32 number,
                           const struct wl_message *message, union wl_argument *args)
{
    Mode *mode = &peer.listed[peer.listed_count];
    if (strcmp(message->name, "set_resolution") == 0) {
        mode->w = args[0].u;
        mode->h = args[1].u;
    } else if (strcmp(message->name, "set_refresh_rate") == 0) {
        mode->refresh = args[0].u;
    } else if (strcmp(message->name, "set_reduced_blanking") == 0) {
        mode->flags = CUSTOM | (args[0].u ? REDUCED : 0);
    } else if (strcmp(message->name, "add_mode") == 0) {
        g_assert_cmpuint(++peer.listed_count, <, G_N_ELEMENTS(peer.listed));
    } else {
        g_assert_cmpstr(message->name, ==, "destroy");
        wl_resource_destroy(resource);
    }
    return 0;
}

/* The modes that a device has of itself, and those of the list. */
static void take_list(Device *next)
{
    gsize count = 0;
    for (gsize i = 0; i < next->count; i++) {
        if ((next->mode[i].flags & CUSTOM) == 0 || i == next->current) {
            next->mode[count] = next->mode[i];
            if (i == next->current)
                next->current = count;
            count++;
        }
    }
    for (gsize i = 0; i < peer.listed_count; i++) {
        const Mode *mode = &peer.listed[i], *now = &next->mode[next->current];
        g_string_append_printf(peer.requests, "%s%dx%d@%d%s", i > 0 ? "," : "", mode->w, mode->h, mode->refresh,
                               mode->flags & REDUCED ? "r" : "");
        if (mode->w == now->w && mode->h == now->h)
            continue;
        next->mode[count] = *mode;
        next->mode[count++].refresh -= 40; /* as the formulas have it */
    }
    next->count = count;
}

static void obey(void)
{
    for (gsize i = 0; i < peer.count; i++) {
        Device *device = &peer.device[i], *next = &peer.next[i];
        if (device->resource == NULL)
            continue;
        device->x = next->x;
        device->y = next->y;
        device->scale = next->scale;
        device->transform = next->transform;
        device->enabled = next->enabled;
        send_state(device);
        replace_modes(device, next);
        SEND(kde_output_device_v2, device->resource, "done");
    }
}

static void unplug(Device *device)
{
    SEND(kde_output_device_v2, device->resource, "removed");
    wl_resource_set_user_data(device->resource, NULL);
    device->resource = NULL;
}

static void finish(struct wl_resource *configuration)
{
    g_strlcpy(peer.script, peer.requests->str, sizeof peer.script);
    peer.configurations++;
    switch (peer.manner) {
    case OBEY:
        obey();
        SEND(kde_output_configuration_v2, configuration, "applied");
        break;
    case REFUSE:
        SEND(kde_output_configuration_v2, configuration, "failure_reason", "heute\nnicht");
        SEND(kde_output_configuration_v2, configuration, "failed");
        break;
    case REFUSE_MUTELY:
        SEND(kde_output_configuration_v2, configuration, "failed");
        break;
    case SILENT:
        break;
    case UNPLUG:
        unplug(&peer.device[1]);
        SEND(kde_output_configuration_v2, configuration, "failed");
        peer.manner = OBEY;
        break;
    case DIE:
        shutdown(wl_client_get_fd(peer.client), SHUT_RDWR); /* it is destroyed when this request has been handled */
        break;
    }
}

static int on_configuration_request(G_GNUC_UNUSED const void *data, void *resource, G_GNUC_UNUSED guint32 number,
                                    const struct wl_message *message, union wl_argument *args)
{
    if (strcmp(message->name, "apply") == 0) {
        finish(resource);
        return 0;
    }
    if (strcmp(message->name, "destroy") == 0) {
        wl_resource_destroy(resource);
        return 0;
    }
    Device *device = wl_resource_get_user_data((struct wl_resource *) args[0].o), *next;
    g_string_append_printf(peer.requests, "%s%s %s ", peer.requests->len > 0 ? "; " : "", message->name, device->name);
    next = &peer.next[device - peer.device];
    if (strcmp(message->name, "enable") == 0) {
        next->enabled = args[1].i;
        g_string_append_printf(peer.requests, "%d", args[1].i);
    } else if (strcmp(message->name, "mode") == 0) {
        next->current = (gsize) wl_resource_get_user_data((struct wl_resource *) args[1].o);
        const Mode *mode = &next->mode[next->current];
        g_string_append_printf(peer.requests, "%dx%d@%d", mode->w, mode->h, mode->refresh);
    } else if (strcmp(message->name, "transform") == 0) {
        next->transform = args[1].i;
        g_string_append_printf(peer.requests, "%d", args[1].i);
    } else if (strcmp(message->name, "position") == 0) {
        next->x = args[1].i;
        next->y = args[2].i;
        g_string_append_printf(peer.requests, "%d,%d", args[1].i, args[2].i);
    } else if (strcmp(message->name, "scale") == 0) {
        next->scale = wl_fixed_to_double(args[1].f);
        g_string_append_printf(peer.requests, "%g", next->scale);
    } else {
        g_assert_cmpstr(message->name, ==, "set_custom_modes");
        take_list(next);
    }
    return 0;
}

static int on_management_request(G_GNUC_UNUSED const void *data, void *resource, G_GNUC_UNUSED guint32 number,
                                 const struct wl_message *message, union wl_argument *args)
{
    gboolean list = strcmp(message->name, "create_mode_list") == 0;
    struct wl_resource *made = wl_resource_create(
        peer.client, list ? &kde_mode_list_v2_interface : &kde_output_configuration_v2_interface,
        wl_resource_get_version(resource), args[0].n);
    wl_resource_set_dispatcher(made, list ? on_list_request : on_configuration_request, NULL, NULL, NULL);
    if (list) {
        peer.listed_count = 0;
    } else {
        memcpy(peer.next, peer.device, sizeof peer.next);
        g_string_truncate(peer.requests, 0);
    }
    return 0;
}

static void bind_management(struct wl_client *client, G_GNUC_UNUSED void *data, guint32 version, guint32 id)
{
    struct wl_resource *resource = wl_resource_create(client, &kde_output_management_v2_interface, version, id);
    wl_resource_set_dispatcher(resource, on_management_request, NULL, NULL, NULL);
}

static int on_registry_request(G_GNUC_UNUSED const void *data, void *resource, G_GNUC_UNUSED guint32 number,
                               const struct wl_message *message, G_GNUC_UNUSED union wl_argument *args)
{
    g_assert_cmpstr(message->name, ==, "stop");
    SEND(kde_output_device_registry_v2, resource, "finished");
    wl_resource_destroy(resource);
    return 0;
}

static void bind_registry(struct wl_client *client, G_GNUC_UNUSED void *data, guint32 version, guint32 id)
{
    peer.client = client;
    peer.registry = wl_resource_create(client, &kde_output_device_registry_v2_interface, version, id);
    wl_resource_set_dispatcher(peer.registry, on_registry_request, NULL, NULL, NULL);
    for (gsize i = 0; i < peer.count; i++)
        announce(&peer.device[i]);
}

static void bind_device(struct wl_client *client, void *data, guint32 version, guint32 id)
{
    peer.client = client;
    new_device(data, wl_resource_create(client, &kde_output_device_v2_interface, version, id));
    describe(data);
}

/* --- Cases --- */

static const char *sysfs = "/nonexistent";

static void start(const char *name, gboolean by_registry, gsize count, const Device *devices)
{
    const DisplaysPolicy policy = { .follow = TRUE, .auto_scale = TRUE, .sysfs = sysfs };
    check_case("%s", name);
    memset(&peer, 0, sizeof peer);
    peer.requests = g_string_new(NULL);
    peer.count = count;
    memcpy(peer.device, devices, count * sizeof *devices);
    displaystest_init(&peer.test);
    struct wl_display *server = peer.test.server;
    wl_global_create(server, &kde_output_management_v2_interface, by_registry ? 18 : 3, NULL, bind_management);
    if (by_registry)
        wl_global_create(server, &kde_output_device_registry_v2_interface, VERSION, NULL, bind_registry);
    for (gsize i = 0; i < count && !by_registry; i++)
        wl_global_create(server, &kde_output_device_v2_interface, 2, &peer.device[i], bind_device);
    displaystest_start(&peer.test, &policy, displays_serve_kde);
    while (peer.test.layouts == 0)
        displaystest_step(&peer.test);
}

static void stop(void)
{
    displaystest_clear(&peer.test);
    g_string_free(peer.requests, TRUE);
}

static gboolean ask(const char *monitors)
{
    peer.script[0] = '\0';
    return displaystest_ask(&peer.test, monitors);
}

#define NATIVE(width, height) { .w = (width), .h = (height), .refresh = 60000 }

/* Announced in the wrong order, with a second output that is off. */
static const Device two[] = {
    { .name = "Virtual-10", .x = 1280, .scale = 1, .enabled = TRUE, .count = 3,
      .mode = { NATIVE(1280, 800), NATIVE(1024, 768), { .w = 1024, .h = 768, .refresh = 75000 } } },
    { .name = "Virtual-2", .scale = 1, .enabled = TRUE, .count = 2, .current = 1,
      .mode = { NATIVE(1920, 1080), NATIVE(1280, 800) } },
};

static void announced(const char *name, gboolean by_registry)
{
    start(name, by_registry, 2, two);
    CHECK(displaystest_wait(&peer.test, "Virtual-2 1280x800 1280x800+0+0 0; Virtual-10 1280x800 1280x800+1280+0 0"));
    /* Only what changes is asked for; of several modes the one of the highest rate. */
    CHECK(ask("1920x1080+0+0 1024x768+1920+0"));
    CHECK_STR(peer.script, "mode Virtual-2 1920x1080@60000; mode Virtual-10 1024x768@75000; "
                           "position Virtual-10 1920,0");
    CHECK(displaystest_wait(&peer.test, "Virtual-2 1920x1080 1920x1080+0+0 0; Virtual-10 1024x768 1024x768+1920+0 0"));
    CHECK(ask("1920x1080+0+0 0x0+0+0"));
    CHECK_STR(peer.script, "enable Virtual-10 0");
    CHECK(displaystest_wait(&peer.test, "Virtual-2 1920x1080 1920x1080+0+0 0"));
    CHECK(ask("1920x1080+0+0 1280x800+0+1080"));
    CHECK_STR(peer.script, "enable Virtual-10 1; mode Virtual-10 1280x800@60000; position Virtual-10 0,1080");
    guint before = peer.configurations;
    CHECK(ask("1920x1080+0+0 1280x800+0+1080"));
    CHECK_EQ(peer.configurations, before);
    /* What others turn is turned upright for the client, and reported as it is before that. */
    Device *device = &peer.device[1];
    device->transform = 1;
    device->scale = 1.25;
    send_state(device);
    SEND(kde_output_device_v2, device->resource, "done");
    CHECK(displaystest_wait(&peer.test, "Virtual-2 1920x1080 864x1536+0+0 1; Virtual-10 1280x800 1280x800+0+1080 0"));
    CHECK(ask("1920x1080+0+0 0x0+0+0"));
    CHECK_STR(peer.script, "transform Virtual-2 0; enable Virtual-10 0");
    stop();
}

/* KWin takes a new preferred mode by itself, and leaves the outputs where they are. */
static void followed(void)
{
    start("followed", FALSE, 2, two);
    Device *device = &peer.device[1], next = *device;
    next.mode[0].preferred = TRUE;
    replace_modes(device, &next);
    SEND(kde_output_device_v2, device->resource, "done");
    displaystest_run(&peer.test, FOLLOWED_MS); /* now the preferred one is known */
    CHECK_EQ(peer.configurations, 0);
    next.mode[0] = (Mode) NATIVE(1800, 900);
    next.mode[0].preferred = TRUE;
    next.current = 0;
    replace_modes(device, &next);
    SEND(kde_output_device_v2, device->resource, "done");
    CHECK(displaystest_wait(&peer.test, "Virtual-2 1800x900 1800x900+0+0 0; Virtual-10 1280x800 1280x800+1800+0 0"));
    CHECK_STR(peer.script, "position Virtual-10 1800,0");
    /* The same where that leaves a gap. */
    next = *device;
    next.mode[0] = (Mode) NATIVE(1000, 700);
    next.mode[0].preferred = TRUE;
    replace_modes(device, &next);
    SEND(kde_output_device_v2, device->resource, "done");
    CHECK(displaystest_wait(&peer.test, "Virtual-2 1000x700 1000x700+0+0 0; Virtual-10 1280x800 1280x800+1000+0 0"));
    CHECK_STR(peer.script, "position Virtual-10 1000,0");
    stop();
}

/* One that did not take it is made to. */
static void made_to_follow(void)
{
    Device devices[2];
    memcpy(devices, two, sizeof devices);
    devices[1].mode[1].preferred = TRUE;
    start("made to follow", FALSE, 2, devices);
    Device *device = &peer.device[1], next = *device;
    next.mode[0] = (Mode) NATIVE(1800, 900);
    next.mode[0].preferred = TRUE;
    next.mode[1].preferred = FALSE;
    replace_modes(device, &next);
    SEND(kde_output_device_v2, device->resource, "done");
    CHECK(displaystest_wait(&peer.test, "Virtual-2 1800x900 1800x900+0+0 0; Virtual-10 1280x800 1280x800+1800+0 0"));
    CHECK_STR(peer.script, "mode Virtual-2 1800x900@60000; position Virtual-10 1800,0");
    CHECK_EQ(peer.test.applied, 0);
    stop();
}

/* KWin 6.3 neither takes a new preferred mode nor lets go of the old one: that comes first, preferred as it was. */
static void dropped_mode_kept(void)
{
    Device devices[2];
    memcpy(devices, two, sizeof devices);
    devices[1].mode[1].preferred = TRUE;
    start("a dropped mode is kept", FALSE, 2, devices);
    Device *device = &peer.device[1], next = *device;
    next.mode[0] = next.mode[1];
    next.mode[1] = (Mode) NATIVE(1800, 900);
    next.mode[1].preferred = TRUE;
    next.mode[2] = (Mode) NATIVE(1920, 1080);
    next.count = 3;
    next.current = 0;
    replace_modes(device, &next);
    SEND(kde_output_device_v2, device->resource, "done");
    CHECK(displaystest_wait(&peer.test, "Virtual-2 1800x900 1800x900+0+0 0; Virtual-10 1280x800 1280x800+1800+0 0"));
    CHECK_STR(peer.script, "mode Virtual-2 1800x900@60000; position Virtual-10 1800,0");
    /* It is still there, but nothing changes any more. */
    displaystest_run(&peer.test, FOLLOWED_MS);
    CHECK_EQ(peer.configurations, 1);
    stop();
}

/* Sizes without a mode, from KWin 6.6 on: modes are made. What the user has made stays. */
static void modes_made(void)
{
    Device devices[2];
    memcpy(devices, two, sizeof devices);
    devices[1].mode[devices[1].count++] = (Mode){ .w = 800, .h = 600, .refresh = 59861, .flags = CUSTOM };
    start("modes made", TRUE, 2, devices);
    CHECK(ask("1000x700+0+0 1280x800+1000+0"));
    CHECK(displaystest_wait(&peer.test, "Virtual-2 1000x700 1000x700+0+0 0; Virtual-10 1280x800 1280x800+1000+0 0"));
    CHECK_EQ(peer.configurations, 2);
    /* The one in use remains until it is no more. */
    CHECK(ask("1008x700+0+0 1280x800+1008+0"));
    CHECK_EQ(peer.configurations, 4);
    peer.manner = REFUSE;
    CHECK(!ask("1016x700+0+0 1280x800+1016+0"));
    CHECK_STR(peer.test.refusal, "heute nicht");
    CHECK_STR(peer.script, "set_custom_modes Virtual-2 800x600@60000,1008x700@60000r,1016x700@60000r");
    CHECK(displaystest_wait(&peer.test, "Virtual-2 1008x700 1008x700+0+0 0; Virtual-10 1280x800 1280x800+1008+0 0"));
    peer.manner = OBEY;
    /* A width that the formulas do not know is rounded down at the second attempt. */
    CHECK(ask("1390x768+0+0 1280x800+1390+0"));
    CHECK(displaystest_wait(&peer.test, "Virtual-2 1384x768 1384x768+0+0 0; Virtual-10 1280x800 1280x800+1390+0 0"));
    CHECK(!ask("16000x768+0+0 1280x800+16000+0"));
    CHECK_STR(peer.test.refusal, "Virtual-2 offers no mode of 16000x768");
    stop();
}

static void refused(void)
{
    start("refused", FALSE, 2, two);
    CHECK(!ask("1000x700+0+0 1280x800+1000+0"));
    CHECK_STR(peer.test.refusal, "Virtual-2 offers no mode of 1000x700");
    CHECK_EQ(peer.configurations, 0);
    peer.manner = REFUSE_MUTELY;
    CHECK(!ask("1280x800+0+0 1024x768+1280+0"));
    CHECK_STR(peer.test.refusal, "the compositor cannot do it");
    CHECK_EQ(peer.configurations, 2);
    stop();
}

static void silent(void)
{
    start("silent", FALSE, 2, two);
    peer.manner = SILENT;
    CHECK(!ask("1280x800+0+0 1024x768+1280+0"));
    CHECK_STR(peer.test.refusal, "the compositor does not answer");
    peer.manner = OBEY;
    CHECK(ask("1280x800+0+0 1024x768+1280+0"));
    stop();
}

static void unplugged(void)
{
    start("unplugged while being configured", TRUE, 2, two);
    peer.manner = UNPLUG;
    ask("1280x800+0+0 1024x768+1280+0");
    CHECK(displaystest_wait(&peer.test, "Virtual-10 1280x800 1280x800+0+0 0"));
    CHECK(ask("1024x768+0+0"));
    stop();
}

/* KWin shows only what is connected: what is left keeps its number. */
static void first_unplugged(void)
{
    g_autofree char *directory = g_dir_make_tmp("sysfs-XXXXXX", NULL);
    for (int i = 1; i <= 2; i++) {
        g_autofree char *connector = g_strdup_printf("%s/class/drm/card0-Virtual-%d", directory, i);
        g_assert_cmpint(g_mkdir_with_parents(connector, 0755), ==, 0);
    }
    sysfs = directory;
    start("the first is not plugged in", FALSE, 1, &two[1]);
    CHECK(!ask("1920x1080+0+0"));
    CHECK_STR(peer.test.refusal, "no display would remain");
    CHECK(ask("1024x768+0+0 1920x1080+1024+0"));
    CHECK_STR(peer.script, "mode Virtual-2 1920x1080@60000");
    CHECK(ask("0x0+0+0 1280x800+0+0"));
    CHECK_STR(peer.script, "mode Virtual-2 1280x800@60000");
    stop();
    sysfs = "/nonexistent";
}

static void dies(void)
{
    start("dies", TRUE, 2, two);
    peer.manner = DIE;
    CHECK(!ask("1280x800+0+0 1024x768+1280+0"));
    CHECK_STR(peer.test.refusal, "the desktop went away");
    CHECK_EQ(peer.test.closed, 1);
    stop();
}

static void nonsense(void)
{
    start("nonsense", TRUE, 1, two);
    static struct wl_resource *modes[10000];
    Device *device = &peer.device[0];
    /* Far more modes than are kept, of sizes that are none, and one of these is the current one. */
    for (gsize i = 0; i < G_N_ELEMENTS(modes); i++) {
        modes[i] = wl_resource_create(peer.client, &kde_output_device_mode_v2_interface, VERSION, 0);
        SEND(kde_output_device_v2, device->resource, "mode", modes[i]);
        SEND(kde_output_device_mode_v2, modes[i], "size", (int) -i, G_MAXINT32);
        SEND(kde_output_device_mode_v2, modes[i], "refresh", G_MININT32);
        if (i % PIECE == 0)
            displaystest_step(&peer.test);
    }
    SEND(kde_output_device_v2, device->resource, "current_mode", modes[0]);
    SEND(kde_output_device_v2, device->resource, "geometry", G_MININT32, G_MAXINT32, -1, -1, -1, "", "", 77);
    SEND(kde_output_device_v2, device->resource, "scale", -1);
    SEND(kde_output_device_v2, device->resource, "done");
    CHECK(displaystest_wait(&peer.test, ""));
    /* More devices than SPICE has displays, without a name. */
    for (int i = 0; i < 1000; i++) {
        struct wl_resource *resource = wl_resource_create(peer.client, &kde_output_device_v2_interface, VERSION, 0);
        wl_resource_set_dispatcher(resource, on_device_request, NULL, NULL, NULL);
        SEND(kde_output_device_registry_v2, peer.registry, "output", resource);
        SEND(kde_output_device_v2, resource, "done");
        if (i % PIECE == 0)
            displaystest_step(&peer.test);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(modes); i++) {
        SEND(kde_output_device_mode_v2, modes[i], "removed");
        if (i % PIECE == 0)
            displaystest_step(&peer.test);
    }
    SEND(kde_output_device_v2, device->resource, "current_mode", device->mode[0].resource);
    SEND(kde_output_device_v2, device->resource, "geometry", 0, 0, 0, 0, 0, "", "", 0);
    SEND(kde_output_device_v2, device->resource, "done");
    CHECK(displaystest_wait(&peer.test, "Virtual-10 1280x800 1280x800+0+0 0"));
    SEND(kde_output_device_registry_v2, peer.registry, "finished");
    wl_resource_destroy(peer.registry);
    ask("1024x768+0+0");
    CHECK(displaystest_wait(&peer.test, "Virtual-10 1024x768 1024x768+0+0 0"));
    CHECK_EQ(peer.test.closed, 0);
    stop();
}

int main(void)
{
    announced("globals", FALSE);
    announced("registry", TRUE);
    followed();
    made_to_follow();
    dropped_mode_kept();
    modes_made();
    refused();
    silent();
    unplugged();
    first_unplugged();
    dies();
    nonsense();
    return check_done();
}
