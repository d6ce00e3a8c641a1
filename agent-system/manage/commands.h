/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* commands.h - all commands: one table for each file that has some. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "command.h"

extern const Command core_commands[], clock_commands[], system_commands[], processors_commands[], network_commands[],
    disks_commands[], freeze_commands[], openfiles_commands[], exec_commands[], power_commands[], accounts_commands[],
    extensions_login_commands[], extensions_services_commands[], extensions_settings_commands[],
    extensions_packages_commands[];

/* Ends with NULL. */
extern const Command *const commands_tables[];

#endif
