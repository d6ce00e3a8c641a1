/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Processors and memory, by sysfs and procfs. */
#include "commands.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CPU_DIR "/sys/devices/system/cpu"
#define MEMORY_DIR "/sys/devices/system/memory"

static gint compare(gconstpointer a, gconstpointer b)
{
    guint64 left = *(const guint64 *)a, right = *(const guint64 *)b;

    return left < right ? -1 : left > right;
}

/* The numbers behind `prefix` in a directory's names, sorted; NULL if it cannot be read. */
static GArray *numbered(const char *directory, const char *prefix)
{
    g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
    GArray *numbers = dir ? g_array_new(FALSE, FALSE, sizeof(guint64)) : NULL;
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        guint64 number;

        if (g_str_has_prefix(name, prefix) &&
            g_ascii_string_to_unsigned(name + strlen(prefix), 10, 0, G_MAXINT64, &number, NULL))
            g_array_append_val(numbers, number);
    }
    if (numbers)
        g_array_sort(numbers, compare);
    return numbers;
}

/* A file of sysfs; NULL if there is none. */
static char *read_file(const char *directory, const char *prefix, guint64 number, const char *name)
{
    g_autofree char *path = g_strdup_printf("%s/%s%" G_GUINT64_FORMAT "/%s", directory, prefix, number, name);
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, NULL);
    return text;
}

static void get_vcpus(Call *call, G_GNUC_UNUSED const json_t *args)
{
    g_autoptr(GArray) numbers = numbered(CPU_DIR, "cpu");
    json_t *list;

    if (!numbers) {
        call_fail_errno(call, errno, "failed to list entries: " CPU_DIR);
        return;
    }
    list = json_array();
    for (guint i = 0; i < numbers->len; i++) {
        guint64 number = g_array_index(numbers, guint64, i);
        g_autofree char *online = read_file(CPU_DIR, "cpu", number, "online"); /* not where it cannot be turned off */

        json_array_append_new(list, json_pack("{s:I,s:b,s:b}", "logical-id", (json_int_t)number, "online",
                                              !online || online[0] != '0', "can-offline", online != NULL));
    }
    call_return(call, list);
}

/* Of one processor, from its line in /proc/stat; NULL if it is none. What older kernels do not have is left out. */
static json_t *parse_stat(const char *line)
{
    static const char *const members[] = { "user", "nice",    "system", "idle",  "iowait",
                                           "irq",  "softirq", "steal",  "guest", "guestnice" };
    const guint64 ticks = (guint64)sysconf(_SC_CLK_TCK);
    char *end;
    json_t *cpu;

    if (!g_str_has_prefix(line, "cpu") || !g_ascii_isdigit(line[3]))
        return NULL;
    cpu = json_pack("{s:s,s:I}", "type", "linux", "cpu", (json_int_t)g_ascii_strtoull(line + 3, &end, 10));
    for (guint i = 0; i < G_N_ELEMENTS(members); i++) {
        const char *at = end;
        guint64 value = g_ascii_strtoull(at, &end, 10);

        if (end == at)
            break;
        json_object_set_new(cpu, members[i], json_integer((json_int_t)(value * 1000 / ticks)));
    }
    return cpu;
}

static void get_cpustats(Call *call, G_GNUC_UNUSED const json_t *args)
{
    g_autofree char *text = NULL;
    json_t *list;

    if (!g_file_get_contents("/proc/stat", &text, NULL, NULL)) {
        call_fail_errno(call, errno, "open(\"/proc/stat\")");
        return;
    }

    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    list = json_array();
    for (guint i = 0; lines[i]; i++) {
        json_t *cpu = parse_stat(lines[i]);

        if (cpu)
            json_array_append_new(list, cpu);
    }
    call_return(call, list);
}

static void get_memory_blocks(Call *call, G_GNUC_UNUSED const json_t *args)
{
    g_autoptr(GArray) numbers = numbered(MEMORY_DIR, "memory");
    json_t *list = json_array();

    /* None where the kernel cannot do it. */
    for (guint i = 0; numbers && i < numbers->len; i++) {
        guint64 number = g_array_index(numbers, guint64, i);
        g_autofree char *state = read_file(MEMORY_DIR, "memory", number, "state");
        g_autofree char *removable = read_file(MEMORY_DIR, "memory", number, "removable");

        json_array_append_new(list, json_pack("{s:I,s:b,s:b}", "phys-index", (json_int_t)number, "online",
                                              !state || g_str_has_prefix(state, "online"), "can-offline",
                                              removable && removable[0] != '0'));
    }
    call_return(call, list);
}

static void get_memory_block_info(Call *call, G_GNUC_UNUSED const json_t *args)
{
    g_autofree char *text = NULL;

    if (g_file_get_contents(MEMORY_DIR "/block_size_bytes", &text, NULL, NULL))
        call_return(call, json_pack("{s:I}", "size", (json_int_t)g_ascii_strtoull(text, NULL, 16)));
    else
        call_fail_errno(call, errno, "open(\"" MEMORY_DIR "/\")");
}

const Command processors_commands[] = {
    { "guest-get-vcpus", COMMAND_INFORMATION, 0, NULL, get_vcpus },
    { "guest-get-cpustats", COMMAND_INFORMATION, 0, NULL, get_cpustats },
    { "guest-get-memory-blocks", COMMAND_INFORMATION, 0, NULL, get_memory_blocks },
    { "guest-get-memory-block-info", COMMAND_INFORMATION, 0, NULL, get_memory_block_info },
    { .name = NULL },
};
