/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "notify.h"

#include <string.h>
#include <sys/prctl.h>

#define NAME "org.freedesktop.Notifications"
#define PATH "/org/freedesktop/Notifications"
#define FILE_MANAGER "org.freedesktop.FileManager1"
#define ACTION_OPEN "open"
#define INTERVAL_US G_USEC_PER_SEC
#define CALL_TIMEOUT_MS 5000
/* Finished notifications whose action still works; the oldest is forgotten beyond. */
#define SHOWN_MAX 16u

typedef struct Text {
    char *summary, *body;
    int progress;
    char *path;
} Text;

/* One notification: being updated (under its key), or final and waiting for its action. */
typedef struct Shown {
    Notify *notify;
    guint key; /* 0: final */
    guint32 id; /* of the service; 0 until it answered */
    gint64 sent;
    gboolean busy;
    Text *next; /* to be shown when the call under way has ended */
    char *path;
} Shown;

struct Notify {
    GDBusConnection *bus;
    GCancellable *calls;
    guint signal_id;
    gboolean asked, known; /* what the service can do */
    gboolean actions, markup;
    GPtrArray *shown;
};

static void text_free(Text *text)
{
    g_free(text->summary);
    g_free(text->body);
    g_free(text->path);
    g_free(text);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Text, text_free)

static void shown_free(gpointer data)
{
    Shown *shown = data;
    g_clear_pointer(&shown->next, text_free);
    g_free(shown->path);
    g_free(shown);
}

static void send_text(Shown *shown);

static void on_shown(GObject *bus, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, &error);
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return;
    Shown *shown = user;
    shown->busy = FALSE;
    if (reply != NULL)
        g_variant_get(reply, "(u)", &shown->id);
    else
        g_debug("no notification: %s", error->message);
    if (shown->next != NULL)
        send_text(shown);
}

/* Bodies may be taken as markup, which a file name must not become. */
static char *escape(const Notify *notify, const char *text)
{
    return notify->markup ? g_markup_escape_text(text, -1) : g_strdup(text);
}

static void send_text(Shown *shown)
{
    Notify *notify = shown->notify;
    g_autoptr(Text) text = g_steal_pointer(&shown->next);
    g_autofree char *body = escape(notify, text->body);
    GVariantBuilder actions, hints;
    g_variant_builder_init(&actions, G_VARIANT_TYPE("as"));
    g_variant_builder_init(&hints, G_VARIANT_TYPE_VARDICT);
    if (text->path != NULL && notify->actions) {
        g_variant_builder_add(&actions, "s", ACTION_OPEN);
        g_variant_builder_add(&actions, "s", "Show in folder");
    }
    if (text->progress >= 0)
        g_variant_builder_add(&hints, "{sv}", "value", g_variant_new_int32(text->progress));
    g_variant_builder_add(&hints, "{sv}", "category", g_variant_new_string("transfer"));
    if (text->progress >= 0)
        g_variant_builder_add(&hints, "{sv}", "transient", g_variant_new_boolean(TRUE));
    g_free(shown->path);
    shown->path = g_strdup(text->path);
    shown->sent = g_get_monotonic_time();
    shown->busy = TRUE;
    g_dbus_connection_call(notify->bus, NAME, PATH, NAME, "Notify",
                           g_variant_new("(susssasa{sv}i)", "SPICE", shown->id, "folder-download", text->summary, body,
                                         &actions, &hints, -1),
                           G_VARIANT_TYPE("(u)"), G_DBUS_CALL_FLAGS_NONE, CALL_TIMEOUT_MS, notify->calls, on_shown,
                           shown);
}

static void on_capabilities(GObject *bus, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, &error);
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return;
    Notify *notify = user;
    if (reply != NULL) {
        g_autofree const char **list = NULL;
        g_variant_get(reply, "(^a&s)", &list);
        notify->actions = g_strv_contains(list, "actions");
        notify->markup = g_strv_contains(list, "body-markup");
    }
    notify->known = TRUE;
    for (guint i = 0; i < notify->shown->len; i++) {
        Shown *shown = notify->shown->pdata[i];
        if (shown->next != NULL)
            send_text(shown);
    }
}

static void allow_huge_pages(G_GNUC_UNUSED gpointer user)
{
    prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
}

static void on_file_manager(GObject *bus, GAsyncResult *result, gpointer user)
{
    g_autofree char *folder = user;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, &error);
    /* One that takes its time to start shows it then. */
    if (reply != NULL || g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
        return;
    const char *argv[] = { "xdg-open", folder, NULL };
    g_autoptr(GError) failure = NULL;
    if (!g_spawn_async(NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, allow_huge_pages,
                       NULL, NULL, &failure))
        g_warning("cannot open %s: %s; %s", folder, error->message, failure->message);
}

static void on_action(GDBusConnection *bus, G_GNUC_UNUSED const char *sender, G_GNUC_UNUSED const char *path,
                      G_GNUC_UNUSED const char *interface, G_GNUC_UNUSED const char *signal, GVariant *parameters,
                      gpointer user)
{
    Notify *notify = user;
    if (!g_variant_is_of_type(parameters, G_VARIANT_TYPE("(us)")))
        return;
    guint32 id;
    const char *action;
    g_variant_get(parameters, "(u&s)", &id, &action);
    for (guint i = 0; i < notify->shown->len; i++) {
        Shown *shown = notify->shown->pdata[i];
        if (shown->id != id || shown->path == NULL || strcmp(action, ACTION_OPEN) != 0)
            continue;
        const char *uris[] = { g_filename_to_uri(shown->path, NULL, NULL), NULL };
        g_dbus_connection_call(bus, FILE_MANAGER, "/org/freedesktop/FileManager1", FILE_MANAGER, "ShowItems",
                               g_variant_new("(^ass)", uris, ""), NULL, G_DBUS_CALL_FLAGS_NONE, CALL_TIMEOUT_MS, NULL,
                               on_file_manager, g_path_get_dirname(shown->path));
        g_free((char *) uris[0]);
        return;
    }
}

Notify *notify_new(GDBusConnection *bus)
{
    Notify *notify = g_new0(Notify, 1);
    notify->shown = g_ptr_array_new_with_free_func(shown_free);
    if (bus == NULL)
        return notify;
    notify->bus = g_object_ref(bus);
    notify->calls = g_cancellable_new();
    notify->signal_id = g_dbus_connection_signal_subscribe(bus, NAME, NAME, "ActionInvoked", PATH, NULL,
                                                           G_DBUS_SIGNAL_FLAGS_NONE, on_action, notify, NULL);
    return notify;
}

void notify_free(Notify *notify)
{
    if (notify == NULL)
        return;
    if (notify->bus != NULL) {
        g_dbus_connection_signal_unsubscribe(notify->bus, notify->signal_id);
        g_cancellable_cancel(notify->calls);
        g_object_unref(notify->calls);
        g_object_unref(notify->bus);
    }
    g_ptr_array_unref(notify->shown);
    g_free(notify);
}

static Shown *find(Notify *notify, guint key)
{
    for (guint i = 0; i < notify->shown->len; i++) {
        Shown *shown = notify->shown->pdata[i];
        if (shown->key == key)
            return shown;
    }
    for (guint i = 0; notify->shown->len >= SHOWN_MAX && i < notify->shown->len; i++) {
        Shown *old = notify->shown->pdata[i];
        if (old->key == 0 && !old->busy)
            g_ptr_array_remove_index(notify->shown, i);
    }
    Shown *shown = g_new0(Shown, 1);
    shown->notify = notify;
    shown->key = key;
    g_ptr_array_add(notify->shown, shown);
    return shown;
}

gboolean notify_due(const Notify *notify, guint key)
{
    if (notify == NULL || notify->bus == NULL || (notify->asked && !notify->known))
        return FALSE;
    for (guint i = 0; i < notify->shown->len; i++) {
        const Shown *shown = notify->shown->pdata[i];
        if (shown->key == key)
            return !shown->busy && g_get_monotonic_time() - shown->sent >= INTERVAL_US;
    }
    return TRUE;
}

void notify_show(Notify *notify, guint key, const char *summary, const char *body, int progress, gboolean final,
                 const char *open_path)
{
    if (notify == NULL || notify->bus == NULL)
        return;
    Shown *shown = find(notify, key);
    if (!final && shown->sent != 0 && g_get_monotonic_time() - shown->sent < INTERVAL_US)
        return;
    g_clear_pointer(&shown->next, text_free);
    shown->next = g_new0(Text, 1);
    shown->next->summary = g_strdup(summary);
    shown->next->body = g_strdup(body);
    shown->next->progress = progress;
    shown->next->path = g_strdup(open_path);
    if (final)
        shown->key = 0;
    if (!notify->asked) {
        notify->asked = TRUE;
        g_dbus_connection_call(notify->bus, NAME, PATH, NAME, "GetCapabilities", NULL, G_VARIANT_TYPE("(as)"),
                               G_DBUS_CALL_FLAGS_NONE, CALL_TIMEOUT_MS, notify->calls, on_capabilities, notify);
    } else if (notify->known && !shown->busy) {
        send_text(shown);
    }
}
