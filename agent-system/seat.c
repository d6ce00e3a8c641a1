/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "seat.h"

#define LOGIND "org.freedesktop.login1"
#define LOGIND_PATH "/org/freedesktop/login1"
#define MANAGER LOGIND ".Manager"
#define SEAT LOGIND ".Seat"
#define SESSION LOGIND ".Session"
#define PROPERTIES "org.freedesktop.DBus.Properties"

/* None: logind answers, however busy the machine is while it boots, or goes away, which ends the call and is seen. */
#define TIMEOUT_MS G_MAXINT

struct Seat {
    GDBusConnection *bus;
    void (*changed)(const SeatSession *session, gpointer user);
    gpointer user;
    guint watch, seat_signal, session_signal, new_signal;
    char *owner; /* of logind's name: signals of anybody else are not logind's */
    GCancellable *seat_calls, *session_calls;
    char *id; /* of the active session asked about or known, NULL for none */
    GVariant *properties; /* of it, NULL until they are known */
};

/* Cancels what is under way, so that no answer to an old question is taken for one to a new. */
static GCancellable *renew(GCancellable **cancellable)
{
    if (*cancellable)
        g_cancellable_cancel(*cancellable);
    g_clear_object(cancellable);
    *cancellable = g_cancellable_new();
    return *cancellable;
}

static void unsubscribe(Seat *seat, guint *signal)
{
    if (*signal)
        g_dbus_connection_signal_unsubscribe(seat->bus, *signal);
    *signal = 0;
}

/* The reply, or NULL: `ret_cancelled` then tells whether anything may be touched at all. */
static GVariant *finish(GObject *bus, GAsyncResult *result, const char *what, gboolean *ret_cancelled)
{
    g_autoptr(GError) error = NULL;
    GVariant *reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, &error);

    *ret_cancelled = g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    if (!reply && !*ret_cancelled) {
        g_dbus_error_strip_remote_error(error);
        g_warning("logind: %s: %s", what, error->message);
    }
    return reply;
}

static SeatClass class_of(const char *name)
{
    if (g_str_equal(name, "user") || g_str_equal(name, "user-early"))
        return SEAT_CLASS_USER;
    return g_str_equal(name, "greeter") ? SEAT_CLASS_GREETER : SEAT_CLASS_OTHER;
}

static void report(Seat *seat)
{
    SeatSession session = { .id = seat->id };
    const char *class = NULL, *id = NULL;
    gboolean active = FALSE;

    if (seat->properties && g_variant_lookup(seat->properties, "Class", "&s", &class) &&
        g_variant_lookup(seat->properties, "User", "(uo)", &session.uid, NULL) &&
        g_variant_lookup(seat->properties, "Id", "&s", &id) && g_str_equal(id, seat->id) &&
        g_variant_lookup(seat->properties, "Active", "b", &active) && active) {
        session.class = class_of(class);
        g_variant_lookup(seat->properties, "LockedHint", "b", &session.locked); /* elogind before 252 has none */
        seat->changed(&session, seat->user);
    } else {
        seat->changed(NULL, seat->user);
    }
}

static void forget_session(Seat *seat)
{
    unsubscribe(seat, &seat->session_signal);
    renew(&seat->session_calls);
    g_clear_pointer(&seat->id, g_free);
    g_clear_pointer(&seat->properties, g_variant_unref);
}

static void on_session_properties(GObject *bus, GAsyncResult *result, gpointer user)
{
    Seat *seat = user;
    gboolean cancelled;
    g_autoptr(GVariant) reply = finish(bus, result, "reading the session's properties", &cancelled);

    if (cancelled)
        return;
    g_clear_pointer(&seat->properties, g_variant_unref);
    if (reply)
        seat->properties = g_variant_get_child_value(reply, 0);
    report(seat);
}

static void read_session(Seat *seat, const char *path)
{
    g_dbus_connection_call(seat->bus, seat->owner, path, PROPERTIES, "GetAll", g_variant_new("(s)", SESSION),
                           G_VARIANT_TYPE("(a{sv})"), G_DBUS_CALL_FLAGS_NONE, TIMEOUT_MS, seat->session_calls,
                           on_session_properties, seat);
}

/* No file may come in between the signal and the answer to read_session(). */
static void take_lock(Seat *seat, GVariant *changed)
{
    GVariantDict properties;
    gboolean locked;

    if (!seat->properties || !g_variant_lookup(changed, "LockedHint", "b", &locked))
        return;
    g_variant_dict_init(&properties, seat->properties);
    g_variant_dict_insert(&properties, "LockedHint", "b", locked);
    g_variant_unref(seat->properties);
    seat->properties = g_variant_ref_sink(g_variant_dict_end(&properties));
    report(seat);
}

/* All else is read again rather than patched: changes are rare, and what is read is whole. */
static void on_session_changed(G_GNUC_UNUSED GDBusConnection *bus, G_GNUC_UNUSED const char *sender, const char *path,
                               G_GNUC_UNUSED const char *interface, G_GNUC_UNUSED const char *signal,
                               GVariant *parameters, gpointer user)
{
    if (g_variant_is_of_type(parameters, G_VARIANT_TYPE("(sa{sv}as)"))) {
        g_autoptr(GVariant) changed = g_variant_get_child_value(parameters, 1);

        take_lock(user, changed);
    }
    read_session(user, path);
}

static void on_session_path(GObject *bus, GAsyncResult *result, gpointer user)
{
    Seat *seat = user;
    gboolean cancelled;
    g_autoptr(GVariant) reply = finish(bus, result, "looking up the active session", &cancelled);
    const char *path;

    if (cancelled)
        return;
    if (!reply) {
        report(seat);
        return;
    }
    g_variant_get(reply, "(&o)", &path);
    seat->session_signal =
        g_dbus_connection_signal_subscribe(seat->bus, seat->owner, PROPERTIES, "PropertiesChanged", path, SESSION,
                                           G_DBUS_SIGNAL_FLAGS_NONE, on_session_changed, seat, NULL);
    read_session(seat, path);
}

static void set_active(Seat *seat, const char *id)
{
    if (seat->id && g_str_equal(seat->id, id))
        return;
    forget_session(seat);
    report(seat); /* none, until all is known about the next one */
    if (id[0] == '\0')
        return;
    seat->id = g_strdup(id);
    g_dbus_connection_call(seat->bus, seat->owner, LOGIND_PATH, MANAGER, "GetSession", g_variant_new("(s)", id),
                           G_VARIANT_TYPE("(o)"), G_DBUS_CALL_FLAGS_NONE, TIMEOUT_MS, seat->session_calls,
                           on_session_path, seat);
}

static void on_active(GObject *bus, GAsyncResult *result, gpointer user)
{
    Seat *seat = user;
    gboolean cancelled;
    g_autoptr(GVariant) reply = finish(bus, result, "reading the active session of seat0", &cancelled);
    g_autoptr(GVariant) value = NULL;
    const char *id = "";

    if (cancelled)
        return;
    if (reply)
        g_variant_get(reply, "(v)", &value);
    if (value && g_variant_is_of_type(value, G_VARIANT_TYPE("(so)")))
        g_variant_get(value, "(&so)", &id, NULL);
    set_active(seat, id);
}

static void read_active(Seat *seat, const char *path)
{
    g_dbus_connection_call(seat->bus, seat->owner, path, PROPERTIES, "Get",
                           g_variant_new("(ss)", SEAT, "ActiveSession"), G_VARIANT_TYPE("(v)"), G_DBUS_CALL_FLAGS_NONE,
                           TIMEOUT_MS, renew(&seat->seat_calls), on_active, seat);
}

static void on_seat_changed(G_GNUC_UNUSED GDBusConnection *bus, G_GNUC_UNUSED const char *sender, const char *path,
                            G_GNUC_UNUSED const char *interface, G_GNUC_UNUSED const char *signal,
                            G_GNUC_UNUSED GVariant *parameters, gpointer user)
{
    read_active(user, path);
}

static void on_seat_path(GObject *bus, GAsyncResult *result, gpointer user)
{
    Seat *seat = user;
    gboolean cancelled;
    g_autoptr(GVariant) reply = finish(bus, result, "looking up seat0", &cancelled);
    const char *path;

    if (cancelled)
        return;
    if (!reply) {
        set_active(seat, "");
        return;
    }
    g_variant_get(reply, "(&o)", &path);
    unsubscribe(seat, &seat->seat_signal);
    seat->seat_signal =
        g_dbus_connection_signal_subscribe(seat->bus, seat->owner, PROPERTIES, "PropertiesChanged", path, SEAT,
                                           G_DBUS_SIGNAL_FLAGS_NONE, on_seat_changed, seat, NULL);
    read_active(seat, path);
}

static void find_seat(Seat *seat)
{
    g_dbus_connection_call(seat->bus, seat->owner, LOGIND_PATH, MANAGER, "GetSeat", g_variant_new("(s)", "seat0"),
                           G_VARIANT_TYPE("(o)"), G_DBUS_CALL_FLAGS_NONE, TIMEOUT_MS, renew(&seat->seat_calls),
                           on_seat_path, seat);
}

/* A seat that was not there at the start, as with a graphics driver loaded late. */
static void on_seat_new(G_GNUC_UNUSED GDBusConnection *bus, G_GNUC_UNUSED const char *sender,
                        G_GNUC_UNUSED const char *path, G_GNUC_UNUSED const char *interface,
                        G_GNUC_UNUSED const char *signal, G_GNUC_UNUSED GVariant *parameters, gpointer user)
{
    find_seat(user);
}

static void forget_logind(Seat *seat)
{
    unsubscribe(seat, &seat->new_signal);
    unsubscribe(seat, &seat->seat_signal);
    renew(&seat->seat_calls);
    forget_session(seat);
    g_clear_pointer(&seat->owner, g_free);
}

static void on_appeared(G_GNUC_UNUSED GDBusConnection *bus, G_GNUC_UNUSED const char *name, const char *owner,
                        gpointer user)
{
    Seat *seat = user;

    forget_logind(seat);
    seat->owner = g_strdup(owner);
    seat->new_signal =
        g_dbus_connection_signal_subscribe(seat->bus, owner, MANAGER, "SeatNew", LOGIND_PATH, NULL,
                                           G_DBUS_SIGNAL_FLAGS_NONE, on_seat_new, seat, NULL);
    find_seat(seat);
}

static void on_vanished(G_GNUC_UNUSED GDBusConnection *bus, G_GNUC_UNUSED const char *name, gpointer user)
{
    Seat *seat = user;

    forget_logind(seat);
    report(seat);
}

Seat *seat_new(GDBusConnection *bus, void (*changed)(const SeatSession *session, gpointer user), gpointer user)
{
    Seat *seat = g_new0(Seat, 1);

    seat->bus = bus;
    seat->changed = changed;
    seat->user = user;
    seat->watch = g_bus_watch_name_on_connection(bus, LOGIND, G_BUS_NAME_WATCHER_FLAGS_AUTO_START, on_appeared,
                                                 on_vanished, seat, NULL);
    return seat;
}

void seat_free(Seat *seat)
{
    if (!seat)
        return;
    g_bus_unwatch_name(seat->watch);
    forget_logind(seat);
    g_clear_object(&seat->seat_calls);
    g_clear_object(&seat->session_calls);
    g_free(seat);
}
