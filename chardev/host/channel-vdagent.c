/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * channel-vdagent.c - the agent's port: I/O around vdiport.h.
 *
 * The device is registered with libspice-server while there is any way for the pointer or an agent that talks, or one
 * that is stuck: that is what makes a client use its own pointer. It may not go or come inside one of libspice-server's
 * calls, so what has to follow from bytes is done in settle(), when the call has returned, but for the pointer: that
 * goes out at once.
 */
#include "channel.h"
#include "core.h"
#include "screens.h"
#include "sinks.h"
#include "vdiport.h"

#include <string.h>

/* Chunks for the guest that one write takes at most. */
#define OUTPUT (8 * MUX_CHUNK_MAX)

/* libspice-server has thrown the device out for what the guest had sent; it is registered anew after this. */
#define EXPELLED_MS 1000

typedef struct VdagentChannel {
    Channel base;
    Vdiport *port;
    guint8 output[OUTPUT]; /* the rest of what the socket did not take */
    gsize from, to;
    gboolean kick_client; /* libspice-server has something to read */
    gboolean refused;     /* it got a short write, and keeps the rest */
    gboolean settling;
    gboolean registered, restart;
    gint64 expelled_until; /* monotonic, ms */
    gint64 deadline;       /* of the timer, or INT64_MAX */
    guint timer;
    gchar *reopen; /* why QEMU has to be parted from */
} VdagentChannel;

static gboolean tick(gpointer user);

static gint64 now_ms(void)
{
    return g_get_monotonic_time() / 1000;
}

static void write_to_guest(VdagentChannel *agent)
{
    Endpoint *endpoint = agent->base.endpoint;

    for (;;) {
        if (agent->from == agent->to) {
            agent->from = agent->to = 0;
            while (OUTPUT - agent->to >= MUX_CHUNK_MAX) {
                gsize size = vdiport_to_guest(agent->port, agent->output + agent->to, now_ms());

                if (size == 0) {
                    break;
                }
                agent->to += size;
            }
            if (agent->to == 0) {
                return;
            }
        }
        agent->from += endpoint_write(endpoint, agent->output + agent->from, agent->to - agent->from);
        if (agent->from < agent->to) {
            return;
        }
    }
}

static void set_registered(VdagentChannel *agent, gboolean wanted)
{
    if (wanted == agent->registered) {
        return;
    }
    if (wanted) {
        if (!channel_register(&agent->base, "vdagent")) {
            return;
        }
    } else {
        channel_unregister(&agent->base);
    }
    agent->registered = wanted;
    vdiport_server(agent->port, wanted, now_ms());
}

/* Do what follows from what has happened. Never called from inside libspice-server. */
static void settle(gpointer user)
{
    VdagentChannel *agent = user;
    Channel *channel = &agent->base;

    if (agent->reopen) {
        log_peer(&channel->log_guest, "%s: %s", channel->options->path, agent->reopen);
        g_clear_pointer(&agent->reopen, g_free);
        endpoint_hang_up(channel->endpoint);
        agent->from = agent->to = 0;
    }
    if (agent->restart) {
        agent->restart = FALSE;
        set_registered(agent, FALSE);
    }
    sinks_update(channel->context->sinks);

    gboolean wanted = (vdiport_has_agent(agent->port) || vdiport_may_go_on(agent->port) ||
                       sinks_current(channel->context->sinks) != SINKS_NONE) &&
                      now_ms() >= agent->expelled_until;

    set_registered(agent, wanted);
    write_to_guest(agent);
    if (agent->refused && agent->registered) {
        /* What libspice-server kept must not stand before the next mouse state: the reserve is for that. */
        agent->refused = FALSE;
        agent->settling = TRUE;
        channel_wake(channel);
        agent->settling = FALSE;
        write_to_guest(agent);
    }
    if (agent->kick_client) {
        agent->kick_client = FALSE;
        channel_wake(channel);
    }
    if (agent->restart) { /* by what libspice-server said when it was woken */
        settle(agent);
        return;
    }
    channel->dropped = vdiport_counters(agent->port)[VDIPORT_DROPPED];
    if (!vdiport_hold(agent->port)) {
        core_resume(CORE_HOLD_BULK);
    }
    endpoint_pause(channel->endpoint, vdiport_guest_want(agent->port) == 0);

    gint64 deadline = vdiport_deadline(agent->port);

    if (agent->expelled_until > now_ms()) {
        deadline = MIN(deadline, agent->expelled_until);
    }
    if (deadline != agent->deadline) {
        agent->deadline = deadline;
        g_clear_handle_id(&agent->timer, g_source_remove);
        if (deadline != INT64_MAX) {
            agent->timer = g_timeout_add((guint)CLAMP(deadline - now_ms(), 0, G_MAXINT) + 1, tick, agent);
        }
    }
}

static gboolean tick(gpointer user)
{
    VdagentChannel *agent = user;

    agent->timer = 0;
    agent->deadline = INT64_MAX;
    /* What a slow guest has taken counts: the kernel tells of room only when three quarters of the buffer are free. */
    write_to_guest(agent);
    vdiport_tick(agent->port, now_ms());
    settle(agent);
    return G_SOURCE_REMOVE;
}

/* --- what the relay tells --- */

static void on_pointer(const PvmouseFrame *frame, const VdagentMouseState *raw, void *user)
{
    sinks_state(((VdagentChannel *)user)->base.context->sinks, frame, raw);
}

static void on_lost(size_t count, void *user)
{
    sinks_lose(((VdagentChannel *)user)->base.context->sinks, SINKS_LEGACY, count);
}

static void on_agent(const Caps *caps, void *user)
{
    VdagentChannel *agent = user;

    g_debug("%s: the guest's agent %s", agent->base.options->path, caps ? "is there" : "is gone");
    if (!agent->base.context->qmp) {
        agent->base.guest = caps ? CHANNEL_GUEST_OPEN : CHANNEL_GUEST_UNKNOWN;
    }
}

static void on_monitors(const VdagentMonitors *monitors, void *user)
{
    VdagentChannel *agent = user;

    for (guint i = 0; i < LIMIT_DISPLAYS; i++) {
        guint32 w = i < monitors->count ? monitors->monitor[i].width : 0;
        guint32 h = i < monitors->count ? monitors->monitor[i].height : 0;

        screens_resize(agent->base.context->screens, i, w, h);
    }
}

static void on_kick_client(void *user)
{
    ((VdagentChannel *)user)->kick_client = TRUE;
}

static void on_restart(const char *why, void *user)
{
    g_debug("the client's agent connection begins anew: %s", why);
    ((VdagentChannel *)user)->restart = TRUE;
}

static void on_reopen(const char *why, void *user)
{
    VdagentChannel *agent = user;

    g_free(agent->reopen);
    agent->reopen = g_strdup(why);
}

static void on_refused(const char *who, const char *what, void *user)
{
    VdagentChannel *agent = user;

    log_peer(strcmp(who, "guest") == 0 ? &agent->base.log_guest : &agent->base.log_client, "%s", what);
}

/* --- the pointer in the agent's port --- */

static gboolean legacy_open(gpointer user)
{
    return vdiport_has_agent(((VdagentChannel *)user)->port);
}

static gboolean legacy_input(const PvmouseFrame *frame, const VdagentMouseState *raw, gpointer user)
{
    VdagentChannel *agent = user;

    return frame->type == PVMOUSE_STATE && vdiport_mouse(agent->port, raw);
}

static void legacy_release(const PvmouseFrame *frame, const VdagentMouseState *raw, gpointer user)
{
    VdagentChannel *agent = user;
    VdagentMouseState released = *raw;

    (void)frame;
    if (raw->buttons != 0) {
        released.buttons = 0;
        vdiport_mouse(agent->port, &released);
    }
}

/* --- QEMU and libspice-server --- */

static void start(Channel *channel)
{
    static const VdiportEvents events = {
        .pointer = on_pointer,         .lost = on_lost,     .agent = on_agent,
        .monitors = on_monitors,       .reopen = on_reopen, .kick_client = on_kick_client,
        .restart_server = on_restart,  .refused = on_refused,
    };
    VdagentChannel *agent = (VdagentChannel *)channel;
    const OptionsPolicy *policy = &channel->context->options->policy;
    VdiportPolicy rules = { .clipboard_to_guest = policy->clipboard_to_guest,
                            .clipboard_from_guest = policy->clipboard_from_guest,
                            .clipboard_types = policy->clipboard_types,
                            .clipboard_max = policy->clipboard_max_size,
                            .files = policy->files };
    SinksWay way = { .open = legacy_open, .input = legacy_input, .release = legacy_release, .user = agent };

    agent->port = vdiport_new(&rules, &events, agent);
    agent->deadline = INT64_MAX;
    sinks_set_way(channel->context->sinks, SINKS_LEGACY, &way);
    core_set_settle(settle, agent);
}

static void stop(Channel *channel)
{
    VdagentChannel *agent = (VdagentChannel *)channel;

    core_set_settle(NULL, NULL);
    sinks_set_way(channel->context->sinks, SINKS_LEGACY, &(SinksWay){ 0 });
    g_clear_handle_id(&agent->timer, g_source_remove);
    g_free(agent->reopen);
    vdiport_free(agent->port);
}

static void connected(Channel *channel, gboolean is)
{
    VdagentChannel *agent = (VdagentChannel *)channel;

    agent->from = agent->to = 0;
    vdiport_qemu(agent->port, is, now_ms());
    if (is && channel->guest == CHANNEL_GUEST_CLOSED) {
        vdiport_guest_open(agent->port, FALSE, now_ms());
    }
    settle(agent);
}

static gboolean read_guest(Channel *channel)
{
    VdagentChannel *agent = (VdagentChannel *)channel;
    guint8 data[LIMIT_READ];
    gsize size = endpoint_read(channel->endpoint, data, vdiport_guest_want(agent->port));

    vdiport_from_guest(agent->port, data, size, now_ms());
    return size > 0;
}

static void input(Channel *channel)
{
    read_guest(channel);
    settle(channel);
}

static void writable(Channel *channel)
{
    settle(channel);
}

static void guest(Channel *channel)
{
    VdagentChannel *agent = (VdagentChannel *)channel;

    if (channel->guest != CHANNEL_GUEST_UNKNOWN) {
        while (read_guest(channel)) { /* the last words of an agent that has gone */
        }
        vdiport_guest_open(agent->port, channel->guest == CHANNEL_GUEST_OPEN, now_ms());
        settle(agent);
    }
}

/* Whole chunks only are taken, so what libspice-server writes begins with a header. */
static gboolean is_from_client(const uint8_t *data, gsize size)
{
    BytesReader in = bytes_reader(data, size);
    uint32_t port;

    return bytes_get_u32(&in, &port) && port == VDP_CLIENT_PORT;
}

static int server_write(Channel *channel, const uint8_t *data, int size)
{
    VdagentChannel *agent = (VdagentChannel *)channel;

    int taken = size;

    if (!vdiport_from_server(agent->port, data, (gsize)size, agent->settling, now_ms())) {
        agent->refused = TRUE;
        taken = 0;
    }
    /* What is being read is the client's main connection then; mouse states come from another one. */
    if (vdiport_hold(agent->port) && is_from_client(data, (gsize)size)) {
        core_hold(CORE_HOLD_BULK);
    }
    return taken;
}

static int server_read(Channel *channel, uint8_t *ret_data, int size)
{
    VdagentChannel *agent = (VdagentChannel *)channel;
    gsize got = vdiport_to_server(agent->port, ret_data, (gsize)size, now_ms());

    endpoint_pause(channel->endpoint, vdiport_guest_want(agent->port) == 0);
    return (int)got;
}

static void state(Channel *channel, gboolean is)
{
    VdagentChannel *agent = (VdagentChannel *)channel;

    if (is || channel->unregistering) {
        return;
    }
    log_peer(&channel->log_guest, "libspice-server throws the agent out for what it said; once more in a second");
    agent->registered = FALSE;
    channel->device.st = NULL;
    agent->expelled_until = now_ms() + EXPELLED_MS;
    vdiport_server(agent->port, FALSE, now_ms());
}

static gsize queued(const Channel *channel)
{
    const VdagentChannel *agent = (const VdagentChannel *)channel;

    return vdiport_queued(agent->port) + agent->to - agent->from;
}

static void count(const Channel *channel, json_t *counters)
{
    const guint64 *values = vdiport_counters(((const VdagentChannel *)channel)->port);

    for (VdiportCounter i = 0; i < VDIPORT_COUNTERS; i++) {
        json_object_set_new(counters, vdiport_counter_name(i), json_integer((json_int_t)values[i]));
    }
}

void channel_vdagent_set_size(Channel *channel, guint display, guint32 w, guint32 h)
{
    vdiport_set_size(((VdagentChannel *)channel)->port, display, w, h);
}

const ChannelClass channel_vdagent = {
    .kind = SPICE_CHANNEL_MAIN,
    .size = sizeof(VdagentChannel),
    .start = start,
    .stop = stop,
    .connected = connected,
    .input = input,
    .writable = writable,
    .guest = guest,
    .write = server_write,
    .read = server_read,
    .state = state,
    .queued = queued,
    .count = count,
};
