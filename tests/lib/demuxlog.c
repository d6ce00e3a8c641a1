/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "demuxlog.h"

DemuxLog *demuxlog_new(void)
{
    DemuxLog *log = g_new0(DemuxLog, 1);

    demux_init(&log->demux);
    log->text = g_string_new(NULL);
    return log;
}

void demuxlog_free(DemuxLog *log)
{
    g_string_free(log->text, TRUE);
    g_free(log);
}

static void agent(DemuxLog *log, const DemuxEvent *event)
{
    const StreamEvent *stream = &event->stream;

    switch (event->result) {
    case STREAM_MESSAGE:
        g_string_append_printf(log->text, "%u message %s %u\n", event->port, vdagent_name(stream->header.type),
                               stream->header.size);
        break;
    case STREAM_BULK:
        g_string_append_printf(log->text, "%u bulk %s %u\n", event->port, vdagent_name(stream->header.type),
                               stream->header.size);
        log->bulk = log->sum = 0;
        break;
    case STREAM_DATA:
        log->bulk += stream->size;
        for (size_t i = 0; i < stream->size; i++) {
            log->sum = log->sum * 31 + stream->data[i];
        }
        break;
    case STREAM_BULK_END:
        g_string_append_printf(log->text, "%u end %" G_GUINT64_FORMAT " %08x\n", event->port, log->bulk, log->sum);
        break;
    case STREAM_REFUSED:
        g_string_append_printf(log->text, "%u refused %u: %s\n", event->port, stream->header.type,
                               vdagent_result_text(stream->why));
        break;
    case STREAM_MORE:
    case STREAM_BROKEN:
        g_string_append_printf(log->text, "%u never to be seen: %d\n", event->port, event->result);
        break;
    }
}

void demuxlog_feed(DemuxLog *log, const void *data, gsize size)
{
    BytesReader in = bytes_reader(data, size);
    DemuxEvent event;

    for (;;) {
        switch (demux_next(&log->demux, &in, &event)) {
        case DEMUX_MORE:
            return;
        case DEMUX_POINTER:
            g_string_append_printf(log->text, "pointer %u", event.pointer.sequence);
            if (event.pointer.no_position) {
                g_string_append(log->text, " nowhere");
            } else {
                g_string_append_printf(log->text, " %u:%u,%u", event.pointer.display, event.pointer.x, event.pointer.y);
            }
            g_string_append_printf(log->text, " %02x %d %d\n", event.pointer.buttons, event.pointer.wheel,
                                   event.pointer.hwheel);
            break;
        case DEMUX_AGENT:
            agent(log, &event);
            break;
        case DEMUX_SKIPPED:
            g_string_append_printf(log->text, "skipped %u\n", event.port);
            break;
        case DEMUX_BROKEN:
            g_string_append_printf(log->text, "broken\n");
            break;
        }
    }
}
