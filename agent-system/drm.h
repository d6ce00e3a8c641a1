/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * drm.h - the modes that the kernel shows on each connector, for the pointer while no session daemon reports a layout
 * (greeter without one, bare tty).
 *
 * The current mode is known to the mode setting ioctls only, which this process gives up with its sandbox. So a child, forked
 * before that, keeps the right to ask; it holds nothing else: no port, no uinput device, no bus. It reads when asked and when
 * the kernel reports a change of a graphics device, and never stays DRM master, which it becomes for a moment by opening a
 * device that nobody uses.
 */
#ifndef DRM_H
#define DRM_H

#include "limits.h"

#include <glib.h>

/* One enabled output: its connector's name ("Virtual-1") and the pixels of its mode. */
typedef struct DrmOutput {
    char connector[LIMIT_CONNECTOR_NAME];
    guint32 w, h;
} DrmOutput;

typedef struct Drm Drm;

/* The enabled outputs, in the order of cards and connectors, at most LIMIT_DISPLAYS; borrowed for the call. */
typedef void (*DrmOutputs)(const DrmOutput *outputs, gsize count, gpointer user);

/*
 * Start the child. `outputs` is called from the main loop, first with the state at the start. To be called before the
 * process has threads or descriptors that the child must not have. A machine without DRM devices has no outputs; that is
 * no error.
 */
Drm *drm_new(DrmOutputs outputs, gpointer user, GError **error);

/* Ends the child. NULL is fine. */
void drm_free(Drm *drm);

/* Read again, as after a change of session: `outputs` is called if anything differs from last time. */
void drm_refresh(Drm *drm);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Drm, drm_free)

#endif
