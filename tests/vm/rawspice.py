# SPDX-License-Identifier: LGPL-2.1-or-later
"""A SPICE client written by hand, which can say what a client library never would: any bytes, cut anywhere.

    main = rawspice.Main(path)                     logs in and waits for INIT; path, or (host, port)
    main.attach(); main.start_agent()
    main.agent(agentwire.CLIPBOARD, b"…")          a well-formed message to the agent
    main.agent_data(b"…")                          any bytes of an agent chunk
    inputs = rawspice.Inputs(path, session=main.session)
    inputs.position(10, 20); inputs.press(1)
    main.send_bytes(b"…")                          anything at all

Channel(…, reading=False) does not read. Link is a connection on which nothing has been said yet. A log-in that fails
raises Refused."""

import contextlib
import hashlib
import os
import select
import socket
import ssl
import struct
import threading
import time

import agentwire
import vm

MAIN, DISPLAY, INPUTS, CURSOR, PLAYBACK, RECORD, TUNNEL, SMARTCARD, USBREDIR, PORT, WEBDAV = range(1, 12)

# Results of the log-in.
(OK, ERROR, INVALID_MAGIC, INVALID_DATA, VERSION_MISMATCH, NEED_SECURED, NEED_UNSECURED, PERMISSION_DENIED,
 BAD_CONNECTION_ID, CHANNEL_NOT_AVAILABLE) = range(10)

AUTH_SELECTION, AUTH_SPICE, AUTH_SASL, MINI_HEADER = 1, 2, 4, 8  # common capabilities

SET_ACK, PING = 3, 4                    # from any channel's server
ACK_SYNC, ACK, PONG = 1, 2, 3           # to it
INIT, CHANNELS_LIST, MOUSE_MODE = 103, 104, 105
AGENT_CONNECTED, AGENT_DISCONNECTED, AGENT_DATA, AGENT_TOKEN, AGENT_CONNECTED_TOKENS = 107, 108, 109, 110, 115
ATTACH_CHANNELS, MODE_REQUEST, AGENT_START, TO_AGENT, TO_AGENT_TOKEN = 104, 105, 106, 107, 108
KEY_DOWN, KEY_UP, MOTION, POSITION, PRESS, RELEASE = 101, 102, 111, 112, 113, 114
DATA, COMPRESSED_DATA = 101, 102        # both ways, of usbredir, smartcard and port
PORT_INIT, PORT_EVENT, TO_PORT_EVENT = 201, 202, 201

SERVER_MODE, CLIENT_MODE = 1, 2
AGENT_CHUNK = 2048                      # an agent message travels in pieces of at most so many bytes


class Refused(vm.Failure):
    """The server said no; `code` is one of the results above."""

    def __init__(self, code):
        super().__init__("the SPICE server refuses the connection with code %d" % code)
        self.code = code


def link_message(kind, number=0, session=0, common=AUTH_SELECTION | AUTH_SPICE | MINI_HEADER, channel=0):
    """The first bytes of a client: which channel it wants and what it can do."""
    body = struct.pack("<IBBIIIII", session, kind, number, 1, 1, 18, common, channel)
    return struct.pack("<4sIII", b"REDQ", 2, 2, len(body)) + body


def message(kind, body=b"", size=None):
    """The bytes of a message; another size than that of the body can be claimed."""
    return struct.pack("<HI", kind, len(body) if size is None else size) + body


def _mask(seed, size):
    """MGF1 with SHA-1 of RFC 8017."""
    return b"".join(hashlib.sha1(seed + struct.pack(">I", i)).digest() for i in range(size // 20 + 1))[:size]


def _xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def ticket(key, password):
    """The password as the server wants it: RSA with OAEP for its key, 1024 bits in DER."""
    modulus, exponent = int.from_bytes(key[29:157], "big"), int.from_bytes(key[159:162], "big")
    text = password.encode() + b"\0"
    block = hashlib.sha1(b"").digest() + bytes(128 - 2 * 20 - 2 - len(text)) + b"\1" + text
    seed = os.urandom(20)
    block = _xor(block, _mask(seed, len(block)))
    seed = _xor(seed, _mask(block, 20))
    return pow(int.from_bytes(b"\0" + seed + block, "big"), exponent, modulus).to_bytes(128, "big")


class Link:
    """A connection. `tls` is the file of the CA that has signed for the server; its name is not looked at."""

    def __init__(self, where, tls=None):
        self._lock = threading.Lock()
        if isinstance(where, str):
            self.sock = vm.unix_connect(where)
        else:
            self.sock = socket.create_connection(where)
        if tls:
            context = ssl.create_default_context(cafile=tls)
            context.check_hostname = False
            self.sock = context.wrap_socket(self.sock)

    def send_bytes(self, data):
        """Waits until the other side has room."""
        with self._lock:
            self.sock.sendall(data)

    def push(self, data, timeout=1):
        """Sends until nothing more goes for `timeout` seconds or the server hangs up; returns how many bytes have gone.
        Not with TLS."""
        sent = 0
        with self._lock, contextlib.suppress(ConnectionError):
            while sent < len(data) and select.select([], [self.sock], [], timeout)[1]:
                sent += self.sock.send(data[sent:sent + 65536], socket.MSG_DONTWAIT)
        return sent

    def receive(self, size):
        """So many bytes; EOFError when the server has hung up before."""
        data = bytearray()
        while len(data) < size:
            part = self.sock.recv(min(size - len(data), 1 << 20))
            if not part:
                raise EOFError("the SPICE server has hung up")
            data += part
        return bytes(data)

    def hung_up(self, timeout=5):
        """Whether the server closes the connection within that time; what it says until then is thrown away. Not for
        channels that read."""
        end = time.monotonic() + timeout
        with contextlib.suppress(ConnectionError):
            while select.select([self.sock], [], [], max(0, end - time.monotonic()))[0]:
                if not self.sock.recv(65536):
                    return True
            return False
        return True

    def read_reply(self):
        """The server's answer to the link message: (code, its key, common capabilities, those of the channel)."""
        magic, _, _, size = struct.unpack("<4sIII", self.receive(16))
        if magic != b"REDQ" or size > 4096:
            raise vm.Failure("no SPICE server: %r" % magic)
        body = self.receive(size)
        code, key, common, channel, offset = struct.unpack_from("<I162sIII", body)
        words = struct.unpack_from("<%dI" % (common + channel), body, offset)
        return code, key, words[:common], words[common:]

    def log_in(self, kind, number=0, session=0, password="", channel=0):
        self.send_bytes(link_message(kind, number, session, channel=channel))
        code, key, _, self.capabilities = self.read_reply()
        if code != OK:
            raise Refused(code)
        self.send_bytes(struct.pack("<I", 1) + ticket(key, password))
        code = struct.unpack("<I", self.receive(4))[0]
        if code != OK:
            raise Refused(code)

    def close(self):
        vm.hang_up(self.sock)


class Channel(Link):
    """A channel after its log-in. What comes is answered where the protocol wants it (acknowledgements, pings) and
    collected as (type, body); `received` also counts what drop() has taken."""

    KIND, CAPABILITIES = None, 0

    def __init__(self, where, number=0, session=0, password="", tls=None, reading=True, kind=None):
        super().__init__(where, tls)
        self.messages = []
        self.received = 0
        self.closed = False
        self._changed = threading.Condition()
        self._window = self._unacknowledged = 0
        try:
            self.log_in(kind or self.KIND, number, session, password, self.CAPABILITIES)
        except BaseException:
            self.close()
            raise
        if reading:
            self.start_reading()

    def start_reading(self):
        """For one that was made with reading=False."""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with contextlib.suppress(OSError, EOFError):
            while True:
                kind, size = struct.unpack("<HI", self.receive(6))
                self._take(kind, self.receive(size))
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def _take(self, kind, body):
        if kind == SET_ACK:
            generation, self._window = struct.unpack("<II", body)
            self._unacknowledged = 0
            self.send(ACK_SYNC, struct.pack("<I", generation))
            return
        self._unacknowledged += 1
        if self._window and self._unacknowledged >= self._window:
            self._unacknowledged = 0
            self.send(ACK)
        if kind == PING:
            self.send(PONG, body[:12])
            return
        with self._changed:  # who waits sees what handle() has changed together with the message
            self.handle(kind, body)
            self.messages.append((kind, body))
            self.received += 1
            self._changed.notify_all()

    def handle(self, kind, body):
        """What a kind of channel does with its messages, in the reading thread."""

    def send(self, kind, body=b"", size=None):
        self.send_bytes(message(kind, body, size))

    def wait_until(self, condition, timeout=10, what="a SPICE message"):
        """Waits until condition() holds after a message; returns its value. Fails when the server hangs up before."""
        with self._changed:
            self._changed.wait_for(lambda: condition() or self.closed, timeout)
            value = condition()
        if not value:
            raise vm.Failure("%s: %s" % ("the SPICE server has hung up" if self.closed else "timeout", what))
        return value

    def wait(self, kind, timeout=10, since=0, check=lambda body: True):
        """The body of the first message of that type after the first `since` ones."""
        def found():
            return [(body,) for got, body in self.messages[since:] if got == kind and check(body)]
        return self.wait_until(found, timeout, "no message of type %d" % kind)[0][0]

    def wait_closed(self, timeout=10):
        with self._changed:
            if not self._changed.wait_for(lambda: self.closed, timeout):
                raise vm.Failure("the SPICE server should have closed this channel")

    def drop(self):
        """Forgets the messages so far."""
        with self._changed:
            self.messages = []


class Main(Channel):
    """The main channel. Agent messages are put together in `from_agent` as (type, body); the tokens they cost are given
    back by twos unless `generous` is set to False."""

    KIND, CAPABILITIES = MAIN, 0b110  # name and uuid, tokens with AGENT_CONNECTED

    def __init__(self, where, **arguments):
        self.from_agent = []
        self.tokens = 0             # how many chunks the server still takes
        self.agent_connected = False
        self.mouse_modes = self.mouse_mode = 0
        self.generous = True
        self._agent_bytes = b""
        self._owed = 0
        super().__init__(where, **arguments)
        if arguments.get("reading", True):
            self.wait(INIT)
        else:
            self._first()

    def _first(self):
        """Reads up to INIT, then never again."""
        kind = None
        while kind != INIT:
            kind, size = struct.unpack("<HI", self.receive(6))
            self._take(kind, self.receive(size))

    def handle(self, kind, body):
        if kind == INIT:
            (self.session, _, self.mouse_modes, self.mouse_mode, connected, self.tokens) = \
                struct.unpack_from("<6I", body)
            self.agent_connected = bool(connected)
        elif kind == MOUSE_MODE:
            self.mouse_modes, self.mouse_mode = struct.unpack("<HH", body)
        elif kind in (AGENT_CONNECTED, AGENT_CONNECTED_TOKENS):
            self.agent_connected, self._agent_bytes = True, b""
            if body:
                self.tokens = struct.unpack("<I", body)[0]
        elif kind == AGENT_DISCONNECTED:
            self.agent_connected = False
        elif kind == AGENT_TOKEN:
            self.tokens += struct.unpack("<I", body)[0]
        elif kind == AGENT_DATA:
            self._from_agent(body)

    def _from_agent(self, piece):
        self._owed += 1
        if self.generous and self._owed >= 2:
            self.send(TO_AGENT_TOKEN, struct.pack("<I", self._owed))
            self._owed = 0
        self._agent_bytes += piece
        while len(self._agent_bytes) >= 20:
            _, kind, _, size = struct.unpack_from("<IIQI", self._agent_bytes)
            if len(self._agent_bytes) < 20 + size:
                break
            self.from_agent.append((kind, self._agent_bytes[20:20 + size]))
            self._agent_bytes = self._agent_bytes[20 + size:]

    def attach(self, timeout=10):
        """Asks for the channels; returns [(type, number)]."""
        self.send(ATTACH_CHANNELS)
        body = self.wait(CHANNELS_LIST, timeout)
        return [tuple(body[4 + 2 * i:6 + 2 * i]) for i in range(struct.unpack_from("<I", body)[0])]

    def request_mode(self, mode):
        self.send(MODE_REQUEST, struct.pack("<H", mode))

    def wait_connected(self, timeout=10):
        """Until the server says that there is an agent."""
        self.wait_until(lambda: self.agent_connected, timeout, "no agent")

    def start_agent(self, tokens=10):
        """Tells that we want to talk, and how many chunks the agent may send at once."""
        self.send(AGENT_START, struct.pack("<I", tokens))

    def agent_data(self, data):
        """A chunk to the agent, whether there is a token for it or not."""
        self.tokens -= 1
        self.send(TO_AGENT, data)

    def agent(self, kind, body=b"", protocol=1, size=None, timeout=10):
        """A message to the agent, in chunks and as tokens come. Protocol and size can be others than they should."""
        whole = agentwire.header(kind, len(body) if size is None else size, protocol) + body
        for start in range(0, len(whole), AGENT_CHUNK):
            self.wait_until(lambda: self.tokens > 0, timeout, "no token to talk to the agent")
            self.agent_data(whole[start:start + AGENT_CHUNK])

    def wait_agent(self, kind, timeout=10, since=0):
        """The body of the agent's first message of that type after the first `since` ones."""
        def found():
            return [(body,) for got, body in self.from_agent[since:] if got == kind]
        return self.wait_until(found, timeout, "no message of type %d from the agent" % kind)[0][0]


class Inputs(Channel):
    """Buttons count from 1; `mask` is the state of all, sent with each message and kept by press() and release()."""

    KIND = INPUTS

    def __init__(self, where, **arguments):
        self.mask = 0
        super().__init__(where, **arguments)

    def position(self, x, y, display=0):
        self.send(POSITION, struct.pack("<IIHB", x, y, self.mask, display))

    def motion(self, dx, dy):
        self.send(MOTION, struct.pack("<iiH", dx, dy, self.mask))

    def press(self, button):
        self.mask |= 1 << (button - 1)
        self.send(PRESS, struct.pack("<BH", button, self.mask))

    def release(self, button):
        self.mask &= ~(1 << (button - 1))
        self.send(RELEASE, struct.pack("<BH", button, self.mask))

    def key(self, code):
        self.send(KEY_DOWN, struct.pack("<I", code))
        self.send(KEY_UP, struct.pack("<I", code | 0x80))


class Port(Channel):
    """A named port: `name` and `opened` are what the server has told, data() what the guest has written."""

    KIND = PORT
    OPENED, CLOSED, BREAK = range(3)

    def __init__(self, where, **arguments):
        self.name, self.opened = None, False
        super().__init__(where, **arguments)

    def handle(self, kind, body):
        if kind == PORT_INIT:
            size, _, self.opened = struct.unpack_from("<IIB", body)
            self.name = body[9:9 + size].rstrip(b"\0").decode()
        elif kind == PORT_EVENT:
            self.opened = body[0] == self.OPENED

    def write(self, data):
        self.send(DATA, data)

    def event(self, what):
        self.send(TO_PORT_EVENT, bytes([what]))

    def data(self):
        return b"".join(body for kind, body in self.messages if kind == DATA)


class Smartcard(Channel):
    """A reader with at most one card, which answers each command with `answer` (6D00: not supported). `commands` are
    those of the guest. It sees a card after add_reader() and insert()."""

    KIND = SMARTCARD
    VSC_INIT, ERROR, READER_ADD, READER_REMOVE, ATR, CARD_REMOVE, APDU, FLUSH, FLUSH_COMPLETE = range(1, 10)

    def __init__(self, where, **arguments):
        self.commands = []
        self.answer = b"\x6d\x00"
        self.reader = None
        self._adding = False
        super().__init__(where, **arguments)

    def handle(self, kind, body):
        if kind != DATA:
            return
        what, reader, size = struct.unpack_from("<III", body)
        if what == self.APDU:
            self.commands.append(body[12:12 + size])
            self.card(self.APDU, self.answer)
        elif what == self.FLUSH:
            self.card(self.FLUSH_COMPLETE)
        elif what == self.ERROR and self._adding:
            self._adding = False
            if body[12:16] == bytes(4):
                self.reader = reader

    def card(self, what, body=b"", reader=None, size=None):
        """A message of the card protocol; reader and size can be others than they should."""
        reader = (0 if self.reader is None else self.reader) if reader is None else reader
        self.send(DATA, struct.pack("<III", what, reader, len(body) if size is None else size) + body)

    def add_reader(self, name="raw"):
        self._adding = True
        self.card(self.READER_ADD, name.encode() + b"\0", reader=0xffffffff)
        self.wait_until(lambda: self.reader is not None, 10, "no reader")

    def insert(self, atr=bytes.fromhex("3b0123")):
        self.card(self.ATR, atr)

    def remove(self):
        self.card(self.CARD_REMOVE)


class Usb(Channel):
    """A USB device of the client, of a class by choice, with one configuration, one interface and one bulk endpoint
    that never has data. `packets` are those from the host as (type, id, body)."""

    KIND = USBREDIR
    (HELLO, CONNECT, DISCONNECT, RESET, INTERFACE_INFO, EP_INFO, SET_CONFIGURATION, GET_CONFIGURATION,
     CONFIGURATION_STATUS, SET_ALT, GET_ALT, ALT_STATUS) = range(12)
    CANCEL, FILTER_REJECT, FILTER_FILTER, DISCONNECT_ACK = range(21, 25)
    CONTROL, BULK = 100, 101
    # Version of the device, filter, acknowledged disconnect, packet sizes, 64-bit ids, 32-bit lengths.
    CAPS = 0b1111110
    LONG_IDS = 1 << 5
    STALL = 4

    def __init__(self, where, **arguments):
        self.packets = []
        self.filter = None          # of the host, as text
        self.rejected = False
        self._buffer = b""
        self._header = "<III"
        super().__init__(where, **arguments)

    def handle(self, kind, body):
        if kind == DATA:
            self._buffer += body
        while len(self._buffer) >= struct.calcsize(self._header):
            what, size, number = struct.unpack_from(self._header, self._buffer)
            start = struct.calcsize(self._header)
            if len(self._buffer) < start + size:
                break
            packet, self._buffer = self._buffer[start:start + size], self._buffer[start + size:]
            self.packets.append((what, number, packet))
            self._answer(what, number, packet)

    def _answer(self, what, number, packet):
        if what == self.HELLO:
            if len(packet) >= 68 and struct.unpack_from("<I", packet, 64)[0] & self.LONG_IDS:
                self._header = "<IIQ"
        elif what == self.FILTER_REJECT:
            self.rejected = True
        elif what == self.FILTER_FILTER:
            self.filter = packet.rstrip(b"\0").decode()
        elif what in (self.SET_CONFIGURATION, self.GET_CONFIGURATION):
            self.packet(self.CONFIGURATION_STATUS, bytes([0, 1]), number)
        elif what == self.CONTROL:
            endpoint, request, kind, _, value, index, length = struct.unpack_from("<BBBBHHH", packet)
            reply = self._descriptor(value) if (request, kind) == (6, 0x80) else b""
            status = self.STALL if kind & 0x80 and not reply else 0
            reply = reply[:length]
            header = struct.pack("<BBBBHHH", endpoint, request, kind, status, value, index, len(reply))
            self.packet(self.CONTROL, header + reply, number)

    def _descriptor(self, value):
        """The device's, its configuration's, or a string; empty for others."""
        kind, index = value >> 8, value & 255
        device_class, vendor, product = self._identity
        if kind == 1:
            return struct.pack("<BBHBBBBHHHBBBB", 18, 1, 0x200, 0, 0, 0, 64, vendor, product, 0x100, 0, 1, 0, 1)
        if kind == 2:
            return (struct.pack("<BBHBBBBB", 9, 2, 25, 1, 1, 0, 0x80, 50) +
                    struct.pack("<BBBBBBBBB", 9, 4, 0, 0, 1, device_class, 0, 0, 0) +
                    struct.pack("<BBBBHB", 7, 5, 0x81, 2, 512, 0))
        if kind == 3 and index < 2:
            text = "raw device".encode("utf-16-le") if index else struct.pack("<H", 0x409)
            return bytes([2 + len(text), 3]) + text
        return b""

    def packet(self, what, body=b"", number=0, size=None):
        """A packet to the host; another size than that of the body can be claimed."""
        self.send(DATA, struct.pack(self._header, what, len(body) if size is None else size, number) + body)

    def hello(self):
        """Exchanges greetings with QEMU at the other end."""
        # Its header is always the short one, also when QEMU's greeting has been here first.
        body = b"raw test device".ljust(64, b"\0") + struct.pack("<I", self.CAPS)
        self.send(DATA, struct.pack("<III", self.HELLO, len(body), 0) + body)
        self.wait_until(lambda: [True for what, _, _ in self.packets if what == self.HELLO], 10, "no hello")

    def plug(self, device_class=0xff, vendor=0x1209, product=1):
        """Plugs the device in, after hello()."""
        self._identity = device_class, vendor, product
        one = lambda value, rest=0: bytes([value]) + bytes([rest]) * 31
        self.packet(self.INTERFACE_INFO, struct.pack("<I", 1) + bytes(32) + one(device_class) + bytes(64))
        # The endpoints 0 both ways are control ones; of the others 0x81, the 17th of the inward half, is bulk.
        types = bytearray(b"\xff" * 32)
        types[0] = types[16] = 0
        types[17] = 2
        sizes = [0] * 32
        sizes[0] = sizes[16] = 64
        sizes[17] = 512
        self.packet(self.EP_INFO, bytes(types) + bytes(64) + struct.pack("<32H", *sizes))
        self.packet(self.CONNECT, struct.pack("<BBBBHHH", 2, 0, 0, 0, vendor, product, 0x100))

    def unplug(self):
        self.packet(self.DISCONNECT)
