/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "layout.h"
#include "pvmouse.h"

#include <math.h>

/* What libinput does with an absolute axis (value - min) * range / (max - min + 1), and the compositor with the box. */
static double desktop(uint16_t value, int32_t box, uint32_t size)
{
    return box + (double)value * size / 65536;
}

/*
 * The pixel of the scanout that a compositor shows at a place of the desktop: the desktop's picture is mirrored if
 * flipped and turned counter-clockwise, written down from the text of wl_output.transform and not from what is
 * tested.
 */
static void scanout_pixel(const LayoutDisplay *d, double lx, double ly, int64_t *ret_x, int64_t *ret_y)
{
    double u = (lx - d->x) / d->w, v = (ly - d->y) / d->h;

    if (d->transform & LAYOUT_FLIPPED) {
        u = 1 - u;
    }
    for (uint32_t i = 0; i < (d->transform & 3); i++) {
        double turned = 1 - u; /* right edge becomes top edge */

        u = v;
        v = turned;
    }
    *ret_x = (int64_t)floor(u * d->mode_w);
    *ret_y = (int64_t)floor(v * d->mode_h);
}

static void check_pixel(const Layout *layout, uint32_t display, uint32_t x, uint32_t y)
{
    const LayoutDisplay *d = &layout->display[display];
    uint16_t ux = 0, uy = 0;
    int64_t px, py;

    CHECK(layout_map(layout, display, pvmouse_from_pixel(x, d->mode_w), pvmouse_from_pixel(y, d->mode_h), &ux, &uy));
    scanout_pixel(d, desktop(ux, layout->box_x, layout->box_w), desktop(uy, layout->box_y, layout->box_h), &px, &py);
    CHECK_EQ(px, x);
    CHECK_EQ(py, y);
}

/* Every pixel of both axes, by two lines across the display. */
static void check_display(const Layout *layout, uint32_t display)
{
    const LayoutDisplay *d = &layout->display[display];

    for (uint32_t x = 0; x < d->mode_w; x++) {
        check_pixel(layout, display, x, x % d->mode_h);
    }
    for (uint32_t y = 0; y < d->mode_h; y++) {
        check_pixel(layout, display, y % d->mode_w, y);
    }
}

static void test_single(void)
{
    for (uint32_t size = 1; size <= 4096; size++) {
        Layout layout = layout_single(size, 4097 - size);

        check_case("%u wide", size);
        CHECK(layout_valid(&layout) && layout_known(&layout));
        for (uint32_t x = 0; x < size; x++) {
            check_pixel(&layout, 0, x, (4097 - size) * (uint64_t)x / size);
        }
    }
    static const uint32_t large[] = { 5120, 7680, 8191, 16384, 32767, 32768 };

    for (size_t i = 0; i < sizeof(large) / sizeof(*large); i++) {
        Layout layout = layout_single(large[i], 1);

        check_case("%u wide", large[i]);
        check_display(&layout, 0);
    }
}

static const struct {
    const char *name;
    LayoutDisplay display[3];
} desktops[] = {
    { "side by side", { { 1280, 800, 0, 0, 1280, 800, 0 }, { 1024, 768, 1280, 0, 1024, 768, 0 } } },
    { "left of", { { 1280, 800, 1024, 0, 1280, 800, 0 }, { 1024, 768, 0, 0, 1024, 768, 0 } } },
    { "above, shifted", { { 1280, 800, 0, 768, 1280, 800, 0 }, { 1024, 768, 101, 0, 1024, 768, 0 } } },
    { "negative", { { 1366, 768, 0, 0, 1366, 768, 0 }, { 801, 601, -801, -601, 801, 601, 0 } } },
    { "a gap", { { 640, 480, 0, 0, 640, 480, 0 }, { 640, 480, 5000, 3000, 640, 480, 0 } } },
    { "scale 2", { { 3840, 2160, 0, 0, 1920, 1080, 0 }, { 1920, 1080, 1920, 0, 1920, 1080, 0 } } },
    { "scale 1.5 and 1.25", { { 2560, 1440, 0, 0, 1707, 960, 0 }, { 1920, 1080, 1707, 0, 1536, 864, 0 } } },
    { "mirrored displays", { { 1024, 768, 0, 0, 1024, 768, 0 }, { 1024, 768, 0, 0, 1024, 768, 0 } } },
    { "three in a row",
      { { 1920, 1080, 1280, 0, 1920, 1080, 0 },
        { 1280, 1024, 0, 56, 1280, 1024, 0 },
        { 1500, 900, 3200, 0, 1500, 900, 0 } } },
    { "three, mixed",
      { { 3840, 2160, 0, 0, 1920, 1080, 0 }, { 799, 1279, 1920, -199, 799, 1279, 0 }, { 1, 1, 2719, 0, 1, 1, 0 } } },
};

static void test_desktops(void)
{
    for (size_t i = 0; i < sizeof(desktops) / sizeof(*desktops); i++) {
        for (uint32_t transform = 0; transform < LAYOUT_TRANSFORMS; transform++) {
            Layout layout = { .box_w = 0 };

            for (uint32_t d = 0; d < 3; d++) {
                layout.display[d] = desktops[i].display[d];
            }
            /* Turn the first one where it stands. */
            layout.display[0].transform = transform;
            if (transform & 1) {
                uint32_t w = layout.display[0].w;

                layout.display[0].w = layout.display[0].h;
                layout.display[0].h = w;
            }
            layout_fit_box(&layout);
            check_case("%s, transform %u", desktops[i].name, transform);
            CHECK(layout_valid(&layout));
            for (uint32_t d = 0; d < 3; d++) {
                if (layout.display[d].mode_w > 0) {
                    check_display(&layout, d);
                }
            }
        }
    }
    check_case("%s", "");
}

/* Xorg's driver has libinput tell positions within 65535, and the server spreads 65536 of these over the desktop. */
static void test_xorg(void)
{
    static const uint32_t sizes[] = { 640, 1366, 3840, 7680, 11520, 16384 };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        Layout layout = layout_single(sizes[i], 1);

        check_case("%u wide", sizes[i]);
        for (uint32_t x = 0; x < sizes[i]; x++) {
            uint16_t ux = 0, uy = 0;

            CHECK(layout_map(&layout, 0, pvmouse_from_pixel(x, sizes[i]), 0, &ux, &uy));
            CHECK_EQ((uint32_t)floor((double)ux * 65535 / 65536 * sizes[i] / 65536), x);
        }
    }
    check_case("%s", "");
}

/* KWin 6.3 has a place belong to the output with the nearest place in it, up to where its last pixel begins. */
static double distance(const LayoutDisplay *d, double x, double y)
{
    return hypot(x - fmin(fmax(x, d->x), d->x + (double)d->w - 1), y - fmin(fmax(y, d->y), d->y + (double)d->h - 1));
}

static void test_kwin(void)
{
    Layout layout = { .display = { { 1024, 768, 0, 0, 1024, 768, 0 }, { 1440, 900, 1024, 0, 1440, 900, 0 } } };
    static const struct {
        uint32_t x, y;
    } pixels[] = { { 1023, 767 }, { 1023, 0 }, { 1023, 400 }, { 0, 767 } };

    layout_fit_box(&layout);
    for (size_t i = 0; i < sizeof(pixels) / sizeof(*pixels); i++) {
        uint16_t ux = 0, uy = 0;
        double x, y;

        CHECK(layout_map(&layout, 0, pvmouse_from_pixel(pixels[i].x, 1024), pvmouse_from_pixel(pixels[i].y, 768), &ux, &uy));
        x = desktop(ux, 0, layout.box_w);
        y = desktop(uy, 0, layout.box_h);
        check_case("%u,%u", pixels[i].x, pixels[i].y);
        CHECK(distance(&layout.display[0], x, y) < distance(&layout.display[1], x, y));
    }
    check_case("%s", "");
}

/* Pixel 10,20 of the scanout of a turned display of 1000x500, and where it is on the desktop, by hand. */
static void test_turned(void)
{
    static const struct {
        uint16_t ux, uy;
    } turned[LAYOUT_TRANSFORMS] = {
        { 680, 2671 },   { 62833, 680 }, { 64840, 62833 }, { 2671, 64840 },
        { 64840, 2671 }, { 2671, 680 },  { 680, 62833 },   { 62833, 64840 },
    };

    for (uint32_t transform = 0; transform < LAYOUT_TRANSFORMS; transform++) {
        Layout layout = layout_single(1000, 500);
        uint16_t ux = 0, uy = 0;

        layout.display[0].transform = transform;
        if (transform & 1) {
            layout.display[0].w = 500;
            layout.display[0].h = 1000;
            layout_fit_box(&layout);
        }
        check_case("transform %u", transform);
        CHECK(layout_map(&layout, 0, pvmouse_from_pixel(10, 1000), pvmouse_from_pixel(20, 500), &ux, &uy));
        CHECK_EQ(ux, turned[transform].ux);
        CHECK_EQ(uy, turned[transform].uy);
    }
    check_case("%s", "");
}

static void test_box(void)
{
    Layout layout = { .box_w = 7, .box_x = 3 };
    uint16_t ux = 1, uy = 2;

    layout_fit_box(&layout);
    CHECK_EQ(layout.box_w, 0);
    CHECK_EQ(layout.box_x, 0);
    CHECK(!layout_known(&layout));
    CHECK(layout_valid(&layout));
    CHECK(!layout_map(&layout, 0, 0, 0, &ux, &uy));
    layout = layout_single(100, 100);
    CHECK(!layout_map(&layout, 1, 0, 0, &ux, &uy));
    CHECK(!layout_map(&layout, LIMIT_DISPLAYS, 0, 0, &ux, &uy));
    CHECK(!layout_map(&layout, UINT32_MAX, 0, 0, &ux, &uy));
    layout.box_w = 0;
    CHECK(!layout_map(&layout, 0, 0, 0, &ux, &uy));
    CHECK_EQ(ux, 1);
    CHECK_EQ(uy, 2);

    /* A display that lies outside of the box ends at its edge. */
    layout = layout_single(100, 100);
    layout.display[0].x = 1000;
    layout.display[0].y = -1000;
    CHECK(layout_map(&layout, 0, 5, 5, &ux, &uy));
    CHECK_EQ(ux, 65535);
    CHECK_EQ(uy, 0);
}

static void test_valid(void)
{
    static const struct {
        const char *name;
        LayoutDisplay display;
        bool valid;
    } rows[] = {
        { "plain", { 1, 1, 0, 0, 1, 1, 0 }, true },
        { "largest", { 65535, 65535, (1 << 20) - 65535, -(1 << 20), 65535, 65535, 7 }, true },
        { "mode too wide", { 65536, 1, 0, 0, 1, 1, 0 }, false },
        { "mode too high", { 1, 65536, 0, 0, 1, 1, 0 }, false },
        { "too wide", { 1, 1, 0, 0, 65536, 1, 0 }, false },
        { "2^32-1", { UINT32_MAX, UINT32_MAX, 0, 0, UINT32_MAX, UINT32_MAX, 0 }, false },
        { "no height", { 1, 1, 0, 0, 1, 0, 0 }, false },
        { "no mode height", { 1, 0, 0, 0, 1, 1, 0 }, false },
        { "no mode but a place", { 0, 0, 5, 0, 0, 0, 0 }, false },
        { "far right", { 1, 1, (1 << 20) + 1, 0, 1, 1, 0 }, false },
        { "ends too far right", { 1, 1, (1 << 20) - 1, 0, 2, 1, 0 }, false },
        { "far up", { 1, 1, 0, INT32_MIN, 1, 1, 0 }, false },
        { "transform", { 1, 1, 0, 0, 1, 1, 8 }, false },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        Layout layout = layout_single(10, 10), decoded = layout_single(3, 3);
        uint8_t wire[LAYOUT_WIRE_SIZE];

        check_case("%s", rows[i].name);
        layout.display[LIMIT_DISPLAYS - 1] = rows[i].display;
        CHECK_EQ(layout_valid(&layout), rows[i].valid);
        layout_encode(&layout, wire);
        CHECK_EQ(layout_decode(wire, &decoded), rows[i].valid);
        if (rows[i].valid) {
            CHECK(layout_equal(&layout, &decoded));
        } else {
            Layout untouched = layout_single(3, 3);

            CHECK(layout_equal(&untouched, &decoded));
        }
    }
    check_case("%s", "box");
    Layout layout = layout_single(10, 10), other = layout;

    CHECK(layout_equal(&layout, &other));
    other.box_h++;
    CHECK(layout_valid(&other) && !layout_equal(&layout, &other));
    other.box_h = 0;
    CHECK(!layout_valid(&other));
    other.box_h = (1 << 21) + 1;
    CHECK(!layout_valid(&other));
    other = (Layout){ .box_w = 1 };
    CHECK(!layout_valid(&other));

    /* Byte order and places, once by hand. */
    static const uint8_t head[] = { 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 3, 0, 0, 0, 4, 1, 0, 0, 5, 0, 0, 0 };
    uint8_t wire[LAYOUT_WIRE_SIZE];

    other = (Layout){ .box_x = -1, .box_y = 2, .box_w = 3, .box_h = 0x104, .display = { { .mode_w = 5 } } };
    layout_encode(&other, wire);
    CHECK_MEM(wire, head, sizeof(head));
    check_case("%s", "");
}

int main(void)
{
    test_single();
    test_desktops();
    test_xorg();
    test_kwin();
    test_turned();
    test_box();
    test_valid();
    return check_done();
}
