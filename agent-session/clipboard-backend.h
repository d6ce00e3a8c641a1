/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clipboard-backend.h - what a desktop's clipboard is to the facade: one shape for all backends.
 *
 * Selections are numbered as in the agent protocol, VD_AGENT_CLIPBOARD_SELECTION_CLIPBOARD and _PRIMARY. A selection
 * is served by one backend at a time, but a backend may serve only one of the two.
 */
#ifndef CLIPBOARD_BACKEND_H
#define CLIPBOARD_BACKEND_H

#include "selection.h"
#include "sink.h"

#include <spice/vd_agent.h>

#define CLIPBOARD_SELECTIONS 2u
#define CLIPBOARD_ONLY(selection) (1u << (selection))
#define CLIPBOARD_BOTH                                                                                                 \
    (CLIPBOARD_ONLY(VD_AGENT_CLIPBOARD_SELECTION_CLIPBOARD) | CLIPBOARD_ONLY(VD_AGENT_CLIPBOARD_SELECTION_PRIMARY))

/* What a backend reports, always from the main loop and never from inside of a call of the facade. */
typedef struct ClipboardBackendEvents {
    /* Another program owns the selection and offers a set of types, and perhaps content that has no type: `foreign`. */
    void (*program)(guint8 selection, guint32 types, gboolean foreign, gpointer user);
    /* The same, of a program that owned it before there was a backend, or of the desktop, which keeps our content. */
    void (*found)(guint8 selection, guint32 types, gpointer user);
    /* Nobody owns it any more. */
    void (*nobody)(guint8 selection, gpointer user);
    /* A program pastes what we own; the rest is as in sink.h. */
    void (*want)(guint8 selection, guint32 type, Sink *sink, gpointer user);
    void (*ready)(Sink *sink, gpointer user);
    void (*gone)(Sink *sink, gpointer user);
    /* The desktop serves no more; `why` is for the user. The backend waits to be freed, from this call or later. */
    void (*failed)(const char *why, gpointer user);
} ClipboardBackendEvents;

/* SINK_DONE and the value in the wire's form, which the callee unrefs; or why there is none, and NULL. */
typedef void (*ClipboardFetched)(SinkEnd how, GBytes *value, gpointer user);

typedef struct ClipboardBackend ClipboardBackend;

/* A backend's own struct begins with this. */
struct ClipboardBackend {
    const char *name;
    guint selections; /* that it serves, CLIPBOARD_ONLY() of each */

    /* Own a selection with a set of types; with none, give it up. */
    void (*own)(ClipboardBackend *backend, guint8 selection, guint32 types);
    /*
     * Get content of the program that owns the selection, at most `limit` bytes; SINK_TIMEOUT after a silence. FALSE if
     * it does not offer the type or too many fetches are under way.
     */
    gboolean (*fetch)(ClipboardBackend *backend, guint8 selection, guint32 type, gsize limit, ClipboardFetched fetched,
                      gpointer user);
    /* Forget the fetches with this `user`; they are not called back. */
    void (*cancel)(ClipboardBackend *backend, gpointer user);
    /* Gives up what it owns; sinks are reported gone, fetches are forgotten. */
    void (*free)(ClipboardBackend *backend);
};

#endif
