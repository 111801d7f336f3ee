#include "proxy/dubbo_conn.h"

#include "proxy/call.h"
#include "proxy/dubbo_call.h"
#include "proxy/pool.h"
#include "proxy/worker.h"

#include <errno.h>

/* How long a live peer may take to answer a heartbeat that is sent because it is in doubt. */
#define PROBE_NS UINT64_C(1000000000)

static bool reading(const struct mf_conn *conn)
{
    return !conn->pauses && !conn->doomed && !conn->closed;
}

static void expect_rest(struct mf_conn *conn, uint64_t body_len)
{
    if (conn->frame_by)
        return;
    conn->frame_by = mf_worker_now(conn->worker) + mf_policy_frame_wait(body_len, conn->worker->limits);
    mf_conn_wait(conn, conn->frame_by);
}

struct side {
    void (*on_frame)(struct mf_conn *conn, const struct mf_dubbo_head *head, struct mf_slice body);
    void (*on_too_long)(struct mf_conn *conn, const struct mf_dubbo_head *head);
    void (*on_garbage)(struct mf_conn *conn);
};

/* Cuts `view` into frames; what is returned is a whole number of them, or the bytes of one being thrown away. */
static size_t read_frames(struct mf_conn *conn, struct mf_slice view, const struct side *side)
{
    size_t at = 0;
    uint64_t missing = 0;
    while (at < view.len && reading(conn)) {
        struct mf_slice rest = mf_slice_of(view.ptr + at, view.len - at);
        if (conn->discard) {
            size_t n = conn->discard < rest.len ? (size_t)conn->discard : rest.len;
            conn->discard -= n;
            at += n;
            continue;
        }
        struct mf_dubbo_head head;
        int rc = mf_dubbo_parse_head(rest, (uint32_t)conn->worker->limits->max_body, &head);
        if (rc == MF_EMORE)
            break;
        if (rc == MF_EDUBBO_SIZE) {
            MF_COUNT(conn->worker, limit_max_body);
            MF_COUNT(conn->worker, bad_frames);
            side->on_too_long(conn, &head);
            at += MF_DUBBO_HEAD_LEN;
            continue;
        }
        if (rc < 0) {
            MF_COUNT(conn->worker, bad_connections);
            side->on_garbage(conn);
            return view.len;
        }
        size_t len = (size_t)MF_DUBBO_HEAD_LEN + head.body_len;
        if (rest.len < len) {
            missing = len - rest.len;
            mf_sock_want(&conn->sock, len);
            break;
        }
        at += len;
        conn->frame_by = 0;
        /* The call of the next answer is on its way while this one is handled. */
        if (conn->up && rest.len >= len + MF_DUBBO_HEAD_LEN)
            mf_calls_fetch(&conn->worker->calls, mf_get64(rest.ptr + len + 4));
        side->on_frame(conn, &head, mf_slice_of(rest.ptr + MF_DUBBO_HEAD_LEN, head.body_len));
    }
    if (conn->closed)
        return view.len;
    if (conn->discard && conn->discard != UINT64_MAX)
        expect_rest(conn, conn->discard);
    else if (at < view.len && reading(conn))
        expect_rest(conn, missing);
    else
        conn->frame_by = 0;
    return at;
}

/* --- events, either side */

/* The answer is the request's own body: right for every serialization without knowing it. */
static void echo(struct mf_conn *conn, const struct mf_dubbo_head *head, struct mf_slice body)
{
    struct mf_dubbo_head answer = {
        .id = head->id,
        .body_len = head->body_len,
        .flags = (uint8_t)(MF_DUBBO_EVENT | head->serialization),
        .status = MF_DUBBO_OK,
        .serialization = head->serialization,
    };
    uint8_t *to = mf_sock_reserve(&conn->sock, MF_DUBBO_HEAD_LEN + body.len);
    if (!to) {
        mf_conn_unwritten(conn);
        return;
    }
    mf_dubbo_put_head(to, &answer);
    if (body.len)
        memcpy(to + MF_DUBBO_HEAD_LEN, body.ptr, body.len);
    mf_sock_commit(&conn->sock, MF_DUBBO_HEAD_LEN + body.len);
    MF_COUNT(conn->worker, heartbeats_in);
    mf_conn_check_output(conn);
}

static void put_event(struct mf_conn *conn, const uint8_t *event, size_t len)
{
    if (conn->closed || conn->doomed)
        return;
    if (mf_sock_write(&conn->sock, mf_slice_of(event, len)) < 0)
        mf_conn_unwritten(conn);
}

void mf_dubbo_tell_readonly(struct mf_conn *down, bool readonly)
{
    if (down->ops != &mf_dubbo_down_ops)
        return;
    uint8_t event[MF_DUBBO_EVENT_ROOM];
    size_t len = readonly ? mf_dubbo_put_readonly(event) : mf_dubbo_put_writeable(event);
    put_event(down, event, len);
    if (readonly)
        MF_COUNT(down->worker, readonly_out);
}

/* --- the caller's side */

/* No more is read; answers that are due still go out. */
static void end_input(struct mf_conn *down)
{
    down->discard = UINT64_MAX;
    down->ending = true;
    if (down->n_calls == 0)
        mf_conn_doom(down, 0);
}

static void down_frame(struct mf_conn *down, const struct mf_dubbo_head *head, struct mf_slice body)
{
    if (!(head->flags & MF_DUBBO_REQUEST)) {
        if (!(head->flags & MF_DUBBO_EVENT)) /* we asked nothing of a caller */
            MF_COUNT(down->worker, answers_late);
        return;
    }
    if (!(head->flags & MF_DUBBO_EVENT))
        mf_dubbo_request_in(down, head, body);
    else if (head->flags & MF_DUBBO_TWO_WAY)
        echo(down, head, body);
}

static void down_too_long(struct mf_conn *down, const struct mf_dubbo_head *head)
{
    struct mf_fault fault = mf_fault_of(MF_EDUBBO_SIZE, MF_SIDE_DOWNSTREAM);
    fault.text = "meshfast: the request is over maxBody; raise limits.maxBody or send less";
    mf_dubbo_refuse(down, head, &fault);
    if (head->body_len > INT32_MAX) /* negative: there is no telling where the next frame starts */
        end_input(down);
    else
        down->discard = head->body_len;
}

static void down_garbage(struct mf_conn *down)
{
    mf_worker_report(down->worker, MF_EVENT_BAD_DOWNSTREAM, MF_EDUBBO_MAGIC, NULL);
    end_input(down);
}

static size_t down_read(struct mf_conn *down, struct mf_slice view)
{
    static const struct side side = {down_frame, down_too_long, down_garbage};
    return read_frames(down, view, &side);
}

static void down_eof(struct mf_conn *down)
{
    end_input(down);
}

static void down_lost(struct mf_conn *down, int rc)
{
    (void)rc;
    while (!mf_list_empty(&down->calls)) {
        struct mf_call *call = MF_CONTAINER(down->calls.next, struct mf_call, down_node);
        if (call->two_way)
            mf_call_step(call, MF_CALL_ON_DOWN_LOST, &(struct mf_call_input){0});
        else
            mf_call_detach(call);
    }
    if (down->pool)
        down->pool->users--;
    down->pool = NULL;
}

static void down_timer(struct mf_conn *down, uint64_t now)
{
    uint64_t idle = down->worker->limits->idle_timeout * 1000000;
    uint64_t due = down->sock.last_read + idle;
    if (down->n_calls > 0 || (down->pauses & MF_PAUSE_PEER)) { /* it may have sent what we do not read */
        mf_conn_wait(down, now + idle);
        return;
    }
    if (now < due) {
        mf_conn_wait(down, due);
        return;
    }
    MF_COUNT(down->worker, limit_idle_timeout);
    mf_conn_close(down, MF_CLOSE_FLUSH, 0);
}

static void nothing_ready(struct mf_conn *conn)
{
    (void)conn;
}

const struct mf_protocol_ops mf_dubbo_down_ops = {
    .on_read = down_read,
    .on_eof = down_eof,
    .on_ready = nothing_ready,
    .on_lost = down_lost,
    .on_timer = down_timer,
    .deliver = mf_dubbo_deliver,
    .answer = mf_dubbo_answer,
    .route_again = mf_dubbo_route_again,
};

/* --- the provider's side */

/* The call that this answer is for: it must have been sent on this very connection. */
static struct mf_call *asked(struct mf_conn *up, const struct mf_dubbo_head *head)
{
    struct mf_call *call = mf_calls_find(&up->worker->calls, head->id);
    if (call && call->state == MF_CALL_SENT && call->up == up)
        return call;
    MF_COUNT(up->worker, answers_late);
    return NULL;
}

static void up_event(struct mf_conn *up, const struct mf_dubbo_head *head, struct mf_slice body)
{
    if (!(head->flags & MF_DUBBO_REQUEST)) {
        up->heartbeat_at = 0;
        return;
    }
    switch (mf_dubbo_event_of(head->serialization, body)) {
    case MF_DUBBO_EVENT_READONLY:
        mf_pool_readonly(up->pool, up, true);
        return;
    case MF_DUBBO_EVENT_WRITEABLE:
        mf_pool_readonly(up->pool, up, false);
        return;
    default:
        if (head->flags & MF_DUBBO_TWO_WAY)
            echo(up, head, body);
    }
}

static void up_frame(struct mf_conn *up, const struct mf_dubbo_head *head, struct mf_slice body)
{
    mf_pool_alive(up->pool);
    if (head->flags & MF_DUBBO_EVENT) {
        up_event(up, head, body);
        return;
    }
    if (head->flags & MF_DUBBO_REQUEST) { /* a callback argument: its connection is shared by many callers */
        struct mf_fault fault = mf_fault_of(MF_EDUBBO_BODY, MF_SIDE_DOWNSTREAM);
        fault.text = "meshfast: callbacks do not pass a shared connection";
        mf_dubbo_refuse(up, head, &fault);
        return;
    }
    struct mf_call *call = asked(up, head);
    if (call)
        mf_call_step(call, MF_CALL_ON_ANSWER,
                     &(struct mf_call_input){.head = head, .body = body, .status = head->status});
}

static void up_too_long(struct mf_conn *up, const struct mf_dubbo_head *head)
{
    struct mf_fault fault = mf_fault_of(MF_EDUBBO_SIZE, MF_SIDE_UPSTREAM);
    fault.status = MF_DUBBO_BAD_RESPONSE;
    fault.text = "meshfast: the answer is over maxBody; raise limits.maxBody or answer less";
    struct mf_call *call = (head->flags & MF_DUBBO_REQUEST) ? NULL : asked(up, head);
    if (call)
        mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &fault});
    if (head->body_len > INT32_MAX)
        mf_conn_close(up, MF_CLOSE_NOW, MF_EDUBBO_SIZE);
    else
        up->discard = head->body_len;
}

static void up_garbage(struct mf_conn *up)
{
    mf_conn_close(up, MF_CLOSE_NOW, MF_EDUBBO_MAGIC);
}

static size_t up_read(struct mf_conn *up, struct mf_slice view)
{
    static const struct side side = {up_frame, up_too_long, up_garbage};
    return read_frames(up, view, &side);
}

static void up_eof(struct mf_conn *up)
{
    mf_conn_close(up, MF_CLOSE_NOW, -ECONNRESET);
}

static void beat(struct mf_conn *up, uint64_t now)
{
    uint8_t event[MF_DUBBO_EVENT_ROOM];
    put_event(up, event, mf_dubbo_put_heartbeat(event, up->worker->random >> 1));
    MF_COUNT(up->worker, heartbeats_out);
    up->heartbeat_at = now;
}

/* Where nothing at all was said since then, the peer is asked for a word. */
static void up_doubt(struct mf_conn *up, uint64_t since)
{
    uint64_t now = mf_worker_now(up->worker);
    if (!up->ready || up->probe_at || up->sock.last_read >= since)
        return;
    beat(up, now);
    up->probe_at = now;
    mf_conn_wait(up, now + PROBE_NS);
}

static void up_ready(struct mf_conn *up)
{
    uint64_t now = up->sock.last_read = mf_worker_now(up->worker);
    mf_conn_wait(up, now + up->worker->limits->heartbeat * 1000000);
    if (up->pool->failures) /* a slow call must not be what it is judged by */
        beat(up, now);
    mf_pool_connected(up->pool, up);
}

static void up_lost(struct mf_conn *up, int rc)
{
    mf_pool_lost(up->pool, up, rc);
}

static void up_timer(struct mf_conn *up, uint64_t now)
{
    const struct mf_limits *limits = up->worker->limits;
    uint64_t every = limits->heartbeat * 1000000, silent = now - up->sock.last_read;
    if (silent >= limits->heartbeat_timeout * 1000000 && up->heartbeat_at) {
        MF_COUNT(up->worker, limit_heartbeat_timeout);
        mf_conn_close(up, MF_CLOSE_NOW, -ETIMEDOUT);
        return;
    }
    if (up->probe_at && now - up->probe_at >= PROBE_NS) {
        if (up->sock.last_read < up->probe_at)
            mf_pool_silent(up->pool);
        up->probe_at = 0;
    } else if (up->probe_at) {
        mf_conn_wait(up, up->probe_at + PROBE_NS);
    }
    if (silent < every) {
        up->heartbeat_at = 0;
        mf_conn_wait(up, up->sock.last_read + every);
        return;
    }
    beat(up, now);
    mf_conn_wait(up, now + every);
}

const struct mf_protocol_ops mf_dubbo_up_ops = {
    .on_read = up_read,
    .on_eof = up_eof,
    .on_ready = up_ready,
    .on_lost = up_lost,
    .on_timer = up_timer,
    .send = mf_dubbo_send_queued,
    .doubt = up_doubt,
};
