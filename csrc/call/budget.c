#include "call/budget.h"

#include "base/err.h"
#include "base/mem.h"

#include <errno.h>

enum { AT_ONCE = 32, LEAST = 16384, SLOW = 8 };
#define TRIM_NS UINT64_C(1000000000)
#define LOOK_NS UINT64_C(1000000) /* between two looks at all connections, and as much more for each */
#define LOOK_EACH_NS 500

/* Over from here on: what is on its way still fits. And not over any more once there is this much. */
static size_t high(const struct mf_local *local)
{
    return local->limits->max_memory - local->limits->max_memory / 8;
}

static size_t relief(const struct mf_local *local)
{
    return local->limits->max_memory - local->limits->max_memory / 4;
}

bool mf_budget_over(const struct mf_local *local)
{
    return mf_loop_memory(local->loop) > (local->budget.since ? relief(local) : high(local));
}

static uint64_t memory_timeout(const struct mf_local *local)
{
    return local->limits->memory_timeout * 1000000;
}

static bool is_late(const struct mf_local *local, uint64_t since)
{
    return since && mf_local_now(local) - since >= memory_timeout(local);
}

bool mf_budget_late(const struct mf_local *local)
{
    return is_late(local, local->budget.since);
}

/* What waits there waits for a peer that many share. */
static bool for_peers(const struct mf_conn *conn)
{
    return conn->up && !conn->alone;
}

/* Peers that take nothing have nearly used up the share of all. And not any more once half of it is left. */
static bool crowded(const struct mf_local *local)
{
    size_t share = local->limits->max_memory / 2;
    return local->budget.for_peers > (local->budget.crowded ? share / 2 : share - share / 4);
}

/* --- frames under way */

struct holders {
    size_t (*held)(const struct mf_conn *conn);
    struct mf_conn *conns[AT_ONCE]; /* the one that holds most first */
    size_t n;
};

static size_t input(const struct mf_conn *conn)
{
    return mf_sock_input(&conn->sock);
}

static size_t behind(const struct mf_conn *conn)
{
    return conn->behind;
}

static void rank(struct holders *holders, struct mf_conn *conn)
{
    size_t held = holders->held(conn), i = holders->n;
    if (i == AT_ONCE && held <= holders->held(holders->conns[i - 1]))
        return;
    if (i < AT_ONCE)
        holders->n++;
    else
        i--;
    for (; i > 0 && held > holders->held(holders->conns[i - 1]); i--)
        holders->conns[i] = holders->conns[i - 1];
    holders->conns[i] = conn;
}

/* Those under way are shown as they are, and refused as if they had just been announced. */
static void refuse_longest(struct mf_local *local, size_t excess)
{
    struct holders holders = {.held = input};
    bool late = mf_budget_late(local);
    for (struct mf_list *node = local->conns.next; node != &local->conns; node = node->next) {
        struct mf_conn *conn = MF_CONTAINER(node, struct mf_conn, all);
        if (mf_sock_input(&conn->sock) >= LEAST && mf_conn_reading(conn) && (late || !conn->up))
            rank(&holders, conn);
    }
    for (size_t i = 0, freed = 0; i < holders.n && freed < excess; i++) {
        freed += mf_sock_input(&holders.conns[i]->sock);
        mf_sock_show(&holders.conns[i]->sock);
    }
}

/* --- what connections keep for their peers */

/* Some of what nothing is taken of, in place of a connection with all that moves on it. False: there was none. */
static bool let_go(struct mf_local *local, size_t excess)
{
    struct holders holders = {.held = behind};
    for (struct mf_list *node = local->conns.next; node != &local->conns; node = node->next) {
        struct mf_conn *conn = MF_CONTAINER(node, struct mf_conn, all);
        if (conn->behind && conn->ops->on_tight && mf_conn_open(conn))
            rank(&holders, conn);
    }
    size_t freed = 0;
    for (size_t i = 0; i < holders.n && freed < excess; i++)
        freed += holders.conns[i]->ops->on_tight(holders.conns[i], excess - freed);
    return freed > 0;
}

/* --- connections */

/* Judged by what its peer took in the last memoryTimeout; at once where one that stood still moves. */
static void judge(const struct mf_local *local, struct mf_conn *conn)
{
    uint64_t now = mf_local_now(local), out = conn->sock.bytes_out;
    size_t waits = mf_conn_waits(conn);
    bool moved = conn->pace_out != out;
    if (!waits || conn->pace_at < local->budget.looked || (moved && conn->pace == MF_PACE_STALLED))
        conn->pace = MF_PACE_MOVES;
    else if (now - conn->pace_at < memory_timeout(local))
        return;
    else
        conn->pace = !moved ? MF_PACE_STALLED : out - conn->pace_out < waits / SLOW ? MF_PACE_SLOW : MF_PACE_MOVES;
    conn->pace_at = now;
    conn->pace_out = out;
}

/* Counted by bytes: rooms may be half empty. */
static bool holds_much(const struct mf_conn *conn)
{
    return mf_conn_waits(conn) + mf_sock_input(&conn->sock) > LEAST;
}

/* It has not been read for so long, as its only way out is full. */
static bool held_up(const struct mf_conn *conn)
{
    return (conn->pauses & MF_PAUSE_PEER) && conn->paused_at + memory_timeout(conn->local) <= mf_local_now(conn->local);
}

/* 0: it is not closed for memory. Who takes nothing goes before who takes little, and both before those who take nothing of
 * what is next to nothing: there may be ten thousand of them, each with a room that is nearly empty. */
static int blame(const struct mf_conn *conn)
{
    if (conn->doomed && !conn->closed)
        return 0;
    if (!holds_much(conn))
        return conn->pace == MF_PACE_STALLED && !for_peers(conn);
    if (conn->pace == MF_PACE_STALLED || held_up(conn))
        return 3;
    return conn->pace == MF_PACE_SLOW && !for_peers(conn) ? 2 : 0;
}

static size_t memory(const struct mf_conn *conn)
{
    return mf_sock_memory(&conn->sock) + conn->behind;
}

/* Of those to blame most, the one that holds most. */
static void choose(struct mf_conn **chosen, int *most, struct mf_conn *conn)
{
    int blamed = blame(conn);
    if (blamed > *most ||
        (blamed && blamed == *most && memory(conn) > memory(*chosen))) {
        *chosen = conn;
        *most = blamed;
    }
}

static void cut(struct mf_conn *conn, int rc)
{
    MF_COUNT(conn->local, limit_max_memory);
    if (conn->closed)
        mf_conn_wait(conn, 1);
    else
        mf_conn_doom(conn, rc);
}

/* A peer that takes nothing goes before any caller, and what waits for peers is not put down to callers. */
static void close_greatest(struct mf_local *local)
{
    struct mf_conn *peer = NULL, *caller = NULL;
    int most_peer = 0, most_caller = 0;
    for (struct mf_list *node = local->conns.next; node != &local->conns; node = node->next) {
        struct mf_conn *conn = MF_CONTAINER(node, struct mf_conn, all);
        judge(local, conn);
        if (for_peers(conn))
            choose(&peer, &most_peer, conn);
        else
            choose(&caller, &most_caller, conn);
    }
    bool late = mf_budget_late(local);
    size_t used = mf_loop_memory(local->loop);
    bool crowd = is_late(local, local->budget.crowded);
    if ((late || crowd) && let_go(local, crowd ? local->budget.for_peers / 2 : used - relief(local)))
        return;
    if (peer && (late || crowd))
        cut(peer, -ETIMEDOUT);
    else if (caller && late && used > local->budget.for_peers + local->limits->max_memory / 4)
        cut(caller, MF_ELIMIT);
}

/* --- when */

static void begin(struct mf_local *local)
{
    local->budget.since = mf_local_now(local);
    /* Nothing is kept for frames to come; what was not needed is known the second time. */
    mf_loop_set_spares(local->loop, 0);
    for (int i = 0; i < 2; i++)
        MF_COUNT_N(local, limit_spare_blocks, mf_loop_trim(local->loop));
}

static void trim(struct mf_local *local)
{
    uint64_t now = mf_local_now(local);
    if (!local->budget.trim || local->budget.since || now < local->budget.next_trim)
        return;
    local->budget.trim = false;
    local->budget.next_trim = now + TRIM_NS;
    mf_mem_trim();
}

static void end(struct mf_local *local)
{
    local->budget.since = 0;
    mf_loop_set_spares(local->loop, local->limits->spare_blocks);
    local->budget.trim = true;
    trim(local);
}

void mf_budget_sweep(struct mf_local *local)
{
    MF_COUNT_N(local, limit_spare_blocks, mf_loop_trim(local->loop));
    trim(local);
}

void mf_budget_mind(struct mf_local *local, size_t used, size_t last)
{
    uint64_t now = mf_local_now(local);
    size_t grown = used > last ? used - last : 0; /* the next turn may bring as much, before anything can be refused */
    if (!local->budget.since && (used > high(local) || used + grown > local->limits->max_memory))
        begin(local);
    else if (local->budget.since && used <= relief(local))
        end(local);
    if (!crowded(local))
        local->budget.crowded = 0;
    else if (!local->budget.crowded)
        local->budget.crowded = now;
    bool looks = local->budget.since || local->budget.crowded;
    local->budget.mark = looks ? 0 : local->limits->max_memory / 8 * 3;
    if (!looks)
        local->budget.looked = 0;
    else if (!local->budget.looked)
        local->budget.looked = now;
    if (!looks || now < local->budget.next)
        return;
    local->budget.next = now + LOOK_NS + (uint64_t)LOOK_EACH_NS * (local->n_downs + local->n_ups);
    if (local->budget.since && used > relief(local))
        refuse_longest(local, used - relief(local));
    close_greatest(local);
}
