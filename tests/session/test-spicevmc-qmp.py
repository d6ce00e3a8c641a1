#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""spicevmc with QEMU's monitor: keys in QEMU's numbers, none of which stays down, and tablets that come and go."""

from spicevmcd import *

A, NUM_LOCK, UP, PAUSE = 0x1e, 0x45, 0xc8, 0xc6  # QEMU's numbers
PREFIX = 0xe0


def monitor_of(m, *mice):
    """Once it is connected."""
    monitor = m.opened(Monitor(m.path("host-qmp.sock"), *mice, open=[m.host.paths["vdagent"]]))
    wait_for(lambda: m.host.channel("pvmouse")["guest"] == "closed", 10, "the monitor's word")
    return monitor


def typist(m):
    """A machine with a tablet, so that there is a way for the pointer, and a client that types."""
    monitor = monitor_of(m, Monitor.TABLET)
    m.host.wait_sink("qmp", 5)
    return monitor, *typing(m)


def typing(m):
    main = m.main()
    return main, m.inputs(main)


def down(inputs, code):
    """Bytes of a scan code, the first one in the lowest bits."""
    inputs.send(rawspice.KEY_DOWN, struct.pack("<I", code))


def up(inputs, code):
    inputs.send(rawspice.KEY_UP, struct.pack("<I", code))


def wait_asked(monitor, times):
    """The last of the questions that are asked together."""
    wait_for(lambda: [command["execute"] for command in list(monitor.commands)].count("query-chardev") == times, 5,
             lambda: "asked of QEMU: %s" % monitor.commands)


def wait_keys(monitor, since, *wanted):
    wait_for(lambda: len(monitor.keys()) >= since + len(wanted), 5, lambda: "keys: %s" % monitor.keys()[since:])
    expect(monitor.keys()[since:], list(wanted), "keys")


@machine(qmp=True)
def test_keys_behind_prefixes(m):
    """Each prefix counts for one key. Pause is two bytes behind 0xe1; for QEMU it is the grey form of Scroll Lock."""
    monitor, _, inputs = typist(m)
    down(inputs, 0x48e0)
    up(inputs, 0xc8e0)
    down(inputs, A)
    up(inputs, A | 0x80)
    down(inputs, 0x451de1)
    up(inputs, 0xc59de1)
    down(inputs, NUM_LOCK)
    up(inputs, NUM_LOCK | 0x80)
    wait_keys(monitor, 0, (UP, True), (UP, False), (A, True), (A, False), (PAUSE, True), (PAUSE, False),
              (NUM_LOCK, True), (NUM_LOCK, False))


def left(m, monitor, main, inputs):
    """The client goes, without a word of its keys: none stays down."""
    inputs.close()
    main.close()

    def held():
        keys = dict(monitor.keys())
        return [key for key in keys if keys[key]]
    wait_for(lambda: not m.status()["clients"], 5, "the client should have gone")
    wait_for(lambda: not held(), 5, lambda: "down: %s; keys: %s" % (held(), monitor.keys()))


@machine(qmp=True)
def test_client_leaves_with_keys_held(m):
    monitor, main, inputs = typist(m)
    for code in A, 0x48e0:
        down(inputs, code)
    wait_keys(monitor, 0, (A, True), (UP, True))
    left(m, monitor, main, inputs)


@machine(qmp=True)
def test_client_leaves_with_half_a_key(m):
    """Its prefix belongs neither to the release of a key that it holds nor to what the next client types."""
    monitor, main, inputs = typist(m)
    down(inputs, A)
    wait_keys(monitor, 0, (A, True))
    down(inputs, PREFIX)
    left(m, monitor, main, inputs)
    for prefix in PREFIX, 0xe1, 0x1de1:
        main, inputs = typing(m)
        down(inputs, prefix)
        left(m, monitor, main, inputs)
        main, inputs = typing(m)
        since = len(monitor.keys())
        down(inputs, A)
        up(inputs, A | 0x80)
        wait_keys(monitor, since, (A, True), (A, False))
        left(m, monitor, main, inputs)


@machine(qmp=True)
def test_client_leaves_with_pause_held(m):
    """libspice-server takes it for Num Lock."""
    monitor, main, inputs = typist(m)
    down(inputs, 0x451de1)
    wait_keys(monitor, 0, (PAUSE, True))
    left(m, monitor, main, inputs)


@machine(qmp=True)
def test_tablet_is_unplugged(m):
    """The pointer goes by the agent's port then."""
    monitor, _, inputs = typist(m)
    agent = m.agent()
    wait_for(lambda: m.host.channel("vdagent")["guest"] == "open", 5, "the agent")
    expect(m.status()["sink"], "qmp", "sink")
    monitor.mice = []
    monitor.event("DEVICE_DELETED", device="t", path="/machine/peripheral/t")
    m.host.wait_sink("legacy", 5)
    inputs.position(30, 40)
    agent.wait(lambda: agent.mice and agent.mice[-1] == (30, 40, 0, 0), 5, lambda: "at the agent: %s" % agent.mice)


@machine(qmp=True)
def test_tablet_is_plugged_between_clients(m):
    """It is found when a client connects, and nobody asks before."""
    monitor = monitor_of(m)
    m.agent()
    m.host.wait_sink("legacy", 5)
    wait_asked(monitor, 2)  # when it came to be there, and for the agent's connection
    before = len(monitor.commands)
    monitor.mice.append(Monitor.TABLET)
    time.sleep(2)
    expect(monitor.commands[before:], [], "asked of QEMU")
    main = m.main()
    m.host.wait_sink("qmp", 5)
    inputs = m.inputs(main)
    inputs.position(30, 40)
    wait_for(lambda: any(command["execute"] == "input-send-event" for command in monitor.commands[before:]), 5,
             lambda: "no position: %s" % monitor.commands[before:])


@machine(qmp=True)
def test_tablet_is_plugged_under_a_client(m):
    """It is found by the first click, which had no way."""
    monitor = monitor_of(m)
    main = m.main(talk=False, mode=False)
    inputs = m.inputs(main)
    wait_for(lambda: m.status()["clients"] and m.status()["clients"][0]["channels"] == 2, 5, "the client")
    wait_asked(monitor, 2)  # when it came to be there, and for the client
    monitor.mice.append(Monitor.TABLET)
    expect(m.status()["sink"], "none", "sink")
    inputs.press(1)
    inputs.release(1)
    m.host.wait_sink("qmp", 5)
    main.wait_until(lambda: main.mouse_modes & rawspice.CLIENT_MODE, 10, "no client mouse mode")


run(globals(), "spicevmc-qmp")
