/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * socketpeer.h - who is at the other end of a unix socket.
 */
#ifndef SOCKETPEER_H
#define SOCKETPEER_H

#include <sys/types.h>

/* The process that listens, or did when the socket was connected; 0 if it cannot be told. */
pid_t socketpeer_pid(int fd);

#endif
