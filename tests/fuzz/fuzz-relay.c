/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Input: a script of what host, session and clock do, one operation byte and its operands each (see `run`). What the
 * relay gives out must be whole messages in good chunks at all times, a pause of the port must end in time, and no bug of
 * our own may be logged.
 */
#include "fuzz.h"
#include "relay.h"

#include <string.h>

typedef struct World {
    Relay *relay;
    Demux demux;
    int64_t now;
    bool host, session;
    ChunkReader chunks;
    MessageReader to_host, to_session[ROUTER_SOCKETS];
} World;

static GLogWriterOutput take_log(GLogLevelFlags level, const GLogField *fields, gsize count, gpointer user)
{
    (void)fields;
    (void)count;
    (void)user;
    FUZZ_CHECK(!(level & (G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR)));
    return G_LOG_WRITER_HANDLED;
}

static void on_client(const Caps *agreed, const Caps *theirs, void *user)
{
    static const Caps none;
    World *world = user;

    (void)theirs;
    demux_set_caps(&world->demux, agreed ? agreed : &none);
}

static void on_devices(const VdagentDevices *devices, void *user)
{
    (void)user;
    FUZZ_CHECK(devices->count <= LIMIT_DISPLAYS);
}

static void on_kick(void *user)
{
    (void)user;
}

static void on_end_session(const char *why, void *user)
{
    World *world = user;

    (void)why;
    FUZZ_CHECK(world->session);
    world->session = false;
}

static void on_reopen(const char *why, void *user)
{
    World *world = user;

    (void)why;
    FUZZ_CHECK(world->host);
    world->host = false;
}

static void expect_messages(MessageReader *reader, const uint8_t *data, size_t size)
{
    BytesReader in = bytes_reader(data, size);
    MessageResult result;
    const uint8_t *piece;
    size_t piece_size;

    while ((result = message_next(reader, &in, &piece, &piece_size)) != MESSAGE_MORE) {
        FUZZ_CHECK(result != MESSAGE_BAD_PROTOCOL);
        FUZZ_CHECK(vdagent_type(reader->header.type) != NULL);
    }
}

static void set_host(World *world, bool connected)
{
    relay_host(world->relay, connected, world->now);
    demux_reset(&world->demux);
    memset(&world->chunks, 0, sizeof(world->chunks));
    memset(&world->to_host, 0, sizeof(world->to_host));
    world->host = connected;
}

/* The port was to be opened anew: that is what its owner does at once. */
static void reopen(World *world)
{
    if (!world->host)
        set_host(world, true);
}

static void from_host(World *world, const uint8_t *data, size_t size)
{
    BytesReader in = bytes_reader(data, size);
    DemuxResult result;
    DemuxEvent event;

    if (relay_paused(world->relay)) {
        world->now += LIMIT_STALL_MS;
        relay_tick(world->relay, world->now);
        FUZZ_CHECK(!relay_paused(world->relay));
        reopen(world);
    }
    while (world->host && (result = demux_next(&world->demux, &in, &event)) != DEMUX_MORE) {
        if (result == DEMUX_AGENT) {
            relay_host_event(world->relay, &event, world->now);
            if (event.result == STREAM_MESSAGE && event.stream.header.type == VD_AGENT_CLIENT_DISCONNECTED)
                demux_reset_client(&world->demux);
        } else if (result == DEMUX_BROKEN) {
            set_host(world, false);
        }
    }
    reopen(world);
}

static void from_session(World *world, RouterSocket socket, const uint8_t *data, size_t size)
{
    while (size > 0 && world->session) {
        size_t part = relay_session_want(world->relay, socket);

        FUZZ_CHECK(part <= LIMIT_READ);
        part = part < size ? part : size;
        if (part == 0)
            return;
        relay_session_data(world->relay, socket, data, part, world->now);
        data += part;
        size -= part;
    }
    reopen(world);
}

static void take_host(World *world, unsigned count)
{
    uint8_t chunk[MUX_CHUNK_MAX];
    size_t size;

    while (count-- > 0 && (size = relay_fill(world->relay, chunk)) > 0) {
        BytesReader in = bytes_reader(chunk, size);
        ChunkPiece piece;

        FUZZ_CHECK(chunk_next(&world->chunks, &in, &piece) == CHUNK_PIECE);
        FUZZ_CHECK(piece.port == VDP_CLIENT_PORT && piece.size <= LIMIT_CHUNK_OUT && in.left == 0);
        FUZZ_CHECK(!message_idle(&world->to_host) || piece.size >= MESSAGE_HEADER_SIZE);
        expect_messages(&world->to_host, piece.data, piece.size);
    }
}

static void take_session(World *world, RouterSocket socket, size_t most)
{
    size_t size;
    const uint8_t *data = relay_session_peek(world->relay, socket, &size);

    FUZZ_CHECK(world->session || size == 0);
    size = size < most ? size : most;
    if (size == 0)
        return;
    expect_messages(&world->to_session[socket], data, size);
    relay_session_taken(world->relay, socket, size, world->now);
}

static void open_session(World *world, RouterSession class)
{
    if (world->session)
        relay_session_close(world->relay, world->now);
    reopen(world);
    memset(world->to_session, 0, sizeof(world->to_session));
    world->session = true;
    relay_session_open(world->relay, class, world->now);
}

/* A chunk or plain message of this type around a body; `more` bytes are announced that do not come with it. */
static size_t wrap(uint8_t *out, size_t size, uint32_t port, uint32_t type, const uint8_t *body, size_t length, uint32_t more)
{
    BytesWriter writer = bytes_writer(out, size);
    MessageHeader header = { .type = type, .size = (uint32_t)length + more };

    if (port != 0)
        FUZZ_CHECK(chunk_put_header(&writer, port, (uint32_t)(MESSAGE_HEADER_SIZE + length)));
    FUZZ_CHECK(message_put_header(&writer, &header) && bytes_put(&writer, body, length));
    return writer.used;
}

static void announce(World *world, bool host, uint32_t caps, uint32_t request)
{
    uint8_t body[8], bytes[64];
    BytesWriter writer = bytes_writer(body, sizeof(body));

    bytes_put_u32(&writer, request);
    bytes_put_u32(&writer, caps);
    size_t size = wrap(bytes, sizeof(bytes), host ? VDP_CLIENT_PORT : 0, VD_AGENT_ANNOUNCE_CAPABILITIES, body, 8, 0);
    if (host) {
        from_host(world, bytes, size);
        return;
    }
    for (size_t i = 0; i < ROUTER_SOCKETS; i++)
        from_session(world, i, bytes, size);
}

/* False at the end of the script. */
static bool run(World *world, BytesReader *in)
{
    static const uint8_t zeroes[LIMIT_READ];
    uint8_t op = 0, type = 0, length = 0, bytes[512];
    uint16_t number = 0;
    const uint8_t *data = NULL;
    size_t size;

    if (!bytes_get_u8(in, &op))
        return false;
    switch (op % 16) {
    case 0: /* port bytes */
        if (!bytes_get_u8(in, &length) || !bytes_take(in, length, &data))
            return false;
        from_host(world, data, length);
        break;
    case 1: /* a message of the host; its high bits announce more than comes */
    case 2:
        if (!bytes_get_u8(in, &type) || !bytes_get_u8(in, &length) || !bytes_take(in, length, &data))
            return false;
        size = wrap(bytes, sizeof(bytes), op & 0x10 ? VDP_SERVER_PORT : VDP_CLIENT_PORT, type % 18, data, length,
                    op % 16 == 2 ? UINT32_C(1) << (op >> 5) * 4 : 0);
        from_host(world, bytes, size);
        break;
    case 3: /* data of a message of the host */
        if (!bytes_get_u16(in, &number))
            return false;
        number %= LIMIT_READ - CHUNK_HEADER_SIZE + 1;
        {
            uint8_t head[CHUNK_HEADER_SIZE];
            BytesWriter writer = bytes_writer(head, sizeof(head));

            chunk_put_header(&writer, VDP_CLIENT_PORT, number);
            from_host(world, head, sizeof(head));
            from_host(world, zeroes, number);
        }
        break;
    case 4: /* a message of the session */
    case 5:
        if (!bytes_get_u8(in, &type) || !bytes_get_u8(in, &length) || !bytes_take(in, length, &data))
            return false;
        size = wrap(bytes, sizeof(bytes), 0, type % 18, data, length,
                    op % 16 == 5 ? UINT32_C(1) << (op >> 5) * 4 : 0);
        from_session(world, op >> 4 & 1, bytes, size);
        break;
    case 6: /* bytes of the session */
        if (!bytes_get_u16(in, &number))
            return false;
        from_session(world, op >> 4 & 1, zeroes, number % sizeof(zeroes));
        break;
    case 7: /* time; what is due by then is done at its time */
        if (!bytes_get_u16(in, &number))
            return false;
        world->now += number;
        relay_tick(world->relay, world->now);
        FUZZ_CHECK(relay_deadline(world->relay) > world->now);
        reopen(world);
        break;
    case 8:
        take_host(world, op >> 4);
        break;
    case 9:
        if (!bytes_get_u16(in, &number))
            return false;
        take_session(world, op >> 4 & 1, number);
        break;
    case 10:
        open_session(world, op & 0x10 ? ROUTER_GREETER : ROUTER_USER);
        break;
    case 11:
        relay_session_close(world->relay, world->now);
        world->session = false;
        reopen(world);
        break;
    case 12:
        relay_locked(world->relay, op >> 4 & 1);
        relay_pointer(world->relay, op >> 5 & 1, world->now);
        break;
    case 13:
        set_host(world, op >> 4 & 1);
        break;
    case 14: /* announcements: of spice-gtk, of the session daemon, with one bit wrong */
        announce(world, true, UINT32_C(0x3507f) ^ UINT32_C(1) << (op >> 5) * 3, op >> 4 & 1);
        break;
    case 15:
        announce(world, false, UINT32_C(0x357e6) ^ UINT32_C(1) << (op >> 5) * 3, op >> 4 & 1);
        break;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const RelayEvents events = { on_client, on_devices, on_kick, on_end_session, on_reopen };
    static bool silent;
    World world = { .now = 1000 };
    RelayPolicy policy = { .clipboard = true, .files = true };
    BytesReader in = bytes_reader(data, size);
    uint8_t head;

    if (!silent)
        g_log_set_writer_func(take_log, NULL, NULL);
    silent = true;
    if (!bytes_get_u8(&in, &head))
        return 0;
    policy.clipboard = (head & 1) == 0;
    policy.files = (head & 2) == 0;
    policy.max_clipboard = head & 4 ? 100 : 0;
    demux_init(&world.demux);
    world.relay = relay_new(&policy, &events, &world);
    if ((head & 8) == 0) {
        /* All acquainted. */
        set_host(&world, true);
        open_session(&world, ROUTER_USER);
        announce(&world, true, 0x3507f, 1);
        announce(&world, false, 0x357e6, 0);
    }
    while (run(&world, &in))
        ;
    /* Whatever was begun for the other side can be finished. */
    take_host(&world, 1000);
    relay_free(world.relay);
    return 0;
}
