/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Input: text as a program gives it for STRING, and as a client gives it for a program that wants STRING. */
#include "fuzz.h"
#include "latin1.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GByteArray *text = g_byte_array_new();
    g_byte_array_append(text, data, size);
    if (!latin1_to_utf8(text, size + size / 2))
        FUZZ_CHECK(text->len == size && memcmp(text->data, data, size) == 0 && latin1_to_utf8(text, 2 * size));
    FUZZ_CHECK(text->len >= size && text->len <= 2 * size);
    FUZZ_CHECK(memchr(data, 0, size) != NULL || g_utf8_validate_len((const char *) text->data, text->len, NULL));
    latin1_from_utf8(text);
    FUZZ_CHECK(text->len == size && (size == 0 || memcmp(text->data, data, size) == 0));
    g_byte_array_set_size(text, 0);
    g_byte_array_append(text, data, size);
    latin1_from_utf8(text);
    FUZZ_CHECK(text->len <= size);
    g_byte_array_unref(text);
    return 0;
}
