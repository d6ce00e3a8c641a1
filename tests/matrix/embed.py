#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""embed.py DIRECTORY runs a libvirt of its own, with its state in DIRECTORY, and in it the domain DIRECTORY/domain.xml.

Runs inside a tree of another suite. Prints one line of JSON, with versions, once the domain runs; then takes a command
for QEMU's monitor, or the name of a method of the domain's with "arguments" as its "domain", from each line of standard
input and prints the answer, until the input ends.
"""

import json
import os
import sys
import threading

import libvirt
import libvirt_qemu

# As root there are no other users, no security modules and no control groups that QEMU could be put into.
QEMU_CONF = """
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
"""


def loop():
    while True:
        libvirt.virEventRunDefaultImpl()


def version(number):
    return "%d.%d.%d" % (number // 1000000, number // 1000 % 1000, number % 1000)


def call(domain, request):
    try:
        return {"return": getattr(domain, request["domain"])(*request["arguments"])}
    except libvirt.libvirtError as error:
        return {"error": {"desc": str(error)}}


def main():
    root = sys.argv[1]
    os.makedirs(os.path.join(root, "etc"))
    with open(os.path.join(root, "etc", "qemu.conf"), "w") as file:
        file.write(QEMU_CONF)
    with open(os.path.join(root, "domain.xml")) as file:
        xml = file.read()
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=loop, daemon=True).start()
    connection = libvirt.open("qemu:///embed?root=" + root)
    domain = connection.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    domain.create()
    print(json.dumps({"libvirt": version(libvirt.getVersion()), "qemu": version(connection.getVersion())}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = (call(domain, request) if "domain" in request
                  else json.loads(libvirt_qemu.qemuMonitorCommand(domain, line, 0)))
        print(json.dumps(answer), flush=True)


main()
