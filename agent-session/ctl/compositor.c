/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "compositor.h"

#define GNOME "gtk_shell1"

/* In the order in which the daemon prefers them. */
static const char *const protocols[] = {
    "ext_data_control_manager_v1", "zwlr_data_control_manager_v1", /* clipboard */
    "zwlr_output_manager_v1", "kde_output_management_v2",          /* displays */
    "wl_output", "zxdg_output_manager_v1",                         /* layout */
    GNOME                                                          /* which has all three on the session bus */
};

/* The first row that fits is taken. NULL fits every service, every program and whatever it offers. */
static const struct {
    const char *service, *program, *global, *advice;
} rows[] = {
    {NULL, NULL, GNOME,
     "GNOME has it on the session bus. Is the daemon on the same one?\n"
     "systemctl --user restart spice-agent-session"},
    {"clipboard", "cosmic-comp", NULL,
     "COSMIC offers it to no program unless told so: put the line COSMIC_DATA_CONTROL_ENABLED=1 into /etc/environment\n"
     "and log in again."},
    {"clipboard", "weston", NULL,
     "Weston has no protocol for it. In a terminal, 'spice-agentctl copy' and 'spice-agentctl paste' do the same;\n"
     "sway, labwc, GNOME and KDE share the clipboard of all programs."},
    {"clipboard", NULL, NULL,
     "A newer version of the compositor may have ext_data_control_manager_v1 or zwlr_data_control_manager_v1.\n"
     "In a terminal, 'spice-agentctl copy' and 'spice-agentctl paste' do the same."},
    {"displays", "weston", NULL,
     "Weston has no protocol for it. Give the size in weston.ini, group [output]: name=Virtual-1, mode=1920x1080."},
    {"displays", NULL, NULL,
     "Choose the size in the compositor's own settings, or let the client scale the picture.\n"
     "A newer version of the compositor may have zwlr_output_manager_v1."},
    {"layout", NULL, NULL, "With several displays the pointer may be on the wrong one. Log out and in again."}
};

static gboolean is_offered(GVariant *globals, const char *interface, guint *ret_version)
{
    return g_variant_lookup(globals, interface, "u", ret_version);
}

char *compositor_protocols(GVariant *globals)
{
    GString *text = g_string_new(NULL);
    const char *separator = "";
    guint version;

    for (gsize i = 0; i < G_N_ELEMENTS(protocols); i++) {
        if (is_offered(globals, protocols[i], &version)) {
            g_string_append_printf(text, "%s%s %u", separator, protocols[i], version);
            separator = ", ";
        }
    }
    if (!*separator) {
        g_string_append(text, "none");
    }
    separator = "; not offered: ";
    for (gsize i = 0; i < G_N_ELEMENTS(protocols); i++) {
        if (!is_offered(globals, protocols[i], &version)) {
            g_string_append_printf(text, "%s%s", separator, protocols[i]);
            separator = ", ";
        }
    }
    return g_string_free(text, FALSE);
}

const char *compositor_advice(const char *program, GVariant *globals, const char *service)
{
    guint version;

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        if ((!rows[i].service || g_str_equal(rows[i].service, service)) &&
            (!rows[i].program || g_str_equal(rows[i].program, program)) &&
            (!rows[i].global || is_offered(globals, rows[i].global, &version))) {
            return rows[i].advice;
        }
    }
    return NULL;
}
