#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Displays on compositors with wlr-output-management: what a client asks for, what others do, and what is reported.
Foreign programs (wayland-info, wlr-randr, swaymsg) say what is there."""

import json
import os
import re
import signal
import struct
import sys

import compositor as c
import displaycase
import sessiond as s
from displaycase import DONE, FAILED, monitors

SWAY, LABWC = c.Sway, c.Labwc


class Case(displaycase.Case):
    def __init__(self, kind, outputs=2, config=""):
        super().__init__(kind(outputs=outputs), config)

    def state(self):
        """{output: (mode w, h, logical x, y, w, h, transform)}"""
        return {name: tuple(rest) for name, *rest in self.outputs()}

    def wait_heads(self, *heads):
        s.until(lambda: self.heads() == list(heads), "outputs %r, have %r" % (heads, self.heads()))
        self.same()

    def set(self, output, mode=None, position=None, scale=None, transform=None, on=None):
        """As somebody else does it."""
        if isinstance(self.desktop, SWAY):
            words = ["output", output]
            words += ["mode", "--custom", "%dx%d" % mode] if mode else []
            words += ["position", *map(str, position)] if position else []
            words += ["scale", str(scale)] if scale else []
            words += ["transform", transform] if transform else []
            words += ["enable" if on else "disable"] if on is not None else []
            sway(self, " ".join(words))
            return
        words = ["--output", output]
        words += ["--custom-mode", "%dx%d" % mode] if mode else []
        words += ["--pos", "%d,%d" % position] if position else []
        words += ["--scale", str(scale)] if scale else []
        words += ["--transform", transform] if transform else []
        words += ["--on" if on else "--off"] if on is not None else []
        self.desktop.run("wlr-randr", *words)


def numbers(version):
    return tuple(int(number) for number in version.split("."))


def sway(case, command):
    reply = json.loads(case.desktop.run("swaymsg", "-r", "--", command))
    assert all(result["success"] for result in reply), reply


def wlr_randr(case):
    """{output: (mode w, h, x, y, scale)}; {} of sway 1.7, which calls outputs without modes switched off."""
    found = {}
    for name, block in re.findall(r"^(\S+) .*\n((?: .*\n?)*)", case.desktop.run("wlr-randr"), re.M):
        mode = re.search(r"^ +(\d+)x(\d+) px.*current", block, re.M)
        place = re.search(r"Position: (-?\d+),(-?\d+)", block)
        scale = re.search(r"Scale: ([\d.]+)", block)
        if mode and place and scale:
            found[name] = (*map(int, mode.groups()), *map(int, place.groups()), float(scale[1]))
    return found


def takes_heads(kind):
    """Whether the compositor can switch outputs off: sway 1.7 calls it done and does nothing, without a real device."""
    return kind is not SWAY or numbers(kind.version()) >= (1, 8)


def layout(kind):
    with Case(kind) as case:
        for cap in (s.CAP_MONITORS, s.CAP_SPARSE, s.CAP_POSITION, s.CAP_REPLY):
            assert case.caps >> cap & 1, bin(case.caps)
        case.same()
        for scale in 1, 1.25, 1.5, 2:
            for transform in "normal", "90":
                case.set("HEADLESS-1", scale=scale, transform=transform)
                case.same()
                name, w, h, x, y, lw, lh, turn = min(case.agent.layouts[-1])
                # Sway's own tools count clockwise, others and the protocol counterclockwise.
                assert turn == (0 if transform == "normal" else 3 if kind is SWAY else 1), case.agent.layouts[-1]
                if transform == "90":
                    lw, lh = lh, lw
                assert abs(w / scale - lw) < 1 and abs(h / scale - lh) < 1, case.agent.layouts[-1]
                foreign = wlr_randr(case)
                if foreign:
                    assert foreign[name][:4] == (w, h, x, y) and abs(foreign[name][4] - scale) < 0.01, foreign
        assert wlr_randr(case) or not takes_heads(kind)


def resize(kind):
    with Case(kind) as case:
        for w, h in [(801, 601), (1366, 768), (1500, 900), (640, 480), (1023, 767), (3840, 2160), (801, 601)]:
            assert case.ask((w, h, 0, 0), (1024, 768, w, 0)) == DONE
            assert case.heads() == [(w, h, 0, 0), (1024, 768, w, 0)], case.state()
            case.same()
        # Asked again: nothing is another, so nothing is reported.
        count = len(case.agent.layouts)
        assert case.ask((801, 601, 0, 0), (1024, 768, 801, 0)) == DONE
        s.settle()
        assert case.agent.layouts[count:] == case.agent.layouts[count - 1:count] * len(case.agent.layouts[count:])


class Hidden(c.Sway):
    """Whose IPC we do not find."""

    def variables(self):
        return dict(super().variables(), SWAYSOCK=os.path.join(self.directory, "home", "ipc"))

    def find_ipc(self):
        path = self.variables()["SWAYSOCK"]
        return path if os.path.exists(path) else None


def without_ipc(kind):
    """Without sway's IPC, sizes that no mode has are asked for as of others; without a device, sway has them."""
    with Case(Hidden) as case:
        for w, h in (1001, 701), (640, 480):
            assert case.ask((w, h, 0, 0), (900, 600, w, 0)) == DONE
            assert case.heads() == [(w, h, 0, 0), (900, 600, w, 0)], case.state()
        case.same()
        assert "sway: " not in case.daemon.text()
    with Case(SWAY) as case:
        assert case.ask((1001, 701, 0, 0), (900, 600, 1001, 0)) == DONE
        assert "sway: " in case.daemon.text()


def positions(kind):
    with Case(kind) as case:
        # Below, and left above, which begins at 0,0 all the same.
        assert case.ask((1000, 700, 0, 0), (900, 600, 50, 700)) == DONE
        assert case.heads() == [(1000, 700, 0, 0), (900, 600, 50, 700)], case.state()
        assert case.ask((1000, 700, 0, 0), (900, 600, -900, -100)) == DONE
        assert case.heads() == [(1000, 700, 900, 100), (900, 600, 0, 0)], case.state()
        # What overlaps is no layout; without positions they go side by side.
        assert case.ask((1000, 700, 100, 0), (900, 600, 0, 0)) == DONE
        assert case.heads() == [(1000, 700, 900, 0), (900, 600, 0, 0)], case.state()
        assert case.ask((1000, 700, 7, 7), (900, 600, 7, 7), flags=0) == DONE
        assert case.heads() == [(1000, 700, 0, 0), (900, 600, 1000, 0)], case.state()
        case.same()
    # Ten come before two only in the alphabet.
    with Case(kind, outputs=11) as case:
        sizes = [(400 + i, 300 + i, 500 * i, 0) for i in range(11)]
        assert case.ask(*sizes) == DONE
        case.same()
        state = case.state()
        assert [state["HEADLESS-%d" % (i + 1)][:4] for i in range(11)] == sizes, state


def second_head(kind):
    with Case(kind) as case:
        heads = [(1000, 700, 0, 0), (900, 600, 1000, 0)]
        assert case.ask(*heads) == DONE
        if not takes_heads(kind):
            # It says that it is done, and it is not: the client is told the truth.
            assert case.ask(heads[0]) == FAILED
            assert case.heads() == heads, case.state()
            assert case.ask(*heads) == DONE
            return
        assert case.ask(heads[0]) == DONE
        assert case.heads() == heads[:1], case.state()
        case.same()
        assert case.ask(*heads) == DONE
        assert case.heads() == heads, case.state()
        case.same()
        # The first one off: the other moves to the origin.
        assert case.ask((0, 0, 0, 0), (900, 600, 1000, 0)) == DONE
        assert case.state()["HEADLESS-2"][:4] == (900, 600, 0, 0) and len(case.heads()) == 1, case.state()
        case.same()
        # One that is off without our doing stays off when something else is changed.
        assert case.ask(*heads) == DONE
        case.set("HEADLESS-1", on=False)
        s.until(lambda: len(case.heads()) == 1, "one output")
        case.set("HEADLESS-2", position=(0, 0))
        case.wait_heads((900, 600, 0, 0))
        s.settle(0.6)
        case.wait_heads((900, 600, 0, 0))


def scale_auto(kind):
    with Case(kind) as case:
        # 16:9 monitors of 7" and 27" with 2000 pixels: 327 and 85 dots per inch.
        assert case.ask((2000, 1125, 0, 0), (2000, 1125, 2000, 0), sizes=[(155, 87), (598, 336)]) == DONE
        first, second = (output for _, output in sorted(case.state().items()))
        assert first == (2000, 1125, 0, 0, 571, 321, 0), first  # 3.5
        assert second[:2] == (2000, 1125) and second[4:] == (2000, 1125, 0) and abs(second[2] - 571) <= 1, second
        case.same()
        assert case.ask((3840, 2160, 0, 0), (1280, 800, 3840, 0), sizes=[(508, 286), (338, 211)]) == DONE
        assert case.heads() == [(3840, 2160, 0, 0), (1280, 800, 1920, 0)], case.state()
        assert [output[4:6] for _, output in sorted(case.state().items())] == [(1920, 1080), (1280, 800)]
        case.same()
        # A size that no monitor has, or none: the scale remains.
        assert case.ask((3000, 2000, 0, 0), (1280, 800, 3000, 0), sizes=[(3, 2), (0, 0)]) == DONE
        assert [output[4:6] for _, output in sorted(case.state().items())] == [(1500, 1000), (1280, 800)], case.state()
        assert case.heads()[1][2:] == (1500, 0), case.state()


def scale_keep(kind):
    with Case(kind, config="[displays]\nscale=keep\n") as case:
        assert case.ask((3840, 2160, 0, 0), (1280, 800, 3840, 0), sizes=[(508, 286), (338, 211)]) == DONE
        assert case.heads() == [(3840, 2160, 0, 0), (1280, 800, 3840, 0)], case.state()
        # What somebody has set is kept too, as near as it can be.
        for scale in 1.5, 1.25, 1.75:
            case.set("HEADLESS-1", scale=scale)
            case.same()
            for w, h in (1367, 769), (1279, 801), (2001, 1001):
                assert case.ask((w, h, 0, 0), (1280, 800, w, 0)) == DONE
                first, second = (output for _, output in sorted(case.state().items()))
                assert first[:2] == (w, h) and first[4:6] == (int(w / scale), int(h / scale)), (scale, first)
                assert abs(second[2] - w / scale) <= 1, second
            case.same()


def upright(kind):
    """What somebody has turned is turned back by what the client asks for, as its monitors stand upright."""
    with Case(kind) as case:
        case.set("HEADLESS-1", transform="90")
        s.until(lambda: min(case.agent.layouts[-1])[7] != 0, "the turned output")
        assert case.ask((1000, 700, 0, 0), (900, 600, 1000, 0)) == DONE
        assert [output for _, output in sorted(case.state().items())] == [
            (1000, 700, 0, 0, 1000, 700, 0), (900, 600, 1000, 0, 900, 600, 0)], case.state()
        case.same()


def foreign_change(kind):
    """What somebody else sets is reported and left alone."""
    with Case(kind) as case:
        assert case.ask((1000, 700, 0, 0), (900, 600, 1000, 0)) == DONE
        case.set("HEADLESS-2", mode=(777, 555))
        case.set("HEADLESS-2", position=(1100, 200))
        case.wait_heads((1000, 700, 0, 0), (777, 555, 1100, 200))
        s.settle(0.6)
        case.wait_heads((1000, 700, 0, 0), (777, 555, 1100, 200))


def absurd(kind):
    with Case(kind) as case:
        assert case.ask((1000, 700, 0, 0), (900, 600, 1000, 0)) == DONE
        before = case.heads()
        for heads in [(0, 0, 0, 0)], [(0, 768, 0, 0)], []:
            assert case.ask(*heads) == FAILED
            assert case.heads() == before
        case.agent.control.send(s.message(s.MONITORS_CONFIG, struct.pack("<II", 0xffffffff, 0)))
        case.agent.control.send(s.message(s.MONITORS_CONFIG, struct.pack("<II", 17, 0) + b"\1" * 17 * 20))
        s.settle()
        assert case.heads() == before
        # Made usable, and moved to where there is room.
        if takes_heads(kind):
            assert case.ask((65535, 1, 2147483647, -2147483648)) == DONE
            assert case.heads() == [(16384, 200, 0, 0)], case.state()
        assert case.ask((1, 1, 2147483647, -2147483648), (900, 600, -2147483648, 2147483647)) == DONE
        assert [head[:2] for head in case.heads()] == [(320, 200), (900, 600)], case.state()
        # Two that are too wide together, though neither is alone.
        assert case.ask((65535, 200, 0, 0), (65535, 200, 65535, 0)) == FAILED
        # More monitors than outputs.
        assert case.ask((1000, 700, 0, 0), (900, 600, 1000, 0), (800, 600, 1900, 0)) == DONE
        assert case.heads() == before, case.state()
        case.same()


def in_quick_succession(kind):
    with Case(kind) as case:
        sizes = [(800 + 11 * i, 600 + 7 * i) for i in range(20)]
        case.agent.control.send(b"".join(monitors((w, h, 0, 0), (900, 600, w, 0)) for w, h in sizes))
        assert [case.reply() for _ in sizes] == [DONE] * len(sizes)
        assert case.heads() == [(*sizes[-1], 0, 0), (900, 600, sizes[-1][0], 0)], case.state()
        case.same()
        s.settle()
        assert not [kind for kind, _ in case.agent.control.messages if kind == s.REPLY]


def unplugged(kind):
    """Outputs that come and go, also while they are being configured."""
    with Case(kind) as case:
        assert case.ask((1000, 700, 0, 0), (900, 600, 1000, 0)) == DONE
        sway(case, "create_output")
        s.until(lambda: len(case.heads()) == 3, "a third output")
        case.same()
        heads = (1000, 700, 0, 0), (900, 600, 1000, 0), (803, 601, 1900, 0)
        s.until(lambda: case.ask(*heads) == DONE and case.heads() == list(heads), "three outputs as asked for")
        if numbers(kind.version()) < (1, 8):
            return  # nor can it take an output away
        for i in range(10):
            case.send((1001 + i, 700, 0, 0), (900, 600, 1001 + i, 0), (803, 601, 1901 + i, 0))
            sway(case, "output HEADLESS-%d unplug" % (3 + i))
            assert case.reply() in (DONE, FAILED)
            s.until(lambda: len(case.heads()) == 2, "two outputs")
            assert case.ask((1000, 700, 0, 0), (900, 600, 1000, 0)) == DONE
            case.wait_heads((1000, 700, 0, 0), (900, 600, 1000, 0))
            sway(case, "create_output")
            s.until(lambda: len(case.heads()) == 3, "a third output again")


def compositor_dies(kind):
    with Case(kind) as case:
        os.kill(case.desktop.process.pid, signal.SIGSTOP)
        case.send((1000, 700, 0, 0), (900, 600, 1000, 0))
        case.send((1100, 700, 0, 0), (900, 600, 1100, 0))
        s.settle()
        case.desktop.kill()
        assert [case.reply(), case.reply()] == [FAILED, FAILED]
        s.until(lambda: not struct.unpack_from("<II", case.agent.control.take(s.ANNOUNCE))[1] >> s.CAP_MONITORS & 1,
                "that displays cannot be changed")
        assert case.ask((800, 600, 0, 0)) == FAILED
        assert case.daemon.process.poll() is None
        # It comes back, and so do we.
        case.desktop.start()
        s.until(lambda: case.ask((1000, 700, 0, 0), (900, 600, 1000, 0)) == DONE, "a size of the new one")
        assert case.heads() == [(1000, 700, 0, 0), (900, 600, 1000, 0)], case.state()


def compositor_hangs(kind):
    """A client gets its answer all the same, and what was asked last comes true once it goes on."""
    with Case(kind) as case:
        os.kill(case.desktop.process.pid, signal.SIGSTOP)
        assert case.ask((1000, 700, 0, 0), (900, 600, 1000, 0)) == FAILED
        os.kill(case.desktop.process.pid, signal.SIGCONT)
        s.until(lambda: case.ask((1100, 700, 0, 0), (900, 600, 1100, 0)) == DONE, "a size")
        case.wait_heads((1100, 700, 0, 0), (900, 600, 1100, 0))


def idle(kind):
    with Case(kind) as case:
        assert case.ask((1000, 700, 0, 0), (900, 600, 1000, 0)) == DONE
        s.settle(15)  # what is bounded after the start has ended by then

        def woken():
            before = case.daemon.wakeups()
            s.settle(4)
            return case.daemon.wakeups() - before
        # A busy machine may add a wait of its own, so any quiet window will do.
        counts = []
        while not counts or (counts[-1] and len(counts) < 5):
            counts.append(woken())
        assert counts[-1] == 0, "wake-ups: %s" % counts
        size = int(case.daemon.stat("VmRSS"))
        print("%s: %d KiB resident" % (kind.name, size))
        if "asan" not in s.BUILD:
            assert size <= 12 << 10, "%d KiB" % size


CASES = [layout, resize, positions, second_head, scale_auto, scale_keep, upright, foreign_change, absurd,
         in_quick_succession, compositor_dies, compositor_hangs, idle]
SWAY_CASES = [without_ipc, unplugged]  # by its IPC


def named(kind, function):
    def case():
        function(kind)
    case.__name__ = "%s_%s" % (kind.name, function.__name__)
    return case


KINDS = [kind for kind in (SWAY, LABWC) if kind.installed()]
if not KINDS:
    print("neither sway nor labwc is installed")
    sys.exit(77)
s.main("displays-wlr", [named(kind, function) for kind in KINDS
                        for function in CASES + (SWAY_CASES if kind is SWAY else [])])
