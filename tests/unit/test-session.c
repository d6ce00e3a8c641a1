/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guest's side of pvmouse.md. */
#include "check.h"
#include "session.h"

#include <glib.h>

enum { NONCE = 1000, ALL = 7 };

/* A guest under test and what it reported, one word per event. */
typedef struct Guest {
    Session session;
    int64_t now;
    GString *log;
} Guest;

static Guest *guest_new(uint32_t nonce)
{
    Guest *guest = g_new0(Guest, 1);

    session_init(&guest->session, nonce);
    guest->now = 5 * SESSION_RESTART_US;
    guest->log = g_string_new(NULL);
    return guest;
}

static void guest_free(Guest *guest)
{
    g_string_free(guest->log, TRUE);
    g_free(guest);
}

static void feed_bytes(Guest *guest, const uint8_t *data, size_t size)
{
    BytesReader in = bytes_reader(data, size);
    SessionEvent event;

    for (;;) {
        switch (session_next(&guest->session, &in, guest->now, &event)) {
        case SESSION_MORE:
            CHECK_EQ(in.left, 0);
            return;
        case SESSION_OPEN:
            g_string_append(guest->log, "open ");
            break;
        case SESSION_INPUT:
            g_string_append_printf(guest->log, "%u%s ", event.frame.sequence, event.why ? "!" : "");
            break;
        case SESSION_REFUSED:
            CHECK(event.why != NULL);
            g_string_append(guest->log, "refused ");
            break;
        case SESSION_RESTART:
            g_string_append(guest->log, event.why ? "error " : "invited ");
            break;
        }
    }
}

static void feed(Guest *guest, PvmouseFrame frame)
{
    uint8_t data[PVMOUSE_FRAME_SIZE];

    pvmouse_encode(&frame, data);
    feed_bytes(guest, data, sizeof(data));
}

static PvmouseFrame hello(uint32_t nonce, uint16_t version, uint32_t features)
{
    return (PvmouseFrame){ .type = PVMOUSE_HELLO, .sequence = nonce, .version = version, .features = features };
}

static PvmouseFrame state(uint32_t sequence)
{
    return (PvmouseFrame){ .type = PVMOUSE_STATE, .sequence = sequence, .x = 5 };
}

/* What happened since the last call. */
static void check_log(Guest *guest, const char *expected)
{
    g_strchomp(guest->log->str);
    CHECK_STR(guest->log->str, expected);
    g_string_truncate(guest->log, 0);
}

static void check_no_output(Guest *guest)
{
    uint8_t data[SESSION_OUTPUT_MAX];

    CHECK_EQ(session_output(&guest->session, guest->now, true, data), 0);
}

static void check_hello(Guest *guest, uint32_t nonce)
{
    uint8_t data[SESSION_OUTPUT_MAX];
    PvmouseFrame frame = { .sequence = 0 };

    CHECK_EQ(session_output(&guest->session, guest->now, true, data), PVMOUSE_FRAME_SIZE);
    CHECK_EQ(pvmouse_decode(data, &frame), PVMOUSE_OK);
    CHECK_EQ(frame.type, PVMOUSE_HELLO);
    CHECK_EQ(frame.sequence, nonce);
    CHECK_EQ(frame.version, 1);
    CHECK_EQ(frame.features, ALL);
    CHECK_EQ(frame.credit, 256);
    check_no_output(guest);
    CHECK_EQ(session_deadline(&guest->session), -1);
}

static void check_credit(Guest *guest, uint32_t credit)
{
    uint8_t data[SESSION_OUTPUT_MAX];
    PvmouseFrame frame = { .sequence = 0 };

    CHECK_EQ(session_output(&guest->session, guest->now, true, data), PVMOUSE_FRAME_SIZE);
    CHECK_EQ(pvmouse_decode(data, &frame), PVMOUSE_OK);
    CHECK_EQ(frame.type, PVMOUSE_CREDIT);
    CHECK_EQ(frame.credit, credit);
    check_no_output(guest);
}

/* A guest whose host has answered. */
static Guest *guest_open(uint32_t features)
{
    Guest *guest = guest_new(NONCE);

    session_connected(&guest->session, guest->now);
    check_hello(guest, NONCE + 1);
    feed(guest, hello(NONCE + 1, 1, features));
    check_log(guest, "open");
    return guest;
}

static void test_opening(void)
{
    Guest *guest = guest_new(NONCE);

    check_case("%s", "opening");
    feed(guest, state(1)); /* nobody is connected */
    check_no_output(guest);
    session_connected(&guest->session, guest->now);
    CHECK_EQ(session_deadline(&guest->session), guest->now);
    feed(guest, hello(NONCE + 1, 1, ALL)); /* not an answer: nothing has been asked */
    check_hello(guest, NONCE + 1);
    feed(guest, state(1));
    feed_bytes(guest, (const uint8_t *)"stale", 5); /* the middle of a frame */
    feed(guest, state(2));
    feed(guest, hello(NONCE, 1, ALL));
    feed(guest, hello(0, 1, ALL));
    feed(guest, (PvmouseFrame){ .type = PVMOUSE_RELEASE });
    check_log(guest, "");
    feed_bytes(guest, (const uint8_t *)"\1\1\1", 3);
    feed(guest, hello(NONCE + 1, 1, ALL));
    feed(guest, state(1));
    feed(guest, (PvmouseFrame){ .type = PVMOUSE_MOTION, .sequence = 2, .wheel = 5 });
    feed(guest, (PvmouseFrame){ .type = PVMOUSE_RELEASE, .sequence = 3 });
    check_log(guest, "open 1 2 3");
    CHECK_EQ(guest->session.gaps, 0);
    check_no_output(guest);
    guest_free(guest);
}

static void test_versions(void)
{
    Guest *guest = guest_new(NONCE);
    uint8_t data[PVMOUSE_FRAME_SIZE];

    check_case("%s", "versions");
    session_connected(&guest->session, guest->now);
    check_hello(guest, NONCE + 1);
    feed(guest, hello(NONCE + 1, 2, ALL));
    check_log(guest, "refused");
    pvmouse_encode(&(PvmouseFrame){ .type = PVMOUSE_HELLO, .sequence = NONCE + 1, .version = 1 }, data);
    data[12] = 0;
    feed_bytes(guest, data, sizeof(data)); /* version 0 is no HELLO */
    feed(guest, state(1));
    check_log(guest, "");
    feed(guest, hello(NONCE + 1, 1, 0xffffffff)); /* unknown features are ignored */
    check_log(guest, "open");
    CHECK_EQ(guest->session.features, ALL);
    guest_free(guest);
}

static void test_features(void)
{
    static const struct {
        uint32_t features;
        PvmouseFrame frame;
        const char *expected;
    } rows[] = {
        { 0, { .type = PVMOUSE_STATE, .sequence = 1, .x = 1 }, "refused" },
        { 0, { .type = PVMOUSE_STATE, .sequence = 1, .no_position = true, .buttons = 1, .wheel = 120 }, "1" },
        { 0, { .type = PVMOUSE_STATE, .sequence = 1, .no_position = true, .wheel = 119 }, "refused" },
        { 0, { .type = PVMOUSE_STATE, .sequence = 1, .no_position = true, .hwheel = -1 }, "refused" },
        { 0, { .type = PVMOUSE_MOTION, .sequence = 1 }, "refused" },
        { 0, { .type = PVMOUSE_RELEASE, .sequence = 1 }, "1" },
        { PVMOUSE_FEATURE_ABSOLUTE, { .type = PVMOUSE_STATE, .sequence = 1, .x = 1 }, "1" },
        { PVMOUSE_FEATURE_ABSOLUTE, { .type = PVMOUSE_MOTION, .sequence = 1 }, "refused" },
        { PVMOUSE_FEATURE_RELATIVE, { .type = PVMOUSE_MOTION, .sequence = 1, .hwheel = -240 }, "1" },
        { PVMOUSE_FEATURE_RELATIVE, { .type = PVMOUSE_MOTION, .sequence = 1, .hwheel = -241 }, "refused" },
        { PVMOUSE_FEATURE_HIRES_WHEEL, { .type = PVMOUSE_STATE, .sequence = 1, .no_position = true, .wheel = 7 }, "1" },
        { ALL, { .type = PVMOUSE_CREDIT, .credit = 5 }, "refused" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        check_case("features %zu", i);

        Guest *guest = guest_open(rows[i].features);

        feed(guest, rows[i].frame);
        check_log(guest, rows[i].expected);
        feed(guest, (PvmouseFrame){ .type = PVMOUSE_RELEASE, .sequence = 2 }); /* and life goes on */
        check_log(guest, "2");
        guest_free(guest);
    }
}

static void test_credit(void)
{
    Guest *guest = guest_open(ALL & ~PVMOUSE_FEATURE_RELATIVE);
    uint8_t data[SESSION_OUTPUT_MAX], bad[PVMOUSE_FRAME_SIZE], unknown[PVMOUSE_FRAME_SIZE] = { 200 };

    check_case("%s", "credit");
    pvmouse_encode(&(PvmouseFrame){ .type = PVMOUSE_STATE }, bad);
    bad[23] = 1;
    for (uint32_t i = 1; i <= 127; i++) {
        feed(guest, state(i));
        feed_bytes(guest, unknown, sizeof(unknown)); /* takes none */
        check_no_output(guest);
    }
    CHECK_EQ(guest->session.unknown, 127);
    feed_bytes(guest, bad, sizeof(bad)); /* refused, but read */

    CHECK_EQ(session_output(&guest->session, guest->now, false, data), 0); /* not all applied yet */
    check_credit(guest, 128);
    for (uint32_t i = 0; i < 64; i++) {
        feed(guest, (PvmouseFrame){ .type = PVMOUSE_MOTION }); /* refused too */
        feed(guest, (PvmouseFrame){ .type = PVMOUSE_RELEASE });
    }
    check_credit(guest, 128);
    CHECK_EQ(guest->session.refused, 65);
    /* All of it, while nobody could tell the host. */
    g_string_truncate(guest->log, 0);
    for (uint32_t i = 0; i < 256; i++) {
        feed(guest, state(7));
    }
    CHECK(strchr(guest->log->str, '!') == NULL);
    g_string_truncate(guest->log, 0);
    feed(guest, state(8));
    feed(guest, state(9));
    check_log(guest, "8! 9!"); /* more than was granted: applied, and named */
    check_credit(guest, 256);
    feed(guest, state(10));
    check_log(guest, "10");
    guest_free(guest);
}

static void test_gaps(void)
{
    Guest *guest = guest_open(ALL);

    check_case("%s", "gaps");
    feed(guest, state(1));
    feed(guest, state(2));
    feed(guest, state(5));
    feed(guest, state(6));
    feed(guest, state(6));
    CHECK_EQ(guest->session.gaps, 2);
    check_log(guest, "1 2 5 6 6");
    guest_free(guest);
}

static void test_invitation(void)
{
    Guest *guest = guest_open(ALL);

    check_case("%s", "invitation");
    feed(guest, state(1));
    feed(guest, hello(0, 1, ALL));
    feed(guest, state(2));                 /* of a host that has not heard us yet */
    feed(guest, hello(NONCE + 1, 1, ALL)); /* an old answer, and ours is not even sent */
    feed(guest, hello(NONCE + 2, 1, ALL));
    check_log(guest, "1 invited");
    check_hello(guest, NONCE + 2);
    feed(guest, hello(0, 1, ALL));
    feed(guest, hello(NONCE + 2, 1, ALL));
    feed(guest, state(1));
    check_log(guest, "open 1");
    guest_free(guest);
}

/* The host that got our HELLO is gone, and we have not noticed: its successor invites us. */
static void test_lost_hello(void)
{
    Guest *guest = guest_new(NONCE);

    check_case("%s", "lost HELLO");
    session_connected(&guest->session, guest->now);
    check_hello(guest, NONCE + 1);
    guest->now += SESSION_RESTART_US - 1;
    feed(guest, hello(0, 1, ALL)); /* our HELLO may still be on the way */
    check_log(guest, "");
    guest->now += 1;
    feed(guest, state(1));
    feed(guest, hello(0, 1, ALL));
    feed(guest, hello(0, 1, ALL));
    check_log(guest, "invited");
    check_hello(guest, NONCE + 2);
    feed(guest, hello(0, 1, ALL));
    check_log(guest, "");
    feed(guest, hello(NONCE + 2, 1, ALL));
    feed(guest, state(1));
    check_log(guest, "open 1");
    guest_free(guest);
}

static void feed_bad_magic(Guest *guest)
{
    uint8_t data[PVMOUSE_FRAME_SIZE] = { PVMOUSE_HELLO };

    feed_bytes(guest, data, sizeof(data));
}

/* Out of step: at most one HELLO in a second. */
static void test_errors(void)
{
    Guest *guest = guest_open(ALL);

    check_case("%s", "errors");
    feed_bad_magic(guest);
    feed(guest, state(1));
    check_log(guest, "error");
    check_hello(guest, NONCE + 2);
    feed(guest, hello(NONCE + 2, 1, ALL));
    feed(guest, hello(77, 1, ALL)); /* foreign */
    check_log(guest, "open error");
    check_no_output(guest);
    CHECK_EQ(session_deadline(&guest->session), guest->now + SESSION_RESTART_US);
    guest->now += SESSION_RESTART_US - 1;
    check_no_output(guest);
    feed(guest, hello(NONCE + 3, 1, ALL)); /* a guess */
    check_log(guest, "");
    guest->now += 1;
    check_hello(guest, NONCE + 3);
    feed(guest, hello(NONCE + 3, 1, ALL));
    feed(guest, hello(NONCE + 3, 1, ALL)); /* an answer too many */
    check_log(guest, "open error");
    check_no_output(guest);
    /* A new connection need not wait. */
    session_disconnected(&guest->session);
    CHECK_EQ(session_deadline(&guest->session), -1);
    session_connected(&guest->session, guest->now);
    check_hello(guest, NONCE + 5);
    guest->now += 2 * SESSION_RESTART_US;
    feed(guest, hello(NONCE + 5, 1, ALL));
    feed_bad_magic(guest);
    check_log(guest, "open error");
    check_hello(guest, NONCE + 6);
    guest_free(guest);
}

/* The frame that was wrong is searched as well: it may be the rest of one and the beginning of the answer. */
static void test_shifted(void)
{
    Guest *guest = guest_open(ALL);
    uint8_t bytes[2 * PVMOUSE_FRAME_SIZE] = { PVMOUSE_HELLO };
    const PvmouseFrame answer = hello(NONCE + 2, 1, 1);

    check_case("%s", "shifted");
    pvmouse_encode(&answer, bytes + 7);
    feed_bytes(guest, bytes, PVMOUSE_FRAME_SIZE);
    check_log(guest, "error");
    check_hello(guest, NONCE + 2);
    feed_bytes(guest, bytes + PVMOUSE_FRAME_SIZE, 7);
    check_log(guest, "open");
    guest_free(guest);
}

/* A host went away in the middle of a frame, unseen, and its successor invites us: wherever the frame was cut. */
static void test_out_of_step(void)
{
    for (size_t cut = 1; cut < PVMOUSE_FRAME_SIZE; cut++) {
        Guest *guest = guest_open(ALL);
        uint8_t part[PVMOUSE_FRAME_SIZE], data[SESSION_OUTPUT_MAX];
        const PvmouseFrame frame = state(1);
        PvmouseFrame answer = { .sequence = 0 };
        int invitations = 0;

        check_case("cut after %zu bytes", cut);
        pvmouse_encode(&frame, part);
        feed_bytes(guest, part, cut);
        do {
            guest->now += SESSION_RESTART_US;
            feed(guest, hello(0, 1, ALL));
        } while (session_output(&guest->session, guest->now, true, data) == 0 && ++invitations < 10);
        CHECK(invitations < 5);
        CHECK_EQ(pvmouse_decode(data, &answer), PVMOUSE_OK);
        CHECK_EQ(answer.type, PVMOUSE_HELLO);
        g_string_truncate(guest->log, 0);
        feed(guest, hello(answer.sequence, 1, ALL));
        feed(guest, state(1));
        check_log(guest, "open 1");
        guest_free(guest);
    }
}

static void test_disconnection(void)
{
    Guest *guest = guest_open(ALL);
    uint8_t half[PVMOUSE_FRAME_SIZE];

    check_case("%s", "disconnection");
    pvmouse_encode(&(PvmouseFrame){ .type = PVMOUSE_STATE, .sequence = 1 }, half);
    feed_bytes(guest, half, 11);
    session_disconnected(&guest->session);
    feed(guest, state(2));
    check_no_output(guest);
    session_connected(&guest->session, guest->now);
    check_hello(guest, NONCE + 2);
    feed(guest, hello(NONCE + 2, 1, ALL));
    feed(guest, state(1));
    check_log(guest, "open 1");
    guest_free(guest);
}

static void test_nonce(void)
{
    Guest *guest = guest_new(UINT32_MAX - 1);

    check_case("%s", "nonce");
    session_connected(&guest->session, guest->now);
    check_hello(guest, UINT32_MAX);
    session_connected(&guest->session, guest->now);
    check_hello(guest, 1); /* 0 is an invitation */
    guest_free(guest);
}

/* The same events wherever the bytes are cut. */
static void test_cuts(void)
{
    uint8_t bytes[9 * PVMOUSE_FRAME_SIZE + 5];
    const PvmouseFrame frames[] = {
        state(9), hello(NONCE + 1, 1, ALL), state(1), state(2), { .type = PVMOUSE_CREDIT }, hello(0, 1, ALL),
        state(3), hello(NONCE + 2, 1, ALL), state(1),
    };

    memcpy(bytes, "\2\0\0\0\0", 5);
    for (size_t i = 0; i < G_N_ELEMENTS(frames); i++) {
        pvmouse_encode(&frames[i], bytes + 5 + i * PVMOUSE_FRAME_SIZE);
    }
    for (size_t step = 1; step <= sizeof(bytes); step++) {
        Guest *guest = guest_new(NONCE);
        uint8_t output[SESSION_OUTPUT_MAX];

        check_case("pieces of %zu", step);
        session_connected(&guest->session, guest->now);
        for (size_t at = 0; at < sizeof(bytes); at += step) {
            session_output(&guest->session, guest->now, true, output);
            feed_bytes(guest, bytes + at, MIN(step, sizeof(bytes) - at));
        }
        if (step <= PVMOUSE_FRAME_SIZE) { /* with larger ones the second HELLO is not sent before its answer is read */
            check_log(guest, "open 1 2 refused invited open 1");
        } else {
            g_strchomp(guest->log->str);
            CHECK(g_str_has_prefix(guest->log->str, "open 1 2 refused invited"));
        }
        guest_free(guest);
    }
}

int main(void)
{
    test_opening();
    test_versions();
    test_features();
    test_credit();
    test_gaps();
    test_invitation();
    test_lost_hello();
    test_errors();
    test_shifted();
    test_out_of_step();
    test_disconnection();
    test_nonce();
    test_cuts();
    return check_done();
}
