/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define G_LOG_USE_STRUCTURED
#include "audit.h"

#include "log.h"

/* Cut, and such that the journal shows it as text and on one line. */
static char *readable(const char *text)
{
    g_autofree char *start = g_strndup(text, AUDIT_FIELD_MAX);
    g_autofree char *valid = g_utf8_make_valid(start, -1);
    GString *result = g_string_new(NULL);

    for (const char *at = valid; *at; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);

        g_string_append_unichar(result, g_unichar_iscntrl(c) ? '?' : c);
    }
    return g_string_free(result, FALSE);
}

void audit_record(const char *command, const char *arguments, const char *error)
{
    static LogPeer host = { .name = "host" };
    guint suppressed = 0;

    if (error && !log_peer_may(&host, &suppressed))
        return;

    g_autofree char *more = suppressed > 0 ? g_strdup_printf(" (and %u more before)", suppressed) : NULL;
    g_autofree char *short_arguments = readable(arguments);
    g_autofree char *result = readable(error ? error : "done");
    g_autofree char *message = g_strdup_printf("audit: %s %s: %s%s", command, short_arguments, result,
                                               more ? more : "");
    const GLogField fields[] = {
        { "MESSAGE", message, -1 },
        { "PRIORITY", "5", -1 }, /* a notice */
        { "SYSLOG_IDENTIFIER", g_get_prgname(), -1 },
        { "SPICE_PV_COMMAND", command, -1 },
        { "SPICE_PV_ARGUMENTS", short_arguments, -1 },
        { "SPICE_PV_RESULT", result, -1 },
    };

    g_log_structured_array(G_LOG_LEVEL_MESSAGE, fields, G_N_ELEMENTS(fields));
}
