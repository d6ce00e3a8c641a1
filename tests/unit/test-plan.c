/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "plan.h"

#define HEADS 4
#define OFF { 0 }
#define POS VD_AGENT_CONFIG_MONITORS_FLAG_USE_POS

static const PlanOutput unscaled[LIMIT_DISPLAYS];
static const PlanLimits limits = { .min_w = 320, .min_h = 200, .max_w = 8192, .max_h = 4096, .step = 1 };

typedef struct Head {
    int64_t w, h, x, y;
} Head;

static void check_plan(const Plan *plan, const Head *heads, uint32_t w, uint32_t h)
{
    for (size_t i = 0; i < plan->count; i++) {
        const PlanHead *head = &plan->head[i];
        CHECK_EQ(head->on, heads[i].w != 0);
        CHECK_EQ(head->w, heads[i].w);
        CHECK_EQ(head->h, heads[i].h);
        CHECK_EQ(head->x, heads[i].x);
        CHECK_EQ(head->y, heads[i].y);
    }
    CHECK_EQ(plan->w, w);
    CHECK_EQ(plan->h, h);
}

static const struct ClientCase {
    const char *name;
    uint32_t flags, count, step;
    Head asked[HEADS];
    PlanResult result;
    unsigned adjusted;
    Head wanted[HEADS];
    uint32_t w, h;
} client_cases[] = {
    { "one", 0, 1, 1, { { 801, 601, 0, 0 } }, PLAN_OK, 0, { { 801, 601, 0, 0 } }, 801, 601 },
    { "position without flag", 0, 1, 1, { { 801, 601, 7, 9 } }, PLAN_OK, 0, { { 801, 601, 0, 0 } }, 801, 601 },
    { "margin", POS, 1, 1, { { 800, 600, 7, 9 } }, PLAN_OK, PLAN_MOVED, { { 800, 600, 0, 0 } }, 800, 600 },
    { "row", 0, 3, 1, { { 800, 600, 0, 0 }, { 640, 480, 0, 0 }, { 1024, 768, 0, 0 } }, PLAN_OK, 0,
      { { 800, 600, 0, 0 }, { 640, 480, 800, 0 }, { 1024, 768, 1440, 0 } }, 2464, 768 },
    { "sparse", 0, 3, 1, { { 800, 600, 0, 0 }, OFF, { 1024, 768, 0, 0 } }, PLAN_OK, 0,
      { { 800, 600, 0, 0 }, OFF, { 1024, 768, 800, 0 } }, 1824, 768 },
    { "zero height", 0, 2, 1, { { 800, 600, 0, 0 }, { 800, 0, 0, 0 } }, PLAN_OK, 0, { { 800, 600, 0, 0 } }, 800, 600 },
    { "left and above", POS, 2, 1, { { 1280, 800, 0, 0 }, { 1024, 768, -1024, -100 } }, PLAN_OK, PLAN_MOVED,
      { { 1280, 800, 1024, 100 }, { 1024, 768, 0, 0 } }, 2304, 900 },
    { "gap kept", POS, 2, 1, { { 800, 600, 0, 0 }, { 800, 600, 1000, 0 } }, PLAN_OK, 0,
      { { 800, 600, 0, 0 }, { 800, 600, 1000, 0 } }, 1800, 600 },
    { "overlap", POS, 2, 1, { { 800, 600, 300, 0 }, { 800, 600, 0, 0 } }, PLAN_OK, PLAN_REPACKED,
      { { 800, 600, 800, 0 }, { 800, 600, 0, 0 } }, 1600, 600 },
    { "all at one place", POS, 2, 1, { { 800, 600, 0, 0 }, { 640, 480, 0, 0 } }, PLAN_OK, PLAN_REPACKED,
      { { 800, 600, 0, 0 }, { 640, 480, 800, 0 } }, 1440, 600 },
    { "far out", POS, 2, 1, { { 800, 600, 0, 0 }, { 800, 600, 20000, 0 } }, PLAN_OK, PLAN_REPACKED,
      { { 800, 600, 0, 0 }, { 800, 600, 800, 0 } }, 1600, 600 },
    { "ends of int", POS, 2, 1, { { 800, 600, INT32_MIN, INT32_MIN }, { 800, 600, INT32_MAX, INT32_MAX } }, PLAN_OK,
      PLAN_MOVED | PLAN_REPACKED, { { 800, 600, 0, 0 }, { 800, 600, 800, 0 } }, 1600, 600 },
    { "nothing on", POS, 2, 1, { OFF, { 0, 600, 0, 0 } }, PLAN_NOTHING_ON, 0, { OFF }, 0, 0 },
    { "no monitor", POS, 0, 1, { OFF }, PLAN_NOTHING_ON, 0, { OFF }, 0, 0 },
    { "largest numbers", 0, 1, 1, { { UINT32_MAX, UINT32_MAX, 0, 0 } }, PLAN_OK, PLAN_CLAMPED, { { 8192, 4096, 0, 0 } },
      8192, 4096 },
    { "tiny", 0, 1, 1, { { 1, 1, 0, 0 } }, PLAN_OK, PLAN_CLAMPED, { { 320, 200, 0, 0 } }, 320, 200 },
    { "too wide together", 0, 2, 1, { { 8000, 600, 0, 0 }, { 800, 600, 0, 0 } }, PLAN_TOO_LARGE, 0, { OFF }, 0, 0 },
    { "just fits", 0, 2, 1, { { 7392, 600, 0, 0 }, { 800, 600, 0, 0 } }, PLAN_OK, 0,
      { { 7392, 600, 0, 0 }, { 800, 600, 7392, 0 } }, 8192, 600 },
    { "coarse widths", 0, 2, 8, { { 1366, 768, 0, 0 }, { 801, 601, 0, 0 } }, PLAN_OK, 0,
      { { 1360, 768, 0, 0 }, { 800, 601, 1360, 0 } }, 2160, 768 },
};

static void test_client(void)
{
    for (size_t c = 0; c < sizeof client_cases / sizeof *client_cases; c++) {
        const struct ClientCase *row = &client_cases[c];
        VdagentMonitors monitors = { .count = row->count, .flags = row->flags };
        PlanLimits bounds = limits;
        bounds.step = row->step;
        for (size_t i = 0; i < row->count; i++) {
            monitors.monitor[i].width = (uint32_t) row->asked[i].w;
            monitors.monitor[i].height = (uint32_t) row->asked[i].h;
            monitors.monitor[i].x = (int32_t) row->asked[i].x;
            monitors.monitor[i].y = (int32_t) row->asked[i].y;
        }
        Plan plan = { .count = 99 };
        unsigned adjusted = 0;
        check_case("client: %s", row->name);
        CHECK_EQ(plan_client(&bounds, HEADS, unscaled, &monitors, &plan, &adjusted), row->result);
        if (row->result != PLAN_OK) {
            CHECK_EQ(plan.count, 99);
            continue;
        }
        CHECK_EQ(adjusted, row->adjusted);
        check_plan(&plan, row->wanted, row->w, row->h);
    }
}

static void test_client_bounds(void)
{
    VdagentMonitors monitors = { .count = LIMIT_DISPLAYS };
    Plan plan;
    unsigned adjusted = 0;
    check_case("more monitors than outputs");
    for (size_t i = 0; i < LIMIT_DISPLAYS; i++) {
        monitors.monitor[i].width = 400;
        monitors.monitor[i].height = 300;
        monitors.monitor[i].width_mm = (uint16_t) (100 + i);
        monitors.monitor[i].height_mm = 80;
    }
    CHECK_EQ(plan_client(&limits, 2, unscaled, &monitors, &plan, &adjusted), PLAN_OK);
    CHECK_EQ(adjusted, PLAN_IGNORED);
    CHECK_EQ(plan.count, 2);
    CHECK_EQ(plan.w, 800);
    CHECK_EQ(plan.head[1].width_mm, 101);
    CHECK_EQ(plan.head[1].height_mm, 80);
    check_case("as many as there can be");
    CHECK_EQ(plan_client(&limits, LIMIT_DISPLAYS, unscaled, &monitors, &plan, &adjusted), PLAN_OK);
    CHECK_EQ(plan.w, 6400);
    check_case("far out, at a scale that makes it more");
    const PlanOutput enlarged[2] = { { .scale = 0.5 }, { .scale = 0.5 } };
    monitors = (VdagentMonitors){ .count = 2, .flags = POS,
                                  .monitor = { { .width = 400, .height = 300, .x = INT32_MAX, .y = INT32_MIN },
                                               { .width = 400, .height = 300, .x = INT32_MIN, .y = INT32_MAX } } };
    CHECK_EQ(plan_client(&limits, 2, enlarged, &monitors, &plan, &adjusted), PLAN_OK);
    CHECK(adjusted & PLAN_REPACKED);
    CHECK_EQ(plan.head[0].x, 800);
    CHECK_EQ(plan.head[1].x, 0);
    check_case("no output");
    CHECK_EQ(plan_client(&limits, 0, unscaled, &monitors, &plan, &adjusted), PLAN_NOTHING_ON);
}

#define OUT(cx, cy, cw, ch) .connected = true, .on = true, .x = cx, .y = cy, .w = cw, .h = ch, .mode_w = cw, .mode_h = ch
#define PREFERS(pw, ph) .preferred_w = pw, .preferred_h = ph

static const struct FollowCase {
    const char *name;
    PlanOutput output[HEADS];
    PlanResult result;
    Head wanted[HEADS];
    uint32_t w, h;
    bool current;
} follow_cases[] = {
    { "nothing new", { { OUT(0, 0, 800, 600), PREFERS(1024, 768) } }, PLAN_OK, { { 800, 600, 0, 0 } }, 800, 600, true },
    { "resized", { { OUT(0, 0, 800, 600), PREFERS(1024, 768), .resized = true } }, PLAN_OK, { { 1024, 768, 0, 0 } },
      1024, 768, false },
    { "somebody did it", { { OUT(0, 0, 1024, 768), PREFERS(1024, 768), .resized = true } }, PLAN_OK,
      { { 1024, 768, 0, 0 } }, 1024, 768, true },
    { "resized while off", { { OUT(0, 0, 800, 600) }, { .connected = true, PREFERS(640, 480), .resized = true } },
      PLAN_OK, { { 800, 600, 0, 0 } }, 800, 600, true },
    { "left one grows", { { OUT(0, 0, 800, 600), PREFERS(1024, 768), .resized = true }, { OUT(800, 0, 640, 480) } },
      PLAN_OK, { { 1024, 768, 0, 0 }, { 640, 480, 1024, 0 } }, 1664, 768, false },
    { "left one shrinks", { { OUT(0, 0, 800, 600), PREFERS(640, 480), .resized = true }, { OUT(800, 0, 640, 480) } },
      PLAN_OK, { { 640, 480, 0, 0 }, { 640, 480, 640, 0 } }, 1280, 480, false },
    { "order is that of the places", { { OUT(800, 0, 800, 600), PREFERS(1024, 768), .resized = true },
      { OUT(0, 0, 800, 600) } }, PLAN_OK, { { 1024, 768, 800, 0 }, { 800, 600, 0, 0 } }, 1824, 768, false },
    { "connected", { { OUT(0, 0, 800, 600) }, { .connected = true, PREFERS(640, 480), .plugged = true } }, PLAN_OK,
      { { 800, 600, 0, 0 }, { 640, 480, 800, 0 } }, 1440, 600, false },
    { "connected, left of another in number", { { .connected = true, PREFERS(640, 480), .plugged = true },
      { OUT(0, 0, 800, 600) } }, PLAN_OK, { { 640, 480, 800, 0 }, { 800, 600, 0, 0 } }, 1440, 600, false },
    { "connected and set by somebody", { { OUT(0, 0, 800, 600) }, { OUT(800, 0, 320, 240), PREFERS(640, 480),
      .plugged = true } }, PLAN_OK, { { 800, 600, 0, 0 }, { 320, 240, 800, 0 } }, 1120, 600, true },
    { "connected without a mode", { { OUT(0, 0, 800, 600) }, { .connected = true, .plugged = true } }, PLAN_OK,
      { { 800, 600, 0, 0 } }, 800, 600, true },
    { "disconnected", { { .on = true, .w = 800, .h = 600, .mode_w = 800, .mode_h = 600, .plugged = true }, { OUT(800, 0, 640, 480) } }, PLAN_OK,
      { OFF, { 640, 480, 0, 0 } }, 640, 480, false },
    { "the last one disconnected", { { .on = true, .w = 800, .h = 600, .mode_w = 800, .mode_h = 600, .plugged = true } }, PLAN_NOTHING_ON, { OFF },
      0, 0, false },
    { "on without a connection", { { .on = true, .w = 800, .h = 600, .mode_w = 800, .mode_h = 600 } }, PLAN_OK, { { 800, 600, 0, 0 } }, 800, 600,
      true },
    { "set by somebody, overlapping", { { OUT(0, 0, 1024, 768), PREFERS(1024, 768), .resized = true },
      { OUT(800, 0, 640, 480) } }, PLAN_OK, { { 1024, 768, 0, 0 }, { 640, 480, 1024, 0 } }, 1664, 768, false },
    { "mirrors stay", { { OUT(0, 0, 800, 600), PREFERS(800, 600), .resized = true }, { OUT(0, 0, 800, 600) } }, PLAN_OK,
      { { 800, 600, 0, 0 }, { 800, 600, 0, 0 } }, 800, 600, true },
    { "gap of somebody stays", { { OUT(0, 0, 800, 600), PREFERS(800, 600), .resized = true },
      { OUT(900, 50, 800, 600) } }, PLAN_OK, { { 800, 600, 0, 0 }, { 800, 600, 900, 50 } }, 1700, 650, true },
    { "too large", { { OUT(0, 0, 800, 600), PREFERS(9000, 600), .resized = true } }, PLAN_TOO_LARGE, { OFF }, 0, 0,
      false },
};

static void test_follow(void)
{
    for (size_t c = 0; c < sizeof follow_cases / sizeof *follow_cases; c++) {
        const struct FollowCase *row = &follow_cases[c];
        Plan plan = { .count = 99 };
        check_case("follow: %s", row->name);
        CHECK_EQ(plan_follow(&limits, HEADS, row->output, &plan), row->result);
        if (row->result != PLAN_OK) {
            CHECK_EQ(plan.count, 99);
            continue;
        }
        check_plan(&plan, row->wanted, row->w, row->h);
        CHECK_EQ(plan_is_current(&plan, row->output), row->current);
    }
}

static void test_follow_scale(void)
{
    const PlanOutput large[] = { { OUT(0, 0, 800, 600), PREFERS(1600, 1200), .resized = true, .new_scale = 2 },
                                 { OUT(800, 0, 640, 480) } };
    const PlanOutput same[] = { { OUT(0, 0, 800, 600), PREFERS(800, 600), .new_scale = 2 }, { OUT(800, 0, 640, 480) } };
    Plan plan;
    check_case("a new size and scale");
    CHECK_EQ(plan_follow(&limits, 2, large, &plan), PLAN_OK);
    CHECK(plan.head[0].mode_w == 1600 && plan.head[0].w == 800 && plan.head[0].scale == 2);
    CHECK_EQ(plan.head[1].x, 800);
    check_case("a new scale");
    CHECK_EQ(plan_follow(&limits, 2, same, &plan), PLAN_OK);
    CHECK(plan.head[0].mode_w == 800 && plan.head[0].w == 400 && plan.head[0].scale == 2);
    CHECK_EQ(plan.head[1].x, 400);
    CHECK(!plan_is_current(&plan, same));
}

/* Where users make none, a gap is closed. */
static void test_follow_joined(void)
{
    PlanLimits joined = limits;
    const PlanOutput apart[] = { { OUT(0, 0, 800, 600), PREFERS(800, 600), .resized = true }, { OUT(900, 50, 800, 600) } };
    const PlanOutput below[] = { { OUT(0, 0, 800, 600), PREFERS(800, 600), .resized = true }, { OUT(50, 600, 800, 600) } };
    Plan plan;
    joined.joined = true;
    check_case("a gap is closed");
    CHECK_EQ(plan_follow(&joined, 2, apart, &plan), PLAN_OK);
    CHECK_EQ(plan.head[1].x, 800);
    CHECK_EQ(plan.head[1].y, 0);
    CHECK_EQ(plan.w, 1600);
    check_case("no gap, so it stays");
    CHECK_EQ(plan_follow(&joined, 2, below, &plan), PLAN_OK);
    CHECK(plan_is_current(&plan, below));
}

static const struct JoinCase {
    const char *name;
    Head planned[HEADS], wanted[HEADS];
    uint32_t w, h;
} join_cases[] = {
    { "one", { { 800, 600, 0, 0 } }, { { 800, 600, 0, 0 } }, 800, 600 },
    { "side by side, with one off", { { 800, 600, 0, 0 }, OFF, { 640, 480, 800, 120 } },
      { { 800, 600, 0, 0 }, OFF, { 640, 480, 800, 120 } }, 1440, 600 },
    { "one above the other", { { 800, 600, 0, 480 }, { 640, 480, 799, 0 } },
      { { 800, 600, 0, 480 }, { 640, 480, 799, 0 } }, 1439, 1080 },
    { "corners", { { 800, 600, 0, 0 }, { 640, 480, 800, 600 } }, { { 800, 600, 0, 0 }, { 640, 480, 800, 0 } }, 1440,
      600 },
    { "gap", { { 800, 600, 900, 0 }, { 800, 600, 0, 0 } }, { { 800, 600, 800, 0 }, { 800, 600, 0, 0 } }, 1600, 600 },
    { "two pairs", { { 800, 600, 0, 0 }, { 800, 600, 800, 0 }, { 800, 600, 1700, 0 }, { 800, 600, 2500, 0 } },
      { { 800, 600, 0, 0 }, { 800, 600, 800, 0 }, { 800, 600, 1600, 0 }, { 800, 600, 2400, 0 } }, 3200, 600 },
    { "overlap", { { 800, 600, 0, 0 }, { 800, 600, 799, 0 } }, { { 800, 600, 0, 0 }, { 800, 600, 800, 0 } }, 1600,
      600 },
    { "mirrors and a third one", { { 800, 600, 0, 0 }, { 800, 600, 0, 0 }, { 640, 480, 800, 0 } },
      { { 800, 600, 0, 0 }, { 800, 600, 0, 0 }, { 640, 480, 800, 0 } }, 1440, 600 },
    { "mirrors away from a third one", { { 800, 600, 0, 0 }, { 800, 600, 0, 0 }, { 640, 480, 900, 0 } },
      { { 800, 600, 0, 0 }, { 800, 600, 800, 0 }, { 640, 480, 1600, 0 } }, 2240, 600 },
    { "margin", { { 800, 600, 10, 0 }, { 640, 480, 810, 0 } }, { { 800, 600, 0, 0 }, { 640, 480, 800, 0 } }, 1440, 600 },
    { "far out", { { 800, 600, 0, 0 }, { 640, 480, INT32_MAX, INT32_MIN } },
      { { 800, 600, 0, 0 }, { 640, 480, 800, 0 } }, 1440, 600 },
};

static void test_join(void)
{
    for (size_t c = 0; c < sizeof join_cases / sizeof *join_cases; c++) {
        const struct JoinCase *row = &join_cases[c];
        Plan plan = { .count = HEADS };
        for (size_t i = 0; i < HEADS; i++) {
            const Head *head = &row->planned[i];
            if (head->w != 0)
                plan.head[i] = (PlanHead){ .on = true, .w = (uint32_t) head->w, .h = (uint32_t) head->h,
                                           .x = (int32_t) head->x, .y = (int32_t) head->y };
        }
        check_case("join: %s", row->name);
        CHECK(plan_join(&limits, &plan));
        check_plan(&plan, row->wanted, row->w, row->h);
    }
    Plan plan = { .count = 2, .head = { { .on = true, .w = 8000, .h = 600 }, { .on = true, .w = 800, .h = 600 } } };
    check_case("join: too large");
    CHECK(!plan_join(&limits, &plan));
}

static void test_scale(void)
{
    static const struct {
        uint32_t pixels, mm;
        double scale;
    } rows[] = {
        { 1920, 531, 1 },    /* 92 dpi, 24 inches */
        { 2560, 597, 1 },    /* 109 */
        { 3840, 597, 1.75 }, /* 163, 27 inches */
        { 2880, 331, 2.25 }, /* 221, a notebook */
        { 1920, 0, 0 },      { 1920, 65535, 0 }, { 1920, 1, 0 }, { 0, 300, 0 },
    };
    check_case("scale by resolution");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK(plan_scale(rows[i].pixels, rows[i].mm) == rows[i].scale);

    PlanLimits bounds = limits;
    VdagentMonitors monitors = { .flags = POS, .count = 2 };
    monitors.monitor[0] = (VdagentMonitor){ .width = 3840, .height = 2160, .width_mm = 480, .height_mm = 270 };
    monitors.monitor[1] = (VdagentMonitor){ .width = 1920, .height = 1080, .x = 3840, .width_mm = 531 };
    PlanOutput outputs[2] = { { .scale = 1.5 }, { .scale = 1.5 } };
    Plan plan;
    unsigned adjusted;
    check_case("scales are kept");
    CHECK_EQ(plan_client(&bounds, 2, outputs, &monitors, &plan, &adjusted), PLAN_OK);
    check_plan(&plan, (Head[]){ { 2560, 1440, 0, 0 }, { 1280, 720, 2560, 0 } }, 3840, 1440);
    CHECK_EQ(plan.head[0].mode_w, 3840);
    check_case("scales by the client's monitors, which differ");
    bounds.auto_scale = true;
    CHECK_EQ(plan_client(&bounds, 2, outputs, &monitors, &plan, &adjusted), PLAN_OK);
    CHECK_EQ(adjusted, PLAN_REPACKED);
    check_plan(&plan, (Head[]){ { 1920, 1080, 0, 0 }, { 1920, 1080, 1920, 0 } }, 3840, 1080);
    CHECK(plan.head[0].scale == 2 && plan.head[1].scale == 1);
    check_case("rectangles in pixels, whatever the scale");
    bounds.pixels = true;
    CHECK_EQ(plan_client(&bounds, 2, outputs, &monitors, &plan, &adjusted), PLAN_OK);
    CHECK_EQ(adjusted, 0);
    check_plan(&plan, (Head[]){ { 3840, 2160, 0, 0 }, { 1920, 1080, 3840, 0 } }, 5760, 2160);
    CHECK(plan.head[0].scale == 2 && plan.head[1].scale == 1);
    bounds.pixels = false;
    CHECK_EQ(plan_client(&bounds, 2, outputs, &monitors, &plan, &adjusted), PLAN_OK);
    check_case("current although a size was rounded");
    PlanOutput now[2] = { { .connected = true, .on = true, .w = 1921, .h = 1080, .mode_w = 3840, .mode_h = 2160,
                            .scale = 2 },
                          { .connected = true, .on = true, .x = 1921, .w = 1920, .h = 1080, .mode_w = 1920,
                            .mode_h = 1080, .scale = 1 } };
    CHECK(plan_is_current(&plan, now));
    now[1].x = 1930;
    CHECK(!plan_is_current(&plan, now));
}

int main(void)
{
    test_client();
    test_client_bounds();
    test_follow();
    test_follow_scale();
    test_follow_joined();
    test_join();
    test_scale();
    return check_done();
}
