/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bytes.h"

#include <string.h>

static bool get(BytesReader *reader, size_t size, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (size > reader->left)
        return false;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)reader->at[i] << (8 * i);
    reader->at += size;
    reader->left -= size;
    *ret_value = value;
    return true;
}

bool bytes_get_u8(BytesReader *reader, uint8_t *ret_value)
{
    uint64_t value;

    if (!get(reader, sizeof(*ret_value), &value))
        return false;
    *ret_value = (uint8_t)value;
    return true;
}

bool bytes_get_u16(BytesReader *reader, uint16_t *ret_value)
{
    uint64_t value;

    if (!get(reader, sizeof(*ret_value), &value))
        return false;
    *ret_value = (uint16_t)value;
    return true;
}

bool bytes_get_u32(BytesReader *reader, uint32_t *ret_value)
{
    uint64_t value;

    if (!get(reader, sizeof(*ret_value), &value))
        return false;
    *ret_value = (uint32_t)value;
    return true;
}

bool bytes_get_u64(BytesReader *reader, uint64_t *ret_value)
{
    return get(reader, sizeof(*ret_value), ret_value);
}

bool bytes_take(BytesReader *reader, size_t size, const uint8_t **ret_data)
{
    if (size > reader->left)
        return false;
    *ret_data = reader->at;
    if (size > 0)
        reader->at += size;
    reader->left -= size;
    return true;
}

size_t bytes_move(BytesReader *reader, void *data, size_t size)
{
    const uint8_t *from;

    if (size > reader->left)
        size = reader->left;
    /* memcpy() wants valid pointers even for no byte, and an empty reader may point nowhere. */
    if (size > 0 && bytes_take(reader, size, &from))
        memcpy(data, from, size);
    return size;
}

static bool put(BytesWriter *writer, size_t size, uint64_t value)
{
    if (size > writer->left)
        return false;
    for (size_t i = 0; i < size; i++)
        writer->at[i] = (uint8_t)(value >> (8 * i));
    writer->at += size;
    writer->left -= size;
    writer->used += size;
    return true;
}

bool bytes_put_u8(BytesWriter *writer, uint8_t value)
{
    return put(writer, sizeof(value), value);
}

bool bytes_put_u16(BytesWriter *writer, uint16_t value)
{
    return put(writer, sizeof(value), value);
}

bool bytes_put_u32(BytesWriter *writer, uint32_t value)
{
    return put(writer, sizeof(value), value);
}

bool bytes_put_u64(BytesWriter *writer, uint64_t value)
{
    return put(writer, sizeof(value), value);
}

bool bytes_put(BytesWriter *writer, const void *data, size_t size)
{
    if (size > writer->left)
        return false;
    if (size > 0) {
        memcpy(writer->at, data, size);
        writer->at += size;
        writer->left -= size;
        writer->used += size;
    }
    return true;
}
