/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "wayland-outputs.h"

/* Rectangles as compositors make them, rounded and cut; back to the scale. */
static void scale(void)
{
    static const double scales[] = { 1, 1.25, 1.5, 1.75, 2, 2.25, 2.5, 3, 3.5, 4, 1.1, 4.0 / 3, 0.5 };
    static const guint sizes[][2] = { { 1280, 800 }, { 1367, 769 }, { 801, 601 }, { 1023, 767 }, { 3840, 2160 },
                                      { 320, 200 } };
    for (gsize i = 0; i < G_N_ELEMENTS(scales); i++) {
        for (gsize k = 0; k < G_N_ELEMENTS(sizes); k++) {
            for (int way = 0; way < 4; way++) {
                guint w = sizes[k][0] / scales[i] + (way & 1) * 0.5, h = sizes[k][1] / scales[i] + (way & 1) * 0.5;
                WaylandOutput output = { .name = "a", .mode_w = sizes[k][0], .mode_h = sizes[k][1], .x = -3, .y = 7,
                                         .w = way & 2 ? h : w, .h = way & 2 ? w : h, .transform = way & 2 ? 5 : 2 };
                DisplaysOutput row;
                PlanOutput plan;
                check_case("%ux%u at %g, way %d", sizes[k][0], sizes[k][1], scales[i], way);
                wayland_outputs_row(&output, &row, &plan);
                CHECK(plan.scale - scales[i] < 0.01 && scales[i] - plan.scale < 0.01);
                CHECK_EQ(plan.mode_w, way & 2 ? sizes[k][1] : sizes[k][0]);
                CHECK_EQ(plan.mode_h, way & 2 ? sizes[k][0] : sizes[k][1]);
                CHECK_EQ(row.mode_w, sizes[k][0]);
                CHECK_EQ(row.transform, output.transform);
                CHECK_STR(row.name, "a");
                CHECK(plan.on && plan.connected && plan.x == -3 && plan.y == 7);
                CHECK(plan.w == output.w && plan.h == output.h);
            }
        }
    }
}

static void nothing(void)
{
    WaylandOutput output = { .name = "a", .scale = 2 };
    DisplaysOutput row;
    PlanOutput plan;
    check_case("no mode");
    wayland_outputs_row(&output, &row, &plan);
    CHECK(plan.scale == 2 && plan.on && plan.mode_w == 0 && row.mode_w == 0);
    output.mode_w = output.mode_h = 1;
    output.w = output.h = 65535;
    wayland_outputs_row(&output, &row, &plan);
    CHECK(plan.scale >= 0 && plan.scale < 0.01);
}

int main(void)
{
    scale();
    nothing();
    return check_done();
}
