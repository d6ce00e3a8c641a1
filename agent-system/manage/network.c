/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Network interfaces and routes. */
#include "commands.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <string.h>

/* ---- interfaces ---- */

/* By name, which may be any bytes, in the order in which they come. */
static json_t *interface_of(json_t *list, const char *bytes)
{
    g_autofree char *name = g_utf8_make_valid(bytes, -1);
    size_t i;
    json_t *interface;

    json_array_foreach(list, i, interface)
        if (g_str_equal(json_string_value(json_object_get(interface, "name")), name))
            return interface;
    interface = json_pack("{s:s}", "name", name);
    json_array_append_new(list, interface);
    return interface;
}

static guint bits(const guint8 *mask, gsize size)
{
    guint count = 0;

    for (gsize i = 0; i < size; i++)
        for (guint byte = mask[i]; byte != 0; byte &= byte - 1)
            count++;
    return count;
}

static void add_link(json_t *interface, const struct sockaddr_ll *link)
{
    const guint8 *a = link->sll_addr;
    g_autofree char *text = g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3], a[4], a[5]);

    json_object_set_new(interface, "hardware-address", json_string(text));
}

static void add_address(json_t *interface, const struct ifaddrs *entry)
{
    gboolean six = entry->ifa_addr->sa_family == AF_INET6;
    gsize size = six ? sizeof(struct in6_addr) : sizeof(struct in_addr);
    gsize offset = six ? offsetof(struct sockaddr_in6, sin6_addr) : offsetof(struct sockaddr_in, sin_addr);
    const guint8 *address = (const guint8 *)entry->ifa_addr + offset;
    const guint8 *mask = entry->ifa_netmask ? (const guint8 *)entry->ifa_netmask + offset : NULL;
    char text[INET6_ADDRSTRLEN];
    json_t *list = json_object_get(interface, "ip-addresses");

    if (!list) {
        list = json_array();
        json_object_set_new(interface, "ip-addresses", list);
    }
    inet_ntop(entry->ifa_addr->sa_family, address, text, sizeof(text));
    json_array_append_new(list, json_pack("{s:s,s:s,s:I}", "ip-address", text, "ip-address-type", six ? "ipv6" : "ipv4",
                                          "prefix", (json_int_t)(mask ? bits(mask, size) : 0)));
}

/* From the interface's line in /proc/net/dev, with what stands behind the colon. */
static void add_statistics(json_t *interface, const char *line)
{
    static const struct {
        const char *member;
        guint column;
    } members[] = {
        { "rx-bytes", 0 }, { "rx-packets", 1 }, { "rx-errs", 2 },  { "rx-dropped", 3 },
        { "tx-bytes", 8 }, { "tx-packets", 9 }, { "tx-errs", 10 }, { "tx-dropped", 11 },
    };
    guint64 columns[12];
    json_t *statistics;
    char *end = (char *)line;

    for (guint i = 0; i < G_N_ELEMENTS(columns); i++)
        columns[i] = g_ascii_strtoull(end, &end, 10);
    statistics = json_object();
    for (guint i = 0; i < G_N_ELEMENTS(members); i++)
        json_object_set_new(statistics, members[i].member, json_integer((json_int_t)columns[members[i].column]));
    json_object_set_new(interface, "statistics", statistics);
}

static void add_all_statistics(json_t *list)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents("/proc/net/dev", &text, NULL, NULL))
        return;

    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (guint i = 0; lines[i]; i++) {
        char *colon = strrchr(lines[i], ':'); /* the name of an alias has one, too */
        size_t j;
        json_t *interface;

        if (!colon)
            continue;
        *colon = '\0';

        g_autofree char *name = g_utf8_make_valid(g_strchug(lines[i]), -1);

        json_array_foreach(list, j, interface)
            if (g_str_equal(json_string_value(json_object_get(interface, "name")), name) &&
                json_object_get(interface, "ip-addresses"))
                add_statistics(interface, colon + 1);
    }
}

static void get_interfaces(Call *call, G_GNUC_UNUSED const json_t *args)
{
    struct ifaddrs *all;
    json_t *list;

    if (getifaddrs(&all) < 0) {
        call_fail_errno(call, errno, "getifaddrs failed");
        return;
    }
    list = json_array();
    for (const struct ifaddrs *entry = all; entry; entry = entry->ifa_next) {
        json_t *interface = interface_of(list, entry->ifa_name);

        if (!entry->ifa_addr)
            continue;
        if (entry->ifa_addr->sa_family == AF_PACKET)
            add_link(interface, (const struct sockaddr_ll *)entry->ifa_addr);
        else if (entry->ifa_addr->sa_family == AF_INET || entry->ifa_addr->sa_family == AF_INET6)
            add_address(interface, entry);
    }
    freeifaddrs(all);
    add_all_statistics(list);
    call_return(call, list);
}

/* ---- routes ---- */

/* As /proc has it: a number in the machine's own order, which is that of the network. */
static json_t *address4(guint32 number)
{
    char text[INET_ADDRSTRLEN];

    return json_string(inet_ntop(AF_INET, &number, text, sizeof(text)));
}

static json_t *address6(const char *digits)
{
    struct in6_addr address = { 0 };
    char text[INET6_ADDRSTRLEN];

    for (guint i = 0; i < 16 && digits[2 * i] != '\0' && digits[2 * i + 1] != '\0'; i++)
        address.s6_addr[i] =
            (guint8)(g_ascii_xdigit_value(digits[2 * i]) << 4 | g_ascii_xdigit_value(digits[2 * i + 1]));
    return json_string(inet_ntop(AF_INET6, &address, text, sizeof(text)));
}

static json_t *route4(const char *line)
{
    char name[IF_NAMESIZE];
    guint32 destination, gateway, flags, mask;
    gint references, use, metric, mtu, window, round_trip;

    if (sscanf(line, "%15s %x %x %x %d %d %d %x %d %d %d", name, &destination, &gateway, &flags, &references, &use,
               &metric, &mask, &mtu, &window, &round_trip) != 11)
        return NULL;

    g_autofree char *valid = g_utf8_make_valid(name, -1);

    return json_pack("{s:s,s:o,s:i,s:o,s:o,s:i,s:I,s:i,s:i,s:i,s:i,s:i}", "iface", valid, "destination",
                     address4(destination), "metric", metric, "gateway", address4(gateway), "mask", address4(mask),
                     "irtt", round_trip, "flags", (json_int_t)flags, "refcnt", references, "use", use, "window",
                     window, "mtu", mtu, "version", 4);
}

static json_t *route6(const char *line)
{
    char name[IF_NAMESIZE], destination[33], source[33], next[33];
    guint destination_size, source_size, metric, references, use, flags;

    if (sscanf(line, "%32s %x %32s %x %32s %x %x %x %x %15s", destination, &destination_size, source, &source_size,
               next, &metric, &references, &use, &flags, name) != 10)
        return NULL;

    g_autofree char *valid = g_utf8_make_valid(name, -1);
    g_autofree char *destination_text = g_strdup_printf("%u", destination_size);
    g_autofree char *source_text = g_strdup_printf("%u", source_size);

    return json_pack("{s:s,s:o,s:I,s:I,s:I,s:I,s:s,s:o,s:s,s:o,s:i}", "iface", valid, "destination",
                     address6(destination), "metric", (json_int_t)metric, "flags", (json_int_t)flags, "refcnt",
                     (json_int_t)references, "use", (json_int_t)use, "desprefixlen", destination_text, "source",
                     address6(source), "srcprefixlen", source_text, "nexthop", address6(next), "version", 6);
}

static gboolean add_routes(json_t *list, const char *path, json_t *(*parse)(const char *line))
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return FALSE;

    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (guint i = 0; lines[i]; i++) {
        json_t *route = parse(lines[i]); /* NULL for the line with the names of the columns */

        if (route)
            json_array_append_new(list, route);
    }
    return TRUE;
}

static void get_route(Call *call, G_GNUC_UNUSED const json_t *args)
{
    json_t *list = json_array();

    if (!add_routes(list, "/proc/net/route", route4)) {
        json_decref(list);
        call_fail_errno(call, errno, "open(\"/proc/net/route\")");
        return;
    }
    add_routes(list, "/proc/net/ipv6_route", route6); /* not without IPv6 */
    call_return(call, list);
}

const Command network_commands[] = {
    { "guest-network-get-interfaces", COMMAND_INFORMATION, 0, NULL, get_interfaces },
    { "guest-network-get-route", COMMAND_INFORMATION, 0, NULL, get_route },
    { .name = NULL },
};
