#include "call/budget.h"

#include "base/err.h"
#include "base/mem.h"

enum { AT_ONCE = 32, LEAST = 16384 };
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

bool mf_budget_late(const struct mf_local *local)
{
    return local->budget.since && mf_local_now(local) - local->budget.since >= local->limits->memory_timeout * 1000000;
}

/* --- frames under way */

struct holders {
    struct mf_conn *conns[AT_ONCE]; /* the one that holds most first */
    size_t n;
};

static void rank(struct holders *holders, struct mf_conn *conn)
{
    size_t held = mf_sock_input(&conn->sock), i = holders->n;
    if (i == AT_ONCE && held <= mf_sock_input(&holders->conns[i - 1]->sock))
        return;
    if (i < AT_ONCE)
        holders->n++;
    else
        i--;
    for (; i > 0 && held > mf_sock_input(&holders->conns[i - 1]->sock); i--)
        holders->conns[i] = holders->conns[i - 1];
    holders->conns[i] = conn;
}

/* Those under way are shown as they are, and refused as if they had just been announced. */
static void refuse_longest(struct mf_local *local, size_t excess)
{
    struct holders holders = {.n = 0};
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

/* --- callers */

/* It has not been read for so long, as it does not read or its only way out is full; or it is closed, and lingers. */
static bool stuck(const struct mf_conn *conn, uint64_t since)
{
    return conn->closed || (conn->pauses && conn->paused_at <= since);
}

static void close_greatest(struct mf_local *local)
{
    struct mf_conn *greatest = NULL;
    bool is_stuck = false;
    uint64_t since = mf_local_now(local) - local->limits->memory_timeout * 1000000;
    for (struct mf_list *node = local->conns.next; node != &local->conns; node = node->next) {
        struct mf_conn *conn = MF_CONTAINER(node, struct mf_conn, all);
        if ((conn->up && !conn->alone) || (conn->doomed && !conn->closed) || mf_sock_memory(&conn->sock) < LEAST)
            continue;
        bool so = stuck(conn, since);
        if (!greatest || so > is_stuck ||
            (so == is_stuck && mf_sock_memory(&conn->sock) > mf_sock_memory(&greatest->sock))) {
            greatest = conn;
            is_stuck = so;
        }
    }
    if (!greatest)
        return;
    MF_COUNT(local, limit_max_memory);
    if (greatest->closed)
        mf_conn_wait(greatest, 1);
    else
        mf_conn_doom(greatest, MF_ELIMIT);
}

/* --- when */

static void begin(struct mf_local *local)
{
    local->budget.since = mf_local_now(local);
    local->budget.mark = 0;
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
    local->budget.mark = local->limits->max_memory / 2;
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
    else if (!local->budget.mark && used <= relief(local))
        end(local);
    if (!local->budget.since || now < local->budget.next)
        return;
    local->budget.next = now + LOOK_NS + (uint64_t)LOOK_EACH_NS * (local->n_downs + local->n_ups);
    if (used > relief(local))
        refuse_longest(local, used - relief(local));
    if (mf_budget_late(local))
        close_greatest(local);
}
