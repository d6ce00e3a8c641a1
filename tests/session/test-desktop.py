#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which desktop the daemon finds by itself, with real compositors: sockets, sessions, crashes, and what is no good."""

import fcntl
import glob
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

from gi.repository import GLib

import compositor
import sessiond as s
from standins import Case, free_display

CGROUPS = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
# As on a real machine, no other test has sessions of these names.
ONE, TWO, THREE, FIVE = ("%d0%d" % (os.getpid(), number) for number in (1, 2, 3, 5))
HEADLESS = {"WLR_BACKENDS": "headless", "WLR_RENDERER": "pixman", "WLR_LIBINPUT_NO_DEVICES": "1"}


class Desktop(Case):
    """A user with a runtime directory, in which compositors come and go."""

    def __init__(self, logind=((ONE, True, "wayland"),), sway=True, kind=compositor.Sway, **options):
        super().__init__(logind=logind, bus=compositor.Bus, uid=compositor.USER)
        self.agent.active = ONE
        self.sway = kind(**options)
        self.runtime = self.sway.environment["XDG_RUNTIME_DIR"]
        self.scopes = []
        if not sway:
            self.sway.kill()

    def start(self, bus=True, wait=True, **env):
        """As its user unit starts it: the environment says nothing of desktops."""
        variables = {"XDG_RUNTIME_DIR": self.runtime, "HOME": self.sway.environment["HOME"]}
        variables.update(env)
        self.daemon = s.Daemon(self.system, self.user if bus else None, logind=None, env=variables,
                               user=compositor.USER if compositor.ROOT else None)
        if wait:
            self.expect("Session", ONE)

    def another(self, name, **variables):
        """One more sway in the same runtime directory, as soon as it has the socket of this name."""
        path = os.path.join(self.directory(), "other")
        with open(path, "w", encoding="utf-8") as file:
            file.write("xwayland disable\n")
        process = self.sway.popen("sway", "-c", path, stderr=subprocess.DEVNULL,
                                  env=dict(HEADLESS, **dict({"WAYLAND_DISPLAY": ""}, **variables)))
        s.until(lambda: listens(self.path(name)), "the other compositor at " + name)
        return process

    def directory(self):
        return self.sway.directory

    def path(self, name):
        return os.path.join(self.runtime, name)

    def scope(self, session, *processes):
        """Have processes belong to a session, as logind has it."""
        for top in CGROUPS:
            path = os.path.join(top, "session-%s.scope" % session)
            try:
                os.makedirs(path, exist_ok=True)
                for process in processes:
                    with open(os.path.join(path, "cgroup.procs"), "w", encoding="utf-8") as file:
                        file.write(str(process.pid))
            except OSError:
                continue
            self.scopes.append(path)
            return
        print("control groups cannot be made here")
        sys.exit(77)

    def served(self, name):
        self.expect("Display", self.path(name) if name else "")

    def never(self, *names):
        """None of these is served now, nor a moment later."""
        s.settle(0.7)
        assert self.get("Display") not in [self.path(name) for name in names], self.get("Display")

    def __exit__(self, kind, value, trace):
        try:
            super().__exit__(kind, value, trace)
        finally:
            if kind:
                self.sway.fail_log()
            self.sway.stop()
            for path in set(self.scopes):
                s.until(lambda path=path: end(path), "an empty " + path)
            shutil.rmtree(self.directory(), ignore_errors=True)


def end(scope):
    """Kill what is left in it, as an XWayland that was just starting."""
    for pid in lines_of(os.path.join(scope, "cgroup.procs")):
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            pass
    try:
        os.rmdir(scope)
    except OSError:
        return not os.path.exists(scope)
    return True


def lines_of(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []


def listens(path):
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


class Listener:
    """A socket of the same user behind which nobody speaks Wayland: it hangs, or hangs up."""

    def __init__(self, case, name, hangs=True, user=compositor.USER):
        self.path = case.path(name) if "/" not in name else name
        code = """if True:
            import os, socket, sys
            s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(64); print("ready", flush=True)
            while True:
                if sys.argv[2] == "True": sys.stdin.read()
                s.accept()[0].close()"""
        options = {"user": user, "group": user} if compositor.ROOT else {}
        self.process = subprocess.Popen([sys.executable, "-c", code, self.path, str(hangs)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
        case.others.append(self.process)
        assert self.process.stdout.readline() == "ready\n"


def finds_a_compositor_that_comes_later():
    with Desktop(sway=False) as case:
        case.start()
        s.settle(0.5)
        assert os.path.exists(case.path("wayland-1")), "a stale socket"
        assert case.get("Display") == "" and case.get("Compositor") == {}
        case.sway.start()
        case.served("wayland-1")
        s.until(lambda: "globals" in case.get("Compositor"), "the globals")
        known = case.get("Compositor")
        assert known["program"] == "sway" and known["socket"] == case.path("wayland-1"), known
        assert known["globals"]["wl_compositor"] >= 4, known
        assert set(case.get("Backends")) == {"clipboard", "displays", "layout", "files"}


def finds_a_compositor_that_is_there():
    with Desktop() as case:
        case.start()
        case.served("wayland-1")
        assert "X display" not in case.daemon.text()


def idles_with_a_compositor():
    with Desktop() as case:
        case.start()
        case.agent.client()
        case.served("wayland-1")
        s.settle(2)
        before = case.daemon.wakeups()
        s.settle(5)
        assert case.daemon.wakeups() == before, case.daemon.wakeups() - before
        with open("/proc/%d/maps" % case.daemon.process.pid, encoding="utf-8") as file:
            limit = 64 if "libasan" in file.read() else 12
        assert int(case.daemon.stat("VmRSS")) <= limit << 10, case.daemon.stat("VmRSS")


def announced(case):
    """The capabilities that the daemon announces next."""
    return struct.unpack_from("<II", case.agent.control.take(s.ANNOUNCE))[1]


def announces_what_works_now():
    monitors = 1 << s.CAP_MONITORS | 1 << s.CAP_SPARSE | 1 << s.CAP_POSITION
    with Desktop(sway=False) as case:
        case.start()
        assert case.agent.client() & monitors == 0
        for _ in range(2):
            case.sway.start()
            assert announced(case) & monitors == monitors
            assert case.get("Backends")["displays"] == case.get("Backends")["layout"] == "wlr", case.get("Backends")
            case.sway.kill()
            assert announced(case) & monitors == 0
            assert case.get("Backends")["displays"].startswith("none: ")


def weston_has_a_layout_alone():
    with Desktop(kind=compositor.Weston) as case:
        case.start()
        s.until(lambda: case.get("Outputs"), "the layout")
        assert case.agent.client() & 1 << s.CAP_MONITORS == 0
        assert case.get("Backends") == {
            "clipboard": "none: the compositor has no clipboard protocol",
            "displays": "none: the compositor has no protocol to change outputs", "layout": "outputs",
            "files": "directory"}, case.get("Backends")
        assert case.get("Compositor")["program"] == "weston"
        assert case.agent.layouts[-1] == case.get("Outputs")
        assert case.get("Outputs")[0][1:] == (1280, 800, 0, 0, 1280, 800, 0), case.get("Outputs")


def layout_reaches_the_system_daemon():
    """Before the pointer can be moved again: each change by itself, and the last one in the end."""
    with Desktop(outputs=2) as case:
        case.start()
        s.until(lambda: case.agent.layouts and len(case.agent.layouts[-1]) == 2, "the layout of two outputs")
        name = case.agent.layouts[-1][0][0]
        delays = []
        for scale in 2, 1, 2, 1, 2:
            case.sway.run("swaymsg", "output", name, "scale", str(scale))
            begin = time.monotonic()
            expected = (name, 1280, 800, 0, 0, 1280 // scale, 800 // scale, 0)
            s.until(lambda: expected in case.agent.layouts[-1], "scale %d" % scale)
            delays.append(time.monotonic() - begin)
        assert sorted(delays)[len(delays) // 2] < 0.2, delays
        case.sway.run("swaymsg", "output", name, "transform", "90", "scale", "1")
        # Sway turns clockwise, wl_output.transform the other way round.
        s.until(lambda: (name, 1280, 800, 0, 0, 800, 1280, 3) in case.agent.layouts[-1], "the transform")
        case.sway.run("swaymsg", "create_output")
        s.until(lambda: len(case.agent.layouts[-1]) == 3, "one output more")
        assert case.get("Outputs") == case.agent.layouts[-1]


def comes_back_after_a_crash():
    with Desktop() as case:
        case.start()
        case.served("wayland-1")
        case.sway.kill()
        case.served("")
        case.sway.start()
        case.served("wayland-1")
        # The name may be another than before.
        case.sway.kill()
        case.served("")
        with open(case.path("wayland-1.lock"), "a", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            case.sway.start()
        case.served("wayland-2")
        assert case.get("Compositor")["socket"] == case.path("wayland-2")


def a_nested_compositor_does_not_win():
    with Desktop() as case:
        case.another("wayland-2", WAYLAND_DISPLAY="wayland-1")
        # Its socket is the older one, and somebody says that it is the desktop.
        os.utime(case.path("wayland-2"), ns=(0, 0))
        case.start(WAYLAND_DISPLAY="wayland-2")
        case.served("wayland-1")
        case.never("wayland-2")
        # One that does not answer still is the outer one; and the inner one alone is better than none.
        os.kill(case.sway.process.pid, signal.SIGSTOP)
        case.daemon.stop()
        case.start()
        case.daemon.wait_log("does not answer")
        case.never("wayland-2")
        os.kill(case.sway.process.pid, signal.SIGCONT)
        s.until(lambda: "globals" in case.get("Compositor"), "the answer")
        case.served("wayland-1")
        case.sway.kill()
        case.served("wayland-2")


def a_better_one_takes_over():
    """A kiosk inside of an X desktop is served as long as nobody has said where that is."""
    number = free_display()
    with Desktop(logind=[(ONE, True, "tty")], sway=False) as case:
        case.server(number)
        s.until(lambda: listens("/tmp/.X11-unix/X%d" % number), "the X server")
        case.another("wayland-1", DISPLAY=":%d" % number)
        case.start()
        case.served("wayland-1")
        case.attach(DISPLAY=":%d" % number)
        case.expect("Display", ":%d" % number)
        assert case.get("Compositor") == {}


def users_sessions_have_their_own():
    with Desktop(logind=[(ONE, True, "wayland"), (TWO, False, "wayland")]) as case:
        other = case.another("wayland-2")
        case.scope(ONE, case.sway.process)
        case.scope(TWO, other)
        case.start()
        case.served("wayland-1")
        for _ in range(2):
            case.logind.activate(TWO)
            case.expect("Session", TWO)
            case.served("wayland-2")
            case.logind.activate(ONE)
            case.expect("Session", ONE)
            case.served("wayland-1")
        # Without one of its own it does not take another's.
        case.sway.kill()
        case.served("")
        case.never("wayland-2")


def managers_compositors_come_after_the_sessions_own():
    with Desktop(logind=[(ONE, True, "tty")]) as case:
        case.start()
        case.served("wayland-1")  # in no session, as GNOME's, KDE's and UWSM's
        own = case.another("wayland-2")
        case.scope(ONE, own)
        s.settle(0.5)
        assert case.get("Display") == case.path("wayland-1")
        case.logind.sessions[ONE][2].change(Type=GLib.Variant("s", "wayland"))  # as compositors do
        case.served("wayland-2")
        own.kill()
        case.served("wayland-1")
        # A session that is a compositor's has it, not a text console.
        case.logind.add(TWO, False, "tty")
        case.logind.activate(TWO)
        case.expect("Session", TWO)
        case.never("wayland-1")
        # Nor the other one that somebody speaks for.
        case.logind.add(THREE, False, "wayland")
        case.attach(WAYLAND_DISPLAY="wayland-1", XDG_SESSION_ID=ONE)
        case.logind.activate(THREE)
        case.expect("Session", THREE)
        case.never("wayland-1")
        case.logind.activate(ONE)
        case.served("wayland-1")


def sessions_without_a_seat_show_on_the_users_seat():
    """By ssh, with seatd: what is seen is the user's active session on the seat, if there is one."""
    with Desktop(logind=[(FIVE, True, "tty", "", None, "")]) as case:
        case.scope(FIVE, case.sway.process)
        case.start(wait=False, XDG_SESSION_ID=FIVE, WAYLAND_DISPLAY="wayland-1")
        s.until(lambda: case.get("Session") is not None, "the daemon")
        case.never("wayland-1")
        assert case.get("Session") == ""
        case.logind.add(ONE, True, "tty")
        case.expect("Session", ONE)
        case.served("wayland-1")


def x_desktops_stay_x_desktops():
    with Desktop(logind=[(ONE, True, "x11", ":77")], xwayland=True) as case:
        xwayland = case.sway.environment["DISPLAY"]
        case.start(DISPLAY=xwayland, WAYLAND_DISPLAY="wayland-1")
        case.never("wayland-1")
        assert case.get("Display") == "" and "trying" not in case.daemon.text()
        # Nor is it one for a session of any type, while the compositor is.
        case.logind.sessions[ONE][2].change(Type=GLib.Variant("s", "tty"))
        case.served("wayland-1")
        assert "trying X display" not in case.daemon.text()
        case.sway.kill()
        case.served("")


def xwayland_runs(display):
    return any(words[0].endswith("Xwayland") and words[1:2] == [display] for words in
               (lines[0].split("\0") for lines in map(lines_of, glob.glob("/proc/[0-9]*/cmdline")) if lines))


def asleep(case):
    """The display of an XWayland that is not started yet; None when it is, as some of sway's are at once."""
    pid = str(case.sway.process.pid)
    display = next(":" + path[7:-5] for path in glob.glob("/tmp/.X*-lock")
                   if [line.strip(" \0") for line in lines_of(path)] == [pid])
    s.settle(0.3)
    return None if xwayland_runs(display) else display


def leaves_xwayland_asleep():
    """Whoever connects to its display starts it."""
    with Desktop(logind=[(ONE, True, "tty")], config="xwayland enable") as case:
        display = asleep(case)
        while not display:
            case.sway.kill()
            case.sway.start()
            display = asleep(case)
        case.scope(ONE, case.sway.process)
        case.start()
        case.served("wayland-1")
        case.logind.sessions[ONE][2].change(Type=GLib.Variant("s", "x11"))
        case.attach(DISPLAY=display)
        s.settle(1)
        assert not xwayland_runs(display)
        assert listens("/tmp/.X11-unix/X" + display[1:])
        s.until(lambda: xwayland_runs(display), "XWayland")


def takes_hints_and_the_managers_word():
    with Desktop() as case:
        place = os.path.join(case.directory(), "elsewhere")
        os.rename(case.path("wayland-1"), place)
        case.start()
        case.never("wayland-1")
        case.attach(WAYLAND_DISPLAY=place, XDG_SESSION_ID=TWO)
        case.never("wayland-1")
        assert case.get("Display") == "", "another session's"
        case.attach(WAYLAND_DISPLAY=place, XDG_SESSION_ID=ONE)
        case.expect("Display", place)
        case.sway.kill()
        case.expect("Display", "")
        # A name of its own, in the usual directory.
        case.sway.start()
        case.served("wayland-1")
        case.daemon.stop()
        os.rename(case.path("wayland-1"), case.path("desktop"))
        case.manager("A=B", "WAYLAND_DISPLAY=desktop", "DISPLAY=:9")
        case.start()
        case.served("desktop")


def goes_past_what_is_no_compositor():
    with Desktop() as case:
        silent, rude = Listener(case, "wayland-0"), Listener(case, "wayland-00", hangs=False)
        other = Listener(case, "wayland-1-wallpaper..sock")
        for number, listener in enumerate((other, silent, rude)):
            os.utime(listener.path, ns=(number, number))
        for name in "wayland-7", "wayland-8.lock":
            with open(case.path(name), "w", encoding="utf-8"):
                pass
        case.start()
        case.served("wayland-0")
        case.daemon.wait_log("does not answer")
        case.served("wayland-1")
        s.until(lambda: "globals" in case.get("Compositor"), "the globals")
        assert "wallpaper" not in case.daemon.text()
        # With nothing better it is waited for.
        case.sway.kill()
        rude.process.kill()
        case.served("wayland-0")
        case.daemon.wait_log("does not answer", 2)
        case.sway.start()
        case.served("wayland-1")


def one_that_hangs_up_is_not_tried_without_end():
    with Desktop(sway=False) as case:
        Listener(case, "wayland-0", hangs=False)
        case.start()
        s.settle(4)
        tries = case.daemon.text().count("serving the compositor")
        assert 2 <= tries <= 8, tries


def refuses_sockets_of_others():
    with Desktop(sway=False) as case:
        if not compositor.ROOT:
            return
        os.chmod(case.directory(), 0o711)
        os.chmod(case.runtime, 0o777)
        Listener(case, "wayland-0", user=65533)
        case.start()
        os.chmod(case.path("wayland-0"), 0o777)
        case.daemon.wait_log("is another user's")
        case.never("wayland-0")


def works_without_a_session_bus():
    with Desktop() as case:
        case.start(bus=False, wait=False)
        case.daemon.wait_log("no session bus, so neither status nor notifications")
        case.daemon.wait_log("serving the compositor at " + case.path("wayland-1"))
        case.agent.client()
        case.sway.run("wl-copy", "text")
        case.agent.control.take(s.GRAB)
        # Another one in the same session has nobody to tell that it is there, and says so.
        first = case.daemon
        case.start(bus=False, wait=False)
        assert case.daemon.process.wait(s.LIMIT) == 1
        assert "another process has the lock and cannot be told of this session" in case.daemon.text()
        case.daemon = first
        assert first.process.poll() is None


def two_daemons_are_one():
    with Desktop() as case:
        case.start()
        case.served("wayland-1")
        first = case.daemon
        for _ in range(3):
            case.start(wait=False, WAYLAND_DISPLAY="wayland-1", XDG_SESSION_ID=ONE)
            assert case.daemon.process.wait(s.LIMIT) == 3
        case.daemon = first
        case.served("wayland-1")
        assert first.text().count("serving the compositor") == 1


def runtime_directory_must_be_ones_own():
    with Desktop() as case:
        if not compositor.ROOT:
            return
        os.chmod(case.runtime, 0o755)
        for value in case.runtime, "/nonexistent", "":
            daemon = s.Daemon(case.system, case.user, logind=None, env={"XDG_RUNTIME_DIR": value})  # of root
            daemon.wait_log("using the runtime directory ")
            assert "XDG_RUNTIME_DIR is no directory of this user: %s\n" % value in daemon.text()
            s.settle(0.5)
            assert "serving the compositor" not in daemon.text()
            daemon.stop()
        case.start()
        case.served("wayland-1")


if not compositor.Sway.installed():
    print("sway is not installed")
    sys.exit(77)
s.main("desktop", [finds_a_compositor_that_comes_later, finds_a_compositor_that_is_there, idles_with_a_compositor,
                   announces_what_works_now, layout_reaches_the_system_daemon, *(
                       [weston_has_a_layout_alone] if compositor.Weston.installed() else []),
                   comes_back_after_a_crash, a_nested_compositor_does_not_win, a_better_one_takes_over,
                   users_sessions_have_their_own, managers_compositors_come_after_the_sessions_own,
                   sessions_without_a_seat_show_on_the_users_seat, x_desktops_stay_x_desktops, leaves_xwayland_asleep,
                   takes_hints_and_the_managers_word, goes_past_what_is_no_compositor,
                   one_that_hangs_up_is_not_tried_without_end, refuses_sockets_of_others, works_without_a_session_bus,
                   two_daemons_are_one, runtime_directory_must_be_ones_own])
