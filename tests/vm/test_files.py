# SPDX-License-Identifier: LGPL-2.1-or-later
"""File transfers from the client into the user's download directory."""

import hashlib
import os
import time

from harness import *

DOWNLOADS = "/home/alice/Downloads"


def make(m, name, size):
    """A file beside the VM; returns its path and sha256."""
    path = os.path.join(m.vm.dir, name)
    data = os.urandom(min(size, 1 << 20)) * (size // (1 << 20) + 1)
    with open(path, "wb") as file:
        file.write(data[:size])
    return path, hashlib.sha256(data[:size]).hexdigest()


def listing(m, directory=DOWNLOADS):
    """All entries, hidden ones too."""
    return m.guest.run("find %s -mindepth 1 -printf '%%f\\0'" % directory, check=False).split("\0")[:-1]


def clean(m):
    m.guest.run("rm -rf %s/* %s/.[!.]*" % (DOWNLOADS, DOWNLOADS))


def received(m, name, digest, directory=DOWNLOADS):
    path = "%s/%s" % (directory, name)
    m.guest.until("[ -e '%s' ]" % path, 5)
    if m.guest.sha256(path) != digest:
        raise Failure("%s differs: %s" % (name, m.guest.run("ls -la " + directory)))


def refused(m, path, timeout=20):
    """Sends a file that must not be accepted; returns the client's message."""
    mark = m.client.mark()
    answer = m.client.finish(m.client.start("files", path), timeout)
    if answer["ok"]:
        raise Failure("the transfer succeeded")

    def told():
        return [event["error"] for event in m.client.events[mark:]
                if event["event"] == "file" and event["finished"] and event["name"] == os.path.basename(path)]
    return wait_for(told, 5, "the client tells how the transfer ended")[0]


def start_and_wait_progress(m, path, fraction=0.05):
    """Starts a transfer and waits until a part of it is through."""
    mark = m.client.mark()
    started = m.client.start("files", path)

    def progress():
        return [event for event in m.client.events[mark:] if event["event"] == "file" and not event["finished"] and
                event["transferred"] > fraction * event["total"] > 0]
    wait_for(progress, 20, "the transfer makes progress")
    return started


def test_files_several_at_once(m):
    clean(m)
    files = [make(m, "several %d.bin" % number, (number + 1) << 20) for number in range(5)]
    m.client.command("files", *[path for path, _ in files], timeout=120)
    for path, digest in files:
        received(m, os.path.basename(path), digest)
    if len(listing(m)) != 5:
        raise Failure("leftovers: %s" % listing(m))


def test_files_many_small(m):
    """A folder of 50 files."""
    clean(m)
    files = [make(m, "small %02d.txt" % number, 10 * number + 1) for number in range(50)]
    m.client.command("files", *[path for path, _ in files], timeout=60)
    for path, digest in files[::7]:
        received(m, os.path.basename(path), digest)
    if len(listing(m)) != 50:
        raise Failure("%d files: %s" % (len(listing(m)), listing(m)))


def test_file_empty(m):
    clean(m)
    path, digest = make(m, "empty", 0)
    m.client.command("files", path, timeout=20)
    received(m, "empty", digest)


def test_file_names(m):
    clean(m)
    for name in ("\u00fcml\u00e4ut \u4e16\u754c.txt", "a;b\\c\"d'e.txt", "-rf", "x" * 251 + ".txt", "back\\nslash"):
        path, digest = make(m, name, 1000)
        m.client.command("files", path, timeout=20)
        wait_for(lambda: name in listing(m), 5, lambda: "%r in %s" % (name, listing(m)))


@ours_only
def test_file_name_clash(m):
    clean(m)
    for number in range(3):
        path, digest = make(m, "clash.tar", 5000 + number)
        m.client.command("files", path, timeout=20)
        received(m, "clash (%d).tar" % number if number else "clash.tar", digest)


@ours_only
def test_file_never_follows_a_link(m):
    clean(m)
    m.guest.run("ln -s /home/alice/target %s/link.txt" % DOWNLOADS)
    path, digest = make(m, "link.txt", 100)
    m.client.command("files", path, timeout=20)
    received(m, "link (1).txt", digest)
    if m.guest.ok("[ -e /home/alice/target ]"):
        raise Failure("the link was followed")


def test_file_cancelled(m):
    clean(m)
    path, _ = make(m, "cancelled.bin", 100 << 20)
    started = start_and_wait_progress(m, path)
    m.client.command("cancel", "cancelled.bin")
    if m.client.finish(started, 10)["ok"]:
        raise Failure("the transfer succeeded")
    wait_for(lambda: not listing(m), 5, lambda: "leftovers: %s" % listing(m))
    path, digest = make(m, "after cancel.bin", 1 << 20)
    m.client.command("files", path, timeout=20)
    received(m, "after cancel.bin", digest)


def test_file_disk_full(m):
    clean(m)
    m.guest.run("mount -t tmpfs -o size=4m,uid=1000,mode=700 tmpfs " + DOWNLOADS)
    try:
        path, _ = make(m, "too large.bin", 10 << 20)
        error = refused(m, path)
        if m.agent.ours and "space" not in error.lower():
            raise Failure("the client was not told why: %r" % error)
        wait_for(lambda: not listing(m), 5, lambda: "leftovers: %s" % listing(m))
        if m.agent.ours:
            m.guest.until("[ $(df --output=used %s | tail -1) -lt 64 ]" % DOWNLOADS, 5)
        path, digest = make(m, "fits.bin", 1 << 20)
        m.client.command("files", path, timeout=20)
        received(m, "fits.bin", digest)
    finally:
        m.guest.until("umount " + DOWNLOADS, 10)


def session_path(m, user="alice"):
    number = "$(loginctl list-sessions --no-legend | awk '$3 == \"%s\" {print $1; exit}')" % user
    return m.guest.run("busctl call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager "
                       "GetSession s " + number).split('"')[1]


def set_locked(m, locked):
    m.guest.run("busctl call org.freedesktop.login1 %s org.freedesktop.login1.Session SetLockedHint b %s" %
                (session_path(m), "true" if locked else "false"), user="alice")
    time.sleep(1)  # logind tells everybody by a signal


@ours_only
def test_file_refused_when_locked(m):
    clean(m)
    path, digest = make(m, "locked.bin", 1 << 20)
    set_locked(m, True)
    try:
        error = refused(m, path)
        if "lock" not in error.lower():
            raise Failure("the client was not told why: %r" % error)
        if listing(m):
            raise Failure("leftovers: %s" % listing(m))
    finally:
        set_locked(m, False)
    m.client.command("files", path, timeout=20)
    received(m, "locked.bin", digest)


def restart_session_daemon(m, signal=9):
    """Kills it; systemd starts it again, with its configuration read anew."""
    old = m.pid(m.agent.session)
    m.guest.run("kill -%d %d" % (signal, old))
    m.guest.until("p=$(pgrep -f '^(/[^ ]*/)?%s( |$)') && [ $p != %d ]" % (m.agent.session, old), 10)
    wait_for(m.session_daemon_connected, 10, "the session daemon is connected again")


@ours_only
def test_file_refused_by_policy(m):
    clean(m)
    path, digest = make(m, "policy.bin", 1 << 20)
    m.guest.run("mkdir -p /etc/spice-pv/agent-session.conf.d; "
                "printf '[files]\\nenabled=false\\n' >/etc/spice-pv/agent-session.conf.d/test.conf")
    try:
        restart_session_daemon(m)
        m.client.wait_agent()
        error = refused(m, path)
        if "disabled" not in error.lower():
            raise Failure("the client was not told why: %r" % error)
        if listing(m):
            raise Failure("leftovers: %s" % listing(m))
    finally:
        m.guest.run("rm /etc/spice-pv/agent-session.conf.d/test.conf")
        restart_session_daemon(m)
    m.client.wait_agent()

    def accepted():
        return m.client.finish(m.client.start("files", path), 20)["ok"]
    wait_for(accepted, 10, "files are accepted again", 0.3)
    received(m, "policy.bin", digest)
    clean(m)


@ours_only
def test_file_session_daemon_killed(m):
    """Client told, daemon back within 2 s, nothing left behind."""
    clean(m)
    path, _ = make(m, "killed.bin", 200 << 20)
    small, digest = make(m, "after.bin", 1 << 20)
    started = start_and_wait_progress(m, path)
    m.guest.run("kill -9 %d" % m.pid(m.agent.session))
    killed = time.monotonic()
    if m.client.finish(started, 10)["ok"]:
        raise Failure("the client believes that the file arrived")
    told = time.monotonic() - killed
    wait_for(lambda: m.client.finish(m.client.start("files", small), 10)["ok"], 10, "the next file is accepted", 0.1)
    back = time.monotonic() - killed
    received(m, "after.bin", digest)
    if listing(m) != ["after.bin"]:
        raise Failure("leftovers: %s" % listing(m))
    if told > 2 or back > 3:  # the small file itself takes most of a second under emulation
        raise Failure("told after %.1f s, next file through after %.1f s" % (told, back))


def test_file_client_disconnects(m):
    clean(m)
    path, _ = make(m, "lost.bin", 200 << 20)
    start_and_wait_progress(m, path)
    m.client.command("disconnect")
    wait_for(lambda: not listing(m), 5, lambda: "leftovers: %s" % listing(m))
    m.client.connect(m.vm.spice)
    m.client.wait_agent()
    path, digest = make(m, "after loss.bin", 1 << 20)
    m.client.command("files", path, timeout=20)
    received(m, "after loss.bin", digest)


@ours_only
def test_file_notification(m):
    """The desktop's notification service is told the file's name."""
    clean(m)
    monitor = m.guest.start("exec dbus-monitor --session \"interface='org.freedesktop.Notifications',member='Notify'\"",
                            user="alice")
    monitor.line()
    path, digest = make(m, "notified.bin", 1 << 20)
    m.client.command("files", path, timeout=20)
    received(m, "notified.bin", digest)
    try:
        wait_for(lambda: b"notified.bin" in monitor.out, 5, lambda: "no notification: " + monitor.describe())
    finally:
        monitor.kill()
