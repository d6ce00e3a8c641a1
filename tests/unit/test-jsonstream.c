/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "jsonstream.h"

#define STRAY(text) "!JSON parse error, stray '" text "'|"
#define WRONG(text) "!JSON parse error, " text "|"
#define NO_VALUE WRONG("expecting value")

/* What comes out, as from QEMU's guest agent: a bar behind each value or error, an exclamation mark before errors. */
static const struct {
    const char *input;
    size_t size; /* 0: up to the zero */
    const char *events;
} cases[] = {
    { "", 0, "" },
    { "{}", 0, "{}|" },
    { " {\t\"a\" :\r\n[ 1 , -0.5e+3, true,false , null ] } ", 0, "{\"a\":[1,-0.5e+3,true,false,null]}|" },
    { "{}{}[]", 0, "{}|{}|[]|" },
    { "1", 0, "" },
    { "1 2\n\"a\"true,", 0, "1|2|\"a\"|true|" NO_VALUE },
    { "{\"a\":{\"b\":[[],{}]}}", 0, "{\"a\":{\"b\":[[],{}]}}|" },

    /* the reset byte */
    { "\xff", 0, STRAY("\xff") },
    { "\xff\xff\xff", 0, STRAY("\xff") STRAY("\xff") STRAY("\xff") },
    { "\xff{}", 0, STRAY("\xff") "{}|" },
    { "{\"a\":\xff{}", 0, STRAY("\xff") "{}|" },
    { "{\"a\":\"b\xff{}", 0, STRAY("\"b\xff") "{}|" },
    { "[[[\xff[]", 0, STRAY("\xff") "[]|" },
    { "nul\xff{}", 0, WRONG("invalid keyword 'nul'") STRAY("\xff") "{}|" },
    { "-\xff{}", 0, STRAY("-\xff") "{}|" },

    /* bytes that are no token */
    { "@@@ {}", 0, STRAY("@") "{}|" },
    { "@ @\n@[]", 0, STRAY("@") STRAY("@") "[]|" },
    { "@\t@:", 0, STRAY("@") NO_VALUE },
    { "\1\2", 0, STRAY("\1") STRAY("\2") },
    { "[01]", 0, STRAY("01") NO_VALUE },
    { "[+1]", 0, STRAY("+") NO_VALUE },
    { "[-]", 0, STRAY("-]") },
    { "[1.]", 0, STRAY("1.]") },
    { "[1e]", 0, STRAY("1e]") },
    { "[1e+]", 0, STRAY("1e+]") },
    { "[%d]", 0, STRAY("%") NO_VALUE },
    { "{\"a\":\"b\nc\"}", 0, STRAY("\"b\n") NO_VALUE },
    { "[\"a\0b\"]", 7, STRAY("\"a") NO_VALUE },
    { "\0{}", 3, STRAY("") "{}|" },
    { "[True]", 0, STRAY("T") NO_VALUE },

    /* grammar */
    { "}", 0, NO_VALUE },
    { "]]", 0, NO_VALUE NO_VALUE },
    { ":,", 0, NO_VALUE NO_VALUE },
    { "{\"a\":1]{}", 0, WRONG("expected separator in dict") "{}|" },
    { "[1}{}", 0, WRONG("expected separator in list") "{}|" },
    { "[1 2]", 0, WRONG("expected separator in list") },
    { "[,]", 0, NO_VALUE },
    { "[1,]", 0, NO_VALUE },
    { "[{]", 0, "" }, /* not over before each kind of bracket is */
    { "[{]}", 0, NO_VALUE },
    { "[{]}]", 0, NO_VALUE NO_VALUE },
    { "{\"a\":}", 0, NO_VALUE },
    { "{\"a\":1,}", 0, NO_VALUE },
    { "{\"a\" 1}", 0, WRONG("missing : in object pair") },
    { "{\"a\"}", 0, WRONG("missing : in object pair") },
    { "{\"a\":1 \"b\":2}", 0, WRONG("expected separator in dict") },
    { "{1:2}", 0, WRONG("key is not a string in object") },
    { "{true:2}", 0, WRONG("key is not a string in object") },
    { "{[]:2}", 0, WRONG("key is not a string in object") },
    { "[tru]", 0, WRONG("invalid keyword 'tru'") },
    { "[1 2, tru, \"\\q\"]{}", 0, WRONG("expected separator in list") "{}|" },

    /* strings */
    { "{'a':'b'}", 0, "{\"a\":\"b\"}|" },
    { "['\"\"']", 0, "[\"\\\"\\\"\"]|" },
    { "['\\'\\\"x\"\\\\']", 0, "[\"'\\\"x\\\"\\\\\"]|" },
    { "[\"\\'\"]", 0, "[\"'\"]|" },
    { "['\"']['a']", 0, "[\"\\\"\"]|[\"a\"]|" },
    { "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u20aC\"]", 0, "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u20aC\"]|" },
    { "[\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"]", 0, "[\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"]|" },
    { "[\"\\q\"]", 0, WRONG("invalid escape sequence in string") },
    { "[\"\\\xc3\xa4\"]", 0, WRONG("invalid escape sequence in string") },
    { "[\"\xc3(\"]", 0, WRONG("invalid UTF-8 sequence in string") },
    { "[\"\xc3\"]", 0, WRONG("invalid UTF-8 sequence in string") },
    { "[\"\x80\"]", 0, WRONG("invalid UTF-8 sequence in string") },
    { "[\"\xc1\x81\"]", 0, WRONG("invalid UTF-8 sequence in string") },
    { "[\"\xe0\x80\x80\"]", 0, WRONG("invalid UTF-8 sequence in string") },
    { "[\"\xed\xa0\x80\"]", 0, WRONG("invalid UTF-8 sequence in string") },
    { "[\"\xef\xbf\xbf\"]", 0, WRONG("invalid UTF-8 sequence in string") },
    { "[\"\xf4\x90\x80\x80\"]", 0, WRONG("invalid UTF-8 sequence in string") },
    { "[\"\xf8\x88\x80\x80\x80\"]", 0, WRONG("invalid UTF-8 sequence in string") },
    { "[\"\xc0\x80\"]", 0, WRONG("invalid UTF-8 sequence in string") },
    { "[\"\\u0000\"]", 0, WRONG("\\u0000 is not a valid Unicode character") },
    { "[\"\\ud83d\\ude00\"]", 0, "[\"\\ud83d\\ude00\"]|" },
    { "[\"\\ud83d\"]", 0, WRONG("\\ud83d is not a valid Unicode character") },
    { "[\"\\ud83d\\u0041\"]", 0, WRONG("\\ud83d is not a valid Unicode character") },
    { "[\"\\ude00x\"]", 0, WRONG("\\ude00 is not a valid Unicode character") },
    { "[\"\\uffff\"]", 0, WRONG("\\uffff is not a valid Unicode character") },
    { "[\"\\u12\"]", 0, WRONG("\\u12\" is not a valid Unicode character") },

    /* numbers */
    { "[9223372036854775807,-9223372036854775808]", 0, "[9223372036854775807,-9223372036854775808]|" },
    { "[9223372036854775808,-9223372036854775809]", 0, "[9223372036854775808.0,-9223372036854775809.0]|" },
    { "[100000000000000000000, 0, -0, 0.0, 1E400]", 0, "[100000000000000000000.0,0,-0,0.0,1E400]|" },
};

static char *out;
static size_t out_used, out_size;

static void put(const char *text, size_t size)
{
    if (out_used + size + 1 > out_size) {
        out_size = 2 * (out_used + size + 1);
        out = realloc(out, out_size);
    }
    memcpy(out + out_used, text, size);
    out_used += size;
    out[out_used] = '\0';
}

static void feed(Jsonstream *stream, const void *data, size_t size)
{
    BytesReader in = bytes_reader(data, size);
    JsonstreamEvent event;
    JsonstreamResult result;

    while ((result = jsonstream_next(stream, &in, &event)) != JSONSTREAM_MORE) {
        if (result == JSONSTREAM_ROOM) {
            stream->capacity += stream->capacity < 1000 ? 1 : stream->capacity;
            stream->text = realloc(stream->text, stream->capacity);
            continue;
        }
        CHECK_EQ(strlen(event.text), event.size);
        if (result == JSONSTREAM_ERROR)
            put("!", 1);
        put(event.text, event.size);
        put("|", 1);
    }
    CHECK_EQ(in.left, 0);
}

static void clear(Jsonstream *stream)
{
    free(stream->text);
    *stream = (Jsonstream){ 0 };
}

static void test_cases(void)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t size = cases[i].size > 0 ? cases[i].size : strlen(cases[i].input);

        /* Cut once at every byte, and into single bytes. */
        for (size_t cut = 0; cut <= size + 1; cut++) {
            Jsonstream stream = { 0 };
            size_t step = cut > size ? 1 : 0;

            check_case("%s, cut %zu", cases[i].input, cut);
            out_used = 0;
            put("", 0);
            if (step == 0) {
                feed(&stream, cases[i].input, cut);
                feed(&stream, cases[i].input + cut, size - cut);
            }
            for (size_t at = 0; step > 0 && at < size; at++)
                feed(&stream, cases[i].input + at, 1);
            CHECK_STR(out, cases[i].events);
            clear(&stream);
        }
    }
    check_case("%s", "");
}

/* Every prefix of a value, ended by the reset byte or by a reset, leaves the stream fit for the next one. */
static void test_reset(void)
{
    static const char value[] = "{'a':[1.5e-3,true,{\"b\":\"\\u20ac\\\\\"}],\"c\":null}";

    for (size_t cut = 0; cut < sizeof(value) - 1; cut++) {
        Jsonstream stream = { 0 };

        check_case("cut %zu", cut);
        feed(&stream, value, cut);
        if (cut % 2 == 0)
            feed(&stream, "\xff", 1);
        else
            jsonstream_reset(&stream);
        out_used = 0;
        feed(&stream, "{\"x\":1}", 7);
        CHECK_STR(out, "{\"x\":1}|");
        clear(&stream);
    }
    check_case("%s", "");
}

static void fill(Jsonstream *stream, const char *piece, size_t count)
{
    size_t size = strlen(piece), n = 0;
    static char block[65536];

    while (n + size <= sizeof(block)) {
        memcpy(block + n, piece, size);
        n += size;
    }
    for (size_t left = count * size; left > 0; left -= n < left ? n : left)
        feed(stream, block, n < left ? n : left);
}

static void test_depth(void)
{
    Jsonstream stream = { 0 };

    out_used = 0;
    fill(&stream, "[", JSONSTREAM_DEPTH_MAX);
    CHECK_EQ(out_used, 0);
    fill(&stream, "]", JSONSTREAM_DEPTH_MAX);
    CHECK_EQ(out_used, 2 * JSONSTREAM_DEPTH_MAX + 1);
    out_used = 0;
    fill(&stream, "[", JSONSTREAM_DEPTH_MAX + 1);
    CHECK_STR(out, "!JSON nesting depth limit exceeded|");
    feed(&stream, "{}", 2);
    CHECK_STR(out, "!JSON nesting depth limit exceeded|{}|");
    /* 10^5: one error for each 1025 */
    out_used = 0;
    fill(&stream, "[", 100000);
    CHECK_EQ(out_used, 97 * strlen("!JSON nesting depth limit exceeded|"));
    clear(&stream);
}

static void test_count(void)
{
    Jsonstream stream = { 0 };

    feed(&stream, "[", 1);
    out_used = 0;
    fill(&stream, "1,", JSONSTREAM_TOKENS_MAX / 2 - 1);
    feed(&stream, "1", 1);
    CHECK_EQ(out_used, 0);
    feed(&stream, "]", 1); /* the last that fits was the number */
    CHECK_STR(out, "!JSON token count limit exceeded|");
    clear(&stream);
}

static void test_size(void)
{
    Jsonstream stream = { 0 };

    /* Memory follows what has come. */
    feed(&stream, "\"", 1);
    fill(&stream, "a", 100000);
    CHECK(stream.capacity < 300000);
    out_used = 0;
    fill(&stream, "a", JSONSTREAM_SIZE_MAX - 100000);
    CHECK_STR(out, "!JSON token size limit exceeded|");
    CHECK(stream.capacity < 3 * (size_t)JSONSTREAM_SIZE_MAX);
    out_used = 0;
    feed(&stream, "\n\"\n{}", 5);
    CHECK(strstr(out, "{}|") != NULL);
    clear(&stream);

    /* The largest value, and one byte more; space does not count. */
    for (size_t more = 0; more < 2; more++) {
        feed(&stream, "[\"", 2);
        fill(&stream, "b", JSONSTREAM_SIZE_MAX - 5 + more);
        out_used = 0;
        feed(&stream, "\" \t \n ]", 7);
        CHECK_EQ(out[0], more == 0 ? '[' : '!');
        clear(&stream);
    }

    /* What is no value is not kept. */
    feed(&stream, "[1 2", 4);
    feed(&stream, "\"", 1);
    fill(&stream, "c", 1000000);
    CHECK(stream.capacity <= 65536);
    clear(&stream);
}

/* An error repeats so much of the peer's bytes and no more. */
static void test_quote(void)
{
    Jsonstream stream = { 0 };

    feed(&stream, "\"", 1);
    fill(&stream, "d", 1000);
    out_used = 0;
    feed(&stream, "\n", 1);
    CHECK_EQ(out_used, JSONSTREAM_QUOTE_MAX + strlen(STRAY("")));
    jsonstream_reset(&stream);
    fill(&stream, "e", 1000);
    out_used = 0;
    feed(&stream, " ", 1);
    CHECK_EQ(out_used, JSONSTREAM_QUOTE_MAX + strlen(WRONG("invalid keyword ''")));
    clear(&stream);
}

int main(void)
{
    test_cases();
    test_reset();
    test_depth();
    test_count();
    test_size();
    test_quote();
    free(out);
    return check_done();
}
