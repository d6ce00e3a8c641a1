/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helper.h - ask spice-agent-helper for what needs rights that the daemon has not: one question at a time, each by a
 * connection of its own, at which systemd starts the program.
 *
 * A question is words, each with a zero behind it, at most HELPER_REQUEST_MAX bytes of them: how many follow, so that
 * half a question is none, the name of the command that it is asked for, and what depends on that. The answer, of
 * HELPER_REPLY_MAX bytes at most, is "ok" and words that depend on the command, or "error" and why. Descriptors can go
 * with the first byte of either. The helper's side is in agent-system/helper.
 */
#ifndef HELPER_H
#define HELPER_H

#include <gio/gio.h>
#include <gio/gunixfdlist.h>

#define HELPER_REQUEST_MAX (1u << 20)
#define HELPER_REPLY_MAX (2u << 20)

/* Descriptors that go with a question. */
#define HELPER_FDS_MAX 3u

/* Where it listens, once for each set of rights. */
#define HELPER_MACHINE "/run/spice-agent-machine"   /* clock, processors, memory, services, power */
#define HELPER_ACCOUNTS "/run/spice-agent-accounts" /* passwords and ssh keys */
#define HELPER_FREEZER "/run/spice-agent-freezer"   /* file systems */
#define HELPER_HOOK "/run/spice-agent-hook"         /* the administrator's program for the freezing of them */
#define HELPER_FILES "/run/spice-agent-files"       /* opening files */
#define HELPER_EXEC "/run/spice-agent-exec"         /* running programs */

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

/*
 * To be called before helper_ask(): these go with the question (borrowed until it is answered), and a connection whose answer
 * is "ok" and nothing behind it remains, until helper_free(), and with it what the helper holds.
 */
void helper_hold(Helper *helper, GUnixFDList *fds);

/* In a HelperAnswer: the descriptor that came with it, which is the caller's then; -1: none. */
int helper_take_fd(Helper *helper);

/* Whether the helper has not been asked as it is not there, or not for us. */
gboolean helper_is_missing(const GError *error);

/* A HelperAnswer for a command without result: `user` is its Call. */
void helper_end_call(const char *const *words, const GError *error, gpointer user);

/*
 * As write() to a socket and read(), of bytes with descriptors beside them. Those that come are given to `take`, whose they are
 * then; those beyond HELPER_FDS_MAX are closed.
 */
gssize helper_send(int fd, const void *data, gsize size, const int *fds, gsize count);
gssize helper_receive(int fd, void *data, gsize size, void (*take)(int fd, gpointer user), gpointer user);

/* The words of a question or an answer, which end with NULL and are borrowed from it; one that was cut is none. */
GPtrArray *helper_words(GByteArray *bytes);

#endif
