/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "clipboard-private.h"
#include "terminal.h"

#include <unistd.h>

/* Copies and pastes of terminals at a time; each may hold a value. */
#define TERMINALS 4u

typedef struct Copy {
    Clipboard *clipboard; /* NULL: it was freed meanwhile */
    guint8 selection;
    guint32 type;
    GTask *task;
} Copy;

typedef struct Paste {
    Clipboard *clipboard;
    const Side *side;
    Sink *sink;
} Paste;

static guint32 type_of(const char *mime)
{
    static const struct {
        const char *mime;
        guint32 type;
    } types[] = {
        { "text/plain;charset=utf-8", VD_AGENT_CLIPBOARD_UTF8_TEXT },
        { "text/plain", VD_AGENT_CLIPBOARD_UTF8_TEXT },
        { "image/png", VD_AGENT_CLIPBOARD_IMAGE_PNG },
        { "image/bmp", VD_AGENT_CLIPBOARD_IMAGE_BMP },
        { "image/tiff", VD_AGENT_CLIPBOARD_IMAGE_TIFF },
        { "image/jpeg", VD_AGENT_CLIPBOARD_IMAGE_JPG },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(types); i++) {
        if (g_ascii_strcasecmp(mime, types[i].mime) == 0)
            return types[i].type;
    }
    return VD_AGENT_CLIPBOARD_NONE;
}

static void terminal_over(gpointer terminals, G_GNUC_UNUSED GObject *task)
{
    --*(guint *) terminals;
    g_rc_box_release(terminals);
}

/*
 * Check what a terminal wants, and count it until its task is over. VD_AGENT_CLIPBOARD_NONE: its task has been
 * answered.
 */
static guint32 admit(Clipboard *clipboard, guint8 selection, const char *mime, int fd, GTask *task)
{
    guint32 type = type_of(mime);
    if (selection >= CLIPBOARD_SELECTIONS || type == VD_AGENT_CLIPBOARD_NONE) {
        g_task_return_new_error(task, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "no such selection or type");
    } else if (*clipboard->terminals == TERMINALS) {
        g_task_return_new_error(task, G_IO_ERROR, G_IO_ERROR_BUSY, "too many at a time");
    } else {
        ++*clipboard->terminals;
        g_object_weak_ref(G_OBJECT(task), terminal_over, g_rc_box_acquire(clipboard->terminals));
        return type;
    }
    g_object_unref(task);
    close(fd);
    return VD_AGENT_CLIPBOARD_NONE;
}

static void on_read(G_GNUC_UNUSED GObject *source, GAsyncResult *result, gpointer user)
{
    g_autofree Copy *copy = user;
    g_autoptr(GTask) task = copy->task;
    Clipboard *clipboard = copy->clipboard;
    GError *error = NULL;
    g_autoptr(GBytes) value = terminal_read_finish(result, &error);
    if (clipboard != NULL)
        clipboard->copying = g_slist_remove(clipboard->copying, copy);
    if (value == NULL) {
        g_task_return_error(task, error);
        return;
    }
    if (clipboard == NULL) {
        g_task_return_new_error(task, G_IO_ERROR, G_IO_ERROR_CLOSED, "the daemon ends");
        return;
    }
    Side *side = &clipboard->side[copy->selection];
    clipboard_forget_echo(side);
    unsigned flags = selection_terminal(&side->selection, 1u << copy->type);
    g_clear_pointer(&side->content, g_bytes_unref);
    side->content = g_steal_pointer(&value);
    clipboard_apply(clipboard, side, flags, TRUE);
    g_task_return_boolean(task, TRUE);
}

void clipboard_copy(Clipboard *clipboard, guint8 selection, const char *mime, int fd, GTask *task)
{
    guint32 type = admit(clipboard, selection, mime, fd, task);
    if (type == VD_AGENT_CLIPBOARD_NONE)
        return;
    Copy *copy = g_new(Copy, 1);
    *copy = (Copy){ .clipboard = clipboard, .selection = selection, .type = type, .task = task };
    clipboard->copying = g_slist_prepend(clipboard->copying, copy);
    terminal_read(fd, clipboard->policy.max_size, on_read, copy);
}

static void on_fetched(SinkEnd how, GBytes *value, gpointer user)
{
    g_autofree Paste *paste = user;
    paste->clipboard->pasting = g_slist_remove(paste->clipboard->pasting, paste);
    if (value != NULL) {
        gsize size;
        const guint8 *data = g_bytes_get_data(value, &size);
        paste->sink->data(paste->sink, data, size);
        g_bytes_unref(value);
    }
    paste->sink->end(paste->sink, how);
}

void clipboard_paste(Clipboard *clipboard, guint8 selection, const char *mime, int fd, GTask *task)
{
    guint32 type = admit(clipboard, selection, mime, fd, task);
    if (type == VD_AGENT_CLIPBOARD_NONE)
        return;
    Side *side = &clipboard->side[selection];
    if (side->content != NULL && (side->selection.offers & 1u << type) != 0) {
        terminal_write(fd, side->content, task);
        return;
    }
    Sink *sink = terminal_sink(fd, task);
    if (side->selection.owner != SELECTION_PROGRAM) {
        clipboard_want(clipboard, side, type, sink);
        return;
    }
    Paste *paste = g_new(Paste, 1);
    *paste = (Paste){ .clipboard = clipboard, .side = side, .sink = sink };
    if (side->backend != NULL &&
        side->backend->fetch(side->backend, selection, type, clipboard->policy.max_size, on_fetched, paste)) {
        clipboard->pasting = g_slist_prepend(clipboard->pasting, paste);
    } else {
        g_free(paste);
        sink->end(sink, SINK_EMPTY);
    }
}

void clipboard_end_copies(Clipboard *clipboard)
{
    for (GSList *l = clipboard->copying; l != NULL; l = l->next)
        ((Copy *) l->data)->clipboard = NULL;
    g_clear_slist(&clipboard->copying, NULL);
}

void clipboard_end_pastes(Clipboard *clipboard, Side *side)
{
    for (GSList *l = clipboard->pasting, *next; l != NULL; l = next) {
        Paste *paste = l->data;
        next = l->next;
        if (paste->side != side)
            continue;
        side->backend->cancel(side->backend, paste);
        on_fetched(SINK_LOST, NULL, paste);
    }
}
