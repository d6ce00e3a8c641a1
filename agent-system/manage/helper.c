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
    GUnixFDList *given;
    gboolean holds;
    int passed; /* came with the answer, -1: none */
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

/* Room for the descriptors of one message. */
typedef union Control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(HELPER_FDS_MAX * sizeof(int))];
} Control;

gssize helper_send(int fd, const void *data, gsize size, const int *fds, gsize count)
{
    Control control = { 0 };
    struct iovec part = { .iov_base = (void *)data, .iov_len = size };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

    if (count > 0) {
        struct cmsghdr *header = &control.align;

        g_assert(count <= HELPER_FDS_MAX);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, count * sizeof(int));
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

gssize helper_receive(int fd, void *data, gsize size, void (*take)(int fd, gpointer user), gpointer user)
{
    Control control;
    struct iovec part = { .iov_base = data, .iov_len = size };
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
    };
    gssize got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);

    if (got < 0)
        return errno == ENOTSOCK ? read(fd, data, size) : got;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        for (gsize at = 0; CMSG_LEN(at + sizeof(int)) <= header->cmsg_len; at += sizeof(int)) {
            int passed;

            memcpy(&passed, CMSG_DATA(header) + at, sizeof(int));
            take(passed, user);
        }
    }
    return got;
}

Helper *helper_new(void)
{
    Helper *helper = g_new0(Helper, 1);

    helper->fd = helper->passed = -1;
    return helper;
}

static void hang_up(Helper *helper)
{
    if (helper->fd >= 0)
        close(helper->fd);
    helper->fd = -1;
}

/* A descriptor that came, -1: none, in the place of the last one, which nobody has wanted. */
static void take_fd(int fd, gpointer user)
{
    Helper *helper = user;

    if (helper->passed >= 0)
        close(helper->passed);
    helper->passed = fd;
}

/* Ends the question; `words` or `error` is the answer. Who asked may free the helper then. */
static void end(Helper *helper, const char *const *words, const GError *error)
{
    HelperAnswer answer = helper->answer;

    g_clear_handle_id(&helper->source, g_source_remove);
    g_clear_handle_id(&helper->timeout, g_source_remove);
    if (error || !helper->holds)
        hang_up(helper);
    g_clear_object(&helper->given);
    g_clear_pointer(&helper->request, g_byte_array_unref);
    g_clear_pointer(&helper->reply, g_byte_array_unref);
    helper->answer = NULL;
    answer(words, error, helper->user);
}

int helper_take_fd(Helper *helper)
{
    int fd = helper->passed;

    helper->passed = -1;
    return fd;
}

gboolean helper_is_missing(const GError *error)
{
    return g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND) ||
           g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED) ||
           g_error_matches(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED);
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
    hang_up(helper);
    take_fd(-1, helper);
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
    gssize size = helper_receive(fd, part, sizeof(part), take_fd, helper);

    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    if (size > 0 && helper->reply->len + (gsize)size <= HELPER_REPLY_MAX) {
        g_byte_array_append(helper->reply, part, (guint)size);
        /* The connection stays, so there is no end to wait for. */
        if (!helper->holds || helper->reply->len != sizeof("ok") ||
            memcmp(helper->reply->data, "ok", sizeof("ok")) != 0)
            return G_SOURCE_CONTINUE;
        size = 0;
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
    gint count = 0;
    const gint *fds = helper->given && helper->sent == 0 ? g_unix_fd_list_peek_fds(helper->given, &count) : NULL;
    gssize size = helper_send(fd, helper->request->data + helper->sent, helper->request->len - helper->sent, fds,
                              (gsize)count);

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

void helper_hold(Helper *helper, GUnixFDList *fds)
{
    helper->holds = TRUE;
    g_set_object(&helper->given, fds);
}

void helper_ask(Helper *helper, const char *path, const char *const *words, HelperAnswer answer, gpointer user)
{
    g_assert(!helper->answer);
    take_fd(-1, helper);
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
