/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client.h - the session daemon's connection to the system daemon.
 *
 * Follows org.spice_space.Agent1 on the system bus: opens a session connection whenever the served session is the
 * active one, and again after it was lost. Decodes both sockets and answers every ANNOUNCE_CAPABILITIES itself; what a
 * former SPICE client was meant to get is never sent to the next one.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include "stream.h"

#include <gio/gio.h>

typedef enum ClientSocket {
    CLIENT_CONTROL,
    CLIENT_FILES
} ClientSocket;
#define CLIENT_SOCKETS 2

typedef struct Client Client;

/* Called from the main loop. The client must not be freed inside; every function of it may be called. */
typedef struct ClientEvents {
    /* The connection is there (info as in OpenSession) or was lost (NULL): transfers and requests end with it. */
    void (*session)(GVariant *info, gpointer user);
    /*
     * A SPICE client arrived on this socket (what both ends agreed on for layouts, and its own announcement), or left
     * (both NULL). The sockets run independently: what follows on one is from the client announced last on that one.
     */
    void (*peer)(ClientSocket socket, const Caps *agreed, const Caps *theirs, gpointer user);
    /* A small message. */
    void (*message)(ClientSocket socket, const VdagentMessage *message, gpointer user);
    /* A bulk message: its head, its data in pieces, its end. Ends without `bulk_end` only by `session` or `peer`. */
    void (*bulk)(ClientSocket socket, const VdagentMessage *head, gpointer user);
    void (*data)(ClientSocket socket, const guint8 *data, gsize size, gpointer user);
    void (*bulk_end)(ClientSocket socket, gpointer user);
    /* client_room() has grown after a caller found it too small. */
    void (*writable)(ClientSocket socket, gpointer user);
} ClientEvents;

/* `bus` must outlive the result. Nothing is called back before the main loop runs. */
Client *client_new(GDBusConnection *bus, const ClientEvents *events, gpointer user);
void client_free(Client *client);

/* The logind session to serve, NULL for none: then the connection ends. */
void client_set_session(Client *client, const char *session);

/* What this daemon can do now (VD_AGENT_CAP_* without the layout capabilities); announced when it changes. */
void client_set_caps(Client *client, const Caps *caps);

/*
 * Send a small message, or the head of a bulk message whose data follow by client_send_data(). False when there is no
 * client or no connection; the message is then dropped. Small messages are always accepted while connected (one given
 * during a bulk message goes out after it): a socket with too much waiting is not read, so answers are bounded, and one
 * with more than 1 MiB ends the connection.
 */
gboolean client_send(Client *client, ClientSocket socket, const VdagentMessage *message);

/* Bytes of bulk data that may be sent now. */
gsize client_room(Client *client, ClientSocket socket);

/* Data of the bulk message begun last on this socket, at most client_room() bytes. */
void client_send_data(Client *client, ClientSocket socket, const guint8 *data, gsize size);

/* Stop (or resume) reading a socket. What has been read already is still delivered. */
void client_pause(Client *client, ClientSocket socket, gboolean paused);

/* Report the layout, a(suuiiuuu) as in SetLayout. Sent when it differs from the last one and after reconnecting. */
void client_set_layout(Client *client, GVariant *outputs);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Client, client_free)

#endif
