/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * spice-agent-convert - makes another kind of image of the one that it reads.
 *
 * A process of its own, since images come from the other side and decoders of images have had many mistakes: it has
 * nothing but its input and its output, and less memory and time than would hurt. What it needs of the library's modules
 * is loaded before the input is looked at.
 */
#include "log.h"
#include "sandbox.h"

#include <errno.h>
#include <gdk-pixbuf/gdk-pixbuf.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define PIECE 65536u
/* More than a screen of 8K has. */
#define PIXELS_MAX (40 << 20)
#define MEMORY_MAX (1u << 30)
#define SECONDS_MAX 20u
/* From this version on the library has images decoded in a sandboxed process of its own, which ours would not let be. */
#define OWN_SANDBOX_MINOR 43

static const char *const kinds[] = { "png", "bmp", "tiff", "jpeg" };

static gboolean known(const char *kind)
{
    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (strcmp(kind, kinds[i]) == 0)
            return TRUE;
    }
    return FALSE;
}

static void limit(int what, rlim_t most)
{
    setrlimit(what, &(struct rlimit){ .rlim_cur = most, .rlim_max = most });
}

static gboolean discard(G_GNUC_UNUSED const char *data, G_GNUC_UNUSED gsize size, G_GNUC_UNUSED GError **error,
                        G_GNUC_UNUSED gpointer user)
{
    return TRUE;
}

static gboolean put(const char *data, gsize size, GError **error, G_GNUC_UNUSED gpointer user)
{
    while (size > 0) {
        gssize done = write(STDOUT_FILENO, data, size);
        if (done < 0 && errno != EINTR) {
            g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "output: %s", g_strerror(errno));
            return FALSE;
        }
        data += MAX(done, 0);
        size -= MAX(done, 0);
    }
    return TRUE;
}

static void on_size(GdkPixbufLoader *loader, int width, int height, gpointer user)
{
    gboolean *too_large = user;
    *too_large = (gint64) width * height > PIXELS_MAX;
    if (*too_large)
        gdk_pixbuf_loader_set_size(loader, 0, 0); /* which ends it before there is memory for the image */
}

static gboolean read_image(GdkPixbufLoader *loader, GError **error)
{
    guint8 piece[PIECE];
    gboolean too_large = FALSE;
    g_signal_connect(loader, "size-prepared", G_CALLBACK(on_size), &too_large);
    gssize got;
    while ((got = read(STDIN_FILENO, piece, sizeof piece)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "input: %s", g_strerror(errno));
            return FALSE;
        }
        gboolean good = gdk_pixbuf_loader_write(loader, piece, got, error);
        if (too_large) {
            g_clear_error(error);
            g_set_error(error, GDK_PIXBUF_ERROR, GDK_PIXBUF_ERROR_FAILED, "more than %d pixels", PIXELS_MAX);
            return FALSE;
        }
        if (!good)
            return FALSE;
    }
    return gdk_pixbuf_loader_close(loader, error);
}

static gboolean convert(const char *from, const char *to, GError **error)
{
    g_autoptr(GdkPixbuf) dot = gdk_pixbuf_new(GDK_COLORSPACE_RGB, FALSE, 8, 1, 1);
    g_autoptr(GdkPixbufLoader) loader = gdk_pixbuf_loader_new_with_type(from, error);
    if (loader == NULL || !gdk_pixbuf_save_to_callback(dot, discard, NULL, to, error, NULL))
        return FALSE;
#ifndef __SANITIZE_ADDRESS__ /* which maps terabytes */
    limit(RLIMIT_AS, MEMORY_MAX);
#endif
    limit(RLIMIT_CPU, SECONDS_MAX);
    limit(RLIMIT_CORE, 0);
    if (gdk_pixbuf_minor_version < OWN_SANDBOX_MINOR && !sandbox_enter(SANDBOX_POINTER, NULL, error))
        return FALSE;
    if (!read_image(loader, error)) {
        gdk_pixbuf_loader_close(loader, NULL);
        return FALSE;
    }
    GdkPixbuf *image = gdk_pixbuf_loader_get_pixbuf(loader);
    if (image == NULL) {
        g_set_error(error, GDK_PIXBUF_ERROR, GDK_PIXBUF_ERROR_CORRUPT_IMAGE, "no image");
        return FALSE;
    }
    return gdk_pixbuf_save_to_callback(image, put, NULL, to, error, NULL);
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("spice-agent-convert " SPICE_PV_VERSION);
        return 0;
    }
    if (argc != 3 || !known(argv[1]) || !known(argv[2])) {
        fputs("usage: spice-agent-convert FROM TO, of png, bmp, tiff, jpeg: reads one image and writes the other\n",
              argc == 2 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
        return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
    }
    log_setup("spice-agent-convert", FALSE);
    if (convert(argv[1], argv[2], &error))
        return 0;
    g_warning("%s", error->message);
    return 1;
}
