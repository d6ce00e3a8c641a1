/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * filestart.h - the keys of a FILE_XFER_START message, and which file names are taken (pure).
 */
#ifndef FILESTART_H
#define FILESTART_H

#include "limits.h"

#include <glib.h>

/*
 * Take name and size out of the GKeyFile text with group [vdagent-file-xfer]. `keys` has `size` bytes and no
 * terminating zero. Returns NULL, or why it is refused (a constant text), and the results are then untouched. A name is
 * one path component of valid UTF-8 without control characters, at most LIMIT_FILE_NAME bytes, neither "." nor "..".
 */
const char *filestart_parse(const char *keys, gsize size, char **ret_name, guint64 *ret_size);

/*
 * The name to try when `name` is taken: "report (1).pdf" for number 1; for 0 the name itself. It is shortened before
 * the number, at a character, when it would pass LIMIT_FILE_NAME.
 */
char *filestart_alternative(const char *name, guint number);

#endif
