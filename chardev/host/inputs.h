/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inputs.h - the client's keyboard, and its mouse while the pointer is the guest's (server mouse mode).
 *
 * Keys go to QEMU by QMP; without it there is no keyboard. Absolute positions do not come here: see channel-vdagent.c.
 */
#ifndef INPUTS_H
#define INPUTS_H

#include "channel.h"

typedef struct Inputs Inputs;

/* Add keyboard and mouse to libspice-server, as far as the policy allows. */
Inputs *inputs_new(const ChannelContext *context);
/* Call when the server is destroyed. */
void inputs_free(Inputs *inputs);

/* The client has gone: release its keys, and forget half a one. */
void inputs_reset(Inputs *inputs);

/* Keys that had no way, as there is no QMP connection. */
guint64 inputs_dropped_keys(const Inputs *inputs);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Inputs, inputs_free)

#endif
