/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crlf.h"

#include <string.h>

static const guint8 cr = '\r';

gboolean crlf_to_lf(GByteArray *text, const guint8 *data, gsize size, gboolean held, gboolean last)
{
    while (size > 0) {
        if (held && *data != '\n')
            g_byte_array_append(text, &cr, 1);
        const guint8 *found = memchr(data, cr, size);
        gsize before = found != NULL ? (gsize) (found - data) : size;
        g_byte_array_append(text, data, before);
        held = found != NULL;
        data += before + held;
        size -= before + held;
    }
    if (held && last)
        g_byte_array_append(text, &cr, 1);
    return held && !last;
}
