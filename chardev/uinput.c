/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uinput.h"

#include "pace.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <linux/uinput.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* The second descriptor is that of the relative device; -1 without. A recorder has both in the first. */
struct Uinput {
    char *path;
    int absolute, relative;
    gboolean recorder;
    Pace pace;
    guint timer; /* while something waits */
    void (*caught_up)(gpointer user);
    gpointer user;
};

static gboolean enable(int fd, unsigned long request, const int *codes, gsize count)
{
    for (gsize i = 0; i < count; i++) {
        if (ioctl(fd, request, codes[i]) < 0) {
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean enable_buttons_and_wheels(int fd)
{
    static const int types[] = { EV_KEY, EV_REL };
    static const int keys[] = { BTN_LEFT, BTN_RIGHT, BTN_MIDDLE, BTN_SIDE, BTN_EXTRA, BTN_FORWARD, BTN_BACK, BTN_TASK };
    static const int wheels[] = { REL_WHEEL, REL_WHEEL_HI_RES, REL_HWHEEL, REL_HWHEEL_HI_RES };

    return enable(fd, UI_SET_EVBIT, types, G_N_ELEMENTS(types)) &&
           enable(fd, UI_SET_KEYBIT, keys, G_N_ELEMENTS(keys)) &&
           enable(fd, UI_SET_RELBIT, wheels, G_N_ELEMENTS(wheels));
}

static gboolean enable_position(int fd)
{
    static const int types[] = { EV_ABS };
    static const int axes[] = { ABS_X, ABS_Y };

    for (gsize i = 0; i < G_N_ELEMENTS(axes); i++) {
        struct uinput_abs_setup setup = { .code = (guint16)axes[i], .absinfo = { .maximum = PVMOUSE_AXIS_MAX } };

        if (ioctl(fd, UI_ABS_SETUP, &setup) < 0) {
            return FALSE;
        }
    }
    return enable(fd, UI_SET_EVBIT, types, G_N_ELEMENTS(types)) && enable(fd, UI_SET_ABSBIT, axes, G_N_ELEMENTS(axes));
}

static gboolean enable_motion(int fd)
{
    static const int axes[] = { REL_X, REL_Y };

    return enable(fd, UI_SET_RELBIT, axes, G_N_ELEMENTS(axes));
}

/*
 * Axes and buttons but neither BTN_TOUCH nor BTN_TOOL_*, nor a property: that makes it a pointer (ID_INPUT_MOUSE) for
 * udev and libinput, as QEMU's usb-tablet is one, and neither a touchscreen nor a tablet.
 */
static int create(const char *path, gboolean relative)
{
    struct uinput_setup setup = { .id = { .bustype = BUS_VIRTUAL, .product = relative ? 2 : 1, .version = 1 } };
    int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0) {
        return -1;
    }
    g_strlcpy(setup.name, relative ? "SPICE pvmouse relative" : "SPICE pvmouse", sizeof(setup.name));
    if (!enable_buttons_and_wheels(fd) ||
        !(relative ? enable_motion(fd) : enable_position(fd)) || ioctl(fd, UI_DEV_SETUP, &setup) < 0 ||
        ioctl(fd, UI_DEV_CREATE) < 0) {
        int error_number = errno;

        close(fd);
        errno = error_number;
        return -1;
    }
    return fd;
}

/* A recorder gets every event: writing waits for its reader. */
static int open_recorder(const char *path, mode_t mode)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    if (!S_ISSOCK(mode)) {
        return open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    }
    if (g_strlcpy(address.sun_path, path, sizeof(address.sun_path)) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }

    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int error_number = errno;

        close(fd);
        errno = error_number;
        return -1;
    }
    return fd;
}

static gboolean open_devices(Uinput *uinput, gboolean relative)
{
    struct stat status;

    if (stat(uinput->path, &status) < 0) {
        return FALSE;
    }
    uinput->recorder = !S_ISCHR(status.st_mode);
    if (uinput->recorder) {
        uinput->absolute = open_recorder(uinput->path, status.st_mode);
        return uinput->absolute >= 0;
    }
    uinput->absolute = create(uinput->path, FALSE);
    if (relative && uinput->absolute >= 0) {
        uinput->relative = create(uinput->path, TRUE);
        return uinput->relative >= 0;
    }
    return uinput->absolute >= 0;
}

static const char *advice(int error_number)
{
    switch (error_number) {
    case ENOENT:
    case ENODEV:
        return " (load the kernel module uinput: modprobe uinput)";
    case EACCES:
    case EPERM:
        return " (the user of this process must be allowed to write it, see the udev rule 70-spice-pv.rules)";
    default:
        return "";
    }
}

Uinput *uinput_new(const char *path, gboolean relative, GError **error)
{
    g_autoptr(Uinput) uinput = g_new0(Uinput, 1);

    uinput->path = g_strdup(path);
    uinput->absolute = uinput->relative = -1;
    if (!open_devices(uinput, relative)) {
        int error_number = errno;

        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(error_number), "%s: %s%s", path, g_strerror(error_number),
                    advice(error_number));
        return NULL;
    }
    return g_steal_pointer(&uinput);
}

void uinput_free(Uinput *uinput)
{
    if (!uinput) {
        return;
    }
    g_clear_handle_id(&uinput->timer, g_source_remove);
    if (uinput->relative >= 0) {
        close(uinput->relative);
    }
    if (uinput->absolute >= 0) {
        close(uinput->absolute);
    }
    g_free(uinput->path);
    g_free(uinput);
}

static gboolean write_events(const Uinput *uinput, int fd, const struct input_event *events, gsize count,
                             GError **error)
{
    const guint8 *at = (const guint8 *)events;
    gsize left = count * sizeof(*events);

    while (left > 0) {
        gssize size = write(fd, at, left);

        if (size > 0) {
            at += size;
            left -= (gsize)size;
        } else if (size == 0 || errno != EINTR) {
            int error_number = size == 0 ? EIO : errno;

            g_set_error(error, G_IO_ERROR, g_io_error_from_errno(error_number), "%s: %s", uinput->path,
                        g_strerror(error_number));
            return FALSE;
        }
    }
    return TRUE;
}

/* One write for each run of events of one device, which always ends with a report. */
static gboolean write_steps(const Uinput *uinput, const PointerStep *steps, gsize count, GError **error)
{
    struct input_event events[POINTER_STEPS_MAX];

    g_assert(count <= G_N_ELEMENTS(events));
    memset(events, 0, sizeof(events));
    for (gsize start = 0, i = 0; i < count; i++) {
        events[i].type = steps[i].type;
        events[i].code = steps[i].code;
        events[i].value = steps[i].value;
        if (i + 1 == count || steps[i + 1].relative != steps[i].relative) {
            int fd = steps[i].relative && uinput->relative >= 0 ? uinput->relative : uinput->absolute;

            if (!write_events(uinput, fd, events + start, i + 1 - start, error)) {
                return FALSE;
            }
            start = i + 1;
        }
    }
    return TRUE;
}

static gboolean timer_fired(gpointer user);

/* Write what may go now and see to the rest. */
static gboolean write_due(Uinput *uinput, GError **error)
{
    PointerStep steps[POINTER_STEPS_MAX];
    gint64 now = g_get_monotonic_time();
    gsize count;

    while ((count = pace_take(&uinput->pace, now, false, steps)) > 0) {
        if (!write_steps(uinput, steps, count, error)) {
            return FALSE;
        }
    }
    if (uinput_behind(uinput) && uinput->timer == 0) {
        uinput->timer = g_timeout_add(PACE_INTERVAL_US / 1000, timer_fired, uinput);
    }
    return TRUE;
}

static gboolean timer_fired(gpointer user)
{
    Uinput *uinput = user;
    g_autoptr(GError) error = NULL;

    if (!write_due(uinput, &error)) {
        g_warning("%s", error->message);
        /* The owner, who may be waiting for us to catch up, sees it with its next write. */
        pace_clear(&uinput->pace);
    } else if (uinput_behind(uinput)) {
        return G_SOURCE_CONTINUE;
    }
    uinput->timer = 0;
    if (uinput->caught_up) {
        uinput->caught_up(uinput->user);
    }
    return G_SOURCE_REMOVE;
}

gboolean uinput_write(Uinput *uinput, const PointerStep *steps, gsize count, GError **error)
{
    PointerStep oldest[POINTER_STEPS_MAX];

    if (uinput->recorder || (pace_empty(&uinput->pace) && !pace_counts(steps, count))) {
        return write_steps(uinput, steps, count, error);
    }
    while (!pace_put(&uinput->pace, steps, count)) {
        gsize size = pace_take(&uinput->pace, g_get_monotonic_time(), true, oldest);

        if (!write_steps(uinput, oldest, size, error)) {
            return FALSE;
        }
    }
    return write_due(uinput, error);
}

gboolean uinput_behind(const Uinput *uinput)
{
    return !pace_empty(&uinput->pace);
}

void uinput_on_caught_up(Uinput *uinput, void (*caught_up)(gpointer user), gpointer user)
{
    uinput->caught_up = caught_up;
    uinput->user = user;
}
