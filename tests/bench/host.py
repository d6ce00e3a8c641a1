# SPDX-License-Identifier: LGPL-2.1-or-later
"""The host daemon in front of a QEMU without SPICE, beside what QEMU offers itself.

Machines, of the same base image:

ours           spicevmc, agent and pvmouse port
virtio-tablet  QEMU's SPICE without an agent, virtio-tablet
usb-tablet     the same machine while a usb-tablet is plugged in
agent          QEMU's SPICE, our guest agent on its spicevmc port: the agent mouse
vdagent        the same with Debian's spice-vdagent
legacy         spicevmc in front of spice-vdagent, without a pvmouse port
echo, qmp      no SPICE at all: a port whose bytes the guest writes back, and QMP's input-send-event to a virtio-tablet
least          a program (floor.c) that reads a position from a port and writes it to a uinput device: the agent's place
               on QEMU's spicevmc port for what a client does, a plain port for frames. For rates a program (relay.c) in
               spicevmc's place, which does nothing but hand on bytes, with our guest agent

What is compared by time runs at the same time and is measured in turns.
"""

import random
import socket
import struct
from collections import namedtuple

from common import *
import test_pvmouse
import vm
from test_files import start_and_wait_progress
from test_pointer import misses, settle

# From the values measured under the name `source`: what to pick of each, which one stands for all, the peer to
# divide by, and the target, of the ratio or of our own value.
Row = namedtuple("Row", "source unit target peer pick over", defaults=(None, lambda value: value, statistics.median))


def lossless(source, count, unit, peer="virtio-tablet"):
    return Row(source, "%s of %d" % (unit, count), "ours == %d" % count, peer, over=min)


def of(key):
    return lambda value: value[key]


ROWS = {
    "host_clicks": lossless("clicks", 200, "clicks"),
    "host_clicks_during_file": lossless("clicks_during_file", 200, "clicks", "agent"),
    "host_wheel": lossless("wheel", 100, "steps"),
    "host_moved_clicks_in_order": lossless("moved_clicks", 200, "clicks"),
    "host_qmp_clicks": lossless("qmp_clicks", 200, "clicks", None),
    "host_legacy_clicks": lossless("legacy_clicks", 200, "clicks", None),
    "host_qmp_uncounted_losses": Row("qmp_losses", "edges", "ours == 0", over=max),
    "host_legacy_uncounted_losses": Row("legacy_losses", "edges", "ours == 0", over=max),
    "host_exact": lossless("exact", 3000, "points", None),
    "host_motion_p50": Row("motion", "µs", "ratio <= 1.3", "virtio-tablet", of("p50")),
    "host_motion_p99": Row("motion", "µs", None, "virtio-tablet", of("p99")),
    "host_motion_p99_to_p50": Row("motion", "", "ours <= 4", None, lambda value: value["p99"] / value["p50"]),
    "host_motion_p99_in_file_to_quiet": Row("motion_during_file", "", "ours <= 2", "agent",
                                            lambda value: value["p99 in file"] / value["p99"]),
    "host_frame_p50": Row("frame", "µs", "ratio <= 1.2", "echo"),
    "host_cpu_125": Row("cpu_125", "ms/1000", "ratio <= 1.5", "virtio-tablet", of("total")),
    "host_cpu_1000": Row("cpu_1000", "ms/1000", "ratio <= 2", "virtio-tablet", of("total")),
    "host_first_event_p50": Row("first_event", "ms", "ours <= 3", "virtio-tablet"),
    "host_idle_unix": Row("idle_unix", "wake-ups in 32 s", "ours == 0", over=max),
    "host_idle_tcp": Row("idle_tcp", "wake-ups in 32 s", "ours == 0", over=max),
    "host_usb_rate": Row("usb_rate", "MB/s", "ratio >= 0.9", "agent"),
    "host_file_rate": Row("file_rate", "MB/s", "ratio >= 0.9", "agent"),
    "host_rss_peak": Row("rss_peak", "MB", "ours <= 30", over=max),
}
UNITS = {name: row.unit for name, row in ROWS.items()}
TURNS = 2
TABLET, USB_TABLET = "QEMU Virtio Tablet", "QEMU QEMU USB Tablet"
NAMED = ["-name", "vm,debug-threads=on"]  # so that its threads can be told apart
PLAIN = "plain"


# --- machines ---

def boot(stack, directory, pointer=None, **options):
    """`stack` names the guest's agent."""
    who = harness.Agent(stack)
    who.pointer = pointer or who.pointer
    options.setdefault("extra", NAMED + echo_port())
    m = harness.Machine(who, directory, options)
    try:
        m.ready()
    except BaseException:
        m.close()
        raise
    return m


def boot_ours(directory):
    return boot("ours", directory, agent="host", memory=2048,
                host={"qmp": True, "debug": False, "channels": (("vdagent",), ("pvmouse",), ("usbredir",))})


def boot_agent(agent, directory):
    usb = ["-device", "qemu-xhci,id=usb", "-chardev", "spicevmc,id=usbredir,name=usbredir", "-device",
           "usb-redir,chardev=usbredir,bus=usb.0"]
    return boot(agent, directory, memory=2048, extra=NAMED + echo_port() + usb)


@contextlib.contextmanager
def boot_relay(directory):
    """SPICE outside QEMU at its least. The client is connected."""
    program = os.path.join(harness.BUILD, "tests", "bench", "relay")
    build, target = os.path.relpath(harness.BUILD, TOP), os.path.relpath(program, TOP)
    subprocess.run(["make", "-s", "-C", TOP, "BUILD=" + build, target], check=True, stdout=sys.stderr)
    sockets = ["-device", "qemu-xhci,id=usb"]
    for kind, device in (("vdagent", "virtserialport,name=com.redhat.spice.0"), ("usbredir", "usb-redir,bus=usb.0")):
        sockets += ["-chardev", "socket,id=%s,path={dir}/%s.sock,reconnect=1" % (kind, kind), "-device",
                    "%s,chardev=%s" % (device, kind)]
    with contextlib.closing(boot("ours", directory, agent=None, memory=2048, extra=NAMED + echo_port() + sockets)) as m:
        channels = ["%s=%s" % (kind, os.path.join(m.vm.dir, kind + ".sock")) for kind in ("vdagent", "usbredir")]
        with subprocess.Popen([program, m.vm.spice] + channels, stdout=subprocess.PIPE) as process:
            try:
                process.stdout.readline()
                m.client = vm.Client(harness.build_client(), m.vm.dir)
                m.client.connect(m.vm.spice)
                m.client.wait_agent(60)
                yield m
            finally:
                process.kill()


def boot_tablet(directory):
    """The client comes by hand: there is no agent to wait for."""
    spice = ["-spice", "unix=on,disable-ticketing=on,addr={dir}/spice.sock", "-device", "virtio-tablet-pci", "-device",
             "qemu-xhci,id=usb"]
    m = boot("ours", directory, TABLET, agent=None, memory=2048, extra=NAMED + echo_port() + spice)
    try:
        m.client = vm.Client(harness.build_client(), m.vm.dir)
        m.client.connect(m.vm.spice)
        wait_for(lambda: m.client.state()["mouse"] == "client", 20, "the tablet is in use")
    except BaseException:
        m.close()
        raise
    return m


@contextlib.contextmanager
def usb_tablet(m):
    """The tablet that came last is the one that gets the pointer."""
    name, m.agent.pointer = m.agent.pointer, USB_TABLET
    m.vm.qmp.command("device_add", driver="usb-tablet", id="tablet", bus="usb.0")
    try:
        m.guest.until("grep -q '%s' /proc/bus/input/devices" % USB_TABLET, 20)
        time.sleep(2)  # udev and the X server have seen the device
        yield m
    finally:
        m.agent.pointer = name
        m.vm.qmp.command("device_del", id="tablet")
        m.guest.until("! grep -q '%s' /proc/bus/input/devices" % USB_TABLET, 20)


# --- bursts ---

def clicks(m, kind="click", count=200, rate=0):
    counts = m.evdev()
    quiet(m)
    counts("reset")
    m.client.command("burst", kind, count, rate, timeout=60)
    seen = settle(counts)
    return abs(seen["wheel"]) if kind == "wheel" else seen["press"].get("272", 0)


def clicks_during_file(m):
    with bulk_file(m) as (path, received):
        counts = m.evdev()
        transfer = start_and_wait_progress(m, path)
        counts("reset")
        m.client.command("burst", "click", 200, 0)
        settle(counts)
        if not m.client.finish(transfer, 180)["ok"]:
            raise Failure("the transfer failed")
        seen = counts()
        received()
    return seen["press"].get("272", 0)


def pixel(m, value, size):
    """Where a device's value is on an axis of `size` pixels: each kind has a range of its own."""
    if m.agent.pointer in (TABLET, USB_TABLET):
        return round(value * (size - 1) / 32767)
    return value * size // 65536 if m.agent.ours else value


def moved_clicks(m):
    """How many of 200 clicks, each behind a motion, are at the place of that motion, in order."""
    display = m.client.state()["displays"][0]
    quiet(m)
    probe = m.probe("evdev -v '%s' '%s'" % (m.agent.pointer, m.agent.pointer))
    m.client.command("burst", "moved-click", 200, 0, timeout=60)
    time.sleep(3)
    probe.write("counts\n")
    x, y, good, want = 0, 0, 0, 0
    for line in iter(lambda: probe.line(5), None):
        if line.startswith("{"):
            break
        kind, code, value = (int(word) for word in line.split()[-3:])
        if (kind, code) == (3, 0):
            x = value
        elif (kind, code) == (3, 1):
            y = value
        elif (kind, code, value) == (1, 272, 1):
            at = (pixel(m, x, display["width"]), pixel(m, y, display["height"]))
            # A place that was left out is passed over, one that comes late is not counted.
            if at[0] == at[1] and want <= at[0] - 10 < 200:
                good, want = good + 1, at[0] - 10 + 1
    return good


def losses(m, sink):
    """Edges of 200 clicks without a pause that neither arrived nor were counted as lost."""
    def lost():
        return m.vm.host.status()["counters"]["pointer-%s-lost" % sink]
    counts = m.evdev()
    quiet(m)
    counts("reset")
    before = lost()
    m.client.command("burst", "click", 200, 0, timeout=60)
    seen = settle(counts)
    return 400 - sum(seen["press"].values()) - sum(seen["release"].values()) - (lost() - before)


@contextlib.contextmanager
def qmp_sink(m):
    """No pvmouse daemon in the guest: QEMU's tablet is next."""
    name, m.agent.pointer = m.agent.pointer, TABLET
    m.guest.run("systemctl stop spice-pvmouse")
    try:
        m.vm.host.wait_sink("qmp")
        yield m
    finally:
        m.agent.pointer = name
        m.guest.run("systemctl start spice-pvmouse")
        m.vm.host.wait_sink("pvmouse")


# --- exactness ---

SIZES = ((1200, 700), (800, 600))
LAYOUTS = ("--right-of {first}", "--left-of {first}", "--pos 217x{below}")


def origins(m, names):
    found = {}
    for line in m.guest.run("xrandr", user="alice").split("\n"):
        place = [word for word in line.split() if word.count("+") == 2 and "x" in word]
        if place and line.split()[0] in names:
            found[line.split()[0]] = tuple(int(part) for part in place[0].split("+")[1:])
    return [found.get(name) for name in names]


def lay_out(m, layout):
    """Puts the second output where `layout` says; returns the origin of each."""
    lines = m.guest.run("xrandr", user="alice").split("\n")
    first, second = [line.split()[0] for line in lines if " connected" in line]
    m.guest.run("xrandr --output %s --pos 0x0 --output %s --pos %dx0" % (first, second, SIZES[0][0]), user="alice")
    m.guest.run("xrandr --output %s %s" % (second, layout.format(first=first, below=SIZES[0][1])), user="alice")
    shown = [(d["width"], d["height"]) for d in m.client.state()["displays"]]
    if shown != list(SIZES):
        raise Failure("the client has %s" % shown)
    return origins(m, (first, second))


def exact(m):
    chance = random.Random(3)
    for number, (w, h) in enumerate(SIZES):
        m.client.command("monitor", number, number * SIZES[0][0], 0, w, h)
    m.client.command("send")
    wait_for(lambda: [(d["width"], d["height"]) for d in m.client.state()["displays"]] == list(SIZES), 20,
             lambda: "the client's displays: %s" % m.client.state()["displays"])
    pointer = m.pointer()
    good, seen = 0, []
    for layout in LAYOUTS:
        places = lay_out(m, layout)
        if places in seen:
            raise Failure("%s has changed nothing: %s" % (layout, places))
        seen.append(places)
        wait_for(lambda: not misses(m, pointer, [(1, 1), (9, 9)], 0, places[0]) and
                 not misses(m, pointer, [(1, 1), (9, 9)], 1, places[1]), 10, "layout " + layout)
        for display, (w, h) in enumerate(SIZES):
            points = [(chance.randrange(w), chance.randrange(h)) for _ in range(500)]
            wrong = misses(m, pointer, points, display, places[display], 100)
            sys.stderr.write("".join("\n  %s: %s" % (layout, text) for text in wrong))
            good += len(points) - len(wrong)
    return good


# --- times ---

def motion(m):
    times = latency(m, 400, 10)
    return {"p50": statistics.median(times), "p99": percentile(times, 99)}


def motion_during_file(m):
    """The 99th percentile while a file is on its way, and just before."""
    with bulk_file(m) as (path, received), echoing(m), x_stopped(m):
        quiet(m)
        before = round_trips(m, 300, 5)
        mark = m.client.mark()
        transfer = start_and_wait_progress(m, path)
        times = []
        while not any(event["event"] == "file" and event["finished"] for event in m.client.events[mark:]):
            times += round_trips(m, 25, 5)
        if not m.client.finish(transfer, 180)["ok"]:
            raise Failure("the transfer failed")
        received()
    if len(times) < 200:
        raise Failure("%d motions during the file" % len(times))
    return {"p99": percentile(before, 99), "p50": statistics.median(before), "p99 in file": percentile(times, 99),
            "p50 in file": statistics.median(times), "motions in file": len(times)}


def first_event(m):
    return statistics.median(latency(m, 3, 3500)) / 1000


def trips(send, echo, count):
    """Median of microseconds from send(number) until bytes come."""
    times = []
    echo.settimeout(2)
    for number in range(count):
        time.sleep(0.005)
        start = time.perf_counter_ns()
        send(number)
        echo.recv(4096)
        times.append((time.perf_counter_ns() - start) / 1000)
    return statistics.median(times)


def connect(m, name):
    return contextlib.closing(vm.unix_connect(os.path.join(m.vm.dir, name + ".sock")))


def frame_ours(m, count):
    """From a frame in the pvmouse socket to the report's echo."""
    m.agent.pointer = "SPICE pvmouse"
    host = test_pvmouse.open_port(m)
    with echoing(m), x_stopped(m), connect(m, "echo") as echo:
        quiet(m)
        return trips(lambda number: host.state(1000 + 100 * number, 2000 + 50 * number), echo, count)


def frame_qmp(m, count):
    """From QMP's input-send-event to the report's echo."""
    m.agent.pointer = TABLET
    with echoing(m), x_stopped(m), connect(m, "echo") as echo, connect(m, "bench-qmp") as qmp:
        def send(number):
            events = [{"type": "abs", "data": {"axis": axis, "value": 500 + 40 * number}} for axis in ("x", "y")]
            qmp.recv(65536)  # the answer to the one before
            qmp.sendall(json.dumps({"execute": "input-send-event", "arguments": {"events": events}}).encode() + b"\n")
        qmp.recv(65536)
        qmp.sendall(b'{"execute": "qmp_capabilities"}\n')
        quiet(m)
        return trips(send, echo, count)


def frame_echo(m, count):
    """As many bytes into a port whose reader writes them back."""
    with connect(m, PLAIN) as port, guest_floor(m, "/dev/virtio-ports/org.spice-pv.%s.0" % PLAIN), x_stopped(m):
        quiet(m)
        return trips(lambda number: port.sendall(bytes(24)), port, count)


def frame_least(m, count):
    """The same with a program that does the least possible between the port and the report."""
    port = "/dev/virtio-ports/org.spice-pv.%s.0" % PLAIN
    m.agent.pointer = "floor"
    with connect(m, PLAIN) as sock, guest_floor(m, port + " /dev/uinput floor"):
        def send(number):
            sock.sendall(bytes(12) + struct.pack("<I12xIII", 1, 100 + number, 200 + number, 0) + bytes(1))
        with echoing(m), x_stopped(m), connect(m, "echo") as echo:
            quiet(m)
            return trips(send, echo, count)


# --- rates, idling ---

def usb_rate(m, megabytes=24):
    path = os.path.join(m.vm.dir, "cd.iso")
    data = os.urandom(MEGABYTE) * megabytes
    with open(path, "wb") as file:
        file.write(data)
    m.client.command("disconnect")
    m.client.connect(m.vm.spice, "enable-usbredir=yes")
    try:
        m.client.wait_agent()
        m.client.command("share-cd", path, timeout=30)
        m.guest.until("[ -b /dev/sr0 ] && [ $(cat /sys/block/sr0/size) -ge %d ]" % (megabytes * 2048), 30)
        took = []
        for _ in range(4):
            m.guest.run("rm -f /dev/shm/cd; echo 3 >/proc/sys/vm/drop_caches")
            quiet(m)
            start = time.monotonic()
            m.guest.run("dd if=/dev/sr0 of=/dev/shm/cd bs=256k status=none", timeout=120)
            took.append(time.monotonic() - start)
        if m.guest.sha256("/dev/shm/cd") != hashlib.sha256(data).hexdigest():
            raise Failure("the CD reads differently")
        m.client.command("unshare")
    finally:
        os.unlink(path)
        m.guest.run("rm -f /dev/shm/cd")
        m.reconnect()
    # The first does not count: what runs for the first time is translated by the emulator, and udev looks at a new drive, too.
    return len(data) / 1e6 / statistics.median(took[1:])


def switches(pid):
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        with contextlib.suppress(OSError), open("/proc/%d/task/%s/status" % (pid, task)) as file:
            total += sum(int(line.split()[1]) for line in file if "voluntary_ctxt_switches" in line)
    return total


def wakeups(m, seconds=32):
    """All threads of spicevmc. Longer than two pings are apart."""
    time.sleep(20)  # what came before has been settled
    quiet(m)
    before = switches(m.vm.host.pid)
    time.sleep(seconds)
    return switches(m.vm.host.pid) - before


def wakeups_tcp(m):
    """The same machine, the daemon anew with a port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    host = m.vm.host
    was = list(host.args)
    host.args[host.args.index("--listen") + 1] = "tcp:127.0.0.1:%d" % port
    m.client.command("disconnect")
    host.stop()
    try:
        host.start()
        mark = m.client.mark()
        m.client.command("connect", "tcp", "127.0.0.1", port)
        m.client.wait_event("channel", mark, 20, type="inputs", state="opened")
        m.client.wait_agent()
        host.wait_sink("pvmouse")
        return wakeups(m)
    finally:
        m.client.command("disconnect")
        host.stop()
        host.args = was
        host.start()
        m.client.connect(m.vm.spice)
        m.client.wait_agent()


# --- rounds ---

# What machines of these names measure; those with a virtio-tablet do it with a usb-tablet too where that is comparable.
BURSTS = {"clicks": clicks, "wheel": lambda m: clicks(m, "wheel", 100), "moved_clicks": moved_clicks,
          "clicks_during_file": clicks_during_file}
TIMED = {"motion": motion, "cpu_125": lambda m: motion_cpu(m, 125, 500),
         "cpu_1000": lambda m: motion_cpu(m, 1000, 2000), "first_event": first_event}
BULK = {"motion_during_file": motion_during_file, "usb_rate": usb_rate, "file_rate": file_rate}
FRAMES = {"ours": frame_ours, "echo": frame_echo, "least": frame_least, "qmp": frame_qmp}
LEAST = {"motion", "cpu_125", "cpu_1000"}
RATES = {"usb_rate", "file_rate"}
WITH_USB = {"clicks", "wheel", "moved_clicks", "first_event"}


class Round:
    """One round of the rows that are wanted, all if none is named."""

    def __init__(self, wanted, samples):
        self.wanted = wanted
        self.samples = samples

    def want(self, *sources):
        return any(row.source in sources and (not self.wanted or name in self.wanted) for name, row in ROWS.items())

    def take(self, who, m, source, function):
        if self.want(source):
            self.samples.take(m, who, source, lambda: function(m))

    @contextlib.contextmanager
    def machine(self, who, m):
        """Closed at the end, the daemon's memory noted."""
        with contextlib.closing(m):
            yield m
            if m.vm.host:
                self.samples.add("rss_peak", who, m.vm.host.rss_peak() / 1024)

    def side_by_side(self):
        with contextlib.ExitStack() as stack:
            ours = stack.enter_context(self.machine("ours", boot_ours(image("ours"))))
            tablet = stack.enter_context(self.machine("virtio-tablet", boot_tablet(image("ours"))))
            agent = stack.enter_context(self.machine("agent", boot_agent("ours", image("ours"))))
            least = None
            if self.want(*LEAST):
                least = stack.enter_context(self.machine("least", boot_agent("ours", image("ours"))))
                stack.enter_context(floor_for_agent(least))
            relay = None
            if self.want(*RATES):
                relay = stack.enter_context(boot_relay(image("ours")))
            for turn in range(TURNS):
                for source, function in (TIMED if turn else {**BURSTS, **TIMED}).items():
                    self.take("ours", ours, source, function)
                    self.take("agent", agent, source, function)
                    if least and source in LEAST:
                        self.take("least", least, source, function)
                    if source != "clicks_during_file":
                        self.take("virtio-tablet", tablet, source, function)
                    if source in WITH_USB and self.want(source):
                        with usb_tablet(tablet):
                            self.take("usb-tablet", tablet, source, function)
                for source, function in BULK.items():
                    self.take("ours", ours, source, function)
                    self.take("agent", agent, source, function)
                    if relay and source in RATES:
                        self.take("least", relay, source, function)
            if self.want("qmp_clicks", "qmp_losses"):
                with qmp_sink(ours):
                    self.take("ours", ours, "qmp_clicks", lambda m: clicks(m, rate=50))
                    self.take("ours", ours, "qmp_losses", lambda m: losses(m, "qmp"))
            self.take("ours", ours, "idle_unix", wakeups)
            self.take("ours", ours, "idle_tcp", wakeups_tcp)

    def frames(self):
        extra = NAMED + echo_port() + echo_port(PLAIN) + ["-device", "virtio-tablet-pci", "-qmp",
                                                          "unix:{dir}/bench-qmp.sock,server=on,wait=off"]
        with self.machine("frame", boot("ours", image("ours"), agent=None, pvmouse=True, extra=extra)) as m:
            for _ in range(2 * TURNS):
                for who, function in FRAMES.items():
                    self.take(who, m, "frame", lambda m: function(m, 300))

    def two_heads(self):
        options = {"agent": "host", "heads": 2, "cmdline": "video=Virtual-2:1024x768e",
                   "host": {"displays": ("1024x768", "1024x768")}}
        with self.machine("ours", boot("ours", image("ours"), **options)) as m:
            self.take("ours", m, "exact", exact)

    def legacy(self):
        options = {"agent": "host", "host": {"channels": (("vdagent",),)}}
        with self.machine("ours", boot("vdagent", image("vdagent"), **options)) as m:
            m.vm.host.wait_sink("legacy")
            self.take("ours", m, "legacy_clicks", lambda m: clicks(m, rate=50))
            self.take("ours", m, "legacy_losses", lambda m: losses(m, "legacy"))

    def vdagent(self):
        with self.machine("vdagent", boot_agent("vdagent", image("vdagent"))) as m:
            for source, function in BURSTS.items():
                self.take("vdagent", m, source, function)


def measure(wanted, samples):
    """One round. What fails as a whole leaves None in its rows, and the rest goes on."""
    this = Round(wanted, samples)
    phases = {this.side_by_side: [*BURSTS, *TIMED, *BULK, "qmp_clicks", "qmp_losses", "idle_unix", "idle_tcp"],
              this.frames: ["frame"], this.two_heads: ["exact"], this.legacy: ["legacy_clicks", "legacy_losses"],
              this.vdagent: list(BURSTS)}
    for phase, sources in phases.items():
        if not this.want(*sources):
            continue
        try:
            phase()
        except Exception:
            traceback.print_exc()
            for source in sources:
                if this.want(source) and source not in samples.rows:
                    samples.add(source, "ours", None)


def met(target, ours, ratio):
    """Whether "SUBJECT OPERATOR NUMBER" holds; None without figures."""
    subject, operator, number = target.split()
    value = ours if subject == "ours" else ratio
    if value is None:
        return None
    return {"==": value == float(number), "<=": value <= float(number), ">=": value >= float(number)}[operator]


def parts(values):
    """Medians of the parts of values that are more than a number."""
    known = [value for value in values if isinstance(value, dict)]
    keys = known[0] if known else ()
    return {key: round(statistics.median(value.get(key, 0) for value in known), 1) for key in keys}


def report(samples):
    rows = []
    for name, row in ROWS.items():
        by_who = samples.rows.get(row.source, {})
        picked = {who: [None if value is None else row.pick(value) for value in values]
                  for who, values in by_who.items()}
        figures = {who: round(row.over([value for value in values if value is not None]), 3)
                   for who, values in picked.items() if any(value is not None for value in values)}
        if "ours" not in by_who:
            continue
        # Turns are pairs: ratios drift less than what they are made of.
        pairs = [(a, b) for a, b in zip(picked["ours"], picked.get(row.peer, [])) if a is not None and b]
        ratio = round(statistics.median(a / b for a, b in pairs), 3) if pairs else None
        ours = figures.get("ours")
        good = met(row.target, ours, ratio) if row.target else None
        rows.append({"name": name, "ours": ours, "peer": figures.get(row.peer), "ratio": ratio, "unit": row.unit,
                     "target": row.target, "met": good, "figures": figures,
                     "parts": {who: parts(values) for who, values in by_who.items()}, "samples": by_who})
        others = ", ".join("%s %g" % (who, value) for who, value in figures.items() if who != "ours")
        print("%-34s ours %-8s %-70s %s%s%s" % (
            name, ours, others, row.unit, "  ratio %.2f" % ratio if ratio is not None else "",
            "" if row.target is None else "  (%s: %s)" % (row.target, "met" if good else "MISSED")))
        if row.source.startswith("cpu"):
            for who, values in by_who.items():
                print("%34s %s: %s" % ("", who, ", ".join("%s %g" % part for part in parts(values).items())))
    return rows
