/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * layoutsock.h - the socket on which spice-pvmouse is told where the displays lie.
 *
 * SOCK_SEQPACKET; each message is one layout of LAYOUT_WIRE_SIZE bytes (layout.h) and replaces the one before,
 * whoever sent it. The last one stays in force when its sender goes. Only root, the user of this process and the
 * system daemon's user are heard; of more than a few connections the oldest is closed.
 */
#ifndef LAYOUTSOCK_H
#define LAYOUTSOCK_H

#include "layout.h"

#include <glib.h>

/* The system daemon's user. */
#define LAYOUTSOCK_USER "spice-agent"

typedef struct LayoutSock LayoutSock;

typedef void (*LayoutSockChanged)(const Layout *layout, gpointer user);

/*
 * Listen at `path`, in place of a socket that is there, or take over the one that systemd passed. `changed` is called
 * from the main loop.
 */
LayoutSock *layoutsock_new(const char *path, LayoutSockChanged changed, gpointer user, GError **error);

/* NULL is fine. */
void layoutsock_free(LayoutSock *sock);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(LayoutSock, layoutsock_free)

#endif
