/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log.h - one log for all daemons: the journal under systemd, stderr otherwise.
 *
 * Everything goes through GLib's log (g_info() for what an administrator would miss, g_warning(), g_debug()) to
 * stderr; when that is the journal's stream each line carries its priority. So logging needs no descriptor and no
 * system call but write(), also in the sandbox. Control characters are replaced: a peer's text cannot begin a line of
 * its own. In the journal, a structured message with a field whose name begins with LOG_FIELD_PREFIX keeps its fields,
 * as they are, for which a unix socket is made.
 *
 * A message that a peer can cause goes through log_peer(), which names the one to blame and is rate-limited per peer:
 * LOG_BURST messages at once and one each LOG_INTERVAL_S after that; what was left out is counted in the next one.
 */
#ifndef LOG_H
#define LOG_H

#include <glib.h>

#define LOG_FIELD_PREFIX "SPICE_PV_"

#define LOG_BURST 10
#define LOG_INTERVAL_S 5

/* Set up logging for program `name`, a static string; debug messages are shown if `debug`. Call first in main(). */
void log_setup(const char *name, gboolean debug);

/* While paused nothing is written: it might have to wait for a disk, or go to one that must rest. It is lost. */
void log_pause(gboolean paused);

/* Who caused the message; kept by the owner of the peer. All zero but the name is a fresh one. */
typedef struct LogPeer {
    const char *name; /* "host", "guest", "session", "client", "x11" */
    gint64 refill;
    guint tokens_used, suppressed;
} LogPeer;

/* Whether a message on its account may be written now; if so, `*ret_suppressed` is how many were not before it. */
gboolean log_peer_may(LogPeer *peer, guint *ret_suppressed);

/* Warn about a peer's mistake: "host: …". */
void log_peer(LogPeer *peer, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Our own mistake: "bug: …". Not rate-limited; there should be none. */
void log_bug(const char *format, ...) G_GNUC_PRINTF(1, 2);

#endif
