/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "events.h"
#include "hex.h"
#include "stream.h"

#define HEADER(type, size) "01000000 " type "000000 0000000000000000 " size " "
#define MOUSE HEADER("01", "0d000000") "01000000 02000000 00000000 00 "
#define RELEASE HEADER("09", "04000000") "01000000 "

typedef struct Case {
    const char *name, *input, *events;
    unsigned direction;
    bool idle; /* at the end */
} Case;

/* All under the layout capabilities. */
static const Case cases[] = {
    { "nothing", "", "", VDAGENT_TO_GUEST, true },
    { "message", MOUSE, "mouse-state", VDAGENT_TO_GUEST, true },
    { "two", MOUSE RELEASE, "mouse-state clipboard-release", VDAGENT_TO_GUEST, true },
    { "without body", HEADER("0d", "00000000") MOUSE, "client-disconnected mouse-state", VDAGENT_TO_GUEST, true },
    { "bulk", HEADER("04", "0b000000") "00000000 01000000 616263" MOUSE, "[clipboard/3 616263 ] mouse-state",
      VDAGENT_TO_GUEST, true },
    { "empty bulk", HEADER("04", "08000000") "00000000 01000000" MOUSE, "[clipboard/0 ] mouse-state",
      VDAGENT_TO_GUEST, true },
    { "file data", HEADER("0c", "0e000000") "01000000 0200000000000000 0102", "[file-xfer-data/2 0102 ]",
      VDAGENT_TO_GUEST, true },
    { "bulk never finished", HEADER("04", "ffffffff") "00000000 01000000 6162", "[clipboard/4294967287 6162",
      VDAGENT_TO_GUEST, false },
    { "2^31 announced for bulk", HEADER("04", "00000080") "01000000 02000000 00", "[clipboard/2147483640 00",
      VDAGENT_TO_GUEST, false },
    { "message never finished", HEADER("01", "0d000000") "01000000", "", VDAGENT_TO_GUEST, false },
    { "header only", HEADER("0d", "00000000") "01000000 0d", "client-disconnected", VDAGENT_TO_GUEST, false },
    { "unknown type", HEADER("11", "02000000") "0102" MOUSE, "refused17:1 mouse-state", VDAGENT_TO_GUEST, true },
    { "type 0 without body", HEADER("00", "00000000") MOUSE, "refused0:1 mouse-state", VDAGENT_TO_GUEST, true },
    { "wrong size", HEADER("01", "0e000000") "01000000 02000000 00000000 0000" MOUSE, "refused1:2 mouse-state",
      VDAGENT_TO_GUEST, true },
    { "size 0", HEADER("01", "00000000") MOUSE, "refused1:2 mouse-state", VDAGENT_TO_GUEST, true },
    { "2^31 announced", HEADER("0a", "00000080") "0102", "refused10:2", VDAGENT_TO_GUEST, false },
    { "2^32-1 announced", HEADER("10", "ffffffff") "0102", "refused16:2", VDAGENT_TO_GUEST, false },
    { "bulk head too short", HEADER("04", "07000000") "00000000 010000" MOUSE, "refused4:2 mouse-state",
      VDAGENT_TO_GUEST, true },
    { "wrong value", HEADER("09", "04000000") "03000000" MOUSE, "refused9:3 mouse-state", VDAGENT_TO_GUEST, true },
    { "wrong value in a bulk head", HEADER("04", "0a000000") "03000000 01000000 6162" MOUSE, "refused4:3 mouse-state",
      VDAGENT_TO_GUEST, true },
    { "wrong way to the guest", HEADER("03", "08000000") "02000000 01000000" MOUSE, "refused3:4 mouse-state",
      VDAGENT_TO_GUEST, true },
    { "wrong way to the host", MOUSE RELEASE, "refused1:4 clipboard-release", VDAGENT_TO_HOST, true },
    { "wrong way, bulk", HEADER("0c", "0e000000") "01000000 0200000000000000 0102" RELEASE,
      "refused12:4 clipboard-release", VDAGENT_TO_HOST, true },
    { "other protocol", MOUSE "02000000 01000000 0000000000000000 0d000000", "mouse-state broken",
      VDAGENT_TO_GUEST, false },
};

static void feed(Stream *stream, const uint8_t *data, size_t size, Events *events)
{
    BytesReader in = bytes_reader(data, size);

    for (;;) {
        StreamEvent event;

        switch (stream_next(stream, &in, &event)) {
        case STREAM_MORE:
            CHECK_EQ(in.left, 0);
            return;
        case STREAM_MESSAGE:
            CHECK_EQ(event.message.type, event.header.type);
            CHECK(!vdagent_type(event.header.type)->bulk);
            CHECK(stream_idle(stream));
            events_add(events, "%s", vdagent_name(event.message.type));
            break;
        case STREAM_BULK:
            events_add(events, "[%s/%" PRIu64, vdagent_name(event.message.type),
                       event.message.type == VD_AGENT_CLIPBOARD ? (uint64_t)event.message.clipboard.size
                                                                : event.message.file_data.size);
            break;
        case STREAM_DATA:
            CHECK(event.size > 0 && event.data >= data && event.data + event.size <= data + size);
            events_data(events, "", event.data, event.size);
            break;
        case STREAM_BULK_END:
            CHECK(stream_idle(stream));
            events_add(events, "]");
            break;
        case STREAM_REFUSED:
            events_add(events, "refused%u:%d", event.header.type, event.why);
            break;
        case STREAM_BROKEN:
            if (strstr(events->text, "broken") == NULL)
                events_add(events, "broken");
            return;
        }
    }
}

static Stream fresh(unsigned direction)
{
    Stream stream;

    stream_init(&stream, direction);
    stream.caps = *vdagent_layout_caps();
    return stream;
}

static void test_cases(void)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t data[128];
        size_t size = hex(cases[i].input, data, sizeof(data));

        for (size_t cut = 0; cut <= size; cut++) {
            Stream stream = fresh(cases[i].direction);
            Events events = { 0 };

            check_case("%s, cut at %zu", cases[i].name, cut);
            CHECK(stream_idle(&stream));
            feed(&stream, data, cut, &events);
            feed(&stream, data + cut, size - cut, &events);
            CHECK_STR(events.text, cases[i].events);
            CHECK_EQ(stream_idle(&stream), cases[i].idle);
        }
        for (size_t step = 1; step <= 3; step++) {
            Stream stream = fresh(cases[i].direction);
            Events events = { 0 };

            check_case("%s, in steps of %zu", cases[i].name, step);
            for (size_t at = 0; at < size; at += step)
                feed(&stream, data + at, step < size - at ? step : size - at, &events);
            CHECK_STR(events.text, cases[i].events);
        }
    }
}

/* A half-read message of each kind is forgotten; what was agreed, and the direction, are not. */
static void test_reset(void)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t data[128], more[128];
        size_t size = hex(cases[i].input, data, sizeof(data)), count = hex(RELEASE, more, sizeof(more));

        for (size_t cut = 0; cut <= size; cut++) {
            Stream stream = fresh(VDAGENT_TO_GUEST);
            Events events = { 0 };

            check_case("%s, reset at %zu", cases[i].name, cut);
            feed(&stream, data, cut, &events);
            stream_reset(&stream);
            CHECK(stream_idle(&stream));
            CHECK_EQ(stream.direction, VDAGENT_TO_GUEST);
            events = (Events){ 0 };
            feed(&stream, more, count, &events);
            CHECK_STR(events.text, "clipboard-release");
        }
    }
}

/* A change of what is agreed waits for the next message. */
static void test_caps(void)
{
    uint8_t data[128];
    size_t size = hex(HEADER("04", "06000000") "01000000 6162" HEADER("09", "04000000") "01000000", data, sizeof(data));

    for (size_t cut = MESSAGE_HEADER_SIZE; cut <= MESSAGE_HEADER_SIZE + 6; cut++) {
        Stream stream;
        Events events = { 0 };

        check_case("agreed at %zu", cut);
        stream_init(&stream, VDAGENT_TO_GUEST);
        feed(&stream, data, cut, &events);
        stream.caps = *vdagent_layout_caps();
        feed(&stream, data + cut, size - cut, &events);
        CHECK_STR(events.text, "[clipboard/2 6162 ] clipboard-release");
    }
}

static void test_broken_stays(void)
{
    uint8_t bad[MESSAGE_HEADER_SIZE] = { 0 }, good[64];
    size_t size = hex(MOUSE, good, sizeof(good));
    Stream stream = fresh(VDAGENT_TO_GUEST);
    BytesReader in = bytes_reader(bad, sizeof(bad));
    StreamEvent event;
    Events events = { 0 };

    check_case("broken until reset");
    CHECK_EQ(stream_next(&stream, &in, &event), STREAM_BROKEN);
    in = bytes_reader(good, size);
    CHECK_EQ(stream_next(&stream, &in, &event), STREAM_BROKEN);
    stream_reset(&stream);
    feed(&stream, good, size, &events);
    CHECK_STR(events.text, "mouse-state");
}

/* Whatever is announced, the memory is this. */
static void test_memory(void)
{
    check_case("memory");
    CHECK(sizeof(Stream) <= LIMIT_MESSAGE + 256);
}

int main(void)
{
    test_cases();
    test_reset();
    test_caps();
    test_broken_stays();
    test_memory();
    return check_done();
}
