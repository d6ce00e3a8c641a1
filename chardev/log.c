/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define G_LOG_USE_STRUCTURED
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

static struct {
    const char *name;
    gboolean debug, journal, paused;
} setup;

/* The number of syslog(3), as journald takes it from the start of a line. */
static int priority(GLogLevelFlags level)
{
    if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL)) {
        return 3;
    }
    if (level & G_LOG_LEVEL_WARNING) {
        return 4;
    }
    return level & G_LOG_LEVEL_DEBUG ? 7 : 6;
}

static gboolean has_own_fields(const GLogField *fields, gsize count)
{
    for (gsize i = 0; i < count; i++) {
        if (g_str_has_prefix(fields[i].key, LOG_FIELD_PREFIX)) {
            return TRUE;
        }
    }
    return FALSE;
}

static GLogWriterOutput write_line(GLogLevelFlags level, const GLogField *fields, gsize count, gpointer user)
{
    (void)user;
    /* What a library finds worth an information is our debugging: GLib reports what the sandbox denies it. */
    for (gsize i = 0; i < count && (level & G_LOG_LEVEL_INFO); i++) {
        if (g_str_equal(fields[i].key, "GLIB_DOMAIN")) {
            level = G_LOG_LEVEL_DEBUG;
        }
    }
    if (setup.paused || ((level & G_LOG_LEVEL_DEBUG) && !setup.debug)) {
        return G_LOG_WRITER_HANDLED;
    }
    /* The stream that is stderr has no fields. */
    if (setup.journal && has_own_fields(fields, count) &&
        g_log_writer_journald(level, fields, count, NULL) == G_LOG_WRITER_HANDLED) {
        return G_LOG_WRITER_HANDLED;
    }
    for (gsize i = 0; i < count; i++) {
        if (!g_str_equal(fields[i].key, "MESSAGE")) {
            continue;
        }

        g_autoptr(GString) line = g_string_new(NULL);

        if (setup.journal) {
            g_string_printf(line, "<%d>", priority(level));
        } else {
            g_string_printf(line, "%s: ", setup.name);
        }
        gsize start = line->len;

        g_string_append_len(line, fields[i].value, fields[i].length);
        for (gsize at = start; at < line->len; at++) {
            if (g_ascii_iscntrl(line->str[at])) {
                line->str[at] = '?';
            }
        }
        g_string_append_c(line, '\n');
        while (write(STDERR_FILENO, line->str, line->len) < 0 && errno == EINTR) {
        }
    }
    return G_LOG_WRITER_HANDLED;
}

void log_setup(const char *name, gboolean debug)
{
    setup.name = name;
    setup.debug = debug;
    setup.journal = g_log_writer_is_journald(STDERR_FILENO);
    g_set_prgname(name);
    g_log_set_writer_func(write_line, NULL, NULL);
}

void log_pause(gboolean paused)
{
    setup.paused = paused;
}

gboolean log_peer_may(LogPeer *peer, guint *ret_suppressed)
{
    const gint64 interval = LOG_INTERVAL_S * G_USEC_PER_SEC;
    gint64 now = g_get_monotonic_time();
    gint64 refills = (now - peer->refill) / interval;

    if (refills >= peer->tokens_used) {
        peer->tokens_used = 0;
        peer->refill = now;
    } else {
        peer->tokens_used -= (guint)refills;
        peer->refill += refills * interval;
    }
    if (peer->tokens_used >= LOG_BURST) {
        peer->suppressed++;
        return FALSE;
    }
    peer->tokens_used++;
    *ret_suppressed = peer->suppressed;
    peer->suppressed = 0;
    return TRUE;
}

void log_peer(LogPeer *peer, const char *format, ...)
{
    guint suppressed;

    if (!log_peer_may(peer, &suppressed)) {
        return;
    }

    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_autofree char *more = suppressed > 0 ? g_strdup_printf(" (and %u more before)", suppressed) : NULL;

    g_warning("%s: %s%s", peer->name, text, more ? more : "");
}

void log_bug(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);

    g_critical("bug: %s", text);
}
