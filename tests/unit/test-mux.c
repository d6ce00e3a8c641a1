/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "demuxlog.h"
#include "mux.h"

static const uint32_t one_port[] = { VDP_CLIENT_PORT, VDP_CLIENT_PORT };
static const uint32_t two_ports[] = { VDP_CLIENT_PORT, VDP_CLIENT_PORT, VDP_SERVER_PORT };

static Mux *mux_new(const uint32_t *ports, size_t lanes)
{
    Mux *mux = g_new(Mux, 1);

    memset(mux, 0xa5, sizeof(*mux));
    mux_init(mux, ports, lanes);
    return mux;
}

/* A message of `size` bytes with its header; the body is `fill`. */
static GByteArray *message(uint32_t type, uint32_t size, uint8_t fill)
{
    GByteArray *bytes = g_byte_array_new();

    g_byte_array_set_size(bytes, size);
    memset(bytes->data, fill, size);

    BytesWriter out = bytes_writer(bytes->data, size);

    message_put_header(&out, &(MessageHeader){ .type = type, .size = size - MESSAGE_HEADER_SIZE });
    return bytes;
}

static void put(Mux *mux, size_t lane, uint32_t type, uint32_t size, uint8_t fill)
{
    g_autoptr(GByteArray) bytes = message(type, size, fill);

    CHECK(mux_put(mux, lane, bytes->data, bytes->len));
}

/* Take a chunk, which must be of this port, payload size and last byte; size 0: there is none. */
static void check_chunk(Mux *mux, uint32_t port, uint32_t size, uint8_t last)
{
    uint8_t chunk[MUX_CHUNK_MAX] = { 0 };
    size_t got = mux_next(mux, chunk);
    BytesReader in = bytes_reader(chunk, got);
    uint32_t got_port = 0, got_size = 0;

    if (size == 0) {
        CHECK_EQ(got, 0);
        return;
    }
    CHECK_EQ(got, CHUNK_HEADER_SIZE + size);
    CHECK(bytes_get_u32(&in, &got_port) && bytes_get_u32(&in, &got_size));
    CHECK_EQ(got_port, port);
    CHECK_EQ(got_size, size);
    CHECK_EQ(chunk[got > 0 ? got - 1 : 0], last);
}

static void test_ports_take_turns(void)
{
    g_autofree Mux *mux = mux_new(two_ports, 3);

    check_case("%s", "ports take turns");
    check_chunk(mux, 0, 0, 0);
    put(mux, 0, 4, 5000, 'a');
    check_chunk(mux, VDP_CLIENT_PORT, 2048, 'a');
    /*
     * A small message of the other port waits behind no further chunk, one of the same port behind the whole message.
     */
    put(mux, 2, 3, 28, 's');
    put(mux, 1, 11, 28, 'f');
    check_chunk(mux, VDP_SERVER_PORT, 28, 's');
    check_chunk(mux, VDP_CLIENT_PORT, 2048, 'a');
    put(mux, 2, 3, 4000, 't');
    check_chunk(mux, VDP_SERVER_PORT, 2048, 't');
    check_chunk(mux, VDP_CLIENT_PORT, 904, 'a');
    check_chunk(mux, VDP_SERVER_PORT, 1952, 't');
    check_chunk(mux, VDP_CLIENT_PORT, 28, 'f');
    check_chunk(mux, 0, 0, 0);
    CHECK(!mux_pending(mux, 0) && !mux_pending(mux, 1) && !mux_pending(mux, 2));
}

static void test_lower_lane_first(void)
{
    g_autofree Mux *mux = mux_new(one_port, 2);

    check_case("%s", "lower lane first");
    put(mux, 1, 11, 3000, 'f');
    put(mux, 1, 11, 30, 'g');
    check_chunk(mux, VDP_CLIENT_PORT, 2048, 'f');
    put(mux, 0, 4, 30, 'a');
    put(mux, 0, 4, 31, 'b');
    check_chunk(mux, VDP_CLIENT_PORT, 952, 'f');
    check_chunk(mux, VDP_CLIENT_PORT, 30, 'a');
    check_chunk(mux, VDP_CLIENT_PORT, 31, 'b');
    check_chunk(mux, VDP_CLIENT_PORT, 30, 'g');
    check_chunk(mux, 0, 0, 0);
}

/* Nothing is sent before the chunk is complete: the whole header in the first one, and full ones but for the last. */
static void test_chunk_sizes(void)
{
    static const uint32_t sizes[] = { 20, 21, 100, 2047, 2048, 2049, 4096, 4097, 16384 };

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree Mux *mux = mux_new(two_ports, 3);
        g_autoptr(GByteArray) bytes = message(4, sizes[i], 'x');
        uint32_t sent = 0;

        check_case("message of %u", sizes[i]);
        for (uint32_t at = 0; at < bytes->len; at++) {
            uint32_t wanted = MIN(bytes->len - sent, LIMIT_CHUNK_OUT);

            CHECK(mux_put(mux, 0, bytes->data + at, 1));
            CHECK(mux_pending(mux, 0));
            if (at + 1 - sent < wanted) {
                check_chunk(mux, 0, 0, 0);
            } else {
                check_chunk(mux, VDP_CLIENT_PORT, wanted, bytes->data[at]);
                sent += wanted;
            }
            CHECK_EQ(mux_busy(mux, 0), sent > 0 && sent < bytes->len);
        }
        CHECK_EQ(sent, bytes->len);
        CHECK(!mux_pending(mux, 0));
    }
}

/* A lane that has promised a message keeps its port, even while its source is slow; the other port does not wait. */
static void test_slow_source(void)
{
    g_autofree Mux *mux = mux_new(two_ports, 3);
    g_autoptr(GByteArray) bytes = message(4, 4000, 'a');

    check_case("%s", "slow source");
    CHECK(mux_put(mux, 1, bytes->data, 3000));
    put(mux, 0, 4, 24, 'b');
    put(mux, 2, 4, 25, 'c');
    check_chunk(mux, VDP_SERVER_PORT, 25, 'c');
    check_chunk(mux, VDP_CLIENT_PORT, 24, 'b'); /* between messages the lower lane goes first */
    check_chunk(mux, VDP_CLIENT_PORT, 2048, 'a');
    put(mux, 0, 4, 24, 'b');
    check_chunk(mux, 0, 0, 0);
    put(mux, 2, 4, 25, 'd');
    check_chunk(mux, VDP_SERVER_PORT, 25, 'd');
    CHECK(mux_put(mux, 1, bytes->data + 3000, 1000));
    check_chunk(mux, VDP_CLIENT_PORT, 1952, 'a');
    check_chunk(mux, VDP_CLIENT_PORT, 24, 'b');
}

/* An incomplete first chunk of a lower lane has been promised to nobody and stops no other. */
static void test_incomplete_lower_lane(void)
{
    g_autofree Mux *mux = mux_new(one_port, 2);
    g_autoptr(GByteArray) bytes = message(4, 200, 'a');

    check_case("%s", "incomplete lower lane");
    CHECK(mux_put(mux, 0, bytes->data, 199));
    put(mux, 1, 11, 24, 'f');
    check_chunk(mux, VDP_CLIENT_PORT, 24, 'f');
    CHECK(mux_put(mux, 0, bytes->data + 199, 1));
    check_chunk(mux, VDP_CLIENT_PORT, 200, 'a');
}

static void test_full(void)
{
    g_autofree Mux *mux = mux_new(one_port, 2);
    static const uint8_t extra[LIMIT_LANE_QUEUE + 1];

    check_case("%s", "full");
    CHECK_EQ(mux_room(mux, 0), LIMIT_LANE_QUEUE);
    CHECK(!mux_put(mux, 0, extra, LIMIT_LANE_QUEUE + 1));
    CHECK(!mux_pending(mux, 0));
    put(mux, 0, 4, 16000, 'a');
    CHECK_EQ(mux_room(mux, 0), LIMIT_LANE_QUEUE - 16000);
    CHECK(!mux_put(mux, 0, extra, LIMIT_LANE_QUEUE - 16000 + 1));
    put(mux, 0, 4, LIMIT_LANE_QUEUE - 16000, 'b');
    CHECK_EQ(mux_room(mux, 0), 0);
    CHECK(!mux_put(mux, 0, extra, 1));
    CHECK(mux_put(mux, 0, extra, 0));
    CHECK_EQ(mux_room(mux, 1), LIMIT_LANE_QUEUE); /* the other lane has its own */
    for (uint32_t left = 16000; left > 0; left -= MIN(left, LIMIT_CHUNK_OUT)) {
        check_chunk(mux, VDP_CLIENT_PORT, MIN(left, LIMIT_CHUNK_OUT), 'a');
    }
    CHECK_EQ(mux_room(mux, 0), 16000);
    check_chunk(mux, VDP_CLIENT_PORT, LIMIT_LANE_QUEUE - 16000, 'b');
    check_chunk(mux, 0, 0, 0);
}

static void test_drop(void)
{
    g_autofree Mux *mux = mux_new(one_port, 2);
    g_autoptr(GByteArray) bytes = message(4, 5000, 'a');

    check_case("%s", "drop");
    CHECK(mux_drop(mux, 0));
    CHECK(mux_put(mux, 0, bytes->data, 2000)); /* not begun */
    CHECK(!mux_busy(mux, 0));
    CHECK(mux_drop(mux, 0));
    CHECK(!mux_pending(mux, 0));

    /* Begun, and its rest is there: that rest stays, what comes after it goes. */
    CHECK(mux_put(mux, 0, bytes->data, 5000));
    CHECK(mux_put(mux, 0, bytes->data, 1000));
    check_chunk(mux, VDP_CLIENT_PORT, 2048, 'a');
    CHECK(mux_drop(mux, 0));
    CHECK_EQ(mux_room(mux, 0), LIMIT_LANE_QUEUE - (5000 - 2048));
    put(mux, 0, 4, 40, 'b');
    check_chunk(mux, VDP_CLIENT_PORT, 2048, 'a');
    check_chunk(mux, VDP_CLIENT_PORT, 904, 'a');
    check_chunk(mux, VDP_CLIENT_PORT, 40, 'b');
    check_chunk(mux, 0, 0, 0);

    /* Begun, and its rest has not come: nothing is dropped, and only a reset helps. */
    CHECK(mux_put(mux, 0, bytes->data, 4999));
    check_chunk(mux, VDP_CLIENT_PORT, 2048, 'a');
    CHECK(!mux_drop(mux, 0));
    CHECK(mux_busy(mux, 0));
    CHECK_EQ(mux_room(mux, 0), LIMIT_LANE_QUEUE - 2951);
    mux_reset(mux);
    CHECK(!mux_busy(mux, 0) && !mux_pending(mux, 0));
    put(mux, 0, 4, 40, 'c');
    check_chunk(mux, VDP_CLIENT_PORT, 40, 'c');
}

static void test_retract(void)
{
    g_autofree Mux *mux = mux_new(one_port, 2);
    g_autoptr(GByteArray) bytes = message(4, 5000, 'a');

    check_case("%s", "retract");
    CHECK(!mux_retract(mux, 0, 1));
    put(mux, 0, 4, 40, 'b');
    CHECK(mux_put(mux, 0, bytes->data, 1000));
    CHECK(mux_retract(mux, 0, 1000));
    check_chunk(mux, VDP_CLIENT_PORT, 40, 'b');
    check_chunk(mux, 0, 0, 0);

    CHECK(mux_put(mux, 0, bytes->data, 4000));
    check_chunk(mux, VDP_CLIENT_PORT, 2048, 'a');
    CHECK(!mux_retract(mux, 0, 4000));
    CHECK_EQ(mux_room(mux, 0), LIMIT_LANE_QUEUE - 1952);
}

static void test_largest(void)
{
    g_autofree Mux *mux = mux_new(one_port, 2);
    uint8_t head[LIMIT_CHUNK_OUT] = { 0 };
    BytesWriter out = bytes_writer(head, sizeof(head));

    check_case("%s", "2^32-1 bytes");
    message_put_header(&out, &(MessageHeader){ .type = 4, .size = UINT32_MAX });
    CHECK(mux_put(mux, 0, head, sizeof(head)));
    check_chunk(mux, VDP_CLIENT_PORT, LIMIT_CHUNK_OUT, 0);
    CHECK_EQ(mux->lane[0].message_left, UINT32_MAX - (LIMIT_CHUNK_OUT - MESSAGE_HEADER_SIZE));
    CHECK(mux_busy(mux, 0) && !mux_drop(mux, 0));
}

/*
 * Messages that a demultiplexer lets through, by lane; the file lane has bulk messages, the others mostly small ones.
 */
static GByteArray *source(GRand *random, size_t lane)
{
    static const uint32_t types[] = { VD_AGENT_CLIPBOARD, VD_AGENT_FILE_XFER_DATA, VD_AGENT_CLIENT_DISCONNECTED };
    GByteArray *all = g_byte_array_new();

    for (int i = 0; i < 20; i++) {
        uint32_t size = lane == 2 ? 0 : (uint32_t)g_rand_int_range(random, 0, i % 4 ? 100 : 40000);
        uint32_t type = types[lane];
        uint32_t head = lane == 0 ? 4 : lane == 1 ? 12 : 0;
        g_autoptr(GByteArray) bytes = message(type, MESSAGE_HEADER_SIZE + head + size, (uint8_t)g_rand_int(random));
        BytesWriter out = bytes_writer(bytes->data + MESSAGE_HEADER_SIZE, head);

        if (lane == 0) {
            bytes_put_u32(&out, VD_AGENT_CLIPBOARD_UTF8_TEXT);
        } else if (lane == 1) {
            bytes_put_u32(&out, 7);
            bytes_put_u64(&out, size);
        }
        g_byte_array_append(all, bytes->data, bytes->len);
    }
    return all;
}

/* The lines of one kind of message: what one lane has sent. */
static char *lines_of(const char *text, const char *kind)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    GString *found = g_string_new(NULL);
    gboolean bulk = FALSE; /* of the last bulk message: its end belongs to it */

    for (char **line = lines; *line; line++) {
        gboolean ours = strstr(*line, kind) != NULL;

        if (strstr(*line, " bulk ")) {
            bulk = ours;
        }
        if (ours || (bulk && strstr(*line, " end "))) {
            g_string_append_printf(found, "%s\n", *line);
        }
    }
    return g_string_free(found, FALSE);
}

/*
 * Both ends: lanes filled in pieces of any size as there is room, chunks taken whenever the dice say so and read in any
 * cut. Each lane's messages come out as they went in.
 */
static void test_pair(guint32 seed)
{
    static const char *const kinds[] = { " clipboard ", " file-xfer-data ", " client-disconnected " };
    g_autoptr(GRand) random = g_rand_new_with_seed(seed);
    g_autofree Mux *mux = mux_new(two_ports, 3);
    DemuxLog *woven = demuxlog_new();
    GByteArray *sources[3];
    guint at[3] = { 0 };
    gboolean pending = TRUE;

    check_case("pair, seed %u", seed);
    for (size_t i = 0; i < 3; i++) {
        sources[i] = source(random, i);
    }
    while (pending) {
        uint8_t chunk[MUX_CHUNK_MAX];
        size_t lane = (size_t)g_rand_int_range(random, 0, 3), size;

        if (at[lane] < sources[lane]->len) {
            size = (size_t)g_rand_int_range(random, 1, g_rand_boolean(random) ? 8 : 20000);
            size = MIN(MIN(size, sources[lane]->len - at[lane]), mux_room(mux, lane));
            CHECK(mux_put(mux, lane, sources[lane]->data + at[lane], size));
            at[lane] += (guint)size;
        }
        for (int n = g_rand_int_range(random, 0, 6); n > 0 && (size = mux_next(mux, chunk)) > 0; n--) {
            size_t cut = (size_t)g_rand_int_range(random, 0, (gint32)size);

            demuxlog_feed(woven, chunk, cut);
            demuxlog_feed(woven, chunk + cut, size - cut);
        }
        pending = FALSE;
        for (size_t i = 0; i < 3; i++) {
            pending = pending || at[i] < sources[i]->len || mux_pending(mux, i);
        }
    }
    for (size_t i = 0; i < 3; i++) {
        DemuxLog *plain = demuxlog_new();

        for (guint from = 0; from < sources[i]->len; from += LIMIT_CHUNK_OUT) {
            uint32_t size = MIN(sources[i]->len - from, LIMIT_CHUNK_OUT);
            uint8_t header[CHUNK_HEADER_SIZE];
            BytesWriter out = bytes_writer(header, sizeof(header));

            chunk_put_header(&out, two_ports[i], size);
            demuxlog_feed(plain, header, sizeof(header));
            demuxlog_feed(plain, sources[i]->data + from, size);
        }

        g_autofree char *lines = lines_of(woven->text->str, kinds[i]);

        CHECK(strlen(lines) > 100);
        CHECK_STR(lines, plain->text->str);
        demuxlog_free(plain);
        g_byte_array_unref(sources[i]);
    }
    demuxlog_free(woven);
}

int main(void)
{
    test_ports_take_turns();
    test_lower_lane_first();
    test_chunk_sizes();
    test_slow_source();
    test_incomplete_lower_lane();
    test_full();
    test_drop();
    test_retract();
    test_largest();
    for (guint32 seed = 1; seed <= 50; seed++) {
        test_pair(seed);
    }
    return check_done();
}
