/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "connectors.h"
#include "edid.h"

#include <glib/gstdio.h>
#include <unistd.h>

static char *drm;

/* NULL: no such file. */
static void put(const char *entry, const char *status, const char *modes)
{
    g_autofree char *directory = g_build_filename(drm, entry, NULL);
    g_autofree char *status_file = g_build_filename(directory, "status", NULL);
    g_autofree char *modes_file = g_build_filename(directory, "modes", NULL);
    g_mkdir_with_parents(directory, 0755);
    g_unlink(status_file);
    g_unlink(modes_file);
    if (status != NULL)
        g_file_set_contents(status_file, status, -1, NULL);
    if (modes != NULL)
        g_file_set_contents(modes_file, modes, -1, NULL);
}

static void put_edid(const char *entry, gboolean qemu, guint w, guint h, guint w_mm, guint h_mm)
{
    g_autofree char *directory = g_build_filename(drm, entry, NULL);
    edid_write(directory, qemu, w, h, w_mm, h_mm);
}

static void cut_edid(const char *entry)
{
    g_autofree char *file = g_build_filename(drm, entry, "edid", NULL);
    put_edid(entry, TRUE, 2560, 1600, 300, 190);
    g_assert_no_errno(truncate(file, 127));
}

static void take_away_edid(const char *entry)
{
    g_autofree char *file = g_build_filename(drm, entry, "edid", NULL);
    g_unlink(file);
}

static void take_away(const char *entry)
{
    g_autofree char *directory = g_build_filename(drm, entry, NULL);
    put(entry, NULL, NULL);
    g_rmdir(directory);
}

static void on_changed(G_GNUC_UNUSED gpointer user)
{
}

/* What is filled in for an output that has 1x2 and is "connected" without it. */
static const PlanOutput *fill(const Connectors *connectors, const char *name, guint transform)
{
    static DisplaysState state;
    state = (DisplaysState){ .count = 1 };
    g_strlcpy(state.output[0].name, name, sizeof state.output[0].name);
    state.output[0].transform = transform;
    state.plan[0] = (PlanOutput){ .connected = true, .preferred_w = 1, .preferred_h = 2 };
    connectors_fill(connectors, &state);
    return &state.plan[0];
}

#define CHECK_OUTPUT(name, transform, is_connected, w, h) \
    do { \
        const PlanOutput *output = fill(connectors, name, transform); \
        CHECK_EQ(output->connected, is_connected); \
        CHECK_EQ(output->preferred_w, w); \
        CHECK_EQ(output->preferred_h, h); \
    } while (0)

static void read_all(void)
{
    put("card0", NULL, NULL);
    put("renderD128", NULL, NULL);
    put("version", NULL, NULL);
    put("card0-Virtual-1", "connected\n", "1280x800\n1024x768\n");
    put("card0-Virtual-2", "disconnected\n", "");
    put("card0-HDMI-A-1", "connected\n", "1920x1080i\n");
    put("card0-DP-1", "unknown\n", "1x\n");
    put("card0-DP-2", NULL, NULL);
    put("card0-DP-3", "connected\n", "99999999999x99999999999\n");
    put("card0-DP-4", "connected", "-5x-6");
    put("card-DP-5", "connected\n", "1280x800\n");
    put("card0-", "connected\n", "1280x800\n");
    put("card0-a-name-that-is-longer-than-any-connector-has", "connected\n", "1280x800\n");
    g_autoptr(Connectors) connectors = connectors_new(drm, on_changed, NULL);
    check_case("read");
    CHECK_OUTPUT("Virtual-1", 0, true, 1280, 800);
    CHECK_OUTPUT("Virtual-1", 1, true, 800, 1280);
    CHECK_OUTPUT("Virtual-1", 6, true, 1280, 800);
    CHECK_OUTPUT("Virtual-2", 0, false, 1, 2);
    CHECK_OUTPUT("HDMI-A-1", 0, true, 1920, 1080);
    CHECK_OUTPUT("DP-1", 0, false, 1, 2);
    CHECK_OUTPUT("DP-2", 0, false, 1, 2);
    CHECK_OUTPUT("DP-3", 0, true, 1, 2);
    CHECK_OUTPUT("DP-4", 0, true, 1, 2);
    CHECK_OUTPUT("DP-5", 0, true, 1, 2); /* not known */
    CHECK_OUTPUT("", 0, true, 1, 2);
    check_case("changes");
    CHECK(!connectors_read(connectors));
    put("card0-Virtual-1", "connected\n", "1400x900\n1024x768\n");
    CHECK(connectors_read(connectors));
    CHECK(!connectors_read(connectors));
    CHECK_OUTPUT("Virtual-1", 0, true, 1400, 900);
    put("card0-Virtual-1", "disconnected\n", "1400x900\n1024x768\n");
    CHECK(connectors_read(connectors));
    CHECK_OUTPUT("Virtual-1", 0, false, 1400, 900);
    take_away("card0-Virtual-1");
    CHECK(connectors_read(connectors));
    CHECK_OUTPUT("Virtual-1", 0, true, 1, 2);
}

static void monitors(void)
{
    check_case("the client's monitor");
    put("card0-Virtual-1", "connected\n", "2560x1600\n");
    g_autoptr(Connectors) connectors = connectors_new(drm, on_changed, NULL);
    CHECK_EQ(fill(connectors, "Virtual-1", 0)->preferred_mm, 0);
    put_edid("card0-Virtual-1", TRUE, 2560, 1600, 300, 190);
    CHECK(connectors_read(connectors));
    CHECK(!connectors_read(connectors));
    CHECK_EQ(fill(connectors, "Virtual-1", 0)->preferred_mm, 300);
    CHECK_EQ(fill(connectors, "Virtual-1", 1)->preferred_mm, 190);
    put("card0-Virtual-1", "connected\n", "1280x800\n"); /* older than the EDID */
    CHECK(connectors_read(connectors));
    CHECK_EQ(fill(connectors, "Virtual-1", 0)->preferred_mm, 150);
    put("card0-Virtual-1", "connected\n", "5120x2880\n");
    put_edid("card0-Virtual-1", TRUE, 5120, 2880, 605, 345);
    CHECK(connectors_read(connectors));
    CHECK_EQ(fill(connectors, "Virtual-1", 0)->preferred_mm, 600);
    put_edid("card0-Virtual-1", FALSE, 5120, 2880, 605, 345);
    CHECK(connectors_read(connectors));
    CHECK_EQ(fill(connectors, "Virtual-1", 0)->preferred_mm, 0);
    put_edid("card0-Virtual-1", TRUE, 0, 0, 300, 190);
    connectors_read(connectors);
    CHECK_EQ(fill(connectors, "Virtual-1", 0)->preferred_mm, 0);
    put("card0-Virtual-1", "connected\n", "2560x1600\n");
    cut_edid("card0-Virtual-1");
    connectors_read(connectors);
    CHECK_EQ(fill(connectors, "Virtual-1", 0)->preferred_mm, 0);
    take_away_edid("card0-Virtual-1");
    take_away("card0-Virtual-1");
}

/* Of cards that share a name, the one that is connected; of several, the first. */
static void several_cards(void)
{
    check_case("several cards");
    put("card10-Virtual-1", "connected\n", "1000x1000\n");
    put("card2-Virtual-1", "connected\n", "200x200\n");
    put("card0-Virtual-1", "disconnected\n", "");
    g_autoptr(Connectors) connectors = connectors_new(drm, on_changed, NULL);
    CHECK_OUTPUT("Virtual-1", 0, true, 200, 200);
    put("card2-Virtual-1", "disconnected\n", "");
    CHECK(connectors_read(connectors));
    CHECK_OUTPUT("Virtual-1", 0, true, 1000, 1000);
    put("card10-Virtual-1", "disconnected\n", "");
    CHECK(connectors_read(connectors));
    CHECK_OUTPUT("Virtual-1", 0, false, 1, 2);
}

static void too_many(void)
{
    check_case("too many");
    for (int i = 0; i < 200; i++) {
        g_autofree char *entry = g_strdup_printf("card1-Flood-%d", i);
        put(entry, "connected\n", "640x480\n");
    }
    g_autoptr(Connectors) connectors = connectors_new(drm, on_changed, NULL);
    CHECK_OUTPUT("Flood-0", 0, true, 640, 480);
    CHECK_OUTPUT("Flood-199", 0, true, 1, 2);
    CHECK(!connectors_read(connectors));
}

/* Displays of outputs named in a list, as "0 2 ". */
static char *displays_of(const char *names)
{
    g_auto(GStrv) name = g_strsplit(names, " ", -1);
    DisplaysState state = { .count = g_strv_length(name) };
    gsize display[LIMIT_DISPLAYS];
    GString *text = g_string_new(NULL);
    for (gsize i = 0; i < state.count; i++)
        g_strlcpy(state.output[i].name, name[i], sizeof state.output[i].name);
    connectors_displays(drm, &state, display);
    for (gsize i = 0; i < state.count; i++)
        g_string_append_printf(text, "%zu ", display[i]);
    return g_string_free(text, FALSE);
}

#define CHECK_DISPLAYS(names, displays) \
    do { \
        g_autofree char *text = displays_of(names); \
        CHECK_STR(text, displays); \
    } while (0)

static void numbers(void)
{
    check_case("numbers of displays");
    g_free(drm);
    drm = g_dir_make_tmp("drm-XXXXXX", NULL);
    put("card0-DP-1", "disconnected\n", "");
    put("card0-HDMI-A-1", "disconnected\n", "");
    for (int i = 1; i <= 10; i++) {
        g_autofree char *entry = g_strdup_printf("card1-Virtual-%d", i);
        put(entry, "disconnected\n", "");
    }
    put("card2-Virtual-2", "disconnected\n", "");
    put("card2-Virtual-11", "disconnected\n", "");
    CHECK_DISPLAYS("Virtual-1 Virtual-2", "0 1 ");
    CHECK_DISPLAYS("Virtual-2", "1 ");
    CHECK_DISPLAYS("Virtual-10 Virtual-2", "9 1 ");
    CHECK_DISPLAYS("Virtual-1 Virtual-11", "0 11 ");
    CHECK_DISPLAYS("HDMI-A-1 Virtual-2", "1 3 ");
    CHECK_DISPLAYS("Virtual-2 HEADLESS-1", "0 1 ");
    CHECK_DISPLAYS("DP", "0 ");
    CHECK_DISPLAYS("", "");
}

static void nothing(void)
{
    check_case("nothing");
    g_autoptr(Connectors) connectors = connectors_new("/nonexistent", on_changed, NULL);
    CHECK(!connectors_read(connectors));
    CHECK_OUTPUT("Virtual-1", 0, true, 1, 2);
}

int main(void)
{
    drm = g_dir_make_tmp("drm-XXXXXX", NULL);
    g_assert_nonnull(drm);
    read_all();
    monitors();
    several_cards();
    too_many();
    numbers();
    nothing();
    return check_done();
}
