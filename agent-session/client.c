/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client.h"

#include "log.h"

#include <errno.h>
#include <gio/gunixfdlist.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define AGENT_NAME "org.spice_space.Agent1"
#define AGENT_PATH "/org/spice_space/Agent1"
#define PROPERTIES "org.freedesktop.DBus.Properties"

#define CALL_TIMEOUT_MS 10000
#define READ_SIZE 65536u
/*
 * What waits for a socket: bulk data up to the first; when answers come on top of that, it is not read above the
 * second; and above the third the connection ends.
 */
#define OUT_BULK 131072u
#define OUT_PAUSE (2 * OUT_BULK)
#define OUT_MAX 1048576u
/* A connection that lasted this long was a good one: the next attempt is not delayed more than the first. */
#define GOOD_US (10 * G_USEC_PER_SEC)
#define RETRY_FIRST_MS 250u
#define RETRY_LAST_MS 30000u

typedef struct Channel {
    int fd; /* -1 without a connection */
    GSource *source;
    gpointer tag;
    Stream stream;
    gboolean peer, paused, wanted;
    Caps agreed;
    GByteArray *out; /* bytes for the socket, from `head` on */
    gsize head;
    GByteArray *held; /* whole messages waiting for the end of a bulk message */
    guint64 bulk_left; /* of the bulk message begun, data not yet given */
} Channel;

typedef struct ChannelSource {
    GSource base;
    Client *client;
    ClientSocket which;
} ChannelSource;

struct Client {
    GDBusConnection *bus;
    ClientEvents events;
    gpointer user;
    char *session, *active, *owner;
    Caps caps;
    guint watch_id, signal_id, retry_id, lost_id;
    guint retry_ms;
    gint64 since;
    GCancellable *calls;   /* all calls to the present owner */
    GCancellable *opening; /* OpenSession under way */
    gboolean connected, asking, layout_busy;
    GVariant *layout, *layout_sent;
    Channel channel[CLIENT_SOCKETS];
    guint8 buffer[READ_SIZE];
    LogPeer host, peer;
};

static void ask_active(Client *client);
static void maybe_open(Client *client);
static void send_layout(Client *client);

/* The rest of an ending connection, outside of every callback that may have caused it. */
static gboolean on_lost(gpointer user)
{
    Client *client = user;
    client->lost_id = 0;
    client->events.session(NULL, client->user);
    maybe_open(client);
    return G_SOURCE_REMOVE;
}

static gboolean on_retry(gpointer user)
{
    Client *client = user;
    client->retry_id = 0;
    maybe_open(client);
    return G_SOURCE_REMOVE;
}

static void delay_retry(Client *client)
{
    g_clear_handle_id(&client->retry_id, g_source_remove);
    client->retry_id = g_timeout_add(client->retry_ms, on_retry, client);
    client->retry_ms = MIN(client->retry_ms * 2, RETRY_LAST_MS);
}

static void retry_now(Client *client)
{
    g_clear_handle_id(&client->retry_id, g_source_remove);
    client->retry_ms = RETRY_FIRST_MS;
}

static void channel_clear(Channel *channel)
{
    if (channel->source != NULL) {
        g_source_destroy(channel->source);
        g_clear_pointer(&channel->source, g_source_unref);
    }
    if (channel->fd >= 0)
        close(channel->fd);
    channel->fd = -1;
    channel->peer = channel->paused = channel->wanted = FALSE;
    channel->head = 0;
    channel->bulk_left = 0;
    g_clear_pointer(&channel->out, g_byte_array_unref);
    g_clear_pointer(&channel->held, g_byte_array_unref);
}

/* End the connection, if there is one. The owner hears of it from the main loop. */
static void lose(Client *client, const char *why)
{
    if (!client->connected)
        return;
    g_message("connection to the system daemon ended: %s", why);
    client->connected = FALSE;
    g_clear_pointer(&client->layout_sent, g_variant_unref);
    for (gsize i = 0; i < CLIENT_SOCKETS; i++)
        channel_clear(&client->channel[i]);
    if (g_get_monotonic_time() - client->since > GOOD_US)
        client->retry_ms = RETRY_FIRST_MS;
    delay_retry(client);
    client->lost_id = g_idle_add_full(G_PRIORITY_HIGH, on_lost, client, NULL);
}

static gsize unsent(const Channel *channel)
{
    return channel->out != NULL ? channel->out->len - channel->head : 0;
}

static gsize waiting(const Channel *channel)
{
    return unsent(channel) + (channel->held != NULL ? channel->held->len : 0);
}

static void update_watch(Channel *channel)
{
    GIOCondition condition = 0;
    if (!channel->paused && waiting(channel) <= OUT_PAUSE)
        condition |= G_IO_IN;
    if (channel->out != NULL)
        condition |= G_IO_OUT;
    g_source_modify_unix_fd(channel->source, channel->tag, condition);
}

static gssize send_some(Client *client, Channel *channel, const guint8 *data, gsize size)
{
    gssize sent = send(channel->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0)
        return sent;
    if (errno == EAGAIN || errno == EINTR)
        return 0;
    lose(client, g_strerror(errno));
    return -1;
}

/* Give bytes to the socket, and keep what it does not take. */
static void channel_write(Client *client, Channel *channel, const guint8 *data, gsize size)
{
    if (channel->out == NULL) {
        gssize sent = send_some(client, channel, data, size);
        if (sent < 0 || (gsize) sent == size)
            return;
        data += sent;
        size -= sent;
        channel->out = g_byte_array_sized_new(size);
        channel->head = 0;
    }
    g_byte_array_append(channel->out, data, size);
    if (waiting(channel) > OUT_MAX)
        lose(client, "it does not take what is sent");
    else
        update_watch(channel);
}

static void channel_flush(Client *client, ClientSocket which)
{
    Channel *channel = &client->channel[which];
    if (channel->out == NULL)
        return;
    gssize sent = send_some(client, channel, channel->out->data + channel->head, channel->out->len - channel->head);
    if (sent < 0)
        return;
    channel->head += sent;
    if (channel->head == channel->out->len) {
        g_clear_pointer(&channel->out, g_byte_array_unref);
    } else if (channel->head >= OUT_BULK) {
        g_byte_array_remove_range(channel->out, 0, channel->head);
        channel->head = 0;
    }
    update_watch(channel);
    if (channel->wanted && unsent(channel) <= OUT_BULK / 2) {
        channel->wanted = FALSE;
        client->events.writable(which, client->user);
    }
}

static gboolean channel_message(Client *client, Channel *channel, const VdagentMessage *message)
{
    guint8 bytes[MESSAGE_HEADER_SIZE + LIMIT_MESSAGE];
    BytesWriter out = bytes_writer(bytes, sizeof bytes);
    VdagentResult result = vdagent_encode(&channel->agreed, message, &out);
    if (result != VDAGENT_OK) {
        log_bug("%s cannot be sent: %s", vdagent_name(message->type), vdagent_result_text(result));
        return FALSE;
    }
    if (channel->bulk_left > 0) {
        if (channel->held == NULL)
            channel->held = g_byte_array_new();
        g_byte_array_append(channel->held, bytes, out.used);
        if (waiting(channel) > OUT_MAX)
            lose(client, "it does not take what is sent");
        else
            update_watch(channel);
    } else {
        channel_write(client, channel, bytes, out.used);
    }
    return client->connected;
}

static void announce(Client *client, Channel *channel)
{
    VdagentMessage message = { .type = VD_AGENT_ANNOUNCE_CAPABILITIES };
    message.announce.caps = caps_union(&client->caps, vdagent_layout_caps());
    channel_message(client, channel, &message);
}

static void peer_arrived(Client *client, ClientSocket which, const VdagentAnnounce *theirs)
{
    Channel *channel = &client->channel[which];
    if (channel->bulk_left > 0) {
        lose(client, "another client came in the middle of a message for the last one");
        return;
    }
    channel->agreed = caps_both(&theirs->caps, vdagent_layout_caps());
    channel->stream.caps = channel->agreed;
    channel->peer = TRUE;
    if (theirs->request != 0)
        announce(client, channel);
    if (client->connected)
        client->events.peer(which, &channel->agreed, &theirs->caps, client->user);
}

static void peer_left(Client *client, ClientSocket which)
{
    Channel *channel = &client->channel[which];
    if (!channel->peer)
        return;
    channel->peer = FALSE;
    client->events.peer(which, NULL, NULL, client->user);
    if (channel->bulk_left > 0)
        lose(client, "the client left in the middle of a message for it");
}

static void take_message(Client *client, ClientSocket which, const VdagentMessage *message)
{
    if (message->type == VD_AGENT_ANNOUNCE_CAPABILITIES)
        peer_arrived(client, which, &message->announce);
    else if (message->type == VD_AGENT_CLIENT_DISCONNECTED)
        peer_left(client, which);
    else if (client->channel[which].peer)
        client->events.message(which, message, client->user);
    else
        log_peer(&client->host, "%s before any client", vdagent_name(message->type));
}

static void channel_read(Client *client, ClientSocket which)
{
    Channel *channel = &client->channel[which];
    gssize got = recv(channel->fd, client->buffer, sizeof client->buffer, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        lose(client, got == 0 ? "closed by it" : g_strerror(errno));
        return;
    }
    BytesReader in = bytes_reader(client->buffer, got);
    StreamEvent event;
    while (client->connected) {
        switch (stream_next(&channel->stream, &in, &event)) {
        case STREAM_MORE:
            return;
        case STREAM_MESSAGE:
            take_message(client, which, &event.message);
            break;
        case STREAM_BULK:
            if (channel->peer)
                client->events.bulk(which, &event.message, client->user);
            break;
        case STREAM_DATA:
            if (channel->peer)
                client->events.data(which, event.data, event.size, client->user);
            break;
        case STREAM_BULK_END:
            if (channel->peer)
                client->events.bulk_end(which, client->user);
            break;
        case STREAM_REFUSED:
            log_peer(&client->peer, "%s of %u bytes refused: %s", vdagent_name(event.header.type), event.header.size,
                     vdagent_result_text(event.why));
            break;
        case STREAM_BROKEN:
            lose(client, "what it sends are not agent messages");
            return;
        }
    }
}

static gboolean channel_dispatch(GSource *base, G_GNUC_UNUSED GSourceFunc callback, G_GNUC_UNUSED gpointer user)
{
    ChannelSource *source = (ChannelSource *) base;
    Client *client = source->client;
    Channel *channel = &client->channel[source->which];
    GIOCondition ready = g_source_query_unix_fd(base, channel->tag);
    if (ready & G_IO_OUT)
        channel_flush(client, source->which);
    if (g_source_is_destroyed(base))
        return G_SOURCE_REMOVE;
    if (ready & G_IO_IN)
        channel_read(client, source->which);
    else if (ready & (G_IO_HUP | G_IO_ERR | G_IO_NVAL))
        lose(client, "closed by it");
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs channel_funcs = { .dispatch = channel_dispatch };

static void channel_open(Client *client, ClientSocket which, int fd)
{
    Channel *channel = &client->channel[which];
    channel->fd = fd;
    stream_init(&channel->stream, VDAGENT_TO_GUEST);
    channel->source = g_source_new(&channel_funcs, sizeof(ChannelSource));
    ((ChannelSource *) channel->source)->client = client;
    ((ChannelSource *) channel->source)->which = which;
    /* Nothing recurses here, but GLib would wake itself up for each dispatch. */
    g_source_set_can_recurse(channel->source, TRUE);
    channel->tag = g_source_add_unix_fd(channel->source, fd, G_IO_IN);
    /* A transfer must not delay pointer-sized messages of the other socket, nor X events. */
    g_source_set_priority(channel->source, which == CLIENT_FILES ? G_PRIORITY_DEFAULT + 10 : G_PRIORITY_DEFAULT);
    g_source_attach(channel->source, NULL);
}

static void open_failed(Client *client, const char *why)
{
    log_peer(&client->host, "no connection for session %s: %s", client->session, why);
    delay_retry(client);
}

static void on_opened(GObject *bus, GAsyncResult *result, gpointer user)
{
    g_autoptr(GUnixFDList) fds = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_with_unix_fd_list_finish(G_DBUS_CONNECTION(bus), &fds, result, &error);
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return;
    Client *client = user;
    g_clear_object(&client->opening);
    if (reply == NULL) {
        g_dbus_error_strip_remote_error(error);
        open_failed(client, error->message);
        return;
    }
    gint32 index[CLIENT_SOCKETS];
    g_autoptr(GVariant) info = NULL;
    g_variant_get(reply, "(hh@a{sv})", &index[CLIENT_CONTROL], &index[CLIENT_FILES], &info);
    int fd[CLIENT_SOCKETS] = { -1, -1 };
    for (gsize i = 0; i < CLIENT_SOCKETS; i++) {
        if (fds != NULL && index[i] >= 0 && index[i] < g_unix_fd_list_get_length(fds))
            fd[i] = g_unix_fd_list_get(fds, index[i], NULL);
    }
    if (fd[CLIENT_CONTROL] < 0 || fd[CLIENT_FILES] < 0) {
        for (gsize i = 0; i < CLIENT_SOCKETS; i++) {
            if (fd[i] >= 0)
                close(fd[i]);
        }
        open_failed(client, "no descriptors came with it");
        return;
    }
    g_message("connected to the system daemon for session %s", client->session);
    client->connected = TRUE;
    client->since = g_get_monotonic_time();
    for (gsize i = 0; i < CLIENT_SOCKETS; i++)
        channel_open(client, i, fd[i]);
    client->events.session(info, client->user);
    send_layout(client);
}

/* Do what is due: learn which session is active, and open a connection when it is ours. */
static void maybe_open(Client *client)
{
    if (client->owner == NULL || client->retry_id != 0)
        return;
    if (client->active == NULL) {
        ask_active(client);
        return;
    }
    if (client->session == NULL || strcmp(client->session, client->active) != 0 || client->connected ||
        client->opening != NULL || client->lost_id != 0)
        return;
    GVariantBuilder options;
    g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&options, "{sv}", "session", g_variant_new_string(client->session));
    client->opening = g_cancellable_new();
    g_dbus_connection_call_with_unix_fd_list(client->bus, client->owner, AGENT_PATH, AGENT_NAME, "OpenSession",
                                             g_variant_new("(a{sv})", &options), G_VARIANT_TYPE("(hha{sv})"),
                                             G_DBUS_CALL_FLAGS_NONE, CALL_TIMEOUT_MS, NULL, client->opening, on_opened,
                                             client);
}

static void forget_opening(Client *client)
{
    if (client->opening != NULL)
        g_cancellable_cancel(client->opening);
    g_clear_object(&client->opening);
}

static void set_active(Client *client, const char *active)
{
    if (g_strcmp0(active, client->active) == 0)
        return;
    g_free(client->active);
    client->active = g_strdup(active);
    retry_now(client);
    if (g_strcmp0(client->session, active) != 0) {
        forget_opening(client);
        lose(client, "another session is active");
    }
    maybe_open(client);
}

static void on_active(GObject *bus, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, &error);
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return;
    Client *client = user;
    client->asking = FALSE;
    g_autoptr(GVariant) value = NULL;
    if (reply != NULL)
        g_variant_get(reply, "(v)", &value);
    if (value != NULL && g_variant_is_of_type(value, G_VARIANT_TYPE_STRING)) {
        set_active(client, g_variant_get_string(value, NULL));
        return;
    }
    if (error != NULL)
        g_dbus_error_strip_remote_error(error);
    log_peer(&client->host, "cannot read ActiveSession: %s", error != NULL ? error->message : "it is no text");
    /* A signal may have told meanwhile. */
    if (client->active == NULL)
        delay_retry(client);
}

static void ask_active(Client *client)
{
    if (client->asking)
        return;
    client->asking = TRUE;
    g_dbus_connection_call(client->bus, client->owner, AGENT_PATH, PROPERTIES, "Get",
                           g_variant_new("(ss)", AGENT_NAME, "ActiveSession"), G_VARIANT_TYPE("(v)"),
                           G_DBUS_CALL_FLAGS_NONE, CALL_TIMEOUT_MS, client->calls, on_active, client);
}

static void on_properties(G_GNUC_UNUSED GDBusConnection *bus, G_GNUC_UNUSED const char *sender,
                          G_GNUC_UNUSED const char *path, G_GNUC_UNUSED const char *interface,
                          G_GNUC_UNUSED const char *signal, GVariant *parameters, gpointer user)
{
    Client *client = user;
    if (!g_variant_is_of_type(parameters, G_VARIANT_TYPE("(sa{sv}as)")))
        return;
    g_autoptr(GVariant) changed = g_variant_get_child_value(parameters, 1);
    g_autoptr(GVariant) value = g_variant_lookup_value(changed, "ActiveSession", G_VARIANT_TYPE_STRING);
    if (value != NULL)
        set_active(client, g_variant_get_string(value, NULL));
}

static void on_vanished(G_GNUC_UNUSED GDBusConnection *bus, G_GNUC_UNUSED const char *name, gpointer user)
{
    Client *client = user;
    if (client->owner == NULL)
        return;
    g_dbus_connection_signal_unsubscribe(client->bus, client->signal_id);
    client->signal_id = 0;
    g_cancellable_cancel(client->calls);
    g_clear_object(&client->calls);
    client->asking = client->layout_busy = FALSE;
    g_clear_pointer(&client->owner, g_free);
    g_clear_pointer(&client->active, g_free);
    forget_opening(client);
    lose(client, "it is gone");
}

/* Signals are taken from this owner alone: anybody may send one that names the interface. */
static void on_appeared(G_GNUC_UNUSED GDBusConnection *bus, const char *name, const char *owner, gpointer user)
{
    Client *client = user;
    on_vanished(client->bus, name, client);
    client->owner = g_strdup(owner);
    client->calls = g_cancellable_new();
    client->signal_id =
        g_dbus_connection_signal_subscribe(client->bus, owner, PROPERTIES, "PropertiesChanged", AGENT_PATH, AGENT_NAME,
                                           G_DBUS_SIGNAL_FLAGS_NONE, on_properties, client, NULL);
    retry_now(client);
    maybe_open(client);
}

static void on_layout_sent(GObject *bus, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, &error);
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return;
    Client *client = user;
    client->layout_busy = FALSE;
    if (reply == NULL) {
        g_dbus_error_strip_remote_error(error);
        log_peer(&client->host, "layout refused: %s", error->message);
    }
    send_layout(client);
}

static void send_layout(Client *client)
{
    if (!client->connected || client->layout_busy || client->layout == NULL ||
        (client->layout_sent != NULL && g_variant_equal(client->layout, client->layout_sent)))
        return;
    g_clear_pointer(&client->layout_sent, g_variant_unref);
    client->layout_sent = g_variant_ref(client->layout);
    client->layout_busy = TRUE;
    g_dbus_connection_call(client->bus, client->owner, AGENT_PATH, AGENT_NAME, "SetLayout",
                           g_variant_new("(@a(suuiiuuu))", client->layout), NULL, G_DBUS_CALL_FLAGS_NONE,
                           CALL_TIMEOUT_MS, client->calls, on_layout_sent, client);
}

Client *client_new(GDBusConnection *bus, const ClientEvents *events, gpointer user)
{
    Client *client = g_new0(Client, 1);
    client->bus = bus;
    client->events = *events;
    client->user = user;
    client->retry_ms = RETRY_FIRST_MS;
    client->host.name = "host";
    client->peer.name = "client";
    for (gsize i = 0; i < CLIENT_SOCKETS; i++)
        client->channel[i].fd = -1;
    client->watch_id = g_bus_watch_name_on_connection(bus, AGENT_NAME, G_BUS_NAME_WATCHER_FLAGS_NONE, on_appeared,
                                                      on_vanished, client, NULL);
    return client;
}

void client_free(Client *client)
{
    if (client == NULL)
        return;
    g_bus_unwatch_name(client->watch_id);
    on_vanished(client->bus, AGENT_NAME, client);
    g_clear_handle_id(&client->retry_id, g_source_remove);
    g_clear_handle_id(&client->lost_id, g_source_remove);
    g_clear_pointer(&client->layout, g_variant_unref);
    g_free(client->session);
    g_free(client);
}

void client_set_session(Client *client, const char *session)
{
    if (g_strcmp0(session, client->session) == 0)
        return;
    forget_opening(client);
    lose(client, "another session is served");
    retry_now(client);
    g_free(client->session);
    client->session = g_strdup(session);
    maybe_open(client);
}

void client_set_caps(Client *client, const Caps *caps)
{
    if (caps_equal(caps, &client->caps))
        return;
    client->caps = *caps;
    for (gsize i = 0; i < CLIENT_SOCKETS; i++) {
        if (client->channel[i].peer)
            announce(client, &client->channel[i]);
    }
}

gboolean client_send(Client *client, ClientSocket socket, const VdagentMessage *message)
{
    Channel *channel = &client->channel[socket];
    if (!channel->peer)
        return FALSE;
    gboolean bulk = vdagent_type(message->type)->bulk;
    if (bulk && channel->bulk_left > 0) {
        log_bug("%s begun inside of another", vdagent_name(message->type));
        return FALSE;
    }
    if (!channel_message(client, channel, message))
        return FALSE;
    if (bulk)
        channel->bulk_left =
            message->type == VD_AGENT_CLIPBOARD ? message->clipboard.size : message->file_data.size;
    return TRUE;
}

gsize client_room(Client *client, ClientSocket socket)
{
    Channel *channel = &client->channel[socket];
    if (!channel->peer)
        return 0;
    channel->wanted = channel->out != NULL;
    return OUT_BULK - MIN(unsent(channel), OUT_BULK);
}

void client_send_data(Client *client, ClientSocket socket, const guint8 *data, gsize size)
{
    Channel *channel = &client->channel[socket];
    if (!client->connected)
        return;
    if (size > channel->bulk_left) {
        log_bug("%zu bytes more than the message announced", (gsize) (size - channel->bulk_left));
        size = channel->bulk_left;
    }
    channel->bulk_left -= size;
    channel_write(client, channel, data, size);
    if (client->connected && channel->bulk_left == 0 && channel->held != NULL) {
        g_autoptr(GByteArray) held = g_steal_pointer(&channel->held);
        channel_write(client, channel, held->data, held->len);
        if (client->connected)
            update_watch(channel);
    }
}

void client_pause(Client *client, ClientSocket socket, gboolean paused)
{
    Channel *channel = &client->channel[socket];
    if (!client->connected || channel->paused == !!paused)
        return;
    channel->paused = !!paused;
    update_watch(channel);
}

void client_set_layout(Client *client, GVariant *outputs)
{
    g_variant_ref_sink(outputs);
    g_clear_pointer(&client->layout, g_variant_unref);
    client->layout = outputs;
    send_layout(client);
}
