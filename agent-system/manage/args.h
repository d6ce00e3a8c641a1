/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * args.h - the arguments of a command: what there may be, and with which texts QEMU's agent refuses what may not.
 */
#ifndef ARGS_H
#define ARGS_H

#include <glib.h>
#include <jansson.h>

typedef enum ArgType {
    ARG_INT, /* 64 bits with a sign */
    ARG_BOOL,
    ARG_STRING,
    ARG_WORD,         /* one of `words`, as a text */
    ARG_STRINGS,      /* a list of them */
    ARG_STRUCTS,      /* a list of objects with `members` */
    ARG_INT_OR_WORD,  /* one of `words` */
    ARG_BOOL_OR_WORD
} ArgType;

/* One argument. A list of them ends with one without name. */
typedef struct Arg {
    const char *name;
    ArgType type;
    gboolean optional;
    const struct Arg *members;
    const char *const *words; /* ends with NULL */
    const char *schema;       /* with `words`: what QEMU calls the type */
} Arg;

/* NULL if `object` has all that must be there, nothing else, and of these types; else why not, to be freed. */
char *args_check(const Arg *args, json_t *object);

/* Values of an object that was checked; `fallback` where there is none. */
gboolean args_has(const json_t *args, const char *name);
gint64 args_int(const json_t *args, const char *name, gint64 fallback);
const char *args_string(const json_t *args, const char *name, const char *fallback);

/* Bytes in base 64, to be freed; what is incomplete at the end is dropped. NULL if it has other characters. */
guint8 *args_base64(const json_t *args, const char *name, gsize *ret_size);
#define ARGS_BASE64_ERROR "Base64 data contains invalid characters"

#endif
