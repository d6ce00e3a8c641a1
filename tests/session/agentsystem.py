# SPDX-License-Identifier: LGPL-2.1-or-later
"""A spice-agent-system with all its neighbours played: bus, logind, host, uinput, session daemons."""

import contextlib
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
import time

import dbus
import dbus.bus
import dbus.mainloop.glib
import dbus.service

AGENT, AGENT_PATH = "org.spice_space.Agent1", "/org/spice_space/Agent1"
LOGIN, LOGIN_PATH = "org.freedesktop.login1", "/org/freedesktop/login1"
PROPERTIES = "org.freedesktop.DBus.Properties"
MOCK = "org.spice_space.Test1"
DAEMON = os.path.join(os.environ["BUILD"], "spice-agent-system")

(MOUSE_STATE, MONITORS_CONFIG, REPLY, CLIPBOARD, DISPLAY_CONFIG, ANNOUNCE, GRAB, REQUEST, RELEASE, FILE_START, FILE_STATUS,
 FILE_DATA, CLIENT_DISCONNECTED, MAX_CLIPBOARD, VOLUME, DEVICE_INFO) = range(1, 17)
CLIENT_PORT, SERVER_PORT = 1, 2
(CAP_MOUSE, CAP_MONITORS, CAP_REPLY, CAP_CLIPBOARD, CAP_DISPLAY, CAP_DEMAND, CAP_SELECTION, CAP_SPARSE, CAP_LF, CAP_CRLF,
 CAP_MAX, CAP_VOLUME, CAP_POSITION, CAP_NO_FILES, CAP_DETAILS, CAP_DEVICES, CAP_REGRAB, CAP_SERIAL) = range(18)
(CAN_SEND, CANCELLED, ERROR, SUCCESS, NO_SPACE, LOCKED, NOT_CONNECTED, DISABLED) = range(8)
NONE, TEXT, PNG = 0, 1, 2
GTK = (CAP_MOUSE, CAP_MONITORS, CAP_REPLY, CAP_DISPLAY, CAP_DEMAND, CAP_SELECTION, CAP_POSITION, CAP_DETAILS, CAP_REGRAB,
       CAP_SERIAL)  # what spice-gtk announces
SESSION = (CAP_MONITORS, CAP_REPLY, CAP_DEMAND, CAP_SELECTION, CAP_SPARSE, CAP_LF, CAP_MAX, CAP_POSITION, CAP_DETAILS,
           CAP_REGRAB, CAP_SERIAL)  # what the session daemon announces
TIMEOUT = 10
# A leak check at exit needs ptrace, which the daemon has given up by then.
ENVIRONMENT = dict(os.environ, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")


class Failure(Exception):
    pass


def wait_for(condition, what, timeout=TIMEOUT):
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure("no %s within %s s" % (what, timeout))
        time.sleep(0.01)


def place(pixel, size):
    """Where the device says that a pixel is: three eighths into it."""
    return int((pixel + 0.375) * 65536 / size + 0.5)


def expect(actual, expected, what="value"):
    if actual != expected:
        raise Failure("%s is %r, not %r" % (what, actual, expected))


# ---- messages ----

def message(kind, body=b""):
    return struct.pack("<IIQI", 1, kind, 0, len(body)) + body


def announce(caps, request=0):
    word = 0
    for cap in caps:
        word |= 1 << cap
    return message(ANNOUNCE, struct.pack("<II", request, word))


def caps_of(body):
    word, = struct.unpack_from("<I", body, 4)
    return {cap for cap in range(32) if word >> cap & 1}


def grab(serial, *types, selection=0):
    return message(GRAB, struct.pack("<II%dI" % len(types), selection, serial, *types))


def request(kind, selection=0):
    return message(REQUEST, struct.pack("<II", selection, kind))


def release(selection=0):
    return message(RELEASE, struct.pack("<I", selection))


def clipboard(kind, data=b"", selection=0):
    return message(CLIPBOARD, struct.pack("<II", selection, kind) + data)


def file_start(number, name="a", size=1):
    keys = "[vdagent-file-xfer]\nname=%s\nsize=%d\n" % (name, size)
    return message(FILE_START, struct.pack("<I", number) + keys.encode() + b"\0")


def file_data(number, data):
    return message(FILE_DATA, struct.pack("<IQ", number, len(data)) + data)


def file_status(number, result):
    return message(FILE_STATUS, struct.pack("<II", number, result))


def mouse(x, y, buttons=0, display=0):
    return message(MOUSE_STATE, struct.pack("<IIIB", x, y, buttons, display))


class Messages:
    """Cuts a byte stream into (type, body)."""

    def __init__(self):
        self.bytes = bytearray()

    def feed(self, data):
        self.bytes += data
        found = []
        while len(self.bytes) >= 20:
            protocol, kind, _, size = struct.unpack_from("<IIQI", self.bytes)
            expect(protocol, 1, "protocol")
            if len(self.bytes) < 20 + size:
                break
            found.append((kind, bytes(self.bytes[20:20 + size])))
            del self.bytes[:20 + size]
        return found


class Peer:
    """One end of a byte stream with agent messages; what it got is kept in order until it is taken."""

    def __init__(self, sock):
        self.socket = sock
        self.got = []
        self.messages = Messages()
        self.ended = False

    def take_bytes(self, data):
        self.got += self.messages.feed(data)

    def read(self, timeout):
        """Takes what there is; False when there was nothing."""
        if not select.select([self.socket], [], [], timeout)[0]:
            return False
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        if not data:
            self.ended = True
            return False
        self.take_bytes(data)
        return True

    def next(self, *kinds, timeout=TIMEOUT):
        """The next message of these types (any, if none is named); others on the way are dropped."""
        end = time.monotonic() + timeout
        while True:
            while self.got:
                kind, body = self.got.pop(0)
                if not kinds or kind in kinds:
                    return kind, body
            if self.ended:
                raise Failure("the daemon closed while type %s was waited for" % (kinds,))
            if not self.read(max(0, end - time.monotonic())) and time.monotonic() > end:
                raise Failure("no message of type %s within %s s" % (kinds, timeout))

    def body(self, kind, timeout=TIMEOUT):
        return self.next(kind, timeout=timeout)[1]

    def none(self, *kinds, timeout=0.3):
        """Nothing of these types comes (within a time, which cannot be less than some)."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            self.read(max(0, end - time.monotonic()))
        found = [entry for entry in self.got if entry[0] in kinds]
        if found:
            raise Failure("got %r" % (found[:3],))

    def wait_end(self, timeout=TIMEOUT):
        def ended():
            self.read(0.05)
            return self.ended
        wait_for(ended, "end of the connection", timeout)

    def send(self, data):
        self.socket.sendall(data)

    def close(self):
        self.socket.close()


class Host(Peer):
    """The host end of the port: messages in chunks."""

    def __init__(self, sock):
        super().__init__(sock)
        self.chunks = bytearray()
        self.largest_chunk = 0

    def take_bytes(self, data):
        self.chunks += data
        while len(self.chunks) >= 8:
            port, size = struct.unpack_from("<II", self.chunks)
            expect(port, CLIENT_PORT, "port of a chunk from the guest")
            if size > 2048:
                raise Failure("a chunk of %d bytes" % size)
            if len(self.chunks) < 8 + size:
                break
            if not self.messages.bytes and size < 20:
                raise Failure("the first chunk of a message does not hold its header")
            self.got += self.messages.feed(bytes(self.chunks[8:8 + size]))
            del self.chunks[:8 + size]

    @staticmethod
    def chunked(data, port=CLIENT_PORT):
        out = bytearray()
        for at in range(0, len(data), 2048):
            piece = data[at:at + 2048]
            out += struct.pack("<II", port, len(piece)) + piece
        return bytes(out)

    def say(self, *messages, port=CLIENT_PORT):
        self.send(b"".join(self.chunked(entry, port) for entry in messages))


class Session:
    """A session daemon."""

    def __init__(self, fds):
        control, files = (socket.socket(fileno=fd) for fd in fds)
        for end in (control, files):
            end.setblocking(True)
        self.control, self.files = Peer(control), Peer(files)

    def answer(self, caps=SESSION, sockets=("control", "files")):
        """Answers the announcement of a client on both sockets; returns the client's capabilities."""
        for name in sockets:
            peer = getattr(self, name)
            body = peer.body(ANNOUNCE)
            peer.send(announce(caps))
        return caps_of(body)

    def close(self):
        self.control.close()
        self.files.close()


class Pointer:
    """Reads what the daemon writes to its uinput FIFO."""

    EVENT = struct.Struct("qqHHi")

    def __init__(self, path):
        os.mkfifo(path)
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def events(self, timeout=0.0):
        """(type, code, value) of what has been written, without SYN."""
        found = []
        while select.select([self.fd], [], [], timeout)[0]:
            data = os.read(self.fd, self.EVENT.size * 4096)
            found += [event[2:] for event in self.EVENT.iter_unpack(data) if event[2] != 0]
            timeout = 0
        return found

    def until(self, event, timeout=TIMEOUT):
        """Collects events up to this one."""
        found = []

        def there():
            found.extend(self.events(0.02))
            return event in found
        wait_for(there, "event %s; got %s" % (event, found[-5:]), timeout)
        return found


# ---- logind ----

class MockObject(dbus.service.Object):
    def __init__(self, bus, path, interface, values):
        super().__init__(bus, path)
        self.interface, self.values = interface, values

    @dbus.service.method(PROPERTIES, in_signature="ss", out_signature="v")
    def Get(self, interface, name):
        return self.values[name]

    @dbus.service.method(PROPERTIES, in_signature="s", out_signature="a{sv}")
    def GetAll(self, interface):
        return self.values

    @dbus.service.signal(PROPERTIES, signature="sa{sv}as")
    def PropertiesChanged(self, interface, changed, invalidated):
        pass

    def change(self, values, tell):
        self.values.update(values)
        self.PropertiesChanged(self.interface, values if tell else {}, [] if tell else list(values))


class MockManager(dbus.service.Object):
    """logind's Manager, and the test's own interface to it. Object paths say nothing about ids, as with the real one."""

    def __init__(self, bus):
        super().__init__(bus, LOGIN_PATH)
        self.seat = MockObject(bus, LOGIN_PATH + "/seat/x", LOGIN + ".Seat", {"Id": "seat0", "ActiveSession": self.pair("")})
        self.sessions, self.bus = {}, bus

    def pair(self, name):
        path = self.sessions[name].__dbus_object_path__ if name else "/"
        return dbus.Struct((name, dbus.ObjectPath(path)), signature="so")

    @dbus.service.method(LOGIN + ".Manager", in_signature="s", out_signature="o")
    def GetSeat(self, name):
        return self.seat.__dbus_object_path__

    @dbus.service.method(LOGIN + ".Manager", in_signature="s", out_signature="o")
    def GetSession(self, name):
        if name not in self.sessions:
            raise dbus.DBusException("no such session", name=LOGIN + ".NoSuchSession")
        return self.sessions[name].__dbus_object_path__

    @dbus.service.method(MOCK, in_signature="sus")
    def Add(self, name, uid, kind):
        path = "%s/session/n%d" % (LOGIN_PATH, len(self.sessions))
        self.sessions[name] = MockObject(self.bus, path, LOGIN + ".Session", {
            "Id": name, "Class": kind, "Type": "x11", "Active": False, "LockedHint": False,
            "User": dbus.Struct((dbus.UInt32(uid), dbus.ObjectPath("/")), signature="uo")})

    @dbus.service.method(MOCK, in_signature="sb")
    def Activate(self, name, tell):
        for other, session in self.sessions.items():
            if session.values["Active"] != (other == name):
                session.change({"Active": other == name}, tell)
        self.seat.change({"ActiveSession": self.pair(name)}, tell)

    @dbus.service.method(MOCK, in_signature="sb")
    def Lock(self, name, locked):
        self.sessions[name].change({"LockedHint": locked}, True)


def mock_logind(address):
    from gi.repository import GLib
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    bus = dbus.bus.BusConnection(address)
    manager = MockManager(bus)
    name = dbus.service.BusName(LOGIN, bus)
    print("ready", flush=True)
    GLib.MainLoop().run()
    return manager, name


# ---- all together ----

BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=%s</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>
  <limit name="max_connections_per_user">1024</limit>
</busconfig>
"""


class Machine:
    """Starts everything. `config` is the text of agent-system.conf; `layout` reports a layout, which opens the port; `uinput` is
    a path in place of the FIFO."""

    def __init__(self, config="", layout=True, uinput=None):
        self.stack = contextlib.ExitStack()
        self.dir = tempfile.mkdtemp(prefix="agent-system-")
        self.stack.callback(shutil.rmtree, self.dir)
        os.chmod(self.dir, 0o711)
        try:
            self.start(config, layout, uinput)
        except BaseException:
            self.stack.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            sys.stderr.write(self.log())
        self.stack.close()

    def path(self, name):
        return os.path.join(self.dir, name)

    def process(self, argv, **options):
        process = subprocess.Popen(argv, **options)
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        return process

    def start(self, config, layout, uinput):
        self.address = "unix:path=" + self.path("bus")
        with open(self.path("bus.conf"), "w") as file:
            file.write(BUS_CONFIG % self.path("bus"))
        self.process(["dbus-daemon", "--nofork", "--config-file=" + self.path("bus.conf")], stderr=subprocess.DEVNULL)
        wait_for(self.bus_listens, "bus")
        os.chmod(self.path("bus"), 0o777)
        self.bus = self.connect()
        self.start_logind()
        os.mkdir(self.path("config"))
        with open(self.path("config/agent-system.conf"), "w") as file:
            file.write(config)
        self.listener = socket.socket(socket.AF_UNIX)
        self.stack.callback(self.listener.close)
        self.listener.bind(self.path("port"))
        self.listener.listen(5)
        self.pointer = Pointer(self.path("uinput"))
        os.makedirs(self.path("sys/class/drm"))
        self.daemon = self.process([DAEMON, "--debug", "--config", self.path("config"), "--port", self.path("port"),
                                    "--uinput", uinput or self.path("uinput"), "--bus", self.address, "--sysfs", self.path("sys")],
                                   stderr=open(self.path("log"), "w"), env=ENVIRONMENT)
        wait_for(lambda: self.bus.name_has_owner(AGENT), "name on the bus")
        self.wait_property("ActiveSession", "s1")
        if layout:
            self.set_layout()

    def bus_listens(self):
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self.path("bus")) == 0

    def start_logind(self):
        self.logind = self.process([sys.executable, __file__, "logind", self.address], stdout=subprocess.PIPE)
        expect(self.logind.stdout.readline(), b"ready\n", "logind")
        self.login = dbus.Interface(self.bus.get_object(LOGIN, LOGIN_PATH), MOCK)
        self.login.Add("s1", os.getuid(), "user")
        self.activate("s1")

    def log(self):
        with open(self.path("log"), errors="replace") as file:
            return file.read()

    def connect(self):
        bus = dbus.bus.BusConnection(self.address)
        self.stack.callback(bus.close)
        return bus

    def agent(self, bus=None):
        return (bus or self.bus).get_object(AGENT, AGENT_PATH, introspect=False)

    def property(self, name):
        return dbus.Interface(self.agent(), PROPERTIES).Get(AGENT, name)

    def wait_property(self, name, value):
        wait_for(lambda: self.property(name) == value, "%s = %r" % (name, value))

    def counter(self, name):
        return int(self.property("Counters")[name])

    def activate(self, name, tell=True):
        self.login.Activate(name, tell)

    def set_layout(self, outputs=(("Virtual-1", 1024, 768, 0, 0, 1024, 768, 0),)):
        self.agent().SetLayout(dbus.Array(outputs, signature="(suuiiuuu)"), dbus_interface=AGENT)

    def open_raw(self, options=None, bus=None):
        control, files, info = self.agent(bus).OpenSession(dbus.Dictionary(options or {}, signature="sv"),
                                                           dbus_interface=AGENT)
        return (control.take(), files.take()), info

    def open(self, options=None, bus=None):
        session = Session(self.open_raw(options, bus)[0])
        self.stack.callback(session.close)
        return session

    def host(self):
        """Accepts the daemon's next opening of the port."""
        self.listener.settimeout(TIMEOUT)
        host = Host(self.listener.accept()[0])
        self.stack.callback(host.close)
        return host

    def client(self, host, caps=GTK):
        """A SPICE client comes; returns what the guest answers."""
        host.say(announce(caps, 1))
        return caps_of(host.body(ANNOUNCE))

    def connected(self, caps=GTK, session_caps=SESSION):
        """Host, client and session, all acquainted."""
        host = self.host()
        session = self.open()
        host.say(announce(caps, 1))
        session.answer(session_caps)
        host.body(ANNOUNCE)
        return host, session

    def check_memory(self):
        """The daemon never had more than it may. A sanitizer's memory is not its own, and is as much again for all."""
        with open("/proc/%d/status" % self.daemon.pid) as file:
            peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
        with open("/proc/%d/maps" % self.daemon.pid) as file:
            sanitized = "libasan" in file.read()
        if peak > (256 if sanitized else 8) << 10:
            raise Failure("the daemon had %d kB of memory" % peak)
        return peak

    def logged(self, text, timeout=TIMEOUT):
        wait_for(lambda: text in self.log(), "log line with %r" % text, timeout)


def run(tests, prefix):
    """Runs functions of one Machine argument, or of none; prints their results."""
    failed = False
    only = sys.argv[1:]
    for test in tests:
        name = "session/%s-%s" % (prefix, test.__name__[5:].replace("_", "-"))
        if only and not any(word in name for word in only):
            continue
        try:
            if test.__code__.co_argcount:
                with Machine(**getattr(test, "machine", {})) as machine:
                    test(machine)
                    if machine.daemon.poll():
                        raise Failure("the daemon ended with %s" % machine.daemon.returncode)
                    if "bug:" in machine.log() or "CRITICAL" in machine.log():
                        raise Failure("the daemon found a bug in itself:\n" + machine.log())
            else:
                test()
            print("%s: pass" % name, flush=True)
        except Skip as skip:
            print("%s: skip (%s)" % (name, skip), flush=True)
        except Exception as error:
            failed = True
            print("%s: fail\n    %s: %s" % (name, type(error).__name__, str(error).replace("\n", "\n    ")), flush=True)
            if os.environ.get("TRACE"):
                raise
    sys.exit(1 if failed else 0)


class Skip(Exception):
    pass


def machine(**options):
    """Decorator: how the Machine of a test is started."""
    def mark(test):
        test.machine = options
        return test
    return mark


if __name__ == "__main__":
    mock_logind(sys.argv[2])
