#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""spice-agentctl on real buses, with stand-ins for the daemons, logind and systemd that say what each case needs.

Run with the argument "peer" it is such a stand-in: it takes its properties as JSON from standard input."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

import dbus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

AGENT, SESSION = "org.spice_space.Agent1", "org.spice_space.AgentSession1"
LOGIN, SYSTEMD = "org.freedesktop.login1", "org.freedesktop.systemd1"
MAXIMUM = 8 << 20  # of the stand-in's clipboard
TOOL = os.path.join(os.environ["BUILD"], "spice-agentctl")


def object_path(name):
    return "/" + name.replace(".", "/")


class Peer(dbus.service.Object):
    """One object of a stand-in: its properties, and the methods below if its interface has them."""

    def __init__(self, bus, path, properties):
        super().__init__(bus, path)
        self._properties = properties

    @dbus.service.method("org.freedesktop.DBus.Properties", in_signature="s", out_signature="a{sv}")
    def GetAll(self, interface):
        if self._properties is None:
            raise dbus.DBusException("not for you", name="org.freedesktop.DBus.Error.AccessDenied")
        return self._properties.get(interface, {})


class Clipboard(Peer):
    """AgentSession1 with a clipboard that is kept here. Data are moved by threads, as the tool must do both at once."""

    def __init__(self, bus, path, properties):
        super().__init__(bus, path, properties)
        self._held = {}

    @dbus.service.method(SESSION, in_signature="ssh", async_callbacks=("done", "failed"))
    def Copy(self, selection, mime, data, done, failed):
        def work(fd):
            held = b""
            with open(fd, "rb") as file:
                while len(held) <= MAXIMUM:
                    piece = file.read(65536)
                    if not piece:
                        break
                    held += piece
            if len(held) > MAXIMUM:
                error = dbus.DBusException("larger than 8 MiB", name=SESSION + ".Error.Refused")
                return GLib.idle_add(lambda: failed(error))
            if not held:
                error = dbus.DBusException("no data", name=SESSION + ".Error.Empty")
                return GLib.idle_add(lambda: failed(error))
            self._held[str(selection), str(mime)] = held
            GLib.idle_add(lambda: done())
        threading.Thread(target=work, args=(data.take(),), daemon=True).start()

    @dbus.service.method(SESSION, in_signature="ssh", async_callbacks=("done", "failed"))
    def Paste(self, selection, mime, data, done, failed):
        held = self._held.get((str(selection), str(mime)))
        fd = data.take()
        if held is None:
            os.close(fd)
            return failed(dbus.DBusException("empty", name=SESSION + ".Error.Empty"))

        def work():
            try:
                with open(fd, "wb") as file:
                    file.write(held)
            except BrokenPipeError:
                pass
            GLib.idle_add(lambda: done())
        threading.Thread(target=work, daemon=True).start()


class Login(Peer):
    @dbus.service.method(LOGIN + ".Manager", in_signature="u", out_signature="o")
    def GetUser(self, uid):
        if "user" not in self._properties:
            raise dbus.DBusException("no user %d" % uid, name=LOGIN + ".NoSuchUser")
        return object_path(LOGIN) + "/user/me"

    @dbus.service.method(LOGIN + ".Manager", in_signature="s", out_signature="o")
    def GetSession(self, name):
        if name != "7":
            raise dbus.DBusException("no session %s" % name, name=LOGIN + ".NoSuchSession")
        return object_path(LOGIN) + "/session/one"


class Systemd(Peer):
    @dbus.service.method(SYSTEMD + ".Manager", in_signature="s", out_signature="o")
    def LoadUnit(self, unit):
        return object_path(SYSTEMD) + "/unit/" + unit.split(".")[0].replace("-", "_")

    @dbus.service.method(SYSTEMD + ".Manager", in_signature="s", out_signature="s")
    def GetUnitFileState(self, unit):
        return self._properties["file-state"]


def typed(signature, value):
    """A value from JSON with the D-Bus type of the interface."""
    if signature == "a(usuu)":
        value = [dbus.Struct(item, signature="usuu") for item in value]
        return dbus.Array(value, signature="(usuu)")
    if signature == "a(suuiiuuu)":
        return dbus.Array([dbus.Struct(item, signature="suuiiuuu") for item in value], signature="(suuiiuuu)")
    if signature == "a{sv}":
        value = {key: typed(*item) for key, item in value.items()}
    if signature.startswith("a{"):
        return dbus.Dictionary(value, signature=signature[2:-1])
    if signature == "(so)":
        return dbus.Struct([value[0], dbus.ObjectPath(value[1])], signature="so")
    return {"s": dbus.String, "b": dbus.Boolean, "u": dbus.UInt32}.get(signature, dbus.Array)(
        value, **({"signature": signature[1:]} if signature == "au" else {}))


def peer():
    case = json.load(sys.stdin)
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    system, user = dbus.bus.BusConnection(os.environ["SYSTEM"]), dbus.bus.BusConnection(os.environ["USER_BUS"])
    keep = []

    def properties(name, interface):
        values = case[name]
        return values and {interface: {key: typed(*value) for key, value in values.items()}}

    if "agent" in case:
        keep += [dbus.service.BusName(AGENT, system), Peer(system, object_path(AGENT), properties("agent", AGENT))]
    if "session" in case:
        keep += [dbus.service.BusName(SESSION, user),
                 Clipboard(user, object_path(SESSION), properties("session", SESSION))]
    if "login" in case:
        keep += [dbus.service.BusName(LOGIN, system), Login(system, object_path(LOGIN), case),
                 Peer(system, object_path(LOGIN) + "/user/me",
                      case.get("user") and properties("user", LOGIN + ".User")),
                 Peer(system, object_path(LOGIN) + "/session/one", properties("login", LOGIN + ".Session"))]
    if "units" in case:
        for bus in system, user:
            keep += [dbus.service.BusName(SYSTEMD, bus), Systemd(bus, object_path(SYSTEMD), case)]
        for name, (load, active, sub) in case["units"].items():
            keep.append(Peer(system, object_path(SYSTEMD) + "/unit/" + name, {SYSTEMD + ".Unit": {
                "LoadState": load, "ActiveState": active, "SubState": sub}}))
    print("ready", flush=True)
    GLib.MainLoop().run()


AGENT_FINE = {
    "Version": ("s", "0.1"), "PortState": ("s", "open"), "ClientConnected": ("b", True),
    "ClientCapabilities": ("au", [0, 5, 99]), "ActiveSession": ("s", "7"), "ActiveUser": ("u", os.getuid()),
    "SessionConnected": ("b", True), "PointerState": ("s", "uinput"),
    "Displays": ("a(usuu)", [[0, "Virtual-1", 1280, 800], [1, "Virtual-2", 1366, 768]]),
    "Counters": ("a{st}", {"pointer-steps": 12}),
}
SESSION_FINE = {
    "Version": ("s", "0.1"), "Connected": ("b", True), "ClientConnected": ("b", True), "Session": ("s", "7"),
    "Display": ("s", ":77"), "Compositor": ("a{sv}", {}),
    "Backends": ("a{ss}", {"clipboard": "x11", "displays": "x11", "layout": "x11", "files": "directory"}),
    "Policy": ("a{ss}", {"clipboard.to-host": "true", "clipboard.from-host": "true"}),
    "Outputs": ("a(suuiiuuu)", [["Virtual-2", 1366, 768, -1366, 10, 1366, 768, 0],
                                ["Virtual-1", 1280, 800, 0, 0, 1280, 800, 0]]),
}
LOGIN_FINE = {"Seat": ("(so)", ["seat0", "/"]), "Active": ("b", True), "Class": ("s", "user"), "Type": ("s", "x11"),
              "LockedHint": ("b", False)}
FINE = {
    "agent": AGENT_FINE, "session": SESSION_FINE, "login": LOGIN_FINE,
    "user": {"Display": ("(so)", ["7", object_path(LOGIN) + "/session/one"])},
    "units": {"spice_agent_system": ("loaded", "active", "running"), "spice_pvmouse": ("loaded", "inactive", "dead")},
    "file-state": "enabled",
}


def but(**changes):
    """FINE with parts replaced: a dictionary is merged, None leaves the part out, "denied" makes it refuse."""
    case = dict(FINE)
    for part, change in changes.items():
        if change is None:
            del case[part]
        elif isinstance(change, dict):
            case[part] = dict(case[part], **change)
        else:
            case[part] = None if change == "denied" else change
    return case


failures = []


def check(condition, text):
    if not condition:
        failures.append(text)
        print("FAILED:", text)


class Case:
    """The stand-ins of one case, and the tool run against them."""

    def __init__(self, case):
        self._process = subprocess.Popen([sys.executable, os.path.abspath(__file__), "peer"], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE)
        self._process.stdin.write(json.dumps(case).encode())
        self._process.stdin.close()
        if self._process.stdout.readline() != b"ready\n":
            sys.exit("the stand-in did not start")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


def ctl(*arguments, data=b"", status=0):
    """Runs spice-agentctl. Returns what it printed, (stdout, stderr)."""
    result = subprocess.run([TOOL, *arguments], input=data,
                            capture_output=True, timeout=60)
    check(result.returncode == status, "%s: exit status %d instead of %d: %r" % (
        arguments, result.returncode, status, result.stdout[-2000:] + result.stderr))
    return result.stdout, result.stderr.decode()


def test_command_line():
    check(ctl("--version")[0].startswith(b"spice-agentctl "), "--version")
    for command in b"status", b"doctor", b"displays", b"copy", b"paste":
        check(command in ctl("--help")[0], "--help names %s" % command)
        check(b"Usage" in ctl(command, "--help")[0], "%s --help" % command)
        check("nonsense" in ctl(command, "nonsense", status=2)[1], "%s with an argument" % command)
    check(b"usage" in ctl(status=2)[0], "no command")
    check("nonsense" in ctl("nonsense", status=2)[1], "unknown command")


def test_nobody_there():
    out, err = ctl("status", status=1)
    check(out == b"" and "system daemon" in err and "session daemon" in err and "doctor" in err, "status: %s" % err)
    check(json.loads(ctl("status", "--json", status=1)[0]) == {"system": None, "session": None}, "status --json")
    check("doctor" in ctl("displays", status=1)[1], "displays")
    for command in "copy", "paste":
        check("systemctl --user start" in ctl(command, status=1)[1], command)
    out = ctl("doctor", status=1)[0]
    check(b"problem  session daemon: not running" in out and b"logind does not answer" in out, "doctor: %s" % out)


def test_status():
    with Case(FINE):
        out, err = ctl("status")
        text = " ".join(out.decode().split())
        for part in ("port open", "client can mouse-state, clipboard-by-demand, 99",
                     "0: Virtual-1 1280x800 1: Virtual-2",
                     "pointer-steps: 12", "display :77", "clipboard.to-host: true",
                     "Virtual-2: 1366x768, desktop 1366x768 at -1366,10, transform 0"):
            check(part in text, "status lacks '%s': %s" % (part, text))
        values = json.loads(ctl("status", "--json")[0])
        for name, expected in ("system", AGENT_FINE), ("session", SESSION_FINE):
            check(values[name] == {key: value for key, (_, value) in expected.items()}, "json: %s" % values[name])
        check(ctl("displays")[0] == b"0 Virtual-1 1280x800 +0+0\n1 Virtual-2 1366x768 -1366+10\n", "displays")
    odd = "q\"b\\n\nt\tu\u00fc\u4e16"
    with Case(but(session=None, agent={"PortState": ("s", odd), "ActiveUser": ("u", 0xffffffff)})):
        check(json.loads(ctl("status", "--json", status=1)[0])["system"]["PortState"] == odd, "odd text in json")
        check(b"active user       none" in ctl("status", status=1)[0], "no active user")
        check(ctl("displays")[0] == b"0 Virtual-1 1280x800 -\n1 Virtual-2 1366x768 -\n", "displays without a session")


def test_clipboard():
    text = "gr\u00fc\u00dfe \U0001f600\n".encode()
    big = hashlib.shake_128(b"seed").digest(5 << 20)
    with Case(FINE):
        check("nothing of type text/plain" in ctl("paste", status=1)[1], "paste of nothing")
        ctl("copy", data=text)
        check(ctl("paste") == (text, ""), "text")
        check("nothing" in ctl("paste", "--primary", status=1)[1], "the primary selection is another one")
        ctl("copy", "--primary", "--type", "image/png", data=big)
        check(ctl("paste", "-p", "-t", "image/png") == (big, ""), "5 MiB")
        check("is empty" in ctl("copy", status=1)[1] and ctl("paste")[0] == text, "empty input changes nothing")
        check("larger than 8 MiB" in ctl("copy", data=bytes(9 << 20), status=1)[1], "too much")

        # The reader goes away: no message, no hang.
        read, write = os.pipe()
        os.close(read)
        result = subprocess.run([TOOL, "paste", "-p", "-t", "image/png"], stdout=write, stderr=subprocess.PIPE,
                                timeout=20)
        os.close(write)
        check(result.returncode == 1 and not result.stderr, "closed standard output: %r" % result)

        # A standard output that does not block, as one that another program has left so, is waited for.
        read, write = os.pipe()
        os.set_blocking(write, False)
        process = subprocess.Popen([TOOL, "paste", "-p", "-t", "image/png"], stdout=write)
        os.close(write)
        time.sleep(0.5)
        with open(read, "rb") as end:
            check(end.read() == big and process.wait(20) == 0, "standard output that does not block")

        # A daemon's answer ends the command although standard input stays open, as a terminal's does.
        read, write = os.pipe()
        os.write(write, b"text")
        process = subprocess.Popen([TOOL, "copy"], stdin=read)
        try:
            process.wait(0.5)
            check(False, "copy did not wait for the end of its input")
        except subprocess.TimeoutExpired:
            os.close(write)
        check(process.wait(20) == 0 and ctl("paste")[0] == b"text", "slow input")
        os.close(read)
    with Case(but(session=None)):
        read, write = os.pipe()
        result = subprocess.run([TOOL, "copy"], stdin=read, capture_output=True, timeout=20)
        os.close(read)
        os.close(write)
        check(result.returncode == 1 and b"not running" in result.stderr, "copy to nobody from a terminal: %r" % result)


def doctor(case, *lines, absent=(), wrapper=()):
    """Each of `lines` is the beginning of a line that the doctor prints, `absent` of none."""
    with Case(case):
        status = 1 if machine_problems() else 0
        out = subprocess.run([*wrapper, TOOL, "doctor"], capture_output=True, timeout=60)
        printed = out.stdout.decode().splitlines()
        for line in lines:
            status = 1 if line.startswith("problem") else status
            check(any(got.startswith(line) for got in printed), "doctor lacks '%s':\n%s" % (line, "\n".join(printed)))
        for line in absent:
            check(not any(got.startswith(line) for got in printed),
                  "doctor says '%s':\n%s" % (line, "\n".join(printed)))
        check(out.returncode == status, "doctor: exit status %d:\n%s" % (out.returncode, "\n".join(printed)))
        problems = len([line for line in printed if line.startswith("problem ")])
        check(printed[-1] == ("%d problem%s" % (problems, "" if problems == 1 else "s") if problems else "all is well"),
              "last line: %s" % printed[-1])


def machine_problems():
    """What this machine, as opposed to the stand-ins, lacks: beginnings of lines."""
    lines = []
    if not os.path.exists("/dev/virtio-ports/com.redhat.spice.0"):
        lines.append("problem  port com.redhat.spice.0: ")
    if not os.path.exists("/dev/uinput"):
        lines.append("problem  uinput: /dev/uinput is missing")
    if subprocess.run(["getent", "passwd", "spice-agent"], stdout=subprocess.DEVNULL).returncode:
        lines.append("problem  user spice-agent: missing")
    return lines


def test_doctor():
    doctor(FINE, *machine_problems(), "ok       unit spice-agent-system.service", "ok       system daemon 0.1",
           "ok       pointer", "ok       host is connected",
           "ok       client is connected: mouse-state, clipboard-by-demand, 99",
           "ok       session 7: x11, seat0, active",
           "ok       session daemon 0.1 serves display :77", "ok       clipboard: x11",
           "ok       user unit spice-agent-session.service: enabled", "ok       port org.qemu.guest_agent.0: not there",
           absent=["problem  session", "problem  system"])
    installed = os.path.exists("/usr/share/dbus-1/system.d/" + AGENT + ".conf")
    doctor(but(agent="denied"), "problem  system daemon: not for you" if installed else "problem  D-Bus policy",
           absent=["ok       pointer"])
    doctor(but(agent={"PointerState": ("s", "off")}), "note     pointer: off",
           "         > QEMU: -spice ...,agent-mouse=off")
    doctor(but(agent={"PointerState": ("s", "failed: no uinput")}), "problem  pointer: failed: no uinput")
    doctor(but(agent={"PortState": ("s", "waiting"), "ClientConnected": ("b", False)}), "note     host",
           "note     client: none")
    doctor(but(units={"spice_agent_system": ("loaded", "failed", "failed")}),
           "problem  unit spice-agent-system.service: failed")
    doctor(but(units={"spice_agent_system": ("not-found", "inactive", "dead")}),
           "problem  unit spice-agent-system.service: missing")
    doctor(but(login={"Active": ("b", False)}), "problem  session 7 is in the background")
    doctor(but(login={"Seat": ("(so)", ["seat1", "/"])}), "problem  session 7 is on seat 'seat1'")
    doctor(but(login={"Seat": ("(so)", ["", "/"])}), "problem  session 7 has no seat")
    # Whatever session logind takes for the main one: the one on the seat counts.
    doctor(but(user={"Display": ("(so)", ["5", object_path(LOGIN) + "/session/other"])}), "ok       session 7: x11")
    doctor(but(login={"Class": ("s", "greeter")}), "note     session 7 is of class greeter")
    doctor(but(user=None), "problem  user ")
    doctor(but(login=None), "problem  logind does not answer")
    doctor(but(agent={"ActiveSession": ("s", "3")}), "problem  the system daemon takes session '3'")
    doctor(but(session={"Display": ("s", "")}), "problem  session daemon serves no display")
    doctor(but(session={"Session": ("s", "2")}), "problem  session daemon serves session '2' instead of '7'")
    doctor(but(session={"Connected": ("b", False)}), "problem  session daemon is not connected")
    doctor(but(session={"Backends": ("a{ss}", {"clipboard": "none: no XFIXES"})}),
           "problem  clipboard: none: no XFIXES")
    doctor(but(session={"Policy": ("a{ss}", {"clipboard.to-host": "Off", "files.enabled": "1"}),
                        "Backends": ("a{ss}", {"files": "none: disabled"})}),
           "note     clipboard.to-host is off", "note     files: none: disabled", absent=["note     files.enabled"])
    doctor(but(units={"spice_agent_system": ("masked", "inactive", "dead")}),
           "problem  unit spice-agent-system.service: masked")


# A /dev with the port for management, and one for the agent where this machine has it.
WITH_PORT = ("unshare", "--mount", "sh", "-ec", """
mkdir -p "$XDG_RUNTIME_DIR/dev"
mount --rbind /dev "$XDG_RUNTIME_DIR/dev"
mount -t tmpfs none /dev
for name in "$XDG_RUNTIME_DIR"/dev/*; do ln -s "$name" /dev; done
mkdir -p /dev/ports
for name in /dev/virtio-ports/*; do [ ! -e "$name" ] || ln -s "$(readlink -f "$name")" /dev/ports; done
rm -f /dev/virtio-ports
mv /dev/ports /dev/virtio-ports
>/dev/virtio-ports/org.qemu.guest_agent.0
exec "$@"
""", "sh")


def test_doctor_manage():
    """Which of the two agents serves the port; neither is to be blamed for the other's."""
    if os.getuid() != 0:
        return
    ours = "unit spice-agent-manage.service"
    served = "note     %s: inactive, as qemu-guest-agent.service serves the port" % ours
    for own, rival, line in (
            ("active", "inactive", "ok       " + ours), ("active", "active", "ok       " + ours),
            ("inactive", "active", served), ("inactive", "activating", served), ("inactive", "reloading", served),
            ("failed", "active", served), ("inactive", "inactive", "problem  %s: inactive" % ours)):
        units = {"spice_agent_manage": ("loaded", own, "x"), "qemu_guest_agent": ("loaded", rival, "x")}
        doctor(but(units=units), line, absent=[] if line == served else [served], wrapper=WITH_PORT)


def wayland(program, backends, **globals_):
    """A session in which this compositor is served, or one that has not answered."""
    compositor = {"socket": ["s", "/run/user/1000/wayland-1"], "program": ["s", program]}
    if globals_:
        compositor["globals"] = ["a{su}", globals_]
    services = {"clipboard": "a", "displays": "b", "layout": "c", "files": "directory", **backends}
    return but(login={"Type": ("s", "wayland")},
               session={"Display": ("s", "/run/user/1000/wayland-1"), "Compositor": ("a{sv}", compositor),
                        "Backends": ("a{ss}", services)})


def test_doctor_compositor():
    """What a compositor offers, and what to do about the rest."""
    doctor(wayland("sway", {}, zwlr_data_control_manager_v1=2, wl_output=3, wl_shm=1), "ok       session 7: wayland",
           "ok       session daemon 0.1 serves display /run/user/1000/wayland-1",
           "ok       compositor sway: zwlr_data_control_manager_v1 2, wl_output 3; not offered: "
           "ext_data_control_manager_v1, zwlr_output_manager_v1, kde_output_management_v2, zxdg_output_manager_v1, "
           "gtk_shell1", "ok       clipboard: a", "ok       displays: b", "ok       layout: c",
           absent=["note     X display", "ok       X extension"])
    nothing = {name: "none: not here" for name in ("clipboard", "displays", "layout")}
    doctor(wayland("weston", nothing, wl_output=4), "problem  clipboard: none: not here",
           "         > Weston has no protocol for it. In a terminal, 'spice-agentctl copy'", "problem  displays: none",
           "         > Weston has no protocol for it. Give the size in weston.ini", "problem  layout: none: not here")
    doctor(wayland("cosmic-comp", nothing, wl_output=4), "         > COSMIC offers it to no program unless told so")
    doctor(wayland("gnome-shell", nothing, wl_output=4, gtk_shell1=5), "         > GNOME has it on the session bus.",
           absent=["         > A newer version"])
    doctor(wayland("river", dict(nothing, files="none: disabled"), wl_output=4),
           "         > A newer version of the compositor may have ext_data", "note     files: none: disabled")
    doctor(wayland("sway", nothing), "problem  compositor sway does not answer", "problem  clipboard: none: not here",
           absent=["         > A newer version"])
    with Case(wayland("sway", {}, wl_output=4, wl_shm=1)):
        text = " ".join(ctl("status")[0].decode().split())
        for part in "compositor socket: /run/user/1000/wayland-1 program: sway", "globals: wl_output 4, wl_shm 1":
            check(part in text, "status lacks '%s': %s" % (part, text))
        shown = json.loads(ctl("status", "--json")[0])["session"]["Compositor"]
        check(shown["globals"] == {"wl_output": 4, "wl_shm": 1}, "json: %s" % shown)


def test_doctor_start():
    """What starts the session daemon: the user's unit, or the desktop's autostart unless the user has hidden it."""
    directory = os.path.join(os.environ["XDG_CONFIG_HOME"], "autostart")
    own = os.path.join(directory, "spice-agent-session.desktop")
    installed = os.path.exists("/etc/xdg/autostart/spice-agent-session.desktop")
    masked, disabled = dict(FINE, **{"file-state": "masked"}), dict(FINE, **{"file-state": "disabled"})
    nothing = "problem  nothing starts the session daemon: no autostart file, user unit spice-agent-session.service "
    file = "ok       autostart file (user unit spice-agent-session.service: "
    doctor(disabled, file + "disabled)" if installed else nothing + "disabled")
    doctor(masked, *[file + "masked)"] if installed else
           [nothing + "masked", "         > systemctl --user unmask spice-agent-session"])
    os.makedirs(directory)
    with open(own, "w", encoding="utf-8") as entry:
        entry.write("[Desktop Entry]\nType=Application\nName=SPICE\nExec=true\n")
    doctor(disabled, file + "disabled)")
    with open(own, "a", encoding="utf-8") as entry:
        entry.write("Hidden=true\n")
    hidden = ["note     autostart file: hidden by this user's own",
              "         > Remove it, or its line Hidden=true: " + own]
    doctor(disabled, nothing + "disabled", *hidden)
    doctor(FINE, "ok       user unit spice-agent-session.service: enabled", *hidden, absent=["problem  nothing"])
    os.unlink(own)


def test_doctor_others(directory):
    """Programs that are in the way: another agent, unless it is switched off, and lockers that nobody hears of."""
    rival = "problem  spice-vdagent is installed too"
    os.mkdir(directory)
    path = os.environ["PATH"]
    os.environ["PATH"] = directory + ":" + path
    doctor(FINE, absent=[] if os.path.exists("/usr/bin/spice-vdagent") else [rival])
    for name in "spice-vdagent", "xsecurelock":
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n")
        os.chmod(os.path.join(directory, name), 0o755)
    doctor(FINE, rival, "note     xsecurelock does not tell logind that the screen is locked")
    for state, well in (("masked", "inactive", "dead"), True), (("masked", "active", "running"), False), \
            (("loaded", "inactive", "dead"), False):
        case = but(units={"spice_vdagentd": state})
        fine = "ok       spice-vdagent is installed too, but its unit spice-vdagentd.service is masked"
        doctor(case, fine if well else rival, absent=[rival if well else fine])
    os.environ["PATH"] = path


def main():
    with tempfile.TemporaryDirectory() as directory:
        os.environ["XDG_RUNTIME_DIR"] = directory
        os.environ["XDG_CONFIG_HOME"] = os.path.join(directory, "config")
        os.environ["SYSTEM"] = os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=%s/system" % directory
        # Where it is found without DBUS_SESSION_BUS_ADDRESS, as over ssh.
        os.environ["USER_BUS"] = "unix:path=%s/bus" % directory
        os.environ.pop("DBUS_SESSION_BUS_ADDRESS", None)
        os.environ.pop("DISPLAY", None)
        test_command_line()
        check("no session bus" in ctl("copy", status=1)[1], "no bus at all")
        buses = [subprocess.Popen(["dbus-daemon", "--session", "--nofork", "--print-address", "--address",
                                   os.environ[name]], stdout=subprocess.PIPE) for name in ("SYSTEM", "USER_BUS")]
        try:
            for bus in buses:
                bus.stdout.readline()
            test_nobody_there()
            test_status()
            test_clipboard()
            test_doctor()
            test_doctor_manage()
            test_doctor_compositor()
            test_doctor_start()
            test_doctor_others(os.path.join(directory, "bin"))
        finally:
            for bus in buses:
                bus.kill()
                bus.wait()
                bus.stdout.close()
    return 1 if failures else 0


if len(sys.argv) > 1:
    peer()
sys.exit(main())
