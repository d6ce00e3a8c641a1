/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include "places.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define DIGITS "0123456789"
#define HINTS_MAX 16u
/* Of compositors that are looked at; the rest of the directory is not. */
#define COMPOSITORS_MAX 32u

/* Somebody's word on where a desktop is. NULL: not said. */
typedef struct Hint {
    char *session, *wayland, *display, *xauthority; /* wayland: path of the socket */
} Hint;

struct Places {
    const Logins *logins;
    GPtrArray *hints; /* newest last */
    Hint *manager;
};

/* A socket of this user that a process listens on. */
typedef struct Compositor {
    char *path;
    pid_t pid;
    gint64 made;   /* when the socket was, in ns */
    gboolean here; /* inside of the session, as opposed to in none */
    gboolean said; /* somebody says that it is the session's */
    gboolean nested;
} Compositor;

/* --- Hints --- */

static void hint_free(gpointer data)
{
    Hint *hint = data;
    if (hint == NULL)
        return;
    g_free(hint->session);
    g_free(hint->wayland);
    g_free(hint->display);
    g_free(hint->xauthority);
    g_free(hint);
}

/* ":0" and ":0.0" are one display. NULL for one that is not local. */
static char *plain_display(const char *display)
{
    if (display != NULL && g_str_has_prefix(display, "unix:"))
        display += strlen("unix");
    if (display == NULL || display[0] != ':')
        return NULL;
    gsize length = strspn(display + 1, DIGITS);
    if (length == 0 || length > 5)
        return NULL;
    return g_strndup(display, length + 1);
}

/* The socket that a WAYLAND_DISPLAY names. */
static char *socket_path(const char *name)
{
    if (name == NULL || name[0] == '\0')
        return NULL;
    return g_path_is_absolute(name) ? g_strdup(name) : g_build_filename(g_get_user_runtime_dir(), name, NULL);
}

static Hint *hint_new(const char *session, const char *wayland, const char *display, const char *xauthority)
{
    Hint *hint = g_new0(Hint, 1);
    hint->session = g_strdup(session);
    hint->wayland = socket_path(wayland);
    hint->display = plain_display(display);
    hint->xauthority = g_strdup(xauthority);
    return hint;
}

void places_attach(Places *places, GVariant *environment)
{
    const char *session = NULL, *wayland = NULL, *display = NULL, *xauthority = NULL;
    g_variant_lookup(environment, "XDG_SESSION_ID", "&s", &session);
    g_variant_lookup(environment, "WAYLAND_DISPLAY", "&s", &wayland);
    g_variant_lookup(environment, "DISPLAY", "&s", &display);
    g_variant_lookup(environment, "XAUTHORITY", "&s", &xauthority);
    Hint *hint = hint_new(session, wayland, display, xauthority);
    for (guint i = 0; i < places->hints->len; i++) {
        const Hint *old = places->hints->pdata[i];
        if ((g_strcmp0(old->display, hint->display) == 0 && g_strcmp0(old->wayland, hint->wayland) == 0) ||
            places->hints->len >= HINTS_MAX)
            g_ptr_array_remove_index(places->hints, i--);
    }
    g_ptr_array_add(places->hints, hint);
}

void places_manager(Places *places, const char *const *environment)
{
    char **variables = (char **) environment;
    g_clear_pointer(&places->manager, hint_free);
    places->manager = hint_new(g_environ_getenv(variables, "XDG_SESSION_ID"),
                               g_environ_getenv(variables, "WAYLAND_DISPLAY"), g_environ_getenv(variables, "DISPLAY"),
                               g_environ_getenv(variables, "XAUTHORITY"));
}

const char *places_session(const Places *places)
{
    for (guint i = places->hints->len; i > 0; i--) {
        const Hint *hint = places->hints->pdata[i - 1];
        if (hint->session != NULL)
            return hint->session;
    }
    return NULL;
}

/* All hints, newest first, the service manager's last; NULL after it. */
static const Hint *hint_at(const Places *places, guint index)
{
    if (index < places->hints->len)
        return places->hints->pdata[places->hints->len - 1 - index];
    return index == places->hints->len ? places->manager : NULL;
}

/* --- Whose is it? --- */

typedef enum Relation {
    OURS,   /* of the session */
    NONE,   /* of no session that has a seat */
    ANOTHER /* of another session */
} Relation;

static Relation relation(const Places *places, const char *id, const char *session)
{
    if (id == NULL)
        return NONE;
    if (strcmp(id, session) == 0)
        return OURS;
    const Login *login = logins_find(places->logins, id);
    return login != NULL && !login->seated ? NONE : ANOTHER;
}

/* By its control group: display managers' servers and what the service manager starts are in no session. */
static Relation process_relation(const Places *places, pid_t pid, const char *session)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cgroup", (int) pid);
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return NONE;
    const char *id = strstr(text, "/session-"), *end = id != NULL ? strstr(id, ".scope") : NULL;
    if (end == NULL || g_strstr_len(text, id - text, "/user@") != NULL)
        return NONE;
    id += strlen("/session-");
    g_autofree char *name = g_strndup(id, end - id);
    return relation(places, name, session);
}

/* Somebody says that this display, or compositor, belongs to another session than `session`. */
static gboolean claimed(const Places *places, const char *display, const char *wayland, const char *session)
{
    const Hint *hint;
    for (guint i = 0; (hint = hint_at(places, i)) != NULL; i++) {
        if (relation(places, hint->session, session) == ANOTHER &&
            (wayland != NULL ? g_strcmp0(hint->wayland, wayland) : g_strcmp0(hint->display, display)) == 0)
            return TRUE;
    }
    const Login *other;
    for (guint i = 0; display != NULL && (other = logins_at(places->logins, i)) != NULL; i++) {
        if (relation(places, other->id, session) == ANOTHER && g_strcmp0(other->display, display) == 0)
            return TRUE;
    }
    return FALSE;
}

/* What a process was started with: what it set later, as compositors do for their clients, is not there. */
static char *started_with(pid_t pid, const char *variable)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/environ", (int) pid);
    g_autofree char *text = NULL;
    gsize size, length = strlen(variable);
    if (!g_file_get_contents(path, &text, &size, NULL))
        return NULL;
    for (const char *at = text; at < text + size; at += strlen(at) + 1) {
        if (strncmp(at, variable, length) == 0 && at[length] == '=')
            return g_strdup(at + length + 1);
    }
    return NULL;
}

/* --- Listeners --- */

/* Who listens on a socket; FALSE: nobody. Does not block, and says nothing to whoever it is. */
static gboolean listener(const struct sockaddr_un *address, gsize length, struct ucred *ret_peer)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return FALSE;
    socklen_t size = sizeof *ret_peer;
    gboolean open = connect(fd, (const struct sockaddr *) address, length) == 0 &&
                    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ret_peer, &size) == 0;
    close(fd);
    return open;
}

/*
 * The process that listens on a display; 0 when there is none, or when it is neither root's nor ours. Xlib tries the
 * abstract name first, so both must be.
 */
static pid_t find_server(const char *display)
{
    pid_t server = 0;
    for (int abstract = 1; abstract >= 0; abstract--) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int length = g_snprintf(address.sun_path + abstract, sizeof address.sun_path - abstract,
                                PLACES_X_SOCKETS "/X%s", display + 1);
        struct ucred peer;
        if (!listener(&address, offsetof(struct sockaddr_un, sun_path) + abstract + length + !abstract, &peer))
            continue;
        if (peer.uid != 0 && peer.uid != getuid()) {
            g_debug("X display %s is another user's", display);
            return 0;
        }
        server = peer.pid;
    }
    return server;
}

/* Who holds a display number, without connecting; 0: unknown. Anybody may have written it. */
static pid_t lock_holder(const char *display)
{
    g_autofree char *path = g_strdup_printf("/tmp/.X%s-lock", display + 1);
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    char text[16] = "";
    if (fd < 0)
        return 0;
    gssize size = read(fd, text, sizeof text - 1);
    close(fd);
    gint64 pid = size > 0 ? g_ascii_strtoll(text, NULL, 10) : 0;
    return pid > 0 && pid <= G_MAXINT32 && (kill((pid_t) pid, 0) == 0 || errno == EPERM) ? (pid_t) pid : 0;
}

static void compositor_clear(gpointer data)
{
    g_free(((Compositor *) data)->path);
}

static Compositor *find_compositor(const GArray *compositors, const char *path, pid_t pid)
{
    for (guint i = 0; i < compositors->len; i++) {
        Compositor *compositor = &g_array_index(compositors, Compositor, i);
        if (path != NULL ? g_str_equal(compositor->path, path) : compositor->pid == pid)
            return compositor;
    }
    return NULL;
}

static void add_compositor(GArray *compositors, const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct ucred peer;
    struct stat info;
    if (path == NULL || strlen(path) >= sizeof address.sun_path || compositors->len >= COMPOSITORS_MAX ||
        find_compositor(compositors, path, 0) != NULL)
        return;
    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    if (stat(path, &info) != 0 || !listener(&address, sizeof address, &peer))
        return;
    if (peer.uid != getuid()) {
        g_debug("%s is another user's", path);
        return;
    }
    Compositor compositor = { .path = g_strdup(path), .pid = peer.pid,
                              .made = info.st_mtim.tv_sec * G_GINT64_CONSTANT(1000000000) + info.st_mtim.tv_nsec };
    g_array_append_val(compositors, compositor);
}

/* Other programs have sockets named after the compositor's: "wayland-1-….sock". */
static gboolean is_socket_name(const char *name)
{
    gsize prefix = strlen("wayland-");
    return g_str_has_prefix(name, "wayland-") && name[prefix] != '\0' &&
           name[prefix + strspn(name + prefix, DIGITS)] == '\0';
}

/* All of this user's. Named ones first, so that a crowded directory does not hide them. */
static GArray *list_compositors(const Places *places)
{
    GArray *compositors = g_array_new(FALSE, TRUE, sizeof(Compositor));
    g_array_set_clear_func(compositors, compositor_clear);
    const Hint *hint;
    for (guint i = 0; (hint = hint_at(places, i)) != NULL; i++)
        add_compositor(compositors, hint->wayland);
    const char *runtime = g_get_user_runtime_dir(), *name;
    g_autoptr(GDir) dir = g_dir_open(runtime, 0, NULL);
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = is_socket_name(name) ? g_build_filename(runtime, name, NULL) : NULL;
        add_compositor(compositors, path);
    }
    return compositors;
}

/* --- Compositors --- */

/* Of XWayland: itself or, as it is started when it is needed, the compositor. */
static gboolean is_compositor(pid_t pid, const GArray *compositors)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/comm", (int) pid);
    g_autofree char *program = NULL;
    return find_compositor(compositors, NULL, pid) != NULL ||
           (g_file_get_contents(path, &program, NULL, NULL) && g_str_equal(program, "Xwayland\n"));
}

/* As find_server(), but 0 also for XWayland. That has a lock, but not while it changes from one to the next process. */
static pid_t find_x_server(const char *display, const GArray *compositors)
{
    pid_t holder = lock_holder(display);
    pid_t server = holder != 0 && is_compositor(holder, compositors) ? 0 : find_server(display);
    return server != 0 && !is_compositor(server, compositors) ? server : 0;
}

static gboolean is_nested(const Places *places, const Compositor *compositor, const GArray *compositors,
                          const char *session)
{
    g_autofree char *name = started_with(compositor->pid, "WAYLAND_DISPLAY");
    g_autofree char *path = socket_path(name);
    const Compositor *outer = path != NULL ? find_compositor(compositors, path, 0) : NULL;
    /* The variable may be left over from one that was there before, at this very socket. */
    if (outer != NULL && outer->pid != compositor->pid)
        return TRUE;
    g_autofree char *text = started_with(compositor->pid, "DISPLAY");
    g_autofree char *display = places_x_wanted(places, session) ? plain_display(text) : NULL;
    pid_t server = display != NULL ? find_x_server(display, compositors) : 0;
    return server != 0 && process_relation(places, server, session) != ANOTHER;
}

/* A compositor that is in no session is not ours if another session is one of a compositor, and ours is not. */
static gboolean another_waits(const Places *places, const char *session)
{
    const Login *ours = logins_find(places->logins, session), *other;
    for (guint i = 0; (other = logins_at(places->logins, i)) != NULL; i++) {
        if (other != ours && other->seated && g_str_equal(other->type, "wayland"))
            return ours != NULL && !g_str_equal(ours->type, "wayland");
    }
    return FALSE;
}

static gboolean is_said(const Places *places, const char *path, const char *session)
{
    const Hint *hint;
    for (guint i = 0; (hint = hint_at(places, i)) != NULL; i++) {
        if (g_strcmp0(hint->wayland, path) == 0 && relation(places, hint->session, session) != ANOTHER)
            return TRUE;
    }
    return FALSE;
}

/* Best first. Of two that are alike the older one: what is nested in it, without our knowing, came after it. */
static int compare(gconstpointer one, gconstpointer two)
{
    const Compositor *a = one, *b = two;
    if (a->nested != b->nested)
        return a->nested - b->nested;
    if (a->here != b->here)
        return b->here - a->here;
    if (a->said != b->said)
        return b->said - a->said;
    return a->made < b->made ? -1 : a->made > b->made;
}

/* Those of `all` that may be the session's. */
static GArray *choose_compositors(const Places *places, const GArray *all, const char *session)
{
    GArray *chosen = g_array_new(FALSE, TRUE, sizeof(Compositor));
    g_array_set_clear_func(chosen, compositor_clear);
    gboolean leave_free = another_waits(places, session);
    for (guint i = 0; i < all->len; i++) {
        Compositor compositor = g_array_index(all, Compositor, i);
        Relation of = process_relation(places, compositor.pid, session);
        if (of == ANOTHER || (of == NONE && (leave_free || claimed(places, NULL, compositor.path, session))))
            continue;
        compositor.path = g_strdup(compositor.path);
        compositor.here = of == OURS;
        compositor.said = is_said(places, compositor.path, session);
        g_array_append_val(chosen, compositor);
    }
    for (guint i = 0; i < chosen->len; i++) {
        Compositor *compositor = &g_array_index(chosen, Compositor, i);
        compositor->nested = is_nested(places, compositor, chosen, session);
    }
    g_array_sort(chosen, compare);
    return chosen;
}

static gboolean offer_compositors(const GArray *chosen, gboolean nested, PlacesOffer offer, gpointer user)
{
    for (guint i = 0; i < chosen->len; i++) {
        const Compositor *compositor = &g_array_index(chosen, Compositor, i);
        if (compositor->nested != nested)
            continue;
        const BackendsPlace place = { .wayland = compositor->path };
        if (offer(&place, compositor->made, nested, user))
            return TRUE;
    }
    return FALSE;
}

/* --- X servers --- */

/* What offers of X servers have in common. */
typedef struct XSearch {
    const Places *places;
    const char *session;
    const GArray *compositors;
    PlacesOffer offer;
    gpointer user;
} XSearch;

static gboolean offer_with(const XSearch *search, const char *display, const char *xauthority)
{
    const BackendsPlace place = { .display = display, .xauthority = xauthority };
    return search->offer(&place, 0, FALSE, search->user);
}

/* A display with the authority file that was named, else with the usual ones. */
static gboolean offer_display(const XSearch *search, const char *display, const char *xauthority)
{
    if (find_x_server(display, search->compositors) == 0)
        return FALSE;
    if (xauthority != NULL && offer_with(search, display, xauthority))
        return TRUE;
    g_autofree char *home = g_build_filename(g_get_home_dir(), ".Xauthority", NULL);
    if (g_strcmp0(home, xauthority) != 0 && offer_with(search, display, home))
        return TRUE;
    const char *runtime = g_get_user_runtime_dir();
    g_autofree char *gdm = g_build_filename(runtime, "gdm", "Xauthority", NULL);
    if (access(gdm, R_OK) == 0 && offer_with(search, display, gdm))
        return TRUE;
    g_autoptr(GDir) dir = g_dir_open(runtime, 0, NULL);
    const char *name;
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_str_has_prefix(name, "xauth_") ? g_build_filename(runtime, name, NULL) : NULL;
        if (path != NULL && offer_with(search, display, path))
            return TRUE;
    }
    return FALSE;
}

static gboolean offer_hint(const XSearch *search, const Hint *hint)
{
    if (hint == NULL || hint->display == NULL)
        return FALSE;
    Relation of = relation(search->places, hint->session, search->session);
    if (of == ANOTHER || (of == NONE && claimed(search->places, hint->display, NULL, search->session)))
        return FALSE;
    return offer_display(search, hint->display, hint->xauthority);
}

/* Nobody has said that this one is the session's: it may as well be a nested or a virtual server. */
static gboolean runs_here(const XSearch *search, const char *display)
{
    pid_t holder = lock_holder(display);
    if (holder != 0 && process_relation(search->places, holder, search->session) != OURS)
        return FALSE;
    pid_t server = find_x_server(display, search->compositors);
    return server != 0 && process_relation(search->places, server, search->session) == OURS;
}

static gboolean offer_x(const XSearch *search)
{
    const Places *places = search->places;
    for (guint i = places->hints->len; i > 0; i--) {
        if (offer_hint(search, places->hints->pdata[i - 1]))
            return TRUE;
    }
    const Login *login = logins_find(places->logins, search->session);
    g_autofree char *known = login != NULL ? plain_display(login->display) : NULL;
    if ((known != NULL && offer_display(search, known, NULL)) || offer_hint(search, places->manager))
        return TRUE;
    g_autoptr(GDir) dir = g_dir_open(PLACES_X_SOCKETS, 0, NULL);
    const char *name;
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *text = name[0] == 'X' ? g_strconcat(":", name + 1, NULL) : NULL;
        g_autofree char *display = plain_display(text);
        if (display != NULL && runs_here(search, display) && offer_display(search, display, NULL))
            return TRUE;
    }
    return FALSE;
}

/* --- All --- */

static gboolean is_of_type(const Places *places, const char *session, const char *type)
{
    const Login *login = logins_find(places->logins, session);
    return login != NULL && g_str_equal(login->type, type);
}

gboolean places_compositor_wanted(const Places *places, const char *session)
{
    return !is_of_type(places, session, "x11");
}

gboolean places_x_wanted(const Places *places, const char *session)
{
    return !is_of_type(places, session, "wayland");
}

gboolean places_name_counts(const Places *places, const char *name)
{
    g_autofree char *path = socket_path(name);
    const Hint *hint;
    for (guint i = 0; (hint = hint_at(places, i)) != NULL; i++) {
        if (g_strcmp0(hint->wayland, path) == 0)
            return TRUE;
    }
    return is_socket_name(name) || strcmp(name, ".Xauthority") == 0 || g_str_has_prefix(name, "xauth_") ||
           strcmp(name, "gdm") == 0;
}

gboolean places_search(const Places *places, const char *session, PlacesOffer offer, gpointer user)
{
    g_autoptr(GArray) all = list_compositors(places);
    g_autoptr(GArray) chosen =
        places_compositor_wanted(places, session) ? choose_compositors(places, all, session) : NULL;
    const XSearch search = { .places = places, .session = session, .compositors = all, .offer = offer, .user = user };
    return (chosen != NULL && offer_compositors(chosen, FALSE, offer, user)) ||
           (places_x_wanted(places, session) && offer_x(&search)) ||
           (chosen != NULL && offer_compositors(chosen, TRUE, offer, user));
}

Places *places_new(const Logins *logins)
{
    Places *places = g_new0(Places, 1);
    places->logins = logins;
    places->hints = g_ptr_array_new_with_free_func(hint_free);
    return places;
}

void places_free(Places *places)
{
    if (places == NULL)
        return;
    g_ptr_array_unref(places->hints);
    hint_free(places->manager);
    g_free(places);
}
