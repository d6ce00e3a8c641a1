/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "layout.h"

#include "pvmouse.h"

#define BOX_MAX (1u << 21)

static bool display_exists(const LayoutDisplay *display)
{
    return display->mode_w > 0 && display->mode_h > 0;
}

void layout_fit_box(Layout *layout)
{
    int64_t left = INT64_MAX, top = INT64_MAX, right = INT64_MIN, bottom = INT64_MIN;

    for (size_t i = 0; i < LIMIT_DISPLAYS; i++) {
        const LayoutDisplay *display = &layout->display[i];

        if (!display_exists(display)) {
            continue;
        }
        left = display->x < left ? display->x : left;
        top = display->y < top ? display->y : top;
        right = (int64_t)display->x + display->w > right ? (int64_t)display->x + display->w : right;
        bottom = (int64_t)display->y + display->h > bottom ? (int64_t)display->y + display->h : bottom;
    }
    if (right < left) {
        left = top = right = bottom = 0;
    }
    layout->box_x = (int32_t)left;
    layout->box_y = (int32_t)top;
    layout->box_w = (uint32_t)(right - left);
    layout->box_h = (uint32_t)(bottom - top);
}

Layout layout_single(uint32_t w, uint32_t h)
{
    Layout layout = { .display = { { .mode_w = w, .mode_h = h, .w = w, .h = h } } };

    layout_fit_box(&layout);
    return layout;
}

bool layout_known(const Layout *layout)
{
    for (size_t i = 0; i < LIMIT_DISPLAYS; i++) {
        if (display_exists(&layout->display[i])) {
            return true;
        }
    }
    return false;
}

static bool size_valid(uint32_t size, uint32_t max)
{
    return size >= 1 && size <= max;
}

static bool position_valid(int32_t near, uint32_t size)
{
    return near >= -LAYOUT_POSITION_MAX && (int64_t)near + size <= LAYOUT_POSITION_MAX;
}

static bool display_equal(const LayoutDisplay *a, const LayoutDisplay *b)
{
    return a->mode_w == b->mode_w && a->mode_h == b->mode_h && a->x == b->x && a->y == b->y && a->w == b->w &&
           a->h == b->h && a->transform == b->transform;
}

bool layout_display_valid(const LayoutDisplay *display)
{
    return size_valid(display->mode_w, LAYOUT_SIZE_MAX) && size_valid(display->mode_h, LAYOUT_SIZE_MAX) &&
           size_valid(display->w, LAYOUT_SIZE_MAX) && size_valid(display->h, LAYOUT_SIZE_MAX) &&
           position_valid(display->x, display->w) && position_valid(display->y, display->h) &&
           display->transform < LAYOUT_TRANSFORMS;
}

bool layout_valid(const Layout *layout)
{
    static const LayoutDisplay absent;

    for (size_t i = 0; i < LIMIT_DISPLAYS; i++) {
        const LayoutDisplay *display = &layout->display[i];

        if (!display_equal(display, &absent) && !layout_display_valid(display)) {
            return false;
        }
    }
    if (!layout_known(layout)) {
        return layout->box_x == 0 && layout->box_y == 0 && layout->box_w == 0 && layout->box_h == 0;
    }
    return size_valid(layout->box_w, BOX_MAX) && size_valid(layout->box_h, BOX_MAX) &&
           position_valid(layout->box_x, layout->box_w) && position_valid(layout->box_y, layout->box_h);
}

bool layout_equal(const Layout *a, const Layout *b)
{
    for (size_t i = 0; i < LIMIT_DISPLAYS; i++) {
        if (!display_equal(&a->display[i], &b->display[i])) {
            return false;
        }
    }
    return a->box_x == b->box_x && a->box_y == b->box_y && a->box_w == b->box_w && a->box_h == b->box_h;
}

/*
 * Three eighths into pixel `pixel` of one axis with `mode` of them, from its near end, in the box's range 0..65535. That
 * stays in the pixel when libinput's units round it by half of one and Xorg's driver takes off another. The middle would be
 * wrong for KWin 6.3, which measures how far it is to where the last pixel of each output begins: seen from the middle of
 * the pixel in an output's far corner, the first pixel of the next output is nearer. Within 0.41 it is not.
 *
 * At most 2^41, times 2^16, so 64 bits suffice.
 */
static uint16_t to_device(int64_t offset, uint64_t size, uint64_t pixel, uint64_t mode, uint64_t box)
{
    int64_t place = offset * 8 * (int64_t)mode + (int64_t)((8 * pixel + 3) * size);

    if (place < 0) {
        return 0;
    }
    uint64_t device = ((uint64_t)place * 65536 + 4 * mode * box) / (8 * mode * box);
    return device > 65535 ? 65535 : (uint16_t)device;
}

bool layout_map(const Layout *layout, uint32_t display, uint16_t x, uint16_t y, uint16_t *ret_ux, uint16_t *ret_uy)
{
    if (display >= LIMIT_DISPLAYS || !display_exists(&layout->display[display]) || layout->box_w == 0 ||
        layout->box_h == 0) {
        return false;
    }

    const LayoutDisplay *d = &layout->display[display];
    /* The pixel of the scanout, counted from each of its four sides. */
    uint32_t from_left = pvmouse_to_pixel(x, d->mode_w), from_right = d->mode_w - 1 - from_left;
    uint32_t from_top = pvmouse_to_pixel(y, d->mode_h), from_bottom = d->mode_h - 1 - from_top;
    /* Which of them lie along the desktop's x and y, by transform. */
    const struct {
        uint32_t x, y;
    } logical[LAYOUT_TRANSFORMS] = {
        { from_left, from_top },     /* normal */
        { from_bottom, from_left },  /* 90 */
        { from_right, from_bottom }, /* 180 */
        { from_top, from_right },    /* 270 */
        { from_right, from_top },    /* flipped */
        { from_top, from_left },     /* flipped 90 */
        { from_left, from_bottom },  /* flipped 180 */
        { from_bottom, from_right }, /* flipped 270 */
    };
    uint32_t t = d->transform % LAYOUT_TRANSFORMS;
    uint32_t along_x = t & 1 ? d->mode_h : d->mode_w, along_y = t & 1 ? d->mode_w : d->mode_h;

    *ret_ux = to_device((int64_t)d->x - layout->box_x, d->w, logical[t].x, along_x, layout->box_w);
    *ret_uy = to_device((int64_t)d->y - layout->box_y, d->h, logical[t].y, along_y, layout->box_h);
    return true;
}

void layout_encode(const Layout *layout, uint8_t ret_data[LAYOUT_WIRE_SIZE])
{
    BytesWriter out = bytes_writer(ret_data, LAYOUT_WIRE_SIZE);

    bytes_put_u32(&out, (uint32_t)layout->box_x);
    bytes_put_u32(&out, (uint32_t)layout->box_y);
    bytes_put_u32(&out, layout->box_w);
    bytes_put_u32(&out, layout->box_h);
    for (size_t i = 0; i < LIMIT_DISPLAYS; i++) {
        const LayoutDisplay *d = &layout->display[i];

        bytes_put_u32(&out, d->mode_w);
        bytes_put_u32(&out, d->mode_h);
        bytes_put_u32(&out, (uint32_t)d->x);
        bytes_put_u32(&out, (uint32_t)d->y);
        bytes_put_u32(&out, d->w);
        bytes_put_u32(&out, d->h);
        bytes_put_u32(&out, d->transform);
    }
}

/* The size is fixed, so no get can fail. */
static uint32_t take_u32(BytesReader *in)
{
    uint32_t value = 0;

    bytes_get_u32(in, &value);
    return value;
}

bool layout_decode(const uint8_t data[LAYOUT_WIRE_SIZE], Layout *ret_layout)
{
    BytesReader in = bytes_reader(data, LAYOUT_WIRE_SIZE);
    Layout layout;

    layout.box_x = (int32_t)take_u32(&in);
    layout.box_y = (int32_t)take_u32(&in);
    layout.box_w = take_u32(&in);
    layout.box_h = take_u32(&in);
    for (size_t i = 0; i < LIMIT_DISPLAYS; i++) {
        LayoutDisplay *d = &layout.display[i];

        d->mode_w = take_u32(&in);
        d->mode_h = take_u32(&in);
        d->x = (int32_t)take_u32(&in);
        d->y = (int32_t)take_u32(&in);
        d->w = take_u32(&in);
        d->h = take_u32(&in);
        d->transform = take_u32(&in);
    }
    if (!layout_valid(&layout)) {
        return false;
    }
    *ret_layout = layout;
    return true;
}
