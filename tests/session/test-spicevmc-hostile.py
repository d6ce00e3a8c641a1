#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""spicevmc and peers that do what they must not, clients and guests: it lives, its memory is bounded, and the next
client works."""

import random
import resource

from spicevmcd import *

USB = {"channels": (("vdagent",), ("pvmouse",), ("usbredir",), ("smartcard",), ("port", "name=org.spice-pv.console.0"))}
SIZES = (0, 1, 3, 4097, 1 << 20, 1 << 31, (1 << 32) - 1)


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def tokens(main, data):
    """Sends a chunk as soon as there is a token; false when the server has hung up."""
    try:
        main.wait_until(lambda: main.tokens > 0, 20, "no token")
        main.agent_data(data)
    except (Failure, OSError):
        if main.closed:
            return False
        raise
    return True


# ---- clients ----

@machine()
def test_client_sizes(m):
    """Each message with sizes that it cannot have, then as much as there is; with an agent and without."""
    pointer = m.pointer()
    for agent in (None, m.agent()):
        for kind, body in agentwire.examples().items():
            for size in SIZES:
                main = m.main(mode=False)
                tokens(main, agentwire.header(kind, size) + (body * 200)[:min(size, 2000)])
                tokens(main, agentwire.header(kind, size) + body)
                main.close()
    works(m, agent, pointer)


@machine()
def test_client_truncated(m):
    """Each message cut at each byte, with the size that it then has: refused, and the next is read."""
    pointer, agent = m.pointer(), m.agent()
    main = m.main(mode=False)
    for kind, body in agentwire.examples().items():
        for end in range(len(body)):
            if not tokens(main, agentwire.header(kind, end) + body[:end]):
                main = m.main(mode=False)
    works(m, agent, pointer)


@machine()
def test_client_halves(m):
    """Messages of which the client says a part and leaves."""
    pointer, agent = m.pointer(), m.agent()
    for kind, body in agentwire.examples().items():
        whole = agentwire.header(kind, len(body)) + body
        for end in (1, 19, 20, len(whole) // 2, len(whole) - 1):
            main = m.main(mode=False)
            tokens(main, whole[:end])
            main.close()
    works(m, agent, pointer)


@machine()
def test_client_flipped(m):
    """Each byte of messages inverted. A wrong protocol number loses the stream: the agent goes and comes."""
    pointer, agent = m.pointer(), m.agent()
    for kind in (agentwire.CLIPBOARD_GRAB, agentwire.FILE_XFER_START, agentwire.MONITORS_CONFIG):
        body = agentwire.examples()[kind]
        whole = agentwire.header(kind, len(body)) + body
        for at in range(len(whole)):
            main = m.main(mode=False)
            tokens(main, whole[:at] + bytes([whole[at] ^ 0xff]) + whole[at + 1:])
            main.close()
    works(m, agent, pointer)


@machine()
def test_client_hundred_thousand_messages(m):
    """Small ones, of all types and of none, as tokens come."""
    pointer, agent = m.pointer(), m.agent()
    main = m.main(mode=False)
    pieces = [agentwire.header(kind, len(body)) + body for kind, body in agentwire.examples().items()
              if kind != agentwire.ANNOUNCE_CAPABILITIES] + [agentwire.header(99, 4) + b"what"]
    sent = 0
    began = time.monotonic()
    while sent < 100000:
        main.wait_until(lambda: main.tokens > 0, 20, "no token")
        burst = min(main.tokens, 100000 - sent)
        main.tokens -= burst
        for number in range(sent, sent + burst):
            main.send(rawspice.TO_AGENT, pieces[number % len(pieces)])
        sent += burst
        main.drop()
        main.from_agent.clear()
    sys.stderr.write("100000 messages in %.1f s, %s\n" % (time.monotonic() - began, m.status()["counters"]))
    if m.log().count("spicevmc: client: ") > 12 + (time.monotonic() - began) / 5:
        raise Failure("a flood of lines in the log")
    main.close()
    works(m, agent, pointer)


@machine()
def test_client_without_tokens(m):
    """A client that sends without tokens while the agent does not read: held up or parted from, and little is kept."""
    pointer, agent = m.pointer(), m.agent()
    main = m.main(mode=False)
    main.agent(agentwire.FILE_XFER_START, agentwire.examples()[agentwire.FILE_XFER_START])
    agent.wait_message(agentwire.FILE_XFER_START)
    agent.stop_reading()
    head = agentwire.header(agentwire.FILE_XFER_DATA, 12 + (1 << 31)) + struct.pack("<IQ", 7, 1 << 31)
    chunk = lambda data: rawspice.message(rawspice.TO_AGENT, data)
    pushed = main.push(chunk(head) + chunk(bytes(2048)) * 10000, 0.5)
    queued = m.host.channel("vdagent")["queued"]
    sys.stderr.write("%d bytes sent without tokens, %d wait, closed: %s\n" % (pushed, queued, main.closed))
    if pushed > 4 << 20 or queued > 300 << 10:
        raise Failure("%d bytes sent without tokens, %d wait" % (pushed, queued))
    m.check()
    agent.read_again()
    main.close()
    works(m, agent, pointer)


@machine()
def test_client_huge_files(m):
    """300 transfers of 4 GiB announced, data for each and for none."""
    pointer, agent = m.pointer(), m.agent()
    main = m.main(mode=False)
    text = b"[vdagent-file-xfer]\nname=x\nsize=%d\n\0" % (1 << 32)
    for number in range(300):
        tokens(main, agentwire.header(agentwire.FILE_XFER_START, 4 + len(text)) + struct.pack("<I", number) + text)
    for number in range(400):
        body = struct.pack("<IQ", number, 1000) + bytes(1000)
        tokens(main, agentwire.header(agentwire.FILE_XFER_DATA, len(body)) + body)
    tokens(main, agentwire.header(agentwire.FILE_XFER_DATA, 0xffffffff) + struct.pack("<IQ", 5, 0xffffffffffffffff))
    for _ in range(2000):
        tokens(main, bytes(2048))
    refused = {struct.unpack_from("<I", body)[0] for kind, body in main.from_agent
               if kind == agentwire.FILE_XFER_STATUS}
    if not set(range(256, 300)) <= refused:
        raise Failure("transfers beyond 256 were not refused: %s" % sorted(refused))
    main.close()
    works(m, agent, pointer)


@machine()
def test_client_never_reads(m):
    """What the guest says to a client that does not read is held back; its clicks still come."""
    pointer, agent = m.pointer(), m.agent()
    main = m.opened(rawspice.Main(m.spice, reading=False))
    main.send(rawspice.ATTACH_CHANNELS)
    main.send(rawspice.AGENT_START, struct.pack("<I", 0xffffffff))
    main.agent_data(agentwire.header(agentwire.ANNOUNCE_CAPABILITIES, 8) + struct.pack("<II", 1, agentwire.ALL_CAPS))
    agent.wait_client()
    taken = agent.push(agentwire.message(agentwire.REPLY, struct.pack("<II", 2, 1)) * 500000)
    if taken > 8 << 20:
        raise Failure("%d bytes were taken for a client that does not read" % taken)
    inputs = m.inputs(main)
    inputs.press(1)
    pointer.wait_frame(buttons=LEFT)
    queued = m.host.channel("vdagent")["queued"]
    if queued > 1 << 20:
        raise Failure("%d bytes wait" % queued)
    sys.stderr.write("%d bytes taken, %d wait\n" % (taken, queued))
    inputs.close()
    main.close()
    agent.close()
    works(m, None, pointer)


@machine()
def test_client_never_reads_and_asks(m):
    """Requests that are answered in the guest's place, of a client that never reads."""
    pointer = m.pointer()
    main = m.opened(rawspice.Main(m.spice, reading=False))
    main.send(rawspice.AGENT_START, struct.pack("<I", 0xffffffff))
    main.push(rawspice.message(rawspice.TO_AGENT, agentwire.header(agentwire.ANNOUNCE_CAPABILITIES, 8) +
                               struct.pack("<II", 1, agentwire.ALL_CAPS)))
    ask = rawspice.message(rawspice.TO_AGENT,
                           agentwire.header(agentwire.CLIPBOARD_REQUEST, 8) + struct.pack("<BxxxI", 0, TEXT))
    main.push(ask * 100000, 1)
    m.check()
    main.close()
    works(m, None, pointer)


@machine()
def test_client_main_channel_floods(m):
    """Messages of the main channel by the ten thousand, unknown ones, and sizes that cannot be. Not among them is an
    agent message announced with gigabytes: libspice-server 0.15 does not survive it, in QEMU neither."""
    pointer, agent = m.pointer(), m.agent()
    for data in (rawspice.message(rawspice.MODE_REQUEST, struct.pack("<H", rawspice.SERVER_MODE)) +
                 rawspice.message(rawspice.MODE_REQUEST, struct.pack("<H", rawspice.CLIENT_MODE)),
                 rawspice.message(rawspice.ATTACH_CHANNELS), rawspice.message(rawspice.PONG, bytes(12)),
                 rawspice.message(rawspice.AGENT_START, struct.pack("<I", 0xffffffff)),
                 rawspice.message(rawspice.TO_AGENT_TOKEN, struct.pack("<I", 0xffffffff)),
                 rawspice.message(rawspice.ACK), rawspice.message(999, b"what"), rawspice.message(rawspice.TO_AGENT),
                 rawspice.message(rawspice.MODE_REQUEST, b"x"), rawspice.message(101, b"", 0xffffffff),
                 rawspice.message(rawspice.TO_AGENT, bytes(100000)),
                 noise(5000)):
        main = m.main(mode=False)
        main.push(data * 10000 if len(data) < 100 else data, 0.2)
        main.close()
        m.check()
    works(m, agent, pointer)


@machine()
def test_client_inputs_flood(m):
    """Half a million positions and clicks as fast as they go, to a guest that takes them and to one that does not."""
    pointer, agent = m.pointer(), m.agent()
    for generous in (True, False):
        pointer.generous = generous
        main = m.main()
        inputs = m.inputs(main)
        data = b"".join(rawspice.message(rawspice.POSITION, struct.pack("<IIHB", i, i, 0, i % 3)) +
                        rawspice.message(rawspice.PRESS, struct.pack("<BH", 1 + i % 8, 1 << i % 8)) +
                        rawspice.message(rawspice.RELEASE, struct.pack("<BH", 1 + i % 8, 0)) for i in range(10000))
        for _ in range(8):
            inputs.push(data, 2)
        for wrong in (rawspice.message(rawspice.POSITION, b"x"), rawspice.message(rawspice.PRESS, b"\xff\xff\xff"),
                      rawspice.message(rawspice.MOTION, struct.pack("<iiH", -1 << 31, (1 << 31) - 1, 0xffff)),
                      rawspice.message(rawspice.KEY_DOWN, b"\xff" * 4) * 1000,
                      rawspice.message(rawspice.POSITION, b"", 1 << 31),
                      noise(1000)):
            inputs.push(wrong, 0.2)
            inputs.close()
            wait_for(lambda: m.status()["clients"][0]["channels"] == 1, 20, lambda: "inputs left: %s" % m.status())
            inputs = m.inputs(main)
        inputs.close()
        main.close()
        m.check()
    pointer.close()
    works(m, agent)


@machine()
def test_client_log_in(m):
    """Connections on which nonsense is said, or nothing."""
    pointer, agent = m.pointer(), m.agent()
    good = rawspice.link_message(rawspice.MAIN)
    for data in (noise(5000), b"REDQ", good[:20], good[:8] + b"\xff" * 8, good[:16] + b"\xff" * 30,
                 b"GET / HTTP/1.0\r\n\r\n", struct.pack("<4sIII", b"REDQ", 2, 2, 0xffffffff),
                 rawspice.link_message(200), rawspice.link_message(2, 99),
                 rawspice.link_message(rawspice.INPUTS, session=12345)):
        for _ in range(5):
            link = rawspice.Link(m.spice)
            with contextlib.suppress(OSError):
                link.send_bytes(data)
                link.send_bytes(b"\0" * 200)
            link.close()
    idle = [rawspice.Link(m.spice) for _ in range(200)]
    works(m, agent, pointer)
    for link in idle:
        link.close()


@machine(**USB)
def test_client_usb_garbage(m):
    """Nothing malformed passes to QEMU, which would end itself; a new channel works with a QEMU that comes anew."""
    pointer = m.pointer()
    hello = USB_HELLO
    header = lambda kind, size, number=0: struct.pack("<IIQ", kind, size, number)
    cases = [(b"", noise(5000)), (b"", b"\xff" * 1000), (b"", struct.pack("<III", 0, 0xffffffff, 0)),
             (b"", struct.pack("<III", 1, 10, 0) + bytes(10))]
    cases += [(hello, wrong) for wrong in (
        hello, noise(3000), header(1, 9) + bytes(9), header(99, 0), header(4, 131) + bytes(131),
        header(4, 132) + b"\xff" * 132, header(5, 1 << 31), header(101, 0xffffffff),
        header(101, 2) + b"xx", header(100, 3) + b"xxx", header(104, 0))]
    main = m.main(mode=False)
    for before, wrong in cases:
        qemu = m.peer("usbredir")
        qemu.send(hello)
        usb = m.channel(rawspice.Usb, main)
        with contextlib.suppress(OSError):
            usb.send(rawspice.DATA, before + wrong)
        usb.wait_closed()
        qemu.wait_closed()
        if not hello.startswith(bytes(qemu.data)):
            raise Failure("after %r QEMU got %r" % (wrong[:40], bytes(qemu.data)[:200]))
    qemu = m.peer("usbredir")
    qemu.send(hello)
    usb = m.channel(rawspice.Usb, main)
    usb.hello()
    usb.plug()
    qemu.wait_data(struct.pack("<BBBBHHH", 2, 0, 0, 0, 0x1209, 1, 0x100))
    main.close()
    works(m, None, pointer)


@machine(**USB)
def test_client_card_garbage(m):
    """Messages of the smartcard channel that cannot be."""
    pointer = m.pointer()
    card = rawspice.Smartcard
    qemu = m.peer("smartcard")
    for what in range(12):
        for size in (0, 1, 270, 271, 70000):
            main = m.main(mode=False)
            channel = m.channel(card, main)
            with contextlib.suppress(OSError):
                channel.card(what, bytes(size), reader=size)
                channel.card(what, b"", size=0xffffffff)
                channel.send_bytes(noise(500))
            channel.close()
            main.close()
    m.check()
    works(m, None, pointer)


@machine()
def test_client_announces_more_than_it_may(m):
    """Sizes of SPICE messages that libspice-server would add to in 32 bits, or make room for."""
    pointer, agent = m.pointer(), m.agent()
    for kind, size in ((rawspice.TO_AGENT, 0xffffffff), (rawspice.TO_AGENT, 0xfffffff8), (rawspice.TO_AGENT, 1 << 31),
                       (rawspice.PONG, 0xffffffff), (rawspice.TO_AGENT, 65537)):
        main = m.main(mode=False)
        with contextlib.suppress(OSError):
            main.send(kind, bytes(60000), size=size)
        main.wait_closed()
    works(m, agent, pointer)


@machine()
def test_client_leaves_as_its_display_begins(m):
    """Between the log-in of the display's channel and its first message."""
    pointer, agent = m.pointer(), m.agent()
    for number in range(40):
        main = m.main(mode=False)
        display = rawspice.Channel(m.spice, session=main.session, kind=rawspice.DISPLAY, reading=number % 2 == 0)
        if number % 4 == 3:  # in the middle of it
            display.send_bytes(struct.pack("<HI", 101, 14) + bytes(7))
        display.close()
        if number % 2:
            main.close()
        m.status()
    works(m, agent, pointer)


@machine()
def test_client_display_says_nothing(m):
    """libspice-server stands still while it waits for such a channel at its client's end."""
    pointer, agent = m.pointer(), m.agent()
    main = m.main(mode=False)
    display = rawspice.Channel(m.spice, session=main.session, kind=rawspice.DISPLAY)
    began = time.monotonic()
    main.close()
    m.status()
    works(m, agent, pointer)
    if time.monotonic() - began > 10:
        raise Failure("%.0f seconds until a new client worked" % (time.monotonic() - began))
    display.wait_closed()


@machine(**USB)
def test_client_fills_a_port(m):
    """What QEMU does not read is not kept, and comes when it does."""
    pointer, agent = m.pointer(), m.agent()
    qemu = m.peer("port")
    qemu.stop_reading()
    main = m.main(mode=False)
    port = m.channel(rawspice.Port, main)
    port.wait_until(lambda: port.opened, 5, "the port should be open")
    piece = noise(1 << 20)
    data = b"".join(rawspice.message(rawspice.DATA, piece) for _ in range(64))
    sent = port.push(data)
    m.check()
    sys.stderr.write("%d bytes taken\n" % sent)
    if sent > 6 << 20:
        raise Failure("%d bytes were taken of a client, and QEMU read none" % sent)
    qemu.read_again()
    port.send_bytes(data[sent:])
    qemu.wait(lambda: len(qemu.data) >= 64 << 20, 30, lambda: "%d bytes came" % len(qemu.data))
    if bytes(qemu.data) != piece * 64:
        raise Failure("other bytes came")
    # Larger than any, and compressed, of which nobody knows how large it becomes.
    for kind, size in ((rawspice.DATA, (4 << 20) + 1), (rawspice.COMPRESSED_DATA, 100)):
        port = m.channel(rawspice.Port, main)
        with contextlib.suppress(OSError):
            port.send(kind, bytes(100), size=size)
        port.wait_closed()
    works(m, agent, pointer)


def test_clients_on_tcp():
    """What is said without TLS goes through the same gate."""
    for test in (test_client_announces_more_than_it_may, test_client_leaves_as_its_display_begins,
                 test_client_display_says_nothing, test_client_fills_a_port):
        with Machine(tcp=True, **test.machine) as m:
            test(m)


def begin_many(where, count):
    """Connections that begin an inputs channel and never end their first message."""
    for _ in range(count):
        sock = vm.unix_connect(where) if isinstance(where, str) else socket.create_connection(where)
        sock.sendall(struct.pack("<4sIIIIBBIIIII", b"REDQ", 2, 2, 500, 0, rawspice.INPUTS, 0, 1, 1, 18, 1, 0)[:34])
        yield sock


def test_clients_that_begin():
    """There is a bound before the log-in, and it leaves room for QEMU. When they go, a client works."""
    for tcp in (False, True):
        with Machine(tcp=tcp) as m:
            resource.prlimit(m.host.pid, resource.RLIMIT_NOFILE, (512, 512))
            socks = list(begin_many(m.spice, 600))
            m.logged("too many connections")
            m.status()
            count = len(os.listdir("/proc/%d/fd" % m.host.pid))
            if count > 400:
                raise Failure("%d descriptors" % count)
            agent = m.agent()
            for sock in socks:
                sock.close()
            works(m, agent, m.pointer())
            m.check()


def test_websocket():
    """At both kinds of socket it is no way around the gate, also if its path looks like the beginning of an inputs channel."""
    for tcp in (False, True):
        with Machine(tcp=tcp) as m:
            for mark in (b"x", b"\x03"):
                link = m.opened(rawspice.Link(m.spice))
                link.send_bytes(b"GET /%s%s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: binary\r\n"
                                b"Sec-WebSocket-Version: 13\r\n\r\n" % (b"a" * 15, mark))
                expect(link.hung_up(), True, "hung up on")
            m.check()


@machine(**USB)
def test_client_compresses_nothing(m):
    """The port still works, for the next client at least."""
    agent, pointer, qemu = m.agent(), m.pointer(), m.peer("port")
    main = m.main(mode=False)
    port = m.channel(rawspice.Port, main)
    port.wait_until(lambda: port.opened, 5, "the port should be open")
    port.send(rawspice.COMPRESSED_DATA, struct.pack("<BI", 1, 0) + bytes(1))
    port.wait_closed()
    port = m.channel(rawspice.Port, main)
    port.send(rawspice.DATA, b"data")
    qemu.wait(lambda: bytes(qemu.data) == b"data", 5, lambda: "QEMU got %r" % bytes(qemu.data))
    works(m, agent, pointer)


def test_client_compresses_nothing_by_tls():
    """Where no gate can look, libspice-server waits with what the client says after it, but not with what others say."""
    with Machine(start=False, **USB) as m:
        m.host.args = tls(m, ticket=False)
        m.host.start()
        m.pointer(), m.agent()
        qemu, where = m.peer("port"), ("127.0.0.1", m.ports[1])
        for nothing in (True, False):
            main = m.opened(rawspice.Main(where, tls=m.ca))
            main.attach()
            port = m.opened(rawspice.Port(where, session=main.session, tls=m.ca))
            port.wait_until(lambda: port.opened, 5, "the port should be open")
            if nothing:
                port.send(rawspice.COMPRESSED_DATA, struct.pack("<BI", 1, 0) + bytes(1))
                port.send(rawspice.DATA, b"behind it")
                main.close()
                port.wait_closed()
            else:
                port.send(rawspice.DATA, b"data")
        qemu.wait(lambda: bytes(qemu.data) == b"data", 5, lambda: "QEMU got %r" % bytes(qemu.data))
        m.check()


# ---- guests ----

@machine(**USB)
def test_guest_garbage_on_agent(m):
    """Bytes that are no chunks, chunks that are too large or for nobody: the port is opened anew at the latest."""
    pointer = m.pointer()
    main = m.main(mode=False)
    chunk = agentwire.chunk
    for data, lost in ((noise(100000), True), (b"\xff" * 1000, True), (struct.pack("<II", 1, 1 << 31), True),
                       (struct.pack("<II", 1, 65537), True), (chunk(noise(60000)), True),
                       (chunk(b"what", 0) + chunk(b"what", 3) + chunk(b"", 1), False), (chunk(b"x" * 70000, 2), True),
                       (agentwire.message(agentwire.CLIPBOARD_GRAB, bytes(4096)), False),
                       (chunk(agentwire.header(agentwire.CLIPBOARD, 0xffffffff)), False)):
        agent = m.agent()
        agent.push(data)
        if lost:
            agent.wait_closed()
        agent.close()
        m.check()
    m.logged("guest: ")
    main.close()
    works(m, None, pointer)


@machine()
def test_guest_sizes(m):
    """Each message with sizes that it cannot have, and cut at each byte."""
    pointer, agent = m.pointer(), m.agent()
    main = m.main(mode=False)
    for kind, body in agentwire.examples().items():
        for end in range(len(body)):
            agent.say(kind, body[:end])
        for size in SIZES:
            agent.send(agentwire.chunk((agentwire.header(kind, size) + body)[:20 + size]))
            agent.close()
            agent = m.agent()
    works(m, agent, pointer)


@machine()
def test_guest_million_messages(m):
    """10⁶ small messages, with a client that reads and without any."""
    pointer, agent = m.pointer(), m.agent()
    block = b"".join(agentwire.message(kind, body) for kind, body in agentwire.examples().items()
                     if kind != agentwire.ANNOUNCE_CAPABILITIES)
    block += agentwire.message(99, b"what")
    block += agentwire.message(agentwire.FILE_XFER_STATUS, struct.pack("<II", 1, 2)) * 4
    for client in (False, True):
        if client:
            main = m.main(mode=False)
            agent.wait_client()
        before, began = m.counter("guest-messages"), time.monotonic()
        for _ in range(100):
            agent.send(block * 250)
        wait_for(lambda: m.counter("guest-messages") + m.counter("messages-refused") > before + 450000, 60,
                 lambda: "taken: %s" % m.status())
        sys.stderr.write("500000 messages of the guest in %.1f s\n" % (time.monotonic() - began))
        m.check()
    if m.log().count("spicevmc: guest: ") > 60:
        raise Failure("a flood of lines in the log")
    main.close()
    works(m, agent, pointer)


@machine()
def test_guest_announces(m):
    """A storm of announcements that differ, and the guest reads none of the answers."""
    pointer, agent = m.pointer(), m.agent()
    main = m.main(mode=False)
    agent.answers = False
    agent.stop_reading()
    storm = b"".join(agentwire.caps(bits * 2654435761 & 0xffffffff, bits % 3 % 2) for bits in range(2000))
    taken = 0
    for _ in range(50):
        taken += agent.push(storm, 0.1)
    sys.stderr.write("announcements: %d bytes of %d taken, %s\n" % (taken, 50 * len(storm), m.host.channel("vdagent")))
    m.check()
    agent.close()
    main.close()
    works(m, None, pointer)


@machine()
def test_guest_hellos(m):
    """A storm of HELLOs, read or not: the connection is ended, the next one works."""
    agent = m.agent()
    hello = lambda nonce: struct.pack("<B3xIIHHII", HELLO, nonce, MAGIC, 1, 0, 7, 256)
    for reading in (True, False):
        pointer = m.pointer(generous=False)
        if not reading:
            pointer.stop_reading()
        pointer.push(b"".join(hello(nonce + 1) for nonce in range(100000)), 1)
        if reading:
            pointer.wait_closed()
        m.check()
        pointer.close()
        time.sleep(1.1)  # HELLOs are counted by the second
    m.logged("guest: says HELLO")
    works(m, agent)


@machine()
def test_guest_garbage_on_pvmouse(m):
    """Passed over until a HELLO, at any offset; frames that only a host may send, and credit beyond all bounds."""
    agent = m.agent()
    pointer = m.opened(Pointer(m.host.paths["pvmouse"], hello=False))
    pointer.push(noise(10 << 20), 2)
    pointer.hello()
    for wrong in (b"\0" * 24, b"\xff" * 24, struct.pack("<B23x", STATE),
                  struct.pack("<B3xIIHHII", HELLO, 5, MAGIC, 0, 0, 7, 1),
                  struct.pack("<B3xIIHHII", HELLO, 5, MAGIC, 1, 1, 7, 1), b"x", struct.pack("<B3xI", HELLO, 9),
                  struct.pack("<B7xI12x", CREDIT, 0xffffffff) * 1000):
        pointer.send(wrong)
        pointer.hello()
    works(m, agent, pointer)


@machine(**USB)
def test_qemu_usb_garbage(m):
    """From QEMU's side: hung up on, the client's channel ends, new ones work."""
    pointer = m.pointer()
    main = m.main(mode=False)
    for wrong in (noise(5000), b"\xff" * 5000, USB_HELLO + USB_HELLO, struct.pack("<III", 0, 0xffffffff, 0),
                  struct.pack("<III", 7, 0, 0)):
        usb = m.channel(rawspice.Usb, main)
        qemu = m.peer("usbredir")
        with contextlib.suppress(OSError):
            qemu.send(wrong)
        qemu.wait_closed()
        usb.wait_closed()
        m.check()
    usb = m.channel(rawspice.Usb, main)
    qemu = m.peer("usbredir")
    qemu.send(USB_HELLO)
    usb.hello()
    main.close()
    works(m, None, pointer)


@machine(**USB)
def test_qemu_card_and_port_garbage(m):
    """A smartcard stream that is out of step, and floods into channels without a client."""
    pointer = m.pointer()
    main = m.main(mode=False)
    card = m.channel(rawspice.Smartcard, main)
    for wrong in (noise(100000), b"\xff" * 100000, b"\0" * 100000):
        qemu = m.peer("smartcard")
        qemu.push(wrong, 0.3)
        qemu.close()
        m.check()
    port = m.peer("port")
    taken = port.push(bytes(50 << 20), 0.3)
    if taken > 4 << 20:
        raise Failure("%d bytes were taken without a client" % taken)
    qemu = m.peer("smartcard")
    qemu.take = lambda part: qemu.send(struct.pack(">IIII", 2, 0, 4, 0)) if part[:4] == b"\0\0\0\3" else None
    card.add_reader()
    main.close()
    works(m, None, pointer)


run(globals(), "spicevmc-hostile")
