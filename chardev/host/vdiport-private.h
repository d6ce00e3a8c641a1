/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vdiport-private.h - the parts of the agent channel's host end: vdiport.c (ends, stalls, entry points), vdiport-out.c
 * (what is said to whom), vdiport-client.c and vdiport-guest.c (what becomes of what comes). For these files only.
 */
#ifndef VDIPORT_PRIVATE_H
#define VDIPORT_PRIVATE_H

#include "demux.h"
#include "grabs.h"
#include "queue.h"
#include "transfers.h"
#include "vdiport.h"

/* Any small message, or the head of a bulk one. */
#define MESSAGE_MAX (MESSAGE_HEADER_SIZE + LIMIT_MESSAGE)

/* Messages of our own that wait for the end of clipboard data: the statuses of all transfers that can live, and more. */
#define HOLD_MAX 16384u

/* Kept free in a lane for messages of our own while bulk data are taken in. */
#define LANE_RESERVE HOLD_MAX

/*
 * What waits for the guest: the client is not read above HIGH until LOW; beyond SOFT only what was under way is taken,
 * up to MOST.
 */
#define GUEST_HIGH 65536u
#define GUEST_LOW 32768u
#define GUEST_SOFT 131072u
#define GUEST_MOST (LIMIT_SESSION_QUEUE - LANE_RESERVE)

/* What libspice-server lets a client have under way: 10 chunks. */
#define CLIENT_WINDOW (10 * LIMIT_CHUNK_OUT)

/* Mouse states that wait for the guest. */
#define MICE_MAX 64u

/*
 * Messages on their way to one peer on the client's port. The last one may be clipboard data of which more is to come;
 * until it is complete, other messages wait in `hold`. mux.h would do but for two things: here the unfinished message
 * can be taken back as long as the peer has seen nothing of it, and all be dropped when the peer forgets what it has
 * seen.
 *
 * Full: a message that does not fit is dropped, and lane_put() tells. What comes from the other peer has room, since it
 * is not read before there is some; so only what is said in a peer's place can be lost, to one that does not read.
 */
typedef struct Lane {
    Queue queue;
    uint64_t bulk_left; /* data that the last message still lacks */
    uint64_t bulk_put;  /* bytes of it that have been queued */
    size_t held;
    uint8_t hold[HOLD_MAX];
} Lane;

void lane_clear(Lane *lane);

/* Bytes that fit, those that are held back reckoned with. */
size_t lane_room(const Lane *lane);

/* Queue a message, or the head of one whose data lane_data() brings. False if it cannot be said, or does not fit. */
bool lane_put(Lane *lane, const Caps *layout, const VdagentMessage *message);
void lane_data(Lane *lane, const uint8_t *data, size_t size);

/* The rest of the bulk message will not come: false if the peer has seen some of it. */
bool lane_abandon(Lane *lane);

/* Drop everything but what must be finished: false, with all dropped, if that is impossible. */
bool lane_cut(Lane *lane);

/* The next chunk, or 0. */
size_t lane_chunk(Lane *lane, uint8_t ret_chunk[MUX_CHUNK_MAX]);

/* What becomes of the data of a bulk message under way. */
typedef enum Bulk {
    BULK_DROP,
    BULK_CLIPBOARD,
    BULK_FILE
} Bulk;

/*
 * Layouts never change under a message on its way: whatever client and agent can do, both are told the same set of
 * layout capabilities all the time, so that the layout of each side depends on its own announcement alone.
 *
 * Memory: two lanes of 272 KiB, 16 KiB of file data being collected, decoders (two streams of the demultiplexer and the
 * guest's) of 4 KiB each and clipboard state: less than 600 KiB, whatever the peers do.
 */
struct Vdiport {
    VdiportPolicy policy;
    VdiportEvents events;
    void *user;
    uint64_t counters[VDIPORT_COUNTERS];
    Caps layout; /* capabilities that change layouts, as we announce them */

    /* libspice-server and the client */
    bool server, client;
    Demux demux;
    ChunkReader ahead; /* in step with the demultiplexer: knows whose bytes come before they are taken */
    Caps client_caps, client_layout;
    Caps told_client;  /* announced to it last */
    bool answer_due;   /* to the client's first announcement */
    int32_t max_clipboard; /* of the client, -1 for none */
    VdagentMonitors monitors; /* that the client asked for last */
    bool monitors_asked;      /* and the agent has not answered */
    Lane to_client;
    uint8_t chunk[MUX_CHUNK_MAX]; /* being read by libspice-server */
    size_t chunk_size, chunk_taken;

    /* QEMU and the guest's agent */
    bool qemu, closed;
    bool agent;  /* has announced */
    bool may_go_on; /* an agent that was taken for gone, as it was stuck */
    bool asked;  /* was told of a client that there is not */
    bool told;   /* the client there has been announced to the port since it was cut */
    bool open;   /* and the agent has answered that: what it says now is for this client */
    ChunkReader chunks;
    Stream guest;
    Caps guest_caps, guest_layout;
    Lane to_guest;
    struct {
        bool leave_due;   /* CLIENT_DISCONNECTED */
        bool devices_due;
        VdagentDevices devices;
        VdagentMouseState mouse[MICE_MAX];
        size_t mice;
        bool motion;      /* the last of those moves only */
        VdagentMouseState last; /* mouse state that was put */
        uint8_t bytes[MESSAGE_MAX]; /* the message under way */
        size_t size, taken;
        bool turn;        /* the last chunk was of this port */
    } server_port;

    Grabs grabs;
    Transfers transfers;
    struct {
        Bulk bulk;
        uint32_t id;      /* BULK_FILE */
        bool framed;      /* a part of this message has been handed on */
        size_t staged;
        uint8_t stage[LIMIT_READ];
    } down;               /* client → guest */
    struct {
        bool clipboard;   /* data of it are coming */
        uint8_t selection;
        int64_t progress; /* when data came last, or could */
    } up;                 /* guest → client */

    bool holding;
    int64_t held_since;
    size_t mark;          /* of what waits for the guest: beyond it the client is held */
    int64_t waiting;      /* since when the guest has taken nothing of what waits; -1: nothing does */
    bool stalled;         /* it took nothing for too long, and has not since */
};

/* ---- vdiport-out.c ---- */

/* The capabilities that change layouts, as policy lets them be. */
Caps vdiport_layout(const VdiportPolicy *policy);

/*
 * Queue a message for the client or for the agent. One that cannot be said to it, or has no room, is dropped and
 * counted.
 */
void vdiport_put_client(Vdiport *port, const VdagentMessage *message);
void vdiport_put_guest(Vdiport *port, const VdagentMessage *message);

/* Empty clipboard data. */
void vdiport_put_client_nothing(Vdiport *port, uint8_t selection);
void vdiport_put_guest_nothing(Vdiport *port, uint8_t selection);

/* Nobody is there to do what the client asked for. */
void vdiport_put_client_failure(Vdiport *port, uint32_t type);

/* A file transfer status in the form that the client knows; `gio_error` for an ERROR. */
void vdiport_put_status(Vdiport *port, uint32_t id, uint32_t result, int gio_error);

/* Announce to the client what is owed or has changed. */
void vdiport_announce(Vdiport *port);

/* Announce the client to the guest, which begins anew with it. */
void vdiport_introduce(Vdiport *port);

/* Ask an agent that has not noticed that we are new who it is, though there is no client to be told of. */
void vdiport_ask(Vdiport *port);

/* Client and agent know each other from here on: tell the agent what it must know of the client. */
void vdiport_acquaint(Vdiport *port);

/* Tell the agent how large clipboard data may be. */
void vdiport_put_max(Vdiport *port);

/* Largest clipboard data that go to the client. */
uint32_t vdiport_most_to_client(const Vdiport *port);

/* Forget what is on its way to the agent, and have it forget what it has of it. */
void vdiport_cut_guest(Vdiport *port);

/* The next chunk of libspice-server's own messages, or 0. */
size_t vdiport_server_chunk(Vdiport *port, uint8_t ret_chunk[MUX_CHUNK_MAX]);

/* Count a message that policy refuses, and tell. */
void vdiport_deny(Vdiport *port, const char *who, uint32_t type);

/* Leave only types that policy lets pass. */
void vdiport_filter_types(const Vdiport *port, VdagentGrab *grab);
bool vdiport_type_allowed(const Vdiport *port, uint32_t type);

/* ---- vdiport.c ---- */

/* The client is gone: forget it, and tell the agent. */
void vdiport_client_goes(Vdiport *port);

/* The agent is gone: end what is open with it, transfers by this status. */
void vdiport_agent_ends(Vdiport *port, uint32_t result, int gio_error);

/* ---- vdiport-client.c, vdiport-guest.c ---- */

void vdiport_client_event(Vdiport *port, const DemuxEvent *event, int64_t now);
void vdiport_guest_event(Vdiport *port, StreamResult result, const StreamEvent *event, int64_t now);

#endif
