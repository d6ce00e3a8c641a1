/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The machine's name by hostname1; time zone and network time by timedate1. */
#include "commands.h"
#include "extensions.h"

#define HOSTNAME "org.freedesktop.hostname1"
#define TIMEDATE "org.freedesktop.timedate1"
#define TIMEDATE_PATH "/org/freedesktop/timedate1"

static void set_host_name(Call *call, const json_t *args)
{
    static const Remote method = { "hostname1", HOSTNAME, "/org/freedesktop/hostname1", HOSTNAME, "SetStaticHostname" };

    if (extensions_change(call, args))
        extensions_do(call, &method, g_variant_new("(sb)", args_string(args, "name", NULL), FALSE), NULL, NULL);
}

static void on_time_settings(Call *call, GVariant *reply)
{
    static const struct {
        const char *member, *property;
    } members[] = { { "ntp", "NTP" }, { "can-ntp", "CanNTP" }, { "ntp-synchronized", "NTPSynchronized" } };
    g_autoptr(GVariant) properties = g_variant_get_child_value(reply, 0);
    json_t *settings = json_object();
    const char *zone;

    if (g_variant_lookup(properties, "Timezone", "&s", &zone))
        json_object_set_new(settings, "zone", json_string(zone));
    for (guint i = 0; i < G_N_ELEMENTS(members); i++) {
        gboolean value;

        if (g_variant_lookup(properties, members[i].property, "b", &value))
            json_object_set_new(settings, members[i].member, json_boolean(value));
    }
    extensions_return(call, settings);
}

static void get_time_settings(Call *call, G_GNUC_UNUSED const json_t *args)
{
    static const Remote get = { "timedate1", TIMEDATE, TIMEDATE_PATH, "org.freedesktop.DBus.Properties", "GetAll" };

    extensions_query(call);
    extensions_ask(call, &get, g_variant_new("(s)", TIMEDATE), "(a{sv})", on_time_settings);
}

static void set_timezone(Call *call, const json_t *args)
{
    static const Remote method = { "timedate1", TIMEDATE, TIMEDATE_PATH, TIMEDATE, "SetTimezone" };

    if (extensions_change(call, args))
        extensions_do(call, &method, g_variant_new("(sb)", args_string(args, "zone", NULL), FALSE), NULL, NULL);
}

static void set_ntp(Call *call, const json_t *args)
{
    static const Remote method = { "timedate1", TIMEDATE, TIMEDATE_PATH, TIMEDATE, "SetNTP" };
    gboolean enabled = json_is_true(json_object_get(args, "enabled"));

    if (extensions_change(call, args))
        extensions_do(call, &method, g_variant_new("(bb)", enabled, FALSE), NULL, NULL);
}

static const Arg name_args[] = { { .name = "name", .type = ARG_STRING }, EXTENSIONS_CHANGE_ARGS };
static const Arg zone_args[] = { { .name = "zone", .type = ARG_STRING }, EXTENSIONS_CHANGE_ARGS };
static const Arg ntp_args[] = { { .name = "enabled", .type = ARG_BOOL }, EXTENSIONS_CHANGE_ARGS };

const Command extensions_settings_commands[] = {
    { EXTENSIONS_PREFIX "set-host-name", COMMAND_HOST_NAME, 0, name_args, set_host_name },
    { EXTENSIONS_PREFIX "get-time-settings", COMMAND_INFORMATION, 0, NULL, get_time_settings },
    { EXTENSIONS_PREFIX "set-timezone", COMMAND_TIME, 0, zone_args, set_timezone },
    { EXTENSIONS_PREFIX "set-ntp", COMMAND_TIME, 0, ntp_args, set_ntp },
    { .name = NULL },
};
