/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A shutdown at a time of day, and sessions, by login1. */
#include "commands.h"
#include "extensions.h"

#define LOGIN "org.freedesktop.login1"
#define MANAGER(method) { "login1", LOGIN, "/org/freedesktop/login1", LOGIN ".Manager", method }
#define PROPERTIES "org.freedesktop.DBus.Properties"

/* A user can open sessions; that the host is told of so many must do. */
#define SESSIONS_MAX 256
#define DELAY_MAX_S (366 * 86400)
#define NS_PER_US 1000

/* ---- scheduled shutdown ---- */

typedef struct Shutdown {
    char *mode;
    guint64 time_us; /* since 1970 */
} Shutdown;

static void shutdown_free(gpointer data)
{
    Shutdown *shutdown = data;

    g_free(shutdown->mode);
    g_free(shutdown);
}

static json_t *describe(const char *mode, guint64 time_us)
{
    return json_pack("{s:s,s:I}", "mode", mode, "time", (json_int_t)(time_us * NS_PER_US));
}

static void on_scheduled(Call *call, G_GNUC_UNUSED GVariant *reply)
{
    const Shutdown *shutdown = extensions_data(call);

    extensions_return(call, describe(shutdown->mode, shutdown->time_us));
}

static void on_message_set(Call *call, G_GNUC_UNUSED GVariant *reply)
{
    static const Remote schedule = MANAGER("ScheduleShutdown");
    const Shutdown *shutdown = extensions_data(call);

    extensions_do(call, &schedule, g_variant_new("(st)", shutdown->mode, shutdown->time_us), NULL, on_scheduled);
}

/* Lines of text; anything else would move the cursor of every terminal, or have it do worse. */
static gboolean is_plain(const char *message)
{
    for (const char *at = message; *at; at = g_utf8_next_char(at))
        if (*at != '\n' && g_unichar_iscntrl(g_utf8_get_char(at)))
            return FALSE;
    return TRUE;
}

static void schedule_shutdown(Call *call, const json_t *args)
{
    static const Remote set_message = MANAGER("SetWallMessage");
    gint64 delay = args_int(args, "delay", 0);
    const char *message = args_string(args, "message", "");
    Shutdown *shutdown;

    if (!extensions_change(call, args))
        return;
    if (delay < 0 || delay > DELAY_MAX_S) {
        extensions_fail(call, "Parameter 'delay' must be from 0 to %d", DELAY_MAX_S);
        return;
    }
    if (!is_plain(message)) {
        extensions_fail(call, "Parameter 'message' has control characters other than newlines");
        return;
    }
    shutdown = g_new(Shutdown, 1);
    *shutdown = (Shutdown){ g_strdup(args_string(args, "mode", NULL)),
                            (guint64)(g_get_real_time() + delay * G_USEC_PER_SEC) };
    extensions_set_data(call, shutdown, shutdown_free);
    if (extensions_is_dry_run(args))
        on_message_set(call, NULL);
    else /* also without a message of its own: the last one's is still there */
        extensions_ask(call, &set_message, g_variant_new("(sb)", message, TRUE), NULL, on_message_set);
}

static void on_cancelled(Call *call, GVariant *reply)
{
    gboolean cancelled;

    g_variant_get(reply, "(b)", &cancelled);
    extensions_return(call, json_pack("{s:b}", "cancelled", cancelled));
}

static void cancel_shutdown(Call *call, const json_t *args)
{
    static const Remote cancel = MANAGER("CancelScheduledShutdown");

    if (extensions_change(call, args))
        extensions_do(call, &cancel, NULL, "(b)", on_cancelled);
}

static void on_shutdown(Call *call, GVariant *reply)
{
    g_autoptr(GVariant) value = NULL;
    const char *mode;
    guint64 time_us;

    g_variant_get(reply, "(v)", &value);
    if (!g_variant_is_of_type(value, G_VARIANT_TYPE("(st)"))) {
        extensions_fail(call, "login1 says nothing of a scheduled shutdown");
        return;
    }
    g_variant_get(value, "(&st)", &mode, &time_us);
    /* Without one, it is one of no mode. */
    extensions_return(call, mode[0] != '\0' ? describe(mode, time_us) : json_object());
}

static void get_shutdown(Call *call, G_GNUC_UNUSED const json_t *args)
{
    static const Remote get = { "login1", LOGIN, "/org/freedesktop/login1", PROPERTIES, "Get" };

    extensions_query(call);
    extensions_ask(call, &get, g_variant_new("(ss)", LOGIN ".Manager", "ScheduledShutdown"), "(v)", on_shutdown);
}

/* ---- sessions ---- */

/* Those that are there, and what is known of them up to number `next`. */
typedef struct Sessions {
    GVariant *all; /* a(susso) */
    gsize next;
    json_t *list;
} Sessions;

static void sessions_free(gpointer data)
{
    Sessions *sessions = data;

    g_variant_unref(sessions->all);
    json_decref(sessions->list);
    g_free(sessions);
}

static void ask_next(Call *call);

static void copy_text(json_t *object, const char *member, GVariant *properties, const char *name)
{
    const char *text;

    if (g_variant_lookup(properties, name, "&s", &text) && text[0] != '\0')
        json_object_set_new(object, member, json_string(text));
}

static void copy_boolean(json_t *object, const char *member, GVariant *properties, const char *name)
{
    gboolean value;

    if (g_variant_lookup(properties, name, "b", &value))
        json_object_set_new(object, member, json_boolean(value));
}

/* `reply` NULL: it has ended meanwhile. */
static void on_session(Call *call, GVariant *reply)
{
    Sessions *sessions = extensions_data(call);
    const char *id, *user, *seat;
    guint32 uid;

    g_variant_get_child(sessions->all, sessions->next++, "(&su&s&so)", &id, &uid, &user, &seat, NULL);
    if (reply) {
        g_autoptr(GVariant) properties = g_variant_get_child_value(reply, 0);
        json_t *session = json_pack("{s:s,s:I,s:s}", "id", id, "uid", (json_int_t)uid, "user", user);

        if (seat[0] != '\0')
            json_object_set_new(session, "seat", json_string(seat));
        copy_text(session, "type", properties, "Type");
        copy_text(session, "class", properties, "Class");
        copy_text(session, "state", properties, "State");
        copy_text(session, "remote-host", properties, "RemoteHost");
        copy_boolean(session, "locked", properties, "LockedHint");
        json_array_append_new(sessions->list, session);
    }
    ask_next(call);
}

static void ask_next(Call *call)
{
    Sessions *sessions = extensions_data(call);
    gsize count = g_variant_n_children(sessions->all);
    g_autofree char *path = NULL;

    if (sessions->next == MIN(count, SESSIONS_MAX)) {
        extensions_return(call, json_pack("{s:O,s:b}", "sessions", sessions->list, "truncated", count > SESSIONS_MAX));
        return;
    }
    g_variant_get_child(sessions->all, sessions->next, "(susso)", NULL, NULL, NULL, NULL, &path);

    const Remote get = { "login1", LOGIN, path, PROPERTIES, "GetAll" };

    extensions_ask_whether(call, &get, g_variant_new("(s)", LOGIN ".Session"), "(a{sv})", on_session);
}

static void on_sessions(Call *call, GVariant *reply)
{
    Sessions *sessions = g_new0(Sessions, 1);

    sessions->all = g_variant_get_child_value(reply, 0);
    sessions->list = json_array();
    extensions_set_data(call, sessions, sessions_free);
    ask_next(call);
}

static void list_sessions(Call *call, G_GNUC_UNUSED const json_t *args)
{
    static const Remote list = MANAGER("ListSessions");

    extensions_query(call);
    extensions_ask(call, &list, NULL, "(a(susso))", on_sessions);
}

static void change_session(Call *call, const json_t *args, const Remote *method)
{
    if (extensions_change(call, args))
        extensions_do(call, method, g_variant_new("(s)", args_string(args, "id", NULL)), NULL, NULL);
}

static void lock_session(Call *call, const json_t *args)
{
    static const Remote method = MANAGER("LockSession");

    change_session(call, args, &method);
}

static void unlock_session(Call *call, const json_t *args)
{
    static const Remote method = MANAGER("UnlockSession");

    change_session(call, args, &method);
}

static void terminate_session(Call *call, const json_t *args)
{
    static const Remote method = MANAGER("TerminateSession");

    change_session(call, args, &method);
}

static const char *const modes[] = { "poweroff", "reboot", "halt", NULL };
static const Arg schedule_args[] = {
    { .name = "mode", .type = ARG_WORD, .words = modes },
    { .name = "delay", .type = ARG_INT },
    { .name = "message", .type = ARG_STRING, .optional = TRUE },
    EXTENSIONS_CHANGE_ARGS,
};
static const Arg session_args[] = { { .name = "id", .type = ARG_STRING }, EXTENSIONS_CHANGE_ARGS };

const Command extensions_login_commands[] = {
    { EXTENSIONS_PREFIX "schedule-shutdown", COMMAND_POWER, 0, schedule_args, schedule_shutdown },
    { EXTENSIONS_PREFIX "cancel-shutdown", COMMAND_POWER, 0, extensions_change_args, cancel_shutdown },
    { EXTENSIONS_PREFIX "get-shutdown", COMMAND_INFORMATION, 0, NULL, get_shutdown },
    { EXTENSIONS_PREFIX "list-sessions", COMMAND_INFORMATION, 0, NULL, list_sessions },
    { EXTENSIONS_PREFIX "lock-session", COMMAND_SESSIONS, 0, session_args, lock_session },
    { EXTENSIONS_PREFIX "unlock-session", COMMAND_SESSIONS, 0, session_args, unlock_session },
    { EXTENSIONS_PREFIX "terminate-session", COMMAND_SESSIONS, 0, session_args, terminate_session },
    { .name = NULL },
};
