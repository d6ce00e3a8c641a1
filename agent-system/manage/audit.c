/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define G_LOG_USE_STRUCTURED
#include "audit.h"

#include <glib.h>

static char *cut(const char *text)
{
    g_autofree char *start = g_strndup(text, AUDIT_FIELD_MAX);

    return g_utf8_make_valid(start, -1);
}

void audit_record(const char *command, const char *arguments, const char *result)
{
    g_autofree char *short_arguments = cut(arguments);
    g_autofree char *short_result = cut(result);
    g_autofree char *message = g_strdup_printf("audit: %s %s: %s", command, short_arguments, short_result);
    const GLogField fields[] = {
        { "MESSAGE", message, -1 },
        { "PRIORITY", "5", -1 }, /* a notice */
        { "SYSLOG_IDENTIFIER", g_get_prgname(), -1 },
        { "SPICE_PV_COMMAND", command, -1 },
        { "SPICE_PV_ARGUMENTS", short_arguments, -1 },
        { "SPICE_PV_RESULT", short_result, -1 },
    };

    g_log_structured_array(G_LOG_LEVEL_MESSAGE, fields, G_N_ELEMENTS(fields));
}
