/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wlprogram.h"

#include "ext-data-control-v1.h"
#include "host.h"

#include <errno.h>
#include <glib-unix.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Writer {
    WlProgram *program;
    GBytes *content;
    gsize at;
    int fd;
    guint source;
} Writer;

static void on_ready(gpointer user)
{
    ((WlProgram *) user)->ready = TRUE;
}

static void on_closed(G_GNUC_UNUSED const char *why, gpointer user)
{
    ((WlProgram *) user)->closed = TRUE;
}

/* --- As an owner --- */

static void writer_free(gpointer data)
{
    Writer *writer = data;
    g_clear_handle_id(&writer->source, g_source_remove);
    if (writer->fd >= 0)
        close(writer->fd);
    g_bytes_unref(writer->content);
    g_free(writer);
}

static gboolean on_writable(int fd, G_GNUC_UNUSED GIOCondition condition, gpointer user)
{
    Writer *writer = user;
    WlProgram *program = writer->program;
    gsize size;
    const guint8 *data = g_bytes_get_data(writer->content, &size);
    gboolean stops = program->stop_after >= 0 && (gsize) program->stop_after <= size;
    gsize end = stops ? (gsize) program->stop_after : size;
    gssize put = writer->at < end ? write(fd, data + writer->at, end - writer->at) : 0;
    if (put < 0 && errno == EAGAIN)
        return G_SOURCE_CONTINUE;
    writer->at += MAX(put, 0);
    if (put >= 0 && writer->at < end)
        return G_SOURCE_CONTINUE;
    writer->source = 0;
    if (stops && put >= 0) {
        g_array_append_val(program->kept, writer->fd);
        writer->fd = -1;
    }
    g_ptr_array_remove_fast(program->writers, writer);
    return G_SOURCE_REMOVE;
}

static void on_send(void *user, G_GNUC_UNUSED struct ext_data_control_source_v1 *source,
                    G_GNUC_UNUSED const char *name, int fd)
{
    WlProgram *program = user;
    program->served++;
    g_unix_set_fd_nonblocking(fd, TRUE, NULL);
    Writer *writer = g_new0(Writer, 1);
    writer->program = program;
    writer->content = g_bytes_ref(program->content);
    writer->fd = fd;
    writer->source = g_unix_fd_add(fd, G_IO_OUT, on_writable, writer);
    g_ptr_array_add(program->writers, writer);
}

static void on_cancelled(void *user, struct ext_data_control_source_v1 *source)
{
    WlProgram *program = user;
    program->lost++;
    for (guint i = 0; i < WLPROGRAM_SELECTIONS; i++) {
        if (program->source[i] == source)
            program->source[i] = NULL;
    }
    ext_data_control_source_v1_destroy(source);
}

static const struct ext_data_control_source_v1_listener source_listener = { .send = on_send,
                                                                            .cancelled = on_cancelled };

void wlprogram_content(WlProgram *program, const void *data, gsize size)
{
    g_bytes_unref(program->content);
    program->content = g_bytes_new(data, size);
}

static void set(WlProgram *program, guint selection, struct ext_data_control_source_v1 *source)
{
    if (selection == 0)
        ext_data_control_device_v1_set_selection(program->device, source);
    else
        ext_data_control_device_v1_set_primary_selection(program->device, source);
}

void wlprogram_own(WlProgram *program, guint selection, const char *const *names)
{
    struct ext_data_control_source_v1 *source = ext_data_control_manager_v1_create_data_source(program->manager);
    ext_data_control_source_v1_add_listener(source, &source_listener, program);
    for (; *names != NULL; names++)
        ext_data_control_source_v1_offer(source, *names);
    set(program, selection, source);
    g_clear_pointer((struct ext_data_control_source_v1 **) &program->source[selection],
                    ext_data_control_source_v1_destroy);
    program->source[selection] = source;
}

void wlprogram_disown(WlProgram *program, guint selection)
{
    set(program, selection, NULL);
}

/* --- As a reader --- */

static void on_name(void *user, G_GNUC_UNUSED struct ext_data_control_offer_v1 *offer, const char *name)
{
    WlProgram *program = user;
    g_ptr_array_add(program->names, g_strdup(name));
}

static const struct ext_data_control_offer_v1_listener offer_listener = { .offer = on_name };

static void on_offer(void *user, G_GNUC_UNUSED struct ext_data_control_device_v1 *device,
                     struct ext_data_control_offer_v1 *offer)
{
    WlProgram *program = user;
    program->introduced = offer;
    g_clear_pointer(&program->names, g_ptr_array_unref);
    program->names = g_ptr_array_new_with_free_func(g_free);
    ext_data_control_offer_v1_add_listener(offer, &offer_listener, program);
}

static void on_owner(WlProgram *program, guint selection, struct ext_data_control_offer_v1 *offer)
{
    if (program->offer[selection] != NULL)
        ext_data_control_offer_v1_destroy(program->offer[selection]);
    g_clear_pointer(&program->offered[selection], g_ptr_array_unref);
    program->offer[selection] = offer;
    program->offered[selection] = offer != NULL ? g_steal_pointer(&program->names) : NULL;
    program->selections++;
}

static void on_selection(void *user, G_GNUC_UNUSED struct ext_data_control_device_v1 *device,
                         struct ext_data_control_offer_v1 *offer)
{
    on_owner(user, 0, offer);
}

static void on_primary(void *user, G_GNUC_UNUSED struct ext_data_control_device_v1 *device,
                       struct ext_data_control_offer_v1 *offer)
{
    on_owner(user, 1, offer);
}

static void on_finished(G_GNUC_UNUSED void *user, G_GNUC_UNUSED struct ext_data_control_device_v1 *device)
{
}

static const struct ext_data_control_device_v1_listener device_listener = {
    .data_offer = on_offer, .selection = on_selection, .finished = on_finished, .primary_selection = on_primary
};

gboolean wlprogram_sees(const WlProgram *program, guint selection, const char *name)
{
    const GPtrArray *offered = program->offered[selection];
    for (guint i = 0; offered != NULL && i < offered->len; i++) {
        if (g_str_equal(offered->pdata[i], name))
            return TRUE;
    }
    return FALSE;
}

int wlprogram_ask(WlProgram *program, guint selection, const char *name)
{
    int ends[2];
    g_assert_true(g_unix_open_pipe(ends, FD_CLOEXEC, NULL));
    g_assert_nonnull(program->offer[selection]);
    ext_data_control_offer_v1_receive(program->offer[selection], name, ends[1]);
    close(ends[1]);
    return ends[0];
}

static void result_free(gpointer data)
{
    WlResult *result = data;
    g_clear_handle_id(&result->source, g_source_remove);
    if (result->fd >= 0)
        close(result->fd);
    g_byte_array_unref(result->data);
    g_free(result);
}

static gboolean on_readable(int fd, G_GNUC_UNUSED GIOCondition condition, gpointer user)
{
    WlResult *result = user;
    guint8 piece[65536];
    gssize got = read(fd, piece, sizeof piece);
    if (got > 0) {
        if (result->data->len == 0)
            result->first = g_get_monotonic_time();
        g_byte_array_append(result->data, piece, got);
        return G_SOURCE_CONTINUE;
    }
    result->done = TRUE;
    result->source = 0;
    return G_SOURCE_REMOVE;
}

WlResult *wlprogram_paste(WlProgram *program, guint selection, const char *name)
{
    WlResult *result = g_new0(WlResult, 1);
    result->data = g_byte_array_new();
    result->fd = wlprogram_ask(program, selection, name);
    result->source = g_unix_fd_add(result->fd, G_IO_IN, on_readable, result);
    g_ptr_array_add(program->results, result);
    return result;
}

WlResult *wlprogram_get(WlProgram *program, guint selection, const char *name)
{
    WlResult *result = wlprogram_paste(program, selection, name);
    host_until(result->done);
    return result;
}

/* --- The connection --- */

static void on_synced(void *user, struct wl_callback *callback, G_GNUC_UNUSED guint32 serial)
{
    wl_callback_destroy(callback);
    *(gboolean *) user = TRUE;
}

void wlprogram_sync(WlProgram *program)
{
    static const struct wl_callback_listener listener = { .done = on_synced };
    gboolean synced = FALSE;
    struct wl_callback *callback = wl_display_sync(wayland_display(program->wayland));
    wl_callback_add_listener(callback, &listener, &synced);
    host_until(synced);
}

WlProgram *wlprogram_new(void)
{
    static const WaylandEvents events = { .ready = on_ready, .closed = on_closed };
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(getenv("XDG_RUNTIME_DIR"), getenv("WAYLAND_DISPLAY"), NULL);
    WlProgram *program = g_new0(WlProgram, 1);
    program->content = g_bytes_new_static("", 0);
    program->stop_after = -1;
    program->results = g_ptr_array_new_with_free_func(result_free);
    program->writers = g_ptr_array_new_with_free_func(writer_free);
    program->kept = g_array_new(FALSE, FALSE, sizeof(int));
    program->wayland = wayland_new(path, &events, program, &error);
    g_assert_no_error(error);
    host_until(program->ready);
    program->protocol = ext_data_control_manager_v1_interface;
    if (wayland_version(program->wayland, program->protocol.name) == 0)
        program->protocol.name = "zwlr_data_control_manager_v1";
    program->manager = wayland_bind(program->wayland, &program->protocol, 2);
    g_assert_nonnull(program->manager);
    struct wl_seat *seat = wayland_bind(program->wayland, &wl_seat_interface, 1);
    g_assert_nonnull(seat);
    program->device = ext_data_control_manager_v1_get_data_device(program->manager, seat);
    wl_seat_destroy(seat);
    ext_data_control_device_v1_add_listener(program->device, &device_listener, program);
    wlprogram_sync(program);
    return program;
}

void wlprogram_free(WlProgram *program)
{
    for (guint i = 0; i < WLPROGRAM_SELECTIONS; i++) {
        g_clear_pointer((struct ext_data_control_source_v1 **) &program->source[i], ext_data_control_source_v1_destroy);
        g_clear_pointer((struct ext_data_control_offer_v1 **) &program->offer[i], ext_data_control_offer_v1_destroy);
        g_clear_pointer(&program->offered[i], g_ptr_array_unref);
    }
    g_clear_pointer(&program->names, g_ptr_array_unref);
    g_ptr_array_unref(program->results);
    g_ptr_array_unref(program->writers);
    for (guint i = 0; i < program->kept->len; i++)
        close(g_array_index(program->kept, int, i));
    g_array_unref(program->kept);
    g_bytes_unref(program->content);
    ext_data_control_device_v1_destroy(program->device);
    ext_data_control_manager_v1_destroy(program->manager);
    wayland_free(program->wayland);
    g_free(program);
}
