/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mounts.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static void clear(gpointer data)
{
    Mount *mount = data;

    g_free(mount->directory);
    g_free(mount->type);
}

/* btrfs has a device number of its own; the file system's first device stands at the end. */
static void find_device(Mount *mount, const char *source)
{
    g_autofree char *path = g_strcompress(source);
    struct stat status;

    if (g_str_equal(mount->type, "btrfs") && stat(path, &status) == 0 && S_ISBLK(status.st_mode)) {
        mount->major = major(status.st_rdev);
        mount->minor = minor(status.st_rdev);
    }
}

/* "36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/root rw": any number of fields before the dash. */
static gboolean parse(char *line, Mount *ret_mount)
{
    g_auto(GStrv) fields = g_strsplit(line, " ", -1);
    guint count = g_strv_length(fields), dash = 6;

    while (dash < count && !g_str_equal(fields[dash], "-"))
        dash++;
    if (dash + 2 >= count || sscanf(fields[2], "%u:%u", &ret_mount->major, &ret_mount->minor) != 2)
        return FALSE;
    ret_mount->directory = g_strcompress(fields[4]); /* spaces and backslashes are octal escapes */
    ret_mount->type = g_strdup(fields[dash + 1]);
    if (ret_mount->major == 0)
        find_device(ret_mount, fields[dash + 2]);
    return TRUE;
}

GArray *mounts_parse(const char *mountinfo)
{
    GArray *mounts = g_array_new(FALSE, FALSE, sizeof(Mount));
    g_auto(GStrv) lines = g_strsplit(mountinfo, "\n", -1);

    g_array_set_clear_func(mounts, clear);
    for (guint i = 0; lines[i]; i++) {
        Mount mount;

        if (!parse(lines[i], &mount))
            continue;
        if (mount.major == 0)
            clear(&mount);
        else
            g_array_append_val(mounts, mount);
    }
    return mounts;
}

GArray *mounts_read(const char *path)
{
    g_autofree char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) ? mounts_parse(text) : NULL;
}

static gboolean is_known(const GArray *mounts, guint count, const Mount *mount)
{
    for (guint i = 0; i < count; i++) {
        const Mount *other = &g_array_index(mounts, Mount, i);

        if (other->major == mount->major && other->minor == mount->minor)
            return TRUE;
    }
    return FALSE;
}

void mounts_unique(GArray *mounts)
{
    for (guint i = 0; i < mounts->len;) {
        if (is_known(mounts, i, &g_array_index(mounts, Mount, i)))
            g_array_remove_index(mounts, i);
        else
            i++;
    }
}
