/* protocol/h2_state: every state with every event, against the text of RFC 9113, section 5.1. */
#include "protocol/h2_state.h"
#include "test.h"

/* Told apart from the table by what they say: what may still come, and what we may still send. */
struct side {
    bool theirs, ours; /* open */
};

static struct side side_of(int state)
{
    return (struct side){state == MF_H2_OPEN || state == MF_H2_LOCAL, state == MF_H2_OPEN || state == MF_H2_REMOTE};
}

static bool alive(int state)
{
    return state == MF_H2_OPEN || state == MF_H2_LOCAL || state == MF_H2_REMOTE;
}

static void test_frames_that_come(void)
{
    for (int state = 0; state < MF_H2_STATES; state++) {
        for (int event = MF_H2_IN_HEADERS; event <= MF_H2_IN_CREDIT; event++) {
            struct mf_h2_step step = mf_h2_state_step(state, event);
            bool content = event == MF_H2_IN_HEADERS || event == MF_H2_IN_DATA;
            int want;
            if (event == MF_H2_IN_END)
                want = side_of(state).theirs ? MF_H2_TAKE : MF_H2_BUG;
            else if (state == MF_H2_IDLE)
                want = event == MF_H2_IN_HEADERS ? MF_H2_TAKE : MF_H2_PROTOCOL;
            else if (state == MF_H2_RESET || state == MF_H2_BEYOND)
                want = MF_H2_PASS;
            else if (state == MF_H2_ENDED)
                want = event == MF_H2_IN_HEADERS ? MF_H2_ALL_CLOSED : content ? MF_H2_CLOSED : MF_H2_PASS;
            else if (state == MF_H2_REMOTE && content)
                want = MF_H2_CLOSED;
            else if (state == MF_H2_LOCAL && event == MF_H2_IN_CREDIT)
                want = MF_H2_PASS;
            else
                want = MF_H2_TAKE;
            CHECK_INT(step.verdict, want);
            if (step.verdict != MF_H2_TAKE && step.verdict != MF_H2_BUG)
                CHECK_INT(step.next, state); /* what is not taken changes nothing */
        }
    }
}

static void test_what_we_send(void)
{
    for (int state = 0; state < MF_H2_STATES; state++) {
        for (int event = MF_H2_OUT_HEADERS; event < MF_H2_EVENTS; event++) {
            bool may = event == MF_H2_OUT_RESET ? alive(state) || state == MF_H2_ENDED : side_of(state).ours;
            may |= event == MF_H2_OUT_HEADERS && state == MF_H2_IDLE;
            CHECK_INT(mf_h2_state_step(state, event).verdict, may ? MF_H2_TAKE : MF_H2_BUG);
        }
    }
}

/* A side that has ended stays so, whatever comes; all streams end. */
static void test_every_way(void)
{
    for (int state = 0; state < MF_H2_STATES; state++) {
        for (int event = 0; event < MF_H2_EVENTS; event++) {
            struct mf_h2_step step = mf_h2_state_step(state, event);
            if (step.verdict != MF_H2_TAKE)
                continue;
            struct side before = side_of(state), after = side_of(step.next);
            if (state != MF_H2_IDLE) {
                CHECK(before.theirs || !after.theirs);
                CHECK(before.ours || !after.ours);
            } else {
                CHECK_INT(step.next, MF_H2_OPEN);
            }
            if (event == MF_H2_IN_END)
                CHECK(!after.theirs && after.ours == before.ours);
            if (event == MF_H2_OUT_END)
                CHECK(!after.ours && after.theirs == before.theirs);
            if (event == MF_H2_IN_RESET || event == MF_H2_OUT_RESET)
                CHECK(!alive(step.next));
            /* What the peer may have sent before it knew is let pass, and only that. */
            if (step.next == MF_H2_RESET)
                CHECK(event == MF_H2_OUT_RESET && before.theirs);
        }
    }
}

int main(void)
{
    test_frames_that_come();
    test_what_we_send();
    test_every_way();
    return test_end("test_h2_state");
}
