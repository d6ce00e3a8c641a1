/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * convert.h - makes the kind of image that somebody wants of the one that is there, by the program spice-agent-convert.
 *
 * The program is optional. It decodes images of unknown origin and has nothing but its input and output
 * (convert/main.c).
 */
#ifndef CONVERT_H
#define CONVERT_H

#include "clipboard-backend.h"

/* Conversions under way at a time, each with a value and an image in memory; more are refused. */
#define CONVERT_MAX 2u

typedef struct Convert Convert;

/* `program` is the path of the program; where there is none, nothing can be converted. `timeout_ms` of silence end it. */
Convert *convert_new(const char *program, guint timeout_ms);

/* No conversion is called back. */
void convert_free(Convert *convert);

/* These types, and all images if there is one among them and images can be converted. */
guint32 convert_widen(const Convert *convert, guint32 types);

/* The type among `types` of which to make `wanted`, the one with most of the picture; 0: none. */
guint32 convert_source(guint32 types, guint32 wanted);

/*
 * Convert `value`; at most `limit` bytes. `done` is called later, never from inside: SINK_DONE, SINK_EMPTY when it is no
 * such image, SINK_TIMEOUT, SINK_REFUSED when the result is too large. FALSE if too many are under way, or the program
 * does not run.
 */
gboolean convert_run(Convert *convert, GBytes *value, guint32 from, guint32 to, gsize limit, ClipboardFetched done,
                     gpointer user);

/* Forget the conversions with this `user`; they are not called back. */
void convert_cancel(Convert *convert, gpointer user);

#endif
