/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "systemctl.h"

char *systemctl(const char *verb, const char *unit)
{
    /* Not to be kept up by programs that ask for a delay of a shutdown: the host would only pull the plug. */
    const char *const argv[] = { "systemctl", "--no-block", "--no-ask-password", "--ignore-inhibitors",
                                 "--",        verb,         unit,                NULL };
    g_autofree char *errors = NULL;
    g_autoptr(GError) error = NULL;
    gint status;

    if (g_spawn_sync("/", (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL,
                     &errors, &status, &error) &&
        g_spawn_check_wait_status(status, &error))
        return NULL;
    return g_strdup(errors && errors[0] != '\0' ? g_strchomp(errors) : error->message);
}
