/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mime.h - names of clipboard content in Wayland's protocols and Mutter's interface, and the agent protocol's types.
 *
 * Pure. Names are MIME types, in any case and with any spaces around their parameters, and X targets that programs
 * offer beside them. Text without a charset is UTF-8 where it can be, else Latin-1.
 */
#ifndef MIME_H
#define MIME_H

#include "selection.h"

/* Names under which all types together are offered. */
#define MIME_OFFERED 12u
/* A longer name is none of ours. */
#define MIME_NAME_MAX 128u

typedef enum MimeForm {
    MIME_FORM_RAW,   /* as on the wire */
    MIME_FORM_PLAIN, /* text/plain and TEXT, which do not say how they are encoded: given as UTF-8 */
    MIME_FORM_LATIN1 /* STRING, given as Latin-1; some programs give UTF-8 */
} MimeForm;

/*
 * What a program offers: a set of types, and for each the name by which to ask for it. All zero is nothing. A list of
 * any length takes no more memory than this.
 */
typedef struct MimeOffer {
    guint32 types;
    gboolean foreign; /* there is content among it that the agent protocol cannot carry */
    char best[SELECTION_TYPES][MIME_NAME_MAX];
    guint8 rank[SELECTION_TYPES]; /* private */
} MimeOffer;

/* Take the next name of the list into account. */
void mime_offer_add(MimeOffer *offer, const char *name);

/* Type of a name, and the form of its content; 0 for none of ours. */
guint32 mime_type(const char *name, MimeForm *ret_form);

/* List the names under which a set of types is offered; returns how many. Room for MIME_OFFERED; static strings. */
guint mime_list(guint32 types, const char **ret_list);

/* What a program gave in a form, as it goes on the wire; NULL if it would grow beyond `limit`. Consumes `data`. */
GBytes *mime_decode(MimeForm form, GByteArray *data, gsize limit);

#endif
