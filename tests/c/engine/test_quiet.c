/* quiet: a drain is not over while calls keep coming, however often and from whichever thread that is asked. */
#include "rig.h"

#include <pthread.h>
#include <stdatomic.h>

enum { CALLS = 20000, FRESH_NS = 250000000 }; /* half of the time that must be quiet */
enum { LAST_NS = 200000000 };                 /* the time that must be quiet in the end */

struct world {
    struct rig rig;
    _Atomic uint64_t asked_at; /* when the last call that was answered was sent */
    atomic_bool over;
    int caller; /* open until all is judged: without a caller a drain is over at once */
};

static void *provide(void *arg)
{
    struct world *world = arg;
    int fd = take(world->rig.listeners[0]);
    for (;;) {
        struct frame frame = get(fd);
        if (!frame.len)
            break;
        if (!(frame.head.flags & MF_DUBBO_EVENT))
            answer(fd, frame.head.id, 20, 1);
        drop(&frame);
    }
    close(fd);
    return NULL;
}

/* One call after the other, READONLY or not: between two of them none is in flight. */
static void *call(void *arg)
{
    struct world *world = arg;
    int fd = world->caller = dial(&world->rig.proxy);
    for (uint64_t id = 1; id <= CALLS; id++) {
        uint64_t now = mf_clock_ns();
        ask(fd, id, "svc", NULL);
        struct frame frame = get(fd);
        while (frame.len && (frame.head.flags & MF_DUBBO_EVENT)) {
            drop(&frame);
            frame = get(fd);
        }
        CHECK_INT(frame.head.id, id);
        drop(&frame);
        atomic_store(&world->asked_at, now);
    }
    atomic_store(&world->over, true);
    return NULL;
}

static void test_calls_keep_it_open(void)
{
    static struct world world;
    atomic_store(&world.asked_at, 0);
    atomic_store(&world.over, false);
    open_rig(&world.rig, 1, MF_OUTBOUND, NULL);
    pthread_t provider, caller;
    CHECK_INT(pthread_create(&provider, NULL, provide, &world), 0);
    CHECK_INT(pthread_create(&caller, NULL, call, &world), 0);
    CHECK(REACHES(&world.rig, answers, 1));
    mf_engine_drain(world.rig.engine);
    uint64_t polls = 0, early = 0;
    while (!atomic_load(&world.over)) {
        uint64_t asked_at = atomic_load(&world.asked_at);
        bool drained = mf_engine_drained(world.rig.engine);
        polls++;
        early += drained && mf_clock_ns() - asked_at < FRESH_NS;
    }
    CHECK(polls > 0);
    CHECK_INT(early, 0);
    CHECK_INT(pthread_join(caller, NULL), 0);
    close(world.caller);
    close_rig(&world.rig);
    CHECK_INT(pthread_join(provider, NULL), 0);
}

static void answer_one(int fd, uint64_t id)
{
    struct frame frame;
    while ((frame = get(fd)).head.flags & MF_DUBBO_EVENT)
        drop(&frame);
    CHECK_INT(frame.head.id, id);
    drop(&frame);
}

/* Two callers: of the `slow` one's request all but `last`, its last byte, has come, as the one worker has answered the
 * `other` one since. */
struct half {
    struct world world;
    pthread_t provider;
    int slow, other;
    uint8_t last;
};

static void begin_half(struct half *half)
{
    open_rig(&half->world.rig, 1, MF_OUTBOUND, NULL);
    CHECK_INT(pthread_create(&half->provider, NULL, provide, &half->world), 0);
    uint8_t bytes[1024];
    size_t len = request(bytes, 7, TWO_WAY, "svc", MF_SLICE("x"), NULL);
    half->slow = dial(&half->world.rig.proxy);
    half->other = dial(&half->world.rig.proxy);
    half->last = bytes[len - 1];
    CHECK_INT(send(half->slow, bytes, len - 1, MSG_NOSIGNAL), (long)len - 1);
    ask(half->other, 1, "svc", NULL);
    answer_one(half->other, 1);
}

static void end_half(struct half *half)
{
    while (!mf_engine_drained(half->world.rig.engine))
        usleep(1000);
    close(half->other);
    close_rig(&half->world.rig);
    CHECK_INT(pthread_join(half->provider, NULL), 0);
}

/* The rest is waited for, though nothing else moves. */
static void test_a_request_that_is_arriving_keeps_it_open(void)
{
    static struct half half;
    begin_half(&half);
    mf_engine_drain(half.world.rig.engine);
    uint32_t early = 0;
    for (uint64_t by = mf_clock_ns() + 3 * (uint64_t)LAST_NS; mf_clock_ns() < by; usleep(1000))
        early += mf_engine_drained(half.world.rig.engine);
    CHECK_INT(early, 0);
    CHECK_INT(send(half.slow, &half.last, 1, MSG_NOSIGNAL), 1);
    answer_one(half.slow, 7);
    end_half(&half);
    close(half.slow);
}

/* Who goes in the midst of one holds nobody up. */
static void test_who_goes_in_the_midst_is_not_waited_for(void)
{
    static struct half half;
    begin_half(&half);
    close(half.slow);
    mf_engine_drain(half.world.rig.engine);
    end_half(&half);
}

int main(void)
{
    void (*const tests[])(void) = {test_calls_keep_it_open, test_a_request_that_is_arriving_keeps_it_open,
                                   test_who_goes_in_the_midst_is_not_waited_for};
    return run_all("quiet", tests, sizeof tests / sizeof *tests);
}
