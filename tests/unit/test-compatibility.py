#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The compatibility document: how results become cells, and that the committed one is the program's own work."""

import os
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(TOP, "tests", "matrix"), os.path.join(TOP, "tests", "session")]
sys.dont_write_bytecode = True
import compatibility
import results


class Compositor:
    def __init__(self, name, version):
        self.name = name
        self.version = lambda: version


SWAY, WESTON, HYPRLAND = Compositor("sway", "1.12"), Compositor("weston", "16.0.0"), Compositor("Hyprland", "0.57.0")


def recorded():
    """What tests write is what the document is made from."""
    with tempfile.TemporaryDirectory() as directory:
        os.environ["RESULTS"] = os.path.join(directory, "sid")
        with results.cell(SWAY, "clipboard"):
            pass
        try:
            with results.cell(SWAY, "resize"):
                raise AssertionError("801\tby 601:\nnot there")
        except AssertionError:
            pass
        results.absent(WESTON, "clipboard", {"wl_output": 4}, ["ext_data_control_manager_v1", "other_v1"])
        results.absent(WESTON, "primary", {"wl_output": 4}, ["ext_data_control_manager_v1", "other_v1"])
        results.absent(WESTON, "resize", {"other_v1": 1}, ["other_v1 2"])
        for offered in {"other_v1": 2}, {}:
            try:
                results.absent(WESTON, "scale", offered, ["other_v1 2"])
            except AssertionError:
                continue
            assert False, "absent, but offered"
        results.not_run(HYPRLAND, "no card")
        with open(os.environ["RESULTS"], encoding="utf-8") as file:
            return [("sid", line) for line in file]


def test_rows():
    rows = compatibility.merged("2026-01-31", recorded())
    assert rows["sway", "1.12", "sid"] == {
        "on": "2026-01-31", "clipboard": ("pass", ""), "resize": ("fail", "AssertionError: 801 by 601:")}, rows
    assert rows["weston", "16.0.0", "sid"]["clipboard"] == ("not offered", "no ext_data_control_manager_v1, no other_v1")
    assert rows["weston", "16.0.0", "sid"]["resize"] == ("not offered", "no other_v1 2")
    assert set(rows["Hyprland", "0.57.0", "sid"]) == {"on", *results.FEATURES}


def test_several_results_of_one_cell():
    for given, kept in ("pass fail pass", "fail"), ("not offered pass", "pass"), ("pass pass", "pass"):
        given = given.replace("not ", "not_").split()
        lines = [("sid", "c\t1\tscale\t%s\t%d\n" % (result.replace("_", " "), i)) for i, result in enumerate(given)]
        assert compatibility.merged("2026-01-31", lines)["c", "1", "sid"]["scale"] == (kept, str(given.index(kept)))


def test_foreign_lines_are_refused():
    for line in "c\t1\tscale\tgood\t\n", "c\t1\tcolour\tpass\t\n", "c 1 scale pass\n":
        try:
            compatibility.merged("2026-01-31", [("sid", line)])
        except ValueError:
            continue
        assert False, line


def test_document_can_be_read_back():
    rows = compatibility.merged("2026-01-31", recorded())
    text = compatibility.render(rows)
    assert compatibility.parse(text) == rows
    lines = text.splitlines()
    assert "| sway | 1.12 | sid | 2026-01-31 | pass | - | - | - | fail | - | - | - |" in lines, text
    assert "- weston 16.0.0 (sid), clipboard, primary: no ext_data_control_manager_v1, no other_v1" in lines, text
    assert lines.index("## Failures") < lines.index("## Not offered") < lines.index("## Not run")


def test_older_results_of_the_same_part_go():
    def lines(*words):
        return [(suite, "%s\t%s\tscale\tpass\t\n" % (name, version)) for suite, name, version in words]
    text = compatibility.render(compatibility.merged("2026-01-31", lines(
        ("sid", "sway", "1.11"), ("sid", "labwc", "0.9"), ("sid", "sway in a guest", "1.11"), ("sid", "kwin in a guest", "6"),
        ("trixie", "sway", "1.10"))))
    text = compatibility.updated(text, "2026-02-01", lines(("sid", "sway", "1.12"), ("sid", "kwin in a guest", "7")))
    dates = {key: row["on"] for key, row in compatibility.parse(text).items()}
    assert dates == {
        ("sway", "1.12", "sid"): "2026-02-01", ("sway in a guest", "1.11", "sid"): "2026-01-31",
        ("kwin in a guest", "7", "sid"): "2026-02-01", ("sway", "1.10", "trixie"): "2026-01-31"}, dates


def test_versions_are_in_order():
    lines = [(suite, "sway\t%s\tscale\tpass\t\n" % version)
             for version, suite in (("1.10", "trixie"), ("1.7", "bookworm"), ("1.12", "sid"))]
    text = compatibility.render(compatibility.merged("2026-01-31", lines))
    assert text.index("1.7") < text.index("1.10") < text.index("1.12")


def test_committed_document_is_made_by_the_program():
    with open(os.path.join(TOP, "docs", "compatibility.md"), encoding="utf-8") as file:
        text = file.read()
    assert compatibility.render(compatibility.parse(text)) == text, "docs/compatibility.md was edited by hand"
    assert len(compatibility.parse(text)) > 1


for name, function in list(vars().items()):
    if name.startswith("test_"):
        function()
