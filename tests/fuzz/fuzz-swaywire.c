/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Input: step, then what sway answers. */
#include "fuzz.h"
#include "swaywire.h"

#include <string.h>

static uint64_t run(const uint8_t *data, size_t size, size_t step)
{
    static Swaywire wire;
    char why[32];
    SwaywireResult result = SWAYWIRE_MORE;
    wire = (Swaywire){ 0 };
    for (size_t at = 0; at < size && result == SWAYWIRE_MORE; at += step)
        result = swaywire_feed(&wire, data + at, step < size - at ? step : size - at);
    uint64_t digest = fuzz_mix_number(0, result);
    if (result != SWAYWIRE_COMPLETE)
        return digest;
    digest = fuzz_mix_number(digest, swaywire_succeeded(&wire, why, sizeof why));
    FUZZ_CHECK(memchr(why, '\0', sizeof why) != NULL);
    for (const char *c = why; *c != '\0'; c++)
        FUZZ_CHECK(*c >= ' ' && *c <= '~');
    return fuzz_mix(digest, why, strlen(why));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1)
        FUZZ_CHECK(run(data + 1, size - 1, size) == run(data + 1, size - 1, data[0] > 0 ? data[0] : 1));
    return 0;
}
