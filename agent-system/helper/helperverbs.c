/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helperverbs.h"

#include "extensions.h"

const HelperVerb helperverbs_machine[] = {
    { "guest-set-time", COMMAND_TIME, 0, .run = clock_set },
    { "guest-set-vcpus", COMMAND_HARDWARE, 0, .run = hotplug_processors },
    { "guest-set-memory-blocks", COMMAND_HARDWARE, 0, .run = hotplug_memory },
    { "guest-shutdown", COMMAND_POWER, 1, .run = power_shutdown },
    { "guest-suspend-disk", COMMAND_POWER, 0, .run = power_suspend_disk },
    { "guest-suspend-ram", COMMAND_POWER, 0, .run = power_suspend_ram },
    { "guest-suspend-hybrid", COMMAND_POWER, 0, .run = power_suspend_hybrid },
    { EXTENSIONS_PREFIX "restart-service", COMMAND_SERVICES, 1, .run = services_restart },
    { .name = NULL },
};

const HelperVerb helperverbs_accounts[] = {
    { "guest-set-user-password", COMMAND_PASSWORD, 3, .run = password_set },
    { "guest-ssh-get-authorized-keys", COMMAND_SSH_KEYS, 1, .run = sshkeys_get },
    { "guest-ssh-add-authorized-keys", COMMAND_SSH_KEYS, 2, .run = sshkeys_add },
    { "guest-ssh-remove-authorized-keys", COMMAND_SSH_KEYS, 1, .run = sshkeys_remove },
    { .name = NULL },
};

const HelperVerb helperverbs_freezer[] = {
    { "guest-fsfreeze-freeze", COMMAND_FREEZE, 0, .run = filesystems_freeze },
    { "guest-fsfreeze-freeze-list", COMMAND_FREEZE, 0, .run = filesystems_freeze_list },
    { "guest-fsfreeze-thaw", COMMAND_FREEZE, 0, .run = filesystems_thaw },
    { "guest-fstrim", COMMAND_FREEZE, 1, .run = filesystems_trim },
    { .name = NULL },
};

const HelperVerb helperverbs_hook[] = {
    { "guest-fsfreeze-freeze", COMMAND_FREEZE, 0, .run = hook_freeze },
    { "guest-fsfreeze-freeze-list", COMMAND_FREEZE, 0, .run = hook_freeze },
    { "guest-fsfreeze-thaw", COMMAND_FREEZE, 0, .run = hook_thaw },
    { .name = NULL },
};

const HelperVerb helperverbs_files[] = {
    { "guest-file-open", COMMAND_FILES, 2, .pass = files_open },
    { .name = NULL },
};

const HelperVerb helperverbs_exec[] = {
    { "guest-exec", COMMAND_EXEC, 2, .pass = programs_start, .stays = TRUE },
    { .name = NULL },
};
