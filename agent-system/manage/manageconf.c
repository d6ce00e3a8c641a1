/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "manageconf.h"

#include <gio/gio.h>
#include <string.h>

Config *manageconf_load(const char *path, GError **error)
{
    static const ConfigKey keys[] = {
        { "policy", "allow", "" },
        { "policy", "block", "" },
        { "services", "restart", "" },
        { NULL, NULL, NULL },
    };

    if (!path || g_file_test(path, G_FILE_TEST_IS_DIR))
        return config_load(path, "manage", keys, error);

    g_autofree char *directory = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);

    if (!g_str_has_suffix(name, ".conf") || !g_file_test(path, G_FILE_TEST_EXISTS)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "%s: no such file with a name in .conf", path);
        return NULL;
    }
    name[strlen(name) - strlen(".conf")] = '\0';
    return config_load(directory, name, keys, error);
}

Policy *manageconf_policy(const Config *config)
{
    Policy *policy = policy_new();

    policy_allow(policy, config_string(config, "policy", "allow"));
    policy_block(policy, config_string(config, "policy", "block"));
    return policy;
}
