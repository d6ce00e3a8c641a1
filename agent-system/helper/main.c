/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * spice-agent-helper: does one thing for spice-agent-manage, with rights that the daemon has not, and ends.
 *
 *   spice-agent-helper machine|accounts|freezer|hook|files|exec
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
#include <poll.h>
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

static void take_given(int fd, gpointer user)
{
    GUnixFDList *given = user;

    if (g_unix_fd_list_get_length(given) >= (gint)HELPER_FDS_MAX || g_unix_fd_list_append(given, fd, NULL) < 0)
        g_warning("a descriptor too many");
    close(fd);
}

/* The question, up to its end, and what comes with it; NULL with an error. */
static GByteArray *read_question(GUnixFDList *given, GError **error)
{
    g_autoptr(GByteArray) question = g_byte_array_new();
    guint8 part[PART];
    gssize size;

    while ((size = helper_receive(STDIN_FILENO, part, sizeof(part), take_given, given)) != 0) {
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

/* What goes back. */
typedef struct Reply {
    GPtrArray *words;
    int fd;          /* -1: none */
    gboolean stays; /* until the daemon hangs up */
} Reply;

/* Do what the words say; NULL, or why it has not worked, to be freed. */
static char *answer(const HelperVerb *verbs, const GPtrArray *words, GUnixFDList *given, Reply *reply)
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
    reply->stays = verb->stays;
    return verb->pass ? verb->pass(word + 1, given, &reply->fd) : verb->run(word + 1, reply->words);
}

/* The descriptor is beside the first byte. */
static gboolean write_reply(const Reply *reply)
{
    const GPtrArray *words = reply->words;
    int fd = reply->fd;

    for (guint i = 0; i < words->len; i++) {
        const char *word = words->pdata[i];
        gsize left = strlen(word) + 1;

        while (left > 0) {
            gssize size = fd < 0 ? write(STDOUT_FILENO, word, left) : helper_send(STDOUT_FILENO, word, left, &fd, 1);

            if (size < 0 && errno != EINTR)
                return FALSE;
            if (size > 0) {
                word += size;
                left -= (gsize)size;
                fd = -1;
            }
        }
    }
    return TRUE;
}

/* That there is nothing more to read says only that all has been asked. */
static void wait_for_end(void)
{
    struct pollfd connection = { .fd = STDIN_FILENO };

    while (poll(&connection, 1, -1) < 0 && errno == EINTR)
        ;
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
        { "files", helperverbs_files },
        { "exec", helperverbs_exec },
    };

    for (guint i = 0; i < G_N_ELEMENTS(sets); i++)
        if (g_str_equal(sets[i].name, name))
            return sets[i].verbs;
    return NULL;
}

int main(int argc, char **argv)
{
    const HelperVerb *verbs = argc == 2 ? find_verbs(argv[1]) : NULL;
    g_autoptr(GPtrArray) back = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GUnixFDList) given = g_unix_fd_list_new();
    Reply reply = { .words = back, .fd = -1 };
    g_autoptr(GError) error = NULL;

    if (!verbs) {
        g_printerr("Usage: spice-agent-helper machine|accounts|freezer|hook|files|exec\n");
        return EXIT_FAILURE;
    }
    log_setup("spice-agent-helper", FALSE);
    signal(SIGPIPE, SIG_IGN);
    if (!is_daemon()) {
        g_warning("it is not " DAEMON_USER " who asks");
        return EXIT_FAILURE;
    }

    g_autoptr(GByteArray) question = read_question(given, &error);

    if (!question) {
        g_warning("%s", error->message);
        return EXIT_FAILURE;
    }

    g_autoptr(GPtrArray) words = helper_words(question);

    g_ptr_array_add(back, g_strdup("ok"));

    char *why = answer(verbs, words, given, &reply);

    if (why) {
        g_message("%s", why);
        g_ptr_array_set_size(back, 0);
        g_ptr_array_add(back, g_strdup("error"));
        g_ptr_array_add(back, why);
    }
    if (!write_reply(&reply))
        return EXIT_FAILURE;
    if (reply.stays && !why)
        wait_for_end();
    return EXIT_SUCCESS;
}
