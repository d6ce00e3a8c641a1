/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * chunk.h - VDIChunkHeader framing of the virtio-serial port: {port, size} and `size` bytes, cut anywhere.
 *
 * Source: VDIChunkHeader and VDP_*_PORT in spice/vd_agent.h. Port 1 carries what client and guest say to each other,
 * port 2 what spice-server and guest say. The two are separate message streams.
 */
#ifndef CHUNK_H
#define CHUNK_H

#include "bytes.h"

#define CHUNK_HEADER_SIZE 8u

typedef enum ChunkResult {
    CHUNK_MORE,    /* the input is used up; feed more */
    CHUNK_PIECE,   /* some payload of a chunk on a known port */
    CHUNK_SKIPPED, /* a chunk on an unknown port began; its payload is passed over silently */
    CHUNK_BROKEN   /* the header announces more than LIMIT_CHUNK_IN: the stream is out of step for good */
} ChunkResult;

/* The state between two reads; all zero is a fresh stream. Private but for `port` and `left`. */
typedef struct ChunkReader {
    uint8_t header[CHUNK_HEADER_SIZE];
    size_t have;   /* header bytes collected */
    uint32_t port; /* of the current chunk */
    uint32_t left; /* payload still to come */
} ChunkReader;

/* A part of one chunk's payload, borrowed from the input. Never empty. */
typedef struct ChunkPiece {
    uint32_t port;
    const uint8_t *data;
    size_t size;
} ChunkPiece;

/*
 * Take the next piece from `in`. On CHUNK_PIECE `ret_piece` is filled; on CHUNK_SKIPPED and CHUNK_BROKEN its `port`
 * and `size` tell what the header announced, data is NULL. After CHUNK_BROKEN every call answers CHUNK_BROKEN until the
 * reader is zeroed. Call until CHUNK_MORE.
 */
ChunkResult chunk_next(ChunkReader *reader, BytesReader *in, ChunkPiece *ret_piece);

/* Write a chunk header. False without room for CHUNK_HEADER_SIZE. */
bool chunk_put_header(BytesWriter *out, uint32_t port, uint32_t size);

#endif
