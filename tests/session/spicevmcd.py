# SPDX-License-Identifier: LGPL-2.1-or-later
"""spicevmc without a guest: the test is QEMU at the sockets of its channels, and the SPICE client, real or raw."""

import collections
import contextlib
import itertools
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "vm"))

import agentwire
import certificates
import harness
import rawspice
import vm
from vm import Failure, wait_for

PEAK_MAX = 30 * 1024  # KiB of memory that spicevmc may ever have

# At its end libspice-server forgets two small blocks of its own, which a sanitizer would report.
os.environ.setdefault("ASAN_OPTIONS", "detect_leaks=0")

HELLO, STATE, MOTION, RELEASE, CREDIT = range(1, 6)  # frames of pvmouse.md
MAGIC = 0x45535650
LEFT, MIDDLE, RIGHT = 1, 2, 4

# Capabilities of agents: VD_AGENT_CAP_*.
(CAP_MOUSE, CAP_MONITORS, CAP_REPLY, CAP_CLIPBOARD, _, CAP_BY_DEMAND, CAP_SELECTION, _, _, _, CAP_MAX, _, _,
 CAP_FILES_DISABLED, CAP_DETAILED) = range(15)
AGENT_CAPS = agentwire.ALL_CAPS & ~(1 << CAP_FILES_DISABLED)
TEXT, PNG = 1, 2
NONE = 0  # the clipboard type of an answer that has nothing

TICKET = "s3cret-t1cket"

# The greeting of QEMU's usb-redir.
USB_HELLO = struct.pack("<III", 0, 68, 0) + b"QEMU test".ljust(64, b"\0") + struct.pack("<I", rawspice.Usb.CAPS)

# Statuses of a file transfer.
(CAN_SEND, CANCELLED, ERROR, SUCCESS, NO_SPACE, LOCKED, NO_AGENT, DISABLED) = range(8)


def expect(got, wanted, what):
    if got != wanted:
        raise Failure("%s: %s, wanted %s" % (what, got, wanted))


def sanitized():
    """A sanitizer's memory is not the program's own."""
    with open(vm.Host.program(), "rb") as file:
        return b"__asan_init" in file.read()


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_picture(client, mark):
    """Until the client has a picture; that a display has none any more is an event, too."""
    wait_for(lambda: any(event["event"] == "display" and event["width"] > 0 for event in client.events[mark:]), 20,
             lambda: "no picture: %s" % client.events[mark:][-8:])


class Peer:
    """QEMU's end of a channel's socket. All that comes is kept in `data`; it can be told not to read."""

    def __init__(self, where, reading=True):
        """`where` is a path, or a connected socket."""
        self.sock = vm.unix_connect(where) if isinstance(where, str) else where
        self.data = bytearray()
        self.closed = False
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._reads = threading.Event()
        if reading:
            self._reads.set()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        part = b"."
        while part:
            self._reads.wait()
            try:
                part = self.sock.recv(65536)
            except OSError:
                part = b""
            with self._changed:
                self.data += part
                self.closed = not part
                if part:
                    with contextlib.suppress(OSError):  # it is answered, and has gone
                        self.take(part)
                self._changed.notify_all()

    def take(self, part):
        """What a kind of channel does with bytes that have come, in the reading thread."""

    def stop_reading(self):
        """From the next read on."""
        self._reads.clear()

    def read_some(self, size):
        """So much at most, while it does not read by itself."""
        part = self.sock.recv(size, socket.MSG_DONTWAIT)
        with self._changed:
            self.data += part
            self.take(part)
            self._changed.notify_all()

    def read_again(self):
        self._reads.set()

    def send(self, data):
        with self._sending:
            self.sock.sendall(data)

    def push(self, data, timeout=0.5):
        """Sends until nothing more goes for `timeout` seconds, or for good; returns how many bytes have gone."""
        sent = 0
        with self._sending, contextlib.suppress(ConnectionError):
            while sent < len(data) and select.select([], [self.sock], [], timeout)[1]:
                sent += self.sock.send(data[sent:sent + 65536], socket.MSG_DONTWAIT)
        return sent

    def wait(self, condition, timeout=10, what="bytes from spicevmc"):
        """Waits until condition() holds after some bytes; returns its value."""
        with self._changed:
            self._changed.wait_for(lambda: condition() or self.closed, timeout)
            value = condition()
        if not value:
            raise Failure("%s: %s" % ("spicevmc has hung up" if self.closed else "timeout",
                                      what() if callable(what) else what))
        return value

    def wait_data(self, wanted, timeout=10):
        self.wait(lambda: wanted in self.data, timeout,
                  lambda: "%r did not come; last %r" % (wanted[:80], self.data[-80:]))

    def wait_closed(self, timeout=10):
        with self._changed:
            if not self._changed.wait_for(lambda: self.closed, timeout):
                raise Failure("spicevmc should have hung up")

    def close(self):
        self._reads.set()
        vm.hang_up(self.sock)


class Agent(Peer):
    """The guest's agent. Messages are collected as (port, type, body), mouse states also in `mice`. It answers the
    announcement of a client, and then what it says counts, unless told otherwise."""

    def __init__(self, where, reading=True, announce=True, caps=AGENT_CAPS):
        self.messages = []
        self.mice = []
        self.caps = caps
        self.answers = announce
        self._chunks = b""
        self._streams = {}
        super().__init__(where, reading)
        if announce:
            self.send(agentwire.caps(caps))

    def take(self, part):
        self._chunks += part
        at = 0
        while len(self._chunks) - at >= 8:
            port, size = struct.unpack_from("<II", self._chunks, at)
            if len(self._chunks) - at - 8 < size:
                break
            self._streams[port] = self._streams.get(port, b"") + self._chunks[at + 8:at + 8 + size]
            at += 8 + size
            self._split(port)
        self._chunks = self._chunks[at:]

    def _split(self, port):
        stream = self._streams[port]
        if len(stream) < 20:
            return
        _, kind, _, size = struct.unpack_from("<IIQI", stream)
        if len(stream) < 20 + size:
            return
        body, self._streams[port] = stream[20:20 + size], stream[20 + size:]
        self.messages.append((port, kind, body))
        if kind == agentwire.MOUSE_STATE:
            x, y, buttons, display = struct.unpack("<IIIB", body)
            self.mice.append((x, y, buttons, display))
        if kind == agentwire.CLIENT_DISCONNECTED:
            self._streams[agentwire.CLIENT] = b""  # the rest of what it was saying will not come
        if kind == agentwire.ANNOUNCE_CAPABILITIES and self.answers and struct.unpack_from("<I", body)[0] == 1:
            self.send(agentwire.caps(self.caps, 0))
        self._split(port)

    def say(self, kind, body=b""):
        self.send(agentwire.message(kind, body))

    def wait_client(self):
        """The announcement of a client; spicevmc asks for an agent without one, too, and then says less."""
        return self.wait_message(agentwire.ANNOUNCE_CAPABILITIES,
                                 check=lambda body: struct.unpack_from("<I", body, 4)[0] >> CAP_REPLY & 1)

    def wait_message(self, kind, since=0, timeout=10, check=lambda body: True):
        """The body of the first message of that type after the first `since` ones."""
        def found():
            return [(body,) for _, got, body in self.messages[since:] if got == kind and check(body)]
        return self.wait(found, timeout, lambda: "no message of type %d for the agent" % kind)[0][0]


Frame = collections.namedtuple("Frame", "kind display sequence x y buttons wheel hwheel no_position time")


class Pointer(Peer):
    """The guest's pointer daemon. Input frames are collected in `frames`, with dx and dy as x and y for MOTION; credit
    is given back one by one unless `generous` is False."""

    _nonces = itertools.count(7)

    def __init__(self, where, credit=256, generous=True, features=7, hello=True, reading=True):
        self.frames = []
        self.answers = 0
        self.invitations = 0
        self.generous = generous
        self.nonce = 0
        self._buffer = b""
        super().__init__(where, reading)
        if hello:
            self.hello(credit, features)

    def hello(self, credit=256, features=7, wait=True):
        before = self.answers
        self.nonce = next(self._nonces)
        self.send(struct.pack("<B3xIIHHII", HELLO, self.nonce, MAGIC, 1, 0, features, credit))
        if wait:
            self.wait(lambda: self.answers > before, 10, "no answer to HELLO")

    def give(self, credit):
        self.send(struct.pack("<B7xI12x", CREDIT, credit))

    def take(self, part):
        self._buffer += part
        whole = len(self._buffer) // 24 * 24
        for start in range(0, whole, 24):
            self._frame(self._buffer[start:start + 24])
        self._buffer = self._buffer[whole:]

    def _frame(self, data):
        kind, flags, display, sequence, x, y, buttons, wheel, hwheel = struct.unpack(
            "<BBHIhhHhh6x" if data[0] == MOTION else "<BBHIHHHhh6x", data)
        if kind == HELLO:
            self.answers += sequence == self.nonce
            self.invitations += sequence == 0
            return
        self.frames.append(Frame(kind, display, sequence, x, y, buttons, wheel, hwheel, bool(flags & 1),
                                 time.monotonic()))
        if self.generous:
            self.give(1)

    def wait_frame(self, since=0, timeout=10, **fields):
        """The first frame after the first `since` ones with these values; the number of all up to it is `seen`."""
        def found():
            for number, frame in enumerate(self.frames[since:], since + 1):
                if all(getattr(frame, key) == value for key, value in fields.items()):
                    return number, frame
            return None
        self.seen, frame = self.wait(found, timeout, lambda: "no frame with %s; last: %s" % (fields, self.frames[-4:]))
        return frame


def edges(frames, button=LEFT, before=0):
    """What a button did: "p" and "r" for each edge."""
    text = ""
    for frame in frames:
        now = 0 if frame.kind == RELEASE else frame.buttons & button
        if now != before:
            text += "p" if now else "r"
        before = now
    return text


class Qemu:
    """QEMU as the one that listens, for a channel with server=off."""

    def __init__(self, path):
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.bind(path)
        self._sock.listen(5)
        self._sock.settimeout(10)

    def accept(self):
        return self._sock.accept()[0]

    def expect_none(self):
        """Nobody more has connected."""
        if select.select([self._sock], [], [], 0)[0]:
            raise Failure("a second connection was made")

    def close(self):
        self._sock.close()


class Monitor:
    """QEMU's monitor, which says yes to everything. `commands` is all it has heard; `mice` are the machine's, at first
    those given: TABLET, for one; of the sockets in `open` the guest has the ports open."""

    TABLET = {"name": "QEMU Virtio Tablet", "index": 2, "current": True, "absolute": True}

    def __init__(self, path, *mice, open=()):
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.bind(path)
        self._sock.listen(1)
        self.commands = []
        self.mice = list(mice)
        self.open = list(open)
        self._peer = None
        threading.Thread(target=self._serve, daemon=True).start()

    def _say(self, message):
        self._file.write(json.dumps(message).encode() + b"\r\n")

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                self._peer, _ = self._sock.accept()
                with contextlib.suppress(OSError, ValueError):  # it has gone, maybe in the middle of a line
                    self._talk()

    def _talk(self):
        with self._peer, self._peer.makefile("rwb", buffering=0) as self._file:
            self._say({"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""},
                               "capabilities": []}})
            for line in self._file:
                command = json.loads(line)
                self.commands.append(command)
                self._say({"return": self._answer(command["execute"])})

    def _answer(self, name):
        if name == "query-mice":
            return self.mice
        if name == "query-chardev":
            return [{"label": path, "filename": "unix:" + path, "frontend-open": True} for path in self.open]
        return {}

    def event(self, name, **data):
        self._say({"event": name, "data": data, "timestamp": {"seconds": 0, "microseconds": 0}})

    def keys(self):
        """(number, down) of each that was pressed or released."""
        return [(event["data"]["key"]["data"], event["data"]["down"]) for command in list(self.commands)
                for event in command.get("arguments", {}).get("events", ()) if event["type"] == "key"]

    def close(self):
        vm.hang_up(self._sock)
        if self._peer:
            vm.hang_up(self._peer)


def told(args, *changes):
    """These arguments with other values for some options."""
    args = list(args)
    for name, value in zip(changes[::2], changes[1::2]):
        if name in args:
            at = args.index(name)
            args[at:at + 2] = []
        args += [name, value]
    return args


class Machine:
    """spicevmc in a directory of its own; arguments as of vm.Host. Closes what was made through it.

    With `tcp` clients connect to a port, without TLS. `spice` is what rawspice connects to.
    """

    def __init__(self, start=True, tcp=False, **arguments):
        self.dir = tempfile.mkdtemp(prefix="spicevmc.")
        self.spice = os.path.join(self.dir, "spice.sock")
        if tcp:
            self.spice = "127.0.0.1", free_port()
            arguments["listen"] = "tcp:%s:%d" % self.spice
        self.host = vm.Host(self.dir, **arguments)
        self._opened = []
        self.peak = 0
        if start:
            self.host.start()

    def path(self, name):
        return os.path.join(self.dir, name)

    def opened(self, thing):
        self._opened.append(thing)
        return thing

    def agent(self, **arguments):
        return self.opened(Agent(self.host.paths["vdagent"], **arguments))

    def pointer(self, **arguments):
        pointer = self.opened(Pointer(self.host.paths["pvmouse"], **arguments))
        if pointer.answers:
            self.host.wait_sink("pvmouse", 5)
        return pointer

    def peer(self, kind, **arguments):
        return self.opened(Peer(self.host.paths[kind], **arguments))

    def client(self, connect=True):
        """The real client, connected up to its picture: one that goes earlier can take libspice-server with it."""
        client = self.opened(vm.Client(harness.build_client(), self.dir))
        if connect:
            self.connect(client)
        return client

    def connect(self, client, *properties):
        mark = client.mark()
        if isinstance(self.spice, str):
            client.connect(self.spice, *properties)
        else:
            client.command("connect", "tcp", self.spice[0], str(self.spice[1]), *properties)
        wait_picture(client, mark)

    def main(self, talk=True, caps=AGENT_CAPS, mode=True, **arguments):
        """A raw client that has introduced itself to the agent, once there is one, and has its own pointer."""
        main = self.opened(rawspice.Main(self.spice, **arguments))
        if talk:
            main.attach()
            main.wait_connected()
            main.start_agent(1000)
            main.agent(agentwire.ANNOUNCE_CAPABILITIES, struct.pack("<II", 1, caps))
            main.wait_agent(agentwire.ANNOUNCE_CAPABILITIES)
        if mode:
            main.wait_until(lambda: main.mouse_modes & rawspice.CLIENT_MODE, 10, "no client mouse mode")
            main.request_mode(rawspice.CLIENT_MODE)
            main.wait_until(lambda: main.mouse_mode == rawspice.CLIENT_MODE, 10, "no client mouse mode")
        return main

    def channel(self, kind, main, number=0, **arguments):
        return self.opened(kind(self.spice, number=number, session=main.session, **arguments))

    def inputs(self, main):
        return self.channel(rawspice.Inputs, main)

    def log(self):
        with open(self.path("spicevmc.log"), errors="replace") as file:
            return file.read()

    def logged(self, text, timeout=5):
        wait_for(lambda: text in self.log(), timeout, lambda: "no %r in the log:\n%s" % (text, self.log()[-2000:]))

    def status(self):
        return self.host.status()

    def counter(self, name):
        return self.status()["counters"][name]

    def check(self):
        """It lives, found no bug in itself and never had more memory than it may."""
        if not self.host.alive():
            self.host.status()  # says how it ended
        self.peak = max(self.peak, self.host.rss_peak())
        if self.peak > PEAK_MAX and not sanitized():
            raise Failure("spicevmc had %d KiB of memory" % self.peak)
        if "spicevmc: bug: " in self.log():
            raise Failure("spicevmc found a bug in itself:\n" + self.log()[-4000:])
        return self.peak

    def close(self):
        for thing in reversed(self._opened):
            with contextlib.suppress(OSError):
                thing.close()
        self.host.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *unused):
        """A crash is what a test failed of, whatever it saw of it."""
        ended, log = self.host.ended(), self.log() if kind else ""
        self.close()
        if kind and ended not in (None, 0, -signal.SIGKILL):
            raise Failure("spicevmc has ended with %d:\n%s" % (ended, log[-4000:]))


def ticket_file(m, text=TICKET + "\n", mode=0o600):
    path = m.path("ticket")
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


def tls(m, address="127.0.0.1", ticket=True):
    """Arguments for a server with TLS; m.ports are (plain, TLS). Its certificate is for 127.0.0.1."""
    m.ports = free_port(), free_port()
    m.ca = certificates.server(m.path("tls"))
    args = told(m.host.args, "--listen", "tcp:%s:%d" % (address, m.ports[0]))
    args += ["--tls-port", str(m.ports[1]), "--tls-ca", m.ca]
    for what in ("cert", "key"):
        args += ["--tls-" + what, m.path("tls/server-%s.pem" % what)]
    return args + (["--ticket-file", ticket_file(m)] if ticket else [])


def works(m, agent=None, pointer=None):
    """A new client, unmodified, clicks, pastes both ways and leaves, after whatever has happened."""
    if agent is None or agent.closed:
        agent = m.agent()
    if pointer is None or pointer.closed:
        pointer = m.pointer()
    client = m.client()
    client.wait_agent(10)
    since = len(pointer.frames)
    client.position(100, 100)
    client.click(1)
    pointer.wait(lambda: edges(pointer.frames[since:]).endswith("pr"), 10,
                 lambda: "no click: %s; %s" % (pointer.frames[since:], m.status()))
    since = len(agent.messages)
    client.offer(b"from the client")
    agent.wait_message(agentwire.CLIPBOARD_GRAB, since)
    agent.say(agentwire.CLIPBOARD_REQUEST, struct.pack("<BxxxI", 0, TEXT))
    got = agent.wait_message(agentwire.CLIPBOARD, since)
    expect(got[8:], b"from the client", "paste in the guest")
    mark = client.mark()
    serial = struct.unpack_from("<I", agent.wait_message(agentwire.CLIPBOARD_GRAB, since), 4)[0]
    agent.send(agentwire.grab(serial=serial + 1))
    client.wait_event("grab", mark)
    since = len(agent.messages)
    started, path = client.fetch_start()
    agent.wait_message(agentwire.CLIPBOARD_REQUEST, since)
    agent.say(agentwire.CLIPBOARD, struct.pack("<BxxxI", 0, TEXT) + b"from the guest")
    answer = client.finish(started)
    if not answer["ok"] or open(path, "rb").read() != b"from the guest":
        raise Failure("paste in the client: %s" % answer)
    client.close()
    wait_for(lambda: not m.status()["clients"], 5, "the client should have gone")
    m.check()


def machine(**options):
    """Decorator: how the Machine of a test is made."""
    def mark(test):
        test.machine = options
        return test
    return mark


class Skip(Exception):
    pass


def run(module, prefix):
    """Runs the test functions of a module, of one Machine argument or of none, and prints their results."""
    failed = False
    only = sys.argv[1:]
    for test in [value for name, value in list(module.items()) if name.startswith("test_")]:
        name = "session/%s-%s" % (prefix, test.__name__[5:].replace("_", "-"))
        if only and not any(word in name for word in only):
            continue
        began = time.monotonic()
        peak = 0
        try:
            if test.__code__.co_argcount:
                with Machine(**getattr(test, "machine", {})) as m:
                    try:
                        test(m)
                        peak = m.check()
                    except Exception:
                        sys.stderr.write("    log of spicevmc: " + m.log()[-3000:].replace("\n", "\n    ") + "\n")
                        m.check()  # that it has ended says more than what follows from it
                        raise
            else:
                test()
            print("%s: pass" % name, flush=True)
        except Skip as skip:
            print("%s: skip (%s)" % (name, skip), flush=True)
        except Exception as error:
            failed = True
            print("%s: fail\n    %s: %s" % (name, type(error).__name__, str(error).replace("\n", "\n    ")), flush=True)
            traceback.print_exc()
        sys.stderr.write("%s: %.1f s, peak %d KiB\n" % (name, time.monotonic() - began, peak))
    sys.exit(1 if failed else 0)
