/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The clocks that spice-agent-helper sets. The kernel's are played here: system calls of the code under test end in
 * this file's functions. <fcntl.h> is not included, as it may have inline ones of the same names.
 */
#include "check.h"
#include "helperverbs.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <linux/rtc.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define RTC_FD 1000
#define NOON 1796212800 /* 2026-12-02 12:00:00 UTC */

int open(const char *path, int flags, ...);
int open64(const char *path, int flags, ...);
int ioctl(int fd, unsigned long request, ...);

static struct {
    int open_error, read_error, write_error, settime_error; /* of errno; 0 works */
    struct rtc_time rtc;
    guint reads, tick_after; /* the hardware's clock moves on when it has been read so often */
    gboolean rtc_written, set;
    struct timespec system;
    char *adjtime; /* path of what is read in its place */
} machine;

static int play(int error_number)
{
    errno = error_number;
    return error_number == 0 ? 0 : -1;
}

int open64(const char *path, int flags, ...)
{
    if (g_str_equal(path, "/dev/rtc0"))
        return play(machine.open_error) == 0 ? RTC_FD : -1;
    return (int)syscall(SYS_openat, -100, g_str_equal(path, "/etc/adjtime") ? machine.adjtime : path, flags, 0600);
}

int open(const char *path, int flags, ...)
{
    return open64(path, flags);
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    struct rtc_time *rtc = va_arg(arguments, struct rtc_time *);
    va_end(arguments);

    CHECK_EQ(fd, RTC_FD);
    if (request == RTC_SET_TIME) {
        machine.rtc = *rtc;
        machine.rtc_written = TRUE;
        return play(machine.write_error);
    }
    CHECK(request == RTC_RD_TIME);
    if (machine.reads++ == machine.tick_after)
        machine.rtc.tm_sec++;
    *rtc = machine.rtc;
    return play(machine.read_error);
}

int clock_settime(clockid_t clock, const struct timespec *time)
{
    CHECK_EQ(clock, CLOCK_REALTIME);
    machine.set = TRUE;
    machine.system = *time;
    return play(machine.settime_error);
}

static void reset(const char *adjtime)
{
    g_autofree char *path = machine.adjtime;

    memset(&machine, 0, sizeof(machine));
    machine.adjtime = g_steal_pointer(&path);
    machine.rtc = (struct rtc_time){ .tm_year = 126, .tm_mon = 11, .tm_mday = 2, .tm_hour = 12, .tm_sec = 58 };
    machine.tick_after = 3;
    g_unlink(machine.adjtime);
    if (adjtime)
        g_file_set_contents(machine.adjtime, adjtime, -1, NULL);
}

/* What it says, NULL when it has worked; `time` NULL is from the hardware's clock. */
static void set(const char *time, const char *expected)
{
    const char *const words[] = { time, NULL };
    g_autoptr(GPtrArray) reply = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *why = clock_set(words, reply);

    CHECK_STR(why, expected);
    CHECK_EQ(reply->len, 0);
}

#define RTC_ERROR "child process has failed to set hardware clock to system time: "
#define TIME_ERROR "Failed to set time to guest: "

static const struct {
    const char *adjtime;
    int hours; /* of the hardware's clock before UTC, where the zone is two */
} adjtimes[] = {
    { NULL, 0 },
    { "0.0 0 0.0\n0\nUTC\n", 0 },
    { "0.0 0 0.0\n0\nLOCAL\n", 2 },
    { "0.0 0 0.0\n0\nLOCAL", 2 },
    { "LOCAL\n", 0 },
    { "", 0 },
};

static void test_zone(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(adjtimes); i++) {
        check_case("adjtime %zu", i);
        reset(adjtimes[i].adjtime);
        set("1796212800400000007", NULL);
        CHECK_EQ(machine.system.tv_sec, NOON);
        CHECK_EQ(machine.system.tv_nsec, 400000007);
        CHECK_EQ(machine.rtc.tm_year, 126);
        CHECK_EQ(machine.rtc.tm_mon, 11);
        CHECK_EQ(machine.rtc.tm_mday, 2);
        CHECK_EQ(machine.rtc.tm_hour, 12 + adjtimes[i].hours);
        CHECK_EQ(machine.rtc.tm_sec, 0);

        reset(adjtimes[i].adjtime);
        set(NULL, NULL);
        CHECK_EQ(machine.system.tv_sec, NOON + 59 - 3600 * adjtimes[i].hours);
        CHECK_EQ(machine.system.tv_nsec, 0);
        CHECK_EQ(machine.reads, machine.tick_after + 1);
        CHECK_EQ(machine.rtc_written, FALSE);
    }
}

static void test_rounding(void)
{
    check_case("the hardware's clock has the nearest second");
    reset(NULL);
    set("1796212799500000000", NULL);
    CHECK_EQ(machine.system.tv_sec, NOON - 1);
    CHECK_EQ(machine.rtc.tm_hour, 12);
    CHECK_EQ(machine.rtc.tm_sec, 0);
    check_case("the beginning of time");
    reset(NULL);
    set("0", NULL);
    CHECK_EQ(machine.system.tv_sec, 0);
    CHECK_EQ(machine.rtc.tm_year, 70);
}

static void test_failures(void)
{
    check_case("no hardware clock");
    reset(NULL);
    machine.open_error = ENOENT;
    set("1796212800000000000", NULL);
    CHECK_EQ(machine.system.tv_sec, NOON);
    machine.set = FALSE;
    set(NULL, RTC_ERROR "No such file or directory");
    CHECK_EQ(machine.set, FALSE);

    check_case("a hardware clock that another program has");
    reset(NULL);
    machine.open_error = EBUSY;
    set("1796212800000000000", RTC_ERROR "Device or resource busy");
    CHECK_EQ(machine.system.tv_sec, NOON);

    check_case("a hardware clock that cannot be set");
    reset(NULL);
    machine.write_error = EINVAL;
    set("1796212800000000000", RTC_ERROR "Invalid argument");
    CHECK_EQ(machine.system.tv_sec, NOON);

    check_case("a hardware clock that cannot be read");
    reset(NULL);
    machine.read_error = EIO;
    set(NULL, RTC_ERROR "Input/output error");
    CHECK_EQ(machine.set, FALSE);

    check_case("a hardware clock that stands still");
    reset(NULL);
    machine.tick_after = G_MAXUINT;
    set(NULL, NULL);
    CHECK_EQ(machine.system.tv_sec, NOON + 58);

    check_case("no right");
    reset(NULL);
    machine.settime_error = EPERM;
    set("1796212800000000000", TIME_ERROR "Operation not permitted");
    CHECK_EQ(machine.rtc_written, FALSE);
    set(NULL, RTC_ERROR "Operation not permitted");

    check_case("no number");
    reset(NULL);
    set("", TIME_ERROR "Invalid argument");
    set("-1", TIME_ERROR "Invalid argument");
    set("1x", TIME_ERROR "Invalid argument");
    set("9223372036854775808", TIME_ERROR "Invalid argument");
    CHECK_EQ(machine.set, FALSE);
}

int main(void)
{
    g_autofree char *directory = g_dir_make_tmp("clock-XXXXXX", NULL);

    g_setenv("TZ", "TST-2", TRUE);
    tzset();
    machine.adjtime = g_build_filename(directory, "adjtime", NULL);
    test_zone();
    test_rounding();
    test_failures();
    g_unlink(machine.adjtime);
    g_rmdir(directory);
    g_free(machine.adjtime);
    return check_done();
}
