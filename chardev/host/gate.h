/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gate.h - between clients and libspice-server, which believes what they announce.
 *
 * A connection is followed (spicelink.h) and its bytes handed on, at the pace of the one who reads: 64 KiB at most wait in
 * each direction. Ended are those whose messages are larger than any that is sent. Held, by not reading from the client, are
 * USB and port channels while libspice-server has GATE_AHEAD bytes of theirs that it could not give to QEMU, since it
 * would keep all that comes. A display channel begins at once (spicelink.h), as libspice-server would stand still until
 * it does, for 30 s at most; and its end is told late, as libspice-server uses freed memory when it finds that at the beginning.
 *
 * The inputs channel is handed over as it is: a click must not wait for a second turn of the main loop. With TLS or
 * SASL libspice-server listens itself, and nothing of this holds.
 */
#ifndef GATE_H
#define GATE_H

#include <glib.h>

#define GATE_CONNECTIONS_MAX 256u
#define GATE_AHEAD (1u << 20)
/* How long after its log-in libspice-server is left to begin with a display before it learns that the client has gone. */
#define GATE_LINGER_MS 1000

typedef struct Gate Gate;

/* Hand a connected stream socket to libspice-server, which takes it over unless the result is FALSE. */
typedef gboolean (*GateAdd)(int fd, gpointer user);

Gate *gate_new(GateAdd add, gpointer user);
/* Ends all connections. NULL is fine. */
void gate_free(Gate *gate);

/* A client has connected; `fd` is non-blocking, and the gate's. Beyond GATE_CONNECTIONS_MAX it is closed at once. */
void gate_take(Gate *gate, int fd);

/* The socket of the client whose bytes libspice-server is acting upon; -1 if none of the gate's is. */
int gate_acting(const Gate *gate);

/* libspice-server has given so many bytes of the client of channel `kind` (SPICE_CHANNEL_*), `id` to QEMU. */
void gate_passed(Gate *gate, int kind, guint id, gsize bytes);

/* libspice-server may have written to the client of that channel: hand it on now, and not after another turn of the main loop. */
void gate_flush(Gate *gate, int kind, guint id);

#endif
