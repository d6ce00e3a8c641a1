/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "displays-kde.h"

#include "kde-output-device-v2.h"
#include "kde-output-management-v2.h"
#include "log.h"
#include "wayland-outputs.h"

#include <gio/gio.h>
#include <math.h>

/* The first version of a device that has a name, and the last ones that we know all events of. */
#define DEVICE_MIN KDE_OUTPUT_DEVICE_V2_NAME_SINCE_VERSION
#define DEVICE_MAX KDE_OUTPUT_DEVICE_V2_REMOVED_SINCE_VERSION
#define MANAGEMENT_MAX KDE_OUTPUT_CONFIGURATION_V2_SET_CUSTOM_MODES_SINCE_VERSION
/* KWin refuses to announce devices by the registry in an older version than this. */
#define REGISTRY_MIN KDE_OUTPUT_DEVICE_REGISTRY_V2_OUTPUT_SINCE_VERSION
/* More than any device has; what goes beyond is not kept. */
#define MODES_MAX 512u
#define SIZE_MAX_PIXELS 65535
/* KWin answers when the device has done it, which takes some hundred milliseconds on real ones. */
#define ANSWER_MS 5000
#define REASON_MAX 200u
/* KWin makes modes by libxcvt, whose widths are multiples of this; only what would be 1360x768 becomes 1366x768. */
#define MADE_STEP 8u
#define MADE_MAX 8192u
#define MADE_REFRESH_MHZ 60000
/* Made modes that a device keeps, those of the user included: KWin stores them for ever. */
#define MADE_MODES_MAX 8u

typedef struct DisplaysKde DisplaysKde;
typedef struct Device Device;

typedef struct Mode {
    Device *device;
    struct kde_output_device_mode_v2 *proxy;
    guint w, h;
    guint refresh; /* mHz */
    gboolean preferred;
    guint32 flags;
} Mode;

typedef struct Size {
    guint w, h;
} Size;

/* Events are taken as they come: `done` tells only that there was something. */
struct Device {
    DisplaysKde *self;
    guint32 global; /* 0: announced by the registry */
    struct kde_output_device_v2 *proxy;
    gboolean described; /* it has said `done` */
    char name[LIMIT_CONNECTOR_NAME];
    gboolean enabled, makes_modes;
    gint32 x, y;
    guint transform;
    double scale;
    GPtrArray *modes; /* of Mode */
    Mode *current;
    Size made[MADE_MODES_MAX]; /* by us, the last ones */
    guint made_count;
};

struct DisplaysKde {
    DisplaysBackend backend; /* first */
    Wayland *wayland;
    DisplaysBackendEvents events;
    gpointer user;
    WaylandOutputs *outputs;
    struct kde_output_management_v2 *management;
    struct kde_output_device_registry_v2 *registry; /* NULL: devices are globals */
    struct wl_callback *announced; /* until the compositor has told of all devices that it has */
    GPtrArray *devices; /* of Device, in the order of their names */
    guint came_or_went, was_read; /* counts changes of that list, and what it was when it was read last */
    /* What is being applied, first the modes that have to be made for it. */
    Plan plan;
    guint planned; /* for which list */
    gboolean upright, making;
    struct kde_output_configuration_v2 *configuration;
    guint timeout_id;
    char *why;
    LogPeer log;
};

static void proceed(DisplaysKde *self);

/* --- Modes --- */

static void mode_free(gpointer data)
{
    Mode *mode = data;
    if (mode->device->current == mode)
        mode->device->current = NULL;
    kde_output_device_mode_v2_destroy(mode->proxy);
    g_free(mode);
}

static void on_mode_size(void *user, G_GNUC_UNUSED struct kde_output_device_mode_v2 *proxy, gint32 w, gint32 h)
{
    Mode *mode = user;
    mode->w = CLAMP(w, 0, SIZE_MAX_PIXELS);
    mode->h = CLAMP(h, 0, SIZE_MAX_PIXELS);
}

static void on_mode_refresh(void *user, G_GNUC_UNUSED struct kde_output_device_mode_v2 *proxy, gint32 refresh)
{
    ((Mode *) user)->refresh = MAX(refresh, 0);
}

static void on_mode_preferred(void *user, G_GNUC_UNUSED struct kde_output_device_mode_v2 *proxy)
{
    ((Mode *) user)->preferred = TRUE;
}

static void on_mode_removed(void *user, G_GNUC_UNUSED struct kde_output_device_mode_v2 *proxy)
{
    Mode *mode = user;
    g_ptr_array_remove(mode->device->modes, mode);
}

static void on_mode_flags(void *user, G_GNUC_UNUSED struct kde_output_device_mode_v2 *proxy, guint32 flags)
{
    ((Mode *) user)->flags = flags;
}

static const struct kde_output_device_mode_v2_listener mode_listener = {
    .size = on_mode_size,
    .refresh = on_mode_refresh,
    .preferred = on_mode_preferred,
    .removed = on_mode_removed,
    .flags = on_mode_flags,
};

/* The mode of a size that is to be set: the current one, else the preferred one, else that of the highest rate. */
static Mode *find_mode(const Device *device, guint w, guint h)
{
    Mode *best = NULL;
    for (guint i = 0; i < device->modes->len; i++) {
        Mode *mode = device->modes->pdata[i];
        if (mode->w != w || mode->h != h)
            continue;
        if (mode == device->current)
            return mode;
        if (best == NULL || (mode->preferred && !best->preferred) ||
            (mode->preferred == best->preferred && mode->refresh > best->refresh))
            best = mode;
    }
    return best;
}

/*
 * Of several the last one: the current mode that the device has dropped is kept by KWin in front of those that the device
 * has now, and is still called preferred if it was.
 */
static const Mode *preferred_mode(const Device *device)
{
    const Mode *last = NULL;
    for (guint i = 0; i < device->modes->len; i++) {
        const Mode *mode = device->modes->pdata[i];
        if (mode->preferred)
            last = mode;
    }
    return last;
}

/* --- Devices --- */

static void device_free(gpointer data)
{
    Device *device = data;
    g_ptr_array_unref(device->modes);
    if (kde_output_device_v2_get_version(device->proxy) >= KDE_OUTPUT_DEVICE_V2_RELEASE_SINCE_VERSION)
        kde_output_device_v2_release(device->proxy);
    else
        kde_output_device_v2_destroy(device->proxy);
    g_free(device);
}

static int compare(gconstpointer a, gconstpointer b)
{
    const Device *const *left = a, *const *right = b;
    return displays_output_compare((*left)->name, (*right)->name);
}

static void remove_device(Device *device)
{
    DisplaysKde *self = device->self;
    g_ptr_array_remove(self->devices, device);
    self->came_or_went++;
    self->events.changed(self->user);
}

static void on_geometry(void *user, G_GNUC_UNUSED struct kde_output_device_v2 *proxy, gint32 x, gint32 y,
                        G_GNUC_UNUSED gint32 physical_w, G_GNUC_UNUSED gint32 physical_h,
                        G_GNUC_UNUSED gint32 subpixel, G_GNUC_UNUSED const char *make, G_GNUC_UNUSED const char *model,
                        gint32 transform)
{
    Device *device = user;
    device->x = x;
    device->y = y;
    device->transform = transform >= 0 && transform <= WL_OUTPUT_TRANSFORM_FLIPPED_270 ? transform : 0;
}

/* A mode that has just been removed may come as NULL. */
static void on_current_mode(void *user, G_GNUC_UNUSED struct kde_output_device_v2 *proxy,
                            struct kde_output_device_mode_v2 *current)
{
    Device *device = user;
    Mode *mode = current != NULL ? kde_output_device_mode_v2_get_user_data(current) : NULL;
    device->current = mode != NULL && mode->device == device ? mode : NULL;
}

static void on_mode(void *user, G_GNUC_UNUSED struct kde_output_device_v2 *proxy,
                    struct kde_output_device_mode_v2 *mode_proxy)
{
    Device *device = user;
    if (device->modes->len >= MODES_MAX) {
        log_peer(&device->self->log, "%s has more than %u modes", device->name, MODES_MAX);
        kde_output_device_mode_v2_destroy(mode_proxy);
        return;
    }
    Mode *mode = g_new0(Mode, 1);
    mode->device = device;
    mode->proxy = mode_proxy;
    kde_output_device_mode_v2_add_listener(mode_proxy, &mode_listener, mode);
    g_ptr_array_add(device->modes, mode);
}

static void on_done(void *user, G_GNUC_UNUSED struct kde_output_device_v2 *proxy)
{
    Device *device = user;
    DisplaysKde *self = device->self;
    if (device->name[0] == '\0') {
        log_peer(&self->log, "a device without a name is ignored");
        remove_device(device);
        return;
    }
    if (!device->described) {
        device->described = TRUE;
        g_ptr_array_sort(self->devices, compare);
        self->came_or_went++;
    }
    self->events.changed(self->user);
}

static void on_scale(void *user, G_GNUC_UNUSED struct kde_output_device_v2 *proxy, wl_fixed_t factor)
{
    ((Device *) user)->scale = factor > 0 ? wl_fixed_to_double(factor) : 1;
}

static void on_enabled(void *user, G_GNUC_UNUSED struct kde_output_device_v2 *proxy, gint32 enabled)
{
    ((Device *) user)->enabled = enabled != 0;
}

static void on_capabilities(void *user, struct kde_output_device_v2 *proxy, guint32 flags)
{
    /* Without flags of modes nobody can tell which ones the user has made, and they would be lost. */
    ((Device *) user)->makes_modes =
        (flags & KDE_OUTPUT_DEVICE_V2_CAPABILITY_CUSTOM_MODES) != 0 &&
        kde_output_device_v2_get_version(proxy) >= KDE_OUTPUT_DEVICE_MODE_V2_FLAGS_SINCE_VERSION;
}

static void on_name(void *user, G_GNUC_UNUSED struct kde_output_device_v2 *proxy, const char *name)
{
    Device *device = user;
    if (!device->described) /* what the list is sorted by */
        displays_output_name(name, device->name);
}

static void on_removed(void *user, G_GNUC_UNUSED struct kde_output_device_v2 *proxy)
{
    remove_device(user);
}

static void ignore_uint(G_GNUC_UNUSED void *user, G_GNUC_UNUSED struct kde_output_device_v2 *proxy,
                        G_GNUC_UNUSED guint32 value)
{
}

static void ignore_string(G_GNUC_UNUSED void *user, G_GNUC_UNUSED struct kde_output_device_v2 *proxy,
                          G_GNUC_UNUSED const char *value)
{
}

static void ignore_range(G_GNUC_UNUSED void *user, G_GNUC_UNUSED struct kde_output_device_v2 *proxy,
                         G_GNUC_UNUSED guint32 min, G_GNUC_UNUSED guint32 max)
{
}

static void ignore_brightness(G_GNUC_UNUSED void *user, G_GNUC_UNUSED struct kde_output_device_v2 *proxy,
                              G_GNUC_UNUSED guint32 peak, G_GNUC_UNUSED guint32 average, G_GNUC_UNUSED guint32 min)
{
}

static void ignore_overrides(G_GNUC_UNUSED void *user, G_GNUC_UNUSED struct kde_output_device_v2 *proxy,
                             G_GNUC_UNUSED gint32 peak, G_GNUC_UNUSED gint32 average, G_GNUC_UNUSED gint32 min)
{
}

/* libwayland ends the process at an event without a function. */
static const struct kde_output_device_v2_listener device_listener = {
    .geometry = on_geometry,
    .current_mode = on_current_mode,
    .mode = on_mode,
    .done = on_done,
    .scale = on_scale,
    .edid = ignore_string,
    .enabled = on_enabled,
    .uuid = ignore_string,
    .serial_number = ignore_string,
    .eisa_id = ignore_string,
    .capabilities = on_capabilities,
    .overscan = ignore_uint,
    .vrr_policy = ignore_uint,
    .rgb_range = ignore_uint,
    .name = on_name,
    .high_dynamic_range = ignore_uint,
    .sdr_brightness = ignore_uint,
    .wide_color_gamut = ignore_uint,
    .auto_rotate_policy = ignore_uint,
    .icc_profile_path = ignore_string,
    .brightness_metadata = ignore_brightness,
    .brightness_overrides = ignore_overrides,
    .sdr_gamut_wideness = ignore_uint,
    .color_profile_source = ignore_uint,
    .brightness = ignore_uint,
    .color_power_tradeoff = ignore_uint,
    .dimming = ignore_uint,
    .replication_source = ignore_string,
    .ddc_ci_allowed = ignore_uint,
    .max_bits_per_color = ignore_uint,
    .max_bits_per_color_range = ignore_range,
    .automatic_max_bits_per_color_limit = ignore_uint,
    .edr_policy = ignore_uint,
    .sharpness = ignore_uint,
    .priority = ignore_uint,
    .auto_brightness = ignore_uint,
    .removed = on_removed,
};

static gboolean has_room(DisplaysKde *self)
{
    if (self->devices->len < LIMIT_DISPLAYS)
        return TRUE;
    log_peer(&self->log, "a device is ignored: there are too many");
    return FALSE;
}

static void add_device(DisplaysKde *self, guint32 global, struct kde_output_device_v2 *proxy)
{
    Device *device = g_new0(Device, 1);
    device->self = self;
    device->global = global;
    device->proxy = proxy;
    device->scale = 1;
    device->modes = g_ptr_array_new_with_free_func(mode_free);
    kde_output_device_v2_add_listener(proxy, &device_listener, device);
    g_ptr_array_add(self->devices, device);
    self->came_or_went++;
}

static void on_appeared(guint32 name, guint32 version, gpointer user)
{
    DisplaysKde *self = user;
    if (version >= DEVICE_MIN && has_room(self))
        add_device(self, name, wayland_bind_name(self->wayland, name, &kde_output_device_v2_interface,
                                                 MIN(version, DEVICE_MAX)));
}

static void on_vanished(guint32 name, gpointer user)
{
    DisplaysKde *self = user;
    for (guint i = 0; i < self->devices->len; i++) {
        Device *device = self->devices->pdata[i];
        if (device->global == name) {
            remove_device(device);
            return;
        }
    }
}

static const WaylandWatch watch = { .appeared = on_appeared, .vanished = on_vanished };

/* Ends the object. We did not ask for it: what we ask for last, nobody waits for. */
static void on_registry_finished(void *user, G_GNUC_UNUSED struct kde_output_device_registry_v2 *registry)
{
    g_clear_pointer(&((DisplaysKde *) user)->registry, kde_output_device_registry_v2_destroy);
}

static void on_registry_output(void *user, G_GNUC_UNUSED struct kde_output_device_registry_v2 *registry,
                               struct kde_output_device_v2 *proxy)
{
    if (has_room(user))
        add_device(user, 0, proxy);
    else
        kde_output_device_v2_release(proxy);
}

static const struct kde_output_device_registry_v2_listener registry_listener = {
    .finished = on_registry_finished,
    .output = on_registry_output,
};

static void on_announced(void *user, struct wl_callback *callback, G_GNUC_UNUSED guint32 serial)
{
    DisplaysKde *self = user;
    wl_callback_destroy(callback);
    self->announced = NULL;
    self->events.changed(self->user);
}

static const struct wl_callback_listener announced_listener = { .done = on_announced };

/* --- Reading --- */

static guint rounded(double value)
{
    return value > 0 && value < G_MAXINT32 ? (guint) lround(value) : 0;
}

static void read_device(const DisplaysKde *self, const Device *device, DisplaysOutput *output, PlanOutput *plan)
{
    gboolean turned = displays_output_sideways(device->transform);
    const Mode *preferred = preferred_mode(device), *mode = device->current;
    const WaylandOutput *shown = wayland_outputs_find(self->outputs, device->name);
    g_strlcpy(output->name, device->name, sizeof output->name);
    output->transform = device->transform;
    plan->connected = TRUE; /* KWin shows no others */
    plan->scale = device->scale;
    if (preferred != NULL) {
        plan->preferred_w = turned ? preferred->h : preferred->w;
        plan->preferred_h = turned ? preferred->w : preferred->h;
    }
    if (!device->enabled || mode == NULL || mode->w == 0 || mode->h == 0)
        return;
    output->mode_w = mode->w;
    output->mode_h = mode->h;
    plan->on = TRUE;
    plan->mode_w = turned ? mode->h : mode->w;
    plan->mode_h = turned ? mode->w : mode->h;
    /* What clients see comes a little later; and of one that mirrors another they see nothing. */
    gboolean is_shown = shown != NULL && shown->mode_w == mode->w && shown->mode_h == mode->h &&
                        shown->transform == device->transform;
    plan->x = is_shown ? shown->x : device->x;
    plan->y = is_shown ? shown->y : device->y;
    plan->w = is_shown ? shown->w : rounded(plan->mode_w / device->scale);
    plan->h = is_shown ? shown->h : rounded(plan->mode_h / device->scale);
}

static gboolean read_state(DisplaysBackend *backend, DisplaysState *ret_state)
{
    DisplaysKde *self = (DisplaysKde *) backend;
    if (self->announced != NULL || !wayland_outputs_known(self->outputs))
        return FALSE;
    for (guint i = 0; i < self->devices->len; i++) {
        if (!((const Device *) self->devices->pdata[i])->described)
            return FALSE;
    }
    *ret_state = (DisplaysState){ .count = self->devices->len };
    ret_state->limits = (PlanLimits){ .min_w = 1, .min_h = 1, .max_w = G_MAXINT16, .max_h = G_MAXINT16, .step = 1,
                                      .auto_scale = TRUE, .joined = TRUE };
    for (guint i = 0; i < self->devices->len; i++)
        read_device(self, self->devices->pdata[i], &ret_state->output[i], &ret_state->plan[i]);
    self->was_read = self->came_or_went;
    return TRUE;
}

/* --- Changing --- */

/* KWin rounds where plans cut: what lies behind such an edge moves on, that nothing overlaps. */
static void fit(G_GNUC_UNUSED DisplaysBackend *backend, Plan *plan, G_GNUC_UNUSED gboolean upright)
{
    for (gsize i = 0; i < plan->count; i++) {
        PlanHead *head = &plan->head[i];
        if (!head->on)
            continue;
        guint w = rounded(head->mode_w / head->scale), h = rounded(head->mode_h / head->scale);
        gint32 right = (gint32) w - (gint32) head->w, down = (gint32) h - (gint32) head->h;
        for (gsize k = 0; k < plan->count; k++) {
            PlanHead *other = &plan->head[k];
            if (other->on && (gint64) other->x >= (gint64) head->x + head->w)
                other->x += right;
            if (other->on && (gint64) other->y >= (gint64) head->y + head->h)
                other->y += down;
        }
        head->w = w;
        head->h = h;
    }
}

static void end_configuration(DisplaysKde *self)
{
    g_clear_pointer(&self->configuration, kde_output_configuration_v2_destroy);
    g_clear_handle_id(&self->timeout_id, g_source_remove);
}

static void refuse(DisplaysKde *self, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void refuse(DisplaysKde *self, const char *format, ...)
{
    va_list arguments;
    end_configuration(self);
    va_start(arguments, format);
    g_free(self->why);
    self->why = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    self->events.applied(self->why, self->user);
}

static void on_applied(void *user, G_GNUC_UNUSED struct kde_output_configuration_v2 *configuration)
{
    DisplaysKde *self = user;
    end_configuration(self);
    if (self->making)
        proceed(self);
    else
        self->events.applied(NULL, self->user);
}

static void on_failed(void *user, G_GNUC_UNUSED struct kde_output_configuration_v2 *configuration)
{
    DisplaysKde *self = user;
    g_autofree char *reason = g_steal_pointer(&self->why);
    refuse(self, "%s", reason != NULL ? reason : "the compositor cannot do it");
}

/* For people, in their language; comes before `failed`. */
static void on_failure_reason(void *user, G_GNUC_UNUSED struct kde_output_configuration_v2 *configuration,
                              const char *reason)
{
    DisplaysKde *self = user;
    g_autofree char *cut = g_strndup(reason, REASON_MAX);
    g_free(self->why);
    self->why = g_utf8_make_valid(cut, -1);
    for (char *byte = self->why; *byte != '\0'; byte++) {
        if (g_ascii_iscntrl(*byte))
            *byte = ' ';
    }
}

static const struct kde_output_configuration_v2_listener configuration_listener = {
    .applied = on_applied,
    .failed = on_failed,
    .failure_reason = on_failure_reason,
};

static gboolean on_timeout(gpointer user)
{
    DisplaysKde *self = user;
    self->timeout_id = 0;
    refuse(self, "the compositor does not answer");
    return G_SOURCE_REMOVE;
}

static void begin_configuration(DisplaysKde *self)
{
    self->configuration = kde_output_management_v2_create_configuration(self->management);
    kde_output_configuration_v2_add_listener(self->configuration, &configuration_listener, self);
    self->timeout_id = g_timeout_add(ANSWER_MS, on_timeout, self);
}

/* The size of the mode that a device is to have, before rotation. */
static Size mode_size(const DisplaysKde *self, const Device *device, const PlanHead *head)
{
    gboolean turned = !self->upright && displays_output_sideways(device->transform);
    return turned ? (Size){ head->mode_h, head->mode_w } : (Size){ head->mode_w, head->mode_h };
}

static gboolean can_make(const DisplaysKde *self, const Device *device, Size size)
{
    guint w = size.w - size.w % MADE_STEP;
    if (w == 1360 && size.h == 768)
        w = 1366;
    return device->makes_modes && size.w == w && w <= MADE_MAX && size.h <= MADE_MAX &&
           kde_output_management_v2_get_version(self->management) >=
               KDE_OUTPUT_CONFIGURATION_V2_SET_CUSTOM_MODES_SINCE_VERSION;
}

static gboolean made_by_us(const Device *device, Size size)
{
    for (guint i = 0; i < MIN(device->made_count, MADE_MODES_MAX); i++) {
        if (device->made[i].w == size.w && device->made[i].h == size.h)
            return TRUE;
    }
    return FALSE;
}

static void list_mode(struct kde_mode_list_v2 *list, Size size, guint refresh, gboolean reduced)
{
    kde_mode_list_v2_set_resolution(list, size.w, size.h);
    kde_mode_list_v2_set_refresh_rate(list, refresh);
    kde_mode_list_v2_set_reduced_blanking(list, reduced);
    kde_mode_list_v2_add_mode(list);
}

/* The list replaces all made modes: what the user has made stays, of ours only what is in use. */
static void make_mode(DisplaysKde *self, Device *device, Size size)
{
    struct kde_mode_list_v2 *list = kde_output_management_v2_create_mode_list(self->management);
    guint count = 1;
    for (guint i = 0; i < device->modes->len; i++) {
        const Mode *mode = device->modes->pdata[i];
        if ((mode->flags & KDE_OUTPUT_DEVICE_MODE_V2_FLAGS_CUSTOM) == 0 ||
            (mode != device->current &&
             (made_by_us(device, (Size){ mode->w, mode->h }) || count >= MADE_MODES_MAX - 1)))
            continue;
        /* It tells the rate that came out, and takes the one that is wished for: usually a whole number of Hz. */
        list_mode(list, (Size){ mode->w, mode->h }, (mode->refresh + 500) / 1000 * 1000,
                  (mode->flags & KDE_OUTPUT_DEVICE_MODE_V2_FLAGS_REDUCED_BLANKING) != 0);
        count++;
    }
    list_mode(list, size, MADE_REFRESH_MHZ, TRUE);
    kde_output_configuration_v2_set_custom_modes(self->configuration, device->proxy, list);
    kde_mode_list_v2_destroy(list);
    if (!made_by_us(device, size))
        device->made[device->made_count++ % MADE_MODES_MAX] = size;
}

/* Write what shall be other than it is into the configuration; returns whether there is anything. */
static gboolean write_head(DisplaysKde *self, const Device *device, const PlanHead *head)
{
    gboolean any = head->on != device->enabled;
    if (any)
        kde_output_configuration_v2_enable(self->configuration, device->proxy, head->on);
    if (!head->on)
        return any;
    Size size = mode_size(self, device, head);
    const Mode *mode = find_mode(device, size.w, size.h);
    if (mode != device->current || !device->enabled) {
        kde_output_configuration_v2_mode(self->configuration, device->proxy, mode->proxy);
        any = TRUE;
    }
    if (self->upright && device->transform != WL_OUTPUT_TRANSFORM_NORMAL) {
        kde_output_configuration_v2_transform(self->configuration, device->proxy, WL_OUTPUT_TRANSFORM_NORMAL);
        any = TRUE;
    }
    if (wl_fixed_from_double(head->scale) != wl_fixed_from_double(device->scale)) {
        kde_output_configuration_v2_scale(self->configuration, device->proxy, wl_fixed_from_double(head->scale));
        any = TRUE;
    }
    if (head->x != device->x || head->y != device->y) {
        kde_output_configuration_v2_position(self->configuration, device->proxy, head->x, head->y);
        any = TRUE;
    }
    return any;
}

/* Do what comes next for the plan: make the modes that are missing, then set what shall be. */
static void proceed(DisplaysKde *self)
{
    gboolean any = FALSE, made = self->making;
    if (self->planned != self->came_or_went || self->plan.count != self->devices->len) {
        refuse(self, "an output came or went meanwhile");
        return;
    }
    self->making = FALSE;
    for (guint i = 0; i < self->devices->len; i++) {
        const PlanHead *head = &self->plan.head[i];
        const Device *device = self->devices->pdata[i];
        Size size = mode_size(self, device, head);
        if (!head->on || find_mode(device, size.w, size.h) != NULL)
            continue;
        if (made || !can_make(self, device, size)) {
            refuse(self, "%s offers no mode of %ux%u", device->name, size.w, size.h);
            return;
        }
        self->making = TRUE;
    }
    begin_configuration(self);
    for (guint i = 0; i < self->devices->len; i++) {
        const PlanHead *head = &self->plan.head[i];
        Device *device = self->devices->pdata[i];
        Size size = mode_size(self, device, head);
        if (!self->making)
            any = write_head(self, device, head) || any;
        else if (head->on && find_mode(device, size.w, size.h) == NULL)
            make_mode(self, device, size);
    }
    if (self->making || any) {
        kde_output_configuration_v2_apply(self->configuration);
        return;
    }
    end_configuration(self);
    self->events.applied(NULL, self->user);
}

static void apply(DisplaysBackend *backend, const Plan *plan, gboolean upright)
{
    DisplaysKde *self = (DisplaysKde *) backend;
    self->plan = *plan;
    self->planned = self->was_read;
    self->upright = upright;
    self->making = FALSE;
    g_clear_pointer(&self->why, g_free);
    proceed(self);
}

/* --- The backend --- */

static void on_outputs(gpointer user)
{
    DisplaysKde *self = user;
    self->events.changed(self->user);
}

static void close_backend(DisplaysBackend *backend)
{
    DisplaysKde *self = (DisplaysKde *) backend;
    end_configuration(self);
    if (self->registry != NULL) {
        kde_output_device_registry_v2_stop(self->registry);
        kde_output_device_registry_v2_destroy(self->registry);
    }
    wayland_unwatch(self->wayland, &watch, self);
    g_clear_pointer(&self->announced, wl_callback_destroy);
    g_ptr_array_unref(self->devices);
    kde_output_management_v2_destroy(self->management);
    wayland_outputs_free(self->outputs);
    g_free(self->why);
    g_free(self);
}

DisplaysBackend *displays_kde_new(Wayland *wayland, const DisplaysBackendEvents *events, gpointer user, GError **error)
{
    gboolean registry = wayland_version(wayland, kde_output_device_registry_v2_interface.name) >= REGISTRY_MIN;
    if (wayland_version(wayland, kde_output_management_v2_interface.name) == 0 ||
        (!registry && wayland_version(wayland, kde_output_device_v2_interface.name) < DEVICE_MIN)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "the compositor has no kde_output_management_v2");
        return NULL;
    }
    DisplaysKde *self = g_new0(DisplaysKde, 1);
    self->backend = (DisplaysBackend){ .name = "kde", .read = read_state, .fit = fit, .apply = apply,
                                       .free = close_backend };
    self->wayland = wayland;
    self->events = *events;
    self->user = user;
    self->log.name = "compositor";
    self->devices = g_ptr_array_new_with_free_func(device_free);
    self->outputs = wayland_outputs_new(wayland, on_outputs, self);
    self->management = wayland_bind(wayland, &kde_output_management_v2_interface, MANAGEMENT_MAX);
    if (registry) {
        self->registry = wayland_bind(wayland, &kde_output_device_registry_v2_interface, DEVICE_MAX);
        kde_output_device_registry_v2_add_listener(self->registry, &registry_listener, self);
    } else {
        wayland_watch(wayland, kde_output_device_v2_interface.name, &watch, self);
    }
    self->announced = wl_display_sync(wayland_display(wayland));
    wl_callback_add_listener(self->announced, &announced_listener, self);
    return &self->backend;
}
