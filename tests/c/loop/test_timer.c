/* timer: against a plain list as the model, over times near and far. */
#include "loop/timer.h"
#include "test.h"

enum { MANY = 2000 };
static const uint64_t MS = 1000000;

struct alarm {
    struct mf_timer timer;
    uint64_t set_for, fired_at;
    int fired;
};
static struct alarm alarms[MANY];
static struct mf_timers timers;
static uint64_t now;

static void ring(struct mf_timer *timer)
{
    struct alarm *alarm = MF_CONTAINER(timer, struct alarm, timer);
    alarm->fired++;
    alarm->fired_at = now;
}

static uint32_t seed = 7;
static uint32_t any(uint32_t below)
{
    seed = seed * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)seed * below) >> 32);
}

static void test_order(void)
{
    now = 12345678901;
    mf_timers_init(&timers, now);
    memset(alarms, 0, sizeof alarms);
    CHECK_INT(mf_timers_next(&timers, now), -1);
    CHECK_INT(mf_timers_run(&timers, now), 0);
    static const uint64_t spans[] = {1, 70, 5000, 300000, 17000000, 40000000};
    for (int i = 0; i < MANY; i++) {
        alarms[i].set_for = now + any((uint32_t)spans[i % 6]) * MS + any(1000000);
        mf_timer_set(&timers, &alarms[i].timer, alarms[i].set_for, ring);
    }
    for (int i = 0; i < MANY; i += 3) { /* moved */
        alarms[i].set_for = now + any(200000) * MS;
        mf_timer_set(&timers, &alarms[i].timer, alarms[i].set_for, ring);
    }
    for (int i = 0; i < MANY; i += 7) { /* taken back, twice */
        mf_timer_cancel(&timers, &alarms[i].timer);
        mf_timer_cancel(&timers, &alarms[i].timer);
        alarms[i].set_for = 0;
    }
    int wakes = 0;
    for (;;) {
        int64_t wait = mf_timers_next(&timers, now);
        if (wait < 0)
            break;
        for (int i = 0; i < MANY; i++)
            if (alarms[i].set_for && !alarms[i].fired && now + (uint64_t)wait > alarms[i].set_for + MS) {
                CHECK(!"next is later than a timer's tick");
                return;
            }
        now += (uint64_t)wait;
        mf_timers_run(&timers, now);
        wakes++;
    }
    for (int i = 0; i < MANY; i++) {
        CHECK_INT(alarms[i].fired, alarms[i].set_for != 0);
        if (alarms[i].fired && (alarms[i].fired_at < alarms[i].set_for || alarms[i].fired_at > alarms[i].set_for + MS))
            CHECK_INT(alarms[i].fired_at, alarms[i].set_for);
    }
    CHECK(wakes < 3 * MANY);
}

/* A run that comes late fires all that is due, in the order of their ticks. */
static uint64_t last_for;
static void ring_in_order(struct mf_timer *timer)
{
    struct alarm *alarm = MF_CONTAINER(timer, struct alarm, timer);
    CHECK(alarm->set_for / MS >= last_for / MS);
    last_for = alarm->set_for;
    alarm->fired++;
}

static void test_late(void)
{
    now = 999 * MS;
    mf_timers_init(&timers, now);
    memset(alarms, 0, sizeof alarms);
    last_for = 0;
    for (int i = 0; i < MANY; i++) {
        alarms[i].set_for = now + MS + any(400000) * MS;
        mf_timer_set(&timers, &alarms[i].timer, alarms[i].set_for, ring_in_order);
    }
    now += 500000 * MS;
    CHECK_INT(mf_timers_run(&timers, now), MANY);
    CHECK_INT(mf_timers_next(&timers, now), -1);
}

static void set_again(struct mf_timer *timer)
{
    struct alarm *alarm = MF_CONTAINER(timer, struct alarm, timer);
    alarm->fired++;
    mf_timer_set(&timers, timer, now, set_again); /* for now, so not in this run */
    mf_timer_cancel(&timers, &alarms[1].timer);   /* a neighbour of the same tick */
}

static void test_inside(void)
{
    now = 50 * MS;
    mf_timers_init(&timers, now);
    memset(alarms, 0, sizeof alarms);
    mf_timer_set(&timers, &alarms[0].timer, now + 3 * MS, set_again);
    mf_timer_set(&timers, &alarms[1].timer, now + 3 * MS, ring);
    CHECK_INT(mf_timers_run(&timers, now + 3 * MS - 1), 0);
    now += 3 * MS;
    CHECK_INT(mf_timers_run(&timers, now), 1);
    CHECK_INT(alarms[1].fired, 0);
    CHECK_INT(mf_timers_next(&timers, now), 0);
    CHECK_INT(mf_timers_run(&timers, now), 1);
    CHECK_INT(alarms[0].fired, 2);
    mf_timer_cancel(&timers, &alarms[0].timer);
    CHECK_INT(mf_timers_next(&timers, now), -1);
    mf_timer_set(&timers, &alarms[2].timer, UINT64_MAX, ring); /* beyond the wheel: placed again, never fired */
    for (int i = 0; i < 10; i++)
        mf_timers_run(&timers, now += 16000000 * MS);
    CHECK_INT(alarms[2].fired, 0);
    CHECK(mf_timers_next(&timers, now) > 0);
}

int main(void)
{
    test_order();
    test_late();
    test_inside();
    return test_end("loop/timer");
}
