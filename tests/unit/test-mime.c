/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "mime.h"

#include <spice/vd_agent.h>

#define TEXT (1u << VD_AGENT_CLIPBOARD_UTF8_TEXT)
#define PNG (1u << VD_AGENT_CLIPBOARD_IMAGE_PNG)
#define BMP (1u << VD_AGENT_CLIPBOARD_IMAGE_BMP)
#define TIFF (1u << VD_AGENT_CLIPBOARD_IMAGE_TIFF)
#define JPG (1u << VD_AGENT_CLIPBOARD_IMAGE_JPG)
#define UTF8 "text/plain;charset=utf-8"

/* What a program offers, and by which name text or the image is asked for. */
static const struct {
    const char *names[8];
    guint32 types;
    gboolean foreign;
    const char *best;
} offers[] = {
    { { NULL }, 0, FALSE, NULL },
    { { "text/plain" }, TEXT, FALSE, "text/plain" },
    { { "STRING", "TEXT", "text/plain", "UTF8_STRING", UTF8 }, TEXT, FALSE, UTF8 },
    { { "STRING", "TEXT", "text/plain", "UTF8_STRING" }, TEXT, FALSE, "UTF8_STRING" },
    { { "STRING", "text/plain", "TEXT" }, TEXT, FALSE, "text/plain" },
    { { "text/plain;charset=UTF-8", UTF8 }, TEXT, FALSE, "text/plain;charset=UTF-8" },
    { { "Text/Plain ; Charset = \"utf-8\"" }, TEXT, FALSE, "Text/Plain ; Charset = \"utf-8\"" },
    { { "text/plain;charset=iso-8859-1", "STRING" }, TEXT, FALSE, "STRING" },
    { { "text/plain;charset=utf-16" }, 0, TRUE, NULL },
    { { "text/plain;charset=utf-8;format=flowed" }, 0, TRUE, NULL },
    { { "text/html", "text/plain" }, TEXT, TRUE, "text/plain" },
    { { "TARGETS", "TIMESTAMP", "SAVE_TARGETS", "MULTIPLE", "COMPOUND_TEXT" }, 0, FALSE, NULL },
    { { "application/x-kde-onlyReplaceEmpty", "text/plain" }, TEXT, FALSE, "text/plain" },
    { { "image/png" }, PNG, FALSE, "image/png" },
    { { "image/x-MS-bmp", "image/bmp" }, BMP, FALSE, "image/bmp" },
    { { "image/jpg" }, JPG, FALSE, "image/jpg" },
    { { "image/jpg", "image/jpeg" }, JPG, FALSE, "image/jpeg" },
    { { "image/tiff" }, TIFF, FALSE, "image/tiff" },
    { { "image/webp", "image/PNG" }, PNG, TRUE, "image/PNG" },
    { { "", ";", "text", " " }, TEXT, TRUE, "text" },
};

static void test_offers(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(offers); i++) {
        check_case("offer %zu", i);
        MimeOffer offer = { 0 };
        for (const char *const *name = offers[i].names; *name != NULL; name++)
            mime_offer_add(&offer, *name);
        CHECK_EQ(offer.types, offers[i].types);
        CHECK_EQ(offer.foreign, offers[i].foreign);
        for (guint32 type = 1; type < SELECTION_TYPES; type++) {
            if (offer.types & 1u << type)
                CHECK_STR(offer.best[type], offers[i].best);
        }
    }
}

/* A name that fits is asked for as it is; one that does not is none of ours. */
static void test_long_names(void)
{
    for (gsize size = MIME_NAME_MAX - 2; size <= MIME_NAME_MAX + 1; size++) {
        check_case("%zu bytes", size);
        MimeOffer offer = { 0 };
        g_autofree char *spaces = g_strnfill(size - strlen("image/png"), ' ');
        g_autofree char *name = g_strconcat("image/png", spaces, NULL);
        mime_offer_add(&offer, name);
        CHECK_EQ(offer.types, size < MIME_NAME_MAX ? PNG : 0);
        CHECK_EQ(offer.foreign, size >= MIME_NAME_MAX);
        if (offer.types != 0)
            CHECK_STR(offer.best[VD_AGENT_CLIPBOARD_IMAGE_PNG], name);
        g_autofree char *other = g_strnfill(size, 'x');
        mime_offer_add(&offer, other);
        CHECK(offer.foreign);
    }
}

static void test_list(void)
{
    const char *list[MIME_OFFERED];
    check_case("list");
    CHECK_EQ(mime_list(SELECTION_ALL, list), MIME_OFFERED);
    CHECK_EQ(mime_list(0, list), 0);
    CHECK_EQ(mime_list(TEXT, list), 5);
    CHECK_STR(list[0], UTF8);
    /* What is offered is understood, as the same type, and in the same order of preference. */
    for (guint32 type = 1; type < SELECTION_TYPES; type++) {
        guint count = mime_list(1u << type, list);
        MimeOffer offer = { 0 };
        CHECK(count > 0);
        for (guint i = count; i-- > 0;) {
            MimeForm form;
            CHECK_EQ(mime_type(list[i], &form), type);
            mime_offer_add(&offer, list[i]);
            CHECK_STR(offer.best[type], list[i]);
        }
        CHECK_EQ(offer.types, 1u << type);
        CHECK(!offer.foreign);
    }
    MimeForm form;
    CHECK_EQ(mime_type("text/html", &form), 0);
    CHECK_EQ(mime_type("text/plain; charset=UTF-8", &form), VD_AGENT_CLIPBOARD_UTF8_TEXT);
    CHECK_EQ(form, MIME_FORM_RAW);
    CHECK_EQ(mime_type("STRING", &form), VD_AGENT_CLIPBOARD_UTF8_TEXT);
    CHECK_EQ(form, MIME_FORM_LATIN1);
}

static const struct {
    MimeForm form;
    const char *data, *want;
} contents[] = {
    { MIME_FORM_RAW, "caf\xe9", "caf\xe9" },
    { MIME_FORM_PLAIN, "caf\xe9", "caf\xc3\xa9" },
    { MIME_FORM_PLAIN, "caf\xc3\xa9", "caf\xc3\xa9" },
    { MIME_FORM_LATIN1, "caf\xe9", "caf\xc3\xa9" },
    { MIME_FORM_LATIN1, "caf\xc3\xa9", "caf\xc3\xa9" },
    { MIME_FORM_PLAIN, "", "" },
};

static void test_decode(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(contents); i++) {
        check_case("content %zu", i);
        GByteArray *data = g_byte_array_new();
        g_byte_array_append(data, (const guint8 *) contents[i].data, strlen(contents[i].data));
        g_autoptr(GBytes) value = mime_decode(contents[i].form, data, 5);
        gsize size;
        const void *got = g_bytes_get_data(value, &size);
        CHECK_EQ(size, strlen(contents[i].want));
        CHECK(size == 0 || memcmp(got, contents[i].want, size) == 0);
    }
    check_case("too large as UTF-8");
    GByteArray *data = g_byte_array_new();
    g_byte_array_append(data, (const guint8 *) "caf\xe9", 4);
    CHECK(mime_decode(MIME_FORM_PLAIN, data, 4) == NULL);
}

int main(void)
{
    test_offers();
    test_long_names();
    test_list();
    test_decode();
    return check_done();
}
