/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * router.h - who gets a message (pure): a table of message types by what the active session may do.
 *
 * The host side is one peer, the session daemon of the active session the other; its class decides what it may: a user's
 * session everything, a greeter displays only. Without a session daemon the host gets the answers that the protocol has
 * for it. Mouse states never come here: they go from the port to the pointer.
 */
#ifndef ROUTER_H
#define ROUTER_H

#include "vdagent.h"

/* Sockets of a session connection, as in OpenSession of org.spice_space.Agent1. */
typedef enum RouterSocket {
    ROUTER_SOCKET_CONTROL,
    ROUTER_SOCKET_FILES
} RouterSocket;
#define ROUTER_SOCKETS 2u

/* Of the session daemon that is connected. */
typedef enum RouterSession {
    ROUTER_NO_SESSION,
    ROUTER_USER,
    ROUTER_GREETER
} RouterSession;
#define ROUTER_SESSIONS 3u

typedef struct RouterState {
    RouterSession session;
    bool locked;                /* logind's LockedHint */
    bool clipboard, files;      /* configuration */
    bool open[ROUTER_SOCKETS];  /* the session has answered the client's announcement on this socket */
} RouterState;

typedef enum RouterWay {
    ROUTER_DROP,            /* nobody may have it */
    ROUTER_HERE,            /* the system daemon's own business */
    ROUTER_HERE_AND_CONTROL,
    ROUTER_CONTROL,         /* to the session */
    ROUTER_FILES,           /* to the session */
    ROUTER_HOST,            /* to the host */
    ROUTER_NOTHING,         /* answer the sender with empty clipboard data */
    ROUTER_NOT_CONNECTED,   /* answer with this file transfer status, as the next two */
    ROUTER_LOCKED,
    ROUTER_DISABLED
} RouterWay;

/* A message from the host; `type` must be one that goes to the guest, bulk or not. */
RouterWay router_from_host(const RouterState *state, uint32_t type);

/* A message from a socket of the session; `type` must be one that goes to the host. */
RouterWay router_from_session(const RouterState *state, RouterSocket socket, uint32_t type);

/* What of its announcement a session may make the host believe. */
Caps router_session_caps(const RouterState *state, const Caps *announced);

/* Capabilities that a session of this kind gets to see of the client's. */
Caps router_client_caps(const RouterState *state, const Caps *announced);

#endif
