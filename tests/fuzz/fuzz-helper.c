/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Input: a question to spice-agent-helper, or its answer. The words are all that has a zero behind it, in its order. */
#include "fuzz.h"
#include "helper.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    size_t at = 0;

    g_byte_array_append(bytes, data, (guint)size);
    g_autoptr(GPtrArray) words = helper_words(bytes);
    FUZZ_CHECK(words->len > 0 && words->pdata[words->len - 1] == NULL);
    for (guint i = 0; i + 1 < words->len; i++) {
        size_t length = strlen(words->pdata[i]) + 1;
        FUZZ_CHECK(length <= size - at && memcmp(words->pdata[i], data + at, length) == 0);
        at += length;
    }
    FUZZ_CHECK(memchr(data + at, 0, size - at) == NULL);
    return 0;
}
