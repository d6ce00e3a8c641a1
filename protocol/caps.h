/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * caps.h - capability sets of the agent protocol (VD_AGENT_CAP_* in spice/vd_agent.h).
 *
 * Each side announces what it can do; a message whose layout depends on a capability has the new layout only when both
 * sides announced it. That intersection is an argument of every decode and encode.
 */
#ifndef CAPS_H
#define CAPS_H

#include "limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A set of VD_AGENT_CAP_* bits. All zero is the empty set: a peer that announced nothing. */
typedef struct Caps {
    uint32_t word[LIMIT_CAPS_WORDS];
} Caps;

/* Is capability number `cap` (VD_AGENT_CAP_*) in the set? Numbers beyond the set are not. */
bool caps_has(const Caps *caps, unsigned cap);

/* Add capability number `cap`, which must be below 32 * LIMIT_CAPS_WORDS. */
void caps_add(Caps *caps, unsigned cap);

/* A set of the `count` capability numbers in `list`. */
Caps caps_of(const unsigned *list, size_t count);

Caps caps_union(const Caps *a, const Caps *b);

/* What both ends announced: the set that layouts depend on. */
Caps caps_both(const Caps *a, const Caps *b);

bool caps_equal(const Caps *a, const Caps *b);

/* Words up to and including the last one that is not zero, at least 1: what is worth sending. */
size_t caps_words(const Caps *caps);

/* Short name of a capability, "clipboard-by-demand"; NULL for one that spice-protocol 0.14.3 does not define. */
const char *caps_name(unsigned cap);

#endif
