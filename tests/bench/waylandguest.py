# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guest stack in a Wayland session beside Debian's spice-vdagent, which is a client of XWayland there: pastes of what
the SPICE client has copied, and the pointer where one output is scaled.

Whoever serves it, it is wl-paste that pastes. Its own start, and sway's part, is seen where wl-copy is the owner.
"""

from common import *
import guest
import test_wayland

UNITS = {"wlguest_paste_1kb_p50": "ms", "wlguest_paste_50mb": "s", "wlguest_exact_of_36_scale_1": "points",
         "wlguest_exact_of_36_scale_1.25": "points", "wlguest_exact_of_36_scale_1.5": "points",
         "wlguest_exact_of_36_scale_2": "points"}
TEXT = "'text/plain;charset=utf-8'"  # the one name that XWayland gives it
PASTE = "wl-paste -n -t " + TEXT
PASTES = 10


def timed_pastes(m, count):
    """Milliseconds of each paste, by the guest's own clock."""
    text = m.guest.run("for i in $(seq %d); do a=$(date +%%s%%N); timeout 20 %s >/dev/shm/pasted || exit; "
                       "b=$(date +%%s%%N); echo $((b - a)); done" % (count, PASTE), user="alice", timeout=25 * count)
    return [int(line) / 1e6 for line in text.split()]


def paste(m, size, count=1):
    """Median of the milliseconds that pastes take of what the client offers."""
    data = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    m.client.offer(data)
    m.guest.until("timeout 5 wl-paste -l | grep -qx " + TEXT, 20, "alice")
    times = timed_pastes(m, count)
    if m.guest.sha256("/dev/shm/pasted") != hashlib.sha256(data).hexdigest():
        raise Failure("the pasted data differ")
    return statistics.median(times)


def paste_of_wl_copy(m, size, count=1):
    m.guest.run("head -c %d /dev/zero | tr '\\0' x | wl-copy -t %s" % (size, TEXT), user="alice", timeout=60)
    return statistics.median(timed_pastes(m, count))


def exact(m, scale):
    """How many of 36 points, corners and edges among them, a client on the output sees on the pixel they were sent to."""
    name, output = list(m.guest.desktop.outputs(m.guest).items())[0]
    w, h = output.mode
    test_wayland.turn_and_scale(m, (scale, 0, 0, 0))
    surfaces = test_wayland.Surfaces(m)
    sw, sh = int(w / scale), int(h / scale)
    surfaces.cover({name: (sw, sh)})

    def seen(px, py, timeout):
        m.client.position(px, py)
        return surfaces.arrives(lambda _, x, y: (int(x * w / sw), int(y * h / sh)) == (px, py), timeout) is None
    # An agent may learn of the scale later than the surface does.
    seen(w // 2 + 1, h // 2 + 1, 5)
    xs, ys = (0, 1, w // 3, w // 2, w - 2, w - 1), (0, 1, h // 3, h // 2, h - 2, h - 1)
    good = sum(seen(x, y, 0.5) for x in xs for y in ys)
    surfaces.close()
    return good


def measure_agent(agent, wanted, samples):
    rows = {"wlguest_paste_1kb_p50": lambda: paste(m, 1000, PASTES),
            "wlguest_paste_50mb": lambda: paste(m, 50 * 1000 * 1000) / 1000}
    for scale in "1", "1.25", "1.5", "2":
        rows["wlguest_exact_of_36_scale_" + scale] = lambda scale=scale: exact(m, float(scale))
    rows = {name: function for name, function in rows.items() if not wanted or name in wanted}
    options = {"desktop": "sway", "heads": 1, "memory": 2048}
    with contextlib.closing(harness.Machine(agent, image(agent.name, "sway"), options)) as m:
        m.session("alice")
        if not agent.ours:
            m.guest.run("swaymsg exec spice-vdagent", user="alice")  # whose autostart is not for sway
        m.ready()
        quiet(m)
        for name, function in rows.items():
            samples.take(m, agent.name, name, function)
        if agent.ours and "wlguest_paste_1kb_p50" in rows:
            samples.take(m, "floor", "wlguest_paste_1kb_p50", lambda: paste_of_wl_copy(m, 1000, PASTES))


def measure(wanted, samples):
    for name in "vdagent", "ours":
        measure_agent(harness.Agent(name), wanted, samples)


def report(samples):
    return guest.report(samples, UNITS)
