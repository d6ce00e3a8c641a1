# SPDX-License-Identifier: LGPL-2.1-or-later
"""Keys and certificates made on the spot: what a server with TLS needs, and the contents of a software smartcard."""

import os
import subprocess


def _run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def server(directory, name="IP:127.0.0.1"):
    """Makes a CA and a server's certificate for that subjectAltName: ca-cert.pem, server-cert.pem and server-key.pem,
    named as QEMU wants them in its x509-dir. Returns the path of ca-cert.pem."""
    os.makedirs(directory, exist_ok=True)
    path = lambda file: os.path.join(directory, file)
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "7"]
    _run(*request, "-subj", "/O=spice-pv tests/CN=CA", "-keyout", path("ca-key.pem"), "-out", path("ca-cert.pem"))
    _run(*request, "-subj", "/O=spice-pv tests/CN=server", "-addext", "subjectAltName=" + name,
         "-CA", path("ca-cert.pem"), "-CAkey", path("ca-key.pem"),
         "-keyout", path("server-key.pem"), "-out", path("server-cert.pem"))
    return path("ca-cert.pem")


def smartcard(directory):
    """Makes an NSS database with three certificates. Returns the properties of the client's session that make a card of
    them, for its verb "connect"."""
    os.makedirs(directory)
    database = "sql:" + directory
    names = ("identity", "signature", "encryption")
    noise = os.path.join(directory, "noise")
    with open(noise, "wb") as file:
        file.write(os.urandom(64))
    _run("certutil", "-N", "-d", database, "--empty-password")
    for number, name in enumerate(names):
        _run("certutil", "-S", "-x", "-d", database, "-z", noise, "-n", name, "-s", "CN=%s,O=spice-pv tests" % name,
             "-t", "CT,C,C", "-m", str(number + 1))
    return ["enable-smartcard=yes", "smartcard-db=" + database, "smartcard-certificates=" + ",".join(names)]
