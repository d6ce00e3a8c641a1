/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The relay between a scripted host and a scripted session, without descriptors and with a clock of its own: the same
 * whatever way the bytes are cut, each deadline to the millisecond, each message with each bit wrong.
 */
#include "relay.h"

#include "check.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What came out, as text: names of messages, with what tells them apart. */
typedef struct Got {
    Stream stream;
    char text[4096];
    uint64_t bulk;
} Got;

typedef struct World {
    Relay *relay;
    Demux demux;
    ChunkReader chunks;
    int64_t now;
    unsigned reopened, ended, clients;
    Got host, control, files;
} World;

static void note(Got *got, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(Got *got, const char *format, ...)
{
    size_t used = strlen(got->text);
    va_list args;

    va_start(args, format);
    vsnprintf(got->text + used, sizeof(got->text) - used, format, args);
    va_end(args);
}

static void read_messages(Got *got, const uint8_t *data, size_t size)
{
    BytesReader in = bytes_reader(data, size);
    StreamResult result;
    StreamEvent event;

    while ((result = stream_next(&got->stream, &in, &event)) != STREAM_MORE) {
        const VdagentMessage *message = &event.message;

        switch (result) {
        case STREAM_MESSAGE:
            note(got, "%s", vdagent_name(message->type));
            if (message->type == VD_AGENT_CLIPBOARD_GRAB)
                note(got, "@%u", message->grab.serial);
            else if (message->type == VD_AGENT_FILE_XFER_STATUS)
                note(got, "(%u,%u)", message->file_status.id, message->file_status.result);
            else if (message->type == VD_AGENT_ANNOUNCE_CAPABILITIES)
                note(got, "(%u,%x)", message->announce.request, message->announce.caps.word[0]);
            note(got, " ");
            break;
        case STREAM_BULK:
            if (message->type == VD_AGENT_CLIPBOARD)
                note(got, "clipboard(%s,%u) ", vdagent_clipboard_name(message->clipboard.type), message->clipboard.size);
            else
                note(got, "data(%u,%u) ", message->file_data.id, (unsigned)message->file_data.size);
            break;
        case STREAM_DATA:
            got->bulk += event.size;
            break;
        case STREAM_BULK_END:
            break;
        case STREAM_REFUSED:
        case STREAM_BROKEN:
        case STREAM_MORE:
            CHECK(!"nothing malformed comes out");
            return;
        }
    }
}

static void on_client(const Caps *agreed, const Caps *theirs, void *user)
{
    World *world = user;
    Caps caps = agreed ? *agreed : (Caps){ { 0 } };

    (void)theirs;
    demux_set_caps(&world->demux, &caps);
    world->host.stream.caps = world->control.stream.caps = world->files.stream.caps = caps;
    world->clients += agreed != NULL;
}

static void on_devices(const VdagentDevices *devices, void *user)
{
    (void)devices;
    (void)user;
}

static void on_kick(void *user)
{
    (void)user;
}

static void on_end_session(const char *why, void *user)
{
    World *world = user;

    (void)why;
    world->ended++;
}

static void on_reopen(const char *why, void *user)
{
    World *world = user;

    (void)why;
    world->reopened++;
}

static World *world_new(void)
{
    static const RelayEvents events = { on_client, on_devices, on_kick, on_end_session, on_reopen };
    static const RelayPolicy policy = { .clipboard = true, .files = true };
    World *world = g_new0(World, 1);

    world->now = 1000;
    world->relay = relay_new(&policy, &events, world);
    demux_init(&world->demux);
    stream_init(&world->host.stream, VDAGENT_TO_HOST);
    stream_init(&world->control.stream, VDAGENT_TO_GUEST);
    stream_init(&world->files.stream, VDAGENT_TO_GUEST);
    return world;
}

static void world_free(World *world)
{
    relay_free(world->relay);
    g_free(world);
}

static void from_host(World *world, const uint8_t *data, size_t size)
{
    BytesReader in = bytes_reader(data, size);
    DemuxResult result;
    DemuxEvent event;

    while ((result = demux_next(&world->demux, &in, &event)) != DEMUX_MORE) {
        if (result == DEMUX_AGENT) {
            relay_host_event(world->relay, &event, world->now);
            if (event.result == STREAM_MESSAGE && event.stream.header.type == VD_AGENT_CLIENT_DISCONNECTED)
                demux_reset_client(&world->demux);
        } else if (result == DEMUX_BROKEN) {
            demux_reset(&world->demux);
            relay_host(world->relay, false, world->now);
            relay_host(world->relay, true, world->now);
        }
    }
}

static void from_session(World *world, RouterSocket socket, const uint8_t *data, size_t size)
{
    CHECK(relay_session_want(world->relay, socket) >= size);
    relay_session_data(world->relay, socket, data, size, world->now);
}

static void take_host(World *world)
{
    uint8_t chunk[MUX_CHUNK_MAX];
    size_t size;

    while ((size = relay_fill(world->relay, chunk)) > 0) {
        BytesReader in = bytes_reader(chunk, size);
        ChunkPiece piece;

        CHECK_EQ(chunk_next(&world->chunks, &in, &piece), CHUNK_PIECE);
        read_messages(&world->host, piece.data, piece.size);
    }
}

static void take_session(World *world)
{
    for (size_t i = 0; i < ROUTER_SOCKETS; i++) {
        size_t size;
        const uint8_t *data = relay_session_peek(world->relay, i, &size);

        read_messages(i == ROUTER_SOCKET_CONTROL ? &world->control : &world->files, data, size);
        relay_session_taken(world->relay, i, size, world->now);
    }
}

/* Message bytes, in chunks for a port that is not 0, with `data` bytes of zeroes behind a bulk head. */
static size_t encode(uint8_t *out, uint32_t port, const VdagentMessage *message, size_t data)
{
    uint8_t plain[MESSAGE_HEADER_SIZE + LIMIT_MESSAGE] = { 0 };
    BytesWriter writer = bytes_writer(plain, sizeof(plain));
    BytesWriter chunk = bytes_writer(out, 8192);

    CHECK_EQ(vdagent_encode(vdagent_layout_caps(), message, &writer), VDAGENT_OK);
    CHECK(data <= writer.left);
    if (port != 0)
        chunk_put_header(&chunk, port, (uint32_t)(writer.used + data));
    bytes_put(&chunk, plain, writer.used + data);
    return chunk.used;
}

static void say(World *world, uint32_t port, const VdagentMessage *message, size_t data)
{
    uint8_t bytes[8192];

    from_host(world, bytes, encode(bytes, port, message, data));
}

static void tell(World *world, RouterSocket socket, const VdagentMessage *message, size_t data)
{
    uint8_t bytes[8192];

    from_session(world, socket, bytes, encode(bytes, 0, message, data));
}

#define CLIENT_CAPS 0x3507fu  /* spice-gtk's */
#define SESSION_CAPS 0x357e6u

static const VdagentMessage client_announces = {
    .type = VD_AGENT_ANNOUNCE_CAPABILITIES, .announce = { .request = 1, .caps = { { CLIENT_CAPS } } }
};
static const VdagentMessage session_announces = {
    .type = VD_AGENT_ANNOUNCE_CAPABILITIES, .announce = { .caps = { { SESSION_CAPS } } }
};
static const VdagentMessage client_leaves = { .type = VD_AGENT_CLIENT_DISCONNECTED };
static const VdagentMessage grab0 = { .type = VD_AGENT_CLIPBOARD_GRAB, .grab = { .count = 1, .type = { 1 } } };
static const VdagentMessage ask = { .type = VD_AGENT_CLIPBOARD_REQUEST, .request = { 0, VD_AGENT_CLIPBOARD_UTF8_TEXT } };

static void forget(World *world)
{
    take_host(world);
    take_session(world);
    world->host.text[0] = world->control.text[0] = world->files.text[0] = '\0';
    world->host.bulk = world->control.bulk = world->files.bulk = 0;
    world->ended = world->reopened = world->clients = 0;
}

/* A host, a client and a session that know each other. */
static World *acquainted(void)
{
    World *world = world_new();

    relay_host(world->relay, true, world->now);
    relay_session_open(world->relay, ROUTER_USER, world->now);
    say(world, VDP_CLIENT_PORT, &client_announces, 0);
    for (size_t i = 0; i < ROUTER_SOCKETS; i++)
        tell(world, i, &session_announces, 0);
    take_host(world);
    take_session(world);
    CHECK_STR(world->host.text, "announce-capabilities(0,357e6) ");
    CHECK_STR(world->control.text, "announce-capabilities(1,3507f) ");
    CHECK_STR(world->files.text, "announce-capabilities(1,3507f) ");
    forget(world);
    return world;
}

static void tick(World *world, int64_t ms)
{
    world->now += ms;
    relay_tick(world->relay, world->now);
}

/* ---- cut anywhere ---- */

static void test_cuts(void)
{
    static const char keys[] = "[vdagent-file-xfer]\nname=a\nsize=4\n";
    const VdagentMessage script[] = {
        grab0,
        { .type = VD_AGENT_MONITORS_CONFIG, .monitors = { .count = 1, .monitor = { { 800, 600, 32, 0, 0, 0, 0 } } } },
        { .type = VD_AGENT_FILE_XFER_START, .file_start = { 3, keys, sizeof(keys) - 1 } },
        { .type = VD_AGENT_FILE_XFER_DATA, .file_data = { 3, 40 } },
        { .type = VD_AGENT_CLIPBOARD, .clipboard = { 0, VD_AGENT_CLIPBOARD_UTF8_TEXT, 50 } },
        { .type = VD_AGENT_MAX_CLIPBOARD, .max_clipboard = { 1000 } },
        { .type = VD_AGENT_CLIPBOARD_RELEASE },
        { .type = VD_AGENT_CLIPBOARD_REQUEST, .request = { 0, VD_AGENT_CLIPBOARD_UTF8_TEXT } },
    };
    static const size_t bulk[] = { 0, 0, 0, 40, 50, 0, 0, 0 };
    uint8_t bytes[8192];
    size_t size = 0, first;

    for (size_t i = 0; i < COUNT(script); i++)
        size += encode(bytes + size, VDP_CLIENT_PORT, &script[i], bulk[i]);
    first = encode(bytes + 4096, VDP_CLIENT_PORT, &script[0], 0);
    for (size_t cut = first; cut <= size; cut++) {
        World *world = acquainted();

        check_case("host, cut at %zu", cut);
        from_host(world, bytes, first);
        tell(world, ROUTER_SOCKET_CONTROL, &ask, 0);
        from_host(world, bytes + first, cut - first);
        take_session(world);
        from_host(world, bytes + cut, size - cut);
        take_host(world);
        take_session(world);
        CHECK_STR(world->control.text,
                  "clipboard-grab@0 monitors-config clipboard(text,50) max-clipboard clipboard-release ");
        CHECK_STR(world->files.text, "file-xfer-start data(3,40) ");
        CHECK_STR(world->host.text, "clipboard-request clipboard(none,0) ");
        CHECK_EQ(world->control.bulk, 50);
        CHECK_EQ(world->files.bulk, 40);
        CHECK_EQ(world->ended + world->reopened, 0);
        world_free(world);
    }

    const VdagentMessage back[] = {
        { .type = VD_AGENT_REPLY, .reply = { VD_AGENT_MONITORS_CONFIG, VD_AGENT_SUCCESS } },
        { .type = VD_AGENT_CLIPBOARD, .clipboard = { 0, VD_AGENT_CLIPBOARD_UTF8_TEXT, 50 } },
        { .type = VD_AGENT_CLIPBOARD_RELEASE },
    };
    static const size_t back_bulk[] = { 0, 50, 0 };
    size = 0;
    for (size_t i = 0; i < COUNT(back); i++)
        size += encode(bytes + size, 0, &back[i], back_bulk[i]);
    for (size_t cut = 0; cut <= size; cut++) {
        World *world = acquainted();

        check_case("session, cut at %zu", cut);
        tell(world, ROUTER_SOCKET_CONTROL, &grab0, 0);
        say(world, VDP_CLIENT_PORT, &ask, 0);
        from_session(world, ROUTER_SOCKET_CONTROL, bytes, cut);
        take_host(world);
        from_session(world, ROUTER_SOCKET_CONTROL, bytes + cut, size - cut);
        take_host(world);
        CHECK_STR(world->host.text, "clipboard-grab@0 reply clipboard(text,50) clipboard-release ");
        CHECK_EQ(world->host.bulk, 50);
        CHECK_EQ(world->ended + world->reopened, 0);
        world_free(world);
    }
}

/* ---- bits ---- */

static void still_works(World *world)
{
    World before = *world;

    /* The end of whatever was begun. */
    say(world, VDP_SERVER_PORT, &client_leaves, 0);
    if (world->ended > 0)
        relay_session_open(world->relay, ROUTER_USER, world->now);
    world->control.stream.reader = world->files.stream.reader = (MessageReader){ 0 };
    say(world, VDP_CLIENT_PORT, &client_announces, 0);
    CHECK_EQ(world->clients, before.clients + 1);
    forget(world);
    for (size_t i = 0; i < ROUTER_SOCKETS; i++)
        tell(world, i, &session_announces, 0);
    say(world, VDP_CLIENT_PORT, &grab0, 0);
    tell(world, ROUTER_SOCKET_CONTROL, &ask, 0);
    take_session(world);
    take_host(world);
    CHECK(strstr(world->control.text, "clipboard-grab@0 ") != NULL);
    CHECK(strstr(world->host.text, "clipboard-request ") != NULL);
}

static void test_bits(void)
{
    static const char keys[] = "[vdagent-file-xfer]\nname=a\nsize=4\n";
    const struct {
        VdagentMessage message;
        size_t data;
    } all[] = {
        { { .type = VD_AGENT_MONITORS_CONFIG, .monitors = { .count = 1, .monitor = { { 800, 600, 32, 0, 0, 7, 7 } } } }, 0 },
        { { .type = VD_AGENT_CLIPBOARD, .clipboard = { 0, VD_AGENT_CLIPBOARD_UTF8_TEXT, 4 } }, 4 },
        { { .type = VD_AGENT_DISPLAY_CONFIG }, 0 },
        { client_announces, 0 },
        { grab0, 0 },
        { ask, 0 },
        { { .type = VD_AGENT_CLIPBOARD_RELEASE }, 0 },
        { { .type = VD_AGENT_FILE_XFER_START, .file_start = { 3, keys, sizeof(keys) - 1 } }, 0 },
        { { .type = VD_AGENT_FILE_XFER_STATUS, .file_status = { .id = 3, .result = 1 } }, 0 },
        { { .type = VD_AGENT_FILE_XFER_DATA, .file_data = { 3, 4 } }, 4 },
        { client_leaves, 0 },
        { { .type = VD_AGENT_MAX_CLIPBOARD, .max_clipboard = { 4 } }, 0 },
        { { .type = VD_AGENT_AUDIO_VOLUME_SYNC, .volume = { 1, 0, 2, { 1, 2 } } }, 0 },
        { { .type = VD_AGENT_GRAPHICS_DEVICE_INFO, .devices = { .count = 1, .device = { { 0, 0, 0, "pci/0000/02.0" } } } }, 0 },
        { { .type = VD_AGENT_REPLY }, 0 },
    };
    uint8_t bytes[8192];

    for (size_t i = 0; i < COUNT(all); i++) {
        size_t size = encode(bytes, VDP_CLIENT_PORT, &all[i].message, all[i].data);

        /* Not the chunk's own header: that is the demultiplexer's test. */
        for (size_t bit = 8 * CHUNK_HEADER_SIZE; bit < 8 * size; bit++) {
            World *world = acquainted();

            check_case("%s from the host, bit %zu", vdagent_name(all[i].message.type), bit);
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            from_host(world, bytes, size);
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            still_works(world);
            world_free(world);
        }
    }
    for (size_t i = 0; i < COUNT(all) * ROUTER_SOCKETS; i++) {
        RouterSocket socket = i % ROUTER_SOCKETS;
        size_t size = encode(bytes, 0, &all[i / 2].message, all[i / 2].data);

        for (size_t bit = 0; bit < 8 * size; bit++) {
            World *world = acquainted();

            check_case("%s from the session, bit %zu", vdagent_name(all[i / 2].message.type), bit);
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            from_session(world, socket, bytes, size);
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            /* A wrong protocol number ends the connection, be it that of a message or what a wrong size makes one. */
            CHECK(bit >= 32 || world->ended == 1);
            if (world->ended == 0) {
                relay_session_close(world->relay, world->now);
                world->ended++;
            }
            still_works(world);
            world_free(world);
        }
    }
}

/* ---- deadlines ---- */

static void test_announcing(void)
{
    World *world = world_new();

    check_case("nobody speaks first");
    relay_pointer(world->relay, true, world->now);
    CHECK_EQ(relay_deadline(world->relay), INT64_MAX);
    relay_host(world->relay, true, world->now);
    CHECK_EQ(relay_deadline(world->relay), world->now + RELAY_ANNOUNCE_MS);
    tick(world, RELAY_ANNOUNCE_MS - 1);
    take_host(world);
    CHECK_STR(world->host.text, "");
    tick(world, 1);
    take_host(world);
    CHECK_STR(world->host.text, "announce-capabilities(1,2c041) ");
    CHECK_EQ(relay_deadline(world->relay), INT64_MAX);

    check_case("the answer to our request");
    forget(world);
    say(world, VDP_CLIENT_PORT, &(VdagentMessage){ .type = VD_AGENT_ANNOUNCE_CAPABILITIES,
                                                    .announce.caps = { { CLIENT_CAPS } } }, 0);
    CHECK_EQ(world->clients, 1);
    take_host(world);
    CHECK_STR(world->host.text, "");

    check_case("a session that is slow to answer");
    relay_session_open(world->relay, ROUTER_USER, world->now);
    say(world, VDP_CLIENT_PORT, &client_announces, 0);
    CHECK_EQ(world->clients, 2);
    CHECK_EQ(relay_deadline(world->relay), world->now + RELAY_ANNOUNCE_MS);
    tick(world, RELAY_ANNOUNCE_MS - 1);
    take_host(world);
    CHECK_STR(world->host.text, "");
    tick(world, 1);
    take_host(world);
    CHECK_STR(world->host.text, "announce-capabilities(0,2c041) ");
    forget(world);
    tell(world, ROUTER_SOCKET_CONTROL, &session_announces, 0);
    tell(world, ROUTER_SOCKET_CONTROL, &session_announces, 0);
    take_host(world);
    CHECK_STR(world->host.text, "announce-capabilities(0,3d7e7) ");

    check_case("the other socket is not answered");
    CHECK_EQ(relay_deadline(world->relay), world->now - RELAY_ANNOUNCE_MS + RELAY_HANDSHAKE_MS);
    tick(world, RELAY_HANDSHAKE_MS - RELAY_ANNOUNCE_MS - 1);
    CHECK_EQ(world->ended, 0);
    tick(world, 1);
    CHECK_EQ(world->ended, 1);
    CHECK_EQ(relay_deadline(world->relay), INT64_MAX);
    world_free(world);
}

/* Zeroes of a bulk message's data, until the port has to stop. */
static void pour(World *world)
{
    static const uint8_t zeroes[LIMIT_CHUNK_OUT];
    uint8_t bytes[CHUNK_HEADER_SIZE + sizeof(zeroes)];

    for (size_t i = 0; i < 1000 && !relay_paused(world->relay); i++) {
        BytesWriter out = bytes_writer(bytes, sizeof(bytes));

        chunk_put_header(&out, VDP_CLIENT_PORT, sizeof(zeroes));
        bytes_put(&out, zeroes, sizeof(zeroes));
        from_host(world, bytes, out.used);
    }
    CHECK(relay_paused(world->relay));
}

static void test_stalled_paste(void)
{
    World *world = acquainted();

    check_case("a session that does not read a paste");
    say(world, VDP_CLIENT_PORT, &grab0, 0);
    tell(world, ROUTER_SOCKET_CONTROL, &ask, 0);
    forget(world);
    say(world, VDP_CLIENT_PORT, &(VdagentMessage){ .type = VD_AGENT_CLIPBOARD,
                                                    .clipboard = { 0, VD_AGENT_CLIPBOARD_UTF8_TEXT, 1 << 20 } }, 0);
    pour(world);
    CHECK_EQ(relay_deadline(world->relay), world->now + LIMIT_STALL_MS);
    world->now += LIMIT_STALL_MS / 2;
    take_session(world);
    CHECK(!relay_paused(world->relay));
    CHECK_EQ(relay_deadline(world->relay), INT64_MAX);
    pour(world);
    tick(world, LIMIT_STALL_MS - 1);
    CHECK_EQ(world->ended, 0);
    tick(world, 1);
    CHECK_EQ(world->ended, 1);
    CHECK(!relay_paused(world->relay));
    CHECK_EQ(world->reopened, 0);

    /* The client's grab is the next session's. */
    world->control.stream.reader = (MessageReader){ 0 };
    forget(world);
    relay_session_open(world->relay, ROUTER_USER, world->now);
    take_session(world);
    CHECK_STR(world->control.text, "announce-capabilities(1,3507f) clipboard-grab@0 ");
    world_free(world);
}

static void test_stalled_transfer(void)
{
    static const char keys[] = "[vdagent-file-xfer]\nname=a\nsize=4\n";
    World *world = acquainted();

    check_case("a session that does not read files");
    for (uint32_t id = 3; id < 5; id++)
        say(world, VDP_CLIENT_PORT, &(VdagentMessage){ .type = VD_AGENT_FILE_XFER_START,
                                                        .file_start = { id, keys, sizeof(keys) - 1 } }, 0);
    forget(world);
    say(world, VDP_CLIENT_PORT, &(VdagentMessage){ .type = VD_AGENT_FILE_XFER_DATA, .file_data = { 4, 10 } }, 10);
    take_session(world);
    say(world, VDP_CLIENT_PORT, &(VdagentMessage){ .type = VD_AGENT_FILE_XFER_DATA, .file_data = { 3, 1 << 20 } }, 0);
    pour(world);
    CHECK_EQ(relay_deadline(world->relay), world->now + LIMIT_STALL_MS);
    relay_session_taken(world->relay, ROUTER_SOCKET_FILES, 0, world->now);
    tick(world, LIMIT_STALL_MS - 1);
    CHECK(relay_paused(world->relay));
    tick(world, 1);
    CHECK(!relay_paused(world->relay));
    CHECK_EQ(world->ended + world->reopened, 0);
    take_session(world);
    take_host(world);
    CHECK_STR(world->files.text, "data(4,10) file-xfer-status(3,1) ");
    CHECK_STR(world->host.text, "file-xfer-status(3,2) ");
    world_free(world);
}

/* What the daemon itself says must not get into the session's data. */
static void test_own_answers_in_data(void)
{
    static const uint8_t rest[2000];
    World *world = acquainted();

    check_case("an answer in the middle of data");
    tell(world, ROUTER_SOCKET_CONTROL, &grab0, 0);
    say(world, VDP_CLIENT_PORT, &ask, 0);
    forget(world);
    tell(world, ROUTER_SOCKET_CONTROL, &(VdagentMessage){ .type = VD_AGENT_CLIPBOARD,
                                                           .clipboard = { 0, VD_AGENT_CLIPBOARD_UTF8_TEXT, 5000 } }, 3000);
    take_host(world);
    say(world, VDP_CLIENT_PORT, &(VdagentMessage){ .type = VD_AGENT_CLIPBOARD_REQUEST, .request = { 1, 1 } }, 0);
    say(world, VDP_CLIENT_PORT, &(VdagentMessage){ .type = VD_AGENT_FILE_XFER_STATUS, .file_status = { .id = 1 } }, 0);
    from_session(world, ROUTER_SOCKET_CONTROL, rest, sizeof(rest));
    take_host(world);
    CHECK_STR(world->host.text, "clipboard(text,5000) clipboard(none,0) ");
    CHECK_EQ(world->host.bulk, 5000);
    world_free(world);

    check_case("a message in the middle of a paste");
    world = acquainted();
    say(world, VDP_CLIENT_PORT, &grab0, 0);
    tell(world, ROUTER_SOCKET_CONTROL, &ask, 0);
    forget(world);
    say(world, VDP_CLIENT_PORT, &(VdagentMessage){ .type = VD_AGENT_CLIPBOARD,
                                                    .clipboard = { 0, VD_AGENT_CLIPBOARD_UTF8_TEXT, 20 } }, 0);
    take_session(world);
    say(world, VDP_SERVER_PORT, &(VdagentMessage){ .type = VD_AGENT_GRAPHICS_DEVICE_INFO }, 0);
    tell(world, ROUTER_SOCKET_CONTROL, &(VdagentMessage){ .type = VD_AGENT_CLIPBOARD_REQUEST, .request = { 1, 1 } }, 0);
    take_session(world);
    CHECK_STR(world->control.text, "clipboard(text,20) ");
    from_host(world, (const uint8_t[]){ 1, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, 28);
    take_session(world);
    CHECK_STR(world->control.text, "clipboard(text,20) graphics-device-info clipboard(none,0) ");
    CHECK_EQ(world->control.bulk, 20);
    world_free(world);
}

static void test_silent_session(void)
{
    World *world = acquainted();

    check_case("a session that falls silent in its data");
    tell(world, ROUTER_SOCKET_CONTROL, &grab0, 0);
    say(world, VDP_CLIENT_PORT, &ask, 0);
    forget(world);
    tell(world, ROUTER_SOCKET_CONTROL, &(VdagentMessage){ .type = VD_AGENT_CLIPBOARD,
                                                           .clipboard = { 0, VD_AGENT_CLIPBOARD_UTF8_TEXT, 5000 } }, 3000);
    CHECK_EQ(relay_deadline(world->relay), world->now + LIMIT_STALL_MS);
    take_host(world);
    tick(world, LIMIT_STALL_MS - 1);
    CHECK_EQ(world->ended, 0);
    from_session(world, ROUTER_SOCKET_CONTROL, (const uint8_t *)"x", 1);
    CHECK_EQ(relay_deadline(world->relay), world->now + LIMIT_STALL_MS);
    tick(world, LIMIT_STALL_MS);
    CHECK_EQ(world->ended, 1);
    CHECK_EQ(world->reopened, 1);
    world_free(world);

    check_case("nothing of it has been sent yet");
    world = acquainted();
    tell(world, ROUTER_SOCKET_CONTROL, &grab0, 0);
    say(world, VDP_CLIENT_PORT, &ask, 0);
    forget(world);
    tell(world, ROUTER_SOCKET_CONTROL, &(VdagentMessage){ .type = VD_AGENT_CLIPBOARD,
                                                           .clipboard = { 0, VD_AGENT_CLIPBOARD_UTF8_TEXT, 5000 } }, 30);
    relay_session_close(world->relay, world->now);
    take_host(world);
    CHECK_EQ(world->reopened, 0);
    CHECK_STR(world->host.text, "announce-capabilities(0,24040) clipboard(none,0) clipboard-release ");
    world_free(world);

    check_case("nor of what it said before");
    world = acquainted();
    tell(world, ROUTER_SOCKET_CONTROL, &grab0, 0);
    say(world, VDP_CLIENT_PORT, &ask, 0);
    say(world, VDP_CLIENT_PORT, &(VdagentMessage){ .type = VD_AGENT_CLIPBOARD_REQUEST,
                                                   .request = { 0, VD_AGENT_CLIPBOARD_IMAGE_PNG } }, 0);
    tell(world, ROUTER_SOCKET_CONTROL, &(VdagentMessage){ .type = VD_AGENT_CLIPBOARD,
                                                           .clipboard = { 0, VD_AGENT_CLIPBOARD_UTF8_TEXT, 30 } }, 30);
    tell(world, ROUTER_SOCKET_CONTROL, &(VdagentMessage){ .type = VD_AGENT_CLIPBOARD,
                                                          .clipboard = { 0, VD_AGENT_CLIPBOARD_IMAGE_PNG, 5000 } }, 30);
    relay_session_close(world->relay, world->now);
    take_host(world);
    CHECK_EQ(world->reopened, 0);
    CHECK_STR(world->host.text, "announce-capabilities(0,24040) clipboard-grab@0 clipboard(text,30) clipboard(none,0) "
                                "clipboard-release ");
    world_free(world);
}

static void test_host_that_does_not_read(void)
{
    World *world = acquainted();
    uint8_t bytes[4096] = { 0 };
    size_t sent = 0;

    check_case("a host that does not read");
    tell(world, ROUTER_SOCKET_CONTROL, &grab0, 0);
    say(world, VDP_CLIENT_PORT, &ask, 0);
    forget(world);
    tell(world, ROUTER_SOCKET_CONTROL, &(VdagentMessage){ .type = VD_AGENT_CLIPBOARD,
                                                           .clipboard = { 0, VD_AGENT_CLIPBOARD_UTF8_TEXT, 100000 } }, 0);
    while (sent < 100000 && relay_session_want(world->relay, ROUTER_SOCKET_CONTROL) > 0) {
        size_t part = MIN(relay_session_want(world->relay, ROUTER_SOCKET_CONTROL), sizeof(bytes));

        from_session(world, ROUTER_SOCKET_CONTROL, bytes, part);
        sent += part;
    }
    CHECK(sent > 4096 && sent < LIMIT_LANE_QUEUE);
    CHECK_EQ(relay_deadline(world->relay), INT64_MAX); /* the session is not to blame */
    CHECK(!relay_paused(world->relay));

    for (uint32_t id = 0; id < 2000; id++) {
        say(world, VDP_CLIENT_PORT, &(VdagentMessage){ .type = VD_AGENT_FILE_XFER_STATUS, .file_status = { .id = id } }, 0);
        say(world, VDP_CLIENT_PORT, &(VdagentMessage){ .type = VD_AGENT_FILE_XFER_START, .file_start = { id, "", 0 } }, 0);
        take_session(world);
    }
    CHECK(relay_paused(world->relay));
    tick(world, LIMIT_STALL_MS);
    CHECK(!relay_paused(world->relay)); /* for the pointer */
    CHECK_EQ(world->ended + world->reopened, 0);
    take_host(world);
    CHECK(world->host.bulk <= sent && sent - world->host.bulk < LIMIT_CHUNK_OUT); /* the last chunk waits for its rest */
    world_free(world);
}

int main(void)
{
    test_cuts();
    test_announcing();
    test_stalled_paste();
    test_stalled_transfer();
    test_own_answers_in_data();
    test_silent_session();
    test_host_that_does_not_read();
    test_bits();
    return check_done();
}
