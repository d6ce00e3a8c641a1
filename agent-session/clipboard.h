/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clipboard.h - the guest's clipboard on one side, the SPICE client's on the other.
 *
 * The facade owns policy and the pure state machine (selection.h); a backend owns the desktop's selections. Data move
 * only when somebody pastes. From the host they pass in pieces (inflow.h); a value of the guest is gathered first,
 * since its size goes before it, and freed when it is sent (outflow.h). All that is gathered and waits is at most
 * max_size.
 *
 * Text has line feeds: the guest announces VD_AGENT_CAP_GUEST_LINEEND_LF, and the client converts from and to its own.
 * For QEMU's built-in agent channel, which does not, CR LF becomes LF here.
 */
#ifndef CLIPBOARD_H
#define CLIPBOARD_H

#include "clipboard-backend.h"
#include "stream.h"
#include "wayland.h"
#include "x11.h"

#include <gio/gio.h>

typedef struct Clipboard Clipboard;

/* What the settings allow; a direction that is off is off on the wire: no grab, no request, no data. */
typedef struct ClipboardPolicy {
    gboolean to_host, from_host, primary;
    gint64 max_size;   /* bytes of one value, both directions; negative: as many as the protocol can say */
    guint timeout_ms;  /* silence after which the one who asked is answered with nothing */
    const char *converter; /* path of spice-agent-convert, which need not be there; NULL: images are not converted */
} ClipboardPolicy;

/* The way to the SPICE client, given at construction; the functions of client.h in this shape. */
typedef struct ClipboardPeer {
    gboolean (*send)(const VdagentMessage *message, gpointer user);
    gsize (*room)(gpointer user);
    void (*send_data)(const guint8 *data, gsize size, gpointer user);
    void (*pause)(gboolean paused, gpointer user);
    /* Something was refused: for the log, D-Bus and the user. A direction that is off is told once for each client. */
    void (*refused)(const char *what, const char *why, gpointer user);
    /* A backend serves no more: clipboard_serve_none() is due, from this call or later, and then perhaps another. */
    void (*lost)(const char *why, gpointer user);
    /* Something happened while CLIPBOARD has a backend and PRIMARY none: it may have one by now. May be NULL. */
    void (*no_primary)(gpointer user);
} ClipboardPeer;

Clipboard *clipboard_new(const ClipboardPolicy *policy, const ClipboardPeer *peer, gpointer user);
void clipboard_free(Clipboard *clipboard);

/*
 * Add what the clipboard can do to the capabilities to announce: nothing with both directions off, and the same with a
 * desktop and without, since terminals copy and paste too.
 */
void clipboard_add_caps(const Clipboard *clipboard, Caps *caps);

/*
 * Serve a desktop's selections, CLIPBOARD_ONLY() of each (clipboard-backend.h), that no backend serves yet. The
 * connection must outlive its use, to clipboard_serve_none().
 */
gboolean clipboard_serve_x11(Clipboard *clipboard, X11 *x11, guint selections, GError **error);
gboolean clipboard_serve_wayland(Clipboard *clipboard, Wayland *wayland, guint selections, GError **error);
void clipboard_serve_mutter(Clipboard *clipboard, GDBusConnection *session_bus);
void clipboard_serve_none(Clipboard *clipboard);

/* Do without the backend that serves these selections and no other, if there is one. */
void clipboard_unserve(Clipboard *clipboard, guint selections);

/* Names of the backends, for the user; to be freed. NULL: none. */
char *clipboard_backends(const Clipboard *clipboard);

/*
 * Events of the connection, as in client.h. With agreed NULL the client left: its grabs end and requests get nothing.
 */
void clipboard_peer(Clipboard *clipboard, const Caps *agreed, const Caps *theirs);
void clipboard_message(Clipboard *clipboard, const VdagentMessage *message);
void clipboard_bulk(Clipboard *clipboard, const VdagentMessage *head);
void clipboard_data(Clipboard *clipboard, const guint8 *data, gsize size);
void clipboard_bulk_end(Clipboard *clipboard);
void clipboard_writable(Clipboard *clipboard);

/*
 * For a terminal: see org.spice_space.AgentSession1. `fd` and `task` are consumed; the task returns TRUE or an error,
 * G_IO_ERROR_PERMISSION_DENIED (refused), _NOT_FOUND (empty) or _TIMED_OUT among others. Works without X too.
 */
void clipboard_copy(Clipboard *clipboard, guint8 selection, const char *mime, int fd, GTask *task);
void clipboard_paste(Clipboard *clipboard, guint8 selection, const char *mime, int fd, GTask *task);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Clipboard, clipboard_free)

#endif
