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

for file in usr/sbin/spice-agent-system usr/sbin/spice-agent-manage usr/sbin/spice-pvmouse usr/bin/spice-agent-session usr/bin/spice-agentctl \
    usr/bin/spicevmc; do
    [ -x "$root/$file" ] || fail "$file is missing"
    [ "$("$root/$file" --version)" = "${file##*/} $(sed -n 's/^VERSION := //p' "$top/Makefile")" ] || fail "$file --version"
    case $file in
    *sbin* | */spicevmc) page=usr/share/man/man8/${file##*/}.8 ;;
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

# Settings that cannot be read get no better by starting anew, twice in a second and without an end.
mkdir "$root/broken"
for name in system manage; do
    echo nonsense | tee "$root/broken/agent-$name.conf" >"$root/broken/$name.conf"
    touch "$root/broken/port"
    "$root/usr/sbin/spice-agent-$name" --config "$root/broken" --port "$root/broken/port" 2>/dev/null
    grep -qx "RestartPreventExitStatus=$?" "$root/usr/lib/systemd/system/spice-agent-$name.service" ||
        fail "spice-agent-$name.service is started anew for ever with settings that cannot be read"
done
rm -r "$root/broken"

# Those of the management daemon stand in its own manual.
grep -o '{ "[a-z]*", "[a-z-]*", "[^"]*" }' "$top/agent-system/manage/manageconf.c" | sed 's/[{}" ]//g' >"$root/keys"
[ -s "$root/keys" ] || fail "no settings found in manageconf.c"
while IFS=, read -r group key default; do
    sed -n '/^\.Sh SETTINGS/,/^\.Sh FILES/p' "$root/usr/share/man/man8/spice-agent-manage.8" | grep -q "^\.It Cm $key " ||
        fail "spice-agent-manage(8) does not have $key"
    sed -n "/^\[$group\]/,/^\[/p" "$root/etc/spice-pv/manage.conf" | grep -q "^#$key=$default$" ||
        fail "manage.conf does not show $key=$default"
done <"$root/keys"
rm "$root/keys"

# Likewise every setting of a virtual machine, whose defaults the unit tests know.
example=$root/usr/share/doc/spice-pv-host/examples/example.conf
grep -o '^    { "[a-z]*", "[a-z-]*"' "$top/chardev/host/settings.c" | sed 's/[{}" ]//g' >"$root/keys"
[ -s "$root/keys" ] || fail "no settings found in settings.c"
while IFS=, read -r group key; do
    if [ "$group" = policy ]; then
        sed -n '/^\.Ss \[policy\]/,/^\.S[sh]/p' "$root/usr/share/man/man8/spicevmc.8" | grep -q "^\.It Cm $key " ||
            fail "spicevmc(8) does not have [policy] $key"
    else
        "$root/usr/bin/spicevmc" --help | grep -q -- "--$key\b" || fail "spicevmc has no option --$key"
    fi
    case $key in
    name | runtime-dir) ;; # the former is the file's name, the latter the service's
    *) sed -n "/^\[$group\]/,/^\[/p" "$example" | grep -q "^#\?$key=" || fail "example.conf does not show [$group] $key" ;;
    esac
done <"$root/keys"
rm "$root/keys"
sed 's/^#\([a-z-]*=\)/\1/; /^sasl=/d; /^socket-group=/d; /^listen=unix/d' "$example" >"$root/NAME.conf"
output=$("$root/usr/bin/spicevmc" --config "$root/NAME.conf" --name NAME --print-qemu-args 2>&1 >/dev/null) ||
    fail "example.conf with everything in force: $output"
rm "$root/NAME.conf"

# Exposure in tenths, less is better: 0 is a process that can do nothing. spice-agent-manage had 9 before it had to start
# while file systems are frozen, which is what the check below is about.
declare -A limit=([spice-pvmouse]=5 [spice-agent-system]=15 [spice-agent-manage]=16 [spice-agent-machine@]=25
    [spice-agent-accounts@]=25 [spice-agent-freezer@]=25 [spice-agent-files@]=25 [spice-agent-exec@]=15 [spicevmc@]=15)
for name in "${!limit[@]}"; do
    unit=$root/usr/lib/systemd/system/$name.service
    output=$(systemd-analyze security --offline=yes --no-pager --threshold="${limit[$name]}" "$unit" 2>&1) ||
        fail "$name.service is more exposed than it may be: $output"
    echo "$name.service: $(grep -o 'Overall exposure level.*: [0-9.]*' <<<"$output")"
done
# These are started while all file systems are frozen: systemd must not write for them.
for name in spice-agent-manage spice-agent-freezer@; do
    lines=$(grep -E -e '^(Private(Tmp|Devices|IPC|Network)|Protect(ControlGroups|KernelTunables)|DynamicUser)=yes' \
        -e '^(ProtectProc|ProcSubset)=' \
        -e '^(State|Cache|Logs|Configuration)Directory=' "$root/usr/lib/systemd/system/$name.service") &&
        fail "$name.service writes when it starts: $lines"
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
declare -A made=([spice-pv]="user 'spice-agent'" [spicevmc]="user 'spicevmc'")
for file in "$root"/usr/lib/sysusers.d/*.conf; do
    output=$(systemd-sysusers --dry-run --root="$root" "$file" 2>&1) || fail "$file: $output"
    grep -q "Creating ${made[$(basename "$file" .conf)]}" <<<"$output" || fail "$file does not make its user or group: $output"
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
