/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * incoming.h - a file that grows without a name and gets one when it is complete.
 *
 * Whatever ends the process before that leaves nothing behind. Where the file system has no unnamed files (O_TMPFILE),
 * a hidden name ".spice-*.part" is used meanwhile. An existing entry is never replaced, nor a symbolic link followed.
 */
#ifndef INCOMING_H
#define INCOMING_H

#include <gio/gio.h>

typedef struct Incoming Incoming;

/* Begin a file in `directory`, which is created if missing. Errors are of G_IO_ERROR. */
Incoming *incoming_new(const char *directory, GError **error);

/* Drop the file if it was not committed. NULL is fine. */
void incoming_free(Incoming *incoming);

/* Bytes that an unprivileged user may still write there; G_MAXUINT64 when that cannot be known. */
guint64 incoming_space(const Incoming *incoming);

/* Append. May block for as long as the disk does. */
gboolean incoming_write(Incoming *incoming, const guint8 *data, gsize size, GError **error);

/* Name the file `name`, or the first free alternative of it (filestart.h). Returns its path. */
char *incoming_commit(Incoming *incoming, const char *name, GError **error);

/* Remove the hidden files that a killed process left. Only for the one process of this user that makes them. */
void incoming_clean(const char *directory);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Incoming, incoming_free)

#endif
