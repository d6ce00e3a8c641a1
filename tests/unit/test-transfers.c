/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "transfers.h"

#include "check.h"

static void test_lives(void)
{
    Transfers transfers = { .count = 0 };
    uint32_t id;

    CHECK(!transfers_lives(&transfers, 0));
    CHECK(!transfers_end(&transfers, 0));
    CHECK(!transfers_end_any(&transfers, &id));
    CHECK_EQ(transfers_begin(&transfers, 0), TRANSFERS_OK);
    CHECK(transfers_lives(&transfers, 0));
    CHECK_EQ(transfers_begin(&transfers, 0), TRANSFERS_DUPLICATE);
    for (uint32_t i = 1; i < LIMIT_TRANSFERS; i++)
        CHECK_EQ(transfers_begin(&transfers, UINT32_MAX - i), TRANSFERS_OK);
    CHECK_EQ(transfers_begin(&transfers, 5), TRANSFERS_FULL);
    CHECK_EQ(transfers_begin(&transfers, 0), TRANSFERS_DUPLICATE);
    CHECK(transfers_end(&transfers, 0));
    CHECK(!transfers_lives(&transfers, 0));
    CHECK(!transfers_end(&transfers, 0));
    CHECK(transfers_lives(&transfers, UINT32_MAX - 1));
    CHECK_EQ(transfers_begin(&transfers, 5), TRANSFERS_OK);
    for (uint32_t i = 0; i < LIMIT_TRANSFERS; i++) {
        CHECK(transfers_end_any(&transfers, &id));
        CHECK(!transfers_lives(&transfers, id));
    }
    CHECK(!transfers_end_any(&transfers, &id));
}

/* What a client with and without detailed errors gets for each result. */
static void test_status(void)
{
    static const struct {
        uint32_t result, old;
        bool final;
    } rows[] = {
        { VD_AGENT_FILE_XFER_STATUS_CAN_SEND_DATA, VD_AGENT_FILE_XFER_STATUS_CAN_SEND_DATA, false },
        { VD_AGENT_FILE_XFER_STATUS_CANCELLED, VD_AGENT_FILE_XFER_STATUS_CANCELLED, true },
        { VD_AGENT_FILE_XFER_STATUS_ERROR, VD_AGENT_FILE_XFER_STATUS_ERROR, true },
        { VD_AGENT_FILE_XFER_STATUS_SUCCESS, VD_AGENT_FILE_XFER_STATUS_SUCCESS, true },
        { VD_AGENT_FILE_XFER_STATUS_NOT_ENOUGH_SPACE, VD_AGENT_FILE_XFER_STATUS_ERROR, true },
        { VD_AGENT_FILE_XFER_STATUS_SESSION_LOCKED, VD_AGENT_FILE_XFER_STATUS_ERROR, true },
        { VD_AGENT_FILE_XFER_STATUS_VDAGENT_NOT_CONNECTED, VD_AGENT_FILE_XFER_STATUS_ERROR, true },
        { VD_AGENT_FILE_XFER_STATUS_DISABLED, VD_AGENT_FILE_XFER_STATUS_ERROR, true },
        { 99, VD_AGENT_FILE_XFER_STATUS_ERROR, true },
    };
    static const Caps old = { { 0 } };
    Caps new = { { 0 } };

    caps_add(&new, VD_AGENT_CAP_FILE_XFER_DETAILED_ERRORS);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        VdagentFileStatus status = { .id = 7, .result = rows[i].result, .detailed = true, .free_space = 5 };

        check_case("result %u", rows[i].result);
        CHECK_EQ(transfers_final(rows[i].result), rows[i].final);
        CHECK_EQ(transfers_status_for(&new, status).result, rows[i].result);
        CHECK_EQ(transfers_status_for(&new, status).free_space, 5);
        CHECK_EQ(transfers_status_for(&old, status).result, rows[i].old);
        CHECK_EQ(transfers_status_for(&old, status).id, 7);
        CHECK(!transfers_status_for(&old, status).detailed);
    }
}

int main(void)
{
    test_lives();
    test_status();
    return check_done();
}
