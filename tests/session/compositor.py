# SPDX-License-Identifier: LGPL-2.1-or-later
"""Wayland compositors for tests, headless and private: each runs as a user who is not root, whom some refuse to serve.

    with compositor.Sway(outputs=2) as sway:
        sway.run("wl-copy", "text")
        daemon = sway.daemon(system_bus)

Which one runs is decided by PATH alone, so that the same tests run on other suites.
"""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile

import sessiond as s

ROOT = os.geteuid() == 0
USER = 65534 if ROOT else os.geteuid()
BUS_CONFIG = """<busconfig>
  <type>session</type>
  <listen>unix:dir=%s</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


class Bus(s.Bus):
    """A bus for the test and for programs that run as another user."""

    def __init__(self):
        with tempfile.NamedTemporaryFile("w", suffix=".conf", encoding="utf-8") as config:
            config.write(BUS_CONFIG % tempfile.gettempdir())
            config.flush()
            super().__init__("--config-file=" + config.name)


class Compositor:
    """A running compositor. `environment` is that of programs in its session, `socket` the path of its socket."""

    program = None  # that must be in PATH
    name = None     # for people and tables

    def __init__(self, outputs=1, size=(1280, 800), config="", xwayland=False, environment=()):
        self.outputs, self.size, self.config, self.xwayland = outputs, size, config, xwayland
        self.directory = tempfile.mkdtemp(prefix=self.program + "-")
        runtime, home = (os.path.join(self.directory, name) for name in ("run", "home"))
        for path in self.directory, runtime, home:
            os.makedirs(path, mode=0o700, exist_ok=True)
            os.chown(path, USER, -1)
        self.environment = {key: value for key, value in os.environ.items()
                            if key not in ("DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS")}
        self.environment.update(XDG_RUNTIME_DIR=runtime, HOME=home, TMPDIR=home)
        self.environment.update(environment)
        self.process = self.socket = self.log = None
        self.programs = []
        self.start()

    @classmethod
    def installed(cls):
        return shutil.which(cls.program) is not None

    @classmethod
    def version(cls):
        text = subprocess.run([cls.program, "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False).stdout
        found = re.search(r"\d+(\.\d+)+", text)
        return found[0] if found else "unknown"

    # What a subclass says.

    def command(self):
        """The command line. May write files into self.directory."""
        raise NotImplementedError

    def variables(self):
        """What the compositor itself needs in its environment."""
        return {}

    def started(self):
        """The socket is there; wait for more, if there is need, with s.until()."""

    # Life.

    def start(self):
        """Start, also after stop() or kill(): then again in the same runtime directory."""
        self.log = open(os.path.join(self.directory, "log"), "w+", encoding="utf-8", errors="replace")
        self.process = self.popen(*self.command(), stdout=self.log, stderr=self.log, env=self.variables())
        self.programs.remove(self.process)
        try:
            self.socket = s.until(self.find_socket, "a Wayland socket of " + self.program)
            self.environment["WAYLAND_DISPLAY"] = os.path.basename(self.socket)
            self.started()
        except Exception:
            self.fail_log()
            self.stop()
            raise

    def find_socket(self):
        assert self.process.poll() is None, "%s ended with status %s" % (self.program, self.process.returncode)
        runtime = self.environment["XDG_RUNTIME_DIR"]
        for name in sorted(os.listdir(runtime)):
            path = os.path.join(runtime, name)
            if name.startswith("wayland-") and stat.S_ISSOCK(os.stat(path).st_mode):
                with socket.socket(socket.AF_UNIX) as probe:
                    if probe.connect_ex(path) == 0:  # not one that was left behind
                        return path
        return None

    def text(self):
        with open(self.log.name, encoding="utf-8", errors="replace") as file:
            return file.read()

    def fail_log(self):
        for line in self.text().splitlines()[-20:]:
            print("%s: %s" % (self.program, line), file=sys.stderr)

    def end(self, number):
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(s.LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def kill(self):
        self.end(signal.SIGKILL)

    def stop(self):
        """End it and the programs that popen() started."""
        for program in self.programs:
            program.kill()
            program.wait()
        self.programs = []
        self.end(signal.SIGTERM)
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, _value, _trace):
        if kind is not None:
            self.fail_log()
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    # Programs in the session.

    def popen(self, *argv, env=(), **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        if ROOT:
            options.update(user=USER, group=USER, extra_groups=[])
        process = subprocess.Popen(argv, env=dict(self.environment, **dict(env)), cwd=self.directory, **options)
        self.programs.append(process)
        return process

    def run(self, *argv, input=None, check=True, text=True, limit=s.LIMIT):
        """Run a program to its end while the main loop runs too; returns its standard output."""
        pipe = tempfile.TemporaryFile()
        source = subprocess.DEVNULL
        if input is not None:
            source = tempfile.TemporaryFile()
            source.write(input.encode() if isinstance(input, str) else input)
            source.seek(0)
        process = self.popen(*argv, stdin=source, stdout=pipe, stderr=self.log)
        try:
            s.until(lambda: process.poll() is not None, "the end of " + " ".join(argv), limit)
        finally:
            self.programs.remove(process)
            if process.poll() is None:
                process.kill()
                process.wait()
        pipe.seek(0)
        output = pipe.read()
        assert not check or process.returncode == 0, "%s: exit status %d: %r" % (
            " ".join(argv), process.returncode, output[-1000:])
        return output.decode(errors="replace") if text else output

    def daemon(self, system, session=None, config="", logind="1", args=(), env=()):
        """spice-agent-session as the same user, told where the compositor is by its environment."""
        variables = {key: self.environment[key] for key in ("XDG_RUNTIME_DIR", "WAYLAND_DISPLAY", "HOME")}
        variables.update(env)
        return s.Daemon(system, session, config, logind=logind, args=args, env=variables, user=USER if ROOT else None)


class Wlroots(Compositor):
    def variables(self):
        return {"WLR_BACKENDS": "headless", "WLR_RENDERER": "pixman", "WLR_HEADLESS_OUTPUTS": str(self.outputs),
                "WLR_LIBINPUT_NO_DEVICES": "1", "WLR_RENDERER_ALLOW_SOFTWARE": "1"}


class Sway(Wlroots):
    program, name = "sway", "sway"

    def command(self):
        path = os.path.join(self.directory, "config")
        with open(path, "w", encoding="utf-8") as file:
            file.write("xwayland %s\n" % ("force" if self.xwayland else "disable"))
            file.write("output * resolution %dx%d\n" % self.size)
            if self.xwayland:
                # Its environment says which display; sway sets that for what it starts.
                file.write("exec sh -c 'echo $DISPLAY >%s/display.new; mv %s/display.new %s/display'\n" %
                           (3 * (self.directory,)))
            file.write(self.config + "\n")
        return "sway", "-c", path

    def find_ipc(self):
        path = os.path.join(self.environment["XDG_RUNTIME_DIR"], "sway-ipc.%d.%d.sock" % (USER, self.process.pid))
        return path if os.path.exists(path) else None

    def started(self):
        self.environment["SWAYSOCK"] = s.until(self.find_ipc, "sway's IPC socket")
        # Its socket is there before it listens, and until its loop runs SIGTERM is lost on it.
        s.until(lambda: self.run("swaymsg", "-t", "get_version", check=False), "sway to answer")
        if self.xwayland:
            path = os.path.join(self.directory, "display")
            s.until(lambda: os.path.exists(path), "the X display of sway")
            with open(path, encoding="utf-8") as file:
                self.environment["DISPLAY"] = file.read().strip()


class Labwc(Wlroots):
    program, name = "labwc", "labwc"

    def command(self):
        path = os.path.join(self.directory, "labwc")
        os.makedirs(path, exist_ok=True)
        with open(os.path.join(path, "rc.xml"), "w", encoding="utf-8") as file:
            file.write(self.config or "<labwc_config/>")
        return "labwc", "-C", path


class Mutter(Compositor):
    """GNOME's, with a session bus of its own; `monitors` are the sizes of its virtual monitors.

    `logical`: in the layout mode that has fractional scales, where that is not the only one. `nested`: the X display in
    which it has two monitors with several modes, as far as this Mutter can do that.
    """

    program, name = "mutter", "mutter"
    DISPLAYS, DISPLAYS_PATH = "org.gnome.Mutter.DisplayConfig", "/org/gnome/Mutter/DisplayConfig"
    REMOTE = "org.gnome.Mutter.RemoteDesktop"
    MODES = "1024x768@60.0:800x600@60.0:1280x800@60.0:1280x800@75.0"

    def __init__(self, monitors=((1280, 800), (1024, 768)), logical=False, nested=None):
        self.monitors, self.nested = monitors, nested
        self.bus = Bus()
        self.connection = self.bus.connect()
        features = "'scale-monitor-framebuffer'" if logical else ""
        super().__init__(config="[org/gnome/mutter]\nexperimental-features=[%s]\n" % features,
                         environment={"DBUS_SESSION_BUS_ADDRESS": self.bus.address, "GSETTINGS_BACKEND": "keyfile",
                                      "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"})

    def command(self):
        settings = os.path.join(self.environment["HOME"], ".config", "glib-2.0", "settings")
        os.makedirs(settings, exist_ok=True)
        with open(os.path.join(settings, "keyfile"), "w", encoding="utf-8") as file:
            file.write(self.config)
        if self.nested:
            return "mutter", "--nested", "--wayland"
        return ("mutter", "--headless", "--wayland",
                *(word for size in self.monitors for word in ("--virtual-monitor", "%dx%d" % size)))

    def variables(self):
        if not self.nested:
            return {}
        return {"DISPLAY": self.nested, "MUTTER_DEBUG_NUM_DUMMY_MONITORS": "2",
                "MUTTER_DEBUG_DUMMY_MONITOR_SCALES": "1,1", "MUTTER_DEBUG_DUMMY_MODE_SPECS": self.MODES}

    def has_name(self, name):
        return self.connection.call_sync("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "NameHasOwner",
                                         s.GLib.Variant("(s)", (name,)), None, 0, -1, None).unpack()[0]

    def started(self):
        s.until(lambda: self.has_name(self.DISPLAYS) and self.has_name(self.REMOTE), "mutter on its bus")

    def stop(self):
        super().stop()
        self.bus.stop()

    def x_environment(self):
        """For programs on its XWayland, which it may start for them."""
        display = s.until(lambda: re.search(r"public X11 display (:\d+)", self.text()), "an X display of mutter")[1]
        runtime = self.environment["XDG_RUNTIME_DIR"]
        authority = next(name for name in os.listdir(runtime) if "Xwaylandauth" in name)
        return {"DISPLAY": display, "XAUTHORITY": os.path.join(runtime, authority)}

    def state(self):
        """Of GetCurrentState: serial, monitors, logical monitors, properties."""
        return self.connection.call_sync(self.DISPLAYS, self.DISPLAYS_PATH, self.DISPLAYS, "GetCurrentState", None,
                                         None, 0, -1, None).unpack()

    def configure(self, *heads):
        """Each head is (connector, x, y, scale, transform), with the mode that it has, or a first one."""
        serial, monitors, _, _ = self.state()
        modes = {connector: next((mode[0] for mode in available if mode[6].get("is-current")), available[0][0])
                 for (connector, *_), available, _ in monitors}
        logical = [(x, y, float(scale), transform, i == 0, [(connector, modes[connector], {})])
                   for i, (connector, x, y, scale, transform) in enumerate(heads)]
        self.connection.call_sync(self.DISPLAYS, self.DISPLAYS_PATH, self.DISPLAYS, "ApplyMonitorsConfig",
                                  s.GLib.Variant("(uua(iiduba(ssa{sv}))a{sv})", (serial, 1, logical, {})), None, 0, -1,
                                  None)


class Weston(Compositor):
    """Has neither a clipboard protocol nor one to change outputs."""

    program, name = "weston", "weston"

    def command(self):
        return ("weston", "--no-config", "--backend=headless-backend.so", "--idle-time=0", "--socket=wayland-1",
                "--width=%d" % self.size[0], "--height=%d" % self.size[1])


class KWin(Compositor):
    """KDE's, with a session bus of its own. Its outputs are Virtual-0, Virtual-1, ..., each with one mode."""

    program, name = "kwin_wayland", "kwin"

    def __init__(self, outputs=1, size=(1280, 800), **options):
        self.bus = Bus()
        options["environment"] = dict(options.get("environment", ()), DBUS_SESSION_BUS_ADDRESS=self.bus.address,
                                      DBUS_SYSTEM_BUS_ADDRESS="unix:path=/nonexistent")
        super().__init__(outputs, size, **options)

    @classmethod
    def copy(cls, directory):
        """Without the capabilities of the installed file, for which there may be no right. It looks at its own name."""
        return shutil.copy(shutil.which(cls.program), os.path.join(directory, cls.program))

    @classmethod
    def version(cls):
        with tempfile.TemporaryDirectory() as directory:
            text = subprocess.run([cls.copy(directory), "--version"], stdout=subprocess.PIPE, text=True, check=True,
                                  env=dict(os.environ, QT_QPA_PLATFORM="offscreen")).stdout
        return re.search(r"\d+(\.\d+)+", text)[0]

    def command(self):
        return (self.copy(self.directory), "--virtual", "--output-count", str(self.outputs),
                "--width", str(self.size[0]), "--height", str(self.size[1]), "--no-lockscreen",
                "--no-global-shortcuts", "--socket", "wayland-0", *(["--xwayland"] if self.xwayland else []))

    def variables(self):
        return {"KWIN_COMPOSE": "Q"}

    def stop(self):
        super().stop()
        self.bus.stop()


def main():
    """compositor.py [--xwayland] NAME COMMAND...: run a command as a program of a compositor of its own.

    The command finds WAYLAND_DISPLAY, COMPOSITOR_PID and, with --xwayland, DISPLAY in its environment; its exit status
    is handed on. Without such a compositor the exit status is 77, which skips a test.
    """
    words = sys.argv[1:]
    xwayland = words[:1] == ["--xwayland"]
    name, *command = words[xwayland:]
    chosen = {kind.program: kind for kind in (Sway, Labwc, KWin)}[name]
    if not chosen.installed():
        print(name + " is not installed")
        sys.exit(77)
    with chosen(xwayland=xwayland) as running, open(command[0], "rb") as program:
        # By its descriptor, since its user may be kept out of the directories that lead to it.
        status = running.popen(*command, env={"COMPOSITOR_PID": str(running.process.pid)},
                               executable="/proc/self/fd/%d" % program.fileno(), pass_fds=[program.fileno()]).wait()
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
