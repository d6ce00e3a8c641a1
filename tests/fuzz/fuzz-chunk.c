/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Input: step, then a byte stream of chunks. */
#include "chunk.h"
#include "fuzz.h"
#include "limits.h"

static void feed(ChunkReader *reader, const uint8_t *data, size_t size, uint64_t *digest)
{
    BytesReader in = bytes_reader(data, size);
    ChunkPiece piece;
    ChunkResult result;

    while ((result = chunk_next(reader, &in, &piece)) == CHUNK_PIECE || result == CHUNK_SKIPPED) {
        FUZZ_CHECK((piece.port == 1 || piece.port == 2) == (result == CHUNK_PIECE));
        FUZZ_CHECK(reader->left <= LIMIT_CHUNK_IN);
        if (result == CHUNK_SKIPPED) {
            *digest = fuzz_mix_number(*digest, piece.port);
            continue;
        }
        FUZZ_CHECK(piece.size > 0 && piece.data >= data && piece.data + piece.size <= data + size);
        for (size_t i = 0; i < piece.size; i++)
            *digest = fuzz_mix_number(*digest, piece.port << 8 | piece.data[i]);
    }
    FUZZ_CHECK(result == CHUNK_BROKEN ? reader->left > LIMIT_CHUNK_IN : in.left == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0)
        FUZZ_BOTH_WAYS(ChunkReader, { 0 }, feed, data + 1, size - 1, data[0]);
    return 0;
}
