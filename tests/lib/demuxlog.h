/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* demuxlog.h - what came out of a demultiplexer as text, the same however the bytes were cut. */
#ifndef DEMUXLOG_H
#define DEMUXLOG_H

#include "demux.h"

#include <glib.h>

typedef struct DemuxLog {
    Demux demux;
    GString *text; /* one line per event; bulk data as their length and a checksum, with the end of the message */
    guint64 bulk;
    guint32 sum;
} DemuxLog;

DemuxLog *demuxlog_new(void);
void demuxlog_free(DemuxLog *log);

/* Feed bytes until they are used up. */
void demuxlog_feed(DemuxLog *log, const void *data, gsize size);

#endif
