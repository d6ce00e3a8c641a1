/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * compositor.h - what a Wayland compositor offers to an agent, and what to do about what it does not (pure).
 *
 * `globals` is that of AgentSession1.Compositor, a{su}: interfaces with versions.
 */
#ifndef COMPOSITOR_H
#define COMPOSITOR_H

#include <glib.h>

/* The protocols that the agent can use: "A 1, B 2; not offered: C, D". */
char *compositor_protocols(GVariant *globals);

/*
 * What the user can do when nothing serves "clipboard", "displays" or "layout" with this compositor, whose program is
 * called so. Lines separated by \n.
 */
const char *compositor_advice(const char *program, GVariant *globals, const char *service);

#endif
