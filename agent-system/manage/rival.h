/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rival.h - is QEMU's own agent there? It has the port then, and was there first.
 */
#ifndef RIVAL_H
#define RIVAL_H

#include "bus.h"

#define RIVAL_UNIT "qemu-guest-agent.service"

/* Ask systemd; without an answer there is none. `told` is called from the main loop. */
void rival_ask(Bus *bus, void (*told)(gboolean running, gpointer user), gpointer user);

#endif
