/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sessions.h"

#include "interface.h"
#include "log.h"

#include <gio/gunixfdlist.h>
#include <string.h>

#define BUS "org.freedesktop.DBus"
#define BUS_PATH "/org/freedesktop/DBus"
#define CALL_TIMEOUT_MS 10000
#define NO_USER 4294967295u

struct Sessions {
    GDBusConnection *bus;
    GDBusNodeInfo *info;
    SessionsEvents events;
    gpointer user;
    gboolean clipboard, files;
    guint object_id, name_id;
    GCancellable *calls;
    GHashTable *asking; /* sender → number of its calls */
    guint asking_count;
    GHashTable *signalled; /* property → value */
    GHashTable *changed;   /* properties that may have; their names are static */
    guint changed_id;
    char *active;
    guint32 uid;
    RouterSession class; /* ROUTER_NO_SESSION: may do nothing */
    /* OpenSession calls of the active uid; others get no further than being refused. */
    guint32 opened_uid;
    guint opened;
    gint64 opened_refill;
    LogPeer log;
};

/* A call whose sender's uid has been asked for. */
typedef struct Call {
    Sessions *sessions;
    GDBusMethodInvocation *invocation;
} Call;

static void refuse(Sessions *sessions, GDBusMethodInvocation *invocation, const char *name, const char *why)
{
    log_peer(&sessions->log, "%s of %s refused: %s", g_dbus_method_invocation_get_method_name(invocation),
             g_dbus_method_invocation_get_sender(invocation), why);
    g_dbus_method_invocation_return_dbus_error(invocation, name, why);
}

#define DENIED "org.freedesktop.DBus.Error.AccessDenied"
#define INVALID "org.freedesktop.DBus.Error.InvalidArgs"
#define LIMITS "org.freedesktop.DBus.Error.LimitsExceeded"
#define NOT_ACTIVE "org.spice_space.Agent1.Error.NotActive"

/* One more OpenSession of this uid? */
static gboolean may_open(Sessions *sessions, guint32 uid)
{
    const gint64 interval = SESSIONS_OPEN_INTERVAL_S * G_USEC_PER_SEC;
    gint64 now = g_get_monotonic_time();
    gint64 refills = (now - sessions->opened_refill) / interval;

    if (uid != sessions->opened_uid || refills >= sessions->opened) {
        sessions->opened = 0;
        sessions->opened_refill = now;
        sessions->opened_uid = uid;
    } else {
        sessions->opened -= (guint)refills;
        sessions->opened_refill += refills * interval;
    }
    if (sessions->opened == SESSIONS_OPEN_BURST)
        return FALSE;
    sessions->opened++;
    return TRUE;
}

/* ---- methods, for the uid of the active session ---- */

static void open_session(Sessions *sessions, GDBusMethodInvocation *invocation)
{
    g_autoptr(GVariant) options = g_variant_get_child_value(g_dbus_method_invocation_get_parameters(invocation), 0);
    g_autoptr(GVariant) claim = g_variant_lookup_value(options, "session", NULL);
    g_autoptr(GError) error = NULL;
    int peer[ROUTER_SOCKETS];

    if (claim && !g_variant_is_of_type(claim, G_VARIANT_TYPE_STRING)) {
        refuse(sessions, invocation, INVALID, "option \"session\" is not a string");
        return;
    }
    if (claim && !g_str_equal(g_variant_get_string(claim, NULL), sessions->active)) {
        refuse(sessions, invocation, NOT_ACTIVE, "another session is active");
        return;
    }
    if (!may_open(sessions, sessions->uid)) {
        refuse(sessions, invocation, LIMITS, "too many calls");
        return;
    }
    if (!sessions->events.open(sessions->class, peer, &error, sessions->user)) {
        refuse(sessions, invocation, LIMITS, error->message);
        return;
    }

    gboolean user = sessions->class == ROUTER_USER;
    g_autoptr(GUnixFDList) fds = g_unix_fd_list_new_from_array(peer, ROUTER_SOCKETS);
    GVariantDict info;

    g_variant_dict_init(&info, NULL);
    g_variant_dict_insert(&info, "session", "s", sessions->active);
    g_variant_dict_insert(&info, "class", "s", user ? "user" : "greeter");
    g_variant_dict_insert(&info, "clipboard", "b", user && sessions->clipboard);
    g_variant_dict_insert(&info, "files", "b", user && sessions->files);
    g_dbus_method_invocation_return_value_with_unix_fd_list(
        invocation,
        g_variant_new("(hh@a{sv})", ROUTER_SOCKET_CONTROL, ROUTER_SOCKET_FILES, g_variant_dict_end(&info)), fds);
}

static void set_layout(Sessions *sessions, GDBusMethodInvocation *invocation)
{
    g_autoptr(GVariant) outputs = g_variant_get_child_value(g_dbus_method_invocation_get_parameters(invocation), 0);
    OutputsEntry entries[LIMIT_DISPLAYS + 1] = { 0 }; /* and the desktop */
    gsize count = g_variant_n_children(outputs);

    if (count > G_N_ELEMENTS(entries)) {
        refuse(sessions, invocation, INVALID, "too many outputs");
        return;
    }
    for (gsize i = 0; i < count; i++) {
        LayoutDisplay *place = &entries[i].place;
        const char *connector;

        g_variant_get_child(outputs, i, "(&suuiiuuu)", &connector, &place->mode_w, &place->mode_h, &place->x, &place->y,
                            &place->w, &place->h, &place->transform);
        if (g_strlcpy(entries[i].connector, connector, LIMIT_CONNECTOR_NAME) >= LIMIT_CONNECTOR_NAME) {
            refuse(sessions, invocation, INVALID, "a connector's name is too long");
            return;
        }
    }
    if (!sessions->events.layout(entries, count, sessions->user)) {
        refuse(sessions, invocation, INVALID, "a layout that cannot be");
        return;
    }
    g_dbus_method_invocation_return_value(invocation, NULL);
}

/* ---- who calls? ---- */

static void on_uid(GObject *bus, GAsyncResult *result, gpointer user)
{
    g_autofree Call *call = user;
    g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, NULL);
    GDBusMethodInvocation *invocation = call->invocation;
    Sessions *sessions = call->sessions;

    if (g_cancellable_is_cancelled(g_task_get_cancellable(G_TASK(result)))) {
        g_dbus_method_invocation_return_dbus_error(invocation, DENIED, "the daemon ends");
        return;
    }

    const char *sender = g_dbus_method_invocation_get_sender(invocation);
    guint count = GPOINTER_TO_UINT(g_hash_table_lookup(sessions->asking, sender));
    guint32 uid = NO_USER;

    sessions->asking_count--;
    if (count > 1)
        g_hash_table_insert(sessions->asking, g_strdup(sender), GUINT_TO_POINTER(count - 1));
    else
        g_hash_table_remove(sessions->asking, sender);

    if (reply)
        g_variant_get(reply, "(u)", &uid);
    if (uid == NO_USER || uid != sessions->uid) {
        refuse(sessions, invocation, DENIED, "not the user of the active session");
    } else if (sessions->class == ROUTER_NO_SESSION) {
        refuse(sessions, invocation, DENIED, "a session of this class may not do this");
    } else if (g_str_equal(g_dbus_method_invocation_get_method_name(invocation), "OpenSession")) {
        open_session(sessions, invocation);
    } else {
        set_layout(sessions, invocation);
    }
}

static void on_call(GDBusConnection *bus, const char *sender, G_GNUC_UNUSED const char *path,
                    G_GNUC_UNUSED const char *interface, G_GNUC_UNUSED const char *method,
                    G_GNUC_UNUSED GVariant *parameters, GDBusMethodInvocation *invocation, gpointer user)
{
    Sessions *sessions = user;
    guint count = GPOINTER_TO_UINT(g_hash_table_lookup(sessions->asking, sender));

    /* The bus bounds how many senders there are; so nobody else's calls are in the way of the first of one. */
    if (count >= SESSIONS_ASKING_SENDER || (count > 0 && sessions->asking_count >= SESSIONS_ASKING)) {
        refuse(sessions, invocation, LIMITS, "too many calls at once");
        return;
    }
    g_hash_table_insert(sessions->asking, g_strdup(sender), GUINT_TO_POINTER(count + 1));
    sessions->asking_count++;

    Call *call = g_new(Call, 1);
    *call = (Call){ sessions, invocation };
    g_dbus_connection_call(bus, BUS, BUS_PATH, BUS, "GetConnectionUnixUser", g_variant_new("(s)", sender),
                           G_VARIANT_TYPE("(u)"), G_DBUS_CALL_FLAGS_NONE, CALL_TIMEOUT_MS, sessions->calls, on_uid, call);
}

static GVariant *on_get(G_GNUC_UNUSED GDBusConnection *bus, G_GNUC_UNUSED const char *sender,
                        G_GNUC_UNUSED const char *path, G_GNUC_UNUSED const char *interface, const char *name,
                        G_GNUC_UNUSED GError **error, gpointer user)
{
    Sessions *sessions = user;

    return g_variant_ref_sink(sessions->events.property(name, sessions->user));
}

static gboolean on_changed(gpointer user)
{
    Sessions *sessions = user;
    GHashTableIter iter;
    gpointer name;
    GVariantDict changed;
    gboolean any = FALSE;

    sessions->changed_id = 0;
    g_variant_dict_init(&changed, NULL);
    g_hash_table_iter_init(&iter, sessions->changed);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        GVariant *value = g_variant_ref_sink(sessions->events.property(name, sessions->user));
        GVariant *last = g_hash_table_lookup(sessions->signalled, name);

        g_hash_table_iter_remove(&iter);
        if (last && g_variant_equal(last, value)) {
            g_variant_unref(value);
            continue;
        }
        g_variant_dict_insert_value(&changed, name, value);
        g_hash_table_insert(sessions->signalled, name, value);
        any = TRUE;
    }
    g_autoptr(GVariant) values = g_variant_ref_sink(g_variant_dict_end(&changed));
    if (any)
        g_dbus_connection_emit_signal(sessions->bus, NULL, SESSIONS_PATH, "org.freedesktop.DBus.Properties",
                                      "PropertiesChanged",
                                      g_variant_new("(s@a{sv}@as)", SESSIONS_NAME, values, g_variant_new_strv(NULL, 0)),
                                      NULL);
    return G_SOURCE_REMOVE;
}

void sessions_changed(Sessions *sessions, const char *name)
{
    g_hash_table_add(sessions->changed, (gpointer)name);
    if (sessions->changed_id == 0)
        {
        /* No idle priority, which has no turn as long as the port has input. */
        sessions->changed_id = g_idle_add_full(G_PRIORITY_DEFAULT, on_changed, sessions, NULL);
    }
}

void sessions_set_active(Sessions *sessions, const SeatSession *session)
{
    static const RouterSession class_of[] = {
        [SEAT_CLASS_OTHER] = ROUTER_NO_SESSION,
        [SEAT_CLASS_USER] = ROUTER_USER,
        [SEAT_CLASS_GREETER] = ROUTER_GREETER,
    };

    g_free(sessions->active);
    sessions->active = g_strdup(session ? session->id : "");
    sessions->uid = session ? session->uid : NO_USER;
    sessions->class = session ? class_of[session->class] : ROUTER_NO_SESSION;
    sessions_changed(sessions, "ActiveSession");
    sessions_changed(sessions, "ActiveUser");
}

const char *sessions_active(const Sessions *sessions)
{
    return sessions->active;
}

guint32 sessions_active_user(const Sessions *sessions)
{
    return sessions->uid;
}

static void on_name_lost(G_GNUC_UNUSED GDBusConnection *bus, const char *name, G_GNUC_UNUSED gpointer user)
{
    g_warning("cannot have the name %s on the system bus: is another one running, is the D-Bus policy installed?", name);
}

Sessions *sessions_new(GDBusConnection *bus, gboolean clipboard, gboolean files, const SessionsEvents *events,
                       gpointer user, GError **error)
{
    static const GDBusInterfaceVTable methods = { .method_call = on_call, .get_property = on_get };
    g_autoptr(Sessions) sessions = g_new0(Sessions, 1);

    sessions->bus = bus;
    sessions->clipboard = clipboard;
    sessions->files = files;
    sessions->events = *events;
    sessions->user = user;
    sessions->log.name = "session";
    sessions->uid = sessions->opened_uid = NO_USER;
    sessions->active = g_strdup("");
    sessions->calls = g_cancellable_new();
    sessions->asking = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    sessions->signalled = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_variant_unref);
    sessions->changed = g_hash_table_new(g_str_hash, g_str_equal);
    sessions->info = g_dbus_node_info_new_for_xml(interface_xml, error);
    if (!sessions->info)
        return NULL;
    sessions->object_id = g_dbus_connection_register_object(
        bus, SESSIONS_PATH, g_dbus_node_info_lookup_interface(sessions->info, SESSIONS_NAME), &methods, sessions, NULL,
        error);
    if (sessions->object_id == 0)
        return NULL;
    sessions->name_id = g_bus_own_name_on_connection(bus, SESSIONS_NAME, G_BUS_NAME_OWNER_FLAGS_DO_NOT_QUEUE, NULL,
                                                     on_name_lost, sessions, NULL);
    return g_steal_pointer(&sessions);
}

void sessions_free(Sessions *sessions)
{
    if (sessions == NULL)
        return;
    g_cancellable_cancel(sessions->calls);
    g_clear_object(&sessions->calls);
    if (sessions->name_id != 0)
        g_bus_unown_name(sessions->name_id);
    if (sessions->object_id != 0)
        g_dbus_connection_unregister_object(sessions->bus, sessions->object_id);
    g_clear_pointer(&sessions->info, g_dbus_node_info_unref);
    g_hash_table_destroy(sessions->asking);
    g_hash_table_destroy(sessions->signalled);
    g_hash_table_destroy(sessions->changed);
    g_clear_handle_id(&sessions->changed_id, g_source_remove);
    g_free(sessions->active);
    g_free(sessions);
}
