/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mapping.h - where the pointer's displays lie now, from all that is known about them.
 *
 * The session's own layout counts most; without a session it is the kernel's modes, side by side. Which display is which
 * connector comes from the host. What is known stays in force until something else is: a pointer at a size of a
 * moment ago is better than none. spice-pvmouse is kept informed.
 */
#ifndef MAPPING_H
#define MAPPING_H

#include "outputs.h"

typedef struct Mapping Mapping;

/* The layout in force changed. The mapping must not be freed inside. */
typedef void (*MappingChanged)(const Layout *layout, gpointer user);

/*
 * Nothing is known before `changed` is called. `sysfs` must outlive the result. Starts the child of drm.h: to be called before
 * the process has threads or descriptors that it must not have, and before the sandbox.
 */
Mapping *mapping_new(const char *sysfs, MappingChanged changed, gpointer user, GError **error);

/* NULL is fine. */
void mapping_free(Mapping *mapping);

/* The layout of the active session's outputs; false if it cannot be. An empty one, between two states, changes nothing. */
gboolean mapping_session(Mapping *mapping, const OutputsEntry *entries, gsize count);

/* Another session is active, or none. */
void mapping_forget_session(Mapping *mapping);

/* The host's graphics devices. */
void mapping_devices(Mapping *mapping, const VdagentDevices *devices);

/*
 * The pointer is used. Modes change without a word when an X server starts: without a session the kernel is asked now and
 * then while somebody would notice.
 */
void mapping_used(Mapping *mapping);

/* Connector of a display, "" if unknown; borrowed until the main loop runs. */
const char *mapping_connector(const Mapping *mapping, guint display);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Mapping, mapping_free)

#endif
