/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * File systems: frozen, thawed and trimmed, each by an ioctl on the directory where it is mounted.
 *
 * This must work while all of them are frozen, so nothing here writes to a file. Mounts are taken from the first
 * process: what it tells are the machine's, in the order in which they were made, while our own namespace is a copy in
 * another order. A file system that is frozen before one whose disk is a file on it never comes to an end.
 */
#include "asker.h"
#include "helperverbs.h"
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MOUNTS "/proc/1/mountinfo"

/* NULL with `*ret_why` set, to be freed. */
static GArray *read_mounts(char **ret_why)
{
    GArray *mounts = mounts_read(MOUNTS);

    if (!mounts)
        *ret_why = g_strdup_printf("failed to open mtab file: '" MOUNTS "': %s", g_strerror(errno));
    return mounts;
}

/* Also of a file, which may be mounted on another one; never waits for the other end of a FIFO. */
static int open_mount(const Mount *mount)
{
    return open(mount->directory, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* ---- freeze ---- */

/* Adds to `*count` if it was not frozen, and can be. NULL, or why it has not worked, to be freed. */
static char *freeze(const Mount *mount, guint *count)
{
    int fd = open_mount(mount);
    gboolean frozen;
    int error_number;

    if (fd < 0)
        return g_strdup_printf("failed to open %s: %s", mount->directory, g_strerror(errno));
    frozen = ioctl(fd, FIFREEZE, 0) == 0;
    error_number = errno;
    close(fd);
    if (frozen)
        ++*count;
    /* The first is said of a type that cannot be frozen, the second of what is frozen, as by another mount of it. */
    return frozen || error_number == EOPNOTSUPP || error_number == EBUSY
               ? NULL
               : g_strdup_printf("failed to freeze %s: %s", mount->directory, g_strerror(error_number));
}

/* How many were. */
static guint thaw_mounts(const GArray *mounts)
{
    guint count = 0;

    for (guint i = 0; i < mounts->len; i++) {
        int fd = open_mount(&g_array_index(mounts, Mount, i));
        gboolean thawed = FALSE;

        if (fd < 0)
            continue;
        /* One may be frozen more than once, as by its disk. */
        while (ioctl(fd, FITHAW, 0) == 0)
            thawed = TRUE;
        count += thawed;
        close(fd);
    }
    return count;
}

/*
 * The last mounted first: its disk may be a file on one that was mounted before. All or none are frozen. A daemon that
 * has given up has everything thawed, by another one of us, but what is frozen after that.
 */
static char *freeze_mounts(const char *const *directories, GPtrArray *reply)
{
    char *why = NULL;
    g_autoptr(GArray) mounts = read_mounts(&why);
    guint count = 0;

    for (guint i = mounts ? mounts->len : 0; i > 0 && !why; i--) {
        const Mount *mount = &g_array_index(mounts, Mount, i - 1);

        if (directories && !g_strv_contains(directories, mount->directory))
            continue;
        why = freeze(mount, &count);
        if (!why && asker_has_left())
            why = g_strdup(ASKER_HAS_LEFT);
        if (why)
            thaw_mounts(mounts);
    }
    g_ptr_array_add(reply, g_strdup_printf("%u", count));
    return why;
}

char *filesystems_freeze(G_GNUC_UNUSED const char *const *words, GPtrArray *reply)
{
    return freeze_mounts(NULL, reply);
}

char *filesystems_freeze_list(const char *const *words, GPtrArray *reply)
{
    return freeze_mounts(words, reply);
}

char *filesystems_thaw(G_GNUC_UNUSED const char *const *words, GPtrArray *reply)
{
    char *why = NULL;
    g_autoptr(GArray) mounts = read_mounts(&why);

    g_ptr_array_add(reply, g_strdup_printf("%u", mounts ? thaw_mounts(mounts) : 0));
    return why;
}

/* ---- trim ---- */

/* NULL, or why it has not worked, to be freed. */
static char *trim(const Mount *mount, struct fstrim_range *range)
{
    int fd = open_mount(mount);
    int error_number;

    if (fd < 0)
        return g_strdup_printf("failed to open: %s", g_strerror(errno));
    error_number = ioctl(fd, FITRIM, range) == 0 ? 0 : errno;
    close(fd);
    if (error_number == ENOTTY || error_number == EOPNOTSUPP)
        return g_strdup("trim not supported");
    return error_number == 0 ? NULL : g_strdup_printf("failed to trim: %s", g_strerror(error_number));
}

char *filesystems_trim(const char *const *words, GPtrArray *reply)
{
    char *why = NULL;
    gint64 minimum;
    g_autoptr(GArray) mounts = read_mounts(&why);

    if (!g_ascii_string_to_signed(words[0], 10, G_MININT64, G_MAXINT64, &minimum, NULL))
        return g_strdup("the minimum is no number");
    for (guint i = 0; mounts && i < mounts->len; i++) {
        const Mount *mount = &g_array_index(mounts, Mount, i);
        struct fstrim_range range = { .len = G_MAXUINT64, .minlen = (guint64)minimum };
        char *error = trim(mount, &range);

        g_ptr_array_add(reply, g_strdup(mount->directory));
        g_ptr_array_add(reply, error ? error : g_strdup(""));
        g_ptr_array_add(reply, g_strdup_printf("%" G_GUINT64_FORMAT, (guint64)range.len));
        g_ptr_array_add(reply, g_strdup_printf("%" G_GUINT64_FORMAT, (guint64)range.minlen));
    }
    return why;
}
