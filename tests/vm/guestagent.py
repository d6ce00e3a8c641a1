# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest in which spice-agent-manage and QEMU's own agent run beside each other, each at a port of its own."""

import contextlib
import os

import harness
from harness import wait_for

os.environ.setdefault("BUILD", harness.BUILD)
from manageddaemon import Client, request

OURS, REFERENCE = "org.qemu.guest_agent.0", "org.spice-pv.reference.0"
UNIT, RIVAL = "spice-agent-manage", "qemu-guest-agent"
# Arguments of harness.machine().
GUEST = {"agent": None, "session": None, "extra": [
    word for name in (OURS, REFERENCE)
    for word in ("-chardev", "socket,id=%s,server=on,wait=off,path={dir}/%s" % (name, name),
                 "-device", "virtserialport,chardev=%s,name=%s" % (name, name))]}


def client(m, port=OURS, timeout=30):
    """A connection to the agent at a port, past what earlier ones have left."""
    connection = Client(os.path.join(m.vm.dir, port))
    connection.socket.settimeout(timeout)
    connection.talk(b"")
    return connection


def pid(m, port=OURS):
    return m.pid("spice-agent-manage" if port == OURS else "qemu-ga")


def start_reference(m):
    """QEMU's agent at its port."""
    m.guest.run("systemctl is-active --quiet reference || { systemctl reset-failed reference 2>/dev/null; "
                "mkdir -p /run/reference; systemd-run -q --unit=reference qemu-ga -m virtio-serial "
                "-p /dev/virtio-ports/%s -t /run/reference -f /run/reference/pid; }" % REFERENCE)


@contextlib.contextmanager
def both(m):
    """Connections to both agents."""
    start_reference(m)
    with client(m) as ours, client(m, REFERENCE) as theirs:
        yield ours, theirs


def configure(m, allow="", restart=""):
    """Restarts ours with other settings; they stay until the next."""
    directory = "/etc/spice-pv/manage.conf.d"
    m.guest.run("mkdir -p %s" % directory)
    m.guest.push("[policy]\nallow=%s\n[services]\nrestart=%s\n" % (allow, restart), directory + "/test.conf")
    m.guest.run("systemctl restart " + UNIT)


def status(m, key, port=OURS):
    """A number of /proc/PID/status."""
    return int(m.guest.run("awk '/^%s:/ {print $2}' /proc/%d/status" % (key, pid(m, port))))


def run_program(connection, **arguments):
    """What became of it."""
    number = connection.call("guest-exec", **arguments)["pid"]
    state = {}

    def ended():
        state.update(connection.call("guest-exec-status", pid=number))
        return state["exited"]
    wait_for(ended, 60, "end of %s" % arguments["path"])
    return state
