/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shutdown and sleep by systemctl, as root, where login1 did not do it: there is no polkit, which it asks about
 * everybody else, or no logind.
 */
#include "helperverbs.h"
#include "systemctl.h"

/* `what` is for the text. */
static char *ask_systemctl(const char *verb, const char *what)
{
    g_autofree char *why = systemctl(verb, NULL);

    return why ? g_strdup_printf("child process has failed to %s: %s", what, why) : NULL;
}

char *power_shutdown(const char *const *words, G_GNUC_UNUSED GPtrArray *reply)
{
    const char *verb = g_str_equal(words[0], "halt") ? "halt" : g_str_equal(words[0], "reboot") ? "reboot" : "poweroff";

    return ask_systemctl(verb, "shutdown");
}

char *power_suspend_disk(G_GNUC_UNUSED const char *const *words, G_GNUC_UNUSED GPtrArray *reply)
{
    return ask_systemctl("hibernate", "suspend");
}

char *power_suspend_ram(G_GNUC_UNUSED const char *const *words, G_GNUC_UNUSED GPtrArray *reply)
{
    return ask_systemctl("suspend", "suspend");
}

char *power_suspend_hybrid(G_GNUC_UNUSED const char *const *words, G_GNUC_UNUSED GPtrArray *reply)
{
    return ask_systemctl("hybrid-sleep", "suspend");
}
