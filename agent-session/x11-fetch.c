/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "x11-fetch.h"

#include "alarm.h"

#define SLOTS 32u
/* A property is read in pieces of this many bytes; a multiple of 4. */
#define PIECE 262144

typedef struct Fetch {
    gboolean active, incr;
    Atom property, selection, target;
    gsize limit;
    gint64 since;
    Atom type;
    int format;
    GByteArray *data;
    X11Fetched fetched;
    gpointer user;
} Fetch;

struct X11Fetcher {
    X11 *x11;
    const X11Targets *targets;
    Window window;
    gint64 timeout;
    Alarm *alarm;
    guint next; /* slots are taken in turn, so that a name is used again as late as can be */
    Fetch slot[SLOTS];
};

static void update(X11Fetcher *fetcher)
{
    gint64 when = G_MAXINT64;
    for (guint i = 0; i < SLOTS; i++) {
        if (fetcher->slot[i].active)
            when = MIN(when, fetcher->slot[i].since + fetcher->timeout);
    }
    alarm_set(fetcher->alarm, when);
}

static void drop(Fetch *fetch)
{
    fetch->active = FALSE;
    g_clear_pointer(&fetch->data, g_byte_array_unref);
}

static void finish(X11Fetcher *fetcher, Fetch *fetch, SinkEnd how)
{
    GByteArray *data = how == SINK_DONE ? g_steal_pointer(&fetch->data) : NULL;
    drop(fetch);
    update(fetcher);
    fetch->fetched(how, fetch->type, fetch->format, data, fetch->user);
}

static void on_alarm(gpointer user)
{
    X11Fetcher *fetcher = user;
    gint64 now = g_get_monotonic_time();
    for (guint i = 0; i < SLOTS; i++) {
        Fetch *fetch = &fetcher->slot[i];
        if (fetch->active && now - fetch->since >= fetcher->timeout)
            finish(fetcher, fetch, SINK_TIMEOUT);
    }
    update(fetcher);
}

X11Fetcher *x11_fetcher_new(X11 *x11, const X11Targets *targets, Window window, guint timeout_ms)
{
    X11Fetcher *fetcher = g_new0(X11Fetcher, 1);
    fetcher->x11 = x11;
    fetcher->targets = targets;
    fetcher->window = window;
    fetcher->timeout = timeout_ms * G_TIME_SPAN_MILLISECOND;
    fetcher->alarm = alarm_new(on_alarm, fetcher);
    for (guint i = 0; i < SLOTS; i++) {
        char name[24];
        g_snprintf(name, sizeof name, "SPICE_PV_%u", i);
        fetcher->slot[i].property = XInternAtom(x11_display(x11), name, False);
    }
    return fetcher;
}

void x11_fetcher_free(X11Fetcher *fetcher)
{
    if (fetcher == NULL)
        return;
    for (guint i = 0; i < SLOTS; i++)
        drop(&fetcher->slot[i]);
    alarm_free(fetcher->alarm);
    g_free(fetcher);
}

gboolean x11_fetcher_get(X11Fetcher *fetcher, Atom selection, Atom target, Time time, gsize limit, X11Fetched fetched,
                         gpointer user)
{
    guint tried = 0;
    while (tried < SLOTS && fetcher->slot[fetcher->next].active) {
        fetcher->next = (fetcher->next + 1) % SLOTS;
        tried++;
    }
    if (tried == SLOTS)
        return FALSE;
    Fetch *fetch = &fetcher->slot[fetcher->next];
    fetcher->next = (fetcher->next + 1) % SLOTS;
    fetch->active = TRUE;
    fetch->incr = FALSE;
    fetch->selection = selection;
    fetch->target = target;
    fetch->limit = limit;
    fetch->since = g_get_monotonic_time();
    fetch->data = g_byte_array_new();
    fetch->fetched = fetched;
    fetch->user = user;
    XConvertSelection(x11_display(fetcher->x11), selection, target, fetch->property, fetcher->window, time);
    update(fetcher);
    return TRUE;
}

void x11_fetcher_cancel(X11Fetcher *fetcher, gpointer user)
{
    for (guint i = 0; i < SLOTS; i++) {
        if (fetcher->slot[i].active && fetcher->slot[i].user == user)
            drop(&fetcher->slot[i]);
    }
}

static void append(Fetch *fetch, const guint8 *data, gulong count)
{
    if (fetch->format != 32) {
        g_byte_array_append(fetch->data, data, count);
        return;
    }
    /* Xlib has such items as longs. */
    for (gulong i = 0; i < count; i++) {
        guint32 item = ((const gulong *) (gconstpointer) data)[i];
        g_byte_array_append(fetch->data, (const guint8 *) &item, sizeof item);
    }
}

static gsize gathered(const X11Fetcher *fetcher)
{
    gsize size = 0;
    for (guint i = 0; i < SLOTS; i++)
        size += fetcher->slot[i].active ? fetcher->slot[i].data->len : 0;
    return size;
}

/*
 * Add the property's content to the request's, and delete it, for which an owner with more is waiting. Without such a
 * property the type is None, and nothing is deleted, since it may be about to come.
 */
static SinkEnd read_property(X11Fetcher *fetcher, Fetch *fetch)
{
    Display *display = x11_display(fetcher->x11);
    SinkEnd how = SINK_DONE;
    gulong left = 1;
    for (glong offset = 0; left > 0 && how == SINK_DONE; offset += PIECE / 4) {
        gulong count = 0;
        guint8 *data = NULL;
        fetch->type = None;
        if (XGetWindowProperty(display, fetcher->window, fetch->property, offset, PIECE / 4, False, AnyPropertyType,
                               &fetch->type, &fetch->format, &count, &left, &data) != Success ||
            fetch->type == None || (fetch->format != 8 && fetch->format != 32)) {
            how = SINK_EMPTY;
        } else if (fetch->type == fetcher->targets->incr && !fetch->incr) {
            /* Its item says at least how much will follow. */
            gsize size = fetch->format == 32 && count > 0 ? *(gulong *) (gpointer) data & G_MAXUINT32 : 0;
            how = size > fetch->limit ? SINK_REFUSED : SINK_DONE;
            left = 0;
        } else if (gathered(fetcher) + count * (fetch->format / 8) + left > fetch->limit) {
            how = SINK_REFUSED;
        } else {
            append(fetch, data, count);
        }
        if (data != NULL)
            XFree(data);
    }
    if (fetch->type != None) {
        XDeleteProperty(display, fetcher->window, fetch->property);
        fetch->since = g_get_monotonic_time();
    }
    return how;
}

void x11_fetcher_notify(X11Fetcher *fetcher, const XSelectionEvent *event)
{
    for (guint i = 0; i < SLOTS; i++) {
        Fetch *fetch = &fetcher->slot[i];
        if (!fetch->active || fetch->incr || fetch->selection != event->selection || fetch->target != event->target ||
            (event->property != None && event->property != fetch->property))
            continue;
        SinkEnd how = event->property != None ? read_property(fetcher, fetch) : SINK_EMPTY;
        if (how == SINK_DONE && fetch->type == fetcher->targets->incr)
            fetch->incr = TRUE;
        else
            finish(fetcher, fetch, how);
        return;
    }
    if (event->property != None)
        XDeleteProperty(x11_display(fetcher->x11), fetcher->window, event->property);
}

void x11_fetcher_property(X11Fetcher *fetcher, const XPropertyEvent *event)
{
    if (event->state != PropertyNewValue)
        return;
    for (guint i = 0; i < SLOTS; i++) {
        Fetch *fetch = &fetcher->slot[i];
        if (!fetch->active || fetch->property != event->atom)
            continue;
        if (!fetch->incr)
            return; /* SelectionNotify will tell */
        gsize before = fetch->data->len;
        Atom type = fetch->type;
        SinkEnd how = read_property(fetcher, fetch);
        if (how == SINK_DONE && fetch->data->len > before)
            return;
        /* An owner that writes a piece in parts has all of them taken with the first of its events. */
        gboolean gone = fetch->type == None && fetch->data->len == before;
        /* An empty piece is the last one. Owners are careless about its type. */
        fetch->type = type;
        if (gone)
            return;
        finish(fetcher, fetch, how);
        return;
    }
    XDeleteProperty(x11_display(fetcher->x11), fetcher->window, event->atom);
}
