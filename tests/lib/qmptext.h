/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmptext.h - commands for QEMU's monitor in short, for tests.
 *
 * "qmp_capabilities", "query-chardev", "get /chardevs/LABEL addr"; an input-send-event as DEVICE/HEAD or "any" and
 * its events: "x=N", "dx=N", "left+" (down), "left-", "key30+".
 */
#ifndef QMPTEXT_H
#define QMPTEXT_H

#include <glib.h>

/* Of one line of JSON; "?" and the line when it is none of these. */
char *qmptext(const char *line);

#endif
