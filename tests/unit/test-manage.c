/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Arguments, policy and what the kernel says of disks, for spice-agent-manage. */
#include "args.h"
#include "check.h"
#include "diskaddress.h"
#include "jsontext.h"
#include "mounts.h"
#include "policy.h"

#include <glib/gstdio.h>
#include <unistd.h>

/* ---- arguments ---- */

static const char *const words[] = { "set", "cur", NULL };
static const Arg members[] = { { .name = "id", .type = ARG_INT },
                               { .name = "on", .type = ARG_BOOL, .optional = TRUE },
                               { .name = NULL } };
static const Arg args[] = {
    { .name = "number", .type = ARG_INT },
    { .name = "flag", .type = ARG_BOOL, .optional = TRUE },
    { .name = "text", .type = ARG_STRING, .optional = TRUE },
    { .name = "list", .type = ARG_STRINGS, .optional = TRUE },
    { .name = "structs", .type = ARG_STRUCTS, .optional = TRUE, .members = members },
    { .name = "whence", .type = ARG_INT_OR_WORD, .optional = TRUE, .words = words, .schema = "Whence" },
    { .name = "word", .type = ARG_WORD, .optional = TRUE, .words = words },
    { .name = "mode", .type = ARG_BOOL_OR_WORD, .optional = TRUE, .words = words, .schema = "Mode" },
    { .name = NULL },
};

static const struct {
    const char *input, *error;
} arg_cases[] = {
    { "{'number':1}", NULL },
    { "{'number':-1,'flag':true,'text':'','list':[],'structs':[],'whence':7,'mode':false}", NULL },
    { "{'number':0,'list':['a','b'],'structs':[{'id':1},{'id':2,'on':false}],'whence':'cur','mode':'set'}", NULL },
    { "{}", "Parameter 'number' is missing" },
    { "{'x':1}", "Parameter 'number' is missing" },
    { "{'number':1,'x':1}", "Parameter 'x' is unexpected" },
    { "{'number':1.0}", "Invalid parameter type for 'number', expected: integer" },
    { "{'number':true}", "Invalid parameter type for 'number', expected: integer" },
    { "{'number':null}", "Invalid parameter type for 'number', expected: integer" },
    { "{'number':1,'flag':0}", "Invalid parameter type for 'flag', expected: boolean" },
    { "{'number':1,'text':[]}", "Invalid parameter type for 'text', expected: string" },
    { "{'number':1,'list':'a'}", "Invalid parameter type for 'list', expected: array" },
    { "{'number':1,'list':['a',2]}", "Invalid parameter type for 'list[1]', expected: string" },
    { "{'number':1,'structs':{}}", "Invalid parameter type for 'structs', expected: array" },
    { "{'number':1,'structs':[[]]}", "Invalid parameter type for 'structs[0]', expected: object" },
    { "{'number':1,'structs':[{'id':1},{}]}", "Parameter 'structs[1].id' is missing" },
    { "{'number':1,'structs':[{'id':1,'on':1}]}", "Invalid parameter type for 'structs[0].on', expected: boolean" },
    { "{'number':1,'structs':[{'id':1,'x':1}]}", "Parameter 'structs[0].x' is unexpected" },
    { "{'number':1,'whence':'end'}", "Parameter 'whence' does not accept value 'end'" },
    { "{'number':1,'whence':true}", "Invalid parameter type for 'whence', expected: Whence" },
    { "{'number':1,'word':'cur'}", NULL },
    { "{'number':1,'word':'end'}", "Parameter 'word' does not accept value 'end'" },
    { "{'number':1,'word':1}", "Invalid parameter type for 'word', expected: string" },
    { "{'number':1,'mode':1}", "Invalid parameter type for 'mode', expected: Mode" },
};

static json_t *parse(const char *text)
{
    g_autofree char *strict = g_strdelimit(g_strdup(text), "'", '"');
    json_t *value = json_loads(strict, 0, NULL);

    g_assert_nonnull(value);
    return value;
}

static void test_args(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(arg_cases); i++) {
        json_t *object = parse(arg_cases[i].input);
        g_autofree char *error = args_check(args, object);

        check_case("%s", arg_cases[i].input);
        CHECK_STR(error, arg_cases[i].error);
        json_decref(object);
    }
    check_case("%s", "");

    json_t *object = parse("{'a':5,'b':'x','c':'aGk=','d':'a-b'}");
    gsize size;
    g_autofree char *error = args_check(NULL, object);
    g_autofree guint8 *data = args_base64(object, "c", &size);

    CHECK(error && g_str_has_suffix(error, "is unexpected"));
    CHECK_EQ(args_int(object, "a", 1), 5);
    CHECK_EQ(args_int(object, "z", 1), 1);
    CHECK_STR(args_string(object, "b", "y"), "x");
    CHECK_STR(args_string(object, "z", "y"), "y");
    CHECK(args_has(object, "a") && !args_has(object, "z"));
    CHECK(size == 2 && memcmp(data, "hi", 2) == 0);
    CHECK(args_base64(object, "d", &size) == NULL);
    json_decref(object);
}

/* ---- policy ---- */

static const Command commands[] = {
    { .name = "ping", .group = COMMAND_BASIC },   { .name = "time", .group = COMMAND_TIME },
    { .name = "run", .group = COMMAND_EXEC },     { .name = "ask", .group = COMMAND_EXEC },
    { .name = "read", .group = COMMAND_FILES },   { .name = NULL },
};
static const Command *const tables[] = { commands, NULL };

static const struct {
    const char *allow, *block, *on;
} policy_cases[] = {
    { NULL, NULL, "ping time" },
    { "", " ,, ", "ping time" },
    { "exec", NULL, "ping time run ask" },
    { "run,read", NULL, "ping time run read" },
    { "run read", "", "ping time run read" },
    { "all", NULL, "ping time run ask read" },
    { "all", "exec", "ping time read" },
    { "all", "all", "" },
    { "run", "exec", "ping time" },
    { NULL, "basic", "time" },
    { "exec", "run", "ping time ask" },
    { "Exec", NULL, "ping time" },
};

static void test_policy(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(policy_cases); i++) {
        g_autoptr(Policy) policy = policy_new();
        g_autoptr(GString) on = g_string_new(NULL);

        check_case("case %zu", i);
        policy_allow(policy, policy_cases[i].allow);
        policy_block(policy, policy_cases[i].block);
        for (const Command *command = commands; command->name; command++)
            if (!policy_refusal(policy, command))
                g_string_append_printf(on, "%s%s", on->len > 0 ? " " : "", command->name);
        CHECK_STR(on->str, policy_cases[i].on);
    }
    check_case("%s", "");

    g_autoptr(Policy) policy = policy_new();
    guint position = 0;

    policy_allow(policy, "exec,nonsense");
    policy_allow(policy, "run");
    policy_block(policy, "files more");
    CHECK_STR(policy_unknown(policy, tables, &position), "nonsense");
    CHECK_STR(policy_unknown(policy, tables, &position), "more");
    CHECK_STR(policy_unknown(policy, tables, &position), NULL);

    g_autofree char *allowed = policy_allowed(policy);
    g_autofree char *blocked = policy_blocked(policy);

    CHECK_STR(allowed, "exec,nonsense,run");
    CHECK_STR(blocked, "files,more");
    for (guint i = 0; i < COMMAND_GROUPS; i++)
        CHECK(policy_group_name(i) != NULL);
}

/* ---- text ---- */

static void test_text(void)
{
    static const struct {
        const char *input, *output;
    } cases[] = {
        { "{}", "{}" },
        { "[]", "[]" },
        { "{\"a\":[1,-2,true,false,null,0.5],\"b\":{\"c\":\"d\"}}",
          "{\"a\": [1, -2, true, false, null, 0.5], \"b\": {\"c\": \"d\"}}" },
        { "[-9223372036854775808,9223372036854775807]", "[-9223372036854775808, 9223372036854775807]" },
        { "[\"\",\" ~\"]", "[\"\", \" ~\"]" },
        { "[\"\\\"\\\\\\b\\f\\n\\r\\t/\"]", "[\"\\\"\\\\\\b\\f\\n\\r\\t/\"]" },
        { "[\"\\u0001\x7f\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"]",
          "[\"\\u0001\\u007F\\u00E4\\u20AC\\uD83D\\uDE00\"]" },
        { "{\"\xc3\xa4\":1}", "{\"\\u00E4\": 1}" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        json_t *value = json_loads(cases[i].input, 0, NULL);
        g_autoptr(GByteArray) text = g_byte_array_new();

        check_case("%s", cases[i].input);
        jsontext_append(text, value);
        g_byte_array_append(text, (const guint8 *)"", 1);
        CHECK_STR((const char *)text->data, cases[i].output);
        json_decref(value);
    }
    check_case("%s", "");
}

/* ---- mounts ---- */

static void test_mounts(void)
{
    g_autoptr(GArray) mounts = mounts_parse("22 27 0:21 / /proc rw,relatime - proc proc rw\n"
                                            "27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard\n"
                                            "28 27 8:1 / /mnt/a\\040b\\134c rw - xfs /dev/sda1 rw\n"
                                            "29 27 254:0 /home /srv rw - ext4 /dev/vda rw\n"
                                            "30 27 0:50 / /nowhere rw - btrfs /nonexistent/device rw\n"
                                            "31 27 8:2 / /short rw -\n"
                                            "32 27 8:3 / /no/dash rw ext4 /dev/sda3 rw\n"
                                            "33 27 x:y / / rw - ext4 /dev/sda4 rw\n"
                                            "garbage\n\n");

    CHECK_EQ(mounts->len, 3);
    CHECK_STR(g_array_index(mounts, Mount, 2).directory, "/srv");
    mounts_unique(mounts);
    CHECK_EQ(mounts->len, 2);
    CHECK_STR(g_array_index(mounts, Mount, 0).directory, "/");
    CHECK_STR(g_array_index(mounts, Mount, 0).type, "ext4");
    CHECK_EQ(g_array_index(mounts, Mount, 0).major, 254);
    CHECK_STR(g_array_index(mounts, Mount, 1).directory, "/mnt/a b\\c");
    CHECK_EQ(g_array_index(mounts, Mount, 1).minor, 1);
}

/* ---- disk addresses ---- */

#define PCI "/devices/pci0000:00/"

/* In a tree of directories in the place of /sys, where `driver` is the link at `function`. */
static const struct {
    const char *path;
    const char *function, *driver;
    const char *more; /* a directory besides */
    const char *address; /* bus-type domain:bus:slot.function bus target unit, or "-" */
} disk_cases[] = {
    { PCI "0000:00:02.0/virtio0/block/vda", PCI "0000:00:02.0", "virtio-pci", NULL, "virtio 0:0:2.0 0 0 0" },
    { PCI "0000:00:02.0/0000:01:00.0/virtio1/block/vdb", PCI "0000:00:02.0/0000:01:00.0", "virtio-pci", NULL,
      "virtio 0:1:0.0 0 0 0" },
    { PCI "0000:00:05.0/virtio2/host2/target2:0:3/2:0:3:7/block/sda", PCI "0000:00:05.0", "virtio-pci", NULL,
      "scsi 0:0:5.0 0 0 7" },
    { PCI "0000:00:1f.2/ata5/host4/target4:0:0/4:0:0:0/block/sdb/sdb1", PCI "0000:00:1f.2", "ahci",
      PCI "0000:00:1f.2/ata3", "sata 0:0:31.2 0 0 1" },
    { PCI "0000:00:01.1/ata2/host1/target1:0:1/1:0:1:0/block/sdc", PCI "0000:00:01.1", "ata_piix",
      PCI "0000:00:01.1/ata1", "ide 0:0:1.1 1 0 1" },
    { PCI "0000:00:06.0/host3/target3:0:4/3:0:4:0/block/sdd", PCI "0000:00:06.0", "sym53c8xx", NULL,
      "scsi 0:0:6.0 0 0 4" },
    { PCI "0000:00:07.0/nvme/nvme0/nvme0n1", PCI "0000:00:07.0", "nvme", NULL, "nvme 0:0:7.0 0 0 0" },
    { PCI "0000:00:08.0/usb1/1-1/1-1:1.0/host9/target9:0:0/9:0:0:0/block/sde", PCI "0000:00:08.0", "xhci_hcd", NULL,
      "usb 0:0:8.0 0 0 0" },
    { PCI "0000:00:09.0/block/x", PCI "0000:00:09.0", "megaraid", NULL, "-" },
    { PCI "0000:00:0a.0/ata1/block/y", PCI "0000:00:0a.0", "ahci", NULL, "-" },
    { PCI "block/z", NULL, NULL, NULL, "-" },
    { "/devices/platform/virtio-mmio/virtio0/block/vda", NULL, NULL, NULL, "virtio -1:-1:-1.-1 0 0 0" },
    { "/devices/platform/virtio1/host0/target0:1:2/0:1:2:3/block/sda", NULL, NULL, NULL, "scsi -1:-1:-1.-1 1 2 3" },
    { "/devices/css0/0.0.0004/0.0.0001/virtio0/block/vda", NULL, NULL, NULL, "virtio -1:-1:-1.-1 0 0 0 ccw 0.0.4.1" },
    { "/devices/virtual/block/loop0", NULL, NULL, NULL, "-" },
};

static gint64 number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static char *describe(json_t *address, gboolean known)
{
    const json_t *pci = json_object_get(address, "pci-controller"), *ccw = json_object_get(address, "ccw-address");
    GString *text = g_string_new(NULL);

    if (!known)
        g_string_append(text, "-");
    else
        g_string_append_printf(text, "%s %d:%d:%d.%d %d %d %d",
                               json_string_value(json_object_get(address, "bus-type")), (int)number(pci, "domain"),
                               (int)number(pci, "bus"), (int)number(pci, "slot"), (int)number(pci, "function"),
                               (int)number(address, "bus"), (int)number(address, "target"),
                               (int)number(address, "unit"));
    if (ccw)
        g_string_append_printf(text, " ccw %d.%d.%d.%d", (int)number(ccw, "cssid"), (int)number(ccw, "ssid"),
                               (int)number(ccw, "subchno"), (int)number(ccw, "devno"));
    return g_string_free(text, FALSE);
}

static void test_disks(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(disk_cases); i++) {
        g_autofree char *root = g_dir_make_tmp("manage-XXXXXX", NULL);
        g_autofree char *path = g_strconcat(root, disk_cases[i].path, NULL);
        g_autofree char *more = g_strconcat(root, disk_cases[i].more, NULL);
        g_autofree char *link = g_strconcat(root, disk_cases[i].function, "/driver", NULL);
        g_autofree char *driver = g_strconcat("../../drivers/", disk_cases[i].driver, NULL);
        g_autofree char *command = g_strdup_printf("rm -r '%s'", root);
        gboolean known;

        check_case("%s", disk_cases[i].path);
        g_assert_no_errno(g_mkdir_with_parents(path, 0700));
        g_assert_no_errno(g_mkdir_with_parents(more, 0700));
        if (disk_cases[i].driver)
            g_assert_no_errno(symlink(driver, link));

        json_t *address = diskaddress_new(path, &known);
        g_autofree char *text = describe(address, known);

        CHECK_STR(text, disk_cases[i].address);
        json_decref(address);
        g_assert_no_errno(system(command));
    }
    check_case("%s", "");
}

int main(void)
{
    test_args();
    test_policy();
    test_text();
    test_mounts();
    test_disks();
    return check_done();
}
