#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The test runner itself: its lines, counts and exit status, on a tree of made-up tests.
# shellcheck disable=SC2016
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/tests/{unit,session,fuzz/corpus/{one,none},vm} "$tree"/out/tests/{unit,fuzz}
cp "$top/tests/run" "$tree/tests/run"
export BUILD=out

# script PATH: a program from standard input
script() { { echo '#!/bin/sh'; cat; } >"$tree/$1"; chmod +x "$tree/$1"; }

failed=0
# expect STATUS TEXT KIND…: exit status and output of the runner, but for what it repeats at the end
expect() {
    local status=0 output
    output=$(cd / && "$tree/tests/run" "${@:3}" 2>/dev/null) || status=$?
    output=$(sed '/^failed: /,/^[0-9]* passed, /{ /^[0-9]* passed, /!d }' <<<"$output")
    if [ "$status" != "$1" ] || [ "$output" != "$2" ]; then
        printf 'tests/run %s: expected status %s and\n%s\ngot status %s and\n%s\n' "${*:3}" "$1" "$2" "$status" "$output"
        failed=1
    fi
}

expect 1 '0 passed, 0 failed, 0 skipped' unit session
expect 1 '' no-such-kind

script tests/unit/test-good.sh <<<'[ -z "${DISPLAY+x}" ] && [ -d "$XDG_RUNTIME_DIR" ] && [ "$HOME" != / ] && touch "$HOME/file"'
expect 0 $'unit/good: pass\n1 passed, 0 failed, 0 skipped' unit
script tests/unit/test-skip.sh <<<'echo talk; echo no uinput here; echo noise >&2; exit 77'
expect 0 $'unit/good: pass\nunit/skip: skip (no uinput here)\n1 passed, 0 failed, 1 skipped' unit
expect 0 $'unit/good: pass\n1 passed, 0 failed, 0 skipped' unit/good
expect 1 '0 passed, 0 failed, 0 skipped' unit/goo
rm "$tree/tests/unit/test-good.sh"
expect 1 $'unit/skip: skip (no uinput here)\n0 passed, 0 failed, 1 skipped' unit
rm "$tree/tests/unit/test-skip.sh"

touch "$tree/tests/unit/test-c.c"
script out/tests/unit/test-c <<<'echo out; echo err >&2; exit 3'
expect 1 $'unit/c: fail\n    out\n    err\n    exit status 3\n0 passed, 1 failed, 0 skipped' unit
script out/tests/unit/test-c <<<'sleep 1000 & exec kill -SEGV $$'
expect 1 $'unit/c: fail\n    signal SIGSEGV\n0 passed, 1 failed, 0 skipped' unit
script out/tests/unit/test-c <<<'echo unit/c: pass; echo session/c: fail; exit 0'
expect 0 $'unit/c: pass\n1 passed, 0 failed, 0 skipped' unit
script out/tests/unit/test-c <<<'printf "unit/a: pass\nchatter\nunit/b: fail\n    why\n"; exit 1'
expect 1 $'unit/a: pass\nunit/b: fail\n    why\n1 passed, 1 failed, 0 skipped' unit
script out/tests/unit/test-c <<<'echo unit/a: pass; echo died >&2; exit 4'
expect 1 $'unit/a: pass\nunit/c: fail\n    unit/a: pass\n    died\n    exit status 4\n1 passed, 1 failed, 0 skipped' unit
script out/tests/unit/test-c <<<'printf "unit/a: fail\n    why\nunit/b: pass\nunit/c: fail\n    1\n    2\n    3\n    4\n    5\n"; exit 1'
reminder=$("$tree/tests/run" unit 2>/dev/null | sed -n '/^failed: /,$p') || :
[ "$reminder" = $'failed: unit/a\n    why\nfailed: unit/c\n    2\n    3\n    4\n    5\n1 passed, 2 failed, 0 skipped' ] ||
    { echo "at the end: $reminder"; failed=1; }
rm "$tree/out/tests/unit/test-c"
expect 1 "unit/c: fail
    [Errno 2] No such file or directory: '$tree/out/tests/unit/test-c'
0 passed, 1 failed, 0 skipped" unit

script tests/session/test-c.sh <<<"[ -e $tree/ran ] && exec echo session/b: pass; touch $tree/ran; printf 'session/a: pass\nsession/b: fail\n    why\n'; exit 1"
expect 0 $'first attempt: session/a: pass\nfirst attempt: session/b: fail\nfirst attempt:     why
session/b: pass\nsecond attempt: session/b\n1 passed, 0 failed, 0 skipped' session
script tests/session/test-c.sh <<<'exit 3'
expect 1 $'first attempt: session/c: fail\nfirst attempt:     exit status 3\nsession/c: fail\n    exit status 3
second attempt: session/c\n0 passed, 1 failed, 0 skipped' session
script tests/session/test-c.sh <<<'kill -SEGV $$'
expect 1 $'session/c: fail\n    signal SIGSEGV\n0 passed, 1 failed, 0 skipped' session

# A test that never ends is ended with everything it started.
sed -i 's/"unit": 120/"unit": 1/' "$tree/tests/run"
script out/tests/unit/test-c <<<"sleep 1000 & echo \$! >$tree/pid; wait"
expect 1 $'unit/c: fail\n    no end within 1 s\n0 passed, 1 failed, 0 skipped' unit
[ "$(awk '{ print $3 }' "/proc/$(cat "$tree/pid")/stat" 2>/dev/null || echo gone)" != S ] || { echo "left a process"; failed=1; }

touch "$tree/tests/fuzz/fuzz-one.c" "$tree/tests/fuzz/fuzz-none.c" "$tree/tests/fuzz/corpus/one/"{x,y}
script out/tests/fuzz/fuzz-one <<<'[ $# = 2 ]'
expect 1 $'fuzz/none: fail\n    tests/fuzz/corpus/none is empty\nfuzz/one: pass\n1 passed, 1 failed, 0 skipped' fuzz

script tests/vm/run <<<'printf "vm/a: pass\nvm/b: skip (no KVM)\n"'
expect 0 $'vm/a: pass\nvm/b: skip (no KVM)\n1 passed, 0 failed, 1 skipped' vm
script tests/vm/run <<<'printf "vm/a: pass\nvm/b: fail\n    why\n"; exit 1'
expect 1 $'vm/a: pass\nvm/b: fail\n    why\n1 passed, 1 failed, 0 skipped' vm
script tests/vm/run <<<'echo vm/a: pass; exit 1'
expect 1 $'vm/a: pass\nvm/run: fail\n    tests/vm/run ended with status 1\n1 passed, 1 failed, 0 skipped' vm
script tests/vm/run <<<'echo "vm/$1: pass"; echo "vm/$2: pass"'
expect 0 $'vm/a: pass\nvm/b: pass\n2 passed, 0 failed, 0 skipped' vm/a vm/b
script tests/vm/run <<<'exit 0'
expect 1 $'vm/run: fail\n    tests/vm/run reported nothing\n0 passed, 1 failed, 0 skipped' vm
exit $failed
