/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pipepaste.h - give selection content to programs that paste, by pipes that they read.
 *
 * A value goes to the pipe as it comes, at the reader's pace: what waits here is less than PIPEPASTE_CHUNK and one
 * piece, and more only for a reader that pauses, as far as inflow.h goes on then. A pipe can only end: for its reader
 * a value that breaks off looks whole, unless `pasted` has a way to say so. SIGPIPE must be ignored, as GLib does with
 * its first socket. Never blocks.
 */
#ifndef PIPEPASTE_H
#define PIPEPASTE_H

#include "clipboard-backend.h"
#include "mime.h"

#define PIPEPASTE_CHUNK 65536u
/* Pastes under way at a time; more get nothing. */
#define PIPEPASTE_MAX 64u

typedef struct PipePaste PipePaste;

/* The pipe of a paste has been closed, with all of the value in it or not. */
typedef void (*PipePasted)(guint32 serial, gboolean whole, gpointer user);

/*
 * A reader that takes nothing for `timeout_ms` is given up. Of the events, with their `user`, want(), ready() and
 * gone() are called. `pasted` may be NULL.
 */
PipePaste *pipepaste_new(guint timeout_ms, const ClipboardBackendEvents *events, gpointer user, PipePasted pasted,
                         gpointer pasted_user);

/* Pastes under way end; the sinks that are still fed are reported gone. `pasted` is not called. */
void pipepaste_free(PipePaste *paste);

/*
 * A program wants content of `selection`, which we offer with a set of types, by a name as in mime.h, and reads it from
 * the other end of `fd`, which is consumed. `pasted` gets `serial`, perhaps from inside.
 */
void pipepaste_add(PipePaste *paste, guint8 selection, guint32 types, const char *name, int fd, guint32 serial);

#endif
