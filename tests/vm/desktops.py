# SPDX-License-Identifier: LGPL-2.1-or-later
"""The desktops of the guest images: how a user's session begins, and how tests reach it by programs that are not ours."""

import collections
import json

# An output that is on: position, size of the mode in pixels, scale.
Output = collections.namedtuple("Output", "place mode scale")


class Desktop:
    """What follows is of a session's user, but where it says otherwise.

    name        that of the image
    ttys        users and their consoles
    shown       a command that succeeds once the session is on screen
    end_others  a command of root that ends all sessions but alice's
    patience    seconds until it is on screen at the latest
    slow        how many times longer than a small desktop it may take for things, as it has no graphics hardware here
    memory      of the guest, in MB
    """

    ttys = {}
    end_others = "true"
    patience = 90
    slow = 1
    memory = 1024

    def cmdline(self, unused_user):
        """Words for the kernel that bring this user's session up at boot."""
        return ""

    def start(self, unused_user):
        """A command of root that starts the session if it does not run."""
        return "true"

    def environment(self, user):
        """Text that makes a shell of the user one of the session."""
        raise NotImplementedError


class Openbox(Desktop):
    """On Xorg. A unit per user opens the session, on tty7 with display :0 and so on."""

    name = "openbox"
    ttys = {"alice": 7, "bob": 8, "greeter": 9}
    shown = "xprop -root _NET_SUPPORTING_WM_CHECK | grep -q window"
    end_others = "systemctl stop 'session-bob@*' 'session-greeter@*'"

    def cmdline(self, user):
        return "systemd.wants=session-%s@%d.service" % (user, self.ttys[user])

    def start(self, user):
        return "systemctl start session-%s@%d.service" % (user, self.ttys[user])

    def environment(self, user):
        return "export DISPLAY=:%d" % (self.ttys[user] - 7)

    # Commands with a selection, "clipboard" or "primary": what is copied comes from standard input.

    def copy(self, selection="clipboard", target="UTF8_STRING"):
        return "xclip -selection %s -i -t %s" % (selection, target)

    def paste(self, selection="clipboard", target="UTF8_STRING"):
        return "xclip -selection %s -o -t %s" % (selection, target)

    def targets(self, selection="clipboard"):
        """What it can be pasted as, one a line."""
        return "timeout 3 xclip -selection %s -o -t TARGETS" % selection


class Wayland(Desktop):
    """gaps: outputs need not touch; sizes: two for outputs that get each of the scales; compositor: its name and program;
    locks: what its own lock, which logind can ask for and knows of, keeps out; margin: what of an output's right and lower
    edge it keeps the pointer out of, in its own units; turns: it draws what an output that is turned shows."""

    _OPTION = {"clipboard": "", "primary": " -p"}
    gaps = True
    locks = ()
    margin = 0
    turns = True
    scales = 1.25, 1.5, 2, 1
    sizes = (1280, 800), (1440, 900)

    def environment(self, user):
        # Sockets of a compositor that was killed stay behind, but the name of the first one is used again.
        return "export WAYLAND_DISPLAY=$(cd $XDG_RUNTIME_DIR && ls | grep -xm1 'wayland-[0-9]*')"

    def copy(self, selection="clipboard", target="UTF8_STRING"):
        return "wl-copy%s -t '%s'" % (self._OPTION[selection], target)

    def paste(self, selection="clipboard", target="UTF8_STRING"):
        return "wl-paste%s -n -t '%s'" % (self._OPTION[selection], target)

    def targets(self, selection="clipboard"):
        return "timeout 3 wl-paste%s -l" % self._OPTION[selection]

    def outputs(self, guest):
        """Output of each that is on, by name."""
        raise NotImplementedError

    def arrange(self, guest, outputs):
        """Give all outputs that are on a scale, a rotation in degrees and a place: name → (scale, turn, x, y)."""
        raise NotImplementedError


class Sway(Wayland):
    """Without a display manager: the login shell of a console becomes the session. logind starts the login of tty2 when it
    is first switched to."""

    name = "sway"
    compositor = "sway", "sway"
    ttys = {"alice": 1, "bob": 2}
    shown = "swaymsg -t get_version"
    end_others = "systemctl stop getty@tty2"

    def start(self, user):
        return "busybox chvt %d" % self.ttys[user]

    def environment(self, user):
        return super().environment(user) + " SWAYSOCK=$(ls $XDG_RUNTIME_DIR/sway-ipc.*.$(pgrep -xu $USER sway).sock)"

    def outputs(self, guest):
        found = json.loads(guest.run("swaymsg -rt get_outputs", user="alice"))
        return {output["name"]: Output((output["rect"]["x"], output["rect"]["y"]),
                                       (output["current_mode"]["width"], output["current_mode"]["height"]),
                                       output["scale"]) for output in found if output["active"]}

    def arrange(self, guest, outputs):
        guest.run("swaymsg '%s'" % "; ".join("output %s scale %s transform %s pos %d %d" % (name, scale, turn, x, y)
                                             for name, (scale, turn, x, y) in outputs.items()), user="alice")


class Uwsm(Sway):
    """The same, but for a compositor that is a unit of the user's systemd, and belongs to no session of logind."""

    name = "uwsm"
    compositor = "sway by UWSM", "sway"
    ttys = {"alice": 1}
    end_others = "true"


class Gnome(Wayland):
    """gdm logs alice in. Its outputs must touch, and scales must give whole numbers that are not too small."""

    name = "gnome"
    compositor = "GNOME Shell", "gnome-shell"
    # The overview that a session begins with would keep the pointer from windows.
    shown = ("systemctl --user -q is-active graphical-session.target && "
             "busctl --user set-property org.gnome.Shell /org/gnome/Shell org.gnome.Shell OverviewActive b false")
    patience = 400
    slow = 6
    memory = 3072
    gaps = False
    locks = "files", "clipboard"
    sizes = (1680, 1050), (1920, 1080)

    _CALL = ("gdbus call --session --dest org.gnome.Mutter.DisplayConfig --object-path /org/gnome/Mutter/DisplayConfig "
             "--method org.gnome.Mutter.DisplayConfig.")

    def outputs(self, guest):
        import gi.repository.GLib as GLib
        text = guest.run(self._CALL + "GetCurrentState", user="alice")
        _, monitors, logical, _ = GLib.Variant.parse(None, text, None, None).unpack()
        modes = {monitor[0]: mode[1:3] for monitor, found, _ in monitors for mode in found if mode[6].get("is-current")}
        return {monitor[0]: Output((x, y), modes[monitor[0]], scale)
                for x, y, scale, _, _, group, _ in logical for monitor in group}

    def arrange(self, guest, outputs):
        words = ["--logical-monitor --monitor %s --scale %s --transform %s --x %d --y %d%s" %
                 (name, scale, turn or "normal", x, y, "" if number else " --primary")
                 for number, (name, (scale, turn, x, y)) in enumerate(outputs.items())]
        guest.run("gdctl set " + " ".join(words), user="alice", timeout=60)


class Plasma(Wayland):
    """KWin alone, which the login shell of the console becomes. It lets the pointer come no nearer to the right and lower
    edge of an output than 1: of scaled outputs, the last pixels cannot be pointed at. Without GL it stretches the picture
    of an output instead of turning it."""

    name = "plasma"
    compositor = "kwin", "kwin_wayland"
    ttys = {"alice": 1}
    # Without a socket kscreen-doctor would abort, ten times a second.
    shown = '[ -n "$WAYLAND_DISPLAY" ] && timeout 20 kscreen-doctor -j'
    patience = 400
    slow = 6
    memory = 3072
    locks = "files",
    margin = 1
    turns = False
    sizes = (1680, 1050), (1920, 1080)

    _TURN = {0: "none", 90: "left", 270: "right"}

    def outputs(self, guest):
        found = json.loads(guest.run("kscreen-doctor -j", user="alice", timeout=60))["outputs"]
        modes = {mode["id"]: mode["size"] for output in found for mode in output["modes"]}
        return {output["name"]: Output((output["pos"]["x"], output["pos"]["y"]),
                                       (modes[output["currentModeId"]]["width"], modes[output["currentModeId"]]["height"]),
                                       output["scale"]) for output in found if output["enabled"]}

    def arrange(self, guest, outputs):
        guest.run("kscreen-doctor " + " ".join("output.{0}.scale.{1} output.{0}.rotation.{2} output.{0}.position.{3},{4}".
                                               format(name, scale, self._TURN[turn], x, y)
                                               for name, (scale, turn, x, y) in outputs.items()), user="alice", timeout=60)


DESKTOPS = {desktop.name: desktop for desktop in (Openbox(), Sway(), Uwsm(), Gnome(), Plasma())}
