/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pvmouse.h"

#include <assert.h>
#include <string.h>

/* All frames: type u8, flags u8, display u16, sequence u32, and 16 bytes that depend on the type. */
#define FLAG_NO_POSITION (1u << 0) /* STATE */

typedef struct Header {
    uint8_t type, flags;
    uint16_t display;
    uint32_t sequence;
} Header;

/* A frame is as long as all its fields, so no get fails here. */
static Header get_header(BytesReader *in)
{
    Header header;

    bytes_get_u8(in, &header.type);
    bytes_get_u8(in, &header.flags);
    bytes_get_u16(in, &header.display);
    bytes_get_u32(in, &header.sequence);
    return header;
}

static int16_t get_i16(BytesReader *in)
{
    uint16_t value = 0;

    bytes_get_u16(in, &value);
    return (int16_t)value;
}

/* True if all that is left of the frame is zero. */
static bool rest_is_zero(BytesReader in)
{
    uint8_t byte;

    while (bytes_get_u8(&in, &byte)) {
        if (byte != 0)
            return false;
    }
    return true;
}

static PvmouseResult decode_hello(const Header *header, BytesReader *in, PvmouseFrame *frame)
{
    uint32_t magic;
    uint16_t reserved;

    bytes_get_u32(in, &magic);
    bytes_get_u16(in, &frame->version);
    bytes_get_u16(in, &reserved);
    bytes_get_u32(in, &frame->features);
    bytes_get_u32(in, &frame->credit);
    if (magic != PVMOUSE_MAGIC)
        return PVMOUSE_BAD_MAGIC;
    if (header->flags != 0 || header->display != 0 || reserved != 0 || frame->version == 0)
        return PVMOUSE_BAD_VALUE;
    return PVMOUSE_OK;
}

/* The second half of STATE and MOTION. */
static PvmouseResult decode_buttons(BytesReader *in, PvmouseFrame *frame)
{
    bytes_get_u16(in, &frame->buttons);
    frame->wheel = get_i16(in);
    frame->hwheel = get_i16(in);
    return (frame->buttons & ~PVMOUSE_BUTTONS_ALL) == 0 && rest_is_zero(*in) ? PVMOUSE_OK : PVMOUSE_BAD_VALUE;
}

static PvmouseResult decode_state(const Header *header, BytesReader *in, PvmouseFrame *frame)
{
    frame->display = header->display;
    frame->no_position = (header->flags & FLAG_NO_POSITION) != 0;
    bytes_get_u16(in, &frame->x);
    bytes_get_u16(in, &frame->y);
    if ((header->flags & ~FLAG_NO_POSITION) != 0)
        return PVMOUSE_BAD_VALUE;
    if (frame->no_position && (frame->display != 0 || frame->x != 0 || frame->y != 0))
        return PVMOUSE_BAD_VALUE;
    return decode_buttons(in, frame);
}

static PvmouseResult decode_motion(const Header *header, BytesReader *in, PvmouseFrame *frame)
{
    frame->dx = get_i16(in);
    frame->dy = get_i16(in);
    return header->flags == 0 && header->display == 0 ? decode_buttons(in, frame) : PVMOUSE_BAD_VALUE;
}

static PvmouseResult decode_release(const Header *header, BytesReader *in)
{
    return header->flags == 0 && header->display == 0 && rest_is_zero(*in) ? PVMOUSE_OK : PVMOUSE_BAD_VALUE;
}

static PvmouseResult decode_credit(const Header *header, BytesReader *in, PvmouseFrame *frame)
{
    bytes_get_u32(in, &frame->credit);
    return header->flags == 0 && header->display == 0 && header->sequence == 0 && rest_is_zero(*in)
               ? PVMOUSE_OK : PVMOUSE_BAD_VALUE;
}

PvmouseResult pvmouse_decode(const uint8_t data[PVMOUSE_FRAME_SIZE], PvmouseFrame *ret_frame)
{
    BytesReader in = bytes_reader(data, PVMOUSE_FRAME_SIZE);
    Header header = get_header(&in);
    PvmouseFrame frame = { .type = (PvmouseType)header.type, .sequence = header.sequence };
    PvmouseResult result = PVMOUSE_UNKNOWN_TYPE;

    switch (frame.type) {
    case PVMOUSE_HELLO:
        result = decode_hello(&header, &in, &frame);
        break;
    case PVMOUSE_STATE:
        result = decode_state(&header, &in, &frame);
        break;
    case PVMOUSE_MOTION:
        result = decode_motion(&header, &in, &frame);
        break;
    case PVMOUSE_RELEASE:
        result = decode_release(&header, &in);
        break;
    case PVMOUSE_CREDIT:
        result = decode_credit(&header, &in, &frame);
        break;
    }
    if (result == PVMOUSE_OK)
        *ret_frame = frame;
    return result;
}

void pvmouse_encode(const PvmouseFrame *frame, uint8_t ret_data[PVMOUSE_FRAME_SIZE])
{
    BytesWriter out = bytes_writer(ret_data, PVMOUSE_FRAME_SIZE);
    bool position = frame->type == PVMOUSE_STATE && !frame->no_position;
    bool no_position = frame->type == PVMOUSE_STATE && frame->no_position;

    memset(ret_data, 0, PVMOUSE_FRAME_SIZE);
    bytes_put_u8(&out, (uint8_t)frame->type);
    bytes_put_u8(&out, no_position ? FLAG_NO_POSITION : 0);
    bytes_put_u16(&out, position ? frame->display : 0);
    bytes_put_u32(&out, frame->type != PVMOUSE_CREDIT ? frame->sequence : 0);

    switch (frame->type) {
    case PVMOUSE_HELLO:
        assert(frame->version > 0);
        bytes_put_u32(&out, PVMOUSE_MAGIC);
        bytes_put_u16(&out, frame->version);
        bytes_put_u16(&out, 0);
        bytes_put_u32(&out, frame->features);
        bytes_put_u32(&out, frame->credit);
        return;
    case PVMOUSE_STATE:
        bytes_put_u16(&out, position ? frame->x : 0);
        bytes_put_u16(&out, position ? frame->y : 0);
        break;
    case PVMOUSE_MOTION:
        bytes_put_u16(&out, (uint16_t)frame->dx);
        bytes_put_u16(&out, (uint16_t)frame->dy);
        break;
    case PVMOUSE_RELEASE:
        return;
    case PVMOUSE_CREDIT:
        bytes_put_u32(&out, frame->credit);
        return;
    }
    assert((frame->buttons & ~PVMOUSE_BUTTONS_ALL) == 0);
    bytes_put_u16(&out, frame->buttons);
    bytes_put_u16(&out, (uint16_t)frame->wheel);
    bytes_put_u16(&out, (uint16_t)frame->hwheel);
}

bool pvmouse_read(PvmouseReader *reader, BytesReader *in)
{
    if (reader->have == PVMOUSE_FRAME_SIZE)
        reader->have = 0;
    reader->have += bytes_move(in, reader->bytes + reader->have, PVMOUSE_FRAME_SIZE - reader->have);
    return reader->have == PVMOUSE_FRAME_SIZE;
}

bool pvmouse_read_hello(PvmouseReader *reader, BytesReader *in)
{
    PvmouseFrame frame;

    do {
        if (reader->have == PVMOUSE_FRAME_SIZE) {
            reader->have--;
            memmove(reader->bytes, reader->bytes + 1, reader->have);
        }
        reader->have += bytes_move(in, reader->bytes + reader->have, PVMOUSE_FRAME_SIZE - reader->have);
        if (reader->have < PVMOUSE_FRAME_SIZE)
            return false;
    } while (reader->bytes[0] != PVMOUSE_HELLO || pvmouse_decode(reader->bytes, &frame) != PVMOUSE_OK);
    return true;
}

uint16_t pvmouse_from_pixel(uint32_t pixel, uint32_t size)
{
    if (size == 0)
        return 0;
    if (pixel >= size)
        pixel = size - 1;
    return (uint16_t)((2 * (uint64_t)pixel + 1) * 32768 / size);
}

uint32_t pvmouse_to_pixel(uint16_t wire, uint32_t size)
{
    return (uint32_t)((uint64_t)wire * size >> 16);
}

const char *pvmouse_result_text(PvmouseResult result)
{
    switch (result) {
    case PVMOUSE_OK:
        return "ok";
    case PVMOUSE_UNKNOWN_TYPE:
        return "unknown frame type";
    case PVMOUSE_BAD_MAGIC:
        return "not pvmouse";
    case PVMOUSE_BAD_VALUE:
        return "a reserved bit or field is set";
    }
    return "unknown result";
}
