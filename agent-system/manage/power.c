/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "power.h"

#include "commands.h"
#include "helper.h"
#include "log.h"
#include "services.h"

#define LOGIN "org.freedesktop.login1"
#define LOGIN_PATH "/org/freedesktop/login1"
#define MANAGER LOGIN ".Manager"

/* It answers when it has begun. */
#define TIMEOUT_MS 10000

/* A way to stop, and what login1 calls it. */
typedef struct Way {
    const char *command, *mode; /* mode: of guest-shutdown */
    const char *question;       /* whether it can be done; NULL: it always can */
    const char *method;
} Way;

static const Way shutdowns[] = {
    { "guest-shutdown", "powerdown", NULL, "PowerOff" },
    { "guest-shutdown", "halt", NULL, "Halt" },
    { "guest-shutdown", "reboot", NULL, "Reboot" },
};
static const Way disk = { "guest-suspend-disk", NULL, "CanHibernate", "Hibernate" };
static const Way ram = { "guest-suspend-ram", NULL, "CanSuspend", "Suspend" };
static const Way hybrid = { "guest-suspend-hybrid", NULL, "CanHybridSleep", "HybridSleep" };

struct Power {
    Call *call; /* under way */
    const Way *way;
    GDBusConnection *bus;
    GCancellable *cancellable; /* of what is asked of login1 */
    LogPeer log;
};

Power *power_new(void)
{
    Power *power = g_new0(Power, 1);

    power->log.name = "host";
    return power;
}

/* Ends the command; `why` NULL is success. */
static void end(Power *power, const char *why)
{
    g_clear_object(&power->bus);
    g_clear_object(&power->cancellable);
    if (why)
        call_fail(g_steal_pointer(&power->call), "%s", why);
    else
        call_return(g_steal_pointer(&power->call), NULL);
}

void power_free(Power *power)
{
    if (!power)
        return;
    g_cancellable_cancel(power->cancellable);
    if (power->call)
        end(power, "the agent ends");
    g_free(power);
}

static void on_helper(G_GNUC_UNUSED const char *const *words, const GError *error, gpointer user)
{
    end(user, error ? error->message : NULL);
}

/* Whatever login1's reason is: it goes to the log, and the host is told what became of the last attempt. */
static void ask_helper(Power *power, const GError *error)
{
    const char *const words[] = { power->way->command, power->way->mode, NULL };

    g_message("%s by login1: %s", power->way->method, error->message);
    helper_ask(call_services(power->call)->helper, HELPER_MACHINE, words, on_helper, power);
}

static void on_done(GObject *bus, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, &error);

    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return;
    if (reply)
        end(user, NULL);
    else
        ask_helper(user, error);
}

static void call_login(Power *power, const char *method, GVariant *arguments, const char *type,
                       GAsyncReadyCallback ready)
{
    g_dbus_connection_call(power->bus, LOGIN, LOGIN_PATH, MANAGER, method, arguments,
                           type ? G_VARIANT_TYPE(type) : NULL, G_DBUS_CALL_FLAGS_NONE, TIMEOUT_MS, power->cancellable,
                           ready, power);
}

static void call_method(Power *power)
{
    call_login(power, power->way->method, g_variant_new("(b)", FALSE), NULL, on_done);
}

/* Not only "yes" will do: what is not known, or not allowed to us, may still be done by the helper. */
static void on_answer(GObject *bus, GAsyncResult *result, gpointer user)
{
    Power *power = user;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, &error);
    const char *answer = "";

    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return;
    if (reply)
        g_variant_get(reply, "(&s)", &answer);
    if (g_str_equal(answer, "na"))
        end(power, "the requested suspend mode is not supported by the guest");
    else if (reply)
        call_method(power);
    else
        ask_helper(power, error);
}

static void on_bus(GDBusConnection *connection, const GError *error, gpointer user)
{
    Power *power = user;

    if (!connection) {
        ask_helper(power, error);
        return;
    }
    power->bus = g_object_ref(connection);
    if (power->way->question)
        call_login(power, power->way->question, NULL, "(s)", on_answer);
    else
        call_method(power);
}

static void begin(Call *call, const Way *way)
{
    Power *power = call_services(call)->power;

    power->call = call;
    power->way = way;
    power->cancellable = g_cancellable_new();
    log_peer(&power->log, "asks for %s", way->method);
    bus_get(call_services(call)->bus, on_bus, power);
}

static void shut_down(Call *call, const json_t *args)
{
    const char *mode = args_string(args, "mode", "powerdown");

    for (guint i = 0; i < G_N_ELEMENTS(shutdowns); i++)
        if (g_str_equal(shutdowns[i].mode, mode)) {
            begin(call, &shutdowns[i]);
            return;
        }
    call_fail(call, "mode is invalid (valid values are: halt|powerdown|reboot");
}

static void suspend_disk(Call *call, G_GNUC_UNUSED const json_t *args)
{
    begin(call, &disk);
}

static void suspend_ram(Call *call, G_GNUC_UNUSED const json_t *args)
{
    begin(call, &ram);
}

static void suspend_hybrid(Call *call, G_GNUC_UNUSED const json_t *args)
{
    begin(call, &hybrid);
}

static const Arg shutdown_args[] = { { .name = "mode", .type = ARG_STRING, .optional = TRUE }, { .name = NULL } };

const Command power_commands[] = {
    { "guest-shutdown", COMMAND_POWER, COMMAND_SILENT, shutdown_args, shut_down },
    { "guest-suspend-disk", COMMAND_POWER, COMMAND_SILENT, NULL, suspend_disk },
    { "guest-suspend-ram", COMMAND_POWER, COMMAND_SILENT, NULL, suspend_ram },
    { "guest-suspend-hybrid", COMMAND_POWER, COMMAND_SILENT, NULL, suspend_hybrid },
    { .name = NULL },
};
