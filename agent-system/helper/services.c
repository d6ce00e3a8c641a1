/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Services that manage.conf names, restarted by systemctl as root. Not by the daemon: polkit, which systemd would ask
 * about it, does not know the file, and could only let it restart all of them or none.
 */
#include "helperverbs.h"

#include "manageconf.h"
#include "systemctl.h"

#include <string.h>

char *services_restart(const char *const *words, G_GNUC_UNUSED GPtrArray *reply)
{
    const char *unit = words[0];
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = manageconf_load(NULL, &error);

    if (!config)
        return g_strdup(error->message);
    /* What has one of these is no name but a pattern, which systemctl knows and systemd does not. */
    if (strpbrk(unit, "*?[") || !manageconf_may_restart(config_string(config, "services", "restart"), unit))
        return g_strdup_printf("%s is none of the services that the guest's administrator has named in manage.conf",
                               unit);

    g_autofree char *why = systemctl("restart", unit);

    return why ? g_strdup_printf("systemd1: %s", why) : NULL;
}
