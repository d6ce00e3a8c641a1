/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * channel-pvmouse.c - the pointer's own port: frames of pvmouse.md, written the moment they are made.
 *
 * What waits for the guest's credit is in sender.h. While its queue of edges is nearly full, the client's input is not read,
 * for HOLD_MS at most: the keyboard comes the same way, and a guest that takes nothing for so long gets the sum.
 */
#include "channel.h"
#include "core.h"
#include "sender.h"
#include "sinks.h"

#include <string.h>

#define HOLD_MS 1000

/* What one write takes at most. */
#define OUTPUT (PVMOUSE_FRAME_SIZE * LIMIT_PVMOUSE_CREDIT)

typedef struct PvmouseChannel {
    Channel base;
    Sender sender;
    guint8 input[PVMOUSE_FRAME_SIZE * 32];
    BytesReader unread; /* of `input`: behind a HELLO whose answer is not written yet */
    guint8 output[OUTPUT]; /* the rest of what the socket did not take */
    gsize from, to;
    guint timer, hold_timer;
    gboolean given_up; /* holding has not helped; not again before the queue is empty */
} PvmouseChannel;

static gboolean tick(gpointer user);

static void end_hold(PvmouseChannel *pvmouse)
{
    g_clear_handle_id(&pvmouse->hold_timer, g_source_remove);
    core_resume(CORE_HOLD_INPUT);
}

/* Write what can be sent, and look again when the sender says. */
static void flush(PvmouseChannel *pvmouse)
{
    Channel *channel = &pvmouse->base;
    gint64 now = g_get_monotonic_time();
    gint64 deadline;

    do {
        if (pvmouse->from == pvmouse->to) {
            pvmouse->from = 0;
            pvmouse->to = sender_output(&pvmouse->sender, now, pvmouse->output, OUTPUT);
        }
        pvmouse->from += endpoint_write(channel->endpoint, pvmouse->output + pvmouse->from, pvmouse->to - pvmouse->from);
    } while (pvmouse->from == pvmouse->to && pvmouse->to > 0);

    if (!channel->context->qmp) {
        channel->guest = sender_is_open(&pvmouse->sender) ? CHANNEL_GUEST_OPEN : CHANNEL_GUEST_UNKNOWN;
    }
    channel->dropped = pvmouse->sender.removed;
    if (sender_waiting(&pvmouse->sender) == 0) {
        pvmouse->given_up = FALSE;
    }
    if (pvmouse->hold_timer != 0 && !sender_full(&pvmouse->sender)) {
        end_hold(pvmouse);
    }
    deadline = sender_deadline(&pvmouse->sender);
    g_clear_handle_id(&pvmouse->timer, g_source_remove);
    if (deadline >= 0 && pvmouse->from == pvmouse->to) {
        pvmouse->timer = g_timeout_add((guint)(MAX(deadline - now, 0) / 1000 + 1), tick, pvmouse);
    }
}

static gboolean tick(gpointer user)
{
    PvmouseChannel *pvmouse = user;

    pvmouse->timer = 0;
    flush(pvmouse);
    core_settle(); /* a guest that has stopped in the middle of a frame is not there any more */
    return G_SOURCE_REMOVE;
}

static gboolean hold_over(gpointer user)
{
    PvmouseChannel *pvmouse = user;

    pvmouse->hold_timer = 0;
    pvmouse->given_up = TRUE;
    log_peer(&pvmouse->base.log_guest, "takes no input on %s", pvmouse->base.options->path);
    end_hold(pvmouse);
    return G_SOURCE_REMOVE;
}

/* --- the way of the pointer --- */

static gboolean is_open(gpointer user)
{
    return sender_is_open(&((PvmouseChannel *)user)->sender);
}

static gboolean input(const PvmouseFrame *frame, const VdagentMouseState *raw, gpointer user)
{
    PvmouseChannel *pvmouse = user;

    (void)raw;
    sender_input(&pvmouse->sender, frame);
    flush(pvmouse);
    if (sender_full(&pvmouse->sender) && !pvmouse->given_up && pvmouse->hold_timer == 0 && core_hold(CORE_HOLD_INPUT)) {
        pvmouse->hold_timer = g_timeout_add(HOLD_MS, hold_over, pvmouse);
    }
    return TRUE; /* what the queue cannot hold is summed up, and counted there */
}

static void release(const PvmouseFrame *frame, const VdagentMouseState *raw, gpointer user)
{
    PvmouseChannel *pvmouse = user;

    (void)frame, (void)raw;
    sender_release(&pvmouse->sender);
    end_hold(pvmouse); /* of a client that may have gone */
    flush(pvmouse);
}

/* --- QEMU --- */

static void start(Channel *channel)
{
    PvmouseChannel *pvmouse = (PvmouseChannel *)channel;
    SinksWay way = { .open = is_open, .input = input, .release = release, .user = pvmouse };

    sender_init(&pvmouse->sender, PVMOUSE_FEATURE_ABSOLUTE | PVMOUSE_FEATURE_RELATIVE | PVMOUSE_FEATURE_HIRES_WHEEL);
    sinks_set_way(channel->context->sinks, SINKS_PVMOUSE, &way);
}

static void stop(Channel *channel)
{
    PvmouseChannel *pvmouse = (PvmouseChannel *)channel;

    sinks_set_way(channel->context->sinks, SINKS_PVMOUSE, &(SinksWay){ 0 });
    g_clear_handle_id(&pvmouse->timer, g_source_remove);
    end_hold(pvmouse);
}

/* What was for, or came from, the reader that is gone. */
static void forget(PvmouseChannel *pvmouse)
{
    sender_disconnected(&pvmouse->sender);
    pvmouse->from = pvmouse->to = 0;
    pvmouse->unread = bytes_reader(NULL, 0);
}

static void lose(PvmouseChannel *pvmouse)
{
    forget(pvmouse);
    flush(pvmouse);
    core_settle();
}

static void connected(Channel *channel, gboolean is)
{
    PvmouseChannel *pvmouse = (PvmouseChannel *)channel;

    if (is) {
        sender_connected(&pvmouse->sender, g_get_monotonic_time());
        flush(pvmouse);
    } else {
        lose(pvmouse);
    }
}

static void guest_input(Channel *channel)
{
    PvmouseChannel *pvmouse = (PvmouseChannel *)channel;
    SenderResult result;

    if (pvmouse->unread.left == 0) {
        pvmouse->unread = bytes_reader(pvmouse->input, endpoint_read(channel->endpoint, pvmouse->input, sizeof(pvmouse->input)));
    }
    do {
        result = sender_next(&pvmouse->sender, &pvmouse->unread, g_get_monotonic_time());
        if (result == SENDER_LOST) {
            log_peer(&channel->log_guest, "%s is out of step", channel->options->path);
        } else if (result == SENDER_FLOOD) {
            log_peer(&channel->log_guest, "says HELLO on %s again and again", channel->options->path);
            endpoint_hang_up(channel->endpoint);
            lose(pvmouse);
            return;
        }
        flush(pvmouse);
    } while (result != SENDER_MORE || (pvmouse->unread.left > 0 && !sender_blocked(&pvmouse->sender)));
    endpoint_pause(channel->endpoint, sender_blocked(&pvmouse->sender));
    core_settle();
}

static void writable(Channel *channel)
{
    PvmouseChannel *pvmouse = (PvmouseChannel *)channel;

    flush(pvmouse);
    if (!sender_blocked(&pvmouse->sender)) {
        endpoint_pause(channel->endpoint, FALSE);
        if (pvmouse->unread.left > 0) {
            guest_input(channel);
        }
    }
}

/* Where QMP tells that the guest has closed the port, nothing needs to be timed out. */
static void guest(Channel *channel)
{
    PvmouseChannel *pvmouse = (PvmouseChannel *)channel;

    if (channel->guest == CHANNEL_GUEST_CLOSED && sender_is_open(&pvmouse->sender)) {
        forget(pvmouse);
        sender_connected(&pvmouse->sender, g_get_monotonic_time());
        flush(pvmouse);
        core_settle();
    }
}

static gsize queued(const Channel *channel)
{
    return sender_waiting(&((const PvmouseChannel *)channel)->sender);
}

static void count(const Channel *channel, json_t *counters)
{
    const Sender *sender = &((const PvmouseChannel *)channel)->sender;

    json_object_set_new(counters, "pvmouse-frames", json_integer((json_int_t)sender->sent));
    json_object_set_new(counters, "pvmouse-coalesced", json_integer((json_int_t)sender->coalesced));
    json_object_set_new(counters, "pvmouse-removed", json_integer((json_int_t)sender->removed));
    json_object_set_new(counters, "pvmouse-hellos", json_integer((json_int_t)sender->hellos));
}

const ChannelClass channel_pvmouse = {
    .size = sizeof(PvmouseChannel),
    .start = start,
    .stop = stop,
    .connected = connected,
    .input = guest_input,
    .writable = writable,
    .guest = guest,
    .queued = queued,
    .count = count,
};
