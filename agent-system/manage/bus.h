/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus.h - the system bus, connected to when it is first needed: most guests never do.
 */
#ifndef BUS_H
#define BUS_H

#include <gio/gio.h>

typedef struct Bus Bus;

/* `address` NULL: the system's. */
Bus *bus_new(const char *address);

/* Nothing is called back after that. NULL is fine. */
void bus_free(Bus *bus);

/*
 * The connection, borrowed, or NULL with an error. It is tried anew each time there is none. Called from the main loop,
 * never before bus_get() returns, and when the bus neither answers nor refuses after BUS_TIMEOUT_MS.
 */
#define BUS_TIMEOUT_MS 10000
typedef void (*BusReady)(GDBusConnection *connection, const GError *error, gpointer user);
void bus_get(Bus *bus, BusReady ready, gpointer user);

#endif
