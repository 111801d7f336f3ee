#pragma once
/* local: what the rooms of one worker's thread share: its loop, the limits, its counters, the table and the trace memory
 * as its reader, and chance. Knows no connection, call or protocol.
 *
 * Nothing in here is touched by another thread, except: counters, `services` and `traffic` (read). */
#include "base/list.h"
#include "call/counters.h"
#include "call/limits.h"
#include "call/outcome.h"
#include "call/tally.h"
#include "loop/loop.h"
#include "table/table.h"
#include "table/trace.h"

struct mf_addr;
struct mf_copies;
struct mf_governor;
struct mf_notes;

/* What a worker has to tell its engine's thread: what an operator wants in the log. */
enum mf_event_kind {
    MF_EVENT_PEER_DOWN, MF_EVENT_PEER_UP, MF_EVENT_PEER_READONLY, MF_EVENT_UPSTREAM_LOST, MF_EVENT_BAD_DOWNSTREAM,
    MF_EVENT_ACCEPT_FAILED, MF_EVENT_PEER_EJECTED, MF_EVENT_PEER_RETURNED, /* ejected: rc is for how many ms */
};

enum mf_direction { MF_OUTBOUND, MF_INBOUND };

/* What comes in one direction. */
struct mf_traffic {
    mf_atom64 active; /* calls in flight */
    mf_atom64 last;   /* loop time when the last one began or ended, or was there whole, or bytes were relayed */
};

struct mf_local {
    struct mf_counters counters;
    struct mf_traffic traffic[2]; /* by enum mf_direction */
    mf_atom64 arriving;           /* accepted connections on which some of a frame has yet to come */
    mf_atom64 ended_here[MF_OUTCOMES]; /* calls that no peer answered, by outcome */
    char _pad[MF_CACHE_LINE];

    const struct mf_limits *limits;
    struct mf_loop *loop;
    struct mf_table *table;
    struct mf_trace *trace; /* may be NULL */
    int reader;             /* of the table's epoch */
    uint32_t n_workers;     /* of the engine */
    uint64_t began;         /* loop time */
    uint64_t random;
    struct mf_tally services; /* whose calls come in: by inlets that have no policy to count by */
    struct mf_notes *notes; /* NULL: nobody asks */
    struct mf_governor *governor;
    uint32_t n_delayed; /* that wait as a rule has it and are no calls: connections of HTTP/1 */
    struct mf_copies *copies;
    struct mf_list conns;   /* every connection that is open */
    uint32_t n_downs, n_ups;
    struct {
        size_t mark;          /* above so much the budget is looked at */
        uint64_t since, next; /* since when it is over (0: it is not); when connections are looked at again */
        bool trim;            /* it was over, and the allocator has kept what was freed */
        uint64_t next_trim;
        uint64_t crowded;     /* since when peers' share is nearly used up; 0: it is not */
        uint64_t looked;      /* since when connections are looked at; 0: they are not */
        size_t for_peers;     /* what waits for peers that many share takes: their output, and calls without a connection */
    } budget;                 /* budget.h's */
    struct mf_label_values labels; /* of the request that is being routed */
    /* Tells the engine's thread; `addr` may be NULL. */
    void (*report)(struct mf_local *local, enum mf_event_kind kind, int rc, const struct mf_addr *addr);
};

/* inline */

#define MF_COUNT(local, name) mf_count(&(local)->counters.name, 1)
#define MF_COUNT_N(local, name, n) mf_count(&(local)->counters.name, (uint64_t)(n))

static inline uint64_t mf_local_now(const struct mf_local *local)
{
    return mf_loop_now(local->loop);
}

/* What is left of maxMemory. */
static inline size_t mf_local_left(const struct mf_local *local)
{
    size_t used = mf_loop_memory(local->loop);
    return used < local->limits->max_memory ? (size_t)local->limits->max_memory - used : 0;
}

/* Half of it is for what waits for peers, so that those who take nothing leave to callers what is theirs. What is left: where
 * each may have as much as that, n of them together have n parts of n + 1. */
static inline size_t mf_local_left_for_peers(const struct mf_local *local)
{
    size_t share = (size_t)local->limits->max_memory / 2, used = local->budget.for_peers;
    return used < share ? share - used : 0;
}

/* xorshift64*: choosing among equals needs spread, not secrecy. */
static inline uint64_t mf_local_random(struct mf_local *local)
{
    uint64_t x = local->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    local->random = x;
    return x * 0x2545f4914f6cdd1dULL;
}
