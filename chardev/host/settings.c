/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings.h"

#include "usbfilter.h"

#include <spice/vd_agent.h>
#include <string.h>
#include <sys/un.h>

/* The longest host name. */
#define ADDRESS_MAX 253
/* libspice-server keeps the names of TLS files in buffers of 256 bytes. */
#define TLS_PATH_MAX 255
#define NAME_MAX_LENGTH 64
#define PICTURE_MAX 16384

gboolean settings_wrong(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (error) {
        *error = g_error_new_valist(OPTIONS_ERROR, OPTIONS_EXIT_CONFIG, format, args);
    }
    va_end(args);
    return FALSE;
}

/* Values */

static gboolean parse_switch(const char *value, gboolean *ret_on, GError **error)
{
    static const struct {
        const char *text;
        gboolean on;
    } words[] = {
        { "on", TRUE },   { "true", TRUE },   { "yes", TRUE }, { "1", TRUE },
        { "off", FALSE }, { "false", FALSE }, { "no", FALSE }, { "0", FALSE },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(words); i++) {
        if (g_ascii_strcasecmp(value, words[i].text) == 0) {
            *ret_on = words[i].on;
            return TRUE;
        }
    }
    return settings_wrong(error, "“%s” is neither on nor off", value);
}

static gboolean parse_number(const char *what, const char *value, guint64 min, guint64 max, guint64 *ret_number,
                             GError **error)
{
    if (g_ascii_string_to_unsigned(value, 10, min, max, ret_number, NULL)) {
        return TRUE;
    }
    return settings_wrong(error, "%s “%s” is not a number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT, what,
                          value, min, max);
}

/* Letters, digits and `more`. */
static gboolean is_made_of(const char *value, const char *more)
{
    while (*value && (g_ascii_isalnum(*value) || strchr(more, *value))) {
        value++;
    }
    return *value == '\0';
}

static gboolean is_name(const char *value, gsize max)
{
    return g_ascii_isalnum(value[0]) && strlen(value) <= max && is_made_of(value, "_.-");
}

static gboolean check_path(const char *path, GError **error)
{
    if (path[0] != '/') {
        return settings_wrong(error, "“%s” is not an absolute path", path);
    }
    for (const char *c = path; *c; c++) {
        if (g_ascii_iscntrl(*c)) {
            return settings_wrong(error, "the path has a control character");
        }
    }
    return TRUE;
}

/* A comma would end the path in QEMU's options and in ours. */
gboolean settings_check_socket_path(const char *path, GError **error)
{
    const gsize max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

    if (!check_path(path, error)) {
        return FALSE;
    }
    if (!g_utf8_validate(path, -1, NULL)) {
        return settings_wrong(error, "the path of a socket must be UTF-8");
    }
    if (strlen(path) > max) {
        return settings_wrong(error, "“%s” is longer than the %zu bytes that the path of a socket may have", path, max);
    }
    return !strchr(path, ',') || settings_wrong(error, "“%s”: the path of a socket must not have a comma", path);
}

static void replace(char **text, const char *value)
{
    g_free(*text);
    *text = g_strdup(value);
}

/* One function for each setting. */

static gboolean set_name(Options *options, const char *value, GError **error)
{
    if (!is_name(value, NAME_MAX_LENGTH)) {
        return settings_wrong(error, "“%s” is not a name: letters, digits, “_”, “.” and “-”, a letter or digit first, "
                                     "at most %d", value, NAME_MAX_LENGTH);
    }
    replace(&options->name, value);
    return TRUE;
}

static gboolean set_runtime_dir(Options *options, const char *value, GError **error)
{
    if (!check_path(value, error)) {
        return FALSE;
    }
    replace(&options->runtime_dir, value);
    return TRUE;
}

/* ADDRESS, ADDRESS:PORT, [ADDRESS] or [ADDRESS]:PORT; without a port only that with TLS. */
static gboolean set_tcp(Options *options, const char *value, GError **error)
{
    g_autofree char *address = NULL;
    const char *port = NULL;
    guint64 number = 0;

    if (value[0] == '[') {
        const char *end = strchr(value, ']');

        if (!end || (end[1] != '\0' && end[1] != ':')) {
            return settings_wrong(error, "“tcp:%s” is not tcp:[ADDRESS]:PORT", value);
        }
        address = g_strndup(value + 1, end - value - 1);
        port = end[1] ? end + 2 : NULL;
    } else {
        const char *colon = strchr(value, ':');

        if (colon && strchr(colon + 1, ':')) {
            return settings_wrong(error, "“tcp:%s”: an address with colons stands in brackets", value);
        }
        address = colon ? g_strndup(value, colon - value) : g_strdup(value);
        port = colon ? colon + 1 : NULL;
    }
    if (address[0] == '\0') {
        return settings_wrong(error, "“tcp:%s” has no address; 0.0.0.0 and [::] are all of this host", value);
    }
    if (strlen(address) > ADDRESS_MAX || !is_made_of(address, ".:-%_")) {
        return settings_wrong(error, "“%s” is not an address", address);
    }
    if (port && !parse_number("the port", port, 1, G_MAXUINT16, &number, error)) {
        return FALSE;
    }
    g_clear_pointer(&options->listen_path, g_free);
    replace(&options->listen_address, address);
    options->listen_port = (guint16)number;
    return TRUE;
}

static gboolean set_listen(Options *options, const char *value, GError **error)
{
    if (g_str_has_prefix(value, "tcp:")) {
        return set_tcp(options, value + strlen("tcp:"), error);
    }
    if (!g_str_has_prefix(value, "unix:")) {
        return settings_wrong(error, "“%s” is neither unix:PATH nor tcp:ADDRESS:PORT", value);
    }
    value += strlen("unix:");
    if (!settings_check_socket_path(value, error)) {
        return FALSE;
    }
    g_clear_pointer(&options->listen_address, g_free);
    options->listen_port = 0;
    replace(&options->listen_path, value);
    return TRUE;
}

static gboolean set_tls_port(Options *options, const char *value, GError **error)
{
    guint64 number;

    if (!parse_number("the port", value, 1, G_MAXUINT16, &number, error)) {
        return FALSE;
    }
    options->tls_port = (guint16)number;
    return TRUE;
}

static gboolean set_tls_file(char **file, const char *value, GError **error)
{
    if (!check_path(value, error)) {
        return FALSE;
    }
    if (strlen(value) > TLS_PATH_MAX) {
        return settings_wrong(error, "“%s” is longer than %d bytes", value, TLS_PATH_MAX);
    }
    replace(file, value);
    return TRUE;
}

static gboolean set_tls_ca(Options *options, const char *value, GError **error)
{
    return set_tls_file(&options->tls_ca, value, error);
}

static gboolean set_tls_cert(Options *options, const char *value, GError **error)
{
    return set_tls_file(&options->tls_cert, value, error);
}

static gboolean set_tls_key(Options *options, const char *value, GError **error)
{
    return set_tls_file(&options->tls_key, value, error);
}

static gboolean set_ticket_file(Options *options, const char *value, GError **error)
{
    if (g_str_has_prefix(value, OPTIONS_CREDENTIAL)) {
        if (!is_name(value + strlen(OPTIONS_CREDENTIAL), LIMIT_FILE_NAME)) {
            return settings_wrong(error, "“%s” does not name a credential", value);
        }
    } else if (!check_path(value, error)) {
        return FALSE;
    }
    replace(&options->ticket_file, value);
    return TRUE;
}

static gboolean set_sasl(Options *options, const char *value, GError **error)
{
    return parse_switch(value, &options->sasl, error);
}

static gboolean set_socket_mode(Options *options, const char *value, GError **error)
{
    guint64 mode;

    if (!g_ascii_string_to_unsigned(value, 8, 0, 0777, &mode, NULL)) {
        return settings_wrong(error, "“%s” is not an octal mode such as 0660", value);
    }
    options->socket_mode = (mode_t)mode;
    return TRUE;
}

static gboolean set_socket_group(Options *options, const char *value, GError **error)
{
    if (value[0] == '\0') {
        return settings_wrong(error, "there is no group of no name");
    }
    replace(&options->socket_group, value);
    return TRUE;
}

static gboolean set_qmp(Options *options, const char *value, GError **error)
{
    if (!settings_check_socket_path(value, error)) {
        return FALSE;
    }
    replace(&options->qmp, value);
    return TRUE;
}

void settings_clear_displays(Options *options)
{
    for (guint i = 0; i < LIMIT_DISPLAYS; i++) {
        g_free(options->display[i].device);
    }
    memset(options->display, 0, sizeof(options->display));
    options->n_displays = 0;
}

/* N,WxH[,device=ID[,head=H]] */
static gboolean set_display(Options *options, const char *value, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(value, ",", -1);
    g_auto(GStrv) size = parts[0] && parts[1] ? g_strsplit(parts[1], "x", 2) : NULL;
    const char *device = NULL, *head = NULL;
    guint64 number, w, h, head_number = 0;

    if (!size || !size[0] || !size[1]) {
        return settings_wrong(error, "“%s” is not NUMBER,WIDTHxHEIGHT", value);
    }
    if (!parse_number("display", parts[0], 0, LIMIT_DISPLAYS - 1, &number, error) ||
        !parse_number("width", size[0], 1, PICTURE_MAX, &w, error) ||
        !parse_number("height", size[1], 1, PICTURE_MAX, &h, error)) {
        return FALSE;
    }
    for (char **part = parts + 2; *part; part++) {
        if (!device && g_str_has_prefix(*part, "device=")) {
            device = *part + strlen("device=");
        } else if (!head && g_str_has_prefix(*part, "head=")) {
            head = *part + strlen("head=");
        } else {
            return settings_wrong(error, "“%s” in “%s” is neither device=ID nor head=NUMBER, once each", *part, value);
        }
    }
    if (device && !is_name(device, NAME_MAX_LENGTH)) {
        return settings_wrong(error, "“%s” is not an id of a device in QEMU", device);
    }
    if (head && !device) {
        return settings_wrong(error, "“%s”: a head is one of a device, and there is no device=ID", value);
    }
    if (head && !parse_number("head", head, 0, LIMIT_DISPLAYS - 1, &head_number, error)) {
        return FALSE;
    }

    OptionsDisplay *display = &options->display[number];

    if (display->w > 0) {
        return settings_wrong(error, "display %" G_GUINT64_FORMAT " is there twice", number);
    }
    *display = (OptionsDisplay){
        .w = (guint32)w, .h = (guint32)h, .device = g_strdup(device), .head = (guint32)head_number
    };
    options->n_displays++;
    return TRUE;
}

void settings_clear_channels(Options *options)
{
    for (guint i = 0; i < options->n_channels; i++) {
        g_free(options->channel[i].path);
        g_free(options->channel[i].name);
    }
    memset(options->channel, 0, sizeof(options->channel));
    options->n_channels = 0;
}

/* What the others leave free for this one. */
static gboolean check_channel(const Options *options, const OptionsChannel *channel, GError **error)
{
    const char *type = options_channel_name(channel->type);

    if (options->n_channels == OPTIONS_CHANNELS_MAX) {
        return settings_wrong(error, "there are more than %u channels", OPTIONS_CHANNELS_MAX);
    }
    for (guint i = 0; i < options->n_channels; i++) {
        const OptionsChannel *other = &options->channel[i];

        if (other->type == channel->type && channel->type != OPTIONS_USBREDIR && channel->type != OPTIONS_PORT) {
            return settings_wrong(error, "channel %s is there twice", type);
        }
        if (g_str_equal(other->path, channel->path)) {
            return settings_wrong(error, "channels %s and %s have the same path %s", options_channel_name(other->type),
                                  type, channel->path);
        }
        if (channel->name && other->name && g_str_equal(other->name, channel->name)) {
            return settings_wrong(error, "two ports have the name %s", channel->name);
        }
    }
    return TRUE;
}

/* TYPE,path=SOCKET[,server=off][,name=NAME] */
static gboolean set_channel(Options *options, const char *value, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(value, ",", -1);
    OptionsChannel channel = { .listen = TRUE };
    const char *path = NULL, *server = NULL, *name = NULL;

    while (channel.type < OPTIONS_CHANNEL_TYPES && g_strcmp0(parts[0], options_channel_name(channel.type)) != 0) {
        channel.type++;
    }
    if (channel.type == OPTIONS_CHANNEL_TYPES) {
        return settings_wrong(error, "“%s” does not begin with vdagent, pvmouse, usbredir, smartcard or port", value);
    }
    for (char **part = parts + 1; *part; part++) {
        if (!path && g_str_has_prefix(*part, "path=")) {
            path = *part + strlen("path=");
        } else if (!server && g_str_has_prefix(*part, "server=")) {
            server = *part + strlen("server=");
        } else if (!name && g_str_has_prefix(*part, "name=")) {
            name = *part + strlen("name=");
        } else {
            return settings_wrong(error, "“%s” in “%s” is not path=SOCKET, server=off or name=NAME, once each", *part,
                                  value);
        }
    }
    if (!path) {
        return settings_wrong(error, "“%s” has no path=SOCKET", value);
    }
    if (!settings_check_socket_path(path, error) || (server && !parse_switch(server, &channel.listen, error))) {
        return FALSE;
    }
    if (channel.type == OPTIONS_PORT) {
        if (!name || !is_name(name, NAME_MAX_LENGTH)) {
            return settings_wrong(error, "“%s” has no name=NAME of at most %d letters, digits, “_”, “.” and “-”", value,
                                  NAME_MAX_LENGTH);
        }
        if (g_str_equal(name, OPTIONS_NAME_VDAGENT) || g_str_equal(name, OPTIONS_NAME_PVMOUSE)) {
            return settings_wrong(error, "“%s”: that name has a channel of its own type", value);
        }
        if (g_str_equal(name, "org.spice-space.stream.0")) {
            return settings_wrong(error, "“%s”: libspice-server would take that name for a display of the guest's", value);
        }
    } else if (name) {
        return settings_wrong(error, "“%s”: only a port has a name", value);
    }
    channel.path = (char *)path;
    channel.name = (char *)name;
    if (!check_channel(options, &channel, error)) {
        return FALSE;
    }
    channel.path = g_strdup(path);
    channel.name = g_strdup(name);
    options->channel[options->n_channels++] = channel;
    return TRUE;
}

static gboolean set_clipboard_to_guest(Options *options, const char *value, GError **error)
{
    return parse_switch(value, &options->policy.clipboard_to_guest, error);
}

static gboolean set_clipboard_from_guest(Options *options, const char *value, GError **error)
{
    return parse_switch(value, &options->policy.clipboard_from_guest, error);
}

static gboolean set_clipboard_types(Options *options, const char *value, GError **error)
{
    static const struct {
        const char *name;
        guint type;
    } names[] = {
        { "text", VD_AGENT_CLIPBOARD_UTF8_TEXT },  { "png", VD_AGENT_CLIPBOARD_IMAGE_PNG },
        { "bmp", VD_AGENT_CLIPBOARD_IMAGE_BMP },   { "tiff", VD_AGENT_CLIPBOARD_IMAGE_TIFF },
        { "jpg", VD_AGENT_CLIPBOARD_IMAGE_JPG },   { "files", VD_AGENT_CLIPBOARD_FILE_LIST },
    };
    g_auto(GStrv) words = g_strsplit_set(value, ";,", -1);
    guint32 types = 0;

    for (char **word = words; *word; word++) {
        gsize i = 0;

        g_strstrip(*word);
        if (**word == '\0') {
            continue;
        }
        while (i < G_N_ELEMENTS(names) && !g_str_equal(*word, names[i].name)) {
            i++;
        }
        if (i == G_N_ELEMENTS(names)) {
            return settings_wrong(error, "“%s” is not text, png, bmp, tiff, jpg or files", *word);
        }
        types |= 1u << names[i].type;
    }
    if (types == 0) {
        return settings_wrong(error, "there is no type; to forbid all is for clipboard-to-guest and "
                                     "clipboard-from-guest");
    }
    options->policy.clipboard_types = types;
    return TRUE;
}

static gboolean set_clipboard_max_size(Options *options, const char *value, GError **error)
{
    gsize length = strlen(value);
    const char *suffixes = "KMG", *suffix = length > 0 ? strchr(suffixes, g_ascii_toupper(value[length - 1])) : NULL;
    int shift = suffix ? 10 * (int)(suffix - suffixes + 1) : 0;
    g_autofree char *digits = g_strndup(value, suffix ? length - 1 : length);
    guint64 size;

    if (!g_ascii_string_to_unsigned(digits, 10, 0, G_MAXUINT32 >> shift, &size, NULL)) {
        return settings_wrong(error, "“%s” is not a number of bytes below 4G, such as 65536, 64K or 16M", value);
    }
    options->policy.clipboard_max_size = (guint32)(size << shift);
    return TRUE;
}

static gboolean set_files(Options *options, const char *value, GError **error)
{
    return parse_switch(value, &options->policy.files, error);
}

static gboolean set_pointer(Options *options, const char *value, GError **error)
{
    return parse_switch(value, &options->policy.pointer, error);
}

static gboolean set_keyboard(Options *options, const char *value, GError **error)
{
    return parse_switch(value, &options->policy.keyboard, error);
}

static gboolean set_usbredir_filter(Options *options, const char *value, GError **error)
{
    g_autoptr(Usbfilter) filter = usbfilter_new(value, error);

    if (!filter) {
        return FALSE;
    }
    replace(&options->policy.usbredir_filter, value);
    return TRUE;
}

const Setting settings[] = {
    { "vm", "name", set_name, NULL },
    { "vm", "runtime-dir", set_runtime_dir, NULL },
    { "vm", "listen", set_listen, NULL },
    { "vm", "tls-port", set_tls_port, NULL },
    { "vm", "tls-ca", set_tls_ca, NULL },
    { "vm", "tls-cert", set_tls_cert, NULL },
    { "vm", "tls-key", set_tls_key, NULL },
    { "vm", "ticket-file", set_ticket_file, NULL },
    { "vm", "sasl", set_sasl, NULL },
    { "vm", "socket-mode", set_socket_mode, NULL },
    { "vm", "socket-group", set_socket_group, NULL },
    { "vm", "qmp", set_qmp, NULL },
    { "vm", "display", set_display, settings_clear_displays },
    { "vm", "channel", set_channel, settings_clear_channels },
    { "policy", "clipboard-to-guest", set_clipboard_to_guest, NULL },
    { "policy", "clipboard-from-guest", set_clipboard_from_guest, NULL },
    { "policy", "clipboard-types", set_clipboard_types, NULL },
    { "policy", "clipboard-max-size", set_clipboard_max_size, NULL },
    { "policy", "files", set_files, NULL },
    { "policy", "pointer", set_pointer, NULL },
    { "policy", "keyboard", set_keyboard, NULL },
    { "policy", "usbredir-filter", set_usbredir_filter, NULL },
    { NULL, NULL, NULL, NULL },
};

const Setting *settings_find(const char *group, const char *name)
{
    for (const Setting *setting = settings; setting->group; setting++) {
        if (g_str_equal(setting->group, group) && g_str_equal(setting->name, name)) {
            return setting;
        }
    }
    return NULL;
}
