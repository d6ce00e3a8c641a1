/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "displays.h"

#include "connectors.h"
#include "displays-kde.h"
#include "displays-mutter.h"
#include "displays-wlr.h"
#include "displays-x11.h"
#include "log.h"
#include "outputs.h"
#include "wayland-outputs.h"

#include <gio/gio.h>

/* How long the desktop may take to follow the device by itself before we do. */
#define GRACE_MS 300
/* How long it may take until what it accepted is to be seen. */
#define SETTLE_MS 1000
/* What drivers with coarse widths demand at most. */
#define COARSE_STEP 8u
#define TRIES 2

/* What of an output was last followed or found. */
typedef struct Seen {
    char name[LIMIT_CONNECTOR_NAME];
    gboolean connected, on;
    guint preferred_w, preferred_h;
    double scale;     /* for the client's monitor: a user's own is left alone until that is another */
    double new_scale; /* that, while the output is still to get it; else 0 */
    gboolean due; /* it has not yet got what it prefers now */
} Seen;

struct Displays {
    DisplaysPolicy policy;
    DisplaysPeer peer;
    gpointer user;
    DisplaysBackend *backend;
    char *drm;              /* where the kernel tells of connectors */
    VdagentDevices devices; /* of the host */
    gboolean looked; /* what is there at the start is no change */
    gsize seen_count;
    Seen seen[LIMIT_DISPLAYS];
    guint report_id, follow_id, settle_id;
    /* What is being applied. */
    gboolean busy, client, upright;
    VdagentMonitors monitors; /* of the client */
    DisplaysState planned; /* what the plan is made from */
    Plan plan;
    guint tries, step;
    const char *refusal; /* of the desktop; NULL while it accepted */
    /* What the client asks for next. */
    guint waiting;
    VdagentMonitors next;
    LogPeer log;
};

static void start_client(Displays *displays);
static gboolean on_follow(gpointer user);

/* --- The layout, for the pointer --- */

static void report(Displays *displays, const DisplaysState *state)
{
    GVariantBuilder outputs;
    gint64 x1 = G_MAXINT32, y1 = G_MAXINT32, x2 = 0, y2 = 0;
    g_variant_builder_init(&outputs, G_VARIANT_TYPE("a(suuiiuuu)"));
    for (gsize i = 0; i < state->count; i++) {
        const DisplaysOutput *output = &state->output[i];
        const PlanOutput *plan = &state->plan[i];
        if (!plan->on)
            continue;
        /* For one that it cannot hold the layout would be refused as a whole, and the pointer keep the one before. */
        if (!layout_display_valid(&(LayoutDisplay){ output->mode_w, output->mode_h, plan->x, plan->y, plan->w, plan->h,
                                                    output->transform })) {
            g_variant_builder_add(&outputs, "(suuiiuuu)", output->name, 0, 0, 0, 0, 0, 0, 0);
            continue;
        }
        g_variant_builder_add(&outputs, "(suuiiuuu)", output->name, output->mode_w, output->mode_h, plan->x, plan->y,
                              plan->w, plan->h, output->transform);
        x1 = MIN(x1, plan->x);
        y1 = MIN(y1, plan->y);
        x2 = MAX(x2, plan->x + (gint64) plan->w);
        y2 = MAX(y2, plan->y + (gint64) plan->h);
    }
    /* X spreads an absolute device over the root window, which may be larger than what is shown of it. */
    if (state->w > 0 && (x1 != 0 || y1 != 0 || x2 != state->w || y2 != state->h))
        g_variant_builder_add(&outputs, "(suuiiuuu)", "", state->w, state->h, 0, 0, state->w, state->h, 0);
    displays->peer.layout(g_variant_builder_end(&outputs), displays->user);
}

static gboolean read_state(Displays *displays, DisplaysState *ret_state)
{
    *ret_state = (DisplaysState){ 0 };
    if (displays->backend == NULL || !displays->backend->read(displays->backend, ret_state))
        return FALSE;
    ret_state->limits.auto_scale = ret_state->limits.auto_scale && displays->policy.auto_scale;
    return TRUE;
}

static void report_now(Displays *displays)
{
    DisplaysState state;
    g_clear_handle_id(&displays->report_id, g_source_remove);
    if (read_state(displays, &state))
        report(displays, &state);
}

static gboolean on_report(gpointer user)
{
    Displays *displays = user;
    displays->report_id = 0;
    report_now(displays);
    return G_SOURCE_REMOVE;
}

/* --- Changes --- */

/* What the device wants is done, given up, or not what the client wants. */
static void forget_wishes(Displays *displays)
{
    for (gsize i = 0; i < displays->seen_count; i++) {
        displays->seen[i].due = FALSE;
        displays->seen[i].new_scale = 0;
    }
}

static void finish(Displays *displays, const char *why)
{
    gboolean client = displays->client;
    displays->busy = FALSE;
    g_clear_handle_id(&displays->settle_id, g_source_remove);
    forget_wishes(displays);
    report_now(displays);
    if (why != NULL && client)
        log_peer(&displays->log, "monitors refused: %s", why);
    else if (why != NULL)
        g_warning("displays: the outputs' own preferred modes could not be had: %s", why);
    if (why != NULL)
        displays->peer.refused("displays", why, displays->user);
    if (client)
        displays->peer.applied(why == NULL, displays->user);
    if (displays->waiting > 0)
        start_client(displays);
}

static void carry_out(Displays *displays)
{
    displays->tries++;
    displays->refusal = NULL;
    if (displays->backend->fit != NULL)
        displays->backend->fit(displays->backend, &displays->plan, displays->upright);
    displays->backend->apply(displays->backend, &displays->plan, displays->upright);
}

/* Which of the client's monitors each output of a state is. */
static void number(const Displays *displays, const DisplaysState *state, gsize ret_display[LIMIT_DISPLAYS])
{
    Outputs outputs;
    gboolean known = FALSE;
    if (displays->devices.count > 0)
        outputs_find(displays->policy.sysfs, &displays->devices, &outputs);
    for (gsize i = 0; i < state->count && displays->devices.count > 0; i++) {
        ret_display[i] = outputs_display(&outputs, state->output[i].name);
        known = known || ret_display[i] < LIMIT_DISPLAYS;
    }
    if (!known)
        connectors_displays(displays->drm, state, ret_display);
}

void displays_devices(Displays *displays, const VdagentDevices *devices)
{
    displays->devices = *devices;
}

/* What the client asks for, by outputs in place of displays; FALSE if there is no output for some of it. */
static gboolean take_monitors(const Displays *displays, const DisplaysState *state, VdagentMonitors *ret_monitors)
{
    const VdagentMonitors *asked = &displays->monitors;
    gsize display[LIMIT_DISPLAYS], on = 0, taken = 0;
    number(displays, state, display);
    *ret_monitors = (VdagentMonitors){ .flags = asked->flags, .count = state->count };
    for (gsize i = 0; i < asked->count; i++)
        on += asked->monitor[i].width > 0 && asked->monitor[i].height > 0;
    for (gsize i = 0; i < state->count; i++) {
        VdagentMonitor *monitor = &ret_monitors->monitor[i];
        if (display[i] < asked->count)
            *monitor = asked->monitor[display[i]];
        taken += monitor->width > 0 && monitor->height > 0;
    }
    return taken == on;
}

/* Make the plan for the client from what is there now; returns why there is none. */
static const char *plan_for_client(Displays *displays)
{
    DisplaysState state;
    VdagentMonitors monitors;
    unsigned adjusted = 0;
    if (!read_state(displays, &state))
        return "the desktop does not say what outputs it has";
    displays->planned = state;
    gboolean all = take_monitors(displays, &state, &monitors);
    state.limits.step = MAX(state.limits.step, displays->step);
    switch (plan_client(&state.limits, state.count, state.plan, &monitors, &displays->plan, &adjusted)) {
    case PLAN_NOTHING_ON:
        return "no display would remain";
    case PLAN_TOO_LARGE:
        return "larger than the desktop allows";
    case PLAN_OK:
        break;
    }
    adjusted |= all ? 0 : PLAN_IGNORED;
    if (adjusted != 0)
        log_peer(&displays->log, "monitors not taken as they came:%s%s%s%s", adjusted & PLAN_CLAMPED ? " size" : "",
                 adjusted & PLAN_MOVED ? " origin" : "", adjusted & PLAN_REPACKED ? " placing" : "",
                 adjusted & PLAN_IGNORED ? " number" : "");
    return NULL;
}

/* What follows the device was planned for other outputs than there are now: look again. */
static gboolean start_over(Displays *displays)
{
    DisplaysState state;
    if (displays->client || !read_state(displays, &state) || displays_same_outputs(&state, &displays->planned))
        return FALSE;
    displays->busy = FALSE;
    g_clear_handle_id(&displays->settle_id, g_source_remove);
    if (displays->follow_id == 0)
        displays->follow_id = g_timeout_add(GRACE_MS, on_follow, displays);
    if (displays->waiting > 0)
        start_client(displays);
    return TRUE;
}

/* It was refused, or came out otherwise. */
static void once_more(Displays *displays)
{
    if (start_over(displays))
        return;
    const char *why = displays->refusal != NULL ? displays->refusal : "the desktop has made something else of it";
    if (displays->tries < TRIES && displays->client) {
        displays->step = COARSE_STEP;
        const char *no_plan = plan_for_client(displays);
        if (no_plan != NULL)
            finish(displays, no_plan);
        else
            carry_out(displays);
    } else if (displays->tries < TRIES) {
        carry_out(displays);
    } else {
        finish(displays, why);
    }
}

/* Has it come out as planned? */
static gboolean settled(Displays *displays)
{
    DisplaysState state;
    return read_state(displays, &state) && displays_same_outputs(&state, &displays->planned) &&
           plan_is_current(&displays->plan, state.plan);
}

static gboolean on_settle(gpointer user)
{
    Displays *displays = user;
    displays->settle_id = 0;
    if (displays->refusal == NULL && settled(displays))
        finish(displays, NULL);
    else
        once_more(displays);
    return G_SOURCE_REMOVE;
}

static void on_applied(const char *why, gpointer user)
{
    Displays *displays = user;
    if (!displays->busy)
        return;
    displays->refusal = why;
    if (why == NULL && settled(displays))
        finish(displays, NULL);
    else /* not from here: it may be inside of apply() */
        displays->settle_id = g_timeout_add(why == NULL ? SETTLE_MS : 0, on_settle, displays);
}

static void start_client(Displays *displays)
{
    displays->busy = displays->client = displays->upright = TRUE;
    displays->tries = 0;
    displays->step = 1;
    displays->monitors = displays->next;
    for (; displays->waiting > 1; displays->waiting--)
        displays->peer.applied(TRUE, displays->user);
    displays->waiting = 0;
    const char *why = displays->backend == NULL || displays->backend->apply == NULL
                          ? "the desktop does not let its displays be changed"
                          : plan_for_client(displays);
    if (why != NULL)
        finish(displays, why);
    else
        carry_out(displays);
}

void displays_apply(Displays *displays, const VdagentMonitors *monitors)
{
    displays->next = *monitors;
    displays->waiting++;
    if (!displays->busy)
        start_client(displays);
}

/* --- The device --- */

/* For the client's monitor; one that is not known is taken for an ordinary one. */
static double scale_of(const PlanOutput *output)
{
    double scale = plan_scale(output->preferred_w, output->preferred_mm);
    return scale > 0 ? scale : 1;
}

/* Remember what is there; returns whether anything is new, and marks it. */
static gboolean look(Displays *displays, DisplaysState *state)
{
    gboolean any = FALSE, due[LIMIT_DISPLAYS];
    for (gsize i = 0; i < state->count; i++) {
        PlanOutput *output = &state->plan[i];
        const Seen *old = NULL;
        for (gsize k = 0; k < displays->seen_count && old == NULL; k++) {
            if (g_str_equal(displays->seen[k].name, state->output[i].name))
                old = &displays->seen[k];
        }
        /* One that was on had been there: the desktop had only not looked at the connector. */
        output->plugged = old == NULL ? output->connected
                                      : old->connected != output->connected && !(output->connected && old->on);
        /* A desktop that knew of no preference and has one now has looked again, which is no wish of the device. */
        output->resized = old != NULL && old->preferred_w != 0 && output->preferred_w != 0 &&
                          (old->preferred_w != output->preferred_w || old->preferred_h != output->preferred_h);
        gboolean fresh = output->resized || (old != NULL && old->due) ||
                         (displays->looked && output->plugged && output->connected);
        double before = old != NULL ? old->scale : displays->looked ? 1 : scale_of(output);
        if (state->limits.auto_scale)
            output->new_scale = scale_of(output) != before ? scale_of(output) : old != NULL ? old->new_scale : 0;
        due[i] = fresh && output->on && output->preferred_w != 0 &&
                 (output->mode_w != output->preferred_w || output->mode_h != output->preferred_h);
        output->resized = output->resized || due[i];
        any = any || output->plugged || output->resized || output->new_scale > 0;
    }
    displays->seen_count = state->count;
    for (gsize i = 0; i < state->count; i++) {
        const PlanOutput *output = &state->plan[i];
        Seen *seen = &displays->seen[i];
        *seen = (Seen){ .connected = output->connected, .on = output->on, .preferred_w = output->preferred_w,
                        .preferred_h = output->preferred_h, .scale = scale_of(output), .new_scale = output->new_scale,
                        .due = due[i] };
        g_strlcpy(seen->name, state->output[i].name, sizeof seen->name);
    }
    return any;
}

static gboolean on_follow(gpointer user)
{
    Displays *displays = user;
    DisplaysState state;
    Plan plan;
    if (displays->busy) /* later: what it leaves is to be looked at */
        return G_SOURCE_CONTINUE;
    displays->follow_id = 0;
    if (!read_state(displays, &state) || !look(displays, &state) || !displays->policy.follow ||
        displays->backend->apply == NULL)
        return G_SOURCE_REMOVE;
    if (plan_follow(&state.limits, state.count, state.plan, &plan) != PLAN_OK || plan_is_current(&plan, state.plan)) {
        for (gsize i = 0; i < displays->seen_count; i++)
            displays->seen[i].new_scale = 0;
        return G_SOURCE_REMOVE;
    }
    g_message("following the device: a desktop of %ux%u", plan.w, plan.h);
    displays->busy = TRUE;
    displays->client = displays->upright = FALSE;
    displays->tries = 0;
    displays->planned = state;
    displays->plan = plan;
    carry_out(displays);
    return G_SOURCE_REMOVE;
}

/* --- The backend --- */

/* When the desktop tells of its outputs for the first time. */
static void first_look(Displays *displays)
{
    DisplaysState state;
    if (displays->looked || !read_state(displays, &state))
        return;
    look(displays, &state);
    displays->looked = TRUE;
    report(displays, &state);
}

/* A change comes as several events: what they say is read once they have all been taken. */
static void on_changed(gpointer user)
{
    Displays *displays = user;
    if (!displays->looked) {
        first_look(displays);
        return;
    }
    /* After the events, but before file data (client.c), of which there may be no end for a while. */
    if (displays->report_id == 0)
        displays->report_id = g_idle_add_full(G_PRIORITY_DEFAULT + 5, on_report, displays, NULL);
    if (displays->follow_id == 0)
        displays->follow_id = g_timeout_add(GRACE_MS, on_follow, displays);
    if (displays->settle_id != 0 && displays->refusal == NULL && settled(displays))
        finish(displays, NULL);
    else if (displays->settle_id != 0)
        start_over(displays);
}

static void on_failed(const char *why, gpointer user)
{
    Displays *displays = user;
    displays->peer.lost(why, displays->user);
}

static const DisplaysBackendEvents backend_events = { .changed = on_changed, .applied = on_applied, .failed = on_failed };

/* FALSE for a backend that could not be had. */
static gboolean serve(Displays *displays, DisplaysBackend *backend)
{
    displays->backend = backend;
    first_look(displays);
    return backend != NULL;
}

gboolean displays_serve_x11(Displays *displays, X11 *x11, GError **error)
{
    return serve(displays, displays_x11_new(x11, displays->policy.auto_scale, &backend_events, displays, error));
}

gboolean displays_serve_kde(Displays *displays, Wayland *wayland, GError **error)
{
    return serve(displays, displays_kde_new(wayland, &backend_events, displays, error));
}

gboolean displays_serve_wlr(Displays *displays, Wayland *wayland, GError **error)
{
    return serve(displays, displays_wlr_new(wayland, displays->drm, &backend_events, displays, error));
}

void displays_serve_outputs(Displays *displays, Wayland *wayland)
{
    serve(displays, wayland_outputs_backend_new(wayland, &backend_events, displays));
}

void displays_serve_mutter(Displays *displays, GDBusConnection *session_bus)
{
    serve(displays, displays_mutter_new(session_bus, &backend_events, displays));
}

void displays_serve_none(Displays *displays)
{
    DisplaysBackend *backend = g_steal_pointer(&displays->backend);
    g_clear_handle_id(&displays->report_id, g_source_remove);
    g_clear_handle_id(&displays->follow_id, g_source_remove);
    displays->looked = FALSE;
    displays->seen_count = 0;
    if (backend != NULL)
        backend->free(backend);
    if (displays->busy)
        finish(displays, "the desktop went away");
}

const char *displays_backend(const Displays *displays, gboolean *ret_can_apply)
{
    *ret_can_apply = displays->backend != NULL && displays->backend->apply != NULL;
    return displays->backend != NULL ? displays->backend->name : NULL;
}

Displays *displays_new(const DisplaysPolicy *policy, const DisplaysPeer *peer, gpointer user)
{
    Displays *displays = g_new0(Displays, 1);
    displays->policy = *policy;
    displays->drm = g_build_filename(policy->sysfs, "class", "drm", NULL);
    displays->peer = *peer;
    displays->user = user;
    displays->log.name = "client";
    return displays;
}

void displays_free(Displays *displays)
{
    if (displays == NULL)
        return;
    displays_serve_none(displays);
    g_free(displays->drm);
    g_free(displays);
}
