/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * selection.h - one selection between the guest's programs and the SPICE client: who owns it, who may ask for it.
 *
 * Pure: no I/O, no clock, no log. Events go in, and what must be done comes out as flags or as an answer. Times are
 * microseconds of any clock that never goes back.
 *
 * Grabs cross. With VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL each side counts the grabs of both: the sender puts its count
 * into the grab and adds one, the receiver adds one for each grab it takes. A client whose grab carries the count
 * before our last grab had not seen that one: the client wins, since it drops ours by the same reasoning. An older grab
 * is stale. A grab ahead of our count is taken too, and the count follows it: the peer knows of grabs that we do not.
 *
 * Answers carry no request id. So one request for each type is under way at a time, those who want the same meanwhile
 * join it, and the answer to a request given up by timeout is owed: the next answer of that type is swallowed. A client
 * may also never answer (spice-gtk does not, for an image that is empty or too large). What is owed is therefore
 * forgotten when a request has timed out although an answer was swallowed for it, and after SELECTION_OWED_US: GTK
 * gives up on an owner after 30 seconds, so nothing comes so late.
 *
 * Clipboard managers take a selection over with the content that they have just read from us, some only when we give it
 * up. To pass that on as a grab would take the selection from the host, whose manager would take it back, and so on.
 * See selection_suspect().
 */
#ifndef SELECTION_H
#define SELECTION_H

#include <glib.h>

/* Types are the numbers VD_AGENT_CLIPBOARD_UTF8_TEXT to _IMAGE_JPG; sets of them have bit 1 << type. */
#define SELECTION_TYPES 6u
#define SELECTION_ALL (((1u << SELECTION_TYPES) - 1) & ~1u)

#define SELECTION_OWED_US (60 * G_USEC_PER_SEC)
/* Managers fill an empty selection at once; after this, who copies what the host once had is a user, who means it. */
#define SELECTION_LEFT_US (2 * G_USEC_PER_SEC)
/* Requests of the client for one type that may wait for one answer each; more are refused. */
#define SELECTION_PENDING 16u

typedef enum SelectionOwner {
    SELECTION_NOBODY,
    SELECTION_PROGRAM,  /* a program of the guest's desktop */
    SELECTION_TERMINAL, /* this process, for somebody at a terminal */
    SELECTION_HOST      /* the SPICE client; this process stands in for it on the desktop */
} SelectionOwner;

/* What the caller must do after an event, in the order of the flags. */
enum {
    SELECTION_STALE = 1 << 0,        /* nothing: the grab was overtaken; for the log */
    SELECTION_REFUSED = 1 << 1,      /* tell the user: the direction is off */
    SELECTION_ANSWER_NONE = 1 << 2,  /* answer each request of the client that is pending with nothing */
    SELECTION_SEND_RELEASE = 1 << 3, /* tell the client that the guest's content is gone */
    SELECTION_SEND_GRAB = 1 << 4,    /* offer `offers` to the client, with `grab_serial` */
    SELECTION_DISOWN = 1 << 5,       /* give the desktop's selection up */
    SELECTION_OWN = 1 << 6           /* take the desktop's selection, with `offers` */
};

/* A request to the client. Private. */
typedef struct SelectionFlight {
    gboolean asked, answering;
    gboolean closed;    /* the host's content changed since it was asked for: nobody joins any more */
    gboolean swallowed; /* an answer since it was asked for was taken for an older one */
    gboolean given_up;  /* the answer began, then fell silent */
    guint owed;
    gint64 since, owed_since;
} SelectionFlight;

/* All zero, but for the policy that its owner sets, is a selection that nobody owns. Read only, but for the policy. */
typedef struct Selection {
    gboolean to_host, from_host; /* policy; an off direction sends nothing at all */
    gboolean present, serials, no_release;
    SelectionOwner owner;
    guint32 offers; /* of the owner */
    gboolean grabbed;
    guint32 serial, grab_serial;
    guint32 seen;   /* types of the host's content that were read by some program of the guest */
    guint32 left;   /* what the host offered that gave it up, while nobody owns it; `seen` is of this then */
    gint64 left_at;
    guint32 shadow; /* what a program offers that owns the desktop's selection with the host's content; 0: none does */
    gboolean retaken;
    guint pending[SELECTION_TYPES];
    SelectionFlight flight[SELECTION_TYPES];
} Selection;

/*
 * A client arrived (that can do clipboard by demand, on this selection) or left. All that was under way ends: the
 * caller fails each paste of the host's content and forgets the client's requests. What a program owned before is not
 * offered to a new client, since that would take from its user what he has just copied to paste it here.
 */
unsigned selection_peer(Selection *selection, gboolean present, gboolean serials, gboolean no_release, gint64 now);

/* A program owns the desktop's selection, or its content changed; `offers` may be empty. */
unsigned selection_program(Selection *selection, guint32 offers);

/* A program owned the desktop's selection when the desktop was connected; it is not offered, as above. */
void selection_found(Selection *selection, guint32 offers);

/* Nobody owns the desktop's selection any more, by no act of ours. */
unsigned selection_nobody(Selection *selection);

/* The content is now what somebody at a terminal gave. */
unsigned selection_terminal(Selection *selection, guint32 offers);

/*
 * The client's grab and release. `serial` counts only if serials were agreed; unknown types are left out of `offers`.
 */
unsigned selection_host_grab(Selection *selection, guint32 serial, guint32 offers, gint64 now);
unsigned selection_host_release(Selection *selection, gint64 now);

/*
 * A program that took the selection over and offers `offers`: could it be the host's content come back? If so the type
 * by which to compare, else 0. Compared equal, it is reported by selection_echo(), otherwise, as if not suspect, by
 * selection_program(). It is suspect if it offers only what the host does, or did just before it gave that up, and
 * something of it was read from us.
 */
guint32 selection_suspect(const Selection *selection, guint32 offers, gint64 now);

/*
 * It is the host's own content, so the host learns nothing, and stays the owner if it is. If the program then offers
 * fewer types, the selection is taken back so that none is lost, once for each grab: a program that insists may have
 * it, as may one that also offers something `foreign`, which only it can give.
 */
unsigned selection_echo(Selection *selection, guint32 offers, gboolean foreign);

typedef enum SelectionAsk {
    SELECTION_ASK_SEND,   /* send a request; the paste gets its answer */
    SELECTION_ASK_JOIN,   /* the request under way serves this paste too */
    SELECTION_ASK_WAIT,   /* ask again after the answer under way has ended; given up, it has its time once more */
    SELECTION_ASK_NOTHING /* the host has no such content: refuse */
} SelectionAsk;

/* Somebody in the guest wants the host's content. */
SelectionAsk selection_ask(Selection *selection, guint32 type, gint64 now);

typedef enum SelectionAnswer {
    SELECTION_ANSWER_DELIVER, /* for those who sent or joined the request */
    SELECTION_ANSWER_LATE,    /* belongs to a request that was given up: drop it */
    SELECTION_ANSWER_UNASKED  /* nobody asked: drop it */
} SelectionAnswer;

/*
 * An answer of the client begins. A client that has nothing may answer with type VD_AGENT_CLIPBOARD_NONE: then `type`
 * is set to that of the oldest request. After _DELIVER, selection_answered() at the end. selection_progress() for each
 * piece of any answer, whoever it is for: a client that is busy sending is not silent.
 */
SelectionAnswer selection_answer(Selection *selection, guint32 *type, gint64 now);
void selection_progress(Selection *selection, gint64 now);

/* `delivered`: some program has got all of it. */
void selection_answered(Selection *selection, guint32 type, gboolean delivered);

/* A program got all of a value of this type that was made of the answer of type `from`; FALSE if that is outdated. */
gboolean selection_made(Selection *selection, guint32 type, guint32 from);

/*
 * The next type whose request has heard nothing for `timeout`, or 0. Its pastes end with nothing. An answer that has
 * begun goes on and is dropped: those who wait for its end have waited long enough as well, and end too.
 */
guint32 selection_expire(Selection *selection, gint64 now, gint64 timeout);

/* When selection_expire() may have something next; G_MAXINT64 for never. */
gint64 selection_deadline(const Selection *selection, gint64 timeout);

typedef enum SelectionAsked {
    SELECTION_ASKED_FETCH, /* get the content; then answer selection_pending() times */
    SELECTION_ASKED_JOIN,  /* it is being fetched already */
    SELECTION_ASKED_NONE   /* answer with nothing: not offered, not allowed, or too many */
} SelectionAsked;

/* The client wants the guest's content. */
SelectionAsked selection_asked(Selection *selection, guint32 type);

/* How many answers of this type are due; they are taken as given. */
guint selection_pending(Selection *selection, guint32 type);

#endif
