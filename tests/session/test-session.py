#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which session and display the daemon serves, what it tells on the session bus, and its notifications."""

import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree

from gi.repository import Gio, GLib

import sessiond as s
from standins import Case, Object, free_display, own

def waits_for_a_display():
    number = free_display()
    with Case() as case:
        case.start(display=":%d" % number)
        case.expect("Session", "1")
        s.settle(1)
        assert case.get("Display") == "" and case.get("Backends")["clipboard"].startswith("none: ")
        for _ in range(2):
            server = case.server(number)
            case.expect("Display", ":%d" % number)
            assert case.get("Backends") == {"clipboard": "x11", "displays": "x11", "layout": "x11",
                                            "files": "directory"}
            assert case.get("Outputs") == [("DUMMY0", 1024, 768, 0, 0, 1024, 768, 0)]
            case.kill_server(server)
            case.expect("Display", "")


def follows_switches_of_the_user():
    first = free_display()
    with Case(logind=[("1", True)]) as case:
        case.server(first)
        second = first + 1
        while os.path.exists("/tmp/.X11-unix/X%d" % second):
            second += 1
        case.server(second)
        case.start(display=":%d" % first, logind="1")
        case.expect("Display", ":%d" % first)
        case.agent.wait_open()
        # Another session of the user begins: its autostart tells where it is and ends.
        case.logind.add("2", False)
        other = s.Daemon(case.system, session=case.user, display=":%d" % second, logind="2")
        assert other.process.wait(s.LIMIT) == 3
        s.settle()
        assert case.get("Display") == ":%d" % first and case.get("Session") == "1"
        case.logind.activate("2")
        case.agent.set_active("2")
        case.expect("Display", ":%d" % second)
        case.expect("Session", "2")
        s.until(lambda: case.agent.calls[-1] == {"session": "2"}, "the connection for 2")
        # Somebody else's session, or none: ours stays what is served, and gets a connection when it is active again.
        case.logind.add("3", True, "x11", "", os.getuid() + 1)
        case.logind.activate("3")
        case.agent.set_active("3")
        s.settle(0.5)
        assert case.get("Session") == "2" and not case.get("Connected")
        case.logind.activate("1")
        case.agent.set_active("1")
        case.expect("Display", ":%d" % first)
        case.expect("Connected", True)
        case.logind.remove("1")
        case.logind.remove("2")
        case.expect("Session", "")
        case.expect("Display", "")


def knows_displays_of_logind_and_systemd():
    number = free_display()
    with Case(logind=[("1", True, "x11", ":%d" % number)]) as case:
        case.server(number)
        case.start(logind=None)
        case.expect("Display", ":%d" % number)
    with Case(logind=[("1", True)]) as case:
        case.server(number)
        manager = case.manager("A=B")
        case.start(logind=None)
        case.expect("Session", "1")
        s.settle(0.5)
        assert case.get("Display") == "", "a server that nobody says is the session's"
        manager.properties["Environment"] = GLib.Variant("as", ["X=Y", "DISPLAY=:%d" % number])
        case.logind.activate("1")
        case.expect("Display", ":%d" % number)


def refuses_displays_of_others():
    number = free_display()
    path = "/tmp/.X11-unix/X%d" % number
    os.makedirs("/tmp/.X11-unix", mode=0o1777, exist_ok=True)
    server = subprocess.Popen([sys.executable, "-c", """if True:
        import os, socket, sys
        os.setuid(65534)
        s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print("ready", flush=True)
        while True: s.accept()""", path],
        stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout.readline() == "ready\n"
        with Case(logind=[("1", True, "x11", ":%d" % number), ("2", False, "wayland")]) as case:
            case.start(display=":%d" % number)
            case.daemon.wait_log("is another user's")
            s.settle(0.5)
            assert case.get("Display") == ""
            # A display of a Wayland session is the compositor's own business, even if we are let in.
            own_server = case.server(number + 1)
            s.until(lambda: os.path.exists("/tmp/.X11-unix/X%d" % (number + 1)), "the server")
            case.attach(DISPLAY=":%d" % (number + 1), XDG_SESSION_ID="2")
            case.logind.activate("2")
            case.expect("Session", "2")
            s.settle(0.5)
            assert case.get("Display") == "" and own_server.poll() is None
            # Neither is one on another machine.
            case.attach(DISPLAY="example:0", XDG_SESSION_ID="2")
            assert "trying X display" not in case.daemon.text()
    finally:
        server.kill()
        server.wait()
        os.unlink(path)


def interface_is_as_described():
    with Case(config="[clipboard]\nmax-size=7M\n[files]\nenabled=false\n") as case:
        case.start()
        case.expect("Connected", True)
        text = case.watcher.call_sync(s.SESSION, s.SESSION_PATH, "org.freedesktop.DBus.Introspectable", "Introspect",
                                      None, None, 0, -1, None).unpack()[0]

        def shape(node):
            interface = next(item for item in node.iter("interface") if item.get("name") == s.SESSION)
            return sorted((item.tag, item.get("name"), item.get("type"), item.get("access"),
                           tuple((arg.get("name"), arg.get("type"), arg.get("direction")) for arg in item.iter("arg")))
                          for item in interface if item.tag in ("method", "signal", "property"))
        described = xml.etree.ElementTree.parse(os.path.join(s.TOP, "protocol", s.SESSION + ".xml")).getroot()
        assert shape(xml.etree.ElementTree.fromstring(text)) == shape(described)
        for _, name, kind, _, _ in [item for item in shape(described) if item[0] == "property"]:
            value = case.watcher.call_sync(s.SESSION, s.SESSION_PATH, s.PROPERTIES, "Get",
                                           GLib.Variant("(ss)", (s.SESSION, name)), None, 0, -1, None)
            assert value.get_child_value(0).get_variant().get_type_string() == kind, name
        policy = case.get("Policy")
        assert policy["clipboard.max-size"] == "7M" and policy["files.enabled"] == "false"
        assert sorted(policy) == sorted("clipboard.to-host clipboard.from-host clipboard.primary clipboard.max-size "
                                        "clipboard.timeout-ms files.enabled files.directory displays.follow "
                                        "displays.scale".split()), policy
        version = subprocess.run([s.PROGRAM, "--version"], check=True, capture_output=True, text=True).stdout.split()
        assert version == ["spice-agent-session", case.get("Version")]
        # The example file names every key, with its default.
        with open(os.path.join(s.TOP, "agent-session", "data", "agent-session.conf"), encoding="utf-8") as file:
            example = re.findall(r"^(?:\[(.*)\]|#([a-z-]+)=(.*))$", file.read(), re.M)
        group, keys = "", {}
        for head, key, value in example:
            group = head or group
            if key:
                keys["%s.%s" % (group, key)] = value
        with_defaults = dict(policy, **{"clipboard.max-size": "100M", "files.enabled": "true"})
        assert keys == with_defaults, keys


def refusals_are_told():
    signals = []
    with Case() as case:
        case.watcher.signal_subscribe(s.SESSION, s.SESSION, "Refused", s.SESSION_PATH, None, 0,
                                      lambda *a: signals.append(a[5].unpack()))
        changes = []
        case.watcher.signal_subscribe(s.SESSION, s.PROPERTIES, "PropertiesChanged", s.SESSION_PATH, None, 0,
                                      lambda *a: changes.append(a[5].unpack()[1]))
        case.start(config="[files]\ndirectory=/proc/nothing\n")
        case.agent.client()
        case.expect("ClientConnected", True)
        case.agent.files.send(s.file_start(1, "report.pdf", 10))
        assert case.agent.files.status(1)[0] == s.ERROR
        s.until(lambda: signals, "the signal")
        assert signals[0][0] == "file report.pdf" and "/proc/nothing" in signals[0][1], signals
        for number in range(100):
            case.agent.files.send(s.file_start(number, "report.pdf", 10))
            case.agent.files.status(number)
        s.settle()
        assert len(signals) <= 20, len(signals)
        case.agent.control.send(s.message(s.CLIENT_DISCONNECTED))
        case.expect("ClientConnected", False)
        assert {"Connected": True} in changes and {"ClientConnected": True} in changes, changes


def refusals_name_any_path():
    """A file name need not be UTF-8, but what is sent over D-Bus must."""
    signals = []
    with Case() as case:
        case.watcher.signal_subscribe(s.SESSION, s.SESSION, "Refused", s.SESSION_PATH, None, 0,
                                      lambda *a: signals.append(a[5].unpack()))
        case.start(env={"HOME": "/proc/caf\udce9", "XDG_CONFIG_HOME": "/nonexistent"})
        case.agent.client()
        case.agent.files.send(s.file_start(1, "report.pdf", 10))
        assert case.agent.files.status(1)[0] == s.ERROR
        s.until(lambda: signals, "the signal")
        assert "/proc/caf\ufffd" in signals[0][1], signals


def watches(daemon):
    """How many directories it watches."""
    directory = "/proc/%d/fdinfo" % daemon.process.pid
    count = 0
    for name in os.listdir(directory):
        try:
            with open(os.path.join(directory, name), encoding="utf-8") as file:
                count += sum(line.startswith("inotify") for line in file)
        except FileNotFoundError:
            pass
    return count


def looks_only_for_what_may_come():
    """Homes are busy places: they are watched only while a display may appear there."""
    with Case(logind=[("1", False, "tty", "", None, "")]) as case:  # as by ssh
        case.start(logind=None)
        case.expect("Session", "")
        s.settle(0.5)
        assert watches(case.daemon) == 0
        case.logind.add("2", True)
        case.expect("Session", "2")
        s.until(lambda: watches(case.daemon) == 3, "watching for X servers and their authority files")
        case.logind.add("3", False, "wayland")
        case.logind.activate("3")
        case.expect("Session", "3")
        s.until(lambda: watches(case.daemon) == 1, "watching the runtime directory alone for a Wayland session")
        case.logind.activate("2")
        s.until(lambda: watches(case.daemon) == 3, "watching again")


NOTIFY = """<method name='GetCapabilities'><arg type='as' direction='out'/></method>
<method name='Notify'><arg type='s' direction='in'/><arg type='u' direction='in'/><arg type='s' direction='in'/>
<arg type='s' direction='in'/><arg type='s' direction='in'/><arg type='as' direction='in'/>
<arg type='a{sv}' direction='in'/><arg type='i' direction='in'/><arg type='u' direction='out'/></method>
<signal name='ActionInvoked'><arg type='u'/><arg type='s'/></signal>"""


def notifications():
    with Case() as case:
        server = Object(case.watcher, "/org/freedesktop/Notifications", "org.freedesktop.Notifications", NOTIFY,
                        {"GetCapabilities": GLib.Variant("(as)", (["actions", "body", "body-markup"],)),
                         "Notify": GLib.Variant("(u)", (7,))})
        own(case.watcher, "org.freedesktop.Notifications")
        manager = Object(case.watcher, "/org/freedesktop/FileManager1", "org.freedesktop.FileManager1",
                         "<method name='ShowItems'><arg type='as' direction='in'/><arg type='s' direction='in'/>"
                         "</method>",
                         {"ShowItems": None})
        own(case.watcher, "org.freedesktop.FileManager1")
        box = os.path.join(os.environ["HOME"], "box with spaces")
        tools = os.path.join(os.environ["HOME"], "tools")
        os.makedirs(tools)
        with open(os.path.join(tools, "xdg-open"), "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nprintf '%s|' \"$@\" > \"$HOME/opened\"\n")
        os.chmod(os.path.join(tools, "xdg-open"), 0o755)
        case.start(config="[files]\ndirectory=%s\n" % box, env={"PATH": tools + ":" + os.environ["PATH"]})
        case.agent.client()
        end = case.agent.files

        def shown():
            return [arguments for method, arguments in server.calls if method == "Notify"]
        end.send(s.file_start(1, "a&b<i>.pdf", 3 << 20))
        assert end.status(1)[0] == s.CAN_SEND
        s.until(shown, "the first notification")
        for _ in range(24):
            end.send(s.file_data(1, bytes(65536)))
        s.settle(1.1)
        for _ in range(24):
            end.send(s.file_data(1, bytes(65536)))
        assert end.status(1)[0] == s.SUCCESS
        s.until(lambda: "Received" in shown()[-1][3], "the last notification")
        first, last = shown()[0], shown()[-1]
        assert first[1] == 0 and first[6]["value"] == 0 and first[5] == [], first
        assert [item[1] for item in shown()[1:]] == [7] * (len(shown()) - 1), shown()
        assert any(40 <= item[6].get("value", 0) <= 60 for item in shown()), shown()
        assert len(shown()) <= 5, len(shown())
        assert last[3] == "Received a&b<i>.pdf" and last[5][0] == "open" and "value" not in last[6], last

        def press():
            case.watcher.emit_signal(None, server.path, server.interface, "ActionInvoked",
                                     GLib.Variant("(us)", (7, "open")))
        press()
        s.until(lambda: manager.calls, "ShowItems")
        assert manager.calls[0][1][0] == ["file://%s/a%%26b%%3Ci%%3E.pdf" % box.replace(" ", "%20")] or \
            manager.calls[0][1][0] == ["file://%s/a&b%%3Ci%%3E.pdf" % box.replace(" ", "%20")], manager.calls
        # One that is slow to start is on its way.
        opened = os.path.join(os.environ["HOME"], "opened")
        manager.answers["ShowItems"] = ...
        press()
        s.until(lambda: manager.held, "ShowItems")
        s.settle(5.5)
        assert not os.path.exists(opened)
        manager.answers["ShowItems"] = False
        press()
        s.until(lambda: os.path.exists(opened) and os.path.getsize(opened), "xdg-open")
        with open(opened, encoding="utf-8") as file:
            assert file.read() == box + "|"
        # One that fails is told as such, and does nothing when pressed.
        end.send(s.file_start(2, "x", 10))
        assert end.status(2)[0] == s.CAN_SEND
        end.send(s.file_data(2, bytes(11)))
        assert end.status(2)[0] == s.ERROR
        s.until(lambda: shown()[-1][3] == "File transfer failed", "the failure")
        assert shown()[-1][5] == [] and "1 " in shown()[-1][4], shown()[-1]


def notifications_of_a_service_that_starts_late():
    with Case() as case:
        server = Object(case.watcher, "/org/freedesktop/Notifications", "org.freedesktop.Notifications", NOTIFY,
                        {"GetCapabilities": ..., "Notify": GLib.Variant("(u)", (7,))})
        own(case.watcher, "org.freedesktop.Notifications")
        case.start()
        case.agent.client()
        end = case.agent.files
        for name in "one", "two":
            end.send(s.file_start(1, name, 1))
            assert end.status(1)[0] == s.CAN_SEND
            end.send(s.file_data(1, b"x"))
            assert end.status(1)[0] == s.SUCCESS
        s.until(lambda: server.held, "the question what it can do")
        s.settle(0.5)
        assert [method for method, _ in server.calls] == ["GetCapabilities"], server.calls
        server.held.pop().return_value(GLib.Variant("(as)", (["actions"],)))
        s.until(lambda: len(server.calls) == 3, "a notification of each")
        assert [(call[1], call[3], call[5][0]) for _, call in server.calls[1:]] == \
            [(0, "Received one", "open"), (0, "Received two", "open")], server.calls


def ends_when_told():
    with Case() as case:
        case.start()
        case.expect("Connected", True)
        case.daemon.process.send_signal(signal.SIGINT)
        assert case.daemon.process.wait(s.LIMIT) == 0
        # Wrong use is an error, as is a file that cannot be read.
        assert subprocess.run([s.PROGRAM, "--nonsense"], capture_output=True).returncode == 2
        assert subprocess.run([s.PROGRAM, "extra"], capture_output=True).returncode == 2
        directory = os.path.join(os.environ["HOME"], "broken")
        os.makedirs(directory)
        with open(os.path.join(directory, "agent-session.conf"), "w", encoding="utf-8") as file:
            file.write("no group=1\n")
        result = subprocess.run([s.PROGRAM, "--config", directory], capture_output=True, text=True)
        assert result.returncode == 1 and "agent-session.conf" in result.stderr, result
        # Without the system bus there is nothing to do, and without the session bus nobody could tell it to go on.
        for name in "system", "session":
            case.system.stop()
            case.user.stop()
            case.system, case.user = s.Bus(), s.Bus()
            case.watcher, case.agent = case.user.connect(), s.Agent(case.system)
            case.start()
            case.expect("Connected", True)
            (case.system if name == "system" else case.user).stop()
            assert case.daemon.process.wait(s.LIMIT) == 1
            assert "the %s bus is gone" % name in case.daemon.text() and "is taken" not in case.daemon.text()
        case.daemon.process = subprocess.Popen(["true"])
        case.daemon.process.wait()


s.main("session", [waits_for_a_display, follows_switches_of_the_user, knows_displays_of_logind_and_systemd,
                   refuses_displays_of_others, looks_only_for_what_may_come, interface_is_as_described,
                   refusals_are_told, refusals_name_any_path, notifications,
                   notifications_of_a_service_that_starts_late, ends_when_told])
