# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/compatibility.md, made from results of tests as tests/session/results.py writes them, and read back: what has not
run again stays."""

import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "session"))
sys.dont_write_bytecode = True
from results import ABSENT, FAIL, FEATURES, IN_A_GUEST, NOT_RUN, PASS

HEAD = """\
# Compatibility

What `make check-matrix` has found out about the session daemon on Wayland compositors, each row on its own day. The program
makes this document from the results of its tests; a change by hand is lost.

"pass": a test with that compositor has proved it by programs that are not ours. It runs headless, or in a guest with two
outputs of a virtio graphics card. "not offered": such a program has listed what the compositor offers, and nothing that the
feature could be made with is among it. "not run": the machine of the tests, which has no graphics card, does not allow it,
as the compositor itself or another program says. "-": no test asks.

"""
ON = "on"  # the column of each row's date
ANCHORS = {FAIL: "Failures", ABSENT: "Not offered", NOT_RUN: "Not run"}
# Where tests disagree about a cell, the first of these holds.
ORDER = FAIL, PASS, ABSENT, NOT_RUN


def natural(text):
    return [int(word) if word.isdigit() else word for word in re.split(r"(\d+)", text.casefold())]


def merged(date, lines):
    """{(compositor, version, suite): {ON: date, feature: (result, detail)}} of (suite, line) pairs."""
    rows = {}
    for suite, line in lines:
        compositor, version, feature, result, detail = line.rstrip("\n").split("\t")
        if feature not in FEATURES or result not in ORDER:
            raise ValueError("no result of a test: %r" % line)
        row = rows.setdefault((compositor, version, suite), {ON: date})
        if feature not in row or ORDER.index(result) < ORDER.index(row[feature][0]):
            row[feature] = result, detail
    return rows


def render(rows):
    """The document."""
    parts = [HEAD]
    table = ["compositor", "version", "Debian", ON, *FEATURES], ["---"] * (4 + len(FEATURES))
    order = sorted(rows, key=lambda key: [natural(word) for word in key])
    table += tuple([*key, rows[key][ON], *(rows[key].get(feature, ("-", ""))[0] for feature in FEATURES)] for key in order)
    parts += ["| %s |\n" % " | ".join(row) for row in table]
    parts += ["\n## Columns\n\n"] + ["- %s: %s.\n" % item for item in FEATURES.items()]
    for result, title in ANCHORS.items():
        # Several features may lack the same.
        notes = {}
        for key in order:
            for feature in FEATURES:
                have, detail = rows[key].get(feature, ("-", ""))
                if have == result:
                    notes.setdefault((key, detail), []).append(feature)
        if notes:
            parts.append("\n## %s\n\n" % title)
            parts += ["- %s %s (%s), %s: %s\n" % (*key, ", ".join(features), detail)
                      for (key, detail), features in notes.items()]
    return "".join(parts)


def parse(text):
    """The rows that a document was made from."""
    rows = {}
    for line in re.findall(r"^\| (.*) \|$", text, re.M)[2:]:
        compositor, version, suite, date, *cells = line.split(" | ")
        results = {feature: (cell, "") for feature, cell in zip(FEATURES, cells) if cell != "-"}
        rows[compositor, version, suite] = {ON: date, **results}
    for result, title in ANCHORS.items():
        section = re.search(r"^## %s\n\n((?:- .*\n)*)" % title, text, re.M)
        for line in section[1].splitlines() if section else ():
            *key, features, detail = re.fullmatch(r"- (.+?) (\S+) \((\S+?)\), (.*?): (.*)", line).groups()
            for feature in features.split(", "):
                rows[tuple(key)][feature] = result, detail
    return rows


def part_of(key):
    """Rows of one part are found out together: all headless compositors of a suite, or a guest."""
    compositor, _, suite = key
    return suite, compositor if compositor.endswith(IN_A_GUEST) else None


def updated(text, date, lines):
    """The document `text` with these results, pairs of suite and line, in the place of older ones of the same parts."""
    new = merged(date, lines)
    parts = {part_of(key) for key in new}
    kept = {key: row for key, row in parse(text).items() if part_of(key) not in parts}
    return render({**kept, **new})


def write(document, date, directory):
    """Update the file with files of results, each named by its suite, or by that and something after a dash."""
    lines = []
    for name in sorted(os.listdir(directory)):
        with open(os.path.join(directory, name), encoding="utf-8") as file:
            lines += [(name.partition("-")[0], line) for line in file]
    if lines:
        with open(document, "r+", encoding="utf-8") as file:
            text = updated(file.read(), date, lines)
            file.seek(0)
            file.write(text)
            file.truncate()
