/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * wayland-outputs.h - the outputs that a Wayland compositor shows something on, as its clients see them: wl_output, and
 * xdg-output where there is one. Outputs that are off have no wl_output.
 *
 * Also a backend that reads no more than this, for compositors that let nobody change their outputs.
 */
#ifndef WAYLAND_OUTPUTS_H
#define WAYLAND_OUTPUTS_H

#include "displays-backend.h"
#include "wayland.h"

typedef struct WaylandOutput {
    char name[LIMIT_CONNECTOR_NAME]; /* of the connector, "Virtual-1"; printable ASCII, never empty */
    guint mode_w, mode_h;            /* of the current mode, in pixels before rotation; 0: none is given */
    gint32 x, y;                     /* rectangle in the desktop, as the compositor has it */
    guint w, h;
    guint transform;                 /* number of wl_output.transform */
    guint scale;                     /* at least 1; a fractional scale is rounded up here */
} WaylandOutput;

typedef struct WaylandOutputs WaylandOutputs;

/*
 * Follow the outputs of a connection whose globals are known, which must outlive the result. At most LIMIT_DISPLAYS are
 * kept: more are ignored. `changed` runs from the main loop, never from inside of a listener, once for all that the
 * compositor told in one go; the first time when it has described the outputs that it has, even if there are none.
 */
WaylandOutputs *wayland_outputs_new(Wayland *wayland, void (*changed)(gpointer user), gpointer user);
void wayland_outputs_free(WaylandOutputs *outputs);

/* FALSE while the compositor has not described all outputs that it announced. */
gboolean wayland_outputs_known(const WaylandOutputs *outputs);

/*
 * The outputs, ordered by displays_output_compare(); to be asked only while they are known, and borrowed until the main
 * loop runs again. A backend that knows also of outputs that are off sorts its own list in this order.
 */
gsize wayland_outputs_count(const WaylandOutputs *outputs);
const WaylandOutput *wayland_outputs_get(const WaylandOutputs *outputs, gsize index);
const WaylandOutput *wayland_outputs_find(const WaylandOutputs *outputs, const char *name); /* NULL: none */

/*
 * Fill one row of a state from an output: all of `ret_output`, and of `ret_plan` what is there now, with the scale that
 * mode and rectangle have to one another, as near as it can be told. It is connected; what it prefers is not known.
 */
void wayland_outputs_row(const WaylandOutput *output, DisplaysOutput *ret_output, PlanOutput *ret_plan);

/* A backend that can only read. The connection must outlive it. */
DisplaysBackend *wayland_outputs_backend_new(Wayland *wayland, const DisplaysBackendEvents *events, gpointer user);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(WaylandOutputs, wayland_outputs_free)

#endif
