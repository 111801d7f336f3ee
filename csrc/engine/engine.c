#include "engine/engine.h"

#include "base/mem.h"
#include "engine/worker.h"
#include "loop/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

/* Nothing has come for so long: callers know by then. */
enum { QUIET_NS = 500000000, LAST_QUIET_NS = 200000000 };
/* The same where others take all who come: nobody waits for the end of this. */
#define SHARED_QUIET_NS 3000000000u
/* Who still dials where READONLY is all that one hears dials elsewhere when nobody listens. */
enum { PATIENT_NS = 1000000000 };
/* So long at most is waited for doors to close; and how often anything is looked at. */
enum { CLOSE_NS = 1000000000, MOMENT_NS = 1000000, AT_ONCE = 16 };

struct mf_engine {
    struct mf_engine_options options;
    struct mf_front fronts[MF_LISTENERS_MAX];
    uint32_t n_fronts;
    uint32_t n_workers; /* at least one: with 0 threads, the embedded one */
    int event_fd;
    bool started, stopped;
    enum mf_phase phase;  /* that the workers were asked for */
    uint64_t asked_at;
    uint32_t turns;       /* of the caller's loop, by us */
    uint32_t adopted;     /* connections, ever: the workers have them by turns */
    sem_t opened;         /* once per thread: its listeners are open, or start_rc says why not */
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
        .labels = options->labels,
        .refuse_unknown = options->refuse_unknown,
    };
    return 0;
}

static void drop_front(struct mf_front *front)
{
    for (int i = 0; i < MF_WORKERS_MAX; i++)
        if (front->fds[i] >= 0)
            close(front->fds[i]);
    if (!mf_load_relaxed(&front->shared))
        mf_listen_remove(&front->bound, &front->file);
    mf_arena_reset(&front->texts);
}

/* Every worker has its own queue of TCP connections, which share the address; nobody else may be there. A UNIX socket has
 * one, which they share. */
static int bind_all(const struct mf_engine *engine, struct mf_front *front)
{
    struct mf_addr *at = &front->bound;
    *at = front->options.bind;
    bool is_unix = at->sa.sa_family == AF_UNIX;
    struct mf_listen_how how = {.backlog = BACKLOG, .mode = front->options.mode};
    how.share = engine->n_workers > 1 ? MF_LISTEN_FIRST : MF_LISTEN_ALONE;
    front->fds[0] = mf_listen_open(at, &how, &front->file);
    if (front->fds[0] < 0)
        return front->fds[0];
    int rc = is_unix ? 0 : mf_sock_local(front->fds[0], at); /* port 0 has become a real one */
    how.share = MF_LISTEN_JOIN;
    for (uint32_t i = 1; i < engine->n_workers && rc == 0; i++) {
        int fd = is_unix ? -EADDRINUSE : mf_listen_open(at, &how, NULL);
        if (fd == -EADDRINUSE) { /* where the first cannot be joined one queue will do */
            fd = fcntl(front->fds[0], F_DUPFD_CLOEXEC, 0);
            fd = fd < 0 ? -errno : fd;
        }
        front->fds[i] = fd;
        rc = fd < 0 ? fd : 0;
    }
    return rc;
}

static int adopt_all(const struct mf_engine *engine, struct mf_front *front)
{
    const struct mf_listen_options *options = &front->options;
    if (options->n_fds > engine->n_workers)
        return -EINVAL;
    for (uint32_t i = 0; i < options->n_fds; i++) {
        struct mf_addr at;
        struct mf_listen_file file;
        int rc = mf_listen_adopt(options->fds[i], &at, &file);
        if (rc == 0 && i > 0 && !mf_addr_eq(&at, &front->bound))
            rc = -EINVAL;
        if (rc < 0)
            return rc;
        front->bound = at;
        front->file = file;
    }
    for (uint32_t i = options->n_fds; i < engine->n_workers; i++) {
        front->fds[i] = fcntl(options->fds[i % options->n_fds], F_DUPFD_CLOEXEC, 0);
        if (front->fds[i] < 0)
            return -errno;
    }
    memcpy(front->fds, options->fds, options->n_fds * sizeof *options->fds); /* last, as they are ours only now */
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
    mf_store_relaxed(&front->shared, options->n_fds > 0);
    int rc = copy_options(front, options);
    if (rc == 0)
        rc = options->n_fds ? adopt_all(engine, front) : bind_all(engine, front);
    if (rc < 0) {
        drop_front(front);
        return rc;
    }
    if (bound)
        *bound = front->bound;
    return (int)engine->n_fronts++;
}

static bool serving(const struct mf_engine *engine)
{
    return !engine->stopped && engine->phase == MF_PHASE_SERVING;
}

int mf_engine_copies(const struct mf_engine *engine, uint32_t listener, int fds[MF_WORKERS_MAX])
{
    if (!engine->started || !serving(engine) || listener >= engine->n_fronts)
        return listener >= engine->n_fronts ? -EINVAL : -EBUSY;
    for (uint32_t i = 0; i < engine->n_workers; i++) {
        /* The worker's own, which it closes only when it is told to end. */
        fds[i] = fcntl(engine->workers[i]->doors[listener].listener.fd, F_DUPFD_CLOEXEC, 0);
        if (fds[i] < 0) {
            int rc = -errno;
            while (i-- > 0)
                close(fds[i]);
            return rc;
        }
    }
    return (int)engine->n_workers;
}

int mf_engine_share(struct mf_engine *engine, uint32_t listener, bool shared)
{
    if (listener >= engine->n_fronts || !serving(engine))
        return listener >= engine->n_fronts ? -EINVAL : -EBUSY;
    struct mf_front *front = &engine->fronts[listener];
    if (front->options.n_fds && front->options.mode) /* whoever had it is past using it as it was */
        mf_listen_permit(&front->bound, &front->file, front->options.mode);
    front->options.mode = 0; /* once: whoever takes over from us has another */
    mf_store_relaxed(&front->shared, shared);
    return 0;
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

/* --- its end */

static void enter(struct mf_engine *engine, enum mf_phase phase)
{
    engine->phase = phase;
    engine->asked_at = mf_clock_ns();
    for (uint32_t i = 0; i < engine->n_workers; i++) {
        mf_store_release(&engine->workers[i]->asked, phase); /* pairs with the acquire in mf_worker_obey */
        mf_loop_wake(engine->workers[i]->local.loop);
    }
}

static bool entered(const struct mf_engine *engine)
{
    for (uint32_t i = 0; i < engine->n_workers; i++)
        if (engine->workers[i]->started && mf_load_acquire(&engine->workers[i]->phase) != engine->phase)
            return false; /* pairs with the release in mf_worker_obey */
    return true;
}

static bool closed(const struct mf_engine *engine)
{
    for (uint32_t i = 0; i < engine->n_workers; i++)
        if (engine->workers[i]->started && !mf_worker_closed(engine->workers[i]))
            return false;
    return true;
}

static bool idle(const struct mf_engine *engine, enum mf_direction direction)
{
    for (uint32_t i = 0; i < engine->n_workers; i++) /* pairs with the release in call.c: `last` is read after it */
        if (mf_load_acquire(&engine->workers[i]->local.traffic[direction].active) > 0)
            return false;
    return true;
}

/* A call began or ended within that time. A worker may be ahead of our look at the clock. */
static bool stirs(const struct mf_engine *engine, enum mf_direction direction, uint64_t now, uint64_t ns)
{
    for (uint32_t i = 0; i < engine->n_workers; i++)
        if (mf_load_relaxed(&engine->workers[i]->local.traffic[direction].last) + ns > now)
            return true;
    return false;
}

static bool quiet(const struct mf_engine *engine, enum mf_direction direction, uint64_t now, uint64_t ns)
{
    return idle(engine, direction) && !stirs(engine, direction, now, ns);
}

/* Somebody else goes on with all of it, so nobody has to be let in to the last. */
static bool all_shared(const struct mf_engine *engine)
{
    for (uint32_t i = 0; i < engine->n_fronts; i++)
        if (!mf_load_relaxed(&engine->fronts[i].shared))
            return false;
    return true;
}

int mf_engine_pass(struct mf_engine *engine, uint32_t listeners)
{
    if (!engine->started || !serving(engine))
        return -EBUSY;
    for (uint32_t i = 0; i < MF_LISTENERS_MAX; i++)
        if ((listeners >> i & 1) && (i >= engine->n_fronts || !mf_load_relaxed(&engine->fronts[i].shared)))
            return -EINVAL;
    for (uint32_t i = 0; i < engine->n_fronts; i++)
        engine->fronts[i].passing = listeners >> i & 1;
    enter(engine, MF_PHASE_PASSING);
    return 0;
}

bool mf_engine_passing(const struct mf_engine *engine)
{
    if (engine->phase == MF_PHASE_SERVING)
        return false;
    if (!entered(engine))
        return true;
    for (uint32_t i = 0; i < engine->n_workers; i++) /* pairs with the release in worker.c */
        if (mf_load_acquire(&engine->workers[i]->to_pass))
            return true;
    return false;
}

int mf_engine_next_passed(struct mf_engine *engine, struct mf_passed *out)
{
    for (uint32_t i = 0; i < engine->n_workers; i++)
        if (mf_ring_pop(&engine->workers[i]->passed, out))
            return 1;
    return 0;
}

int mf_engine_adopt(struct mf_engine *engine, const struct mf_passed *passed)
{
    if (!engine->started || engine->stopped || engine->phase == MF_PHASE_STOPPING)
        return -EBUSY;
    if (passed->listener >= engine->n_fronts)
        return -EINVAL;
    enum mf_listen_protocol protocol = engine->fronts[passed->listener].options.protocol;
    if (protocol != MF_LISTEN_AUTO && protocol != MF_LISTEN_DUBBO)
        return -EINVAL;
    struct mf_worker *worker = engine->workers[engine->adopted % engine->n_workers];
    if (mf_ring_push(&worker->adopted, passed) < 0)
        return -EAGAIN;
    engine->adopted++;
    mf_loop_wake(worker->local.loop);
    return 0;
}

static bool has_inbound(const struct mf_engine *engine)
{
    for (uint32_t i = 0; i < engine->n_fronts; i++)
        if (engine->fronts[i].options.direction == MF_INBOUND)
            return true;
    return false;
}

void mf_engine_drain(struct mf_engine *engine)
{
    if (engine->started && engine->phase <= MF_PHASE_PASSING)
        enter(engine, has_inbound(engine) && !all_shared(engine) ? MF_PHASE_TOLD : MF_PHASE_SHUT);
}

/* Nobody calls in any more: nobody is there, or nothing has come for a while. */
static bool inbound_over(const struct mf_engine *engine, uint64_t now)
{
    bool connected = false;
    for (uint32_t i = 0; i < engine->n_workers; i++)
        connected |= mf_load_relaxed(&engine->workers[i]->connected);
    return connected ? quiet(engine, MF_INBOUND, now, QUIET_NS) : idle(engine, MF_INBOUND);
}

static bool over(const struct mf_engine *engine, uint64_t now)
{
    uint64_t open = 0, arriving = 0;
    for (uint32_t i = 0; i < engine->n_workers; i++) {
        open += mf_load_relaxed(&engine->workers[i]->local.counters.downstream_active);
        arriving += mf_load_acquire(&engine->workers[i]->local.arriving); /* before `last` and `active`: it ends behind them */
    }
    uint64_t ns = !open ? 0 : all_shared(engine) ? SHARED_QUIET_NS : LAST_QUIET_NS;
    return !arriving && quiet(engine, MF_INBOUND, now, ns) && quiet(engine, MF_OUTBOUND, now, ns);
}

bool mf_engine_drained(struct mf_engine *engine)
{
    uint64_t now = mf_clock_ns();
    if (engine->phase <= MF_PHASE_PASSING || !entered(engine))
        return engine->stopped;
    switch (engine->phase) {
    case MF_PHASE_TOLD:
        if (inbound_over(engine, now))
            enter(engine, MF_PHASE_SHUT);
        else if (now - engine->asked_at > PATIENT_NS && stirs(engine, MF_INBOUND, now, QUIET_NS))
            enter(engine, MF_PHASE_INBOUND_SHUT);
        return false;
    case MF_PHASE_INBOUND_SHUT:
        if (now - engine->asked_at > QUIET_NS && inbound_over(engine, now))
            enter(engine, MF_PHASE_SHUT);
        return false;
    default:
        return closed(engine) && over(engine, now);
    }
}

/* Lets the workers go on: in the caller's own loop by a turn of it, which something else that is ready there would make a
 * spin. 0, or why the loop does not turn. */
static int pass(struct mf_engine *engine)
{
    uint64_t began = mf_clock_ns();
    int rc = engine->options.workers ? 0 : mf_loop_turn(engine->workers[0]->local.loop, MOMENT_NS);
    if (mf_clock_ns() - began < MOMENT_NS && (engine->options.workers || ++engine->turns % AT_ONCE == 0))
        usleep(MOMENT_NS / 1000);
    return rc < 0 ? rc : 0;
}

/* The caller's loop turns here until our connections have gone. */
static int stop_embedded(struct mf_engine *engine)
{
    struct mf_worker *worker = engine->workers[0];
    while (!(worker->stopping && mf_worker_empty(worker))) {
        int rc = pass(engine);
        if (rc == -EBUSY || rc == -EEXIST) /* from inside a turn, or on a thread that may not turn it */
            return rc;
    }
    mf_timer_cancel(mf_loop_timers(worker->local.loop), &worker->later);
    mf_loop_leave(worker->local.loop, &worker->guest);
    return 0;
}

int mf_engine_stop(struct mf_engine *engine)
{
    if (!engine->started || engine->stopped)
        return 0;
    if (engine->phase == MF_PHASE_TOLD || engine->phase == MF_PHASE_INBOUND_SHUT)
        enter(engine, MF_PHASE_SHUT); /* it was to end softly */
    for (uint64_t by = mf_clock_ns() + CLOSE_NS; engine->phase == MF_PHASE_SHUT && mf_clock_ns() < by;) {
        if (entered(engine) && closed(engine))
            break;
        int rc = pass(engine);
        if (rc < 0)
            break;
    }
    enter(engine, MF_PHASE_STOPPING);
    if (!engine->options.workers && engine->workers[0]->started) {
        int rc = stop_embedded(engine);
        if (rc < 0)
            return rc;
    }
    for (uint32_t i = 0; i < engine->n_workers && engine->options.workers; i++)
        if (engine->workers[i]->started)
            pthread_join(engine->workers[i]->thread, NULL);
    engine->stopped = true;
    for (uint32_t i = 0; i < engine->n_fronts; i++)
        if (!mf_load_relaxed(&engine->fronts[i].shared))
            mf_listen_remove(&engine->fronts[i].bound, &engine->fronts[i].file);
    return 0;
}

void mf_engine_free(struct mf_engine *engine)
{
    if (mf_engine_stop(engine) < 0) /* its memory is in a loop that we cannot turn */
        return;
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
        for (int way = 0; way < 2; way++)
            mf_count(&out->calls_active, mf_load_relaxed(&engine->workers[i]->local.traffic[way].active));
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
