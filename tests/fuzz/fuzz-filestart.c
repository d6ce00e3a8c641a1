/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Input: the keys of a FILE_XFER_START message. */
#include "filestart.h"
#include "fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *name = NULL;
    guint64 bytes = 0;

    if (size > LIMIT_MESSAGE || filestart_parse((const char *)data, size, &name, &bytes) != NULL) {
        FUZZ_CHECK(name == NULL);
        return 0;
    }
    FUZZ_CHECK(strlen(name) > 0 && strlen(name) <= LIMIT_FILE_NAME && strchr(name, '/') == NULL);
    FUZZ_CHECK(strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && g_utf8_validate(name, -1, NULL));
    FUZZ_CHECK(bytes <= G_MAXINT64);
    for (guint number = 0; number < 3; number++) {
        g_autofree char *other = filestart_alternative(name, number * 4711);
        FUZZ_CHECK(strlen(other) > 0 && strlen(other) <= LIMIT_FILE_NAME && g_utf8_validate(other, -1, NULL));
        FUZZ_CHECK(strchr(other, '/') == NULL && (number > 0 || strcmp(other, name) == 0));
    }
    return 0;
}
