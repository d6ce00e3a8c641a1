/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "events.h"
#include "hex.h"
#include "message.h"

typedef struct Case {
    const char *name, *input, *events;
    bool idle; /* at the end */
} Case;

#define HEADER(type, size) "01000000 " type " 8877665544332211 " size " "

static const Case cases[] = {
    { "nothing", "", "", true },
    { "empty body", HEADER("0d000000", "00000000"), "begin13/0 end", true },
    { "body", HEADER("04000000", "03000000") "aabbcc", "begin4/3 aabbcc end", true },
    { "two", HEADER("04000000", "01000000") "aa" HEADER("0d000000", "00000000"),
      "begin4/1 aa end begin13/0 end", true },
    { "two empty", HEADER("0d000000", "00000000") HEADER("0d000000", "00000000"), "begin13/0 end begin13/0 end", true },
    { "unknown type", HEADER("ffffffff", "01000000") "aa", "begin4294967295/1 aa end", true },
    { "never finished", HEADER("04000000", "ffffffff") "aabb", "begin4/4294967295 aabb", false },
    { "2^31 announced", HEADER("0c000000", "00000080"), "begin12/2147483648", false },
    { "header cut", "01000000 04000000 00", "", false },
    { "protocol 0", "00000000 04000000 0000000000000000 00000000", "bad", false },
    { "protocol 2", "02000000 04000000 0000000000000000 01000000 00", "bad", false },
    { "protocol wrong in the highest byte", "01000001 04000000 0000000000000000 01000000 00", "bad", false },
    { "bad behind good", HEADER("04000000", "01000000") "aa 0000000004000000000000000000000000000000",
      "begin4/1 aa end bad", false },
};

static void feed(MessageReader *reader, const uint8_t *data, size_t size, Events *events)
{
    BytesReader in = bytes_reader(data, size);

    for (;;) {
        const uint8_t *piece = NULL;
        size_t count = 0;

        switch (message_next(reader, &in, &piece, &count)) {
        case MESSAGE_MORE:
            CHECK_EQ(in.left, 0);
            return;
        case MESSAGE_BEGIN:
            CHECK_EQ(reader->header.opaque, 0x1122334455667788);
            events_add(events, "begin%u/%u", reader->header.type, reader->header.size);
            break;
        case MESSAGE_BODY:
            CHECK(count > 0 && piece >= data && piece + count <= data + size);
            events_data(events, "", piece, count);
            break;
        case MESSAGE_END:
            events_add(events, "end");
            CHECK(message_idle(reader));
            break;
        case MESSAGE_BAD_PROTOCOL:
            if (strstr(events->text, "bad") == NULL)
                events_add(events, "bad");
            return;
        }
    }
}

static void test_cases(void)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t data[128];
        size_t size = hex(cases[i].input, data, sizeof(data));

        for (size_t cut = 0; cut <= size; cut++) {
            MessageReader reader = { 0 };
            Events events = { 0 };

            check_case("%s, cut at %zu", cases[i].name, cut);
            feed(&reader, data, cut, &events);
            feed(&reader, data + cut, size - cut, &events);
            CHECK_STR(events.text, cases[i].events);
            CHECK_EQ(message_idle(&reader), cases[i].idle);
        }
        for (size_t step = 1; step <= 3; step++) {
            MessageReader reader = { 0 };
            Events events = { 0 };

            check_case("%s, in steps of %zu", cases[i].name, step);
            for (size_t at = 0; at < size; at += step)
                feed(&reader, data + at, step < size - at ? step : size - at, &events);
            CHECK_STR(events.text, cases[i].events);
        }
    }
}

static void test_header(void)
{
    const MessageHeader header = { .type = 4, .opaque = UINT64_C(0x1122334455667788), .size = 0xfffefdfc };
    uint8_t expected[MESSAGE_HEADER_SIZE], data[MESSAGE_HEADER_SIZE] = { 0 };

    hex(HEADER("04000000", "fcfdfeff"), expected, sizeof(expected));
    for (size_t room = 0; room <= sizeof(data); room++) {
        BytesWriter out = bytes_writer(data, room);

        check_case("header with room for %zu", room);
        CHECK_EQ(message_put_header(&out, &header), room == sizeof(data));
        CHECK_EQ(out.used, room == sizeof(data) ? room : 0);
    }
    CHECK_MEM(data, expected, sizeof(expected));
}

int main(void)
{
    test_cases();
    test_header();
    return check_done();
}
