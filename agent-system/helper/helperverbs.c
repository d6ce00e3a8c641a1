/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helperverbs.h"

const HelperVerb helperverbs_machine[] = {
    { "guest-set-time", COMMAND_TIME, 0, clock_set },
    { "guest-set-vcpus", COMMAND_HARDWARE, 0, hotplug_processors },
    { "guest-set-memory-blocks", COMMAND_HARDWARE, 0, hotplug_memory },
    { "guest-shutdown", COMMAND_POWER, 1, power_shutdown },
    { "guest-suspend-disk", COMMAND_POWER, 0, power_suspend_disk },
    { "guest-suspend-ram", COMMAND_POWER, 0, power_suspend_ram },
    { "guest-suspend-hybrid", COMMAND_POWER, 0, power_suspend_hybrid },
    { .name = NULL },
};

const HelperVerb helperverbs_accounts[] = {
    { "guest-set-user-password", COMMAND_PASSWORD, 3, password_set },
    { "guest-ssh-get-authorized-keys", COMMAND_SSH_KEYS, 1, sshkeys_get },
    { "guest-ssh-add-authorized-keys", COMMAND_SSH_KEYS, 2, sshkeys_add },
    { "guest-ssh-remove-authorized-keys", COMMAND_SSH_KEYS, 1, sshkeys_remove },
    { .name = NULL },
};

const HelperVerb helperverbs_freezer[] = {
    { "guest-fsfreeze-freeze", COMMAND_FREEZE, 0, filesystems_freeze },
    { "guest-fsfreeze-freeze-list", COMMAND_FREEZE, 0, filesystems_freeze_list },
    { "guest-fsfreeze-thaw", COMMAND_FREEZE, 0, filesystems_thaw },
    { "guest-fstrim", COMMAND_FREEZE, 1, filesystems_trim },
    { .name = NULL },
};

const HelperVerb helperverbs_hook[] = {
    { "guest-fsfreeze-freeze", COMMAND_FREEZE, 0, hook_freeze },
    { "guest-fsfreeze-freeze-list", COMMAND_FREEZE, 0, hook_freeze },
    { "guest-fsfreeze-thaw", COMMAND_FREEZE, 0, hook_thaw },
    { .name = NULL },
};
