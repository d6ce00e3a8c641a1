/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "args.h"

#include <string.h>

static char *check_struct(const Arg *args, json_t *object, const char *prefix);

static char *wrong_type(const char *prefix, const char *name, const char *expected)
{
    return g_strdup_printf("Invalid parameter type for '%s%s', expected: %s", prefix, name, expected);
}

static char *check_list(const Arg *arg, json_t *list, const char *prefix)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *value = json_array_get(list, i);
        g_autofree char *name = g_strdup_printf("%s[%zu]", arg->name, i);
        g_autofree char *inner = g_strdup_printf("%s%s.", prefix, name);

        if (arg->type == ARG_STRINGS && !json_is_string(value))
            return wrong_type(prefix, name, "string");
        if (arg->type == ARG_STRUCTS && !json_is_object(value))
            return wrong_type(prefix, name, "object");

        char *error = arg->type == ARG_STRUCTS ? check_struct(arg->members, value, inner) : NULL;

        if (error)
            return error;
    }
    return NULL;
}

static char *check_word(const Arg *arg, json_t *value, const char *prefix)
{
    if (!json_is_string(value))
        return wrong_type(prefix, arg->name, arg->schema);
    if (g_strv_contains(arg->words, json_string_value(value)))
        return NULL;
    return g_strdup_printf("Parameter '%s%s' does not accept value '%s'", prefix, arg->name, json_string_value(value));
}

static char *check_value(const Arg *arg, json_t *value, const char *prefix)
{
    switch (arg->type) {
    case ARG_INT:
        return json_is_integer(value) ? NULL : wrong_type(prefix, arg->name, "integer");
    case ARG_BOOL:
        return json_is_boolean(value) ? NULL : wrong_type(prefix, arg->name, "boolean");
    case ARG_STRING:
        return json_is_string(value) ? NULL : wrong_type(prefix, arg->name, "string");
    case ARG_WORD:
        return json_is_string(value) ? check_word(arg, value, prefix) : wrong_type(prefix, arg->name, "string");
    case ARG_STRINGS:
    case ARG_STRUCTS:
        return json_is_array(value) ? check_list(arg, value, prefix) : wrong_type(prefix, arg->name, "array");
    case ARG_INT_OR_WORD:
        return json_is_integer(value) ? NULL : check_word(arg, value, prefix);
    case ARG_BOOL_OR_WORD:
        return json_is_boolean(value) ? NULL : check_word(arg, value, prefix);
    }
    return NULL;
}

static gboolean is_known(const Arg *args, const char *name)
{
    for (; args && args->name; args++)
        if (g_str_equal(args->name, name))
            return TRUE;
    return FALSE;
}

static char *check_struct(const Arg *args, json_t *object, const char *prefix)
{
    const char *name;
    json_t *value;

    for (const Arg *arg = args; arg && arg->name; arg++) {
        value = json_object_get(object, arg->name);
        if (!value && arg->optional)
            continue;

        char *error = value ? check_value(arg, value, prefix)
                            : g_strdup_printf("Parameter '%s%s' is missing", prefix, arg->name);

        if (error)
            return error;
    }
    json_object_foreach(object, name, value)
        if (!is_known(args, name))
            return g_strdup_printf("Parameter '%s%s' is unexpected", prefix, name);
    return NULL;
}

char *args_check(const Arg *args, json_t *object)
{
    return check_struct(args, object, "");
}

gboolean args_has(const json_t *args, const char *name)
{
    return json_object_get(args, name) != NULL;
}

gint64 args_int(const json_t *args, const char *name, gint64 fallback)
{
    const json_t *value = json_object_get(args, name);

    return value ? json_integer_value(value) : fallback;
}

const char *args_string(const json_t *args, const char *name, const char *fallback)
{
    const json_t *value = json_object_get(args, name);

    return value ? json_string_value(value) : fallback;
}

guint8 *args_base64(const json_t *args, const char *name, gsize *ret_size)
{
    const char *text = args_string(args, name, "");

    if (text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\n")] != '\0')
        return NULL;
    return g_base64_decode(text, ret_size);
}
