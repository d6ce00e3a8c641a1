/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dispatch.h - requests of one client after the other: from bytes to commands, from their results to replies.
 *
 * Commands are carried out one at a time, in the order in which they came; while one is under way, input is not taken.
 * Each reply is one line. A client that leaves takes its half request with it, and the answer to the request under way
 * goes nowhere.
 */
#ifndef DISPATCH_H
#define DISPATCH_H

#include "policy.h"

typedef struct DispatchEvents {
    /* A reply, to be taken over. False: more than enough is waiting, call dispatch_feed() later. */
    gboolean (*reply)(GBytes *reply, gpointer user);
    /* A command is done, so dispatch_feed() can go on. Not for one that is done before dispatch_feed() returns. */
    void (*ready)(gpointer user);
} DispatchEvents;

typedef struct Dispatch Dispatch;

/* Borrows all arguments. `tables` ends with NULL. */
Dispatch *dispatch_new(const Command *const *tables, const Policy *policy, const Services *services,
                       const DispatchEvents *events, gpointer user);

/* A command under way must have been answered before. */
void dispatch_free(Dispatch *dispatch);

/* Takes input and says how much, at once all but for a reason that DispatchEvents gives; nothing while busy. */
gsize dispatch_feed(Dispatch *dispatch, const guint8 *data, gsize size);

/* The client has left. */
void dispatch_reset(Dispatch *dispatch);

/* While frozen, only commands that are safe then are carried out. */
void dispatch_set_frozen(Dispatch *dispatch, gboolean frozen);

/* NULL if the command is enabled now, else why not; static. */
const char *dispatch_refusal(const Dispatch *dispatch, const Command *command);

/* Of a call, and the tables of a dispatcher, for guest-info. */
const Dispatch *call_dispatch(const Call *call);
const Command *const *dispatch_tables(const Dispatch *dispatch);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Dispatch, dispatch_free)

#endif
