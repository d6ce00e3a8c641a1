# SPDX-License-Identifier: LGPL-2.1-or-later
# The login shell of the console becomes the compositor, whose end is the end of the session: of Plasma the agent meets only
# KWin. Nothing is drawn by GL, which an emulated guest has no time for.
if [ "$(tty)" = /dev/tty1 ]; then
    export KWIN_COMPOSE=Q QT_QUICK_BACKEND=software
    exec systemd-cat -t plasma kwin_wayland --drm --xwayland
fi
