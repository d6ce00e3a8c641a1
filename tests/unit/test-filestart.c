/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "filestart.h"

#define KEYS(name, size) "[vdagent-file-xfer]\nname=" name "\nsize=" size "\n"
#define TEN "0123456789"
#define FIFTY TEN TEN TEN TEN TEN
#define LONG FIFTY FIFTY FIFTY FIFTY FIFTY "12345" /* 255 */

static const struct {
    const char *keys;
    size_t size; /* 0: up to the terminating zero */
    const char *name; /* NULL: refused */
    uint64_t bytes;
} parse_cases[] = {
    { KEYS("a", "0"), 0, "a", 0 },
    { KEYS("a b.txt", "123"), 0, "a b.txt", 123 },
    { KEYS("\\sa", "1"), 0, " a", 1 },
    { KEYS("a\\\\b", "1"), 0, "a\\b", 1 },
    { KEYS("größe 世界 \U0001f600", "1"), 0, "größe 世界 \U0001f600", 1 },
    { KEYS("...", "1"), 0, "...", 1 },
    { KEYS("..a", "1"), 0, "..a", 1 },
    { KEYS("-rf", "1"), 0, "-rf", 1 },
    { KEYS("a;b$(c)`d`", "1"), 0, "a;b$(c)`d`", 1 },
    { KEYS(LONG, "1"), 0, LONG, 1 },
    { "[vdagent-file-xfer]\nsize=9223372036854775807\nname=a\nfuture=x\n[more]\na=b", 0, "a", INT64_MAX },
    { "[vdagent-file-xfer]\nname=a\nsize=7", 0, "a", 7 },
    { KEYS(LONG "x", "1"), 0, NULL, 0 },
    { KEYS("", "1"), 0, NULL, 0 },
    { KEYS(".", "1"), 0, NULL, 0 },
    { KEYS("..", "1"), 0, NULL, 0 },
    { KEYS("/", "1"), 0, NULL, 0 },
    { KEYS("/etc/passwd", "1"), 0, NULL, 0 },
    { KEYS("a/b", "1"), 0, NULL, 0 },
    { KEYS("a/", "1"), 0, NULL, 0 },
    { KEYS("../a", "1"), 0, NULL, 0 },
    { KEYS("\xff", "1"), 0, NULL, 0 },
    { KEYS("a\xc3", "1"), 0, NULL, 0 },
    { KEYS("\xc0\xaf", "1"), 0, NULL, 0 },
    { KEYS("\xed\xa0\x80", "1"), 0, NULL, 0 },
    { KEYS("a\\nb", "1"), 0, NULL, 0 },
    { KEYS("a\\", "1"), 0, NULL, 0 },
    { KEYS("a\\x", "1"), 0, NULL, 0 },
    { KEYS("\\", "\\"), 0, NULL, 0 },
    { "[vdagent-file-xfer]\n\n# size=1\nname = a\r\nsize= 2\r\n", 0, "a", 2 },
    { "[vdagent-file-xfer]\nname=a\nname=b \nname[de]=c\nsize=1\nsize=3", 0, "b ", 3 },
    { "[x]\nname=x/y\nsize=x\n[vdagent-file-xfer]\nname=a\nsize=1\n[y]\nname=/\nsize=7\n", 0, "a", 1 },
    { "[vdagent-file-xfer]\nname=a\nsize=1\nnothing\n", 0, NULL, 0 },
    { "[vdagent-file-xfer]\nname=a\nsize=1\n=x\n", 0, NULL, 0 },
    { "[vdagent-file-xfer\nname=a\nsize=1\n", 0, NULL, 0 },
    { "[]\n", 0, NULL, 0 },
    { KEYS("a\x1b[2J", "1"), 0, NULL, 0 },
    { KEYS("a\x7f", "1"), 0, NULL, 0 },
    { KEYS("a\xc2\x85", "1"), 0, NULL, 0 },
    { KEYS("a\0b", "1"), sizeof KEYS("a\0b", "1") - 1, NULL, 0 },
    { KEYS("a\0/../b", "1"), sizeof KEYS("a\0/../b", "1") - 1, NULL, 0 },
    { KEYS("a", ""), 0, NULL, 0 },
    { KEYS("a", "-1"), 0, NULL, 0 },
    { KEYS("a", "+1"), 0, NULL, 0 },
    { KEYS("a", "1x"), 0, NULL, 0 },
    { KEYS("a", "0x10"), 0, NULL, 0 },
    { KEYS("a", "9223372036854775808"), 0, NULL, 0 },
    { KEYS("a", "18446744073709551616"), 0, NULL, 0 },
    { "[vdagent-file-xfer]\nname=a\n", 0, NULL, 0 },
    { "[vdagent-file-xfer]\nsize=1\n", 0, NULL, 0 },
    { "[other]\nname=a\nsize=1\n", 0, NULL, 0 },
    { "name=a\nsize=1\n", 0, NULL, 0 },
    { "[", 0, NULL, 0 },
    { "=", 0, NULL, 0 },
    { "\xff\xfe", 0, NULL, 0 },
};

static void test_parse(void)
{
    for (size_t i = 0; i < sizeof parse_cases / sizeof *parse_cases; i++) {
        const char *keys = parse_cases[i].keys;
        size_t size = parse_cases[i].size != 0 ? parse_cases[i].size : strlen(keys);
        /* Exactly as many bytes as there are, so that a sanitizer sees a read beyond. */
        g_autofree char *copy = g_memdup2(keys, size);
        g_autofree char *name = NULL;
        guint64 bytes = 4711;
        check_case("%s", keys);
        const char *why = filestart_parse(copy, size, &name, &bytes);
        CHECK_EQ(why == NULL, parse_cases[i].name != NULL);
        CHECK_STR(name, parse_cases[i].name);
        CHECK_EQ(bytes, parse_cases[i].name != NULL ? parse_cases[i].bytes : 4711);
    }
    g_autofree char *name = NULL;
    guint64 bytes;
    check_case("no byte");
    CHECK(filestart_parse("", 0, &name, &bytes) != NULL);
}

static void test_alternatives(void)
{
    static const struct {
        const char *name;
        guint number;
        const char *expected;
    } cases[] = {
        { "a.txt", 0, "a.txt" },
        { "a.txt", 1, "a (1).txt" },
        { "a", 2, "a (2)" },
        { "a.tar.gz", 1, "a.tar (1).gz" },
        { ".profile", 1, ".profile (1)" },
        { "a.", 1, "a (1)." },
        { "a.this is no extension but a long sentence", 1, "a.this is no extension but a long sentence (1)" },
        { LONG, 1, FIFTY FIFTY FIFTY FIFTY FIFTY "1 (1)" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        g_autofree char *name = filestart_alternative(cases[i].name, cases[i].number);
        check_case("%s, %u", cases[i].name, cases[i].number);
        CHECK_STR(name, cases[i].expected);
    }
    /* A character is never cut, however the name ends. */
    for (guint pad = 0; pad < 4; pad++) {
        g_autoptr(GString) name = g_string_new(NULL);
        for (guint i = 0; i < pad; i++)
            g_string_append_c(name, 'x');
        while (name->len + 4 <= LIMIT_FILE_NAME)
            g_string_append(name, "\U0001f600");
        for (guint number = 1; number < 100000; number *= 9) {
            g_autofree char *other = filestart_alternative(name->str, number);
            check_case("pad %u, number %u", pad, number);
            CHECK(strlen(other) <= LIMIT_FILE_NAME);
            CHECK(g_utf8_validate(other, -1, NULL));
            CHECK(strstr(other, " (") != NULL);
        }
    }
}

int main(void)
{
    test_parse();
    test_alternatives();
    return check_done();
}
