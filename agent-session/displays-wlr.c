/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "displays-wlr.h"

#include "connectors.h"
#include "device.h"
#include "log.h"
#include "swayipc.h"
#include "wayland-outputs.h"
#include "wlr-output-management-unstable-v1.h"

#include <gio/gio.h>
#include <math.h>
#include <string.h>

#define VERSION_MAX 3u
/* More than any monitor has; those above are not used. */
#define MODES_MAX 256u
/* More than LIMIT_DISPLAYS cannot be changed, but are known, so that the rest can be when some of them go. */
#define HEADS_MAX 64u
#define SIZE_MAX_PIXELS 65535
/* Of the desktop. What software rendering allocates for it must remain possible. */
#define DESKTOP_MAX 16384u
/* A compositor that does not answer for so long has let a configuration go by. */
#define APPLY_MS 5000
/* How often a configuration may be outdated by changes when it arrives. */
#define TRIES 5u
/* Scales nearer than this are one: the protocol has 1/256, compositors 1/120. */
#define SCALE_STEP 0.01

typedef struct DisplaysWlr DisplaysWlr;
typedef struct Head Head;

typedef struct Mode {
    Head *head;
    struct zwlr_output_mode_v1 *proxy;
    guint w, h;
    gboolean preferred;
} Mode;

struct Head {
    DisplaysWlr *owner;
    struct zwlr_output_head_v1 *proxy;
    char name[LIMIT_CONNECTOR_NAME];
    GPtrArray *modes; /* of Mode */
    const Mode *mode; /* the current one, if it is one of these */
    gboolean enabled;
    guint transform;
    double scale;
};

struct DisplaysWlr {
    DisplaysBackend backend; /* first */
    Wayland *wayland;
    WaylandOutputs *outputs;
    Connectors *connectors;
    struct zwlr_output_manager_v1 *manager;
    GPtrArray *heads; /* of Head, in the order of their names once they are known */
    gboolean known, ignored, finished; /* ignored: there were more than HEADS_MAX */
    guint32 serial;
    guint changed_id;
    DisplaysBackendEvents events;
    gpointer user;
    SwayIpc *ipc; /* NULL: not sway */
    /* What is being applied, and what it was planned from. */
    DisplaysState planned;
    Plan plan;
    gboolean upright;
    guint tries, timeout_id;
    struct zwlr_output_configuration_v1 *configuration;
    LogPeer log;
};

/* --- Changes --- */

static gboolean on_changed(gpointer user)
{
    DisplaysWlr *self = user;
    self->changed_id = 0;
    connectors_read(self->connectors); /* whatever it was, the compositor may have had the kernel look */
    self->events.changed(self->user);
    return G_SOURCE_REMOVE;
}

static void changed(DisplaysWlr *self)
{
    if (self->changed_id == 0 && self->known)
        self->changed_id = g_idle_add_full(G_PRIORITY_DEFAULT, on_changed, self, NULL);
}

/* Of the outputs that show something, or of the connectors. */
static void on_others_changed(gpointer user)
{
    changed(user);
}

/* --- Modes --- */

static void destroy_mode(struct zwlr_output_mode_v1 *proxy)
{
    if (zwlr_output_mode_v1_get_version(proxy) >= ZWLR_OUTPUT_MODE_V1_RELEASE_SINCE_VERSION)
        zwlr_output_mode_v1_release(proxy);
    else
        zwlr_output_mode_v1_destroy(proxy);
}

static void mode_free(gpointer data)
{
    Mode *mode = data;
    destroy_mode(mode->proxy);
    g_free(mode);
}

static void on_mode_size(void *user, G_GNUC_UNUSED struct zwlr_output_mode_v1 *proxy, gint32 w, gint32 h)
{
    Mode *mode = user;
    mode->w = CLAMP(w, 0, SIZE_MAX_PIXELS);
    mode->h = CLAMP(h, 0, SIZE_MAX_PIXELS);
}

static void on_mode_refresh(G_GNUC_UNUSED void *user, G_GNUC_UNUSED struct zwlr_output_mode_v1 *proxy,
                            G_GNUC_UNUSED gint32 refresh)
{
}

static void on_mode_preferred(void *user, G_GNUC_UNUSED struct zwlr_output_mode_v1 *proxy)
{
    ((Mode *) user)->preferred = TRUE;
}

static void on_mode_finished(void *user, G_GNUC_UNUSED struct zwlr_output_mode_v1 *proxy)
{
    Mode *mode = user;
    Head *head = mode->head;
    if (head->mode == mode)
        head->mode = NULL;
    g_ptr_array_remove(head->modes, mode);
}

static const struct zwlr_output_mode_v1_listener mode_listener = {
    .size = on_mode_size,
    .refresh = on_mode_refresh,
    .preferred = on_mode_preferred,
    .finished = on_mode_finished,
};

/* A mode of this size: the current one, else the preferred one, else the first. NULL: there is none. */
static const Mode *find_mode(const Head *head, guint w, guint h)
{
    const Mode *found = NULL;
    for (guint i = 0; i < head->modes->len; i++) {
        const Mode *mode = head->modes->pdata[i];
        if (mode->w != w || mode->h != h)
            continue;
        if (mode == head->mode)
            return mode;
        if (found == NULL || mode->preferred)
            found = mode;
    }
    return found;
}

static const Mode *preferred_mode(const Head *head)
{
    for (guint i = 0; i < head->modes->len; i++) {
        const Mode *mode = head->modes->pdata[i];
        if (mode->preferred)
            return mode;
    }
    return NULL;
}

/* --- Heads --- */

static void destroy_head(struct zwlr_output_head_v1 *proxy)
{
    if (zwlr_output_head_v1_get_version(proxy) >= ZWLR_OUTPUT_HEAD_V1_RELEASE_SINCE_VERSION)
        zwlr_output_head_v1_release(proxy);
    else
        zwlr_output_head_v1_destroy(proxy);
}

static void head_free(gpointer data)
{
    Head *head = data;
    g_ptr_array_unref(head->modes);
    destroy_head(head->proxy);
    g_free(head);
}

static void on_name(void *user, G_GNUC_UNUSED struct zwlr_output_head_v1 *proxy, const char *name)
{
    if (name[0] != '\0')
        displays_output_name(name, ((Head *) user)->name);
}

static void on_physical_size(G_GNUC_UNUSED void *user, G_GNUC_UNUSED struct zwlr_output_head_v1 *proxy,
                             G_GNUC_UNUSED gint32 w, G_GNUC_UNUSED gint32 h)
{
}

static void on_mode(void *user, G_GNUC_UNUSED struct zwlr_output_head_v1 *proxy, struct zwlr_output_mode_v1 *mode_proxy)
{
    Head *head = user;
    if (head->modes->len >= MODES_MAX) {
        /* Not released: wlroots relies on the current mode being known to everybody. */
        zwlr_output_mode_v1_destroy(mode_proxy);
        return;
    }
    Mode *mode = g_new0(Mode, 1);
    mode->head = head;
    mode->proxy = mode_proxy;
    zwlr_output_mode_v1_add_listener(mode_proxy, &mode_listener, mode);
    g_ptr_array_add(head->modes, mode);
}

static void on_enabled(void *user, G_GNUC_UNUSED struct zwlr_output_head_v1 *proxy, gint32 enabled)
{
    ((Head *) user)->enabled = enabled != 0;
}

static void on_current_mode(void *user, G_GNUC_UNUSED struct zwlr_output_head_v1 *proxy,
                            struct zwlr_output_mode_v1 *mode_proxy)
{
    Head *head = user;
    head->mode = NULL;
    for (guint i = 0; i < head->modes->len; i++) {
        const Mode *mode = head->modes->pdata[i];
        if (mode->proxy == mode_proxy)
            head->mode = mode;
    }
}

static void on_position(G_GNUC_UNUSED void *user, G_GNUC_UNUSED struct zwlr_output_head_v1 *proxy,
                        G_GNUC_UNUSED gint32 x, G_GNUC_UNUSED gint32 y)
{
}

static void on_transform(void *user, G_GNUC_UNUSED struct zwlr_output_head_v1 *proxy, gint32 transform)
{
    ((Head *) user)->transform = transform >= 0 && transform <= WL_OUTPUT_TRANSFORM_FLIPPED_270 ? transform : 0;
}

static void on_scale(void *user, G_GNUC_UNUSED struct zwlr_output_head_v1 *proxy, wl_fixed_t scale)
{
    ((Head *) user)->scale = MAX(wl_fixed_to_double(scale), 0);
}

static void on_head_finished(void *user, G_GNUC_UNUSED struct zwlr_output_head_v1 *proxy)
{
    Head *head = user;
    g_ptr_array_remove(head->owner->heads, head);
}

static void on_text(G_GNUC_UNUSED void *user, G_GNUC_UNUSED struct zwlr_output_head_v1 *proxy,
                    G_GNUC_UNUSED const char *text)
{
}

static const struct zwlr_output_head_v1_listener head_listener = {
    .name = on_name,
    .description = on_text,
    .physical_size = on_physical_size,
    .mode = on_mode,
    .enabled = on_enabled,
    .current_mode = on_current_mode,
    .position = on_position,
    .transform = on_transform,
    .scale = on_scale,
    .finished = on_head_finished,
    .make = on_text,
    .model = on_text,
    .serial_number = on_text,
};

/* --- The manager --- */

static void on_head(void *user, G_GNUC_UNUSED struct zwlr_output_manager_v1 *manager, struct zwlr_output_head_v1 *proxy)
{
    DisplaysWlr *self = user;
    if (self->heads->len == LIMIT_DISPLAYS)
        log_peer(&self->log, "has more than %u outputs, so they cannot be changed", LIMIT_DISPLAYS);
    if (self->heads->len >= HEADS_MAX) {
        self->ignored = TRUE;
        destroy_head(proxy);
        return;
    }
    Head *head = g_new0(Head, 1);
    head->owner = self;
    head->proxy = proxy;
    head->modes = g_ptr_array_new_with_free_func(mode_free);
    g_snprintf(head->name, sizeof head->name, "head-%u", self->heads->len); /* until it has one */
    zwlr_output_head_v1_add_listener(proxy, &head_listener, head);
    g_ptr_array_add(self->heads, head);
}

static int compare(gconstpointer a, gconstpointer b)
{
    const Head *const *left = a, *const *right = b;
    return displays_output_compare((*left)->name, (*right)->name);
}

static void on_done(void *user, G_GNUC_UNUSED struct zwlr_output_manager_v1 *manager, guint32 serial)
{
    DisplaysWlr *self = user;
    self->serial = serial;
    self->known = TRUE;
    g_ptr_array_sort(self->heads, compare);
    changed(self);
}

static void on_finished(void *user, G_GNUC_UNUSED struct zwlr_output_manager_v1 *manager)
{
    DisplaysWlr *self = user;
    self->finished = TRUE;
    self->events.failed("the compositor ended its output management", self->user);
}

static const struct zwlr_output_manager_v1_listener manager_listener = {
    .head = on_head,
    .done = on_done,
    .finished = on_finished,
};

/* --- What is there --- */

/*
 * The outputs that show something are known from wl_output, whatever the head says: sway 1.7 calls a head without modes
 * switched off.
 */
static gboolean read_state(DisplaysBackend *backend, DisplaysState *ret_state)
{
    const DisplaysWlr *self = (DisplaysWlr *) backend;
    if (!self->known || !wayland_outputs_known(self->outputs))
        return FALSE;
    *ret_state = (DisplaysState){
        .count = MIN(self->heads->len, LIMIT_DISPLAYS),
        .limits = { .min_w = 1, .min_h = 1, .max_w = DESKTOP_MAX, .max_h = DESKTOP_MAX, .step = 1, .auto_scale = true },
    };
    for (gsize i = 0; i < ret_state->count; i++) {
        const Head *head = self->heads->pdata[i];
        const WaylandOutput *output = wayland_outputs_find(self->outputs, head->name);
        DisplaysOutput *to = &ret_state->output[i];
        PlanOutput *plan = &ret_state->plan[i];
        if (output != NULL) {
            wayland_outputs_row(output, to, plan);
        } else {
            g_strlcpy(to->name, head->name, sizeof to->name);
            to->transform = head->transform;
        }
        plan->connected = true;
        if (head->scale > 0 && (head->enabled || output == NULL))
            plan->scale = head->scale;
        const Mode *preferred = preferred_mode(head);
        if (preferred != NULL) {
            gboolean turned = displays_output_sideways(to->transform);
            plan->preferred_w = turned ? preferred->h : preferred->w;
            plan->preferred_h = turned ? preferred->w : preferred->h;
        }
        ret_state->limits.step = MAX(ret_state->limits.step, device_width_step(head->name));
    }
    connectors_fill(self->connectors, ret_state);
    return TRUE;
}

/* --- What shall be --- */

/* What is to be asked for one head; what is not set remains. */
typedef struct Wish {
    gboolean on, size, turn, rescale;
    guint w, h; /* of the mode */
    int x, y;
    double scale;
} Wish;

static Wish wish(const DisplaysWlr *self, const DisplaysState *now, gsize i)
{
    const PlanHead *head = &self->plan.head[i];
    const DisplaysOutput *output = &now->output[i];
    const PlanOutput *plan = &now->plan[i];
    gboolean turned = !self->upright && displays_output_sideways(output->transform);
    Wish result = {
        .on = head->on,
        .w = turned ? head->mode_h : head->mode_w,
        .h = turned ? head->mode_w : head->mode_h,
        .turn = self->upright && output->transform != 0,
        .x = head->x,
        .y = head->y,
        .scale = head->scale,
        .rescale = plan->scale <= 0 || fabs(plan->scale - head->scale) > SCALE_STEP,
    };
    result.size = result.w != output->mode_w || result.h != output->mode_h;
    return result;
}

static void stop(DisplaysWlr *self)
{
    g_clear_handle_id(&self->timeout_id, g_source_remove);
    g_clear_pointer(&self->configuration, zwlr_output_configuration_v1_destroy);
    if (self->ipc != NULL)
        swayipc_stop(self->ipc);
}

static void end(DisplaysWlr *self, const char *why)
{
    stop(self);
    self->events.applied(why, self->user);
}

static gboolean on_timeout(gpointer user)
{
    DisplaysWlr *self = user;
    self->timeout_id = 0;
    end(self, "the compositor does not answer");
    return G_SOURCE_REMOVE;
}

static void start(DisplaysWlr *self);

static void on_succeeded(void *user, G_GNUC_UNUSED struct zwlr_output_configuration_v1 *configuration)
{
    end(user, NULL);
}

static void on_failed(void *user, G_GNUC_UNUSED struct zwlr_output_configuration_v1 *configuration)
{
    end(user, "the compositor refuses it");
}

/* Something changed while it was on its way; that has been told before. */
static void on_cancelled(void *user, G_GNUC_UNUSED struct zwlr_output_configuration_v1 *configuration)
{
    DisplaysWlr *self = user;
    stop(self);
    start(self);
}

static const struct zwlr_output_configuration_v1_listener configuration_listener = {
    .succeeded = on_succeeded,
    .failed = on_failed,
    .cancelled = on_cancelled,
};

static void configure(DisplaysWlr *self, const DisplaysState *now)
{
    self->configuration = zwlr_output_manager_v1_create_configuration(self->manager, self->serial);
    zwlr_output_configuration_v1_add_listener(self->configuration, &configuration_listener, self);
    for (gsize i = 0; i < now->count; i++) {
        const Head *head = self->heads->pdata[i];
        Wish want = wish(self, now, i);
        if (!want.on) {
            zwlr_output_configuration_v1_disable_head(self->configuration, head->proxy);
            continue;
        }
        struct zwlr_output_configuration_head_v1 *to =
            zwlr_output_configuration_v1_enable_head(self->configuration, head->proxy);
        const Mode *mode = find_mode(head, want.w, want.h);
        if (want.size && mode != NULL)
            zwlr_output_configuration_head_v1_set_mode(to, mode->proxy);
        else if (want.size)
            zwlr_output_configuration_head_v1_set_custom_mode(to, want.w, want.h, 0);
        zwlr_output_configuration_head_v1_set_position(to, want.x, want.y);
        if (want.turn)
            zwlr_output_configuration_head_v1_set_transform(to, WL_OUTPUT_TRANSFORM_NORMAL);
        if (want.rescale)
            zwlr_output_configuration_head_v1_set_scale(to, wl_fixed_from_double(want.scale));
        zwlr_output_configuration_head_v1_destroy(to);
    }
    zwlr_output_configuration_v1_apply(self->configuration);
}

/* A name that cannot be anything else in sway's command language. */
static gboolean plain(const char *name)
{
    return name[strspn(name, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "-_.")] == '\0';
}

static void on_ipc(const char *why, gpointer user)
{
    end(user, why);
}

/* wlroots' names of outputs that are no connectors: memory, or a window of another desktop. */
static gboolean is_connector(const char *name)
{
    return !g_str_has_prefix(name, "HEADLESS-") && !g_str_has_prefix(name, "WL-") && !g_str_has_prefix(name, "X11-");
}

/*
 * A mode of just this size. For a connector sway itself would compute timings and round the width down to a multiple of
 * 8 (wlroots up to 0.15 then dies of the difference), so it is given some: 60 Hz, with as little blanking as any device
 * takes. Sway understands that only at the end of a command.
 */
static void append_size(GString *text, const Head *head, guint w, guint h)
{
    char clock[G_ASCII_DTOSTR_BUF_SIZE];
    guint htotal = w + 80, vtotal = h + 15;
    if (find_mode(head, w, h) != NULL) {
        g_string_append_printf(text, " mode %ux%u", w, h);
    } else if (!is_connector(head->name)) {
        g_string_append_printf(text, " mode --custom %ux%u", w, h);
    } else {
        g_ascii_formatd(clock, sizeof clock, "%.3f", 60e-6 * htotal * vtotal);
        g_string_append_printf(text, " modeline %s %u %u %u %u %u %u %u %u +hsync -vsync", clock, w, w + 8, w + 40,
                               htotal, h, h + 3, h + 9, vtotal);
    }
}

/*
 * Sway takes a size that no mode has by its IPC alone; by the protocol it takes some other and calls it success. The
 * timings once given stay in force until its IPC names a mode, so it has the last word on all else too. Outputs to be
 * switched off come last, as workspaces are moved away from them.
 */
static void command(DisplaysWlr *self, const DisplaysState *now)
{
    g_autoptr(GString) text = g_string_new(NULL);
    char scale[G_ASCII_DTOSTR_BUF_SIZE];
    for (int on = 1; on >= 0; on--) {
        for (gsize i = 0; i < now->count; i++) {
            const Head *head = self->heads->pdata[i];
            Wish want = wish(self, now, i);
            if (want.on != on || !plain(head->name))
                continue;
            g_string_append_printf(text, "output %s %s", head->name, on ? "enable" : "disable");
            if (on)
                g_string_append_printf(text, " position %d %d", want.x, want.y);
            if (on && want.turn)
                g_string_append(text, " transform normal");
            if (on && want.rescale)
                g_string_append_printf(text, " scale %s", g_ascii_formatd(scale, sizeof scale, "%.3f", want.scale));
            if (on && want.size)
                append_size(text, head, want.w, want.h);
            g_string_append_c(text, ';');
        }
    }
    g_debug("sway: %s", text->str);
    swayipc_run(self->ipc, text->str, on_ipc, self);
}

static void start(DisplaysWlr *self)
{
    DisplaysState now;
    if (self->ignored || self->heads->len > LIMIT_DISPLAYS) {
        end(self, "the compositor has too many outputs");
        return;
    }
    if (self->tries++ >= TRIES || !read_state(&self->backend, &now) ||
        !displays_same_outputs(&now, &self->planned)) {
        end(self, "the outputs change meanwhile");
        return;
    }
    self->timeout_id = g_timeout_add(APPLY_MS, on_timeout, self);
    if (self->ipc != NULL)
        command(self, &now);
    else
        configure(self, &now);
}

static void apply(DisplaysBackend *backend, const Plan *plan, gboolean upright)
{
    DisplaysWlr *self = (DisplaysWlr *) backend;
    read_state(backend, &self->planned); /* as the plan's maker did */
    self->plan = *plan;
    self->upright = upright;
    self->tries = 0;
    start(self);
}

/* --- The backend --- */

static void close_backend(DisplaysBackend *backend)
{
    DisplaysWlr *self = (DisplaysWlr *) backend;
    stop(self);
    g_clear_pointer(&self->ipc, swayipc_free);
    g_clear_handle_id(&self->changed_id, g_source_remove);
    connectors_free(self->connectors);
    wayland_outputs_free(self->outputs);
    g_ptr_array_unref(self->heads);
    if (!self->finished) /* the compositor has no such object any more: to name it ends the connection */
        zwlr_output_manager_v1_stop(self->manager);
    zwlr_output_manager_v1_destroy(self->manager);
    g_free(self);
}

DisplaysBackend *displays_wlr_new(Wayland *wayland, const char *drm, const DisplaysBackendEvents *events,
                                  gpointer user, GError **error)
{
    struct zwlr_output_manager_v1 *manager = wayland_bind(wayland, &zwlr_output_manager_v1_interface, VERSION_MAX);
    if (manager == NULL) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "the compositor has no wlr-output-management");
        return NULL;
    }
    DisplaysWlr *self = g_new0(DisplaysWlr, 1);
    self->backend = (DisplaysBackend){ .name = "wlr", .read = read_state, .apply = apply, .free = close_backend };
    self->wayland = wayland;
    self->manager = manager;
    self->events = *events;
    self->user = user;
    self->log.name = "compositor";
    self->heads = g_ptr_array_new_with_free_func(head_free);
    self->ipc = swayipc_new(wl_display_get_fd(wayland_display(wayland)));
    zwlr_output_manager_v1_add_listener(manager, &manager_listener, self);
    self->outputs = wayland_outputs_new(wayland, on_others_changed, self);
    self->connectors = connectors_new(drm, on_others_changed, self);
    return &self->backend;
}
