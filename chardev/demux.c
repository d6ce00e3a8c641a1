/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "demux.h"

#include <string.h>

enum {
    STATE_CHUNKS, /* between two pieces */
    STATE_PIECE,  /* inside demux->piece, until its stream asks for more */
    STATE_BROKEN
};

static const struct {
    uint32_t agent, pvmouse;
} buttons[] = {
    { VD_AGENT_LBUTTON_MASK, PVMOUSE_BUTTON_LEFT },   { VD_AGENT_MBUTTON_MASK, PVMOUSE_BUTTON_MIDDLE },
    { VD_AGENT_RBUTTON_MASK, PVMOUSE_BUTTON_RIGHT },  { VD_AGENT_SBUTTON_MASK, PVMOUSE_BUTTON_SIDE },
    { VD_AGENT_EBUTTON_MASK, PVMOUSE_BUTTON_EXTRA },
};

void demux_init(Demux *demux)
{
    memset(demux, 0, sizeof(*demux));
    stream_init(&demux->client, VDAGENT_TO_GUEST);
    stream_init(&demux->server, VDAGENT_TO_GUEST);
}

void demux_reset(Demux *demux)
{
    memset(&demux->chunks, 0, sizeof(demux->chunks));
    memset(&demux->piece, 0, sizeof(demux->piece));
    stream_reset(&demux->client);
    stream_reset(&demux->server);
    demux->last_buttons = 0;
    demux->state = STATE_CHUNKS;
}

void demux_reset_client(Demux *demux)
{
    stream_reset(&demux->client);
}

void demux_set_caps(Demux *demux, const Caps *caps)
{
    demux->client.caps = *caps;
    demux->server.caps = *caps;
}

void demux_set_size(Demux *demux, uint32_t display, uint32_t w, uint32_t h)
{
    if (display < LIMIT_DISPLAYS) {
        demux->size[display].w = w;
        demux->size[display].h = h;
    }
}

static bool has_size(const Demux *demux, uint32_t display)
{
    return display < LIMIT_DISPLAYS && demux->size[display].w > 0 && demux->size[display].h > 0;
}

bool demux_clamp(const Demux *demux, VdagentMouseState *mouse)
{
    uint32_t right, bottom;

    if (!has_size(demux, mouse->display)) {
        return false;
    }
    right = demux->size[mouse->display].w - 1;
    bottom = demux->size[mouse->display].h - 1;
    mouse->x = mouse->x < right ? mouse->x : right;
    mouse->y = mouse->y < bottom ? mouse->y : bottom;
    return true;
}

static PvmouseFrame to_frame(Demux *demux, uint32_t port, const VdagentMouseState *mouse)
{
    PvmouseFrame frame = { .type = PVMOUSE_STATE, .sequence = ++demux->sequence };
    uint32_t steps = mouse->buttons;

    if (port == VDP_CLIENT_PORT) {
        steps &= ~demux->last_buttons;
        demux->last_buttons = mouse->buttons;
    }
    demux->mouse_states++;
    for (size_t i = 0; i < sizeof(buttons) / sizeof(*buttons); i++) {
        if (mouse->buttons & buttons[i].agent) {
            frame.buttons |= buttons[i].pvmouse;
        }
    }
    if (steps & VD_AGENT_UBUTTON_MASK) {
        frame.wheel += PVMOUSE_DETENT;
    }
    if (steps & VD_AGENT_DBUTTON_MASK) {
        frame.wheel -= PVMOUSE_DETENT;
    }
    if (has_size(demux, mouse->display)) {
        frame.display = mouse->display;
        frame.x = pvmouse_from_pixel(mouse->x, demux->size[mouse->display].w);
        frame.y = pvmouse_from_pixel(mouse->y, demux->size[mouse->display].h);
    } else {
        frame.no_position = true;
        demux->unknown_displays++;
    }
    return frame;
}

/* The next event out of the current piece. */
static DemuxResult next_in_piece(Demux *demux, DemuxEvent *ret_event)
{
    ChunkPiece *piece = &demux->piece;
    Stream *stream = piece->port == VDP_CLIENT_PORT ? &demux->client : &demux->server;
    BytesReader in = bytes_reader(piece->data, piece->size);

    ret_event->port = piece->port;
    ret_event->result = stream_next(stream, &in, &ret_event->stream);
    piece->data = in.at;
    piece->size = in.left;
    if (ret_event->result == STREAM_MORE) {
        demux->state = STATE_CHUNKS;
        return DEMUX_MORE;
    }
    if (ret_event->result == STREAM_BROKEN) {
        demux->state = STATE_BROKEN;
        return DEMUX_BROKEN;
    }
    if (ret_event->result == STREAM_MESSAGE && ret_event->stream.message.type == VD_AGENT_MOUSE_STATE) {
        ret_event->pointer = to_frame(demux, piece->port, &ret_event->stream.message.mouse);
        return DEMUX_POINTER;
    }
    return DEMUX_AGENT;
}

DemuxResult demux_next(Demux *demux, BytesReader *in, DemuxEvent *ret_event)
{
    for (;;) {
        if (demux->state == STATE_BROKEN) {
            in->at += in->left;
            in->left = 0;
            return DEMUX_MORE;
        }
        if (demux->state == STATE_PIECE) {
            DemuxResult result = next_in_piece(demux, ret_event);

            if (result != DEMUX_MORE) {
                return result;
            }
        }
        switch (chunk_next(&demux->chunks, in, &demux->piece)) {
        case CHUNK_MORE:
            return DEMUX_MORE;
        case CHUNK_PIECE:
            demux->state = STATE_PIECE;
            break;
        case CHUNK_SKIPPED:
            ret_event->port = demux->piece.port;
            return DEMUX_SKIPPED;
        case CHUNK_BROKEN:
            ret_event->port = demux->piece.port;
            demux->state = STATE_BROKEN;
            return DEMUX_BROKEN;
        }
    }
}
