/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "clipboard-wayland.h"

#include "ext-data-control-v1.h"
#include "mime.h"
#include "pipefetch.h"
#include "pipepaste.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <unistd.h>

/* More than any compositor has. */
#define SEATS_MAX 16u

typedef struct ext_data_control_manager_v1 Manager;
typedef struct ext_data_control_device_v1 Device;
typedef struct ext_data_control_source_v1 Source;
typedef struct ext_data_control_offer_v1 Offer;

typedef struct ClipboardWayland ClipboardWayland;

typedef struct Owned {
    ClipboardWayland *clipboard;
    guint32 types;   /* that we offer as its owner; 0: it is not ours */
    Source *source;  /* while it is ours; NULL also without a seat */
    Offer *offer;    /* of another owner; NULL: none, or not known */
    MimeOffer mime;  /* what is in it */
    gboolean before; /* the owner was there before us */
    gboolean news;   /* of this have not been reported yet */
} Owned;

struct ClipboardWayland {
    ClipboardBackend backend; /* first */
    Wayland *wayland;
    struct wl_interface protocol; /* of the manager */
    Manager *manager;
    GArray *seats; /* of guint32, names of globals */
    Device *device; /* of the first seat; NULL: there is none */
    struct wl_callback *starting; /* until the compositor has told what was there before the device */
    struct wl_callback *restarting; /* until it has told which seats are left */
    Offer *introduced; /* that will be a selection's next; NULL: none */
    MimeOffer mime;    /* what is in it */
    Owned owned[CLIPBOARD_SELECTIONS];
    guint report_id;
    PipeFetch *fetches;
    PipePaste *pastes;
    ClipboardBackendEvents events;
    gpointer user;
};

static guint8 number(const Owned *owned)
{
    return owned - owned->clipboard->owned;
}

static gboolean is_primary(const Owned *owned)
{
    return number(owned) == VD_AGENT_CLIPBOARD_SELECTION_PRIMARY;
}

/* --- Other owners --- */

/*
 * From the main loop, where the facade may do anything; and once for all that the compositor sent at a time, of which
 * only the last holds.
 */
static gboolean on_report(gpointer user)
{
    ClipboardWayland *clipboard = user;
    clipboard->report_id = 0;
    for (guint8 i = 0; i < CLIPBOARD_SELECTIONS; i++) {
        Owned *owned = &clipboard->owned[i];
        if (!owned->news)
            continue;
        owned->news = FALSE;
        if (owned->offer == NULL)
            clipboard->events.nobody(i, clipboard->user);
        else if (owned->before)
            clipboard->events.found(i, owned->mime.types, clipboard->user);
        else
            clipboard->events.program(i, owned->mime.types, owned->mime.foreign, clipboard->user);
    }
    return G_SOURCE_REMOVE;
}

static void set_offer(Owned *owned, Offer *offer, const MimeOffer *mime)
{
    g_clear_pointer(&owned->offer, ext_data_control_offer_v1_destroy);
    owned->offer = offer;
    owned->mime = offer != NULL ? *mime : (MimeOffer){ 0 };
    owned->news = FALSE;
}

static void tell(Owned *owned)
{
    ClipboardWayland *clipboard = owned->clipboard;
    owned->news = TRUE;
    if (clipboard->report_id == 0)
        clipboard->report_id = g_idle_add_full(G_PRIORITY_DEFAULT, on_report, clipboard, NULL);
}

static void on_mime(void *user, Offer *offer, const char *name)
{
    ClipboardWayland *clipboard = user;
    if (offer == clipboard->introduced)
        mime_offer_add(&clipboard->mime, name);
}

static const struct ext_data_control_offer_v1_listener offer_listener = { .offer = on_mime };

/* Each is followed by the event that says which selection's it is; none is kept for which that does not come. */
static void on_offer(void *user, G_GNUC_UNUSED Device *device, Offer *offer)
{
    ClipboardWayland *clipboard = user;
    g_clear_pointer(&clipboard->introduced, ext_data_control_offer_v1_destroy);
    clipboard->introduced = offer;
    clipboard->mime = (MimeOffer){ 0 };
    ext_data_control_offer_v1_add_listener(offer, &offer_listener, clipboard);
}

/*
 * Compositors cancel our source before they announce what takes its place. So while ours lives, this is its echo, or
 * was overtaken by it.
 */
static void on_owner(Owned *owned, Offer *offer)
{
    ClipboardWayland *clipboard = owned->clipboard;
    if (offer != NULL && offer != clipboard->introduced)
        return; /* a compositor that says again what it has said */
    clipboard->introduced = NULL;
    if (owned->source != NULL || (clipboard->backend.selections & CLIPBOARD_ONLY(number(owned))) == 0) {
        g_clear_pointer(&offer, ext_data_control_offer_v1_destroy);
        return;
    }
    set_offer(owned, offer, &clipboard->mime);
    owned->before = clipboard->starting != NULL;
    if (offer != NULL || !owned->before)
        tell(owned);
}

static void on_selection(void *user, G_GNUC_UNUSED Device *device, Offer *offer)
{
    ClipboardWayland *clipboard = user;
    on_owner(&clipboard->owned[VD_AGENT_CLIPBOARD_SELECTION_CLIPBOARD], offer);
}

static void on_primary(void *user, G_GNUC_UNUSED Device *device, Offer *offer)
{
    ClipboardWayland *clipboard = user;
    on_owner(&clipboard->owned[VD_AGENT_CLIPBOARD_SELECTION_PRIMARY], offer);
}

/* --- Ourselves as the owner --- */

static void on_send(void *user, G_GNUC_UNUSED Source *source, const char *name, int fd)
{
    const Owned *owned = user;
    pipepaste_add(owned->clipboard->pastes, number(owned), owned->types, name, fd, 0);
}

static void drop_source(Owned *owned)
{
    g_clear_pointer(&owned->source, ext_data_control_source_v1_destroy);
}

static void on_cancelled(void *user, G_GNUC_UNUSED Source *source)
{
    Owned *owned = user;
    drop_source(owned);
    owned->types = 0;
}

static const struct ext_data_control_source_v1_listener source_listener = { .send = on_send,
                                                                            .cancelled = on_cancelled };

static void take(Owned *owned)
{
    ClipboardWayland *clipboard = owned->clipboard;
    if (clipboard->device == NULL)
        return;
    const char *names[MIME_OFFERED];
    guint count = mime_list(owned->types, names);
    Source *source = ext_data_control_manager_v1_create_data_source(clipboard->manager);
    ext_data_control_source_v1_add_listener(source, &source_listener, owned);
    for (guint i = 0; i < count; i++)
        ext_data_control_source_v1_offer(source, names[i]);
    if (is_primary(owned))
        ext_data_control_device_v1_set_primary_selection(clipboard->device, source);
    else
        ext_data_control_device_v1_set_selection(clipboard->device, source);
    drop_source(owned);
    owned->source = source;
}

/*
 * Only the source is destroyed to give a selection up, which takes nothing from a program that has got it since, as
 * setting it to none would.
 */
static void own(ClipboardBackend *backend, guint8 selection, guint32 types)
{
    ClipboardWayland *clipboard = (ClipboardWayland *) backend;
    Owned *owned = &clipboard->owned[selection];
    if (types == 0 && owned->types == 0)
        return; /* it is somebody else's */
    owned->types = types;
    set_offer(owned, NULL, NULL);
    if (types != 0)
        take(owned);
    else
        drop_source(owned);
}

/* --- The seat --- */

static void on_started(void *user, struct wl_callback *callback, G_GNUC_UNUSED guint32 serial)
{
    ClipboardWayland *clipboard = user;
    wl_callback_destroy(callback);
    clipboard->starting = NULL;
}

static const struct wl_callback_listener started_listener = { .done = on_started };

static void drop_device(ClipboardWayland *clipboard)
{
    g_clear_pointer(&clipboard->starting, wl_callback_destroy);
    g_clear_pointer(&clipboard->introduced, ext_data_control_offer_v1_destroy);
    for (guint8 i = 0; i < CLIPBOARD_SELECTIONS; i++) {
        Owned *owned = &clipboard->owned[i];
        drop_source(owned);
        if (owned->offer == NULL)
            continue;
        set_offer(owned, NULL, NULL);
        tell(owned);
    }
    g_clear_pointer(&clipboard->device, ext_data_control_device_v1_destroy);
}

static void on_finished(void *user, Device *device);

static const struct ext_data_control_device_v1_listener device_listener = {
    .data_offer = on_offer, .selection = on_selection, .finished = on_finished, .primary_selection = on_primary
};

/* Serve the first seat, if there is one. */
static void start(ClipboardWayland *clipboard)
{
    if (clipboard->seats->len == 0)
        return;
    guint32 name = g_array_index(clipboard->seats, guint32, 0);
    struct wl_seat *seat = wayland_bind_name(clipboard->wayland, name, &wl_seat_interface, 1);
    clipboard->device = ext_data_control_manager_v1_get_data_device(clipboard->manager, seat);
    wl_seat_destroy(seat);
    ext_data_control_device_v1_add_listener(clipboard->device, &device_listener, clipboard);
    clipboard->starting = wl_display_sync(wayland_display(clipboard->wayland));
    wl_callback_add_listener(clipboard->starting, &started_listener, clipboard);
    for (guint8 i = 0; i < CLIPBOARD_SELECTIONS; i++) {
        if (clipboard->owned[i].types != 0)
            take(&clipboard->owned[i]);
    }
}

static void on_restart(void *user, struct wl_callback *callback, G_GNUC_UNUSED guint32 serial)
{
    ClipboardWayland *clipboard = user;
    wl_callback_destroy(callback);
    clipboard->restarting = NULL;
    start(clipboard);
}

static const struct wl_callback_listener restart_listener = { .done = on_restart };

/* Once it is known which seats are gone, as to ask for one that is ends the connection. */
static void restart(ClipboardWayland *clipboard)
{
    drop_device(clipboard);
    if (clipboard->restarting != NULL)
        return;
    clipboard->restarting = wl_display_sync(wayland_display(clipboard->wayland));
    wl_callback_add_listener(clipboard->restarting, &restart_listener, clipboard);
}

/* The device serves no more. A seat whose device ended before it began is not tried again. */
static void on_finished(void *user, G_GNUC_UNUSED Device *device)
{
    ClipboardWayland *clipboard = user;
    if (clipboard->starting != NULL)
        g_array_remove_index(clipboard->seats, 0);
    restart(clipboard);
}

static void on_seat(guint32 name, G_GNUC_UNUSED guint32 version, gpointer user)
{
    ClipboardWayland *clipboard = user;
    if (clipboard->seats->len >= SEATS_MAX)
        return;
    g_array_append_val(clipboard->seats, name);
    if (clipboard->device == NULL && clipboard->restarting == NULL)
        start(clipboard);
}

static void on_no_seat(guint32 name, gpointer user)
{
    ClipboardWayland *clipboard = user;
    for (guint i = 0; i < clipboard->seats->len; i++) {
        if (g_array_index(clipboard->seats, guint32, i) != name)
            continue;
        g_array_remove_index(clipboard->seats, i);
        if (i == 0)
            restart(clipboard);
        return;
    }
}

static const WaylandWatch seat_watch = { .appeared = on_seat, .vanished = on_no_seat };

/* --- The backend --- */

static gboolean fetch(ClipboardBackend *backend, guint8 selection, guint32 type, gsize limit, ClipboardFetched fetched,
                      gpointer user)
{
    ClipboardWayland *clipboard = (ClipboardWayland *) backend;
    const Owned *owned = &clipboard->owned[selection];
    if (owned->offer == NULL || type >= SELECTION_TYPES || (owned->mime.types & 1u << type) == 0)
        return FALSE;
    int ends[2];
    if (!g_unix_open_pipe(ends, FD_CLOEXEC, NULL))
        return FALSE;
    const char *name = owned->mime.best[type];
    MimeForm form = MIME_FORM_RAW;
    mime_type(name, &form);
    gboolean added = pipefetch_add(clipboard->fetches, ends[0], form, limit, fetched, user);
    if (added)
        ext_data_control_offer_v1_receive(owned->offer, name, ends[1]);
    close(ends[1]);
    return added;
}

static void cancel(ClipboardBackend *backend, gpointer user)
{
    pipefetch_cancel(((ClipboardWayland *) backend)->fetches, user);
}

static void close_backend(ClipboardBackend *backend)
{
    ClipboardWayland *clipboard = (ClipboardWayland *) backend;
    wayland_unwatch(clipboard->wayland, &seat_watch, clipboard);
    pipepaste_free(clipboard->pastes);
    pipefetch_free(clipboard->fetches);
    drop_device(clipboard);
    g_clear_pointer(&clipboard->restarting, wl_callback_destroy);
    g_clear_handle_id(&clipboard->report_id, g_source_remove);
    ext_data_control_manager_v1_destroy(clipboard->manager);
    g_array_unref(clipboard->seats);
    g_free(clipboard);
}

/* The two protocols differ in nothing but the name by which the manager is asked for. */
static gboolean bind_manager(ClipboardWayland *clipboard)
{
    static const struct {
        const char *interface, *backend;
        guint32 version, primary_since;
    } protocols[] = {
        { "ext_data_control_manager_v1", "ext-data-control", 1, 1 },
        { "zwlr_data_control_manager_v1", "wlr-data-control", 2, 2 },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(protocols); i++) {
        guint32 version = wayland_version(clipboard->wayland, protocols[i].interface);
        if (version == 0)
            continue;
        clipboard->protocol = ext_data_control_manager_v1_interface;
        clipboard->protocol.name = protocols[i].interface;
        clipboard->manager = wayland_bind(clipboard->wayland, &clipboard->protocol, protocols[i].version);
        clipboard->backend.name = protocols[i].backend;
        if (version < protocols[i].primary_since)
            clipboard->backend.selections &= ~CLIPBOARD_ONLY(VD_AGENT_CLIPBOARD_SELECTION_PRIMARY);
        return TRUE;
    }
    return FALSE;
}

ClipboardBackend *clipboard_wayland_new(Wayland *wayland, guint selections, guint timeout_ms,
                                        const ClipboardBackendEvents *events, gpointer user, GError **error)
{
    ClipboardWayland *clipboard = g_new0(ClipboardWayland, 1);
    clipboard->backend = (ClipboardBackend){
        .selections = selections, .own = own, .fetch = fetch, .cancel = cancel, .free = close_backend
    };
    clipboard->wayland = wayland;
    if (!bind_manager(clipboard)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "the compositor has no clipboard protocol");
        g_free(clipboard);
        return NULL;
    }
    clipboard->seats = g_array_new(FALSE, FALSE, sizeof(guint32));
    clipboard->fetches = pipefetch_new(timeout_ms);
    clipboard->pastes = pipepaste_new(timeout_ms, events, user, NULL, NULL);
    clipboard->events = *events;
    clipboard->user = user;
    for (guint8 i = 0; i < CLIPBOARD_SELECTIONS; i++)
        clipboard->owned[i].clipboard = clipboard;
    wayland_watch(wayland, "wl_seat", &seat_watch, clipboard);
    return &clipboard->backend;
}
