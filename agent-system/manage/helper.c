/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helper.h"

#include "command.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Memory may take long to be given back; the unit's RuntimeMaxSec is as much. */
#define TIMEOUT_S 60
/* All that was not written goes to disk before a file system is frozen, and to trim a large one takes longer still. */
#define TIMEOUT_FREEZER_S 600
#define PART 4096

struct Helper {
    const char *path; /* of the question under way, static */
    HelperAnswer answer;
    gpointer user;
    int fd;             /* -1: no connection */
    guint source, timeout; /* 0: none; the source is an idle one where there is no connection */
    GByteArray *request, *reply;
    gsize sent;
    GError *error; /* of a connection that was not made */
};

GPtrArray *helper_words(GByteArray *bytes)
{
    GPtrArray *words = g_ptr_array_new();
    gsize at = 0;

    while (at < bytes->len) {
        guint8 *word = bytes->data + at;
        const guint8 *zero = memchr(word, 0, bytes->len - at);

        if (!zero)
            break;
        g_ptr_array_add(words, word);
        at = (gsize)(zero - bytes->data) + 1;
    }
    g_ptr_array_add(words, NULL);
    return words;
}

Helper *helper_new(void)
{
    Helper *helper = g_new0(Helper, 1);

    helper->fd = -1;
    return helper;
}

/* Ends the question; `words` or `error` is the answer. */
static void end(Helper *helper, const char *const *words, const GError *error)
{
    HelperAnswer answer = helper->answer;

    g_clear_handle_id(&helper->source, g_source_remove);
    g_clear_handle_id(&helper->timeout, g_source_remove);
    if (helper->fd >= 0)
        close(helper->fd);
    helper->fd = -1;
    g_clear_pointer(&helper->request, g_byte_array_unref);
    g_clear_pointer(&helper->reply, g_byte_array_unref);
    helper->answer = NULL;
    answer(words, error, helper->user);
}

static void fail(Helper *helper, const char *why)
{
    g_autoptr(GError) error = g_error_new(G_IO_ERROR, G_IO_ERROR_FAILED, "%s: %s", helper->path, why);

    end(helper, NULL, error);
}

void helper_free(Helper *helper)
{
    if (!helper)
        return;
    if (helper->answer) {
        g_autoptr(GError) error = g_error_new_literal(G_IO_ERROR, G_IO_ERROR_CANCELLED, "the agent ends");

        end(helper, NULL, error);
    }
    g_clear_error(&helper->error);
    g_free(helper);
}

static void take_reply(Helper *helper)
{
    g_autoptr(GByteArray) reply = g_steal_pointer(&helper->reply);
    g_autoptr(GPtrArray) words = helper_words(reply);

    const char *const *word = (const char *const *)words->pdata;

    if (g_strcmp0(word[0], "ok") == 0) {
        end(helper, word + 1, NULL);
    } else if (g_strcmp0(word[0], "error") == 0 && word[1]) {
        g_autoptr(GError) error = g_error_new_literal(G_IO_ERROR, G_IO_ERROR_FAILED, word[1]);

        end(helper, NULL, error);
    } else {
        fail(helper, "the helper has ended without an answer");
    }
}

static gboolean on_readable(gint fd, G_GNUC_UNUSED GIOCondition condition, gpointer user)
{
    Helper *helper = user;
    guint8 part[PART];
    gssize size = read(fd, part, sizeof(part));

    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    if (size > 0 && helper->reply->len + (gsize)size <= HELPER_REPLY_MAX) {
        g_byte_array_append(helper->reply, part, (guint)size);
        return G_SOURCE_CONTINUE;
    }
    helper->source = 0;
    if (size == 0)
        take_reply(helper);
    else
        fail(helper, size < 0 ? g_strerror(errno) : "the answer is too long");
    return G_SOURCE_REMOVE;
}

static gboolean on_writable(gint fd, G_GNUC_UNUSED GIOCondition condition, gpointer user)
{
    Helper *helper = user;
    gssize size = write(fd, helper->request->data + helper->sent, helper->request->len - helper->sent);

    if (size >= 0)
        helper->sent += (gsize)size;
    if (helper->sent < helper->request->len && (size >= 0 || errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    /* Whoever does not read all of it may have said why. */
    shutdown(fd, SHUT_WR);
    helper->source = g_unix_fd_add(fd, G_IO_IN, on_readable, helper);
    return G_SOURCE_REMOVE;
}

static gboolean on_timeout(gpointer user)
{
    Helper *helper = user;

    helper->timeout = 0;
    fail(helper, "there is no answer");
    return G_SOURCE_REMOVE;
}

static gboolean on_unreachable(gpointer user)
{
    Helper *helper = user;
    g_autoptr(GError) error = g_steal_pointer(&helper->error);

    helper->source = 0;
    end(helper, NULL, error);
    return G_SOURCE_REMOVE;
}

/* A connection, or -1 with errno set. A unix socket is connected at once or not at all. */
static int connect_to(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;

    int error_number = errno;

    close(fd);
    errno = error_number;
    return -1;
}

static guint timeout_of(const char *path)
{
    return g_str_equal(path, HELPER_FREEZER) || g_str_equal(path, HELPER_HOOK) ? TIMEOUT_FREEZER_S : TIMEOUT_S;
}

void helper_ask(Helper *helper, const char *path, const char *const *words, HelperAnswer answer, gpointer user)
{
    g_assert(!helper->answer);
    helper->path = path;
    helper->answer = answer;
    helper->user = user;
    helper->request = g_byte_array_new();
    helper->reply = g_byte_array_new();
    helper->sent = 0;

    g_autofree char *count = g_strdup_printf("%u", g_strv_length((char **)words));

    g_byte_array_append(helper->request, (const guint8 *)count, (guint)strlen(count) + 1);
    for (; *words && helper->request->len <= HELPER_REQUEST_MAX; words++)
        g_byte_array_append(helper->request, (const guint8 *)*words, (guint)strlen(*words) + 1);
    if (helper->request->len > HELPER_REQUEST_MAX)
        helper->error = g_error_new_literal(G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE, "the arguments are too long");
    else if ((helper->fd = connect_to(path)) < 0)
        helper->error = g_error_new(G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", path, g_strerror(errno));
    if (helper->error) {
        helper->source = g_idle_add(on_unreachable, helper);
    } else {
        helper->source = g_unix_fd_add(helper->fd, G_IO_OUT, on_writable, helper);
        helper->timeout = g_timeout_add_seconds(timeout_of(path), on_timeout, helper);
    }
}

void helper_end_call(G_GNUC_UNUSED const char *const *words, const GError *error, gpointer user)
{
    if (error)
        call_fail(user, "%s", error->message);
    else
        call_return(user, NULL);
}
