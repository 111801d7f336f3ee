/* An answer that comes too late, twice, from elsewhere, or to nothing is counted and given to nobody: not to the next call
 * in the same slot, not where the uses of a slot wrap, not where ids turn negative for who reads them signed.
 *
 * engine.c is part of this program, so that the use count of a slot can be set: no option does that. */
#include "engine/engine.c"

#include "rig.h"

enum { SLOTS = 4, ROUNDS = 200 };

#define EXTREMES                                                                                                       \
    {                                                                                                                  \
        0, 1, UINT64_MAX, INT64_MAX, UINT64_C(1) << 63, (UINT64_C(1) << 63) + 1, UINT64_C(1) << MF_CALL_SLOT_BITS,     \
            UINT64_MAX << MF_CALL_SLOT_BITS, UINT32_MAX, UINT64_C(0xdabb) << 48                                        \
    }

static void ask_within(int fd, uint64_t id, const char *ms)
{
    const char *const pairs[] = {"timeout", ms, NULL};
    ask(fd, id, "svc", pairs);
}

/* The next frame is the answer to `down_id`, and the one that was made for the upstream id `up_id`. */
static void expect_own(int fd, uint64_t down_id, uint64_t up_id)
{
    struct frame frame = get(fd);
    CHECK(frame.len >= MF_DUBBO_HEAD_LEN + 8);
    CHECK(frame.head.id == down_id && frame.head.status == 20);
    if (frame.len >= MF_DUBBO_HEAD_LEN + 8)
        CHECK(mf_get64(frame.bytes + MF_DUBBO_HEAD_LEN) == up_id);
    drop(&frame);
}

/* One call through, so that there is a connection to the provider: returns our end of it. */
static int first_call(struct rig *rig, int caller, uint64_t *id)
{
    ask(caller, 1, "svc", NULL);
    int provider = take(rig->listeners[0]);
    CHECK(provider >= 0);
    *id = asked(provider);
    answer(provider, *id, 20, 1);
    expect_own(caller, 1, *id);
    return provider;
}

/* Few slots, used over and over: each call times out, the next takes its slot, and only then comes the answer. */
static void test_late(void)
{
    struct rig rig;
    static const struct setting few[] = {{"maxCalls", SLOTS}, {0}};
    open_rig(&rig, 1, MF_OUTBOUND, few);
    int caller = dial(&rig.proxy);
    uint64_t first, late = 0;
    int provider = first_call(&rig, caller, &first);
    for (int round = 0; round < 20; round++) {
        uint64_t stale[SLOTS], fresh[SLOTS];
        for (int i = 0; i < SLOTS; i++)
            ask_within(caller, 7, "20"); /* the caller's ids are all the same, too */
        for (int i = 0; i < SLOTS; i++)
            stale[i] = asked(provider);
        for (int i = 0; i < SLOTS; i++)
            expect(caller, 7, 31, "did not answer in time");
        for (int i = 0; i < SLOTS; i++)
            ask(caller, 7, "svc", NULL);
        for (int i = 0; i < SLOTS; i++)
            fresh[i] = asked(provider);
        uint64_t slots = 0;
        for (int i = 0; i < SLOTS; i++) {
            slots |= UINT64_C(1) << (fresh[i] & 63);
            for (int k = 0; k < SLOTS; k++)
                CHECK(fresh[i] != stale[k]);
        }
        CHECK_INT(slots, (1 << SLOTS) - 1); /* it is the same few slots */
        for (int i = 0; i < SLOTS; i++)
            answer(provider, stale[i], 20, (size_t)round);
        late += SLOTS;
        CHECK(REACHES(&rig, answers_late, late));
        CHECK_INT(COUNTER(&rig, calls_active), SLOTS); /* none of the fresh ones has ended by it */
        for (int i = SLOTS - 1; i >= 0; i--) {
            answer(provider, fresh[i], 20, 3);
            expect_own(caller, 7, fresh[i]);
        }
    }
    CHECK_INT(COUNTER(&rig, answers_late), late);
    CHECK_INT(COUNTER(&rig, calls_active), 0);
    close(caller);
    close(provider);
    close_rig(&rig);
}

/* One slot, and a provider that answers every call with everything that is not its answer as well. */
static void test_nobodys(void)
{
    struct rig rig;
    static const struct setting one[] = {{"maxCalls", 1}, {0}};
    static const uint64_t extremes[] = EXTREMES;
    enum { N = sizeof extremes / sizeof *extremes };
    open_rig(&rig, 1, MF_OUTBOUND, one);
    int caller = dial(&rig.proxy);
    uint64_t id, late = 0;
    int provider = first_call(&rig, caller, &id);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t down_id = extremes[round % N], before = id;
        ask(caller, down_id, "svc", NULL);
        id = asked(provider);
        CHECK_INT(id - before, 1 << MF_CALL_SLOT_BITS); /* the same slot, its next use */
        answer(provider, before, 20, 5);                /* twice, and of the use before */
        answer(provider, id + (1 << MF_CALL_SLOT_BITS), 20, 5); /* of the use to come */
        answer(provider, id ^ 1, 20, 5);                /* of a slot that was never used */
        answer(provider, id ^ UINT64_C(1) << 63, 20, 5);
        late += 4;
        for (int i = 0; i < N; i++)
            if (extremes[i] != id && extremes[i] != before) {
                answer(provider, extremes[i], 20, 5);
                late++;
            }
        answer(provider, id, 20, 5);
        answer(provider, id, 20, 5); /* and once more */
        late++;
        expect_own(caller, down_id, id);
        CHECK(REACHES(&rig, answers_late, late));
    }
    CHECK(silent(caller, 100));
    CHECK_INT(COUNTER(&rig, answers_late), late);
    CHECK_INT(COUNTER(&rig, answers), ROUNDS + 1);
    CHECK_INT(COUNTER(&rig, calls), ROUNDS + 1);
    close(caller);
    close(provider);
    close_rig(&rig);
}

/* The right id on another connection than the one it was asked on: from another provider, from the same one over the
 * connection that was lost and made anew, and from the caller itself. */
static void test_elsewhere(void)
{
    struct rig rig;
    static const char *const labelled[] = {"dev", "dev1", NULL};
    open_rig(&rig, 2, MF_OUTBOUND, NULL);
    int caller = dial(&rig.proxy), thief = dial(&rig.proxy);
    uint64_t id, other_id;
    int provider = first_call(&rig, caller, &id);
    ask(thief, 1, "svc", labelled);
    int other = take(rig.listeners[1]);
    CHECK(other >= 0);
    other_id = asked(other);
    answer(other, other_id, 20, 1);
    expect_own(thief, 1, other_id);

    ask(caller, 2, "svc", NULL);
    id = asked(provider);
    answer(other, id, 20, 9);  /* another provider */
    answer(thief, id, 20, 9);  /* another caller */
    answer(caller, id, 20, 9); /* itself */
    CHECK(REACHES(&rig, answers_late, 3));
    answer(provider, id, 20, 2);
    expect_own(caller, 2, id);

    ask(caller, 3, "svc", NULL);
    id = asked(provider);
    close(provider); /* before it answers: that call is told, and its answer on the next connection is nobody's */
    expect(caller, 3, 35, "connection to the provider was lost");
    ask(caller, 4, "svc", NULL);
    provider = take(rig.listeners[0]);
    CHECK(provider >= 0);
    uint64_t next = asked(provider);
    CHECK(next != id);
    answer(provider, id, 20, 9);
    CHECK(REACHES(&rig, answers_late, 4));
    answer(provider, next, 20, 2);
    expect_own(caller, 4, next);
    CHECK_INT(COUNTER(&rig, answers_late), 4);
    close(caller);
    close(thief);
    close(provider);
    close(other);
    close_rig(&rig);
}

/* An answer to a caller that has gone, while another caller has its slot. */
static void test_gone(void)
{
    struct rig rig;
    static const struct setting one[] = {{"maxCalls", 1}, {0}};
    open_rig(&rig, 1, MF_OUTBOUND, one);
    int caller = dial(&rig.proxy);
    uint64_t id, late = 0;
    int provider = first_call(&rig, caller, &id);
    for (int round = 0; round < 20; round++) {
        int leaving = dial(&rig.proxy);
        ask(leaving, 5, "svc", NULL);
        uint64_t gone = asked(provider);
        setsockopt(leaving, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
        close(leaving);
        CHECK(REACHES(&rig, calls_abandoned, (uint64_t)round + 1));
        ask(caller, 5, "svc", NULL);
        id = asked(provider);
        CHECK_INT(id - gone, 1 << MF_CALL_SLOT_BITS);
        answer(provider, gone, 20, 4);
        CHECK(REACHES(&rig, answers_late, ++late));
        answer(provider, id, 20, 4);
        expect_own(caller, 5, id);
    }
    CHECK_INT(COUNTER(&rig, answers_late), late);
    close(caller);
    close(provider);
    close_rig(&rig);
}

/* Across the wrap of the 40 bits, and across 2^63: two slots, their calls interleaved, late answers on either side. The
 * engine is at rest while its slots are set: nothing is in flight, and the socket orders our writes before its reads. */
static void across(uint64_t border)
{
    struct rig rig;
    static const struct setting two[] = {{"maxCalls", 2}, {0}};
    open_rig(&rig, 1, MF_OUTBOUND, two);
    int caller = dial(&rig.proxy);
    uint64_t ids[2], late = 0;
    int provider = first_call(&rig, caller, &ids[0]);
    ask(caller, 1, "svc", NULL);
    ask(caller, 2, "svc", NULL);
    for (int i = 0; i < 2; i++)
        ids[i] = asked(provider);
    for (int i = 0; i < 2; i++) {
        answer(provider, ids[i], 20, 1);
        expect_own(caller, 1 + (uint64_t)i, ids[i]);
    }
    for (int i = 0; COUNTER(&rig, calls_active) && i < 10000; i++)
        usleep(1000);
    CHECK_INT(COUNTER(&rig, calls_active), 0);
    struct mf_calls *calls = &rig.engine->workers[0]->calls;
    CHECK_INT(calls->_n_slots, 2);
    for (uint64_t n = 0; n < 2; n++)
        calls->_pages[0][n].id = (border - (UINT64_C(3) << MF_CALL_SLOT_BITS)) | n;

    bool at_border = false;
    for (int round = 0; round < 6; round++) {
        uint64_t stale[2], fresh[2];
        for (uint64_t i = 0; i < 2; i++)
            ask_within(caller, i, "20");
        for (int i = 0; i < 2; i++)
            stale[i] = asked(provider);
        for (int i = 0; i < 2; i++) { /* in the order of their deadlines; which is first is not ours to say */
            struct frame frame = get(caller);
            CHECK(frame.len > 0 && frame.head.id < 2 && frame.head.status == 31);
            drop(&frame);
        }
        for (uint64_t i = 0; i < 2; i++)
            ask(caller, i - 1, "svc", NULL); /* -1 and 0 */
        for (int i = 0; i < 2; i++) {
            fresh[i] = asked(provider);
            CHECK(fresh[i] != stale[0] && fresh[i] != stale[1]);
            at_border |= fresh[i] >> MF_CALL_SLOT_BITS == border >> MF_CALL_SLOT_BITS ||
                         stale[i] >> MF_CALL_SLOT_BITS == border >> MF_CALL_SLOT_BITS;
        }
        for (int i = 0; i < 2; i++)
            answer(provider, stale[i], 20, 6);
        late += 2;
        CHECK(REACHES(&rig, answers_late, late));
        for (int i = 1; i >= 0; i--) {
            answer(provider, fresh[i], 20, 6);
            expect_own(caller, (uint64_t)i - 1, fresh[i]);
        }
    }
    CHECK(at_border);
    CHECK_INT(COUNTER(&rig, answers_late), late);
    CHECK_INT(COUNTER(&rig, calls_active), 0);
    close(caller);
    close(provider);
    close_rig(&rig);
}

static void test_wrap(void)
{
    across(0);
}

static void test_sign(void)
{
    across(UINT64_C(1) << 63);
}

int main(void)
{
    static void (*const tests[])(void) = {test_late, test_nobodys, test_elsewhere, test_gone, test_wrap, test_sign};
    return run_all("late", tests, sizeof tests / sizeof *tests);
}
