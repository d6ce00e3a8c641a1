/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images of another kind than their owner offers, made by spice-agent-convert, between a SPICE client and X programs. */
#include "cliptest.h"

#include <fcntl.h>
#include <string.h>

#define PNG_ONLY (1u << VD_AGENT_CLIPBOARD_IMAGE_PNG)
#define BMP_ONLY (1u << VD_AGENT_CLIPBOARD_IMAGE_BMP)

static const ClipboardPolicy policy = {
    .to_host = TRUE, .from_host = TRUE, .primary = TRUE, .max_size = 64 << 20, .timeout_ms = 5000,
    .converter = BUILD_DIR "/spice-agent-convert",
};

/* A red and a blue pixel. */
static const guint8 png[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00,
    0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x01, 0x08, 0x02, 0x00, 0x00, 0x00, 0x7b, 0x40, 0xe8, 0xdd, 0x00,
    0x00, 0x00, 0x0d, 0x49, 0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0xf8, 0xcf, 0x00, 0x04, 0xff, 0x01, 0x07,
    0x00, 0x01, 0xff, 0x3d, 0x7d, 0x8c, 0x49, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42,
    0x60, 0x82,
};
static const guint8 png_magic[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };

/* The same; rows are padded to four bytes. */
static const guint8 bmp[] = {
    'B', 'M', 62, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0,
    40, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 24, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0xff, 0xff, 0, 0, 0, 0,
};

/* Says that it has 60000 x 60000 pixels. */
static const guint8 vast[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00,
    0x00, 0xea, 0x60, 0x00, 0x00, 0xea, 0x60, 0x08, 0x02, 0x00, 0x00, 0x00, 0x0f, 0xb0, 0xe2, 0x15, 0x00,
    0x00, 0x00, 0x0c, 0x49, 0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0x60, 0xa0, 0x3d, 0x00, 0x00, 0x00, 0x64,
    0x00, 0x01, 0xb8, 0x99, 0xef, 0x99, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60,
    0x82,
};

static gboolean is_png(const GByteArray *data)
{
    return data->len > sizeof png_magic && memcmp(data->data, png_magic, sizeof png_magic) == 0;
}

static void test_to_host(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    xprogram_offer(f->program, "image/png", NULL, png, sizeof png);
    xprogram_own(f->program, "CLIPBOARD");
    host_expect(f->host, "grab 0 #0 png bmp tiff jpeg");
    host_request(f->host, 0, VD_AGENT_CLIPBOARD_IMAGE_PNG);
    host_expect(f->host, "data 0 png 70");
    host_request(f->host, 0, VD_AGENT_CLIPBOARD_IMAGE_BMP);
    host_expect(f->host, "data 0 bmp 62");
    /* The two pixels, in the order of bytes of a BMP. */
    g_assert_cmpmem(f->host->data->data + 54, 6, bmp + 54, 6);
    host_request(f->host, 0, VD_AGENT_CLIPBOARD_IMAGE_JPG);
    host_until(f->host->data->len > 2 && f->host->data->data[0] == 0xff && f->host->data->data[1] == 0xd8);
}

/* Text is not touched, and no image is made of it. */
static void test_text_alone(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    xprogram_offer(f->program, "UTF8_STRING", NULL, "x", 1);
    xprogram_own(f->program, "CLIPBOARD");
    host_expect(f->host, "grab 0 #0 text");
}

static void test_from_host(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    cliptest_grab(f, 0, 0, BMP_ONLY);
    XResult *result = xprogram_paste(f->program, "CLIPBOARD", "image/png");
    host_expect(f->host, "request 0 bmp");
    host_answer(f->host, 0, VD_AGENT_CLIPBOARD_IMAGE_BMP, bmp, sizeof bmp, sizeof bmp);
    host_until(result->done);
    g_assert_true(is_png(result->data));
    /* What the host has itself comes as it is. */
    result = xprogram_paste(f->program, "CLIPBOARD", "image/bmp");
    host_expect(f->host, "request 0 bmp");
    host_answer(f->host, 0, VD_AGENT_CLIPBOARD_IMAGE_BMP, bmp, sizeof bmp, sizeof bmp);
    host_until(result->done);
    g_assert_cmpmem(result->data->data, result->data->len, bmp, sizeof bmp);
}

/* What is no image, breaks off or would be too large, is refused; what comes next is served. */
static void test_bad_images(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    const struct {
        const guint8 *data;
        gsize size;
    } bad[] = { { vast, sizeof vast }, { png, sizeof png / 2 }, { bmp, sizeof bmp } };
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        cliptest_grab(f, 0, i, PNG_ONLY);
        XResult *result = xprogram_paste(f->program, "CLIPBOARD", "image/bmp");
        host_expect(f->host, "request 0 png");
        host_answer(f->host, 0, VD_AGENT_CLIPBOARD_IMAGE_PNG, bad[i].data, bad[i].size, bad[i].size);
        host_until(result->refused);
    }
    XResult *result = xprogram_paste(f->program, "CLIPBOARD", "image/bmp");
    host_expect(f->host, "request 0 png");
    host_answer(f->host, 0, VD_AGENT_CLIPBOARD_IMAGE_PNG, png, sizeof png, sizeof png);
    host_until(result->done);
    g_assert_cmpmem(result->data->data, 2, "BM", 2);
}

/* The client, the program and the clipboard each go while an image is on its way or being made. */
static void test_goes_meanwhile(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GBytes) noise = cliptest_noise(8 << 20);
    gsize size;
    const guint8 *bytes = g_bytes_get_data(noise, &size);
    for (int gathered = 0; gathered < 2; gathered++) {
        cliptest_grab(f, 0, gathered, PNG_ONLY);
        XResult *result = xprogram_paste(f->program, "CLIPBOARD", "image/bmp");
        host_expect(f->host, "request 0 png");
        host_answer(f->host, 0, VD_AGENT_CLIPBOARD_IMAGE_PNG, bytes, size, gathered ? size : size / 2);
        host_wait(gathered ? 0 : 20);
        if (gathered) { /* the program, while it is made or just after */
            g_clear_pointer(&f->program, xprogram_free);
        } else {
            host_leave(f->host);
            host_until(result->refused);
            host_arrive(f->host);
        }
    }
    f->program = xprogram_new();
    cliptest_grab(f, 0, 2, PNG_ONLY);
    xprogram_paste(f->program, "CLIPBOARD", "image/bmp");
    host_expect(f->host, "request 0 png");
    host_answer(f->host, 0, VD_AGENT_CLIPBOARD_IMAGE_PNG, png, sizeof png, sizeof png);
    /* Torn down with the program running. */
}

/* A clipboard manager that reads a kind that was made, and then owns that alone, has nothing new. */
static void test_echo(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    cliptest_grab(f, 0, 0, BMP_ONLY);
    XResult *result = xprogram_paste(f->program, "CLIPBOARD", "image/png");
    host_expect(f->host, "request 0 bmp");
    host_answer(f->host, 0, VD_AGENT_CLIPBOARD_IMAGE_BMP, bmp, sizeof bmp, sizeof bmp);
    host_until(result->done);
    xprogram_offer(f->program, "image/png", NULL, result->data->data, result->data->len);
    xprogram_own(f->program, "CLIPBOARD");
    /* It is taken back, for the kinds that the manager does not have, and the client hears nothing of it. */
    host_until(!xprogram_owns(f->program, "CLIPBOARD"));
    g_assert_cmpuint(f->host->log->len, ==, 0);
}

/* Each that is gathered takes as much memory as the value: those beyond are refused before. */
static void test_many(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    cliptest_grab(f, 0, 0, PNG_ONLY);
    XResult *first = xprogram_paste(f->program, "CLIPBOARD", "image/bmp");
    host_expect(f->host, "request 0 png");
    XResult *second = xprogram_paste(f->program, "CLIPBOARD", "image/tiff");
    XResult *third = xprogram_paste(f->program, "CLIPBOARD", "image/jpeg");
    host_until(third->refused);
    g_assert_false(first->refused || second->refused);
    host_answer(f->host, 0, VD_AGENT_CLIPBOARD_IMAGE_PNG, png, sizeof png, sizeof png);
    host_until(first->done && second->done);
}

static void on_pasted(G_GNUC_UNUSED GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(g_task_propagate_boolean(G_TASK(result), &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CLOSED);
    *(gboolean *) user = TRUE;
}

/* A terminal whose image is being made when the daemon ends is told so. */
static void test_ends_meanwhile(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    gboolean told = FALSE;
    cliptest_grab(f, 0, 0, PNG_ONLY);
    clipboard_paste(f->host->clipboard, 0, "image/bmp", open("/dev/null", O_WRONLY | O_CLOEXEC),
                    g_task_new(NULL, NULL, on_pasted, &told));
    host_expect(f->host, "request 0 png");
    const VdagentMessage head = { .type = VD_AGENT_CLIPBOARD,
                                  .clipboard = { .type = VD_AGENT_CLIPBOARD_IMAGE_PNG, .size = sizeof png } };
    clipboard_bulk(f->host->clipboard, &head);
    clipboard_data(f->host->clipboard, png, sizeof png);
    clipboard_bulk_end(f->host->clipboard);
    host_free(f->host);
    f->host = host_new(&policy);
    host_until(told);
}

static void test_no_converter(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    xprogram_offer(f->program, "image/png", NULL, png, sizeof png);
    xprogram_own(f->program, "CLIPBOARD");
    host_expect(f->host, "grab 0 #0 png");
}

static const ClipboardPolicy without = {
    .to_host = TRUE, .from_host = TRUE, .primary = TRUE, .max_size = 64 << 20, .timeout_ms = 5000,
    .converter = BUILD_DIR "/no-such-program",
};

int main(int argc, char **argv)
{
    cliptest_init(&argc, &argv);
    /* For the converter, when it is built so: it lets nobody inspect it, not even for leaks. */
    g_setenv("ASAN_OPTIONS", "detect_leaks=0", TRUE);
    CLIPTEST_ADD("images/to-host", &policy, test_to_host);
    CLIPTEST_ADD("images/text-alone", &policy, test_text_alone);
    CLIPTEST_ADD("images/from-host", &policy, test_from_host);
    CLIPTEST_ADD("images/bad-images", &policy, test_bad_images);
    CLIPTEST_ADD("images/goes-meanwhile", &policy, test_goes_meanwhile);
    CLIPTEST_ADD("images/echo", &policy, test_echo);
    CLIPTEST_ADD("images/many", &policy, test_many);
    CLIPTEST_ADD("images/ends-meanwhile", &policy, test_ends_meanwhile);
    CLIPTEST_ADD("images/no-converter", &without, test_no_converter);
    return g_test_run();
}
