/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * relay-private.h - the parts of the relay: relay.c (ends, deadlines, entry points), relay-out.c (what it sends),
 * relay-host.c and relay-session.c (what it does with what comes). For these files only.
 */
#ifndef RELAY_PRIVATE_H
#define RELAY_PRIVATE_H

#include "relay.h"

/*
 * Lanes of the multiplexer. Announcements and file statuses go first: a capability is announced before it is used. What
 * the session's control socket sends, and what is said in its place when it is gone, keeps its order in the other one.
 */
enum {
    LANE_OWN,
    LANE_CONTROL,
    LANES
};

/* Room for any small message, or the head of a bulk one. */
#define MESSAGE_MAX (MESSAGE_HEADER_SIZE + LIMIT_MESSAGE)

/*
 * A queue fuller than this stops the port: one more piece of its input, of LIMIT_READ bytes, always fits, with LIMIT_FILE_PIECE
 * of file data that were held back and some messages of our own.
 */
#define QUEUE_HIGH (LIMIT_SESSION_QUEUE - LIMIT_FILE_PIECE - LIMIT_READ - MESSAGE_MAX)

/* Kept free in a lane for our own messages while the session's are taken: a message collected before, and answers. */
#define LANE_RESERVE (MESSAGE_MAX + 2048u)

/* Small messages for the session that wait for the end of clipboard data. */
#define HELD_MAX 16384u

/* What becomes of the data of a bulk message under way. */
typedef enum Bulk {
    BULK_DROP,
    BULK_CLIPBOARD,
    BULK_FILE
} Bulk;

typedef struct Channel {
    Stream in;
    Queue out;
    int64_t asked; /* when the client was announced; -1: answered, or nothing to answer */
} Channel;

struct Relay {
    RelayPolicy policy;
    RelayEvents events;
    void *user;
    uint64_t counters[RELAY_COUNTERS];
    LogPeer log_host, log_session, log_client;

    bool host, pointer;
    Mux mux;
    bool heard;            /* the host has announced since it was connected */
    bool announced;        /* and we have */
    bool answer_due;
    Caps announced_caps;
    int64_t announce_by;   /* whatever else is missing */

    bool client;
    Caps client_caps, agreed;
    int32_t max_clipboard; /* of the client, -1 for none */
    bool max_known, monitors_known, devices_known;
    VdagentMonitors monitors;
    VdagentDevices devices;

    RouterState state;
    Channel channel[ROUTER_SOCKETS];
    bool session_known;    /* session_caps are what it announced */
    Caps session_caps;
    Grabs grabs;
    Transfers transfers;

    struct {
        Bulk bulk;
        uint32_t id;       /* BULK_FILE */
        bool framed;       /* a part of this message has been handed on */
        size_t staged;
        uint8_t stage[LIMIT_FILE_PIECE];
    } down;                /* host → session */
    struct {
        Bulk bulk;
        uint8_t selection;
        uint64_t put;      /* bytes of the message that have been queued */
        int64_t progress;  /* when data came last; INT64_MAX while we do not read */
    } up;                  /* session → host */
    size_t held;
    uint8_t hold[HELD_MAX];

    int64_t full_since;    /* the port is not read; -1 while it is */
    bool host_stuck;       /* the host does not take what waits in LANE_OWN: the port is not stopped for it again */
};

/* ---- relay-out.c ---- */

/* Queue a message for the host. One that does not fit is dropped, and one that its client cannot understand. */
void relay_put_host(Relay *relay, size_t lane, const VdagentMessage *message);

/* A file transfer status in the form that the client knows; `gio_error` for an ERROR. */
void relay_put_status(Relay *relay, uint32_t id, uint32_t result, int gio_error);

/* Empty clipboard data. */
void relay_answer_host_with_nothing(Relay *relay, uint8_t selection);
void relay_answer_session_with_nothing(Relay *relay, uint8_t selection, int64_t now);

/* Queue a message for the session, if there is one; what does not fit ends it. During clipboard data it waits for their end. */
void relay_put_session(Relay *relay, RouterSocket socket, const VdagentMessage *message, int64_t now);
void relay_put_session_bytes(Relay *relay, RouterSocket socket, const uint8_t *data, size_t size, int64_t now);
void relay_cancel_in_session(Relay *relay, uint32_t id, int64_t now);

/* Announce to the host what has changed or is owed, if it is time. */
void relay_announce(Relay *relay, int64_t now);

/* True while an announcement is owed that has to wait. */
bool relay_announce_waits(const Relay *relay);

/* ---- relay.c; each may end the session or the client under its caller ---- */

/* Make the session know the client that is there, and what it would know had it been there all the time. */
void relay_introduce_client(Relay *relay, int64_t now);
void relay_client_goes(Relay *relay, int64_t now);
void relay_session_ends(Relay *relay, const char *why, int64_t now);

/* ---- relay-host.c, relay-session.c ---- */

void relay_host_message(Relay *relay, VdagentMessage *message, int64_t now);
void relay_host_bulk(Relay *relay, const VdagentMessage *message, int64_t now);
void relay_host_data(Relay *relay, const uint8_t *data, size_t size, int64_t now);
void relay_host_bulk_end(Relay *relay, int64_t now);

void relay_session_message(Relay *relay, RouterSocket socket, VdagentMessage *message, int64_t now);
void relay_session_bulk(Relay *relay, RouterSocket socket, const VdagentMessage *message, int64_t now);
void relay_session_bulk_data(Relay *relay, const uint8_t *data, size_t size, int64_t now);

#endif
