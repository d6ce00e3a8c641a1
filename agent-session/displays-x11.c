/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "displays-x11.h"

#include "device.h"
#include "log.h"
#include "plan.h"

#include <X11/extensions/Xrandr.h>
#include <gio/gio.h>
#include <math.h>
#include <string.h>

#define MODE_PREFIX "spice-"
/* How long the desktop may take to follow the device by itself before we do. */
#define GRACE_MS 300
/* Outside of these a resolution in dots per inch is taken as a mistake. */
#define DPI_MIN 50.0
#define DPI_MAX 400.0
#define DPI_DEFAULT 96.0
#define MM_PER_INCH 25.4
/* What drivers with coarse widths demand at most. */
#define COARSE_STEP 8u
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

/* What of an output was last followed or found. */
typedef struct Seen {
    RROutput id;
    gboolean connected, on;
    guint preferred_w, preferred_h;
} Seen;

struct DisplaysX11 {
    X11 *x11;
    DisplaysPolicy policy;
    DisplaysPeer peer;
    gpointer user;
    int event_base;
    /*
     * The desktop's width in pixels and millimetres: of our own last change, or of what the server told since. What
     * Xlib knows lags behind the server until the events are handled, and only a pair of one time gives a resolution.
     */
    int width, width_mm;
    gulong sized; /* serial of our last change */
    double dpi;
    gsize seen_count;
    Seen seen[LIMIT_DISPLAYS];
    guint report_id, follow_id;
    LogPeer client;
};

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
        plan->w = crtc->width;
        plan->h = crtc->height;
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

static void report(DisplaysX11 *self, const Outputs *screen)
{
    GVariantBuilder outputs;
    gint64 x1 = G_MAXINT32, y1 = G_MAXINT32, x2 = 0, y2 = 0;
    g_variant_builder_init(&outputs, G_VARIANT_TYPE("a(suuiiuuu)"));
    for (gsize i = 0; i < screen->count; i++) {
        const Output *output = &screen->output[i];
        const PlanOutput *plan = &screen->plan[i];
        if (!plan->on)
            continue;
        g_variant_builder_add(&outputs, "(suuiiuuu)", output->name, output->mode_w, output->mode_h, plan->x, plan->y,
                              plan->w, plan->h, transform(output->rotation));
        x1 = MIN(x1, plan->x);
        y1 = MIN(y1, plan->y);
        x2 = MAX(x2, plan->x + (gint64) plan->w);
        y2 = MAX(y2, plan->y + (gint64) plan->h);
    }
    /* X spreads an absolute device over the root window, which may be larger than what is shown of it. */
    if (x1 != 0 || y1 != 0 || x2 != screen->w || y2 != screen->h)
        g_variant_builder_add(&outputs, "(suuiiuuu)", "", screen->w, screen->h, 0, 0, screen->w, screen->h, 0);
    self->peer.layout(g_variant_builder_end(&outputs), self->user);
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
    self->dpi = dpi >= DPI_MIN && dpi <= DPI_MAX ? dpi : DPI_DEFAULT;
    for (gsize i = 0; self->policy.scale && i < plan->count; i++) {
        const PlanHead *head = &plan->head[i];
        if (!head->on || head->width_mm == 0 || head->height_mm == 0)
            continue;
        dpi = head->w * MM_PER_INCH / head->width_mm;
        if (dpi >= DPI_MIN && dpi <= DPI_MAX)
            self->dpi = dpi;
        else
            log_peer(&self->client, "display %zu of %u pixels is said to be %u mm wide: size ignored", i, head->w,
                     head->width_mm);
        return;
    }
}

/* Report what is there now, after removing what nobody needs any more. */
static void settle(DisplaysX11 *self)
{
    g_auto(Outputs) screen = { 0 };
    if (!outputs_read(self, &screen))
        return;
    remove_unused_modes(self, &screen);
    report(self, &screen);
}

static gboolean same_dpi(const DisplaysX11 *self, const Plan *plan)
{
    return self->width == (int) plan->w && self->width_mm == to_mm(self, plan->w);
}

/* Carry out a plan, or undo it. FALSE when the server refused. */
static gboolean apply(DisplaysX11 *self, const Outputs *screen, const Plan *plan, gboolean upright)
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

static PlanLimits limits(DisplaysX11 *self, const Outputs *screen)
{
    int min_w = 1, min_h = 1, max_w = 1, max_h = 1;
    XRRGetScreenSizeRange(x11_display(self->x11), x11_root(self->x11), &min_w, &min_h, &max_w, &max_h);
    PlanLimits bounds = { .min_w = min_w, .min_h = min_h, .max_w = max_w, .max_h = max_h, .step = 1 };
    for (gsize i = 0; i < screen->count; i++)
        bounds.step = MAX(bounds.step, device_width_step(screen->output[i].name));
    return bounds;
}

gboolean displays_x11_apply(DisplaysX11 *self, const VdagentMonitors *monitors)
{
    gboolean done = FALSE;
    for (guint step = 1;; step = COARSE_STEP) {
        g_auto(Outputs) screen = { 0 };
        if (!outputs_read(self, &screen))
            return FALSE;
        PlanLimits bounds = limits(self, &screen);
        bounds.step = MAX(bounds.step, step);
        Plan plan;
        unsigned adjusted;
        PlanResult result = plan_client(&bounds, screen.count, monitors, &plan, &adjusted);
        if (result != PLAN_OK) {
            const char *why = result == PLAN_NOTHING_ON ? "no display would remain" : "larger than the X server allows";
            log_peer(&self->client, "monitors refused: %s", why);
            self->peer.refused("displays", why, self->user);
            return FALSE;
        }
        if (adjusted != 0)
            log_peer(&self->client, "monitors not taken as they came:%s%s%s%s", adjusted & PLAN_CLAMPED ? " size" : "",
                     adjusted & PLAN_MOVED ? " origin" : "", adjusted & PLAN_REPACKED ? " placing" : "",
                     adjusted & PLAN_IGNORED ? " number" : "");
        done = apply(self, &screen, &plan, TRUE);
        if (done)
            break;
        if (bounds.step == COARSE_STEP) {
            log_peer(&self->client, "monitors refused by the X server");
            self->peer.refused("displays", "the X server cannot do it", self->user);
            break;
        }
    }
    settle(self);
    return done;
}

/* Remember what is there; returns whether anything is new, and marks it. */
static gboolean look(DisplaysX11 *self, Outputs *screen)
{
    gboolean any = FALSE;
    for (gsize i = 0; i < screen->count; i++) {
        PlanOutput *output = &screen->plan[i];
        const Seen *old = NULL;
        for (gsize k = 0; k < self->seen_count && old == NULL; k++) {
            if (self->seen[k].id == screen->output[i].id)
                old = &self->seen[k];
        }
        /* One that was on had been there: the server had only not looked at the connector. */
        output->plugged = old == NULL ? output->connected
                                      : old->connected != output->connected && !(output->connected && old->on);
        /* A server that knew of no preference and has one now has looked again, which is no wish of the device. */
        output->resized = old != NULL && old->preferred_w != 0 && output->preferred_w != 0 &&
                          (old->preferred_w != output->preferred_w || old->preferred_h != output->preferred_h);
        any = any || output->plugged || output->resized;
    }
    self->seen_count = screen->count;
    for (gsize i = 0; i < screen->count; i++) {
        const PlanOutput *output = &screen->plan[i];
        self->seen[i] = (Seen){ screen->output[i].id, output->connected, output->on, output->preferred_w,
                                output->preferred_h };
    }
    return any;
}

static gboolean on_follow(gpointer user)
{
    DisplaysX11 *self = user;
    self->follow_id = 0;
    g_auto(Outputs) screen = { 0 };
    if (!outputs_read(self, &screen) || !look(self, &screen) || !self->policy.follow)
        return G_SOURCE_REMOVE;
    PlanLimits bounds = limits(self, &screen);
    Plan plan;
    if (plan_follow(&bounds, screen.count, screen.plan, &plan) != PLAN_OK || plan_is_current(&plan, screen.plan))
        return G_SOURCE_REMOVE;
    g_message("following the device: desktop %ux%u → %ux%u", screen.w, screen.h, plan.w, plan.h);
    if (!apply(self, &screen, &plan, FALSE))
        g_warning("x11: the server refused the outputs' own preferred modes");
    settle(self);
    return G_SOURCE_REMOVE;
}

static gboolean on_report(gpointer user)
{
    DisplaysX11 *self = user;
    self->report_id = 0;
    g_auto(Outputs) screen = { 0 };
    if (outputs_read(self, &screen))
        report(self, &screen);
    return G_SOURCE_REMOVE;
}

/* Xlib has both values from the same event, or from the connection's start. */
static void remember_size(DisplaysX11 *self)
{
    Display *display = x11_display(self->x11);
    self->width = DisplayWidth(display, DefaultScreen(display));
    self->width_mm = DisplayWidthMM(display, DefaultScreen(display));
}

/* A change comes as several events: what they say is read once they have all been taken. */
static gboolean on_event(const XEvent *event, gpointer user)
{
    DisplaysX11 *self = user;
    if (event->type != self->event_base + RRScreenChangeNotify && event->type != self->event_base + RRNotify)
        return FALSE;
    XEvent copy = *event;
    XRRUpdateConfiguration(&copy);
    if (event->type == self->event_base + RRScreenChangeNotify && (glong) (event->xany.serial - self->sized) >= 0)
        remember_size(self);
    /* After the events, but before file data (client.c), of which there may be no end for a while. */
    if (self->report_id == 0)
        self->report_id = g_idle_add_full(G_PRIORITY_DEFAULT + 5, on_report, self, NULL);
    if (self->follow_id == 0)
        self->follow_id = g_timeout_add(GRACE_MS, on_follow, self);
    return TRUE;
}

DisplaysX11 *displays_x11_new(X11 *x11, const DisplaysPolicy *policy, const DisplaysPeer *peer, gpointer user,
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
    self->x11 = x11;
    self->policy = *policy;
    self->peer = *peer;
    self->user = user;
    self->event_base = event_base;
    self->dpi = DPI_DEFAULT;
    remember_size(self);
    self->client.name = "client";
    x11_add_handler(x11, on_event, self);
    XRRSelectInput(display, x11_root(x11),
                   RRScreenChangeNotifyMask | RRCrtcChangeNotifyMask | RROutputChangeNotifyMask);
    g_auto(Outputs) screen = { 0 };
    if (outputs_read(self, &screen)) {
        look(self, &screen);
        report(self, &screen);
    }
    return self;
}

void displays_x11_free(DisplaysX11 *self)
{
    if (self == NULL)
        return;
    g_clear_handle_id(&self->report_id, g_source_remove);
    g_clear_handle_id(&self->follow_id, g_source_remove);
    x11_remove_handler(self->x11, on_event, self);
    XRRSelectInput(x11_display(self->x11), x11_root(self->x11), 0);
    g_free(self);
}
