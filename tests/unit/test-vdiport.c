/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libspice-server and a guest's agent at the two ends of a Vdiport. What comes out at each is read as they read it,
 * checked for good framing, and written down as text: "grab(0@1:1) ". Messages on the server's port have a '2' before
 * them.
 */
#include "vdiport.h"

#include "check.h"
#include "demux.h"

#include <gio/gio.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define CAP(name) (UINT32_C(1) << VD_AGENT_CAP_##name)
#define LAYOUT (CAP(CLIPBOARD_SELECTION) | CAP(FILE_XFER_DETAILED_ERRORS) | CAP(CLIPBOARD_GRAB_SERIAL))
#define CLIENT_CAPS 0x3507fu /* spice-gtk's, and CAP(CLIPBOARD) */
#define CLIENT_SEEN (CLIENT_CAPS & ~CAP(CLIPBOARD))
#define GUEST_CAPS 0x3fff7u
#define STAND_IN (CAP(MOUSE_STATE) | CAP(REPLY) | CAP(FILE_XFER_DISABLED) | LAYOUT)
#define CLIPBOARD_CAPS (CAP(CLIPBOARD_BY_DEMAND) | CAP(CLIPBOARD_SELECTION) | CAP(GUEST_LINEEND_LF) | \
                        CAP(GUEST_LINEEND_CRLF) | CAP(MAX_CLIPBOARD) | CAP(CLIPBOARD_NO_RELEASE_ON_REGRAB) | \
                        CAP(CLIPBOARD_GRAB_SERIAL))

#define TEXT VD_AGENT_CLIPBOARD_UTF8_TEXT
#define PNG VD_AGENT_CLIPBOARD_IMAGE_PNG
#define TYPES (UINT32_C(1) << TEXT | UINT32_C(1) << PNG)

static const VdiportPolicy allow = { true, true, TYPES, 0, true };

/* One reader of chunks: its messages as text, its bytes as they came. */
typedef struct Reader {
    ChunkReader chunks;
    Stream stream[2]; /* client's port, server's port */
    GString *text;
    GByteArray *raw;
    uint64_t bulk;
    uint32_t left; /* of the message that libspice-server's filter is in */
} Reader;

typedef struct World {
    Vdiport *port;
    int64_t now;
    Caps client_layout, guest_layout;
    Reader client, guest;
    GString *events;
    unsigned kicks;
} World;

static void note(GString *text, const VdagentMessage *m)
{
    switch (m->type) {
    case VD_AGENT_ANNOUNCE_CAPABILITIES:
        g_string_append_printf(text, "announce(%u,%x) ", m->announce.request, m->announce.caps.word[0]);
        return;
    case VD_AGENT_CLIPBOARD_GRAB:
        g_string_append_printf(text, "grab(%u@%u:", m->grab.selection, m->grab.serial);
        for (uint32_t i = 0; i < m->grab.count; i++)
            g_string_append_printf(text, "%u", m->grab.type[i]);
        g_string_append(text, ") ");
        return;
    case VD_AGENT_CLIPBOARD_REQUEST:
        g_string_append_printf(text, "request(%u,%u) ", m->request.selection, m->request.type);
        return;
    case VD_AGENT_CLIPBOARD_RELEASE:
        g_string_append_printf(text, "release(%u) ", m->release.selection);
        return;
    case VD_AGENT_CLIPBOARD:
        g_string_append_printf(text, "clipboard(%u,%u,%u) ", m->clipboard.selection, m->clipboard.type,
                               m->clipboard.size);
        return;
    case VD_AGENT_FILE_XFER_START:
        g_string_append_printf(text, "start(%u) ", m->file_start.id);
        return;
    case VD_AGENT_FILE_XFER_STATUS:
        g_string_append_printf(text, "status(%u,%u) ", m->file_status.id, m->file_status.result);
        return;
    case VD_AGENT_FILE_XFER_DATA:
        g_string_append_printf(text, "data(%u,%u) ", m->file_data.id, (unsigned)m->file_data.size);
        return;
    case VD_AGENT_REPLY:
        g_string_append_printf(text, "reply(%u,%u) ", m->reply.type, m->reply.error);
        return;
    case VD_AGENT_MONITORS_CONFIG:
        g_string_append_printf(text, "monitors(%u) ", m->monitors.count);
        return;
    case VD_AGENT_MAX_CLIPBOARD:
        g_string_append_printf(text, "max(%d) ", m->max_clipboard.max);
        return;
    case VD_AGENT_MOUSE_STATE:
        g_string_append_printf(text, "mouse(%u,%u,%u)", m->mouse.x, m->mouse.y, m->mouse.buttons);
        if (m->mouse.display != 0)
            g_string_append_printf(text, "@%u", m->mouse.display);
        g_string_append_c(text, ' ');
        return;
    case VD_AGENT_GRAPHICS_DEVICE_INFO:
        g_string_append_printf(text, "devices(%u) ", m->devices.count);
        return;
    case VD_AGENT_CLIENT_DISCONNECTED:
        g_string_append(text, "leave ");
        return;
    default:
        g_string_append_printf(text, "%s ", vdagent_name(m->type));
        return;
    }
}

static void read_piece(Reader *reader, uint32_t port, const uint8_t *data, size_t size)
{
    BytesReader in = bytes_reader(data, size);
    Stream *stream = &reader->stream[port == VDP_SERVER_PORT];
    StreamResult result;
    StreamEvent event;

    while ((result = stream_next(stream, &in, &event)) != STREAM_MORE) {
        switch (result) {
        case STREAM_MESSAGE:
        case STREAM_BULK:
            if (port == VDP_SERVER_PORT)
                g_string_append_c(reader->text, '2');
            note(reader->text, &event.message);
            if (event.message.type == VD_AGENT_CLIENT_DISCONNECTED)
                stream_reset(&reader->stream[0]);
            break;
        case STREAM_DATA:
            reader->bulk += event.size;
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

static void read_bytes(Reader *reader, const uint8_t *data, size_t size)
{
    BytesReader in = bytes_reader(data, size);
    ChunkPiece piece;

    g_byte_array_append(reader->raw, data, (guint)size);
    while (in.left > 0) {
        bool begins = reader->chunks.have < CHUNK_HEADER_SIZE;

        if (chunk_next(&reader->chunks, &in, &piece) != CHUNK_PIECE)
            continue;
        /* What agent_msg_filter asks of a chunk. */
        CHECK(piece.size + reader->chunks.left <= LIMIT_CHUNK_OUT);
        if (begins && stream_idle(&reader->stream[piece.port == VDP_SERVER_PORT]))
            CHECK(piece.size + reader->chunks.left >= MESSAGE_HEADER_SIZE);
        read_piece(reader, piece.port, piece.data, piece.size);
    }
}

static void on_pointer(const PvmouseFrame *frame, const VdagentMouseState *raw, void *user)
{
    World *world = user;

    g_string_append_printf(world->events, "pointer(%u,%u,%u,%d) ", frame->x, raw->x, frame->buttons, frame->wheel);
}

static void on_lost(size_t count, void *user)
{
    g_string_append_printf(((World *)user)->events, "lost(%zu) ", count);
}

static void on_agent(const Caps *caps, void *user)
{
    World *world = user;

    if (caps)
        g_string_append_printf(world->events, "agent(%x) ", caps->word[0]);
    else
        g_string_append(world->events, "no-agent ");
}

static void on_monitors(const VdagentMonitors *monitors, void *user)
{
    g_string_append_printf(((World *)user)->events, "set(%u) ", monitors->count);
}

static void on_kick(void *user)
{
    ((World *)user)->kicks++;
}

static void on_reopen(const char *why, void *user)
{
    CHECK(why != NULL);
    g_string_append(((World *)user)->events, "reopen ");
}

static void on_restart(const char *why, void *user)
{
    CHECK(why != NULL);
    g_string_append(((World *)user)->events, "restart ");
}

static void on_refused(const char *who, const char *what, void *user)
{
    g_string_append_printf(((World *)user)->events, "refused(%s,%s) ", who, what);
}

static void reader_init(Reader *reader, unsigned direction)
{
    stream_init(&reader->stream[0], direction);
    stream_init(&reader->stream[1], direction);
    reader->text = g_string_new(NULL);
    reader->raw = g_byte_array_new();
}

static World *world_new(const VdiportPolicy *policy)
{
    static const VdiportEvents events = { on_pointer, on_lost,   on_agent,   on_monitors,
                                          on_kick,    on_reopen, on_restart, on_refused };
    World *world = g_new0(World, 1);

    world->now = 1000;
    world->events = g_string_new(NULL);
    world->port = vdiport_new(policy, &events, world);
    reader_init(&world->client, VDAGENT_TO_HOST);
    reader_init(&world->guest, VDAGENT_TO_GUEST);
    return world;
}

static void world_free(World *world)
{
    vdiport_free(world->port);
    for (size_t i = 0; i < 2; i++) {
        g_string_free(i ? world->guest.text : world->client.text, TRUE);
        g_byte_array_free(i ? world->guest.raw : world->client.raw, TRUE);
    }
    g_string_free(world->events, TRUE);
    g_free(world);
}

static void set_layouts(World *world, uint32_t client, uint32_t guest)
{
    world->client_layout = (Caps){ { client & LAYOUT } };
    world->guest_layout = (Caps){ { guest & LAYOUT } };
    world->client.stream[0].caps = world->client_layout;
    world->guest.stream[0].caps = world->guest_layout;
}

static void take_client(World *world, size_t step)
{
    uint8_t bytes[4096];
    size_t size;

    while ((size = vdiport_to_server(world->port, bytes, step, world->now)) > 0)
        read_bytes(&world->client, bytes, size);
}

static void take_guest(World *world)
{
    uint8_t chunk[MUX_CHUNK_MAX];
    size_t size;

    while ((size = vdiport_to_guest(world->port, chunk, world->now)) > 0)
        read_bytes(&world->guest, chunk, size);
}

static void forget(World *world)
{
    g_string_truncate(world->client.text, 0);
    g_string_truncate(world->guest.text, 0);
    g_string_truncate(world->events, 0);
}

/* Take all at both ends: that it is these messages, and that there were these events. */
#define EXPECT(world, client_text, guest_text, event_text) \
    do { \
        take_client(world, 100); \
        take_guest(world); \
        CHECK_STR((world)->client.text->str, client_text); \
        CHECK_STR((world)->guest.text->str, guest_text); \
        CHECK_STR((world)->events->str, event_text); \
        forget(world); \
    } while (0)

/* Plain message bytes with `data` bytes of bulk data (a canary, again and again) behind them. */
static GByteArray *plain(const Caps *layout, const VdagentMessage *message, size_t data)
{
    uint8_t bytes[MESSAGE_HEADER_SIZE + LIMIT_MESSAGE];
    BytesWriter out = bytes_writer(bytes, sizeof(bytes));
    GByteArray *all = g_byte_array_new();

    CHECK_EQ(vdagent_encode(layout, message, &out), VDAGENT_OK);
    g_byte_array_append(all, bytes, (guint)out.used);
    for (size_t i = 0; i < data; i++)
        g_byte_array_append(all, (const uint8_t *)&"CANARY"[i % 6], 1);
    return all;
}

static GByteArray *chunked(uint32_t port, GByteArray *message)
{
    GByteArray *all = g_byte_array_new();

    for (size_t at = 0; at < message->len; at += LIMIT_CHUNK_OUT) {
        size_t part = MIN(message->len - at, LIMIT_CHUNK_OUT);
        uint8_t header[CHUNK_HEADER_SIZE];
        BytesWriter out = bytes_writer(header, sizeof(header));

        chunk_put_header(&out, port, (uint32_t)part);
        g_byte_array_append(all, header, sizeof(header));
        g_byte_array_append(all, message->data + at, (guint)part);
    }
    g_byte_array_free(message, TRUE);
    return all;
}

static void from_server(World *world, const uint8_t *data, size_t size)
{
    CHECK(vdiport_from_server(world->port, data, size, false, world->now));
}

static void from_guest(World *world, const uint8_t *data, size_t size)
{
    while (size > 0) {
        size_t part = MIN(size, vdiport_guest_want(world->port));

        CHECK(part > 0);
        if (part == 0)
            return;
        vdiport_from_guest(world->port, data, part, world->now);
        data += part;
        size -= part;
    }
}

static void client_bulk(World *world, const VdagentMessage *message, size_t data)
{
    g_autoptr(GByteArray) bytes = chunked(VDP_CLIENT_PORT, plain(&world->client_layout, message, data));

    for (size_t at = 0; at < bytes->len; at += MUX_CHUNK_MAX)
        from_server(world, bytes->data + at, MIN(bytes->len - at, MUX_CHUNK_MAX));
}

static void client_says(World *world, const VdagentMessage *message)
{
    client_bulk(world, message, 0);
}

static void server_says(World *world, const VdagentMessage *message)
{
    g_autoptr(GByteArray) bytes = chunked(VDP_SERVER_PORT, plain(&world->client_layout, message, 0));

    from_server(world, bytes->data, bytes->len);
}

static void guest_bulk(World *world, const VdagentMessage *message, size_t data)
{
    g_autoptr(GByteArray) bytes = chunked(VDP_CLIENT_PORT, plain(&world->guest_layout, message, data));

    from_guest(world, bytes->data, bytes->len);
}

static void guest_says(World *world, const VdagentMessage *message)
{
    guest_bulk(world, message, 0);
}

static VdagentMessage announce(uint32_t request, uint32_t caps)
{
    return (VdagentMessage){ .type = VD_AGENT_ANNOUNCE_CAPABILITIES, .announce = { request, { { caps } } } };
}

static VdagentMessage grab(uint8_t selection, uint32_t serial, uint32_t type)
{
    return (VdagentMessage){ .type = VD_AGENT_CLIPBOARD_GRAB,
                             .grab = { .selection = selection, .serial = serial, .count = 1, .type = { type } } };
}

static VdagentMessage ask(uint8_t selection, uint32_t type)
{
    return (VdagentMessage){ .type = VD_AGENT_CLIPBOARD_REQUEST, .request = { selection, type } };
}

static VdagentMessage release(uint8_t selection)
{
    return (VdagentMessage){ .type = VD_AGENT_CLIPBOARD_RELEASE, .release = { selection } };
}

static VdagentMessage answer(uint8_t selection, uint32_t type, uint32_t size)
{
    return (VdagentMessage){ .type = VD_AGENT_CLIPBOARD, .clipboard = { selection, type, size } };
}

static const char keys[] = "[vdagent-file-xfer]\nname=CANARY\nsize=4\n";

static VdagentMessage start(uint32_t id)
{
    return (VdagentMessage){ .type = VD_AGENT_FILE_XFER_START, .file_start = { id, keys, sizeof(keys) - 1 } };
}

static VdagentMessage file_data(uint32_t id, uint64_t size)
{
    return (VdagentMessage){ .type = VD_AGENT_FILE_XFER_DATA, .file_data = { id, size } };
}

static VdagentMessage status(uint32_t id, uint32_t result)
{
    return (VdagentMessage){ .type = VD_AGENT_FILE_XFER_STATUS, .file_status = { .id = id, .result = result } };
}

static VdagentMessage monitors(uint32_t count)
{
    return (VdagentMessage){ .type = VD_AGENT_MONITORS_CONFIG, .monitors = { .count = count } };
}

static VdagentMessage mouse_at(uint32_t x, uint32_t buttons)
{
    return (VdagentMessage){ .type = VD_AGENT_MOUSE_STATE, .mouse = { .x = x, .buttons = buttons } };
}

static const VdagentMessage leave = { .type = VD_AGENT_CLIENT_DISCONNECTED };

#define SAY(who, message) \
    do { \
        VdagentMessage say_message = message; \
        who##_says(world, &say_message); \
    } while (0)
#define BULK(who, message, size) \
    do { \
        VdagentMessage say_message = message; \
        who##_bulk(world, &say_message, size); \
    } while (0)

static char text_buffer[8][512];
static unsigned text_next;

__attribute__((format(printf, 1, 2))) static const char *text(const char *format, ...)
{
    char *buffer = text_buffer[text_next++ % COUNT(text_buffer)];
    va_list args;

    va_start(args, format);
    vsnprintf(buffer, sizeof(text_buffer[0]), format, args);
    va_end(args);
    return buffer;
}

/* Client and agent, who know each other; `client` and `guest` are what they announce. */
static World *acquainted_as(const VdiportPolicy *policy, uint32_t client, uint32_t guest)
{
    World *world = world_new(policy);

    set_layouts(world, client, guest);
    vdiport_server(world->port, true, world->now);
    vdiport_qemu(world->port, true, world->now);
    SAY(guest, announce(1, guest));
    SAY(client, announce(1, client));
    take_guest(world);
    SAY(guest, announce(0, guest));
    take_client(world, 100);
    take_guest(world);
    forget(world);
    return world;
}

static World *acquainted(void)
{
    return acquainted_as(&allow, CLIENT_CAPS, GUEST_CAPS);
}

/* ---- who knows whom ---- */

static void test_introductions(void)
{
    World *world = world_new(&allow);

    check_case("client, then agent");
    set_layouts(world, CLIENT_CAPS, GUEST_CAPS);
    vdiport_server(world->port, true, world->now);
    SAY(client, announce(1, CLIENT_CAPS));
    EXPECT(world, text("announce(0,%x) ", STAND_IN), "", "");
    SAY(client, grab(0, 0, TEXT));
    SAY(client, monitors(1));
    SAY(client, start(3));
    SAY(client, ask(0, TEXT));
    EXPECT(world, "reply(2,2) status(3,6) clipboard(0,0,0) ", "", "");
    vdiport_qemu(world->port, true, world->now);
    EXPECT(world, "", text("2leave announce(1,%x) ", CLIENT_SEEN), "");
    SAY(guest, announce(0, GUEST_CAPS));
    EXPECT(world, text("announce(0,%x) ", GUEST_CAPS), "max(-1) grab(0@0:1) ", text("agent(%x) ", GUEST_CAPS));
    CHECK(vdiport_has_agent(world->port));

    check_case("another client");
    SAY(server, leave);
    EXPECT(world, "", "2leave ", "");
    SAY(client, announce(1, CLIENT_CAPS & ~CAP(REPLY)));
    EXPECT(world, text("announce(0,%x) ", GUEST_CAPS), text("announce(1,%x) max(-1) ", CLIENT_SEEN & ~CAP(REPLY)),
           "");
    SAY(guest, grab(0, 0, TEXT));
    EXPECT(world, "", "", "");
    SAY(guest, announce(0, GUEST_CAPS));
    SAY(guest, grab(0, 0, TEXT));
    EXPECT(world, "grab(0@0:1) ", "", "");

    check_case("the agent has learnt something");
    SAY(client, start(3));
    SAY(guest, announce(0, GUEST_CAPS & ~CAP(AUDIO_VOLUME_SYNC)));
    EXPECT(world, text("announce(0,%x) ", GUEST_CAPS & ~CAP(AUDIO_VOLUME_SYNC)), "start(3) ",
           text("agent(%x) ", GUEST_CAPS & ~CAP(AUDIO_VOLUME_SYNC)));
    SAY(guest, status(3, 0));
    EXPECT(world, "status(3,0) ", "", "");

    check_case("another agent in its place");
    SAY(guest, announce(1, GUEST_CAPS));
    EXPECT(world, text("release(0) status(3,1) announce(0,%x) announce(0,%x) ", STAND_IN, GUEST_CAPS),
           text("2leave announce(1,%x) max(-1) ", CLIENT_SEEN & ~CAP(REPLY)), text("no-agent agent(%x) ", GUEST_CAPS));
    SAY(guest, grab(0, 0, TEXT));
    SAY(guest, announce(0, GUEST_CAPS));
    EXPECT(world, "", "", "");

    check_case("QEMU goes and comes");
    vdiport_qemu(world->port, false, world->now);
    EXPECT(world, text("announce(0,%x) ", STAND_IN), "", "no-agent ");
    vdiport_qemu(world->port, true, world->now);
    EXPECT(world, "", text("2leave announce(1,%x) ", CLIENT_SEEN & ~CAP(REPLY)), "");
    SAY(guest, announce(1, GUEST_CAPS));
    EXPECT(world, text("announce(0,%x) ", GUEST_CAPS), text("announce(1,%x) max(-1) ", CLIENT_SEEN & ~CAP(REPLY)),
           text("agent(%x) ", GUEST_CAPS));

    check_case("the guest closes the port and opens it");
    vdiport_guest_open(world->port, false, world->now);
    EXPECT(world, text("announce(0,%x) ", STAND_IN), "", "no-agent ");
    CHECK(!vdiport_mouse(world->port, &(VdagentMouseState){ .x = 1 }));
    vdiport_guest_open(world->port, true, world->now);
    EXPECT(world, "", text("2leave announce(1,%x) ", CLIENT_SEEN & ~CAP(REPLY)), "");
    SAY(guest, announce(0, GUEST_CAPS));
    EXPECT(world, text("announce(0,%x) ", GUEST_CAPS), "max(-1) ", text("agent(%x) ", GUEST_CAPS));

    check_case("an agent that speaks though the port is said to be closed");
    vdiport_guest_open(world->port, false, world->now);
    SAY(guest, announce(1, GUEST_CAPS));
    EXPECT(world, text("announce(0,%x) announce(0,%x) ", STAND_IN, GUEST_CAPS),
           text("2leave announce(1,%x) max(-1) ", CLIENT_SEEN & ~CAP(REPLY)), text("no-agent agent(%x) ", GUEST_CAPS));

    check_case("libspice-server has forgotten the client");
    vdiport_server(world->port, false, world->now);
    SAY(client, announce(1, CLIENT_CAPS));
    EXPECT(world, "", "2leave ", "");
    vdiport_server(world->port, true, world->now);
    SAY(client, announce(1, CLIENT_CAPS));
    EXPECT(world, text("announce(0,%x) ", GUEST_CAPS), text("announce(1,%x) max(-1) ", CLIENT_SEEN), "");

    check_case("the host's devices");
    const VdagentMessage devices = { .type = VD_AGENT_GRAPHICS_DEVICE_INFO,
                                     .devices = { .count = 1, .device = { { 0, 0, 0, "pci/0000/02.0" } } } };
    server_says(world, &devices);
    EXPECT(world, "", "2devices(1) ", "");
    client_says(world, &devices);
    SAY(client, mouse_at(1, 0));
    client_says(world, &leave);
    EXPECT(world, "", "",
           "refused(client,graphics-device-info) refused(client,mouse-state) refused(client,client-disconnected) ");
    world_free(world);
}

static void test_capabilities(void)
{
    static const struct {
        const char *name;
        VdiportPolicy policy;
        uint32_t client, guest; /* taken from what the other announced */
        uint32_t added;         /* to what the guest announced */
    } cases[] = {
        { "all", { true, true, TYPES, 0, true }, 0, 0, 0 },
        { "to the guest", { true, false, TYPES, 0, true }, 0, 0, 0 },
        { "from the guest", { false, true, TYPES, 0, true }, 0, 0, 0 },
        { "no clipboard", { false, false, TYPES, 0, true }, CLIPBOARD_CAPS, CLIPBOARD_CAPS, 0 },
        { "no files", { true, true, TYPES, 0, false }, 0, 0, CAP(FILE_XFER_DISABLED) },
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        World *world = world_new(&cases[i].policy);
        uint32_t guest = GUEST_CAPS & ~CAP(FILE_XFER_DISABLED);
        VdagentMessage message = announce(1, guest | CAP(CLIPBOARD) | UINT32_C(1) << 31);

        check_case("%s", cases[i].name);
        message.announce.caps.word[1] = 7;
        set_layouts(world, CLIENT_CAPS & ~cases[i].client, guest & ~cases[i].guest);
        vdiport_server(world->port, true, world->now);
        vdiport_qemu(world->port, true, world->now);
        guest_says(world, &message);
        SAY(client, announce(1, CLIENT_CAPS));
        take_client(world, 7);
        take_guest(world);
        CHECK_STR(world->client.text->str, text("announce(0,%x) ", (guest & ~cases[i].guest) | cases[i].added));
        CHECK(g_str_has_prefix(world->guest.text->str, text("2leave announce(1,%x) ", CLIENT_SEEN & ~cases[i].client)));
        world_free(world);
    }
}

/* ---- cut anywhere ---- */

static void test_cuts(void)
{
    const VdagentMessage script[] = {
        monitors(1), start(3), file_data(3, 40), answer(0, TEXT, 50), release(0), ask(0, TEXT),
        { .type = VD_AGENT_MAX_CLIPBOARD, .max_clipboard = { 1000 } },
        { .type = VD_AGENT_DISPLAY_CONFIG },
        { .type = VD_AGENT_AUDIO_VOLUME_SYNC, .volume = { 1, 0, 2, { 1, 2 } } },
    };
    static const size_t bulk[COUNT(script)] = { 0, 0, 40, 50 };
    const VdagentMessage back[] = {
        { .type = VD_AGENT_REPLY, .reply = { VD_AGENT_MONITORS_CONFIG, VD_AGENT_SUCCESS } },
        answer(0, TEXT, 5000), release(0), grab(1, 0, PNG), status(3, 0),
    };
    static const size_t back_bulk[COUNT(back)] = { 0, 5000 };
    const Caps layout = { { LAYOUT } };
    g_autoptr(GByteArray) down = g_byte_array_new();
    g_autoptr(GByteArray) up = g_byte_array_new();

    for (size_t i = 0; i < COUNT(script); i++) {
        g_autoptr(GByteArray) bytes = chunked(VDP_CLIENT_PORT, plain(&layout, &script[i], bulk[i]));

        g_byte_array_append(down, bytes->data, bytes->len);
    }
    for (size_t cut = 0; cut <= down->len; cut++) {
        World *world = acquainted();

        check_case("from the client, cut at %zu", cut);
        SAY(client, grab(0, 0, TEXT));
        SAY(guest, ask(0, TEXT));
        EXPECT(world, "request(0,1) ", "grab(0@0:1) ", "");
        from_server(world, down->data, cut);
        take_guest(world);
        from_server(world, down->data + cut, down->len - cut);
        EXPECT(world, "clipboard(0,0,0) ",
               "monitors(1) start(3) data(3,40) clipboard(0,1,50) release(0) max(1000) display-config "
               "audio-volume-sync ",
               "");
        CHECK_EQ(world->guest.bulk, 90);
        world_free(world);
    }

    for (size_t i = 0; i < COUNT(back); i++) {
        g_autoptr(GByteArray) bytes = chunked(VDP_CLIENT_PORT, plain(&layout, &back[i], back_bulk[i]));

        g_byte_array_append(up, bytes->data, bytes->len);
    }
    for (size_t cut = 0; cut <= up->len; cut++) {
        World *world = acquainted();

        check_case("from the guest, cut at %zu", cut);
        SAY(guest, grab(0, 0, TEXT));
        SAY(client, ask(0, TEXT));
        SAY(client, monitors(2));
        SAY(client, start(3));
        EXPECT(world, "grab(0@0:1) ", "request(0,1) monitors(2) start(3) ", "");
        from_guest(world, up->data, cut);
        take_client(world, 1 + cut % 100);
        from_guest(world, up->data + cut, up->len - cut);
        EXPECT(world, "reply(2,1) clipboard(0,1,5000) release(0) grab(1@0:2) status(3,0) ", "", "set(2) ");
        guest_says(world, &back[0]);
        EXPECT(world, "reply(2,1) ", "", "");
        CHECK_EQ(world->client.bulk, 5000);
        world_free(world);
    }
}

/* ---- bits ---- */

/* After whatever came from one of them, new ones on both sides can work together. */
static void still_works(World *world)
{
    vdiport_server(world->port, false, world->now);
    vdiport_server(world->port, true, world->now);
    vdiport_qemu(world->port, false, world->now);
    vdiport_qemu(world->port, true, world->now);
    for (size_t i = 0; i < 2; i++) {
        stream_reset(&world->client.stream[i]);
        stream_reset(&world->guest.stream[i]);
    }
    world->client.chunks = world->guest.chunks = (ChunkReader){ .have = 0 };
    set_layouts(world, CLIENT_CAPS, GUEST_CAPS);
    SAY(client, announce(1, CLIENT_CAPS));
    SAY(guest, announce(0, GUEST_CAPS));
    SAY(client, grab(0, 0, TEXT));
    SAY(guest, ask(0, TEXT));
    BULK(client, answer(0, TEXT, 6), 6);
    g_string_truncate(world->events, 0);
    EXPECT(world, text("announce(0,%x) announce(0,%x) request(0,1) ", STAND_IN, GUEST_CAPS),
           text("2leave announce(1,%x) max(-1) grab(0@0:1) clipboard(0,1,6) ", CLIENT_SEEN), "");
}

static void test_bits(void)
{
    const struct {
        VdagentMessage message;
        size_t data;
    } all[] = {
        { monitors(1), 0 },       { answer(0, TEXT, 4), 4 }, { announce(1, CLIENT_CAPS), 0 },
        { grab(0, 0, TEXT), 0 },  { ask(0, TEXT), 0 },       { release(0), 0 },
        { start(3), 0 },          { status(3, 1), 0 },       { file_data(3, 4), 4 },
        { leave, 0 },             { { .type = VD_AGENT_MAX_CLIPBOARD }, 0 },
        { { .type = VD_AGENT_GRAPHICS_DEVICE_INFO,
            .devices = { .count = 1, .device = { { 0, 0, 0, "pci/0000/02.0" } } } }, 0 },
        { { .type = VD_AGENT_REPLY }, 0 },
    };

    for (size_t i = 0; i < COUNT(all) * 2; i++) {
        const Caps layout = { { LAYOUT } };
        g_autoptr(GByteArray) bytes = chunked(VDP_CLIENT_PORT, plain(&layout, &all[i / 2].message, all[i / 2].data));

        for (size_t bit = 0; bit < 8 * bytes->len; bit++) {
            World *world = acquainted();

            check_case("%s from the %s, bit %zu", vdagent_name(all[i / 2].message.type), i % 2 ? "guest" : "client",
                       bit);
            SAY(client, grab(0, 0, TEXT));
            SAY(guest, ask(0, TEXT));
            SAY(guest, grab(1, 0, TEXT));
            SAY(client, ask(1, TEXT));
            SAY(client, start(3));
            take_client(world, 100);
            take_guest(world);
            g_string_truncate(world->client.text, 0);
            g_string_truncate(world->guest.text, 0);
            bytes->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (i % 2)
                from_guest(world, bytes->data, bytes->len);
            else
                from_server(world, bytes->data, bytes->len);
            bytes->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            still_works(world);
            world_free(world);
        }
    }
}

/* ---- clipboard ---- */

static void test_clipboard(void)
{
    World *world = acquainted();

    check_case("the client copies");
    SAY(client, grab(0, 0, TEXT));
    SAY(guest, ask(0, TEXT));
    BULK(client, answer(0, TEXT, 3000), 3000);
    EXPECT(world, "request(0,1) ", "grab(0@0:1) clipboard(0,1,3000) ", "");
    BULK(client, answer(0, TEXT, 10), 10);
    EXPECT(world, "", "", "");

    check_case("the guest copies");
    SAY(guest, grab(0, 1, TEXT));
    SAY(client, ask(0, TEXT));
    BULK(guest, answer(0, TEXT, 100), 100);
    BULK(guest, answer(0, TEXT, 100), 100);
    EXPECT(world, "grab(0@1:1) clipboard(0,1,100) ", "request(0,1) ", "");

    check_case("nothing there");
    SAY(client, ask(1, TEXT));
    SAY(guest, ask(1, TEXT));
    EXPECT(world, "clipboard(1,0,0) ", "clipboard(1,0,0) ", "");

    check_case("answers of ours wait for the end of data");
    SAY(client, ask(0, TEXT));
    g_autoptr(GByteArray) half = chunked(VDP_CLIENT_PORT, plain(&world->guest_layout, &(VdagentMessage){
        .type = VD_AGENT_CLIPBOARD, .clipboard = { 0, TEXT, 100 } }, 100));
    from_guest(world, half->data, half->len - 50);
    SAY(client, ask(1, TEXT));
    EXPECT(world, "clipboard(0,1,100) ", "request(0,1) ", "");
    from_guest(world, half->data + half->len - 50, 50);
    EXPECT(world, "clipboard(1,0,0) ", "", "");

    check_case("and are given when the rest will not come");
    SAY(client, ask(0, TEXT));
    from_guest(world, half->data, half->len - 50);
    SAY(client, ask(1, TEXT));
    vdiport_qemu(world->port, false, world->now);
    EXPECT(world, text("clipboard(1,0,0) clipboard(0,0,0) release(0) announce(0,%x) ", STAND_IN), "", "no-agent ");
    world_free(world);

    check_case("an empty answer with something in it");
    world = acquainted();
    SAY(client, grab(0, 0, TEXT));
    SAY(guest, ask(0, TEXT));
    BULK(client, answer(0, VD_AGENT_CLIPBOARD_NONE, 10), 10);
    SAY(guest, grab(0, 1, TEXT));
    SAY(client, ask(0, TEXT));
    BULK(guest, answer(0, VD_AGENT_CLIPBOARD_NONE, 10), 10);
    EXPECT(world, "request(0,1) grab(0@1:1) clipboard(0,0,0) ", "grab(0@0:1) clipboard(0,0,0) request(0,1) ", "");
    world_free(world);

    check_case("types");
    world = acquainted();
    VdagentMessage two = grab(0, 0, 5);
    two.grab.count = 2;
    two.grab.type[1] = PNG;
    client_says(world, &two);
    SAY(guest, ask(0, 5));
    EXPECT(world, "", "grab(0@0:2) clipboard(0,0,0) ", "refused(guest,clipboard-request) ");
    SAY(client, grab(0, 1, 5));
    SAY(guest, ask(0, PNG));
    EXPECT(world, "", "release(0) clipboard(0,0,0) ", "refused(client,clipboard-grab) ");
    SAY(guest, grab(0, 1, PNG));
    EXPECT(world, "grab(0@2:2) ", "", "");
    SAY(guest, grab(0, 2, 5));
    SAY(client, ask(0, PNG));
    EXPECT(world, "release(0) clipboard(0,0,0) ", "", "refused(guest,clipboard-grab) ");
    SAY(client, grab(0, 3, TEXT));
    EXPECT(world, "", "grab(0@3:1) ", "");
    SAY(guest, grab(0, 4, TEXT));
    EXPECT(world, "grab(0@4:1) ", "", "");
    world_free(world);

    check_case("size");
    const VdiportPolicy small = { true, true, TYPES, 1000, true };
    world = acquainted_as(&small, CLIENT_CAPS, GUEST_CAPS);
    SAY(client, ((VdagentMessage){ .type = VD_AGENT_MAX_CLIPBOARD, .max_clipboard = { -1 } }));
    SAY(client, ((VdagentMessage){ .type = VD_AGENT_MAX_CLIPBOARD, .max_clipboard = { 500 } }));
    SAY(client, ((VdagentMessage){ .type = VD_AGENT_MAX_CLIPBOARD, .max_clipboard = { 2000 } }));
    EXPECT(world, "", "max(1000) max(500) max(1000) ", "");
    SAY(client, grab(0, 0, TEXT));
    SAY(guest, ask(0, TEXT));
    SAY(guest, ask(0, TEXT));
    BULK(client, answer(0, TEXT, 1001), 1001);
    BULK(client, answer(0, TEXT, 1000), 1000);
    EXPECT(world, "request(0,1) request(0,1) ", "grab(0@0:1) clipboard(0,0,0) clipboard(0,1,1000) ",
           "refused(client,clipboard) ");
    SAY(client, ((VdagentMessage){ .type = VD_AGENT_MAX_CLIPBOARD, .max_clipboard = { 500 } }));
    SAY(guest, grab(0, 1, TEXT));
    SAY(client, ask(0, TEXT));
    SAY(client, ask(0, TEXT));
    BULK(guest, answer(0, TEXT, 501), 501);
    BULK(guest, answer(0, TEXT, 500), 500);
    EXPECT(world, "grab(0@1:1) clipboard(0,0,0) clipboard(0,1,500) ", "max(500) request(0,1) request(0,1) ",
           "refused(guest,clipboard) ");
    world_free(world);
}

/* Ends that know less than others: what cannot be said to one goes no further, and serials stay right. */
static void test_layouts(void)
{
    static const uint32_t less[] = { 0, CAP(CLIPBOARD_SELECTION), CAP(CLIPBOARD_GRAB_SERIAL), LAYOUT };

    for (size_t i = 0; i < COUNT(less) * COUNT(less); i++) {
        uint32_t client = CLIENT_CAPS & ~less[i / COUNT(less)], guest = GUEST_CAPS & ~less[i % COUNT(less)];
        bool serial_c = client & CAP(CLIPBOARD_GRAB_SERIAL), serial_g = guest & CAP(CLIPBOARD_GRAB_SERIAL);
        bool primary = client & guest & CAP(CLIPBOARD_SELECTION);
        World *world = acquainted_as(&allow, client, guest);

        check_case("client without %x, guest without %x", less[i / COUNT(less)], less[i % COUNT(less)]);
        SAY(client, grab(0, 0, TEXT));
        SAY(guest, ask(0, TEXT));
        BULK(client, answer(0, TEXT, 10), 10);
        EXPECT(world, "request(0,1) ", "grab(0@0:1) clipboard(0,1,10) ", "");
        SAY(guest, grab(0, 1, TEXT));
        SAY(client, ask(0, TEXT));
        BULK(guest, answer(0, TEXT, 10), 10);
        EXPECT(world, text("grab(0@%d:1) clipboard(0,1,10) ", serial_c), "request(0,1) ", "");
        SAY(client, grab(0, 2, TEXT));
        EXPECT(world, "", text("grab(0@%d:1) ", 2 * serial_g), "");
        if (client & CAP(CLIPBOARD_SELECTION))
            SAY(client, grab(1, 0, TEXT));
        if (guest & CAP(CLIPBOARD_SELECTION))
            SAY(guest, grab(1, primary ? 1 : 0, TEXT));
        EXPECT(world, primary ? text("grab(1@%d:1) ", serial_c) : "", primary ? "grab(1@0:1) " : "", "");
        SAY(client, start(3));
        VdagentMessage error = status(3, VD_AGENT_FILE_XFER_STATUS_SESSION_LOCKED);
        guest_says(world, &error);
        EXPECT(world, client & CAP(FILE_XFER_DETAILED_ERRORS) ? "status(3,5) " : "status(3,2) ", "start(3) ", "");
        world_free(world);
    }

    check_case("a client without clipboard");
    World *world = acquainted_as(&allow, CLIENT_CAPS & ~CAP(CLIPBOARD_BY_DEMAND), GUEST_CAPS);
    SAY(guest, grab(0, 0, TEXT));
    SAY(guest, ask(0, TEXT));
    EXPECT(world, "", "clipboard(0,0,0) ", "");
    world_free(world);
}

static bool leaked(const Reader *reader)
{
    for (size_t i = 0; i + 6 <= reader->raw->len; i++) {
        if (memcmp(reader->raw->data + i, "CANARY", 6) == 0)
            return true;
    }
    return false;
}

static void test_policy(void)
{
    for (unsigned i = 0; i < 16; i++) {
        const VdiportPolicy policy = { i & 1, i >> 1 & 1, i & 8 ? TYPES : 0, 0, i >> 2 & 1 };
        bool to = policy.clipboard_to_guest && policy.clipboard_types != 0;
        bool from = policy.clipboard_from_guest && policy.clipboard_types != 0;
        bool none = !policy.clipboard_to_guest && !policy.clipboard_from_guest;
        uint32_t gone = none ? CLIPBOARD_CAPS : 0;
        World *world = acquainted_as(&policy, CLIENT_CAPS & ~gone, GUEST_CAPS & ~gone);

        check_case("clipboard to guest %d, from guest %d, files %d", to, from, policy.files);
        SAY(client, grab(0, 0, TEXT));
        SAY(guest, ask(0, TEXT));
        BULK(client, answer(0, TEXT, 6000), 6000);
        CHECK_EQ(strstr(world->events->str, "refused(client,clipboard-grab)") == NULL, to);
        CHECK_EQ(strstr(world->events->str, "refused(guest,clipboard-request)") == NULL, to);
        g_string_truncate(world->events, 0);
        EXPECT(world, to ? "request(0,1) " : "", to ? "grab(0@0:1) clipboard(0,1,6000) " : "clipboard(0,0,0) ", "");
        CHECK_EQ(leaked(&world->guest), to);
        /* Its serial does not count what it was not told. */
        SAY(guest, grab(0, to && !none ? 1 : 0, TEXT));
        SAY(client, ask(0, TEXT));
        BULK(guest, answer(0, TEXT, 6000), 6000);
        CHECK_EQ(strstr(world->events->str, "refused(guest,clipboard-grab)") == NULL, from);
        CHECK_EQ(strstr(world->events->str, "refused(client,clipboard-request)") == NULL, from);
        g_string_truncate(world->events, 0);
        EXPECT(world, from ? "grab(0@1:1) clipboard(0,1,6000) " : "clipboard(0,0,0) ", from ? "request(0,1) " : "", "");
        CHECK_EQ(leaked(&world->client), from);
        /* The client counts what it was told, and its own. */
        SAY(client, grab(0, none ? 0 : from ? 2 : 1, TEXT));
        g_string_truncate(world->events, 0);
        EXPECT(world, "", to ? "grab(0@2:1) " : "", "");

        g_byte_array_set_size(world->guest.raw, 0);
        SAY(client, start(3));
        BULK(client, file_data(3, 6000), 6000);
        SAY(guest, status(3, VD_AGENT_FILE_XFER_STATUS_SUCCESS));
        EXPECT(world, policy.files ? "status(3,3) " : "status(3,7) ", policy.files ? "start(3) data(3,6000) " : "",
               policy.files ? "" : "refused(client,file-xfer-start) ");
        CHECK_EQ(leaked(&world->guest), policy.files);
        CHECK_EQ(vdiport_counters(world->port)[VDIPORT_DENIED] > 0, !to || !from || !policy.files);
        world_free(world);
    }
}

/* ---- files ---- */

static void test_files(void)
{
    World *world = acquainted();

    check_case("a transfer");
    SAY(client, start(3));
    SAY(guest, status(3, 0));
    BULK(client, file_data(3, 40000), 40000);
    BULK(client, file_data(3, 0), 0);
    EXPECT(world, "status(3,0) ", "start(3) data(3,16384) data(3,16384) data(3,7232) data(3,0) ", "");
    CHECK_EQ(world->guest.bulk, 40000);
    SAY(guest, status(3, 3));
    SAY(guest, status(3, 3));
    BULK(client, file_data(3, 10), 10);
    SAY(client, status(3, 1));
    EXPECT(world, "status(3,3) ", "", "");

    check_case("of nobody");
    SAY(guest, status(4, 0));
    BULK(client, file_data(4, 10), 10);
    EXPECT(world, "", "", "");

    check_case("cancelled in the middle");
    SAY(client, start(5));
    g_autoptr(GByteArray) bytes = chunked(VDP_CLIENT_PORT, plain(&world->client_layout, &(VdagentMessage){
        .type = VD_AGENT_FILE_XFER_DATA, .file_data = { 5, 30000 } }, 30000));
    from_server(world, bytes->data, 12000);
    SAY(guest, status(5, 1));
    from_server(world, bytes->data + 12000, 12000);
    from_server(world, bytes->data + 24000, bytes->len - 24000);
    EXPECT(world, "status(5,1) ", "start(5) ", "");
    CHECK_EQ(vdiport_queued(world->port), 0);

    check_case("the same number again");
    SAY(client, start(6));
    SAY(client, start(6));
    EXPECT(world, "status(6,2) ", "start(6) status(6,1) ", "");

    check_case("too many");
    for (uint32_t id = 0; id <= LIMIT_TRANSFERS; id++)
        SAY(client, start(100 + id));
    take_guest(world);
    g_string_truncate(world->guest.text, 0);
    EXPECT(world, text("status(%u,2) ", 100 + LIMIT_TRANSFERS), "", "");
    vdiport_qemu(world->port, false, world->now);
    take_client(world, 1000);
    for (uint32_t id = 0; id < LIMIT_TRANSFERS; id++)
        CHECK(strstr(world->client.text->str, text("status(%u,1) ", 100 + id)) != NULL);
    world_free(world);
}

/* ---- one goes in the middle ---- */

/* How an agent can go. */
static void agent_dies(World *world, unsigned how)
{
    switch (how) {
    case 0:
        vdiport_qemu(world->port, false, world->now);
        return;
    case 1:
        vdiport_guest_open(world->port, false, world->now);
        return;
    case 2:
        from_guest(world, (const uint8_t[]){ 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff }, 8);
        return;
    }
}

static void test_agent_dies(void)
{
    for (unsigned how = 0; how < 3; how++) {
        World *world = acquainted();
        const char *end = how == 2 ? "no-agent reopen " : "no-agent ";

        check_case("all open, way %u", how);
        SAY(guest, grab(0, 0, TEXT));
        SAY(guest, grab(1, 0, TEXT));
        SAY(client, ask(0, TEXT));
        SAY(client, ask(0, TEXT));
        SAY(client, ask(1, TEXT));
        SAY(client, start(3));
        SAY(client, start(4));
        SAY(client, monitors(1));
        SAY(client, grab(2, 0, TEXT));
        SAY(guest, ask(2, TEXT));
        take_client(world, 100);
        take_guest(world);
        g_string_truncate(world->client.text, 0);
        g_string_truncate(world->guest.text, 0);
        agent_dies(world, how);
        EXPECT(world,
               text("clipboard(0,0,0) clipboard(0,0,0) release(0) clipboard(1,0,0) release(1) status(4,1) status(3,1) "
                    "reply(2,2) announce(0,%x) ", STAND_IN), "", end);
        /* An answer for the one that is gone does not reach the next one, what the client owns does. */
        vdiport_qemu(world->port, true, world->now);
        SAY(guest, announce(1, GUEST_CAPS));
        SAY(guest, announce(0, GUEST_CAPS));
        BULK(client, answer(2, TEXT, 10), 10);
        SAY(guest, ask(2, TEXT));
        BULK(client, answer(2, TEXT, 11), 11);
        EXPECT(world, text("announce(0,%x) request(2,1) ", GUEST_CAPS),
               text("2leave announce(1,%x) announce(1,%x) max(-1) grab(2@0:1) clipboard(2,1,11) ", CLIENT_SEEN,
                    CLIENT_SEEN),
               text("agent(%x) ", GUEST_CAPS));
        world_free(world);

        /* In the middle of data for the client, of which it has seen nothing, or something. */
        g_autoptr(GByteArray) up = chunked(VDP_CLIENT_PORT, plain(&(Caps){ { LAYOUT } }, &(VdagentMessage){
            .type = VD_AGENT_CLIPBOARD, .clipboard = { 0, TEXT, 50 } }, 50));
        for (size_t cut = 1; cut < up->len; cut++) {
            for (unsigned seen = 0; seen < 2; seen++) {
                bool head = cut >= CHUNK_HEADER_SIZE + MESSAGE_HEADER_SIZE + 8;

                check_case("in data for the client, cut at %zu, seen %u, way %u", cut, seen, how);
                world = acquainted();
                SAY(guest, grab(0, 0, TEXT));
                SAY(client, ask(0, TEXT));
                take_guest(world);
                g_string_truncate(world->guest.text, 0);
                if (seen)
                    take_client(world, 100);
                g_string_truncate(world->client.text, 0);
                from_guest(world, up->data, cut);
                if (seen)
                    take_client(world, 100);
                g_string_truncate(world->client.text, 0);
                agent_dies(world, how % 2);
                if (seen && head) {
                    EXPECT(world, "", "", "no-agent restart ");
                    stream_reset(&world->client.stream[0]);
                    world->client.chunks = (ChunkReader){ .have = 0 };
                    vdiport_server(world->port, true, world->now);
                    SAY(client, announce(1, CLIENT_CAPS));
                    EXPECT(world, text("announce(0,%x) ", STAND_IN), "", "");
                } else {
                    EXPECT(world,
                           text("%sclipboard(0,0,0) release(0) announce(0,%x) ", seen ? "" : "grab(0@0:1) ", STAND_IN),
                           "", "no-agent ");
                }
                world_free(world);
            }
        }

        /* In the middle of what the client sends. */
        g_autoptr(GByteArray) down = chunked(VDP_CLIENT_PORT, plain(&(Caps){ { LAYOUT } }, &(VdagentMessage){
            .type = VD_AGENT_CLIPBOARD, .clipboard = { 0, TEXT, 50 } }, 50));
        for (size_t cut = 1; cut < down->len; cut++) {
            check_case("in data for the guest, cut at %zu, way %u", cut, how);
            world = acquainted();
            SAY(client, grab(0, 0, TEXT));
            SAY(guest, ask(0, TEXT));
            from_server(world, down->data, cut);
            take_guest(world);
            take_client(world, 100);
            agent_dies(world, how);
            take_client(world, 100);
            g_string_truncate(world->client.text, 0);
            g_string_truncate(world->guest.text, 0);
            world->guest.chunks = (ChunkReader){ .have = 0 };
            vdiport_qemu(world->port, true, world->now);
            from_server(world, down->data + cut, down->len - cut);
            SAY(guest, announce(0, GUEST_CAPS));
            g_string_truncate(world->events, 0);
            EXPECT(world, text("announce(0,%x) ", GUEST_CAPS),
                   text("2leave announce(1,%x) max(-1) grab(0@0:1) ", CLIENT_SEEN), "");
            world_free(world);
        }
    }
}

static void test_client_leaves(void)
{
    static const struct {
        const char *name;
        bool server; /* libspice-server forgets it, or tells that it left */
    } ways[] = { { "disconnects", false }, { "device unregistered", true } };
    const Caps layout = { { LAYOUT } };

    for (size_t way = 0; way < COUNT(ways); way++) {
        g_autoptr(GByteArray) down = chunked(VDP_CLIENT_PORT, plain(&layout, &(VdagentMessage){
            .type = VD_AGENT_CLIPBOARD, .clipboard = { 0, TEXT, 3000 } }, 3000));
        World *world = acquainted();

        check_case("%s in the middle of data for the guest", ways[way].name);
        SAY(client, grab(0, 0, TEXT));
        SAY(guest, ask(0, TEXT));
        SAY(client, start(3));
        from_server(world, down->data, MUX_CHUNK_MAX);
        EXPECT(world, "request(0,1) ", "grab(0@0:1) start(3) clipboard(0,1,3000) ", "");
        if (ways[way].server) {
            vdiport_server(world->port, false, world->now);
            vdiport_server(world->port, true, world->now);
        } else {
            SAY(server, leave);
        }
        SAY(client, announce(1, CLIENT_CAPS));
        SAY(client, monitors(1));
        EXPECT(world, text("announce(0,%x) ", GUEST_CAPS),
               text("2leave announce(1,%x) max(-1) monitors(1) ", CLIENT_SEEN), "");
        SAY(guest, announce(0, GUEST_CAPS));
        SAY(guest, status(3, 3));
        EXPECT(world, "", "", "");
        world_free(world);

        g_autoptr(GByteArray) up = chunked(VDP_CLIENT_PORT, plain(&layout, &(VdagentMessage){
            .type = VD_AGENT_CLIPBOARD, .clipboard = { 0, TEXT, 3000 } }, 3000));
        for (unsigned seen = 0; seen < 3; seen++) {
            check_case("%s in the middle of data for it, %u", ways[way].name, seen);
            world = acquainted();
            SAY(guest, grab(0, 0, TEXT));
            SAY(client, ask(0, TEXT));
            take_guest(world);
            take_client(world, 100);
            g_string_truncate(world->client.text, 0);
            g_string_truncate(world->guest.text, 0);
            size_t first = seen < 2 ? MUX_CHUNK_MAX : up->len;

            from_guest(world, up->data, first);
            if (seen) {
                /* libspice-server stops in the middle of a chunk. */
                uint8_t some[100];

                read_bytes(&world->client, some, vdiport_to_server(world->port, some, sizeof(some), world->now));
                g_string_truncate(world->client.text, 0);
            }
            if (ways[way].server) {
                vdiport_server(world->port, false, world->now);
                CHECK_EQ(vdiport_to_server(world->port, (uint8_t[100]){ 0 }, 100, world->now), 0);
                stream_reset(&world->client.stream[0]);
                world->client.chunks = (ChunkReader){ .have = 0 };
                EXPECT(world, "", "2leave ", "");
                vdiport_server(world->port, true, world->now);
            } else {
                SAY(server, leave);
                if (seen == 1) {
                    EXPECT(world, "", "2leave ", "restart ");
                    stream_reset(&world->client.stream[0]);
                    world->client.chunks = (ChunkReader){ .have = 0 };
                    vdiport_server(world->port, true, world->now);
                } else {
                    /* What has been begun is finished. */
                    EXPECT(world, "", "2leave ", "");
                    CHECK_EQ(world->client.bulk, seen ? 3000 : 0);
                    CHECK(stream_idle(&world->client.stream[0]));
                }
            }
            SAY(client, announce(1, CLIENT_CAPS));
            from_guest(world, up->data + first, up->len - first);
            SAY(guest, announce(0, GUEST_CAPS));
            SAY(guest, grab(0, 0, TEXT));
            EXPECT(world, text("announce(0,%x) grab(0@0:1) ", GUEST_CAPS),
                   text("announce(1,%x) max(-1) ", CLIENT_SEEN), "");
            world_free(world);
        }
    }
}

/* ---- slow and silent peers ---- */

static void tick(World *world, int64_t ms)
{
    world->now += ms;
    vdiport_tick(world->port, world->now);
}

static void test_stall(void)
{
    World *world = acquainted();
    uint8_t chunk[MUX_CHUNK_MAX];

    check_case("the guest takes nothing");
    CHECK_EQ(vdiport_deadline(world->port), INT64_MAX);
    SAY(guest, grab(0, 0, TEXT));
    EXPECT(world, "grab(0@0:1) ", "", "");
    SAY(client, start(3));
    BULK(client, file_data(3, 100000), 100000);
    SAY(client, ask(0, TEXT));
    CHECK(vdiport_hold(world->port));
    CHECK_EQ(vdiport_deadline(world->port), world->now + VDIPORT_STALL_MS);
    tick(world, VDIPORT_STALL_MS - 1);
    read_bytes(&world->guest, chunk, vdiport_to_guest(world->port, chunk, world->now));
    CHECK(vdiport_hold(world->port));
    CHECK_EQ(vdiport_deadline(world->port), world->now - (VDIPORT_STALL_MS - 1) + VDIPORT_HOLD_MS);
    tick(world, VDIPORT_HOLD_MS - (VDIPORT_STALL_MS - 1));
    CHECK(!vdiport_hold(world->port));
    tick(world, 2 * VDIPORT_STALL_MS - 1 - VDIPORT_HOLD_MS - 1);
    CHECK_EQ(vdiport_deadline(world->port), world->now + 1);
    take_client(world, 100);
    CHECK_STR(world->client.text->str, "");
    tick(world, 1);
    CHECK(!vdiport_hold(world->port));
    CHECK(vdiport_queued(world->port) < 1000);
    CHECK_EQ(vdiport_deadline(world->port), INT64_MAX);
    take_client(world, 100);
    CHECK_STR(world->client.text->str, text("clipboard(0,0,0) release(0) status(3,2) announce(0,%x) ", STAND_IN));
    CHECK_STR(world->events->str, "no-agent ");
    CHECK_EQ(vdiport_counters(world->port)[VDIPORT_STALLS], 1);
    CHECK(vdiport_may_go_on(world->port));

    check_case("and goes on");
    g_string_truncate(world->client.text, 0);
    g_string_truncate(world->events, 0);
    SAY(client, start(4));
    EXPECT(world, "status(4,6) ", text("start(3) 2leave announce(1,%x) ", CLIENT_SEEN), "");
    BULK(guest, answer(0, TEXT, 10), 10);
    SAY(guest, status(3, 3));
    SAY(guest, announce(0, GUEST_CAPS));
    SAY(guest, grab(0, 0, TEXT));
    EXPECT(world, text("announce(0,%x) grab(0@1:1) ", GUEST_CAPS), "max(-1) ", text("agent(%x) ", GUEST_CAPS));
    CHECK(!vdiport_may_go_on(world->port));
    SAY(client, monitors(1));
    CHECK_EQ(vdiport_deadline(world->port), world->now + VDIPORT_STALL_MS);
    EXPECT(world, "", "monitors(1) ", "");

    check_case("the guest falls silent in the middle of clipboard data");
    SAY(client, ask(0, TEXT));
    g_autoptr(GByteArray) up = chunked(VDP_CLIENT_PORT, plain(&world->guest_layout, &(VdagentMessage){
        .type = VD_AGENT_CLIPBOARD, .clipboard = { 0, TEXT, 600000 } }, 600000));
    from_guest(world, up->data, 2000);
    CHECK_EQ(vdiport_deadline(world->port), world->now + VDIPORT_STALL_MS);
    EXPECT(world, "clipboard(0,1,600000) ", "request(0,1) ", "");
    tick(world, VDIPORT_STALL_MS - 1);
    /* As long as the client does not read, the guest cannot be blamed. */
    size_t at = 2000;
    for (size_t want; (want = vdiport_guest_want(world->port)) > 0; at += want)
        vdiport_from_guest(world->port, up->data + at, want, world->now);
    CHECK_EQ(vdiport_deadline(world->port), INT64_MAX);
    tick(world, 10 * VDIPORT_STALL_MS);
    EXPECT(world, "", "", "");
    CHECK_EQ(vdiport_deadline(world->port), world->now + VDIPORT_STALL_MS);
    tick(world, VDIPORT_STALL_MS);
    EXPECT(world, "", "2leave ", "no-agent restart ");
    CHECK(vdiport_may_go_on(world->port));
    vdiport_guest_open(world->port, false, world->now);
    CHECK(!vdiport_may_go_on(world->port));
    world_free(world);

    check_case("nobody there, nothing wrong");
    world = world_new(&allow);
    vdiport_qemu(world->port, true, world->now);
    tick(world, VDIPORT_STALL_MS);
    CHECK_EQ(vdiport_counters(world->port)[VDIPORT_STALLS], 0);
    CHECK_EQ(vdiport_deadline(world->port), INT64_MAX);
    EXPECT(world, "", text("2leave announce(1,%x) ", LAYOUT), "");

    check_case("an agent that has not noticed that the host is another one");
    SAY(guest, announce(0, GUEST_CAPS));
    EXPECT(world, "", "2leave ", text("agent(%x) ", GUEST_CAPS));
    vdiport_server(world->port, true, world->now);
    set_layouts(world, CLIENT_CAPS, GUEST_CAPS);
    SAY(client, announce(1, CLIENT_CAPS));
    EXPECT(world, text("announce(0,%x) ", GUEST_CAPS), text("announce(1,%x) max(-1) ", CLIENT_SEEN), "");
    world_free(world);
}

/*
 * A client sends a file as fast as it is let to a guest that takes one chunk each `every` ms. The time until all has
 * come or the transfer has ended, in which the client was never held longer than it may be.
 */
static int64_t slow_guest(World *world, const GByteArray *bytes, int64_t every)
{
    int64_t began = world->now, free_at = began, next = began + every;
    uint8_t chunk[MUX_CHUNK_MAX];
    size_t at = 0;

    SAY(client, start(3));
    while (vdiport_has_agent(world->port) && (at < bytes->len || vdiport_queued(world->port) > 0)) {
        /* As libspice-server: what it has been sent is written to the end, what was refused once more at once. */
        bool refused = false, free = !vdiport_hold(world->port);

        for (size_t window = 10; free && at < bytes->len && window > 0; at += MUX_CHUNK_MAX) {
            size_t part = MIN(bytes->len - at, MUX_CHUNK_MAX);

            refused = refused || !vdiport_from_server(world->port, bytes->data + at, part, false, world->now);
            if (refused)
                CHECK(vdiport_from_server(world->port, bytes->data + at, part, true, world->now));
            window -= vdiport_hold(world->port);
        }
        CHECK(vdiport_queued(world->port) < LIMIT_SESSION_QUEUE);
        free_at = free ? world->now : free_at;
        CHECK(world->now - free_at <= VDIPORT_HOLD_MS);
        world->now = MIN(next, vdiport_deadline(world->port));
        vdiport_tick(world->port, world->now);
        CHECK(vdiport_deadline(world->port) > world->now);
        if (world->now == next) {
            read_bytes(&world->guest, chunk, vdiport_to_guest(world->port, chunk, world->now));
            next += every;
        }
    }
    take_client(world, 100);
    return world->now - began;
}

static void test_slow(void)
{
    World *world = acquainted();
    g_autoptr(GByteArray) bytes = chunked(VDP_CLIENT_PORT, plain(&world->client_layout, &(VdagentMessage){
        .type = VD_AGENT_FILE_XFER_DATA, .file_data = { 3, 1000000 } }, 1000000));
    int64_t took;

    check_case("a guest that takes a window while the client is held");
    took = slow_guest(world, bytes, VDIPORT_HOLD_MS / 11);
    CHECK(took > 500 * VDIPORT_HOLD_MS / 11);
    CHECK_EQ(world->guest.bulk, 1000000);
    CHECK_STR(world->client.text->str, "");
    CHECK_EQ(vdiport_counters(world->port)[VDIPORT_STALLS], 0);
    world_free(world);

    check_case("less, but the file is no longer than what may wait");
    world = acquainted();
    g_autoptr(GByteArray) some = chunked(VDP_CLIENT_PORT, plain(&world->client_layout, &(VdagentMessage){
        .type = VD_AGENT_FILE_XFER_DATA, .file_data = { 3, 150000 } }, 150000));
    took = slow_guest(world, some, VDIPORT_STALL_MS - 1);
    CHECK(took > 70 * VDIPORT_STALL_MS);
    CHECK_EQ(world->guest.bulk, 150000);
    CHECK_STR(world->client.text->str, "");
    world_free(world);

    check_case("less, and there is no end of it");
    world = acquainted();
    took = slow_guest(world, bytes, VDIPORT_STALL_MS - 1);
    CHECK(took > 2 * VDIPORT_HOLD_MS && took < 10 * VDIPORT_HOLD_MS);
    CHECK_STR(world->client.text->str, text("status(3,2) announce(0,%x) ", STAND_IN));
    CHECK_STR(world->events->str, "no-agent ");
    CHECK_EQ(vdiport_counters(world->port)[VDIPORT_STALLS], 1);
    CHECK(!vdiport_hold(world->port));
    CHECK(vdiport_queued(world->port) < 1000);
    world_free(world);
}

static void test_marks(void)
{
    World *world = acquainted();
    g_autoptr(GByteArray) bytes = chunked(VDP_CLIENT_PORT, plain(&world->client_layout, &(VdagentMessage){
        .type = VD_AGENT_FILE_XFER_DATA, .file_data = { 3, 400000 } }, 400000));
    size_t at = 0, held_at = 0;
    uint8_t chunk[MUX_CHUNK_MAX];

    check_case("marks");
    from_server(world, bytes->data, 100);
    vdiport_server(world->port, false, world->now);
    vdiport_server(world->port, true, world->now);
    SAY(client, announce(1, CLIENT_CAPS));
    SAY(client, start(3));
    for (; at < bytes->len; at += MUX_CHUNK_MAX) {
        if (held_at == 0 && vdiport_hold(world->port))
            held_at = at;
        if (!vdiport_from_server(world->port, bytes->data + at, MUX_CHUNK_MAX, false, world->now))
            break;
    }
    CHECK(held_at > 50000 && held_at < 100000);
    CHECK(at > held_at + 20 * MUX_CHUNK_MAX && at < 150000);
    CHECK(!vdiport_from_server(world->port, bytes->data + at, MUX_CHUNK_MAX, false, world->now));
    for (size_t i = 0; i < 10; i++, at += MUX_CHUNK_MAX)
        CHECK(vdiport_from_server(world->port, bytes->data + at, MUX_CHUNK_MAX, true, world->now));
    /* libspice-server's own are taken at all times. */
    SAY(server, mouse_at(5, 0));
    SAY(server, leave);
    CHECK(!vdiport_hold(world->port));
    world_free(world);

    check_case("the reserve ends, too");
    world = acquainted();
    SAY(client, start(3));
    for (at = 0; at + MUX_CHUNK_MAX < bytes->len; at += MUX_CHUNK_MAX) {
        if (!vdiport_from_server(world->port, bytes->data + at, MUX_CHUNK_MAX, true, world->now))
            break;
    }
    CHECK(at < LIMIT_SESSION_QUEUE);
    CHECK(vdiport_queued(world->port) < LIMIT_SESSION_QUEUE);
    for (size_t low = SIZE_MAX; vdiport_hold(world->port);) {
        CHECK(vdiport_queued(world->port) < low);
        low = vdiport_queued(world->port);
        read_bytes(&world->guest, chunk, vdiport_to_guest(world->port, chunk, world->now));
    }
    CHECK(vdiport_queued(world->port) > 20000 && vdiport_queued(world->port) < 60000);
    from_server(world, bytes->data + at, MUX_CHUNK_MAX);
    world_free(world);

    check_case("a client that reads no answers");
    world = acquainted();
    for (size_t i = 0; i < 20000; i++)
        SAY(client, ask(0, TEXT));
    CHECK(vdiport_queued(world->port) <= LIMIT_SESSION_QUEUE);
    CHECK_EQ(vdiport_guest_want(world->port), 0);
    CHECK(vdiport_counters(world->port)[VDIPORT_DROPPED] > 0);
    take_client(world, 1000);
    CHECK_EQ(vdiport_guest_want(world->port), LIMIT_READ);
    world_free(world);
}

/* ---- pointer ---- */

static void test_pointer(void)
{
    World *world = acquainted();

    check_case("taken out");
    vdiport_set_size(world->port, 0, 1000, 800);
    SAY(server, mouse_at(500, VD_AGENT_LBUTTON_MASK));
    SAY(server, mouse_at(5000, VD_AGENT_UBUTTON_MASK));
    SAY(server, mouse_at(5000, VD_AGENT_UBUTTON_MASK));
    EXPECT(world, "", "", "pointer(32800,500,1,0) pointer(65503,5000,0,120) pointer(65503,5000,0,120) ");
    CHECK_EQ(vdiport_counters(world->port)[VDIPORT_POINTER], 3);

    check_case("put back");
    static const struct {
        uint32_t x, buttons;
    } states[] = { { 1, 0 }, { 2, 0 },  { 3, 0 },   { 4, 2 },   { 5, 2 },  { 6, 2 }, { 7, 0 },
                   { 8, 0 }, { 9, 32 }, { 10, 32 }, { 10, 32 }, { 11, 0 }, { 12, 0 } };
    for (size_t i = 0; i < COUNT(states); i++)
        CHECK(vdiport_mouse(world->port, &(VdagentMouseState){ .x = states[i].x, .buttons = states[i].buttons }));
    CHECK(world->kicks > 0);
    EXPECT(world, "",
           "2mouse(3,0,0) 2mouse(4,0,2) 2mouse(6,0,2) 2mouse(7,0,0) 2mouse(8,0,0) 2mouse(9,0,32) 2mouse(10,0,32) "
           "2mouse(10,0,32) 2mouse(11,0,0) 2mouse(12,0,0) ", "");
    /* One that is on its way is not replaced. */
    CHECK(vdiport_mouse(world->port, &(VdagentMouseState){ .x = 1 }));
    take_guest(world);
    CHECK(vdiport_mouse(world->port, &(VdagentMouseState){ .x = 2 }));
    EXPECT(world, "", "2mouse(1,0,0) 2mouse(2,0,0) ", "");

    check_case("on no display");
    static const VdagentMouseState outside[] = {
        { UINT32_MAX, 5, 0, 0 }, { 7, UINT32_MAX, 2, 0 }, { 8, 8, 0, 1 },   { 9, 9, 2, 255 },
        { 900, 700, 0, 3 },      { 1, 1, 2, 2 },          { 800, 700, 0, 3 }, { 1, 1, 2, 16 },
    };
    for (size_t i = 0; i < COUNT(outside); i++) {
        vdiport_set_size(world->port, 3, i < 7 ? 640 : 0, i < 7 ? 480 : 0);
        CHECK(vdiport_mouse(world->port, &outside[i]));
    }
    EXPECT(world, "",
           "2mouse(999,5,0) 2mouse(7,799,2) 2mouse(7,799,0) 2mouse(7,799,2) 2mouse(639,479,0)@3 2mouse(639,479,2)@3 "
           "2mouse(639,479,0)@3 2mouse(0,0,2) ", "");
    CHECK(vdiport_mouse(world->port, &(VdagentMouseState){ .x = 2 }));
    take_guest(world);
    forget(world);

    check_case("full");
    /* What comes when 64 wait, the last with a button up; what the last is then, and how many are lost for it. */
    static const struct {
        uint32_t buttons[5];
        size_t count;
        const char *last, *lost;
    } more[] = {
        { { 2 }, 1, " 2mouse(62,0,2) 2mouse(100,0,2) ", "lost(1) " },
        { { 2, 0 }, 2, " 2mouse(62,0,2) 2mouse(101,0,0) ", "lost(1) lost(1) " },
        { { 2, 2, 2 }, 3, " 2mouse(62,0,2) 2mouse(102,0,2) ", "lost(1) " },
        { { 0, 0, 0 }, 3, " 2mouse(62,0,2) 2mouse(102,0,0) ", "" },
        { { 0, 2, 2, 0, 0 }, 5, " 2mouse(62,0,2) 2mouse(104,0,0) ", "lost(1) lost(1) " },
        { { 32, 32, 0 }, 3, " 2mouse(62,0,2) 2mouse(102,0,0) ", "lost(1) lost(1) lost(1) " },
    };
    for (size_t i = 0; i < COUNT(more); i++) {
        for (uint32_t n = 0; n < 64; n++)
            CHECK(vdiport_mouse(world->port, &(VdagentMouseState){ .x = n, .buttons = n % 2 ? 0 : 2 }));
        for (uint32_t n = 0; n < more[i].count; n++)
            CHECK(vdiport_mouse(world->port, &(VdagentMouseState){ .x = 100 + n, .buttons = more[i].buttons[n] }));
        take_guest(world);
        CHECK(g_str_has_suffix(world->guest.text->str, more[i].last));
        CHECK_STR(world->events->str, more[i].lost);
        CHECK(vdiport_mouse(world->port, &(VdagentMouseState){ .x = 0 }));
        take_guest(world);
        forget(world);
    }

    check_case("full of clicks, the last place taken by one that moves");
    for (uint32_t n = 0; n < 63; n++)
        CHECK(vdiport_mouse(world->port, &(VdagentMouseState){ .x = n, .buttons = n % 2 ? 0 : 2 }));
    for (uint32_t n = 63; n < 70; n++)
        CHECK(vdiport_mouse(world->port, &(VdagentMouseState){ .x = n, .buttons = n == 69 ? 0 : 2 }));
    take_guest(world);
    CHECK(g_str_has_suffix(world->guest.text->str, " 2mouse(62,0,2) 2mouse(69,0,0) "));
    CHECK_STR(world->events->str, "");
    forget(world);

    check_case("turns");
    SAY(client, start(3));
    BULK(client, file_data(3, 5000), 5000);
    for (uint32_t i = 0; i < 3; i++)
        vdiport_mouse(world->port, &(VdagentMouseState){ .x = i, .buttons = i % 2 ? 0 : 2 });
    EXPECT(world, "", "2mouse(0,0,2) start(3) 2mouse(1,0,0) data(3,5000) 2mouse(2,0,2) ", "");
    CHECK_EQ(world->guest.bulk, 5000);

    check_case("nothing of the next client before the last one has left");
    uint8_t chunk[MUX_CHUNK_MAX];
    vdiport_mouse(world->port, &(VdagentMouseState){ .x = 1 });
    read_bytes(&world->guest, chunk, vdiport_to_guest(world->port, chunk, world->now));
    SAY(server, leave);
    SAY(client, announce(1, CLIENT_CAPS));
    EXPECT(world, text("announce(0,%x) ", GUEST_CAPS),
           text("2mouse(1,0,0) 2leave announce(1,%x) max(-1) ", CLIENT_SEEN), "");

    check_case("not for the next agent");
    vdiport_mouse(world->port, &(VdagentMouseState){ .x = 1 });
    SAY(guest, announce(1, GUEST_CAPS));
    take_client(world, 100);
    CHECK_STR(world->events->str, text("lost(1) no-agent agent(%x) ", GUEST_CAPS));
    forget(world);
    EXPECT(world, "", text("2leave announce(1,%x) max(-1) ", CLIENT_SEEN), "");

    check_case("nor for the next QEMU");
    SAY(guest, announce(0, GUEST_CAPS));
    for (uint32_t n = 0; n < 3; n++)
        CHECK(vdiport_mouse(world->port, &(VdagentMouseState){ .x = n, .buttons = n % 2 ? 0 : 2 }));
    vdiport_qemu(world->port, false, world->now);
    CHECK(!vdiport_mouse(world->port, &(VdagentMouseState){ .x = 3 }));
    vdiport_qemu(world->port, true, world->now);
    take_client(world, 100);
    CHECK_STR(world->events->str, "lost(3) no-agent ");
    forget(world);
    EXPECT(world, "", text("2leave announce(1,%x) ", CLIENT_SEEN), "");
    SAY(guest, announce(0, GUEST_CAPS));
    take_client(world, 100);
    take_guest(world);
    forget(world);

    check_case("the port is connected anew in the middle of a message");
    VdagentMessage devices = { .type = VD_AGENT_GRAPHICS_DEVICE_INFO, .devices = { .count = LIMIT_DISPLAYS } };
    for (size_t i = 0; i < LIMIT_DISPLAYS; i++)
        snprintf(devices.devices.device[i].address, LIMIT_DEVICE_ADDRESS, "pci/0000/%0200u", 1);
    server_says(world, &devices);
    CHECK_EQ(vdiport_to_guest(world->port, chunk, world->now), MUX_CHUNK_MAX);
    vdiport_qemu(world->port, true, world->now);
    take_client(world, 100);
    forget(world);
    EXPECT(world, "", text("2leave announce(1,%x) ", CLIENT_SEEN), "");
    SAY(guest, announce(0, GUEST_CAPS));
    server_says(world, &devices);
    EXPECT(world, text("announce(0,%x) ", GUEST_CAPS), "max(-1) 2devices(16) ", text("agent(%x) ", GUEST_CAPS));
    world_free(world);
}

/* ---- out of step ---- */

static void test_broken(void)
{
    World *world = acquainted();
    uint8_t bytes[CHUNK_HEADER_SIZE + MESSAGE_HEADER_SIZE] = { 1, 0, 0, 0, MESSAGE_HEADER_SIZE, 0, 0, 0, 2 };

    check_case("the guest");
    from_guest(world, bytes, sizeof(bytes));
    CHECK_EQ(vdiport_guest_want(world->port), 0);
    vdiport_from_guest(world->port, bytes, sizeof(bytes), world->now);
    SAY(client, monitors(1));
    EXPECT(world, text("announce(0,%x) reply(2,2) ", STAND_IN), "", "no-agent reopen ");

    check_case("libspice-server");
    from_server(world, bytes, sizeof(bytes));
    SAY(client, monitors(1));
    EXPECT(world, "", "", "restart ");

    check_case("other ports");
    world_free(world);
    world = acquainted();
    bytes[0] = 9;
    from_guest(world, bytes, sizeof(bytes));
    bytes[0] = VDP_SERVER_PORT;
    from_guest(world, bytes, sizeof(bytes));
    CHECK_EQ(vdiport_counters(world->port)[VDIPORT_DROPPED], 2);
    SAY(guest, grab(0, 0, TEXT));
    EXPECT(world, "grab(0@0:1) ", "", "");
    for (size_t i = 0; i < VDIPORT_COUNTERS; i++)
        CHECK(vdiport_counter_name(i) != NULL);
    world_free(world);
}

int main(void)
{
    test_introductions();
    test_capabilities();
    test_cuts();
    test_bits();
    test_clipboard();
    test_layouts();
    test_policy();
    test_files();
    test_agent_dies();
    test_client_leaves();
    test_stall();
    test_slow();
    test_marks();
    test_pointer();
    test_broken();
    return check_done();
}
