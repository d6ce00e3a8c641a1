/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vdiport-private.h"

#include <gio/gio.h>

G_STATIC_ASSERT(sizeof(Vdiport) < 600 * 1024);

const char *vdiport_counter_name(VdiportCounter counter)
{
    static const char *const names[] = {
        [VDIPORT_FROM_CLIENT] = "client-messages", [VDIPORT_FROM_GUEST] = "guest-messages",
        [VDIPORT_POINTER] = "mouse-states",        [VDIPORT_REFUSED] = "messages-refused",
        [VDIPORT_DENIED] = "messages-denied",      [VDIPORT_DROPPED] = "messages-dropped",
        [VDIPORT_ANSWERED] = "messages-answered",  [VDIPORT_CLIPBOARD_BYTES] = "clipboard-bytes",
        [VDIPORT_FILE_BYTES] = "file-bytes",       [VDIPORT_STALLS] = "stalls",
    };

    G_STATIC_ASSERT(G_N_ELEMENTS(names) == VDIPORT_COUNTERS);
    return names[counter];
}

Vdiport *vdiport_new(const VdiportPolicy *policy, const VdiportEvents *events, void *user)
{
    Vdiport *port = g_new0(Vdiport, 1);

    port->policy = *policy;
    port->events = *events;
    port->user = user;
    port->layout = vdiport_layout(policy);
    port->max_clipboard = -1;
    port->waiting = -1;
    port->mark = GUEST_HIGH;
    demux_init(&port->demux);
    stream_init(&port->guest, VDAGENT_TO_HOST);
    return port;
}

void vdiport_free(Vdiport *port)
{
    g_free(port);
}

const uint64_t *vdiport_counters(const Vdiport *port)
{
    return port->counters;
}

void vdiport_set_size(Vdiport *port, uint32_t display, uint32_t w, uint32_t h)
{
    demux_set_size(&port->demux, display, w, h);
}

/* ---- ends ---- */

static void forget_server(Vdiport *port)
{
    port->server = false;
    lane_clear(&port->to_client);
    port->chunk_size = port->chunk_taken = 0;
    demux_reset(&port->demux);
    port->ahead = (ChunkReader){ .have = 0 };
    vdiport_client_goes(port);
}

/* What libspice-server has read of a message cannot be taken back, and the rest will not come. */
static void server_fails(Vdiport *port, const char *why)
{
    if (!port->server)
        return;
    forget_server(port);
    port->events.restart_server(why, port->user);
}

void vdiport_client_goes(Vdiport *port)
{
    static const Caps none;
    bool whole;

    if (!port->client)
        return;
    port->client = port->answer_due = false;
    port->client_caps = port->client_layout = port->told_client = none;
    demux_set_caps(&port->demux, &none);
    port->max_clipboard = -1;
    port->monitors_asked = false;
    port->up.clipboard = false;
    grabs_client(&port->grabs, false);
    port->grabs.session = false;
    port->transfers.count = 0;
    whole = lane_cut(&port->to_client);
    vdiport_cut_guest(port);
    if (!whole)
        server_fails(port, "the client left in the middle of clipboard data for it");
}

void vdiport_agent_ends(Vdiport *port, uint32_t result, int gio_error)
{
    bool known = port->agent, broken = false;

    port->agent = false;
    port->server_port.devices_due = false;
    if (port->server_port.mice > 0)
        port->events.lost(port->server_port.mice, port->user);
    port->server_port.mice = 0;
    if (port->up.clipboard) {
        port->up.clipboard = false;
        broken = !lane_abandon(&port->to_client);
        if (!broken)
            vdiport_put_client_nothing(port, port->up.selection);
    }
    for (uint8_t i = 0; i < LIMIT_SELECTIONS; i++) {
        VdagentMessage release = { .type = VD_AGENT_CLIPBOARD_RELEASE, .release = { .selection = i } };
        bool owned;
        size_t requests;

        grabs_session_end(&port->grabs, i, &owned, &requests);
        while (requests-- > 0)
            vdiport_put_client_nothing(port, i);
        if (owned)
            vdiport_put_client(port, &release);
    }
    for (uint32_t id; transfers_end_any(&port->transfers, &id);)
        vdiport_put_status(port, id, result, gio_error);
    if (port->monitors_asked)
        vdiport_put_client_failure(port, VD_AGENT_MONITORS_CONFIG);
    port->monitors_asked = false;
    vdiport_cut_guest(port);
    if (known)
        port->events.agent(NULL, port->user);
    if (broken)
        server_fails(port, "the guest's agent went in the middle of clipboard data");
    vdiport_announce(port);
}

/* Neither end of the agent port knows of anything that was on its way. */
static void forget_port(Vdiport *port)
{
    vdiport_agent_ends(port, VD_AGENT_FILE_XFER_STATUS_CANCELLED, 0);
    port->chunks = (ChunkReader){ .have = 0 };
    stream_reset(&port->guest);
    port->server_port.leave_due = false;
    port->server_port.size = port->server_port.taken = 0;
    port->waiting = -1;
    port->stalled = port->may_go_on = false;
}

static void port_fails(Vdiport *port, const char *why)
{
    port->qemu = false;
    forget_port(port);
    port->events.reopen(why, port->user);
}

/* ---- stalls ---- */

static bool guest_pending(const Vdiport *port)
{
    return port->to_guest.queue.used > 0 || port->server_port.taken < port->server_port.size ||
           port->server_port.leave_due || port->server_port.devices_due || port->server_port.mice > 0;
}

static void hold(Vdiport *port, int64_t now)
{
    if (!port->holding)
        port->held_since = now;
    port->holding = true;
}

static void watch_marks(Vdiport *port, int64_t now)
{
    size_t used = port->to_guest.queue.used + port->down.staged;

    if (used > (port->holding ? GUEST_LOW : port->mark))
        hold(port, now);
    else
        port->holding = false;
    port->mark = MAX(GUEST_HIGH, MIN(port->mark, used));
}

/*
 * What these bytes of the client can at most become: each message grows by less than its own size, one that has been
 * collected or file data that have been staged may go with them.
 */
static size_t most_of(const Vdiport *port, size_t client)
{
    return 2 * client + MESSAGE_MAX + port->down.staged;
}

static bool fits(const Vdiport *port, size_t most, size_t bound)
{
    return LIMIT_SESSION_QUEUE - lane_room(&port->to_guest) + most <= bound;
}

/* Hold the client no more until more waits than now: false if what it may have sent by then has no room. */
static bool let_go(Vdiport *port)
{
    /* Each chunk of that is judged anew by most_of(), when the message that is collected now may be in the queue. */
    if (!fits(port, most_of(port, CLIENT_WINDOW) + MESSAGE_MAX, GUEST_MOST))
        return false;
    port->mark = MAX(GUEST_HIGH, port->to_guest.queue.used + port->down.staged);
    port->holding = false;
    return true;
}

/* After each call: say what is owed, start or stop the clock, wake the owner. */
static void settle(Vdiport *port, int64_t now)
{
    vdiport_announce(port);
    watch_marks(port, now);
    if (!guest_pending(port))
        port->waiting = -1;
    else if (port->waiting < 0)
        port->waiting = now;
    if (port->to_client.queue.used > 0 || port->chunk_taken < port->chunk_size)
        port->events.kick_client(port->user);
}

static int64_t guest_deadline(const Vdiport *port)
{
    return port->waiting >= 0 && !port->stalled ? port->waiting + VDIPORT_STALL_MS : INT64_MAX;
}

static int64_t hold_deadline(const Vdiport *port)
{
    return port->holding ? port->held_since + VDIPORT_HOLD_MS : INT64_MAX;
}

/* The agent owes the rest of clipboard data, and could send it. */
static int64_t up_deadline(const Vdiport *port)
{
    return port->up.clipboard && vdiport_guest_want(port) > 0 ? port->up.progress + VDIPORT_STALL_MS : INT64_MAX;
}

int64_t vdiport_deadline(const Vdiport *port)
{
    return MIN(MIN(guest_deadline(port), hold_deadline(port)), up_deadline(port));
}

/*
 * An agent that is stuck is taken for gone. What it is told when it goes on makes it begin anew: that the client went,
 * and came.
 */
void vdiport_tick(Vdiport *port, int64_t now)
{
    bool guest = now >= guest_deadline(port);
    bool full = false;

    if (now >= hold_deadline(port))
        full = !let_go(port);
    if (guest || full || now >= up_deadline(port)) {
        port->stalled = guest;
        if (port->agent) {
            port->counters[VDIPORT_STALLS]++;
            port->may_go_on = true;
            vdiport_agent_ends(port, VD_AGENT_FILE_XFER_STATUS_ERROR, G_IO_ERROR_TIMED_OUT);
            vdiport_introduce(port);
        }
    }
    settle(port, now);
}

/* ---- entry points: libspice-server ---- */

void vdiport_server(Vdiport *port, bool registered, int64_t now)
{
    forget_server(port);
    port->server = registered;
    settle(port, now);
}

/* How many of these bytes are the client's: libspice-server's own become no queue. */
static size_t client_bytes(ChunkReader *ahead, const uint8_t *data, size_t size)
{
    BytesReader in = bytes_reader(data, size);
    ChunkPiece piece;
    ChunkResult result;
    size_t client = 0;

    while ((result = chunk_next(ahead, &in, &piece)) != CHUNK_MORE && result != CHUNK_BROKEN) {
        if (result == CHUNK_PIECE && piece.port == VDP_CLIENT_PORT)
            client += piece.size;
    }
    return client;
}

bool vdiport_from_server(Vdiport *port, const uint8_t *data, size_t size, bool settling, int64_t now)
{
    BytesReader in = bytes_reader(data, size);
    ChunkReader ahead = port->ahead;
    DemuxResult result;
    DemuxEvent event;
    size_t client;

    if (!port->server)
        return true;
    client = client_bytes(&ahead, data, size);
    if (client > 0 && !fits(port, most_of(port, client), settling ? GUEST_MOST : GUEST_SOFT)) {
        hold(port, now);
        return false;
    }
    port->ahead = ahead;
    while (port->server && (result = demux_next(&port->demux, &in, &event)) != DEMUX_MORE) {
        switch (result) {
        case DEMUX_POINTER:
            if (event.port == VDP_SERVER_PORT) {
                port->counters[VDIPORT_POINTER]++;
                port->events.pointer(&event.pointer, &event.stream.message.mouse, port->user);
            } else {
                port->counters[VDIPORT_REFUSED]++;
                port->events.refused("client", vdagent_name(VD_AGENT_MOUSE_STATE), port->user);
            }
            break;
        case DEMUX_AGENT:
            vdiport_client_event(port, &event, now);
            break;
        case DEMUX_BROKEN:
            server_fails(port, "what libspice-server writes are not agent messages");
            break;
        case DEMUX_SKIPPED:
            port->counters[VDIPORT_DROPPED]++;
            break;
        case DEMUX_MORE:
            break;
        }
    }
    settle(port, now);
    return true;
}

bool vdiport_hold(const Vdiport *port)
{
    return port->holding;
}

size_t vdiport_to_server(Vdiport *port, uint8_t *ret_data, size_t size, int64_t now)
{
    bool full = vdiport_guest_want(port) == 0;
    BytesWriter out = bytes_writer(ret_data, size);

    while (out.left > 0) {
        size_t part;

        if (port->chunk_taken == port->chunk_size) {
            port->chunk_taken = 0;
            port->chunk_size = lane_chunk(&port->to_client, port->chunk);
            if (port->chunk_size == 0)
                break;
        }
        part = MIN(out.left, port->chunk_size - port->chunk_taken);
        bytes_put(&out, port->chunk + port->chunk_taken, part);
        port->chunk_taken += part;
    }
    if (full)
        port->up.progress = now;
    return out.used;
}

/* ---- entry points: QEMU ---- */

void vdiport_qemu(Vdiport *port, bool connected, int64_t now)
{
    port->qemu = false;
    forget_port(port);
    port->qemu = connected;
    port->closed = false;
    port->server_port.leave_due = connected;
    vdiport_introduce(port);
    vdiport_ask(port);
    settle(port, now);
}

void vdiport_guest_open(Vdiport *port, bool open, int64_t now)
{
    if (!port->qemu || port->closed == !open)
        return;
    port->closed = !open;
    if (!open)
        forget_port(port);
    port->server_port.leave_due = open;
    vdiport_introduce(port);
    settle(port, now);
}

/* As for the client's bytes: what comes grows by less than its own size. */
size_t vdiport_guest_want(const Vdiport *port)
{
    size_t room = lane_room(&port->to_client);

    if (!port->qemu || room <= LANE_RESERVE + MESSAGE_MAX + 1)
        return 0;
    return MIN((room - LANE_RESERVE - MESSAGE_MAX) / 2, LIMIT_READ);
}

void vdiport_from_guest(Vdiport *port, const uint8_t *data, size_t size, int64_t now)
{
    BytesReader in = bytes_reader(data, size);
    ChunkPiece piece;

    while (port->qemu) {
        ChunkResult chunk = chunk_next(&port->chunks, &in, &piece);
        BytesReader rest;
        StreamResult result;
        StreamEvent event;

        if (chunk == CHUNK_MORE)
            break;
        if (chunk == CHUNK_BROKEN) {
            port_fails(port, "what the guest sends are not chunks");
            break;
        }
        if (chunk == CHUNK_SKIPPED || piece.port != VDP_CLIENT_PORT) {
            port->counters[VDIPORT_DROPPED]++;
            continue;
        }
        rest = bytes_reader(piece.data, piece.size);
        while (port->qemu && (result = stream_next(&port->guest, &rest, &event)) != STREAM_MORE) {
            if (result == STREAM_BROKEN)
                port_fails(port, "what the guest sends are not agent messages");
            else
                vdiport_guest_event(port, result, &event, now);
        }
    }
    settle(port, now);
}

size_t vdiport_to_guest(Vdiport *port, uint8_t ret_chunk[MUX_CHUNK_MAX], int64_t now)
{
    size_t size = 0;

    /* Turn by turn; but the agent must know that a client has gone before it hears of the next. */
    if (port->server_port.leave_due || !port->server_port.turn)
        size = vdiport_server_chunk(port, ret_chunk);
    port->server_port.turn = size > 0;
    if (size == 0)
        size = lane_chunk(&port->to_guest, ret_chunk);
    if (size == 0) {
        size = vdiport_server_chunk(port, ret_chunk);
        port->server_port.turn = size > 0;
    }
    if (size > 0) {
        port->stalled = false;
        port->waiting = guest_pending(port) ? now : -1;
        watch_marks(port, now);
    }
    return size;
}

#define WHEELS (VD_AGENT_UBUTTON_MASK | VD_AGENT_DBUTTON_MASK)

/* A state on no display leaves the pointer where it was put last, if that display is still there. */
static VdagentMouseState place(const Vdiport *port, const VdagentMouseState *mouse)
{
    VdagentMouseState placed = *mouse;

    if (!demux_clamp(&port->demux, &placed)) {
        placed = port->server_port.last;
        if (!demux_clamp(&port->demux, &placed))
            placed = (VdagentMouseState){ .x = 0 };
        placed.buttons = mouse->buttons;
    }
    return placed;
}

bool vdiport_mouse(Vdiport *port, const VdagentMouseState *mouse)
{
    bool motion = mouse->buttons == port->server_port.last.buttons && (mouse->buttons & WHEELS) == 0;
    bool full = port->server_port.mice == MICE_MAX;
    bool replaces = full || (motion && port->server_port.motion && port->server_port.mice > 0);

    if (!port->qemu || port->closed)
        return false;
    if (full && !motion && !port->server_port.motion)
        port->events.lost(1, port->user);
    if (!replaces)
        port->server_port.mice++;
    port->server_port.last = place(port, mouse);
    port->server_port.mouse[port->server_port.mice - 1] = port->server_port.last;
    port->server_port.motion = motion && (!full || port->server_port.motion);
    return true;
}

/* ---- questions ---- */

#define MOUSE_SIZE (MESSAGE_HEADER_SIZE + sizeof(VDAgentMouseState))

static size_t lane_used(const Lane *lane)
{
    return lane->queue.used + lane->held;
}

size_t vdiport_queued(const Vdiport *port)
{
    return lane_used(&port->to_guest) + port->down.staged + lane_used(&port->to_client) + port->chunk_size -
           port->chunk_taken + port->server_port.size - port->server_port.taken + port->server_port.mice * MOUSE_SIZE;
}

bool vdiport_has_agent(const Vdiport *port)
{
    return port->agent;
}

bool vdiport_may_go_on(const Vdiport *port)
{
    return port->may_go_on;
}
