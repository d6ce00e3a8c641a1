/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus.h - blocking D-Bus calls for a command-line tool.
 */
#ifndef BUS_H
#define BUS_H

#include <gio/gio.h>

/* The system daemon, on the system bus, and the session daemon, on the session bus; see protocol/ for both. */
#define BUS_AGENT "org.spice_space.Agent1"
#define BUS_AGENT_PATH "/org/spice_space/Agent1"
#define BUS_SESSION "org.spice_space.AgentSession1"
#define BUS_SESSION_PATH "/org/spice_space/AgentSession1"

/*
 * Connect to the system or the session bus. The latter is found without an environment too, as over ssh: it is then the
 * one that systemd and dbus-user-session start for each user.
 */
GDBusConnection *bus_connect(GBusType type, GError **error);

/* Call a method and wait at most 5 s. Never starts a service. `parameters` is consumed if floating. */
GVariant *bus_call(GDBusConnection *bus, const char *name, const char *path, const char *interface, const char *method,
                   GVariant *parameters, const char *reply_type, GError **error);

/* All properties of an object's interface, a{sv}. */
GVariant *bus_properties(GDBusConnection *bus, const char *name, const char *path, const char *interface,
                         GError **error);

/* Connect and get the properties of one of our daemons: BUS_AGENT or BUS_SESSION. */
GVariant *bus_daemon_properties(const char *name, GError **error);

/* Nobody owns the name called. */
gboolean bus_nobody_there(const GError *error);

/* Text of an error of a call without the "GDBus.Error:…: " that names its type. Valid as long as the error. */
const char *bus_error_text(const GError *error);

#endif
