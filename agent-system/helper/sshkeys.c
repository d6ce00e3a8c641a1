/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ~/.ssh/authorized_keys. Everything is done as the user whose file it is: whatever stands in the home in its place, a
 * link to /etc/shadow or a pipe, gets the host no further than the user gets by hand.
 */
#define _GNU_SOURCE /* setresuid */
#include "helperverbs.h"

#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file may not be longer than an answer. */
#define FILE_MAX_SIZE (HELPER_REPLY_MAX / 2)

/* Become the user, for good; `*ret_home` is the directory, to be freed. */
static char *become(const char *user, char **ret_home)
{
    g_autoptr(GError) error = NULL;
    g_autofree struct passwd *entry = g_unix_get_passwd_entry(user, &error);

    if (!entry)
        return g_strdup_printf("failed to lookup user '%s': %s", user, error->message);
    if (initgroups(entry->pw_name, entry->pw_gid) < 0 || setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) < 0 ||
        setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) < 0)
        return g_strdup_printf("failed to become user '%s': %s", user, g_strerror(errno));
    *ret_home = g_strdup(entry->pw_dir);
    return NULL;
}

/* The text of a file; NULL with errno set. Never waits, as one would for a pipe. */
static char *read_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat info;
    char *text = NULL;
    gssize size = 0;

    if (fd < 0)
        return NULL;
    if (fstat(fd, &info) < 0) {
        /* errno says it */
    } else if (!S_ISREG(info.st_mode)) {
        errno = EINVAL;
    } else if (info.st_size > FILE_MAX_SIZE) {
        errno = EFBIG;
    } else {
        text = g_malloc((gsize)info.st_size + 1);
        size = read(fd, text, (gsize)info.st_size);
        text[MAX(size, 0)] = '\0';
        if (size < 0)
            g_clear_pointer(&text, g_free);
    }

    int error_number = errno;

    close(fd);
    errno = error_number;
    return text;
}

static char *read_failure(const char *path)
{
    return g_strdup_printf("failed to read '%s': Failed to open file \342\200\234%s\342\200\235: %s", path, path,
                           g_strerror(errno));
}

static char *write_lines(const char *path, const GPtrArray *lines)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < lines->len; i++)
        g_string_append_printf(text, "%s\n", (const char *)lines->pdata[i]);
    if (text->len > FILE_MAX_SIZE)
        return g_strdup_printf("failed to write to '%s': %s", path, g_strerror(EFBIG));
    if (!g_file_set_contents_full(path, text->str, (gssize)text->len, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &error))
        return g_strdup_printf("failed to write to '%s': %s", path, error->message);
    return NULL;
}

static gboolean has(const GPtrArray *lines, const char *key)
{
    return g_ptr_array_find_with_equal_func((GPtrArray *)lines, key, g_str_equal, NULL);
}

/* The lines of a text, borrowed from the array that `*ret_lines` owns. */
static GPtrArray *split(const char *text, GStrv *ret_lines)
{
    GPtrArray *lines = g_ptr_array_new();
    guint count;

    *ret_lines = g_strsplit(text, "\n", -1);
    count = g_strv_length(*ret_lines);
    for (guint i = 0; i < count; i++)
        if (i + 1 < count || (*ret_lines)[i][0] != '\0')
            g_ptr_array_add(lines, (*ret_lines)[i]);
    return lines;
}

char *sshkeys_get(const char *const *words, GPtrArray *reply)
{
    g_autofree char *home = NULL;
    char *why = become(words[0], &home);

    if (why)
        return why;

    g_autofree char *path = g_build_filename(home, ".ssh", "authorized_keys", NULL);
    g_autofree char *text = read_file(path);

    if (!text)
        return read_failure(path);

    g_auto(GStrv) lines = NULL;
    g_autoptr(GPtrArray) all = split(text, &lines);

    for (guint i = all->len; i > 0; i--) { /* the last one first, as QEMU does */
        const char *line = g_strstrip(all->pdata[i - 1]);

        if (line[0] != '\0' && line[0] != '#')
            g_ptr_array_add(reply, g_strdup(line));
    }
    return NULL;
}

char *sshkeys_add(const char *const *words, G_GNUC_UNUSED GPtrArray *reply)
{
    gboolean reset = g_str_equal(words[1], "reset");
    g_autofree char *home = NULL;
    char *why = become(words[0], &home);

    if (why)
        return why;

    g_autofree char *directory = g_build_filename(home, ".ssh", NULL);
    g_autofree char *path = g_build_filename(directory, "authorized_keys", NULL);
    g_autofree char *text = reset ? g_strdup("") : read_file(path);

    /* One that cannot be read, and is there, is not replaced. */
    if (!text && errno != ENOENT)
        return read_failure(path);
    if (g_mkdir(directory, 0700) < 0 && errno != EEXIST)
        return g_strdup_printf("failed to create directory '%s': %s", directory, g_strerror(errno));

    g_auto(GStrv) lines = NULL;
    g_autoptr(GPtrArray) all = split(text ? text : "", &lines);

    for (const char *const *key = words + 2; *key; key++)
        if (!has(all, *key))
            g_ptr_array_add(all, (char *)*key);
    return write_lines(path, all);
}

char *sshkeys_remove(const char *const *words, G_GNUC_UNUSED GPtrArray *reply)
{
    g_autofree char *home = NULL;
    char *why = become(words[0], &home);

    if (why)
        return why;

    g_autofree char *path = g_build_filename(home, ".ssh", "authorized_keys", NULL);
    g_autofree char *text = read_file(path);

    if (!text)
        return errno == ENOENT ? NULL : read_failure(path);

    g_auto(GStrv) lines = NULL;
    g_autoptr(GPtrArray) all = split(text, &lines);

    for (guint i = all->len; i > 0; i--)
        if (g_strv_contains(words + 1, all->pdata[i - 1]))
            g_ptr_array_remove_index(all, i - 1);
    return write_lines(path, all);
}
