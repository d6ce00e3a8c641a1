/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "logins.h"

#include <string.h>
#include <unistd.h>

#define LOGIND "org.freedesktop.login1"
#define LOGIND_PATH "/org/freedesktop/login1"
#define LOGIND_MANAGER "org.freedesktop.login1.Manager"
#define LOGIND_SESSION "org.freedesktop.login1.Session"
#define PROPERTIES "org.freedesktop.DBus.Properties"
#define CALL_TIMEOUT_MS 10000

struct Logins {
    GDBusConnection *bus;
    void (*changed)(gpointer user);
    gpointer user;
    GCancellable *calls;
    GPtrArray *all;     /* of Login; NULL while logind has not answered */
    GPtrArray *reading; /* the same, being read */
    guint unread;
    gboolean stale, missing;
    guint logind_id, changes_id;
};

static void read_all(Logins *logins);

static void login_free(gpointer data)
{
    Login *login = data;
    g_free(login->id);
    g_free(login->type);
    g_free(login->display);
    g_free(login);
}

static void all_read(Logins *logins)
{
    g_clear_pointer(&logins->all, g_ptr_array_unref);
    logins->all = g_steal_pointer(&logins->reading);
    logins->changed(logins->user);
    if (logins->stale)
        read_all(logins);
}

static void on_session(GObject *bus, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, &error);
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return;
    Logins *logins = user;
    if (reply != NULL) {
        g_autoptr(GVariant) values = NULL;
        Login *login = g_new0(Login, 1);
        g_variant_get(reply, "(@a{sv})", &values);
        g_variant_lookup(values, "Id", "s", &login->id);
        g_variant_lookup(values, "Type", "s", &login->type);
        g_variant_lookup(values, "Display", "s", &login->display);
        g_variant_lookup(values, "Active", "b", &login->active);
        const char *seat = NULL;
        g_autoptr(GVariant) seat_value = g_variant_lookup_value(values, "Seat", G_VARIANT_TYPE("(so)"));
        if (seat_value != NULL)
            g_variant_get(seat_value, "(&s&o)", &seat, NULL);
        login->seated = seat != NULL && seat[0] != '\0';
        if (login->id != NULL && login->type != NULL)
            g_ptr_array_add(logins->reading, login);
        else
            login_free(login);
    }
    if (--logins->unread == 0)
        all_read(logins);
}

static void on_sessions(GObject *bus, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, &error);
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return;
    Logins *logins = user;
    logins->missing = reply == NULL;
    if (reply != NULL) {
        g_autoptr(GVariantIter) iter = NULL;
        guint32 uid;
        const char *path;
        g_variant_get(reply, "(a(susso))", &iter);
        while (g_variant_iter_next(iter, "(&su&s&s&o)", NULL, &uid, NULL, NULL, &path)) {
            if (uid != getuid())
                continue;
            logins->unread++;
            g_dbus_connection_call(logins->bus, LOGIND, path, PROPERTIES, "GetAll",
                                   g_variant_new("(s)", LOGIND_SESSION), G_VARIANT_TYPE("(a{sv})"),
                                   G_DBUS_CALL_FLAGS_NONE, CALL_TIMEOUT_MS, logins->calls, on_session, logins);
        }
    } else {
        g_debug("no logind: %s", error->message);
    }
    if (logins->unread == 0)
        all_read(logins);
}

static void read_all(Logins *logins)
{
    logins->stale = logins->reading != NULL;
    if (logins->stale)
        return;
    logins->reading = g_ptr_array_new_with_free_func(login_free);
    g_dbus_connection_call(logins->bus, LOGIND, LOGIND_PATH, LOGIND_MANAGER, "ListSessions", NULL,
                           G_VARIANT_TYPE("(a(susso))"), G_DBUS_CALL_FLAGS_NONE, CALL_TIMEOUT_MS, logins->calls,
                           on_sessions, logins);
}

static void on_logind(G_GNUC_UNUSED GDBusConnection *bus, G_GNUC_UNUSED const char *sender,
                      G_GNUC_UNUSED const char *path, G_GNUC_UNUSED const char *interface, const char *signal,
                      G_GNUC_UNUSED GVariant *parameters, gpointer user)
{
    if (strcmp(signal, "SessionNew") == 0 || strcmp(signal, "SessionRemoved") == 0 ||
        strcmp(signal, "PropertiesChanged") == 0)
        read_all(user);
}

gboolean logins_missing(const Logins *logins)
{
    return logins->missing;
}

gboolean logins_known(const Logins *logins)
{
    return logins->all != NULL;
}

const Login *logins_at(const Logins *logins, guint index)
{
    return logins->all != NULL && index < logins->all->len ? logins->all->pdata[index] : NULL;
}

const Login *logins_find(const Logins *logins, const char *id)
{
    const Login *login;
    for (guint i = 0; (login = logins_at(logins, i)) != NULL; i++) {
        if (g_strcmp0(login->id, id) == 0)
            return login;
    }
    return NULL;
}

Logins *logins_new(GDBusConnection *bus, void (*changed)(gpointer user), gpointer user)
{
    Logins *logins = g_new0(Logins, 1);
    logins->bus = bus;
    logins->changed = changed;
    logins->user = user;
    logins->calls = g_cancellable_new();
    logins->missing = bus == NULL;
    if (bus == NULL)
        return logins;
    GDBusSignalFlags flags = G_DBUS_SIGNAL_FLAGS_NONE;
    logins->logind_id = g_dbus_connection_signal_subscribe(bus, LOGIND, LOGIND_MANAGER, NULL, LOGIND_PATH, NULL, flags,
                                                           on_logind, logins, NULL);
    logins->changes_id = g_dbus_connection_signal_subscribe(bus, LOGIND, PROPERTIES, "PropertiesChanged", NULL,
                                                            LOGIND_SESSION, flags, on_logind, logins, NULL);
    read_all(logins);
    return logins;
}

void logins_free(Logins *logins)
{
    if (logins == NULL)
        return;
    g_cancellable_cancel(logins->calls);
    g_object_unref(logins->calls);
    if (logins->bus != NULL) {
        g_dbus_connection_signal_unsubscribe(logins->bus, logins->logind_id);
        g_dbus_connection_signal_unsubscribe(logins->bus, logins->changes_id);
    }
    g_clear_pointer(&logins->all, g_ptr_array_unref);
    g_clear_pointer(&logins->reading, g_ptr_array_unref);
    g_free(logins);
}
