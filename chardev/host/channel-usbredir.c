/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * channel-usbredir.c - one USB device of the client's for QEMU's usb-redir device.
 *
 * Both ends greet each other when they meet, so neither may get the rest of an earlier conversation: when the client's
 * channel ends QEMU is hung up on, and comes again; when QEMU goes, the client's channel is closed and offered anew. While one
 * is there without the other, its greeting waits in its socket.
 *
 * The stream goes through usbfilter.h also where every device is allowed: QEMU 7.2 aborts when a packet is malformed, so a client
 * could end the machine.
 */
#include "channel.h"
#include "usbfilter.h"

#include <spice/enums.h>
#include <string.h>

/* What QEMU has not taken yet; when it is full the client's data are not taken. */
#define OUTPUT 65536u

typedef struct UsbredirChannel {
    Channel base;
    Usbfilter *filter;
    guint8 input[LIMIT_READ]; /* from QEMU, on the way through the filter */
    gsize from, to;
    guint8 output[OUTPUT]; /* for QEMU, out of the filter: one write for a packet, not one for each of its pieces */
    gsize output_from, output_to;
    gboolean client;
} UsbredirChannel;

static void start_over(UsbredirChannel *usb)
{
    usb->from = usb->to = usb->output_from = usb->output_to = 0;
    usbfilter_reset(usb->filter);
}

/* What the filter says but for pieces; false if the conversation has ended. */
static gboolean note(UsbredirChannel *usb, UsbfilterSide side, UsbfilterResult result, const UsbfilterEvent *event)
{
    Channel *channel = &usb->base;

    if (result == USBFILTER_REFUSED) {
        channel->dropped++;
        log_peer(&channel->log_client, "USB device %04x:%04x is not allowed here: %s", event->vendor, event->product, event->why);
        channel_wake_later(channel); /* the client is to be told */
        return TRUE;
    }
    log_peer(side == USBFILTER_CLIENT ? &channel->log_client : &channel->log_guest, "%s: %s", channel->options->path,
             event->why);
    endpoint_hang_up(channel->endpoint);
    start_over(usb);
    channel_renew(channel);
    return FALSE;
}

/* True when all has been written. */
static gboolean flush(UsbredirChannel *usb)
{
    usb->output_from += endpoint_write(usb->base.endpoint, usb->output + usb->output_from, usb->output_to - usb->output_from);
    if (usb->output_from < usb->output_to) {
        return FALSE;
    }
    usb->output_from = usb->output_to = 0;
    return TRUE;
}

static int server_write(Channel *channel, const uint8_t *data, int size)
{
    UsbredirChannel *usb = (UsbredirChannel *)channel;
    BytesReader in = bytes_reader(data, (size_t)size);
    UsbfilterEvent event;
    UsbfilterResult result;

    if (!endpoint_is_connected(channel->endpoint) || !flush(usb)) {
        return 0;
    }
    while ((result = usbfilter_next(usb->filter, USBFILTER_CLIENT, &in, &event)) != USBFILTER_MORE) {
        if (result == USBFILTER_PIECE) {
            gsize take = MIN(event.size, OUTPUT - usb->output_to);

            memcpy(usb->output + usb->output_to, event.data, take);
            usb->output_to += take;
            usbfilter_taken(usb->filter, USBFILTER_CLIENT, &in, take);
            if (usb->output_to == OUTPUT && !flush(usb)) {
                break;
            }
        } else if (!note(usb, USBFILTER_CLIENT, result, &event)) {
            return size;
        }
    }
    flush(usb);
    return size - (int)in.left;
}

static int server_read(Channel *channel, uint8_t *ret_data, int size)
{
    UsbredirChannel *usb = (UsbredirChannel *)channel;
    gsize done = 0;

    while (done < (gsize)size) {
        BytesReader in = bytes_reader(usb->input + usb->from, usb->to - usb->from);
        UsbfilterEvent event;
        UsbfilterResult result = usbfilter_next(usb->filter, USBFILTER_QEMU, &in, &event);

        if (result == USBFILTER_PIECE) {
            gsize take = MIN(event.size, (gsize)size - done);

            memcpy(ret_data + done, event.data, take);
            usbfilter_taken(usb->filter, USBFILTER_QEMU, &in, take);
            done += take;
        } else if (result != USBFILTER_MORE && !note(usb, USBFILTER_QEMU, result, &event)) {
            return (int)done;
        }
        usb->from = usb->to - in.left;
        if (result == USBFILTER_MORE) {
            usb->from = 0;
            usb->to = (gsize)channel_pass_read(channel, usb->input, sizeof(usb->input));
            if (usb->to == 0) {
                break;
            }
        }
    }
    if (done == (gsize)size) {
        channel_wake_later(channel); /* libspice-server reads once, and there may be more */
    }
    return (int)done;
}

static void state(Channel *channel, gboolean is)
{
    UsbredirChannel *usb = (UsbredirChannel *)channel;

    usb->client = is;
    if (is) {
        endpoint_pause(channel->endpoint, FALSE); /* its greeting may be waiting */
    } else if (!channel->unregistering) { /* else QEMU has gone already, or has come anew and said nothing yet */
        endpoint_hang_up(channel->endpoint);
        start_over(usb);
    }
}

static void connected(Channel *channel, gboolean is)
{
    UsbredirChannel *usb = (UsbredirChannel *)channel;

    start_over(usb);
    if (is) {
        channel_wake(channel);
    } else if (usb->client) {
        channel_renew(channel);
    }
}

static void writable(Channel *channel)
{
    if (flush((UsbredirChannel *)channel)) {
        server_write(channel, NULL, 0); /* the rest of a packet that the filter holds */
        channel_wake(channel);
    }
}

static void start(Channel *channel)
{
    const char *rules = channel->context->options->policy.usbredir_filter;

    ((UsbredirChannel *)channel)->filter = usbfilter_new(rules ? rules : "-1,-1,-1,-1,1", NULL); /* checked with the options */
}

static void stop(Channel *channel)
{
    usbfilter_free(((UsbredirChannel *)channel)->filter);
}

static gsize queued(const Channel *channel)
{
    const UsbredirChannel *usb = (const UsbredirChannel *)channel;

    return usb->to - usb->from + usb->output_to - usb->output_from;
}

const ChannelClass channel_usbredir = {
    .subtype = "usbredir",
    .renews = TRUE,
    .kind = SPICE_CHANNEL_USBREDIR,
    .size = sizeof(UsbredirChannel),
    .start = start,
    .stop = stop,
    .connected = connected,
    .input = channel_pass_input,
    .writable = writable,
    .write = server_write,
    .read = server_read,
    .state = state,
    .queued = queued,
};
