/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * access.h - what must hold before anything listens: who may connect, and that nobody else is there.
 *
 * A unix socket and loopback are open to whoever has an account here and passes the socket's mode. Any other address
 * demands TLS and that the client says who it is, by ticket or SASL. All errors are of OPTIONS_ERROR, name the file,
 * and hold no secret.
 */
#ifndef ACCESS_H
#define ACCESS_H

#include "options.h"

/* Bytes of a ticket: libspice-server has SPICE_MAX_PASSWORD_LENGTH for it with its zero, and cuts a longer one. */
#define ACCESS_TICKET_MAX 59u

/*
 * May this be done: address, ticket, TLS files and the sockets' group. Opens files, but keeps nothing open. With
 * OPTIONS_CHECK_CONFIG a systemd credential is left out, as only the service has it.
 */
gboolean access_check(const Options *options, GError **error);

/*
 * Must every channel be on TLS, since the address can be reached from outside? Then the plain port, if there is one,
 * may do no more than send the client to the TLS port: spice_server_set_channel_security(server, NULL,
 * SPICE_CHANNEL_SECURITY_SSL).
 */
gboolean access_tls_only(const Options *options);

/*
 * The ticket of options->ticket_file, which must not be NULL. The caller wipes it with explicit_bzero() before
 * g_free(). Refuses a file that others can read or that belongs to somebody else.
 */
char *access_ticket(const Options *options, GError **error);

/*
 * Make the machine's runtime directory, runtime_dir/name, where it is missing, and lock it. It belongs to the group of
 * the sockets, and those whom the mode of the sockets lets in may go through it, but not list it. The lock lasts as
 * long as the descriptor that is returned, or a copy of it in a child; -1 after an error.
 */
int access_lock(const Options *options, GError **error);

/*
 * Is the path free for a socket? One that nobody listens on is removed; anything else stays as it is and is an error.
 * A listener notices a connection that is closed at once.
 */
gboolean access_claim_socket(const char *path, GError **error);

/*
 * A socket that listens on the path, which is claimed first; non-blocking, with this mode, and group if that is not
 * NULL, from the moment at which it can be connected to. -1 after an error.
 */
int access_listen(const char *path, mode_t mode, const char *group, GError **error);

/*
 * A socket that listens on the port at the first address of this name that can be had; non-blocking. Looks the name up,
 * and waits for that. -1 after an error, of OPTIONS_EXIT_IN_USE if another program listens there.
 */
int access_listen_tcp(const char *address, guint16 port, GError **error);

#endif
