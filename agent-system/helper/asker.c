/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "asker.h"

#include <poll.h>
#include <unistd.h>

gboolean asker_has_left(void)
{
    struct pollfd out = { .fd = STDOUT_FILENO };

    return poll(&out, 1, 0) > 0 && (out.revents & (POLLHUP | POLLERR));
}
