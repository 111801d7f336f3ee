/* lane, pool: calls that wait until a connection takes more at once: how many, on which, and what becomes of them when it
 * takes none for good. */
#include "call/lane.h"
#include "call/pools.h"

#include "bare.h"
#include "engine/fake.h"

/* A connection that takes `room` calls, and what it was given. */
struct link_conn {
    struct mf_conn conn; /* first */
    struct mf_link link;
    uint32_t room, given;
};

static struct {
    struct bare bare;
    struct mf_pools pools;
    struct mf_pool *pool;
    struct mf_caller caller;
    struct link_conn *links[8];
    int n_links, answered, again, refuse_dial;
    enum mf_outcome outcome;
    uint32_t first_room;
} w;

static struct link_conn *of(const struct mf_link *link)
{
    return (struct link_conn *)(void *)link->conn;
}

static void on_ready(struct mf_conn *conn)
{
    struct link_conn *link = (struct link_conn *)(void *)conn;
    (void)mf_pool_connected(w.pool, &link->link);
    mf_pool_alive(w.pool, &link->link);
}

static void on_lost(struct mf_conn *conn, int rc)
{
    mf_pool_lost(w.pool, &((struct link_conn *)(void *)conn)->link, rc);
}

static size_t on_read(struct mf_conn *conn, struct mf_slice view)
{
    (void)conn;
    return view.len;
}

static void on_eof(struct mf_conn *conn)
{
    mf_conn_close(conn, MF_CLOSE_NOW, -ECONNRESET);
}

static void on_timer(struct mf_conn *conn, uint64_t now)
{
    (void)conn;
    (void)now;
}

static const struct mf_conn_ops conn_ops = {
    .on_read = on_read, .on_eof = on_eof, .on_ready = on_ready, .on_lost = on_lost, .on_timer = on_timer};
static const struct mf_callee_ops callee_ops;

static struct mf_link *dial(struct mf_dialer *dialer, struct mf_pool *pool, int *rc)
{
    (void)dialer;
    if (w.refuse_dial) {
        *rc = w.refuse_dial;
        return NULL;
    }
    struct mf_conn *conn = mf_conn_dial(&w.bare.local, &pool->addr, sizeof(struct link_conn), &conn_ops, rc);
    CHECK(conn != NULL);
    struct link_conn *link = (struct link_conn *)(void *)conn;
    link->link = (struct mf_link){.conn = conn, .pool = pool};
    mf_list_init(&link->link.node);
    mf_callee_init(&link->link.callee, &callee_ops);
    link->room = w.first_room;
    w.links[w.n_links++] = link;
    return &link->link;
}

static int send_call(struct mf_link *link, struct mf_call *call)
{
    (void)call;
    CHECK(of(link)->room > 0);
    of(link)->room--;
    of(link)->given++;
    return 0;
}

static uint32_t room(const struct mf_link *link)
{
    return of(link)->room;
}

static bool takes(struct mf_link *link)
{
    return of(link)->room > 0;
}

static const struct mf_dialer_ops dialer_ops = {.dial = dial, .send = send_call, .room = room, .takes = takes,
                                                .kinds = UINT32_MAX};
static struct mf_dialer dialer = {&dialer_ops, 0};

static void answer(struct mf_caller *caller, struct mf_call *call, const struct mf_fault *fault)
{
    (void)caller;
    (void)call;
    w.answered++;
    w.outcome = fault->outcome;
}

static const uint8_t stats[MF_OUTCOMES];
static const struct mf_caller_ops caller_ops = {.answer = answer, .stats = stats};

static void turns(void)
{
    for (int i = 0; i < 6; i++)
        fake_turn(0);
}

static void open_world(uint32_t first_room)
{
    struct mf_addr addr;
    (void)fake_connect;
    (void)fake_send;
    (void)fake_open_window;
    memset(&w, 0, sizeof w);
    w.first_room = first_room;
    fake_open();
    open_bare(&w.bare, fake.loop, 0);
    w.bare.limits.upstream_trials = 0;
    w.bare.limits.max_pending = 3;
    w.bare.limits.busy_connections = 2;
    mf_pools_init(&w.pools, &w.bare.local);
    CHECK_INT(mf_addr_parse(MF_SLICE("127.0.0.1:1"), &addr), 0);
    w.pool = mf_pools_of_addr(&w.pools, &dialer, &addr);
    mf_caller_init(&w.caller, &caller_ops, NULL, &w.bare.local.traffic[MF_OUTBOUND]);
}

static void close_world(void)
{
    static const struct mf_fault over = {MF_OUTCOME_LOST, "over"};
    mf_pool_stop(w.pool, &over);
    turns();
    for (int i = 0; i < fake.n; i++)
        fake.conns[i].reset = true;
    turns();
    CHECK_INT(w.bare.calls.n_live, 0);
    CHECK_INT(mf_lane_shared(w.pool)->queue.n_calls, 0);
    mf_pools_dispose(&w.pools);
    fake_close();
    close_bare(&w.bare);
}

/* One more call: it is sent, it waits, or what it gets is returned. */
static int call(void)
{
    int rc;
    struct mf_lane *lane = mf_lane_shared(w.pool);
    struct mf_link *link = mf_lane_pick(lane, NULL, &rc);
    if (!link && rc < 0)
        return rc;
    struct mf_call *one = mf_call_begin(&w.bare.calls, &w.caller, 1, 0, true, &rc);
    CHECK(one != NULL);
    one->bytes_up = 10;
    if (link) {
        send_call(link, one);
        mf_call_step(one, MF_CALL_ON_ASKED, &(struct mf_call_input){.callee = &link->callee});
    } else {
        mf_call_step(one, MF_CALL_ON_WAIT,
                     &(struct mf_call_input){.queue = &lane->queue, .frame = mf_loop_block(fake.loop, 10)});
    }
    return link != NULL;
}

/* The k-th dialled connection is let in, or not. */
static void let_in(int k, int rc)
{
    fake_answer_connect(w.links[k]->conn.sock._backend, rc);
    turns();
}

#define WAITS (mf_lane_shared(w.pool)->queue.n_calls)

static void test_room(void)
{
    open_world(1);
    CHECK_INT(call(), 0);
    let_in(0, 0);
    CHECK_INT(w.links[0]->given, 1);
    CHECK_INT(call(), 0); /* and another connection is made for it */
    CHECK_INT(w.n_links, 2);
    let_in(1, 0);
    CHECK_INT(w.links[1]->given, 1);
    for (int i = 0; i < 3; i++)
        CHECK_INT(call(), 0); /* there are as many as there may be */
    CHECK_INT(w.n_links, 2);
    CHECK_INT(call(), MF_EROUTE_FULL);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.limit_max_pending), 1);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.limit_upstream_output_max), 0);
    w.links[1]->room = 2;
    mf_pool_room(w.pool, &w.links[1]->link);
    CHECK_INT(w.links[1]->given, 3);
    CHECK_INT(WAITS, 1);
    w.links[0]->room = 5;
    mf_pool_room(w.pool, &w.links[0]->link);
    CHECK_INT(WAITS, 0);
    CHECK_INT(w.links[0]->given, 2);
    CHECK_INT(call(), 1); /* not through the queue */
    close_world();
}

/* The other connection is not made: those that waited go on waiting for the one that is there, bounded; also where it cannot
 * even be tried. */
static void test_no_other(void)
{
    open_world(1);
    CHECK_INT(call(), 0);
    let_in(0, 0);
    CHECK_INT(call(), 0);
    let_in(1, -ECONNREFUSED);
    CHECK_INT(w.answered, 0);
    CHECK_INT(WAITS, 1);
    w.refuse_dial = -EMFILE;
    CHECK_INT(call(), 0);
    CHECK_INT(call(), 0);
    CHECK_INT(call(), MF_EROUTE_FULL);
    CHECK_INT(WAITS, 3);
    w.links[0]->room = 3;
    mf_pool_room(w.pool, &w.links[0]->link);
    CHECK_INT(WAITS, 0);
    close_world();
}

/* The last one that they waited for takes no more for good, or is gone: for another. */
static void test_replaced(bool lost)
{
    open_world(1);
    w.bare.limits.upstream_connections = 1;
    CHECK_INT(call(), 0);
    let_in(0, 0);
    CHECK_INT(call(), 0);
    let_in(1, -ECONNREFUSED);
    CHECK_INT(WAITS, 1);
    CHECK_INT(w.n_links, 2);
    if (lost) {
        mf_conn_doom(w.links[0]->link.conn, -ECONNRESET);
        turns();
        CHECK_INT(w.answered, 1); /* the one that was there */
    } else {
        mf_pool_retire(w.pool, &w.links[0]->link);
        mf_pool_retire(w.pool, &w.links[0]->link);
        CHECK(w.links[0]->link.retired);
        CHECK_INT(w.answered, 0);
    }
    CHECK_INT(w.n_links, 3);
    CHECK_INT(WAITS, 1);
    let_in(2, 0);
    CHECK_INT(WAITS, 0);
    CHECK_INT(w.links[2]->given, 1);
    if (!lost) {
        w.links[0]->room = 1; /* it is given none, whatever it says */
        w.links[2]->room = 0;
        CHECK_INT(call(), 0);
        mf_pool_room(w.pool, &w.links[0]->link);
        CHECK_INT(w.links[0]->given, 1);
    }
    close_world();
}

/* No other can be made then: they are told. */
static void test_none_left(void)
{
    open_world(1);
    CHECK_INT(call(), 0);
    let_in(0, 0);
    w.refuse_dial = -ECONNREFUSED;
    CHECK_INT(call(), 0);
    mf_pool_retire(w.pool, &w.links[0]->link);
    CHECK_INT(w.answered, 1);
    CHECK_INT(w.outcome, MF_OUTCOME_NONE_UP);
    CHECK_INT(WAITS, 0);
    close_world();
}

int main(void)
{
    test_room();
    test_no_other();
    test_replaced(false);
    test_replaced(true);
    test_none_left();
    return test_end("lane");
}
