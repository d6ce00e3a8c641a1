/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * connectors.h - what the kernel knows of the graphics device's connectors: which ones there are, is something
 * connected, which mode does it prefer, and how large is the client's monitor? All but the first are for desktops that
 * do not look again at an output that remains connected, as those on wlroots.
 *
 * The kernel looks at a connector only when a desktop has it do so, which happens some time after the device has
 * announced a change and is announced to nobody. So what is here is read again a few times after each announcement.
 */
#ifndef CONNECTORS_H
#define CONNECTORS_H

#include "displays-backend.h"

#include <glib.h>

typedef struct Connectors Connectors;

/* `directory` is /sys/class/drm but in tests. `changed` runs from the main loop, after an announcement with effect. */
Connectors *connectors_new(const char *directory, void (*changed)(gpointer user), gpointer user);
void connectors_free(Connectors *connectors);

/* Read again; TRUE if anything is another than before. Done at the start, and after the device's announcements. */
gboolean connectors_read(Connectors *connectors);

/*
 * Put state and preferred mode of the outputs whose connector is known into a state that has all else: sizes are
 * turned as the output is. Of several cards with connectors of one name the first one that is connected counts.
 */
void connectors_fill(const Connectors *connectors, DisplaysState *state);

/*
 * Which SPICE display each output of a state is: the place of its connector among all of its card, whether something is
 * connected there or not, as desktops leave out those without. Cards that have none of the outputs do not count. An
 * output that is no connector of the kernel's, as in memory, makes this the order of the outputs.
 */
void connectors_displays(const char *directory, const DisplaysState *state, gsize ret_display[LIMIT_DISPLAYS]);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Connectors, connectors_free)

#endif
