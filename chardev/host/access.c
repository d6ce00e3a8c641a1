/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "access.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Connections that wait to be accepted; SPICE clients open about ten at once. */
#define BACKLOG 32

__attribute__((format(printf, 3, 4))) static gboolean refuse(GError **error, OptionsExit code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (error) {
        *error = g_error_new_valist(OPTIONS_ERROR, code, format, args);
    }
    va_end(args);
    return FALSE;
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}
#define AUTO_FD __attribute__((cleanup(close_fd))) int

static int steal_fd(int *fd)
{
    int stolen = *fd;

    *fd = -1;
    return stolen;
}

/* Address */

static gboolean is_loopback(const char *address)
{
    struct in6_addr six;
    struct in_addr four;

    if (inet_pton(AF_INET, address, &four) == 1) {
        return ntohl(four.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    if (inet_pton(AF_INET6, address, &six) == 1) {
        return IN6_IS_ADDR_LOOPBACK(&six);
    }
    return g_ascii_strcasecmp(address, "localhost") == 0;
}

gboolean access_tls_only(const Options *options)
{
    return options->listen_address && !is_loopback(options->listen_address);
}

static gboolean check_address(const Options *options, GError **error)
{
    gboolean known = options->ticket_file || options->sasl;

    if (!access_tls_only(options) || (options->tls_port != 0 && known)) {
        return TRUE;
    }
    return refuse(error, OPTIONS_EXIT_SECURITY, "tcp:%s can be reached by other hosts: add %s%s%s",
                  options->listen_address, options->tls_port == 0 ? "--tls-port" : "",
                  options->tls_port == 0 && !known ? " and " : "", known ? "" : "--ticket-file or --sasl");
}

static gboolean find_group(const char *name, gid_t *ret_group, GError **error)
{
    const struct group *group = getgrnam(name);

    if (!group) {
        return refuse(error, OPTIONS_EXIT_CONFIG, "socket-group: there is no group “%s”", name);
    }
    *ret_group = group->gr_gid;
    return TRUE;
}

/* Ticket */

static char *ticket_path(const Options *options, gboolean *ret_credential, GError **error)
{
    const char *directory = g_getenv("CREDENTIALS_DIRECTORY");

    *ret_credential = g_str_has_prefix(options->ticket_file, OPTIONS_CREDENTIAL);
    if (!*ret_credential) {
        return g_strdup(options->ticket_file);
    }
    if (!directory) {
        refuse(error, OPTIONS_EXIT_CONFIG, "ticket-file: there is no %s, as systemd has not given any credential",
               options->ticket_file);
        return NULL;
    }
    return g_build_filename(directory, options->ticket_file + strlen(OPTIONS_CREDENTIAL), NULL);
}

/* `text` has `size` bytes and room for a zero. */
static gboolean check_ticket(char *text, gsize size, const char *path, GError **error)
{
    if (size > 0 && text[size - 1] == '\n') {
        size--;
    }
    if (size > 0 && text[size - 1] == '\r') {
        size--;
    }
    text[size] = '\0';
    if (size == 0) {
        return refuse(error, OPTIONS_EXIT_CONFIG, "ticket-file: %s is empty", path);
    }
    if (size > ACCESS_TICKET_MAX) {
        return refuse(error, OPTIONS_EXIT_CONFIG, "ticket-file: %s has more than %u bytes", path, ACCESS_TICKET_MAX);
    }
    if (strlen(text) < size || strpbrk(text, "\r\n")) {
        return refuse(error, OPTIONS_EXIT_CONFIG, "ticket-file: %s is not one line of text", path);
    }
    return TRUE;
}

static gboolean check_ticket_file(int fd, gboolean credential, const char *path, GError **error)
{
    struct stat info;

    if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode)) {
        return refuse(error, OPTIONS_EXIT_CONFIG, "ticket-file: %s is not a plain file", path);
    }
    /* In systemd's directory, which nobody else can enter, the bits of the group are those of an access list. */
    if (credential) {
        return TRUE;
    }
    if (info.st_mode & (S_IRWXG | S_IRWXO)) {
        return refuse(error, OPTIONS_EXIT_SECURITY, "ticket-file: %s is open to others, its mode is %04o: make it 0600",
                      path, info.st_mode & 07777);
    }
    return info.st_uid == 0 || info.st_uid == geteuid() ||
           refuse(error, OPTIONS_EXIT_SECURITY, "ticket-file: %s belongs to another user, uid %u", path, info.st_uid);
}

char *access_ticket(const Options *options, GError **error)
{
    char text[ACCESS_TICKET_MAX + 4]; /* with CR, LF and one byte too many, or the zero */
    gboolean credential;
    g_autofree char *path = ticket_path(options, &credential, error);
    char *ticket = NULL;

    if (!path) {
        return NULL;
    }

    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0) {
        refuse(error, OPTIONS_EXIT_CONFIG, "ticket-file: %s: %s", path, g_strerror(errno));
        return NULL;
    }
    if (!check_ticket_file(fd, credential, path, error)) {
        return NULL;
    }

    ssize_t size = read(fd, text, sizeof(text) - 1);

    if (size < 0) {
        refuse(error, OPTIONS_EXIT_CONFIG, "ticket-file: %s: %s", path, g_strerror(errno));
    } else if (check_ticket(text, (gsize)size, path, error)) {
        ticket = g_strdup(text);
    }
    explicit_bzero(text, sizeof(text));
    return ticket;
}

static gboolean check_ticket_option(const Options *options, GError **error)
{
    if (!options->ticket_file || (options->action == OPTIONS_CHECK_CONFIG && !g_getenv("CREDENTIALS_DIRECTORY") &&
                                  g_str_has_prefix(options->ticket_file, OPTIONS_CREDENTIAL))) {
        return TRUE;
    }

    char *ticket = access_ticket(options, error);

    if (!ticket) {
        return FALSE;
    }
    explicit_bzero(ticket, strlen(ticket));
    g_free(ticket);
    return TRUE;
}

/* TLS */

typedef struct Pem {
    const char *key, *path; /* of the setting and its value */
} Pem;

static gboolean wrong_pem(const Pem *pem, const char *what, GError **error)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return refuse(error, OPTIONS_EXIT_CONFIG, "%s: %s: %s%s%s%s", pem->key, pem->path, what, reason ? " (" : "",
                  reason ? reason : "", reason ? ")" : "");
}

static BIO *open_pem(const Pem *pem, GError **error)
{
    AUTO_FD fd = open(pem->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat info;

    if (fd < 0) {
        refuse(error, OPTIONS_EXIT_CONFIG, "%s: %s: %s", pem->key, pem->path, g_strerror(errno));
        return NULL;
    }
    if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode)) {
        refuse(error, OPTIONS_EXIT_CONFIG, "%s: %s is not a plain file", pem->key, pem->path);
        return NULL;
    }
    ERR_clear_error();

    BIO *bio = BIO_new_fd(fd, BIO_CLOSE);

    g_assert(bio);
    steal_fd(&fd);
    return bio;
}

static X509 *read_certificate(const Pem *pem, GError **error)
{
    BIO *bio = open_pem(pem, error);

    if (!bio) {
        return NULL;
    }

    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    BIO_free(bio);
    if (!certificate) {
        wrong_pem(pem, "there is no certificate in PEM in it", error);
        return NULL;
    }
    if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) {
        wrong_pem(pem, "the certificate is not valid yet", error);
        g_clear_pointer(&certificate, X509_free);
    } else if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
        wrong_pem(pem, "the certificate has expired", error);
        g_clear_pointer(&certificate, X509_free);
    }
    return certificate;
}

/* In place of OpenSSL's own, which would ask at the terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *user)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)user;
    return -1;
}

static gboolean check_key(const Pem *pem, X509 *certificate, const char *certificate_path, GError **error)
{
    BIO *bio = open_pem(pem, error);
    struct stat info;

    if (!bio) {
        return FALSE;
    }
    if (fstat((int)BIO_get_fd(bio, NULL), &info) < 0 || info.st_mode & S_IRWXO) {
        BIO_free(bio);
        return refuse(error, OPTIONS_EXIT_SECURITY, "%s: %s is open to everybody: make its mode 0600 or 0640", pem->key,
                      pem->path);
    }

    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);

    BIO_free(bio);
    if (!key) {
        return wrong_pem(pem, "there is no private key in PEM in it that needs no passphrase", error);
    }

    int match = X509_check_private_key(certificate, key);

    EVP_PKEY_free(key);
    if (match != 1) {
        g_autofree char *what = g_strdup_printf("the key is not that of %s", certificate_path);

        return wrong_pem(pem, what, error);
    }
    return TRUE;
}

static gboolean check_tls(const Options *options, GError **error)
{
    if (options->tls_port == 0) {
        return TRUE;
    }

    X509 *ca = read_certificate(&(Pem){ "tls-ca", options->tls_ca }, error);

    if (!ca) {
        return FALSE;
    }
    X509_free(ca);

    X509 *certificate = read_certificate(&(Pem){ "tls-cert", options->tls_cert }, error);
    gboolean good =
        certificate && check_key(&(Pem){ "tls-key", options->tls_key }, certificate, options->tls_cert, error);

    X509_free(certificate);
    return good;
}

gboolean access_check(const Options *options, GError **error)
{
    gid_t group;

    return check_address(options, error) && check_ticket_option(options, error) && check_tls(options, error) &&
           (!options->socket_group || find_group(options->socket_group, &group, error));
}

/* Runtime directory */

/* Whom the sockets' mode lets in, may go through it. */
static mode_t directory_mode(mode_t socket_mode)
{
    return S_IRWXU | (socket_mode & S_IRWXG ? S_IXGRP : 0) | (socket_mode & S_IRWXO ? S_IXOTH : 0);
}

static int open_directory(const Options *options, const char *path, GError **error)
{
    gid_t group = (gid_t)-1;
    struct stat info;

    if (options->socket_group && !find_group(options->socket_group, &group, error)) {
        return -1;
    }
    if (g_mkdir_with_parents(options->runtime_dir, 0755) < 0 || (mkdir(path, 0700) < 0 && errno != EEXIST)) {
        refuse(error, OPTIONS_EXIT_CONFIG, "cannot make the directory %s: %s", path, g_strerror(errno));
        return -1;
    }

    AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &info) < 0) {
        refuse(error, OPTIONS_EXIT_CONFIG, "cannot use the directory %s: %s", path, g_strerror(errno));
        return -1;
    }
    if (info.st_uid != geteuid()) {
        refuse(error, OPTIONS_EXIT_SECURITY, "the directory %s belongs to another user, uid %u", path, info.st_uid);
        return -1;
    }
    if ((options->socket_group && info.st_gid != group && fchown(fd, (uid_t)-1, group) < 0) ||
        fchmod(fd, directory_mode(options->socket_mode)) < 0) {
        refuse(error, OPTIONS_EXIT_CONFIG, "cannot set group and mode of directory %s: %s", path, g_strerror(errno));
        return -1;
    }
    return steal_fd(&fd);
}

static void tell_in_use(const Options *options, int lock, GError **error)
{
    char pid[16] = "";
    ssize_t size = pread(lock, pid, sizeof(pid) - 1, 0);

    pid[MAX(size, 0)] = '\0';
    g_strchomp(pid);
    refuse(error, OPTIONS_EXIT_IN_USE, "another spicevmc serves %s%s%s%s", options->name, *pid ? " (pid " : "", pid,
           *pid ? ")" : "");
}

int access_lock(const Options *options, GError **error)
{
    g_autofree char *path = g_build_filename(options->runtime_dir, options->name, NULL);
    AUTO_FD directory = open_directory(options, path, error);

    if (directory < 0) {
        return -1;
    }

    AUTO_FD lock = openat(directory, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);

    if (lock < 0) {
        refuse(error, OPTIONS_EXIT_CONFIG, "cannot open %s/lock: %s", path, g_strerror(errno));
        return -1;
    }
    if (flock(lock, LOCK_EX | LOCK_NB) < 0) {
        tell_in_use(options, lock, error);
        return -1;
    }

    g_autofree char *pid = g_strdup_printf("%d\n", getpid());

    /* For people; nothing depends on it. */
    if (ftruncate(lock, 0) < 0 || pwrite(lock, pid, strlen(pid), 0) < 0) {
        g_debug("%s/lock: cannot write the process id: %s", path, g_strerror(errno));
    }
    return steal_fd(&lock);
}

/* Sockets */

static gboolean socket_address(const char *path, struct sockaddr_un *ret_address, GError **error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    if (strlen(path) >= sizeof(address.sun_path)) {
        return refuse(error, OPTIONS_EXIT_CONFIG, "%s: the path is too long for a socket", path);
    }
    memcpy(address.sun_path, path, strlen(path));
    *ret_address = address;
    return TRUE;
}

gboolean access_claim_socket(const char *path, GError **error)
{
    struct sockaddr_un address;
    struct stat info;

    if (!socket_address(path, &address, error)) {
        return FALSE;
    }
    if (lstat(path, &info) < 0) {
        return errno == ENOENT || refuse(error, OPTIONS_EXIT_CONFIG, "%s: %s", path, g_strerror(errno));
    }
    if (!S_ISSOCK(info.st_mode)) {
        return refuse(error, OPTIONS_EXIT_CONFIG, "%s is there and is no socket: remove it or name another", path);
    }

    AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        return refuse(error, OPTIONS_EXIT_RUNTIME, "%s: %s", path, g_strerror(errno));
    }
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN) {
        return refuse(error, OPTIONS_EXIT_IN_USE, "%s: another program listens there", path);
    }
    if (errno != ECONNREFUSED) {
        return refuse(error, OPTIONS_EXIT_IN_USE, "%s: cannot find out whether another program listens there: %s", path,
                      g_strerror(errno));
    }
    return unlink(path) == 0 || errno == ENOENT ||
           refuse(error, OPTIONS_EXIT_CONFIG, "%s: nobody listens there any more, but it cannot be removed: %s", path,
                  g_strerror(errno));
}

/* The socket is bound, but nobody can connect yet. */
static gboolean listen_on(int fd, const char *path, mode_t mode, const char *group, gid_t gid, GError **error)
{
    if (group && lchown(path, (uid_t)-1, gid) < 0) {
        return refuse(error, OPTIONS_EXIT_CONFIG, "%s: cannot give it to group %s: %s", path, group, g_strerror(errno));
    }
    if (chmod(path, mode) < 0 || listen(fd, BACKLOG) < 0) {
        return refuse(error, OPTIONS_EXIT_RUNTIME, "%s: %s", path, g_strerror(errno));
    }
    return TRUE;
}

int access_listen(const char *path, mode_t mode, const char *group, GError **error)
{
    struct sockaddr_un address;
    gid_t gid = (gid_t)-1;

    if (!socket_address(path, &address, error) || (group && !find_group(group, &gid, error)) ||
        !access_claim_socket(path, error)) {
        return -1;
    }

    AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        refuse(error, OPTIONS_EXIT_RUNTIME, "%s: %s", path, g_strerror(errno));
        return -1;
    }
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        refuse(error, errno == EADDRINUSE ? OPTIONS_EXIT_IN_USE : OPTIONS_EXIT_CONFIG, "cannot listen on %s: %s", path,
               g_strerror(errno));
        return -1;
    }
    if (!listen_on(fd, path, mode, group, gid, error)) {
        unlink(path);
        return -1;
    }
    return steal_fd(&fd);
}

/* Have the socket listen at one of the addresses of a name; FALSE with errno set, also if there is no socket. */
static gboolean listen_at(int fd, const struct addrinfo *at)
{
    const int on = 1, off = 0;

    return fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
           /* [::] is all addresses, as it is for libspice-server. */
           (at->ai_family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == 0) &&
           /* Whoever finds no place in the backlog tries again only after a second. */
           bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0;
}

int access_listen_tcp(const char *address, guint16 port, GError **error)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    g_autofree gchar *service = g_strdup_printf("%u", port);
    struct addrinfo *list = NULL;
    int unknown = getaddrinfo(address, service, &hints, &list);
    int listening = -1, problem = 0;

    if (unknown) {
        refuse(error, OPTIONS_EXIT_CONFIG, "tcp:%s: %s", address, gai_strerror(unknown));
        return -1;
    }
    for (const struct addrinfo *at = list; at && listening < 0; at = at->ai_next) {
        AUTO_FD fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (listen_at(fd, at)) {
            listening = steal_fd(&fd);
        } else {
            problem = problem == EADDRINUSE ? problem : errno;
        }
    }
    freeaddrinfo(list);
    if (listening < 0) {
        refuse(error, problem == EADDRINUSE ? OPTIONS_EXIT_IN_USE : OPTIONS_EXIT_CONFIG,
               "cannot listen on %s, port %u: %s", address, port, g_strerror(problem));
    }
    return listening;
}
