#include "protocol/dubbo_up.h"

#include "base/err.h"
#include "call/govern.h"
#include "call/retry.h"
#include "protocol/dubbo_code.h"
#include "protocol/dubbo_frame.h"
#include "protocol/dubbo_request.h"

#include <errno.h>

/* How long a live peer may take to answer a heartbeat that is sent because it is in doubt. */
#define PROBE_NS UINT64_C(1000000000)
/* A connection this busy is worth another beside it, up to upstreamConnections. */
enum { BUSY_CALLS = 64 };

struct up {
    struct mf_conn conn; /* first */
    struct mf_link link;
    struct mf_dubbo_share *share;
    uint64_t discard;
    uint64_t heartbeat_at; /* when the last heartbeat was sent; 0: answered */
    uint64_t probe_at;     /* when one was sent because calls time out in silence; 0: no such doubt */
};

static struct up *up_of(struct mf_conn *conn)
{
    return (struct up *)(void *)conn;
}

/* --- what comes from it */

/* The call that this answer is for: it must have been sent on this very connection. */
static struct mf_call *asked(struct up *up, const struct mf_dubbo_head *head)
{
    struct mf_call *call = mf_calls_find(up->share->calls, head->id);
    if (call && call->state == MF_CALL_SENT && call->callee == &up->link.callee)
        return call;
    MF_COUNT(up->share->local, answers_late);
    return NULL;
}

static void event_in(struct up *up, const struct mf_dubbo_head *head, struct mf_slice body)
{
    if (!(head->flags & MF_DUBBO_REQUEST)) {
        up->heartbeat_at = 0;
        return;
    }
    switch (mf_dubbo_event_of(head->serialization, body)) {
    case MF_DUBBO_EVENT_READONLY:
        mf_pool_readonly(up->link.pool, &up->link, true);
        break;
    case MF_DUBBO_EVENT_WRITEABLE:
        mf_pool_readonly(up->link.pool, &up->link, false);
        break;
    default:
        break;
    }
    if (head->flags & MF_DUBBO_TWO_WAY)
        mf_dubbo_frame_echo(&up->conn, head, body);
}

/* A provider that stops says so in its answers: that is meant for us, and its caller would leave our address for it. */
static void stopping(struct up *up, const struct mf_call *call, const struct mf_dubbo_head *head, struct mf_slice body)
{
    enum { LEAST = 3, KINDS = 3 }; /* of answers with attachments, in one byte of either serialization */
    size_t at;
    if (!body.len || (uint8_t)((body.ptr[0] & 0x0f) - LEAST) >= KINDS)
        return;
    if (!mf_dubbo_closing(head->serialization, body, &up->share->limits, &at))
        return;
    memcpy((uint8_t *)(uintptr_t)body.ptr + at, MF_DUBBO_NOT_CLOSING, strlen(MF_DUBBO_NOT_CLOSING));
    if (call->marked) /* it may be no more than the caller's own word */
        return;
    MF_COUNT(up->share->local, answers_closing);
    if (!up->link.readonly)
        mf_pool_readonly(up->link.pool, &up->link, true);
}

/* True: nobody executed it, so the call goes on to another peer. */
static bool nobody(struct up *up, struct mf_call *call, const struct mf_dubbo_head *head, struct mf_slice body)
{
    if (head->status != MF_DUBBO_SERVER_ERROR ||
        !mf_dubbo_error_begins(head->serialization, body, MF_SLICE(MF_OUTCOME_NOBODY)))
        return false;
    mf_pool_nobody(up->link.pool, &up->link);
    mf_govern_judge(call, 503, false);
    if (!call->frame)
        return false;
    mf_call_step(call, MF_CALL_ON_RETRY, &(struct mf_call_input){.queue = &up->link.lane->queue});
    return true;
}

static void on_frame(struct mf_conn *conn, const struct mf_dubbo_head *head, struct mf_slice body)
{
    struct up *up = up_of(conn);
    if (!up->link.spoke || up->link.pool->health.failures)
        mf_pool_alive(up->link.pool, &up->link);
    if (head->flags & MF_DUBBO_EVENT) {
        event_in(up, head, body);
        return;
    }
    if (head->flags & MF_DUBBO_REQUEST) { /* a callback argument: its connection is shared by many callers */
        struct mf_fault fault = {MF_OUTCOME_BAD_REQUEST, "meshfast: callbacks do not pass a shared connection"};
        mf_dubbo_frame_refuse(conn, head, &fault);
        return;
    }
    struct mf_call *call = asked(up, head);
    if (!call)
        return;
    if (up->link.lane->trials)
        mf_pool_proved(&up->link, call);
    if (head->status == MF_DUBBO_OK) {
        up->link.doubted_until = 0; /* somebody is there */
        stopping(up, call, head, body);
    } else if (nobody(up, call, head, body)) {
        return;
    } else if (call->beside & MF_BESIDE_NOTE) {
        mf_call_note(call)->record.code = head->status;
    }
    struct mf_message message = {
        .parts = MF_PART_WHOLE,
        .outcome = (uint8_t)mf_dubbo_code_outcome(head->status),
        .stat = (uint8_t)mf_stat_status_index(head->status),
        .code = head->status,
        .head = head,
        .data = body,
        .source = &conn->sock,
    };
    mf_call_step(call, MF_CALL_ON_ANSWER, &(struct mf_call_input){.message = &message});
}

static void on_too_long(struct mf_conn *conn, const struct mf_dubbo_head *head)
{
    struct up *up = up_of(conn);
    struct mf_fault fault = {MF_OUTCOME_BAD_ANSWER,
                             "meshfast: the answer is over maxBody; raise limits.maxBody or answer less"};
    struct mf_call *call = (head->flags & MF_DUBBO_REQUEST) ? NULL : asked(up, head);
    if (call)
        mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &fault});
    if (head->body_len > INT32_MAX)
        mf_conn_close(conn, MF_CLOSE_NOW, MF_EDUBBO_SIZE);
    else
        up->discard = head->body_len;
}

/* Strangers' requests go first. */
static bool on_no_room(struct mf_conn *conn, const struct mf_dubbo_head *head)
{
    if (!mf_budget_late(conn->local))
        return false;
    struct mf_fault fault = {MF_OUTCOME_OVERLOAD,
                             "meshfast: overload: there is no memory for this answer; see limits.maxMemory"};
    struct mf_call *call = (head->flags & MF_DUBBO_REQUEST) ? NULL : asked(up_of(conn), head);
    if (call)
        mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &fault});
    return true;
}

static void on_garbage(struct mf_conn *conn)
{
    mf_conn_close(conn, MF_CLOSE_NOW, MF_EDUBBO_MAGIC);
}

static size_t on_read(struct mf_conn *conn, struct mf_slice view)
{
    static const struct mf_dubbo_frame_ops frames = {on_frame, on_too_long, on_garbage, on_no_room};
    return mf_dubbo_frame_read(conn, view, &up_of(conn)->discard, up_of(conn)->share->calls, &frames);
}

static void on_eof(struct mf_conn *conn)
{
    mf_conn_close(conn, MF_CLOSE_NOW, -ECONNRESET);
}

/* --- whether it is there */

static void beat(struct up *up, uint64_t now)
{
    mf_dubbo_frame_beat(&up->conn);
    up->heartbeat_at = now;
}

/* It has PROBE_NS to say something. */
static void ask(struct up *up, uint64_t now)
{
    beat(up, now);
    up->probe_at = now;
    mf_conn_wait(&up->conn, now + PROBE_NS);
}

/* Where nothing at all was said since then, the peer is asked for a word. */
static void doubt(struct mf_callee *callee, uint64_t since)
{
    struct up *up = MF_CONTAINER(callee, struct up, link.callee);
    uint64_t now = mf_local_now(up->share->local);
    if (up->conn.ready && !up->probe_at && up->conn.sock.last_read < since)
        ask(up, now);
}

static void on_ready(struct mf_conn *conn)
{
    struct up *up = up_of(conn);
    uint64_t now = conn->sock.last_read = mf_local_now(conn->local);
    mf_conn_wait(conn, now + conn->local->limits->heartbeat * 1000000);
    bool idle = mf_list_empty(&up->link.lane->queue.calls);
    if (mf_pool_connected(up->link.pool, &up->link))
        ask(up, now);
    else if (idle) /* a connection that no call waits for says nothing else */
        beat(up, now);
}

static void on_lost(struct mf_conn *conn, int rc)
{
    mf_pool_lost(up_of(conn)->link.pool, &up_of(conn)->link, rc);
}

static void on_timer(struct mf_conn *conn, uint64_t now)
{
    struct up *up = up_of(conn);
    const struct mf_limits *limits = conn->local->limits;
    uint64_t every = limits->heartbeat * 1000000, silent = now - conn->sock.last_read;
    if (silent >= limits->heartbeat_timeout * 1000000 && up->heartbeat_at) {
        MF_COUNT(conn->local, limit_heartbeat_timeout);
        mf_conn_close(conn, MF_CLOSE_NOW, -ETIMEDOUT);
        return;
    }
    if (up->probe_at && now - up->probe_at >= PROBE_NS) {
        if (up->link.unheard || conn->sock.last_read < up->probe_at)
            mf_pool_silent(up->link.pool, &up->link);
        up->probe_at = 0;
    } else if (up->probe_at) {
        mf_conn_wait(conn, up->probe_at + PROBE_NS);
    }
    if (silent < every) {
        up->heartbeat_at = 0;
        mf_conn_wait(conn, conn->sock.last_read + every);
        return;
    }
    beat(up, now);
    mf_conn_wait(conn, now + every);
}

static const struct mf_conn_ops conn_ops = {
    .on_read = on_read,
    .on_eof = on_eof,
    .on_ready = on_ready,
    .on_lost = on_lost,
    .on_timer = on_timer,
};

/* --- as the pool knows it */

static void became(const struct mf_call *call, const struct mf_message *message, struct mf_try *out)
{
    (void)call;
    out->kind = message ? MF_TRY_DUBBO : MF_TRY_RESET;
    out->dubbo = true;
    if (message)
        out->status = ((const struct mf_dubbo_head *)message->head)->status;
}

static const struct mf_callee_ops callee_ops = {.doubt = doubt, .became = became}; /* no more: a request is whole when it is sent */

static struct mf_link *dial(struct mf_dialer *dialer, struct mf_pool *pool, int *rc)
{
    struct mf_dubbo_share *share = (struct mf_dubbo_share *)(void *)dialer;
    struct mf_conn *conn = mf_conn_dial(share->local, &pool->addr, sizeof(struct up), &conn_ops, rc);
    if (!conn)
        return NULL;
    struct up *up = up_of(conn);
    up->share = share;
    up->link = (struct mf_link){.conn = conn, .pool = pool};
    mf_list_init(&up->link.node);
    mf_callee_init(&up->link.callee, &callee_ops);
    up->link.callee.addr = &pool->addr;
    return &up->link;
}

static uint32_t room(const struct mf_link *link)
{
    return link->callee.n_calls < BUSY_CALLS ? BUSY_CALLS - link->callee.n_calls : 0;
}

const struct mf_dialer_ops mf_dubbo_up_dialer = {.dial = dial, .send = mf_dubbo_request_queued, .room = room,
                                               .kinds = UINT32_C(1) << MF_DUBBO_HESSIAN2};
