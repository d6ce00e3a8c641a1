# SPDX-License-Identifier: LGPL-2.1-or-later
"""spice-agentctl in a guest: what it says when all is well, the clipboard from a login that is not the desktop."""

import json

from harness import *

# As over ssh: another login of the same user, with nothing of the desktop's environment.
OUTSIDE = "env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin runuser -u alice -- timeout 20 "


def outside(m, text, **arguments):
    return m.guest.run(OUTSIDE + text, **arguments)


@ours_only
def test_doctor_all_well(m):
    m.client.wait_agent()
    m.guest.until(OUTSIDE + "spice-agentctl doctor >/tmp/doctor", 20)
    lines = m.guest.run("cat /tmp/doctor").splitlines()
    if lines[-1] != "all is well" or [line for line in lines if line.startswith("problem")]:
        raise Failure("\n".join(lines))
    for line in ("port com.redhat.spice.0", "uinput", "unit spice-agent-system.service", "pointer", "host is connected",
                 "client is connected: mouse-state", "clipboard: x11", "displays: x11", "X extension RANDR",
                 "user unit spice-agent-session.service: enabled"):
        if not [have for have in lines if have.startswith("ok       " + line)]:
            raise Failure("doctor lacks '%s':\n%s" % (line, "\n".join(lines)))


@ours_only
def test_doctor_names_what_is_missing(m):
    run = m.guest.run
    try:
        run("systemctl stop spice-agent-system")
        text = outside(m, "spice-agentctl doctor", check=False)
        if "problem  unit spice-agent-system.service: inactive" not in text or "systemctl restart" not in text:
            raise Failure(text)
    finally:
        run("systemctl start spice-agent-system")
    m.client.wait_agent()
    try:
        run("systemctl --user -M alice@ stop spice-agent-session")
        text = outside(m, "spice-agentctl doctor", check=False)
        if "problem  session daemon: not running" not in text:
            raise Failure(text)
    finally:
        run("systemctl --user -M alice@ start spice-agent-session")


@ours_only
def test_status_and_displays(m):
    m.client.wait_agent()
    wait_for(m.session_daemon_connected, 20, "the session daemon is connected")
    state = json.loads(outside(m, "spice-agentctl status --json"))
    system, session = state["system"], state["session"]
    if not (system["PortState"] == "open" and system["PointerState"] == "uinput" and system["SessionConnected"] and
            session["Connected"] and session["Display"] == ":0" and session["Session"] == system["ActiveSession"]):
        raise Failure(json.dumps(state, indent=1))
    width, height = m.guest.run("xrandr | sed -n 's/.* current \\([0-9]*\\) x \\([0-9]*\\),.*/\\1 \\2/p'",
                                user="alice").split()
    lines = outside(m, "spice-agentctl displays").splitlines()
    if len(lines) != 1 or lines[0].split()[0] != "0" or lines[0].split()[2:] != ["%sx%s" % (width, height), "+0+0"]:
        raise Failure("screen %s x %s, displays: %s" % (width, height, lines))


@ours_only
def test_copy_and_paste_in_a_terminal(m):
    text = "vom Terminal \u4e16\u754c\n"
    mark = m.client.mark()
    outside(m, "spice-agentctl copy", input=text.encode())
    m.client.wait_event("grab", mark, selection=m.client.CLIPBOARD)
    got = m.client.fetch(m.client.TEXT)
    if got != text.encode():
        raise Failure("the client got %r" % got)
    text = "zum Terminal\n".encode() * 5000
    m.client.offer(text)
    wait_for(lambda: outside(m, "spice-agentctl paste", raw=True, check=False) == text, 20,
             "the client's text in a terminal")
