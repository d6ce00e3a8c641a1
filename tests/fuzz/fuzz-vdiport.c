/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Input: a script of what libspice-server, its client, the guest and the clock do, one operation byte and its operands
 * each (see `run`). What comes out at either end must be messages that policy lets pass, well-formed in chunks that
 * libspice-server takes, and no more may wait than is said.
 */
#include "fuzz.h"
#include "vdiport-private.h"

#include <glib.h>
#include <string.h>

/* One end, as it reads what comes out. */
typedef struct End {
    ChunkReader chunks;
    Stream stream[2]; /* client's port, server's port */
    bool unsure;      /* the layout has changed while messages were on their way */
} End;

typedef struct World {
    Vdiport *port;
    VdiportPolicy policy;
    int64_t now, free_at; /* the client was not held */
    bool server, qemu, agent;
    End client, guest;
} World;

static void on_pointer(const PvmouseFrame *frame, const VdagentMouseState *raw, void *user)
{
    World *world = user;

    FUZZ_CHECK(frame->type == PVMOUSE_STATE);
    if (world->policy.files)
        vdiport_mouse(world->port, raw);
}

static void on_lost(size_t count, void *user)
{
    (void)user;
    FUZZ_CHECK(count > 0 && count <= MICE_MAX);
}

static void on_agent(const Caps *caps, void *user)
{
    World *world = user;
    Caps *layout = &world->guest.stream[0].caps;

    if (caps) {
        world->guest.unsure = world->guest.unsure || (world->agent && !caps_equal(layout, &world->port->guest_layout));
        *layout = world->port->guest_layout;
    }
    world->agent = caps != NULL;
}

static void on_monitors(const VdagentMonitors *monitors, void *user)
{
    (void)user;
    FUZZ_CHECK(monitors->count <= LIMIT_DISPLAYS);
}

static void on_kick(void *user)
{
    (void)user;
}

static void on_reopen(const char *why, void *user)
{
    World *world = user;

    (void)why;
    FUZZ_CHECK(world->qemu);
    world->qemu = false;
}

static void on_restart(const char *why, void *user)
{
    World *world = user;

    (void)why;
    FUZZ_CHECK(world->server);
    world->server = false;
}

static void on_refused(const char *who, const char *what, void *user)
{
    (void)user;
    FUZZ_CHECK(who != NULL && what != NULL);
}

static void reset(End *end)
{
    end->chunks = (ChunkReader){ .have = 0 };
    stream_reset(&end->stream[0]);
    stream_reset(&end->stream[1]);
}

static void set_server(World *world, bool registered)
{
    vdiport_server(world->port, registered, world->now);
    world->server = registered;
    reset(&world->client);
}

static void set_qemu(World *world, bool connected)
{
    vdiport_qemu(world->port, connected, world->now);
    world->qemu = connected;
    reset(&world->guest);
    world->guest.unsure = false;
}

/* The owner does at once what it was told to. */
static void settle(World *world)
{
    FUZZ_CHECK(vdiport_queued(world->port) <= 2 * LIMIT_SESSION_QUEUE + 65536);
    if (!world->server)
        set_server(world, true);
    if (!world->qemu)
        set_qemu(world, true);
}

/* What may come out at an end, whatever went in at the other. */
static void expect_allowed(const World *world, bool guest, const VdagentMessage *message)
{
    const VdiportPolicy *policy = &world->policy;
    bool clipboard = guest ? policy->clipboard_to_guest : policy->clipboard_from_guest;

    switch (message->type) {
    case VD_AGENT_CLIPBOARD:
        FUZZ_CHECK(message->clipboard.type == VD_AGENT_CLIPBOARD_NONE
                       ? message->clipboard.size == 0
                       : clipboard && (policy->clipboard_types >> message->clipboard.type & 1) != 0);
        FUZZ_CHECK(policy->clipboard_max == 0 || message->clipboard.size <= policy->clipboard_max);
        break;
    case VD_AGENT_CLIPBOARD_GRAB:
        FUZZ_CHECK(clipboard);
        for (uint32_t i = 0; i < message->grab.count; i++)
            FUZZ_CHECK((policy->clipboard_types >> message->grab.type[i] & 1) != 0);
        break;
    case VD_AGENT_CLIPBOARD_REQUEST:
        FUZZ_CHECK(guest ? policy->clipboard_from_guest : policy->clipboard_to_guest);
        break;
    case VD_AGENT_FILE_XFER_START:
    case VD_AGENT_FILE_XFER_DATA:
        FUZZ_CHECK(guest && policy->files);
        break;
    default:
        break;
    }
}

static void read_piece(World *world, bool guest, const ChunkPiece *piece)
{
    End *end = guest ? &world->guest : &world->client;
    Stream *stream = &end->stream[piece->port == VDP_SERVER_PORT];
    BytesReader in = bytes_reader(piece->data, piece->size);
    StreamResult result;
    StreamEvent event;

    while ((result = stream_next(stream, &in, &event)) != STREAM_MORE) {
        FUZZ_CHECK(result != STREAM_BROKEN);
        FUZZ_CHECK(result != STREAM_REFUSED || end->unsure);
        if ((result == STREAM_MESSAGE || result == STREAM_BULK) && !end->unsure)
            expect_allowed(world, guest, &event.message);
        if (result == STREAM_MESSAGE && event.message.type == VD_AGENT_CLIENT_DISCONNECTED) {
            FUZZ_CHECK(guest && piece->port == VDP_SERVER_PORT);
            stream_reset(&end->stream[0]);
        }
    }
}

static void read_bytes(World *world, bool guest, const uint8_t *data, size_t size)
{
    End *end = guest ? &world->guest : &world->client;
    BytesReader in = bytes_reader(data, size);
    ChunkPiece piece;

    while (in.left > 0) {
        bool begins = end->chunks.have < CHUNK_HEADER_SIZE;
        ChunkResult result = chunk_next(&end->chunks, &in, &piece);

        if (result == CHUNK_MORE)
            return;
        FUZZ_CHECK(result == CHUNK_PIECE && (guest || piece.port == VDP_CLIENT_PORT));
        FUZZ_CHECK(piece.size + end->chunks.left <= LIMIT_CHUNK_OUT);
        FUZZ_CHECK(!begins || !stream_idle(&end->stream[piece.port == VDP_SERVER_PORT]) ||
                   piece.size + end->chunks.left >= MESSAGE_HEADER_SIZE);
        read_piece(world, guest, &piece);
    }
}

static void take_guest(World *world, unsigned count)
{
    uint8_t chunk[MUX_CHUNK_MAX];
    size_t size;

    while (count-- > 0 && (size = vdiport_to_guest(world->port, chunk, world->now)) > 0)
        read_bytes(world, true, chunk, size);
    if (world->port->to_guest.queue.used == 0 && stream_idle(&world->guest.stream[0]))
        world->guest.unsure = false;
    FUZZ_CHECK(!vdiport_hold(world->port) || vdiport_queued(world->port) > 32768);
}

static void take_client(World *world, size_t most)
{
    uint8_t bytes[LIMIT_READ];

    if (most > sizeof(bytes))
        most = sizeof(bytes);
    if (world->port->client)
        world->client.stream[0].caps = world->port->client_layout;
    read_bytes(world, false, bytes, vdiport_to_server(world->port, bytes, most, world->now));
}

static void from_server(World *world, const uint8_t *data, size_t size)
{
    if (!vdiport_from_server(world->port, data, size, false, world->now)) {
        take_guest(world, 200);
        FUZZ_CHECK(vdiport_from_server(world->port, data, size, true, world->now));
    }
    settle(world);
}

static void from_guest(World *world, const uint8_t *data, size_t size)
{
    while (size > 0 && world->qemu) {
        size_t part = vdiport_guest_want(world->port);

        FUZZ_CHECK(part <= LIMIT_READ);
        part = part < size ? part : size;
        if (part == 0)
            break;
        vdiport_from_guest(world->port, data, part, world->now);
        data += part;
        size -= part;
    }
    settle(world);
}

/* A message of this type around a body, in one chunk; `more` bytes are announced that do not come with it. */
static size_t wrap(uint8_t *out, size_t size, uint32_t port, uint32_t type, const uint8_t *body, size_t length,
                   uint32_t more)
{
    BytesWriter writer = bytes_writer(out, size);
    MessageHeader header = { .type = type, .size = (uint32_t)length + more };

    FUZZ_CHECK(chunk_put_header(&writer, port, (uint32_t)(MESSAGE_HEADER_SIZE + length)));
    FUZZ_CHECK(message_put_header(&writer, &header) && bytes_put(&writer, body, length));
    return writer.used;
}

static void say(World *world, bool guest, uint32_t port, uint32_t type, const uint8_t *body, size_t length,
                uint32_t more)
{
    uint8_t bytes[512];
    size_t size = wrap(bytes, sizeof(bytes), port, type, body, length, more);

    if (guest)
        from_guest(world, bytes, size);
    else
        from_server(world, bytes, size);
}

static void announce(World *world, bool guest, uint32_t caps, uint32_t request)
{
    uint8_t body[8];
    BytesWriter writer = bytes_writer(body, sizeof(body));

    bytes_put_u32(&writer, request);
    bytes_put_u32(&writer, caps);
    say(world, guest, VDP_CLIENT_PORT, VD_AGENT_ANNOUNCE_CAPABILITIES, body, sizeof(body), 0);
}

/* Data of whatever message is under way. */
static void more_data(World *world, bool guest, size_t size)
{
    static const uint8_t zeroes[LIMIT_READ];
    uint8_t head[CHUNK_HEADER_SIZE];
    BytesWriter writer = bytes_writer(head, sizeof(head));

    chunk_put_header(&writer, VDP_CLIENT_PORT, (uint32_t)size);
    if (guest) {
        from_guest(world, head, sizeof(head));
        from_guest(world, zeroes, size);
    } else {
        from_server(world, head, sizeof(head));
        from_server(world, zeroes, size);
    }
}

/* False at the end of the script. */
static bool run(World *world, BytesReader *in)
{
    uint8_t op = 0, type = 0, length = 0;
    uint16_t number = 0;
    const uint8_t *data = NULL;
    bool held;

    if (!bytes_get_u8(in, &op))
        return false;
    switch (op % 16) {
    case 0: /* bytes of libspice-server, of the guest */
    case 1:
        if (!bytes_get_u8(in, &length) || !bytes_take(in, length, &data))
            return false;
        if (op % 16 == 0)
            from_server(world, data, length);
        else
            from_guest(world, data, length);
        break;
    case 2: /* a message of the client, of the guest; its high bits announce more than comes */
    case 3:
    case 4:
    case 5:
        if (!bytes_get_u8(in, &type) || !bytes_get_u8(in, &length) || !bytes_take(in, length, &data))
            return false;
        say(world, op % 16 >= 4, op & 0x10 ? VDP_SERVER_PORT : VDP_CLIENT_PORT, type % 18, data, length,
            op % 2 ? UINT32_C(1) << (op >> 5) * 4 : 0);
        break;
    case 6:
    case 7:
        if (!bytes_get_u16(in, &number))
            return false;
        more_data(world, op % 16 == 7, number % LIMIT_READ);
        break;
    case 8: /* time; what is due by then is done at its time */
        if (!bytes_get_u16(in, &number))
            return false;
        held = vdiport_hold(world->port);
        world->now += number;
        vdiport_tick(world->port, world->now);
        FUZZ_CHECK(vdiport_deadline(world->port) > world->now);
        FUZZ_CHECK(!held || number < VDIPORT_STALL_MS || !vdiport_hold(world->port));
        FUZZ_CHECK(!vdiport_hold(world->port) || world->now - world->free_at < VDIPORT_HOLD_MS);
        settle(world);
        break;
    case 9:
        take_guest(world, op >> 4);
        break;
    case 10:
        if (!bytes_get_u16(in, &number))
            return false;
        take_client(world, number);
        break;
    case 11:
        if (op & 0x10)
            set_qemu(world, op >> 5 & 1);
        else
            set_server(world, op >> 5 & 1);
        settle(world);
        break;
    case 12:
        vdiport_guest_open(world->port, op >> 4 & 1, world->now);
        break;
    case 13:
        vdiport_mouse(world->port, &(VdagentMouseState){ .x = op, .buttons = op >> 4 });
        break;
    case 14: /* announcements: of spice-gtk, of an agent, with one bit wrong */
        announce(world, false, UINT32_C(0x3507f) ^ UINT32_C(1) << (op >> 5) * 3, op >> 4 & 1);
        break;
    case 15:
        announce(world, true, UINT32_C(0x3dfe7) ^ UINT32_C(1) << (op >> 5) * 3, op >> 4 & 1);
        break;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const VdiportEvents events = { on_pointer, on_lost,   on_agent,   on_monitors,
                                          on_kick,    on_reopen, on_restart, on_refused };
    World world = { .now = 1000 };
    BytesReader in = bytes_reader(data, size);
    uint8_t head;

    if (!bytes_get_u8(&in, &head))
        return 0;
    world.policy = (VdiportPolicy){
        .clipboard_to_guest = (head & 1) == 0,
        .clipboard_from_guest = (head & 2) == 0,
        .clipboard_types = head & 4 ? 6 : 0x7e,
        .clipboard_max = head & 8 ? 100 : 0,
        .files = (head & 16) == 0,
    };
    for (size_t i = 0; i < 2; i++) {
        stream_init(&world.client.stream[i], VDAGENT_TO_HOST);
        stream_init(&world.guest.stream[i], VDAGENT_TO_GUEST);
    }
    world.port = vdiport_new(&world.policy, &events, &world);
    vdiport_set_size(world.port, 0, 1000, 800);
    settle(&world);
    if ((head & 32) == 0) {
        /* All acquainted. */
        announce(&world, false, 0x3507f, 1);
        announce(&world, true, 0x3dfe7, 0);
    }
    while (run(&world, &in)) {
        if (!vdiport_hold(world.port))
            world.free_at = world.now;
    }

    /* Whatever was left behind, new ones can work together. */
    set_server(&world, true);
    set_qemu(&world, true);
    announce(&world, false, 0x3507f, 1);
    announce(&world, true, 0x3dfe7, 0);
    FUZZ_CHECK(vdiport_has_agent(world.port));
    take_guest(&world, 1000);
    for (size_t i = 0; i < 100; i++)
        take_client(&world, LIMIT_READ);
    FUZZ_CHECK(vdiport_queued(world.port) == 0);
    vdiport_free(world.port);
    return 0;
}
