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
    GByteArray *data; /* what is to be written, until it is closed, or was read */
    gsize done;       /* written */
    gsize max;        /* to be kept of what is read; the rest is passed over */
    gsize *room;      /* for what is kept, in bytes */
    gboolean truncated;
} Pipe;

/*
 * Make a pipe that is read from or written to here until its end, and return the program's end of it; -1 with errno set
 * if there can be none. What it keeps is taken from `room`, which several can have in common, and given back when it is
 * freed. What is read beyond the room is passed over as beyond `max`; pipe_write(), which takes over `data`, needs room
 * for all of it.
 */
int pipe_read(Pipe *pipe, gsize max, gsize *room);
int pipe_write(Pipe *pipe, GByteArray *data, gsize *room);

/* Close it and free what it keeps. */
void pipe_clear(Pipe *pipe);

#endif
