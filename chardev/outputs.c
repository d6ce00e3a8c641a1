/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "outputs.h"

#include <stdlib.h>
#include <string.h>

typedef struct Connector {
    char name[LIMIT_CONNECTOR_NAME];
    guint64 id;
} Connector;

static gint by_id(gconstpointer a, gconstpointer b)
{
    const Connector *first = a, *second = b;
    return first->id < second->id ? -1 : first->id > second->id;
}

static gint by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static GPtrArray *entries_of(const char *path)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir)))
        g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, by_name);
    return names;
}

/* Adds the connectors of one card, directory cardN with entries cardN-NAME, in the order of their ids. */
static void add_card(const char *dir, const char *card, GArray *connectors)
{
    g_autofree char *path = g_build_filename(dir, card, NULL);
    g_autofree char *prefix = g_strconcat(card, "-", NULL);
    g_autoptr(GPtrArray) names = entries_of(path);
    guint first = connectors->len;

    for (guint i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        Connector connector = { .id = i };
        g_autofree char *id_path = g_build_filename(path, name, "connector_id", NULL);
        g_autofree char *id = NULL;

        if (!g_str_has_prefix(name, prefix) || strlen(name + strlen(prefix)) >= LIMIT_CONNECTOR_NAME)
            continue;
        g_strlcpy(connector.name, name + strlen(prefix), sizeof(connector.name));
        /* Kernels before 5.19 do not tell the id: then the order of names, which number heads from 1, must do. */
        if (g_file_get_contents(id_path, &id, NULL, NULL))
            connector.id = g_ascii_strtoull(id, NULL, 10);
        g_array_append_val(connectors, connector);
    }
    qsort(&g_array_index(connectors, Connector, first), connectors->len - first, sizeof(Connector),
          by_id);
}

/* All connectors of the cards cardN in `dir`. */
static GArray *connectors_in(const char *dir)
{
    GArray *connectors = g_array_new(FALSE, FALSE, sizeof(Connector));
    g_autoptr(GPtrArray) names = entries_of(dir);

    for (guint i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];

        if (g_str_has_prefix(name, "card") && !strchr(name, '-'))
            add_card(dir, name, connectors);
    }
    return connectors;
}

/*
 * Directory of the device's cards: "pci/0000/02.0/01.0" is 0000:00:02.0 and below it a device in slot 01.0, whose bus number
 * only sysfs knows. The host writes the path, so each component is taken only in the form it must have.
 */
static char *device_dir(const char *sysfs, const char *address)
{
    g_auto(GStrv) part = g_strsplit(address, "/", 16);
    guint parts = g_strv_length(part);

    if (parts < 3 || strcmp(part[0], "pci") != 0 || strlen(part[1]) != 4)
        return NULL;
    for (guint i = 1; i < parts; i++) {
        gboolean slot = strlen(part[i]) == 4 && part[i][2] == '.';

        for (guint k = 0; part[i][k]; k++) {
            if (!g_ascii_isxdigit(part[i][k]) && !(slot && k == 2))
                return NULL;
        }
        if (i > 1 && !slot)
            return NULL;
    }

    g_autofree char *root = g_strdup_printf("%s/devices/pci%s:00/%s:00:%s", sysfs, part[1], part[1], part[2]);
    g_autofree char *path = g_steal_pointer(&root);
    for (guint i = 3; i < parts; i++) {
        g_autoptr(GPtrArray) names = entries_of(path);
        g_autofree char *below = NULL;

        for (guint k = 0; k < names->len && !below; k++) {
            const char *name = names->pdata[k];
            if (strlen(name) == 12 && g_str_has_prefix(name, part[1]) && strcmp(name + 8, part[i]) == 0)
                below = g_build_filename(path, name, NULL);
        }
        if (!below)
            return NULL;
        g_free(path);
        path = g_steal_pointer(&below);
    }
    g_autofree char *direct = g_build_filename(path, "drm", NULL);
    if (g_file_test(direct, G_FILE_TEST_IS_DIR))
        return g_steal_pointer(&direct);

    /* virtio: the DRM device is a child of the virtio device on top of the PCI function. */
    g_autoptr(GPtrArray) names = entries_of(path);
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *child = g_build_filename(path, names->pdata[i], "drm", NULL);
        if (g_str_has_prefix(names->pdata[i], "virtio") && g_file_test(child, G_FILE_TEST_IS_DIR))
            return g_steal_pointer(&child);
    }
    return NULL;
}

void outputs_find(const char *sysfs, const VdagentDevices *devices, Outputs *ret_outputs)
{
    memset(ret_outputs, 0, sizeof(*ret_outputs));
    if (!devices || devices->count == 0) {
        g_autofree char *class_dir = g_build_filename(sysfs, "class", "drm", NULL);
        g_autoptr(GArray) all = connectors_in(class_dir);

        for (guint i = 0; i < all->len && i < LIMIT_DISPLAYS; i++)
            memcpy(ret_outputs->connector[i], g_array_index(all, Connector, i).name, LIMIT_CONNECTOR_NAME);
        return;
    }
    for (guint i = 0; i < devices->count; i++) {
        const VdagentDevice *device = &devices->device[i];
        guint64 display = (guint64)device->channel_id + device->monitor_id;
        g_autofree char *dir = device_dir(sysfs, device->address);
        g_autoptr(GArray) connectors = dir ? connectors_in(dir) : NULL;

        if (display < LIMIT_DISPLAYS && connectors && device->device_display_id < connectors->len)
            memcpy(ret_outputs->connector[display],
                   g_array_index(connectors, Connector, device->device_display_id).name, LIMIT_CONNECTOR_NAME);
    }
}

guint outputs_display(const Outputs *outputs, const char *connector)
{
    for (guint i = 0; i < LIMIT_DISPLAYS; i++) {
        if (strcmp(outputs->connector[i], connector) == 0)
            return i;
    }
    return LIMIT_DISPLAYS;
}

gboolean outputs_layout(const Outputs *outputs, const OutputsEntry *entries, gsize count, Layout *ret_layout)
{
    const LayoutDisplay *desktop = NULL;
    gboolean named = FALSE;
    Layout layout = { 0 };
    guint next = 0;

    for (gsize i = 0; i < count; i++)
        named = named || (entries[i].connector[0] && outputs_display(outputs, entries[i].connector) < LIMIT_DISPLAYS);
    for (gsize i = 0; i < count; i++) {
        if (!entries[i].connector[0]) {
            desktop = &entries[i].place;
            continue;
        }
        guint display = named ? outputs_display(outputs, entries[i].connector) : next++;
        if (display < LIMIT_DISPLAYS)
            layout.display[display] = entries[i].place;
    }
    layout_fit_box(&layout);
    if (desktop) {
        layout.box_x = desktop->x;
        layout.box_y = desktop->y;
        layout.box_w = desktop->w;
        layout.box_h = desktop->h;
    }
    if (!layout_valid(&layout))
        return FALSE;
    *ret_layout = layout;
    return TRUE;
}
