/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * exec.h - programs that the host has run, EXEC_MAX at most: each as a transient service of systemd's, so outside of
 * our own sandbox, with the clean environment of a service.
 *
 * What became of one is kept until it is asked for; when there are too many, the oldest that has ended is forgotten. Of
 * each output EXEC_OUTPUT_MAX bytes are kept.
 */
#ifndef EXEC_H
#define EXEC_H

#define EXEC_MAX 64
#define EXEC_OUTPUT_MAX (16 << 20)

typedef struct Exec Exec;

Exec *exec_new(void);

/* Programs that run go on. Calls under way are answered. NULL is fine. */
void exec_free(Exec *exec);

#endif
