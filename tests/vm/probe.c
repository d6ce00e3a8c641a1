/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the pointer really does inside the guest, seen where it matters: at the evdev device and in the X server.
 *
 *   probe evdev [-v] NAME…   counts the events of the input devices with these names, or node names ("event3"), also
 *                            when they are created later. Each line on standard input is answered by one line of JSON:
 *                            "counts", or "reset" (which answers with the counts and clears them). -v also prints each
 *                            event as it comes: "NAME SECONDS.MICROSECONDS TYPE CODE VALUE" with the kernel's monotonic
 *                            time.
 *   probe pointer            prints "X Y" of the X pointer at start and after motion the server has processed, and
 *                            "= X Y" for each line on standard input.
 *   probe echo PORT NAME     writes the four bytes "SYN\n" to a virtio-serial port for each complete report of the
 *                            device: half of a round trip whose other half is the host's.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <X11/Xlib.h>
#include <X11/extensions/XInput2.h>

enum { DEVICES_MAX = 8, BUTTONS = 16 };

typedef struct Device {
    const char *name;
    int fd;                /* -1 while there is no such device */
    char node[64];
    unsigned opened;       /* how often a device of this name was found: more than 1 = it was created again */
    unsigned press[BUTTONS], release[BUTTONS]; /* from BTN_LEFT up */
    unsigned reports, motions, dropped;
    long wheel, hwheel, wheel_hires, hwheel_hires, rel_x, rel_y;
    int abs_x, abs_y;
} Device;

static Device devices[DEVICES_MAX];
static int device_count;
static bool verbose;

_Noreturn static void die(const char *what)
{
    fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int axis(int fd, int code)
{
    struct input_absinfo info;
    return ioctl(fd, EVIOCGABS(code), &info) < 0 ? -1 : info.value;
}

/* Opens /dev/input/NODE if it carries the name of a device we look for and do not have. */
static void try_open(const char *node)
{
    char path[300], name[128] = "";
    snprintf(path, sizeof path, "/dev/input/%s", node);
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    ioctl(fd, EVIOCGNAME(sizeof name), name);
    for (Device *d = devices; d < devices + device_count; d++) {
        if (d->fd >= 0 || (strcmp(d->name, name) != 0 && strcmp(d->name, node) != 0))
            continue;
        int clock = CLOCK_MONOTONIC;
        ioctl(fd, EVIOCSCLOCKID, &clock);
        d->fd = fd;
        d->opened++;
        d->abs_x = axis(fd, ABS_X);
        d->abs_y = axis(fd, ABS_Y);
        snprintf(d->node, sizeof d->node, "%s", node);
        return;
    }
    close(fd);
}

static int watch_devices(char **names)
{
    for (; *names && device_count < DEVICES_MAX; names++)
        devices[device_count++] = (Device){ .name = *names, .fd = -1 };
    int inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    /* The node appears before udev has set its permissions: look again at each change of attributes. */
    if (inotify < 0 || inotify_add_watch(inotify, "/dev/input", IN_CREATE | IN_ATTRIB) < 0)
        die("/dev/input");
    DIR *dir = opendir("/dev/input");
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (strncmp(entry->d_name, "event", 5) == 0)
            try_open(entry->d_name);
    closedir(dir);
    return inotify;
}

static void nodes_changed(int inotify)
{
    char buffer[4096] __attribute__((aligned(8)));
    for (ssize_t n; (n = read(inotify, buffer, sizeof buffer)) > 0;)
        for (char *p = buffer; p < buffer + n;) {
            struct inotify_event *event = (struct inotify_event *)p;
            bool known = strncmp(event->name, "event", 5) != 0;
            for (Device *d = devices; d < devices + device_count; d++)
                known |= d->fd >= 0 && strcmp(d->node, event->name) == 0;
            if (!known)
                try_open(event->name);
            p += sizeof *event + event->len;
        }
}

static void count(Device *d, const struct input_event *e)
{
    if (verbose)
        printf("%s %ld.%06ld %d %d %d\n", d->name, (long)e->input_event_sec, (long)e->input_event_usec, e->type,
               e->code, e->value);
    if (e->type == EV_KEY && e->code >= BTN_LEFT && e->code < BTN_LEFT + BUTTONS)
        (e->value ? d->press : d->release)[e->code - BTN_LEFT]++;
    else if (e->type == EV_ABS && e->code == ABS_X)
        d->abs_x = e->value;
    else if (e->type == EV_ABS && e->code == ABS_Y)
        d->abs_y = e->value;
    else if (e->type == EV_REL && e->code == REL_X)
        d->rel_x += e->value;
    else if (e->type == EV_REL && e->code == REL_Y)
        d->rel_y += e->value;
    else if (e->type == EV_REL && e->code == REL_WHEEL)
        d->wheel += e->value;
    else if (e->type == EV_REL && e->code == REL_HWHEEL)
        d->hwheel += e->value;
    else if (e->type == EV_REL && e->code == REL_WHEEL_HI_RES)
        d->wheel_hires += e->value;
    else if (e->type == EV_REL && e->code == REL_HWHEEL_HI_RES)
        d->hwheel_hires += e->value;
    else if (e->type == EV_SYN && e->code == SYN_REPORT)
        d->reports++;
    else if (e->type == EV_SYN && e->code == SYN_DROPPED)
        d->dropped++;
    d->motions += e->type == EV_ABS;
}

/* Returns how many complete reports were read. */
static int device_ready(Device *d)
{
    struct input_event events[64];
    unsigned before = d->reports;
    ssize_t n;
    while ((n = read(d->fd, events, sizeof events)) > 0)
        for (size_t i = 0; i < n / sizeof events[0]; i++)
            count(d, &events[i]);
    if (n < 0 && errno == ENODEV) {
        close(d->fd);
        d->fd = -1;
    }
    return d->reports - before;
}

static void print_buttons(const char *label, const unsigned *counts)
{
    const char *comma = "";
    printf("\"%s\":{", label);
    for (int i = 0; i < BUTTONS; i++)
        if (counts[i]) {
            printf("%s\"%d\":%u", comma, BTN_LEFT + i, counts[i]);
            comma = ",";
        }
    printf("},");
}

static void print_counts(void)
{
    printf("{");
    for (Device *d = devices; d < devices + device_count; d++) {
        printf("%s\"%s\":{\"present\":%s,\"opened\":%u,", d == devices ? "" : ",", d->name,
               d->fd >= 0 ? "true" : "false", d->opened);
        print_buttons("press", d->press);
        print_buttons("release", d->release);
        printf("\"wheel\":%ld,\"hwheel\":%ld,\"wheel_hires\":%ld,\"hwheel_hires\":%ld,\"rel_x\":%ld,\"rel_y\":%ld,"
               "\"abs_x\":%d,\"abs_y\":%d,\"reports\":%u,\"motions\":%u,\"dropped\":%u}", d->wheel, d->hwheel,
               d->wheel_hires, d->hwheel_hires, d->rel_x, d->rel_y, d->abs_x, d->abs_y, d->reports, d->motions,
               d->dropped);
    }
    printf("}\n");
}

static void reset_counts(void)
{
    for (Device *d = devices; d < devices + device_count; d++) {
        Device fresh = { .name = d->name, .fd = d->fd, .opened = d->opened, .abs_x = d->abs_x, .abs_y = d->abs_y };
        memcpy(fresh.node, d->node, sizeof fresh.node);
        *d = fresh;
    }
}

/* Waits for something; returns what poll() says in fds[0..1] (caller's) after serving devices and inotify. */
static int serve(struct pollfd *first, int inotify)
{
    struct pollfd fds[DEVICES_MAX + 2] = { *first, { inotify, POLLIN, 0 } };
    int reports = 0;
    for (int i = 0; i < device_count; i++)
        fds[2 + i] = (struct pollfd){ devices[i].fd, POLLIN, 0 };
    if (poll(fds, 2 + device_count, -1) < 0)
        die("poll");
    for (int i = 0; i < device_count; i++)
        if (fds[2 + i].revents)
            reports += device_ready(&devices[i]);
    if (fds[1].revents)
        nodes_changed(inotify);
    first->revents = fds[0].revents;
    return reports;
}

static int evdev(char **names)
{
    char line[64];
    int inotify = watch_devices(names);
    setvbuf(stdin, NULL, _IONBF, 0);
    print_counts();
    for (;;) {
        struct pollfd input = { STDIN_FILENO, POLLIN, 0 };
        serve(&input, inotify);
        if (input.revents && !fgets(line, sizeof line, stdin))
            return 0;
        if (input.revents) {
            print_counts();
            if (strcmp(line, "reset\n") == 0)
                reset_counts();
        }
    }
}

static int echo(const char *port_path, char **names)
{
    int port = open(port_path, O_RDWR | O_CLOEXEC);
    if (port < 0)
        die(port_path);
    int inotify = watch_devices(names);
    print_counts();
    for (;;) {
        struct pollfd nothing = { -1, 0, 0 };
        for (int reports = serve(&nothing, inotify); reports > 0; reports--)
            if (write(port, "SYN\n", 4) != 4)
                die(port_path);
    }
}

static void print_pointer(Display *display, const char *prefix)
{
    Window root, child;
    int x, y, wx, wy;
    unsigned mask;
    XQueryPointer(display, DefaultRootWindow(display), &root, &child, &x, &y, &wx, &wy, &mask);
    printf("%s%d %d\n", prefix, x, y);
}

/* Raw events reach the root window whatever window or grab gets the cooked ones; the position is asked for then. */
static int pointer(void)
{
    char line[64];
    int opcode, event, error, major = 2, minor = 2;
    unsigned char bits[XIMaskLen(XI_LASTEVENT)] = { 0 };
    XIEventMask mask = { XIAllMasterDevices, sizeof bits, bits };
    Display *display = XOpenDisplay(NULL);
    if (!display || !XQueryExtension(display, "XInputExtension", &opcode, &event, &error)
        || XIQueryVersion(display, &major, &minor) != Success) {
        fprintf(stderr, "probe: no X display with XInput 2\n");
        return 1;
    }
    XISetMask(bits, XI_RawMotion);
    XISelectEvents(display, DefaultRootWindow(display), &mask, 1);
    XFlush(display);
    setvbuf(stdin, NULL, _IONBF, 0);
    print_pointer(display, "");
    for (;;) {
        struct pollfd fds[2] = { { ConnectionNumber(display), POLLIN, 0 }, { STDIN_FILENO, POLLIN, 0 } };
        bool moved = false;
        if (!XPending(display) && poll(fds, 2, -1) < 0)
            die("poll");
        for (XEvent e; XPending(display); moved = true)
            XNextEvent(display, &e);
        if (moved)
            print_pointer(display, "");
        if (fds[1].revents) {
            if (!fgets(line, sizeof line, stdin))
                return 0;
            print_pointer(display, "= ");
        }
    }
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    /*
     * The kernel keeps 64 events or some more for a reader and drops the rest. Ahead of everybody else, as far as we
     * may be, we see a burst that an ordinary reader would lose.
     */
    sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ .sched_priority = 1 });
    if (argc > 2 && strcmp(argv[1], "evdev") == 0) {
        verbose = strcmp(argv[2], "-v") == 0;
        return evdev(argv + 2 + verbose);
    }
    if (argc == 2 && strcmp(argv[1], "pointer") == 0)
        return pointer();
    if (argc > 3 && strcmp(argv[1], "echo") == 0)
        return echo(argv[2], argv + 3);
    fprintf(stderr, "usage: probe evdev [-v] NAME... | pointer | echo PORT NAME...\n");
    return 2;
}
