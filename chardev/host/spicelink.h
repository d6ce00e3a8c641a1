/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * spicelink.h - what a client says on one SPICE connection, followed, bounded and mended (pure).
 *
 * The client's side of spice/protocol.h: SpiceLinkHeader and SpiceLinkMess, the mechanism if it can choose one, a ticket,
 * and then messages, whose headers are short if both can have them so (libspice-server always can). Only announced
 * sizes are judged: libspice-server believes them (docs/decisions.md). SASL cannot be followed from this side alone, and is
 * refused.
 *
 * A display channel is given its first message, SPICE_MSGC_DISPLAY_INIT, right after the log-in, since libspice-server stands
 * still until it comes; the client's own is left out. It says that the client keeps no pictures, of which blank displays have
 * none.
 */
#ifndef SPICELINK_H
#define SPICELINK_H

#include "bytes.h"

/* Header and fixed part of the first message, from which the channel is known. */
#define SPICELINK_BEGIN 34u
/* Bytes of caps in the first message; there are two words today. */
#define SPICELINK_CAPS_MAX 1024u
/*
 * Bytes of one message. USB packets and what goes through a port may be large, what a client says elsewhere is small:
 * agent data have 2048 bytes.
 */
#define SPICELINK_MESSAGE_MAX 65536u
#define SPICELINK_DATA_MAX (4u << 20)
/* Bytes that can come out in addition to what goes in: what was kept of a header, and the message that is put in. */
#define SPICELINK_KEPT_MAX 2048u

typedef enum SpicelinkStage {
    SPICELINK_HEADER,
    SPICELINK_LINK,
    SPICELINK_MECHANISM,
    SPICELINK_TICKET,
    SPICELINK_MESSAGES
} SpicelinkStage;

/* All zero but `channel`, see spicelink_init(). Read only. */
typedef struct Spicelink {
    SpicelinkStage stage;
    int channel, id;     /* SPICE_CHANNEL_*, and which of its kind; -1 until they are known */
    bool mini;           /* short headers */
    uint64_t data;       /* bytes of the messages of which the whole has come, as they are without compression */
    /* Private. */
    uint8_t begin[SPICELINK_BEGIN + SPICELINK_CAPS_MAX];
    size_t have, want;
    bool counting, dropping, greeted;
    uint32_t size, left; /* of the message under way: what it is worth, and what has to come */
} Spicelink;

void spicelink_init(Spicelink *link);

/*
 * Follow the next bytes and write to `out` what is to be passed on: it has room for SPICELINK_KEPT_MAX bytes more than come. NULL, or
 * why the connection is to end.
 */
const char *spicelink_pass(Spicelink *link, BytesReader *in, BytesWriter *out);

#endif
