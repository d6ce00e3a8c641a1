/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * outputs.h - which DRM connector a SPICE display is; the same for the pointer and for sizes that the client asks for.
 *
 * The host says for each display the graphics device (PCI path) and the number of its head (GRAPHICS_DEVICE_INFO); sysfs
 * says which connectors that device has. A display is never matched by where it lies on the desktop. Without device info
 * displays are the connectors in order of cards and connector ids.
 */
#ifndef OUTPUTS_H
#define OUTPUTS_H

#include "layout.h"
#include "vdagent.h"

#include <glib.h>

/* One output of the session's layout, as in org.spice_space.Agent1.SetLayout. */
typedef struct OutputsEntry {
    char connector[LIMIT_CONNECTOR_NAME]; /* "" for the rectangle of the whole desktop */
    LayoutDisplay place;
} OutputsEntry;

/* Connector of each SPICE display id; "" where none is known. */
typedef struct Outputs {
    char connector[LIMIT_DISPLAYS][LIMIT_CONNECTOR_NAME];
} Outputs;

/*
 * Look the connectors up in `sysfs` (normally "/sys"). `devices` may be NULL or empty: then display n is the n-th connector
 * of all. A device that cannot be found leaves its displays empty.
 */
void outputs_find(const char *sysfs, const VdagentDevices *devices, Outputs *ret_outputs);

/* The display that is this connector; LIMIT_DISPLAYS if none is. */
guint outputs_display(const Outputs *outputs, const char *connector);

/*
 * The layout by display id from `count` entries by connector. When no entry's name is known as a connector (an X driver that
 * names its outputs in its own way), entries are taken in their order. False if the result would not be valid;
 * `ret_layout` is then untouched.
 */
gboolean outputs_layout(const Outputs *outputs, const OutputsEntry *entries, gsize count, Layout *ret_layout);

#endif
