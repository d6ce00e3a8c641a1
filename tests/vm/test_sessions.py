# SPDX-License-Identifier: LGPL-2.1-or-later
"""Users, greeter and bare console: what belongs to one session never reaches another. With the real logind."""

import time

from harness import *
from test_clipboard import copy, offer, paste, same
from test_files import clean, listing, make, received, refused, start_and_wait_progress

CLIPBOARD = 5  # VD_AGENT_CAP_CLIPBOARD_BY_DEMAND
AGENT = "org.spice_space.Agent1 /org/spice_space/Agent1 org.spice_space.Agent1"


def no_text(m, user, secret, selection="clipboard"):
    """The text must not come out of this user's clipboard, not even later."""
    for _ in range(3):
        seen = m.guest.run("timeout 5 " + m.guest.desktop.paste(selection), user=user, check=False, timeout=20)
        if secret in seen:
            raise Failure("%s can read %r" % (user, secret))
        time.sleep(0.5)


def test_switch_guest_clipboard_stays(m):
    """What alice copied is not the client's any more once bob is in front, and bob's is not alice's."""
    copy(m, b"secret of alice")
    same(m.client.fetch(), b"secret of alice")
    mark = m.client.mark()
    m.session("bob")
    m.client.wait_agent()
    m.client.wait_event("release", mark, selection=0)
    if m.client.fetch(timeout=40) == b"secret of alice":
        raise Failure("the client could read alice's clipboard while bob's session was in front")
    copy(m, b"secret of bob", user="bob")
    same(m.client.fetch(), b"secret of bob")
    mark = m.client.mark()
    m.session("alice")
    m.client.wait_agent()
    m.client.wait_event("release", mark, selection=0)
    if m.client.fetch(timeout=40) == b"secret of bob":
        raise Failure("the client could read bob's clipboard while alice's session was in front")
    copy(m, b"alice again")
    same(m.client.fetch(), b"alice again")


def test_switch_client_clipboard_follows(m):
    """The client's clipboard is for the session in front: the one behind it can no longer paste, old offer or new."""
    offer(m, b"offered to alice", m.client.TEXT, "UTF8_STRING")
    same(paste(m), b"offered to alice")
    m.session("bob")
    m.client.wait_agent()
    no_text(m, "alice", "offered to alice")
    offer(m, b"offered to bob", m.client.TEXT, "UTF8_STRING", user="bob")
    same(paste(m, user="bob"), b"offered to bob")
    no_text(m, "alice", "offered to bob")


def test_switch_ends_transfer(m):
    clean(m)
    path, _ = make(m, "switched.bin", 200 << 20)
    started = start_and_wait_progress(m, path)
    m.session("bob")
    if m.client.finish(started, 20)["ok"]:
        raise Failure("the transfer went on over the switch")
    m.client.wait_agent()
    for home in ("/home/alice/Downloads", "/home/bob/Downloads"):
        if listing(m, home):
            raise Failure("leftovers in %s: %s" % (home, listing(m, home)))
    path, digest = make(m, "for bob.bin", 1 << 20)
    wait_for(lambda: m.client.finish(m.client.start("files", path), 20)["ok"], 10, "bob gets a file", 0.3)
    received(m, "for bob.bin", digest, "/home/bob/Downloads")
    if listing(m):
        raise Failure("alice got something: %s" % listing(m))


def test_switch_fast(m):
    """Ten switches within a few seconds; the session in front at the end works."""
    m.session("bob")
    for _ in range(5):
        m.guest.run("busybox chvt 7; sleep 0.3; busybox chvt 8; sleep 0.3")
    m.session("alice")
    m.client.wait_agent()
    offer(m, b"after the switches", m.client.TEXT, "UTF8_STRING")
    same(paste(m), b"after the switches")
    no_text(m, "bob", "after the switches")


@ours_only
def test_greeter(m):
    """A greeter gets pointer and displays, nothing else."""
    copy(m, b"secret of alice")
    m.session("greeter")
    state = wait_for(lambda: CLIPBOARD not in m.client.wait_agent()["caps"] and m.client.wait_agent(), 10,
                     lambda: "clipboard is still announced: %s" % m.client.state())
    pointer = m.pointer("greeter", ":2")
    m.client.position(77, 88)
    seen = pointer.arrives(77, 88, 5)
    if seen != (77, 88):
        raise Failure("the greeter's pointer is at %s, %s" % (seen, state))
    path, _ = make(m, "greeter.bin", 1000)
    refused(m, path)
    m.session("alice")
    wait_for(lambda: CLIPBOARD in m.client.wait_agent()["caps"], 10, "clipboard is announced again")
    copy(m, b"alice again")
    same(m.client.fetch(), b"alice again")


@machine(session=None)
def test_pointer_without_session(m):
    """On a bare console the pointer reaches evdev; the clipboard is not announced."""
    counts = m.evdev()
    caps = m.client.wait_agent()["caps"]
    if m.agent.ours and CLIPBOARD in caps:
        raise Failure("clipboard announced without a session: %s" % caps)
    m.client.position(100, 100)
    m.client.position(300, 200)
    wait_for(lambda: counts()["motions"] >= 2, 5, lambda: "no motion: %s" % counts())
    m.session("alice")
    wait_for(lambda: CLIPBOARD in m.client.wait_agent()["caps"], 20, "clipboard announced once alice is there")
    copy(m, b"of a late session")
    same(m.client.fetch(), b"of a late session")


def test_session_ends_and_returns(m):
    copy(m, b"before")
    m.guest.run("systemctl stop session-alice@7.service", timeout=60)
    wait_for(lambda: m.client.fetch(timeout=40) is None or CLIPBOARD not in m.client.state()["caps"], 20,
             "the clipboard ends with the session")
    m.session("alice")
    wait_for(lambda: CLIPBOARD in m.client.wait_agent()["caps"], 20, "clipboard announced again")
    copy(m, b"after")
    same(m.client.fetch(), b"after")


@ours_only
def test_other_user_is_refused(m):
    """A user without the active session gets no connection, whatever session it names."""
    alice = m.guest.run("loginctl list-sessions --no-legend | awk '$3 == \"alice\" {print $1; exit}'").strip()
    for options in ("0", "1 session s %s" % alice, "1 session s no-such-session"):
        process = m.guest.start("busctl call %s OpenSession 'a{sv}' %s" % (AGENT, options), user="bob")
        process.close()
        if process.wait() == 0:
            raise Failure("bob got alice's connection with options %r" % options)
        if b"denied" not in process.err.lower() and b"AccessDenied" not in process.err:
            raise Failure("wrong error: " + process.describe())
    process = m.guest.start("busctl call %s SetLayout 'a(suuiiuuu)' 0" % AGENT, user="bob")
    process.close()
    if process.wait() == 0:
        raise Failure("bob may set the layout")
    copy(m, b"still works")
    same(m.client.fetch(), b"still works")


@ours_only
def test_second_session_daemon_of_a_user(m):
    """A second one hands over and ends; the first goes on."""
    first = m.pid(m.agent.session)
    process = m.guest.start("exec timeout 10 spice-agent-session", user="alice")
    process.close()
    status = process.wait()
    if status != 3:
        raise Failure("two session daemons run at once" if status == 124 else "exit status %d" % status)
    if m.pid(m.agent.session) != first:
        raise Failure("the first session daemon was replaced")
    copy(m, b"still works")
    same(m.client.fetch(), b"still works")


@ours_only
def test_many_open_session_calls(m):
    """100 connections after each other by the user who may: the newest wins, no descriptor is left."""
    daemon = m.pid(m.agent.daemon)
    before = int(m.guest.run("ls /proc/%d/fd | wc -l" % daemon))
    m.guest.run("for i in $(seq 100); do busctl call %s OpenSession 'a{sv}' 0 >/dev/null 2>&1; done; true" % AGENT,
                user="alice", timeout=120)
    wait_for(lambda: int(m.guest.run("ls /proc/%d/fd | wc -l" % daemon)) <= before + 2, 10, "descriptors are closed")
    if m.pid(m.agent.daemon) != daemon:
        raise Failure("the system daemon was restarted")

    # The session daemon was refused as well, and asks less and less often: every 30 s at last.
    wait_for(lambda: CLIPBOARD in m.client.state()["caps"], 45, "the session daemon is connected again", 0.5)
    copy(m, b"works again")
    same(m.client.fetch(), b"works again")
