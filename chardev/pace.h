/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pace.h - reports on their way to an evdev device, no faster than its readers can take edges (pure).
 *
 * The kernel keeps 128 events for each reader of such a device and throws all of them away when one more comes: a
 * burst of clicks out of one read() would be lost between us and a reader that had no time to run. So reports with a
 * button edge or a wheel turn go out at most PACE_BURST at once and one each PACE_INTERVAL_US after that, far beyond
 * any hand; a reader may then sleep 40 ms. Motion keeps its order among them, so who has motion to report holds it back
 * while this is not empty: many a position behind the last edge would overrun the reader as well.
 */
#ifndef PACE_H
#define PACE_H

#include "pointer.h"

#define PACE_BURST 10
#define PACE_INTERVAL_US 2000

/* An edge report is four events at most times: two axes, a button, the end. */
#define PACE_STEPS (LIMIT_POINTER_EDGES * 4u)

/* Private. All zero is empty. */
typedef struct Pace {
    PointerStep step[PACE_STEPS];
    size_t head, used; /* ring */
    int64_t paid;      /* time up to which the reports taken so far have used up their intervals */
} Pace;

/* Queue all of `steps`, which are whole reports, or nothing: false if there is no room. Then take one in a hurry. */
bool pace_put(Pace *pace, const PointerStep *steps, size_t count);

/*
 * Take the next report, at most POINTER_STEPS_MAX steps; 0 when there is none or it must wait, unless in a hurry.
 * `now` is of a clock in microseconds that never goes back.
 */
size_t pace_take(Pace *pace, int64_t now, bool hurry, PointerStep ret_steps[POINTER_STEPS_MAX]);

bool pace_empty(const Pace *pace);

/* Forget what waits. */
void pace_clear(Pace *pace);

/*
 * Does any of these steps have to keep the pace: a button edge or a wheel turn, the loss of which would be a loss of what
 * the user did, other than of a position that the next one corrects?
 */
bool pace_counts(const PointerStep *steps, size_t count);

#endif
