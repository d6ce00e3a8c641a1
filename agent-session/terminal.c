/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "terminal.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#define PIECE 65536u

typedef struct Job {
    int fd;
    gsize limit;   /* reading */
    GBytes *value; /* writing */
} Job;

typedef struct TerminalSink {
    Sink sink; /* first */
    int fd;
    GTask *task;
    GByteArray *buffer;
} TerminalSink;

static void job_free(gpointer data)
{
    Job *job = data;
    g_clear_pointer(&job->value, g_bytes_unref);
    g_free(job);
}

static void set_errno(GError **error)
{
    int number = errno;
    g_set_error_literal(error, G_IO_ERROR, g_io_error_from_errno(number), g_strerror(number));
}

/* A descriptor that does not block would have us spin. */
static gboolean again(int fd, short events)
{
    if (errno == EAGAIN)
        poll(&(struct pollfd){ .fd = fd, .events = events }, 1, -1);
    return errno == EAGAIN || errno == EINTR;
}

static GBytes *read_value(const Job *job, GError **error)
{
    g_autoptr(GByteArray) value = g_byte_array_new();
    gssize got;
    do {
        guint8 piece[PIECE];
        got = read(job->fd, piece, sizeof piece);
        if (got < 0 && !again(job->fd, POLLIN)) {
            set_errno(error);
            return NULL;
        }
        if (got > 0)
            g_byte_array_append(value, piece, got);
        if (value->len > job->limit) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED, "more than the maximum of %zu bytes",
                        job->limit);
            return NULL;
        }
    } while (got != 0);
    if (value->len > 0)
        return g_byte_array_free_to_bytes(g_steal_pointer(&value));
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "no data");
    return NULL;
}

static gboolean write_value(const Job *job, GError **error)
{
    gsize left;
    const guint8 *at = g_bytes_get_data(job->value, &left);
    while (left > 0) {
        gssize put = write(job->fd, at, left);
        if (put < 0 && !again(job->fd, POLLOUT)) {
            set_errno(error);
            return FALSE;
        }
        at += MAX(put, 0);
        left -= MAX(put, 0);
    }
    return TRUE;
}

/* In both directions the other side has its end before the answer comes. */
static void read_thread(GTask *task, G_GNUC_UNUSED gpointer source, gpointer data,
                        G_GNUC_UNUSED GCancellable *cancellable)
{
    const Job *job = data;
    GError *error = NULL;
    GBytes *value = read_value(job, &error);
    close(job->fd);
    if (value != NULL)
        g_task_return_pointer(task, value, (GDestroyNotify) g_bytes_unref);
    else
        g_task_return_error(task, error);
}

static void write_thread(GTask *task, G_GNUC_UNUSED gpointer source, gpointer data,
                         G_GNUC_UNUSED GCancellable *cancellable)
{
    const Job *job = data;
    GError *error = NULL;
    gboolean good = write_value(job, &error);
    close(job->fd);
    if (good)
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, error);
}

void terminal_read(int fd, gsize limit, GAsyncReadyCallback callback, gpointer user)
{
    Job *job = g_new0(Job, 1);
    job->fd = fd;
    job->limit = limit;
    g_autoptr(GTask) task = g_task_new(NULL, NULL, callback, user);
    g_task_set_task_data(task, job, job_free);
    g_task_run_in_thread(task, read_thread);
}

GBytes *terminal_read_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}

static void on_written(G_GNUC_UNUSED GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(GTask) task = user;
    GError *error = NULL;
    if (g_task_propagate_boolean(G_TASK(result), &error))
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, error);
}

void terminal_write(int fd, GBytes *value, GTask *task)
{
    Job *job = g_new0(Job, 1);
    job->fd = fd;
    job->value = g_bytes_ref(value);
    g_autoptr(GTask) own = g_task_new(NULL, NULL, on_written, task);
    g_task_set_task_data(own, job, job_free);
    g_task_run_in_thread(own, write_thread);
}

void terminal_fail(int fd, GTask *task, SinkEnd how)
{
    close(fd);
    switch (how) {
    case SINK_REFUSED:
        g_task_return_new_error(task, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED, "the content is larger than allowed");
        break;
    case SINK_TIMEOUT:
        g_task_return_new_error(task, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "the one who has the content does not answer");
        break;
    case SINK_LOST:
        g_task_return_new_error(task, G_IO_ERROR, G_IO_ERROR_CLOSED, "the connection to the content's owner ended");
        break;
    case SINK_EMPTY:
    case SINK_DONE:
    case SINK_STALLED:
        g_task_return_new_error(task, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "there is no content of this type");
        break;
    }
    g_object_unref(task);
}

static void on_begin(G_GNUC_UNUSED Sink *sink, G_GNUC_UNUSED gsize size)
{
}

static gboolean on_data(Sink *sink, const guint8 *data, gsize size)
{
    g_byte_array_append(((TerminalSink *) sink)->buffer, data, size);
    return TRUE;
}

static void on_end(Sink *base, SinkEnd how)
{
    TerminalSink *sink = (TerminalSink *) base;
    g_autoptr(GBytes) value = g_byte_array_free_to_bytes(sink->buffer);
    if (how == SINK_DONE)
        terminal_write(sink->fd, value, sink->task);
    else
        terminal_fail(sink->fd, sink->task, how);
    g_free(sink);
}

Sink *terminal_sink(int fd, GTask *task)
{
    TerminalSink *sink = g_new0(TerminalSink, 1);
    sink->sink = (Sink){ .begin = on_begin, .data = on_data, .end = on_end };
    sink->fd = fd;
    sink->task = task;
    sink->buffer = g_byte_array_new();
    return &sink->sink;
}
