/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs that the host has run, as transient units of systemd's, which it starts for root without asking polkit. Who may run
 * programs as root may do all else: what the daemon wants of the unit is not looked at.
 */
#include "exec.h"
#include "helperverbs.h"

#include <string.h>

char *programs_start(const char *const *words, GUnixFDList *given, G_GNUC_UNUSED int *ret_fd)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) arguments = g_variant_parse(EXEC_START_TYPE, words[1], NULL, NULL, &error);
    GDBusConnection *bus = arguments ? g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, &error) : NULL; /* kept to the end */
    g_autoptr(GVariant) reply =
        bus ? g_dbus_connection_call_with_unix_fd_list_sync(bus, EXEC_SYSTEMD, EXEC_SYSTEMD_PATH, EXEC_MANAGER,
                                                            "StartTransientUnit", arguments, G_VARIANT_TYPE("(o)"),
                                                            G_DBUS_CALL_FLAGS_NONE, -1, given, NULL, NULL, &error)
            : NULL;

    if (reply)
        return NULL;
    g_dbus_error_strip_remote_error(error);
    return g_strdup(error->message);
}
