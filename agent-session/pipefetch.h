/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pipefetch.h - gather values that programs write into pipes.
 *
 * A value is gathered whole, since its size must be known before its first byte can go to the SPICE client. It ends
 * when the pipe does: a program that dies in the middle cannot be told from one that is done. Never blocks.
 */
#ifndef PIPEFETCH_H
#define PIPEFETCH_H

#include "clipboard-backend.h"
#include "mime.h"

/* Fetches under way at a time; more are refused. */
#define PIPEFETCH_MAX 16u

typedef struct PipeFetch PipeFetch;

/* `timeout_ms` of silence end a fetch. */
PipeFetch *pipefetch_new(guint timeout_ms);

/* No fetch is called back. */
void pipefetch_free(PipeFetch *fetch);

/*
 * Read `fd`, the reading end of a pipe, to its end and close it. `limit` is for what all fetches under way have
 * gathered, and for the value. `fetched` gets the value of a form as it goes on the wire, SINK_EMPTY if it has no
 * bytes; it is called later, never from inside. FALSE if too many are under way; `fd` is closed then too.
 */
gboolean pipefetch_add(PipeFetch *fetch, int fd, MimeForm form, gsize limit, ClipboardFetched fetched, gpointer user);

/* Forget the fetches with this `user`; they are not called back. */
void pipefetch_cancel(PipeFetch *fetch, gpointer user);

#endif
