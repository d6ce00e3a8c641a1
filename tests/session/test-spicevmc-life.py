#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""spicevmc's clients come, go and are killed; it sleeps when nothing happens, and says how it is doing."""

import glob
import json
import signal

from spicevmcd import *

CONSOLE = "org.spice-pv.console.0"
ALL = {"channels": (("vdagent",), ("pvmouse",), ("usbredir",), ("smartcard",), ("port", "name=" + CONSOLE))}


def kill(m, client):
    """As by the kernel: without a word."""
    client._process.kill()
    client._process.wait()
    wait_for(lambda: not m.status()["clients"], 5, "the client should have gone")


@machine()
def test_killed_while_the_guest_pastes(m):
    """The guest has asked, a part of the data is there: it hears that the client has gone."""
    pointer, agent = m.pointer(), m.agent()
    main = m.main(mode=False)
    main.agent(agentwire.CLIPBOARD_GRAB, struct.pack("<BxxxII", 0, 0, TEXT))
    agent.wait_message(agentwire.CLIPBOARD_GRAB)
    agent.say(agentwire.CLIPBOARD_REQUEST, struct.pack("<BxxxI", 0, TEXT))
    main.wait_agent(agentwire.CLIPBOARD_REQUEST)
    main.agent_data(agentwire.header(agentwire.CLIPBOARD, 8 + 1000000) + struct.pack("<BxxxI", 0, TEXT) + b"x" * 2000)
    wait_for(lambda: m.counter("clipboard-bytes") == 2000, 5, "the first part")
    since = len(agent.messages)
    main.close()
    agent.wait_message(agentwire.CLIENT_DISCONNECTED, since)
    works(m, agent, pointer)


@machine()
def test_killed_while_it_pastes(m):
    """The client has read a part of what the guest says; so has libspice-server."""
    pointer, agent = m.pointer(), m.agent()
    client = m.client()
    client.wait_agent(10)
    mark = client.mark()
    agent.send(agentwire.grab())
    client.wait_event("grab", mark)
    client.fetch_start()
    agent.wait_message(agentwire.CLIPBOARD_REQUEST)
    agent.send(agentwire.chunk(agentwire.header(agentwire.CLIPBOARD, 8 + (8 << 20)) + struct.pack("<BxxxI", 0, TEXT)))
    agent.push(agentwire.chunk(b"x" * 2000) * 2000)
    kill(m, client)
    m.check()
    agent.close()  # it owes the rest
    works(m, None, pointer)


@machine()
def test_killed_while_the_guest_talks_on(m):
    """The same, and the guest goes on with the rest: that is nobody's."""
    pointer, agent = m.pointer(), m.agent()
    client = m.client()
    client.wait_agent(10)
    mark = client.mark()
    agent.send(agentwire.grab())
    client.wait_event("grab", mark)
    client.fetch_start()
    agent.wait_message(agentwire.CLIPBOARD_REQUEST)
    body = struct.pack("<BxxxI", 0, TEXT) + bytes(8 << 20)
    sender = threading.Thread(target=agent.say, args=(agentwire.CLIPBOARD, body), daemon=True)
    sender.start()
    wait_for(lambda: m.counter("clipboard-bytes") > 100000, 10, "the first part")
    kill(m, client)
    sender.join(10)
    expect(sender.is_alive(), False, "the guest is still being held up")
    works(m, agent, pointer)


@machine()
def test_killed_in_mid_file(m):
    """A file of 200 MB; the agent hears that the client has gone."""
    pointer, agent = m.pointer(), m.agent()
    path = m.path("large")
    with open(path, "wb") as file:
        file.truncate(200 << 20)
    for round in range(2):
        client = m.client()
        client.wait_agent(10)
        since, mark = len(agent.messages), client.mark()
        client.start("files", path)
        start = agent.wait_message(agentwire.FILE_XFER_START, since)
        agent.say(agentwire.FILE_XFER_STATUS, start[:4] + struct.pack("<I", CAN_SEND))
        before = m.counter("file-bytes")
        wait_for(lambda: m.counter("file-bytes") > before + (4 << 20), 20, lambda: "file data: %s" % m.status())
        if round == 1:
            agent.stop_reading()
            time.sleep(0.3)
        kill(m, client)
        m.check()
        agent.read_again()
        agent.wait_message(agentwire.CLIENT_DISCONNECTED, since)
    agent.messages.clear()
    agent.data.clear()
    works(m, agent, pointer)


@machine()
def test_killed_in_mid_click(m):
    pointer, agent = m.pointer(), m.agent()
    client = m.client()
    client.wait_agent(10)
    client.position(10, 10)
    client.command("press", 1)
    pointer.wait_frame(buttons=LEFT)
    kill(m, client)
    pointer.wait_frame(pointer.seen, buttons=0)
    works(m, agent, pointer)


@machine()
def test_killed_in_a_burst(m):
    """Of clicks that the guest takes slowly: what was clicked comes, and at the end nothing is pressed."""
    pointer = m.pointer(credit=2, generous=False)
    client = m.client()
    client.wait_agent(10)
    client.command("burst", "click", 100, 0)
    client.command("press", 3)
    wait_for(lambda: m.host.channel("pvmouse")["queued"] >= 190, 5, lambda: "queued: %s" % m.status())
    kill(m, client)
    pointer.generous = True
    pointer.give(2)
    pointer.wait(lambda: pointer.frames and edges(pointer.frames) == "pr" * 100 and pointer.frames[-1].buttons == 0, 10,
                 lambda: "edges: %s" % edges(pointer.frames))
    works(m, None, pointer)


@machine()
def test_agent_dies_in_mid_file(m):
    """The transfer and the paste that were open with it end in the protocol's own words."""
    pointer, agent = m.pointer(), m.agent()
    main = m.main(mode=False)
    main.agent(agentwire.FILE_XFER_START, agentwire.examples()[agentwire.FILE_XFER_START])
    agent.wait_message(agentwire.FILE_XFER_START)
    agent.send(agentwire.grab())
    main.wait_agent(agentwire.CLIPBOARD_GRAB)
    main.agent(agentwire.CLIPBOARD_REQUEST, struct.pack("<BxxxI", 0, TEXT))
    agent.wait_message(agentwire.CLIPBOARD_REQUEST)
    main.agent(agentwire.MONITORS_CONFIG, agentwire.examples()[agentwire.MONITORS_CONFIG])
    agent.wait_message(agentwire.MONITORS_CONFIG)
    agent.close()
    expect(main.wait_agent(agentwire.FILE_XFER_STATUS), struct.pack("<II", 7, CANCELLED), "transfer")
    expect(main.wait_agent(agentwire.CLIPBOARD)[4:], struct.pack("<I", NONE), "paste")
    main.wait_agent(agentwire.CLIPBOARD_RELEASE)
    expect(main.wait_agent(agentwire.REPLY), struct.pack("<II", agentwire.MONITORS_CONFIG, 2), "monitors")
    expect(main.agent_connected, True, "agent connected, as pvmouse is there")
    main.close()
    works(m, None, pointer)


@machine()
def test_slow_guest(m):
    """An agent that takes 10 KiB/s is slow, not stuck: its file arrives."""
    agent = m.agent()
    main = m.main(mode=False)
    main.agent(agentwire.FILE_XFER_START, agentwire.examples()[agentwire.FILE_XFER_START])
    agent.wait_message(agentwire.FILE_XFER_START)
    agent.stop_reading()
    size = 600000
    data = struct.pack("<IQ", 7, size) + bytes(size)
    sending = threading.Thread(target=lambda: main.agent(agentwire.FILE_XFER_DATA, data, timeout=60), daemon=True)
    sending.start()
    wait_for(lambda: m.host.channel("vdagent")["queued"] > 65536, 10, "the guest should not take it all at once")
    for _ in range(26):
        time.sleep(0.5)
        agent.read_some(5120)
    expect(m.counter("stalls"), 0, "stalls")
    agent.read_again()
    sending.join(20)
    pieces = lambda: [body[12:] for _, kind, body in agent.messages if kind == agentwire.FILE_XFER_DATA]
    agent.wait(lambda: sum(map(len, pieces())) == size, 20, "the file")
    main.close()


@machine()
def test_stuck_agent_goes_on(m):
    """An agent that is the only way into the guest, and takes nothing for too long, is there again when it goes on."""
    agent = m.agent()
    main = m.main()
    m.host.wait_sink("legacy", 5)
    main.agent(agentwire.FILE_XFER_START, agentwire.examples()[agentwire.FILE_XFER_START])
    agent.wait_message(agentwire.FILE_XFER_START)
    agent.stop_reading()
    data = struct.pack("<IQ", 7, 600000) + bytes(600000)
    threading.Thread(target=lambda: main.agent(agentwire.FILE_XFER_DATA, data, timeout=60), daemon=True).start()
    wait_for(lambda: m.counter("stalls") == 1, 40, "the agent is stuck")
    expect(main.wait_agent(agentwire.FILE_XFER_STATUS)[:8], struct.pack("<II", 7, ERROR), "transfer")
    expect(main.agent_connected, True, "agent connected, as it may go on")
    agent.read_again()
    m.host.wait_sink("legacy", 10)
    main.close()


@machine()
def test_agent_that_has_not_noticed(m):
    """One that said all to the daemon before, and did not run while that was replaced: it is asked, and told that no
    client is there."""
    agent = m.agent(announce=False, reading=False)
    agent.answers = True
    agent.read_again()
    m.host.wait_sink("legacy", 5)
    heard = [agentwire.CLIENT_DISCONNECTED, agentwire.ANNOUNCE_CAPABILITIES, agentwire.CLIENT_DISCONNECTED]
    agent.wait(lambda: [kind for _, kind, _ in agent.messages] == heard, 5, lambda: "heard: %s" % agent.messages)
    works(m, agent)


@machine()
def test_fifty_connections(m):
    """Each waits for its picture. Memory and descriptors are as after the first ones."""
    pointer, agent = m.pointer(), m.agent()
    client = m.client(connect=False)
    counts = []
    for number in range(50):
        m.connect(client)
        client.wait_agent(10)
        client.command("disconnect")
        wait_for(lambda: not m.status()["clients"], 5, "the client should have gone")
        counts.append((len(os.listdir("/proc/%d/fd" % m.host.pid)), m.host.rss_peak()))
    client.close()
    sys.stderr.write("descriptors and peak after 5 and 50 connections: %s, %s\n" % (counts[4], counts[-1]))
    expect(counts[-1][0], counts[4][0], "descriptors")
    if counts[-1][1] > counts[4][1] + 1024 and not sanitized():
        raise Failure("memory grew: %s" % counts)
    works(m, agent, pointer)


@machine()
def test_killed_with_a_client(m):
    """kill -9 of spicevmc with a button held: QEMU and client find it again, nothing is pressed."""
    pointer, agent = m.pointer(), m.agent()
    client = m.client()
    client.wait_agent(10)
    client.command("press", 1)
    pointer.wait_frame(buttons=LEFT)
    m.host.kill(signal.SIGKILL)
    pointer.wait_closed()
    agent.wait_closed()
    began = time.monotonic()
    m.host.start()
    pointer, agent = m.pointer(), m.agent()
    expect(pointer.wait_frame().buttons, 0, "buttons")
    mark = client.mark()
    m.connect(client)
    client.wait_agent(10)
    client.click(1)
    pointer.wait(lambda: edges(pointer.frames) == "pr", 5, "click")
    if time.monotonic() - began > 3:
        raise Failure("%.1f s until it works again" % (time.monotonic() - began))
    client.close()
    works(m, agent, pointer)


def switches(pid):
    """Context switches of all its threads and children."""
    total = 0
    for name in glob.glob("/proc/%d/task/*/status" % pid):
        with open(name) as file:
            total += sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)
    return total


def idle(**options):
    """With QEMU at every channel and a client that does nothing: asleep."""
    with Machine(**ALL, **options) as m:
        m.pointer(), m.agent()
        others = [m.peer(kind) for kind in ("smartcard", "port")]
        client = m.client()
        client.wait_agent(10)
        client.position(10, 10)
        time.sleep(4)  # after two seconds libspice-server tells the state of the lock keys
        before = switches(m.host.pid)
        time.sleep(10)
        expect(switches(m.host.pid) - before, 0, "context switches in ten seconds")
        client.close()
        time.sleep(2)
        before = switches(m.host.pid)
        time.sleep(5)
        expect(switches(m.host.pid) - before, 0, "context switches in five seconds without a client")
        expect([peer.closed for peer in others], [False, False], "closed")


def test_idle_on_a_unix_socket():
    idle()


def test_idle_on_tcp():
    idle(tcp=True)


def test_idle_with_tls():
    """One burst each 15 seconds: libspice-server's pings."""
    with Machine(start=False) as m:
        m.host.args = tls(m, ticket=False)
        m.host.start()
        m.pointer()
        client = m.client(connect=False)
        mark = client.mark()
        client.command("connect", "tls", "127.0.0.1", str(m.ports[1]), "ca-file=" + m.ca)
        wait_picture(client, mark)
        client.wait_agent(10)
        time.sleep(4)
        bursts, last, awake = 0, switches(m.host.pid), False
        for _ in range(62):
            time.sleep(0.5)
            now = switches(m.host.pid)
            bursts += now != last and not awake
            awake, last = now != last, now
        sys.stderr.write("%d bursts in 31 s\n" % bursts)
        if bursts > 3:
            raise Failure("%d bursts in 31 s" % bursts)
        m.check()


def test_client_on_tcp():
    """Is named by where it comes from; when it leaves, nothing stays pressed."""
    with Machine(tcp=True) as m:
        pointer, agent = m.pointer(), m.agent()
        main = m.main()
        inputs = m.inputs(main)
        inputs.press(1)
        pointer.wait_frame(buttons=LEFT)
        expect([(client["address"], client["tls"], client["channels"]) for client in m.status()["clients"]],
               [("%s:%d" % main.sock.getsockname(), False, 2)], "client")
        main.close()
        wait_for(lambda: edges(pointer.frames) == "pr", 5, lambda: "edges: %s" % edges(pointer.frames))
        works(m, agent, pointer)


def say_status(m, *more, timeout=None):
    return subprocess.run([vm.Host.program(), "--status", "vm", "--runtime-dir", m.path("run"), *more],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)


@machine(**ALL)
def test_status(m):
    """The contract: which keys, of which types, and what they say."""
    status = json.loads(say_status(m).stdout)
    expect(sorted(status), ["channels", "clients", "counters", "name", "sink", "uri"], "keys")
    expect((status["name"], status["uri"], status["clients"], status["sink"]),
           ("vm", "spice+unix://" + m.spice, [], "none"), "values")
    expect([channel["type"] for channel in status["channels"]], [kind for kind, *_ in ALL["channels"]], "types")
    types = {"type": str, "path": str, "qemu": bool, "guest": str, "queued": int, "dropped": int}
    for channel in status["channels"]:
        expect({key: type(value) for key, value in channel.items()}, types, "types of " + channel["type"])
        expect((channel["path"], channel["qemu"], channel["guest"], channel["queued"]),
               (m.host.paths[channel["type"]], False, "unknown", 0), channel["type"])
    wrong = {key: value for key, value in status["counters"].items() if type(value) is not int or value < 0}
    expect(wrong, {}, "counters")
    agent = m.agent()
    m.host.wait_sink("legacy", 5)
    pointer = m.pointer()
    m.host.wait_sink("pvmouse", 5)
    for kind in ("usbredir", "smartcard", "port"):
        m.peer(kind)
    main = m.main()
    inputs = m.inputs(main)
    inputs.press(1)
    pointer.wait_frame(buttons=LEFT)
    wait_for(lambda: all(channel["qemu"] for channel in m.status()["channels"]), 5, lambda: "qemu: %s" % m.status())
    status = m.status()
    expect([sorted(client) for client in status["clients"]], [["address", "channels", "tls"]], "keys of a client")
    expect((status["clients"][0]["address"], status["clients"][0]["tls"], status["clients"][0]["channels"]),
           ("unix", False, 2), "client")
    expect(status["counters"]["pointer-pvmouse"] >= 1, True, "pointer-pvmouse counts")
    pointer.close()
    m.host.wait_sink("legacy", 5)
    agent.close()
    m.host.wait_sink("none", 5)


@machine(**ALL)
def test_status_for_people(m):
    m.pointer()
    m.main()
    text = say_status(m, "--human").stdout
    for word in ("vm at spice+unix://", "pointer: pvmouse", "clients:", "unix", "smartcard", m.host.paths["port"],
                 "QEMU connected", "QEMU not connected", "counters:", "pvmouse-frames"):
        if word not in text:
            raise Failure("no %r in:\n%s" % (word, text))


@machine(**ALL)
def test_status_of_guest_without_monitor(m):
    """Open is then what has spoken: HELLO on the pointer's port, an announcement on the agent's. Nobody knows of others."""
    def guests():
        return [channel["guest"] for channel in m.status()["channels"]]

    def wait_guests(*wanted):
        wait_for(lambda: guests() == list(wanted), 5, lambda: "guest: %s, wanted %s" % (guests(), wanted))

    for kind in m.host.paths:
        if kind not in ("vdagent", "pvmouse"):
            m.peer(kind)
    agent, pointer = m.agent(announce=False), m.pointer(hello=False)
    wait_for(lambda: all(channel["qemu"] for channel in m.status()["channels"]), 5, lambda: "qemu: %s" % m.status())
    expect(guests(), ["unknown"] * 5, "guest before anything is said")
    pointer.hello()
    wait_guests("unknown", "open", "unknown", "unknown", "unknown")
    agent.send(agentwire.caps(AGENT_CAPS))
    wait_guests("open", "open", "unknown", "unknown", "unknown")
    pointer.close()
    wait_guests("open", "unknown", "unknown", "unknown", "unknown")
    agent.close()
    wait_guests("unknown", "unknown", "unknown", "unknown", "unknown")


@machine()
def test_status_of_one_that_hangs(m):
    """It is not waited for without an end."""
    os.kill(m.host.pid, signal.SIGSTOP)
    try:
        run = say_status(m, timeout=20)
    except subprocess.TimeoutExpired:
        raise Failure("--status waits for a daemon that does not run")
    finally:
        os.kill(m.host.pid, signal.SIGCONT)
    expect((run.returncode, run.stdout), (1, ""), "status")
    if m.path("run/vm/control") not in run.stderr:
        raise Failure(run.stderr)
    works(m)


def test_status_of_none():
    """A machine that does not run, or never did: exit status 1 and a line that says so."""
    with Machine(start=False) as m:
        for _ in range(2):
            run = say_status(m)
            expect((run.returncode, run.stdout), (1, ""), "status")
            if "does not run" not in run.stderr or "vm" not in run.stderr:
                raise Failure(run.stderr)
            m.host.start()
            m.host.kill(signal.SIGKILL)


@machine()
def test_status_many_times(m):
    """Also of many who ask and do not read."""
    asking = []
    for _ in range(200):
        sock = vm.unix_connect(m.path("run/vm/control"))
        with contextlib.suppress(OSError):
            sock.send(b"\0" * 1000)
        asking.append(sock)
    expect(m.status()["name"], "vm", "name")
    for sock in asking:
        sock.close()
    works(m)


run(globals(), "spicevmc-life")
