/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xwayland.h"

#include <stdlib.h>
#include <string.h>

/* Its arguments: NUL after each. */
static gboolean read_arguments(const char *data, gsize size, char **ret_display, char **ret_authority)
{
    g_autofree char *display = NULL;
    g_autofree char *authority = NULL;
    const char *end = data + size, *name = data, *before = "";
    if (size == 0 || data[size - 1] != '\0')
        return FALSE;
    for (const char *at = data; at < end; before = at, at += strlen(at) + 1) {
        if (display == NULL && at[0] == ':' && g_ascii_isdigit(at[1]))
            display = g_strdup(at);
        else if (g_str_equal(before, "-auth"))
            authority = g_strdup(at);
    }
    if (display == NULL || !g_str_has_suffix(name, "Xwayland"))
        return FALSE;
    *ret_display = g_steal_pointer(&display);
    *ret_authority = g_steal_pointer(&authority);
    return TRUE;
}

gboolean xwayland_find(int compositor, char **ret_display, char **ret_authority)
{
    g_autofree char *tasks = g_strdup_printf("/proc/%d/task", compositor);
    g_autoptr(GDir) dir = g_dir_open(tasks, 0, NULL);
    const char *task;
    gboolean found = FALSE;
    while (dir != NULL && !found && (task = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename(tasks, task, "children", NULL);
        g_autofree char *children = NULL;
        if (!g_file_get_contents(path, &children, NULL, NULL))
            continue;
        for (char *at = children, *next; !found; at = next) {
            glong child = strtol(at, &next, 10);
            g_autofree char *file = g_strdup_printf("/proc/%ld/cmdline", child);
            g_autofree char *arguments = NULL;
            gsize size = 0;
            if (next == at)
                break;
            found = g_file_get_contents(file, &arguments, &size, NULL) &&
                    read_arguments(arguments, size, ret_display, ret_authority);
        }
    }
    return found;
}
