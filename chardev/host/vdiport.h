/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vdiport.h - what passes between the SPICE client and the guest's agent, taken apart and judged (pure).
 *
 * Four byte streams of chunks meet here: from and to libspice-server, which speaks for the client on port 1 and for
 * itself on port 2, and from and to the guest's agent port. Mouse states are taken out at once and never wait; small
 * messages are decoded, judged by the policy and by what is open (grabs.h, transfers.h) and encoded anew, bulk data
 * handed on piece by piece. While the guest has no agent this side answers in its place, so that the client never
 * notices more than an agent without clipboard and files; when the agent dies, what was open with it is ended in the
 * protocol's own words.
 *
 * No I/O and no clock: time is an argument, milliseconds of any clock that never goes back. Memory is one struct of
 * less than 600 KiB. Full: the client is not read (vdiport_hold(), vdiport_from_server()) and the guest neither
 * (vdiport_guest_want()); what is said here in the other's place is dropped for a peer that does not read its answers.
 *
 * An agent that takes nothing, or leaves clipboard data half said, for VDIPORT_STALL_MS is taken for gone, as is one
 * for which too much waits although its client was held for VDIPORT_HOLD_MS again and again. When it goes on, it finds
 * that its client went and came, and both begin anew.
 */
#ifndef VDIPORT_H
#define VDIPORT_H

#include "chunk.h"
#include "mux.h"
#include "pvmouse.h"
#include "vdagent.h"

/* The guest takes nothing for this long while data wait: what waits is given up, and what is open ended. */
#define VDIPORT_STALL_MS 10000

/*
 * The client's main channel is not held longer than this, however slowly the guest takes what waits: its other messages
 * must be read, and with TLS or SASL libspice-server drops a client from which it has read nothing for 30 s.
 */
#define VDIPORT_HOLD_MS 15000

typedef struct VdiportPolicy {
    bool clipboard_to_guest, clipboard_from_guest;
    uint32_t clipboard_types; /* set of 1 << VD_AGENT_CLIPBOARD_* */
    uint32_t clipboard_max;   /* bytes of one paste, 0: no bound */
    bool files;
} VdiportPolicy;

/* What it tells its owner, who may call nothing of this header from inside but the questions, vdiport_mouse() and vdiport_set_size(). */
typedef struct VdiportEvents {
    /* The user moved or clicked: a STATE; position converted with vdiport_set_size(). `raw` is what the client sent. */
    void (*pointer)(const PvmouseFrame *frame, const VdagentMouseState *raw, void *user);
    /* So many mouse states that vdiport_mouse() had taken do not get to the guest. */
    void (*lost)(size_t count, void *user);
    /* The guest has an agent now that talks (its capabilities), or none (NULL). */
    void (*agent)(const Caps *caps, void *user);
    /* The guest's agent says it has set these modes, as the client had asked. */
    void (*monitors)(const VdagentMonitors *monitors, void *user);
    /* There may be bytes for libspice-server. For the guest they are to be asked for after each call. */
    void (*kick_client)(void *user);
    /* The agent port's stream is out of step for good, taken as gone: disconnect QEMU's end and let it come anew. */
    void (*reopen)(const char *why, void *user);
    /*
     * libspice-server has read a part of clipboard data whose rest will not come. Unregister the device and register it
     * anew: the client then drops that part, knows that its agent is gone and meets the next one. Taken as unregistered
     * already. It may come from inside a callback of libspice-server, so do it from the main loop.
     */
    void (*restart_server)(const char *why, void *user);
    /* By policy or as malformed: `who` is "client", "guest" or "server". To be logged, at a limited rate. */
    void (*refused)(const char *who, const char *what, void *user);
} VdiportEvents;

typedef enum VdiportCounter {
    VDIPORT_FROM_CLIENT,     /* messages */
    VDIPORT_FROM_GUEST,
    VDIPORT_POINTER,         /* mouse states */
    VDIPORT_REFUSED,         /* malformed ones of both */
    VDIPORT_DENIED,          /* by policy */
    VDIPORT_DROPPED,         /* that had no taker; of the guest's other ports, pieces */
    VDIPORT_ANSWERED,        /* in place of an agent */
    VDIPORT_CLIPBOARD_BYTES, /* both ways */
    VDIPORT_FILE_BYTES,
    VDIPORT_STALLS,
    VDIPORT_COUNTERS
} VdiportCounter;
const char *vdiport_counter_name(VdiportCounter counter);

typedef struct Vdiport Vdiport;

Vdiport *vdiport_new(const VdiportPolicy *policy, const VdiportEvents *events, void *user);
void vdiport_free(Vdiport *port);
const uint64_t *vdiport_counters(const Vdiport *port);

/* Pixels of a display's surface, for positions; 0x0: no such display. */
void vdiport_set_size(Vdiport *port, uint32_t display, uint32_t w, uint32_t h);

/* Is the device registered with libspice-server? Without it, what it sent is forgotten and nothing is made for it. */
void vdiport_server(Vdiport *port, bool registered, int64_t now);

/*
 * A chunk (or a part of one, or several, of at most LIMIT_READ bytes) that libspice-server writes. Takes all of it if
 * it is taken at all: false, nothing taken, when what it has of the client would not fit into what may wait for the
 * guest. What libspice-server says for itself is always taken: mouse states go to the event, of the rest only the last
 * one counts. `settling` lets the reserve be used, which holds everything libspice-server can have queued of the client
 * (its window of 10 chunks): see vdiport_hold().
 */
bool vdiport_from_server(Vdiport *port, const uint8_t *data, size_t size, bool settling, int64_t now);

/*
 * Should nothing more be read from the client's main channel? True from a high mark of what waits for the guest until a
 * low one, for at most VDIPORT_HOLD_MS at a time: then false until more comes. That goes on while the reserve has room
 * for another window, so a guest that takes one (20 KiB) in that time is waited for as long as it needs.
 */
bool vdiport_hold(const Vdiport *port);

/* Bytes for libspice-server, at most `size`, cut anywhere. */
size_t vdiport_to_server(Vdiport *port, uint8_t *ret_data, size_t size, int64_t now);

/*
 * QEMU's end of the agent port was connected or disconnected. A new one is told CLIENT_DISCONNECTED first, and then of
 * the client that is there. An agent may not have noticed that the host is another one: without a client it is asked
 * who it is by the announcement of one that can nothing, and goes when the agent has answered or a client comes.
 * Whether the guest has the port open is not known any more, and taken for so.
 */
void vdiport_qemu(Vdiport *port, bool connected, int64_t now);

/*
 * The guest has the port open, or has it closed, where that can be known (QMP) while QEMU is connected. Closed ends the
 * agent, and a chunk begun by it; so read first what there is from QEMU.
 */
void vdiport_guest_open(Vdiport *port, bool open, int64_t now);

/* How many bytes of QEMU vdiport_from_guest() takes now, at most LIMIT_READ and never more; 0: do not read. */
size_t vdiport_guest_want(const Vdiport *port);
void vdiport_from_guest(Vdiport *port, const uint8_t *data, size_t size, int64_t now);

/* The next chunk for the guest, at most MUX_CHUNK_MAX bytes; 0 for none. */
size_t vdiport_to_guest(Vdiport *port, uint8_t ret_chunk[MUX_CHUNK_MAX], int64_t now);

/*
 * Put a mouse state into the agent port (the legacy pointer). Between two chunks of others it goes next. One that only
 * moves takes the place of one before it that does; edges and wheel steps all go. A position beyond its display is put
 * at its edge, one on a display that is not there is not used: the pointer stays. When as many as may wait (64) do so,
 * the last of them is lost and its place taken, so that the guest ends with how things stand. False when nobody is
 * connected. Those that wait for an agent that goes are lost.
 */
bool vdiport_mouse(Vdiport *port, const VdagentMouseState *mouse);

/* Bytes that wait for the guest and for the client. */
size_t vdiport_queued(const Vdiport *port);

/* Does the guest have an agent that talks? */
bool vdiport_has_agent(const Vdiport *port);

/* Was one taken for gone, that may go on? It then answers the client that is there, or the next: keep the device. */
bool vdiport_may_go_on(const Vdiport *port);

/* Time has come to vdiport_deadline(), INT64_MAX for never; ask after each call. */
void vdiport_tick(Vdiport *port, int64_t now);
int64_t vdiport_deadline(const Vdiport *port);

#endif
