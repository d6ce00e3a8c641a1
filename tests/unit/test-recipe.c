/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is printed for others is given to them: QEMU must start with it, and libvirt's schema take it. */
#include "check.h"
#include "recipe.h"

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>

static char *directory;

/* A command line, split at spaces; '@' is the directory of this test's files. */
static Options *parse(const char *line)
{
    g_auto(GStrv) parts = g_strsplit(line, "@", -1);
    g_autofree char *text = g_strjoinv(directory, parts);
    g_autofree char *whole = g_strconcat("spicevmc ", text, NULL);
    g_auto(GStrv) argv = g_strsplit(whole, " ", -1);
    g_autoptr(GError) error = NULL;
    Options *options = options_parse((int)g_strv_length(argv), argv, &error);

    check_case("%s", line);
    CHECK_STR(error ? error->message : "", "");
    if (!options) {
        exit(check_done());
    }
    return options;
}

static void test_qemu_text(void)
{
    static const struct {
        const char *line, *args;
    } rows[] = {
        { "--name x --channel vdagent,path=/r/a",
          "-device virtio-serial-pci,id=spicevmc-serial\n"
          "-chardev socket,id=spicevmc-vdagent0,path=/r/a,reconnect=1\n"
          "-device virtserialport,chardev=spicevmc-vdagent0,name=com.redhat.spice.0,id=spicevmc-vdagent0-port\n" },
        { "--name x --channel pvmouse,path=/r/p,server=off --qmp /r/q",
          "-device virtio-serial-pci,id=spicevmc-serial\n"
          "-chardev socket,id=spicevmc-pvmouse0,path=/r/p,server=on,wait=off\n"
          "-device virtserialport,chardev=spicevmc-pvmouse0,name=org.spice-space.pvmouse.0,id=spicevmc-pvmouse0-port\n"
          "-qmp unix:/r/q,server=on,wait=off\n"
          "-device virtio-tablet-pci\n" },
        { "--name x --channel usbredir,path=/r/u --channel smartcard,path=/r/c --channel usbredir,path=/r/v",
          "-chardev socket,id=spicevmc-usbredir0,path=/r/u,reconnect=1\n"
          "-device qemu-xhci,id=spicevmc-usb0,p2=15,p3=15\n"
          "-device usb-redir,chardev=spicevmc-usbredir0,bus=spicevmc-usb0.0\n"
          "-chardev socket,id=spicevmc-smartcard0,path=/r/c,reconnect=1\n"
          "-device usb-ccid,id=spicevmc-ccid,bus=spicevmc-usb0.0\n"
          "-device ccid-card-passthru,chardev=spicevmc-smartcard0,bus=spicevmc-ccid.0\n"
          "-chardev socket,id=spicevmc-usbredir1,path=/r/v,reconnect=1\n"
          "-device usb-redir,chardev=spicevmc-usbredir1,bus=spicevmc-usb0.0\n" },
        { "--name x --channel port,path=/r/s,name=org.qemu.console.serial.0 --display 0,1x1,device=v0 "
          "--display 1,1x1,device=v1,head=2 --display 2,1x1,device=v0,head=1",
          "-device virtio-vga,id=v0,max_outputs=2\n"
          "-device virtio-gpu-pci,id=v1,max_outputs=3\n"
          "-chardev socket,id=spicevmc-port0,path=/r/s,reconnect=1\n"
          "-serial chardev:spicevmc-port0\n" },
        { "--name x --channel vdagent,path=/r/it's$",
          "-device virtio-serial-pci,id=spicevmc-serial\n"
          "-chardev 'socket,id=spicevmc-vdagent0,path=/r/it'\\''s$,reconnect=1'\n"
          "-device virtserialport,chardev=spicevmc-vdagent0,name=com.redhat.spice.0,id=spicevmc-vdagent0-port\n" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Options) options = parse(rows[i].line);
        g_autofree char *args = recipe_qemu_args(options);

        CHECK_STR(args, rows[i].args);
    }
}

/* Does a monitor answer on this path, as long as the process lives? */
static gboolean wait_for_monitor(GSubprocess *qemu, const char *path)
{
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);

    for (int i = 0; i < 600 && g_subprocess_get_identifier(qemu); i++) {
        g_autoptr(GSocketConnection) connection =
            g_socket_client_connect(client, G_SOCKET_CONNECTABLE(address), NULL, NULL);
        char greeting[16] = "";

        if (connection) {
            GInputStream *input = g_io_stream_get_input_stream(G_IO_STREAM(connection));

            g_input_stream_read(input, greeting, sizeof(greeting) - 1, NULL, NULL);
            return g_str_has_prefix(greeting, "{\"QMP\"");
        }
        g_usleep(100000);
        g_main_context_iteration(NULL, FALSE);
    }
    return FALSE;
}

/* With all that can be asked for; the sockets that QEMU connects to are not there yet. */
static void test_qemu_starts(void)
{
    g_autofree char *program = g_find_program_in_path("qemu-system-x86_64");
    g_autoptr(Options) options = parse(
        "--name x --qmp @/qmp --channel vdagent,path=@/agent --channel pvmouse,path=@/pvmouse,server=off "
        "--channel usbredir,path=@/usb0 --channel usbredir,path=@/usb1,server=off --channel smartcard,path=@/card "
        "--channel port,path=@/console,name=org.qemu.console.serial.0 "
        "--channel port,path=@/dav,name=org.spice-space.webdav.0 "
        "--display 0,800x600,device=v0 --display 1,800x600,device=v0,head=1 --display 2,800x600,device=v1");
    g_autofree char *args = recipe_qemu_args(options);
    g_autofree char *line = g_strdelimit(g_strdup(args), "\n", ' ');
    g_autofree char *whole =
        g_strconcat("qemu-system-x86_64 -accel tcg -m 64 -nodefaults -S -display none ", line, NULL);
    g_auto(GStrv) argv = NULL;
    g_autoptr(GError) error = NULL;

    if (!program) {
        printf("QEMU is not installed, so it was not started\n");
        return;
    }
    CHECK(g_shell_parse_argv(whole, NULL, &argv, NULL));

    g_autoptr(GSubprocess) qemu = g_subprocess_newv((const char *const *)argv, G_SUBPROCESS_FLAGS_NONE, &error);

    CHECK_STR(error ? error->message : "", "");
    if (!qemu) {
        return;
    }
    CHECK(wait_for_monitor(qemu, options->qmp));
    g_subprocess_force_exit(qemu);
    g_subprocess_wait(qemu, NULL, NULL);
    for (const char *const *name = (const char *const[]){ "qmp", "pvmouse", "usb1", NULL }; *name; name++) {
        g_autofree char *path = g_build_filename(directory, *name, NULL);

        CHECK_EQ(g_unlink(path), 0);
    }
}

/* More USB devices than one controller has ports for. */
static void test_usb_controllers(void)
{
    GString *line = g_string_new("--name x");

    for (guint i = 0; i < 16; i++) {
        g_string_append_printf(line, " --channel usbredir,path=/r/%u", i);
    }

    g_autoptr(Options) options = parse(line->str);
    g_autofree char *args = recipe_qemu_args(options);

    CHECK(strstr(args, "-device usb-redir,chardev=spicevmc-usbredir14,bus=spicevmc-usb0.0\n"));
    CHECK(strstr(args, "-device qemu-xhci,id=spicevmc-usb1,p2=15,p3=15\n"
                       "-device usb-redir,chardev=spicevmc-usbredir15,bus=spicevmc-usb1.0\n"));
    g_string_free(line, TRUE);
}

static void test_libvirt(void)
{
    static const struct {
        const char *line;
        const char *wanted[6];
    } rows[] = {
        { "--name x --channel vdagent,path=/r/a&b --channel pvmouse,path=/r/p,server=off --channel usbredir,path=/r/u "
          "--channel smartcard,path=/r/c,server=off --channel port,path=/r/t,name=org.qemu.console.serial.0 "
          "--channel port,path=/r/d,name=org.spice-space.webdav.0 --display 0,1x1 --display 1,1x1 --qmp /r/q",
          { "<source mode='connect' path='/r/a&amp;b'>\n        <reconnect enabled='yes' timeout='1'/>",
            "<source mode='bind' path='/r/p'/>\n      <target type='virtio' name='org.spice-space.pvmouse.0'/>",
            "<redirdev bus='usb' type='unix'>", "<smartcard mode='passthrough' type='unix'>", "heads='2'",
            "unix:/r/q,server=on,wait=off" } },
        { "--name x --channel usbredir,path=/r/u", { "<name>x</name>", "heads='1'" } },
    };
    g_autofree char *program = g_find_program_in_path("virt-xml-validate");
    g_autofree char *path = g_build_filename(directory, "domain.xml", NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Options) options = parse(rows[i].line);
        g_autofree char *xml = recipe_libvirt_xml(options);

        for (gsize j = 0; j < G_N_ELEMENTS(rows[i].wanted) && rows[i].wanted[j]; j++) {
            check_case("%s", rows[i].wanted[j]);
            CHECK(strstr(xml, rows[i].wanted[j]));
        }
        CHECK(!strstr(xml, "graphics type"));
        if (!program) {
            continue;
        }

        const char *argv[] = { program, path, "domain", NULL };
        g_autofree char *output = NULL, *errors = NULL;
        int status = -1;

        check_case("validation of %zu", i);
        CHECK(g_file_set_contents(path, xml, -1, NULL));
        CHECK(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &output, &errors, &status, NULL));
        CHECK_EQ(status, 0);
        if (status != 0) {
            fprintf(stderr, "%s%s", output, errors);
        }
        CHECK_EQ(g_unlink(path), 0);
    }
    if (!program) {
        printf("virt-xml-validate is not installed, so the domain was not validated\n");
    }
}

static char *vv_value(const char *line, const char *key)
{
    g_autoptr(Options) options = parse(line);
    g_autoptr(GError) error = NULL;
    g_autofree char *vv = recipe_vv(options, &error);
    g_autoptr(GKeyFile) file = g_key_file_new();

    CHECK_STR(error ? error->message : "", "");
    if (!vv) {
        return NULL;
    }
    CHECK(g_key_file_load_from_data(file, vv, strlen(vv), G_KEY_FILE_NONE, NULL));
    return g_key_file_get_string(file, "virt-viewer", key, NULL);
}

static void test_vv(void)
{
#define TLS " --listen tcp:0.0.0.0:5900 --tls-port 5901 --tls-ca @/ca --ticket-file @/ticket"
#define LOCAL_TLS " --listen tcp:[::1]:5900 --tls-port 5901 --tls-ca @/ca"
    static const struct {
        const char *line, *key, *value;
    } rows[] = {
        { "--print-vv --name x", "type", "spice" },
        { "--print-vv --name x", "title", "x" },
        { "--print-vv --name x", "unix-path", "/run/spicevmc/x/spice.sock" },
        { "--print-vv --name x", "host", NULL },
        { "--print-vv --name x --listen tcp:127.0.0.1:5900", "host", "127.0.0.1" },
        { "--print-vv --name x --listen tcp:127.0.0.1:5900", "port", "5900" },
        { "--print-vv --name x --listen tcp:127.0.0.1:5900", "tls-port", NULL },
        { "--print-vv --name x --listen tcp:127.0.0.1:5900", "unix-path", NULL },
        { "--print-vv --name x" LOCAL_TLS, "host", "::1" },
        { "--print-vv --name x" LOCAL_TLS, "port", "5900" },
        { "--print-vv --name x" LOCAL_TLS, "tls-port", "5901" },
        { "--print-vv --name x" TLS, "port", NULL },
        { "--print-vv --name x" TLS, "tls-port", "5901" },
        { "--print-vv --name x" TLS, "ca", "two\nlines\n" },
        { "--print-vv --name x" TLS, "password", NULL },
    };
    g_autofree char *ca = g_build_filename(directory, "ca", NULL);

    CHECK(g_file_set_contents(ca, "two\nlines\n", -1, NULL));
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *value = vv_value(rows[i].line, rows[i].key);

        check_case("%s: %s", rows[i].line, rows[i].key);
        CHECK_STR(value, rows[i].value);
    }

    g_autofree char *host = vv_value("--print-vv --name x" TLS, "host");

    CHECK_STR(host, g_get_host_name());
    CHECK_EQ(g_unlink(ca), 0);

    g_autoptr(Options) options = parse("--print-vv --name x" TLS);
    g_autoptr(GError) error = NULL;

    check_case("%s", "no certificate authority");
    CHECK(!recipe_vv(options, &error));
    CHECK(error && options_exit(error) == OPTIONS_EXIT_CONFIG && strstr(error->message, ca));
}

int main(void)
{
    directory = g_dir_make_tmp("spice-pv-XXXXXX", NULL);
    test_qemu_text();
    test_usb_controllers();
    test_qemu_starts();
    test_libvirt();
    test_vv();
    CHECK_EQ(g_rmdir(directory), 0);
    g_free(directory);
    return check_done();
}
