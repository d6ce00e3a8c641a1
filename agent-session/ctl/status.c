/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "status.h"

#include "bus.h"
#include "caps.h"
#include "json.h"
#include "options.h"

#include <stdio.h>

/* A property and what it is called here. */
typedef struct Row {
    const char *property, *label;
} Row;

static const Row agent_rows[] = {
    {"Version", "version"},
    {"PortState", "port"},
    {"ClientConnected", "client connected"},
    {"ClientCapabilities", "client can"},
    {"ActiveSession", "active session"},
    {"ActiveUser", "active user"},
    {"SessionConnected", "session daemon"},
    {"PointerState", "pointer"},
    {"Displays", "displays"},
    {"Counters", "counters"},
    {NULL, NULL}
};

static const Row session_rows[] = {
    {"Version", "version"},
    {"Connected", "connected"},
    {"ClientConnected", "client connected"},
    {"Session", "session"},
    {"Display", "display"},
    {"Compositor", "compositor"},
    {"Backends", "backends"},
    {"Outputs", "outputs"},
    {"Policy", "policy"},
    {NULL, NULL}
};

char *status_capabilities(GVariant *numbers)
{
    GString *text = g_string_new(NULL);
    GVariantIter iter;
    guint cap;

    g_variant_iter_init(&iter, numbers);
    while (g_variant_iter_next(&iter, "u", &cap)) {
        const char *name = caps_name(cap);

        g_string_append(text, text->len > 0 ? ", " : "");
        if (name) {
            g_string_append(text, name);
        } else {
            g_string_append_printf(text, "%u", cap);
        }
    }
    return g_string_free(text, FALSE);
}

/* "wl_compositor 4, wl_shm 1, …" */
static char *globals_text(GVariant *globals)
{
    GString *text = g_string_new(NULL);
    GVariantIter iter;
    const char *name;
    guint version;

    g_variant_iter_init(&iter, globals);
    while (g_variant_iter_next(&iter, "{&su}", &name, &version)) {
        g_string_append_printf(text, "%s%s %u", text->len > 0 ? ", " : "", name, version);
    }
    return g_string_free(text, FALSE);
}

/* One line of a list. */
static char *item_text(GVariant *item)
{
    g_autoptr(GVariant) value = NULL;
    const char *name, *text;
    guint id, w, h, lw, lh, transform;
    gint x, y;
    guint64 number;

    if (g_variant_is_of_type(item, G_VARIANT_TYPE("(usuu)"))) {
        g_variant_get(item, "(u&suu)", &id, &name, &w, &h);
        return g_strdup_printf("%u: %s %ux%u", id, name, w, h);
    }
    if (g_variant_is_of_type(item, G_VARIANT_TYPE("(suuiiuuu)"))) {
        g_variant_get(item, "(&suuiiuuu)", &name, &w, &h, &x, &y, &lw, &lh, &transform);
        return g_strdup_printf("%s: %ux%u, desktop %ux%u at %d,%d, transform %u", *name ? name : "desktop", w, h, lw,
                               lh, x, y, transform);
    }
    if (g_variant_is_of_type(item, G_VARIANT_TYPE("{ss}"))) {
        g_variant_get(item, "{&s&s}", &name, &text);
        return g_strdup_printf("%s: %s", name, text);
    }
    if (g_variant_is_of_type(item, G_VARIANT_TYPE("{sv}"))) {
        g_variant_get(item, "{&sv}", &name, &value);
        g_autofree char *shown = g_variant_is_of_type(value, G_VARIANT_TYPE("a{su}")) ? globals_text(value)
                                 : g_variant_is_of_type(value, G_VARIANT_TYPE_STRING) ? g_variant_dup_string(value, NULL)
                                                                                      : g_variant_print(value, FALSE);

        return g_strdup_printf("%s: %s", name, shown);
    }
    if (g_variant_is_of_type(item, G_VARIANT_TYPE("{st}"))) {
        g_variant_get(item, "{&st}", &name, &number);
        return g_strdup_printf("%s: %" G_GUINT64_FORMAT, name, number);
    }
    return g_variant_print(item, FALSE);
}

static char *value_text(GVariant *value)
{
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_BOOLEAN)) {
        return g_strdup(g_variant_get_boolean(value) ? "yes" : "no");
    }
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_STRING)) {
        const char *text = g_variant_get_string(value, NULL);

        return g_strdup(*text ? text : "none");
    }
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_UINT32) && g_variant_get_uint32(value) == G_MAXUINT32) {
        return g_strdup("none");
    }
    if (g_variant_is_of_type(value, G_VARIANT_TYPE("au"))) {
        char *text = status_capabilities(value);

        return *text ? text : (g_free(text), g_strdup("nothing"));
    }
    if (g_variant_is_container(value)) {
        GString *text = g_string_new(NULL);

        for (gsize i = 0; i < g_variant_n_children(value); i++) {
            g_autoptr(GVariant) item = g_variant_get_child_value(value, i);
            g_autofree char *line = item_text(item);

            g_string_append_printf(text, "%s%s", i > 0 ? "\n                    " : "", line);
        }
        return g_string_free(g_string_append(text, text->len > 0 ? "" : "none"), FALSE);
    }
    return g_variant_print(value, FALSE);
}

static void print_daemon(const char *title, GVariant *properties, const Row *rows)
{
    g_print("%s\n", title);
    for (const Row *row = rows; row->property; row++) {
        g_autoptr(GVariant) value = g_variant_lookup_value(properties, row->property, NULL);

        if (value) {
            g_autofree char *text = value_text(value);

            g_print("  %-17s %s\n", row->label, text);
        }
    }
}

int status_show(int argc, char **argv)
{
    gboolean json = FALSE;
    const GOptionEntry entries[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &json,
         "All properties as one JSON object: 'system' and 'session', null if not running", NULL},
        G_OPTION_ENTRY_NULL
    };
    g_autoptr(GError) agent_error = NULL;
    g_autoptr(GError) session_error = NULL;

    if (!options_parse("Shows the state of the system daemon and of this user's session daemon.", entries, argc,
                       argv)) {
        return 2;
    }

    g_autoptr(GVariant) agent = bus_daemon_properties(BUS_AGENT, &agent_error);
    g_autoptr(GVariant) session = bus_daemon_properties(BUS_SESSION, &session_error);

    if (json) {
        GString *text = g_string_new("{\"system\": ");

        json_append(text, agent);
        g_string_append(text, ", \"session\": ");
        json_append(text, session);
        g_string_append(text, "}\n");
        fputs(text->str, stdout); /* UTF-8 in every locale */
        g_string_free(text, TRUE);
    } else {
        if (agent) {
            print_daemon("system daemon", agent, agent_rows);
        }
        if (session) {
            print_daemon("session daemon", session, session_rows);
        }
    }
    if (!agent) {
        g_printerr("spice-agentctl: the system daemon does not answer: %s\n", bus_error_text(agent_error));
    }
    if (!session) {
        g_printerr("spice-agentctl: the session daemon does not answer: %s\n", bus_error_text(session_error));
    }
    if (!agent || !session) {
        g_printerr("'spice-agentctl doctor' says what to do.\n");
        return 1;
    }
    return 0;
}

/* Where the session has put the output of this connector, "+X+Y"; "-" when nobody knows. */
static char *position(GVariant *outputs, const char *connector)
{
    GVariantIter iter;
    const char *name;
    gint x, y;

    if (outputs) {
        g_variant_iter_init(&iter, outputs);
        while (g_variant_iter_next(&iter, "(&suuiiuuu)", &name, NULL, NULL, &x, &y, NULL, NULL, NULL)) {
            if (g_str_equal(name, connector)) {
                return g_strdup_printf("%+d%+d", x, y);
            }
        }
    }
    return g_strdup("-");
}

int status_displays(int argc, char **argv)
{
    const GOptionEntry entries[] = {G_OPTION_ENTRY_NULL};
    g_autoptr(GError) error = NULL;

    if (!options_parse("Lists the displays: SPICE display id, connector, mode, position on the desktop.", entries, argc,
                       argv)) {
        return 2;
    }

    g_autoptr(GVariant) agent = bus_daemon_properties(BUS_AGENT, &error);
    if (!agent) {
        g_printerr("spice-agentctl: the system daemon does not answer: %s\n'spice-agentctl doctor' says what to do.\n",
                   bus_error_text(error));
        return 1;
    }

    g_autoptr(GVariant) displays = g_variant_lookup_value(agent, "Displays", G_VARIANT_TYPE("a(usuu)"));
    g_autoptr(GVariant) session = bus_daemon_properties(BUS_SESSION, NULL);
    g_autoptr(GVariant) outputs =
        session ? g_variant_lookup_value(session, "Outputs", G_VARIANT_TYPE("a(suuiiuuu)")) : NULL;
    GVariantIter iter;
    const char *connector;
    guint id, width, height;

    if (!displays || g_variant_n_children(displays) == 0) {
        g_printerr("spice-agentctl: no display is known yet.\n");
        return 1;
    }
    g_variant_iter_init(&iter, displays);
    while (g_variant_iter_next(&iter, "(u&suu)", &id, &connector, &width, &height)) {
        g_autofree char *where = position(outputs, connector);

        g_print("%u %s %ux%u %s\n", id, *connector ? connector : "-", width, height, where);
    }
    return 0;
}
