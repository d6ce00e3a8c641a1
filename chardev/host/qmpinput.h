/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmpinput.h - from verbs to the arguments of QEMU's input-send-event, one command after the other (pure).
 *
 * What QEMU has carried out is known; what it has not waits here, where the latest position wins: motion between two
 * edges is one position. Edges (buttons, wheels, keys) wait in order, each at its own position, at most
 * QMPINPUT_QUEUE steps of them. Policy for "full": everything that waits is counted as lost and forgotten, and QEMU
 * is told how things stand.
 *
 * A button goes up on the tablet where it went down, wherever the pointer has gone since.
 */
#ifndef QMPINPUT_H
#define QMPINPUT_H

#include "qmp.h"
#include "verbs.h"

#include <jansson.h>

#define QMPINPUT_QUEUE LIMIT_POINTER_EDGES

typedef struct QmpInput QmpInput;

/*
 * `displays` is borrowed, at most LIMIT_DISPLAYS, names in UTF-8; so is `counters`, whose `lost` and `refused` it
 * counts.
 */
QmpInput *qmpinput_new(const QmpDisplay *displays, guint n_displays, VerbState *counters);
/* NULL is fine. */
void qmpinput_free(QmpInput *input);

/* VERB_POINTER, VERB_MOTION or VERB_KEY, as verb_decode() accepts it for this number of displays. */
void qmpinput_verb(QmpInput *input, const Verb *verb);

/*
 * Tell QEMU how things stand, whatever it believes: buttons and keys that are not down go up, then the pointer goes
 * where it is. When a connection is new, and when a machine goes on that refused all input while it was paused.
 */
void qmpinput_settle(QmpInput *input);

/* Nothing is down any more. What waits is forgotten. */
void qmpinput_release(QmpInput *input);

/*
 * The connection has gone. What waits is lost with it. Keys that are down are remembered: QEMU may be there still, and
 * qmpinput_settle() releases them.
 */
void qmpinput_clear(QmpInput *input);

/* Arguments of the next command, for the caller to release, or NULL. Before the next call: qmpinput_done(). */
json_t *qmpinput_next(QmpInput *input);

/* The last command has been answered. One that is refused is counted, and the rest of its step forgotten. */
void qmpinput_done(QmpInput *input, gboolean refused);

/* Nothing waits. */
gboolean qmpinput_is_empty(const QmpInput *input);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(QmpInput, qmpinput_free)

#endif
