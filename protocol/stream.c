/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream.h"

#include <string.h>

/* What becomes of the body of the current message. */
enum {
    COLLECT = 0, /* `have` of `need` bytes are in `body` */
    PASS_ON,     /* bulk whose head has been decoded: the rest is handed on */
    PASS_OVER    /* refused */
};

void stream_init(Stream *stream, unsigned direction)
{
    *stream = (Stream){ .direction = direction };
}

void stream_reset(Stream *stream)
{
    stream->reader = (MessageReader){ 0 };
    stream->have = 0;
    stream->state = COLLECT;
}

static VdagentResult begin(Stream *stream)
{
    const MessageHeader *header = &stream->reader.header;
    const VdagentType *type = vdagent_type(header->type);
    VdagentResult result;

    stream->have = 0;
    stream->current = stream->caps;
    if (type != NULL && (type->direction & stream->direction) == 0)
        return VDAGENT_WRONG_WAY;
    result = vdagent_check(&stream->current, header->type, header->size);
    if (result == VDAGENT_OK)
        stream->need = vdagent_need(&stream->current, header->type, header->size);
    return result;
}

/* The body, or the head of a bulk one, is there: `decoded` says what a success is called. */
static StreamResult finish(Stream *stream, StreamResult decoded, StreamEvent *ret_event)
{
    const MessageHeader *header = &stream->reader.header;

    ret_event->why = vdagent_decode(&stream->current, header->type, header->size, stream->body, &ret_event->message);
    return ret_event->why == VDAGENT_OK ? decoded : STREAM_REFUSED;
}

StreamResult stream_next(Stream *stream, BytesReader *in, StreamEvent *ret_event)
{
    for (;;) {
        BytesReader part = *in;
        MessageResult result;
        StreamResult event;
        const uint8_t *data;
        size_t size, limit;

        /* A piece of the body must not run over what is collected, so that data behind a head stay in the input. */
        if (stream->reader.have == MESSAGE_HEADER_SIZE && stream->state == COLLECT &&
            part.left > stream->need - stream->have)
            part.left = stream->need - stream->have;
        limit = part.left;
        result = message_next(&stream->reader, &part, &data, &size);
        in->at = part.at;
        in->left -= limit - part.left;
        ret_event->header = stream->reader.header;

        switch (result) {
        case MESSAGE_MORE:
            return STREAM_MORE;
        case MESSAGE_BAD_PROTOCOL:
            return STREAM_BROKEN;
        case MESSAGE_BEGIN:
            ret_event->why = begin(stream);
            stream->state = ret_event->why == VDAGENT_OK ? COLLECT : PASS_OVER;
            if (stream->state == PASS_OVER)
                return STREAM_REFUSED;
            break;
        case MESSAGE_BODY:
            if (stream->state == PASS_OVER)
                break;
            if (stream->state == PASS_ON) {
                ret_event->data = data;
                ret_event->size = size;
                return STREAM_DATA;
            }
            memcpy(stream->body + stream->have, data, size);
            stream->have += size;
            if (stream->have < stream->need || !vdagent_type(stream->reader.header.type)->bulk)
                break;
            event = finish(stream, STREAM_BULK, ret_event);
            stream->state = event == STREAM_BULK ? PASS_ON : PASS_OVER;
            return event;
        case MESSAGE_END:
            if (stream->state == PASS_OVER)
                break;
            return stream->state == PASS_ON ? STREAM_BULK_END : finish(stream, STREAM_MESSAGE, ret_event);
        }
    }
}

bool stream_idle(const Stream *stream)
{
    return message_idle(&stream->reader);
}
