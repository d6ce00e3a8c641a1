/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wlserver.h"

#include "ext-data-control-v1.h"

#include <glib-unix.h>
#include <string.h>
#include <unistd.h>

/* Events by number, in the order of the protocol's description. */
enum { DEVICE_OFFER, DEVICE_SELECTION, DEVICE_FINISHED, DEVICE_PRIMARY };
enum { SOURCE_SEND, SOURCE_CANCELLED };
enum { OFFER_OFFER };

static void destroy(G_GNUC_UNUSED struct wl_client *client, struct wl_resource *resource)
{
    wl_resource_destroy(resource);
}

/* --- Offers --- */

static void offer_receive(G_GNUC_UNUSED struct wl_client *client, G_GNUC_UNUSED struct wl_resource *resource,
                          G_GNUC_UNUSED const char *name, int fd)
{
    g_assert_cmpint(write(fd, "program", 7), ==, 7);
    close(fd);
}

static const struct {
    void (*receive)(struct wl_client *client, struct wl_resource *resource, const char *name, int fd);
    void (*destroy)(struct wl_client *client, struct wl_resource *resource);
} offer_requests = { .receive = offer_receive, .destroy = destroy };

static void offer_gone(struct wl_resource *resource)
{
    WlServer *server = wl_resource_get_user_data(resource);
    server->offers--;
    for (guint i = 0; i < WLSERVER_SELECTIONS; i++) {
        if (server->offer[i] == resource)
            server->offer[i] = NULL;
    }
}

static struct wl_resource *introduce(WlServer *server, const char *name)
{
    struct wl_resource *offer = wl_resource_create(wl_resource_get_client(server->device),
                                                   &ext_data_control_offer_v1_interface,
                                                   wl_resource_get_version(server->device), 0);
    wl_resource_set_implementation(offer, &offer_requests, server, offer_gone);
    server->offers++;
    wl_resource_post_event(server->device, DEVICE_OFFER, offer);
    wl_resource_post_event(offer, OFFER_OFFER, name);
    return offer;
}

static gboolean has_primary(struct wl_resource *device)
{
    const WlServer *server = wl_resource_get_user_data(device);
    return wl_resource_get_version(device) >= 2 || g_str_has_prefix(server->bound, "ext");
}

static void announce(WlServer *server, guint selection, const char *name)
{
    if (server->device == NULL || (selection == 1 && !has_primary(server->device)))
        return;
    server->offer[selection] = name != NULL ? introduce(server, name) : NULL;
    wl_resource_post_event(server->device, selection == 0 ? DEVICE_SELECTION : DEVICE_PRIMARY,
                           server->offer[selection]);
}

/* --- Sources --- */

static void source_offer(G_GNUC_UNUSED struct wl_client *client, struct wl_resource *resource, const char *name)
{
    WlServer *server = wl_resource_get_user_data(resource);
    g_ptr_array_add(server->names, g_strdup(name));
}

static const struct {
    void (*offer)(struct wl_client *client, struct wl_resource *resource, const char *name);
    void (*destroy)(struct wl_client *client, struct wl_resource *resource);
} source_requests = { .offer = source_offer, .destroy = destroy };

static void source_gone(struct wl_resource *resource)
{
    WlServer *server = wl_resource_get_user_data(resource);
    for (guint i = 0; i < WLSERVER_SELECTIONS; i++) {
        if (server->source[i] != resource)
            continue;
        server->source[i] = NULL;
        announce(server, i, NULL);
    }
}

static void set(WlServer *server, guint selection, struct wl_resource *source)
{
    if (server->source[selection] != NULL)
        wl_resource_post_event(server->source[selection], SOURCE_CANCELLED);
    server->source[selection] = source;
    server->set[selection] += source != NULL;
}

/* --- Devices --- */

static void set_selection(G_GNUC_UNUSED struct wl_client *client, struct wl_resource *resource,
                          struct wl_resource *source)
{
    WlServer *server = wl_resource_get_user_data(resource);
    set(server, 0, source);
    announce(server, 0, source != NULL ? "ours" : NULL);
}

static void set_primary(G_GNUC_UNUSED struct wl_client *client, struct wl_resource *resource,
                        struct wl_resource *source)
{
    WlServer *server = wl_resource_get_user_data(resource);
    g_assert_true(has_primary(resource));
    set(server, 1, source);
    announce(server, 1, source != NULL ? "ours" : NULL);
}

static const struct {
    void (*set_selection)(struct wl_client *client, struct wl_resource *resource, struct wl_resource *source);
    void (*destroy)(struct wl_client *client, struct wl_resource *resource);
    void (*set_primary)(struct wl_client *client, struct wl_resource *resource, struct wl_resource *source);
} device_requests = { .set_selection = set_selection, .destroy = destroy, .set_primary = set_primary };

static void device_gone(struct wl_resource *resource)
{
    WlServer *server = wl_resource_get_user_data(resource);
    if (server->device == resource)
        server->device = NULL;
}

static void create_source(struct wl_client *client, struct wl_resource *resource, guint32 id)
{
    WlServer *server = wl_resource_get_user_data(resource);
    struct wl_resource *source = wl_resource_create(client, &ext_data_control_source_v1_interface,
                                                    wl_resource_get_version(resource), id);
    wl_resource_set_implementation(source, &source_requests, server, source_gone);
    g_ptr_array_set_size(server->names, 0);
}

static void get_device(struct wl_client *client, struct wl_resource *resource, guint32 id,
                       G_GNUC_UNUSED struct wl_resource *seat)
{
    WlServer *server = wl_resource_get_user_data(resource);
    server->device = wl_resource_create(client, &ext_data_control_device_v1_interface,
                                        wl_resource_get_version(resource), id);
    wl_resource_set_implementation(server->device, &device_requests, server, device_gone);
    server->devices++;
    announce(server, 0, NULL);
    announce(server, 1, NULL);
    if (server->hopeless)
        wlserver_finish(server);
}

static const struct {
    void (*create_source)(struct wl_client *client, struct wl_resource *resource, guint32 id);
    void (*get_device)(struct wl_client *client, struct wl_resource *resource, guint32 id, struct wl_resource *seat);
    void (*destroy)(struct wl_client *client, struct wl_resource *resource);
} manager_requests = { .create_source = create_source, .get_device = get_device, .destroy = destroy };

/* --- Globals --- */

static void bind_manager(WlServer *server, const struct wl_interface *interface, struct wl_client *client,
                         guint32 version, guint32 id)
{
    struct wl_resource *manager = wl_resource_create(client, interface, version, id);
    wl_resource_set_implementation(manager, &manager_requests, server, NULL);
    server->bound = interface->name;
}

static void bind_first(struct wl_client *client, void *user, guint32 version, guint32 id)
{
    WlServer *server = user;
    bind_manager(server, &server->interface[0], client, version, id);
}

static void bind_second(struct wl_client *client, void *user, guint32 version, guint32 id)
{
    WlServer *server = user;
    bind_manager(server, &server->interface[1], client, version, id);
}

void wlserver_add_protocol(WlServer *server, const char *interface, guint32 version)
{
    g_assert_cmpuint(server->protocols, <, G_N_ELEMENTS(server->interface));
    struct wl_interface *own = &server->interface[server->protocols];
    *own = ext_data_control_manager_v1_interface;
    own->name = interface;
    own->version = version;
    g_assert_nonnull(wl_global_create(server->display, own, version, server,
                                      server->protocols++ == 0 ? bind_first : bind_second));
}

/* Nobody here wants a pointer or keyboard of it. */
static void bind_seat(struct wl_client *client, G_GNUC_UNUSED void *user, guint32 version, guint32 id)
{
    wl_resource_create(client, &wl_seat_interface, version, id);
}

struct wl_global *wlserver_add_seat(WlServer *server)
{
    struct wl_global *seat = wl_global_create(server->display, &wl_seat_interface, 1, server, bind_seat);
    wl_display_flush_clients(server->display);
    return seat;
}

void wlserver_remove_seat(WlServer *server, struct wl_global *seat)
{
    wl_global_destroy(seat);
    wl_display_flush_clients(server->display);
}

/* --- What the test has it do --- */

void wlserver_own(WlServer *server, guint selection, const char *name)
{
    set(server, selection, NULL);
    announce(server, selection, name);
    wl_display_flush_clients(server->display);
}

void wlserver_introduce(WlServer *server)
{
    introduce(server, "text/plain");
    wl_display_flush_clients(server->display);
}

void wlserver_finish(WlServer *server)
{
    struct wl_resource *device = g_steal_pointer(&server->device);
    wl_resource_post_event(device, DEVICE_FINISHED);
    wl_display_flush_clients(server->display);
}

int wlserver_paste(WlServer *server, guint selection, const char *name)
{
    int ends[2];
    g_assert_true(g_unix_open_pipe(ends, FD_CLOEXEC, NULL));
    g_assert_nonnull(server->source[selection]);
    wl_resource_post_event(server->source[selection], SOURCE_SEND, name, ends[1]);
    wl_display_flush_clients(server->display);
    close(ends[1]);
    return ends[0];
}

/* --- The socket --- */

static gboolean on_event(G_GNUC_UNUSED int fd, G_GNUC_UNUSED GIOCondition condition, gpointer user)
{
    WlServer *server = user;
    wl_event_loop_dispatch(wl_display_get_event_loop(server->display), 0);
    wl_display_flush_clients(server->display);
    return G_SOURCE_CONTINUE;
}

WlServer *wlserver_new(void)
{
    WlServer *server = g_new0(WlServer, 1);
    server->names = g_ptr_array_new_with_free_func(g_free);
    server->display = wl_display_create();
    const char *name = wl_display_add_socket_auto(server->display);
    g_assert_nonnull(name);
    server->path = g_build_filename(g_getenv("XDG_RUNTIME_DIR"), name, NULL);
    server->loop = g_unix_fd_add(wl_event_loop_get_fd(wl_display_get_event_loop(server->display)), G_IO_IN, on_event,
                                 server);
    return server;
}

void wlserver_free(WlServer *server)
{
    wl_display_destroy_clients(server->display);
    g_source_remove(server->loop);
    wl_display_destroy(server->display);
    g_ptr_array_unref(server->names);
    g_free(server->path);
    g_free(server);
}
