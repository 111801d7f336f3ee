/* silent: a peer that is connected and says nothing is asked for a word, rests, and is tried by single calls. */
#include "rig.h"

enum { MUTE = 0, OTHER = 2, IN_A_ROW = 30 }; /* by chance so many calls go to one of two once in 2^30 times */

struct two {
    struct rig rig;
    int fds[3]; /* connections from the engine */
    int caller;
    uint64_t id, asked, beats; /* the last call's own id, its id upstream; heartbeats that the mute one was sent */
};

/* Which of the two gets the next request; heartbeats are left unanswered. Negative: none does in time. */
static int who(struct two *two)
{
    for (;;) {
        struct pollfd fds[3];
        for (int i = 0; i < 3; i++)
            fds[i] = (struct pollfd){.fd = i == 1 ? -1 : two->fds[i] < 0 ? two->rig.listeners[i] : two->fds[i],
                                     .events = POLLIN};
        if (waits(fds, 3, 5000) <= 0)
            return -ETIMEDOUT;
        int i = fds[MUTE].revents ? MUTE : OTHER;
        if (two->fds[i] < 0) {
            two->fds[i] = take(two->rig.listeners[i]);
            continue;
        }
        struct frame frame = get(two->fds[i]);
        bool event = frame.head.flags & MF_DUBBO_EVENT, ended = frame.len == 0;
        two->asked = frame.head.id;
        drop(&frame);
        if (ended)
            return -ECONNRESET;
        if (!event)
            return i;
        two->beats += i == MUTE;
    }
}

/* One call, to its end: answered by the other one, in time or not, or timed out at the mute one. */
static int call(struct two *two)
{
    ask(two->caller, ++two->id, "svc", NULL);
    int i = who(two);
    if (i == OTHER)
        answer(two->fds[OTHER], two->asked, 20, 1);
    struct frame frame = get(two->caller);
    CHECK_INT(frame.head.id, two->id);
    CHECK(frame.head.status == 31 || (i == OTHER && frame.head.status == 20));
    drop(&frame);
    return i;
}

/* How many calls of `most` in a row go to the other one. */
static int in_a_row(struct two *two, int most)
{
    int n = 0;
    while (n < most && call(two) == OTHER)
        n++;
    return n;
}

static bool reported(struct rig *rig, enum mf_event_kind kind)
{
    struct mf_event event;
    for (int i = 0; i < 5000; i++) {
        while (mf_engine_next_event(rig->engine, &event) == 1)
            if (event.kind == kind)
                return true;
        usleep(1000);
    }
    return false;
}

static void test_doubt(void)
{
    struct two two = {.fds = {-1, -1, -1}};
    struct setting settings[] = {{"callTimeout", 100}, {"peerBackoff", 1000}, {0}};
    open_rig(&two.rig, 3, MF_OUTBOUND, settings);
    two.caller = dial(&two.rig.proxy);
    int tries = 0;
    while (call(&two) != MUTE && tries < 1000)
        tries++;
    CHECK(tries < 1000);

    /* Its first call timed out in silence: it is asked, does not answer, and rests. */
    uint64_t until = mf_clock_ns() + UINT64_C(60000000000);
    while (in_a_row(&two, IN_A_ROW) < IN_A_ROW && mf_clock_ns() < until)
        ;
    CHECK(two.beats > 0);
    CHECK(reported(&two.rig, MF_EVENT_PEER_DOWN));

    /* After its rest one call tries it, not half of them. */
    until = mf_clock_ns() + UINT64_C(60000000000);
    while (call(&two) != MUTE && mf_clock_ns() < until)
        usleep(1000);
    CHECK(mf_clock_ns() < until);
    CHECK_INT(in_a_row(&two, IN_A_ROW), IN_A_ROW);

    /* A word from it, and it is in use again. */
    uint8_t event[MF_DUBBO_EVENT_ROOM];
    CHECK(put(two.fds[MUTE], event, mf_dubbo_put_heartbeat(event, 1)));
    CHECK(reported(&two.rig, MF_EVENT_PEER_UP));
    CHECK(in_a_row(&two, IN_A_ROW) < IN_A_ROW);

    close(two.caller);
    close(two.fds[MUTE]);
    close(two.fds[OTHER]);
    close_rig(&two.rig);
}

int main(void)
{
    void (*const tests[])(void) = {test_doubt};
    return run_all("silent", tests, sizeof tests / sizeof *tests);
}
