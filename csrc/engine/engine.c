#include "engine/engine.h"

#include "base/mem.h"
#include "engine/worker.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { BACKLOG = 4096, QUIET_NS = 500000000 };

struct mf_engine {
    struct mf_engine_options options;
    struct mf_front fronts[MF_LISTENERS_MAX];
    uint32_t n_fronts;
    uint32_t n_workers; /* at least one: with 0 threads, the embedded one */
    int event_fd;
    bool started, draining, stopped;
    sem_t opened;       /* once per thread: its listeners are open, or start_rc says why not */
    struct mf_worker *workers[MF_WORKERS_MAX];
};

int mf_engine_new(const struct mf_engine_options *options, struct mf_engine **out, const char **why)
{
    if (options->workers > MF_WORKERS_MAX || (options->workers == 0 && !options->embed))
        return -EINVAL;
    struct mf_engine *engine = mf_zalloc(sizeof *engine);
    if (!engine)
        return -ENOMEM;
    engine->options = *options;
    mf_limits_raise(&engine->options.limits);
    sem_init(&engine->opened, 0, 0);
    engine->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int rc = engine->event_fd < 0 ? -errno : 0;
    uint32_t n = options->workers ? options->workers : 1;
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        struct mf_worker *worker = mf_alloc(sizeof *worker);
        if (!worker) {
            rc = -ENOMEM;
            break;
        }
        engine->workers[i] = worker;
        engine->n_workers = i + 1;
        rc = mf_worker_init(worker, engine, &engine->options, &engine->options.limits, i, engine->event_fd, why);
    }
    if (rc < 0) {
        mf_engine_free(engine);
        return rc;
    }
    *out = engine;
    return 0;
}

/* --- listeners */

static int copy_options(struct mf_front *front, const struct mf_listen_options *options)
{
    front->options = *options;
    struct mf_slice *texts[] = {&front->options.name, &front->options.service};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        uint8_t *copy = mf_arena_alloc(&front->texts, texts[i]->len + 1);
        if (!copy)
            return -ENOMEM;
        if (texts[i]->len)
            memcpy(copy, texts[i]->ptr, texts[i]->len);
        texts[i]->ptr = copy;
    }
    front->inlet = (struct mf_inlet_options){
        .direction = options->direction,
        .transparent = options->transparent,
        .has_forward = options->has_forward,
        .forward = options->forward,
        .service = front->options.service,
    };
    return 0;
}

static void drop_front(struct mf_front *front)
{
    for (int i = 0; i < MF_WORKERS_MAX; i++)
        if (front->fds[i] >= 0)
            close(front->fds[i]);
    mf_arena_reset(&front->texts);
}

/* Every worker has its own queue of TCP connections (SO_REUSEPORT); a UNIX socket has one, which they share. */
static int bind_all(const struct mf_engine *engine, struct mf_front *front)
{
    struct mf_addr at = front->options.bind;
    bool is_unix = at.sa.sa_family == AF_UNIX;
    for (uint32_t i = 0; i < engine->n_workers; i++) {
        if (i > 0 && is_unix) {
            front->fds[i] = dup(front->fds[0]);
            if (front->fds[i] < 0)
                return -errno;
            continue;
        }
        int fd = mf_sock_listen(&at, BACKLOG, engine->n_workers > 1);
        if (fd < 0)
            return fd;
        front->fds[i] = fd;
        if (i == 0 && !is_unix) { /* port 0 has become a real one, which the others must share */
            int rc = mf_sock_local(fd, &at);
            if (rc < 0)
                return rc;
        }
    }
    front->bound = at;
    return 0;
}

int mf_engine_listen(struct mf_engine *engine, const struct mf_listen_options *options, struct mf_addr *bound)
{
    if (engine->started)
        return -EBUSY;
    if (engine->n_fronts == MF_LISTENERS_MAX)
        return MF_ELIMIT;
    struct mf_front *front = &engine->fronts[engine->n_fronts];
    *front = (struct mf_front){0};
    for (int i = 0; i < MF_WORKERS_MAX; i++)
        front->fds[i] = -1;
    int rc = copy_options(front, options);
    if (rc == 0)
        rc = bind_all(engine, front);
    if (rc < 0) {
        drop_front(front);
        return rc;
    }
    if (bound)
        *bound = front->bound;
    return (int)engine->n_fronts++;
}

/* --- threads */

static void *thread_main(void *arg)
{
    struct mf_worker *worker = arg;
    worker->start_rc = mf_worker_open(worker, worker->engine->fronts, worker->engine->n_fronts);
    bool good = worker->start_rc == 0;
    sem_post(&worker->engine->opened);
    if (good)
        mf_worker_run(worker);
    return NULL;
}

static int start_thread(struct mf_engine *engine, struct mf_worker *worker)
{
    /* Signals are the main thread's. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&worker->thread, NULL, thread_main, worker);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc)
        return -rc;
    char name[16];
    snprintf(name, sizeof name, "mf-worker-%u", worker->index);
    pthread_setname_np(worker->thread, name);
    while (sem_wait(&engine->opened) < 0 && errno == EINTR)
        ;
    if (worker->start_rc < 0)
        pthread_join(worker->thread, NULL);
    return worker->start_rc;
}

int mf_engine_start(struct mf_engine *engine)
{
    if (engine->started)
        return -EBUSY;
    engine->started = true;
    for (uint32_t i = 0; i < engine->n_workers; i++) {
        int rc = engine->options.workers ? start_thread(engine, engine->workers[i])
                                         : mf_worker_open(engine->workers[i], engine->fronts, engine->n_fronts);
        if (rc < 0) {
            /* What it opened stays in the caller's loop until mf_engine_stop takes it off. */
            engine->workers[i]->started = engine->options.workers == 0;
            return rc;
        }
    }
    return 0;
}

const char *mf_engine_loop_name(const struct mf_engine *engine)
{
    return mf_loop_name(engine->workers[0]->local.loop);
}

static void command(struct mf_engine *engine, uint32_t bits)
{
    for (uint32_t i = 0; i < engine->n_workers; i++) {
        struct mf_worker *worker = engine->workers[i];
        /* Pairs with the acquire in mf_worker_obey. */
        atomic_fetch_or_explicit(&worker->command, bits, memory_order_release);
        mf_loop_wake(worker->local.loop);
    }
}

void mf_engine_drain(struct mf_engine *engine)
{
    if (!engine->started || engine->draining)
        return;
    engine->draining = true;
    command(engine, MF_COMMAND_DRAIN);
}

bool mf_engine_drained(const struct mf_engine *engine)
{
    uint64_t now = mf_clock_ns();
    for (uint32_t i = 0; i < engine->n_workers; i++) {
        const struct mf_worker *worker = engine->workers[i];
        if (engine->draining && !mf_load_acquire(&worker->told)) /* pairs with the release in mf_worker_obey */
            return false;
        if (mf_load_relaxed(&worker->local.counters.calls_active) > 0)
            return false;
        /* Callers that were just told READONLY may have sent a call that has not arrived. */
        if (mf_load_relaxed(&worker->local.counters.downstream_active) > 0 &&
            now - mf_load_relaxed(&worker->local.last_call) < QUIET_NS)
            return false;
    }
    return true;
}

void mf_engine_stop(struct mf_engine *engine)
{
    if (!engine->started || engine->stopped)
        return;
    engine->stopped = true;
    engine->draining = true;
    command(engine, MF_COMMAND_DRAIN | MF_COMMAND_STOP);
    for (uint32_t i = 0; i < engine->n_workers; i++) {
        struct mf_worker *worker = engine->workers[i];
        if (!worker->started)
            continue;
        if (engine->options.workers) {
            pthread_join(worker->thread, NULL);
            continue;
        }
        /* Ours is the caller's loop: it turns here until the connections have gone. */
        while (!(worker->stopping && mf_worker_empty(worker)))
            if (mf_loop_turn(worker->local.loop, 10000000) < 0)
                usleep(1000);
        mf_loop_leave(worker->local.loop, &worker->guest);
    }
}

void mf_engine_free(struct mf_engine *engine)
{
    mf_engine_stop(engine);
    for (uint32_t i = 0; i < engine->n_workers; i++) {
        mf_worker_dispose(engine->workers[i]);
        mf_free(engine->workers[i]);
    }
    for (uint32_t i = 0; i < engine->n_fronts; i++)
        drop_front(&engine->fronts[i]);
    if (engine->event_fd >= 0)
        close(engine->event_fd);
    sem_destroy(&engine->opened);
    mf_free(engine);
}

/* --- what it counts */

void mf_engine_counters(const struct mf_engine *engine, struct mf_counters *out)
{
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < engine->n_workers; i++) {
        const struct mf_counters *from = &engine->workers[i]->local.counters;
#define X(name, kind, text) mf_count(&out->name, mf_load_relaxed(&from->name));
        MF_COUNTERS(X)
#undef X
    }
}

void mf_engine_serializations(const struct mf_engine *engine, struct mf_serialization_counters out[MF_SERIALIZATIONS])
{
    memset(out, 0, MF_SERIALIZATIONS * sizeof *out);
    for (uint32_t i = 0; i < engine->n_workers; i++)
        for (int id = 0; id < MF_SERIALIZATIONS; id++) {
            const struct mf_serialization_counters *from = &engine->workers[i]->protocols.dubbo.serializations[id];
            mf_count(&out[id].calls, mf_load_relaxed(&from->calls));
            mf_count(&out[id].answers, mf_load_relaxed(&from->answers));
            mf_count(&out[id].bytes_up, mf_load_relaxed(&from->bytes_up));
            mf_count(&out[id].bytes_down, mf_load_relaxed(&from->bytes_down));
            mf_count(&out[id].ok, mf_load_relaxed(&from->ok));
            mf_count(&out[id].errors, mf_load_relaxed(&from->errors));
            mf_count(&out[id].latency_sum_ns, mf_load_relaxed(&from->latency_sum_ns));
        }
}

void mf_engine_loop_counts(const struct mf_engine *engine, struct mf_loop_counts *out)
{
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < engine->n_workers; i++) {
        struct mf_loop_counts from;
        mf_loop_counts(engine->workers[i]->local.loop, &from);
        out->turns += from.turns;
        out->waits += from.waits;
        out->syscalls += from.syscalls;
        out->reads += from.reads;
        out->writes += from.writes;
        out->accepts += from.accepts;
        out->accept_failures += from.accept_failures;
        out->bytes_in += from.bytes_in;
        out->bytes_out += from.bytes_out;
    }
}

void mf_engine_ended_here(const struct mf_engine *engine, uint64_t out[MF_OUTCOMES])
{
    for (int outcome = 0; outcome < MF_OUTCOMES; outcome++) {
        out[outcome] = 0;
        for (uint32_t i = 0; i < engine->n_workers; i++)
            out[outcome] += mf_load_relaxed(&engine->workers[i]->local.ended_here[outcome]);
    }
}

void mf_engine_each_tallied(const struct mf_engine *engine, bool methods,
                            void (*fn)(void *arg, const struct mf_tallied *one), void *arg)
{
    for (uint32_t i = 0; i < engine->n_workers; i++) {
        const struct mf_worker *worker = engine->workers[i];
        const struct mf_tallied *one;
        uint32_t at = 0;
        while ((one = mf_tally_next(methods ? &worker->notes.methods : &worker->local.services, &at)))
            fn(arg, one);
    }
}

int mf_engine_next_record(struct mf_engine *engine, struct mf_record *out)
{
    for (uint32_t i = 0; engine->options.access_sample && i < engine->n_workers; i++)
        if (mf_ring_pop(&engine->workers[i]->notes.ring, out))
            return 1;
    return 0;
}

int mf_engine_event_fd(const struct mf_engine *engine)
{
    return engine->event_fd;
}

int mf_engine_next_event(struct mf_engine *engine, struct mf_event *out)
{
    for (uint32_t i = 0; i < engine->n_workers; i++)
        if (mf_ring_pop(&engine->workers[i]->events, out))
            return 1;
    uint64_t count;
    ssize_t n = read(engine->event_fd, &count, sizeof count);
    (void)n; /* nothing to read: nothing was pending */
    for (uint32_t i = 0; i < engine->n_workers; i++)
        if (mf_ring_pop(&engine->workers[i]->events, out))
            return 1;
    return 0;
}
