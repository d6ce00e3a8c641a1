/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pace.h"

#include <linux/input-event-codes.h>

bool pace_put(Pace *pace, const PointerStep *steps, size_t count)
{
    if (count > PACE_STEPS - pace->used) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        pace->step[(pace->head + pace->used++) % PACE_STEPS] = steps[i];
    }
    return true;
}

/* A loss of this step would be a loss of what the user did, other than of a position that the next one corrects. */
static bool counts(const PointerStep *step)
{
    return step->type == EV_KEY || (step->type == EV_REL && step->code != REL_X && step->code != REL_Y);
}

size_t pace_take(Pace *pace, int64_t now, bool hurry, PointerStep ret_steps[POINTER_STEPS_MAX])
{
    size_t size = 0;
    bool edge = false;

    while (size < pace->used && size < POINTER_STEPS_MAX) {
        const PointerStep *step = &pace->step[(pace->head + size) % PACE_STEPS];

        ret_steps[size++] = *step;
        edge = edge || counts(step);
        if (step->type == EV_SYN) {
            break;
        }
    }
    if (edge && !hurry) {
        int64_t from = pace->paid > now ? pace->paid : now;

        if (from - now > (PACE_BURST - 1) * PACE_INTERVAL_US) {
            return 0;
        }
        pace->paid = from + PACE_INTERVAL_US;
    }
    pace->head = (pace->head + size) % PACE_STEPS;
    pace->used -= size;
    return size;
}

bool pace_empty(const Pace *pace)
{
    return pace->used == 0;
}
