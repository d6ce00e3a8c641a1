/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mounts.h - the mounts of file systems that have a block device, in the order in which they were made.
 */
#ifndef MOUNTS_H
#define MOUNTS_H

#include <glib.h>

typedef struct Mount {
    char *directory; /* bytes, as the kernel has them */
    char *type;
    guint major, minor;
} Mount;

/* From the text of a process's mountinfo, bind mounts too. An array of Mount. */
GArray *mounts_parse(const char *mountinfo);

/* From such a file; NULL with errno set if it cannot be read. */
GArray *mounts_read(const char *path);
#define MOUNTS_OWN "/proc/self/mountinfo"

/* Leave the first mount of each file system. */
void mounts_unique(GArray *mounts);

#endif
