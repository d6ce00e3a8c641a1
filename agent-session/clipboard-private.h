/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* clipboard-private.h - what clipboard.c and clipboard-terminal.c share: one facade in two files. */
#ifndef CLIPBOARD_PRIVATE_H
#define CLIPBOARD_PRIVATE_H

#include "clipboard-backend.h"
#include "clipboard.h"
#include "convert.h"
#include "inflow.h"
#include "log.h"
#include "outflow.h"

#define BACKENDS_MAX CLIPBOARD_SELECTIONS
G_STATIC_ASSERT(CLIPBOARD_SELECTIONS == INFLOW_SELECTIONS);

/* One type's content that is being fetched from a program for the client. */
typedef struct Fetch {
    Clipboard *clipboard;
    guint8 selection;
    guint32 type;
    guint32 from; /* it is to be made of this one; 0: it is there */
} Fetch;

typedef struct Side {
    ClipboardBackend *backend; /* of the desktop that is served; NULL: none */
    Selection selection;
    guint32 plain; /* of its offers, what the owner has itself: the others are made of these (convert.h) */
    Fetch fetch[SELECTION_TYPES];
    /* A program took over what we owned: its content of this type is fetched to compare; 0: none is. */
    struct {
        guint32 type, offers;
        gboolean foreign;
    } echo;
    GBytes *content; /* what a terminal gave, while it is the owner */
    gboolean told_to_host, told_from_host;
} Side;

struct Clipboard {
    ClipboardPolicy policy;
    ClipboardPeer peer;
    gpointer user;
    gint64 client_max; /* -1: none */
    Side side[CLIPBOARD_SELECTIONS];
    Inflow *inflow;
    Outflow *outflow;
    ClipboardBackend *backend[BACKENDS_MAX];
    GPtrArray *fed;           /* sinks that get a terminal's content */
    Convert *convert;
    GSList *images; /* pastes that wait for a converted image */
    GSList *copying, *pasting; /* of terminals: descriptors that are read, content that is fetched from a program */
    guint *terminals;         /* how many there are; shared with their tasks, which may outlive this */
    LogPeer client;
};

/* Do what the state machine said about an event; a refusal is one of the direction `to_host`. */
void clipboard_apply(Clipboard *clipboard, Side *side, unsigned flags, gboolean to_host);

/* Give a value in memory to a sink. */
void clipboard_feed(Clipboard *clipboard, Sink *sink, GBytes *value);

/* Somebody wants the host's content; of an image, in one of the kinds that can be made of it. */
void clipboard_want(Clipboard *clipboard, Side *side, guint32 type, Sink *target);

/* The sink of a wish for an image that is being made has gone; FALSE if there is none. */
gboolean clipboard_drop_image(Clipboard *clipboard, const Sink *target);

/* The facade goes away, and with it what gathers images already. */
void clipboard_end_images(Clipboard *clipboard);

/* The comparison under way has become pointless. */
void clipboard_forget_echo(Side *side);

/* The facade, or a side's backend, goes away. */
void clipboard_end_copies(Clipboard *clipboard);
void clipboard_end_pastes(Clipboard *clipboard, Side *side);

#endif
