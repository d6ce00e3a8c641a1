# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guest stack beside Debian's spice-vdagent, both behind QEMU's own SPICE: the same base image, boots in turn.

The agents' machines run at the same time where the pointer is timed, and are measured in turns of seconds; a third one
has in place of our daemon a program that does the least possible (floor.c), whose cost is not the agent's.
"""

from common import *

SIZES = ((801, 601), (1366, 768), (1500, 900))


def port_counters(m):
    """What our system daemon saw on the port; the incumbent does not count."""
    if not m.agent.ours:
        return {}
    text = m.guest.run("busctl get-property --json=short org.spice_space.Agent1 /org/spice_space/Agent1 "
                       "org.spice_space.Agent1 Counters")
    return json.loads(text)["data"]


def burst(m, kind, count):
    counts = m.evdev()
    quiet(m)
    counts("reset")
    before = port_counters(m)
    m.client.command("burst", kind, count, 0, timeout=60)
    time.sleep(3)
    seen, after = counts(), port_counters(m)
    arrived = sum(seen["press"].values()) if kind == "click" else abs(seen["wheel"])
    result = {"evdev": arrived, "dropped": seen["dropped"]}
    if after:
        result["port"] = {name: after[name] - before[name] for name in ("mouse-states", "pointer-presses", "pointer-turns")}
    return result


def exact(m):
    """How many of 36 corner and edge points, of every tenth column and of every tenth row X sees where they were sent."""
    pointer = m.probe("pointer", "alice")
    display = m.client.state()["displays"][0]
    w, h = display["width"], display["height"]
    xs, ys = (0, 1, w // 3, w // 2, w - 2, w - 1), (0, 1, h // 3, h // 2, h - 2, h - 1)
    good = 0
    for x, y in [(x, y) for x in xs for y in ys]:
        m.client.position(x, y)
        want, got = (x, y), None
        end = time.monotonic() + 0.5
        while time.monotonic() < end and got != want:
            pointer.write("?\n")
            line = pointer.line()
            while line is not None and not line.startswith("="):
                line = pointer.line()
            got = tuple(int(word) for word in line.split()[1:])
        good += got == want
    return good


def status_kb(m, program, key, user="root"):
    return int(m.guest.run("grep %s: /proc/%d/status" % (key, m.pid(program, user))).split()[1])


def wakeups(m, seconds=10):
    """Context switches of all threads of the agent's processes while nothing happens."""
    script = " ".join("$(pgrep -f '^(/[^ ]*/)?%s( |$)')" % p for p in (m.agent.daemon, m.agent.session))
    read = "for p in %s; do cat /proc/$p/task/*/status; done | awk '/ctxt_switches/ { n += $2 } END { print n }'" % script
    time.sleep(20)  # GLib's spare threads end 15 s after their last work
    quiet(m)
    first = int(m.guest.run(read))
    time.sleep(seconds)
    return int(m.guest.run(read)) - first


def clipboard_to_guest(m, data):
    m.client.offer(data)
    m.guest.until("timeout 5 xclip -selection clipboard -o -t TARGETS | grep -q UTF8_STRING", user="alice")
    start = time.monotonic()
    m.guest.run("timeout 60 xclip -selection clipboard -o >/dev/shm/pasted", user="alice", timeout=70)
    took = time.monotonic() - start
    if m.guest.sha256("/dev/shm/pasted") != hashlib.sha256(data).hexdigest():
        raise Failure("the pasted data differ")
    return took


def clipboard_to_client(m, data):
    mark = m.client.mark()
    # Not what the client has copied itself: an agent may well see that, and leave the client's clipboard alone.
    data = b"!" + data[1:]
    m.guest.run("printf '!' | dd of=/dev/shm/pasted conv=notrunc status=none", user="alice")
    m.guest.run("xclip -selection clipboard -i /dev/shm/pasted", user="alice", timeout=60)
    m.client.wait_event("grab", mark, selection=0)
    start = time.monotonic()
    got = m.client.fetch(m.client.TEXT, timeout=60)
    took = time.monotonic() - start
    if got != data:
        raise Failure("the fetched data differ")
    m.guest.run("rm /dev/shm/pasted")
    return took


def resize(m):
    """The longest of the resizes asked by the client, in seconds; None when one is not followed within 10 s."""
    worst = 0
    for w, h in SIZES:
        m.client.command("monitor", 0, 0, 0, w, h)
        start = time.monotonic()
        m.client.command("send")
        wide = range(w - 8, w + 1)

        def there():
            words = m.guest.run("xrandr | head -n 1", user="alice").replace(",", "").split()
            at = words.index("current")
            return int(words[at + 1]) in wide and int(words[at + 3]) == h
        try:
            wait_for(there, 10, "%dx%d" % (w, h), 0.1)
        except Failure:
            return None
        worst = max(worst, time.monotonic() - start)
    return worst


def boot(agent):
    return harness.Machine(agent, image(agent.name), {"display": "virtio", "memory": 2048, "extra": echo_port()})


TIMED = {"motion_cpu_125": lambda m: motion_cpu(m, 125, 500)["total"],
         "motion_cpu_1000": lambda m: motion_cpu(m, 1000, 2000)["total"],
         "motion_echo_p50": lambda m: statistics.median(latency(m, 150, 10)),
         "first_event_p50": lambda m: statistics.median(latency(m, 3, 3500)) / 1000}
TURNS = 2


def measure_pointer(agents, wanted, samples):
    """The pointer's rows, all machines at once and in turns."""
    rows = [name for name in TIMED if not wanted or name in wanted]
    if not rows:
        return
    with contextlib.ExitStack() as stack:
        machines = {}
        for agent in agents:
            machines[agent.name] = stack.enter_context(contextlib.closing(boot(agent)))
            if agent.ours:
                machines["floor"] = stack.enter_context(contextlib.closing(boot(agent)))
        for m in machines.values():
            m.ready()
        if "floor" in machines:
            stack.enter_context(floor_for_agent(machines["floor"]))
        for _ in range(TURNS):
            for name in rows:
                for who, m in machines.items():
                    samples.take(m, who, name, lambda: TIMED[name](m))


def measure_agent(agent, wanted, samples):
    rows = {
        "session_rss_idle": lambda: status_kb(m, agent.session, "VmRSS", "alice") / 1024,
        "idle_wakeups": lambda: wakeups(m),
        "pointer_exact_of_36": lambda: exact(m),
        "clicks_of_200": lambda: burst(m, "click", 200),
        "wheel_of_100": lambda: burst(m, "wheel", 100),
        "clipboard_to_guest": lambda: clipboard_to_guest(m, data),
        "clipboard_to_client": lambda: clipboard_to_client(m, data),
        "system_rss_peak": lambda: status_kb(m, agent.daemon, "VmHWM") / 1024,
        "file_200_mb": lambda: file_rate(m),
        "resize_virtio": lambda: resize(m),
    }
    rows = {name: function for name, function in rows.items() if not wanted or name in wanted}
    data = (b"0123456789abcdef" * 4095 + b"spice clipboard\n") * 763
    data += b"x" * (50 * 1000 * 1000 - len(data))
    if rows:
        with contextlib.closing(boot(agent)) as m:
            m.ready()
            quiet(m)
            for name, function in rows.items():
                samples.take(m, agent.name, name, function)
    if not wanted or "resize_qxl" in wanted:
        with contextlib.closing(harness.Machine(agent, image(agent.name), {"display": "qxl"})) as m:
            m.ready()
            samples.take(m, agent.name, "resize_qxl", lambda: resize(m))


UNITS = {"session_rss_idle": "MB", "system_rss_peak": "MB", "idle_wakeups": "in 10 s", "pointer_exact_of_36": "points",
         "motion_cpu_125": "ms/1000", "motion_cpu_1000": "ms/1000", "motion_echo_p50": "µs", "first_event_p50": "ms",
         "clicks_of_200": "events", "wheel_of_100": "steps", "clipboard_to_guest": "s", "clipboard_to_client": "s",
         "file_200_mb": "MB/s", "resize_virtio": "s", "resize_qxl": "s"}


def measure(wanted, samples, names=("vdagent", "ours")):
    """One round of all rows."""
    agents = [harness.Agent(name) for name in names]
    measure_pointer(agents, wanted, samples)
    for agent in agents:
        measure_agent(agent, wanted, samples)


def report(samples, units=UNITS):
    rows = []
    for name, by_agent in samples.rows.items():
        ours, peer, least = (summary(by_agent.get(who, [])) for who in ("ours", "vdagent", "floor"))
        ratio = round(ours / peer, 3) if isinstance(ours, float) and isinstance(peer, float) and peer > 0 else None
        rows.append({"name": name, "ours": ours, "peer": peer, "ratio": ratio, "unit": units[name], "floor": least,
                     "samples": by_agent})
        print("%-30s ours %-28s spice-vdagent %-28s %s  %s%s" % (
            name, ours, peer, units[name], "ratio %.2f" % ratio if ratio is not None else "",
            ", the least possible %s" % least if least is not None else ""))
    return rows
