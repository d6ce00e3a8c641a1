/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmp.h - a few fixed verbs on QEMU's monitor, spoken by a child process.
 *
 * Who has the monitor can run code as QEMU. So the connection belongs to a child that is forked before anything
 * listens and offers the verbs below over a socket pair, in frames of fixed size; what it may do is decided when it
 * is forked: which monitor, which display devices. The child connects, and connects again when QEMU comes back, every
 * second.
 *
 * When the child dies, that is logged, everything is called back as if QEMU had gone, and so it stays: another one
 * could only be forked by a process that has not yet listened. When this process dies, the child releases what is
 * down, and ends.
 */
#ifndef QMP_H
#define QMP_H

#include "limits.h"

#include <glib.h>

typedef struct Qmp Qmp;

/* Called from the main loop. qmp_free() is allowed in all of them. */
typedef struct QmpEvents {
    /*
     * The monitor answers, with all buttons released on all tablets, and all keys that the one before it had left down;
     * or it is gone, and then it is not known which channels are open: a QEMU that ends may not be read to its end yet,
     * one that goes on still serves them. QEMU serves one client on a monitor at a time: with another one there we are
     * not connected.
     */
    void (*connected)(gboolean connected, gpointer user);
    /*
     * Does the guest have the port open whose character device is on this path? For all channels after
     * connected(TRUE), then for each that has changed, at qmp_refresh() and when QEMU says VSERPORT_CHANGE, which it
     * does for ports with an id and at most once a second for each. `channel` is the index into the list given to
     * qmp_new().
     */
    void (*guest_open)(guint channel, gboolean open, gpointer user);
    /* The machine was reset, or QEMU ends. */
    void (*reset)(gpointer user);
    /* While connected: qmp_has_tablet() has changed. */
    void (*tablet)(gpointer user);
} QmpEvents;

/* Where the pointer of a display goes: the tablet made with `display=DEVICE,head=HEAD`; NULL: one made without. */
typedef struct QmpDisplay {
    const char *device;
    guint head;
} QmpDisplay;

/*
 * Fork the child, with this process's rights less all capabilities. `paths` are the sockets of the channels whose
 * state is to be told, spelled as QEMU is told them; at most VERB_CHANNELS_MAX (verbs.h). Nothing of the arguments is
 * kept by the parent. Must be called before the first thread is made. Open descriptors but for 0 to 2 are closed in
 * the child.
 */
Qmp *qmp_new(const char *monitor, const QmpDisplay *displays, guint n_displays, const char *const *paths, guint n_paths,
             GError **error);
/* Start calling back. Once. */
void qmp_start(Qmp *qmp, const QmpEvents *events, gpointer user);
/* Has the child release what is down and end, which takes a second at most. NULL is fine. */
void qmp_free(Qmp *qmp);

gboolean qmp_is_connected(const Qmp *qmp);

/*
 * Connected, and the machine has a tablet: can the pointer go this way? One that is unplugged is known at once; QEMU
 * does not say when one is plugged, so that is known at the next qmp_refresh().
 */
gboolean qmp_has_tablet(const Qmp *qmp);

/*
 * Move and click: wire position (0..65535, pvmouse.md) on a display, or none; the set of PVMOUSE_BUTTON_* that are
 * down now; wheel detents (positive: away, right; at most 127 of them are turned). QEMU's tablets have no horizontal
 * wheel, and forward and back are unknown to it: both are ignored. While QEMU works, a position is overwritten by the
 * next one; edges wait in order, up to QMPINPUT_QUEUE (qmpinput.h), which says what happens to more of them.
 *
 * False, and counted, when there is no connection, no such display or no room in the socket to the child, which holds
 * some hundred verbs at least: wheels, motion and clicks in this one are lost. Where the pointer is and what is down
 * comes true when there is room again, unless the connection is gone.
 */
gboolean qmp_pointer(Qmp *qmp, guint display, gboolean position, guint16 x, guint16 y, guint buttons, int wheel,
                     int hwheel);
/*
 * Relative motion, for the mouse that QEMU has, which may have a horizontal wheel. Beyond a signed 16-bit number it
 * is cut.
 */
gboolean qmp_motion(Qmp *qmp, int dx, int dy, guint buttons, int wheel, int hwheel);

/* A key: XT scan code, 0x80 added when it came behind 0xe0. False as above. */
gboolean qmp_key(Qmp *qmp, guint8 scancode, gboolean down);

/* Ask for the state of all channels, as after QEMU has connected to one, and whether there is a tablet. */
void qmp_refresh(Qmp *qmp);

/*
 * Calls that were false, and what the child had no room for or QEMU refused (a machine that is paused, no such
 * tablet).
 */
guint64 qmp_dropped(const Qmp *qmp);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Qmp, qmp_free)

#endif
