#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""spice-agent-manage and spice-agent-helper: power, clock, processors, memory, passwords, ssh keys, files and programs,
beside QEMU's own agent and alone.

All of it in a mount namespace of its own, where /etc, /home and the processors and memory of /sys are copies to be
changed, and without the right to set the clock or to reboot."""

import base64
import contextlib
import pwd
import signal

import agentsystem
from manageddaemon import *
from realunits import DATA, RealUnits

LOGIN, LOGIN_PATH, TEST = "org.freedesktop.login1", "/org/freedesktop/login1", "org.spice_space.Test1"
HELPER = os.path.abspath(os.path.join(os.environ["BUILD"], "spice-agent-helper"))
ACCOUNTS, FILES, EXEC = "/run/spice-agent-accounts", "/run/spice-agent-files", "/run/spice-agent-exec"
KINDS = {MACHINE: "machine", ACCOUNTS: "accounts", FILES: "files", EXEC: "exec"}
CPUS, MEMORY = "/sys/devices/system/cpu", "/sys/devices/system/memory"
CONF = "/etc/spice-pv/manage.conf"
SYSTEMCTL_LOG = "/run/systemctl.log"
USERS = "alice", "bob"
NOON = 1796212800 * 10 ** 9  # of some day in 2026


# ---- the machine ----

def enter():
    """The namespace; everything that is left in it goes with it."""
    if "MANAGE_POWER" not in os.environ:
        os.environ["MANAGE_POWER"] = "1"
        os.execvp("setpriv", ["setpriv", "--bounding-set=-sys_time,-sys_boot", "unshare", "--mount", sys.executable,
                              *sys.argv])
    for path in "/run", "/home":
        subprocess.run(["mount", "-t", "tmpfs", "none", path], check=True)
    os.mkdir("/run/copy")
    subprocess.run(["cp", "-a", "/etc", "/run/copy/etc"], check=True)
    subprocess.run(["mount", "--bind", "/run/copy/etc", "/etc"], check=True)
    for path in CPUS, MEMORY:
        subprocess.run(["mount", "-t", "tmpfs", "none", path], check=True)
    for user in *USERS, "spice-manage":
        subprocess.run(["useradd", "-m", user], check=True)
    os.makedirs(os.path.dirname(CONF), exist_ok=True)
    os.mkdir("/run/bin")
    # The real one has nothing to do here.
    write("/run/bin/systemctl", "#!/bin/sh\necho \"$@\" >>%s\n"
          "[ ! -e /run/fails ] || { echo no way >&2; exit 1; }\n" % SYSTEMCTL_LOG)
    os.chmod("/run/bin/systemctl", 0o755)
    os.environ["PATH"] = "/run/bin:" + os.environ["PATH"]


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def read(path):
    with open(path) as file:
        return file.read()


def reset_machine():
    """Processors 0, which is always on, 1 and 2; blocks of memory 0, without a state, 1, 2 and 3, which is off."""
    for number, online in enumerate((None, "1\n", "1\n")):
        os.makedirs("%s/cpu%d" % (CPUS, number), exist_ok=True)
        if online:
            write("%s/cpu%d/online" % (CPUS, number), online)
    for number, state in enumerate((None, "online\n", "online\n", "offline\n")):
        os.makedirs("%s/memory%d" % (MEMORY, number), exist_ok=True)
        write("%s/memory%d/removable" % (MEMORY, number), "1\n")
        if state:
            write("%s/memory%d/state" % (MEMORY, number), state)


def rights(kind):
    """A command's beginning that leaves it the capabilities of the helper's unit."""
    unit = read(os.path.join(DATA, "spice-agent-%s@.service" % kind))
    kept = re.search("^CapabilityBoundingSet=(.*)$", unit, re.M)[1].lower().replace("cap_", "").split()
    known = subprocess.run(["setpriv", "--list-caps"], check=True, capture_output=True, text=True).stdout.split()
    dropped = ",".join("-" + name for name in known if name not in kept)
    return ["setpriv", "--no-new-privs", "--bounding-set=" + dropped]


@contextlib.contextmanager
def helpers(config="[policy]\nallow=all\n", bus="unix:path=/nonexistent"):
    """The helper at its sockets, as systemd starts it."""
    write(CONF, config)
    environment = ["--setenv=" + "%s=%s" % pair for pair in (("PATH", os.environ["PATH"]),
                                                              ("DBUS_SYSTEM_BUS_ADDRESS", bus),
                                                              ("ASAN_OPTIONS", ENVIRONMENT["ASAN_OPTIONS"]))]
    with open("/run/helpers.log", "w") as log:
        processes = [subprocess.Popen(["systemd-socket-activate", "--accept", "--inetd", "--listen=" + path,
                                       *environment, *rights(kind), HELPER, kind], stderr=log)
                     for path, kind in KINDS.items()]
    try:
        for path in KINDS:
            wait_for(lambda: os.path.exists(path), path)
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
        for path in KINDS:
            os.unlink(path)
    log = read("/run/helpers.log")
    if any(word in log for word in ("bug:", "CRITICAL", "ERROR: AddressSanitizer", "runtime error")):
        raise Failure("the helper found a bug in itself:\n" + log)


def ask(path, data):
    """What the helper answers to these bytes."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(TIMEOUT)
        client.connect(path)
        with contextlib.suppress(BrokenPipeError):
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        answer = b""
        while True:
            try:
                part = client.recv(65536)
            except ConnectionResetError:
                part = b""
            if not part:
                return answer
            answer += part


# ---- beside QEMU's agent ----

def vcpus(*states):
    return request("guest-set-vcpus", vcpus=[{"logical-id": number, "online": online} for number, online in states])


def blocks(*states):
    return request("guest-set-memory-blocks",
                   mem_blks=[{"phys-index": number, "online": online} for number, online in states])


def password(user, text, crypted=False):
    return request("guest-set-user-password", username=user, password=base64.b64encode(text.encode()).decode(),
                   crypted=crypted)


def hashed(text, salt):
    """As crypt(3) does it, which Python no longer has."""
    return subprocess.run(["perl", "-e", "print crypt($ARGV[0], $ARGV[1])", text, salt], check=True,
                          capture_output=True, text=True).stdout


GET_VCPUS, GET_BLOCKS = request("guest-get-vcpus"), request("guest-get-memory-blocks")
HASH = hashed("other", "$6$saltsalt")

# Bytes for both agents, each on a machine that is as reset_machine() leaves it.
CASES = {
    "shutdown-mode": request("guest-shutdown", mode="nonsense") + request("guest-shutdown", mode=""),
    "shutdown-type": request("guest-shutdown", mode=3) + request("guest-shutdown", force=True),
    "suspend-argument": request("guest-suspend-ram", mode="x"),
    "time-type": request("guest-set-time", time="1") + request("guest-set-time", time=1.5),
    "time-denied": request("guest-set-time", time=NOON),
    "time-rtc": request("guest-set-time"),
    "time-1969": request("guest-set-time", time=-86400 * 10 ** 9),
    "time-2200": request("guest-set-time", time=7258118400 * 10 ** 9),
    "time-int64": request("guest-set-time", time=2 ** 63 - 1) + request("guest-set-time", time=-2 ** 63),
    "time-2071": request("guest-set-time", time=3187296000 * 10 ** 9),
    "vcpus-none": vcpus(),
    "vcpus-arguments": request("guest-set-vcpus") + request("guest-set-vcpus", vcpus=[{}]) +
                       request("guest-set-vcpus", vcpus=[{"logical-id": 1}]),
    "vcpus-off": vcpus((1, False)) + GET_VCPUS,
    "vcpus-both": vcpus((2, False), (1, False), (2, True)) + GET_VCPUS,
    "vcpus-same": vcpus((1, True), (0, True)) + GET_VCPUS,
    "vcpus-always-on": vcpus((0, False)),
    "vcpus-unknown": vcpus((99, False)) + vcpus((-1, True)),
    "vcpus-then-unknown": vcpus((1, False), (99, False), (2, False)) + GET_VCPUS,
    "blocks-none": blocks(),
    "blocks-off": blocks((1, False), (2, True)) + GET_BLOCKS,
    "blocks-twice": blocks((1, False), (1, True), (3, True)) + GET_BLOCKS,
    "blocks-unknown": blocks((99, False), (2, False)) + GET_BLOCKS,
    "blocks-always-on": blocks((0, True)),
    "blocks-always-on-off": blocks((0, False)),
    "password-base64": request("guest-set-user-password", username="alice", password="@@", crypted=False),
    "password-newline": password("alice", "a\nbob:b"),
    "password-user-colon": password("alice:x", "a") + password("alice\nbob", "a"),
    "password-user-unknown": password("nobody-here", "a"),
    "password-arguments": request("guest-set-user-password", username="alice", password=""),
    "keys-user-unknown": request("guest-ssh-get-authorized-keys", username="nobody-here"),
    "keys-user-empty": request("guest-ssh-get-authorized-keys", username=""),
    "keys-comment": request("guest-ssh-add-authorized-keys", username="alice", keys=["#x"]),
    "keys-newline": request("guest-ssh-remove-authorized-keys", username="alice", keys=["a\nb"]),
    "keys-arguments": request("guest-ssh-add-authorized-keys", username="alice", keys="a"),
}


def begins(text):
    return lambda value: isinstance(value, str) and value.startswith(text)


# What differs in them, as docs/management.md says.
DIFFERENT = {
    "time-rtc": instead(begins("child process has failed to set hardware clock to system time: "),
                        "hwclock failed to set hardware clock to system time"),
    "blocks-always-on": instead({"phys-index": 0, "response": "success"},
                                {"phys-index": 0, "response": "success", "error-code": 2}),
    "password-user-unknown": instead(begins("child process has failed to set user password: "),
                                     "child process has failed to set user password"),
}


def test_answers_as_qemu():
    with helpers():
        ours, theirs = both()
        with ours, theirs:
            differences = Differences(CASES, theirs.version, DIFFERENT)
            for case, data in CASES.items():
                told = []
                for agent in ours, theirs:
                    reset_machine()
                    told.append(lines_of(agent, data))
                differences.compare(case, *told)
            differences.check()


def add_keys(user, *keys, **options):
    return "guest-ssh-add-authorized-keys", dict(username=user, keys=list(keys), **options)


def remove_keys(user, *keys):
    return "guest-ssh-remove-authorized-keys", dict(username=user, keys=list(keys))


def keys_conversation(client, user):
    """What is told about keys on the way, and what the file is in the end."""
    get = "guest-ssh-get-authorized-keys", dict(username=user)
    steps = [get, remove_keys(user, "a b"), add_keys(user, "ssh-rsa AAAA one", "ssh-ed25519 BBBB two"), get,
             add_keys(user, "ssh-rsa AAAA one", "ssh-rsa CCCC", "ssh-rsa CCCC"), get,
             remove_keys(user, "ssh-ed25519 BBBB two", "not there"), get, add_keys(user, "x y", reset=True), get,
             add_keys(user, reset=True), get, add_keys(user, "k1", reset=False), get]
    told = []
    for command, arguments in steps:
        client.send(request(command, **arguments))
        told.append((command, json.loads(client.line().replace(user.encode(), b"USER"))))
        reply = told[-1][1]
        if "return" in reply:
            validate(SCHEMA[command], reply["return"], command)
    path = "/home/%s/.ssh/authorized_keys" % user
    for name in os.path.dirname(path), path:
        status = os.stat(name)
        expect((status.st_uid, status.st_gid), pwd.getpwnam(user)[2:4], "owner of " + name)
        told.append(oct(status.st_mode))
    told.append(read(path).split())
    return told


def test_keeps_ssh_keys_as_qemu():
    with helpers():
        ours, theirs = both()
        with ours, theirs, ours.client() as one, theirs.client() as other:
            for ours_told, theirs_told in zip(keys_conversation(one, "alice"), keys_conversation(other, "bob")):
                expect(ours_told, theirs_told, "what is told")


def shadow(user):
    return next(line.split(":")[1] for line in read("/etc/shadow").splitlines() if line.startswith(user + ":"))


def test_sets_passwords():
    mode = os.stat("/etc/shadow")
    with helpers(), Agent("--allow", "password") as agent, agent.client() as client:
        for user in USERS:
            client.send(password(user, "päss: word"))
            expect(client.reply(), {"return": {}}, "answer")
            expect(hashed("päss: word", shadow(user)), shadow(user), "hash")
        client.send(password("alice", HASH, crypted=True))
        expect(client.reply(), {"return": {}}, "answer")
        expect(shadow("alice"), HASH, "hash")
        expect(hashed("päss: word", shadow("bob")), shadow("bob"), "the other's hash")
        client.send(password("alice", "x\0y"))
        expect(client.reply()["error"]["desc"], "forbidden characters in raw password", "error")
        client.send(password("alice", "x" * (2 << 20)))
        expect(client.reply()["error"]["desc"], "the arguments are too long", "error")
        expect(shadow("alice"), HASH, "hash")
    after = os.stat("/etc/shadow")
    expect((after.st_mode, after.st_uid, after.st_gid), (mode.st_mode, mode.st_uid, mode.st_gid), "owner of shadow")
    log = read("/run/helpers.log")
    expect("guest-set-user-password alice" in log, True, "who is named in the log")
    expect("päss" in log or HASH in log, False, "a password in the log")


# ---- homes of users who mean harm ----

def place(path, make):
    """Put something into a user's home, as the user."""
    subprocess.run(["rm", "-rf", path], check=True)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.chown(os.path.dirname(path), *pwd.getpwnam("alice")[2:4])
    make(path)
    os.chown(path, *pwd.getpwnam("alice")[2:4], follow_symlinks=False)


def test_gets_no_further_than_the_user():
    keys, directory = "/home/alice/.ssh/authorized_keys", "/home/alice/.ssh"
    secret = read("/etc/shadow")
    get = request("guest-ssh-get-authorized-keys", username="alice")
    add, reset = (request("guest-ssh-add-authorized-keys", username="alice", keys=["k"], reset=reset)
                  for reset in (False, True))
    remove = request("guest-ssh-remove-authorized-keys", username="alice", keys=["k"])
    cases = [
        ("link to a secret", lambda path: os.symlink("/etc/shadow", path), "Permission denied"),
        ("pipe", os.mkfifo, "Invalid argument"),
        ("directory", os.mkdir, "Invalid argument"),
        ("large file", lambda path: write(path, "x" * (3 << 20)), "File too large"),
        ("loop", lambda path: os.symlink(path, path), "Too many levels of symbolic links"),
    ]
    with helpers(), Agent("--allow", "ssh-keys") as agent, agent.client() as client:
        for what, make, why in cases:
            place(keys, make)
            for data in get, add, remove:
                client.send(data)
                expect(client.reply()["error"]["desc"],
                       "failed to read '%s': Failed to open file “%s”: %s" % (keys, keys, why), what)
        place(keys, lambda path: os.symlink("/etc/shadow", path))
        client.send(reset)
        expect(client.reply(), {"return": {}}, "answer to a reset")
        expect(read(keys), "k\n", "keys")
        expect(os.stat(keys).st_uid, pwd.getpwnam("alice").pw_uid, "owner")
        place(directory, lambda path: os.symlink("/root", path))
        for data in add, reset:
            client.send(data)
            expect("Permission denied" in client.reply()["error"]["desc"], True, "refusal in root's directory")
        place(directory, lambda path: write(path, ""))
        client.send(reset)
        expect("Not a directory" in client.reply()["error"]["desc"], True, "refusal of a file for a directory")
        expect(read("/etc/shadow"), secret, "/etc/shadow")
        place(keys[:-16], os.mkdir)
        write(keys, "one\xff\r\n\n  # a\n two \n\ttab\n")
        expect(client.call("guest-ssh-get-authorized-keys", username="alice"), {"keys": ["tab", "two", "oneÿ"]},
               "keys")
        with open(keys, "wb") as file:
            file.write(b"a\xff\0b\n" + b"k\n" * 100000)
        client.call("guest-ssh-remove-authorized-keys", username="alice", keys=["k"])
        expect(client.call("guest-ssh-get-authorized-keys", username="alice"), {"keys": ["a\ufffd"]}, "keys")


# ---- the helper ----

def test_helper_refuses_what_it_should():
    def words(*words):
        return b"".join(word.encode() + b"\0" for word in words)

    def question(*wanted):
        return words(str(len(wanted)), *wanted)
    unknown = words("error", "the helper does not know what is asked")
    with helpers():
        reset_machine()
        for path, data in (
                (MACHINE, b""), (MACHINE, b"\0"), (MACHINE, b"1\0guest-set-vcpus"),
                (MACHINE, words("2", "guest-set-vcpus")), (MACHINE, words("1", "guest-set-vcpus", "1=1")),
                (MACHINE, question("guest-set-vcpus", "1=")), (MACHINE, question("guest-set-vcpus", "1=2")),
                (MACHINE, question("guest-set-vcpus", "x")),
                (MACHINE, question("guest-set-vcpus", "1")), (MACHINE, question("guest-set-vcpus", "../../x=1")),
                (MACHINE, question("guest-set-memory-blocks", "1=0", "=")), (MACHINE, question("guest-shutdown")),
                (MACHINE, question("guest-exec", "x")), (MACHINE, question("guest-set-user-password", "alice", "plain", "x")),
                (ACCOUNTS, question("guest-set-vcpus", "1=0")), (FILES, question("guest-exec", "x", "y")),
                (FILES, question("guest-file-open", "/etc/passwd")), (EXEC, question("guest-file-open", "/etc/passwd", "r")),
                (EXEC, question("guest-exec", "x")),
                (ACCOUNTS, question("guest-set-user-password", "alice", "x"))):
            expect(ask(path, data), unknown, "answer to %r" % data)
        expect(ask(ACCOUNTS, question("guest-set-user-password", "alice", "plain", "a\nbob:x")),
               words("error", "forbidden characters in raw password"), "answer")
        expect(ask(ACCOUNTS, question("guest-set-user-password", "alice:x\nbob", "plain", "a")),
               words("error", "forbidden characters in username"), "answer")
        expect(ask(FILES, question("guest-file-open", "/etc/passwd", "nonsense")), words("error", "Invalid argument"),
               "answer")
        for arguments in "", "('a', 'fail')", "[" * 10000, "(" + "'" * 100000:
            expect(ask(EXEC, question("guest-exec", "x.service", arguments))[:6], b"error\0", "answer")
        expect(ask(MACHINE, question("guest-set-vcpus") + b"1=1\0" * (1 << 18)), b"", "answer to too much")
        expect(ask(MACHINE, question("guest-set-vcpus", *["1=1"] * 1000)), words("ok", "1000"), "answer to much")
        expect(subprocess.run([HELPER], stderr=subprocess.DEVNULL, env=ENVIRONMENT).returncode, 1, "exit status")


def test_helper_obeys_manage_conf():
    """Also what the daemon thinks is allowed, or whoever has taken it over."""
    with helpers(""), Agent("--allow", "all") as agent, agent.client() as client:
        reset_machine()
        client.send(password("alice", "x"))
        expect(client.reply()["error"]["desc"], "the guest's administrator has not allowed password", "error")
        expect(client.error("guest-ssh-get-authorized-keys", username="alice")[1],
               "the guest's administrator has not allowed ssh-keys", "error")
        client.send(vcpus((1, False)))
        expect(client.reply(), {"return": 1}, "what is allowed by default")
    with helpers("[policy]\nblock=hardware power\n"), Agent() as agent, agent.client() as client:
        reset_machine()
        for data in vcpus((1, False)), request("guest-shutdown"):
            client.send(data)
            expect(client.reply()["error"]["desc"], "the guest's administrator has blocked it", "error")
        expect(read(CPUS + "/cpu1/online"), "1\n", "the processor")
    with helpers("nonsense"), Agent() as agent, agent.client() as client:
        client.send(vcpus((1, False)))
        expect("manage.conf" in client.reply()["error"]["desc"], True, "error without settings")


def test_units_leave_the_helper_what_it_needs():
    """All that the helper does, in its units as systemd restricts them."""
    write(CONF, "[policy]\nallow=all\n")
    reset_machine()
    with RealUnits("spice-agent-machine", "spice-agent-accounts", "spice-agent-files", libexec=os.environ["BUILD"]) as units, \
            Agent("--allow", "all", "--bus", "unix:path=/nonexistent") as agent, agent.client() as client:
        for path in MACHINE, ACCOUNTS, FILES:
            status = os.stat(path)
            expect((status.st_uid, status.st_mode & 0o777), (pwd.getpwnam("spice-manage").pw_uid, 0o600), "owner")
            os.chown(path, 0, 0)  # who asks here
        for data, answer in ((vcpus((1, False), (2, True)), 2),
                             (blocks((1, False)), [{"phys-index": 1, "response": "success"}]),
                             (password("bob", "secret"), {}), (password("bob", HASH, crypted=True), {}),
                             (request("guest-ssh-add-authorized-keys", username="bob", keys=["a key"], reset=True), {}),
                             (request("guest-ssh-get-authorized-keys", username="bob"), {"keys": ["a key"]})):
            expect(returned(client, data), answer, "answer to %r (%s)" % (data, units.log()))
        expect(read(CPUS + "/cpu1/online")[0] + read(MEMORY + "/memory1/state")[:7], "0offline", "the machine")
        expect(shadow("bob"), HASH, "hash")
        expect(client.error("guest-set-time", time=NOON)[1], "Failed to set time to guest: Operation not permitted",
               "error without the right to set clocks, which we have given up")
        silent(client, "guest-shutdown")
        expect(systemctl_calls(), ["poweroff"], "systemctl")
        place("/home/alice/theirs", lambda path: (write(path, ""), os.chmod(path, 0)))
        for path, mode in ("/home/alice/theirs", "r+"), ("/etc/new", "w"), ("/tmp", "r"), ("/proc/sys/vm/swappiness", "r+"):
            client.call("guest-file-open", path=path, mode=mode)
        os.unlink("/etc/new")
        expect(client.error("guest-set-user-password", username="nobody-here", password="eA==", crypted=False)[1][:52],
               "child process has failed to set user password: chpas", "error")


def returned(client, data):
    """What the command in these bytes returns."""
    asked = json.loads(data)
    return client.call(asked["execute"], **asked.get("arguments", {}))


def test_asks_the_helper():
    noon = request("guest-set-time", time=NOON)
    with Agent() as agent, agent.client() as client:
        client.send(noon)
        expect(client.reply()["error"]["desc"], MACHINE + ": No such file or directory", "error without helper")
        with Listener(MACHINE) as helper:
            for data, asked in ((noon, ["guest-set-time", str(NOON)]), (request("guest-set-time"), ["guest-set-time"]),
                                (request("guest-set-time", time=0), ["guest-set-time", "0"])):
                expect(returned(client, data), {}, "answer")
                expect(helper.asked.pop(), asked, "question")
            for time_ns in -1, 3155760000 * 10 ** 9, 2 ** 63 - 1, -2 ** 63:
                expect(client.error("guest-set-time", time=time_ns)[1], "Invalid time", "error")
            expect(helper.asked, [], "questions")
            for answer, text in ((b"", "ended without an answer"), (b"ok", "ended without an answer"),
                                 (b"error\0", "ended without an answer"), (b"error\0why", "ended without an answer"),
                                 (b"error\0why\0more\0", "why"), (b"what\0", "ended without an answer"),
                                 (b"x" * (3 << 20), "the answer is too long"), (b"error\0\xff\0", "\ufffd")):
                helper.answer = answer
                client.send(noon)
                desc = client.reply()["error"]["desc"]
                expect(text in desc, True, "error (%s) after %.20r" % (desc, answer))
            helper.answer = b"ok\0" + b"1\0success\0"
            client.send(blocks((1, True)))
            expect(client.reply(), {"return": []}, "answer to a half answer")
            helper.answer = b"ok\0"
            client.send(vcpus((1, True)))
            expect(client.reply(), {"return": 0}, "answer to an answer without number")
    with Listener(MACHINE) as helper, Agent() as agent:
        helper.answer = None
        with agent.client() as client:
            client.send(noon)
            wait_for(lambda: helper.asked, "question")
        agent.process.terminate()
        expect(agent.process.wait(TIMEOUT), 0, "exit status with a question under way")


# ---- files and programs ----

def descriptors(process):
    return len(os.listdir("/proc/%d/fd" % process.pid))


def test_opens_files_by_the_helper():
    secret, new = "/run/secret", "/run/new"
    write(secret, "secret")
    os.chmod(secret, 0o600)
    with Agent("--allow", "files") as agent, agent.client() as client:
        with helpers():
            client.call("guest-file-open", path=secret)
            before = descriptors(agent.process)
            for path, mode in (secret, "r+"), (new, "w"), (new, "a"):
                handle = client.call("guest-file-open", path=path, mode=mode)
                client.call("guest-file-write", handle=handle, **{"buf-b64": "TkVX"})
                client.call("guest-file-close", handle=handle)
            expect((read(secret), read(new), os.stat(new).st_mode & 0o777), ("NEWret", "NEWNEW", 0o666), "files")
            expect("guest-file-open " + new in read("/run/helpers.log"), True, "who has opened it")
            expect(client.error("guest-file-open", path="/nonexistent/file", mode="w")[1],
                   "failed to open file '/nonexistent/file' (mode: 'w'): No such file or directory", "error")
            expect(descriptors(agent.process), before, "descriptors")
        with helpers("[policy]\nallow=exec\n"):
            expect(client.error("guest-file-open", path=secret)[1], "failed to open file '%s' (mode: 'r'): the guest's "
                   "administrator has not allowed files" % secret, "error")
        with Listener(FILES) as helper:
            for answer in b"ok\0", b"", b"error\0why\0":
                helper.answer = answer
                client.error("guest-file-open", path=secret)
        client.call("guest-file-open", path=secret)  # without a helper by the daemon itself


def helper_processes():
    found = subprocess.run(["pgrep", "-c", "-f", HELPER + " exec"], stdout=subprocess.PIPE, text=True).stdout
    return int(found) - 1  # who listens has it among its own words


def test_runs_programs_by_the_helper():
    with Systemd() as systemd, helpers(bus=systemd.address):
        with Agent("--allow", "exec", "--bus", systemd.address) as agent, agent.client() as client:
            pid = client.call("guest-exec", path="cat", **{"input-data": "aGVsbG8=", "capture-output": True})["pid"]
            state = {}
            wait_for(lambda: state.update(client.call("guest-exec-status", pid=pid)) or state["exited"], "end")
            expect((state["exitcode"], state["out-data"]), (0, "aGVsbG8="), "end")
            expect("guest-exec spice-agent-exec-" in read("/run/helpers.log"), True, "who has started it")
            wait_for(lambda: helper_processes() == 0, "end of the helper")
            expect("No such file" in client.error("guest-exec", path="/nonexistent/program")[1], True, "error")
            client.call("guest-exec", path="sleep", arg=["100"])
            client.call("guest-exec", path="sleep", arg=["100"])
            expect(helper_processes(), 2, "helpers while programs run")
        wait_for(lambda: helper_processes() == 0, "end of the helpers of a daemon that was killed")
    with Systemd() as systemd, helpers("[policy]\nallow=files\n", systemd.address), \
            Agent("--allow", "exec", "--bus", systemd.address) as agent, agent.client() as client:
        expect("has not allowed exec" in client.error("guest-exec", path="true")[1], True, "error")
        expect(systemd.units(), 0, "units")
    with Systemd() as systemd, helpers(), \
            Agent("--allow", "exec", "--bus", systemd.address) as agent, agent.client() as client:
        expect("No such file" in client.error("guest-exec", path="true")[1], True, "error of a helper without a bus")


class LateHelper:
    """The helper, with its answer held back until `answer()`, or taken away by `die()`."""

    def __init__(self, bus):
        self.environment = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=bus)
        write(CONF, "[policy]\nallow=all\n")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(EXEC)
        self.listener.listen()
        self.listener.settimeout(TIMEOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        os.unlink(EXEC)

    def take(self):
        """The daemon's question, which is carried out."""
        self.daemon = self.listener.accept()[0]
        data, fds = b"", []
        while True:
            part, more, _, _ = socket.recv_fds(self.daemon, 65536, 3)
            data, fds = data + part, fds + more
            if not part:
                break
        self.connection, theirs = socket.socketpair()
        self.connection.settimeout(TIMEOUT)
        self.helper = subprocess.Popen([HELPER, "exec"], stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL,
                                       env=self.environment)
        theirs.close()
        socket.send_fds(self.connection, [data], fds)
        self.connection.shutdown(socket.SHUT_WR)
        for fd in fds:
            os.close(fd)
        expect(self.connection.recv(100), b"ok\0", "the helper's answer")

    def answer(self):
        self.daemon.sendall(b"ok\0")

    def hang_up(self):
        """When the daemon has, since the helper has the program's pipes until then."""
        hangs = select.poll()
        if self.daemon.fileno() >= 0:
            hangs.register(self.daemon, 0)
        if hangs.poll(0):
            self.die()

    def die(self):
        for connection in self.connection, self.daemon:
            connection.close()
        self.helper.wait()


HELLO = dict(path="/bin/sh", arg=["-c", "echo hello; exec sleep ${0}"], capture_output=True)


def test_hears_of_a_program_before_the_helper_has_answered():
    """systemd's signals and the helper's answer come by different ways, so in any order."""
    with Systemd() as systemd, LateHelper(systemd.address) as helper, \
            Agent("--allow", "exec", "--bus", systemd.address) as agent, agent.client() as client:
        def start(seconds):
            client.send(request("guest-exec", **dict(HELLO, arg=[*HELLO["arg"], seconds])))
            helper.take()
            return client.reply()["return"]["pid"]

        def ended(pid):
            state.update(client.call("guest-exec-status", pid=pid))
            helper.hang_up()
            return state["exited"]

        state, counts = {}, []
        for late in helper.answer, helper.die:
            pid = start("0.2")
            wait_for(lambda: ended(pid), "end of a program without the helper's answer")
            expect((state["exitcode"], state["out-data"]), (0, "aGVsbG8K"), "what became of it")
            helper.die()
            pid = start("0.5")
            late()
            wait_for(lambda: ended(pid), "end of a program after the helper's")
            expect((state["exitcode"], state["out-data"]), (0, "aGVsbG8K"), "what became of it")
            helper.die()
            counts.append(descriptors(agent.process))
        expect(counts[1], counts[0], "descriptors")


class SlowBus:
    """The way to a bus, on which each message is half a second late."""

    def __init__(self, address):
        self.dir = tempfile.mkdtemp()
        path = os.path.join(self.dir, "bus")
        self.address, self.bus = "unix:path=" + path, address.removeprefix("unix:path=")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        shutil.rmtree(self.dir)

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, bus = self.listener.accept()[0], socket.socket(socket.AF_UNIX)
                bus.connect(self.bus)
                for source, sink, delay in (client, bus, 0.5), (bus, client, 0):
                    threading.Thread(target=self.carry, args=(source, sink, delay), daemon=True).start()

    @staticmethod
    def carry(source, sink, delay):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                time.sleep(delay)
                sink.sendall(data)
        for end in source, sink:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def test_hears_of_programs_from_the_beginning():
    """Also when the helper and systemd are faster than what the daemon says on the bus."""
    with Systemd() as systemd, helpers(bus=systemd.address), SlowBus(systemd.address) as slow, \
            Agent("--allow", "exec", "--bus", slow.address) as agent, agent.client() as client:
        expect("pid" in client.call("guest-exec", path="true"), True, "answer")


def test_outlives_the_bus():
    """Nobody tells how a program ends then, nor that it has begun."""
    with Systemd() as systemd, Listener(EXEC) as helper, \
            Agent("--allow", "exec", "--bus", systemd.address) as agent, agent.client() as client:
        client.send(request("guest-exec", path="true"))
        wait_for(lambda: helper.asked, "question")
        systemd.bus.kill()
        expect("error" in client.reply(), True, "answer without a word of systemd's")
    with Systemd() as systemd, Agent("--allow", "exec", "--bus", systemd.address) as agent, agent.client() as client:
        pid = client.call("guest-exec", path="sleep", arg=["100"])["pid"]
        systemd.bus.kill()
        wait_for(lambda: client.call("guest-exec-status", pid=pid) == {"exited": True}, "end of what is known of it")
        os.kill(pid, signal.SIGKILL)


# ---- power ----

SHUTDOWNS, SLEEPS = ("PowerOff", "Reboot", "Halt"), ("Suspend", "Hibernate", "HybridSleep")
INTERFACES = "<node><interface name='%s.Manager'>%s%s</interface><interface name='%s'>%s</interface></node>" % (
    LOGIN, "".join("<method name='%s'><arg type='b' direction='in'/></method>" % name for name in SHUTDOWNS + SLEEPS),
    "".join("<method name='Can%s'><arg type='s' direction='out'/></method>" % name for name in SLEEPS), TEST,
    "<method name='Answer'><arg type='s' direction='in'/><arg type='s' direction='in'/></method>"
    "<method name='Calls'><arg type='as' direction='out'/></method>")


def mock_login(address):
    """login1, which only remembers. What it answers is told by the test."""
    from gi.repository import Gio, GLib
    flags = Gio.DBusConnectionFlags
    bus = Gio.DBusConnection.new_for_address_sync(
        address, flags.AUTHENTICATION_CLIENT | flags.MESSAGE_BUS_CONNECTION, None, None)
    answers, calls = {}, []

    def called(_bus, _sender, _path, interface, method, arguments, invocation):
        if method == "Answer":
            answers[arguments[0]] = arguments[1]
            invocation.return_value(None)
        elif method == "Calls":
            invocation.return_value(GLib.Variant("(as)", (calls[:],)))
            calls.clear()
        else:
            calls.append(" ".join([method, *map(str, arguments)]))
            answer = answers.get(method, "yes" if method.startswith("Can") else None)
            if answer == "dies":
                os._exit(0)
            elif answer == "number":  # GDBus would check it
                message = Gio.DBusMessage.new_method_reply(invocation.get_message())
                message.set_body(GLib.Variant("(u)", (7,)))
                bus.send_message(message, Gio.DBusSendMessageFlags.NONE)
            elif answer == "error":
                invocation.return_dbus_error("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", "no polkit")
            else:
                invocation.return_value(GLib.Variant("(s)", (answer,)) if answer else None)

    for interface in Gio.DBusNodeInfo.new_for_xml(INTERFACES).interfaces:
        bus.register_object(LOGIN_PATH, interface, called, None, None)
    bus.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName",
                  GLib.Variant("(su)", (LOGIN, 0)), None, 0, -1, None)
    print("ready", flush=True)
    GLib.MainLoop().run()


class Login:
    """A bus with a login1."""

    def __init__(self, address):
        self.mock = subprocess.Popen([sys.executable, __file__, "login1", address], stdout=subprocess.PIPE)
        expect(self.mock.stdout.readline(), b"ready\n", "login1")
        self.bus = dbus.bus.BusConnection(address)
        self.test = dbus.Interface(self.bus.get_object(LOGIN, LOGIN_PATH, introspect=False), TEST)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bus.close()
        self.mock.kill()
        self.mock.wait()
        self.mock.stdout.close()

    def answer(self, method, answer):
        self.test.Answer(method, answer)

    def calls(self):
        return [str(call) for call in self.test.Calls()]


def silent(client, command, **arguments):
    """Nothing is answered."""
    expect(client.talk(request(command, **arguments))[:-1], [], "answer to " + command)


def systemctl_calls():
    if not os.path.exists(SYSTEMCTL_LOG):
        return []
    lines = read(SYSTEMCTL_LOG).splitlines()
    os.unlink(SYSTEMCTL_LOG)
    return [line.split()[-1] for line in lines]


ENDS = [({}, "PowerOff", "poweroff"), ({"mode": "powerdown"}, "PowerOff", "poweroff"),
        ({"mode": "reboot"}, "Reboot", "reboot"), ({"mode": "halt"}, "Halt", "halt")]
RESTS = [("guest-suspend-ram", "Suspend", "suspend"), ("guest-suspend-disk", "Hibernate", "hibernate"),
         ("guest-suspend-hybrid", "HybridSleep", "hybrid-sleep")]
UNSUPPORTED = "GenericError", "the requested suspend mode is not supported by the guest"


def test_ends_and_rests_by_login1():
    with Systemd() as bus, Login(bus.address) as login, helpers(), Agent("--bus", bus.address) as agent, \
            agent.client() as client:
        for arguments, method, _ in ENDS:
            silent(client, "guest-shutdown", **arguments)
            expect(login.calls(), [method + " False"], "calls")
        for command, method, _ in RESTS:
            silent(client, command)
            expect(login.calls(), ["Can" + method, method + " False"], "calls")
            login.answer("Can" + method, "na")
            expect(client.error(command), UNSUPPORTED, "error")
            expect(login.calls(), ["Can" + method], "calls")
            login.answer("Can" + method, "challenge")
            silent(client, command)
            expect(login.calls(), ["Can" + method, method + " False"], "calls")
        expect(client.error("guest-shutdown", mode="nonsense")[1],
               "mode is invalid (valid values are: halt|powerdown|reboot", "error")
        expect((login.calls(), systemctl_calls()), ([], []), "calls")


def test_ends_and_rests_without_polkit():
    """login1 refuses, hangs up or talks nonsense: systemctl is asked, by root."""
    with Systemd() as bus, helpers(), Agent("--bus", bus.address) as agent, agent.client() as client:
        with Login(bus.address) as login:
            for arguments, method, verb in ENDS:
                login.answer(method, "error")
                silent(client, "guest-shutdown", **arguments)
                expect(systemctl_calls(), [verb], "systemctl")
            for command, method, verb in RESTS:
                login.answer(method, "error")
                silent(client, command)
                login.answer("Can" + method, "number")
                silent(client, command)
                login.answer("Can" + method, "error")
                silent(client, command)
                expect(systemctl_calls(), [verb] * 3, "systemctl")
            write("/run/fails", "")
            expect(client.error("guest-shutdown")[1], "child process has failed to shutdown: no way", "error")
            expect(client.error("guest-suspend-ram")[1], "child process has failed to suspend: no way", "error")
            os.unlink("/run/fails")
            systemctl_calls()
            login.answer("PowerOff", "dies")
            silent(client, "guest-shutdown")
            expect(systemctl_calls(), ["poweroff"], "systemctl after login1's death")
        silent(client, "guest-shutdown", mode="reboot")
        expect(systemctl_calls(), ["reboot"], "systemctl without login1")
    with Agent("--bus", "unix:path=/nonexistent") as agent, agent.client() as client:
        with helpers():
            silent(client, "guest-suspend-ram")
            expect(systemctl_calls(), ["suspend"], "systemctl without bus")
        expect(client.error("guest-shutdown"), ("GenericError", MACHINE + ": No such file or directory"), "error")


def test_ends_while_login1_hangs():
    with Systemd() as bus, Login(bus.address) as login, Agent("--bus", bus.address) as agent:
        login.mock.send_signal(signal.SIGSTOP)
        with agent.client() as client:
            client.send(request("guest-shutdown"))
            wait_for(lambda: "asks for PowerOff" in agent.log(), "request")
        agent.process.terminate()
        expect(agent.process.wait(TIMEOUT), 0, "exit status")


# ---- services ----

RESTART = EXTENSION + "restart-service"
NAMED = "[services]\nrestart=nginx, getty@tty1.service x*\n"
NOT_NAMED = " is none of the services that the guest's administrator has named in manage.conf"


def restart(name):
    """What the helper answers, asked directly."""
    return ask(MACHINE, b"\0".join([b"2", RESTART.encode(), name.encode(), b""])).decode()


def test_restarts_by_the_helper():
    """It goes by manage.conf alone: a daemon that was taken over, or is told otherwise, gets no other service."""
    with helpers(NAMED):
        for name in "nginx.service", "getty@tty1.service":
            expect(restart(name), "ok\0", "answer")
            expect(read(SYSTEMCTL_LOG).split()[-3:], ["--", "restart", name], "systemctl")
            os.unlink(SYSTEMCTL_LOG)
        for name in "sshd.service", "nginx", "getty@tty2.service", "x*.service", "xy.service", "--help", "":
            expect(restart(name), "error\0%s%s\0" % (name, NOT_NAMED), "answer")
        expect(ask(MACHINE, b"1\0%s\0" % RESTART.encode())[:6], b"error\0", "answer without a name")
        write("/run/fails", "")
        expect(restart("nginx.service"), "error\0systemd1: no way\0", "answer")
        os.unlink("/run/fails")
        systemctl_calls()
        for config in "", "[policy]\nblock=services\n" + NAMED, "[policy]\nblock=%s\n%s" % (RESTART, NAMED):
            write(CONF, config)
            expect(restart("nginx.service")[:6], "error\0", "answer with " + config)
        expect(systemctl_calls(), [], "calls")


def test_the_daemon_asks_the_helper_for_a_restart():
    directory = tempfile.mkdtemp()
    write(directory + "/manage.conf", "[services]\nrestart=nginx sshd\n")
    with Systemd() as bus, Agent("--config", directory, "--bus", bus.address) as agent, agent.client() as client:
        with helpers(NAMED):
            expect(client.call(RESTART, name="nginx.service"), {}, "result")
            expect(systemctl_calls(), ["nginx.service"], "calls")
            expect(client.call(RESTART, name="nginx.service", dry_run=True), {"dry-run": True}, "result")
            expect(client.error(RESTART, name="sshd.service"), ("GenericError", "sshd.service" + NOT_NAMED), "error")
            expect(client.error(RESTART, name="getty@tty1.service"), ("GenericError", "getty@tty1.service" + NOT_NAMED),
                   "error")
            for _ in range(2):
                expect(client.call(RESTART, name="nginx.service", idempotency_key="k"), {}, "result")
            expect(systemctl_calls(), ["nginx.service"], "calls")
        expect(client.error(RESTART, name="nginx.service"), ("GenericError", MACHINE + ": No such file or directory"),
               "error without helper")
    with Listener(MACHINE) as helper, Agent("--config", directory) as agent:
        helper.answer = None
        with agent.client() as client:
            client.send(request(RESTART, name="nginx.service"))
            wait_for(lambda: helper.asked, "question")
        expect(helper.asked, [[RESTART, "nginx.service"]], "question")
        agent.process.terminate()
        expect(agent.process.wait(TIMEOUT), 0, "exit status with a question under way")
        expect("audit: %s" % RESTART in agent.log(), True, "record (%s)" % agent.log())


# ---- polkit ----

POLKITD, RULES = "/usr/lib/polkit-1/polkitd", "/usr/share/polkit-1/rules.d"
ALLOWED = ["org.freedesktop.login1." + name + more for name in ("power-off", "reboot", "halt", "suspend", "hibernate")
           for more in ("", "-multiple-sessions", "-ignore-inhibit")]
ALLOWED += ["org.freedesktop." + name for name in (
    "login1.set-wall-message", "login1.lock-sessions", "login1.manage", "hostname1.set-static-hostname",
    "timedate1.set-timezone", "timedate1.set-ntp")]
if os.path.exists("/usr/share/polkit-1/actions/org.freedesktop.packagekit.policy"):
    ALLOWED += ["org.freedesktop.packagekit." + name for name in (
        "system-sources-refresh", "package-install", "package-remove", "system-update", "trigger-offline-update")]
REFUSED = ["org.freedesktop.systemd1.manage-units", "org.freedesktop.systemd1.manage-units restart a.service",
           "org.freedesktop.timedate1.set-time",
           "org.freedesktop.packagekit.package-install-untrusted", "org.freedesktop.login1.inhibit-block-shutdown",
           "org.freedesktop.login1.set-reboot-to-firmware-setup"]


def pkcheck_words(action):
    """Of an action, or of one of systemd's with what is done to which unit."""
    name, *details = action.split()
    return ["--action-id", name, *(word for pair in zip(("verb", "unit"), details) for word in ("--detail", *pair))]


@contextlib.contextmanager
def polkit(environment):
    """A real polkitd with our rules."""
    for name in "seats", "sessions", "users", "machines":  # it watches logind's files
        os.makedirs("/run/systemd/" + name)
    os.mkdir("/run/rules")
    shutil.copy(os.path.join(DATA, "50-spice-pv.rules"), "/run/rules")
    os.chmod("/run/rules/50-spice-pv.rules", 0o644)
    subprocess.run(["mount", "--bind", "/run/rules", RULES], check=True)
    process = subprocess.Popen([POLKITD], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               text=True)
    try:
        bus = dbus.bus.BusConnection(environment["DBUS_SYSTEM_BUS_ADDRESS"])
        wait_for(lambda: bus.name_has_owner("org.freedesktop.PolicyKit1"), "polkitd")
        bus.close()
        yield
    finally:
        process.kill()
        log = process.communicate()[1]
    if "rror" in log:
        raise Failure("polkitd: " + log)


def test_polkit_lets_the_daemon_do_it():
    if not os.path.exists(POLKITD):
        raise Skip("no polkitd")
    with Systemd() as systemd:
        for path, mode in (systemd.dir, 0o755), (systemd.dir + "/bus", 0o777):  # polkitd is not root
            os.chmod(path, mode)
        environment = dict(ENVIRONMENT, DBUS_SYSTEM_BUS_ADDRESS=systemd.address)
        with polkit(environment):
            for user, allowed in ("spice-manage", ALLOWED), ("alice", []):
                process = subprocess.Popen(["sleep", "1000"], user=user)
                try:
                    found = [action for action in ALLOWED + REFUSED
                             if subprocess.run(["pkcheck", *pkcheck_words(action), "--process", str(process.pid)],
                                               env=environment, stdout=subprocess.DEVNULL,
                                               stderr=subprocess.DEVNULL).returncode == 0]
                finally:
                    process.kill()
                    process.wait()
                expect(found, allowed, "what %s may do" % user)


if sys.argv[1:2] == ["login1"]:
    mock_login(sys.argv[2])
enter()
agentsystem.run([value for name, value in list(globals().items()) if name.startswith("test_")], "manage-power")
