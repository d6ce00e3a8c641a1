/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "relay.h"

#include <gio/gio.h>
#include <string.h>

/*
 * Lanes of the multiplexer. Announcements and file statuses go first: a capability is announced before it is used. What
 * the session's control socket sends, and what is said in its place when it is gone, keeps its order in the other one.
 */
enum {
    LANE_OWN,
    LANE_CONTROL,
    LANES
};

#define MESSAGE_MAX (MESSAGE_HEADER_SIZE + LIMIT_MESSAGE)

/*
 * A queue fuller than this stops the port: one more piece of its input, of LIMIT_READ bytes, always fits, with LIMIT_READ
 * of file data that were held back and some messages of our own.
 */
#define QUEUE_HIGH (LIMIT_SESSION_QUEUE - 2 * LIMIT_READ - MESSAGE_MAX)

/* Kept free in a lane for our own messages while the session's are taken: a message collected before, and answers. */
#define LANE_RESERVE (MESSAGE_MAX + 2048u)

/* Small messages for the session that wait for the end of clipboard data. */
#define HELD_MAX 16384u

/* What becomes of the data of a bulk message under way. */
typedef enum Bulk {
    BULK_DROP,
    BULK_CLIPBOARD,
    BULK_FILE
} Bulk;

typedef struct Channel {
    Stream in;
    Queue out;
    int64_t asked; /* when the client was announced; -1: answered, or nothing to answer */
} Channel;

struct Relay {
    RelayPolicy policy;
    RelayEvents events;
    void *user;
    uint64_t counters[RELAY_COUNTERS];
    LogPeer log_host, log_session, log_client;

    bool host, pointer;
    Mux mux;
    bool heard;            /* the host has announced since it was connected */
    bool announced;        /* and we have */
    bool answer_due;
    Caps announced_caps;
    int64_t announce_by;   /* whatever else is missing */

    bool client;
    Caps client_caps, agreed;
    int32_t max_clipboard; /* of the client, -1 for none */
    bool max_known, monitors_known, devices_known;
    VdagentMonitors monitors;
    VdagentDevices devices;

    RouterState state;
    Channel channel[ROUTER_SOCKETS];
    bool session_known;    /* session_caps are what it announced */
    Caps session_caps;
    Grabs grabs;
    Transfers transfers;

    struct {
        Bulk bulk;
        uint32_t id;       /* BULK_FILE */
        bool framed;       /* a part of this message has been handed on */
        size_t staged;
        uint8_t stage[LIMIT_READ];
    } down;                /* host → session */
    struct {
        Bulk bulk;
        uint8_t selection;
        int64_t progress;  /* when data came last; INT64_MAX while we do not read */
    } up;                  /* session → host */
    size_t held;
    uint8_t hold[HELD_MAX];

    int64_t full_since;    /* the port is not read; -1 while it is */
    bool host_stuck;       /* the host does not take what waits in LANE_OWN: the port is not stopped for it again */
};

static void session_ends(Relay *relay, const char *why, int64_t now);
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

/* ---- to the host ---- */

static void put_host(Relay *relay, size_t lane, const VdagentMessage *message)
{
    uint8_t bytes[MESSAGE_MAX];
    BytesWriter out = bytes_writer(bytes, sizeof(bytes));
    VdagentResult result = vdagent_encode(&relay->agreed, message, &out);

    if (result != VDAGENT_OK) {
        /* As a grab of PRIMARY for a client that knows CLIPBOARD only. */
        relay->counters[RELAY_DROPPED]++;
    } else if (!mux_put(&relay->mux, lane, bytes, out.used)) {
        relay->counters[RELAY_DROPPED]++;
        log_peer(&relay->log_host, "takes nothing; %s for it is dropped", vdagent_name(message->type));
    }
}

static Caps own_caps(const Relay *relay)
{
    Caps caps = router_session_caps(&relay->state, &relay->session_caps);

    if (relay->pointer) {
        caps_add(&caps, VD_AGENT_CAP_MOUSE_STATE);
        caps_add(&caps, VD_AGENT_CAP_GRAPHICS_DEVICE_INFO);
    }
    return caps_union(&caps, vdagent_layout_caps());
}

/* What the session can do is known, or is not going to be for now. */
static bool session_settled(const Relay *relay)
{
    return relay->state.session == ROUTER_NO_SESSION || relay->session_known || !relay->client;
}

/* True while an announcement is owed that has to wait. */
static bool announce_waits(const Relay *relay)
{
    return relay->host && (!relay->announced || relay->answer_due);
}

static void announce(Relay *relay, int64_t now)
{
    VdagentMessage message = { .type = VD_AGENT_ANNOUNCE_CAPABILITIES };

    if (!relay->host)
        return;
    message.announce.caps = own_caps(relay);
    message.announce.request = !relay->heard;
    if (announce_waits(relay)) {
        if (now < relay->announce_by && !(relay->answer_due && session_settled(relay)))
            return;
    } else if (caps_equal(&message.announce.caps, &relay->announced_caps)) {
        return;
    }
    if (mux_room(&relay->mux, LANE_OWN) < MESSAGE_MAX)
        return;
    put_host(relay, LANE_OWN, &message);
    relay->announced = true;
    relay->answer_due = false;
    relay->announced_caps = message.announce.caps;
}

static void put_status(Relay *relay, uint32_t id, uint32_t result, int gio_error)
{
    VdagentMessage message = { .type = VD_AGENT_FILE_XFER_STATUS };
    VdagentFileStatus status = { .id = id, .result = result };

    if (result == VD_AGENT_FILE_XFER_STATUS_ERROR) {
        status.detailed = true;
        status.error_type = VD_AGENT_FILE_XFER_STATUS_ERROR_GLIB_IO;
        status.error_code = (uint32_t)gio_error;
    }
    message.file_status = transfers_status_for(&relay->client_caps, status);
    put_host(relay, LANE_OWN, &message);
}

static VdagentMessage nothing(uint8_t selection)
{
    return (VdagentMessage){
        .type = VD_AGENT_CLIPBOARD,
        .clipboard = { .selection = selection, .type = VD_AGENT_CLIPBOARD_NONE },
    };
}

/* In the middle of the session's clipboard data their lane is taken; a message of another lane waits for their end. */
static void answer_host_with_nothing(Relay *relay, uint8_t selection)
{
    VdagentMessage message = nothing(selection);

    put_host(relay, relay->up.bulk == BULK_CLIPBOARD ? LANE_OWN : LANE_CONTROL, &message);
}

/* ---- to the session ---- */

static void put_session_bytes(Relay *relay, RouterSocket socket, const uint8_t *data, size_t size, int64_t now)
{
    if (!queue_put(&relay->channel[socket].out, data, size))
        session_ends(relay, "it does not take what is sent", now);
}

static void put_session(Relay *relay, RouterSocket socket, const VdagentMessage *message, int64_t now)
{
    uint8_t bytes[MESSAGE_MAX];
    BytesWriter out = bytes_writer(bytes, sizeof(bytes));
    VdagentResult result;

    if (relay->state.session == ROUTER_NO_SESSION)
        return;
    result = vdagent_encode(&relay->agreed, message, &out);
    if (result != VDAGENT_OK) {
        log_bug("%s for the session: %s", vdagent_name(message->type), vdagent_result_text(result));
    } else if (socket != ROUTER_SOCKET_CONTROL || relay->down.bulk != BULK_CLIPBOARD) {
        put_session_bytes(relay, socket, bytes, out.used, now);
    } else if (out.used <= HELD_MAX - relay->held) {
        memcpy(relay->hold + relay->held, bytes, out.used);
        relay->held += out.used;
    } else {
        session_ends(relay, "too much to tell it in the middle of clipboard data", now);
    }
}

static void answer_session_with_nothing(Relay *relay, uint8_t selection, int64_t now)
{
    VdagentMessage message = nothing(selection);

    put_session(relay, ROUTER_SOCKET_CONTROL, &message, now);
}

static void cancel_in_session(Relay *relay, uint32_t id, int64_t now)
{
    VdagentMessage message = { .type = VD_AGENT_FILE_XFER_STATUS };

    message.file_status = (VdagentFileStatus){ .id = id, .result = VD_AGENT_FILE_XFER_STATUS_CANCELLED };
    put_session(relay, ROUTER_SOCKET_FILES, &message, now);
}

/* Make the session know the client that is there, and what it would know had it been there all the time. */
static void introduce_client(Relay *relay, int64_t now)
{
    VdagentMessage announcement = { .type = VD_AGENT_ANNOUNCE_CAPABILITIES };

    announcement.announce.request = 1;
    announcement.announce.caps = router_client_caps(&relay->state, &relay->client_caps);
    for (size_t i = 0; i < ROUTER_SOCKETS && relay->state.session != ROUTER_NO_SESSION; i++) {
        relay->state.open[i] = false;
        relay->channel[i].asked = now;
        put_session(relay, i, &announcement, now);
    }
    if (relay->max_known && router_from_host(&relay->state, VD_AGENT_MAX_CLIPBOARD) == ROUTER_HERE_AND_CONTROL) {
        VdagentMessage message = { .type = VD_AGENT_MAX_CLIPBOARD, .max_clipboard = { .max = relay->max_clipboard } };

        put_session(relay, ROUTER_SOCKET_CONTROL, &message, now);
    }
    if (relay->devices_known) {
        VdagentMessage message = { .type = VD_AGENT_GRAPHICS_DEVICE_INFO, .devices = relay->devices };

        put_session(relay, ROUTER_SOCKET_CONTROL, &message, now);
    }
    if (relay->monitors_known) {
        VdagentMessage message = { .type = VD_AGENT_MONITORS_CONFIG, .monitors = relay->monitors };

        put_session(relay, ROUTER_SOCKET_CONTROL, &message, now);
    }
    if (router_from_host(&relay->state, VD_AGENT_CLIPBOARD_GRAB) != ROUTER_HERE_AND_CONTROL)
        return;
    grabs_session_begin(&relay->grabs);
    for (uint8_t i = 0; i < LIMIT_SELECTIONS; i++) {
        VdagentMessage message = { .type = VD_AGENT_CLIPBOARD_GRAB };

        if (grabs_session_begin_grab(&relay->grabs, i, &message.grab))
            put_session(relay, ROUTER_SOCKET_CONTROL, &message, now);
    }
}

/* ---- ends ---- */

/* What the session owes to the host is said in its place. The caller has the connection closed. */
static void forget_session(Relay *relay, int64_t now)
{
    bool promise_broken = false;

    if (relay->up.bulk == BULK_CLIPBOARD) {
        /* Clipboard data that the wire has seen the head of cannot be taken back. */
        promise_broken = !mux_drop(&relay->mux, LANE_CONTROL);
        relay->up.bulk = BULK_DROP;
        if (!promise_broken)
            answer_host_with_nothing(relay, relay->up.selection);
    }
    for (uint8_t i = 0; i < LIMIT_SELECTIONS; i++) {
        VdagentMessage release = { .type = VD_AGENT_CLIPBOARD_RELEASE, .release = { .selection = i } };
        bool owned;
        size_t requests;

        grabs_session_end(&relay->grabs, i, &owned, &requests);
        while (requests-- > 0)
            answer_host_with_nothing(relay, i);
        if (owned)
            put_host(relay, LANE_CONTROL, &release);
    }
    for (uint32_t id; transfers_end_any(&relay->transfers, &id);)
        put_status(relay, id, VD_AGENT_FILE_XFER_STATUS_CANCELLED, 0);

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

static void session_ends(Relay *relay, const char *why, int64_t now)
{
    if (relay->state.session == ROUTER_NO_SESSION)
        return;
    log_peer(&relay->log_session, "connection closed: %s", why);
    forget_session(relay, now);
    relay->events.end_session(why, relay->user);
}

static void client_goes(Relay *relay, int64_t now)
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
    if (!mux_drop(&relay->mux, LANE_CONTROL)) {
        port_fails(relay, "the client left in the middle of clipboard data for it", now);
    }
    relay->up.bulk = BULK_DROP;
    if (relay->down.bulk == BULK_CLIPBOARD)
        session_ends(relay, "the client left in the middle of clipboard data for it", now);
    relay->down.bulk = BULK_DROP;
    for (size_t i = 0; i < ROUTER_SOCKETS; i++) {
        relay->state.open[i] = false;
        relay->channel[i].asked = -1;
        put_session(relay, i, &message, now);
    }
    relay->events.client(NULL, NULL, relay->user);
}

static void host_goes(Relay *relay, int64_t now)
{
    relay->host = relay->heard = relay->announced = relay->answer_due = false;
    relay->devices_known = false;
    relay->host_stuck = false;
    mux_reset(&relay->mux);
    client_goes(relay, now);
}

static void port_fails(Relay *relay, const char *why, int64_t now)
{
    if (!relay->host)
        return;
    g_message("opening the port anew: %s", why);
    host_goes(relay, now);
    relay->events.reopen(why, relay->user);
}

static void client_comes(Relay *relay, const VdagentAnnounce *announcement, int64_t now)
{
    client_goes(relay, now);
    if (!relay->host)
        return;
    relay->client = true;
    relay->client_caps = announcement->caps;
    relay->agreed = caps_both(&announcement->caps, vdagent_layout_caps());
    grabs_client(&relay->grabs, caps_has(&relay->agreed, VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL));
    relay->events.client(&relay->agreed, &relay->client_caps, relay->user);
    introduce_client(relay, now);
}

/* ---- from the host ---- */

static void host_announces(Relay *relay, const VdagentAnnounce *announcement, int64_t now)
{
    relay->heard = true;
    if (announcement->request != 0 || !relay->client || !caps_equal(&announcement->caps, &relay->client_caps))
        client_comes(relay, announcement, now);
    if (announcement->request == 0)
        return;
    if (relay->announced)
        relay->announce_by = now + RELAY_ANNOUNCE_MS;
    relay->answer_due = true;
}

/* What the system daemon itself does with a message; false if it goes no further. */
static bool host_here(Relay *relay, VdagentMessage *message, int64_t now)
{
    switch (message->type) {
    case VD_AGENT_ANNOUNCE_CAPABILITIES:
        host_announces(relay, &message->announce, now);
        return false;
    case VD_AGENT_CLIENT_DISCONNECTED:
        client_goes(relay, now);
        return false;
    case VD_AGENT_GRAPHICS_DEVICE_INFO:
        relay->devices = message->devices;
        relay->devices_known = true;
        relay->events.devices(&relay->devices, relay->user);
        return true;
    case VD_AGENT_MONITORS_CONFIG:
        relay->monitors = message->monitors;
        relay->monitors_known = true;
        return true;
    case VD_AGENT_MAX_CLIPBOARD:
        relay->max_clipboard = message->max_clipboard.max;
        relay->max_known = true;
        return true;
    case VD_AGENT_CLIPBOARD_GRAB:
        return grabs_host_grab(&relay->grabs, &message->grab);
    case VD_AGENT_CLIPBOARD_RELEASE:
        return grabs_host_release(&relay->grabs, message->release.selection);
    default:
        return true;
    }
}

static void file_starts(Relay *relay, const VdagentMessage *message, int64_t now)
{
    uint32_t id = message->file_start.id;

    switch (transfers_begin(&relay->transfers, id)) {
    case TRANSFERS_OK:
        put_session(relay, ROUTER_SOCKET_FILES, message, now);
        return;
    case TRANSFERS_FULL:
        log_peer(&relay->log_client, "file transfer refused: %u are under way", LIMIT_TRANSFERS);
        put_status(relay, id, VD_AGENT_FILE_XFER_STATUS_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);
        return;
    case TRANSFERS_DUPLICATE:
        log_peer(&relay->log_client, "file transfer ended: its number %u was used for another", id);
        transfers_end(&relay->transfers, id);
        cancel_in_session(relay, id, now);
        put_status(relay, id, VD_AGENT_FILE_XFER_STATUS_ERROR, G_IO_ERROR_EXISTS);
        return;
    }
}

static void refuse_file(Relay *relay, uint32_t id, uint32_t result, const char *why)
{
    log_peer(&relay->log_client, "file transfer refused: %s", why);
    put_status(relay, id, result, 0);
}

static void host_message(Relay *relay, VdagentMessage *message, int64_t now)
{
    RouterWay way = router_from_host(&relay->state, message->type);

    if (!relay->client && message->type != VD_AGENT_ANNOUNCE_CAPABILITIES &&
        message->type != VD_AGENT_GRAPHICS_DEVICE_INFO)
        way = ROUTER_DROP;
    switch (way) {
    case ROUTER_DROP:
    case ROUTER_HOST:
        relay->counters[RELAY_DROPPED]++;
        break;
    case ROUTER_HERE:
        host_here(relay, message, now);
        break;
    case ROUTER_HERE_AND_CONTROL:
        if (host_here(relay, message, now) && relay->client)
            put_session(relay, ROUTER_SOCKET_CONTROL, message, now);
        break;
    case ROUTER_CONTROL:
        if (message->type == VD_AGENT_CLIPBOARD_REQUEST && !grabs_host_request(&relay->grabs, &message->request))
            answer_host_with_nothing(relay, message->request.selection);
        else
            put_session(relay, ROUTER_SOCKET_CONTROL, message, now);
        break;
    case ROUTER_FILES:
        if (message->type == VD_AGENT_FILE_XFER_START)
            file_starts(relay, message, now);
        else if (transfers_end(&relay->transfers, message->file_status.id))
            put_session(relay, ROUTER_SOCKET_FILES, message, now);
        break;
    case ROUTER_NOTHING:
        answer_host_with_nothing(relay, message->request.selection);
        break;
    case ROUTER_NOT_CONNECTED:
        refuse_file(relay, message->file_start.id, VD_AGENT_FILE_XFER_STATUS_VDAGENT_NOT_CONNECTED,
                    "no session daemon is connected");
        break;
    case ROUTER_LOCKED:
        refuse_file(relay, message->file_start.id, VD_AGENT_FILE_XFER_STATUS_SESSION_LOCKED, "the session is locked");
        break;
    case ROUTER_DISABLED:
        refuse_file(relay, message->file_start.id, VD_AGENT_FILE_XFER_STATUS_DISABLED, "disabled");
        break;
    }
}

static void host_clipboard(Relay *relay, const VdagentMessage *message, int64_t now)
{
    const VdagentClipboard *clipboard = &message->clipboard;
    bool wanted = grabs_host_answer(&relay->grabs, clipboard, now);

    if (!wanted || router_from_host(&relay->state, VD_AGENT_CLIPBOARD) != ROUTER_CONTROL) {
        relay->counters[RELAY_DROPPED]++;
        return;
    }
    if (relay->policy.max_clipboard > 0 && clipboard->size > relay->policy.max_clipboard) {
        log_peer(&relay->log_client, "clipboard data refused: %u bytes, allowed are %u", clipboard->size,
                 relay->policy.max_clipboard);
        answer_session_with_nothing(relay, clipboard->selection, now);
        return;
    }
    put_session(relay, ROUTER_SOCKET_CONTROL, message, now);
    if (relay->state.session != ROUTER_NO_SESSION)
        relay->down.bulk = BULK_CLIPBOARD;
}

/* Hand the collected file data on as a message of their own. */
static void flush_file(Relay *relay, int64_t now)
{
    VdagentMessage message = { .type = VD_AGENT_FILE_XFER_DATA };

    message.file_data = (VdagentFileData){ .id = relay->down.id, .size = relay->down.staged };
    put_session(relay, ROUTER_SOCKET_FILES, &message, now);
    if (relay->down.bulk == BULK_FILE && relay->down.staged > 0)
        put_session_bytes(relay, ROUTER_SOCKET_FILES, relay->down.stage, relay->down.staged, now);
    relay->counters[RELAY_FILE_BYTES] += relay->down.staged;
    relay->down.staged = 0;
    relay->down.framed = true;
}

static void host_bulk(Relay *relay, const VdagentMessage *message, int64_t now)
{
    relay->down.bulk = BULK_DROP;
    if (!relay->client) {
        relay->counters[RELAY_DROPPED]++;
    } else if (message->type == VD_AGENT_CLIPBOARD) {
        host_clipboard(relay, message, now);
    } else if (transfers_lives(&relay->transfers, message->file_data.id)) {
        relay->down.bulk = BULK_FILE;
        relay->down.id = message->file_data.id;
        relay->down.staged = 0;
        relay->down.framed = false;
    } else {
        relay->counters[RELAY_DROPPED]++;
    }
}

/* Each handler may end the session, and with it this message. */
static void host_data(Relay *relay, const uint8_t *data, size_t size, int64_t now)
{
    if (relay->down.bulk == BULK_CLIPBOARD) {
        relay->counters[RELAY_CLIPBOARD_BYTES] += size;
        put_session_bytes(relay, ROUTER_SOCKET_CONTROL, data, size, now);
    }
    while (size > 0 && relay->down.bulk == BULK_FILE) {
        size_t part = MIN(size, sizeof(relay->down.stage) - relay->down.staged);

        if (!transfers_lives(&relay->transfers, relay->down.id)) {
            relay->down.bulk = BULK_DROP;
            return;
        }
        memcpy(relay->down.stage + relay->down.staged, data, part);
        relay->down.staged += part;
        data += part;
        size -= part;
        if (relay->down.staged == sizeof(relay->down.stage))
            flush_file(relay, now);
    }
}

static void host_bulk_end(Relay *relay, int64_t now)
{
    Bulk bulk = relay->down.bulk;

    if (bulk == BULK_FILE && transfers_lives(&relay->transfers, relay->down.id) &&
        (relay->down.staged > 0 || !relay->down.framed))
        flush_file(relay, now);
    relay->down.bulk = BULK_DROP;
    if (bulk == BULK_CLIPBOARD && relay->held > 0) {
        size_t held = relay->held;

        relay->held = 0;
        put_session_bytes(relay, ROUTER_SOCKET_CONTROL, relay->hold, held, now);
    }
}

/* ---- from the session ---- */

static void session_announces(Relay *relay, RouterSocket socket, const VdagentAnnounce *announcement)
{
    Channel *channel = &relay->channel[socket];

    if (relay->client && !relay->state.open[socket]) {
        channel->asked = -1;
        channel->in.caps = relay->agreed;
        relay->state.open[socket] = true;
    }
    if (socket == ROUTER_SOCKET_CONTROL) {
        relay->session_caps = announcement->caps;
        relay->session_known = true;
    }
}

/* A status for a transfer; it must be the session's. */
static void session_status(Relay *relay, VdagentMessage *message)
{
    VdagentFileStatus *status = &message->file_status;

    if (!transfers_lives(&relay->transfers, status->id)) {
        relay->counters[RELAY_DROPPED]++;
        return;
    }
    if (transfers_final(status->result))
        transfers_end(&relay->transfers, status->id);
    *status = transfers_status_for(&relay->client_caps, *status);
    put_host(relay, LANE_OWN, message);
}

static void session_to_host(Relay *relay, VdagentMessage *message, int64_t now)
{
    bool pass = true;

    switch (message->type) {
    case VD_AGENT_FILE_XFER_STATUS:
        session_status(relay, message);
        return;
    case VD_AGENT_CLIPBOARD_REQUEST:
        if (!grabs_session_request(&relay->grabs, &message->request, now)) {
            answer_session_with_nothing(relay, message->request.selection, now);
            return;
        }
        break;
    case VD_AGENT_CLIPBOARD_GRAB:
        pass = grabs_session_grab(&relay->grabs, &message->grab);
        break;
    case VD_AGENT_CLIPBOARD_RELEASE:
        pass = grabs_session_release(&relay->grabs, message->release.selection);
        break;
    default:
        break;
    }
    if (pass)
        put_host(relay, LANE_CONTROL, message);
    else
        relay->counters[RELAY_DROPPED]++;
}

/* What a session may say to this client: nothing of the clipboard to one that does not know it. */
static RouterWay session_way(const Relay *relay, RouterSocket socket, uint32_t type)
{
    RouterState state = relay->state;

    state.clipboard = state.clipboard && caps_has(&relay->client_caps, VD_AGENT_CAP_CLIPBOARD_BY_DEMAND);
    return router_from_session(&state, socket, type);
}

static void session_message(Relay *relay, RouterSocket socket, VdagentMessage *message, int64_t now)
{
    switch (session_way(relay, socket, message->type)) {
    case ROUTER_HERE:
        session_announces(relay, socket, &message->announce);
        return;
    case ROUTER_HOST:
        session_to_host(relay, message, now);
        return;
    case ROUTER_NOTHING:
        answer_session_with_nothing(relay, message->request.selection, now);
        return;
    case ROUTER_DROP:
    case ROUTER_HERE_AND_CONTROL:
    case ROUTER_CONTROL:
    case ROUTER_FILES:
    case ROUTER_NOT_CONNECTED:
    case ROUTER_LOCKED:
    case ROUTER_DISABLED:
        relay->counters[RELAY_DROPPED]++;
        return;
    }
}

/* Largest clipboard data that go to the client. */
static uint32_t most_to_client(const Relay *relay)
{
    uint32_t most = relay->policy.max_clipboard > 0 ? relay->policy.max_clipboard : UINT32_MAX;

    return relay->max_clipboard >= 0 ? MIN(most, (uint32_t)relay->max_clipboard) : most;
}

static void session_bulk(Relay *relay, RouterSocket socket, const VdagentMessage *message, int64_t now)
{
    const VdagentClipboard *clipboard = &message->clipboard;

    relay->up.bulk = BULK_DROP;
    if (session_way(relay, socket, message->type) != ROUTER_HOST || !grabs_session_answer(&relay->grabs, clipboard)) {
        relay->counters[RELAY_DROPPED]++;
        return;
    }
    if (clipboard->size > most_to_client(relay)) {
        log_peer(&relay->log_session, "clipboard data refused: %u bytes, allowed are %u", clipboard->size,
                 most_to_client(relay));
        answer_host_with_nothing(relay, clipboard->selection);
        return;
    }
    put_host(relay, LANE_CONTROL, message);
    if (clipboard->size == 0)
        return;
    relay->up.bulk = BULK_CLIPBOARD;
    relay->up.selection = clipboard->selection;
    relay->up.progress = now;
}

/* Data of a bulk message other than clipboard's are never sent in this direction, so all are of the control socket. */
static void session_bulk_data(Relay *relay, const uint8_t *data, size_t size, int64_t now)
{
    if (relay->up.bulk != BULK_CLIPBOARD)
        return;
    relay->up.progress = now;
    relay->counters[RELAY_CLIPBOARD_BYTES] += size;
    if (!mux_put(&relay->mux, LANE_CONTROL, data, size))
        log_bug("no room for %zu bytes of clipboard data", size);
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
    announce(relay, now);
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
        cancel_in_session(relay, waiting.id[i], now);
        put_status(relay, waiting.id[i], VD_AGENT_FILE_XFER_STATUS_ERROR, G_IO_ERROR_TIMED_OUT);
    }
    if (queue_high(relay, ROUTER_SOCKET_FILES))
        session_ends(relay, "it does not read", now);
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
    if (announce_waits(relay) && mux_room(&relay->mux, LANE_OWN) >= MESSAGE_MAX)
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
            session_ends(relay, "it does not read", now);
        relay->host_stuck = own_lane_full(relay);
    }
    if (now >= up_deadline(relay)) {
        relay->counters[RELAY_STALLS]++;
        session_ends(relay, "it fell silent in the middle of clipboard data", now);
    }
    for (size_t i = 0; i < ROUTER_SOCKETS; i++) {
        if (now >= handshake_deadline(relay, i))
            session_ends(relay, "it does not answer", now);
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
        host_message(relay, &message, now);
        break;
    case STREAM_BULK:
        relay->counters[RELAY_FROM_HOST]++;
        if (event->port == VDP_CLIENT_PORT)
            host_bulk(relay, &stream->message, now);
        else
            log_peer(&relay->log_host, "%s of the server's own is dropped", vdagent_name(stream->header.type));
        break;
    case STREAM_DATA:
        if (event->port == VDP_CLIENT_PORT)
            host_data(relay, stream->data, stream->size, now);
        break;
    case STREAM_BULK_END:
        if (event->port == VDP_CLIENT_PORT)
            host_bulk_end(relay, now);
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
        introduce_client(relay, now);
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
            session_message(relay, socket, &event.message, now);
            break;
        case STREAM_BULK:
            relay->counters[RELAY_FROM_SESSION]++;
            if (socket == ROUTER_SOCKET_CONTROL)
                session_bulk(relay, socket, &event.message, now);
            break;
        case STREAM_DATA:
            if (socket == ROUTER_SOCKET_CONTROL)
                session_bulk_data(relay, event.data, event.size, now);
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
            session_ends(relay, "what it sends are not agent messages", now);
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
