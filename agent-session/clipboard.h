/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clipboard.h - the guest's clipboard on one side, the SPICE client's on the other.
 *
 * The facade owns policy and the pure state machine (selection.h); a backend owns the desktop's selections. Data move
 * only when somebody pastes, in pieces, with at most one piece held here.
 */
#ifndef CLIPBOARD_H
#define CLIPBOARD_H

#include "stream.h"
#include "x11.h"

#include <gio/gio.h>

typedef struct Clipboard Clipboard;

/* What the settings allow; a direction that is off is off on the wire: no grab, no request, no data. */
typedef struct ClipboardPolicy {
    gboolean to_host, from_host, primary;
    gint64 max_size;   /* bytes of one value, both directions */
    guint timeout_ms;  /* silence after which the one who asked is answered with nothing */
} ClipboardPolicy;

/* The way to the SPICE client, given at construction; the functions of client.h in this shape. */
typedef struct ClipboardPeer {
    gboolean (*send)(const VdagentMessage *message, gpointer user);
    gsize (*room)(gpointer user);
    void (*send_data)(const guint8 *data, gsize size, gpointer user);
    void (*abort)(gpointer user);
    void (*pause)(gboolean paused, gpointer user);
    /* Something was refused: for the log, D-Bus and the user. */
    void (*refused)(const char *what, const char *why, gpointer user);
} ClipboardPeer;

Clipboard *clipboard_new(const ClipboardPolicy *policy, const ClipboardPeer *peer, gpointer user);
void clipboard_free(Clipboard *clipboard);

/* Serve this X connection; NULL for none. The connection must outlive its use. */
gboolean clipboard_set_x11(Clipboard *clipboard, X11 *x11, GError **error);

/* Events of the connection, as in client.h. With agreed NULL the client left: its grabs end and requests get nothing. */
void clipboard_peer(Clipboard *clipboard, const Caps *agreed, const Caps *theirs);
void clipboard_message(Clipboard *clipboard, const VdagentMessage *message);
void clipboard_bulk(Clipboard *clipboard, const VdagentMessage *head);
void clipboard_data(Clipboard *clipboard, const guint8 *data, gsize size);
void clipboard_bulk_end(Clipboard *clipboard);
void clipboard_writable(Clipboard *clipboard);

/* For a terminal: see org.spice_space.AgentSession1. `fd` is consumed. Finishes by `task` (returns boolean). */
void clipboard_copy(Clipboard *clipboard, guint8 selection, const char *mime, int fd, GTask *task);
void clipboard_paste(Clipboard *clipboard, guint8 selection, const char *mime, int fd, GTask *task);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Clipboard, clipboard_free)

#endif
