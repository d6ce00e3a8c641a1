/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "access.h"
#include "check.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define NO_ERROR (-1)
#define TICKET59 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeefffffffff"

static char *directory;

/* Borrowed until the next but seven calls. */
static const char *in_directory(const char *name)
{
    static char paths[8][PATH_MAX];
    static guint next;
    char *path = paths[next++ % 8];

    g_snprintf(path, PATH_MAX, "%s/%s", directory, name);
    return path;
}

static void write_file(const char *name, const char *text, gssize size, mode_t mode)
{
    CHECK(g_file_set_contents(in_directory(name), text, size, NULL));
    CHECK_EQ(chmod(in_directory(name), mode), 0);
}

/* `names` with spaces between them. */
static void remove_files(const char *parent, const char *names)
{
    g_auto(GStrv) list = g_strsplit(names, " ", -1);

    for (char **name = list; *name; name++) {
        g_autofree char *path = g_build_filename(parent, *name, NULL);

        CHECK_EQ(g_remove(path), 0);
    }
}

/* The status of an error, which must be one with a text that says no secret; NO_ERROR for none. */
static int status(const GError *error, const char *secret)
{
    if (error) {
        CHECK(error->domain == OPTIONS_ERROR);
        CHECK(!strstr(error->message, secret));
    }
    return error ? (int)options_exit(error) : NO_ERROR;
}

static void test_address(void)
{
    static const struct {
        const char *address;
        gboolean tls, sasl, ticket;
        int status;
        const char *said;
    } rows[] = {
        { NULL, FALSE, FALSE, FALSE, NO_ERROR, "" },
        { "127.0.0.1", FALSE, FALSE, FALSE, NO_ERROR, "" },
        { "127.255.1.2", FALSE, FALSE, FALSE, NO_ERROR, "" },
        { "::1", FALSE, FALSE, FALSE, NO_ERROR, "" },
        { "localhost", FALSE, FALSE, FALSE, NO_ERROR, "" },
        { "LOCALHOST", FALSE, TRUE, FALSE, NO_ERROR, "" },
        { "0.0.0.0", FALSE, FALSE, FALSE, OPTIONS_EXIT_SECURITY, "--tls-port and --ticket-file or --sasl" },
        { "0.0.0.0", FALSE, TRUE, FALSE, OPTIONS_EXIT_SECURITY, "add --tls-port" },
        { "0.0.0.0", FALSE, FALSE, TRUE, OPTIONS_EXIT_SECURITY, "add --tls-port" },
        { "0.0.0.0", TRUE, FALSE, FALSE, OPTIONS_EXIT_SECURITY, "add --ticket-file or --sasl" },
        { "::", FALSE, FALSE, FALSE, OPTIONS_EXIT_SECURITY, "tcp:::" },
        { "::ffff:127.0.0.1", FALSE, FALSE, FALSE, OPTIONS_EXIT_SECURITY, "" },
        { "127.1", FALSE, FALSE, FALSE, OPTIONS_EXIT_SECURITY, "127.1" },
        { "128.0.0.1", FALSE, FALSE, FALSE, OPTIONS_EXIT_SECURITY, "" },
        { "localhost.example", FALSE, FALSE, FALSE, OPTIONS_EXIT_SECURITY, "" },
        { "192.0.2.1", FALSE, FALSE, FALSE, OPTIONS_EXIT_SECURITY, "" },
    };

    write_file("ticket", "secret", -1, 0600);
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        Options options = { .listen_address = (char *)rows[i].address,
                            .listen_port = 5900,
                            .tls_port = rows[i].tls ? 5901 : 0,
                            .sasl = rows[i].sasl,
                            .ticket_file = rows[i].ticket ? (char *)in_directory("ticket") : NULL };

        check_case("address %s, tls %d, sasl %d, ticket %d", rows[i].address ? rows[i].address : "unix", rows[i].tls,
                   rows[i].sasl, rows[i].ticket);
        CHECK_EQ(access_check(&options, &error), rows[i].status == NO_ERROR);
        CHECK_EQ(status(error, "secret"), rows[i].status);
        CHECK(!error || strstr(error->message, rows[i].said));
        CHECK_EQ(access_tls_only(&options), rows[i].status != NO_ERROR);
    }
}

static void test_ticket(void)
{
    static const struct {
        const char *text;
        gssize size;
        mode_t mode;
        int status;
        const char *ticket;
    } rows[] = {
        { "secret\n", -1, 0600, NO_ERROR, "secret" },
        { "secret", -1, 0400, NO_ERROR, "secret" },
        { "secret\r\n", -1, 0600, NO_ERROR, "secret" },
        { " secret ", -1, 0600, NO_ERROR, " secret " },
        { TICKET59, -1, 0600, NO_ERROR, TICKET59 },
        { TICKET59 "\r\n", -1, 0600, NO_ERROR, TICKET59 },
        { TICKET59 "g", -1, 0600, OPTIONS_EXIT_CONFIG, NULL },
        { TICKET59 "g\n", -1, 0600, OPTIONS_EXIT_CONFIG, NULL },
        { TICKET59 TICKET59, -1, 0600, OPTIONS_EXIT_CONFIG, NULL },
        { "", -1, 0600, OPTIONS_EXIT_CONFIG, NULL },
        { "\n", -1, 0600, OPTIONS_EXIT_CONFIG, NULL },
        { "secret\nsecret\n", -1, 0600, OPTIONS_EXIT_CONFIG, NULL },
        { "secret\0secret", 13, 0600, OPTIONS_EXIT_CONFIG, NULL },
        { "secret\n", -1, 0640, OPTIONS_EXIT_SECURITY, NULL },
        { "secret\n", -1, 0604, OPTIONS_EXIT_SECURITY, NULL },
        { "secret\n", -1, 0620, OPTIONS_EXIT_SECURITY, NULL },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL, check_error = NULL;
        Options options = { .ticket_file = (char *)in_directory("ticket") };

        check_case("ticket %zu", i);
        write_file("ticket", rows[i].text, rows[i].size, rows[i].mode);

        g_autofree char *ticket = access_ticket(&options, &error);

        CHECK_STR(ticket, rows[i].ticket);
        CHECK_EQ(status(error, "secret"), rows[i].status);
        CHECK(!error || strstr(error->message, options.ticket_file));
        CHECK_EQ(access_check(&options, &check_error), rows[i].ticket != NULL);
        CHECK_EQ(status(check_error, "secret"), rows[i].status);
    }
    if (geteuid() == 0) {
        g_autoptr(GError) error = NULL;
        Options options = { .ticket_file = (char *)in_directory("ticket") };

        check_case("%s", "a ticket of somebody else");
        write_file("ticket", "secret\n", -1, 0600);
        CHECK_EQ(chown(options.ticket_file, 1, (gid_t)-1), 0);
        CHECK(!access_ticket(&options, &error));
        CHECK_EQ(status(error, "secret"), OPTIONS_EXIT_SECURITY);
    }
    for (const char *const *path = (const char *const[]){ "missing", "", NULL }; *path; path++) {
        g_autoptr(GError) error = NULL;
        Options options = { .ticket_file = (char *)in_directory(*path) };

        check_case("ticket is “%s”", *path);
        CHECK(!access_ticket(&options, &error));
        CHECK_EQ(status(error, "secret"), OPTIONS_EXIT_CONFIG);
    }
    CHECK_EQ(g_unlink(in_directory("ticket")), 0);
}

static void test_credential(void)
{
    g_autoptr(GError) error = NULL;
    Options options = { .ticket_file = (char *)"credential:spice" };

    check_case("%s", "credential");
    g_unsetenv("CREDENTIALS_DIRECTORY");
    CHECK(!access_check(&options, &error));
    CHECK_EQ(status(error, "secret"), OPTIONS_EXIT_CONFIG);
    options.action = OPTIONS_CHECK_CONFIG;
    CHECK(access_check(&options, NULL));

    g_setenv("CREDENTIALS_DIRECTORY", directory, TRUE);
    g_clear_error(&error);
    CHECK(!access_check(&options, &error));
    CHECK_EQ(status(error, "secret"), OPTIONS_EXIT_CONFIG);
    write_file("spice", "secret", -1, 0440);

    g_autofree char *ticket = access_ticket(&options, NULL);

    CHECK_STR(ticket, "secret");
    CHECK(access_check(&options, NULL));
    CHECK_EQ(g_unlink(in_directory("spice")), 0);
    g_unsetenv("CREDENTIALS_DIRECTORY");
}

/* A self-signed certificate that is valid from now + `from` to now + `to` seconds. */
static void write_certificate(const char *name, EVP_PKEY *key, long from, long to)
{
    X509 *certificate = X509_new();
    X509_NAME *subject = X509_get_subject_name(certificate);
    FILE *file = fopen(in_directory(name), "w");

    X509_set_version(certificate, X509_VERSION_3);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(certificate, subject);
    X509_gmtime_adj(X509_getm_notBefore(certificate), from);
    X509_gmtime_adj(X509_getm_notAfter(certificate), to);
    X509_set_pubkey(certificate, key);
    CHECK(X509_sign(certificate, key, EVP_sha256()) > 0);
    CHECK(file && PEM_write_X509(file, certificate) == 1 && fclose(file) == 0);
    X509_free(certificate);
}

static void write_key(const char *name, EVP_PKEY *key, mode_t mode, const char *passphrase)
{
    FILE *file = fopen(in_directory(name), "w");

    CHECK(file && PEM_write_PKCS8PrivateKey(file, key, passphrase ? EVP_aes_256_cbc() : NULL, passphrase,
                                            passphrase ? (int)strlen(passphrase) : 0, NULL, NULL) == 1 &&
          fclose(file) == 0);
    CHECK_EQ(chmod(in_directory(name), mode), 0);
}

static void test_tls(void)
{
    static const struct {
        const char *ca, *certificate, *key;
        int status;
        const char *file, *said;
    } rows[] = {
        { "cert", "cert", "key", NO_ERROR, "", "" },
        { "cert", "cert", "key640", NO_ERROR, "", "" },
        { "missing", "cert", "key", OPTIONS_EXIT_CONFIG, "tls-ca", "No such file" },
        { "garbage", "cert", "key", OPTIONS_EXIT_CONFIG, "tls-ca", "no certificate" },
        { "", "cert", "key", OPTIONS_EXIT_CONFIG, "tls-ca", "plain file" },
        { "expired", "cert", "key", OPTIONS_EXIT_CONFIG, "tls-ca", "expired" },
        { "cert", "missing", "key", OPTIONS_EXIT_CONFIG, "tls-cert", "No such file" },
        { "cert", "garbage", "key", OPTIONS_EXIT_CONFIG, "tls-cert", "no certificate" },
        { "cert", "key", "key", OPTIONS_EXIT_CONFIG, "tls-cert", "no certificate" },
        { "cert", "cut", "key", OPTIONS_EXIT_CONFIG, "tls-cert", "no certificate" },
        { "cert", "expired", "key", OPTIONS_EXIT_CONFIG, "tls-cert", "expired" },
        { "cert", "early", "key", OPTIONS_EXIT_CONFIG, "tls-cert", "not valid yet" },
        { "cert", "cert", "missing", OPTIONS_EXIT_CONFIG, "tls-key", "No such file" },
        { "cert", "cert", "garbage", OPTIONS_EXIT_CONFIG, "tls-key", "no private key" },
        { "cert", "cert", "encrypted", OPTIONS_EXIT_CONFIG, "tls-key", "passphrase" },
        { "cert", "cert", "other", OPTIONS_EXIT_CONFIG, "tls-key", "not that of" },
        { "cert", "cert", "open", OPTIONS_EXIT_SECURITY, "tls-key", "everybody" },
    };
    EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
    g_autofree char *text = NULL;

    write_certificate("cert", key, -60, 3600);
    write_certificate("expired", key, -3600, -60);
    write_certificate("early", key, 60, 3600);
    write_key("key", key, 0600, NULL);
    write_key("key640", key, 0640, NULL);
    write_key("open", key, 0644, NULL);
    write_key("encrypted", key, 0600, "secret");
    write_key("other", other, 0600, NULL);
    write_file("garbage", "nonsense\n", -1, 0600);
    CHECK(g_file_get_contents(in_directory("cert"), &text, NULL, NULL));
    write_file("cut", text, 100, 0600);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        Options options = { .listen_address = (char *)"192.0.2.1",
                            .sasl = TRUE,
                            .tls_port = 5901,
                            .tls_ca = (char *)in_directory(rows[i].ca),
                            .tls_cert = (char *)in_directory(rows[i].certificate),
                            .tls_key = (char *)in_directory(rows[i].key) };

        check_case("tls %s %s %s", rows[i].ca, rows[i].certificate, rows[i].key);
        CHECK_EQ(access_check(&options, &error), rows[i].status == NO_ERROR);
        CHECK_EQ(status(error, "secret"), rows[i].status);
        if (error) {
            check_case("%s", error->message);
            CHECK(g_str_has_prefix(error->message, rows[i].file));
            CHECK(strstr(error->message, directory));
            CHECK(strstr(error->message, rows[i].said));
        }
    }
    remove_files(directory, "cert expired early key key640 open encrypted other garbage cut");
}

static void test_group(void)
{
    g_autoptr(GError) error = NULL;
    Options options = { .socket_group = (char *)"no-such-group" };

    check_case("%s", "group");
    CHECK(!access_check(&options, &error));
    CHECK_EQ(status(error, "secret"), OPTIONS_EXIT_CONFIG);
    CHECK(error && strstr(error->message, "no-such-group"));
}

static mode_t mode_of(const char *path)
{
    struct stat info = { 0 };

    CHECK_EQ(lstat(path, &info), 0);
    return info.st_mode & 07777;
}

static void test_lock(void)
{
    static const struct {
        mode_t socket, directory;
    } modes[] = { { 0660, 0710 }, { 0606, 0701 }, { 0020, 0710 }, { 0600, 0700 } };
    g_autoptr(GError) error = NULL;
    g_autofree char *runtime_dir = g_strdup(in_directory("run/below"));
    g_autofree char *pid = g_strdup_printf("(pid %d)", getpid());
    Options options = { .name = (char *)"vm1", .runtime_dir = runtime_dir, .socket_mode = 0600 }, other = options;

    check_case("%s", "lock");
    umask(0);

    int lock = access_lock(&options, &error);

    CHECK_EQ(status(error, "secret"), NO_ERROR);
    CHECK(lock >= 0 && fcntl(lock, F_GETFD) == FD_CLOEXEC);
    CHECK_EQ(mode_of(in_directory("run/below")), 0755);
    CHECK_EQ(mode_of(in_directory("run/below/vm1")), 0700);
    CHECK_EQ(mode_of(in_directory("run/below/vm1/lock")), 0600);

    CHECK_EQ(access_lock(&options, &error), -1);
    CHECK_EQ(status(error, "secret"), OPTIONS_EXIT_IN_USE);
    CHECK(error && strstr(error->message, "vm1") && strstr(error->message, pid));
    g_clear_error(&error);

    other.name = (char *)"vm2";
    int second = access_lock(&other, NULL);

    CHECK(second >= 0);
    close(second);
    close(lock);

    struct group *group = getgrgid(getegid());
    g_autofree char *name = g_strdup(group ? group->gr_name : NULL);

    options.socket_group = name;
    for (gsize i = 0; i < G_N_ELEMENTS(modes); i++) {
        check_case("sockets of mode %o", modes[i].socket);
        options.socket_mode = modes[i].socket;
        lock = access_lock(&options, &error);
        CHECK_EQ(status(error, "secret"), NO_ERROR);
        CHECK_EQ(mode_of(in_directory("run/below/vm1")), modes[i].directory);
        close(lock);
    }
    options.socket_group = NULL;

    check_case("%s", "something else stands where the directory belongs");
    other.name = (char *)"link";
    CHECK_EQ(symlink("vm1", in_directory("run/below/link")), 0);
    CHECK_EQ(access_lock(&other, &error), -1);
    CHECK_EQ(status(error, "secret"), OPTIONS_EXIT_CONFIG);
    g_clear_error(&error);
    other.name = (char *)"file";
    write_file("run/below/file", "", 0, 0600);
    CHECK_EQ(access_lock(&other, &error), -1);
    CHECK_EQ(status(error, "secret"), OPTIONS_EXIT_CONFIG);
    g_clear_error(&error);
    if (geteuid() == 0) {
        check_case("%s", "a directory of somebody else");
        CHECK_EQ(chown(in_directory("run/below/vm2"), 1, (gid_t)-1), 0);
        other.name = (char *)"vm2";
        CHECK_EQ(access_lock(&other, &error), -1);
        CHECK_EQ(status(error, "secret"), OPTIONS_EXIT_SECURITY);
    }
    remove_files(runtime_dir, "vm1/lock vm2/lock vm1 vm2 link file");
    CHECK_EQ(g_rmdir(runtime_dir), 0);
    CHECK_EQ(g_rmdir(in_directory("run")), 0);
}

static int make_socket(const char *path, int type)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, type, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    CHECK_EQ(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static gboolean can_connect(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));

    gboolean connected = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;

    close(fd);
    return connected;
}

static int claim(const char *path)
{
    g_autoptr(GError) error = NULL;
    gboolean good = access_claim_socket(path, &error);

    CHECK_EQ(good, error == NULL);
    CHECK(!error || strstr(error->message, path));
    return status(error, "secret");
}

static void test_claim(void)
{
    g_autofree char *path = g_strdup(in_directory("s"));

    check_case("%s", "nothing there");
    CHECK_EQ(claim(path), NO_ERROR);

    check_case("%s", "a listener");
    int fd = make_socket(path, SOCK_STREAM);

    CHECK_EQ(listen(fd, 0), 0);
    CHECK_EQ(claim(path), OPTIONS_EXIT_IN_USE);
    CHECK_EQ(claim(path), OPTIONS_EXIT_IN_USE); /* its queue is full now */
    CHECK(g_file_test(path, G_FILE_TEST_EXISTS));

    check_case("%s", "a symbolic link to a listener");
    CHECK_EQ(symlink(path, in_directory("link")), 0);
    CHECK_EQ(claim(in_directory("link")), OPTIONS_EXIT_CONFIG);
    CHECK_EQ(g_unlink(in_directory("link")), 0);

    check_case("%s", "what a listener left behind");
    close(fd);
    CHECK_EQ(claim(path), NO_ERROR);
    CHECK(!g_file_test(path, G_FILE_TEST_EXISTS));

    check_case("%s", "a socket of another type");
    fd = make_socket(path, SOCK_DGRAM);
    CHECK_EQ(claim(path), OPTIONS_EXIT_IN_USE);
    close(fd);
    CHECK_EQ(g_unlink(path), 0);

    check_case("%s", "a file");
    write_file("s", "precious", -1, 0600);
    CHECK_EQ(claim(path), OPTIONS_EXIT_CONFIG);
    CHECK(g_file_test(path, G_FILE_TEST_IS_REGULAR));
    CHECK_EQ(g_unlink(path), 0);

    check_case("%s", "a directory");
    CHECK_EQ(g_mkdir(path, 0700), 0);
    CHECK_EQ(claim(path), OPTIONS_EXIT_CONFIG);
    CHECK_EQ(g_rmdir(path), 0);

    check_case("%s", "below what is no directory");
    CHECK_EQ(claim("/dev/null/s"), OPTIONS_EXIT_CONFIG);
}

static void test_listen(void)
{
    g_autofree char *name = g_strnfill(107, 'a'), *too_long = g_strconcat("/", name, NULL);
    g_autofree char *path = g_strdup(in_directory("s"));
    g_autoptr(GError) error = NULL;

    check_case("%s", "listen");
    umask(0777);

    int fd = access_listen(path, 0640, NULL, &error);

    umask(022);
    CHECK_EQ(status(error, "secret"), NO_ERROR);
    CHECK_EQ(mode_of(path), 0640);
    CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
    CHECK(can_connect(path));

    check_case("%s", "listen twice");
    CHECK_EQ(access_listen(path, 0600, NULL, &error), -1);
    CHECK_EQ(status(error, "secret"), OPTIONS_EXIT_IN_USE);
    CHECK(can_connect(path));
    close(fd);

    check_case("%s", "listen where a dead one listened");
    g_clear_error(&error);

    struct group *group = getgrgid(getegid());
    g_autofree char *group_name = g_strdup(group ? group->gr_name : NULL);

    fd = access_listen(path, 0660, group_name, &error);
    CHECK_EQ(status(error, "secret"), NO_ERROR);
    CHECK_EQ(mode_of(path), 0660);
    CHECK(can_connect(path));
    close(fd);
    CHECK_EQ(g_unlink(path), 0);

    check_case("%s", "listen in vain");
    CHECK_EQ(access_listen(path, 0660, "no-such-group", &error), -1);
    CHECK_EQ(status(error, "secret"), OPTIONS_EXIT_CONFIG);
    CHECK(!g_file_test(path, G_FILE_TEST_EXISTS));
    g_clear_error(&error);
    CHECK_EQ(access_listen(in_directory("no/such"), 0660, NULL, &error), -1);
    CHECK_EQ(status(error, "secret"), OPTIONS_EXIT_CONFIG);
    g_clear_error(&error);
    CHECK_EQ(access_listen(too_long, 0660, NULL, &error), -1);
    CHECK_EQ(status(error, "secret"), OPTIONS_EXIT_CONFIG);
}

int main(void)
{
    directory = g_dir_make_tmp("spice-pv-XXXXXX", NULL);
    test_address();
    test_ticket();
    test_credential();
    test_tls();
    test_group();
    test_lock();
    test_claim();
    test_listen();
    CHECK_EQ(g_rmdir(directory), 0);
    g_free(directory);
    return check_done();
}
