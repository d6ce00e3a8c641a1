/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "displays-mutter.h"

#include "log.h"
#include "mutter.h"

#include <math.h>
#include <stdlib.h>

#define SERVICE "org.gnome.Mutter.DisplayConfig"
#define OBJECT "/org/gnome/Mutter/DisplayConfig"
#define MODES "a(siiddada{sv})"
#define STATE "(ua((ssss)" MODES "a{sv})a(iiduba(ssss)a{sv})a{sv})"
/* Of ApplyMonitorsConfig: not asked about, and not kept. */
#define TEMPORARY 1u
/* Of property "layout-mode": a logical monitor is as large as its mode, whatever its scale. */
#define LAYOUT_PIXELS 2u
/* For desktops that name no limit. */
#define SIZE_MAX_DEFAULT 32767u
#define PIXELS_MAX 65535
#define SCALE_MIN 0.1
#define SCALE_MAX 100.0

/* What is connected, as of the last GetCurrentState. */
typedef struct Monitor {
    char name[LIMIT_CONNECTOR_NAME];
    GVariant *modes;
    guint mode_w, mode_h, preferred_w, preferred_h; /* before rotation; 0: none */
    gboolean on, primary;
    int x, y;
    guint transform;
    double scale;
} Monitor;

typedef struct DisplaysMutter {
    DisplaysBackend backend; /* first */
    Mutter *mutter;
    DisplaysBackendEvents events;
    gpointer user;
    gboolean known, pixels;
    guint32 serial; /* of this state */
    guint max_w, max_h;
    gsize count;
    Monitor monitor[LIMIT_DISPLAYS];
    gboolean reading, again; /* GetCurrentState is under way; and something has changed since it began */
    gboolean applying; /* apply() ends with the next reading */
    char *refusal; /* of what is being applied, or was; NULL: none */
    LogPeer log;
} DisplaysMutter;

static void read_again(DisplaysMutter *self);

/* --- What is there --- */

static void forget(DisplaysMutter *self)
{
    for (gsize i = 0; i < self->count; i++)
        g_variant_unref(self->monitor[i].modes);
    self->count = 0;
}

static gboolean flag(GVariant *properties, const char *name)
{
    gboolean value = FALSE;
    return g_variant_lookup(properties, name, "b", &value) && value;
}

static gboolean is_size(int w, int h)
{
    return w > 0 && h > 0 && w <= PIXELS_MAX && h <= PIXELS_MAX;
}

static gboolean is_scale(double scale)
{
    return scale >= SCALE_MIN && scale <= SCALE_MAX; /* NaN is not */
}

static void read_modes(Monitor *monitor)
{
    GVariantIter modes;
    int w, h;
    GVariant *properties;
    g_variant_iter_init(&modes, monitor->modes);
    while (g_variant_iter_loop(&modes, "(&siidd@ad@a{sv})", NULL, &w, &h, NULL, NULL, NULL, &properties)) {
        if (!is_size(w, h))
            continue;
        if (flag(properties, "is-current")) {
            monitor->mode_w = w;
            monitor->mode_h = h;
        }
        if (flag(properties, "is-preferred")) {
            monitor->preferred_w = w;
            monitor->preferred_h = h;
        }
    }
}

static void read_monitors(DisplaysMutter *self, GVariant *monitors)
{
    GVariantIter iter;
    const char *connector;
    GVariant *modes, *properties;
    g_variant_iter_init(&iter, monitors);
    while (self->count < LIMIT_DISPLAYS && g_variant_iter_next(&iter, "((&s&s&s&s)@" MODES "@a{sv})", &connector, NULL,
                                                              NULL, NULL, &modes, &properties)) {
        Monitor *monitor = &self->monitor[self->count];
        *monitor = (Monitor){ .modes = modes, .scale = 1 };
        displays_output_name(connector, monitor->name);
        if (flag(properties, "is-for-lease")) {
            g_variant_unref(modes);
        } else {
            read_modes(monitor);
            self->count++;
        }
        g_variant_unref(properties);
    }
}

static int compare(gconstpointer a, gconstpointer b)
{
    return displays_output_compare(((const Monitor *) a)->name, ((const Monitor *) b)->name);
}

static Monitor *find(DisplaysMutter *self, const char *connector)
{
    char name[LIMIT_CONNECTOR_NAME];
    displays_output_name(connector, name);
    for (gsize i = 0; i < self->count; i++) {
        if (g_str_equal(self->monitor[i].name, name))
            return &self->monitor[i];
    }
    return NULL;
}

/* Several monitors that show the same are one logical monitor. */
static void read_logical(DisplaysMutter *self, GVariant *logical)
{
    GVariantIter iter, names;
    int x, y;
    double scale;
    guint transform;
    gboolean primary;
    GVariant *monitors;
    const char *connector;
    g_variant_iter_init(&iter, logical);
    while (g_variant_iter_loop(&iter, "(iidub@a(ssss)@a{sv})", &x, &y, &scale, &transform, &primary, &monitors, NULL)) {
        g_variant_iter_init(&names, monitors);
        while (g_variant_iter_next(&names, "(&s&s&s&s)", &connector, NULL, NULL, NULL)) {
            Monitor *monitor = find(self, connector);
            if (monitor == NULL || monitor->mode_w == 0)
                continue;
            monitor->on = TRUE;
            monitor->primary = primary;
            monitor->x = x;
            monitor->y = y;
            monitor->transform = transform & 7;
            monitor->scale = is_scale(scale) ? scale : 1;
        }
    }
}

static void keep_state(DisplaysMutter *self, GVariant *state)
{
    g_autoptr(GVariant) monitors = NULL, logical = NULL, properties = NULL;
    guint32 layout = 0;
    int max_w, max_h;
    g_variant_get(state, "(u@a((ssss)" MODES "a{sv})@a(iiduba(ssss)a{sv})@a{sv})", &self->serial, &monitors, &logical,
                  &properties);
    forget(self);
    self->max_w = self->max_h = SIZE_MAX_DEFAULT;
    self->pixels = g_variant_lookup(properties, "layout-mode", "u", &layout) && layout == LAYOUT_PIXELS;
    if (g_variant_lookup(properties, "max-screen-size", "(ii)", &max_w, &max_h) && is_size(max_w, max_h)) {
        self->max_w = max_w;
        self->max_h = max_h;
    }
    read_monitors(self, monitors);
    qsort(self->monitor, self->count, sizeof(Monitor), compare);
    read_logical(self, logical);
    self->known = TRUE;
    mutter_ready(self->mutter);
}

static void on_state(GVariant *state, G_GNUC_UNUSED GUnixFDList *descriptors, const GError *error, gpointer user)
{
    DisplaysMutter *self = user;
    self->reading = FALSE;
    if (state != NULL)
        keep_state(self, state);
    else
        log_peer(&self->log, "it does not say what monitors it has: %s", error->message);
    if (self->again) {
        read_again(self);
        return;
    }
    if (!self->known) {
        self->events.failed("the compositor does not say what monitors it has", self->user);
        return;
    }
    self->events.changed(self->user);
    if (self->applying) {
        self->applying = FALSE;
        self->events.applied(self->refusal, self->user);
    }
}

static void read_again(DisplaysMutter *self)
{
    self->again = self->reading;
    if (self->reading)
        return;
    self->reading = TRUE;
    mutter_call(self->mutter, OBJECT, SERVICE, "GetCurrentState", NULL, STATE, on_state, self);
}

/* The size of a mode, as large as it is shown. */
static guint shown(const DisplaysMutter *self, guint pixels, double scale)
{
    return self->pixels ? pixels : (guint) lround(pixels / scale);
}

static PlanLimits limits_of(const DisplaysMutter *self)
{
    return (PlanLimits){ .min_w = 1, .min_h = 1, .max_w = self->max_w, .max_h = self->max_h, .step = 1,
                         .auto_scale = TRUE, .pixels = self->pixels };
}

static gboolean read_state(DisplaysBackend *backend, DisplaysState *ret_state)
{
    const DisplaysMutter *self = (DisplaysMutter *) backend;
    if (!self->known)
        return FALSE;
    *ret_state = (DisplaysState){ .count = self->count, .limits = limits_of(self) };
    for (gsize i = 0; i < self->count; i++) {
        const Monitor *monitor = &self->monitor[i];
        DisplaysOutput *output = &ret_state->output[i];
        PlanOutput *plan = &ret_state->plan[i];
        gboolean sideways = displays_output_sideways(monitor->transform);
        g_strlcpy(output->name, monitor->name, sizeof output->name);
        *plan = (PlanOutput){ .connected = TRUE, .on = monitor->on, .preferred_w = monitor->preferred_w,
                              .preferred_h = monitor->preferred_h };
        if (!monitor->on)
            continue;
        output->mode_w = monitor->mode_w;
        output->mode_h = monitor->mode_h;
        output->transform = monitor->transform;
        plan->x = monitor->x;
        plan->y = monitor->y;
        plan->mode_w = sideways ? monitor->mode_h : monitor->mode_w;
        plan->mode_h = sideways ? monitor->mode_w : monitor->mode_h;
        plan->w = shown(self, plan->mode_w, monitor->scale);
        plan->h = shown(self, plan->mode_h, monitor->scale);
        plan->scale = monitor->scale;
    }
    return TRUE;
}

/* --- Changing it --- */

static guint transform_of(const Monitor *monitor, gboolean upright)
{
    return upright ? 0 : monitor->transform;
}

/*
 * The mode for a head: of those with its size the current one, else the preferred one, else the first, which has the
 * highest rate. `ret_scale` is the one of its scales that is nearest to the head's. To be freed; NULL: there is none.
 */
static char *pick_mode(const Monitor *monitor, const PlanHead *head, gboolean upright, double *ret_scale)
{
    gboolean sideways = displays_output_sideways(transform_of(monitor, upright));
    guint head_w = sideways ? head->mode_h : head->mode_w, head_h = sideways ? head->mode_w : head->mode_h;
    g_autofree char *best = NULL;
    int best_rank = 0;
    GVariantIter modes;
    const char *id;
    int w, h;
    GVariant *scales, *properties;
    g_variant_iter_init(&modes, monitor->modes);
    while (g_variant_iter_loop(&modes, "(&siidd@ad@a{sv})", &id, &w, &h, NULL, NULL, &scales, &properties)) {
        int rank = flag(properties, "is-current") ? 3 : flag(properties, "is-preferred") ? 2 : 1;
        if (!is_size(w, h) || (guint) w != head_w || (guint) h != head_h || rank <= best_rank)
            continue;
        best_rank = rank;
        g_free(best);
        best = g_strdup(id);
        gboolean none = TRUE;
        *ret_scale = 1;
        for (gsize i = 0; i < g_variant_n_children(scales); i++) {
            double scale;
            g_variant_get_child(scales, i, "d", &scale);
            if (is_scale(scale) && (none || fabs(scale - head->scale) < fabs(*ret_scale - head->scale))) {
                *ret_scale = scale;
                none = FALSE;
            }
        }
    }
    return g_steal_pointer(&best);
}

static void fit(DisplaysBackend *backend, Plan *plan, gboolean upright)
{
    const DisplaysMutter *self = (DisplaysMutter *) backend;
    const PlanLimits limits = limits_of(self);
    for (gsize i = 0; i < plan->count && i < self->count; i++) {
        PlanHead *head = &plan->head[i];
        double scale = head->scale;
        g_autofree char *mode = head->on ? pick_mode(&self->monitor[i], head, upright, &scale) : NULL;
        if (mode == NULL)
            continue;
        head->scale = scale;
        head->w = shown(self, head->mode_w, scale);
        head->h = shown(self, head->mode_h, scale);
    }
    plan_join(&limits, plan);
}

/* The first head before this one that it is a mirror of, else itself. */
static gsize mirror_of(const Plan *plan, gsize i)
{
    const PlanHead *head = &plan->head[i];
    for (gsize k = 0; k < i; k++) {
        const PlanHead *other = &plan->head[k];
        if (other->on && other->x == head->x && other->y == head->y && other->w == head->w && other->h == head->h)
            return k;
    }
    return i;
}

static gsize primary_of(const DisplaysMutter *self, const Plan *plan)
{
    gsize primary = plan->count;
    for (gsize i = plan->count; i-- > 0;) {
        if (plan->head[i].on &&
            (primary == plan->count || self->monitor[i].primary || !self->monitor[primary].primary))
            primary = i;
    }
    return primary;
}

/* The plan as ApplyMonitorsConfig takes it; NULL, with the reason as the refusal, if that cannot be said. */
static GVariant *to_config(DisplaysMutter *self, const Plan *plan, gboolean upright)
{
    char *mode[LIMIT_DISPLAYS] = { NULL };
    GVariantBuilder config;
    gsize primary = primary_of(self, plan);
    g_variant_builder_init(&config, G_VARIANT_TYPE("(uua(iiduba(ssa{sv}))a{sv})"));
    g_variant_builder_add(&config, "u", self->serial);
    g_variant_builder_add(&config, "u", TEMPORARY);
    g_variant_builder_open(&config, G_VARIANT_TYPE("a(iiduba(ssa{sv}))"));
    for (gsize i = 0; i < plan->count && self->refusal == NULL; i++) {
        const PlanHead *head = &plan->head[i];
        double scale;
        mode[i] = head->on ? pick_mode(&self->monitor[i], head, upright, &scale) : NULL;
        if (head->on && mode[i] == NULL)
            self->refusal = g_strdup_printf("%s has no mode of %ux%u", self->monitor[i].name, head->mode_w,
                                            head->mode_h);
    }
    for (gsize i = 0; i < plan->count && self->refusal == NULL; i++) {
        const PlanHead *head = &plan->head[i];
        if (!head->on || mirror_of(plan, i) != i)
            continue;
        g_variant_builder_open(&config, G_VARIANT_TYPE("(iiduba(ssa{sv}))"));
        g_variant_builder_add(&config, "i", head->x);
        g_variant_builder_add(&config, "i", head->y);
        g_variant_builder_add(&config, "d", head->scale);
        g_variant_builder_add(&config, "u", transform_of(&self->monitor[i], upright));
        g_variant_builder_add(&config, "b", mirror_of(plan, primary) == i);
        g_variant_builder_open(&config, G_VARIANT_TYPE("a(ssa{sv})"));
        for (gsize k = i; k < plan->count; k++) {
            if (plan->head[k].on && mirror_of(plan, k) == i)
                g_variant_builder_add(&config, "(ssa{sv})", self->monitor[k].name, mode[k], NULL);
        }
        g_variant_builder_close(&config);
        g_variant_builder_close(&config);
    }
    for (gsize i = 0; i < plan->count; i++)
        g_free(mode[i]);
    if (self->refusal != NULL) {
        g_variant_builder_clear(&config);
        return NULL;
    }
    g_variant_builder_close(&config);
    g_variant_builder_add(&config, "a{sv}", NULL);
    return g_variant_builder_end(&config);
}

static gboolean is_current(const DisplaysMutter *self, const Plan *plan, gboolean upright)
{
    DisplaysState state;
    read_state((DisplaysBackend *) self, &state);
    for (gsize i = 0; i < plan->count; i++) {
        if (plan->head[i].on && transform_of(&self->monitor[i], upright) != self->monitor[i].transform)
            return FALSE;
    }
    return plan_is_current(plan, state.plan);
}

/* However apply() came out, it is read again first: what was planned with may be what was refused for. */
static void end_with_reading(DisplaysMutter *self)
{
    self->applying = TRUE;
    read_again(self);
}

static void on_config(G_GNUC_UNUSED GVariant *reply, G_GNUC_UNUSED GUnixFDList *descriptors, const GError *error,
                      gpointer user)
{
    DisplaysMutter *self = user;
    if (error != NULL)
        self->refusal = g_strdup_printf("the compositor refuses it: %s", error->message);
    end_with_reading(self);
}

static void apply(DisplaysBackend *backend, const Plan *plan, gboolean upright)
{
    DisplaysMutter *self = (DisplaysMutter *) backend;
    g_clear_pointer(&self->refusal, g_free);
    if (plan->count != self->count)
        self->refusal = g_strdup("the monitors have changed meanwhile");
    if (self->refusal == NULL && is_current(self, plan, upright)) {
        end_with_reading(self); /* the news of another change may be on its way */
        return;
    }
    GVariant *config = self->refusal == NULL ? to_config(self, plan, upright) : NULL;
    if (config != NULL)
        mutter_call(self->mutter, OBJECT, SERVICE, "ApplyMonitorsConfig", config, "()", on_config, self);
    else
        self->events.applied(self->refusal, self->user);
}

/* --- The service --- */

static void on_found(gpointer user)
{
    DisplaysMutter *self = user;
    mutter_listen(self->mutter, OBJECT, SERVICE);
    read_again(self);
}

static void on_heard(const char *name, G_GNUC_UNUSED GVariant *arguments, gpointer user)
{
    if (g_str_equal(name, "MonitorsChanged"))
        read_again(user);
}

static void on_lost(const char *why, gpointer user)
{
    DisplaysMutter *self = user;
    self->events.failed(why, self->user);
}

static void close_backend(DisplaysBackend *backend)
{
    DisplaysMutter *self = (DisplaysMutter *) backend;
    mutter_free(self->mutter);
    forget(self);
    g_free(self->refusal);
    g_free(self);
}

DisplaysBackend *displays_mutter_new(GDBusConnection *session_bus, const DisplaysBackendEvents *events, gpointer user)
{
    static const MutterEvents mutter_events = { .found = on_found, .lost = on_lost, .heard = on_heard };
    DisplaysMutter *self = g_new0(DisplaysMutter, 1);
    self->backend = (DisplaysBackend){ .name = "mutter", .read = read_state, .fit = fit, .apply = apply,
                                       .free = close_backend };
    self->events = *events;
    self->user = user;
    self->log.name = "compositor";
    self->mutter = mutter_new(session_bus, SERVICE, &mutter_events, self);
    return &self->backend;
}
