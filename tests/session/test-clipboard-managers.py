#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The clipboard beside each clipboard manager that is installed: nothing is lost, and nobody fights over it.

Managers store what others own; some also take it over, at once or when nobody owns it any more. To the client, what is
the host's own is no news, whoever owns it in the guest. Mutter's own manager is in test-clipboard-mutter.py.
"""

import contextlib
import glob
import itertools
import json
import os
import random
import shutil
import sqlite3
import struct
import zlib

import compositor
import sessiond as s
from cliphost import PNG, TEXT, Host

LARGE = 5 * 1000 * 1000  # cliphist stores no more
TURNS = 5
# KWin gives no window of this program the focus: with it, Klipper would use the clipboard of ordinary programs, which
# Plasma's panel that it usually lives in does not.
NO_FOCUS = """[General]
count=1
rules=1
[1]
wmclass=plasmawindowed
wmclassmatch=2
acceptfocus=false
acceptfocusrule=2
"""


class Manager:
    """One that runs in the session of a compositor of its own."""

    program = name = None
    compositor = compositor.Sway
    reads = 1           # of what somebody owns, at most
    images = False      # it stores them
    takes_over = False  # it owns what others do
    refills = False     # it owns what nobody does any more

    def __init__(self, desktop):
        self.desktop = desktop
        desktop.popen(*self.command(), env=self.variables(), stdout=desktop.log, stderr=desktop.log)
        numbers = itertools.count()
        s.until(lambda: self.works(b"probe %d" % next(numbers)), self.name)

    @classmethod
    def missing(cls):
        return [name for name in (cls.program, cls.compositor.program) if not shutil.which(name)]

    def works(self, probe):
        """What is there before it runs it may not store."""
        self.desktop.run("wl-copy", input=probe)
        try:
            self.wait_stored(probe, 2)
        except AssertionError:
            return False
        return True

    def wait_stored(self, content, limit=s.LIMIT):
        """Asked now and then, as that starts programs."""
        s.until(lambda: self.stored(content) or s.settle(0.1), self.name + " to store it", limit)

    def command(self):
        raise NotImplementedError

    def variables(self):
        return {}

    def stored(self, content):
        """Is this what it has stored last?"""
        raise NotImplementedError

    def restore(self):
        """The user has it own what it has stored last, which is a text."""


class Clipman(Manager):
    program = name = "clipman"
    takes_over = True

    def command(self):
        """It writes its history first, and owns the content last."""
        return ("wl-paste", "--type", "text", "--watch", "sh", "-c",
                "clipman store --histpath=%s && cp %s %s" % (self.path("new"), self.path("new"), self.path("history")))

    def path(self, name):
        return os.path.join(self.desktop.environment["HOME"], name)

    def stored(self, content):
        try:
            with open(self.path("history"), encoding="utf-8") as file:
                return json.load(file)[-1].encode() == content
        except (FileNotFoundError, json.JSONDecodeError):
            return False


class Cliphist(Manager):
    program = name = "cliphist"
    images = True

    def command(self):
        return "wl-paste", "--watch", "cliphist", "store"

    def last(self):
        """Its database has one user at a time."""
        return self.desktop.run("sh", "-c", "cliphist list | head -n 1 | cliphist decode", text=False, check=False)

    def stored(self, content):
        return self.last() == content

    def restore(self):
        self.desktop.run("wl-copy", input=self.last())


class CopyQ(Manager):
    """It stores images only with its plugins, but reads them; and what it reads it reads again for a second."""

    program, name = "copyq", "CopyQ"
    reads = 10  # two kinds of text

    def command(self):
        return ("copyq",)

    def variables(self):
        return {"QT_QPA_PLATFORM": "wayland"}

    def copyq(self, *words):
        return self.desktop.run("env", "QT_QPA_PLATFORM=wayland", "copyq", *words, text=False, check=False)

    def stored(self, content):
        return self.copyq("read", "0") == content

    def restore(self):
        self.copyq("select", "0")


class PlasmaKWin(compositor.KWin):
    def command(self):
        path = os.path.join(self.environment["HOME"], ".config")
        os.makedirs(path, exist_ok=True)
        os.chown(path, compositor.USER, -1)
        with open(os.path.join(path, "kwinrulesrc"), "w", encoding="utf-8") as file:
            file.write(NO_FOCUS)
        return super().command()


class Klipper(Manager):
    """As a program, without Plasma's panel."""

    program, name = "plasmawindowed", "Klipper"
    compositor = PlasmaKWin
    refills = True

    @classmethod
    def missing(cls):
        """Older ones have no database."""
        return super().missing() or ([] if glob.glob("/usr/lib/*/qt6/qml/org/kde/plasma/private/clipboard") else
                                     ["Klipper of Plasma 6"])

    def command(self):
        return "plasmawindowed", "org.kde.plasma.clipboard"

    def variables(self):
        return {"QT_QPA_PLATFORM": "wayland", "XDG_CURRENT_DESKTOP": "KDE"}

    def stored(self, content):
        """What it is to own again it reads from there, so what it says on the bus is not enough."""
        path = os.path.join(self.desktop.environment["HOME"], ".local", "share", "klipper", "history3.sqlite")
        try:
            with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % path, uri=True)) as database:
                rows = database.execute("SELECT text FROM main ORDER BY last_used_time DESC LIMIT 1").fetchall()
        except sqlite3.OperationalError:
            return False
        return rows == [(content.decode(),)]


class Case:
    """The daemon in a session with a manager, and a SPICE client."""

    def __init__(self, kind):
        self.desktop = kind.compositor()
        try:
            self.manager = kind(self.desktop)
            self.bus, self.system = getattr(self.desktop, "bus", None) or compositor.Bus(), compositor.Bus()
            self.agent = s.Agent(self.system)
            self.daemon = self.desktop.daemon(self.system, self.bus)
            connection = self.bus.connect()
            s.until(lambda: "data-control" in (s.property_of(connection, "Backends") or {}).get("clipboard", ""),
                    "a backend")
            self.agent.client()
            self.host = Host(self.agent.control.sock)
        except Exception:
            self.desktop.fail_log()
            self.desktop.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, _value, _trace):
        try:
            if kind:
                print(self.host.events, self.host.asked)
                print(self.daemon.text()[-3000:])
            self.daemon.stop()
        finally:
            self.host.close()
            self.agent.close()
            self.desktop.__exit__(kind, None, None)

    def offer(self, kind, content):
        """The user of the client copies, and the manager has it."""
        self.host.asked.clear()
        self.host.grab({kind: content})
        if kind == TEXT or self.manager.images:
            self.manager.wait_stored(content)
        else:
            s.until(lambda: "image/png" in self.desktop.run("wl-paste", "--list-types", check=False), "the offer")

    def copy(self, text):
        """A program owns this until it is ended."""
        self.host.grabs.clear()
        program = self.desktop.popen("wl-copy", "--foreground", text)
        self.host.wait_grab(TEXT)
        return program

    def paste(self, name="text/plain;charset=utf-8"):
        return self.desktop.run("wl-paste", "--no-newline", "--type", name, text=False, check=False)

    def wait_quiet(self):
        """Nothing wakes the daemon up any more, so nothing is said or done either."""
        for _ in range(4):  # while the timeouts of what is over run out
            before = self.daemon.wakeups()
            s.settle(2)
            if self.daemon.wakeups() == before:
                return
        raise AssertionError("the daemon wakes up again and again")


def host_copies(case, kind, content, name):
    """The client is told nothing, and asked no more often than the manager and who pastes read."""
    case.offer(kind, content)
    assert case.paste(name) == content
    case.wait_quiet()
    assert not case.host.events, case.host.events
    assert len(case.host.asked) <= case.manager.reads + 1, case.host.asked


def host_text(case):
    host_copies(case, TEXT, b"from the host", "text/plain;charset=utf-8")


def host_large(case):
    line = random.Random(1).randbytes(49).hex()
    data = "\n".join("%06d%s" % (number, line) for number in range(LARGE // 105)).encode()
    host_copies(case, TEXT, data, "text/plain;charset=utf-8")


def png(width=300, height=200):
    rows = b"".join(b"\0" + random.Random(row).randbytes(3 * width) for row in range(height))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)),
              (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(data)) + kind + data +
                                         struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks)


def host_image(case):
    host_copies(case, PNG, png(), "image/png")


def guest_program_ends(case):
    """The manager keeps its content, at least until the user wants it again; the client can have it."""
    program = case.copy("from the guest")
    case.manager.wait_stored(b"from the guest")
    program.terminate()
    if not case.manager.takes_over:
        s.until(lambda: "release" in case.host.events, "the end of the program")
        case.manager.restore()
        s.until(lambda: case.host.events.count("grab") > 1, "a grab")
    case.wait_quiet()
    assert case.host.request(TEXT) == (TEXT, b"from the guest")
    assert case.host.events.count("grab") <= 3, case.host.events  # CopyQ takes it twice


def host_release(case):
    """What the client gave up is no content of the guest, also where the manager keeps it."""
    case.offer(TEXT, b"kept")
    case.host.release()
    if case.manager.takes_over or case.manager.refills:
        s.until(lambda: case.paste() == b"kept" or s.settle(0.1), "the manager to keep it")
    case.wait_quiet()
    assert not case.host.events, case.host.events
    # Clients without NO_RELEASE_ON_REGRAB release before each grab.
    for turn in range(TURNS):
        case.offer(TEXT, b"turn %d" % turn)
        case.host.release()
    case.offer(TEXT, b"the last")
    case.wait_quiet()
    assert not case.host.events, case.host.events
    assert case.paste() == b"the last"


def alternating(case):
    """As quickly as the manager stores it: the last copy is in both places, whosever it is."""
    for turn in range(TURNS):
        case.offer(TEXT, b"host %d" % turn)
        case.copy("guest %d" % turn)
        case.manager.wait_stored(b"guest %d" % turn)
    case.wait_quiet()
    assert case.paste() == b"guest 4"
    assert case.host.request(TEXT) == (TEXT, b"guest 4")
    case.host.events.clear()
    case.offer(TEXT, b"the host's")
    case.wait_quiet()
    assert case.paste() == b"the host's"
    assert not case.host.events, case.host.events


def hasty(case):
    """Faster than a manager follows: whichever copy it makes the last, the client and the guest agree on it."""
    for turn in range(TURNS):
        case.host.grab({TEXT: b"host %d" % turn})
        case.desktop.run("wl-copy", "guest %d" % turn)
    case.wait_quiet()
    kind, content = case.host.request(TEXT)
    assert case.paste() == (content if kind == TEXT else b"host 4"), (kind, content)
    assert case.host.events.count("grab") <= 3 * TURNS, case.host.events


def cases():
    """One for each manager that is there."""
    for kind in Clipman, Cliphist, CopyQ, Klipper:
        missing = kind.missing()
        if missing:
            print("session/clipboard-managers-%s: skip (no %s)" % (kind.name, ", no ".join(missing)))
            continue

        def case(kind=kind):
            with Case(kind) as running:
                for question in host_text, host_large, host_image, guest_program_ends, host_release, alternating, hasty:
                    running.host.events.clear()
                    question(running)
        case.__name__ = kind.name
        yield case


s.main("clipboard-managers", cases())
