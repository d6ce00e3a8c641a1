/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus.h"

struct Bus {
    char *address;
    GDBusConnection *connection;
    GCancellable *cancellable;
};

typedef struct Wanted {
    Bus *bus;
    BusReady ready;
    gpointer user;
} Wanted;

Bus *bus_new(const char *address)
{
    Bus *bus = g_new0(Bus, 1);

    bus->address = g_strdup(address);
    bus->cancellable = g_cancellable_new();
    return bus;
}

void bus_free(Bus *bus)
{
    if (!bus)
        return;
    g_cancellable_cancel(bus->cancellable);
    g_object_unref(bus->cancellable);
    g_clear_object(&bus->connection);
    g_free(bus->address);
    g_free(bus);
}

static void on_connected(G_GNUC_UNUSED GObject *source, GAsyncResult *result, gpointer user)
{
    g_autofree Wanted *wanted = user;
    g_autoptr(GError) error = NULL;
    GDBusConnection *connection = g_dbus_connection_new_for_address_finish(result, &error);

    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return;
    if (connection) {
        g_clear_object(&wanted->bus->connection);
        wanted->bus->connection = connection;
    }
    wanted->ready(connection, error, wanted->user);
}

static gboolean on_there(gpointer user)
{
    Wanted *wanted = user;

    wanted->ready(wanted->bus->connection, NULL, wanted->user);
    return G_SOURCE_REMOVE;
}

void bus_get(Bus *bus, BusReady ready, gpointer user)
{
    Wanted *wanted = g_new(Wanted, 1);
    g_autofree char *address = bus->address ? g_strdup(bus->address)
                                            : g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, NULL);

    *wanted = (Wanted){ bus, ready, user };
    if (bus->connection && !g_dbus_connection_is_closed(bus->connection))
        g_idle_add_full(G_PRIORITY_DEFAULT, on_there, wanted, g_free);
    else
        g_dbus_connection_new_for_address(address ? address : "unix:path=/run/dbus/system_bus_socket",
                                          G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                              G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                          NULL, bus->cancellable, on_connected, wanted);
}
