/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Input: step, direction and capabilities (bit 0: to the host, 1: layout capabilities), then a stream of messages. */
#include "bounds.h"
#include "fuzz.h"
#include "stream.h"

static Stream make(uint8_t flags)
{
    Stream stream;

    stream_init(&stream, flags & 1 ? VDAGENT_TO_HOST : VDAGENT_TO_GUEST);
    if (flags & 2)
        stream.caps = *vdagent_layout_caps();
    return stream;
}

static void feed(Stream *stream, const uint8_t *data, size_t size, uint64_t *digest)
{
    uint8_t out[MESSAGE_HEADER_SIZE + LIMIT_MESSAGE];
    BytesReader in = bytes_reader(data, size);
    StreamEvent event;
    StreamResult result;

    while ((result = stream_next(stream, &in, &event)) != STREAM_MORE && result != STREAM_BROKEN) {
        BytesWriter writer = bytes_writer(out, sizeof(out));

        if (result == STREAM_DATA) {
            FUZZ_CHECK(event.size > 0 && event.data >= data && event.data + event.size <= data + size);
            *digest = fuzz_mix(*digest, event.data, event.size);
            continue;
        }
        *digest = fuzz_mix_number(fuzz_mix_number(*digest, result), event.header.type);
        if (result != STREAM_MESSAGE && result != STREAM_BULK)
            continue;
        FUZZ_CHECK(vdagent_type(event.header.type)->bulk == (result == STREAM_BULK));
        FUZZ_CHECK((vdagent_type(event.header.type)->direction & stream->direction) != 0);
        FUZZ_CHECK(event.message.type == event.header.type && message_in_bounds(&event.message, event.header.size));
        FUZZ_CHECK(vdagent_encode(&stream->caps, &event.message, &writer) == VDAGENT_OK);
        *digest = fuzz_mix(*digest, out, writer.used);
    }
    FUZZ_CHECK(result == STREAM_BROKEN || in.left == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1)
        FUZZ_BOTH_WAYS(Stream, make(data[1]), feed, data + 2, size - 2, data[0]);
    return 0;
}
