/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "router.h"

#include "check.h"

/* One row per type and condition; the letters are the ways for no session, user and greeter. */
static const struct {
    uint32_t type;
    const char *plain, *locked, *off; /* off: clipboard and files disabled */
} from_host[] = {
    { VD_AGENT_MONITORS_CONFIG, "hbb", "hbb", "hbb" },
    { VD_AGENT_CLIPBOARD, "hc-", "hc-", "---" },
    { VD_AGENT_DISPLAY_CONFIG, "-c-", "-c-", "-c-" },
    { VD_AGENT_ANNOUNCE_CAPABILITIES, "hhh", "hhh", "hhh" },
    { VD_AGENT_CLIPBOARD_GRAB, "hbh", "hbh", "---" },
    { VD_AGENT_CLIPBOARD_REQUEST, "0c0", "0c0", "000" },
    { VD_AGENT_CLIPBOARD_RELEASE, "hbh", "hbh", "---" },
    { VD_AGENT_FILE_XFER_START, "NfD", "NLD", "DDD" },
    { VD_AGENT_FILE_XFER_STATUS, "-f-", "-f-", "-f-" },
    { VD_AGENT_FILE_XFER_DATA, "-f-", "-f-", "-f-" },
    { VD_AGENT_CLIENT_DISCONNECTED, "hhh", "hhh", "hhh" },
    { VD_AGENT_MAX_CLIPBOARD, "hbh", "hbh", "hbh" },
    { VD_AGENT_AUDIO_VOLUME_SYNC, "-c-", "-c-", "-c-" },
    { VD_AGENT_GRAPHICS_DEVICE_INFO, "hbb", "hbb", "hbb" },
};

static char letter(RouterWay way)
{
    static const char letters[] = {
        [ROUTER_DROP] = '-', [ROUTER_HERE] = 'h', [ROUTER_HERE_AND_CONTROL] = 'b', [ROUTER_CONTROL] = 'c',
        [ROUTER_FILES] = 'f', [ROUTER_HOST] = 'H', [ROUTER_NOTHING] = '0', [ROUTER_NOT_CONNECTED] = 'N',
        [ROUTER_LOCKED] = 'L', [ROUTER_DISABLED] = 'D',
    };

    return letters[way];
}

static void test_from_host(void)
{
    for (size_t i = 0; i < sizeof(from_host) / sizeof(*from_host); i++) {
        for (int session = 0; session < (int)ROUTER_SESSIONS; session++) {
            RouterState state = { .session = (RouterSession)session, .clipboard = true, .files = true };

            check_case("%s, session %d", vdagent_name(from_host[i].type), session);
            CHECK_EQ(letter(router_from_host(&state, from_host[i].type)), from_host[i].plain[session]);
            state.locked = true;
            CHECK_EQ(letter(router_from_host(&state, from_host[i].type)), from_host[i].locked[session]);
            state.clipboard = state.files = false;
            CHECK_EQ(letter(router_from_host(&state, from_host[i].type)), from_host[i].off[session]);
        }
    }
    /* A type that the host never sends goes nowhere. */
    for (int session = 0; session < (int)ROUTER_SESSIONS; session++) {
        RouterState state = { .session = (RouterSession)session, .clipboard = true, .files = true };

        CHECK_EQ(router_from_host(&state, VD_AGENT_REPLY), ROUTER_DROP);
        CHECK_EQ(router_from_host(&state, 0), ROUTER_DROP);
    }
}

static const struct {
    uint32_t type;
    RouterSocket socket;
    const char *plain, *off;
} from_session[] = {
    { VD_AGENT_REPLY, ROUTER_SOCKET_CONTROL, "-HH", "-HH" },
    { VD_AGENT_CLIPBOARD, ROUTER_SOCKET_CONTROL, "-H-", "---" },
    { VD_AGENT_CLIPBOARD_GRAB, ROUTER_SOCKET_CONTROL, "-H-", "---" },
    { VD_AGENT_CLIPBOARD_REQUEST, ROUTER_SOCKET_CONTROL, "-H0", "000" },
    { VD_AGENT_CLIPBOARD_RELEASE, ROUTER_SOCKET_CONTROL, "-H-", "---" },
    { VD_AGENT_FILE_XFER_STATUS, ROUTER_SOCKET_FILES, "-H-", "-H-" },
};

static void test_from_session(void)
{
    for (size_t i = 0; i < sizeof(from_session) / sizeof(*from_session); i++) {
        for (int session = 0; session < (int)ROUTER_SESSIONS; session++) {
            RouterState state = { .session = (RouterSession)session, .clipboard = true, .files = true };
            RouterSocket socket = from_session[i].socket, wrong = 1 - socket;

            check_case("%s, session %d", vdagent_name(from_session[i].type), session);
            CHECK_EQ(router_from_session(&state, socket, from_session[i].type), ROUTER_DROP); /* not answered yet */
            state.open[wrong] = true;
            CHECK_EQ(router_from_session(&state, socket, from_session[i].type), ROUTER_DROP);
            CHECK_EQ(router_from_session(&state, wrong, from_session[i].type), ROUTER_DROP);
            state.open[socket] = true;
            CHECK_EQ(letter(router_from_session(&state, socket, from_session[i].type)), from_session[i].plain[session]);
            state.clipboard = state.files = false;
            CHECK_EQ(letter(router_from_session(&state, socket, from_session[i].type)), from_session[i].off[session]);
        }
    }

    RouterState state = { .session = ROUTER_USER, .clipboard = true, .files = true, .open = { true, true } };
    for (uint32_t type = 0; type < VD_AGENT_END_MESSAGE; type++) {
        bool listed = type == VD_AGENT_ANNOUNCE_CAPABILITIES;

        for (size_t i = 0; i < sizeof(from_session) / sizeof(*from_session); i++)
            listed = listed || from_session[i].type == type;
        check_case("%s", vdagent_name(type));
        for (int socket = 0; !listed && socket < (int)ROUTER_SOCKETS; socket++)
            CHECK_EQ(router_from_session(&state, (RouterSocket)socket, type), ROUTER_DROP);
    }
    state.open[0] = state.open[1] = false;
    CHECK_EQ(router_from_session(&state, ROUTER_SOCKET_FILES, VD_AGENT_ANNOUNCE_CAPABILITIES), ROUTER_HERE);
}

static void test_caps(void)
{
    Caps all = { { UINT32_MAX, UINT32_MAX } };
    RouterState state = { .session = ROUTER_NO_SESSION, .clipboard = true, .files = true };
    Caps caps = router_session_caps(&state, &all);

    check_case("capabilities");
    CHECK_EQ(caps.word[0], 0);
    state.session = ROUTER_USER;
    caps = router_session_caps(&state, &all);
    CHECK(caps_has(&caps, VD_AGENT_CAP_CLIPBOARD_BY_DEMAND) && caps_has(&caps, VD_AGENT_CAP_MONITORS_CONFIG));
    CHECK(!caps_has(&caps, VD_AGENT_CAP_MOUSE_STATE) && !caps_has(&caps, VD_AGENT_CAP_GRAPHICS_DEVICE_INFO));
    CHECK_EQ(caps.word[1], 0);
    state.clipboard = false;
    caps = router_session_caps(&state, &all);
    CHECK(!caps_has(&caps, VD_AGENT_CAP_CLIPBOARD_BY_DEMAND) && !caps_has(&caps, VD_AGENT_CAP_MAX_CLIPBOARD));
    CHECK(caps_has(&caps, VD_AGENT_CAP_AUDIO_VOLUME_SYNC));
    state.files = false;
    state.session = ROUTER_NO_SESSION;
    caps = router_session_caps(&state, &all);
    CHECK(caps_has(&caps, VD_AGENT_CAP_FILE_XFER_DISABLED));
    state = (RouterState){ .session = ROUTER_GREETER, .clipboard = true, .files = true };
    caps = router_session_caps(&state, &all);
    CHECK(caps_has(&caps, VD_AGENT_CAP_MONITORS_CONFIG) && caps_has(&caps, VD_AGENT_CAP_FILE_XFER_DISABLED));
    CHECK(!caps_has(&caps, VD_AGENT_CAP_CLIPBOARD_BY_DEMAND) && !caps_has(&caps, VD_AGENT_CAP_AUDIO_VOLUME_SYNC));
    caps = router_client_caps(&state, &all);
    CHECK(!caps_has(&caps, VD_AGENT_CAP_CLIPBOARD_BY_DEMAND) && caps_has(&caps, VD_AGENT_CAP_MONITORS_CONFIG));
}

int main(void)
{
    test_from_host();
    test_from_session();
    test_caps();
    return check_done();
}
