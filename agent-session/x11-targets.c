/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "x11-targets.h"

#include "latin1.h"

#include <X11/Xatom.h>
#include <X11/Xutil.h>
#include <spice/vd_agent.h>
#include <string.h>

/* Of those of one type, the first that a program offers is asked for. */
static const struct {
    const char *name;
    guint32 type;
    X11Form form;
    gboolean offered; /* by us; the others are understood */
} rows[] = {
    { "UTF8_STRING", VD_AGENT_CLIPBOARD_UTF8_TEXT, X11_FORM_RAW, TRUE },
    { "text/plain;charset=utf-8", VD_AGENT_CLIPBOARD_UTF8_TEXT, X11_FORM_RAW, TRUE },
    { "text/plain;charset=UTF-8", VD_AGENT_CLIPBOARD_UTF8_TEXT, X11_FORM_RAW, FALSE },
    { "COMPOUND_TEXT", VD_AGENT_CLIPBOARD_UTF8_TEXT, X11_FORM_COMPOUND, TRUE },
    { "STRING", VD_AGENT_CLIPBOARD_UTF8_TEXT, X11_FORM_LATIN1, TRUE },
    { "TEXT", VD_AGENT_CLIPBOARD_UTF8_TEXT, X11_FORM_ANY, TRUE },
    { "text/plain", VD_AGENT_CLIPBOARD_UTF8_TEXT, X11_FORM_PLAIN, TRUE },
    { "C_STRING", VD_AGENT_CLIPBOARD_UTF8_TEXT, X11_FORM_LATIN1, FALSE },
    { "image/png", VD_AGENT_CLIPBOARD_IMAGE_PNG, X11_FORM_RAW, TRUE },
    { "image/bmp", VD_AGENT_CLIPBOARD_IMAGE_BMP, X11_FORM_RAW, TRUE },
    { "image/x-bmp", VD_AGENT_CLIPBOARD_IMAGE_BMP, X11_FORM_RAW, TRUE },
    { "image/x-MS-bmp", VD_AGENT_CLIPBOARD_IMAGE_BMP, X11_FORM_RAW, TRUE },
    { "image/x-win-bitmap", VD_AGENT_CLIPBOARD_IMAGE_BMP, X11_FORM_RAW, TRUE },
    { "image/tiff", VD_AGENT_CLIPBOARD_IMAGE_TIFF, X11_FORM_RAW, TRUE },
    { "image/jpeg", VD_AGENT_CLIPBOARD_IMAGE_JPG, X11_FORM_RAW, TRUE },
    { "image/jpg", VD_AGENT_CLIPBOARD_IMAGE_JPG, X11_FORM_RAW, FALSE },
};
G_STATIC_ASSERT(G_N_ELEMENTS(rows) == X11_TARGETS_MAX);

/* Targets that say something about the selection, or do something, and are no content of their own. */
static const char *const about[] = {
    "CLIPBOARD",       "TARGETS", "MULTIPLE",    "TIMESTAMP",     "SAVE_TARGETS", "INCR",      "ATOM_PAIR",
    "NULL",            "DELETE",  "LIST_LENGTH", "CLIENT_WINDOW", "OWNER_OS",     "HOST_NAME", "INSERT_SELECTION",
    "INSERT_PROPERTY", "LENGTH",  "USER",        "PROCESS",       "CLASS",        "NAME",
};
G_STATIC_ASSERT(G_N_ELEMENTS(about) == X11_TARGETS_ABOUT);

void x11_targets_init(X11Targets *targets, Display *display)
{
    char *names[X11_TARGETS_MAX + X11_TARGETS_ABOUT];
    Atom atoms[G_N_ELEMENTS(names)] = { None };
    for (gsize i = 0; i < X11_TARGETS_ABOUT; i++)
        names[i] = (char *) about[i];
    for (gsize i = 0; i < X11_TARGETS_MAX; i++)
        names[X11_TARGETS_ABOUT + i] = (char *) rows[i].name;
    XInternAtoms(display, names, G_N_ELEMENTS(names), False, atoms);
    memcpy(targets->about, atoms, sizeof targets->about);
    memcpy(targets->content, atoms + X11_TARGETS_ABOUT, sizeof targets->content);
    targets->display = display;
    targets->clipboard = atoms[0];
    targets->targets = atoms[1];
    targets->multiple = atoms[2];
    targets->timestamp = atoms[3];
    targets->save_targets = atoms[4];
    targets->incr = atoms[5];
    targets->atom_pair = atoms[6];
    targets->null = atoms[7];
}

static gsize find(const Atom *atoms, gsize count, Atom atom)
{
    gsize i = 0;
    while (i < count && atoms[i] != atom)
        i++;
    return i;
}

X11Offer x11_targets_offer(const X11Targets *targets, const guint32 *list, gsize count)
{
    X11Offer offer = { 0 };
    gsize best[SELECTION_TYPES];
    for (gsize i = 0; i < count; i++) {
        gsize row = find(targets->content, X11_TARGETS_MAX, list[i]);
        if (row == X11_TARGETS_MAX) {
            offer.foreign |= find(targets->about, X11_TARGETS_ABOUT, list[i]) == X11_TARGETS_ABOUT;
            continue;
        }
        guint32 type = rows[row].type;
        if ((offer.types & 1u << type) == 0 || row < best[type]) {
            best[type] = row;
            offer.best[type] = list[i];
        }
        offer.types |= 1u << type;
    }
    return offer;
}

int x11_targets_list(const X11Targets *targets, guint32 types, Atom *ret_list)
{
    int count = 0;
    ret_list[count++] = targets->targets;
    ret_list[count++] = targets->multiple;
    ret_list[count++] = targets->timestamp;
    ret_list[count++] = targets->save_targets;
    for (gsize i = 0; i < X11_TARGETS_MAX; i++) {
        if (rows[i].offered && (types & 1u << rows[i].type) != 0)
            ret_list[count++] = targets->content[i];
    }
    return count;
}

guint32 x11_targets_type(const X11Targets *targets, Atom target, X11Form *ret_form)
{
    gsize row = find(targets->content, X11_TARGETS_MAX, target);
    if (row == X11_TARGETS_MAX)
        return 0;
    *ret_form = rows[row].form;
    return rows[row].type;
}

static GByteArray *decode_compound(const X11Targets *targets, Atom got, GByteArray *data)
{
    XTextProperty property = { .value = data->data, .encoding = got, .format = 8, .nitems = data->len };
    char **list = NULL;
    int count = 0;
    GByteArray *text = g_byte_array_new();
    if (Xutf8TextPropertyToTextList(targets->display, &property, &list, &count) >= 0) {
        for (int i = 0; i < count; i++)
            g_byte_array_append(text, (const guint8 *) list[i], strlen(list[i]));
    }
    if (list != NULL)
        XFreeStringList(list);
    g_byte_array_unref(data);
    return text;
}

SinkEnd x11_targets_decode(const X11Targets *targets, guint32 type, Atom got, gsize limit, GByteArray *data,
                           GBytes **ret_value)
{
    X11Form form = X11_FORM_RAW;
    *ret_value = NULL;
    if (data->len == 0 || x11_targets_type(targets, got, &form) != type) {
        g_byte_array_unref(data);
        return SINK_EMPTY;
    }
    if (form == X11_FORM_COMPOUND)
        data = decode_compound(targets, got, data);
    gboolean plain = form == X11_FORM_PLAIN && !g_utf8_validate_len((const char *) data->data, data->len, NULL);
    if (data->len > limit || ((form == X11_FORM_LATIN1 || plain) && !latin1_to_utf8(data, limit))) {
        g_byte_array_unref(data);
        return SINK_REFUSED;
    }
    *ret_value = g_byte_array_free_to_bytes(data);
    return SINK_DONE;
}

Atom x11_targets_encode(const X11Targets *targets, X11Form form, GByteArray *text)
{
    if (form == X11_FORM_LATIN1) {
        latin1_from_utf8(text);
        return XA_STRING;
    }
    g_byte_array_append(text, (const guint8 *) "", 1);
    char *list[] = { (char *) text->data };
    XTextProperty property = { .value = NULL };
    XICCEncodingStyle style = form == X11_FORM_COMPOUND ? XCompoundTextStyle : XStdICCTextStyle;
    if (Xutf8TextListToTextProperty(targets->display, list, 1, style, &property) < 0 || property.value == NULL)
        return None;
    g_byte_array_set_size(text, 0);
    g_byte_array_append(text, property.value, property.nitems);
    XFree(property.value);
    return property.encoding;
}
