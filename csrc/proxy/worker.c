#include "proxy/worker.h"

#include "proxy/conn.h"
#include "proxy/dubbo_conn.h"
#include "proxy/pool.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { EVENTS = 1024 };

/* --- the epoch: pointers into the tables live from a turn's first callback to its end */

static void before_wait(void *arg)
{
    struct mf_worker *worker = arg;
    mf_epoch_offline(mf_table_epoch(worker->table), worker->reader);
}

static void after_wait(void *arg)
{
    struct mf_worker *worker = arg;
    mf_epoch_online(mf_table_epoch(worker->table), worker->reader);
}

static void turn_end(void *arg)
{
    struct mf_worker *worker = arg;
    mf_worker_obey(worker);
    mf_epoch_quiesce(mf_table_epoch(worker->table), worker->reader);
}

/* --- life */

int mf_worker_init(struct mf_worker *worker, struct mf_engine *engine, const struct mf_engine_options *options,
                   const struct mf_limits *limits, uint32_t index, int event_fd, const char **why)
{
    memset(worker, 0, sizeof *worker);
    worker->engine = engine;
    worker->limits = limits;
    worker->table = options->table;
    worker->trace = options->trace;
    worker->index = index;
    worker->event_fd = event_fd;
    worker->reader = -1;
    worker->random = mf_clock_ns() * 2654435761u + index + 1;
    mf_list_init(&worker->pools);
    mf_list_init(&worker->strays);
    worker->dubbo_limits = (struct mf_dubbo_limits){(uint32_t)limits->max_depth, (uint32_t)limits->max_classes};
    worker->room.max_attachments = (uint32_t)limits->max_attachments;
    worker->room.text_len = MF_DUBBO_TEXT_ROOM;
    worker->room.text = mf_alloc(worker->room.text_len);
    worker->room.attachments = mf_alloc((limits->max_attachments + MF_DUBBO_LEADING) * sizeof(struct mf_pair));
    if (!worker->room.text || !worker->room.attachments)
        return -ENOMEM;
    int rc = mf_calls_init(&worker->calls, limits->max_calls);
    if (rc == 0)
        rc = mf_ring_init(&worker->events, sizeof(struct mf_event), EVENTS);
    if (rc == 0 && options->workers > 0) {
        rc = mf_loop_new(&options->loop, &worker->loop, why);
        worker->owns_loop = rc == 0;
    } else {
        worker->loop = options->embed;
    }
    if (rc == 0) {
        mf_loop_set_spares(worker->loop, limits->spare_blocks);
        rc = mf_epoch_join(mf_table_epoch(worker->table));
        worker->reader = rc;
    }
    return rc < 0 ? rc : 0;
}

void mf_worker_dispose(struct mf_worker *worker)
{
    if (worker->reader >= 0)
        mf_epoch_leave(mf_table_epoch(worker->table), worker->reader);
    if (worker->owns_loop)
        mf_loop_free(worker->loop);
    while (!mf_list_empty(&worker->pools))
        mf_pool_free(MF_CONTAINER(worker->pools.next, struct mf_pool, node));
    mf_free(worker->by_peer);
    mf_calls_dispose(&worker->calls);
    mf_ring_dispose(&worker->events);
    mf_free(worker->room.text);
    mf_free(worker->room.attachments);
    mf_memos_dispose(&worker->memos);
}

/* --- listeners */

static void on_accept(struct mf_listener *listener, int fd, const struct mf_addr *peer)
{
    (void)peer;
    mf_conn_accept(MF_CONTAINER(listener, struct mf_door, listener), fd);
}

static void on_listener_close(struct mf_listener *listener)
{
    struct mf_door *door = MF_CONTAINER(listener, struct mf_door, listener);
    door->open = false;
}

static void on_sweep(struct mf_timer *timer)
{
    struct mf_worker *worker = MF_CONTAINER(timer, struct mf_worker, sweep);
    mf_pool_sweep(worker);
    MF_COUNT_N(worker, limit_spare_blocks, mf_loop_trim(worker->loop));
    mf_timer_set(mf_loop_timers(worker->loop), timer, mf_worker_now(worker) + 1000000000, on_sweep);
}

int mf_worker_open(struct mf_worker *worker, struct mf_front *fronts, uint32_t n_fronts)
{
    struct mf_loop_hooks hooks = {before_wait, after_wait, turn_end, worker};
    mf_loop_set_hooks(worker->loop, &hooks);
    for (uint32_t i = 0; i < n_fronts; i++) {
        struct mf_door *door = &worker->doors[i];
        *door = (struct mf_door){.worker = worker, .front = &fronts[i]};
        mf_list_init(&door->downs);
        door->listener.on_accept = on_accept;
        door->listener.on_close = on_listener_close;
        int fd = fronts[i].fds[worker->index];
        int rc = mf_listener_open(worker->loop, &door->listener, fd);
        if (rc < 0)
            return rc;
        fronts[i].fds[worker->index] = -1;
        door->open = true;
        worker->n_doors = i + 1;
    }
    mf_timer_set(mf_loop_timers(worker->loop), &worker->sweep, mf_worker_now(worker) + 1000000000, on_sweep);
    worker->started = true;
    return 0;
}

void mf_worker_run(struct mf_worker *worker)
{
    while (!(worker->stopping && mf_worker_empty(worker))) {
        int rc = mf_loop_turn(worker->loop, -1);
        if (rc < 0 && rc != -EINTR) /* the kernel refuses to wait: whatever it is, it does not become a spin */
            usleep(1000);
    }
}

/* --- commands */

static void drain(struct mf_worker *worker)
{
    worker->draining = true;
    mf_store_relaxed(&worker->last_call, mf_worker_now(worker)); /* what callers send before they know is still on its way */
    for (uint32_t i = 0; i < worker->n_doors; i++) {
        struct mf_door *door = &worker->doors[i];
        if (door->open)
            mf_listener_close(&door->listener);
        for (struct mf_list *node = door->downs.next; node != &door->downs; node = node->next)
            mf_dubbo_tell_readonly(MF_CONTAINER(node, struct mf_conn, node), true);
    }
}

/* What is still in flight is answered; its callers get that answer before the connection ends. */
static void stop(struct mf_worker *worker)
{
    worker->stopping = true;
    mf_timer_cancel(mf_loop_timers(worker->loop), &worker->sweep);
    for (struct mf_list *p = worker->pools.next; p != &worker->pools; p = p->next) {
        struct mf_pool *pool = MF_CONTAINER(p, struct mf_pool, node);
        struct mf_fault fault = mf_fault_of(-ESHUTDOWN, MF_SIDE_UPSTREAM);
        fault.text = "meshfast: the sidecar is stopping";
        struct mf_list *node;
        while ((node = mf_list_shift(&pool->queue))) {
            MF_COUNT(worker, limit_drain_timeout);
            mf_call_step(MF_CONTAINER(node, struct mf_call, up_node), MF_CALL_ON_FAULT,
                         &(struct mf_call_input){.fault = &fault});
        }
        for (struct mf_list *c = pool->conns.next; c != &pool->conns; c = c->next) {
            struct mf_conn *conn = MF_CONTAINER(c, struct mf_conn, node);
            while ((node = mf_list_shift(&conn->calls))) {
                MF_COUNT(worker, limit_drain_timeout);
                mf_call_step(MF_CONTAINER(node, struct mf_call, up_node), MF_CALL_ON_FAULT,
                             &(struct mf_call_input){.fault = &fault});
            }
            mf_conn_doom(conn, 0);
        }
    }
    for (uint32_t i = 0; i < worker->n_doors; i++)
        for (struct mf_list *node = worker->doors[i].downs.next; node != &worker->doors[i].downs; node = node->next)
            mf_conn_doom(MF_CONTAINER(node, struct mf_conn, node), 0);
    for (struct mf_list *node = worker->strays.next; node != &worker->strays; node = node->next)
        mf_conn_doom(MF_CONTAINER(node, struct mf_conn, node), 0);
}

void mf_worker_obey(struct mf_worker *worker)
{
    uint32_t command = mf_load_acquire(&worker->command);
    if (!command)
        return;
    if ((command & (MF_COMMAND_DRAIN | MF_COMMAND_STOP)) && !worker->draining) {
        drain(worker);
        mf_store_release(&worker->told, 1); /* pairs with the acquire in mf_engine_drained */
    }
    if ((command & MF_COMMAND_STOP) && !worker->stopping)
        stop(worker);
}

bool mf_worker_empty(const struct mf_worker *worker)
{
    for (uint32_t i = 0; i < worker->n_doors; i++)
        if (worker->doors[i].open)
            return false;
    return worker->n_downs == 0 && worker->n_ups == 0;
}

void mf_worker_report(struct mf_worker *worker, enum mf_event_kind kind, int rc, const struct mf_addr *addr)
{
    struct mf_event event = {
        .at = mf_worker_now(worker), .kind = (uint16_t)kind, .worker = (uint16_t)worker->index, .rc = rc};
    if (addr)
        mf_addr_format(addr, event.peer);
    if (mf_ring_push(&worker->events, &event) < 0) {
        MF_COUNT(worker, events_dropped);
        return;
    }
    uint64_t one = 1;
    ssize_t n = write(worker->event_fd, &one, sizeof one);
    (void)n; /* full means that it is readable already */
}
