/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "queue.h"

#include "check.h"
#include "message.h"

#include <spice/vd_agent.h>

/* A message of this type whose body is `id` and zeroes up to `size` bytes. */
static void put(Queue *queue, uint32_t type, uint32_t id, uint32_t size)
{
    static uint8_t bytes[LIMIT_SESSION_QUEUE];
    BytesWriter out = bytes_writer(bytes, sizeof(bytes));

    memset(bytes, 0, MESSAGE_HEADER_SIZE + size);
    CHECK(message_put_header(&out, &(MessageHeader){ .type = type, .size = size }));
    if (size >= 4)
        bytes_put_u32(&out, id);
    CHECK(queue_put(queue, bytes, MESSAGE_HEADER_SIZE + size));
}

/* Takes all, `step` bytes at a time, and checks that it is these ids, one for each message. */
static void expect(Queue *queue, size_t step, const char *ids)
{
    uint8_t all[LIMIT_SESSION_QUEUE];
    size_t size = 0, waiting;
    char found[64] = "";

    for (const uint8_t *data; data = queue_peek(queue, &waiting), waiting > 0;) {
        size_t part = waiting < step ? waiting : step;

        memcpy(all + size, data, part);
        size += part;
        queue_take(queue, part);
    }
    MessageReader reader = { .have = 0 };
    BytesReader in = bytes_reader(all, size);
    const uint8_t *piece;
    size_t piece_size;
    bool first = false;

    for (MessageResult result; (result = message_next(&reader, &in, &piece, &piece_size)) != MESSAGE_MORE;) {
        CHECK(result != MESSAGE_BAD_PROTOCOL);
        if (result == MESSAGE_BODY && !first)
            snprintf(found + strlen(found), sizeof(found) - strlen(found), "%c", piece[0]);
        first = result == MESSAGE_BODY;
    }
    CHECK(message_idle(&reader));
    CHECK_STR(found, ids);
}

static bool drop_id(uint32_t type, const uint8_t body[4], void *user)
{
    return type == VD_AGENT_FILE_XFER_DATA && body[0] == *(const char *)user;
}

static void fill_with_three(Queue *queue)
{
    put(queue, VD_AGENT_FILE_XFER_DATA, 'a', 100);
    put(queue, VD_AGENT_FILE_XFER_STATUS, 'b', 8);
    put(queue, VD_AGENT_FILE_XFER_DATA, 'b', 50);
    put(queue, VD_AGENT_FILE_XFER_DATA, 'a', 12);
    put(queue, VD_AGENT_FILE_XFER_DATA, 'c', 30);
}

int main(void)
{
    static Queue queue;
    static const uint8_t zeroes[LIMIT_SESSION_QUEUE];
    char a = 'a', b = 'b';

    check_case("order");
    for (size_t step = 1; step < 300; step += 7) {
        fill_with_three(&queue);
        expect(&queue, step, "abbac");
    }

    /* What has been begun stays, wherever it was cut. */
    for (size_t taken = 0; taken <= 120; taken++) {
        check_case("%zu bytes taken", taken);
        queue_clear(&queue);
        fill_with_three(&queue);
        queue_take(&queue, taken);
        size_t before = queue.used;
        queue_filter(&queue, drop_id, &a);
        CHECK_EQ(before - queue.used, taken == 0 ? 152 : 32);
        queue_filter(&queue, drop_id, &b);
        CHECK_EQ(before - queue.used, taken == 0 ? 222 : 102);
        queue_take(&queue, taken == 0 ? 0 : 120 - taken);
        expect(&queue, 1000, "bc");
    }

    static const size_t ends[] = { 0, 120, 148, 218, 250, 300 };
    for (size_t taken = 0, i = 0; taken <= 300; taken++) {
        i += taken > ends[i];
        check_case("back and cut, %zu bytes taken", taken);
        queue_clear(&queue);
        fill_with_three(&queue);
        queue_take(&queue, taken);
        CHECK_EQ(queue_rest(&queue), taken == 300 ? 0 : taken == ends[i] ? ends[i + 1] - taken : ends[i] - taken);
        CHECK_EQ(queue_retract(&queue, 50), taken <= 250);
        CHECK_EQ(queue.used, taken <= 250 ? 250 - taken : 300 - taken);
        CHECK(queue_cut(&queue));
        CHECK_EQ(queue.used, ends[i] - taken);
    }

    check_case("full");
    queue_clear(&queue);
    CHECK_EQ(queue_room(&queue), LIMIT_SESSION_QUEUE);
    put(&queue, VD_AGENT_CLIPBOARD, 'x', LIMIT_SESSION_QUEUE - MESSAGE_HEADER_SIZE);
    CHECK_EQ(queue_room(&queue), 0);
    CHECK(!queue_put(&queue, zeroes, 1));
    queue_take(&queue, 30000);
    CHECK(!queue_put(&queue, zeroes, 30001));
    CHECK_EQ(queue_room(&queue), 30000);
    put(&queue, VD_AGENT_CLIPBOARD_GRAB, 'y', 29980);
    CHECK_EQ(queue_room(&queue), 0);
    queue_take(&queue, LIMIT_SESSION_QUEUE - 30000);
    expect(&queue, 4000, "y");

    check_case("a message larger than the queue");
    BytesWriter out;
    uint8_t header[MESSAGE_HEADER_SIZE];
    out = bytes_writer(header, sizeof(header));
    message_put_header(&out, &(MessageHeader){ .type = VD_AGENT_CLIPBOARD, .size = UINT32_MAX });
    CHECK(queue_put(&queue, header, sizeof(header)));
    uint64_t left = UINT32_MAX;
    queue_take(&queue, sizeof(header));
    CHECK_EQ(queue_rest(&queue), UINT32_MAX);
    CHECK(!queue_cut(&queue));
    while (left > 0) {
        size_t part = left < sizeof(zeroes) ? (size_t)left : sizeof(zeroes);

        CHECK(queue_put(&queue, zeroes, part));
        queue_take(&queue, part);
        left -= part;
    }
    CHECK_EQ(queue.partial, 0);
    put(&queue, VD_AGENT_REPLY, 'z', 8);
    expect(&queue, 1, "z");
    return check_done();
}
