/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clipboard-mutter.h - CLIPBOARD of Mutter, by org.gnome.Mutter.RemoteDesktop on the session bus.
 *
 * A remote desktop session that is never started: only its clipboard is enabled, for which Mutter neither asks the user
 * nor shows its sign for a shared screen. There is no PRIMARY in it.
 *
 * Mutter reads what we own at once, to keep it: values of the host are fetched when the host copies, not only when
 * somebody pastes. What Mutter puts in our place after we gave the selection up is reported as found().
 */
#ifndef CLIPBOARD_MUTTER_H
#define CLIPBOARD_MUTTER_H

#include "clipboard-backend.h"

#include <gio/gio.h>

/* The service is waited for, and it has failed() if it does not come. */
ClipboardBackend *clipboard_mutter_new(GDBusConnection *session_bus, guint timeout_ms,
                                       const ClipboardBackendEvents *events, gpointer user);

#endif
