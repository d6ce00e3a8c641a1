# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small VNC client: pointer, and text by the extended clipboard of RFB. It looks at no picture."""

import queue
import struct
import threading
import zlib

import vm

EXTENDED_CLIPBOARD = 0xC0A1E5CE
TEXT = 1 << 0
CAPS, REQUEST, PEEK, NOTIFY, PROVIDE = (1 << bit for bit in range(24, 29))


class Rfb:
    def __init__(self, path):
        self._sock = vm.unix_connect(path)
        self._file = self._sock.makefile("rb")
        self._lock = threading.Lock()
        self._offered = None
        self._texts = queue.Queue()
        self.offers = queue.Queue()
        self.requests = 0
        self._handshake()
        threading.Thread(target=self._read, daemon=True).start()

    def _receive(self, format):
        return struct.unpack(format, self._file.read(struct.calcsize(format)))

    def _send(self, format, *values, data=b""):
        with self._lock:
            self._sock.sendall(struct.pack(format, *values) + data)

    def _handshake(self):
        self._file.read(12)
        self._sock.sendall(b"RFB 003.008\n")
        types = self._file.read(*self._receive("B"))
        if 1 not in types:
            raise vm.Failure("VNC server wants authentication")
        self._sock.sendall(b"\1")
        if self._receive(">I")[0] != 0:
            raise vm.Failure("VNC server refused")
        self._sock.sendall(b"\1")
        self.width, self.height = self._receive(">HH16x")
        self._file.read(*self._receive(">I"))
        encodings = [0, EXTENDED_CLIPBOARD]
        self._send(">BxH%dI" % len(encodings), 2, len(encodings), *encodings)
        # QEMU sends nothing, not even its clipboard, to a client that never asked for a picture.
        self._send(">BBHHHH", 3, 1, 0, 0, 1, 1)

    def _read(self):
        try:
            while True:
                kind, = self._receive("B")
                if kind == 0:
                    for _ in range(self._receive(">xH")[0]):
                        width, height, encoding = self._receive(">4xHHi")
                        if encoding == 0:
                            self._file.read(width * height * 4)
                elif kind == 3:
                    size, = self._receive(">3xi")
                    self._cut_text(self._file.read(abs(size)), size < 0)
                elif kind == 1:
                    self._file.read(6 * self._receive(">xHH")[1])
        except (struct.error, OSError):
            pass

    def _cut_text(self, data, extended):
        if not extended:
            self._texts.put(data)
            return
        flags, = struct.unpack(">I", data[:4])
        if flags & CAPS:
            self._clipboard(CAPS | REQUEST | NOTIFY | PROVIDE | TEXT, struct.pack(">I", 1 << 20))
        elif flags & NOTIFY:
            self.offers.put(bool(flags & TEXT))
        elif flags & REQUEST:
            self.requests += 1
            if self._offered is not None:
                text = self._offered + b"\0"
                self._clipboard(PROVIDE | TEXT, zlib.compress(struct.pack(">I", len(text)) + text))
        elif flags & PROVIDE:
            body = zlib.decompressobj().decompress(data[4:])
            size, = struct.unpack(">I", body[:4])
            self._texts.put(body[4:4 + size].rstrip(b"\0"))

    def _clipboard(self, flags, data=b""):
        self._send(">B3xiI", 6, -(4 + len(data)), flags, data=data)

    def pointer(self, x, y, buttons=0):
        self._send(">BBHH", 5, buttons, x, y)

    def offer(self, data):
        """Tells the server that this text can be had; it is sent when the guest asks."""
        self._offered = data
        self._clipboard(NOTIFY | TEXT)

    def fetch(self, timeout=15):
        """Asks for the guest's text. Wait on `offers` first."""
        self._clipboard(REQUEST | TEXT)
        try:
            return self._texts.get(timeout=timeout)
        except queue.Empty:
            raise vm.Failure("the VNC server sent no text")

    def close(self):
        vm.hang_up(self._sock)
