/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmptext.h"

#include <jansson.h>
#include <string.h>

static void put_event(GString *text, const json_t *event)
{
    const char *type, *name;
    json_t *data;
    int value, down;

    if (json_unpack((json_t *)event, "{s:s, s:o !}", "type", &type, "data", &data) < 0) {
        g_string_append(text, " ?");
    } else if (json_unpack(data, "{s:s, s:i !}", "axis", &name, "value", &value) == 0) {
        g_string_append_printf(text, " %s%s=%d", strcmp(type, "rel") == 0 ? "d" : "", name, value);
    } else if (json_unpack(data, "{s:s, s:b !}", "button", &name, "down", &down) == 0) {
        g_string_append_printf(text, " %s%c", name, down ? '+' : '-');
    } else if (json_unpack(data, "{s:b, s:{s:s, s:i !} !}", "down", &down, "key", "type", &name, "data", &value) == 0 &&
               strcmp(name, "number") == 0) {
        g_string_append_printf(text, " key%d%c", value, down ? '+' : '-');
    } else {
        g_string_append(text, " ?");
    }
}

char *qmptext(const char *line)
{
    json_t *message = json_loads(line, 0, NULL), *arguments, *events;
    const char *name = json_string_value(json_object_get(message, "execute")), *device = NULL, *path, *property;
    GString *text = g_string_new(NULL);
    int head = -1;

    arguments = json_object_get(message, "arguments");
    if (!name) {
        g_string_printf(text, "? %s", line);
    } else if (!arguments) {
        g_string_assign(text, name);
    } else if (json_unpack(arguments, "{s:s, s:s !}", "path", &path, "property", &property) == 0) {
        g_string_printf(text, "get %s %s", path, property);
    } else if (json_unpack(arguments, "{s?s, s?i, s:o !}", "device", &device, "head", &head, "events", &events) == 0) {
        g_string_printf(text, device ? "%s/%d" : "any", device, head);
        for (gsize i = 0; i < json_array_size(events); i++) {
            put_event(text, json_array_get(events, i));
        }
    } else {
        g_string_printf(text, "? %s", line);
    }
    json_decref(message);
    return g_string_free(text, FALSE);
}
