/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "relay-private.h"

#include <gio/gio.h>
static void port_fails(Relay *relay, const char *why, int64_t now);

const char *relay_counter_name(RelayCounter counter)
{
    static const char *const names[] = {
        [RELAY_FROM_HOST] = "host-messages",   [RELAY_FROM_SESSION] = "session-messages",
        [RELAY_REFUSED] = "messages-refused",  [RELAY_DROPPED] = "messages-dropped",
        [RELAY_CLIPBOARD_BYTES] = "clipboard-bytes", [RELAY_FILE_BYTES] = "file-bytes",
        [RELAY_STALLS] = "stalls",
    };

    G_STATIC_ASSERT(G_N_ELEMENTS(names) == RELAY_COUNTERS);
    return names[counter];
}

Relay *relay_new(const RelayPolicy *policy, const RelayEvents *events, void *user)
{
    static const uint32_t ports[LANES] = { VDP_CLIENT_PORT, VDP_CLIENT_PORT };
    Relay *relay = g_new0(Relay, 1);

    relay->policy = *policy;
    relay->events = *events;
    relay->user = user;
    relay->state.clipboard = policy->clipboard;
    relay->state.files = policy->files;
    relay->log_host.name = "host";
    relay->log_session.name = "session";
    relay->log_client.name = "client";
    relay->max_clipboard = -1;
    relay->full_since = -1;
    mux_init(&relay->mux, ports, LANES);
    return relay;
}

void relay_free(Relay *relay)
{
    g_free(relay);
}

const uint64_t *relay_counters(const Relay *relay)
{
    return relay->counters;
}

void relay_introduce_client(Relay *relay, int64_t now)
{
    VdagentMessage announcement = { .type = VD_AGENT_ANNOUNCE_CAPABILITIES };

    announcement.announce.request = 1;
    announcement.announce.caps = router_client_caps(&relay->state, &relay->client_caps);
    for (size_t i = 0; i < ROUTER_SOCKETS && relay->state.session != ROUTER_NO_SESSION; i++) {
        relay->state.open[i] = false;
        relay->channel[i].asked = now;
        relay_put_session(relay, i, &announcement, now);
    }
    if (relay->max_known && router_from_host(&relay->state, VD_AGENT_MAX_CLIPBOARD) == ROUTER_HERE_AND_CONTROL) {
        VdagentMessage message = { .type = VD_AGENT_MAX_CLIPBOARD, .max_clipboard = { .max = relay->max_clipboard } };

        relay_put_session(relay, ROUTER_SOCKET_CONTROL, &message, now);
    }
    if (relay->devices_known) {
        VdagentMessage message = { .type = VD_AGENT_GRAPHICS_DEVICE_INFO, .devices = relay->devices };

        relay_put_session(relay, ROUTER_SOCKET_CONTROL, &message, now);
    }
    if (relay->monitors_known) {
        VdagentMessage message = { .type = VD_AGENT_MONITORS_CONFIG, .monitors = relay->monitors };

        relay_put_session(relay, ROUTER_SOCKET_CONTROL, &message, now);
    }
    if (router_from_host(&relay->state, VD_AGENT_CLIPBOARD_GRAB) != ROUTER_HERE_AND_CONTROL)
        return;
    grabs_session_begin(&relay->grabs);
    for (uint8_t i = 0; i < LIMIT_SELECTIONS; i++) {
        VdagentMessage message = { .type = VD_AGENT_CLIPBOARD_GRAB };

        if (grabs_session_begin_grab(&relay->grabs, i, &message.grab))
            relay_put_session(relay, ROUTER_SOCKET_CONTROL, &message, now);
    }
}

/* ---- ends ---- */

/* What the session owes to the host is said in its place. The caller has the connection closed. */
static void forget_session(Relay *relay, int64_t now)
{
    bool promise_broken = false;

    if (relay->up.bulk == BULK_CLIPBOARD) {
        /* Clipboard data that the wire has seen the head of cannot be taken back. */
        promise_broken = !mux_retract(&relay->mux, LANE_CONTROL, relay->up.put);
        relay->up.bulk = BULK_DROP;
        if (!promise_broken)
            relay_answer_host_with_nothing(relay, relay->up.selection);
    }
    for (uint8_t i = 0; i < LIMIT_SELECTIONS; i++) {
        VdagentMessage release = { .type = VD_AGENT_CLIPBOARD_RELEASE, .release = { .selection = i } };
        bool owned;
        size_t requests;

        grabs_session_end(&relay->grabs, i, &owned, &requests);
        while (requests-- > 0)
            relay_answer_host_with_nothing(relay, i);
        if (owned)
            relay_put_host(relay, LANE_CONTROL, &release);
    }
    for (uint32_t id; transfers_end_any(&relay->transfers, &id);)
        relay_put_status(relay, id, VD_AGENT_FILE_XFER_STATUS_CANCELLED, 0);

    relay->state.session = ROUTER_NO_SESSION;
    relay->session_known = false;
    relay->session_caps = (Caps){ { 0 } };
    relay->down.bulk = BULK_DROP;
    relay->held = 0;
    for (size_t i = 0; i < ROUTER_SOCKETS; i++) {
        queue_clear(&relay->channel[i].out);
        relay->channel[i].asked = -1;
        relay->state.open[i] = false;
    }
    if (promise_broken)
        port_fails(relay, "the session left in the middle of clipboard data", now);
}

void relay_session_ends(Relay *relay, const char *why, int64_t now)
{
    if (relay->state.session == ROUTER_NO_SESSION)
        return;
    log_peer(&relay->log_session, "connection closed: %s", why);
    forget_session(relay, now);
    relay->events.end_session(why, relay->user);
}

void relay_client_goes(Relay *relay, int64_t now)
{
    VdagentMessage message = { .type = VD_AGENT_CLIENT_DISCONNECTED };

    if (!relay->client)
        return;
    relay->client = false;
    grabs_client(&relay->grabs, false);
    relay->transfers.count = 0;
    relay->max_clipboard = -1;
    relay->max_known = relay->monitors_known = false;
    mux_drop(&relay->mux, LANE_OWN);
    if (!mux_drop(&relay->mux, LANE_CONTROL))
        port_fails(relay, "the client left in the middle of clipboard data for it", now);
    relay->up.bulk = BULK_DROP;
    if (relay->down.bulk == BULK_CLIPBOARD)
        relay_session_ends(relay, "the client left in the middle of clipboard data for it", now);
    relay->down.bulk = BULK_DROP;
    for (size_t i = 0; i < ROUTER_SOCKETS; i++) {
        relay->state.open[i] = false;
        relay->channel[i].asked = -1;
        relay_put_session(relay, i, &message, now);
    }
    relay->events.client(NULL, NULL, relay->user);
}

static void host_goes(Relay *relay, int64_t now)
{
    relay->host = relay->heard = relay->announced = relay->answer_due = false;
    relay->devices_known = false;
    relay->host_stuck = false;
    mux_reset(&relay->mux);
    relay_client_goes(relay, now);
}

static void port_fails(Relay *relay, const char *why, int64_t now)
{
    if (!relay->host)
        return;
    g_message("opening the port anew: %s", why);
    host_goes(relay, now);
    relay->events.reopen(why, relay->user);
}

/* ---- stalls ---- */

static bool queue_high(const Relay *relay, RouterSocket socket)
{
    return relay->channel[socket].out.used > QUEUE_HIGH;
}

static bool own_lane_full(const Relay *relay)
{
    return mux_room(&relay->mux, LANE_OWN) < LIMIT_LANE_QUEUE / 2;
}

bool relay_paused(const Relay *relay)
{
    return queue_high(relay, ROUTER_SOCKET_CONTROL) || queue_high(relay, ROUTER_SOCKET_FILES) ||
           (own_lane_full(relay) && !relay->host_stuck);
}

/* After each call: announce what has changed, start or stop the clocks. */
static void settle(Relay *relay, int64_t now)
{
    relay_announce(relay, now);
    if (!own_lane_full(relay))
        relay->host_stuck = false;
    if (!relay_paused(relay))
        relay->full_since = -1;
    else if (relay->full_since < 0)
        relay->full_since = now;
    if (relay->up.bulk == BULK_CLIPBOARD) {
        if (relay_session_want(relay, ROUTER_SOCKET_CONTROL) == 0)
            relay->up.progress = INT64_MAX;
        else if (relay->up.progress == INT64_MAX)
            relay->up.progress = now;
    }
    if (mux_pending(&relay->mux, LANE_OWN) || mux_pending(&relay->mux, LANE_CONTROL))
        relay->events.kick(relay->user);
}

typedef struct Waiting {
    uint32_t id[LIMIT_TRANSFERS];
    size_t count;
} Waiting;

/* Drops file data, and notes whose they were. More than LIMIT_TRANSFERS do not live at once. */
static bool drop_data(uint32_t type, const uint8_t body[4], void *user)
{
    Waiting *waiting = user;
    BytesReader in = bytes_reader(body, 4);
    uint32_t id;

    if (type != VD_AGENT_FILE_XFER_DATA || !bytes_get_u32(&in, &id))
        return false;
    for (size_t i = 0; i < waiting->count; i++) {
        if (waiting->id[i] == id)
            return true;
    }
    if (waiting->count < LIMIT_TRANSFERS)
        waiting->id[waiting->count++] = id;
    return true;
}

static void end_stalled_transfers(Relay *relay, int64_t now)
{
    Waiting waiting = { .count = 0 };

    queue_filter(&relay->channel[ROUTER_SOCKET_FILES].out, drop_data, &waiting);
    for (size_t i = 0; i < waiting.count; i++) {
        if (!transfers_end(&relay->transfers, waiting.id[i]))
            continue;
        log_peer(&relay->log_session, "file transfer ended: nothing of it was taken for %d ms", LIMIT_STALL_MS);
        relay_cancel_in_session(relay, waiting.id[i], now);
        relay_put_status(relay, waiting.id[i], VD_AGENT_FILE_XFER_STATUS_ERROR, G_IO_ERROR_TIMED_OUT);
    }
    if (queue_high(relay, ROUTER_SOCKET_FILES))
        relay_session_ends(relay, "it does not read", now);
}

static int64_t full_deadline(const Relay *relay)
{
    return relay->full_since >= 0 ? relay->full_since + LIMIT_STALL_MS : INT64_MAX;
}

static int64_t up_deadline(const Relay *relay)
{
    return relay->up.bulk == BULK_CLIPBOARD && relay->up.progress != INT64_MAX ? relay->up.progress + LIMIT_STALL_MS
                                                                             : INT64_MAX;
}

static int64_t handshake_deadline(const Relay *relay, RouterSocket socket)
{
    return relay->state.session != ROUTER_NO_SESSION && relay->channel[socket].asked >= 0
               ? relay->channel[socket].asked + RELAY_HANDSHAKE_MS
               : INT64_MAX;
}

int64_t relay_deadline(const Relay *relay)
{
    int64_t deadline = MIN(full_deadline(relay), up_deadline(relay));

    for (size_t i = 0; i < ROUTER_SOCKETS; i++)
        deadline = MIN(deadline, handshake_deadline(relay, i));
    /* Past the time only a full lane can have kept it back: then room wakes us. */
    if (relay_announce_waits(relay) && mux_room(&relay->mux, LANE_OWN) >= MESSAGE_MAX)
        deadline = MIN(deadline, relay->announce_by);
    return deadline;
}

void relay_tick(Relay *relay, int64_t now)
{
    if (now >= full_deadline(relay)) {
        relay->counters[RELAY_STALLS]++;
        relay->full_since = now;
        if (queue_high(relay, ROUTER_SOCKET_FILES))
            end_stalled_transfers(relay, now);
        if (queue_high(relay, ROUTER_SOCKET_CONTROL))
            relay_session_ends(relay, "it does not read", now);
        relay->host_stuck = own_lane_full(relay);
    }
    if (now >= up_deadline(relay)) {
        relay->counters[RELAY_STALLS]++;
        relay_session_ends(relay, "it fell silent in the middle of clipboard data", now);
    }
    for (size_t i = 0; i < ROUTER_SOCKETS; i++) {
        if (now >= handshake_deadline(relay, i))
            relay_session_ends(relay, "it does not answer", now);
    }
    settle(relay, now);
}

/* ---- entry points ---- */

void relay_host(Relay *relay, bool connected, int64_t now)
{
    host_goes(relay, now);
    relay->host = connected;
    relay->announce_by = now + RELAY_ANNOUNCE_MS;
    settle(relay, now);
}

void relay_host_event(Relay *relay, const DemuxEvent *event, int64_t now)
{
    const StreamEvent *stream = &event->stream;
    VdagentMessage message;

    switch (event->result) {
    case STREAM_MESSAGE:
        relay->counters[RELAY_FROM_HOST]++;
        message = stream->message;
        relay_host_message(relay, &message, now);
        break;
    case STREAM_BULK:
        relay->counters[RELAY_FROM_HOST]++;
        if (event->port == VDP_CLIENT_PORT)
            relay_host_bulk(relay, &stream->message, now);
        else
            log_peer(&relay->log_host, "%s of the server's own is dropped", vdagent_name(stream->header.type));
        break;
    case STREAM_DATA:
        if (event->port == VDP_CLIENT_PORT)
            relay_host_data(relay, stream->data, stream->size, now);
        break;
    case STREAM_BULK_END:
        if (event->port == VDP_CLIENT_PORT)
            relay_host_bulk_end(relay, now);
        break;
    case STREAM_REFUSED:
        relay->counters[RELAY_REFUSED]++;
        log_peer(&relay->log_host, "%s (type %u) of %u bytes refused: %s", vdagent_name(stream->header.type),
                 stream->header.type, stream->header.size, vdagent_result_text(stream->why));
        break;
    case STREAM_MORE:
    case STREAM_BROKEN:
        log_bug("stream event %d from the demultiplexer", event->result);
        break;
    }
    settle(relay, now);
}

size_t relay_fill(Relay *relay, uint8_t ret_chunk[MUX_CHUNK_MAX])
{
    return mux_next(&relay->mux, ret_chunk);
}

void relay_pointer(Relay *relay, bool works, int64_t now)
{
    relay->pointer = works;
    settle(relay, now);
}

void relay_locked(Relay *relay, bool locked)
{
    relay->state.locked = locked;
}

void relay_session_open(Relay *relay, RouterSession session, int64_t now)
{
    relay->state.session = session;
    for (size_t i = 0; i < ROUTER_SOCKETS; i++) {
        stream_init(&relay->channel[i].in, VDAGENT_TO_HOST);
        relay->channel[i].asked = -1;
    }
    if (relay->client)
        relay_introduce_client(relay, now);
    settle(relay, now);
}

void relay_session_close(Relay *relay, int64_t now)
{
    if (relay->state.session != ROUTER_NO_SESSION)
        forget_session(relay, now);
    settle(relay, now);
}

size_t relay_session_want(const Relay *relay, RouterSocket socket)
{
    size_t lane = socket == ROUTER_SOCKET_CONTROL ? LANE_CONTROL : LANE_OWN;
    size_t room = mux_room(&relay->mux, lane);

    if (relay->state.session == ROUTER_NO_SESSION || queue_high(relay, socket) || room <= LANE_RESERVE)
        return 0;
    return MIN(room - LANE_RESERVE, LIMIT_READ);
}

void relay_session_data(Relay *relay, RouterSocket socket, const uint8_t *data, size_t size, int64_t now)
{
    BytesReader in = bytes_reader(data, size);
    StreamEvent event;

    while (relay->state.session != ROUTER_NO_SESSION) {
        switch (stream_next(&relay->channel[socket].in, &in, &event)) {
        case STREAM_MORE:
            settle(relay, now);
            return;
        case STREAM_MESSAGE:
            relay->counters[RELAY_FROM_SESSION]++;
            relay_session_message(relay, socket, &event.message, now);
            break;
        case STREAM_BULK:
            relay->counters[RELAY_FROM_SESSION]++;
            if (socket == ROUTER_SOCKET_CONTROL)
                relay_session_bulk(relay, socket, &event.message, now);
            break;
        case STREAM_DATA:
            if (socket == ROUTER_SOCKET_CONTROL)
                relay_session_bulk_data(relay, event.data, event.size, now);
            break;
        case STREAM_BULK_END:
            if (socket == ROUTER_SOCKET_CONTROL)
                relay->up.bulk = BULK_DROP;
            break;
        case STREAM_REFUSED:
            relay->counters[RELAY_REFUSED]++;
            log_peer(&relay->log_session, "%s (type %u) of %u bytes refused: %s", vdagent_name(event.header.type),
                     event.header.type, event.header.size, vdagent_result_text(event.why));
            break;
        case STREAM_BROKEN:
            relay_session_ends(relay, "what it sends are not agent messages", now);
            break;
        }
    }
    settle(relay, now);
}

const uint8_t *relay_session_peek(const Relay *relay, RouterSocket socket, size_t *ret_size)
{
    return queue_peek(&relay->channel[socket].out, ret_size);
}

void relay_session_taken(Relay *relay, RouterSocket socket, size_t size, int64_t now)
{
    queue_take(&relay->channel[socket].out, size);
    settle(relay, now);
}
