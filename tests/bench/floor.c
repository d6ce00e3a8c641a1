/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The least that a guest can do with the agent port's pointer: wait, read a message, write a position to a uinput device.
 * No layout, no buttons, no check of anything. What it costs beside the daemon is the daemon's; the rest is QEMU's,
 * spice-server's and the kernel's. Usage: floor PORT UINPUT NAME
 *
 * And the least that a port can do: "floor PORT" writes back what it reads.
 */
#include <fcntl.h>
#include <linux/uinput.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Chunk header, message header, x and y of a VDAgentMouseState; all of one write of spice-server's. */
enum { TYPE_AT = 12, X_AT = 28, Y_AT = 32, MOUSE_STATE = 1, SIZE = 41 };

static uint32_t u32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static int make_device(const char *path, const char *name)
{
    static const int axes[] = { ABS_X, ABS_Y };
    struct uinput_setup setup = { .id = { .bustype = BUS_VIRTUAL } };
    int fd = open(path, O_WRONLY);

    snprintf(setup.name, sizeof(setup.name), "%s", name);
    ioctl(fd, UI_SET_EVBIT, EV_KEY);
    ioctl(fd, UI_SET_KEYBIT, BTN_LEFT);
    ioctl(fd, UI_SET_EVBIT, EV_ABS);
    for (int i = 0; i < 2; i++) {
        struct uinput_abs_setup axis = { .code = (uint16_t)axes[i], .absinfo = { .maximum = 65535 } };

        ioctl(fd, UI_ABS_SETUP, &axis);
    }
    return ioctl(fd, UI_DEV_SETUP, &setup) < 0 || ioctl(fd, UI_DEV_CREATE) < 0 ? -1 : fd;
}

static int echo(const char *path)
{
    int port = open(path, O_RDWR | O_NONBLOCK);
    struct pollfd ready = { .fd = port, .events = POLLIN };
    uint8_t in[4096];

    if (port < 0) {
        perror("floor");
        return 1;
    }
    puts("ready");
    fflush(stdout);
    while (poll(&ready, 1, -1) > 0) {
        ssize_t size = read(port, in, sizeof(in));

        if (size > 0 && write(port, in, (size_t)size) != size) {
            return 1;
        }
    }
    return 1;
}

int main(int argc, char **argv)
{
    if (argc == 2) {
        return echo(argv[1]);
    }

    int port = argc == 4 ? open(argv[1], O_RDWR | O_NONBLOCK) : -1;
    int device = argc == 4 ? make_device(argv[2], argv[3]) : -1;
    struct pollfd ready = { .fd = port, .events = POLLIN };
    uint8_t in[4096];

    if (port < 0 || device < 0) {
        perror("floor");
        return 1;
    }
    puts("ready");
    fflush(stdout);
    while (poll(&ready, 1, -1) > 0) {
        ssize_t size = read(port, in, sizeof(in));

        if (size != SIZE || u32(in + TYPE_AT) != MOUSE_STATE)
            continue;

        struct input_event out[] = { { .type = EV_ABS, .code = ABS_X, .value = (int32_t)(u32(in + X_AT) * 16) },
                                     { .type = EV_ABS, .code = ABS_Y, .value = (int32_t)(u32(in + Y_AT) * 16) },
                                     { .type = EV_SYN, .code = SYN_REPORT } };

        if (write(device, out, sizeof(out)) < 0)
            return 1;
    }
    return 1;
}
