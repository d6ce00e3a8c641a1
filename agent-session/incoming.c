/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include "incoming.h"

#include "filestart.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CLASHES 10000u
#define PART_PREFIX ".spice-"
#define PART_SUFFIX ".part"

struct Incoming {
    char *directory;
    int dir, fd;
    char *part; /* the hidden name; NULL for a file without a name */
};

static void set_error(GError **error, int code, const char *what)
{
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(code), "%s: %s", what, g_strerror(code));
}

static gboolean open_part(Incoming *incoming)
{
    struct open_how how = {
        .flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
        .mode = 0666,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
    };
    g_autofree char *part = g_strdup_printf(PART_PREFIX "%08x%08x" PART_SUFFIX, g_random_int(), g_random_int());
    incoming->fd = syscall(SYS_openat2, incoming->dir, part, &how, sizeof how);
    if (incoming->fd < 0)
        return FALSE;
    incoming->part = g_steal_pointer(&part);
    return TRUE;
}

static gboolean open_file(Incoming *incoming)
{
    incoming->fd = openat(incoming->dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    if (incoming->fd >= 0)
        return TRUE;
    /* How file systems without unnamed files say so; older ones see only O_DIRECTORY in the flag. */
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)
        return FALSE;
    return open_part(incoming);
}

Incoming *incoming_new(const char *directory, GError **error)
{
    g_autoptr(Incoming) incoming = g_new0(Incoming, 1);
    incoming->directory = g_strdup(directory);
    incoming->dir = incoming->fd = -1;
    if (g_mkdir_with_parents(directory, 0755) == 0)
        incoming->dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (incoming->dir < 0 || !open_file(incoming)) {
        set_error(error, errno, directory);
        return NULL;
    }
    return g_steal_pointer(&incoming);
}

void incoming_free(Incoming *incoming)
{
    if (incoming == NULL)
        return;
    if (incoming->part != NULL)
        unlinkat(incoming->dir, incoming->part, 0);
    if (incoming->fd >= 0)
        close(incoming->fd);
    if (incoming->dir >= 0)
        close(incoming->dir);
    g_free(incoming->part);
    g_free(incoming->directory);
    g_free(incoming);
}

guint64 incoming_space(const Incoming *incoming)
{
    struct statvfs fs;
    /* One that has no limit, as ramfs, says that it has no blocks at all. */
    if (fstatvfs(incoming->dir, &fs) != 0 || fs.f_blocks == 0)
        return G_MAXUINT64;
    return (guint64) fs.f_bavail * fs.f_frsize;
}

gboolean incoming_write(Incoming *incoming, const guint8 *data, gsize size, GError **error)
{
    while (size > 0) {
        ssize_t written = write(incoming->fd, data, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            set_error(error, errno, incoming->directory);
            return FALSE;
        }
        data += written;
        size -= written;
    }
    return TRUE;
}

/* 0 or an errno; EEXIST when `name` is taken. */
static int give_name(Incoming *incoming, const char *name)
{
    if (incoming->part == NULL) {
        char self[64];
        g_snprintf(self, sizeof self, "/proc/self/fd/%d", incoming->fd);
        return linkat(AT_FDCWD, self, incoming->dir, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
    }
    if (renameat2(incoming->dir, incoming->part, incoming->dir, name, RENAME_NOREPLACE) == 0) {
        g_clear_pointer(&incoming->part, g_free);
        return 0;
    }
    if (errno != EINVAL)
        return errno;
    /* No such flag here (NFS): a hard link does not replace either; incoming_free() removes the hidden name. */
    return linkat(incoming->dir, incoming->part, incoming->dir, name, 0) == 0 ? 0 : errno;
}

char *incoming_commit(Incoming *incoming, const char *name, GError **error)
{
    for (guint i = 0; i < CLASHES; i++) {
        g_autofree char *candidate = filestart_alternative(name, i);
        int result = give_name(incoming, candidate);
        if (result == 0)
            return g_build_filename(incoming->directory, candidate, NULL);
        if (result != EEXIST) {
            set_error(error, result, candidate);
            return NULL;
        }
    }
    set_error(error, EEXIST, name);
    return NULL;
}

void incoming_clean(const char *directory)
{
    g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
    if (dir == NULL)
        return;
    const char *name;
    while ((name = g_dir_read_name(dir)) != NULL) {
        if (!g_str_has_prefix(name, PART_PREFIX) || !g_str_has_suffix(name, PART_SUFFIX))
            continue;
        g_autofree char *path = g_build_filename(directory, name, NULL);
        if (unlink(path) == 0)
            g_message("removed %s, the rest of a transfer that did not end", path);
    }
}
