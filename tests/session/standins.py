# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stand-ins for what the session daemon asks about desktops, on private buses, and a case made of them."""

import os
import signal
import subprocess

from gi.repository import Gio, GLib

import sessiond as s


XORG = os.path.join(s.TOP, "tests", "session", "xorg")
LOGIND = "org.freedesktop.login1"


class Object:
    """An object that others call: `calls` is filled, `answers` maps a method to its result or a function.

    A call whose answer is `...` goes to `held`, to be answered by the test.
    """

    def __init__(self, bus, path, interface, xml_text, answers=(), properties=()):
        self.bus = bus
        self.path, self.interface = path, interface
        self.calls, self.held = [], []
        self.answers = dict(answers)
        self.properties = dict(properties)
        info = Gio.DBusNodeInfo.new_for_xml("<node><interface name='%s'>%s</interface></node>" % (interface, xml_text))
        self.id = bus.register_object(path, info.interfaces[0], self.on_call, self.on_get, None)

    def on_call(self, _bus, _sender, _path, _interface, method, parameters, invocation):
        self.calls.append((method, parameters.unpack()))
        answer = self.answers.get(method)
        if callable(answer):
            answer = answer(*parameters.unpack())
        if answer is ...:
            self.held.append(invocation)
        elif answer is False:
            invocation.return_dbus_error("org.freedesktop.DBus.Error.Failed", "not today")
        else:
            invocation.return_value(answer)

    def on_get(self, _bus, _sender, _path, _interface, name):
        return self.properties[name]

    def change(self, **properties):
        self.properties.update(properties)
        self.bus.emit_signal(None, self.path, s.PROPERTIES, "PropertiesChanged",
                             GLib.Variant("(sa{sv}as)", (self.interface, properties, [])))


def own(bus, name):
    bus.call_sync("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "RequestName", GLib.Variant("(su)", (name, 4)),
                  None, 0, -1, None)


class Logind:
    """Sessions as logind tells of them."""

    def __init__(self, bus, uid=os.getuid()):
        self.bus, self.uid = bus.connect(), uid
        self.sessions = {}
        self.manager = Object(self.bus, "/org/freedesktop/login1", LOGIND + ".Manager",
                              "<method name='ListSessions'><arg type='a(susso)' direction='out'/></method>",
                              {"ListSessions": self.list})
        own(self.bus, LOGIND)

    def list(self):
        return GLib.Variant("(a(susso))", ([(name, uid, "user", seat, item.path)
                                            for name, (uid, seat, item) in self.sessions.items()],))

    def add(self, name, active, kind="x11", display="", uid=None, seat="seat0"):
        types = dict(Id="s", Type="s", Display="s", Active="b", Seat="(so)")
        values = dict(Id=name, Type=kind, Display=display, Active=active, Seat=(seat, "/"))
        item = Object(self.bus, "/org/freedesktop/login1/session/x%s" % name, LOGIND + ".Session",
                      "".join("<property name='%s' type='%s' access='read'/>" % pair for pair in types.items()),
                      properties={key: GLib.Variant(types[key], value) for key, value in values.items()})
        self.sessions[name] = (self.uid if uid is None else uid, seat, item)
        self.signal("SessionNew", name)

    def remove(self, name):
        item = self.sessions.pop(name)[2]
        self.bus.unregister_object(item.id)
        self.signal("SessionRemoved", name)

    def signal(self, signal_name, name):
        self.bus.emit_signal(None, "/org/freedesktop/login1", LOGIND + ".Manager", signal_name,
                             GLib.Variant("(so)", (name, "/org/freedesktop/login1/session/x" + name)))

    def activate(self, name):
        for other, (_, _, item) in self.sessions.items():
            item.change(Active=GLib.Variant("b", other == name))


class Case:
    """System and session bus, both with their stand-ins, and the daemon of `uid`, for whom `bus` makes buses."""

    def __init__(self, logind=None, bus=s.Bus, uid=os.getuid(), **options):
        self.system, self.user = bus(), bus()
        self.watcher = self.user.connect()
        self.agent = s.Agent(self.system)
        self.logind = Logind(self.system, uid) if logind is not None else None
        for arguments in logind or ():
            self.logind.add(*arguments)
        self.daemon = None
        self.options = options
        self.others = []

    def start(self, **options):
        self.daemon = s.Daemon(self.system, session=self.user, **dict(self.options, **options))

    def attach(self, **environment):
        self.watcher.call_sync(s.SESSION, s.SESSION_PATH, s.SESSION, "Attach",
                               GLib.Variant("(a{ss})", (environment,)), None, 0, -1, None)

    def manager(self, *environment):
        """The user's service manager, with this environment."""
        manager = Object(self.watcher, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
                         "<property name='Environment' type='as' access='read'/>",
                         properties={"Environment": GLib.Variant("as", environment)})
        own(self.watcher, "org.freedesktop.systemd1")
        return manager

    def get(self, name):
        return s.property_of(self.watcher, name)

    def expect(self, name, value):
        s.until(lambda: self.get(name) == value, "%s %r" % (name, value))

    def __enter__(self):
        return self

    def __exit__(self, kind, _value, _trace):
        try:
            if kind and self.daemon:
                print(self.daemon.text()[-3000:])
            if self.daemon:
                self.daemon.stop()
        finally:
            for process in self.others:
                process.terminate()
                process.wait()
            self.agent.close()
            self.system.stop()
            self.user.stop()

    def server(self, number):
        """An X server on a display of ours."""
        process = subprocess.Popen([XORG, "--display", str(number), "sh", "-c", "echo $XORG_PID; read end"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.others.append(process)
        return process

    def kill_server(self, process):
        os.kill(int(process.stdout.readline()), signal.SIGKILL)
        process.stdin.close()
        process.wait()
        self.others.remove(process)


def free_display():
    number = 200 + os.getpid() % 300
    while os.path.exists("/tmp/.X11-unix/X%d" % number):
        number += 1
    return number
