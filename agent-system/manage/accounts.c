/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Passwords and ssh keys of users. */
#include "commands.h"
#include "helper.h"
#include "services.h"

#include <string.h>

static void set_user_password(Call *call, const json_t *args)
{
    const char *user = args_string(args, "username", NULL);
    gsize size;
    g_autofree guint8 *data = args_base64(args, "password", &size);
    g_autofree char *password = data ? g_strndup((char *)data, size) : NULL;
    const char *form = json_is_true(json_object_get(args, "crypted")) ? "crypted" : "plain";
    const char *const words[] = { "guest-set-user-password", user, form, password, NULL };

    if (!data)
        call_fail(call, "%s", ARGS_BASE64_ERROR);
    else if (memchr(data, '\n', size) || memchr(data, 0, size))
        call_fail(call, "forbidden characters in raw password");
    else if (strpbrk(user, ":\n"))
        call_fail(call, "forbidden characters in username");
    else
        helper_ask(call_services(call)->helper, HELPER_ACCOUNTS, words, helper_end_call, call);
}

static void on_keys(const char *const *words, const GError *error, gpointer user)
{
    json_t *keys;

    if (error) {
        call_fail(user, "%s", error->message);
        return;
    }
    keys = json_array();
    for (; *words; words++) {
        g_autofree char *key = g_utf8_make_valid(*words, -1);

        json_array_append_new(keys, json_string(key));
    }
    call_return(user, json_pack("{s:o}", "keys", keys));
}

static void get_keys(Call *call, const json_t *args)
{
    const char *const words[] = { "guest-ssh-get-authorized-keys", args_string(args, "username", NULL), NULL };

    helper_ask(call_services(call)->helper, HELPER_ACCOUNTS, words, on_keys, call);
}

/* Ask for a change of keys; `option` NULL: there is none. */
static void change_keys(Call *call, const json_t *args, const char *command, const char *option)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    size_t i;
    const json_t *value;

    g_ptr_array_add(words, (char *)command);
    g_ptr_array_add(words, (char *)args_string(args, "username", NULL));
    if (option)
        g_ptr_array_add(words, (char *)option);
    json_array_foreach(json_object_get(args, "keys"), i, value) {
        const char *key = json_string_value(value);

        if (key[0] == '#' || strchr(key, '\n')) {
            call_fail(call, "invalid OpenSSH public key: '%s'", key);
            return;
        }
        g_ptr_array_add(words, (char *)key);
    }
    g_ptr_array_add(words, NULL);
    helper_ask(call_services(call)->helper, HELPER_ACCOUNTS, (const char *const *)words->pdata, helper_end_call,
               call);
}

static void add_keys(Call *call, const json_t *args)
{
    gboolean reset = json_is_true(json_object_get(args, "reset"));

    change_keys(call, args, "guest-ssh-add-authorized-keys", reset ? "reset" : "add");
}

static void remove_keys(Call *call, const json_t *args)
{
    change_keys(call, args, "guest-ssh-remove-authorized-keys", NULL);
}

static const Arg password_args[] = {
    { .name = "username", .type = ARG_STRING },
    { .name = "password", .type = ARG_STRING },
    { .name = "crypted", .type = ARG_BOOL },
    { .name = NULL },
};
static const Arg get_args[] = { { .name = "username", .type = ARG_STRING }, { .name = NULL } };
static const Arg add_args[] = {
    { .name = "username", .type = ARG_STRING },
    { .name = "keys", .type = ARG_STRINGS },
    { .name = "reset", .type = ARG_BOOL, .optional = TRUE },
    { .name = NULL },
};
static const Arg remove_args[] = {
    { .name = "username", .type = ARG_STRING },
    { .name = "keys", .type = ARG_STRINGS },
    { .name = NULL },
};

const Command accounts_commands[] = {
    { "guest-set-user-password", COMMAND_PASSWORD, 0, password_args, set_user_password },
    { "guest-ssh-get-authorized-keys", COMMAND_SSH_KEYS, 0, get_args, get_keys },
    { "guest-ssh-add-authorized-keys", COMMAND_SSH_KEYS, 0, add_args, add_keys },
    { "guest-ssh-remove-authorized-keys", COMMAND_SSH_KEYS, 0, remove_args, remove_keys },
    { .name = NULL },
};
