/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plan.h - where outputs shall go: from what is there and what is asked to a layout without overlap (pure).
 *
 * The size of an output's mode is in pixels, that of its rectangle in units of the desktop: pixels divided by the
 * output's scale. Both are meant after rotation. An index is the place of an output in the backend's list.
 */
#ifndef PLAN_H
#define PLAN_H

#include "vdagent.h"

/* Smaller heads than this are made this large: no desktop can be used in less. */
#define PLAN_MIN_W 320u
#define PLAN_MIN_H 200u

/* An output as it is. */
typedef struct PlanOutput {
    bool connected, on;
    int32_t x, y;
    uint32_t w, h;           /* rectangle, while it is on */
    uint32_t mode_w, mode_h; /* the same in pixels */
    double scale;            /* 0 is taken as 1 */
    uint32_t preferred_w, preferred_h; /* 0x0: none */
    uint32_t preferred_mm;             /* width of that on the client's monitor; 0: unknown */
    bool plugged;                      /* plan_follow(): it was connected or disconnected */
    bool resized;                      /* plan_follow(): it prefers another mode than before */
    double new_scale;                  /* plan_follow(): as the client's monitor is another than before; 0: as it is */
} PlanOutput;

typedef struct PlanLimits {
    uint32_t min_w, min_h, max_w, max_h; /* of the whole desktop */
    uint32_t step;   /* widths that are asked are rounded down to a multiple of this; not 0 */
    bool auto_scale; /* outputs have scales, and take that of plan_scale() where the client gives a physical size */
    bool pixels;     /* rectangles are in pixels too, whatever the scale */
    bool joined;     /* plan_follow(): users make no gaps here, so one is what a mode that the desktop set has left */
} PlanLimits;

/* An output as it shall be. All fields but `on` are 0 for one that is off. */
typedef struct PlanHead {
    bool on;
    int32_t x, y; /* never negative */
    uint32_t w, h, mode_w, mode_h;
    double scale;
    uint32_t width_mm, height_mm; /* 0: unknown */
} PlanHead;

typedef struct Plan {
    size_t count;
    PlanHead head[LIMIT_DISPLAYS];
    uint32_t w, h; /* of the whole desktop */
} Plan;

typedef enum PlanResult {
    PLAN_OK,
    PLAN_NOTHING_ON, /* every output would be off */
    PLAN_TOO_LARGE   /* more than the limits however it is arranged */
} PlanResult;

/* What was not taken as it came, as flags. */
enum {
    PLAN_CLAMPED = 1 << 0,  /* a size was out of bounds */
    PLAN_MOVED = 1 << 1,    /* positions were negative, or left a margin: all were shifted */
    PLAN_REPACKED = 1 << 2, /* positions overlapped or were too far out: placed side by side */
    PLAN_IGNORED = 1 << 3   /* there are more monitors than outputs */
};

/*
 * The scale for a mode of so many pixels on a monitor of so many millimetres, in quarters. 1 up to PLAN_DPI_LARGE:
 * desktops in between are drawn for 96 dots per inch, and fractions look worse than letters a little smaller. 0 for a
 * resolution that no monitor has.
 */
#define PLAN_DPI_MIN 50.0
#define PLAN_DPI_MAX 400.0
#define PLAN_DPI_LARGE 144.0
double plan_scale(uint32_t pixels, uint32_t mm);

/* The rectangle of `pixels` at a scale, as wlroots has it; others round, so compare with a tolerance of 1. */
uint32_t plan_logical(uint32_t pixels, double scale);

/*
 * The layout that a client asks for: monitor i goes to output i; outputs without a monitor, or with one of 0 width or
 * height, are off. The client knows nothing of scales: its positions are pixels, and kept only while all outputs have
 * one scale. `count` is at most LIMIT_DISPLAYS. Without PLAN_OK, `ret_plan` is untouched.
 */
PlanResult plan_client(const PlanLimits *limits, size_t count, const PlanOutput *outputs,
                       const VdagentMonitors *monitors, Plan *ret_plan, unsigned *ret_adjusted);

/*
 * The layout that follows the device: outputs that were resized take their preferred mode if they are on; those that
 * were connected are switched on with it, unless they are on already, and those that were disconnected are switched
 * off. A new scale is taken at any time. If that leaves another layout than before, or one with overlaps other than
 * exact mirrors, or with gaps where the limits say so, all are placed side by side in their order from left to right.
 */
PlanResult plan_follow(const PlanLimits *limits, size_t count, const PlanOutput *outputs, Plan *ret_plan);

/*
 * For a desktop that takes no gaps, after the sizes of rectangles were changed: if outputs overlap, are not in one
 * piece or leave a margin, all are placed side by side. False, and the plan is of no use, if that exceeds the limits.
 */
bool plan_join(const PlanLimits *limits, Plan *plan);

/* Is everything as planned? Rectangles of scaled outputs may be off by one. */
bool plan_is_current(const Plan *plan, const PlanOutput *outputs);

#endif
