#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The clipboard on Mutter, GNOME's compositor, between a SPICE client and programs of the desktop."""

import hashlib
import os
import re
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

from gi.repository import GLib

import compositor
import mutter
import sessiond as s
from cliphost import NONE, PNG, TEXT, Host

UTF8 = "text/plain;charset=utf-8"
LARGE = 50 * 1000 * 1000
SANITIZED = "asan" in s.BUILD  # whose memory is not the program's own
GTK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "gtkclip.py")
KEY_LEFTSHIFT = 42
# The X server drops the client that owns PRIMARY.
KILL_PRIMARY = """
import ctypes
x = ctypes.CDLL("libX11.so.6")
x.XOpenDisplay.restype = ctypes.c_void_p
display = ctypes.c_void_p(x.XOpenDisplay(None))
x.XKillClient(display, ctypes.c_ulong(x.XGetSelectionOwner(display, ctypes.c_ulong(1))))
x.XSync(display, 0)
"""

if not compositor.Mutter.installed():
    print("mutter is not installed")
    sys.exit(77)


class Case:
    def __init__(self, config="", session=True, programs=1, **options):
        self.mutter = compositor.Mutter(**options)
        self.bus = compositor.Bus()
        self.agent = s.Agent(self.bus)
        self.daemon = self.mutter.daemon(self.bus, self.mutter.bus if session else None, config=config)
        self.connection = self.mutter.bus.connect()
        if session:
            self.wait_backend("mutter")
            s.until(lambda: self.agent.layouts, "the first layout")
        self.agent.client()
        self.host = Host(self.agent.control.sock)
        self.programs = [mutter.Program(self.mutter) for _ in range(programs)]

    def __enter__(self):
        return self

    def __exit__(self, kind, _value, _trace):
        try:
            if kind:
                print(self.daemon.text()[-3000:])
            self.daemon.stop()
        finally:
            self.host.close()
            self.agent.close()
            self.bus.stop()
            self.mutter.__exit__(kind, None, None)

    def wait_backend(self, start):
        s.until(lambda: (s.property_of(self.connection, "Backends") or {}).get("clipboard", "").startswith(start),
                "backend " + start)


def text():
    with Case() as case:
        program, host = case.programs[0], case.host
        host.grab({TEXT: "from the client: ä€😀\n".encode()})
        program.wait_offer(UTF8)
        for name in program.offered:
            expected = "from the client: ä€😀\n".encode()
            if name == "STRING":
                expected = program.paste(name)
                assert expected.startswith("from the client: ä".encode("latin-1")), expected
            assert program.paste(name) == expected, name
        assert {UTF8, "text/plain", "UTF8_STRING"} <= set(program.offered), program.offered
        for turn in range(3):
            data = b"from a program %d" % turn
            program.copy({UTF8: data})
            host.wait_grab(TEXT)
            assert host.request(TEXT) == (TEXT, data)
            assert host.request(PNG) == (NONE, b"")
            host.grab({TEXT: b"from the client %d" % turn})
            s.until(lambda: not program.ours, "the client's content")
            assert program.paste(UTF8) == b"from the client %d" % turn
        assert not host.grabs, host.grabs
        # A kind of text that says another name.
        program.copy({"UTF8_STRING": b"x", "application/x-own": b"y"})
        host.wait_grab(TEXT)
        assert host.request(TEXT) == (TEXT, b"x")
        rss = int(case.daemon.stat("VmRSS"))
        assert rss <= 12 << 10 or SANITIZED, "%d KiB" % rss


def images():
    with Case() as case:
        program, host = case.programs[0], case.host
        host.grab({PNG: b"\x89PNG host", TEXT: b"alt"})
        program.wait_offer("image/png")
        assert program.paste("image/png") == b"\x89PNG host"
        assert program.paste(UTF8) == b"alt"
        program.copy({"image/png": b"\x89PNG guest", "image/webp": b"no"})
        # With spice-agent-convert, which may be installed, other kinds are offered too.
        s.until(lambda: host.grabs and PNG in host.grabs[-1][1] and TEXT not in host.grabs[-1][1], "a grab with PNG")
        assert host.request(PNG) == (PNG, b"\x89PNG guest")


def types():
    with Case() as case:
        program, host = case.programs[0], case.host
        many = {"application/x-%d" % i: b"" for i in range(1000)}
        many[UTF8] = b"one of many"
        many.update(("application/y-%d" % i, b"") for i in range(1000))
        program.copy(many)
        host.wait_grab(TEXT)
        assert host.request(TEXT) == (TEXT, b"one of many")
        host.events.clear()
        program.copy({"x" * 100000: b"", "a/" + "\u00e4" * 300: b"", "": b""})
        s.until(lambda: host.events == ["release"], "the grab to end")
        assert host.request(TEXT) == (NONE, b"")
        host.grab({})
        host.grab({TEXT: b"again"})
        program.wait_offer(UTF8)
        assert program.paste(UTF8) == b"again"
        assert program.paste("application/x-not-there") == b""


def empty():
    with Case() as case:
        program, host = case.programs[0], case.host
        program.copy({UTF8: b""})
        host.wait_grab(TEXT)
        assert host.request(TEXT) == (NONE, b"")
        host.grab({TEXT: b""})
        program.wait_offer(UTF8)
        assert program.paste(UTF8) == b""


def large():
    with Case() as case:
        program, host = case.programs[0], case.host
        data = os.urandom(LARGE // 2).hex().encode()
        digest = hashlib.sha256(data).digest()
        host.grab({TEXT: data})
        program.wait_offer(UTF8)
        before = int(case.daemon.stat("VmHWM"))
        pasted = hashlib.sha256()
        start = time.monotonic()
        program.paste(UTF8, pasted.update)
        print("50 MB host to guest: %.2f s" % (time.monotonic() - start))
        assert pasted.digest() == digest
        grown = int(case.daemon.stat("VmHWM")) - before
        assert grown <= 4 << 10 or SANITIZED, "grown by %d KiB" % grown
        data = data[::-1]
        digest = hashlib.sha256(data).digest()
        program.copy({UTF8: data})
        host.wait_grab(TEXT)
        start = time.monotonic()
        kind, got = host.request(TEXT)
        print("50 MB guest to host: %.2f s" % (time.monotonic() - start))
        assert kind == TEXT and hashlib.sha256(got).digest() == digest
        peak = int(case.daemon.stat("VmHWM")) - before
        assert peak <= (LARGE >> 10) + (8 << 10) or SANITIZED, "%d KiB for one copy" % peak
        s.until(lambda: int(case.daemon.stat("VmRSS")) - before < 8 << 10 or SANITIZED, "the memory to be free again")
    with Case(config="[clipboard]\nmax-size=1M\n") as case:
        program, host = case.programs[0], case.host
        program.copy({UTF8: data})
        host.wait_grab(TEXT)
        assert host.request(TEXT) == (NONE, b"")
        program.copy({UTF8: data[:1 << 20]})
        host.wait_grab(TEXT)
        assert host.request(TEXT) == (TEXT, data[:1 << 20])


def latency():
    with Case() as case:
        program, host = case.programs[0], case.host
        host.grab({TEXT: b"x" * 1024})
        program.wait_offer(UTF8)
        times = []
        for _ in range(50):
            done = []
            start = time.monotonic()

            def paste():
                with os.fdopen(program.open(UTF8), "rb", buffering=0) as pipe:
                    os.set_blocking(pipe.fileno(), True)
                    while pipe.read(4096):
                        pass
                times.append(time.monotonic() - start)
                done.append(True)
                s.context.wakeup()
            thread = threading.Thread(target=paste)
            thread.start()
            while not done:
                s.context.iteration(True)
            thread.join()
        print("1 KB host to guest, all of it: %.2f ms p50" % (statistics.median(times) * 1000))
        assert statistics.median(times) < 0.1, times


def ping_pong():
    """Mutter's clipboard manager takes over what nobody owns any more."""
    with Case() as case:
        program, host = case.programs[0], case.host
        # What the client gave up is not the guest's, though it can be pasted there on.
        host.grab({TEXT: b"kept"})
        program.wait_offer(UTF8)
        assert program.paste(UTF8) == b"kept"
        changes = program.changes
        host.release()
        s.until(lambda: program.changes >= changes + 2, "the manager to take over")
        s.settle()
        assert not host.events, host.events
        assert program.paste(UTF8) == b"kept"
        # Neither when clients without NO_RELEASE_ON_REGRAB release before each grab.
        for turn in range(5):
            host.release()
            host.grab({TEXT: b"turn %d" % turn})
        s.settle()
        assert not host.events and program.paste(UTF8) == b"turn 4", host.events
        # A program that dies: its content is still there, and the client can have it.
        program.copy({UTF8: b"inherited"})
        host.wait_grab(TEXT)
        asked = len(program.asked)
        s.until(lambda: UTF8 in program.asked[asked - 1:], "the manager to read it")
        s.settle()
        other = mutter.Program(case.mutter)
        host.events.clear()
        program.bus.close_sync(None)
        s.until(lambda: host.events, "the change of owner")
        host.wait_grab(TEXT)
        assert host.request(TEXT) == (TEXT, b"inherited")
        assert host.events in (["release", "grab"], ["grab"]), host.events
        s.settle()
        assert host.events[-1] == "grab" and len(host.events) <= 2, host.events
        # The client copies while the desktop has the content that came from the client before.
        host.grab({TEXT: b"last"})
        changes = other.changes
        s.until(lambda: other.changes > changes, "the client's content")
        assert other.paste(UTF8) == b"last"
        assert not host.grabs, host.grabs


def gtk_program():
    """A program that is an ordinary client of the compositor."""
    with Case() as case:
        program, host = case.programs[0], case.host
        program.start()
        program.press(KEY_LEFTSHIFT)

        def run(*words):
            process = case.mutter.popen(GTK, *words, stdout=subprocess.PIPE, text=True,
                                        env={"GDK_BACKEND": "wayland", "NO_AT_BRIDGE": "1"})
            os.set_blocking(process.stdout.fileno(), False)
            lines = []

            def line():
                lines.extend(process.stdout.readlines())
                assert lines or process.poll() is None, "the program ended with %d" % process.returncode
                return lines and lines.pop(0).rstrip("\n")
            assert s.until(line, "a window with the focus") == "ready"
            program.press(KEY_LEFTSHIFT)
            return process, s.until(line, "the program's clipboard")
        owner, said = run("copy", "from a GTK program ä")
        assert said == "owner", said
        host.wait_grab(TEXT)
        assert host.request(TEXT) == (TEXT, "from a GTK program ä".encode())
        owner.kill()
        host.grab({TEXT: "from the client ö".encode()})
        program.wait_offer(UTF8)
        assert run("paste")[1] == "from the client ö"


def xwayland():
    """Programs of X, and with them the primary selection."""
    with Case() as case:
        host = case.host
        case.mutter.environment.update(case.mutter.x_environment())

        def xclip(*words, **options):
            return case.mutter.run("xclip", "-selection", *words, **options)
        xclip("clipboard", input="from X")
        host.wait_grab(TEXT)
        assert host.request(TEXT) == (TEXT, b"from X")
        s.until(lambda: s.property_of(case.connection, "Backends")["clipboard"] == "mutter, primary: x11", "PRIMARY")
        xclip("primary", input="selected in X")
        host.wait_grab(TEXT, selection=1)
        assert host.request(TEXT, 1) == (TEXT, b"selected in X")
        host.grab({TEXT: b"for X"})
        case.programs[0].wait_offer(UTF8)
        # XWayland follows in its own time.
        s.until(lambda: xclip("clipboard", "-o", "-target", "UTF8_STRING", check=False) == "for X", "CLIPBOARD in X")
        host.grab({TEXT: b"selected for X"}, 1)
        s.until(lambda: xclip("primary", "-o", "-target", "UTF8_STRING", check=False) == "selected for X", "PRIMARY")
        # The connection to XWayland ends, as when that does, which has no part in CLIPBOARD. When it is there again
        # the next thing that happens brings PRIMARY back.
        case.mutter.run(sys.executable, "-c", KILL_PRIMARY)
        s.until(lambda: s.property_of(case.connection, "Backends")["clipboard"] == "mutter, primary: none", "its end")
        s.settle(1)
        case.programs[0].copy({UTF8: b"without X"})
        host.wait_grab(TEXT)
        assert host.request(TEXT) == (TEXT, b"without X")
        s.until(lambda: s.property_of(case.connection, "Backends")["clipboard"] == "mutter, primary: x11", "PRIMARY")
    with Case(config="[clipboard]\nprimary=false\n") as case:
        case.mutter.environment.update(case.mutter.x_environment())
        case.mutter.run("xclip", "-selection", "clipboard", input="x")
        case.host.wait_grab(TEXT)
        assert s.property_of(case.connection, "Backends")["clipboard"] == "mutter, primary: none"


def many_changes():
    with Case(programs=2) as case:
        one, two = case.programs
        before = int(case.daemon.stat("VmRSS"))
        for turn in range(5000):
            for program in (one, two):
                program.content = {UTF8: b"%d" % turn}
                options = {"mime-types": GLib.Variant("as", [UTF8])}
                program.call(program.path, mutter.REMOTE_SESSION, "SetSelection", GLib.Variant("(a{sv})", (options,)))
            if turn % 500 == 0:
                case.host.grab({TEXT: b"client"})
        one.copy({UTF8: b"the last"})
        s.until(lambda: case.host.grabs, "grabs")
        s.settle(1)
        assert case.host.request(TEXT) == (TEXT, b"the last")
        grown = int(case.daemon.stat("VmRSS")) - before
        assert grown <= 4 << 10 or SANITIZED, "grown by %d KiB" % grown


def silent_source():
    """A program that offers and never writes; another request meanwhile, and the next content after it."""
    with Case(config="[clipboard]\ntimeout-ms=500\n") as case:
        program, host = case.programs[0], case.host
        held = []
        program.copy({UTF8: held.append, "image/png": held.append})
        s.until(lambda: host.grabs and {TEXT, PNG} <= set(host.grabs[-1][1]), "a grab of both")
        start = time.monotonic()
        host.send(s.message(s.REQUEST, struct.pack("<B3xI", 0, PNG)))
        assert host.request(TEXT)[0] == NONE
        s.until(lambda: len(host.answers) == 2, "both answers")
        assert time.monotonic() - start < 5, time.monotonic() - start
        assert "was silent for 500 ms" in case.daemon.text()
        program.copy({UTF8: b"next"})
        host.wait_grab(TEXT)
        assert host.request(TEXT) == (TEXT, b"next")
        for fd in held:
            os.close(fd)


def reader_stops():
    """A program that pastes and never reads, one that stops in the middle, and one that reads all meanwhile."""
    with Case(config="[clipboard]\ntimeout-ms=500\n", programs=3) as case:
        never, stops, reads = case.programs
        data = b"0123456789abcdef" * (1 << 16)
        case.host.grab({TEXT: data})
        reads.wait_offer(UTF8)
        idle = never.open(UTF8)
        short = stops.open(UTF8)
        s.until(lambda: select.select([short], [], [], 0)[0], "a beginning")
        assert os.read(short, 10) == data[:10]
        os.close(short)
        assert reads.paste(UTF8) == data
        case.daemon.wait_log("stopped reading in the middle of a paste")
        os.close(idle)
        assert stops.paste(UTF8) == data
        # The client falls silent: who pastes is told so by the end of the pipe.
        case.host.grab({TEXT: None})
        s.until(lambda: case.host.asked and reads.changes, "a request")
        assert reads.paste(UTF8) == b""


def no_start():
    """Nothing of a remote session is started: Mutter would ask the user, and show a sign."""
    with Case() as case:
        case.mutter.kill()
        case.wait_backend("none")
        with tempfile.TemporaryFile("w+") as log, subprocess.Popen(
                ["dbus-monitor", "--address", case.mutter.bus.address, "type='method_call'"], stdout=log) as monitor:
            def calls():
                log.seek(0)
                return re.findall(r"interface=(\S+); member=(\w+)", log.read())
            s.until(lambda: calls() or case.mutter.has_name("org.example"), "the monitor")  # it sees these calls
            case.mutter.start()
            case.wait_backend("mutter")
            case.host.grab({TEXT: b"text"})
            s.until(lambda: (mutter.REMOTE_SESSION, "SelectionWriteDone") in calls(), "Mutter to read it")
            monitor.kill()
            found = calls()
        members = {member for interface, member in found if interface.startswith(mutter.REMOTE)}
        assert members == {"CreateSession", "EnableClipboard", "SetSelection", "SelectionWrite",
                           "SelectionWriteDone"}, members
        assert not [interface for interface, _ in found if "ScreenCast" in interface], found


def compositor_dies():
    with Case() as case:
        case.host.grab({TEXT: b"x" * 1000000})
        case.programs[0].wait_offer(UTF8)
        fd = case.programs[0].open(UTF8)
        case.mutter.kill()
        os.close(fd)
        case.programs[0].close()  # which has a session of that name again
        case.daemon.wait_log("the compositor went away")
        case.wait_backend("none")
        case.mutter.start()
        case.wait_backend("mutter")
        program = mutter.Program(case.mutter)
        # The host's content is there again.
        program.wait_offer(UTF8)
        assert program.paste(UTF8) == b"x" * 1000000
        program.copy({UTF8: b"after"})
        case.host.wait_grab(TEXT)
        answer = case.host.request(TEXT)
        assert answer == (TEXT, b"after"), (answer, case.host.events, case.host.grabs)


def service_vanishes():
    """The compositor stays, but its service is taken from the bus, or never comes: a bus without it."""
    other = compositor.Bus()
    with Case(session=False) as case:
        case.daemon.wait_log("no clipboard: the compositor has it on the session bus, which cannot be reached")
        case.programs[0].copy({UTF8: b"nobody hears"})
        s.settle()
        assert not case.host.events
    with compositor.Mutter() as running:
        system = compositor.Bus()
        agent = s.Agent(system)
        daemon = running.daemon(system, other)
        agent.client()
        daemon.wait_log("no clipboard: org.gnome.Mutter.RemoteDesktop is not on the session bus")
        daemon.stop()
        system.stop()
    other.stop()


s.main("clipboard-mutter", [text, images, types, empty, large, latency, ping_pong, gtk_program, xwayland, many_changes,
                            silent_source, reader_stops, no_start, compositor_dies, service_vanishes])
