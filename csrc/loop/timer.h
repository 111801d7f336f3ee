#pragma once
/* timer: a wheel of one-shot timers on the monotonic clock. Setting and cancelling cost the same however many. */
#include "base/list.h"

#include <stdint.h>

enum { MF_TIMER_NEVER = -1 };
enum { MF_TIMER_TICK_NS = 1000000, MF_TIMER_LEVELS = 4, MF_TIMER_SLOTS = 64 };

struct mf_timer {
    struct mf_list _node;
    uint64_t at; /* monotonic ns; 0: not set */
    void (*fn)(struct mf_timer *);
};

struct mf_timers {
    uint64_t _tick;                  /* the last tick that was run */
    uint64_t _count;                 /* timers that are set */
    struct mf_list _due;             /* set for a time that had passed: the next run takes them */
    uint64_t _used[MF_TIMER_LEVELS]; /* a bit for each slot that is not empty */
    struct mf_list _slots[MF_TIMER_LEVELS][MF_TIMER_SLOTS];
};

void mf_timers_init(struct mf_timers *timers, uint64_t now);
/* Sets or moves a timer; `timer` was zeroed or used before. Fires at the first run at or after `at` rounded up to a
 * tick: never before `at`, at most one tick late. */
void mf_timer_set(struct mf_timers *timers, struct mf_timer *timer, uint64_t at, void (*fn)(struct mf_timer *));
void mf_timer_cancel(struct mf_timers *timers, struct mf_timer *timer); /* harmless when not set */
/* Calls what is due; a timer may set and cancel any timer, itself too. Returns how many fired. */
int mf_timers_run(struct mf_timers *timers, uint64_t now);
/* When the next run is worth it: ns from `now`, or MF_TIMER_NEVER when no timer is set. Never later than the first timer's tick;
 * earlier when far timers have to be sorted again. */
int64_t mf_timers_next(const struct mf_timers *timers, uint64_t now);
