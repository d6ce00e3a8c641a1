#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""spice-pvmouse as a whole: this is its host on a unix socket and the reader of its events on a FIFO."""

import collections
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

PROGRAM = os.path.join(os.path.abspath(os.environ.get("BUILD", "build")), "spice-pvmouse")
LIMIT = 20  # seconds that anything may take

HELLO, STATE, MOTION, RELEASE, CREDIT = range(1, 6)
MAGIC = 0x45535650
ALL = 7
EVENT = struct.Struct("qqHHi")
SYN, KEY, REL, ABS = range(4)
ABS_X, ABS_Y = 0, 1
REL_X, REL_Y, REL_WHEEL, REL_WHEEL_HI_RES = 0, 1, 8, 11
LEFT, RIGHT = 0x110, 0x111
REPORT = (SYN, 0, 0)


def hello(nonce, version=1, features=ALL):
    return struct.pack("<BBHIIHHII", HELLO, 0, 0, nonce, MAGIC, version, 0, features, 0)


def state(x, y, buttons=0, wheel=0, display=0, sequence=0):
    return struct.pack("<BBHIHHHhh6x", STATE, 0, display, sequence, x, y, buttons, wheel, 0)


def motion(dx, dy, buttons=0):
    return struct.pack("<BBHIhhHhh6x", MOTION, 0, 0, 0, dx, dy, buttons, 0, 0)


def release():
    return struct.pack("<BBHI16x", RELEASE, 0, 0, 0)


def layout(box, *displays):
    data = struct.pack("<iiII", *box)
    for display in displays:
        data += struct.pack("<IIiiIII", *display)
    return data.ljust(16 + 16 * 28, b"\0")


class Guest:
    """A running daemon with its host and its reader."""

    def __init__(self, listener=None):
        """`listener`: a layout socket to be passed as systemd does it."""
        self.directory = tempfile.TemporaryDirectory(prefix="spice-pv-")
        self.port, self.fifo, self.layout_path = (os.path.join(self.directory.name, name)
                                                  for name in ("port", "events", "layout"))
        port = socket.socket(socket.AF_UNIX)
        port.bind(self.port)
        port.listen(1)
        os.mkfifo(self.fifo)
        self.events_fd = os.open(self.fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.log = tempfile.TemporaryFile()
        command = [PROGRAM, "--port", self.port, "--uinput", self.fifo, "--layout-socket", self.layout_path]
        if listener:
            command = ["sh", "-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\" 3<&%d" % listener.fileno()] + command
        # A leak check at the end would need what the sandbox refuses.
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=self.log, pass_fds=[listener.fileno()] if listener else [],
            env=dict(os.environ, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"))
        port.settimeout(LIMIT)
        self.host = port.accept()[0]
        port.close()
        self.host.setblocking(False)
        self.read = b""
        self.raw = b""
        self.events = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.host.close()
        os.close(self.events_fd)
        self.log.close()
        self.directory.cleanup()

    def pump(self, timeout):
        """Reads what is there; waits for it at most so long. False if nothing came."""
        ready = select.select([self.host, self.events_fd], [], [], timeout)[0]
        if self.events_fd in ready:
            data = os.read(self.events_fd, 1 << 16)
            self.raw += data
            end = len(self.raw) // EVENT.size * EVENT.size
            self.events += [event[2:] for event in EVENT.iter_unpack(self.raw[:end])]
            self.raw = self.raw[end:]
            if not data:  # the daemon has ended
                ready.remove(self.events_fd)
                time.sleep(0.01)
        if self.host in ready:
            try:
                data = self.host.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            self.read += data
            if not data:
                ready.remove(self.host)
                time.sleep(0.01)
        return bool(ready)

    def until(self, condition, what):
        end = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < end, "no %s within %d s; events %s, log %s" % (
                what, LIMIT, self.events[-20:], self.logged())
            self.pump(0.1)

    def send(self, *frames):
        data = b"".join(frames)
        while data:
            try:
                data = data[self.host.send(data):]
            except BlockingIOError:
                self.pump(0.01)

    def frame(self):
        """The next frame from the guest: type, sequence, body."""
        self.until(lambda: len(self.read) >= 24, "frame from the guest")
        frame, self.read = self.read[:24], self.read[24:]
        return frame[0], struct.unpack_from("<I", frame, 4)[0], frame[8:]

    def hello(self):
        """Expects HELLO; returns the nonce."""
        kind, nonce, body = self.frame()
        assert kind == HELLO and nonce != 0, (kind, nonce)
        assert struct.unpack("<IHHII", body) == (MAGIC, 1, 0, ALL, 256), body
        return nonce

    def open(self):
        self.send(hello(self.hello()))
        return self

    def expect(self, *events):
        """Exactly these events are next."""
        self.until(lambda: len(self.events) >= len(events), "events %s" % (events,))
        got, self.events = self.events[:len(events)], self.events[len(events):]
        assert got == list(events), "events %s, not %s" % (got, list(events))

    def expect_nothing(self):
        """A probe is the next to be seen, but for motion."""
        self.send(state(0, 0, 0, 120), state(0, 0, 0, -120))
        self.until(lambda: self.events and (REL, REL_WHEEL, -1) in self.events, "probe")
        before = self.events[:self.events.index((REL, REL_WHEEL_HI_RES, 120))]
        assert all(event[0] in (ABS, SYN) for event in before), before
        del self.events[:]

    def logged(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def until_logged(self, text):
        self.until(lambda: text in self.logged(), "“%s” in the log" % text)

    def status(self, field):
        with open("/proc/%d/status" % self.process.pid) as file:
            for line in file:
                if line.startswith(field + ":"):
                    return line.split(":", 1)[1].split()[0]
        raise KeyError(field)

    def connect(self):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.until(lambda: os.path.exists(self.layout_path), "layout socket")
        sock.connect(self.layout_path)
        sock.settimeout(LIMIT)
        return sock


def closed(sock):
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=LIMIT)


def test_options():
    assert run("--version").stdout.startswith("spice-pvmouse "), "--version"
    for option in ("--port", "--uinput", "--layout-socket", "--debug", "--version"):
        assert option in run("--help").stdout, option
    assert run("--nonsense").returncode == 1
    assert run("argument").returncode == 1


def test_without_port():
    result = run("--port", "/nowhere/port")
    assert result.returncode == 0, result
    assert result.stderr.count("\n") == 1 and "/nowhere/port" in result.stderr, result


def test_without_uinput():
    result = run("--port", "/dev/null", "--uinput", "/nowhere/uinput")
    assert result.returncode == 1 and "modprobe uinput" in result.stderr, result


def test_pointer():
    with Guest() as guest:
        guest.open()
        guest.send(state(100, 200, 1))
        guest.expect((ABS, ABS_X, 101), (ABS, ABS_X, 100), (ABS, ABS_Y, 201), (ABS, ABS_Y, 200), (KEY, LEFT, 1), REPORT)
        guest.send(state(101, 200, 1))
        guest.expect((ABS, ABS_X, 101), REPORT)
        guest.send(state(101, 200, 0, -120))
        guest.expect((KEY, LEFT, 0), (REL, REL_WHEEL_HI_RES, -120), (REL, REL_WHEEL, -1), REPORT)
        guest.send(motion(-3, 2))
        guest.expect((REL, REL_X, -3), (REL, REL_Y, 2), REPORT)
        # Frames written in one go: motion coalesces, edges do not.
        guest.send(*[state(n, n) for n in range(50)], state(60, 60, 1), state(61, 61),
                   *[state(n, n) for n in range(70, 80)])
        guest.until(lambda: (ABS, ABS_Y, 79) in guest.events, "last position")
        keys = [event for event in guest.events if event[0] == KEY]
        assert keys == [(KEY, LEFT, 1), (KEY, LEFT, 0)], keys


def test_cut_frames():
    with Guest() as guest:
        nonce = guest.hello()
        for byte in hello(nonce) + state(7, 7, 1) + state(7, 7):
            guest.send(bytes([byte]))
            guest.pump(0)
        guest.expect((ABS, ABS_X, 6), (ABS, ABS_X, 7), (ABS, ABS_Y, 6), (ABS, ABS_Y, 7), (KEY, LEFT, 1), REPORT,
                     (KEY, LEFT, 0), REPORT)


def test_stale_frames():
    with Guest() as guest:
        nonce = guest.hello()
        guest.send(state(1, 1, 1)[5:], state(2, 2, 2), hello(nonce ^ 1), hello(0), hello(nonce), state(3, 3))
        guest.expect((ABS, ABS_X, 2), (ABS, ABS_X, 3), (ABS, ABS_Y, 2), (ABS, ABS_Y, 3), REPORT)


def test_credit():
    with Guest() as guest:
        guest.open()
        for _ in range(10):
            guest.send(*[state(n, n) for n in range(128)])
            kind, _, body = guest.frame()
            assert kind == CREDIT and struct.unpack_from("<I", body)[0] == 128, (kind, body)
        guest.send(*[state(n, n) for n in range(127)])
        guest.expect_nothing()  # two frames more
        kind, _, body = guest.frame()
        assert kind == CREDIT and struct.unpack_from("<I", body)[0] in (128, 129), (kind, body)


def test_release_on_end():
    with Guest() as guest:
        guest.open()
        guest.send(state(0, 0, 5))
        guest.until(lambda: REPORT in guest.events, "report")
        del guest.events[:]
        guest.host.shutdown(socket.SHUT_RDWR)
        guest.expect((KEY, LEFT, 0), (KEY, RIGHT, 0), REPORT)
        assert guest.process.wait(LIMIT) == 0, guest.logged()


def test_release_on_invitation():
    with Guest() as guest:
        guest.open()
        guest.send(state(9, 9, 1))
        guest.until(lambda: REPORT in guest.events, "report")
        del guest.events[:]
        guest.send(hello(0), state(1, 1, 2))  # a new host, and what its predecessor left
        guest.expect((KEY, LEFT, 0), REPORT)
        guest.open()
        guest.send(state(9, 9, 1), release())
        guest.expect((ABS, ABS_X, 8), (ABS, ABS_X, 9), (ABS, ABS_Y, 8), (ABS, ABS_Y, 9), (KEY, LEFT, 1), REPORT,
                     (KEY, LEFT, 0), REPORT)


def test_garbage():
    with Guest() as guest:
        guest.open()
        rng = random.Random(1)
        before = int(guest.status("VmRSS"))
        for _ in range(40):
            guest.send(rng.randbytes(24 * 1000))  # whole frames, so that the step is kept
        bad = bytearray(state(1, 1))
        bad[23] = 1
        guest.send(bytes(bad) * 10000)
        guest.send(hello(0))
        guest.until(lambda: len(guest.read) >= 24 and guest.read[-24] == HELLO, "HELLO")
        while guest.read:
            kind, nonce, _ = guest.frame()
        guest.send(hello(nonce))
        del guest.events[:]
        guest.send(state(5, 5, 0, 120))
        guest.until(lambda: (REL, REL_WHEEL, 1) in guest.events, "wheel")
        lines = guest.logged().splitlines()
        assert 1 <= len([line for line in lines if "host: " in line]) <= 20, lines
        assert int(guest.status("VmRSS")) - before < 1024, "grows"


def test_out_of_step():
    with Guest() as guest:
        guest.open()
        guest.send(state(5, 5, 1), bytes([HELLO]) + bytes(23))
        guest.until_logged("host: starting over")
        guest.open()
        guest.send(hello(77))  # the second within a second: its HELLO waits
        begin = time.monotonic()
        guest.open()
        assert 0.5 < time.monotonic() - begin < 3, time.monotonic() - begin
        guest.send(state(1, 1, 0, 120))
        guest.until(lambda: (REL, REL_WHEEL, 1) in guest.events, "wheel")


def test_layout():
    with Guest() as guest:
        guest.open()
        sock = guest.connect()
        guest.send(state(32768, 32768))
        guest.expect((ABS, ABS_X, 32769), (ABS, ABS_X, 32768), (ABS, ABS_Y, 32769), (ABS, ABS_Y, 32768), REPORT)
        two = layout((0, 0, 2000, 1000), (1000, 1000, 1000, 0, 1000, 1000, 0), (1000, 1000, 0, 0, 1000, 1000, 0))
        sock.send(two)

        def moved():
            guest.send(state(32768, 32768), state(32768, 32768, 0, 120))
            guest.until(lambda: (REL, REL_WHEEL, 1) in guest.events, "wheel")
            found = (ABS, ABS_X, 49164) in guest.events
            del guest.events[:]
            return found

        guest.until(moved, "new layout")
        guest.send(state(32768, 32768, display=1))
        guest.expect((ABS, ABS_X, 16396), REPORT)
        for bad in (two[:-1], two + b"x", b"", two[:16].ljust(len(two), b"\xff")):
            other = guest.connect()
            other.send(bad) if bad else other.close()
            assert not bad or closed(other), bad
        guest.until_logged("session: a layout of")
        # The good one stays in force after its sender has gone.
        sock.close()
        guest.send(state(32768, 32768, display=0))
        guest.expect((ABS, ABS_X, 49164), REPORT)


def test_layout_socket_passed():
    with tempfile.TemporaryDirectory(prefix="spice-pv-") as directory:
        path = os.path.join(directory, "passed")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(path)
        listener.listen(1)
        with Guest(listener) as guest, listener:
            guest.layout_path = path
            guest.open().connect().send(layout((0, 0, 10, 10), (10, 10, 0, 0, 5, 5, 0)))

            def halved():
                guest.send(state(65535, 65535), state(65535, 65535, 0, 120))
                guest.until(lambda: (REL, REL_WHEEL, 1) in guest.events, "wheel")
                return any(event[:2] == (ABS, ABS_X) and 30000 < event[2] < 35000 for event in guest.events)

            guest.until(halved, "layout by the passed socket")


def test_layout_connections():
    with Guest() as guest:
        guest.open()
        socks = [guest.connect() for _ in range(50)]
        for sock in socks[:46]:
            assert closed(sock)
        socks[-1].send(layout((0, 0, 10, 10), (10, 10, 0, 0, 10, 10, 0)))
        guest.expect_nothing()
        for sock in socks:
            sock.close()
        if os.geteuid() == 0:
            os.chmod(guest.directory.name, 0o755)
            os.chmod(guest.layout_path, 0o666)
            child = os.fork()
            if child == 0:
                os.setuid(65534)
                os._exit(0 if closed(guest.connect()) else 1)
            assert os.waitpid(child, 0)[1] == 0
            guest.until_logged("uid 65534 may not")


def test_sandbox():
    with Guest() as guest:
        guest.open()
        assert guest.status("Seccomp") == "2" and guest.status("NoNewPrivs") == "1"
        assert int(guest.status("CapEff"), 16) == int(guest.status("CapPrm"), 16) == 0
        assert guest.status("Threads") == "1"


def test_idle():
    with Guest() as guest:
        guest.open()
        guest.connect()
        guest.expect_nothing()
        guest.pump(0.2)
        before = guest.status("voluntary_ctxt_switches")
        assert not guest.pump(2)
        assert guest.status("voluntary_ctxt_switches") == before, "it woke up"


def test_flood():
    """A million frames within the credit: nothing is lost and memory stays."""
    with Guest() as guest:
        guest.open()
        batch = 128
        frames = b"".join(state(n * 511, 65535 - n * 511, 1 if n == 40 else 0, 120 if n == 80 else 0)
                          for n in range(batch))
        count = -(-1000000 // batch)
        seen = collections.Counter()
        early = None
        for n in range(count):
            guest.send(frames)
            kind, _, body = guest.frame()
            assert kind == CREDIT and struct.unpack_from("<I", body)[0] == batch
            seen.update(event for event in guest.events if event[0] != ABS)
            del guest.events[:]
            if n == count // 10:
                early = int(guest.status("VmRSS"))
        late = int(guest.status("VmRSS"))
        while guest.pump(0.1):
            pass
        seen.update(guest.events)
        for event in (KEY, LEFT, 1), (KEY, LEFT, 0), (REL, REL_WHEEL, 1):
            assert seen[event] == count, (event, seen[event], count)
        assert late - early < 64, "RSS went from %d to %d kB" % (early, late)


def test_terminate():
    with Guest() as guest:
        guest.open()
        guest.process.send_signal(signal.SIGTERM)
        assert guest.process.wait(LIMIT) in (0, -signal.SIGTERM)


def main():
    failed = False
    for name, test in sorted(globals().items()):
        if not name.startswith("test_"):
            continue
        label = "session/pvmouse-" + name[5:].replace("_", "-")
        try:
            test()
            print(label + ": pass", flush=True)
        except Exception as error:  # pylint: disable=broad-except
            failed = True
            print("%s: fail\n    %s: %s" % (label, type(error).__name__, error), flush=True)
    return failed


sys.exit(main())
