/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "recipe.h"
#include "access.h"

#include <string.h>

/* Ports of a qemu-xhci, of either speed; it has 15 at most. */
#define USB_PORTS 15u

/* A port of this name is a serial console to SPICE clients, so it is one in the guest too. */
#define SERIAL_CONSOLE "org.qemu.console.serial."

static gboolean is_serial(const OptionsChannel *channel)
{
    return channel->type == OPTIONS_PORT && g_str_has_prefix(channel->name, SERIAL_CONSOLE);
}

static const char *port_name(const OptionsChannel *channel)
{
    switch (channel->type) {
    case OPTIONS_VDAGENT:
        return OPTIONS_NAME_VDAGENT;
    case OPTIONS_PVMOUSE:
        return OPTIONS_NAME_PVMOUSE;
    case OPTIONS_PORT:
        return channel->name;
    case OPTIONS_USBREDIR:
    case OPTIONS_SMARTCARD:
        break;
    }
    return NULL;
}

static gboolean is_virtio(const OptionsChannel *channel)
{
    return port_name(channel) && !is_serial(channel);
}

/* How many heads the device has, and whether this display is the first that names it. */
static guint heads_of(const Options *options, guint display, gboolean *ret_first)
{
    const char *device = options->display[display].device;
    guint heads = 0;

    *ret_first = TRUE;
    for (guint i = 0; i < options->n_displays; i++) {
        if (g_strcmp0(options->display[i].device, device) == 0) {
            heads = MAX(heads, options->display[i].head + 1);
            *ret_first = *ret_first && i >= display;
        }
    }
    return heads;
}

/* QEMU */

__attribute__((format(printf, 3, 4))) static void add(GString *args, const char *option, const char *format, ...)
{
    va_list list;

    va_start(list, format);

    g_autofree char *value = g_strdup_vprintf(format, list);
    g_autofree char *quoted = g_shell_quote(value);
    gboolean plain = value[strspn(value, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_=,./:+@%")] == '\0';

    va_end(list);
    g_string_append_printf(args, "%s %s\n", option, plain ? value : quoted);
}

/* Where the next USB device goes; a controller is added when the last one is full. */
static guint usb_bus(GString *args, guint *devices)
{
    guint bus = *devices / USB_PORTS;

    if (*devices % USB_PORTS == 0) {
        add(args, "-device", "qemu-xhci,id=spicevmc-usb%u,p2=%u,p3=%u", bus, USB_PORTS, USB_PORTS);
    }
    (*devices)++;
    return bus;
}

static void add_channel(GString *args, const OptionsChannel *channel, guint index, guint *usb_devices)
{
    g_autofree char *id = g_strdup_printf("spicevmc-%s%u", options_channel_name(channel->type), index);

    add(args, "-chardev", "socket,id=%s,path=%s,%s", id, channel->path,
        channel->listen ? "reconnect=1" : "server=on,wait=off");
    if (is_serial(channel)) {
        add(args, "-serial", "chardev:%s", id);
    } else if (is_virtio(channel)) {
        add(args, "-device", "virtserialport,chardev=%s,name=%s,id=%s-port", id, port_name(channel), id);
    } else if (channel->type == OPTIONS_USBREDIR) {
        add(args, "-device", "usb-redir,chardev=%s,bus=spicevmc-usb%u.0", id, usb_bus(args, usb_devices));
    } else {
        add(args, "-device", "usb-ccid,id=spicevmc-ccid,bus=spicevmc-usb%u.0", usb_bus(args, usb_devices));
        add(args, "-device", "ccid-card-passthru,chardev=%s,bus=spicevmc-ccid.0", id);
    }
}

/* Only one of the display devices can be the VGA. */
static void add_displays(GString *args, const Options *options)
{
    const char *model = "virtio-vga";

    for (guint i = 0; i < options->n_displays; i++) {
        gboolean first;
        guint heads = heads_of(options, i, &first);

        if (options->display[i].device && first) {
            add(args, "-device", "%s,id=%s,max_outputs=%u", model, options->display[i].device, heads);
            model = "virtio-gpu-pci";
        }
    }
}

static void add_tablets(GString *args, const Options *options)
{
    gboolean any = FALSE;

    for (guint i = 0; i < options->n_displays; i++) {
        const OptionsDisplay *display = &options->display[i];

        if (display->device) {
            add(args, "-device", "virtio-tablet-pci,display=%s,head=%u", display->device, display->head);
            any = TRUE;
        }
    }
    if (!any) {
        add(args, "-device", "virtio-tablet-pci");
    }
}

static gboolean has_virtio(const Options *options)
{
    for (guint i = 0; i < options->n_channels; i++) {
        if (is_virtio(&options->channel[i])) {
            return TRUE;
        }
    }
    return FALSE;
}

char *recipe_qemu_args(const Options *options)
{
    GString *args = g_string_new(NULL);
    guint of_type[OPTIONS_CHANNEL_TYPES] = { 0 };
    guint usb_devices = 0;

    add_displays(args, options);
    if (has_virtio(options)) {
        add(args, "-device", "virtio-serial-pci,id=spicevmc-serial");
    }
    for (guint i = 0; i < options->n_channels; i++) {
        const OptionsChannel *channel = &options->channel[i];

        add_channel(args, channel, of_type[channel->type]++, &usb_devices);
    }
    if (options->qmp) {
        add(args, "-qmp", "unix:%s,server=on,wait=off", options->qmp);
        add_tablets(args, options);
    }
    return g_string_free(args, FALSE);
}

/* libvirt */

static void xml_source(GString *xml, const OptionsChannel *channel)
{
    g_autofree char *path = g_markup_escape_text(channel->path, -1);

    if (channel->listen) {
        g_string_append_printf(xml, "      <source mode='connect' path='%s'>\n"
                                    "        <reconnect enabled='yes' timeout='1'/>\n"
                                    "      </source>\n", path);
    } else {
        g_string_append_printf(xml, "      <source mode='bind' path='%s'/>\n", path);
    }
}

static void xml_channel(GString *xml, const OptionsChannel *channel)
{
    if (is_serial(channel)) {
        g_string_append(xml, "    <serial type='unix'>\n");
        xml_source(xml, channel);
        g_string_append(xml, "    </serial>\n");
    } else if (is_virtio(channel)) {
        g_string_append(xml, "    <channel type='unix'>\n");
        xml_source(xml, channel);
        g_string_append_printf(xml, "      <target type='virtio' name='%s'/>\n    </channel>\n", port_name(channel));
    } else if (channel->type == OPTIONS_USBREDIR) {
        g_string_append(xml, "    <redirdev bus='usb' type='unix'>\n");
        xml_source(xml, channel);
        g_string_append(xml, "    </redirdev>\n");
    } else {
        g_string_append(xml, "    <smartcard mode='passthrough' type='unix'>\n");
        xml_source(xml, channel);
        g_string_append(xml, "    </smartcard>\n");
    }
}

/* QEMU's monitor for us: libvirt keeps its own. */
static void xml_monitor(GString *xml, const char *path)
{
    g_autofree char *value = g_markup_printf_escaped("unix:%s,server=on,wait=off", path);

    g_string_append_printf(xml, "  <qemu:commandline>\n"
                                "    <qemu:arg value='-qmp'/>\n"
                                "    <qemu:arg value='%s'/>\n"
                                "  </qemu:commandline>\n", value);
}

char *recipe_libvirt_xml(const Options *options)
{
    GString *xml = g_string_new(NULL);

    g_string_append_printf(xml,
                           "<domain type='kvm'%s>\n"
                           "  <name>%s</name>\n"
                           "  <memory unit='MiB'>2048</memory>\n"
                           "  <vcpu>2</vcpu>\n"
                           "  <os>\n"
                           "    <type arch='x86_64' machine='q35'>hvm</type>\n"
                           "  </os>\n"
                           "  <features>\n"
                           "    <acpi/>\n"
                           "  </features>\n"
                           "  <devices>\n"
                           "    <!-- Add a disk. For a machine that exists, copy what follows into its devices, and\n"
                           "         remove graphics of type spice and devices of type spicevmc. -->\n"
                           "    <controller type='usb' model='qemu-xhci' ports='%u'/>\n",
                           options->qmp ? " xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'" : "",
                           options->name, USB_PORTS);
    for (guint i = 0; i < options->n_channels; i++) {
        xml_channel(xml, &options->channel[i]);
    }
    if (options->qmp) {
        g_string_append(xml, "    <input type='tablet' bus='virtio'/>\n");
    }
    g_string_append_printf(xml, "    <video>\n      <model type='virtio' heads='%u' primary='yes'/>\n    </video>\n"
                                "  </devices>\n", options->n_displays);
    if (options->qmp) {
        xml_monitor(xml, options->qmp);
    }
    g_string_append(xml, "</domain>\n");
    return g_string_free(xml, FALSE);
}

/* remote-viewer */

/* All addresses of this host are no address to connect to. */
static const char *reachable(const char *address)
{
    return g_str_equal(address, "0.0.0.0") || g_str_equal(address, "::") ? g_get_host_name() : address;
}

static gboolean vv_tls(GKeyFile *file, const Options *options, GError **error)
{
    g_autofree char *ca = NULL;
    g_autoptr(GError) failure = NULL;

    if (!g_file_get_contents(options->tls_ca, &ca, NULL, &failure)) {
        g_set_error(error, OPTIONS_ERROR, OPTIONS_EXIT_CONFIG, "tls-ca: %s", failure->message);
        return FALSE;
    }
    g_key_file_set_integer(file, "virt-viewer", "tls-port", options->tls_port);
    g_key_file_set_string(file, "virt-viewer", "ca", ca);
    return TRUE;
}

char *recipe_vv(const Options *options, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();

    g_key_file_set_string(file, "virt-viewer", "type", "spice");
    g_key_file_set_string(file, "virt-viewer", "title", options->name);
    if (options->listen_path) {
        g_key_file_set_string(file, "virt-viewer", "unix-path", options->listen_path);
    } else {
        g_key_file_set_string(file, "virt-viewer", "host", reachable(options->listen_address));
        if (options->listen_port != 0 && !access_tls_only(options)) {
            g_key_file_set_integer(file, "virt-viewer", "port", options->listen_port);
        }
        if (options->tls_port != 0 && !vv_tls(file, options, error)) {
            return NULL;
        }
    }
    return g_key_file_to_data(file, NULL, NULL);
}
