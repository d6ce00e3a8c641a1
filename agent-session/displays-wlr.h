/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * displays-wlr.h - outputs of compositors with wlr-output-management: sway, labwc, Wayfire, niri, Hyprland and others.
 */
#ifndef DISPLAYS_WLR_H
#define DISPLAYS_WLR_H

#include "displays-backend.h"
#include "wayland.h"

/*
 * The connection must outlive the result. `drm` is the directory of connectors.h. Errors: the compositor does not have
 * the protocol.
 */
DisplaysBackend *displays_wlr_new(Wayland *wayland, const char *drm, const DisplaysBackendEvents *events,
                                  gpointer user, GError **error);

#endif
