/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "relay-private.h"

#include <gio/gio.h>
#include <string.h>

static void client_comes(Relay *relay, const VdagentAnnounce *announcement, int64_t now)
{
    relay_client_goes(relay, now);
    if (!relay->host)
        return;
    relay->client = true;
    relay->client_caps = announcement->caps;
    relay->agreed = caps_both(&announcement->caps, vdagent_layout_caps());
    grabs_client(&relay->grabs, caps_has(&relay->agreed, VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL));
    relay->events.client(&relay->agreed, &relay->client_caps, relay->user);
    relay_introduce_client(relay, now);
}

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
        relay_client_goes(relay, now);
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
        relay_put_session(relay, ROUTER_SOCKET_FILES, message, now);
        return;
    case TRANSFERS_FULL:
        log_peer(&relay->log_client, "file transfer refused: %u are under way", LIMIT_TRANSFERS);
        relay_put_status(relay, id, VD_AGENT_FILE_XFER_STATUS_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);
        return;
    case TRANSFERS_DUPLICATE:
        log_peer(&relay->log_client, "file transfer ended: its number %u was used for another", id);
        transfers_end(&relay->transfers, id);
        relay_cancel_in_session(relay, id, now);
        relay_put_status(relay, id, VD_AGENT_FILE_XFER_STATUS_ERROR, G_IO_ERROR_EXISTS);
        return;
    }
}

static void refuse_file(Relay *relay, uint32_t id, uint32_t result, const char *why)
{
    log_peer(&relay->log_client, "file transfer refused: %s", why);
    relay_put_status(relay, id, result, 0);
}

void relay_host_message(Relay *relay, VdagentMessage *message, int64_t now)
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
            relay_put_session(relay, ROUTER_SOCKET_CONTROL, message, now);
        break;
    case ROUTER_CONTROL:
        if (message->type == VD_AGENT_CLIPBOARD_REQUEST && !grabs_host_request(&relay->grabs, &message->request))
            relay_answer_host_with_nothing(relay, message->request.selection);
        else
            relay_put_session(relay, ROUTER_SOCKET_CONTROL, message, now);
        break;
    case ROUTER_FILES:
        if (message->type == VD_AGENT_FILE_XFER_START)
            file_starts(relay, message, now);
        else if (transfers_end(&relay->transfers, message->file_status.id))
            relay_put_session(relay, ROUTER_SOCKET_FILES, message, now);
        break;
    case ROUTER_NOTHING:
        relay_answer_host_with_nothing(relay, message->request.selection);
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
        relay_answer_session_with_nothing(relay, clipboard->selection, now);
        return;
    }
    relay_put_session(relay, ROUTER_SOCKET_CONTROL, message, now);
    if (relay->state.session != ROUTER_NO_SESSION)
        relay->down.bulk = BULK_CLIPBOARD;
}

/* Hand the collected file data on as a message of their own. */
static void flush_file(Relay *relay, int64_t now)
{
    VdagentMessage message = { .type = VD_AGENT_FILE_XFER_DATA };

    message.file_data = (VdagentFileData){ .id = relay->down.id, .size = relay->down.staged };
    relay_put_session(relay, ROUTER_SOCKET_FILES, &message, now);
    if (relay->down.bulk == BULK_FILE && relay->down.staged > 0)
        relay_put_session_bytes(relay, ROUTER_SOCKET_FILES, relay->down.stage, relay->down.staged, now);
    relay->counters[RELAY_FILE_BYTES] += relay->down.staged;
    relay->down.staged = 0;
    relay->down.framed = true;
}

void relay_host_bulk(Relay *relay, const VdagentMessage *message, int64_t now)
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
void relay_host_data(Relay *relay, const uint8_t *data, size_t size, int64_t now)
{
    if (relay->down.bulk == BULK_CLIPBOARD) {
        relay->counters[RELAY_CLIPBOARD_BYTES] += size;
        relay_put_session_bytes(relay, ROUTER_SOCKET_CONTROL, data, size, now);
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

void relay_host_bulk_end(Relay *relay, int64_t now)
{
    Bulk bulk = relay->down.bulk;

    if (bulk == BULK_FILE && transfers_lives(&relay->transfers, relay->down.id) &&
        (relay->down.staged > 0 || !relay->down.framed))
        flush_file(relay, now);
    relay->down.bulk = BULK_DROP;
    if (bulk == BULK_CLIPBOARD && relay->held > 0) {
        size_t held = relay->held;

        relay->held = 0;
        relay_put_session_bytes(relay, ROUTER_SOCKET_CONTROL, relay->hold, held, now);
    }
}
