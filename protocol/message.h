/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * message.h - a byte stream cut into VDAgentMessages, without holding any of them.
 *
 * A relay needs no whole message: it learns the header when its 20 bytes are there and then the body piece by piece.
 * Source: VDAgentMessage in spice/vd_agent.h.
 */
#ifndef MESSAGE_H
#define MESSAGE_H

#include "bytes.h"

#define MESSAGE_HEADER_SIZE 20u

typedef struct MessageHeader {
    uint32_t type;   /* VD_AGENT_* */
    uint64_t opaque; /* carried, never read */
    uint32_t size;   /* of the body */
} MessageHeader;

typedef enum MessageResult {
    MESSAGE_MORE,        /* the input is used up; feed more */
    MESSAGE_BEGIN,       /* a header is complete: reader->header */
    MESSAGE_BODY,        /* a piece of the body, never empty */
    MESSAGE_END,         /* the body is complete; follows MESSAGE_BEGIN at once for an empty body */
    MESSAGE_BAD_PROTOCOL /* the header's protocol is not VD_AGENT_PROTOCOL: the stream is out of step for good */
} MessageResult;

/* The state between two reads; all zero is a fresh stream. `header` is valid from BEGIN to END. */
typedef struct MessageReader {
    uint8_t bytes[MESSAGE_HEADER_SIZE];
    size_t have;
    MessageHeader header;
    uint32_t left; /* body bytes still to come */
    uint8_t state; /* private */
} MessageReader;

/*
 * The next event of the stream. On MESSAGE_BODY the piece is in `ret_data`, `ret_size`, borrowed from the input.
 * After MESSAGE_BAD_PROTOCOL every call answers the same until the reader is zeroed. Call until MESSAGE_MORE.
 */
MessageResult message_next(MessageReader *reader, BytesReader *in, const uint8_t **ret_data, size_t *ret_size);

/* True between two messages: nothing of a next one has been seen. */
bool message_idle(const MessageReader *reader);

/* Write a header with VD_AGENT_PROTOCOL. False without room for MESSAGE_HEADER_SIZE. */
bool message_put_header(BytesWriter *out, const MessageHeader *header);

#endif
