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

bool pace_counts(const PointerStep *steps, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const PointerStep *step = &steps[i];

        if (step->type == EV_KEY || (step->type == EV_REL && step->code != REL_X && step->code != REL_Y)) {
            return true;
        }
    }
    return false;
}

size_t pace_take(Pace *pace, int64_t now, bool hurry, PointerStep ret_steps[POINTER_STEPS_MAX])
{
    size_t size = 0;

    while (size < pace->used && size < POINTER_STEPS_MAX) {
        const PointerStep *step = &pace->step[(pace->head + size) % PACE_STEPS];

        ret_steps[size++] = *step;
        if (step->type == EV_SYN) {
            break;
        }
    }
    if (!hurry && pace_counts(ret_steps, size)) {
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

void pace_clear(Pace *pace)
{
    pace->head = pace->used = 0;
}
