/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "server.h"

#include "access.h"
#include "core.h"
#include "gate.h"
#include "listener.h"

#include <gio/gio.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spice/enums.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * A connection that is silent for so long is asked whether anybody is there. Where the port is open to other hosts, for which
 * it has no more than the word that there is one for TLS, those that have gone would stay for ever.
 */
#define KEEPALIVE_S 600

typedef struct Client {
    int connection;
    gchar *address;
    gboolean tls;
    guint channels;
} Client;

struct Server {
    SpiceServer *spice;
    const Options *options;
    ServerEvents events;
    gpointer user;
    gchar *uri;
    Listener *listener; /* of the unix socket or the plain port; NULL where libspice-server has its own */
    Gate *gate;         /* the same */
    GPtrArray *clients;
    guint viewers;
};

static void client_free(gpointer data)
{
    Client *client = data;

    g_free(client->address);
    g_free(client);
}

static gchar *address_text(const Server *server, const SpiceChannelEventInfo *info)
{
    struct sockaddr_storage peer = info->paddr_ext;
    socklen_t size = info->flags & SPICE_CHANNEL_EVENT_FLAG_ADDR_EXT ? (socklen_t)info->plen_ext : 0;
    int fd = server->gate ? gate_acting(server->gate) : -1;

    if (fd >= 0) {
        size = sizeof(peer);
        if (getpeername(fd, (struct sockaddr *)&peer, &size) < 0) {
            return g_strdup("gone");
        }
    }

    g_autoptr(GSocketAddress) address = size > 0 ? g_socket_address_new_from_native(&peer, size) : NULL;

    if (address && G_IS_INET_SOCKET_ADDRESS(address)) {
        return g_socket_connectable_to_string(G_SOCKET_CONNECTABLE(address));
    }
    return g_strdup("unix");
}

/* The connection id tells the channels of one client from another's, from INITIALIZED on. */
static Client *find_client(const Server *server, int connection)
{
    for (guint i = 0; i < server->clients->len; i++) {
        Client *client = g_ptr_array_index(server->clients, i);

        if (client->connection == connection) {
            return client;
        }
    }
    return NULL;
}

static void channel_event(int event, const SpiceChannelEventInfo *info, gpointer user)
{
    Server *server = user;
    Client *client = find_client(server, info->connection_id);

    g_debug("client %d: channel %d.%d: event %d", info->connection_id, info->type, info->id, event);
    if (event == SPICE_CHANNEL_EVENT_INITIALIZED) {
        if (!client) {
            client = g_new0(Client, 1);
            client->connection = info->connection_id;
            client->address = address_text(server, info);
            client->tls = (info->flags & SPICE_CHANNEL_EVENT_FLAG_TLS) != 0;
            g_ptr_array_add(server->clients, client);
            g_info("client connected: %s%s", client->address, client->tls ? ", TLS" : "");
        }
        client->channels++;
        server->viewers += info->type == SPICE_CHANNEL_DISPLAY;
        server->events.watched(server->clients->len, server->viewers, server->user);
    } else if (event == SPICE_CHANNEL_EVENT_DISCONNECTED && client) {
        if (--client->channels == 0) {
            g_info("client is gone: %s", client->address);
            g_ptr_array_remove(server->clients, client);
        }
        server->viewers -= info->type == SPICE_CHANNEL_DISPLAY;
        server->events.watched(server->clients->len, server->viewers, server->user);
        if (info->type == SPICE_CHANNEL_INPUTS || info->type == SPICE_CHANNEL_MAIN) {
            server->events.input_gone(server->user);
        }
    }
}

static gboolean add_client(int fd, gpointer user)
{
    Server *server = user;

    return spice_server_add_client(server->spice, fd, 0) >= 0;
}

static void incoming(int fd, gpointer user)
{
    Server *server = user;
    const int on = 1, idle_s = KEEPALIVE_S;

    if (server->options->listen_address) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    }
    gate_take(server->gate, fd);
}

static gboolean set_access(Server *server, const char *ticket, GError **error)
{
    const Options *options = server->options;

    if (options->sasl) {
        if (spice_server_set_sasl(server->spice, 1) < 0 ||
            spice_server_set_sasl_appname(server->spice, "spicevmc") < 0) {
            g_set_error(error, OPTIONS_ERROR, OPTIONS_EXIT_CONFIG, "--sasl: this libspice-server has no SASL");
            return FALSE;
        }
    } else if (ticket) {
        spice_server_set_ticket(server->spice, ticket, 0, 0, 0);
    } else {
        spice_server_set_noauth(server->spice);
    }
    if (access_tls_only(options)) {
        spice_server_set_channel_security(server->spice, NULL, SPICE_CHANNEL_SECURITY_SSL);
    }
    if (options->tls_port != 0 &&
        spice_server_set_tls(server->spice, options->tls_port, options->tls_ca, options->tls_cert, options->tls_key, NULL,
                             NULL, NULL) < 0) {
        g_set_error(error, OPTIONS_ERROR, OPTIONS_EXIT_CONFIG, "%s: libspice-server does not take these TLS files",
                    options->tls_cert);
        return FALSE;
    }
    return TRUE;
}

static gboolean listen_on(Server *server, int fd, const char *name)
{
    server->gate = gate_new(add_client, server);
    server->listener = listener_new(fd, name, incoming, server);
    return server->listener != NULL;
}

static gboolean set_address(Server *server, GError **error)
{
    const Options *options = server->options;

    if (options->listen_path) {
        server->uri = g_strdup_printf("spice+unix://%s", options->listen_path);
        return listen_on(server, access_listen(options->listen_path, options->socket_mode, options->socket_group, error),
                         options->listen_path);
    }

    gboolean ipv6 = strchr(options->listen_address, ':') != NULL;
    GString *uri = g_string_new(NULL);

    g_string_printf(uri, "spice://%s%s%s?", ipv6 ? "[" : "", options->listen_address, ipv6 ? "]" : "");
    /* SASL wants to know the client's address, which libspice-server could not tell from behind the gate. */
    gboolean gated = options->listen_port != 0 && !options->sasl;

    if (options->listen_port != 0) {
        if (!gated) {
            spice_server_set_port(server->spice, options->listen_port);
        }
        g_string_append_printf(uri, "port=%u%s", options->listen_port, options->tls_port != 0 ? "&" : "");
    }
    if (options->tls_port != 0) {
        g_string_append_printf(uri, "tls-port=%u", options->tls_port);
    }
    spice_server_set_addr(server->spice, options->listen_address, 0);
    server->uri = g_string_free(uri, FALSE);
    return !gated ||
           listen_on(server, access_listen_tcp(options->listen_address, options->listen_port, error), server->uri);
}

Server *server_new(const Options *options, const char *ticket, const ServerEvents *events, gpointer user, GError **error)
{
    g_autoptr(Server) server = g_new0(Server, 1);

    server->spice = spice_server_new();
    server->options = options;
    server->events = *events;
    server->user = user;
    server->clients = g_ptr_array_new_with_free_func(client_free);
    spice_server_set_name(server->spice, options->name);
    /* Blank pictures need no dictionary of what was sent before, and there is nothing to stream. */
    spice_server_set_image_compression(server->spice, SPICE_IMAGE_COMPRESSION_QUIC);
    spice_server_set_streaming_video(server->spice, SPICE_STREAM_VIDEO_OFF);
    if (!set_access(server, ticket, error) || !set_address(server, error)) {
        return NULL;
    }
    if (spice_server_init(server->spice, core_interface(channel_event, server)) < 0) {
        g_set_error(error, OPTIONS_ERROR, OPTIONS_EXIT_IN_USE, "%s: cannot listen there; is the port taken?", server->uri);
        return NULL;
    }
    spice_server_vm_start(server->spice);
    return g_steal_pointer(&server);
}

void server_free(Server *server)
{
    if (!server) {
        return;
    }
    listener_free(server->listener, server->options->listen_path != NULL);
    gate_free(server->gate);
    spice_server_destroy(server->spice);
    g_ptr_array_unref(server->clients);
    g_free(server->uri);
    g_free(server);
}

SpiceServer *server_spice(const Server *server)
{
    return server->spice;
}

Gate *server_gate(const Server *server)
{
    return server->gate;
}

const char *server_uri(const Server *server)
{
    return server->uri;
}

json_t *server_clients(const Server *server)
{
    json_t *list = json_array();

    for (guint i = 0; i < server->clients->len; i++) {
        const Client *client = g_ptr_array_index(server->clients, i);

        json_array_append_new(list, json_pack("{s:s, s:b, s:i}", "address", client->address, "tls", (int)client->tls,
                                              "channels", (int)client->channels));
    }
    return list;
}
