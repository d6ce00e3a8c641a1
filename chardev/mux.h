/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mux.h - several sources of agent messages woven into one virtio-serial byte stream (pure).
 *
 * Each source has a lane with a bounded queue of plain VDAgentMessages (header and body). Chunks of lanes with
 * different ports take turns, so that neither waits behind more than one chunk of the other. Messages of one port
 * cannot be interleaved, as its reader has one reassembly for all; there the turn changes between messages, lower
 * lanes first.
 *
 * When a lane is full its owner stops reading the lane's source (mux_room() is 0). A lane whose source dies in the
 * middle of a message may have promised bytes that will not come: then the port must be opened anew (mux_drop() and
 * mux_retract() tell).
 */
#ifndef MUX_H
#define MUX_H

#include "bytes.h"
#include "chunk.h"
#include "limits.h"
#include "message.h"

#define MUX_LANES 4u
#define MUX_CHUNK_MAX (CHUNK_HEADER_SIZE + LIMIT_CHUNK_OUT)

typedef struct MuxLane {
    uint32_t port;
    uint8_t queue[LIMIT_LANE_QUEUE];
    size_t head, used;     /* ring */
    uint32_t message_left; /* of the message under way, bytes not yet sent */
} MuxLane;

/* Private. */
typedef struct Mux {
    MuxLane lane[MUX_LANES];
    size_t lanes;
    size_t turn; /* port that may send next, as an index of the lane it was last taken from */
} Mux;

/* `ports` has one VDP_*_PORT per lane, `lanes` at most MUX_LANES. Lane 0 goes first between messages of one port. */
void mux_init(Mux *mux, const uint32_t *ports, size_t lanes);

/* Drop all that is queued or under way, as after reopening the port. */
void mux_reset(Mux *mux);

/* Bytes that fit into the lane's queue now. */
size_t mux_room(const Mux *mux, size_t lane);

/* Queue all of `data`, or nothing: false if it does not fit. The bytes must be well-formed messages, cut anywhere. */
bool mux_put(Mux *mux, size_t lane, const void *data, size_t size);

/* True if the lane is in the middle of a message: part of it has been sent and part has not. */
bool mux_busy(const Mux *mux, size_t lane);

/* True if the lane has anything queued or under way. */
bool mux_pending(const Mux *mux, size_t lane);

/*
 * Drop what is queued in a lane and not yet promised to the peer: all but the rest of the message under way. Returns
 * false, dropping nothing, if that rest has not all been queued: then only reopening the port and mux_reset() help.
 */
bool mux_drop(Mux *mux, size_t lane);

/* Take back the last `size` bytes that were put: false, and nothing is done, if some of them have been sent. */
bool mux_retract(Mux *mux, size_t lane, uint64_t size);

/*
 * Compose the next chunk, with header, at most MUX_CHUNK_MAX bytes; 0 when nothing can be sent now. The first chunk
 * of a message holds its whole header, and a chunk is full unless it ends its message.
 */
size_t mux_next(Mux *mux, uint8_t ret_chunk[MUX_CHUNK_MAX]);

#endif
