/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "latin1.h"

static gboolean continues(guint8 byte)
{
    return (byte & 0xc0) == 0x80;
}

void latin1_from_utf8(GByteArray *text)
{
    if (text->len == 0)
        return; /* there may be no memory at all */
    const guint8 *from = text->data, *end = text->data + text->len;
    guint8 *to = text->data;
    while (from < end) {
        guint8 byte = *from++;
        if (byte < 0x80) {
            *to++ = byte;
        } else if ((byte == 0xc2 || byte == 0xc3) && from < end && continues(*from)) {
            *to++ = (guint8) (byte << 6 | (*from++ & 0x3f));
        } else {
            *to++ = '?';
            while (from < end && continues(*from))
                from++;
        }
    }
    g_byte_array_set_size(text, to - text->data);
}

GByteArray *latin1_to_utf8(const guint8 *text, gsize size)
{
    gsize wide = 0;
    for (gsize i = 0; i < size; i++)
        wide += text[i] >> 7;
    GByteArray *result = g_byte_array_sized_new(size + wide);
    g_byte_array_set_size(result, size + wide);
    guint8 *to = result->data;
    for (gsize i = 0; i < size; i++) {
        if (text[i] < 0x80) {
            *to++ = text[i];
        } else {
            *to++ = 0xc0 | text[i] >> 6;
            *to++ = 0x80 | (text[i] & 0x3f);
        }
    }
    return result;
}
