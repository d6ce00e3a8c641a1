/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "message.h"

#include <spice/vd_agent.h>

enum {
    HEADER = 0,
    BODY,
    BROKEN
};

MessageResult message_next(MessageReader *reader, BytesReader *in, const uint8_t **ret_data, size_t *ret_size)
{
    size_t size;

    if (reader->state == HEADER) {
        BytesReader bytes = bytes_reader(reader->bytes, MESSAGE_HEADER_SIZE);
        uint32_t protocol;

        reader->have += bytes_move(in, reader->bytes + reader->have, MESSAGE_HEADER_SIZE - reader->have);
        if (reader->have < MESSAGE_HEADER_SIZE)
            return MESSAGE_MORE;
        bytes_get_u32(&bytes, &protocol);
        bytes_get_u32(&bytes, &reader->header.type);
        bytes_get_u64(&bytes, &reader->header.opaque);
        bytes_get_u32(&bytes, &reader->header.size);
        reader->left = reader->header.size;
        reader->state = protocol == VD_AGENT_PROTOCOL ? BODY : BROKEN;
        return protocol == VD_AGENT_PROTOCOL ? MESSAGE_BEGIN : MESSAGE_BAD_PROTOCOL;
    }
    if (reader->state == BROKEN)
        return MESSAGE_BAD_PROTOCOL;
    if (reader->left == 0) {
        reader->state = HEADER;
        reader->have = 0;
        return MESSAGE_END;
    }
    if (in->left == 0)
        return MESSAGE_MORE;
    size = in->left < reader->left ? in->left : reader->left;
    bytes_take(in, size, ret_data);
    *ret_size = size;
    reader->left -= (uint32_t)size;
    return MESSAGE_BODY;
}

bool message_idle(const MessageReader *reader)
{
    return reader->state == HEADER && reader->have == 0;
}

bool message_put_header(BytesWriter *out, const MessageHeader *header)
{
    return out->left >= MESSAGE_HEADER_SIZE && bytes_put_u32(out, VD_AGENT_PROTOCOL) &&
           bytes_put_u32(out, header->type) && bytes_put_u64(out, header->opaque) && bytes_put_u32(out, header->size);
}
