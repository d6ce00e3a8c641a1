/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * server.h - libspice-server as the options say: where it listens, who may connect, who is connected.
 *
 * At a unix socket and a port without TLS we listen ourselves and hand the connections over by way of the gate, since
 * libspice-server believes what clients announce, and removes whatever stands at a path it is given. With TLS or SASL it
 * listens itself.
 */
#ifndef SERVER_H
#define SERVER_H

#include "gate.h"
#include "options.h"

#include <jansson.h>
#include <spice.h>

typedef struct Server Server;

typedef struct ServerEvents {
    /* A client's input channel, or its main channel, has ended: nothing more is known of its buttons. */
    void (*input_gone)(gpointer user);
    /* How many clients are connected now, and how many channels of displays they have. */
    void (*watched)(guint clients, guint viewers, gpointer user);
} ServerEvents;

/*
 * Start it. `ticket` may be NULL; it is copied by libspice-server. Errors are those of options.h where the configuration is to blame
 * or the address is taken.
 */
Server *server_new(const Options *options, const char *ticket, const ServerEvents *events, gpointer user, GError **error);
/* Ends all connections. NULL is fine. */
void server_free(Server *server);

SpiceServer *server_spice(const Server *server);

/* What clients come through; NULL where libspice-server listens itself. */
Gate *server_gate(const Server *server);

/* Where a client connects to, as remote-viewer takes it. */
const char *server_uri(const Server *server);

/* One JSON object for each client: address, tls, channels. A new reference. */
json_t *server_clients(const Server *server);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Server, server_free)

#endif
