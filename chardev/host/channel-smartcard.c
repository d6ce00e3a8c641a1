/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * channel-smartcard.c - the client's smartcard for QEMU's ccid-card-passthru, whole messages only (vsc.h).
 *
 * libspice-server can register a reader but never take it back for good, so the device stays, and a QEMU that comes anew is
 * told again what the client had said: that there is a reader, and the ATR of the card in it.
 */
#include "channel.h"
#include "vsc.h"

#include <string.h>

/* Commands that wait for the client's answer. More are not read, as libspice-server queues for the client without a bound. */
#define ASKED_MAX 16u

/* For QEMU: a message of the client's, and an answer of our own. */
#define OUTPUT (2 * VSC_MESSAGE_MAX)

typedef struct SmartcardChannel {
    Channel base;
    VscReader from_client, from_qemu;
    guint8 input[1024]; /* from QEMU; its message for libspice-server is `message` */
    gsize from, to;
    VscMessage message;
    gsize message_done;
    guint8 output[OUTPUT]; /* for QEMU */
    gsize output_used;
    guint8 reader[VSC_MESSAGE_MAX], atr[VSC_MESSAGE_MAX]; /* as the client said it; empty: none */
    gsize reader_size, atr_size;
    gboolean client;
    guint asked; /* commands without an answer yet */
} SmartcardChannel;

static void flush(SmartcardChannel *card)
{
    gsize sent = endpoint_write(card->base.endpoint, card->output, card->output_used);

    card->output_used -= sent;
    memmove(card->output, card->output + sent, card->output_used);
}

static void put(SmartcardChannel *card, const guint8 *data, gsize size)
{
    memcpy(card->output + card->output_used, data, size);
    card->output_used += size;
}

static void remember(SmartcardChannel *card, const VscMessage *message)
{
    switch (message->type) {
    case VSC_TYPE_READER_ADD:
        memcpy(card->reader, message->data, message->size);
        card->reader_size = message->size;
        card->atr_size = 0;
        break;
    case VSC_TYPE_READER_REMOVE:
        card->reader_size = card->atr_size = 0;
        break;
    case VSC_TYPE_ATR:
        memcpy(card->atr, message->data, message->size);
        card->atr_size = message->size;
        break;
    case VSC_TYPE_CARD_REMOVE:
        card->atr_size = 0;
        break;
    default:
        break;
    }
}

/* How many commands are still without an answer, when the client has said this. */
static guint asked_after(const SmartcardChannel *card, const VscMessage *message)
{
    switch (message->type) {
    case VSC_TYPE_APDU:
    case VSC_TYPE_ERROR:
        return card->asked > 0 ? card->asked - 1 : 0;
    case VSC_TYPE_READER_REMOVE:
    case VSC_TYPE_CARD_REMOVE:
        return 0; /* nobody is there to answer */
    default:
        return card->asked;
    }
}

static int server_write(Channel *channel, const uint8_t *data, int size)
{
    SmartcardChannel *card = (SmartcardChannel *)channel;
    BytesReader in = bytes_reader(data, (size_t)size);
    VscMessage message;
    VscResult result;

    /* Room for one message whenever one is taken; the reader's own half of one is not lost. */
    while (OUTPUT - card->output_used >= VSC_MESSAGE_MAX &&
           (result = vsc_next(&card->from_client, VSC_CLIENT, &in, &message)) != VSC_MORE) {
        if (result == VSC_REFUSED) {
            channel->dropped++;
            log_peer(&channel->log_client, "smartcard: message of type %u and %u bytes", message.type, message.length);
            continue;
        }
        remember(card, &message);

        gboolean waits = card->asked >= ASKED_MAX;

        card->asked = asked_after(card, &message);
        if (waits && card->asked < ASKED_MAX) {
            endpoint_pause(channel->endpoint, FALSE);
            channel_wake_later(channel);
        }
        if (endpoint_is_connected(channel->endpoint)) {
            put(card, message.data, message.size);
            flush(card);
        }
    }
    return size - (int)in.left;
}

static void refuse(SmartcardChannel *card, const VscMessage *message)
{
    Channel *channel = &card->base;
    BytesWriter out = bytes_writer(card->output + card->output_used, OUTPUT - card->output_used);

    channel->dropped++;
    log_peer(&channel->log_guest, "smartcard: message of type %u and %u bytes", message->type, message->length);
    if (message->type == VSC_TYPE_APDU && vsc_put_wrong_length(&out, message->reader)) {
        card->output_used += out.used;
        flush(card);
    }
}

static int server_read(Channel *channel, uint8_t *ret_data, int size)
{
    SmartcardChannel *card = (SmartcardChannel *)channel;

    if (card->asked >= ASKED_MAX) {
        endpoint_pause(channel->endpoint, TRUE);
        return 0;
    }
    while (card->message_done == card->message.size) {
        BytesReader in = bytes_reader(card->input + card->from, card->to - card->from);
        VscResult result = vsc_next(&card->from_qemu, VSC_QEMU, &in, &card->message);

        card->from = card->to - in.left;
        card->message_done = 0;
        if (result == VSC_MESSAGE) {
            card->asked += card->client && card->message.type == VSC_TYPE_APDU;
            break;
        }
        if (result == VSC_REFUSED) {
            refuse(card, &card->message);
            card->message.size = 0;
            continue;
        }
        card->message.size = 0;
        card->from = 0;
        card->to = (gsize)channel_pass_read(channel, card->input, sizeof(card->input));
        if (card->to == 0) {
            return 0;
        }
    }

    gsize take = MIN(card->message.size - card->message_done, (gsize)size);

    memcpy(ret_data, card->message.data + card->message_done, take);
    card->message_done += take;
    return (int)take;
}

static void connected(Channel *channel, gboolean is)
{
    SmartcardChannel *card = (SmartcardChannel *)channel;

    card->output_used = card->asked = 0;
    card->from = card->to = card->message_done = card->message.size = 0;
    memset(&card->from_qemu, 0, sizeof(card->from_qemu));
    if (is) {
        put(card, card->reader, card->reader_size);
        put(card, card->atr, card->atr_size);
        flush(card);
    }
    channel_wake(channel);
}

static void writable(Channel *channel)
{
    flush((SmartcardChannel *)channel);
    channel_wake(channel);
}

static void state(Channel *channel, gboolean is)
{
    SmartcardChannel *card = (SmartcardChannel *)channel;

    memset(&card->from_client, 0, sizeof(card->from_client));
    card->client = is;
    card->asked = 0;
    if (is) {
        endpoint_pause(channel->endpoint, FALSE);
    }
}

static gsize queued(const Channel *channel)
{
    const SmartcardChannel *card = (const SmartcardChannel *)channel;

    return card->output_used + card->to - card->from + card->message.size - card->message_done;
}

const ChannelClass channel_smartcard = {
    .subtype = "smartcard",
    .kind = SPICE_CHANNEL_SMARTCARD,
    .size = sizeof(SmartcardChannel),
    .connected = connected,
    .input = channel_pass_input,
    .writable = writable,
    .write = server_write,
    .read = server_read,
    .state = state,
    .queued = queued,
};
