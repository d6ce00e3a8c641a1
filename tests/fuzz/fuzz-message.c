/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Input: step, then a byte stream of messages. */
#include "fuzz.h"
#include "message.h"

static void feed(MessageReader *reader, const uint8_t *data, size_t size, uint64_t *digest)
{
    BytesReader in = bytes_reader(data, size);
    const uint8_t *piece;
    size_t count;
    MessageResult result;

    while ((result = message_next(reader, &in, &piece, &count)) != MESSAGE_MORE && result != MESSAGE_BAD_PROTOCOL) {
        if (result == MESSAGE_BODY) {
            FUZZ_CHECK(count > 0 && piece >= data && piece + count <= data + size);
            FUZZ_CHECK(count + reader->left <= reader->header.size);
            *digest = fuzz_mix(*digest, piece, count);
            continue;
        }
        FUZZ_CHECK(result != MESSAGE_END || (reader->left == 0 && message_idle(reader)));
        *digest = fuzz_mix_number(*digest, (uint64_t)reader->header.size << 32 | reader->header.type);
    }
    FUZZ_CHECK(result == MESSAGE_BAD_PROTOCOL || in.left == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0)
        FUZZ_BOTH_WAYS(MessageReader, { 0 }, feed, data + 1, size - 1, data[0]);
    return 0;
}
