# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests of displays in the session of a Wayland compositor share."""

import struct

import compositor
import sessiond as s
import waylandinfo

USE_POS, PHYSICAL = 1, 2
DONE, FAILED = 1, 2  # VD_AGENT_SUCCESS, VD_AGENT_ERROR


def monitors(*heads, flags=USE_POS, sizes=None):
    """Each head is (w, h, x, y), each size (w, h) in mm."""
    body = struct.pack("<II", len(heads), flags)
    for w, h, x, y in heads:
        body += struct.pack("<IIIii", h, w, 32, x, y)
    for w, h in sizes or ():
        body += struct.pack("<HH", h, w)
    return s.message(s.MONITORS_CONFIG, body)


class Case:
    """The daemon in the session of a compositor, which ends with it, and a client of SPICE."""

    def __init__(self, desktop, config="", session=None):
        self.desktop = desktop
        try:
            self.bus = compositor.Bus()
            self.agent = s.Agent(self.bus)
            self.daemon = desktop.daemon(self.bus, session, config)
            s.until(lambda: self.agent.layouts, "the first layout")
            self.caps = self.agent.client()
        except Exception:
            desktop.fail_log()
            desktop.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, _value, _trace):
        try:
            if kind:
                print(self.daemon.text()[-4000:])
                print(self.agent.layouts[-1:])
            self.daemon.stop()
        finally:
            self.agent.close()
            self.bus.stop()
            self.desktop.__exit__(kind, None, None)

    # The client.

    def send(self, *heads, **options):
        self.agent.control.send(monitors(*heads, **options))

    def reply(self):
        kind, error = struct.unpack("<II", self.agent.control.take(s.REPLY))
        assert kind == s.MONITORS_CONFIG
        return error

    def ask(self, *heads, **options):
        self.send(*heads, **options)
        return self.reply()

    # What is there, as a foreign program sees it.

    def outputs(self):
        return waylandinfo.outputs(self.desktop.environment)

    def heads(self):
        """[(mode w, h, logical x, y)] of those that are on."""
        return [output[1:5] for output in self.outputs()]

    def same(self):
        """What is reported is what is there."""
        s.until(lambda: sorted(self.agent.layouts[-1]) == self.outputs(),
                "a layout like %r, not %r" % (self.outputs(), self.agent.layouts[-1]))
