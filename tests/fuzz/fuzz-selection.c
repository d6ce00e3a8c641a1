/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Input: two bytes of policy and client, then events of three bytes for one selection: what, type or types, and time or
 * serial. Whatever happens in whatever order, what is off sends nothing and answers go to those who asked.
 */
#include "fuzz.h"
#include "selection.h"

#include <stdbool.h>

typedef struct State {
    Selection selection;
    int64_t now;
    unsigned sent[SELECTION_TYPES]; /* requests on their way, with those given up */
    bool asked[SELECTION_TYPES], answering[SELECTION_TYPES];
} State;

static void check(const Selection *s, unsigned flags)
{
    FUZZ_CHECK(!(flags & SELECTION_SEND_GRAB) || (s->present && s->to_host && s->grabbed && s->offers != 0));
    FUZZ_CHECK(!(flags & SELECTION_REFUSED) || !s->to_host || !s->from_host);
    FUZZ_CHECK(!(flags & SELECTION_OWN) || (s->offers != 0 && s->owner >= SELECTION_TERMINAL));
    FUZZ_CHECK((flags & (SELECTION_OWN | SELECTION_DISOWN)) != (SELECTION_OWN | SELECTION_DISOWN));
    FUZZ_CHECK(!s->grabbed || s->owner == SELECTION_PROGRAM || s->owner == SELECTION_TERMINAL);
    FUZZ_CHECK(s->owner != SELECTION_HOST || (s->from_host && s->offers != 0));
    FUZZ_CHECK((s->offers & ~SELECTION_ALL) == 0 && (s->shadow & ~s->offers) == 0);
    FUZZ_CHECK(s->left == 0 || s->owner == SELECTION_NOBODY);
}

static void answer(State *state, uint32_t wanted)
{
    Selection *s = &state->selection;
    uint32_t type = wanted;
    SelectionAnswer result = selection_answer(s, &type, state->now);
    FUZZ_CHECK(wanted == 0 || type == wanted);
    if (result == SELECTION_ANSWER_UNASKED)
        return;
    FUZZ_CHECK(type > 0 && type < SELECTION_TYPES && state->sent[type] > 0);
    state->sent[type]--;
    if (result == SELECTION_ANSWER_LATE)
        return;
    FUZZ_CHECK(state->asked[type]);
    state->asked[type] = false;
    state->answering[type] = true;
}

static void expire(State *state)
{
    uint32_t type;
    while ((type = selection_expire(&state->selection, state->now, 100)) != 0) {
        FUZZ_CHECK(state->asked[type] || state->answering[type]);
        state->asked[type] = false;
    }
    FUZZ_CHECK(selection_deadline(&state->selection, 100) > state->now);
}

static void event(State *state, uint8_t what, uint8_t argument, uint8_t number)
{
    Selection *s = &state->selection;
    uint32_t types = argument & SELECTION_ALL, type = argument % (SELECTION_TYPES + 1);
    switch (what % 17) {
    case 0:
        check(s, selection_peer(s, argument & 1, argument & 2, argument & 4, state->now));
        for (type = 0; type < SELECTION_TYPES; type++)
            state->sent[type] = state->asked[type] = state->answering[type] = 0;
        break;
    case 1:
        check(s, selection_program(s, types));
        break;
    case 2:
        if (!s->grabbed) /* which ends with the desktop that the grab was for */
            selection_found(s, types);
        check(s, 0);
        break;
    case 3:
        check(s, selection_nobody(s));
        break;
    case 4:
        if (types != 0)
            check(s, selection_terminal(s, types));
        break;
    case 5:
        check(s, selection_host_grab(s, s->serial + (int8_t)number, types, state->now));
        break;
    case 6:
        check(s, selection_host_release(s, state->now));
        break;
    case 7:
        type = selection_suspect(s, types, state->now);
        FUZZ_CHECK(type == 0 || (types & s->seen & UINT32_C(1) << type) != 0);
        if (type != 0)
            check(s, selection_echo(s, types, number & 1));
        break;
    case 8:
    case 9:
        if (selection_ask(s, type, state->now) == SELECTION_ASK_SEND) {
            FUZZ_CHECK(s->owner == SELECTION_HOST && !state->asked[type] && !state->answering[type]);
            state->asked[type] = true;
            state->sent[type]++;
        }
        break;
    case 10:
    case 11:
        /* One at a time, as on the wire. */
        for (uint32_t i = 0; i < SELECTION_TYPES; i++) {
            if (state->answering[i])
                return;
        }
        answer(state, type);
        break;
    case 12:
        selection_progress(s, state->now);
        break;
    case 13:
        for (uint32_t i = 0; i < SELECTION_TYPES; i++) {
            if (state->answering[i])
                selection_answered(s, i, number & 1);
            state->answering[i] = false;
        }
        break;
    case 14:
        state->now += number * 4;
        expire(state);
        break;
    case 15:
        if (selection_asked(s, type) != SELECTION_ASKED_NONE)
            FUZZ_CHECK(s->grabbed && (s->offers & UINT32_C(1) << type) != 0);
        break;
    case 16:
        if (type < SELECTION_TYPES)
            FUZZ_CHECK(selection_pending(s, type) <= SELECTION_PENDING && selection_pending(s, type) == 0);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    State state = { .now = 1000 };
    if (size < 2)
        return 0;
    state.selection.to_host = data[0] & 1;
    state.selection.from_host = data[0] & 2;
    selection_peer(&state.selection, data[1] & 1, data[1] & 2, data[1] & 4, state.now);
    for (size_t at = 2; at + 3 <= size; at += 3)
        event(&state, data[at], data[at + 1], data[at + 2]);
    return 0;
}
