# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clipboard and primary selection, both ways, small and large, and with owners that do not answer."""

import hashlib
import os
import struct
import time
import zlib

from harness import *

LARGE = 50 << 20


def sha(data):
    return hashlib.sha256(data).hexdigest()


def png(width=64, height=64):
    """A valid picture with noise in it, so that nothing can have converted it unseen."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + os.urandom(3 * width) for _ in range(height))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + \
        chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def copy(m, data, kind="UTF8_STRING", selection="clipboard", user="alice"):
    """A program of the user takes the selection; returns the client's grab event."""
    mark = m.client.mark()
    m.guest.run(m.guest.desktop.copy(selection, kind), user=user, input=data, timeout=60)
    return m.client.wait_event("grab", mark, selection=1 if selection == "primary" else 0)


def offer(m, data, kind, target, selection="clipboard", user="alice"):
    """The client takes the selection; waits until programs in the guest see that."""
    number = 1 if selection == "primary" else 0
    m.client.offer(data, kind, number)
    m.guest.until("%s | grep -qx '%s'" % (m.guest.desktop.targets(selection), target), 10, user)


def paste(m, kind="UTF8_STRING", selection="clipboard", user="alice", timeout=20):
    return m.guest.run("timeout %d %s" % (timeout, m.guest.desktop.paste(selection, kind)), user=user, raw=True,
                       timeout=timeout + 10)


def same(got, wanted):
    if got != wanted:
        raise Failure("%d bytes came, %d wanted: %r" % (len(got or b""), len(wanted), (got or b"")[:80]))


def test_clipboard_png_to_guest(m):
    data = png()
    offer(m, data, m.client.PNG, "image/png")
    same(paste(m, "image/png"), data)


def test_clipboard_png_to_client(m):
    data = png()
    event = copy(m, data, "image/png")
    if m.client.PNG not in event["types"]:
        raise Failure("no PNG in %s" % event)
    same(m.client.fetch(m.client.PNG), data)


def test_clipboard_other_images(m):
    for kind, target in ((m.client.BMP, "image/bmp"), (m.client.TIFF, "image/tiff"), (m.client.JPEG, "image/jpeg")):
        data = os.urandom(3000)
        offer(m, data, kind, target)
        same(paste(m, target), data)
        data = os.urandom(3000)
        event = copy(m, data, target)
        if kind not in event["types"]:
            raise Failure("%s is not announced: %s" % (target, event))
        same(m.client.fetch(kind), data)


@ours_only
def test_clipboard_text_targets(m):
    """Old programs ask for STRING (Latin-1), TEXT or COMPOUND_TEXT, new ones for a MIME type."""
    text = "caf\u00e9"
    offer(m, text.encode(), m.client.TEXT, "UTF8_STRING")
    for target, wanted in (("UTF8_STRING", text.encode()), ("text/plain;charset=utf-8", text.encode()),
                           ("STRING", text.encode("latin-1"))):
        same(paste(m, target), wanted)
    for target in ("TEXT", "COMPOUND_TEXT"):
        got = paste(m, target)
        if b"caf" not in got:
            raise Failure("%s gave %r" % (target, got))


def test_primary_to_guest(m):
    offer(m, b"primary for the guest", m.client.TEXT, "UTF8_STRING", "primary")
    same(paste(m, selection="primary"), b"primary for the guest")


def test_primary_to_client(m):
    copy(m, b"primary for the client", selection="primary")
    same(m.client.fetch(m.client.TEXT, m.client.PRIMARY), b"primary for the client")


def test_clipboard_and_primary_are_apart(m):
    offer(m, b"one", m.client.TEXT, "UTF8_STRING")
    offer(m, b"two", m.client.TEXT, "UTF8_STRING", "primary")
    same(paste(m), b"one")
    same(paste(m, selection="primary"), b"two")


def test_clipboard_empty_text(m):
    """Nothing is an answer as well."""
    m.client.offer(b"")
    m.guest.until("timeout 3 xclip -selection clipboard -o -t TARGETS | grep -qx UTF8_STRING", 10, "alice")
    start = time.monotonic()
    m.guest.run("timeout 20 xclip -selection clipboard -o", user="alice", check=False, timeout=30)
    if time.monotonic() - start > 10:
        raise Failure("pasting an empty text took %.1f s" % (time.monotonic() - start))


def test_clipboard_released_by_client(m):
    offer(m, b"short-lived", m.client.TEXT, "UTF8_STRING")
    m.client.command("ungrab", 0)
    m.guest.until("! timeout 3 xclip -selection clipboard -o -t TARGETS | grep -qx UTF8_STRING", 10, "alice")


def test_clipboard_released_by_guest(m):
    mark = m.client.mark()
    owner = m.guest.start("xclip -quiet -selection clipboard -i", user="alice")
    owner.write(b"short-lived")
    owner.close()
    m.client.wait_event("grab", mark, selection=0)
    owner.kill()
    m.client.wait_event("release", mark, selection=0)


def test_clipboard_goes_with_the_client(m):
    offer(m, b"of a client that leaves", m.client.TEXT, "UTF8_STRING")
    m.client.command("disconnect")
    m.guest.until("! timeout 3 xclip -selection clipboard -o -t TARGETS | grep -qx UTF8_STRING", 10, "alice")


def test_clipboard_of_guest_and_new_client(m):
    """Who connects keeps what he has copied to paste it here; what is copied in the guest from then on reaches him."""
    copy(m, b"kept in the guest")
    mark = m.client.mark()
    m.reconnect()
    time.sleep(2)
    if any(event["event"] == "grab" for event in m.client.events[mark:]):
        raise Failure("the guest took the new client's clipboard")
    same(m.guest.run("timeout 5 xclip -selection clipboard -o", user="alice", raw=True), b"kept in the guest")
    copy(m, b"new in the guest")
    same(m.client.fetch(), b"new in the guest")


def test_clipboard_many_changes(m):
    """The last of many quick changes wins on both sides."""
    for step in range(30):
        m.client.offer(b"step %d" % step)
    m.guest.until("[ \"$(timeout 5 xclip -selection clipboard -o)\" = 'step 29' ]", 15, "alice")
    m.guest.run("for i in $(seq 30); do echo -n guest $i | xclip -selection clipboard -i; done", user="alice",
                timeout=60)
    wait_for(lambda: m.client.fetch() == b"guest 30", 10, "the client has the last of the guest's texts", 0.3)


def test_clipboard_large_to_guest(m):
    data = os.urandom(LARGE // 2).hex().encode()
    offer(m, data, m.client.TEXT, "UTF8_STRING")
    start = time.monotonic()
    got = m.guest.run("timeout 100 %s | sha256sum" % m.guest.desktop.paste(), user="alice", timeout=110).split()[0]
    if got != sha(data):
        raise Failure("50 MB of text arrived changed, after %.1f s" % (time.monotonic() - start))


def test_clipboard_large_to_client(m):
    text = os.urandom(LARGE // 2).hex().encode()
    m.guest.push(text, "/tmp/large")
    mark = m.client.mark()
    m.guest.run(m.guest.desktop.copy() + " </tmp/large", user="alice", timeout=60)
    m.client.wait_event("grab", mark, selection=0, timeout=30)
    data = m.client.fetch(timeout=120)
    m.guest.run("rm /tmp/large")
    if data != text:
        raise Failure("50 MB of text arrived changed: %d bytes" % len(data or b""))


def test_pointer_during_large_paste(m):
    """Pointer and bulk share the port; the pointer may lag but must not stand still."""
    data = os.urandom(LARGE // 2).hex().encode()
    offer(m, data, m.client.TEXT, "UTF8_STRING")
    counts = m.evdev()
    counts("reset")
    paster = m.guest.start("timeout 100 %s | sha256sum" % m.guest.desktop.paste(), user="alice")
    longest, last, motions, step = 0.0, time.monotonic(), 0, 0
    while paster.status is None and step < 3000:
        step += 1
        m.client.position(100 + step % 500, 100 + step % 300)
        now = counts()["motions"]
        if now != motions:
            longest = max(longest, time.monotonic() - last)
            motions, last = now, time.monotonic()
        time.sleep(0.02)
    if paster.wait(60) != 0 or paster.out.split()[0].decode() != sha(data):
        raise Failure("the paste failed: " + paster.describe())
    if longest > 1.5 or motions < 10:
        raise Failure("%d motions, the longest pause %.2f s" % (motions, longest))


@ours_only
def test_clipboard_silent_client(m):
    """The client owns the clipboard and never answers: the program that pastes must not hang."""
    m.client.offer(None)
    m.guest.until("timeout 3 xclip -selection clipboard -o -t TARGETS | grep -qx UTF8_STRING", 10, "alice")
    start = time.monotonic()
    if m.guest.run("timeout 60 xclip -selection clipboard -o", user="alice", check=False, timeout=70):
        raise Failure("text came from nowhere")
    if time.monotonic() - start > 31:
        raise Failure("the program waited %.0f s" % (time.monotonic() - start))
    offer(m, b"answers again", m.client.TEXT, "UTF8_STRING")
    same(paste(m), b"answers again")


@ours_only
def test_clipboard_silent_guest(m):
    """A stopped program owns the guest's clipboard: the client must get an answer all the same."""
    mark = m.client.mark()
    owner = m.guest.start("exec xclip -quiet -selection clipboard -i", user="alice")
    owner.write(b"never seen")
    owner.close()
    m.client.wait_event("grab", mark, selection=0)
    owner.kill(19)  # SIGSTOP
    try:
        start = time.monotonic()
        if m.client.fetch(timeout=60):
            raise Failure("data came from a stopped program")
        if time.monotonic() - start > 31:
            raise Failure("the client waited %.0f s" % (time.monotonic() - start))
    finally:
        owner.kill(9)
    copy(m, b"answers again")
    same(m.client.fetch(), b"answers again")


def test_clipboard_no_ping_pong(m):
    """Taking over a selection must not make the other side take it back."""
    offer(m, b"once", m.client.TEXT, "UTF8_STRING")
    mark = m.client.mark()
    time.sleep(2)
    seen = [event for event in m.client.events[mark:] if event["event"] in ("grab", "release", "request")]
    if seen:
        raise Failure("unasked: %s" % seen[:5])
    copy(m, b"twice")
    mark = m.client.mark()
    time.sleep(2)
    seen = [event for event in m.client.events[mark:] if event["event"] in ("grab", "release", "request")]
    if seen:
        raise Failure("unasked: %s" % seen[:5])
