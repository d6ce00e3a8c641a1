/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shutdown and sleep by systemctl, as root, where login1 did not do it: there is no polkit, which it asks about
 * everybody else, or no logind.
 */
#include "helperverbs.h"

/* `what` is for the text. */
static char *systemctl(const char *verb, const char *what)
{
    /* Not to be kept up by programs that ask for a delay: the host would only pull the plug. */
    const char *const argv[] = { "systemctl", "--no-block", "--no-ask-password", "--ignore-inhibitors", verb, NULL };
    g_autofree char *errors = NULL;
    g_autoptr(GError) error = NULL;
    gint status;

    if (!g_spawn_sync("/", (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL,
                      &errors, &status, &error) ||
        !g_spawn_check_wait_status(status, &error))
        return g_strdup_printf("child process has failed to %s: %s", what,
                               errors && errors[0] != '\0' ? g_strchomp(errors) : error->message);
    return NULL;
}

char *power_shutdown(const char *const *words, G_GNUC_UNUSED GPtrArray *reply)
{
    const char *verb = g_str_equal(words[0], "halt") ? "halt" : g_str_equal(words[0], "reboot") ? "reboot" : "poweroff";

    return systemctl(verb, "shutdown");
}

char *power_suspend_disk(G_GNUC_UNUSED const char *const *words, G_GNUC_UNUSED GPtrArray *reply)
{
    return systemctl("hibernate", "suspend");
}

char *power_suspend_ram(G_GNUC_UNUSED const char *const *words, G_GNUC_UNUSED GPtrArray *reply)
{
    return systemctl("suspend", "suspend");
}

char *power_suspend_hybrid(G_GNUC_UNUSED const char *const *words, G_GNUC_UNUSED GPtrArray *reply)
{
    return systemctl("hybrid-sleep", "suspend");
}
