/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* latin1.h - text of the X target STRING, which is ISO 8859-1. Any bytes are accepted. */
#ifndef LATIN1_H
#define LATIN1_H

#include <glib.h>

/* UTF-8 to Latin-1 in place. What Latin-1 has not, and what is not UTF-8, becomes a question mark. */
void latin1_from_utf8(GByteArray *text);

/* Latin-1 to UTF-8 in place, up to twice the size. FALSE, with nothing done, if it would grow beyond `limit`. */
gboolean latin1_to_utf8(GByteArray *text, gsize limit);

#endif
