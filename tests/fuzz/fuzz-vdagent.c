/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Input: type, capabilities (bit 0 selection, 1 serial, 2 details), the highest byte of the size of bulk data, body. */
#include "bounds.h"
#include "fuzz.h"
#include "message.h"

static Caps caps_from(uint8_t bits)
{
    static const unsigned list[] = { VD_AGENT_CAP_CLIPBOARD_SELECTION, VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL,
                                     VD_AGENT_CAP_FILE_XFER_DETAILED_ERRORS };
    Caps caps = { 0 };

    for (size_t i = 0; i < 3; i++) {
        if (bits >> i & 1)
            caps_add(&caps, list[i]);
    }
    return caps;
}

/* What encode writes for a message that was decoded, decoded and written once more, is the same. */
static void round_trip(const Caps *caps, const VdagentMessage *message)
{
    uint8_t first[MESSAGE_HEADER_SIZE + LIMIT_MESSAGE], second[sizeof(first)];
    BytesWriter out = bytes_writer(first, sizeof(first)), out_again = bytes_writer(second, sizeof(second));
    BytesReader header = bytes_reader(first + MESSAGE_HEADER_SIZE - 4, 4);
    VdagentMessage again;
    uint32_t size = 0;

    FUZZ_CHECK(vdagent_encode(caps, message, &out) == VDAGENT_OK && bytes_get_u32(&header, &size));
    FUZZ_CHECK(vdagent_decode(caps, message->type, size, first + MESSAGE_HEADER_SIZE, &again) == VDAGENT_OK);
    FUZZ_CHECK(vdagent_encode(caps, &again, &out_again) == VDAGENT_OK);
    FUZZ_CHECK(out.used == out_again.used && memcmp(first, second, out.used) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    VdagentMessage message;
    uint32_t body;
    Caps caps;

    if (size < 3 || size - 3 > 2 * LIMIT_MESSAGE)
        return 0;
    caps = caps_from(data[1]);
    body = (uint32_t)(size - 3);
    if (vdagent_check(&caps, data[0], body) != VDAGENT_OK)
        return 0;
    if (vdagent_type(data[0])->bulk)
        body += (uint32_t)data[2] << 24;
    FUZZ_CHECK(vdagent_need(&caps, data[0], body) <= LIMIT_MESSAGE && vdagent_need(&caps, data[0], body) <= size - 3);
    if (vdagent_decode(&caps, data[0], body, data + 3, &message) == VDAGENT_OK) {
        FUZZ_CHECK(message_in_bounds(&message, body));
        round_trip(&caps, &message);
    }
    return 0;
}
