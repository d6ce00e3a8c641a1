# SPDX-License-Identifier: LGPL-2.1-or-later
"""The pointer: every pixel, every edge of a button, every wheel step."""

import time

from harness import *


def screen_size(m, user="alice"):
    words = m.guest.run("xdpyinfo | grep dimensions", user=user).split()[1]
    return tuple(int(word) for word in words.split("x"))


def edge_points(width, height):
    """36 points: both ends, their neighbours and the middle of each axis."""
    return [(x, y) for x in (0, 1, width // 2 - 1, width // 2, width - 2, width - 1)
            for y in (0, 1, height // 2 - 1, height // 2, height - 2, height - 1)]


def misses(m, pointer, points, display=0, origin=(0, 0), give_up=8):
    """Sends the client to each point of a display and compares with where X has the pointer."""
    wrong = []
    for x, y in points:
        m.client.position(x, y, display)
        seen = pointer.arrives(origin[0] + x, origin[1] + y, 1)
        if seen != (origin[0] + x, origin[1] + y):
            wrong.append("%d,%d of display %d: X has %d,%d" % (x, y, display, seen[0], seen[1]))
            if len(wrong) == give_up:
                break
    return wrong


def check(wrong):
    if wrong:
        raise Failure("missed:\n" + "\n".join(wrong))


@machine(display="qxl")
def test_pointer_corners(m):
    check(misses(m, m.pointer(), edge_points(*screen_size(m))))


@machine(display="qxl")
def test_pointer_sweep_x(m):
    width, height = screen_size(m)
    check(misses(m, m.pointer(), [(x, height // 3) for x in range(width)]))


@machine(display="qxl")
def test_pointer_sweep_y(m):
    width, height = screen_size(m)
    check(misses(m, m.pointer(), [(width // 3, y) for y in range(height)]))


def two_heads(m, placement):
    """Enables both outputs at 1024x768 with this xrandr option for the second; returns the origin of each display."""
    outputs = [line.split()[0] for line in m.guest.run("xrandr", user="alice").split("\n") if " connected" in line]
    if len(outputs) < 2:
        m.client.command("monitor", 0, 0, 0, 1024, 768)
        m.client.command("monitor", 1, 1024, 0, 1024, 768)
        m.client.command("send")
        m.guest.until("[ $(xrandr | grep -c ' connected') = 2 ]", user="alice")
        outputs = [line.split()[0] for line in m.guest.run("xrandr", user="alice").split("\n") if " connected" in line]
    first, second = outputs[:2]
    m.guest.run("xrandr --output %s --mode 1024x768 --pos 0x0 --output %s --off" % (first, second), user="alice")
    m.guest.run("xrandr --output %s --mode 1024x768 --output %s --mode 1024x768 %s" %
                (first, second, placement.format(first=first, second=second)), user="alice")

    def origins():
        found = []
        for name in (first, second):
            lines = m.guest.run("xrandr", user="alice").split("\n")
            geometry = [line for line in lines if line.startswith(name + " ")][0]
            place = [word for word in geometry.split() if "+" in word]
            if not place:
                return None
            found.append(tuple(int(part) for part in place[0].split("+")[1:]))
        return found
    return wait_for(origins, 5, "both outputs on")


def check_two_heads(m, placement):
    places = two_heads(m, placement)
    pointer = m.pointer()
    points = edge_points(1024, 768)
    # The agent learns of the layout by an event of the X server: the first point may be sent until it is right.
    wait_for(lambda: not misses(m, pointer, points[:1], 1, places[1]), 5,
             lambda: "display 1 at %s: %s" % (places[1], misses(m, pointer, points[:1], 1, places[1])), 0.2)
    check(misses(m, pointer, points, 0, places[0]) + misses(m, pointer, points, 1, places[1]))


TWO_HEADS = {"display": "virtio", "heads": 2}


@machine(**TWO_HEADS)
def test_pointer_two_heads_side_by_side(m):
    check_two_heads(m, "--right-of {first}")


@machine(**TWO_HEADS)
def test_pointer_two_heads_left_of(m):
    check_two_heads(m, "--left-of {first}")


@machine(**TWO_HEADS)
def test_pointer_two_heads_above_with_offset(m):
    check_two_heads(m, "--pos 0x0 --output {first} --pos 217x768")


@machine(display="qxl")
def test_pointer_first_position_after_resize(m):
    pointer = m.pointer()
    for mode in ("800x600", "1280x1024", "1024x768"):
        m.client.position(300, 300)
        pointer.arrives(300, 300)
        m.guest.run("xrandr -s %s" % mode, user="alice")
        width, height = (int(word) for word in mode.split("x"))
        m.guest.until("[ \"$(xdpyinfo | awk '/dimensions/ {print $2}')\" = %s ]" % mode, user="alice")
        # An agent may need a moment for the new size, so the position is sent once all is quiet.
        time.sleep(1)
        m.client.position(0, 0)
        seen = pointer.arrives(0, 0)
        if seen != (0, 0):
            raise Failure("after %s the first position 0,0 left the pointer at %d,%d" % (mode, seen[0], seen[1]))
        check(misses(m, pointer, [(width - 1, height - 1), (1, 1)]))


def settle(counts, timeout=15):
    """Waits until an evdev counter has stood still for 0.5 s."""
    last, since, end = counts(), time.monotonic(), time.monotonic() + timeout
    while time.monotonic() - since < 0.5 and time.monotonic() < end:
        time.sleep(0.05)
        now = counts()
        if now != last:
            last, since = now, time.monotonic()
    return last


def test_pointer_buttons(m):
    counts = m.evdev()
    client = m.client
    codes = {client.LEFT: "272", client.RIGHT: "273", client.MIDDLE: "274", client.SIDE: "275", client.EXTRA: "276"}
    for button, code in codes.items():
        counts("reset")
        client.click(button)
        wait_for(lambda: counts()["release"].get(code), 3, lambda: "button %d: %s" % (button, counts()))
        seen = counts()
        if seen["press"] != {code: 1} or seen["release"] != {code: 1}:
            raise Failure("button %d gave %s" % (button, seen))


def test_pointer_wheel(m):
    counts = m.evdev()
    for button, sign in ((m.client.UP, 1), (m.client.DOWN, -1)):
        counts("reset")
        for _ in range(5):
            m.client.click(button)
            time.sleep(0.1)  # spice-server holds one unsent state and overwrites it; this is about the direction
        seen = settle(counts)
        if seen["wheel"] != 5 * sign or seen["press"]:
            raise Failure("5 steps of button %d gave %s" % (button, seen))


def test_pointer_paced_clicks_all_arrive(m):
    """At 20 a second spice-server overwrites nothing, so every click must be there."""
    counts = m.evdev()
    counts("reset")
    m.client.command("burst", "click", 60, 20)
    seen = settle(counts)
    if seen["press"] != {"272": 60} or seen["release"] != {"272": 60}:
        raise Failure("60 clicks at 20/s gave %s" % seen)


def test_pointer_burst_leaves_nothing_pressed(m):
    counts = m.evdev()
    counts("reset")
    m.client.command("burst", "click", 200, 0)
    settle(counts)
    m.client.command("burst", "wheel", 100, 0)
    seen = settle(counts)
    if seen["press"] != seen["release"] or not seen["press"] or not seen["wheel"]:
        raise Failure("200 clicks and 100 wheel steps without a pause gave %s" % seen)


def test_pointer_released_when_client_goes(m):
    counts = m.evdev()
    counts("reset")
    m.client.command("press", m.client.LEFT)
    wait_for(lambda: counts()["press"].get("272"), 3, "press on evdev")
    m.client.command("disconnect")
    wait_for(lambda: counts()["release"].get("272"), 3, lambda: "the button stays down: %s" % counts())


def test_pointer_turned_display(m):
    """The client shows the picture as the display gets it, and sends pixels of that."""
    pointer = m.pointer()
    width, height = screen_size(m)
    try:
        for turn, (x, y) in (("left", (height - 1 - 20, 10)), ("right", (20, width - 1 - 10)),
                             ("inverted", (width - 1 - 10, height - 1 - 20)), ("normal", (10, 20))):
            m.guest.run("xrandr --output $(xrandr | awk '/ connected/ {print $1; exit}') --rotate " + turn, user="alice")
            if turn in ("left", "right"):
                wait_for(lambda: screen_size(m) == (height, width), 5, "the screen is turned")

            def there():
                # Another pixel first: where the pointer is already, it does not move to.
                m.client.position(11, 21)
                m.client.position(10, 20)
                return pointer.arrives(x, y, 0.5) == (x, y)
            wait_for(there, 5, lambda: "turned %s, pixel 10,20 should be %d,%d, X has %s" % (turn, x, y, pointer.now()))
    finally:
        m.guest.run("xrandr --output $(xrandr | awk '/ connected/ {print $1; exit}') --rotate normal", user="alice")
