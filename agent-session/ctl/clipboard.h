/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clipboard.h - `copy` and `paste`: a terminal's way to the clipboard of the user's desktop and of the SPICE client.
 *
 * Data go through a pipe to or from the session daemon, so neither side holds more than a piece of them, and the daemon
 * never sees the terminal's own descriptors, whose flags all programs on it share.
 */
#ifndef CLIPBOARD_H
#define CLIPBOARD_H

#include <glib.h>

/* Run the command with its arguments; argv[0] is its name. Returns the exit status. */
int clipboard_copy(int argc, char **argv);
int clipboard_paste(int argc, char **argv);

#endif
