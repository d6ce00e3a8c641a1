#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The clipboard's tests once more on KWin, KDE's compositor: selections, large values, programs and clients that do not
# behave, managers that own again what we own. Left out is what takes Xwayland, or a keyboard to get the focus, and what
# wl-clipboard makes of KWin 5.27, which tells it nothing at all of a selection that nobody owns.
set -eu

on_kwin() {
    program=$BUILD/tests/session/$1
    shift
    /usr/bin/python3 "$(dirname "$0")/compositor.py" kwin_wayland "$program" "$@"
}

on_kwin test-clipboard-wayland-trouble
set --
for name in guest/wl-copy guest/xclip guest/gtk guest/qt host/wl-paste host/xclip host/gtk host/qt; do
    set -- "$@" -s "/clipboard/$name"
done
on_kwin test-clipboard-wayland "$@"
