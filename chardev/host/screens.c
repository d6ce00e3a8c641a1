/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _DEFAULT_SOURCE
#include "screens.h"

#include <spice/qxl_dev.h>
#include <string.h>
#include <sys/mman.h>

#define SIZE_MAX_PIXELS 16384u
#define BYTES_PER_PIXEL 2u

typedef struct Screen {
    QXLInstance qxl;
    Screens *screens;
    guint32 w, h; /* 0x0: off */
    void *pixels; /* NULL: no surface */
    gsize size;
    gboolean stale;  /* of another size than it should be */
    gboolean asking; /* whether the display's thread is free */
    guint asked_at;
} Screen;

struct Screens {
    ScreensResized resized;
    gpointer user;
    gboolean shown;
    guint viewers, connects; /* now, and ever */
    guint show_id;
    guint count;
    Screen screen[LIMIT_DISPLAYS];
};

/*
 * What libspice-server's worker thread asks of a device. It never has a command, and says that it would wake the worker if it
 * got one: the thread sleeps.
 */
static void attached(QXLInstance *qxl)
{
    (void)qxl;
}

static void set_level(QXLInstance *qxl, int level)
{
    (void)qxl, (void)level;
}

static void init_info(QXLInstance *qxl, QXLDevInitInfo *info)
{
    (void)qxl;
    *info = (QXLDevInitInfo){ .num_memslots_groups = 1,
                              .num_memslots = 1,
                              .memslot_gen_bits = 1,
                              .memslot_id_bits = 1,
                              .n_surfaces = 1 };
}

static int no_command(QXLInstance *qxl, QXLCommandExt *command)
{
    (void)qxl, (void)command;
    return 0;
}

static int will_notify(QXLInstance *qxl)
{
    (void)qxl;
    return 1;
}

static void release_resource(QXLInstance *qxl, QXLReleaseInfoExt info)
{
    (void)qxl, (void)info;
}

static void notify_update(QXLInstance *qxl, uint32_t id)
{
    (void)qxl, (void)id;
}

static int flush_resources(QXLInstance *qxl)
{
    (void)qxl;
    return 0;
}

static gboolean is_free(gpointer user);

/* In the display's thread. */
static void async_complete(QXLInstance *qxl, uint64_t cookie)
{
    (void)cookie;
    g_idle_add_full(G_PRIORITY_DEFAULT, is_free, qxl, NULL);
}

static void update_area_complete(QXLInstance *qxl, uint32_t surface, QXLRect *rects, uint32_t count)
{
    (void)qxl, (void)surface, (void)rects, (void)count;
}

/* Not supported: the message is the agent's. */
static int client_monitors_config(QXLInstance *qxl, VDAgentMonitorsConfig *monitors)
{
    (void)qxl, (void)monitors;
    return 0;
}

static const QXLInterface interface = {
    .base = { .type = SPICE_INTERFACE_QXL,
              .description = "blank display",
              .major_version = SPICE_INTERFACE_QXL_MAJOR,
              .minor_version = SPICE_INTERFACE_QXL_MINOR },
    .attached_worker = attached,
    .set_compression_level = set_level,
    .get_init_info = init_info,
    .get_command = no_command,
    .req_cmd_notification = will_notify,
    .release_resource = release_resource,
    .get_cursor_command = no_command,
    .req_cursor_notification = will_notify,
    .notify_update = notify_update,
    .flush_resources = flush_resources,
    .async_complete = async_complete,
    .update_area_complete = update_area_complete,
    .client_monitors_config = client_monitors_config,
};

static void remove_surface(Screen *screen)
{
    if (screen->pixels) {
        spice_qxl_destroy_primary_surface(&screen->qxl, 0);
        munmap(screen->pixels, screen->size);
        screen->pixels = NULL;
    }
}

static void create_surface(Screen *screen)
{
    QXLDevSurfaceCreate create = {
        .width = screen->w,
        .height = screen->h,
        .stride = (int32_t)(screen->w * BYTES_PER_PIXEL),
        .format = SPICE_SURFACE_FMT_16_555,
        .mouse_mode = TRUE, /* client mouse mode is allowed with it */
    };

    screen->size = (gsize)screen->w * screen->h * BYTES_PER_PIXEL;
    screen->pixels = mmap(NULL, screen->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (screen->pixels == MAP_FAILED) {
        screen->pixels = NULL;
        g_warning("no memory for a display of %ux%u", screen->w, screen->h);
        return;
    }
    create.mem = (uintptr_t)screen->pixels;
    spice_qxl_create_primary_surface(&screen->qxl, 0, &create);
    madvise(screen->pixels, screen->size, MADV_DONTNEED);
}

/*
 * Surfaces are made and removed by calls that wait for the display's thread, which waits 30 s for what a viewer has to say first. So
 * it is asked before whether it is free, and once more if a viewer has connected since.
 */
static void update(Screen *screen)
{
    gboolean wanted = screen->screens->shown && screen->w > 0;

    if (!screen->asking && (screen->stale || wanted != (screen->pixels != NULL))) {
        screen->asking = TRUE;
        screen->asked_at = screen->screens->connects;
        spice_qxl_flush_surfaces_async(&screen->qxl, 0);
    }
}

static gboolean is_free(gpointer user)
{
    Screen *screen = SPICE_CONTAINEROF((QXLInstance *)user, Screen, qxl);

    screen->asking = FALSE;
    if (screen->asked_at != screen->screens->connects) {
        update(screen);
        return G_SOURCE_REMOVE;
    }
    screen->stale = FALSE;
    remove_surface(screen);
    if (screen->screens->shown && screen->w > 0) {
        create_surface(screen);
    }
    return G_SOURCE_REMOVE;
}

static void show(Screens *screens, gboolean shown)
{
    screens->shown = shown;
    for (guint i = 0; i < screens->count; i++) {
        update(&screens->screen[i]);
    }
}

static gboolean show_now(gpointer user)
{
    Screens *screens = user;

    screens->show_id = 0;
    show(screens, TRUE);
    return G_SOURCE_REMOVE;
}

void screens_watched(Screens *screens, guint clients, guint viewers)
{
    g_clear_handle_id(&screens->show_id, g_source_remove);
    screens->connects += viewers > screens->viewers;
    screens->viewers = viewers;
    if (clients == 0 && viewers == 0) {
        show(screens, FALSE);
    } else if (!screens->shown) {
        /* Not at once: libspice-server tells of a channel before it tells the display's thread. */
        screens->show_id = viewers > 0 ? g_idle_add(show_now, screens) : g_timeout_add(SCREENS_WAIT_MS, show_now, screens);
    }
}

Screens *screens_new(const Options *options, SpiceServer *server, ScreensResized resized, gpointer user)
{
    Screens *screens = g_new0(Screens, 1);
    QXLDevMemSlot everything = { .virt_end = UINTPTR_MAX };

    screens->resized = resized;
    screens->user = user;
    screens->count = options->n_displays;
    for (guint i = 0; i < screens->count; i++) {
        Screen *screen = &screens->screen[i];

        screen->screens = screens;
        screen->qxl.base.sif = &interface.base;
        screen->qxl.id = (int)i;
        spice_server_add_interface(server, &screen->qxl.base);
        spice_qxl_add_memslot(&screen->qxl, &everything);
        screens_resize(screens, i, options->display[i].w, options->display[i].h);
    }
    return screens;
}

void screens_free(Screens *screens)
{
    if (!screens) {
        return;
    }
    g_clear_handle_id(&screens->show_id, g_source_remove);
    for (guint i = 0; i < screens->count; i++) {
        remove_surface(&screens->screen[i]);
        spice_server_remove_interface(&screens->screen[i].qxl.base);
        g_idle_remove_by_data(&screens->screen[i].qxl);
    }
    g_free(screens);
}

void screens_resize(Screens *screens, guint display, guint32 w, guint32 h)
{
    if (display >= screens->count || w > SIZE_MAX_PIXELS || h > SIZE_MAX_PIXELS || (w == 0) != (h == 0)) {
        return;
    }

    Screen *screen = &screens->screen[display];

    if (screen->w == w && screen->h == h) {
        return;
    }
    screen->w = w;
    screen->h = h;
    screen->stale = screen->pixels != NULL;
    update(screen);
    screens->resized(display, w, h, screens->user);
}
