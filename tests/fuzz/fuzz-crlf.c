/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Input: a text whose pieces are as long as its own bytes say. */
#include "crlf.h"
#include "fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GByteArray *text = g_byte_array_new(), *expected = g_byte_array_new();
    gboolean held = FALSE;

    for (size_t at = 0, part; at < size; at += part) {
        part = 1 + data[at] % 7;
        part = part < size - at ? part : size - at;
        held = crlf_to_lf(text, data + at, part, held, at + part == size);
    }
    FUZZ_CHECK(!held);
    for (size_t i = 0; i < size; i++) {
        if (data[i] != '\r' || i + 1 == size || data[i + 1] != '\n')
            g_byte_array_append(expected, data + i, 1);
    }
    FUZZ_CHECK(text->len == expected->len && (size == 0 || memcmp(text->data, expected->data, text->len) == 0));
    g_byte_array_unref(text);
    g_byte_array_unref(expected);
    return 0;
}
