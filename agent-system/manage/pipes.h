/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pipes.h - our ends of a program's standard streams, on the main loop.
 */
#ifndef PIPES_H
#define PIPES_H

#include <glib.h>

/* One stream. All zero is closed. */
typedef struct Pipe {
    int fd;
    guint source;     /* 0: closed */
    GByteArray *data; /* what is to be written or was read; kept when it is closed */
    gsize done;       /* written */
    gsize max;        /* to be kept of what is read; the rest is passed over */
    gboolean truncated;
} Pipe;

/*
 * Make a pipe that is read from or written to here until its end, and return the program's end of it; -1 with errno set
 * if there can be none. pipe_write() takes over `data`.
 */
int pipe_read(Pipe *pipe, gsize max);
int pipe_write(Pipe *pipe, GByteArray *data);

/* Close it and free what it keeps. */
void pipe_clear(Pipe *pipe);

#endif
