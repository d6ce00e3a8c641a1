# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU's built-in agent channel with a VNC client: the guest's agent does not depend on SPICE."""

import queue
import random

from harness import *
from rfb import Rfb
from test_pointer import screen_size

VNC = {"agent": "qemu-vdagent"}


def connect(m):
    """A client whose pointer already moves the guest's, so the agent is there."""
    rfb = Rfb(m.vm.vnc)
    m.defer(rfb.close)
    counts = m.evdev()

    def moved():
        # Another place each time: where the pointer is already, it does not move to.
        rfb.pointer(*(random.randrange(10, 200) for _ in "xy"))
        return counts()["motions"] > 0
    wait_for(moved, 30, "the VNC client's pointer reaches evdev", 0.3)
    return rfb, counts


@machine(**VNC)
def test_vnc_pointer(m):
    rfb, counts = connect(m)
    pointer = m.pointer()
    width, height = screen_size(m)
    # QEMU scales twice on the way and may lose a pixel by that.
    for x, y in ((0, 0), (width - 1, height - 1), (width // 2, height // 3), (123, 456)):
        rfb.pointer(x, y)
        wait_for(lambda: max(abs(a - b) for a, b in zip(pointer.now(), (x, y))) <= 1, 3,
                 lambda: "VNC pointer %d,%d of %dx%d: X has %s" % (x, y, width, height, pointer.now()))
    counts("reset")
    rfb.pointer(100, 100, 1)
    wait_for(lambda: counts()["press"].get("272"), 3, lambda: "press: %s" % counts())
    rfb.pointer(100, 100, 0)
    wait_for(lambda: counts()["release"].get("272"), 3, lambda: "release: %s" % counts())
    rfb.pointer(100, 100, 8)
    rfb.pointer(100, 100, 0)
    wait_for(lambda: counts()["wheel"] == 1, 3, lambda: "wheel: %s" % counts())


@machine(**VNC)
def test_vnc_text_to_guest(m):
    rfb, _ = connect(m)
    text = "vom VNC-Klienten \u2713".encode()
    rfb.offer(text)
    m.guest.until("timeout 3 xclip -selection clipboard -o -t TARGETS | grep -qx UTF8_STRING", 10, "alice")
    got = m.guest.run("timeout 10 xclip -selection clipboard -o", user="alice", raw=True)
    if got != text:  # without the zero by which VNC ends it, and which QEMU hands on
        raise Failure("got %r" % got)


@machine(**VNC)
def test_vnc_text_from_guest(m):
    rfb, _ = connect(m)
    text = "aus dem Gast \u2713".encode()
    m.guest.run("xclip -selection clipboard -i", user="alice", input=text)
    try:
        while not rfb.offers.get(timeout=10):
            pass
    except queue.Empty:
        raise Failure("the VNC client heard of no text")
    got = rfb.fetch()
    if got != text:
        raise Failure("got %r" % got)
