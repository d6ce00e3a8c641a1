# SPDX-License-Identifier: LGPL-2.1-or-later
# The login shell of the console becomes the session. Nothing is drawn by GL, which an emulated guest has no time for.
if [ "$(tty)" = /dev/tty1 ]; then
    export KWIN_COMPOSE=Q QT_QUICK_BACKEND=software
    exec systemd-cat -t plasma startplasma-wayland
fi
