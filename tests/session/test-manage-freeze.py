#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""guest-fsfreeze-* and guest-fstrim: spice-agent-manage with its helper, and QEMU's agent, on real file systems.

A freeze takes all file systems that an agent can see. So this goes on in a root of its own: a tmpfs, with images
mounted in it, in a mount namespace that has nothing else of this machine's disks, which is made sure of before an agent
is started.
"""

import ctypes
import errno
import fcntl
import re
import signal
import threading

import agentsystem
from manageddaemon import *

HELPER = os.path.join(os.environ["BUILD"], "spice-agent-helper")
DOCUMENTS = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../docs"))
HOOK = "/etc/qemu/fsfreeze-hook"
HOOK_LOG = "/run/hook.log"
FIFREEZE, FITHAW = 0xC0045877, 0xC0045878
LOOP = 7  # major number of devices
# Where file systems are mounted, in this order. INNER is in a file of /srv, so it must be frozen before that;
# /mnt/bind and /mnt/file are parts of /home; /mnt/fixed can be neither frozen nor trimmed.
INNER = "/home/inner"
FREEZABLE = ["/home", "/srv", "/tmp", "/mnt/a b", INNER]
MOUNTED = FREEZABLE + ["/mnt/bind", "/mnt/file", "/mnt/fixed"]


# ---- the root ----

def run(*argv):
    result = subprocess.run(argv, capture_output=True, text=True)
    if result.returncode != 0:
        raise Failure("%s: %s" % (" ".join(argv), result.stderr))
    return result.stdout


def copy_program(root, path):
    """With the libraries that it names."""
    listing = subprocess.run(["ldd", path], capture_output=True, text=True).stdout
    for file in [path, *re.findall(r"(/\S+) \(0x", listing)]:
        target = root + file
        if not os.path.exists(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(file, target)


def make_root(root):
    run("mount", "--make-rprivate", "/")
    run("mount", "-t", "tmpfs", "tmpfs", root)
    for link in "bin", "sbin", "lib", "lib64":
        os.makedirs(root + "/usr/" + link)
        os.symlink("usr/" + link, root + "/" + link)
    for name in "proc", "dev", "run", "images", "etc/qemu", "old", "var/log", "mnt/bind", "mnt/fixed":
        os.makedirs(os.path.join(root, name))
    run("mount", "-t", "proc", "proc", root + "/proc")
    run("mount", "--rbind", "/dev", root + "/dev")
    with open(root + "/etc/passwd", "w") as file:
        file.write("root:x:0:0::/:/bin/sh\n")
    with open(root + "/mnt/file", "w"):
        pass


def add_image(root, directory, *make, image=None, size="32M"):
    image = image or "%s/images/%d" % (root, len(os.listdir(root + "/images")))
    os.makedirs(root + directory, exist_ok=True)
    if size:
        run("truncate", "-s", size, image)
    run(*make, image)
    run("mount", "-o", "loop", image, root + directory)


def add_images(root):
    ext4 = ["mkfs.ext4", "-q"]
    add_image(root, "/home", *ext4)
    add_image(root, "/srv", *ext4)
    add_image(root, "/tmp", *ext4)
    add_image(root, "/mnt/a b", "mkfs.xfs", "-q", size="300M")
    add_image(root, INNER, *ext4, image=root + "/srv/image", size="8M")
    os.mkdir(root + "/home/part")
    with open(root + "/home/part/file", "w"):
        pass
    run("mount", "--bind", root + "/home/part", root + "/mnt/bind")
    run("mount", "--bind", root + "/home/part/file", root + "/mnt/file")
    run("mksquashfs", root + "/etc", root + "/images/fixed", "-quiet", "-no-progress")
    run("mount", "-o", "loop", root + "/images/fixed", root + "/mnt/fixed")


def add_programs(root):
    """After the images: the tree may be where one of them is mounted."""
    for program in DAEMON, HELPER, "/bin/sh", "/bin/cat", "/bin/sleep", "/usr/bin/unshare", *REFERENCE[:1]:
        copy_program(root, program)
    os.makedirs(root + os.path.dirname(os.path.abspath(__file__)))
    os.mkdir(root + DOCUMENTS)
    shutil.copy(DOCUMENTS + "/management.md", root + DOCUMENTS)


def enter_root(root):
    run("pivot_root", root, root + "/old")
    os.chdir("/")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(b"/old", 2) != 0:  # MNT_DETACH
        raise Failure("umount: %s" % os.strerror(ctypes.get_errno()))
    tempfile.tempdir = "/run"


def block_mounts(path):
    with open(path) as file:
        fields = [line.split() for line in file]
    return {words[4].replace("\\040", " "): int(words[2].split(":")[0])
            for words in fields if not words[2].startswith("0:")}


def make_sure():
    for path in "/proc/1/mountinfo", "/proc/self/mountinfo":
        mounts = block_mounts(path)
        if set(mounts.values()) != {LOOP}:
            raise Failure("%s has disks of this machine: %s" % (path, mounts))
        expect(sorted(mounts), sorted(MOUNTED), "mounts")


# ---- file systems ----

may_freeze = threading.Lock()  # taken for good by the guard


def control(directory, request_number):
    """0, or a number of errno."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, request_number, 0)
        return 0
    except OSError as error:
        return error.errno
    finally:
        os.close(fd)


def freeze(directory):
    with may_freeze:
        return control(directory, FIFREEZE)


def frozen():
    """Those that are frozen, found out by freezing them; without INNER, which cannot be frozen when /srv is."""
    found = set()
    for directory in FREEZABLE:
        if directory == INNER:
            continue
        number = freeze(directory)
        if number == 0:
            control(directory, FITHAW)
        elif number == errno.EBUSY:
            found.add(directory)
        else:
            raise Failure("%s: %s" % (directory, os.strerror(number)))
    return found


def thaw_all():
    for directory in FREEZABLE:
        while control(directory, FITHAW) == 0:
            pass


def guard():
    """Whoever has started us has died: file systems that are left frozen would stay in the kernel for ever."""
    while os.read(0, 1):
        pass
    may_freeze.acquire(timeout=TIMEOUT)
    try:
        os.kill(-1, signal.SIGKILL)  # all but ourselves
        while True:  # who is freezing, or waits for a disk, dies when that is done
            thaw_all()
            os.waitpid(-1, os.WNOHANG)
    except (ProcessLookupError, ChildProcessError):
        thaw_all()
    os._exit(1)


# ---- systemd's sockets ----

class Sockets:
    """Starts the helper for each connection, in a mount namespace of its own, as the units do. `cut` is a verb whose
    answer gets lost."""

    def __init__(self, *names):
        self.cut, self.answered, self.listeners = None, 0, []
        for name in names:
            path = "/run/spice-agent-" + name
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(path)
            os.chmod(path, 0o666)
            listener.listen()
            self.listeners.append((path, listener))
            threading.Thread(target=self.serve, args=(name, listener), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for path, listener in self.listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            os.unlink(path)

    def serve(self, name, listener):
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.answer, args=(name, connection), daemon=True).start()

    def answer(self, name, connection):
        with connection:
            verb = connection.recv(64, socket.MSG_PEEK).split(b"\0")[1].decode()
            lost = (name, verb) == self.cut
            subprocess.run(["unshare", "--mount", HELPER, name], stdin=connection,
                           stdout=subprocess.DEVNULL if lost else connection, stderr=subprocess.DEVNULL,
                           env=ENVIRONMENT, timeout=TIMEOUT)
        self.answered += 1


class Ours(Agent):
    """With its log and its state on a file system that is frozen."""

    def __init__(self, *options):
        self.dir = tempfile.mkdtemp(prefix="manage-")
        self.path = os.path.join(self.dir, "socket")
        self.log_path, self.state = "/srv/log", "/srv/state"
        self.argv = [DAEMON, "--listen-unix", self.path, "--config", self.dir, "--debug", "--state-dir", self.state,
                     *options]
        shutil.rmtree(self.state, ignore_errors=True)
        os.mkdir(self.state)
        with open(self.log_path, "w"):
            pass
        self.start()

    def start(self):
        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen(self.argv, stderr=log, env=ENVIRONMENT)
        wait_for(lambda: listens(self.path) or self.process.poll() is not None, "socket")
        expect(self.process.poll(), None, "the agent's exit status")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        thaw_all()  # whoever waits for the disk could not be killed
        super().stop()

    def client(self):
        client = super().client()
        client.socket.settimeout(TIMEOUT)
        return client


def write_hook(text):
    if text is None:
        if os.path.exists(HOOK):
            os.unlink(HOOK)
    else:
        with open(HOOK, "w") as file:
            file.write("#!/bin/sh\necho $* >>%s\n%s\n" % (HOOK_LOG, text))
        os.chmod(HOOK, 0o755)
    with open(HOOK_LOG, "w"):
        pass


def hook_log():
    with open(HOOK_LOG) as file:
        return file.read().split()


# ---- alone ----

def test_freezes_all_that_can_be_frozen():
    """Also /home and /tmp; one that is mounted twice counts once."""
    with Sockets("freezer", "hook"), Ours() as agent, agent.client() as client:
        expect(client.call("guest-fsfreeze-status"), "thawed", "status")
        expect(client.call("guest-fsfreeze-freeze"), len(FREEZABLE), "count")
        expect(frozen(), set(FREEZABLE) - {INNER}, "what is frozen")
        expect(client.call("guest-fsfreeze-status"), "frozen", "status")
        expect(client.call("guest-fsfreeze-thaw"), len(FREEZABLE), "count")
        expect(frozen(), set(), "what is frozen after it")
        expect(client.call("guest-fsfreeze-status"), "thawed", "status")
        client.call("guest-get-time")


def test_rests_while_frozen():
    """Only what is safe is answered, and the log, which would not come back from the frozen disk, is silent."""
    with Sockets("freezer", "hook"), Ours("--allow", "all") as agent:
        with agent.client() as client:
            client.call("guest-fsfreeze-freeze")
            enabled = {entry["name"] for entry in client.call("guest-info")["supported_commands"] if entry["enabled"]}
            expect(enabled, {"guest-ping", "guest-info", "guest-sync", "guest-sync-delimited", "guest-fsfreeze-status",
                             "guest-fsfreeze-thaw"}, "what is on")
        size = os.path.getsize(agent.log_path)
        for _ in range(20):  # that a client leaves is logged, with --debug
            with agent.client() as client:
                client.call("guest-ping")
                client.send(b"[")
        with agent.client() as client:
            client.call("guest-ping")
            expect(os.path.getsize(agent.log_path), size, "size of the log")
            client.call("guest-fsfreeze-thaw")
        wait_for(lambda: os.path.getsize(agent.log_path) > size, "log after the thaw")


def test_thaws_after_it_was_killed():
    with Sockets("freezer", "hook"), Ours("--block", "nonsense") as agent:
        with agent.client() as client:
            client.call("guest-fsfreeze-freeze")
        agent.kill()
        agent.start()  # and warns of nonsense, but not now
        with agent.client() as client:
            expect(client.call("guest-fsfreeze-status"), "frozen", "status of the next daemon")
            expect(client.error("guest-get-time")[0], "CommandNotFound", "class")
            expect(client.call("guest-fsfreeze-thaw"), len(FREEZABLE), "count")
            client.call("guest-get-time")
        expect(frozen(), set(), "what is frozen")
        agent.kill()
        agent.start()
        with agent.client() as client:
            expect(client.call("guest-fsfreeze-status"), "thawed", "status of the third daemon")


def test_keeps_its_state_when_it_is_stopped():
    with Sockets("freezer", "hook"), Ours() as agent:
        with agent.client() as client:
            client.call("guest-fsfreeze-freeze")
        agent.process.terminate()
        expect(agent.process.wait(TIMEOUT), 0, "exit status")
        agent.start()
        with agent.client() as client:
            expect(client.call("guest-fsfreeze-thaw"), len(FREEZABLE), "count")


def test_forgets_the_state_of_another_boot():
    """That is what it finds on a copy of a frozen disk."""
    with Sockets("freezer", "hook"), Ours() as agent:
        with agent.client() as client:
            client.call("guest-fsfreeze-freeze")
            agent.kill()
            thaw_all()
            names = os.listdir(agent.state)
            expect(len(names), 1, "number of files")
            with open(os.path.join(agent.state, names[0]), "w") as file:
                file.write("00000000-0000-0000-0000-000000000000\n")
        agent.start()
        with agent.client() as client:
            expect(client.call("guest-fsfreeze-status"), "thawed", "status")
            client.call("guest-get-time")


def test_undoes_a_freeze_that_fails():
    """The helper is killed when it has frozen everything, and before it says so."""
    write_hook("")
    with Sockets("freezer", "hook") as sockets, Ours() as agent, agent.client() as client:
        sockets.cut = "freezer", "guest-fsfreeze-freeze"
        text = client.error("guest-fsfreeze-freeze")[1]
        expect(text, "/run/spice-agent-freezer: the helper has ended without an answer", "error")
        expect(frozen(), set(), "what is frozen")
        expect(hook_log(), ["freeze", "thaw"], "calls of the hook")
        expect(client.call("guest-fsfreeze-status"), "thawed", "status")
        sockets.cut = None
        expect(client.call("guest-fsfreeze-freeze"), len(FREEZABLE), "count of the next one")
        sockets.cut = "freezer", "guest-fsfreeze-thaw"
        expect(client.error("guest-fsfreeze-thaw")[1], text, "error of a thaw")
        expect(client.call("guest-fsfreeze-status"), "frozen", "status after it")
        sockets.cut = None
        expect(client.call("guest-fsfreeze-thaw"), 0, "count, when the other one has thawed everything")
        expect(client.call("guest-fsfreeze-status"), "thawed", "status")


def test_works_on_when_there_is_no_helper():
    write_hook("")
    with Ours() as agent, agent.client() as client:
        for name in "guest-fsfreeze-freeze", "guest-fsfreeze-thaw", "guest-fstrim":
            kind, text = client.error(name)
            expect(kind, "GenericError", "class")
            expect(text.endswith(": No such file or directory"), True, "text (%s)" % text)
        with Sockets("hook"):
            client.error("guest-fsfreeze-freeze")
            expect(hook_log(), ["freeze", "thaw"], "calls of the hook")
        expect(client.call("guest-fsfreeze-status"), "thawed", "status")
        client.call("guest-get-time")


def test_ends_while_the_hook_runs():
    write_hook("exec sleep 100")
    with Sockets("freezer", "hook"), Ours() as agent, agent.client() as client:
        client.send(request("guest-fsfreeze-freeze"))
        wait_for(hook_log, "call of the hook")
        agent.process.terminate()
        expect(agent.process.wait(TIMEOUT), 0, "exit status")
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with open("/proc/%s/comm" % pid) as file:
                if file.read() == "sleep\n":
                    os.kill(int(pid), signal.SIGKILL)
        expect(frozen(), set(), "what is frozen")


def test_undoes_what_the_hook_has_done_for_a_daemon_that_ended():
    """The next daemon may not begin another freeze before that, as it would be undone with it, but can thaw."""
    for end in "terminate", "kill":
        write_hook("[ $1 = thaw ] || exec cat /run/gate")
        os.mkfifo("/run/gate")
        with Sockets("freezer", "hook") as sockets, Ours() as agent:
            with agent.client() as client:
                client.send(request("guest-fsfreeze-freeze"))
                wait_for(hook_log, "call of the hook")
                getattr(agent.process, end)()
                agent.process.wait(TIMEOUT)
            agent.start()
            with agent.client() as client:
                expect(client.error("guest-fsfreeze-freeze")[1], "child process has failed to execute fsfreeze hook: "
                       "that of an earlier freeze still runs", "error")
                expect(client.call("guest-fsfreeze-status"), "thawed", "status")
                expect(client.call("guest-fsfreeze-thaw"), 0, "count")
                expect(hook_log(), ["freeze", "thaw"], "calls of the hook")
                with open("/run/gate", "w"):
                    pass
                os.unlink("/run/gate")
                wait_for(lambda: sockets.answered == 4, "end of the first hook, the last of the helper's tasks")
                expect(hook_log(), ["freeze", "thaw", "thaw"], "calls of the hook")
                expect(frozen(), set(), "what is frozen")
                write_hook("")
                expect(client.call("guest-fsfreeze-freeze"), len(FREEZABLE), "count")
                expect(hook_log(), ["freeze"], "calls of the hook")
                client.call("guest-fsfreeze-thaw")


def test_knows_of_a_freeze_that_was_under_way_when_it_ended():
    """The helper has frozen everything by then, for all the daemon knows."""
    write_hook("")
    with Sockets("hook"), socket.socket(socket.AF_UNIX) as listener, Ours() as agent:
        listener.bind("/run/spice-agent-freezer")
        listener.listen()
        listener.settimeout(TIMEOUT)
        try:
            with agent.client() as client:
                client.send(request("guest-fsfreeze-freeze"))
                with listener.accept()[0]:
                    agent.process.terminate()
                    expect(agent.process.wait(TIMEOUT), 0, "exit status")
            agent.start()
            with agent.client() as client:
                expect(client.call("guest-fsfreeze-status"), "frozen", "status")
        finally:
            os.unlink("/run/spice-agent-freezer")


def test_does_not_wait_for_what_the_hook_leaves_behind():
    """A client that holds a lock until the thaw, say, with the hook's output open."""
    write_hook("echo $$ >/run/hook.pid; sleep 100 & echo $! >/run/hook.pid")
    with Sockets("freezer", "hook"), Ours() as agent, agent.client() as client:
        client.call("guest-fsfreeze-freeze")
        client.call("guest-fsfreeze-thaw")
        with open("/run/hook.pid") as file:
            os.kill(int(file.read()), signal.SIGKILL)


def test_thaws_when_nobody_waits():
    """The daemon has died, or given up, while file systems are being frozen."""
    with Sockets("freezer") as sockets:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect("/run/spice-agent-freezer")
            client.sendall(b"1\0guest-fsfreeze-freeze\0")
        wait_for(lambda: sockets.answered, "end of the helper")
        expect(frozen(), set(), "what is frozen")
        expect(control(INNER, FITHAW), errno.EINVAL, "thaw of what is thawed")


def test_bounds_the_list():
    with Sockets("freezer", "hook"), Ours() as agent, agent.client() as client:
        client.send(request("guest-fsfreeze-freeze-list", mountpoints=["/" + "x" * 4000] * 400))
        expect(client.reply()["error"]["desc"], "the arguments are too long", "error")
        expect(client.call("guest-fsfreeze-status"), "thawed", "status")
        expect(client.call("guest-fsfreeze-freeze-list", mountpoints=["/" + "x" * 4000] * 200 + ["/srv"]), 1, "count")


def test_answers_nobody_else():
    """The helper asks the kernel who is there."""
    with Sockets("freezer"):
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(TIMEOUT)
                    client.connect("/run/spice-agent-freezer")
                    client.sendall(b"1\0guest-fsfreeze-freeze\0")
                    client.shutdown(socket.SHUT_WR)
                    os._exit(1 if client.recv(1000) else 0)
            except ConnectionError:  # it has not even listened
                os._exit(0)
            except BaseException:
                os._exit(2)
        expect(os.waitpid(child, 0)[1], 0, "status of the stranger")
        expect(frozen(), set(), "what is frozen")


def ask(name, words):
    """What the helper answers."""
    result = subprocess.run([HELPER, name], input=words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            env=ENVIRONMENT, timeout=TIMEOUT)
    return result.stdout


def test_helper_survives_nonsense():
    for words in b"", b"\0", b"1\0guest-fsfreeze-freeze", b"guest-fsfreeze-freeze\0", b"1\0guest-fstrim\0", \
            b"2\0guest-fstrim\0x\0", b"1\0guest-exec\0", b"2\0guest-fsfreeze-freeze-list\0", b"-1\0x\0", \
            b"18446744073709551616\0x\0", b"0\0", b"\xff" * 1000 + b"\0", b"\0" * 100000:
        answer = ask("freezer", words)
        expect(answer[:6], b"error\0", "answer to %r" % words[:50])
    expect(ask("freezer", b"1\0guest-fsfreeze-freeze\0" + b"x" * (2 << 20)), b"", "answer to too much")
    expect(frozen(), set(), "what is frozen")


# ---- beside QEMU's agent ----

class Theirs(Agent):
    def stop(self):
        thaw_all()
        super().stop()


def reference(*options):
    if not os.path.exists(REFERENCE[0]):
        raise Skip("no qemu-ga")
    return Theirs(*options, reference=True)


FREEZES = {
    "freeze:thaw-first": [("thaw", {})],
    "freeze:all": [("freeze", {})],
    "freeze:twice": [("freeze", {}), ("freeze", {}), ("freeze-list", {})],
    "freeze:thaw-twice": [("freeze", {}), ("thaw", {}), ("thaw", {})],
    "freeze:all-by-list": [("freeze-list", {})],
    "freeze:none": [("freeze-list", dict(mountpoints=[]))],
    "freeze:unknown": [("freeze-list", dict(mountpoints=["/nowhere", "srv", "", "/srv/"]))],
    "freeze:one": [("freeze-list", dict(mountpoints=["/srv"]))],
    "freeze:bind": [("freeze-list", dict(mountpoints=["/mnt/bind"]))],
    "freeze:bind-file": [("freeze-list", dict(mountpoints=["/mnt/file"]))],
    "freeze:bind-and-self": [("freeze-list", dict(mountpoints=["/mnt/bind", "/home", "/home"]))],
    "freeze:space": [("freeze-list", dict(mountpoints=["/mnt/a b"]))],
    "freeze:fixed": [("freeze-list", dict(mountpoints=["/mnt/fixed"]))],
    "freeze:list-type": [("freeze-list", dict(mountpoints="/srv")), ("freeze-list", dict(mountpoints=[1]))],
    "freeze:status-argument": [("status", dict(a=1)), ("freeze", dict(mountpoints=[]))],
}
TRIMS = {
    "trim": {},
    "trim:minimum": dict(minimum=4096),
    "trim:large": dict(minimum=2 ** 62),
    "trim:negative": dict(minimum=-1),
    "trim:text": dict(minimum="1"),
}


def freezes(agent, steps):
    """What is answered, frozen at the end, and called; everything is thawed then."""
    with agent.client() as client:
        told = []
        for what, arguments in [*steps, ("status", {})]:
            client.send(request("guest-fsfreeze-" + what, **arguments))
            told.append(client.reply())
        for line in request("guest-ping"), request("guest-sync", id=5), request("guest-get-host-name"):
            client.send(line)
            told.append(client.reply())
        told += [sorted(frozen()), hook_log()]
        client.send(request("guest-fsfreeze-thaw"))
        told.append(client.reply())
        expect(frozen(), set(), "what is frozen after the thaw")
        return told


def told_by(agent):
    told = {case: freezes(agent, steps) for case, steps in FREEZES.items()}
    freeze("/tmp")  # by somebody else
    told["freeze:frozen-before"] = freezes(agent, [("freeze", {})])
    with agent.client() as client:
        for case, arguments in TRIMS.items():
            client.send(request("guest-fstrim", **arguments))
            reply = client.reply()
            for path in reply.get("return", {}).get("paths", []):
                if "trimmed" in path:  # the second to trim finds nothing
                    path["trimmed"] = type(path["trimmed"])
            told[case] = reply
    return told


def test_freezes_as_qemu():
    write_hook(None)
    with reference() as theirs:
        version = theirs.read_version()
        other = told_by(theirs)
    with Sockets("freezer", "hook"), Ours() as ours:
        one = told_by(ours)
    differences = Differences(one, version, {})
    for case in one:
        differences.compare(case, one[case], other[case])
    differences.check()
    expect([path for path in one["trim"]["return"]["paths"] if "error" in path],
           [{"path": "/mnt/fixed", "error": "trim not supported"}], "what was not trimmed")


HOOKS = {
    "hook:works": "",
    "hook:says-something": "echo hello",
    "hook:fails": "exit 3",
    "hook:fails-aloud": "echo no; echo reason >&2; exit 4",
    "hook:fails-at-thaw": "[ $1 = freeze ]",
    "hook:dies": "kill -9 $$",
    "hook:missing-interpreter": None,
}


FAILED = "child process has failed to execute fsfreeze hook: "
# What differs in them, as docs/management.md says.
DIFFERENT = {
    "hook:fails": instead(FAILED + "exit status 3", "fsfreeze hook has failed with status 3"),
    "hook:fails-aloud": instead(FAILED + "no\nreason", "fsfreeze hook has failed with status 4"),
    "hook:fails-at-thaw": instead(FAILED + "exit status 1", "fsfreeze hook has failed with status 1"),
    "hook:dies": instead("child process has terminated abnormally", "fsfreeze hook has terminated abnormally"),
    "hook:missing-interpreter": instead(
        FAILED + "Failed to execute child process “%s” (No such file or directory)" % HOOK,
        "fsfreeze hook has failed with status 1"),
}


def hooked(agent, text):
    write_hook(text if text is not None else "")
    if text is None:
        with open(HOOK, "w") as file:
            file.write("#!/nonexistent/interpreter\n")
    told = freezes(agent, [("freeze", {})]) + hook_log()
    return told + freezes(agent, [("freeze-list", dict(mountpoints=[]))]) + hook_log()


def test_calls_the_hook_as_qemu():
    """Also when nothing is frozen; then it hears of the thaw when that comes."""
    with reference("-F" + HOOK) as theirs:
        version = theirs.read_version()
        other = {case: hooked(theirs, text) for case, text in HOOKS.items()}
    with Sockets("freezer", "hook"), Ours() as ours:
        one = {case: hooked(ours, text) for case, text in HOOKS.items()}
    write_hook(None)
    differences = Differences(HOOKS, version, DIFFERENT)
    for case in HOOKS:
        differences.compare(case, one[case], other[case])
    differences.check()


def test_answers_by_the_schema():
    with Sockets("freezer", "hook"), Ours() as agent, agent.client() as client:
        for name in "status", "freeze", "thaw", "freeze-list", "thaw":
            client.call("guest-fsfreeze-" + name)
        client.call("guest-fstrim")


def cleaned(test):
    def run_and_thaw():
        try:
            test()
        finally:
            thaw_all()
    run_and_thaw.__name__ = test.__name__
    return run_and_thaw


def inside(root):
    make_root(root)
    add_images(root)
    add_programs(root)
    enter_root(root)
    make_sure()
    threading.Thread(target=guard, daemon=True).start()
    try:
        agentsystem.run([cleaned(value) for name, value in list(globals().items()) if name.startswith("test_")],
                        "manage-freeze")
    except SystemExit as end:
        os._exit(end.code)  # the guard waits, and the interpreter's files are not here any more


def outside():
    """The test goes on as the first process of a namespace. It outlives us for as long as its guard needs."""
    if os.geteuid() != 0:
        print("needs root")
        sys.exit(77)
    if not os.path.exists("/dev/loop-control"):
        print("no loop devices")
        sys.exit(77)
    root = tempfile.mkdtemp(prefix="root-")
    process = subprocess.Popen(["unshare", "--mount", "--pid", "--fork", sys.executable, __file__, *sys.argv[1:]],
                               stdin=subprocess.PIPE, env=dict(os.environ, FREEZE_ROOT=root), start_new_session=True)
    sys.exit(process.wait())


if "FREEZE_ROOT" in os.environ:
    inside(os.environ["FREEZE_ROOT"])
else:
    outside()
