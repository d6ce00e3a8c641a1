/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vdiport-private.h"

#include <gio/gio.h>
#include <string.h>

static void client_announces(Vdiport *port, const VdagentAnnounce *announcement)
{
    if (announcement->request == 0 && port->client && caps_equal(&announcement->caps, &port->client_caps))
        return;
    vdiport_client_goes(port);
    if (!port->server)
        return;
    port->client = true;
    port->client_caps = announcement->caps;
    port->client_layout = caps_both(&announcement->caps, &port->layout);
    demux_set_caps(&port->demux, &port->client_layout);
    grabs_client(&port->grabs, caps_has(&port->client_layout, VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL));
    port->answer_due = true;
    vdiport_announce(port);
    vdiport_introduce(port);
}

/* A grab that policy or the agent's abilities stop: the agent must not believe in an older one either. */
static void stop_grab(Vdiport *port, const VdagentGrab *grab)
{
    VdagentMessage release = { .type = VD_AGENT_CLIPBOARD_RELEASE, .release = { .selection = grab->selection } };

    grabs_host_denied(&port->grabs, grab);
    if (grabs_host_release(&port->grabs, grab->selection))
        vdiport_put_guest(port, &release);
}

static void client_grabs(Vdiport *port, VdagentMessage *message)
{
    VdagentGrab *grab = &message->grab;
    uint32_t offered = grab->count;

    vdiport_filter_types(port, grab);
    if (!port->policy.clipboard_to_guest || (offered > 0 && grab->count == 0)) {
        vdiport_deny(port, "client", message->type);
        stop_grab(port, grab);
    } else if (port->agent && grab->selection != VD_AGENT_CLIPBOARD_SELECTION_CLIPBOARD &&
               !caps_has(&port->guest_layout, VD_AGENT_CAP_CLIPBOARD_SELECTION)) {
        port->counters[VDIPORT_DROPPED]++;
        stop_grab(port, grab);
    } else if (!grabs_host_grab(&port->grabs, grab)) {
        port->counters[VDIPORT_DROPPED]++;
    } else if (port->agent) {
        vdiport_put_guest(port, message);
    }
}

static void client_requests(Vdiport *port, const VdagentMessage *message)
{
    const VdagentRequest *request = &message->request;

    if (!port->policy.clipboard_from_guest || !vdiport_type_allowed(port, request->type)) {
        vdiport_deny(port, "client", message->type);
        vdiport_put_client_nothing(port, request->selection);
    } else if (!port->agent || !grabs_host_request(&port->grabs, request)) {
        vdiport_put_client_nothing(port, request->selection);
    } else {
        vdiport_put_guest(port, message);
    }
}

static void cancel_in_guest(Vdiport *port, uint32_t id)
{
    VdagentMessage message = { .type = VD_AGENT_FILE_XFER_STATUS };

    message.file_status = (VdagentFileStatus){ .id = id, .result = VD_AGENT_FILE_XFER_STATUS_CANCELLED };
    vdiport_put_guest(port, &message);
}

static void file_starts(Vdiport *port, const VdagentMessage *message)
{
    uint32_t id = message->file_start.id;

    if (!port->policy.files) {
        vdiport_deny(port, "client", message->type);
        vdiport_put_status(port, id, VD_AGENT_FILE_XFER_STATUS_DISABLED, 0);
        return;
    }
    if (!port->agent) {
        vdiport_put_status(port, id, VD_AGENT_FILE_XFER_STATUS_VDAGENT_NOT_CONNECTED, 0);
        return;
    }
    switch (transfers_begin(&port->transfers, id)) {
    case TRANSFERS_OK:
        vdiport_put_guest(port, message);
        return;
    case TRANSFERS_FULL:
        vdiport_put_status(port, id, VD_AGENT_FILE_XFER_STATUS_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);
        return;
    case TRANSFERS_DUPLICATE:
        transfers_end(&port->transfers, id);
        cancel_in_guest(port, id);
        vdiport_put_status(port, id, VD_AGENT_FILE_XFER_STATUS_ERROR, G_IO_ERROR_EXISTS);
        return;
    }
}

static void client_message(Vdiport *port, VdagentMessage *message)
{
    if (message->type == VD_AGENT_ANNOUNCE_CAPABILITIES) {
        client_announces(port, &message->announce);
        return;
    }
    if (!port->client) {
        port->counters[VDIPORT_DROPPED]++;
        return;
    }
    switch (message->type) {
    case VD_AGENT_MONITORS_CONFIG:
        if (!port->agent) {
            vdiport_put_client_failure(port, message->type);
            return;
        }
        port->monitors = message->monitors;
        port->monitors_asked = true;
        vdiport_put_guest(port, message);
        return;
    case VD_AGENT_MAX_CLIPBOARD:
        port->max_clipboard = message->max_clipboard.max;
        vdiport_put_max(port);
        return;
    case VD_AGENT_CLIPBOARD_GRAB:
        client_grabs(port, message);
        return;
    case VD_AGENT_CLIPBOARD_REQUEST:
        client_requests(port, message);
        return;
    case VD_AGENT_CLIPBOARD_RELEASE:
        if (!grabs_host_release(&port->grabs, message->release.selection))
            port->counters[VDIPORT_DROPPED]++;
        else if (port->agent)
            vdiport_put_guest(port, message);
        return;
    case VD_AGENT_FILE_XFER_START:
        file_starts(port, message);
        return;
    case VD_AGENT_FILE_XFER_STATUS:
        if (transfers_end(&port->transfers, message->file_status.id))
            vdiport_put_guest(port, message);
        else
            port->counters[VDIPORT_DROPPED]++;
        return;
    case VD_AGENT_DISPLAY_CONFIG:
    case VD_AGENT_AUDIO_VOLUME_SYNC:
        vdiport_put_guest(port, message);
        return;
    default:
        /* What only libspice-server may say. */
        port->counters[VDIPORT_REFUSED]++;
        port->events.refused("client", vdagent_name(message->type), port->user);
        return;
    }
}

/* What libspice-server says for itself. */
static void server_message(Vdiport *port, const VdagentMessage *message)
{
    switch (message->type) {
    case VD_AGENT_CLIENT_DISCONNECTED:
        vdiport_client_goes(port);
        if (port->server)
            demux_reset_client(&port->demux);
        return;
    case VD_AGENT_GRAPHICS_DEVICE_INFO:
        port->server_port.devices = message->devices;
        port->server_port.devices_due = port->agent;
        return;
    default:
        port->counters[VDIPORT_DROPPED]++;
        return;
    }
}

static void client_clipboard(Vdiport *port, const VdagentMessage *message, int64_t now)
{
    const VdagentClipboard *clipboard = &message->clipboard;
    bool none = clipboard->type == VD_AGENT_CLIPBOARD_NONE;
    bool large = port->policy.clipboard_max > 0 && clipboard->size > port->policy.clipboard_max;

    if (!grabs_host_answer(&port->grabs, clipboard, now) || !port->agent) {
        port->counters[VDIPORT_DROPPED]++;
        return;
    }
    if (large)
        vdiport_deny(port, "client", message->type);
    if (none || large || !lane_put(&port->to_guest, &port->guest_layout, message))
        vdiport_put_guest_nothing(port, clipboard->selection);
    else if (clipboard->size > 0)
        port->down.bulk = BULK_CLIPBOARD;
}

static void client_bulk(Vdiport *port, const VdagentMessage *message, int64_t now)
{
    port->down.bulk = BULK_DROP;
    port->down.staged = 0;
    if (!port->client) {
        port->counters[VDIPORT_DROPPED]++;
    } else if (message->type == VD_AGENT_CLIPBOARD) {
        client_clipboard(port, message, now);
    } else if (transfers_lives(&port->transfers, message->file_data.id)) {
        port->down.bulk = BULK_FILE;
        port->down.id = message->file_data.id;
        port->down.framed = false;
    } else {
        port->counters[VDIPORT_DROPPED]++;
    }
}

/*
 * Hand the collected file data on as a message of their own: a transfer can end between two of them, and what was begun
 * to the guest is never more than what is there.
 */
static void flush_file(Vdiport *port)
{
    VdagentMessage message = { .type = VD_AGENT_FILE_XFER_DATA };

    message.file_data = (VdagentFileData){ .id = port->down.id, .size = port->down.staged };
    if (!lane_put(&port->to_guest, &port->guest_layout, &message))
        port->counters[VDIPORT_DROPPED]++;
    else if (port->down.staged > 0)
        lane_data(&port->to_guest, port->down.stage, port->down.staged);
    port->counters[VDIPORT_FILE_BYTES] += port->down.staged;
    port->down.staged = 0;
    port->down.framed = true;
}

static void client_data(Vdiport *port, const uint8_t *data, size_t size)
{
    if (port->down.bulk == BULK_CLIPBOARD) {
        port->counters[VDIPORT_CLIPBOARD_BYTES] += size;
        lane_data(&port->to_guest, data, size);
    }
    if (port->down.bulk == BULK_FILE && !transfers_lives(&port->transfers, port->down.id)) {
        port->down.bulk = BULK_DROP;
        port->down.staged = 0;
    }
    while (size > 0 && port->down.bulk == BULK_FILE) {
        size_t part = MIN(size, sizeof(port->down.stage) - port->down.staged);

        memcpy(port->down.stage + port->down.staged, data, part);
        port->down.staged += part;
        data += part;
        size -= part;
        if (port->down.staged == sizeof(port->down.stage))
            flush_file(port);
    }
}

static void client_bulk_end(Vdiport *port)
{
    if (port->down.bulk == BULK_FILE && transfers_lives(&port->transfers, port->down.id) &&
        (port->down.staged > 0 || !port->down.framed))
        flush_file(port);
    port->down.bulk = BULK_DROP;
}

void vdiport_client_event(Vdiport *port, const DemuxEvent *event, int64_t now)
{
    bool client = event->port == VDP_CLIENT_PORT;
    VdagentMessage message;

    switch (event->result) {
    case STREAM_MESSAGE:
        port->counters[VDIPORT_FROM_CLIENT] += client;
        message = event->stream.message;
        if (client)
            client_message(port, &message);
        else
            server_message(port, &message);
        return;
    case STREAM_BULK:
        if (client) {
            port->counters[VDIPORT_FROM_CLIENT]++;
            client_bulk(port, &event->stream.message, now);
        } else {
            port->counters[VDIPORT_DROPPED]++;
        }
        return;
    case STREAM_DATA:
        if (client)
            client_data(port, event->stream.data, event->stream.size);
        return;
    case STREAM_BULK_END:
        if (client)
            client_bulk_end(port);
        return;
    case STREAM_REFUSED:
        port->counters[VDIPORT_REFUSED]++;
        port->events.refused(client ? "client" : "server", vdagent_result_text(event->stream.why), port->user);
        return;
    case STREAM_MORE:
    case STREAM_BROKEN:
        /* Not of the demultiplexer. */
        return;
    }
}
