# SPDX-License-Identifier: LGPL-2.1-or-later
"""The host manages a guest: spice-agent-manage on its port, beside QEMU's agent in the same guest, which is asked the
same."""

import base64
import contextlib
import crypt
import functools
import json
import time

from harness import *
from guestagent import *
from manageddaemon import EXTENSION, SCHEMA, documented, expect, parse, validate

INFORMATION = [name for name in SCHEMA if name.startswith(("guest-get-", "guest-network-")) or name == "guest-info"]
# One write each: what clients send to find their place, with the command that they are after.
COMBINED = {
    "libvirt": b'{"execute":"guest-sync", "arguments":{"id":1795726384459}}\n{"execute":"guest-get-host-name"}\n',
    "Proxmox": b'{"execute":"guest-sync-delimited","arguments":{"id":479601}}\n'
               b'{"execute":"guest-ping","arguments":{}}\n',
    "delimited": b'\xff{"execute":"guest-sync-delimited","arguments":{"id":7}}\n'
                 b'{"execute":"guest-get-osinfo"}\n',
}


def shape(value):
    """Names of members, and types."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in sorted(value.items())}
    if isinstance(value, list):
        return [json.loads(text) for text in sorted({json.dumps(shape(element)) for element in value})]
    return type(value).__name__


def same_shape(ours, theirs, command, **arguments):
    """Sends a command to both; its answers must be alike, and ours by the schema."""
    for connection in ours, theirs:
        connection.send(request(command, **arguments))
    answers = [connection.reply() for connection in (ours, theirs)]
    if "return" in answers[0]:
        validate(SCHEMA[command], answers[0]["return"], command)
    if command not in documented():
        expect(shape(answers[0]), shape(answers[1]), "%s %s" % (command, arguments))
    return [answer.get("return") for answer in answers]


# ---- the port ----

@ours_only
@machine(**GUEST)
def test_manage_serves_the_port(m):
    """As installed: a user of its own, and what changes the guest's programs and files is off."""
    configure(m)
    with client(m) as ours:
        ours.call("guest-ping")
        for name in "guest-exec", "guest-file-open":
            kind, text = ours.error(name, path="/bin/true")
            expect(kind, "CommandNotFound", "class")
            expect("has been disabled: the guest's administrator has not allowed" in text, True, text)
    expect(m.guest.run("ps -o user:20= -p %d" % pid(m)).strip(), "spice-manage", "user")
    expect(m.guest.run("grep CapEff /proc/%d/status" % pid(m)).split()[1], "0" * 16, "capabilities")


@ours_only
@machine(**GUEST)
def test_manage_answers_what_clients_send(m):
    with both(m) as connections:
        for name, data in COMBINED.items():
            lines = [connection.talk(data) for connection in connections]
            ours, theirs = ([(line[:1], shape(parse(line.lstrip(b"\xff")))) for line in agent] for agent in lines)
            expect(ours, theirs, "answers to what %s sends" % name)
            expect(sum(b'"return"' in line for line in lines[0]), 2, "results for %s" % name)


@ours_only
@machine(**GUEST)
def test_manage_tells_what_qemu_tells(m):
    with both(m) as (ours, theirs):
        for name in INFORMATION:
            same_shape(ours, theirs, name)


@ours_only
@machine(**GUEST)
def test_manage_clients_leave_at_any_byte(m):
    data = request("guest-sync", id=1) + request("guest-info")
    for cut in range(len(data) + 1):
        with Client("%s/%s" % (m.vm.dir, OURS)) as leaving:
            leaving.send(data[:cut])
        with Client("%s/%s" % (m.vm.dir, OURS)) as next_one:
            next_one.send(b"\xff" + request("guest-sync-delimited", id=cut))
            line = next_one.line()
            while line != b'\xff{"return": %d}' % cut:
                line = next_one.line()
            next_one.send(request("guest-ping"))
            expect(next_one.reply(), {"return": {}}, "answer after byte %d" % cut)


@ours_only
@machine(**GUEST)
def test_manage_clients_leave_amid_replies(m):
    with client(m) as leaving:
        leaving.send(request("guest-info") * 200)
    with client(m) as ours:
        ours.call("guest-ping")
    before = pid(m)
    m.guest.run("systemctl restart " + UNIT)
    with client(m) as ours:  # one that was there before it finds a new daemon at the same port
        m.guest.run("systemctl kill -s KILL " + UNIT)
        m.guest.until("[ $(systemctl show -P NRestarts %s) -gt 0 ] && systemctl is-active %s" % (UNIT, UNIT))
        ours.talk(b"")
        ours.call("guest-ping")
    expect(pid(m) != before, True, "a new process")


# ---- cost ----

@ours_only
@machine(**GUEST)
def test_manage_idle(m):
    m.guest.run("systemctl restart " + UNIT)
    with client(m) as ours:
        ours.call("guest-info")
    for key, most in ("RssAnon", 2048), ("VmRSS", 8192):
        if status(m, key) > most:
            raise Failure("%s is %d kB when idle" % (key, status(m, key)))
    before = status(m, "RssAnon")
    with client(m) as ours:
        for _ in range(100):
            ours.send(request("guest-ping") * 100)
            for _ in range(100):
                ours.line()
    if status(m, "RssAnon") > before + 64:
        raise Failure("10 000 pings took %d kB" % (status(m, "RssAnon") - before))
    wakeups = status(m, "voluntary_ctxt_switches")
    time.sleep(10)  # for nothing to happen in
    expect(status(m, "voluntary_ctxt_switches"), wakeups, "voluntary context switches")


# ---- programs ----

@ours_only
@machine(**GUEST)
def test_manage_exec(m):
    """By systemd, so outside the daemon's sandbox, in the environment of a service; answers as QEMU's."""
    configure(m, "exec")
    with both(m) as (ours, theirs):
        for script in ("echo out; echo err >&2; exit 3", "kill -9 $$", "id -u; touch /srv/made",
                       "head -c 17000000 /dev/zero"):
            states = [run_program(connection, path="/bin/sh", arg=["-c", script], capture_output=True)
                      for connection in (ours, theirs)]
            validate(SCHEMA["guest-exec-status"], states[0], script)
            expect(states[0], states[1], "end of '%s'" % script)
        state = run_program(ours, path="/bin/sh", arg=["-c", "cat /proc/self/cgroup; env"], capture_output=True)
        text = base64.b64decode(state["out-data"]).decode()
        expect("spice-agent-exec" in text and "PATH=" in text and "BUILD" not in text, True, text)
    m.guest.until("! systemctl list-units --all --plain | grep -E 'spice-agent-exec(-|@)'")


@ours_only
@machine(**GUEST)
def test_manage_files(m):
    """All files, by the helper, as the daemon has no rights of its own."""
    m.guest.run("head -c 50331648 /dev/urandom >/srv/large; chmod 600 /etc/shadow")
    configure(m, "files")
    with both(m) as connections:
        for connection in connections:
            handle = connection.call("guest-file-open", path="/srv/large")
            read = connection.call("guest-file-read", handle=handle, count=48 << 20)
            expect((read["count"], read["eof"]), (48 << 20, False), "count and end")
            connection.call("guest-file-close", handle=handle)
            for path, mode in ("/etc/shadow", "r"), ("/srv/new-%d" % connections.index(connection), "w"):
                handle = connection.call("guest-file-open", path=path, mode=mode)
                connection.call("guest-file-close", handle=handle)
        made = [m.guest.run("stat -c '%%a %%U %%G' /srv/new-%d" % number) for number in range(2)]
        expect(made[0], made[1], "a new file")
    m.guest.run("systemctl stop spice-agent-files.socket")
    m.defer(lambda: m.guest.run("systemctl start spice-agent-files.socket"))
    with client(m) as ours:  # what everybody may read
        ours.call("guest-file-open", path="/etc/passwd")
        expect(ours.error("guest-file-open", path="/etc/shadow")[1],
               "failed to open file '/etc/shadow' (mode: 'r'): Permission denied", "text")


# ---- file systems ----

SEPARATE = {"/home": "/var/home.img", "/tmp": "/run/tmp.img"}  # one on /, so that the order matters


@contextlib.contextmanager
def separate_file_systems(m):
    for directory, path in SEPARATE.items():
        m.guest.run("mountpoint -q {0} || {{ truncate -s 64M {1}; mkfs.ext4 -q {1}; mount -o loop {1} {0}; }}"
                    .format(directory, path))
    try:
        yield ["/", *SEPARATE]
    finally:
        m.guest.run("for d in / %s; do fsfreeze --unfreeze $d; umount $d; done 2>/dev/null; true" % " ".join(SEPARATE))


def frozen(m, directories):
    """Those that are: the kernel says that they cannot be frozen once more."""
    return [directory for directory in directories
            if "busy" in m.guest.run("fsfreeze --freeze %s 2>&1" % directory, check=False)]


def thawed(m, directories):
    for directory in directories:
        m.guest.run("touch %s/thawed" % directory)


@ours_only
@machine(**GUEST)
def test_manage_freezes_all_file_systems(m):
    """The helper does, also while systemd, which starts it, could write to none of them."""
    configure(m, "all")
    with separate_file_systems(m) as directories, both(m) as connections:
        told = []
        for connection in connections:
            def call(name, **arguments):
                connection.send(request(name, **arguments))
                answers.append((name, connection.reply()))
            answers = []
            call("guest-fsfreeze-thaw")
            call("guest-fsfreeze-freeze")
            expect(frozen(m, directories), directories, "frozen file systems")
            for name in "guest-fsfreeze-status", "guest-fsfreeze-freeze", "guest-get-osinfo", "guest-ping":
                call(name)
            call("guest-sync", id=3)
            call("guest-fsfreeze-thaw")
            call("guest-fsfreeze-status")
            thawed(m, directories)
            call("guest-fsfreeze-freeze-list", mountpoints=["/home"])
            expect(frozen(m, ["/home"]), ["/home"], "frozen of the list")
            thawed(m, ["/", "/tmp"])
            call("guest-fsfreeze-thaw")
            thawed(m, directories)
            call("guest-fsfreeze-freeze-list", mountpoints=["/nonexistent"])
            call("guest-fsfreeze-thaw")
            told.append(answers)
        expect(told[0][1][1], {"return": 3}, "count")
        for ours, theirs in zip(*told):
            expect(ours, theirs, "answer")


@ours_only
@machine(**GUEST)
def test_manage_thaws_after_it_was_killed(m):
    """Nothing can be written then, not by systemd either."""
    configure(m)
    with separate_file_systems(m) as directories:
        with client(m) as ours:
            ours.call("guest-fsfreeze-freeze")
        old = pid(m)
        m.guest.run("kill -9 %d" % old)
        # What is sent while it is ending gets lost, as with any agent that ends.
        m.guest.until("[ ! -e /proc/%d ]" % old)
        with client(m, timeout=60) as ours:
            expect(ours.call("guest-fsfreeze-status"), "frozen", "status")
            expect(frozen(m, directories), directories, "frozen file systems")
            expect(ours.call("guest-fsfreeze-thaw"), 3, "count")
        thawed(m, directories)


@ours_only
@machine(**GUEST)
def test_manage_trims_as_qemu(m):
    with separate_file_systems(m), both(m) as (ours, theirs):
        answers = same_shape(ours, theirs, "guest-fstrim")
        expect(*([entry["path"] for entry in answer["paths"]] for answer in answers), "paths")


# ---- clock, processors, accounts ----

@ours_only
@machine(**GUEST)
def test_manage_sets_the_time(m):
    configure(m)
    with both(m) as connections:
        for connection in connections:
            connection.call("guest-set-time", time=1700000000 * 10 ** 9)
            expect(0 <= int(m.guest.run("date +%s")) - 1700000000 < 60, True, "seconds since the time that was set")
            connection.call("guest-set-time")  # the machine's clock was set too
            expect(0 <= int(m.guest.run("date +%s")) - 1700000000 < 120, True, "seconds since the time that was set")


@ours_only
@machine(**GUEST)
def test_manage_takes_processors_away(m):
    configure(m)
    with both(m) as connections:
        for connection in connections:
            for online in False, True:
                expect(connection.call("guest-set-vcpus", vcpus=[{"logical-id": 1, "online": online}]), 1, "count")
                expect(m.guest.run("cat /sys/devices/system/cpu/cpu1/online").strip(), "01"[online], "online")
        same_shape(*connections, "guest-set-memory-blocks", mem_blks=[{"phys-index": 0, "online": True}])


def password_is(m, text):
    have = m.guest.run("getent shadow alice").split(":")[1]
    return crypt.crypt(text, have) == have


@ours_only
@machine(**GUEST)
def test_manage_sets_passwords(m):
    configure(m, "password")
    with both(m) as connections:
        for number, connection in enumerate(connections):
            plain, crypted = "correct horse %d" % number, "battery staple %d" % number
            connection.call("guest-set-user-password", username="alice", crypted=False,
                            password=base64.b64encode(plain.encode()).decode())
            expect(password_is(m, plain), True, "plain text is the password")
            line = crypt.crypt(crypted, crypt.mksalt(crypt.METHOD_SHA512))
            connection.call("guest-set-user-password", username="alice", crypted=True,
                            password=base64.b64encode(line.encode()).decode())
            expect(password_is(m, crypted), True, "what was encrypted is the password")


@ours_only
@machine(**GUEST)
def test_manage_has_keys_of_users(m):
    """As that user: what a link of theirs leads to is not read or written with root's rights."""
    keys = ["ssh-ed25519 AAAA%d test" % number for number in range(3)]
    configure(m, "ssh-keys")
    told = []
    with both(m) as connections:
        for connection in connections:
            m.guest.run("rm -rf ~alice/.ssh")
            connection.call("guest-ssh-add-authorized-keys", username="alice", keys=keys)
            connection.call("guest-ssh-remove-authorized-keys", username="alice", keys=keys[1:2])
            told.append(connection.call("guest-ssh-get-authorized-keys", username="alice"))
            expect(sorted(told[-1]["keys"]), [keys[0], keys[2]], "keys")
            expect(m.guest.run("stat -c '%U %a' ~alice/.ssh ~alice/.ssh/authorized_keys").split(),
                   ["alice", "700", "alice", "600"], "owners and modes")
    expect(*told, "QEMU's order")
    before = m.guest.run("cat /etc/shadow")
    m.guest.run("ln -sf /etc/shadow ~alice/.ssh/authorized_keys")
    with client(m) as ours:
        ours.error("guest-ssh-get-authorized-keys", username="alice")
        ours.send(request("guest-ssh-add-authorized-keys", username="alice", keys=keys))
        ours.line()
    expect(m.guest.run("cat /etc/shadow"), before, "what the link led to")


# ---- beyond QEMU's ----

def ask(connection, name, /, **arguments):
    """What an extension returns, which must be as the schema says."""
    value = connection.call(EXTENSION + name, **arguments)
    validate(SCHEMA[EXTENSION + name], value, name)
    return value


def ask_helper(m, *words):
    """What the helper's unit answers a daemon that asks what it likes."""
    question = "\0".join([str(len(words)), *words, ""])
    return m.guest.run("""runuser -u spice-manage -- python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("/run/spice-agent-machine")
s.sendall(sys.stdin.buffer.read())
s.shutdown(socket.SHUT_WR)
while part := s.recv(4096):
    sys.stdout.buffer.write(part)
'""", input=question).split("\0")[:-1]


@ours_only
@machine(**GUEST)
def test_manage_restarts_services(m):
    """Those that manage.conf names, and the helper sees to it, whatever the daemon that asks it has become."""
    def invocation(name):
        return m.guest.run("systemctl show -P InvocationID %s.service" % name).strip()

    refusal = "other.service is none of the services that the guest's administrator has named in manage.conf"
    for name in "named", "other":
        m.guest.push("[Service]\nExecStart=sleep infinity\n", "/run/systemd/system/%s.service" % name)
    m.guest.run("systemctl daemon-reload; systemctl start named other")
    m.defer(lambda: m.guest.run("systemctl stop named other"))
    configure(m, restart="named nowhere")
    with client(m) as ours:
        expect(ask(ours, "service-status", name="named.service")["active-state"], "active", "state")
        named, other = invocation("named"), invocation("other")
        expect(ask(ours, "restart-service", name="named.service"), {}, "result")
        m.guest.until("[ $(systemctl show -P InvocationID named) != %s ] && systemctl is-active named" % named)
        expect(ours.error(EXTENSION + "restart-service", name="other.service")[1], refusal, "error")
        expect(ours.error(EXTENSION + "restart-service", name="nowhere.service")[1],
               "systemd1: Failed to restart nowhere.service: Unit nowhere.service not found.", "error")
    named = invocation("named")
    expect(ask_helper(m, EXTENSION + "restart-service", "other.service"), ["error", refusal], "answer of the helper")
    expect(ask_helper(m, EXTENSION + "restart-service", "named.service"), ["ok"], "answer of the helper")
    m.guest.until("[ $(systemctl show -P InvocationID named) != %s ] && systemctl is-active named" % named)
    expect(invocation("other"), other, "start of the other one")
    denied = m.guest.run("runuser -u spice-manage -- systemctl --no-ask-password restart named.service 2>&1",
                         check=False)
    expect("authentication" in denied, True, "restart without the helper (%s)" % denied)


@contextlib.contextmanager
def logged_in(m):
    """alice, at a terminal."""
    m.guest.run("mkdir -p /run/systemd/system/getty@tty9.service.d")
    m.guest.push("[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin alice --noclear %I linux\n",
                 "/run/systemd/system/getty@tty9.service.d/test.conf")
    m.guest.run("systemctl daemon-reload; systemctl start getty@tty9")
    try:
        m.guest.until("who | grep -q 'alice *tty9'")
        yield
    finally:
        m.guest.run("systemctl stop getty@tty9")


@ours_only
@machine(**GUEST)
def test_manage_schedules_a_shutdown(m):
    """Who is logged in is told of it, and of its end."""
    def told(text):
        m.guest.until("tr -s '[:space:]\\0' ' ' </dev/vcs9 | grep -q '%s'" % text)

    configure(m)
    with logged_in(m), client(m) as ours:
        expect(ask(ours, "get-shutdown"), {}, "before")
        now = ours.call("guest-get-time")
        planned = ask(ours, "schedule-shutdown", mode="reboot", delay=600, message="A better host is waiting")
        expect(0 <= planned["time"] - now - 600 * 10 ** 9 < 60 * 10 ** 9, True, "time (%s after %d)" % (planned, now))
        expect(ask(ours, "get-shutdown"), planned, "what is planned")
        expect("MODE=reboot" in m.guest.run("cat /run/systemd/shutdown/scheduled"), True, "logind's plan")
        told("A better host is waiting")
        expect(ask(ours, "cancel-shutdown"), {"cancelled": True}, "result")
        told("shutdown has been cancelled")
        expect(ask(ours, "get-shutdown"), {}, "after it was cancelled")
        expect(ask(ours, "cancel-shutdown"), {"cancelled": False}, "second result")
    records = m.guest.run("journalctl -t spice-agent-manage -o cat SPICE_PV_COMMAND=%sschedule-shutdown" % EXTENSION)
    expect("A better host is waiting" in records and records.strip().endswith(": done"), True, records)


@ours_only
@machine(**GUEST)
def test_manage_has_sessions(m):
    configure(m, "sessions")
    with logged_in(m), client(m) as ours:
        found = [entry for entry in ask(ours, "list-sessions")["sessions"] if entry["user"] == "alice"]
        expect([(entry["uid"], entry["seat"], entry["type"], entry["class"]) for entry in found],
               [(1000, "seat0", "tty", "user")], "alice's sessions")
        number = found[0]["id"]
        monitor = m.guest.start("gdbus monitor --system --dest org.freedesktop.login1")
        m.defer(monitor.kill)

        def told(text):
            line = monitor.line()
            while line is not None and text not in line:
                line = monitor.line()
            expect(line is not None, True, "%s (%s)" % (text, monitor.describe()))

        told("is owned by")
        for name, signal in ("lock-session", "Lock"), ("unlock-session", "Unlock"):
            expect(ask(ours, name, id=number), {}, "result")
            told("Session.%s ()" % signal)
        expect(ask(ours, "terminate-session", id=number), {}, "result")
        m.guest.until("! loginctl show-session " + number)
        expect(ours.error(EXTENSION + "lock-session", id=number)[1][:8], "login1: ", "error")


@ours_only
@machine(**GUEST)
def test_manage_sets_the_host_name(m):
    """It is told at once, by a daemon that runs on."""
    configure(m, "host-name")
    before = m.guest.run("hostname").strip()
    m.defer(lambda: m.guest.run("hostnamectl hostname %s" % before))
    with client(m) as ours:
        expect(ours.call("guest-get-host-name"), {"host-name": before}, "name")
        expect(ask(ours, "set-host-name", name="ada"), {}, "result")
        expect(m.guest.run("hostname; cat /etc/hostname").split(), ["ada", "ada"], "name")
        expect(ours.call("guest-get-host-name"), {"host-name": "ada"}, "name")


@ours_only
@machine(**GUEST)
def test_manage_sets_zone_and_network_time(m):
    """By timedate1, which starts and stops the first unit for network time that is there; here it is one of the test's."""
    def settings():
        told = ask(ours, "get-time-settings")
        return told["zone"], told["can-ntp"], told["ntp"]

    configure(m)
    m.guest.run("mkdir -p /usr/lib/systemd/ntp-units.d; echo network-time.service >/usr/lib/systemd/ntp-units.d/10-test.list")
    m.guest.push("[Service]\nExecStart=sleep infinity\n[Install]\nWantedBy=multi-user.target\n",
                 "/etc/systemd/system/network-time.service")
    m.guest.run("systemctl daemon-reload; systemctl stop systemd-timedated; readlink -f /etc/localtime >/run/zone")
    m.defer(lambda: m.guest.run("systemctl disable --now network-time; timedatectl set-timezone Etc/UTC"))
    with client(m) as ours:
        expect(ask(ours, "set-timezone", zone="Asia/Kathmandu"), {}, "result")
        expect(m.guest.run("readlink -f /etc/localtime; date +%z").split(), ["/usr/share/zoneinfo/Asia/Kathmandu", "+0545"],
               "zone")
        expect(ours.call("guest-get-timezone"), {"zone": "+0545", "offset": 20700}, "zone")
        expect(ours.error(EXTENSION + "set-timezone", zone="Asia/Nowhere")[1][:10], "timedate1:", "error")
        expect(settings(), ("Asia/Kathmandu", True, False), "settings")
        for enabled in True, False:
            expect(ask(ours, "set-ntp", enabled=enabled), {}, "result")
            m.guest.until("[ $(systemctl is-active network-time) = %s ]" % ("active" if enabled else "inactive"))
            expect(settings(), ("Asia/Kathmandu", True, enabled), "settings")


@ours_only
@machine(**GUEST)
def test_manage_cannot_hibernate_without_swap(m):
    """It is said, and not tried. QEMU's agent tries it."""
    configure(m)
    with client(m) as ours:
        for command in "guest-suspend-disk", "guest-suspend-hybrid":
            expect(ours.error(command), ("GenericError", "the requested suspend mode is not supported by the guest"),
                   "error of " + command)
    expect(m.guest.run("journalctl -q -bk -o cat -g 'hibernation entry' || true"), "", "what the kernel says")


# A repository of one package in the place of the network's. apt is told to take it for signed, and a route that leads
# nowhere has PackageKit take the guest for connected. The file is written once: after a change PackageKit drops updates
# that it has prepared, seconds later.
SOURCES = """
cp /etc/apt/sources.list /run/sources.list
echo "deb [trusted=yes] file:/srv/repository ./" >/etc/apt/sources.list
busybox ip route replace default dev lo
"""
NO_SOURCES = """
cp /run/sources.list /etc/apt/sources.list
busybox ip route del default
"""
REPOSITORY = """
set -e
dir=/srv/repository
rm -rf $dir /tmp/build
mkdir -p $dir /tmp/build/DEBIAN
printf '%%s\\n' 'Package: test-package' 'Version: %s' 'Architecture: all' 'Maintainer: Test <test@example.org>' \
    'Description: test' >/tmp/build/DEBIAN/control
dpkg-deb --root-owner-group -b /tmp/build $dir/test.deb
{ cat /tmp/build/DEBIAN/control
  echo "Filename: ./test.deb"
  echo "Size: $(stat -c %%s $dir/test.deb)"
  echo "SHA256: $(sha256sum <$dir/test.deb | cut -d' ' -f1)"
} >$dir/Packages
"""


def package_job(ours, name, state="done", **arguments):
    """Has a job done; returns its packages."""
    number = ask(ours, name, **arguments)["job"]
    told = {}

    def ended():
        told.update(ask(ours, "get-package-job", job=number))
        return told["state"] != "running"
    wait_for(ended, 180, "end of %s" % name, 0.5)
    expect(told["state"], state, "state of %s (%s)" % (name, told))
    return [(entry["info"], entry["name"], entry["version"]) for entry in told["packages"]]


def installed(m):
    return m.guest.run("dpkg-query -W -f '${Status} ${Version}' test-package 2>/dev/null", check=False)


@ours_only
@machine(**GUEST)
def test_manage_packages(m):
    """By the real PackageKit, with apt."""
    m.guest.run(SOURCES)
    m.defer(lambda: m.guest.run(NO_SOURCES))
    configure(m, "packages")
    m.guest.run(REPOSITORY % "1.0")
    with client(m) as ours:
        job = functools.partial(package_job, ours)
        job("refresh-packages", force=True)
        expect(job("install-packages", names=["test-package"], dry_run=True),
               [("installing", "test-package", "1.0")], "what would be installed")
        expect(installed(m), "", "package after a dry run")
        job("install-packages", names=["test-package"])
        expect(installed(m), "install ok installed 1.0", "package")
        job("install-packages", "failed", names=["no-such-package"])
        m.guest.run(REPOSITORY % "2.0")
        job("refresh-packages", force=True)
        expect([entry[1:] for entry in job("list-updates")], [("test-package", "2.0")], "updates")
        job("update-packages", names=["test-package"])
        expect(installed(m), "install ok installed 2.0", "package")
        expect(job("list-updates"), [], "updates")
        job("remove-packages", names=["test-package"])
        expect("installed" in installed(m).split()[-2:], False, "package (%s)" % installed(m))


# ---- beside QEMU's agent ----

@ours_only
@machine(**GUEST)
def test_manage_leaves_the_port_to_qemu(m):
    def active(unit):
        return m.guest.run("systemctl is-active %s" % unit, check=False).strip()

    def doctor():
        return m.guest.run("runuser -u alice spice-agentctl doctor", check=False)

    expect("ok       unit %s.service" % UNIT in doctor(), True, doctor())
    m.defer(lambda: m.guest.run("systemctl mask --runtime --now %s; systemctl start %s" % (RIVAL, UNIT)))
    # A file takes the place of the mask.
    m.guest.run("systemctl stop %s; rm /etc/systemd/system/%s.service; systemctl daemon-reload; systemctl start %s" %
                (UNIT, RIVAL, RIVAL))
    for start in "systemctl start " + UNIT, "udevadm trigger --settle --subsystem-match=virtio-ports":
        m.guest.run(start)
        m.guest.until("[ $(systemctl show -P ActiveState %s) = inactive ]" % UNIT)
        expect(m.guest.run("systemctl show -P Result %s" % UNIT).strip(), "success", "result")
        expect(active(RIVAL), "active", "QEMU's agent")
    journal = m.guest.run("journalctl -u " + UNIT)
    expect("qemu-guest-agent.service serves the port" in journal, True, journal[-500:])
    text = doctor()
    expect("note     unit %s.service: inactive, as %s.service serves the port" % (UNIT, RIVAL) in text, True, text)
    with client(m) as theirs:
        theirs.call("guest-ping")


# ---- off ----

def ends(m, reason):
    """QEMU ends with what the guest does, as it is not to reboot."""
    wait_for(lambda: [event for event in m.vm.qmp.events if event["event"] == "SHUTDOWN"], 60, "end of the guest")
    told = [event["data"]["reason"] for event in m.vm.qmp.events if event["event"] == "SHUTDOWN"]
    expect(told[0], reason, "reason")


@ours_only
@fresh
@machine(**GUEST)
def test_manage_suspends_to_memory(m):
    """The host wakes the guest, which then goes on where it was."""
    def seen(name):
        return [event for event in m.vm.qmp.events if event["event"] == name]

    configure(m)
    boot = m.guest.run("cat /proc/sys/kernel/random/boot_id")
    with client(m) as ours:
        ours.send(request("guest-suspend-ram"))
        wait_for(lambda: seen("SUSPEND"), 60, "sleep of the guest")
        m.vm.qmp.command("system_wakeup")
        wait_for(lambda: seen("WAKEUP"), 60, "wake-up of the guest")
        expect(m.guest.run("cat /proc/sys/kernel/random/boot_id", timeout=60), boot, "boot")
        ours.call("guest-ping")


# With a disk for swap, which the initrd of the tests wakes up from.
SWAP = {**GUEST, "cmdline": "hibernated_on=vdb", "extra": GUEST["extra"] + [
    "-drive", "if=none,id=swap,snapshot=on,driver=null-co,size=1G,read-zeroes=on", "-device", "virtio-blk-pci,drive=swap"]}


@ours_only
@fresh
@machine(**GUEST)
def test_manage_updates_offline(m):
    """What was prepared is installed by a start of the guest that is for nothing else; the next one is as ever."""
    def starts():
        return [event["data"] for event in m.vm.qmp.events if event["event"] == "VSERPORT_CHANGE"].count(
            {"id": "test", "open": True})

    m.guest.run(SOURCES)
    configure(m, "packages")
    m.guest.run(REPOSITORY % "1.0" + "dpkg -i $dir/test.deb\n" + REPOSITORY % "2.0")
    with client(m) as ours:
        package_job(ours, "refresh-packages", force=True)
        package_job(ours, "update-offline")
        expect(installed(m), "install ok installed 1.0", "package before")
        m.vm.qmp.command("set-action", reboot="reset")
        before = starts()
        ours.send(request("guest-shutdown", mode="reboot"))
        wait_for(lambda: starts() == before + 2, 180, "start after the update")
    expect(m.guest.run("systemctl is-system-running --wait; readlink -e /system-update", timeout=120, check=False),
           "running\n", "system")
    expect(installed(m), "install ok installed 2.0", "package")
    with client(m) as ours:
        ours.call("guest-ping")


@ours_only
@fresh
@machine(**SWAP)
def test_manage_suspends_to_disk(m):
    """The guest writes its memory to swap, goes off, and after a boot goes on where it was; also when it only sleeps after
    that."""
    def happens(name):
        wait_for(lambda: name in [event["event"] for event in m.vm.qmp.events], 120, name + " of the guest")
        m.vm.qmp.events.clear()

    configure(m)
    m.guest.run("mkswap /dev/vdb && swapon /dev/vdb")
    boot = m.guest.run("cat /proc/sys/kernel/random/boot_id")
    m.vm.qmp.command("set-action", shutdown="pause", reboot="reset")
    with client(m) as ours:
        ours.send(request("guest-suspend-hybrid"))
        happens("SUSPEND")
        m.vm.qmp.command("system_wakeup")
        happens("WAKEUP")
        expect(m.guest.run("cat /proc/sys/kernel/random/boot_id", timeout=120), boot, "boot")
        ours.call("guest-ping")
        ours.send(request("guest-suspend-disk"))
        happens("SHUTDOWN")
        m.vm.qmp.command("system_reset")
        happens("RESET")
        m.vm.qmp.command("cont")
        expect(m.guest.run("cat /proc/sys/kernel/random/boot_id", timeout=120), boot, "boot")
        ours.call("guest-ping")


@ours_only
@fresh
@machine(**GUEST)
def test_manage_shutdown(m):
    configure(m)
    with client(m) as ours:
        ours.send(request("guest-shutdown"))
        ends(m, "guest-shutdown")


@ours_only
@fresh
@machine(**GUEST)
def test_manage_reboot_without_polkit(m):
    configure(m)
    m.guest.run("systemctl mask --now polkit")
    with client(m) as ours:
        ours.send(request("guest-shutdown", mode="reboot"))
        ends(m, "guest-reset")
