/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus.h"

struct Bus {
    char *address;
    GDBusConnection *connection;
    GQueue wanted; /* by whom, who have not been answered */
};

typedef struct Wanted {
    Bus *bus; /* NULL: it is gone */
    BusReady ready;
    gpointer user;
    GCancellable *attempt; /* to connect; NULL: there is a connection */
    guint source;          /* the answer, or that it is too late for one */
} Wanted;

Bus *bus_new(const char *address)
{
    Bus *bus = g_new0(Bus, 1);

    bus->address = g_strdup(address);
    g_queue_init(&bus->wanted);
    return bus;
}

/* Nobody is to be answered any more; who has an attempt goes when that has ended. */
static void detach(gpointer data)
{
    Wanted *wanted = data;

    g_clear_handle_id(&wanted->source, g_source_remove);
    wanted->bus = NULL;
    if (wanted->attempt)
        g_cancellable_cancel(wanted->attempt);
    else
        g_free(wanted);
}

void bus_free(Bus *bus)
{
    if (!bus)
        return;
    g_queue_clear_full(&bus->wanted, detach);
    g_clear_object(&bus->connection);
    g_free(bus->address);
    g_free(bus);
}

/* The end of `wanted`. */
static void answer(Wanted *wanted, GDBusConnection *connection, const GError *error)
{
    if (wanted->bus) {
        g_clear_handle_id(&wanted->source, g_source_remove);
        g_queue_remove(&wanted->bus->wanted, wanted);
        wanted->ready(connection, error, wanted->user);
    }
    g_clear_object(&wanted->attempt);
    g_free(wanted);
}

static void on_connected(G_GNUC_UNUSED GObject *source, GAsyncResult *result, gpointer user)
{
    Wanted *wanted = user;
    g_autoptr(GError) error = NULL;
    g_autoptr(GDBusConnection) connection = g_dbus_connection_new_for_address_finish(result, &error);

    if (connection && wanted->bus)
        g_set_object(&wanted->bus->connection, connection);
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
        g_clear_error(&error);
        g_set_error_literal(&error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "no answer");
    }
    answer(wanted, connection, error);
}

static gboolean on_late(gpointer user)
{
    Wanted *wanted = user;

    wanted->source = 0;
    g_cancellable_cancel(wanted->attempt);
    return G_SOURCE_REMOVE;
}

static gboolean on_there(gpointer user)
{
    Wanted *wanted = user;

    wanted->source = 0;
    answer(wanted, wanted->bus->connection, NULL);
    return G_SOURCE_REMOVE;
}

void bus_get(Bus *bus, BusReady ready, gpointer user)
{
    Wanted *wanted = g_new(Wanted, 1);
    g_autofree char *address = bus->address ? g_strdup(bus->address)
                                            : g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, NULL);

    *wanted = (Wanted){ bus, ready, user, NULL, 0 };
    g_queue_push_tail(&bus->wanted, wanted);
    if (bus->connection && !g_dbus_connection_is_closed(bus->connection)) {
        wanted->source = g_idle_add_full(G_PRIORITY_DEFAULT, on_there, wanted, NULL);
        return;
    }
    wanted->attempt = g_cancellable_new();
    wanted->source = g_timeout_add(BUS_TIMEOUT_MS, on_late, wanted);
    g_dbus_connection_new_for_address(address ? address : "unix:path=/run/dbus/system_bus_socket",
                                      G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                          G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                      NULL, wanted->attempt, on_connected, wanted);
}
