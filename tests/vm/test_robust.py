# SPDX-License-Identifier: LGPL-2.1-or-later
"""What must survive: unplugged port, paused VM, killed processes, a jumping clock; and what it costs to be idle."""

import time

from harness import *
from test_clipboard import copy, offer, paste, same
from test_files import restart_session_daemon
from test_pointer import misses


steps = [0]


def works(m, text, timeout=20):
    """Pointer and clipboard, both ways."""
    m.client.wait_agent()

    def both():
        try:
            copy(m, text + b" from guest")
            return m.client.fetch() == text + b" from guest"
        except Failure:
            return False
    wait_for(both, timeout, "guest clipboard", 0.3)
    offer(m, text + b" from client", m.client.TEXT, "UTF8_STRING")
    same(paste(m), text + b" from client")
    counts = m.evdev()
    # Two positions may be seen as the last one alone, which must then be another than last time.
    steps[0] += 1
    m.client.position(200, 200)
    m.client.position(250 + steps[0], 260)
    wait_for(lambda: counts()["motions"] > 0, 5, lambda: "no motion: %s" % counts())


def test_port_unplugged_and_back(m):
    m.vm.qmp.command("device_del", id="agentport")
    wait_for(lambda: any(event["event"] == "DEVICE_DELETED" and event["data"].get("device") == "agentport"
                         for event in m.vm.qmp.events), 10, "port removed")
    m.guest.until("[ ! -e /dev/virtio-ports/com.redhat.spice.0 ]", 10)
    m.client.wait_no_agent()
    time.sleep(1)
    m.vm.qmp.command("device_add", driver="virtserialport", chardev="vdagent", name="com.redhat.spice.0",
                     id="agentport")
    works(m, b"after unplug")


@ours_only
def test_port_in_use(m):
    """Another program has the port: said once, and tried again until it is free."""
    m.guest.run("systemctl stop spice-agent-system")
    holder = m.guest.start("exec sleep 1000 <>/dev/virtio-ports/com.redhat.spice.0")
    m.guest.until("ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q $(readlink -f /dev/virtio-ports/com.redhat.spice.0)", 10)
    m.guest.run("systemctl start spice-agent-system")
    m.guest.until("journalctl -b -o cat -u spice-agent-system | grep -q 'in use by another program'", 20)
    daemon = m.pid(m.agent.daemon)
    time.sleep(12)
    lines = m.guest.run("journalctl -o cat _PID=%d | grep -c 'in use by another program' || true" % daemon).strip()
    if m.pid(m.agent.daemon) != daemon or lines != "1":
        raise Failure("daemon %d, now %d, told %s times" % (daemon, m.pid(m.agent.daemon), lines))
    holder.kill(9)
    works(m, b"after a busy port")


def test_paused_and_resumed(m):
    m.vm.qmp.command("stop")
    for step in range(100):
        m.client.position(step, step)
    m.client.offer(b"while paused")
    time.sleep(3)
    m.vm.qmp.command("cont")
    works(m, b"after pause")


def test_clock_jump(m):
    m.guest.run("date -s '+3 hours'")
    works(m, b"after forward jump")
    m.guest.run("date -s '-5 hours'")
    works(m, b"after backward jump")


def test_client_reconnects(m):
    for step in range(5):
        m.reconnect()
    works(m, b"after reconnects")


def test_x_server_killed(m):
    m.guest.run("pkill -9 -x Xorg")
    m.guest.until("! systemctl is-active -q session-alice@7.service", 30)
    m.session("alice")
    works(m, b"after X", 40)


def test_system_daemon_killed(m):
    old = m.pid(m.agent.daemon)
    m.guest.run("kill -9 %d" % old)
    if not m.agent.ours:
        m.guest.run("systemctl restart spice-vdagentd.service")
    wait_for(lambda: m.guest.ok("pgrep -f '^(/[^ ]*/)?%s( |$)'" % m.agent.daemon), 10, "the system daemon is back", 0.2)
    works(m, b"after daemon")


@ours_only
def test_session_daemon_killed(m):
    """However it is killed, but by its unit, another one takes its place."""
    for signal in 9, 15:
        start = time.monotonic()
        restart_session_daemon(m, signal)
        took = time.monotonic() - start
        if took > 3:  # 2 s, and a good many commands in an emulated guest
            raise Failure("back %.1f s after signal %d" % (took, signal))
    works(m, b"after session daemon")


def switches(m, pid):
    """How often the process has run: a wake-up is a context switch."""
    text = m.guest.run("cat /proc/%d/task/*/status" % pid)
    return sum(int(line.split()[1]) for line in text.split("\n") if "ctxt_switches" in line)


def test_idle_without_wakeups(m):
    works(m, b"before idling")
    time.sleep(12)  # timeouts of what was done before are over then
    names = [m.agent.daemon, m.agent.session]
    before = [switches(m, m.pid(name)) for name in names]
    time.sleep(10)
    woken = {name: switches(m, m.pid(name)) - old for name, old in zip(names, before)}
    if any(woken.values()):
        raise Failure("wake-ups in 10 idle seconds: %s" % woken)


@ours_only
def test_memory(m):
    """Idle session daemon at most 12 MB; the system daemon at most 8 MB after 50 MB went through."""
    offer(m, b"0123456789abcdef" * (50 << 16), m.client.TEXT, "UTF8_STRING")
    got = m.guest.run("timeout 100 %s | wc -c" % m.guest.desktop.paste(), user="alice", timeout=110)
    if int(got) != 50 << 20:
        raise Failure("%s bytes were pasted" % got.strip())
    peak = int(m.guest.run("awk '/VmHWM/ {print $2}' /proc/%d/status" % m.pid(m.agent.daemon)))
    m.guest.run("kill -9 %d" % m.pid(m.agent.session))
    works(m, b"fresh")
    time.sleep(2)
    idle = int(m.guest.run("awk '/VmRSS/ {print $2}' /proc/%d/status" % m.pid(m.agent.session)))
    if peak > 8 << 10 or idle > 12 << 10:
        raise Failure("system daemon peak %d KiB, session daemon idle %d KiB" % (peak, idle))


def test_no_failed_units(m):
    failed = m.guest.run("systemctl --failed --no-legend --plain")
    if failed.strip():
        raise Failure(failed)


@machine(agent=None)
@ours_only
def test_quiet_without_port(m):
    """Without the port nothing runs as root, nothing fails and the log is short."""
    if m.guest.ok("pgrep -f '^(/[^ ]*/)?%s( |$)'" % m.agent.daemon):
        raise Failure("%s runs without a port" % m.agent.daemon)
    time.sleep(5)
    lines = m.guest.run("journalctl -b -o cat | grep -i spice-agent || true").strip().split("\n")
    if len(lines) > 10:
        raise Failure("%d lines of log:\n%s" % (len(lines), "\n".join(lines)))
    failed = m.guest.run("systemctl --failed --no-legend --plain; "
                         "systemctl --machine=alice@ --user --failed --no-legend --plain 2>/dev/null || true")
    if failed.strip():
        raise Failure(failed)
