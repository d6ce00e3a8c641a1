/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * grabs.h - who owns each clipboard selection, and who waits for an answer (pure).
 *
 * Stands between the host (the SPICE client's clipboard) and the sessions that come and go: in the guest's system
 * daemon these are the session daemons, in the host daemon the lives of the guest's agent. Each side is told when the
 * other's content is gone, and nothing of one session reaches another, neither a grab nor an answer that comes late.
 *
 * Serials (VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL): both ends count the grabs of both, so that of two that cross one wins
 * at both ends, the client's. A session counts from 0 when it gets to know the client; on the wire the count runs on.
 * The two are translated here, and a grab that the other end would find overtaken goes no further.
 *
 * Answers carry no request id, so requests are answered in their order: an answer of some type is for the oldest
 * request of that type, an empty one of type VD_AGENT_CLIPBOARD_NONE for the oldest of all. Times are milliseconds of
 * any clock that never goes back.
 */
#ifndef GRABS_H
#define GRABS_H

#include "vdagent.h"

/* Requests of one side for one selection that wait for an answer. */
#define GRABS_PENDING 16u

/*
 * The answer to a request of a session that is gone is still to come, and is swallowed. A client that gives none
 * (spice-gtk does not for an empty image) is not waited for longer than this.
 */
#define GRABS_OWED_MS 60000

typedef enum GrabsOwner {
    GRABS_NOBODY,
    GRABS_HOST,
    GRABS_SESSION
} GrabsOwner;

typedef struct GrabsRequest {
    uint32_t type;
    bool orphan; /* its session is gone */
    int64_t since;
} GrabsRequest;

typedef struct GrabsSelection {
    GrabsOwner owner;
    uint32_t serial;  /* grabs of both sides since the client came */
    uint32_t base;    /* of them, those that the session does not count */
    VdagentGrab host; /* GRABS_HOST: what it offers */
    GrabsRequest to_host[GRABS_PENDING];
    size_t to_host_count;
    uint32_t to_session[GRABS_PENDING];
    size_t to_session_count;
} GrabsSelection;

typedef struct Grabs {
    GrabsSelection selection[LIMIT_SELECTIONS];
    bool serials; /* agreed with the client */
    bool session_serials; /* agreed with the session */
    bool session; /* there is one that may use the clipboard */
} Grabs;

/* A client came, or went: whatever there was is forgotten. Sessions speak of serials as the client does ... */
void grabs_client(Grabs *grabs, bool serials);

/*
 * ... unless this says otherwise: a grab of a side without serials is never overtaken, and gets one for the other side.
 */
void grabs_session_serials(Grabs *grabs, bool serials);

/* The client's grab: false if it was overtaken by others and is to be dropped. The serial becomes the session's. */
bool grabs_host_grab(Grabs *grabs, VdagentGrab *grab);

/*
 * The client's grab that the session must not see: it is counted, as the client does, and not in the session's serials.
 * Who owns the selection stays as it is.
 */
void grabs_host_denied(Grabs *grabs, const VdagentGrab *grab);

/* The client's release: false if it owned nothing. */
bool grabs_host_release(Grabs *grabs, uint8_t selection);

/* The client asks: false if the session has nothing, or is asked too much already; then answer with nothing. */
bool grabs_host_request(Grabs *grabs, const VdagentRequest *request);

/* The client answers: true if the session there is waits for it. Otherwise drop it. */
bool grabs_host_answer(Grabs *grabs, const VdagentClipboard *answer, int64_t now);

/*
 * A session that may use the clipboard came. Each selection then has a grab of the client to be told to it, in the
 * serial of the session, or none (false).
 */
void grabs_session_begin(Grabs *grabs);
bool grabs_session_begin_grab(const Grabs *grabs, uint8_t selection, VdagentGrab *ret_grab);

/* The session's grab: false if it was overtaken by one of the client. The serial becomes the wire's. */
bool grabs_session_grab(Grabs *grabs, VdagentGrab *grab);

/* The session's grab that the client must not see; as grabs_host_denied(). */
void grabs_session_denied(Grabs *grabs, const VdagentGrab *grab);

/* The session's release: false if it owned nothing. */
bool grabs_session_release(Grabs *grabs, uint8_t selection);

/* The session asks: false if the client has nothing, or is asked too much already; then answer with nothing. */
bool grabs_session_request(Grabs *grabs, const VdagentRequest *request, int64_t now);

/* The session answers: true if the client waits for it. Otherwise drop it. */
bool grabs_session_answer(Grabs *grabs, const VdagentClipboard *answer);

/*
 * The session is gone. Per selection: must the client be told of a release, and how many of its requests must be
 * answered with nothing (first)?
 */
void grabs_session_end(Grabs *grabs, uint8_t selection, bool *ret_release, size_t *ret_requests);

#endif
