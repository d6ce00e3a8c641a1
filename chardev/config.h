/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * config.h - a daemon's settings: NAME.conf and the drop-ins of NAME.conf.d/ in one directory.
 *
 * Files are GKeyFiles; drop-ins are read in the order of their names and win over what was read before. A missing
 * file is fine, an unreadable or malformed one is an error that names the file, and an unknown key is warned about by
 * name.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <glib.h>

#define CONFIG_DIR "/etc/spice-pv"

typedef struct Config Config;

/* One key that exists: group, key and default as text. A list of them ends with group NULL. */
typedef struct ConfigKey {
    const char *group, *key, *fallback;
} ConfigKey;

/* Read `dir`/`name`.conf and its drop-ins. `keys` must outlive the result. `dir` NULL means CONFIG_DIR. */
Config *config_load(const char *dir, const char *name, const ConfigKey *keys, GError **error);

/* The same of the file `path` and the drop-ins of `path`.d/. */
Config *config_load_file(const char *path, const ConfigKey *keys, GError **error);
void config_free(Config *config);

/*
 * The value of a key, which must be in the list. These do not fail: a malformed number or boolean gives the default and
 * one warning naming file, key and value. A string lives as long as `config`.
 */
const char *config_string(const Config *config, const char *group, const char *key);
gboolean config_boolean(const Config *config, const char *group, const char *key);

/* A number within min..max, otherwise as if malformed; sizes may end in K, M or G (powers of 1024). */
gint64 config_number(const Config *config, const char *group, const char *key, gint64 min, gint64 max);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Config, config_free)

#endif
