/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filestart.h"

#include <string.h>

#define GROUP "[vdagent-file-xfer]"

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

/* The character that GKeyFile writes as a backslash and `c`; 0 for none. */
static char escaped(char c)
{
    switch (c) {
    case 's':
        return ' ';
    case 'n':
        return '\n';
    case 't':
        return '\t';
    case 'r':
        return '\r';
    case '\\':
        return '\\';
    default:
        return '\0';
    }
}

/* A value without leading blanks and with escapes taken back; NULL for an unknown escape. */
static char *unescape(const char *value, gsize size)
{
    g_autofree char *text = g_malloc(size + 1);
    gsize length = 0, at = 0;
    while (at < size && (value[at] == ' ' || value[at] == '\t'))
        at++;
    for (; at < size; at++) {
        char c = value[at];
        if (c == '\\')
            c = ++at < size ? escaped(value[at]) : '\0';
        if (c == '\0')
            return NULL;
        text[length++] = c;
    }
    text[length] = '\0';
    return g_steal_pointer(&text);
}

typedef struct Keys {
    char *name, *bytes;
} Keys;

static void keys_clear(Keys *keys)
{
    g_free(keys->name);
    g_free(keys->bytes);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Keys, keys_clear)

/* "key=value", blanks around the equals sign. FALSE if it is not that, or a value that counts is malformed. */
static gboolean take_pair(const char *line, gsize size, Keys *keys)
{
    const char *equals = memchr(line, '=', size);
    if (equals == NULL)
        return FALSE;
    gsize length = equals - line;
    while (length > 0 && (line[length - 1] == ' ' || line[length - 1] == '\t'))
        length--;
    char **target = length == 4 && memcmp(line, "name", 4) == 0   ? &keys->name
                    : length == 4 && memcmp(line, "size", 4) == 0 ? &keys->bytes
                                                                  : NULL;
    if (target == NULL)
        return length > 0;
    g_free(*target);
    *target = unescape(equals + 1, line + size - (equals + 1));
    return *target != NULL;
}

/*
 * Not GKeyFile: it warns about some malformed values, as often as a peer sends them. As there, the last of several keys
 * of one name counts, and other groups and keys are passed over.
 */
static gboolean take_keys(const char *text, gsize size, Keys *keys)
{
    gboolean ours = FALSE, any = FALSE;
    while (size > 0) {
        const char *end = memchr(text, '\n', size);
        gsize whole = end != NULL ? (gsize) (end - text) + 1 : size, length = end != NULL ? whole - 1 : size;
        if (length > 0 && text[length - 1] == '\r')
            length--;
        if (length > 0 && text[0] == '[') {
            if (length < 3 || text[length - 1] != ']')
                return FALSE;
            any = TRUE;
            ours = length == strlen(GROUP) && memcmp(text, GROUP, length) == 0;
        } else if (length > 0 && text[0] != '#') {
            Keys other = { NULL, NULL };
            gboolean good = any && take_pair(text, length, ours ? keys : &other);
            keys_clear(&other);
            if (!good)
                return FALSE;
        }
        text += whole;
        size -= whole;
    }
    return TRUE;
}

const char *filestart_parse(const char *keys, gsize size, char **ret_name, guint64 *ret_size)
{
    g_auto(Keys) found = { NULL, NULL };
    guint64 bytes;
    /* It would end the name and so hide the rest of it from the checks. */
    if (size > 0 && memchr(keys, '\0', size) != NULL)
        return "zero byte in the keys";
    if (!take_keys(keys, size, &found))
        return "malformed keys";
    const char *why = found.name != NULL ? check_name(found.name) : "no name";
    if (why != NULL)
        return why;
    if (found.bytes == NULL || !g_ascii_string_to_unsigned(found.bytes, 10, 0, G_MAXINT64, &bytes, NULL))
        return "no valid size";
    *ret_name = g_steal_pointer(&found.name);
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
