# SPDX-License-Identifier: LGPL-2.1-or-later
"""The system's services, played on a private bus: each answers what the test wants, also nothing or nonsense."""

import os
import shutil
import subprocess
import tempfile
import threading

import dbus
import dbus.bus
import dbus.lowlevel
import dbus.mainloop.glib
from gi.repository import GLib

from agentsystem import BUS_CONFIG, wait_for
from manageddaemon import listens

PEER = "org.freedesktop.DBus.Peer"
HANG = object()  # an answer that never comes


class Error(Exception):
    """An answer: D-Bus error `name`."""

    def __init__(self, name, text="no"):
        super().__init__(name, text)
        self.name, self.text = name, text


class Service:
    """A connection with a name. `answers` maps a method to (signature, values…), an Error, HANG or a function of the
    arguments that returns one of these; what is not in it is answered with nothing. `calls` has what was called."""

    def __init__(self, bus, name):
        self.bus, self.name, self.answers, self.calls = bus, name, {}, []
        self.connection = dbus.bus.BusConnection(bus.address, mainloop=bus.mainloop)
        self.connection.add_message_filter(self.on_message)
        if name:
            self.connection.request_name(name)

    def on_message(self, connection, message):
        if message.get_type() != 1 or message.get_interface() == "org.freedesktop.DBus.Introspectable":
            return dbus.lowlevel.HANDLER_RESULT_NOT_YET_HANDLED
        method, arguments = message.get_member(), message.get_args_list()
        self.calls.append((method, *arguments))
        if message.get_interface() == PEER:
            return dbus.lowlevel.HANDLER_RESULT_NOT_YET_HANDLED
        answer = self.answers.get(method, ("",))
        if callable(answer):
            answer = answer(message.get_path(), *arguments)
        if answer is not HANG:
            connection.send_message(self.reply(message, answer))
        return dbus.lowlevel.HANDLER_RESULT_HANDLED

    def reply(self, message, answer):
        if isinstance(answer, Error):
            return dbus.lowlevel.ErrorMessage(message, answer.name, answer.text)
        reply = dbus.lowlevel.MethodReturnMessage(message)
        reply.append(*answer[1:], signature=answer[0])
        return reply

    def signal(self, path, interface, name, signature, *values):
        message = dbus.lowlevel.SignalMessage(path, interface, name)
        message.append(*values, signature=signature)
        self.connection.send_message(message)

    def take_calls(self):
        calls, self.calls[:] = self.calls[:], []
        return calls

    def end(self):
        self.connection.close()


class SystemBus:
    """A bus for services; they run in a thread of their own."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="services-")
        path = os.path.join(self.dir, "bus")
        self.address = "unix:path=" + path
        with open(os.path.join(self.dir, "bus.conf"), "w") as file:
            file.write(BUS_CONFIG % path)
        self.daemon = subprocess.Popen(["dbus-daemon", "--nofork", "--config-file=" + file.name],
                                       stderr=subprocess.DEVNULL)
        wait_for(lambda: listens(path), "bus")
        dbus.mainloop.glib.threads_init()
        self.mainloop = dbus.mainloop.glib.DBusGMainLoop()
        self.loop = GLib.MainLoop()
        self.thread = threading.Thread(target=self.loop.run, daemon=True)
        self.thread.start()
        self.services = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for service in self.services:
            self.run(service.end)
        self.loop.quit()
        self.thread.join()
        self.daemon.kill()
        self.daemon.wait()
        shutil.rmtree(self.dir)

    def run(self, function, *arguments):
        """In the services' thread; returns what it returns."""
        done, result = threading.Event(), []

        def call():
            result.append(function(*arguments))
            done.set()

        GLib.idle_add(call)
        if not done.wait(20):
            raise AssertionError("the services' thread does not answer")
        return result[0]

    def start(self, name):
        service = self.run(Service, self, name)
        self.services.append(service)
        return service

    def end(self, service):
        self.services.remove(service)
        self.run(service.end)
