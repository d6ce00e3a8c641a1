# SPDX-License-Identifier: LGPL-2.1-or-later
"""A SPICE client for tests of the clipboard: it offers content, answers requests for it, and keeps what it is told."""

import collections
import struct

from gi.repository import GLib

import sessiond as s

NONE, TEXT, PNG = range(3)


class Host:
    """A SPICE client at the other end of the control socket; runs in the main loop."""

    def __init__(self, sock):
        self.sock = sock
        self.received, self.sending = bytearray(), collections.deque()
        self.serial = [0, 0]  # by selection: grabs of both sides
        self.content = {}  # by type: what requests are answered with; a type that is not there is not answered
        self.asked, self.grabs, self.answers, self.events = [], [], [], []
        sock.setblocking(False)
        self.out = None
        self.source = GLib.io_add_watch(sock.fileno(), GLib.PRIORITY_DEFAULT, GLib.IO_IN | GLib.IO_HUP, self.on_in)

    def close(self):
        GLib.source_remove(self.source)
        if self.out:
            GLib.source_remove(self.out)

    def on_in(self, *_):
        try:
            data = self.sock.recv(1 << 18)
        except BlockingIOError:
            return True
        if not data:
            self.source = GLib.idle_add(lambda: False)
            return False
        self.received += data
        while len(self.received) >= 20:
            _, kind, _, size = struct.unpack_from("<IIQI", self.received)
            if len(self.received) < 20 + size:
                break
            body = bytes(self.received[20:20 + size])
            del self.received[:20 + size]
            self.on_message(kind, body)
        return True

    def on_message(self, kind, body):
        if kind == s.REQUEST:
            selection, wanted = struct.unpack("<B3xI", body)
            self.asked.append((selection, wanted))
            if wanted in self.content:
                data = self.content[wanted]
                self.send(s.message(s.CLIPBOARD, struct.pack("<B3xI", selection, wanted if data else NONE) + data))
        elif kind == s.GRAB:
            selection, serial = struct.unpack_from("<B3xI", body)
            if serial < self.serial[selection]:
                return  # sent before ours had come, which holds
            self.serial[selection] = serial + 1
            self.grabs.append((selection, sorted(struct.unpack("<%dI" % (len(body) // 4 - 2), body[8:]))))
            self.events.append(("grab", "primary grab")[selection])
        elif kind == s.RELEASE:
            self.events.append(("release", "primary release")[body[0]])
        elif kind == s.CLIPBOARD:
            selection, given = struct.unpack_from("<B3xI", body)
            self.answers.append((selection, given, body[8:]))

    def send(self, data):
        self.sending.append(memoryview(data))
        if not self.out:
            self.out = GLib.io_add_watch(self.sock.fileno(), GLib.PRIORITY_DEFAULT, GLib.IO_OUT, self.on_out)

    def on_out(self, *_):
        try:
            sent = self.sock.send(self.sending[0][:1 << 17])
        except BlockingIOError:
            return True
        self.sending[0] = self.sending[0][sent:]
        if not self.sending[0]:
            self.sending.popleft()
        if not self.sending:
            self.out = None
        return bool(self.sending)

    def grab(self, content, selection=0):
        """The user of the client copies. Contents that are None are offered, and never given."""
        self.content = {kind: data for kind, data in content.items() if data is not None}
        self.send(s.message(s.GRAB, struct.pack("<B3xI", selection, self.serial[selection]) +
                            b"".join(struct.pack("<I", kind) for kind in content)))
        self.serial[selection] += 1

    def release(self, selection=0):
        self.send(s.message(s.RELEASE, struct.pack("<B3x", selection)))

    def request(self, kind, selection=0):
        """The user of the client pastes: (type, data)."""
        self.answers.clear()
        self.send(s.message(s.REQUEST, struct.pack("<B3xI", selection, kind)))
        s.until(lambda: self.answers, "an answer to a request of the client")
        return self.answers[0][1:]

    def wait_grab(self, *kinds, selection=0):
        s.until(lambda: self.grabs and self.grabs[-1] == (selection, sorted(kinds)),
                "a grab of %r" % (kinds,))
        self.grabs.clear()
