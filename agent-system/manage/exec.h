/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * exec.h - programs that the host has run, EXEC_MAX at most: each as a transient service of systemd's, so outside of
 * our own sandbox, with the clean environment of a service.
 *
 * What became of one is kept until it is asked for; when there are too many, the oldest that has ended is forgotten. Of
 * each output EXEC_OUTPUT_MAX bytes are kept, of all of them EXEC_OUTPUT_TOTAL, and what comes beyond is passed over.
 * Input that programs have not read yet has EXEC_INPUT_TOTAL bytes at most; a program with more is not run.
 */
#ifndef EXEC_H
#define EXEC_H

/* What programs are run by, and the type of its arguments. */
#define EXEC_SYSTEMD "org.freedesktop.systemd1"
#define EXEC_SYSTEMD_PATH "/org/freedesktop/systemd1"
#define EXEC_MANAGER EXEC_SYSTEMD ".Manager"
#define EXEC_START_TYPE G_VARIANT_TYPE("(ssa(sv)a(sa(sv)))")

#define EXEC_MAX 64
#define EXEC_OUTPUT_MAX (16 << 20)
/* With a request under way these fit into the MemoryMax= of the daemon's unit. */
#define EXEC_OUTPUT_TOTAL (256 << 20)
#define EXEC_INPUT_TOTAL (128 << 20)

typedef struct Exec Exec;

Exec *exec_new(void);

/* Programs that run go on. Calls under way are answered. NULL is fine. */
void exec_free(Exec *exec);

#endif
