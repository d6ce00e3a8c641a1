/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "hex.h"
#include "pvmouse.h"

static const PvmouseFrame frames[] = {
    { .type = PVMOUSE_HELLO, .version = 1 },
    { .type = PVMOUSE_HELLO, .version = 65535, .features = UINT32_MAX, .credit = UINT32_MAX, .sequence = UINT32_MAX },
    { .type = PVMOUSE_STATE },
    { .type = PVMOUSE_STATE, .display = 65535, .sequence = UINT32_MAX, .x = 65535, .y = 65535,
      .buttons = PVMOUSE_BUTTONS_ALL, .wheel = INT16_MIN, .hwheel = INT16_MAX },
    { .type = PVMOUSE_STATE, .display = 1, .sequence = 2, .x = 3, .y = 4, .buttons = 5, .wheel = 6, .hwheel = 7 },
    { .type = PVMOUSE_STATE, .no_position = true, .sequence = 1, .buttons = PVMOUSE_BUTTON_BACK, .wheel = -1 },
    { .type = PVMOUSE_MOTION },
    { .type = PVMOUSE_MOTION, .sequence = 9, .dx = INT16_MIN, .dy = INT16_MAX, .buttons = PVMOUSE_BUTTON_LEFT,
      .wheel = 120, .hwheel = -120 },
    { .type = PVMOUSE_RELEASE, .sequence = 77 },
    { .type = PVMOUSE_CREDIT },
    { .type = PVMOUSE_CREDIT, .credit = UINT32_MAX },
};

static bool same(const PvmouseFrame *a, const PvmouseFrame *b)
{
    return a->type == b->type && a->display == b->display && a->sequence == b->sequence && a->version == b->version &&
           a->features == b->features && a->credit == b->credit && a->x == b->x && a->y == b->y &&
           a->no_position == b->no_position && a->dx == b->dx && a->dy == b->dy && a->buttons == b->buttons &&
           a->wheel == b->wheel && a->hwheel == b->hwheel;
}

static void test_round_trip(void)
{
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        uint8_t data[PVMOUSE_FRAME_SIZE], again[PVMOUSE_FRAME_SIZE];
        PvmouseFrame frame;

        check_case("frame %zu", i);
        pvmouse_encode(&frames[i], data);
        CHECK_EQ(pvmouse_decode(data, &frame), PVMOUSE_OK);
        CHECK(same(&frame, &frames[i]));

        for (size_t at = 0; at < sizeof(data); at++) {
            for (unsigned flip = 1; flip < 256; flip++) {
                check_case("frame %zu, byte %zu is %02x", i, at, data[at] ^ flip);
                data[at] ^= (uint8_t)flip;
                if (pvmouse_decode(data, &frame) == PVMOUSE_OK) {
                    CHECK((frame.buttons & ~PVMOUSE_BUTTONS_ALL) == 0);
                    pvmouse_encode(&frame, again);
                    CHECK_MEM(again, data, sizeof(data));
                }
                data[at] ^= (uint8_t)flip;
            }
        }
    }
}

/* Fields of other types are not sent. */
static void test_foreign_fields(void)
{
    for (PvmouseType type = PVMOUSE_HELLO; type <= PVMOUSE_CREDIT; type++) {
        PvmouseFrame frame = { .type = type, .display = 1, .sequence = 2, .version = 1, .features = 4, .credit = 5,
                               .x = 6, .y = 7, .no_position = true, .dx = 8, .dy = 9, .buttons = 10, .wheel = 11,
                               .hwheel = 12 };
        PvmouseFrame decoded;
        uint8_t data[PVMOUSE_FRAME_SIZE];

        check_case("type %d with every field", type);
        pvmouse_encode(&frame, data);
        CHECK_EQ(pvmouse_decode(data, &decoded), PVMOUSE_OK);
        CHECK_EQ(decoded.display, 0);
        CHECK_EQ(decoded.x, 0);
        CHECK_EQ(decoded.dx, type == PVMOUSE_MOTION ? 8 : 0);
        CHECK_EQ(decoded.buttons, type == PVMOUSE_STATE || type == PVMOUSE_MOTION ? 10 : 0);
        CHECK_EQ(decoded.credit, type == PVMOUSE_HELLO || type == PVMOUSE_CREDIT ? 5 : 0);
        CHECK_EQ(decoded.sequence, type == PVMOUSE_CREDIT ? 0 : 2);
    }
}

/* Every bit of every type that version 1 reserves, and every type that it does not have. */
static void test_reserved(void)
{
    static const struct {
        PvmouseType type;
        const char *fields; /* bits that mean something; type and magic not counted */
    } layouts[] = {
        { PVMOUSE_HELLO, "00 00 0000 ffffffff 00000000 ffff 0000 ffffffff ffffffff" },
        { PVMOUSE_STATE, "00 01 ffff ffffffff ffff ffff 7f00 ffff ffff 000000000000" },
        { PVMOUSE_MOTION, "00 00 0000 ffffffff ffff ffff 7f00 ffff ffff 000000000000" },
        { PVMOUSE_RELEASE, "00 00 0000 ffffffff 0000000000000000 0000000000000000" },
        { PVMOUSE_CREDIT, "00 00 0000 00000000 ffffffff 000000000000000000000000" },
    };

    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
        const PvmouseFrame frame = { .type = layouts[i].type, .version = 1 };
        uint8_t fields[PVMOUSE_FRAME_SIZE], data[PVMOUSE_FRAME_SIZE];

        CHECK_EQ(hex(layouts[i].fields, fields, sizeof(fields)), PVMOUSE_FRAME_SIZE);
        for (size_t bit = 8; bit < 8 * PVMOUSE_FRAME_SIZE; bit++) {
            bool magic = frame.type == PVMOUSE_HELLO && bit / 8 >= 8 && bit / 8 < 12;
            bool version = frame.type == PVMOUSE_HELLO && bit == 8 * 12; /* flips 1 to 0 */
            bool meant = (fields[bit / 8] >> (bit % 8) & 1) != 0;
            PvmouseFrame decoded = { .credit = 0x5a };

            check_case("type %d with bit %zu", frame.type, bit);
            pvmouse_encode(&frame, data);
            data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            CHECK_EQ(pvmouse_decode(data, &decoded),
                     magic ? PVMOUSE_BAD_MAGIC : meant && !version ? PVMOUSE_OK : PVMOUSE_BAD_VALUE);
            if (!meant)
                CHECK_EQ(decoded.credit, 0x5a);
        }
    }
    for (unsigned type = 0; type < 256; type++) {
        uint8_t data[PVMOUSE_FRAME_SIZE] = { (uint8_t)type };
        PvmouseFrame decoded;

        check_case("type %u of zeros", type);
        CHECK_EQ(pvmouse_decode(data, &decoded), type == PVMOUSE_HELLO ? PVMOUSE_BAD_MAGIC
                 : type >= PVMOUSE_STATE && type <= PVMOUSE_CREDIT ? PVMOUSE_OK : PVMOUSE_UNKNOWN_TYPE);
    }
    check_case("position with no_position");
    for (size_t at = 2; at < 12; at = at == 3 ? 8 : at + 1) {
        uint8_t data[PVMOUSE_FRAME_SIZE] = { PVMOUSE_STATE, 1 };
        PvmouseFrame decoded;

        data[at] = 1;
        CHECK_EQ(pvmouse_decode(data, &decoded), PVMOUSE_BAD_VALUE);
    }
}

static void test_reader(void)
{
    uint8_t data[3 * PVMOUSE_FRAME_SIZE];

    for (size_t i = 0; i < 3; i++)
        pvmouse_encode(&frames[3 + i], data + i * PVMOUSE_FRAME_SIZE);
    for (size_t cut = 0; cut <= sizeof(data); cut++) {
        PvmouseReader reader = { 0 };
        BytesReader parts[] = { bytes_reader(data, cut), bytes_reader(data + cut, sizeof(data) - cut) };
        size_t count = 0;

        check_case("cut at %zu", cut);
        for (size_t i = 0; i < 2; i++) {
            while (pvmouse_read(&reader, &parts[i])) {
                CHECK_MEM(reader.bytes, data + count * PVMOUSE_FRAME_SIZE, PVMOUSE_FRAME_SIZE);
                count++;
            }
            CHECK_EQ(parts[i].left, 0);
        }
        CHECK_EQ(count, 3);
    }
}

/* HELLO is found behind any part of frames for somebody else, however it is cut. */
static void test_search(void)
{
    uint8_t data[4 * PVMOUSE_FRAME_SIZE];

    pvmouse_encode(&frames[4], data);
    pvmouse_encode(&frames[7], data + PVMOUSE_FRAME_SIZE);
    pvmouse_encode(&frames[1], data + 2 * PVMOUSE_FRAME_SIZE);
    pvmouse_encode(&frames[4], data + 3 * PVMOUSE_FRAME_SIZE);
    for (size_t from = 0; from <= 2 * PVMOUSE_FRAME_SIZE; from++) {
        for (size_t cut = from; cut <= sizeof(data); cut++) {
            PvmouseReader reader = { 0 };
            BytesReader parts[] = { bytes_reader(data + from, cut - from),
                                    bytes_reader(data + cut, sizeof(data) - cut) };
            size_t hellos = 0, rest = 0;

            check_case("from %zu, cut at %zu", from, cut);
            for (size_t i = 0; i < 2; i++) {
                while (hellos == 0 ? pvmouse_read_hello(&reader, &parts[i]) : pvmouse_read(&reader, &parts[i])) {
                    CHECK_MEM(reader.bytes, data + (hellos == 0 ? 2 : 3) * PVMOUSE_FRAME_SIZE, PVMOUSE_FRAME_SIZE);
                    rest += hellos;
                    hellos = 1;
                }
                CHECK_EQ(parts[i].left, 0);
            }
            CHECK_EQ(hellos, 1);
            CHECK_EQ(rest, 1);
        }
    }
}

/* A frame that was taken for one, and holds the beginning of HELLO, is searched again. */
static void test_search_again(void)
{
    for (size_t part = 1; part < PVMOUSE_FRAME_SIZE; part++) {
        uint8_t data[2 * PVMOUSE_FRAME_SIZE] = { 0 };
        PvmouseReader reader = { 0 };
        BytesReader in = bytes_reader(data, part + PVMOUSE_FRAME_SIZE);

        check_case("HELLO at %zu", part);
        pvmouse_encode(&frames[1], data + part);
        CHECK(pvmouse_read(&reader, &in));
        CHECK(pvmouse_read_hello(&reader, &in));
        CHECK_MEM(reader.bytes, data + part, PVMOUSE_FRAME_SIZE);
        CHECK(!pvmouse_read_hello(&reader, &in));
    }
}

static void test_pixels(void)
{
    for (uint32_t size = 1; size <= 32768; size += size < 2048 || size == 32767 ? 1 : size < 31000 ? 509 : 13) {
        uint32_t wrong = 0;

        for (uint32_t pixel = 0; pixel < size; pixel++)
            wrong += pvmouse_to_pixel(pvmouse_from_pixel(pixel, size), size) != pixel;
        check_case("axis of %u", size);
        CHECK_EQ(wrong, 0);
        CHECK_EQ(pvmouse_to_pixel(0, size), 0);
        CHECK_EQ(pvmouse_to_pixel(PVMOUSE_AXIS_MAX, size), size - 1);
        CHECK_EQ(pvmouse_from_pixel(size, size), pvmouse_from_pixel(size - 1, size));
        CHECK_EQ(pvmouse_from_pixel(UINT32_MAX, size), pvmouse_from_pixel(size - 1, size));
    }
    check_case("axis of nothing, of the largest number");
    CHECK_EQ(pvmouse_from_pixel(5, 0), 0);
    CHECK_EQ(pvmouse_to_pixel(5, 0), 0);
    CHECK_EQ(pvmouse_from_pixel(UINT32_MAX, UINT32_MAX), 65535);
    CHECK_EQ(pvmouse_to_pixel(65535, UINT32_MAX), 0xfffeffff);
}

/* The title of an example, "STATE display=1 x=3 …", as a frame. */
static PvmouseFrame parse_title(char *title)
{
    static const char *const names[] = { "", "HELLO", "STATE", "MOTION", "RELEASE", "CREDIT" };
    PvmouseFrame frame = { 0 };
    char *rest, *word = strtok_r(title, " ", &rest);

    for (unsigned type = 1; type < sizeof(names) / sizeof(names[0]); type++) {
        if (strcmp(word, names[type]) == 0)
            frame.type = (PvmouseType)type;
    }
    while ((word = strtok_r(NULL, " ", &rest)) != NULL) {
        char key[16] = "";
        long long value = 0;

        CHECK_EQ(sscanf(word, "%15[a-z_]=%lli", key, &value), 2);
        if (strcmp(key, "sequence") == 0)
            frame.sequence = (uint32_t)value;
        else if (strcmp(key, "version") == 0)
            frame.version = (uint16_t)value;
        else if (strcmp(key, "features") == 0)
            frame.features = (uint32_t)value;
        else if (strcmp(key, "credit") == 0)
            frame.credit = (uint32_t)value;
        else if (strcmp(key, "display") == 0)
            frame.display = (uint16_t)value;
        else if (strcmp(key, "x") == 0)
            frame.x = (uint16_t)value;
        else if (strcmp(key, "y") == 0)
            frame.y = (uint16_t)value;
        else if (strcmp(key, "no_position") == 0)
            frame.no_position = value != 0;
        else if (strcmp(key, "dx") == 0)
            frame.dx = (int16_t)value;
        else if (strcmp(key, "dy") == 0)
            frame.dy = (int16_t)value;
        else if (strcmp(key, "buttons") == 0)
            frame.buttons = (uint16_t)value;
        else if (strcmp(key, "wheel") == 0)
            frame.wheel = (int16_t)value;
        else if (strcmp(key, "hwheel") == 0)
            frame.hwheel = (int16_t)value;
        else
            CHECK_STR(key, "a field");
    }
    return frame;
}

static void check_example(char *title, const char *bytes)
{
    uint8_t data[PVMOUSE_FRAME_SIZE + 1], encoded[PVMOUSE_FRAME_SIZE];
    PvmouseFrame frame, expected;
    PvmouseResult result = PVMOUSE_OK;

    CHECK_EQ(hex(bytes, data, sizeof(data)), PVMOUSE_FRAME_SIZE);
    if (strcmp(title, "BAD_VALUE") == 0)
        result = PVMOUSE_BAD_VALUE;
    if (strcmp(title, "BAD_MAGIC") == 0)
        result = PVMOUSE_BAD_MAGIC;
    if (strcmp(title, "UNKNOWN_TYPE") == 0)
        result = PVMOUSE_UNKNOWN_TYPE;
    CHECK_EQ(pvmouse_decode(data, &frame), result);
    if (result != PVMOUSE_OK)
        return;
    expected = parse_title(title);
    CHECK(same(&frame, &expected));
    pvmouse_encode(&expected, encoded);
    CHECK_MEM(encoded, data, sizeof(encoded));
}

/* The examples of pvmouse.md: blocks of a title and a line of bytes, and the table of positions. */
static void test_document(void)
{
    FILE *file = fopen(SOURCE_DIR "/protocol/pvmouse.md", "r");
    char line[512], title[128];
    unsigned number = 0, examples = 0, positions = 0, pixel, size, wire;

    check_case("pvmouse.md");
    CHECK(file != NULL);
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        number++;
        if (strcmp(line, "```\n") == 0 && fgets(title, sizeof(title), file) != NULL &&
            fgets(line, sizeof(line), file) != NULL) {
            number += 2;
            check_case("pvmouse.md:%u", number);
            title[strcspn(title, "\n")] = '\0';
            check_example(title, line);
            CHECK(fgets(line, sizeof(line), file) != NULL && strcmp(line, "```\n") == 0);
            number++;
            examples++;
        } else if (sscanf(line, "| %u | %u | %u |", &pixel, &size, &wire) == 3) {
            check_case("pvmouse.md:%u", number);
            CHECK_EQ(pvmouse_from_pixel(pixel, size), wire);
            CHECK_EQ(pvmouse_to_pixel((uint16_t)wire, size), pixel);
            positions++;
        }
    }
    check_case("what pvmouse.md holds");
    CHECK_EQ(examples, 28);
    CHECK_EQ(positions, 8);
    if (file != NULL)
        fclose(file);
}

static void test_texts(void)
{
    for (int result = PVMOUSE_OK; result <= PVMOUSE_BAD_VALUE; result++)
        CHECK(strcmp(pvmouse_result_text((PvmouseResult)result), "unknown result") != 0);
}

int main(void)
{
    test_round_trip();
    test_foreign_fields();
    test_reserved();
    test_reader();
    test_search();
    test_search_again();
    test_pixels();
    test_document();
    test_texts();
    return check_done();
}
