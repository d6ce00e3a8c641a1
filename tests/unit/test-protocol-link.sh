#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# protocol/ stands alone: C11, each header by itself, and nothing taken from outside but what moves bytes about.
# Compiled here, so that sanitizers and hardening of the build under test add nothing.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc=${CC:-cc}
read -ra flags < <(echo "-std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Werror $(pkg-config --cflags spice-protocol)")

for header in "$top"/protocol/*.h; do
    echo "#include \"$(basename "$header")\"" > "$work/header.c"
    echo "int main(void) { return 0; }" >> "$work/header.c"
    $cc "${flags[@]}" -iquote "$top/protocol" -o "$work/header" "$work/header.c"
done

for source in "$top"/protocol/*.c; do
    $cc "${flags[@]}" -O2 -fno-stack-protector -U_FORTIFY_SOURCE -c -o "$work/$(basename "$source" .c).o" "$source"
done
rm -f "$work/header.c" "$work/header"
ar rcs "$work/libprotocol.a" "$work"/*.o

# All of it, against the C library alone.
echo "int main(void) { return 0; }" > "$work/main.c"
$cc -nodefaultlibs -o "$work/main" "$work/main.c" -Wl,--whole-archive "$work/libprotocol.a" -Wl,--no-whole-archive -lc
"$work/main"

# No I/O, no allocation, no clock: these and no other functions of the C library.
allowed="__assert_fail memchr memcmp memcpy memmove memset strnlen"
nm -u "$work/libprotocol.a" | awk '/ U / { print $2 }' | sort -u > "$work/undefined"
nm -g --defined-only "$work/libprotocol.a" | awk 'NF == 3 { print $3 }' | sort -u > "$work/defined"
outside=$(comm -23 "$work/undefined" "$work/defined" | grep -vxE "_GLOBAL_OFFSET_TABLE_|${allowed// /|}" || true)
if [ -n "$outside" ]; then
    echo "protocol/ uses from outside:" $outside
    exit 1
fi

# What is defined is named after its file.
for object in "$work"/*.o; do
    name=$(basename "$object" .o)
    foreign=$(nm -g --defined-only "$object" | awk 'NF == 3 { print $3 }' | grep -v "^${name}_" || true)
    if [ -n "$foreign" ]; then
        echo "$name.c defines" $foreign
        exit 1
    fi
done
