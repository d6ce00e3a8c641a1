# SPDX-License-Identifier: LGPL-2.1-or-later
"""The dedicated pointer port, with a host end written from protocol/pvmouse.md."""

import json
import struct
import threading
import time

import vm
from harness import *
from test_pointer import TWO_HEADS, edge_points, screen_size, settle, two_heads
from test_robust import switches

HELLO, STATE, MOTION, RELEASE, CREDIT = range(1, 6)
MAGIC = 0x45535650
FEATURES = 7


class Host:
    """One connection. Frames wait for credit, as the specification demands, unless sent with send()."""

    def __init__(self, path):
        self._sock = vm.unix_connect(path)
        self._changed = threading.Condition()
        self.nonces = []
        self.credit = 0
        self.sequence = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        file = self._sock.makefile("rb")
        try:
            while True:
                data = file.read(24)
                kind, nonce = struct.unpack("<B3xI", data[:8])
                with self._changed:
                    if kind == HELLO:
                        magic, version, features, credit = struct.unpack("<IH2xII", data[8:])
                        if (magic, version) == (MAGIC, 1):
                            self.nonces.append(nonce)
                            self.credit = credit
                            self.sequence = 0
                            self.features = features
                            self._sock.sendall(struct.pack("<B3xIIHHII", HELLO, nonce, MAGIC, 1, 0, FEATURES, 0))
                    elif kind == CREDIT:
                        self.credit += struct.unpack("<I", data[8:12])[0]
                    self._changed.notify_all()
        except (OSError, struct.error, ValueError):
            pass

    def wait_hello(self, count=1, timeout=15):
        """Invites the guest each second: it cannot see that one host went when the next comes at once."""
        with self._changed:
            for _ in range(timeout):
                if self._changed.wait_for(lambda: len(self.nonces) >= count, 1):
                    break
                self._sock.sendall(struct.pack("<B3xIIHHII", HELLO, 0, MAGIC, 1, 0, FEATURES, 0))
            else:
                raise Failure("%d HELLOs from the guest, %d wanted" % (len(self.nonces), count))

    def _frame(self, kind, flags, display, body):
        with self._changed:
            if not self._changed.wait_for(lambda: self.credit > 0, 10):
                raise Failure("the guest returns no credit")
            self.credit -= 1
            self.sequence += 1
            self._sock.sendall(struct.pack("<BBHI16s", kind, flags, display, self.sequence, body))

    def state(self, x, y, buttons=0, wheel=0, hwheel=0, display=0):
        self._frame(STATE, 0, display, struct.pack("<HHHhh", x, y, buttons, wheel, hwheel))

    def keys(self, buttons=0, wheel=0, hwheel=0):
        self._frame(STATE, 1, 0, struct.pack("<HHHhh", 0, 0, buttons, wheel, hwheel))

    def motion(self, dx, dy, buttons=0):
        self._frame(MOTION, 0, 0, struct.pack("<hhHhh", dx, dy, buttons, 0, 0))

    def release(self):
        self._frame(RELEASE, 0, 0, b"")

    def send(self, data):
        self._sock.sendall(data)

    def close(self):
        vm.hang_up(self._sock)


PORT = {"display": "virtio", "agent": None, "pvmouse": True}


def open_port(m):
    host = Host(m.vm.pvmouse)
    m.defer(host.close)
    host.wait_hello()
    host.keys()
    return host


def wire(pixel, size):
    return (2 * pixel + 1) * 32768 // size


@machine(**PORT)
@ours_only
def test_pvmouse_exact(m):
    """Without a session daemon's layout, display 0 is everything: each corner and edge exactly."""
    host = open_port(m)
    pointer = m.pointer()
    width, height = screen_size(m)
    wrong = []
    for x, y in edge_points(width, height):
        host.state(wire(x, width), wire(y, height))
        seen = pointer.arrives(x, y, 1)
        if seen != (x, y):
            wrong.append("%d,%d: X has %d,%d" % (x, y, seen[0], seen[1]))
    host.close()
    if wrong:
        raise Failure("\n".join(wrong))


@machine(**PORT)
@ours_only
def test_pvmouse_every_edge_and_detent(m):
    host = open_port(m)
    counts = m.evdev()
    counts("reset")
    for step in range(500):
        host.state(100 * step, 50 * step, 1)
        host.state(100 * step, 50 * step, 0)
    for step in range(300):
        host.keys(0, 120 if step % 3 else -120, 40)
    seen = settle(counts)
    host.close()
    if seen["press"] != {"272": 500} or seen["release"] != {"272": 500}:
        raise Failure("500 clicks gave %s" % seen)
    if (seen["wheel"], seen["wheel_hires"], seen["hwheel"], seen["hwheel_hires"]) != (100, 12000, 100, 12000):
        raise Failure("wheels: %s" % seen)


@machine(**PORT)
@ours_only
def test_pvmouse_all_buttons(m):
    host = open_port(m)
    counts = m.evdev()
    counts("reset")
    for bit in range(7):
        host.keys(1 << bit)
    host.keys(0)
    seen = settle(counts)
    host.close()
    codes = {str(code): 1 for code in (272, 274, 273, 275, 276, 277, 278)}
    if seen["press"] != codes or seen["release"] != codes:
        raise Failure("seven buttons gave %s" % seen)


@machine(**PORT)
@ours_only
def test_pvmouse_relative(m):
    host = open_port(m)
    probe = m.probe("evdev 'SPICE pvmouse relative'")
    for _ in range(50):
        host.motion(3, -2)
    counts = lambda: json.loads(probe.ask("counts"))["SPICE pvmouse relative"]
    seen = settle(counts)
    host.close()
    if (seen["rel_x"], seen["rel_y"]) != (150, -100):
        raise Failure("50 motions by 3,-2 gave %s" % seen)


@machine(**PORT)
@ours_only
def test_pvmouse_released_when_host_goes(m):
    host = open_port(m)
    counts = m.evdev()
    counts("reset")
    host.keys(1)
    wait_for(lambda: counts()["press"].get("272"), 5, "press")
    host.close()
    wait_for(lambda: counts()["release"].get("272"), 5, lambda: "still pressed: %s" % counts())
    host = open_port(m)
    host.keys(2)
    wait_for(lambda: counts()["press"].get("274"), 5, lambda: "press after the host came back: %s" % counts())
    host.release()
    wait_for(lambda: counts()["release"].get("274"), 5, lambda: "RELEASE: %s" % counts())
    host.close()


@machine(**PORT)
@ours_only
def test_pvmouse_stale_frames_are_passed_over(m):
    """What was written before the guest's HELLO was answered must not click."""
    host = open_port(m)
    host.close()
    counts = m.evdev()
    counts("reset")
    raw = vm.unix_connect(m.vm.pvmouse)
    frame = struct.pack("<BBHI16s", STATE, 1, 0, 1, struct.pack("<HHHhh", 0, 0, 1, 120, 0))
    raw.sendall(b"middle of a frame" + frame * 100)
    time.sleep(1)
    raw.close()
    host = open_port(m)
    host.keys(2)
    wait_for(lambda: counts()["press"].get("274"), 5, "press after the stale frames")
    host.close()
    seen = settle(counts)
    if "272" in seen["press"] or seen["wheel"]:
        raise Failure("stale frames were applied: %s" % seen)


@machine(**PORT)
@ours_only
def test_pvmouse_bad_frames(m):
    """Unknown types, reserved bits and garbage are refused; the port goes on after a new HELLO at the latest."""
    host = open_port(m)
    counts = m.evdev()
    daemon = m.pid("spice-pvmouse")
    for data in (struct.pack("<B23x", 6), struct.pack("<B23x", 0), struct.pack("<BBHI15xB", STATE, 0, 0, 1, 1),
                 struct.pack("<BBHI4xH10x", STATE, 0, 0, 1, 0x80), struct.pack("<BB22x", MOTION, 1), b"\xff" * 24 * 50):
        host.send(data)
    time.sleep(0.5)
    host.close()
    host = open_port(m)
    counts("reset")
    host.keys(1)
    host.keys(0)
    wait_for(lambda: counts()["release"].get("272"), 5, lambda: "no click: %s" % counts())
    host.close()
    if m.pid("spice-pvmouse") != daemon:
        raise Failure("spice-pvmouse was restarted")


@machine(**PORT)
@ours_only
def test_pvmouse_survives_sigkill(m):
    host = open_port(m)
    m.guest.run("kill -9 %d" % m.pid("spice-pvmouse"))
    host.wait_hello(2)
    counts = m.evdev()
    host.keys(1)
    host.keys(0)
    wait_for(lambda: counts()["release"].get("272"), 5, lambda: "no click: %s" % counts())
    host.close()


@machine(**PORT)
@ours_only
def test_pvmouse_unplugged_and_back(m):
    """The daemon ends with its port and comes with it."""
    host = open_port(m)
    m.vm.qmp.command("device_del", id="pvmouseport")
    m.guest.until("[ $(systemctl is-active spice-pvmouse.service) = inactive ] && ! pgrep -x spice-pvmouse", 15)
    host.close()
    m.vm.qmp.command("device_add", driver="virtserialport", chardev="pvmouse", name="org.spice-space.pvmouse.0",
                     id="pvmouseport")
    host = open_port(m)
    counts = m.evdev()
    host.keys(1)
    host.keys(0)
    wait_for(lambda: counts()["release"].get("272"), 5, lambda: "no click: %s" % counts())
    host.close()


@machine(**PORT)
@ours_only
def test_pvmouse_idle_without_wakeups(m):
    host = open_port(m)
    for step in range(10):
        host.state(step, step)
    daemon = m.pid("spice-pvmouse")
    time.sleep(1)
    before = switches(m, daemon)
    time.sleep(5)
    woken = switches(m, daemon) - before
    host.close()
    time.sleep(1)
    before = switches(m, daemon)
    time.sleep(5)
    alone = switches(m, daemon) - before
    if woken or alone:
        raise Failure("%d wake-ups with a quiet host, %d without a host" % (woken, alone))


@machine(**TWO_HEADS, pvmouse=True)
@ours_only
def test_pvmouse_two_heads(m):
    """The session's layout reaches the daemon through the system daemon."""
    places = two_heads(m, "--right-of {first}")
    host = open_port(m)
    pointer = m.pointer()

    def miss(display, x, y):
        host.state(wire(x, 1024), wire(y, 768), display=display)
        wanted = (places[display][0] + x, places[display][1] + y)
        seen = pointer.arrives(*wanted, 1)
        return None if seen == wanted else "display %d %d,%d: X has %d,%d" % (display, x, y, *seen)

    wait_for(lambda: not miss(1, 512, 384), 10, "the layout")
    wrong = [text for display in (0, 1) for x, y in edge_points(1024, 768) for text in [miss(display, x, y)] if text]
    host.close()
    if wrong:
        raise Failure("\n".join(wrong))
