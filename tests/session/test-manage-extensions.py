#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""spice-agent-manage: the commands beyond QEMU's, with the system's services played: what they are asked, what becomes
of it, that a key does it once, that the journal knows, and that services may be missing, refuse, hang, die or lie.

All of it in a mount namespace of its own with another /run."""

import contextlib
import threading

from gi.repository import GLib

import agentsystem
from manageddaemon import *
from systemservices import HANG, Error, SystemBus

LOGIN, SYSTEMD1 = "org.freedesktop.login1", "org.freedesktop.systemd1"
HOSTNAME, TIMEDATE = "org.freedesktop.hostname1", "org.freedesktop.timedate1"
PACKAGEKIT = "org.freedesktop.PackageKit"
TRANSACTION = PACKAGEKIT + ".Transaction"
PACKAGEKITD, POLKITD = "/usr/libexec/packagekitd", "/usr/lib/polkit-1/polkitd"
JOURNAL = "/run/systemd/journal"
FREEZER, HOOK = "/run/spice-agent-freezer", "/run/spice-agent-hook"  # both played: nothing is frozen here
ON = "--allow", "sessions,packages,host-name"
DENIED = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"


def ask(client, name, /, **arguments):
    return client.call(EXTENSION + name, **arguments)


def refusal(client, name, /, **arguments):
    """The text of an error."""
    kind, text = client.error(EXTENSION + name, **arguments)
    expect(kind, "GenericError", "class of the error of " + name)
    return text


def agent_on(bus, *options, config="", **environment):
    """An agent, with the settings `config`."""
    directory = tempfile.mkdtemp()
    with open(os.path.join(directory, "manage.conf"), "w") as file:
        file.write(config)
    return Agent("--config", directory, "--bus", bus.address, *ON, *options, **environment)


def audited(agent, name):
    """The records of a command: (arguments, result)."""
    lines = re.findall(r"audit: %s%s (\{.*?\}): (.*)" % (EXTENSION, name), agent.log())
    return [(json.loads(arguments), result) for arguments, result in lines]


def enter():
    """The namespace; everything that is left in it goes with it."""
    if "MANAGE_EXTENSIONS" not in os.environ:
        os.environ["MANAGE_EXTENSIONS"] = "1"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv])
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)


# ---- what is asked, and what comes of it ----

def variants(**properties):
    return dbus.Dictionary(properties, signature="sv")


def test_schedules_a_shutdown_and_cancels_it():
    with SystemBus() as bus, agent_on(bus) as agent, agent.client() as client:
        login = bus.start(LOGIN)
        login.answers["CancelScheduledShutdown"] = "b", True
        for mode, more, message in ("reboot", {"message": "Moving house.\nSee you"}, "Moving house.\nSee you"), \
                ("poweroff", {}, ""), ("halt", {}, ""):
            before = time.time()
            value = ask(client, "schedule-shutdown", mode=mode, delay=600, **more)
            (first, text, wall), (second, kind, when) = login.take_calls()
            expect((first, text, wall), ("SetWallMessage", message, True), "first call")
            expect((second, kind), ("ScheduleShutdown", mode), "second call")
            if not before + 599 < when / 1e6 < time.time() + 601:
                raise Failure("the time is %d at %d" % (when, time.time()))
            expect(value, {"mode": mode, "time": int(when) * 1000}, "result")
        expect(ask(client, "cancel-shutdown"), {"cancelled": True}, "result")
        expect(login.take_calls(), [("CancelScheduledShutdown",)], "calls")
        login.answers["Get"] = "v", dbus.Struct(("reboot", dbus.UInt64(1796212800000000)), signature="st")
        expect(ask(client, "get-shutdown"), {"mode": "reboot", "time": 1796212800000000000}, "result")
        login.answers["Get"] = "v", dbus.Struct(("", dbus.UInt64(2 ** 64 - 1)), signature="st")
        expect(ask(client, "get-shutdown"), {}, "result without a shutdown")
        for delay in -1, 2 ** 62, 366 * 86400 + 1:
            expect(refusal(client, "schedule-shutdown", mode="halt", delay=delay),
                   "Parameter 'delay' must be from 0 to 31622400", "error")
        expect(refusal(client, "schedule-shutdown", mode="kexec", delay=1),
               "Parameter 'mode' does not accept value 'kexec'", "error")
        expect(refusal(client, "schedule-shutdown", mode="halt", delay=1, message="x" * 1025),
               "Parameter 'message' is too long", "error")
        for message in "\x1b[2J", "a\rb", "\x9b2J", "\x7f", "\t":
            expect(refusal(client, "schedule-shutdown", mode="halt", delay=1, message=message),
                   "Parameter 'message' has control characters other than newlines", "error")
        expect([call[0] for call in login.take_calls()], ["Get", "Get"], "calls")


def session_row(number, user="alice"):
    return dbus.Struct((str(number), dbus.UInt32(1000), user, "seat0" if number == 1 else "",
                        dbus.ObjectPath("/s/%d" % number)), signature="susso")


def test_lists_sessions_and_changes_them():
    with SystemBus() as bus, agent_on(bus) as agent, agent.client() as client:
        login = bus.start(LOGIN)
        properties = {
            "/s/1": variants(Type="wayland", Class="user", State="active", LockedHint=True, RemoteHost=""),
            "/s/2": variants(Type="tty", Class="user", State="online", LockedHint=False, RemoteHost="a.example"),
            "/s/3": variants(Type=7, Class=dbus.Array([], signature="s"), State=True),
        }
        login.answers["ListSessions"] = "a(susso)", [session_row(number) for number in range(1, 5)]
        login.answers["GetAll"] = lambda path, interface: (
            ("a{sv}", properties[path]) if path in properties
            else Error("org.freedesktop.DBus.Error.UnknownObject"))
        value = ask(client, "list-sessions")
        common = {"uid": 1000, "user": "alice"}
        expect(value, {"truncated": False, "sessions": [
            {"id": "1", "seat": "seat0", "type": "wayland", "class": "user", "state": "active", "locked": True,
             **common},
            {"id": "2", "type": "tty", "class": "user", "state": "online", "locked": False, "remote-host": "a.example",
             **common},
            {"id": "3", **common}]}, "sessions")
        login.answers["ListSessions"] = "a(susso)", [session_row(number) for number in range(5000)]
        value = ask(client, "list-sessions")
        expect((len(value["sessions"]), value["truncated"]), (3, True), "sessions of many")
        login.take_calls()
        for name, method in ("lock", "LockSession"), ("unlock", "UnlockSession"), ("terminate", "TerminateSession"):
            expect(ask(client, name + "-session", id="1"), {}, "result")
            expect(login.take_calls(), [(method, "1")], "calls")


def test_restarts_what_the_administrator_named():
    with SystemBus() as bus, Listener(MACHINE) as helper, \
            agent_on(bus, config="[services]\nrestart=nginx, getty@tty1.service\n") as agent, agent.client() as client:
        systemd = bus.start(SYSTEMD1)
        systemd.answers["LoadUnit"] = "o", dbus.ObjectPath("/unit")
        systemd.answers["GetAll"] = "a{sv}", variants(Description="Web", LoadState="loaded", ActiveState="active",
                                                      SubState="running", Job=3)
        expect(ask(client, "service-status", name="nginx.service"),
               {"description": "Web", "load-state": "loaded", "active-state": "active", "sub-state": "running"},
               "status")
        expect(systemd.take_calls(), [("LoadUnit", "nginx.service"), ("GetAll", "org.freedesktop.systemd1.Unit")],
               "calls")
        for name in "nginx.service", "getty@tty1.service":
            expect(ask(client, "restart-service", name=name), {}, "result")
            expect(helper.take_calls(), [[EXTENSION + "restart-service", name]], "questions")
        for name in "sshd.service", "nginx", "nginx.service\nsshd.service", "":
            text = "%s is none of the services that the guest's administrator has named in manage.conf" % name
            expect(refusal(client, "restart-service", name=name), text, "error")
            expect(refusal(client, "service-status", name=name), text, "error")
        helper.answer = b"error\0systemd1: no way\0"
        expect(refusal(client, "restart-service", name="nginx.service"), "systemd1: no way", "error")
        expect(helper.take_calls(), [[EXTENSION + "restart-service", "nginx.service"]], "questions")
        expect(systemd.take_calls(), [], "calls")


def test_sets_name_zone_and_network_time():
    with SystemBus() as bus, agent_on(bus) as agent, agent.client() as client:
        hostname, timedate = bus.start(HOSTNAME), bus.start(TIMEDATE)
        expect(ask(client, "set-host-name", name="ada"), {}, "result")
        expect(hostname.take_calls(), [("SetStaticHostname", "ada", False)], "calls")
        expect(ask(client, "set-timezone", zone="Europe/Lisbon"), {}, "result")
        expect(ask(client, "set-ntp", enabled=True), {}, "result")
        expect(ask(client, "set-ntp", enabled=False), {}, "result")
        expect(timedate.take_calls(), [("SetTimezone", "Europe/Lisbon", False), ("SetNTP", True, False),
                                       ("SetNTP", False, False)], "calls")
        timedate.answers["GetAll"] = "a{sv}", variants(Timezone="Europe/Lisbon", NTP=True, CanNTP=True,
                                                       NTPSynchronized=False, TimeUSec=dbus.UInt64(7))
        expect(ask(client, "get-time-settings"),
               {"zone": "Europe/Lisbon", "ntp": True, "can-ntp": True, "ntp-synchronized": False}, "settings")
        hostname.answers["SetStaticHostname"] = Error("org.freedesktop.DBus.Error.InvalidArgs", "Invalid name 'a b'")
        expect(refusal(client, "set-host-name", name="a b"), "hostname1: Invalid name 'a b'", "error")


CHANGES = {
    "schedule-shutdown": dict(mode="halt", delay=60), "cancel-shutdown": {}, "lock-session": dict(id="1"),
    "unlock-session": dict(id="1"), "terminate-session": dict(id="1"), "restart-service": dict(name="a.service"),
    "set-host-name": dict(name="a"), "set-timezone": dict(zone="UTC"), "set-ntp": dict(enabled=True),
    "refresh-packages": {}, "install-packages": dict(names=["vim"]), "remove-packages": dict(names=["vim"]),
    "update-packages": {}, "update-offline": {},
}
SERVICE = {"schedule-shutdown": "login1", "cancel-shutdown": "login1", "lock-session": "login1",
           "unlock-session": "login1", "terminate-session": "login1", "set-host-name": "hostname1",
           "set-timezone": "timedate1", "set-ntp": "timedate1"}
QUERIES = {"get-shutdown": "login1", "list-sessions": "login1", "get-time-settings": "timedate1",
           "list-updates": "PackageKit"}
RESTARTABLE = "[services]\nrestart=a\n"
# What a call that succeeds returns, where that is not nothing.
RESULTS = {"CancelScheduledShutdown": ("b", False)}


class Helper(Listener):
    """Among the services of a bus."""

    def __init__(self, bus):
        super().__init__(MACHINE)
        self.answers = {}
        bus.services.append(self)

    def end(self):
        self.__exit__()


def start_all(bus):
    services = {name: bus.start("org.freedesktop." + name) for name in ("login1", "systemd1", "hostname1", "timedate1")}
    for service in services.values():
        service.answers.update(RESULTS)
    services["PackageKit"] = PackageKit(bus)
    services["helper"] = Helper(bus)
    return services


def changes(client, packages):
    """CHANGES, and the cancellation of a job that is begun for it."""
    packages.held.add("GetUpdates")
    job = ask(client, "list-updates")["job"]
    wait_for(lambda: ("GetUpdates", 2) in packages.calls, "call")
    packages.bus.run(packages.held.clear)
    packages.take_calls()
    return {**CHANGES, "cancel-package-job": dict(job=job)}


def test_changes_nothing_in_a_dry_run():
    with SystemBus() as bus, agent_on(bus, config=RESTARTABLE) as agent, agent.client() as client:
        services = start_all(bus)
        for name, arguments in changes(client, services["PackageKit"]).items():
            value = ask(client, name, dry_run=True, idempotency_key="k", **arguments)
            if "packages" in name and name != "refresh-packages" or name == "update-offline":
                wait_job(client, value["job"], "done")
                flags = [call[1] for call in services["PackageKit"].take_calls()
                         if call[0].endswith("Packages")]
                expect([flag & 4 for flag in flags], [4], "simulation flags of " + name)
            else:
                expect(value, {"dry-run": True}, "result of " + name)
        for name, service in services.items():
            expect({call[0] for call in service.take_calls()} - {"Ping"}, set(), "calls of " + name)
        expect("audit:" in agent.log(), False, "audit of dry runs")
        # Without the argument the same key is a new one.
        expect(ask(client, "set-ntp", idempotency_key="k", enabled=True), {}, "result")
        expect(services["timedate1"].take_calls(), [("SetNTP", True, False)], "calls")
        # What is refused without it is so with it, and no service is bothered.
        expect(refusal(client, "restart-service", name="b.service", dry_run=True),
               refusal(client, "restart-service", name="b.service"), "error")
        expect(refusal(client, "schedule-shutdown", mode="halt", delay=-1, dry_run=True),
               refusal(client, "schedule-shutdown", mode="halt", delay=-1), "error")
        expect([service.take_calls() for service in services.values()], [[]] * len(services), "calls")


# ---- keys ----

def test_does_once_what_has_a_key():
    with SystemBus() as bus, agent_on(bus, config=RESTARTABLE) as agent:
        services = start_all(bus)
        packages = services["PackageKit"]
        with agent.client() as client:
            wanted = changes(client, packages)
        for number, (name, arguments) in enumerate(wanted.items()):
            with agent.client() as client:
                first = ask(client, name, idempotency_key="key %d" % number, **arguments)
                if "job" in first:
                    wait_job(client, first["job"], "done")
            done = {title: service.take_calls() for title, service in services.items()}
            expect(any(done.values()), True, "calls for " + name)
            with agent.client() as client:
                expect(ask(client, name, idempotency_key="key %d" % number, **arguments), first, "second " + name)
                expect(refusal(client, "set-ntp", idempotency_key="key %d" % number, enabled=False),
                       "this idempotency-key came with another request", "error")
            expect({title: service.take_calls() for title, service in services.items()},
                   {title: [] for title in services}, "calls for the second " + name)
        expect(packages.take_calls(), [], "calls")


def test_repeats_failures_too():
    unsupported = "timedate1: NTP not supported"
    with SystemBus() as bus, agent_on(bus) as agent, agent.client() as client:
        timedate = bus.start(TIMEDATE)
        timedate.answers["SetNTP"] = Error("org.freedesktop.timedate1.NoNTPSupport", "NTP not supported")
        for _ in range(2):
            expect(refusal(client, "set-ntp", idempotency_key="a", enabled=True), unsupported, "error")
        expect(timedate.take_calls(), [("SetNTP", True, False)], "calls")
        timedate.answers.clear()
        expect(refusal(client, "set-ntp", idempotency_key="a", enabled=True), unsupported, "error")
        expect(ask(client, "set-ntp", idempotency_key="b", enabled=True), {}, "result with another key")
        expect(ask(client, "set-ntp", enabled=True), {}, "result without a key")
        expect(ask(client, "set-ntp", enabled=True), {}, "result without a key")
        expect(len(timedate.take_calls()), 3, "calls")
        for key in "", "x" * 129:
            expect(refusal(client, "set-ntp", idempotency_key=key, enabled=True),
                   "Parameter 'idempotency-key' must have 1 to 128 bytes", "error")
        expect(timedate.take_calls(), [], "calls")


def test_repeats_what_the_client_did_not_wait_for():
    """The client leaves before the answer; the next one asks again with the same key."""
    with SystemBus() as bus, agent_on(bus) as agent:
        login = bus.start(LOGIN)
        arguments = dict(id="1", idempotency_key="a")
        gate = threading.Event()
        login.answers["LockSession"] = lambda path, number: gate.wait(TIMEOUT) and ("",)
        with agent.client() as client:
            client.send(request(EXTENSION + "lock-session", **arguments))
            wait_for(lambda: login.calls, "call")
        with agent.client() as client:
            client.send(request(EXTENSION + "lock-session", **arguments))
            gate.set()
            expect(client.reply(), {"return": {}}, "answer")
        expect(login.take_calls(), [("LockSession", "1")], "calls")


# ---- audit ----

def test_records_each_change():
    with SystemBus() as bus, agent_on(bus, config=RESTARTABLE) as agent, agent.client() as client:
        services = start_all(bus)
        for name, arguments in changes(client, services["PackageKit"]).items():
            value = ask(client, name, **arguments)
            if "job" in value:
                wait_job(client, value["job"], "done")
            wanted = [(arguments, "done")]
            if "job" in value:
                wanted.append(({"job": value["job"], "state": "done"}, "done"))
            expect(audited(agent, name), wanted, "records of " + name)
        services["login1"].answers["LockSession"] = Error(DENIED, "no polkit")
        refusal(client, "lock-session", id="9", idempotency_key="k\n<0>audit: forged")
        refusal(client, "lock-session", id="9", idempotency_key="k\n<0>audit: forged")
        expect(audited(agent, "lock-session")[1:],
               [({"id": "9", "idempotency-key": "k\n<0>audit: forged"},
                 "login1 does not let the agent do it: no polkit")], "records of a failure that was repeated")
        ask(client, "set-host-name", name="x" * 1024)
        expect(max(len(line) for line in agent.log().splitlines()) < 1200, True, "lengths of lines")


def test_records_of_failures_do_not_fill_the_journal():
    """Nor do they hide what was done between them."""
    with SystemBus() as bus, agent_on(bus, config=RESTARTABLE) as agent, agent.client() as client:
        start_all(bus)
        for _ in range(1000):
            refusal(client, "restart-service", name="b.service")
        ask(client, "restart-service", name="a.service")
        records = audited(agent, "restart-service")
        expect(records[-1], ({"name": "a.service"}, "done"), "the last record")
        expect(10 < len(records) < 20, True, "%d records of failures" % (len(records) - 1))


def fields_of(datagram):
    """Of journald's protocol."""
    fields = {}
    while datagram:
        line, datagram = datagram.split(b"\n", 1)
        name, separator, value = line.partition(b"=")
        if not separator:
            size = int.from_bytes(datagram[:8], "little")
            value, datagram = datagram[8:8 + size], datagram[9 + size:]
        fields[name.decode()] = value.decode()
    return fields


def test_the_journal_has_fields():
    os.makedirs(JOURNAL)
    stream, journal = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    stream.bind(JOURNAL + "/stdout")
    stream.listen()
    journal.bind(JOURNAL + "/socket")
    journal.settimeout(TIMEOUT)
    stderr = socket.socket(socket.AF_UNIX)
    stderr.connect(JOURNAL + "/stdout")
    with stream, journal, stderr, SystemBus() as bus:
        bus.start(TIMEDATE)
        path = os.path.join(bus.dir, "agent")
        process = subprocess.Popen([DAEMON, "--listen-unix", path, "--config", bus.dir, "--bus", bus.address],
                                   stderr=stderr, env=ENVIRONMENT)
        try:
            wait_for(lambda: listens(path), "socket")
            with Client(path) as client:
                ask(client, "set-timezone", zone="Europe/Lisbon", idempotency_key="a\nb")
                fields = fields_of(journal.recv(65536))
                refusal(client, "restart-service", name="a\naudit: \x1b[2J\x9bü")
                failure = fields_of(journal.recv(65536))
        finally:
            process.kill()
            process.wait()
    arguments = r'{"idempotency-key":"a\nb","zone":"Europe/Lisbon"}'
    expect({name: fields.get(name) for name in ("PRIORITY", "SYSLOG_IDENTIFIER", "SPICE_PV_COMMAND",
                                                "SPICE_PV_ARGUMENTS", "SPICE_PV_RESULT", "MESSAGE")},
           {"PRIORITY": "5", "SYSLOG_IDENTIFIER": "spice-agent-manage", "SPICE_PV_COMMAND": EXTENSION + "set-timezone",
            "SPICE_PV_ARGUMENTS": arguments, "SPICE_PV_RESULT": "done",
            "MESSAGE": "audit: %sset-timezone %s: done" % (EXTENSION, arguments)}, "fields")
    # What journalctl would not show as text, or on a line of its own.
    result = "a?audit: ?[2J?ü is none of the services that the guest's administrator has named in manage.conf"
    expect(failure["SPICE_PV_RESULT"], result, "result")
    expect(failure["MESSAGE"], "audit: %srestart-service %s: %s"
           % (EXTENSION, r'{"name":"a\naudit: \u001B[2J\u009B\u00FC"}', result), "message")


# ---- services that fail ----

def test_says_which_service_is_not_there():
    with SystemBus() as bus, agent_on(bus, config=RESTARTABLE) as agent, agent.client() as client:
        for name, arguments in [*CHANGES.items(), *((name, {}) for name in QUERIES)]:
            for more in {}, {"dry_run": True}:
                if name in QUERIES and more:
                    continue
                text = refusal(client, name, **arguments, **more)
                title = "systemd1" if name == "restart-service" else SERVICE.get(name, QUERIES.get(name, "PackageKit"))
                missing = MACHINE if name == "restart-service" and not more else title + " is not there"
                expect(text.split(": ")[0], missing, "error of " + name)
    with Agent("--bus", "unix:path=/nonexistent", *ON) as agent, agent.client() as client:
        text = refusal(client, "set-timezone", zone="UTC")
        expect(text.split(": ")[0], "timedate1 cannot be asked, there is no system bus", "error")


def test_goes_on_beside_a_bus_that_does_not_answer():
    directory = tempfile.mkdtemp()
    with socket.socket(socket.AF_UNIX) as bus:
        bus.bind(directory + "/bus")
        bus.listen()
        with Agent("--bus", "unix:path=" + directory + "/bus", *ON) as agent, agent.client() as client:
            expect(refusal(client, "set-timezone", zone="UTC"),
                   "timedate1 cannot be asked, there is no system bus: no answer", "error")
            client.call("guest-ping")
            client.send(request(EXTENSION + "set-timezone", zone="UTC"))
            bus.accept()[0].close()  # of the first attempt
            bus.accept()  # so it has begun
            agent.process.terminate()
            expect(agent.process.wait(TIMEOUT), 0, "exit status")
    shutil.rmtree(directory)


def test_says_that_a_service_refuses():
    with SystemBus() as bus, agent_on(bus, config=RESTARTABLE) as agent, agent.client() as client:
        services = start_all(bus)
        for error in DENIED, "org.freedesktop.DBus.Error.AccessDenied":
            for service in services.values():
                for method in ("SetWallMessage", "ScheduleShutdown", "CancelScheduledShutdown", "LockSession",
                               "UnlockSession", "TerminateSession", "SetStaticHostname", "SetTimezone", "SetNTP",
                               "RefreshCache", "InstallPackages"):
                    service.answers[method] = Error(error, "Interactive authentication required.")
            for name, title in SERVICE.items():
                expect(refusal(client, name, **CHANGES[name]),
                       title + " does not let the agent do it: Interactive authentication required.",
                       "error of " + name)
            for name in "refresh-packages", "install-packages":
                value = wait_job(client, ask(client, name, **CHANGES[name])["job"], "failed")
                expect(value["error"],
                       "PackageKit does not let the agent do it: Interactive authentication required.", "error")


NONSENSE = [("", ), ("s", "x"), ("u", 7), ("v", 5), ("a{sv}", variants()), ("as", ["x"]), ("o", dbus.ObjectPath("/")),
            ("a(susso)", [session_row(1)]), ("v", dbus.Struct(("a", "b"), signature="ss"))]


def test_survives_nonsense():
    """Whatever the answers are, each command has one of its own, and the agent goes on."""
    with SystemBus() as bus, agent_on(bus, config=RESTARTABLE) as agent, agent.client() as client:
        services = start_all(bus)
        wanted = {**changes(client, services["PackageKit"]), **{name: {} for name in QUERIES}}
        methods = ["SetWallMessage", *RESULTS, "Get", "GetAll", "ListSessions", "LoadUnit", "CreateTransaction",
                   "Cancel"]
        for answer in NONSENSE:
            for service in services.values():
                service.answers.update({method: answer for method in methods})
            for name, arguments in wanted.items():
                client.send(request(EXTENSION + name, **arguments))
                expect(len(set(client.reply()) & {"return", "error"}), 1, "answers of " + name)
        client.call("guest-ping")


def test_goes_on_when_a_service_dies():
    with SystemBus() as bus, agent_on(bus) as agent, agent.client() as client:
        login = bus.start(LOGIN)
        login.answers["LockSession"] = HANG
        client.send(request(EXTENSION + "lock-session", id="1"))
        wait_for(lambda: login.calls, "call")
        bus.end(login)
        expect(client.reply()["error"]["desc"],
               "login1 does not answer, what it was asked for may be done all the same", "error")
        bus.start(LOGIN)
        expect(ask(client, "lock-session", id="1"), {}, "result after that")


def test_ends_while_services_hang():
    with SystemBus() as bus, agent_on(bus) as agent:
        login, packages = bus.start(LOGIN), PackageKit(bus)
        login.answers["LockSession"] = packages.answers["GetUpdates"] = HANG
        with agent.client() as client:
            ask(client, "list-updates")
            wait_for(lambda: ("GetUpdates", 2) in packages.calls, "call")
            client.send(request(EXTENSION + "lock-session", id="1"))
            wait_for(lambda: login.calls, "call")
        agent.process.terminate()
        expect(agent.process.wait(TIMEOUT), 0, "exit status")


def test_is_off_until_it_is_allowed():
    off = {"sessions": ("lock-session", "unlock-session", "terminate-session"), "host-name": ("set-host-name",),
           "packages": ("refresh-packages", "list-updates", "install-packages", "remove-packages", "update-packages",
                        "update-offline", "get-package-job", "cancel-package-job")}
    names = {name: group for group, some in off.items() for name in some}
    with Agent() as agent, agent.client() as client:
        enabled = {entry["name"][len(EXTENSION):]: entry["enabled"]
                   for entry in client.call("guest-info")["supported_commands"] if entry["name"].startswith(EXTENSION)}
        expect({name for name, on in enabled.items() if not on}, set(names), "what is off")
        for name, group in names.items():
            expect(client.error(EXTENSION + name),
                   ("CommandNotFound", "Command %s has been disabled: the guest's administrator has not allowed %s"
                    % (EXTENSION + name, group)), "error")


# ---- packages ----

PACKAGES = ("vim;2:9.0;amd64;main", "vim;2:8.0;amd64;old", "vi;1;amd64;main", "vim-common;2:9.0;all;main")
UPDATES = ((8, "openssl;3.0.1;amd64;main", "TLS"), (5, "vim;2:9.1;amd64;main", "An editor"),
           (9, "held;2;amd64;main", "Blocked"))


class PackageKit:
    """PackageKit. A transaction emits what `found` has for its method and then ends with `exits`, at once or, where a
    method is in `held`, by finish()."""

    def __init__(self, bus):
        self.bus = bus
        self.service = bus.start(PACKAGEKIT)
        self.count, self.held, self.exits, self.errors = 0, set(), {}, {}
        self.found = {"Resolve": [(2, name, "An editor") for name in PACKAGES], "GetUpdates": list(UPDATES),
                      "InstallPackages": [(12, PACKAGES[0], "An editor"), (12, PACKAGES[3], "Its files")],
                      "RemovePackages": [(13, PACKAGES[0], "An editor")], "UpdatePackages": [UPDATES[0], UPDATES[1]]}
        self.answers, self.calls = self.service.answers, self.service.calls
        self.answers["GetAll"] = "a{sv}", variants()
        self.answers["CreateTransaction"] = lambda path: self.create()
        for method in "RefreshCache", "GetUpdates", "Resolve", "InstallPackages", "RemovePackages", "UpdatePackages":
            self.answers[method] = self.runner(method)
        self.answers["Cancel"] = lambda path: (self.later(path, "cancel"), ("",))[1]

    def create(self):
        self.count += 1
        return "o", dbus.ObjectPath("/%d_t" % self.count)

    def runner(self, method):
        def run(path, *arguments):
            if method not in self.held:
                self.later(path, method)
            return ("",)
        return run

    def later(self, path, method):
        GLib.idle_add(self.finish_now, path, method)

    def emit(self, path, name, signature, *values):
        self.service.signal(path, TRANSACTION, name, signature, *values)

    def finish_now(self, path, method):
        for package in self.found.get(method, ()):
            self.emit(path, "Package", "uss", *package)
        if method in self.errors:
            self.emit(path, "ErrorCode", "us", 4, self.errors[method])
        self.emit(path, "Finished", "uu", 3 if method == "cancel" else self.exits.get(method, 1), 100)
        self.emit(path, "Destroy", "")

    def finish(self, method):
        self.bus.run(self.finish_now, "/%d_t" % self.count, method)

    def take_calls(self):
        return [call for call in self.service.take_calls()
                if call[0] not in ("CreateTransaction", "SetHints", "GetAll", "Ping")]


def wait_job(client, number, state):
    """The job's description when it has ended."""
    def ended():
        job = ask(client, "get-package-job", job=number)
        return job["state"] != "running" and job

    value = wait_for(ended, "end of the job")
    expect(value["state"], state, "state of " + str(value))
    return value


def described(info, package, summary):
    name, version, architecture, _ = package.split(";")
    return {"info": info, "name": name, "version": version, "architecture": architecture, "summary": summary}


TRUSTED, DOWNLOAD, NEW, INSTALLED = 2, 8, (1 << 3) | (1 << 16) | (1 << 18), 1 << 2
BOTH_UPDATES = [described("security", UPDATES[0][1], "TLS"), described("normal", UPDATES[1][1], "An editor")]


def test_packages_jobs():
    ids = [UPDATES[0][1], UPDATES[1][1]]
    cases = [
        ("refresh-packages", {}, [("RefreshCache", False)], []),
        ("refresh-packages", {"force": True}, [("RefreshCache", True)], []),
        ("list-updates", {}, [("GetUpdates", 2)], BOTH_UPDATES + [described("blocked", UPDATES[2][1], "Blocked")]),
        ("install-packages", {"names": ["vim"]},
         [("Resolve", NEW, ["vim"]), ("InstallPackages", TRUSTED, PACKAGES[:1])],
         [described("available", name, "An editor") for name in PACKAGES[:2]]),
        ("remove-packages", {"names": ["vi", "vim"], "autoremove": True},
         [("Resolve", INSTALLED, ["vi", "vim"]), ("RemovePackages", TRUSTED, (PACKAGES[0], PACKAGES[2]), False, True)],
         [described("available", name, "An editor") for name in PACKAGES[:3]]),
        ("update-packages", {}, [("GetUpdates", 2), ("UpdatePackages", TRUSTED, ids)],
         BOTH_UPDATES + [described("blocked", UPDATES[2][1], "Blocked")]),
        ("update-packages", {"names": ["openssl"]}, [("GetUpdates", 2), ("UpdatePackages", TRUSTED, ids[:1])],
         BOTH_UPDATES[:1]),
        ("update-offline", {}, [("GetUpdates", 2), ("UpdatePackages", TRUSTED | DOWNLOAD, ids), ("Trigger", "reboot")],
         BOTH_UPDATES + [described("blocked", UPDATES[2][1], "Blocked")]),
    ]
    with SystemBus() as bus, agent_on(bus) as agent, agent.client() as client:
        packages = PackageKit(bus)
        for name, arguments, calls, listed in cases:
            value = wait_job(client, ask(client, name, **arguments)["job"], "done")
            expect((value["command"], value["packages"]), (EXTENSION + name, listed), "description of " + name)
            expect([(call[0], *(tuple(word) if isinstance(word, list) else word for word in call[1:]))
                    for call in packages.take_calls()],
                   [(call[0], *(tuple(word) if isinstance(word, list) else word for word in call[1:]))
                    for call in calls], "calls of " + name)
        value = wait_job(client, ask(client, "install-packages", names=["vim"], dry_run=True)["job"], "done")
        expect(value["packages"], [described("installing", PACKAGES[0], "An editor"),
                                   described("installing", PACKAGES[3], "Its files")], "packages of a simulation")
        expect(packages.take_calls()[-1], ("InstallPackages", TRUSTED | 4, list(PACKAGES[:1])), "call")
        packages.found["GetUpdates"] = []
        expect(wait_job(client, ask(client, "update-offline")["job"], "done")["packages"], [], "updates")
        expect(packages.take_calls(), [("GetUpdates", 2)], "calls without updates")


def test_packages_progress_and_cancel():
    with SystemBus() as bus, agent_on(bus) as agent, agent.client() as client:
        packages = PackageKit(bus)
        packages.held.add("InstallPackages")
        job = ask(client, "install-packages", names=["vim"])["job"]
        wait_for(lambda: "InstallPackages" in [call[0] for call in packages.calls], "call")
        for status, word, percentage in (8, "download", 0), (9, "install", 50), (1000, "unknown", 100):
            packages.answers["GetAll"] = "a{sv}", variants(Status=dbus.UInt32(status),
                                                           Percentage=dbus.UInt32(percentage))
            value = ask(client, "get-package-job", job=job)
            expect((value["state"], value["status"], value["percentage"]), ("running", word, percentage), "progress")
        packages.answers["GetAll"] = "a{sv}", variants(Status="x", Percentage=dbus.UInt32(101))
        expect(set(ask(client, "get-package-job", job=job)) & {"status", "percentage"}, set(), "what is not known")
        packages.answers["GetAll"] = Error("org.freedesktop.DBus.Error.UnknownMethod")
        expect(ask(client, "get-package-job", job=job)["state"], "running", "state")
        expect(ask(client, "cancel-package-job", job=job), {}, "result")
        expect(wait_job(client, job, "cancelled")["error"], "it was cancelled", "error")
        expect(refusal(client, "cancel-package-job", job=job), "the job has ended", "error")
        expect(refusal(client, "cancel-package-job", job=7), "there is no job 7", "error")
        expect(refusal(client, "get-package-job", job=-1), "there is no job -1", "error")
        packages.take_calls()
        job = ask(client, "install-packages", names=["vim"])["job"]
        packages.answers["Cancel"] = Error("org.freedesktop.PackageKit.Transaction.CannotCancel", "it is too late")
        wait_for(lambda: "InstallPackages" in [call[0] for call in packages.calls], "call")
        expect(refusal(client, "cancel-package-job", job=job), "PackageKit: it is too late", "error")
        packages.finish("InstallPackages")
        wait_job(client, job, "done")


def test_packages_begin_no_step_after_a_cancel():
    """PackageKit takes the cancellation, and ends as if there had been none."""
    for name, arguments, step, calls in (
            ("install-packages", {"names": ["vim"]}, "Resolve", ["Resolve"]),
            ("update-offline", {}, "UpdatePackages", ["GetUpdates", "UpdatePackages"])):
        with SystemBus() as bus, agent_on(bus) as agent, agent.client() as client:
            packages = PackageKit(bus)
            packages.held.add(step)
            packages.answers["Cancel"] = "",
            job = ask(client, name, **arguments)["job"]
            wait_for(lambda: step in [call[0] for call in packages.calls], "call")
            expect(ask(client, "cancel-package-job", job=job, dry_run=True), {"dry-run": True}, "result")
            expect(ask(client, "cancel-package-job", job=job), {}, "result")
            packages.finish(step)
            expect(wait_job(client, job, "cancelled")["error"], "it was cancelled", "error")
            expect([call[0] for call in packages.take_calls()], [*calls, "Cancel"], "calls")
            expect(audited(agent, name)[-1], ({"job": job, "state": "cancelled"}, "it was cancelled"), "record")


def test_packages_begin_no_step_while_frozen():
    """Whichever step it is: to ask for one, to make a transaction for the next, or what is in none."""
    for name, arguments, held, begun in (
            ("install-packages", {"names": ["vim"]}, "Resolve", ["InstallPackages"]),
            ("update-packages", {}, "GetUpdates", ["UpdatePackages"]),
            ("update-offline", {}, "UpdatePackages", ["Trigger"]),
            ("refresh-packages", {}, "SetHints", ["RefreshCache"])):
        with SystemBus() as bus, Listener(HOOK), Listener(FREEZER) as freezer, \
                agent_on(bus, "--state-dir", "/run") as agent, agent.client() as client:
            packages = PackageKit(bus)
            freezer.answer = b"ok\0001\0"
            gate = threading.Event()
            if held == "SetHints":
                packages.answers[held] = lambda path, hints: gate.wait(TIMEOUT) and ("",)
            else:
                packages.held.add(held)
            job = ask(client, name, **arguments)["job"]
            wait_for(lambda: held in [call[0] for call in packages.calls], "call")
            expect(client.call("guest-fsfreeze-freeze"), 1, "frozen")
            count = packages.count
            packages.take_calls()
            gate.set()
            if held != "SetHints":
                packages.finish(held)
            time.sleep(0.3)  # for nothing to happen in
            expect((packages.calls, packages.count), ([], count), "calls while frozen")
            expect(client.call("guest-fsfreeze-thaw"), 1, "thawed")
            wait_job(client, job, "done")
            expect([call[0] for call in packages.take_calls()], begun, "calls after the thaw")
            expect(audited(agent, name)[-1], ({"job": job, "state": "done"}, "done"), "record")


def test_packages_failures():
    with SystemBus() as bus, agent_on(bus) as agent, agent.client() as client:
        packages = PackageKit(bus)
        packages.errors["RefreshCache"], packages.exits["RefreshCache"] = "no network\n" + "x" * 5000, 2
        text = wait_job(client, ask(client, "refresh-packages")["job"], "failed")["error"]
        expect((text[:22], len(text)), ("PackageKit: no network", 1036), "error")
        packages.exits["RefreshCache"] = 8
        del packages.errors["RefreshCache"]
        expect(wait_job(client, ask(client, "refresh-packages")["job"], "failed")["error"],
               "PackageKit has ended it with status 8", "error")
        packages.take_calls()
        for names in [], [""], ["vim;2:9.0;amd64;main"]:
            expect(refusal(client, "install-packages", names=names), "Parameter 'names' must have names of packages",
                   "error")
        expect(refusal(client, "install-packages", names=["x"] * 257), "Parameter 'names' is too long", "error")
        for name, verb in ("install", "installed"), ("remove", "removed"), ("update", "updated"):
            expect(wait_job(client, ask(client, name + "-packages", names=["vim", "nope"])["job"], "failed")["error"],
                   "there is no package nope to be " + verb, "error")
        expect({call[0] for call in packages.take_calls()}, {"Resolve", "GetUpdates"}, "calls")
        packages.answers["SetHints"] = Error("org.freedesktop.PackageKit.Transaction.NotSupported", "x" * 5000)
        text = wait_job(client, ask(client, "refresh-packages")["job"], "failed")["error"]
        expect((text[:13], len(text)), ("PackageKit: x", 1024), "error")
        del packages.answers["SetHints"]
        packages.answers["Trigger"] = Error(DENIED, "no polkit")
        expect(wait_job(client, ask(client, "update-offline")["job"], "failed")["error"],
               "PackageKit does not let the agent do it: no polkit", "error")
        packages.found["GetUpdates"] = [(8, "p%d;%s;amd64;x" % (number, "9" * 4000), "y" * 4000)
                                        for number in range(1500)]
        value = wait_job(client, ask(client, "list-updates")["job"], "done")
        expect((len(value["packages"]), value["truncated"], len(value["packages"][0]["summary"])), (1024, True, 256),
               "a list that is too long")


def test_packages_bounded_and_not_deceived():
    with SystemBus() as bus, agent_on(bus) as agent, agent.client() as client:
        packages, liar = PackageKit(bus), bus.start(None)
        packages.held.add("RefreshCache")
        jobs = [ask(client, "refresh-packages")["job"] for _ in range(8)]
        wait_for(lambda: len([call for call in packages.calls if call[0] == "RefreshCache"]) == 8, "calls")
        expect(refusal(client, "list-updates"), "8 jobs are under way already", "error")
        for values in ("uu", 1, 1), ("u", 1), ("us", 2, "x"):
            for path in "/1_t", "/8_t":
                bus.run(liar.signal, path, TRANSACTION, "Finished", *values)
        for name in "Finished", "Package", "ErrorCode", "Unheard":
            for values in ("", ), ("s", "x"), ("as", ["x"]):
                bus.run(packages.emit, "/8_t", name, *values)
        for package in ("", ""), (";;;;", ";"), ("x" * 5000, ""), ("a;b", "\n"):
            bus.run(packages.emit, "/8_t", "Package", "uss", 77, *package)
        packages.finish("RefreshCache")
        wait_job(client, jobs[7], "done")
        expect([ask(client, "get-package-job", job=job)["state"] for job in jobs[:7]], ["running"] * 7, "states")
        # The one that has ended makes room.
        ask(client, "refresh-packages")
        expect(refusal(client, "get-package-job", job=jobs[7]), "there is no job %d" % jobs[7], "error")
        bus.run(packages.emit, "/1_t", "Destroy", "")
        expect(wait_job(client, jobs[0], "failed")["error"], "PackageKit has given it up", "error")
        bus.end(packages.service)
        for job in jobs[1:7]:
            expect(wait_job(client, job, "failed")["error"], "PackageKit has ended", "error")
        another = PackageKit(bus)
        wait_job(client, ask(client, "refresh-packages")["job"], "done")
        expect(len(another.take_calls()), 1, "calls of the next one")


def test_packages_by_the_real_packagekit():
    """With its backend for tests, which has a few packages that are never installed for real."""
    if not os.path.exists(PACKAGEKITD) or not os.path.exists(POLKITD):
        raise Skip("no packagekitd or no polkitd")
    for name in "seats", "sessions", "users", "machines":  # polkitd watches logind's files
        os.makedirs("/run/systemd/" + name)
    os.makedirs("/run/dbus")
    subprocess.run(["mount", "-t", "tmpfs", "none", "/var/lib/PackageKit"], check=True)
    with SystemBus() as bus, contextlib.ExitStack() as stack:
        for path, mode in (bus.dir, 0o755), (bus.dir + "/bus", 0o777):  # polkitd is not root
            os.chmod(path, mode)
        os.symlink(bus.dir + "/bus", "/run/dbus/system_bus_socket")  # packagekitd knows no other
        probe = dbus.bus.BusConnection(bus.address)
        stack.callback(probe.close)
        for argv, name in ([POLKITD], "org.freedesktop.PolicyKit1"), ([PACKAGEKITD, "--backend=dummy"], PACKAGEKIT):
            process = subprocess.Popen(argv, env=dict(ENVIRONMENT, DBUS_SYSTEM_BUS_ADDRESS=bus.address),
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.kill)
            wait_for(lambda: probe.name_has_owner(name), name)
        with agent_on(bus) as agent, agent.client() as client:
            listed = wait_job(client, ask(client, "list-updates")["job"], "done")["packages"]
            expect([package["name"] for package in listed if package["info"] == "security"], ["gtkhtml2"], "updates")
            wait_job(client, ask(client, "refresh-packages", force=True)["job"], "done")
            expect(wait_job(client, ask(client, "install-packages", names=["nope"])["job"], "failed")["error"],
                   "there is no package nope to be installed", "error")
            expect(wait_job(client, ask(client, "install-packages", names=["vips-doc"])["job"], "failed")["error"],
                   "PackageKit: Can't install as untrusted", "error")
            job = ask(client, "update-packages")["job"]
            wait_for(lambda: ask(client, "get-package-job", job=job).get("percentage"), "progress")
            ask(client, "cancel-package-job", job=job)
            wait_job(client, job, "cancelled")


enter()
agentsystem.run([value for name, value in list(globals().items()) if name.startswith("test_")], "manage-extensions")
