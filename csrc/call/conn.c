#include "call/conn.h"

#include "base/mem.h"

#include <errno.h>
#include <unistd.h>

/* Who said something in so long does not hang. */
#define SPEAKS_NS UINT64_C(1000000000)

static struct mf_conn *conn_of(struct mf_sock *sock)
{
    return (struct mf_conn *)(void *)sock;
}

static size_t on_sock_read(struct mf_sock *sock, struct mf_slice view);
static void on_sock_eof(struct mf_sock *sock);
static void on_sock_connect(struct mf_sock *sock, int rc);
static void on_sock_drain(struct mf_sock *sock);
static void on_sock_close(struct mf_sock *sock, int rc);

static const struct mf_sock_events events = {
    .on_read = on_sock_read,
    .on_eof = on_sock_eof,
    .on_connect = on_sock_connect,
    .on_drain = on_sock_drain,
    .on_close = on_sock_close,
};

static struct mf_conn *make(struct mf_local *local, size_t size, const struct mf_conn_ops *ops, uint64_t output_high)
{
    struct mf_conn *conn = mf_zalloc(size);
    if (!conn)
        return NULL;
    conn->local = local;
    conn->ops = ops;
    conn->sock.events = &events;
    conn->sock.high = output_high;
    conn->sock.low = output_high / 2;
    mf_list_init(&conn->all);
    mf_list_init(&conn->node);
    mf_list_init(&conn->waiters);
    mf_list_init(&conn->waiting);
    return conn;
}

static struct mf_conn *let_in(struct mf_local *local, int fd, size_t size, const struct mf_conn_ops *ops)
{
    struct mf_conn *conn = make(local, size, ops, local->limits->output_high);
    if (!conn) {
        MF_COUNT(local, out_of_memory);
        close(fd);
        return NULL;
    }
    int rc = mf_sock_open(local->loop, &conn->sock, fd);
    if (rc < 0) {
        mf_free(conn);
        if (rc == -ENOMEM)
            MF_COUNT(local, out_of_memory);
        else
            local->report(local, MF_EVENT_ACCEPT_FAILED, rc, NULL);
        return NULL;
    }
    mf_list_push(&local->conns, &conn->all);
    mf_store_relaxed(&local->counters.downstream_active, ++local->n_downs);
    return conn;
}

struct mf_conn *mf_conn_accept(struct mf_local *local, int fd, size_t size, const struct mf_conn_ops *ops)
{
    if (local->n_downs >= local->limits->max_connections) {
        MF_COUNT(local, limit_max_connections);
        close(fd);
        return NULL;
    }
    struct mf_conn *conn = let_in(local, fd, size, ops);
    if (conn)
        MF_COUNT(local, downstream_connections);
    return conn;
}

struct mf_conn *mf_conn_adopt(struct mf_local *local, const struct mf_passed *from, size_t size, const struct mf_conn_ops *ops)
{
    struct mf_conn *conn = let_in(local, from->fd, size, ops);
    if (!conn)
        return NULL;
    uint64_t now = mf_local_now(local);
    conn->sock.last_read = from->silent < now ? now - from->silent : 0;
    conn->sock.bytes_in = from->came_len; /* nothing is guessed of who has begun to speak */
    MF_COUNT(local, connections_adopted);
    return conn;
}

struct mf_conn *mf_conn_dial(struct mf_local *local, const struct mf_addr *addr, size_t size,
                             const struct mf_conn_ops *ops, int *rc)
{
    struct mf_conn *conn = make(local, size, ops, local->limits->upstream_output_high);
    if (!conn) {
        *rc = -ENOMEM;
        return NULL;
    }
    conn->up = true;
    conn->sock.sum = &local->budget.for_peers;
    *rc = mf_sock_connect(local->loop, &conn->sock, addr);
    if (*rc < 0) {
        mf_free(conn);
        return NULL;
    }
    mf_list_push(&local->conns, &conn->all);
    mf_store_relaxed(&local->counters.upstream_active, ++local->n_ups);
    conn->connect_by = mf_local_now(local) + local->limits->connect_timeout * 1000000;
    mf_conn_wait(conn, conn->connect_by);
    return conn;
}

/* --- its end */

/* A drain waits for what is coming as for what is in flight: who sends it knows of no reason to stop. */
static void set_arriving(struct mf_conn *conn, bool arriving)
{
    struct mf_local *local = conn->local;
    uint64_t n = mf_load_relaxed(&local->arriving);
    conn->arriving = arriving;
    mf_store_release(&local->arriving, arriving ? n + 1 : n - 1);
}

void mf_conn_release(struct mf_conn *conn)
{
    struct mf_list *node;
    while ((node = mf_list_shift(&conn->waiters)))
        mf_conn_resume(MF_CONTAINER(node, struct mf_conn, waiting), MF_PAUSE_PEER);
}

#define HASTY_MS 1000

/* Its last output goes on as long as some of it goes within each frameTimeout: a peer that reads nothing cannot keep it. */
static void watch_end(struct mf_conn *conn)
{
    uint64_t ms = conn->local->limits->frame_timeout;
    ms = conn->hasty && ms > HASTY_MS ? HASTY_MS : ms;
    conn->left = mf_sock_left(&conn->sock);
    mf_conn_wait(conn, mf_local_now(conn->local) + ms * 1000000);
}

static void look_at_end(struct mf_conn *conn)
{
    size_t left = mf_sock_left(&conn->sock);
    if (left && left < conn->left && !conn->hasty) {
        watch_end(conn);
        return;
    }
    if (mf_sock_pending(&conn->sock))
        MF_COUNT(conn->local, limit_frame_timeout);
    mf_conn_cut(conn);
}

void mf_conn_close(struct mf_conn *conn, enum mf_sock_how how, int rc)
{
    if (conn->closed) {
        mf_sock_close(&conn->sock, how);
        return;
    }
    conn->closed = true;
    struct mf_local *local = conn->local;
    if (rc == -ENOMEM || conn->doomed_rc == -ENOMEM)
        MF_COUNT(local, out_of_memory);
    mf_list_remove(&conn->waiting);
    if (conn->arriving)
        set_arriving(conn, false);
    conn->ops->on_lost(conn, rc);
    mf_conn_release(conn);
    mf_list_remove(&conn->node);
    mf_timer_cancel(mf_loop_timers(local->loop), &conn->timer); /* a wait of its life says nothing of its end */
    if (how == MF_CLOSE_FLUSH)
        watch_end(conn);
    mf_sock_close(&conn->sock, how);
}

int mf_conn_pass(struct mf_conn *conn, struct mf_passed *out)
{
    *out = (struct mf_passed){.fd = -1};
    int rc = conn->ops->on_pass ? conn->ops->on_pass(conn, out) : MF_ECLOSED;
    if (rc < 0)
        return rc;
    struct mf_slice rest = mf_sock_rest(&conn->sock);
    conn->passing = true;
    if (rest.len > MF_PASSED_CAME) { /* most of a long frame, or what many said at once: it goes on with that */
        mf_conn_resume(conn, MF_PAUSE_PASS);
        return 0;
    }
    mf_conn_pause(conn, MF_PAUSE_PASS);
    if (rc == 0 || !mf_conn_open(conn))
        return 0;
    out->came = rest.len ? mf_alloc(rest.len) : NULL;
    if (rest.len && !out->came)
        return 0;
    int fd = mf_sock_detach(&conn->sock);
    if (fd < 0) {
        mf_free(out->came);
        return fd == -EAGAIN ? 0 : fd;
    }
    if (rest.len)
        memcpy(out->came, rest.ptr, rest.len);
    out->came_len = rest.len;
    out->fd = fd;
    out->silent = mf_local_now(conn->local) - conn->sock.last_read;
    MF_COUNT(conn->local, connections_passed);
    mf_conn_close(conn, MF_CLOSE_NOW, 0); /* the socket has gone, without a word to its peer */
    return 1;
}

void mf_conn_stay(struct mf_conn *conn)
{
    conn->passing = false;
    mf_conn_resume(conn, MF_PAUSE_PASS);
}

void mf_conn_stop(struct mf_conn *conn)
{
    mf_conn_doom(conn, conn->ops->on_stop ? conn->ops->on_stop(conn) : 0);
}

void mf_conn_cut(struct mf_conn *conn)
{
    enum mf_sock_how how = mf_sock_pending(&conn->sock) ? MF_CLOSE_RESET : MF_CLOSE_NOW;
    if (conn->closed)
        mf_sock_close(&conn->sock, how);
    else
        mf_conn_close(conn, how, MF_ECLOSED);
}

void mf_conn_bad(const struct mf_conn *conn, int rc)
{
    struct mf_addr who;
    int fd = conn->sock.fd;
    bool known = mf_sock_peer(fd, &who) == 0;
    if (known && who.sa.sa_family == AF_UNIX) /* which has no name: where it came in */
        known = mf_sock_local(fd, &who) == 0;
    conn->local->report(conn->local, MF_EVENT_BAD_DOWNSTREAM, rc, known ? &who : NULL);
}

void mf_conn_doom(struct mf_conn *conn, int rc)
{
    if (conn->closed || conn->doomed)
        return;
    conn->doomed = true;
    conn->doomed_rc = rc;
    mf_conn_wait(conn, 1);
}

void mf_conn_unwritten(struct mf_conn *conn)
{
    mf_conn_doom(conn, mf_sock_writable(&conn->sock) ? -ENOMEM : MF_ECLOSED);
}

static void on_sock_close(struct mf_sock *sock, int rc)
{
    struct mf_conn *conn = conn_of(sock);
    struct mf_local *local = conn->local;
    if (!conn->closed)
        mf_conn_close(conn, MF_CLOSE_NOW, rc);
    mf_timer_cancel(mf_loop_timers(local->loop), &conn->timer);
    mf_list_remove(&conn->all);
    if (conn->up)
        mf_store_relaxed(&local->counters.upstream_active, --local->n_ups);
    else
        mf_store_relaxed(&local->counters.downstream_active, --local->n_downs);
    mf_free(conn);
}

/* --- what arrives */

static size_t on_sock_read(struct mf_sock *sock, struct mf_slice view)
{
    struct mf_conn *conn = conn_of(sock);
    if (conn->doomed)
        return view.len;
    size_t took = conn->ops->on_read(conn, view);
    if (conn->passing && view.len - took <= MF_PASSED_CAME)
        mf_conn_pause(conn, MF_PAUSE_PASS);
    return took;
}

static void on_sock_eof(struct mf_sock *sock)
{
    struct mf_conn *conn = conn_of(sock);
    conn->ops->on_eof(conn);
}

static void on_sock_connect(struct mf_sock *sock, int rc)
{
    struct mf_conn *conn = conn_of(sock);
    if (rc < 0) {
        mf_conn_close(conn, MF_CLOSE_NOW, rc);
        return;
    }
    conn->ready = true;
    MF_COUNT(conn->local, upstream_connections);
    conn->ops->on_ready(conn);
}

/* --- waits: one timer, which fires at the nearest wait ever asked for and is set again from there */

static void on_timer(struct mf_timer *timer)
{
    struct mf_conn *conn = MF_CONTAINER(timer, struct mf_conn, timer);
    struct mf_local *local = conn->local;
    uint64_t now = mf_local_now(local);
    if (conn->closed) {
        look_at_end(conn);
        return;
    }
    if (conn->doomed) {
        enum mf_sock_how cut = conn->sock.cut_resets ? MF_CLOSE_RESET : MF_CLOSE_NOW;
        bool nobody = conn->up && !conn->ready; /* who would take what was written */
        mf_conn_close(conn, conn->doomed_rc || nobody ? cut : MF_CLOSE_FLUSH, conn->doomed_rc);
        return;
    }
    if (conn->up && !conn->ready && now < conn->connect_by) {
        mf_conn_wait(conn, conn->connect_by);
        return;
    }
    if (conn->up && !conn->ready) {
        MF_COUNT(local, limit_connect_timeout);
        mf_conn_close(conn, MF_CLOSE_NOW, -ETIMEDOUT);
        return;
    }
    if (conn->frame_by && !conn->pauses) {
        if (now >= conn->frame_by) {
            MF_COUNT(local, limit_frame_timeout);
            mf_conn_close(conn, MF_CLOSE_NOW, -ETIMEDOUT);
            return;
        }
        mf_conn_wait(conn, conn->frame_by);
    }
    conn->ops->on_timer(conn, now);
}

void mf_conn_wait(struct mf_conn *conn, uint64_t at)
{
    if (conn->timer.at && conn->timer.at <= at)
        return;
    mf_timer_set(mf_loop_timers(conn->local->loop), &conn->timer, at, on_timer);
}

void mf_conn_arrived(struct mf_conn *conn)
{
    struct mf_local *local = conn->local;
    for (int i = 0; i < 2; i++) /* as long as its call is none in flight yet */
        mf_store_relaxed(&local->traffic[i].last, mf_local_now(local));
    set_arriving(conn, false);
}

void mf_conn_expect(struct mf_conn *conn, uint64_t missing)
{
    if (missing && !conn->up && !conn->arriving)
        set_arriving(conn, true);
    if (conn->frame_by)
        return;
    uint64_t ns = conn->local->limits->frame_timeout * 1000000 + missing * (1000000000 / 65536);
    conn->frame_by = mf_local_now(conn->local) + ns;
    mf_conn_wait(conn, conn->frame_by);
}

/* --- back pressure */

void mf_conn_keepalive(struct mf_conn *conn)
{
    enum { PROBES = 4, LONGEST_S = 32767 };
    uint64_t idle = (conn->local->limits->tcp_keepalive + 999) / 1000;
    int idle_s = (int)(idle < LONGEST_S ? idle : LONGEST_S);
    if (idle_s > 0) /* where it cannot be set it is as it was: no reason to end it */
        (void)mf_sock_keepalive(&conn->sock, idle_s, idle_s > PROBES ? idle_s / PROBES : 1, PROBES);
}

void mf_conn_count_gone(const struct mf_conn *conn, int rc)
{
    if (rc == -ETIMEDOUT && (conn->ready || !conn->up))
        MF_COUNT(conn->local, limit_tcp_keepalive);
}

void mf_conn_pause(struct mf_conn *conn, enum mf_conn_pause why)
{
    if (!conn->pauses) {
        conn->paused_at = mf_local_now(conn->local);
        mf_sock_pause(&conn->sock);
    }
    conn->pauses |= (uint8_t)why;
}

void mf_conn_resume(struct mf_conn *conn, enum mf_conn_pause why)
{
    if (!(conn->pauses & why))
        return;
    conn->pauses &= (uint8_t)~why;
    if (conn->pauses || conn->closed)
        return;
    /* Until now the silence was ours: what it had begun has as long again. */
    conn->sock.last_read = mf_local_now(conn->local);
    if (conn->frame_by) {
        conn->frame_by += conn->sock.last_read - conn->paused_at;
        mf_conn_wait(conn, conn->frame_by);
    }
    mf_sock_resume(&conn->sock);
}

void mf_conn_pause_for(struct mf_conn *conn, struct mf_conn *full)
{
    mf_conn_pause(conn, MF_PAUSE_PEER);
    mf_count(full->up ? &conn->local->counters.limit_upstream_output_high : &conn->local->counters.limit_output_high, 1);
    mf_list_remove(&conn->waiting);
    mf_list_push(&full->waiters, &conn->waiting);
}

void mf_conn_check_output(struct mf_conn *conn)
{
    if (!mf_sock_full(&conn->sock) || conn->up)
        return;
    if (!(conn->pauses & MF_PAUSE_OUTPUT)) {
        MF_COUNT(conn->local, limit_output_high);
        mf_conn_pause(conn, MF_PAUSE_OUTPUT);
    }
}

/* They take that much memory. */
static bool over_share(const struct mf_local *local, uint64_t memory)
{
    return (memory > MF_CONN_FEW && memory > mf_local_left_for_peers(local)) ||
           (memory > local->limits->upstream_output_high && memory > mf_local_left(local));
}

/* What who does not seem to hang may have in any case. */
static size_t few(const struct mf_local *local)
{
    return (size_t)local->limits->max_memory / 128;
}

bool mf_conn_too_much(const struct mf_local *local, uint64_t bytes)
{
    return bytes > local->limits->upstream_output_max || (bytes > few(local) && over_share(local, bytes));
}

bool mf_conn_speaks(const struct mf_conn *up)
{
    return up->sock.bytes_in > 0 && mf_local_now(up->local) - up->sock.last_read < SPEAKS_NS;
}

bool mf_conn_stuffed(const struct mf_conn *up)
{
    const struct mf_limits *limits = up->local->limits;
    size_t memory = mf_sock_output(&up->sock);
    if (mf_sock_pending(&up->sock) > limits->upstream_output_max)
        return true;
    bool fresh = mf_local_now(up->local) - up->sock.last_read < SPEAKS_NS; /* it may not have had the time to speak */
    return over_share(up->local, memory) && (mf_sock_pending(&up->sock) > few(up->local) || !fresh);
}

void mf_conn_set_alone(struct mf_conn *up)
{
    up->alone = true;
    up->sock.sum = NULL;
}

static void on_sock_drain(struct mf_sock *sock)
{
    struct mf_conn *conn = conn_of(sock);
    mf_conn_resume(conn, MF_PAUSE_OUTPUT);
    mf_conn_release(conn);
    if (conn->ops->on_room && mf_conn_open(conn))
        conn->ops->on_room(conn);
}
