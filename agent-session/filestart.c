/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filestart.h"

#include <string.h>

#define GROUP "vdagent-file-xfer"

static const char *check_name(const char *name)
{
    gsize length = strlen(name);
    if (length == 0)
        return "empty name";
    if (length > LIMIT_FILE_NAME)
        return "name too long";
    if (!g_utf8_validate(name, length, NULL))
        return "name is not UTF-8";
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strchr(name, '/') != NULL)
        return "name is not a plain file name";
    for (const char *at = name; *at != '\0'; at = g_utf8_next_char(at)) {
        if (g_unichar_iscntrl(g_utf8_get_char(at)))
            return "control character in name";
    }
    return NULL;
}

const char *filestart_parse(const char *keys, gsize size, char **ret_name, guint64 *ret_size)
{
    /* GKeyFile would end the value at a zero byte and so check less than what was sent. */
    if (size == 0 || memchr(keys, '\0', size) != NULL)
        return "zero byte in the keys";
    g_autoptr(GKeyFile) file = g_key_file_new();
    if (!g_key_file_load_from_data(file, keys, size, G_KEY_FILE_NONE, NULL))
        return "malformed keys";
    g_autofree char *name = g_key_file_get_string(file, GROUP, "name", NULL);
    if (name == NULL)
        return "no name, or one that is not UTF-8";
    const char *why = check_name(name);
    if (why != NULL)
        return why;
    g_autofree char *text = g_key_file_get_value(file, GROUP, "size", NULL);
    guint64 bytes;
    if (text == NULL || !g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, &bytes, NULL))
        return "no valid size";
    *ret_name = g_steal_pointer(&name);
    *ret_size = bytes;
    return NULL;
}

char *filestart_alternative(const char *name, guint number)
{
    if (number == 0)
        return g_strdup(name);
    g_autofree char *tag = g_strdup_printf(" (%u)", number);
    const char *dot = strrchr(name, '.');
    /* A leading dot begins a hidden name, and what is very long is no extension. */
    const char *extension = dot != NULL && dot != name && strlen(dot) <= 32 ? dot : name + strlen(name);
    gsize stem = MIN((gsize) (extension - name), LIMIT_FILE_NAME - strlen(tag) - strlen(extension));
    while (stem > 0 && ((guchar) name[stem] & 0xc0) == 0x80)
        stem--;
    return g_strdup_printf("%.*s%s%s", (int) stem, name, tag, extension);
}
