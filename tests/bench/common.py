# SPDX-License-Identifier: LGPL-2.1-or-later
"""What both parts of the benchmark measure with: machines side by side, a pointer's cost and delay, rates, results."""

import contextlib
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
import traceback

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "vm"))
sys.dont_write_bytecode = True

import harness
from harness import Failure, wait_for

ECHO = "org.spice-pv.echo.0"
MEGABYTE = 1 << 20


def image(agent, desktop="openbox"):
    """The guest image with this agent and desktop, of the package as it was at first. Asked for anew by each user: of those
    that others build meanwhile only the last ones are kept."""
    os.environ["DEB"] = harness.find_deb()
    return harness.build_image(agent, desktop)


def echo_port(name="echo"):
    """QEMU's arguments for a port of the benchmark's own, the socket NAME.sock in the machine's directory."""
    return ["-chardev", "socket,id=%s,server=on,wait=off,path={dir}/%s.sock" % (name, name), "-device",
            "virtserialport,chardev=%s,name=org.spice-pv.%s.0" % (name, name)]


def quiet(m):
    """Waits until QEMU has used less than a tenth of one CPU for a second."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        before = m.vm.cpu()
        time.sleep(1)
        if m.vm.cpu() - before < 1e8:
            return
    raise Failure("the guest does not become quiet")


@contextlib.contextmanager
def x_stopped(m):
    """Leaves the transport alone in the figures."""
    m.guest.run("pkill -STOP -x Xorg")
    try:
        yield
    finally:
        m.guest.run("pkill -CONT -x Xorg")


def cpu(m):
    """Nanoseconds of CPU by threads: QEMU's by name, which -name debug-threads=on gives them, and spicevmc's."""
    used = {}
    groups = [("", m.vm.pid)] + ([("spicevmc ", m.vm.host.pid)] if m.vm.host else [])
    for prefix, pid in groups:
        for task in os.listdir("/proc/%d/task" % pid):
            with contextlib.suppress(OSError):
                with open("/proc/%d/task/%s/comm" % (pid, task)) as comm, \
                        open("/proc/%d/task/%s/schedstat" % (pid, task)) as spent:
                    name = prefix + comm.read().strip()
                    name = "vCPUs" if name.startswith("CPU ") else name
                    used[name] = used.get(name, 0) + int(spent.read().split()[0])
    return used


def less(after, before, share=1.0):
    return {name: used - share * before.get(name, 0) for name, used in after.items()}


def motion_cpu(m, rate, count):
    """Milliseconds of CPU for 1000 motions, the idle machine's share taken off: {"total": …, thread: …}."""
    counts = m.evdev()
    with x_stopped(m):
        quiet(m)
        first, start = cpu(m), time.monotonic()
        time.sleep(5)
        idle, idle_time = less(cpu(m), first), time.monotonic() - start
        counts("reset")
        before, start = cpu(m), time.monotonic()
        m.client.command("burst", "position", count, rate, timeout=count / rate + 30)
        wait_for(lambda: counts()["motions"] > 0, 5, "motion on evdev")
        time.sleep(0.2)
        used = less(less(cpu(m), before), idle, (time.monotonic() - start) / idle_time)
    parts = {name: round(spent / 1e3 / count, 1) for name, spent in used.items()}
    return dict(total=round(sum(used.values()) / 1e3 / count, 1), **parts)


def percentile(times, percent):
    return sorted(times)[min(len(times) - 1, len(times) * percent // 100)]


@contextlib.contextmanager
def echoing(m):
    """The guest answers each report of the pointer in the echo port. Both daemons of ours have a device of its name."""
    probe = m.probe("echo /dev/virtio-ports/%s '%s' '%s'" % (ECHO, m.agent.pointer, m.agent.pointer))
    try:
        yield
    finally:
        probe.kill(9)
        probe.wait()


def round_trips(m, count, gap):
    """Microseconds from the client's motion to the report's echo. The machine is to be in echoing()."""
    answer = m.client.command("latency", os.path.join(m.vm.dir, "echo.sock"), count, gap, timeout=120)
    times = [t for t in answer["times"] if t >= 0]
    if len(times) < count * 0.9:
        raise Failure("%d of %d positions were lost" % (count - len(times), count))
    return times


def latency(m, count, gap):
    with echoing(m), x_stopped(m):
        quiet(m)
        return round_trips(m, count, gap)


@contextlib.contextmanager
def guest_floor(m, arguments):
    """floor.c runs in the guest."""
    program = os.path.join(harness.BUILD, "tests", "bench", "floor")
    os.makedirs(os.path.dirname(program), exist_ok=True)
    subprocess.run(["cc", "-O2", "-static", "-o", program, os.path.join(TOP, "tests", "bench", "floor.c")], check=True)
    with open(program, "rb") as file:
        m.guest.push(file.read(), "/root/floor")
    m.guest.run("chmod +x /root/floor")
    process = m.guest.start("exec /root/floor " + arguments)
    try:
        if process.line(15) != "ready":
            raise Failure("floor: " + process.describe())
        yield
    finally:
        process.kill(9)
        process.wait()


@contextlib.contextmanager
def floor_for_agent(m):
    """The least possible program has the port instead of the daemon."""
    m.guest.run("systemctl stop spice-agent-system")
    try:
        with guest_floor(m, "/dev/virtio-ports/com.redhat.spice.0 /dev/uinput '%s'" % m.agent.pointer):
            time.sleep(2)  # udev and the X server have seen the device
            yield
            m.finish_test()
    finally:
        m.guest.run("systemctl start spice-agent-system")
        m.client.wait_agent()


@contextlib.contextmanager
def bulk_file(m, megabytes=200):
    """A file beside the machine; gives its path and a function that checks and removes what the guest received."""
    path = os.path.join(m.vm.dir, "bench.bin")
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        data = os.urandom(MEGABYTE)
        for _ in range(megabytes):
            file.write(data)
            digest.update(data)

    def received():
        if m.guest.sha256("/home/alice/Downloads/bench.bin") != digest.hexdigest():
            raise Failure("the file differs")
    try:
        yield path, received
    finally:
        os.unlink(path)
        m.guest.run("rm -f /home/alice/Downloads/bench.bin")


def file_rate(m, megabytes=200):
    """MB/s of one transfer."""
    with bulk_file(m, megabytes) as (path, received):
        start = time.monotonic()
        m.client.command("files", path, timeout=180)
        took = time.monotonic() - start
        received()
    return megabytes * MEGABYTE / 1e6 / took


class Samples:
    """What was measured: values by row and by who."""

    def __init__(self):
        self.rows = {}

    def add(self, name, who, value):
        self.rows.setdefault(name, {}).setdefault(who, []).append(value)

    def take(self, m, who, name, function):
        """Measures one value; one that fails is None, and the rest goes on."""
        sys.stderr.write("%s: %s … " % (who, name))
        sys.stderr.flush()
        start = time.monotonic()
        try:
            value = function()
        except Exception as error:
            text = str(error).split("\n")[0] if isinstance(error, Failure) else traceback.format_exc()
            sys.stderr.write("failed: %s\n" % text)
            value = None
        else:
            sys.stderr.write("%s  [%.0f s]\n" % (value, time.monotonic() - start))
        m.finish_test()
        self.add(name, who, value)
        return value


def summary(samples):
    """Median of what was measured; for bursts the sample with the fewest events."""
    values = [value for value in samples if value is not None]
    if not values:
        return None
    if isinstance(values[0], dict):
        return min(values, key=lambda value: value["evdev"])
    return round(statistics.median(values), 3)
