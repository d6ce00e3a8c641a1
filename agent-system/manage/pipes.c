/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE /* pipe2 */
#include "pipes.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <unistd.h>

#define PART 65536

static void close_end(Pipe *pipe)
{
    close(pipe->fd);
    pipe->source = 0;
}

static void free_data(Pipe *pipe)
{
    if (pipe->data)
        *pipe->room += pipe->data->len;
    g_clear_pointer(&pipe->data, g_byte_array_unref);
}

static gboolean on_readable(gint fd, G_GNUC_UNUSED GIOCondition condition, gpointer user)
{
    Pipe *pipe = user;
    static guint8 part[PART];
    gssize size = read(fd, part, sizeof(part));
    gsize kept = MIN((gsize)MAX(size, 0), MIN(pipe->max - pipe->data->len, *pipe->room));

    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    if (size <= 0) {
        close_end(pipe);
        return G_SOURCE_REMOVE;
    }
    g_byte_array_append(pipe->data, part, (guint)kept);
    *pipe->room -= kept;
    pipe->truncated = pipe->truncated || kept < (gsize)size;
    return G_SOURCE_CONTINUE;
}

static gboolean on_writable(gint fd, G_GNUC_UNUSED GIOCondition condition, gpointer user)
{
    Pipe *pipe = user;
    gssize size = write(fd, pipe->data->data + pipe->done, pipe->data->len - pipe->done);

    if (size >= 0)
        pipe->done += (gsize)size;
    if (pipe->done < pipe->data->len && (size >= 0 || errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    close_end(pipe);
    free_data(pipe);
    return G_SOURCE_REMOVE;
}

/* Ours of the ends is number `own`. */
static int make(Pipe *ret_pipe, guint own, GIOCondition condition, GUnixFDSourceFunc function)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    fcntl(ends[own], F_SETFL, O_NONBLOCK);
    ret_pipe->fd = ends[own];
    ret_pipe->source = g_unix_fd_add(ends[own], condition, function, ret_pipe);
    return ends[1 - own];
}

int pipe_read(Pipe *pipe, gsize max, gsize *room)
{
    *pipe = (Pipe){ .data = g_byte_array_new(), .max = max, .room = room };
    return make(pipe, 0, G_IO_IN, on_readable);
}

int pipe_write(Pipe *pipe, GByteArray *data, gsize *room)
{
    g_assert(data->len <= *room);
    *room -= data->len;
    *pipe = (Pipe){ .data = data, .room = room };
    return make(pipe, 1, G_IO_OUT, on_writable);
}

void pipe_clear(Pipe *pipe)
{
    if (pipe->source != 0) {
        g_source_remove(pipe->source);
        close(pipe->fd);
    }
    free_data(pipe);
    *pipe = (Pipe){ 0 };
}
