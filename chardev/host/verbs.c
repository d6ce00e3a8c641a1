/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "verbs.h"

void verb_encode(const Verb *verb, uint8_t ret_data[VERB_SIZE])
{
    BytesWriter out = bytes_writer(ret_data, VERB_SIZE);
    bool motion = verb->type == VERB_MOTION;

    bytes_put_u8(&out, (uint8_t)verb->type);
    bytes_put_u8(&out, verb->display);
    bytes_put_u8(&out, verb->position || verb->down);
    bytes_put_u8(&out, verb->scancode);
    bytes_put_u16(&out, motion ? (uint16_t)verb->dx : verb->x);
    bytes_put_u16(&out, motion ? (uint16_t)verb->dy : verb->y);
    bytes_put_u16(&out, verb->buttons);
    bytes_put_u16(&out, (uint16_t)verb->wheel);
    bytes_put_u16(&out, (uint16_t)verb->hwheel);
    bytes_put_u16(&out, 0);
}

static bool wheel_fits(int16_t detents)
{
    return detents >= -VERB_WHEEL_MAX && detents <= VERB_WHEEL_MAX;
}

bool verb_decode(const uint8_t *data, size_t size, unsigned n_displays, Verb *ret_verb)
{
    BytesReader in = bytes_reader(data, size);
    uint8_t type, display, flag, scancode;
    uint16_t x, y, buttons, wheel, hwheel, zero;

    if (size != VERB_SIZE || !bytes_get_u8(&in, &type) || !bytes_get_u8(&in, &display) || !bytes_get_u8(&in, &flag) ||
        !bytes_get_u8(&in, &scancode) || !bytes_get_u16(&in, &x) || !bytes_get_u16(&in, &y) ||
        !bytes_get_u16(&in, &buttons) || !bytes_get_u16(&in, &wheel) || !bytes_get_u16(&in, &hwheel) ||
        !bytes_get_u16(&in, &zero)) {
        return false;
    }

    Verb verb = { .type = type, .buttons = buttons, .wheel = (int16_t)wheel, .hwheel = (int16_t)hwheel };

    if (flag > 1 || zero != 0 || (buttons & ~PVMOUSE_BUTTONS_ALL) != 0 || !wheel_fits(verb.wheel) ||
        !wheel_fits(verb.hwheel)) {
        return false;
    }

    bool no_pointer = display == 0 && x == 0 && y == 0 && buttons == 0 && wheel == 0 && hwheel == 0;

    switch (type) {
    case VERB_POINTER:
        verb.position = flag;
        verb.display = display;
        verb.x = x;
        verb.y = y;
        if (scancode != 0 || (flag ? display >= n_displays : display != 0 || x != 0 || y != 0)) {
            return false;
        }
        break;
    case VERB_MOTION:
        verb.dx = (int16_t)x;
        verb.dy = (int16_t)y;
        if (scancode != 0 || flag || display != 0) {
            return false;
        }
        break;
    case VERB_KEY:
        verb.scancode = scancode;
        verb.down = flag;
        if (!no_pointer) {
            return false;
        }
        break;
    case VERB_REFRESH:
        if (!no_pointer || flag || scancode != 0) {
            return false;
        }
        break;
    default:
        return false;
    }
    *ret_verb = verb;
    return true;
}

/* The first word of a state. */
enum {
    STATE_CONNECTED = 1 << 0,
    STATE_TABLET = 1 << 1
};

void verb_encode_state(const VerbState *state, uint8_t ret_data[VERB_STATE_SIZE])
{
    BytesWriter out = bytes_writer(ret_data, VERB_STATE_SIZE);

    bytes_put_u32(&out, (state->connected ? STATE_CONNECTED : 0) | (state->tablet ? STATE_TABLET : 0));
    bytes_put_u32(&out, state->connections);
    bytes_put_u32(&out, state->resets);
    bytes_put_u32(&out, state->open);
    bytes_put_u64(&out, state->lost);
    bytes_put_u64(&out, state->refused);
}

bool verb_decode_state(const uint8_t *data, size_t size, unsigned n_channels, VerbState *state)
{
    BytesReader in = bytes_reader(data, size);
    uint32_t flags;
    VerbState next;

    if (size != VERB_STATE_SIZE || !bytes_get_u32(&in, &flags) || !bytes_get_u32(&in, &next.connections) ||
        !bytes_get_u32(&in, &next.resets) || !bytes_get_u32(&in, &next.open) || !bytes_get_u64(&in, &next.lost) ||
        !bytes_get_u64(&in, &next.refused)) {
        return false;
    }
    next.connected = flags & STATE_CONNECTED;
    next.tablet = flags & STATE_TABLET;
    if ((flags & ~(uint32_t)(STATE_CONNECTED | STATE_TABLET)) != 0 || (next.tablet && !next.connected) || next.connections < state->connections || next.resets < state->resets ||
        next.lost < state->lost || next.refused < state->refused) {
        return false;
    }
    /* Nothing is open without a connection, and no channel that there is not. */
    if (next.open != 0 && (!next.connected || (n_channels < VERB_CHANNELS_MAX && next.open >> n_channels != 0))) {
        return false;
    }
    /* A connection that began is counted. */
    if (next.connected && !state->connected && next.connections == state->connections) {
        return false;
    }
    *state = next;
    return true;
}
