# SPDX-License-Identifier: LGPL-2.1-or-later
"""spice-agent-manage beside QEMU's guest agent, in one guest and measured in turns: a round trip, how fast a file and a
program's output come, memory."""

import contextlib
import statistics
import time

from common import Failure, harness, image, quiet
import guestagent

# Unit, and what is wanted: of ours divided by the peer's, or of ours alone.
ROWS = {
    "manage_ping_p50": ("µs", "ratio <= 1.1"),
    "manage_file_read": ("MB/s", "ratio >= 1"),
    "manage_exec_output": ("MB/s", "ratio >= 1"),
    "manage_rss": ("kB", "ours <= 8192"),
    "manage_rss_anon": ("kB", "ours <= 2048"),
    "manage_idle": ("wake-ups in 10 s", "ours == 0"),
}
UNITS = {name: unit for name, (unit, _) in ROWS.items()}
TURNS, PINGS = 5, 300
FILE, OUTPUT = 48 << 20, 16 << 20
PORTS = {"ours": guestagent.OURS, "qemu-ga": guestagent.REFERENCE}


def seconds(client, command, size, **arguments):
    """Until the answer is there, which has this many bytes in base 64."""
    start = time.monotonic()
    client.send(guestagent.request(command, **arguments))
    received, last = 0, b""
    while not last.endswith(b"\n"):
        last = client.socket.recv(1 << 20)
        if not last:
            raise Failure("the port was closed")
        received += len(last)
    took = time.monotonic() - start
    if received < size * 4 // 3:
        raise Failure("%d bytes of an answer" % received)
    return took


def ping(m, port):
    data = guestagent.request("guest-ping")
    times = []
    with guestagent.client(m, port) as client:
        for _ in range(PINGS):
            start = time.monotonic()
            client.send(data)
            client.line()
            times.append(time.monotonic() - start)
    return statistics.median(times) * 1e6


def file_read(m, port):
    with guestagent.client(m, port, 120) as client:
        handle = client.call("guest-file-open", path="/srv/large")
        took = seconds(client, "guest-file-read", FILE, handle=handle, count=FILE)
        client.call("guest-file-close", handle=handle)
    return FILE / 1e6 / took


def exec_output(m, port):
    """The program ends before the clock is started: what is measured is its output on the way to the host."""
    with guestagent.client(m, port, 120) as client:
        number = client.call("guest-exec", path="/bin/cat", arg=["/srv/output"], capture_output=True)["pid"]
        m.guest.until("! pgrep -f '^/bin/cat /srv/output'")
        quiet(m)
        took = seconds(client, "guest-exec-status", OUTPUT, pid=number)
    return OUTPUT / 1e6 / took


def idle(m, port):
    def switches():
        return int(m.guest.run("cat /proc/%d/task/*/status | awk '/^voluntary_ctxt_switches:/ {n += $2} END {print n}'"
                               % guestagent.pid(m, port)))

    before = switches()
    time.sleep(10)
    return switches() - before


MEASURES = {
    "manage_rss": lambda m, port: guestagent.status(m, "VmRSS", port),
    "manage_rss_anon": lambda m, port: guestagent.status(m, "RssAnon", port),
    "manage_idle": idle,
    "manage_ping_p50": ping,
    "manage_file_read": file_read,
    "manage_exec_output": exec_output,
}


def measure(wanted, samples):
    with contextlib.closing(harness.Machine(harness.Agent("ours"), image("ours"), guestagent.GUEST)) as m:
        guestagent.configure(m, "all")
        guestagent.start_reference(m)
        m.guest.run("head -c %d /dev/urandom >/srv/large; head -c %d /srv/large >/srv/output" % (FILE, OUTPUT))
        quiet(m)
        for name, function in MEASURES.items():
            for _ in range(TURNS if name in ("manage_ping_p50", "manage_file_read", "manage_exec_output") else 1):
                for who, port in PORTS.items():
                    if not wanted or name in wanted:
                        samples.take(m, who, name, lambda: function(m, port))


def report(samples):
    rows = []
    for name, by_who in samples.rows.items():
        unit, target = ROWS[name]
        ours, peer = ([value for value in by_who.get(who, []) if value is not None] for who in PORTS)
        pairs = [a / b for a, b in zip(by_who["ours"], by_who["qemu-ga"]) if a is not None and b]
        ratio = round(statistics.median(pairs), 3) if pairs else None
        ours, peer = (round(statistics.median(values), 1) if values else None for values in (ours, peer))
        rows.append({"name": name, "ours": ours, "peer": peer, "ratio": ratio, "unit": unit, "target": target,
                     "samples": by_who})
        print("%-20s ours %-10s qemu-ga %-10s %s%s  (%s)" % (
            name, ours, peer, unit, "  ratio %.2f" % ratio if ratio is not None else "", target))
    return rows
