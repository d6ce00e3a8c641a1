/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * demux.h - one virtio-serial byte stream taken apart into pointer frames and agent messages (pure).
 *
 * Mouse states become pvmouse frames here, whichever chunk port they come on: spice-server uses port 2, QEMU's
 * built-in agent channel port 1. Everything else is handed on as stream events, with its port. The way back is mux.h.
 */
#ifndef DEMUX_H
#define DEMUX_H

#include "chunk.h"
#include "pvmouse.h"
#include "stream.h"

typedef enum DemuxResult {
    DEMUX_MORE,    /* the input is used up; feed more */
    DEMUX_POINTER, /* event->pointer */
    DEMUX_AGENT,   /* event->port, event->result, event->stream */
    DEMUX_SKIPPED, /* a chunk on unknown port event->port, passed over */
    DEMUX_BROKEN   /* the byte stream is out of step for good: open the port anew, then demux_reset(). Comes once;
                      until the reset further input is passed over with DEMUX_MORE */
} DemuxResult;

typedef struct DemuxEvent {
    uint32_t port;       /* VDP_CLIENT_PORT or VDP_SERVER_PORT */
    StreamResult result; /* DEMUX_AGENT: any but STREAM_MORE and STREAM_BROKEN */
    StreamEvent stream;  /* DEMUX_AGENT */
    PvmouseFrame pointer; /* DEMUX_POINTER: of type PVMOUSE_STATE */
} DemuxEvent;

/* The state between two reads. Private but for the counters, which its owner may read. */
typedef struct Demux {
    ChunkReader chunks;
    ChunkPiece piece; /* the rest of the current piece, borrowed from the input of the current call */
    Stream client, server;
    struct {
        uint32_t w, h;
    } size[LIMIT_DISPLAYS];
    uint32_t last_buttons; /* VD_AGENT_*BUTTON_MASK of the last mouse state on port 1, for edges of its wheel bits */
    uint32_t sequence;
    uint64_t mouse_states;     /* seen on the port */
    uint64_t unknown_displays; /* mouse states for a display without a size; their position is not used */
    uint8_t state;
} Demux;

void demux_init(Demux *demux);

/*
 * Forget half-read chunks and messages and held wheel bits, as after reopening the port. Sizes, caps and counters
 * stay.
 */
void demux_reset(Demux *demux);

/*
 * Forget a half-read message of the client port, as after VD_AGENT_CLIENT_DISCONNECTED: the next client starts clean.
 */
void demux_reset_client(Demux *demux);

/* What both ends agreed, for the layout of messages; takes effect with the next message. */
void demux_set_caps(Demux *demux, const Caps *caps);

/* Pixels of a display's mode; 0x0 for a display that is not there. Displays from LIMIT_DISPLAYS on are ignored. */
void demux_set_size(Demux *demux, uint32_t display, uint32_t w, uint32_t h);

/* Take a position beyond the display's edge for the edge; false, and nothing is done, if it is on no display. */
bool demux_clamp(const Demux *demux, VdagentMouseState *mouse);

/*
 * The next event out of `in`. The same reader must be passed until DEMUX_MORE, since an unfinished piece borrows from
 * it. Positions beyond the display's edge are taken as the edge.
 *
 * A wheel step is one mouse state with its wheel bit: spice-server sends one state per step and never repeats the bit
 * in a motion, so on port 2 each counts; on port 1 the bit is a level and its rising edge counts.
 */
DemuxResult demux_next(Demux *demux, BytesReader *in, DemuxEvent *ret_event);

#endif
