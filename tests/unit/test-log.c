/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "log.h"

#include <fcntl.h>
#include <unistd.h>

static int ends[2];

/* What was written to stderr since the last call. */
static const char *written(void)
{
    static char text[8192];
    gssize size = read(ends[0], text, sizeof(text) - 1);

    text[size > 0 ? size : 0] = '\0';
    return text;
}

static guint lines(const char *text)
{
    guint count = 0;

    for (; *text; text++) {
        count += *text == '\n';
    }
    return count;
}

static void test_levels(void)
{
    log_setup("test-log", FALSE);
    g_info("information %d", 1);
    CHECK_STR(written(), "test-log: information 1\n");
    g_warning("careful");
    CHECK_STR(written(), "test-log: careful\n");
    g_debug("details");
    CHECK_STR(written(), "");
    log_bug("%s happened", "it");
    CHECK_STR(written(), "test-log: bug: it happened\n");
}

static void test_pause(void)
{
    log_pause(TRUE);
    g_warning("nobody reads this");
    log_bug("nor this");
    log_pause(FALSE);
    g_warning("but this");
    CHECK_STR(written(), "test-log: but this\n");
}

/* A peer's text cannot begin a line, nor move the reader's cursor. */
static void test_control(void)
{
    LogPeer peer = { .name = "client" };

    log_peer(&peer, "name “%s”", "a\nfake: line\r\x1b[31m\tü\x7f");
    CHECK_STR(written(), "test-log: client: name “a?fake: line??[31m?ü?”\n");
}

static void test_rate(void)
{
    LogPeer host = { .name = "host" }, guest = { .name = "guest" };

    for (int i = 0; i < LOG_BURST; i++) {
        log_peer(&host, "mistake %d", i);
    }
    CHECK_EQ(lines(written()), LOG_BURST);
    for (int i = 0; i < 1000; i++) {
        log_peer(&host, "mistake %d", i);
    }
    CHECK_STR(written(), "");
    log_peer(&guest, "mistake"); /* another peer has a budget of its own */
    CHECK_STR(written(), "test-log: guest: mistake\n");
    /* Time passes: one message each LOG_INTERVAL_S, which says how many were left out. */
    host.refill -= LOG_INTERVAL_S * G_USEC_PER_SEC;
    log_peer(&host, "later");
    CHECK_STR(written(), "test-log: host: later (and 1000 more before)\n");
    log_peer(&host, "later");
    CHECK_STR(written(), "");
    host.refill -= 3 * LOG_INTERVAL_S * G_USEC_PER_SEC;
    for (int i = 0; i < 5; i++) {
        log_peer(&host, "later");
    }
    CHECK_EQ(lines(written()), 3);
    /* A long quiet time refills the whole budget and no more. */
    host.refill -= 1000 * LOG_INTERVAL_S * (gint64)G_USEC_PER_SEC;
    for (int i = 0; i < 2 * LOG_BURST; i++) {
        log_peer(&host, "much later");
    }
    CHECK_EQ(lines(written()), LOG_BURST);
}

int main(void)
{
    int terminal = dup(STDERR_FILENO);

    CHECK_EQ(pipe(ends), 0);
    CHECK_EQ(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    CHECK_EQ(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    test_levels();
    test_pause();
    test_control();
    test_rate();
    /* Checks that failed have printed into the pipe. */
    const char *rest = written();

    dup2(terminal, STDERR_FILENO);
    fputs(rest, stderr);
    return check_done();
}
