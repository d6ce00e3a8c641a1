/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * terminal.h - clipboard content from and to a descriptor of somebody at a terminal.
 *
 * The other end is a person or a pipe that may take its time, and the descriptor may be anything, blocking or not, with
 * flags that are not ours to change: so a thread of its own reads or writes it. Values are whole in memory meanwhile,
 * bounded by the caller's limit and by the caller's number of calls. SIGPIPE must be ignored, as GLib does with its
 * first socket.
 */
#ifndef TERMINAL_H
#define TERMINAL_H

#include "sink.h"

#include <gio/gio.h>

/*
 * Read `fd` to its end and close it. Finish with terminal_read_finish(): a value that is not empty, or an error:
 * G_IO_ERROR_PERMISSION_DENIED for more than `limit` bytes, G_IO_ERROR_NOT_FOUND for none.
 */
void terminal_read(int fd, gsize limit, GAsyncReadyCallback callback, gpointer user);
GBytes *terminal_read_finish(GAsyncResult *result, GError **error);

/* Write a value to `fd`, close it and return TRUE or the error by `task`, which is consumed. */
void terminal_write(int fd, GBytes *value, GTask *task);

/* A sink that does so with what it gets; when it gets nothing, the task fails as terminal_fail(). */
Sink *terminal_sink(int fd, GTask *task);

/* Close `fd` and return by `task` why there is nothing. */
void terminal_fail(int fd, GTask *task, SinkEnd how);

#endif
