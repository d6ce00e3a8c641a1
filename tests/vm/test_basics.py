# SPDX-License-Identifier: LGPL-2.1-or-later
"""What works with any agent: the first things a user tries."""

import hashlib
import json
import os

from harness import *


def evdev_counts(probe):
    return json.loads(probe.ask("counts"))


def test_agent_connects(m):
    caps = m.client.wait_agent()["caps"]
    for cap in (0, 1, 5, 6):  # mouse, monitors, clipboard by demand, selections
        if cap not in caps:
            raise Failure("capability %d is missing in %s" % (cap, caps))


def test_pointer_moves(m):
    name = m.agent.pointer
    evdev = m.probe("evdev '%s'" % name)
    pointer = m.probe("pointer", "alice")
    m.client.position(100, 100)
    wait_for(lambda: abs(int(pointer.ask("?").split()[-1]) - 100) <= 1, 5, "X pointer at 100,100")
    m.client.position(400, 300)

    def there():
        words = [line for line in iter(lambda: pointer.line(0.1), None) if not line.startswith("=")]
        return words and max(abs(int(words[-1].split()[0]) - 400), abs(int(words[-1].split()[1]) - 300)) <= 1
    wait_for(there, 5, "X pointer at 400,300")
    if evdev_counts(evdev)[name]["motions"] < 2:
        raise Failure("no motion on evdev: %s" % evdev_counts(evdev))


def test_clipboard_text_to_guest(m):
    text = "h\u00e4llo \u4e16\u754c \U0001f600\nzweite Zeile".encode()
    mark = m.client.mark()
    m.client.offer(text)
    m.guest.until("timeout 3 xclip -selection clipboard -o -t TARGETS | grep -q UTF8_STRING", user="alice")
    if len([e for e in m.client.events[mark:] if e["event"] == "request"]):
        raise Failure("the data moved before anyone pasted")
    got = m.guest.run("timeout 10 xclip -selection clipboard -o", user="alice", raw=True)
    if got != text:
        raise Failure("got %r" % got)


def test_clipboard_text_to_client(m):
    text = "gr\u00fc\u00dfe aus dem Gast\n".encode()
    mark = m.client.mark()
    m.guest.run("xclip -selection clipboard -i", user="alice", input=text)
    m.client.wait_event("grab", mark, selection=m.client.CLIPBOARD)
    got = m.client.fetch(m.client.TEXT)
    if got != text:
        raise Failure("got %r" % got)


def test_file_transfer(m):
    data = os.urandom(1 << 20)
    path = os.path.join(m.vm.dir, "one megabyte.bin")
    with open(path, "wb") as file:
        file.write(data)
    m.client.command("files", path, timeout=60)
    got = m.guest.sha256("/home/alice/Downloads/one megabyte.bin")
    if got != hashlib.sha256(data).hexdigest():
        raise Failure("the file differs")
    m.guest.run("rm '/home/alice/Downloads/one megabyte.bin'")
