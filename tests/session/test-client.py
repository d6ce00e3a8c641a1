#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The session daemon's connection: opening it, keeping it, losing it, and what may go over it."""

import socket
import struct
import time

import sessiond as s


class Case:
    """Buses, the system daemon's stand-in and the daemon."""

    def __init__(self, **options):
        self.bus = s.Bus()
        self.agent = s.Agent(self.bus, options.pop("active", "1"))
        self.daemon = s.Daemon(self.bus, **options)

    def __enter__(self):
        return self.agent, self.daemon

    def __exit__(self, kind, _value, _trace):
        try:
            if kind:
                print(self.daemon.text()[-3000:])
            self.daemon.stop()
        finally:
            self.agent.close()
            self.bus.stop()


def opens_and_announces():
    with Case() as (agent, daemon):
        caps = agent.client()
        assert agent.calls == [{"session": "1"}], agent.calls
        # Layout capabilities always, and the clipboard, which terminals can use; no displays without a backend.
        for cap in (s.CAP_SELECTION, s.CAP_DETAILED, s.CAP_SERIAL, s.CAP_BY_DEMAND):
            assert caps >> cap & 1, bin(caps)
        for cap in (s.CAP_MONITORS, s.CAP_SPARSE, s.CAP_POSITION, s.CAP_FILES_DISABLED):
            assert not caps >> cap & 1, bin(caps)
        # A second client is answered as well, on each socket before anything else.
        assert agent.client(caps=0) == caps


def waits_for_its_session():
    with Case(active="7") as (agent, daemon):
        daemon.wait_log("serving session 1")
        s.settle(1)
        assert agent.calls == []
        agent.set_active("1")
        agent.wait_open()
        agent.set_active("7")
        s.until(lambda: (agent.control.read(), agent.control.closed)[1], "end of the connection")
        agent.close()
        s.settle(1)
        assert len(agent.calls) == 1
        agent.set_active("1")
        agent.wait_open()


def comes_back():
    with Case() as (agent, daemon):
        for end in ("control", "files", "both"):
            agent.client()
            if end != "files":
                agent.control.sock.close()
            if end != "control":
                agent.files.sock.close()
            count = len(agent.calls)
            agent.control = agent.files = None
            start = time.monotonic()
            agent.wait_open()
            assert len(agent.calls) == count + 1
            assert time.monotonic() - start < 2.5
        agent.disown()
        s.settle(1)
        agent.own()
        agent.client()


def backs_off():
    with Case() as (agent, daemon):
        agent.refuse = "org.freedesktop.DBus.Error.AccessDenied"
        agent.set_active("2")
        agent.close()
        agent.calls.clear()
        agent.set_active("1")
        s.settle(4)
        # 0, 0.25, 0.75, 1.75, 3.75 s
        assert 3 <= len(agent.calls) <= 6, len(agent.calls)
        agent.refuse = None
        agent.set_active("2")
        agent.set_active("1")
        agent.client()


def asks_again_for_the_active_session():
    with Case() as (agent, daemon):
        agent.client()
        agent.disown()
        daemon.wait_log("connection to the system daemon ended")
        agent.mute = 3
        agent.own()
        daemon.wait_log("cannot read ActiveSession")
        agent.client()
        assert agent.mute == 0


def refuses_nonsense():
    with Case() as (agent, daemon):
        agent.client()
        bad = [s.message(99, b"x"), s.message(s.MONITORS_CONFIG, b"abc"), s.message(s.FILE_STATUS, b""),
               s.message(s.REQUEST, b"\0" * 100), s.message(s.MAX_CLIPBOARD, b"\0" * 5000),
               s.message(s.MOUSE_STATE, b"\0" * 3), s.message(s.DEVICES, b"\xff" * 8), s.message(s.FILE_DATA, b"12")]
        for data in bad:
            agent.control.send(data)
            agent.files.send(data)
        assert agent.client() is not None  # still in step
        assert len(agent.calls) == 1
        # Not a stream of messages any more: the connection ends and comes back.
        agent.control.send(struct.pack("<IIQI", 7, 1, 0, 0) + b"garbage")
        s.until(lambda: (agent.control.read(), agent.control.closed)[1], "end of the connection")
        agent.control = agent.files = None
        agent.client()


def flat_memory():
    with Case() as (agent, daemon):
        agent.client()
        before = int(daemon.stat("VmRSS"))
        # Announced and never sent; then sent without anybody who wants it.
        agent.files.send(s.message(s.FILE_DATA, struct.pack("<IQ", 5, 1 << 31), 12 + (1 << 31)))
        agent.control.send(s.message(s.CLIPBOARD, b"\0\0\0\0" + struct.pack("<I", 1), 0xffffffff))
        block = b"x" * (1 << 20)
        for _ in range(64):
            agent.files.send(block)
            agent.control.send(block)
        grown = int(daemon.stat("VmRSS")) - before
        assert grown < 1024, "%d KiB more" % grown


def answers_stay_bounded():
    """A peer that asks and does not read: the daemon stops reading it."""
    with Case(config="[files]\nenabled=false\n") as (agent, daemon):
        agent.client()
        before = int(daemon.stat("VmRSS"))
        data = b"".join(s.file_start(number, "a", 1) for number in range(1000))
        sent = at = 0
        stalled = time.monotonic()
        while sent < 64 << 20 and time.monotonic() - stalled < 2:
            try:
                taken = agent.files.sock.send(data[at:], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
                at = (at + taken) % len(data)
                sent += taken
                stalled = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
        assert sent < 64 << 20, "it reads without end"
        grown = int(daemon.stat("VmRSS")) - before
        assert grown < 2048 or "asan" in s.BUILD, "%d KiB more" % grown


def second_process_ends():
    bus = s.Bus()
    first = s.Daemon(bus, session=bus)
    first.wait_log("serving session 1")
    second = s.Daemon(bus, session=bus, logind="2", display=":77")
    assert second.process.wait(s.LIMIT) == 3
    first.wait_log("serving session 2")  # without logind the newest word counts
    # The desktop's autostart has done its work then.
    second = s.Daemon(bus, session=bus, logind="3", args=["--autostart"])
    assert second.process.wait(s.LIMIT) == 0
    first.wait_log("serving session 3")
    # Killed, it leaves nothing that stops the next.
    first.process.kill()
    first.process.wait()
    third = s.Daemon(bus, session=bus)
    third.wait_log("serving session 1")
    third.stop()
    # Without a session bus the lock alone decides, and who could not tell the other is to try again.
    third = s.Daemon(bus)
    third.wait_log("serving session 1")
    for fourth in s.Daemon(bus), s.Daemon(bus, session=bus), s.Daemon(bus, session=bus, args=["--autostart"]):
        assert fourth.process.wait(s.LIMIT) == 1
        fourth.wait_log("cannot be told")
    third.stop()
    # Where nothing else can start it, the autostart goes on itself.
    third = s.Daemon(bus, session=bus, args=["--autostart"])
    third.wait_log("serving session 1")
    third.stop()
    bus.stop()


s.main("client", [opens_and_announces, waits_for_its_session, comes_back, backs_off, asks_again_for_the_active_session,
                  refuses_nonsense, flat_memory, answers_stay_bounded, second_process_ends])
