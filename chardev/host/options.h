/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * options.h - what spicevmc is told about one virtual machine: command line, and the file with the same keys.
 *
 * The file is CONFIG_DIR/vm/NAME.conf (or --config FILE), a GKeyFile, with drop-ins in FILE.d/; what the command line
 * says wins over it, key by key, and a list on the command line (channels, displays) takes the place of the file's
 * list. Nothing here is opened or connected: see access.h for what must hold before anything listens.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "limits.h"

#include <glib.h>
#include <sys/types.h>

/* Exit statuses of spicevmc, a contract. */
typedef enum OptionsExit {
    OPTIONS_EXIT_OK = 0,
    OPTIONS_EXIT_RUNTIME = 1,  /* something failed while running */
    OPTIONS_EXIT_CONFIG = 2,   /* command line or file is wrong */
    OPTIONS_EXIT_IN_USE = 3,   /* another daemon serves this machine, or a socket or port is taken */
    OPTIONS_EXIT_SECURITY = 4  /* refused: what was asked for would be open to others */
} OptionsExit;

/* Errors carry one of these as their code; the domain is OPTIONS_ERROR. Other domains mean OPTIONS_EXIT_RUNTIME. */
#define OPTIONS_ERROR options_error_quark()
GQuark options_error_quark(void);

/* Exit status for an error of any domain. */
OptionsExit options_exit(const GError *error);

typedef enum OptionsAction {
    OPTIONS_RUN,
    OPTIONS_CHECK_CONFIG,
    OPTIONS_PRINT_QEMU_ARGS,
    OPTIONS_PRINT_LIBVIRT_XML,
    OPTIONS_PRINT_VV,
    OPTIONS_STATUS
} OptionsAction;

typedef enum OptionsChannelType {
    OPTIONS_VDAGENT,
    OPTIONS_PVMOUSE,
    OPTIONS_USBREDIR,
    OPTIONS_SMARTCARD,
    OPTIONS_PORT
} OptionsChannelType;
#define OPTIONS_CHANNEL_TYPES 5

/* The ports of these two in the guest. */
#define OPTIONS_NAME_VDAGENT "com.redhat.spice.0"
#define OPTIONS_NAME_PVMOUSE "org.spice-space.pvmouse.0"

/* Before the name of a systemd credential, in place of a path. */
#define OPTIONS_CREDENTIAL "credential:"

/* "vdagent", "pvmouse", "usbredir", "smartcard", "port" */
const char *options_channel_name(OptionsChannelType type);

/* At most one vdagent, one pvmouse and one smartcard. A virtio-serial device has 30 ports besides that of a console. */
#define OPTIONS_CHANNELS_MAX 30u

typedef struct OptionsChannel {
    OptionsChannelType type;
    char *path;      /* of the unix socket, absolute */
    gboolean listen; /* server=on, the default: we listen and QEMU connects; else QEMU listens */
    char *name;      /* port: name of the port, "org.example.console.0"; NULL for the other types */
} OptionsChannel;

typedef struct OptionsDisplay {
    guint32 w, h;  /* of the blank picture until the guest says otherwise */
    char *device;  /* id of QEMU's display device of this head, for the QMP pointer; NULL: any tablet */
    guint32 head;  /* of that device */
} OptionsDisplay;

/* What may pass, whatever guest and client say. */
typedef struct OptionsPolicy {
    gboolean clipboard_to_guest, clipboard_from_guest;
    guint32 clipboard_types;    /* set of 1 << VD_AGENT_CLIPBOARD_* */
    guint32 clipboard_max_size; /* bytes of one paste; 0: no bound but the protocol's */
    gboolean files;
    gboolean pointer, keyboard;
    char *usbredir_filter;      /* rules as in usbredirfilter_string_to_rules(); NULL: everything */
} OptionsPolicy;

typedef struct Options {
    OptionsAction action;
    gboolean human, debug;
    char *name;               /* of the machine: [A-Za-z0-9][A-Za-z0-9_.-]*, at most 64 */
    char *runtime_dir;        /* ours is runtime_dir/name */
    char *listen_path;        /* unix:PATH; NULL for TCP */
    char *listen_address;     /* tcp:ADDR:PORT; NULL for a unix socket */
    guint16 listen_port;      /* 0: TLS only */
    guint16 tls_port;         /* 0: none */
    char *tls_ca, *tls_cert, *tls_key; /* PEM files */
    char *ticket_file;        /* a path, or NULL; "credential:NAME" is a systemd credential */
    gboolean sasl;
    mode_t socket_mode;       /* of every socket we make; 0600 by default, 0660 with a group */
    char *socket_group;       /* or NULL */
    char *qmp;                /* path of QEMU's monitor socket, or NULL */
    guint n_displays;
    OptionsDisplay display[LIMIT_DISPLAYS];
    guint n_channels;
    OptionsChannel channel[OPTIONS_CHANNELS_MAX];
    OptionsPolicy policy;
} Options;

/*
 * Parse the command line and read the file it names. NULL with an error of OPTIONS_ERROR that names the option, file,
 * key and value. --help and --version print and exit.
 */
Options *options_parse(int argc, char **argv, GError **error);

/* NULL is fine. */
void options_free(Options *options);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Options, options_free)

#endif
