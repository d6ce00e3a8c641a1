/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "channel.h"

#include <gio/gio.h>
#include <spice/enums.h>

static Channel *from_device(SpiceCharDeviceInstance *device)
{
    return SPICE_CONTAINEROF(device, Channel, device);
}

/* The agent is served on the main channel, and libspice-server has a kind of its own for the port of this name. */
static int kind_of(const OptionsChannel *options, const ChannelClass *class)
{
    return g_strcmp0(options->name, "org.spice-space.webdav.0") == 0 ? SPICE_CHANNEL_WEBDAV : class->kind;
}

/* The client's number of this channel: libspice-server counts those of a kind in the order in which they were made. */
static guint number_of(const Channel *channel)
{
    const OptionsChannel *options = channel->context->options->channel;
    int kind = kind_of(channel->options, channel->class);
    guint number = 0;

    for (; options != channel->options; options++) {
        number += options->type == channel->options->type && kind_of(options, channel->class) == kind;
    }
    return number;
}

static int on_write(SpiceCharDeviceInstance *device, const uint8_t *data, int size)
{
    Channel *channel = from_device(device);
    int taken = channel->renew_id != 0 ? 0 : channel->class->write(channel, data, size);

    /* It waits for ever with a write of nothing, which compressed data can amount to. */
    channel->kept = taken < size || size == 0;
    if (taken > 0 && channel->context->gate) {
        gate_passed(channel->context->gate, kind_of(channel->options, channel->class), number_of(channel), (gsize)taken);
    }
    return taken;
}

static int on_read(SpiceCharDeviceInstance *device, uint8_t *ret_data, int size)
{
    Channel *channel = from_device(device);

    /*
     * libspice-server 0.15 also reads while it throws away what a client that has gone was still to get. If that client is then
     * sent to again, it is removed a second time inside the first, and libspice-server aborts.
     */
    if (!channel->waking) {
        channel_wake_later(channel);
        return 0;
    }
    return channel->class->read(channel, ret_data, size);
}

static void on_state(SpiceCharDeviceInstance *device, int connected)
{
    Channel *channel = from_device(device);

    if (channel->class->state) {
        channel->class->state(channel, connected != 0);
    }
    /*
     * libspice-server 0.15 keeps such data for the next client, and when they are written at last, before there is one, it
     * goes by a null pointer.
     */
    if (!connected && channel->kept && channel->class->renews) {
        channel_renew(channel);
    }
}

static void on_connected(gboolean connected, gpointer user)
{
    Channel *channel = user;

    g_info("%s: QEMU %s", channel->options->path, connected ? "has connected" : "is gone");
    if (connected && channel->context->qmp) {
        qmp_refresh(channel->context->qmp);
    }
    channel->class->connected(channel, connected);
}

static void on_input(gpointer user)
{
    Channel *channel = user;

    channel->class->input(channel);
}

static void on_writable(gpointer user)
{
    Channel *channel = user;

    channel->class->writable(channel);
}

Channel *channel_new(const ChannelContext *context, const OptionsChannel *options, GError **error)
{
    static const ChannelClass *const classes[OPTIONS_CHANNEL_TYPES] = {
        [OPTIONS_VDAGENT] = &channel_vdagent,     [OPTIONS_PVMOUSE] = &channel_pvmouse,
        [OPTIONS_USBREDIR] = &channel_usbredir,   [OPTIONS_SMARTCARD] = &channel_smartcard,
        [OPTIONS_PORT] = &channel_port,
    };
    static const EndpointEvents events = { .connected = on_connected, .input = on_input, .writable = on_writable };
    g_autoptr(Channel) channel = g_malloc0(classes[options->type]->size);

    channel->class = classes[options->type];
    channel->context = context;
    channel->options = options;
    channel->log_guest.name = "guest";
    channel->log_client.name = "client";
    channel->interface = (SpiceCharDeviceInterface){
        .base = { .type = SPICE_INTERFACE_CHAR_DEVICE,
                  .description = options->path,
                  .major_version = SPICE_INTERFACE_CHAR_DEVICE_MAJOR,
                  .minor_version = SPICE_INTERFACE_CHAR_DEVICE_MINOR },
        .state = on_state,
        .write = on_write,
        .read = on_read,
        .flags = SPICE_CHAR_DEVICE_NOTIFY_WRITABLE,
    };
    channel->endpoint = endpoint_new(context->options, options, &events, channel, error);
    if (!channel->endpoint) {
        return NULL;
    }
    if (channel->class->subtype && !channel_register(channel, channel->class->subtype)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s: libspice-server refuses a %s channel", options->path,
                    channel->class->subtype);
        return NULL;
    }
    if (channel->class->start) {
        channel->class->start(channel);
    }
    return g_steal_pointer(&channel);
}

void channel_free(Channel *channel)
{
    if (!channel) {
        return;
    }
    channel_unregister(channel); /* which may ask for more */
    g_clear_handle_id(&channel->renew_id, g_source_remove);
    g_clear_handle_id(&channel->wake_id, g_source_remove);
    if (channel->class->stop) {
        channel->class->stop(channel);
    }
    endpoint_free(channel->endpoint);
    g_free(channel);
}

void channel_set_guest(Channel *channel, ChannelGuest guest)
{
    if (channel->guest != guest) {
        channel->guest = guest;
        if (channel->class->guest) {
            channel->class->guest(channel);
        }
    }
}

gsize channel_queued(const Channel *channel)
{
    return channel->class->queued ? channel->class->queued(channel) : 0;
}

gboolean channel_register(Channel *channel, const char *subtype)
{
    channel->device.base.sif = &channel->interface.base;
    channel->device.subtype = subtype;
    channel->device.portname = channel->options->name;
    /* It answers 0 whether it takes a character device or not. */
    return spice_server_add_interface(channel->context->server, &channel->device.base) == 0 && channel->device.st;
}

void channel_unregister(Channel *channel)
{
    if (channel->device.st) {
        channel->unregistering = TRUE;
        spice_server_remove_interface(&channel->device.base);
        channel->unregistering = FALSE;
        channel->device.st = NULL;
    }
}

static gboolean renew(gpointer user)
{
    Channel *channel = user;

    channel->renew_id = 0;
    channel->kept = FALSE;
    channel_unregister(channel);
    channel_register(channel, channel->class->subtype);
    return G_SOURCE_REMOVE;
}

void channel_renew(Channel *channel)
{
    if (channel->renew_id == 0) {
        channel->renew_id = g_idle_add_full(G_PRIORITY_HIGH, renew, channel, NULL);
    }
}

void channel_wake(Channel *channel)
{
    if (channel->device.st && channel->renew_id == 0) {
        channel->waking = TRUE;
        spice_server_char_device_wakeup(&channel->device);
        channel->waking = FALSE;
        if (channel->context->gate) {
            gate_flush(channel->context->gate, kind_of(channel->options, channel->class), number_of(channel));
        }
    }
}

static gboolean wake(gpointer user)
{
    Channel *channel = user;

    channel->wake_id = 0;
    channel_wake(channel);
    return G_SOURCE_REMOVE;
}

void channel_wake_later(Channel *channel)
{
    if (channel->wake_id == 0) {
        channel->wake_id = g_idle_add_full(G_PRIORITY_DEFAULT, wake, channel, NULL);
    }
}

void channel_pass_input(Channel *channel)
{
    endpoint_pause(channel->endpoint, TRUE);
    channel_wake(channel);
}

int channel_pass_read(Channel *channel, uint8_t *ret_data, int size)
{
    gsize got = endpoint_read(channel->endpoint, ret_data, (gsize)size);

    /* Also when there is more: libspice-server reads USB and ports only once each time it is woken. */
    endpoint_pause(channel->endpoint, FALSE);
    return (int)got;
}

int channel_pass_write(Channel *channel, const uint8_t *data, int size)
{
    return (int)endpoint_write(channel->endpoint, data, (gsize)size);
}
