/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * displays-mutter.h - outputs of Mutter, by org.gnome.Mutter.DisplayConfig on the session bus.
 *
 * Only modes that a monitor has can be set. What is set is temporary: Mutter neither asks the user to confirm it nor
 * keeps it for the next time. Mutter wants outputs that touch, without gaps, and has a few scales for each mode, of
 * which the nearest is taken. Outputs are in the order of their connectors' names.
 */
#ifndef DISPLAYS_MUTTER_H
#define DISPLAYS_MUTTER_H

#include "displays-backend.h"

#include <gio/gio.h>

/* The service is waited for, and it has failed() if it does not come. */
DisplaysBackend *displays_mutter_new(GDBusConnection *session_bus, const DisplaysBackendEvents *events, gpointer user);

#endif
