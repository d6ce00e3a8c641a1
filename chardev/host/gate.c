/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gate.h"

#include "core.h"
#include "log.h"
#include "spicelink.h"

#include <errno.h>
#include <gio/gio.h>
#include <spice/enums.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ 65536u
#define BUFFER (READ + SPICELINK_KEPT_MAX)

/* One direction. What has been read waits in the buffer until all of it is written. */
typedef struct Lane {
    guint8 *buffer;
    gsize at, end;
    gboolean over; /* whoever is read from has ended */
} Lane;

typedef struct Connection {
    GSource source;
    Gate *gate;
    int client, server; /* -1: not yet, or no more */
    int far;            /* libspice-server's end of what `server` is one end of */
    gpointer client_tag, server_tag;
    GIOCondition client_wanted, server_wanted;
    Lane up, down; /* from the client, to the client */
    Spicelink link;
    gint64 passed;     /* bytes of this channel that QEMU has got */
    gint64 began;      /* a display: when it logged in, on the monotonic clock; else 0 */
    gboolean lingers;  /* the client is gone, and libspice-server is not to know yet */
    guint timer;
} Connection;

struct Gate {
    GateAdd add;
    gpointer user;
    GPtrArray *connections;
    int acting; /* see gate_acting() */
    LogPeer log;
};

static gboolean begun(const Connection *connection)
{
    return connection->server >= 0;
}

static void end(Connection *connection)
{
    g_clear_handle_id(&connection->timer, g_source_remove);
    if (connection->client >= 0) {
        close(connection->client);
    }
    if (connection->server >= 0) {
        close(connection->server);
    }
    g_free(connection->up.buffer);
    g_free(connection->down.buffer);
    g_source_destroy(&connection->source);
    g_ptr_array_remove_fast(connection->gate->connections, connection);
    g_source_unref(&connection->source);
}

/* Does this result of recv() say that there is no more? */
static gboolean is_end(gssize got)
{
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

/* FALSE if nobody reads there any more. */
static gboolean drain(Lane *lane, int fd)
{
    while (lane->at < lane->end) {
        gssize put = send(fd, lane->buffer + lane->at, lane->end - lane->at, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (put < 0 && errno != EINTR) {
            return errno == EAGAIN;
        }
        lane->at += (gsize)MAX(put, 0);
    }
    return TRUE;
}

static gboolean full(const Lane *lane)
{
    return lane->at < lane->end;
}

/* QEMU does not read, and libspice-server would keep what comes. */
static gboolean held(const Connection *connection)
{
    int kind = connection->link.channel;

    return (kind == SPICE_CHANNEL_USBREDIR || kind == SPICE_CHANNEL_PORT || kind == SPICE_CHANNEL_WEBDAV) &&
           (gint64)connection->link.data - connection->passed > GATE_AHEAD;
}

/*
 * A socket of which nothing is wanted is not in the poll, which would report its end for ever. Each change costs a wake-up of
 * the loop, and there is none most times.
 */
static void watch(Connection *connection, int fd, gpointer *tag, GIOCondition *known, GIOCondition wanted)
{
    if (fd < 0 || *known == wanted) {
        return;
    }
    if (!*tag) {
        *tag = g_source_add_unix_fd(&connection->source, fd, wanted);
    } else if (wanted) {
        g_source_modify_unix_fd(&connection->source, *tag, wanted);
    } else {
        g_source_remove_unix_fd(&connection->source, *tag);
        *tag = NULL;
    }
    *known = wanted;
}

static void watch_client(Connection *connection, GIOCondition wanted)
{
    watch(connection, connection->client, &connection->client_tag, &connection->client_wanted, wanted);
}

static void watch_server(Connection *connection, GIOCondition wanted)
{
    watch(connection, connection->server, &connection->server_tag, &connection->server_wanted, wanted);
}

/* Who waits for what: a lane is read into when it is empty, and written from when it is not. */
static void update(Connection *connection)
{
    gboolean up = !full(&connection->up) && !connection->up.over && !held(connection);
    gboolean down = !full(&connection->down);

    watch_client(connection, (up ? G_IO_IN : 0) | (down ? 0 : G_IO_OUT));
    watch_server(connection, (down ? G_IO_IN : 0) | (full(&connection->up) ? G_IO_OUT : 0));
}

static GIOCondition ready(const Connection *connection, gpointer tag)
{
    return tag ? g_source_query_unix_fd((GSource *)&connection->source, tag) : 0;
}

static gboolean lingered(gpointer user)
{
    Connection *connection = user;

    connection->timer = 0;
    end(connection);
    return G_SOURCE_REMOVE;
}

/* The client is gone, or is to go. */
static void leave(Connection *connection)
{
    gint64 left = connection->began + GATE_LINGER_MS * G_TIME_SPAN_MILLISECOND - g_get_monotonic_time();

    if (connection->began == 0 || left <= 0) {
        end(connection);
        return;
    }
    watch_client(connection, 0);
    close(connection->client);
    connection->client = -1;
    connection->lingers = TRUE;
    connection->timer = g_timeout_add((guint)(left / G_TIME_SPAN_MILLISECOND) + 1, lingered, connection);
    connection->down.at = connection->down.end = 0;
    update(connection);
}

/* Take what the client has said. FALSE: the connection has ended. */
static gboolean take(Connection *connection)
{
    guint8 bytes[READ];
    gssize got = recv(connection->client, bytes, sizeof(bytes), MSG_DONTWAIT);
    BytesReader in = bytes_reader(bytes, (size_t)MAX(got, 0));
    BytesWriter out = bytes_writer(connection->up.buffer, BUFFER);
    const char *why = spicelink_pass(&connection->link, &in, &out);

    connection->up.at = 0;
    connection->up.end = out.used;
    connection->up.over = is_end(got);
    if (connection->began == 0 && connection->link.channel == SPICE_CHANNEL_DISPLAY &&
        connection->link.stage == SPICELINK_MESSAGES) {
        connection->began = g_get_monotonic_time();
    }
    if (why) {
        log_peer(&connection->gate->log, "%s; connection closed", why);
        connection->up.end = 0;
        leave(connection);
    }
    return !why;
}

static gboolean go_between(Connection *connection)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
        return FALSE;
    }
    if (!connection->gate->add(pair[1], connection->gate->user)) {
        close(pair[0]);
        close(pair[1]);
        return FALSE;
    }
    connection->server = pair[0];
    connection->far = pair[1];
    watch_server(connection, G_IO_IN);
    connection->up.buffer = g_malloc(BUFFER);
    connection->down.buffer = g_malloc(BUFFER);
    return TRUE;
}

/* The first bytes are there: one of the inputs goes its own way. FALSE: the connection is none of the gate's any more. */
static gboolean begin(Connection *connection)
{
    Gate *gate = connection->gate;
    guint8 bytes[SPICELINK_BEGIN];
    gssize got = recv(connection->client, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);

    if (!is_end(got) && core_full()) {
        log_peer(&gate->log, "too many connections");
        end(connection);
        return FALSE;
    }
    /* A WebSocket, within which libspice-server would take any channel, is none of SPICE's. */
    if (got == sizeof(bytes) && memcmp(bytes, "REDQ", 4) == 0 && bytes[20] == SPICE_CHANNEL_INPUTS) {
        int fd = connection->client;

        watch_client(connection, 0);
        connection->client = -1;
        end(connection);
        if (!gate->add(fd, gate->user)) {
            close(fd);
        }
        return FALSE;
    }
    if (is_end(got) || !go_between(connection)) {
        end(connection);
        return FALSE;
    }
    return TRUE;
}

/* From libspice-server, and to the client as far as that takes it. */
static void pass_down(Connection *connection)
{
    if (!full(&connection->down)) {
        gssize got = recv(connection->server, connection->down.buffer, BUFFER, MSG_DONTWAIT);

        connection->down.over = is_end(got);
        connection->down.at = 0;
        connection->down.end = (gsize)MAX(got, 0);
    }
    if (connection->lingers) {
        connection->down.at = connection->down.end;
    }
    if (connection->client >= 0 && !drain(&connection->down, connection->client)) {
        connection->up.over = TRUE;
    }
}

/* What has come from the client goes to libspice-server, which acts on it at once. FALSE: nobody is there any more. */
static gboolean pass_up(Connection *connection)
{
    gboolean some = full(&connection->up);

    if (!drain(&connection->up, connection->server)) {
        return FALSE;
    }
    if (some) {
        connection->gate->acting = connection->client;
        core_read(connection->far);
        connection->gate->acting = -1;
        pass_down(connection);
    }
    return TRUE;
}

static gboolean dispatch(GSource *source, GSourceFunc callback, gpointer user)
{
    Connection *connection = (Connection *)source;
    const GIOCondition any = G_IO_IN | G_IO_HUP | G_IO_ERR;
    GIOCondition client = ready(connection, connection->client_tag);

    (void)callback, (void)user;
    if (!begun(connection) && !begin(connection)) {
        return G_SOURCE_CONTINUE;
    }

    GIOCondition server = ready(connection, connection->server_tag);

    if ((server & any) || full(&connection->down)) {
        pass_down(connection);
    }
    if (connection->down.over && !full(&connection->down)) {
        end(connection);
        return G_SOURCE_CONTINUE;
    }
    if ((client & any) && !full(&connection->up) && !held(connection) && !take(connection)) {
        return G_SOURCE_CONTINUE;
    }
    if (!pass_up(connection)) {
        end(connection);
        return G_SOURCE_CONTINUE;
    }
    if (connection->up.over && !full(&connection->up) && !connection->lingers) {
        leave(connection);
        return G_SOURCE_CONTINUE;
    }
    update(connection);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs funcs = { .dispatch = dispatch };

void gate_take(Gate *gate, int fd)
{
    if (gate->connections->len >= GATE_CONNECTIONS_MAX) {
        log_peer(&gate->log, "more than %u connections", GATE_CONNECTIONS_MAX);
        close(fd);
        return;
    }

    Connection *connection = (Connection *)g_source_new(&funcs, sizeof(Connection));

    connection->gate = gate;
    connection->client = fd;
    connection->server = -1;
    spicelink_init(&connection->link);
    g_source_set_can_recurse(&connection->source, TRUE);
    g_source_set_static_name(&connection->source, "client");
    watch_client(connection, G_IO_IN);
    g_source_attach(&connection->source, NULL);
    g_ptr_array_add(gate->connections, connection);
}

static gboolean serves(const Connection *connection, int kind, guint id)
{
    return begun(connection) && connection->link.channel == kind && connection->link.id == (int)id;
}

int gate_acting(const Gate *gate)
{
    return gate->acting;
}

void gate_passed(Gate *gate, int kind, guint id, gsize bytes)
{
    for (guint i = 0; i < gate->connections->len; i++) {
        Connection *connection = gate->connections->pdata[i];

        if (serves(connection, kind, id)) {
            gboolean was = held(connection);

            connection->passed += (gint64)bytes;
            if (was && !held(connection)) {
                update(connection);
            }
        }
    }
}

void gate_flush(Gate *gate, int kind, guint id)
{
    for (guint i = 0; i < gate->connections->len; i++) {
        Connection *connection = gate->connections->pdata[i];

        if (serves(connection, kind, id)) {
            /* An end that is seen here is seen again by poll(), and dealt with then. */
            pass_down(connection);
            update(connection);
        }
    }
}

Gate *gate_new(GateAdd add, gpointer user)
{
    Gate *gate = g_new0(Gate, 1);

    gate->add = add;
    gate->user = user;
    gate->acting = -1;
    gate->connections = g_ptr_array_new();
    gate->log.name = "client";
    return gate;
}

void gate_free(Gate *gate)
{
    if (!gate) {
        return;
    }
    while (gate->connections->len > 0) {
        end(gate->connections->pdata[0]);
    }
    g_ptr_array_unref(gate->connections);
    g_free(gate);
}
