# SPDX-License-Identifier: LGPL-2.1-or-later
# The login shell of a console becomes the compositor, whose end is the end of the session.
case $(tty) in
/dev/tty[12])
    export WLR_RENDERER=pixman
    exec systemd-cat -t sway sway
    ;;
esac
