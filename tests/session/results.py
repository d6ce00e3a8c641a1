# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests find out about compositors, for docs/compatibility.md: one line per cell of its table.

A test that proves a feature of a compositor says so around the proof; an exception is the result "fail" and goes on, but
Unable is "not run" and does not:

    with results.cell(sway, "clipboard"):
        ...

Where the compositor lacks what the feature needs, that is shown, not claimed, by what a foreign program has printed:

    results.absent(weston, "clipboard", waylandinfo.interfaces(weston.environment), ["ext_data_control_manager_v1"])

A compositor is one of compositor.py: `name` and `version()` are used. Lines are appended to the file that $RESULTS
names, if it names one: compositor, version, feature, result and detail with a tab in between. Several tests may have a
say in one cell: there a "fail" counts more than a "pass".
"""

import contextlib
import os

# The columns of the table.
FEATURES = {
    "clipboard": "text both ways between the host and a foreign program",
    "primary": "the same for the primary selection",
    "50 MB": "50 MB of clipboard both ways, with equal contents",
    "layout": "outputs as reported for the pointer are those of a foreign program",
    "resize": "an output gets the size that the client asks for",
    "second output": "a second output is turned off and on again",
    "scale": "the layout is right at a scale other than 1",
    "pointer": "a client on each output is told the pixel that the SPICE client points at",
}
# What the name of a compositor ends with that is not headless.
IN_A_GUEST = " in a guest"
PASS, FAIL, ABSENT, NOT_RUN = "pass", "fail", "not offered", "not run"


class Unable(Exception):
    """What a program that is not ours printed about why something is not possible where the test runs."""


def record(compositor, feature, result, detail=""):
    assert feature in FEATURES, feature
    path = os.environ.get("RESULTS")
    if not path:
        return
    line = "\t".join(" ".join(word.split()) for word in (compositor.name, compositor.version(), feature, result, detail))
    with open(path, "a", encoding="utf-8") as file:  # appended by one write(), so tests may run at the same time
        file.write(line + "\n")


@contextlib.contextmanager
def cell(compositor, feature):
    """What follows `with` proves the feature, or raises Unable."""
    try:
        yield
    except Unable as error:
        record(compositor, feature, NOT_RUN, str(error))
        return
    except Exception as error:
        lines = str(error).splitlines()
        text = lines[0][:200] if lines else "no text"
        record(compositor, feature, FAIL, "%s: %s" % (type(error).__name__, text))
        raise
    record(compositor, feature, PASS)


def found(offered, wanted):
    """Those of `wanted` that are among `offered`.

    offered  {name: version} of interfaces and of names on the bus, as foreign programs have printed them
    wanted   names, each followed by a space and the least version where the first is not enough
    """
    pairs = [(word, word.partition(" ")) for word in wanted]
    return [word for word, (name, _, least) in pairs if offered.get(name, 0) >= int(least or 1)]


def absent(compositor, feature, offered, wanted):
    """The compositor offers none of `wanted`, with any of which the feature could be made; both as in found()."""
    there = found(offered, wanted)
    assert offered and not there, "%s offers %s" % (compositor.name, ", ".join(there) or "nothing at all")
    print("%s offers: %s" % (compositor.name, " ".join(sorted(offered))))
    record(compositor, feature, ABSENT, "no " + ", no ".join(wanted))


def not_run(compositor, why):
    """The compositor does not start here; `why` is what it has printed itself."""
    for feature in FEATURES:
        record(compositor, feature, NOT_RUN, why)
