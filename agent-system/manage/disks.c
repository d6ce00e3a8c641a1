/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disks and file systems, by sysfs, udev's database and procfs. */
#include "commands.h"
#include "diskaddress.h"
#include "mounts.h"

#include <errno.h>
#include <libudev.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define BLOCK_DIR "/sys/block"

/* Device mapper, RAID and encryption may lie on each other; more than these are taken for a circle. */
#define DEPTH_MAX 16

typedef struct udev_device UdevDevice;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(UdevDevice, udev_device_unref)

/* Bytes of the guest's as JSON. */
static json_t *text(const char *bytes)
{
    g_autofree char *valid = g_utf8_make_valid(bytes, -1);

    return json_string(valid);
}

/* The device of a path in sysfs, NULL if there is none. */
static UdevDevice *device_of(const char *syspath)
{
    struct udev *udev = udev_new();
    UdevDevice *device = udev_device_new_from_syspath(udev, syspath);

    udev_unref(udev);
    return device;
}

static void set_property(json_t *object, const char *member, UdevDevice *device, const char *property)
{
    const char *value = udev_device_get_property_value(device, property);

    if (value && value[0] != '\0')
        json_object_set_new(object, member, text(value));
}

static gboolean is_virtual(const char *syspath)
{
    return strstr(syspath, "/devices/virtual/block/") != NULL;
}

/* Of a device that is not virtual; NULL if nothing is known of it. */
static json_t *address_of(const char *syspath)
{
    gboolean known;
    json_t *address = diskaddress_new(syspath, &known);
    g_autoptr(UdevDevice) device = device_of(syspath);
    const char *node = device ? udev_device_get_devnode(device) : NULL;

    if (node)
        json_object_set_new(address, "dev", text(node));
    if (device)
        set_property(address, "serial", device, "ID_SERIAL");
    if (known || node || json_object_get(address, "serial"))
        return address;
    json_decref(address);
    return NULL;
}

/* The devices that a virtual one lies on, and those below them. */
static void add_addresses(json_t *list, const char *syspath, guint depth)
{
    g_autofree char *slaves = g_strconcat(syspath, "/slaves", NULL);
    g_autoptr(GDir) dir = NULL;
    const char *name;

    if (!is_virtual(syspath)) {
        json_t *address = address_of(syspath);

        if (address)
            json_array_append_new(list, address);
        return;
    }
    dir = depth < DEPTH_MAX ? g_dir_open(slaves, 0, NULL) : NULL;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *link = g_build_filename(slaves, name, NULL);
        char *below = realpath(link, NULL);

        if (below)
            add_addresses(list, below, depth + 1);
        free(below);
    }
}

/* ---- file systems ---- */

static json_t *filesystem(const Mount *mount)
{
    g_autofree char *link = g_strdup_printf("/sys/dev/block/%u:%u", mount->major, mount->minor);
    char *syspath = realpath(link, NULL);
    g_autofree char *name = g_path_get_basename(syspath ? syspath : link);
    json_t *disks = json_array();
    json_t *result;
    struct statvfs status;

    if (syspath)
        add_addresses(disks, syspath, 0);
    free(syspath);
    result = json_pack("{s:o,s:o,s:o,s:o}", "name", text(name), "mountpoint", text(mount->directory), "type",
                       text(mount->type), "disk", disks);
    if (statvfs(mount->directory, &status) == 0) {
        guint64 used = status.f_blocks - status.f_bfree, size = status.f_frsize;

        json_object_set_new(result, "used-bytes", json_integer((json_int_t)(used * size)));
        json_object_set_new(result, "total-bytes", json_integer((json_int_t)((used + status.f_bavail) * size)));
        json_object_set_new(result, "total-bytes-privileged", json_integer((json_int_t)(status.f_blocks * size)));
    }
    return result;
}

static void get_fsinfo(Call *call, G_GNUC_UNUSED const json_t *args)
{
    g_autoptr(GArray) mounts = mounts_read(MOUNTS_OWN);
    json_t *list;

    if (!mounts) {
        call_fail_errno(call, errno, "open(\"" MOUNTS_OWN "\")");
        return;
    }
    mounts_unique(mounts); /* bind mounts are no other file system */
    list = json_array();
    for (guint i = 0; i < mounts->len; i++)
        json_array_insert_new(list, 0, filesystem(&g_array_index(mounts, Mount, i)));
    call_return(call, list);
}

/* ---- disks ---- */

static json_t *dependencies_of(const char *syspath)
{
    g_autofree char *slaves = g_strconcat(syspath, "/slaves", NULL);
    g_autoptr(GDir) dir = g_dir_open(slaves, 0, NULL);
    json_t *list = dir ? json_array() : NULL;
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *link = g_build_filename(slaves, name, NULL);
        g_autoptr(UdevDevice) device = device_of(link);
        const char *node = device ? udev_device_get_devnode(device) : NULL;

        if (node)
            json_array_append_new(list, text(node));
    }
    return list;
}

/* "sda1" of "sda", "nvme0n1p1" of "nvme0n1". */
static gboolean is_partition(const char *name, const char *disk)
{
    gsize size = strlen(disk);

    return g_str_has_prefix(name, disk) &&
           (g_ascii_isdigit(name[size]) || (name[size] == 'p' && g_ascii_isdigit(name[size + 1])));
}

static void add_partitions(json_t *list, const char *directory, const char *disk, const char *node)
{
    g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        g_autoptr(UdevDevice) device = is_partition(name, disk) ? device_of(path) : NULL;
        const char *own = device ? udev_device_get_devnode(device) : NULL;

        if (own)
            json_array_append_new(list, json_pack("{s:o,s:b,s:[o]}", "name", text(own), "partition", 1, "dependencies",
                                                  text(node)));
    }
}

static gboolean has_medium(const char *directory)
{
    g_autofree char *path = g_strconcat(directory, "/size", NULL);
    g_autofree char *size = NULL;

    return g_file_get_contents(path, &size, NULL, NULL) && !g_str_equal(size, "0\n");
}

static void add_disk(json_t *list, const char *name)
{
    g_autofree char *directory = g_build_filename(BLOCK_DIR, name, NULL);
    g_autoptr(UdevDevice) device = has_medium(directory) ? device_of(directory) : NULL;
    const char *node = device ? udev_device_get_devnode(device) : NULL;
    char *syspath = realpath(directory, NULL);

    if (node && syspath) {
        json_t *disk = json_pack("{s:o,s:b}", "name", text(node), "partition", 0);
        json_t *dependencies = dependencies_of(directory);
        json_t *address = is_virtual(syspath) ? NULL : address_of(syspath);

        set_property(disk, "alias", device, "DM_NAME");
        if (dependencies)
            json_object_set_new(disk, "dependencies", dependencies);
        if (address)
            json_object_set_new(disk, "address", address);
        json_array_append_new(list, disk);
        add_partitions(list, directory, name, node);
    }
    free(syspath);
}

static void get_disks(Call *call, G_GNUC_UNUSED const json_t *args)
{
    g_autoptr(GDir) dir = g_dir_open(BLOCK_DIR, 0, NULL);
    const char *name;
    json_t *list;

    if (!dir) {
        call_fail_errno(call, errno, "Can't open directory \"" BLOCK_DIR "\"");
        return;
    }
    list = json_array();
    while ((name = g_dir_read_name(dir)))
        add_disk(list, name);
    call_return(call, list);
}

/* ---- statistics ---- */

/* By the columns of /proc/diskstats; older kernels have fewer. */
static json_t *parse_statistics(const char *line)
{
    static const char *const members[] = {
        "read-ios",    "read-merges",   "read-sectors",   "read-ticks",      "write-ios",       "write-merges",
        "write-sectors", "write-ticks", "ios-pgr",        "total-ticks",     "weight-ticks",    "discard-ios",
        "discard-merges", "discard-sectors", "discard-ticks", "flush-ios",   "flush-ticks",
    };
    g_auto(GStrv) words = g_strsplit_set(line, " ", -1);
    g_autoptr(GPtrArray) fields = g_ptr_array_new();
    json_t *statistics;

    for (guint i = 0; words[i]; i++)
        if (words[i][0] != '\0')
            g_ptr_array_add(fields, words[i]);
    if (fields->len < 14)
        return NULL;
    statistics = json_object();
    for (guint i = 0; i < G_N_ELEMENTS(members) && i + 3 < fields->len; i++)
        json_object_set_new(statistics, members[i],
                            json_integer((json_int_t)g_ascii_strtoull(fields->pdata[i + 3], NULL, 10)));
    return json_pack("{s:o,s:I,s:I,s:o}", "name", text(fields->pdata[2]), "major",
                     (json_int_t)g_ascii_strtoull(fields->pdata[0], NULL, 10), "minor",
                     (json_int_t)g_ascii_strtoull(fields->pdata[1], NULL, 10), "stats", statistics);
}

static void get_diskstats(Call *call, G_GNUC_UNUSED const json_t *args)
{
    g_autofree char *content = NULL;
    json_t *list;

    if (!g_file_get_contents("/proc/diskstats", &content, NULL, NULL)) {
        call_fail_errno(call, errno, "open(\"/proc/diskstats\")");
        return;
    }

    g_auto(GStrv) lines = g_strsplit(content, "\n", -1);

    list = json_array();
    for (guint i = 0; lines[i]; i++) {
        json_t *disk = parse_statistics(lines[i]);

        if (disk)
            json_array_append_new(list, disk);
    }
    call_return(call, list);
}

const Command disks_commands[] = {
    { "guest-get-fsinfo", COMMAND_INFORMATION, 0, NULL, get_fsinfo },
    { "guest-get-disks", COMMAND_INFORMATION, 0, NULL, get_disks },
    { "guest-get-diskstats", COMMAND_INFORMATION, 0, NULL, get_diskstats },
    { .name = NULL },
};
