#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# spice-agentctl with the real session daemon on a real X server: what one copies the other pastes.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
[ -n "${XORG_PID:-}" ] || exec "$here/xorg" "$0"

work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait; rm -rf "$work"' EXIT
ctl=$BUILD/spice-agentctl
export XDG_RUNTIME_DIR=$work DBUS_SYSTEM_BUS_ADDRESS=unix:path=$work/system
unset DBUS_SESSION_BUS_ADDRESS

# The session bus is where spice-agentctl finds it without an environment, as over ssh.
for socket in system bus; do
    dbus-daemon --session --nofork --address="unix:path=$work/$socket" 2>/dev/null &
    pids+=($!)
done
mkdir "$work/config"
printf '[clipboard]\nmax-size=1M\ntimeout-ms=1000\n' >"$work/config/agent-session.conf"

# until WHAT COMMAND…: within 20 s
until_ok() {
    local end=$((SECONDS + 20))
    until "${@:2}" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || { echo "FAILED: not within 20 s: $1"; cat "$work/log"; exit 1; }
        sleep 0.05
    done
}
failed=0
fail() { echo "FAILED: $*"; failed=1; }

until_ok "system bus" test -S "$work/system"
until_ok "session bus" test -S "$work/bus"
# Without logind the session is the one named in the environment.
DBUS_SESSION_BUS_ADDRESS=unix:path=$work/bus XDG_SESSION_ID=1 "$BUILD/spice-agent-session" --config "$work/config" \
    2>"$work/log" &
pids+=($!)
# shellcheck disable=SC2317 # called by until_ok
served() { "$ctl" status --json 2>/dev/null | grep -qF "\"Display\": \"$DISPLAY\""; }
until_ok "session daemon serves $DISPLAY" served

text='grüße 世界 😀'
printf %s "$text" | "$ctl" copy
[ "$(timeout 10 xclip -selection clipboard -o)" = "$text" ] || fail "copied text is not what X programs get"
[ "$("$ctl" paste)" = "$text" ] || fail "copied text is not what is pasted"

head -c 700000 /dev/urandom >"$work/picture"
"$ctl" copy --primary --type image/png <"$work/picture"
timeout 10 xclip -selection primary -t image/png -o | cmp - "$work/picture" || fail "image from the terminal"
[ "$("$ctl" paste)" = "$text" ] || fail "the primary selection changed the clipboard"

# The daemon hears of a new owner by an event of its own.
# shellcheck disable=SC2317
pastes() { "$ctl" paste --type "$1" 2>/dev/null | cmp - "$2"; }
printf %s "$text 2" >"$work/text"
xclip -selection clipboard -i "$work/text"
until_ok "an X program's text" pastes "text/plain;charset=utf-8" "$work/text"
xclip -selection clipboard -t image/png -i "$work/picture"
until_ok "an X program's image" pastes image/png "$work/picture"
"$ctl" paste 2>"$work/error" && fail "an image was pasted as text"
grep -q "nothing of type text/plain" "$work/error" || fail "paste of a missing type: $(cat "$work/error")"

head -c 1100000 /dev/zero | "$ctl" copy --type image/png 2>"$work/error" && fail "more than max-size was copied"
grep -q "agent-session.conf" "$work/error" || fail "copy of too much: $(cat "$work/error")"
head -c 1100000 /dev/zero | xclip -selection clipboard -t image/png -i
"$ctl" paste -t image/png >"$work/out" 2>"$work/error" && fail "more than max-size was pasted"

for command in copy paste; do
    "$ctl" $command -t text/html <"$work/text" 2>"$work/error" && fail "$command of a type that is not carried"
    grep -q "image/png" "$work/error" && ! grep -q "agent-session.conf" "$work/error" ||
        fail "$command of a type that is not carried: $(cat "$work/error")"
done

"$ctl" doctor >"$work/doctor" && fail "doctor finds a system daemon where none is"
for line in "ok       session daemon .* serves display $DISPLAY" "ok       clipboard: x11" "ok       displays: x11" \
    "ok       X extension XFIXES" "ok       X extension RANDR" "problem  logind does not answer"; do
    grep -q "^$line" "$work/doctor" || fail "doctor lacks '$line': $(cat "$work/doctor")"
done
exit $failed
