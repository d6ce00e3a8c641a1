/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus.h"

#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS 5000

GDBusConnection *bus_connect(GBusType type, GError **error)
{
    g_autofree char *address = NULL;

    if (type == G_BUS_TYPE_SYSTEM || g_getenv("DBUS_SESSION_BUS_ADDRESS")) {
        address = g_dbus_address_get_for_bus_sync(type, NULL, error);
    } else {
        /* GLib would look below XDG_RUNTIME_DIR only and then try to start a bus of its own. */
        const char *directory = g_getenv("XDG_RUNTIME_DIR");
        g_autofree char *path = directory ? g_strdup_printf("%s/bus", directory)
                                          : g_strdup_printf("/run/user/%u/bus", (unsigned)getuid());
        g_autofree char *escaped = g_dbus_address_escape_value(path);

        address = g_strdup_printf("unix:path=%s", escaped);
    }
    if (!address) {
        return NULL;
    }
    return g_dbus_connection_new_for_address_sync(address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                  G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION, NULL, NULL, error);
}

GVariant *bus_call(GDBusConnection *bus, const char *name, const char *path, const char *interface, const char *method,
                   GVariant *parameters, const char *reply_type, GError **error)
{
    return g_dbus_connection_call_sync(bus, name, path, interface, method, parameters, G_VARIANT_TYPE(reply_type),
                                       G_DBUS_CALL_FLAGS_NO_AUTO_START, TIMEOUT_MS, NULL, error);
}

GVariant *bus_properties(GDBusConnection *bus, const char *name, const char *path, const char *interface,
                         GError **error)
{
    g_autoptr(GVariant) reply = bus_call(bus, name, path, "org.freedesktop.DBus.Properties", "GetAll",
                                         g_variant_new("(s)", interface), "(a{sv})", error);

    return reply ? g_variant_get_child_value(reply, 0) : NULL;
}

GVariant *bus_daemon_properties(const char *name, GError **error)
{
    gboolean session = g_str_equal(name, BUS_SESSION);
    g_autoptr(GDBusConnection) bus = bus_connect(session ? G_BUS_TYPE_SESSION : G_BUS_TYPE_SYSTEM, error);

    return bus ? bus_properties(bus, name, session ? BUS_SESSION_PATH : BUS_AGENT_PATH, name, error) : NULL;
}

gboolean bus_nobody_there(const GError *error)
{
    return g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN) ||
           g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER);
}

const char *bus_error_text(const GError *error)
{
    const char *text = g_dbus_error_is_remote_error(error) ? strstr(error->message, ": ") : NULL;

    return text ? text + 2 : error->message;
}
