/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <string.h>

/* What the files say about one key. */
typedef struct Value {
    char *text; /* NULL: nothing */
    char *file;
    gboolean warned;
} Value;

struct Config {
    const ConfigKey *keys;
    gsize count;
    Value *values; /* as many as keys */
};

static gsize find(const Config *config, const char *group, const char *key)
{
    gsize i = 0;

    while (i < config->count && !(g_str_equal(config->keys[i].group, group) && g_str_equal(config->keys[i].key, key))) {
        i++;
    }
    return i;
}

static void take_key(Config *config, GKeyFile *file, const char *path, const char *group, const char *key)
{
    gsize i = find(config, group, key);

    if (i == config->count) {
        g_warning("%s: unknown key “%s” in group [%s]", path, key, group);
        return;
    }

    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_key_file_get_string(file, group, key, &error);

    if (error) {
        g_warning("%s: [%s] %s: %s", path, group, key, error->message);
        return;
    }
    g_free(config->values[i].text);
    g_free(config->values[i].file);
    config->values[i].text = g_strstrip(g_steal_pointer(&text));
    config->values[i].file = g_strdup(path);
}

/* Read one file; one that is not there changes nothing. */
static gboolean read_file(Config *config, const char *path, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) failure = NULL;

    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &failure)) {
        if (g_error_matches(failure, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
            return TRUE;
        }
        g_propagate_prefixed_error(error, g_steal_pointer(&failure), "%s: ", path);
        return FALSE;
    }

    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);

    for (char **group = groups; *group; group++) {
        g_auto(GStrv) keys = g_key_file_get_keys(file, *group, NULL, NULL);

        for (char **key = keys; key && *key; key++) {
            take_key(config, file, path, *group, *key);
        }
    }
    return TRUE;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static gboolean read_drop_ins(Config *config, const char *path, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(GDir) dir = g_dir_open(path, 0, &failure);

    if (!dir) {
        if (g_error_matches(failure, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
            return TRUE;
        }
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }

    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *name;

    while ((name = g_dir_read_name(dir))) {
        if (g_str_has_suffix(name, ".conf")) {
            g_ptr_array_add(names, g_strdup(name));
        }
    }
    g_ptr_array_sort(names, compare_names);
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *file = g_build_filename(path, names->pdata[i], NULL);

        if (!read_file(config, file, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

Config *config_load(const char *dir, const char *name, const ConfigKey *keys, GError **error)
{
    g_autofree char *path = g_strdup_printf("%s/%s.conf", dir ? dir : CONFIG_DIR, name);

    return config_load_file(path, keys, error);
}

Config *config_load_file(const char *path, const ConfigKey *keys, GError **error)
{
    g_autoptr(Config) config = g_new0(Config, 1);
    g_autofree char *drop_ins = g_strconcat(path, ".d", NULL);

    config->keys = keys;
    while (keys[config->count].group) {
        config->count++;
    }
    config->values = g_new0(Value, config->count);
    if (!read_file(config, path, error) || !read_drop_ins(config, drop_ins, error)) {
        return NULL;
    }
    return g_steal_pointer(&config);
}

void config_free(Config *config)
{
    if (!config) {
        return;
    }
    for (gsize i = 0; i < config->count; i++) {
        g_free(config->values[i].text);
        g_free(config->values[i].file);
    }
    g_free(config->values);
    g_free(config);
}

static gsize must_find(const Config *config, const char *group, const char *key)
{
    gsize i = find(config, group, key);

    g_assert(i < config->count);
    return i;
}

const char *config_string(const Config *config, const char *group, const char *key)
{
    gsize i = must_find(config, group, key);

    return config->values[i].text ? config->values[i].text : config->keys[i].fallback;
}

static void warn_malformed(const Config *config, gsize i, const char *wanted)
{
    Value *value = &config->values[i];

    if (!value->warned) {
        g_warning("%s: [%s] %s: “%s” is not %s, using %s", value->file, config->keys[i].group, config->keys[i].key,
                  value->text, wanted, config->keys[i].fallback);
        value->warned = TRUE;
    }
}

static gboolean parse_boolean(const char *text, gboolean *ret_value)
{
    static const struct {
        const char *text;
        gboolean value;
    } words[] = {
        { "true", TRUE },   { "yes", TRUE }, { "on", TRUE },   { "1", TRUE },
        { "false", FALSE }, { "no", FALSE }, { "off", FALSE }, { "0", FALSE },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(words); i++) {
        if (g_ascii_strcasecmp(text, words[i].text) == 0) {
            *ret_value = words[i].value;
            return TRUE;
        }
    }
    return FALSE;
}

gboolean config_boolean(const Config *config, const char *group, const char *key)
{
    gsize i = must_find(config, group, key);
    gboolean value;

    if (config->values[i].text) {
        if (parse_boolean(config->values[i].text, &value)) {
            return value;
        }
        warn_malformed(config, i, "true or false");
    }
    gboolean known = parse_boolean(config->keys[i].fallback, &value);
    g_assert(known);
    return value;
}

static gboolean parse_number(const char *text, gint64 min, gint64 max, gint64 *ret_value)
{
    static const char suffixes[] = "KMG";
    char *end;

    errno = 0;
    gint64 value = g_ascii_strtoll(text, &end, 10);

    if (errno != 0 || end == text) {
        return FALSE;
    }
    if (*end != '\0') {
        const char *suffix = strchr(suffixes, g_ascii_toupper(*end));

        if (!suffix || end[1] != '\0') {
            return FALSE;
        }

        gint64 unit = G_GINT64_CONSTANT(1) << (10 * (suffix - suffixes + 1));

        if (value > G_MAXINT64 / unit || value < G_MININT64 / unit) {
            return FALSE;
        }
        value *= unit;
    }
    if (value < min || value > max) {
        return FALSE;
    }
    *ret_value = value;
    return TRUE;
}

gint64 config_number(const Config *config, const char *group, const char *key, gint64 min, gint64 max)
{
    gsize i = must_find(config, group, key);
    gint64 value;

    if (config->values[i].text) {
        if (parse_number(config->values[i].text, min, max, &value)) {
            return value;
        }
        g_autofree char *wanted =
            g_strdup_printf("a number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, min, max);

        warn_malformed(config, i, wanted);
    }
    gboolean known = parse_number(config->keys[i].fallback, min, max, &value);
    g_assert(known);
    return value;
}
