/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* systemctl.h - have systemd do something, as root: without polkit, and without a bus. */
#ifndef SYSTEMCTL_H
#define SYSTEMCTL_H

#include <glib.h>

/*
 * Have it begin; `unit` is NULL for a verb of the whole system. Returns NULL, or what systemctl says why it has not
 * begun, to be freed.
 */
char *systemctl(const char *verb, const char *unit);

#endif
