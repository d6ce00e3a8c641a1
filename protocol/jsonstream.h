/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * jsonstream.h - cuts a byte stream into JSON values, as QEMU's monitor and guest agent do.
 *
 * Values follow each other with or without space in between, and one is complete when its last bracket closes. Its text
 * is handed out as strict JSON, whatever dialect it came in: strings may be in single quotes and escape one (\'), as
 * QEMU allows, and integers that 64 bits cannot hold come out as real numbers. It is checked but for duplicate keys and
 * the range of real numbers; U+0000 is refused in any spelling, so every string is one in C as well.
 *
 * What is not JSON is an error, with the text that QEMU has for it, and so is the byte 0xFF: peers send it to end what a
 * predecessor left unfinished. After bytes that are no token the input is passed over up to the next bracket, colon,
 * comma or control character.
 *
 * The text is in memory that the owner gives and makes larger on demand, so it grows with what has been received, and
 * is bounded as the value is in size, tokens and depth. No value is built and nothing recurses.
 */
#ifndef JSONSTREAM_H
#define JSONSTREAM_H

#include "bytes.h"

/* Bytes of all tokens of a value; QEMU's bound, and what 48 MiB in base 64 need. */
#define JSONSTREAM_SIZE_MAX (64u << 20)
/* Tokens of a value, and brackets open at a time, as in QEMU. */
#define JSONSTREAM_TOKENS_MAX (2u << 20)
#define JSONSTREAM_DEPTH_MAX 1024u
/* An error repeats as many bytes of what it is about at most. */
#define JSONSTREAM_QUOTE_MAX 256u

typedef enum JsonstreamResult {
    JSONSTREAM_MORE,  /* the input is used up; feed more */
    JSONSTREAM_ROOM,  /* `text` is full: make it larger by any number of bytes, and call again */
    JSONSTREAM_VALUE, /* a whole value */
    JSONSTREAM_ERROR  /* there is none here; the stream goes on behind it */
} JsonstreamResult;

/* Both live until the next call. */
typedef struct JsonstreamEvent {
    const char *text; /* the value as strict JSON, or the description of the error, with bytes of the peer's in it */
    size_t size;      /* without the zero at its end */
} JsonstreamEvent;

/*
 * All zero is a fresh one. `text` and `capacity` are the owner's, who may also replace them by less or nothing after a
 * value or error, before the next call. The rest is private.
 */
typedef struct Jsonstream {
    char *text; /* of the value, up to and with the current token */
    size_t capacity, used;
    size_t token;      /* where the current token begins in it */
    size_t token_size; /* as received */
    size_t size;       /* of all tokens before */
    size_t marks;      /* in the current string, and need a backslash */
    unsigned tokens, depth;
    int braces, brackets; /* open; less than none ends a value */
    unsigned char lexer, wanted, quote;
    bool failed; /* the value is no value: its end is waited for */
    bool told;   /* the value or error was handed out */
    uint8_t is_object[JSONSTREAM_DEPTH_MAX / 8]; /* what is open, by depth */
    char head[JSONSTREAM_QUOTE_MAX];             /* first bytes of the current token */
    char error[JSONSTREAM_QUOTE_MAX + 64];
    size_t error_size;
} Jsonstream;

/* The next event; call until JSONSTREAM_MORE. */
JsonstreamResult jsonstream_next(Jsonstream *stream, BytesReader *in, JsonstreamEvent *ret_event);

/* Forget what is unfinished, as after a change of peer. */
void jsonstream_reset(Jsonstream *stream);

#endif
