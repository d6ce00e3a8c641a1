/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "events.h"
#include "hex.h"
#include "vsc.h"

#define INIT "00000001 ffffffff 0000000c 56534344 00000002 00000000 "
#define SUCCESS "00000002 00000000 00000004 00000000 "

static const struct {
    const char *name, *input, *from_qemu, *from_client;
} cases[] = {
    { "nothing", "", "", "" },
    { "init", INIT, "1/4294967295:565343440000000200000000", "refused1/12" },
    { "error", SUCCESS, "2/0:00000000", "2/0:00000000" },
    { "error without code", "00000002 00000000 00000000" SUCCESS, "refused2/0 2/0:00000000",
      "refused2/0 2/0:00000000" },
    { "error too long", "00000002 00000000 00000005 0102030405" SUCCESS, "refused2/5 2/0:00000000",
      "refused2/5 2/0:00000000" },
    { "reader added", "00000003 00000000 00000000" SUCCESS, "refused3/0 2/0:00000000", "3/0: 2/0:00000000" },
    { "reader removed", "00000004 00000001 00000000", "refused4/0", "4/1:" },
    { "reader removed with data", "00000004 00000001 00000001 00", "refused4/1", "refused4/1" },
    { "atr", "00000005 00000000 00000002 3b00", "refused5/2", "5/0:3b00" },
    { "card removed", "00000006 00000000 00000000", "refused6/0", "6/0:" },
    { "apdu", "00000007 00000000 00000005 00a4040000", "7/0:00a4040000", "7/0:00a4040000" },
    { "empty apdu", "00000007 00000000 00000000", "7/0:", "7/0:" },
    { "two apdus", "00000007 00000000 00000001 01 00000007 00000000 00000001 02", "7/0:01 7/0:02", "7/0:01 7/0:02" },
    { "flush, which neither sends", "00000008 00000000 00000000" SUCCESS, "refused8/0 2/0:00000000",
      "refused8/0 2/0:00000000" },
    { "type 0", "00000000 00000000 00000002 0102" SUCCESS, "refused0/2 2/0:00000000", "refused0/2 2/0:00000000" },
    { "type 2^32-1", "ffffffff 00000000 00000001 01" SUCCESS, "refused4294967295/1 2/0:00000000",
      "refused4294967295/1 2/0:00000000" },
    { "little-endian", "07000000 00000000 01000000", "refused117440512/16777216", "refused117440512/16777216" },
    { "apdu of 2^31", "00000007 00000000 80000000 010203", "refused7/2147483648", "refused7/2147483648" },
    { "apdu of 2^32-1", "00000007 00000000 ffffffff 010203", "refused7/4294967295", "refused7/4294967295" },
    { "header cut", "00000007 00000000 000000", "", "" },
    { "apdu cut", "00000007 00000000 00000002 01", "", "" },
};

static void feed(VscReader *reader, VscSide side, const uint8_t *data, size_t size, Events *events)
{
    BytesReader in = bytes_reader(data, size);
    VscMessage message;
    char prefix[32];

    for (;;) {
        switch (vsc_next(reader, side, &in, &message)) {
        case VSC_MORE:
            CHECK_EQ(in.left, 0);
            return;
        case VSC_MESSAGE:
            CHECK_EQ(message.size, VSC_HEADER_SIZE + message.length);
            snprintf(prefix, sizeof(prefix), "%u/%u:", message.type, message.reader);
            events_data(events, prefix, message.data + VSC_HEADER_SIZE, message.length);
            events->in_data = false;
            break;
        case VSC_REFUSED:
            CHECK(message.data == NULL);
            events_add(events, "refused%u/%u", message.type, message.length);
            break;
        }
    }
}

static void test_cases(void)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t data[128];
        size_t size = hex(cases[i].input, data, sizeof(data));

        for (VscSide side = VSC_CLIENT; side <= VSC_QEMU; side++) {
            const char *expected = side == VSC_QEMU ? cases[i].from_qemu : cases[i].from_client;

            for (size_t cut = 0; cut <= size; cut++) {
                VscReader reader = { 0 };
                Events events = { 0 };

                check_case("%s, from %d, cut at %zu", cases[i].name, side, cut);
                feed(&reader, side, data, cut, &events);
                feed(&reader, side, data + cut, size - cut, &events);
                CHECK_STR(events.text, expected);
            }
            for (size_t step = 1; step <= 3; step++) {
                VscReader reader = { 0 };
                Events events = { 0 };

                check_case("%s, from %d, in steps of %zu", cases[i].name, side, step);
                for (size_t at = 0; at < size; at += step)
                    feed(&reader, side, data + at, step < size - at ? step : size - at, &events);
                CHECK_STR(events.text, expected);
            }
        }
    }
}

/* The next message of `in`, or, when that is used up before `end`, of the rest, which begins at `cut`. */
static VscResult next_of_two(VscReader *reader, BytesReader *in, const uint8_t *cut, const uint8_t *end,
                             VscMessage *ret_message)
{
    VscResult result = vsc_next(reader, VSC_QEMU, in, ret_message);

    if (result != VSC_MORE || in->at == end)
        return result;
    *in = bytes_reader(cut, (size_t)(end - cut));
    return vsc_next(reader, VSC_QEMU, in, ret_message);
}

/* Around the bound: what is told is the message as it came, and the next is found behind one that is passed over. */
static void test_bound(void)
{
    for (uint32_t length = VSC_LENGTH_MAX - 1; length <= VSC_LENGTH_MAX + 20; length++) {
        uint8_t data[512] = { 0, 0, 0, VSC_TYPE_APDU, 0, 0, 0, 3, 0, 0, (uint8_t)(length >> 8), (uint8_t)length };
        size_t size = VSC_HEADER_SIZE + length;

        for (size_t i = VSC_HEADER_SIZE; i < size; i++)
            data[i] = (uint8_t)i;
        data[size + 3] = VSC_TYPE_APDU;
        for (size_t cut = 0; cut <= size + VSC_HEADER_SIZE; cut++) {
            VscReader reader = { 0 };
            BytesReader in = bytes_reader(data, cut);
            VscMessage message = { 0 };
            VscResult result;
            const uint8_t *end = data + size + VSC_HEADER_SIZE;

            check_case("length %u, cut at %zu", length, cut);
            result = next_of_two(&reader, &in, data + cut, end, &message);
            CHECK_EQ(result, length <= VSC_LENGTH_MAX ? VSC_MESSAGE : VSC_REFUSED);
            CHECK_EQ(message.length, length);
            CHECK_EQ(message.reader, 3);
            if (result == VSC_MESSAGE) {
                CHECK_EQ(message.size, size);
                CHECK_MEM(message.data, data, size);
            }
            result = next_of_two(&reader, &in, data + cut, end, &message);
            CHECK_EQ(result, VSC_MESSAGE);
            CHECK_EQ(message.length, 0);
            CHECK_EQ(in.left, 0);
        }
    }
}

static void test_answer(void)
{
    static const uint8_t expected[] = { 0, 0, 0, 7, 1, 2, 3, 4, 0, 0, 0, 2, 0x67, 0 };
    uint8_t data[sizeof(expected)] = { 0 };

    for (size_t room = 0; room <= sizeof(data); room++) {
        BytesWriter out = bytes_writer(data, room);

        check_case("answer with room for %zu", room);
        CHECK_EQ(vsc_put_wrong_length(&out, 0x01020304), room == sizeof(data));
        CHECK_EQ(out.used, room == sizeof(data) ? room : 0);
    }
    CHECK_MEM(data, expected, sizeof(expected));
}

int main(void)
{
    test_cases();
    test_bound();
    test_answer();
    return check_done();
}
