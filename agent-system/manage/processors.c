/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Processors and memory, by sysfs and procfs. */
#include "commands.h"
#include "helper.h"
#include "services.h"

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

/* Ask the helper for what a list of processors or blocks is to be, each told by its member `number`. */
static void ask_for(Call *call, const json_t *args, const char *command, const char *list, const char *number,
                    HelperAnswer answer)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
    size_t i;
    json_t *element;

    g_ptr_array_add(words, g_strdup(command));
    json_array_foreach(json_object_get(args, list), i, element)
        g_ptr_array_add(words, g_strdup_printf("%" G_GINT64_FORMAT "=%d", args_int(element, number, 0),
                                               json_is_true(json_object_get(element, "online"))));
    g_ptr_array_add(words, NULL);
    helper_ask(call_services(call)->helper, HELPER_MACHINE, (const char *const *)words->pdata, answer, call);
}

static void on_vcpus_set(const char *const *words, const GError *error, gpointer user)
{
    if (error)
        call_fail(user, "%s", error->message);
    else
        call_return(user, json_integer(words[0] ? g_ascii_strtoll(words[0], NULL, 10) : 0));
}

static void set_vcpus(Call *call, const json_t *args)
{
    ask_for(call, args, "guest-set-vcpus", "vcpus", "logical-id", on_vcpus_set);
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
                                              state && removable && removable[0] != '0'));
    }
    call_return(call, list);
}

/* What is answered to a GuestMemoryBlock: its number, a word and a number of errno. */
static void on_memory_blocks_set(const char *const *words, const GError *error, gpointer user)
{
    json_t *list;

    if (error) {
        call_fail(user, "%s", error->message);
        return;
    }
    list = json_array();
    for (; words[0] && words[1] && words[2]; words += 3) {
        json_t *response = json_pack("{s:I,s:s}", "phys-index", (json_int_t)g_ascii_strtoll(words[0], NULL, 10),
                                     "response", words[1]);

        if (!g_str_equal(words[2], "0"))
            json_object_set_new(response, "error-code", json_integer(g_ascii_strtoll(words[2], NULL, 10)));
        json_array_append_new(list, response);
    }
    call_return(user, list);
}

static void set_memory_blocks(Call *call, const json_t *args)
{
    ask_for(call, args, "guest-set-memory-blocks", "mem-blks", "phys-index", on_memory_blocks_set);
}

static void get_memory_block_info(Call *call, G_GNUC_UNUSED const json_t *args)
{
    g_autofree char *text = NULL;

    if (g_file_get_contents(MEMORY_DIR "/block_size_bytes", &text, NULL, NULL))
        call_return(call, json_pack("{s:I}", "size", (json_int_t)g_ascii_strtoull(text, NULL, 16)));
    else
        call_fail_errno(call, errno, "open(\"" MEMORY_DIR "/\")");
}

static const Arg vcpu_members[] = {
    { .name = "logical-id", .type = ARG_INT },
    { .name = "online", .type = ARG_BOOL },
    { .name = "can-offline", .type = ARG_BOOL, .optional = TRUE },
    { .name = NULL },
};
static const Arg vcpus_args[] = { { .name = "vcpus", .type = ARG_STRUCTS, .members = vcpu_members }, { .name = NULL } };
static const Arg block_members[] = {
    { .name = "phys-index", .type = ARG_INT },
    { .name = "online", .type = ARG_BOOL },
    { .name = "can-offline", .type = ARG_BOOL, .optional = TRUE },
    { .name = NULL },
};
static const Arg blocks_args[] = { { .name = "mem-blks", .type = ARG_STRUCTS, .members = block_members },
                                   { .name = NULL } };

const Command processors_commands[] = {
    { "guest-get-vcpus", COMMAND_INFORMATION, 0, NULL, get_vcpus },
    { "guest-set-vcpus", COMMAND_HARDWARE, 0, vcpus_args, set_vcpus },
    { "guest-get-cpustats", COMMAND_INFORMATION, 0, NULL, get_cpustats },
    { "guest-get-memory-blocks", COMMAND_INFORMATION, 0, NULL, get_memory_blocks },
    { "guest-set-memory-blocks", COMMAND_HARDWARE, 0, blocks_args, set_memory_blocks },
    { "guest-get-memory-block-info", COMMAND_INFORMATION, 0, NULL, get_memory_block_info },
    { .name = NULL },
};
