# SPDX-License-Identifier: LGPL-2.1-or-later
"""spicevmc: a QEMU without SPICE, our host daemon, an unmodified client, and the guest package."""

import hashlib
import json
import os
import re
import signal
import struct
import subprocess
import time
import zlib

import certificates
import rawspice
import vm
from harness import *
from harness import find_deb
from test_files import clean, make, received, start_and_wait_progress
from test_pointer import check, edge_points, misses, settle, two_heads

CONSOLE = "org.spice-pv.console.0"
HOST = {"agent": "host", "display": None, "cmdline": "video=Virtual-2:1024x768e",
        "host": {"displays": ("1024x768,device=video,head=0", "1024x768,device=video,head=1"), "qmp": True,
                 "channels": (("vdagent",), ("pvmouse",), ("usbredir",), ("smartcard",), ("port", "name=" + CONSOLE))}}


# A tablet without a display of its own spans all of them: exact with one. The second monitor is for a service in the
# guest.
ONE_HEAD = {"agent": "host", "host": {"qmp": True}, "extra": ("-qmp", "unix:{dir}/service-qmp.sock,server=on,wait=off")}


def rss(m):
    """Peak of the daemon's memory, in KiB; never above the bound that is promised."""
    peak = m.vm.host.rss_peak()
    if peak > 30 * 1024:
        raise Failure("spicevmc took %d KiB" % peak)
    return peak


def pressed(m, counts, button="272"):
    """Presses and waits until the guest has it down; returns a function that waits until it is up."""
    counts("reset")
    m.client.command("press", 1)
    wait_for(lambda: counts()["press"].get(button), 5, lambda: "press: %s" % counts())
    return lambda timeout=5: wait_for(lambda: counts()["release"].get(button), timeout,
                                      lambda: "still pressed: %s" % counts())


def click_arrives(m, counts, timeout=5):
    counts("reset")
    m.client.click(1)
    wait_for(lambda: counts()["release"].get("272"), timeout, lambda: "no click: %s" % counts())


@machine(**HOST)
@ours_only
def test_host_qemu_has_no_spice(m):
    args = vm.without_spice(["qemu-system-x86_64", "-accel", "tcg", "-nodefaults", "-display", "none", "-S", "-spice",
                             "unix=on,disable-ticketing=on,addr=" + os.path.join(m.vm.dir, "none.sock")])
    run = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20)
    if run.returncode == 0 or "spice" not in run.stdout.lower():
        raise Failure("QEMU took -spice: %s" % run.stdout)
    status = m.vm.host.status()
    if status["sink"] != "pvmouse" or len(status["clients"]) != 1 or not all(c["qemu"] for c in status["channels"]):
        raise Failure("status: %s" % status)
    wanted = {"vdagent": "open", "pvmouse": "open"}
    wait_for(lambda: all(m.vm.host.channel(kind)["guest"] == state for kind, state in wanted.items()), 10,
             lambda: "QMP tells which ports are open: %s" % m.vm.host.status()["channels"])


@machine(**HOST)
@ours_only
def test_host_clipboard_both_ways(m):
    m.client.offer(b"from the client")
    m.guest.until("[ \"$(xclip -o -selection clipboard)\" = 'from the client' ]", 10, user="alice")
    m.guest.run("printf 'from the guest' | xclip -i -selection clipboard", user="alice")
    wait_for(lambda: m.client.fetch() == b"from the guest", 10, "the guest's text")
    big = os.urandom(2 << 20).hex().encode()
    m.client.offer(big)
    m.guest.until("[ $(xclip -o -selection clipboard | wc -c) = %d ]" % len(big), 30, user="alice")
    m.guest.run("head -c 3000000 /dev/urandom | base64 -w 0 >/tmp/big; xclip -i -selection clipboard </tmp/big",
                user="alice", timeout=60)
    big = m.guest.pull("/tmp/big")
    wait_for(lambda: m.client.fetch(timeout=60) == big, 60, "4 MB from the guest")
    rss(m)


@machine(**HOST)
@ours_only
def test_host_file(m):
    clean(m)
    path, digest = make(m, "through spicevmc.bin", 20 << 20)
    m.client.command("files", path, timeout=120)
    received(m, "through spicevmc.bin", digest)
    rss(m)


@machine(**HOST)
@ours_only
def test_host_pointer_two_displays(m):
    origins = two_heads(m, "--right-of {first}")
    pointer = m.pointer()
    for display in (0, 1):
        check(misses(m, pointer, edge_points(1024, 768), display, origins[display]))


@machine(**HOST)
@ours_only
def test_host_clicks_are_not_lost(m):
    counts = m.evdev()
    for kind, wanted in (("click", {"press": {"272": 200}, "release": {"272": 200}}), ("wheel", {"wheel": -200})):
        counts("reset")
        m.client.command("burst", kind, 200, 0)
        seen = settle(counts)
        if {key: seen[key] for key in wanted} != wanted:
            raise Failure("200 %ss became %s; %s" % (kind, seen, m.vm.host.status()["counters"]))


@machine(**HOST)
@ours_only
def test_host_clicks_during_file(m):
    """The pointer has its own port: bulk data of the agent delay and merge nothing."""
    clean(m)
    path, digest = make(m, "bulk.bin", 60 << 20)
    counts = m.evdev()
    transfer = start_and_wait_progress(m, path)
    counts("reset")
    m.client.command("burst", "click", 200, 0)
    seen = settle(counts)
    if not m.client.finish(transfer, 120)["ok"]:
        raise Failure("the transfer failed")
    if seen["press"] != {"272": 200} or seen["release"] != {"272": 200}:
        raise Failure("200 clicks became %s" % seen)
    received(m, "bulk.bin", digest)
    rss(m)


@machine(**HOST)
@ours_only
def test_host_resize(m):
    """MONITORS_CONFIG is the agent's; the blank picture follows what the agent has done."""
    m.client.command("monitor", 0, 0, 0, 1200, 700)
    m.client.command("monitor", 1, 1200, 0, 800, 600)
    m.client.command("send")
    m.guest.until("xrandr | grep -q 1200x700+ && xrandr | grep -q 800x600+", 20, user="alice")
    wait_for(lambda: sorted((d["width"], d["height"]) for d in m.client.state()["displays"]) == [(800, 600), (1200, 700)],
             10, lambda: "the client's displays: %s" % m.client.state()["displays"])
    check(misses(m, m.pointer(), edge_points(1200, 700)[:6]))
    m.client.command("monitor", 0, 0, 0, 1024, 768)
    m.client.command("monitor", 1, 1024, 0, 1024, 768)
    m.client.command("send")
    m.guest.until("[ $(xrandr | grep -c 1024x768+) = 2 ]", 20, user="alice")


@machine(**HOST)
@ours_only
def test_host_restart_after_kill(m):
    """QEMU survives, the guest recovers within 3 s, a new client connects, nothing is stuck."""
    counts = m.evdev()
    released = pressed(m, counts)
    m.vm.host.kill()
    released()
    m.client.command("disconnect")
    m.vm.host.start()
    begin = time.monotonic()
    m.vm.host.wait_sink("pvmouse", 10)
    took = time.monotonic() - begin
    m.client.connect(m.vm.spice)
    m.client.wait_agent(10)
    click_arrives(m, counts)
    m.client.offer(b"after the restart")
    m.guest.until("[ \"$(xclip -o -selection clipboard)\" = 'after the restart' ]", 10, user="alice")
    if took > 3:
        raise Failure("the guest was back after %.1f s" % took)


@machine(**HOST)
@ours_only
def test_host_client_killed_with_button_down(m):
    counts = m.evdev()
    released = pressed(m, counts)
    m.client.close()
    released()
    m.client = vm.Client(build_client(), m.vm.dir)
    m.client.connect(m.vm.spice)
    m.client.wait_agent()
    click_arrives(m, counts)


@machine(**HOST)
@ours_only
def test_host_second_client_replaces_the_first(m):
    counts = m.evdev()
    released = pressed(m, counts)
    second = vm.Client(build_client(), m.vm.dir)
    m.defer(m.reconnect)  # after the next line
    m.defer(second.close)
    second.connect(m.vm.spice)
    released()
    second.wait_agent()
    second.position(100, 100)
    wait_for(lambda: len(m.vm.host.status()["clients"]) == 1, 5, lambda: "clients: %s" % m.vm.host.status()["clients"])


@machine(**HOST)
@ours_only
def test_host_connects_fifty_times(m):
    def shown():
        return [display["width"] for display in m.client.state()["displays"]] == [1024, 1024]

    for number in range(50):
        m.client.command("disconnect")
        m.client.connect(m.vm.spice)
        wait_for(shown, 10, "both displays")  # a client that goes before that can end libspice-server, see docs/decisions.md
    m.client.wait_agent()
    click_arrives(m, m.evdev())
    rss(m)


@machine(**ONE_HEAD)
@ours_only
def test_host_switches_sinks_with_button_down(m):
    """From the pvmouse port to QEMU's tablet and back: released on the old way, pressed on the new one, no jump."""
    old, tablet = m.evdev(), m.evdev("QEMU Virtio Tablet")
    pointer = m.pointer()
    m.client.position(300, 300)
    time.sleep(0.5)
    before = pointer.now()
    released = pressed(m, old)
    tablet("reset")
    m.defer(lambda: m.guest.run("systemctl start spice-pvmouse"))
    m.guest.run("systemctl stop spice-pvmouse")
    m.vm.host.wait_sink("qmp", 10)
    released()
    wait_for(lambda: tablet()["press"].get("272"), 5, lambda: "not pressed on the tablet: %s" % tablet())
    old("reset")
    m.guest.run("systemctl start spice-pvmouse")
    m.vm.host.wait_sink("pvmouse", 10)
    wait_for(lambda: tablet()["release"].get("272"), 5, lambda: "not released on the tablet: %s" % tablet())
    wait_for(lambda: old()["press"].get("272"), 5, lambda: "not pressed on the port: %s" % old())
    m.client.command("release", 1)
    wait_for(lambda: old()["release"].get("272"), 5, lambda: "not released on the port: %s" % old())
    after = pointer.now()
    if max(abs(after[0] - before[0]), abs(after[1] - before[1])) > 1:  # a tablet is a pixel off in Xorg
        raise Failure("the pointer has jumped from %s to %s" % (before, after))


def on_tablet(pixel, size):
    """Where a tablet of QEMU's, whose axes run over 0..32767, has the middle of a pixel."""
    return (2 * pixel + 1) * 16384 // size


def wait_place(counts, wanted):
    wait_for(lambda: (counts()["abs_x"], counts()["abs_y"]) == wanted, 5, lambda: "not at %s: %s" % (wanted, counts()))


def tablets(m):
    """Counters of QEMU's tablets; they are on the bus in the order of their displays."""
    nodes = m.guest.run("grep -lx 'QEMU Virtio Tablet' /sys/bus/pci/devices/*/virtio*/input/*/name | "
                        "while read -r name; do basename ${name%name}event*; done").split()
    return [m.evdev(node) for node in nodes]


@machine(**HOST)
@ours_only
def test_host_tablet_for_each_display(m):
    """Without the pvmouse port each display has its tablet, and a button goes up where it went down."""
    m.defer(lambda: m.vm.host.wait_sink("pvmouse", 10))
    m.defer(lambda: m.guest.run("systemctl start spice-pvmouse"))
    m.guest.run("systemctl stop spice-pvmouse")
    m.vm.host.wait_sink("qmp", 10)
    first, second = counters = tablets(m)
    dropped = lambda: m.vm.host.status()["counters"]["qmp-dropped"]
    before = dropped()
    reset = lambda: [counts("reset") for counts in counters]
    edges = lambda: [(counts()["press"], counts()["release"]) for counts in counters]
    for display, (mine, other) in enumerate(((first, second), (second, first))):
        reset()
        for x, y in edge_points(1024, 768)[::7]:
            m.client.position(x, y, display)
            wait_place(mine, (on_tablet(x, 1024), on_tablet(y, 768)))
        for button in (m.client.LEFT, m.client.UP, m.client.UP, m.client.DOWN):
            m.client.click(button)
        seen = settle(mine)
        if (seen["press"], seen["release"], seen["wheel"]) != ({"272": 1}, {"272": 1}, 1):
            raise Failure("a click, two steps up and one down on display %d became %s" % (display, seen))
        if other()["reports"] != 0:
            raise Failure("of display %d the other tablet has %s" % (display, other()))
    m.client.position(100, 100, 0)
    wait_place(first, (on_tablet(100, 1024), on_tablet(100, 768)))
    reset()
    for command, wanted in ((("press", m.client.LEFT), [({"272": 1}, {}), ({}, {})]),
                            (("position", 200, 200, 1), [({"272": 1}, {}), ({}, {})]),
                            (("press", m.client.SIDE), [({"272": 1}, {}), ({"275": 1}, {})]),
                            (("release", m.client.LEFT), [({"272": 1}, {"272": 1}), ({"275": 1}, {})]),
                            (("position", 300, 300, 0), [({"272": 1}, {"272": 1}), ({"275": 1}, {})]),
                            (("release", m.client.SIDE), [({"272": 1}, {"272": 1}), ({"275": 1}, {"275": 1})])):
        m.client.command(*command)
        if command[0] == "position":
            _, x, y, display = command
            wait_place(counters[display], (on_tablet(x, 1024), on_tablet(y, 768)))
        wait_for(lambda: edges() == wanted, 5, lambda: "after %s: %s" % (command, edges()))
    settle(second)
    if edges() != wanted:
        raise Failure("at last: %s" % edges())
    if dropped() != before:
        raise Failure("%d of what the tablets should have had was dropped" % (dropped() - before))


@machine(**HOST)
@ours_only
def test_host_guest_agent_killed(m):
    """The client keeps its own pointer; what was open ends; the next agent works."""
    m.guest.run("printf owned | xclip -i -selection clipboard", user="alice")
    wait_for(lambda: m.client.fetch() == b"owned", 10, "the guest's text")
    mark = m.client.mark()
    m.defer(lambda: m.guest.run("systemctl start spice-agent-system"))
    m.guest.run("systemctl stop spice-agent-system")
    m.client.wait_event("release", mark, 10, selection=0)
    if m.client.state()["mouse"] != "client":
        raise Failure("the client lost its pointer: %s" % m.client.state())
    click_arrives(m, m.evdev())
    m.guest.run("systemctl start spice-agent-system")
    wait_for(lambda: 5 in m.client.state()["caps"], 20, "the next agent's clipboard")
    m.client.offer(b"to the next agent")
    m.guest.until("[ \"$(xclip -o -selection clipboard)\" = 'to the next agent' ]", 20, user="alice")


@machine(**HOST)
@ours_only
def test_host_guest_that_never_reads(m):
    """A stopped agent: the file waits, then fails; the pointer, QMP and memory do not notice."""
    daemon = m.pid("spice-agent-system")
    clean(m)
    path, digest = make(m, "stuck.bin", 200 << 20)
    counts = m.evdev()
    m.defer(lambda: m.guest.run("kill -CONT %d" % daemon, check=False))
    transfer = start_and_wait_progress(m, path)
    m.guest.run("kill -STOP %d" % daemon)
    time.sleep(2)
    for _ in range(20):
        click_arrives(m, counts)
    m.vm.qmp.command("query-status")
    if m.client.finish(transfer, 60)["ok"]:
        raise Failure("the transfer to a stopped guest succeeded")
    rss(m)
    m.guest.run("kill -CONT %d" % daemon)
    m.client.wait_agent(30)
    clean(m)
    path, digest = make(m, "again.bin", 1 << 20)
    wait_for(lambda: m.client.finish(m.client.start("files", path), 60)["ok"], 30, "a transfer after that", 1)
    received(m, "again.bin", digest)


@machine(**HOST)
@fresh
@ours_only
def test_host_guest_reboots(m):
    m.vm.qmp.command("set-action", reboot="reset")
    released = pressed(m, m.evdev())
    m.vm.qmp.command("system_reset")
    wait_for(lambda: m.vm.host.status()["sink"] != "pvmouse", 20, "the guest has gone")
    m.forget_probes()
    m.vm.host.wait_sink("pvmouse", 120)
    m.vm.guest.run("true", timeout=120)
    m.guest.until(m.guest.desktop.shown, 120, "alice")
    m.client.wait_agent(60)
    m.client.command("release", 1)
    click_arrives(m, m.evdev())


@machine(**HOST)
@fresh
@ours_only
def test_host_qemu_killed(m):
    os.kill(m.vm.pid, signal.SIGKILL)
    wait_for(lambda: not any(c["qemu"] for c in m.vm.host.status()["channels"]), 10, "spicevmc notices")
    wait_for(lambda: m.vm.host.status()["sink"] == "none", 5, "no way for the pointer")
    wait_for(lambda: m.client.state()["mouse"] == "server", 5, lambda: "the client: %s" % m.client.state())
    rss(m)


LEGACY = {"agent": "host", "image": "vdagent", "host": {"channels": (("vdagent",),)}}


@machine(**LEGACY)
@ours_only
def test_host_legacy_agent(m):
    """A guest that knows nothing of us: spice-vdagent and no pvmouse port."""
    m.client.wait_agent(60)
    m.vm.host.wait_sink("legacy")
    counts = m.evdev("spice vdagent tablet")
    counts("reset")
    m.client.command("burst", "click", 50, 40)
    seen = settle(counts)
    if seen["press"] != {"272": 50} or seen["release"] != {"272": 50}:
        raise Failure("50 clicks became %s; %s" % (seen, m.vm.host.status()["counters"]))
    m.guest.until("pgrep -x spice-vdagent", 60)
    m.client.offer(b"from the client")
    m.guest.until("[ \"$(xclip -o -selection clipboard)\" = 'from the client' ]", 20, user="alice")
    m.guest.run("printf 'from the guest' | xclip -i -selection clipboard", user="alice")
    wait_for(lambda: m.client.fetch() == b"from the guest", 10, "the guest's text")


@machine(**HOST)
@ours_only
def test_host_usb_cd(m):
    """A device of the client's is there in the guest, and reads as it is."""
    image = os.path.join(m.vm.dir, "cd.iso")
    data = os.urandom(1 << 20) * 16
    with open(image, "wb") as file:
        file.write(data)
    m.client.command("disconnect")
    m.client.connect(m.vm.spice, "enable-usbredir=yes")
    m.defer(m.reconnect)
    m.client.command("share-cd", image, timeout=30)
    m.guest.until("grep -q 'Spice CD' /sys/bus/usb/devices/*/product && [ -b /dev/sr0 ]", 30)
    if m.guest.run("sha256sum </dev/sr0", timeout=60).split()[0] != hashlib.sha256(data).hexdigest():
        raise Failure("the CD reads differently")
    m.client.command("unshare")
    m.guest.until("! grep -q 'Spice CD' /sys/bus/usb/devices/*/product", 20)
    rss(m)


@machine(**HOST)
@ours_only
def test_host_smartcard(m):
    """The guest sees the card's ATR and talks to it."""
    main = rawspice.Main(m.vm.spice)  # takes the client's place
    m.defer(lambda: (main.close(), m.reconnect()))
    main.attach()
    card = rawspice.Smartcard(m.vm.spice, session=main.session)
    card.add_reader()
    card.insert(bytes.fromhex("3b0123"))
    m.guest.until("smartcard | grep -q 3b0123", 30)
    m.guest.until("smartcard 00a4040000 | grep -qi 6d00", 30)


@machine(**HOST)
@ours_only
def test_host_terminal_both_ways(m):
    port = "/dev/virtio-ports/" + CONSOLE
    mark = m.client.mark()
    reader = m.guest.start("exec 3<>%s; cat <&3 & exec cat >&3" % port)
    m.client.wait_event("port", mark, 10, port=CONSOLE, opened=True)
    m.client.command("port", CONSOLE, "to the guest")
    wait_for(lambda: bytes(reader.out) == b"to the guest", 10, lambda: "the guest read: %s" % reader.describe())
    reader.write("from the guest\n")
    m.client.wait_event("port-data", mark, 10, port=CONSOLE, text="from the guest\n")
    mark = m.client.mark()
    reader.kill()  # the whole group
    m.client.wait_event("port", mark, 10, port=CONSOLE, opened=False)


@machine(**ONE_HEAD)
@ours_only
def test_host_keyboard(m):
    keys = m.guest.start("exec probe evdev -v 'AT Translated Set 2 keyboard'")
    m.defer(lambda: keys.kill(9))
    keys.line(10)
    m.client.command("key", 30)
    for value in (1, 0):
        wait_for(lambda: (" 1 30 %d\n" % value).encode() in bytes(keys.out), 10, lambda: "keys: %s" % keys.describe())


@machine(**ONE_HEAD)
@ours_only
def test_host_server_mouse_mode(m):
    """The guest's pointer is moved, as in a game: relative motion on its own device."""
    m.defer(lambda: m.client.command("mode", "client"))
    m.client.command("mode", "server")
    wait_for(lambda: m.client.state()["mouse"] == "server", 5, "server mouse mode")
    counts = m.evdev("SPICE pvmouse relative")
    counts("reset")
    for _ in range(20):
        m.client.command("motion", 3, -2)
    m.client.click(1)
    seen = settle(counts)
    if (seen["rel_x"], seen["rel_y"], seen["press"], seen["release"]) != (60, -40, {"272": 1}, {"272": 1}):
        raise Failure("20 motions by 3,-2 and a click became %s" % seen)


def png(path, width, height, rows):
    """Writes RGB rows."""
    def part(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
                   part(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))) + part(b"IEND", b""))


def screenshot(dump, path):
    """Makes a PNG of what Xvfb keeps in its frame buffer file, which is an X window dump of 32 bits a pixel. Returns whether
    there is anything to be seen."""
    with open(dump, "rb") as file:
        data = file.read()
    header = struct.unpack(">25I", data[:100])
    start, width, height, line = header[0] + 12 * header[19], header[4], header[5], header[12]
    rows = [data[start + y * line:start + y * line + 4 * width] for y in range(height)]
    png(path, width, height, [bytes(row[x + i] for x in range(0, 4 * width, 4) for i in (2, 1, 0)) for row in rows])
    return any(any(row) for row in rows)


@machine(**ONE_HEAD)
@ours_only
def test_host_remote_viewer(m):
    """The client that people use, by the file that spicevmc prints."""
    file, fb = os.path.join(m.vm.dir, "vm.vv"), os.path.join(m.vm.dir, "fb")
    with open(file, "w") as out:
        out.write(m.vm.host.print("vv"))
    os.mkdir(fb)
    read, write = os.pipe()
    xvfb = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x900x24", "-fbdir", fb, "-nolisten",
                             "tcp"], pass_fds=[write], stderr=subprocess.DEVNULL)
    m.defer(lambda: (xvfb.terminate(), xvfb.wait()))
    os.close(write)
    with open(read) as line:
        display = ":" + line.readline().strip()
    log = open(os.path.join(m.vm.dir, "remote-viewer.log"), "wb")
    environment = dict(os.environ, DISPLAY=display, HOME=m.vm.dir, GSETTINGS_BACKEND="memory")
    environment.pop("WAYLAND_DISPLAY", None)
    viewer = subprocess.Popen(["dbus-run-session", "--", "remote-viewer", file], env=environment, stdout=log, stderr=log)
    m.defer(lambda: (viewer.kill(), viewer.wait(), m.reconnect()))
    windows = lambda: subprocess.run(["xwininfo", "-display", display, "-root", "-tree"], stdout=subprocess.PIPE,
                                     text=True).stdout
    wait_for(lambda: "Remote Viewer" in windows() and m.vm.host.status()["clients"] and
             m.vm.host.status()["clients"][0]["channels"] >= 3, 30,
             lambda: "%s\n%s" % (windows(), open(log.name).read()[-2000:]))
    directory = os.path.join(BUILD, "tests", "vm", "logs")
    os.makedirs(directory, exist_ok=True)
    wait_for(lambda: screenshot(os.path.join(fb, "Xvfb_screen0"), os.path.join(directory, "remote-viewer.png")), 30,
             "the viewer draws its window", 1)


def install_host(m):
    """The package, in the guest; services run until the test ends."""
    if not m.guest.ok("command -v spicevmc"):
        with open(find_deb("spice-pv-host"), "rb") as file:
            m.guest.push(file.read(), "/root/host.deb")
        m.guest.run("dpkg -i /root/host.deb", timeout=120)
    m.defer(lambda: m.guest.run("systemctl stop 'spicevmc@*'"))


SECRET = "s3cret"
SERVICE = """[vm]
channel=vdagent,path=/run/spicevmc/{name}/agent.sock
display=0,800x600
listen=tcp:0.0.0.0
tls-port={port}
tls-ca=/etc/spice-pv/vm/ca-cert.pem
tls-cert=/etc/spice-pv/vm/server-cert.pem
tls-key=/etc/spice-pv/vm/server-key.pem
{more}
"""

RELAY = """import os, socket, subprocess
listener = socket.socket(socket.AF_UNIX)
listener.bind("/run/monitor.sock")
os.chmod("/run/monitor.sock", 0o666)
listener.listen()
peer = listener.accept()[0]
subprocess.Popen(["cat"], stdout=peer)
subprocess.run(["cat"], stdin=peer)
"""


def lend_monitor(m):
    """The monitor of the guest's own QEMU, at a socket in the guest, for one connection."""
    relay = m.guest.start("exec python3 -c '%s'" % RELAY)
    m.defer(lambda: (relay.kill(), relay.wait()))
    vm.join(relay, vm.unix_connect(os.path.join(m.vm.dir, "service-qmp.sock")))


def configure_services(m, ca):
    """Two of them, which a system call that the unit forbids would end: `ticket` has a monitor and gets its ticket from
    systemd, `sasl` has users in SASL's own file."""
    directory = os.path.dirname(ca)
    for file in "ca-cert.pem", "server-cert.pem", "server-key.pem":
        with open(os.path.join(directory, file), "rb") as source:
            m.guest.push(source.read(), "/etc/spice-pv/vm/" + file)
    users = os.path.join(directory, "users")
    subprocess.run(["saslpasswd2", "-c", "-p", "-f", users, "-u", "testguest", "alice"], input=SECRET.encode(),
                   check=True)
    with open(users, "rb") as source:
        m.guest.push(source.read(), "/etc/spice-pv/vm/users")
    m.guest.run("cd /etc/spice-pv/vm && chgrp spicevmc *.pem users && chmod 640 *.pem users && "
                "mkdir -p /etc/sasl2 /etc/systemd/system/spicevmc@{ticket,sasl}.service.d")
    m.guest.push("mech_list: scram-sha-256\nsasldb_path: /etc/spice-pv/vm/users\n", "/etc/sasl2/spicevmc.conf")
    m.guest.push(SECRET, "/root/ticket")
    for name, port, credential, more in (("ticket", 5901, "LoadCredential=ticket:/root/ticket\n",
                                          "ticket-file=credential:ticket\nqmp=/run/monitor.sock"),
                                         ("sasl", 5911, "", "sasl=on")):
        m.guest.push(SERVICE.format(name=name, port=port, more=more), "/etc/spice-pv/vm/%s.conf" % name)
        m.guest.push("[Service]\nSystemCallErrorNumber=kill\n" + credential,
                     "/etc/systemd/system/spicevmc@%s.service.d/test.conf" % name)


def log_in(m, port, *properties):
    """A client of a service in the guest; one with another password is refused."""
    listener = m.guest.forward(port)
    m.defer(lambda: vm.hang_up(listener))
    client = vm.Client(build_client(), m.vm.dir)
    m.defer(client.close)
    where = ("tls", "127.0.0.1", listener.getsockname()[1], *properties)
    client.command("connect", *where, "password=wrong")
    refusal = client.wait_event("channel", 0, 20, type="main", state="error")
    if refusal["reason"] != "auth":
        raise Failure("a wrong password: %s" % refusal)
    client.command("connect", *where, "password=" + SECRET)
    client.wait_event("channel", 0, 20, type="inputs", state="opened")
    return client


@machine(**ONE_HEAD)
@ours_only
def test_host_service_is_sandboxed(m):
    """What the unit forbids is in the way of neither TLS, a ticket, SASL nor the process with QEMU's monitor."""
    run = m.guest.run
    ca = certificates.server(os.path.join(m.vm.dir, "tls"))
    install_host(m)
    configure_services(m, ca)
    lend_monitor(m)
    tablet = m.evdev("QEMU Virtio Tablet")
    run("systemctl start spicevmc@ticket spicevmc@sasl", timeout=60)
    client = log_in(m, 5901, "ca-file=" + ca)
    log_in(m, 5911, "ca-file=" + ca, "username=alice")
    for name in "ticket", "sasl":
        status = json.loads(run("spicevmc --status " + name))
        if [one["tls"] for one in status["clients"]] != [True]:
            raise Failure("status: %s" % status)
    wait_for(lambda: client.state()["mouse"] == "client", 10, lambda: "no way for the pointer: %s" % client.state())
    tablet("reset")
    client.position(799, 300)
    client.click(client.LEFT)
    wait_for(lambda: tablet()["release"].get("272"), 5, lambda: "no click: %s" % tablet())
    wait_place(tablet, (on_tablet(799, 800), on_tablet(300, 600)))
    units = run("systemctl show -P ActiveState -P NRestarts spicevmc@ticket spicevmc@sasl").split()
    if set(units) != {"active", "0"}:
        raise Failure("units: %s" % units)
    bad = [line for line in run("journalctl -b -o short-monotonic --no-hostname").split("\n")
           if re.search("spicevmc.*(bug:|denied|not permitted)|SIGSYS|type=1326", line)]
    if bad:
        raise Failure("journal:\n" + "\n".join(bad))


@machine(**ONE_HEAD)
@ours_only
def test_host_service(m):
    """The package's unit under a real systemd: in the guest, which plays a host here."""
    run = m.guest.run
    m.defer(lambda: run("dpkg -P spice-pv-host", timeout=120))
    install_host(m)
    m.guest.push("[vm]\nchannel=vdagent,path=/run/spicevmc/inner/agent.sock\ndisplay=0,800x600\nsocket-group=spicevmc\n",
                 "/etc/spice-pv/vm/inner.conf")
    run("systemctl start spicevmc@inner", timeout=60)
    status = json.loads(run("spicevmc --status inner"))
    if status["name"] != "inner" or status["uri"] != "spice+unix:///run/spicevmc/inner/spice.sock":
        raise Failure("status: %s" % status)
    pid = run("systemctl show -P MainPID spicevmc@inner").strip()
    if run("stat -c %%u /proc/%s" % pid).strip() == "0":
        raise Failure("spicevmc runs as root")
    level = run("systemd-analyze security --no-pager spicevmc@inner | tail -1")
    if float(level.split(":")[1].split()[0]) > 1.5:
        raise Failure(level)
    run("kill -9 " + pid)
    m.guest.until("[ $(systemctl show -P MainPID spicevmc@inner) != %s ] && spicevmc --status inner" % pid, 30)
    m.guest.push("[vm]\nchannel=teapot,path=/run/spicevmc/bad/agent.sock\n", "/etc/spice-pv/vm/bad.conf")
    if m.guest.ok("systemctl start spicevmc@bad"):
        raise Failure("a channel of type teapot was accepted")
    restarts = run("systemctl show -P ExecMainStatus -P NRestarts -P ActiveState spicevmc@bad").split()
    if "2" not in restarts or "failed" not in restarts or "0" not in restarts:
        raise Failure("bad configuration: %s" % restarts)
