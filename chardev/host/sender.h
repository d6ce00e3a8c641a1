/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sender.h - the host's side of pvmouse.md: HELLO, credit, and what waits for it (pure).
 *
 * Input goes in as state, frames for the guest come out as its credit allows: between two edges only the latest
 * position counts, edges and turns are kept in order, each at its own position. Time comes in as an argument, in
 * microseconds of a clock that never goes back.
 *
 * What waits is bounded: SENDER_QUEUE edges and turns, and one motion behind them. When one more edge or turn comes,
 * all that wait are replaced by RELEASE and a full state with the sum of their turns (and of their relative motion),
 * and are counted in `removed`. Whoever can pause the source of input while sender_full() never sees that. Sums end at
 * ±SENDER_SUM_MAX.
 */
#ifndef SENDER_H
#define SENDER_H

#include "pvmouse.h"

/* Edges and turns that wait for credit. */
#define SENDER_QUEUE LIMIT_POINTER_EDGES

/* So many detents, or units of motion, wait at most in one sum: far beyond any hand. */
#define SENDER_SUM_MAX (PVMOUSE_DETENT << 23)

/* Credit counts up to here. */
#define SENDER_CREDIT_MAX 65535u

/*
 * No HELLO for this long since the guest's side was connected, or since the last invitation: send one. Also how long a
 * frame of the guest may stay incomplete before its stream is out of step.
 */
#define SENDER_INVITE_US 1000000

/*
 * Invitations without an answer, until there is input again. If our predecessor left a part of a frame in the port,
 * an open guest takes the first for the rest of it and needs four more that do not decode to start over.
 */
#define SENDER_INVITATIONS 5u

/* HELLOs in a second that are not too many. */
#define SENDER_HELLOS_MAX 100u

typedef enum SenderResult {
    SENDER_MORE, /* the input is used up, or sender_blocked() */
    SENDER_OPEN, /* a guest said HELLO: its answer is there, what waited is forgotten, full state follows */
    SENDER_LOST, /* the guest is out of step: waiting for its next HELLO */
    SENDER_FLOOD /* SENDER_OPEN, once more than anybody needs in a second: told once, the owner may disconnect */
} SenderResult;

/* What waits as one. */
typedef struct SenderFrame {
    PvmouseFrame frame;              /* type, position and buttons */
    int32_t dx, dy, wheel, hwheel;   /* may take several frames */
} SenderFrame;

/* Private but for the counters. */
typedef struct Sender {
    enum { SENDER_CLOSED, SENDER_WAITING, SENDER_OPENED } state;
    PvmouseReader reader;
    uint32_t features, ours; /* in force, and those that we announce */
    uint32_t credit;
    uint32_t sequence;       /* of the last input frame */
    uint16_t told;           /* buttons of the last input frame */
    bool answer_due;         /* to `nonce`, in `version` */
    uint32_t nonce;
    uint16_t version;
    int64_t read_at;         /* the last byte of the guest */
    uint32_t invitations;    /* that may still be sent, none before `invite_at` */
    int64_t invite_at;
    int64_t hellos_from;     /* HELLOs are counted by the second, from here */
    uint32_t hellos_now;
    bool flooded;
    /*
     * How things stand, kept over all states: STATE with the last position (no_position until there was one), or MOTION
     * after relative motion, with the buttons that are down.
     */
    PvmouseFrame now_at;
    int32_t wheel, hwheel;   /* parts of a detent that this guest does not take */
    SenderFrame queue[SENDER_QUEUE];
    size_t head, used;       /* ring */
    SenderFrame motion;      /* behind the queue, if `moving`: has neither edge nor turn */
    bool moving;
    uint64_t sent, coalesced, removed, hellos;
} Sender;

/* `features`: set of PVMOUSE_FEATURE_* that this host may send. */
void sender_init(Sender *sender, uint32_t features);

/*
 * The other end of the socket came (a guest may or may not have the port open) or went. When the guest is known to
 * have closed the port: one after the other. How things stand is kept.
 */
void sender_connected(Sender *sender, int64_t now);
void sender_disconnected(Sender *sender);

/*
 * Bytes from the guest. Call until SENDER_MORE; after it, sender_output() may have something. While sender_blocked() no
 * byte is taken, so that a guest that asks and never reads cannot pile up answers: the owner keeps what is left in
 * `in`, feeds it again when sender_output() has written the answer, and reads nothing from the guest meanwhile.
 */
SenderResult sender_next(Sender *sender, BytesReader *in, int64_t now);

/* Is there an answer to HELLO which sender_output() has not written yet? */
bool sender_blocked(const Sender *sender);

/* Is a guest there that takes input? */
bool sender_is_open(const Sender *sender);

/*
 * The pointer: a STATE or MOTION as the user made it, with all buttons that are down and what the wheels turned; its
 * sequence is not read. When nobody is there only position and buttons are kept. What this guest cannot take (position,
 * motion, parts of a detent) is left out. Ask sender_output() after each: what is not taken at once is coalesced as
 * without credit.
 */
void sender_input(Sender *sender, const PvmouseFrame *frame);

/* All buttons go up: the source of input has gone. Motion that waits is forgotten, edges that wait are still sent. */
void sender_release(Sender *sender);

/* Should the source of input be paused, as the queue of edges is nearly full? */
bool sender_full(const Sender *sender);

/*
 * Write whole frames that can be sent now, at most `size` bytes, and return how many bytes; 0 for nothing. What is
 * written counts as sent.
 */
size_t sender_output(Sender *sender, int64_t now, uint8_t *ret_data, size_t size);

/*
 * When sender_output() must be asked though nothing happened, which may be past; -1 for never. Ask anew after each call
 * of the others. A host without input is woken a few times after a change and then no more.
 */
int64_t sender_deadline(const Sender *sender);

/* Edges and turns that wait. */
size_t sender_waiting(const Sender *sender);

#endif
