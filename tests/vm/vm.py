#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A virtual machine under test: QEMU, its monitor, commands inside the guest and the SPICE client beside it."""

import contextlib
import fcntl
import glob
import itertools
import json
import os
import queue
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

from desktops import DESKTOPS

HERE = os.path.dirname(os.path.abspath(__file__))


class Failure(Exception):
    """What a test raises, directly or through the classes here, when the thing under test misbehaves."""


def wait_for(condition, timeout, what, interval=0.02):
    """Returns the first true value of condition(); fails after `timeout` seconds. `what` may be a function."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure("timeout (%g s): %s" % (timeout, what() if callable(what) else what))
        time.sleep(interval)


def unix_connect(path, timeout=10):
    """Connects to a unix socket that may not be there yet."""
    end = time.monotonic() + timeout
    while True:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(path)
            return sock
        except OSError as error:
            sock.close()
            if time.monotonic() > end:
                raise Failure("%s: %s" % (path, error))
            time.sleep(0.02)


def hang_up(sock):
    """Closes a socket that a thread may be reading: close() alone would wait for the reader."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


class Qmp:
    """QEMU's monitor. Events are kept in a list, answers are matched by order."""

    def __init__(self, path):
        self._file = unix_connect(path).makefile("rwb", buffering=0)
        self._answers = queue.Queue()
        self.events = []
        threading.Thread(target=self._read, daemon=True).start()
        self._answers.get(timeout=10)
        self.command("qmp_capabilities")

    def _read(self):
        with contextlib.suppress(OSError):
            for line in self._file:
                message = json.loads(line)
                if "event" in message:
                    self.events.append(message)
                else:
                    self._answers.put(message)
        self._answers.put({"error": {"desc": "QEMU closed its monitor"}})

    def command(self, name, /, **arguments):
        message = {"execute": name}
        if arguments:
            message["arguments"] = {key.replace("_", "-"): value for key, value in arguments.items()}
        self._file.write(json.dumps(message).encode() + b"\n")
        answer = self._answers.get(timeout=30)
        if "error" in answer:
            raise Failure("QMP %s: %s" % (name, answer["error"]["desc"]))
        return answer["return"]


def join(process, sock):
    """Has a command in the guest and a socket here read what the other one writes, until the socket ends."""
    def to_guest():
        with contextlib.suppress(OSError):
            while data := sock.recv(65536):
                process.write(data)
        with contextlib.suppress(OSError):
            process.close()

    def to_socket():
        with contextlib.suppress(OSError):
            while data := process.take():
                sock.sendall(data)
        hang_up(sock)
    for function in to_guest, to_socket:
        threading.Thread(target=function, daemon=True).start()


class Process:
    """A command in the guest, started by Guest.start(). Output is collected whole and handed out as lines."""

    def __init__(self, guest, number, command):
        self.command = command
        self.status = None
        self.out = bytearray()
        self.err = bytearray()
        self._guest = guest
        self._number = number
        self._changed = threading.Condition()
        self._taken = 0

    def _deliver(self, kind, payload):
        with self._changed:
            if kind == "O":
                self.out += payload
            elif kind == "E":
                self.err += payload
            else:
                self.status = struct.unpack("<I", payload)[0]
            self._changed.notify_all()

    def write(self, data):
        if isinstance(data, str):
            data = data.encode()
        for start in range(0, len(data), 65536):
            self._guest._send(self._number, "I", data[start:start + 65536])

    def close(self):
        """Closes its standard input."""
        self._guest._send(self._number, "I", b"")

    def kill(self, number=signal.SIGTERM):
        self._guest._send(self._number, "K", bytes([number]))

    def wait(self, timeout=30):
        with self._changed:
            if not self._changed.wait_for(lambda: self.status is not None, timeout):
                raise Failure("guest command still runs after %g s: %s\n%s" % (timeout, self.command, self.describe()))
        return self.status

    def line(self, timeout=10):
        """The next line of its output, without the newline; None when it has ended or the time is over."""
        def ready():
            return self.out.find(b"\n", self._taken) >= 0 or self.status is not None
        with self._changed:
            self._changed.wait_for(ready, timeout)
            end = self.out.find(b"\n", self._taken)
            if end < 0:
                return None
            text = self.out[self._taken:end].decode(errors="replace")
            self._taken = end + 1
            return text

    def take(self):
        """Waits for output that nobody has had yet, and returns it; nothing when it has ended."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.out) > self._taken or self.status is not None)
            data = bytes(self.out[self._taken:])
            self._taken += len(data)
            return data

    def ask(self, text, timeout=10):
        """Writes a line and returns the next line that comes back."""
        self.write(text + "\n")
        answer = self.line(timeout)
        if answer is None:
            raise Failure("no answer to %r from %s\n%s" % (text, self.command, self.describe()))
        return answer

    def describe(self):
        return "stdout: %s\nstderr: %s" % (self.out.decode(errors="replace")[-2000:],
                                           self.err.decode(errors="replace")[-2000:])


class Guest:
    """Runs commands in the guest through guestd's port. Text in, text out; `raw` keeps bytes."""

    def __init__(self, path, desktop=DESKTOPS["openbox"]):
        self.desktop = desktop
        self._sock = unix_connect(path)
        self._lock = threading.Lock()
        self._processes = {}
        self._numbers = itertools.count(1)
        threading.Thread(target=self._read, daemon=True).start()

    def _receive(self, size):
        data = bytearray()
        while len(data) < size:
            part = self._sock.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def _read(self):
        try:
            while True:
                number, kind, size = struct.unpack("<IcI", self._receive(9))
                payload = self._receive(size)
                process = self._processes.get(number)
                if process:
                    process._deliver(kind.decode(), payload)
        except (EOFError, OSError):
            for process in list(self._processes.values()):
                if process.status is None:
                    process._deliver("X", struct.pack("<I", 255))

    def _send(self, number, kind, payload):
        with self._lock:
            self._sock.sendall(struct.pack("<IcI", number, kind.encode(), len(payload)) + payload)

    def start(self, command, user="", display=None):
        """Starts a shell command. A user's command gets the environment of that user's session."""
        number = next(self._numbers)  # also for threads
        process = Process(self, number, command)
        self._processes[number] = process
        self._send(number, "R", user.encode() + b"\0" + self._in_session(command, user, display).encode())
        return process

    def _in_session(self, command, user, display):
        environment = "export DISPLAY=%s" % display if display else self.desktop.environment(user) if user else ""
        return "%s\n%s" % (environment, command)

    def run(self, command, user="", input=None, timeout=30, check=True, raw=False, display=None):
        """Runs a command to its end and returns its output."""
        process = self.start(command, user, display)
        if input is not None:
            process.write(input)
        process.close()
        status = process.wait(timeout)
        if check and status != 0:
            raise Failure("guest command failed with %d: %s\n%s" % (status, command, process.describe()))
        return bytes(process.out) if raw else process.out.decode(errors="replace")

    def ok(self, command, **arguments):
        """Whether the command succeeds."""
        process = self.start(command, **arguments)
        process.close()
        return process.wait() == 0

    def until(self, command, timeout=20, user="", interval=0.1, display=None):
        """Repeats a command inside the guest until it succeeds, with the patience that the desktop needs."""
        timeout *= self.desktop.slow
        loop = ("end=$((SECONDS + %d)); until { %s\n} >/dev/null 2>&1; do "
                "[ $SECONDS -lt $end ] || exit 99; sleep %g; done")
        # Until it succeeds, the session may have to begin.
        process = self.start(loop % (timeout + 1, self._in_session(command, user, display), interval), user, display)
        process.close()
        if process.wait(timeout + 30) != 0:
            detail = self.start(command, user, display)
            detail.close()
            detail.wait()
            raise Failure("timeout (%g s) in the guest: %s\n%s" % (timeout, command, detail.describe()))

    def push(self, data, path, user=""):
        self.run("cat >'%s'" % path, user=user, input=data, timeout=120)

    def pull(self, path):
        return self.run("cat '%s'" % path, raw=True, timeout=120)

    def forward(self, port):
        """Returns a listening socket on loopback; who connects to it reaches this port on the guest's loopback."""
        listener = socket.create_server(("127.0.0.1", 0))

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    sock = listener.accept()[0]
                    join(self.start("exec busybox nc 127.0.0.1 %d" % port), sock)
        threading.Thread(target=serve, daemon=True).start()
        return listener

    def sha256(self, path):
        return self.run("sha256sum '%s'" % path, timeout=120).split()[0].lstrip("\\")


class Turn:
    """One process runs VMs on this machine at a time: those of several under TCG would only time each other out."""

    _lock, _users = None, 0

    @classmethod
    def take(cls):
        if cls._users == 0:
            cache = os.environ.get("SPICE_PV_CACHE", "/var/cache/spice-pv")
            os.makedirs(cache, exist_ok=True)
            cls._lock = open(os.path.join(cache, "vm.lock"), "w")
            fcntl.flock(cls._lock, fcntl.LOCK_EX)
        cls._users += 1

    @classmethod
    def end(cls):
        cls._users -= 1
        if cls._users == 0:
            cls._lock.close()


def without_spice(args):
    """The command that runs QEMU with its SPICE modules covered, as if it had been built without; USB redirection and
    smartcards stay."""
    modules = "/usr/lib/*/qemu/{*spice*,hw-display-qxl}.so"
    return ["unshare", "--mount", "bash", "-c", 'for f in %s; do mount --bind /dev/null "$f"; done; exec "$@"' % modules,
            "bash"] + args


def process_cpu(pid):
    """Nanoseconds of CPU that a process's threads have used."""
    total = 0
    for name in glob.glob("/proc/%d/task/*/schedstat" % pid):
        with contextlib.suppress(OSError):
            total += int(open(name).read().split()[0])
    return total


class Host:
    """Our spicevmc, serving the VM in `directory`.

    channels  (type, *options) each; the path is directory/TYPE-N.sock
    displays  sizes, "1024x768"
    qmp       give it a monitor of its own
    policy    lines for the file's [policy]
    args      further arguments
    debug     libspice-server then has a line for each message of USB
    """

    def __init__(self, directory, channels=(("vdagent",), ("pvmouse",)), displays=("1024x768",), qmp=False, policy=(),
                 args=(), listen=None, debug=True):
        self.dir = directory
        self.paths = {}
        self.listen = listen or "unix:" + os.path.join(directory, "spice.sock")
        self._process = None
        self.config = os.path.join(directory, "vm.conf")
        with open(self.config, "w") as file:
            file.write("[policy]\n" + "".join(line + "\n" for line in policy))
        self.args = ["--name", "vm", "--config", self.config, "--runtime-dir", os.path.join(directory, "run"),
                     "--listen", self.listen]
        for number, (kind, *options) in enumerate(channels):
            self.paths.setdefault(kind, os.path.join(directory, "%s-%d.sock" % (kind, number)))
            path = os.path.join(directory, "%s-%d.sock" % (kind, number))
            self.args += ["--channel", ",".join([kind, "path=" + path] + list(options))]
        for number, size in enumerate(displays):
            self.args += ["--display", "%d,%s" % (number, size)]
        if qmp:
            self.args += ["--qmp", os.path.join(directory, "host-qmp.sock")]
        self.args += list(args)
        self.debug = debug

    @staticmethod
    def program():
        top = os.path.dirname(os.path.dirname(HERE))
        return os.path.join(top, os.environ.get("BUILD", "build"), "spicevmc")

    def print(self, what):
        return subprocess.run([self.program()] + self.args + ["--print-" + what], check=True, stdout=subprocess.PIPE,
                              text=True).stdout

    def qemu_args(self):
        """What it says QEMU needs, of the options that the VM does not have already."""
        return shlex.split(self.print("qemu-args"))

    def start(self, wait=True):
        with open(os.path.join(self.dir, "spicevmc.log"), "ab") as log:
            self._process = subprocess.Popen([self.program()] + ["--debug"] * self.debug + self.args, stdin=subprocess.DEVNULL,
                                             stdout=log, stderr=log)
        self.pid = self._process.pid
        if wait:
            wait_for(self.status, 10, lambda: "spicevmc does not run:\n" + self.log())
        return self

    def log(self):
        with contextlib.suppress(OSError):
            return open(os.path.join(self.dir, "spicevmc.log"), errors="replace").read()[-4000:]
        return ""

    def alive(self):
        return self._process is not None and self._process.poll() is None

    def ended(self):
        """With which status; None if it runs or never did."""
        return self._process and self._process.poll()

    def status(self):
        """What `spicevmc --status` says, or None."""
        if not self.alive():
            raise Failure("spicevmc has ended with %s:\n%s" % (self._process and self._process.returncode, self.log()))
        run = subprocess.run([self.program(), "--status", "vm", "--runtime-dir", os.path.join(self.dir, "run")],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return json.loads(run.stdout) if run.returncode == 0 else None

    def channel(self, kind):
        return [channel for channel in self.status()["channels"] if channel["type"] == kind][0]

    def wait_sink(self, sink, timeout=30):
        wait_for(lambda: self.status()["sink"] == sink, timeout, lambda: "sink %s: %s" % (sink, self.status()))

    def kill(self, number=signal.SIGKILL):
        self._process.send_signal(number)
        self._process.wait(10)

    def stop(self):
        if self.alive():
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def cpu(self):
        return process_cpu(self.pid)

    def rss_peak(self):
        """Kilobytes."""
        with open("/proc/%d/status" % self.pid) as file:
            return int([line for line in file if line.startswith("VmHWM")][0].split()[1])


class VM:
    """A running guest. Use as a context manager: leaving it ends QEMU and removes its directory.

    image    directory printed by tests/vm/image
    display  "qxl", "virtio" or "VGA"; heads = how many outputs; None: devices that the displays of `host` name
    agent    "spicevmc" (SPICE server on self.spice), "qemu-vdagent" (VNC server on self.vnc), "socket" (the raw port is
             the unix socket self.agent: the test plays spice-server), "host" (a QEMU that has no SPICE, and our spicevmc
             serves it on self.spice) or None
    host     with agent "host": arguments of Host
    desktop  that of the image
    session  whose session is started at boot, None for nobody's
    pvmouse  adds the dedicated pointer port, its host end is the unix socket self.pvmouse
    cmdline  further words for the kernel
    extra    further QEMU arguments; "{dir}" stands for the directory of this VM's sockets
    """

    MEMORY = {"qxl": "qxl-vga,id=video,vgamem_mb=32,max_outputs=%d",
              "virtio": "virtio-vga,id=video,max_outputs=%d",
              "VGA": "VGA,id=video,vgamem_mb=%d"}

    def __init__(self, image, display="virtio", heads=1, agent="spicevmc", desktop="openbox", session="alice",
                 pvmouse=False, memory=None, keep=False, extra=(), host=None, cmdline=""):
        self.dir = tempfile.mkdtemp(prefix="spice-pv-vm.")
        self.spice = os.path.join(self.dir, "spice.sock")
        self.vnc = os.path.join(self.dir, "vnc.sock")
        self.agent = os.path.join(self.dir, "agent.sock")
        self.pvmouse = os.path.join(self.dir, "pvmouse.sock")
        self.session = session
        self.host = Host(self.dir, **(host or {})) if agent == "host" else None
        self._qemu = None
        Turn.take()
        self._has_turn = True
        try:
            if self.host:
                self.host.start()
            self._start(image, display, heads, agent, DESKTOPS[desktop], pvmouse, memory, keep, extra, cmdline)
        except BaseException:
            self.close()
            raise

    def _start(self, image, display, heads, agent, desktop, pvmouse, memory, keep, extra, more):
        disk = os.path.join(self.dir, "disk.qcow2")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b",
                        os.path.join(image, "disk.img"), disk], check=True)
        cmdline = "root=/dev/vda rw quiet console=ttyS0 systemd.getty_auto=no panic=-1 mitigations=off " + more
        if self.session:
            cmdline += " " + desktop.cmdline(self.session)
        path = lambda name: os.path.join(self.dir, name)
        args = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-machine", "pc", "-cpu", "Nehalem", "-smp", "2",
                "-m", str(memory or desktop.memory), "-nodefaults", "-no-user-config", "-no-reboot",
                "-kernel", os.path.join(image, "vmlinuz"), "-initrd", os.path.join(image, "initrd"),
                "-append", cmdline,
                "-drive", "if=none,id=disk,format=qcow2,cache=unsafe,file=" + disk,
                "-device", "virtio-blk-pci,drive=disk", "-device", "virtio-rng-pci",
                "-serial", "file:" + path("console.log"),
                "-qmp", "unix:%s,server=on,wait=off" % path("qmp.sock"),
                "-device", "virtio-serial-pci,id=serial",
                "-chardev", "socket,id=test,server=on,wait=off,path=" + path("test.sock"),
                "-device", "virtserialport,id=test,chardev=test,name=org.spice-pv.test.0"]
        if display:
            args += ["-device", self.MEMORY[display] % (heads if display != "VGA" else 64)]
        agent_port = "virtserialport,chardev=vdagent,name=com.redhat.spice.0,id=agentport"
        if agent == "spicevmc":
            args += ["-spice", "unix=on,disable-ticketing=on,addr=" + self.spice,
                     "-chardev", "spicevmc,id=vdagent,name=vdagent", "-device", agent_port]
        elif agent == "qemu-vdagent":
            args += ["-vnc", "unix:" + self.vnc,
                     "-chardev", "qemu-vdagent,id=vdagent,name=vdagent,clipboard=on,mouse=on", "-device",
                     agent_port]
        elif agent == "host":
            args = without_spice(args + ["-display", "none"] + self.host.qemu_args())
        elif agent == "socket":
            args += ["-display", "none", "-chardev", "socket,id=vdagent,server=on,wait=off,path=" + self.agent,
                     "-device", agent_port]
        else:
            args += ["-display", "none"]
        if pvmouse:
            args += ["-chardev", "socket,id=pvmouse,server=on,wait=off,path=" + self.pvmouse,
                     "-device", "virtserialport,chardev=pvmouse,name=org.spice-space.pvmouse.0,id=pvmouseport"]
        self._log = open(path("qemu.log"), "wb")
        self._qemu = subprocess.Popen(args + [arg.replace("{dir}", self.dir) for arg in extra],
                                      stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
                                      preexec_fn=lambda: os.nice(5), start_new_session=keep)
        self.pid = self._qemu.pid
        try:
            self.qmp = Qmp(path("qmp.sock"))
        except Failure as error:
            raise Failure("%s\n%s" % (error, open(path("qemu.log")).read()))
        self.guest = Guest(path("test.sock"), desktop)

    def boot(self):
        """Waits until the guest answers and the session of `session` is on screen."""
        started = time.monotonic()
        desktop = self.guest.desktop
        self.guest.run("true", timeout=90)
        if self.session:
            try:
                self.guest.until(desktop.shown, desktop.patience, self.session)
            except Failure as error:
                raise Failure("%s\n%s" % (error, self.journal()[-4000:])) from None
        self.boot_time = time.monotonic() - started
        return self

    def cpu(self):
        """Nanoseconds of CPU that QEMU's threads have used."""
        return process_cpu(self.pid)

    def screenshot(self, path, head=0, form="png"):
        """Writes what a display shows, as PNG or, more easily read, as "ppm"."""
        which = {"device": "video", "head": head} if head else {}
        self.qmp.command("screendump", filename=path, format=form, **which)

    def journal(self):
        return self.guest.run("journalctl -b -o short-monotonic --no-hostname | tail -n 400", check=False, timeout=60)

    def console(self):
        with contextlib.suppress(OSError):
            return open(os.path.join(self.dir, "console.log"), errors="replace").read()
        return ""

    def alive(self):
        return self._qemu and self._qemu.poll() is None

    def detach(self):
        """Leaves QEMU and its directory to the user; close() does nothing any more."""
        self._qemu.returncode = 0  # so that nobody waits for it
        self._qemu = None
        self.dir = None

    def close(self):
        if self.host:
            self.host.stop()
        if self._qemu:
            self._qemu.kill()
            self._qemu.wait()
            self._qemu = None
            self._log.close()
        if self.dir:
            shutil.rmtree(self.dir, ignore_errors=True)
        if self._has_turn:
            self._has_turn = False
            Turn.end()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


class Client:
    """The SPICE client (client.c) as a process of its own."""

    TEXT, PNG, BMP, TIFF, JPEG = 1, 2, 3, 4, 5
    CLIPBOARD, PRIMARY = 0, 1
    LEFT, MIDDLE, RIGHT, UP, DOWN, SIDE, EXTRA = 1, 2, 3, 4, 5, 6, 7

    def __init__(self, program, directory):
        self.dir = directory
        self.events = []
        self._answers = {}
        self._next = 0
        self._changed = threading.Condition()
        self._stderr = open(os.path.join(directory, "client.log"), "ab")
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=self._stderr)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            message = json.loads(line)
            with self._changed:
                if "event" in message:
                    self.events.append(message)
                else:
                    self._answers[message["id"]] = message
                self._changed.notify_all()
        with self._changed:
            self._answers = None
            self._changed.notify_all()

    def start(self, verb, *args):
        """Sends a command; finish() waits for its answer."""
        self._next += 1
        words = " ".join("'%s'" % str(word).replace("'", "'\\''") for word in args)
        self._process.stdin.write(("%d %s %s\n" % (self._next, verb, words)).encode())
        self._process.stdin.flush()
        return self._next, "%s %s" % (verb, words)

    def finish(self, started, timeout=30):
        number, text = started
        with self._changed:
            self._changed.wait_for(lambda: self._answers is None or number in self._answers, timeout)
            if self._answers is None:
                raise Failure("the SPICE client has died at: " + text)
            answer = self._answers.pop(number, None)
        if answer is None:
            raise Failure("client: no answer after %g s to: %s" % (timeout, text))
        return answer

    def command(self, verb, *args, timeout=30):
        answer = self.finish(self.start(verb, *args), timeout)
        if not answer["ok"]:
            raise Failure("client: %s %s: %s" % (verb, args, answer["error"]))
        return answer

    def mark(self):
        """A place in the stream of events for wait_event()."""
        return len(self.events)

    def wait_event(self, name, since=0, timeout=10, **fields):
        """The first event of that name after `since` whose fields have these values."""
        def match():
            for event in self.events[since:]:
                if event["event"] == name and all(event.get(key) == value for key, value in fields.items()):
                    return event
            return None
        with self._changed:
            found = self._changed.wait_for(match, timeout)
        if not found:
            raise Failure("client: no event %s %s within %g s; seen: %s" %
                          (name, fields, timeout, self.events[since:][-8:]))
        return found

    def connect(self, path, *properties, timeout=20):
        mark = self.mark()
        self.command("connect", "unix", path, *properties)
        self.wait_event("channel", mark, timeout, type="inputs", state="opened")

    def state(self):
        return self.command("state")

    def wait_agent(self, timeout=30):
        """Until the guest's agent has announced itself and takes the pointer."""
        def ready():
            state = self.state()
            return state if state["agent"] and state["caps"] and state["mouse"] == "client" else None
        return wait_for(ready, timeout, lambda: "agent not connected: %s" % self.state())

    def wait_no_agent(self, timeout=10):
        wait_for(lambda: not self.state()["agent"], timeout, "the agent should have gone")

    def position(self, x, y, display=0):
        self.command("position", x, y, display)

    def click(self, button):
        self.command("press", button)
        self.command("release", button)

    def offer(self, data, kind=TEXT, selection=CLIPBOARD):
        """Owns a selection with this data, or with an owner that never answers when data is None."""
        path = ""
        if data is not None:
            path = os.path.join(self.dir, "offer-%d-%d" % (selection, kind))
            with open(path, "wb") as file:
                file.write(data)
        self.command("grab", selection, "%d=%s" % (kind, path))

    def fetch_start(self, kind=TEXT, selection=CLIPBOARD):
        path = os.path.join(self.dir, "fetch-%d-%d-%d" % (selection, kind, self._next))
        return self.start("request", selection, kind, path), path

    def fetch(self, kind=TEXT, selection=CLIPBOARD, timeout=30):
        """Asks the guest for its selection and returns the data; None when the guest says it has none."""
        started, path = self.fetch_start(kind, selection)
        answer = self.finish(started, timeout)
        if not answer["ok"]:
            raise Failure("client: fetch: " + answer["error"])
        with open(path, "rb") as file:
            data = file.read()
        os.unlink(path)
        return data if answer["type"] == kind else None

    def close(self):
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        self._stderr.close()
