/* pool: a connection that has broken is given to no call, from that very moment, although its end is told later. */
#include "proxy/pool.h"

#include "proxy/conn.h"
#include "proxy/worker.h"
#include "test.h"

#include <sys/socket.h>

static struct {
    struct mf_pool *pool;
    struct mf_timer timer;
    int picked, refused; /* times the connection was given out, and when it took no bytes */
} w;

static void turns_until(struct mf_loop *loop, const uint32_t *value, uint32_t want)
{
    for (uint64_t by = mf_clock_ns() + UINT64_C(10000000000); *value != want && mf_clock_ns() < by;)
        CHECK(mf_loop_turn(loop, 10000000) >= 0);
    CHECK_INT(*value, want);
}

/* A call in every turn, behind what the kernel told: so also in the one that reads the connection's end. */
static void on_call(struct mf_timer *timer)
{
    int rc;
    struct mf_conn *conn = mf_pool_pick(w.pool, &rc);
    if (!conn)
        return;
    w.picked++;
    if (mf_sock_write(&conn->sock, MF_SLICE("x")) < 0)
        w.refused++;
    mf_timer_set(mf_loop_timers(w.pool->worker->loop), timer, 1, on_call);
}

static void test_broken(enum mf_loop_backend backend)
{
    const char *why;
    struct mf_addr addr;
    struct mf_table *table;
    struct mf_loop *loop;
    struct mf_limits limits;
    int rc;
    if (mf_loop_new(&(struct mf_loop_options){.backend = backend}, &loop, &why) < 0) {
        printf("pool: this kernel has no io_uring for us (%s): epoll only\n", why ? why : "refused");
        return;
    }
    struct mf_worker *worker = mf_alloc(sizeof *worker);
    memset(&w, 0, sizeof w);
    CHECK_INT(mf_addr_parse(MF_SLICE("127.0.0.1:0"), &addr), 0);
    int listener = mf_sock_listen(&addr, 8, false);
    CHECK_INT(mf_sock_local(listener, &addr), 0);
    CHECK_INT(mf_table_new(&table), 0);
    mf_limits_default(&limits);
    struct mf_engine_options options = {.table = table, .embed = loop};
    CHECK_INT(mf_worker_init(worker, NULL, &options, &limits, 0, -1, &why), 0);

    w.pool = mf_pool_of_addr(worker, &addr);
    CHECK(mf_pool_pick(w.pool, &rc) == NULL);
    CHECK_INT(rc, 0);
    turns_until(loop, &w.pool->n_connecting, 0);
    int provider = accept(listener, NULL, NULL);
    CHECK(provider >= 0);
    close(listener); /* who dials again is refused */
    on_call(&w.timer);
    CHECK_INT(w.picked, 1);

    setsockopt(provider, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    close(provider); /* a reset */
    turns_until(loop, &worker->n_ups, 0);
    CHECK_INT(w.refused, 0);
    CHECK_INT(w.pool->n_conns, 0);

    mf_timer_cancel(mf_loop_timers(loop), &w.timer);
    mf_worker_dispose(worker);
    mf_free(worker);
    mf_loop_free(loop);
    mf_table_free(table);
}

int main(void)
{
    test_broken(MF_LOOP_EPOLL);
    test_broken(MF_LOOP_URING);
    return test_end("pool");
}
