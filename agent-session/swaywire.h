/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swaywire.h - bytes of sway's IPC (pure): a command to be run, and the reply to it, which may be cut anywhere.
 *
 * A message is "i3-ipc", the length of its body and its type, both 32 bits in the machine's byte order, and the body;
 * see sway-ipc(7).
 */
#ifndef SWAYWIRE_H
#define SWAYWIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SWAYWIRE_HEADER 14u
/* The reply has some 30 bytes for a command that is done, and one line for one that is not. */
#define SWAYWIRE_BODY_MAX 16384u
#define SWAYWIRE_RUN_COMMAND 0u

typedef enum SwaywireResult {
    SWAYWIRE_MORE,     /* feed on */
    SWAYWIRE_COMPLETE, /* one message is there; what follows it is not looked at */
    SWAYWIRE_BAD       /* not sway's IPC, another reply than to a command, or more than SWAYWIRE_BODY_MAX */
} SwaywireResult;

/* All 0 at the start. */
typedef struct Swaywire {
    size_t have;
    uint8_t header[SWAYWIRE_HEADER];
    uint32_t size; /* of the body, once the header is there */
    char body[SWAYWIRE_BODY_MAX];
} Swaywire;

/* The header in front of a command of `size` bytes. */
void swaywire_command(uint32_t size, uint8_t ret_header[SWAYWIRE_HEADER]);

/* Take the next bytes of a reply. After SWAYWIRE_COMPLETE or SWAYWIRE_BAD nothing more is to be fed. */
SwaywireResult swaywire_feed(Swaywire *wire, const uint8_t *data, size_t size);

/*
 * What a complete reply says: were all commands done? If not, `ret_why` is the first error of sway's, cut to `size`
 * bytes with its 0, in printable ASCII; "" if it gave none.
 */
bool swaywire_succeeded(const Swaywire *wire, char *ret_why, size_t size);

#endif
