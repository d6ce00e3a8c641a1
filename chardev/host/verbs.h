/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * verbs.h - what spicevmc and the child that has QEMU's monitor say to each other (pure).
 *
 * Frames of fixed size, one in each packet of their socket pair, little-endian. Spicevmc asks for one of a few fixed
 * things; the child tells how everything stands, whole, so that what it could not send yet is overwritten by what is
 * true now and nothing has to be queued. Neither end believes the other: what does not decode ends the child.
 */
#ifndef VERBS_H
#define VERBS_H

#include "pvmouse.h"

/* Bits of VerbState.open. */
#define VERB_CHANNELS_MAX 32u

/* Detents of one turn of a wheel; a larger one is cut. */
#define VERB_WHEEL_MAX 127

typedef enum VerbType {
    VERB_POINTER = 1, /* display, position, x, y, buttons, wheels */
    VERB_MOTION = 2,  /* dx, dy, buttons, wheels */
    VERB_KEY = 3,     /* scancode, down */
    VERB_REFRESH = 4  /* ask for the state of the channels, and for tablets */
} VerbType;

/* To the child. Which fields mean something depends on the type; the others are 0. */
typedef struct Verb {
    VerbType type;
    uint8_t display;
    bool position;   /* x, y and display are known */
    uint16_t x, y;   /* pvmouse.h */
    int16_t dx, dy;
    uint16_t buttons; /* set of PVMOUSE_BUTTON_*: all that are down */
    int16_t wheel, hwheel; /* detents, positive: away, right */
    uint8_t scancode;
    bool down;
} Verb;

#define VERB_SIZE 16u

/* `verb` must be valid. */
void verb_encode(const Verb *verb, uint8_t ret_data[VERB_SIZE]);

/* False, and `ret_verb` untouched, when `data` is no verb for a child that serves `n_displays`. */
bool verb_decode(const uint8_t *data, size_t size, unsigned n_displays, Verb *ret_verb);

/* From the child. The counters only grow. */
typedef struct VerbState {
    bool connected;       /* the monitor answers; */
    bool tablet;          /* the machine has an absolute pointer device */
    uint32_t connections; /* counts how often it began to */
    uint32_t resets;      /* of the machine, and its ends */
    uint32_t open;        /* bit i: the guest has channel i's port open */
    uint64_t lost;        /* verbs for which there was no connection or no room */
    uint64_t refused;     /* verbs that QEMU answered with an error */
} VerbState;

#define VERB_STATE_SIZE 32u

void verb_encode_state(const VerbState *state, uint8_t ret_data[VERB_STATE_SIZE]);

/*
 * False, and `state` untouched, when `data` is no state of a child that serves `n_channels`, or none that could come
 * after `state`.
 */
bool verb_decode_state(const uint8_t *data, size_t size, unsigned n_channels, VerbState *state);

#endif
