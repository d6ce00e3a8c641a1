/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inflow.h - clipboard data from the SPICE client to those in the guest who paste.
 *
 * The client announces the size first, then data come in pieces that go straight to the sinks; all who asked before the
 * answer began share it, at the pace of the slowest. While one has too much, reading from the client is paused, but not
 * for longer than INFLOW_STALL_MS, since the system daemon closes a connection that is not read for LIMIT_STALL_MS.
 * One that has taken nothing for so long gets the rest at once, to keep until it goes on or its own timeout ends it: at
 * most INFLOW_HURRY_MAX bytes of memory for each such paste. Of a larger answer it is given up; without a sink left the
 * rest of the message is dropped.
 */
#ifndef INFLOW_H
#define INFLOW_H

#include "selection.h"
#include "sink.h"

#define INFLOW_SELECTIONS 2u /* CLIPBOARD and PRIMARY */
#define INFLOW_STALL_MS 700
/* Programs pause for seconds, as when they ask what to do with a large paste. Text and screenshots are below this. */
#define INFLOW_HURRY_MAX (16u << 20)

typedef struct Inflow Inflow;

typedef struct InflowEvents {
    void (*request)(guint8 selection, guint32 type, gpointer user);
    void (*pause)(gboolean paused, gpointer user);
    void (*refused)(const char *why, gpointer user);
} InflowEvents;

/* The INFLOW_SELECTIONS `selections` outlive the result. */
Inflow *inflow_new(Selection *const *selections, gint64 max_size, guint timeout_ms, const InflowEvents *events,
                   gpointer user);
void inflow_free(Inflow *inflow);

/* Somebody wants the host's content. */
void inflow_want(Inflow *inflow, guint8 selection, guint32 type, Sink *sink);

/* What sinks say: see sink.h. */
void inflow_ready(Inflow *inflow, Sink *sink);
void inflow_gone(Inflow *inflow, Sink *sink);

/* An answer of the client: head, data, end. Type VD_AGENT_CLIPBOARD_NONE or size 0: it has nothing. */
void inflow_begin(Inflow *inflow, guint8 selection, guint32 type, gsize size);
void inflow_data(Inflow *inflow, const guint8 *data, gsize size);
void inflow_end(Inflow *inflow);

/*
 * The client left or another came: each paste ends, as does the answer under way. With `crlf`, CR LF in its texts
 * becomes LF. Call after selection_peer().
 */
void inflow_reset(Inflow *inflow, gboolean crlf);

/* Programs read this too, of a type that the client does not have: it was made of its answer of type `from`. */
void inflow_made(Inflow *inflow, guint8 selection, guint32 type, guint32 from, GBytes *value);

/* Is this what programs last read of the host's content? Compares the size and a digest. */
gboolean inflow_same(const Inflow *inflow, guint8 selection, guint32 type, GBytes *value);

#endif
