#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A GTK program with the clipboard: gtkclip.py copy TEXT, or gtkclip.py paste. It acts when a key is pressed in it.

Prints "ready" when it has the keyboard. With copy it then prints "owner" and stays, with paste it prints the text.
"""

import sys

import gi

gi.require_version("Gdk", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, Gtk

window = Gtk.Window()
clipboard = Gtk.Clipboard.get(Gdk.SELECTION_CLIPBOARD)


def say(line):
    print(line, flush=True)


def on_text(_clipboard, text):
    say(text)
    Gtk.main_quit()


def on_key(*_):
    if sys.argv[1] == "paste":
        clipboard.request_text(on_text)
    else:
        clipboard.set_text(sys.argv[2], -1)
        say("owner")


window.connect("focus-in-event", lambda *_: say("ready"))
window.connect("key-release-event", on_key)
window.show()
Gtk.main()
