/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mapping.h"

#include "drm.h"
#include "handover.h"

#include <string.h>

#define REFRESH_US (2 * G_USEC_PER_SEC)

struct Mapping {
    const char *sysfs;
    MappingChanged changed;
    gpointer user;
    Drm *drm;
    Handover *handover;
    gint64 refreshed;
    Outputs outputs;
    VdagentDevices devices;
    OutputsEntry entry[LIMIT_DISPLAYS + 1]; /* of the session, else of the kernel; one more for the desktop */
    gsize entries;
    gboolean of_session;
    DrmOutput kernel[LIMIT_DISPLAYS];
    gsize kernel_count;
    Layout layout;
};

static void apply(Mapping *mapping)
{
    Layout layout;

    if (!outputs_layout(&mapping->outputs, mapping->entry, mapping->entries, &layout) || !layout_known(&layout) ||
        layout_equal(&layout, &mapping->layout))
        return;
    mapping->layout = layout;
    handover_set(mapping->handover, &layout);
    mapping->changed(&layout, mapping->user);
}

/* Where the kernel's outputs lie is known to nobody without a session: most place them side by side. */
static void use_kernel(Mapping *mapping)
{
    guint32 x = 0;

    if (mapping->of_session || mapping->kernel_count == 0)
        return;
    for (gsize i = 0; i < mapping->kernel_count; i++) {
        const DrmOutput *output = &mapping->kernel[i];
        OutputsEntry *entry = &mapping->entry[i];

        g_strlcpy(entry->connector, output->connector, sizeof(entry->connector));
        entry->place = (LayoutDisplay){
            .mode_w = output->w, .mode_h = output->h, .x = (gint32)x, .w = output->w, .h = output->h,
        };
        x += output->w;
    }
    mapping->entries = mapping->kernel_count;
    apply(mapping);
}

static void find_outputs(Mapping *mapping)
{
    outputs_find(mapping->sysfs, &mapping->devices, &mapping->outputs);
}

static void on_kernel(const DrmOutput *outputs, gsize count, gpointer user)
{
    Mapping *mapping = user;

    memcpy(mapping->kernel, outputs, count * sizeof(*outputs));
    mapping->kernel_count = count;
    find_outputs(mapping);
    use_kernel(mapping);
}

Mapping *mapping_new(const char *sysfs, MappingChanged changed, gpointer user, GError **error)
{
    Mapping *mapping = g_new0(Mapping, 1);

    mapping->sysfs = sysfs;
    mapping->changed = changed;
    mapping->user = user;
    mapping->drm = drm_new(on_kernel, mapping, error);
    if (!mapping->drm) {
        g_free(mapping);
        return NULL;
    }
    mapping->handover = handover_new(LAYOUT_SOCKET);
    find_outputs(mapping);
    return mapping;
}

void mapping_free(Mapping *mapping)
{
    if (!mapping)
        return;
    drm_free(mapping->drm);
    handover_free(mapping->handover);
    g_free(mapping);
}

gboolean mapping_session(Mapping *mapping, const OutputsEntry *entries, gsize count)
{
    Layout layout;

    find_outputs(mapping);
    if (count > G_N_ELEMENTS(mapping->entry) || !outputs_layout(&mapping->outputs, entries, count, &layout))
        return FALSE;
    if (!layout_known(&layout))
        return TRUE;
    memcpy(mapping->entry, entries, count * sizeof(*entries));
    mapping->entries = count;
    mapping->of_session = TRUE;
    apply(mapping);
    return TRUE;
}

static void refresh(Mapping *mapping)
{
    mapping->refreshed = g_get_monotonic_time();
    drm_refresh(mapping->drm);
}

void mapping_forget_session(Mapping *mapping)
{
    mapping->of_session = FALSE;
    use_kernel(mapping);
    refresh(mapping);
}

void mapping_devices(Mapping *mapping, const VdagentDevices *devices)
{
    mapping->devices = *devices;
    find_outputs(mapping);
    apply(mapping);
}

void mapping_used(Mapping *mapping)
{
    if (!mapping->of_session && g_get_monotonic_time() - mapping->refreshed > REFRESH_US)
        refresh(mapping);
}

const char *mapping_connector(const Mapping *mapping, guint display)
{
    return mapping->outputs.connector[display];
}
