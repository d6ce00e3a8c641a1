/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * spice-agent-helper: does one thing for spice-agent-manage, with rights that the daemon has not, and ends.
 *
 *   spice-agent-helper machine|accounts|freezer|hook
 *
 * The question is on stdin and the answer goes to stdout, as manage/helper.h has them. systemd starts it for each
 * connection to a socket that only the daemon's user may open, in units that differ in their rights. What manage.conf
 * does not allow the host is refused here too: a daemon that was taken over has no more rights than the host had
 * before. The daemon's options --allow and --block do not count here.
 */
#define _GNU_SOURCE /* struct ucred */
#include "helper.h"
#include "log.h"
#include "manageconf.h"
#include "helperverbs.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DAEMON_USER "spice-manage"

#define PART 4096

/* Is it the daemon, or root, who asks? The socket's mode says so too. Without a socket whoever asks has started us. */
static gboolean is_daemon(void)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    const struct passwd *entry;

    if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return errno == ENOTSOCK;
    if (peer.uid == 0)
        return TRUE;
    entry = getpwnam(DAEMON_USER);
    return entry && entry->pw_uid == peer.uid;
}

/* The question, up to its end; NULL with an error. */
static GByteArray *read_question(GError **error)
{
    g_autoptr(GByteArray) question = g_byte_array_new();
    guint8 part[PART];
    gssize size;

    while ((size = read(STDIN_FILENO, part, sizeof(part))) != 0) {
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 || question->len + (gsize)size > HELPER_REQUEST_MAX) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "question: %s",
                        size < 0 ? g_strerror(errno) : "it is too long");
            return NULL;
        }
        g_byte_array_append(question, part, (guint)size);
    }
    return g_steal_pointer(&question);
}

/* Why manage.conf does not allow it; NULL if it does. */
static char *refusal(const HelperVerb *verb)
{
    const Command command = { .name = verb->name, .group = verb->group };
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = manageconf_load(NULL, &error);

    if (!config)
        return g_strdup(error->message);

    g_autoptr(Policy) policy = manageconf_policy(config);

    return g_strdup(policy_refusal(policy, &command));
}

/* Do what the words say; NULL, or why it has not worked, to be freed. */
static char *answer(const HelperVerb *verbs, const GPtrArray *words, GPtrArray *reply)
{
    const char *const *word = (const char *const *)words->pdata;
    const HelperVerb *verb = verbs;
    guint64 count;

    /* The first is how many there are behind it, and the last is NULL. */
    if (!word[0] || !g_ascii_string_to_unsigned(word[0], 10, 1, G_MAXUINT, &count, NULL) || count + 2 != words->len)
        return g_strdup("the helper does not know what is asked");
    word++;
    while (verb->name && !g_str_equal(verb->name, word[0]))
        verb++;
    if (!verb->name || count - 1 < verb->words)
        return g_strdup("the helper does not know what is asked");

    char *why = refusal(verb);

    if (why)
        return why;
    g_message("%s %s", verb->name, count > 1 ? word[1] : "");
    return verb->run(word + 1, reply);
}

static gboolean write_words(const GPtrArray *words)
{
    for (guint i = 0; i < words->len; i++) {
        const char *word = words->pdata[i];
        gsize left = strlen(word) + 1;

        while (left > 0) {
            gssize size = write(STDOUT_FILENO, word, left);

            if (size < 0 && errno != EINTR)
                return FALSE;
            if (size > 0) {
                word += size;
                left -= (gsize)size;
            }
        }
    }
    return TRUE;
}

/* Those of one set of rights; NULL if there is no such one. */
static const HelperVerb *find_verbs(const char *name)
{
    static const struct {
        const char *name;
        const HelperVerb *verbs;
    } sets[] = {
        { "machine", helperverbs_machine },
        { "accounts", helperverbs_accounts },
        { "freezer", helperverbs_freezer },
        { "hook", helperverbs_hook },
    };

    for (guint i = 0; i < G_N_ELEMENTS(sets); i++)
        if (g_str_equal(sets[i].name, name))
            return sets[i].verbs;
    return NULL;
}

int main(int argc, char **argv)
{
    const HelperVerb *verbs = argc == 2 ? find_verbs(argv[1]) : NULL;
    g_autoptr(GPtrArray) reply = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;

    if (!verbs) {
        g_printerr("Usage: spice-agent-helper machine|accounts|freezer|hook\n");
        return EXIT_FAILURE;
    }
    log_setup("spice-agent-helper", FALSE);
    signal(SIGPIPE, SIG_IGN);
    if (!is_daemon()) {
        g_warning("it is not " DAEMON_USER " who asks");
        return EXIT_FAILURE;
    }

    g_autoptr(GByteArray) question = read_question(&error);

    if (!question) {
        g_warning("%s", error->message);
        return EXIT_FAILURE;
    }

    g_autoptr(GPtrArray) words = helper_words(question);

    g_ptr_array_add(reply, g_strdup("ok"));

    char *why = answer(verbs, words, reply);

    if (why) {
        g_message("%s", why);
        g_ptr_array_set_size(reply, 0);
        g_ptr_array_add(reply, g_strdup("error"));
        g_ptr_array_add(reply, why);
    }
    return write_words(reply) ? EXIT_SUCCESS : EXIT_FAILURE;
}
