# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a compositor offers and where its outputs are, as wayland-info, which is not ours, sees it."""

import re
import subprocess

TRANSFORMS = ("normal", "90°", "180°", "270°", "flipped", "flipped 90°", "flipped 180°", "flipped 270°")


def _run(environment):
    return subprocess.run(["wayland-info"], env=environment, check=True, stdout=subprocess.PIPE, text=True,
                          timeout=30).stdout


def interfaces(environment):
    """The globals: {name: version}."""
    return {name: int(number)
            for name, number in re.findall(r"^interface: '(\w+)',\s+version:\s+(\d+)", _run(environment), re.M)}


def outputs(environment):
    """Outputs as in SetLayout, sorted: (connector, mode w, h, logical x, y, w, h, transform)."""
    text = _run(environment)
    modes = {}  # by number of the global
    for number, block in re.findall(r"^interface: 'wl_output',.*name: +(\d+)\n((?:\t.*\n)*)", text, re.M):
        transform = re.search(r"output_transform: (.*?),?$", block, re.M)[1]
        mode = next(mode for mode in block.split("\tmode:\n")[1:] if re.search(r"flags: .*current", mode))
        width, height = re.search(r"width: (\d+) px, height: (\d+) px", mode).groups()
        modes[number] = int(width), int(height), TRANSFORMS.index(transform)
    found = []
    for number, name, *words in re.findall(
            r"\t\toutput: (\d+)\n\t\tname: '(.*)'\n(?:\t\tdescription: .*\n)?\t\tlogical_x: (-?\d+), logical_y: (-?\d+)\n"
            r"\t\tlogical_width: (\d+), logical_height: (\d+)", text):
        width, height, transform = modes[number]
        found.append((name, width, height, *(int(word) for word in words), transform))
    return sorted(found)
