#pragma once
/* worker: one thread of the data plane and what it conducts: a loop, doors, pools, calls, protocols.
 *
 * Nothing in here is touched by another thread, except: counters (read), `command` and the loop's wake (written),
 * `events`, `passed`, `adopted` and `notes.ring` (the rings' other ends), `notes.methods`, `local.traffic`, `phase`,
 * `to_pass`, `connected` and the doors' `open` (read). */
#include "base/mem.h"
#include "base/ring.h"
#include "call/copies.h"
#include "call/govern.h"
#include "engine/door.h"
#include "engine/options.h"
#include "loop/listen.h"

#include <pthread.h>

/* What a listener was told, shared by all workers; immutable once the engine has started, but for `shared` until it is
 * asked to end. */
struct mf_front {
    struct mf_listen_options options; /* its texts are in `texts` */
    struct mf_inlet_options inlet;    /* what of them concerns calls */
    struct mf_arena texts;
    struct mf_addr bound;
    int fds[MF_WORKERS_MAX]; /* one a worker; -1 once it is the worker's */
    struct mf_listen_file file; /* of a UNIX socket */
    mf_atom32 shared; /* 1: others have copies of the sockets and go on with them: queue and file are left as they are */
    bool passing;     /* and with its connections; set before the workers are asked for that */
};

/* How far its end has come. One is entered at a time, and any may be left out. */
enum mf_phase {
    MF_PHASE_SERVING,
    MF_PHASE_PASSING,      /* connections go to who takes over; the listeners that has are left to it */
    MF_PHASE_TOLD,         /* who calls in was told READONLY; every listener is open */
    MF_PHASE_INBOUND_SHUT, /* nobody new calls in */
    MF_PHASE_SHUT,         /* nobody new comes in anywhere, and the application was told, too */
    MF_PHASE_STOPPING,     /* calls are ended, then connections */
};

struct mf_worker {
    struct mf_local local;
    char _pad[MF_CACHE_LINE];
    mf_atom32 asked;     /* enum mf_phase, set by the engine's thread */
    mf_atom32 phase;     /* enum mf_phase, entered */
    mf_atom32 to_pass;   /* 1 while connections are yet to be passed */
    mf_atom32 connected; /* 1 while somebody is connected who calls in; told from MF_PHASE_TOLD on */

    struct mf_engine *engine;
    const struct mf_front *fronts; /* one for each door */
    bool owns_loop, stopping, started;
    uint32_t index;
    pthread_t thread;
    int start_rc;

    struct mf_door doors[MF_LISTENERS_MAX];
    uint32_t n_doors;
    struct mf_pools pools;
    struct mf_calls calls;
    struct mf_notes notes;
    struct mf_governor governor;
    struct mf_protocols protocols;
    struct mf_copies copies;       /* of calls that are mirrored ... */
    struct mf_protocols mirroring; /* ... and what speaks to who gets them */
    struct mf_loop_guest guest; /* of the loop */
    struct mf_timer sweep; /* once a second: pools that are no longer wanted */
    struct mf_timer later; /* what the phase has to do in a moment */
    uint64_t pass_by;      /* connections that have not gone by then stay */
    struct mf_ring passed, adopted; /* struct mf_passed: for another process, and from one */
    struct mf_ring events;
    int event_fd;          /* the engine's */
};

/* Makes a worker ready for its thread, or for `embed`. 0 or a negated errno. */
int mf_worker_init(struct mf_worker *worker, struct mf_engine *engine, const struct mf_engine_options *options,
                   const struct mf_limits *limits, uint32_t index, int event_fd, const char **why);
void mf_worker_dispose(struct mf_worker *worker);
/* On the loop's thread: opens the listeners and joins the epoch. 0 or a negated errno. */
int mf_worker_open(struct mf_worker *worker, struct mf_front *fronts, uint32_t n_fronts);
/* Runs until stopped; what a worker's thread does. */
void mf_worker_run(struct mf_worker *worker);
/* Enters the phase that is asked for; called once a turn. */
void mf_worker_obey(struct mf_worker *worker);
/* All who were let in have been taken: no door is open. From any thread. */
bool mf_worker_closed(const struct mf_worker *worker);
/* Nothing is left that would need another turn. */
bool mf_worker_empty(const struct mf_worker *worker);
