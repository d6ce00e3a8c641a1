/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cases as text: one event per word, what it did after '='. The letters: client C, session S; g grab, d a grab that is
 * denied, r release, q request, a answer; then the type, and for grabs '@' and the serial. "S+" a session comes, "S-"
 * it goes, "Sn" the session speaks without serials if the client does, with them if it does not. A result is "1" or "0"
 * (let through or not), with "@serial" for grabs as translated; for "S+" the grab that it is told or "-", for "S-"
 * "release" and the number of requests to be answered with nothing.
 */
#include "grabs.h"

#include "check.h"

static const struct {
    const char *name;
    bool serials;
    const char *text;
} cases[] = {
    { "client copies, guest pastes", true, "S+=- Cg1@0=1@0 Sq1=1 Ca1=1 Ca1=0" },
    { "guest copies, client pastes", true, "S+=- Sg1@0=1@0 Cq1=1 Sa1=1 Sa1=0" },
    { "nothing to paste", true, "S+=- Sq1=0 Cq1=0 Ca1=0 Sa1=0 Cr=0 Sr=0" },
    { "own content is not asked of the other side", true, "S+=- Cg1@0=1@0 Cq1=0 Sg1@1=1@1 Sq1=0" },
    { "release", true, "S+=- Cg1@0=1@0 Cr=1 Sq1=0 Sg1@1=1@1 Sr=1 Cq1=0 Sr=0" },
    { "grabs take turns", true, "S+=- Cg1@0=1@0 Sg1@1=1@1 Cg1@2=1@2 Sg1@3=1@3" },
    { "two cross: the client wins", true, "S+=- Sg1@0=1@0 Cg1@0=1@0 Sq1=1 Cg1@1=1@1" },
    { "two cross nearer to us: the client wins", true, "S+=- Cg1@0=1@0 Sg1@0=0 Sq1=1 Sg1@1=1@1" },
    { "an old grab of the client", true, "S+=- Sg1@0=1@0 Sg1@1=1@1 Cg1@0=0 Cq1=1" },
    { "a grab ahead", true, "S+=- Cg1@7=1@7 Sg1@8=1@8 Sg1@8=0" },
    { "no serials: the last one wins", false, "S+=- Sg1@0=1@0 Cg1@0=1@0 Sg1@0=1@0 Cq1=1 Cg1@0=1@0 Sq1=1" },
    { "a session comes late and counts from 0", true, "Cg1@0=1@0 Cg1@1=1@1 S+=1@0 Sg1@1=1@2 Cg1@3=1@2 Sg1@3=1@4" },
    { "a session comes late to nothing", true, "Cg1@0=1@0 Cr=1 S+=- Sg1@0=1@1 Cg1@2=1@1" },
    { "a session leaves with all", true, "S+=- Sg1@0=1@0 Cq1=1 Cq2=1 S-=release,2 Cq1=0 S+=- Sa1=0 Sg1@0=1@1" },
    { "a session leaves, the client's grab stays", true, "S+=- Cg2@0=1@0 S-=,0 S+=2@0 Sq2=1" },
    { "an answer for a session that is gone", true, "S+=- Cg1@0=1@0 Sq1=1 S-=,0 S+=1@0 Sq1=1 Ca1=0 Ca1=1 Ca1=0" },
    { "an empty answer is for the oldest", true, "S+=- Cg1@0=1@0 Sq1=1 S-=,0 S+=1@0 Sq2=1 Ca0=0 Ca0=1 Ca0=0" },
    { "an answer that never comes is not waited for", true, "S+=- Cg1@0=1@0 Sq1=1 S-=,0 S+=1@0 T Sq1=1 Ca1=1" },
    { "types are answered out of order", true, "S+=- Sg1@0=1@0 Cq1=1 Cq2=1 Sa2=1 Sa1=1 Sa1=0" },
    { "no session", true, "Cg1@0=1@0 Ca1=0 Cq1=0" },
    { "too many requests", true, "S+=- Cg1@0=1@0 Sq1=1 Sq1=1 Sq1=1 Sq1=1 Sq1=1 Sq1=1 Sq1=1 Sq1=1 Sq1=1 Sq1=1 Sq1=1 Sq1=1 "
      "Sq1=1 Sq1=1 Sq1=1 Sq1=1 Sq1=0 Ca1=1 Sq1=1 Sq1=0 T Sq1=1" },
    { "too many requests of the client", true, "S+=- Sg1@0=1@0 Cq1=1 Cq1=1 Cq1=1 Cq1=1 Cq1=1 Cq1=1 Cq1=1 Cq1=1 Cq1=1 Cq1=1 "
      "Cq1=1 Cq1=1 Cq1=1 Cq1=1 Cq1=1 Cq1=1 Cq1=0 Sa1=1 Cq1=1 Cq1=0 S-=release,16" },
    { "a grab that the session must not see", true, "S+=- Cd1@0 Sg1@0=1@1 Cq1=1 Cd1@2 Sq1=0 Cg1@3=1@1 Sg1@2=1@4" },
    { "a grab that the client must not see", true, "S+=- Sd1@0 Cq1=0 Cg1@0=1@1 Sd1@2 Sq1=1 Cg1@1=1@3 Sg1@4=1@2" },
    { "denied ones cross", true, "S+=- Sg1@0=1@0 Cd1@0 Sg1@1=1@1 Cg1@2=1@2 Sd1@2 Sg1@3=1@3" },
    { "a denied grab of old", true, "S+=- Sg1@0=1@0 Sg1@1=1@1 Cd1@0 Sg1@2=1@2" },
    { "a session without serials", true, "S+=- Sn Cg1@0=1@0 Sg1@0=1@1 Sd1@0 Cg1@2=1@2 Sg1@0=1@3 Cg1@3=1@3 Sg1@0=1@4" },
    { "a client without serials", false, "S+=- Sn Cg1@0=1@0 Sg1@1=1@1 Cd1@0 Cg1@0=1@2 Sg1@2=0 Sd1@3 Sg1@4=1@4" },
    { "denied without serials", false, "S+=- Cd1@0 Sq1=0 Sd1@0 Cq1=0 Cg1@0=1@0 Sg1@0=1@0" },
    { "another client knows nothing of it", true, "S+=- Sg1@0=1@0 Cq1=1 C S+=- Sa1=0 Sr=0 Sg1@0=1@0" },
};

/* All is done to one selection; the others must not notice. */
#define SELECTION 1

static void event(Grabs *grabs, const char *word, int64_t *now, char *ret_result, size_t size)
{
    unsigned type = 0, serial = 0;
    int fields = sscanf(word, "%*2s%u@%u", &type, &serial);
    VdagentGrab grab = { .selection = SELECTION, .serial = serial, .count = 1, .type = { type } };
    VdagentRequest ask = { .selection = SELECTION, .type = type };
    VdagentClipboard answer = { .selection = SELECTION, .type = type };
    bool client = word[0] == 'C', through = false;

    ret_result[0] = '\0';
    if (word[0] == 'T') {
        *now += GRABS_OWED_MS;
        return;
    }
    if (client && (word[1] == '\0' || word[1] == '=')) {
        grabs_client(grabs, grabs->serials);
        return;
    }
    switch (word[1]) {
    case '+':
        grabs_session_begin(grabs);
        if (grabs_session_begin_grab(grabs, SELECTION, &grab))
            snprintf(ret_result, size, "%u@%u", grab.type[0], grab.serial);
        else
            snprintf(ret_result, size, "-");
        return;
    case '-': {
        bool release;
        size_t requests;

        grabs_session_end(grabs, SELECTION, &release, &requests);
        snprintf(ret_result, size, "%s,%zu", release ? "release" : "", requests);
        return;
    }
    case 'g':
        CHECK_EQ(fields, 2);
        through = client ? grabs_host_grab(grabs, &grab) : grabs_session_grab(grabs, &grab);
        if (through)
            snprintf(ret_result, size, "1@%u", grab.serial);
        else
            snprintf(ret_result, size, "0");
        return;
    case 'd':
        CHECK_EQ(fields, 2);
        (client ? grabs_host_denied : grabs_session_denied)(grabs, &grab);
        return;
    case 'n':
        grabs_session_serials(grabs, !grabs->serials);
        return;
    case 'r':
        through = client ? grabs_host_release(grabs, SELECTION) : grabs_session_release(grabs, SELECTION);
        break;
    case 'q':
        through = client ? grabs_host_request(grabs, &ask) : grabs_session_request(grabs, &ask, *now);
        break;
    case 'a':
        through = client ? grabs_host_answer(grabs, &answer, *now) : grabs_session_answer(grabs, &answer);
        break;
    default:
        CHECK(!"a word that is known");
    }
    snprintf(ret_result, size, "%d", through);
}

int main(void)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char text[1024], *word, *state;
        Grabs grabs = { 0 };
        int64_t now = 1000;

        grabs_client(&grabs, cases[i].serials);
        snprintf(text, sizeof(text), "%s", cases[i].text);
        for (word = strtok_r(text, " ", &state); word; word = strtok_r(NULL, " ", &state)) {
            char result[32], *expected = strchr(word, '=');

            check_case("%s: %s", cases[i].name, word);
            if (expected)
                *expected++ = '\0';
            event(&grabs, word, &now, result, sizeof(result));
            CHECK_STR(result, expected ? expected : "");
        }
        CHECK_EQ(grabs.selection[0].owner, GRABS_NOBODY);
        CHECK_EQ(grabs.selection[2].serial, 0);
    }
    return check_done();
}
