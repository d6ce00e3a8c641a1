/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pointer engine by text cases, tests/unit/pointer/NAME.t. A case is a line with its name, lines of what goes in,
 * an empty line and what comes out, one line per report of a device: A is the absolute one, R the relative one.
 *
 *   # name
 *   state DISPLAY X Y [BUTTONS [WHEEL [HWHEEL]]]   BUTTONS: letters of lmrsefb, - for none
 *   nowhere [BUTTONS [WHEEL [HWHEEL]]]             a state without a position
 *   motion DX DY [BUTTONS [WHEEL [HWHEEL]]] [* TIMES]
 *   buttons SET                                    a state without a position, of any 16 bits
 *   release, hello, credit                         frames of these types
 *   flush
 *   layout single|two|none                         a display of 1000x1000, two side by side, nothing
 *   count frames|coalesced|unknown NUMBER          what a counter is now
 */
#include "check.h"
#include "pointer.h"

#include <glib.h>
#include <linux/input-event-codes.h>

static const struct {
    uint16_t type, code;
    const char *name;
} codes[] = {
    { EV_ABS, ABS_X, "x" },
    { EV_ABS, ABS_Y, "y" },
    { EV_REL, REL_X, "dx" },
    { EV_REL, REL_Y, "dy" },
    { EV_REL, REL_WHEEL, "wheel" },
    { EV_REL, REL_WHEEL_HI_RES, "wheel_hi" },
    { EV_REL, REL_HWHEEL, "hwheel" },
    { EV_REL, REL_HWHEEL_HI_RES, "hwheel_hi" },
    { EV_KEY, BTN_LEFT, "left" },
    { EV_KEY, BTN_MIDDLE, "middle" },
    { EV_KEY, BTN_RIGHT, "right" },
    { EV_KEY, BTN_SIDE, "side" },
    { EV_KEY, BTN_EXTRA, "extra" },
    { EV_KEY, BTN_FORWARD, "forward" },
    { EV_KEY, BTN_BACK, "back" },
};

/* Append the events; each report is a line, and each call must end with one. */
static void print(GString *out, const PointerStep *steps, size_t count)
{
    CHECK(count <= POINTER_STEPS_MAX);
    for (size_t i = 0; i < count; i++) {
        bool first = i == 0 || steps[i - 1].type == EV_SYN;
        size_t code = 0;

        if (steps[i].type == EV_SYN) {
            CHECK(!first && steps[i].code == SYN_REPORT && steps[i].value == 0);
            CHECK_EQ(steps[i].relative, steps[i - 1].relative);
            g_string_append(out, "\n");
            continue;
        }
        if (first) {
            g_string_append_c(out, steps[i].relative ? 'R' : 'A');
        } else {
            CHECK_EQ(steps[i].relative, steps[i - 1].relative);
        }
        while (code < G_N_ELEMENTS(codes) && (codes[code].type != steps[i].type || codes[code].code != steps[i].code)) {
            code++;
        }
        CHECK(code < G_N_ELEMENTS(codes));
        g_string_append_printf(out, " %s=%d", code < G_N_ELEMENTS(codes) ? codes[code].name : "?", steps[i].value);
    }
    CHECK(count == 0 || steps[count - 1].type == EV_SYN);
}

static uint16_t buttons(const char *letters)
{
    static const char order[] = "lmrsefb";
    uint16_t set = 0;

    for (; *letters && *letters != '-'; letters++) {
        const char *at = strchr(order, *letters);

        CHECK(at != NULL);
        set |= (uint16_t)(1 << (at ? at - order : 15));
    }
    return set;
}

static void set_layout(Pointer *pointer, const char *name)
{
    Layout layout = layout_single(1000, 1000);

    if (strcmp(name, "two") == 0) {
        layout.display[1] = layout.display[0];
        layout.display[1].x = 1000;
        layout_fit_box(&layout);
    } else if (strcmp(name, "none") == 0) {
        layout = (Layout){ .box_w = 0 };
    } else {
        CHECK_STR(name, "single");
    }
    pointer_set_layout(pointer, &layout);
}

static void check_count_of(const Pointer *pointer, const char *name, const char *value)
{
    uint64_t count = strcmp(name, "frames") == 0      ? pointer->frames
                     : strcmp(name, "coalesced") == 0 ? pointer->coalesced
                                                      : pointer->unknown_display;

    CHECK_EQ(count, atoll(value));
}

static void run_line(Pointer *pointer, const char *line, GString *out)
{
    g_auto(GStrv) word = g_strsplit(line, " ", -1);
    guint words = g_strv_length(word), times = 1, rest = words;
    PvmouseFrame frame = { .type = PVMOUSE_STATE };
    PointerStep steps[POINTER_STEPS_MAX];

    if (words >= 3 && strcmp(word[words - 2], "*") == 0) {
        times = (guint)atoi(word[words - 1]);
        words -= 2;
    }
    if (strcmp(word[0], "flush") == 0) {
        print(out, steps, pointer_flush(pointer, steps));
        return;
    }
    if (strcmp(word[0], "layout") == 0) {
        set_layout(pointer, word[1]);
        return;
    }
    if (strcmp(word[0], "count") == 0) {
        check_count_of(pointer, word[1], word[2]);
        return;
    }
    if (strcmp(word[0], "state") == 0) {
        frame.display = (uint16_t)atoi(word[1]);
        frame.x = (uint16_t)atoi(word[2]);
        frame.y = (uint16_t)atoi(word[3]);
        rest = 4;
    } else if (strcmp(word[0], "nowhere") == 0) {
        frame.no_position = true;
        rest = 1;
    } else if (strcmp(word[0], "motion") == 0) {
        frame.type = PVMOUSE_MOTION;
        frame.dx = (int16_t)atoi(word[1]);
        frame.dy = (int16_t)atoi(word[2]);
        rest = 3;
    } else if (strcmp(word[0], "buttons") == 0) {
        frame.no_position = true;
        frame.buttons = (uint16_t)strtoul(word[1], NULL, 0);
    } else if (strcmp(word[0], "hello") == 0) {
        frame.type = PVMOUSE_HELLO;
    } else if (strcmp(word[0], "credit") == 0) {
        frame.type = PVMOUSE_CREDIT;
    } else {
        CHECK_STR(word[0], "release");
        frame.type = PVMOUSE_RELEASE;
    }
    if (rest < words) {
        frame.buttons = buttons(word[rest]);
    }
    if (rest + 1 < words) {
        frame.wheel = (int16_t)atoi(word[rest + 1]);
    }
    if (rest + 2 < words) {
        frame.hwheel = (int16_t)atoi(word[rest + 2]);
    }
    while (times-- > 0) {
        print(out, steps, pointer_feed(pointer, &frame, steps));
    }
}

static void run_file(const char *path)
{
    g_autofree char *text = NULL;

    CHECK(g_file_get_contents(path, &text, NULL, NULL));

    g_auto(GStrv) cases = g_strsplit(text ? text : "", "# ", -1);

    for (char **at = cases + 1; cases[0] && *at; at++) {
        char *in = strchr(*at, '\n'), *expected = strstr(*at, "\n\n");
        g_autoptr(GString) out = g_string_new(NULL);
        Pointer pointer;

        CHECK(in && expected);
        *in++ = '\0';
        check_case("%s: %s", path, *at);
        *expected = '\0';
        expected += 2;
        pointer_init(&pointer);

        g_auto(GStrv) lines = g_strsplit(in, "\n", -1);

        for (char **line = lines; *line; line++) {
            run_line(&pointer, *line, out);
        }
        g_strchomp(expected);
        g_strchomp(out->str);
        CHECK_STR(out->str, expected);
    }
}

/* Frames of any kind in any order: never more steps than promised, whatever is held back and pressed where. */
static void test_bound(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(1);
    g_autoptr(GString) out = g_string_new(NULL);
    PointerStep steps[POINTER_STEPS_MAX];
    Layout layout = layout_single(640, 480);
    size_t most = 0;
    Pointer pointer;

    check_case("%s", "bound");
    pointer_init(&pointer);
    for (int i = 0; i < 300000; i++) {
        PvmouseFrame frame = {
            .type = (PvmouseType)g_rand_int_range(random, 1, 6),
            .display = (uint16_t)g_rand_int_range(random, 0, 2),
            .x = (uint16_t)g_rand_int(random),
            .y = (uint16_t)g_rand_int(random),
            .no_position = g_rand_int_range(random, 0, 5) == 0,
            .dx = (int16_t)g_rand_int(random),
            .dy = (int16_t)g_rand_int(random),
            .buttons = g_rand_boolean(random) ? pointer.buttons : (uint16_t)g_rand_int(random),
            .wheel = g_rand_boolean(random) ? (int16_t)g_rand_int(random) : 0,
            .hwheel = g_rand_boolean(random) ? (int16_t)g_rand_int(random) : 0,
        };
        size_t count = pointer_feed(&pointer, &frame, steps);

        most = MAX(most, count);
        print(out, steps, count);
        if (g_rand_int_range(random, 0, 8) == 0) {
            print(out, steps, pointer_flush(&pointer, steps));
        }
        if (g_rand_int_range(random, 0, 100) == 0) {
            pointer_set_layout(&pointer, &layout);
        }
        g_string_truncate(out, 0);
    }
    CHECK(most > 15);
}

int main(void)
{
    g_autoptr(GDir) dir = g_dir_open(SOURCE_DIR "/tests/unit/pointer", 0, NULL);
    const char *name;

    CHECK(dir != NULL);
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(SOURCE_DIR "/tests/unit/pointer", name, NULL);

        run_file(path);
    }
    test_bound();
    return check_done();
}
