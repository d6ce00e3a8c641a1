/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include "openfiles.h"

#include "commands.h"
#include "helper.h"
#include "log.h"
#include "services.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_DEFAULT 4096
/* In base 64 they fill the largest value that clients of QEMU's take. */
#define READ_MAX (48 << 20)

struct OpenFiles {
    GHashTable *open; /* handle to descriptor */
    gint64 next;
    LogPeer log;
};

OpenFiles *openfiles_new(void)
{
    OpenFiles *files = g_new0(OpenFiles, 1);

    files->log.name = "host";
    files->open = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    /* No handle of a process before this one is taken for one of it. */
    files->next = g_get_real_time() / 1000;
    return files;
}

void openfiles_free(OpenFiles *files)
{
    GHashTableIter iter;
    gpointer fd;

    if (!files)
        return;
    g_hash_table_iter_init(&iter, files->open);
    while (g_hash_table_iter_next(&iter, NULL, &fd))
        close(GPOINTER_TO_INT(fd));
    g_hash_table_unref(files->open);
    g_free(files);
}

/* The descriptor of the argument "handle", or -1, and the call has failed. */
static int find(Call *call, const json_t *args)
{
    const OpenFiles *files = call_services(call)->files;
    gint64 handle = args_int(args, "handle", -1);
    gpointer fd;

    if (g_hash_table_lookup_extended(files->open, &handle, NULL, &fd))
        return GPOINTER_TO_INT(fd);
    call_fail(call, "handle '%" G_GINT64_FORMAT "' has not been found", handle);
    return -1;
}

/* As fopen(), with a "b" anywhere behind the first letter; -1: there is no such mode. */
static int flags_of(const char *mode)
{
    static const struct {
        const char *mode;
        int flags;
    } modes[] = {
        { "r", O_RDONLY },
        { "r+", O_RDWR },
        { "w", O_WRONLY | O_CREAT | O_TRUNC },
        { "w+", O_RDWR | O_CREAT | O_TRUNC },
        { "a", O_WRONLY | O_CREAT | O_APPEND },
        { "a+", O_RDWR | O_CREAT | O_APPEND },
    };
    g_auto(GStrv) parts = g_strsplit(mode, "b", 2);
    g_autofree char *plain = g_strjoinv("", parts);

    for (guint i = 0; i < G_N_ELEMENTS(modes) && mode[0] != 'b'; i++)
        if (g_str_equal(plain, modes[i].mode))
            return modes[i].flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    return -1;
}

int openfiles_open(const char *path, const char *mode)
{
    int flags = flags_of(mode), fd;

    if (flags < 0) {
        errno = EINVAL;
        return -1;
    }
    /* A new file can be read and written by everybody, whatever our umask is. */
    fd = open(path, flags & O_CREAT ? flags | O_EXCL : flags, 0600);
    if (fd >= 0 && (flags & O_CREAT))
        fchmod(fd, 0666);
    if (fd < 0 && errno == EEXIST && (flags & O_CREAT))
        fd = open(path, flags & ~O_CREAT);
    return fd;
}

/* What is to be opened. */
typedef struct Opening {
    Call *call;
    char *path, *mode;
} Opening;

/* Ends it: the file is open, or `why` is not NULL. */
static void opened(Opening *opening, int fd, const char *why)
{
    OpenFiles *files = call_services(opening->call)->files;
    gint64 handle;

    if (fd < 0) {
        call_fail(opening->call, "failed to open file '%s' (mode: '%s'): %s", opening->path, opening->mode, why);
    } else {
        handle = files->next++;
        g_hash_table_insert(files->open, g_memdup2(&handle, sizeof(handle)), GINT_TO_POINTER(fd));
        log_peer(&files->log, "opens %s with mode %s", opening->path, opening->mode);
        call_return(opening->call, json_integer(handle));
    }
    g_free(opening->path);
    g_free(opening->mode);
    g_free(opening);
}

/* Where there is no helper, what everybody may read can be read. */
static void on_helped(G_GNUC_UNUSED const char *const *words, const GError *error, gpointer user)
{
    Opening *opening = user;

    if (helper_is_missing(error)) {
        int fd = openfiles_open(opening->path, opening->mode);

        opened(opening, fd, g_strerror(errno));
    } else {
        opened(opening, error ? -1 : helper_take_fd(call_services(opening->call)->helper),
               error ? error->message : "the helper has sent no file");
    }
}

static void file_open(Call *call, const json_t *args)
{
    const Services *services = call_services(call);
    const char *path = args_string(args, "path", NULL), *mode = args_string(args, "mode", "r");
    const char *const words[] = { "guest-file-open", path, mode, NULL };
    Opening *opening;

    if (flags_of(mode) < 0) {
        call_fail(call, "invalid file open mode '%s'", mode);
        return;
    }
    opening = g_new0(Opening, 1);
    opening->call = call;
    opening->path = g_strdup(path);
    opening->mode = g_strdup(mode);
    if (g_hash_table_size(services->files->open) >= OPENFILES_MAX)
        opened(opening, -1, g_strerror(EMFILE));
    else
        helper_ask(services->helper, HELPER_FILES, words, on_helped, opening);
}

static void file_close(Call *call, const json_t *args)
{
    gint64 handle = args_int(args, "handle", -1);
    int fd = find(call, args);

    if (fd < 0)
        return;
    g_hash_table_remove(call_services(call)->files->open, &handle);
    if (close(fd) < 0)
        call_fail_errno(call, errno, "failed to close handle");
    else
        call_return(call, NULL);
}

/* As much as there is of `size`; -1 with errno set if nothing can be read. */
static gssize read_all(int fd, guint8 *data, gsize size, gboolean *ret_eof)
{
    gsize done = 0;

    while (done < size) {
        gssize part = read(fd, data + done, size - done);

        *ret_eof = part == 0;
        if (part == 0 || (part < 0 && done > 0 && errno != EINTR))
            break;
        if (part < 0 && errno != EINTR)
            return -1;
        done += (gsize)MAX(part, 0);
    }
    return (gssize)done;
}

static void file_read(Call *call, const json_t *args)
{
    gint64 count = args_int(args, "count", READ_DEFAULT);
    int fd = find(call, args);
    g_autofree guint8 *data = NULL;
    g_autofree char *text = NULL;
    json_t *value;
    gboolean eof = FALSE;
    gssize size;

    if (fd < 0)
        return;
    if (count < 0 || count > READ_MAX) {
        call_fail(call, "value '%" G_GINT64_FORMAT "' is invalid for argument count", count);
        return;
    }
    data = g_malloc((gsize)count + 1);
    size = read_all(fd, data, (gsize)count, &eof);
    if (size < 0) {
        call_fail_errno(call, errno, "failed to read file");
        return;
    }
    text = g_base64_encode(data, (gsize)size);
    g_clear_pointer(&data, g_free); /* megabytes: not in four forms at a time */
    value = json_string_nocheck(text);
    g_clear_pointer(&text, g_free);
    call_return(call, json_pack("{s:I,s:o,s:b}", "count", (json_int_t)size, "buf-b64", value, "eof", eof));
}

static void file_write(Call *call, const json_t *args)
{
    int fd = find(call, args);
    g_autofree guint8 *data = NULL;
    gsize size, done = 0;
    gint64 count;

    if (fd < 0)
        return;
    data = args_base64(args, "buf-b64", &size);
    count = args_int(args, "count", (gint64)size);
    if (!data) {
        call_fail(call, ARGS_BASE64_ERROR);
        return;
    }
    if (count < 0 || count > (gint64)size) {
        call_fail(call, "value '%" G_GINT64_FORMAT "' is invalid for argument count", count);
        return;
    }
    while (done < (gsize)count) {
        gssize part = write(fd, data + done, (gsize)count - done);

        if (part < 0 && errno != EINTR)
            break;
        done += (gsize)MAX(part, 0);
    }
    if (done == 0 && count > 0)
        call_fail_errno(call, errno, "failed to write to file");
    else
        call_return(call, json_pack("{s:I,s:b}", "count", (json_int_t)done, "eof", 0));
}

static const char *const whence_words[] = { "set", "cur", "end", NULL };

static void file_seek(Call *call, const json_t *args)
{
    const json_t *whence = json_object_get(args, "whence");
    gint64 number = json_integer_value(whence);
    int fd = find(call, args);
    off_t position;

    if (fd < 0)
        return;
    for (guint i = 0; json_is_string(whence) && whence_words[i]; i++)
        if (g_str_equal(json_string_value(whence), whence_words[i]))
            number = i;
    if (number < 0 || number > 2) {
        call_fail(call, "invalid whence code %" G_GINT64_FORMAT, number);
        return;
    }
    position = lseek(fd, args_int(args, "offset", 0), number == 0 ? SEEK_SET : number == 1 ? SEEK_CUR : SEEK_END);
    if (position < 0)
        call_fail_errno(call, errno, "failed to seek file");
    else
        call_return(call, json_pack("{s:I,s:b}", "position", (json_int_t)position, "eof", 0));
}

/* Nothing is kept here that the kernel does not have. */
static void file_flush(Call *call, const json_t *args)
{
    if (find(call, args) >= 0)
        call_return(call, NULL);
}

#define HANDLE { .name = "handle", .type = ARG_INT }
static const Arg open_args[] = { { .name = "path", .type = ARG_STRING },
                                 { .name = "mode", .type = ARG_STRING, .optional = TRUE },
                                 { .name = NULL } };
static const Arg handle_args[] = { HANDLE, { .name = NULL } };
static const Arg read_args[] = { HANDLE, { .name = "count", .type = ARG_INT, .optional = TRUE }, { .name = NULL } };
static const Arg write_args[] = { HANDLE,
                                  { .name = "buf-b64", .type = ARG_STRING },
                                  { .name = "count", .type = ARG_INT, .optional = TRUE },
                                  { .name = NULL } };
static const Arg seek_args[] = {
    HANDLE,
    { .name = "offset", .type = ARG_INT },
    { .name = "whence", .type = ARG_INT_OR_WORD, .words = whence_words, .schema = "GuestFileWhence" },
    { .name = NULL },
};

const Command openfiles_commands[] = {
    { "guest-file-open", COMMAND_FILES, 0, open_args, file_open },
    { "guest-file-close", COMMAND_FILES, 0, handle_args, file_close },
    { "guest-file-read", COMMAND_FILES, 0, read_args, file_read },
    { "guest-file-write", COMMAND_FILES, 0, write_args, file_write },
    { "guest-file-seek", COMMAND_FILES, 0, seek_args, file_seek },
    { "guest-file-flush", COMMAND_FILES, 0, handle_args, file_flush },
    { .name = NULL },
};
