#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Displays on a real X server: what a client asks for, what the device does, and what is reported."""

import os
import re
import struct
import subprocess
import sys
import time

import sessiond as s

XORG = os.path.join(s.TOP, "tests", "session", "xorg")
USE_POS, PHYSICAL = 1, 2
DONE, FAILED = 1, 2  # VD_AGENT_SUCCESS, VD_AGENT_ERROR


def on_server(outputs=1):
    """Run the case in a process of its own that has a private X server."""
    def decorate(function):
        def case():
            if os.environ.get("XORG_PID"):
                return function()
            subprocess.run([XORG, "--outputs", str(outputs), sys.executable, __file__, function.__name__], check=True,
                           env=dict(os.environ, INNER="1"))
        case.__name__ = function.__name__
        return case
    return decorate


def xrandr(*args):
    return subprocess.run(["xrandr", *args], check=True, capture_output=True, text=True).stdout


def state():
    """{output: (w, h, x, y)} of what is on, and the size of the screen."""
    text = xrandr()
    screen = tuple(int(n) for n in re.search(r"current (\d+) x (\d+)", text).groups())
    found = re.findall(r"^(\S+) (?:dis)?connected (?:primary )?(\d+)x(\d+)\+(\d+)\+(\d+)", text, re.M)
    return {name: tuple(int(n) for n in numbers) for name, *numbers in found}, screen


def own_modes():
    return sorted(set(re.findall(r"^ +(spice-\S+) ", xrandr(), re.M)))


def monitors(*heads, flags=USE_POS, sizes=None):
    """Each head is (w, h, x, y), each size (w, h) in mm."""
    body = struct.pack("<II", len(heads), flags)
    for w, h, x, y in heads:
        body += struct.pack("<IIIii", h, w, 32, x, y)
    for w, h in sizes or ():
        body += struct.pack("<HH", h, w)
    return s.message(s.MONITORS_CONFIG, body)


class Case:
    def __init__(self, config="", wm=None):
        self.bus = s.Bus()
        self.agent = s.Agent(self.bus)
        self.daemon = s.Daemon(self.bus, config=config, display=os.environ["DISPLAY"])
        s.until(lambda: self.agent.layouts, "the first layout")
        self.caps = self.agent.client()

    def __enter__(self):
        return self

    def __exit__(self, kind, _value, _trace):
        try:
            if kind:
                print(self.daemon.text()[-3000:])
                print(xrandr())
            self.daemon.stop()
        finally:
            self.agent.close()
            self.bus.stop()

    def ask(self, *heads, **options):
        self.agent.control.send(monitors(*heads, **options))
        kind, error = struct.unpack("<II", self.agent.control.take(s.REPLY))
        assert kind == s.MONITORS_CONFIG
        return error

    def layout(self, expected):
        s.until(lambda: self.agent.layouts[-1] == expected, "layout %r, have %r" % (expected, self.agent.layouts[-1]))


def rectangle(name, w, h, x=0, y=0):
    return (name, w, h, x, y, w, h, 0)


@on_server()
def sizes():
    with Case() as case:
        for cap in (s.CAP_MONITORS, s.CAP_SPARSE, s.CAP_POSITION, s.CAP_REPLY, s.CAP_BY_DEMAND):
            assert case.caps >> cap & 1, bin(case.caps)
        assert case.agent.layouts == [[rectangle("DUMMY0", 1024, 768)]], case.agent.layouts
        for w, h in [(801, 601), (1366, 768), (1500, 900), (640, 480), (1024, 768), (1023, 767), (3840, 2160),
                     (801, 601)]:
            start = time.monotonic()
            assert case.ask((w, h, 0, 0)) == DONE
            assert state() == ({"DUMMY0": (w, h, 0, 0)}, (w, h)), state()
            assert time.monotonic() - start < 2
            case.layout([rectangle("DUMMY0", w, h)])
            assert own_modes() == ([] if (w, h) == (1024, 768) else ["spice-%dx%d" % (w, h)]) or (w, h) == (640, 480)
        # Asked again: nothing is done, and so no event comes.
        count = len(case.agent.layouts)
        case.ask((801, 601, 0, 0))
        s.settle()
        assert len(case.agent.layouts) == count


@on_server(outputs=4)
def several_heads():
    with Case() as case:
        case.ask((1280, 800, 0, 0), (1024, 768, 1280, 0), flags=USE_POS)
        assert state() == ({"DUMMY0": (1280, 800, 0, 0), "DUMMY1": (1024, 768, 1280, 0)}, (2304, 800)), state()
        case.layout([rectangle("DUMMY0", 1280, 800), rectangle("DUMMY1", 1024, 768, 1280, 0)])
        # Left of and above; negative positions have no place in X.
        case.ask((1280, 800, 0, 0), (1024, 768, -1024, -100))
        assert state() == ({"DUMMY0": (1280, 800, 1024, 100), "DUMMY1": (1024, 768, 0, 0)}, (2304, 900)), state()
        # Without positions: side by side. Sparse: the second is off.
        case.ask((800, 600, 5, 5), (0, 0, 0, 0), (1001, 701, 5, 5), (640, 480, 0, 0), flags=0)
        assert state() == ({"DUMMY0": (800, 600, 0, 0), "DUMMY2": (1001, 701, 800, 0), "DUMMY3": (640, 480, 1801, 0)},
                           (2441, 701)), state()
        # Overlapping positions are no layout.
        case.ask((800, 600, 100, 0), (640, 480, 0, 0), (800, 600, 200, 50))
        assert state() == ({"DUMMY0": (800, 600, 640, 0), "DUMMY1": (640, 480, 0, 0), "DUMMY2": (800, 600, 1440, 0)},
                           (2240, 600)), state()
        # The first one off, then all but one; and all four at once with sizes that have no mode yet.
        case.ask((0, 0, 0, 0), (700, 500, 0, 0))
        assert state() == ({"DUMMY1": (700, 500, 0, 0)}, (700, 500)), state()
        case.ask((901, 501, 0, 0), (902, 502, 901, 0), (903, 503, 0, 502), (904, 504, 903, 502))
        assert state() == ({"DUMMY0": (901, 501, 0, 0), "DUMMY1": (902, 502, 901, 0), "DUMMY2": (903, 503, 0, 502),
                            "DUMMY3": (904, 504, 903, 502)}, (1807, 1006)), state()
        assert own_modes() == ["spice-90%dx50%d" % (n, n) for n in (1, 2, 3, 4)], own_modes()


@on_server()
def absurd():
    with Case() as case:
        before = state()
        for heads in [(0, 0, 0, 0)], [(0, 768, 0, 0)], []:
            assert case.ask(*heads) == FAILED
            assert state() == before
        case.agent.control.send(s.message(s.MONITORS_CONFIG, struct.pack("<II", 0xffffffff, 0)))
        case.agent.control.send(s.message(s.MONITORS_CONFIG, struct.pack("<II", 17, 0) + b"\1" * 17 * 20))
        s.settle()
        assert state() == before
        # Clamped to what the server has, and to what can be used.
        error = case.ask((65535, 65535, 0, 0))
        assert (error == FAILED) == (state() == before), (error, state())
        limit = tuple(int(n) for n in re.search(r"maximum (\d+) x (\d+)", xrandr()).groups())
        (w, h, x, y), screen = state()[0]["DUMMY0"], state()[1]
        assert (w, h) == screen and w <= limit[0] and h <= limit[1], state()
        case.ask((1, 1, 2147483647, -2147483648))
        assert state() == ({"DUMMY0": (320, 200, 0, 0)}, (320, 200)), state()
        case.ask((0xffffffff, 1, 0, 0))
        case.ask((1024, 768, 0, 0), (1024, 768, 0, 0), (1024, 768, 0, 0), flags=0)
        case.ask((1024, 768, 0, 0))
        assert state() == before
        log = case.daemon.text()
        assert "client: monitors refused: no display would remain" in log and "client: monitors not taken" in log, log


def dpi():
    text = subprocess.run(["xdpyinfo"], check=True, capture_output=True, text=True).stdout
    return int(re.search(r"resolution: +(\d+)x", text)[1])


@on_server()
def physical_size():
    with Case() as case:
        # spice-gtk appends sizes whatever the flags say.
        case.ask((1600, 900, 0, 0), sizes=[(203, 114)])
        assert abs(dpi() - 200) <= 1, dpi()
        assert state()[1] == (1600, 900)
        case.ask((1600, 900, 0, 0), flags=USE_POS | PHYSICAL, sizes=[(423, 238)])
        assert abs(dpi() - 96) <= 1, dpi()
        case.ask((1601, 900, 0, 0), sizes=[(3, 2)])
        assert abs(dpi() - 96) <= 1, dpi()
        assert "size ignored" in case.daemon.text()
    with Case(config="[displays]\nscale=keep\n") as case:
        case.ask((1600, 900, 0, 0), sizes=[(203, 114)])
        assert abs(dpi() - 96) <= 1, dpi()


@on_server()
def resolution_is_kept():
    """Sizes that follow one another before the server's events have been handled, and changes by others."""
    with Case() as case:
        def at_once(*messages):
            case.agent.control.send(b"".join(messages))
            for _ in messages:
                assert struct.unpack("<II", case.agent.control.take(s.REPLY)) == (s.MONITORS_CONFIG, DONE)
        at_once(monitors((1600, 900, 0, 0)), monitors((800, 600, 0, 0)), monitors((2400, 1200, 0, 0)))
        assert abs(dpi() - 96) <= 1, dpi()
        at_once(monitors((1600, 900, 0, 0), sizes=[(203, 114)]), monitors((1000, 700, 0, 0)))
        assert abs(dpi() - 200) <= 1, dpi()
        case.layout([rectangle("DUMMY0", 1000, 700)])
        xrandr("--dpi", "150")
        s.settle()
        case.ask((1200, 800, 0, 0))
        assert abs(dpi() - 150) <= 2, dpi()


@on_server(outputs=2)
def others_change():
    """What somebody else sets is reported and left alone."""
    with Case() as case:
        xrandr("--output", "DUMMY1", "--pos", "1024x200")
        case.layout([rectangle("DUMMY0", 1024, 768), rectangle("DUMMY1", 1024, 768, 1024, 200)])
        xrandr("--output", "DUMMY1", "--off")
        # The screen may remain larger than what is shown of it.
        case.layout([rectangle("DUMMY0", 1024, 768)] if state()[1] == (1024, 768) else
                    [rectangle("DUMMY0", 1024, 768), rectangle("", *state()[1])])
        xrandr("--fb", "3000x2000")
        case.layout([rectangle("DUMMY0", 1024, 768), rectangle("", 3000, 2000)])
        s.settle(0.6)
        assert state() == ({"DUMMY0": (1024, 768, 0, 0)}, (3000, 2000)), state()


@on_server()
def refused_by_the_server():
    """A server whose memory is too small for it says no: what was there remains."""
    with Case() as case:
        case.ask((1000, 700, 0, 0))
        before = state()
        limit = tuple(int(n) for n in re.search(r"maximum (\d+) x (\d+)", xrandr()).groups())
        error = case.ask((limit[0], limit[1], 0, 0))
        now = state()
        assert (error, now) == (FAILED, before) or (error, now[1]) == (DONE, limit), (error, now)
        assert case.ask((1000, 700, 0, 0)) == DONE
        assert state() == before


@on_server()
def server_dies():
    with Case() as case:
        caps = case.agent.client()
        os.kill(int(os.environ["XORG_PID"]), 9)
        words = case.agent.control.take(s.ANNOUNCE)
        now = struct.unpack_from("<II", words)[1]
        assert caps >> s.CAP_MONITORS & 1 and not now >> s.CAP_MONITORS & 1
        case.agent.control.send(monitors((800, 600, 0, 0)))
        assert struct.unpack("<II", case.agent.control.take(s.REPLY))[1] == FAILED
        assert case.daemon.process.poll() is None
        # Files need no display.
        case.agent.files.send(s.file_start(1, "a", 0))
        assert case.agent.files.status(1) == (s.CAN_SEND, b"")


@on_server(outputs=2)
def starts_again():
    """Killed and started anew it finds its own modes and removes them when it is their turn."""
    with Case() as case:
        case.ask((1111, 777, 0, 0))
        case.daemon.process.kill()
        case.daemon.process.wait()
        case.daemon = s.Daemon(case.bus, display=os.environ["DISPLAY"])
        case.agent.control = case.agent.files = None
        case.agent.client()
        assert state() == ({"DUMMY0": (1111, 777, 0, 0)}, (1111, 777)), state()
        assert own_modes() == ["spice-1111x777"]
        case.ask((1024, 768, 0, 0))
        assert own_modes() == [] and state() == ({"DUMMY0": (1024, 768, 0, 0)}, (1024, 768))


@on_server()
def idle():
    with Case() as case:
        daemon = case.daemon
        s.settle(15)  # what is bounded after the start has ended by then

        def woken():
            before = daemon.wakeups()
            s.settle(4)
            return daemon.wakeups() - before
        # A busy machine may add a wait of its own, so any quiet window will do.
        counts = []
        while not counts or (counts[-1] and len(counts) < 5):
            counts.append(woken())
        assert counts[-1] == 0, "wake-ups: %s" % counts
        size = int(daemon.stat("VmRSS"))
        if "asan" not in s.BUILD:
            assert size <= 12 << 10, "%d KiB" % size


if __name__ == "__main__" and os.environ.get("INNER"):
    {case.__name__: case for case in list(globals().values()) if callable(case)}[sys.argv[1]]()
    sys.exit(0)
s.main("displays-x11", [sizes, several_heads, absurd, physical_size, resolution_is_kept, others_change,
                        refused_by_the_server, server_dies, starts_again, idle])
