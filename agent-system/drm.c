/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE /* memmem */
#include "drm.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#define CARDS_MAX 16
#define UEVENT_SIZE 4096

/* What the child sends: one packet per reading. */
typedef struct Reading {
    guint32 count;
    DrmOutput output[LIMIT_DISPLAYS];
} Reading;

struct Drm {
    int fd;
    GPid child;
    guint watch_id;
    DrmOutputs outputs;
    gpointer user;
    gboolean read_once;
    Reading last;
};

/* ---- in the child ---- */

static void read_connector(int card, guint32 id, Reading *reading)
{
    drmModeConnector *connector = drmModeGetConnectorCurrent(card, id);
    drmModeEncoder *encoder =
        connector && connector->encoder_id ? drmModeGetEncoder(card, connector->encoder_id) : NULL;
    drmModeCrtc *crtc = encoder && encoder->crtc_id ? drmModeGetCrtc(card, encoder->crtc_id) : NULL;
    const char *type = connector ? drmModeGetConnectorTypeName(connector->connector_type) : NULL;

    if (crtc && crtc->mode_valid && reading->count < LIMIT_DISPLAYS) {
        DrmOutput *output = &reading->output[reading->count++];

        snprintf(output->connector, sizeof(output->connector), "%s-%u", type ? type : "Unknown",
                 connector->connector_type_id);
        output->w = crtc->mode.hdisplay;
        output->h = crtc->mode.vdisplay;
    }
    drmModeFreeCrtc(crtc);
    drmModeFreeEncoder(encoder);
    drmModeFreeConnector(connector);
}

static void read_card(guint number, Reading *reading)
{
    char path[32];

    snprintf(path, sizeof(path), "/dev/dri/card%u", number);
    int card = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (card < 0)
        return;
    drmDropMaster(card); /* whoever opens an unused device is its master: an X server starting now must not find it taken */

    drmModeRes *resources = drmModeGetResources(card);
    for (int i = 0; resources && i < resources->count_connectors; i++)
        read_connector(card, resources->connectors[i], reading);
    drmModeFreeResources(resources);
    close(card);
}

static gboolean send_reading(int fd)
{
    Reading reading = { 0 };

    for (guint number = 0; number < CARDS_MAX; number++)
        read_card(number, &reading);
    return send(fd, &reading, sizeof(reading), MSG_NOSIGNAL) == (ssize_t)sizeof(reading);
}

/* The kernel's own device events; needs no rights. -1 where there are none: then only requests cause a reading. */
static int open_uevents(void)
{
    struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);

    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Takes all events that wait; true if one came from the kernel and is about a graphics device. */
static gboolean take_uevents(int fd)
{
    static const char subsystem[] = "SUBSYSTEM=drm";
    char buffer[UEVENT_SIZE];
    gboolean found = FALSE;

    for (;;) {
        struct sockaddr_nl from = { 0 };
        struct iovec piece = { buffer, sizeof(buffer) };
        struct msghdr message = { .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &piece, .msg_iovlen = 1 };
        ssize_t size = recvmsg(fd, &message, 0);

        if (size < 0 && errno == ENOBUFS)
            found = TRUE; /* some were lost: any of them may have been one of ours */
        else if (size < 0)
            return found;
        else if (from.nl_pid == 0) /* from the kernel, not from another process; fields end with a zero each */
            found = found || memmem(buffer, (size_t)size, subsystem, sizeof(subsystem)) != NULL;
    }
}

static void G_GNUC_NORETURN child_main(int fd)
{
    struct pollfd wait[2] = { { .fd = fd, .events = POLLIN }, { .fd = open_uevents(), .events = POLLIN } };
    char request;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NAME, "drm-modes");
    while (send_reading(fd)) {
        gboolean due = FALSE;

        while (!due) {
            if (poll(wait, 2, -1) < 0 && errno != EINTR)
                _exit(1);
            if (wait[0].revents && recv(fd, &request, 1, 0) != 1)
                _exit(0);
            due = wait[0].revents != 0;
            if (wait[1].revents)
                due = take_uevents(wait[1].fd) || due;
        }
    }
    _exit(0);
}

/* ---- in the daemon ---- */

static gboolean on_reading(gint fd, G_GNUC_UNUSED GIOCondition condition, gpointer user)
{
    Drm *drm = user;
    Reading reading;
    ssize_t size = recv(fd, &reading, sizeof(reading), MSG_DONTWAIT);

    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    if (size != (ssize_t)sizeof(reading) || reading.count > LIMIT_DISPLAYS) {
        g_warning("the helper that reads display modes has ended; without a session the pointer keeps the last sizes");
        drm->watch_id = 0;
        return G_SOURCE_REMOVE;
    }
    if (drm->read_once && memcmp(&reading, &drm->last, sizeof(reading)) == 0)
        return G_SOURCE_CONTINUE;
    drm->read_once = TRUE;
    drm->last = reading;
    drm->outputs(drm->last.output, drm->last.count, drm->user);
    return G_SOURCE_CONTINUE;
}

Drm *drm_new(DrmOutputs outputs, gpointer user, GError **error)
{
    int fd[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "socketpair: %s", g_strerror(errno));
        return NULL;
    }
    GPid child = fork();
    if (child < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "fork: %s", g_strerror(errno));
        close(fd[0]);
        close(fd[1]);
        return NULL;
    }
    if (child == 0) {
        close(fd[0]);
        signal(SIGTERM, SIG_IGN); /* systemd sends it to both; this one ends with its socket, after the daemon */
        child_main(fd[1]);
    }
    close(fd[1]);

    Drm *drm = g_new0(Drm, 1);
    drm->fd = fd[0];
    drm->child = child;
    drm->outputs = outputs;
    drm->user = user;
    drm->watch_id = g_unix_fd_add(drm->fd, G_IO_IN | G_IO_HUP, on_reading, drm);
    return drm;
}

void drm_free(Drm *drm)
{
    if (!drm)
        return;
    g_clear_handle_id(&drm->watch_id, g_source_remove);
    close(drm->fd); /* the child ends when its socket does; it is reaped with this process */
    g_free(drm);
}

void drm_refresh(Drm *drm)
{
    /* A full socket means that a reading is due anyway. */
    if (drm->watch_id != 0 && send(drm->fd, "r", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        g_debug("display modes: %s", g_strerror(errno));
}
