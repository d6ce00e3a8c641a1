/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vdiport-private.h"

static void agent_can(Vdiport *port, const Caps *caps)
{
    port->agent = true;
    port->may_go_on = false;
    port->guest_caps = *caps;
    port->guest_layout = caps_both(caps, &port->layout);
    port->guest.caps = port->guest_layout;
    port->events.agent(&port->guest_caps, port->user);
    vdiport_announce(port);
}

/*
 * An agent asks for the client's capabilities when it has just come: if we know of one, that one is gone. One that has
 * only learnt or unlearnt something announces without asking, as one that answers.
 */
static void agent_announces(Vdiport *port, const VdagentAnnounce *announcement)
{
    bool answers = announcement->request == 0 && port->told;

    if (port->agent && announcement->request != 0)
        vdiport_agent_ends(port, VD_AGENT_FILE_XFER_STATUS_CANCELLED, 0);
    if (port->closed) {
        /* Whoever speaks has the port open, however late that is told. */
        port->closed = false;
        vdiport_cut_guest(port);
    }
    if (port->agent) {
        if (!caps_equal(&announcement->caps, &port->guest_caps))
            agent_can(port, &announcement->caps);
        if (!port->told)
            vdiport_introduce(port);
    } else {
        agent_can(port, &announcement->caps);
        if (!answers)
            vdiport_introduce(port);
        else
            vdiport_acquaint(port);
    }
    if (answers)
        port->open = true;
    if (port->asked)
        vdiport_cut_guest(port);
}

/* May clipboard contents of this selection go to the client there? */
static bool client_knows(const Vdiport *port, uint8_t selection)
{
    return caps_has(&port->client_caps, VD_AGENT_CAP_CLIPBOARD_BY_DEMAND) &&
           (selection == VD_AGENT_CLIPBOARD_SELECTION_CLIPBOARD ||
            caps_has(&port->client_layout, VD_AGENT_CAP_CLIPBOARD_SELECTION));
}

/* A grab that policy or the client's abilities stop: the client must not believe in an older one either. */
static void stop_grab(Vdiport *port, const VdagentGrab *grab)
{
    VdagentMessage release = { .type = VD_AGENT_CLIPBOARD_RELEASE, .release = { .selection = grab->selection } };

    grabs_session_denied(&port->grabs, grab);
    if (grabs_session_release(&port->grabs, grab->selection))
        vdiport_put_client(port, &release);
}

static void agent_grabs(Vdiport *port, VdagentMessage *message)
{
    VdagentGrab *grab = &message->grab;
    uint32_t offered = grab->count;

    vdiport_filter_types(port, grab);
    if (!port->policy.clipboard_from_guest || (offered > 0 && grab->count == 0)) {
        vdiport_deny(port, "guest", message->type);
        stop_grab(port, grab);
    } else if (!client_knows(port, grab->selection)) {
        port->counters[VDIPORT_DROPPED]++;
        stop_grab(port, grab);
    } else if (!grabs_session_grab(&port->grabs, grab)) {
        port->counters[VDIPORT_DROPPED]++;
    } else {
        vdiport_put_client(port, message);
    }
}

static void agent_requests(Vdiport *port, const VdagentMessage *message, int64_t now)
{
    const VdagentRequest *request = &message->request;

    if (!port->policy.clipboard_to_guest || !vdiport_type_allowed(port, request->type)) {
        vdiport_deny(port, "guest", message->type);
        vdiport_put_guest_nothing(port, request->selection);
    } else if (!grabs_session_request(&port->grabs, request, now)) {
        vdiport_put_guest_nothing(port, request->selection);
    } else {
        vdiport_put_client(port, message);
    }
}

static void agent_replies(Vdiport *port, const VdagentMessage *message)
{
    if (caps_has(&port->client_caps, VD_AGENT_CAP_REPLY))
        vdiport_put_client(port, message);
    if (message->reply.type != VD_AGENT_MONITORS_CONFIG || !port->monitors_asked)
        return;
    port->monitors_asked = false;
    if (message->reply.error == VD_AGENT_SUCCESS)
        port->events.monitors(&port->monitors, port->user);
}

static void agent_status(Vdiport *port, VdagentMessage *message)
{
    VdagentFileStatus *status = &message->file_status;

    if (!transfers_lives(&port->transfers, status->id)) {
        port->counters[VDIPORT_DROPPED]++;
        return;
    }
    if (transfers_final(status->result))
        transfers_end(&port->transfers, status->id);
    *status = transfers_status_for(&port->client_caps, *status);
    vdiport_put_client(port, message);
}

static void agent_message(Vdiport *port, VdagentMessage *message, int64_t now)
{
    if (message->type == VD_AGENT_ANNOUNCE_CAPABILITIES) {
        agent_announces(port, &message->announce);
        return;
    }
    if (!port->client || !port->open) {
        port->counters[VDIPORT_DROPPED]++;
        return;
    }
    switch (message->type) {
    case VD_AGENT_REPLY:
        agent_replies(port, message);
        return;
    case VD_AGENT_CLIPBOARD_GRAB:
        agent_grabs(port, message);
        return;
    case VD_AGENT_CLIPBOARD_REQUEST:
        agent_requests(port, message, now);
        return;
    case VD_AGENT_CLIPBOARD_RELEASE:
        if (grabs_session_release(&port->grabs, message->release.selection))
            vdiport_put_client(port, message);
        else
            port->counters[VDIPORT_DROPPED]++;
        return;
    case VD_AGENT_FILE_XFER_STATUS:
        agent_status(port, message);
        return;
    default:
        port->counters[VDIPORT_DROPPED]++;
        return;
    }
}

/* Of bulk types only clipboard data go this way. */
static void agent_clipboard(Vdiport *port, const VdagentMessage *message, int64_t now)
{
    const VdagentClipboard *clipboard = &message->clipboard;
    bool none = clipboard->type == VD_AGENT_CLIPBOARD_NONE;
    bool large = clipboard->size > vdiport_most_to_client(port);

    port->up.clipboard = false;
    if (!port->client || !port->open || !grabs_session_answer(&port->grabs, clipboard)) {
        port->counters[VDIPORT_DROPPED]++;
        return;
    }
    if (large)
        vdiport_deny(port, "guest", message->type);
    if (none || large || !lane_put(&port->to_client, &port->client_layout, message)) {
        vdiport_put_client_nothing(port, clipboard->selection);
        return;
    }
    port->up.clipboard = clipboard->size > 0;
    port->up.selection = clipboard->selection;
    port->up.progress = now;
}

void vdiport_guest_event(Vdiport *port, StreamResult result, const StreamEvent *event, int64_t now)
{
    VdagentMessage message;

    switch (result) {
    case STREAM_MESSAGE:
        port->counters[VDIPORT_FROM_GUEST]++;
        message = event->message;
        agent_message(port, &message, now);
        return;
    case STREAM_BULK:
        port->counters[VDIPORT_FROM_GUEST]++;
        agent_clipboard(port, &event->message, now);
        return;
    case STREAM_DATA:
        if (!port->up.clipboard)
            return;
        port->up.progress = now;
        port->counters[VDIPORT_CLIPBOARD_BYTES] += event->size;
        lane_data(&port->to_client, event->data, event->size);
        return;
    case STREAM_BULK_END:
        port->up.clipboard = false;
        return;
    case STREAM_REFUSED:
        port->counters[VDIPORT_REFUSED]++;
        port->events.refused("guest", vdagent_result_text(event->why), port->user);
        return;
    case STREAM_MORE:
    case STREAM_BROKEN:
        /* The caller's. */
        return;
    }
}
