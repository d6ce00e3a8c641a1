/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "chunk.h"
#include "events.h"
#include "hex.h"
#include "limits.h"

typedef struct Case {
    const char *name, *input, *events;
} Case;

/* Payload that comes in several pieces is one word in the events. */
static const Case cases[] = {
    { "nothing", "", "" },
    { "client port", "01000000 03000000 aabbcc", "1:aabbcc" },
    { "server port", "02000000 01000000 07", "2:07" },
    { "empty chunk", "01000000 00000000", "" },
    { "empty chunk between", "01000000 00000000 02000000 01000000 55 02000000 00000000", "2:55" },
    { "ports in turn", "01000000 02000000 0102 02000000 02000000 0304 01000000 01000000 05", "1:0102 2:0304 1:05" },
    { "port 0 passed over", "00000000 02000000 0102 01000000 01000000 aa", "skip0/2 1:aa" },
    { "port 99 passed over", "63000000 03000000 010203 02000000 01000000 bb", "skip99/3 2:bb" },
    { "port 3 passed over", "03000000 01000000 01", "skip3/1" },
    { "port 2^32-1 without payload", "ffffffff 00000000 01000000 01000000 cc", "skip4294967295/0 1:cc" },
    { "largest on port 99", "63000000 00000100", "skip99/65536" },
    { "too large by one", "01000000 01000100 00", "broken1/65537" },
    { "size 2^31", "01000000 00000080 0102", "broken1/2147483648" },
    { "size 2^32-1", "02000000 ffffffff", "broken2/4294967295" },
    { "unknown port and too large", "63000000 ffffffff", "broken99/4294967295" },
    { "broken behind good", "01000000 01000000 11 01000000 00000001 22", "1:11 broken1/16777216" },
    { "header cut", "01000000 010000", "" },
};

static void feed(ChunkReader *reader, const uint8_t *data, size_t size, Events *events)
{
    BytesReader in = bytes_reader(data, size);

    for (;;) {
        ChunkPiece piece = { 0 };

        switch (chunk_next(reader, &in, &piece)) {
        case CHUNK_MORE:
            CHECK_EQ(in.left, 0);
            return;
        case CHUNK_PIECE:
            CHECK(piece.size > 0 && piece.data >= data && piece.data + piece.size <= data + size);
            events_data(events, piece.port == 1 ? "1:" : piece.port == 2 ? "2:" : "?:", piece.data, piece.size);
            events->in_data = reader->left > 0;
            break;
        case CHUNK_SKIPPED:
            CHECK(piece.data == NULL);
            events_add(events, "skip%u/%zu", piece.port, piece.size);
            break;
        case CHUNK_BROKEN:
            CHECK(piece.data == NULL);
            if (strstr(events->text, "broken") == NULL)
                events_add(events, "broken%u/%zu", piece.port, piece.size);
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
            ChunkReader reader = { 0 };
            Events events = { 0 };

            check_case("%s, cut at %zu", cases[i].name, cut);
            feed(&reader, data, cut, &events);
            feed(&reader, data + cut, size - cut, &events);
            CHECK_STR(events.text, cases[i].events);
        }
        for (size_t step = 1; step <= 3; step++) {
            ChunkReader reader = { 0 };
            Events events = { 0 };

            check_case("%s, in steps of %zu", cases[i].name, step);
            for (size_t at = 0; at < size; at += step)
                feed(&reader, data + at, step < size - at ? step : size - at, &events);
            CHECK_STR(events.text, cases[i].events);
        }
    }
}

static void test_largest(void)
{
    static uint8_t data[CHUNK_HEADER_SIZE + LIMIT_CHUNK_IN];
    BytesWriter out = bytes_writer(data, sizeof(data));
    BytesReader in = bytes_reader(data, sizeof(data));
    ChunkReader reader = { 0 };
    ChunkPiece piece;

    check_case("largest chunk");
    CHECK(chunk_put_header(&out, 1, LIMIT_CHUNK_IN));
    CHECK_EQ(chunk_next(&reader, &in, &piece), CHUNK_PIECE);
    CHECK_EQ(piece.size, LIMIT_CHUNK_IN);
    CHECK_EQ(chunk_next(&reader, &in, &piece), CHUNK_MORE);
}

static void test_broken_stays(void)
{
    static const uint8_t bad[] = { 1, 0, 0, 0, 0, 0, 0, 0x80 }, good[] = { 1, 0, 0, 0, 1, 0, 0, 0, 9 };
    BytesReader in = bytes_reader(bad, sizeof(bad));
    ChunkReader reader = { 0 };
    ChunkPiece piece;

    check_case("broken stays broken until zeroed");
    CHECK_EQ(chunk_next(&reader, &in, &piece), CHUNK_BROKEN);
    in = bytes_reader(good, sizeof(good));
    CHECK_EQ(chunk_next(&reader, &in, &piece), CHUNK_BROKEN);
    reader = (ChunkReader){ 0 };
    in = bytes_reader(good, sizeof(good));
    CHECK_EQ(chunk_next(&reader, &in, &piece), CHUNK_PIECE);
    CHECK_EQ(piece.data[0], 9);
}

static void test_header(void)
{
    static const uint8_t expected[] = { 2, 0, 0, 0, 0, 8, 0, 0 };
    uint8_t data[CHUNK_HEADER_SIZE] = { 0 };

    for (size_t room = 0; room <= sizeof(data); room++) {
        BytesWriter out = bytes_writer(data, room);

        check_case("header with room for %zu", room);
        CHECK_EQ(chunk_put_header(&out, 2, 2048), room == sizeof(data));
        CHECK_EQ(out.used, room == sizeof(data) ? room : 0);
    }
    CHECK_MEM(data, expected, sizeof(expected));
}

int main(void)
{
    test_cases();
    test_largest();
    test_broken_stays();
    test_header();
    return check_done();
}
