/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "options.h"
#include "config.h"
#include "settings.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUNTIME_DIR "/run/spicevmc"

G_DEFINE_QUARK(spicevmc-options-error-quark, options_error)

OptionsExit options_exit(const GError *error)
{
    return error->domain == OPTIONS_ERROR ? (OptionsExit)error->code : OPTIONS_EXIT_RUNTIME;
}

static const char *const channel_names[OPTIONS_CHANNEL_TYPES] = {
    [OPTIONS_VDAGENT] = "vdagent",     [OPTIONS_PVMOUSE] = "pvmouse", [OPTIONS_USBREDIR] = "usbredir",
    [OPTIONS_SMARTCARD] = "smartcard", [OPTIONS_PORT] = "port",
};

const char *options_channel_name(OptionsChannelType type)
{
    return channel_names[type];
}

/* Files */

static gboolean read_value(Options *options, GKeyFile *file, const Setting *setting, GError **error)
{
    g_autoptr(GError) failure = NULL; /* an unknown escape sequence is an error, but there is a value too */
    g_autofree char *value = g_key_file_get_string(file, setting->group, setting->name, &failure);

    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    return setting->set(options, g_strstrip(value), error);
}

static gboolean read_list(Options *options, GKeyFile *file, const Setting *setting, GError **error)
{
    g_autoptr(GError) failure = NULL;
    gsize count;
    g_auto(GStrv) values = g_key_file_get_string_list(file, setting->group, setting->name, &count, &failure);

    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    setting->clear(options);
    for (gsize i = 0; i < count; i++) {
        g_strstrip(values[i]);
        if (*values[i] && !setting->set(options, values[i], error)) {
            return FALSE;
        }
    }
    return TRUE;
}

/* An unknown key is an error and not a warning: it may be a misspelt prohibition. */
static gboolean read_file(Options *options, const char *path, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();

    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, error)) {
        return FALSE;
    }

    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);

    for (char **group = groups; *group; group++) {
        g_auto(GStrv) names = g_key_file_get_keys(file, *group, NULL, NULL);

        for (char **name = names; name && *name; name++) {
            const Setting *setting = settings_find(*group, *name);

            if (!setting) {
                return settings_wrong(error, "there is no key “%s” in group [%s]", *name, *group);
            }
            if (!(setting->clear ? read_list : read_value)(options, file, setting, error)) {
                g_prefix_error(error, "[%s] %s: ", *group, *name);
                return FALSE;
            }
        }
    }
    return TRUE;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The paths of all drop-ins of a directory, which need not exist, in order. */
static GPtrArray *find_drop_ins(const char *directory, GError **error)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) failure = NULL;
    g_autoptr(GDir) dir = g_dir_open(directory, 0, &failure);
    const char *name;

    if (!dir && !g_error_matches(failure, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
        settings_wrong(error, "%s", failure->message);
        return NULL;
    }
    while (dir && (name = g_dir_read_name(dir))) {
        if (g_str_has_suffix(name, ".conf")) {
            g_ptr_array_add(paths, g_build_filename(directory, name, NULL));
        }
    }
    g_ptr_array_sort(paths, compare_names);
    return g_steal_pointer(&paths);
}

/*
 * The file and its drop-ins. Without `wanted` the file may be missing, but only that: what cannot be read may hold a
 * prohibition.
 */
static gboolean read_files(Options *options, const char *path, gboolean wanted, GError **error)
{
    g_autofree char *directory = g_strconcat(path, ".d", NULL);
    g_autoptr(GPtrArray) files = find_drop_ins(directory, error);

    if (!files) {
        return FALSE;
    }
    g_ptr_array_insert(files, 0, g_strdup(path));
    for (guint i = 0; i < files->len; i++) {
        g_autoptr(GError) failure = NULL;

        if (!read_file(options, files->pdata[i], &failure) &&
            (wanted || i > 0 || !g_error_matches(failure, G_FILE_ERROR, G_FILE_ERROR_NOENT))) {
            return settings_wrong(error, "%s: %s", (const char *)files->pdata[i], failure->message);
        }
    }
    return TRUE;
}

/* Command line */

typedef struct CommandLine {
    GPtrArray *said; /* option and value by turns, as they come */
    char *config;
    gboolean check, qemu, libvirt, vv, version;
    gboolean status, human, debug;
    char *status_name;
    char **rest;
} CommandLine;

static gboolean keep(const char *option, const char *value, gpointer user, GError **error)
{
    CommandLine *line = user;

    (void)error;
    g_ptr_array_add(line->said, g_strdup(option + strlen("--")));
    g_ptr_array_add(line->said, g_strdup(value ? value : "on"));
    return TRUE;
}

static gboolean keep_status(const char *option, const char *value, gpointer user, GError **error)
{
    CommandLine *line = user;

    (void)option;
    (void)error;
    line->status = TRUE;
    g_free(line->status_name);
    line->status_name = g_strdup(value);
    return TRUE;
}

/* All values of one option, in order. The result borrows them. */
static GPtrArray *values_of(const CommandLine *line, const char *option)
{
    GPtrArray *values = g_ptr_array_new();

    for (guint i = 0; i < line->said->len; i += 2) {
        if (g_str_equal(line->said->pdata[i], option)) {
            g_ptr_array_add(values, line->said->pdata[i + 1]);
        }
    }
    return values;
}

static gboolean apply_option(Options *options, const CommandLine *line, const Setting *setting, GError **error)
{
    g_autoptr(GPtrArray) values = values_of(line, setting->name);

    if (setting->clear && values->len > 0) {
        setting->clear(options);
    } else if (values->len > 1) {
        return settings_wrong(error, "--%s is there twice", setting->name);
    }
    for (guint i = 0; i < values->len; i++) {
        if (!setting->set(options, values->pdata[i], error)) {
            g_prefix_error(error, "--%s: ", setting->name);
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean apply_policy(Options *options, const char *said, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(said, "=", 2);
    const Setting *setting = parts[0] ? settings_find("policy", parts[0]) : NULL;

    if (!setting || !parts[1]) {
        return settings_wrong(error, "--policy: “%s” is not KEY=VALUE with a key of [policy]", said);
    }
    if (!setting->set(options, parts[1], error)) {
        g_prefix_error(error, "--policy %s: ", setting->name);
        return FALSE;
    }
    return TRUE;
}

static gboolean apply_line(Options *options, const CommandLine *line, GError **error)
{
    for (const Setting *setting = settings; setting->group; setting++) {
        if (g_str_equal(setting->group, "vm") && !apply_option(options, line, setting, error)) {
            return FALSE;
        }
    }

    g_autoptr(GPtrArray) policy = values_of(line, "policy");

    for (guint i = 0; i < policy->len; i++) {
        if (!apply_policy(options, policy->pdata[i], error)) {
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean read_line(CommandLine *line, int argc, char **argv, GError **error)
{
    const GOptionEntry entries[] = {
#define KEY(name, help, placeholder) { name, 0, G_OPTION_FLAG_FILENAME, G_OPTION_ARG_CALLBACK, keep, help, placeholder }
        KEY("name", "Name of the virtual machine", "NAME"),
        KEY("listen", "Where clients connect: unix:PATH or tcp:ADDRESS:PORT (default unix:D/NAME/spice.sock)", "WHERE"),
        KEY("tls-port", "For SPICE clients with TLS, on the address of --listen", "PORT"),
        KEY("tls-ca", "Certificate authority, PEM (default " CONFIG_DIR "/vm/NAME/ca-cert.pem)", "FILE"),
        KEY("tls-cert", "Certificate, PEM (default " CONFIG_DIR "/vm/NAME/server-cert.pem)", "FILE"),
        KEY("tls-key", "Its key, PEM (default " CONFIG_DIR "/vm/NAME/server-key.pem)", "FILE"),
        KEY("ticket-file", "File with the password for clients, or credential:NAME", "FILE"),
        { "sasl", 0, G_OPTION_FLAG_NO_ARG, G_OPTION_ARG_CALLBACK, keep, "Have clients authenticate by SASL", NULL },
        KEY("qmp", "Socket of QEMU's monitor", "PATH"),
        KEY("display", "A display and the size of its blank picture (default 0,1024x768)",
            "N,WxH[,device=ID[,head=H]]"),
        KEY("channel", "A channel: vdagent, pvmouse, usbredir, smartcard or port",
            "TYPE,path=SOCKET[,server=off][,name=NAME]"),
        KEY("policy", "What may pass: a key of [policy] and its value", "KEY=VALUE"),
        KEY("socket-mode", "Mode of the sockets made here (default 0600, with --socket-group 0660)", "MODE"),
        KEY("socket-group", "Group of the sockets made here", "GROUP"),
        KEY("runtime-dir", "Directory D for D/NAME/ (default " RUNTIME_DIR ")", "DIR"),
#undef KEY
        { "config", 0, 0, G_OPTION_ARG_FILENAME, &line->config, "Settings (default " CONFIG_DIR "/vm/NAME.conf)",
          "FILE" },
        { "check-config", 0, 0, G_OPTION_ARG_NONE, &line->check, "Check settings and files, then exit", NULL },
        { "print-qemu-args", 0, 0, G_OPTION_ARG_NONE, &line->qemu, "Print what QEMU needs on its command line", NULL },
        { "print-libvirt-xml", 0, 0, G_OPTION_ARG_NONE, &line->libvirt, "Print a domain for libvirt", NULL },
        { "print-vv", 0, 0, G_OPTION_ARG_NONE, &line->vv, "Print a connection file for remote-viewer", NULL },
        { "status", 0, G_OPTION_FLAG_OPTIONAL_ARG, G_OPTION_ARG_CALLBACK, keep_status,
          "Print how the machine's daemon is doing, as JSON", "NAME" },
        { "human", 0, 0, G_OPTION_ARG_NONE, &line->human, "With --status: for people", NULL },
        { "debug", 0, 0, G_OPTION_ARG_NONE, &line->debug, "Log more", NULL },
        { "version", 0, 0, G_OPTION_ARG_NONE, &line->version, "Print the version and exit", NULL },
        { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &line->rest, NULL, NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    g_autoptr(GOptionContext) context = g_option_context_new("- SPICE server of a virtual machine");
    GOptionGroup *group = g_option_group_new(NULL, NULL, NULL, line, NULL);
    g_auto(GStrv) args = g_new0(char *, argc + 1);
    g_autoptr(GError) failure = NULL;

    for (int i = 0; i < argc; i++) {
        args[i] = g_strdup(argv[i]);
    }
    g_option_group_add_entries(group, entries);
    g_option_context_set_main_group(context, group);
    g_option_context_set_description(context, "Exit status: 0 well, 1 failed while running, 2 wrong settings, "
                                              "3 in use, 4 refused as open to others. See spicevmc(8).");
    return g_option_context_parse_strv(context, &args, &failure) || settings_wrong(error, "%s", failure->message);
}

static void line_clear(CommandLine *line)
{
    g_ptr_array_unref(line->said);
    g_free(line->config);
    g_free(line->status_name);
    g_strfreev(line->rest);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CommandLine, line_clear)

static gboolean choose_action(Options *options, CommandLine *line, GError **error)
{
    const struct {
        gboolean chosen;
        OptionsAction action;
    } actions[] = {
        { line->check, OPTIONS_CHECK_CONFIG },        { line->qemu, OPTIONS_PRINT_QEMU_ARGS },
        { line->libvirt, OPTIONS_PRINT_LIBVIRT_XML }, { line->vv, OPTIONS_PRINT_VV },
        { line->status, OPTIONS_STATUS },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(actions); i++) {
        if (actions[i].chosen && options->action != OPTIONS_RUN) {
            return settings_wrong(error, "only one of --check-config, --print-… and --status can be done at once");
        }
        if (actions[i].chosen) {
            options->action = actions[i].action;
        }
    }
    if (line->human && !line->status) {
        return settings_wrong(error, "--human goes with --status only");
    }
    /* "--status --human NAME": the name was not taken as the option's. */
    if (line->status && !line->status_name && line->rest && !line->rest[1]) {
        line->status_name = line->rest[0];
        g_clear_pointer(&line->rest, g_free);
    }
    if (line->status_name) {
        g_ptr_array_add(line->said, g_strdup("name"));
        g_ptr_array_add(line->said, g_strdup(line->status_name));
    }
    if (line->rest) {
        return settings_wrong(error, "“%s” belongs to no option", line->rest[0]);
    }
    options->human = line->human;
    options->debug = line->debug;
    return TRUE;
}

/* The name is needed before the file that it names; from the file itself only with --config. */
static gboolean load(Options *options, const CommandLine *line, GError **error)
{
    if (!apply_option(options, line, settings_find("vm", "name"), error)) {
        return FALSE;
    }
    if (!line->config && !options->name) {
        return settings_wrong(error, "--name is missing");
    }

    g_autofree char *path = line->config ? g_strdup(line->config) :
                                           g_strdup_printf("%s/vm/%s.conf", CONFIG_DIR, options->name);
    /* Who may ask for the status need not be allowed to read the file, which can change nothing but the directory. */
    gboolean skip = !line->config && line->status && access(path, R_OK) != 0;

    return (skip || read_files(options, path, line->config != NULL, error)) && apply_line(options, line, error);
}

static gboolean take_path(GHashTable *taken, char *path, const char *what, GError **error)
{
    const char *other = path ? g_hash_table_lookup(taken, path) : NULL;

    if (other) {
        settings_wrong(error, "%s and %s have the same path %s", other, what, path);
        g_free(path);
        return FALSE;
    }
    if (path) {
        g_hash_table_insert(taken, path, (gpointer)what);
    }
    return TRUE;
}

static gboolean check_paths(const Options *options, GError **error)
{
    g_autoptr(GHashTable) taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *control = g_build_filename(options->runtime_dir, options->name, "control", NULL);

    if (!settings_check_socket_path(control, error)) {
        g_prefix_error(error, "runtime-dir: ");
        return FALSE;
    }
    if (options->listen_path && !settings_check_socket_path(options->listen_path, error)) {
        g_prefix_error(error, "listen: "); /* the default, whose name is longer */
        return FALSE;
    }
    if (!take_path(taken, g_steal_pointer(&control), "the control socket", error) ||
        !take_path(taken, g_build_filename(options->runtime_dir, options->name, "lock", NULL), "the lock", error) ||
        !take_path(taken, g_strdup(options->listen_path), "listen", error) ||
        !take_path(taken, g_strdup(options->qmp), "qmp", error)) {
        return FALSE;
    }
    for (guint i = 0; i < options->n_channels; i++) {
        const OptionsChannel *channel = &options->channel[i];

        if (!take_path(taken, g_strdup(channel->path), channel_names[channel->type], error)) {
            return FALSE;
        }
    }
    return TRUE;
}

static void default_tls_file(const Options *options, char **file, const char *name)
{
    if (!*file) {
        *file = g_strdup_printf("%s/vm/%s/%s", CONFIG_DIR, options->name, name);
    }
}

static gboolean finish_tls(Options *options, GError **error)
{
    if (!options->tls_port) {
        return !(options->tls_ca || options->tls_cert || options->tls_key) ||
               settings_wrong(error, "tls-ca, tls-cert and tls-key need tls-port");
    }
    if (!options->listen_address) {
        return settings_wrong(error, "tls-port needs listen=tcp:ADDRESS");
    }
    if (options->tls_port == options->listen_port) {
        return settings_wrong(error, "tls-port and the port of listen are both %u", options->tls_port);
    }
    default_tls_file(options, &options->tls_ca, "ca-cert.pem");
    default_tls_file(options, &options->tls_cert, "server-cert.pem");
    default_tls_file(options, &options->tls_key, "server-key.pem");
    return TRUE;
}

/* What remained unsaid, and what does not fit together. */
static gboolean finish(Options *options, GError **error)
{
    if (!options->name) {
        return settings_wrong(error, "--name is missing");
    }
    if (!options->listen_path && !options->listen_address) {
        options->listen_path = g_build_filename(options->runtime_dir, options->name, "spice.sock", NULL);
    }
    if (options->listen_address && !options->listen_port && !options->tls_port) {
        return settings_wrong(error, "listen=tcp:%s has no port, and there is no tls-port", options->listen_address);
    }
    if (options->ticket_file && options->sasl) {
        return settings_wrong(error, "ticket-file and sasl: clients can be asked for one of them only");
    }
    if (options->sasl && options->listen_path) {
        return settings_wrong(error, "sasl needs listen=tcp:ADDRESS: Cyrus SASL knows no unix sockets");
    }
    if (options->n_displays == 0) {
        options->display[0] = (OptionsDisplay){ .w = 1024, .h = 768 };
        options->n_displays = 1;
    }
    for (guint i = 0; i < options->n_displays; i++) {
        if (options->display[i].w == 0) {
            return settings_wrong(error, "display %u is missing: displays are numbered from 0, without a gap", i);
        }
    }
    if (options->socket_mode == (mode_t)-1) {
        options->socket_mode = options->socket_group ? 0660 : 0600;
    }
    if (!finish_tls(options, error) || !check_paths(options, error)) {
        return FALSE;
    }
    return options->n_channels > 0 || options->action == OPTIONS_PRINT_VV || options->action == OPTIONS_STATUS ||
           settings_wrong(error, "there is no channel");
}

Options *options_parse(int argc, char **argv, GError **error)
{
    g_autoptr(Options) options = g_new0(Options, 1);
    g_auto(CommandLine) line = { .said = g_ptr_array_new_with_free_func(g_free) };

    options->runtime_dir = g_strdup(RUNTIME_DIR);
    options->socket_mode = (mode_t)-1;
    options->policy = (OptionsPolicy){ .clipboard_to_guest = TRUE,
                                       .clipboard_from_guest = TRUE,
                                       .clipboard_types = G_MAXUINT32,
                                       .files = TRUE,
                                       .pointer = TRUE,
                                       .keyboard = TRUE };
    if (!read_line(&line, argc, argv, error)) {
        return NULL;
    }
    if (line.version) {
        g_print("spicevmc %s\n", SPICE_PV_VERSION);
        exit(OPTIONS_EXIT_OK);
    }
    if (!choose_action(options, &line, error) || !load(options, &line, error) || !finish(options, error)) {
        return NULL;
    }
    return g_steal_pointer(&options);
}

void options_free(Options *options)
{
    if (!options) {
        return;
    }
    settings_clear_channels(options);
    settings_clear_displays(options);
    g_free(options->name);
    g_free(options->runtime_dir);
    g_free(options->listen_path);
    g_free(options->listen_address);
    g_free(options->tls_ca);
    g_free(options->tls_cert);
    g_free(options->tls_key);
    g_free(options->ticket_file);
    g_free(options->socket_group);
    g_free(options->qmp);
    g_free(options->policy.usbredir_filter);
    g_free(options);
}
