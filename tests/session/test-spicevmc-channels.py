#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""spicevmc's channel types: who connects to whom and when, peers that come, go and hang, and none in another's way."""

import signal

from spicevmcd import *

CONSOLE = "org.spice-pv.console.0"
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
    agent.wait_message(agentwire.ANNOUNCE_CAPABILITIES)
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


@machine(**ALL)
def test_port_megabytes(m):
    """Both ways at once, equal."""
    m.pointer()
    client = Client(m, card=False)
    peer = m.peer("port")
    client.port.wait_until(lambda: client.port.opened, 5, "opened")
    data = os.urandom(1 << 20) * 8
    sender = threading.Thread(target=peer.send, args=(data,), daemon=True)
    sender.start()
    for start in range(0, len(data), 8192):
        client.port.write(data[start:start + 8192])
    peer.wait(lambda: len(peer.data) >= len(data), 30, "bytes for QEMU")
    client.port.wait_until(lambda: len(client.port.data()) >= len(data), 30, "bytes for the client")
    if peer.data != data or client.port.data() != data:
        raise Failure("other bytes have come")


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


run(globals(), "spicevmc-channels")
