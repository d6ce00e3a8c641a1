/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "clipboard-mutter.h"

#include "log.h"
#include "mutter.h"
#include "pipefetch.h"
#include "pipepaste.h"

#include <unistd.h>

#define SERVICE "org.gnome.Mutter.RemoteDesktop"
#define OBJECT "/org/gnome/Mutter/RemoteDesktop"
/* Since Mutter 51 the same signals also come on an interface of their own. */
#define SESSION "org.gnome.Mutter.RemoteDesktop.Session"
#define SELECTION VD_AGENT_CLIPBOARD_SELECTION_CLIPBOARD

/* Mutter reads one value at a time: others wait. More than these are refused. */
#define FETCHES_MAX 16u
/* It may refuse the next one for a moment after the end of the one before. */
#define RETRY_MS 20
#define RETRIES 5u

typedef struct ClipboardMutter ClipboardMutter;

/* Content that is being fetched; the first of the queue is under way. */
typedef struct Fetch {
    ClipboardMutter *clipboard;
    char name[MIME_NAME_MAX];
    MimeForm form;
    gsize limit;
    guint tries;
    gboolean asking, reading; /* for its pipe, and from it */
    ClipboardFetched fetched; /* NULL: forgotten */
    gpointer user;
} Fetch;

/* A program pastes, and its pipe is being asked for. */
typedef struct Transfer {
    ClipboardMutter *clipboard;
    guint32 serial;
    char name[MIME_NAME_MAX];
} Transfer;

struct ClipboardMutter {
    ClipboardBackend backend; /* first */
    Mutter *mutter;
    char *session; /* NULL: there is none yet */
    gboolean enabled;
    guint32 types;   /* that we own it with; 0: it is not ours */
    MimeOffer offer; /* of another owner, as far as known */
    guint setting;   /* SetSelection calls under way */
    gboolean left;   /* Mutter has said that nobody owns it since we asked to give it up */
    PipeFetch *pipes;
    PipePaste *pastes;
    GQueue fetches;       /* of Fetch */
    GPtrArray *transfers; /* of Transfer */
    guint retry_id;
    ClipboardBackendEvents events;
    gpointer user;
    LogPeer log;
};

static void fetch_next(ClipboardMutter *clipboard);

static void call(ClipboardMutter *clipboard, const char *method, GVariant *arguments, const char *reply_type,
                 MutterDone done, gpointer user)
{
    mutter_call(clipboard->mutter, clipboard->session, SESSION, method, arguments, reply_type, done, user);
}

/* --- Who owns it --- */

static void on_set(G_GNUC_UNUSED GVariant *reply, G_GNUC_UNUSED GUnixFDList *descriptors, const GError *error,
                   gpointer user)
{
    ClipboardMutter *clipboard = user;
    clipboard->setting--;
    clipboard->left = FALSE;
    if (error != NULL)
        log_peer(&clipboard->log, "it does not let the clipboard be set: %s", error->message);
}

static void set_selection(ClipboardMutter *clipboard)
{
    GVariantBuilder options;
    const char *names[MIME_OFFERED];
    g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
    guint count = mime_list(clipboard->types, names);
    if (count > 0)
        g_variant_builder_add(&options, "{sv}", "mime-types", g_variant_new_strv(names, count));
    clipboard->setting++;
    clipboard->left = FALSE;
    call(clipboard, "SetSelection", g_variant_new("(a{sv})", &options), "()", on_set, clipboard);
}

static void own(ClipboardBackend *backend, guint8 selection, guint32 types)
{
    ClipboardMutter *clipboard = (ClipboardMutter *) backend;
    if (selection != SELECTION || (types == 0 && clipboard->types == 0))
        return; /* it is somebody else's */
    clipboard->types = types;
    clipboard->offer = (MimeOffer){ 0 };
    if (clipboard->enabled)
        set_selection(clipboard);
}

/* What a program offers; FALSE if there is none that owns it. */
static gboolean read_offer(GVariant *options, MimeOffer *ret_offer)
{
    *ret_offer = (MimeOffer){ 0 };
    g_autoptr(GVariant) value = g_variant_lookup_value(options, "mime-types", NULL);
    if (value == NULL)
        return FALSE;
    /* It comes as a list inside of a tuple. */
    g_autoptr(GVariant) list = g_variant_is_of_type(value, G_VARIANT_TYPE("(as)")) ? g_variant_get_child_value(value, 0)
                                                                                  : g_variant_ref(value);
    if (!g_variant_is_of_type(list, G_VARIANT_TYPE_STRING_ARRAY))
        return TRUE;
    GVariantIter names;
    const char *name;
    g_variant_iter_init(&names, list);
    while (g_variant_iter_next(&names, "&s", &name))
        mime_offer_add(ret_offer, name);
    return TRUE;
}

/*
 * Mutter answers SetSelection after the signals that come from it. So all before the answer of one that took the
 * selection has been overtaken. Of one that gave it up come two: that nobody owns it, and that Mutter's clipboard
 * manager does, which puts what it has kept of our content in our place. That is no content of the guest.
 */
static void on_owner(ClipboardMutter *clipboard, GVariant *options)
{
    gboolean ours = FALSE;
    MimeOffer offer;
    gboolean owned = read_offer(options, &offer);
    if ((g_variant_lookup(options, "session-is-owner", "b", &ours) && ours) ||
        (clipboard->types != 0 && (clipboard->setting > 0 || !clipboard->enabled)))
        return;
    if (!owned && clipboard->setting > 0) {
        clipboard->left = TRUE;
        return;
    }
    clipboard->types = 0;
    clipboard->offer = offer;
    if (!owned)
        clipboard->events.nobody(SELECTION, clipboard->user);
    else if (!clipboard->enabled || clipboard->left)
        clipboard->events.found(SELECTION, offer.types, clipboard->user);
    else
        clipboard->events.program(SELECTION, offer.types, offer.foreign, clipboard->user);
    clipboard->left = FALSE;
}

/* --- Programs paste --- */

static void write_done(guint32 serial, gboolean whole, gpointer user)
{
    ClipboardMutter *clipboard = user;
    call(clipboard, "SelectionWriteDone", g_variant_new("(ub)", serial, whole), "()", NULL, NULL);
}

/* A descriptor of a reply "(h)"; -1: there is none. */
static int take_descriptor(GVariant *reply, GUnixFDList *descriptors)
{
    gint32 index = -1;
    if (reply != NULL)
        g_variant_get(reply, "(h)", &index);
    return descriptors != NULL && index >= 0 && index < g_unix_fd_list_get_length(descriptors)
               ? g_unix_fd_list_get(descriptors, index, NULL)
               : -1;
}

static void on_write(GVariant *reply, GUnixFDList *descriptors, const GError *error, gpointer user)
{
    const Transfer *transfer = user;
    ClipboardMutter *clipboard = transfer->clipboard;
    int fd = take_descriptor(reply, descriptors);
    if (fd >= 0)
        pipepaste_add(clipboard->pastes, SELECTION, clipboard->types, transfer->name, fd, transfer->serial);
    else /* as after the selection has changed */
        g_debug("no pipe for a paste: %s", error != NULL ? error->message : "none came");
    g_ptr_array_remove_fast(clipboard->transfers, user);
}

/* The pipe is asked for in any case: without one Mutter lets the program wait for 15 seconds. */
static void on_transfer(ClipboardMutter *clipboard, const char *name, guint32 serial)
{
    if (clipboard->transfers->len >= PIPEPASTE_MAX) {
        log_peer(&clipboard->log, "too many programs paste at once");
        write_done(serial, FALSE, clipboard);
        return;
    }
    Transfer *transfer = g_new0(Transfer, 1);
    transfer->clipboard = clipboard;
    transfer->serial = serial;
    if (g_strlcpy(transfer->name, name, sizeof transfer->name) >= sizeof transfer->name)
        transfer->name[0] = '\0';
    g_ptr_array_add(clipboard->transfers, transfer);
    call(clipboard, "SelectionWrite", g_variant_new("(u)", serial), "(h)", on_write, transfer);
}

/* --- Content of programs --- */

static void fetch_end(Fetch *fetch, SinkEnd how, GBytes *value)
{
    const Fetch ended = *fetch;
    g_queue_remove(&ended.clipboard->fetches, fetch);
    g_free(fetch);
    fetch_next(ended.clipboard);
    if (ended.fetched != NULL)
        ended.fetched(how, value, ended.user);
}

static void on_read(SinkEnd how, GBytes *value, gpointer user)
{
    fetch_end(user, how, value);
}

static gboolean on_retry(gpointer user)
{
    ClipboardMutter *clipboard = user;
    clipboard->retry_id = 0;
    fetch_next(clipboard);
    return G_SOURCE_REMOVE;
}

static void on_pipe(GVariant *reply, GUnixFDList *descriptors, const GError *error, gpointer user)
{
    Fetch *fetch = user;
    ClipboardMutter *clipboard = fetch->clipboard;
    int fd = take_descriptor(reply, descriptors);
    fetch->asking = FALSE;
    if (fetch->fetched == NULL) {
        if (fd >= 0)
            close(fd);
        fetch_end(fetch, SINK_LOST, NULL);
    } else if (fd >= 0) {
        fetch->reading = TRUE;
        if (!pipefetch_add(clipboard->pipes, fd, fetch->form, fetch->limit, on_read, fetch))
            fetch_end(fetch, SINK_LOST, NULL);
    } else if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)) {
        fetch_end(fetch, SINK_TIMEOUT, NULL);
    } else if (fetch->tries < RETRIES) {
        clipboard->retry_id = g_timeout_add(RETRY_MS, on_retry, clipboard);
    } else {
        log_peer(&clipboard->log, "it does not give what is in the clipboard: %s",
                 error != NULL ? error->message : "no pipe came");
        fetch_end(fetch, SINK_EMPTY, NULL);
    }
}

static void fetch_next(ClipboardMutter *clipboard)
{
    Fetch *fetch = g_queue_peek_head(&clipboard->fetches);
    if (fetch == NULL || fetch->asking || fetch->reading || clipboard->retry_id != 0)
        return;
    fetch->asking = TRUE;
    fetch->tries++;
    call(clipboard, "SelectionRead", g_variant_new("(s)", fetch->name), "(h)", on_pipe, fetch);
}

static gboolean fetch_content(ClipboardBackend *backend, guint8 selection, guint32 type, gsize limit,
                              ClipboardFetched fetched, gpointer user)
{
    ClipboardMutter *clipboard = (ClipboardMutter *) backend;
    if (selection != SELECTION || type >= SELECTION_TYPES || (clipboard->offer.types & 1u << type) == 0 ||
        clipboard->fetches.length >= FETCHES_MAX)
        return FALSE;
    Fetch *fetch = g_new0(Fetch, 1);
    fetch->clipboard = clipboard;
    g_strlcpy(fetch->name, clipboard->offer.best[type], sizeof fetch->name);
    mime_type(fetch->name, &fetch->form);
    fetch->limit = limit;
    fetch->fetched = fetched;
    fetch->user = user;
    g_queue_push_tail(&clipboard->fetches, fetch);
    fetch_next(clipboard);
    return TRUE;
}

/* One whose pipe is being asked for waits for it, to close it: Mutter reads for nobody else before. */
static void cancel(ClipboardBackend *backend, gpointer user)
{
    ClipboardMutter *clipboard = (ClipboardMutter *) backend;
    for (GList *link = clipboard->fetches.head, *next; link != NULL; link = next) {
        Fetch *fetch = link->data;
        next = link->next;
        if (fetch->fetched == NULL || fetch->user != user)
            continue;
        fetch->fetched = NULL;
        if (fetch->asking)
            continue;
        pipefetch_cancel(clipboard->pipes, fetch);
        g_queue_delete_link(&clipboard->fetches, link);
        g_free(fetch);
    }
    fetch_next(clipboard);
}

/* --- The session --- */

static void on_enabled(G_GNUC_UNUSED GVariant *reply, G_GNUC_UNUSED GUnixFDList *descriptors, const GError *error,
                       gpointer user)
{
    ClipboardMutter *clipboard = user;
    if (error != NULL) {
        g_autofree char *why = g_strdup_printf("the compositor refuses its clipboard: %s", error->message);
        clipboard->events.failed(why, clipboard->user);
        return;
    }
    clipboard->enabled = TRUE;
    mutter_ready(clipboard->mutter);
    if (clipboard->types != 0)
        set_selection(clipboard);
}

static void on_session(GVariant *reply, G_GNUC_UNUSED GUnixFDList *descriptors, const GError *error, gpointer user)
{
    ClipboardMutter *clipboard = user;
    if (error != NULL) {
        g_autofree char *why = g_strdup_printf("the compositor gives no clipboard session: %s", error->message);
        clipboard->events.failed(why, clipboard->user);
        return;
    }
    GVariantBuilder options;
    g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
    g_variant_get(reply, "(o)", &clipboard->session);
    mutter_listen(clipboard->mutter, clipboard->session, SESSION);
    call(clipboard, "EnableClipboard", g_variant_new("(a{sv})", &options), "()", on_enabled, clipboard);
}

static void on_found(gpointer user)
{
    ClipboardMutter *clipboard = user;
    mutter_call(clipboard->mutter, OBJECT, SERVICE, "CreateSession", NULL, "(o)", on_session, clipboard);
}

static void on_lost(const char *why, gpointer user)
{
    ClipboardMutter *clipboard = user;
    clipboard->events.failed(why, clipboard->user);
}

static void on_heard(const char *name, GVariant *arguments, gpointer user)
{
    ClipboardMutter *clipboard = user;
    if (g_str_equal(name, "SelectionOwnerChanged") && g_variant_is_of_type(arguments, G_VARIANT_TYPE("(a{sv})"))) {
        g_autoptr(GVariant) options = g_variant_get_child_value(arguments, 0);
        on_owner(clipboard, options);
    } else if (g_str_equal(name, "SelectionTransfer") && g_variant_is_of_type(arguments, G_VARIANT_TYPE("(su)"))) {
        const char *mime;
        guint32 serial;
        g_variant_get(arguments, "(&su)", &mime, &serial);
        on_transfer(clipboard, mime, serial);
    } else if (g_str_equal(name, "Closed")) {
        clipboard->events.failed("the compositor ended the clipboard session, as GNOME does when the screen is locked",
                                 clipboard->user);
    }
}

/* Mutter ends a session that was never started only with our connection to the bus; until then it has no clipboard. */
static void close_backend(ClipboardBackend *backend)
{
    ClipboardMutter *clipboard = (ClipboardMutter *) backend;
    pipepaste_free(clipboard->pastes);
    pipefetch_free(clipboard->pipes);
    if (clipboard->session != NULL)
        call(clipboard, "DisableClipboard", NULL, "()", NULL, NULL);
    mutter_free(clipboard->mutter);
    g_clear_handle_id(&clipboard->retry_id, g_source_remove);
    g_queue_clear_full(&clipboard->fetches, g_free);
    g_ptr_array_unref(clipboard->transfers);
    g_free(clipboard->session);
    g_free(clipboard);
}

ClipboardBackend *clipboard_mutter_new(GDBusConnection *session_bus, guint timeout_ms,
                                       const ClipboardBackendEvents *events, gpointer user)
{
    static const MutterEvents mutter_events = { .found = on_found, .lost = on_lost, .heard = on_heard };
    ClipboardMutter *clipboard = g_new0(ClipboardMutter, 1);
    clipboard->backend = (ClipboardBackend){
        .name = "mutter", .selections = CLIPBOARD_ONLY(SELECTION), .own = own, .fetch = fetch_content,
        .cancel = cancel, .free = close_backend
    };
    clipboard->events = *events;
    clipboard->user = user;
    clipboard->log.name = "compositor";
    clipboard->pipes = pipefetch_new(timeout_ms);
    clipboard->pastes = pipepaste_new(timeout_ms, events, user, write_done, clipboard);
    g_queue_init(&clipboard->fetches);
    clipboard->transfers = g_ptr_array_new_with_free_func(g_free);
    clipboard->mutter = mutter_new(session_bus, SERVICE, &mutter_events, clipboard);
    return &clipboard->backend;
}
