/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stream.h - VDAgentMessages of one direction, checked, typed, bulk data in pieces.
 *
 * This is the reader of every byte stream that carries agent messages: each of the two chunk ports of the virtio port,
 * and both sockets between system and session daemon. A message reaches the caller only when its size and all its
 * fields have been checked; one that fails is reported once and its bytes are passed over. Memory is this struct,
 * whatever a header announces.
 */
#ifndef STREAM_H
#define STREAM_H

#include "message.h"
#include "vdagent.h"

typedef enum StreamResult {
    STREAM_MORE,      /* the input is used up; feed more */
    STREAM_MESSAGE,   /* a whole message: event->message */
    STREAM_BULK,      /* the head of a bulk message: event->message; its data follow as STREAM_DATA */
    STREAM_DATA,      /* a piece of bulk data, never empty: event->data, event->size */
    STREAM_BULK_END,  /* all data of the bulk message have been seen; comes for an empty one too */
    STREAM_REFUSED,   /* a message was refused: event->header, event->why; its bytes are passed over */
    STREAM_BROKEN     /* not VDAgentMessages any more: the connection must end */
} StreamResult;

typedef struct StreamEvent {
    MessageHeader header;   /* of the message this event belongs to */
    VdagentResult why;      /* STREAM_REFUSED */
    VdagentMessage message; /* STREAM_MESSAGE, STREAM_BULK; borrows from the stream until the next call */
    const uint8_t *data;    /* STREAM_DATA; borrows from the input */
    size_t size;
} StreamEvent;

/* The state between two reads. Private but for `caps`, which its owner sets to what both ends agreed. */
typedef struct Stream {
    Caps caps;
    Caps current;       /* what was agreed when the current message began */
    unsigned direction; /* VDAGENT_TO_GUEST or VDAGENT_TO_HOST: types that never go this way are refused */
    MessageReader reader;
    uint8_t body[LIMIT_MESSAGE];
    size_t have;
    size_t need;
    uint8_t state;
} Stream;

/* Prepare a stream of messages that go in `direction` (one VDAGENT_TO_* flag) under no capabilities yet. */
void stream_init(Stream *stream, unsigned direction);

/* Forget a half-read message, as after a change of peer; capabilities and direction stay. */
void stream_reset(Stream *stream);

/*
 * The next event. A change of `caps` takes effect with the next message that begins; the owner must make it before the
 * next call after the STREAM_MESSAGE that announced it. Call until STREAM_MORE. Of `ret_event`, `header` is filled at
 * all times after a message has begun, the rest as StreamEvent says.
 */
StreamResult stream_next(Stream *stream, BytesReader *in, StreamEvent *ret_event);

/* True between two messages. */
bool stream_idle(const Stream *stream);

#endif
