/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session.h"

#include <string.h>

/* So many frames in a row that do not decode are no frames: a host that is replaced may leave a part of one in the port. */
#define STRANGE_MAX 4u

#define OUR_FEATURES (PVMOUSE_FEATURE_ABSOLUTE | PVMOUSE_FEATURE_RELATIVE | PVMOUSE_FEATURE_HIRES_WHEEL)

void session_init(Session *session, uint32_t nonce)
{
    memset(session, 0, sizeof(*session));
    session->nonce = nonce;
}

/* Wait for the answer to a new HELLO, which goes out at `hello_at`. No earlier answer can match it. */
static void start_over(Session *session, int64_t hello_at)
{
    session->nonce = session->nonce == UINT32_MAX ? 1 : session->nonce + 1;
    session->state = SESSION_WAITING;
    session->strange = 0;
    session->hello_due = true;
    session->hello_at = hello_at;
}

void session_connected(Session *session, int64_t now)
{
    session->reader = (PvmouseReader){ .have = 0 };
    start_over(session, now);
}

void session_disconnected(Session *session)
{
    session->state = SESSION_CLOSED;
    session->hello_due = false;
}

static SessionResult refuse(Session *session, SessionEvent *ret_event, const char *why)
{
    session->refused++;
    ret_event->why = why;
    return SESSION_REFUSED;
}

/*
 * Look for the answer to our HELLO, at every byte. A host that still invites us a second after it was sent has not
 * got it: the one that had is gone, and the kernel did not show that between two reads.
 */
static SessionResult next_waiting(Session *session, BytesReader *in, int64_t now, SessionEvent *ret_event)
{
    while (pvmouse_read_hello(&session->reader, in)) {
        PvmouseFrame hello;

        if (pvmouse_decode(session->reader.bytes, &hello) != PVMOUSE_OK || session->hello_due) {
            continue;
        }
        if (hello.sequence == 0 && now - session->hello_at >= SESSION_RESTART_US) {
            start_over(session, now);
            ret_event->why = NULL;
            return SESSION_RESTART;
        }
        if (hello.sequence != session->nonce) {
            continue;
        }
        if (hello.version > PVMOUSE_VERSION) {
            return refuse(session, ret_event, "HELLO of a version that was not offered");
        }
        session->state = SESSION_OPENED;
        session->features = hello.features & OUR_FEATURES;
        session->sequence = 0;
        return SESSION_OPEN;
    }
    return SESSION_MORE;
}

/* What is wrong with an input frame, or NULL. */
static const char *check_input(const Session *session, const PvmouseFrame *frame)
{
    if (frame->type == PVMOUSE_STATE && !frame->no_position && !(session->features & PVMOUSE_FEATURE_ABSOLUTE)) {
        return "a position, not agreed upon";
    }
    if (frame->type == PVMOUSE_MOTION && !(session->features & PVMOUSE_FEATURE_RELATIVE)) {
        return "relative motion, not agreed upon";
    }
    if ((frame->wheel % PVMOUSE_DETENT != 0 || frame->hwheel % PVMOUSE_DETENT != 0) &&
        !(session->features & PVMOUSE_FEATURE_HIRES_WHEEL)) {
        return "part of a wheel detent, not agreed upon";
    }
    return NULL;
}

/* Out of step, or talking to somebody who believes that we are someone else. */
static SessionResult restart_for_error(Session *session, int64_t now, SessionEvent *ret_event, const char *why)
{
    int64_t at = session->error_at == 0 || now - session->error_at >= SESSION_RESTART_US
                     ? now
                     : session->error_at + SESSION_RESTART_US;

    session->error_at = at;
    start_over(session, at);
    ret_event->why = why;
    return SESSION_RESTART;
}

static SessionResult take_input(Session *session, const PvmouseFrame *frame, SessionEvent *ret_event)
{
    const char *why = check_input(session, frame);

    session->gaps += frame->sequence != session->sequence + 1;
    session->sequence = frame->sequence;
    if (why) {
        return refuse(session, ret_event, why);
    }
    ret_event->frame = *frame;
    ret_event->why = NULL;
    return SESSION_INPUT;
}

/* Each input frame uses up credit, also one that is refused. */
static bool use_credit(Session *session)
{
    switch (session->reader.bytes[0]) {
    case PVMOUSE_STATE:
    case PVMOUSE_MOTION:
    case PVMOUSE_RELEASE:
        if (session->credit == 0) {
            return false;
        }
        session->credit--;
        return true;
    default:
        return true;
    }
}

static SessionResult next_open(Session *session, BytesReader *in, int64_t now, SessionEvent *ret_event)
{
    while (pvmouse_read(&session->reader, in)) {
        PvmouseFrame frame;
        bool granted = use_credit(session);

        switch (pvmouse_decode(session->reader.bytes, &frame)) {
        case PVMOUSE_UNKNOWN_TYPE:
            session->unknown++;
            if (++session->strange >= STRANGE_MAX) {
                return restart_for_error(session, now, ret_event, "nothing but frames that do not decode");
            }
            continue;
        case PVMOUSE_BAD_MAGIC:
            return restart_for_error(session, now, ret_event, pvmouse_result_text(PVMOUSE_BAD_MAGIC));
        case PVMOUSE_BAD_VALUE:
            if (++session->strange >= STRANGE_MAX) {
                return restart_for_error(session, now, ret_event, "nothing but frames that do not decode");
            }
            return refuse(session, ret_event, pvmouse_result_text(PVMOUSE_BAD_VALUE));
        case PVMOUSE_OK:
            session->strange = 0;
            break;
        }
        switch (frame.type) {
        case PVMOUSE_HELLO:
            if (frame.sequence != 0) {
                return restart_for_error(session, now, ret_event, "HELLO that nobody asked for");
            }
            start_over(session, now);
            ret_event->why = NULL;
            return SESSION_RESTART;
        case PVMOUSE_CREDIT:
            return refuse(session, ret_event, "CREDIT goes to the host only");
        case PVMOUSE_STATE:
        case PVMOUSE_MOTION:
        case PVMOUSE_RELEASE: {
            SessionResult result = take_input(session, &frame, ret_event);

            if (result == SESSION_INPUT && !granted) {
                ret_event->why = "more frames than credit";
            }
            return result;
        }
        }
    }
    return SESSION_MORE;
}

SessionResult session_next(Session *session, BytesReader *in, int64_t now, SessionEvent *ret_event)
{
    switch (session->state) {
    case SESSION_CLOSED:
        in->at += in->left;
        in->left = 0;
        return SESSION_MORE;
    case SESSION_WAITING:
        return next_waiting(session, in, now, ret_event);
    case SESSION_OPENED:
        return next_open(session, in, now, ret_event);
    }
    return SESSION_MORE;
}

static bool credit_due(const Session *session)
{
    return session->state == SESSION_OPENED && session->credit <= LIMIT_PVMOUSE_CREDIT / 2;
}

bool session_output_due(const Session *session)
{
    return session->hello_due || credit_due(session);
}

size_t session_output(Session *session, int64_t now, bool applied, uint8_t ret_data[SESSION_OUTPUT_MAX])
{
    PvmouseFrame frame;

    if (session->hello_due && now >= session->hello_at) {
        frame = (PvmouseFrame){ .type = PVMOUSE_HELLO,
                                .sequence = session->nonce,
                                .version = PVMOUSE_VERSION,
                                .features = OUR_FEATURES,
                                .credit = LIMIT_PVMOUSE_CREDIT };
        session->hello_due = false;
        session->hello_at = now;
        session->credit = LIMIT_PVMOUSE_CREDIT;
    } else if (applied && credit_due(session)) {
        frame = (PvmouseFrame){ .type = PVMOUSE_CREDIT, .credit = LIMIT_PVMOUSE_CREDIT - session->credit };
        session->credit = LIMIT_PVMOUSE_CREDIT;
    } else {
        return 0;
    }
    pvmouse_encode(&frame, ret_data);
    return PVMOUSE_FRAME_SIZE;
}

int64_t session_deadline(const Session *session)
{
    return session->hello_due ? session->hello_at : -1;
}
