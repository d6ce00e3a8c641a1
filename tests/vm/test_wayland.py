# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Wayland session on two outputs of virtio-gpu: the pointer where the user sees it, displays, clipboard, files. The
desktop is sway, or the one named in $DESKTOP."""

import itertools
import os
import time

import test_clipboard
import test_files
import test_robust
import test_sessions
from harness import *
from test_clipboard import copy, offer, paste, same

SWAY = {"desktop": "sway", "heads": 2}
SIZE = 1024, 768


def ask(m, *monitors):
    """The client asks for these monitors; None is one that shall be off."""
    for number, monitor in enumerate(monitors):
        m.client.command("monitor", number, *(monitor or ("off",)))
    m.client.command("send")


def outputs(m):
    return m.guest.desktop.outputs(m.guest)


def wait_long(m, condition, seconds, what):
    """wait_for() with the patience that the desktop needs."""
    return wait_for(condition, seconds * m.guest.desktop.slow, what, 0.2)


def arranged(m, *monitors):
    """Waits until the outputs have the sizes asked for, and places without overlap from 0,0 on in the same order."""
    wanted = [((x, y), (w, h)) for x, y, w, h in monitors]

    def done():
        found = outputs(m)
        return [(found[name].place, found[name].mode) for name in sorted(found)] == wanted
    wait_long(m, done, 10, lambda: "wanted %s, the desktop has %s" % (wanted, outputs(m)))


def turn_and_scale(m, *choices):
    """Have the desktop's own tool do this for each output: (scale, degrees, x, y)."""
    m.guest.desktop.arrange(m.guest, {"Virtual-%d" % number: choice for number, choice in enumerate(choices, 1)})


def plain(m, *sizes):
    """Outputs of these sizes, side by side, at scale 1 and upright."""
    x, monitors = 0, []
    for w, h in sizes:
        monitors.append((x, 0, w, h))
        x += w
    ask(m, *monitors, *[None] * (2 - len(sizes)))
    wait_long(m, lambda: [output.mode for _, output in sorted(outputs(m).items())] == list(sizes), 10,
              lambda: "the sizes should be %s: %s" % (sizes, outputs(m)))
    turn_and_scale(m, *[(1, 0, x, y) for x, y, _, _ in monitors])
    arranged(m, *monitors)


class Surfaces:
    """wlprobe: what a client that covers every output is told. Desktops may send it elsewhere when outputs change, so it is
    started after that."""

    def __init__(self, m, user="alice"):
        self._probe = m.guest.start("exec wlprobe", user)
        self._slow = m.guest.desktop.slow
        m.defer(self.close)
        self.sizes = {}
        self.buttons = []

    def close(self):
        if self._probe.status is None:
            self._probe.kill(9)
            self._probe.wait()

    def _take(self, timeout):
        """The next line; returns its position, or None."""
        line = self._probe.line(timeout)
        if line is None and self._probe.status is not None:
            raise Failure("wlprobe: " + self._probe.describe())
        kind, name, *numbers = line.split() if line else ("", "")
        if kind == "output":
            self.sizes[name] = tuple(int(number) for number in numbers)
        elif kind == "button":
            self.buttons.append((name, *[int(number) for number in numbers]))
        elif kind:
            return (name, *[float(number) for number in numbers])
        return None

    def wait(self, condition, timeout, what):
        """Takes lines until the condition holds."""
        end = time.monotonic() + timeout * self._slow
        while not condition():
            self._take(0.1)
            if time.monotonic() > end:
                raise Failure("%s; surfaces: %s, buttons: %s" % (what, self.sizes, self.buttons))

    def cover(self, sizes, timeout=15):
        self.wait(lambda: self.sizes == sizes, timeout, "the surfaces should be %s" % sizes)

    def arrives(self, right, timeout=1):
        """Waits until right(name, x, y); returns None then, else where the pointer is at last."""
        end = time.monotonic() + timeout * self._slow
        seen = None
        while True:
            seen = self._take(0.05)
            if not seen:
                self._probe.write("?\n")
                seen = self._take(1)
            if seen and right(*seen):
                return None
            if time.monotonic() > end:
                return seen


def picture(m, head):
    """What a head shows, as a function: the coordinates that wlprobe has drawn at a pixel."""
    path = os.path.join(m.vm.dir, "head.ppm")
    m.vm.screenshot(path, head, "ppm")
    with open(path, "rb") as file:
        data = file.read()
    os.unlink(path)
    magic, size, depth = data.split(b"\n", 3)[:3]
    if magic != b"P6" or depth != b"255":
        raise Failure("no picture: %r" % data[:20])
    width, height = (int(word) for word in size.split())
    pixels = data[-3 * width * height:]

    def at(x, y):
        start = 3 * (y * width + x)
        value = int.from_bytes(pixels[start:start + 3], "big")
        return value >> 12, value & 0xfff
    at.size = width, height
    return at


def swept(w, h):
    """Every 37th pixel of a display in both directions, all corners and edges among them, and the one in the middle."""
    return [*itertools.product([*range(0, w, 37), w - 1], [*range(0, h, 37), h - 1]), (w // 2, h // 2)]


def to_the_middle(m, head, w, h):
    """Moves the pointer there, wherever it was. That is not near an edge, where GNOME has barriers for pointers that come
    from another output."""
    m.client.position(w // 2 + 2, h // 2, head)
    m.client.position(w // 2, h // 2, head)


def reach_the_middle(m, surfaces, head, w, h, right):
    """Sends the pointer there until right(name, x, y): surfaces may not be shown yet, and the agent learns of the layout by
    an event."""
    def reached():
        to_the_middle(m, head, w, h)
        return surfaces.arrives(right, 0.5) is None
    wait_long(m, reached, 10, lambda: "the middle of display %d: %s" % (head, surfaces.arrives(lambda *any: False, 0)))


def drawn(m, head, w, h, surface):
    """The picture of a head once it shows a surface of this size from corner to corner, and nothing before it where it is
    swept."""
    corners = {(x, y) for x in (0, surface[0] - 1) for y in (0, surface[1] - 1)}
    found = []

    def complete():
        # A cursor that KWin draws into the picture is hidden once the surface has the pointer.
        to_the_middle(m, head, w, h)
        at = picture(m, head)
        found[:] = [at]
        if at.size != (w, h) or {at(x, y) for x in (0, w - 1) for y in (0, h - 1)} != corners:
            return None
        (x0, y0), (x1, y1), (x2, y2) = at(0, 0), at(w - 1, 0), at(0, h - 1)
        return at if all(at(x, y) == (x0 + x * (x1 - x0) // (w - 1) + y * (x2 - x0) // (h - 1),
                                      y0 + x * (y1 - y0) // (w - 1) + y * (y2 - y0) // (h - 1))
                         for x, y in swept(w, h)) else None
    return wait_long(m, complete, 10, lambda: "head %d of %s shows %s in its corners, not %s, or more than that" % (
        head, found[0].size, [found[0](x, y) for x in (0, found[0].size[0] - 1) for y in (0, found[0].size[1] - 1)],
        corners))


def sweep(m, surfaces, heads, give_up=8):
    """Sends the client over each head: (mode, scale or None to go by the picture). The pointer must be on the pixel."""
    wrong = []
    for head, ((w, h), scale) in enumerate(heads):
        name = "Virtual-%d" % (head + 1)
        sw, sh = surfaces.sizes[name]
        shows = None if scale else drawn(m, head, w, h, (sw, sh))

        def on_pixel(px, py):
            def near(at, pixel, pixels, size):
                # The logical size is rounded: the pixel, of what the desktop has made of it, and no further than one
                # logical pixel from where it is in theory.
                ideal, last = (pixel + 0.375) / scale, size - m.guest.desktop.margin
                return at == last if ideal > last else int(at * pixels / size) == pixel and abs(at - ideal) < 1

            def right(seen, x, y):
                if seen != name:
                    return False
                return (int(x), int(y)) == shows(px, py) if shows else near(x, px, w, sw) and near(y, py, h, sh)
            return right

        reach_the_middle(m, surfaces, head, w, h, on_pixel(w // 2, h // 2))
        for px, py in swept(w, h):
            m.client.position(px, py, head)
            miss = surfaces.arrives(on_pixel(px, py))
            if miss:
                wrong.append("%d,%d of display %d: at %s %.3f %.3f%s" % (
                    px, py, head, *miss, ", the picture shows %d %d" % shows(px, py) if shows else ""))
            if len(wrong) == give_up:
                break
    if wrong:
        raise Failure("missed:\n" + "\n".join(wrong))


@machine(**SWAY)
@proves("pointer")
def test_wayland_pointer_scale_1(m):
    plain(m, SIZE, (1280, 800))
    surfaces = Surfaces(m)
    surfaces.cover({"Virtual-1": SIZE, "Virtual-2": (1280, 800)})
    sweep(m, surfaces, ((SIZE, None), ((1280, 800), None)))


@machine(**SWAY)
@ours_only
@proves("pointer", "scale")
def test_wayland_pointer_scaled(m):
    """Each scale on each output, and another one beside it; the second one somewhat lower."""
    desktop = m.guest.desktop
    plain(m, *desktop.sizes)
    for scales in zip(desktop.scales, desktop.scales[1:] + desktop.scales[:1]):
        sizes = [(int(w / scale), int(h / scale)) for (w, h), scale in zip(desktop.sizes, scales)]
        turn_and_scale(m, (scales[0], 0, 0, 0), (scales[1], 0, sizes[0][0] + (40 if desktop.gaps else 0), 111))
        surfaces = Surfaces(m)
        surfaces.cover({"Virtual-1": sizes[0], "Virtual-2": sizes[1]})
        sweep(m, surfaces, zip(desktop.sizes, scales))
        surfaces.close()


@machine(**SWAY)
@proves("pointer")
def test_wayland_pointer_turned(m):
    """The client sees the picture as the output has it, and points at pixels of that."""
    if not m.guest.desktop.turns:
        raise Skip("%s without GL stretches the picture of an output instead of turning it" % m.guest.desktop.name)
    plain(m, SIZE, (1280, 800))
    turn_and_scale(m, (1, 90, 0, 0), (1, 270, 768, 0))
    surfaces = Surfaces(m)
    surfaces.cover({"Virtual-1": (768, 1024), "Virtual-2": (800, 1280)})
    sweep(m, surfaces, ((SIZE, None), ((1280, 800), None)))


@machine(**SWAY)
@proves("pointer")
def test_wayland_click_on_the_right_output(m):
    plain(m, SIZE, SIZE)
    surfaces = Surfaces(m)
    surfaces.cover({"Virtual-1": SIZE, "Virtual-2": SIZE})
    for head, name in enumerate(("Virtual-1", "Virtual-2")):
        reach_the_middle(m, surfaces, head, *SIZE, lambda seen, x, y: seen == name)
    for head, button, code in ((1, m.client.LEFT, 272), (0, m.client.RIGHT, 273), (1, m.client.MIDDLE, 274)):
        surfaces.buttons = []
        m.client.position(200, 100, head)
        m.client.click(button)
        name = "Virtual-%d" % (head + 1)
        surfaces.wait(lambda: surfaces.buttons == [(name, code, 1), (name, code, 0)], 5, "a click on " + name)


@machine(**SWAY)
@ours_only
@proves("resize")
def test_wayland_resize(m):
    for w, h in ((801, 601), (1366, 768), (1501, 903), (1024, 768)):
        ask(m, (0, 0, w, h), None)
        arranged(m, (0, 0, w, h))

        def shown():
            displays = m.client.state()["displays"]
            return displays and (displays[0]["width"], displays[0]["height"]) == (w, h)
        wait_for(shown, 3, lambda: "the client sees %s" % m.client.state()["displays"])


@machine(**SWAY)
@ours_only
@proves("resize")
def test_wayland_resize_two_heads(m):
    for (w1, h1), (w2, h2) in (((1023, 767), (801, 599)), ((1280, 720), (1111, 911)), (SIZE, SIZE)):
        ask(m, (0, 0, w1, h1), (w1, 0, w2, h2))
        arranged(m, (0, 0, w1, h1), (w1, 0, w2, h2))


@machine(**SWAY)
@ours_only
@proves("resize")
def test_wayland_resize_one_of_two(m):
    plain(m, SIZE, SIZE)
    ask(m, (0, 0, 1300, 700), (1300, 0, *SIZE))
    arranged(m, (0, 0, 1300, 700), (1300, 0, *SIZE))


@machine(**SWAY)
@ours_only
def test_wayland_scale_for_the_clients_monitor(m):
    """The client tells how large its monitor is, QEMU the guest; a window that goes to another monitor may do that alone."""
    plain(m, SIZE)
    m.defer(lambda: ask(m, (0, 0, *SIZE, 0, 0), None))
    for w, h, w_mm, h_mm, scale in ((1600, 1000, 212, 132, 2), (1600, 1000, 423, 265, 1), (1920, 1200, 338, 212, 1.5)):
        ask(m, (0, 0, w, h, w_mm, h_mm), None)

        def right():
            output = outputs(m)["Virtual-1"]
            return output.mode == (w, h) and output.scale == scale
        wait_long(m, right, 10, lambda: "%dx%d on %dx%d mm: %s" % (w, h, w_mm, h_mm, outputs(m)))


@machine(**SWAY)
@ours_only
def test_wayland_resize_back_and_forth(m):
    """Every size asked for in quick succession may be skipped but the last."""
    plain(m, SIZE)
    for step in range(20):
        ask(m, (0, 0, 900 + 16 * step, 700), None)
        time.sleep(0.05)
    arranged(m, (0, 0, 900 + 16 * 19, 700))


@machine(**SWAY)
@proves("second output")
def test_wayland_second_head_on_and_off(m):
    plain(m, SIZE)
    ask(m, (0, 0, *SIZE), (1024, 0, 800, 600))
    arranged(m, (0, 0, *SIZE), (1024, 0, 800, 600))
    surfaces = Surfaces(m)
    surfaces.cover({"Virtual-1": SIZE, "Virtual-2": (800, 600)})
    sweep(m, surfaces, ((SIZE, None), ((800, 600), None)))
    ask(m, (0, 0, *SIZE), None)
    arranged(m, (0, 0, *SIZE))


def on_sway(function):
    """The test in the Wayland guest."""
    def test(m):
        function(m)
    test.machine = SWAY
    test.ours_only = True
    return test


test_wayland_clipboard_png_to_guest = on_sway(test_clipboard.test_clipboard_png_to_guest)
test_wayland_clipboard_png_to_client = on_sway(test_clipboard.test_clipboard_png_to_client)
test_wayland_primary_to_guest = on_sway(test_clipboard.test_primary_to_guest)
test_wayland_primary_to_client = on_sway(test_clipboard.test_primary_to_client)
test_wayland_clipboard_and_primary_are_apart = on_sway(test_clipboard.test_clipboard_and_primary_are_apart)
test_wayland_clipboard_no_ping_pong = on_sway(test_clipboard.test_clipboard_no_ping_pong)
test_wayland_clipboard_large_to_guest = on_sway(test_clipboard.test_clipboard_large_to_guest)
test_wayland_clipboard_large_to_client = on_sway(test_clipboard.test_clipboard_large_to_client)
test_wayland_idle_without_wakeups = on_sway(test_robust.test_idle_without_wakeups)
test_wayland_memory = on_sway(test_robust.test_memory)
test_wayland_files = on_sway(test_files.test_files_several_at_once)
test_wayland_switch_guest_clipboard_stays = on_sway(test_sessions.test_switch_guest_clipboard_stays)
test_wayland_switch_client_clipboard_follows = on_sway(test_sessions.test_switch_client_clipboard_follows)


@machine(**SWAY)
@ours_only
@proves("clipboard")
def test_wayland_clipboard_text(m):
    offer(m, "from the client, caf\u00e9".encode(), m.client.TEXT, "text/plain;charset=utf-8")
    for target in ("text/plain;charset=utf-8", "UTF8_STRING", "text/plain"):
        same(paste(m, target), "from the client, caf\u00e9".encode())
    copy(m, "from the guest, caf\u00e9".encode(), "text/plain;charset=utf-8")
    same(m.client.fetch(), "from the guest, caf\u00e9".encode())


@machine(**SWAY)
@ours_only
def test_wayland_doctor(m):
    m.client.wait_agent()
    doctor = "env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin XDG_RUNTIME_DIR=$XDG_RUNTIME_DIR spice-agentctl doctor"
    m.guest.until(doctor, 20, "alice")
    lines = m.guest.run(doctor, user="alice").splitlines()
    if lines[-1] != "all is well" or [line for line in lines if line.startswith("problem")]:
        raise Failure("\n".join(lines))


def everything_works(m, text):
    wait_long(m, lambda: test_sessions.CLIPBOARD in m.client.wait_agent()["caps"], 10, "the clipboard is announced")
    offer(m, b"to the guest, " + text, m.client.TEXT, "UTF8_STRING")
    same(paste(m), b"to the guest, " + text)
    copy(m, b"to the client, " + text)
    same(m.client.fetch(), b"to the client, " + text)
    plain(m, (1100, 700), (900, 600))
    surfaces = Surfaces(m)
    surfaces.cover({"Virtual-1": (1100, 700), "Virtual-2": (900, 600)})
    for head in 0, 1:
        m.client.position(300, 200, head)  # not near an edge, as in sweep()
        m.client.position(333, 222, head)
        seen = surfaces.arrives(lambda name, x, y: (name, int(x), int(y)) == ("Virtual-%d" % (head + 1), 333, 222), 5)
        if seen:
            raise Failure("pixel 333,222 of display %d is at %s" % (head, seen))


@machine(**SWAY)
@ours_only
def test_wayland_screen_lock(m):
    """The desktop's own lock keeps files out, GNOME's also ends its clipboard for us, and all comes back."""
    if not m.guest.desktop.locks:
        raise Skip("%s has no lock that logind knows of" % m.guest.desktop.name)
    test_files.clean(m)
    path, digest = test_files.make(m, "locked.bin", 1 << 20)
    everything_works(m, b"before")
    session, mark = m.session_of("alice"), m.client.mark()
    hint = "[ $(loginctl show-session -P LockedHint %s) = %%s ]" % session
    m.guest.run("loginctl lock-session " + session)
    m.guest.until(hint % "yes")
    try:
        error = test_files.refused(m, path)
        if "lock" not in error.lower():
            raise Failure("the client was not told why: %r" % error)
        if "clipboard" in m.guest.desktop.locks:
            m.client.wait_event("release", mark, selection=0)
    finally:
        m.guest.run("loginctl unlock-session " + session)
        m.guest.until(hint % "no")
    everything_works(m, b"after")
    m.client.command("files", path, timeout=20)
    test_files.received(m, "locked.bin", digest)


@machine(**SWAY)
@ours_only
def test_wayland_compositor_ends_and_returns(m):
    """The session daemon outlives it and serves the next one."""
    everything_works(m, b"before")
    daemon = m.pid(m.agent.session)
    for end in ("kill", "kill -9"):
        old = m.pid("sway")
        m.guest.run("%s %d" % (end, old))
        m.guest.until("p=$(pgrep -x sway) && [ $p != %d ] && %s" % (old, m.guest.desktop.shown), 60, "alice")
        m.client.wait_agent()
        everything_works(m, b"after " + end.encode())
        if m.pid(m.agent.session) != daemon:
            raise Failure("the session daemon was started again")
