#include "loop/timer.h"

#include <limits.h>

/* Level 0 has a slot for each of the next 63 ticks; a slot of level n spans 64^n ticks and is sorted into the levels
 * below when the tick reaches its first one. `_used` may not miss a slot that has timers. */
enum { BITS = 6, MASK = MF_TIMER_SLOTS - 1 };

static const uint64_t SPAN = (uint64_t)1 << (BITS * MF_TIMER_LEVELS);

void mf_timers_init(struct mf_timers *timers, uint64_t now)
{
    timers->_tick = now / MF_TIMER_TICK_NS;
    timers->_count = 0;
    mf_list_init(&timers->_due);
    for (int level = 0; level < MF_TIMER_LEVELS; level++) {
        timers->_used[level] = 0;
        for (int i = 0; i < MF_TIMER_SLOTS; i++)
            mf_list_init(&timers->_slots[level][i]);
    }
}

static uint64_t tick_of(uint64_t at)
{
    return at / MF_TIMER_TICK_NS + (at % MF_TIMER_TICK_NS != 0);
}

static void place(struct mf_timers *timers, struct mf_timer *timer)
{
    uint64_t tick = tick_of(timer->at);
    if (tick <= timers->_tick) {
        mf_list_push(&timers->_due, &timer->_node);
        return;
    }
    uint64_t away = tick - timers->_tick;
    if (away >= SPAN) { /* beyond the wheel: in its last slot, and placed again from there */
        away = SPAN - 1;
        tick = timers->_tick + away;
    }
    int level = 0;
    while (away >= (uint64_t)1 << (BITS * (level + 1)))
        level++;
    unsigned slot = (unsigned)(tick >> (BITS * level)) & MASK;
    timers->_used[level] |= (uint64_t)1 << slot;
    mf_list_push(&timers->_slots[level][slot], &timer->_node);
}

static void take_off(struct mf_timers *timers, struct mf_timer *timer)
{
    struct mf_list *head = timer->_node.next, *first = &timers->_slots[0][0];
    bool last = head == timer->_node.prev;
    mf_list_remove(&timer->_node);
    if (last && head >= first && head < first + MF_TIMER_LEVELS * MF_TIMER_SLOTS) {
        size_t i = (size_t)(head - first);
        timers->_used[i / MF_TIMER_SLOTS] &= ~((uint64_t)1 << (i % MF_TIMER_SLOTS));
    }
}

void mf_timer_set(struct mf_timers *timers, struct mf_timer *timer, uint64_t at, void (*fn)(struct mf_timer *))
{
    mf_timer_cancel(timers, timer);
    timer->at = at ? at : 1;
    timer->fn = fn;
    timers->_count++;
    place(timers, timer);
}

void mf_timer_cancel(struct mf_timers *timers, struct mf_timer *timer)
{
    if (!timer->at)
        return;
    timer->at = 0;
    timers->_count--;
    take_off(timers, timer);
}

/* The first tick after the last one run at which a slot has to be looked at. */
static uint64_t next_tick(const struct mf_timers *timers)
{
    uint64_t best = UINT64_MAX;
    for (int level = 0; level < MF_TIMER_LEVELS; level++) {
        if (!timers->_used[level])
            continue;
        uint64_t now = timers->_tick >> (BITS * level);
        unsigned turn = (unsigned)(now + 1) & MASK; /* the slot of now itself comes last: a whole turn from now */
        uint64_t used = timers->_used[level];
        if (turn)
            used = used >> turn | used << (MF_TIMER_SLOTS - turn);
        uint64_t tick = (now + 1 + (uint64_t)__builtin_ctzll(used)) << (BITS * level);
        if (tick < best)
            best = tick;
    }
    return best;
}

static int run_list(struct mf_timers *timers, struct mf_list *list)
{
    int fired = 0;
    struct mf_list *node;
    while ((node = mf_list_shift(list))) {
        struct mf_timer *timer = MF_CONTAINER(node, struct mf_timer, _node);
        timer->at = 0;
        timers->_count--;
        fired++;
        timer->fn(timer);
    }
    return fired;
}

static void empty_slot(struct mf_timers *timers, int level, struct mf_list *into)
{
    unsigned slot = (unsigned)(timers->_tick >> (BITS * level)) & MASK;
    timers->_used[level] &= ~((uint64_t)1 << slot);
    mf_list_splice(into, &timers->_slots[level][slot]);
}

int mf_timers_run(struct mf_timers *timers, uint64_t now)
{
    uint64_t until = now / MF_TIMER_TICK_NS;
    struct mf_list list; /* a timer that sets itself for the past waits for the next run */
    mf_list_init(&list);
    mf_list_splice(&list, &timers->_due);
    int fired = run_list(timers, &list);

    uint64_t tick;
    while ((tick = next_tick(timers)) <= until) {
        timers->_tick = tick;
        for (int level = MF_TIMER_LEVELS - 1; level > 0; level--) {
            if (tick & (((uint64_t)1 << (BITS * level)) - 1))
                continue;
            struct mf_list far;
            mf_list_init(&far);
            empty_slot(timers, level, &far);
            struct mf_list *node;
            while ((node = mf_list_shift(&far))) {
                struct mf_timer *timer = MF_CONTAINER(node, struct mf_timer, _node);
                if (tick_of(timer->at) == tick)
                    mf_list_push(&list, &timer->_node);
                else
                    place(timers, timer);
            }
        }
        empty_slot(timers, 0, &list);
        fired += run_list(timers, &list);
    }
    if (until > timers->_tick)
        timers->_tick = until;
    return fired;
}

int64_t mf_timers_next(const struct mf_timers *timers, uint64_t now)
{
    if (!timers->_count)
        return MF_TIMER_NEVER;
    if (!mf_list_empty(&timers->_due))
        return 0;
    uint64_t at = next_tick(timers) * MF_TIMER_TICK_NS;
    return at <= now ? 0 : (int64_t)(at - now);
}
