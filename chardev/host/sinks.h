/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sinks.h - where the pointer goes: to the first of three ways into the guest that is open.
 *
 * 1. the pvmouse port, 2. QEMU's tablets by QMP, 3. mouse states in the agent's port. When the way changes, in any direction
 * and at any moment, every button is released on the old one, and the new one begins with how things stand: the position
 * and the buttons that are down.
 */
#ifndef SINKS_H
#define SINKS_H

#include "channel.h"
#include "pvmouse.h"
#include "vdagent.h"

typedef enum SinksKind {
    SINKS_NONE,
    SINKS_PVMOUSE,
    SINKS_QMP,
    SINKS_LEGACY
} SinksKind;

/* "none", "pvmouse", "qmp", "legacy" */
const char *sinks_name(SinksKind kind);

/*
 * What each way can do; `user` is the way's own. Input and release come to the way in use, and to the pvmouse port always: it
 * answers a guest's HELLO with how things stand.
 */
typedef struct SinksWay {
    gboolean (*open)(gpointer user);
    /* A STATE or MOTION. For a STATE, `raw` is the client's, in pixels. False: it was lost. */
    gboolean (*input)(const PvmouseFrame *frame, const VdagentMouseState *raw, gpointer user);
    /* Release all buttons of the last state, which is given. */
    void (*release)(const PvmouseFrame *frame, const VdagentMouseState *raw, gpointer user);
    gpointer user;
} SinksWay;

/* Not `enabled`: there is no way, and what comes is dropped. */
Sinks *sinks_new(gboolean enabled);
void sinks_free(Sinks *sinks);

/* Put a way in its place; copied. */
void sinks_set_way(Sinks *sinks, SinksKind kind, const SinksWay *way);

/* What is open may have changed. */
void sinks_update(Sinks *sinks);

SinksKind sinks_current(const Sinks *sinks);

/* From the client: a STATE with a position, as libspice-server gave it to an agent. */
void sinks_state(Sinks *sinks, const PvmouseFrame *frame, const VdagentMouseState *raw);

/* From the client in server mouse mode: a MOTION. */
void sinks_motion(Sinks *sinks, const PvmouseFrame *frame);

/* The client's input is gone. */
void sinks_release(Sinks *sinks);

/* So many of the events that this way had taken are lost after all. */
void sinks_lose(Sinks *sinks, SinksKind kind, guint64 count);

/* Events that a way had to drop, by kind. */
guint64 sinks_lost(const Sinks *sinks, SinksKind kind);
guint64 sinks_taken(const Sinks *sinks, SinksKind kind);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sinks, sinks_free)

#endif
