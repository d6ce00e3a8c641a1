/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "clipboard-private.h"

#include "clipboard-mutter.h"
#include "clipboard-wayland.h"
#include "clipboard-x11.h"

#include <string.h>

#define FEED_PIECE 65536u
/* Of an image of the largest size; the program gives up by itself. */
#define CONVERT_TIMEOUT_MS 30000u

static guint8 number(const Clipboard *clipboard, const Side *side)
{
    return side - clipboard->side;
}

/* --- To the client --- */

static gsize room_for_values(const Clipboard *clipboard)
{
    gint64 max = clipboard->policy.max_size;
    if (clipboard->client_max >= 0)
        max = MIN(max, clipboard->client_max);
    return MAX(max - (gint64) outflow_held(clipboard->outflow), 0);
}

static void refused_size(Clipboard *clipboard)
{
    clipboard->peer.refused("clipboard to-host", "the content is larger than allowed", clipboard->user);
}

/* A direction is off. Said once for each client, since it would come with each copy. */
static void refused_off(Clipboard *clipboard, Side *side, gboolean to_host)
{
    static const char *const what[CLIPBOARD_SELECTIONS][2] = {
        { "clipboard from-host", "clipboard to-host" },
        { "primary from-host", "primary to-host" },
    };
    gboolean *told = to_host ? &side->told_to_host : &side->told_from_host;
    if (!*told)
        clipboard->peer.refused(what[number(clipboard, side)][to_host], "switched off in the configuration",
                                clipboard->user);
    *told = TRUE;
}

/* Answer all requests for a type; NULL for nothing. */
static void answer(Clipboard *clipboard, Side *side, guint32 type, GBytes *value)
{
    for (guint n = selection_pending(&side->selection, type); n > 0; n--)
        outflow_answer(clipboard->outflow, number(clipboard, side), type, value);
}

static void cancel_fetch(Clipboard *clipboard, Side *side, guint32 type)
{
    if (side->backend != NULL)
        side->backend->cancel(side->backend, &side->fetch[type]);
    convert_cancel(clipboard->convert, &side->fetch[type]);
}

static void answer_none(Clipboard *clipboard, Side *side)
{
    for (guint32 type = 0; type < SELECTION_TYPES; type++) {
        cancel_fetch(clipboard, side, type);
        answer(clipboard, side, type, NULL);
    }
}

static void send_release(Clipboard *clipboard, guint8 selection)
{
    const VdagentMessage message = { .type = VD_AGENT_CLIPBOARD_RELEASE, .release = { .selection = selection } };
    clipboard->peer.send(&message, clipboard->user);
}

static void send_grab(Clipboard *clipboard, const Side *side)
{
    const Selection *selection = &side->selection;
    VdagentMessage message = { .type = VD_AGENT_CLIPBOARD_GRAB };
    message.grab.selection = number(clipboard, side);
    message.grab.serial = selection->grab_serial;
    for (guint32 type = 1; type < SELECTION_TYPES; type++) {
        if (selection->offers & 1u << type)
            message.grab.type[message.grab.count++] = type;
    }
    clipboard->peer.send(&message, clipboard->user);
}

void clipboard_forget_echo(Side *side)
{
    if (side->echo.type != 0 && side->backend != NULL)
        side->backend->cancel(side->backend, side);
    side->echo.type = 0;
}

/* The host's content is gone, before it was known whether a program holds the same. */
static void settle_echo(Side *side)
{
    if (side->echo.type == 0)
        return;
    clipboard_forget_echo(side);
    side->plain = side->echo.offers;
    selection_found(&side->selection, side->plain);
}

static void miss_primary(Clipboard *clipboard)
{
    if (clipboard->policy.primary && clipboard->peer.no_primary != NULL &&
        clipboard->side[VD_AGENT_CLIPBOARD_SELECTION_CLIPBOARD].backend != NULL &&
        clipboard->side[VD_AGENT_CLIPBOARD_SELECTION_PRIMARY].backend == NULL)
        clipboard->peer.no_primary(clipboard->user);
}

void clipboard_apply(Clipboard *clipboard, Side *side, unsigned flags, gboolean to_host)
{
    const Selection *selection = &side->selection;
    guint8 s = number(clipboard, side);
    if (selection->owner != SELECTION_TERMINAL)
        g_clear_pointer(&side->content, g_bytes_unref);
    if (flags & SELECTION_STALE)
        g_debug("a grab of the client was overtaken");
    if (flags & SELECTION_REFUSED)
        refused_off(clipboard, side, to_host);
    if (flags & SELECTION_ANSWER_NONE)
        answer_none(clipboard, side);
    if (flags & SELECTION_SEND_RELEASE)
        send_release(clipboard, s);
    if (flags & SELECTION_SEND_GRAB)
        send_grab(clipboard, side);
    if (side->backend != NULL && (flags & (SELECTION_DISOWN | SELECTION_OWN))) {
        clipboard_forget_echo(side);
        side->backend->own(side->backend, s, flags & SELECTION_OWN ? selection->offers : 0);
    }
    miss_primary(clipboard);
}

static void on_fetched(SinkEnd how, GBytes *value, gpointer user)
{
    Fetch *fetch = user;
    Clipboard *clipboard = fetch->clipboard;
    Side *side = &clipboard->side[fetch->selection];
    guint32 from = fetch->from;
    fetch->from = VD_AGENT_CLIPBOARD_NONE;
    if (value != NULL && from != VD_AGENT_CLIPBOARD_NONE) {
        g_autoptr(GBytes) image = value;
        if (convert_run(clipboard->convert, image, from, fetch->type, room_for_values(clipboard), on_fetched, fetch))
            return;
        value = NULL;
        how = SINK_REFUSED;
    }
    if (value != NULL && g_bytes_get_size(value) > room_for_values(clipboard)) {
        how = SINK_REFUSED;
        g_clear_pointer(&value, g_bytes_unref);
    }
    answer(clipboard, side, fetch->type, value);
    g_clear_pointer(&value, g_bytes_unref);
    if (how == SINK_REFUSED)
        refused_size(clipboard);
    else if (how == SINK_TIMEOUT)
        log_peer(&clipboard->client,
                 "a request for clipboard data (%s) was answered with nothing: the program that has them "
                 "was silent for %u ms", vdagent_clipboard_name(fetch->type), clipboard->policy.timeout_ms);
}

static void on_client_request(Clipboard *clipboard, const VdagentRequest *request)
{
    Side *side = request->selection < CLIPBOARD_SELECTIONS ? &clipboard->side[request->selection] : NULL;
    switch (side != NULL ? selection_asked(&side->selection, request->type) : SELECTION_ASKED_NONE) {
    case SELECTION_ASKED_JOIN:
        return;
    case SELECTION_ASKED_NONE:
        g_debug("a request of the client for clipboard data that it is not offered");
        outflow_answer(clipboard->outflow, request->selection, request->type, NULL);
        return;
    case SELECTION_ASKED_FETCH:
        break;
    }
    Fetch *fetch = &side->fetch[request->type];
    fetch->from = side->plain & 1u << fetch->type ? VD_AGENT_CLIPBOARD_NONE : convert_source(side->plain, fetch->type);
    if (side->content != NULL) {
        gboolean fits = g_bytes_get_size(side->content) <= room_for_values(clipboard);
        answer(clipboard, side, request->type, fits ? side->content : NULL);
        if (!fits)
            refused_size(clipboard);
    } else if (side->backend == NULL ||
               !side->backend->fetch(side->backend, fetch->selection,
                                     fetch->from != VD_AGENT_CLIPBOARD_NONE ? fetch->from : fetch->type,
                                     room_for_values(clipboard), on_fetched, fetch)) {
        answer(clipboard, side, request->type, NULL);
    }
}

static gboolean out_begin(guint8 selection, guint32 type, gsize size, gpointer user)
{
    Clipboard *clipboard = user;
    VdagentMessage message = { .type = VD_AGENT_CLIPBOARD };
    message.clipboard = (VdagentClipboard){ .selection = selection, .type = type, .size = size };
    return clipboard->peer.send(&message, clipboard->user);
}

static gsize out_room(gpointer user)
{
    Clipboard *clipboard = user;
    return clipboard->peer.room(clipboard->user);
}

static void out_data(const guint8 *data, gsize size, gpointer user)
{
    Clipboard *clipboard = user;
    clipboard->peer.send_data(data, size, clipboard->user);
}

/* --- From the client, and from terminals, to those who paste --- */

static void in_request(guint8 selection, guint32 type, gpointer user)
{
    Clipboard *clipboard = user;
    VdagentMessage message = { .type = VD_AGENT_CLIPBOARD_REQUEST };
    message.request = (VdagentRequest){ .selection = selection, .type = type };
    clipboard->peer.send(&message, clipboard->user);
}

static void in_pause(gboolean paused, gpointer user)
{
    Clipboard *clipboard = user;
    clipboard->peer.pause(paused, clipboard->user);
}

static void in_refused(const char *why, gpointer user)
{
    Clipboard *clipboard = user;
    clipboard->peer.refused("clipboard from-host", why, clipboard->user);
}

/* Give a sink of terminal content as much as it takes; it is let go of with the last byte. */
static void feed(Clipboard *clipboard, Sink *sink)
{
    gsize size;
    const guint8 *data = g_bytes_get_data(sink->bytes, &size);
    gboolean more = TRUE;
    while (more && sink->at < size) {
        gsize piece = MIN(size - sink->at, FEED_PIECE);
        sink->at += piece;
        more = sink->data(sink, data + sink->at - piece, piece);
    }
    if (sink->at < size)
        return;
    g_ptr_array_remove_fast(clipboard->fed, sink);
    g_bytes_unref(sink->bytes);
    sink->end(sink, SINK_DONE);
}

void clipboard_feed(Clipboard *clipboard, Sink *sink, GBytes *value)
{
    sink->bytes = g_bytes_ref(value);
    g_ptr_array_add(clipboard->fed, sink);
    sink->begin(sink, g_bytes_get_size(value));
    feed(clipboard, sink);
}

static void on_want(guint8 selection, guint32 type, Sink *sink, gpointer user)
{
    Clipboard *clipboard = user;
    Side *side = &clipboard->side[selection];
    if (side->content != NULL)
        clipboard_feed(clipboard, sink, side->content);
    else
        clipboard_want(clipboard, side, type, sink);
}

static void on_ready(Sink *sink, gpointer user)
{
    Clipboard *clipboard = user;
    if (sink->bytes != NULL)
        feed(clipboard, sink);
    else
        inflow_ready(clipboard->inflow, sink);
}

static void on_gone(Sink *sink, gpointer user)
{
    Clipboard *clipboard = user;
    if (sink->bytes != NULL) {
        g_ptr_array_remove_fast(clipboard->fed, sink);
        g_bytes_unref(sink->bytes);
    } else if (!clipboard_drop_image(clipboard, sink)) {
        inflow_gone(clipboard->inflow, sink);
    }
}

/* --- What happens on the desktop --- */

/* A program owns the selection with these types. */
static void take_program(Clipboard *clipboard, Side *side, guint32 types)
{
    side->plain = types;
    clipboard_apply(clipboard, side, selection_program(&side->selection, convert_widen(clipboard->convert, types)), TRUE);
}

static void on_echo(SinkEnd how, GBytes *value, gpointer user)
{
    Side *side = user;
    Clipboard *clipboard = side->fetch[0].clipboard;
    gboolean same = how == SINK_DONE && inflow_same(clipboard->inflow, number(clipboard, side), side->echo.type, value);
    g_clear_pointer(&value, g_bytes_unref);
    side->echo.type = 0;
    if (same && side->selection.owner != SELECTION_HOST)
        side->plain = side->echo.offers;
    if (same)
        clipboard_apply(clipboard, side, selection_echo(&side->selection, side->echo.offers, side->echo.foreign), TRUE);
    else
        take_program(clipboard, side, side->echo.offers);
}

static void on_program(guint8 selection, guint32 types, gboolean foreign, gpointer user)
{
    Clipboard *clipboard = user;
    Side *side = &clipboard->side[selection];
    clipboard_forget_echo(side);
    guint32 type = selection_suspect(&side->selection, types, g_get_monotonic_time());
    if (type != 0 &&
        side->backend->fetch(side->backend, selection, type, clipboard->policy.max_size, on_echo, side)) {
        side->echo.type = type;
        side->echo.offers = types;
        side->echo.foreign = foreign;
        return;
    }
    take_program(clipboard, side, types);
}

static void on_found(guint8 selection, guint32 types, gpointer user)
{
    Clipboard *clipboard = user;
    Side *side = &clipboard->side[selection];
    side->plain = types;
    selection_found(&side->selection, convert_widen(clipboard->convert, types));
}

static void on_nobody(guint8 selection, gpointer user)
{
    Clipboard *clipboard = user;
    Side *side = &clipboard->side[selection];
    clipboard_forget_echo(side);
    clipboard_apply(clipboard, side, selection_nobody(&side->selection), TRUE);
}

/* --- Backends --- */

/* Nobody serves what this one did: pastes under way end, and what a program owned is gone. */
static void detach(Clipboard *clipboard, ClipboardBackend *backend)
{
    for (guint8 s = 0; s < CLIPBOARD_SELECTIONS; s++) {
        Side *side = &clipboard->side[s];
        if (side->backend != backend)
            continue;
        clipboard_forget_echo(side);
        answer_none(clipboard, side);
        clipboard_end_pastes(clipboard, side);
    }
    backend->free(backend);
    for (guint8 s = 0; s < CLIPBOARD_SELECTIONS; s++) {
        Side *side = &clipboard->side[s];
        if (side->backend != backend)
            continue;
        side->backend = NULL;
        if (side->selection.owner == SELECTION_PROGRAM || side->selection.shadow != 0)
            clipboard_apply(clipboard, side, selection_nobody(&side->selection), TRUE);
    }
}

static void on_failed(const char *why, gpointer user)
{
    Clipboard *clipboard = user;
    clipboard->peer.lost(why, clipboard->user);
}

static const ClipboardBackendEvents backend_events = {
    .program = on_program,
    .found = on_found,
    .nobody = on_nobody,
    .want = on_want,
    .ready = on_ready,
    .gone = on_gone,
    .failed = on_failed,
};

/* FALSE for a backend that could not be had. */
static gboolean attach(Clipboard *clipboard, ClipboardBackend *backend)
{
    if (backend == NULL)
        return FALSE;
    for (guint i = 0; i < BACKENDS_MAX; i++) {
        if (clipboard->backend[i] == NULL) {
            clipboard->backend[i] = backend;
            break;
        }
    }
    for (guint8 s = 0; s < CLIPBOARD_SELECTIONS; s++) {
        Side *side = &clipboard->side[s];
        if ((backend->selections & CLIPBOARD_ONLY(s)) == 0)
            continue;
        side->backend = backend;
        if (side->selection.owner == SELECTION_HOST || side->selection.owner == SELECTION_TERMINAL)
            backend->own(backend, s, side->selection.offers);
    }
    return TRUE;
}

gboolean clipboard_serve_x11(Clipboard *clipboard, X11 *x11, guint selections, GError **error)
{
    return attach(clipboard, clipboard_x11_new(x11, selections, clipboard->policy.timeout_ms, &backend_events,
                                               clipboard, error));
}

void clipboard_serve_mutter(Clipboard *clipboard, GDBusConnection *session_bus)
{
    attach(clipboard, clipboard_mutter_new(session_bus, clipboard->policy.timeout_ms, &backend_events, clipboard));
    miss_primary(clipboard);
}

gboolean clipboard_serve_wayland(Clipboard *clipboard, Wayland *wayland, guint selections, GError **error)
{
    return attach(clipboard, clipboard_wayland_new(wayland, selections, clipboard->policy.timeout_ms, &backend_events,
                                                   clipboard, error));
}

void clipboard_serve_none(Clipboard *clipboard)
{
    for (guint i = 0; i < BACKENDS_MAX; i++) {
        ClipboardBackend *backend = g_steal_pointer(&clipboard->backend[i]);
        if (backend != NULL)
            detach(clipboard, backend);
    }
}

void clipboard_unserve(Clipboard *clipboard, guint selections)
{
    for (guint i = 0; i < BACKENDS_MAX; i++) {
        if (clipboard->backend[i] != NULL && clipboard->backend[i]->selections == selections)
            detach(clipboard, g_steal_pointer(&clipboard->backend[i]));
    }
}

char *clipboard_backends(const Clipboard *clipboard)
{
    const Side *side = clipboard->side;
    const ClipboardBackend *main = side[VD_AGENT_CLIPBOARD_SELECTION_CLIPBOARD].backend;
    const ClipboardBackend *primary = side[VD_AGENT_CLIPBOARD_SELECTION_PRIMARY].backend;
    if (main == NULL)
        return NULL;
    return primary == main ? g_strdup(main->name)
                           : g_strdup_printf("%s, primary: %s", main->name, primary != NULL ? primary->name : "none");
}

Clipboard *clipboard_new(const ClipboardPolicy *policy, const ClipboardPeer *peer, gpointer user)
{
    static const InflowEvents in = { .request = in_request, .pause = in_pause, .refused = in_refused };
    static const OutflowEvents out = { .begin = out_begin, .room = out_room, .data = out_data };
    Clipboard *clipboard = g_new0(Clipboard, 1);
    clipboard->policy = *policy;
    if (policy->max_size < 0 || policy->max_size > G_MAXINT32)
        clipboard->policy.max_size = G_MAXINT32;
    clipboard->peer = *peer;
    clipboard->user = user;
    clipboard->client_max = -1;
    clipboard->client.name = "client";
    clipboard->fed = g_ptr_array_new();
    clipboard->terminals = g_rc_box_new0(guint);
    clipboard->convert = convert_new(policy->converter, CONVERT_TIMEOUT_MS);
    /* Inflow sees the state machines as an array. */
    Selection *selections[CLIPBOARD_SELECTIONS];
    for (guint8 s = 0; s < CLIPBOARD_SELECTIONS; s++) {
        Side *side = &clipboard->side[s];
        gboolean on = s == VD_AGENT_CLIPBOARD_SELECTION_CLIPBOARD || policy->primary;
        side->selection.to_host = on && policy->to_host;
        side->selection.from_host = on && policy->from_host;
        selections[s] = &side->selection;
        for (guint32 type = 0; type < SELECTION_TYPES; type++)
            side->fetch[type] = (Fetch){ .clipboard = clipboard, .selection = s, .type = type };
    }
    clipboard->inflow = inflow_new(selections, clipboard->policy.max_size, policy->timeout_ms, &in, clipboard);
    clipboard->outflow = outflow_new(&out, clipboard);
    return clipboard;
}

void clipboard_free(Clipboard *clipboard)
{
    if (clipboard == NULL)
        return;
    clipboard_end_copies(clipboard);
    clipboard_serve_none(clipboard);
    inflow_free(clipboard->inflow);
    clipboard_end_images(clipboard);
    convert_free(clipboard->convert);
    outflow_free(clipboard->outflow);
    for (guint8 s = 0; s < CLIPBOARD_SELECTIONS; s++)
        g_clear_pointer(&clipboard->side[s].content, g_bytes_unref);
    g_ptr_array_unref(clipboard->fed);
    g_rc_box_release(clipboard->terminals);
    g_free(clipboard);
}

/* --- Events of the connection --- */

static const unsigned caps[] = {
    VD_AGENT_CAP_CLIPBOARD_BY_DEMAND, VD_AGENT_CAP_CLIPBOARD_SELECTION,           VD_AGENT_CAP_GUEST_LINEEND_LF,
    VD_AGENT_CAP_MAX_CLIPBOARD,       VD_AGENT_CAP_CLIPBOARD_NO_RELEASE_ON_REGRAB, VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL,
};

void clipboard_add_caps(const Clipboard *clipboard, Caps *ret_caps)
{
    for (gsize i = 0; (clipboard->policy.to_host || clipboard->policy.from_host) && i < G_N_ELEMENTS(caps); i++)
        caps_add(ret_caps, caps[i]);
}

/*
 * Texts of a VNC client have CR LF, as VNC's extended clipboard demands, and QEMU's built-in agent channel hands them
 * on as they are, whatever GUEST_LINEEND_* we announce. It is known by what it announces: serials, but neither REPLY
 * nor NO_RELEASE_ON_REGRAB, as spice-gtk does, which converts.
 */
static gboolean hands_on_crlf(const Caps *theirs)
{
    return caps_has(theirs, VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL) && !caps_has(theirs, VD_AGENT_CAP_REPLY) &&
           !caps_has(theirs, VD_AGENT_CAP_CLIPBOARD_NO_RELEASE_ON_REGRAB);
}

void clipboard_peer(Clipboard *clipboard, const Caps *agreed, const Caps *theirs)
{
    gboolean present = theirs != NULL && caps_has(theirs, VD_AGENT_CAP_CLIPBOARD_BY_DEMAND);
    gboolean serials = present && caps_has(agreed, VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL);
    gboolean no_release = present && caps_has(theirs, VD_AGENT_CAP_CLIPBOARD_NO_RELEASE_ON_REGRAB);
    gint64 now = g_get_monotonic_time();
    clipboard->client_max = -1;
    for (guint8 s = 0; s < CLIPBOARD_SELECTIONS; s++) {
        Side *side = &clipboard->side[s];
        side->told_to_host = side->told_from_host = FALSE;
        settle_echo(side);
        for (guint32 type = 0; type < SELECTION_TYPES; type++)
            cancel_fetch(clipboard, side, type);
        gboolean able = s == VD_AGENT_CLIPBOARD_SELECTION_CLIPBOARD ||
                        (clipboard->policy.primary && present && caps_has(agreed, VD_AGENT_CAP_CLIPBOARD_SELECTION));
        clipboard_apply(clipboard, side,
                        selection_peer(&side->selection, present && able, serials, no_release, now), FALSE);
    }
    inflow_reset(clipboard->inflow, present && hands_on_crlf(theirs));
    outflow_reset(clipboard->outflow);
}

static void on_client_grab(Clipboard *clipboard, Side *side, const VdagentGrab *grab)
{
    guint32 offers = 0;
    for (guint32 i = 0; i < grab->count; i++) {
        if (grab->type[i] < SELECTION_TYPES)
            offers |= 1u << grab->type[i];
    }
    offers &= SELECTION_ALL;
    unsigned flags = selection_host_grab(&side->selection, grab->serial, convert_widen(clipboard->convert, offers),
                                         g_get_monotonic_time());
    if ((flags & SELECTION_STALE) == 0)
        side->plain = offers;
    /* It offers nothing that we know, so the program whose content is being compared is the owner. */
    if (flags & SELECTION_DISOWN)
        settle_echo(side);
    clipboard_apply(clipboard, side, flags, FALSE);
}

void clipboard_message(Clipboard *clipboard, const VdagentMessage *message)
{
    if (message->type == VD_AGENT_CLIPBOARD_REQUEST) {
        on_client_request(clipboard, &message->request);
    } else if (message->type == VD_AGENT_MAX_CLIPBOARD) {
        clipboard->client_max = message->max_clipboard.max;
    } else if (message->type == VD_AGENT_CLIPBOARD_GRAB && message->grab.selection < CLIPBOARD_SELECTIONS) {
        on_client_grab(clipboard, &clipboard->side[message->grab.selection], &message->grab);
    } else if (message->type == VD_AGENT_CLIPBOARD_RELEASE && message->release.selection < CLIPBOARD_SELECTIONS) {
        Side *side = &clipboard->side[message->release.selection];
        settle_echo(side);
        clipboard_apply(clipboard, side, selection_host_release(&side->selection, g_get_monotonic_time()), FALSE);
    }
}

void clipboard_bulk(Clipboard *clipboard, const VdagentMessage *head)
{
    inflow_begin(clipboard->inflow, head->clipboard.selection, head->clipboard.type, head->clipboard.size);
}

void clipboard_data(Clipboard *clipboard, const guint8 *data, gsize size)
{
    inflow_data(clipboard->inflow, data, size);
}

void clipboard_bulk_end(Clipboard *clipboard)
{
    inflow_end(clipboard->inflow);
}

void clipboard_writable(Clipboard *clipboard)
{
    outflow_writable(clipboard->outflow);
}
