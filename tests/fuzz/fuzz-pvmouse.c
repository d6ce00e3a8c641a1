/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Input: step, then frames that begin anywhere. Read as a peer does: search HELLO, then frame by frame. */
#include "fuzz.h"
#include "pvmouse.h"

#include <string.h>

typedef struct Peer {
    PvmouseReader reader;
    bool open;
} Peer;

static void feed(Peer *peer, const uint8_t *data, size_t size, uint64_t *digest)
{
    uint8_t again[PVMOUSE_FRAME_SIZE];
    BytesReader in = bytes_reader(data, size);
    PvmouseFrame frame = { 0 };

    while (peer->open ? pvmouse_read(&peer->reader, &in) : pvmouse_read_hello(&peer->reader, &in)) {
        PvmouseResult result = pvmouse_decode(peer->reader.bytes, &frame);

        FUZZ_CHECK(peer->open || (result == PVMOUSE_OK && frame.type == PVMOUSE_HELLO));
        *digest = fuzz_mix_number(fuzz_mix(*digest, peer->reader.bytes, PVMOUSE_FRAME_SIZE), result);
        peer->open = result != PVMOUSE_BAD_MAGIC;
        if (result != PVMOUSE_OK)
            continue;
        FUZZ_CHECK(frame.type >= PVMOUSE_HELLO && frame.type <= PVMOUSE_CREDIT);
        FUZZ_CHECK((frame.buttons & ~PVMOUSE_BUTTONS_ALL) == 0);
        pvmouse_encode(&frame, again);
        FUZZ_CHECK(memcmp(again, peer->reader.bytes, sizeof(again)) == 0);
    }
    FUZZ_CHECK(in.left == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0)
        FUZZ_BOTH_WAYS(Peer, { 0 }, feed, data + 1, size - 1, data[0]);
    return 0;
}
