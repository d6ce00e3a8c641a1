# SPDX-License-Identifier: LGPL-2.1-or-later
"""Units of ours under a real systemd, as a user's manager of root's: it gives services the namespaces, capabilities and
system calls that the units say, which no stand-in does. Only what control groups do is left out.

To be used in a mount namespace of its own, with a /run and an /etc that may be written."""

import glob
import os
import shutil
import stat
import subprocess

from agentsystem import TIMEOUT, Failure, Skip, wait_for

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../agent-system/data")
MANAGER = "/lib/systemd/systemd"
RUNTIME = "/run/user/0"
HIDDEN = "/run/systemd/inaccessible"  # what systemd puts before what a unit may not see
GROUPS = "/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"


class RealUnits:
    """Sockets of ours, listening, once for a namespace. `libexec` has the programs that are installed there."""

    def __init__(self, *names, libexec):
        self.log_path = "/run/realunits.log"  # of the services
        self.group = "spice-pv-test-%d" % os.getpid()
        self.environment = dict(os.environ, XDG_RUNTIME_DIR=RUNTIME)
        self.environment.pop("DBUS_SESSION_BUS_ADDRESS", None)
        self.install(names, libexec)
        self.manager = subprocess.Popen([MANAGER, "--user"], env=self.environment, preexec_fn=self.enter_group,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        try:
            try:
                wait_for(lambda: self.systemctl("list-jobs", check=False) == "No jobs running.\n", "manager")
            except Failure:
                raise Skip("systemd --user does not run here")
            self.systemctl("set-environment", "PATH=" + os.environ["PATH"])
            self.systemctl("start", *(name + ".socket" for name in names))
        except BaseException:
            self.stop()
            raise

    def install(self, names, libexec):
        for path in "/run/systemd/system", HIDDEN + "/dir", RUNTIME, "/run/libexec", "/etc/systemd/user":
            os.makedirs(path, exist_ok=True)
        for name, kind in (("reg", stat.S_IFREG), ("fifo", stat.S_IFIFO), ("sock", stat.S_IFSOCK),
                           ("chr", stat.S_IFCHR), ("blk", stat.S_IFBLK)):
            os.mknod(os.path.join(HIDDEN, name), kind)
        for path in glob.glob(libexec + "/spice-agent-*"):  # where they are, a unit may not see them
            shutil.copy(path, "/run/libexec")
        for name in names:
            for file in name + ".socket", name + "@.service":
                with open(os.path.join(DATA, file)) as source, open("/etc/systemd/user/" + file, "w") as copy:
                    copy.write(source.read().replace("/usr/libexec/spice-pv/", "/run/libexec/")
                               .replace("[Socket]", "[Socket]\nRemoveOnStop=yes")
                               .replace("=journal", "=append:" + self.log_path))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def enter_group(self):
        for path in GROUPS:
            if os.path.exists(path + "/cgroup.procs"):
                os.makedirs(os.path.join(path, self.group), exist_ok=True)
                with open(os.path.join(path, self.group, "cgroup.procs"), "w") as file:
                    file.write(str(os.getpid()))

    def systemctl(self, *arguments, check=True):
        result = subprocess.run(["/usr/bin/systemctl", "--user", *arguments], env=self.environment, capture_output=True,
                                text=True)
        if check and result.returncode:
            raise Failure("systemctl %s: %s" % (" ".join(arguments), result.stderr))
        return result.stdout

    def log(self):
        with open(self.log_path) as file:
            return file.read()

    def stop(self):
        self.manager.terminate()  # it ends its services
        self.manager.wait(TIMEOUT)
        for path in GROUPS:
            for directory, _, _ in os.walk(os.path.join(path, self.group), topdown=False):
                wait_for(lambda: self.remove_group(directory), "end of the services")

    def remove_group(self, directory):
        try:
            os.rmdir(directory)
        except OSError:  # there are processes in it
            return False
        return True
