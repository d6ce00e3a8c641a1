/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "remote.h"

typedef struct Request {
    const char *title;
    char *name, *path, *interface, *method;
    GVariant *arguments; /* NULL: none */
    GVariantType *type;  /* NULL: any */
    GCancellable *cancellable;
    RemoteReady ready;
    gpointer user;
} Request;

static void request_free(Request *request)
{
    g_free(request->name);
    g_free(request->path);
    g_free(request->interface);
    g_free(request->method);
    g_clear_pointer(&request->arguments, g_variant_unref);
    g_clear_pointer(&request->type, g_variant_type_free);
    g_object_unref(request->cancellable);
    g_free(request);
}

static gboolean is_one_of(const GError *error, const GDBusError *codes, guint count)
{
    for (guint i = 0; i < count; i++)
        if (g_error_matches(error, G_DBUS_ERROR, (gint)codes[i]))
            return TRUE;
    return FALSE;
}

static gboolean is_absent(const GError *error)
{
    static const GDBusError codes[] = {
        G_DBUS_ERROR_SERVICE_UNKNOWN,        G_DBUS_ERROR_NAME_HAS_NO_OWNER,
        G_DBUS_ERROR_SPAWN_EXEC_FAILED,      G_DBUS_ERROR_SPAWN_CHILD_EXITED,
        G_DBUS_ERROR_SPAWN_CHILD_SIGNALED,   G_DBUS_ERROR_SPAWN_FAILED,
        G_DBUS_ERROR_SPAWN_SERVICE_NOT_FOUND, G_DBUS_ERROR_SPAWN_SERVICE_INVALID,
    };

    return is_one_of(error, codes, G_N_ELEMENTS(codes));
}

/* Refused, by polkit or since there is none: then services say that somebody would have to be asked. */
static gboolean is_denied(const GError *error, const char *name)
{
    static const GDBusError codes[] = { G_DBUS_ERROR_ACCESS_DENIED, G_DBUS_ERROR_AUTH_FAILED };

    return g_strcmp0(name, "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired") == 0 ||
           g_strcmp0(name, "org.freedesktop.PackageKit.Transaction.RefusedByPolicy") == 0 ||
           is_one_of(error, codes, G_N_ELEMENTS(codes));
}

static gboolean is_silent(const GError *error)
{
    static const GDBusError codes[] = { G_DBUS_ERROR_NO_REPLY, G_DBUS_ERROR_TIMEOUT, G_DBUS_ERROR_TIMED_OUT };

    return g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) ||
           g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CLOSED) || is_one_of(error, codes, G_N_ELEMENTS(codes));
}

static void fail(const Request *request, GError *error)
{
    g_autofree char *name = g_dbus_error_get_remote_error(error);
    g_autofree char *text = NULL;
    static const GDBusError codes[] = { G_DBUS_ERROR_UNKNOWN_OBJECT, G_DBUS_ERROR_UNKNOWN_METHOD };
    gboolean missing = is_one_of(error, codes, G_N_ELEMENTS(codes)) ||
                       (is_absent(error) && g_dbus_is_unique_name(request->name));

    g_dbus_error_strip_remote_error(error);
    if (is_absent(error))
        text = g_strdup_printf("%s is not there: %s", request->title, error->message);
    else if (is_denied(error, name))
        text = g_strdup_printf("%s does not let the agent do it: %s", request->title, error->message);
    else if (is_silent(error))
        text = g_strdup_printf("%s does not answer, what it was asked for may be done all the same", request->title);
    else
        text = g_strdup_printf("%s: %s", request->title, error->message);
    request->ready(NULL, text, missing, request->user);
}

static void on_reply(GObject *bus, GAsyncResult *result, gpointer user)
{
    Request *request = user;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, &error);

    if (reply && !g_cancellable_is_cancelled(request->cancellable))
        request->ready(reply, NULL, FALSE, request->user);
    else if (!g_cancellable_is_cancelled(request->cancellable))
        fail(request, error);
    request_free(request);
}

static void on_bus(GDBusConnection *connection, const GError *error, gpointer user)
{
    Request *request = user;

    if (connection && !g_cancellable_is_cancelled(request->cancellable)) {
        g_dbus_connection_call(connection, request->name, request->path, request->interface, request->method,
                               request->arguments, request->type, G_DBUS_CALL_FLAGS_NONE, REMOTE_TIMEOUT_MS,
                               request->cancellable, on_reply, request);
        return;
    }
    if (!g_cancellable_is_cancelled(request->cancellable)) {
        g_autofree char *text = g_strdup_printf("%s cannot be asked, there is no system bus: %s", request->title,
                                                error->message);

        request->ready(NULL, text, FALSE, request->user);
    }
    request_free(request);
}

void remote_call(Bus *bus, GCancellable *cancellable, const Remote *remote, GVariant *arguments, const char *type,
                 RemoteReady ready, gpointer user)
{
    Request *request = g_new(Request, 1);

    *request = (Request){ remote->title,
                          g_strdup(remote->name),
                          g_strdup(remote->path),
                          g_strdup(remote->interface),
                          g_strdup(remote->method),
                          arguments ? g_variant_ref_sink(arguments) : NULL,
                          type ? g_variant_type_new(type) : NULL,
                          g_object_ref(cancellable),
                          ready,
                          user };
    bus_get(bus, on_bus, request);
}
