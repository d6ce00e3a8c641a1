/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "latin1.h"

static const struct {
    const char *utf8, *latin1;
} cases[] = {
    { "", "" },
    { "plain\r\n\t", "plain\r\n\t" },
    { "caf\xc3\xa9", "caf\xe9" },
    { "\xc2\x80\xc2\xbf\xc3\x80\xc3\xbf", "\x80\xbf\xc0\xff" },
    { "\xe2\x82\xac 5", "? 5" },                 /* three bytes */
    { "\xf0\x9f\x98\x80!", "?!" },               /* four */
    { "\xc4\x80", "?" },                         /* the first that Latin-1 has not */
    { "a\x80\x80z", "a?z" },                     /* not UTF-8 from here on */
    { "\xc3", "?" },
    { "\xc3(", "?(" },
    { "\xc1\x81", "?" },
    { "\xe2\x82", "?" },
    { "\xff\xfe", "??" },
};

int main(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        check_case("case %zu", i);
        GByteArray *text = g_byte_array_new();
        g_byte_array_append(text, (const guint8 *) cases[i].utf8, strlen(cases[i].utf8));
        latin1_from_utf8(text);
        CHECK(text->len == strlen(cases[i].latin1));
        CHECK(text->len == 0 || memcmp(text->data, cases[i].latin1, text->len) == 0);
        g_byte_array_unref(text);
    }
    guint8 all[256];
    for (guint i = 0; i < sizeof all; i++)
        all[i] = i;
    GByteArray *utf8 = g_byte_array_new();
    check_case("nothing");
    CHECK(latin1_to_utf8(utf8, 0) && utf8->len == 0);
    check_case("all characters, one too many");
    g_byte_array_append(utf8, all, sizeof all);
    CHECK(!latin1_to_utf8(utf8, sizeof all + 127));
    CHECK(utf8->len == sizeof all && memcmp(utf8->data, all, sizeof all) == 0);
    check_case("all characters");
    CHECK(latin1_to_utf8(utf8, sizeof all + 128));
    CHECK(utf8->len == 128 + 2 * 128);
    CHECK(g_utf8_validate_len((const char *) utf8->data + 1, utf8->len - 1, NULL)); /* NUL is not text to GLib */
    latin1_from_utf8(utf8);
    CHECK(utf8->len == sizeof all && memcmp(utf8->data, all, sizeof all) == 0);
    g_byte_array_unref(utf8);
    return check_done();
}
