/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The least that SPICE outside QEMU can be: libspice-server in a process of its own, which hands bytes on between a client's
 * channels and the sockets of QEMU's character devices. One blank picture; no policy, no filter, no gate, no pointer. What it costs beside the daemon
 * is the daemon's; the rest is the process between, QEMU's and spice-server's. Usage: relay SPICE-SOCKET SUBTYPE=SOCKET...
 */
#include "core.h"
#include "screens.h"

#include <errno.h>
#include <glib-unix.h>
#include <spice/enums.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct Relay {
    SpiceCharDeviceInstance device;
    SpiceCharDeviceInterface interface;
    int fd;
    guint reads, writes; /* sources, 0 for none */
    gboolean asked;               /* libspice-server has read since it was woken */
} Relay;

static SpiceServer *server;

static Relay *from_device(SpiceCharDeviceInstance *device)
{
    return SPICE_CONTAINEROF(device, Relay, device);
}

static void hang_up(Relay *relay)
{
    g_clear_handle_id(&relay->reads, g_source_remove);
    g_clear_handle_id(&relay->writes, g_source_remove);
    if (relay->fd >= 0) {
        close(relay->fd);
        relay->fd = -1;
    }
}

static gboolean on_readable(int fd, GIOCondition condition, gpointer user)
{
    Relay *relay = user;

    (void)fd, (void)condition;
    relay->asked = FALSE;
    spice_server_char_device_wakeup(&relay->device);
    if (!relay->asked) { /* no client, or it takes no more now */
        relay->reads = 0;
        return G_SOURCE_REMOVE;
    }
    return relay->reads != 0;
}

static void read_on(Relay *relay)
{
    if (relay->fd >= 0 && relay->reads == 0) {
        relay->reads = g_unix_fd_add(relay->fd, G_IO_IN, on_readable, relay);
    }
}

static int device_read(SpiceCharDeviceInstance *device, uint8_t *data, int size)
{
    Relay *relay = from_device(device);
    ssize_t got = relay->fd < 0 ? 0 : recv(relay->fd, data, (size_t)size, MSG_DONTWAIT);

    relay->asked = TRUE;
    if (relay->fd >= 0 && (got == 0 || (got < 0 && errno != EAGAIN))) {
        hang_up(relay);
    }
    return MAX((int)got, 0);
}

static gboolean on_writable(int fd, GIOCondition condition, gpointer user)
{
    Relay *relay = user;

    (void)fd, (void)condition;
    relay->writes = 0;
    spice_server_char_device_wakeup(&relay->device);
    return G_SOURCE_REMOVE;
}

static int device_write(SpiceCharDeviceInstance *device, const uint8_t *data, int size)
{
    Relay *relay = from_device(device);
    ssize_t put = relay->fd < 0 ? 0 : send(relay->fd, data, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (put < size && relay->fd >= 0 && relay->writes == 0) {
        relay->writes = g_unix_fd_add(relay->fd, G_IO_OUT, on_writable, relay);
    }
    read_on(relay);
    return MAX((int)put, 0);
}

/* Both ends of USB greet each other when they meet: QEMU comes anew for each client. */
static void device_state(SpiceCharDeviceInstance *device, int connected)
{
    Relay *relay = from_device(device);

    if (connected) {
        read_on(relay);
    } else if (strcmp(device->subtype, "vdagent") != 0) {
        hang_up(relay);
    }
}

static gboolean on_connection(int fd, GIOCondition condition, gpointer user)
{
    Relay *relay = user;

    (void)condition;
    hang_up(relay);
    relay->fd = accept(fd, NULL, NULL);
    read_on(relay);
    return G_SOURCE_CONTINUE;
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0) {
        perror(path);
        return -1;
    }
    return fd;
}

static gboolean serve(Relay *relay, const char *subtype, const char *path)
{
    relay->interface = (SpiceCharDeviceInterface){
        .base = { .type = SPICE_INTERFACE_CHAR_DEVICE,
                  .description = "relay",
                  .major_version = SPICE_INTERFACE_CHAR_DEVICE_MAJOR,
                  .minor_version = SPICE_INTERFACE_CHAR_DEVICE_MINOR },
        .state = device_state,
        .write = device_write,
        .read = device_read,
        .flags = SPICE_CHAR_DEVICE_NOTIFY_WRITABLE,
    };
    relay->device.base.sif = &relay->interface.base;
    relay->device.subtype = subtype;
    relay->fd = -1;

    int listener = listen_at(path);

    if (listener < 0 || spice_server_add_interface(server, &relay->device.base) != 0) {
        return FALSE;
    }
    g_unix_fd_add(listener, G_IO_IN, on_connection, relay);
    return TRUE;
}

static void on_event(int event, const SpiceChannelEventInfo *info, gpointer user)
{
    Screens **screens = user;
    static guint viewers;

    if (info->type == SPICE_CHANNEL_DISPLAY && event != SPICE_CHANNEL_EVENT_CONNECTED) {
        viewers += event == SPICE_CHANNEL_EVENT_INITIALIZED ? 1u : -1u;
        screens_watched(*screens, viewers, viewers);
    }
}

static void on_resized(guint display, guint32 w, guint32 h, gpointer user)
{
    (void)display, (void)w, (void)h, (void)user;
}

int main(int argc, char **argv)
{
    const Options options = { .n_displays = 1, .display[0] = { .w = 1024, .h = 768 } };
    Screens *screens = NULL;
    g_autofree Relay *relays = g_new0(Relay, (gsize)argc);
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);

    server = spice_server_new();
    spice_server_set_addr(server, argv[1], SPICE_ADDR_FLAG_UNIX_ONLY);
    spice_server_set_noauth(server);
    if (spice_server_init(server, core_interface(on_event, &screens)) < 0) {
        return 1;
    }
    for (int i = 2; i < argc; i++) {
        char *equals = strchr(argv[i], '=');

        *equals = '\0';
        if (!serve(&relays[i], argv[i], equals + 1)) {
            return 1;
        }
    }
    screens = screens_new(&options, server, on_resized, NULL);
    spice_server_vm_start(server);
    puts("ready");
    fflush(stdout);
    g_main_loop_run(loop);
    return 0;
}
