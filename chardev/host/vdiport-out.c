/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vdiport-private.h"

#include <glib.h>
#include <string.h>

/* ---- lanes ---- */

void lane_clear(Lane *lane)
{
    queue_clear(&lane->queue);
    lane->bulk_left = lane->bulk_put = 0;
    lane->held = 0;
}

size_t lane_room(const Lane *lane)
{
    return queue_room(&lane->queue) - lane->held;
}

bool lane_put(Lane *lane, const Caps *layout, const VdagentMessage *message)
{
    uint8_t bytes[MESSAGE_MAX];
    BytesWriter out = bytes_writer(bytes, sizeof(bytes));
    uint64_t data;

    if (vdagent_encode(layout, message, &out) != VDAGENT_OK || out.used > lane_room(lane))
        return false;
    if (lane->bulk_left > 0) {
        if (out.used > HOLD_MAX - lane->held)
            return false;
        memcpy(lane->hold + lane->held, bytes, out.used);
        lane->held += out.used;
        return true;
    }
    data = message->type == VD_AGENT_CLIPBOARD          ? message->clipboard.size
           : message->type == VD_AGENT_FILE_XFER_DATA ? message->file_data.size
                                                      : 0;
    queue_put(&lane->queue, bytes, out.used);
    lane->bulk_left = data;
    lane->bulk_put = out.used;
    return true;
}

static void release_held(Lane *lane)
{
    size_t held = lane->held;

    lane->held = 0;
    if (held > 0)
        queue_put(&lane->queue, lane->hold, held);
}

void lane_data(Lane *lane, const uint8_t *data, size_t size)
{
    bool fits = size <= lane->bulk_left && size <= lane_room(lane) && queue_put(&lane->queue, data, size);

    g_assert(fits);
    lane->bulk_left -= size;
    lane->bulk_put += size;
    if (lane->bulk_left == 0)
        release_held(lane);
}

bool lane_abandon(Lane *lane)
{
    if (!queue_retract(&lane->queue, lane->bulk_put))
        return false;
    lane->bulk_left = 0;
    release_held(lane);
    return true;
}

bool lane_cut(Lane *lane)
{
    bool whole = queue_cut(&lane->queue);

    if (!whole)
        queue_clear(&lane->queue);
    lane->bulk_left = lane->bulk_put = 0;
    lane->held = 0;
    return whole;
}

size_t lane_chunk(Lane *lane, uint8_t ret_chunk[MUX_CHUNK_MAX])
{
    BytesWriter out = bytes_writer(ret_chunk, MUX_CHUNK_MAX);
    uint64_t rest = queue_rest(&lane->queue);
    size_t size;
    const uint8_t *data = queue_peek(&lane->queue, &size);

    size = (size_t)MIN(MIN(size, rest), LIMIT_CHUNK_OUT);
    if (size == 0)
        return 0;
    chunk_put_header(&out, VDP_CLIENT_PORT, (uint32_t)size);
    bytes_put(&out, data, size);
    queue_take(&lane->queue, size);
    return out.used;
}

/* ---- capabilities ---- */

#define CAP(name) (UINT32_C(1) << VD_AGENT_CAP_##name)
/* Those of protocols to come might change layouts that we do not know of. */
#define CAPS_KNOWN ((UINT32_C(1) << VD_AGENT_END_CAP) - 1)
#define CAPS_CLIPBOARD (CAP(CLIPBOARD) | CAP(CLIPBOARD_BY_DEMAND) | CAP(CLIPBOARD_SELECTION) | CAP(GUEST_LINEEND_LF) | \
                        CAP(GUEST_LINEEND_CRLF) | CAP(MAX_CLIPBOARD) | CAP(CLIPBOARD_NO_RELEASE_ON_REGRAB) | \
                        CAP(CLIPBOARD_GRAB_SERIAL))

Caps vdiport_layout(const VdiportPolicy *policy)
{
    Caps caps = *vdagent_layout_caps();

    if (!policy->clipboard_to_guest && !policy->clipboard_from_guest)
        caps.word[0] &= ~CAPS_CLIPBOARD;
    return caps;
}

/* What one end may know of the other. Clipboard data that were not asked for (the capability CLIPBOARD) never pass. */
static Caps passed_caps(const Vdiport *port, const Caps *announced)
{
    Caps caps = caps_union(announced, &port->layout);

    memset(caps.word + 1, 0, sizeof(caps.word) - sizeof(caps.word[0]));
    caps.word[0] &= CAPS_KNOWN & ~CAP(CLIPBOARD);
    if (!port->policy.clipboard_to_guest && !port->policy.clipboard_from_guest)
        caps.word[0] &= ~CAPS_CLIPBOARD;
    return caps;
}

static Caps caps_for_client(const Vdiport *port)
{
    static const Caps stand_in = { { CAP(MOUSE_STATE) | CAP(REPLY) | CAP(FILE_XFER_DISABLED) } };
    Caps caps = passed_caps(port, port->agent ? &port->guest_caps : &stand_in);

    if (!port->policy.files)
        caps.word[0] |= CAP(FILE_XFER_DISABLED);
    return caps;
}

static bool put_announcement(Lane *lane, const Caps *caps, uint32_t request)
{
    static const Caps none;
    VdagentMessage message = { .type = VD_AGENT_ANNOUNCE_CAPABILITIES };

    message.announce = (VdagentAnnounce){ .request = request, .caps = *caps };
    return lane_put(lane, &none, &message);
}

/* One that finds no room is tried again after each call. */
void vdiport_announce(Vdiport *port)
{
    Caps caps;

    if (!port->client)
        return;
    caps = caps_for_client(port);
    if (!port->answer_due && caps_equal(&caps, &port->told_client))
        return;
    if (!put_announcement(&port->to_client, &caps, 0))
        return;
    if (!port->agent)
        port->counters[VDIPORT_ANSWERED]++;
    port->answer_due = false;
    port->told_client = caps;
}

void vdiport_introduce(Vdiport *port)
{
    Caps caps;

    port->open = false;
    if (!port->client || !port->qemu || port->closed)
        return;
    if (port->asked)
        vdiport_cut_guest(port);
    caps = passed_caps(port, &port->client_caps);
    port->told = put_announcement(&port->to_guest, &caps, 1);
    if (port->agent)
        vdiport_acquaint(port);
}

void vdiport_ask(Vdiport *port)
{
    port->asked = !port->client && port->qemu && put_announcement(&port->to_guest, &port->layout, 1);
}

void vdiport_acquaint(Vdiport *port)
{
    VdagentMessage message = { .type = VD_AGENT_CLIPBOARD_GRAB };

    grabs_session_serials(&port->grabs, caps_has(&port->guest_layout, VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL));
    grabs_session_begin(&port->grabs);
    vdiport_put_max(port);
    for (uint8_t i = 0; i < LIMIT_SELECTIONS; i++) {
        if (grabs_session_begin_grab(&port->grabs, i, &message.grab))
            vdiport_put_guest(port, &message);
    }
}

/* ---- to the client ---- */

void vdiport_put_client(Vdiport *port, const VdagentMessage *message)
{
    if (!port->client || !lane_put(&port->to_client, &port->client_layout, message))
        port->counters[VDIPORT_DROPPED]++;
}

static VdagentMessage nothing(uint8_t selection)
{
    return (VdagentMessage){
        .type = VD_AGENT_CLIPBOARD,
        .clipboard = { .selection = selection, .type = VD_AGENT_CLIPBOARD_NONE },
    };
}

void vdiport_put_client_nothing(Vdiport *port, uint8_t selection)
{
    VdagentMessage message = nothing(selection);

    port->counters[VDIPORT_ANSWERED]++;
    vdiport_put_client(port, &message);
}

void vdiport_put_client_failure(Vdiport *port, uint32_t type)
{
    VdagentMessage message = { .type = VD_AGENT_REPLY, .reply = { .type = type, .error = VD_AGENT_ERROR } };

    port->counters[VDIPORT_ANSWERED]++;
    if (caps_has(&port->client_caps, VD_AGENT_CAP_REPLY))
        vdiport_put_client(port, &message);
}

void vdiport_put_status(Vdiport *port, uint32_t id, uint32_t result, int gio_error)
{
    VdagentMessage message = { .type = VD_AGENT_FILE_XFER_STATUS };
    VdagentFileStatus status = { .id = id, .result = result };

    if (result == VD_AGENT_FILE_XFER_STATUS_ERROR) {
        status.detailed = true;
        status.error_type = VD_AGENT_FILE_XFER_STATUS_ERROR_GLIB_IO;
        status.error_code = (uint32_t)gio_error;
    }
    port->counters[VDIPORT_ANSWERED]++;
    message.file_status = transfers_status_for(&port->client_caps, status);
    vdiport_put_client(port, &message);
}

uint32_t vdiport_most_to_client(const Vdiport *port)
{
    uint32_t most = port->policy.clipboard_max > 0 ? port->policy.clipboard_max : UINT32_MAX;

    return port->max_clipboard >= 0 ? MIN(most, (uint32_t)port->max_clipboard) : most;
}

/* ---- to the guest ---- */

void vdiport_put_guest(Vdiport *port, const VdagentMessage *message)
{
    if (!port->agent || !lane_put(&port->to_guest, &port->guest_layout, message))
        port->counters[VDIPORT_DROPPED]++;
}

void vdiport_put_guest_nothing(Vdiport *port, uint8_t selection)
{
    VdagentMessage message = nothing(selection);

    vdiport_put_guest(port, &message);
}

void vdiport_put_max(Vdiport *port)
{
    VdagentMessage message = { .type = VD_AGENT_MAX_CLIPBOARD };
    uint32_t most = vdiport_most_to_client(port);
    const Caps caps = passed_caps(port, &port->guest_caps);

    message.max_clipboard.max = most > INT32_MAX ? -1 : (int32_t)most;
    if (port->agent && caps_has(&caps, VD_AGENT_CAP_MAX_CLIPBOARD))
        vdiport_put_guest(port, &message);
}

void vdiport_cut_guest(Vdiport *port)
{
    lane_clear(&port->to_guest);
    port->down.bulk = BULK_DROP;
    port->down.staged = 0;
    port->asked = port->told = port->open = false;
    port->server_port.leave_due = port->qemu && !port->closed;
}

/* The next message of port 2 becomes the one under way. Nothing of the client's port may overtake its end. */
static void compose(Vdiport *port)
{
    static const Caps none;
    VdagentMessage message = { .type = VD_AGENT_CLIENT_DISCONNECTED };
    BytesWriter out = bytes_writer(port->server_port.bytes, sizeof(port->server_port.bytes));

    if (port->server_port.leave_due) {
        port->server_port.leave_due = false;
    } else if (port->server_port.mice > 0) {
        message.type = VD_AGENT_MOUSE_STATE;
        message.mouse = port->server_port.mouse[0];
        port->server_port.mice--;
        memmove(&port->server_port.mouse[0], &port->server_port.mouse[1],
                port->server_port.mice * sizeof(VdagentMouseState));
    } else if (port->server_port.devices_due) {
        port->server_port.devices_due = false;
        message.type = VD_AGENT_GRAPHICS_DEVICE_INFO;
        message.devices = port->server_port.devices;
    } else {
        return;
    }
    if (vdagent_encode(&none, &message, &out) == VDAGENT_OK) {
        port->server_port.size = out.used;
        port->server_port.taken = 0;
    }
}

size_t vdiport_server_chunk(Vdiport *port, uint8_t ret_chunk[MUX_CHUNK_MAX])
{
    BytesWriter out = bytes_writer(ret_chunk, MUX_CHUNK_MAX);
    size_t size;

    if (port->server_port.taken == port->server_port.size)
        compose(port);
    size = MIN(port->server_port.size - port->server_port.taken, LIMIT_CHUNK_OUT);
    if (size == 0)
        return 0;
    chunk_put_header(&out, VDP_SERVER_PORT, (uint32_t)size);
    bytes_put(&out, port->server_port.bytes + port->server_port.taken, size);
    port->server_port.taken += size;
    return out.used;
}

/* ---- policy ---- */

void vdiport_deny(Vdiport *port, const char *who, uint32_t type)
{
    port->counters[VDIPORT_DENIED]++;
    port->events.refused(who, vdagent_name(type), port->user);
}

bool vdiport_type_allowed(const Vdiport *port, uint32_t type)
{
    return type < 32 && (port->policy.clipboard_types >> type & 1) != 0;
}

void vdiport_filter_types(const Vdiport *port, VdagentGrab *grab)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < grab->count; i++) {
        if (vdiport_type_allowed(port, grab->type[i]))
            grab->type[count++] = grab->type[i];
    }
    grab->count = count;
}
