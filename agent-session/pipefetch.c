/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pipefetch.h"

#include "alarm.h"

#include <errno.h>
#include <glib-unix.h>
#include <unistd.h>

#define PIECE 65536u
/* One program that writes fast must not keep the main loop from all else. */
#define PIECES 16u

typedef struct Slot {
    PipeFetch *fetch;
    int fd; /* -1: not in use */
    guint source;
    MimeForm form;
    gsize limit;
    gint64 since;
    GByteArray *data;
    ClipboardFetched fetched;
    gpointer user;
} Slot;

struct PipeFetch {
    gint64 timeout;
    Alarm *alarm;
    Slot slot[PIPEFETCH_MAX];
};

static void update(PipeFetch *fetch)
{
    gint64 when = G_MAXINT64;
    for (guint i = 0; i < PIPEFETCH_MAX; i++) {
        if (fetch->slot[i].fd >= 0)
            when = MIN(when, fetch->slot[i].since + fetch->timeout);
    }
    alarm_set(fetch->alarm, when);
}

static void drop(Slot *slot)
{
    if (slot->fd < 0)
        return;
    g_clear_handle_id(&slot->source, g_source_remove);
    close(slot->fd);
    slot->fd = -1;
    g_clear_pointer(&slot->data, g_byte_array_unref);
}

static gsize gathered(const PipeFetch *fetch)
{
    gsize size = 0;
    for (guint i = 0; i < PIPEFETCH_MAX; i++)
        size += fetch->slot[i].fd >= 0 ? fetch->slot[i].data->len : 0;
    return size;
}

static void finish(Slot *slot, SinkEnd how)
{
    GBytes *value = NULL;
    if (how == SINK_DONE && slot->data->len == 0)
        how = SINK_EMPTY;
    if (how == SINK_DONE) {
        gsize others = gathered(slot->fetch) - slot->data->len;
        value = mime_decode(slot->form, g_steal_pointer(&slot->data), slot->limit - MIN(others, slot->limit));
        how = value != NULL ? SINK_DONE : SINK_REFUSED;
    }
    drop(slot);
    update(slot->fetch);
    slot->fetched(how, value, slot->user);
}

static void on_alarm(gpointer user)
{
    PipeFetch *fetch = user;
    gint64 now = g_get_monotonic_time();
    for (guint i = 0; i < PIPEFETCH_MAX; i++) {
        if (fetch->slot[i].fd >= 0 && now - fetch->slot[i].since >= fetch->timeout)
            finish(&fetch->slot[i], SINK_TIMEOUT);
    }
    update(fetch);
}

/* Read what is there; FALSE when that was the end, told by `ret_how`. */
static gboolean read_pieces(Slot *slot, SinkEnd *ret_how)
{
    for (guint i = 0; i < PIECES; i++) {
        guint before = slot->data->len;
        g_byte_array_set_size(slot->data, before + PIECE);
        gssize got = read(slot->fd, slot->data->data + before, PIECE);
        int error = errno;
        g_byte_array_set_size(slot->data, before + MAX(got, 0));
        if (got < 0 && (error == EAGAIN || error == EINTR))
            return TRUE;
        *ret_how = got < 0 ? SINK_LOST : SINK_DONE;
        if (got <= 0)
            return FALSE;
        *ret_how = SINK_REFUSED;
        if (gathered(slot->fetch) > slot->limit)
            return FALSE;
        slot->since = g_get_monotonic_time();
    }
    return TRUE;
}

static gboolean on_readable(G_GNUC_UNUSED int fd, G_GNUC_UNUSED GIOCondition condition, gpointer user)
{
    Slot *slot = user;
    SinkEnd how;
    if (read_pieces(slot, &how))
        return G_SOURCE_CONTINUE;
    finish(slot, how);
    return G_SOURCE_REMOVE;
}

PipeFetch *pipefetch_new(guint timeout_ms)
{
    PipeFetch *fetch = g_new0(PipeFetch, 1);
    fetch->timeout = timeout_ms * G_TIME_SPAN_MILLISECOND;
    fetch->alarm = alarm_new(on_alarm, fetch);
    for (guint i = 0; i < PIPEFETCH_MAX; i++)
        fetch->slot[i] = (Slot){ .fetch = fetch, .fd = -1 };
    return fetch;
}

void pipefetch_free(PipeFetch *fetch)
{
    if (fetch == NULL)
        return;
    for (guint i = 0; i < PIPEFETCH_MAX; i++)
        drop(&fetch->slot[i]);
    alarm_free(fetch->alarm);
    g_free(fetch);
}

static Slot *find_free(PipeFetch *fetch)
{
    for (guint i = 0; i < PIPEFETCH_MAX; i++) {
        if (fetch->slot[i].fd < 0)
            return &fetch->slot[i];
    }
    return NULL;
}

gboolean pipefetch_add(PipeFetch *fetch, int fd, MimeForm form, gsize limit, ClipboardFetched fetched, gpointer user)
{
    Slot *slot = find_free(fetch);
    if (slot == NULL || !g_unix_set_fd_nonblocking(fd, TRUE, NULL)) {
        close(fd);
        return FALSE;
    }
    slot->fd = fd;
    slot->form = form;
    slot->limit = limit;
    slot->since = g_get_monotonic_time();
    slot->data = g_byte_array_new();
    slot->fetched = fetched;
    slot->user = user;
    slot->source = g_unix_fd_add(fd, G_IO_IN, on_readable, slot);
    update(fetch);
    return TRUE;
}

void pipefetch_cancel(PipeFetch *fetch, gpointer user)
{
    for (guint i = 0; i < PIPEFETCH_MAX; i++) {
        if (fetch->slot[i].fd >= 0 && fetch->slot[i].user == user)
            drop(&fetch->slot[i]);
    }
}
