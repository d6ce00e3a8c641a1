/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Processors and blocks of memory on and off, by sysfs, whose files belong to root and need no capability. */
#include "helperverbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CPU_DIR "/sys/devices/system/cpu"
#define MEMORY_DIR "/sys/devices/system/memory"

/* A word NUMBER=0 or NUMBER=1. */
static gboolean parse(const char *word, gint64 *ret_number, gboolean *ret_online)
{
    const char *sign = strchr(word, '=');
    g_autofree char *number = sign ? g_strndup(word, (gsize)(sign - word)) : NULL;

    if (!sign || (!g_str_equal(sign, "=0") && !g_str_equal(sign, "=1")) ||
        !g_ascii_string_to_signed(number, 10, G_MININT64, G_MAXINT64, ret_number, NULL))
        return FALSE;
    *ret_online = sign[1] == '1';
    return TRUE;
}

static char *fail_errno(const char *what, const char *path, int error_number)
{
    return g_strdup_printf("%s(\"%s\"): %s", what, path, g_strerror(error_number));
}

/* NULL or why not. What is so already is not done again. */
static char *switch_processor(gint64 number, gboolean online)
{
    g_autofree char *directory = g_strdup_printf(CPU_DIR "/cpu%" G_GINT64_FORMAT "/", number);
    g_autofree char *path = g_strconcat(directory, "/online", NULL);
    char *why = NULL, state;

    if (access(directory, F_OK) < 0)
        return fail_errno("open", directory, errno);

    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0 && errno != ENOENT)
        return fail_errno("open", path, errno);
    if (fd < 0) /* it is always on */
        return online ? NULL
                      : g_strdup_printf("logical processor #%" G_GINT64_FORMAT " can't be offlined", number);
    if (pread(fd, &state, 1, 0) != 1)
        why = fail_errno("pread", path, errno);
    else if (online != (state != '0') && pwrite(fd, online ? "1" : "0", 1, 0) < 0)
        why = fail_errno("pwrite", path, errno);
    close(fd);
    return why;
}

char *hotplug_processors(const char *const *words, GPtrArray *reply)
{
    guint done = 0;
    gint64 number;
    gboolean online;

    for (; words[done]; done++) {
        char *why = parse(words[done], &number, &online) ? switch_processor(number, online)
                                                         : g_strdup("the helper does not know what is asked");

        if (why && done == 0)
            return why;
        g_free(why);
        if (why)
            break;
    }
    g_ptr_array_add(reply, g_strdup_printf("%u", done));
    return NULL;
}

/* Returns the word of QEMU's schema; `*ret_error` is 0 for success. */
static const char *switch_memory(gint64 number, gboolean online, int *ret_error)
{
    g_autofree char *directory = g_strdup_printf(MEMORY_DIR "/memory%" G_GINT64_FORMAT, number);
    g_autofree char *path = g_strconcat(directory, "/state", NULL);
    const char *wanted = online ? "online" : "offline";
    char state[16] = "";

    *ret_error = 0;
    if (access(directory, F_OK) < 0) {
        *ret_error = errno;
        if (access(MEMORY_DIR, F_OK) < 0)
            return "operation-not-supported";
        return *ret_error == ENOENT ? "not-found" : "operation-failed";
    }

    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT && online) /* it is always on */
        return "success";
    if (fd < 0) {
        *ret_error = errno;
        return errno == ENOENT ? "operation-not-supported" : "operation-failed";
    }
    /* The state may also be "going-offline". */
    if (pread(fd, state, sizeof(state) - 1, 0) < 0 ||
        (online != g_str_has_prefix(state, "online") && pwrite(fd, wanted, strlen(wanted), 0) < 0))
        *ret_error = errno;
    close(fd);
    return *ret_error == 0 ? "success" : "operation-failed";
}

char *hotplug_memory(const char *const *words, GPtrArray *reply)
{
    gint64 number;
    gboolean online;
    int error_number;

    for (; *words; words++) {
        if (!parse(*words, &number, &online))
            return g_strdup("the helper does not know what is asked");
        g_ptr_array_add(reply, g_strdup_printf("%" G_GINT64_FORMAT, number));
        g_ptr_array_add(reply, g_strdup(switch_memory(number, online, &error_number)));
        g_ptr_array_add(reply, g_strdup_printf("%d", error_number));
    }
    return NULL;
}
