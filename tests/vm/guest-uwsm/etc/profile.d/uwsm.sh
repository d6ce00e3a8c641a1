# SPDX-License-Identifier: LGPL-2.1-or-later
# The login shell of the console only waits: UWSM has the user's systemd start the compositor, outside of the session.
if [ "$(tty)" = /dev/tty1 ]; then
    exec systemd-cat -t uwsm uwsm start -- sway.desktop
fi
