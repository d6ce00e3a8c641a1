/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mutter.h"

struct Mutter {
    GDBusConnection *bus;
    char *name, *owner; /* owner: its unique name, while the service is there */
    const MutterEvents *events;
    gpointer user;
    GCancellable *cancellable;
    guint watch_id, start_id, signal_id;
    gboolean ready;
};

typedef struct Call {
    MutterDone done;
    gpointer user;
} Call;

/* --- The service --- */

static void stop(Mutter *mutter)
{
    g_clear_handle_id(&mutter->watch_id, g_bus_unwatch_name);
    g_clear_handle_id(&mutter->start_id, g_source_remove);
    if (mutter->signal_id != 0)
        g_dbus_connection_signal_unsubscribe(mutter->bus, mutter->signal_id);
    mutter->signal_id = 0;
    g_cancellable_cancel(mutter->cancellable);
}

static void lose(Mutter *mutter, const char *what)
{
    g_autofree char *why = g_strdup_printf("%s %s", mutter->name, what);
    stop(mutter);
    mutter->events->lost(why, mutter->user);
}

static gboolean on_start_timeout(gpointer user)
{
    Mutter *mutter = user;
    mutter->start_id = 0;
    lose(mutter, "is not on the session bus");
    return G_SOURCE_REMOVE;
}

static void on_appeared(G_GNUC_UNUSED GDBusConnection *bus, G_GNUC_UNUSED const char *name, const char *owner,
                        gpointer user)
{
    Mutter *mutter = user;
    if (mutter->owner != NULL) { /* from one owner to the next */
        lose(mutter, "has gone to another program");
        return;
    }
    g_clear_handle_id(&mutter->start_id, g_source_remove);
    mutter->owner = g_strdup(owner);
    mutter->events->found(mutter->user);
}

/* Also called in the beginning, when there is no owner yet. */
static void on_vanished(G_GNUC_UNUSED GDBusConnection *bus, G_GNUC_UNUSED const char *name, gpointer user)
{
    Mutter *mutter = user;
    if (mutter->owner != NULL)
        lose(mutter, "went away");
}

Mutter *mutter_new(GDBusConnection *bus, const char *name, const MutterEvents *events, gpointer user)
{
    Mutter *mutter = g_new0(Mutter, 1);
    mutter->bus = g_object_ref(bus);
    mutter->name = g_strdup(name);
    mutter->events = events;
    mutter->user = user;
    mutter->cancellable = g_cancellable_new();
    mutter->start_id = g_timeout_add(MUTTER_START_MS, on_start_timeout, mutter);
    mutter->watch_id = g_bus_watch_name_on_connection(bus, name, G_BUS_NAME_WATCHER_FLAGS_NONE, on_appeared,
                                                      on_vanished, mutter, NULL);
    return mutter;
}

void mutter_free(Mutter *mutter)
{
    if (mutter == NULL)
        return;
    stop(mutter);
    g_object_unref(mutter->cancellable);
    g_object_unref(mutter->bus);
    g_free(mutter->name);
    g_free(mutter->owner);
    g_free(mutter);
}

void mutter_ready(Mutter *mutter)
{
    mutter->ready = TRUE;
}

/* --- Signals and calls --- */

static void on_signal(G_GNUC_UNUSED GDBusConnection *bus, G_GNUC_UNUSED const char *sender,
                      G_GNUC_UNUSED const char *path, G_GNUC_UNUSED const char *interface, const char *name,
                      GVariant *arguments, gpointer user)
{
    Mutter *mutter = user;
    mutter->events->heard(name, arguments, mutter->user);
}

void mutter_listen(Mutter *mutter, const char *path, const char *interface)
{
    mutter->signal_id = g_dbus_connection_signal_subscribe(mutter->bus, mutter->owner, interface, NULL, path, NULL,
                                                           G_DBUS_SIGNAL_FLAGS_NONE, on_signal, mutter, NULL);
}

static void on_reply(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autofree Call *call = user;
    g_autoptr(GUnixFDList) descriptors = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_with_unix_fd_list_finish(G_DBUS_CONNECTION(source), &descriptors, result, &error);
    /* After mutter_free() nothing of the caller is there any more. A service may name its own error so. */
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED) && !g_dbus_error_is_remote_error(error))
        return;
    if (error != NULL)
        g_dbus_error_strip_remote_error(error);
    call->done(reply, descriptors, error, call->user);
}

void mutter_call(Mutter *mutter, const char *path, const char *interface, const char *method, GVariant *arguments,
                 const char *reply_type, MutterDone done, gpointer user)
{
    Call *call = done != NULL ? g_new(Call, 1) : NULL;
    if (call != NULL)
        *call = (Call){ .done = done, .user = user };
    g_dbus_connection_call_with_unix_fd_list(mutter->bus, mutter->owner, path, interface, method, arguments,
                                             G_VARIANT_TYPE(reply_type), G_DBUS_CALL_FLAGS_NO_AUTO_START,
                                             mutter->ready ? MUTTER_CALL_MS : G_MAXINT, NULL, mutter->cancellable,
                                             done != NULL ? on_reply : NULL, call);
}
