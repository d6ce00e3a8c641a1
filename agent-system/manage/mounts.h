/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mounts.h - the mounted file systems that have a block device: each once, in the order in which they were mounted.
 */
#ifndef MOUNTS_H
#define MOUNTS_H

#include <glib.h>

typedef struct Mount {
    char *directory; /* bytes, as the kernel has them */
    char *type;
    guint major, minor;
} Mount;

/* From the text of /proc/self/mountinfo. An array of Mount. */
GArray *mounts_parse(const char *mountinfo);

/* Of this process; NULL with errno set if they cannot be read. */
GArray *mounts_read(void);

#endif
