/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "options.h"

#include <glib/gstdio.h>
#include <spice/vd_agent.h>

#define CHANNEL " --channel vdagent,path=/r/a"

#define TEXT_AND_PNG (1 << VD_AGENT_CLIPBOARD_UTF8_TEXT | 1 << VD_AGENT_CLIPBOARD_IMAGE_PNG)

static char *directory;

/* A command line, split at spaces; '@' is the directory of this test's files. */
static Options *parse(const char *line, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(line, "@", -1);
    g_autofree char *text = g_strjoinv(directory, parts);
    g_autofree char *whole = g_strconcat("spicevmc", *text ? " " : "", text, NULL);
    g_auto(GStrv) argv = g_strsplit(whole, " ", -1);

    return options_parse((int)g_strv_length(argv), argv, error);
}

static Options *must_parse(const char *line)
{
    g_autoptr(GError) error = NULL;
    Options *options = parse(line, &error);

    check_case("%s", line);
    CHECK_STR(error ? error->message : "", "");
    if (!options) {
        exit(check_done());
    }
    return options;
}

static void write_file(const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    g_autofree char *parent = g_path_get_dirname(path);

    g_mkdir_with_parents(parent, 0700);
    CHECK(g_file_set_contents(path, text, -1, NULL));
}

static void remove_file(const char *name)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);

    CHECK_EQ(g_remove(path), 0);
}

static void test_defaults(void)
{
    g_autoptr(Options) options = must_parse("--name vm1" CHANNEL);

    CHECK_EQ(options->action, OPTIONS_RUN);
    CHECK_STR(options->name, "vm1");
    CHECK_STR(options->runtime_dir, "/run/spicevmc");
    CHECK_STR(options->listen_path, "/run/spicevmc/vm1/spice.sock");
    CHECK_STR(options->listen_address, NULL);
    CHECK_EQ(options->tls_port, 0);
    CHECK_STR(options->tls_ca, NULL);
    CHECK_EQ(options->socket_mode, 0600);
    CHECK_EQ(options->n_displays, 1);
    CHECK_EQ(options->display[0].w, 1024);
    CHECK_EQ(options->display[0].h, 768);
    CHECK_EQ(options->n_channels, 1);
    CHECK_EQ(options->channel[0].type, OPTIONS_VDAGENT);
    CHECK_EQ(options->channel[0].listen, TRUE);
    CHECK_STR(options->channel[0].path, "/r/a");
    CHECK_EQ(options->policy.clipboard_to_guest, TRUE);
    CHECK_EQ(options->policy.clipboard_from_guest, TRUE);
    CHECK_EQ(options->policy.clipboard_types, G_MAXUINT32);
    CHECK_EQ(options->policy.clipboard_max_size, 0);
    CHECK_EQ(options->policy.files, TRUE);
    CHECK_EQ(options->policy.pointer, TRUE);
    CHECK_EQ(options->policy.keyboard, TRUE);
    CHECK_STR(options->policy.usbredir_filter, NULL);
}

static void test_everything(void)
{
    g_autoptr(Options) options = must_parse(
        "--name=a.b-c_1 --listen tcp:127.0.0.1:5900 --tls-port 5901 --tls-cert /t/cert --ticket-file credential:ticket "
        "--qmp /r/qmp --display 1,800x600,device=v0,head=1 --display 0,1280x1024,device=v0 "
        "--channel vdagent,path=/r/a,server=off --channel pvmouse,server=on,path=/r/p --channel usbredir,path=/r/u1 "
        "--channel usbredir,path=/r/u2 --channel smartcard,path=/r/c "
        "--channel port,path=/r/t,name=org.example.console.0 --socket-group daemon --socket-mode 660 "
        "--runtime-dir /r/d --policy clipboard-to-guest=off --policy files=off --debug "
        "--policy clipboard-types=text,png --policy clipboard-max-size=64k "
        "--policy usbredir-filter=3,-1,-1,-1,0|-1,-1,-1,-1,1");

    CHECK_STR(options->listen_path, NULL);
    CHECK_STR(options->listen_address, "127.0.0.1");
    CHECK_EQ(options->listen_port, 5900);
    CHECK_EQ(options->tls_port, 5901);
    CHECK_STR(options->tls_ca, "/etc/spice-pv/vm/a.b-c_1/ca-cert.pem");
    CHECK_STR(options->tls_cert, "/t/cert");
    CHECK_STR(options->tls_key, "/etc/spice-pv/vm/a.b-c_1/server-key.pem");
    CHECK_STR(options->ticket_file, "credential:ticket");
    CHECK_STR(options->qmp, "/r/qmp");
    CHECK_EQ(options->n_displays, 2);
    CHECK_EQ(options->display[0].w, 1280);
    CHECK_STR(options->display[0].device, "v0");
    CHECK_EQ(options->display[0].head, 0);
    CHECK_EQ(options->display[1].h, 600);
    CHECK_EQ(options->display[1].head, 1);
    CHECK_EQ(options->n_channels, 6);
    CHECK_EQ(options->channel[0].listen, FALSE);
    CHECK_EQ(options->channel[1].type, OPTIONS_PVMOUSE);
    CHECK_EQ(options->channel[1].listen, TRUE);
    CHECK_EQ(options->channel[3].type, OPTIONS_USBREDIR);
    CHECK_STR(options->channel[4].name, NULL);
    CHECK_STR(options->channel[5].name, "org.example.console.0");
    CHECK_EQ(options->socket_mode, 0660);
    CHECK_STR(options->socket_group, "daemon");
    CHECK_STR(options->runtime_dir, "/r/d");
    CHECK_EQ(options->debug, TRUE);
    CHECK_EQ(options->policy.clipboard_to_guest, FALSE);
    CHECK_EQ(options->policy.clipboard_from_guest, TRUE);
    CHECK_EQ(options->policy.files, FALSE);
    CHECK_EQ(options->policy.clipboard_types, TEXT_AND_PNG);
    CHECK_EQ(options->policy.clipboard_max_size, 65536);
    CHECK_STR(options->policy.usbredir_filter, "3,-1,-1,-1,0|-1,-1,-1,-1,1");
}

static void test_listen(void)
{
    static const struct {
        const char *line, *path, *address;
        guint port;
    } rows[] = {
        { "--listen unix:/r/s", "/r/s", NULL, 0 },
        { "--listen tcp:localhost:1", NULL, "localhost", 1 },
        { "--listen tcp:0.0.0.0:65535", NULL, "0.0.0.0", 65535 },
        { "--listen tcp:[::1]:5900", NULL, "::1", 5900 },
        { "--listen tcp:[fe80::1%eth0]:5900", NULL, "fe80::1%eth0", 5900 },
        { "--listen tcp:[::] --tls-port 5901", NULL, "::", 0 },
        { "--listen tcp:host.example --tls-port 5901", NULL, "host.example", 0 },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *line = g_strdup_printf("--name x %s" CHANNEL, rows[i].line);
        g_autoptr(Options) options = must_parse(line);

        CHECK_STR(options->listen_path, rows[i].path);
        CHECK_STR(options->listen_address, rows[i].address);
        CHECK_EQ(options->listen_port, rows[i].port);
    }
}

static void test_actions(void)
{
    static const struct {
        const char *line;
        OptionsAction action;
        gboolean human;
    } rows[] = {
        { "--name x --check-config" CHANNEL, OPTIONS_CHECK_CONFIG, FALSE },
        { "--name x --print-qemu-args" CHANNEL, OPTIONS_PRINT_QEMU_ARGS, FALSE },
        { "--name x --print-libvirt-xml" CHANNEL, OPTIONS_PRINT_LIBVIRT_XML, FALSE },
        { "--name x --print-vv", OPTIONS_PRINT_VV, FALSE },
        { "--status x", OPTIONS_STATUS, FALSE },
        { "--status x --human", OPTIONS_STATUS, TRUE },
        { "--status --human x", OPTIONS_STATUS, TRUE },
        { "--human --status=x", OPTIONS_STATUS, TRUE },
        { "--status --name x", OPTIONS_STATUS, FALSE },
        { "--status x --runtime-dir /r", OPTIONS_STATUS, FALSE },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Options) options = must_parse(rows[i].line);

        CHECK_EQ(options->action, rows[i].action);
        CHECK_EQ(options->human, rows[i].human);
        CHECK_STR(options->name, "x");
    }
}

/* 106 bytes: sockets may have 107 in their path. */
#define A35 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LONG "/" A35 A35 A35
/* 96 bytes: /x/control just fits, /x/spice.sock does not. */
#define ROOM_FOR_CONTROL "/" A35 A35 "aaaaaaaaaaaaaaaaaaaaaaaaa"

static void test_longest(void)
{
    g_autoptr(Options) options = must_parse("--name x --channel vdagent,path=" LONG "a");

    CHECK_EQ(strlen(options->channel[0].path), 107);
}

static void test_wrong(void)
{
    static const struct {
        const char *line, *option, *value; /* both named in the error */
    } rows[] = {
        { "", "--name", "missing" },
        { "--name x", "channel", "no channel" },
        { "--name x stray" CHANNEL, "“stray”", "no option" },
        { "--name x --nonsense" CHANNEL, "--nonsense", "" },
        { "--name x --listen", "--listen", "" },
        { "--name x --name y" CHANNEL, "--name", "twice" },
        { "--name -x" CHANNEL, "--name", "“-x”" },
        { "--name .." CHANNEL, "--name", "“..”" },
        { "--name a/b" CHANNEL, "--name", "“a/b”" },
        { "--name aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" CHANNEL, "--name", "64" },
        { "--name x --listen /r/s" CHANNEL, "--listen", "“/r/s”" },
        { "--name x --listen unix:r/s" CHANNEL, "--listen", "“r/s” is not an absolute" },
        { "--name x --listen unix:" CHANNEL, "--listen", "“”" },
        { "--name x --listen unix:/r,s" CHANNEL, "--listen", "comma" },
        { "--name x --listen unix:" LONG "aa" CHANNEL, "--listen", "107" },
        { "--name x --listen unix:/a --listen unix:/b" CHANNEL, "--listen", "twice" },
        { "--name x --listen tcp::5900" CHANNEL, "--listen", "no address" },
        { "--name x --listen tcp:[]:5900" CHANNEL, "--listen", "no address" },
        { "--name x --listen tcp:::1:5900" CHANNEL, "--listen", "brackets" },
        { "--name x --listen tcp:[::1:5900" CHANNEL, "--listen", "tcp:[::1:5900" },
        { "--name x --listen tcp:[::1]5900" CHANNEL, "--listen", "tcp:[::1]5900" },
        { "--name x --listen tcp:a;b:5900" CHANNEL, "--listen", "“a;b”" },
        { "--name x --listen tcp:a:0" CHANNEL, "--listen", "“0”" },
        { "--name x --listen tcp:a:65536" CHANNEL, "--listen", "“65536”" },
        { "--name x --listen tcp:a:" CHANNEL, "--listen", "“”" },
        { "--name x --listen tcp:a" CHANNEL, "listen", "no port" },
        { "--name x --tls-port 5901" CHANNEL, "tls-port", "tcp:" },
        { "--name x --tls-port 0 --listen tcp:a:1" CHANNEL, "--tls-port", "“0”" },
        { "--name x --tls-port 5900 --listen tcp:a:5900" CHANNEL, "tls-port", "5900" },
        { "--name x --tls-ca /t --listen tcp:a:5900" CHANNEL, "tls-ca", "tls-port" },
        { "--name x --tls-ca t --tls-port 1 --listen tcp:a" CHANNEL, "--tls-ca", "“t”" },
        { "--name x --ticket-file t" CHANNEL, "--ticket-file", "“t”" },
        { "--name x --ticket-file credential:../x" CHANNEL, "--ticket-file", "“credential:../x”" },
        { "--name x --ticket-file credential:" CHANNEL, "--ticket-file", "“credential:”" },
        { "--name x --ticket-file /t --sasl --listen tcp:a:5900" CHANNEL, "ticket-file", "sasl" },
        { "--name x --sasl" CHANNEL, "sasl", "listen=tcp:" },
        { "--name x --sasl --listen unix:/r/s" CHANNEL, "sasl", "listen=tcp:" },
        { "--name x --socket-mode 888" CHANNEL, "--socket-mode", "“888”" },
        { "--name x --socket-mode 1777" CHANNEL, "--socket-mode", "“1777”" },
        { "--name x --socket-group=" CHANNEL, "--socket-group", "" },
        { "--name x --runtime-dir r" CHANNEL, "--runtime-dir", "“r”" },
        { "--name x --runtime-dir " LONG CHANNEL, "runtime-dir", "107" },
        { "--name x --runtime-dir " ROOM_FOR_CONTROL CHANNEL, "listen", "107" },
        { "--name x --qmp r" CHANNEL, "--qmp", "“r”" },
        { "--name x --display 0" CHANNEL, "--display", "“0”" },
        { "--name x --display 0,1024" CHANNEL, "--display", "“0,1024”" },
        { "--name x --display 0,0x1" CHANNEL, "--display", "“0”" },
        { "--name x --display 0,1x16385" CHANNEL, "--display", "“16385”" },
        { "--name x --display 0,-1x1" CHANNEL, "--display", "“-1”" },
        { "--name x --display 16,1x1" CHANNEL, "--display", "“16”" },
        { "--name x --display 0,1x1 --display 0,2x2" CHANNEL, "--display", "display 0" },
        { "--name x --display 0,1x1 --display 2,2x2" CHANNEL, "display 1", "missing" },
        { "--name x --display 1,1x1" CHANNEL, "display 0", "missing" },
        { "--name x --display 0,1x1,head=1" CHANNEL, "--display", "device" },
        { "--name x --display 0,1x1,device=v0,head=16" CHANNEL, "--display", "“16”" },
        { "--name x --display 0,1x1,device=v,device=w" CHANNEL, "--display", "“device=w”" },
        { "--name x --display 0,1x1,device=,head=0" CHANNEL, "--display", "“”" },
        { "--name x --display 0,1x1,colour=1" CHANNEL, "--display", "“colour=1”" },
        { "--name x --channel sound,path=/r/a", "--channel", "“sound,path=/r/a”" },
        { "--name x --channel vdagent", "--channel", "path" },
        { "--name x --channel vdagent,path=a", "--channel", "“a”" },
        { "--name x --channel vdagent,path=" LONG "aa", "--channel", "107" },
        { "--name x --channel vdagent,path=/a,path=/b", "--channel", "“path=/b”" },
        { "--name x --channel vdagent,path=/a,server=maybe", "--channel", "“maybe”" },
        { "--name x --channel vdagent,path=/a,wait=off", "--channel", "“wait=off”" },
        { "--name x --channel vdagent,path=/a,name=n", "--channel", "only a port" },
        { "--name x --channel port,path=/a", "--channel", "name" },
        { "--name x --channel port,path=/a,name=a/b", "--channel", "name" },
        { "--name x --channel port,path=/a,name=com.redhat.spice.0", "--channel", "com.redhat.spice.0" },
        { "--name x --channel port,path=/a,name=n --channel port,path=/b,name=n", "--channel", "two ports" },
        { "--name x --channel vdagent,path=/a --channel vdagent,path=/b", "--channel", "vdagent is there twice" },
        { "--name x --channel pvmouse,path=/a --channel pvmouse,path=/b", "--channel", "pvmouse is there twice" },
        { "--name x --channel smartcard,path=/a --channel smartcard,path=/b", "--channel", "smartcard is there twice" },
        { "--name x --channel vdagent,path=/a --channel pvmouse,path=/a", "--channel", "/a" },
        { "--name x --listen unix:/r/a" CHANNEL, "listen and vdagent", "/r/a" },
        { "--name x --listen unix:/r/q --qmp /r/q" CHANNEL, "listen and qmp", "/r/q" },
        { "--name x --runtime-dir /r --listen unix:/r/x/control" CHANNEL, "control", "/r/x/control" },
        { "--name x --runtime-dir /r --qmp /r/x/lock" CHANNEL, "lock", "/r/x/lock" },
        { "--name x --policy files" CHANNEL, "--policy", "“files”" },
        { "--name x --policy clipboard=off" CHANNEL, "--policy", "“clipboard=off”" },
        { "--name x --policy files=maybe" CHANNEL, "--policy files", "“maybe”" },
        { "--name x --policy clipboard-types=text;gif" CHANNEL, "clipboard-types", "“gif”" },
        { "--name x --policy clipboard-types=" CHANNEL, "clipboard-types", "no type" },
        { "--name x --policy clipboard-max-size=4G" CHANNEL, "clipboard-max-size", "“4G”" },
        { "--name x --policy clipboard-max-size=K" CHANNEL, "clipboard-max-size", "“K”" },
        { "--name x --policy clipboard-max-size=" CHANNEL, "clipboard-max-size", "“”" },
        { "--name x --policy usbredir-filter=all" CHANNEL, "usbredir-filter", "\"all\"" },
        { "--name x --policy usbredir-filter=" CHANNEL, "usbredir-filter", "\"\"" },
        { "--name x --human" CHANNEL, "--human", "--status" },
        { "--name x --print-vv --check-config" CHANNEL, "--check-config", "one" },
        { "--status", "--name", "missing" },
        { "--status x --name y", "--name", "twice" },
        { "--config /nonexistent/file --name x" CHANNEL, "/nonexistent/file", "No such file" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Options) options = parse(rows[i].line, &error);

        check_case("%s", rows[i].line);
        CHECK(!options && error);
        if (error) {
            check_case("%.80s → %.70s", rows[i].line, error->message);
            CHECK_EQ(options_exit(error), OPTIONS_EXIT_CONFIG);
            CHECK(strstr(error->message, rows[i].option));
            CHECK(strstr(error->message, rows[i].value));
        }
    }
    CHECK_EQ(options_exit(&(GError){ .domain = G_FILE_ERROR, .code = 4 }), OPTIONS_EXIT_RUNTIME);
}

static void test_too_many(void)
{
    GString *line = g_string_new("--name x");
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < OPTIONS_CHANNELS_MAX; i++) {
        g_string_append_printf(line, " --channel usbredir,path=/r/%u", i);
    }
    options_free(must_parse(line->str));
    g_string_append(line, " --channel usbredir,path=/r/more");
    CHECK(!parse(line->str, &error));
    CHECK(error && strstr(error->message, "more than 30"));
    g_string_free(line, TRUE);
}

static void test_file(void)
{
    write_file("vm.conf", "[vm]\nname=fromfile\nlisten=unix:/r/s\ndisplay=0,1280x800;1,1024x768\n"
                          "channel=vdagent,path=/r/a;pvmouse,path=/r/p,server=off;\n"
                          "socket-mode=0640\nqmp=/r/q\nsasl=no\n"
                          "[policy]\nclipboard-from-guest=off\nclipboard-types=text;png\nclipboard-max-size=1M\n"
                          "usbredir-filter=-1,-1,-1,-1,0\nkeyboard=no\n");
    {
        g_autoptr(Options) options = must_parse("--config @/vm.conf");

        CHECK_STR(options->name, "fromfile");
        CHECK_STR(options->listen_path, "/r/s");
        CHECK_EQ(options->n_displays, 2);
        CHECK_EQ(options->display[1].w, 1024);
        CHECK_EQ(options->n_channels, 2);
        CHECK_EQ(options->channel[1].listen, FALSE);
        CHECK_EQ(options->socket_mode, 0640);
        CHECK_EQ(options->sasl, FALSE);
        CHECK_EQ(options->policy.clipboard_from_guest, FALSE);
        CHECK_EQ(options->policy.clipboard_types, TEXT_AND_PNG);
        CHECK_EQ(options->policy.clipboard_max_size, 1 << 20);
        CHECK_STR(options->policy.usbredir_filter, "-1,-1,-1,-1,0");
        CHECK_EQ(options->policy.keyboard, FALSE);
    }
    {
        g_autoptr(Options) options = must_parse("--config @/vm.conf --name mine --listen tcp:127.0.0.1:5900 --sasl "
                                                "--policy keyboard=on --channel smartcard,path=/r/c "
                                                "--display 0,640x480");

        check_case("%s", "the command line wins");
        CHECK_STR(options->name, "mine");
        CHECK_STR(options->listen_path, NULL);
        CHECK_STR(options->listen_address, "127.0.0.1");
        CHECK_EQ(options->n_channels, 1);
        CHECK_EQ(options->channel[0].type, OPTIONS_SMARTCARD);
        CHECK_EQ(options->n_displays, 1);
        CHECK_EQ(options->display[0].w, 640);
        CHECK_STR(options->qmp, "/r/q");
        CHECK_EQ(options->policy.keyboard, TRUE);
        CHECK_EQ(options->policy.clipboard_from_guest, FALSE);
    }
    write_file("vm.conf.d/20-b.conf", "[vm]\nchannel=usbredir,path=/r/u\n[policy]\nclipboard-types=bmp\n");
    write_file("vm.conf.d/10-a.conf", "[vm]\nqmp=/r/q2\n[policy]\nclipboard-types=jpg;\n");
    write_file("vm.conf.d/30-c.conf.bak", "nonsense");
    {
        g_autoptr(Options) options = must_parse("--config @/vm.conf");

        check_case("%s", "drop-ins win, in the order of their names");
        CHECK_EQ(options->n_channels, 1);
        CHECK_EQ(options->channel[0].type, OPTIONS_USBREDIR);
        CHECK_STR(options->qmp, "/r/q2");
        CHECK_EQ(options->policy.clipboard_types, 1 << VD_AGENT_CLIPBOARD_IMAGE_BMP);
    }
    remove_file("vm.conf.d/30-c.conf.bak");
    remove_file("vm.conf.d/20-b.conf");
    remove_file("vm.conf.d/10-a.conf");
    remove_file("vm.conf.d");
    remove_file("vm.conf");
}

static void test_wrong_files(void)
{
    static const struct {
        const char *text, *said;
    } rows[] = {
        { "[vm]\nchanel=vdagent,path=/a\n", "no key “chanel” in group [vm]" },
        { "[Policy]\nfiles=off\n", "no key “files” in group [Policy]" },
        { "[policy]\nfile=off\n", "no key “file” in group [policy]" },
        { "[policy]\nfiles=maybe\n", "[policy] files: “maybe”" },
        { "[policy]\nfiles=\n", "[policy] files: “”" },
        { "[vm]\nlisten=/r/s\n", "[vm] listen: “/r/s”" },
        { "[vm]\nlisten=unix:/a\\q\n", "[vm] listen: " },
        { "[vm]\nchannel=vdagent,path=/a;vdagent,path=/b\n", "[vm] channel: channel vdagent" },
        { "[vm]\ndisplay=0,1x1;0,2x2\n", "[vm] display: display 0" },
        { "[vm]\ndebug=on\n", "“debug”" },
        { "listen=unix:/a\n", "vm.conf" },
        { "[vm\n", "vm.conf" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        write_file("vm.conf", rows[i].text);
        check_case("%s", rows[i].text);
        CHECK(!parse("--name x --config @/vm.conf" CHANNEL, &error));
        if (error) {
            check_case("%.60s → %.90s", rows[i].text, error->message);
            CHECK_EQ(options_exit(error), OPTIONS_EXIT_CONFIG);
            CHECK(strstr(error->message, "/vm.conf: "));
            CHECK(strstr(error->message, rows[i].said));
        }
    }
    check_case("%s", "drop-ins that are no directory");
    write_file("vm.conf", "");
    write_file("vm.conf.d", "");

    g_autoptr(GError) error = NULL;

    CHECK(!parse("--name x --config @/vm.conf" CHANNEL, &error));
    CHECK(error && strstr(error->message, "vm.conf.d"));
    remove_file("vm.conf.d");
    remove_file("vm.conf");
}

int main(void)
{
    directory = g_dir_make_tmp("spice-pv-XXXXXX", NULL);
    test_defaults();
    test_everything();
    test_listen();
    test_actions();
    test_longest();
    test_wrong();
    test_too_many();
    test_file();
    test_wrong_files();
    CHECK_EQ(g_rmdir(directory), 0);
    g_free(directory);
    return check_done();
}
