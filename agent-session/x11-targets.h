/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * x11-targets.h - X selection targets and the clipboard types of the agent protocol.
 *
 * One table row per target says which type it is and in which form its bytes are. Sources: ICCCM 2.6.2 for STRING,
 * COMPOUND_TEXT and TEXT; the others are conventions of the toolkits.
 *
 * Line ends: the agent announces VD_AGENT_CAP_GUEST_LINEEND_LF, which tells the client to convert from and to its own,
 * so text passes unchanged here.
 */
#ifndef X11_TARGETS_H
#define X11_TARGETS_H

#include "selection.h"
#include "sink.h"

#include <X11/Xlib.h>

#define X11_TARGETS_MAX 16u
#define X11_TARGETS_ABOUT 20u

typedef enum X11Form {
    X11_FORM_RAW,      /* as on the wire */
    X11_FORM_PLAIN,    /* text whose encoding is not said: UTF-8 where it can be */
    X11_FORM_LATIN1,   /* STRING */
    X11_FORM_COMPOUND, /* COMPOUND_TEXT */
    X11_FORM_ANY       /* TEXT: the owner chooses STRING or COMPOUND_TEXT */
} X11Form;

typedef struct X11Targets {
    Display *display;
    Atom clipboard, targets, multiple, timestamp, save_targets, incr, atom_pair, null;
    Atom content[X11_TARGETS_MAX], about[X11_TARGETS_ABOUT]; /* atoms of the tables' rows */
} X11Targets;

/* Learn the atoms from the server. */
void x11_targets_init(X11Targets *targets, Display *display);

/* What a program offers: a set of types, and for each the target by which to ask for it. */
typedef struct X11Offer {
    guint32 types;
    Atom best[SELECTION_TYPES];
    gboolean foreign; /* there is content among it that the agent protocol cannot carry */
} X11Offer;

/* Read a list of `count` targets as a program gave it. */
X11Offer x11_targets_offer(const X11Targets *targets, const guint32 *list, gsize count);

/* List the targets under which a set of types is offered; returns how many. Room for X11_TARGETS_MAX + 4. */
int x11_targets_list(const X11Targets *targets, guint32 types, Atom *ret_list);

/* Type and form of a target; 0 for none of ours. */
guint32 x11_targets_type(const X11Targets *targets, Atom target, X11Form *ret_form);

/*
 * What a program answered for type `type`, as it goes on the wire. SINK_EMPTY if it is something else or nothing,
 * SINK_REFUSED if it would grow beyond `limit`; NULL then. Consumes `data`.
 */
SinkEnd x11_targets_decode(const X11Targets *targets, guint32 type, Atom got, gsize limit, GByteArray *data,
                           GBytes **ret_value);

/* Convert UTF-8 text in place to a form; returns the property's type, None if that cannot be. */
Atom x11_targets_encode(const X11Targets *targets, X11Form form, GByteArray *text);

#endif
