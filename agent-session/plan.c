/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan.h"

#include <math.h>

#define DPI 96.0
#define MM_PER_INCH 25.4

static uint32_t clamp(uint32_t value, uint32_t min, uint32_t max)
{
    return value > max ? max : value < min ? min : value;
}

static bool overlap(const PlanHead *a, const PlanHead *b)
{
    return (int64_t) a->x < (int64_t) b->x + b->w && (int64_t) b->x < (int64_t) a->x + a->w &&
           (int64_t) a->y < (int64_t) b->y + b->h && (int64_t) b->y < (int64_t) a->y + a->h;
}

static bool mirrored(const PlanHead *a, const PlanHead *b)
{
    return a->x == b->x && a->y == b->y && a->w == b->w && a->h == b->h;
}

static bool any_overlap(const Plan *plan, bool mirrors_too)
{
    for (size_t i = 0; i < plan->count; i++) {
        for (size_t j = i + 1; j < plan->count; j++) {
            const PlanHead *a = &plan->head[i], *b = &plan->head[j];
            if (a->on && b->on && overlap(a, b) && (mirrors_too || !mirrored(a, b)))
                return true;
        }
    }
    return false;
}

/* Set the size of the desktop; false when it is beyond the limits. */
static bool fit(const PlanLimits *limits, Plan *plan)
{
    int64_t w = 0, h = 0;
    for (size_t i = 0; i < plan->count; i++) {
        const PlanHead *head = &plan->head[i];
        if (!head->on)
            continue;
        if (head->x < 0 || head->y < 0)
            return false;
        if ((int64_t) head->x + head->w > w)
            w = (int64_t) head->x + head->w;
        if ((int64_t) head->y + head->h > h)
            h = (int64_t) head->y + head->h;
    }
    if (w == 0 || w > limits->max_w || h > limits->max_h)
        return false;
    plan->w = clamp(w, limits->min_w, limits->max_w);
    plan->h = clamp(h, limits->min_h, limits->max_h);
    return true;
}

/* Side by side, tops aligned, in the order of where they are now; equal places in the order of their numbers. */
static bool pack(const PlanLimits *limits, Plan *plan)
{
    size_t order[LIMIT_DISPLAYS], count = 0;
    for (size_t i = 0; i < plan->count; i++) {
        if (!plan->head[i].on)
            continue;
        size_t at = count++;
        for (; at > 0; at--) {
            const PlanHead *left = &plan->head[order[at - 1]], *head = &plan->head[i];
            if (left->x < head->x || (left->x == head->x && left->y <= head->y))
                break;
            order[at] = order[at - 1];
        }
        order[at] = i;
    }
    int64_t x = 0;
    for (size_t i = 0; i < count; i++) {
        PlanHead *head = &plan->head[order[i]];
        if (x + head->w > limits->max_w)
            return false;
        head->x = (int32_t) x;
        head->y = 0;
        x += head->w;
    }
    return fit(limits, plan);
}

/* Shift all so that the smallest coordinates are 0. False when that cannot be expressed. */
static bool to_origin(Plan *plan, unsigned *adjusted)
{
    int64_t x = INT32_MAX, y = INT32_MAX;
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->head[i].on && plan->head[i].x < x)
            x = plan->head[i].x;
        if (plan->head[i].on && plan->head[i].y < y)
            y = plan->head[i].y;
    }
    if (x != 0 || y != 0)
        *adjusted |= PLAN_MOVED;
    for (size_t i = 0; i < plan->count; i++) {
        PlanHead *head = &plan->head[i];
        if (!head->on)
            continue;
        if (head->x - x > INT32_MAX || head->y - y > INT32_MAX)
            return false;
        head->x = (int32_t) (head->x - x);
        head->y = (int32_t) (head->y - y);
    }
    return true;
}

double plan_scale(uint32_t pixels, uint32_t mm)
{
    double dpi = mm > 0 ? pixels * MM_PER_INCH / mm : 0;
    if (dpi < PLAN_DPI_MIN || dpi > PLAN_DPI_MAX)
        return 0;
    return dpi < PLAN_DPI_LARGE ? 1 : floor(dpi / DPI * 4 + 0.5) / 4;
}

uint32_t plan_logical(uint32_t pixels, double scale)
{
    return scale > 0 ? (uint32_t) (pixels / scale) : pixels;
}

static void set_mode(const PlanLimits *limits, PlanHead *head, uint32_t w, uint32_t h, double scale)
{
    head->scale = scale > 0 ? scale : 1;
    head->mode_w = w;
    head->mode_h = h;
    head->w = limits->pixels ? w : plan_logical(w, head->scale);
    head->h = limits->pixels ? h : plan_logical(h, head->scale);
}

/* The client's positions may be anywhere, and scales below 1. */
static int32_t logical_position(int32_t pixels, double scale)
{
    double at = floor(pixels / scale);
    return at > INT32_MAX ? INT32_MAX : at < INT32_MIN ? INT32_MIN : (int32_t) at;
}

static bool one_scale(const Plan *plan)
{
    double scale = 0;
    for (size_t i = 0; i < plan->count; i++) {
        const PlanHead *head = &plan->head[i];
        if (head->on && scale != 0 && head->scale != scale)
            return false;
        if (head->on)
            scale = head->scale;
    }
    return true;
}

PlanResult plan_client(const PlanLimits *limits, size_t count, const PlanOutput *outputs,
                       const VdagentMonitors *monitors, Plan *ret_plan, unsigned *ret_adjusted)
{
    Plan plan = { .count = count };
    unsigned adjusted = 0;
    size_t on = 0;
    for (size_t i = 0; i < monitors->count; i++) {
        const VdagentMonitor *monitor = &monitors->monitor[i];
        if (monitor->width == 0 || monitor->height == 0)
            continue;
        if (i >= count) {
            adjusted |= PLAN_IGNORED;
            continue;
        }
        PlanHead *head = &plan.head[i];
        head->on = true;
        on++;
        uint32_t w = clamp(monitor->width, PLAN_MIN_W, limits->max_w);
        uint32_t h = clamp(monitor->height, PLAN_MIN_H, limits->max_h);
        if (w != monitor->width || h != monitor->height)
            adjusted |= PLAN_CLAMPED;
        double scale = limits->auto_scale ? plan_scale(w, monitor->width_mm) : 0;
        set_mode(limits, head, w - w % limits->step, h, scale > 0 ? scale : outputs[i].scale);
        head->x = limits->pixels ? monitor->x : logical_position(monitor->x, head->scale);
        head->y = limits->pixels ? monitor->y : logical_position(monitor->y, head->scale);
        head->width_mm = monitor->width_mm;
        head->height_mm = monitor->height_mm;
    }
    if (on == 0)
        return PLAN_NOTHING_ON;
    bool placed = false;
    if (monitors->flags & VD_AGENT_CONFIG_MONITORS_FLAG_USE_POS) {
        placed = to_origin(&plan, &adjusted) && (limits->pixels || one_scale(&plan)) && !any_overlap(&plan, true) &&
                 fit(limits, &plan);
        if (!placed)
            adjusted |= PLAN_REPACKED;
    } else {
        for (size_t i = 0; i < count; i++)
            plan.head[i].x = plan.head[i].y = 0;
    }
    if (!placed && !pack(limits, &plan))
        return PLAN_TOO_LARGE;
    *ret_plan = plan;
    *ret_adjusted = adjusted;
    return PLAN_OK;
}

/* Do two rectangles have a piece of an edge in common? */
static bool touch(const PlanHead *a, const PlanHead *b)
{
    int64_t ax2 = (int64_t) a->x + a->w, ay2 = (int64_t) a->y + a->h;
    int64_t bx2 = (int64_t) b->x + b->w, by2 = (int64_t) b->y + b->h;
    return ((ax2 == b->x || bx2 == a->x) && a->y < by2 && b->y < ay2) ||
           ((ay2 == b->y || by2 == a->y) && a->x < bx2 && b->x < ax2);
}

/* Can one go from each output to each other without leaving the desktop? */
static bool in_one_piece(const Plan *plan)
{
    bool reached[LIMIT_DISPLAYS] = { false }, more = true;
    size_t on = 0, count = 0;
    for (size_t i = 0; i < plan->count; i++)
        on += plan->head[i].on;
    while (more) {
        more = false;
        for (size_t i = 0; i < plan->count; i++) {
            const PlanHead *head = &plan->head[i];
            bool found = count == 0;
            for (size_t j = 0; j < plan->count && !found; j++)
                found = reached[j] && (touch(head, &plan->head[j]) || mirrored(head, &plan->head[j]));
            if (!head->on || reached[i] || !found)
                continue;
            reached[i] = more = true;
            count++;
        }
    }
    return count == on;
}

PlanResult plan_follow(const PlanLimits *limits, size_t count, const PlanOutput *outputs, Plan *ret_plan)
{
    Plan plan = { .count = count };
    size_t on = 0;
    bool same = true;
    int32_t right = 0; /* a new output goes to the right of the others */
    for (size_t i = 0; i < count; i++) {
        if (outputs[i].on && outputs[i].x >= right)
            right = outputs[i].x < INT32_MAX ? outputs[i].x + 1 : INT32_MAX;
    }
    for (size_t i = 0; i < count; i++) {
        const PlanOutput *output = &outputs[i];
        PlanHead *head = &plan.head[i];
        bool known = output->preferred_w > 0 && output->preferred_h > 0;
        bool appeared = output->plugged && output->connected && !output->on && known;
        bool vanished = output->plugged && !output->connected;
        bool preferred = known && (appeared || output->resized);
        head->on = appeared || (output->on && !vanished);
        if (head->on != output->on)
            same = false;
        if (!head->on)
            continue;
        on++;
        head->x = output->on ? output->x : right;
        head->y = output->on ? output->y : 0;
        bool rescaled = output->new_scale > 0;
        set_mode(limits, head, preferred ? output->preferred_w : output->mode_w,
                 preferred ? output->preferred_h : output->mode_h, rescaled ? output->new_scale : output->scale);
        if (!preferred && !rescaled) {
            head->w = output->w;
            head->h = output->h;
        }
        if (output->on && (head->mode_w != output->mode_w || head->mode_h != output->mode_h || rescaled))
            same = false;
    }
    if (on == 0)
        return PLAN_NOTHING_ON;
    bool stays = same && !any_overlap(&plan, false) && (!limits->joined || in_one_piece(&plan)) && fit(limits, &plan);
    if (!stays && !pack(limits, &plan))
        return PLAN_TOO_LARGE;
    *ret_plan = plan;
    return PLAN_OK;
}

bool plan_join(const PlanLimits *limits, Plan *plan)
{
    bool left = false, top = false;
    for (size_t i = 0; i < plan->count; i++) {
        left = left || (plan->head[i].on && plan->head[i].x == 0);
        top = top || (plan->head[i].on && plan->head[i].y == 0);
    }
    return (left && top && !any_overlap(plan, false) && in_one_piece(plan) && fit(limits, plan)) || pack(limits, plan);
}

static bool near(int64_t a, int64_t b, int64_t tolerance)
{
    return a - b <= tolerance && b - a <= tolerance;
}

bool plan_is_current(const Plan *plan, const PlanOutput *outputs)
{
    bool scaled = false;
    for (size_t i = 0; i < plan->count; i++)
        scaled = scaled || (plan->head[i].on && plan->head[i].scale != 1);
    for (size_t i = 0; i < plan->count; i++) {
        const PlanHead *head = &plan->head[i];
        const PlanOutput *output = &outputs[i];
        int64_t off = scaled ? (int64_t) i + 1 : 0; /* what others rounded adds up in a row */
        if (head->on != output->on)
            return false;
        if (head->on && (head->mode_w != output->mode_w || head->mode_h != output->mode_h ||
                         fabs(head->scale - (output->scale > 0 ? output->scale : 1)) > 1.0 / 100 ||
                         !near(head->x, output->x, off) || !near(head->y, output->y, off)))
            return false;
    }
    return true;
}
