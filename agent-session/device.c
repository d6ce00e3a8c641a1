/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device.h"

#define DRM_DIR "/sys/class/drm"
#define VGA_DRIVER "bochs-drm"
#define VGA_STEP 8

guint device_width_step(const char *connector)
{
    g_autofree char *suffix = g_strconcat("-", connector, NULL);
    g_autoptr(GDir) dir = g_dir_open(DRM_DIR, 0, NULL);
    const char *name;
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        if (!g_str_has_prefix(name, "card") || !g_str_has_suffix(name, suffix))
            continue;
        /* connector → card → device */
        g_autofree char *link = g_build_filename(DRM_DIR, name, "device", "device", "driver", NULL);
        g_autofree char *target = g_file_read_link(link, NULL);
        if (target != NULL && g_str_has_suffix(target, "/" VGA_DRIVER))
            return VGA_STEP;
    }
    return 1;
}
