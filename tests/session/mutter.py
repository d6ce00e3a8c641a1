# SPDX-License-Identifier: LGPL-2.1-or-later
"""A foreign program with Mutter's clipboard: by a remote desktop session of its own, so that it needs no focus."""

import os
import threading
import time

from gi.repository import GLib

import sessiond as s

REMOTE, REMOTE_PATH = "org.gnome.Mutter.RemoteDesktop", "/org/gnome/Mutter/RemoteDesktop"
REMOTE_SESSION = REMOTE + ".Session"


class Program:
    def __init__(self, mutter):
        self.bus = mutter.bus.connect()
        self.path = self.call(REMOTE_PATH, REMOTE, "CreateSession")[0]
        self.offered = None  # MIME types in the clipboard, [] for an owner without any, None for no owner
        self.ours = False
        self.changes = 0
        self.content = {}  # by MIME type: bytes, or a function that gets the descriptor
        self.asked = []
        self.bus.signal_subscribe(None, REMOTE_SESSION, None, self.path, None, 0, self.on_signal)
        self.call(self.path, REMOTE_SESSION, "EnableClipboard", GLib.Variant("(a{sv})", ({},)))

    def call(self, path, interface, method, arguments=None):
        return self.bus.call_sync(REMOTE, path, interface, method, arguments, None, 0, 10000, None).unpack()

    def descriptor(self, method, arguments):
        reply, fds = self.bus.call_with_unix_fd_list_sync(REMOTE, self.path, REMOTE_SESSION, method, arguments, None, 0,
                                                          10000, None, None)
        return fds.get(reply.unpack()[0])

    def on_signal(self, _bus, _sender, _path, _interface, name, arguments):
        if name == "SelectionOwnerChanged":
            options = arguments.unpack()[0]
            types = options.get("mime-types")
            self.offered = types[0] if isinstance(types, tuple) else types
            self.ours = options.get("session-is-owner", False)
            self.changes += 1
        elif name == "SelectionTransfer":
            mime, serial = arguments.unpack()
            self.asked.append(mime)
            try:
                fd = self.descriptor("SelectionWrite", GLib.Variant("(u)", (serial,)))
            except GLib.Error:
                return  # it was overtaken
            threading.Thread(target=self.write, args=(fd, self.content.get(mime, b"")), daemon=True).start()

    def write(self, fd, content):
        if callable(content):
            content(fd)
            return
        try:
            with os.fdopen(fd, "wb") as pipe:
                pipe.write(content)
        except BrokenPipeError:
            pass  # Mutter's clipboard manager takes no more than the beginning

    def copy(self, content):
        """Own the clipboard with a dictionary of contents; waits until it is."""
        self.content = content
        options = {"mime-types": GLib.Variant("as", list(content))}
        self.call(self.path, REMOTE_SESSION, "SetSelection", GLib.Variant("(a{sv})", (options,)))
        s.until(lambda: self.ours, "the clipboard to be ours")

    def clear(self):
        self.call(self.path, REMOTE_SESSION, "SetSelection", GLib.Variant("(a{sv})", ({},)))

    def wait_offer(self, mime):
        s.until(lambda: not self.ours and mime in (self.offered or ()), "an offer of " + mime)

    def open(self, mime):
        """A pipe to read from. Mutter may not have noticed yet that the one before is done, and tells nobody when."""
        end = time.monotonic() + s.LIMIT
        while True:
            try:
                return self.descriptor("SelectionRead", GLib.Variant("(s)", (mime,)))
            except GLib.Error as error:
                if "in parallel" not in error.message or time.monotonic() > end:
                    raise
                time.sleep(0.005)

    def paste(self, mime, fold=None):
        """The content, or with `fold` what that made of it, called with each piece."""
        fd = self.open(mime)
        pieces, done = [], []

        def read():
            with os.fdopen(fd, "rb", buffering=0) as pipe:
                os.set_blocking(pipe.fileno(), True)
                while True:
                    data = pipe.read(1 << 18)
                    if not data:
                        break
                    (fold or pieces.append)(data)
            done.append(True)
        threading.Thread(target=read, daemon=True).start()
        s.until(lambda: done, "the end of the paste")
        return b"".join(pieces)

    def start(self):
        """Become a remote session with a keyboard, which windows need for the focus."""
        self.call(self.path, REMOTE_SESSION, "Start")

    def press(self, key):
        """A key as in linux/input-event-codes.h."""
        for down in True, False:
            self.call(self.path, REMOTE_SESSION, "NotifyKeyboardKeycode", GLib.Variant("(ub)", (key, down)))

    def close(self):
        self.bus.close_sync(None)
