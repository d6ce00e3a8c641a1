# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guest follows the size of the client's window, on each of the display devices."""

import time

from harness import *

SIZES = ((801, 601), (1366, 768), (1500, 900), (1024, 768))


def root_size(m):
    words = m.guest.run("xdpyinfo | awk '/dimensions/ {print $2}'", user="alice").split("x")
    return int(words[0]), int(words[1])


def ask(m, *monitors):
    for number, place in enumerate(monitors):
        m.client.command("monitor", number, *(place or ("off",)))
    m.client.command("send")


def near(seen, wanted):
    """Drivers may round the width down to a multiple of 8; nothing else is excused."""
    return seen[1] == wanted[1] and seen[0] in (wanted[0], wanted[0] // 8 * 8)


def check_resize(m):
    late = []
    for width, height in SIZES:
        start = time.monotonic()
        ask(m, (0, 0, width, height))
        try:
            wait_for(lambda: near(root_size(m), (width, height)), 8, "resize")
            took = time.monotonic() - start
        except Failure:
            late.append("%dx%d: never, X has %dx%d" % ((width, height) + root_size(m)))
            continue
        if took > 2:
            late.append("%dx%d: after %.1f s" % (width, height, took))
        seen = root_size(m)

        def shown():
            displays = m.client.state()["displays"]
            return displays and (displays[0]["width"], displays[0]["height"]) == seen
        wait_for(shown, 3, lambda: "the client sees %s, X has %s" % (m.client.state()["displays"], seen))
    if late:
        raise Failure("\n".join(late))


@machine(display="VGA")
def test_resize_vga(m):
    check_resize(m)


@machine(display="qxl")
def test_resize_qxl(m):
    check_resize(m)


def test_resize_virtio(m):
    check_resize(m)


@machine(display="VGA")
def test_resize_back_and_forth(m):
    """Every size asked for in quick succession may be skipped but the last."""
    for step in range(20):
        ask(m, (0, 0, 900 + 16 * step, 700))
        time.sleep(0.05)
    wait_for(lambda: near(root_size(m), (900 + 16 * 19, 700)), 10, lambda: "X has %s" % (root_size(m),))


@machine(display="VGA")
@ours_only
def test_physical_size_is_used(m):
    ask(m, (0, 0, 1280, 800, 400, 250))

    def millimetres():
        line = [line for line in m.guest.run("xrandr", user="alice").split("\n") if " connected" in line][0]
        return "400mm x 250mm" in line or m.guest.ok("xdpyinfo | grep -q '(400x250 millimeters)'", user="alice")
    wait_for(millimetres, 5, lambda: m.guest.run("xrandr | head -3; xdpyinfo | grep millimeters", user="alice"))


@machine(display="virtio", heads=2)
def test_second_head_on_and_off(m):
    def enabled():
        lines = [line for line in m.guest.run("xrandr", user="alice").split("\n") if " connected" in line]
        return sum("+" in line.split(" (")[0] for line in lines)
    ask(m, (0, 0, 1024, 768), (1024, 0, 800, 600))
    wait_for(lambda: enabled() == 2, 5, lambda: "two heads on: %s" % m.guest.run("xrandr", user="alice"))
    wait_for(lambda: root_size(m) == (1824, 768), 5, lambda: "X has %s" % (root_size(m),))
    ask(m, (0, 0, 1024, 768), None)
    wait_for(lambda: enabled() == 1, 5, lambda: "one head on: %s" % m.guest.run("xrandr", user="alice"))
    wait_for(lambda: root_size(m) == (1024, 768), 5, lambda: "X has %s" % (root_size(m),))


def test_resize_survives_reconnect(m):
    m.reconnect()
    ask(m, (0, 0, 1366, 768))
    wait_for(lambda: near(root_size(m), (1366, 768)), 5, lambda: "X has %s" % (root_size(m),))
