#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""spice-agent-system between a host, session daemons and logind that are played by the test: what it does when all
behave. What it does when they do not is in test-agent-system-bad.py."""

from agentsystem import *

BASE = {CAP_MOUSE, CAP_SELECTION, CAP_DETAILS, CAP_DEVICES, CAP_SERIAL}


# ---- capabilities ----

def test_announces_what_works(m):
    host = m.host()
    kind, body = host.next()
    expect(kind, ANNOUNCE, "first message")
    expect(struct.unpack_from("<I", body)[0], 1, "request")
    expect(caps_of(body), BASE, "caps without a session")
    session = m.open()
    host.say(announce(GTK, 1))
    session.answer()
    expect(caps_of(host.body(ANNOUNCE)), BASE | set(SESSION), "caps with a session")
    session.close()
    expect(caps_of(host.body(ANNOUNCE)), BASE, "caps after the session")


def test_answers_once(m):
    """QEMU's own agent channel speaks first, and closes when announced to twice."""
    host = m.host()
    session = m.open()
    host.say(announce(GTK, 1))
    session.answer()
    body = host.body(ANNOUNCE)
    expect(struct.unpack_from("<I", body)[0], 0, "request")
    expect(CAP_DEMAND in caps_of(body), True, "clipboard in the first answer")
    host.none(ANNOUNCE)


def test_answers_without_waiting_for_a_session(m):
    host = m.host()
    session = m.open()  # never answers
    expect(CAP_DEMAND in m.client(host), False, "clipboard")
    session.control.send(announce(SESSION))
    session.files.send(announce(SESSION))
    expect(CAP_DEMAND in caps_of(host.body(ANNOUNCE)), True, "clipboard, late")


def test_session_caps_change(m):
    host, session = m.connected()
    session.control.send(announce(set(SESSION) - {CAP_DEMAND}))
    expect(CAP_DEMAND in caps_of(host.body(ANNOUNCE)), False, "clipboard")


def test_session_cannot_announce_the_pointer(m):
    host, session = m.connected(session_caps=range(18))
    host.none(ANNOUNCE)
    m.activate("")
    expect(caps_of(host.body(ANNOUNCE)), BASE, "caps")


def test_client_comes_later(m):
    host = m.host()
    session = m.open()
    host.body(ANNOUNCE)
    session.control.none(ANNOUNCE)
    host.say(announce(GTK, 1))
    expect(session.answer(), set(GTK), "client's caps")
    host.say(message(CLIENT_DISCONNECTED), port=SERVER_PORT)
    session.control.body(CLIENT_DISCONNECTED)
    session.files.body(CLIENT_DISCONNECTED)
    m.wait_property("ClientConnected", False)
    host.say(announce(GTK, 1))
    session.answer()
    m.wait_property("ClientConnected", True)
    expect(set(m.property("ClientCapabilities")), set(GTK), "property")


def test_epoch(m):
    """What a session sends before it has answered a client's announcement was meant for another one."""
    host, session = m.connected()
    host.say(announce(GTK, 1))
    session.control.body(ANNOUNCE)
    session.control.send(grab(0, TEXT) + announce(SESSION) + grab(0, PNG))
    expect(host.body(GRAB), grab(0, PNG)[20:], "first grab")
    host.none(GRAB)


def test_remembered_for_a_new_session(m):
    host = m.host()
    m.client(host)
    host.say(message(MAX_CLIPBOARD, struct.pack("<i", 12345)), message(MONITORS_CONFIG, struct.pack("<7I", 1, 0, 600, 800, 32, 0, 0)),
             grab(0, TEXT))
    session = m.open()
    session.answer()
    expect(session.control.body(MAX_CLIPBOARD), struct.pack("<i", 12345), "max clipboard")
    expect(session.control.body(MONITORS_CONFIG)[8:16], struct.pack("<2I", 600, 800), "monitors")
    expect(session.control.body(GRAB), grab(0, TEXT)[20:], "grab")
    session.control.send(grab(1, PNG))
    expect(host.body(GRAB), grab(1, PNG)[20:], "grab back")


# ---- pointer ----

def test_pointer_exact(m):
    host = m.host()
    for x, y in ((0, 0), (1023, 767), (511, 383)):
        host.say(mouse(x, y), port=SERVER_PORT)
        events = m.pointer.until((3, 1, place(y, 768)))
        expect((3, 0, place(x, 1024)) in events, True, "x of %d,%d in %s" % (x, y, events))


def test_pointer_second_display(m):
    host = m.host()
    os.makedirs(m.path("sys/class/drm/card0/card0-Virtual-1"))
    os.makedirs(m.path("sys/class/drm/card0/card0-Virtual-2"))
    # The second display lies to the left of the first.
    m.set_layout((("Virtual-2", 800, 600, 0, 0, 800, 600, 0), ("Virtual-1", 1024, 768, 800, 0, 1024, 768, 0)))
    expect([tuple(row) for row in m.property("Displays")], [(0, "Virtual-1", 1024, 768), (1, "Virtual-2", 800, 600)], "displays")
    host.say(mouse(0, 0, display=1), mouse(0, 0, 2, display=1))
    expect((3, 0, place(0, 1824)) in m.pointer.until((1, 0x110, 1)), True, "x on the left display")
    host.say(mouse(0, 0, 0, display=0))
    expect((3, 0, place(800, 1824)) in m.pointer.until((1, 0x110, 0)), True, "x on the right display")


def test_device_info(m):
    host = m.host()
    m.client(host)
    base = m.path("sys/devices/pci0000:00/0000:00:02.0/drm/card0")
    for name in ("card0-Virtual-1", "card0-Virtual-2"):
        os.makedirs(os.path.join(base, name))
    address = b"pci/0000/02.0\0"
    host.say(message(DEVICE_INFO, struct.pack("<I", 2) + b"".join(
        struct.pack("<4I", 0, monitor, 1 - monitor, len(address)) + address for monitor in (0, 1))), port=SERVER_PORT)
    m.set_layout((("Virtual-1", 1024, 768, 0, 0, 1024, 768, 0), ("Virtual-2", 800, 600, 1024, 0, 800, 600, 0)))
    expect([tuple(row) for row in m.property("Displays")], [(0, "Virtual-2", 800, 600), (1, "Virtual-1", 1024, 768)], "displays")


def test_buttons_released(m):
    host = m.host()
    m.client(host)
    m.login.Add("s2", os.getuid(), "user")

    def press():
        host.say(mouse(1, 1, 2), port=SERVER_PORT)
        m.pointer.until((1, 0x110, 1))
    press()
    host.say(message(CLIENT_DISCONNECTED), port=SERVER_PORT)
    m.pointer.until((1, 0x110, 0))
    press()
    m.activate("s2")
    m.pointer.until((1, 0x110, 0))
    m.wait_property("ActiveSession", "s2")
    press()
    m.daemon.terminate()
    m.pointer.until((1, 0x110, 0))


@machine(layout=False)
def test_port_waits_for_sizes(m):
    m.listener.settimeout(0.5)
    try:
        m.listener.accept()
        raise Failure("the port was opened")
    except socket.timeout:
        pass
    expect(m.property("PortState"), "closed", "state")
    m.set_layout()
    m.host()
    m.wait_property("PortState", "open")


@machine(layout=False)
def test_port_opens_without_the_first_display(m):
    """As with a graphics card that is passed through, of which the host tells only when the port is open."""
    os.makedirs(m.path("sys/class/drm/card0/card0-Virtual-1"))
    os.makedirs(m.path("sys/class/drm/card1/card1-DP-1"))
    m.set_layout((("DP-1", 1024, 768, 0, 0, 1024, 768, 0),))
    expect([tuple(row) for row in m.property("Displays")], [(1, "DP-1", 1024, 768)], "displays")
    host = m.host()
    host.say(mouse(511, 383, 2, display=1), port=SERVER_PORT)
    expect((3, 0, place(511, 1024)) in m.pointer.until((1, 0x110, 1)), True, "x")


@machine(config="[pointer]\nenabled=false\n", layout=False)
def test_pointer_off(m):
    host = m.host()
    expect(CAP_MOUSE in caps_of(host.body(ANNOUNCE)), False, "mouse")
    expect(m.property("PointerState"), "off", "state")


@machine(uinput="/nonexistent", layout=False)
def test_pointer_missing(m):
    m.set_layout()
    expect(m.property("PortState"), "closed", "state")
    expect(m.property("PointerState").startswith("failed: "), True, m.property("PointerState"))
    m.logged("the port stays closed")


# ---- clipboard ----

def test_clipboard_both_ways(m):
    host, session = m.connected()
    host.say(grab(0, TEXT))
    expect(session.control.body(GRAB), grab(0, TEXT)[20:], "grab")
    session.control.send(request(TEXT))
    expect(host.body(REQUEST), request(TEXT)[20:], "request")
    data = os.urandom(300000)
    host.say(clipboard(TEXT, data))
    expect(session.control.body(CLIPBOARD), clipboard(TEXT, data)[20:], "data")
    session.control.send(grab(1, TEXT, PNG))
    expect(host.body(GRAB), grab(1, TEXT, PNG)[20:], "grab")
    host.say(request(PNG))
    expect(session.control.body(REQUEST), request(PNG)[20:], "request")
    session.control.send(clipboard(PNG, data))
    expect(host.body(CLIPBOARD), clipboard(PNG, data)[20:], "data")


def test_serials(m):
    host, session = m.connected()
    session.control.send(grab(0, TEXT))
    expect(host.body(GRAB), grab(0, TEXT)[20:], "grab")
    host.say(grab(0, PNG))  # crossed ours: the client wins
    expect(session.control.body(GRAB), grab(0, PNG)[20:], "client's grab")
    host.say(grab(5, TEXT), release())
    expect(session.control.body(GRAB), grab(5, TEXT)[20:], "a grab ahead")
    session.control.body(RELEASE)
    host.say(grab(2, PNG))
    session.control.send(grab(2, PNG))
    session.control.none(GRAB)
    host.none(GRAB)


def test_clipboard_answers(m):
    host, session = m.connected()
    host.say(request(TEXT))
    expect(host.body(CLIPBOARD), clipboard(NONE)[20:], "answer without a grab")
    session.control.send(request(TEXT))
    expect(session.control.body(CLIPBOARD), clipboard(NONE)[20:], "answer without a grab")
    host.say(clipboard(TEXT, b"nobody asked"))
    session.control.send(clipboard(TEXT, b"nobody asked"))
    session.control.none(CLIPBOARD)
    host.none(CLIPBOARD)


def test_max_clipboard(m):
    host, session = m.connected()
    host.say(message(MAX_CLIPBOARD, struct.pack("<i", 100)))
    session.control.body(MAX_CLIPBOARD)
    session.control.send(grab(0, TEXT))
    host.body(GRAB)
    for size, answer in ((100, clipboard(TEXT, bytes(100))), (101, clipboard(NONE))):
        host.say(request(TEXT))
        session.control.body(REQUEST)
        session.control.send(clipboard(TEXT, bytes(size)))
        expect(host.body(CLIPBOARD), answer[20:], "answer of %d bytes" % size)


@machine(config="[clipboard]\nmax-size=1K\n")
def test_configured_max(m):
    host, session = m.connected()
    host.say(grab(0, TEXT))
    session.control.body(GRAB)
    for size, answer in ((1024, clipboard(TEXT, bytes(1024))), (1025, clipboard(NONE))):
        session.control.send(request(TEXT))
        host.body(REQUEST)
        host.say(clipboard(TEXT, bytes(size)))
        expect(session.control.body(CLIPBOARD), answer[20:], "answer of %d bytes" % size)


@machine(config="[clipboard]\nenabled=false\n")
def test_clipboard_off(m):
    host, session = m.connected()
    host.say(grab(0, TEXT), request(TEXT))
    session.control.send(grab(0, TEXT))
    expect(host.body(CLIPBOARD), clipboard(NONE)[20:], "answer")
    host.none(GRAB)
    session.control.none(GRAB, REQUEST)
    expect(CAP_DEMAND in caps_of(announce(SESSION)[20:]), True)
    _, info = m.open_raw()
    expect(bool(info["clipboard"]), False, "info")


def test_old_client(m):
    """No selections, serials, details."""
    host, session = m.connected(caps=(CAP_DEMAND,))
    host.say(message(GRAB, struct.pack("<I", TEXT)))
    expect(session.control.body(GRAB), struct.pack("<I", TEXT), "grab")
    session.control.send(message(REQUEST, struct.pack("<I", TEXT)))
    expect(host.body(REQUEST), struct.pack("<I", TEXT), "request")
    host.say(message(CLIPBOARD, struct.pack("<I", TEXT) + b"old"))
    expect(session.control.body(CLIPBOARD), struct.pack("<I", TEXT) + b"old", "data")
    host.say(file_start(1))
    session.files.body(FILE_START)
    session.files.send(message(FILE_STATUS, struct.pack("<IIQ", 1, NO_SPACE, 5)))
    expect(host.body(FILE_STATUS), struct.pack("<II", 1, ERROR), "status")


def test_client_without_clipboard(m):
    host, session = m.connected(caps=(CAP_MOUSE,))
    session.control.send(message(GRAB, struct.pack("<I", TEXT)) + message(REPLY, struct.pack("<II", MONITORS_CONFIG, 1)))
    expect(host.next(GRAB, REPLY)[0], REPLY, "first message")


# ---- files ----

def test_file(m):
    host, session = m.connected()
    host.say(file_start(7, "x", 100000))
    session.files.body(FILE_START)
    session.files.send(file_status(7, CAN_SEND))
    expect(host.body(FILE_STATUS), struct.pack("<II", 7, CAN_SEND), "status")
    data, got = os.urandom(300000), b""
    host.say(file_data(7, data[:200000]), file_data(7, data[200000:]))
    while len(got) < len(data):
        body = session.files.body(FILE_DATA)
        number, size = struct.unpack_from("<IQ", body)
        expect((number, size), (7, len(body) - 12), "head of data")
        expect(size <= 65536, True, "at most LIMIT_FILE_PIECE at once")
        got += body[12:]
    expect(got == data, True, "same data")
    session.files.send(file_status(7, SUCCESS))
    expect(host.body(FILE_STATUS), struct.pack("<II", 7, SUCCESS), "status")
    host.say(file_data(7, b"late"))
    session.files.send(file_status(7, ERROR))
    session.files.none(FILE_DATA)
    host.none(FILE_STATUS)


def test_empty_file_data(m):
    host, session = m.connected()
    host.say(file_start(7, "x", 0), file_data(7, b""))
    session.files.body(FILE_START)
    expect(session.files.body(FILE_DATA), struct.pack("<IQ", 7, 0), "data")


def test_client_cancels(m):
    host, session = m.connected()
    host.say(file_start(7), file_status(7, CANCELLED), file_data(7, b"late"))
    session.files.body(FILE_START)
    expect(session.files.body(FILE_STATUS), struct.pack("<II", 7, CANCELLED), "cancel")
    session.files.none(FILE_DATA)


def test_files_refused(m):
    host = m.host()
    m.client(host)
    host.say(file_start(1))
    expect(host.body(FILE_STATUS), struct.pack("<II", 1, NOT_CONNECTED), "without a session")
    session = m.open()
    session.answer()
    m.login.Lock("s1", True)

    def locked():
        host.say(file_start(2), file_status(2, CANCELLED))
        return session.files.next(FILE_START, timeout=0.1)
    try:
        while locked():
            pass
    except Failure:
        pass
    host.got = []
    host.say(file_start(3))
    while True:
        number, result = struct.unpack("<II", host.body(FILE_STATUS))
        expect(result, LOCKED, "locked")
        if number == 3:
            break
    m.login.Lock("s1", False)


@machine(config="[files]\nenabled=false\n")
def test_files_off(m):
    host, session = m.connected()
    expect(CAP_NO_FILES in m.client(host), True, "announced")
    host.say(file_start(1))
    expect(host.body(FILE_STATUS), struct.pack("<II", 1, DISABLED), "status")
    _, info = m.open_raw()
    expect(bool(info["files"]), False, "info")


def test_two_files_at_once(m):
    host, session = m.connected()
    host.say(file_start(1), file_start(2))
    host.say(file_data(1, b"a" * 40000), file_data(2, b"b" * 40000), file_data(1, b"a" * 10))
    want = {1: b"a" * 40010, 2: b"b" * 40000}
    got = {1: b"", 2: b""}
    while got != want:
        body = session.files.body(FILE_DATA)
        got[struct.unpack_from("<I", body)[0]] += body[12:]


# ---- sessions ----

def two_users(m):
    """s1 owns the clipboard, has asked, is asked, and receives a file; then s2 becomes active."""
    host, session = m.connected()
    m.login.Add("s2", os.getuid(), "user")
    host.say(grab(0, TEXT, selection=1))
    session.control.body(GRAB)
    session.control.send(request(TEXT, selection=1) + grab(0, PNG))
    host.body(GRAB)
    host.say(request(PNG), file_start(9))
    session.control.body(REQUEST)
    session.files.body(FILE_START)
    return host, session


def told(host):
    """The client learns that all of the session has ended."""
    seen = set()
    while seen != {"answer", "release", "cancelled"}:
        kind, body = host.next(CLIPBOARD, RELEASE, FILE_STATUS, GRAB)
        if kind == CLIPBOARD:
            expect(body, clipboard(NONE)[20:], "answer")
            seen.add("answer")
        elif kind == RELEASE:
            expect(body, release()[20:], "release")
            seen.add("release")
        elif kind == FILE_STATUS:
            expect(body, struct.pack("<II", 9, CANCELLED), "status")
            seen.add("cancelled")
        else:
            raise Failure("a grab")


def test_switch(m):
    host, session = two_users(m)
    m.activate("s2")
    session.control.wait_end()
    session.files.wait_end()
    told(host)
    m.wait_property("ActiveSession", "s2")
    second = m.open({"session": "s2"})
    second.answer()
    expect(second.control.body(GRAB), grab(0, TEXT, selection=1)[20:], "the client's grab")
    host.say(clipboard(TEXT, b"for s1", selection=1), file_data(9, b"for s1"))
    second.control.none(CLIPBOARD)
    second.files.none(FILE_DATA, FILE_STATUS)
    second.control.send(request(TEXT, selection=1))
    host.body(REQUEST)
    host.say(clipboard(TEXT, b"for s2", selection=1))
    expect(second.control.body(CLIPBOARD), clipboard(TEXT, b"for s2", selection=1)[20:], "data")
    second.control.send(file_status(9, SUCCESS))
    second.files.send(file_status(9, SUCCESS))
    host.none(FILE_STATUS)


def test_daemon_of_session_dies(m):
    host, session = two_users(m)
    session.close()
    told(host)
    m.wait_property("SessionConnected", False)
    m.open().answer()


def test_newer_connection_ends_older(m):
    host, session = two_users(m)
    second = m.open()
    session.control.wait_end()
    told(host)
    second.answer()


def test_client_leaves(m):
    host, session = two_users(m)
    host.say(message(CLIENT_DISCONNECTED), port=SERVER_PORT)
    session.control.body(CLIENT_DISCONNECTED)
    session.files.body(CLIENT_DISCONNECTED)
    session.control.send(clipboard(PNG, b"late") + grab(1, PNG))
    session.files.send(file_status(9, SUCCESS))
    host.none(CLIPBOARD, GRAB, FILE_STATUS)
    host.say(announce(GTK, 1), file_data(9, b"late"))
    session.answer()
    session.files.none(FILE_DATA)
    session.control.send(grab(0, TEXT))
    expect(host.body(GRAB), grab(0, TEXT)[20:], "grab of the new epoch")


def test_host_leaves(m):
    host, session = two_users(m)
    host.close()
    session.control.wait_end()
    expect(m.daemon.wait(TIMEOUT), 0, "exit status, as a socket that ends is a port that is gone")


def test_greeter(m):
    host = m.host()
    m.login.Add("g", os.getuid(), "greeter")
    m.activate("g")
    m.wait_property("ActiveSession", "g")
    fds, info = m.open_raw()
    session = Session(fds)
    expect((str(info["class"]), bool(info["clipboard"]), bool(info["files"])), ("greeter", False, False), "info")
    host.say(announce(GTK, 1))
    expect(CAP_DEMAND in session.answer(), False, "clipboard, as the greeter sees it")
    caps = caps_of(host.body(ANNOUNCE))
    expect((CAP_MONITORS in caps, CAP_DEMAND in caps, CAP_NO_FILES in caps), (True, False, True), "announced")
    host.say(grab(0, TEXT), file_start(1), message(MONITORS_CONFIG, struct.pack("<7I", 1, 0, 600, 800, 32, 0, 0)))
    expect(session.control.next(GRAB, MONITORS_CONFIG)[0], MONITORS_CONFIG, "first message")
    expect(host.body(FILE_STATUS), struct.pack("<II", 1, DISABLED), "status")
    session.control.send(grab(0, TEXT) + request(TEXT))
    expect(session.control.body(CLIPBOARD), clipboard(NONE)[20:], "answer")
    host.none(GRAB, REQUEST)
    m.set_layout((("Virtual-1", 640, 480, 0, 0, 640, 480, 0),))


def test_classes(m):
    for kind, allowed in (("user-early", True), ("lock-screen", False), ("background", False), ("manager", False), ("", False)):
        name = "c-" + kind
        m.login.Add(name, os.getuid(), kind)
        m.activate(name, False)  # told as invalidated, without the value
        m.wait_property("ActiveSession", name)
        try:
            m.open()
            expect(allowed, True, "class %r" % kind)
        except dbus.DBusException as error:
            expect((error.get_dbus_name(), allowed), ("org.freedesktop.DBus.Error.AccessDenied", False), "class %r" % kind)


def test_logind_vanishes(m):
    host, session = m.connected()
    m.bus.get_object("org.freedesktop.DBus", "/org/freedesktop/DBus")
    m.logind.kill()
    session.control.wait_end()
    m.wait_property("ActiveSession", "")
    try:
        m.open()
        raise Failure("a session without logind")
    except dbus.DBusException as error:
        expect(error.get_dbus_name(), "org.freedesktop.DBus.Error.AccessDenied", "error")
    m.start_logind()
    m.wait_property("ActiveSession", "s1")
    m.open().answer()


def test_quiet_without_port():
    got = subprocess.run([DAEMON, "--port", "/nonexistent/port"], capture_output=True, text=True, timeout=TIMEOUT)
    expect(got.returncode, 0, "status")
    expect(len(got.stderr.splitlines()), 1, "lines: " + got.stderr)


def test_options():
    for option, text in (("--version", "spice-agent-system "), ("--help", "--port=PATH")):
        got = subprocess.run([DAEMON, option], capture_output=True, text=True, timeout=TIMEOUT)
        expect((got.returncode, text in got.stdout), (0, True), option)
    expect(subprocess.run([DAEMON, "--nonsense"], capture_output=True, timeout=TIMEOUT).returncode, 1, "unknown option")


def switches(m):
    """Times that some thread of the daemon went to sleep."""
    total = 0
    for task in os.listdir("/proc/%d/task" % m.daemon.pid):
        with open("/proc/%d/task/%s/status" % (m.daemon.pid, task)) as file:
            total += next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))
    return total


def test_sleeps_when_idle(m):
    host, session = m.connected()
    m.property("Version")
    select.select([], [], [], 0.5)  # what was begun ends
    before = switches(m)
    select.select([], [], [], 2)
    expect(switches(m) - before, 0, "wake-ups in 2 s")


def test_locked_down(m):
    with open("/proc/%d/status" % m.daemon.pid) as file:
        status = dict(line.split(":", 1) for line in file)
    expect([status[name].strip() for name in ("NoNewPrivs", "Seccomp", "CapEff")], ["1", "2", "0" * 16], "status")
    for fd in os.listdir("/proc/%d/fd" % m.daemon.pid):
        with open("/proc/%d/fdinfo/%s" % (m.daemon.pid, fd)) as file:
            flags = int(next(line.split()[1] for line in file if line.startswith("flags")), 8)
        if int(fd) > 2 and not flags & os.O_CLOEXEC:
            raise Failure("descriptor %s is inherited" % fd)


run([value for name, value in list(globals().items()) if name.startswith("test_")], "agent-system")
