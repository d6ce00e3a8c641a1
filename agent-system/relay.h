/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * relay.h - between the host and the session daemon: capabilities, the relay itself, what to tell whom when one goes.
 *
 * Does no I/O and has no clock: events of the port's demultiplexer and bytes of the session's sockets go in, bytes for both
 * come out, and time is an argument (milliseconds of any clock that never goes back). Small messages are decoded, judged
 * by router.h, grabs.h and transfers.h, and encoded anew. Clipboard data are handed on piece by piece. File data are cut into whole
 * messages of at most LIMIT_FILE_PIECE, so that a transfer can end at any point without breaking the framing of its socket.
 *
 * What is held is bounded by this struct. When a queue runs full its source is not read (relay_paused(),
 * relay_session_want()). The port is not read for at most LIMIT_STALL_MS at a time, since the pointer comes through it too:
 * then the transfers whose data wait are ended, or the session connection if it is clipboard data that wait.
 *
 * A message begun on the wire must be finished on it. Where the session cannot keep its promise (it ended or fell silent in
 * the middle of clipboard data), the port has to be opened anew.
 */
#ifndef RELAY_H
#define RELAY_H

#include "demux.h"
#include "grabs.h"
#include "log.h"
#include "mux.h"
#include "queue.h"
#include "router.h"
#include "transfers.h"

/* A session that does not answer the announcement of a client for this long is not one. */
#define RELAY_HANDSHAKE_MS 10000

/*
 * How long the answer to a client waits for the session's capabilities, and the first announcement for the host's own. It
 * saves a second announcement, after which QEMU's built-in agent channel closes and opens once.
 */
#define RELAY_ANNOUNCE_MS 200

typedef struct Relay Relay;

/* What the relay tells its owner, who must not call it from inside, except where said. */
typedef struct RelayEvents {
    /* A client came (what was agreed, what it announced) or went (both NULL). Layouts of the port follow `agreed` at once. */
    void (*client)(const Caps *agreed, const Caps *theirs, void *user);
    /* Graphics devices of the host, for the mapping of displays. */
    void (*devices)(const VdagentDevices *devices, void *user);
    /* Bytes for the host are there: relay_fill(). */
    void (*kick)(void *user);
    /* The session connection must end; the relay has forgotten it already, and must not be told again. */
    void (*end_session)(const char *why, void *user);
    /* The port must be closed and opened anew; the relay takes it as disconnected from now on. */
    void (*reopen)(const char *why, void *user);
} RelayEvents;

/* Names of the counters in `counters`. */
typedef enum RelayCounter {
    RELAY_FROM_HOST,      /* messages */
    RELAY_FROM_SESSION,   /* messages */
    RELAY_REFUSED,        /* malformed ones, of both */
    RELAY_DROPPED,        /* ones that had no taker */
    RELAY_CLIPBOARD_BYTES,/* of data, both ways */
    RELAY_FILE_BYTES,
    RELAY_STALLS,
    RELAY_COUNTERS
} RelayCounter;
const char *relay_counter_name(RelayCounter counter);

/* `clipboard` and `files`: what the configuration allows; `max_clipboard`: bytes of one paste, or 0 for no bound but the wire's. */
typedef struct RelayPolicy {
    bool clipboard, files;
    uint32_t max_clipboard;
} RelayPolicy;

Relay *relay_new(const RelayPolicy *policy, const RelayEvents *events, void *user);
void relay_free(Relay *relay);

const uint64_t *relay_counters(const Relay *relay);

/* The host end of the port was connected or disconnected; with the latter everything of the client ends. */
void relay_host(Relay *relay, bool connected, int64_t now);

/* An event of the demultiplexer of kind DEMUX_AGENT. */
void relay_host_event(Relay *relay, const DemuxEvent *event, int64_t now);

/* Must reading from the port stop? Ask after each piece of input, and after anything else was called. */
bool relay_paused(const Relay *relay);

/* The next chunk for the port, at most MUX_CHUNK_MAX bytes; 0 for none. */
size_t relay_fill(Relay *relay, uint8_t ret_chunk[MUX_CHUNK_MAX]);

/* Does the pointer work? Announced to the host. */
void relay_pointer(Relay *relay, bool works, int64_t now);

/* The session is locked: no new file transfers. */
void relay_locked(Relay *relay, bool locked);

/* A session daemon of this kind (not ROUTER_NO_SESSION) is connected. One that was there before must have been closed. */
void relay_session_open(Relay *relay, RouterSession session, int64_t now);

/* It is gone, or not the active one any more. Without one nothing happens. */
void relay_session_close(Relay *relay, int64_t now);

/* How many bytes may be read from a socket of the session now, at most LIMIT_READ; 0: do not read. */
size_t relay_session_want(const Relay *relay, RouterSocket socket);

/* Bytes from the session, at most that many. */
void relay_session_data(Relay *relay, RouterSocket socket, const uint8_t *data, size_t size, int64_t now);

/* Bytes for the session, and how many of them it has taken. */
const uint8_t *relay_session_peek(const Relay *relay, RouterSocket socket, size_t *ret_size);
void relay_session_taken(Relay *relay, RouterSocket socket, size_t size, int64_t now);

/* Time has come to relay_deadline(), INT64_MAX for never; ask after each call. */
void relay_tick(Relay *relay, int64_t now);
int64_t relay_deadline(const Relay *relay);

#endif
