/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mime.h"

#include "latin1.h"

#include <spice/vd_agent.h>
#include <string.h>

/* Of those of one type, the first that a program offers is asked for. */
static const struct {
    const char *name; /* in lower case, without spaces */
    guint32 type;
    MimeForm form;
    const char *offered; /* by us, as usually spelled; NULL: only understood */
} rows[] = {
    { "text/plain;charset=utf-8", VD_AGENT_CLIPBOARD_UTF8_TEXT, MIME_FORM_RAW, "text/plain;charset=utf-8" },
    { "text/plain;charset=utf8", VD_AGENT_CLIPBOARD_UTF8_TEXT, MIME_FORM_RAW, NULL },
    { "utf8_string", VD_AGENT_CLIPBOARD_UTF8_TEXT, MIME_FORM_RAW, "UTF8_STRING" },
    { "text/plain", VD_AGENT_CLIPBOARD_UTF8_TEXT, MIME_FORM_PLAIN, "text/plain" },
    { "text", VD_AGENT_CLIPBOARD_UTF8_TEXT, MIME_FORM_PLAIN, "TEXT" },
    { "string", VD_AGENT_CLIPBOARD_UTF8_TEXT, MIME_FORM_LATIN1, "STRING" },
    { "text/plain;charset=us-ascii", VD_AGENT_CLIPBOARD_UTF8_TEXT, MIME_FORM_LATIN1, NULL },
    { "text/plain;charset=iso-8859-1", VD_AGENT_CLIPBOARD_UTF8_TEXT, MIME_FORM_LATIN1, NULL },
    { "image/png", VD_AGENT_CLIPBOARD_IMAGE_PNG, MIME_FORM_RAW, "image/png" },
    { "image/bmp", VD_AGENT_CLIPBOARD_IMAGE_BMP, MIME_FORM_RAW, "image/bmp" },
    { "image/x-bmp", VD_AGENT_CLIPBOARD_IMAGE_BMP, MIME_FORM_RAW, "image/x-bmp" },
    { "image/x-ms-bmp", VD_AGENT_CLIPBOARD_IMAGE_BMP, MIME_FORM_RAW, "image/x-MS-bmp" },
    { "image/x-win-bitmap", VD_AGENT_CLIPBOARD_IMAGE_BMP, MIME_FORM_RAW, "image/x-win-bitmap" },
    { "image/tiff", VD_AGENT_CLIPBOARD_IMAGE_TIFF, MIME_FORM_RAW, "image/tiff" },
    { "image/jpeg", VD_AGENT_CLIPBOARD_IMAGE_JPG, MIME_FORM_RAW, "image/jpeg" },
    { "image/jpg", VD_AGENT_CLIPBOARD_IMAGE_JPG, MIME_FORM_RAW, NULL },
};

/* Say something about the selection, or do something, and are no content of their own; in lower case. */
static const char *const about[] = {
    "targets",
    "multiple",
    "timestamp",
    "save_targets",
    "delete",
    "compound_text", /* its text is there under other names too */
    "application/x-kde-onlyreplaceempty",
    "application/x-kde-syncselection",
    "x-kde-passwordmanagerhint",
};

/* FALSE if the name is too long. Parameters' values may be quoted. */
static gboolean normalize(const char *name, char ret_name[static MIME_NAME_MAX])
{
    if (strnlen(name, MIME_NAME_MAX) == MIME_NAME_MAX)
        return FALSE;
    gsize size = 0;
    for (; *name != '\0'; name++) {
        if (!g_ascii_isspace(*name) && *name != '"')
            ret_name[size++] = g_ascii_tolower(*name);
    }
    ret_name[size] = '\0';
    return TRUE;
}

static gsize find(const char *normal)
{
    gsize row = 0;
    while (row < G_N_ELEMENTS(rows) && strcmp(rows[row].name, normal) != 0)
        row++;
    return row;
}

static gboolean is_about(const char *normal)
{
    gsize i = 0;
    while (i < G_N_ELEMENTS(about) && strcmp(about[i], normal) != 0)
        i++;
    return i < G_N_ELEMENTS(about);
}

void mime_offer_add(MimeOffer *offer, const char *name)
{
    char normal[MIME_NAME_MAX];
    gboolean fits = normalize(name, normal);
    gsize row = fits ? find(normal) : G_N_ELEMENTS(rows);
    if (row == G_N_ELEMENTS(rows)) {
        offer->foreign |= !fits || !is_about(normal);
        return;
    }
    guint32 type = rows[row].type;
    if ((offer->types & 1u << type) == 0 || row < offer->rank[type]) {
        offer->rank[type] = row;
        g_strlcpy(offer->best[type], name, MIME_NAME_MAX);
    }
    offer->types |= 1u << type;
}

guint32 mime_type(const char *name, MimeForm *ret_form)
{
    char normal[MIME_NAME_MAX];
    gsize row = normalize(name, normal) ? find(normal) : G_N_ELEMENTS(rows);
    if (row == G_N_ELEMENTS(rows))
        return 0;
    *ret_form = rows[row].form;
    return rows[row].type;
}

guint mime_list(guint32 types, const char **ret_list)
{
    guint count = 0;
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].offered != NULL && (types & 1u << rows[i].type) != 0)
            ret_list[count++] = rows[i].offered;
    }
    return count;
}

GBytes *mime_decode(MimeForm form, GByteArray *data, gsize limit)
{
    gboolean ready = form == MIME_FORM_RAW || data->len == 0 ||
                     g_utf8_validate_len((const char *) data->data, data->len, NULL);
    if (ready || latin1_to_utf8(data, limit))
        return g_byte_array_free_to_bytes(data);
    g_byte_array_unref(data);
    return NULL;
}
