/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * openfiles.h - files of the guest that the host has open, OPENFILES_MAX at most. They stay open when a client leaves,
 * as the next one may know their handles.
 */
#ifndef OPENFILES_H
#define OPENFILES_H

#define OPENFILES_MAX 256

typedef struct OpenFiles OpenFiles;

OpenFiles *openfiles_new(void);

/* Closes all. NULL is fine. */
void openfiles_free(OpenFiles *files);

/*
 * Open a file as fopen() would with this mode, for reading and writing without waiting. Returns a descriptor, or -1 with errno set,
 * EINVAL if there is no such mode.
 */
int openfiles_open(const char *path, const char *mode);

#endif
