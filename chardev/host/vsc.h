/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vsc.h - the smartcard stream between libspice-server and QEMU's ccid-card-passthru, one whole small message at a
 * time (pure).
 *
 * {type, reader_id, length}, 32 bits each in network order, and `length` bytes (VSCMsgHeader in libcacard's
 * vscard_common.h). libspice-server 0.15.1 has a buffer for VSC_LENGTH_MAX of them. For a longer one it makes a new
 * buffer and goes on writing to the old, and a length just beyond stops the channel for good. So only whole messages
 * that fit are handed to it. The same bound holds towards QEMU: it is what spice-gtk's cards use, and all that a
 * card without extended APDUs needs.
 */
#ifndef VSC_H
#define VSC_H

#include "bytes.h"

#define VSC_HEADER_SIZE 12u
/* A short command APDU has at most 261 bytes, its answer 258; APDUBufSize of libspice-server's smartcard.cpp. */
#define VSC_LENGTH_MAX 270u
#define VSC_MESSAGE_MAX (VSC_HEADER_SIZE + VSC_LENGTH_MAX)

/* VSC_* of vscard_common.h. */
enum {
    VSC_TYPE_INIT = 1,
    VSC_TYPE_ERROR = 2,
    VSC_TYPE_READER_ADD = 3,
    VSC_TYPE_READER_REMOVE = 4,
    VSC_TYPE_ATR = 5,
    VSC_TYPE_CARD_REMOVE = 6,
    VSC_TYPE_APDU = 7
};

/* Who sends. QEMU: INIT, ERROR, APDU. Client: all but INIT, which libspice-server never passes on. */
typedef enum VscSide {
    VSC_CLIENT = 1,
    VSC_QEMU = 2
} VscSide;

typedef enum VscResult {
    VSC_MORE,    /* the input is used up; feed more */
    VSC_MESSAGE, /* a whole message */
    VSC_REFUSED  /* a message of a type that this side does not send, or of a length that it cannot have: passed over */
} VscResult;

/* The state between two reads; all zero is a fresh stream. Private. */
typedef struct VscReader {
    uint8_t bytes[VSC_MESSAGE_MAX];
    size_t have;
    uint32_t left; /* of a refused message, still to be passed over */
} VscReader;

/* `data` is the message with its header, of `size` bytes, until the next call; NULL on VSC_REFUSED. */
typedef struct VscMessage {
    uint32_t type, reader, length; /* as announced */
    const uint8_t *data;
    size_t size;
} VscMessage;

/* The next message that `side` sends. Call until VSC_MORE. `ret_message` is filled on VSC_MESSAGE and VSC_REFUSED. */
VscResult vsc_next(VscReader *reader, VscSide side, BytesReader *in, VscMessage *ret_message);

/*
 * Write the answer to an APDU that was refused, status 67 00 (wrong length) of ISO 7816-4, for the one that sent it,
 * who would wait for it otherwise. False without room for VSC_HEADER_SIZE + 2.
 */
bool vsc_put_wrong_length(BytesWriter *out, uint32_t reader);

#endif
