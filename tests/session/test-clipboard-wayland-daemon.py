#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The clipboard of the whole session daemon on each compositor with data-control that is installed, with wl-copy."""

import hashlib
import os
import struct
import tempfile

import compositor
import sessiond as s

TEXT, PNG = 1, 2
NAMES = {TEXT: "text/plain;charset=utf-8", PNG: "image/png"}
LARGE = 50 * 1000 * 1000
GREETING = "Grüße €"


class Agent:
    """A daemon in the session of a compositor, which it serves, and a client that is connected to it."""

    def __init__(self, session, env=()):
        self.bus, system = compositor.Bus(), compositor.Bus()
        self.agent = s.Agent(system)
        self.daemon = session.daemon(system, self.bus, env=env)
        connection = self.bus.connect()
        s.until(lambda: "data-control" in (s.property_of(connection, "Backends") or {}).get("clipboard", ""),
                "a backend")
        self.agent.client()

    @property
    def control(self):
        return self.agent.control


class Case(Agent):
    def __init__(self, kind):
        self.compositor = kind()
        super().__init__(self.compositor)
        self.serial = [0, 0]

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print(self.daemon.text()[-3000:])
        try:
            self.daemon.stop()
        finally:
            self.compositor.__exit__(kind, value, trace)

    def take_grab(self, *types, selection=0):
        body = self.control.take(s.GRAB)
        want = struct.pack("<BxxxI%dI" % len(types), selection, self.serial[selection], *types)
        assert body == want, (body, want)
        self.serial[selection] += 1

    def grab(self, *types, selection=0):
        body = struct.pack("<BxxxI%dI" % len(types), selection, self.serial[selection], *types)
        self.serial[selection] += 1
        self.control.send(s.message(s.GRAB, body))
        words = ["wl-paste", "--list-types", *(["--primary"] if selection else [])]
        s.until(lambda: {NAMES[kind] for kind in types} <= set(self.compositor.run(*words, check=False).splitlines()),
                "the client's offer")

    def fetch(self, kind, selection=0):
        self.control.send(s.message(s.REQUEST, struct.pack("<BxxxI", selection, kind)))
        body = self.control.take(s.CLIPBOARD)
        assert body[:8] == struct.pack("<BxxxI", selection, kind), body[:8]
        return body[8:]

    def paste(self, *arguments, data, kind=TEXT, selection=0):
        """wl-paste, whose request is answered; returns what it prints."""
        with tempfile.TemporaryFile() as output:
            program = self.compositor.popen("wl-paste", *arguments, stdout=output)
            assert self.control.take(s.REQUEST) == struct.pack("<BxxxI", selection, kind)
            self.control.send(s.message(s.CLIPBOARD, struct.pack("<BxxxI", selection, kind) + data))
            s.until(lambda: program.poll() is not None, "the end of wl-paste")
            output.seek(0)
            return output.read()


KINDS = [kind for kind in (compositor.Sway, compositor.Labwc, compositor.KWin) if kind.installed()]


def copy_and_paste(kind):
    with Case(kind) as case:
        case.compositor.run("wl-copy", GREETING)
        case.take_grab(TEXT)
        assert case.fetch(TEXT) == GREETING.encode()
        case.grab(TEXT, PNG)
        assert case.paste("--no-newline", data=GREETING.encode()) == GREETING.encode()
        assert case.paste("--type", "image/png", data=b"\x89PNG", kind=PNG) == b"\x89PNG"
        # In this order, since wl-clipboard takes a KWin where nobody owns PRIMARY for one without.
        case.grab(TEXT, selection=1)
        assert case.paste("--no-newline", "--primary", data=b"marked", selection=1) == b"marked"
        case.compositor.run("wl-copy", "--primary", "marked too")
        case.take_grab(TEXT, selection=1)
        assert case.fetch(TEXT, selection=1) == b"marked too"


def memory_and_rest(kind):
    """50 MB from the client with flat memory, to it with one copy that is freed; then no wake-up at all."""
    with Case(kind) as case:
        noise, other = os.urandom(LARGE), os.urandom(LARGE)
        case.grab(PNG)
        assert case.paste("--type", "image/png", data=b"warm", kind=PNG) == b"warm"
        before = int(case.daemon.stat("VmRSS"))
        assert before < 12 << 10, before
        got = case.paste("--type", "image/png", data=noise, kind=PNG)
        assert hashlib.sha256(got).digest() == hashlib.sha256(noise).digest()
        peak = int(case.daemon.stat("VmHWM"))
        assert peak < before + 2048, (before, peak)
        case.compositor.run("wl-copy", "--type", "image/png", input=other)
        case.take_grab(PNG)
        assert hashlib.sha256(case.fetch(PNG)).digest() == hashlib.sha256(other).digest()
        peak, after = int(case.daemon.stat("VmHWM")), int(case.daemon.stat("VmRSS"))
        assert peak < before + (LARGE >> 10) + 2048, (before, peak)
        assert after < before + 2048, (before, after)
        for _ in range(4):  # while the timeouts of what is over now run out
            wakeups = case.daemon.wakeups()
            s.settle(3)
            if case.daemon.wakeups() == wakeups:
                return
        raise AssertionError("the daemon wakes up again and again")


def two_agents(kind):
    """Two that know nothing of each other, as of two users: what one offers is a program's to the other, once."""
    with Case(kind) as case:
        other = Agent(case.compositor, {"XDG_RUNTIME_DIR": case.compositor.environment["HOME"],
                                        "WAYLAND_DISPLAY": case.compositor.socket})
        try:
            case.grab(TEXT)
            assert other.control.take(s.GRAB)[:1] == b"\0"
            other.control.send(s.message(s.REQUEST, struct.pack("<BxxxI", 0, TEXT)))
            assert case.control.take(s.REQUEST) == struct.pack("<BxxxI", 0, TEXT)
            case.control.send(s.message(s.CLIPBOARD, struct.pack("<BxxxI", 0, TEXT) + b"over both"))
            assert other.control.take(s.CLIPBOARD)[8:] == b"over both"
            s.settle()
            for end in case.control, other.control:
                end.read()
                kinds = [kind for kind, _ in end.messages]
                assert not {s.GRAB, s.RELEASE, s.REQUEST} & set(kinds), kinds
        finally:
            other.daemon.stop()


def each(function):
    """One case for each compositor."""
    for kind in KINDS:
        def case(kind=kind):
            function(kind)
        case.__name__ = "%s_%s" % (kind.name, function.__name__)
        yield case


if not KINDS:
    print("neither sway nor labwc nor kwin_wayland is installed")
    raise SystemExit(77)
s.main("clipboard-wayland-daemon", [case for function in (copy_and_paste, memory_and_rest, two_agents)
                                    for case in each(function)])
