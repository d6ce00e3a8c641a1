/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * options.h - the options of one command.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <glib.h>

/*
 * Parse the arguments of the command argv[0], which takes options only. False after a message for the user; --help
 * prints `summary` and the options and ends the program.
 */
gboolean options_parse(const char *summary, const GOptionEntry *entries, int argc, char **argv);

#endif
