/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "diskaddress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How a controller's driver numbers its disks. */
typedef enum Numbering {
    BY_NOTHING,
    BY_HOST,            /* unit: the how-manieth host of the controller */
    BY_HOST_AND_TARGET, /* bus: the host, unit: the target */
    BY_TARGET,          /* unit: the target */
    BY_LUN              /* unit: the logical unit, for a disk that is one; else it is a virtio block device */
} Numbering;

static const struct {
    const char *driver, *bus_type;
    Numbering numbering;
} drivers[] = {
    { "ata_piix", "ide", BY_HOST_AND_TARGET }, { "ahci", "sata", BY_HOST },
    { "sym53c8xx", "scsi", BY_TARGET },        { "virtio-pci", "scsi", BY_LUN },
    { "nvme", "nvme", BY_NOTHING },            { "xhci_hcd", "usb", BY_NOTHING },
    { "ehci-pci", "usb", BY_NOTHING },
};

typedef struct Place {
    gint64 domain, bus, slot, function; /* of the PCI controller */
    const char *bus_type;
    guint disk_bus, target, unit;
    gboolean has_ccw;
    guint cssid, ssid, subchno, devno;
} Place;

/* The directory of a path's first `count` parts. */
static char *directory(char **parts, guint count)
{
    GString *path = g_string_new(NULL);

    for (guint i = 0; i < count; i++)
        g_string_append_printf(path, "%s%s", i > 0 ? "/" : "", parts[i]);
    return g_string_free(path, FALSE);
}

static int driver_of(char **parts, guint count)
{
    g_autofree char *path = directory(parts, count);
    g_autofree char *link = g_strconcat(path, "/driver", NULL);
    g_autofree char *target = g_file_read_link(link, NULL);
    g_autofree char *name = target ? g_path_get_basename(target) : NULL;

    for (guint i = 0; name && i < G_N_ELEMENTS(drivers); i++)
        if (g_str_equal(drivers[i].driver, name))
            return (int)i;
    return -1;
}

/* "target2:0:1/2:0:1:5": channel 0, target 1, logical unit 5. */
static gboolean find_target(char **parts, guint ret_numbers[3])
{
    for (guint i = 0; parts[i] && parts[i + 1]; i++)
        if (g_str_has_prefix(parts[i], "target"))
            return sscanf(parts[i + 1], "%*u:%u:%u:%u", &ret_numbers[0], &ret_numbers[1], &ret_numbers[2]) == 3;
    return FALSE;
}

/* The how-manieth of its controller's hosts (ATA ports, if there are such) this one is; -1: there is none. */
static int find_host(char **parts)
{
    const char *prefix = NULL;
    guint at = 0, number, other;
    int before = 0;

    for (guint i = 0; parts[i] && !prefix; i++)
        if (sscanf(parts[i], "ata%u", &number) == 1 || sscanf(parts[i], "host%u", &number) == 1) {
            prefix = parts[i][0] == 'a' ? "ata" : "host";
            at = i;
        }
    if (!prefix)
        return -1;

    g_autofree char *path = directory(parts, at);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir)))
        before += g_str_has_prefix(name, prefix) && sscanf(name + strlen(prefix), "%u", &other) == 1 && other < number;
    return before;
}

/* The numbers by which the driver knows the disk; false if the path does not say. */
static gboolean place_on_pci(Place *place, char **parts, guint driver)
{
    guint target[3] = { 0 };
    gboolean has_target = find_target(parts, target);
    int host = find_host(parts);

    place->bus_type = drivers[driver].bus_type;
    switch (drivers[driver].numbering) {
    case BY_NOTHING:
        return TRUE;
    case BY_HOST:
        place->unit = (guint)MAX(host, 0);
        return host >= 0 && has_target;
    case BY_HOST_AND_TARGET:
        place->disk_bus = (guint)MAX(host, 0);
        place->unit = target[1];
        return host >= 0 && has_target;
    case BY_TARGET:
        place->unit = target[1];
        return has_target;
    case BY_LUN:
        if (!has_target)
            place->bus_type = "virtio";
        place->unit = target[2];
        return TRUE;
    }
    return FALSE;
}

/* Behind a PCI root: the first function whose driver is a known one is the controller. */
static gboolean find_on_pci(Place *place, char **parts, guint root)
{
    for (guint i = root + 1; parts[i]; i++) {
        guint domain, bus, slot, function;
        int driver;

        if (sscanf(parts[i], "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4)
            return FALSE;
        driver = driver_of(parts, i + 1);
        if (driver < 0)
            continue;
        place->domain = domain;
        place->bus = bus;
        place->slot = slot;
        place->function = function;
        return place_on_pci(place, parts, (guint)driver);
    }
    return FALSE;
}

/* A virtio device that is on no PCI bus. */
static gboolean find_on_virtio(Place *place, char **parts)
{
    guint target[3] = { 0 };
    gboolean virtio = FALSE;

    for (guint i = 0; parts[i]; i++)
        virtio = virtio || g_str_has_prefix(parts[i], "virtio");
    if (!virtio)
        return FALSE;
    if (find_target(parts, target)) {
        place->bus_type = "scsi";
        place->disk_bus = target[0];
        place->target = target[1];
        place->unit = target[2];
    } else {
        place->bus_type = "virtio";
    }
    return TRUE;
}

/* On a mainframe's channel: "css0/0.0.0004/0.0.0001". */
static gboolean find_on_channel(Place *place, char **parts, guint css)
{
    place->has_ccw = parts[css + 1] && parts[css + 2] &&
                     sscanf(parts[css + 1], "%x.%x.%x", &place->cssid, &place->ssid, &place->subchno) == 3 &&
                     sscanf(parts[css + 2], "%*x.%*x.%x", &place->devno) == 1;
    if (place->has_ccw)
        find_on_virtio(place, parts);
    return place->has_ccw;
}

static gboolean find(Place *place, const char *syspath)
{
    g_auto(GStrv) parts = g_strsplit(syspath, "/", -1);

    for (guint i = 0; parts[i]; i++) {
        if (g_str_has_prefix(parts[i], "pci") && g_ascii_isxdigit(parts[i][3]))
            return find_on_pci(place, parts, i);
        if (g_str_has_prefix(parts[i], "css") && g_ascii_isxdigit(parts[i][3]))
            return find_on_channel(place, parts, i);
    }
    return find_on_virtio(place, parts);
}

json_t *diskaddress_new(const char *syspath, gboolean *ret_known)
{
    const Place nowhere = { .domain = -1, .bus = -1, .slot = -1, .function = -1, .bus_type = "unknown" };
    Place place = nowhere;
    json_t *address;

    *ret_known = find(&place, syspath);
    if (!*ret_known)
        place = nowhere;
    address = json_pack("{s:{s:I,s:I,s:I,s:I},s:s,s:i,s:i,s:i}", "pci-controller", "domain", (json_int_t)place.domain,
                        "bus", (json_int_t)place.bus, "slot", (json_int_t)place.slot, "function",
                        (json_int_t)place.function, "bus-type", place.bus_type, "bus", place.disk_bus, "target",
                        place.target, "unit", place.unit);
    if (place.has_ccw)
        json_object_set_new(address, "ccw-address",
                            json_pack("{s:i,s:i,s:i,s:i}", "cssid", place.cssid, "ssid", place.ssid, "subchno",
                                      place.subchno, "devno", place.devno));
    return address;
}
