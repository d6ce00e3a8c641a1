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

gboolean latin1_to_utf8(GByteArray *text, gsize limit)
{
    gsize size = text->len, wide = 0;
    for (gsize i = 0; i < size; i++)
        wide += text->data[i] >> 7;
    if (wide == 0)
        return TRUE;
    if (size + wide > limit)
        return FALSE;
    g_byte_array_set_size(text, size + wide);
    /* From the end on, where there is room; they meet when the rest is ASCII. */
    const guint8 *from = text->data + size;
    guint8 *to = text->data + size + wide;
    while (from < to) {
        guint8 byte = *--from;
        if (byte < 0x80) {
            *--to = byte;
        } else {
            *--to = 0x80 | (byte & 0x3f);
            *--to = 0xc0 | byte >> 6;
        }
    }
    return TRUE;
}
