/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "clipboard-x11.h"

#include "log.h"
#include "x11-fetch.h"
#include "x11-paste.h"

#include <X11/Xatom.h>
#include <X11/extensions/Xfixes.h>
#include <gio/gio.h>

/* A list of targets; programs offer some dozens. */
#define TARGETS_BYTES (4096u * 4u)

typedef struct ClipboardX11 ClipboardX11;

typedef struct Owned {
    ClipboardX11 *clipboard;
    Atom atom;       /* None: not served */
    guint32 types;   /* that we offer as its owner; 0: it is not ours */
    Time since;      /* when the present owner took it */
    gulong request;  /* number of our last request that changed the owner */
    gboolean taking; /* that one, to own it, has not taken effect yet */
    gboolean before; /* the owner was there before us */
    X11Offer offer;  /* of another owner, as far as known */
} Owned;

typedef struct Fetch {
    ClipboardX11 *clipboard;
    guint32 type;
    gsize limit;
    ClipboardFetched fetched;
    gpointer user;
} Fetch;

struct ClipboardX11 {
    ClipboardBackend backend; /* first */
    X11 *x11;
    X11Targets targets;
    Window window;
    int xfixes; /* number of its first event */
    Owned owned[CLIPBOARD_SELECTIONS];
    X11Fetcher *fetcher;
    X11Paster *paster;
    GPtrArray *fetches;
    ClipboardBackendEvents events;
    gpointer user;
    LogPeer log;
};

static const char *name_of(const Owned *owned)
{
    return owned->atom == XA_PRIMARY ? "PRIMARY" : "CLIPBOARD";
}

static void report(Owned *owned)
{
    ClipboardX11 *clipboard = owned->clipboard;
    guint8 selection = owned - clipboard->owned;
    if (owned->before)
        clipboard->events.found(selection, owned->offer.types, clipboard->user);
    else
        clipboard->events.program(selection, owned->offer.types, owned->offer.foreign, clipboard->user);
}

static void on_targets(SinkEnd how, G_GNUC_UNUSED Atom type, int format, GByteArray *data, gpointer user)
{
    Owned *owned = user;
    ClipboardX11 *clipboard = owned->clipboard;
    if (how == SINK_DONE && format == 32)
        owned->offer = x11_targets_offer(&clipboard->targets, (const guint32 *) (gpointer) data->data, data->len / 4);
    else
        log_peer(&clipboard->log, "the owner of %s does not say what it offers%s", name_of(owned),
                 how == SINK_TIMEOUT ? " in time" : "");
    if (data != NULL)
        g_byte_array_unref(data);
    report(owned);
}

/* Another program owns the selection: learn what it offers. */
static void ask_targets(Owned *owned)
{
    ClipboardX11 *clipboard = owned->clipboard;
    if (x11_fetcher_get(clipboard->fetcher, owned->atom, clipboard->targets.targets, owned->since, TARGETS_BYTES,
                        on_targets, owned))
        return;
    log_peer(&clipboard->log, "too many requests under way to ask what %s has", name_of(owned));
    report(owned);
}

static Owned *find(ClipboardX11 *clipboard, Atom selection)
{
    for (guint8 i = 0; i < CLIPBOARD_SELECTIONS; i++) {
        if (selection != None && clipboard->owned[i].atom == selection)
            return &clipboard->owned[i];
    }
    return NULL;
}

static void on_owner(ClipboardX11 *clipboard, const XFixesSelectionNotifyEvent *event)
{
    Owned *owned = find(clipboard, event->selection);
    /* What happened before our own last change has been overtaken by it. */
    if (owned == NULL || (glong) (event->serial - owned->request) < 0)
        return;
    gboolean ours = event->owner == clipboard->window;
    owned->since = ours ? event->selection_timestamp : event->timestamp;
    owned->taking = FALSE;
    if (ours)
        return;
    owned->types = 0;
    owned->before = FALSE;
    owned->offer = (X11Offer){ 0 };
    x11_fetcher_cancel(clipboard->fetcher, owned);
    if (event->owner != None)
        ask_targets(owned);
    else
        clipboard->events.nobody(owned - clipboard->owned, clipboard->user);
}

static void on_request(ClipboardX11 *clipboard, const XSelectionRequestEvent *event)
{
    const Owned *owned = find(clipboard, event->selection);
    if (owned != NULL && event->requestor != clipboard->window)
        x11_paster_request(clipboard->paster, event, owned - clipboard->owned, owned->types, owned->since);
}

static gboolean on_event(const XEvent *event, gpointer user)
{
    ClipboardX11 *clipboard = user;
    if (event->xany.window != clipboard->window)
        return x11_paster_event(clipboard->paster, event);
    if (event->type == clipboard->xfixes + XFixesSelectionNotify) {
        on_owner(clipboard, (const XFixesSelectionNotifyEvent *) event);
        return TRUE;
    }
    switch (event->type) {
    case SelectionRequest:
        on_request(clipboard, &event->xselectionrequest);
        return TRUE;
    case SelectionNotify:
        x11_fetcher_notify(clipboard->fetcher, &event->xselection);
        return TRUE;
    case PropertyNotify:
        x11_fetcher_property(clipboard->fetcher, &event->xproperty);
        return TRUE;
    default:
        return TRUE; /* SelectionClear: XFixes tells the same, and who the new owner is */
    }
}

static void close_backend(ClipboardBackend *backend)
{
    ClipboardX11 *clipboard = (ClipboardX11 *) backend;
    x11_remove_handler(clipboard->x11, on_event, clipboard);
    x11_paster_free(clipboard->paster);
    x11_fetcher_free(clipboard->fetcher);
    XDestroyWindow(x11_display(clipboard->x11), clipboard->window);
    g_ptr_array_unref(clipboard->fetches);
    g_free(clipboard);
}

static void own(ClipboardBackend *backend, guint8 selection, guint32 types)
{
    ClipboardX11 *clipboard = (ClipboardX11 *) backend;
    Display *display = x11_display(clipboard->x11);
    Owned *owned = &clipboard->owned[selection];
    if (types == 0 && owned->types == 0)
        return; /* it is somebody else's */
    owned->types = types;
    owned->before = FALSE;
    owned->offer = (X11Offer){ 0 };
    owned->request = NextRequest(display);
    x11_fetcher_cancel(clipboard->fetcher, owned);
    /*
     * The time that the server takes for CurrentTime comes back with the notification. Given up at the time when it was
     * taken, the selection is not taken from a program that has got it since.
     */
    if (types != 0)
        XSetSelectionOwner(display, owned->atom, clipboard->window, CurrentTime);
    else
        XSetSelectionOwner(display, owned->atom, None, owned->taking ? CurrentTime : owned->since);
    owned->taking = types != 0;
}

static void on_fetched(SinkEnd how, Atom type, int format, GByteArray *data, gpointer user)
{
    Fetch fetch = *(Fetch *) user;
    ClipboardX11 *clipboard = fetch.clipboard;
    g_ptr_array_remove_fast(clipboard->fetches, user);
    GBytes *value = NULL;
    if (data != NULL && format == 8)
        how = x11_targets_decode(&clipboard->targets, fetch.type, type, fetch.limit, data, &value);
    else if (data != NULL)
        g_byte_array_unref(data);
    if (how == SINK_DONE && (value == NULL || g_bytes_get_size(value) == 0)) {
        how = SINK_EMPTY;
        g_clear_pointer(&value, g_bytes_unref);
    }
    fetch.fetched(how, value, fetch.user);
}

static gboolean fetch_content(ClipboardBackend *backend, guint8 selection, guint32 type, gsize limit,
                              ClipboardFetched fetched, gpointer user)
{
    ClipboardX11 *clipboard = (ClipboardX11 *) backend;
    const Owned *owned = &clipboard->owned[selection];
    if (type >= SELECTION_TYPES || (owned->offer.types & 1u << type) == 0)
        return FALSE;
    Fetch *fetch = g_new(Fetch, 1);
    *fetch = (Fetch){ .clipboard = clipboard, .type = type, .limit = limit, .fetched = fetched, .user = user };
    if (!x11_fetcher_get(clipboard->fetcher, owned->atom, owned->offer.best[type], owned->since, limit, on_fetched,
                         fetch)) {
        g_free(fetch);
        return FALSE;
    }
    g_ptr_array_add(clipboard->fetches, fetch);
    return TRUE;
}

static void cancel(ClipboardBackend *backend, gpointer user)
{
    ClipboardX11 *clipboard = (ClipboardX11 *) backend;
    for (guint i = clipboard->fetches->len; i-- > 0;) {
        Fetch *fetch = clipboard->fetches->pdata[i];
        if (fetch->user != user)
            continue;
        x11_fetcher_cancel(clipboard->fetcher, fetch);
        g_ptr_array_remove_index_fast(clipboard->fetches, i);
    }
}

ClipboardBackend *clipboard_x11_new(X11 *x11, guint selections, guint timeout_ms, const ClipboardBackendEvents *events,
                                    gpointer user, GError **error)
{
    Display *display = x11_display(x11);
    int first_event, first_error;
    if (!XFixesQueryExtension(display, &first_event, &first_error)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "the X server has no XFixes extension");
        return NULL;
    }
    ClipboardX11 *clipboard = g_new0(ClipboardX11, 1);
    clipboard->backend = (ClipboardBackend){
        .name = "x11", .selections = selections, .own = own, .fetch = fetch_content, .cancel = cancel,
        .free = close_backend
    };
    clipboard->x11 = x11;
    clipboard->xfixes = first_event;
    clipboard->events = *events;
    clipboard->user = user;
    clipboard->log.name = "guest";
    x11_targets_init(&clipboard->targets, display);
    if (selections & CLIPBOARD_ONLY(VD_AGENT_CLIPBOARD_SELECTION_CLIPBOARD))
        clipboard->owned[VD_AGENT_CLIPBOARD_SELECTION_CLIPBOARD].atom = clipboard->targets.clipboard;
    if (selections & CLIPBOARD_ONLY(VD_AGENT_CLIPBOARD_SELECTION_PRIMARY))
        clipboard->owned[VD_AGENT_CLIPBOARD_SELECTION_PRIMARY].atom = XA_PRIMARY;
    XSetWindowAttributes attributes = { .event_mask = PropertyChangeMask };
    clipboard->window = XCreateWindow(display, x11_root(x11), -1, -1, 1, 1, 0, 0, InputOnly, CopyFromParent,
                                      CWEventMask, &attributes);
    clipboard->fetcher = x11_fetcher_new(x11, &clipboard->targets, clipboard->window, timeout_ms);
    const X11PasterEvents paster_events = { .want = events->want, .ready = events->ready, .gone = events->gone };
    clipboard->paster = x11_paster_new(x11, &clipboard->targets, timeout_ms, &paster_events, user);
    clipboard->fetches = g_ptr_array_new_with_free_func(g_free);
    x11_add_handler(x11, on_event, clipboard);
    for (guint8 i = 0; i < CLIPBOARD_SELECTIONS; i++) {
        Owned *owned = &clipboard->owned[i];
        owned->clipboard = clipboard;
        if (owned->atom == None)
            continue;
        XFixesSelectSelectionInput(display, clipboard->window, owned->atom,
                                   XFixesSetSelectionOwnerNotifyMask | XFixesSelectionWindowDestroyNotifyMask |
                                       XFixesSelectionClientCloseNotifyMask);
        owned->before = XGetSelectionOwner(display, owned->atom) != None;
        if (owned->before)
            ask_targets(owned);
    }
    return &clipboard->backend;
}
