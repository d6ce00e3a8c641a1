/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "manageconf.h"

#include <gio/gio.h>

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

    if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "%s: no such file", path);
        return NULL;
    }
    return config_load_file(path, keys, error);
}

Policy *manageconf_policy(const Config *config)
{
    Policy *policy = policy_new();

    policy_allow(policy, config_string(config, "policy", "allow"));
    policy_block(policy, config_string(config, "policy", "block"));
    return policy;
}

gboolean manageconf_may_restart(const char *restart, const char *unit)
{
    g_auto(GStrv) words = g_strsplit_set(restart, ", \t", -1);

    for (guint i = 0; words[i]; i++) {
        g_autofree char *name = g_strconcat(words[i], g_str_has_suffix(words[i], ".service") ? NULL : ".service", NULL);

        if (words[i][0] != '\0' && g_str_equal(name, unit))
            return TRUE;
    }
    return FALSE;
}
