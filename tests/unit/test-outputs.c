/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "outputs.h"

#include "check.h"

#include <glib/gstdio.h>

static char *top;

static void make_dir(const char *path)
{
    g_autofree char *whole = g_build_filename(top, path, NULL);

    CHECK_EQ(g_mkdir_with_parents(whole, 0700), 0);
}

static void make_file(const char *path, const char *text)
{
    g_autofree char *whole = g_build_filename(top, path, NULL);

    CHECK(g_file_set_contents(whole, text, -1, NULL));
}

#define VIRTIO "devices/pci0000:00/0000:00:02.0/virtio1/drm/card1/card1-"
#define BEHIND "devices/pci0000:00/0000:00:03.0/0000:01:04.0/drm/card0/card0-"

/* Two cards: virtio with ids against the order of names, and one behind a bridge, of an old kernel without ids. */
static void make_sysfs(void)
{
    make_dir(VIRTIO "Virtual-1");
    make_dir(VIRTIO "Virtual-2");
    make_file(VIRTIO "Virtual-1/connector_id", "40\n");
    make_file(VIRTIO "Virtual-2/connector_id", "36\n");
    make_dir("devices/pci0000:00/0000:00:02.0/virtio1/drm/renderD128");
    make_dir(BEHIND "DP-1");
    make_dir(BEHIND "VGA-1");
    make_dir("class/drm/card0/card0-DP-1");
    make_dir("class/drm/card0/card0-VGA-1");
    make_dir("class/drm/card1/card1-Virtual-1");
    make_dir("class/drm/card1/card1-Virtual-2");
    make_dir("class/drm/card0-DP-1");
}

static void test_find(void)
{
    static const struct {
        const char *address;
        uint32_t head;
        const char *connector;
    } rows[] = {
        { "pci/0000/02.0", 0, "Virtual-2" },
        { "pci/0000/02.0", 1, "Virtual-1" },
        { "pci/0000/02.0", 2, "" },
        { "pci/0000/02.0", UINT32_MAX, "" },
        { "pci/0000/03.0/04.0", 0, "DP-1" },
        { "pci/0000/03.0/04.0", 1, "VGA-1" },
        { "pci/0000/03.0", 0, "" },
        { "pci/0000/05.0", 0, "" },
        { "pci/0001/02.0", 0, "" },
        { "", 0, "" },
        { "pci", 0, "" },
        { "pci/0000", 0, "" },
        { "usb/0000/02.0", 0, "" },
        { "pci/0000/../../02.0", 0, "" },
        { "pci/0000/..", 0, "" },
        { "pci/0000/02.0/", 0, "" },
        { "pci/..00/02.0", 0, "" },
    };
    Outputs outputs;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        VdagentDevices devices = { .count = 1, .device = { { .channel_id = 1, .monitor_id = 2 } } };

        check_case("%s head %u", rows[i].address, rows[i].head);
        devices.device[0].device_display_id = rows[i].head;
        g_strlcpy(devices.device[0].address, rows[i].address, LIMIT_DEVICE_ADDRESS);
        outputs_find(top, &devices, &outputs);
        CHECK_STR(outputs.connector[3], rows[i].connector);
        for (size_t d = 0; d < LIMIT_DISPLAYS; d++)
            CHECK(d == 3 || outputs.connector[d][0] == '\0');
    }

    check_case("ids beyond all");
    VdagentDevices devices = { .count = 1, .device = { { .channel_id = UINT32_MAX, .monitor_id = 1 } } };
    g_strlcpy(devices.device[0].address, "pci/0000/02.0", LIMIT_DEVICE_ADDRESS);
    outputs_find(top, &devices, &outputs);
    CHECK_STR(outputs.connector[0], "");

    check_case("no device info");
    outputs_find(top, NULL, &outputs);
    CHECK_STR(outputs.connector[0], "DP-1");
    CHECK_STR(outputs.connector[1], "VGA-1");
    CHECK_STR(outputs.connector[2], "Virtual-1");
    CHECK_STR(outputs.connector[3], "Virtual-2");
    CHECK_STR(outputs.connector[4], "");

    check_case("no sysfs");
    outputs_find("/nonexistent", NULL, &outputs);
    CHECK_STR(outputs.connector[0], "");
}

#define ENTRY(name, width, height, left) \
    { .connector = name, .place = { .mode_w = width, .mode_h = height, .x = left, .w = width, .h = height } }

static void test_layout(void)
{
    const Outputs outputs = { { "Virtual-1", "Virtual-2" } };
    const OutputsEntry swapped[] = { ENTRY("Virtual-2", 800, 600, 0), ENTRY("Virtual-1", 1024, 768, 800) };
    const OutputsEntry foreign[] = { ENTRY("default", 800, 600, 0), ENTRY("other", 1024, 768, 800) };
    const OutputsEntry mixed[] = { ENTRY("default", 800, 600, 0), ENTRY("Virtual-1", 1024, 768, 800) };
    const OutputsEntry desktop[] = { ENTRY("Virtual-1", 800, 600, 100), ENTRY("", 1000, 700, 0) };
    const OutputsEntry absent[] = { ENTRY("default", 0, 0, 0), ENTRY("other", 1024, 768, 800) };
    const OutputsEntry bad[] = { ENTRY("Virtual-1", 0, 600, 0) };
    Layout layout;

    check_case("by name");
    CHECK(outputs_layout(&outputs, swapped, 2, &layout));
    CHECK_EQ(layout.display[0].mode_w, 1024);
    CHECK_EQ(layout.display[1].mode_w, 800);
    CHECK_EQ(layout.box_w, 1824);
    check_case("names that are no connectors");
    CHECK(outputs_layout(&outputs, foreign, 2, &layout));
    CHECK_EQ(layout.display[0].mode_w, 800);
    CHECK_EQ(layout.display[1].mode_w, 1024);
    check_case("one that cannot be pointed at keeps its place in the order");
    CHECK(outputs_layout(&outputs, absent, 2, &layout));
    CHECK_EQ(layout.display[0].mode_w, 0);
    CHECK_EQ(layout.display[1].mode_w, 1024);
    CHECK_EQ(layout.box_x, 800);
    check_case("one name that is none");
    CHECK(outputs_layout(&outputs, mixed, 2, &layout));
    CHECK_EQ(layout.display[0].mode_w, 1024);
    CHECK_EQ(layout.display[1].mode_w, 0);
    check_case("the desktop's rectangle");
    CHECK(outputs_layout(&outputs, desktop, 2, &layout));
    CHECK_EQ(layout.box_x, 0);
    CHECK_EQ(layout.box_w, 1000);
    check_case("one that cannot be");
    layout.box_w = 7;
    CHECK(!outputs_layout(&outputs, bad, 1, &layout));
    CHECK_EQ(layout.box_w, 7);
    check_case("nothing");
    CHECK(outputs_layout(&outputs, NULL, 0, &layout));
    CHECK(!layout_known(&layout));
}

int main(void)
{
    top = g_dir_make_tmp("outputs-XXXXXX", NULL);
    make_sysfs();
    test_find();
    test_layout();

    g_autofree char *quoted = g_shell_quote(top);
    g_autofree char *command = g_strdup_printf("rm -r %s", quoted);
    CHECK_EQ(system(command), 0);
    g_free(top);
    return check_done();
}
