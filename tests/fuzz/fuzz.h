/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz.h - what fuzz targets share. A target feeds an input to one decoder and aborts when a property does not hold.
 *
 * Readers of streams get their input whole and in pieces; what they tell must be the same, so each event is mixed into
 * a digest and the two digests are compared.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

/* FNV-1a. */
static inline uint64_t fuzz_mix(uint64_t digest, const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        digest = (digest ^ ((const uint8_t *)data)[i]) * UINT64_C(0x100000001b3);
    return digest;
}

static inline uint64_t fuzz_mix_number(uint64_t digest, uint64_t number)
{
    return fuzz_mix(digest, &number, sizeof(number));
}

/* A target's reader and its digest: `feed` takes all of a piece. */
#define FUZZ_BOTH_WAYS(Type, make, feed, data, size, step) \
    do { \
        Type fuzz_whole = make, fuzz_cut = make; \
        uint64_t fuzz_a = 0, fuzz_b = 0; \
        size_t fuzz_step = (step) > 0 ? (step) : 1; \
        feed(&fuzz_whole, data, size, &fuzz_a); \
        for (size_t fuzz_at = 0; fuzz_at < (size); fuzz_at += fuzz_step) \
            feed(&fuzz_cut, (data) + fuzz_at, fuzz_step < (size) - fuzz_at ? fuzz_step : (size) - fuzz_at, &fuzz_b); \
        FUZZ_CHECK(fuzz_a == fuzz_b); \
    } while (0)

#endif
