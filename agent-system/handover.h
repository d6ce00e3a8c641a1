/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * handover.h - keeps spice-pvmouse informed of the layout, over the socket described in layout.h.
 *
 * The other daemon may come and go; the directory of the socket is watched, so that a new one is told at once.
 */
#ifndef HANDOVER_H
#define HANDOVER_H

#include "layout.h"

#include <glib.h>

typedef struct Handover Handover;

/* `path` is normally LAYOUT_SOCKET; its directory should exist. */
Handover *handover_new(const char *path);

/* NULL is fine. */
void handover_free(Handover *handover);

/* Tell this layout from now on. */
void handover_set(Handover *handover, const Layout *layout);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Handover, handover_free)

#endif
