/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crlf.h - line ends of a text that comes in pieces: CR LF becomes LF, any other CR stays. */
#ifndef CRLF_H
#define CRLF_H

#include <glib.h>

/*
 * Append a piece to `text`. A CR at its end is held back unless it is the `last` piece; returns whether one is. `held`
 * is what was returned for the piece before, FALSE for the first.
 */
gboolean crlf_to_lf(GByteArray *text, const guint8 *data, gsize size, gboolean held, gboolean last);

#endif
