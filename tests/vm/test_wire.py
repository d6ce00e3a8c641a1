# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bad input from the host's side of the agent port, and input that a real spice-server cannot be made to send: exact
bursts. After each of it pointer, clipboard and files go on, memory stays flat and the log names the peer."""

import os
import struct
import time

import agentwire as wire
from harness import *
from test_files import DOWNLOADS, clean, listing
from test_pointer import settle

RAW = {"agent": "socket"}
RSS_LIMIT = 12 << 10  # KiB; the system daemon is allowed 8 MB, the rest is headroom of a debug build


def rss(m, program):
    return int(m.guest.run("awk '/VmRSS/ {print $2}' /proc/%d/status" % m.pid(program)))


class Wire:
    """Host, counter of evdev and what must be true after each attack."""

    def __init__(self, m):
        self.m = m
        self.host = wire.Host(m.vm.agent)
        m.defer(self.host.close)
        self.host.handshake()
        self.counts = m.evdev()
        self.daemon = m.pid(m.agent.daemon)
        self.session = m.pid(m.agent.session)
        self.base = rss(m, m.agent.daemon)
        self.since = m.guest.run("journalctl -n 0 --show-cursor").split("cursor: ")[1].strip()
        self.step = 0

    def log(self):
        return self.m.guest.run("journalctl --after-cursor='%s' -o cat -u '%s*'" % (self.since, self.m.agent.daemon))

    def alive(self, logged=None):
        """The pointer moves, the clipboard answers, no process was replaced or has grown."""
        self.step += 1
        target = 100 + self.step % 100 * 5
        before = self.counts()["motions"]

        def moved():
            self.host.send(wire.mouse(target, target))
            self.host.send(wire.mouse(target + 1, target + 1))
            return self.counts()["motions"] > before
        wait_for(moved, 5, "the pointer moves", 0.1)
        self.host.handshake(5)
        text = b"clipboard %d" % self.step
        self.m.guest.run("xclip -selection clipboard -i", user="alice", input=text)
        self.host.wait(wire.CLIPBOARD_GRAB, 10)
        self.host.send(wire.message(wire.CLIPBOARD_REQUEST, struct.pack("<BxxxI", 0, 1)))
        body = self.host.wait(wire.CLIPBOARD, 10)
        if body[8:] != text:
            raise Failure("clipboard gave %r" % body)
        if self.m.pid(self.m.agent.daemon) != self.daemon or self.m.pid(self.m.agent.session) != self.session:
            raise Failure("a daemon was restarted:\n" + self.log())
        grown = rss(self.m, self.m.agent.daemon)
        if grown > max(RSS_LIMIT, self.base + 1024):
            raise Failure("the system daemon has grown from %d to %d KiB" % (self.base, grown))
        lines = self.log()
        if logged and logged not in lines:
            raise Failure("the log does not say %r:\n%s" % (logged, lines))
        if len(lines.split("\n")) > 400:
            raise Failure("%d lines of log:\n%s" % (len(lines.split("\n")), lines[:2000]))


@machine(**RAW)
def test_wire_clicks_all_arrive(m):
    """200 clicks and 100 wheel steps that reached the port are on evdev, each of them."""
    w = Wire(m)
    w.counts("reset")
    w.host.send(b"".join(wire.mouse(50 + step, 60, 2 * (step % 2 == 0)) for step in range(400)))
    seen = settle(w.counts)
    if seen["press"] != {"272": 200} or seen["release"] != {"272": 200}:
        raise Failure("200 clicks on the port gave %s" % seen)
    w.counts("reset")
    w.host.send(b"".join(wire.mouse(50, 60, 16 * (step % 2 == 0)) for step in range(200)))
    seen = settle(w.counts)
    if abs(seen["wheel"]) != 100:
        raise Failure("100 wheel steps on the port gave %s" % seen)
    w.alive()


@machine(**RAW)
def test_wire_clicks_before_motion(m):
    """Motion that comes while clicks are still on their way to evdev neither overruns its reader nor goes elsewhere."""
    w = Wire(m)
    w.counts("reset")
    w.host.send(b"".join(wire.mouse(50 + step, 60, 2 * (step % 2 == 0)) for step in range(120)))
    for step in range(400):
        w.host.send(wire.mouse(100 + step, 200))
        time.sleep(0.0005)
    seen = settle(w.counts)
    if seen["press"] != {"272": 60} or seen["release"] != {"272": 60} or seen["dropped"]:
        raise Failure("60 clicks and motion behind them gave %s" % seen)
    pointer = m.pointer()
    if pointer.arrives(499, 200, 5) != (499, 200):
        raise Failure("the pointer is at %s" % (pointer.now(),))
    w.alive()


@machine(**RAW)
def test_wire_million_mouse_messages(m):
    """10⁶ mouse messages in a burst: memory flat, the last position counts, a click at the end arrives."""
    w = Wire(m)
    block = b"".join(wire.mouse(step % 1000, step % 700) for step in range(10000))
    for _ in range(100):
        w.host.send(block)
    w.host.send(wire.mouse(321, 123) + wire.mouse(321, 123, 2) + wire.mouse(321, 123))
    pointer = m.pointer()
    wait_for(lambda: w.counts()["release"].get("272"), 120, "the click after the burst", 0.5)
    seen = pointer.arrives(321, 123, 10)
    if seen != (321, 123):
        raise Failure("the pointer is at %s" % (seen,))
    w.alive()


@machine(**RAW)
@ours_only
def test_wire_truncated_messages(m):
    """Each message with each shorter body, sizes in agreement; then with one byte too many."""
    w = Wire(m)
    for kind, body in wire.examples().items():
        for size in range(len(body)):
            w.host.send(wire.message(kind, body[:size]))
        w.host.send(wire.message(kind, body + b"\0"))
        w.host.quiet()
        w.host.handshake(10)
    w.alive("host:")
    clean(m)


@machine(**RAW)
@ours_only
def test_wire_flipped_bodies(m):
    """Each byte of each body inverted, and each of its bits."""
    w = Wire(m)
    for kind, body in wire.examples().items():
        for place in range(len(body)):
            for mask in (0xff, 1, 0x80):
                broken = bytearray(body)
                broken[place] ^= mask
                w.host.send(wire.message(kind, bytes(broken)))
        w.host.send(wire.message(wire.CLIENT_DISCONNECTED))
        w.host.quiet()
        w.host.handshake(10)
    w.alive()
    clean(m)


@machine(**RAW)
@ours_only
def test_wire_flipped_headers(m):
    """Each byte of chunk and message headers inverted. The stream may be out of step then; a new connection is not."""
    w = Wire(m)
    for kind, body in wire.examples().items():
        whole = wire.message(kind, body)
        for place in range(28):
            broken = bytearray(whole)
            broken[place] ^= 0xff
            w.host.send(bytes(broken))
            w.host.connect()
    w.alive("host:")


@machine(**RAW)
@ours_only
def test_wire_announced_sizes(m):
    """A size of 0, 2³¹ or 2³²−1 for each type, followed by little or by a lot; nothing is reserved for it."""
    w = Wire(m)
    for kind in list(wire.examples()) + [0, 17, 0xffffffff]:
        w.host.send(wire.chunk(wire.header(kind, 0)))
        for size in (1 << 31, (1 << 32) - 1):
            w.host.connect()
            w.host.send(wire.chunk(wire.header(kind, size) + b"x" * 1000))
            w.host.send(wire.chunk(b"y" * 2048) * 200)
            grown = rss(m, m.agent.daemon)
            if grown > max(RSS_LIMIT, w.base + 1024):
                raise Failure("type %d size %d: from %d to %d KiB" % (kind, size, w.base, grown))
        w.host.connect()
    w.alive("host:")


@machine(**RAW)
@ours_only
def test_wire_bad_chunks(m):
    """Chunk ports 0 and 99, empty and oversized chunks, unknown types, wrong protocol, garbage."""
    w = Wire(m)
    for data in (wire.mouse(1, 1).replace(struct.pack("<I", 2), struct.pack("<I", 0), 1), wire.chunk(b"x" * 100, 99),
                 wire.chunk(b""), wire.chunk(b"") * 1000, struct.pack("<II", 1, 0xffffffff),
                 struct.pack("<II", 1, 1 << 20), wire.message(99, b"unknown"), wire.message(0),
                 wire.chunk(wire.header(wire.MOUSE_STATE, 13, 2) + b"x" * 13),
                 os.urandom(5000), b"\0" * 5000, b"\xff" * 5000):
        w.host.send(data)
        w.host.connect()
        w.host.handshake(10)
    w.alive("host:")


@machine(**RAW)
@ours_only
def test_wire_cut_after_header(m):
    """A message whose body never comes must not outlive its connection."""
    w = Wire(m)
    for kind, body in wire.examples().items():
        w.host.send(wire.chunk(wire.header(kind, max(1, len(body)))))
        w.host.connect()
        w.host.handshake(10)
    w.alive()


@machine(**RAW)
def test_wire_any_cut(m):
    """A message may be cut anywhere: byte by byte, and many in one write."""
    w = Wire(m)
    w.counts("reset")
    whole = wire.header(wire.MOUSE_STATE, 13) + struct.pack("<IIIB", 200, 200, 0, 0)
    if m.agent.ours:
        for cut in range(1, len(whole)):
            w.host.send(wire.chunk(whole[:cut], wire.SERVER) + wire.chunk(whole[cut:], wire.SERVER))
    for byte in wire.mouse(222, 111):
        w.host.send(bytes([byte]))
    pointer = m.pointer()
    seen = pointer.arrives(222, 111, 5)
    if m.agent.ours and seen != (222, 111):
        raise Failure("the pointer is at %s" % (seen,))
    w.alive()


@machine(**RAW)
@ours_only
def test_wire_many_transfer_starts(m):
    """10⁴ transfers are started and none is fed: refused beyond the limit, forgotten with the client."""
    clean(m)
    w = Wire(m)
    for start in range(0, 10000, 100):
        w.host.send(b"".join(wire.file_start(number, b"f%d" % number, 1 << 20) for number in range(start, start + 100)))
    w.host.wait(wire.FILE_XFER_STATUS, 10, lambda body: struct.unpack("<II", body[:8])[1] != 0)
    w.host.handshake(30)
    w.host.send(wire.message(wire.CLIENT_DISCONNECTED))
    w.host.handshake(10)
    w.alive()
    wait_for(lambda: not listing(m), 10, lambda: "leftovers: %s" % listing(m)[:10])


@machine(**RAW)
@ours_only
def test_wire_file_names(m):
    """Names that lead out of the directory, or are none."""
    clean(m)
    w = Wire(m)
    bad = (b"..", b".", b"", b"/etc/passwd", b"a/b", b"../escape", b"x" * 300, b"nul\\0byte", b"\xff\xfe\xfd",
           b"..\\s/x", b"line\\nbreak/../x")
    for number, name in enumerate(bad):
        w.host.send(wire.file_start(1000 + number, name, 4))
        time.sleep(0.05)
        w.host.send(wire.message(wire.FILE_XFER_DATA, struct.pack("<IQ", 1000 + number, 4) + b"evil"))
    w.host.send(wire.file_start(2000, b"good.txt", 4))
    w.host.wait(wire.FILE_XFER_STATUS, 10, lambda body: struct.unpack("<II", body[:8]) == (2000, 0))
    w.host.send(wire.message(wire.FILE_XFER_DATA, struct.pack("<IQ", 2000, 4) + b"good"))
    w.host.wait(wire.FILE_XFER_STATUS, 10, lambda body: struct.unpack("<II", body[:8]) == (2000, 3))
    if "good.txt" not in listing(m) or m.guest.run("cat %s/good.txt" % DOWNLOADS) != "good":
        raise Failure("the good file did not arrive: %s" % listing(m))
    outside = m.guest.run("find / -xdev -path %s -prune -o -type f -size -2 -newermt '-5 minutes' "
                          "-exec grep -lx evil {} + 2>/dev/null" % DOWNLOADS, check=False)
    if outside.strip():
        raise Failure("written outside: " + outside)
    w.alive()
    clean(m)


@machine(**RAW)
@ours_only
def test_wire_transfer_data_without_start(m):
    """Data and status for transfers that do not exist, more data than announced, the same id twice."""
    clean(m)
    w = Wire(m)
    for number in (0, 5, 0xffffffff):
        w.host.send(wire.message(wire.FILE_XFER_DATA, struct.pack("<IQ", number, 4) + b"data"))
        w.host.send(wire.message(wire.FILE_XFER_STATUS, struct.pack("<II", number, 1)))
    w.host.send(wire.file_start(9, b"twice.txt", 8) * 2)
    w.host.wait(wire.FILE_XFER_STATUS, 10, lambda body: struct.unpack("<II", body[:8])[0] == 9)
    for _ in range(5):
        w.host.send(wire.message(wire.FILE_XFER_DATA, struct.pack("<IQ", 9, 6) + b"123456"))
    w.host.handshake(10)
    w.alive()
    clean(m)


@machine(**RAW)
@ours_only
def test_wire_stuck_paste_lets_pointer_through(m):
    """The X client that pastes stops reading during 50 MB: the pointer stands still for at most a second or so."""
    w = Wire(m)
    size = 50 << 20
    w.host.send(wire.grab())
    m.guest.until("timeout 3 xclip -selection clipboard -o -t TARGETS | grep -qx UTF8_STRING", 10, "alice")
    paster = m.guest.start("exec xclip -selection clipboard -o >/dev/null", user="alice")
    w.host.wait(wire.CLIPBOARD_REQUEST, 10)
    whole = wire.header(wire.CLIPBOARD, 8 + size) + struct.pack("<BxxxI", 0, 1)
    w.host.send(wire.chunk(whole + b"x" * (2048 - len(whole))))
    left = size + 8 + 20 - 2048
    paster.kill(19)  # SIGSTOP
    longest, sent, motions, last = 0.0, 0, w.counts()["motions"], time.monotonic()
    blast = wire.chunk(b"x" * 2048) * 16
    while left > 0:
        piece = min(left, 16 * 2048)
        if piece == 16 * 2048:
            w.host.send(blast)
        else:
            w.host.send(wire.chunk(b"x" * 2048) * (piece // 2048) + wire.chunk(b"x" * (piece % 2048)))
        left -= piece
        sent += 1
        w.host.send(wire.mouse(100 + sent % 700, 100 + sent % 500))
        if sent % 20 == 0 or left <= 0:
            now = w.counts()["motions"]
            if now != motions:
                longest = max(longest, time.monotonic() - last)
                motions, last = now, time.monotonic()
    paster.kill(9)
    if longest > 2:
        raise Failure("the pointer stood still for %.1f s" % longest)
    w.alive()
