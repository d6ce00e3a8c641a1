/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Input: the names under which a program offers its content, one a line, and then a content. */
#include "fuzz.h"
#include "mime.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MimeOffer offer = { 0 };
    MimeForm form = MIME_FORM_RAW;
    const uint8_t *line;
    while ((line = memchr(data, '\n', size)) != NULL) {
        g_autofree char *name = g_strndup((const char *) data, line - data);
        guint32 type = mime_type(name, &form), before = offer.types;
        mime_offer_add(&offer, name);
        FUZZ_CHECK(type == 0 || (offer.types & 1u << type) != 0);
        FUZZ_CHECK(type != 0 || offer.types == before);
        size -= line + 1 - data;
        data = line + 1;
    }
    FUZZ_CHECK((offer.types & ~SELECTION_ALL) == 0);
    for (guint32 type = 1; type < SELECTION_TYPES; type++) {
        if (offer.types & 1u << type)
            FUZZ_CHECK(mime_type(offer.best[type], &form) == type);
    }
    GByteArray *content = g_byte_array_new();
    g_byte_array_append(content, data, size);
    g_autoptr(GBytes) value = mime_decode(form, content, 2 * size);
    FUZZ_CHECK(g_bytes_get_size(value) >= size && g_bytes_get_size(value) <= 2 * size);
    return 0;
}
