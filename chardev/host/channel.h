/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * channel.h - one socket of QEMU and what it is for: the shape that all channel types have.
 *
 * A type is a ChannelClass in a file of its own, channel-TYPE.c, and at most a struct that begins with Channel. A channel has an
 * endpoint for QEMU's side and, all but pvmouse, a character device of libspice-server for the client's. They are made
 * for good when spicevmc starts; only the agent's device comes and goes.
 *
 * Neither side is ever waited for. What cannot be written is not taken from where it comes: the endpoint is paused until
 * libspice-server asks, and libspice-server gets a short write until the endpoint has room. So a channel holds no bytes but
 * what its own type needs, and a peer that is slow or dead on one delays no other.
 */
#ifndef CHANNEL_H
#define CHANNEL_H

#include "endpoint.h"
#include "gate.h"
#include "log.h"
#include "qmp.h"

#include <jansson.h>
#include <spice.h>

typedef struct Channel Channel;
typedef struct Sinks Sinks;
typedef struct Screens Screens;

/* What channels are made with; all outlive them. */
typedef struct ChannelContext {
    const Options *options;
    SpiceServer *server;
    Gate *gate; /* or NULL */
    Sinks *sinks;
    Screens *screens;
    Qmp *qmp; /* or NULL */
} ChannelContext;

/* Does the guest have the port open? */
typedef enum ChannelGuest {
    CHANNEL_GUEST_UNKNOWN, /* nobody tells: no QMP, and no sign of its own */
    CHANNEL_GUEST_CLOSED,
    CHANNEL_GUEST_OPEN
} ChannelGuest;

typedef struct ChannelClass {
    const char *subtype; /* of libspice-server's character device, registered at once; NULL: none, or later */
    gboolean renews;     /* the device is registered anew when a client leaves while libspice-server keeps data of it */
    int kind;            /* SPICE_CHANNEL_* by which clients have it */
    gsize size;          /* of the struct that begins with Channel */
    void (*start)(Channel *channel);      /* all of Channel is there; or NULL */
    void (*stop)(Channel *channel);       /* or NULL */
    /* QEMU */
    void (*connected)(Channel *channel, gboolean connected);
    void (*input)(Channel *channel);
    void (*writable)(Channel *channel);
    void (*guest)(Channel *channel);      /* channel->guest has changed; or NULL */
    /* libspice-server; called from inside it. Results as in SpiceCharDeviceInterface */
    int (*write)(Channel *channel, const uint8_t *data, int size);
    int (*read)(Channel *channel, uint8_t *ret_data, int size);
    void (*state)(Channel *channel, gboolean connected); /* or NULL */
    gsize (*queued)(const Channel *channel); /* bytes held; NULL: none ever */
    void (*count)(const Channel *channel, json_t *counters); /* add the type's counters; or NULL */
} ChannelClass;

struct Channel {
    const ChannelClass *class;
    const ChannelContext *context;
    const OptionsChannel *options;
    Endpoint *endpoint;
    SpiceCharDeviceInterface interface;
    SpiceCharDeviceInstance device;
    guint renew_id, wake_id;
    gboolean waking; /* libspice-server may read */
    gboolean kept; /* libspice-server keeps what a short write has left of the client's data */
    gboolean unregistering; /* it is us who end the device */
    ChannelGuest guest;
    guint64 dropped; /* bytes, or events for pvmouse, that had no taker */
    LogPeer log_guest, log_client;
};

/* The types, by OptionsChannelType. */
extern const ChannelClass channel_vdagent, channel_pvmouse, channel_usbredir, channel_smartcard, channel_port;

/* Make a channel; errors name its path. */
Channel *channel_new(const ChannelContext *context, const OptionsChannel *options, GError **error);
/* NULL is fine. */
void channel_free(Channel *channel);

/* Pixels of a display's surface, for the positions that libspice-server gives to an agent. */
void channel_vdagent_set_size(Channel *channel, guint display, guint32 w, guint32 h);

/* What QMP tells of the guest; CHANNEL_GUEST_UNKNOWN when QMP is gone. */
void channel_set_guest(Channel *channel, ChannelGuest guest);

/* Bytes, or frames for pvmouse, that wait for either side. */
gsize channel_queued(const Channel *channel);

/* --- for the types --- */

/* Register the character device with libspice-server, or take it away. False, and warned about, if it will not have it. */
gboolean channel_register(Channel *channel, const char *subtype);
void channel_unregister(Channel *channel);

/*
 * Take the device away and register another, as soon as the main loop runs, before anything else of a client: what
 * libspice-server holds for it is gone then, and a client's channel with it. Until then the device is not woken.
 */
void channel_renew(Channel *channel);

/*
 * Bytes passed on as they are. channel_pass_input() has libspice-server read, and if it does not, stops listening to QEMU
 * until it does; channel_pass_read() is its other half.
 */
void channel_pass_input(Channel *channel);
int channel_pass_read(Channel *channel, uint8_t *ret_data, int size);
int channel_pass_write(Channel *channel, const uint8_t *data, int size);

/*
 * Have libspice-server read and write what it can. It is given nothing to read but from here. Not from inside one of its calls;
 * for these there is the other one, which does it when the main loop runs.
 */
void channel_wake(Channel *channel);
void channel_wake_later(Channel *channel);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Channel, channel_free)

#endif
