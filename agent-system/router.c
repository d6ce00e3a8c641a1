/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "router.h"

#include <assert.h>

/* What the configuration or the lock can take away from a row. */
typedef enum Gate {
    ALWAYS,
    CLIPBOARD,
    FILES
} Gate;

typedef struct HostRow {
    RouterWay way[ROUTER_SESSIONS];
    Gate gate;
    RouterWay shut; /* instead, while the gate is shut */
} HostRow;

/* Index is the type; columns are no session, user, greeter. All zero: never comes from the host. */
static const HostRow from_host[VD_AGENT_END_MESSAGE] = {
    [VD_AGENT_MONITORS_CONFIG] = { { ROUTER_HERE, ROUTER_HERE_AND_CONTROL, ROUTER_HERE_AND_CONTROL }, ALWAYS, 0 },
    [VD_AGENT_CLIPBOARD] = { { ROUTER_HERE, ROUTER_CONTROL, ROUTER_DROP }, CLIPBOARD, ROUTER_DROP },
    [VD_AGENT_DISPLAY_CONFIG] = { { ROUTER_DROP, ROUTER_CONTROL, ROUTER_DROP }, ALWAYS, 0 },
    [VD_AGENT_ANNOUNCE_CAPABILITIES] = { { ROUTER_HERE, ROUTER_HERE, ROUTER_HERE }, ALWAYS, 0 },
    [VD_AGENT_CLIPBOARD_GRAB] = { { ROUTER_HERE, ROUTER_HERE_AND_CONTROL, ROUTER_HERE }, CLIPBOARD, ROUTER_DROP },
    [VD_AGENT_CLIPBOARD_REQUEST] = { { ROUTER_NOTHING, ROUTER_CONTROL, ROUTER_NOTHING }, CLIPBOARD, ROUTER_NOTHING },
    [VD_AGENT_CLIPBOARD_RELEASE] = { { ROUTER_HERE, ROUTER_HERE_AND_CONTROL, ROUTER_HERE }, CLIPBOARD, ROUTER_DROP },
    [VD_AGENT_FILE_XFER_START] = { { ROUTER_NOT_CONNECTED, ROUTER_FILES, ROUTER_DISABLED }, FILES, ROUTER_DISABLED },
    /* Of a transfer that has begun: neither lock nor configuration takes it back. */
    [VD_AGENT_FILE_XFER_STATUS] = { { ROUTER_DROP, ROUTER_FILES, ROUTER_DROP }, ALWAYS, 0 },
    [VD_AGENT_FILE_XFER_DATA] = { { ROUTER_DROP, ROUTER_FILES, ROUTER_DROP }, ALWAYS, 0 },
    [VD_AGENT_CLIENT_DISCONNECTED] = { { ROUTER_HERE, ROUTER_HERE, ROUTER_HERE }, ALWAYS, 0 },
    [VD_AGENT_MAX_CLIPBOARD] = { { ROUTER_HERE, ROUTER_HERE_AND_CONTROL, ROUTER_HERE }, ALWAYS, 0 },
    [VD_AGENT_AUDIO_VOLUME_SYNC] = { { ROUTER_DROP, ROUTER_CONTROL, ROUTER_DROP }, ALWAYS, 0 },
    [VD_AGENT_GRAPHICS_DEVICE_INFO] = { { ROUTER_HERE, ROUTER_HERE_AND_CONTROL, ROUTER_HERE_AND_CONTROL }, ALWAYS, 0 },
};

RouterWay router_from_host(const RouterState *state, uint32_t type)
{
    const HostRow *row;

    assert(type < VD_AGENT_END_MESSAGE);
    row = &from_host[type];
    switch (row->gate) {
    case ALWAYS:
        break;
    case CLIPBOARD:
        if (!state->clipboard)
            return row->shut;
        break;
    case FILES:
        if (!state->files)
            return row->shut;
        if (state->locked && state->session == ROUTER_USER)
            return ROUTER_LOCKED;
        break;
    }
    return row->way[state->session];
}

typedef struct SessionRow {
    RouterSocket socket; /* the one on which it may come */
    RouterWay way[ROUTER_SESSIONS];
    Gate gate;
    RouterWay shut;
} SessionRow;

/* As above. A type that a session may not send is dropped by the zero of its row. */
static const SessionRow from_session[VD_AGENT_END_MESSAGE] = {
    [VD_AGENT_REPLY] = { ROUTER_SOCKET_CONTROL, { ROUTER_DROP, ROUTER_HOST, ROUTER_HOST }, ALWAYS, 0 },
    [VD_AGENT_CLIPBOARD] = { ROUTER_SOCKET_CONTROL, { ROUTER_DROP, ROUTER_HOST, ROUTER_DROP }, CLIPBOARD, ROUTER_DROP },
    [VD_AGENT_CLIPBOARD_GRAB] = { ROUTER_SOCKET_CONTROL, { ROUTER_DROP, ROUTER_HOST, ROUTER_DROP }, CLIPBOARD, ROUTER_DROP },
    [VD_AGENT_CLIPBOARD_REQUEST] = { ROUTER_SOCKET_CONTROL, { ROUTER_DROP, ROUTER_HOST, ROUTER_NOTHING }, CLIPBOARD,
                                     ROUTER_NOTHING },
    [VD_AGENT_CLIPBOARD_RELEASE] = { ROUTER_SOCKET_CONTROL, { ROUTER_DROP, ROUTER_HOST, ROUTER_DROP }, CLIPBOARD,
                                     ROUTER_DROP },
    [VD_AGENT_FILE_XFER_STATUS] = { ROUTER_SOCKET_FILES, { ROUTER_DROP, ROUTER_HOST, ROUTER_DROP }, ALWAYS, 0 },
};

RouterWay router_from_session(const RouterState *state, RouterSocket socket, uint32_t type)
{
    const SessionRow *row;

    assert(type < VD_AGENT_END_MESSAGE);
    if (type == VD_AGENT_ANNOUNCE_CAPABILITIES)
        return ROUTER_HERE;
    row = &from_session[type];
    if (!state->open[socket] || row->socket != socket)
        return ROUTER_DROP;
    if (row->gate == CLIPBOARD && !state->clipboard)
        return row->shut;
    return row->way[state->session];
}

#define CAP(name) (UINT32_C(1) << VD_AGENT_CAP_##name)
#define CAPS_DISPLAYS (CAP(MONITORS_CONFIG) | CAP(REPLY) | CAP(SPARSE_MONITORS_CONFIG) | CAP(MONITORS_CONFIG_POSITION))
#define CAPS_CLIPBOARD (CAP(CLIPBOARD_BY_DEMAND) | CAP(GUEST_LINEEND_LF) | CAP(GUEST_LINEEND_CRLF) | CAP(MAX_CLIPBOARD) | \
                        CAP(CLIPBOARD_NO_RELEASE_ON_REGRAB))
#define CAPS_OTHER (CAP(DISPLAY_CONFIG) | CAP(AUDIO_VOLUME_SYNC) | CAP(FILE_XFER_DISABLED))

Caps router_session_caps(const RouterState *state, const Caps *announced)
{
    Caps caps = { { 0 } };

    switch (state->session) {
    case ROUTER_NO_SESSION:
        break;
    case ROUTER_USER:
        caps.word[0] = announced->word[0] & (CAPS_DISPLAYS | CAPS_CLIPBOARD | CAPS_OTHER);
        if (!state->clipboard)
            caps.word[0] &= ~CAPS_CLIPBOARD;
        break;
    case ROUTER_GREETER:
        caps.word[0] = announced->word[0] & CAPS_DISPLAYS;
        break;
    }
    if (!state->files || state->session == ROUTER_GREETER)
        caps.word[0] |= CAP(FILE_XFER_DISABLED);
    return caps;
}

Caps router_client_caps(const RouterState *state, const Caps *announced)
{
    Caps caps = *announced;

    if (state->session != ROUTER_USER || !state->clipboard)
        caps.word[0] &= ~CAPS_CLIPBOARD;
    return caps;
}
