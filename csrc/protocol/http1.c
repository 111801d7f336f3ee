#include "protocol/http1.h"

#include "base/err.h"
#include "base/mem.h"
#include "call/health.h"
#include "protocol/http1_change.h"
#include "protocol/http1_route.h"
#include "table/actions.h"
#include "table/guard.h"

#include <errno.h>
#include <stdio.h>

enum { TEXT_ROOM = 256, ANSWER_ROOM = 512 };
enum { AHEAD = 64 * 1024 }; /* behind a head that waits so much is read, so that its caller's end is seen */

static struct mf_http1 *http1_of(struct mf_conn *conn)
{
    return (struct mf_http1 *)(void *)conn;
}

/* --- what is counted and told of it */

/* The service that it goes to, as of now. */
static void set_stat(struct mf_http1 *http1, struct mf_stat *stat, bool fallback)
{
    struct mf_stat_shard *shard = stat ? mf_stat_shard(stat, http1->relay.conn.local->reader) : NULL;
    if (shard == http1->stat)
        return;
    if (http1->stat)
        mf_count(&http1->stat->done, 1);
    http1->stat = shard;
    if (!shard)
        return;
    mf_count(&shard->begun, 1);
    if (fallback)
        mf_count(&shard->fallbacks, 1);
}

static void leave_guard(struct mf_http1 *http1)
{
    if (!http1->guard)
        return;
    mf_breaker_give(&http1->guard->breaker, MF_BREAKER_CONNECTIONS);
    mf_guard_leave(http1->guard);
    http1->guard = NULL;
}

/* It is one of the connections that policy bounds, if any are. False: there are as many as may be. */
static bool enter_guard(struct mf_http1 *http1, struct mf_guard *guard)
{
    leave_guard(http1);
    if (!guard)
        return true;
    if (!mf_breaker_take(&guard->breaker, MF_BREAKER_CONNECTIONS)) {
        MF_COUNT(http1->relay.conn.local, busy_connections);
        return false;
    }
    mf_guard_enter(guard);
    http1->guard = guard;
    return true;
}

/* `status`: HTTP's that it was told, of an answer of ours; 0: it was relayed, or is gone. */
static void end(struct mf_http1 *http1, enum mf_outcome outcome, int status, uint64_t up, uint64_t down)
{
    struct mf_local *local = http1->relay.conn.local;
    struct mf_stat_shard *stat = http1->stat;
    struct mf_note_end told = {
        .outcome = (uint8_t)outcome,
        .status = (uint8_t)(status ? mf_stat_http_index(status) : MF_STAT_LOST),
        .two_way = status != 0,
        .took = mf_local_now(local) - http1->begun,
        .bytes_up = up,
        .bytes_down = down,
    };
    if (http1->note) {
        if (stat && stat->of)
            told.subset = mf_slice_str(stat->of->subset);
        if (http1->note->record.peer.len)
            told.peer = &http1->note->record.peer;
        http1->note->record.code = (uint32_t)status;
        http1->note->record.http = (uint16_t)status;
        mf_note_end(local->notes, http1->note, &told);
    }
    if (stat) {
        if (status)
            mf_count(&stat->status[told.status], 1);
        if (outcome != MF_OUTCOME_OK)
            mf_count(&stat->outcome[outcome], 1);
        mf_count(&stat->done, 1); /* the last word on the stat: it may be freed after this */
    }
    http1->stat = NULL;
    http1->note = NULL;
    leave_guard(http1);
}

static void on_ended(struct mf_conn *conn, int rc, uint64_t up, uint64_t down)
{
    end(http1_of(conn), rc < 0 ? MF_OUTCOME_LOST : MF_OUTCOME_OK, 0, up, down);
}

/* --- answers of ours: a head that could not be read leaves nothing to go on with, so each is the connection's last */

static const char *reason(int status)
{
    return status == 400   ? "Bad Request"
           : status == 404 ? "Not Found"
           : status == 431 ? "Request Header Fields Too Large"
           : status == 505 ? "HTTP Version Not Supported"
                           : "Service Unavailable";
}

static enum mf_outcome outcome_of(int status)
{
    return status == 404   ? MF_OUTCOME_NO_ROUTE
           : status == 431 ? MF_OUTCOME_TOO_LONG
           : status == 503 ? MF_OUTCOME_NO_PEER
                           : MF_OUTCOME_BAD_REQUEST;
}

static void answer_as(struct mf_conn *conn, enum mf_outcome outcome, int status, const char *text)
{
    char bytes[ANSWER_ROOM];
    struct mf_query nothing = {.now = mf_local_now(conn->local)};
    mf_http1_note(http1_of(conn), &nothing);
    end(http1_of(conn), outcome, status, 0, 0);
    int n = snprintf(bytes, sizeof bytes,
                     "HTTP/1.1 %d %s\r\ncontent-type: text/plain\r\ncontent-length: %zu\r\n%sconnection: close\r\n\r\n%s\n",
                     status, reason(status), strlen(text) + 1,
                     outcome == MF_OUTCOME_BUSY ? "x-envoy-overloaded: true\r\n" : "", text);
    if (http1_of(conn)->bare)
        n -= (int)strlen(text) + 1;
    MF_COUNT(conn->local, http1_answers);
    int rc = mf_sock_write(&conn->sock, mf_slice_of(bytes, (size_t)n));
    mf_conn_close(conn, rc < 0 ? MF_CLOSE_NOW : MF_CLOSE_FLUSH, rc);
}

static void answer(struct mf_conn *conn, int status, const char *text)
{
    answer_as(conn, outcome_of(status), status, text);
}

static void answer_bad(struct mf_conn *conn, int rc)
{
    char text[TEXT_ROOM];
    snprintf(text, sizeof text, "meshfast: bad request: %s", mf_err_text(rc));
    MF_COUNT(conn->local, bad_connections);
    mf_conn_bad(conn, rc);
    answer(conn, 400, text);
}

static void answer_failed(struct mf_conn *conn, const struct mf_http1_head *head, int rc)
{
    char text[TEXT_ROOM];
    struct mf_slice host = head->host.len ? head->host : MF_SLICE("this request");
    int len = (int)(host.len < 128 ? host.len : 128);
    const char *name = (const char *)host.ptr;
    int status = rc == MF_EROUTE_SERVICE || rc == MF_EROUTE_RULE ? 404 : 503;
    if (rc == MF_EROUTE_BUSY) {
        answer_as(conn, MF_OUTCOME_BUSY, status,
                  "meshfast: busy: as many connections are open there as connectionPool.tcp.maxConnections allows");
        return;
    }
    if (rc == MF_EROUTE_SERVICE)
        snprintf(text, sizeof text, "meshfast: no route: %.*s is not in the mesh", len, name);
    else if (rc == MF_EROUTE_RULE)
        snprintf(text, sizeof text, "meshfast: no route: no rule of %.*s matches this request", len, name);
    else if (rc == MF_EROUTE_PEER || rc == MF_EROUTE_DOWN)
        snprintf(text, sizeof text, "meshfast: no%s instance of %.*s for this request",
                 rc == MF_EROUTE_DOWN ? " available" : "", len, name);
    else
        snprintf(text, sizeof text, "meshfast: %.*s cannot be reached: %s", len, name, mf_err_text(rc));
    if (rc == -ENOMEM)
        MF_COUNT(conn->local, out_of_memory);
    answer(conn, status, text);
}

/* --- its other half */

static struct mf_traffic *traffic_of(const struct mf_http1 *http1)
{
    return &http1->relay.conn.local->traffic[http1->inlet->options->direction];
}

/* A request that waits for its peer is as good as a call in flight: no drain ends over it. */
static void set_waiting(struct mf_http1 *http1, bool waiting)
{
    struct mf_traffic *traffic = traffic_of(http1);
    if (http1->waiting == waiting)
        return;
    http1->waiting = waiting;
    mf_store_relaxed(&traffic->last, mf_local_now(http1->relay.conn.local));
    /* Release: what a drain reads once it is down is of after it. */
    mf_store_release(&traffic->active, mf_load_relaxed(&traffic->active) + (waiting ? 1 : UINT64_MAX));
}

static void let_go(struct mf_http1 *http1)
{
    if (http1->peer)
        mf_peer_give(http1->relay.conn.local->table, http1->peer);
    http1->peer = NULL;
}

/* It rests as after one failure, unless that was for something of this machine or our end, or it rests already. */
static void failed(struct mf_http1 *http1, int rc)
{
    const struct mf_local *local = http1->relay.conn.local;
    uint64_t now = mf_local_now(local);
    http1->failed = rc;
    if (http1->peer && rc != MF_ECLOSED && !mf_sock_local_error(rc) && mf_peer_available(http1->peer, now))
        mf_peer_set_down(http1->peer, mf_health_rest(now, local->limits));
}

static void count_bytes(struct mf_http1 *http1)
{
    http1->relay.own = &http1->stat->bytes_up;
    ((struct mf_relay *)(void *)http1->relay.other)->own = &http1->stat->bytes_down;
}

static void join(struct mf_conn *conn)
{
    struct mf_http1 *http1 = http1_of(conn);
    set_waiting(http1, false);
    mf_relay_join(conn);
    http1->relay.on_ended = on_ended;
    if (http1->stat) {
        mf_count(&http1->stat->relayed, 1);
        count_bytes(http1);
    }
    MF_COUNT(conn->local, http1_connections);
}

static void drop_head(struct mf_http1 *http1)
{
    mf_free(http1->head);
    http1->head = NULL;
}

/* Its other half gets the head as the rule has it, and then what is behind the one that came. */
static size_t send_head(struct mf_conn *conn, struct mf_slice view)
{
    struct mf_http1 *http1 = http1_of(conn);
    struct mf_conn *other = http1->relay.other;
    size_t len = http1->seen;
    if (!other) /* gone by now: so are we, in a moment */
        return view.len;
    int rc = mf_sock_write(&other->sock, mf_slice_of(http1->head, http1->head_len));
    drop_head(http1);
    http1->changes = false;
    join(conn);
    if (rc < 0)
        mf_conn_doom(conn, rc);
    return rc < 0 || len == view.len ? view.len : len + conn->ops->on_read(conn, mf_slice_of(view.ptr + len, view.len - len));
}

static void on_dialled(struct mf_conn *conn, int rc)
{
    struct mf_http1 *http1 = http1_of(conn);
    if (rc == 0) {
        http1->changes = http1->head != NULL;
        if (!http1->changes)
            join(conn);
    } else {
        MF_COUNT(conn->local, upstream_connect_failed);
        failed(http1, rc);
    }
    let_go(http1);
    mf_conn_resume(conn, MF_PAUSE_PEER); /* shows the head again, to its new role or for another peer */
}

/* 0: it waits for its other half. */
static int dial(struct mf_http1 *http1, const struct mf_http1_aim *aim)
{
    struct mf_conn *conn = &http1->relay.conn;
    http1->tries++;
    http1->peer = aim->peer;
    if (http1->note)
        http1->note->record.peer = aim->addr;
    int rc = mf_relay_dial(conn, http1->inlet, &aim->addr, &conn->local->counters.http1_bytes, on_dialled);
    if (rc < 0) {
        failed(http1, rc);
        http1->peer = NULL;
        return rc;
    }
    if (http1->peer)
        mf_peer_take(http1->peer);
    set_waiting(http1, true);
    mf_conn_pause(conn, MF_PAUSE_PEER);
    return 0;
}

static bool another_may(const struct mf_http1 *http1, const struct mf_http1_aim *aim)
{
    return aim->peer && !mf_sock_local_error(http1->failed) &&
           http1->tries < http1->relay.conn.local->limits->max_tries;
}

/* --- what its rule does with it */

static void answer_by_rule(struct mf_conn *conn, struct mf_reply *reply, struct mf_stat *stat)
{
    struct mf_http1 *http1 = http1_of(conn);
    uint8_t *bytes;
    size_t len;
    set_stat(http1, stat, false);
    end(http1, MF_OUTCOME_RULE, reply->statuses.http, 0, 0);
    MF_COUNT(conn->local, http1_answers);
    int rc = mf_http1_change_reply(reply, http1->bare, &bytes, &len);
    if (rc == 0) {
        rc = mf_sock_write(&conn->sock, mf_slice_of(bytes, len));
        mf_free(bytes);
    }
    mf_conn_close(conn, rc < 0 ? MF_CLOSE_NOW : MF_CLOSE_FLUSH, rc);
}

/* Until when it is put off; 0: it is not. */
static void set_due(struct mf_http1 *http1, uint64_t due)
{
    struct mf_local *local = http1->relay.conn.local;
    local->n_delayed += (due != 0) - (http1->due != 0);
    http1->due = due;
}

/* True: it waits, or is answered. */
static bool met(struct mf_http1 *http1, const struct mf_http1_head *head, const struct mf_http1_aim *aim)
{
    struct mf_conn *conn = &http1->relay.conn;
    struct mf_local *local = conn->local;
    struct mf_http_view view = {head->method, head->scheme.len ? head->scheme : MF_SLICE("http"), head->authority,
                                head->path, head->query};
    struct mf_reply reply;
    uint8_t *place = NULL;
    int rc = 0;
    if (mf_fault_draw(&http1->fault, local, aim->actions) && mf_fault_room(http1->inlet->calls)) {
        MF_COUNT(local, calls_delayed);
        set_stat(http1, aim->stat, aim->fallback);
        set_due(http1, mf_local_now(local) + (uint64_t)aim->actions->faults->delay_ms * 1000000);
        set_waiting(http1, true);
        mf_conn_wait(conn, http1->due);
        return true;
    }
    if (http1->fault.aborts && aim->actions->faults) {
        reply = mf_fault_abort(aim->actions);
        MF_COUNT(local, calls_aborted);
    } else if (!mf_fault_reply(aim->actions, &view, &reply, &place, &rc)) {
        return false;
    } else {
        mf_count(aim->actions->direct ? &local->counters.calls_direct : &local->counters.calls_redirected, 1);
        reply.change = aim->change ? &aim->change->response : NULL;
    }
    if (rc < 0)
        answer_failed(conn, head, rc);
    else
        answer_by_rule(conn, &reply, aim->stat);
    mf_free(place);
    return true;
}

/* What goes to its other half: the head as it came, or another. False: it has been answered. */
static bool prepare(struct mf_http1 *http1, const struct mf_http1_head *head, const struct mf_http1_aim *aim)
{
    struct mf_conn *conn = &http1->relay.conn;
    drop_head(http1);
    if (!aim->change)
        return true;
    int rc = mf_http1_change_head(head, aim->change, &http1->head, &http1->head_len);
    bool lost = rc == MF_ECHANGE || aim->change->response.n_levels; /* answers are not read */
    if (rc == -ENOMEM) {
        answer_failed(conn, head, rc);
        return false;
    }
    if (rc < 0 && rc != MF_ECHANGE) {
        MF_COUNT(conn->local, changes_refused);
        answer_bad(conn, rc);
        return false;
    }
    mf_count(lost ? &conn->local->counters.changes_lost : &conn->local->counters.calls_changed, 1);
    return true;
}

/* Dials where this request goes; after a failure, where it goes now. */
static void go(struct mf_http1 *http1, const struct mf_http1_head *head)
{
    struct mf_conn *conn = &http1->relay.conn;
    struct mf_http1_aim aim = {0};
    struct mf_query nothing = {.now = mf_local_now(conn->local)};
    int rc = mf_http1_choose(conn, head, &aim);
    mf_http1_note(http1, &nothing);
    if (aim.actions && met(http1, head, &aim))
        return;
    while (rc == 0) {
        set_stat(http1, aim.stat, aim.fallback);
        if (!prepare(http1, head, &aim))
            return;
        if (http1->tries && !another_may(http1, &aim)) {
            rc = http1->failed;
            break;
        }
        if (!enter_guard(http1, aim.guard)) {
            rc = MF_EROUTE_BUSY;
            break;
        }
        if (dial(http1, &aim) == 0)
            return;
        rc = mf_http1_choose(conn, head, &aim);
    }
    set_stat(http1, aim.stat, false);
    answer_failed(conn, head, rc);
}

/* --- its caller */

/* 0: the head is whole and read. MF_EMORE. Else it was answered. */
static int read_head(struct mf_conn *conn, struct mf_slice view, struct mf_http1_head *head)
{
    struct mf_http1 *http1 = http1_of(conn);
    uint64_t most = conn->local->limits->http_head;
    int rc = http1->whole ? 0 : mf_http1_head_end(view, &http1->seen);
    if (http1->seen > most) {
        MF_COUNT(conn->local, limit_http_head);
        answer(conn, 431, "meshfast: the request line and fields are longer than httpHead");
        return MF_ELIMIT;
    }
    if (rc == MF_EMORE) {
        mf_conn_expect(conn, 0);
        return rc;
    }
    mf_conn_whole(conn);
    http1->whole = rc == 0;
    if (rc == 0)
        rc = mf_http1_head_read(mf_slice_of(view.ptr, http1->seen), head);
    if (rc < 0)
        answer_bad(conn, rc);
    return rc;
}

static bool is_head(struct mf_slice view)
{
    return view.len >= 5 && memcmp(view.ptr, "HEAD ", 5) == 0;
}

/* Nothing is taken: its other half gets it all. The application beside us judges its requests itself. */
static size_t on_read(struct mf_conn *conn, struct mf_slice view)
{
    struct mf_http1_head head = {0};
    if (http1_of(conn)->due) {
        if (view.len >= http1_of(conn)->seen + AHEAD)
            mf_conn_pause(conn, MF_PAUSE_PEER);
        return 0;
    }
    if (http1_of(conn)->changes)
        return send_head(conn, view);
    bool read = http1_of(conn)->inlet->options->direction == MF_OUTBOUND;
    http1_of(conn)->bare = is_head(view);
    int rc = read ? read_head(conn, view, &head) : 0;
    if (rc == 0)
        go(http1_of(conn), &head);
    return conn->closed ? view.len : 0;
}

/* Who ends its side while a rule lets it wait has left, as far as can be told: there is nothing to ask it by. */
static void on_eof(struct mf_conn *conn)
{
    if (http1_of(conn)->due)
        answer_as(conn, MF_OUTCOME_CANCELLED, 503, "meshfast: the connection was ended while a fault's delay held its request");
    else
        mf_conn_close(conn, MF_CLOSE_NOW, 0);
}

static void on_lost(struct mf_conn *conn, int rc)
{
    set_waiting(http1_of(conn), false);
    set_due(http1_of(conn), 0);
    let_go(http1_of(conn));
    drop_head(http1_of(conn));
    leave_guard(http1_of(conn));
    if (http1_of(conn)->stat || http1_of(conn)->note) /* its caller has not waited for an answer */
        end(http1_of(conn), MF_OUTCOME_CANCELLED, 0, 0, 0);
    mf_relay_part(conn, rc);
}

/* A head that began has frameTimeout, and a dial connectTimeout. */
static void on_timer(struct mf_conn *conn, uint64_t now)
{
    struct mf_http1 *http1 = http1_of(conn);
    if (http1->due > now)
        mf_conn_wait(conn, http1->due);
    if (!http1->due || http1->due > now)
        return;
    set_due(http1, 0);
    set_waiting(http1, false);
    mf_conn_resume(conn, MF_PAUSE_PEER);
    mf_sock_show(&conn->sock); /* the head again */
}

static const struct mf_conn_ops ops = {
    .on_read = on_read,
    .on_eof = on_eof,
    .on_lost = on_lost,
    .on_timer = on_timer,
};

void mf_http1_start(struct mf_conn *conn, const struct mf_inlet *inlet)
{
    struct mf_http1 *http1 = http1_of(conn);
    conn->ops = &ops;
    http1->relay.other = NULL;
    http1->relay.on_dialled = NULL;
    http1->inlet = inlet;
    http1->peer = NULL;
    http1->seen = 0;
    http1->tries = 0;
    http1->failed = 0;
    http1->stat = NULL;
    http1->note = NULL;
    http1->begun = mf_local_now(conn->local);
    http1->whole = http1->bare = http1->waiting = http1->changes = false;
    http1->due = 0;
    http1->fault = (struct mf_fault_state){0};
    http1->head = NULL;
}

void mf_http1_refuse(struct mf_conn *conn, const struct mf_inlet *inlet, struct mf_slice view)
{
    mf_http1_start(conn, inlet);
    http1_of(conn)->bare = is_head(view);
    MF_COUNT(conn->local, bad_connections);
    mf_conn_bad(conn, MF_EH2_PREFACE);
    answer(conn, 505, "meshfast: this listener takes HTTP/2 with prior knowledge alone, and no upgrade to it");
}
