/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "config.h"

#include <glib/gstdio.h>

static const ConfigKey keys[] = {
    { "clipboard", "to-host", "true" },
    { "clipboard", "max-size", "64M" },
    { "clipboard", "timeout-ms", "3000" },
    { "files", "directory", "" },
    { "files", "enabled", "no" },
    { NULL, NULL, NULL },
};

static char *directory;
static GString *warnings;

static GLogWriterOutput keep(GLogLevelFlags level, const GLogField *fields, gsize count, gpointer user)
{
    (void)user;
    for (gsize i = 0; i < count; i++) {
        if ((level & G_LOG_LEVEL_WARNING) && strcmp(fields[i].key, "MESSAGE") == 0) {
            g_string_append_printf(warnings, "%s\n", (const char *)fields[i].value);
        }
    }
    return G_LOG_WRITER_HANDLED;
}

static void write_file(const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    g_autofree char *parent = g_path_get_dirname(path);

    g_mkdir_with_parents(parent, 0700);
    CHECK(g_file_set_contents(path, text, -1, NULL));
}

static void remove_file(const char *name)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);

    g_remove(path);
}

/* How often `text` was warned about since the last call of forget(). */
static guint warned(const char *text)
{
    guint count = 0;

    for (const char *at = warnings->str; (at = strstr(at, text)); at++) {
        count++;
    }
    return count;
}

static Config *load(void)
{
    g_autoptr(GError) error = NULL;
    Config *config;

    g_string_truncate(warnings, 0);
    config = config_load(directory, "test", keys, &error);
    CHECK(config != NULL && error == NULL);
    return config;
}

static void test_defaults(void)
{
    g_autoptr(Config) config = load();

    check_case("%s", "defaults");
    CHECK_EQ(config_boolean(config, "clipboard", "to-host"), TRUE);
    CHECK_EQ(config_boolean(config, "files", "enabled"), FALSE);
    CHECK_EQ(config_number(config, "clipboard", "max-size", 0, G_MAXINT64), 64 << 20);
    CHECK_STR(config_string(config, "files", "directory"), "");
    CHECK_EQ(warnings->len, 0);
}

static void test_drop_ins(void)
{
    check_case("%s", "drop-ins");
    write_file("test.conf",
               "# comment\n[clipboard]\nto-host=false\ntimeout-ms=1000\n[files]\ndirectory=/srv/files  \n");
    write_file("test.conf.d/50-b.conf", "[clipboard]\ntimeout-ms=3\n");
    write_file("test.conf.d/10-a.conf", "[clipboard]\ntimeout-ms=2\nmax-size=1\n[files]\nenabled=true\n");
    write_file("test.conf.d/90-c.conf.bak", "[clipboard]\ntimeout-ms=4\n");
    write_file("other.conf", "[clipboard]\ntimeout-ms=5\n");

    g_autoptr(Config) config = load();

    CHECK_EQ(config_boolean(config, "clipboard", "to-host"), FALSE);
    CHECK_EQ(config_number(config, "clipboard", "timeout-ms", 0, 10000), 3);
    CHECK_EQ(config_number(config, "clipboard", "max-size", 0, 10000), 1);
    CHECK_EQ(config_boolean(config, "files", "enabled"), TRUE);
    CHECK_STR(config_string(config, "files", "directory"), "/srv/files");
    CHECK_EQ(warnings->len, 0);
    remove_file("test.conf.d/50-b.conf");
    remove_file("test.conf.d/10-a.conf");
    remove_file("test.conf.d/90-c.conf.bak");
    remove_file("test.conf.d");
    remove_file("other.conf");
}

static void test_booleans(void)
{
    static const struct {
        const char *text;
        gboolean value, warning;
    } rows[] = {
        { "true", TRUE, FALSE },  { "YES", TRUE, FALSE },   { "on", TRUE, FALSE },   { "1", TRUE, FALSE },
        { "false", FALSE, FALSE }, { "No", FALSE, FALSE },  { "off", FALSE, FALSE }, { "0", FALSE, FALSE },
        { "", TRUE, TRUE },       { "truely", TRUE, TRUE }, { "2", TRUE, TRUE },     { "falsе", TRUE, TRUE },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = g_strdup_printf("[clipboard]\nto-host=%s\n", rows[i].text);

        check_case("boolean “%s”", rows[i].text);
        write_file("test.conf", text);

        g_autoptr(Config) config = load();

        CHECK_EQ(config_boolean(config, "clipboard", "to-host"), rows[i].value);
        CHECK_EQ(config_boolean(config, "clipboard", "to-host"), rows[i].value);
        CHECK_EQ(warned("test.conf: [clipboard] to-host"), rows[i].warning); /* once */
    }
}

static void test_numbers(void)
{
    static const struct {
        const char *text;
        gint64 min, max, value; /* 64 MiB is the default */
    } rows[] = {
        { "0", 0, 10, 0 },
        { "10", 0, 10, 10 },
        { "-5", -10, 10, -5 },
        { "11", 0, G_MAXINT64, 11 },
        { "1K", 0, G_MAXINT64, 1024 },
        { "3m", 0, G_MAXINT64, 3 << 20 },
        { "2G", 0, G_MAXINT64, G_GINT64_CONSTANT(2) << 30 },
        { "9223372036854775807", 0, G_MAXINT64, G_MAXINT64 },
        { "9223372036854775808", 0, G_MAXINT64, 64 << 20 },
        { "8589934592G", 0, G_MAXINT64, 64 << 20 },
        { "8589934591G", 0, G_MAXINT64, G_GINT64_CONSTANT(8589934591) << 30 },
        { "-8589934593G", G_MININT64, G_MAXINT64, 64 << 20 },
        { "-1", 0, G_MAXINT64, 64 << 20 },
        { "10", 11, G_MAXINT64, 64 << 20 },
        { "", 0, G_MAXINT64, 64 << 20 },
        { "K", 0, G_MAXINT64, 64 << 20 },
        { "1KB", 0, G_MAXINT64, 64 << 20 },
        { "1 K", 0, G_MAXINT64, 64 << 20 },
        { "0x10", 0, G_MAXINT64, 64 << 20 },
        { "1.5", 0, G_MAXINT64, 64 << 20 },
        { "nan", 0, G_MAXINT64, 64 << 20 },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = g_strdup_printf("[clipboard]\nmax-size = %s \n", rows[i].text);

        check_case("number “%s”", rows[i].text);
        write_file("test.conf", text);

        g_autoptr(Config) config = load();

        for (int again = 0; again < 2; again++) {
            /* The default must be within the range too. */
            CHECK_EQ(config_number(config, "clipboard", "max-size", rows[i].min, MAX(rows[i].max, 64 << 20)),
                     rows[i].value);
        }
        CHECK_EQ(warned("[clipboard] max-size"), rows[i].value == 64 << 20);
    }
}

static void test_mistakes(void)
{
    check_case("%s", "unknown keys");
    write_file("test.conf", "[clipboard]\nto_host=false\n[no-group]\nkey=1\n[files]\ndirectory=/a\\q\n");

    g_autoptr(Config) config = load();

    CHECK_EQ(warned("unknown key “to_host” in group [clipboard]"), 1);
    CHECK_EQ(warned("unknown key “key” in group [no-group]"), 1);
    CHECK_EQ(warned("[files] directory"), 1);
    CHECK_EQ(warned(directory), 3);
    CHECK_STR(config_string(config, "files", "directory"), "");

    static const char *const malformed[] = { "no group\n", "[clipboard\n", "[clipboard]\nto-host\n" };

    for (gsize i = 0; i < G_N_ELEMENTS(malformed); i++) {
        g_autoptr(GError) error = NULL;

        check_case("malformed %zu", i);
        write_file("test.conf", malformed[i]);
        CHECK(config_load(directory, "test", keys, &error) == NULL);
        CHECK(error && strstr(error->message, "test.conf"));
    }

    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(directory, "test.conf", NULL);

    check_case("%s", "a directory in its place");
    remove_file("test.conf");
    g_mkdir(path, 0700);
    CHECK(config_load(directory, "test", keys, &error) == NULL);
    CHECK(error && strstr(error->message, "test.conf"));
    remove_file("test.conf");

    check_case("%s", "a malformed drop-in");
    write_file("test.conf.d/a.conf", "nonsense\n");
    g_clear_error(&error);
    CHECK(config_load(directory, "test", keys, &error) == NULL);
    CHECK(error && strstr(error->message, "a.conf"));
    remove_file("test.conf.d/a.conf");
    remove_file("test.conf.d");
}

int main(void)
{
    warnings = g_string_new(NULL);
    directory = g_dir_make_tmp("spice-pv-XXXXXX", NULL);
    g_log_set_writer_func(keep, NULL, NULL);
    test_defaults();
    test_drop_ins();
    test_booleans();
    test_numbers();
    test_mistakes();
    CHECK_EQ(g_rmdir(directory), 0);
    g_free(directory);
    g_string_free(warnings, TRUE);
    return check_done();
}
