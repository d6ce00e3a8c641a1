/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "pace.h"

#include <linux/input-event-codes.h>
#include <stdlib.h>

static const PointerStep click[] = {
    { false, EV_ABS, ABS_X, 7 }, { false, EV_KEY, BTN_LEFT, 1 }, { false, EV_SYN, SYN_REPORT, 0 }
};
static const PointerStep motion[] = { { false, EV_ABS, ABS_X, 8 }, { false, EV_SYN, SYN_REPORT, 0 } };
static const PointerStep relative[] = {
    { true, EV_REL, REL_X, 1 }, { true, EV_REL, REL_Y, 1 }, { true, EV_SYN, SYN_REPORT, 0 }
};
static const PointerStep wheel[] = { { false, EV_REL, REL_WHEEL_HI_RES, 9 }, { false, EV_SYN, SYN_REPORT, 0 } };

#define PUT(pace, steps) CHECK(pace_put(pace, steps, sizeof(steps) / sizeof(*steps)))

/* The next report is this one. */
#define TAKE(pace, now, steps) \
    do { \
        PointerStep taken[POINTER_STEPS_MAX]; \
        CHECK_EQ(pace_take(pace, now, false, taken), sizeof(steps) / sizeof(*steps)); \
        CHECK_EQ(taken[0].code, steps[0].code); \
        CHECK_EQ(taken[0].relative, steps[0].relative); \
        CHECK_EQ(taken[0].value, steps[0].value); \
    } while (0)

static void check_waits(Pace *pace, int64_t now)
{
    PointerStep got[POINTER_STEPS_MAX];

    CHECK_EQ(pace_take(pace, now, false, got), 0);
}

static void test_motion(Pace *pace)
{
    check_case("%s", "motion is free");
    for (int i = 0; i < 1000; i++) {
        PUT(pace, motion);
        PUT(pace, relative);
        TAKE(pace, 50, motion);
        TAKE(pace, 50, relative);
        CHECK(pace_empty(pace));
    }
    check_waits(pace, 50);
}

static void test_edges(Pace *pace)
{
    int64_t now = 1000000;

    check_case("%s", "edges");
    for (int i = 0; i < PACE_BURST + 3; i++) {
        if (i % 2) {
            PUT(pace, click);
        } else {
            PUT(pace, wheel);
        }
    }
    PUT(pace, motion);
    for (int i = 0; i < PACE_BURST; i++) {
        if (i % 2) {
            TAKE(pace, now, click);
        } else {
            TAKE(pace, now, wheel);
        }
    }
    check_waits(pace, now);
    check_waits(pace, now + PACE_INTERVAL_US - 1);
    TAKE(pace, now + PACE_INTERVAL_US, wheel);
    check_waits(pace, now + PACE_INTERVAL_US);
    /* A timer that comes late makes up for it. */
    TAKE(pace, now + 3 * PACE_INTERVAL_US, click);
    TAKE(pace, now + 3 * PACE_INTERVAL_US, wheel);
    TAKE(pace, now + 3 * PACE_INTERVAL_US, motion);
    CHECK(pace_empty(pace));
    /* After a rest there is a burst again, and no more than one. */
    now += 1000000;
    for (int i = 0; i < PACE_BURST + 1; i++) {
        PUT(pace, click);
    }
    for (int i = 0; i < PACE_BURST; i++) {
        TAKE(pace, now, click);
    }
    check_waits(pace, now);
    TAKE(pace, now + 1000000, click);
}

static void test_full(Pace *pace)
{
    PointerStep got[POINTER_STEPS_MAX];
    int64_t now = 9000000;
    size_t put = 0;

    check_case("%s", "full");
    while (pace_put(pace, click, 3)) {
        put++;
    }
    CHECK(put >= LIMIT_POINTER_EDGES);
    CHECK_EQ(pace_take(pace, now, true, got), 3);
    PUT(pace, click);
    /* What went in a hurry is not held against the rest. */
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(pace_take(pace, now, true, got), 3);
    }
    for (int i = 0; i < PACE_BURST; i++) {
        TAKE(pace, now, click);
    }
    check_waits(pace, now);
    while (!pace_empty(pace)) {
        TAKE(pace, now += PACE_INTERVAL_US, click);
    }
}

int main(void)
{
    Pace *pace = calloc(1, sizeof(*pace));

    test_motion(pace);
    test_edges(pace);
    test_full(pace);
    free(pace);
    return check_done();
}
