#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""spicevmc and the pointer: from a SPICE client to whatever the guest has for it, no loss, jump or stuck button."""

from spicevmcd import *

SIZES = {"displays": ("1024x768", "800x600")}


def wire(pixel, size):
    return (2 * pixel + 1) * 32768 // size


def pointed(m, **arguments):
    """A guest with pvmouse only, and a raw client; both at rest."""
    pointer = m.pointer(**arguments)
    main = m.main()
    return pointer, main, m.inputs(main)


@machine()
def test_caps_without_agent(m):
    """With pvmouse and no agent the client gets its pointer, and is told of neither clipboard nor files."""
    m.pointer()
    client = m.client()
    state = client.wait_agent(10)
    wrong = {CAP_CLIPBOARD, CAP_BY_DEMAND} & set(state["caps"])
    if wrong or CAP_FILES_DISABLED not in state["caps"]:
        raise Failure("capabilities of no agent: %s" % state["caps"])


@machine()
def test_requests_without_agent(m):
    """What is asked of a guest without an agent is answered in the protocol's way."""
    m.pointer()
    main = m.main()
    main.agent(agentwire.CLIPBOARD_GRAB, struct.pack("<BxxxII", 0, 0, TEXT))
    main.agent(agentwire.CLIPBOARD_REQUEST, struct.pack("<BxxxI", 0, TEXT))
    expect(main.wait_agent(agentwire.CLIPBOARD)[4:], struct.pack("<I", NONE), "paste")
    main.agent(agentwire.FILE_XFER_START, agentwire.examples()[agentwire.FILE_XFER_START])
    expect(main.wait_agent(agentwire.FILE_XFER_STATUS), struct.pack("<II", 7, NO_AGENT), "transfer")
    main.agent(agentwire.FILE_XFER_DATA, struct.pack("<IQ", 7, 4) + b"data")
    main.agent(agentwire.MONITORS_CONFIG, agentwire.examples()[agentwire.MONITORS_CONFIG])
    expect(main.wait_agent(agentwire.REPLY), struct.pack("<II", agentwire.MONITORS_CONFIG, 2), "monitors")


@machine()
def test_status_of_old_client(m):
    """A client that knows no detailed errors of transfers gets the plain one."""
    m.pointer()
    main = m.main(caps=agentwire.ALL_CAPS & ~(1 << CAP_DETAILED))
    main.agent(agentwire.FILE_XFER_START, agentwire.examples()[agentwire.FILE_XFER_START])
    expect(main.wait_agent(agentwire.FILE_XFER_STATUS), struct.pack("<II", 7, ERROR), "transfer")


@machine()
def test_full_state(m):
    """A guest that comes late, or starts over, is told how things stand."""
    pointer = m.pointer()
    first = pointer.wait_frame()
    expect((first.kind, first.sequence, first.no_position, first.buttons), (STATE, 1, True, 0), "first frame")
    main = m.main()
    inputs = m.inputs(main)
    inputs.position(100, 200)
    inputs.press(1)
    pointer.wait_frame(buttons=LEFT)
    before = len(pointer.frames)
    pointer.hello()
    frame = pointer.wait_frame(before)
    expect((frame.sequence, frame.x, frame.y, frame.buttons), (1, wire(100, 1024), wire(200, 768), LEFT), "after HELLO")
    pointer.close()
    m.host.wait_sink("none", 5)
    # Meanwhile the client has no pointer of its own, so what it says is relative.
    inputs.press(3)
    wait_for(lambda: m.counter("pointer-none-lost") > 0, 5, "the press")
    frame = m.pointer().wait_frame()
    expect(frame[:6], (MOTION, 0, 1, 0, 0, LEFT | RIGHT), "of the next guest")


@machine()
def test_frames(m):
    """Each button, wheels and positions as they are made."""
    pointer, main, inputs = pointed(m)
    inputs.position(10, 20)
    pointer.wait_frame(x=wire(10, 1024), y=wire(20, 768), buttons=0)
    seen = pointer.seen
    for button, bit in ((1, LEFT), (2, MIDDLE), (3, RIGHT), (6, 8), (7, 16)):
        inputs.press(button)
        pointer.wait_frame(seen, buttons=bit, x=wire(10, 1024))
        inputs.release(button)
        pointer.wait_frame(pointer.seen, buttons=0)
        seen = pointer.seen
    for button, turn in ((4, 120), (5, -120)):
        for _ in range(5):
            inputs.press(button)
            inputs.release(button)
        pointer.wait(lambda: sum(frame.wheel for frame in pointer.frames[seen:]) == 5 * turn, 5,
                     lambda: "wheel: %s" % pointer.frames[seen:])
        seen = len(pointer.frames)
    inputs.press(1)
    inputs.position(500, 300)
    pointer.wait_frame(seen, x=wire(500, 1024), y=wire(300, 768), buttons=LEFT)
    numbers = [frame.sequence for frame in pointer.frames]
    expect(numbers, list(range(1, len(numbers) + 1)), "sequence")


@machine()
def test_two_hundred_clicks_with_little_credit(m):
    """The guest takes four frames at once: every edge comes, in order, and motion in between is left out."""
    pointer, main, inputs = pointed(m, credit=4)
    for step in range(200):
        inputs.position(step, step)
        inputs.press(1)
        inputs.release(1)
    pointer.wait(lambda: len(edges(pointer.frames)) == 400, 20, lambda: "%d edges" % len(edges(pointer.frames)))
    expect(edges(pointer.frames), "pr" * 200, "edges")
    places = [frame.x for frame in pointer.frames if frame.buttons]
    expect(places, [wire(step, 1024) for step in range(200)], "places of the presses")
    expect(m.counter("pvmouse-removed"), 0, "removed")


@machine()
def test_two_hundred_clicks_without_credit(m):
    """Nothing goes out beyond the credit, nothing is lost while it is awaited."""
    pointer, main, inputs = pointed(m, credit=8, generous=False)
    for _ in range(200):
        inputs.press(1)
        inputs.release(1)
    wait_for(lambda: m.host.channel("pvmouse")["queued"] >= 390, 10, lambda: "waiting: %s" % m.status())
    time.sleep(0.2)
    expect(len(pointer.frames), 8, "frames for a credit of 8")
    pointer.generous = True
    pointer.give(8)
    pointer.wait(lambda: len(edges(pointer.frames)) == 400, 20, lambda: "%d edges" % len(edges(pointer.frames)))
    expect(edges(pointer.frames), "pr" * 200, "edges")


@machine()
def test_real_client_clicks_with_little_credit(m):
    pointer = m.pointer(credit=2)
    client = m.client()
    client.wait_agent(10)
    client.command("burst", "click", 200, 0)
    pointer.wait(lambda: len(edges(pointer.frames)) == 400, 20, lambda: "%d edges" % len(edges(pointer.frames)))
    expect(edges(pointer.frames), "pr" * 200, "edges")
    before = len(pointer.frames)
    client.command("burst", "wheel", 100, 0)
    pointer.wait(lambda: sum(frame.wheel for frame in pointer.frames[before:]) == -12000, 20,
                 lambda: "wheel %d" % sum(frame.wheel for frame in pointer.frames[before:]))


@machine()
def test_dead_guest(m):
    """5000 edges and 5000 wheel steps for a guest that takes nothing: bounded, counted; it gets RELEASE and the sum."""
    pointer, main, inputs = pointed(m, credit=1, generous=False)
    peak = m.host.rss_peak()
    for _ in range(2500):
        inputs.press(1)
        inputs.release(1)
    most = m.host.channel("pvmouse")["queued"]
    for _ in range(5000):
        inputs.press(4)
        inputs.release(4)
    inputs.position(5, 6)
    inputs.press(3)
    wait_for(lambda: m.counter("pvmouse-removed") > 0, 10, lambda: "nothing was removed: %s" % m.status())

    def all_in():
        before = m.counter("mouse-states")
        time.sleep(0.3)
        return m.counter("mouse-states") == before
    wait_for(all_in, 20, "the client's events are not taken")
    most = max(most, m.host.channel("pvmouse")["queued"])
    if most > 1024 + 2:
        raise Failure("%d frames wait" % most)
    grown = m.host.rss_peak() - peak
    if grown > 1024 and not sanitized():
        raise Failure("memory grew by %d KiB" % grown)
    expect(len(pointer.frames), 1, "frames for a credit of 1")
    pointer.generous = True
    pointer.give(64)
    pointer.wait_frame(buttons=RIGHT, timeout=20)
    if not any(frame.kind == RELEASE for frame in pointer.frames):
        raise Failure("no RELEASE in place of what was removed")
    expect(sum(frame.wheel for frame in pointer.frames), 5000 * 120, "sum of the wheel")
    expect(pointer.frames[-1].x, wire(5, 1024), "position at last")
    m.logged("guest: takes no input")


@machine()
def test_server_mouse_mode(m):
    """A client that wants relative motion sends it; to a guest that takes it."""
    pointer, main, inputs = pointed(m)
    main.request_mode(rawspice.SERVER_MODE)
    main.wait_until(lambda: main.mouse_mode == rawspice.SERVER_MODE, 5, "no server mouse mode")
    for _ in range(50):
        inputs.motion(3, -2)
    pointer.wait(lambda: sum(frame.x for frame in pointer.frames if frame.kind == MOTION) == 150, 5,
                 lambda: "motion: %s" % pointer.frames)
    expect(sum(frame.y for frame in pointer.frames if frame.kind == MOTION), -100, "dy")
    inputs.press(1)
    pointer.wait_frame(kind=MOTION, buttons=LEFT)
    seen = pointer.seen
    inputs.motion(1, 1)
    pointer.wait_frame(seen, kind=MOTION, buttons=LEFT, x=1)
    inputs.release(1)
    pointer.wait_frame(seen, kind=MOTION, buttons=0)
    inputs.press(4)
    inputs.release(4)
    pointer.wait_frame(seen, kind=MOTION, wheel=120)


@machine()
def test_server_mouse_mode_with_button_held(m):
    """An agent cannot be told of relative motion, but of the release of what it holds."""
    agent = m.agent()
    main = m.main()
    inputs = m.inputs(main)
    inputs.position(50, 60)
    inputs.press(1)
    agent.wait(lambda: agent.mice and agent.mice[-1][2] == 2, 5, "press")
    main.request_mode(rawspice.SERVER_MODE)
    main.wait_until(lambda: main.mouse_mode == rawspice.SERVER_MODE, 5, "no server mouse mode")
    inputs.motion(3, -2)
    inputs.release(1)
    agent.wait(lambda: agent.mice[-1] == (50, 60, 0, 0), 5, lambda: "release: %s" % agent.mice)
    count = len(agent.mice)
    inputs.motion(3, -2)
    main.request_mode(rawspice.CLIENT_MODE)
    main.wait_until(lambda: main.mouse_mode == rawspice.CLIENT_MODE, 5, "no client mouse mode")
    inputs.position(70, 60)
    agent.wait(lambda: agent.mice[-1] == (70, 60, 0, 0), 5, lambda: "motion: %s" % agent.mice)
    expect(len(agent.mice), count + 1, "states")


@machine()
def test_sinks_in_mid_press(m):
    """Agent, then pvmouse, then the agent again with a button down: the old way releases, the new one presses."""
    agent = m.agent()
    m.host.wait_sink("legacy", 5)
    main = m.main()
    inputs = m.inputs(main)
    inputs.position(300, 200)
    inputs.press(1)
    agent.wait(lambda: agent.mice and agent.mice[-1] == (300, 200, 2, 0), 5, lambda: "press: %s" % agent.mice)
    before = len(agent.mice)
    pointer = m.pointer()
    frame = pointer.wait_frame()
    expect((frame.x, frame.y, frame.buttons), (wire(300, 1024), wire(200, 768), LEFT), "on the new way")
    agent.wait(lambda: len(agent.mice) > before, 5, "no release on the old way")
    inputs.position(310, 200)
    pointer.wait_frame(x=wire(310, 1024), buttons=LEFT)
    expect(agent.mice[before:], [(300, 200, 0, 0)], "on the old way")
    before = len(agent.mice)
    pointer.close()
    m.host.wait_sink("legacy", 5)
    agent.wait(lambda: len(agent.mice) > before, 5, "no press on the way back")
    inputs.release(1)
    agent.wait(lambda: len(agent.mice) > before + 1, 5, "no release on the way back")
    expect(agent.mice[before:], [(310, 200, 2, 0), (310, 200, 0, 0)], "on the way back")


@machine()
def test_agent_leaves_in_mid_press(m):
    """Without any way left the client loses its pointer; a pvmouse that comes finds the button up again or down."""
    agent = m.agent()
    main = m.main()
    inputs = m.inputs(main)
    inputs.position(30, 20)
    inputs.press(1)
    agent.wait(lambda: agent.mice and agent.mice[-1][2] == 2, 5, "press")
    agent.close()
    m.host.wait_sink("none", 5)
    main.wait_until(lambda: not main.agent_connected, 5, "the client should lose the agent")
    inputs.release(1)
    time.sleep(0.2)
    pointer = m.pointer()
    expect(pointer.wait_frame().buttons, 0, "buttons")


@machine()
def test_client_leaves_with_button_held(m):
    pointer, main, inputs = pointed(m)
    inputs.position(50, 60)
    inputs.press(1)
    pointer.wait_frame(buttons=LEFT)
    inputs.close()
    main.close()
    pointer.wait_frame(pointer.seen, buttons=0)
    main = m.main()
    inputs = m.inputs(main)
    seen = len(pointer.frames)
    inputs.press(3)
    frame = pointer.wait_frame(seen, buttons=RIGHT)
    expect(edges(pointer.frames[seen:]), "", "left button of the next client")


@machine()
def test_client_leaves_agent_with_button_held(m):
    """The same by the agent's port."""
    agent = m.agent()
    main = m.main()
    inputs = m.inputs(main)
    inputs.position(50, 60)
    inputs.press(1)
    agent.wait(lambda: agent.mice and agent.mice[-1][2] == 2, 5, "press")
    inputs.close()
    main.close()
    agent.wait(lambda: agent.mice[-1] == (50, 60, 0, 0), 5, lambda: "release: %s" % agent.mice)


@machine()
def test_second_client_replaces_the_first(m):
    """And the first one's button is released."""
    pointer = m.pointer()
    first = m.client()
    first.wait_agent(10)
    first.position(70, 80)
    first.command("press", 1)
    pointer.wait_frame(buttons=LEFT)
    seen = pointer.seen
    second = m.client()
    pointer.wait_frame(seen, buttons=0)
    first.wait_event("channel", type="main", state="closed")
    second.wait_agent(10)
    seen = len(pointer.frames)
    second.click(1)
    pointer.wait(lambda: edges(pointer.frames[seen:]) == "pr", 5, lambda: "click: %s" % pointer.frames[seen:])
    expect(len(m.status()["clients"]), 1, "clients")


@machine()
def test_outside_of_the_display(m):
    pointer, main, inputs = pointed(m)
    for x, y, wanted in ((5000, 10, (wire(1023, 1024), wire(10, 768))), (10, 5000, (wire(10, 1024), wire(767, 768))),
                         (0xffffffff, 0xffffffff, (wire(1023, 1024), wire(767, 768))),
                         (0x80000000, 0, (wire(1023, 1024), wire(0, 768)))):
        before = len(pointer.frames)
        inputs.position(512, 384)
        pointer.wait_frame(before, x=wire(512, 1024), y=wire(384, 768))
        inputs.position(x, y)
        pointer.wait_frame(pointer.seen, x=wanted[0], y=wanted[1])


@machine(**SIZES)
def test_second_display(m):
    """Positions are of the display they are on; one on a display that is not there moves nothing."""
    pointer, main, inputs = pointed(m)
    inputs.position(799, 599, 1)
    frame = pointer.wait_frame(display=1)
    expect((frame.x, frame.y), (wire(799, 800), wire(599, 600)), "on display 1")
    inputs.position(1023, 767, 0)
    frame = pointer.wait_frame(pointer.seen, display=0, x=wire(1023, 1024), y=wire(767, 768))
    seen = pointer.seen
    for display in (2, 15, 16, 255):
        inputs.position(3, 3, display)
    inputs.press(1)
    pointer.wait_frame(seen, buttons=LEFT)
    if any(not frame.no_position and frame.x == wire(3, 1024) for frame in pointer.frames[seen:]):
        raise Failure("a position on no display was used: %s" % pointer.frames[seen:])


@machine(**SIZES)
def test_outside_for_the_agent(m):
    """The same by the agent's port: it hears of no place that the guest does not have."""
    agent = m.agent()
    m.host.wait_sink("legacy", 5)
    main = m.main()
    inputs = m.inputs(main)
    for place, wanted in (((0xffffffff, 0xffffffff, 0), (1023, 767, 0)), ((5000, 10, 1), (799, 10, 1)),
                          ((3, 3, 2), (799, 10, 1)), ((3, 3, 255), (799, 10, 1)), ((4, 5, 0), (4, 5, 0))):
        inputs.position(*place)
        inputs.press(1)
        agent.wait(lambda: agent.mice and agent.mice[-1][2] == 2, 5, "press")
        inputs.release(1)
        agent.wait(lambda: agent.mice[-1][2] == 0, 5, "release")
        expect({(x, y, display) for x, y, buttons, display in agent.mice[-2:]}, {wanted}, "place for %s" % (place,))


@machine()
def test_burst_for_the_agent(m):
    """More clicks at once than may wait for the agent: it ends with the buttons that are down, and what it does not
    get is counted."""
    agent = m.agent()
    m.host.wait_sink("legacy", 5)
    main = m.main()
    inputs = m.inputs(main)
    inputs.position(50, 60)
    press = rawspice.message(rawspice.PRESS, struct.pack("<BH", 1, 1))
    release = rawspice.message(rawspice.RELEASE, struct.pack("<BH", 1, 0))
    total = 1
    for burst, buttons in ((press + release) * 300 + press, 2), ((release + press) * 300 + release, 0):
        inputs.send_bytes(burst)
        total += 601
        wait_for(lambda: m.counter("mouse-states") == total, 5, lambda: "counters: %s" % m.status())
        agent.wait(lambda: len(agent.mice) == m.counter("pointer-legacy"), 5,
                   lambda: "%d states, %s" % (len(agent.mice), m.status()))
        expect(agent.mice[-1], (50, 60, buttons, 0), "state at last")
        lost = m.counter("pointer-legacy-lost")
        expect(len(agent.mice) + lost, total, "states")
    if lost == 0:
        raise Failure("so many can wait?")


run(globals(), "spicevmc-pointer")
