/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inflow.h"

#include "alarm.h"
#include "crlf.h"
#include "log.h"
#include "vdagent.h"

#include <string.h>

/* Only chance has to be told from sameness here: of GLib's digests this is the fastest. */
#define DIGEST G_CHECKSUM_MD5
#define DIGEST_SIZE 16u

typedef struct Digest {
    gsize size; /* of the value; 0: none has been read */
    guint8 bytes[DIGEST_SIZE];
} Digest;

typedef struct Round {
    GPtrArray *joined;  /* sinks of the answer that is awaited or under way */
    GPtrArray *waiting; /* sinks for the answer after that */
    Digest digest;
} Round;

struct Inflow {
    Selection *selections[INFLOW_SELECTIONS];
    gint64 max_size, timeout;
    InflowEvents events;
    gpointer user;
    Round round[INFLOW_SELECTIONS][SELECTION_TYPES];
    /* The answer under way. */
    SelectionAnswer answer;
    guint8 selection;
    guint32 type;
    gsize size, left; /* announced, and not here yet */
    gsize given;      /* to the sinks */
    GChecksum *checksum; /* NULL: nobody gets it */
    gboolean paused;
    /* Texts of this client have CR LF. */
    gboolean crlf, held_cr;
    GByteArray *text; /* a piece of one with LF */
    Alarm *alarm;
    LogPeer client, guest;
};

static gint64 when_stalled(const Sink *sink)
{
    return sink->busy_since != 0 ? sink->busy_since + INFLOW_STALL_MS * G_TIME_SPAN_MILLISECOND : G_MAXINT64;
}

static void progress(Inflow *inflow, gint64 now)
{
    for (guint8 s = 0; s < INFLOW_SELECTIONS; s++)
        selection_progress(inflow->selections[s], now);
}

static Round *current(Inflow *inflow)
{
    return inflow->checksum != NULL ? &inflow->round[inflow->selection][inflow->type] : NULL;
}

static void update(Inflow *inflow)
{
    gint64 stalled = G_MAXINT64;
    Round *round = current(inflow);
    for (guint i = 0; round != NULL && i < round->joined->len; i++)
        stalled = MIN(stalled, when_stalled(round->joined->pdata[i]));
    gint64 when = stalled;
    for (guint8 s = 0; s < INFLOW_SELECTIONS; s++)
        when = MIN(when, selection_deadline(inflow->selections[s], inflow->timeout));
    alarm_set(inflow->alarm, when);
    gboolean paused = stalled != G_MAXINT64;
    if (paused != inflow->paused) {
        inflow->paused = paused;
        inflow->events.pause(paused, inflow->user);
    }
}

static void end_all(GPtrArray *sinks, SinkEnd how)
{
    while (sinks->len > 0) {
        Sink *sink = g_ptr_array_steal_index(sinks, sinks->len - 1);
        sink->end(sink, how);
    }
}

static void ask_again(Inflow *inflow, guint8 selection, guint32 type)
{
    Round *round = &inflow->round[selection][type];
    if (round->waiting->len == 0)
        return;
    g_autoptr(GPtrArray) waiting = g_steal_pointer(&round->waiting);
    round->waiting = g_ptr_array_new();
    for (guint i = 0; i < waiting->len; i++)
        inflow_want(inflow, selection, type, waiting->pdata[i]);
}

/* No more time for those who take nothing. */
static void end_stalls(Inflow *inflow, gint64 now)
{
    Round *round = current(inflow);
    for (guint i = round != NULL ? round->joined->len : 0; i-- > 0;) {
        Sink *sink = round->joined->pdata[i];
        if (now < when_stalled(sink))
            continue;
        if (inflow->size <= INFLOW_HURRY_MAX) {
            sink->hurried = TRUE;
            sink->busy_since = 0;
            continue;
        }
        log_peer(&inflow->guest, "a program stopped reading in the middle of a paste of %zu bytes", inflow->size);
        g_ptr_array_remove_index(round->joined, i);
        sink->end(sink, SINK_STALLED);
    }
}

/* The answer of this type has begun, and has not ended. */
static gboolean under_way(const Inflow *inflow, guint8 selection, guint32 type)
{
    return inflow->answer == SELECTION_ANSWER_DELIVER && inflow->selection == selection && inflow->type == type;
}

static void on_alarm(gpointer user)
{
    Inflow *inflow = user;
    gint64 now = g_get_monotonic_time();
    end_stalls(inflow, now);
    /* While reading is paused the silence is ours. */
    if (inflow->paused)
        progress(inflow, now);
    for (guint8 s = 0; s < INFLOW_SELECTIONS; s++) {
        guint32 type;
        while ((type = selection_expire(inflow->selections[s], now, inflow->timeout)) != 0) {
            log_peer(&inflow->client, "no answer to a request for clipboard data (%s) within %d ms",
                     vdagent_clipboard_name(type), (int) (inflow->timeout / 1000));
            Round *late = &inflow->round[s][type];
            end_all(late->joined, SINK_TIMEOUT);
            if (late == current(inflow))
                g_clear_pointer(&inflow->checksum, g_checksum_free);
            if (under_way(inflow, s, type))
                end_all(late->waiting, SINK_TIMEOUT);
            else
                ask_again(inflow, s, type);
        }
    }
    update(inflow);
}

Inflow *inflow_new(Selection *const *selections, gint64 max_size, guint timeout_ms, const InflowEvents *events,
                   gpointer user)
{
    Inflow *inflow = g_new0(Inflow, 1);
    memcpy(inflow->selections, selections, sizeof inflow->selections);
    inflow->max_size = max_size;
    inflow->timeout = timeout_ms * G_TIME_SPAN_MILLISECOND;
    inflow->events = *events;
    inflow->user = user;
    inflow->client.name = "client";
    inflow->guest.name = "guest";
    inflow->answer = SELECTION_ANSWER_UNASKED;
    inflow->text = g_byte_array_new();
    inflow->alarm = alarm_new(on_alarm, inflow);
    for (guint8 s = 0; s < INFLOW_SELECTIONS; s++) {
        for (guint32 type = 0; type < SELECTION_TYPES; type++) {
            inflow->round[s][type].joined = g_ptr_array_new();
            inflow->round[s][type].waiting = g_ptr_array_new();
        }
    }
    return inflow;
}

void inflow_free(Inflow *inflow)
{
    if (inflow == NULL)
        return;
    inflow_reset(inflow, FALSE);
    for (guint8 s = 0; s < INFLOW_SELECTIONS; s++) {
        for (guint32 type = 0; type < SELECTION_TYPES; type++) {
            g_ptr_array_unref(inflow->round[s][type].joined);
            g_ptr_array_unref(inflow->round[s][type].waiting);
        }
    }
    alarm_free(inflow->alarm);
    g_byte_array_unref(inflow->text);
    g_free(inflow);
}

void inflow_want(Inflow *inflow, guint8 selection, guint32 type, Sink *sink)
{
    Round *round = &inflow->round[selection][type];
    switch (selection_ask(inflow->selections[selection], type, g_get_monotonic_time())) {
    case SELECTION_ASK_SEND:
        g_ptr_array_add(round->joined, sink);
        inflow->events.request(selection, type, inflow->user);
        break;
    case SELECTION_ASK_JOIN:
        g_ptr_array_add(round->joined, sink);
        break;
    case SELECTION_ASK_WAIT:
        g_ptr_array_add(round->waiting, sink);
        break;
    case SELECTION_ASK_NOTHING:
        sink->end(sink, SINK_EMPTY);
        break;
    }
    update(inflow);
}

void inflow_ready(Inflow *inflow, Sink *sink)
{
    if (sink->busy_since == 0)
        return;
    sink->busy_since = 0;
    progress(inflow, g_get_monotonic_time());
    update(inflow);
}

void inflow_gone(Inflow *inflow, Sink *sink)
{
    for (guint8 s = 0; s < INFLOW_SELECTIONS; s++) {
        for (guint32 type = 0; type < SELECTION_TYPES; type++) {
            Round *round = &inflow->round[s][type];
            if (g_ptr_array_remove_fast(round->joined, sink) || g_ptr_array_remove_fast(round->waiting, sink)) {
                update(inflow);
                return;
            }
        }
    }
}

void inflow_begin(Inflow *inflow, guint8 selection, guint32 type, gsize size)
{
    inflow->selection = selection;
    inflow->type = type;
    inflow->size = inflow->left = size;
    inflow->given = 0;
    inflow->held_cr = FALSE;
    inflow->answer = SELECTION_ANSWER_UNASKED;
    if (selection < INFLOW_SELECTIONS)
        inflow->answer = selection_answer(inflow->selections[selection], &inflow->type, g_get_monotonic_time());
    if (inflow->answer != SELECTION_ANSWER_DELIVER) {
        log_peer(&inflow->client, "%zu bytes of clipboard data (%s) that %s are dropped", size,
                 vdagent_clipboard_name(type),
                 inflow->answer == SELECTION_ANSWER_LATE ? "came too late" : "nobody asked for");
        return;
    }
    GPtrArray *joined = inflow->round[selection][inflow->type].joined;
    if (type == VD_AGENT_CLIPBOARD_NONE || size == 0) {
        end_all(joined, SINK_EMPTY);
    } else if (size > (guint64) inflow->max_size) {
        g_autofree char *why = g_strdup_printf("%zu bytes are more than the maximum of %" G_GINT64_FORMAT, size,
                                               inflow->max_size);
        end_all(joined, SINK_REFUSED);
        inflow->events.refused(why, inflow->user);
    } else {
        inflow->checksum = g_checksum_new(DIGEST);
        for (guint i = 0; i < joined->len; i++)
            ((Sink *) joined->pdata[i])->begin(joined->pdata[i], size);
    }
    update(inflow);
}

static void deliver(Inflow *inflow, const Round *round, const guint8 *data, gsize size, gint64 now)
{
    if (size == 0)
        return;
    g_checksum_update(inflow->checksum, data, size);
    inflow->given += size;
    for (guint i = 0; i < round->joined->len; i++) {
        Sink *sink = round->joined->pdata[i];
        if (!sink->data(sink, data, size) && !sink->hurried && sink->busy_since == 0)
            sink->busy_since = now;
    }
    update(inflow);
}

void inflow_data(Inflow *inflow, const guint8 *data, gsize size)
{
    gint64 now = g_get_monotonic_time();
    progress(inflow, now);
    inflow->left -= size;
    Round *round = current(inflow);
    if (round == NULL)
        return;
    gboolean text = inflow->type == VD_AGENT_CLIPBOARD_UTF8_TEXT, last = inflow->left == 0;
    /* What comes from a VNC client by way of QEMU's agent channel is terminated by a zero. */
    if (text && last && size > 0 && data[size - 1] == '\0')
        size--;
    if (text && inflow->crlf && (inflow->held_cr || memchr(data, '\r', size) != NULL)) {
        g_byte_array_set_size(inflow->text, 0);
        inflow->held_cr = crlf_to_lf(inflow->text, data, size, inflow->held_cr, last);
        deliver(inflow, round, inflow->text->data, inflow->text->len, now);
    } else {
        deliver(inflow, round, data, size, now);
    }
}

void inflow_end(Inflow *inflow)
{
    if (inflow->answer == SELECTION_ANSWER_UNASKED)
        return;
    Round *round = current(inflow);
    gboolean delivered = round != NULL && round->joined->len > 0;
    if (delivered) {
        gsize size = DIGEST_SIZE;
        g_checksum_get_digest(inflow->checksum, round->digest.bytes, &size);
        round->digest.size = inflow->given;
        end_all(round->joined, SINK_DONE);
    }
    g_clear_pointer(&inflow->checksum, g_checksum_free);
    if (inflow->answer == SELECTION_ANSWER_DELIVER) {
        selection_answered(inflow->selections[inflow->selection], inflow->type, delivered);
        ask_again(inflow, inflow->selection, inflow->type);
    }
    inflow->answer = SELECTION_ANSWER_UNASKED;
    update(inflow);
}

void inflow_reset(Inflow *inflow, gboolean crlf)
{
    inflow->answer = SELECTION_ANSWER_UNASKED;
    inflow->crlf = crlf;
    g_clear_pointer(&inflow->checksum, g_checksum_free);
    for (guint8 s = 0; s < INFLOW_SELECTIONS; s++) {
        for (guint32 type = 0; type < SELECTION_TYPES; type++) {
            end_all(inflow->round[s][type].joined, SINK_LOST);
            end_all(inflow->round[s][type].waiting, SINK_LOST);
        }
    }
    update(inflow);
}

static Digest digest(GBytes *value)
{
    Digest result = { 0 };
    const guint8 *data = g_bytes_get_data(value, &result.size);
    g_autoptr(GChecksum) checksum = g_checksum_new(DIGEST);
    g_checksum_update(checksum, data, result.size);
    gsize got = sizeof result.bytes;
    g_checksum_get_digest(checksum, result.bytes, &got);
    return result;
}

void inflow_made(Inflow *inflow, guint8 selection, guint32 type, guint32 from, GBytes *value)
{
    if (selection_made(inflow->selections[selection], type, from))
        inflow->round[selection][type].digest = digest(value);
}

gboolean inflow_same(const Inflow *inflow, guint8 selection, guint32 type, GBytes *value)
{
    const Digest *read = &inflow->round[selection][type].digest;
    if (g_bytes_get_size(value) == 0 || g_bytes_get_size(value) != read->size)
        return FALSE;
    const Digest now = digest(value);
    return memcmp(now.bytes, read->bytes, sizeof now.bytes) == 0;
}
