/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sink.h - somebody who pastes: takes one value in pieces, from the host or from memory.
 *
 * A feeder calls begin() once, data() for each piece and end() last; end() may also come first or in between, when
 * there is nothing or no more. After end() the sink is no more the feeder's. The sink calls nothing of the feeder from
 * inside these; from outside it says that it is ready again, or gone (then end() is not called).
 */
#ifndef SINK_H
#define SINK_H

#include <glib.h>

typedef enum SinkEnd {
    SINK_DONE,    /* it has got all */
    SINK_EMPTY,   /* there is no such content */
    SINK_REFUSED, /* too large, or not allowed */
    SINK_TIMEOUT, /* the one who has the content is silent */
    SINK_STALLED, /* the sink itself took nothing for too long */
    SINK_LOST     /* the source went away */
} SinkEnd;

typedef struct Sink Sink;

struct Sink {
    /*
     * At most `size` bytes will follow, not 0; and at least half of that, rounded down, as what is left out of some
     * texts is the zero at their end and the CR of each CR LF.
     */
    void (*begin)(Sink *sink, gsize size);
    /* Takes all of it. FALSE: no more for now, please; a feeder that cannot wait gives more all the same. */
    gboolean (*data)(Sink *sink, const guint8 *data, gsize size);
    void (*end)(Sink *sink, SinkEnd how);

    /* The feeder's. */
    GBytes *bytes;
    gsize at;
    gint64 busy_since;
    gboolean hurried; /* it gets all, ready or not */
};

#endif
