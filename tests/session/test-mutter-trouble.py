#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mutter's services on the session bus as a test plays them: silent, refusing, and with answers that make no sense.

The Wayland side is the real one, so that spice-agent-session asks for them.
"""

import os
import struct
import sys
import time

from gi.repository import Gio, GLib

import compositor
import sessiond as s
import standins

if not compositor.Mutter.installed():
    print("mutter is not installed")
    sys.exit(77)

DISPLAYS, DISPLAYS_PATH = "org.gnome.Mutter.DisplayConfig", "/org/gnome/Mutter/DisplayConfig"
REMOTE, REMOTE_PATH = "org.gnome.Mutter.RemoteDesktop", "/org/gnome/Mutter/RemoteDesktop"
SCREENSAVER = "org.gnome.ScreenSaver"
SESSION, SESSION_PATH = REMOTE + ".Session", REMOTE_PATH + "/Session/u1"
STATE = "(ua((ssss)a(siiddada{sv})a{sv})a(iiduba(ssss)a{sv})a{sv})"
UTF8, TEXT = "text/plain;charset=utf-8", 1
SILENT = object()


def method(name, takes=(), gives=()):
    """Its description, with the types of what it takes and gives."""
    return "<method name='%s'>%s%s</method>" % (
        name, "".join("<arg direction='in' type='%s'/>" % kind for kind in takes),
        "".join("<arg direction='out' type='%s'/>" % kind for kind in gives))


class Service:
    """An object. An answer is a Variant, an error or its text, SILENT, ([fd...], Variant), or a function that gives one."""

    def __init__(self, bus, path, interface, methods):
        self.bus, self.path, self.interface = bus, path, interface
        self.calls, self.kept = [], []
        self.answers = {}
        xml = "<node><interface name='%s'>%s</interface></node>" % (interface, methods)
        bus.register_object(path, Gio.DBusNodeInfo.new_for_xml(xml).interfaces[0], self.on_call, None, None)

    def on_call(self, _bus, _sender, _path, _interface, name, arguments, invocation):
        self.calls.append(name)
        answer = self.answers.get(name)
        if callable(answer):
            answer = answer(*arguments.unpack())
        if answer is SILENT:
            self.kept.append(invocation)
        elif isinstance(answer, GLib.Error):
            invocation.return_gerror(answer)
        elif isinstance(answer, str):
            invocation.return_dbus_error("org.freedesktop.DBus.Error.Failed", answer)
        elif isinstance(answer, tuple):
            fds, value = answer
            listed = Gio.UnixFDList.new()
            for fd in fds:
                listed.append(fd)
                os.close(fd)
            invocation.return_value_with_unix_fd_list(value, listed)
        else:
            invocation.return_value(answer)

    def emit(self, name, arguments=None):
        self.bus.emit_signal(None, self.path, self.interface, name, arguments)


def mode(number, w, h, scales=(1.0,), **flags):
    return (number, w, h, 60.0, 1.0, list(scales), {key.replace("_", "-"): GLib.Variant("b", True) for key in flags})


def monitor(name, *modes, **properties):
    return ((name, "", "", ""), list(modes), properties)


def shown(name, x=0, y=0, scale=1.0, transform=0, primary=True):
    return (x, y, scale, transform, primary, [(name, "", "", "")], {})


def state(monitors, logical, serial=1, **properties):
    return GLib.Variant(STATE, (serial, monitors, logical, properties))


GOOD = ([monitor("Virtual-1", mode("a", 1280, 800, is_current=1, is_preferred=1), mode("b", 1024, 768))],
        [shown("Virtual-1")])
GOOD_LAYOUT = [("Virtual-1", 1280, 800, 0, 0, 1280, 800, 0)]


class Case:
    def __init__(self, config="", names=(DISPLAYS, REMOTE)):
        self.mutter = compositor.Mutter()
        self.session = compositor.Bus()
        self.bus = self.session.connect()
        self.displays = Service(self.bus, DISPLAYS_PATH, DISPLAYS, method("GetCurrentState", (), (
            "u", "a((ssss)a(siiddada{sv})a{sv})", "a(iiduba(ssss)a{sv})", "a{sv}")) + method("ApplyMonitorsConfig", (
                "u", "u", "a(iiduba(ssa{sv}))", "a{sv}")))
        self.displays.answers["GetCurrentState"] = lambda: state(*GOOD)
        self.remote = Service(self.bus, REMOTE_PATH, REMOTE, method("CreateSession", (), ("o",)))
        self.remote.answers["CreateSession"] = GLib.Variant("(o)", (SESSION_PATH,))
        self.clipboard = Service(self.bus, SESSION_PATH, SESSION, "".join([
            method("EnableClipboard", ("a{sv}",)), method("DisableClipboard"), method("SetSelection", ("a{sv}",)),
            method("SelectionWrite", "u", "h"), method("SelectionWriteDone", "ub"), method("SelectionRead", "s", "h")]))
        self.refused = []
        self.bus.signal_subscribe(None, s.SESSION, "Refused", None, None, 0,
                                  lambda *arguments: self.refused.append(arguments[5].unpack()))
        self.names = names
        self.config = config
        self.system = compositor.Bus()
        self.agent = s.Agent(self.system)
        self.daemon = None

    def start(self):
        """After the answers have been set."""
        for name in self.names:
            standins.own(self.bus, name)
        self.daemon = self.mutter.daemon(self.system, self.session, config=self.config)

    def client(self):
        s.until(lambda: self.backend("clipboard").startswith("mutter") and self.agent.layouts, "the backends")
        self.agent.client()

    def __enter__(self):
        return self

    def __exit__(self, kind, _value, _trace):
        try:
            if kind:
                print(self.daemon.text()[-3000:])
            self.daemon.stop()
        finally:
            self.agent.close()
            self.system.stop()
            self.session.stop()
            self.mutter.__exit__(None, None, None)

    def backend(self, name):
        return (s.property_of(self.bus, "Backends") or {}).get(name, "")

    def ask(self, *heads):
        body = struct.pack("<II", len(heads), 1)
        for w, h, x, y in heads:
            body += struct.pack("<IIIii", h, w, 32, x, y)
        self.agent.control.send(s.message(s.MONITORS_CONFIG, body))
        return struct.unpack("<II", self.agent.control.take(s.REPLY))[1] == 1

    def own(self, *types, **options):
        """Somebody owns the clipboard; without types nobody does."""
        if types:
            options["mime-types"] = GLib.Variant("(as)", (types,))
        self.clipboard.emit("SelectionOwnerChanged", GLib.Variant("(a{sv})", (options,)))

    def request(self, kind=TEXT):
        self.agent.control.send(s.message(s.REQUEST, struct.pack("<B3xI", 0, kind)))
        body = self.agent.control.take(s.CLIPBOARD)
        return struct.unpack_from("<B3xI", body)[1], body[8:]

    def grab(self, serial):
        self.agent.control.send(s.message(s.GRAB, struct.pack("<B3xII", 0, serial, TEXT)))


def absurd_states():
    """What cannot be is left out, and nothing that can be is lost."""
    nan = float("nan")
    with Case() as case:
        case.start()
        s.until(lambda: case.agent.layouts == [GOOD_LAYOUT], "the first layout")
        case.agent.layouts.clear()
        for monitors, logical, expected in [
                ([], [], []),
                ([monitor("Virtual-1")], [shown("Virtual-1")], []),
                ([monitor("Virtual-1", mode("a", 0, 0, is_current=1))], [shown("Virtual-1")], []),
                ([monitor("Virtual-1", mode("a", -1280, 800, is_current=1))], [shown("Virtual-1")], []),
                ([monitor("Virtual-1", mode("a", 65536, 800, is_current=1))], [shown("Virtual-1")], []),
                (GOOD[0], [shown("Other"), shown("Virtual-1", scale=nan, transform=8)], GOOD_LAYOUT),
                (GOOD[0], [shown("Virtual-1", scale=0.0)], GOOD_LAYOUT),
                (GOOD[0], [shown("Virtual-1", scale=-2.0)], GOOD_LAYOUT),
                (GOOD[0], [shown("Virtual-1", scale=1e-300)], GOOD_LAYOUT),
                (GOOD[0], [shown("Virtual-1", -2147483648, 2147483647)],
                 [("Virtual-1", 0, 0, 0, 0, 0, 0, 0)]),
                (GOOD[0], [shown("Virtual-1", scale=3.0, transform=7)], [("Virtual-1", 1280, 800, 0, 0, 267, 427, 7)]),
                ([monitor("Virtual-%d" % (i % 20), mode("a", 100, 100, is_current=1)) for i in range(200)],
                 [shown("Virtual-%d" % i, 100 * i) for i in range(200)], None),
                ([monitor("V" * 1000, mode("a", 800, 600, is_current=1))], [shown("V" * 1000)], None),
                ([monitor("Virtual-1", *[mode(str(i), 1 + i, 800) for i in range(5000)],
                          mode("b", 1280, 800, is_current=1))], [shown("Virtual-1")] * 1000, GOOD_LAYOUT),
                (*GOOD, GOOD_LAYOUT)]:
            case.displays.answers["GetCurrentState"] = lambda m=monitors, l=logical: state(m, l)
            reads = case.displays.calls.count("GetCurrentState")
            case.displays.emit("MonitorsChanged")
            s.until(lambda: case.displays.calls.count("GetCurrentState") > reads, "it to be read again")
            if expected is not None:
                s.until(lambda: case.agent.layouts and case.agent.layouts[-1] == expected, "layout %r, have %r" % (
                    expected, case.agent.layouts[-1:]))
            else:
                s.settle(0.1)
        # Signals without end: no more is asked than can be answered.
        reads = len(case.displays.calls)
        for _ in range(10000):
            case.displays.emit("MonitorsChanged")
        s.settle(0.5)
        assert len(case.displays.calls) - reads < 5000, len(case.displays.calls) - reads
        assert case.backend("displays") == "mutter"


def apply_trouble():
    with Case() as case:
        case.start()
        case.client()
        case.displays.answers["ApplyMonitorsConfig"] = "Logical monitors not adjacent"
        assert not case.ask((1024, 768, 0, 0))
        s.until(lambda: case.refused, "Refused")
        assert case.refused.pop() == ("displays", "the compositor refuses it: Logical monitors not adjacent")
        assert case.displays.calls.count("ApplyMonitorsConfig") == 2, case.displays.calls
        # An error that could be mistaken for the end of waiting.
        case.displays.answers["ApplyMonitorsConfig"] = GLib.Error.new_literal(
            Gio.io_error_quark(), "cancelled", Gio.IOErrorEnum.CANCELLED)
        assert not case.ask((1024, 768, 0, 0))
        # It has no room for it.
        case.displays.answers["GetCurrentState"] = lambda: state(
            *GOOD, **{"max-screen-size": GLib.Variant("(ii)", (1000, 700))})
        reads = case.displays.calls.count("GetCurrentState")
        case.displays.emit("MonitorsChanged")
        s.until(lambda: case.displays.calls.count("GetCurrentState") > reads, "it to be read again")
        assert not case.ask((1024, 768, 0, 0))
        s.until(lambda: ("displays", "Virtual-1 has no mode of 1000x700") in case.refused, "the limit to be kept")
        case.displays.answers["GetCurrentState"] = lambda: state(*GOOD)
        # Scales that are none.
        taken = []
        odd = mode("b", 1024, 768, scales=(float("nan"), 0.0, -1.0, 1e300, 2.0))
        case.displays.answers["ApplyMonitorsConfig"] = lambda *arguments: taken.append(arguments[2][0][2])
        case.displays.answers["GetCurrentState"] = lambda: state(
            [monitor("Virtual-1", mode("a", 1366, 768, is_current=1), odd)], GOOD[1])
        case.displays.emit("MonitorsChanged")
        s.until(lambda: case.agent.layouts[-1][0][1] == 1366, "it to be read")
        assert not case.ask((1024, 768, 0, 0))
        assert taken == [2.0, 2.0], (taken, case.refused)
        case.displays.answers["GetCurrentState"] = lambda: state(*GOOD)
        # It says that it is done, and nothing has changed.
        case.displays.answers["ApplyMonitorsConfig"] = lambda *_: None
        assert not case.ask((1024, 768, 0, 0))
        # It is done with the second try, since the serial had become another.
        serial = [7]
        done = []

        def apply(number, how, logical, properties):
            assert how == 1 and not properties, (how, properties)
            if number != serial[0]:
                return "stale"
            done.append(logical)
            case.displays.answers["GetCurrentState"] = lambda: state(
                [monitor("Virtual-1", mode("a", 1280, 800), mode("b", 1024, 768, is_current=1))], GOOD[1])
            return None
        case.displays.answers["ApplyMonitorsConfig"] = apply
        case.displays.answers["GetCurrentState"] = lambda: state(*GOOD, serial=serial[0])
        assert case.ask((1024, 768, 0, 0))
        assert done == [[(0, 0, 1.0, 0, True, [("Virtual-1", "b", {})])]], done
        # A client that leaves is not there for its answer, and the next one gets none but its own.
        body = struct.pack("<IIIIIii", 1, 1, 768, 1024, 32, 0, 0)
        case.displays.answers["ApplyMonitorsConfig"] = SILENT
        case.displays.answers["GetCurrentState"] = lambda: state(*GOOD, serial=serial[0])
        case.displays.emit("MonitorsChanged")
        s.until(lambda: case.agent.layouts[-1] == GOOD_LAYOUT, "it to be read")
        case.agent.control.send(s.message(s.MONITORS_CONFIG, body))
        s.until(lambda: case.displays.kept, "the call")
        for end in case.agent.control, case.agent.files:
            end.send(s.message(s.CLIENT_DISCONNECTED, b""))
        case.agent.client()
        case.agent.control.send(s.message(s.MONITORS_CONFIG, body))
        case.displays.answers["ApplyMonitorsConfig"] = apply
        case.displays.kept.pop().return_dbus_error("org.freedesktop.DBus.Error.Failed", "overtaken")
        assert struct.unpack("<II", case.agent.control.take(s.REPLY))[1] == 1
        s.settle()
        case.agent.control.read()
        assert not [kind for kind, _ in case.agent.control.messages if kind == s.REPLY]
        # The service goes away with a call under way: the request is answered, and the reason is told.
        case.displays.answers["ApplyMonitorsConfig"] = SILENT
        body = struct.pack("<IIIIIii", 1, 1, 800, 1280, 32, 0, 0)
        case.agent.control.send(s.message(s.MONITORS_CONFIG, body))
        s.until(lambda: case.displays.kept, "the call")
        case.bus.call_sync("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "ReleaseName",
                           GLib.Variant("(s)", (DISPLAYS,)), None, 0, -1, None)
        assert struct.unpack("<II", case.agent.control.take(s.REPLY))[1] != 1
        s.until(lambda: case.backend("displays") == "none: org.gnome.Mutter.DisplayConfig went away", "the reason")
        assert case.backend("clipboard").startswith("mutter")


def slow_start():
    """A compositor that is still busy with its own start, as under load, has its services before it answers."""
    with Case() as case:
        case.displays.answers["GetCurrentState"] = case.clipboard.answers["EnableClipboard"] = SILENT
        case.start()
        case.agent.client()
        case.grab(0)
        for service in case.displays, case.clipboard:
            s.until(lambda: service.kept, "the call")
        time.sleep(11)
        case.displays.answers["GetCurrentState"] = lambda: state(*GOOD)
        case.displays.kept.pop().return_value(state(*GOOD))
        case.clipboard.kept.pop().return_value(None)
        s.until(lambda: case.agent.layouts == [GOOD_LAYOUT], "the layout")
        s.until(lambda: case.clipboard.calls == ["EnableClipboard", "SetSelection"], "the host's content")
        assert case.backend("displays") == "mutter"


def no_answer():
    """Services that do not answer what they did before, or with something else than they should."""
    with Case() as case:
        case.displays.answers["GetCurrentState"] = "no"
        case.remote.answers["CreateSession"] = "Session creation inhibited"
        case.start()
        s.until(lambda: case.backend("clipboard") ==
                "none: the compositor gives no clipboard session: Session creation inhibited", "the reason")
        s.until(lambda: case.backend("displays") == "none: the compositor does not say what monitors it has",
                "the reason")
        assert case.daemon.text().count("no displays:") == 1
    with Case() as case:
        case.start()
        case.client()
        case.displays.answers["GetCurrentState"] = SILENT
        case.displays.emit("MonitorsChanged")
        case.daemon.wait_log("it does not say what monitors it has: Timeout was reached")
        assert case.backend("displays") == "mutter"
    with Case() as case:
        case.clipboard.answers["EnableClipboard"] = "no"
        case.start()
        s.until(lambda: case.backend("clipboard") == "none: the compositor refuses its clipboard: no", "the reason")
    with Case() as case:
        case.start()
        case.client()
        case.clipboard.emit("Closed")
        s.until(lambda: case.backend("clipboard") == "none: the compositor ended the clipboard session, as GNOME does "
                "when the screen is locked", "the reason")


def locked():
    """GNOME ends the session while the screen is locked, gives none, and says when it does again."""
    with Case() as case:
        screen = Service(case.bus, "/org/gnome/ScreenSaver", SCREENSAVER, "")
        standins.own(case.bus, SCREENSAVER)
        case.start()
        case.client()
        case.grab(0)
        s.until(lambda: "SetSelection" in case.clipboard.calls, "the clipboard")
        for _ in range(2):
            case.remote.answers["CreateSession"] = "Session creation inhibited"
            screen.emit("ActiveChanged", GLib.Variant("(b)", (True,)))
            case.clipboard.emit("Closed")
            s.until(lambda: case.backend("clipboard").startswith("none"), "the end")
            screen.emit("ActiveChanged", GLib.Variant("(b)", (False,)))  # as it may come too early
            s.until(lambda: "inhibited" in case.backend("clipboard"), "another end")
            case.remote.answers["CreateSession"] = GLib.Variant("(o)", (SESSION_PATH,))
            del case.clipboard.calls[:]
            s.until(lambda: case.clipboard.calls == ["EnableClipboard", "SetSelection"], "the host's content")
            assert case.backend("clipboard").startswith("mutter")
        screen.emit("ActiveChanged", GLib.Variant("(s)", ("odd",)))
        screen.emit("ActiveChanged", GLib.Variant("(b)", (False,)))
        s.settle()
        assert case.clipboard.calls == ["EnableClipboard", "SetSelection"], case.clipboard.calls


def flood(size, held):
    """A pipe with so much to read; its writing end is kept when that is not all."""
    def answer(_name):
        ours, theirs = os.pipe()
        os.set_blocking(theirs, False)
        try:
            os.write(theirs, b"x" * size)
        except BlockingIOError:
            pass
        held.append(theirs)
        return [ours], GLib.Variant("(h)", (0,))
    return answer


def clipboard_trouble():
    with Case(config="[clipboard]\ntimeout-ms=300\nmax-size=1000\n") as case:
        case.start()
        case.client()
        held = []
        # Lists that are none, and a name that is longer than any.
        for odd in (GLib.Variant("s", UTF8), GLib.Variant("a{sv}", {}), GLib.Variant("(as)", ([],)),
                    GLib.Variant("as", ["x" * 1000000]), GLib.Variant("(as)", (["y/%d" % i for i in range(5000)],))):
            case.own(**{"mime-types": odd})
        case.clipboard.emit("SelectionOwnerChanged", GLib.Variant("(s)", ("x",)))
        case.clipboard.emit("SelectionTransfer", GLib.Variant("(us)", (1, "x")))
        case.clipboard.emit("Unheard", None)
        case.own(UTF8)
        case.agent.control.take(s.GRAB)
        # No descriptor, another number than that of one, none at all, and errors; then one that is silent.
        for answer in (GLib.Variant("(h)", (0,)), GLib.Variant("(h)", (7,)), "in parallel", "no owner"):
            case.clipboard.answers["SelectionRead"] = answer
            assert case.request() == (0, b"")
        case.clipboard.answers["SelectionRead"] = flood(10, held)
        assert case.request() == (0, b"")
        # It may refuse for a moment what it then gives.
        answers = ["in parallel", "in parallel", flood(10, held)]

        def later(name):
            answer = answers.pop(0)
            if callable(answer):
                answer = answer(name)
                os.close(held.pop())
            return answer
        case.clipboard.answers["SelectionRead"] = later
        assert case.request() == (TEXT, b"x" * 10)
        case.clipboard.answers["SelectionRead"] = flood(1 << 20, held)
        start = time.monotonic()
        assert case.request() == (0, b"")
        assert time.monotonic() - start < 0.3
        # A compositor that does not answer is not asked again.
        case.clipboard.answers["SelectionRead"] = SILENT
        start = time.monotonic()
        assert case.request() == (0, b"")
        assert time.monotonic() - start < 20, "as long as one call may take"
        del case.clipboard.kept[:]
        # An answer that comes when nobody waits for it any more is closed.
        case.agent.control.send(s.message(s.REQUEST, struct.pack("<B3xI", 0, TEXT)))
        s.until(lambda: case.clipboard.kept, "the call")
        case.own(UTF8)
        case.agent.control.take(s.CLIPBOARD)
        fds, value = flood(10, held)(UTF8)
        listed = Gio.UnixFDList.new()
        listed.append(fds[0])
        os.close(fds[0])
        case.clipboard.kept.pop().return_value_with_unix_fd_list(value, listed)
        del listed  # which has the descriptor too

        def broken():
            try:
                os.write(held[-1], b"x")
            except BrokenPipeError:
                return True
            except BlockingIOError:
                pass
            return False
        s.until(broken, "the pipe to be closed")
        for fd in held:
            os.close(fd)
        assert case.backend("clipboard").startswith("mutter")


def transfers():
    """Programs that paste without end, while the pipes for them do not come."""
    with Case(config="[clipboard]\ntimeout-ms=300\n") as case:
        case.start()
        case.client()
        case.grab(0)
        s.until(lambda: "SetSelection" in case.clipboard.calls, "the clipboard")
        case.clipboard.answers["SelectionWrite"] = SILENT
        for serial in range(10000):
            case.clipboard.emit("SelectionTransfer", GLib.Variant("(su)", (UTF8, serial)))
        s.until(lambda: len([call for call in case.clipboard.calls if call.startswith("SelectionWrite")]) >= 10000,
                "an answer to each")
        assert case.clipboard.calls.count("SelectionWrite") <= 100
        assert "too many programs paste at once" in case.daemon.text()
        # Errors for those, and then pipes that nobody reads, one for a name that is not offered, and a good one.
        for invocation in case.clipboard.kept:
            invocation.return_dbus_error("org.freedesktop.DBus.Error.Failed", "overtaken")
        del case.clipboard.kept[:]
        readers = []

        def write(_serial):
            ours, theirs = os.pipe()
            readers.append(ours)
            return [theirs], GLib.Variant("(h)", (0,))
        case.clipboard.answers["SelectionWrite"] = write
        done = []
        case.clipboard.answers["SelectionWriteDone"] = lambda serial, whole: done.append((serial, whole))
        case.clipboard.emit("SelectionTransfer", GLib.Variant("(su)", ("image/png", 1)))
        s.until(lambda: done == [(1, False)], "a refusal")
        case.clipboard.emit("SelectionTransfer", GLib.Variant("(su)", ("x" * 100000, 2)))
        s.until(lambda: done[1:] == [(2, False)], "a refusal")
        case.clipboard.emit("SelectionTransfer", GLib.Variant("(su)", (UTF8, 3)))
        case.agent.control.take(s.REQUEST)
        case.agent.control.send(s.message(s.CLIPBOARD, struct.pack("<B3xI", 0, TEXT) + b"good"))
        s.until(lambda: done[2:] == [(3, True)], "a paste")
        assert os.read(readers[-1], 100) == b"good" and os.read(readers[-1], 100) == b""
        # The client does not answer.
        case.clipboard.emit("SelectionTransfer", GLib.Variant("(su)", (UTF8, 4)))
        s.until(lambda: done[3:] == [(4, False)], "the end of a paste")
        for fd in readers:
            os.close(fd)


s.main("mutter-trouble", [absurd_states, apply_trouble, slow_start, no_answer, locked, clipboard_trouble, transfers])
