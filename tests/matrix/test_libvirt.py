# SPDX-License-Identifier: LGPL-2.1-or-later
"""A domain printed by spicevmc, under the libvirt of another suite: it is valid, boots, and serves a client."""

import subprocess

import guestagent
from domain import inside
from harness import *
from test_pointer import edge_points, settle, two_heads

SERIAL = "org.qemu.console.serial.0"
KINDS = (("vdagent",), ("pvmouse",), ("usbredir",), ("usbredir",), ("smartcard",), ("port", "name=" + SERIAL),
         ("port", "name=org.spice-pv.console.0"))
# All the printed domain may contain: a monitor of ours, two displays, and libvirt told to connect to each channel.
CONNECT = {"host": {"channels": KINDS, "displays": ("1024x768", "1024x768"), "qmp": True}}
# What the methods below have for "by the guest's agent".
AGENT_ADDRESSES = AGENT_SHUTDOWN = AGENT_REBOOT = AGENT_HOSTNAME = 2
# The other way round, and no more than is needed: libvirt's QEMU listens. The size is what the guest starts with.
BIND = {"host": {"channels": tuple(kind + ("server=off",) for kind in KINDS), "displays": ("1280x800",)}}


def attached(m):
    """Waits until QEMU is there on every channel and the pointer has its own port."""
    m.vm.host.wait_sink("pvmouse")
    wait_for(lambda: all(channel["qemu"] for channel in m.vm.host.status()["channels"]), 10,
             lambda: "channels without QEMU: %s" % m.vm.host.status()["channels"])


def clicks(m, points, display=0, origin=(0, 0)):
    """Clicks on each point: X has the pointer exactly there, and evdev all the clicks."""
    counts, pointer = m.evdev(), m.pointer()
    counts("reset")
    for x, y in points:
        m.client.position(x, y, display)
        seen, wanted = pointer.arrives(origin[0] + x, origin[1] + y), (origin[0] + x, origin[1] + y)
        if seen != wanted:
            raise Failure("%d,%d of display %d: X has %s" % (x, y, display, seen))
        m.client.click(m.client.LEFT)
    seen, wanted = settle(counts), {"272": len(points)}
    if seen["press"] != wanted or seen["release"] != wanted:
        raise Failure("%d clicks became %s" % (len(points), seen))


def restart(m):
    m.client.command("disconnect")
    m.vm.host.kill()
    m.vm.host.start()
    attached(m)
    m.client.connect(m.vm.spice)
    m.client.wait_agent()


def clipboard(m):
    m.client.offer(b"from the client")
    m.guest.until("[ \"$(xclip -o -selection clipboard)\" = 'from the client' ]", 10, user="alice")
    m.guest.run("printf 'from the guest' | xclip -i -selection clipboard", user="alice")
    wait_for(lambda: m.client.fetch() == b"from the guest", 10, "the guest's text")


@machine(**CONNECT)
def test_libvirt_xml_is_valid(m):
    """The printed domain and the one made from it, which defining it has validated already; for both libvirts."""
    printed = m.vm.xml + ".printed"
    with open(printed, "w") as file:
        file.write(m.vm.printed)
    for path in (printed, m.vm.xml):
        for command in (["virt-xml-validate", path, "domain"], inside(m.vm.tree, "virt-xml-validate", path, "domain")):
            run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if run.returncode != 0:
                raise Failure("%s: %s" % (command, run.stdout))


@machine(**CONNECT)
def test_libvirt_channels(m):
    attached(m)
    for kind in ("vdagent", "pvmouse"):
        wait_for(lambda: m.vm.host.channel(kind)["guest"] == "open", 10,
                 lambda: "the monitor tells which ports are open: %s" % m.vm.host.status()["channels"])


@machine(**CONNECT)
def test_libvirt_pointer(m):
    origins = two_heads(m, "--right-of {first}")
    for display in (0, 1):
        clicks(m, edge_points(1024, 768)[:30], display, origins[display])


@machine(**CONNECT)
def test_libvirt_clipboard(m):
    clipboard(m)


@machine(**CONNECT)
def test_libvirt_serial_console(m):
    """A port with the name of a serial console is the first serial line, which comes in pieces."""
    def seen():
        return "".join(event["text"] for event in m.client.events[mark:]
                       if event["event"] == "port-data" and event["port"] == SERIAL)

    mark = m.client.mark()
    line = m.guest.start("exec 3<>/dev/ttyS0; stty raw -echo <&3; echo 'from the guest' >&3; exec head -c 12 <&3")
    wait_for(lambda: seen() == "from the guest\n", 10, lambda: "the client read: %r" % seen())
    m.client.command("port", SERIAL, "to the guest")
    if line.wait() != 0 or bytes(line.out) != b"to the guest":
        raise Failure("the guest read: " + line.describe())


@machine(**CONNECT)
def test_libvirt_reconnects(m):
    origins = two_heads(m, "--right-of {first}")
    restart(m)
    clicks(m, edge_points(1024, 768)[:6], 0, origins[0])


@machine(**BIND)
def test_libvirt_bind(m):
    attached(m)
    clicks(m, edge_points(1280, 800)[:30])
    clipboard(m)


@machine(**BIND)
def test_libvirt_bind_restart(m):
    """A daemon that starts later finds the sockets of the running domain."""
    restart(m)
    clicks(m, edge_points(1280, 800)[:6])


# ---- management ----

def managed(m, allow=""):
    """Calls methods of the domain's, once libvirt has seen that the agent is there."""
    call = m.vm.qmp.domain
    guestagent.configure(m, allow)

    def there():
        try:
            return call("getTime") or True
        except Failure as error:
            if "agent" not in str(error):
                raise
            return False
    wait_for(there, 20, "the agent")
    return call


def check(what, good, seen):
    if not good:
        raise Failure("%s: %s" % (what, seen))


@machine(**CONNECT)
def test_libvirt_agent_tells(m):
    call, run = managed(m), m.guest.run
    check("domtime", abs(call("getTime")["seconds"] - int(run("date +%s"))) <= 5, call("getTime"))
    call("setTime", {"seconds": 1700000000, "nseconds": 0})
    check("domtime --set", 0 <= int(run("date +%s")) - 1700000000 < 60, run("date"))
    run("date -s @1600000000")
    call("setTime", None, 1)  # from the clock of the machine, which was set too
    check("domtime --sync", 0 <= int(run("date +%s")) - 1700000000 < 120, run("date"))
    root = [entry for entry in call("fsInfo") if entry[0] == "/"]
    check("domfsinfo", root and root[0][2] == "ext4" and root[0][3] == ["vda"], call("fsInfo"))
    check("domifaddr", call("interfaceAddresses", 1)["lo"]["addrs"][0]["addr"] == "127.0.0.1",
          call("interfaceAddresses", 1))
    check("domhostname", call("hostname", AGENT_HOSTNAME) == "testguest", call("hostname", AGENT_HOSTNAME))
    info = call("guestInfo", 0)
    check("guestinfo", info["os.id"] == "debian" and info["hostname"] == "testguest" and
          "/dev/vda" in info.values() and "timezone.offset" in info and info["fs.count"] > 0, info)


@machine(**CONNECT)
def test_libvirt_agent_changes(m):
    call, run = managed(m, "password,ssh-keys"), m.guest.run
    check("guestvcpus", call("guestVcpus")["online"] == "0-1", call("guestVcpus"))
    call("setGuestVcpus", "1", 0)
    check("guestvcpus --disable", run("cat /sys/devices/system/cpu/online").strip() == "0", call("guestVcpus"))
    call("setGuestVcpus", "1", 1)
    check("guestvcpus --enable", run("cat /sys/devices/system/cpu/online").strip() == "0-1", call("guestVcpus"))
    before = run("getent shadow alice")
    call("setUserPassword", "alice", "correct horse")
    check("set-user-password", run("getent shadow alice") != before, before)
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB" + "A" * 42 + " test"
    call("authorizedSSHKeysSet", "alice", [key], 0)
    check("get-user-sshkeys", call("authorizedSSHKeysGet", "alice") == [key], call("authorizedSSHKeysGet", "alice"))
    check("the file", run("cat ~alice/.ssh/authorized_keys").strip() == key, run("ls -ld ~alice/.ssh"))


@machine(**CONNECT)
def test_libvirt_agent_freezes(m):
    call = managed(m)
    check("domfsfreeze", call("fsFreeze") >= 1, "count")
    try:
        check("frozen", "busy" in m.guest.run("fsfreeze --freeze / 2>&1", check=False), "it could be frozen again")
    finally:
        check("domfsthaw", call("fsThaw") >= 1, "count")
    m.guest.run("touch /srv/thawed")


@machine(**CONNECT)
def test_libvirt_agent_reboots(m):
    call = managed(m)
    attached(m)
    boot = m.guest.run("cat /proc/sys/kernel/random/boot_id")
    call("reboot", AGENT_REBOOT)
    # No command before the guest is there again: it would get lost with who runs it.
    wait_for(lambda: m.vm.host.status()["sink"] != "pvmouse", 90, "end of the guest")
    m.vm.host.wait_sink("pvmouse", 150)
    check("boot", m.guest.run("cat /proc/sys/kernel/random/boot_id", timeout=60) != boot, boot)
    m.vm.boot()


@fresh
@machine(**CONNECT)
def test_libvirt_agent_shuts_down(m):
    call = managed(m)
    call("shutdownFlags", AGENT_SHUTDOWN)
    wait_for(lambda: not call("isActive"), 90, "end of the domain")
