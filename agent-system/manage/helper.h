/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helper.h - ask spice-agent-helper for what needs rights that the daemon has not: one question at a time, each by a
 * connection of its own, at which systemd starts the program.
 *
 * A question is words, each with a zero behind it, at most HELPER_REQUEST_MAX bytes of them: how many follow, so that half
 * a question is none, the name of the command that it is asked for, and what depends on that. The answer, of HELPER_REPLY_MAX bytes at most, is "ok" and words that depend on the
 * command, or "error" and why. The helper's side is in agent-system/helper.
 */
#ifndef HELPER_H
#define HELPER_H

#include <gio/gio.h>

#define HELPER_REQUEST_MAX (1u << 20)
#define HELPER_REPLY_MAX (2u << 20)

/* Where it listens, once for each set of rights. */
#define HELPER_MACHINE "/run/spice-agent-machine"   /* clock, processors, memory, power */
#define HELPER_ACCOUNTS "/run/spice-agent-accounts" /* passwords and ssh keys */
#define HELPER_FREEZER "/run/spice-agent-freezer"   /* file systems */
#define HELPER_HOOK "/run/spice-agent-hook"         /* the administrator's program for the freezing of them */

typedef struct Helper Helper;

Helper *helper_new(void);

/* A question that is under way is answered with G_IO_ERROR_CANCELLED; there may be none after that. NULL is fine. */
void helper_free(Helper *helper);

/*
 * Ask, when no other question is under way. The answer comes once, from the main loop: the words behind "ok", which end
 * with NULL, or NULL with an error; both are borrowed. G_IO_ERROR_FAILED is an error of the helper's, or of what became
 * of it; with others it has not even been asked.
 */
typedef void (*HelperAnswer)(const char *const *words, const GError *error, gpointer user);
void helper_ask(Helper *helper, const char *path, const char *const *words, HelperAnswer answer, gpointer user);

/* A HelperAnswer for a command without result: `user` is its Call. */
void helper_end_call(const char *const *words, const GError *error, gpointer user);

/* The words of a question or an answer, which end with NULL and are borrowed from it; one that was cut is none. */
GPtrArray *helper_words(GByteArray *bytes);

#endif
