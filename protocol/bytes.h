/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bytes.h - the little-endian cursors through which all wire data pass.
 *
 * A get or put either moves the cursor by the whole item and returns true, or leaves cursor and result untouched and
 * returns false. Nothing else in the tree moves a pointer over a peer's bytes. SPICE agent data are little-endian
 * (spice/vd_agent.h), whatever the guest's own order is.
 */
#ifndef BYTES_H
#define BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What remains to be read. The bytes are borrowed: they must outlive the cursor and what bytes_take() hands out. */
typedef struct BytesReader {
    const uint8_t *at;
    size_t left;
} BytesReader;

/* What remains to be filled; `used` counts what has been written since bytes_writer(). */
typedef struct BytesWriter {
    uint8_t *at;
    size_t left;
    size_t used;
} BytesWriter;

static inline BytesReader bytes_reader(const void *data, size_t size)
{
    return (BytesReader){ .at = data, .left = size };
}

static inline BytesWriter bytes_writer(void *data, size_t size)
{
    return (BytesWriter){ .at = data, .left = size, .used = 0 };
}

bool bytes_get_u8(BytesReader *reader, uint8_t *ret_value);
bool bytes_get_u16(BytesReader *reader, uint16_t *ret_value);
bool bytes_get_u32(BytesReader *reader, uint32_t *ret_value);
bool bytes_get_u64(BytesReader *reader, uint64_t *ret_value);

/* Borrow `size` bytes, which live as long as the reader's data. Size 0 succeeds and returns a pointer to no byte. */
bool bytes_take(BytesReader *reader, size_t size, const uint8_t **ret_data);

/* Move up to `size` bytes to `data`; returns how many there were. */
size_t bytes_move(BytesReader *reader, void *data, size_t size);

bool bytes_put_u8(BytesWriter *writer, uint8_t value);
bool bytes_put_u16(BytesWriter *writer, uint16_t value);
bool bytes_put_u32(BytesWriter *writer, uint32_t value);
bool bytes_put_u64(BytesWriter *writer, uint64_t value);
bool bytes_put(BytesWriter *writer, const void *data, size_t size);

#endif
