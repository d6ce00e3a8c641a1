/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * status.h - `status` and `displays`: what both daemons say about themselves.
 */
#ifndef STATUS_H
#define STATUS_H

#include <glib.h>

/* Run the command with its arguments; argv[0] is its name. Returns the exit status, 1 when a daemon does not answer. */
int status_show(int argc, char **argv);
int status_displays(int argc, char **argv);

/* Names of capability numbers (au), "mouse-state, …". */
char *status_capabilities(GVariant *numbers);

#endif
