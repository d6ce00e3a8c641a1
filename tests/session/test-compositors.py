#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same questions to each Wayland compositor that is installed: the cells of docs/compatibility.md.

Programs that are not ours say what it offers, own and read its selections, set a scale, and tell where its outputs are.
"""

import os
import re
import struct

from gi.repository import GLib

import compositor as c
import displaycase
import mutter
import results
import sessiond as s
import waylandinfo

LARGE = 50 * 1000 * 1000
CLIPBOARD, PRIMARY = 0, 1
TEXT, MIME = 1, "text/plain;charset=utf-8"  # VD_AGENT_CLIPBOARD_UTF8_TEXT
PATIENCE = 10  # seconds until a cell has failed; there are many
SIZE = 1000, 620  # no usual mode; KWin makes multiples of 8 only
CUSTOM_MODES = ["zwlr_output_manager_v1", "kde_output_management_v2 18"]
DATA_CONTROL = ["ext_data_control_manager_v1", "zwlr_data_control_manager_v1", "org.gnome.Mutter.RemoteDesktop"]
OUTPUT_MANAGEMENT = ["zwlr_output_manager_v1", "kde_output_management_v2", "org.gnome.Mutter.DisplayConfig"]
# With any of these the feature can be.
NEEDS = {
    "clipboard": DATA_CONTROL,
    "primary": ["ext_data_control_manager_v1", "zwlr_data_control_manager_v1 2", "org.gnome.Mutter.RemoteDesktop"],
    "50 MB": DATA_CONTROL,
    "layout": ["wl_output"],
    "resize": OUTPUT_MANAGEMENT,
    "second output": OUTPUT_MANAGEMENT,
    "scale": ["wl_output"],
}


class WantsCard(c.Compositor):
    """One that in some or all versions cannot be headless without a graphics card."""

    excuse = None  # pattern

    def find_socket(self):
        if self.process.poll() is not None:
            lines = [line for line in self.text().splitlines() if re.search(self.excuse, line)]
            if lines:
                raise results.Unable(re.search(self.excuse, lines[-1])[0])
        return super().find_socket()


class Wayfire(WantsCard, c.Wlroots):
    program, name = "wayfire", "Wayfire"
    excuse = "Failed to get DRM file descriptor"

    def command(self):
        path = os.path.join(self.directory, "wayfire.ini")
        with open(path, "w", encoding="utf-8") as file:
            file.write("[core]\nplugins =\nxwayland = false\n")
        return "wayfire", "-c", path


class Hyprland(WantsCard):
    program, name = "Hyprland", "Hyprland"
    excuse = r"CBackend::create\(\) failed"

    def command(self):
        return ("Hyprland",)

    def variables(self):
        return {"HYPRLAND_NO_CRASHREPORTER": "1"}


class ScaledWeston(c.Weston):
    def command(self):
        return (*super().command(), "--scale=2")


class GnomeShell(c.Mutter):
    program, name = "gnome-shell", "GNOME Shell"

    def command(self):
        return ("gnome-shell", *super().command()[1:])

    def variables(self):
        """It does not start without a system bus, but with one on which nobody is."""
        return {"DBUS_SYSTEM_BUS_ADDRESS": self.bus.address}

    def started(self):
        super().started()
        s.until(lambda: "GNOME Shell started" in self.text(), "the shell")


class Case(displaycase.Case):
    """The daemon in the session of a compositor, and a client of SPICE that answers each request for its selections."""

    def __init__(self, desktop):
        super().__init__(desktop, session=getattr(desktop, "bus", None))
        self.control = self.agent.control
        self.content, self.serial = {}, {CLIPBOARD: 0, PRIMARY: 0}  # by selection
        self.asked, self.answering = [], False
        self.source = GLib.unix_fd_add_full(GLib.PRIORITY_DEFAULT, self.control.sock.fileno(),
                                            GLib.IO_IN | GLib.IO_HUP, self.serve)

    def __exit__(self, *error):
        GLib.source_remove(self.source)
        super().__exit__(*error)

    # Selections.

    def offer(self, selection, text):
        self.content[selection] = text
        self.control.send(s.message(s.GRAB, struct.pack("<B3xII", selection, self.serial[selection], TEXT)))
        self.serial[selection] += 1

    def serve(self, *_):
        """Called by the main loop, also while an answer is on its way: a clipboard manager may ask beside others."""
        self.control.read()
        self.asked += [body for kind, body in self.control.messages if kind == s.REQUEST]
        self.control.messages = [message for message in self.control.messages if message[0] != s.REQUEST]
        if not self.answering:
            self.answering = True
            while self.asked:
                selection, kind = struct.unpack("<B3xI", self.asked.pop(0))
                assert kind == TEXT, kind
                answer = struct.pack("<B3xI", selection, TEXT) + self.content[selection]
                self.control.send(s.message(s.CLIPBOARD, answer))
            self.answering = False
        return not self.control.closed

    def wait_grab(self, selection):
        owner = None
        while owner != selection:
            owner, self.serial[selection] = struct.unpack_from("<B3xI", self.control.take(s.GRAB))
        self.serial[selection] += 1

    def fetch(self, selection):
        self.control.send(s.message(s.REQUEST, struct.pack("<B3xI", selection, TEXT)))
        body = self.control.take(s.CLIPBOARD)
        assert struct.unpack_from("<B3xI", body) == (selection, TEXT), body[:8]
        return body[8:]

    # Displays.

    def wait_layout(self, right, what):
        """Until the foreign program sees the right outputs, and the pointer's daemon has been told the same."""
        state = [None, None]

        def same():
            state[:] = self.outputs(), sorted(self.agent.layouts[-1])
            return right(state[0]) and state[0] == state[1]
        try:
            s.until(same, what, PATIENCE)
        except AssertionError as error:
            raise AssertionError("%s; seen %r, told %r" % (error, *state)) from None

    def wait_heads(self, heads):
        """The same for all outputs, as in ask(), at scale 1."""
        self.wait_layout(lambda seen: [output[1:5] for output in seen] == heads, "outputs %r" % heads)


# Selections, as programs have them that are not ours.

class WlClipboard:
    """Selections by data control."""

    def __init__(self, desktop, selection):
        self.desktop = desktop
        self.option = ["--primary"] if selection == PRIMARY else []

    def has_text(self):
        return MIME in self.desktop.run("wl-paste", "--list-types", *self.option, check=False).split()

    def paste(self):
        return self.desktop.run("wl-paste", "--no-newline", "--type", MIME, *self.option, text=False)

    def copy(self, text):
        self.desktop.run("wl-copy", "--type", MIME, *self.option, input=text)


class Xclip:
    """Selections of Xwayland."""

    def __init__(self, desktop, selection):
        self.desktop = desktop
        self.words = ["env", *("%s=%s" % pair for pair in desktop.x_environment().items()),
                      "xclip", "-selection", ("clipboard", "primary")[selection]]
        self.has_text()  # Xwayland is started for the first that comes

    def has_text(self):
        return "UTF8_STRING" in self.desktop.run(*self.words, "-o", "-target", "TARGETS", check=False).split()

    def paste(self):
        return self.desktop.run(*self.words, "-o", "-target", "UTF8_STRING", text=False)

    def copy(self, text):
        self.desktop.run(*self.words, "-i", "-target", "UTF8_STRING", input=text)


class RemoteDesktop:
    """The clipboard of Mutter, as a remote desktop has it."""

    def __init__(self, desktop, _selection):
        self.program = mutter.Program(desktop)

    def has_text(self):
        return not self.program.ours and MIME in (self.program.offered or ())

    def paste(self):
        return self.program.paste(MIME)

    def copy(self, text):
        self.program.copy({MIME: text})


def equal(pasted, copied):
    """With a message that can be read."""
    assert pasted == copied, "pasted were %d bytes, not %d; they begin %r" % (len(pasted), len(copied), pasted[:20])


def both_ways(case, selection, host, guest):
    tools = WlClipboard
    if isinstance(case.desktop, c.Mutter):
        tools = Xclip if selection == PRIMARY else RemoteDesktop
    tools = tools(case.desktop, selection)
    case.offer(selection, host)
    s.until(tools.has_text, "the host's offer", PATIENCE)
    equal(tools.paste(), host)
    tools.copy(guest)
    case.wait_grab(selection)
    equal(case.fetch(selection), guest)


def clipboard(case):
    both_ways(case, CLIPBOARD, "to the guest: grün\n".encode(), "to the host: blåbær\n".encode())


def primary(case):
    both_ways(case, PRIMARY, "to the guest: grün\n".encode(), "to the host: blåbær\n".encode())


def large(case):
    both_ways(case, CLIPBOARD, os.urandom(LARGE // 2).hex().encode(), os.urandom(LARGE // 2).hex().encode())


# Displays.

def layout(case):
    count = 1 if isinstance(case.desktop, c.Weston) else 2
    case.wait_layout(lambda seen: len(seen) == count, "%d outputs" % count)


def resize(case):
    first, second = case.outputs()
    if not results.found(offered(case.desktop), CUSTOM_MODES):
        raise results.Unable("each headless output has one mode: %s" % ", ".join(
            "%s %dx%d" % output[:3] for output in (first, second)))
    heads = [(*SIZE, 0, 0), (*second[1:3], SIZE[0], 0)]
    assert case.ask(*heads) == displaycase.DONE, "refused"
    case.wait_heads(heads)


def second_output(case):
    first, second = case.outputs()
    heads = [(*first[1:3], 0, 0), (*second[1:3], first[1], 0)]
    if case.ask(heads[0]) != displaycase.DONE:
        try_to_turn_off(case.desktop, second[0])
    case.wait_heads(heads[:1])
    assert case.ask(*heads) == displaycase.DONE, "refused"
    case.wait_heads(heads)


def try_to_turn_off(desktop, name):
    """What our program could not do, another may not be able to either: headless outputs of wlroots 0.15 stay on."""
    said = desktop.run("sh", "-c", "wlr-randr --output %s --off 2>&1" % name, check=False).strip()
    if said and len(waylandinfo.outputs(desktop.environment)) == 2:
        raise results.Unable("wlr-randr --off: " + said)


def scale(case):
    set_scale(case.desktop, case.outputs())
    case.wait_layout(lambda seen: any(output[1:3] != output[5:7] for output in seen), "a scaled layout")


def set_scale(desktop, outputs):
    """By a program that is not ours. Weston has a scale from the start."""
    name = outputs[0][0]
    if isinstance(desktop, c.Sway):  # of its first versions, wlr-randr does not understand headless outputs
        desktop.run("swaymsg", "output", name, "scale", "1.5")
    elif isinstance(desktop, c.Wlroots):
        desktop.run("wlr-randr", "--output", name, "--scale", "1.5")
    elif isinstance(desktop, c.KWin):
        desktop.run("env", "QT_QPA_PLATFORM=wayland", "KSCREEN_BACKEND_INPROCESS=1", "kscreen-doctor",
                    "output.%s.scale.1.5" % name)
    elif isinstance(desktop, c.Mutter):
        desktop.configure((name, 0, 0, 2, 0), (outputs[1][0], outputs[0][1] // 2, 0, 1, 0))


CASES = {"clipboard": clipboard, "primary": primary, "50 MB": large, "layout": layout, "resize": resize,
         "second output": second_output, "scale": scale}


def start(kind, feature):
    if kind is c.Weston:
        return ScaledWeston() if feature == "scale" else kind()
    if issubclass(kind, c.Mutter):  # at sizes that have fractional scales
        return kind(monitors=((2560, 1600), (1024, 768)), logical=True)
    return kind(outputs=2)


def offered(desktop):
    """{name: version} of interfaces, and of names on the session bus."""
    found = waylandinfo.interfaces(desktop.environment)
    if "DBUS_SESSION_BUS_ADDRESS" in desktop.environment:
        names = desktop.run("gdbus", "call", "--session", "--dest=org.freedesktop.DBus", "--object-path=/",
                            "--method=org.freedesktop.DBus.ListNames")
        found.update((name, 1) for name in re.findall(r"'([A-Za-z][\w.-]*)'", names))
    return found


def case(kind, feature):
    def run():
        with Case(start(kind, feature)) as case:
            found = offered(case.desktop)
            if not results.found(found, NEEDS[feature]):
                return results.absent(case.desktop, feature, found, NEEDS[feature])
            with results.cell(case.desktop, feature):
                CASES[feature](case)
    run.__name__ = ("%s_%s" % (kind.name, feature)).replace(" ", "_")
    return run


def cases(kind):
    """None for one that is not there, or does not start here."""
    why = "not installed"
    if kind.installed():
        try:
            if issubclass(kind, WantsCard):
                with start(kind, "layout"):
                    pass
            return [case(kind, feature) for feature in CASES]
        except results.Unable as error:
            why = str(error)
            results.not_run(kind, why)
    print("session/compositors-%s: skip (%s)" % (kind.name, why))
    return []


s.main("compositors", sum(map(cases, (c.Sway, c.Labwc, Wayfire, Hyprland, c.Weston, c.KWin, c.Mutter, GnomeShell)), []))
