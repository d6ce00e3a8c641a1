/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * displays-kde.h - outputs of KWin, by kde_output_management_v2 and kde_output_device_v2.
 *
 * Devices are announced one by one as globals or, by newer versions, by kde_output_device_registry_v2. Since version
 * 6.6 KWin makes modes of most sizes; before that, a size that no mode has is refused. KWin lets all its clients at its
 * outputs: no desktop file with X-KDE-Wayland-Interfaces is needed. Outputs are in the order of
 * displays_output_compare().
 */
#ifndef DISPLAYS_KDE_H
#define DISPLAYS_KDE_H

#include "displays-backend.h"
#include "wayland.h"

/*
 * NULL if the compositor lacks one of the protocols. The connection, whose globals are known, must outlive the result.
 */
DisplaysBackend *displays_kde_new(Wayland *wayland, const DisplaysBackendEvents *events, gpointer user, GError **error);

#endif
