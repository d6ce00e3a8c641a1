/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * link.h - the two sockets of one session connection on the main loop.
 *
 * Reads only what its owner wants and writes what it has; keeps nothing itself.
 */
#ifndef LINK_H
#define LINK_H

#include "router.h"

#include <glib.h>

typedef struct Link Link;

/* Called from the main loop and from link_write(). The link may be freed inside each of them and calls nothing after that. */
typedef struct LinkEvents {
    /* How many bytes may be read now, at most LIMIT_READ; 0: do not read. */
    gsize (*want)(RouterSocket socket, gpointer user);
    /* At most that many bytes. */
    void (*data)(RouterSocket socket, const guint8 *data, gsize size, gpointer user);
    /* Bytes to be written, and how many of them were. */
    const guint8 *(*peek)(RouterSocket socket, gsize *ret_size, gpointer user);
    void (*taken)(RouterSocket socket, gsize size, gpointer user);
    /* One of the sockets was closed or failed. */
    void (*closed)(const char *why, gpointer user);
} LinkEvents;

/*
 * Make two pairs of connected sockets: one end of each is watched, the others are put into `ret_peer`, which the caller has to
 * close.
 */
Link *link_new(const LinkEvents *events, gpointer user, int ret_peer[ROUTER_SOCKETS], GError **error);

/* Closes the sockets. NULL is fine. */
void link_free(Link *link);

/* Write what there is to write, and look again what is wanted. */
void link_update(Link *link);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Link, link_free)

#endif
