/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core.h"

#include <sys/socket.h>

/* Connections of libspice-server's, of all clients and before authentication. At the bound none is added. */
#define CONNECTIONS_MAX 256u

struct SpiceTimer {
    GSource *source;
};

struct SpiceWatch {
    GSource source;
    gpointer tag;
    int fd, mask;
    GIOCondition wanted;
    gboolean removed, listens;
    SpiceWatchFunc func;
    void *opaque;
};

static struct {
    CoreChannelEvent channel_event;
    gpointer channel_user;
    void (*settle)(gpointer user);
    gpointer settle_user;
    SpiceWatch *reading; /* its input is being handled */
    SpiceWatch *held[CORE_HOLDS];
    GHashTable *watches; /* by descriptor */
    guint connections;
} core;

/* --- timers --- */

typedef struct TimerSource {
    GSource source;
    SpiceTimerFunc func;
    void *opaque;
} TimerSource;

static gboolean timer_dispatch(GSource *source, GSourceFunc callback, gpointer user)
{
    TimerSource *timer = (TimerSource *)source;

    (void)callback, (void)user;
    g_source_set_ready_time(source, -1);
    timer->func(timer->opaque);
    core_settle();
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs timer_funcs = { .dispatch = timer_dispatch };

static SpiceTimer *timer_add(SpiceTimerFunc func, void *opaque)
{
    SpiceTimer *timer = g_new0(SpiceTimer, 1);

    timer->source = g_source_new(&timer_funcs, sizeof(TimerSource));
    ((TimerSource *)timer->source)->func = func;
    ((TimerSource *)timer->source)->opaque = opaque;
    g_source_set_static_name(timer->source, "spice timer");
    g_source_attach(timer->source, NULL);
    return timer;
}

static void timer_start(SpiceTimer *timer, uint32_t ms)
{
    g_source_set_ready_time(timer->source, g_get_monotonic_time() + (gint64)ms * 1000);
}

static void timer_cancel(SpiceTimer *timer)
{
    g_source_set_ready_time(timer->source, -1);
}

static void timer_remove(SpiceTimer *timer)
{
    if (timer) {
        g_source_destroy(timer->source);
        g_source_unref(timer->source);
        g_free(timer);
    }
}

/* --- watches --- */

gboolean core_full(void)
{
    return core.connections >= CONNECTIONS_MAX;
}

static GIOCondition conditions(const SpiceWatch *watch)
{
    gboolean reads = (watch->mask & SPICE_WATCH_EVENT_READ) && !(watch->listens && core_full());

    for (gsize i = 0; i < CORE_HOLDS; i++) {
        reads = reads && core.held[i] != watch;
    }
    return (reads ? G_IO_IN : 0) | (watch->mask & SPICE_WATCH_EVENT_WRITE ? G_IO_OUT : 0);
}

/*
 * What is waited for is settled before each poll, as libspice-server asks to write before each message and no more after it,
 * and a change costs a wake-up of the loop. A connection of which it wants nothing is not polled: its end would be reported for ever.
 */
static gboolean watch_prepare(GSource *source, gint *timeout)
{
    SpiceWatch *watch = (SpiceWatch *)source;
    GIOCondition wanted = conditions(watch);

    *timeout = -1;
    if (watch->mask == 0 && watch->tag) {
        g_source_remove_unix_fd(source, watch->tag);
        watch->tag = NULL;
    } else if (watch->mask != 0 && !watch->tag) {
        watch->tag = g_source_add_unix_fd(source, watch->fd, wanted);
    } else if (watch->tag && watch->wanted != wanted) {
        g_source_modify_unix_fd(source, watch->tag, wanted);
    }
    watch->wanted = wanted;
    return FALSE;
}

static void handle(SpiceWatch *watch, int event)
{
    core.reading = event & SPICE_WATCH_EVENT_READ ? watch : NULL;
    watch->func(watch->fd, event, watch->opaque);
    core.reading = NULL;
    core_settle();
}

static gboolean watch_dispatch(GSource *source, GSourceFunc callback, gpointer user)
{
    SpiceWatch *watch = (SpiceWatch *)source;
    GIOCondition ready = watch->tag ? g_source_query_unix_fd(source, watch->tag) : 0;
    gboolean trouble = (ready & (G_IO_HUP | G_IO_ERR)) != 0;
    int event = 0;

    (void)callback, (void)user;
    if ((watch->mask & SPICE_WATCH_EVENT_READ) && ((ready & G_IO_IN) || trouble)) {
        event |= SPICE_WATCH_EVENT_READ;
    }
    if ((watch->mask & SPICE_WATCH_EVENT_WRITE) && ((ready & G_IO_OUT) || trouble)) {
        event |= SPICE_WATCH_EVENT_WRITE;
    }
    if (event == 0) {
        return G_SOURCE_CONTINUE;
    }
    handle(watch, event);
    return watch->removed ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

static GSourceFuncs watch_funcs = { .prepare = watch_prepare, .dispatch = watch_dispatch };

static SpiceWatch *watch_add(int fd, int event_mask, SpiceWatchFunc func, void *opaque)
{
    SpiceWatch *watch = (SpiceWatch *)g_source_new(&watch_funcs, sizeof(SpiceWatch));

    int listens = 0;

    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &(socklen_t){ sizeof(listens) });
    watch->listens = listens != 0;
    watch->fd = fd;
    watch->mask = event_mask;
    watch->func = func;
    watch->opaque = opaque;
    /* Without this GLib takes the descriptor out of the poll around each dispatch, which costs a wake-up of the loop. */
    g_source_set_can_recurse(&watch->source, TRUE);
    g_source_set_static_name(&watch->source, "spice connection");
    g_source_attach(&watch->source, NULL);
    g_hash_table_insert(core.watches, GINT_TO_POINTER(fd), watch);
    core.connections += !watch->listens;
    return watch;
}

static void watch_update_mask(SpiceWatch *watch, int event_mask)
{
    watch->mask = event_mask;
}

static void watch_remove(SpiceWatch *watch)
{
    for (gsize i = 0; i < CORE_HOLDS; i++) {
        if (watch == core.held[i]) {
            core.held[i] = NULL;
        }
    }
    if (watch == core.reading) {
        core.reading = NULL;
    }
    watch->removed = TRUE;
    if (g_hash_table_lookup(core.watches, GINT_TO_POINTER(watch->fd)) == watch) {
        g_hash_table_remove(core.watches, GINT_TO_POINTER(watch->fd));
    }
    core.connections -= !watch->listens;
    g_source_destroy(&watch->source);
    g_source_unref(&watch->source);
}

static void channel_event(int event, SpiceChannelEventInfo *info)
{
    core.channel_event(event, info, core.channel_user);
}

SpiceCoreInterface *core_interface(CoreChannelEvent event, gpointer user)
{
    static SpiceCoreInterface interface = {
        .base = { .type = SPICE_INTERFACE_CORE,
                  .description = "GLib main loop",
                  .major_version = SPICE_INTERFACE_CORE_MAJOR,
                  .minor_version = SPICE_INTERFACE_CORE_MINOR },
        .timer_add = timer_add,
        .timer_start = timer_start,
        .timer_cancel = timer_cancel,
        .timer_remove = timer_remove,
        .watch_add = watch_add,
        .watch_update_mask = watch_update_mask,
        .watch_remove = watch_remove,
        .channel_event = channel_event,
    };

    core.watches = g_hash_table_new(NULL, NULL);
    core.channel_event = event;
    core.channel_user = user;
    return &interface;
}

void core_set_settle(void (*settle)(gpointer user), gpointer user)
{
    core.settle = settle;
    core.settle_user = user;
}

void core_settle(void)
{
    if (core.settle) {
        core.settle(core.settle_user);
    }
}

gboolean core_hold(CoreHold why)
{
    if (!core.reading) {
        return FALSE;
    }
    core.held[why] = core.reading;
    return TRUE;
}

void core_resume(CoreHold why)
{
    core.held[why] = NULL;
}

void core_read(int fd)
{
    SpiceWatch *watch = g_hash_table_lookup(core.watches, GINT_TO_POINTER(fd));

    if (watch && (conditions(watch) & G_IO_IN)) {
        handle(watch, SPICE_WATCH_EVENT_READ);
    }
}
