/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pipepaste.h"

#include "alarm.h"
#include "latin1.h"
#include "log.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <unistd.h>

typedef struct Paste {
    Sink sink; /* first */
    PipePaste *all;
    int fd;
    guint source;
    GIOCondition watched;
    MimeForm form;
    guint32 serial;
    GByteArray *buffer;
    gsize at;          /* bytes of `buffer` that have been written */
    GByteArray *text;  /* for a form that is not as on the wire: the beginning of a character, then scratch */
    gboolean fed;      /* the feeder has the sink */
    gboolean complete; /* the buffer ends the value */
    gint64 since;      /* when the reader last took something */
} Paste;

struct PipePaste {
    gint64 timeout;
    ClipboardBackendEvents events;
    gpointer user;
    PipePasted pasted;
    gpointer pasted_user;
    GPtrArray *pastes;
    Alarm *alarm;
    LogPeer log;
};

static gsize waiting(const Paste *paste)
{
    return paste->buffer->len - paste->at;
}

static void update(PipePaste *all)
{
    gint64 when = G_MAXINT64;
    for (guint i = 0; i < all->pastes->len; i++) {
        const Paste *paste = all->pastes->pdata[i];
        if (waiting(paste) > 0)
            when = MIN(when, paste->since + all->timeout);
    }
    alarm_set(all->alarm, when);
}

static void paste_free(Paste *paste)
{
    g_ptr_array_remove_fast(paste->all->pastes, paste);
    g_clear_handle_id(&paste->source, g_source_remove);
    close(paste->fd);
    g_byte_array_unref(paste->buffer);
    g_byte_array_unref(paste->text);
    g_free(paste);
}

static void paste_end(Paste *paste, gboolean whole)
{
    PipePaste *all = paste->all;
    guint32 serial = paste->serial;
    if (paste->fed)
        all->events.gone(&paste->sink, all->user);
    paste_free(paste);
    if (all->pasted != NULL)
        all->pasted(serial, whole, all->pasted_user);
}

static gboolean on_pipe(int fd, GIOCondition condition, gpointer user);

/* While nothing waits one still wants to hear of a reader that has gone. */
static void watch(Paste *paste)
{
    GIOCondition want = waiting(paste) > 0 ? G_IO_OUT | G_IO_ERR : G_IO_ERR;
    if (paste->source != 0 && want == paste->watched)
        return;
    g_clear_handle_id(&paste->source, g_source_remove);
    paste->watched = want;
    paste->source = g_unix_fd_add(paste->fd, want, on_pipe, paste);
}

/* Write what the pipe takes. FALSE: nobody reads it any more. */
static gboolean pump(Paste *paste)
{
    while (waiting(paste) > 0) {
        gssize put = write(paste->fd, paste->buffer->data + paste->at, waiting(paste));
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return errno == EAGAIN;
        paste->at += put;
        paste->since = g_get_monotonic_time();
        if (paste->at > waiting(paste)) {
            g_byte_array_remove_range(paste->buffer, 0, paste->at);
            paste->at = 0;
        }
    }
    return TRUE;
}

static gboolean on_pipe(G_GNUC_UNUSED int fd, GIOCondition condition, gpointer user)
{
    Paste *paste = user;
    PipePaste *all = paste->all;
    gboolean read = (condition & (G_IO_ERR | G_IO_HUP)) == 0 && pump(paste);
    if (!read || (paste->complete && waiting(paste) == 0)) {
        paste_end(paste, read);
        update(all);
        return G_SOURCE_REMOVE;
    }
    watch(paste);
    if (paste->fed && waiting(paste) < PIPEPASTE_CHUNK)
        all->events.ready(&paste->sink, all->user);
    return G_SOURCE_CONTINUE;
}

/* How many bytes at the end begin a character that goes on in the next piece. */
static gsize broken(const guint8 *text, gsize size)
{
    gsize tail = 0;
    while (tail < size && tail < 3 && (text[size - 1 - tail] & 0xc0) == 0x80)
        tail++;
    if (tail == size)
        return 0;
    guint8 lead = text[size - 1 - tail];
    gsize length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    return tail + 1 < length ? tail + 1 : 0;
}

static void append(Paste *paste, const guint8 *data, gsize size)
{
    if (paste->form != MIME_FORM_LATIN1) {
        g_byte_array_append(paste->buffer, data, size);
        return;
    }
    g_byte_array_append(paste->text, data, size);
    gsize rest = broken(paste->text->data, paste->text->len);
    guint8 next[3];
    memcpy(next, paste->text->data + paste->text->len - rest, rest);
    g_byte_array_set_size(paste->text, paste->text->len - rest);
    latin1_from_utf8(paste->text);
    g_byte_array_append(paste->buffer, paste->text->data, paste->text->len);
    g_byte_array_set_size(paste->text, 0);
    g_byte_array_append(paste->text, next, rest);
}

static void on_begin(G_GNUC_UNUSED Sink *sink, G_GNUC_UNUSED gsize size)
{
}

/* A reader that has gone is noticed by its source, as the sink cannot be taken back from inside of here. */
static gboolean on_data(Sink *sink, const guint8 *data, gsize size)
{
    Paste *paste = (Paste *) sink;
    if (waiting(paste) == 0)
        paste->since = g_get_monotonic_time();
    append(paste, data, size);
    pump(paste);
    watch(paste);
    update(paste->all);
    return waiting(paste) < PIPEPASTE_CHUNK;
}

static void on_end(Sink *sink, SinkEnd how)
{
    Paste *paste = (Paste *) sink;
    PipePaste *all = paste->all;
    paste->fed = FALSE;
    paste->complete = how == SINK_DONE;
    if (!paste->complete || waiting(paste) == 0)
        paste_end(paste, paste->complete);
    update(all);
}

static void on_alarm(gpointer user)
{
    PipePaste *all = user;
    gint64 now = g_get_monotonic_time();
    for (guint i = all->pastes->len; i-- > 0;) {
        Paste *paste = all->pastes->pdata[i];
        if (waiting(paste) == 0 || now - paste->since < all->timeout)
            continue;
        log_peer(&all->log, "a program stopped reading in the middle of a paste");
        paste_end(paste, FALSE);
    }
    update(all);
}

PipePaste *pipepaste_new(guint timeout_ms, const ClipboardBackendEvents *events, gpointer user, PipePasted pasted,
                         gpointer pasted_user)
{
    PipePaste *all = g_new0(PipePaste, 1);
    all->timeout = timeout_ms * G_TIME_SPAN_MILLISECOND;
    all->events = *events;
    all->user = user;
    all->pasted = pasted;
    all->pasted_user = pasted_user;
    all->pastes = g_ptr_array_new();
    all->alarm = alarm_new(on_alarm, all);
    all->log.name = "guest";
    return all;
}

void pipepaste_free(PipePaste *all)
{
    if (all == NULL)
        return;
    all->pasted = NULL;
    while (all->pastes->len > 0)
        paste_end(all->pastes->pdata[0], FALSE);
    g_ptr_array_unref(all->pastes);
    alarm_free(all->alarm);
    g_free(all);
}

static void refuse(PipePaste *all, int fd, guint32 serial)
{
    close(fd);
    if (all->pasted != NULL)
        all->pasted(serial, FALSE, all->pasted_user);
}

void pipepaste_add(PipePaste *all, guint8 selection, guint32 types, const char *name, int fd, guint32 serial)
{
    MimeForm form = MIME_FORM_RAW;
    guint32 type = mime_type(name, &form);
    if (type == 0 || (types & 1u << type) == 0 || all->pastes->len >= PIPEPASTE_MAX ||
        !g_unix_set_fd_nonblocking(fd, TRUE, NULL)) {
        refuse(all, fd, serial);
        return;
    }
    Paste *paste = g_new0(Paste, 1);
    paste->sink = (Sink){ .begin = on_begin, .data = on_data, .end = on_end };
    paste->all = all;
    paste->fd = fd;
    paste->form = form;
    paste->serial = serial;
    paste->buffer = g_byte_array_new();
    paste->text = g_byte_array_new();
    paste->fed = TRUE;
    g_ptr_array_add(all->pastes, paste);
    watch(paste);
    all->events.want(selection, type, &paste->sink, all->user);
}
