/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * x11-paste.h - give selection content to X programs that paste (ICCCM 2.2 and 2.5, as owner), INCR and MULTIPLE
 * included.
 *
 * Values of up to X11_PASTE_CHUNK bytes go in one property, larger ones by INCR as they come, at the requestor's pace:
 * one chunk with the server, less than one chunk and one piece here, and more only for a program that pauses, as far as
 * inflow.h goes on then. Only text for targets that must be converted is gathered first. A value that breaks off in the
 * middle is never completed, so that no program takes a part for the whole.
 */
#ifndef X11_PASTE_H
#define X11_PASTE_H

#include "sink.h"
#include "x11-targets.h"
#include "x11.h"

#define X11_PASTE_CHUNK 262144u
/* Conversions under way at a time; more are refused. */
#define X11_PASTE_MAX 64u
/* Of these, large values gathered for conversion. */
#define X11_PASTE_CONVERTING 4u
/*
 * Text for COMPOUND_TEXT and TEXT is converted by Xlib, as a whole and on the main loop, which stands still meanwhile,
 * for up to 60 ms each MiB. More than this is refused; programs that paste so much ask for UTF-8.
 */
#define X11_PASTE_WHOLE 4194304u
/* Target and property pairs of one MULTIPLE request. */
#define X11_PASTE_PAIRS 32u

typedef struct X11Paster X11Paster;

/* The feeder's side; see sink.h. */
typedef struct X11PasterEvents {
    void (*want)(guint8 selection, guint32 type, Sink *sink, gpointer user);
    void (*ready)(Sink *sink, gpointer user);
    void (*gone)(Sink *sink, gpointer user);
} X11PasterEvents;

/* A requestor that does nothing for `timeout_ms` is given up. */
X11Paster *x11_paster_new(X11 *x11, const X11Targets *targets, guint timeout_ms, const X11PasterEvents *events,
                          gpointer user);

/* Pastes under way are refused or broken off; the sinks that are still fed are reported gone. */
void x11_paster_free(X11Paster *paster);

/* A request to us as owner of `selection` since `since` with a set of types. */
void x11_paster_request(X11Paster *paster, const XSelectionRequestEvent *event, guint8 selection, guint32 types,
                        Time since);

/* PropertyNotify or DestroyNotify of a requestor's window. FALSE if no paste goes there. */
gboolean x11_paster_event(X11Paster *paster, const XEvent *event);

#endif
