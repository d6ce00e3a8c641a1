/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * displays.h - sizes and positions of the guest's outputs: applied as the SPICE client asks, followed where the device
 * changes them, and reported for the pointer.
 *
 * The facade plans (plan.h); a backend reads and changes the desktop's outputs. Desktops are not believed: what was
 * applied is read again and, if it came out otherwise, tried once more; then the user is told.
 */
#ifndef DISPLAYS_H
#define DISPLAYS_H

#include "vdagent.h"
#include "wayland.h"
#include "x11.h"

#include <gio/gio.h>

typedef struct Displays Displays;

typedef struct DisplaysPolicy {
    gboolean follow;     /* take over an output's new preferred mode when the desktop did not */
    gboolean auto_scale; /* resolution, or scale, from the physical sizes that the client gives */
    const char *sysfs;   /* "/sys" */
} DisplaysPolicy;

typedef struct DisplaysPeer {
    /* The layout as it is now, a(suuiiuuu) of Agent1.SetLayout; floating reference. */
    void (*layout)(GVariant *outputs, gpointer user);
    /* What the client asked for last has been done, or cannot be had. Once for each displays_apply(). */
    void (*applied)(gboolean done, gpointer user);
    void (*refused)(const char *what, const char *why, gpointer user);
    /* The backend serves no more: displays_serve_none() is due, from this call or later, and then perhaps another. */
    void (*lost)(const char *why, gpointer user);
} DisplaysPeer;

Displays *displays_new(const DisplaysPolicy *policy, const DisplaysPeer *peer, gpointer user);
void displays_free(Displays *displays);

/* Serve a desktop; the layout is reported at once and at each change. The connection must outlive its use. */
gboolean displays_serve_x11(Displays *displays, X11 *x11, GError **error);
gboolean displays_serve_kde(Displays *displays, Wayland *wayland, GError **error);
gboolean displays_serve_wlr(Displays *displays, Wayland *wayland, GError **error);
void displays_serve_mutter(Displays *displays, GDBusConnection *session_bus);
/* Of a compositor that lets nobody change its outputs: only the layout. */
void displays_serve_outputs(Displays *displays, Wayland *wayland);
void displays_serve_none(Displays *displays);

/* Name of the backend, for the user, and whether it can change anything; NULL: none. */
const char *displays_backend(const Displays *displays, gboolean *ret_can_apply);

/*
 * GRAPHICS_DEVICE_INFO of the host: which outputs are the client's monitors. Without, or while none of the outputs is
 * one of those devices', monitors are the connectors in their order.
 */
void displays_devices(Displays *displays, const VdagentDevices *devices);

/*
 * MONITORS_CONFIG of the client. One that comes while another is under way waits for its end; of several that wait the
 * last one is taken, and those before it count as applied.
 */
void displays_apply(Displays *displays, const VdagentMonitors *monitors);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Displays, displays_free)

#endif
