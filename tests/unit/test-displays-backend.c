/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "displays-backend.h"

#include <string.h>

static int sign(int number)
{
    return (number > 0) - (number < 0);
}

static void compare(void)
{
    static const char *const order[] = {
        "DP-1",      "HDMI-A-1",   "HDMI-A-2",   "HDMI-B-1",    "HEADLESS-1", "Virtual-1", "Virtual-2",
        "Virtual-9", "Virtual-10", "Virtual-11", "Virtual-100", "eDP-1",      "output-38",
    };
    for (int i = 0; i < (int) G_N_ELEMENTS(order); i++) {
        for (int k = 0; k < (int) G_N_ELEMENTS(order); k++) {
            check_case("%s %s", order[i], order[k]);
            CHECK_EQ(sign(displays_output_compare(order[i], order[k])), sign(i - k));
        }
    }
}

static void name(void)
{
    static const struct {
        const char *given, *kept;
    } rows[] = {
        { "Virtual-1", "Virtual-1" },
        { "a b\n\x7f\xc3\xa9\xff", "a?b?????" },
        { "0123456789012345678901234567890123456789", "0123456789012345678901234567890" },
        { "", "" },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        char kept[LIMIT_CONNECTOR_NAME];
        check_case("name %zu", i);
        displays_output_name(rows[i].given, kept);
        CHECK_STR(kept, rows[i].kept);
    }
}

static void sideways(void)
{
    for (guint transform = 0; transform < 8; transform++) {
        check_case("transform %u", transform);
        CHECK_EQ(displays_output_sideways(transform), strchr("1357", '0' + (int) transform) != NULL);
    }
}

int main(void)
{
    compare();
    name();
    sideways();
    return check_done();
}
