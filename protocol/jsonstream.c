/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "jsonstream.h"

#include <string.h>

/* What one step may add beside a run of plain bytes: a byte, ".0" behind a number, and the zero. */
#define ROOM_MIN 4u

/* Where in a token the next byte stands. */
enum {
    START = 0,
    PASS_OVER,
    STRING,
    STRING_ESCAPE,
    KEYWORD,
    MINUS,
    ZERO,
    DIGITS,
    POINT,
    FRACTION,
    EXPONENT,
    EXPONENT_SIGN,
    EXPONENT_DIGITS
};

/* What the value's grammar has next. */
enum {
    WANT_VALUE = 0,
    WANT_ELEMENT, /* the first of an array, or its end */
    WANT_MEMBER,  /* the first of an object, or its end */
    WANT_KEY,
    WANT_COLON,
    WANT_SEPARATOR
};

/* Kinds of tokens besides the brackets, colon and comma, which stand for themselves. */
enum {
    TOKEN_STRING = 's',
    TOKEN_NUMBER = 'n',
    TOKEN_INTEGER = 'i',
    TOKEN_KEYWORD = 'k'
};

/* The value is over, in whatever way; where the lexer stands is not changed by that. */
static void restart(Jsonstream *stream)
{
    stream->used = stream->token = stream->token_size = stream->size = stream->marks = 0;
    stream->tokens = stream->depth = 0;
    stream->braces = stream->brackets = 0;
    stream->wanted = WANT_VALUE;
    stream->failed = stream->told = false;
}

void jsonstream_reset(Jsonstream *stream)
{
    restart(stream);
    stream->lexer = START;
}

static size_t put(Jsonstream *stream, size_t at, const char *text, size_t size)
{
    size_t room = sizeof(stream->error) - 1 - at;

    size = size < room ? size : room;
    memcpy(stream->error + at, text, size);
    stream->error[at + size] = '\0';
    return at + size;
}

/* The first error of a value is the one that counts: `before`, some bytes of the peer's, `after`. */
static void fail_quoting(Jsonstream *stream, const char *before, const char *quoted, size_t size, const char *after)
{
    if (stream->failed)
        return;

    size_t at = put(stream, 0, before, strnlen(before, sizeof(stream->error)));

    at = put(stream, at, quoted, size);
    stream->error_size = put(stream, at, after, strnlen(after, sizeof(stream->error)));
    stream->failed = true;
    stream->used = stream->token = stream->marks = 0;
}

static void fail(Jsonstream *stream, const char *error)
{
    fail_quoting(stream, error, "", 0, "");
}

static void append(Jsonstream *stream, const void *data, size_t size)
{
    if (stream->token_size < sizeof(stream->head)) {
        size_t room = sizeof(stream->head) - stream->token_size;

        memcpy(stream->head + stream->token_size, data, size < room ? size : room);
    }
    stream->token_size += size;
    if (stream->failed)
        return;
    memcpy(stream->text + stream->used, data, size);
    stream->used += size;
    stream->text[stream->used] = '\0';
}

static void begin_token(Jsonstream *stream)
{
    stream->token = stream->used;
    stream->token_size = stream->marks = 0;
}

static bool is_one_of(uint8_t c, const char *set)
{
    return memchr(set, c, strnlen(set, 16)) != NULL;
}

static size_t head_size(const Jsonstream *stream)
{
    return stream->token_size < sizeof(stream->head) ? stream->token_size : sizeof(stream->head);
}

/* ---- strings ---- */

/* Not zero, no surrogate and no noncharacter. */
static bool valid(uint32_t c)
{
    return c > 0 && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) && (c < 0xfdd0 || c > 0xfdef) && (c & 0xfffe) != 0xfffe;
}

/* The length of the UTF-8 sequence at `at`, 0 if it is none. The quotation mark behind it is in none. */
static size_t sequence(const uint8_t *at)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t size = at[0] < 0x80 ? 1 : at[0] >> 5 == 6 ? 2 : at[0] >> 4 == 14 ? 3 : at[0] >> 3 == 30 ? 4 : 0;
    uint32_t c = size == 1 ? at[0] : at[0] & (0x7fu >> size);

    for (size_t i = 1; i < size; i++) {
        if (at[i] >> 6 != 2)
            return 0;
        c = c << 6 | (at[i] & 0x3f);
    }
    return size > 0 && c >= least[size] && valid(c) ? size : 0;
}

/* Four hexadecimal digits, or -1; what is none ends the look ahead. */
static int32_t hex4(const char *at)
{
    static const char digits[] = "0123456789abcdef";
    int32_t value = 0;

    for (unsigned i = 0; i < 4; i++) {
        const char *digit = memchr(digits, at[i] | 0x20, sizeof(digits) - 1);

        if (digit == NULL)
            return -1;
        value = value << 4 | (int32_t)(digit - digits);
    }
    return value;
}

/* The length of the escape \uXXXX at `at`, with a second one for a surrogate pair; 0 if it is no character. */
static size_t escaped_character(const char *at)
{
    int32_t c = hex4(at + 2);

    if (c >= 0xd800 && c <= 0xdbff && at[6] == '\\' && at[7] == 'u') {
        int32_t low = hex4(at + 8);

        if (low < 0xdc00 || low > 0xdfff)
            return 0;
        return valid(0x10000u + ((uint32_t)(c & 0x3ff) << 10) + (uint32_t)(low & 0x3ff)) ? 12 : 0;
    }
    return c >= 0 && valid((uint32_t)c) ? 6 : 0;
}

/* Check the string between the quotation marks. */
static void check_string(Jsonstream *stream)
{
    const char *at = stream->text + stream->token + 1, *end = stream->text + stream->used - 1;

    while (at < end && !stream->failed) {
        size_t size = *at == '\\' ? 2 : (uint8_t)*at < 0x80 ? 1 : sequence((const uint8_t *)at);

        if (size == 0) {
            fail(stream, "JSON parse error, invalid UTF-8 sequence in string");
        } else if (*at == '\\' && !is_one_of((uint8_t)at[1], "\"'\\/bfnrtu")) {
            fail(stream, "JSON parse error, invalid escape sequence in string");
        } else if (*at == '\\' && at[1] == 'u') {
            size = escaped_character(at);
            if (size == 0)
                fail_quoting(stream, "JSON parse error, ", at, end + 1 - at < 6 ? (size_t)(end + 1 - at) : 6,
                             " is not a valid Unicode character");
        }
        at += size;
    }
}

/* Double quotation marks around the string, and no escape that only QEMU knows. */
static void rewrite_string(Jsonstream *stream)
{
    size_t size = stream->used - stream->token - 2;
    char *to = stream->text + stream->token + 1, *from = to + stream->marks, *end = from + size;

    memmove(from, to, size);
    while (from < end) {
        if (*from == '\\' && from[1] == '\'') {
            from++;
        } else if (*from == '\\') {
            *to++ = *from++;
        } else if (*from == '"') {
            *to++ = '\\';
        }
        *to++ = *from++;
    }
    stream->text[stream->token] = *to++ = '"';
    *to = '\0';
    stream->used = (size_t)(to - stream->text);
}

static void end_string(Jsonstream *stream)
{
    check_string(stream);
    if (!stream->failed && memchr(stream->text + stream->token, '\'', stream->used - stream->token) != NULL)
        rewrite_string(stream);
}

/* ---- the grammar of a value ---- */

/* 64 bits with a sign cannot hold it. */
static bool too_large(const char *digits, size_t size)
{
    bool negative = digits[0] == '-';
    uint64_t value = 0;

    digits += negative;
    size -= negative;
    if (size > 19) /* a number of 19 digits fits without a sign */
        return true;
    for (size_t i = 0; i < size; i++)
        value = 10 * value + (uint64_t)(digits[i] - '0');
    return value > (uint64_t)INT64_MAX + negative;
}

static bool is_keyword(const char *token, size_t size)
{
    return (size == 4 && (memcmp(token, "true", 4) == 0 || memcmp(token, "null", 4) == 0)) ||
           (size == 5 && memcmp(token, "false", 5) == 0);
}

static void scalar(Jsonstream *stream, int type)
{
    const char *token = stream->text + stream->token;
    size_t size = stream->used - stream->token;

    if (type == TOKEN_STRING)
        end_string(stream);
    else if (type == TOKEN_INTEGER && too_large(token, size))
        append(stream, ".0", 2);
    else if (type == TOKEN_KEYWORD && !is_keyword(token, size))
        fail_quoting(stream, "JSON parse error, invalid keyword '", stream->head, head_size(stream), "'");
}

static bool in_object(const Jsonstream *stream)
{
    unsigned at = stream->depth - 1;

    return (stream->is_object[at / 8] >> at % 8 & 1) != 0;
}

static void descend(Jsonstream *stream, bool object)
{
    unsigned at = stream->depth++;
    uint8_t bit = (uint8_t)(1u << at % 8);

    stream->is_object[at / 8] = (uint8_t)(object ? stream->is_object[at / 8] | bit : stream->is_object[at / 8] & ~bit);
    stream->wanted = object ? WANT_MEMBER : WANT_ELEMENT;
}

static void ascend(Jsonstream *stream)
{
    stream->depth--;
    stream->wanted = WANT_SEPARATOR;
}

static void value(Jsonstream *stream, int type)
{
    if (type == '{' || type == '[') {
        descend(stream, type == '{');
    } else if (is_one_of((uint8_t)type, "}]:,")) {
        fail(stream, "JSON parse error, expecting value");
    } else {
        scalar(stream, type);
        stream->wanted = WANT_SEPARATOR;
    }
}

static void key(Jsonstream *stream, int type)
{
    if (is_one_of((uint8_t)type, "}]:,"))
        fail(stream, "JSON parse error, expecting value");
    else if (type == TOKEN_STRING || type == TOKEN_KEYWORD)
        scalar(stream, type);
    if (type != TOKEN_STRING)
        fail(stream, "JSON parse error, key is not a string in object");
    stream->wanted = WANT_COLON;
}

static void separator(Jsonstream *stream, int type)
{
    bool object = in_object(stream);

    if (type == ',')
        stream->wanted = object ? WANT_KEY : WANT_VALUE;
    else if (type == (object ? '}' : ']'))
        ascend(stream);
    else
        fail(stream, object ? "JSON parse error, expected separator in dict"
                            : "JSON parse error, expected separator in list");
}

static void follow(Jsonstream *stream, int type)
{
    switch (stream->wanted) {
    case WANT_ELEMENT:
        if (type == ']')
            ascend(stream);
        else
            value(stream, type);
        break;
    case WANT_MEMBER:
        if (type == '}')
            ascend(stream);
        else
            key(stream, type);
        break;
    case WANT_VALUE:
        value(stream, type);
        break;
    case WANT_KEY:
        key(stream, type);
        break;
    case WANT_COLON:
        if (type != ':')
            fail(stream, "JSON parse error, missing : in object pair");
        stream->wanted = WANT_VALUE;
        break;
    case WANT_SEPARATOR:
        separator(stream, type);
        break;
    }
}

/* An event is due: true. */
static bool limit(Jsonstream *stream, const char *error)
{
    stream->failed = false; /* it counts more than what was wrong before */
    fail(stream, error);
    return true;
}

static bool end_token(Jsonstream *stream, int type)
{
    stream->braces += type == '{' ? 1 : type == '}' ? -1 : 0;
    stream->brackets += type == '[' ? 1 : type == ']' ? -1 : 0;
    if (stream->size + stream->token_size + 1 > JSONSTREAM_SIZE_MAX)
        return limit(stream, "JSON token size limit exceeded");
    if (stream->tokens + 1 > JSONSTREAM_TOKENS_MAX)
        return limit(stream, "JSON token count limit exceeded");
    if (stream->braces + stream->brackets > (int)JSONSTREAM_DEPTH_MAX)
        return limit(stream, "JSON nesting depth limit exceeded");
    stream->size += stream->token_size;
    stream->tokens++;
    if (!stream->failed)
        follow(stream, type);
    begin_token(stream);
    return (stream->braces <= 0 && stream->brackets <= 0) || stream->braces < 0 || stream->brackets < 0;
}

/* ---- the lexer ---- */

/* How many of `size` bytes may be taken at once: no more than there is room for, nor than a token may have. */
static size_t run_max(const Jsonstream *stream, size_t size)
{
    size_t room = stream->capacity - stream->used - stream->marks - ROOM_MIN;
    size_t rest = JSONSTREAM_SIZE_MAX + 1 - stream->token_size;

    if (!stream->failed && size > room)
        size = room;
    return size < rest ? size : rest;
}

/* Bytes of a string that need no look: no quotation mark or backslash, and none that no token has. */
static size_t plain(const uint8_t *data, size_t size)
{
    size_t i = 0;

    while (i < size && data[i] >= 0x20 && data[i] < 0xfe && data[i] != '"' && data[i] != '\'' && data[i] != '\\')
        i++;
    return i;
}

/* What is behind the state that ends with `c`, as far as it is part of the token; START if it is not. */
static int number(int state, uint8_t c)
{
    bool digit = c >= '0' && c <= '9', exponent = c == 'e' || c == 'E';

    switch (state) {
    case ZERO:
    case DIGITS:
        if (digit)
            return state == ZERO ? PASS_OVER : DIGITS;
        return c == '.' ? POINT : exponent && state == DIGITS ? EXPONENT : START;
    case FRACTION:
        return digit ? FRACTION : exponent ? EXPONENT : START;
    case EXPONENT_DIGITS:
        return digit ? EXPONENT_DIGITS : START;
    case MINUS:
        return c == '0' ? ZERO : digit ? DIGITS : PASS_OVER;
    case POINT:
        return digit ? FRACTION : PASS_OVER;
    case EXPONENT:
        return digit ? EXPONENT_DIGITS : c == '-' || c == '+' ? EXPONENT_SIGN : PASS_OVER;
    default: /* EXPONENT_SIGN */
        return digit ? EXPONENT_DIGITS : PASS_OVER;
    }
}

/* The byte that has just been appended belongs to no token. */
static bool stray(Jsonstream *stream)
{
    const char *zero = memchr(stream->head, '\0', head_size(stream));

    stream->lexer = PASS_OVER;
    stream->failed = false;
    fail_quoting(stream, "JSON parse error, stray '", stream->head,
                 zero ? (size_t)(zero - stream->head) : head_size(stream), "'");
    return true;
}

/* The first byte of a token: true when an event is due. */
static bool start(Jsonstream *stream, uint8_t c)
{
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
        return false;
    begin_token(stream);
    append(stream, &c, 1);
    if (c == '"' || c == '\'') {
        stream->lexer = STRING;
        stream->quote = c;
    } else if (c >= 'a' && c <= 'z') {
        stream->lexer = KEYWORD;
    } else if (c == '-' || (c >= '0' && c <= '9')) {
        stream->lexer = c == '-' ? MINUS : c == '0' ? ZERO : DIGITS;
    } else {
        return is_one_of(c, "{}[]:,") ? end_token(stream, c) : stray(stream);
    }
    return false;
}

static void take(BytesReader *in, size_t size)
{
    in->at += size;
    in->left -= size;
}

/* True when an event is due: no token may be larger than a value, be it only half of one. */
static bool too_long(Jsonstream *stream)
{
    if (stream->token_size <= JSONSTREAM_SIZE_MAX)
        return false;
    stream->lexer = START;
    return limit(stream, "JSON token size limit exceeded");
}

/* Bytes of a string: true when an event is due. */
static bool string(Jsonstream *stream, BytesReader *in)
{
    const uint8_t *at = in->at;
    size_t size = stream->lexer == STRING ? plain(at, run_max(stream, in->left)) : 0;

    if (size > 0) {
        append(stream, at, size);
        take(in, size);
        return too_long(stream);
    }
    append(stream, at, 1);
    take(in, 1);
    stream->marks += *at == '"' && stream->lexer == STRING && stream->quote == '\'';
    if (*at < 0x20 || *at >= 0xfe)
        return stray(stream);
    if (stream->lexer == STRING && *at == stream->quote) {
        stream->lexer = START;
        return end_token(stream, TOKEN_STRING);
    }
    stream->lexer = stream->lexer == STRING && *at == '\\' ? STRING_ESCAPE : STRING;
    return too_long(stream);
}

/* The next byte of a number or keyword, or the first behind it, which is left: true when an event is due. */
static bool word(Jsonstream *stream, BytesReader *in)
{
    const uint8_t *at = in->at;
    int before = stream->lexer;
    int state = before == KEYWORD ? (*at >= 'a' && *at <= 'z' ? KEYWORD : START) : number(before, *at);

    stream->lexer = (unsigned char)state;
    if (state == START)
        return end_token(stream, before == KEYWORD                    ? TOKEN_KEYWORD
                                 : before == ZERO || before == DIGITS ? TOKEN_INTEGER
                                                                      : TOKEN_NUMBER);
    append(stream, at, 1);
    take(in, 1);
    return state == PASS_OVER ? stray(stream) : too_long(stream);
}

/* The next byte, or more than one: true when an event is due. */
static bool step(Jsonstream *stream, BytesReader *in)
{
    uint8_t c = *in->at;

    switch (stream->lexer) {
    case STRING:
    case STRING_ESCAPE:
        return string(stream, in);
    case PASS_OVER:
        if ((c < 0x20 && c != '\t') || c >= 0xfe || is_one_of(c, "{}[]:,"))
            stream->lexer = START;
        else
            take(in, 1);
        return false;
    case START:
        take(in, 1);
        return start(stream, c);
    default:
        return word(stream, in);
    }
}

JsonstreamResult jsonstream_next(Jsonstream *stream, BytesReader *in, JsonstreamEvent *ret_event)
{
    if (stream->told)
        restart(stream);
    while (in->left > 0) {
        if (!stream->failed && stream->capacity - stream->used < stream->marks + ROOM_MIN + 1)
            return JSONSTREAM_ROOM;
        if (!step(stream, in))
            continue;
        stream->told = true;
        *ret_event = stream->failed ? (JsonstreamEvent){ stream->error, stream->error_size }
                                    : (JsonstreamEvent){ stream->text, stream->used };
        return stream->failed ? JSONSTREAM_ERROR : JSONSTREAM_VALUE;
    }
    return JSONSTREAM_MORE;
}
