/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include "socketpeer.h"

#include <sys/socket.h>

pid_t socketpeer_pid(int fd)
{
    struct ucred peer = { 0 };
    socklen_t size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.pid : 0;
}
