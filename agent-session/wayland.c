/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wayland.h"

#include "log.h"
#include "socketpeer.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WATCHES 8
/* More than any compositor has; a list without end is not kept. */
#define GLOBALS_MAX 1024u

typedef struct Global {
    guint32 name, version;
    char *interface;
} Global;

typedef struct Source {
    GSource base;
    Wayland *wayland;
} Source;

struct Wayland {
    struct wl_display *display;
    struct wl_registry *registry;
    struct wl_callback *sync;
    GSource *source;
    gpointer tag;
    GIOCondition watched;
    gboolean reading; /* between wl_display_prepare_read() and read or cancel */
    guint closed_id, ready_id;
    WaylandEvents events;
    gpointer user;
    GArray *globals; /* of Global */
    struct {
        const char *interface;
        const WaylandWatch *watch;
        gpointer user;
    } watch[WATCHES];
    guint watches;
};

static void global_clear(gpointer data)
{
    g_free(((Global *) data)->interface);
}

/* --- The main loop --- */

static gboolean on_closed(gpointer user)
{
    Wayland *wayland = user;
    wayland->closed_id = 0;
    g_autofree char *why = NULL;
    int error = wl_display_get_error(wayland->display);
    const struct wl_interface *interface = NULL;
    guint32 id, code = error == EPROTO ? wl_display_get_protocol_error(wayland->display, &interface, &id) : 0;
    if (interface != NULL)
        why = g_strdup_printf("the compositor reports error %u of %s", code, interface->name);
    else if (error == 0 || error == EPIPE || error == ECONNRESET)
        why = g_strdup("the compositor went away");
    else
        why = g_strdup_printf("the connection to the compositor: %s", g_strerror(error));
    wayland->events.closed(why, wayland->user);
    return G_SOURCE_REMOVE;
}

static void stop(Wayland *wayland)
{
    if (wayland->source == NULL)
        return;
    if (wayland->reading)
        wl_display_cancel_read(wayland->display);
    wayland->reading = FALSE;
    g_source_destroy(wayland->source);
    g_clear_pointer(&wayland->source, g_source_unref);
}

static void end(Wayland *wayland)
{
    stop(wayland);
    g_clear_handle_id(&wayland->ready_id, g_source_remove);
    wayland->closed_id = g_idle_add_full(G_PRIORITY_HIGH, on_closed, wayland, NULL);
}

/* What was queued goes out before the loop sleeps. A compositor that takes nothing is waited for. */
static gboolean source_prepare(GSource *base, int *ret_timeout)
{
    Wayland *wayland = ((Source *) base)->wayland;
    *ret_timeout = -1;
    if (!wayland->reading) {
        if (wl_display_prepare_read(wayland->display) != 0)
            return TRUE; /* there are events already */
        wayland->reading = TRUE;
    }
    GIOCondition want = G_IO_IN;
    if (wl_display_flush(wayland->display) < 0 && errno == EAGAIN)
        want |= G_IO_OUT;
    if (want != wayland->watched) /* it makes the loop go round once more */
        g_source_modify_unix_fd(base, wayland->tag, want);
    wayland->watched = want;
    return FALSE;
}

static gboolean source_check(GSource *base)
{
    Wayland *wayland = ((Source *) base)->wayland;
    GIOCondition got = g_source_query_unix_fd(base, wayland->tag);
    if (!wayland->reading)
        return TRUE;
    if ((got & (G_IO_IN | G_IO_ERR | G_IO_HUP)) == 0)
        return FALSE;
    wayland->reading = FALSE;
    wl_display_read_events(wayland->display);
    return TRUE;
}

static gboolean source_dispatch(GSource *base, G_GNUC_UNUSED GSourceFunc callback, G_GNUC_UNUSED gpointer user)
{
    Wayland *wayland = ((Source *) base)->wayland;
    gboolean lost = wl_display_dispatch_pending(wayland->display) < 0;
    if (lost || wl_display_get_error(wayland->display) != 0)
        end(wayland);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = { .prepare = source_prepare, .check = source_check, .dispatch = source_dispatch };

/* --- Globals --- */

static void on_global(void *user, G_GNUC_UNUSED struct wl_registry *registry, guint32 name, const char *interface,
                      guint32 version)
{
    Wayland *wayland = user;
    if (wayland->globals->len >= GLOBALS_MAX)
        return;
    Global global = { .name = name, .version = version, .interface = g_strdup(interface) };
    g_array_append_val(wayland->globals, global);
    for (guint i = 0; i < wayland->watches; i++) {
        if (g_str_equal(wayland->watch[i].interface, interface))
            wayland->watch[i].watch->appeared(name, version, wayland->watch[i].user);
    }
}

static void on_global_remove(void *user, G_GNUC_UNUSED struct wl_registry *registry, guint32 name)
{
    Wayland *wayland = user;
    for (guint i = 0; i < wayland->globals->len; i++) {
        const Global *global = &g_array_index(wayland->globals, Global, i);
        if (global->name != name)
            continue;
        g_autofree char *interface = g_strdup(global->interface);
        g_array_remove_index(wayland->globals, i);
        for (guint k = 0; k < wayland->watches; k++) {
            if (g_str_equal(wayland->watch[k].interface, interface))
                wayland->watch[k].watch->vanished(name, wayland->watch[k].user);
        }
        return;
    }
}

static const struct wl_registry_listener registry_listener = { .global = on_global, .global_remove = on_global_remove };

static gboolean on_ready(gpointer user)
{
    Wayland *wayland = user;
    wayland->ready_id = 0;
    wayland->events.ready(wayland->user);
    return G_SOURCE_REMOVE;
}

/* The connection must not be freed from inside of a listener. */
static void on_sync(void *user, struct wl_callback *callback, G_GNUC_UNUSED guint32 serial)
{
    Wayland *wayland = user;
    wl_callback_destroy(callback);
    wayland->sync = NULL;
    wayland->ready_id = g_idle_add_full(G_PRIORITY_HIGH, on_ready, wayland, NULL);
}

static const struct wl_callback_listener sync_listener = { .done = on_sync };

static const Global *find(const Wayland *wayland, const char *interface)
{
    for (guint i = 0; i < wayland->globals->len; i++) {
        const Global *global = &g_array_index(wayland->globals, Global, i);
        if (g_str_equal(global->interface, interface))
            return global;
    }
    return NULL;
}

guint32 wayland_version(const Wayland *wayland, const char *interface)
{
    const Global *global = find(wayland, interface);
    return global != NULL ? global->version : 0;
}

GVariant *wayland_globals(const Wayland *wayland)
{
    GVariantBuilder globals;
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    g_variant_builder_init(&globals, G_VARIANT_TYPE("a{su}"));
    for (guint i = 0; i < wayland->globals->len; i++) {
        const Global *global = &g_array_index(wayland->globals, Global, i);
        if (g_utf8_validate(global->interface, -1, NULL) && g_hash_table_add(seen, global->interface))
            g_variant_builder_add(&globals, "{su}", global->interface, global->version);
    }
    return g_variant_builder_end(&globals);
}

pid_t wayland_pid(const Wayland *wayland)
{
    return socketpeer_pid(wl_display_get_fd(wayland->display));
}

char *wayland_program(const Wayland *wayland)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/comm", wayland_pid(wayland));
    char *name = NULL;
    g_file_get_contents(path, &name, NULL, NULL);
    return name != NULL ? g_strchomp(name) : g_strdup("");
}

gpointer wayland_bind_name(Wayland *wayland, guint32 name, const struct wl_interface *interface, guint32 version)
{
    return wl_registry_bind(wayland->registry, name, interface, version);
}

gpointer wayland_bind(Wayland *wayland, const struct wl_interface *interface, guint32 version)
{
    const Global *global = find(wayland, interface->name);
    return global != NULL ? wayland_bind_name(wayland, global->name, interface, MIN(global->version, version)) : NULL;
}

void wayland_watch(Wayland *wayland, const char *interface, const WaylandWatch *watch, gpointer user)
{
    g_assert(wayland->watches < WATCHES);
    wayland->watch[wayland->watches].interface = interface;
    wayland->watch[wayland->watches].watch = watch;
    wayland->watch[wayland->watches++].user = user;
    for (guint i = 0; i < wayland->globals->len; i++) {
        const Global global = g_array_index(wayland->globals, Global, i);
        if (g_str_equal(global.interface, interface))
            watch->appeared(global.name, global.version, user);
    }
}

void wayland_unwatch(Wayland *wayland, const WaylandWatch *watch, gpointer user)
{
    for (guint i = 0; i < wayland->watches; i++) {
        if (wayland->watch[i].watch == watch && wayland->watch[i].user == user) {
            wayland->watches--;
            memmove(&wayland->watch[i], &wayland->watch[i + 1], (wayland->watches - i) * sizeof wayland->watch[0]);
            return;
        }
    }
}

/* --- The connection --- */

static int connect_to(const char *path, GError **error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FILENAME_TOO_LONG, "%s: too long for a socket", path);
        return -1;
    }
    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *) &address, sizeof address) == 0)
        return fd;
    int number = errno;
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(number), "%s: %s", path, g_strerror(number));
    if (fd >= 0)
        close(fd);
    return -1;
}

/* libwayland's own goes to stderr; what it says is also in closed(). */
static void G_GNUC_PRINTF(1, 0) on_log(const char *format, va_list arguments)
{
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    g_debug("%s", g_strchomp(text));
}

Wayland *wayland_new(const char *path, const WaylandEvents *events, gpointer user, GError **error)
{
    int fd = connect_to(path, error);
    if (fd < 0)
        return NULL;
    wl_log_set_handler_client(on_log);
    Wayland *wayland = g_new0(Wayland, 1);
    wayland->display = wl_display_connect_to_fd(fd);
    if (wayland->display == NULL) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s: cannot connect", path);
        g_free(wayland);
        return NULL;
    }
    wayland->events = *events;
    wayland->user = user;
    wayland->globals = g_array_new(FALSE, FALSE, sizeof(Global));
    g_array_set_clear_func(wayland->globals, global_clear);
    wayland->registry = wl_display_get_registry(wayland->display);
    wl_registry_add_listener(wayland->registry, &registry_listener, wayland);
    wayland->sync = wl_display_sync(wayland->display);
    wl_callback_add_listener(wayland->sync, &sync_listener, wayland);
    wayland->source = g_source_new(&source_funcs, sizeof(Source));
    ((Source *) wayland->source)->wayland = wayland;
    wayland->tag = g_source_add_unix_fd(wayland->source, wl_display_get_fd(wayland->display), G_IO_IN);
    wayland->watched = G_IO_IN;
    g_source_attach(wayland->source, NULL);
    return wayland;
}

void wayland_free(Wayland *wayland)
{
    if (wayland == NULL)
        return;
    stop(wayland);
    g_clear_handle_id(&wayland->closed_id, g_source_remove);
    g_clear_handle_id(&wayland->ready_id, g_source_remove);
    g_clear_pointer(&wayland->sync, wl_callback_destroy);
    wl_registry_destroy(wayland->registry);
    wl_display_flush(wayland->display);
    wl_display_disconnect(wayland->display);
    g_array_unref(wayland->globals);
    g_free(wayland);
}

struct wl_display *wayland_display(Wayland *wayland)
{
    return wayland->display;
}
