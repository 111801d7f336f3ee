#pragma once
/* pace: what a load generator does whatever it speaks: when calls are due, the window and its two edges, what was wrong.
 * pace_say.h: how it is told, and tells.
 *
 * The program gives its kinds of wrong by name, and some functions for a connection by its number. */
#include "net.h"
#include "window.h"

#include <stdbool.h>

enum { PACE_ERRORS_MAX = 100, PACE_KINDS_MAX = 8 };

struct pace_ops {
    const char *const *kinds; /* of wrong, by name, NULL behind the last ... */
    int fatal;                /* ... from which on the run is given up */
    void (*turn)(uint64_t wait);
    void (*tend)(uint32_t conn, uint64_t now);   /* begins what is due, sends what is queued */
    bool (*may_begin)(uint32_t conn);
    uint64_t (*begun)(uint32_t conn);            /* calls of that connection */
    void (*find_stalls)(uint64_t now);
};

static struct {
    const struct pace_ops *ops;
    /* as told */
    uint32_t connections;
    double warmup, seconds, rate; /* rate 0: the closed loop */
    uint64_t stall, most;         /* so many calls and no more; 0: any */
    struct watch watch;
    /* as it goes */
    uint64_t start, begin, end;   /* of the schedule; of the window, as planned until it is reached */
    bool counting, over, failed;  /* inside the window; past it; give up */
    uint64_t calls, begun, ended, in_flight, unsent;
    uint64_t wrong[PACE_KINDS_MAX], n_wrong;
    char first_wrong[200];
    struct hist latency, lag;
} pace = {.connections = 1, .warmup = 0.5, .seconds = 2};

__attribute__((format(printf, 2, 3))) static inline void blame(int kind, const char *format, ...)
{
    if (!pace.n_wrong) {
        va_list args;
        va_start(args, format);
        vsnprintf(pace.first_wrong, sizeof pace.first_wrong, format, args);
        va_end(args);
    }
    pace.wrong[kind]++;
    if (++pace.n_wrong >= PACE_ERRORS_MAX || kind >= pace.ops->fatal)
        pace.failed = true;
}

/* When call `sequence` of a connection is due in the open loop: calls go round the connections in turn. */
static inline uint64_t pace_due(uint32_t conn, uint64_t sequence)
{
    double number = (double)(sequence * pace.connections + conn);
    return pace.start + (uint64_t)(number / pace.rate * 1e9);
}

/* Whether its next call is to begin now, and since when it is due. */
static inline bool pace_next(uint32_t conn, uint64_t sequence, uint64_t now, uint64_t *due)
{
    *due = pace.rate > 0 ? pace_due(conn, sequence) : now;
    return *due <= now && *due < pace.end && !(pace.most && pace.begun == pace.most);
}

static inline void pace_sent(uint64_t due, uint64_t now)
{
    pace.begun++;
    pace.in_flight++;
    if (pace.rate > 0 && pace.counting)
        hist_add(&pace.lag, now - due);
}

/* One that was due then was answered as it should be. */
static inline void pace_right(uint64_t due, uint64_t now)
{
    if (pace.rate > 0 ? due >= pace.begin && due < pace.end : pace.counting)
        hist_add(&pace.latency, now - due);
}

/* Waits for events of connections, with 256 at most at once. */
static inline int pace_wait(int epoll, struct epoll_event events[256], uint64_t wait)
{
    struct timespec timeout = {.tv_sec = (time_t)(wait / SECOND), .tv_nsec = (long)(wait % SECOND)};
    return epoll_pwait2(epoll, events, 256, &timeout, NULL);
}

/* How long to sleep at most: until the window's next edge, the next call due, or the next look for stalls. */
static inline uint64_t pace_sleep(uint64_t now)
{
    uint64_t at = now + 100 * MS;
    if (!pace.over) {
        uint64_t edge = pace.counting ? pace.end : pace.begin;
        at = edge < at ? edge : at;
    }
    for (uint32_t i = 0; pace.rate > 0 && !pace.over && i < pace.connections; i++) {
        if (!pace.ops->may_begin(i))
            continue;
        uint64_t due = pace_due(i, pace.ops->begun(i));
        if (due < pace.end && due < at)
            at = due;
    }
    return at > now ? at - now : 0;
}

/* Calls that were due in the window and never sent have waited at least until its end. */
static inline void pace_count_unsent(void)
{
    for (uint32_t i = 0; pace.rate > 0 && i < pace.connections; i++)
        for (uint64_t n = pace.ops->begun(i), due; (due = pace_due(i, n)) < pace.end; n++)
            if (due >= pace.begin) {
                pace.unsent++;
                hist_add(&pace.latency, pace.end - due);
            }
}

/* The whole run; the two looks are those at the window's edges. */
static inline void pace_run(struct spent *first, struct spent *last)
{
    const struct pace_ops *ops = pace.ops;
    uint64_t now = pace.start = now_ns(), next_stalls = now + 100 * MS;
    pace.begin = now + (uint64_t)(pace.warmup * 1e9);
    pace.end = pace.begin + (uint64_t)(pace.seconds * 1e9);
    if (pace.most) {
        *first = window_look(&pace.watch);
        pace.counting = true;
    }
    for (uint32_t i = 0; i < pace.connections; i++)
        ops->tend(i, now);
    while (!pace.failed && !(pace.over && !pace.in_flight)) {
        ops->turn(pace_sleep(now));
        now = now_ns();
        for (uint32_t i = 0; pace.rate > 0 && i < pace.connections; i++)
            ops->tend(i, now);
        if (!pace.counting && !pace.over && now >= pace.begin) {
            *first = window_look(&pace.watch);
            pace.begin = first->at;
            pace.end = pace.begin + (uint64_t)(pace.seconds * 1e9);
            pace.counting = true;
        } else if (pace.counting && (now >= pace.end || (pace.most && pace.ended == pace.most))) {
            *last = window_look(&pace.watch);
            pace.counting = false;
            pace.over = true;
            pace_count_unsent();
        }
        if (now >= next_stalls) {
            ops->find_stalls(now);
            next_stalls = now + 100 * MS;
        }
    }
    if (!pace.over) {
        *last = window_look(&pace.watch);
        if (!pace.counting)
            *first = *last;
    }
}
