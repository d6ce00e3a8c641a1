/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "relay-private.h"

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
    relay_put_host(relay, LANE_OWN, message);
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
            relay_answer_session_with_nothing(relay, message->request.selection, now);
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
        relay_put_host(relay, LANE_CONTROL, message);
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

void relay_session_message(Relay *relay, RouterSocket socket, VdagentMessage *message, int64_t now)
{
    switch (session_way(relay, socket, message->type)) {
    case ROUTER_HERE:
        session_announces(relay, socket, &message->announce);
        return;
    case ROUTER_HOST:
        session_to_host(relay, message, now);
        return;
    case ROUTER_NOTHING:
        relay_answer_session_with_nothing(relay, message->request.selection, now);
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

void relay_session_bulk(Relay *relay, RouterSocket socket, const VdagentMessage *message, int64_t now)
{
    const VdagentClipboard *clipboard = &message->clipboard;
    size_t room;

    relay->up.bulk = BULK_DROP;
    if (session_way(relay, socket, message->type) != ROUTER_HOST || !grabs_session_answer(&relay->grabs, clipboard)) {
        relay->counters[RELAY_DROPPED]++;
        return;
    }
    if (clipboard->size > most_to_client(relay)) {
        log_peer(&relay->log_session, "clipboard data refused: %u bytes, allowed are %u", clipboard->size,
                 most_to_client(relay));
        relay_answer_host_with_nothing(relay, clipboard->selection);
        return;
    }
    room = mux_room(&relay->mux, LANE_CONTROL);
    relay_put_host(relay, LANE_CONTROL, message);
    if (clipboard->size == 0)
        return;
    relay->up.bulk = BULK_CLIPBOARD;
    relay->up.put = room - mux_room(&relay->mux, LANE_CONTROL);
    relay->up.selection = clipboard->selection;
    relay->up.progress = now;
}

/* Data of a bulk message other than clipboard's are never sent in this direction, so all are of the control socket. */
void relay_session_bulk_data(Relay *relay, const uint8_t *data, size_t size, int64_t now)
{
    if (relay->up.bulk != BULK_CLIPBOARD)
        return;
    relay->up.progress = now;
    relay->up.put += size;
    relay->counters[RELAY_CLIPBOARD_BYTES] += size;
    if (!mux_put(&relay->mux, LANE_CONTROL, data, size))
        log_bug("no room for %zu bytes of clipboard data", size);
}
