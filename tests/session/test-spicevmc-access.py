#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may connect to spicevmc, and what it refuses to start with: each with its exit status and the reason."""

import grp
import signal
import stat

from spicevmcd import *

CONFIG, IN_USE, SECURITY = 2, 3, 4


def program(*args, **options):
    return subprocess.run([vm.Host.program(), *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=20, **options)


def refused(args, status, *words):
    """spicevmc does not start with these arguments; returns what it says."""
    run = program(*args)
    if run.returncode != status:
        raise Failure("exit status %d, wanted %d: %s\n%s" % (run.returncode, status, args, run.stderr))
    lines = [line for line in run.stderr.splitlines() if line.startswith("spicevmc: ") and "../server/" not in line]
    if not lines or any(word not in lines[-1] for word in words):
        raise Failure("%s are not all in: %s" % (words, run.stderr))
    return run.stderr


def files_of(m):
    """Everything in the machine's directory but what the test has put there."""
    found = []
    for directory, names, files in os.walk(m.dir):
        found += [os.path.relpath(os.path.join(directory, name), m.dir) for name in names + files]
    return sorted(set(found) - {"vm.conf", "ticket", "spicevmc.log", "run", "run/vm", "run/vm/lock"})


def refusal_of(client, where, *properties, timeout=10):
    """Why the client's connection fails."""
    mark = client.mark()
    client.command("connect", *where, *properties)
    return client.wait_event("channel", mark, timeout, type="main", state="error")["reason"]


def test_ticket():
    with Machine(start=False) as m:
        m.host.args += ["--ticket-file", ticket_file(m)]
        m.host.start()
        m.pointer()
        for wrong in ("", "s3cret-t1cke", TICKET + "x", "x" * 59):
            try:
                m.main(password=wrong)
            except rawspice.Refused as error:
                expect(error.code, rawspice.PERMISSION_DENIED, "result of the log-in")
            else:
                raise Failure("the ticket %r was taken" % wrong)
        client = m.client(connect=False)
        expect(refusal_of(client, ("unix", m.spice), "password=wrong"), "auth", "wrong ticket")
        expect(refusal_of(client, ("unix", m.spice)), "auth", "no ticket")
        mark = client.mark()
        client.connect(m.spice, "password=" + TICKET)
        wait_picture(client, mark)
        client.wait_agent(10)
        client.close()
        m.main(password=TICKET)
        m.check()


def test_no_secret_to_be_seen():
    with Machine(start=False) as m:
        m.host.args += ["--ticket-file", ticket_file(m)]
        m.host.start()
        m.pointer()
        m.main(password=TICKET)
        with contextlib.suppress(rawspice.Refused):
            m.main(password=TICKET + "-wrong")
        m.logged("client connected")
        seen = {"log": m.log(), "status": str(m.status())}
        for name in ("cmdline", "environ"):
            path = "/proc/%d/%s" % (m.host.pid, name)
            with contextlib.suppress(PermissionError), open(path, errors="replace") as file:
                seen[name] = file.read()
        for kind in ("vv", "qemu-args", "libvirt-xml"):
            seen[kind] = m.host.print(kind)
        for name, text in seen.items():
            if TICKET in text:
                raise Failure("the ticket is in the " + name)
        expect(os.stat("/proc/%d/mem" % m.host.pid).st_uid, 0, "owner of the memory of a process that cannot be traced")


def test_ticket_files():
    with Machine(start=False) as m:
        args = m.host.args + ["--ticket-file", m.path("ticket")]
        refused(args, CONFIG, "ticket-file", m.path("ticket"), "No such file")
        for mode in (0o604, 0o640, 0o620, 0o602, 0o644, 0o666):
            ticket_file(m, mode=mode)
            refused(args, SECURITY, "ticket-file", m.path("ticket"), "%04o" % mode)
        for text in ("", "\n", "two\nlines\n", "x" * 60, "nul\0inside"):
            ticket_file(m, text)
            said = refused(args, CONFIG, "ticket-file", m.path("ticket"))
            if "two" in said or "xxx" in said or "inside" in said:
                raise Failure("the ticket is in the message: " + said)
        os.unlink(m.path("ticket"))
        os.mkdir(m.path("ticket"))
        refused(args, CONFIG, "ticket-file", m.path("ticket"))
        os.rmdir(m.path("ticket"))
        if os.geteuid() == 0:
            ticket_file(m)
            os.chown(m.path("ticket"), 65534, -1)
            refused(args, SECURITY, "ticket-file", "another user")
        refused(m.host.args + ["--ticket-file", "credential:ticket"], CONFIG, "credential:ticket")
        expect(files_of(m), [], "files left behind")


def test_ticket_from_credential():
    with Machine(start=False) as m:
        os.environ["CREDENTIALS_DIRECTORY"] = m.path("")
        try:
            ticket_file(m, mode=0o440)
            m.host.args += ["--ticket-file", "credential:ticket"]
            m.host.start()
        finally:
            del os.environ["CREDENTIALS_DIRECTORY"]
        m.pointer()
        m.main(password=TICKET)
        try:
            m.main(password="wrong")
        except rawspice.Refused:
            return
        raise Failure("a wrong ticket was taken")


def test_tls():
    """Right and wrong names and authorities; the certificate is for 127.0.0.1."""
    with Machine(start=False) as m:
        m.host.args = tls(m)
        other = certificates.server(m.path("other"))
        m.host.start()
        m.pointer()
        port = str(m.ports[1])
        client = m.client(connect=False)
        good = ("password=" + TICKET, "ca-file=" + m.ca)
        expect(refusal_of(client, ("tls", "localhost", port), *good), "tls", "wrong name")
        expect(refusal_of(client, ("tls", "127.0.0.1", port), good[0], "ca-file=" + other), "tls", "wrong CA")
        expect(refusal_of(client, ("tls", "127.0.0.1", port), *good, "verify=subject", "cert-subject=O=x,CN=y"), "tls",
               "wrong subject")
        expect(refusal_of(client, ("tls", "127.0.0.1", port), "password=wrong", good[1]), "auth", "wrong ticket")
        mark = client.mark()
        client.command("connect", "tls", "127.0.0.1", port, *good)
        wait_picture(client, mark)
        client.wait_agent(10)
        expect([client["tls"] for client in m.status()["clients"]], [True], "clients with TLS")
        client.close()
        # On loopback the plain port is as good.
        rawspice.Main(("127.0.0.1", m.ports[0]), password=TICKET).close()
        wait_for(lambda: not m.status()["clients"], 5, "the clients should have gone")
        m.check()


def test_tls_only():
    """Off loopback the plain port sends clients to the other one, and nothing else."""
    with Machine(start=False) as m:
        m.host.args = tls(m, "0.0.0.0")
        m.host.start()
        m.pointer()
        for kind in (rawspice.MAIN, rawspice.INPUTS, rawspice.DISPLAY):
            try:
                rawspice.Channel(("127.0.0.1", m.ports[0]), password=TICKET, kind=kind)
            except rawspice.Refused as error:
                expect(error.code, rawspice.NEED_SECURED, "on the plain port")
            else:
                raise Failure("a channel of kind %d could be had without TLS" % kind)
        main = rawspice.Main(("127.0.0.1", m.ports[1]), password=TICKET, tls=m.ca)
        main.attach()
        main.close()
        m.check()


def start_with_sasl(m, mechanism):
    """With the user alice of TICKET, in Cyrus SASL's own file."""
    with open(m.path("spicevmc.conf"), "w") as file:
        file.write("mech_list: %s\nsasldb_path: %s\n" % (mechanism, m.path("sasldb2")))
    subprocess.run(["saslpasswd2", "-c", "-p", "-f", m.path("sasldb2"), "alice"], input=TICKET.encode(), check=True)
    m.host.args += ["--sasl"]
    os.environ["SASL_CONF_PATH"] = m.dir
    try:
        m.host.start()
    finally:
        del os.environ["SASL_CONF_PATH"]


def test_sasl():
    """SCRAM over TLS."""
    with Machine(start=False) as m:
        m.host.args = tls(m, "0.0.0.0", ticket=False)
        start_with_sasl(m, "scram-sha-256")
        m.pointer()
        where, ca = ("tls", "127.0.0.1", str(m.ports[1])), "ca-file=" + m.ca
        client = m.client(connect=False)
        for user in ("username=alice", "password=wrong"), ("username=bob", "password=" + TICKET):
            expect(refusal_of(client, where, ca, *user), "auth", user)
        mark = client.mark()
        client.command("connect", *where, ca, "username=alice", "password=" + TICKET)
        wait_picture(client, mark)
        client.wait_agent(10)
        try:
            rawspice.Main(("127.0.0.1", m.ports[1]), password=TICKET, tls=m.ca)
        except (rawspice.Refused, ConnectionError):
            pass
        else:
            raise Failure("a ticket was taken in place of SASL")
        m.check()


def test_sasl_without_tls():
    """The plain port of loopback offers it on each channel."""
    with Machine(start=False, tcp=True) as m:
        start_with_sasl(m, "digest-md5")
        for kind in rawspice.MAIN, rawspice.INPUTS:
            link = m.opened(rawspice.Link(m.spice))
            link.send_bytes(rawspice.link_message(
                kind, common=rawspice.AUTH_SELECTION | rawspice.AUTH_SASL | rawspice.MINI_HEADER))
            expect(link.read_reply()[0], 0, "reply")
            link.send_bytes(struct.pack("<I", 2))  # SPICE_COMMON_CAP_AUTH_SASL
            size = struct.unpack("<I", link.receive(4))[0]
            expect(b"DIGEST-MD5" in link.receive(size), True, "the mechanism is offered")
        m.check()


def test_open_to_others():
    """Off loopback only with TLS and a ticket."""
    with Machine(start=False) as m:
        ticket = ["--ticket-file", ticket_file(m)]
        for address in ("0.0.0.0", "[::]", "192.0.2.7", "some.host"):
            args = told(m.host.args, "--listen", "tcp:%s:%d" % (address, free_port()))
            refused(args, SECURITY, "--tls-port", "--ticket-file")
            refused(args + ticket, SECURITY, "--tls-port")
        args = tls(m, "0.0.0.0", ticket=False)
        refused(args, SECURITY, "--ticket-file or --sasl")
        expect(program(*args, "--check-config").returncode, SECURITY, "--check-config")
        expect([name for name in files_of(m) if not name.startswith("tls")], [], "files left behind")


def test_loopback():
    with Machine(start=False) as m:
        addresses = ["127.0.0.1", "127.1.2.3", "localhost"]
        with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
            addresses.append("::1")
        for address in addresses:
            port = free_port()
            m.host.args = told(m.host.args, "--listen", ("tcp:[%s]:%d" if ":" in address else "tcp:%s:%d") % (address, port))
            m.host.start()
            rawspice.Main((address, port)).close()
            m.host.stop()


def test_tls_files():
    """Each file that is missing, broken, or not of the others is named."""
    with Machine(start=False) as m:
        args = tls(m)
        paths = {"tls-ca": m.ca, "tls-cert": m.path("tls/server-cert.pem"), "tls-key": m.path("tls/server-key.pem")}
        certificates.server(m.path("other"))
        for setting, path in paths.items():
            with open(path, "rb") as file:
                good = file.read()
            mode = stat.S_IMODE(os.stat(path).st_mode)
            os.unlink(path)
            refused(args, CONFIG, setting, path, "No such file")
            os.mkdir(path)
            refused(args, CONFIG, setting, path)
            os.rmdir(path)
            for broken in (b"", b"no PEM", good[:len(good) // 2], good.replace(b"A", b"B")):
                with open(path, "wb") as file:
                    file.write(broken)
                os.chmod(path, mode)
                refused(args, CONFIG, setting, path)
            with open(path, "wb") as file:
                file.write(good)
        key, certificate = m.path("other/server-key.pem"), m.path("other/server-cert.pem")
        refused(told(args, "--tls-key", key), CONFIG, "tls-key", key, paths["tls-cert"])
        refused(told(args, "--tls-cert", certificate), CONFIG, "tls-key", certificate)
        os.chmod(paths["tls-key"], 0o644)
        refused(args, SECURITY, "tls-key", paths["tls-key"])
        os.chmod(paths["tls-key"], 0o600)
        expect(program(*args, "--check-config").returncode, 0, "--check-config with all of them in order")


def test_port_in_use():
    with Machine(start=False) as m, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = str(taken.getsockname()[1])
        refused(told(m.host.args, "--listen", "tcp:127.0.0.1:" + port), IN_USE, "127.0.0.1", port)
        refused(told(tls(m), "--tls-port", port), IN_USE, "127.0.0.1", port)
        expect([name for name in files_of(m) if not name.startswith("tls")], [], "files left behind")


def socket_paths(m):
    return [m.spice, m.path("run/vm/control")] + list(m.host.paths.values())


def test_sockets_in_use():
    """A path where another program listens is left to it."""
    with Machine(start=False) as m:
        os.makedirs(m.path("run/vm"))
        for path in socket_paths(m):
            with socket.socket(socket.AF_UNIX) as taken:
                taken.bind(path)
                taken.listen(1)
                refused(m.host.args, IN_USE, path)
                expect(files_of(m), [os.path.relpath(path, m.dir)], "files left behind")
                vm.unix_connect(path).close()
            os.unlink(path)


def test_foreign_files():
    """A file, directory, symbolic link or FIFO where a socket belongs stays as it is."""
    with Machine(start=False) as m:
        os.makedirs(m.path("run/vm"))
        victim = m.path("victim")
        with open(victim, "w") as file:
            file.write("precious")

        def a_file(path):
            with open(path, "w") as file:
                file.write("precious")

        def a_socket_elsewhere(path):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.bind(m.path("elsewhere"))
            os.symlink(m.path("elsewhere"), path)
        makers = (a_file, os.mkdir, os.mkfifo, lambda path: os.symlink(victim, path),
                  lambda path: os.symlink(m.path("nothing"), path), a_socket_elsewhere)
        for path in socket_paths(m):
            for make in makers:
                make(path)
                look = lambda: [getattr(os.lstat(path), what) for what in ("st_ino", "st_mode", "st_mtime_ns")]
                before = look()
                refused(m.host.args, CONFIG, path)
                expect(look(), before, "what stands at " + path)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(m.path("elsewhere"))
                left = set(files_of(m)) - {os.path.relpath(path, m.dir), "victim"}
                expect(left, set(), "files left behind")
                os.rmdir(path) if stat.S_ISDIR(before[1]) else os.unlink(path)
        with open(victim) as file:
            expect(file.read(), "precious", "the file that was pointed to")
        m.host.start()


def test_foreign_runtime_directory():
    with Machine(start=False) as m:
        os.mkdir(m.path("run"))
        os.mkdir(m.path("elsewhere"))
        os.symlink(m.path("elsewhere"), m.path("run/vm"))
        refused(m.host.args, CONFIG, m.path("run/vm"))
        os.unlink(m.path("run/vm"))
        with open(m.path("run/vm"), "w"):
            pass
        refused(m.host.args, CONFIG, m.path("run/vm"))
        os.unlink(m.path("run/vm"))
        os.mkdir(m.path("run/vm"))
        os.symlink(m.path("victim"), m.path("run/vm/lock"))
        refused(m.host.args, CONFIG, "lock")
        if os.path.exists(m.path("victim")) or os.listdir(m.path("elsewhere")):
            raise Failure("a symbolic link was followed")
        os.unlink(m.path("run/vm/lock"))
        if os.geteuid() == 0:
            os.chown(m.path("run/vm"), 65534, -1)
            refused(m.host.args, SECURITY, m.path("run/vm"), "another user")


def test_paths_too_long():
    with Machine(start=False) as m:
        long = m.path("x" * (108 - len(m.path(""))))
        expect(len(long), 108, "length of the path")
        refused(told(m.host.args, "--listen", "unix:" + long), CONFIG, long)
        refused(m.host.args + ["--channel", "usbredir,path=" + long], CONFIG, long)
        refused(m.host.args + ["--qmp", long], CONFIG, long)
        refused(told(m.host.args, "--runtime-dir", long[:-5]), CONFIG, long[:-5])
        m.host.args = told(m.host.args, "--listen", "unix:" + long[:-1])
        m.host.start()
        rawspice.Main(long[:-1]).close()


@machine()
def test_second_daemon(m):
    """Of the same name: refused, and the first goes on, with its sockets."""
    pointer = m.pointer()
    said = refused(m.host.args, IN_USE, "another spicevmc serves vm", str(m.host.pid))
    elsewhere = told(m.host.args, "--listen", "unix:" + m.path("other.sock"))
    refused(elsewhere, IN_USE, "another spicevmc serves vm")
    # Another name does not help it to the same sockets.
    refused(told(m.host.args, "--name", "other"), IN_USE, m.spice)
    refused(told(elsewhere, "--name", "other"), IN_USE, m.path("vdagent-0.sock"))
    if "bug" in said or os.path.exists(m.path("other.sock")):
        raise Failure("a socket was left behind")
    works(m, pointer=pointer)


@machine()
def test_stale_sockets(m):
    """After kill -9 everything is as it was, but nobody listens."""
    m.host.kill(signal.SIGKILL)
    for path in socket_paths(m):
        expect(stat.S_ISSOCK(os.lstat(path).st_mode), True, "socket at " + path)
    m.host.start()
    works(m)


def test_nothing_is_left():
    """Ended when told to, it takes its sockets along."""
    with Machine() as m:
        m.pointer()
        m.main()
        m.host.kill(signal.SIGTERM)
        expect(m.host._process.returncode, 0, "exit status")
        expect(files_of(m), [], "files")
        if "thrown out" in m.log():
            raise Failure("it blames somebody for its own end:\n" + m.log())


def watched(m, path, group):
    """Mode and group of the socket at the moment at which one can first connect to it."""
    seen = []

    def watch():
        end = time.monotonic() + 10
        while not seen and time.monotonic() < end:
            with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(OSError):
                sock.connect(path)
                info = os.stat(path)
                seen.append((stat.S_IMODE(info.st_mode), info.st_gid))
    thread = threading.Thread(target=watch)
    thread.start()
    return thread, seen


def test_mode_and_group():
    """Of every socket, from the beginning."""
    groups = [entry.gr_name for entry in grp.getgrall() if entry.gr_gid != os.getegid()] if os.geteuid() == 0 else []
    group = groups[0] if groups else grp.getgrgid(os.getegid()).gr_name
    gid = grp.getgrnam(group).gr_gid
    for mode in (0o660, 0o600, 0o666):
        with Machine(start=False, args=["--socket-mode", "%o" % mode, "--socket-group", group]) as m:
            paths = [m.spice] + list(m.host.paths.values())
            watchers = [watched(m, path, group) for path in paths]
            m.host.start()
            for path, (thread, seen) in zip(paths, watchers):
                thread.join()
                expect(seen, [(mode, gid)], "mode and group of " + path)
            expect(stat.S_IMODE(os.stat(m.path("run/vm/control")).st_mode), 0o600, "mode of the control socket")
            info = os.stat(m.path("run/vm"))
            expect((stat.S_IMODE(info.st_mode), info.st_gid), ({0o660: 0o710, 0o600: 0o700, 0o666: 0o711}[mode], gid),
                   "mode and group of the directory")
    with Machine(start=False) as m:
        refused(m.host.args + ["--socket-group", "no-such-group"], CONFIG, "no-such-group")
        m.host.start()
        expect([stat.S_IMODE(os.stat(path).st_mode) for path in socket_paths(m)], [0o600] * 4, "modes by default")


def test_check_config():
    """Says whether all is in order, and makes nothing."""
    with Machine(start=False) as m:
        expect(program(*m.host.args, "--check-config").returncode, 0, "exit status")
        if os.path.exists(m.path("run")) or os.path.exists(m.spice):
            raise Failure("--check-config has made something")
        run = program(*told(m.host.args, "--listen", "tcp:0.0.0.0:1"), "--check-config")
        expect(run.returncode, SECURITY, "exit status for all of the world")
        for wrong, status in ((["--ticket-file", ticket_file(m, mode=0o644)], SECURITY),
                              (["--socket-mode", "888"], CONFIG), (["--display", "0,1x"], CONFIG),
                              (["--channel", "vdagent,path=/x"], CONFIG), (["--policy", "files=maybe"], CONFIG),
                              (["--policy", "usbredir-filter=1,2"], CONFIG), (["--no-such-option"], CONFIG)):
            expect(program(*m.host.args, *wrong, "--check-config").returncode, status, "exit status with %s" % wrong)
        with open(m.host.config, "a") as file:
            file.write("[vm]\nlissten=unix:/x\n")
        said = refused(m.host.args + ["--check-config"], CONFIG, "lissten", m.host.config)
        refused(m.host.args, CONFIG, "lissten")
        if os.path.exists(m.path("run")):
            raise Failure("something was made: " + said)


run(globals(), "spicevmc-access")
