/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host.h"

#include <string.h>

/* As client.c reads from its socket. */
#define PIECE 65536u

const ClipboardPolicy host_policy = {
    .to_host = TRUE, .from_host = TRUE, .primary = TRUE, .max_size = 64 * 1024 * 1024, .timeout_ms = 5000,
};

typedef struct Sending {
    VdagentMessage head;
    GBytes *data;
    gsize at, given;
    gboolean begun;
} Sending;

static gboolean on_send(const VdagentMessage *message, gpointer user)
{
    Host *host = user;
    switch (message->type) {
    case VD_AGENT_CLIPBOARD_GRAB:
        g_string_append_printf(host->log, "grab %u #%u", message->grab.selection, message->grab.serial);
        for (guint32 i = 0; i < message->grab.count; i++)
            g_string_append_printf(host->log, " %s", vdagent_clipboard_name(message->grab.type[i]));
        break;
    case VD_AGENT_CLIPBOARD_RELEASE:
        g_string_append_printf(host->log, "release %u", message->release.selection);
        break;
    case VD_AGENT_CLIPBOARD_REQUEST:
        g_string_append_printf(host->log, "request %u %s", message->request.selection,
                               vdagent_clipboard_name(message->request.type));
        if (host->content != NULL)
            host_answer(host, message->request.selection, message->request.type, g_bytes_get_data(host->content, NULL),
                        g_bytes_get_size(host->content), g_bytes_get_size(host->content));
        break;
    case VD_AGENT_CLIPBOARD:
        g_assert_cmpuint(host->expected, ==, host->data->len);
        host->expected = message->clipboard.size;
        g_byte_array_set_size(host->data, 0);
        g_string_append_printf(host->log, "data %u %s %u", message->clipboard.selection,
                               vdagent_clipboard_name(message->clipboard.type), message->clipboard.size);
        break;
    default:
        g_error("the clipboard sent %s", vdagent_name(message->type));
    }
    g_string_append_c(host->log, '\n');
    return TRUE;
}

static gsize on_room(gpointer user)
{
    Host *host = user;
    return host->room;
}

static void on_send_data(const guint8 *data, gsize size, gpointer user)
{
    Host *host = user;
    g_assert_cmpuint(size, <=, host->room);
    g_assert_cmpuint(host->data->len + size, <=, host->expected);
    host->room -= size;
    g_byte_array_append(host->data, data, size);
}

static void on_refused(const char *what, const char *why, gpointer user)
{
    Host *host = user;
    g_string_append_printf(host->log, "refused %s: %s\n", what, why);
}

static void sending_free(gpointer data)
{
    Sending *sending = data;
    g_bytes_unref(sending->data);
    g_free(sending);
}

static gboolean send_piece(gpointer user);

static void kick(Host *host)
{
    const Sending *sending = g_queue_peek_head(&host->sending);
    gboolean more = sending != NULL && (!sending->begun || sending->at < sending->given);
    if (host->source == 0 && !host->paused && more)
        host->source = g_idle_add_full(G_PRIORITY_DEFAULT, send_piece, host, NULL);
}

static gboolean send_piece(gpointer user)
{
    Host *host = user;
    Sending *sending = g_queue_peek_head(&host->sending);
    if (host->paused) {
        host->source = 0;
        return G_SOURCE_REMOVE;
    }
    if (!sending->begun)
        clipboard_bulk(host->clipboard, &sending->head);
    sending->begun = TRUE;
    gsize piece = MIN(sending->given - sending->at, PIECE);
    const guint8 *data = g_bytes_get_data(sending->data, NULL);
    sending->at += piece;
    if (piece > 0)
        clipboard_data(host->clipboard, data + sending->at - piece, piece);
    if (sending->at == sending->head.clipboard.size) {
        g_queue_pop_head(&host->sending);
        sending_free(sending);
        clipboard_bulk_end(host->clipboard);
    }
    host->source = 0;
    kick(host);
    return G_SOURCE_REMOVE;
}

static void on_pause(gboolean paused, gpointer user)
{
    Host *host = user;
    g_assert_true(paused != host->paused);
    host->paused = paused;
    host->pauses += paused;
    if (paused)
        host->paused_since = g_get_monotonic_time();
    else
        host->longest = MAX(host->longest, g_get_monotonic_time() - host->paused_since);
    kick(host);
}

static void on_lost(const char *why, G_GNUC_UNUSED gpointer user)
{
    g_error("the backend is lost: %s", why);
}

Host *host_new(const ClipboardPolicy *policy)
{
    static const ClipboardPeer peer = {
        .send = on_send,
        .room = on_room,
        .send_data = on_send_data,
        .pause = on_pause,
        .refused = on_refused,
        .lost = on_lost,
    };
    Host *host = g_new0(Host, 1);
    host->log = g_string_new(NULL);
    host->data = g_byte_array_new();
    host->room = G_MAXSIZE / 2;
    g_queue_init(&host->sending);
    host->clipboard = clipboard_new(policy, &peer, host);
    return host;
}

void host_free(Host *host)
{
    clipboard_free(host->clipboard);
    g_clear_handle_id(&host->source, g_source_remove);
    g_queue_clear_full(&host->sending, sending_free);
    g_string_free(host->log, TRUE);
    g_byte_array_unref(host->data);
    g_free(host);
}

void host_arrive(Host *host)
{
    static const unsigned theirs[] = {
        VD_AGENT_CAP_CLIPBOARD_BY_DEMAND, VD_AGENT_CAP_CLIPBOARD_SELECTION, VD_AGENT_CAP_CLIPBOARD_NO_RELEASE_ON_REGRAB,
        VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL,
    };
    Caps caps = caps_of(theirs, G_N_ELEMENTS(theirs));
    Caps agreed = caps_both(&caps, vdagent_layout_caps());
    clipboard_peer(host->clipboard, &agreed, &caps);
}

void host_leave(Host *host)
{
    g_clear_handle_id(&host->source, g_source_remove);
    g_queue_clear_full(&host->sending, sending_free);
    g_byte_array_set_size(host->data, 0);
    host->expected = 0;
    clipboard_peer(host->clipboard, NULL, NULL);
}

void host_grab(Host *host, guint8 selection, guint32 serial, guint32 types)
{
    VdagentMessage message = { .type = VD_AGENT_CLIPBOARD_GRAB };
    message.grab.selection = selection;
    message.grab.serial = serial;
    for (guint32 type = 0; type < 32; type++) {
        if (types & 1u << type)
            message.grab.type[message.grab.count++] = type;
    }
    clipboard_message(host->clipboard, &message);
}

void host_release(Host *host, guint8 selection)
{
    const VdagentMessage message = { .type = VD_AGENT_CLIPBOARD_RELEASE, .release = { selection } };
    clipboard_message(host->clipboard, &message);
}

void host_request(Host *host, guint8 selection, guint32 type)
{
    const VdagentMessage message = { .type = VD_AGENT_CLIPBOARD_REQUEST, .request = { selection, type } };
    clipboard_message(host->clipboard, &message);
}

void host_answer(Host *host, guint8 selection, guint32 type, const void *data, gsize size, gsize given)
{
    Sending *sending = g_new0(Sending, 1);
    sending->head.type = VD_AGENT_CLIPBOARD;
    sending->head.clipboard = (VdagentClipboard){ .selection = selection, .type = type, .size = size };
    sending->data = g_bytes_new(data, given);
    sending->given = given;
    g_queue_push_tail(&host->sending, sending);
    kick(host);
}

void host_make_room(Host *host, gsize room)
{
    host->room = room;
    clipboard_writable(host->clipboard);
}

gboolean host_saw(Host *host, const char *line)
{
    g_autofree char *whole = g_strdup_printf("%s\n", line);
    for (char *at = host->log->str; at != NULL && *at != '\0'; at = strchr(at, '\n') + 1) {
        if (!g_str_has_prefix(at, whole))
            continue;
        g_string_erase(host->log, 0, at - host->log->str + strlen(whole));
        return TRUE;
    }
    return FALSE;
}

void host_iterate(void)
{
    if (!g_main_context_iteration(NULL, FALSE))
        g_usleep(200);
}

void host_expect(Host *host, const char *line)
{
    gint64 end = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
    while (!host_saw(host, line)) {
        if (g_get_monotonic_time() > end)
            g_error("not seen: %s\nthe client saw:\n%s", line, host->log->str);
        host_iterate();
    }
}

void host_wait(guint ms)
{
    gint64 end = g_get_monotonic_time() + ms * G_TIME_SPAN_MILLISECOND;
    while (g_get_monotonic_time() < end)
        host_iterate();
}
