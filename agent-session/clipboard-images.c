/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Kinds of images that the host does not offer, made of those that it does. */
#include "clipboard-private.h"

/* Each holds a value; more are refused, as there are no more conversions at a time. */
#define IMAGES_MAX CONVERT_MAX

/* A program's wish, on its way: the image that the host has is gathered, then converted. */
typedef struct Image {
    Sink sink; /* first; takes the host's image */
    Clipboard *clipboard;
    guint8 selection;
    guint32 from, to;
    Sink *target;
    GByteArray *gathered; /* NULL: it is being converted */
} Image;

static void image_free(Image *image)
{
    image->clipboard->images = g_slist_remove(image->clipboard->images, image);
    g_clear_pointer(&image->gathered, g_byte_array_unref);
    g_free(image);
}

static void finish(Image *image, SinkEnd how)
{
    Sink *target = image->target;
    image_free(image);
    target->end(target, how);
}

static void on_converted(SinkEnd how, GBytes *value, gpointer user)
{
    Image *image = user;
    Clipboard *clipboard = image->clipboard;
    Sink *target = image->target;
    if (value == NULL) {
        finish(image, how);
        return;
    }
    inflow_made(clipboard->inflow, image->selection, image->to, image->from, value);
    image_free(image);
    clipboard_feed(clipboard, target, value);
    g_bytes_unref(value);
}

static void on_begin(G_GNUC_UNUSED Sink *sink, G_GNUC_UNUSED gsize size)
{
}

static gboolean on_data(Sink *sink, const guint8 *data, gsize size)
{
    g_byte_array_append(((Image *) sink)->gathered, data, size);
    return TRUE;
}

static void on_end(Sink *sink, SinkEnd how)
{
    Image *image = (Image *) sink;
    Clipboard *clipboard = image->clipboard;
    if (how != SINK_DONE) {
        finish(image, how);
        return;
    }
    g_autoptr(GBytes) value = g_byte_array_free_to_bytes(g_steal_pointer(&image->gathered));
    if (!convert_run(clipboard->convert, value, image->from, image->to, clipboard->policy.max_size, on_converted, image))
        finish(image, SINK_REFUSED);
}

void clipboard_want(Clipboard *clipboard, Side *side, guint32 type, Sink *target)
{
    guint8 selection = side - clipboard->side;
    guint32 from = side->plain & 1u << type ? VD_AGENT_CLIPBOARD_NONE : convert_source(side->plain, type);
    if (side->selection.owner != SELECTION_HOST || from == VD_AGENT_CLIPBOARD_NONE) {
        inflow_want(clipboard->inflow, selection, type, target);
        return;
    }
    if (g_slist_length(clipboard->images) >= IMAGES_MAX) {
        target->end(target, SINK_REFUSED);
        return;
    }
    Image *image = g_new0(Image, 1);
    image->sink = (Sink){ .begin = on_begin, .data = on_data, .end = on_end };
    image->clipboard = clipboard;
    image->selection = selection;
    image->from = from;
    image->to = type;
    image->target = target;
    image->gathered = g_byte_array_new();
    clipboard->images = g_slist_prepend(clipboard->images, image);
    inflow_want(clipboard->inflow, selection, from, &image->sink);
}

void clipboard_end_images(Clipboard *clipboard)
{
    while (clipboard->images != NULL) {
        Image *image = clipboard->images->data;
        convert_cancel(clipboard->convert, image);
        finish(image, SINK_LOST);
    }
}

gboolean clipboard_drop_image(Clipboard *clipboard, const Sink *target)
{
    for (GSList *l = clipboard->images; l != NULL; l = l->next) {
        Image *image = l->data;
        if (image->target != target)
            continue;
        if (image->gathered != NULL)
            inflow_gone(clipboard->inflow, &image->sink);
        else
            convert_cancel(clipboard->convert, image);
        image_free(image);
        return TRUE;
    }
    return FALSE;
}
