/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vsc.h"

/* Who sends what, and how much of it. */
static const struct {
    unsigned sides;
    uint32_t min, max;
} types[] = {
    [VSC_TYPE_INIT] = { VSC_QEMU, 12, VSC_LENGTH_MAX },
    [VSC_TYPE_ERROR] = { VSC_CLIENT | VSC_QEMU, 4, 4 }, /* both read the code without a look at the length */
    [VSC_TYPE_READER_ADD] = { VSC_CLIENT, 0, VSC_LENGTH_MAX },
    [VSC_TYPE_READER_REMOVE] = { VSC_CLIENT, 0, 0 },
    [VSC_TYPE_ATR] = { VSC_CLIENT, 0, VSC_LENGTH_MAX },
    [VSC_TYPE_CARD_REMOVE] = { VSC_CLIENT, 0, 0 },
    [VSC_TYPE_APDU] = { VSC_CLIENT | VSC_QEMU, 0, VSC_LENGTH_MAX },
};

/* The cursor is little-endian, as all else of SPICE. */
static uint32_t swap(uint32_t value)
{
    return value >> 24 | (value >> 8 & 0xff00) | (value & 0xff00) << 8 | value << 24;
}

static uint32_t get(BytesReader *in)
{
    uint32_t value = 0;

    bytes_get_u32(in, &value);
    return swap(value);
}

static bool allowed(VscSide side, const VscMessage *message)
{
    return message->type < sizeof(types) / sizeof(types[0]) && (types[message->type].sides & side) != 0 &&
           message->length >= types[message->type].min && message->length <= types[message->type].max;
}

VscResult vsc_next(VscReader *reader, VscSide side, BytesReader *in, VscMessage *ret_message)
{
    VscMessage message;
    BytesReader header;
    size_t size;

    if (reader->left > 0) {
        const uint8_t *passed;

        size = in->left < reader->left ? in->left : reader->left;
        bytes_take(in, size, &passed);
        reader->left -= (uint32_t)size;
    }
    if (reader->have < VSC_HEADER_SIZE)
        reader->have += bytes_move(in, reader->bytes + reader->have, VSC_HEADER_SIZE - reader->have);
    if (reader->have < VSC_HEADER_SIZE)
        return VSC_MORE;
    header = bytes_reader(reader->bytes, VSC_HEADER_SIZE);
    message = (VscMessage){ 0 };
    message.type = get(&header);
    message.reader = get(&header);
    message.length = get(&header);
    if (!allowed(side, &message)) {
        reader->left = message.length;
        reader->have = 0;
        *ret_message = message;
        return VSC_REFUSED;
    }
    size = VSC_HEADER_SIZE + message.length;
    reader->have += bytes_move(in, reader->bytes + reader->have, size - reader->have);
    if (reader->have < size)
        return VSC_MORE;
    message.data = reader->bytes;
    message.size = size;
    reader->have = 0;
    *ret_message = message;
    return VSC_MESSAGE;
}

bool vsc_put_wrong_length(BytesWriter *out, uint32_t reader)
{
    return out->left >= VSC_HEADER_SIZE + 2 && bytes_put_u32(out, swap(VSC_TYPE_APDU)) &&
           bytes_put_u32(out, swap(reader)) && bytes_put_u32(out, swap(2)) && bytes_put(out, "\x67\x00", 2);
}
