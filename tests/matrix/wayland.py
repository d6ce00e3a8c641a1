# SPDX-License-Identifier: LGPL-2.1-or-later
"""The session tests that need a Wayland compositor, with the compositors of this machine and of newer suites."""

import os
import re
import subprocess

import domain

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
SESSION_TESTS = os.path.join(TOP, "tests", "session")
BUILD = os.path.join(TOP, os.environ.get("BUILD", "build"))

LIBRARIES = ("libcap-ng0", "libdrm2", "libgdk-pixbuf-2.0-0", "libglib2.0-bin", "libseccomp2", "libudev1",
             "libwayland-client0", "libx11-6", "libxfixes3", "libxrandr2")
TOOLS = ("cliphist", "clipman", "copyq", "dbus", "gir1.2-gtk-3.0", "libkscreen-bin", "plasma-workspace", "procps",
         "python3", "python3-dbus", "python3-gi", "python3-pyqt5", "qt6-wayland", "qtwayland5", "wayland-utils",
         "wl-clipboard", "wlr-randr", "wtype", "xclip", "xvfb", "xwayland")
COMPOSITORS = ("gnome-shell", "kwin-wayland", "labwc", "libegl1", "libgl1-mesa-dri", "mutter", "sway", "wayfire", "weston")
SUITES = {"trixie": (), "sid": ("hyprland",)}  # and what is packaged only there


def tests():
    """Those that use compositor.py or what starts it: a new test needs no line here."""
    found = []
    for name in sorted(os.listdir(SESSION_TESTS)):
        match = re.fullmatch(r"test-(.*)\.(c|py|sh)", name)
        if match:
            with open(os.path.join(SESSION_TESTS, name), encoding="utf-8") as file:
                if re.search(r'^import compositor\b|/compositor\.py\b|"wlcliptest\.h"', file.read(), re.M):
                    found.append(match[1])
    return found


def own_suite():
    with open("/etc/os-release", encoding="utf-8") as file:
        return re.search(r"^VERSION_CODENAME=(\w+)", file.read(), re.M)[1]


def run_suite(suite, prefix, names, results, say):
    """Results go to the file of that name. Programs are those built here: older libraries are what newer suites still
    serve. Returns the count of failures."""
    words = [os.path.join(TOP, "tests", "run"), *("session/" + name for name in names)]
    variables = "BUILD=" + BUILD, "RESULTS=" + results
    process = subprocess.Popen([*prefix, "env", *variables, *words], stdout=subprocess.PIPE, text=True)
    failed = 0
    try:
        for line in process.stdout:
            match = re.match(r"session/(.*)", line, re.S)
            if match:
                failed += bool(re.match(r"\S+: fail\b", match[1]))
                say("matrix/%s-%s" % (suite, match[1]))
            elif line.startswith("    "):
                say(line)
        status = process.wait()
        if status not in (0, 1):
            say("matrix/%s: fail (tests/run ended with status %d)\n" % (suite, status))
            failed += 1
    finally:
        process.terminate()  # where it is us who end
        process.wait()
    return failed


def run(wanted, chroot, say, directory):
    """Runs each test whose name `wanted` likes, under SUITE-NAME. Where those are all of a suite, a file of that name in the
    directory gets what they find out."""
    failed = 0
    for suite in (own_suite(), *SUITES):
        names = [name for name in tests() if wanted("%s-%s" % (suite, name))]
        if names:
            prefix = () if suite not in SUITES else domain.inside(
                chroot(suite, *sorted(LIBRARIES + TOOLS + COMPOSITORS + SUITES[suite])))
            failed += run_suite(suite, prefix, names, os.path.join(directory, suite) if names == tests() else "", say)
    return failed
