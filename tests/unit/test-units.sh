#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What is installed beside the programs: units (with their security score), udev rules, XML, desktop files, man pages.
# Everything is looked at where "make install" puts it.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
failed=0
export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-$root} # systemd-analyze --user wants one

fail() { echo "FAILED: $*"; failed=1; }
# quiet NAME COMMAND…: the command must succeed and print nothing
quiet() {
    local status=0 output
    output=$("${@:2}" 2>&1) || status=$?
    [ "$status$output" = 0 ] || fail "$1: status $status: $output"
}

make -s -C "$top" install BUILD="$BUILD" DESTDIR="$root" >"$root/log" 2>&1 || { cat "$root/log"; exit 1; }
rm "$root/log"

for file in usr/sbin/spice-agent-system usr/sbin/spice-pvmouse usr/bin/spice-agent-session usr/bin/spice-agentctl; do
    [ -x "$root/$file" ] || fail "$file is missing"
    [ "$("$root/$file" --version)" = "${file##*/} $(sed -n 's/^VERSION := //p' "$top/Makefile")" ] || fail "$file --version"
    case $file in
    *sbin*) page=usr/share/man/man8/${file##*/}.8 ;;
    *) page=usr/share/man/man1/${file##*/}.1 ;;
    esac
    [ -f "$root/$page" ] || fail "$page is missing"
    for option in $("$root/$file" --help | grep -oE '^ +(-., )?--[a-z-]+' | grep -oE -- '--[a-z-]+'); do
        grep -q "^\.\(It \)\?Fl -${option#--}\|[|] -${option#--}" "$root/$page" || fail "$page does not have $option"
    done
done
[ "$(dpkg-parsechangelog -l "$top/debian/changelog" -S Version)" = "$(sed -n 's/^VERSION := //p' "$top/Makefile")" ] ||
    fail "debian/changelog has another version than the Makefile"

# Every setting stands in the manual with its default, and in the example file.
for name in agent-system agent-session; do
    chapter=$(sed -n "/^\.Sh ${name^^}\.CONF/,/^\.Sh [^A]/p" "$root/usr/share/man/man5/spice-pv.conf.5" |
        awk -v other="$([ $name = agent-system ] && echo AGENT-SESSION || echo AGENT-SYSTEM).CONF" '$2 == other { exit } 1')
    grep -o '{ "[a-z]*", "[a-z-]*", "[^"]*" }' "$top/$name/main.c" | sed 's/[{}" ]//g' >"$root/keys"
    [ -s "$root/keys" ] || fail "no settings found in $name/main.c"
    while IFS=, read -r group key default; do
        text=$(sed -n "/^\.Ss \[$group\]/,/^\.Ss \[/p" <<<"$chapter" | sed -n "/^\.It Cm $key /,/^\.\(It\|El\)/p")
        if [ -z "$text" ] || ! tr '\n' ' ' <<<"$text" | grep -q "Default.* ${default:-empty}\|default .Li $default"; then
            fail "spice-pv.conf(5) does not have [$group] $key=$default of $name.conf"
        fi
        grep -q "^#$key=$default$" "$root/etc/spice-pv/$name.conf" || fail "$name.conf does not show $key=$default"
    done <"$root/keys"
    rm "$root/keys"
done

# Exposure in tenths, less is better: 0 is a process that can do nothing.
declare -A limit=([spice-pvmouse]=5 [spice-agent-system]=15)
for name in "${!limit[@]}"; do
    unit=$root/usr/lib/systemd/system/$name.service
    output=$(systemd-analyze security --offline=yes --no-pager --threshold="${limit[$name]}" "$unit" 2>&1) ||
        fail "$name.service is more exposed than it may be: $output"
    echo "$name.service: $(grep -o 'Overall exposure level.*: [0-9.]*' <<<"$output")"
done
for unit in "$root"/usr/lib/systemd/system/*.service; do
    quiet "$unit" systemd-analyze verify --man=no --recursive-errors=no --root="$root" "$unit"
done
for unit in "$root"/usr/lib/systemd/user/*.service; do
    sed -i "s|=/usr/|=$root/usr/|" "$unit" # --root is for system units only
    quiet "$unit" systemd-analyze verify --man=no --recursive-errors=no --user "$unit"
done

for file in "$root"/usr/lib/udev/rules.d/*.rules; do
    if udevadm verify --help >/dev/null 2>&1; then # systemd 254
        quiet "$file" udevadm verify --no-summary "$file"
    fi
    # Each line is empty, a comment, or KEY OP "VALUE" separated by commas.
    grep -nvE '^(#.*|([A-Z]+(\{[^}]*\})?(==|!=|=|\+=|:=) *"[^"]*"(, *|$))+)?$' "$file" && fail "$file: lines above"
done
for file in "$root"/usr/lib/sysusers.d/*.conf; do
    output=$(systemd-sysusers --dry-run --root="$root" "$file" 2>&1) || fail "$file: $output"
    grep -q "Creating user 'spice-agent'" <<<"$output" || fail "$file does not make the user: $output"
done
for file in "$root"/usr/share/dbus-1/*/*.xml "$root"/usr/share/dbus-1/system.d/*.conf; do
    quiet "$file" xmllint --noout --nonet "$file"
done
for file in "$root"/etc/xdg/autostart/*.desktop; do
    quiet "$file" desktop-file-validate "$file"
done
for file in "$root"/usr/share/man/man*/*; do
    quiet "$file" mandoc -T lint -W warning "$file"
done
exit $failed
