/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "caps.h"
#include "check.h"

#include <spice/vd_agent.h>

#define BITS (32 * LIMIT_CAPS_WORDS)

static void test_each(void)
{
    for (unsigned cap = 0; cap < BITS; cap++) {
        Caps caps = { 0 };

        check_case("capability %u", cap);
        CHECK(!caps_has(&caps, cap));
        CHECK_EQ(caps_words(&caps), 1);
        caps_add(&caps, cap);
        caps_add(&caps, cap);
        CHECK_EQ(caps_words(&caps), cap / 32 + 1);
        for (unsigned other = 0; other < BITS; other++)
            CHECK_EQ(caps_has(&caps, other), other == cap);
    }
}

static void test_beyond(void)
{
    Caps all;

    memset(&all, 0xff, sizeof(all));
    check_case("beyond the set");
    CHECK(caps_has(&all, BITS - 1));
    CHECK(!caps_has(&all, BITS));
    CHECK(!caps_has(&all, BITS + 31));
    CHECK(!caps_has(&all, UINT32_MAX));
    CHECK_EQ(caps_words(&all), LIMIT_CAPS_WORDS);
}

static void test_sets(void)
{
    const unsigned list_a[] = { 0, 5, 31, 32, 255 }, list_b[] = { 5, 6, 255 };
    const unsigned both[] = { 5, 255 }, either[] = { 0, 5, 6, 31, 32, 255 };
    Caps a = caps_of(list_a, 5), b = caps_of(list_b, 3), none = caps_of(NULL, 0);
    Caps expected_both = caps_of(both, 2), expected_union = caps_of(either, 6), result;

    check_case("sets");
    for (unsigned cap = 0; cap < BITS; cap++) {
        CHECK_EQ(caps_has(&b, cap), cap == 5 || cap == 6 || cap == 255);
        CHECK(!caps_has(&none, cap));
    }
    result = caps_both(&a, &b);
    CHECK(caps_equal(&result, &expected_both));
    result = caps_union(&a, &b);
    CHECK(caps_equal(&result, &expected_union));
    result = caps_both(&a, &none);
    CHECK(caps_equal(&result, &none));
    result = caps_union(&none, &b);
    CHECK(caps_equal(&result, &b));
    CHECK(!caps_equal(&a, &b));
    CHECK(!caps_equal(&expected_both, &b));
}

static void test_names(void)
{
    check_case("names");
    CHECK_STR(caps_name(VD_AGENT_CAP_MOUSE_STATE), "mouse-state");
    CHECK_STR(caps_name(VD_AGENT_CAP_CLIPBOARD_BY_DEMAND), "clipboard-by-demand");
    CHECK_STR(caps_name(VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL), "clipboard-grab-serial");
    CHECK_STR(caps_name(VD_AGENT_END_CAP), NULL);
    CHECK_STR(caps_name(UINT32_MAX), NULL);
    for (unsigned cap = 0; cap < VD_AGENT_END_CAP; cap++) {
        check_case("name of %u", cap);
        CHECK(caps_name(cap) != NULL && caps_name(cap)[0] != '\0');
        for (unsigned other = 0; other < cap; other++)
            CHECK(strcmp(caps_name(cap), caps_name(other)) != 0);
    }
}

int main(void)
{
    test_each();
    test_beyond();
    test_sets();
    test_names();
    return check_done();
}
