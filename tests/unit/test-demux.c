/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "demuxlog.h"

/* Bytes for the demultiplexer. */
typedef struct Input {
    uint8_t bytes[65536];
    BytesWriter out;
} Input;

static Input *input_new(void)
{
    Input *input = g_new0(Input, 1);

    input->out = bytes_writer(input->bytes, sizeof(input->bytes));
    return input;
}

static void put_header(Input *input, uint32_t type, uint32_t size)
{
    message_put_header(&input->out, &(MessageHeader){ .type = type, .size = size });
}

static void put_message(Input *input, uint32_t port, uint32_t type, const void *body, uint32_t size)
{
    chunk_put_header(&input->out, port, MESSAGE_HEADER_SIZE + size);
    put_header(input, type, size);
    bytes_put(&input->out, body, size);
}

static void put_mouse(Input *input, uint32_t port, uint32_t x, uint32_t y, uint32_t buttons, uint8_t display)
{
    chunk_put_header(&input->out, port, MESSAGE_HEADER_SIZE + 13);
    put_header(input, VD_AGENT_MOUSE_STATE, 13);
    bytes_put_u32(&input->out, x);
    bytes_put_u32(&input->out, y);
    bytes_put_u32(&input->out, buttons);
    bytes_put_u8(&input->out, display);
}

static void set_sizes(DemuxLog *log)
{
    demux_set_size(&log->demux, 0, 1280, 800);
    demux_set_size(&log->demux, 1, 1024, 768);
    demux_set_size(&log->demux, 3, 640, 480);
    demux_set_size(&log->demux, 3, 0, 0);
    demux_set_size(&log->demux, LIMIT_DISPLAYS, 640, 480);
    demux_set_size(&log->demux, UINT32_MAX, 640, 480);
}

enum {
    L = VD_AGENT_LBUTTON_MASK,
    M = VD_AGENT_MBUTTON_MASK,
    R = VD_AGENT_RBUTTON_MASK,
    U = VD_AGENT_UBUTTON_MASK,
    D = VD_AGENT_DBUTTON_MASK,
    S = VD_AGENT_SBUTTON_MASK,
    E = VD_AGENT_EBUTTON_MASK,
};

/* Mouse states in, one stream of them, and the frames that come out. */
static const struct {
    uint32_t port, x, y, buttons;
    uint8_t display;
    const char *expected;
} mouse[] = {
    { 2, 0, 0, 0, 0, "pointer 1 0:25,40 00 0 0\n" },
    { 2, 1279, 799, 0, 0, "pointer 2 0:65510,65495 00 0 0\n" },
    { 2, 5000, UINT32_MAX, 0, 0, "pointer 3 0:65510,65495 00 0 0\n" }, /* beyond the edge */
    { 2, 512, 384, L, 1, "pointer 4 1:32800,32810 01 0 0\n" },
    { 2, 512, 384, M, 1, "pointer 5 1:32800,32810 02 0 0\n" },
    { 2, 512, 384, R, 1, "pointer 6 1:32800,32810 04 0 0\n" },
    { 2, 512, 384, S, 1, "pointer 7 1:32800,32810 08 0 0\n" },
    { 2, 512, 384, E, 1, "pointer 8 1:32800,32810 10 0 0\n" },
    { 2, 512, 384, L | M | R | S | E, 1, "pointer 9 1:32800,32810 1f 0 0\n" },
    { 2, 1, 1, L | 1u << 0 | 0xffffff00u, 2, "pointer 10 nowhere 01 0 0\n" }, /* no such display; the button counts */
    { 2, 1, 1, 0, 3, "pointer 11 nowhere 00 0 0\n" },                   /* of no size any more */
    { 2, 1, 1, U, 16, "pointer 12 nowhere 00 120 0\n" },
    { 2, 1, 1, D, 255, "pointer 13 nowhere 00 -120 0\n" },
    /* Port 2: each wheel bit is a step. */
    { 2, 0, 0, U, 0, "pointer 14 0:25,40 00 120 0\n" },
    { 2, 0, 0, U, 0, "pointer 15 0:25,40 00 120 0\n" },
    { 2, 0, 0, D | L, 0, "pointer 16 0:25,40 01 -120 0\n" },
    { 2, 0, 0, U | D, 0, "pointer 17 0:25,40 00 0 0\n" },
    /* Port 1: its rising edge is, and what port 2 says has no part in it. */
    { 1, 0, 0, U, 0, "pointer 18 0:25,40 00 120 0\n" },
    { 1, 0, 0, U, 0, "pointer 19 0:25,40 00 0 0\n" },
    { 1, 1, 0, U, 0, "pointer 20 0:76,40 00 0 0\n" },
    { 2, 0, 0, 0, 0, "pointer 21 0:25,40 00 0 0\n" },
    { 1, 0, 0, U | D, 0, "pointer 22 0:25,40 00 -120 0\n" },
    { 1, 0, 0, 0, 0, "pointer 23 0:25,40 00 0 0\n" },
    { 1, 0, 0, D, 0, "pointer 24 0:25,40 00 -120 0\n" },
};

static void test_mouse(void)
{
    DemuxLog *log = demuxlog_new();

    set_sizes(log);
    for (size_t i = 0; i < G_N_ELEMENTS(mouse); i++) {
        g_autofree Input *input = input_new();

        check_case("mouse %zu", i + 1);
        put_mouse(input, mouse[i].port, mouse[i].x, mouse[i].y, mouse[i].buttons, mouse[i].display);
        g_string_truncate(log->text, 0);
        demuxlog_feed(log, input->bytes, input->out.used);
        CHECK_STR(log->text->str, mouse[i].expected);
    }
    check_case("%s", "counters");
    CHECK_EQ(log->demux.mouse_states, G_N_ELEMENTS(mouse));
    CHECK_EQ(log->demux.unknown_displays, 4);

    /* A held wheel bit is forgotten with the connection; sizes stay. */
    g_autofree Input *input = input_new();

    demux_reset(&log->demux);
    put_mouse(input, 1, 0, 0, D, 0);
    g_string_truncate(log->text, 0);
    demuxlog_feed(log, input->bytes, input->out.used);
    CHECK_STR(log->text->str, "pointer 25 0:25,40 00 -120 0\n");
    demuxlog_free(log);
}

/* All kinds of chunks and messages, on both ports, interleaved within messages. */
static Input *mixed(void)
{
    Input *input = input_new();
    uint8_t text[3000];

    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (uint8_t)(i * 7);
    }
    put_mouse(input, 2, 3, 4, L, 0);
    /* A clipboard of 3000 bytes on port 1 with mouse states between and a chunk on a port that nobody knows. */
    chunk_put_header(&input->out, 1, 30);
    put_header(input, VD_AGENT_CLIPBOARD, 4 + sizeof(text));
    bytes_put_u32(&input->out, VD_AGENT_CLIPBOARD_UTF8_TEXT);
    bytes_put(&input->out, text, 6);
    put_mouse(input, 2, 5, 6, L, 0);
    chunk_put_header(&input->out, 99, 50);
    bytes_put(&input->out, text, 50);
    chunk_put_header(&input->out, 1, 2048);
    bytes_put(&input->out, text + 6, 2048);
    put_mouse(input, 2, 7, 8, 0, 1);
    chunk_put_header(&input->out, 1, sizeof(text) - 6 - 2048);
    bytes_put(&input->out, text + 6 + 2048, sizeof(text) - 6 - 2048);
    /* A header cut between chunks, empty chunks, two messages in one chunk. */
    chunk_put_header(&input->out, 1, 0);
    chunk_put_header(&input->out, 1, 7);

    g_autofree Input *message = input_new();

    put_header(message, VD_AGENT_CLIPBOARD_REQUEST, 4);
    bytes_put_u32(&message->out, VD_AGENT_CLIPBOARD_UTF8_TEXT);
    bytes_put(&input->out, message->bytes, 7);
    chunk_put_header(&input->out, 0, 0);
    chunk_put_header(&input->out, 1, (uint32_t)(2 * message->out.used - 7));
    bytes_put(&input->out, message->bytes + 7, message->out.used - 7);
    bytes_put(&input->out, message->bytes, message->out.used);
    /* Refused ones: an unknown type with a body, a wrong size, a type for the other direction. */
    put_message(input, 1, 77, text, 100);
    put_message(input, 2, VD_AGENT_MOUSE_STATE, text, 12);
    put_message(input, 1, VD_AGENT_REPLY, text, 8);
    /* An empty bulk message, and one that goes on after the end of the input. */
    put_message(input, 1, VD_AGENT_CLIPBOARD, "\1\0\0", 4);
    put_mouse(input, 1, 9, 9, U, 0);
    put_message(input, 2, VD_AGENT_CLIENT_DISCONNECTED, NULL, 0);
    put_mouse(input, 2, 1279, 799, 0, 0);
    return input;
}

static const char mixed_log[] =
    "pointer 1 0:179,368 01 0 0\n"
    "1 bulk clipboard 3004\n"
    "pointer 2 0:281,532 01 0 0\n"
    "skipped 99\n"
    "pointer 3 1:480,725 00 0 0\n"
    "1 end 3000 SUM\n"
    "skipped 0\n"
    "1 message clipboard-request 4\n"
    "1 message clipboard-request 4\n"
    "1 refused 77: WHY\n"
    "2 refused 1: WHY\n"
    "1 refused 3: WHY\n"
    "1 bulk clipboard 4\n"
    "1 end 0 00000000\n"
    "pointer 4 0:486,778 00 120 0\n"
    "2 message client-disconnected 0\n"
    "pointer 5 0:65510,65495 00 0 0\n";

/* Line by line, up to a text of another module or a checksum, marked WHY and SUM. */
static void check_lines(const char *actual, const char *expected)
{
    g_auto(GStrv) a = g_strsplit(actual, "\n", -1), e = g_strsplit(expected, "\n", -1);

    CHECK_EQ(g_strv_length(a), g_strv_length(e));
    for (guint i = 0; a[i] && e[i]; i++) {
        char *wild = strstr(e[i], "WHY");

        wild = wild ? wild : strstr(e[i], "SUM");
        if (wild && strlen(a[i]) > (size_t)(wild - e[i])) {
            a[i][wild - e[i]] = *wild = '\0';
        }
        CHECK_STR(a[i], e[i]);
    }
}

static char *log_of(const Input *input, size_t first, size_t step)
{
    DemuxLog *log = demuxlog_new();

    set_sizes(log);
    demuxlog_feed(log, input->bytes, first);
    for (size_t at = first; at < input->out.used; at += step) {
        demuxlog_feed(log, input->bytes + at, MIN(step, input->out.used - at));
    }

    char *text = g_strdup(log->text->str);

    demuxlog_free(log);
    return text;
}

static void test_cuts(void)
{
    g_autofree Input *input = mixed();
    g_autofree char *whole = log_of(input, input->out.used, 1);

    check_case("%s", "whole");
    check_lines(whole, mixed_log);
    for (size_t cut = 0; cut < input->out.used; cut++) {
        g_autofree char *text = log_of(input, cut, input->out.used);

        check_case("cut at %zu", cut);
        CHECK_STR(text, whole);
    }
    for (size_t step = 1; step < 64; step++) {
        g_autofree char *text = log_of(input, 0, step);

        check_case("pieces of %zu", step);
        CHECK_STR(text, whole);
    }
}

static void test_broken(void)
{
    static const struct {
        const char *name;
        uint32_t port, size, protocol;
    } rows[] = {
        { "chunk of 2^32-1", 1, UINT32_MAX, VD_AGENT_PROTOCOL },
        { "chunk beyond the limit", 2, LIMIT_CHUNK_IN + 1, VD_AGENT_PROTOCOL },
        { "chunk beyond the limit on a foreign port", 99, LIMIT_CHUNK_IN + 1, VD_AGENT_PROTOCOL },
        { "not the agent's protocol", 1, 100, 2 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree Input *input = input_new(), *good = input_new();
        DemuxLog *log = demuxlog_new();

        check_case("%s", rows[i].name);
        set_sizes(log);
        chunk_put_header(&input->out, rows[i].port, rows[i].size);
        bytes_put_u32(&input->out, rows[i].protocol);
        bytes_put(&input->out, (uint8_t[16]){ 0 }, 16);
        put_mouse(input, 2, 0, 0, 0, 0);
        put_mouse(good, 2, 0, 0, 0, 0);
        demuxlog_feed(log, input->bytes, input->out.used);
        demuxlog_feed(log, good->bytes, good->out.used);
        CHECK_STR(log->text->str, "broken\n");
        g_string_truncate(log->text, 0);
        demux_reset(&log->demux);
        demuxlog_feed(log, good->bytes, good->out.used);
        CHECK_STR(log->text->str, "pointer 1 0:25,40 00 0 0\n");
        demuxlog_free(log);
    }
}

/* A client that went away in the middle of a message; the next one's first message is read as such. */
static void test_reset_client(void)
{
    g_autofree Input *input = input_new();
    DemuxLog *log = demuxlog_new();

    check_case("%s", "reset client");
    chunk_put_header(&input->out, 1, MESSAGE_HEADER_SIZE + 6);
    put_header(input, VD_AGENT_CLIPBOARD, 1000);
    bytes_put(&input->out, "\1\0\0\0ab", 6);
    put_message(input, 2, VD_AGENT_CLIENT_DISCONNECTED, NULL, 0);
    demuxlog_feed(log, input->bytes, input->out.used);
    demux_reset_client(&log->demux);
    input->out = bytes_writer(input->bytes, sizeof(input->bytes));
    put_message(input, 1, VD_AGENT_CLIPBOARD_REQUEST, "\1\0\0", 4);
    demuxlog_feed(log, input->bytes, input->out.used);
    CHECK_STR(log->text->str,
              "1 bulk clipboard 1000\n2 message client-disconnected 0\n1 message clipboard-request 4\n");
    demuxlog_free(log);
}

/* With selections agreed upon a request is four bytes longer. */
static void test_caps(void)
{
    static const unsigned selection[] = { VD_AGENT_CAP_CLIPBOARD_SELECTION };
    g_autofree Input *input = input_new();
    DemuxLog *log = demuxlog_new();
    Caps caps = caps_of(selection, 1);

    check_case("%s", "caps");
    demux_set_caps(&log->demux, &caps);
    put_message(input, 1, VD_AGENT_CLIPBOARD_REQUEST, "\0\0\0\0\1\0\0", 8);
    put_message(input, 1, VD_AGENT_CLIPBOARD_REQUEST, "\1\0\0", 4);
    demuxlog_feed(log, input->bytes, input->out.used);
    CHECK(g_str_has_prefix(log->text->str, "1 message clipboard-request 8\n1 refused 8: "));
    demuxlog_free(log);
}

int main(void)
{
    test_mouse();
    test_cuts();
    test_broken();
    test_reset_client();
    test_caps();
    return check_done();
}
