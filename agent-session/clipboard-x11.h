/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clipboard-x11.h - CLIPBOARD and PRIMARY of an X server, for the clipboard facade.
 *
 * Works with one unmapped InputOnly window: nothing that a window manager could show or focus. Selections are numbered
 * as in the agent protocol, VD_AGENT_CLIPBOARD_SELECTION_CLIPBOARD and _PRIMARY.
 */
#ifndef CLIPBOARD_X11_H
#define CLIPBOARD_X11_H

#include "selection.h"
#include "sink.h"
#include "x11.h"

#define CLIPBOARD_X11_SELECTIONS 2u

typedef struct ClipboardX11 ClipboardX11;

typedef struct ClipboardX11Events {
    /* Another program owns the selection and offers a set of types, and perhaps content of other, `foreign` targets. */
    void (*program)(guint8 selection, guint32 types, gboolean foreign, gpointer user);
    /* The same, of a program that owned it before clipboard_x11_new(). */
    void (*found)(guint8 selection, guint32 types, gpointer user);
    /* Nobody owns it any more. */
    void (*nobody)(guint8 selection, gpointer user);
    /* A program pastes what we own; the rest is as in sink.h. */
    void (*want)(guint8 selection, guint32 type, Sink *sink, gpointer user);
    void (*ready)(Sink *sink, gpointer user);
    void (*gone)(Sink *sink, gpointer user);
} ClipboardX11Events;

/* Fails without the XFixes extension. `x11` outlives the result. Nothing is called back before the main loop runs. */
ClipboardX11 *clipboard_x11_new(X11 *x11, guint timeout_ms, const ClipboardX11Events *events, gpointer user,
                                GError **error);

/* Gives up what it owns; sinks are reported gone, fetches are forgotten. */
void clipboard_x11_free(ClipboardX11 *clipboard);

/* Own a selection with a set of types; with none, give it up. */
void clipboard_x11_own(ClipboardX11 *clipboard, guint8 selection, guint32 types);

/* SINK_DONE and the value in the wire's form, which the callee unrefs; or why there is none, and NULL. */
typedef void (*ClipboardX11Fetched)(SinkEnd how, GBytes *value, gpointer user);

/* Get content of the program that owns the selection; at most `limit` bytes. FALSE if it does not offer the type. */
gboolean clipboard_x11_fetch(ClipboardX11 *clipboard, guint8 selection, guint32 type, gsize limit,
                             ClipboardX11Fetched fetched, gpointer user);

/* Forget the fetches with this `user`. */
void clipboard_x11_cancel(ClipboardX11 *clipboard, gpointer user);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ClipboardX11, clipboard_x11_free)

#endif
