# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guest agents under test: spice-agent-manage and QEMU's own, each at a socket of its own; the schema of their answers,
and a helper and a systemd that are played by this file."""

import contextlib
import itertools
import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import dbus
import dbus.bus
import dbus.mainloop.glib
import dbus.service

from agentsystem import BUS_CONFIG, ENVIRONMENT, Failure, Skip, expect, wait_for

DAEMON = os.path.join(os.environ["BUILD"], "spice-agent-manage")
# Another version of QEMU's agent can be tried, as the command that starts it.
REFERENCE = os.environ.get("QEMU_GA", "/usr/sbin/qemu-ga").split()
TIMEOUT = 20
SYSTEMD, SYSTEMD_PATH = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
PROPERTIES = "org.freedesktop.DBus.Properties"

numbers = itertools.count(4096)


def request(command, **arguments):
    """The bytes of a request; an underscore in a name is a hyphen."""
    message = {"execute": command}
    if arguments:
        message["arguments"] = {name.replace("_", "-"): value for name, value in arguments.items()}
    return json.dumps(message).encode() + b"\n"


def parse(line):
    """A reply, or the line itself: QEMU's agent may answer what is no JSON."""
    try:
        return json.loads(line)
    except ValueError:
        return line


def listens(path):
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


class Client:
    """A connection to an agent."""

    ours = False  # then it returns what the schema says

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(path)
        self.bytes = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        while b"\n" not in self.bytes:
            data = self.socket.recv(1 << 20)
            if not data:
                raise Failure("the agent closed the connection")
            self.bytes += data
        line, self.bytes = self.bytes.split(b"\n", 1)
        return line

    def reply(self):
        return json.loads(self.line())

    def call(self, command, **arguments):
        """What the command returns."""
        self.send(request(command, **arguments))
        reply = self.reply()
        if "return" not in reply:
            raise Failure("%s answers %s" % (command, reply))
        if self.ours:
            validate(SCHEMA[command], reply["return"], command)
        return reply["return"]

    def error(self, command, **arguments):
        """Class and text of the command's error."""
        self.send(request(command, **arguments))
        reply = self.reply()
        if "error" not in reply:
            raise Failure("%s answers %s" % (command, reply))
        return reply["error"]["class"], reply["error"]["desc"]

    def talk(self, data):
        """All lines that are answered to these bytes: up to the answer to a request that is put behind them, which the
        reset byte protects from what they left unfinished. Its error, which is one of them, comes in any case."""
        number = next(numbers)
        self.send(data + b"\n\xff" + request("guest-sync", id=number))
        lines = []
        while True:
            lines.append(self.line())
            if parse(lines[-1]) == {"return": number}:
                return lines[:-1]


class Agent:
    """A process with an agent, which `wrapper` becomes; `client()` connects to it."""

    ours = True

    def __init__(self, *options, reference=False, wrapper=(), **environment):
        self.dir = tempfile.mkdtemp(prefix="manage-")
        self.path = os.path.join(self.dir, "socket")
        self.log_path = os.path.join(self.dir, "log")
        if reference:
            self.ours = False
            argv = [*REFERENCE, "-m", "unix-listen", "-p", self.path, "-t", self.dir, "-f",
                    os.path.join(self.dir, "pid"), *options]
        else:
            argv = [*wrapper, DAEMON, "--listen-unix", self.path, "--config", self.dir, "--debug", *options]
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen(argv, stderr=log, env=dict(ENVIRONMENT, **environment))
        try:
            wait_for(lambda: listens(self.path) or self.process.poll() is not None, "socket")
            expect(self.process.poll(), None, "the agent's exit status")
        except Failure as failure:
            failure.args = (failure.args[0] + "\n" + self.log(),)
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def stop(self):
        self.process.kill()
        self.process.wait()
        log = self.log()
        shutil.rmtree(self.dir)
        if "bug:" in log or "CRITICAL" in log or "ERROR: AddressSanitizer" in log or "runtime error" in log:
            raise Failure("the daemon found a bug in itself:\n" + log[-4000:])

    def client(self):
        client = Client(self.path)
        client.ours = self.ours
        return client

    def status(self, key):
        """A number of /proc/PID/status."""
        with open("/proc/%d/status" % self.process.pid) as file:
            return next(int(line.split()[1]) for line in file if line.startswith(key + ":"))

    def switches(self):
        """How often its threads have gone to sleep."""
        total = 0
        for task in os.listdir("/proc/%d/task" % self.process.pid):
            with open("/proc/%d/task/%s/status" % (self.process.pid, task)) as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches:"))
        return total

    def sanitized(self):
        with open("/proc/%d/maps" % self.process.pid) as file:
            return "libasan" in file.read()

    def read_version(self):
        with self.client() as client:
            return client.call("guest-info")["version"]


# ---- schema ----

# What each command returns, as the schema of QEMU 10 documents it. A question mark stands behind a member that may be
# missing; a tuple has the words that a text may be.
ADDRESS = {"pci-controller": {"domain": int, "bus": int, "slot": int, "function": int},
           "bus-type": ("ide", "fdc", "scsi", "virtio", "xen", "usb", "uml", "sata", "sd", "unknown", "ieee1394", "ssa",
                        "fibre", "raid", "iscsi", "sas", "mmc", "virtual", "file-backed-virtual", "nvme"),
           "bus": int, "target": int, "unit": int, "serial?": str, "dev?": str,
           "ccw-address?": {"cssid": int, "ssid": int, "subchno": int, "devno": int}}
SCHEMA = {
    "guest-sync": int,
    "guest-sync-delimited": int,
    "guest-ping": {},
    "guest-info": {"version": str, "supported_commands": [{"name": str, "enabled": bool, "success-response": bool}]},
    "guest-get-time": int,
    "guest-get-timezone": {"zone?": str, "offset": int},
    "guest-get-host-name": {"host-name": str},
    "guest-get-osinfo": {name + "?": str for name in ("kernel-release", "kernel-version", "machine", "id", "name",
                                                      "pretty-name", "version", "version-id", "variant", "variant-id")},
    "guest-get-users": [{"user": str, "login-time": float, "domain?": str}],
    "guest-get-load": {"load1m": float, "load5m": float, "load15m": float},
    "guest-get-vcpus": [{"logical-id": int, "online": bool, "can-offline?": bool}],
    "guest-get-cpustats": [{"type": ("linux",), "cpu": int, "user": int, "nice": int, "system": int, "idle": int,
                            **{name + "?": int
                               for name in ("iowait", "irq", "softirq", "steal", "guest", "guestnice")}}],
    "guest-get-memory-blocks": [{"phys-index": int, "online": bool, "can-offline?": bool}],
    "guest-get-memory-block-info": {"size": int},
    "guest-network-get-interfaces": [{
        "name": str, "hardware-address?": str,
        "ip-addresses?": [{"ip-address": str, "ip-address-type": ("ipv4", "ipv6"), "prefix": int}],
        "statistics?": {way + what: int
                        for way in ("rx-", "tx-") for what in ("bytes", "packets", "errs", "dropped")}}],
    "guest-network-get-route": [{"iface": str, "destination": str, "metric": int, "version": int,
                                 **{name + "?": str for name in ("gateway", "mask", "desprefixlen", "source",
                                                                 "srcprefixlen", "nexthop")},
                                 **{name + "?": int for name in ("irtt", "flags", "refcnt", "use", "window", "mtu")}}],
    "guest-get-fsinfo": [{"name": str, "mountpoint": str, "type": str, "disk": [ADDRESS], "used-bytes?": int,
                          "total-bytes?": int, "total-bytes-privileged?": int}],
    "guest-get-disks": [{"name": str, "partition": bool, "dependencies?": [str], "address?": ADDRESS, "alias?": str}],
    "guest-get-diskstats": [{"name": str, "major": int, "minor": int, "stats": {
        name + "?": int for name in ("read-sectors", "read-ios", "read-merges", "read-ticks", "write-sectors",
                                     "write-ios", "write-merges", "write-ticks", "discard-sectors", "discard-ios",
                                     "discard-merges", "discard-ticks", "flush-ios", "flush-ticks", "ios-pgr",
                                     "total-ticks", "weight-ticks")}}],
    "guest-file-open": int,
    "guest-file-close": {},
    "guest-file-read": {"count": int, "buf-b64": str, "eof": bool},
    "guest-file-write": {"count": int, "eof": bool},
    "guest-file-seek": {"position": int, "eof": bool},
    "guest-file-flush": {},
    "guest-exec": {"pid": int},
    "guest-exec-status": {"exited": bool, "exitcode?": int, "signal?": int, "out-data?": str, "err-data?": str,
                          "out-truncated?": bool, "err-truncated?": bool},
    "guest-fsfreeze-status": ("frozen", "thawed"),
    "guest-fsfreeze-freeze": int,
    "guest-fsfreeze-freeze-list": int,
    "guest-fsfreeze-thaw": int,
    "guest-fstrim": {"paths": [{"path": str, "error?": str, "trimmed?": int, "minimum?": int}]},
    # success is not answered
    "guest-shutdown": None,
    "guest-suspend-disk": None,
    "guest-suspend-ram": None,
    "guest-suspend-hybrid": None,
    "guest-set-time": {},
    "guest-set-vcpus": int,
    "guest-set-memory-blocks": [{"phys-index": int, "error-code?": int,
                                 "response": ("success", "not-found", "operation-not-supported", "operation-failed")}],
    "guest-set-user-password": {},
    "guest-ssh-get-authorized-keys": {"keys": [str]},
    "guest-ssh-add-authorized-keys": {},
    "guest-ssh-remove-authorized-keys": {},
}

# Beyond QEMU's, as docs/management.md has them. What changes something may be answered as a dry run.
EXTENSION = "__org.spice-space_"
DRY, JOB = {"dry-run?": bool}, {"dry-run?": bool, "job?": int}
SCHEMA.update({EXTENSION + name: schema for name, schema in {
    "schedule-shutdown": {**DRY, "mode?": ("poweroff", "reboot", "halt"), "time?": int},
    "cancel-shutdown": {**DRY, "cancelled?": bool},
    "get-shutdown": {"mode?": str, "time?": int},
    "list-sessions": {"sessions": [{"id": str, "uid": int, "user": str, "locked?": bool,
                                    **{name + "?": str for name in ("seat", "type", "class", "state",
                                                                    "remote-host")}}], "truncated": bool},
    "lock-session": DRY,
    "unlock-session": DRY,
    "terminate-session": DRY,
    "service-status": {name + "?": str for name in ("description", "load-state", "active-state", "sub-state")},
    "restart-service": DRY,
    "set-host-name": DRY,
    "get-time-settings": {"zone?": str, "ntp?": bool, "can-ntp?": bool, "ntp-synchronized?": bool},
    "set-timezone": DRY,
    "set-ntp": DRY,
    "refresh-packages": JOB,
    "list-updates": JOB,
    "install-packages": JOB,
    "remove-packages": JOB,
    "update-packages": JOB,
    "update-offline": JOB,
    "get-package-job": {"job": int, "command": str, "state": ("running", "done", "failed", "cancelled"),
                        "packages": [{name: str for name in ("info", "name", "version", "architecture", "summary")}],
                        "truncated": bool, "error?": str, "status?": str, "percentage?": int},
    "cancel-package-job": DRY,
}.items()})


def validate(schema, value, where):
    if isinstance(schema, dict):
        expect(type(value), dict, where)
        for name in value:
            member = schema.get(name, schema.get(name + "?"))
            if member is None:
                raise Failure("%s has a member %s" % (where, name))
            validate(member, value[name], where + "." + name)
        missing = {name for name in schema if not name.endswith("?")} - set(value)
        if missing:
            raise Failure("%s lacks %s" % (where, ", ".join(missing)))
    elif isinstance(schema, list):
        expect(type(value), list, where)
        for element in value:
            validate(schema[0], element, where + "[]")
    elif isinstance(schema, tuple):
        if value not in schema:
            raise Failure("%s is %r" % (where, value))
    elif schema is float:
        if type(value) not in (int, float):
            raise Failure("%s is %r" % (where, value))
    elif type(value) is not schema:
        raise Failure("%s is %r" % (where, value))


# ---- helper ----

MACHINE = "/run/spice-agent-machine"


class Listener:
    """The helper, played: what it was asked, and an answer that the test gives."""

    def __init__(self, path):
        self.path, self.asked, self.answer = path, [], b"ok\0"
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        os.unlink(self.path)

    def take_calls(self):
        calls, self.asked[:] = self.asked[:], []
        return calls

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.socket.accept()[0]
                data = b""
                while True:
                    part = client.recv(65536)
                    if not part:
                        break
                    data += part
                self.asked.append(data.decode().split("\0")[1:-1])
                if self.answer is None:  # it hangs
                    continue
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    client.sendall(self.answer)
                client.close()


# ---- systemd ----

class MockUnit(dbus.service.Object):
    """A service, with its program really run."""

    def __init__(self, bus, number, properties):
        super().__init__(bus, SYSTEMD_PATH + "/unit/n%d" % number)
        self.state = {"ExecMainPID": dbus.UInt32(0), "ExecMainCode": dbus.Int32(0), "ExecMainStatus": dbus.Int32(0),
                      "ActiveState": "activating"}
        (path, argv, flags), = properties["ExecStartEx"]
        expect(list(flags), ["no-env-expand"], "flags")
        expect(str(properties["Type"]), "exec", "type")
        expect(bool(properties["AddRef"]), True, "AddRef")
        streams = []
        for name in "Input", "Output", "Error":
            key = "Standard%sFileDescriptor" % name
            if key in properties:
                streams.append(properties[key].take())
            else:
                expect(str(properties["Standard" + name]), "null", name)
                streams.append(os.open("/dev/null", os.O_RDWR))
        environment = dict(PATH="/usr/bin:/bin", **dict(word.split("=", 1) for word in properties["Environment"]))
        try:
            self.process = subprocess.Popen([str(word) for word in argv], executable=str(path), stdin=streams[0],
                                            stdout=streams[1], stderr=streams[2], cwd="/", env=environment)
            self.state["ExecMainPID"] = dbus.UInt32(self.process.pid)
            self.state["ActiveState"] = "active"
        except OSError:
            self.process = None
            self.state.update(ExecMainPID=dbus.UInt32(1), ExecMainCode=dbus.Int32(1), ExecMainStatus=dbus.Int32(203),
                              ActiveState="failed")
        for fd in streams:
            os.close(fd)

    def reap(self):
        """True while the program runs."""
        if not self.process or self.state["ExecMainCode"]:
            return False
        if self.process.poll() is None:
            return True
        code = self.process.returncode
        self.state.update(ExecMainCode=dbus.Int32(1 if code >= 0 else 2), ExecMainStatus=dbus.Int32(abs(code)),
                          ActiveState="inactive")
        self.PropertiesChanged(SYSTEMD + ".Service", {}, list(self.state))
        return False

    @dbus.service.method(PROPERTIES, in_signature="s", out_signature="a{sv}")
    def GetAll(self, interface):
        return self.state

    @dbus.service.method(PROPERTIES, in_signature="ss", out_signature="v")
    def Get(self, interface, name):
        return self.state[name]

    @dbus.service.signal(PROPERTIES, signature="sa{sv}as")
    def PropertiesChanged(self, interface, changed, invalidated):
        pass


class MockActive(dbus.service.Object):
    """qemu-guest-agent.service, running."""

    @dbus.service.method(PROPERTIES, in_signature="ss", out_signature="v")
    def Get(self, interface, name):
        return "active"


class MockSystemd(dbus.service.Object):
    def __init__(self, bus, rival, late):
        super().__init__(bus, SYSTEMD_PATH)
        self.bus, self.units, self.count, self.late = bus, {}, itertools.count(), late
        if rival:
            self.units["qemu-guest-agent.service"] = MockActive(bus, SYSTEMD_PATH + "/unit/rival")

    @dbus.service.method(SYSTEMD + ".Manager")
    def Subscribe(self):
        pass

    @dbus.service.method(SYSTEMD + ".Manager", in_signature="ssa(sv)a(sa(sv))", out_signature="o")
    def StartTransientUnit(self, name, mode, properties, aux):
        from gi.repository import GLib
        number = next(self.count)
        job = dbus.ObjectPath(SYSTEMD_PATH + "/job/%d" % number)
        unit = self.units[name] = MockUnit(self.bus, number, dict(properties))

        def remove_job():
            if self.late and unit.process:
                unit.process.wait()
                unit.reap()
            self.JobRemoved(number, job, name, "done" if unit.process else "failed")

        GLib.idle_add(remove_job)
        GLib.timeout_add(10, unit.reap)
        return job

    @dbus.service.method(SYSTEMD + ".Manager", in_signature="s", out_signature="o")
    def GetUnit(self, name):
        if name not in self.units:
            raise dbus.DBusException("not loaded", name=SYSTEMD + ".NoSuchUnit")
        return self.units[name].__dbus_object_path__

    @dbus.service.method(SYSTEMD + ".Manager", in_signature="s")
    def UnrefUnit(self, name):
        self.units.pop(name).remove_from_connection()

    @dbus.service.signal(SYSTEMD + ".Manager", signature="uoss")
    def JobRemoved(self, number, job, unit, result):
        pass

    @dbus.service.method(SYSTEMD + ".Test", out_signature="u")
    def Units(self):
        return len(self.units)


def mock_systemd(address, options):
    from gi.repository import GLib
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    bus = dbus.bus.BusConnection(address)
    manager = MockSystemd(bus, "rival" in options, "late" in options)
    name = dbus.service.BusName(SYSTEMD, bus)
    print("ready", flush=True)
    GLib.MainLoop().run()
    return manager, name


class Systemd:
    """A bus with a systemd; with `rival` QEMU's agent is running under it, and if it is `late` it tells of a program
    when that has ended."""

    def __init__(self, *options):
        self.dir = tempfile.mkdtemp(prefix="systemd-")
        path = os.path.join(self.dir, "bus")
        self.address = "unix:path=" + path
        with open(os.path.join(self.dir, "bus.conf"), "w") as file:
            file.write(BUS_CONFIG % path)
        self.bus = subprocess.Popen(["dbus-daemon", "--nofork", "--config-file=" + file.name],
                                    stderr=subprocess.DEVNULL)
        wait_for(lambda: listens(path), "bus")
        self.mock = subprocess.Popen([sys.executable, __file__, self.address, *options],
                                     stdout=subprocess.PIPE)
        expect(self.mock.stdout.readline(), b"ready\n", "systemd")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.mock, self.bus:
            process.kill()
            process.wait()
        self.mock.stdout.close()
        shutil.rmtree(self.dir)

    def units(self):
        bus = dbus.bus.BusConnection(self.address)
        try:
            return int(bus.get_object(SYSTEMD, SYSTEMD_PATH, introspect=False).Units(dbus_interface=SYSTEMD + ".Test"))
        finally:
            bus.close()


# ---- differences ----

def documented():
    """Cases in which the agents differ, as docs/management.md has them: {case: difference}."""
    path = os.path.join(os.path.dirname(__file__), "../../docs/management.md")
    with open(path) as file:
        rows = re.findall(r"^\| (\S+) \| `([^`]+)` \| ([^|]+) \| [^|]+ \|$", file.read(), re.M)
    return {case: difference for _, case, difference in rows}


def plain(value, volatile):
    """For comparison: lists without order, and no numbers that change."""
    if isinstance(value, dict):
        return {name: plain(member, volatile) for name, member in sorted(value.items())}
    if isinstance(value, list):
        return sorted((plain(element, volatile) for element in value), key=repr)
    return "number" if volatile and type(value) in (int, float) else value


def lines_of(agent, data):
    with agent.client() as client:
        return [(line[:1] == b"\xff", plain(parse(line.lstrip(b"\xff")), False)) for line in client.talk(data)]


def instead(ours, theirs):
    """Undoes a difference: that `ours`, or what it is true of if it is a function, stands where QEMU's answer has
    `theirs`."""
    def undo(value):
        if ours(value) if callable(ours) else type(value) is type(ours) and value == ours:
            return theirs
        if isinstance(value, dict):
            return {name: undo(member) for name, member in value.items()}
        return type(value)(map(undo, value)) if isinstance(value, (list, tuple)) else value
    return undo


class Differences:
    """Collects cases in which the agents differ. Fails when that is not what is documented. `undo` has for each such
    case what takes the difference out of our answer, in which nothing else may be different."""

    def __init__(self, cases, version, undo):
        self.wanted = {case: text for case, text in documented().items() if case in cases}
        self.found, self.version, self.undo = {}, version, undo

    def compare(self, case, ours, theirs):
        # What is documented is the difference from QEMU 10 and from Debian 12's 7.2, which is the one to be here.
        if ours != theirs and case in self.wanted and self.version.startswith("7."):
            expect(self.undo[case](ours), theirs, "what else is different in " + case)
        if ours != theirs:
            self.found[case] = "%s\n  ours:   %.500r\n  QEMU's: %.500r" % (case, ours, theirs)

    def check(self):
        more = sorted(set(self.found) - set(self.wanted))
        if more:
            raise Failure("not in docs/management.md: " + "\n".join(self.found[case] for case in more))
        gone = sorted(set(self.wanted) - set(self.found))
        if gone and self.version.startswith("7."):
            raise Failure("in docs/management.md, but there is no such difference: " + ", ".join(gone))


def both(*options):
    if not os.path.exists(REFERENCE[0]):
        raise Skip("no qemu-ga")
    theirs = Agent(reference=True)
    theirs.version = theirs.read_version()
    return Agent("--allow", "all", *options), theirs


if __name__ == "__main__":
    mock_systemd(sys.argv[1], sys.argv[2:])
