/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files of the guest, opened as root for the host. */
#include "helperverbs.h"
#include "openfiles.h"

#include <errno.h>

char *files_open(const char *const *words, G_GNUC_UNUSED GUnixFDList *given, int *ret_fd)
{
    *ret_fd = openfiles_open(words[0], words[1]);
    return *ret_fd < 0 ? g_strdup(g_strerror(errno)) : NULL;
}
