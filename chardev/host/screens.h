/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * screens.h - a blank picture for each display.
 *
 * A SPICE client places its pointer on a picture: without one there is neither client mouse mode nor a window. Here the
 * real picture is elsewhere, on a monitor or in Looking Glass, so each display has a surface of zeros, of the size that the
 * guest is known to have. Nothing writes to it, so it costs no memory but while libspice-server clears it.
 *
 * libspice-server sends the picture of a surface that is there to each viewer that connects, by way of a copy in memory, but
 * nothing of one that is made while the viewer is connected, as a client clears it by itself. So surfaces are made when
 * viewers are there, and removed behind the last one.
 *
 * Its calls for that wait for the display's thread, and the thread waits up to 30 s for the first message of a new viewer. So they
 * are made only when the thread has said that it is free; sizes may follow the guest a little later. One wait is left that is
 * libspice-server's own: a client whose main connection ends before its display channel has said anything.
 */
#ifndef SCREENS_H
#define SCREENS_H

#include "options.h"

#include <spice.h>

typedef struct Screens Screens;

/* Called for each display at start and when its size has changed; 0x0: it has no picture. */
typedef void (*ScreensResized)(guint display, guint32 w, guint32 h, gpointer user);

/* Add a QXL device of libspice-server for each display of `options`. */
Screens *screens_new(const Options *options, SpiceServer *server, ScreensResized resized, gpointer user);
/* Before the server is destroyed. NULL is fine. */
void screens_free(Screens *screens);

/*
 * How many clients are connected, and how many channels of displays. A client without any, as Looking Glass's, gets its surfaces
 * all the same, for its pointer, after SCREENS_WAIT_MS.
 */
#define SCREENS_WAIT_MS 500
void screens_watched(Screens *screens, guint clients, guint viewers);

/* Give a display another size, or none with 0x0. Displays that were not configured are ignored, as are sizes beyond 16384. */
void screens_resize(Screens *screens, guint display, guint32 w, guint32 h);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Screens, screens_free)

#endif
