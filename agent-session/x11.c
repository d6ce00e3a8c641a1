/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "x11.h"

#include "log.h"

#include <X11/extensions/Xfixes.h>
#include <gio/gio.h>
#include <langinfo.h>
#include <locale.h>
#include <string.h>

#define HANDLERS 8
/* Events handled before other sources have their turn. */
#define EVENTS_AT_ONCE 64

typedef struct X11Source {
    GSource base;
    X11 *x11;
} X11Source;

struct X11 {
    Display *display;
    GSource *source;
    gpointer tag;
    guint closed_id;
    void (*closed)(gpointer user);
    gpointer user;
    struct {
        X11Handler call;
        gpointer user;
    } handler[HANDLERS];
    guint handlers;
    gboolean keeping;
    gulong keep_from; /* serial of the first request since x11_push_errors() */
    int kept;
    LogPeer log;
};

/* Xlib's error handler is one for all displays and has no user data. */
static GSList *connections;

static gboolean on_closed(gpointer user)
{
    X11 *x11 = user;
    x11->closed_id = 0;
    x11->closed(x11->user);
    return G_SOURCE_REMOVE;
}

/* Instead of Xlib's own, which ends the process. Xlib has marked the display: it does no I/O for it any more. */
static void on_io_exit(G_GNUC_UNUSED Display *display, void *user)
{
    X11 *x11 = user;
    if (x11->source == NULL)
        return;
    g_source_destroy(x11->source);
    g_clear_pointer(&x11->source, g_source_unref);
    x11->closed_id = g_idle_add_full(G_PRIORITY_HIGH, on_closed, x11, NULL);
}

/* Xlib's own prints to stderr and ends the process. */
static int on_io_error(G_GNUC_UNUSED Display *display)
{
    return 0;
}

static int on_error(Display *display, XErrorEvent *error)
{
    for (GSList *l = connections; l != NULL; l = l->next) {
        X11 *x11 = l->data;
        if (x11->display != display)
            continue;
        if (x11->keeping && (glong) (error->serial - x11->keep_from) >= 0) {
            if (x11->kept == 0)
                x11->kept = error->error_code;
            return 0;
        }
        /* Windows of other programs vanish at any time, with what we had to say to them still on its way. */
        if (error->error_code == BadWindow)
            return 0;
        char text[128];
        XGetErrorText(display, error->error_code, text, sizeof text);
        log_peer(&x11->log, "%s, request %u.%u, resource 0x%lx", text, error->request_code, error->minor_code,
                 error->resourceid);
    }
    return 0;
}

static gboolean source_prepare(GSource *base, int *ret_timeout)
{
    X11 *x11 = ((X11Source *) base)->x11;
    *ret_timeout = -1;
    /* What was queued goes out before the loop sleeps; a reply awaited elsewhere may have brought events in. */
    XFlush(x11->display);
    return !g_source_is_destroyed(base) && XEventsQueued(x11->display, QueuedAlready) > 0;
}

static gboolean source_check(GSource *base)
{
    X11 *x11 = ((X11Source *) base)->x11;
    return g_source_query_unix_fd(base, x11->tag) != 0 || XEventsQueued(x11->display, QueuedAlready) > 0;
}

static gboolean source_dispatch(GSource *base, G_GNUC_UNUSED GSourceFunc callback, G_GNUC_UNUSED gpointer user)
{
    X11 *x11 = ((X11Source *) base)->x11;
    for (guint n = 0; n < EVENTS_AT_ONCE && !g_source_is_destroyed(base) && XPending(x11->display) > 0; n++) {
        XEvent event;
        XNextEvent(x11->display, &event);
        for (guint i = 0; i < x11->handlers; i++) {
            if (x11->handler[i].call(&event, x11->handler[i].user))
                break;
        }
    }
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = { .prepare = source_prepare, .check = source_check, .dispatch = source_dispatch };

X11 *x11_new(const char *display, const char *xauthority, void (*closed)(gpointer user), gpointer user, GError **error)
{
    if (!g_str_has_prefix(display, ":") && !g_str_has_prefix(display, "unix:")) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "X display %s is not on this machine", display);
        return NULL;
    }
    /* Xlib converts COMPOUND_TEXT by way of the locale, and a user service often has none. */
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
    if (xauthority != NULL)
        g_setenv("XAUTHORITY", xauthority, TRUE);
    XSetErrorHandler(on_error);
    XSetIOErrorHandler(on_io_error);
    Display *opened = XOpenDisplay(display);
    if (opened == NULL) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "cannot connect to X display %s", display);
        return NULL;
    }
    X11 *x11 = g_new0(X11, 1);
    x11->display = opened;
    x11->closed = closed;
    x11->user = user;
    x11->log.name = "x11";
    XSetIOErrorExitHandler(opened, on_io_exit, x11);
    x11->source = g_source_new(&source_funcs, sizeof(X11Source));
    ((X11Source *) x11->source)->x11 = x11;
    x11->tag = g_source_add_unix_fd(x11->source, ConnectionNumber(opened), G_IO_IN);
    g_source_attach(x11->source, NULL);
    connections = g_slist_prepend(connections, x11);
    return x11;
}

void x11_free(X11 *x11)
{
    if (x11 == NULL)
        return;
    g_clear_handle_id(&x11->closed_id, g_source_remove);
    if (x11->source != NULL) {
        g_source_destroy(x11->source);
        g_clear_pointer(&x11->source, g_source_unref);
    }
    XCloseDisplay(x11->display);
    connections = g_slist_remove(connections, x11);
    g_free(x11);
}

void x11_let_end(X11 *x11)
{
    int event_base, error_base, major = 0, minor = 0;
    if (XFixesQueryExtension(x11->display, &event_base, &error_base) &&
        XFixesQueryVersion(x11->display, &major, &minor) && major >= 6)
        XFixesSetClientDisconnectMode(x11->display, XFixesClientDisconnectFlagTerminate);
}

Display *x11_display(X11 *x11)
{
    return x11->display;
}

Window x11_root(X11 *x11)
{
    return DefaultRootWindow(x11->display);
}

void x11_add_handler(X11 *x11, X11Handler handler, gpointer user)
{
    g_assert(x11->handlers < HANDLERS);
    x11->handler[x11->handlers].call = handler;
    x11->handler[x11->handlers++].user = user;
}

void x11_remove_handler(X11 *x11, X11Handler handler, gpointer user)
{
    for (guint i = 0; i < x11->handlers; i++) {
        if (x11->handler[i].call == handler && x11->handler[i].user == user) {
            x11->handlers--;
            memmove(&x11->handler[i], &x11->handler[i + 1], (x11->handlers - i) * sizeof x11->handler[0]);
            return;
        }
    }
}

void x11_push_errors(X11 *x11)
{
    x11->keeping = TRUE;
    x11->keep_from = NextRequest(x11->display);
    x11->kept = 0;
}

int x11_pop_errors(X11 *x11)
{
    XSync(x11->display, False);
    x11->keeping = FALSE;
    return x11->kept;
}
