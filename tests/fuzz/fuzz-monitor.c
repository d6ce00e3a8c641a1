/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Input: step, then what QEMU writes to its monitor; after each line the user clicks and moves. From bytes to
 * commands.
 */
#include "fuzz.h"
#include "monitor.h"

#include <string.h>

static const QmpDisplay displays[] = { { "v0", 0 }, { "v0", 1 } };
static const char *const paths[] = { "/run/a", "/run/b" };

/* One line is in the way at most, and what is told can be told. */
static void check(Monitor *monitor, VerbState *seen, uint64_t *digest)
{
    uint8_t state[VERB_STATE_SIZE];
    size_t size;
    const char *output = monitor_output(monitor, &size);

    FUZZ_CHECK(size < 1024);
    FUZZ_CHECK(size == 0 || (output[size - 1] == '\n' && memchr(output, '\n', size - 1) == NULL));
    *digest = fuzz_mix(*digest, output, size);
    monitor_written(monitor, size);
    verb_encode_state(monitor_state(monitor), state);
    FUZZ_CHECK(verb_decode_state(state, sizeof(state), G_N_ELEMENTS(paths), seen));
    *digest = fuzz_mix(*digest, state, sizeof(state));
}

static void use(Monitor *monitor, uint8_t line)
{
    const Verb verbs[] = {
        { .type = VERB_POINTER, .display = line & 1, .position = true, .x = line, .buttons = line & 3 },
        { .type = VERB_KEY, .scancode = line & 0x7f, .down = line & 1 },
        { .type = VERB_MOTION, .dx = line, .buttons = line & 1, .wheel = line & 2 },
        { .type = VERB_REFRESH },
    };

    monitor_verb(monitor, &verbs[line % G_N_ELEMENTS(verbs)]);
}

static uint64_t run(const uint8_t *data, size_t size, size_t step)
{
    g_autoptr(Monitor) monitor = monitor_new(displays, G_N_ELEMENTS(displays), paths, G_N_ELEMENTS(paths));
    VerbState seen = { 0 };
    uint64_t digest = 0;
    uint8_t line = 0;

    monitor_connected(monitor);
    for (size_t at = 0, next; at < size; at = next) {
        const uint8_t *newline = memchr(data + at, '\n', size - at);

        next = newline ? (size_t)(newline - data) + 1 : size;
        for (size_t piece; at < next; at += piece) {
            piece = MIN(step, next - at);
            if (!monitor_input(monitor, data + at, piece)) {
                monitor_disconnected(monitor);
                check(monitor, &seen, &digest);
                monitor_connected(monitor);
                at = next;
                break;
            }
        }
        check(monitor, &seen, &digest);
        use(monitor, line++);
        check(monitor, &seen, &digest);
    }
    monitor_disconnected(monitor);
    FUZZ_CHECK(monitor_idle(monitor));
    return digest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1) {
        FUZZ_CHECK(run(data + 1, size - 1, SIZE_MAX) == run(data + 1, size - 1, MAX(data[0], 1)));
    }
    return 0;
}
