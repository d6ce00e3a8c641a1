/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clipboard-wayland.h - CLIPBOARD and PRIMARY of a compositor that has ext-data-control-v1 or wlr-data-control, for the
 * clipboard facade.
 *
 * Needs neither window nor focus. Of several seats the first is served, and when it goes the next. A compositor echoes
 * our own selections: as long as it has not cancelled ours, what it announces is that, or was there before.
 */
#ifndef CLIPBOARD_WAYLAND_H
#define CLIPBOARD_WAYLAND_H

#include "clipboard-backend.h"
#include "wayland.h"

/*
 * Serve those of the selections that the compositor has; wlr-data-control 1 has no PRIMARY. Fails without either
 * protocol. `wayland` outlives the result.
 */
ClipboardBackend *clipboard_wayland_new(Wayland *wayland, guint selections, guint timeout_ms,
                                        const ClipboardBackendEvents *events, gpointer user, GError **error);

#endif
