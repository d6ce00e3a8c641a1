/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json.h"

static void append_text(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\') {
            g_string_append_printf(out, "\\%c", c);
        } else if (c < 0x20) {
            g_string_append_printf(out, "\\u%04x", c);
        } else {
            g_string_append_c(out, *text);
        }
    }
    g_string_append_c(out, '"');
}

static void append_items(GString *out, GVariant *value, const char *brackets)
{
    GVariantIter iter;
    GVariant *item;
    const char *separator = "";

    g_string_append_c(out, brackets[0]);
    g_variant_iter_init(&iter, value);
    while ((item = g_variant_iter_next_value(&iter))) {
        g_string_append(out, separator);
        json_append(out, item);
        g_variant_unref(item);
        separator = ", ";
    }
    g_string_append_c(out, brackets[1]);
}

void json_append(GString *out, GVariant *value)
{
    if (!value) {
        g_string_append(out, "null");
        return;
    }
    switch (g_variant_classify(value)) {
    case G_VARIANT_CLASS_STRING:
    case G_VARIANT_CLASS_OBJECT_PATH:
    case G_VARIANT_CLASS_SIGNATURE:
        append_text(out, g_variant_get_string(value, NULL));
        break;
    case G_VARIANT_CLASS_VARIANT: {
        g_autoptr(GVariant) inner = g_variant_get_variant(value);

        json_append(out, inner);
        break;
    }
    case G_VARIANT_CLASS_DICT_ENTRY: {
        g_autoptr(GVariant) key = g_variant_get_child_value(value, 0);
        g_autoptr(GVariant) held = g_variant_get_child_value(value, 1);

        json_append(out, key);
        g_string_append(out, ": ");
        json_append(out, held);
        break;
    }
    case G_VARIANT_CLASS_ARRAY:
        append_items(out, value, g_variant_is_of_type(value, G_VARIANT_TYPE_DICTIONARY) ? "{}" : "[]");
        break;
    case G_VARIANT_CLASS_TUPLE:
        append_items(out, value, "[]");
        break;
    case G_VARIANT_CLASS_BOOLEAN:
    case G_VARIANT_CLASS_INT16:
    case G_VARIANT_CLASS_UINT16:
    case G_VARIANT_CLASS_INT32:
    case G_VARIANT_CLASS_UINT32:
    case G_VARIANT_CLASS_INT64:
    case G_VARIANT_CLASS_UINT64: {
        /* GVariant's text form of these is JSON's. */
        g_autofree char *text = g_variant_print(value, FALSE);

        g_string_append(out, text);
        break;
    }
    case G_VARIANT_CLASS_BYTE:
    case G_VARIANT_CLASS_DOUBLE:
    case G_VARIANT_CLASS_HANDLE:
    case G_VARIANT_CLASS_MAYBE:
        /* In none of our interfaces. */
        g_string_append(out, "null");
        break;
    }
}
