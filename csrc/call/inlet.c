#include "call/inlet.h"

#include "base/err.h"
#include "table/hash.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/un.h>

/* However many callers there are, one word to all of them holds nobody up: so many are told in one go, then the next. */
enum { TOLD_AT_ONCE = 64 };
#define TELL_EVERY_NS UINT64_C(1000000)

static void on_telling(struct mf_timer *timer);

void mf_inlet_add(struct mf_inlet *inlet, struct mf_conn *conn)
{
    conn->heard = inlet->word;
    mf_list_push(&inlet->conns, &conn->node);
}

/* The next that has yet to hear; NULL: all have. */
static struct mf_conn *untold(struct mf_inlet *inlet)
{
    struct mf_conn *first = MF_CONTAINER(inlet->conns.next, struct mf_conn, node);
    return mf_list_empty(&inlet->conns) || first->heard == inlet->word ? NULL : first;
}

static void tell_some(struct mf_inlet *inlet, uint32_t most)
{
    struct mf_conn *conn;
    for (uint32_t i = 0; i < most && (conn = untold(inlet)); i++) {
        mf_list_remove(&conn->node);
        mf_inlet_add(inlet, conn); /* behind the others */
        if (conn->ops->on_readonly)
            conn->ops->on_readonly(conn, inlet->readonly);
    }
    if (untold(inlet))
        mf_timer_set(mf_loop_timers(inlet->local->loop), &inlet->telling,
                     mf_local_now(inlet->local) + TELL_EVERY_NS, on_telling);
}

static void on_telling(struct mf_timer *timer)
{
    tell_some(MF_CONTAINER(timer, struct mf_inlet, telling), TOLD_AT_ONCE);
}

static void settle(struct mf_inlet *inlet)
{
    bool readonly = inlet->draining;
    for (int i = 0; i < MF_DIALERS; i++)
        readonly = readonly || inlet->gone[i];
    if (readonly == inlet->readonly)
        return;
    inlet->readonly = readonly;
    inlet->word++;
    tell_some(inlet, TOLD_AT_ONCE);
}

void mf_inlet_drain(struct mf_inlet *inlet)
{
    inlet->draining = true;
    settle(inlet);
    tell_some(inlet, UINT32_MAX); /* who drains goes by it that all were told */
}

void mf_inlet_dispose(struct mf_inlet *inlet)
{
    if (inlet->local)
        mf_timer_cancel(mf_loop_timers(inlet->local->loop), &inlet->telling);
}

/* What the application beside us says to those who call it, to those whose calls come in for it. */
static void on_forward_readonly(struct mf_watcher *watcher, bool readonly)
{
    struct mf_inlet *inlet = watcher->arg;
    if (inlet->options->direction != MF_INBOUND)
        return;
    inlet->gone[watcher - inlet->watchers] = readonly;
    settle(inlet);
}

void mf_inlet_init(struct mf_inlet *inlet, const struct mf_inlet_options *options, struct mf_local *local,
                   struct mf_calls *calls, struct mf_pools *pools)
{
    *inlet = (struct mf_inlet){.options = options, .local = local, .calls = calls, .pools = pools, .notes = local->notes};
    mf_list_init(&inlet->conns);
    for (int i = 0; i < MF_DIALERS; i++) {
        inlet->watchers[i] = (struct mf_watcher){.on_readonly = on_forward_readonly, .arg = inlet};
        mf_list_init(&inlet->watchers[i].node);
    }
}

int mf_inlet_address(const struct mf_inlet *inlet, const struct mf_conn *conn, struct mf_addr *out)
{
    const struct mf_inlet_options *options = inlet->options;
    if (options->transparent && mf_sock_original(conn->sock.fd, out) == 0)
        return 0;
    if (!options->has_forward)
        return MF_EROUTE_PEER;
    *out = options->forward;
    return 0;
}

static void keep(struct mf_pool **kept, struct mf_watcher *watcher, struct mf_pool *pool)
{
    pool->users++;
    *kept = pool;
    mf_pool_watch(pool, watcher);
}

void mf_inlet_own_init(struct mf_inlet_own *own, void (*on_readonly)(struct mf_watcher *watcher, bool readonly), void *arg)
{
    *own = (struct mf_inlet_own){.watcher = {.on_readonly = on_readonly, .arg = arg}};
    mf_list_init(&own->watcher.node);
}

void mf_inlet_let_go(struct mf_inlet_own *own)
{
    if (own->pool)
        own->pool->users--;
    own->pool = NULL;
    mf_list_remove(&own->watcher.node);
}

static uint32_t caller_of(const struct mf_conn *conn)
{
    struct mf_addr addr;
    struct ucred process = {0};
    socklen_t len = sizeof process;
    struct mf_slice bytes = {0};
    if (mf_sock_peer(conn->sock.fd, &addr) < 0)
        return 1;
    if (addr.sa.sa_family == AF_INET)
        bytes = mf_slice_of(&((const struct sockaddr_in *)&addr.storage)->sin_addr, sizeof(struct in_addr));
    else if (addr.sa.sa_family == AF_INET6)
        bytes = mf_slice_of(&((const struct sockaddr_in6 *)&addr.storage)->sin6_addr, sizeof(struct in6_addr));
    else if (getsockopt(conn->sock.fd, SOL_SOCKET, SO_PEERCRED, &process, &len) == 0)
        bytes = mf_slice_of(&process.pid, sizeof process.pid);
    return (uint32_t)mf_hash(bytes, 0) | 1;
}

uint32_t mf_inlet_caller(struct mf_inlet_own *own, const struct mf_conn *conn)
{
    if (!own->caller)
        own->caller = caller_of(conn);
    return own->caller;
}

struct mf_pool *mf_inlet_pool(struct mf_inlet *inlet, struct mf_dialer *dialer, const struct mf_conn *conn,
                              struct mf_inlet_own *own, int *rc)
{
    bool transparent = inlet->options->transparent;
    struct mf_pool **kept = transparent ? &own->pool : &inlet->forward[dialer->index];
    if (*kept)
        return *kept;
    struct mf_addr to;
    *rc = mf_inlet_address(inlet, conn, &to);
    if (*rc < 0)
        return NULL;
    struct mf_pool *pool = mf_pools_of_addr(inlet->pools, dialer, &to);
    if (!pool) {
        *rc = -ENOMEM;
        return NULL;
    }
    keep(kept, transparent ? &own->watcher : &inlet->watchers[dialer->index], pool);
    return pool;
}
