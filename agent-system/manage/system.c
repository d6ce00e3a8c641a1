/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The operating system, its name, its users and its load. */
#include "commands.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <utmpx.h>

static void get_host_name(Call *call, G_GNUC_UNUSED const json_t *args)
{
    struct utsname name;

    if (uname(&name) < 0) {
        call_fail_errno(call, errno, "cannot get hostname");
        return;
    }

    g_autofree char *valid = g_utf8_make_valid(name.nodename, -1);

    call_return(call, json_pack("{s:s}", "host-name", valid));
}

/*
 * The value of an assignment as os-release(5) has them: with the quotation marks and escapes of a shell. NULL if it is
 * no text.
 */
static char *unquote(const char *value)
{
    GString *text = g_string_new(NULL);
    char quote = '\0';

    for (; *value != '\0'; value++) {
        if (*value == '\\' && quote != '\'' && value[1] != '\0')
            g_string_append_c(text, *++value);
        else if (quote == '\0' ? *value == '"' || *value == '\'' : *value == quote)
            quote = quote == '\0' ? *value : '\0';
        else
            g_string_append_c(text, *value);
    }
    if (!g_utf8_validate(text->str, -1, NULL)) {
        g_string_free(text, TRUE);
        return NULL;
    }
    return g_string_free(text, FALSE);
}

static void add_release(json_t *info)
{
    static const struct {
        const char *key, *member;
    } members[] = {
        { "ID=", "id" },           { "NAME=", "name" },             { "PRETTY_NAME=", "pretty-name" },
        { "VERSION=", "version" }, { "VERSION_ID=", "version-id" }, { "VARIANT=", "variant" },
        { "VARIANT_ID=", "variant-id" },
    };
    g_autofree char *text = NULL;

    if (!g_file_get_contents("/etc/os-release", &text, NULL, NULL) &&
        !g_file_get_contents("/usr/lib/os-release", &text, NULL, NULL))
        return;

    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (guint i = 0; lines[i]; i++) {
        for (guint j = 0; j < G_N_ELEMENTS(members); j++) {
            g_autofree char *value = NULL;

            if (!g_str_has_prefix(lines[i], members[j].key))
                continue;
            value = unquote(g_strstrip(lines[i] + strlen(members[j].key)));
            if (value)
                json_object_set_new(info, members[j].member, json_string(value));
        }
    }
}

static void get_osinfo(Call *call, G_GNUC_UNUSED const json_t *args)
{
    struct utsname name;
    json_t *info;

    if (uname(&name) < 0) {
        call_fail_errno(call, errno, "uname failed");
        return;
    }
    info = json_pack("{s:s,s:s,s:s}", "kernel-release", name.release, "kernel-version", name.version, "machine",
                     name.machine);
    add_release(info);
    call_return(call, info);
}

/* One entry for each user, with the time of the first login. */
static void get_users(Call *call, G_GNUC_UNUSED const json_t *args)
{
    json_t *list = json_array();
    g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    struct utmpx *entry;

    setutxent();
    while ((entry = getutxent())) {
        g_autofree char *name = g_strndup(entry->ut_user, sizeof(entry->ut_user));
        double time = (double)entry->ut_tv.tv_sec + (double)entry->ut_tv.tv_usec / G_USEC_PER_SEC;
        json_t *user = g_hash_table_lookup(known, name);

        if (entry->ut_type != USER_PROCESS || !g_utf8_validate(name, -1, NULL))
            continue;
        if (user) {
            if (time < json_real_value(json_object_get(user, "login-time")))
                json_object_set_new(user, "login-time", json_real(time));
            continue;
        }
        user = json_pack("{s:s,s:f}", "user", name, "login-time", time);
        json_array_append_new(list, user);
        g_hash_table_insert(known, g_steal_pointer(&name), user);
    }
    endutxent();
    call_return(call, list);
}

static void get_load(Call *call, G_GNUC_UNUSED const json_t *args)
{
    double load[3];

    if (getloadavg(load, 3) < 3)
        call_fail(call, "cannot query load average");
    else
        call_return(call, json_pack("{s:f,s:f,s:f}", "load1m", load[0], "load5m", load[1], "load15m", load[2]));
}

const Command system_commands[] = {
    { "guest-get-host-name", COMMAND_INFORMATION, 0, NULL, get_host_name },
    { "guest-get-osinfo", COMMAND_INFORMATION, 0, NULL, get_osinfo },
    { "guest-get-users", COMMAND_INFORMATION, 0, NULL, get_users },
    { "guest-get-load", COMMAND_INFORMATION, 0, NULL, get_load },
    { .name = NULL },
};
