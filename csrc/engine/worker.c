#include "engine/worker.h"

#include "base/mem.h"
#include "call/budget.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { EVENTS = 1024, PASSED = 256, ROUND_TRIP_NS = 50000000 };
/* So often is looked which connections may go to another process. */
enum { PASS_EVERY_NS = 1000000 };

/* --- the epoch: pointers into the tables live from a turn's first callback to its end */

static void before_wait(void *arg)
{
    struct mf_worker *worker = arg;
    mf_epoch_offline(mf_table_epoch(worker->local.table), worker->local.reader);
}

static void after_wait(void *arg)
{
    struct mf_worker *worker = arg;
    mf_epoch_online(mf_table_epoch(worker->local.table), worker->local.reader);
}

static void turn_end(void *arg)
{
    struct mf_worker *worker = arg;
    mf_worker_obey(worker);
    mf_budget_watch(&worker->local);
    mf_epoch_quiesce(mf_table_epoch(worker->local.table), worker->local.reader);
}

/* --- life */

static void report(struct mf_local *local, enum mf_event_kind kind, int rc, const struct mf_addr *addr)
{
    struct mf_worker *worker = MF_CONTAINER(local, struct mf_worker, local);
    struct mf_event event = {
        .at = mf_local_now(local), .kind = (uint16_t)kind, .worker = (uint16_t)worker->index, .rc = rc};
    if (addr)
        mf_addr_format(addr, event.peer);
    if (mf_ring_push(&worker->events, &event) < 0) {
        MF_COUNT(local, events_dropped); /* the engine's thread is far behind */
        return;
    }
    uint64_t one = 1;
    ssize_t n = write(worker->event_fd, &one, sizeof one);
    (void)n; /* full means that it is readable already */
}

static int init_local(struct mf_worker *worker, const struct mf_engine_options *options, const struct mf_limits *limits,
                      const char **why)
{
    struct mf_local *local = &worker->local;
    local->limits = limits;
    local->table = options->table;
    local->trace = options->trace;
    local->reader = -1;
    local->n_workers = options->workers ? options->workers : 1;
    local->random = mf_clock_ns() * 2654435761u + worker->index + 1;
    local->report = report;
    mf_list_init(&local->conns);
    if (options->workers > 0) {
        int rc = mf_loop_new(&options->loop, &local->loop, why);
        if (rc < 0)
            return rc;
        worker->owns_loop = true;
    } else {
        local->loop = options->embed;
    }
    local->began = mf_loop_now(local->loop);
    mf_loop_set_spares(local->loop, limits->spare_blocks);
    local->reader = mf_epoch_join(mf_table_epoch(local->table));
    return local->reader < 0 ? local->reader : 0;
}

int mf_worker_init(struct mf_worker *worker, struct mf_engine *engine, const struct mf_engine_options *options,
                   const struct mf_limits *limits, uint32_t index, int event_fd, const char **why)
{
    memset(worker, 0, sizeof *worker);
    worker->engine = engine;
    worker->index = index;
    worker->event_fd = event_fd;
    mf_pools_init(&worker->pools, &worker->local);
    int rc = init_local(worker, options, limits, why);
    if (rc == 0)
        rc = mf_calls_init(&worker->calls, &worker->local);
    if (rc == 0)
        rc = mf_tally_init(&worker->local.services, limits->max_inbound_services, 0, worker->local.random);
    if (rc == 0 && (options->access_sample || limits->max_methods)) {
        rc = mf_notes_init(&worker->notes, &worker->local, options->access_sample);
        worker->local.notes = &worker->notes;
    }
    mf_governor_init(&worker->governor, &worker->local, &worker->calls);
    if (rc == 0)
        rc = mf_protocols_init(&worker->protocols, &worker->local, &worker->calls);
    if (rc == 0)
        rc = mf_copies_init(&worker->copies, &worker->local);
    if (rc == 0)
        rc = mf_protocols_mirror(&worker->mirroring, &worker->copies);
    if (rc == 0)
        rc = mf_ring_init(&worker->events, sizeof(struct mf_event), EVENTS);
    if (rc == 0)
        rc = mf_ring_init(&worker->passed, sizeof(struct mf_passed), PASSED);
    if (rc == 0)
        rc = mf_ring_init(&worker->adopted, sizeof(struct mf_passed), PASSED);
    return rc;
}

static void drop_passed(struct mf_ring *ring)
{
    struct mf_passed one;
    while (ring->_records && mf_ring_pop(ring, &one))
        mf_passed_drop(&one);
    mf_ring_dispose(ring);
}

void mf_worker_dispose(struct mf_worker *worker)
{
    drop_passed(&worker->passed);
    drop_passed(&worker->adopted);
    if (worker->local.reader >= 0)
        mf_epoch_leave(mf_table_epoch(worker->local.table), worker->local.reader);
    for (uint32_t i = 0; i < worker->n_doors; i++)
        mf_inlet_dispose(&worker->doors[i].inlet);
    mf_pools_dispose(&worker->pools); /* their timers are the loop's */
    mf_copies_dispose(&worker->copies);
    if (worker->owns_loop)
        mf_loop_free(worker->local.loop);
    mf_protocols_dispose(&worker->mirroring);
    mf_protocols_dispose(&worker->protocols);
    mf_calls_dispose(&worker->calls);
    mf_governor_dispose(&worker->governor);
    mf_notes_dispose(&worker->notes);
    mf_tally_dispose(&worker->local.services);
    mf_ring_dispose(&worker->events);
}

/* --- listeners */

static void on_sweep(struct mf_timer *timer)
{
    struct mf_worker *worker = MF_CONTAINER(timer, struct mf_worker, sweep);
    struct mf_local *local = &worker->local;
    mf_pools_sweep(&worker->pools);
    mf_copies_sweep(&worker->copies);
    mf_budget_sweep(local);
    for (uint32_t i = 0; i < worker->n_doors; i++)
        mf_door_look(&worker->doors[i], mf_load_relaxed(&worker->fronts[i].shared));
    mf_timer_set(mf_loop_timers(local->loop), timer, mf_local_now(local) + 1000000000, on_sweep);
}

int mf_worker_open(struct mf_worker *worker, struct mf_front *fronts, uint32_t n_fronts)
{
    worker->guest.hooks = (struct mf_loop_hooks){before_wait, after_wait, turn_end, worker};
    mf_loop_join(worker->local.loop, &worker->guest);
    worker->fronts = fronts;
    for (uint32_t i = 0; i < n_fronts; i++) {
        struct mf_door *door = &worker->doors[i];
        *door = (struct mf_door){.protocols = &worker->protocols, .protocol = fronts[i].options.protocol};
        mf_inlet_init(&door->inlet, &fronts[i].inlet, &worker->local, &worker->calls, &worker->pools);
        int rc = mf_door_open(door, fronts[i].fds[worker->index]);
        if (rc < 0)
            return rc;
        fronts[i].fds[worker->index] = -1;
        worker->n_doors = i + 1;
    }
    mf_timer_set(mf_loop_timers(worker->local.loop), &worker->sweep, mf_local_now(&worker->local) + 1000000000, on_sweep);
    worker->started = true;
    return 0;
}

void mf_worker_run(struct mf_worker *worker)
{
    while (!(worker->stopping && mf_worker_empty(worker))) {
        int rc = mf_loop_turn(worker->local.loop, -1);
        if (rc < 0) /* the kernel refuses to wait: whatever it is, it does not become a spin */
            usleep(1000);
    }
}

/* --- connections that come from another process, and go to one */

static void adopt(struct mf_worker *worker)
{
    struct mf_passed one;
    while (mf_ring_pop(&worker->adopted, &one))
        if (worker->stopping)
            mf_passed_drop(&one);
        else
            mf_door_adopt(&worker->doors[one.listener], &one);
}

static void pass(struct mf_timer *timer)
{
    struct mf_worker *worker = MF_CONTAINER(timer, struct mf_worker, later);
    struct mf_local *local = &worker->local;
    bool over = mf_local_now(local) >= worker->pass_by, left = false;
    for (uint32_t i = 0; i < worker->n_doors && local->limits->pass_timeout; i++) /* late, too: whoever is quiet goes */
        if (worker->fronts[i].passing)
            left |= mf_door_pass(&worker->doors[i], &worker->passed, i) > 0 || mf_load_relaxed(&worker->doors[i].open);
    for (uint32_t i = 0; i < worker->n_doors && over && local->limits->pass_timeout; i++)
        if (worker->fronts[i].passing)
            MF_COUNT_N(local, limit_pass_timeout, mf_door_keep(&worker->doors[i]));
    left = left && !over;
    if (left)
        mf_timer_set(mf_loop_timers(local->loop), timer, mf_local_now(local) + PASS_EVERY_NS, pass);
    mf_store_release(&worker->to_pass, left); /* pairs with the acquire in engine.c: what was passed is there */
}

static void begin_to_pass(struct mf_worker *worker)
{
    for (uint32_t i = 0; i < worker->n_doors; i++)
        if (worker->fronts[i].passing)
            mf_door_leave(&worker->doors[i], true);
    worker->pass_by = mf_local_now(&worker->local) + worker->local.limits->pass_timeout * 1000000;
    pass(&worker->later);
}

/* Those that have not gone stay. */
static void end_passing(struct mf_worker *worker)
{
    mf_timer_cancel(mf_loop_timers(worker->local.loop), &worker->later);
    for (uint32_t i = 0; i < worker->n_doors; i++)
        if (worker->fronts[i].passing)
            mf_door_keep(&worker->doors[i]);
    mf_store_relaxed(&worker->to_pass, 0);
}

/* --- its end, phase by phase */

static void close_doors(struct mf_timer *timer)
{
    struct mf_worker *worker = MF_CONTAINER(timer, struct mf_worker, later);
    for (uint32_t i = 0; i < worker->n_doors; i++)
        if (worker->doors[i].shut)
            mf_door_close(&worker->doors[i]);
}

static void cut(struct mf_timer *timer)
{
    struct mf_worker *worker = MF_CONTAINER(timer, struct mf_worker, later);
    for (struct mf_list *node = worker->local.conns.next; node != &worker->local.conns; node = node->next)
        mf_conn_cut(MF_CONTAINER(node, struct mf_conn, all));
    for (struct mf_list *node = worker->copies.local.conns.next; node != &worker->copies.local.conns; node = node->next)
        mf_conn_cut(MF_CONTAINER(node, struct mf_conn, all));
}

/* What callers send before they know is still on its way. */
static void tell(struct mf_worker *worker, bool all, bool shut)
{
    struct mf_local *local = &worker->local;
    for (uint32_t i = 0; i < worker->n_doors; i++) {
        struct mf_door *door = &worker->doors[i];
        if (!all && door->inlet.options->direction != MF_INBOUND)
            continue;
        mf_inlet_drain(&door->inlet);
        if (mf_load_relaxed(&worker->fronts[i].shared)) /* who takes over takes all that come from now on */
            mf_door_leave(door, true);
        else if (shut)
            mf_door_shut(door);
    }
    for (int i = 0; i < 2; i++)
        if (all || i == MF_INBOUND)
            mf_store_relaxed(&local->traffic[i].last, mf_local_now(local));
    if (shut) /* whoever is being let in has answered by then */
        mf_timer_set(mf_loop_timers(local->loop), &worker->later, mf_local_now(local) + ROUND_TRIP_NS, close_doors);
}

/* What is still in flight is answered; its callers get that answer before the connection ends. */
static void stop(struct mf_worker *worker)
{
    struct mf_local *local = &worker->local;
    struct mf_fault fault = {MF_OUTCOME_LOST, "meshfast: the sidecar is stopping"};
    worker->stopping = true;
    mf_timer_cancel(mf_loop_timers(local->loop), &worker->sweep);
    for (struct mf_list *node = worker->pools.all.next; node != &worker->pools.all; node = node->next)
        MF_COUNT_N(local, limit_drain_timeout, mf_pool_stop(MF_CONTAINER(node, struct mf_pool, node), &fault));
    MF_COUNT_N(local, limit_drain_timeout, mf_govern_stop(&worker->governor, &fault));
    mf_copies_stop(&worker->copies);
    for (uint32_t i = 0; i < worker->n_doors; i++)
        if (mf_load_relaxed(&worker->fronts[i].shared))
            mf_door_leave(&worker->doors[i], false);
        else
            mf_door_end(&worker->doors[i]);
    for (struct mf_list *node = local->conns.next; node != &local->conns; node = node->next)
        mf_conn_stop(MF_CONTAINER(node, struct mf_conn, all));
    uint64_t by = mf_local_now(local) + local->limits->frame_timeout * 1000000;
    mf_timer_set(mf_loop_timers(local->loop), &worker->later, by, cut);
}

void mf_worker_obey(struct mf_worker *worker)
{
    adopt(worker);
    uint32_t asked = mf_load_acquire(&worker->asked); /* pairs with the release in engine.c */
    if (asked == MF_PHASE_SERVING)
        return;
    bool connected = false;
    for (uint32_t i = 0; i < worker->n_doors; i++) {
        const struct mf_inlet *inlet = &worker->doors[i].inlet;
        connected |= inlet->options->direction == MF_INBOUND && !mf_list_empty(&inlet->conns);
    }
    mf_store_relaxed(&worker->connected, connected);
    if (mf_load_relaxed(&worker->phase) == asked)
        return;
    if (mf_load_relaxed(&worker->phase) == MF_PHASE_PASSING)
        end_passing(worker);
    if (asked == MF_PHASE_PASSING)
        begin_to_pass(worker);
    else if (asked == MF_PHASE_STOPPING)
        stop(worker);
    else
        tell(worker, asked == MF_PHASE_SHUT, asked != MF_PHASE_TOLD);
    mf_store_release(&worker->phase, asked); /* pairs with the acquire in engine.c */
}

bool mf_worker_closed(const struct mf_worker *worker)
{
    for (uint32_t i = 0; i < worker->n_doors; i++)
        if (mf_load_acquire(&worker->doors[i].open))
            return false;
    return true;
}

bool mf_worker_empty(const struct mf_worker *worker)
{
    return mf_worker_closed(worker) && worker->local.n_downs == 0 && worker->local.n_ups == 0 &&
           worker->copies.local.n_ups == 0;
}
