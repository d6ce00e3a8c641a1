#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""File transfers: what arrives, under which name, and what is refused."""

import ctypes
import hashlib
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time

import sessiond as s

TRANSFERS = 256  # LIMIT_TRANSFERS


class Case:
    def __init__(self, config="", directory=None, **options):
        self.own = tempfile.TemporaryDirectory()
        self.directory = directory or os.path.join(self.own.name, "in", "box")
        self.bus = s.Bus()
        self.agent = s.Agent(self.bus)
        self.daemon = s.Daemon(self.bus, config=config or "[files]\ndirectory=%s\n" % self.directory, **options)
        self.caps = self.agent.client()
        self.control, self.files = self.agent.control, self.agent.files

    def __enter__(self):
        return self

    def __exit__(self, kind, _value, _trace):
        try:
            if kind:
                print(self.daemon.text()[-3000:])
            self.daemon.stop()
        finally:
            self.agent.close()
            self.bus.stop()
            self.own.cleanup()

    def begin(self, number, name, size):
        self.files.send(s.file_start(number, name, size))
        return self.files.status(number)

    def begin_well(self, number, name, size):
        status = self.begin(number, name, size)
        assert status == (s.CAN_SEND, b""), status

    def put(self, number, name, data, piece=65536):
        """A whole transfer, as spice-gtk does it: an empty file has one empty piece."""
        self.begin_well(number, name, len(data))
        for at in range(0, max(len(data), 1), piece):
            self.files.send(s.file_data(number, data[at:at + piece]))
        return self.files.status(number)

    def names(self):
        return sorted(os.listdir(self.directory)) if os.path.isdir(self.directory) else []

    def read(self, name):
        with open(os.path.join(self.directory, name), "rb") as file:
            return file.read()

    def still_works(self):
        before = self.names()
        assert self.put(4711, "still works", b"yes") == (s.SUCCESS, b"")
        assert self.names() == sorted(before + ["still works"]), self.names()
        os.unlink(os.path.join(self.directory, "still works"))


def sizes_and_pieces():
    with Case() as case:
        for number, (size, piece) in enumerate([(0, 1), (1, 1), (65536, 65536), (65537, 65536), (300000, 2048),
                                                (1 << 20, 262144), (131072, 131072), (5000, 7)]):
            data = os.urandom(size)
            assert case.put(number, "file%d" % number, data, piece) == (s.SUCCESS, b"")
            assert case.read("file%d" % number) == data
        mode = os.stat(os.path.join(case.directory, "file1")).st_mode & 0o777
        assert mode == 0o666 & ~current_umask(), oct(mode)


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def messages_cut_anywhere():
    with Case() as case:
        data = os.urandom(20)
        whole = s.file_start(1, "cut", 20) + s.file_data(1, data[:11]) + s.file_data(1, data[11:])
        for at in range(1, len(whole)):
            case.files.send(whole[:at])
            s.settle(0.005)
            case.files.send(whole[at:])
            assert case.files.status(1) == (s.CAN_SEND, b"")
            assert case.files.status(1) == (s.SUCCESS, b"")
            assert case.read("cut") == data
            os.unlink(os.path.join(case.directory, "cut"))


def several_at_once():
    with Case() as case:
        data = {number: os.urandom(200000 + number) for number in range(20)}
        for number, content in data.items():
            case.begin_well(number, "n%d" % number, len(content))
        assert case.names() == [], "nothing has a name before it is complete"
        for at in range(0, 210000, 30000):
            for number, content in data.items():
                if content[at:]:
                    case.files.send(s.file_data(number, content[at:at + 30000]))
        for number, content in data.items():
            assert case.files.status(number) == (s.SUCCESS, b"")
            assert case.read("n%d" % number) == content


def written_in_large_pieces():
    """However small the messages are."""
    def written():
        with open("/proc/%d/io" % case.daemon.process.pid, encoding="utf-8") as file:
            values = dict(line.split() for line in file)
        return int(values["syscw:"]), int(values["wchar:"])

    with Case() as case:
        data = os.urandom(16 << 20)
        for number, piece in (1, 16384 - 32), (2, 65536):
            before = written()
            assert case.put(number, "large%d" % number, data, piece) == (s.SUCCESS, b"")
            assert case.read("large%d" % number) == data
            calls, size = (now - then for now, then in zip(written(), before))
            # 128 are due. GLib wakes its loop by writing eight bytes, many times.
            assert calls - (size - len(data)) // 8 < 200, (calls, size)


def batch_of_another():
    """What waits to be written belongs to one transfer, whatever becomes of it and of the others."""
    with Case() as case:
        first, second = os.urandom(1000), os.urandom(1000)
        # It is cancelled before it was written; the next one has nothing of it.
        case.begin_well(1, "cancelled", 2000)
        case.files.send(s.file_data(1, first))
        case.files.send(s.message(s.FILE_STATUS, struct.pack("<II", 1, s.CANCELLED)))
        assert case.put(2, "second", second) == (s.SUCCESS, b"") and case.read("second") == second
        # Another one completes, fails and begins meanwhile.
        case.begin_well(1, "first", 1000)
        case.files.send(s.file_data(1, first[:500]))
        assert case.put(3, "third", second) == (s.SUCCESS, b"") and case.read("third") == second
        case.begin_well(4, "too much", 1000)
        case.files.send(s.file_data(4, bytes(400)))
        case.files.send(s.file_data(4, bytes(601)))
        assert case.files.status(4)[0] == s.ERROR
        case.begin_well(5, "empty", 0)
        case.files.send(s.file_data(1, first[500:999]))
        case.files.send(s.file_data(5, b""))
        assert case.files.status(5) == (s.SUCCESS, b"")
        case.files.send(s.file_data(1, first[999:]))
        assert case.files.status(1) == (s.SUCCESS, b"") and case.read("first") == first
        # It cannot be written when the turn comes to another one, which goes on.
        subprocess.run(["prlimit", "--fsize=100000", "--pid", str(case.daemon.process.pid)], check=True)
        case.begin_well(6, "limited", 300000)
        case.begin_well(7, "goes on", 2000)
        case.files.send(s.file_data(6, bytes(120000)))
        case.files.send(s.file_data(7, first))
        assert case.files.status(6)[0] == s.ERROR
        case.files.send(s.file_data(6, bytes(1000)))
        case.files.send(s.file_data(7, second))
        assert case.files.status(7) == (s.SUCCESS, b"") and case.read("goes on") == first + second
        # Nor at its own end.
        case.begin_well(8, "limited", 110000)
        case.files.send(s.file_data(8, bytes(110000)))
        assert case.files.status(8)[0] == s.ERROR
        case.still_works()
        assert case.names() == ["empty", "first", "goes on", "second", "third"], case.names()
        assert open_files(case) == []


def name_clashes():
    with Case() as case:
        os.makedirs(case.directory)
        target = os.path.join(case.own.name, "target")
        with open(target, "wb") as file:
            file.write(b"precious")
        os.symlink(target, os.path.join(case.directory, "link"))
        os.symlink("/nonexistent", os.path.join(case.directory, "dangling"))
        os.mkdir(os.path.join(case.directory, "folder.d"))
        for number, (name, stored) in enumerate([
                ("a.txt", "a.txt"), ("a.txt", "a (1).txt"), ("a.txt", "a (2).txt"), ("link", "link (1)"),
                ("dangling", "dangling (1)"), ("folder.d", "folder (1).d"), (".hidden", ".hidden"),
                (".hidden", ".hidden (1)"), ("x" * 255, "x" * 255), ("x" * 255, "x" * 251 + " (1)"),
                ("ä" * 125 + ".txt", "ä" * 125 + ".txt"), ("ä" * 125 + ".txt", "ä" * 123 + " (1).txt"),
                ("tab\\tis", None)]):
            content = b"%d" % number
            if stored is None:
                assert case.begin(number, name, 1)[0] == s.ERROR
                continue
            assert case.put(number, name, content) == (s.SUCCESS, b""), name
            assert case.read(stored) == content, stored
        with open(target, "rb") as file:
            assert file.read() == b"precious"


def bad_names():
    with Case() as case:
        for name in ("..", ".", "/etc/passwd", "a/b", "../x", "", "n" * 256, "n" * 300, b"\xff\xfe", b"a\xc3", "a\\nb"):
            status, detail = case.begin(1, name, 3)
            assert status == s.ERROR and len(detail) == 5, name
        start = struct.pack("<I", 1)
        for keys in (b"", b"\0", b"[vdagent-file-xfer]\nname=a\0b\nsize=3\n\0", b"[vdagent-file-xfer]\nname=a\n\0",
                     b"[vdagent-file-xfer]\nsize=3\n\0", b"[other]\nname=a\nsize=3\n\0", b"garbage\0", b"[\0",
                     b"\xff" * 99,
                     b"[vdagent-file-xfer]\nname=a\nsize=-1\n\0",
                     b"[vdagent-file-xfer]\nname=a\nsize=99999999999999999999\n\0",
                     b"[vdagent-file-xfer]\nname=a\nsize=3x\n\0", b"[vdagent-file-xfer]\nname=a\nsize=\n\0"):
            case.files.send(s.message(s.FILE_START, start + keys))
        case.still_works()
        # Data for what was refused goes nowhere.
        case.files.send(s.file_data(1, b"abc"))
        case.still_works()
        assert case.names() == []
        assert case.daemon.text().count("refused") < 40, "the log is not limited"


def statuses_without_details():
    """A client that does not know of details gets none: it would take the message as malformed."""
    with Case() as case:
        case.agent.client(caps=0)
        assert case.begin(1, "..", 3) == (s.ERROR, b"")
        assert case.begin(2, "huge", 1 << 60) == (s.NO_SPACE, b"")


def more_than_announced():
    with Case() as case:
        case.begin_well(1, "short", 10)
        case.files.send(s.file_data(1, b"12345678901"))
        assert case.files.status(1)[0] == s.ERROR
        case.begin_well(1, "short", 10)
        case.files.send(s.file_data(1, b"1234567"))
        case.files.send(s.file_data(1, b"1234"))
        assert case.files.status(1)[0] == s.ERROR
        # Twice the same number: both end, the second cannot be told from the first.
        case.begin_well(5, "twin", 10)
        assert case.begin(5, "twin", 10)[0] == s.ERROR
        case.files.send(s.file_data(5, b"1234567890"))
        case.still_works()
        assert case.names() == []


def cancelled_by_client():
    with Case() as case:
        case.begin_well(1, "gone", 1000)
        case.files.send(s.file_data(1, b"x" * 500))
        case.files.send(s.message(s.FILE_STATUS, struct.pack("<II", 1, s.CANCELLED)))
        case.files.send(s.file_data(1, b"x" * 500))
        case.still_works()
        assert case.names() == []
        assert open_files(case) == []


def open_files(case):
    """Descriptors of the daemon that point into the directory."""
    path = "/proc/%d/fd" % case.daemon.process.pid
    found = []
    for name in os.listdir(path):
        try:
            found.append(os.readlink(os.path.join(path, name)))
        except FileNotFoundError:
            pass
    return [target for target in found if target.startswith(case.directory)]


def client_leaves():
    with Case() as case:
        for how in ("disconnected", "another", "connection"):
            case.begin_well(1, "left", 1000)
            case.files.send(s.file_data(1, b"x" * 500))
            if how == "disconnected":
                case.files.send(s.message(s.CLIENT_DISCONNECTED))
            elif how == "connection":
                case.agent.close()
            s.until(lambda: case.daemon.text().count("the client left") or how == "another", "the end")
            case.agent.client()
            case.files = case.agent.files
            s.until(lambda: open_files(case) == [], "closing the file")
            # The number belongs to nobody now.
            case.files.send(s.file_data(1, b"x" * 500))
            case.still_works()
        assert case.names() == []


def too_many():
    with Case() as case:
        for number in range(TRANSFERS):
            case.begin_well(number, "many", 10)
        for number in range(TRANSFERS, 2 * TRANSFERS):
            assert case.begin(number, "many", 10)[0] == s.ERROR
        for number in range(TRANSFERS):
            case.files.send(s.file_data(number, b"0123456789"))
            assert case.files.status(number) == (s.SUCCESS, b"")
        assert len(case.names()) == TRANSFERS


def ten_thousand_starts():
    with Case() as case:
        before = int(case.daemon.stat("VmRSS"))
        data = b"".join(s.file_start(number, "f%d" % number, 1 << 20) for number in range(10000))
        sent = 0
        answers = {}
        end = time.monotonic() + s.LIMIT
        view = memoryview(data)
        while len(answers) < 10000:
            assert time.monotonic() < end, len(answers)
            try:
                if sent < len(data):
                    sent += case.files.sock.send(view[sent:], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except BlockingIOError:
                pass
            case.files.read()
            for kind, body in case.files.messages:
                assert kind == s.FILE_STATUS
                number, result = struct.unpack_from("<II", body)
                answers[number] = result
            case.files.messages.clear()
        assert sum(result == s.CAN_SEND for result in answers.values()) == TRANSFERS
        grown = int(case.daemon.stat("VmRSS")) - before
        assert grown < 2048 or "asan" in s.BUILD, "%d KiB more" % grown


def disabled():
    with Case(config="[files]\nenabled=no\n") as case:
        assert case.caps >> s.CAP_FILES_DISABLED & 1
        assert case.begin(1, "a", 3) == (s.DISABLED, b"")


def mount(case, size):
    """A small file system of its own; None where that may not be had."""
    os.makedirs(case)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", case.encode(), b"tmpfs", 0, b"size=%d" % size) != 0:
        return None
    return lambda: libc.umount2(case.encode(), 2)


def disk_full():
    directory = os.path.join(tempfile.mkdtemp(), "small")
    umount = mount(directory, 1 << 20)
    if not umount:
        # Without the right to mount, a limit on file sizes gives the other write error.
        return file_size_limit()
    try:
        with Case(directory=directory) as case:
            status, detail = case.begin(1, "huge", 1 << 40)
            assert status == s.NO_SPACE and 900000 < struct.unpack("<Q", detail)[0] <= 1 << 20, (status, detail)
            # What transfers under way will need is not free any more.
            case.begin_well(2, "first", 700000)
            assert case.begin(3, "second", 700000)[0] == s.NO_SPACE
            # Somebody else fills the disk meanwhile.
            with open(os.path.join(directory, "other"), "wb") as other:
                other.write(b"x" * 600000)
                other.flush()
                for _ in range(10):
                    case.files.send(s.file_data(2, b"y" * 65536))
                status, detail = case.files.status(2)
                assert status == s.NO_SPACE and len(detail) == 8, (status, detail)
            os.unlink(os.path.join(directory, "other"))
            case.still_works()
            assert case.names() == []
    finally:
        umount()
        shutil.rmtree(os.path.dirname(directory))


def file_size_limit():
    with Case() as case:
        subprocess.run(["prlimit", "--fsize=100000", "--pid", str(case.daemon.process.pid)], check=True)
        case.begin_well(1, "limited", 300000)
        for _ in range(5):
            case.files.send(s.file_data(1, b"y" * 60000))
        status, _ = case.files.status(1)
        assert status == s.ERROR, status
        case.still_works()
        assert case.names() == []


def directory_cannot_be():
    with Case() as case:
        with open(os.path.join(case.own.name, "in"), "wb"):
            pass
        status, detail = case.begin(1, "a", 3)
        assert status == s.ERROR and len(detail) == 5
        os.unlink(os.path.join(case.own.name, "in"))
        case.still_works()


def download_directory():
    home = os.environ["HOME"]
    os.makedirs(os.path.join(home, ".config"), exist_ok=True)
    with Case(config="#\n") as case:
        assert case.put(1, "plain", b"1") == (s.SUCCESS, b"")
        assert os.path.isfile(os.path.join(home, "Downloads", "plain"))
        # Written after the daemon began, as xdg-user-dirs-update does at the first login.
        with open(os.path.join(home, ".config", "user-dirs.dirs"), "w", encoding="utf-8") as file:
            file.write('XDG_DOWNLOAD_DIR="$HOME/Herunter"\n')
        assert case.put(2, "xdg", b"2") == (s.SUCCESS, b"")
        assert os.path.isfile(os.path.join(home, "Herunter", "xdg"))


def killed():
    with Case() as case:
        case.begin_well(1, "killed", 1000)
        case.files.send(s.file_data(1, b"x" * 500))
        s.until(lambda: open_files(case), "the file")
        case.daemon.process.kill()
        case.daemon.process.wait()
        assert case.names() == []
        case.daemon = s.Daemon(case.bus, config="[files]\ndirectory=%s\n" % case.directory)
        case.agent.control = case.agent.files = None
        case.agent.client()
        case.files = case.agent.files
        case.still_works()


def leftovers_removed():
    home = os.environ["HOME"]
    directory = os.path.join(home, "left")
    os.makedirs(directory)
    for name in (".spice-0123456789abcdef.part", ".spice-notes", "my.part"):
        with open(os.path.join(directory, name), "wb"):
            pass
    with Case(directory=directory) as case:
        assert case.names() == [".spice-notes", "my.part"], case.names()


def speed():
    """No figure of the whole way: only that this process is far from being the limit."""
    with Case() as case:
        size = 200 << 20
        piece = os.urandom(65536)
        case.begin_well(1, "large", size)
        start = time.monotonic()
        data = s.file_data(1, piece)
        for _ in range(size // len(piece)):
            case.files.send(data)
        assert case.files.status(1) == (s.SUCCESS, b"")
        seconds = time.monotonic() - start
        digest = hashlib.sha256()
        with open(os.path.join(case.directory, "large"), "rb") as file:
            while block := file.read(65536):
                assert block == piece
                digest.update(block)
        print("    %.0f MB/s" % (size / seconds / 1e6))
        assert size / seconds > 100e6 or "asan" in s.BUILD, seconds


s.main("files", [sizes_and_pieces, messages_cut_anywhere, several_at_once, written_in_large_pieces, batch_of_another,
                 name_clashes, bad_names, statuses_without_details, more_than_announced, cancelled_by_client,
                 client_leaves, too_many, ten_thousand_starts, disabled, disk_full, file_size_limit,
                 directory_cannot_be, download_directory, killed, leftovers_removed, speed])
