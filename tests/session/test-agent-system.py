#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""spice-agent-system between a host, a session daemon and logind that are played by the test."""

from agentsystem import *


def test_announces_what_works(m):
    host = m.host()
    kind, body = host.next()
    expect(kind, ANNOUNCE, "first message")
    expect(struct.unpack_from("<I", body)[0], 1, "request")
    expect(caps_of(body), {CAP_MOUSE, CAP_SELECTION, CAP_DETAILS, CAP_DEVICES, CAP_SERIAL}, "caps without a session")
    session = m.open()
    host.say(announce(GTK, 1))
    session.answer()
    expect(CAP_DEMAND in caps_of(host.body(ANNOUNCE)), True, "clipboard with a session")
    session.close()
    expect(CAP_DEMAND in caps_of(host.body(ANNOUNCE)), False, "clipboard after the session")


def test_pointer(m):
    host = m.host()
    host.say(mouse(100, 200), mouse(512, 384, 1 << 1), port=SERVER_PORT)
    m.pointer.until((1, 0x110, 1))


def test_clipboard_both_ways(m):
    host, session = m.connected()
    host.say(grab(0, TEXT))
    expect(session.control.body(GRAB), grab(0, TEXT)[20:], "grab")
    session.control.send(request(TEXT))
    expect(host.body(REQUEST), request(TEXT)[20:], "request")
    data = os.urandom(300000)
    host.say(clipboard(TEXT, data))
    expect(session.control.body(CLIPBOARD), clipboard(TEXT, data)[20:], "data")
    session.control.send(grab(1, TEXT, PNG))
    expect(host.body(GRAB), grab(1, TEXT, PNG)[20:], "grab")
    host.say(request(PNG))
    expect(session.control.body(REQUEST), request(PNG)[20:], "request")
    session.control.send(clipboard(PNG, data))
    expect(host.body(CLIPBOARD), clipboard(PNG, data)[20:], "data")


def test_file(m):
    host, session = m.connected()
    host.say(file_start(7, "x", 100000))
    session.files.body(FILE_START)
    session.files.send(file_status(7, CAN_SEND))
    expect(host.body(FILE_STATUS), struct.pack("<II", 7, CAN_SEND), "status")
    data, got = os.urandom(100000), b""
    host.say(file_data(7, data[:65536]), file_data(7, data[65536:]))
    while len(got) < len(data):
        body = session.files.body(FILE_DATA)
        number, size = struct.unpack_from("<IQ", body)
        expect((number, size), (7, len(body) - 12), "head of data")
        got += body[12:]
    expect(got == data, True, "same data")
    session.files.send(file_status(7, SUCCESS))
    expect(host.body(FILE_STATUS), struct.pack("<II", 7, SUCCESS), "status")


run([value for name, value in list(globals().items()) if name.startswith("test_")], "agent-system")
