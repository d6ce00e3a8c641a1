/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rival.h"

#define SYSTEMD "org.freedesktop.systemd1"

/* systemd answers at once or is not there. */
#define TIMEOUT_MS 5000

typedef struct Question {
    void (*told)(gboolean running, gpointer user);
    gpointer user;
} Question;

static void answer(Question *question, gboolean running)
{
    question->told(running, question->user);
    g_free(question);
}

static void on_state(GObject *bus, GAsyncResult *result, gpointer user)
{
    g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, NULL);
    g_autoptr(GVariant) value = NULL;
    const char *state = "";

    if (reply)
        g_variant_get(reply, "(v)", &value);
    if (value && g_variant_is_of_type(value, G_VARIANT_TYPE_STRING))
        state = g_variant_get_string(value, NULL);
    answer(user, g_str_equal(state, "active") || g_str_equal(state, "activating") || g_str_equal(state, "reloading"));
}

static void on_unit(GObject *bus, GAsyncResult *result, gpointer user)
{
    GDBusConnection *connection = G_DBUS_CONNECTION(bus);
    g_autoptr(GVariant) reply = g_dbus_connection_call_finish(connection, result, NULL);
    const char *path;

    if (!reply) {
        answer(user, FALSE); /* not loaded */
        return;
    }
    g_variant_get(reply, "(&o)", &path);
    g_dbus_connection_call(connection, SYSTEMD, path, "org.freedesktop.DBus.Properties", "Get",
                           g_variant_new("(ss)", SYSTEMD ".Unit", "ActiveState"), G_VARIANT_TYPE("(v)"),
                           G_DBUS_CALL_FLAGS_NONE, TIMEOUT_MS, NULL, on_state, user);
}

static void on_bus(GDBusConnection *connection, G_GNUC_UNUSED const GError *error, gpointer user)
{
    if (connection)
        g_dbus_connection_call(connection, SYSTEMD, "/org/freedesktop/systemd1", SYSTEMD ".Manager", "GetUnit",
                               g_variant_new("(s)", RIVAL_UNIT), G_VARIANT_TYPE("(o)"), G_DBUS_CALL_FLAGS_NO_AUTO_START,
                               TIMEOUT_MS, NULL, on_unit, user);
    else
        answer(user, FALSE);
}

void rival_ask(Bus *bus, void (*told)(gboolean running, gpointer user), gpointer user)
{
    Question *question = g_new(Question, 1);

    *question = (Question){ told, user };
    bus_get(bus, on_bus, question);
}
