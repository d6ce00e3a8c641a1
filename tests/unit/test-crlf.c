/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "crlf.h"

static const struct {
    const char *crlf, *lf;
} cases[] = {
    { "", "" },
    { "plain", "plain" },
    { "\n", "\n" },
    { "\r\n", "\n" },
    { "\r", "\r" },
    { "\r\r", "\r\r" },
    { "\r\r\n", "\r\n" },
    { "\n\r", "\n\r" },
    { "a\r\nb\r\n", "a\nb\n" },
    { "a\rb\r\n\r\nc\r", "a\rb\n\nc\r" },
};

/* Each text in three pieces, cut at all places. */
int main(void)
{
    g_autoptr(GByteArray) text = g_byte_array_new();
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        const guint8 *whole = (const guint8 *) cases[i].crlf;
        gsize size = strlen(cases[i].crlf);
        for (gsize a = 0; a <= size; a++) {
            for (gsize b = a; b <= size; b++) {
                check_case("case %zu cut at %zu and %zu", i, a, b);
                g_byte_array_set_size(text, 0);
                gboolean held = crlf_to_lf(text, whole, a, FALSE, FALSE);
                held = crlf_to_lf(text, whole + a, b - a, held, FALSE);
                CHECK(!crlf_to_lf(text, whole + b, size - b, held, TRUE));
                CHECK(text->len == strlen(cases[i].lf));
                CHECK(text->len == 0 || memcmp(text->data, cases[i].lf, text->len) == 0);
            }
        }
    }
    return check_done();
}
