/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a Wayland desktop has the pointer: a client that covers each output with a surface and says what it is told.
 *
 *   output NAME WIDTH HEIGHT    the output's surface is on screen with this size
 *   at NAME X Y                 the pointer is there, in coordinates of that surface; wl_fixed has 1/256
 *   button NAME CODE STATE      STATE is 1 when it went down
 *   = NAME X Y                  the last position, for each line on standard input; NAME is - before the first one
 *
 * What a surface shows is its own coordinates: the pixel at X, Y has the colour X << 12 | Y, so a picture of the screen
 * tells what the pointer is expected to be at, whatever way the output is turned. The cursor is hidden.
 */
#include "xdg-shell.h"

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <wayland-client.h>

enum { OUTPUTS_MAX = 4 };

typedef struct Output {
    struct wl_output *output;
    char name[64];
    struct wl_surface *surface;
    int32_t asked_w, asked_h, w, h;
} Output;

static Output outputs[OUTPUTS_MAX];
static int output_count;
static struct wl_compositor *compositor;
static struct wl_shm *shm;
static struct xdg_wm_base *shell;
static struct wl_seat *seat;
static struct wl_pointer *pointer;
static const Output *under; /* the pointer */
static double at_x, at_y;

static void nothing() {}

_Noreturn static void die(const char *what)
{
    fprintf(stderr, "wlprobe: %s\n", what);
    exit(1);
}

/* --- Surfaces --- */

static void on_release(void *data, struct wl_buffer *buffer)
{
    (void)data;
    wl_buffer_destroy(buffer);
}

static const struct wl_buffer_listener buffer_listener = { on_release };

static struct wl_buffer *paint(int32_t w, int32_t h)
{
    size_t size = 4 * (size_t)w * h;
    int fd = memfd_create("wlprobe", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, size) < 0)
        die("no memory to draw");
    uint32_t *pixel = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (pixel == MAP_FAILED)
        die("no memory to draw");
    for (int32_t y = 0; y < h; y++)
        for (int32_t x = 0; x < w; x++)
            pixel[(size_t)y * w + x] = (uint32_t)x << 12 | y;
    munmap(pixel, size);
    struct wl_shm_pool *pool = wl_shm_create_pool(shm, fd, size);
    struct wl_buffer *buffer = wl_shm_pool_create_buffer(pool, 0, w, h, 4 * w, WL_SHM_FORMAT_XRGB8888);
    wl_shm_pool_destroy(pool);
    close(fd);
    wl_buffer_add_listener(buffer, &buffer_listener, NULL);
    return buffer;
}

static void on_frame(void *data, struct wl_callback *callback, uint32_t time)
{
    const Output *o = data;
    (void)time;
    wl_callback_destroy(callback);
    printf("output %s %d %d\n", o->name, o->w, o->h);
}

static const struct wl_callback_listener frame_listener = { on_frame };

static void on_toplevel_configure(void *data, struct xdg_toplevel *toplevel, int32_t w, int32_t h, struct wl_array *states)
{
    Output *o = data;
    (void)toplevel;
    (void)states;
    o->asked_w = w > 0 ? w : 64; /* 0 is for us to choose: the size of the output follows when there is something */
    o->asked_h = h > 0 ? h : 64;
}

static const struct xdg_toplevel_listener toplevel_listener = { on_toplevel_configure, nothing, nothing, nothing };

static void on_surface_configure(void *data, struct xdg_surface *surface, uint32_t serial)
{
    Output *o = data;
    xdg_surface_ack_configure(surface, serial);
    if (o->asked_w != o->w || o->asked_h != o->h) {
        o->w = o->asked_w;
        o->h = o->asked_h;
        wl_surface_attach(o->surface, paint(o->w, o->h), 0, 0);
        wl_surface_damage(o->surface, 0, 0, o->w, o->h);
        wl_callback_add_listener(wl_surface_frame(o->surface), &frame_listener, o);
    }
    wl_surface_commit(o->surface);
}

static const struct xdg_surface_listener surface_listener = { on_surface_configure };

static void cover(Output *o)
{
    o->surface = wl_compositor_create_surface(compositor);
    struct xdg_surface *surface = xdg_wm_base_get_xdg_surface(shell, o->surface);
    xdg_surface_add_listener(surface, &surface_listener, o);
    struct xdg_toplevel *toplevel = xdg_surface_get_toplevel(surface);
    xdg_toplevel_add_listener(toplevel, &toplevel_listener, o);
    xdg_toplevel_set_title(toplevel, o->name);
    xdg_toplevel_set_app_id(toplevel, "wlprobe");
    xdg_toplevel_set_fullscreen(toplevel, o->output);
    wl_surface_commit(o->surface);
}

static void on_ping(void *data, struct xdg_wm_base *base, uint32_t serial)
{
    (void)data;
    xdg_wm_base_pong(base, serial);
}

static const struct xdg_wm_base_listener shell_listener = { on_ping };

/* --- The pointer --- */

static void on_motion(void *data, struct wl_pointer *p, uint32_t time, wl_fixed_t x, wl_fixed_t y)
{
    (void)data;
    (void)p;
    (void)time;
    if (!under)
        return;
    at_x = wl_fixed_to_double(x);
    at_y = wl_fixed_to_double(y);
    printf("at %s %.4f %.4f\n", under->name, at_x, at_y);
}

static void on_enter(void *data, struct wl_pointer *p, uint32_t serial, struct wl_surface *surface, wl_fixed_t x,
                     wl_fixed_t y)
{
    under = NULL;
    for (Output *o = outputs; o < outputs + output_count; o++)
        if (o->surface == surface)
            under = o;
    wl_pointer_set_cursor(p, serial, NULL, 0, 0);
    on_motion(data, p, 0, x, y);
}

static void on_button(void *data, struct wl_pointer *p, uint32_t serial, uint32_t time, uint32_t button, uint32_t state)
{
    (void)data;
    (void)p;
    (void)serial;
    (void)time;
    printf("button %s %u %u\n", under ? under->name : "-", button, state);
}

static const struct wl_pointer_listener pointer_listener = {
    .enter = on_enter, .leave = nothing, .motion = on_motion, .button = on_button, .axis = nothing, .frame = nothing,
    .axis_source = nothing, .axis_stop = nothing, .axis_discrete = nothing,
};

static void on_capabilities(void *data, struct wl_seat *s, uint32_t capabilities)
{
    (void)data;
    if (pointer || !(capabilities & WL_SEAT_CAPABILITY_POINTER))
        return;
    pointer = wl_seat_get_pointer(s);
    wl_pointer_add_listener(pointer, &pointer_listener, NULL);
}

static const struct wl_seat_listener seat_listener = { on_capabilities, nothing };

/* --- Globals --- */

static void on_output_name(void *data, struct wl_output *output, const char *name)
{
    Output *o = data;
    (void)output;
    snprintf(o->name, sizeof o->name, "%s", name);
}

static const struct wl_output_listener output_listener = {
    .geometry = nothing, .mode = nothing, .done = nothing, .scale = nothing, .name = on_output_name,
    .description = nothing,
};

static void on_global(void *data, struct wl_registry *registry, uint32_t name, const char *interface, uint32_t version)
{
    (void)data;
    if (strcmp(interface, "wl_compositor") == 0) {
        compositor = wl_registry_bind(registry, name, &wl_compositor_interface, 1);
    } else if (strcmp(interface, "wl_shm") == 0) {
        shm = wl_registry_bind(registry, name, &wl_shm_interface, 1);
    } else if (strcmp(interface, "xdg_wm_base") == 0) {
        shell = wl_registry_bind(registry, name, &xdg_wm_base_interface, 1);
        xdg_wm_base_add_listener(shell, &shell_listener, NULL);
    } else if (strcmp(interface, "wl_seat") == 0 && !seat) {
        seat = wl_registry_bind(registry, name, &wl_seat_interface, 5);
        wl_seat_add_listener(seat, &seat_listener, NULL);
    } else if (strcmp(interface, "wl_output") == 0 && version >= 4 && output_count < OUTPUTS_MAX) {
        Output *o = &outputs[output_count++];
        o->output = wl_registry_bind(registry, name, &wl_output_interface, 4);
        wl_output_add_listener(o->output, &output_listener, o);
    }
}

static const struct wl_registry_listener registry_listener = { on_global, nothing };

int main(void)
{
    struct wl_display *display = wl_display_connect(NULL);
    if (!display)
        die("no compositor");
    setvbuf(stdout, NULL, _IOLBF, 0);
    setvbuf(stdin, NULL, _IONBF, 0);
    wl_registry_add_listener(wl_display_get_registry(display), &registry_listener, NULL);
    wl_display_roundtrip(display);
    wl_display_roundtrip(display);
    if (!compositor || !shm || !shell || !seat || output_count == 0)
        die("the compositor lacks a global");
    for (Output *o = outputs; o < outputs + output_count; o++)
        cover(o);

    for (;;) {
        char line[64];
        struct pollfd fds[2] = { { wl_display_get_fd(display), POLLIN, 0 }, { STDIN_FILENO, POLLIN, 0 } };
        while (wl_display_prepare_read(display) < 0)
            wl_display_dispatch_pending(display);
        wl_display_flush(display);
        if (poll(fds, 2, -1) < 0)
            die("poll");
        if (fds[0].revents)
            wl_display_read_events(display);
        else
            wl_display_cancel_read(display);
        if (wl_display_dispatch_pending(display) < 0)
            die("the compositor has gone");
        if (fds[1].revents && !fgets(line, sizeof line, stdin))
            return 0;
        if (fds[1].revents)
            printf("= %s %.4f %.4f\n", under ? under->name : "-", at_x, at_y);
    }
}
