# SPDX-License-Identifier: LGPL-2.1-or-later
"""The host's end of the agent port, written by hand: the test plays spice-server, politely or not."""

import contextlib
import queue
import struct
import threading
import time

import vm

CLIENT, SERVER = 1, 2
(MOUSE_STATE, MONITORS_CONFIG, REPLY, CLIPBOARD, DISPLAY_CONFIG, ANNOUNCE_CAPABILITIES, CLIPBOARD_GRAB,
 CLIPBOARD_REQUEST, CLIPBOARD_RELEASE, FILE_XFER_START, FILE_XFER_STATUS, FILE_XFER_DATA, CLIENT_DISCONNECTED,
 MAX_CLIPBOARD, AUDIO_VOLUME_SYNC, GRAPHICS_DEVICE_INFO) = range(1, 17)

# mouse, monitors, reply, clipboard by demand, selection, sparse monitors, guest line ends, max clipboard, audio,
# position, file transfer disabled, detailed errors of file transfers, graphics device info, no release on regrab,
# grab serial
ALL_CAPS = sum(1 << bit for bit in (0, 1, 2, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17))


def chunk(data, port=CLIENT):
    return struct.pack("<II", port, len(data)) + data


def header(kind, size, protocol=1):
    return struct.pack("<IIQI", protocol, kind, 0, size)


def message(kind, body=b"", port=CLIENT):
    """A message in chunks of at most 2048 bytes."""
    whole = header(kind, len(body)) + body
    return b"".join(chunk(whole[start:start + 2048], port) for start in range(0, len(whole), 2048))


def mouse(x, y, buttons=0, display=0):
    return message(MOUSE_STATE, struct.pack("<IIIB", x, y, buttons, display), SERVER)


def caps(bits=ALL_CAPS, request=1):
    return message(ANNOUNCE_CAPABILITIES, struct.pack("<II", request, bits))


def file_start(number, name, size):
    text = b"[vdagent-file-xfer]\nname=" + name + b"\nsize=%d\n\0" % size
    return message(FILE_XFER_START, struct.pack("<I", number) + text)


def grab(types=(1,), selection=0, serial=0):
    return message(CLIPBOARD_GRAB, struct.pack("<BxxxI%dI" % len(types), selection, serial, *types))


def examples():
    """A valid body for each type of message."""
    return {MOUSE_STATE: struct.pack("<IIIB", 10, 10, 0, 0),
            MONITORS_CONFIG: struct.pack("<II5I", 1, 0, 600, 800, 32, 0, 0),
            REPLY: struct.pack("<II", MONITORS_CONFIG, 1),
            CLIPBOARD: struct.pack("<BxxxI", 0, 1) + b"text",
            DISPLAY_CONFIG: struct.pack("<II", 0, 0),
            ANNOUNCE_CAPABILITIES: struct.pack("<II", 1, ALL_CAPS),
            CLIPBOARD_GRAB: struct.pack("<BxxxII", 0, 0, 1),
            CLIPBOARD_REQUEST: struct.pack("<BxxxI", 0, 1),
            CLIPBOARD_RELEASE: struct.pack("<Bxxx", 0),
            FILE_XFER_START: struct.pack("<I", 7) + b"[vdagent-file-xfer]\nname=wire.txt\nsize=4\n\0",
            FILE_XFER_STATUS: struct.pack("<II", 7, 1),
            FILE_XFER_DATA: struct.pack("<IQ", 7, 4) + b"data",
            CLIENT_DISCONNECTED: b"",
            MAX_CLIPBOARD: struct.pack("<i", 1 << 20),
            AUDIO_VOLUME_SYNC: struct.pack("<BBBHH", 1, 0, 2, 100, 100),
            GRAPHICS_DEVICE_INFO: struct.pack("<IIIII", 1, 0, 0, 0, 11) + b"pci/0000/04\0"[:11]}


class Host:
    """A connection to the port. Messages from the guest are collected as (type, body)."""

    def __init__(self, path):
        self._path = path
        self._sock = None
        self.received = queue.Queue()
        self.connect()

    def connect(self):
        self.close()
        self._sock = vm.unix_connect(self._path)
        self.received = queue.Queue()
        threading.Thread(target=self._read, args=(self._sock, self.received), daemon=True).start()
        # A guest that was busy has not seen the port closed, and waits for the rest of what was sent before.
        self.send(message(CLIENT_DISCONNECTED, port=SERVER))

    def _read(self, sock, received):
        file = sock.makefile("rb")
        buffers = {CLIENT: b"", SERVER: b""}
        try:
            while True:
                port, size = struct.unpack("<II", file.read(8))
                buffers[port] = buffers.get(port, b"") + file.read(size)
                while len(buffers[port]) >= 20:
                    _, kind, _, length = struct.unpack("<IIQI", buffers[port][:20])
                    if len(buffers[port]) < 20 + length:
                        break
                    received.put((kind, buffers[port][20:20 + length]))
                    buffers[port] = buffers[port][20 + length:]
        except (OSError, struct.error, ValueError):
            received.put((None, b""))

    def send(self, data):
        self._sock.sendall(data)

    def wait(self, kind, timeout=10, check=lambda body: True):
        """The body of the next message of that type."""
        end = time.monotonic() + timeout
        while True:
            try:
                got, body = self.received.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise vm.Failure("no message of type %d from the agent within %g s" % (kind, timeout))
            if got == kind and check(body):
                return body

    def quiet(self, seconds=1):
        """Takes what the guest still has to say, until it has been silent for a while."""
        with contextlib.suppress(queue.Empty):
            while True:
                self.received.get(timeout=seconds)

    def handshake(self, timeout=15):
        """Introduces a client and returns the guest's capabilities."""
        end = time.monotonic() + timeout
        while True:
            self.send(caps())
            try:
                return struct.unpack("<I", self.wait(ANNOUNCE_CAPABILITIES, 2)[4:8])[0]
            except vm.Failure:
                if time.monotonic() > end:
                    raise

    def close(self):
        if self._sock:
            vm.hang_up(self._sock)
            self._sock = None
