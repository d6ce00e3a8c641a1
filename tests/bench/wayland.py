# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pastes in a Wayland session on this machine: wl-paste of what a SPICE client offers, beside the same of wl-copy's.

The client is this process, which answers at once, so what a paste from it takes longer is the session daemon's part and
two socket hops. Both are measured in turns with the same sway; the time of wl-paste's own start is in both.
"""

import os
import select
import statistics
import struct
import subprocess
import sys
import time

from common import TOP, harness

os.environ.setdefault("BUILD", harness.BUILD)
sys.path.insert(0, os.path.join(TOP, "tests", "session"))
import compositor
import sessiond as s

UNITS = {"wayland_paste_p50": "ms", "wayland_paste_added_p50": "ms", "wayland_large_rate": "MB/s"}
SMALL, LARGE = 1000, 50 * 1000 * 1000
TEXT = 1  # VD_AGENT_CLIPBOARD_UTF8_TEXT
TURNS, PASTES = 5, 20


class Session:
    def __init__(self):
        self.sway = compositor.Sway()
        system, bus = compositor.Bus(), compositor.Bus()
        self.agent = s.Agent(system)
        self.daemon = self.sway.daemon(system, bus)
        connection = bus.connect()
        s.until(lambda: "data-control" in (s.property_of(connection, "Backends") or {}).get("clipboard", ""),
                "a backend")
        self.agent.client()
        self.serial = 0

    def end(self):
        self.daemon.stop()
        self.sway.__exit__(None, None, None)

    def grab(self):
        """The client owns the clipboard, as a foreign program sees."""
        self.serial += 1000
        self.agent.control.send(s.message(s.GRAB, struct.pack("<BxxxII", 0, self.serial, TEXT)))
        s.until(lambda: "STRING" in self.sway.run("wl-paste", "--list-types", check=False), "the grab")

    def paste(self, answer=None):
        """Seconds that wl-paste takes; a client has to answer it."""
        start = time.monotonic()
        program = self.sway.popen("wl-paste", "--no-newline", stdout=subprocess.DEVNULL)
        if answer:
            select.select([self.agent.control.sock], [], [], s.LIMIT)
            self.agent.control.take(s.REQUEST)
            self.agent.control.send(answer)
        program.wait(s.LIMIT)
        return time.monotonic() - start

    def turn(self, data, count):
        """Seconds of pastes of the client's content, and of a program's."""
        answer = s.message(s.CLIPBOARD, struct.pack("<BxxxI", 0, TEXT) + data)
        self.grab()
        ours = [self.paste(answer) for _ in range(count)]
        self.sway.run("wl-copy", "--type", "text/plain;charset=utf-8", input=data[::-1])
        return ours, [self.paste() for _ in range(count)]


def measure(wanted, samples):
    session = Session()
    try:
        ours, theirs = [], []
        for _ in range(TURNS):
            for times, more in zip((ours, theirs), session.turn(bytes(range(32, 127)) * (SMALL // 95), PASTES)):
                times += more
        ours, theirs = (statistics.median(times) * 1000 for times in (ours, theirs))
        samples.add("wayland_paste_p50", "ours", ours)
        samples.add("wayland_paste_p50", "wl-copy", theirs)
        samples.add("wayland_paste_added_p50", "ours", ours - theirs)
        for who, times in zip(("ours", "wl-copy"), session.turn(b"0123456789" * (LARGE // 10), 1)):
            samples.add("wayland_large_rate", who, LARGE / 1e6 / times[0])
    finally:
        session.end()


def report(samples):
    rows = []
    for name, by_who in samples.rows.items():
        ours, peer = (round(statistics.median(by_who[who]), 3) if who in by_who else None
                      for who in ("ours", "wl-copy"))
        ratio = round(ours / peer, 3) if peer else None
        rows.append({"name": name, "ours": ours, "peer": peer, "ratio": ratio, "unit": UNITS[name], "samples": by_who})
        print("%-26s ours %-10s wl-copy %-10s %s%s" % (name, ours, peer, UNITS[name],
                                                       "  ratio %.2f" % ratio if ratio else ""))
    return rows
