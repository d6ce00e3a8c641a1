# SPDX-License-Identifier: LGPL-2.1-or-later
"""The package on a running system: over spice-vdagent, away again, and back, without a reboot or a new login."""

from harness import *
from harness import find_deb
from test_basics import test_clipboard_text_to_client, test_clipboard_text_to_guest
from test_pointer import check, edge_points, misses, screen_size


def works(m):
    m.client.wait_agent(60)
    wait_for(m.session_daemon_connected, 30, "the session daemon is connected")
    check(misses(m, m.pointer(), edge_points(*screen_size(m))))
    test_clipboard_text_to_guest(m)
    test_clipboard_text_to_client(m)


@machine(image="vdagent")
@ours_only
@fresh
def test_install_over_spice_vdagent(m):
    run = m.guest.run
    m.guest.until("pgrep -x spice-vdagentd", 60)
    m.client.wait_agent(60)
    with open(find_deb(), "rb") as file:
        m.guest.push(file.read(), "/root/new.deb")
    said = run("dpkg -i --auto-deconfigure /root/new.deb 2>&1", timeout=120)
    if "a static unit, not starting it" in said:
        raise Failure("the installation says that what it starts is not started:\n" + said)
    if m.guest.ok("pgrep -x spice-vdagentd"):
        raise Failure("spice-vdagentd still runs")
    works(m)
    run("dpkg -r spice-pv-guest", timeout=120)
    m.client.wait_no_agent()
    run("dpkg -i /root/new.deb", timeout=120)
    works(m)
    old = m.pid(m.agent.daemon), m.pid(m.agent.session)
    run("dpkg -i /root/new.deb", timeout=120)
    if old[0] == m.pid(m.agent.daemon) or old[1] == m.pid(m.agent.session):
        raise Failure("an upgrade leaves old processes: %s" % (old,))
    works(m)
