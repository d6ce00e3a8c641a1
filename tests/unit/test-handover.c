/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A spice-pvmouse that comes, goes and comes back while the layout changes. */
#include "handover.h"

#include "check.h"

#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int listen_at(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    CHECK_EQ(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_EQ(listen(fd, 4), 0);
    CHECK_EQ(chmod(path, 0600), 0); /* as a daemon does that opens its socket to others only when it listens */
    return fd;
}

/* Runs the main loop until the descriptor can be read. */
static gboolean wait_for(int fd)
{
    gint64 end = g_get_monotonic_time() + 5 * G_USEC_PER_SEC;
    GPollFD poll = { .fd = fd, .events = G_IO_IN };

    while (g_poll(&poll, 1, 10) == 0) {
        g_main_context_iteration(NULL, FALSE);
        if (g_get_monotonic_time() > end)
            return FALSE;
    }
    return TRUE;
}

static void expect(int fd, uint32_t w)
{
    uint8_t wire[LAYOUT_WIRE_SIZE + 1];
    Layout layout;

    CHECK(wait_for(fd));
    CHECK_EQ(recv(fd, wire, sizeof(wire), 0), LAYOUT_WIRE_SIZE);
    CHECK(layout_decode(wire, &layout));
    CHECK_EQ(layout.display[0].mode_w, w);
}

int main(void)
{
    g_autofree char *dir = g_dir_make_tmp("handover-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "sock", NULL);
    Handover *handover = handover_new(path);
    Layout layout = layout_single(800, 600);
    int listener, peer;

    check_case("nobody is there, then somebody comes");
    handover_set(handover, &layout);
    listener = listen_at(path);
    CHECK(wait_for(listener));
    peer = accept(listener, NULL, NULL);
    expect(peer, 800);

    check_case("a change");
    layout = layout_single(1024, 768);
    handover_set(handover, &layout);
    expect(peer, 1024);

    check_case("it goes and comes back");
    close(peer);
    close(listener);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    CHECK_EQ(g_unlink(path), 0);
    listener = listen_at(path);
    CHECK(wait_for(listener));
    peer = accept(listener, NULL, NULL);
    expect(peer, 1024);

    check_case("it is there again before its end was seen");
    close(peer);
    close(listener);
    CHECK_EQ(g_unlink(path), 0);
    listener = listen_at(path);
    CHECK(wait_for(listener));
    peer = accept(listener, NULL, NULL);
    expect(peer, 1024);

    check_case("one that does not read is left, and the next connection gets the last layout");
    uint32_t w = 1;
    int next;
    while ((next = accept(listener, NULL, NULL)) < 0 && w < 60000) {
        layout = layout_single(++w, 768);
        handover_set(handover, &layout);
    }
    expect(next, w);
    close(next);

    handover_free(handover);
    close(peer);
    close(listener);
    CHECK_EQ(g_unlink(path), 0);
    CHECK_EQ(g_rmdir(dir), 0);
    return check_done();
}
