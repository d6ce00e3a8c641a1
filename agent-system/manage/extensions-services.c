/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Services that manage.conf names, by systemd1. */
#include "commands.h"
#include "extensions.h"
#include "helper.h"
#include "services.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define MANAGER(method) { "systemd1", SYSTEMD, "/org/freedesktop/systemd1", SYSTEMD ".Manager", method }

/* The name of the unit that is meant, or NULL: the command was answered. */
static const char *named(Call *call, const json_t *args)
{
    const char *name = args_string(args, "name", NULL);

    if (extensions_may_restart(call_services(call)->extensions, name))
        return name;
    extensions_fail(call, "%s is none of the services that the guest's administrator has named in manage.conf", name);
    return NULL;
}

static void on_properties(Call *call, GVariant *reply)
{
    static const struct {
        const char *member, *property;
    } members[] = {
        { "description", "Description" },
        { "load-state", "LoadState" },
        { "active-state", "ActiveState" },
        { "sub-state", "SubState" },
    };
    g_autoptr(GVariant) properties = g_variant_get_child_value(reply, 0);
    json_t *status = json_object();

    for (guint i = 0; i < G_N_ELEMENTS(members); i++) {
        const char *text;

        if (g_variant_lookup(properties, members[i].property, "&s", &text))
            json_object_set_new(status, members[i].member, json_string(text));
    }
    extensions_return(call, status);
}

static void on_unit(Call *call, GVariant *reply)
{
    Remote get = { "systemd1", SYSTEMD, NULL, "org.freedesktop.DBus.Properties", "GetAll" };

    g_variant_get(reply, "(&o)", &get.path);
    extensions_ask(call, &get, g_variant_new("(s)", SYSTEMD ".Unit"), "(a{sv})", on_properties);
}

static void status(Call *call, const json_t *args)
{
    static const Remote load = MANAGER("LoadUnit");
    const char *name;

    extensions_query(call);
    name = named(call, args);
    if (name)
        extensions_ask(call, &load, g_variant_new("(s)", name), "(o)", on_unit);
}

static void restart(Call *call, const json_t *args)
{
    static const Remote method = MANAGER("RestartUnit");
    const char *name;

    if (!extensions_change(call, args))
        return;
    name = named(call, args);
    if (!name)
        return;

    const char *const words[] = { call_name(call), name, NULL };

    extensions_do_by_helper(call, &method, HELPER_MACHINE, words);
}

static const Arg status_args[] = { { .name = "name", .type = ARG_STRING }, { .name = NULL } };
static const Arg restart_args[] = { { .name = "name", .type = ARG_STRING }, EXTENSIONS_CHANGE_ARGS };

const Command extensions_services_commands[] = {
    { EXTENSIONS_PREFIX "service-status", COMMAND_SERVICES, 0, status_args, status },
    { EXTENSIONS_PREFIX "restart-service", COMMAND_SERVICES, 0, restart_args, restart },
    { .name = NULL },
};
