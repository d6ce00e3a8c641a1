#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""spice-agent-system and peers that do what they must not: each time a log line with the peer's name, memory flat, and
all else goes on."""

import resource
import threading

import dbus.lowlevel

from agentsystem import *

SAMPLES = {
    MOUSE_STATE: mouse(5, 6, 2),
    MONITORS_CONFIG: message(MONITORS_CONFIG, struct.pack("<2I5I2H", 1, 3, 600, 800, 32, 0, 0, 200, 300)),
    CLIPBOARD: clipboard(TEXT, b"text"),
    DISPLAY_CONFIG: message(DISPLAY_CONFIG, struct.pack("<II", 8, 32)),
    ANNOUNCE: announce(GTK, 1),
    GRAB: grab(0, TEXT, PNG),
    REQUEST: request(TEXT),
    RELEASE: release(),
    FILE_START: file_start(3, "name", 10),
    FILE_STATUS: file_status(3, CANCELLED),
    FILE_DATA: file_data(3, b"data"),
    CLIENT_DISCONNECTED: message(CLIENT_DISCONNECTED),
    MAX_CLIPBOARD: message(MAX_CLIPBOARD, struct.pack("<i", -1)),
    VOLUME: message(VOLUME, struct.pack("<3B2H", 1, 0, 2, 9, 9)),
    DEVICE_INFO: message(DEVICE_INFO, struct.pack("<5I", 1, 0, 0, 0, 14) + b"pci/0000/02.0\0"),
}
LEAVE = Host.chunked(message(CLIENT_DISCONNECTED), SERVER_PORT)


def works(m, host, session):
    """Pointer, clipboard and files of a new client, whose announcement differs from all before."""
    caps = set(GTK) | {CAP_LF}
    host.send(LEAVE)
    host.say(announce(caps, 1), mouse(9, 9, 0), mouse(9, 9, 8))
    for peer in (session.control, session.files):
        while caps_of(peer.body(ANNOUNCE)) != caps:
            pass
        peer.send(announce(SESSION))
    host.say(grab(0, TEXT), file_start(77), file_data(77, b"data"))
    expect(session.control.body(GRAB), grab(0, TEXT)[20:], "grab")
    session.files.body(FILE_START)
    expect(session.files.body(FILE_DATA), file_data(77, b"data")[20:], "data")
    session.control.send(request(TEXT))
    host.body(REQUEST)
    host.say(clipboard(TEXT, b"still"))
    expect(session.control.body(CLIPBOARD), clipboard(TEXT, b"still")[20:], "paste")
    m.pointer.until((1, 0x111, 1))
    host.say(mouse(9, 9, 0))
    m.pointer.until((1, 0x111, 0))
    m.check_memory()


class Sink(threading.Thread):
    """Reads a peer all the time."""

    def __init__(self, peer):
        super().__init__(daemon=True)
        self.peer, self.stop = peer, False
        self.start()

    def run(self):
        while not self.stop and not self.peer.ended:
            self.peer.read(0.05)

    def end(self):
        self.stop = True
        self.join()


# ---- from the host ----

def test_host_sizes(m):
    host, session = m.connected()
    for kind, sample in SAMPLES.items():
        for size in (0, 1, 3, 4097, 1 << 31, (1 << 32) - 1):
            host.send(LEAVE + Host.chunked(announce(GTK, 0)) +
                      Host.chunked(struct.pack("<IIQI", 1, kind, 0, size) + sample[20:20 + size]))
    works(m, host, session)
    m.logged("host: ")


def test_host_truncated(m):
    """Each message cut at each byte, with the size it then has and with the one that it was to have."""
    host, session = m.connected()
    for kind, sample in SAMPLES.items():
        for end in range(1, len(sample)):
            cut = sample[:end]
            host.send(LEAVE + Host.chunked(announce(GTK, 0)) + Host.chunked(cut))
            if end >= 20:
                host.send(LEAVE + Host.chunked(announce(GTK, 0)) + Host.chunked(message(kind, sample[20:end])))
    works(m, host, session)


def test_host_flipped(m):
    """Each byte of each message inverted. A wrong protocol number means that the stream is lost: the port is opened anew."""
    host, session = m.connected()
    reopened = 0
    for sample in SAMPLES.values():
        for at in range(len(sample)):
            wrong = bytearray(sample)
            wrong[at] ^= 0xff
            host.send(LEAVE + Host.chunked(announce(GTK, 0)) + Host.chunked(bytes(wrong)))
            if at < 4:
                host = m.host()
                reopened += 1
    expect(reopened, 4 * len(SAMPLES), "times opened")
    works(m, host, session)
    m.logged("host: its byte stream is out of step")


def test_host_chunks(m):
    host, session = m.connected()
    for port in (0, 3, 99, (1 << 32) - 1):
        host.send(struct.pack("<II", port, 4) + b"what" + struct.pack("<II", 1, 0))
    works(m, host, session)
    m.logged("host: a chunk for port 99")
    host.send(struct.pack("<II", 1, 1 << 31))
    host = m.host()
    works(m, host, session)


def test_host_types(m):
    host, session = m.connected()
    for kind in (0, 17, 99, (1 << 32) - 1, REPLY):
        host.say(message(kind, b"12345678"), message(kind))
    works(m, host, session)
    m.logged("host: unknown (type 99) of 8 bytes refused")


def test_host_never_finishes(m):
    host, session = m.connected()
    for kind in (CLIPBOARD, FILE_DATA, GRAB, ANNOUNCE):
        host.send(LEAVE)
        host.say(announce(GTK, 1), grab(0, TEXT), file_start(3))
        session.answer()
        session.files.body(FILE_START)
        session.control.send(request(TEXT))
        host.body(REQUEST)
        host.send(struct.pack("<IIIIQI", 1, 20, 1, kind, 0, 256))
        host.say(mouse(1, 1, 2), mouse(1, 1, 0), port=SERVER_PORT)  # the pointer does not wait for it
        m.pointer.until((1, 0x110, 1))
        if kind == CLIPBOARD:
            # It was promised to the session: the client's end is the connection's end.
            host.send(struct.pack("<III", 1, 8, 0) + struct.pack("<I", TEXT))
            host.send(LEAVE)
            session.control.wait_end()
            session = m.open()
    works(m, host, session)


def test_host_million_mouse_states(m):
    host = m.host()
    count, period = 1000000, 1000
    states = [Host.chunked(mouse(i % 1024, i % 768, 2 if i // period % 2 else 0), SERVER_PORT) for i in range(2 * period)]
    burst = b"".join(states)
    edges = []

    def read():
        while len(edges) < count // period - 1:
            edges.extend(event for event in m.pointer.events(1) if event[:2] == (1, 0x110))
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    for _ in range(count // (2 * period)):
        host.send(burst)
    reader.join(60)
    expect([edge[2] for edge in edges], [1, 0] * (count // (2 * period) - 1) + [1], "edges")
    wait_for(lambda: m.counter("mouse-states") >= count, "end of the states")  # those behind the last edge
    expect(m.counter("mouse-states"), count, "states counted")
    m.check_memory()


TRANSFERS = 256  # LIMIT_TRANSFERS


def test_host_many_transfers(m):
    host, session = m.connected()
    sinks = [Sink(session.files)]
    count = 10000
    refused = 0
    for first in range(0, count, 100):
        host.say(*(file_start(number, "file number %d of a folder" % number) for number in range(first, first + 100)))
        while host.read(0):
            pass
    while refused < count - TRANSFERS:
        number, result = struct.unpack_from("<II", host.body(FILE_STATUS))
        expect(result, ERROR, "status")
        refused += 1
    for sink in sinks:
        sink.end()
    wait_for(lambda: session.files.read(0) or len([1 for kind, _ in session.files.got if kind == FILE_START]) == TRANSFERS, "the first starts")
    works(m, host, session)


def test_host_reuses_a_number(m):
    host, session = m.connected()
    host.say(file_start(5), file_start(5), file_data(5, b"x"))
    session.files.body(FILE_START)
    expect(session.files.body(FILE_STATUS), struct.pack("<II", 5, CANCELLED), "to the session")
    expect(host.body(FILE_STATUS)[:8], struct.pack("<II", 5, ERROR), "to the client")
    works(m, host, session)


def test_host_does_not_read(m):
    """Neither announcements nor statuses nor clipboard data pile up, and the pointer works."""
    host, session = m.connected()
    session.control.send(grab(0, TEXT))
    host.body(GRAB)
    host.say(request(TEXT))
    session.control.body(REQUEST)
    stop = threading.Event()
    starts = Sink(session.files)

    def pour():
        try:
            session.control.send(clipboard(TEXT, bytes(50 << 20)))
        except OSError:
            pass
        stop.set()
    thread = threading.Thread(target=pour, daemon=True)
    thread.start()
    for number in range(3000):
        host.say(file_start(number))
        select.select([], [], [], 0)
    host.say(mouse(1, 1, 2), port=SERVER_PORT)
    m.pointer.until((1, 0x110, 1))
    expect(stop.is_set(), False, "all taken")
    m.check_memory()
    sink = Sink(host)
    stop.wait(60)
    expect(stop.is_set(), True, "taken, once the host reads")
    sink.end()
    starts.end()


def test_host_announces_without_end(m):
    host, session = m.connected()
    sinks = [Sink(host), Sink(session.control), Sink(session.files)]
    for i in range(3000):
        host.say(announce(GTK if i % 2 else SESSION, 1))
    for sink in sinks:
        sink.end()
    if session.control.ended:
        session = m.open()
        m.counter("host-messages")
    works(m, host, session)


# ---- from the session ----

OTHER = 65534  # nobody: the bus wants a user that it can look up


def as_user(m, uid, code):
    """Runs Python as another user with a connection `bus`; returns what it prints."""
    if os.getuid() != 0:
        raise Skip("only root can be somebody else")
    start = "import dbus, dbus.bus, sys\nbus = dbus.bus.BusConnection(%r)\nagent = bus.get_object(%r, %r, introspect=False)\n" % (
        m.address, AGENT, AGENT_PATH)
    got = subprocess.run([sys.executable, "-c", start + code], user=uid, group=uid, extra_groups=[], capture_output=True, text=True,
                         timeout=60)
    if got.returncode:
        raise Failure(got.stderr)
    return got.stdout


TRY = """
def attempt(*call, **options):
    try:
        call[0](*call[1:], dbus_interface=%r)
        print("allowed")
    except dbus.DBusException as error:
        print(error.get_dbus_name().split(".")[-1])
""" % AGENT


def test_other_user(m):
    host, session = m.connected()
    got = as_user(m, OTHER, TRY + """
attempt(agent.OpenSession, dbus.Dictionary({}, signature="sv"))
attempt(agent.OpenSession, dbus.Dictionary({"session": "s1"}, signature="sv"))
attempt(agent.SetLayout, dbus.Array([("Virtual-1", 1, 1, 0, 0, 1, 1, 0)], signature="(suuiiuuu)"))
print(len(agent.GetAll(%r, dbus_interface="org.freedesktop.DBus.Properties")))
""" % AGENT)
    expect(got.split(), ["AccessDenied"] * 3 + ["10"], "calls")
    m.logged("session: OpenSession of :")
    works(m, host, session)


def test_active_user_with_foreign_session(m):
    m.login.Add("other", OTHER, "user")
    m.login.Add("own", os.getuid(), "user")
    for name in ("other", "own", "nonsense"):
        try:
            m.open({"session": name})
            raise Failure("connected to %s" % name)
        except dbus.DBusException as error:
            expect(error.get_dbus_name(), "org.spice_space.Agent1.Error.NotActive", name)
    for value in (dbus.UInt32(1), dbus.Array([], signature="s")):
        try:
            m.open({"session": value})
            raise Failure("connected")
        except dbus.DBusException as error:
            expect(error.get_dbus_name(), "org.freedesktop.DBus.Error.InvalidArgs", repr(value))
    m.open({"unknown": "option", "session": "s1"})


def test_layouts_that_cannot_be(m):
    good = ("Virtual-1", 800, 600, 0, 0, 800, 600, 0)
    for bad in ([good[:1] + (0, 600) + good[3:]], [good[:1] + (70000,) + good[2:]], [good[:7] + (8,)], [("x" * 32,) + good[1:]],
                [good[:5] + (0, 0, 0)], [good[:3] + (1 << 30,) + good[4:]], [good] * 18):
        try:
            m.set_layout(bad)
            raise Failure("accepted %s" % bad)
        except dbus.DBusException as error:
            expect(error.get_dbus_name(), "org.freedesktop.DBus.Error.InvalidArgs", str(bad))
    m.set_layout(())
    expect([tuple(row)[2:] for row in m.property("Displays")], [(1024, 768)], "displays")


def test_many_calls(m):
    """200 connections, then 1000 calls of OpenSession on one; what comes in between is refused, and the rest goes on."""
    host = m.host()
    got = as_user(m, OTHER, TRY + """
buses = [dbus.bus.BusConnection(%r) for _ in range(200)]
for bus in buses:
    attempt(bus.get_object(%r, %r, introspect=False).OpenSession, dbus.Dictionary({}, signature="sv"))
""" % (m.address, AGENT, AGENT_PATH))
    expect(set(got.split()), {"AccessDenied"}, "calls of another user")
    before = len(os.listdir("/proc/%d/fd" % m.daemon.pid))
    opened = refused = 0
    for _ in range(1000):
        try:
            fds, _ = m.open_raw()
            for fd in fds:
                os.close(fd)
            opened += 1
        except dbus.DBusException as error:
            expect(error.get_dbus_name(), "org.freedesktop.DBus.Error.LimitsExceeded", "error")
            refused += 1
    if not 1 <= opened <= 50:
        raise Failure("%d of 1000 calls had a connection" % opened)
    wait_for(lambda: len(os.listdir("/proc/%d/fd" % m.daemon.pid)) <= before, "descriptors closed")

    def retry():
        try:
            return m.open()
        except dbus.DBusException:
            return None
    session = wait_for(retry, "a connection again")
    works(m, host, session)


def test_calls_without_waiting(m):
    """A caller that does not wait for answers is refused beyond a few at once."""
    host = m.host()
    caller = m.connect()
    for _ in range(500):
        call = dbus.lowlevel.MethodCallMessage(AGENT, AGENT_PATH, AGENT, "SetLayout")
        call.append(dbus.Array([], signature="(suuiiuuu)"), signature="a(suuiiuuu)")
        caller.send_message(call)
    caller.flush()
    m.logged("too many calls at once")
    works(m, host, m.open())


def test_no_descriptors_left(m):
    host = m.host()
    used = len(os.listdir("/proc/%d/fd" % m.daemon.pid))
    resource.prlimit(m.daemon.pid, resource.RLIMIT_NOFILE, (used + 1, 1024))
    try:
        m.open()
        raise Failure("a connection without descriptors")
    except dbus.DBusException as error:
        expect(error.get_dbus_name(), "org.freedesktop.DBus.Error.LimitsExceeded", "error")
    ticks = cpu(m)
    select.select([], [], [], 0.5)
    if cpu(m) - ticks > 0.1:
        raise Failure("it spins")
    resource.prlimit(m.daemon.pid, resource.RLIMIT_NOFILE, (1024, 1024))
    works(m, host, m.open())


def cpu(m):
    with open("/proc/%d/stat" % m.daemon.pid) as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pointer_gaps(m, host, stop):
    """Moves the pointer all the time until `stop`; the longest time between sending and seeing it."""
    longest, i = 0.0, 0
    while not stop():
        i += 1
        x = i % 1000
        begin = time.monotonic()
        host.say(mouse(x, 700, 0), port=SERVER_PORT)
        m.pointer.until((3, 0, place(x, 1024)))
        longest = max(longest, time.monotonic() - begin)
    return longest


class Pour(threading.Thread):
    """Sends a lot from a thread, in pieces, under a lock that lets the pointer's chunks in between."""

    def __init__(self, host, pieces):
        super().__init__(daemon=True)
        self.host, self.pieces, self.lock, self.done = host, pieces, threading.Lock(), False
        plain = host.send

        def send(data):
            with self.lock:
                plain(data)
        host.send = send
        self.start()

    def run(self):
        for piece in self.pieces:
            self.host.send(piece)
        self.done = True


def test_session_stops_reading_clipboard(m):
    host, session = m.connected()
    host.say(grab(0, TEXT))
    session.control.body(GRAB)
    session.control.send(request(TEXT))
    host.body(REQUEST)
    data = clipboard(TEXT, bytes(50 << 20))
    pour = Pour(host, (Host.chunked(data[at:at + 65536]) for at in range(0, len(data), 65536)))
    longest = pointer_gaps(m, host, lambda: pour.done)
    if longest > 1.5:
        raise Failure("the pointer stood still for %.2f s" % longest)
    m.logged("session: connection closed: it does not read")
    session.control.wait_end()
    session = m.open()
    session.answer()
    expect(session.control.body(GRAB), grab(0, TEXT)[20:], "the client's grab")
    works(m, host, session)


def test_session_that_reads_slowly(m):
    """It gets its paste as long as it takes something each second, however little of its socket's buffer that is."""
    host, session = m.connected()
    host.say(grab(0, TEXT))
    session.control.body(GRAB)
    session.control.send(request(TEXT))
    host.body(REQUEST)
    data = clipboard(TEXT, bytes(600000))
    Pour(host, [Host.chunked(data)])
    got = bytearray()
    while len(got) < len(data):
        piece = session.control.socket.recv(20000)
        if not piece:
            raise Failure("the daemon closed after %d bytes" % len(got))
        got += piece
        time.sleep(0.2)
    expect(got == data, True, "paste")
    works(m, host, session)


def test_session_stops_reading_files(m):
    host, session = m.connected()
    host.say(file_start(1, "big", 50 << 20), file_start(2, "small", 10))
    piece = Host.chunked(file_data(1, bytes(65536)))
    pour = Pour(host, (piece for _ in range(800)))
    longest = pointer_gaps(m, host, lambda: pour.done)
    if longest > 1.5:
        raise Failure("the pointer stood still for %.2f s" % longest)
    expect(host.body(FILE_STATUS)[:8], struct.pack("<II", 1, ERROR), "status")
    host.say(file_data(2, b"0123456789"))
    kinds = []
    while True:
        kind, body = session.files.next()
        if kind == FILE_STATUS:
            expect(body, struct.pack("<II", 1, CANCELLED), "to the session")
            break
    expect(session.files.next(), (FILE_DATA, file_data(2, b"0123456789")[20:]), "the other transfer goes on")
    works(m, host, session)


def broken_promise(m, act):
    """The session begins clipboard data and does not end them."""
    host, session = m.connected()
    session.control.send(grab(0, TEXT))
    host.body(GRAB)
    host.say(request(TEXT), file_start(4))
    session.control.body(REQUEST)
    session.control.send(clipboard(TEXT, bytes(100000))[:60000])
    wait_for(lambda: host.read(0.01) and False or len(host.messages.bytes) > 20000, "the first part")
    act(host, session)
    host = m.host()
    m.wait_property("ClientConnected", False)
    works(m, host, m.open())


def test_session_dies_in_clipboard_data(m):
    broken_promise(m, lambda host, session: session.close())
    m.logged("opening the port anew: the session left in the middle of clipboard data")


def test_session_falls_silent_in_clipboard_data(m):
    broken_promise(m, lambda host, session: session.control.wait_end())
    m.logged("session: connection closed: it fell silent")


def test_client_leaves_in_clipboard_data(m):
    broken_promise(m, lambda host, session: host.send(LEAVE))


def test_slow_session_is_not_silent(m):
    host, session = m.connected()
    session.control.send(grab(0, TEXT))
    host.body(GRAB)
    host.say(request(TEXT))
    session.control.body(REQUEST)
    data = clipboard(TEXT, bytes(1000))
    for at in range(0, len(data), 300):
        session.control.send(data[at:at + 300])
        select.select([], [], [], 0.6)
    expect(host.body(CLIPBOARD), data[20:], "data")


def test_session_never_answers(m):
    host = m.host()
    session = m.open()
    m.client(host)
    session.control.wait_end(20)
    m.logged("session: connection closed: it does not answer")


def test_session_sends_garbage(m):
    host, session = m.connected()
    session.control.send(b"\xff" * 100)
    session.control.wait_end()
    m.logged("session: connection closed: what it sends are not agent messages")
    session = m.open()
    session.answer()
    for kind, sample in SAMPLES.items():
        for wrong in (sample, message(kind), message(kind, bytes(9)), message(kind + 100, bytes(9))):
            session.files.send(wrong)
            session.control.send(wrong)
    session.control.send(announce(SESSION))
    works(m, host, session)
    m.logged("session: unknown (type 101) of 9 bytes refused")


def test_session_floods(m):
    """Requests that are answered at once, and not read."""
    host, session = m.connected()
    try:
        for _ in range(50000):
            session.control.socket.settimeout(5)
            session.control.send(request(TEXT) * 10)
    except OSError:
        pass
    m.check_memory()
    session.close()
    works(m, host, m.open())


def test_fifty_megabytes(m):
    """Flat memory, equal data, both ways."""
    host, session = m.connected()
    data = os.urandom(1 << 20) * 50
    host.say(grab(0, TEXT))
    session.control.body(GRAB)
    session.control.send(request(TEXT))
    host.body(REQUEST)
    sink = Sink(session.control)
    begin = time.monotonic()
    host.say(clipboard(TEXT, data))
    wait_for(lambda: session.control.got, "data", 60)
    to_guest = time.monotonic() - begin
    sink.end()
    expect(session.control.body(CLIPBOARD)[8:] == data, True, "equal")
    session.control.send(grab(1, TEXT))
    host.body(GRAB)
    host.say(request(TEXT))
    session.control.body(REQUEST)
    sink = Sink(host)
    begin = time.monotonic()
    session.control.send(clipboard(TEXT, data))
    wait_for(lambda: host.got, "data", 60)
    to_host = time.monotonic() - begin
    sink.end()
    expect(host.body(CLIPBOARD)[8:] == data, True, "equal")
    sys.stderr.write("50 MB: %.2f s to the guest, %.2f s to the host, peak %d kB\n" % (to_guest, to_host, m.check_memory()))


run([value for name, value in list(globals().items()) if name.startswith("test_")], "agent-system-bad")
