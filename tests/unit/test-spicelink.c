/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "spicelink.h"

#include <spice/enums.h>
#include <spice/protocol.h>
#include <string.h>

#define AUTH (1u << SPICE_COMMON_CAP_PROTOCOL_AUTH_SELECTION)
#define MINI (1u << SPICE_COMMON_CAP_MINI_HEADER)
#define ROOM 16384u

/* What a client says, put together. */
typedef struct Said {
    uint8_t bytes[ROOM];
    BytesWriter out;
} Said;

static void say_link(Said *said, uint8_t channel, uint32_t caps)
{
    said->out = bytes_writer(said->bytes, sizeof said->bytes);
    bytes_put(&said->out, "REDQ", 4);
    bytes_put_u32(&said->out, 2);
    bytes_put_u32(&said->out, 2);
    bytes_put_u32(&said->out, 18 + 4 + 4);
    bytes_put_u32(&said->out, 7); /* connection */
    bytes_put_u8(&said->out, channel);
    bytes_put_u8(&said->out, 1);
    bytes_put_u32(&said->out, 1);
    bytes_put_u32(&said->out, 1);
    bytes_put_u32(&said->out, 18);
    bytes_put_u32(&said->out, caps);
    bytes_put_u32(&said->out, 0);
}

static void say_log_in(Said *said, uint32_t mechanism)
{
    static const uint8_t ticket[128] = { 1, 2, 3 };

    if (mechanism != 0)
        bytes_put_u32(&said->out, mechanism);
    bytes_put(&said->out, ticket, sizeof ticket);
}

static void say(Said *said, bool mini, uint16_t type, uint32_t size, size_t given)
{
    if (!mini)
        bytes_put_u64(&said->out, 99);
    bytes_put_u16(&said->out, type);
    bytes_put_u32(&said->out, size);
    if (!mini)
        bytes_put_u32(&said->out, 0);
    for (size_t i = 0; i < given; i++)
        bytes_put_u8(&said->out, (uint8_t)i);
}

/* Pass what was said in steps; returns why it ended, and what came out in `ret_out`. */
static const char *pass(const Said *said, size_t step, Spicelink *link, BytesWriter *ret_out)
{
    static uint8_t out[2 * ROOM];
    const char *why = NULL;

    spicelink_init(link);
    *ret_out = bytes_writer(out, sizeof out);
    for (size_t at = 0; !why && at < said->out.used; at += step) {
        size_t size = said->out.used - at < step ? said->out.used - at : step;
        BytesReader in = bytes_reader(said->bytes + at, size);
        size_t before = ret_out->used;

        why = spicelink_pass(link, &in, ret_out);
        CHECK(ret_out->used - before <= size + SPICELINK_KEPT_MAX);
        CHECK(why || in.left == 0);
    }
    return why;
}

/* All steps give the same: `wanted` bytes, or a reason. */
static void expect(const Said *said, const uint8_t *wanted, size_t size, const char *reason)
{
    for (size_t step = 1; step <= said->out.used; step += step < 200 ? 1 : 997) {
        Spicelink link;
        BytesWriter out;
        const char *why = pass(said, step, &link, &out);

        CHECK_EQ(why != NULL, reason != NULL);
        if (reason) {
            CHECK(why && strstr(why, reason));
            continue;
        }
        CHECK_EQ(out.used, size);
        CHECK_MEM(out.at - out.used, wanted, size);
    }
}

static void test_passes(void)
{
    for (int mini = 0; mini < 2; mini++) {
        Said said;
        Spicelink link;
        BytesWriter out;

        check_case("main channel, %s headers", mini ? "short" : "long");
        say_link(&said, SPICE_CHANNEL_MAIN, AUTH | (mini ? MINI : 0));
        say_log_in(&said, SPICE_COMMON_CAP_AUTH_SPICE);
        say(&said, mini, SPICE_MSGC_MAIN_AGENT_DATA, 2048, 2048);
        say(&said, mini, SPICE_MSGC_MAIN_AGENT_START, 0, 0);
        say(&said, mini, SPICE_MSGC_MAIN_AGENT_DATA, 3, 3);
        expect(&said, said.bytes, said.out.used, NULL);
        pass(&said, 50, &link, &out);
        CHECK_EQ(link.channel, SPICE_CHANNEL_MAIN);
        CHECK_EQ(link.id, 1);
        CHECK_EQ(link.mini, mini);
        CHECK_EQ(link.data, 2051);
        CHECK_EQ(link.stage, SPICELINK_MESSAGES);
    }

    Said said;

    check_case("no choice of a mechanism");
    say_link(&said, SPICE_CHANNEL_MAIN, MINI);
    say_log_in(&said, 0);
    say(&said, true, SPICE_MSGC_PONG, 12, 12);
    expect(&said, said.bytes, said.out.used, NULL);
}

/* The first message comes at once, and the client's own does not. */
static void test_display(void)
{
    for (int mini = 0; mini < 2; mini++) {
        Said said, wanted;

        check_case("display channel, %s headers", mini ? "short" : "long");
        say_link(&said, SPICE_CHANNEL_DISPLAY, AUTH | (mini ? MINI : 0));
        say_log_in(&said, SPICE_COMMON_CAP_AUTH_SPICE);
        memcpy(wanted.bytes, said.bytes, said.out.used);
        wanted.out = bytes_writer(wanted.bytes + said.out.used, sizeof wanted.bytes - said.out.used);
        wanted.out.used = said.out.used;
        if (!mini)
            bytes_put_u64(&wanted.out, 0);
        bytes_put_u16(&wanted.out, SPICE_MSGC_DISPLAY_INIT);
        bytes_put_u32(&wanted.out, 14);
        if (!mini)
            bytes_put_u32(&wanted.out, 0);
        bytes_put(&wanted.out, (uint8_t[14]){ 0 }, 14);
        expect(&said, wanted.bytes, wanted.out.used, NULL);
        say(&said, mini, SPICE_MSGC_ACK_SYNC, 4, 4);
        say(&wanted, mini, SPICE_MSGC_ACK_SYNC, 4, 4);
        say(&said, mini, SPICE_MSGC_DISPLAY_INIT, 14, 14);
        say(&said, mini, SPICE_MSGC_ACK, 0, 0);
        say(&wanted, mini, SPICE_MSGC_ACK, 0, 0);
        expect(&said, wanted.bytes, wanted.out.used, NULL);
    }
}

static void test_refused(void)
{
    static const struct {
        const char *name, *reason;
        uint8_t channel;
        uint16_t type;
        uint32_t size;
    } rows[] = {
        { "agent data that wrap", "larger", SPICE_CHANNEL_MAIN, SPICE_MSGC_MAIN_AGENT_DATA, UINT32_MAX },
        { "just too large", "larger", SPICE_CHANNEL_MAIN, SPICE_MSGC_MAIN_AGENT_DATA, SPICELINK_MESSAGE_MAX + 1 },
        { "of a display", "larger", SPICE_CHANNEL_DISPLAY, SPICE_MSGC_PONG, SPICELINK_MESSAGE_MAX + 1 },
        { "of a kind that is not known", "larger", 200, 1, SPICELINK_MESSAGE_MAX + 1 },
        { "of a USB device", "larger", SPICE_CHANNEL_USBREDIR, SPICE_MSGC_SPICEVMC_DATA, SPICELINK_DATA_MAX + 1 },
        { "of a port", "larger", SPICE_CHANNEL_PORT, SPICE_MSGC_SPICEVMC_DATA, SPICELINK_DATA_MAX + 1 },
        { "compressed, too large", "larger", SPICE_CHANNEL_USBREDIR, SPICE_MSGC_SPICEVMC_COMPRESSED_DATA, SPICELINK_DATA_MAX + 1 },
        { "compressed, too small", "without", SPICE_CHANNEL_PORT, SPICE_MSGC_SPICEVMC_COMPRESSED_DATA, 4 },
    };
    Said said;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        check_case("%s", rows[i].name);
        say_link(&said, rows[i].channel, AUTH | MINI);
        say_log_in(&said, SPICE_COMMON_CAP_AUTH_SPICE);
        say(&said, true, rows[i].type, rows[i].size, 100);
        expect(&said, NULL, 0, rows[i].reason);
    }
    check_case("as large as can be");
    say_link(&said, SPICE_CHANNEL_PORT, AUTH | MINI);
    say_log_in(&said, SPICE_COMMON_CAP_AUTH_SPICE);
    say(&said, true, SPICE_MSGC_SPICEVMC_DATA, SPICELINK_DATA_MAX, 100);
    expect(&said, said.bytes, said.out.used, NULL);

    static const struct {
        uint8_t how;
        uint32_t size;
        const char *reason;
    } compressed[] = {
        { SPICE_DATA_COMPRESSION_TYPE_LZ4, 0, "of a size" },
        { SPICE_DATA_COMPRESSION_TYPE_LZ4, 1, NULL },
        { SPICE_DATA_COMPRESSION_TYPE_LZ4, SPICELINK_DATA_MAX, NULL },
        { SPICE_DATA_COMPRESSION_TYPE_LZ4, SPICELINK_DATA_MAX + 1, "of a size" },
        { SPICE_DATA_COMPRESSION_TYPE_LZ4, UINT32_MAX, "of a size" },
        { SPICE_DATA_COMPRESSION_TYPE_NONE, 10, "otherwise" },
        { 200, 10, "otherwise" },
    };

    for (size_t i = 0; i < 2 * sizeof compressed / sizeof *compressed; i++) {
        Spicelink link;
        BytesWriter out;
        bool mini = i % 2;

        check_case("compressed by %u, of %u bytes, %s headers", compressed[i / 2].how, compressed[i / 2].size,
                   mini ? "short" : "long");
        say_link(&said, SPICE_CHANNEL_USBREDIR, AUTH | (mini ? MINI : 0));
        say_log_in(&said, SPICE_COMMON_CAP_AUTH_SPICE);
        say(&said, mini, SPICE_MSGC_SPICEVMC_COMPRESSED_DATA, 5 + 7, 0);
        bytes_put_u8(&said.out, compressed[i / 2].how);
        bytes_put_u32(&said.out, compressed[i / 2].size);
        bytes_put(&said.out, "seven b", 7);
        say(&said, mini, SPICE_MSGC_SPICEVMC_DATA, 3, 3);
        expect(&said, said.bytes, said.out.used, compressed[i / 2].reason);
        if (!compressed[i / 2].reason) {
            pass(&said, 3, &link, &out);
            CHECK_EQ(link.data, compressed[i / 2].size + 3);
        }
    }

    check_case("SASL");
    say_link(&said, SPICE_CHANNEL_MAIN, AUTH | MINI);
    say_log_in(&said, SPICE_COMMON_CAP_AUTH_SASL);
    expect(&said, NULL, 0, "otherwise than by a ticket");

    check_case("another protocol");
    say_link(&said, SPICE_CHANNEL_MAIN, AUTH);
    said.bytes[0] = 'G';
    expect(&said, NULL, 0, "no SPICE client");
    for (uint32_t size = 0; size < 4; size++) {
        static const uint32_t sizes[] = { 0, 17, 18 + SPICELINK_CAPS_MAX + 1, UINT32_MAX };
        BytesWriter at = bytes_writer(said.bytes + 12, 4);

        check_case("a first message of %u bytes", sizes[size]);
        say_link(&said, SPICE_CHANNEL_MAIN, AUTH);
        bytes_put_u32(&at, sizes[size]);
        expect(&said, NULL, 0, "such a size");
    }
    for (int field = 0; field < 3; field++) {
        BytesWriter at = bytes_writer(said.bytes + 16 + 6 + 4 * field, 4);

        check_case("capabilities out of bounds, %d", field);
        say_link(&said, SPICE_CHANNEL_MAIN, AUTH);
        bytes_put_u32(&at, UINT32_MAX);
        expect(&said, NULL, 0, "capabilities");
    }
}

int main(void)
{
    test_passes();
    test_display();
    test_refused();
    return check_done();
}
