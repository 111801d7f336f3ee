/* pool, pools: a connection that has broken is given to no call, from that very moment, although its end is told later; who
 * watches an address is told what holds, however often it changes; one that is gone is found again without a call. */
#include "call/pool_rest.h"
#include "call/lane.h"
#include "call/pools.h"

#include "bare.h"
#include "protocol/dubbo_share.h"
#include "protocol/dubbo_up.h"

#include <fcntl.h>
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
    struct mf_link *link = mf_lane_pick(mf_lane_shared(w.pool), NULL, &rc);
    if (!link)
        return;
    w.picked++;
    if (mf_sock_write(&link->conn->sock, MF_SLICE("x")) < 0)
        w.refused++;
    mf_timer_set(mf_loop_timers(w.pool->pools->local->loop), timer, 1, on_call);
}

static void test_broken(enum mf_loop_backend backend)
{
    const char *why;
    struct mf_addr addr;
    struct mf_loop *loop;
    struct bare bare;
    struct mf_pools pools;
    struct mf_dubbo_share *share = mf_alloc(sizeof *share);
    int rc;
    if (mf_loop_new(&(struct mf_loop_options){.backend = backend}, &loop, &why) < 0) {
        printf("pool: this kernel has no io_uring for us (%s): epoll only\n", why ? why : "refused");
        mf_free(share);
        return;
    }
    memset(&w, 0, sizeof w);
    CHECK_INT(mf_addr_parse(MF_SLICE("127.0.0.1:0"), &addr), 0);
    int listener = mf_sock_listen(&addr, 8, false);
    CHECK_INT(mf_sock_local(listener, &addr), 0);
    open_bare(&bare, loop, 0);
    mf_pools_init(&pools, &bare.local);
    CHECK_INT(mf_dubbo_share_init(share, &mf_dubbo_up_dialer, 0, &bare.local, &bare.calls), 0);

    w.pool = mf_pools_of_addr(&pools, &share->dialer, &addr);
    CHECK(mf_pools_of_addr(&pools, &share->dialer, &addr) == w.pool);
    CHECK(mf_lane_pick(mf_lane_shared(w.pool), NULL, &rc) == NULL);
    CHECK_INT(rc, 0);
    turns_until(loop, &mf_lane_shared(w.pool)->n_connecting, 0);
    int provider = accept(listener, NULL, NULL);
    CHECK(provider >= 0);
    close(listener); /* who dials again is refused */
    on_call(&w.timer);
    CHECK_INT(w.picked, 1);

    setsockopt(provider, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    close(provider); /* a reset */
    turns_until(loop, &bare.local.n_ups, 0);
    CHECK_INT(w.refused, 0);
    CHECK_INT(mf_lane_shared(w.pool)->n_links, 0);

    mf_timer_cancel(mf_loop_timers(loop), &w.timer);
    mf_pools_dispose(&pools);
    mf_dubbo_share_dispose(share);
    mf_free(share);
    close_bare(&bare);
    mf_loop_free(loop);
}

/* --- who watches */

static struct {
    struct mf_watcher watcher;
    uint32_t told, readonly; /* times, and the last word */
} heard;

static void on_readonly(struct mf_watcher *watcher, bool readonly)
{
    CHECK(watcher == &heard.watcher);
    heard.told++;
    heard.readonly = readonly;
}

/* The provider lets us in and says a word. */
static int greet(int listener, struct mf_loop *loop)
{
    uint8_t event[MF_DUBBO_EVENT_ROOM];
    int fd = -1;
    fcntl(listener, F_SETFL, O_NONBLOCK);
    for (uint64_t by = mf_clock_ns() + UINT64_C(10000000000); fd < 0 && mf_clock_ns() < by;) {
        CHECK(mf_loop_turn(loop, 10000000) >= 0);
        fd = accept(listener, NULL, NULL);
    }
    CHECK(fd >= 0);
    size_t len = mf_dubbo_put_heartbeat(event, 1);
    CHECK_INT(send(fd, event, len, 0), (long)len);
    return fd;
}

static void test_watched(enum mf_loop_backend backend)
{
    enum { TIMES = 1000 };
    const char *why;
    struct mf_addr addr;
    struct mf_loop *loop;
    struct bare bare;
    struct mf_pools pools;
    struct mf_dubbo_share *share = mf_alloc(sizeof *share);
    int rc;
    if (mf_loop_new(&(struct mf_loop_options){.backend = backend}, &loop, &why) < 0) {
        mf_free(share);
        return;
    }
    memset(&heard, 0, sizeof heard);
    heard.watcher.on_readonly = on_readonly;
    CHECK_INT(mf_addr_parse(MF_SLICE("127.0.0.1:0"), &addr), 0);
    int listener = mf_sock_listen(&addr, 8, false);
    CHECK_INT(mf_sock_local(listener, &addr), 0);
    open_bare(&bare, loop, 0);
    mf_pools_init(&pools, &bare.local);
    CHECK_INT(mf_dubbo_share_init(share, &mf_dubbo_up_dialer, 0, &bare.local, &bare.calls), 0);
    struct mf_pool *pool = mf_pools_of_addr(&pools, &share->dialer, &addr);
    pool->users = 1;
    mf_pool_watch(pool, &heard.watcher);
    CHECK(mf_lane_pick(mf_lane_shared(pool), NULL, &rc) == NULL);
    int provider = greet(listener, loop);
    turns_until(loop, &mf_lane_shared(pool)->n_connecting, 0);

    /* In turn, as fast as it can: told at once, and then what holds in the end. */
    struct mf_link *link = MF_CONTAINER(pool->links.next, struct mf_link, node);
    for (int i = 0; i < TIMES; i++) {
        mf_pool_readonly(pool, link, true);
        mf_pool_readonly(pool, link, true);
        mf_pool_readonly(pool, link, false);
    }
    mf_pool_readonly(pool, link, true);
    CHECK_INT(heard.told, 1);
    CHECK_INT(heard.readonly, true);
    mf_pool_readonly(pool, link, false);
    turns_until(loop, &heard.readonly, false);
    CHECK_INT(heard.told, 2);
    CHECK_INT(bare.local.counters.readonly_in, 2 * TIMES + 1);

    /* It is gone: dialled again at once, refused, told. It is back: found by a probe, and told once it has spoken. */
    close(listener);
    close(provider);
    turns_until(loop, &heard.readonly, true);
    CHECK_INT(pool->health.failures > 0, true);
    listener = mf_sock_listen(&addr, 8, false);
    CHECK(listener >= 0);
    provider = greet(listener, loop);
    turns_until(loop, &heard.readonly, false);
    CHECK_INT(pool->health.failures, 0);
    CHECK(bare.local.counters.probes > 0);
    CHECK_INT(mf_load_relaxed(pool->down_until), 0);

    /* It stops by the book, and is there again at once: no word in between that it takes calls. */
    link = MF_CONTAINER(pool->links.next, struct mf_link, node);
    mf_pool_readonly(pool, link, true);
    turns_until(loop, &heard.readonly, true);
    uint32_t told = heard.told;
    close(provider);
    provider = greet(listener, loop);
    turns_until(loop, &heard.readonly, false);
    CHECK_INT(heard.told, told + 1);

    /* Since when it is well, where the table knows it: since its rest was over, not since it fell. */
    struct mf_table *table;
    CHECK_INT(mf_table_new(&table), 0);
    struct mf_peer *peer = pool->peer = mf_peer_intern(table, &addr);
    pool->down_until = &peer->down_until;
    mf_store_relaxed(&peer->since, 7);
    mf_pool_rest_set(pool, mf_loop_now(loop) + 1000000);
    CHECK_INT(mf_load_relaxed(&peer->since), 7);
    mf_pool_rest_set(pool, 0);
    CHECK_INT(mf_peer_well_since(peer), mf_loop_now(loop));
    pool->peer = NULL;
    pool->down_until = &pool->own;
    mf_peer_give(table, peer);
    mf_table_free(table);

    pool->users = 0;
    mf_list_remove(&heard.watcher.node);
    CHECK_INT(mf_pool_stop(pool, &(struct mf_fault){0}), 0);
    turns_until(loop, &bare.local.n_ups, 0);
    close(provider);
    close(listener);
    mf_pools_dispose(&pools);
    mf_dubbo_share_dispose(share);
    mf_free(share);
    close_bare(&bare);
    mf_loop_free(loop);
}

int main(void)
{
    test_broken(MF_LOOP_EPOLL);
    test_broken(MF_LOOP_URING);
    test_watched(MF_LOOP_EPOLL);
    test_watched(MF_LOOP_URING);
    return test_end("pool");
}
