/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chunk.h"

#include "limits.h"

#include <spice/vd_agent.h>

static ChunkPiece announced(const ChunkReader *reader)
{
    return (ChunkPiece){ .port = reader->port, .size = reader->left };
}

ChunkResult chunk_next(ChunkReader *reader, BytesReader *in, ChunkPiece *ret_piece)
{
    for (;;) {
        size_t size;

        if (reader->have < CHUNK_HEADER_SIZE) {
            BytesReader header = bytes_reader(reader->header, CHUNK_HEADER_SIZE);

            reader->have += bytes_move(in, reader->header + reader->have, CHUNK_HEADER_SIZE - reader->have);
            if (reader->have < CHUNK_HEADER_SIZE)
                return CHUNK_MORE;
            bytes_get_u32(&header, &reader->port);
            bytes_get_u32(&header, &reader->left);
            if (reader->left <= LIMIT_CHUNK_IN && reader->port != VDP_CLIENT_PORT && reader->port != VDP_SERVER_PORT) {
                *ret_piece = announced(reader);
                return CHUNK_SKIPPED;
            }
        }
        if (reader->left > LIMIT_CHUNK_IN) {
            *ret_piece = announced(reader);
            return CHUNK_BROKEN;
        }
        if (reader->left == 0) {
            reader->have = 0;
            continue;
        }
        if (in->left == 0)
            return CHUNK_MORE;
        size = in->left < reader->left ? in->left : reader->left;
        *ret_piece = (ChunkPiece){ .port = reader->port, .size = size };
        bytes_take(in, size, &ret_piece->data);
        reader->left -= (uint32_t)size;
        if (reader->left == 0)
            reader->have = 0;
        if (reader->port == VDP_CLIENT_PORT || reader->port == VDP_SERVER_PORT)
            return CHUNK_PIECE;
    }
}

bool chunk_put_header(BytesWriter *out, uint32_t port, uint32_t size)
{
    return out->left >= CHUNK_HEADER_SIZE && bytes_put_u32(out, port) && bytes_put_u32(out, size);
}
