#pragma once
/* worker: one thread's share of the data plane: a loop, its listeners, connections, pools, calls and counters.
 *
 * Nothing in here is touched by another thread, except: counters (read), `command` and the loop's wake (written),
 * `events` (the ring's other end), `last_call` (read). */
#include "base/mem.h"
#include "base/ring.h"
#include "loop/sock.h"
#include "proxy/call.h"
#include "proxy/dubbo_read.h"
#include "proxy/engine.h"

#include <pthread.h>

struct mf_worker;
struct mf_pool;

/* What a listener was told, shared by all workers; immutable once the engine has started. */
struct mf_front {
    struct mf_listen_options options; /* its texts are in `texts` */
    struct mf_arena texts;
    struct mf_addr bound;
    int fds[MF_WORKERS_MAX]; /* one a worker; -1 once it is the worker's */
};

/* A worker's end of a listener. */
struct mf_door {
    struct mf_listener listener;
    struct mf_worker *worker;
    struct mf_front *front;
    struct mf_list downs;     /* connections that came in here */
    struct mf_pool *forward;  /* made on first use */
    bool open;
};

enum mf_command { MF_COMMAND_DRAIN = 1, MF_COMMAND_STOP = 2 };

struct mf_worker {
    struct mf_counters counters;
    struct mf_serialization_counters serializations[MF_SERIALIZATIONS];
    mf_atom64 last_call; /* loop time of the last call begun or ended */
    char _pad[MF_CACHE_LINE];
    mf_atom32 command;   /* enum mf_command bits, set by the engine's thread */
    mf_atom32 told;      /* 1 once the callers were told READONLY */

    struct mf_engine *engine;
    const struct mf_limits *limits;
    struct mf_table *table;
    struct mf_trace *trace;
    struct mf_loop *loop;
    bool owns_loop, draining, stopping, started;
    uint32_t index;
    int reader; /* of the table's epoch */
    pthread_t thread;
    int start_rc;

    struct mf_door doors[MF_LISTENERS_MAX];
    uint32_t n_doors;
    struct mf_list strays;    /* connections that no pool or door lists: relayed upstreams, closing ones */
    struct mf_list pools;
    struct mf_pool **by_peer; /* by mf_peer.id */
    uint32_t n_by_peer;
    struct mf_timer sweep;    /* once a second: pools that are no longer wanted */
    uint32_t n_downs, n_ups;
    struct mf_calls calls;
    struct mf_ring events;
    int event_fd;             /* the engine's */
    uint64_t random;

    struct mf_dubbo_room room; /* one request is parsed at a time */
    struct mf_dubbo_limits dubbo_limits;
    struct mf_memos memos;
    struct mf_label_values labels;
};

/* Makes a worker ready for its thread, or for `embed`. 0 or a negated errno. */
int mf_worker_init(struct mf_worker *worker, struct mf_engine *engine, const struct mf_engine_options *options,
                   const struct mf_limits *limits, uint32_t index, int event_fd, const char **why);
void mf_worker_dispose(struct mf_worker *worker);
/* On the loop's thread: opens the listeners and joins the epoch. 0 or a negated errno. */
int mf_worker_open(struct mf_worker *worker, struct mf_front *fronts, uint32_t n_fronts);
/* Runs until stopped; what a worker's thread does. */
void mf_worker_run(struct mf_worker *worker);
/* Acts on commands; called once a turn. */
void mf_worker_obey(struct mf_worker *worker);
/* Nothing is left that would need another turn. */
bool mf_worker_empty(const struct mf_worker *worker);
/* Tells the engine's thread; counted as dropped when the ring is full. */
void mf_worker_report(struct mf_worker *worker, enum mf_event_kind kind, int rc, const struct mf_addr *addr);

/* inline */

#define MF_COUNT(worker, name) mf_count(&(worker)->counters.name, 1)
#define MF_COUNT_N(worker, name, n) mf_count(&(worker)->counters.name, (uint64_t)(n))

static inline uint64_t mf_worker_now(const struct mf_worker *worker)
{
    return mf_loop_now(worker->loop);
}

/* xorshift64*: choosing among equals needs spread, not secrecy. */
static inline uint64_t mf_worker_random(struct mf_worker *worker)
{
    uint64_t x = worker->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    worker->random = x;
    return x * 0x2545f4914f6cdd1dULL;
}
