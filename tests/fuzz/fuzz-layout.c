/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Input: the wire form of a layout, the rest taken as zero. */
#include "fuzz.h"
#include "layout.h"
#include "pvmouse.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint16_t points[] = { 0, 1, 32767, 32768, 65534, PVMOUSE_AXIS_MAX };
    uint8_t wire[LAYOUT_WIRE_SIZE] = { 0 }, again[LAYOUT_WIRE_SIZE];
    Layout layout, fitted;

    memcpy(wire, data, size < sizeof(wire) ? size : sizeof(wire));
    if (!layout_decode(wire, &layout))
        return 0;
    FUZZ_CHECK(layout_valid(&layout) && layout_equal(&layout, &layout));
    layout_encode(&layout, again);
    FUZZ_CHECK(memcmp(wire, again, sizeof(wire)) == 0);

    for (uint32_t display = 0; display <= LIMIT_DISPLAYS; display++) {
        for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
            uint16_t ux, uy;
            bool mapped = layout_map(&layout, display, points[i], (uint16_t)~points[i], &ux, &uy);

            FUZZ_CHECK(mapped == (display < LIMIT_DISPLAYS && layout.display[display].mode_w > 0));
        }
    }
    fitted = layout;
    layout_fit_box(&fitted);
    FUZZ_CHECK(layout_valid(&fitted));
    return 0;
}
