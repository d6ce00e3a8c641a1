/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files that grow without a name. Three kinds of file system are looked at: with unnamed files, without, and without a
 * rename that does not replace; the latter two are made by refusing the system calls below.
 */
#define _GNU_SOURCE
#include "check.h"
#include "incoming.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static bool no_tmpfile, no_noreplace, no_sizes;

int openat(int dir, const char *path, int flags, ...)
{
    static int (*real)(int, const char *, int, ...);
    va_list args;
    if (real == NULL)
        *(void **) &real = dlsym(RTLD_NEXT, "openat");
    if (no_tmpfile && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    va_start(args, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
    va_end(args);
    return real(dir, path, flags, mode);
}

int renameat2(int old_dir, const char *old, int new_dir, const char *new, unsigned flags)
{
    static int (*real)(int, const char *, int, const char *, unsigned);
    if (real == NULL)
        *(void **) &real = dlsym(RTLD_NEXT, "renameat2");
    if (no_noreplace) {
        errno = EINVAL;
        return -1;
    }
    return real(old_dir, old, new_dir, new, flags);
}

/* As of ramfs, and of a tmpfs without a limit. */
int fstatvfs(int fd, struct statvfs *fs)
{
    static int (*real)(int, struct statvfs *);
    if (real == NULL)
        *(void **) &real = dlsym(RTLD_NEXT, "fstatvfs");
    int result = real(fd, fs);
    if (no_sizes)
        fs->f_blocks = fs->f_bfree = fs->f_bavail = 0;
    return result;
}

static char *entries(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const char *name;
    while ((name = g_dir_read_name(dir)) != NULL)
        g_ptr_array_add(names, (gpointer) name);
    return g_strdup_printf("%u", names->len);
}

static void clear(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    while ((name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *full = g_build_filename(path, name, NULL);
        g_remove(full);
    }
}

static void put(const char *dir, const char *content, const char *name, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Incoming) incoming = incoming_new(dir, &error);
    CHECK(incoming != NULL);
    if (incoming == NULL)
        return;
    CHECK(incoming_space(incoming) > 0);
    CHECK(incoming_write(incoming, (const guint8 *) content, strlen(content), &error));
    g_autofree char *path = incoming_commit(incoming, name, &error);
    g_autofree char *wanted = g_build_filename(dir, expected, NULL);
    CHECK_STR(path, wanted);
    g_autofree char *read = NULL;
    CHECK(g_file_get_contents(wanted, &read, NULL, NULL));
    CHECK_STR(read, content);
}

static void test_kind(const char *dir)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *target = g_build_filename(dir, "target", NULL), *link = g_build_filename(dir, "link", NULL);
    put(dir, "one", "a.txt", "a.txt");
    put(dir, "two", "a.txt", "a (1).txt");
    put(dir, "", "empty", "empty");
    CHECK_EQ(symlink(target, link), 0);
    put(dir, "three", "link", "link (1)");
    CHECK(!g_file_test(target, G_FILE_TEST_EXISTS));
    clear(dir);

    Incoming *dropped = incoming_new(dir, &error);
    CHECK(incoming_write(dropped, (const guint8 *) "x", 1, &error));
    g_autofree char *meanwhile = entries(dir);
    CHECK_STR(meanwhile, no_tmpfile ? "1" : "0");
    incoming_free(dropped);
    g_autofree char *after = entries(dir);
    CHECK_STR(after, "0");

    /* A directory that is removed meanwhile cannot take the name, and nothing appears elsewhere. */
    g_autofree char *sub = g_build_filename(dir, "sub", NULL);
    Incoming *lost = incoming_new(sub, &error);
    CHECK(lost != NULL);
    clear(sub);
    CHECK_EQ(rmdir(sub), 0);
    g_autofree char *nowhere = incoming_commit(lost, "a", &error);
    CHECK(nowhere == NULL && error != NULL);
    incoming_free(lost);
}

static void test_new_fails(const char *dir)
{
    g_autofree char *file = g_build_filename(dir, "file", NULL), *below = g_build_filename(file, "below", NULL);
    g_autoptr(GError) error = NULL;
    CHECK(g_file_set_contents(file, "x", 1, NULL));
    CHECK(incoming_new(below, &error) == NULL);
    CHECK(g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_DIRECTORY));
    clear(dir);
}

static void test_clean(const char *dir)
{
    static const char *const names[] = { ".spice-0123456789abcdef.part", ".spice-x", "a.part" };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(dir, names[i], NULL);
        CHECK(g_file_set_contents(path, "x", 1, NULL));
    }
    incoming_clean(dir);
    g_autofree char *count = entries(dir);
    CHECK_STR(count, "2");
    clear(dir);
    incoming_clean("/nonexistent");
}

static void test_space(const char *dir)
{
    g_autoptr(Incoming) incoming = incoming_new(dir, NULL);
    CHECK(incoming_space(incoming) < G_MAXUINT64);
    no_sizes = true;
    CHECK_EQ(incoming_space(incoming), G_MAXUINT64);
    no_sizes = false;
}

int main(void)
{
    g_autofree char *dir = g_dir_make_tmp(NULL, NULL);
    for (int kind = 0; kind < 3; kind++) {
        no_tmpfile = kind > 0;
        no_noreplace = kind > 1;
        check_case("kind %d", kind);
        test_kind(dir);
    }
    check_case("fails");
    test_new_fails(dir);
    check_case("space");
    no_tmpfile = no_noreplace = false;
    test_space(dir);
    check_case("clean");
    test_clean(dir);
    CHECK_EQ(rmdir(dir), 0);
    return check_done();
}
