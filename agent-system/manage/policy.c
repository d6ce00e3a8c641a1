/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy.h"

struct Policy {
    GPtrArray *allowed, *blocked; /* of words */
};

static const struct {
    const char *name;
    const char *off; /* by default: why */
} groups[COMMAND_GROUPS] = {
    [COMMAND_BASIC] = { "basic", NULL },
    [COMMAND_INFORMATION] = { "information", NULL },
    [COMMAND_TIME] = { "time", NULL },
    [COMMAND_POWER] = { "power", NULL },
    [COMMAND_FREEZE] = { "freeze", NULL },
    [COMMAND_HARDWARE] = { "hardware", NULL },
    [COMMAND_FILES] = { "files", "the guest's administrator has not allowed files" },
    [COMMAND_EXEC] = { "exec", "the guest's administrator has not allowed exec" },
    [COMMAND_PASSWORD] = { "password", "the guest's administrator has not allowed password" },
    [COMMAND_SSH_KEYS] = { "ssh-keys", "the guest's administrator has not allowed ssh-keys" },
    [COMMAND_PACKAGES] = { "packages", "the guest's administrator has not allowed packages" },
    [COMMAND_SESSIONS] = { "sessions", "the guest's administrator has not allowed sessions" },
    [COMMAND_SERVICES] = { "services", NULL },
    [COMMAND_HOST_NAME] = { "host-name", "the guest's administrator has not allowed host-name" },
};

Policy *policy_new(void)
{
    Policy *policy = g_new(Policy, 1);

    policy->allowed = g_ptr_array_new_with_free_func(g_free);
    policy->blocked = g_ptr_array_new_with_free_func(g_free);
    return policy;
}

void policy_free(Policy *policy)
{
    if (!policy)
        return;
    g_ptr_array_unref(policy->allowed);
    g_ptr_array_unref(policy->blocked);
    g_free(policy);
}

static void add(GPtrArray *words, const char *list)
{
    g_auto(GStrv) parts = g_strsplit_set(list ? list : "", ", \t", -1);

    for (guint i = 0; parts[i]; i++)
        if (parts[i][0] != '\0')
            g_ptr_array_add(words, g_strdup(parts[i]));
}

void policy_allow(Policy *policy, const char *list)
{
    add(policy->allowed, list);
}

void policy_block(Policy *policy, const char *list)
{
    add(policy->blocked, list);
}

static gboolean names(const GPtrArray *words, const Command *command)
{
    for (guint i = 0; i < words->len; i++) {
        const char *word = words->pdata[i];

        if (g_str_equal(word, command->name) || g_str_equal(word, groups[command->group].name) ||
            g_str_equal(word, "all"))
            return TRUE;
    }
    return FALSE;
}

const char *policy_refusal(const Policy *policy, const Command *command)
{
    if (names(policy->blocked, command))
        return "the guest's administrator has blocked it";
    return names(policy->allowed, command) ? NULL : groups[command->group].off;
}

static gboolean is_known(const char *word, const Command *const *tables)
{
    for (guint i = 0; i < COMMAND_GROUPS; i++)
        if (g_str_equal(word, groups[i].name))
            return TRUE;
    for (; *tables; tables++)
        for (const Command *command = *tables; command->name; command++)
            if (g_str_equal(word, command->name))
                return TRUE;
    return g_str_equal(word, "all");
}

const char *policy_unknown(const Policy *policy, const Command *const *tables, guint *position)
{
    while (*position < policy->allowed->len + policy->blocked->len) {
        guint at = (*position)++;
        const char *word = at < policy->allowed->len ? policy->allowed->pdata[at]
                                                     : policy->blocked->pdata[at - policy->allowed->len];

        if (!is_known(word, tables))
            return word;
    }
    return NULL;
}

static char *join(const GPtrArray *words)
{
    GString *list = g_string_new(NULL);

    for (guint i = 0; i < words->len; i++)
        g_string_append_printf(list, "%s%s", i > 0 ? "," : "", (const char *)words->pdata[i]);
    return g_string_free(list, FALSE);
}

char *policy_allowed(const Policy *policy)
{
    return join(policy->allowed);
}

char *policy_blocked(const Policy *policy)
{
    return join(policy->blocked);
}

const char *policy_group_name(CommandGroup group)
{
    return groups[group].name;
}
