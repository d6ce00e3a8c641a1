/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"

const Command *const commands_tables[] = {
    core_commands,  clock_commands,     system_commands, processors_commands, network_commands,
    disks_commands, openfiles_commands, exec_commands,   NULL,
};
