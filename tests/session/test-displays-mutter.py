#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Displays on Mutter, GNOME's compositor: what a client asks for, what others change, and what is reported."""

import shutil
import signal
import struct
import subprocess
import sys

import compositor
import displaycase
import results
import sessiond as s
from displaycase import DONE, FAILED

if not compositor.Mutter.installed():
    print("mutter is not installed")
    sys.exit(77)


def layout_of(mutter):
    """What is to be reported, made from GetCurrentState by another hand."""
    _, available, logical, properties = mutter.state()
    sizes = {}
    for (connector, *_), choices, _ in available:
        sizes[connector] = next(((w, h) for _, w, h, _, _, _, more in choices if more.get("is-current")), None)
    result = []
    for x, y, scale, transform, _, shown, _ in logical:
        for connector, *_ in shown:
            w, h = sizes[connector]
            across, down = (h, w) if transform % 2 else (w, h)
            if properties.get("layout-mode", 1) == 1:
                across, down = round(across / scale), round(down / scale)
            result.append((connector, w, h, x, y, across, down, transform))
    return sorted(result)


def scales_of(mutter):
    """That the current mode of each connector supports."""
    return {connector: [round(scale, 4) for mode in choices if mode[6].get("is-current") for scale in mode[5]]
            for (connector, *_), choices, _ in mutter.state()[1]}


def idle(daemon, seconds=3):
    """Whether nothing wakes it for a while."""
    before = daemon.wakeups()
    s.settle(seconds)
    return daemon.wakeups() == before


class Case(displaycase.Case):
    def __init__(self, config="", session=True, **options):
        self.mutter = compositor.Mutter(**options)
        super().__init__(self.mutter, config, self.mutter.bus if session else None)
        self.refused = []
        self.connection = self.mutter.bus.connect()
        self.connection.signal_subscribe(None, s.SESSION, "Refused", None, None, 0,
                                         lambda *arguments: self.refused.append(arguments[5].unpack()))

    def check(self, expected=None):
        """What is reported is what is there, and that is as expected."""
        s.until(lambda: sorted(self.agent.layouts[-1]) == layout_of(self.mutter), "layout %r, have %r" % (
            layout_of(self.mutter), self.agent.layouts[-1]))
        assert expected is None or self.agent.layouts[-1] == expected, self.agent.layouts[-1]


def output(number, w, h, x=0, y=0, across=None, down=None, transform=0, name="Meta-%d"):
    return (name % number, w, h, x, y, across or w, down or h, transform)


def layout():
    with Case() as case:
        for cap in (s.CAP_MONITORS, s.CAP_SPARSE, s.CAP_POSITION, s.CAP_REPLY):
            assert case.caps >> cap & 1, bin(case.caps)
        case.check([output(0, 1280, 800), output(1, 1024, 768, 1280)])
        backends = s.property_of(case.connection, "Backends")
        assert backends["displays"] == "mutter", backends
        # Another program turns and moves them.
        case.mutter.configure(("Meta-0", 768, 0, 1, 0), ("Meta-1", 0, 0, 1, 1))
        case.check([output(0, 1280, 800, 768), output(1, 1024, 768, 0, 0, 768, 1024, 1)])
        case.mutter.configure(("Meta-1", 0, 0, 1, 2))
        case.check([output(1, 1024, 768, 0, 0, transform=2)])
        # What the user turned off stays off.
        s.settle(1)
        case.check([output(1, 1024, 768, 0, 0, transform=2)])
        case.mutter.configure(("Meta-0", 0, 0, 1, 0), ("Meta-1", 1280, 100, 1, 0))
        case.check([output(0, 1280, 800), output(1, 1024, 768, 1280, 100)])
        s.until(lambda: idle(case.daemon), "three seconds without a wake-up")
        rss = int(case.daemon.stat("VmRSS"))
        assert rss <= 12 << 10 or "asan" in s.BUILD, "%d KiB" % rss


def many_outputs():
    """More than ten, so that names in the order of strings would come out otherwise."""
    sizes = [(640, 480)] * 12
    with Case(monitors=sizes) as case:
        case.check([output(i, 640, 480, 640 * i) for i in range(12)])


def placing():
    with Case() as case:
        one, two = (1280, 800), (1024, 768)
        assert case.ask((*one, 0, 768), (*two, 0, 0)) == DONE
        case.check([output(0, *one, 0, 768), output(1, *two)])
        assert case.ask((*one, 1024, 0), (*two, 0, 10)) == DONE
        case.check([output(0, *one, 1024, 0), output(1, *two, 0, 10)])
        # Mutter has no gaps, and the origin is 0,0.
        assert case.ask((*one, 0, 0), (*two, 1500, 0)) == DONE
        case.check([output(0, *one), output(1, *two, 1280)])
        assert case.ask((*one, -300, -300), (*two, -300, 500)) == DONE
        case.check([output(0, *one), output(1, *two, 0, 800)])
        # Only a corner in common is not next to one another.
        assert case.ask((*one, 0, 0), (*two, 1280, 800)) == DONE
        case.check([output(0, *one), output(1, *two, 1280)])
        # Off and on again, and the first one off.
        assert case.ask((*one, 0, 0), (0, 0, 0, 0)) == DONE
        case.check([output(0, *one)])
        assert case.ask((0, 0, 0, 0), (*two, 7, 9)) == DONE
        case.check([output(1, *two)])
        assert case.ask((*one, 0, 0), (*two, 0, 0), flags=0) == DONE
        case.check([output(0, *one), output(1, *two, 1280)])
        # The same again is no work for Mutter.
        count = len(case.agent.layouts)
        assert case.ask((*one, 0, 0), (*two, 1280, 0)) == DONE
        s.settle()
        assert len(case.agent.layouts) == count
        # Turned by the user, upright when the client asks.
        case.mutter.configure(("Meta-0", 0, 0, 1, 1), ("Meta-1", 800, 0, 1, 0))
        case.check([output(0, *one, 0, 0, 800, 1280, 1), output(1, *two, 800)])
        assert case.ask((*one, 0, 0), (*two, 1280, 0)) == DONE
        case.check([output(0, *one), output(1, *two, 1280)])
        assert not case.refused, case.refused


def refused():
    with Case() as case:
        before = [output(0, 1280, 800), output(1, 1024, 768, 1280)]
        case.check(before)
        # A virtual monitor has one mode.
        assert case.ask((801, 601, 0, 0), (1024, 768, 801, 0)) == FAILED
        case.check(before)
        s.until(lambda: case.refused, "Refused")
        assert case.refused == [("displays", "Meta-0 has no mode of 800x601")], case.refused
        for heads in ([(0, 0, 0, 0)], [], [(1, 1, 0, 0)], [(65535, 65535, 0, 0)], [(0xffffffff, 1, 0, 0)],
                      [(1280, 0, 0, 0)], [(0, 0, 0, 0), (0, 768, 0, 0)]):
            assert case.ask(*heads) == FAILED, heads
            case.check(before)
        # Positions without sense are no reason to refuse what is left.
        assert case.ask((1280, 800, 2147483647, -2147483648), (1024, 768, -2147483648, 2147483647)) == DONE
        case.check()
        assert case.ask((1280, 800, 0, 0), (1024, 768, 1280, 0), *[(640, 480, 0, 0)] * 14) == DONE
        case.check(before)
        case.agent.control.send(s.message(s.MONITORS_CONFIG, struct.pack("<II", 0xffffffff, 0)))
        s.settle()
        case.check(before)


def scaled():
    """Layout in pixels, as GNOME has it without fractional scales: the rectangle does not shrink."""
    with Case(monitors=[(2560, 1600), (1024, 768)]) as case:
        if case.mutter.state()[3].get("layout-mode", 1) == 1:
            return scaled_logical()
        assert scales_of(case.mutter)["Meta-0"][:2] == [1, 2], scales_of(case.mutter)["Meta-0"]
        case.mutter.configure(("Meta-0", 0, 0, 2, 0), ("Meta-1", 2560, 0, 1, 0))
        case.check([output(0, 2560, 1600), output(1, 1024, 768, 2560)])
        # The client's positions are pixels, as these are; its size says that the scale is right, or wrong.
        assert case.ask((2560, 1600, 0, 0), (1024, 768, 0, 1600), sizes=[(344, 215), (270, 203)]) == DONE
        case.check([output(0, 2560, 1600), output(1, 1024, 768, 0, 1600)])
        assert [entry[2] for entry in case.mutter.state()[2]] == [2, 1], case.mutter.state()[2]
        assert case.ask((2560, 1600, 0, 0), (1024, 768, 2560, 0), sizes=[(677, 423), (270, 203)]) == DONE
        assert [entry[2] for entry in case.mutter.state()[2]] == [1, 1], case.mutter.state()[2]
        assert not case.refused, case.refused
        return None


def scaled_logical():
    with Case(monitors=[(2560, 1600), (1920, 1200), (1024, 768)], logical=True) as case:
        assert case.mutter.state()[3].get("layout-mode", 1) == 1
        scales = scales_of(case.mutter)["Meta-0"]
        assert 1.25 in scales and 2 in scales, scales
        case.mutter.configure(("Meta-0", 0, 0, 2, 0), ("Meta-1", 1280, 0, 1, 0), ("Meta-2", 3200, 0, 1, 0))
        case.check([output(0, 2560, 1600, 0, 0, 1280, 800), output(1, 1920, 1200, 1280), output(2, 1024, 768, 3200)])
        case.mutter.configure(("Meta-0", 0, 0, 1.25, 3), ("Meta-1", 1280, 0, 1, 0))
        case.check([output(0, 2560, 1600, 0, 0, 1280, 2048, 3), output(1, 1920, 1200, 1280)])
        # 1.75 is the scale for this size; Mutter has one near it, and all are next to one another.
        assert case.ask((2560, 1600, 0, 0), (1920, 1200, 2560, 0), (1024, 768, 4480, 0),
                        sizes=[(387, 242), (310, 194), (270, 203)]) == DONE
        case.check()
        have = [entry[2] for entry in case.mutter.state()[2]]
        assert abs(have[0] - 1.75) < 0.1 and abs(have[1] - 1.75) < 0.1 and have[2] == 1, have
        assert not case.refused, case.refused
    with Case(monitors=[(2560, 1600)], logical=True, config="[displays]\nscale=keep\n") as case:
        assert case.ask((2560, 1600, 0, 0), sizes=[(344, 215)]) == DONE
        case.check([output(0, 2560, 1600)])


def modes():
    """Monitors that have several modes: Mutter nested in an X server makes such ones."""
    server = subprocess.Popen(["Xvfb", "-displayfd", "1", "-screen", "0", "2560x1600x24", "-nolisten", "tcp"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        display = ":" + server.stdout.readline().strip()
        with Case(nested=display) as case:
            def lvds(number, *words):
                return output(number, *words, name="LVDS%d")
            case.check([lvds(1, 1024, 768), lvds(2, 1024, 768, 1024)])
            with results.cell(case.mutter, "resize"):
                assert case.ask((1280, 800, 0, 0), (800, 600, 1280, 0)) == DONE
                case.check([lvds(1, 1280, 800), lvds(2, 800, 600, 1280)])
            # No such width, but its next one that coarse hardware has.
            assert case.ask((807, 600, 0, 0), (1024, 768, 807, 0)) == DONE
            case.check([lvds(1, 800, 600), lvds(2, 1024, 768, 800)])
            assert case.ask((1000, 600, 0, 0), (1024, 768, 1000, 0)) == FAILED
            case.check([lvds(1, 800, 600), lvds(2, 1024, 768, 800)])
            # While another program changes it all the time the last word is the client's.
            for turn in range(10):
                case.send((1280, 800, 0, 0), (1024, 768, 1280, 0))
                try:
                    case.mutter.configure(("LVDS1", 0, 0, 1, turn % 4))
                except s.GLib.Error:
                    pass  # the client was faster
                case.reply()
            assert case.ask((1280, 800, 0, 0), (1024, 768, 1280, 0)) == DONE
            case.check([lvds(1, 1280, 800), lvds(2, 1024, 768, 1280)])
    finally:
        server.kill()
        server.wait()


def compositor_dies():
    with Case() as case:
        case.check()
        case.mutter.process.send_signal(signal.SIGSTOP)
        case.send((1280, 800, 0, 0), (1024, 768, 0, 800))
        s.settle()
        case.mutter.kill()
        # Requests that nobody can serve are answered all the same.
        assert case.reply() == FAILED
        assert case.ask((1280, 800, 0, 0)) == FAILED
        case.mutter.start()
        case.daemon.wait_log("serving the compositor", 2)
        case.mutter.configure(("Meta-0", 1024, 0, 1, 0), ("Meta-1", 0, 0, 1, 2))
        case.check([output(0, 1280, 800, 1024), output(1, 1024, 768, transform=2)])
        assert case.ask((1280, 800, 0, 0), (1024, 768, 1280, 0)) == DONE
        case.check([output(0, 1280, 800), output(1, 1024, 768, 1280)])


def no_session_bus():
    with Case(session=False) as case:
        case.daemon.wait_log("no displays: the compositor has it on the session bus, which cannot be reached")
        assert not case.caps >> s.CAP_MONITORS & 1, bin(case.caps)
        # The pointer has its layout all the same.
        case.check([output(0, 1280, 800), output(1, 1024, 768, 1280)])
        assert case.ask((1280, 800, 0, 0)) == FAILED


cases = [layout, many_outputs, placing, refused, scaled, scaled_logical, compositor_dies, no_session_bus]
if shutil.which("Xvfb") and "--nested" in subprocess.run(["mutter", "--help"], check=True, text=True,
                                                         stdout=subprocess.PIPE).stdout:
    cases.append(modes)
else:
    print("session/displays-mutter-modes: skip (no Xvfb, or a mutter that does not nest)")
s.main("displays-mutter", cases)
