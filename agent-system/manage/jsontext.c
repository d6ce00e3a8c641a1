/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "jsontext.h"

#include <stdlib.h>
#include <string.h>

static void add(GByteArray *out, const char *text, gsize size)
{
    g_byte_array_append(out, (const guint8 *)text, (guint)size);
}

static void add_text(GByteArray *out, const char *text)
{
    add(out, text, strlen(text));
}

static void add_escaped(GByteArray *out, gunichar c)
{
    static const char letters[] = "\"\"\\\\b\bf\fn\nr\rt\t"; /* what stands behind the backslash, and for what */
    char text[16];

    for (guint i = 0; i < sizeof(letters) - 1; i += 2)
        if (c == (guchar)letters[i + 1]) {
            add(out, (const char[]){ '\\', letters[i] }, 2);
            return;
        }
    if (c > 0xffff)
        g_snprintf(text, sizeof(text), "\\u%04X\\u%04X", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + (c & 0x3ff));
    else
        g_snprintf(text, sizeof(text), "\\u%04X", c);
    add_text(out, text);
}

static void add_string(GByteArray *out, const char *text, gsize size)
{
    const char *end = text + size;

    add_text(out, "\"");
    while (text < end) {
        const char *start = text;

        while (text < end && *text >= 0x20 && *text < 0x7f && *text != '"' && *text != '\\')
            text++;
        add(out, start, (gsize)(text - start));
        if (text < end) {
            add_escaped(out, g_utf8_get_char(text));
            text = g_utf8_next_char(text);
        }
    }
    add_text(out, "\"");
}

static void add_object(GByteArray *out, const json_t *object)
{
    const char *name, *before = "{";
    json_t *value;

    json_object_foreach((json_t *)object, name, value) {
        add_text(out, before);
        add_string(out, name, strlen(name));
        add_text(out, ": ");
        jsontext_append(out, value);
        before = ", ";
    }
    add_text(out, before[0] == '{' ? "{}" : "}");
}

static void add_array(GByteArray *out, const json_t *array)
{
    size_t i;
    const json_t *value;

    add_text(out, "[");
    json_array_foreach(array, i, value) {
        add_text(out, i > 0 ? ", " : "");
        jsontext_append(out, value);
    }
    add_text(out, "]");
}

static void add_number(GByteArray *out, const json_t *number)
{
    char *text = json_dumps(number, JSON_ENCODE_ANY);

    add_text(out, text);
    free(text);
}

void jsontext_append(GByteArray *out, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        add_object(out, value);
        break;
    case JSON_ARRAY:
        add_array(out, value);
        break;
    case JSON_STRING:
        add_string(out, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        add_number(out, value);
        break;
    case JSON_TRUE:
        add_text(out, "true");
        break;
    case JSON_FALSE:
        add_text(out, "false");
        break;
    case JSON_NULL:
        add_text(out, "null");
        break;
    }
}
