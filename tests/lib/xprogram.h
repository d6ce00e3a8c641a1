/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xprogram.h - a program on the X server, for tests: owns selections or pastes, by the book or in one of the ways in
 * which real ones misbehave. Has a connection of its own, on the test's main loop.
 */
#ifndef XPROGRAM_H
#define XPROGRAM_H

#include "x11.h"

typedef struct XContent {
    Atom target, type;
    int format;
    GBytes *data;
} XContent;

/* What became of one conversion; the data of each property, INCR pieces joined. */
typedef struct XResult {
    Atom property, target;
    gboolean done, refused, incr;
    Atom type;
    int format;
    guint pieces;
    GByteArray *data;
} XResult;

typedef struct XProgram {
    X11 *x11;
    Display *display;
    Window window;
    /* As an owner. */
    GArray *contents;
    gsize chunk;         /* contents larger than this go by INCR; 0: none does */
    gboolean silent;     /* answer nothing but TARGETS */
    gboolean deaf;       /* answer nothing at all */
    glong claim;         /* the size that INCR announces, if not 0 */
    gint stop_after;     /* INCR pieces after which nothing more comes; -1: never */
    guint served, lost;  /* conversions answered, selections lost */
    Window to;           /* of the INCR under way */
    Atom to_property;
    XContent sending;
    gsize sent;
    gboolean finished;   /* the last INCR went to its end */
    /* As a requestor. */
    gint take;           /* INCR pieces to take before stopping; -1: all */
    GPtrArray *results;
    gboolean notified;   /* SelectionNotify of a MULTIPLE */
    gboolean multiple;
} XProgram;

XProgram *xprogram_new(void);
void xprogram_free(XProgram *program);
Atom xprogram_atom(XProgram *program, const char *name);

/* Content for a target, of type `type` (NULL: the target's name). */
void xprogram_offer(XProgram *program, const char *target, const char *type, const void *data, gsize size);
void xprogram_offer_nothing(XProgram *program);
void xprogram_own(XProgram *program, const char *selection);
void xprogram_disown(XProgram *program, const char *selection);
gboolean xprogram_owns(XProgram *program, const char *selection);

/* Is there an owner, other than this program? */
gboolean xprogram_sees_owner(XProgram *program, const char *selection);

/* Ask for a conversion, or for several at once; the result stays the program's. */
XResult *xprogram_paste(XProgram *program, const char *selection, const char *target);
void xprogram_paste_multiple(XProgram *program, const char *selection, const char *const *targets);

/* Paste and run the main loop until the result is there. */
XResult *xprogram_get(XProgram *program, const char *selection, const char *target);

/* The names of the atoms that a result holds, joined by spaces. */
char *xprogram_atoms(XProgram *program, const XResult *result);

#endif
