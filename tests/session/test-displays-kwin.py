#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Displays on KWin, KDE's compositor: what a client asks for, what others change, and what is reported.

No desktop file names the daemon here, so KWin gives it its outputs without one.
"""

import json
import os
import signal
import struct
import sys

import compositor
import displaycase
import sessiond as s
import waylandinfo
from displaycase import DONE, FAILED

WIDTH, HEIGHT = SIZE = 1280, 800
SIDE_BY_SIDE = (*SIZE, 0, 0), (*SIZE, WIDTH, 0)
ROTATIONS = {1: 0, 2: 1, 4: 2, 8: 3}  # of KScreen, as numbers of wl_output.transform

if not compositor.KWin.installed():
    print("kwin_wayland is not installed")
    sys.exit(77)


class Case(displaycase.Case):
    def __init__(self, outputs=2, **options):
        super().__init__(compositor.KWin(outputs, SIZE), **options)

    def doctor(self, *words):
        """kscreen-doctor, which is KDE's own."""
        return self.desktop.run("env", "QT_QPA_PLATFORM=wayland", "KSCREEN_BACKEND_INPROCESS=1", "kscreen-doctor",
                                *words)

    def makes_modes(self):
        offered = waylandinfo.interfaces(self.desktop.environment)
        return offered["kde_output_management_v2"] >= 18


def kscreen(case):
    """The outputs as KScreen has them, in the form of a layout. It is not believed about which ones are on."""
    found = []
    on = [output[0] for output in case.outputs()]
    for output in json.loads(case.doctor("-j"))["outputs"]:
        mode = next(mode["size"] for mode in output["modes"] if mode["id"] == output["currentModeId"])
        w, h = mode["width"], mode["height"]
        transform = ROTATIONS[output["rotation"]]
        across, down = (h, w) if transform % 2 else (w, h)
        if output["name"] in on:
            found.append((output["name"], w, h, output["pos"]["x"], output["pos"]["y"],
                          round(across / output["scale"]), round(down / output["scale"]), transform))
    return sorted(found)


def layout():
    with Case() as case:
        for cap in (s.CAP_MONITORS, s.CAP_SPARSE, s.CAP_POSITION, s.CAP_REPLY):
            assert case.caps >> cap & 1, bin(case.caps)
        case.same()
        assert case.agent.layouts[-1] == [("Virtual-0", *SIZE, 0, 0, *SIZE, 0),
                                          ("Virtual-1", *SIZE, WIDTH, 0, *SIZE, 0)]
        assert kscreen(case) == case.agent.layouts[-1]
        for scale in 1, 1.25, 1.5, 2:
            for turn in "none", "left":
                case.doctor("output.Virtual-0.scale.%s" % scale, "output.Virtual-0.rotation." + turn)
                # Two changes may come one by one, so what is waited for is what both make.
                across, down = (WIDTH, HEIGHT) if turn == "none" else (HEIGHT, WIDTH)
                expected = round(across / scale), round(down / scale), int(turn == "left")
                s.until(lambda want=expected: case.agent.layouts[-1][0][5:] == want, "%s at %s" % (turn, scale))
                case.same()
                assert kscreen(case) == case.agent.layouts[-1], (kscreen(case), case.agent.layouts[-1])


def positions():
    with Case() as case:
        # Below, and left of and above: all begins at 0,0.
        assert case.ask((*SIZE, 0, 0), (*SIZE, 100, HEIGHT)) == DONE
        assert case.heads() == [(*SIZE, 0, 0), (*SIZE, 100, HEIGHT)], case.heads()
        assert case.ask((*SIZE, 0, 0), (*SIZE, -WIDTH, -100)) == DONE
        assert case.heads() == [(*SIZE, WIDTH, 100), (*SIZE, 0, 0)], case.heads()
        case.same()
        assert kscreen(case) == case.agent.layouts[-1]
        # What overlaps is placed side by side, and so is what has no positions.
        assert case.ask((*SIZE, 100, 0), (*SIZE, 0, 0)) == DONE
        assert case.heads() == [(*SIZE, WIDTH, 0), (*SIZE, 0, 0)], case.heads()
        assert case.ask((*SIZE, 7, 7), (*SIZE, 7, 7), flags=0) == DONE
        assert case.heads() == list(SIDE_BY_SIDE), case.heads()
        case.same()
        # Asked again: nothing is done, and so no event comes.
        count = len(case.agent.layouts)
        assert case.ask(*SIDE_BY_SIDE) == DONE
        s.settle()
        assert case.agent.layouts[count:] == case.agent.layouts[-1:] * (len(case.agent.layouts) - count)


def second_output():
    with Case() as case:
        assert case.ask(SIDE_BY_SIDE[0]) == DONE
        assert case.heads() == [SIDE_BY_SIDE[0]], case.heads()
        case.same()
        assert case.ask(*SIDE_BY_SIDE) == DONE
        assert case.heads() == list(SIDE_BY_SIDE), case.heads()
        case.same()
        # The first one off: the other moves to the origin, and keeps its number.
        assert case.ask((0, 0, 0, 0), (*SIZE, WIDTH, 0)) == DONE
        assert [output[:5] for output in case.outputs()] == [("Virtual-1", *SIZE, 0, 0)], case.outputs()
        case.same()
        # What is off without our doing stays off, also for one of us that has just been started.
        case.daemon.stop()
        case.daemon = case.desktop.daemon(case.bus)
        case.agent.control = case.agent.files = None
        case.agent.client()
        s.settle(0.8)
        assert case.heads() == [(*SIZE, 0, 0)], case.outputs()
        assert case.ask(*SIDE_BY_SIDE) == DONE
        assert case.heads() == list(SIDE_BY_SIDE), case.heads()


def sizes():
    with Case() as case:
        if not case.makes_modes():
            assert case.ask((1000, 704, 0, 0), (*SIZE, 1000, 0)) == FAILED
            assert "monitors refused: Virtual-0 offers no mode of 1000x704" in case.daemon.text()
            # One that is not to be had is none: the other is not moved either.
            assert case.ask((*SIZE, 0, HEIGHT), (1000, 704, 0, 0)) == FAILED
            assert "monitors refused: Virtual-1 offers no mode of 1000x704" in case.daemon.text()
            assert case.heads() == list(SIDE_BY_SIDE), case.heads()
            return
        for w, h in [(1000, 704), (800, 601), (1920, 1080), (640, 480), (1504, 903), SIZE]:
            assert case.ask((w, h, 0, 0), (1024, 768, w, 0)) == DONE
            assert case.heads() == [(w, h, 0, 0), (1024, 768, w, 0)], case.heads()
            case.same()
        # Widths are multiples of 8, but for a usual one; both at once.
        assert case.ask((1500, 900, 0, 0), (801, 602, 1500, 0)) == DONE
        assert [head[:2] for head in case.heads()] == [(1496, 900), (800, 602)], case.heads()
        case.same()
        assert case.ask((1366, 768, 0, 0), (800, 602, 1366, 0)) == DONE
        assert [head[:2] for head in case.heads()] == [(1366, 768), (800, 602)], case.heads()
        case.same()
        # Each size is a mode more, but not for ever.
        for i in range(12):
            assert case.ask((800 + 8 * i, 600, 0, 0), (1024, 768, 800 + 8 * i, 0)) == DONE
        modes = {output["name"]: len(output["modes"]) for output in json.loads(case.doctor("-j"))["outputs"]}
        assert modes["Virtual-0"] <= 9 and modes["Virtual-1"] <= 9, modes


def in_quick_succession():
    with Case() as case:
        places = [(100 * i, HEIGHT) for i in range(20)]
        case.agent.control.send(b"".join(displaycase.monitors((*SIZE, 0, 0), (*SIZE, x, y)) for x, y in places))
        assert [case.reply() for _ in places] == [DONE] * len(places)
        assert case.heads() == [(*SIZE, 0, 0), (*SIZE, *places[-1])], case.heads()
        case.same()


def physical_size():
    with Case() as case:
        # 1280 pixels on 169 mm are 192 dots per inch, on 339 mm 96.
        assert case.ask(*SIDE_BY_SIDE, sizes=[(169, 106), (339, 212)]) == DONE
        assert [output[3:7] for output in case.outputs()] == [
            (0, 0, WIDTH // 2, HEIGHT // 2), (WIDTH // 2, 0, *SIZE)], case.outputs()
        case.same()
        # 569 is what 568.9 becomes.
        assert case.ask(*SIDE_BY_SIDE, sizes=[(150, 94), (339, 212)]) == DONE
        assert [output[3:7] for output in case.outputs()] == [(0, 0, 569, 356), (569, 0, *SIZE)], case.outputs()
        case.same()
        # A size that no monitor has: the scale remains.
        assert case.ask(*SIDE_BY_SIDE, sizes=[(3, 2), (339, 212)]) == DONE
        assert case.outputs()[0][5:7] == (569, 356), case.outputs()
    with Case(config="[displays]\nscale=keep\n") as case:
        case.doctor("output.Virtual-0.scale.1.5")
        assert case.ask(*SIDE_BY_SIDE, sizes=[(169, 106), (339, 212)]) == DONE
        assert [output[5] for output in case.outputs()] == [round(WIDTH / 1.5), WIDTH], case.outputs()
        case.same()


def upright():
    """What somebody has turned is turned back by what the client asks for, as its monitors stand upright."""
    with Case() as case:
        case.doctor("output.Virtual-0.rotation.left", "output.Virtual-1.rotation.inverted")
        s.until(lambda: [output[7] for output in case.agent.layouts[-1]] == [1, 2], "the turned outputs")
        assert case.ask(*SIDE_BY_SIDE) == DONE
        assert [output[1:] for output in case.outputs()] == [(*SIZE, 0, 0, *SIZE, 0), (*SIZE, WIDTH, 0, *SIZE, 0)]
        case.same()


def foreign_change():
    """What somebody else sets is reported and left alone."""
    with Case() as case:
        case.doctor("output.Virtual-1.position.200,%d" % HEIGHT)
        s.until(lambda: case.agent.layouts[-1][1][3:5] == (200, HEIGHT), "the new place")
        case.doctor("output.Virtual-1.scale.1.25")
        s.until(lambda: case.agent.layouts[-1][1][5] == 1024, "the new scale")
        s.settle(0.6)
        assert case.heads() == [(*SIZE, 0, 0), (*SIZE, 200, HEIGHT)], case.heads()
        case.same()


def absurd():
    with Case() as case:
        before = case.heads()
        for heads in [(0, 0, 0, 0)], [(0, 768, 0, 0)], []:
            assert case.ask(*heads) == FAILED
        case.agent.control.send(s.message(s.MONITORS_CONFIG, struct.pack("<II", 0xffffffff, 0)))
        case.agent.control.send(s.message(s.MONITORS_CONFIG, struct.pack("<II", 17, 0) + b"\1" * 17 * 20))
        assert case.ask((65535, 65535, 0, 0)) == FAILED
        assert case.ask((0xffffffff, 1, 0, 0)) == FAILED
        assert case.heads() == before
        # More monitors than outputs, and far away.
        assert case.ask(*SIDE_BY_SIDE, (*SIZE, 2 * WIDTH, 0)) == DONE
        assert case.ask((*SIZE, 2147483647, -2147483648), (*SIZE, -2147483648, 2147483647)) == DONE
        assert case.heads() == [(*SIZE, WIDTH, 0), (*SIZE, 0, 0)], case.heads()
        case.same()


def compositor_dies():
    with Case() as case:
        os.kill(case.desktop.process.pid, signal.SIGSTOP)
        case.send((*SIZE, 0, 0), (*SIZE, 0, HEIGHT))
        case.send((*SIZE, 0, 0), (*SIZE, 100, HEIGHT))
        s.settle()
        case.desktop.kill()
        assert [case.reply(), case.reply()] == [FAILED, FAILED]
        s.until(lambda: not struct.unpack_from("<II", case.agent.control.take(s.ANNOUNCE))[1] >> s.CAP_MONITORS & 1,
                "that displays cannot be changed")
        assert case.daemon.process.poll() is None
        # It comes back, and so do we.
        case.desktop.start()
        s.until(lambda: case.ask((*SIZE, 0, 0), (*SIZE, 0, HEIGHT)) == DONE, "a layout of the new one")
        assert case.heads() == [(*SIZE, 0, 0), (*SIZE, 0, HEIGHT)], case.heads()


def compositor_hangs():
    """A client gets its answer all the same, and what is asked once it goes on is done."""
    with Case() as case:
        os.kill(case.desktop.process.pid, signal.SIGSTOP)
        assert case.ask((*SIZE, 0, 0), (*SIZE, 0, HEIGHT)) == FAILED
        assert "monitors refused: the compositor does not answer" in case.daemon.text()
        os.kill(case.desktop.process.pid, signal.SIGCONT)
        assert case.ask((*SIZE, 0, 0), (*SIZE, 100, HEIGHT)) == DONE
        assert case.heads() == [(*SIZE, 0, 0), (*SIZE, 100, HEIGHT)], case.heads()


def idle():
    with Case() as case:
        assert case.ask((*SIZE, 0, 0), (*SIZE, 0, HEIGHT)) == DONE
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
        print("%d KiB resident" % size)
        if "asan" not in s.BUILD:
            assert size <= 12 << 10, "%d KiB" % size


s.main("displays-kwin", [layout, positions, second_output, sizes, in_quick_succession, physical_size, upright,
                         foreign_change, absurd, compositor_dies, compositor_hangs, idle])
