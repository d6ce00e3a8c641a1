/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Time and time zone. */
#include "commands.h"
#include "helper.h"
#include "services.h"

/* The years from 1970 to 2069, as by QEMU: hardware clocks have two digits for the year. */
#define TIME_MAX_S 3155759999
#define NS_PER_S 1000000000

static void get_time(Call *call, G_GNUC_UNUSED const json_t *args)
{
    call_return(call, json_integer(g_get_real_time() * 1000));
}

static void get_timezone(Call *call, G_GNUC_UNUSED const json_t *args)
{
    /* By the path: GLib keeps the local zone that it has seen first. */
    g_autoptr(GTimeZone) zone = g_time_zone_new_identifier(":/etc/localtime");
    g_autoptr(GTimeZone) local = zone ? g_steal_pointer(&zone) : g_time_zone_new_local();
    gint interval = g_time_zone_find_interval(local, G_TIME_TYPE_UNIVERSAL, g_get_real_time() / G_USEC_PER_SEC);
    const char *name = g_time_zone_get_abbreviation(local, interval);
    json_t *result = json_pack("{s:I}", "offset", (json_int_t)g_time_zone_get_offset(local, interval));

    if (name)
        json_object_set_new(result, "zone", json_string(name));
    call_return(call, result);
}

static void set_time(Call *call, const json_t *args)
{
    gint64 ns = args_int(args, "time", 0);
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, ns);
    const char *const words[] = { "guest-set-time", args_has(args, "time") ? text : NULL, NULL };

    if (ns < 0 || ns / NS_PER_S > TIME_MAX_S)
        call_fail(call, "Invalid time");
    else
        helper_ask(call_services(call)->helper, HELPER_MACHINE, words, helper_end_call, call);
}

static const Arg set_args[] = { { .name = "time", .type = ARG_INT, .optional = TRUE }, { .name = NULL } };

const Command clock_commands[] = {
    { "guest-get-time", COMMAND_TIME, 0, NULL, get_time },
    { "guest-set-time", COMMAND_TIME, 0, set_args, set_time },
    { "guest-get-timezone", COMMAND_INFORMATION, 0, NULL, get_timezone },
    { .name = NULL },
};
