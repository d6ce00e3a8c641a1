/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * monitor.h - the conversation with QEMU's monitor: verbs and QEMU's bytes in, bytes for QEMU and the state out (pure).
 *
 * One command is under way at a time, as QEMU works on one at a time. Input that waits meanwhile is qmpinput.h's;
 * questions about the channels take turns with it. There is no timeout: a QEMU that does not answer will go on with
 * what it was asked.
 */
#ifndef MONITOR_H
#define MONITOR_H

#include "qmp.h"
#include "verbs.h"

/*
 * One line of QEMU's. The longest that is needed is the answer to query-chardev, less than 200 bytes for each character
 * device. Decoded, a line can take some 50 times its size.
 */
#define MONITOR_LINE_MAX 65536u

/* Character devices of one answer whose path is asked for one by one, and the length of their names. */
#define MONITOR_LABELS_MAX 64u
#define MONITOR_LABEL_MAX 128u

typedef struct Monitor Monitor;

/*
 * The lists and what they point to are borrowed. At most LIMIT_DISPLAYS and VERB_CHANNELS_MAX; device names are
 * UTF-8.
 */
Monitor *monitor_new(const QmpDisplay *displays, guint n_displays, const char *const *paths, guint n_paths);
/* NULL is fine. */
void monitor_free(Monitor *monitor);

/* The socket was connected, or its connection has ended. What waits is lost with it. */
void monitor_connected(Monitor *monitor);
void monitor_disconnected(Monitor *monitor);

/* Bytes from QEMU, cut anywhere. False: it does not speak QMP, hang up. */
bool monitor_input(Monitor *monitor, const uint8_t *data, size_t size);

/* A verb that verb_decode() has accepted for this number of displays. */
void monitor_verb(Monitor *monitor, const Verb *verb);

/* Nobody is there any more to say what is down: release everything. */
void monitor_release(Monitor *monitor);

/* Nothing waits and no command is under way. */
bool monitor_idle(const Monitor *monitor);

/*
 * Bytes for QEMU, none when `*ret_size` is 0; valid until the next call of any other function. Tell how many were
 * written.
 */
const char *monitor_output(const Monitor *monitor, size_t *ret_size);
void monitor_written(Monitor *monitor, size_t size);

/* How things stand. Not connected until QEMU has released all buttons and told of the channels. */
const VerbState *monitor_state(const Monitor *monitor);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Monitor, monitor_free)

#endif
