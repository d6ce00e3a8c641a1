/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * wlprogram.h - a program of a compositor's session, for tests: owns selections or pastes by data-control, by the book
 * or in one of the ways in which real ones misbehave. Has a connection of its own, on the test's main loop.
 */
#ifndef WLPROGRAM_H
#define WLPROGRAM_H

#include "wayland.h"

#define WLPROGRAM_SELECTIONS 2

/* What became of one paste. */
typedef struct WlResult {
    GByteArray *data;
    gboolean done;
    gint64 first; /* when the first byte came */
    /* Private. */
    int fd;
    guint source;
} WlResult;

typedef struct WlProgram {
    Wayland *wayland;
    gboolean ready, closed;
    /* As an owner. */
    GBytes *content;
    gssize stop_after; /* bytes after which nothing more is written, and the pipe stays open; -1: never */
    guint served, lost;
    /* As a reader: the names under which a selection is offered, NULL if it is not. */
    GPtrArray *offered[WLPROGRAM_SELECTIONS];
    guint selections; /* how often some selection changed */
    GPtrArray *results;
    /* Private. */
    struct wl_interface protocol;
    gpointer manager, device, introduced, offer[WLPROGRAM_SELECTIONS], source[WLPROGRAM_SELECTIONS];
    GPtrArray *names;
    GPtrArray *writers;
    GArray *kept;
} WlProgram;

/* Connects to the compositor of the environment. */
WlProgram *wlprogram_new(void);
void wlprogram_free(WlProgram *program);

/* Own a selection under these names, up to NULL, with what wlprogram_content() set. */
void wlprogram_content(WlProgram *program, const void *data, gsize size);
void wlprogram_own(WlProgram *program, guint selection, const char *const *names);
void wlprogram_disown(WlProgram *program, guint selection);

/* Does anybody offer this, as far as the program has heard? */
gboolean wlprogram_sees(const WlProgram *program, guint selection, const char *name);

/* Everything asked for has reached the compositor, and what it said to that has come back. */
void wlprogram_sync(WlProgram *program);

/* Paste, reading as it comes; or ask for it and leave the reading end to the caller. */
WlResult *wlprogram_paste(WlProgram *program, guint selection, const char *name);
int wlprogram_ask(WlProgram *program, guint selection, const char *name);

/* Paste and run the main loop until all is there. */
WlResult *wlprogram_get(WlProgram *program, guint selection, const char *name);

#endif
