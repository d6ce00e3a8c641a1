/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "x11-paste.h"

#include "alarm.h"
#include "log.h"

#include <X11/Xatom.h>
#include <string.h>

/* One MULTIPLE request: answered when all of its conversions are, with those that failed marked by property None. */
typedef struct Multiple {
    guint left;
    gboolean failed;
    gulong count;
    Atom pair[2 * X11_PASTE_PAIRS];
    XSelectionRequestEvent request;
} Multiple;

/* One conversion that was asked for, alone or as a pair of a MULTIPLE. */
typedef struct Conversion {
    XSelectionRequestEvent request;
    Multiple *multiple; /* or NULL */
    gulong pair;
} Conversion;

typedef struct Paste {
    Sink sink; /* first */
    X11Paster *paster;
    Conversion conversion;
    X11Form form;
    Atom type;      /* of the property */
    long old_mask;  /* what we had asked for of the window before */
    GByteArray *buffer;
    gsize at;          /* bytes of `buffer` that have been handed over */
    gboolean fed;      /* the feeder has the sink */
    gboolean answered; /* the conversion succeeded, or INCR began, or it failed */
    gboolean refused;  /* nothing more is taken in; freed when the feeder lets go */
    gboolean complete; /* the buffer ends the value */
    gboolean incr;
    gboolean full;     /* the property waits for the requestor */
    gboolean converting;
    gint64 since;
} Paste;

struct X11Paster {
    X11 *x11;
    const X11Targets *targets;
    Display *display;
    gint64 timeout;
    X11PasterEvents events;
    gpointer user;
    GPtrArray *pastes;
    guint converting;
    Alarm *alarm;
    LogPeer log;
};

static Window window_of(const Paste *paste)
{
    return paste->conversion.request.requestor;
}

static gsize waiting(const Paste *paste)
{
    return paste->buffer->len - paste->at;
}

static void update(X11Paster *paster)
{
    gint64 when = G_MAXINT64;
    for (guint i = 0; i < paster->pastes->len; i++) {
        const Paste *paste = paster->pastes->pdata[i];
        if (paste->full)
            when = MIN(when, paste->since + paster->timeout);
    }
    alarm_set(paster->alarm, when);
}

/* Any paste to this window, with this property unless it is None. */
static Paste *find(X11Paster *paster, Window window, Atom property)
{
    for (guint i = 0; i < paster->pastes->len; i++) {
        Paste *paste = paster->pastes->pdata[i];
        if (window_of(paste) == window && (property == None || paste->conversion.request.property == property))
            return paste;
    }
    return NULL;
}

static void put(X11Paster *paster, const XSelectionRequestEvent *request, Atom type, int format, const void *data,
                gsize count)
{
    XChangeProperty(paster->display, request->requestor, request->property, type, format, PropModeReplace, data, count);
}

static void notify(X11Paster *paster, const XSelectionRequestEvent *request, gboolean good)
{
    XEvent event = { .xselection = {
        .type = SelectionNotify,
        .requestor = request->requestor,
        .selection = request->selection,
        .target = request->target,
        .property = good ? request->property : None,
        .time = request->time,
    } };
    XSendEvent(paster->display, request->requestor, False, NoEventMask, &event);
}

static void multiple_done(X11Paster *paster, Multiple *multiple)
{
    if (--multiple->left > 0)
        return;
    if (multiple->failed)
        put(paster, &multiple->request, paster->targets->atom_pair, 32, multiple->pair, multiple->count);
    notify(paster, &multiple->request, TRUE);
    g_free(multiple);
}

static void answer(X11Paster *paster, const Conversion *conversion, gboolean good)
{
    Multiple *multiple = conversion->multiple;
    if (multiple == NULL) {
        notify(paster, &conversion->request, good);
        return;
    }
    if (!good) {
        multiple->pair[conversion->pair + 1] = None;
        multiple->failed = TRUE;
    }
    multiple_done(paster, multiple);
}

static void paste_answer(Paste *paste, gboolean good)
{
    if (paste->answered)
        return;
    paste->answered = TRUE;
    answer(paste->paster, &paste->conversion, good);
}

static void paste_free(Paste *paste)
{
    X11Paster *paster = paste->paster;
    g_ptr_array_remove_fast(paster->pastes, paste);
    if (find(paster, window_of(paste), None) == NULL)
        XSelectInput(paster->display, window_of(paste), paste->old_mask);
    paster->converting -= paste->converting;
    g_byte_array_unref(paste->buffer);
    g_free(paste);
}

/* The requestor is gone or hopeless. */
static void paste_abandon(Paste *paste)
{
    if (paste->fed)
        paste->paster->events.gone(&paste->sink, paste->paster->user);
    paste_answer(paste, FALSE);
    paste_free(paste);
}

static void fill(Paste *paste, Atom type, int format, const void *data, gsize count)
{
    put(paste->paster, &paste->conversion.request, type, format, data, count);
    paste->full = TRUE;
    paste->since = g_get_monotonic_time();
    update(paste->paster);
}

static void start_incr(Paste *paste, gsize size)
{
    paste->incr = TRUE;
    fill(paste, paste->paster->targets->incr, 32, &(long){ MIN(size, G_MAXINT32) }, 1);
    paste_answer(paste, TRUE);
}

/* Hand over what can be; TRUE when that was the end. */
static gboolean pump(Paste *paste)
{
    if (paste->full || (!paste->complete && (!paste->incr || waiting(paste) < X11_PASTE_CHUNK)))
        return FALSE;
    gsize size = MIN(waiting(paste), X11_PASTE_CHUNK);
    fill(paste, paste->type, 8, paste->buffer->data + paste->at, size);
    paste->at += size;
    if (!paste->incr) {
        paste_answer(paste, TRUE);
        return TRUE;
    }
    if (paste->at > waiting(paste)) {
        g_byte_array_remove_range(paste->buffer, 0, paste->at);
        paste->at = 0;
    }
    return size == 0;
}

static gboolean converts(const Paste *paste)
{
    return paste->form != X11_FORM_RAW && paste->form != X11_FORM_PLAIN;
}

/* By Xlib, in one call that nothing interrupts. */
static gboolean converts_whole(const Paste *paste)
{
    return paste->form == X11_FORM_COMPOUND || paste->form == X11_FORM_ANY;
}

static void paste_refuse(Paste *paste)
{
    paste->refused = TRUE;
    paste_answer(paste, FALSE);
}

static void on_begin(Sink *sink, gsize size)
{
    Paste *paste = (Paste *) sink;
    if (size <= X11_PASTE_CHUNK)
        return;
    if (size > X11_PASTE_WHOLE && converts_whole(paste)) {
        log_peer(&paste->paster->log, "%zu bytes are too many to be pasted as COMPOUND_TEXT", size);
        paste_refuse(paste);
    } else if (!converts(paste)) {
        start_incr(paste, size / 2); /* by the ICCCM at least so much follows; see sink.h */
    } else if (paste->paster->converting < X11_PASTE_CONVERTING) {
        paste->converting = TRUE;
        paste->paster->converting++;
    } else {
        paste_refuse(paste);
    }
}

static gboolean on_data(Sink *sink, const guint8 *data, gsize size)
{
    Paste *paste = (Paste *) sink;
    if (paste->refused)
        return TRUE;
    g_byte_array_append(paste->buffer, data, size);
    pump(paste);
    return !paste->incr || waiting(paste) < X11_PASTE_CHUNK;
}

static void on_end(Sink *sink, SinkEnd how)
{
    Paste *paste = (Paste *) sink;
    paste->fed = FALSE;
    if (paste->refused || how != SINK_DONE) {
        paste_answer(paste, FALSE);
        paste_free(paste);
        return;
    }
    if (converts(paste)) {
        paste->type = x11_targets_encode(paste->paster->targets, paste->form, paste->buffer);
        if (paste->type == None)
            paste_refuse(paste);
        else if (paste->buffer->len > X11_PASTE_CHUNK)
            start_incr(paste, paste->buffer->len);
    }
    paste->complete = TRUE;
    if (paste->refused || pump(paste))
        paste_free(paste);
}

static void on_alarm(gpointer user)
{
    X11Paster *paster = user;
    gint64 now = g_get_monotonic_time();
    for (guint i = paster->pastes->len; i-- > 0;) {
        Paste *paste = paster->pastes->pdata[i];
        if (!paste->full || now - paste->since < paster->timeout)
            continue;
        log_peer(&paster->log, "a program stopped reading in the middle of a paste");
        paste_abandon(paste);
    }
    update(paster);
}

X11Paster *x11_paster_new(X11 *x11, const X11Targets *targets, guint timeout_ms, const X11PasterEvents *events,
                          gpointer user)
{
    X11Paster *paster = g_new0(X11Paster, 1);
    paster->x11 = x11;
    paster->targets = targets;
    paster->display = x11_display(x11);
    paster->timeout = timeout_ms * G_TIME_SPAN_MILLISECOND;
    paster->events = *events;
    paster->user = user;
    paster->pastes = g_ptr_array_new();
    paster->alarm = alarm_new(on_alarm, paster);
    paster->log.name = "guest";
    return paster;
}

void x11_paster_free(X11Paster *paster)
{
    if (paster == NULL)
        return;
    while (paster->pastes->len > 0)
        paste_abandon(paster->pastes->pdata[0]);
    g_ptr_array_unref(paster->pastes);
    alarm_free(paster->alarm);
    g_free(paster);
}

/* Have the window's events; FALSE if there is no such window any more. */
static gboolean watch(X11Paster *paster, Paste *paste)
{
    const Paste *other = find(paster, window_of(paste), None);
    if (other != NULL) {
        paste->old_mask = other->old_mask;
        return TRUE;
    }
    XWindowAttributes attributes = { .your_event_mask = 0 };
    x11_push_errors(paster->x11);
    if (XGetWindowAttributes(paster->display, window_of(paste), &attributes) != 0) {
        paste->old_mask = attributes.your_event_mask;
        XSelectInput(paster->display, window_of(paste), paste->old_mask | PropertyChangeMask | StructureNotifyMask);
    }
    return x11_pop_errors(paster->x11) == 0;
}

static gboolean paste_start(X11Paster *paster, const Conversion *conversion, guint8 selection, guint32 type,
                            X11Form form)
{
    Paste *paste = find(paster, conversion->request.requestor, conversion->request.property);
    if (paste != NULL)
        paste_abandon(paste); /* its property is used for something else now */
    if (paster->pastes->len >= X11_PASTE_MAX)
        return FALSE;
    paste = g_new0(Paste, 1);
    paste->sink = (Sink){ .begin = on_begin, .data = on_data, .end = on_end };
    paste->paster = paster;
    paste->conversion = *conversion;
    paste->form = form;
    paste->type = conversion->request.target;
    if (!watch(paster, paste)) {
        g_free(paste);
        return FALSE;
    }
    paste->buffer = g_byte_array_new();
    paste->fed = TRUE;
    g_ptr_array_add(paster->pastes, paste);
    paster->events.want(selection, type, &paste->sink, paster->user);
    return TRUE;
}

static void convert(X11Paster *paster, const Conversion *conversion, guint8 selection, guint32 types, Time since)
{
    const X11Targets *targets = paster->targets;
    const XSelectionRequestEvent *request = &conversion->request;
    X11Form form = X11_FORM_RAW;
    guint32 type = x11_targets_type(targets, request->target, &form);
    if (type != 0 && (types & 1u << type) != 0 && paste_start(paster, conversion, selection, type, form))
        return;
    gboolean good = types != 0;
    if (good && request->target == targets->targets) {
        Atom list[X11_TARGETS_MAX + 4];
        put(paster, request, XA_ATOM, 32, list, x11_targets_list(targets, types, list));
    } else if (good && request->target == targets->timestamp) {
        put(paster, request, XA_INTEGER, 32, &(long){ since }, 1);
    } else if (good && request->target == targets->save_targets) {
        put(paster, request, targets->null, 32, NULL, 0);
    } else {
        good = FALSE;
    }
    answer(paster, conversion, good);
}

/* The pairs of a MULTIPLE request; NULL if they are not what they must be. */
static Multiple *read_pairs(X11Paster *paster, const XSelectionRequestEvent *request)
{
    Atom type = None;
    int format = 0;
    gulong count = 0, left = 0;
    guint8 *data = NULL;
    Multiple *multiple = NULL;
    x11_push_errors(paster->x11);
    int result = XGetWindowProperty(paster->display, request->requestor, request->property, 0, 2 * X11_PASTE_PAIRS,
                                    False, AnyPropertyType, &type, &format, &count, &left, &data);
    gboolean good = x11_pop_errors(paster->x11) == 0 && result == Success;
    if (good && format == 32 && count > 0 && count % 2 == 0 && left == 0) {
        multiple = g_new0(Multiple, 1);
        multiple->request = *request;
        multiple->count = count;
        memcpy(multiple->pair, data, count * sizeof(Atom));
    }
    if (data != NULL)
        XFree(data);
    return multiple;
}

void x11_paster_request(X11Paster *paster, const XSelectionRequestEvent *event, guint8 selection, guint32 types,
                        Time since)
{
    Conversion conversion = { .request = *event };
    if (event->target != paster->targets->multiple) {
        /* Programs older than the ICCCM give none. */
        if (event->property == None)
            conversion.request.property = event->target;
        convert(paster, &conversion, selection, types, since);
        return;
    }
    Multiple *multiple = event->property != None ? read_pairs(paster, event) : NULL;
    if (multiple == NULL) {
        answer(paster, &conversion, FALSE);
        return;
    }
    gulong count = multiple->count;
    multiple->left = count / 2 + 1;
    conversion.multiple = multiple;
    for (gulong i = 0; i < count; i += 2) {
        conversion.pair = i;
        Atom target = multiple->pair[i], property = multiple->pair[i + 1];
        conversion.request.target = target;
        conversion.request.property = property;
        gboolean proper = target != None && property != None && property != event->property;
        convert(paster, &conversion, selection, proper ? types : 0, since);
    }
    multiple_done(paster, multiple);
}

static gboolean on_deleted(X11Paster *paster, const XPropertyEvent *event)
{
    Paste *paste = find(paster, event->window, event->atom);
    if (paste == NULL || event->state != PropertyDelete)
        return find(paster, event->window, None) != NULL;
    paste->full = FALSE;
    if (pump(paste))
        paste_free(paste);
    else if (paste->fed && waiting(paste) < X11_PASTE_CHUNK)
        paster->events.ready(&paste->sink, paster->user);
    return TRUE;
}

gboolean x11_paster_event(X11Paster *paster, const XEvent *event)
{
    if (event->type == PropertyNotify)
        return on_deleted(paster, &event->xproperty);
    gboolean found = FALSE;
    if (event->type == DestroyNotify) {
        Paste *paste;
        while ((paste = find(paster, event->xdestroywindow.window, None)) != NULL) {
            paste_abandon(paste);
            found = TRUE;
        }
    }
    return found;
}
