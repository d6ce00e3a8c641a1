/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pvmouse.h - frames of the dedicated pointer port, version 1. pvmouse.md is the normative text; this is its C form.
 *
 * Every frame has PVMOUSE_FRAME_SIZE bytes, little-endian, so a reader needs no length field and a cut frame is always
 * recognised. Positions are fractions of a display, never pixels: a change of resolution changes no frame.
 */
#ifndef PVMOUSE_H
#define PVMOUSE_H

#include "bytes.h"
#include "limits.h"

#define PVMOUSE_PORT_NAME "org.spice-space.pvmouse.0"
#define PVMOUSE_FRAME_SIZE 24u
#define PVMOUSE_MAGIC 0x45535650u /* little-endian, so the bytes on the wire are 50 56 53 45, "PVSE" */
#define PVMOUSE_VERSION 1u

/* Positions run over 0..PVMOUSE_AXIS_MAX, from one edge of the display to the other. */
#define PVMOUSE_AXIS_MAX 65535u

/* One wheel detent. */
#define PVMOUSE_DETENT 120

typedef enum PvmouseType {
    PVMOUSE_HELLO = 1,   /* both ends, first frame after opening; starts over */
    PVMOUSE_STATE = 2,   /* host → guest: absolute position, buttons, wheels */
    PVMOUSE_MOTION = 3,  /* host → guest: relative motion, buttons, wheels */
    PVMOUSE_RELEASE = 4, /* host → guest: release every button */
    PVMOUSE_CREDIT = 5   /* guest → host: more frames may be sent */
} PvmouseType;

/* Features a side announces in its HELLO. */
enum {
    PVMOUSE_FEATURE_ABSOLUTE = 1 << 0,
    PVMOUSE_FEATURE_RELATIVE = 1 << 1,
    PVMOUSE_FEATURE_HIRES_WHEEL = 1 << 2
};

/* Buttons, as a set of all that are down. */
enum {
    PVMOUSE_BUTTON_LEFT = 1 << 0,
    PVMOUSE_BUTTON_MIDDLE = 1 << 1,
    PVMOUSE_BUTTON_RIGHT = 1 << 2,
    PVMOUSE_BUTTON_SIDE = 1 << 3,
    PVMOUSE_BUTTON_EXTRA = 1 << 4,
    PVMOUSE_BUTTON_FORWARD = 1 << 5,
    PVMOUSE_BUTTON_BACK = 1 << 6,
    PVMOUSE_BUTTONS_ALL = (1 << 7) - 1
};

/* One frame, decoded. Which fields mean something depends on the type; the others are 0. */
typedef struct PvmouseFrame {
    PvmouseType type;
    uint16_t display;  /* STATE: number of the SPICE display */
    /*
     * STATE, MOTION, RELEASE: counts up by one from 1, for diagnosis. HELLO: the nonce, which the guest chooses anew
     * each time and the host repeats, so that an answer is never taken for that to an earlier HELLO.
     */
    uint32_t sequence;
    /* HELLO */
    uint16_t version;  /* at least 1 */
    uint32_t features; /* may hold bits of later versions: to be ignored */
    /* HELLO, CREDIT: frames of type STATE, MOTION, RELEASE that the receiver can take, in addition to those granted */
    uint32_t credit;
    /* STATE: 0..PVMOUSE_AXIS_MAX of the display */
    uint16_t x, y;
    bool no_position; /* STATE: x, y and display are not known; buttons and wheels only */
    /* MOTION: device units, to be accelerated by the guest */
    int16_t dx, dy;
    /* STATE, MOTION: set of PVMOUSE_BUTTON_* that are down */
    uint16_t buttons;
    /* STATE, MOTION: turn since the last frame, 1/120 detents; up/away and right are positive */
    int16_t wheel, hwheel;
} PvmouseFrame;

typedef enum PvmouseResult {
    PVMOUSE_OK = 0,
    PVMOUSE_UNKNOWN_TYPE, /* a later version's frame: ignore it */
    PVMOUSE_BAD_MAGIC,    /* HELLO without PVMOUSE_MAGIC: not this protocol or out of step, start over */
    PVMOUSE_BAD_VALUE     /* a reserved bit or field is set, or version 0: refuse the frame */
} PvmouseResult;

/* Decode one frame of exactly PVMOUSE_FRAME_SIZE bytes. On failure `ret_frame` is untouched. */
PvmouseResult pvmouse_decode(const uint8_t data[PVMOUSE_FRAME_SIZE], PvmouseFrame *ret_frame);

/* Encode one frame. It must be valid: a type of the list, no unknown button. Fields of other types are not read. */
void pvmouse_encode(const PvmouseFrame *frame, uint8_t ret_data[PVMOUSE_FRAME_SIZE]);

/* Frames out of a byte stream cut anywhere. All zero is a fresh stream. `have` is private. */
typedef struct PvmouseReader {
    uint8_t bytes[PVMOUSE_FRAME_SIZE];
    size_t have;
} PvmouseReader;

/* Collect the next frame's bytes; false when the input is used up before. Decode reader->bytes after each true. */
bool pvmouse_read(PvmouseReader *reader, BytesReader *in);

/*
 * The same for a stream that may be out of step, as one that begins with what was meant for an earlier reader: passes
 * over bytes, one at a time, until reader->bytes decode as HELLO. Called again, it goes on at the second byte of the
 * last frame returned by either function, so a frame that turned out wrong is searched as well.
 */
bool pvmouse_read_hello(PvmouseReader *reader, BytesReader *in);

/*
 * Wire coordinate of pixel `pixel` on an axis of `size` pixels: its middle, floor((2·pixel + 1)·32768 / size). A pixel
 * beyond the axis is taken as the last one; size 0 answers 0.
 */
uint16_t pvmouse_from_pixel(uint32_t pixel, uint32_t size);

/* Pixel of a wire coordinate: floor(wire·size / 65536). Inverse of pvmouse_from_pixel() for size up to 32768. */
uint32_t pvmouse_to_pixel(uint16_t wire, uint32_t size);

/* Text for a result, for logs. */
const char *pvmouse_result_text(PvmouseResult result);

#endif
