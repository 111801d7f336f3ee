/* bench_loop: what one turn of the loop costs, on each backend. One JSON object a line (bench.h).
 *
 * Names end in the backend. `turn` does not wait and finds nothing; `wake` is a wake and the turn that it ends; `ready`
 * is a turn that finds one socket readable; `timer` sets and cancels one. */
#include "bench.h"

#include "loop/loop.h"

#include <sys/socket.h>
#include <unistd.h>

static void turn(void *arg, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        bench_must(mf_loop_turn(arg, 0), "a turn");
}

static void wake(void *arg, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        mf_loop_wake(arg);
        bench_must(mf_loop_turn(arg, -1), "a turn");
    }
}

static uint64_t heard;

static void on_ready(struct mf_watch *watch, uint32_t events)
{
    (void)watch;
    heard += events & MF_WATCH_READ;
}

static void ready(void *arg, uint64_t n)
{
    uint64_t before = heard;
    for (uint64_t i = 0; i < n; i++)
        bench_must(mf_loop_turn(arg, -1), "a turn");
    if (heard - before != n) {
        fprintf(stderr, "%llu of %llu turns found the socket\n", (unsigned long long)(heard - before),
                (unsigned long long)n);
        exit(1);
    }
}

static void on_timer(struct mf_timer *timer)
{
    (void)timer;
}

static void timer(void *arg, uint64_t n)
{
    static struct mf_timer one;
    for (uint64_t i = 0; i < n; i++) {
        mf_timer_set(mf_loop_timers(arg), &one, mf_loop_now(arg) + 60000000000, on_timer);
        mf_timer_cancel(mf_loop_timers(arg), &one);
    }
}

static void run(const char *what, const char *backend, void (*each)(void *, uint64_t), struct mf_loop *loop)
{
    char name[64];
    snprintf(name, sizeof name, "loop.%s/%s", what, backend);
    bench_op(name, each, loop);
}

static void at(enum mf_loop_backend backend, const char *name)
{
    struct mf_loop_options options = {.backend = backend};
    struct mf_loop *loop;
    const char *why = NULL;
    int rc = mf_loop_new(&options, &loop, &why), ends[2];
    if (rc < 0) {
        fprintf(stderr, "%s is not here: %s\n", name, why ? why : mf_err_text(rc));
        return;
    }
    run("turn", name, turn, loop);
    run("wake", name, wake, loop);
    run("timer", name, timer, loop);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) < 0 || write(ends[1], "x", 1) != 1)
        exit(1);
    struct mf_watch watch = {.fd = ends[0], .events = MF_WATCH_READ, .on_ready = on_ready};
    bench_must(mf_watch_add(loop, &watch), "a watch");
    run("ready", name, ready, loop);
    mf_watch_remove(&watch);
    mf_loop_free(loop);
    close(ends[0]);
    close(ends[1]);
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    at(MF_LOOP_EPOLL, "epoll");
    at(MF_LOOP_URING, "io_uring");
    return 0;
}
