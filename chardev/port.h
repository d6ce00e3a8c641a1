/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * port.h - a virtio-serial port on the GLib main loop.
 *
 * A read of 0 bytes from a virtio port means "the host has not connected", not the end, and poll() then reports a
 * hang-up for ever. So without a host, and while reading is paused, the descriptor is watched edge-triggered through an
 * epoll instance of its own: the kernel wakes its queue when the host connects, disconnects, sends or takes data, and
 * nothing spins or polls meanwhile. The path may be a unix socket instead (connected to) or a pty, for use without a
 * virtio device; there end means end.
 */
#ifndef PORT_H
#define PORT_H

#include "chunk.h"
#include "limits.h"

#include <glib.h>

/* One chunk with its header. */
#define PORT_FILL_MIN (CHUNK_HEADER_SIZE + LIMIT_CHUNK_OUT)

typedef struct Port Port;

/*
 * What the port tells its owner. Called from the main loop only; the port may be freed inside any of them and calls
 * nothing after that. port_kick() and port_pause() are allowed in all.
 */
typedef struct PortEvents {
    /* Bytes arrived, at most LIMIT_READ. Ask for a pause with port_pause() when there is no room for more. */
    void (*data)(const guint8 *data, gsize size, gpointer user);
    /*
     * All that could be read in one go has been given: act on what was held back. One go is bounded, so this also comes
     * while more is waiting, and output gets its turn after it.
     */
    void (*drained)(gpointer user);
    /*
     * The port can take bytes: fill `buffer` and return how many, at most `size`, which is at least PORT_FILL_MIN; 0
     * when there is nothing to send.
     */
    gsize (*fill)(guint8 *buffer, gsize size, gpointer user);
    /*
     * The host end was connected or disconnected; a port begins as disconnected. What was half-sent before a
     * disconnection is forgotten.
     */
    void (*connected)(gboolean connected, gpointer user);
    /*
     * The port is dead and should be freed: G_IO_ERROR_CLOSED when the device was removed or a socket ended, else what
     * failed.
     */
    void (*gone)(const GError *error, gpointer user);
} PortEvents;

/* Open `path`. Nothing is called back before the main loop runs. Errors name the path. */
Port *port_open(const char *path, const PortEvents *events, gpointer user, GError **error);

/* The same with a connected socket, non-blocking and close-on-exec, which it takes over; `name` is for messages. */
Port *port_adopt(int fd, const char *name, const PortEvents *events, gpointer user, GError **error);

/* Closes the descriptor. NULL is fine. */
void port_free(Port *port);

/* There is something to send: call `fill` until it answers 0 or the port is full. */
void port_kick(Port *port);

/*
 * For g_main_context_set_poll_func(): waits like g_poll(), and has input of the port opened last taken at once, without a
 * round through the main loop, as long as nothing else is ready or timed and the owner says in `drained` that it may
 * stay: what it did has changed nothing that the loop waits for, no source and no timer. A round costs more than a motion.
 */
gint port_poll(GPollFD *fds, guint count, gint timeout);
void port_stay(Port *port);

/* Stop (or resume) reading. The kernel's and the host's buffers then fill up. */
void port_pause(Port *port, gboolean paused);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Port, port_free)

#endif
