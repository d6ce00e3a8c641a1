#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""spicevmc's policy: whatever client and guest say, the canary's bytes never come out at the side to which they may not
go. What is refused is answered in the protocol's own way, and said in the log a few times, not each time."""

from spicevmcd import *

CANARY = b"canary-0b5e55ed"
MANY = 300
CAPS = AGENT_CAPS & ~(1 << 17)  # without serials, so that no grab is dropped as overtaken
LINES = 12  # of the log, for MANY refusals: ten at once, and one each five seconds


class World:
    """Guest and client, both of which say whatever they like."""

    def __init__(self, m, pointer=True):
        self.m = m
        self.pointer = m.pointer() if pointer and "pvmouse" in m.host.paths else None
        self.agent = m.agent(caps=CAPS)
        self.main = m.main(mode=False, caps=CAPS)
        self.agent.wait_client()
        wait_for(lambda: self.caps_of_agent()[CAP_MOUSE], 5, "the agent's capabilities")

    def caps_of_agent(self):
        """What the client was told last."""
        bodies = [body for kind, body in self.main.from_agent if kind == agentwire.ANNOUNCE_CAPABILITIES]
        bits = struct.unpack_from("<I", bodies[-1], 4)[0]
        return [bool(bits >> bit & 1) for bit in range(20)]

    def client_heard(self):
        return b"".join(body for _, body in self.main.messages)

    def guest_heard(self):
        return bytes(self.agent.data)

    def client_offers(self, *types):
        self.main.agent(agentwire.CLIPBOARD_GRAB, struct.pack("<Bxxx%dI" % len(types), 0, *types))

    def guest_offers(self, *types):
        self.agent.say(agentwire.CLIPBOARD_GRAB, struct.pack("<Bxxx%dI" % len(types), 0, *types))

    def guest_asks(self, kind=TEXT):
        """The type and the data of the answer."""
        since = len(self.agent.messages)
        self.agent.say(agentwire.CLIPBOARD_REQUEST, struct.pack("<BxxxI", 0, kind))
        body = self.agent.wait_message(agentwire.CLIPBOARD, since)
        return struct.unpack_from("<I", body, 4)[0], body[8:]

    def client_asks(self, kind=TEXT):
        since = len(self.main.from_agent)
        self.main.agent(agentwire.CLIPBOARD_REQUEST, struct.pack("<BxxxI", 0, kind))
        body = self.main.wait_agent(agentwire.CLIPBOARD, since=since)
        return struct.unpack_from("<I", body, 4)[0], body[8:]

    def client_gives(self, data, kind=TEXT):
        self.main.agent(agentwire.CLIPBOARD, struct.pack("<BxxxI", 0, kind) + data)

    def guest_gives(self, data, kind=TEXT):
        self.agent.say(agentwire.CLIPBOARD, struct.pack("<BxxxI", 0, kind) + data)

    def settle(self):
        """All that was said has been judged: the agent's port in both directions is a queue."""
        since = len(self.agent.messages)
        self.main.agent(agentwire.AUDIO_VOLUME_SYNC, struct.pack("<BBBHH", 1, 0, 2, 1, 2))
        self.agent.wait_message(agentwire.AUDIO_VOLUME_SYNC, since)
        since = len(self.main.from_agent)
        self.agent.say(agentwire.REPLY, struct.pack("<II", agentwire.MONITORS_CONFIG, 1))
        self.main.wait_agent(agentwire.REPLY, since=since)

    def paste_in_guest(self, data=CANARY, kind=TEXT):
        """The whole way of what the client has copied."""
        since = len(self.agent.messages)
        self.client_offers(kind)
        self.agent.wait_message(agentwire.CLIPBOARD_GRAB, since)
        since = len(self.main.from_agent), len(self.agent.messages)
        self.agent.say(agentwire.CLIPBOARD_REQUEST, struct.pack("<BxxxI", 0, kind))
        self.main.wait_agent(agentwire.CLIPBOARD_REQUEST, since=since[0])
        self.client_gives(data, kind)
        return self.agent.wait_message(agentwire.CLIPBOARD, since[1])[8:]

    def paste_in_client(self, data=CANARY, kind=TEXT):
        since = len(self.main.from_agent)
        self.guest_offers(kind)
        self.main.wait_agent(agentwire.CLIPBOARD_GRAB, since=since)
        since = len(self.main.from_agent), len(self.agent.messages)
        self.main.agent(agentwire.CLIPBOARD_REQUEST, struct.pack("<BxxxI", 0, kind))
        self.agent.wait_message(agentwire.CLIPBOARD_REQUEST, since[1])
        self.guest_gives(data, kind)
        return self.main.wait_agent(agentwire.CLIPBOARD, since=since[0])[8:]

    def denied(self):
        return self.m.counter("messages-denied")

    def logged(self, text, at_most=LINES):
        """So many lines, but at least one."""
        count = self.m.log().count(text)
        if not 1 <= count <= at_most:
            raise Failure("%d lines with %r in the log" % (count, text))


def no_canary(heard, where):
    if CANARY in heard:
        at = heard.index(CANARY)
        raise Failure("the canary has come to the %s: %r" % (where, heard[max(0, at - 60):at + 40]))


def policy(*lines, **more):
    return machine(policy=lines, **more)


@machine()
def test_everything_passes(m):
    """What the other tests look for would be seen."""
    world = World(m)
    expect(world.paste_in_guest(), CANARY, "paste in the guest")
    expect(CANARY in world.guest_heard(), True, "heard by the guest")
    expect(world.paste_in_client(), CANARY, "paste in the client")
    expect(CANARY in world.client_heard(), True, "heard by the client")
    expect(world.denied(), 0, "denied")
    expect(world.caps_of_agent()[CAP_FILES_DISABLED], False, "files disabled among the capabilities")
    world.main.agent(agentwire.FILE_XFER_START, agentwire.examples()[agentwire.FILE_XFER_START])
    world.agent.wait_message(agentwire.FILE_XFER_START)
    world.main.agent(agentwire.FILE_XFER_DATA, struct.pack("<IQ", 7, 4) + b"data")
    world.agent.wait_message(agentwire.FILE_XFER_DATA)


def abuse_to_guest(world):
    """All that could bring the client's clipboard into the guest."""
    world.client_gives(CANARY)
    for _ in range(MANY):
        world.client_offers(TEXT)
        world.agent.say(agentwire.CLIPBOARD_REQUEST, struct.pack("<BxxxI", 0, TEXT))
        world.client_gives(CANARY)
    world.settle()
    expect(world.guest_asks(), (NONE, b""), "answer to the guest")
    no_canary(world.guest_heard(), "guest")
    if any(kind == agentwire.CLIPBOARD_GRAB for _, kind, _ in world.agent.messages):
        raise Failure("the guest was offered what it may not have")
    answers = [body for _, kind, body in world.agent.messages if kind == agentwire.CLIPBOARD]
    expect(len(answers), MANY + 1, "answers to the guest")
    if world.denied() < 2 * MANY:
        raise Failure("denied: %d" % world.denied())
    world.logged("client: ")


def abuse_from_guest(world):
    world.guest_gives(CANARY)
    for _ in range(MANY):
        world.guest_offers(TEXT)
        world.guest_gives(CANARY)
    world.settle()
    for _ in range(10):
        world.main.agent(agentwire.CLIPBOARD_REQUEST, struct.pack("<BxxxI", 0, TEXT))
        world.guest_gives(CANARY)
    expect(world.client_asks(), (NONE, b""), "answer to the client")
    world.settle()
    no_canary(world.client_heard(), "client")
    if any(kind == agentwire.CLIPBOARD_GRAB for kind, _ in world.main.from_agent):
        raise Failure("the client was offered what it may not have")
    if any(kind == agentwire.CLIPBOARD_REQUEST for _, kind, _ in world.agent.messages):
        raise Failure("the guest was asked for what it may not give")
    answers = [body for kind, body in world.main.from_agent if kind == agentwire.CLIPBOARD]
    expect(len(answers), 11, "answers to the client")
    if world.denied() < MANY + 11:
        raise Failure("denied: %d" % world.denied())
    world.logged("guest: ")


@policy("clipboard-to-guest=off")
def test_clipboard_to_guest_off(m):
    world = World(m)
    abuse_to_guest(world)
    expect(world.paste_in_client(), CANARY, "the other direction")


@policy("clipboard-from-guest=off")
def test_clipboard_from_guest_off(m):
    world = World(m)
    abuse_from_guest(world)
    expect(world.paste_in_guest(), CANARY, "the other direction")


@policy("clipboard-to-guest=off", "clipboard-from-guest=off")
def test_clipboard_off(m):
    """Neither end is even told that the other has a clipboard."""
    world = World(m)
    expect(world.caps_of_agent()[CAP_BY_DEMAND], False, "clipboard among the agent's capabilities")
    told = struct.unpack_from("<I", world.agent.wait_client(), 4)[0]
    expect(told >> CAP_BY_DEMAND & 1, 0, "clipboard among the client's capabilities")
    # Without the capability of selections the messages have none.
    for _ in range(MANY):
        world.main.agent(agentwire.CLIPBOARD_GRAB, struct.pack("<I", TEXT))
        world.main.agent(agentwire.CLIPBOARD, struct.pack("<I", TEXT) + CANARY)
        world.agent.say(agentwire.CLIPBOARD_GRAB, struct.pack("<I", TEXT))
        world.agent.say(agentwire.CLIPBOARD_REQUEST, struct.pack("<I", TEXT))
        world.agent.say(agentwire.CLIPBOARD, struct.pack("<I", TEXT) + CANARY)
    world.main.agent(agentwire.CLIPBOARD_REQUEST, struct.pack("<I", TEXT))
    expect(world.main.wait_agent(agentwire.CLIPBOARD), struct.pack("<I", NONE), "answer to the client")
    # And with it they are nonsense.
    world.client_offers(TEXT)
    world.client_gives(CANARY)
    world.guest_offers(TEXT)
    world.guest_gives(CANARY)
    world.settle()
    no_canary(world.guest_heard(), "guest")
    no_canary(world.client_heard(), "client")
    if any(kind == agentwire.CLIPBOARD_GRAB for _, kind, _ in world.agent.messages) or \
       any(kind == agentwire.CLIPBOARD_GRAB for kind, _ in world.main.from_agent):
        raise Failure("an offer has passed")
    world.logged("client: ")
    world.logged("guest: ")


@policy("clipboard-types=text")
def test_clipboard_types(m):
    world = World(m)
    world.client_offers(TEXT, PNG)
    expect(world.agent.wait_message(agentwire.CLIPBOARD_GRAB)[4:], struct.pack("<I", TEXT), "types for the guest")
    expect(world.guest_asks(PNG), (NONE, b""), "answer to the guest")
    world.client_gives(CANARY, PNG)
    since = len(world.main.from_agent)
    world.agent.say(agentwire.CLIPBOARD_REQUEST, struct.pack("<BxxxI", 0, TEXT))
    world.main.wait_agent(agentwire.CLIPBOARD_REQUEST, since=since)
    since = len(world.agent.messages)
    world.client_gives(CANARY, PNG)  # another type than was asked for
    world.client_gives(b"text")
    expect(world.agent.wait_message(agentwire.CLIPBOARD, since)[8:], b"text", "text for the guest")
    world.client_offers(PNG)
    world.agent.wait_message(agentwire.CLIPBOARD_RELEASE, since)
    world.guest_offers(TEXT, PNG)
    expect(world.main.wait_agent(agentwire.CLIPBOARD_GRAB)[4:], struct.pack("<I", TEXT), "types for the client")
    expect(world.client_asks(PNG), (NONE, b""), "answer to the client")
    world.guest_gives(CANARY, PNG)
    world.settle()
    no_canary(world.guest_heard(), "guest")
    no_canary(world.client_heard(), "client")
    world.logged("guest: ")
    world.logged("client: ")


@policy("clipboard-max-size=1K")
def test_clipboard_max_size(m):
    world = World(m)
    expect(world.paste_in_guest(b"x" * 1024), b"x" * 1024, "as much as is allowed")
    since = len(world.main.from_agent), len(world.agent.messages)
    world.agent.say(agentwire.CLIPBOARD_REQUEST, struct.pack("<BxxxI", 0, TEXT))
    world.main.wait_agent(agentwire.CLIPBOARD_REQUEST, since=since[0])
    world.client_gives(CANARY * 100)
    expect(world.agent.wait_message(agentwire.CLIPBOARD, since[1])[4:], struct.pack("<I", NONE), "answer to the guest")
    world.guest_offers(TEXT)
    world.main.wait_agent(agentwire.CLIPBOARD_GRAB)
    for size, wanted in ((1025, b""), (5000000, b""), (1024, b"y" * 1024)):
        since = len(world.main.from_agent), len(world.agent.messages)
        world.main.agent(agentwire.CLIPBOARD_REQUEST, struct.pack("<BxxxI", 0, TEXT))
        world.agent.wait_message(agentwire.CLIPBOARD_REQUEST, since[1])
        world.guest_gives((b"y" * 1024 if size == 1024 else CANARY * size)[:size])
        expect(world.main.wait_agent(agentwire.CLIPBOARD, since=since[0])[8:], wanted, "paste of %d bytes" % size)
    world.settle()
    no_canary(world.guest_heard(), "guest")
    no_canary(world.client_heard(), "client")
    told = world.agent.wait_message(agentwire.MAX_CLIPBOARD)
    expect(struct.unpack("<i", told)[0], 1024, "bound that the guest is told")


@policy("files=off")
def test_files_off(m):
    world = World(m)
    expect(world.caps_of_agent()[CAP_FILES_DISABLED], True, "files disabled among the capabilities")
    for number in range(MANY):
        text = b"[vdagent-file-xfer]\nname=%s\nsize=%d\n\0" % (CANARY, len(CANARY))
        world.main.agent(agentwire.FILE_XFER_START, struct.pack("<I", number) + text)
        world.main.agent(agentwire.FILE_XFER_DATA, struct.pack("<IQ", number, len(CANARY)) + CANARY)
    # A guest that says yes all the same does not change that.
    world.agent.say(agentwire.FILE_XFER_STATUS, struct.pack("<II", MANY - 1, CAN_SEND))
    world.main.agent(agentwire.FILE_XFER_DATA, struct.pack("<IQ", MANY - 1, len(CANARY)) + CANARY)
    world.settle()
    no_canary(world.guest_heard(), "guest")
    statuses = [struct.unpack_from("<II", body) for kind, body in world.main.from_agent
                if kind == agentwire.FILE_XFER_STATUS]
    expect(statuses, [(number, DISABLED) for number in range(MANY)], "statuses")
    world.logged("client: ")


@machine(policy=("files=off",))
def test_files_off_for_the_real_client(m):
    m.pointer()
    m.agent()
    client = m.client()
    client.wait_agent(10)
    path = m.path("file")
    with open(path, "wb") as file:
        file.write(CANARY)
    try:
        client.command("files", path, timeout=10)
    except Failure as error:
        if "timeout" in str(error) or "no answer" in str(error):
            raise
    else:
        raise Failure("the client believes to have sent its file")


@policy("pointer=off")
def test_pointer_off(m):
    world = World(m, pointer=False)
    pointer = m.opened(Pointer(m.host.paths["pvmouse"]))
    inputs = m.inputs(world.main)
    for step in range(MANY):
        inputs.position(step, 0x0b5e)
        inputs.motion(1, 1)
        inputs.press(1)
        inputs.release(1)
    world.settle()
    time.sleep(0.3)
    expect(world.agent.mice, [], "mouse states for the agent")
    if [frame for frame in pointer.frames if not frame.no_position or frame.buttons or frame.kind != STATE]:
        raise Failure("frames: %s" % pointer.frames)
    expect(m.status()["sink"], "none", "sink")


def type_keys(m):
    monitor = m.opened(Monitor(m.path("host-qmp.sock")))
    m.host.start()
    # This monitor knows of no open port: to be told so after HELLO would take the guest away again.
    wait_for(lambda: m.host.channel("pvmouse")["guest"] == "closed", 10, "the monitor's word")
    m.pointer()
    main = m.main(mode=False)
    inputs = m.inputs(main)
    time.sleep(0.3)
    for _ in range(20):
        inputs.key(0x1e)
    return monitor


def test_keyboard_on():
    with Machine(start=False, qmp=True) as m:
        monitor = type_keys(m)
        wait_for(lambda: len(monitor.keys()) >= 40, 10, lambda: "keys: %s" % monitor.commands[-10:])
        m.check()


def test_keyboard_off():
    with Machine(start=False, qmp=True, policy=("keyboard=off",)) as m:
        monitor = type_keys(m)
        time.sleep(0.5)
        expect(monitor.keys(), [], "keys")
        m.check()



def plugged(m, vendor):
    """QEMU and the client's device of this vendor, on a channel each has just opened; with data that are the canary."""
    m.pointer()
    qemu = m.peer("usbredir")
    qemu.send(USB_HELLO)
    main = m.main(mode=False)
    usb = m.channel(rawspice.Usb, main)
    usb.hello()
    usb.plug(vendor=vendor)
    for number in range(MANY):
        usb.packet(usb.BULK, struct.pack("<BBHIH", 0x81, 0, len(CANARY), 0, 0) + CANARY, number)
    return qemu, usb


@policy(channels=(("vdagent",), ("pvmouse",), ("usbredir",)))
def test_usb_passes(m):
    qemu, usb = plugged(m, 0x0b5e)
    qemu.wait(lambda: qemu.data.count(CANARY) == MANY, 10, "the canary")
    expect(usb.rejected, False, "rejected")


@policy("usbredir-filter=-1,0x1209,-1,-1,1|-1,-1,-1,-1,0", channels=(("vdagent",), ("pvmouse",), ("usbredir",)))
def test_usb_filter(m):
    qemu, usb = plugged(m, 0x0b5e)
    usb.wait_until(lambda: usb.rejected, 5, "the client is not told")
    usb.packet(usb.CONNECT, struct.pack("<BBBBHHH", 2, 0, 0, 0, 0x0b5e, 2, 0x100))
    usb.packet(usb.BULK, struct.pack("<BBHIH", 0x81, 0, len(CANARY), 0, 0) + CANARY, 1)
    usb.unplug()
    usb.plug(vendor=0x1209)
    good = struct.pack("<BBBBHHH", 2, 0, 0, 0, 0x1209, 1, 0x100)
    qemu.wait_data(good)
    no_canary(bytes(qemu.data), "QEMU")
    if struct.pack("<H", 0x0b5e) in qemu.data:
        raise Failure("the device was announced to QEMU")
    m.logged("client: USB device 0b5e:0001 is not allowed here")
    if m.log().count("is not allowed here") > 2:
        raise Failure("more than a line in the log for each refusal")


@policy(channels=(("vdagent",), ("pvmouse",)))
def test_channels_that_are_not_there(m):
    """What is not configured is not offered, and asking for it all the same does not help."""
    m.pointer()
    main = m.main(mode=False)
    kinds = {kind for kind, _ in main.attach()}
    wrong = kinds & {rawspice.USBREDIR, rawspice.SMARTCARD, rawspice.PORT, rawspice.WEBDAV, rawspice.PLAYBACK,
                     rawspice.RECORD}
    if wrong:
        raise Failure("channels that were not asked for: %s" % wrong)
    for kind in (rawspice.Usb, rawspice.Smartcard, rawspice.Port):
        try:
            m.channel(kind, main)
        except (rawspice.Refused, EOFError, OSError):
            continue
        raise Failure("a channel %s could be had" % kind.__name__)


run(globals(), "spicevmc-policy")
