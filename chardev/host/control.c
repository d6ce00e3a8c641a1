/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "control.h"

#include "access.h"
#include "listener.h"

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A status is far smaller; a socket takes this much at once, so nothing has to wait. */
#define STATUS_MAX 65536u

/* A daemon that does not answer for so long does not work. */
#define TIMEOUT_S 5

struct Control {
    Listener *listener;
    ControlStatus status;
    gpointer user;
};

static gchar *control_path(const Options *options)
{
    return g_build_filename(options->runtime_dir, options->name, "control", NULL);
}

static void answer(int fd, gpointer user)
{
    Control *control = user;
    json_t *status = control->status(control->user);
    char *text = json_dumps(status, JSON_INDENT(2));

    if (text && strlen(text) <= STATUS_MAX) {
        int size = STATUS_MAX;

        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
        (void)!send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)!send(fd, "\n", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    free(text);
    json_decref(status);
    close(fd);
}

Control *control_new(const Options *options, ControlStatus status, gpointer user, GError **error)
{
    g_autofree gchar *path = control_path(options);
    g_autoptr(Control) control = g_new0(Control, 1);

    control->status = status;
    control->user = user;
    control->listener = listener_new(access_listen(path, 0600, NULL, error), path, answer, control);
    return control->listener ? g_steal_pointer(&control) : NULL;
}

void control_free(Control *control)
{
    if (control) {
        listener_free(control->listener, TRUE);
        g_free(control);
    }
}

static void print_channel(const json_t *channel)
{
    const char *type, *path, *guest;
    int qemu;
    json_int_t queued, dropped;

    if (json_unpack((json_t *)channel, "{s:s, s:s, s:b, s:s, s:I, s:I}", "type", &type, "path", &path, "qemu", &qemu, "guest",
                    &guest, "queued", &queued, "dropped", &dropped) < 0) {
        return;
    }
    printf("  %-10s %s: QEMU %s, guest %s", type, path, qemu ? "connected" : "not connected", guest);
    if (queued > 0) {
        printf(", %" JSON_INTEGER_FORMAT " waiting", queued);
    }
    if (dropped > 0) {
        printf(", %" JSON_INTEGER_FORMAT " dropped", dropped);
    }
    putchar('\n');
}

static gboolean print_for_people(json_t *status)
{
    const char *name, *uri, *sink, *key;
    json_t *clients, *channels, *counters, *item;
    gsize i;

    if (json_unpack(status, "{s:s, s:s, s:s, s:o, s:o, s:o}", "name", &name, "uri", &uri, "sink", &sink, "clients", &clients,
                    "channels", &channels, "counters", &counters) < 0) {
        return FALSE;
    }
    printf("%s at %s\n", name, uri);
    printf("pointer: %s\n", strcmp(sink, "none") == 0 ? "no way into the guest" : sink);
    printf("clients: %s\n", json_array_size(clients) == 0 ? "none" : "");
    json_array_foreach(clients, i, item) {
        printf("  %s%s\n", json_string_value(json_object_get(item, "address")),
               json_is_true(json_object_get(item, "tls")) ? ", TLS" : "");
    }
    printf("channels:\n");
    json_array_foreach(channels, i, item) {
        print_channel(item);
    }
    printf("counters:\n");
    json_object_foreach(counters, key, item) {
        printf("  %-24s %" JSON_INTEGER_FORMAT "\n", key, json_integer_value(item));
    }
    return TRUE;
}

gboolean control_print(const Options *options, GError **error)
{
    g_autofree gchar *path = control_path(options);
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
    g_autofree gchar *text = g_malloc(STATUS_MAX + 1);
    gsize size;

    g_socket_client_set_timeout(client, TIMEOUT_S); /* of the sockets that it makes from now on */

    g_autoptr(GSocketConnection) connection =
        g_socket_client_connect(client, G_SOCKET_CONNECTABLE(address), NULL, error);

    if (!connection) {
        g_prefix_error(error, "spicevmc for %s does not run, or may not be asked: %s: ", options->name, path);
        return FALSE;
    }
    if (!g_input_stream_read_all(g_io_stream_get_input_stream(G_IO_STREAM(connection)), text, STATUS_MAX, &size, NULL,
                                 error)) {
        g_prefix_error(error, "%s: ", path);
        return FALSE;
    }
    text[size] = '\0';
    if (!options->human) {
        fputs(text, stdout);
        return TRUE;
    }

    json_t *status = json_loads(text, 0, NULL);
    gboolean ok = status && print_for_people(status);

    json_decref(status);
    if (!ok) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s: the answer is not a status", path);
    }
    return ok;
}
