/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * x11-fetch.h - get selection content from X programs (ICCCM 2.4, as requestor), INCR included.
 *
 * A value is gathered whole, since its size must be known before its first byte can go to the SPICE client. The limit
 * given with each request is for what all requests under way have gathered. Each request has a property name of its
 * own. What arrives in a property that no request waits for, because the owner was too slow or has too much, is deleted
 * unread, so that the owner comes to its end: some programs die when a requestor vanishes.
 */
#ifndef X11_FETCH_H
#define X11_FETCH_H

#include "sink.h"
#include "x11-targets.h"
#include "x11.h"

typedef struct X11Fetcher X11Fetcher;

/*
 * The end of a request. SINK_DONE: the property's type and its content (format 32 as guint32), to be freed by the
 * callee; NULL otherwise.
 */
typedef void (*X11Fetched)(SinkEnd how, Atom type, int format, GByteArray *data, gpointer user);

/* `window` is ours, with PropertyChangeMask. `timeout_ms` of silence end a request. */
X11Fetcher *x11_fetcher_new(X11 *x11, const X11Targets *targets, Window window, guint timeout_ms);

/* No request is called back. */
void x11_fetcher_free(X11Fetcher *fetcher);

/* Ask the owner. `fetched` is called later, never from inside. FALSE if too many requests are under way. */
gboolean x11_fetcher_get(X11Fetcher *fetcher, Atom selection, Atom target, Time time, gsize limit, X11Fetched fetched,
                         gpointer user);

/* Forget the requests with this `user`; they are not called back. */
void x11_fetcher_cancel(X11Fetcher *fetcher, gpointer user);

/* SelectionNotify and PropertyNotify events of the window. */
void x11_fetcher_notify(X11Fetcher *fetcher, const XSelectionEvent *event);
void x11_fetcher_property(X11Fetcher *fetcher, const XPropertyEvent *event);

#endif
