/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "displays-x11.h"

#include "device.h"
#include "log.h"

#include <X11/extensions/Xrandr.h>
#include <gio/gio.h>
#include <math.h>
#include <string.h>

#define MODE_PREFIX "spice-"
#define DPI_DEFAULT 96.0
#define MM_PER_INCH 25.4
#define REFRESH_HZ 60

typedef struct Output {
    RROutput id;
    RRCrtc crtc; /* None while it is off */
    RRMode mode;
    Rotation rotation;
    guint mode_w, mode_h;
    char name[LIMIT_CONNECTOR_NAME];
    XRROutputInfo *info;
} Output;

/* The server's outputs at one moment; plan[i] belongs to output[i]. */
typedef struct Outputs {
    XRRScreenResources *resources;
    gsize count;
    Output output[LIMIT_DISPLAYS];
    PlanOutput plan[LIMIT_DISPLAYS];
    guint w, h;
} Outputs;

typedef struct DisplaysX11 {
    DisplaysBackend backend; /* first */
    X11 *x11;
    gboolean physical;
    DisplaysBackendEvents events;
    gpointer user;
    int event_base;
    /*
     * The desktop's width in pixels and millimetres: of our own last change, or of what the server told since. What
     * Xlib knows lags behind the server until the events are handled, and only a pair of one time gives a resolution.
     */
    int width, width_mm;
    gulong sized; /* serial of our last change */
    double dpi;
    LogPeer client;
} DisplaysX11;

static void outputs_clear(Outputs *screen)
{
    for (gsize i = 0; i < screen->count; i++)
        XRRFreeOutputInfo(screen->output[i].info);
    if (screen->resources != NULL)
        XRRFreeScreenResources(screen->resources);
    memset(screen, 0, sizeof *screen);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Outputs, outputs_clear)

static const XRRModeInfo *find_mode(const Outputs *screen, RRMode id)
{
    for (int i = 0; i < screen->resources->nmode; i++) {
        if (screen->resources->modes[i].id == id)
            return &screen->resources->modes[i];
    }
    return NULL;
}

static gboolean sideways(Rotation rotation)
{
    return (rotation & (RR_Rotate_90 | RR_Rotate_270)) != 0;
}

static void read_output(Display *display, Outputs *screen, Output *output, PlanOutput *plan)
{
    output->crtc = output->info->crtc;
    output->rotation = RR_Rotate_0;
    g_strlcpy(output->name, output->info->name, sizeof output->name);
    plan->connected = output->info->connection != RR_Disconnected;
    XRRCrtcInfo *crtc = output->crtc != None ? XRRGetCrtcInfo(display, screen->resources, output->crtc) : NULL;
    const XRRModeInfo *mode = crtc != NULL ? find_mode(screen, crtc->mode) : NULL;
    if (mode != NULL) {
        output->mode = crtc->mode;
        output->rotation = crtc->rotation;
        output->mode_w = mode->width;
        output->mode_h = mode->height;
        plan->on = true;
        plan->x = crtc->x;
        plan->y = crtc->y;
        plan->w = plan->mode_w = crtc->width;
        plan->h = plan->mode_h = crtc->height;
        plan->scale = 1;
    }
    if (crtc != NULL)
        XRRFreeCrtcInfo(crtc);
    const XRRModeInfo *preferred =
        output->info->npreferred > 0 && output->info->nmode > 0 ? find_mode(screen, output->info->modes[0]) : NULL;
    if (preferred != NULL) {
        gboolean turned = sideways(output->rotation);
        plan->preferred_w = turned ? preferred->height : preferred->width;
        plan->preferred_h = turned ? preferred->width : preferred->height;
    }
}

/* Ask the server for everything. False when it does not answer. */
static gboolean outputs_read(DisplaysX11 *self, Outputs *ret_screen)
{
    Display *display = x11_display(self->x11);
    g_auto(Outputs) screen = { 0 };
    Window root = x11_root(self->x11);
    int x, y;
    guint border, depth;
    if (!XGetGeometry(display, root, &root, &x, &y, &screen.w, &screen.h, &border, &depth))
        return FALSE;
    screen.resources = XRRGetScreenResourcesCurrent(display, root);
    if (screen.resources == NULL)
        return FALSE;
    for (int i = 0; i < screen.resources->noutput && screen.count < LIMIT_DISPLAYS; i++) {
        Output *output = &screen.output[screen.count];
        output->id = screen.resources->outputs[i];
        output->info = XRRGetOutputInfo(display, screen.resources, output->id);
        if (output->info == NULL)
            return FALSE;
        read_output(display, &screen, output, &screen.plan[screen.count++]);
    }
    *ret_screen = screen;
    memset(&screen, 0, sizeof screen);
    return TRUE;
}

/* Numbers of wl_output.transform; RandR reflects before it rotates, both count counterclockwise. */
static guint transform(Rotation rotation)
{
    guint turns = rotation & RR_Rotate_90 ? 1 : rotation & RR_Rotate_180 ? 2 : rotation & RR_Rotate_270 ? 3 : 0;
    gboolean flip_x = (rotation & RR_Reflect_X) != 0, flip_y = (rotation & RR_Reflect_Y) != 0;
    if (flip_y)
        turns = (turns + 2) % 4;
    return turns + (flip_x != flip_y ? 4 : 0);
}

static gboolean mode_has(const XRRModeInfo *mode, guint w, guint h)
{
    return mode != NULL && mode->width == w && mode->height == h &&
           (mode->modeFlags & (RR_Interlace | RR_DoubleScan)) == 0;
}

static gboolean mode_is_ours(const XRRModeInfo *mode)
{
    return strncmp(mode->name, MODE_PREFIX, strlen(MODE_PREFIX)) == 0;
}

/* Reduced blanking: virtual devices have no use for the rest, and some still compare the pixel clock with a limit. */
static RRMode make_mode(Display *display, Window root, guint w, guint h)
{
    char name[32];
    int length = g_snprintf(name, sizeof name, MODE_PREFIX "%ux%u", w, h);
    XRRModeInfo mode = {
        .name = name,
        .nameLength = length,
        .width = w,
        .hSyncStart = w + 48,
        .hSyncEnd = w + 80,
        .hTotal = w + 160,
        .height = h,
        .vSyncStart = h + 3,
        .vSyncEnd = h + 9,
        .vTotal = h + 24,
        .modeFlags = RR_HSyncPositive | RR_VSyncNegative,
    };
    mode.dotClock = MIN((guint64) mode.hTotal * mode.vTotal * REFRESH_HZ, G_MAXUINT32);
    return XRRCreateMode(display, root, &mode);
}

/* A mode of this size that the output can use; made if there is none. None if the server refuses. */
static RRMode output_mode(DisplaysX11 *self, const Outputs *screen, const Output *output, guint w, guint h)
{
    Display *display = x11_display(self->x11);
    for (int i = 0; i < output->info->nmode; i++) {
        if (mode_has(find_mode(screen, output->info->modes[i]), w, h))
            return output->info->modes[i];
    }
    RRMode mode = None;
    for (int i = 0; i < screen->resources->nmode && mode == None; i++) {
        const XRRModeInfo *info = &screen->resources->modes[i];
        if (mode_is_ours(info) && mode_has(info, w, h))
            mode = info->id;
    }
    x11_push_errors(self->x11);
    if (mode == None)
        mode = make_mode(display, x11_root(self->x11), w, h);
    if (mode != None)
        XRRAddOutputMode(display, output->id, mode);
    return x11_pop_errors(self->x11) == 0 ? mode : None;
}

/* A CRTC for an output: its own, or the first that it can use and nobody has. */
static RRCrtc pick_crtc(const Output *output, const RRCrtc *taken, gsize count)
{
    for (int i = -1; i < output->info->ncrtc; i++) {
        RRCrtc crtc = i < 0 ? output->crtc : output->info->crtcs[i];
        gboolean used = crtc == None;
        for (gsize k = 0; k < count && !used; k++)
            used = taken[k] == crtc;
        if (!used)
            return crtc;
    }
    return None;
}

static gboolean set_crtc(DisplaysX11 *self, const Outputs *screen, RRCrtc crtc, int x, int y, RRMode mode,
                         Rotation rotation, RROutput output)
{
    return XRRSetCrtcConfig(x11_display(self->x11), screen->resources, crtc, CurrentTime, x, y, mode, rotation,
                            mode != None ? &output : NULL, mode != None) == RRSetConfigSuccess;
}

static int to_mm(const DisplaysX11 *self, guint pixels)
{
    return MAX(1, (int) lround(pixels * MM_PER_INCH / self->dpi));
}

static gboolean set_size(DisplaysX11 *self, guint w, guint h)
{
    Display *display = x11_display(self->x11);
    gulong serial = NextRequest(display);
    x11_push_errors(self->x11);
    XRRSetScreenSize(display, x11_root(self->x11), w, h, to_mm(self, w), to_mm(self, h));
    if (x11_pop_errors(self->x11) != 0)
        return FALSE;
    self->sized = serial;
    self->width = w;
    self->width_mm = to_mm(self, w);
    return TRUE;
}

/* Does the output's rectangle lie inside a desktop of w x h? */
static gboolean inside(const PlanOutput *output, guint w, guint h)
{
    return output->x + (gint64) output->w <= w && output->y + (gint64) output->h <= h;
}

/*
 * Go from what is there to the plan. The desktop is resized only while every enabled output lies inside of both the old
 * and the new size: those that do not are switched off before and on again after. False as soon as the server refuses.
 */
static gboolean carry_out(DisplaysX11 *self, const Outputs *screen, const Plan *plan, gboolean upright)
{
    RRMode mode[LIMIT_DISPLAYS] = { None };
    RRCrtc crtc[LIMIT_DISPLAYS] = { None };
    gboolean off[LIMIT_DISPLAYS] = { FALSE };
    for (gsize i = 0; i < plan->count; i++) {
        const Output *output = &screen->output[i];
        const PlanHead *head = &plan->head[i];
        if (!head->on)
            continue;
        gboolean turned = !upright && sideways(output->rotation);
        guint w = turned ? head->h : head->w, h = turned ? head->w : head->h;
        gboolean same = output->mode != None && output->mode_w == w && output->mode_h == h;
        mode[i] = same ? output->mode : output_mode(self, screen, output, w, h);
        if (mode[i] == None)
            return FALSE;
    }
    for (gsize i = 0; i < plan->count; i++) {
        if (!plan->head[i].on)
            continue;
        crtc[i] = pick_crtc(&screen->output[i], crtc, i);
        if (crtc[i] == None)
            return FALSE;
    }
    for (gsize i = 0; i < plan->count; i++) {
        const Output *output = &screen->output[i];
        off[i] = screen->plan[i].on && (!plan->head[i].on || crtc[i] != output->crtc ||
                                        !inside(&screen->plan[i], plan->w, plan->h));
        if (off[i] && !set_crtc(self, screen, output->crtc, 0, 0, None, RR_Rotate_0, None))
            return FALSE;
    }
    if (!set_size(self, plan->w, plan->h))
        return FALSE;
    for (gsize i = 0; i < plan->count; i++) {
        const Output *output = &screen->output[i];
        const PlanHead *head = &plan->head[i];
        Rotation rotation = upright ? RR_Rotate_0 : output->rotation;
        if (!head->on || (screen->plan[i].on && !off[i] && mode[i] == output->mode && head->x == screen->plan[i].x &&
                          head->y == screen->plan[i].y && rotation == output->rotation))
            continue;
        if (!set_crtc(self, screen, crtc[i], head->x, head->y, mode[i], rotation, output->id))
            return FALSE;
    }
    return TRUE;
}

/* Back to what was there before a plan failed half-way. */
static void restore(DisplaysX11 *self, const Outputs *screen)
{
    for (gsize i = 0; i < screen->count; i++) {
        const Output *output = &screen->output[i];
        for (int k = 0; k < output->info->ncrtc; k++)
            set_crtc(self, screen, output->info->crtcs[k], 0, 0, None, RR_Rotate_0, None);
    }
    set_size(self, screen->w, screen->h);
    for (gsize i = 0; i < screen->count; i++) {
        const Output *output = &screen->output[i];
        if (screen->plan[i].on)
            set_crtc(self, screen, output->crtc, screen->plan[i].x, screen->plan[i].y, output->mode, output->rotation,
                     output->id);
    }
}

static gboolean mode_in_use(const Outputs *screen, RRMode mode)
{
    for (gsize i = 0; i < screen->count; i++) {
        if (screen->output[i].mode == mode)
            return TRUE;
    }
    return FALSE;
}

static void remove_unused_modes(DisplaysX11 *self, const Outputs *screen)
{
    Display *display = x11_display(self->x11);
    x11_push_errors(self->x11);
    for (int i = 0; i < screen->resources->nmode; i++) {
        const XRRModeInfo *mode = &screen->resources->modes[i];
        if (!mode_is_ours(mode) || mode_in_use(screen, mode->id))
            continue;
        for (gsize k = 0; k < screen->count; k++) {
            const XRROutputInfo *info = screen->output[k].info;
            for (int m = 0; m < info->nmode; m++) {
                if (info->modes[m] == mode->id)
                    XRRDeleteOutputMode(display, screen->output[k].id, mode->id);
            }
        }
        XRRDestroyMode(display, mode->id);
    }
    x11_pop_errors(self->x11);
}

static void find_dpi(DisplaysX11 *self, const Plan *plan)
{
    double dpi = self->width_mm > 0 ? self->width * MM_PER_INCH / self->width_mm : 0;
    self->dpi = dpi >= PLAN_DPI_MIN && dpi <= PLAN_DPI_MAX ? dpi : DPI_DEFAULT;
    for (gsize i = 0; self->physical && i < plan->count; i++) {
        const PlanHead *head = &plan->head[i];
        if (!head->on || head->width_mm == 0 || head->height_mm == 0)
            continue;
        dpi = head->w * MM_PER_INCH / head->width_mm;
        if (dpi >= PLAN_DPI_MIN && dpi <= PLAN_DPI_MAX)
            self->dpi = dpi;
        else
            log_peer(&self->client, "display %zu of %u pixels is said to be %u mm wide: size ignored", i, head->w,
                     head->width_mm);
        return;
    }
}

static gboolean same_dpi(const DisplaysX11 *self, const Plan *plan)
{
    return self->width == (int) plan->w && self->width_mm == to_mm(self, plan->w);
}

/* Carry out a plan, or undo it. FALSE when the server refused. */
static gboolean change(DisplaysX11 *self, const Outputs *screen, const Plan *plan, gboolean upright)
{
    Display *display = x11_display(self->x11);
    find_dpi(self, plan);
    if (plan_is_current(plan, screen->plan) && plan->w == screen->w && plan->h == screen->h && same_dpi(self, plan))
        return TRUE;
    XGrabServer(display);
    gboolean done = carry_out(self, screen, plan, upright);
    if (!done)
        restore(self, screen);
    XUngrabServer(display);
    XFlush(display);
    return done;
}

static void apply(DisplaysBackend *backend, const Plan *plan, gboolean upright)
{
    DisplaysX11 *self = (DisplaysX11 *) backend;
    gboolean done = FALSE;
    {
        g_auto(Outputs) screen = { 0 };
        if (outputs_read(self, &screen) && screen.count == plan->count)
            done = change(self, &screen, plan, upright);
    }
    g_auto(Outputs) after = { 0 };
    if (outputs_read(self, &after))
        remove_unused_modes(self, &after);
    self->events.applied(done ? NULL : "the X server cannot do it", self->user);
}

static PlanLimits limits(DisplaysX11 *self, const Outputs *screen)
{
    int min_w = 1, min_h = 1, max_w = 1, max_h = 1;
    XRRGetScreenSizeRange(x11_display(self->x11), x11_root(self->x11), &min_w, &min_h, &max_w, &max_h);
    PlanLimits bounds = { .min_w = min_w, .min_h = min_h, .max_w = max_w, .max_h = max_h, .step = 1 };
    for (gsize i = 0; i < screen->count; i++)
        bounds.step = MAX(bounds.step, device_width_step(screen->output[i].name));
    return bounds;
}

static gboolean read_state(DisplaysBackend *backend, DisplaysState *ret_state)
{
    DisplaysX11 *self = (DisplaysX11 *) backend;
    g_auto(Outputs) screen = { 0 };
    if (!outputs_read(self, &screen))
        return FALSE;
    *ret_state = (DisplaysState){ .count = screen.count, .w = screen.w, .h = screen.h, .limits = limits(self, &screen) };
    memcpy(ret_state->plan, screen.plan, sizeof screen.plan);
    for (gsize i = 0; i < screen.count; i++) {
        const Output *from = &screen.output[i];
        DisplaysOutput *to = &ret_state->output[i];
        *to = (DisplaysOutput){ .mode_w = from->mode_w, .mode_h = from->mode_h,
                                .transform = transform(from->rotation) };
        g_strlcpy(to->name, from->name, sizeof to->name);
    }
    return TRUE;
}

/* Xlib has both values from the same event, or from the connection's start. */
static void remember_size(DisplaysX11 *self)
{
    Display *display = x11_display(self->x11);
    self->width = DisplayWidth(display, DefaultScreen(display));
    self->width_mm = DisplayWidthMM(display, DefaultScreen(display));
}

static gboolean on_event(const XEvent *event, gpointer user)
{
    DisplaysX11 *self = user;
    if (event->type != self->event_base + RRScreenChangeNotify && event->type != self->event_base + RRNotify)
        return FALSE;
    XEvent copy = *event;
    XRRUpdateConfiguration(&copy);
    if (event->type == self->event_base + RRScreenChangeNotify && (glong) (event->xany.serial - self->sized) >= 0)
        remember_size(self);
    self->events.changed(self->user);
    return TRUE;
}

static void close_backend(DisplaysBackend *backend)
{
    DisplaysX11 *self = (DisplaysX11 *) backend;
    x11_remove_handler(self->x11, on_event, self);
    XRRSelectInput(x11_display(self->x11), x11_root(self->x11), 0);
    g_free(self);
}

DisplaysBackend *displays_x11_new(X11 *x11, gboolean physical, const DisplaysBackendEvents *events, gpointer user,
                                  GError **error)
{
    Display *display = x11_display(x11);
    int event_base, error_base, major = 0, minor = 0;
    if (!XRRQueryExtension(display, &event_base, &error_base) || !XRRQueryVersion(display, &major, &minor) ||
        major < 1 || (major == 1 && minor < 3)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "the X server has no RandR 1.3");
        return NULL;
    }
    DisplaysX11 *self = g_new0(DisplaysX11, 1);
    self->backend = (DisplaysBackend){ .name = "x11", .read = read_state, .apply = apply, .free = close_backend };
    self->x11 = x11;
    self->physical = physical;
    self->events = *events;
    self->user = user;
    self->event_base = event_base;
    self->dpi = DPI_DEFAULT;
    remember_size(self);
    self->client.name = "client";
    x11_add_handler(x11, on_event, self);
    XRRSelectInput(display, x11_root(x11),
                   RRScreenChangeNotifyMask | RRCrtcChangeNotifyMask | RROutputChangeNotifyMask);
    return &self->backend;
}
