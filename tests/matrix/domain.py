# SPDX-License-Identifier: LGPL-2.1-or-later
"""A virtual machine under libvirt, made from what spicevmc prints, for the tests of the VM suite."""

import json
import os
import select
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree

import harness
import vm
from vm import Failure

HERE = os.path.dirname(os.path.abspath(__file__))


def inside(tree, *words):
    return [os.path.join(HERE, "inside"), tree, *words]


def edited(printed, image, directory, cmdline):
    """What an administrator adds to the printed domain: emulation, a disk and how to boot; and the test's own ports."""
    domain = ElementTree.fromstring(printed)
    domain.set("type", "qemu")
    domain.find("memory").text = "1024"
    system = domain.find("os")
    for name, text in (("kernel", os.path.join(image, "vmlinuz")), ("initrd", os.path.join(image, "initrd")),
                       ("cmdline", cmdline)):
        ElementTree.SubElement(system, name).text = text
    domain.insert(list(domain).index(domain.find("devices")), ElementTree.fromstring(
        "<cpu mode='custom' match='exact' check='none'><model>Nehalem</model></cpu>"))
    devices = domain.find("devices")
    for text in (
            "<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='unsafe'/>"
            "<source file='{dir}/disk.qcow2'/><target dev='vda' bus='virtio'/></disk>",
            "<channel type='unix'><source mode='bind' path='{dir}/test.sock'/>"
            "<target type='virtio' name='org.spice-pv.test.0'/></channel>",
            "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>",
            "<serial type='file'><source path='{dir}/console.log'/></serial>"):
        devices.append(ElementTree.fromstring(text.format(dir=directory)))
    ElementTree.register_namespace("qemu", "http://libvirt.org/schemas/domain/qemu/1.0")
    return ElementTree.tostring(domain, encoding="unicode")


class Libvirt:
    """embed.py in a tree of another suite. It stands in for vm.Qmp, and ends with all it has started."""

    def __init__(self, tree, directory, log):
        self._process = subprocess.Popen(inside(tree, "python3", os.path.join(HERE, "embed.py"), directory),
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                                         preexec_fn=lambda: os.nice(5))
        try:
            self.versions = self._answer()
        except BaseException:
            self.close()
            raise

    def _answer(self):
        if not select.select([self._process.stdout], [], [], 60)[0]:
            raise Failure("libvirt does not answer")
        line = self._process.stdout.readline()
        if not line:
            raise Failure("libvirt has ended")
        return json.loads(line)

    def _ask(self, what, name, arguments):
        self._process.stdin.write(json.dumps({what: name, "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        if "error" in answer:
            raise Failure("%s: %s" % (name, answer["error"]["desc"]))
        return answer["return"]

    def command(self, name, **arguments):
        return self._ask("execute", name, arguments)

    def domain(self, method, *arguments):
        """Of libvirt's Python API, as virsh's commands of the same names."""
        return self._ask("domain", method, arguments)

    def alive(self):
        return self._process.poll() is None

    def close(self):
        self._process.kill()
        self._process.wait()


class Domain(vm.VM):
    """A running domain, with the parts of vm.VM that tests use.

    tree   directory printed by `chroot`, with libvirt and QEMU in it
    image  directory printed by tests/vm/image
    host   arguments of vm.Host, which the domain is printed by
    """

    # Of the serial lines the first may be a port, the last is for the log. A second display is on from the start.
    CMDLINE = ("root=/dev/vda rw quiet console=ttyS1 video=Virtual-2:1024x768e systemd.getty_auto=no panic=-1 "
               "mitigations=off ")

    def __init__(self, tree, image, host, session="alice"):
        self.dir = tempfile.mkdtemp(prefix="spice-pv-vm.")
        self.spice = os.path.join(self.dir, "spice.sock")
        self.session = session
        self.tree = tree
        self.host = vm.Host(self.dir, **host)
        self.printed = self.host.print("libvirt-xml")
        self.xml = os.path.join(self.dir, "domain.xml")
        self.qmp = None
        self._qemu = None  # libvirt has it
        vm.Turn.take()
        self._has_turn = True
        try:
            self.host.start()  # first: libvirt starts no domain that has a socket to connect to missing
            self._define(tree, image)
        except BaseException:
            self.close()
            raise

    def _define(self, tree, image):
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", os.path.join(image, "disk.img"),
                        os.path.join(self.dir, "disk.qcow2")], check=True)
        with open(self.xml, "w") as file:
            file.write(edited(self.printed, image, self.dir, self.CMDLINE + vm.DESKTOPS["openbox"].cmdline(self.session)))
        path = os.path.join(self.dir, "qemu.log")
        with open(path, "wb") as log:
            try:
                self.qmp = Libvirt(tree, self.dir, log)
            except Failure as error:
                raise Failure("%s\n%s" % (error, open(path).read()))
        self.guest = vm.Guest(os.path.join(self.dir, "test.sock"))

    def alive(self):
        return self.qmp and self.qmp.alive()

    def screenshot(self, path, head=0, form="png"):
        """QEMU may not write where the sources are, which is where logs go."""
        own = os.path.join(self.dir, "screen")
        super().screenshot(own, head, form)
        shutil.copy(own, path)

    def close(self):
        if self.qmp:
            self.qmp.close()
            self.qmp = None
        super().close()


class Machine(harness.Machine):
    """The same for the tests: domain, client and probes. Its options are `host`, as above."""

    def __init__(self, agent, tree, image, options):
        self.agent = agent
        self.options = options
        self.other_image = None
        self.vm = Domain(tree, image, options["host"])
        self.client = None
        self._probes = []
        self._deferred = []
        try:
            self.vm.boot()
            self.guest = self.vm.guest
            self.client = vm.Client(harness.build_client(), self.vm.dir)
            self.client.connect(self.vm.spice)
        except BaseException:
            self.close()
            raise
