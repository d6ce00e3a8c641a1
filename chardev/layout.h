/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * layout.h - where each SPICE display lies on the guest's desktop (pure).
 *
 * Three spaces meet here: dx,dy are pixels of one display's mode; lx,ly are logical desktop coordinates (what the
 * compositor lays out, after scale and transform); ux,uy are the range of the absolute uinput device, which libinput
 * spreads over the desktop box.
 */
#ifndef LAYOUT_H
#define LAYOUT_H

#include "bytes.h"
#include "limits.h"

/*
 * The numbers of wl_output.transform: counter-clockwise quarter turns 0..3 that the desktop's picture is given on its
 * way into the scanout, + LAYOUT_FLIPPED if it is mirrored left to right before. A SPICE client shows the scanout as
 * it is and sends pixels of it, so dx,dy are counted before any transform and layout_map() undoes it.
 */
#define LAYOUT_FLIPPED 4u
#define LAYOUT_TRANSFORMS 8u
/* Bounds of a display: sizes from 1, all of it at positions on both sides of 0. */
#define LAYOUT_SIZE_MAX 65535u
#define LAYOUT_POSITION_MAX (1 << 20)

typedef struct LayoutDisplay {
    uint32_t mode_w, mode_h; /* pixels of the mode, before transform; 0x0: this display does not exist */
    int32_t x, y;            /* logical, of the top left corner */
    uint32_t w, h;           /* logical, after scale and transform */
    uint32_t transform;      /* 0..LAYOUT_TRANSFORMS-1 */
} LayoutDisplay;

/* Index is the SPICE display id. All zero: nothing is known. */
typedef struct Layout {
    LayoutDisplay display[LIMIT_DISPLAYS];
    int32_t box_x, box_y; /* logical rectangle of the whole desktop, over which the device is spread */
    uint32_t box_w, box_h;
} Layout;

/* The layout of one display of w x h pixels that is the whole desktop. */
Layout layout_single(uint32_t w, uint32_t h);

/* Set the box to the smallest rectangle around all displays. */
void layout_fit_box(Layout *layout);

/*
 * True if there is such a display: a mode and a logical size of 1..LAYOUT_SIZE_MAX on both axes, all of it within
 * ±LAYOUT_POSITION_MAX, a known transform.
 */
bool layout_display_valid(const LayoutDisplay *display);

/* True if every display is valid or all zero, and the box too, of at most 2^21, which is empty only if no display exists. */
bool layout_valid(const Layout *layout);

/* True if at least one display exists. */
bool layout_known(const Layout *layout);

bool layout_equal(const Layout *a, const Layout *b);

/*
 * Device position (0..65535 on both axes) of wire position x,y (0..65535) of a display; false if the display does not
 * exist. Exact: every position in pixel p of the display's mode lands at the same place inside pixel p after libinput's and
 * the compositor's scaling, for boxes up to 16384 of that display's pixels wide: Xorg's driver scales by 65535 in between.
 */
bool layout_map(const Layout *layout, uint32_t display, uint16_t x, uint16_t y, uint16_t *ret_ux, uint16_t *ret_uy);

/*
 * Fixed-size little-endian form, used on the layout socket of spice-pvmouse (SOCK_SEQPACKET, one layout per message):
 * box x, y, w, h, then for each display mode w, h, logical x, y, w, h and transform, all of 32 bits.
 */
#define LAYOUT_SOCKET "/run/spice-pv/pvmouse.sock"
#define LAYOUT_WIRE_SIZE (16u + LIMIT_DISPLAYS * 28u)
void layout_encode(const Layout *layout, uint8_t ret_data[LAYOUT_WIRE_SIZE]);

/* False, with `ret_layout` untouched, if layout_valid() would not hold. */
bool layout_decode(const uint8_t data[LAYOUT_WIRE_SIZE], Layout *ret_layout);

#endif
