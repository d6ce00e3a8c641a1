/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wayland-outputs.h"

#include "log.h"
#include "xdg-output-unstable-v1.h"

#include <math.h>

/* Before version 2 nothing says when an output has been described. */
#define OUTPUT_MIN 2u
#define OUTPUT_MAX 4u
#define XDG_MAX 3u
#define SIZE_MAX_PIXELS 65535
/* Per 1, of fractional scales. */
#define SCALE_STEPS 120

/* What the events say, and what of it holds since the last `done`. */
typedef struct Output {
    WaylandOutputs *owner;
    guint32 global;
    struct wl_output *proxy;
    struct zxdg_output_v1 *xdg;
    gboolean described, placed; /* placed: xdg-output has told the rectangle */
    WaylandOutput pending, current;
} Output;

struct WaylandOutputs {
    Wayland *wayland;
    void (*changed)(gpointer user);
    gpointer user;
    struct zxdg_output_manager_v1 *manager;
    GPtrArray *outputs; /* of Output, in the order of their names */
    gboolean ignored; /* some are, as there are too many */
    guint changed_id;
    LogPeer log;
};

/* --- Changes --- */

gboolean wayland_outputs_known(const WaylandOutputs *outputs)
{
    for (guint i = 0; i < outputs->outputs->len; i++) {
        if (!((const Output *) outputs->outputs->pdata[i])->described)
            return FALSE;
    }
    return TRUE;
}

static void look_again(WaylandOutputs *outputs);

static gboolean on_changed(gpointer user)
{
    WaylandOutputs *outputs = user;
    outputs->changed_id = 0;
    if (outputs->ignored && outputs->outputs->len < LIMIT_DISPLAYS)
        look_again(outputs);
    if (wayland_outputs_known(outputs)) /* else it is told when they are */
        outputs->changed(outputs->user);
    return G_SOURCE_REMOVE;
}

/* Soon, but not from inside of a listener: the user may free us, and more may have come with it. */
static void changed(WaylandOutputs *outputs)
{
    if (outputs->changed_id == 0 && wayland_outputs_known(outputs))
        outputs->changed_id = g_idle_add_full(G_PRIORITY_DEFAULT, on_changed, outputs, NULL);
}

static int compare(gconstpointer a, gconstpointer b)
{
    const Output *const *left = a, *const *right = b;
    return displays_output_compare((*left)->current.name, (*right)->current.name);
}

static void commit(Output *output)
{
    WaylandOutput *now = &output->pending;
    if (output->xdg != NULL && !output->placed)
        return; /* its rectangle is still to come */
    if (output->xdg == NULL) {
        gboolean turned = displays_output_sideways(now->transform);
        now->w = (turned ? now->mode_h : now->mode_w) / now->scale;
        now->h = (turned ? now->mode_w : now->mode_h) / now->scale;
    }
    output->current = *now;
    output->described = TRUE;
    g_ptr_array_sort(output->owner->outputs, compare);
    changed(output->owner);
}

/* --- wl_output --- */

static guint size(gint32 value)
{
    return CLAMP(value, 0, SIZE_MAX_PIXELS);
}

static void on_geometry(void *user, G_GNUC_UNUSED struct wl_output *proxy, gint32 x, gint32 y,
                        G_GNUC_UNUSED gint32 physical_w, G_GNUC_UNUSED gint32 physical_h,
                        G_GNUC_UNUSED gint32 subpixel, G_GNUC_UNUSED const char *make, G_GNUC_UNUSED const char *model,
                        gint32 transform)
{
    Output *output = user;
    output->pending.transform = transform >= 0 && transform <= WL_OUTPUT_TRANSFORM_FLIPPED_270 ? transform : 0;
    if (output->xdg != NULL)
        return;
    output->pending.x = x;
    output->pending.y = y;
}

static void on_mode(void *user, G_GNUC_UNUSED struct wl_output *proxy, guint32 flags, gint32 w, gint32 h,
                    G_GNUC_UNUSED gint32 refresh)
{
    Output *output = user;
    if ((flags & WL_OUTPUT_MODE_CURRENT) == 0)
        return;
    output->pending.mode_w = size(w);
    output->pending.mode_h = size(h);
}

static void on_scale(void *user, G_GNUC_UNUSED struct wl_output *proxy, gint32 scale)
{
    ((Output *) user)->pending.scale = MAX(scale, 1);
}

static void on_done(void *user, G_GNUC_UNUSED struct wl_output *proxy)
{
    commit(user);
}

static void on_name(void *user, G_GNUC_UNUSED struct wl_output *proxy, const char *name)
{
    if (name[0] != '\0')
        displays_output_name(name, ((Output *) user)->pending.name);
}

static void on_description(G_GNUC_UNUSED void *user, G_GNUC_UNUSED struct wl_output *proxy,
                           G_GNUC_UNUSED const char *description)
{
}

static const struct wl_output_listener output_listener = {
    .geometry = on_geometry,
    .mode = on_mode,
    .done = on_done,
    .scale = on_scale,
    .name = on_name,
    .description = on_description,
};

/* --- xdg-output --- */

static void on_logical_position(void *user, G_GNUC_UNUSED struct zxdg_output_v1 *xdg, gint32 x, gint32 y)
{
    Output *output = user;
    output->pending.x = x;
    output->pending.y = y;
}

static void on_logical_size(void *user, G_GNUC_UNUSED struct zxdg_output_v1 *xdg, gint32 w, gint32 h)
{
    Output *output = user;
    output->placed = TRUE;
    output->pending.w = size(w);
    output->pending.h = size(h);
}

/* Before version 3 its events end with this one; since then they are part of what wl_output.done ends. */
static void on_xdg_done(void *user, struct zxdg_output_v1 *xdg)
{
    Output *output = user;
    if (zxdg_output_v1_get_version(xdg) < 3)
        commit(output);
}

static void on_xdg_name(void *user, G_GNUC_UNUSED struct zxdg_output_v1 *xdg, const char *name)
{
    on_name(user, NULL, name);
}

static void on_xdg_description(G_GNUC_UNUSED void *user, G_GNUC_UNUSED struct zxdg_output_v1 *xdg,
                               G_GNUC_UNUSED const char *description)
{
}

static const struct zxdg_output_v1_listener xdg_listener = {
    .logical_position = on_logical_position,
    .logical_size = on_logical_size,
    .done = on_xdg_done,
    .name = on_xdg_name,
    .description = on_xdg_description,
};

/* --- The list --- */

static void output_free(gpointer data)
{
    Output *output = data;
    g_clear_pointer(&output->xdg, zxdg_output_v1_destroy);
    if (wl_output_get_version(output->proxy) >= WL_OUTPUT_RELEASE_SINCE_VERSION)
        wl_output_release(output->proxy);
    else
        wl_output_destroy(output->proxy);
    g_free(output);
}

/* Index of the output of this global; if there is none, their number. */
static guint find(const WaylandOutputs *outputs, guint32 name)
{
    guint i = 0;
    while (i < outputs->outputs->len && ((const Output *) outputs->outputs->pdata[i])->global != name)
        i++;
    return i;
}

static void on_appeared(guint32 name, guint32 version, gpointer user)
{
    WaylandOutputs *outputs = user;
    if (find(outputs, name) < outputs->outputs->len)
        return; /* looked at again */
    gboolean old = version < OUTPUT_MIN;
    if (old || outputs->outputs->len >= LIMIT_DISPLAYS) {
        outputs->ignored = outputs->ignored || !old;
        log_peer(&outputs->log, "an output is ignored: %s",
                 old ? "its wl_output is too old" : "there are too many");
        return;
    }
    Output *output = g_new0(Output, 1);
    output->owner = outputs;
    output->global = name;
    output->pending.scale = 1;
    g_snprintf(output->pending.name, sizeof output->pending.name, "output-%u", name); /* until it has one */
    output->proxy = wayland_bind_name(outputs->wayland, name, &wl_output_interface, MIN(version, OUTPUT_MAX));
    wl_output_add_listener(output->proxy, &output_listener, output);
    if (outputs->manager != NULL) {
        output->xdg = zxdg_output_manager_v1_get_xdg_output(outputs->manager, output->proxy);
        zxdg_output_v1_add_listener(output->xdg, &xdg_listener, output);
    }
    g_ptr_array_add(outputs->outputs, output);
}

static void on_vanished(guint32 name, gpointer user)
{
    WaylandOutputs *outputs = user;
    guint i = find(outputs, name);
    if (i == outputs->outputs->len)
        return;
    g_ptr_array_remove_index(outputs->outputs, i);
    changed(outputs);
}

static const WaylandWatch watch = { .appeared = on_appeared, .vanished = on_vanished };

/* For those that were ignored: there is room now. */
static void look_again(WaylandOutputs *outputs)
{
    outputs->ignored = FALSE;
    wayland_unwatch(outputs->wayland, &watch, outputs);
    wayland_watch(outputs->wayland, wl_output_interface.name, &watch, outputs);
}

WaylandOutputs *wayland_outputs_new(Wayland *wayland, void (*on_change)(gpointer user), gpointer user)
{
    WaylandOutputs *outputs = g_new0(WaylandOutputs, 1);
    outputs->wayland = wayland;
    outputs->changed = on_change;
    outputs->user = user;
    outputs->log.name = "compositor";
    outputs->outputs = g_ptr_array_new_with_free_func(output_free);
    outputs->manager = wayland_bind(wayland, &zxdg_output_manager_v1_interface, XDG_MAX);
    wayland_watch(wayland, wl_output_interface.name, &watch, outputs);
    changed(outputs); /* there may be none */
    return outputs;
}

void wayland_outputs_free(WaylandOutputs *outputs)
{
    if (outputs == NULL)
        return;
    g_clear_handle_id(&outputs->changed_id, g_source_remove);
    wayland_unwatch(outputs->wayland, &watch, outputs);
    g_ptr_array_unref(outputs->outputs);
    g_clear_pointer(&outputs->manager, zxdg_output_manager_v1_destroy);
    g_free(outputs);
}

gsize wayland_outputs_count(const WaylandOutputs *outputs)
{
    return outputs->outputs->len;
}

const WaylandOutput *wayland_outputs_get(const WaylandOutputs *outputs, gsize index)
{
    return &((const Output *) outputs->outputs->pdata[index])->current;
}

const WaylandOutput *wayland_outputs_find(const WaylandOutputs *outputs, const char *name)
{
    for (gsize i = 0; i < wayland_outputs_count(outputs); i++) {
        const WaylandOutput *output = wayland_outputs_get(outputs, i);
        if (g_str_equal(output->name, name))
            return output;
    }
    return NULL;
}

/*
 * The scale of a mode in a rectangle, which has lost fractions of pixels: in quarters if that gives the rectangle, else
 * in the steps that the compositors have.
 */
static double scale_of(const PlanOutput *plan)
{
    double scale = (double) plan->mode_w / plan->w, quarters = round(scale * 4) / 4;
    if (fabs(plan->mode_w / quarters - plan->w) <= 1 && fabs(plan->mode_h / quarters - plan->h) <= 1)
        return quarters;
    return round(scale * SCALE_STEPS) / SCALE_STEPS;
}

void wayland_outputs_row(const WaylandOutput *output, DisplaysOutput *ret_output, PlanOutput *ret_plan)
{
    gboolean turned = displays_output_sideways(output->transform);
    *ret_output = (DisplaysOutput){
        .mode_w = output->mode_w, .mode_h = output->mode_h, .transform = output->transform
    };
    g_strlcpy(ret_output->name, output->name, sizeof ret_output->name);
    *ret_plan = (PlanOutput){
        .connected = true,
        .on = true,
        .x = output->x,
        .y = output->y,
        .w = output->w,
        .h = output->h,
        .mode_w = turned ? output->mode_h : output->mode_w,
        .mode_h = turned ? output->mode_w : output->mode_h,
    };
    ret_plan->scale = output->w > 0 && ret_plan->mode_w > 0 ? scale_of(ret_plan) : output->scale;
}

/* --- The backend that reads only --- */

typedef struct Backend {
    DisplaysBackend backend; /* first */
    WaylandOutputs *outputs;
    DisplaysBackendEvents events;
    gpointer user;
} Backend;

static gboolean read_state(DisplaysBackend *backend, DisplaysState *ret_state)
{
    const WaylandOutputs *outputs = ((Backend *) backend)->outputs;
    if (!wayland_outputs_known(outputs))
        return FALSE;
    *ret_state = (DisplaysState){ .count = wayland_outputs_count(outputs), .limits = { .step = 1 } };
    for (gsize i = 0; i < ret_state->count; i++)
        wayland_outputs_row(wayland_outputs_get(outputs, i), &ret_state->output[i], &ret_state->plan[i]);
    return TRUE;
}

static void on_outputs(gpointer user)
{
    Backend *self = user;
    self->events.changed(self->user);
}

static void close_backend(DisplaysBackend *backend)
{
    Backend *self = (Backend *) backend;
    wayland_outputs_free(self->outputs);
    g_free(self);
}

DisplaysBackend *wayland_outputs_backend_new(Wayland *wayland, const DisplaysBackendEvents *events, gpointer user)
{
    Backend *self = g_new0(Backend, 1);
    self->backend = (DisplaysBackend){ .name = "outputs", .read = read_state, .free = close_backend };
    self->events = *events;
    self->user = user;
    self->outputs = wayland_outputs_new(wayland, on_outputs, self);
    return &self->backend;
}
