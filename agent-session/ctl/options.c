/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "options.h"

gboolean options_parse(const char *summary, const GOptionEntry *entries, int argc, char **argv)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autofree char *program = g_strdup_printf("spice-agentctl %s", argv[0]);
    g_autoptr(GError) error = NULL;

    g_set_prgname(program); /* for the usage line */
    g_option_context_set_summary(context, summary);
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        g_printerr("%s: %s\nSee '%s --help'.\n", program, error->message, program);
        return FALSE;
    }
    if (argc > 1) {
        g_printerr("%s: unknown argument '%s'\nSee '%s --help'.\n", program, argv[1], program);
        return FALSE;
    }
    return TRUE;
}
