/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * session.h - the guest's side of pvmouse.md: HELLO, credit, and which frames count (pure).
 *
 * Bytes of the port go in and input frames come out; frames for the host wait here until they are asked for. Time comes
 * in as an argument, in microseconds of a clock that never goes back.
 */
#ifndef SESSION_H
#define SESSION_H

#include "pvmouse.h"

/* The longest output of session_output(). */
#define SESSION_OUTPUT_MAX PVMOUSE_FRAME_SIZE

/* Between two starts over for an error (pvmouse.md, section 9). */
#define SESSION_RESTART_US 1000000

typedef enum SessionResult {
    SESSION_MORE,    /* the input is used up; feed more */
    SESSION_OPEN,    /* the host has answered our HELLO; its input follows */
    SESSION_INPUT,   /* a STATE, MOTION or RELEASE to apply; `why` is what is wrong with it all the same, or NULL */
    SESSION_REFUSED, /* a frame was refused: `why` */
    SESSION_RESTART  /* starting over: release everything. `why` is NULL when the host asked for it */
} SessionResult;

typedef struct SessionEvent {
    PvmouseFrame frame; /* SESSION_INPUT */
    const char *why;
} SessionEvent;

/* Private but for the counters. */
typedef struct Session {
    enum { SESSION_CLOSED, SESSION_WAITING, SESSION_OPENED } state;
    PvmouseReader reader;
    uint32_t nonce;    /* of the HELLO sent last or to be sent next */
    uint32_t features; /* in force */
    uint32_t sequence; /* of the last input frame */
    uint32_t credit;   /* frames that the host may still send */
    bool hello_due;    /* not before `hello_at` */
    int64_t hello_at;  /* else: when the last one was sent */
    int64_t error_at;  /* of the last start over for an error; 0: never */
    uint32_t strange;  /* frames since the last one that decodes */
    uint64_t unknown, refused, gaps;
} Session;

/* `nonce`: any number, best a random one; the session counts up from it. */
void session_init(Session *session, uint32_t nonce);

/* The port's host side was connected. */
void session_connected(Session *session, int64_t now);

/* … or disconnected. The caller releases everything. */
void session_disconnected(Session *session);

/* The next event out of `in`. Call until SESSION_MORE. After it, session_output() may have something. */
SessionResult session_next(Session *session, BytesReader *in, int64_t now, SessionEvent *ret_event);

/*
 * Write what the host must be told now to `ret_data` and return its size, 0 for nothing: HELLO, or, if all frames
 * returned so far have been `applied`, their credit once half of all is used up.
 */
size_t session_output(Session *session, int64_t now, bool applied, uint8_t ret_data[SESSION_OUTPUT_MAX]);

/* True when session_output() may have something to say, now or at session_deadline(). */
bool session_output_due(const Session *session);

/* When session_output() must be asked though nothing arrives; -1 for never. */
int64_t session_deadline(const Session *session);

#endif
