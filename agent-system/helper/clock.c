/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The clocks of the system and of the hardware. Not by timedated: it refuses to set them while an NTP client runs, and
 * that takes its time when the machine was stopped for hours, which is when the host asks for this. To stop the client
 * for the moment would leave it stopped when something fails in between.
 */
#include "helperverbs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtc.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define RTC_PATH "/dev/rtc0"
#define ADJTIME_PATH "/etc/adjtime"

#define NS_PER_S 1000000000

/* The hardware's clock moves in whole seconds: how often, and how long, it is looked at for that. */
#define TICK_MS 2
#define TICKS_MAX 600

static char *failure(const char *what, int error_number)
{
    return g_strdup_printf("%s: %s", what, g_strerror(error_number));
}

/* Has the hardware local time? That stands in the third line of hwclock's file. */
static gboolean rtc_is_local(void)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents(ADJTIME_PATH, &text, NULL, NULL))
        return FALSE;

    g_auto(GStrv) lines = g_strsplit(text, "\n", 4);

    return g_strv_length(lines) >= 3 && g_str_equal(g_strstrip(lines[2]), "LOCAL");
}

static int write_rtc(int fd, time_t time)
{
    struct tm tm;
    struct rtc_time rtc;

    if (!(rtc_is_local() ? localtime_r(&time, &tm) : gmtime_r(&time, &tm)))
        return EOVERFLOW;
    rtc = (struct rtc_time){ .tm_sec = tm.tm_sec, .tm_min = tm.tm_min, .tm_hour = tm.tm_hour,
                             .tm_mday = tm.tm_mday, .tm_mon = tm.tm_mon, .tm_year = tm.tm_year };
    return ioctl(fd, RTC_SET_TIME, &rtc) < 0 ? errno : 0;
}

/* The time of the hardware's clock when it has just moved on. */
static int read_rtc(int fd, time_t *ret_time)
{
    struct rtc_time first, now;

    if (ioctl(fd, RTC_RD_TIME, &first) < 0)
        return errno;
    for (guint i = 0; i < TICKS_MAX; i++) {
        if (ioctl(fd, RTC_RD_TIME, &now) < 0)
            return errno;
        if (now.tm_sec != first.tm_sec)
            break;
        poll(NULL, 0, TICK_MS);
    }

    struct tm tm = { .tm_sec = now.tm_sec, .tm_min = now.tm_min, .tm_hour = now.tm_hour, .tm_mday = now.tm_mday,
                     .tm_mon = now.tm_mon, .tm_year = now.tm_year, .tm_isdst = -1 };

    *ret_time = rtc_is_local() ? mktime(&tm) : timegm(&tm);
    return 0;
}

static char *set_from_rtc(int fd)
{
    struct timespec time = { 0 };
    int error_number = fd < 0 ? errno : read_rtc(fd, &time.tv_sec);

    if (error_number == 0 && clock_settime(CLOCK_REALTIME, &time) < 0)
        error_number = errno;
    return error_number == 0 ? NULL
                             : failure("child process has failed to set hardware clock to system time", error_number);
}

static char *set_both(int fd, gint64 ns)
{
    const struct timespec time = { .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };
    int error_number = fd < 0 ? (errno == ENOENT ? 0 : errno) : 0; /* where there is no such clock, none is set */

    if (clock_settime(CLOCK_REALTIME, &time) < 0)
        return failure("Failed to set time to guest", errno);
    if (fd >= 0)
        error_number = write_rtc(fd, time.tv_sec + (time.tv_nsec >= NS_PER_S / 2));
    return error_number == 0 ? NULL
                             : failure("child process has failed to set hardware clock to system time", error_number);
}

char *clock_set(const char *const *words, G_GNUC_UNUSED GPtrArray *reply)
{
    gint64 ns = 0;

    if (words[0] && !g_ascii_string_to_signed(words[0], 10, 0, G_MAXINT64, &ns, NULL))
        return failure("Failed to set time to guest", EINVAL);

    int fd = open(RTC_PATH, O_RDONLY | O_CLOEXEC);
    char *why = words[0] ? set_both(fd, ns) : set_from_rtc(fd);

    if (fd >= 0)
        close(fd);
    return why;
}
