/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bytes.h"
#include "check.h"

static const uint8_t data[8] = { 0x01, 0x82, 0x03, 0x84, 0x05, 0x86, 0x07, 0x88 };

typedef struct Item {
    size_t size;
    uint64_t value;
} Item;

static const Item items[] = {
    { 1, 0x01 }, { 2, 0x8201 }, { 4, 0x84038201 }, { 8, UINT64_C(0x8807860584038201) },
};

/* A get of `size` bytes, with a result that shows whether it was written. */
static bool get(BytesReader *reader, size_t size, uint64_t *ret_value)
{
    uint8_t u8 = 0x5a;
    uint16_t u16 = 0x5a;
    uint32_t u32 = 0x5a;
    bool ok;

    *ret_value = 0x5a;
    switch (size) {
    case 1:
        ok = bytes_get_u8(reader, &u8);
        *ret_value = u8;
        return ok;
    case 2:
        ok = bytes_get_u16(reader, &u16);
        *ret_value = u16;
        return ok;
    case 4:
        ok = bytes_get_u32(reader, &u32);
        *ret_value = u32;
        return ok;
    default:
        return bytes_get_u64(reader, ret_value);
    }
}

static bool put(BytesWriter *writer, const Item *item)
{
    switch (item->size) {
    case 1:
        return bytes_put_u8(writer, (uint8_t)item->value);
    case 2:
        return bytes_put_u16(writer, (uint16_t)item->value);
    case 4:
        return bytes_put_u32(writer, (uint32_t)item->value);
    default:
        return bytes_put_u64(writer, item->value);
    }
}

static void test_items(void)
{
    for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
        const Item *item = &items[i];

        for (size_t left = 0; left <= sizeof(data); left++) {
            BytesReader reader = bytes_reader(data, left);
            uint8_t out[sizeof(data)] = { 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a };
            BytesWriter writer = bytes_writer(out, left);
            bool room = left >= item->size;
            uint64_t value;

            check_case("item of %zu in %zu", item->size, left);
            CHECK_EQ(get(&reader, item->size, &value), room);
            CHECK_EQ(value, room ? item->value : 0x5a);
            CHECK_EQ(reader.left, room ? left - item->size : left);
            CHECK(reader.at == data + (room ? item->size : 0));

            CHECK_EQ(put(&writer, item), room);
            CHECK_EQ(writer.used, room ? item->size : 0);
            CHECK_EQ(writer.left, left - writer.used);
            CHECK(writer.at == out + writer.used);
            CHECK_MEM(out, data, writer.used);
            for (size_t j = writer.used; j < sizeof(out); j++)
                CHECK_EQ(out[j], 0x5a);
        }
    }
}

static void test_runs(void)
{
    for (size_t left = 0; left <= sizeof(data); left++) {
        for (size_t size = 0; size <= sizeof(data) + 1; size++) {
            BytesReader taker = bytes_reader(data, left), mover = taker;
            uint8_t out[16] = { 0 }, copy[16] = { 0 };
            BytesWriter writer = bytes_writer(out, left);
            const uint8_t *taken = NULL;
            size_t there = size < left ? size : left;
            bool fits = size <= left;

            check_case("%zu bytes of %zu", size, left);
            CHECK_EQ(bytes_take(&taker, size, &taken), fits);
            CHECK(taken == (fits ? data : NULL));
            CHECK_EQ(taker.left, fits ? left - size : left);
            CHECK(taker.at == data + (fits ? size : 0));

            CHECK_EQ(bytes_move(&mover, copy, size), there);
            CHECK_MEM(copy, data, there);
            CHECK_EQ(copy[there], 0);
            CHECK_EQ(mover.left, left - there);

            if (size <= sizeof(data)) {
                CHECK_EQ(bytes_put(&writer, data, size), fits);
                CHECK_EQ(writer.used, fits ? size : 0);
                CHECK_EQ(writer.left, fits ? left - size : left);
                CHECK_MEM(out, data, writer.used);
            }
        }
    }
}

/* Sizes of a peer's choosing, against a cursor with nothing behind it. */
static void test_nothing(void)
{
    BytesReader reader = bytes_reader(NULL, 0);
    BytesWriter writer = bytes_writer(NULL, 0);
    const uint8_t *taken = data;
    uint8_t byte = 0;

    check_case("nothing");
    CHECK(!bytes_take(&reader, SIZE_MAX, &taken));
    CHECK(!bytes_take(&reader, 1, &taken));
    CHECK(taken == data);
    CHECK(bytes_take(&reader, 0, &taken));
    CHECK_EQ(bytes_move(&reader, &byte, SIZE_MAX), 0);
    CHECK(!bytes_get_u8(&reader, &byte));
    CHECK(bytes_put(&writer, NULL, 0));
    CHECK(!bytes_put(&writer, data, SIZE_MAX));
    CHECK(!bytes_put_u8(&writer, 1));
    CHECK_EQ(writer.used, 0);
}

int main(void)
{
    test_items();
    test_runs();
    test_nothing();
    return check_done();
}
