/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * files.h - file transfers from the SPICE client into a directory of the user.
 *
 * A file grows without a name (O_TMPFILE) and gets one when it is complete, so whatever ends the transfer or the daemon
 * leaves nothing behind. Where the file system has no unnamed files, a hidden ".spice-*.part" name is used, renamed
 * without replacing, and removed at the next start.
 */
#ifndef FILES_H
#define FILES_H

#include "notify.h"
#include "stream.h"

#include <gio/gio.h>

typedef struct Files Files;

typedef struct FilesPolicy {
    gboolean enabled;
    const char *directory; /* absolute, created if missing; NULL: the user's download directory; must outlive Files */
} FilesPolicy;

typedef struct FilesPeer {
    gboolean (*send)(const VdagentMessage *message, gpointer user);
    void (*refused)(const char *what, const char *why, gpointer user);
} FilesPeer;

/* `notify` may be NULL; it must outlive the result. Removes leftovers in the directory. */
Files *files_new(const FilesPolicy *policy, const FilesPeer *peer, Notify *notify, gpointer user);
void files_free(Files *files);

/* Client connected (what was agreed) or gone (NULL): every transfer under way ends and its data are dropped. */
void files_peer(Files *files, const Caps *agreed);

/* FILE_XFER_START and FILE_XFER_STATUS (a cancel). */
void files_message(Files *files, const VdagentMessage *message);

/* FILE_XFER_DATA in pieces. */
void files_bulk(Files *files, const VdagentMessage *head);
void files_data(Files *files, const guint8 *data, gsize size);
void files_bulk_end(Files *files);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Files, files_free)

#endif
