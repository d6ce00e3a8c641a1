# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests of spice-agent-session share: private buses, a system daemon's stand-in, and the daemon itself."""

import atexit
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

from gi.repository import Gio, GLib

BUILD = os.environ["BUILD"]
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join(BUILD, "spice-agent-session")
AGENT, AGENT_PATH = "org.spice_space.Agent1", "/org/spice_space/Agent1"
SESSION, SESSION_PATH = "org.spice_space.AgentSession1", "/org/spice_space/AgentSession1"
PROPERTIES = "org.freedesktop.DBus.Properties"
LIMIT = 30  # seconds that anything may take

(MOUSE_STATE, MONITORS_CONFIG, REPLY, CLIPBOARD, DISPLAY_CONFIG, ANNOUNCE, GRAB, REQUEST, RELEASE, FILE_START,
 FILE_STATUS, FILE_DATA, CLIENT_DISCONNECTED, MAX_CLIPBOARD, VOLUME, DEVICES) = range(1, 17)
(CAN_SEND, CANCELLED, ERROR, SUCCESS, NO_SPACE, LOCKED, NOT_CONNECTED, DISABLED) = range(8)
(CAP_MONITORS, CAP_REPLY, CAP_BY_DEMAND, CAP_SELECTION, CAP_SPARSE, CAP_POSITION, CAP_FILES_DISABLED, CAP_DETAILED,
 CAP_SERIAL) = (1, 2, 5, 6, 7, 12, 13, 14, 17)
CLIENT_CAPS = sum(1 << cap for cap in (CAP_MONITORS, CAP_BY_DEMAND, CAP_SELECTION, CAP_DETAILED, CAP_SERIAL))

context = GLib.MainContext.default()


def until(condition, what, limit=LIMIT):
    """Run the main loop until the condition gives something true, which is returned."""
    end = time.monotonic() + limit
    while True:
        while context.iteration(False):
            pass
        result = condition()
        if result:
            return result
        assert time.monotonic() < end, "not within %d s: %s" % (limit, what)
        time.sleep(0.005)


def settle(seconds=0.3):
    """Give what must not happen the time to happen."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() > end, "time")


class Bus:
    def __init__(self, config="--session"):
        self.process = subprocess.Popen(["dbus-daemon", config, "--nofork", "--print-address=1"],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        atexit.register(self.process.kill)
        self.address = self.process.stdout.readline().strip()

    def connect(self):
        flags = Gio.DBusConnectionFlags
        return Gio.DBusConnection.new_for_address_sync(
            self.address, flags.AUTHENTICATION_CLIENT | flags.MESSAGE_BUS_CONNECTION, None, None)

    def stop(self):
        self.process.kill()
        self.process.wait()


def message(kind, body=b"", size=None):
    return struct.pack("<IIQI", 1, kind, 0, len(body) if size is None else size) + body


def announce(request=1, caps=CLIENT_CAPS):
    return message(ANNOUNCE, struct.pack("<II", request, caps))


def file_start(number, name, size):
    keys = b"[vdagent-file-xfer]\nname=%s\nsize=%d\n" % (name if isinstance(name, bytes) else name.encode(), size)
    return message(FILE_START, struct.pack("<I", number) + keys + b"\0")


def file_data(number, data):
    return message(FILE_DATA, struct.pack("<IQ", number, len(data)) + data)


class End:
    """The system daemon's end of one socket."""

    def __init__(self, sock):
        self.sock = sock
        self.bytes = bytearray()  # 50 MB come in small pieces
        self.messages = []  # (type, body)
        self.closed = False

    def read(self):
        while not self.closed:
            try:
                data = self.sock.recv(1 << 16, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except ConnectionResetError:
                data = b""
            self.closed = not data
            self.bytes += data
        while len(self.bytes) >= 20:
            _, kind, _, size = struct.unpack_from("<IIQI", self.bytes)
            if len(self.bytes) < 20 + size:
                break
            self.messages.append((kind, bytes(self.bytes[20:20 + size])))
            del self.bytes[:20 + size]

    def send(self, data):
        """Send all, while the main loop runs."""
        view = memoryview(data)
        end = time.monotonic() + LIMIT
        while view:
            try:
                view = view[self.sock.send(view, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL):]
            except BlockingIOError:
                assert time.monotonic() < end, "the daemon does not read"
                context.iteration(False)
                self.read()
                select.select([], [self.sock], [], 0.05)

    def take(self, kind, limit=LIMIT):
        """The body of the next message of a type; others before it are dropped."""
        def found():
            self.read()
            while self.messages:
                have, body = self.messages.pop(0)
                if have == kind:
                    return (body,)
            return None
        return until(found, "a message of type %d" % kind, limit)[0]

    def status(self, number):
        while True:
            body = self.take(FILE_STATUS)
            which, result = struct.unpack_from("<II", body)
            if which == number:
                return result, body[8:]


XML = open(os.path.join(TOP, "protocol", "org.spice_space.Agent1.xml"), encoding="utf-8").read()


class Agent:
    """org.spice_space.Agent1 as far as the session daemon needs it."""

    def __init__(self, bus, active="1"):
        self.active = active
        self.refuse = None  # D-Bus error name for OpenSession
        self.mute = 0       # how often ActiveSession cannot be read
        self.calls = []     # options of each OpenSession
        self.layouts = []
        self.control = self.files = None
        self.bus = bus.connect()
        info = Gio.DBusNodeInfo.new_for_xml(XML).interfaces[0]
        self.bus.register_object(AGENT_PATH, info, self.on_call, self.on_get, None)
        self.own()

    def own(self):
        self.bus.call_sync("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "RequestName",
                           GLib.Variant("(su)", (AGENT, 4)), None, 0, -1, None)

    def disown(self):
        self.bus.call_sync("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "ReleaseName",
                           GLib.Variant("(s)", (AGENT,)), None, 0, -1, None)
        self.close()

    def on_get(self, _bus, _sender, _path, _interface, name):
        if name != "ActiveSession" or self.mute:
            self.mute = max(self.mute - 1, 0)
            return None  # which is an error
        return GLib.Variant("s", self.active)

    def on_call(self, _bus, _sender, _path, _interface, method, parameters, invocation):
        if method == "SetLayout":
            self.layouts.append(parameters.unpack()[0])
            invocation.return_value(None)
        elif method == "OpenSession":
            self.calls.append(parameters.unpack()[0])
            if self.refuse:
                invocation.return_dbus_error(self.refuse, "refused by the test")
                return
            self.close()
            fds = Gio.UnixFDList.new()
            ends = []
            for _ in range(2):
                ours, theirs = socket.socketpair()
                fds.append(theirs.fileno())
                theirs.close()
                ends.append(End(ours))
            self.control, self.files = ends
            info = {"session": GLib.Variant("s", self.active), "class": GLib.Variant("s", "user"),
                    "clipboard": GLib.Variant("b", True), "files": GLib.Variant("b", True)}
            invocation.return_value_with_unix_fd_list(GLib.Variant("(hha{sv})", (0, 1, info)), fds)

    def set_active(self, active):
        self.active = active
        changed = GLib.Variant("(sa{sv}as)", (AGENT, {"ActiveSession": GLib.Variant("s", active)}, []))
        self.bus.emit_signal(None, AGENT_PATH, PROPERTIES, "PropertiesChanged", changed)

    def close(self):
        for end in (self.control, self.files):
            if end:
                end.sock.close()
        self.control = self.files = None

    def wait_open(self):
        until(lambda: self.files, "OpenSession")

    def client(self, caps=CLIENT_CAPS):
        """A SPICE client arrives; returns what the daemon announced."""
        self.wait_open()
        ends = self.control, self.files
        for end in ends:
            end.send(announce(caps=caps))
        words = [struct.unpack_from("<II", end.take(ANNOUNCE)) for end in ends]

        def alike():
            for i, end in enumerate(ends):
                end.read()
                for message in [message for message in end.messages if message[0] == ANNOUNCE]:
                    words[i] = struct.unpack_from("<II", message[1])
                    end.messages.remove(message)
            return words[0] == words[1]
        if words[0] != words[1]:  # what works has changed between the two, and is announced again
            until(alike, "the same on both sockets")
        assert words[0][0] == 0, words
        return words[0][1]


class Daemon:
    def __init__(self, system, session=None, config="", display=None, logind="1", args=(), env=(), user=None):
        self.directory = tempfile.TemporaryDirectory()
        if user is not None:
            os.chown(self.directory.name, user, -1)
        if config:
            with open(os.path.join(self.directory.name, "agent-session.conf"), "w", encoding="utf-8") as file:
                file.write(config)
        self.home = os.environ["HOME"]
        environment = dict(os.environ)
        for key in ("DISPLAY", "XAUTHORITY", "XDG_SESSION_ID", "DBUS_SESSION_BUS_ADDRESS"):
            environment.pop(key, None)
        environment["DBUS_SESSION_BUS_ADDRESS"] = session.address if session else "unix:path=/nonexistent"
        environment["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=/nonexistent"
        if display:
            environment["DISPLAY"] = display
        if logind:
            environment["XDG_SESSION_ID"] = logind
        environment.update(env)
        self.log = open(os.path.join(self.directory.name, "log"), "w+", encoding="utf-8")
        with open(PROGRAM, "rb") as program:
            # By its descriptor, since another user may be kept out of the directories that lead to it.
            self.process = subprocess.Popen([PROGRAM, "--debug", "--bus", system.address, "--config",
                                             self.directory.name, *args], env=environment, stdin=subprocess.DEVNULL,
                                            stdout=self.log, stderr=self.log, user=user, group=user,
                                            executable="/proc/self/fd/%d" % program.fileno(),
                                            pass_fds=[program.fileno()])
        atexit.register(self.process.kill)

    def text(self):
        with open(self.log.name, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_log(self, part, count=1):
        until(lambda: self.text().count(part) >= count, "log line %r" % part)

    def stat(self, key):
        with open("/proc/%d/status" % self.process.pid, encoding="utf-8") as file:
            return next(line.split()[1] for line in file if line.startswith(key + ":"))

    def wakeups(self):
        """Voluntary context switches of all threads: what idleness is measured by."""
        total = 0
        for thread in os.listdir("/proc/%d/task" % self.process.pid):
            with open("/proc/%d/task/%s/status" % (self.process.pid, thread), encoding="utf-8") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt"))
        return total

    def stop(self):
        """It must end by SIGTERM, cleanly."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        log = self.text()
        assert status == 0, "exit status %d\n%s" % (status, log[-4000:])
        assert "CRITICAL" not in log and "bug:" not in log, log[-4000:]
        self.log.close()
        self.directory.cleanup()


def property_of(bus, name):
    """A property of the session daemon, by a connection to its session bus; None while it has no name there."""
    try:
        value = bus.call_sync(SESSION, SESSION_PATH, PROPERTIES, "Get", GLib.Variant("(ss)", (SESSION, name)), None,
                              Gio.DBusCallFlags.NO_AUTO_START, 5000, None)
    except GLib.Error:
        return None
    return value.unpack()[0]


def main(name, cases):
    """Run each function of a list; a line for each as tests/run wants it."""
    chosen = [case for case in cases if len(sys.argv) < 2 or case.__name__ in sys.argv[1:]]
    failed = 0
    for case in chosen:
        label = "session/%s-%s" % (name, case.__name__.replace("_", "-"))
        try:
            case()
        except Exception:
            failed += 1
            print("%s: fail" % label)
            for line in traceback.format_exc().splitlines():
                print("    " + line)
        else:
            print("%s: pass" % label)
        sys.stdout.flush()
    sys.exit(1 if failed else 0)
