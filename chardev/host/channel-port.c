/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * channel-port.c - a named port: a terminal, or a service such as WebDAV that the client serves.
 *
 * The client is told whether the port is open: QEMU is connected and, where QMP tells, the guest has opened it. What the
 * client sends to a port that is closed is dropped, so that no later reader gets it. The last words of a machine that
 * has ended wait for the client.
 */
#include "channel.h"

#include <spice/enums.h>
#include <spice/protocol.h>

typedef struct PortChannel {
    Channel base;
    gboolean open;
} PortChannel;

static void update(Channel *channel)
{
    PortChannel *port = (PortChannel *)channel;
    gboolean open = endpoint_is_connected(channel->endpoint) && channel->guest != CHANNEL_GUEST_CLOSED;

    if (port->open != open && channel->device.st) {
        port->open = open;
        spice_server_port_event(&channel->device, open ? SPICE_PORT_EVENT_OPENED : SPICE_PORT_EVENT_CLOSED);
    }
    channel_wake(channel);
}

static void start(Channel *channel)
{
    endpoint_keep_rest(channel->endpoint);
}

static void connected(Channel *channel, gboolean is)
{
    (void)is;
    update(channel);
}

static int port_write(Channel *channel, const uint8_t *data, int size)
{
    if (!((PortChannel *)channel)->open) {
        channel->dropped += (guint64)size;
        return size;
    }
    return channel_pass_write(channel, data, size);
}

static void state(Channel *channel, gboolean is)
{
    if (is) {
        if (((PortChannel *)channel)->open) {
            spice_server_port_event(&channel->device, SPICE_PORT_EVENT_OPENED);
        }
        endpoint_pause(channel->endpoint, FALSE); /* what came while there was no client is still to be read */
    }
}

const ChannelClass channel_port = {
    .subtype = "port",
    .renews = TRUE,
    .kind = SPICE_CHANNEL_PORT,
    .size = sizeof(PortChannel),
    .start = start,
    .connected = connected,
    .input = channel_pass_input,
    .writable = channel_wake,
    .guest = update,
    .write = port_write,
    .read = channel_pass_read,
    .state = state,
};
