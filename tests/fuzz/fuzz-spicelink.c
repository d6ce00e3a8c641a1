/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Input: step, then what a client says on one SPICE connection. */
#include "fuzz.h"
#include "spicelink.h"

typedef struct Stream {
    Spicelink link;
    bool over;
} Stream;

static void feed(Stream *stream, const uint8_t *data, size_t size, uint64_t *digest)
{
    BytesReader in = bytes_reader(data, size);
    /* The room is exact, so that a sanitizer sees a byte too many. */
    uint8_t *room = malloc(size + SPICELINK_KEPT_MAX);
    BytesWriter out = bytes_writer(room, size + SPICELINK_KEPT_MAX);
    const char *why = stream->over ? "" : spicelink_pass(&stream->link, &in, &out);

    FUZZ_CHECK(out.used <= size + SPICELINK_KEPT_MAX);
    if (!why) {
        FUZZ_CHECK(in.left == 0);
        FUZZ_CHECK(stream->link.have < stream->link.want || stream->link.counting);
        FUZZ_CHECK(stream->link.size <= SPICELINK_DATA_MAX);
        *digest = fuzz_mix(*digest, room, out.used);
    } else if (!stream->over) {
        stream->over = true;
        *digest = 1; /* how much had come out before depends on the step */
    }
    free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0) {
        Stream fresh = { 0 };

        spicelink_init(&fresh.link);
        FUZZ_BOTH_WAYS(Stream, fresh, feed, data + 1, size - 1, data[0]);
    }
    return 0;
}
