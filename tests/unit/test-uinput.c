/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The recorder that stands in for the devices. What udev, libinput and the kernel make of the real ones is for the
 * VM.
 */
#include "check.h"
#include "uinput.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <linux/input.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const PointerStep steps[] = {
    { false, EV_ABS, ABS_X, 65535 }, { false, EV_ABS, ABS_Y, 0 },      { false, EV_KEY, BTN_BACK, 1 },
    { false, EV_SYN, SYN_REPORT, 0 }, { true, EV_REL, REL_X, -70000 }, { true, EV_SYN, SYN_REPORT, 0 },
    { false, EV_REL, REL_WHEEL, -1 }, { false, EV_SYN, SYN_REPORT, 0 },
};

static void check_events(int fd)
{
    struct input_event events[G_N_ELEMENTS(steps) + 1];

    CHECK_EQ(read(fd, events, sizeof(events)), sizeof(steps) / sizeof(*steps) * sizeof(*events));
    for (gsize i = 0; i < G_N_ELEMENTS(steps); i++) {
        CHECK_EQ(events[i].type, steps[i].type);
        CHECK_EQ(events[i].code, steps[i].code);
        CHECK_EQ(events[i].value, steps[i].value);
    }
}

static void record(const char *path, int reader)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Uinput) uinput = uinput_new(path, TRUE, &error);

    check_case("%s", path);
    CHECK(uinput != NULL && error == NULL);
    if (reader < 0) {
        reader = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (uinput) {
        CHECK(uinput_write(uinput, steps, 0, NULL));
        CHECK(uinput_write(uinput, steps, G_N_ELEMENTS(steps), NULL));
        check_events(reader);
    }
    close(reader);
}

static void test_gone(const char *path, int reader)
{
    g_autoptr(Uinput) uinput = uinput_new(path, FALSE, NULL);
    g_autoptr(GError) error = NULL;

    check_case("%s", "gone");
    CHECK(uinput != NULL);
    close(reader);
    CHECK(!uinput_write(uinput, steps, G_N_ELEMENTS(steps), &error));
    CHECK(error && g_str_has_prefix(error->message, path));
}

static void check_error(const char *path, const char *advice)
{
    g_autoptr(GError) error = NULL;

    check_case("%s", path);
    CHECK(uinput_new(path, TRUE, &error) == NULL);
    CHECK(error && g_str_has_prefix(error->message, path));
    CHECK(error && strstr(error->message, advice));
}

int main(void)
{
    g_autofree char *directory = g_dir_make_tmp("spice-pv-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(directory, "file", NULL);
    g_autofree char *fifo = g_build_filename(directory, "fifo", NULL);
    g_autofree char *path = g_build_filename(directory, "socket", NULL);
    g_autofree char *none = g_build_filename(directory, "none", NULL);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), reader;

    signal(SIGPIPE, SIG_IGN);
    CHECK(g_file_set_contents(file, "", 0, NULL));
    record(file, -1);
    CHECK_EQ(mkfifo(fifo, 0600), 0);
    reader = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    record(fifo, reader);
    test_gone(fifo, open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC));

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    CHECK_EQ(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_EQ(listen(listener, 1), 0);

    g_autoptr(Uinput) uinput = uinput_new(path, TRUE, NULL);

    CHECK(uinput != NULL && uinput_write(uinput, steps, G_N_ELEMENTS(steps), NULL));
    reader = accept(listener, NULL, NULL);
    check_events(reader);
    close(reader);
    close(listener);

    check_error(none, "modprobe uinput");
    check_error("/dev/null", ""); /* a device, but not that one */
    check_error(path, "");        /* nobody listens any more */
    uinput_free(NULL);
    g_unlink(file);
    g_unlink(fifo);
    g_unlink(path);
    CHECK_EQ(g_rmdir(directory), 0);
    return check_done();
}
