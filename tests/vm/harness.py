# SPDX-License-Identifier: LGPL-2.1-or-later
"""The frame of the VM tests: which agent is tested, one boot for many tests, one line of result per test."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

import vm
from vm import Failure, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.append(os.path.join(TOP, "tests", "session"))
import results

BUILD = os.path.join(TOP, os.environ.get("BUILD", "build"))
DESKTOP = os.environ.get("DESKTOP")  # a Wayland desktop to be used instead of the tests' own one


class Skip(Exception):
    """Raised by a test that cannot run here; the text says why."""


class Agent:
    """What differs between our agent and the reference."""

    def __init__(self, name):
        self.name = name
        self.broken = False  # no machine with it could be made: trying again tells nothing new
        self.ours = name == "ours"
        self.pointer = "SPICE pvmouse" if self.ours else "spice vdagent tablet"
        # Programs whose idling, memory and survival is looked at.
        self.daemon = "spice-agent-system" if self.ours else "spice-vdagentd"
        self.session = "spice-agent-session" if self.ours else "spice-vdagent"


def build_client():
    """Compiles the SPICE client if it is older than its source."""
    source, program = os.path.join(HERE, "client.c"), os.path.join(BUILD, "tests", "vm", "client")
    if not os.path.exists(program) or os.path.getmtime(program) < os.path.getmtime(source):
        os.makedirs(os.path.dirname(program), exist_ok=True)
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "spice-client-glib-2.0", "gio-unix-2.0"],
                               check=True, stdout=subprocess.PIPE, text=True).stdout.split()
        new = "%s.%d" % (program, os.getpid())
        subprocess.run(["cc", "-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-o", new, source] +
                       flags, check=True, stdout=sys.stderr)
        os.rename(new, program)
    return program


def find_deb(package="spice-pv-guest"):
    """What `make deb` has put into the build directory; the guest package may be another one, $DEB."""
    if package == "spice-pv-guest" and os.environ.get("DEB"):
        return os.environ["DEB"]
    subprocess.run(["make", "-s", "-C", TOP, "deb"], check=True, stdout=sys.stderr)
    debs = [name for name in os.listdir(BUILD) if name.startswith(package + "_") and name.endswith(".deb")]
    if len(debs) != 1:
        raise Failure("make deb left %d packages %s in %s" % (len(debs), package, BUILD))
    return os.path.join(BUILD, debs[0])


def build_image(agent, desktop="openbox"):
    """Returns the directory of the guest image with this agent: ours, vdagent or none."""
    args = [desktop, agent] + ([find_deb()] if agent == "ours" else [])
    log = tempfile.TemporaryFile("w+")
    result = subprocess.run([os.path.join(HERE, "image")] + args, stdout=subprocess.PIPE, stderr=log, text=True)
    if result.returncode != 0:
        log.seek(0)
        raise Failure("the guest image could not be built:\n" + log.read()[-3000:])
    return result.stdout.strip()


def machine(**options):
    """Decorates a test with the VM it needs (arguments of vm.VM). Tests of equal needs share a boot. `image` is the name of
    another image than that of the agent under test; which agent runs is the test's affair then."""
    def mark(function):
        function.machine = options
        return function
    return mark


def needs(function):
    """The machine that the test needs."""
    options = getattr(function, "machine", {})
    return dict(options, desktop=DESKTOP) if DESKTOP and "desktop" in options else options


def fresh(function):
    """Decorates a test that leaves its VM unfit for others."""
    function.fresh = True
    return function


def ours_only(function):
    """Decorates a test of something the reference does not have at all: an interface, a program, a policy."""
    function.ours_only = True
    return function


def proves(*features):
    """Decorates a test of what is a column of docs/compatibility.md."""
    def mark(function):
        function.proves = features
        return function
    return mark


class Compositor:
    """That of a guest's desktop, as results.py takes it."""

    def __init__(self, guest):
        self.name = guest.desktop.compositor[0] + results.IN_A_GUEST
        self._version = re.search(r"\d+(\.\d+)+", guest.run(guest.desktop.compositor[1] + " --version"))[0]

    def version(self):
        return self._version


def added_up(pairs):
    """JSON object hook: of two devices of one name, counts are added, and the position is that of the one that moved."""
    result = {}
    for key, value in pairs:
        if key in result and isinstance(value, dict):
            first = result[key]
            moved = value if value["reports"] else first
            value = {name: merge_counts(first[name], value[name]) for name in value}
            value.update(abs_x=moved["abs_x"], abs_y=moved["abs_y"])
        result[key] = value
    return result


def merge_counts(a, b):
    if isinstance(a, dict):
        return {key: a.get(key, 0) + b.get(key, 0) for key in {*a, *b}}
    return a or b if isinstance(a, bool) else a + b


class Pointer:
    """Where the X pointer is, from `probe pointer`."""

    def __init__(self, probe):
        self._probe = probe

    @staticmethod
    def _parse(line):
        return tuple(int(word) for word in line.split()[-2:])

    def now(self):
        """Asks the X server; older lines are skipped."""
        line = self._probe.ask("?")
        while not line.startswith("="):
            line = self._probe.line()
        return self._parse(line)

    def arrives(self, x, y, timeout=2):
        """Waits until the pointer is there. Returns where it is at last, so a miss can be told."""
        end = time.monotonic() + timeout
        while True:
            line = self._probe.line(0.03)
            seen = self._parse(line) if line else self.now()
            if seen == (x, y) or time.monotonic() > end:
                return seen


class Machine:
    """A booted VM with a connected client and the probes: what a test function gets."""

    def __init__(self, agent, image, options):
        self.agent = agent
        self.options = dict(options)
        self.other_image = options.get("image")
        self.vm = vm.VM(image, **{key: value for key, value in options.items() if key != "image"})
        self.client = None
        self._probes = []
        self._deferred = []
        try:
            self.vm.boot()
            self.guest = self.vm.guest
            if options.get("agent", "spicevmc") in ("spicevmc", "host"):
                self.client = vm.Client(build_client(), self.vm.dir)
                self.client.connect(self.vm.spice)
        except BaseException:
            self.close()
            raise

    def ready(self):
        """Brings the VM into the state each test starts from: alice's session in front, client and agent connected."""
        if self.vm.session:
            self.guest.run(self.guest.desktop.end_others, timeout=60)
            self.session("alice")
            if self.options.get("agent", "spicevmc") and not self.other_image:
                # An autostarted program comes up a good while after the window manager on a busy machine.
                self.guest.until("pgrep -f '^(/[^ ]*/)?%s( |$)'" % self.agent.session, 60)
        if self.client:
            if not self.client.state()["displays"]:
                self.client.connect(self.vm.spice)
            self.client.wait_agent(60)

    def session(self, user):
        """Starts the user's session if need be and brings it to the front."""
        desktop = self.guest.desktop
        self.guest.run(desktop.start(user), timeout=60)
        self.guest.until(desktop.shown, desktop.patience, user)
        if user in desktop.ttys:
            self.guest.run("busybox chvt %d" % desktop.ttys[user])
            self.guest.until("[ $(cat /sys/class/tty/tty0/active) = tty%d ]" % desktop.ttys[user])
        self.guest.until('loginctl list-sessions --no-legend | grep -w %s | while read -r s rest; do '
                         '[ "$(loginctl show-session -P Active $s)" = yes ] && exit 42; done; [ $? = 42 ]' % user)

    def session_of(self, user):
        """Number of the session that this user has in front."""
        return self.guest.run('loginctl list-sessions --no-legend | grep -w %s | while read -r s rest; do '
                              '[ "$(loginctl show-session -P Active $s)" = yes ] && echo $s && break; done' % user).strip()

    def probe(self, text, user="", display=None, program="probe"):
        """Starts a probe that ends with the test; its first line of output tells that it is ready."""
        probe = self.guest.start("exec %s %s" % (program, text), user, display)
        if probe.line(15) is None:
            raise Failure("%s %s: %s" % (program, text, probe.describe()))
        self._probes.append(probe)
        return probe

    def pointer(self, user="alice", display=None):
        return Pointer(self.probe("pointer", user, display))

    def evdev(self, name=None):
        """Counter of what the agent's input devices emit; call it for the numbers, with "reset" to clear them. Both daemons
        of ours have a device of this name: what they emit is added up."""
        name = name or self.agent.pointer
        probe = self.probe("evdev '%s' '%s'" % (name, name))
        return lambda command="counts": json.loads(probe.ask(command), object_pairs_hook=added_up)[name]

    def session_daemon_connected(self):
        """Whether alice's session daemon of ours is connected to the system daemon."""
        return self.guest.ok("busctl --user --timeout=1 get-property org.spice_space.AgentSession1 "
                             "/org/spice_space/AgentSession1 org.spice_space.AgentSession1 Connected | grep -q true",
                             user="alice")

    def reconnect(self):
        self.client.command("disconnect")
        self.client.connect(self.vm.spice)
        return self.client.wait_agent()

    def pid(self, program, user="root"):
        """The one process of that program; fails when there is none."""
        words = self.guest.run("pgrep -f '^(/[^ ]*/)?%s( |$)'" % program, check=False).split()
        if not words:
            raise Failure("%s does not run in the guest" % program)
        return int(words[0])

    def defer(self, function):
        """Calls the function when the test is over, however it ends."""
        self._deferred.append(function)

    def forget_probes(self):
        """The guest has rebooted: they are gone."""
        self._probes = []

    def finish_test(self):
        while self._deferred:
            self._deferred.pop()()
        for probe in self._probes:
            if probe.status is None:
                probe.kill(9)
                probe.wait()
        self._probes = []

    def save(self, directory):
        """Keeps everything that may explain a failure."""
        os.makedirs(directory, exist_ok=True)
        for name in ("console.log", "qemu.log", "client.log", "spicevmc.log"):
            if os.path.exists(os.path.join(self.vm.dir, name)):
                shutil.copy(os.path.join(self.vm.dir, name), directory)
        if self.vm.alive():
            for name, get in (("journal", self.vm.journal),
                              ("xorg", lambda: self.guest.run("cat /home/*/.local/share/xorg/*.log", check=False)),
                              ("state", lambda: self.guest.run("loginctl; ps axf -o pid,user,stat,rss,args"))):
                with open(os.path.join(directory, name + ".log"), "w") as file:
                    file.write(get())
            self.vm.screenshot(os.path.join(directory, "screen.png"))

    def close(self):
        if self.client:
            self.client.close()
        self.vm.close()


def indent(text):
    return "".join("    %s\n" % line for line in text.rstrip("\n").split("\n"))


class Runner:
    def __init__(self, agent):
        self.agent = Agent(agent)
        self.images = {}
        self.compositor = None
        self.machine = None
        self.failed = 0

    def report(self, name, result, detail=""):
        sys.stdout.write("vm/%s: %s\n%s" % (name, result, indent(detail) if detail else ""))
        sys.stdout.flush()

    def stop(self):
        if self.machine:
            self.machine.close()
            self.machine = None

    def boot(self, options):
        if self.machine and (self.machine.options != options or not self.machine.vm.alive()):
            self.stop()
        if not self.machine:
            kind = options.get("image", self.agent.name), options.get("desktop", "openbox")
            if kind not in self.images:
                self.images[kind] = build_image(*kind)
            self.machine = Machine(self.agent, self.images[kind], options)
            if os.environ.get("RESULTS") and "desktop" in options and not self.compositor:
                self.compositor = Compositor(self.machine.guest)
        self.machine.ready()

    def record(self, function, problem):
        """For docs/compatibility.md, when it is to be made from this."""
        for feature in getattr(function, "proves", ()) if self.compositor else ():
            results.record(self.compositor, feature, results.FAIL if problem else results.PASS, problem.split("\n")[0])

    def explain(self, name):
        """Saves logs and returns the tail of the journal."""
        directory = os.path.join(BUILD, "tests", "vm", "logs", name)
        try:
            self.machine.save(directory)
            with open(os.path.join(directory, "journal.log")) as file:
                tail = [line for line in file.read().split("\n") if " session[" not in line][-15:]  # not Xorg's chatter
            return "journal (all logs in %s):\n%s" % (os.path.relpath(directory, TOP), "\n".join(tail))
        except Exception as error:
            return "no logs: %s" % error

    def attempt(self, name, function, options):
        """Runs a test; returns "" when it passed, else what there is to say about the failure."""
        try:
            self.boot(options)
            function(self.machine)
            self.machine.finish_test()
            return ""
        except Skip:
            raise
        except Exception as error:
            text = str(error) if isinstance(error, Failure) else traceback.format_exc()
            where = traceback.extract_tb(error.__traceback__)
            place = [entry for entry in where if "test_" in os.path.basename(entry.filename)]
            if place:
                text = "%s:%d: %s\n%s" % (os.path.basename(place[-1].filename), place[-1].lineno, place[-1].line, text)
            return text + "\n" + (self.explain(name) if self.machine else "")

    def run(self, name, function):
        """A test that fails gets a second attempt in a machine booted anew: emulated guests on a busy host miss
        deadlines. What the first attempt failed of is printed all the same."""
        options = needs(function)
        if getattr(function, "ours_only", False) and not self.agent.ours:
            return self.report(name, "skip (needs our agent)")
        start = time.monotonic()
        try:
            problem = self.attempt(name, function, options)
            if problem and not self.agent.broken:
                sys.stdout.write("    %s failed at the first attempt, once more in a new machine:\n%s" %
                                 (name, indent(problem)))
                self.stop()
                problem = self.attempt(name, function, options)
            self.record(function, problem)
            if problem:
                self.failed += 1
                self.agent.broken = self.machine is None
                self.report(name, "fail", problem)
                self.stop()
            else:
                self.report(name, "pass")
        except Skip as reason:
            self.report(name, "skip (%s)" % reason)
        if getattr(function, "fresh", False):
            self.stop()
        sys.stderr.write("%s: %.1f s\n" % (name, time.monotonic() - start))


def main(tests, agent):
    """Runs (name, function) pairs, those with the same machine after each other. Returns the exit status."""
    kinds = []
    for name, function in tests:
        options = needs(function)
        if options not in kinds:
            kinds.append(options)
    runner = Runner(agent)
    try:
        for options in kinds:
            for name, function in tests:
                if needs(function) == options:
                    runner.run(name, function)
    finally:
        runner.stop()
    return 1 if runner.failed else 0


__all__ = ["BUILD", "Failure", "Skip", "build_client", "fresh", "machine", "ours_only", "proves", "wait_for"]
