/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "relay-private.h"

#include <string.h>

/* ---- to the host ---- */

void relay_put_host(Relay *relay, size_t lane, const VdagentMessage *message)
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

bool relay_announce_waits(const Relay *relay)
{
    return relay->host && (!relay->announced || relay->answer_due);
}

/* Apart from relay_announce(), which is called for each piece of data: a message is 4 KiB to be cleared. */
static void announce(Relay *relay, const Caps *caps)
{
    VdagentMessage message = { .type = VD_AGENT_ANNOUNCE_CAPABILITIES };

    message.announce.caps = *caps;
    message.announce.request = !relay->heard;
    relay_put_host(relay, LANE_OWN, &message);
    relay->announced = true;
    relay->answer_due = false;
    relay->announced_caps = *caps;
}

void relay_announce(Relay *relay, int64_t now)
{
    if (!relay->host)
        return;

    const Caps caps = own_caps(relay);

    if (relay_announce_waits(relay)) {
        if (now < relay->announce_by && !(relay->answer_due && session_settled(relay)))
            return;
    } else if (caps_equal(&caps, &relay->announced_caps)) {
        return;
    }
    if (mux_room(&relay->mux, LANE_OWN) >= MESSAGE_MAX)
        announce(relay, &caps);
}

void relay_put_status(Relay *relay, uint32_t id, uint32_t result, int gio_error)
{
    VdagentMessage message = { .type = VD_AGENT_FILE_XFER_STATUS };
    VdagentFileStatus status = { .id = id, .result = result };

    if (result == VD_AGENT_FILE_XFER_STATUS_ERROR) {
        status.detailed = true;
        status.error_type = VD_AGENT_FILE_XFER_STATUS_ERROR_GLIB_IO;
        status.error_code = (uint32_t)gio_error;
    }
    message.file_status = transfers_status_for(&relay->client_caps, status);
    relay_put_host(relay, LANE_OWN, &message);
}

static VdagentMessage nothing(uint8_t selection)
{
    return (VdagentMessage){
        .type = VD_AGENT_CLIPBOARD,
        .clipboard = { .selection = selection, .type = VD_AGENT_CLIPBOARD_NONE },
    };
}

/* In the middle of the session's clipboard data their lane is taken; a message of another lane waits for their end. */
void relay_answer_host_with_nothing(Relay *relay, uint8_t selection)
{
    VdagentMessage message = nothing(selection);

    relay_put_host(relay, relay->up.bulk == BULK_CLIPBOARD ? LANE_OWN : LANE_CONTROL, &message);
}

/* ---- to the session ---- */

void relay_put_session_bytes(Relay *relay, RouterSocket socket, const uint8_t *data, size_t size, int64_t now)
{
    if (!queue_put(&relay->channel[socket].out, data, size))
        relay_session_ends(relay, "it does not take what is sent", now);
}

void relay_put_session(Relay *relay, RouterSocket socket, const VdagentMessage *message, int64_t now)
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
        relay_put_session_bytes(relay, socket, bytes, out.used, now);
    } else if (out.used <= HELD_MAX - relay->held) {
        memcpy(relay->hold + relay->held, bytes, out.used);
        relay->held += out.used;
    } else {
        relay_session_ends(relay, "too much to tell it in the middle of clipboard data", now);
    }
}

void relay_answer_session_with_nothing(Relay *relay, uint8_t selection, int64_t now)
{
    VdagentMessage message = nothing(selection);

    relay_put_session(relay, ROUTER_SOCKET_CONTROL, &message, now);
}

void relay_cancel_in_session(Relay *relay, uint32_t id, int64_t now)
{
    VdagentMessage message = { .type = VD_AGENT_FILE_XFER_STATUS };

    message.file_status = (VdagentFileStatus){ .id = id, .result = VD_AGENT_FILE_XFER_STATUS_CANCELLED };
    relay_put_session(relay, ROUTER_SOCKET_FILES, &message, now);
}
