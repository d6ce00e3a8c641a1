/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"

const Command *const commands_tables[] = {
    core_commands,  clock_commands,     system_commands, processors_commands, network_commands,
    disks_commands, freeze_commands,    openfiles_commands, exec_commands,     power_commands,
    accounts_commands, extensions_login_commands, extensions_services_commands, extensions_settings_commands,
    extensions_packages_commands, NULL,
};
