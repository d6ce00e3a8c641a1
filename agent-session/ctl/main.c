/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * spice-agentctl - what a user asks of the guest agent from a terminal.
 */
#include "clipboard.h"
#include "doctor.h"
#include "status.h"

#include <glib.h>
#include <locale.h>

typedef struct Command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} Command;

static const Command commands[] = {
    {"status", status_show, "show the state of both daemons (--json for programs)"},
    {"doctor", doctor_run, "check what the agent needs and say what to do"},
    {"displays", status_displays, "list the displays: SPICE id, connector, mode, position"},
    {"copy", clipboard_copy, "copy standard input to the clipboard (--primary, --type TYPE)"},
    {"paste", clipboard_paste, "write the clipboard to standard output (--primary, --type TYPE)"}
};

static void help(void)
{
    g_print("usage: spice-agentctl COMMAND [OPTION]...\n\n");
    for (gsize i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_print("  %-10s%s\n", commands[i].name, commands[i].summary);
    }
    g_print("\nEach command has --help. See spice-agentctl(1).\n");
}

int main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    if (argc < 2) {
        help();
        return 2;
    }
    if (g_str_equal(argv[1], "--help") || g_str_equal(argv[1], "-h")) {
        help();
        return 0;
    }
    if (g_str_equal(argv[1], "--version")) {
        g_print("spice-agentctl %s\n", SPICE_PV_VERSION);
        return 0;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (g_str_equal(argv[1], commands[i].name)) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    g_printerr("spice-agentctl: unknown command '%s'\nSee 'spice-agentctl --help'.\n", argv[1]);
    return 2;
}
