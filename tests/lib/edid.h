/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * edid.h - the EDID that QEMU gives an output, as far as anybody looks at it.
 */
#ifndef EDID_H
#define EDID_H

#include <glib.h>

/*
 * Writes it into a connector's directory: with a detailed timing if the sizes are at most 4095, else in centimetres alone.
 * `qemu` FALSE: of another maker.
 */
static inline void edid_write(const char *directory, gboolean qemu, guint w, guint h, guint w_mm, guint h_mm)
{
    g_autofree char *file = g_build_filename(directory, "edid", NULL);
    guint8 edid[128] = { 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, qemu ? 0x49 : 0x4c, 0x14 };
    guint8 *timing = edid + 54;

    edid[21] = (guint8) (w_mm / 10);
    edid[22] = (guint8) (h_mm / 10);
    if (w <= 4095 && h <= 4095) {
        timing[0] = 1;
        timing[2] = (guint8) w;
        timing[4] = (guint8) (w >> 8 << 4);
        timing[5] = (guint8) h;
        timing[7] = (guint8) (h >> 8 << 4);
        timing[12] = (guint8) w_mm;
        timing[13] = (guint8) h_mm;
        timing[14] = (guint8) (w_mm >> 8 << 4 | h_mm >> 8);
    }
    g_assert_true(g_file_set_contents(file, (const char *) edid, sizeof edid, NULL));
}

#endif
