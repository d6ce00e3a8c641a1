/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host.h - a SPICE client for tests of the clipboard, at the other side of its ClipboardPeer.
 *
 * Runs in the test's process and main loop. What the clipboard sends is written down as text, one event a line, and its
 * bulk data are kept; what the client sends goes in pieces while reading is not paused, as from a socket.
 */
#ifndef HOST_H
#define HOST_H

#include "clipboard.h"

typedef struct Host {
    Clipboard *clipboard;
    GString *log;     /* "grab 0 #1 text png", "release 0", "request 0 text", "data 0 text 5", "refused WHAT: WHY" */
    GByteArray *data; /* of the last "data" */
    gsize room;       /* bytes that may be sent before host_make_room() */
    GBytes *content;  /* the answer to each request, if not NULL */
    gboolean paused;
    guint pauses;
    gint64 longest;   /* pause, in microseconds */
    /* Private. */
    gint64 paused_since;
    gsize expected;
    GQueue sending;
    guint source;
} Host;

/* A policy that allows all: 64 MiB, and `timeout_ms`. */
Host *host_new(const ClipboardPolicy *policy);
void host_free(Host *host);
extern const ClipboardPolicy host_policy;

/* A client like spice-gtk arrives, or leaves. */
void host_arrive(Host *host);
void host_leave(Host *host);

/* Messages of the client; `types` as a set of 1 << VD_AGENT_CLIPBOARD_*. */
void host_grab(Host *host, guint8 selection, guint32 serial, guint32 types);
void host_release(Host *host, guint8 selection);
void host_request(Host *host, guint8 selection, guint32 type);

/* Clipboard data: `size` bytes, of which `given` are sent (less than `size`: and then nothing more). */
void host_answer(Host *host, guint8 selection, guint32 type, const void *data, gsize size, gsize given);

void host_make_room(Host *host, gsize room);

/* Is a line in the log? Forgets the log up to it. */
gboolean host_saw(Host *host, const char *line);

/* Run the main loop until a line is in the log; fails the test after ten seconds. Forgets the log up to it. */
void host_expect(Host *host, const char *line);

/* Run the main loop until the condition holds, failing the test after ten seconds. */
#define host_until(condition)                                                                                          \
    do {                                                                                                               \
        gint64 host_end = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;                                                \
        while (!(condition)) {                                                                                         \
            if (g_get_monotonic_time() > host_end)                                                                     \
                g_error("%s:%d: not reached: %s", __FILE__, __LINE__, #condition);                                     \
            host_iterate();                                                                                            \
        }                                                                                                              \
    } while (0)
void host_iterate(void);

/* Run the main loop for a while: to see that something does not happen. */
void host_wait(guint ms);

#endif
