/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmpchild.h - the process that has QEMU's monitor: a socket to it, a socket to spicevmc, monitor.h between them.
 */
#ifndef QMPCHILD_H
#define QMPCHILD_H

#include "monitor.h"

/* Between two attempts to connect to QEMU. */
#define QMPCHILD_RETRY_MS 1000

/* Time to release what is down when spicevmc is gone. */
#define QMPCHILD_END_MS 1000

/*
 * What the child does after fork(), with `parent`, its end of a packet socket. Ignores the signals that end a
 * session, since the end of spicevmc is what counts; closes all but this and the standard descriptors, locks itself
 * down and says so: an empty state, or else the text of an error. From then on it ends when `parent` does.
 */
_Noreturn void qmpchild_run(int parent, const char *path, const QmpDisplay *displays, guint n_displays,
                            const char *const *paths, guint n_paths);

#endif
