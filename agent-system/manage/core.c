/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The protocol's own commands. */
#include "commands.h"
#include "dispatch.h"

/* Of the QEMU whose agent's commands and texts these are: clients compare it with versions of QEMU. */
#define PROTOCOL_VERSION "10.0.0"

static void sync(Call *call, const json_t *args)
{
    call_return(call, json_integer(args_int(args, "id", 0)));
}

static void ping(Call *call, G_GNUC_UNUSED const json_t *args)
{
    call_return(call, NULL);
}

static void info(Call *call, G_GNUC_UNUSED const json_t *args)
{
    const Dispatch *dispatch = call_dispatch(call);
    json_t *list = json_array();

    for (const Command *const *table = dispatch_tables(dispatch); *table; table++)
        for (const Command *command = *table; command->name; command++)
            json_array_append_new(list, json_pack("{s:s,s:b,s:b}", "name", command->name,
                                                  "enabled", dispatch_refusal(dispatch, command) == NULL,
                                                  "success-response", !(command->flags & COMMAND_SILENT)));
    call_return(call, json_pack("{s:s,s:o}", "version", PROTOCOL_VERSION, "supported_commands", list));
}

static const Arg sync_args[] = { { .name = "id", .type = ARG_INT }, { .name = NULL } };

const Command core_commands[] = {
    { "guest-sync", COMMAND_BASIC, COMMAND_WHEN_FROZEN, sync_args, sync },
    { "guest-sync-delimited", COMMAND_BASIC, COMMAND_WHEN_FROZEN | COMMAND_DELIMITED, sync_args, sync },
    { "guest-ping", COMMAND_BASIC, COMMAND_WHEN_FROZEN, NULL, ping },
    { "guest-info", COMMAND_BASIC, COMMAND_WHEN_FROZEN, NULL, info },
    { .name = NULL },
};
