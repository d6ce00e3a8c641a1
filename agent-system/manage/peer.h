/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * peer.h - the client of the host, one at a time: on a virtio port, or at a unix socket where we listen.
 *
 * Input waits while the owner does not take it or replies wait for the client to read, in buffers of the kernel and one
 * of LIMIT_READ bytes here. Replies wait without a bound of their own: the owner makes no more than one when it is told
 * that there are enough.
 */
#ifndef PEER_H
#define PEER_H

#include <glib.h>

typedef struct Peer Peer;

/* Called from the main loop. */
typedef struct PeerEvents {
    /* Takes input and says how much; the rest comes again after peer_resume(), or when replies have been read. */
    gsize (*input)(const guint8 *data, gsize size, gpointer user);
    /* The client has left; replies that it has not read are gone. */
    void (*left)(gpointer user);
    /* The port is dead, as PortEvents says; the peer may be freed. Not where we listen. */
    void (*gone)(const GError *error, gpointer user);
} PeerEvents;

/* Open a port, as port_open(). */
Peer *peer_open(const char *path, const PeerEvents *events, gpointer user, GError **error);

/*
 * Listen at a path, where a socket that is there is replaced, for clients of our user. The next waits until the last
 * has left.
 */
Peer *peer_listen(const char *path, const PeerEvents *events, gpointer user, GError **error);

/* Also removes the path where it listens. NULL is fine. */
void peer_free(Peer *peer);

/* Send a reply, which is taken over. False if more than enough is waiting. */
gboolean peer_send(Peer *peer, GBytes *reply);

/* The owner can take input again. */
void peer_resume(Peer *peer);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Peer, peer_free)

#endif
