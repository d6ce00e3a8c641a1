/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Input: step with the side in its top bit, then a byte stream of smartcard messages. */
#include "fuzz.h"
#include "vsc.h"

typedef struct Stream {
    VscReader reader;
    VscSide side;
} Stream;

static void feed(Stream *stream, const uint8_t *data, size_t size, uint64_t *digest)
{
    BytesReader in = bytes_reader(data, size);
    VscMessage message;
    VscResult result;

    while ((result = vsc_next(&stream->reader, stream->side, &in, &message)) != VSC_MORE) {
        *digest = fuzz_mix_number(*digest, (uint64_t)message.length << 32 | message.type);
        if (result == VSC_REFUSED) {
            FUZZ_CHECK(message.data == NULL);
            continue;
        }
        /* What libspice-server has room for, and its own header says so. */
        FUZZ_CHECK(message.size == VSC_HEADER_SIZE + message.length && message.size <= 270 + 12);
        FUZZ_CHECK(message.data[8] == 0 && message.data[9] == 0);
        FUZZ_CHECK((size_t)(message.data[10] << 8 | message.data[11]) == message.length);
        FUZZ_CHECK(message.type == VSC_TYPE_APDU || message.type == VSC_TYPE_ERROR ||
                   (stream->side == VSC_QEMU) == (message.type == VSC_TYPE_INIT));
        *digest = fuzz_mix(*digest, message.data, message.size);
    }
    FUZZ_CHECK(in.left == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0) {
        Stream fresh = { .side = data[0] & 0x80 ? VSC_CLIENT : VSC_QEMU };

        FUZZ_BOTH_WAYS(Stream, fresh, feed, data + 1, size - 1, data[0] & 0x7f);
    }
    return 0;
}
