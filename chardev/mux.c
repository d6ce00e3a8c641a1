/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mux.h"

#include <string.h>

void mux_init(Mux *mux, const uint32_t *ports, size_t lanes)
{
    mux->lanes = lanes < MUX_LANES ? lanes : MUX_LANES;
    for (size_t i = 0; i < mux->lanes; i++) {
        mux->lane[i].port = ports[i];
    }
    mux_reset(mux);
}

void mux_reset(Mux *mux)
{
    for (size_t i = 0; i < mux->lanes; i++) {
        mux->lane[i].head = mux->lane[i].used = 0;
        mux->lane[i].message_left = 0;
    }
    mux->turn = 0;
}

size_t mux_room(const Mux *mux, size_t lane)
{
    return LIMIT_LANE_QUEUE - mux->lane[lane].used;
}

bool mux_put(Mux *mux, size_t lane, const void *data, size_t size)
{
    MuxLane *l = &mux->lane[lane];

    if (size > mux_room(mux, lane)) {
        return false;
    }

    size_t tail = (l->head + l->used) % LIMIT_LANE_QUEUE;
    size_t first = size < LIMIT_LANE_QUEUE - tail ? size : LIMIT_LANE_QUEUE - tail;

    memcpy(l->queue + tail, data, first);
    memcpy(l->queue, (const uint8_t *)data + first, size - first);
    l->used += size;
    return true;
}

bool mux_busy(const Mux *mux, size_t lane)
{
    return mux->lane[lane].message_left > 0;
}

bool mux_pending(const Mux *mux, size_t lane)
{
    return mux->lane[lane].used > 0 || mux_busy(mux, lane);
}

bool mux_drop(Mux *mux, size_t lane)
{
    MuxLane *l = &mux->lane[lane];

    if (l->message_left > l->used) {
        return false;
    }
    l->used = l->message_left;
    return true;
}

bool mux_retract(Mux *mux, size_t lane, uint64_t size)
{
    if (size > mux->lane[lane].used) {
        return false;
    }
    mux->lane[lane].used -= (size_t)size;
    return true;
}

/* Copy the oldest `size` bytes, which must be there, without taking them. */
static void peek(const MuxLane *lane, uint8_t *ret_data, size_t size)
{
    size_t first = size < LIMIT_LANE_QUEUE - lane->head ? size : LIMIT_LANE_QUEUE - lane->head;

    memcpy(ret_data, lane->queue + lane->head, first);
    memcpy(ret_data + first, lane->queue, size - first);
}

/* Bytes of the lane's current message, header included, that have not been sent; 0 when its header is not there yet. */
static uint64_t message_rest(const MuxLane *lane)
{
    uint8_t bytes[MESSAGE_HEADER_SIZE];
    BytesReader in = bytes_reader(bytes, sizeof(bytes));
    const uint8_t *before_size;
    uint32_t size;

    if (lane->message_left > 0) {
        return lane->message_left;
    }
    if (lane->used < MESSAGE_HEADER_SIZE) {
        return 0;
    }
    peek(lane, bytes, sizeof(bytes));
    bytes_take(&in, MESSAGE_HEADER_SIZE - sizeof(size), &before_size);
    bytes_get_u32(&in, &size);
    return (uint64_t)MESSAGE_HEADER_SIZE + size;
}

/* Payload of the lane's next chunk; 0 when not enough of it has been queued. */
static size_t payload(const MuxLane *lane)
{
    uint64_t rest = message_rest(lane);
    size_t size = rest < LIMIT_CHUNK_OUT ? (size_t)rest : LIMIT_CHUNK_OUT;

    return lane->used >= size ? size : 0;
}

/* The lane of a port that can send a chunk now, or MUX_LANES: the one with a message under way, else the lowest. */
static size_t ready(const Mux *mux, uint32_t port)
{
    size_t found = MUX_LANES;

    for (size_t i = 0; i < mux->lanes; i++) {
        if (mux->lane[i].port != port) {
            continue;
        }
        if (mux_busy(mux, i)) {
            return payload(&mux->lane[i]) > 0 ? i : MUX_LANES;
        }
        if (found == MUX_LANES && payload(&mux->lane[i]) > 0) {
            found = i;
        }
    }
    return found;
}

size_t mux_next(Mux *mux, uint8_t ret_chunk[MUX_CHUNK_MAX])
{
    size_t from = MUX_LANES;

    /* The ports after the one whose turn it was, and that one last. */
    for (size_t i = 1; i <= mux->lanes && from == MUX_LANES; i++) {
        size_t candidate = (mux->turn + i) % mux->lanes;

        if (i == mux->lanes || mux->lane[candidate].port != mux->lane[mux->turn].port) {
            from = ready(mux, mux->lane[candidate].port);
        }
    }
    if (from == MUX_LANES) {
        return 0;
    }

    MuxLane *lane = &mux->lane[from];
    uint64_t rest = message_rest(lane);
    size_t size = payload(lane);
    BytesWriter out = bytes_writer(ret_chunk, MUX_CHUNK_MAX);

    chunk_put_header(&out, lane->port, (uint32_t)size);
    peek(lane, out.at, size);
    lane->head = (lane->head + size) % LIMIT_LANE_QUEUE;
    lane->used -= size;
    lane->message_left = (uint32_t)(rest - size); /* the first chunk holds the header, so this fits */
    mux->turn = from;
    return out.used + size;
}
