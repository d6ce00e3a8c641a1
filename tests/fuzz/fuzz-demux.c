/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Input: step, capabilities (bit 0: layout capabilities), sizes of two displays (u16 each), then a port's bytes. */
#include "bounds.h"
#include "demux.h"
#include "fuzz.h"

#define HEAD 10

static Demux make(const uint8_t *head)
{
    BytesReader in = bytes_reader(head + 2, HEAD - 2);
    Demux demux;

    demux_init(&demux);
    if (head[1] & 1)
        demux_set_caps(&demux, vdagent_layout_caps());
    for (uint32_t i = 0; i < 2; i++) {
        uint16_t w = 0, h = 0;

        FUZZ_CHECK(bytes_get_u16(&in, &w) && bytes_get_u16(&in, &h));
        demux_set_size(&demux, i, w, h);
    }
    return demux;
}

static void feed(Demux *demux, const uint8_t *data, size_t size, uint64_t *digest)
{
    uint8_t frame[PVMOUSE_FRAME_SIZE];
    BytesReader in = bytes_reader(data, size);
    DemuxEvent event;
    DemuxResult result;

    while ((result = demux_next(demux, &in, &event)) != DEMUX_MORE) {
        if (result == DEMUX_AGENT && event.result == STREAM_DATA) {
            FUZZ_CHECK(event.stream.data >= data && event.stream.data + event.stream.size <= data + size);
            *digest = fuzz_mix(*digest, event.stream.data, event.stream.size);
            continue;
        }
        *digest = fuzz_mix_number(fuzz_mix_number(*digest, result), event.port);
        if (result == DEMUX_POINTER) {
            PvmouseFrame again;

            FUZZ_CHECK(event.pointer.type == PVMOUSE_STATE && event.pointer.display < 2);
            pvmouse_encode(&event.pointer, frame);
            FUZZ_CHECK(pvmouse_decode(frame, &again) == PVMOUSE_OK);
            *digest = fuzz_mix(*digest, frame, sizeof(frame));
        }
        if (result == DEMUX_AGENT && (event.result == STREAM_MESSAGE || event.result == STREAM_BULK)) {
            FUZZ_CHECK(event.stream.message.type != VD_AGENT_MOUSE_STATE);
            FUZZ_CHECK(message_in_bounds(&event.stream.message, event.stream.header.size));
        }
    }
    FUZZ_CHECK(in.left == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= HEAD)
        FUZZ_BOTH_WAYS(Demux, make(data), feed, data + HEAD, size - HEAD, data[0]);
    return 0;
}
