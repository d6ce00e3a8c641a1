/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * endpoint.h - our end of one of QEMU's character device sockets.
 *
 * Either QEMU connects to us (server=on; its reconnect=1 finds a restarted spicevmc again) or we connect to it, again
 * each second until it is there (server=off; libvirt's mode='bind'). One peer at a time: another one that connects meanwhile is
 * turned away. Nothing is kept here: what cannot be written stays with the caller, what is not read with the kernel.
 */
#ifndef ENDPOINT_H
#define ENDPOINT_H

#include "options.h"

typedef struct Endpoint Endpoint;

/* Called from the main loop only, all of them. The endpoint may not be freed inside. */
typedef struct EndpointEvents {
    /* QEMU has connected, or is gone. After the latter nothing can be read or written. */
    void (*connected)(gboolean connected, gpointer user);
    /* Something can be read; comes again and again until it has been, unless paused. */
    void (*input)(gpointer user);
    /* More can be written, after endpoint_write() took less than it was given. Comes once. */
    void (*writable)(gpointer user);
} EndpointEvents;

/*
 * Listen at, or begin to connect to, the channel's path. Sockets we make get the mode and group of `options`. `channel` must
 * outlive the result. Nothing is called back before the main loop runs. Without a path nobody ever connects.
 */
Endpoint *endpoint_new(const Options *options, const OptionsChannel *channel, const EndpointEvents *events, gpointer user,
                       GError **error);
/* Removes a socket that we made. NULL is fine. */
void endpoint_free(Endpoint *endpoint);

/*
 * What a peer has written before it went is still read, though the endpoint is paused; until then it counts as
 * connected, and what is written to it is lost. The next peer ends that, too. Without this, a peer that goes while the
 * endpoint is paused is gone at once, and the rest with it.
 */
void endpoint_keep_rest(Endpoint *endpoint);

gboolean endpoint_is_connected(const Endpoint *endpoint);

/* Read at most `size` bytes; 0 when there is nothing now or no peer. */
gsize endpoint_read(Endpoint *endpoint, guint8 *ret_data, gsize size);

/* Write; how many bytes were taken. 0 without a peer. */
gsize endpoint_write(Endpoint *endpoint, const guint8 *data, gsize size);

/* Do not call `input`. A new peer begins unpaused. */
void endpoint_pause(Endpoint *endpoint, gboolean paused);

/*
 * Part from the peer: a stream that is out of step, or a device that needs a fresh start. It may come back. `connected` is not
 * called.
 */
void endpoint_hang_up(Endpoint *endpoint);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Endpoint, endpoint_free)

#endif
