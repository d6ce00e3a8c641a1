/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * outflow.h - answers to the SPICE client's requests, one after the other, as the connection takes them.
 *
 * A value is freed as soon as its last byte is sent. A client that asks and does not read gets OUTFLOW_MAX answers
 * queued, after that none; the bytes of their values are for the caller to bound.
 */
#ifndef OUTFLOW_H
#define OUTFLOW_H

#include <glib.h>

#define OUTFLOW_MAX 256u

typedef struct Outflow Outflow;

typedef struct OutflowEvents {
    gboolean (*begin)(guint8 selection, guint32 type, gsize size, gpointer user);
    gsize (*room)(gpointer user);
    void (*data)(const guint8 *data, gsize size, gpointer user);
} OutflowEvents;

Outflow *outflow_new(const OutflowEvents *events, gpointer user);
void outflow_free(Outflow *outflow);

/* Answer with a value (a reference is taken), or with nothing: NULL. */
void outflow_answer(Outflow *outflow, guint8 selection, guint32 type, GBytes *value);

/* There is room again. */
void outflow_writable(Outflow *outflow);

/* The client left. */
void outflow_reset(Outflow *outflow);

/* Bytes of the values that wait. */
gsize outflow_held(const Outflow *outflow);

#endif
