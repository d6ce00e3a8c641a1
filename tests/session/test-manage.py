#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""spice-agent-manage: beside QEMU's own agent, which gets the same bytes and must answer the same but where
docs/management.md says otherwise, and alone, with hostile clients."""

import base64
import signal

import agentsystem
from manageddaemon import *

# ---- beside QEMU's agent ----

INFORMATION = ["guest-ping"] + [name for name in SCHEMA if name.startswith(("guest-get-", "guest-network-"))]
# Texts are the same on one machine, and numbers but in these.
VOLATILE = {"guest-get-time", "guest-get-load", "guest-get-cpustats", "guest-network-get-interfaces",
            "guest-get-fsinfo", "guest-get-diskstats"}

# Bytes for both agents, each in a connection of its own.
STREAMS = {
    # as clients send them
    "libvirt": b'{"execute":"guest-sync", "arguments":{"id":1795726384459}}\n{"execute":"guest-get-host-name"}\n',
    "proxmox": b'{"execute":"guest-sync-delimited","arguments":{"id":479601}}\n'
               b'{"execute":"guest-ping","arguments":{}}\n',
    "reset-first": b'\xff{"execute":"guest-sync-delimited","arguments":{"id":7}}\n',
    "no-newline": b'{"execute":"guest-ping"}{"execute":"guest-sync","arguments":{"id":8}}',
    "qemu-quotes": b"{'execute': 'guest-sync', 'arguments': {'id': 9}}",
    "spaces": b' \r\n\t{ "execute"\n:\r"guest-ping" }\r\n\r\n',
    # what is left unfinished
    "half-object": b'{"execute":\xff{"execute":"guest-ping"}',
    "half-string": b'{"execute":"gue\xff{"execute":"guest-ping"}',
    "half-array": b'[[[[\xff{"execute":"guest-ping"}',
    "half-escape": b'{"a":"\\\xff{"execute":"guest-ping"}',
    "half-then-request": b'{"execute":"guest-ping"\n{"execute":"guest-sync","arguments":{"id":3}}\n}\n',
    "resets": b"\xff" * 50,
    "fe": b"\xfe\xfe",
    # no request
    "array": b"[]",
    "scalars": b'1 2.5 "a" true null\n',
    "empty-object": b"{}",
    "execute-number": b'{"execute":3}',
    "execute-missing": b'{"arguments":{}}',
    "execute-twice": b'{"execute":"guest-ping","execute":"guest-ping"}',
    "member-unknown": b'{"execute":"guest-ping","x":1}',
    "arguments-array": b'{"execute":"guest-ping","arguments":[]}',
    "arguments-null": b'{"execute":"guest-ping","arguments":null}',
    "oob": b'{"exec-oob":"guest-ping"}',
    # no JSON
    "stray": b"@@@\n#[1]",
    "stray-controls": b"\x01\x02\x7f\n",
    "keyword": b"[tru]",
    "closing": b"}]",
    "crossed": b'{"a":1][1}',
    "crossed-open": b"[{]}\n[{]}]",
    "separator-list": b"[1 2]",
    "separator-dict": b'{"a":1 "b":2}',
    "colon": b'{"a" 1}',
    "key-number": b"{1:2}",
    "key-keyword": b"{tru:2}",
    "value-missing": b'{"a":}',
    "comma-last": b'{"execute":"guest-ping",}[1,]',
    "number-zero": b"[01]",
    "number-plus": b"[+1]",
    "number-minus": b"[-]",
    "number-dot": b"[1.]",
    "number-exponent": b"[1e]",
    "newline-in-string": b'{"execute":"a\nb"}',
    "nul-byte": b'{"execute":"a\0b"}\n',
    "utf8": b'{"execute":"\xc3("}',
    "utf8-surrogate": b'["\xed\xa0\x80"]',
    "utf8-long": b'["\xe0\x80\x80"]',
    "utf8-noncharacter": b'["\xef\xbf\xbf"]',
    "escape": b'["\\q"]',
    "escape-surrogate": b'["\\ud800"]',
    "escape-short": b'["\\u12"]',
    "escape-noncharacter": b'["\\ufdd0"]',
    "nul-escape": b'{"execute":"guest-ping","id":"\\u0000"}',
    "nul-modified": b'{"execute":"guest-ping","id":"\xc0\x80"}',
    "depth-1025": b"[" * 1025 + b"\n",
    "depth-1024": b"[" * 1024 + b"]" * 1024,
    "depth-100000": b'{"a":' * 100000,
    "tokens": b"[" + b"1," * (1 << 20) + b"1]\n",
    "long-token": b'"' + b"x" * 1000 + b"\n",
    # id
    "id": b'{"execute":"guest-ping","id":[1,{"a":null,"b":"\xe2\x82\xac\\n\\ud83d\\ude00"},true,-1.5]}',
    "id-of-errors": b'{"execute":"guest-nope","id":"x"}{"execute":"guest-sync","id":1}{"execute":7,"id":2}',
    "id-uint64": b'{"execute":"guest-ping","id":18446744073709551615}',
    "id-beyond": b'{"execute":"guest-ping","id":99999999999999999999}',
    "id-overflow": b'{"execute":"guest-ping","id":1e400}',
    # arguments
    "unknown-command": b'{"execute":"guest-nope"}',
    "windows-command": b'{"execute":"guest-get-devices"}',
    "argument-unknown": b'{"execute":"guest-ping","arguments":{"a":1}}',
    "argument-missing": b'{"execute":"guest-sync"}{"execute":"guest-sync","arguments":{}}',
    "argument-more": b'{"execute":"guest-sync","arguments":{"id":1,"b":2}}',
    "argument-text": b'{"execute":"guest-sync","arguments":{"id":"1"}}',
    "argument-real": b'{"execute":"guest-sync","arguments":{"id":1.0}}',
    "argument-exponent": b'{"execute":"guest-sync","arguments":{"id":1e3}}',
    "argument-null": b'{"execute":"guest-sync","arguments":{"id":null}}',
    "argument-int64": b'{"execute":"guest-sync","arguments":{"id":9223372036854775807}}'
                      b'{"execute":"guest-sync","arguments":{"id":-9223372036854775808}}',
    "argument-beyond": b'{"execute":"guest-sync","arguments":{"id":9223372036854775808}}'
                       b'{"execute":"guest-sync","arguments":{"id":99999999999999999999999}}',
    # files
    "handle": b"".join(request("guest-file-" + what, handle=5) for what in ("close", "read", "flush")),
    "open-missing": request("guest-file-open", path="/nonexistent/file"),
    "open-empty": request("guest-file-open", path=""),
    "open-directory": request("guest-file-open", path="/", mode="w"),
    "open-mode": b"".join(request("guest-file-open", path="/nonexistent", mode=mode)
                          for mode in ("x", "", "rr", "br", "rbb")),
    "open-nul": b'{"execute":"guest-file-open","arguments":{"path":"/etc/pass\\u0000wd"}}',
    # programs
    "exec-missing": request("guest-exec", path="/nonexistent/program"),
    "exec-name": request("guest-exec", path="no-such-program-anywhere"),
    "exec-empty": request("guest-exec", path=""),
    "exec-input": request("guest-exec", path="true", input_data="@@"),
    "exec-arguments": b"".join(request("guest-exec", path="true", arg=arg) for arg in ("a", [1], ["a", None])),
    "exec-capture": request("guest-exec", path="true", capture_output="nonsense"),
    "exec-capture-type": request("guest-exec", path="true", capture_output=3),
    "exec-status-unknown": request("guest-exec-status", pid=1),
}


def error(text, kind="GenericError"):
    return {"error": {"class": kind, "desc": text}}


def not_found(command):
    return error("The command %s has not been found" % command, "CommandNotFound")


def wrapped(text):
    return instead(text, "Guest agent command failed, error was '%s'" % text)


def output(text):
    return base64.b64encode(text.encode()).decode()


def without_privileged(reply):
    return {"return": [{name: value for name, value in entry.items() if name != "total-bytes-privileged"}
                       for entry in reply["return"]]}


def is_result(value):
    return isinstance(value, dict) and "return" in value


NO_PROGRAM = "Failed to execute child process “%s” (No such file or directory)"
NO_ZERO = "JSON parse error, \\u0000 is not a valid Unicode character"
STRAY = "JSON parse error, stray '\"%s'"
WANTS_BOOLEAN = "Invalid parameter type for 'capture-output', expected: boolean"
# What differs in the cases of all tests here, as docs/management.md says.
DIFFERENT = {
    "nul-escape": instead(error(NO_ZERO), {"id": "\0", "return": {}}),
    "nul-modified": instead(error("JSON parse error, invalid UTF-8 sequence in string"), {"id": "\0", "return": {}}),
    "open-nul": instead(NO_ZERO,
                        "failed to open file '/etc/pass\0wd' (mode: 'r'): No such file or directory"),
    "id-uint64": instead(2.0 ** 64, 2 ** 64 - 1),
    "id-overflow": instead(error("JSON parse error, real number overflow near '1e400'"), b'{"return": {}, "id": inf}'),
    "long-token": instead(STRAY % ("x" * 255), STRAY % ("x" * 1000 + "\n")),
    "windows-command": instead(not_found("guest-get-devices"),
                               error("Command guest-get-devices has been disabled", "CommandNotFound")),
    "exec-missing": wrapped(NO_PROGRAM % "/nonexistent/program"),
    "exec-name": wrapped(NO_PROGRAM % "no-such-program-anywhere"),
    "exec-empty": wrapped(NO_PROGRAM % ""),
    "exec-capture": instead("Parameter 'capture-output' does not accept value 'nonsense'", WANTS_BOOLEAN),
    "exec-capture-type": instead("Invalid parameter type for 'capture-output', expected: GuestExecCaptureOutput",
                                 WANTS_BOOLEAN),
    "exec-status-unknown": instead("PID 1 does not exist", "Invalid parameter 'pid'"),
    "guest-get-load": instead(is_result, not_found("guest-get-load")),
    "guest-network-get-route": instead(is_result, not_found("guest-network-get-route")),
    "guest-get-fsinfo": without_privileged,
    "info:guest-get-load": instead((True, True), None),
    "info:guest-network-get-route": instead((True, True), None),
    "info:guest-get-devices": instead(None, (False, True)),
    "exec:whole-environment": instead(output("PATH=/usr/bin:/bin\nONE=1\n"), output("ONE=1\n")),
    "exec:directory": instead(output("/\n"), output(os.getcwd() + "\n")),
}


def test_answers_streams_as_qemu():
    ours, theirs = both()
    with ours, theirs:
        differences = Differences(STREAMS, theirs.version, DIFFERENT)
        for case, data in STREAMS.items():
            differences.compare(case, lines_of(ours, data), lines_of(theirs, data))
        differences.check()


def test_tells_what_qemu_tells():
    ours, theirs = both()
    with ours, theirs, ours.client() as one, theirs.client() as other:
        differences = Differences(INFORMATION, theirs.version, DIFFERENT)
        for name in INFORMATION:
            one.send(request(name))
            other.send(request(name))
            volatile = name in VOLATILE
            differences.compare(name, plain(one.reply(), volatile), plain(other.reply(), volatile))
        differences.check()


def test_has_the_commands_that_qemu_has():
    ours, theirs = both()
    with ours, theirs, ours.client() as one, theirs.client() as other:
        lists = [{entry["name"]: (entry["enabled"], entry["success-response"])
                  for entry in client.call("guest-info")["supported_commands"]} for client in (one, other)]
        cases = {"info:" + name for name in [*lists[0], *lists[1]] if not name.startswith(EXTENSION)}
        differences = Differences(cases, theirs.version, DIFFERENT)
        for case in cases:
            differences.compare(case, *(entries.get(case[5:]) for entries in lists))
        differences.check()


def conversation(client, path):
    """What happens to a file; (what was asked, answer) with handles named."""
    with open(path, "wb") as file:
        file.write(b"hello world\n")
    handle = client.call("guest-file-open", path=path, mode="r+")
    steps = [("read", dict(count=count)) for count in (-1, 2 ** 62, (48 << 20) + 1, 2 ** 63, 0, 5)]
    steps += [("read", {}), ("read", {})]
    steps += [("seek", dict(offset=offset, whence=whence)) for offset, whence in
              ((0, 0), (-3, "end"), (0, "cur"), (0, "nope"), (0, 7), (0, True), (-100, 0), (2 ** 62, 2), (4, 0))]
    steps += [("seek", dict(offset=0)), ("read", dict(count=2))]
    steps += [("write", dict(buf_b64=data)) for data in ("@@@", "", "YWJj", "YWJj\n", "YWJ", "YW==", "Y=W=")]
    steps += [("write", dict(buf_b64="YWJj", count=count)) for count in (2, 4, -1)]
    steps += [("flush", {}), ("seek", dict(offset=0, whence=1)), ("seek", dict(offset=0, whence="set")), ("read", {}),
              ("close", {}), ("close", {})]
    told = []
    for what, arguments in steps:
        client.send(request("guest-file-" + what, handle=handle, **arguments))
        told.append((what, arguments, json.loads(client.line().replace(b"%d" % handle, b"HANDLE"))))
    data = dict(buf_b64="YWJj")
    for mode, what, more in ("r", "write", data), ("w", "read", {}), ("a+", "write", data):
        handle = client.call("guest-file-open", path=path, mode=mode)
        client.send(request("guest-file-" + what, handle=handle, **more))
        told.append((mode, what, client.reply()))
        client.call("guest-file-close", handle=handle)
    with open(path, "rb") as file:
        told.append(file.read())
    return told


def test_handles_files_as_qemu():
    ours, theirs = both()
    with ours, theirs, ours.client() as one, theirs.client() as other, tempfile.TemporaryDirectory() as directory:
        told = [conversation(client, os.path.join(directory, "file")) for client in (one, other)]
        for ours_told, theirs_told in zip(*told):
            expect(ours_told, theirs_told, "answer")
        modes = []
        for client, name in (one, "a"), (other, "b"):
            path = os.path.join(directory, name)
            client.call("guest-file-open", path=path, mode="w")
            modes.append(os.stat(path).st_mode)
        expect(modes[0], modes[1], "permissions of a new file")


PROGRAMS = {
    "exec:outputs": dict(path="/bin/sh", arg=["-c", "echo out; echo err >&2; exit 3"], capture_output=True),
    "exec:no-capture": dict(path="/bin/sh", arg=["-c", "echo out"]),
    "exec:signal": dict(path="/bin/sh", arg=["-c", "kill -9 $$"]),
    "exec:input": dict(path="cat", input_data="aGVsbG8=", capture_output=True),
    "exec:input-unread": dict(path="true", input_data=base64.b64encode(b"x" * 200000).decode()),
    "exec:dollar": dict(path="/bin/echo", arg=["$HOME", "%n", "a b", "\\x41", ""], capture_output=True),
    "exec:environment": dict(path="/bin/sh", arg=["-c", "echo $ONE-$TWO"], env=["ONE=1", "TWO=2 3"],
                             capture_output=True),
    "exec:whole-environment": dict(path="env", env=["ONE=1"], capture_output=True),
    "exec:large": dict(path="/bin/sh", arg=["-c", "head -c 17000000 /dev/zero"], capture_output=True),
    "exec:directory": dict(path="pwd", capture_output=True),
}


def end_of(client, pid):
    """What became of a program, when it has ended."""
    status = {}

    def ended():
        status.update(client.call("guest-exec-status", pid=pid))
        return status["exited"]
    wait_for(ended, "end of the program")
    return status


def run(client, arguments):
    pid = client.call("guest-exec", **arguments)["pid"]
    status = end_of(client, pid)
    expect(client.error("guest-exec-status", pid=pid)[0], "GenericError", "a second question")
    return status


def test_runs_programs_as_qemu():
    with Systemd() as systemd:
        ours, theirs = both("--bus", systemd.address)
        with ours, theirs, ours.client() as one, theirs.client() as other:
            run_programs(one, other, theirs.version)
        expect(systemd.units(), 0, "units left")


def run_programs(one, other, version):
    differences = Differences(PROGRAMS, version, DIFFERENT)
    for case, arguments in PROGRAMS.items():
        statuses = [run(client, arguments) for client in (one, other)]
        differences.compare(case, *statuses)
    differences.check()


# ---- alone ----

def test_answers_by_the_schema():
    with Agent("--allow", "all") as agent, agent.client() as client:
        client.send(request("guest-sync-delimited", id=5))
        expect(client.line(), b'\xff{"return": 5}', "answer")
        expect(client.call("guest-sync", id=6), 6, "answer")
        for name in INFORMATION + ["guest-info"]:
            client.call(name)
        known = {entry["name"] for entry in client.call("guest-info")["supported_commands"]}
        unchecked = known - set(SCHEMA)
        expect(unchecked, set(), "commands without a schema in the test")
        handle = client.call("guest-file-open", path=os.path.join(agent.dir, "file"), mode="w+")
        for name, arguments in ("write", dict(buf_b64="YWJj")), ("seek", dict(offset=0, whence=0)), ("read", {}), \
                ("flush", {}), ("close", {}):
            client.call("guest-file-" + name, handle=handle, **arguments)


def test_tells_names_that_are_no_text():
    """The machine and its interfaces may be called by any bytes, and they come out as text."""
    rename = ["unshare", "--net", "--uts", sys.executable, "-c", """import os, socket, subprocess, sys
socket.sethostname(b"\\xffx")
subprocess.run(["ip", "link", "set", "lo", "name", b"\\xffx"], check=True)
subprocess.run(["ip", "link", "set", b"\\xffx", "up"], check=True)
os.execv(sys.argv[1], sys.argv[1:])"""]
    with Agent(wrapper=rename) as agent, agent.client() as client:
        interface, = client.call("guest-network-get-interfaces")
        expect((interface["name"], interface["ip-addresses"][0]["ip-address"]), ("\ufffdx", "127.0.0.1"), "interface")
        expect("rx-bytes" in interface["statistics"], True, "statistics")
        expect(client.call("guest-get-host-name"), {"host-name": "\ufffdx"}, "name")
        for route in client.call("guest-network-get-route"):
            expect(route["iface"], "\ufffdx", "interface of a route")


def test_keeps_off_what_is_not_allowed():
    with Agent() as agent, agent.client() as client:
        for name in "guest-exec", "guest-file-open":
            kind, text = client.error(name, path="/bin/true")
            expect(kind, "CommandNotFound", "class")
            group = "exec" if name == "guest-exec" else "files"
            expect(text, "Command %s has been disabled: the guest's administrator has not allowed %s" % (name, group),
                   "text")
        enabled = {entry["name"]: entry["enabled"] for entry in client.call("guest-info")["supported_commands"]
                   if not entry["name"].startswith(EXTENSION)}
        expect({name for name in enabled if not enabled[name]},
               {name for name in enabled
                if name.startswith(("guest-exec", "guest-file", "guest-set-user", "guest-ssh"))}, "what is off")
        client.call("guest-get-time")


def policy(*options, config=None):
    """The commands that are on."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "settings")
        if config is not None:
            with open(path, "w") as file:
                file.write(config)
            options += "--config", path
        else:
            options += "--config", directory
        result = subprocess.run([DAEMON, "--dump-conf", *options], env=ENVIRONMENT, capture_output=True, text=True)
        expect(result.returncode, 0, "exit status (%s)" % result.stderr)
        on = set(re.findall(r"^# (\S+) \(.*\): on$", result.stdout, re.M))
        if config is None:  # what is printed is a configuration of the same effect
            expect(policy(config=result.stdout)[0], on, "what is on by its own output")
        return on, result.stderr


def test_follows_its_policy():
    default = policy()[0]
    expect("guest-exec" in default or "guest-file-read" in default, False, "exec or files")
    expect("guest-get-osinfo" in default and "guest-get-time" in default, True, "information and time")
    expect({EXTENSION + name in default for name in ("lock-session", "set-host-name", "install-packages")}, {False},
           "extensions that are off")
    expect(policy("--allow", "exec")[0] - default, {"guest-exec", "guest-exec-status"}, "exec")
    expect(policy("--allow", "guest-file-read, exec")[0] - default,
           {"guest-exec", "guest-exec-status", "guest-file-read"}, "a command and a group")
    expect(policy("--allow", "exec", "--block", "guest-exec")[0] - default, {"guest-exec-status"}, "blocked command")
    expect(policy("--block", "information")[0] & {"guest-get-users", "guest-ping"}, {"guest-ping"}, "blocked group")
    expect(policy("--block", "all")[0], set(), "all blocked")
    expect(policy(config="[policy]\nallow=all\nblock=exec\n")[0] >= {"guest-file-open"}, True, "the file's all")
    expect("guest-exec" in policy("--allow", "exec", config="[policy]\nblock=exec\n")[0], False, "blocked by the file")
    compatible = os.path.join(os.path.dirname(DAEMON), "..", "agent-system/data/compat-qemu-ga.conf")
    with open(compatible) as file:
        on, errors = policy(config=file.read())
    expect(on, {name for name in policy("--allow", "all")[0] if name in default or not name.startswith(EXTENSION)},
           "QEMU's policy")
    expect("there is no command or group nonsense" in policy("--block", "nonsense")[1], True, "a warning")
    result = subprocess.run([DAEMON, "--config", "/nonexistent.conf", "--dump-conf"], env=ENVIRONMENT,
                            capture_output=True)
    expect(result.returncode, 2, "exit status without the file")


def test_forgets_clients_that_leave():
    """At each byte of a request, and before reading the answer; the next one finds a fresh agent."""
    data = request("guest-sync", id=1) + request("guest-info")
    with Agent() as agent:
        for cut in range(len(data)):
            with agent.client() as client:
                client.send(data[:cut])
            with agent.client() as client:
                client.send(request("guest-sync", id=cut))
                expect(client.reply(), {"return": cut}, "answer after a client that left at byte %d" % cut)


def test_answers_who_shuts_down():
    """A client that has said all it had to say still gets its answers."""
    with Agent() as agent, agent.client() as client:
        client.send(request("guest-ping") * 100)
        client.socket.shutdown(socket.SHUT_WR)
        for _ in range(100):
            expect(client.reply(), {"return": {}}, "answer")


def test_waits_for_slow_readers():
    """A client that asks and does not read is not listened to any more, and not lost."""
    with Agent() as agent, agent.client() as client:
        ping = b"\xff" * 1000
        sent = 0
        client.socket.setblocking(False)
        while select.select([], [client.socket], [], 1)[1]:
            sent += client.socket.send(ping)
            if sent > 32 << 20:
                raise Failure("the agent goes on reading")
        if not agent.sanitized() and agent.status("VmRSS") > 12000:
            raise Failure("the agent has %d kB" % agent.status("VmRSS"))
        client.socket.settimeout(TIMEOUT)
        # the last byte may be half of nothing: each reset is answered by one line
        for _ in range(sent):
            client.line()
        client.send(request("guest-sync", id=77))
        expect(client.reply(), {"return": 77}, "answer")


def test_keeps_its_memory():
    with Agent("--allow", "files") as agent:
        with agent.client() as client:
            client.call("guest-info")
        sanitized = agent.sanitized()
        if not sanitized:
            for key, most in ("RssAnon", 2048), ("VmRSS", 8192):
                if agent.status(key) > most:
                    raise Failure("%s is %d kB when idle" % (key, agent.status(key)))
        before = agent.status("RssAnon")
        with agent.client() as client:
            for _ in range(100):
                client.send(request("guest-ping") * 100)
                for _ in range(100):
                    client.line()
        if not sanitized and agent.status("RssAnon") > before + 64:
            raise Failure("10 000 pings took %d kB" % (agent.status("RssAnon") - before))
        with agent.client() as client:  # 64 MiB of brackets: an error for each 1025
            client.socket.settimeout(0)
            left, lines, received = 64 << 20, 0, b""
            chunk = b"[" * 65536
            while left > 0 or lines < (64 << 20) // 1025:
                readable, writable, _ = select.select([client.socket], [client.socket] if left > 0 else [], [], TIMEOUT)
                if not readable and not writable:
                    raise Failure("the agent hangs")
                if writable:
                    left -= client.socket.send(chunk[:left])
                if readable:
                    lines += client.socket.recv(1 << 20).count(b"\n")
        with agent.client() as client:  # a string that never ends
            client.send(b'{"execute":"')
            for _ in range(1024):
                client.send(b"x" * 65537)
            client.socket.settimeout(TIMEOUT)
            expect(client.reply()["error"]["desc"], "JSON token size limit exceeded", "error")
        with agent.client() as client:
            client.call("guest-ping")
        if not sanitized and agent.status("RssAnon") > before + 1024:
            raise Failure("%d kB are not given back" % (agent.status("RssAnon") - before))


def test_sleeps_when_idle():
    """Also those threads of it that the bus has."""
    with Systemd() as systemd, Agent("--allow", "exec", "--bus", systemd.address) as agent, agent.client() as client:
        run(client, dict(path="true"))

        def sleeps():
            before = agent.switches()
            time.sleep(1)  # for nothing to happen in
            return agent.switches() == before
        wait_for(sleeps, "a second without a wake-up, when all that was begun has ended")


def test_moves_large_files():
    """48 MiB in one reply and back in one request, the most that both take."""
    with Agent("--allow", "files") as agent, agent.client() as client, tempfile.TemporaryDirectory() as directory:
        size = 48 << 20
        block = os.urandom(1 << 20)
        for name in "in", "out":
            with open(os.path.join(directory, name), "wb") as file:
                file.write(block * 48 if name == "in" else b"")
        handle = client.call("guest-file-open", path=os.path.join(directory, "in"))
        read = client.call("guest-file-read", handle=handle, count=size)
        expect((read["count"], read["eof"]), (size, False), "count and end")
        out = client.call("guest-file-open", path=os.path.join(directory, "out"), mode="w")
        client.send(request("guest-file-write", handle=out, buf_b64=read["buf-b64"][:(62 << 20)]))
        expect(client.reply()["return"]["count"], (62 << 20) // 4 * 3, "count")
        with open(os.path.join(directory, "in"), "rb") as one, open(os.path.join(directory, "out"), "rb") as other:
            expect(one.read((62 << 20) // 4 * 3) == other.read(), True, "equal contents")


def test_bounds_open_files():
    with Agent("--allow", "files") as agent, agent.client() as client:
        handles = [client.call("guest-file-open", path="/etc/os-release") for _ in range(256)]
        expect(client.error("guest-file-open", path="/etc/os-release")[1],
               "failed to open file '/etc/os-release' (mode: 'r'): Too many open files", "one more")
        expect(len(set(handles)), 256, "handles")
        client.call("guest-file-close", handle=handles[0])
        client.call("guest-file-open", path="/etc/os-release")
    with Agent("--allow", "files") as agent, agent.client() as client:
        expect(client.error("guest-file-read", handle=handles[-1])[0], "GenericError", "a handle of another process")


def test_finds_programs_for_root():
    """Also those that the daemon itself may not execute, as an unprivileged user."""
    powerless = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    with tempfile.TemporaryDirectory() as directory, Systemd() as systemd, \
            Agent("--allow", "exec", "--bus", systemd.address, wrapper=powerless,
                  PATH="relative:%s:/usr/bin:/bin" % directory) as agent, agent.client() as client:
        for name, mode in ("for-others", 0o700), ("for-nobody", 0o600):
            path = os.path.join(directory, name)
            with open(path, "w") as file:
                file.write("#!/bin/sh\n")
            os.chmod(path, mode)
            os.chown(path, 65534, 65534)
        os.mkdir(os.path.join(directory, "directory"))
        expect(run(client, dict(path="for-others"))["exitcode"], 0, "exit status")
        for name in "for-nobody", "directory", "no-such-program":
            expect("No such file" in client.error("guest-exec", path=name)[1], True, "error of " + name)


def test_bounds_programs():
    with Systemd() as systemd, Agent("--allow", "exec", "--bus", systemd.address) as agent, agent.client() as client:
        first = client.call("guest-exec", path="true")["pid"]
        for _ in range(63):
            client.call("guest-exec", path="sleep", arg=["100"])
        wait_for(lambda: systemd.units() == 63, "end of the first")
        client.call("guest-exec", path="sleep", arg=["100"])  # in the place of the one that has ended
        expect(client.error("guest-exec-status", pid=first)[0], "GenericError", "the first")
        expect(client.error("guest-exec", path="true")[1], "too many programs run already", "one more")


def test_captures_what_it_is_told_to():
    for capture, out, err in ((False, None, None), (True, b"out\n", b"err\n"), ("none", None, None),
                              ("stdout", b"out\n", None), ("stderr", None, b"err\n"),
                              ("separated", b"out\n", b"err\n"), ("merged", b"out\nerr\nend\n", None)):
        script = "echo out; echo err >&2" + ("; echo end" if capture == "merged" else "")
        wanted = {"exited": True, "exitcode": 0}
        for name, data in ("out", out), ("err", err):
            if data:
                wanted.update({name + "-data": base64.b64encode(data).decode(), name + "-truncated": False})
        with Systemd() as systemd, Agent("--allow", "exec", "--bus", systemd.address) as agent, \
                agent.client() as client:
            expect(run(client, dict(path="/bin/sh", arg=["-c", script], capture_output=capture)), wanted,
                   "what became of it with %s" % capture)


def test_bounds_what_programs_say():
    """256 MiB of all that was not asked for; the rest is cut, and there is room again when it was."""
    with Systemd() as systemd, Agent("--allow", "exec", "--bus", systemd.address) as agent, agent.client() as client:
        loud = dict(path="/bin/sh", arg=["-c", "head -c 17000000 /dev/zero; head -c 17000000 /dev/zero >&2"],
                    capture_output=True)
        pids = [client.call("guest-exec", **loud)["pid"] for _ in range(10)]
        wait_for(lambda: systemd.units() == 0, "end of the programs")
        if not agent.sanitized() and agent.status("RssAnon") > 300 << 10:
            raise Failure("the agent has %d kB" % agent.status("RssAnon"))
        kept = 0
        for pid in pids:
            told = end_of(client, pid)
            for name in "out", "err":
                expect(told[name + "-truncated"], True, "truncated")
                kept += len(base64.b64decode(told[name + "-data"]))
        expect(kept, 256 << 20, "bytes kept")
        told = run(client, loud)
        expect([len(base64.b64decode(told[name])) for name in ("out-data", "err-data")], [16 << 20] * 2, "bytes again")


def test_bounds_what_programs_do_not_read():
    with Systemd() as systemd, Agent("--allow", "exec", "--bus", systemd.address) as agent, agent.client() as client:
        silent = dict(path="sleep", arg=["100"], input_data=base64.b64encode(bytes(40 << 20)).decode())
        pids = [client.call("guest-exec", **silent)["pid"] for _ in range(3)]
        expect(client.error("guest-exec", **silent)[1], "too much input waits for programs already", "error")
        run(client, dict(path="true"))
        os.kill(pids[0], signal.SIGKILL)
        end_of(client, pids[0])
        client.call("guest-exec", **silent)


def test_tells_a_status_from_a_failure():
    """203 is systemd's for what it cannot execute, and may be a program's own."""
    with Systemd("late") as systemd, Agent("--allow", "exec", "--bus", systemd.address) as agent, \
            agent.client() as client:
        for status in 0, 3, 203:
            expect(run(client, dict(path="/bin/sh", arg=["-c", "exit %d" % status])),
                   {"exited": True, "exitcode": status}, "what became of it")
        expect(client.error("guest-exec", path="/etc/passwd"),
               ("GenericError", "Failed to execute child process “/etc/passwd” (systemd cannot execute it)"), "error")
        wait_for(lambda: systemd.units() == 0, "end of all units")


def test_orders_answers():
    """What takes time holds up what comes behind it, also when the client leaves meanwhile."""
    with Systemd() as systemd, Agent("--allow", "exec", "--bus", systemd.address) as agent:
        with agent.client() as client:
            client.send(request("guest-exec", path="true") + request("guest-sync", id=3))
            expect("pid" in client.reply()["return"], True, "the first answer")
            expect(client.reply(), {"return": 3}, "the second answer")
        for _ in range(20):
            with agent.client() as client:
                client.send(request("guest-exec", path="true"))
            with agent.client() as client:
                client.send(request("guest-sync", id=4))
                expect(client.reply(), {"return": 4}, "answer to the next client")


def test_says_when_there_is_no_systemd():
    with Agent("--allow", "exec", "--bus", "unix:path=/nonexistent") as agent, agent.client() as client:
        text = client.error("guest-exec", path="true")[1]
        if "No such file" not in text:
            raise Failure("the error is %r" % text)


def serve(*options):
    return subprocess.Popen([DAEMON, "--config", "/etc", *options], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)


def test_speaks_on_a_port():
    """A script on QEMU's socket, with the socket in the place of the virtio port."""
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        path = os.path.join(directory, "port")
        listener.bind(path)
        listener.listen()
        process = serve("--port", path)
        client = Client.__new__(Client)
        client.socket, client.bytes = listener.accept()[0], b""
        client.socket.settimeout(TIMEOUT)
        with client:
            client.send(b"\xff" + request("guest-sync-delimited", id=6))
            client.line()
            expect(client.line(), b'\xff{"return": 6}', "answer")
        expect(process.wait(TIMEOUT), 0, "exit status when the port is gone")
        process.stderr.close()


def test_leaves_the_port_to_qemu():
    with Systemd("rival") as systemd:
        process = serve("--bus", systemd.address)
        errors = process.communicate(timeout=TIMEOUT)[1]
        expect(process.returncode, 0, "exit status")
        expect("qemu-guest-agent.service serves the port; nothing to do" in errors, True, "reason (%s)" % errors)
    with Systemd() as systemd:
        process = serve("--bus", systemd.address)
        errors = process.communicate(timeout=TIMEOUT)[1]
        expect(process.returncode, 0, "exit status without a port")
        expect("org.qemu.guest_agent.0" in errors, True, "reason (%s)" % errors)


def test_ends_on_signals():
    for number in signal.SIGTERM, signal.SIGINT:
        with Agent() as agent, agent.client() as client:
            client.call("guest-ping")
            agent.process.send_signal(number)
            expect(agent.process.wait(TIMEOUT), 0, "exit status")
            expect(os.path.exists(agent.path), False, "socket")
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        path = os.path.join(directory, "bus")  # takes connections and says nothing
        listener.bind(path)
        listener.listen()
        with Agent("--allow", "exec", "--bus", "unix:path=" + path) as agent, agent.client() as client:
            client.send(request("guest-exec", path="true"))
            wait_for(lambda: select.select([listener], [], [], 0)[0], "call")
            agent.process.terminate()
            expect(agent.process.wait(TIMEOUT), 0, "exit status with a program being started")


agentsystem.run([value for name, value in list(globals().items()) if name.startswith("test_")], "manage")
