#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""spicevmc's channel types: who connects to whom and when, peers that come, go and hang, and none in another's way."""

import signal

from spicevmcd import *

CONSOLE = "org.spice-pv.console.0"
WEBDAV = "org.spice-space.webdav.0"
TYPES = (("vdagent",), ("pvmouse",), ("usbredir",), ("smartcard",), ("port", "name=" + CONSOLE))
ALL = {"channels": TYPES}
KINDS = [kind for kind, *_ in TYPES]


class Device(Peer):
    """QEMU's usb-redir: says hello, and keeps what comes as packets (type, body)."""

    def __init__(self, where, hello=True, **arguments):
        self.packets = []
        self._at = 0
        self._header = "<III"
        super().__init__(where, **arguments)
        if hello:
            self.send(USB_HELLO)

    def take(self, part):
        size = struct.calcsize(self._header)
        while len(self.data) - self._at >= size:
            kind, length = struct.unpack_from("<II", self.data, self._at)
            if len(self.data) - self._at - size < length:
                break
            self.packets.append((kind, bytes(self.data[self._at + size:self._at + size + length])))
            self._at += size + length
            self._header = "<IIQ"  # both ends can have long ids
            size = struct.calcsize(self._header)

    def wait_packet(self, kind, timeout=10):
        return self.wait(lambda: [(body,) for got, body in self.packets if got == kind], timeout,
                         lambda: "no usbredir packet of type %d: %s" % (kind, self.packets))[0][0]


class Disk:
    """A CD of the client's at that device, read as QEMU's usb-storage would: by bulk packets."""

    BULK = 101

    def __init__(self, device):
        self._device = device
        self._number = 0
        device.wait_packet(1)
        self._send(6, bytes([1]))  # the configuration
        types = device.wait_packet(5)[:32]
        self.out = types.index(2)
        self.inward = 0x80 | types.index(2, 16) - 16

    def _send(self, kind, body):
        self._number += 1
        self._device.send(struct.pack("<IIQ", kind, len(body), self._number) + body)

    def _bulk(self, endpoint, size, data=b""):
        """One transfer; returns what came."""
        before = len(self._device.packets)
        self._send(self.BULK, struct.pack("<BBHIH", endpoint, 0, size, 0, 0) + data)
        return self._device.wait(lambda: [(body[10:],) for kind, body in self._device.packets[before:] if kind == self.BULK],
                                 10, "no end of a transfer")[0][0]

    def command(self, cdb, size):
        """A SCSI command with `size` bytes as its answer."""
        self._bulk(self.out, 31, struct.pack("<4sIIBBB", b"USBC", self._number, size, 0x80, 0, len(cdb)) + cdb.ljust(16, b"\0"))
        answer = self._bulk(self.inward, size)
        self._bulk(self.inward, 13)
        return answer

    def read(self, sector, count):
        return self.command(struct.pack(">BBIBHB", 0x28, 0, sector, 0, count, 0), count * 2048)


class Reader(Peer):
    """QEMU's ccid-card-passthru: messages as (type, reader, body). It confirms each reader."""

    def __init__(self, where, **arguments):
        self.messages = []
        self._at = 0
        super().__init__(where, **arguments)

    def take(self, part):
        while len(self.data) - self._at >= 12:
            kind, reader, length = struct.unpack_from(">III", self.data, self._at)
            if len(self.data) - self._at - 12 < length:
                break
            self.messages.append((kind, reader, bytes(self.data[self._at + 12:self._at + 12 + length])))
            self._at += 12 + length
            if kind == rawspice.Smartcard.READER_ADD:
                self.say(rawspice.Smartcard.ERROR, bytes(4))

    def say(self, kind, body=b"", size=None):
        self.send(struct.pack(">III", kind, 0, len(body) if size is None else size) + body)

    def wait_message(self, kind, timeout=10):
        return self.wait(lambda: [(body,) for got, _, body in self.messages if got == kind], timeout,
                         lambda: "no smartcard message of type %d: %s" % (kind, self.messages))[0][0]


class Webdav(rawspice.Port):
    KIND = rawspice.WEBDAV


CLASSES = {"vdagent": Agent, "pvmouse": Pointer, "usbredir": Device, "smartcard": Reader, "port": Peer}


class Client:
    """A raw client with a channel for each type. Says something by each and looks whether QEMU's end hears it, and the
    other way round."""

    def __init__(self, m, card=True):
        """`card`: QEMU is there to confirm its reader."""
        self.main = m.main(mode=False)
        self.inputs = m.inputs(self.main)
        self.usb = m.channel(rawspice.Usb, self.main)
        self.card = m.channel(rawspice.Smartcard, self.main)
        self.port = m.channel(rawspice.Port, self.main)
        if card:
            self.card.add_reader()
            self.card.insert()
        self.number = 0

    def close(self):
        for channel in (self.port, self.card, self.usb, self.inputs, self.main):
            channel.close()

    def at_vdagent(self, agent):
        self.number += 1
        self.main.agent(agentwire.AUDIO_VOLUME_SYNC, struct.pack("<BBBHH", 1, 0, 2, self.number, 7))
        agent.wait_message(agentwire.AUDIO_VOLUME_SYNC, check=lambda body: body[3:5] == struct.pack("<H", self.number))
        since = len(self.main.from_agent)
        agent.say(agentwire.REPLY, struct.pack("<II", agentwire.MONITORS_CONFIG, 1))
        self.main.wait_agent(agentwire.REPLY, since=since)

    def at_pvmouse(self, pointer):
        since = len(pointer.frames)
        self.inputs.press(1)
        self.inputs.release(1)
        pointer.wait(lambda: edges(pointer.frames[since:]) == "pr", 5, lambda: "no click: %s" % pointer.frames)

    def at_usbredir(self, device):
        self.usb.hello()
        device.wait_packet(rawspice.Usb.HELLO)

    def at_smartcard(self, reader):
        reader.wait_message(rawspice.Smartcard.READER_ADD)
        expect(reader.wait_message(rawspice.Smartcard.ATR), bytes.fromhex("3b0123"), "ATR")
        self.card.answer = b"\x90\x00" + bytes([self.number])
        reader.say(rawspice.Smartcard.APDU, bytes.fromhex("00a4040000"))
        expect(reader.wait_message(rawspice.Smartcard.APDU), self.card.answer, "answer of the card")

    def at_port(self, peer):
        self.number += 1
        self.port.wait_until(lambda: self.port.opened, 5, "the port is not opened")
        self.port.write(b"to the guest %d\n" % self.number)
        peer.wait_data(b"to the guest %d\n" % self.number)
        peer.send(b"to the client %d\n" % self.number)
        self.port.wait_until(lambda: b"to the client %d\n" % self.number in self.port.data(), 5, "text from the guest")


def attached(m, **peers):
    """QEMU at every channel, and a client at work with all of them."""
    client = Client(m)
    for kind in KINDS:
        getattr(client, "at_" + kind)(peers[kind])
    return client


def peers(m, kinds=KINDS):
    return {kind: m.opened(CLASSES[kind](m.host.paths[kind])) for kind in kinds}


@machine(**ALL)
def test_we_listen(m):
    """server=on, QEMU after us."""
    attached(m, **peers(m))
    if not all(channel["qemu"] for channel in m.status()["channels"]):
        raise Failure("status: %s" % m.status())


def test_we_listen_and_qemu_was_first():
    """server=on, QEMU tries until we are there, as with reconnect=1."""
    with Machine(start=False, **ALL) as m:
        found = {}
        threads = [threading.Thread(target=lambda kind=kind: found.update(peers(m, [kind]))) for kind in KINDS]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        m.host.start()
        for thread in threads:
            thread.join()
        attached(m, **found)
        m.check()


def connecting(before):
    with Machine(start=False, channels=[channel + ("server=off",) for channel in TYPES]) as m:
        if not before:
            m.host.start()
            time.sleep(0.3)
        listeners = {kind: m.opened(Qemu(m.host.paths[kind])) for kind in KINDS}
        if before:
            m.host.start()
        found = {kind: m.opened(CLASSES[kind](listeners[kind].accept())) for kind in KINDS}
        attached(m, **found).close()
        found["usbredir"].wait_closed()
        for kind in KINDS:
            found[kind].close()
        found = {kind: m.opened(CLASSES[kind](listeners[kind].accept())) for kind in KINDS}
        attached(m, **found)
        m.check()


def test_we_connect():
    """server=off, QEMU is there; and it comes again."""
    connecting(True)


def test_we_connect_and_qemu_was_last():
    """server=off, we try until it is there."""
    connecting(False)


@machine(**ALL)
def test_restart(m):
    """kill -9 and start: QEMU's ends come again, and everything works with a new client."""
    before = peers(m)
    attached(m, **before)
    m.host.kill(signal.SIGKILL)
    for peer in before.values():
        peer.wait_closed()
    m.host.start()
    attached(m, **peers(m))


def again(m, kind, times=30):
    """QEMU's end goes and comes without a pause; the last one is handed to the client."""
    for _ in range(times):
        peer = CLASSES[kind](m.host.paths[kind])
        peer.close()
    peer = m.opened(CLASSES[kind](m.host.paths[kind]))
    time.sleep(0.1)
    if peer.closed:
        raise Failure("the QEMU that came last was turned away")
    return peer


@machine(**ALL)
def test_agent_reconnects_at_once(m):
    found = peers(m)
    client = attached(m, **found)
    found["vdagent"].close()
    agent = again(m, "vdagent")
    agent.wait_client()
    client.at_vdagent(agent)


@machine(**ALL)
def test_pvmouse_reconnects_at_once(m):
    found = peers(m)
    client = attached(m, **found)
    found["pvmouse"].close()
    client.at_pvmouse(again(m, "pvmouse"))


@machine(**ALL)
def test_port_reconnects_at_once(m):
    found = peers(m)
    client = attached(m, **found)
    found["port"].close()
    client.at_port(again(m, "port"))


@machine(**ALL)
def test_smartcard_reconnects_at_once(m):
    """Each time it is told again of the reader and of the card's ATR."""
    found = peers(m)
    client = attached(m, **found)
    found["smartcard"].close()
    client.at_smartcard(again(m, "smartcard"))


@machine(**ALL)
def test_usbredir_reconnects_at_once(m):
    """The client's channel ends, as its greeting was for the QEMU that went; a new one works."""
    found = peers(m)
    client = attached(m, **found)
    found["usbredir"].close()
    client.usb.wait_closed()
    device = again(m, "usbredir")
    usb = m.channel(rawspice.Usb, client.main)
    usb.hello()
    device.wait_packet(rawspice.Usb.HELLO)


@machine(tcp=True, channels=(("vdagent",), ("pvmouse",), ("usbredir",)))
def test_usbredir_compressed(m):
    """A client that does not come by a unix socket compresses what it can."""
    m.agent(), m.pointer()
    device = m.opened(Device(m.host.paths["usbredir"]))
    content = b"compressible" * (1 << 20)
    with open(m.path("cd.iso"), "wb") as file:
        file.write(content[:8 << 20])
    client = m.client(connect=False)
    m.connect(client, "enable-usbredir=yes")
    client.command("share-cd", m.path("cd.iso"))
    disk = Disk(device)
    for _ in range(3):  # what has changed: a disk came
        disk.command(bytes([3, 0, 0, 0, 18, 0]), 18)
    for number in range(200):
        got = disk.read(number * 16, 16)
        if got != content[number * 32768:(number + 1) * 32768]:
            raise Failure("read %d: %d bytes came, beginning %r" % (number, len(got), got[:20]))
    m.check()


@machine(**ALL)
def test_second_connection_is_turned_away(m):
    found = peers(m)
    client = attached(m, **found)
    for kind in KINDS:
        Peer(m.host.paths[kind]).wait_closed()
        if found[kind].closed:
            raise Failure("%s: the first connection was closed" % kind)
    client.at_vdagent(found["vdagent"])
    client.at_pvmouse(found["pvmouse"])
    client.at_port(found["port"])


def latencies(inputs, pointer, count=40):
    """Milliseconds from a client's click to the guest's frames, sorted."""
    times = []
    for _ in range(count):
        since = len(pointer.frames)
        began = time.monotonic()
        inputs.press(1)
        inputs.release(1)
        pointer.wait(lambda: edges(pointer.frames[since:]) == "pr", 5, "no click")
        times.append(1000 * (pointer.frames[-1].time - began))
        time.sleep(0.01)
    return sorted(times)


@machine(**ALL)
def test_stuck_channels_delay_no_other(m):
    """Agent, USB and port whose QEMU reads nothing while the client sends as much as it can: clicks come at once."""
    found = peers(m)
    client = attached(m, **found)
    client.usb.plug()
    found["usbredir"].wait_packet(rawspice.Usb.CONNECT)
    client.main.agent(agentwire.FILE_XFER_START, agentwire.examples()[agentwire.FILE_XFER_START].replace(
        b"size=4", b"size=100000000"))
    found["vdagent"].wait_message(agentwire.FILE_XFER_START)
    for kind in ("vdagent", "usbredir", "port", "smartcard"):
        found[kind].stop_reading()

    def to_agent():
        client.main.agent_data(agentwire.header(agentwire.FILE_XFER_DATA, 12 + 50000000) +
                               struct.pack("<IQ", 7, 50000000))
        with contextlib.suppress(Failure, OSError):
            while True:
                client.main.wait_until(lambda: client.main.tokens > 0, 60)
                client.main.agent_data(bytes(2048))
    bulk = struct.pack("<IIQBBHIH", rawspice.Usb.BULK, 10 + 4096, 1, 0x81, 0, 4096, 0, 0) + bytes(4096)
    threads = [threading.Thread(target=to_agent, daemon=True)]
    pushed = {"usb": client.usb.push(rawspice.message(rawspice.DATA, bulk) * 1000, 0.5),
              "port": client.port.push(rawspice.message(rawspice.DATA, bytes(4096)) * 1000, 0.5)}
    threads[0].start()
    wait_for(lambda: m.host.channel("vdagent")["queued"] > 30000, 10, lambda: "nothing waits: %s" % m.status())
    times = latencies(client.inputs, found["pvmouse"])
    sys.stderr.write("stuck: %s, clicks in ms: p50 %.1f, p90 %.1f, max %.1f; %s\n" % (
        pushed, times[20], times[36], times[-1], [(c["type"], c["queued"]) for c in m.status()["channels"]]))
    # libspice-server keeps 128 messages of a client for each channel, the rest waits in its socket.
    if max(pushed.values()) > 3 << 20:
        raise Failure("too much was taken for a QEMU that does not read: %s" % pushed)
    if times[36] > 50:
        raise Failure("clicks take %s ms" % times)
    m.check()


@machine(**ALL)
def test_stuck_client_delays_no_other(m):
    """A client that does not read its port and its USB channel: QEMU's ends are not read, the pointer goes on. Then it
    goes, with as much waiting for it as libspice-server takes."""
    found = peers(m)
    main = m.main(mode=False)
    inputs = m.inputs(main)
    port = m.channel(rawspice.Port, main, reading=False)
    usb = m.channel(rawspice.Usb, main, reading=False)
    time.sleep(0.2)
    taken = found["port"].push(bytes(100 << 20))
    if taken > 8 << 20:
        raise Failure("%d bytes were taken for a client that does not read" % taken)
    times = latencies(inputs, found["pvmouse"])
    sys.stderr.write("%d bytes taken, clicks in ms: p50 %.1f, p90 %.1f\n" % (taken, times[20], times[36]))
    if times[36] > 50:
        raise Failure("clicks take %s ms" % times)
    for channel in (port, usb, inputs, main):
        channel.close()
    works(m, found["vdagent"], found["pvmouse"])


@machine(**ALL)
def test_port_opened_and_closed(m):
    """The client is told; what it sends to a closed port is dropped and counted, and no later reader gets it."""
    m.pointer()
    client = Client(m, card=False)
    port = client.port
    port.wait_until(lambda: port.name == CONSOLE, 5, "no name")
    expect(port.opened, False, "opened without QEMU")
    port.write(b"to nobody")
    wait_for(lambda: m.host.channel("port")["dropped"] == 9, 5, lambda: "dropped: %s" % m.status())
    peer = m.peer("port")
    client.at_port(peer)
    peer.close()
    port.wait_until(lambda: not port.opened, 5, "the port should be closed")
    port.write(b"to nobody")
    wait_for(lambda: m.host.channel("port")["dropped"] == 18, 5, lambda: "dropped: %s" % m.status())
    peer = m.peer("port")
    client.at_port(peer)
    if b"nobody" in peer.data:
        raise Failure("what was dropped has come: %r" % peer.data)


@machine(**ALL)
def test_port_keeps_for_the_client(m):
    """What the guest writes while there is no client waits in the socket, and comes with the next client."""
    m.pointer()
    peer = m.peer("port")
    peer.send(b"boot messages\n")
    client = Client(m, card=False)
    client.port.wait_until(lambda: client.port.data() == b"boot messages\n", 5, "what was written before")


def both_ways(port, peer, size):
    """Through a port at once, equal."""
    port.wait_until(lambda: port.opened, 5, "opened")
    data = os.urandom(1 << 20) * (size >> 20)
    for end in (peer.send, lambda data: [port.write(data[start:start + 8192]) for start in range(0, size, 8192)]):
        threading.Thread(target=end, args=(data,), daemon=True).start()
    peer.wait(lambda: len(peer.data) >= size, 30, lambda: "%d bytes for QEMU" % len(peer.data))
    port.wait_until(lambda: len(port.data()) >= size, 30, "bytes for the client")
    if peer.data != data or port.data() != data:
        raise Failure("other bytes have come")


@machine(**ALL)
def test_port_megabytes(m):
    m.pointer()
    client = Client(m, card=False)
    both_ways(client.port, m.peer("port"), 8 << 20)


@machine(channels=TYPES[:2] + (("port", "name=" + WEBDAV),))
def test_webdav_megabytes(m):
    """The port of this name is a kind of channel of its own, held as the others are while QEMU does not read."""
    m.pointer()
    peer = m.peer("port")
    port = m.channel(Webdav, m.main(mode=False))
    both_ways(port, peer, 8 << 20)
    peer.stop_reading()
    taken = port.push(rawspice.message(rawspice.DATA, bytes(1 << 20)) * 64)
    if taken > 6 << 20:
        raise Failure("%d bytes were taken for a QEMU that does not read" % taken)


@machine(channels=TYPES[:2] + (("usbredir",),) * 2 + (("port", "name=" + CONSOLE), ("port", "name=" + WEBDAV),
                                                      ("port", "name=org.spice-pv.second.0")))
def test_second_of_a_kind(m):
    """More passes than is ever taken ahead of QEMU, while the first of each kind is connected and idle."""
    m.pointer()
    main = m.main(mode=False)
    first, device = (m.opened(Device(m.path("usbredir-%d.sock" % number))) for number in (2, 3))
    idle, usb = (m.channel(rawspice.Usb, main, number) for number in range(2))
    idle.hello()
    usb.hello()
    usb.plug()
    device.wait_packet(usb.CONNECT)
    count = 700
    bulk = struct.pack("<BBHIH", 0x81, 0, 4096, 0, 0) + bytes(4096)
    threading.Thread(target=lambda: [usb.packet(usb.BULK, bulk, number) for number in range(count)], daemon=True).start()
    device.wait(lambda: device.packets.count((usb.BULK, bulk)) == count, 20,
                lambda: "%d bytes for QEMU" % len(device.data))
    expect([kind for kind, _ in first.packets], [usb.HELLO], "at the other device")
    others = [m.opened(Peer(m.path("port-%d.sock" % number))) for number in (4, 5)]
    peer = m.opened(Peer(m.path("port-6.sock")))
    m.channel(rawspice.Port, main)
    m.channel(Webdav, main)
    port = m.channel(rawspice.Port, main, 1)
    both_ways(port, peer, 4 << 20)
    expect((port.name, [bytes(other.data) for other in others]), ("org.spice-pv.second.0", [b"", b""]), "at the ports")


def rests(m):
    """What waits for nobody costs nothing."""
    before = m.host.cpu()
    time.sleep(1)
    spent = (m.host.cpu() - before) / 1e9
    if spent > 0.2:
        raise Failure("%.2f s of a second spent on waiting" % spent)


def last_words(m, monitor=None):
    """QEMU ends while the client is slow: it gets all that was written, and hears then that the port is closed."""
    m.pointer()
    port = m.channel(rawspice.Port, m.main(mode=False), reading=False)
    peer = m.peer("port")
    text = os.urandom(16 << 20)
    size = peer.push(text)
    if monitor:
        monitor.close()
        wait_for(lambda: m.host.channel("port")["guest"] == "unknown", 5, "the monitor should be gone")
        expect(m.host.channel("port")["qemu"], True, "QEMU connected")
    peer.close()
    rests(m)
    port.write(b"to nobody")
    port.start_reading()
    port.wait_until(lambda: len(port.data()) >= size, 10, "what was written before")
    if port.data() != text[:size]:
        raise Failure("other bytes have come")
    port.wait_until(lambda: not port.opened, 5, "the port should be closed")
    expect(port.messages[-1][0], rawspice.PORT_EVENT, "the last that came")
    expect(m.host.channel("port")["qemu"], False, "QEMU connected")
    both_ways(m.channel(rawspice.Port, m.main(mode=False)), m.peer("port"), 1 << 20)


@machine(**ALL)
def test_port_last_words(m):
    last_words(m)


@machine(qmp=True, **ALL)
def test_port_last_words_with_a_monitor(m):
    """It is gone before the port's last words are read."""
    monitor = m.opened(Monitor(m.path("host-qmp.sock"), open=[m.host.paths[kind] for kind in ("pvmouse", "port")]))
    wait_for(lambda: m.host.channel("port")["guest"] == "open", 5, "the monitor's word")
    last_words(m, monitor)


@machine(**ALL)
def test_port_last_words_for_the_next_client(m):
    """There was no client when QEMU ended. Another QEMU does not wait for one, and who has said nothing is gone at once."""
    m.pointer()
    peer = m.peer("port")
    wait_for(lambda: m.host.channel("port")["qemu"], 5, "QEMU")
    peer.close()
    wait_for(lambda: not m.host.channel("port")["qemu"], 5, "QEMU should be gone")
    peer = m.peer("port")
    peer.send(b"last words\n")
    peer.close()
    rests(m)
    client = Client(m, card=False)
    client.port.wait_until(lambda: client.port.data() == b"last words\n", 5, "what was written before")
    client.port.wait_until(lambda: not client.port.opened, 5, "the port should be closed")
    client.close()
    wait_for(lambda: not m.status()["clients"], 5, "the client should have gone")
    peer = m.peer("port")
    peer.send(b"last words\n")
    peer.close()
    wait_for(lambda: m.host.channel("port")["qemu"], 5, "the one that has gone counts as long as its words wait")
    peer = m.peer("port")
    peer.send(b"first words\n")
    client = Client(m, card=False)
    client.port.wait_until(lambda: client.port.data() == b"first words\n", 5, "what the next QEMU has written")
    client.at_port(peer)


@machine(start=False, channels=TYPES[:2] + (("port", "name=" + CONSOLE, "server=off"),))
def test_port_last_words_and_we_connect(m):
    """The next QEMU is looked for though the first one's words wait still."""
    listener = m.opened(Qemu(m.host.paths["port"]))
    m.host.start()
    m.pointer()
    for _ in range(2):
        peer = m.opened(Peer(listener.accept()))
        peer.send(b"last words\n")
        peer.close()
    peer = m.opened(Peer(listener.accept()))
    peer.send(b"first words\n")
    port = m.channel(rawspice.Port, m.main(mode=False))
    port.wait_until(lambda: port.data() == b"first words\n", 5, "what the next QEMU has written")
    time.sleep(2)
    expect(peer.closed, False, "closed")
    listener.expect_none()


@machine(**ALL)
def test_usbredir_client_leaves(m):
    """QEMU is hung up on, so that it greets the next client anew."""
    found = peers(m)
    client = attached(m, **found)
    client.usb.close()
    found["usbredir"].wait_closed()
    device = m.opened(Device(m.host.paths["usbredir"]))
    usb = m.channel(rawspice.Usb, client.main)
    usb.hello()
    device.wait_packet(rawspice.Usb.HELLO)
    usb.plug()
    device.wait_packet(rawspice.Usb.CONNECT)


@machine(**ALL)
def test_smartcard_oversized(m):
    """A message from QEMU that is too long is refused, an APDU with an answer, and the channel goes on."""
    found = peers(m)
    client = attached(m, **found)
    reader = found["smartcard"]
    before = len(client.card.commands)
    for size in (271, 4096, 70000):
        seen = len(reader.messages)
        reader.say(rawspice.Smartcard.APDU, bytes(size))
        reader.wait(lambda: (rawspice.Smartcard.APDU, 0, b"\x67\x00") in reader.messages[seen:], 5,
                    lambda: "no answer: %s" % reader.messages[seen:])
    for kind in (rawspice.Smartcard.FLUSH, 99, rawspice.Smartcard.ATR):
        reader.say(kind, b"what")
    reader.messages.clear()
    client.number = 5
    client.card.answer = b"\x90\x05"
    reader.say(rawspice.Smartcard.APDU, b"small")
    expect(reader.wait_message(rawspice.Smartcard.APDU), b"\x90\x05", "answer to a good one")
    expect(client.card.commands[before:], [b"small"], "what the card was asked")
    expect(m.host.channel("smartcard")["dropped"], 6, "dropped")
    m.logged("guest: smartcard: message of type 7 and 271 bytes")


@machine(**ALL)
def test_smartcard_card_removed(m):
    """A QEMU that comes later is told only of what is there now."""
    found = peers(m)
    client = attached(m, **found)
    client.card.remove()
    found["smartcard"].wait_message(rawspice.Smartcard.CARD_REMOVE)
    found["smartcard"].close()
    reader = again(m, "smartcard", 1)
    reader.wait_message(rawspice.Smartcard.READER_ADD)
    time.sleep(0.2)
    if [kind for kind, _, _ in reader.messages] != [rawspice.Smartcard.READER_ADD]:
        raise Failure("the next QEMU heard %s" % reader.messages)


class FailingCard(rawspice.Smartcard):
    """Without an answer it says that it has failed, or nothing if `silent`."""

    silent = False

    def card(self, what, body=b"", **arguments):
        if what == self.APDU and not self.answer:
            what, body = self.ERROR, struct.pack(">I", 1)
        if what != self.ERROR or not self.silent:
            super().card(what, body, **arguments)


@machine(channels=(("vdagent",), ("smartcard",)))
def test_smartcard_fails(m):
    """A card that fails again and again is asked on, and so is one that is put in after one that was pulled out in the
    middle of commands."""
    reader = m.opened(Reader(m.host.paths["smartcard"]))
    main = m.main(talk=False, mode=False)
    main.attach()
    card = m.channel(FailingCard, main)
    card.add_reader()
    card.insert()
    reader.wait_message(rawspice.Smartcard.ATR)
    card.answer = b""
    for number in range(40):
        reader.say(rawspice.Smartcard.APDU, bytes([number]))
        card.wait_until(lambda: len(card.commands) > number, 5, "command %d" % number)
    card.silent = True
    for number in range(40, 56):
        reader.say(rawspice.Smartcard.APDU, bytes([number]))
        card.wait_until(lambda: len(card.commands) > number, 5, "command %d" % number)
    card.remove()
    reader.wait_message(rawspice.Smartcard.CARD_REMOVE)
    card.insert()
    card.answer = b"\x90\x00"
    reader.say(rawspice.Smartcard.APDU, b"again")
    expect(reader.wait_message(rawspice.Smartcard.APDU), card.answer, "answer of the next card")


run(globals(), "spicevmc-channels")
