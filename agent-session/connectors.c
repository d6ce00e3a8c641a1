/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "connectors.h"

#include <glib-unix.h>
#include <libudev.h>
#include <stdio.h>
#include <string.h>

/* More than any machine has. */
#define CONNECTORS_MAX 64u
#define SIZE_MAX_PIXELS 65535u
/* Of an EDID: its first block, and where in it the maker, the size and the first detailed timing are. */
#define EDID_SIZE 128u
#define EDID_MAKER 8u
#define EDID_CM 21u
#define EDID_TIMING 54u
/* The times from one look to the next, after an announcement. A slow guest's desktop takes a second to look itself. */
static const guint look_ms[] = { 100, 400, 1500 };

typedef struct Connector {
    char name[LIMIT_CONNECTOR_NAME];
    gboolean connected;
    guint preferred_w, preferred_h; /* 0: none */
    guint w_mm, h_mm; /* of that on the client's monitor; 0: unknown */
} Connector;

struct Connectors {
    char *directory;
    void (*changed)(gpointer user);
    gpointer user;
    struct udev *udev;
    struct udev_monitor *monitor;
    guint monitor_id, look_id;
    gsize looks; /* since the last announcement */
    gsize count;
    Connector connector[CONNECTORS_MAX];
};

/* The name in "card0-Virtual-1"; NULL for what is no connector. */
static const char *connector_name(const char *entry)
{
    if (!g_str_has_prefix(entry, "card"))
        return NULL;
    const char *name = entry + strlen("card");
    gsize digits = strspn(name, "0123456789");
    return digits > 0 && name[digits] == '-' && name[digits + 1] != '\0' ? name + digits + 1 : NULL;
}

/* With a zero behind it; NULL if there is none. `ret_size` may be NULL. */
static char *read_file(const Connectors *connectors, const char *entry, const char *file, gsize *ret_size)
{
    g_autofree char *path = g_build_filename(connectors->directory, entry, file, NULL);
    char *text = NULL;
    g_file_get_contents(path, &text, ret_size, NULL);
    return text;
}

/*
 * The size of the client's monitor is in the EDID that QEMU makes (VESA E-EDID 1.4): with the preferred mode, in a
 * detailed timing (3.10.2), or, as that has no room for a large mode, in centimetres alone (3.6.2). The EDID can be newer
 * than the list of modes, so it is the resolution that is taken from there. A real monitor, of a card that was handed to
 * the guest, is not looked at: desktops know what to do with those.
 */
static void read_monitor(const Connectors *connectors, const char *entry, Connector *connector)
{
    static const guint8 head[] = { 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0 };
    static const guint8 qemu[] = { 0x49, 0x14 }; /* "RHT" */
    gsize size = 0;
    g_autofree char *text = read_file(connectors, entry, "edid", &size);
    const guint8 *edid = (const guint8 *) text;
    if (edid == NULL || size < EDID_SIZE || memcmp(edid, head, sizeof head) != 0 ||
        memcmp(edid + EDID_MAKER, qemu, sizeof qemu) != 0)
        return;
    const guint8 *timing = edid + EDID_TIMING;
    guint w = timing[2] | (timing[4] & 0xf0u) << 4, h = timing[5] | (timing[7] & 0xf0u) << 4;
    if (timing[0] == 0 && timing[1] == 0) {
        connector->w_mm = edid[EDID_CM] * 10u;
        connector->h_mm = edid[EDID_CM + 1] * 10u;
    } else if (w > 0 && h > 0) {
        connector->w_mm = (timing[12] | (timing[14] & 0xf0u) << 4) * connector->preferred_w / w;
        connector->h_mm = (timing[13] | (timing[14] & 0x0fu) << 8) * connector->preferred_h / h;
    }
}

static void read_connector(const Connectors *connectors, const char *entry, Connector *ret_connector)
{
    g_autofree char *status = read_file(connectors, entry, "status", NULL);
    g_autofree char *modes = read_file(connectors, entry, "modes", NULL);
    *ret_connector = (Connector){ .connected = status != NULL && g_str_equal(g_strchomp(status), "connected") };
    g_strlcpy(ret_connector->name, connector_name(entry), sizeof ret_connector->name);
    /* The first one is what the device prefers. */
    guint w, h;
    if (modes == NULL || sscanf(modes, "%5ux%5u", &w, &h) != 2 || w > SIZE_MAX_PIXELS || h > SIZE_MAX_PIXELS)
        return;
    ret_connector->preferred_w = w;
    ret_connector->preferred_h = h;
    read_monitor(connectors, entry, ret_connector);
}

static int compare(gconstpointer a, gconstpointer b)
{
    const char *const *left = a, *const *right = b;
    return displays_output_compare(*left, *right);
}

static Connector *find(Connector *connector, gsize count, const char *name)
{
    for (gsize i = 0; i < count; i++) {
        if (g_str_equal(connector[i].name, name))
            return &connector[i];
    }
    return NULL;
}

/* The entries of connectors, in the order of cards and names. */
static GPtrArray *list_entries(const char *directory)
{
    GPtrArray *entries = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
    const char *entry;
    while (dir != NULL && (entry = g_dir_read_name(dir)) != NULL) {
        if (connector_name(entry) != NULL)
            g_ptr_array_add(entries, g_strdup(entry));
    }
    g_ptr_array_sort(entries, compare);
    return entries;
}

gboolean connectors_read(Connectors *connectors)
{
    g_autoptr(GPtrArray) entries = list_entries(connectors->directory);
    Connector now[CONNECTORS_MAX] = { 0 };
    gsize count = 0;
    for (guint i = 0; i < entries->len; i++) {
        Connector connector;
        read_connector(connectors, entries->pdata[i], &connector);
        Connector *same = find(now, count, connector.name);
        if (same != NULL && connector.connected && !same->connected)
            *same = connector;
        else if (same == NULL && count < CONNECTORS_MAX)
            now[count++] = connector;
    }
    gboolean different = count != connectors->count;
    for (gsize i = 0; i < count && !different; i++) {
        const Connector *old = &connectors->connector[i];
        different = !g_str_equal(old->name, now[i].name) || old->connected != now[i].connected ||
                    old->preferred_w != now[i].preferred_w || old->preferred_h != now[i].preferred_h ||
                    old->w_mm != now[i].w_mm || old->h_mm != now[i].h_mm;
    }
    connectors->count = count;
    memcpy(connectors->connector, now, sizeof now);
    return different;
}

void connectors_fill(const Connectors *connectors, DisplaysState *state)
{
    for (gsize i = 0; i < state->count; i++) {
        const DisplaysOutput *output = &state->output[i];
        PlanOutput *plan = &state->plan[i];
        const Connector *connector = find((Connector *) connectors->connector, connectors->count, output->name);
        if (connector == NULL)
            continue;
        plan->connected = connector->connected;
        if (connector->preferred_w == 0)
            continue;
        gboolean turned = displays_output_sideways(output->transform);
        plan->preferred_w = turned ? connector->preferred_h : connector->preferred_w;
        plan->preferred_h = turned ? connector->preferred_w : connector->preferred_h;
        plan->preferred_mm = turned ? connector->h_mm : connector->w_mm;
    }
}

/* The output of this name; `count` of the state: there is none. */
static gsize find_output(const DisplaysState *state, const char *name)
{
    gsize i = 0;
    while (i < state->count && !g_str_equal(state->output[i].name, name))
        i++;
    return i;
}

/* Does the card of this entry have an output of the state? */
static gboolean is_of_outputs(const GPtrArray *entries, const char *entry, const DisplaysState *state)
{
    gsize card = connector_name(entry) - entry;
    for (guint i = 0; i < entries->len; i++) {
        const char *other = entries->pdata[i];
        if (strncmp(other, entry, card) == 0 && find_output(state, other + card) < state->count)
            return TRUE;
    }
    return FALSE;
}

void connectors_displays(const char *directory, const DisplaysState *state, gsize ret_display[LIMIT_DISPLAYS])
{
    g_autoptr(GPtrArray) entries = list_entries(directory);
    gboolean found[LIMIT_DISPLAYS] = { FALSE };
    gsize display = 0, known = 0;
    for (guint i = 0; i < entries->len; i++) {
        const char *entry = entries->pdata[i];
        gsize output = find_output(state, connector_name(entry));
        if (output < state->count && !found[output]) {
            found[output] = TRUE;
            ret_display[output] = display;
            known++;
        }
        display += is_of_outputs(entries, entry, state);
    }
    for (gsize i = 0; i < state->count && known < state->count; i++)
        ret_display[i] = i;
}

/* --- The device's announcements --- */

static gboolean on_look(gpointer user)
{
    Connectors *connectors = user;
    connectors->look_id = 0;
    connectors->looks++;
    if (connectors->looks < G_N_ELEMENTS(look_ms))
        connectors->look_id = g_timeout_add(look_ms[connectors->looks], on_look, connectors);
    if (connectors_read(connectors))
        connectors->changed(connectors->user);
    return G_SOURCE_REMOVE;
}

static gboolean on_announced(G_GNUC_UNUSED int fd, G_GNUC_UNUSED GIOCondition condition, gpointer user)
{
    Connectors *connectors = user;
    struct udev_device *device = udev_monitor_receive_device(connectors->monitor);
    if (device == NULL)
        return G_SOURCE_CONTINUE;
    udev_device_unref(device);
    connectors->looks = 0;
    g_clear_handle_id(&connectors->look_id, g_source_remove);
    connectors->look_id = g_timeout_add(look_ms[0], on_look, connectors);
    return G_SOURCE_CONTINUE;
}

static void listen_to_udev(Connectors *connectors)
{
    connectors->udev = udev_new();
    if (connectors->udev != NULL)
        connectors->monitor = udev_monitor_new_from_netlink(connectors->udev, "udev");
    if (connectors->monitor == NULL ||
        udev_monitor_filter_add_match_subsystem_devtype(connectors->monitor, "drm", NULL) < 0 ||
        udev_monitor_enable_receiving(connectors->monitor) < 0) {
        g_message("udev does not tell of the graphics device: its wishes are followed when the desktop changes");
        return;
    }
    connectors->monitor_id = g_unix_fd_add(udev_monitor_get_fd(connectors->monitor), G_IO_IN, on_announced, connectors);
}

Connectors *connectors_new(const char *directory, void (*changed)(gpointer user), gpointer user)
{
    Connectors *connectors = g_new0(Connectors, 1);
    connectors->directory = g_strdup(directory);
    connectors->changed = changed;
    connectors->user = user;
    connectors_read(connectors);
    listen_to_udev(connectors);
    return connectors;
}

void connectors_free(Connectors *connectors)
{
    if (connectors == NULL)
        return;
    g_clear_handle_id(&connectors->monitor_id, g_source_remove);
    g_clear_handle_id(&connectors->look_id, g_source_remove);
    g_clear_pointer(&connectors->monitor, udev_monitor_unref);
    g_clear_pointer(&connectors->udev, udev_unref);
    g_free(connectors->directory);
    g_free(connectors);
}
