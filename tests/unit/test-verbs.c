/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Frames between spicevmc and the child that has QEMU's monitor. */
#include "check.h"
#include "verbs.h"

#include <glib.h>

static const Verb verbs[] = {
    { .type = VERB_POINTER, .display = 1, .position = true, .x = 0x1234, .y = 0xffff, .buttons = 0x7f },
    { .type = VERB_POINTER, .wheel = VERB_WHEEL_MAX, .hwheel = -VERB_WHEEL_MAX },
    { .type = VERB_MOTION, .dx = -32768, .dy = 32767, .buttons = 1, .wheel = -1 },
    { .type = VERB_KEY, .scancode = 0xff, .down = true },
    { .type = VERB_KEY },
    { .type = VERB_REFRESH },
};

static void test_verbs(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
        uint8_t data[VERB_SIZE + 1] = { 0 }, again[VERB_SIZE];
        Verb verb;

        check_case("verb %zu", i);
        verb_encode(&verbs[i], data);
        CHECK(verb_decode(data, VERB_SIZE, 2, &verb));
        CHECK_EQ(verb.type, verbs[i].type);
        CHECK_EQ(verb.x, verbs[i].x);
        CHECK_EQ(verb.dx, verbs[i].dx);
        CHECK_EQ(verb.dy, verbs[i].dy);
        CHECK_EQ(verb.wheel, verbs[i].wheel);
        CHECK_EQ(verb.hwheel, verbs[i].hwheel);
        CHECK_EQ(verb.down, verbs[i].down);
        verb_encode(&verb, again);
        CHECK_MEM(again, data, VERB_SIZE);
        for (size_t size = 0; size <= VERB_SIZE + 1; size++) {
            CHECK_EQ(verb_decode(data, size, 2, &verb), size == VERB_SIZE);
        }
    }
}

static void test_bad_verbs(void)
{
    static const struct {
        const char *name;
        uint8_t data[VERB_SIZE];
    } rows[] = {
        { "type 0", { 0 } },
        { "type 5", { 5 } },
        { "display that there is not", { VERB_POINTER, 2, 1 } },
        { "no position, but a display", { VERB_POINTER, 1, 0 } },
        { "no position, but x", { VERB_POINTER, 0, 0, 0, 1 } },
        { "position and a key", { VERB_POINTER, 0, 1, 1 } },
        { "flag 2", { VERB_POINTER, 0, 2 } },
        { "eighth button", { VERB_POINTER, 0, 1, 0, 0, 0, 0, 0, 0x80 } },
        { "wheel 128", { VERB_POINTER, 0, 1, 0, 0, 0, 0, 0, 0, 0, 128 } },
        { "wheel -32768", { VERB_POINTER, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x80 } },
        { "horizontal wheel -128", { VERB_MOTION, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0xff } },
        { "last bytes", { VERB_MOTION, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 } },
        { "motion on a display", { VERB_MOTION, 1 } },
        { "motion and a flag", { VERB_MOTION, 0, 1 } },
        { "key with a position", { VERB_KEY, 0, 0, 30, 1 } },
        { "key with a button", { VERB_KEY, 0, 0, 30, 0, 0, 0, 0, 1 } },
        { "refresh and a flag", { VERB_REFRESH, 0, 1 } },
        { "refresh and a key", { VERB_REFRESH, 0, 0, 1 } },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        Verb verb = { .type = VERB_REFRESH };

        check_case("%s", rows[i].name);
        CHECK(!verb_decode(rows[i].data, VERB_SIZE, 2, &verb));
        CHECK_EQ(verb.type, VERB_REFRESH);
    }
}

static void test_states(void)
{
    static const VerbState first = { true, true, 3, 2, 0x80000001, 1, UINT64_MAX };
    uint8_t data[VERB_STATE_SIZE + 1] = { 0 };
    VerbState state = { 0 };

    check_case("state");
    verb_encode_state(&first, data);
    CHECK(verb_decode_state(data, VERB_STATE_SIZE, 32, &state));
    CHECK(state.connected);
    CHECK_EQ(state.connections, 3);
    CHECK_EQ(state.resets, 2);
    CHECK_EQ(state.open, 0x80000001);
    CHECK_EQ(state.lost, 1);
    CHECK_EQ(state.refused, UINT64_MAX);
    for (size_t size = 0; size <= VERB_STATE_SIZE + 1; size++) {
        CHECK_EQ(verb_decode_state(data, size, 32, &state), size == VERB_STATE_SIZE);
    }
    CHECK(!verb_decode_state(data, VERB_STATE_SIZE, 31, &state));
    CHECK(!verb_decode_state(data, VERB_STATE_SIZE, 0, &state));
    CHECK(state.tablet);
    data[0] = 4;
    CHECK(!verb_decode_state(data, VERB_STATE_SIZE, 32, &state));
}

static void test_successions(void)
{
    static const VerbState from = { true, false, 3, 2, 1, 5, 6 };
    static const struct {
        const char *name;
        VerbState state;
        bool ok;
    } rows[] = {
        { "the same", { true, false, 3, 2, 1, 5, 6 }, true },
        { "gone", { false, false, 3, 2, 0, 6, 6 }, true },
        { "gone and open", { false, false, 3, 2, 1, 5, 6 }, false },
        { "a tablet without a connection", { false, true, 3, 2, 0, 6, 6 }, false },
        { "again", { true, false, 4, 2, 2, 5, 6 }, true },
        { "fewer connections", { true, false, 2, 2, 1, 5, 6 }, false },
        { "fewer resets", { true, false, 3, 1, 1, 5, 6 }, false },
        { "less lost", { true, false, 3, 2, 1, 4, 6 }, false },
        { "less refused", { true, false, 3, 2, 1, 5, 5 }, false },
        { "channel that there is not", { true, false, 3, 2, 4, 5, 6 }, false },
    };
    uint8_t data[VERB_STATE_SIZE];
    VerbState state;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        check_case("%s", rows[i].name);
        state = from;
        verb_encode_state(&rows[i].state, data);
        CHECK_EQ(verb_decode_state(data, sizeof(data), 2, &state), rows[i].ok);
        CHECK_EQ(state.lost, rows[i].ok ? rows[i].state.lost : from.lost);
    }
    check_case("connected without having connected");
    state = (VerbState){ .connections = 3, .resets = 2, .lost = 5, .refused = 6 };
    verb_encode_state(&from, data);
    CHECK(!verb_decode_state(data, sizeof(data), 2, &state));
}

int main(void)
{
    test_verbs();
    test_bad_verbs();
    test_states();
    test_successions();
    return check_done();
}
