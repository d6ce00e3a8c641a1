/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "swaywire.h"

#define LONGEST 4096u

/* A message with a header of its own. */
static size_t build(uint8_t *out, const char *magic, uint32_t size, uint32_t type, const char *body)
{
    memcpy(out, magic, 6);
    memcpy(out + 6, &size, 4);
    memcpy(out + 10, &type, 4);
    memcpy(out + SWAYWIRE_HEADER, body, strlen(body));
    return SWAYWIRE_HEADER + strlen(body);
}

static const struct {
    const char *body;
    bool succeeded;
    const char *why;
} replies[] = {
    { "[{\"success\":true}]", true, "" },
    { "[ { \"success\": true }, { \"success\": true } ]", true, "" },
    { "[{\"success\":true},{\"success\":false,\"error\":\"No output\"}]", false, "No output" },
    { "[{\"success\":false,\"parse_error\":true,\"error\":\"Invalid output subcommand: unplug.\"},{\"success\":true}]",
      false, "Invalid output subcommand: unplug." },
    { "[{\"success\":false,\"error\":\"0123456789012345678901234567890123456789\"}]", false,
      "012345678901234567890123456789012345678" }, /* cut */
    { "[{\"success\":false,\"error\":\"a\\n\\u00e9b\"}]", false, "a???b" },
    { "[{\"success\":false,\"error\":7}]", false, "" },
    { "[{\"success\":false}]", false, "" },
    { "[{\"success\":1}]", false, "" },
    { "[{}]", false, "" },
    { "[true]", false, "" },
    { "[]", false, "" },
    { "{\"success\":true}", false, "" },
    { "true", false, "" },
    { "[{\"success\":true}", false, "" },
    { "[{\"success\":true}] x", false, "" },
    { "", false, "" },
};

static void check_reply(Swaywire *wire, size_t row)
{
    char why[40] = "?";
    CHECK_EQ(swaywire_succeeded(wire, why, sizeof why), replies[row].succeeded);
    CHECK_STR(why, replies[row].why);
}

static void whole_and_cut(void)
{
    static uint8_t bytes[LONGEST];
    static Swaywire wire;
    for (size_t row = 0; row < sizeof replies / sizeof replies[0]; row++) {
        check_case("%s", replies[row].body);
        size_t size = build(bytes, "i3-ipc", strlen(replies[row].body), 0, replies[row].body);
        wire = (Swaywire){ 0 };
        CHECK_EQ(swaywire_feed(&wire, bytes, size), SWAYWIRE_COMPLETE);
        check_reply(&wire, row);
        for (size_t cut = 0; cut < size; cut++) {
            wire = (Swaywire){ 0 };
            CHECK_EQ(swaywire_feed(&wire, bytes, cut), SWAYWIRE_MORE);
            CHECK_EQ(swaywire_feed(&wire, bytes + cut, size - cut), SWAYWIRE_COMPLETE);
            check_reply(&wire, row);
        }
        wire = (Swaywire){ 0 };
        for (size_t at = 0; at < size; at++)
            CHECK_EQ(swaywire_feed(&wire, bytes + at, 1), at + 1 < size ? SWAYWIRE_MORE : SWAYWIRE_COMPLETE);
        check_reply(&wire, row);
    }
}

static void bad(void)
{
    static const struct {
        const char *magic;
        uint32_t size, type;
        SwaywireResult result;
    } rows[] = {
        { "i3-ipc", 1, 0, SWAYWIRE_MORE },
        { "i3-ipc", SWAYWIRE_BODY_MAX, 0, SWAYWIRE_MORE },
        { "i3-ipc", SWAYWIRE_BODY_MAX + 1, 0, SWAYWIRE_BAD },
        { "i3-ipc", UINT32_MAX, 0, SWAYWIRE_BAD },
        { "i3-ipC", 1, 0, SWAYWIRE_BAD },
        { "i3-ipc", 1, 3, SWAYWIRE_BAD },
        { "i3-ipc", 1, 0x80000000, SWAYWIRE_BAD }, /* an event */
    };
    uint8_t bytes[SWAYWIRE_HEADER];
    static Swaywire wire;
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        check_case("%s %u %u", rows[row].magic, rows[row].size, rows[row].type);
        build(bytes, rows[row].magic, rows[row].size, rows[row].type, "");
        wire = (Swaywire){ 0 };
        CHECK_EQ(swaywire_feed(&wire, bytes, sizeof bytes), rows[row].result);
    }
    check_case("as much as there may be");
    static uint8_t body[SWAYWIRE_BODY_MAX + 1];
    build(bytes, "i3-ipc", SWAYWIRE_BODY_MAX, 0, "");
    wire = (Swaywire){ 0 };
    CHECK_EQ(swaywire_feed(&wire, bytes, sizeof bytes), SWAYWIRE_MORE);
    CHECK_EQ(swaywire_feed(&wire, body, sizeof body), SWAYWIRE_COMPLETE); /* and one byte more */
    char why[8];
    CHECK(!swaywire_succeeded(&wire, why, sizeof why));
}

static void command(void)
{
    uint8_t header[SWAYWIRE_HEADER], expected[SWAYWIRE_HEADER];
    check_case("command");
    build(expected, "i3-ipc", 1234567, 0, "");
    swaywire_command(1234567, header);
    CHECK_MEM(header, expected, sizeof header);
}

int main(void)
{
    whole_and_cut();
    bad();
    command();
    return check_done();
}
