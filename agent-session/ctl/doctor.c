/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "doctor.h"

#include "bus.h"
#include "compositor.h"
#include "options.h"
#include "status.h"

#include <X11/Xlib.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define AGENT_PORT "com.redhat.spice.0"
#define POINTER_PORT "org.spice-space.pvmouse.0"
#define MANAGE_PORT "org.qemu.guest_agent.0"
#define PORTS "/dev/virtio-ports/"
#define AGENT_USER "spice-agent"
#define MANAGE_UNIT "spice-agent-manage.service"
#define QEMU_UNIT "qemu-guest-agent.service"
#define SESSION_UNIT "spice-agent-session.service"
#define AUTOSTART "spice-agent-session.desktop"

#define SYSTEMD "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define LOGIN "org.freedesktop.login1"
#define LOGIN_PATH "/org/freedesktop/login1"

typedef enum Verdict {
    OK,
    NOTE,   /* works as configured, but worth knowing */
    PROBLEM
} Verdict;

/* What the checks share. Properties are a{sv}, NULL when the daemon does not answer. */
typedef struct Doctor {
    guint problems;
    GDBusConnection *system;
    GDBusConnection *user;
    GVariant *agent;
    GVariant *session;
    gboolean has_port;
    char *login; /* logind's id of this user's graphical session */
} Doctor;

/* One line for a check, then what to do about it, if anything (lines separated by \n). */
G_GNUC_PRINTF(4, 5)
static void say(Doctor *d, Verdict verdict, const char *advice, const char *format, ...)
{
    static const char *const words[] = {"ok", "note", "problem"};
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_print("%-8s %s\n", words[verdict], text);
    if (advice) {
        g_auto(GStrv) lines = g_strsplit(advice, "\n", -1);

        for (char **line = lines; *line; line++) {
            g_print("         > %s\n", *line);
        }
    }
    d->problems += verdict == PROBLEM;
}

static gboolean exists(const char *path)
{
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

/* A text property; "" when there is none. Borrowed from `properties`. */
static const char *text_of(GVariant *properties, const char *name)
{
    const char *text = "";

    g_variant_lookup(properties, name, "&s", &text);
    return text;
}

static gboolean flag_of(GVariant *properties, const char *name)
{
    gboolean flag = FALSE;

    g_variant_lookup(properties, name, "b", &flag);
    return flag;
}

/* First line of a file, "" when it cannot be read. */
static char *first_line(const char *path)
{
    char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        return g_strdup("");
    }
    text[strcspn(text, "\n")] = 0;
    return text;
}

static void check_machine(Doctor *d)
{
    g_autofree char *vendor = first_line("/sys/class/dmi/id/sys_vendor");
    g_autofree char *cpu = NULL;

    g_file_get_contents("/proc/cpuinfo", &cpu, NULL, NULL);
    if (exists("/run/systemd/container")) {
        say(d, PROBLEM, "The agent belongs into the virtual machine itself.", "this is a container");
    } else if ((cpu && strstr(cpu, " hypervisor")) || strstr(vendor, "QEMU")) {
        say(d, OK, NULL, "virtual machine%s%s", *vendor ? ": " : "", vendor);
    } else {
        say(d, PROBLEM, "The agent has work in a QEMU virtual machine only.", "this is no virtual machine");
    }
}

/* Is there a virtio-serial controller (virtio device id 3)? */
static gboolean has_virtio_serial(void)
{
    g_autoptr(GDir) devices = g_dir_open("/sys/bus/virtio/devices", 0, NULL);
    const char *name;

    while (devices && (name = g_dir_read_name(devices))) {
        g_autofree char *path = g_strdup_printf("/sys/bus/virtio/devices/%s/device", name);
        g_autofree char *id = first_line(path);

        if (g_str_equal(id, "0x0003")) {
            return TRUE;
        }
    }
    return FALSE;
}

/* The device file of a port that udev has not linked to its name; NULL when the kernel has no such port. */
static char *unlinked_port(const char *port)
{
    g_autoptr(GDir) devices = g_dir_open("/sys/class/virtio-ports", 0, NULL);
    const char *name;

    while (devices && (name = g_dir_read_name(devices))) {
        g_autofree char *path = g_strdup_printf("/sys/class/virtio-ports/%s/name", name);
        g_autofree char *found = first_line(path);

        if (g_str_equal(found, port)) {
            return g_strdup_printf("/dev/%s", name);
        }
    }
    return NULL;
}

static void check_port(Doctor *d)
{
    g_autofree char *device = unlinked_port(AGENT_PORT);

    d->has_port = exists(PORTS AGENT_PORT);
    if (d->has_port) {
        say(d, OK, NULL, "port " AGENT_PORT);
    } else if (device) {
        say(d, PROBLEM, "udev makes the link: sudo udevadm trigger --subsystem-match=virtio-ports",
            "port " AGENT_PORT ": %s has no link in " PORTS, device);
    } else if (has_virtio_serial() && !exists("/sys/bus/virtio/drivers/virtio_console")) {
        say(d, PROBLEM, "sudo modprobe virtio_console",
            "port " AGENT_PORT ": the kernel module virtio_console is not loaded");
    } else {
        say(d, PROBLEM,
            "libvirt, in <devices>: <channel type='spicevmc'><target type='virtio' name='" AGENT_PORT "'/></channel>\n"
            "QEMU: -device virtio-serial-pci -chardev spicevmc,id=vdagent,name=vdagent"
            " -device virtserialport,chardev=vdagent,name=" AGENT_PORT,
            "port " AGENT_PORT ": this machine does not have it");
    }
}

/* May the daemon's user read and write this device file, as far as owner, group and mode tell? */
static gboolean agent_may(const struct passwd *user, const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0) {
        return FALSE;
    }
    return (st.st_uid == user->pw_uid && (st.st_mode & 0600) == 0600) ||
           (st.st_gid == user->pw_gid && (st.st_mode & 0060) == 0060) || (st.st_mode & 0006) == 0006;
}

static void check_devices(Doctor *d)
{
    const struct passwd *user = getpwnam(AGENT_USER);
    const char *trigger = "The udev rules give it: sudo udevadm control --reload && sudo udevadm trigger";

    if (!user) {
        say(d, PROBLEM, "sudo systemd-sysusers", "user " AGENT_USER ": missing");
    } else if (d->has_port && !agent_may(user, PORTS AGENT_PORT)) {
        say(d, PROBLEM, trigger, "user " AGENT_USER " has no access to " PORTS AGENT_PORT);
    }
    if (!exists("/dev/uinput")) {
        say(d, PROBLEM,
            "sudo modprobe uinput\nNo such module? Install the distribution's standard kernel, not a cloud one.",
            "uinput: /dev/uinput is missing, so there can be no pointer");
    } else if (user && !agent_may(user, "/dev/uinput")) {
        say(d, PROBLEM, trigger, "user " AGENT_USER " has no access to /dev/uinput");
    } else {
        say(d, OK, NULL, "uinput");
    }
}

/* Last warning of a unit in the journal, "" when there is none or it may not be read. */
static char *last_warning(const char *unit)
{
    const char *argv[] = {"journalctl", "-q", "-b", "-n", "1", "-o", "cat", "-p", "warning", "-u", unit, NULL};
    char *text = NULL;

    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &text,
                      NULL, NULL, NULL)) {
        return g_strdup("");
    }
    return g_strchomp(text);
}

/* What the system's service manager says of a unit; NULL when it does not answer. */
static GVariant *unit_properties(const Doctor *d, const char *unit)
{
    g_autoptr(GVariant) found = NULL;
    const char *path;

    if (d->system) {
        found = bus_call(d->system, SYSTEMD, SYSTEMD_PATH, SYSTEMD ".Manager", "LoadUnit", g_variant_new("(s)", unit),
                         "(o)", NULL);
    }
    if (!found) {
        return NULL;
    }
    g_variant_get(found, "(&o)", &path);
    return bus_properties(d->system, SYSTEMD, path, SYSTEMD ".Unit", NULL);
}

/* Checks a unit of the system's service manager, which is to run when `wanted`. */
static void check_unit(Doctor *d, const char *unit, gboolean wanted)
{
    g_autoptr(GVariant) properties = unit_properties(d, unit);

    if (!properties) {
        say(d, NOTE, NULL, "unit %s: not known, systemd does not answer", unit);
        return;
    }

    const char *state = text_of(properties, "ActiveState");
    g_autofree char *advice =
        g_strdup_printf("journalctl -b -u %s says why; then: sudo systemctl restart %s", unit, unit);

    if (g_str_equal(text_of(properties, "LoadState"), "not-found")) {
        say(d, PROBLEM, "Install the package spice-pv-guest again.", "unit %s: missing", unit);
    } else if (g_str_equal(text_of(properties, "LoadState"), "masked")) {
        g_autofree char *unmask = g_strdup_printf("sudo systemctl unmask %s", unit);

        say(d, PROBLEM, unmask, "unit %s: masked", unit);
    } else if (g_str_equal(state, "active")) {
        say(d, OK, NULL, "unit %s", unit);
    } else if (!wanted && g_str_equal(state, "inactive")) {
        say(d, OK, NULL, "unit %s: waits for its port", unit);
    } else {
        g_autofree char *warning = last_warning(unit);

        say(d, PROBLEM, advice, "unit %s: %s (%s)%s%s", unit, state, text_of(properties, "SubState"),
            *warning ? ": " : "", warning);
    }
}

static void check_agent(Doctor *d)
{
    g_autoptr(GError) error = NULL;

    d->system = bus_connect(G_BUS_TYPE_SYSTEM, &error);
    if (!d->system) {
        say(d, PROBLEM, "Without it there is neither logind nor the agent: sudo systemctl start dbus", "system bus: %s",
            error->message);
        return;
    }
    check_unit(d, "spice-agent-system.service", d->has_port);
    d->agent = bus_properties(d->system, BUS_AGENT, BUS_AGENT_PATH, BUS_AGENT, &error);
    if (d->agent) {
        say(d, OK, NULL, "system daemon %s on the system bus", text_of(d->agent, "Version"));
    } else if (!exists("/usr/share/dbus-1/system.d/" BUS_AGENT ".conf") &&
               !exists("/etc/dbus-1/system.d/" BUS_AGENT ".conf")) {
        say(d, PROBLEM, "Install the package spice-pv-guest again, then: sudo systemctl reload dbus",
            "D-Bus policy: " BUS_AGENT ".conf is missing");
    } else if (bus_nobody_there(error)) {
        say(d, d->has_port ? PROBLEM : NOTE, d->has_port ? "See the unit above." : NULL,
            "system daemon: not running%s", d->has_port ? "" : ", as it has no port");
    } else {
        say(d, PROBLEM, "sudo systemctl reload dbus; sudo systemctl restart spice-agent-system", "system daemon: %s",
            bus_error_text(error));
    }
}

static void check_host(Doctor *d)
{
    const char *port = text_of(d->agent, "PortState");
    const char *pointer = text_of(d->agent, "PointerState");

    if (g_str_equal(pointer, "uinput")) {
        say(d, OK, NULL, "pointer");
    } else if (g_str_equal(pointer, "off")) {
        say(d, NOTE,
            "An agent that is there takes the pointer from every tablet, so tell the host to leave it alone:\n"
            "libvirt, in <graphics type='spice'>: <mouse mode='server'/>\nQEMU: -spice ...,agent-mouse=off",
            "pointer: off by configuration");
    } else {
        say(d, PROBLEM, "journalctl -b -u spice-agent-system says more.", "pointer: %s", pointer);
    }

    if (g_str_equal(port, "open")) {
        say(d, OK, NULL, "host is connected");
    } else if (g_str_equal(port, "waiting")) {
        say(d, NOTE, "Connect one, for example with remote-viewer.",
            "host: no SPICE server or client at the other end of the port");
    } else if (d->has_port) {
        say(d, PROBLEM, "It is kept closed while the pointer does not work, see above.", "port: %s", port);
    }

    if (flag_of(d->agent, "ClientConnected")) {
        g_autoptr(GVariant) caps = g_variant_lookup_value(d->agent, "ClientCapabilities", G_VARIANT_TYPE("au"));
        g_autofree char *names = caps ? status_capabilities(caps) : g_strdup("");

        say(d, OK, NULL, "client is connected: %s", names);
    } else {
        say(d, NOTE, NULL, "client: none has announced itself to the agent");
    }
}

static void check_pvmouse(Doctor *d)
{
    if (exists(PORTS POINTER_PORT)) {
        check_unit(d, "spice-pvmouse.service", TRUE);
    } else {
        say(d, OK, NULL, "port " POINTER_PORT ": not there, the pointer uses the agent's port");
    }
}

/* Is a unit running, or about to be, as spice-agent-manage sees it? */
static gboolean is_running(const Doctor *d, const char *unit)
{
    static const char *const states[] = {"active", "activating", "reloading", NULL};
    g_autoptr(GVariant) properties = unit_properties(d, unit);

    return properties && g_strv_contains(states, text_of(properties, "ActiveState"));
}

/* QEMU's agent and ours answer the same host on the same port, so one of them is enough: whichever was there first. */
static void check_manage(Doctor *d)
{
    if (!exists(PORTS MANAGE_PORT)) {
        say(d, OK, NULL, "port " MANAGE_PORT ": not there, the host does not manage this machine");
    } else if (!is_running(d, MANAGE_UNIT) && is_running(d, QEMU_UNIT)) {
        say(d, NOTE,
            "To have ours instead: sudo systemctl mask --now " QEMU_UNIT " && sudo systemctl start " MANAGE_UNIT,
            "unit " MANAGE_UNIT ": inactive, as " QEMU_UNIT " serves the port");
    } else {
        check_unit(d, MANAGE_UNIT, TRUE);
    }
}

/*
 * The session to look at: of this user, active on the seat or, failing that, the one that logind takes for the main one.
 * Sets d->login; returns the object's path, or NULL after saying what is wrong.
 */
static char *find_login(Doctor *d)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) session = NULL;
    g_autoptr(GVariant) user = NULL;
    g_autoptr(GVariant) properties = NULL;
    guint active = G_MAXUINT32;
    const char *path;
    const char *id = "";

    if (d->agent && g_variant_lookup(d->agent, "ActiveUser", "u", &active) && active == getuid()) {
        id = text_of(d->agent, "ActiveSession");
        session = bus_call(d->system, LOGIN, LOGIN_PATH, LOGIN ".Manager", "GetSession", g_variant_new("(s)", id),
                           "(o)", NULL);
    }
    if (session) {
        g_variant_get(session, "(&o)", &path);
        d->login = g_strdup(id);
        return g_strdup(path);
    }
    id = "";
    user = bus_call(d->system, LOGIN, LOGIN_PATH, LOGIN ".Manager", "GetUser", g_variant_new("(u)", (guint)getuid()),
                    "(o)", &error);
    if (user) {
        g_variant_get(user, "(&o)", &path);
        properties = bus_properties(d->system, LOGIN, path, LOGIN ".User", NULL);
    } else if (bus_nobody_there(error)) {
        say(d, PROBLEM, "It comes with systemd (or elogind) and libpam-systemd.", "logind does not answer");
        return NULL;
    }
    if (properties) {
        g_variant_lookup(properties, "Display", "(&s&o)", &id, &path);
    }
    if (!*id) {
        say(d, PROBLEM, "Log in on the virtual machine's own screen; run this as the user who did.",
            "user %s has no graphical session", g_get_user_name());
        return NULL;
    }
    d->login = g_strdup(id);
    return g_strdup(path);
}

/* logind's view: this user's graphical session. */
static void check_login(Doctor *d)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) properties = NULL;
    g_autofree char *path = find_login(d);
    const char *id = d->login;
    const char *seat = "";

    if (!path) {
        return;
    }
    properties = bus_properties(d->system, LOGIN, path, LOGIN ".Session", &error);
    if (!properties) {
        say(d, PROBLEM, NULL, "session %s: %s", id, bus_error_text(error));
        return;
    }
    g_variant_lookup(properties, "Seat", "(&s&o)", &seat, NULL);
    if (!*seat) {
        say(d, PROBLEM,
            "A compositor that was started by ssh is served when its user is logged in on the machine's own screen too,\n"
            "which may be a text console: log in there, or start the compositor from there.",
            "session %s has no seat", id);
    } else if (!g_str_equal(seat, "seat0")) {
        say(d, PROBLEM, "The agent serves seat0 only, which is what a SPICE client shows.",
            "session %s is on seat '%s'", id, seat);
    } else if (!flag_of(properties, "Active")) {
        say(d, PROBLEM, "Switch to it; the agent serves the session in front.", "session %s is in the background", id);
    } else if (!g_str_has_prefix(text_of(properties, "Class"), "user")) {
        say(d, NOTE, NULL, "session %s is of class %s: pointer and displays only", id, text_of(properties, "Class"));
    } else {
        say(d, OK, NULL, "session %s: %s, seat0, active%s", id, text_of(properties, "Type"),
            flag_of(properties, "LockedHint") ? ", locked (no file transfers now)" : "");
    }
    if (d->agent && !g_str_equal(text_of(d->agent, "ActiveSession"), id) && flag_of(properties, "Active")) {
        say(d, PROBLEM, "sudo systemctl restart spice-agent-system",
            "the system daemon takes session '%s' for the active one", text_of(d->agent, "ActiveSession"));
    }
}

/* Returns what the compositor offers, NULL when that is not known. */
static GVariant *check_compositor(Doctor *d, GVariant *compositor)
{
    GVariant *globals = g_variant_lookup_value(compositor, "globals", G_VARIANT_TYPE("a{su}"));
    const char *program = text_of(compositor, "program");

    if (globals) {
        g_autofree char *protocols = compositor_protocols(globals);

        say(d, OK, NULL, "compositor %s: %s", program, protocols);
    } else {
        say(d, PROBLEM, "It is waited for. If it hangs: loginctl terminate-session, and log in again.",
            "compositor %s does not answer", program);
    }
    return globals;
}

static void check_backends(Doctor *d)
{
    g_autoptr(GVariant) backends = g_variant_lookup_value(d->session, "Backends", G_VARIANT_TYPE("a{ss}"));
    g_autoptr(GVariant) compositor = g_variant_lookup_value(d->session, "Compositor", G_VARIANT_TYPE_VARDICT);
    g_autoptr(GVariant) globals = NULL;
    GVariantIter iter;
    const char *service, *backend;

    if (!backends) {
        return;
    }
    if (compositor && g_variant_n_children(compositor) > 0) {
        globals = check_compositor(d, compositor);
    }
    g_variant_iter_init(&iter, backends);
    while (g_variant_iter_next(&iter, "{&s&s}", &service, &backend)) {
        gboolean none = g_str_has_prefix(backend, "none");
        gboolean disabled = g_str_equal(backend, "none: disabled");
        const char *advice = none && !disabled && globals
                                 ? compositor_advice(text_of(compositor, "program"), globals, service) : NULL;

        say(d, disabled ? NOTE : none ? PROBLEM : OK, advice, "%s: %s", service, backend);
    }
}

static void check_session(Doctor *d)
{
    g_autoptr(GError) error = NULL;

    d->user = bus_connect(G_BUS_TYPE_SESSION, &error);
    if (!d->user) {
        say(d, PROBLEM, "Run this as the desktop's user; the package dbus-user-session gives each user a bus.",
            "session bus: %s", error->message);
        return;
    }
    d->session = bus_properties(d->user, BUS_SESSION, BUS_SESSION_PATH, BUS_SESSION, &error);
    if (!d->session) {
        say(d, PROBLEM,
            bus_nobody_there(error) ? "systemctl --user start spice-agent-session\n"
                                      "journalctl -b -t spice-agent-session says why it ended."
                                    : "systemctl --user restart spice-agent-session",
            "session daemon: %s", bus_nobody_there(error) ? "not running" : bus_error_text(error));
        return;
    }

    const char *display = text_of(d->session, "Display");
    const char *id = text_of(d->session, "Session");

    if (!*display) {
        say(d, PROBLEM,
            "It waits for one. From a terminal on the desktop:\n"
            "systemctl --user import-environment DISPLAY XAUTHORITY WAYLAND_DISPLAY\n"
            "systemctl --user restart spice-agent-session",
            "session daemon serves no display");
    } else if (d->login && !g_str_equal(id, d->login)) {
        say(d, PROBLEM, "systemctl --user restart spice-agent-session",
            "session daemon serves session '%s' instead of '%s'", id, d->login);
    } else {
        say(d, OK, NULL, "session daemon %s serves display %s", text_of(d->session, "Version"), display);
    }
    if (d->agent && !flag_of(d->session, "Connected")) {
        say(d, PROBLEM, "journalctl -b -t spice-agent-session -t spice-agent-system says why.",
            "session daemon is not connected to the system daemon");
    }
    check_backends(d);
}

/* The X server that the daemon serves, or that of this terminal. */
static void check_x11(Doctor *d)
{
    const char *served = d->session ? text_of(d->session, "Display") : "";
    const char *name = *served ? served : g_getenv("DISPLAY");
    Display *display;

    if (!name || *name != ':') {
        return; /* none, or one forwarded by ssh; the session daemon's own words above are what counts */
    }
    display = XOpenDisplay(name);
    if (!display) {
        say(d, *served ? NOTE : PROBLEM, "XAUTHORITY must name the file with the display's key.",
            "X display %s: no access from here", name);
        return;
    }
    for (const char *const *extension = (const char *const[]){"XFIXES", "RANDR", NULL}; *extension; extension++) {
        int major, event, first_error;

        if (XQueryExtension(display, *extension, &major, &event, &first_error)) {
            say(d, OK, NULL, "X extension %s", *extension);
        } else {
            say(d, PROBLEM, "Use an X server that has it, as Xorg does.", "X extension %s: missing on display %s",
                *extension, name);
        }
    }
    XCloseDisplay(display);
}

/* Is it an autostart file that switches off the system's of the same name? */
static gboolean is_hidden(const char *path)
{
    g_autoptr(GKeyFile) file = g_key_file_new();

    return g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL) &&
           g_key_file_get_boolean(file, G_KEY_FILE_DESKTOP_GROUP, G_KEY_FILE_DESKTOP_KEY_HIDDEN, NULL);
}

/* Whatever starts the session daemon at the next login: one of the two is enough. */
static void check_start(Doctor *d)
{
    g_autofree char *own = g_build_filename(g_get_user_config_dir(), "autostart", AUTOSTART, NULL);
    gboolean hidden = is_hidden(own);
    gboolean autostart = !hidden && (exists(own) || exists("/etc/xdg/autostart/" AUTOSTART));
    g_autoptr(GVariant) reply = NULL;
    const char *state = "not known";

    if (d->user) {
        reply = bus_call(d->user, SYSTEMD, SYSTEMD_PATH, SYSTEMD ".Manager", "GetUnitFileState",
                         g_variant_new("(s)", SESSION_UNIT), "(s)", NULL);
    }
    if (reply) {
        g_variant_get(reply, "(&s)", &state);
    }
    if (hidden) {
        g_autofree char *advice = g_strdup_printf("Remove it, or its line Hidden=true: %s", own);

        say(d, NOTE, advice, "autostart file: hidden by this user's own");
    }
    if (g_str_has_prefix(state, "enabled")) {
        say(d, OK, NULL, "user unit " SESSION_UNIT ": enabled");
    } else if (autostart) {
        say(d, OK, NULL, "autostart file (user unit " SESSION_UNIT ": %s)", state);
    } else {
        say(d, PROBLEM,
            g_str_has_prefix(state, "masked") ? "systemctl --user unmask spice-agent-session\n"
                                                "systemctl --user enable --now spice-agent-session"
                                              : "systemctl --user enable --now spice-agent-session",
            "nothing starts the session daemon: no autostart file, user unit " SESSION_UNIT " %s", state);
    }
}

/* One of the words for "no" in our configuration files. */
static gboolean is_off(const char *value)
{
    static const char *const words[] = {"false", "no", "off", "0"};

    for (gsize i = 0; i < G_N_ELEMENTS(words); i++) {
        if (g_ascii_strcasecmp(value, words[i]) == 0) {
            return TRUE;
        }
    }
    return FALSE;
}

static void check_policy(Doctor *d)
{
    g_autoptr(GVariant) policy = g_variant_lookup_value(d->session, "Policy", G_VARIANT_TYPE("a{ss}"));
    static const char *const switches[] = {"clipboard.to-host", "clipboard.from-host", "clipboard.primary",
                                           "files.enabled", "displays.follow"};

    for (gsize i = 0; policy && i < G_N_ELEMENTS(switches); i++) {
        const char *value;

        if (g_variant_lookup(policy, switches[i], "&s", &value) && is_off(value)) {
            say(d, NOTE, NULL, "%s is off in agent-session.conf", switches[i]);
        }
    }
}

/* Screen lockers that do not talk to logind, so nobody can know that the screen is locked. */
static void check_lockers(Doctor *d)
{
    static const char *const lockers[] = {"i3lock", "physlock", "slock", "swaylock", "waylock", "xlock",
                                          "xscreensaver", "xsecurelock", "xtrlock"};

    for (gsize i = 0; i < G_N_ELEMENTS(lockers); i++) {
        g_autofree char *path = g_find_program_in_path(lockers[i]);

        if (path) {
            say(d, NOTE, "Set enabled=false in group [files] of agent-session.conf if that matters here.",
                "%s does not tell logind that the screen is locked: file transfers go on then", lockers[i]);
        }
    }
}

/* Its session program alone has nobody to talk to when its daemon cannot be started. */
static void check_rival(Doctor *d)
{
    g_autofree char *program = g_find_program_in_path("spice-vdagent");
    g_autoptr(GVariant) unit = NULL;

    if (!program && !exists("/usr/bin/spice-vdagent") && !exists("/usr/sbin/spice-vdagentd")) {
        return;
    }
    unit = unit_properties(d, "spice-vdagentd.service");
    if (unit && g_str_equal(text_of(unit, "LoadState"), "masked") &&
        !g_str_equal(text_of(unit, "ActiveState"), "active")) {
        say(d, OK, NULL, "spice-vdagent is installed too, but its unit spice-vdagentd.service is masked");
    } else {
        say(d, PROBLEM,
            "sudo apt purge spice-vdagent\n"
            "Or keep it and: sudo systemctl mask --now spice-vdagentd.service spice-vdagentd.socket",
            "spice-vdagent is installed too: both want the port");
    }
}

int doctor_run(int argc, char **argv)
{
    const GOptionEntry entries[] = {G_OPTION_ENTRY_NULL};
    Doctor d = {0};

    if (!options_parse("Checks all that the agent needs and says what to do. Exit status 0 when all is well.", entries,
                       argc, argv)) {
        return 2;
    }
    check_machine(&d);
    check_port(&d);
    check_devices(&d);
    check_agent(&d);
    check_rival(&d);
    if (d.agent) {
        check_host(&d);
    }
    check_pvmouse(&d);
    check_manage(&d);
    if (d.system) {
        check_login(&d);
    }
    check_session(&d);
    check_x11(&d);
    check_start(&d);
    if (d.session) {
        check_policy(&d);
    }
    check_lockers(&d);

    g_clear_object(&d.system);
    g_clear_object(&d.user);
    g_clear_pointer(&d.agent, g_variant_unref);
    g_clear_pointer(&d.session, g_variant_unref);
    g_free(d.login);
    if (d.problems > 0) {
        g_print("%u problem%s\n", d.problems, d.problems == 1 ? "" : "s");
        return 1;
    }
    g_print("all is well\n");
    return 0;
}
