#include "protocol/dubbo_down.h"

#include "base/err.h"
#include "call/govern.h"
#include "protocol/dubbo_code.h"
#include "protocol/dubbo_frame.h"

#include <errno.h>

#define GONE_NS UINT64_C(100000000)

static struct mf_dubbo_down *down_of(struct mf_conn *conn)
{
    return (struct mf_dubbo_down *)(void *)conn;
}

static struct mf_dubbo_down *caller_down(struct mf_caller *caller)
{
    return MF_CONTAINER(caller, struct mf_dubbo_down, caller);
}

/* --- requests */

/* One that no call is begun for. */
static void turn_away(struct mf_dubbo_down *down, const struct mf_dubbo_head *head, const struct mf_fault *fault)
{
    mf_dubbo_frame_refuse(&down->conn, head, fault);
    if ((head->flags & MF_DUBBO_REQUEST) && !(head->flags & MF_DUBBO_EVENT))
        mf_dispatch_turn_away(down->source.inlet, &down->conn, head->id, head->flags & MF_DUBBO_TWO_WAY, fault,
                              mf_dubbo_code_stats[fault->outcome], 0);
}

/* No more is read; answers that are due still go out. */
static void end_input(struct mf_dubbo_down *down)
{
    down->discard = MF_DUBBO_DEAF;
    down->caller.ending = true;
    if (down->caller.n_calls == 0)
        mf_conn_doom(&down->conn, 0);
}

static void request_in(struct mf_dubbo_down *down, const struct mf_dubbo_head *head, struct mf_slice body)
{
    struct mf_dubbo_share *share = down->source.share;
    struct mf_local *local = share->local;
    int rc = MF_ELIMIT;
    struct mf_call *call = NULL;
    uint8_t serialization = head->serialization & (MF_SERIALIZATIONS - 1);
    if (down->caller.n_calls >= local->limits->max_calls_per_connection)
        MF_COUNT(local, limit_max_calls_per_connection);
    else if (!(call = mf_call_begin(share->calls, &down->caller, head->id, serialization, head->flags & MF_DUBBO_TWO_WAY, &rc)))
        mf_count(rc == MF_ELIMIT ? &local->counters.limit_max_calls : &local->counters.out_of_memory, 1);
    if (!call) {
        struct mf_fault fault = {MF_OUTCOME_OVERLOAD, "meshfast: too many calls in flight"};
        turn_away(down, head, &fault);
        return;
    }
    mf_count(&share->serializations[serialization].calls, 1);
    mf_dubbo_request_in(&down->source, call, head, body);
}

static void on_frame(struct mf_conn *conn, const struct mf_dubbo_head *head, struct mf_slice body)
{
    if (!(head->flags & MF_DUBBO_REQUEST)) {
        if (!(head->flags & MF_DUBBO_EVENT)) /* we asked nothing of a caller */
            MF_COUNT(conn->local, answers_late);
        return;
    }
    if (!(head->flags & MF_DUBBO_EVENT))
        request_in(down_of(conn), head, body);
    else if (head->flags & MF_DUBBO_TWO_WAY)
        mf_dubbo_frame_echo(conn, head, body);
}

static void on_too_long(struct mf_conn *conn, const struct mf_dubbo_head *head)
{
    struct mf_fault fault = {MF_OUTCOME_TOO_LONG,
                             "meshfast: the request is over maxBody; raise limits.maxBody or send less"};
    turn_away(down_of(conn), head, &fault);
    if (head->body_len > INT32_MAX) /* negative: there is no telling where the next frame starts */
        end_input(down_of(conn));
    else
        down_of(conn)->discard = head->body_len;
}

static const struct mf_fault no_room = {
    MF_OUTCOME_OVERLOAD, "meshfast: overload: there is no memory for this; see limits.maxMemory"};

static bool on_no_room(struct mf_conn *conn, const struct mf_dubbo_head *head)
{
    mf_dubbo_frame_refuse(conn, head, &no_room);
    return true;
}

static void on_garbage(struct mf_conn *conn)
{
    mf_conn_bad(conn, MF_EDUBBO_MAGIC);
    end_input(down_of(conn));
}

static size_t on_read(struct mf_conn *conn, struct mf_slice view)
{
    static const struct mf_dubbo_frame_ops frames = {on_frame, on_too_long, on_garbage, on_no_room};
    return mf_dubbo_frame_read(conn, view, &down_of(conn)->discard, NULL, &frames);
}

/* By what it was told last: who is gone as a whole answers with a reset, which the next write finds. */
static void ask_whether_gone(struct mf_dubbo_down *down)
{
    mf_dubbo_frame_readonly(&down->conn, down->told_readonly);
}

static void on_eof(struct mf_conn *conn)
{
    struct mf_dubbo_down *down = down_of(conn);
    end_input(down);
    if (down->caller.n_calls == 0)
        return;
    down->ended = true;
    ask_whether_gone(down);
    mf_conn_wait(conn, mf_local_now(conn->local) + GONE_NS);
}

static void on_lost(struct mf_conn *conn, int rc)
{
    (void)rc;
    struct mf_dubbo_down *down = down_of(conn);
    mf_caller_gone(&down->caller);
    mf_inlet_let_go(&down->source.own);
}

static void on_timer(struct mf_conn *conn, uint64_t now)
{
    uint64_t idle = conn->local->limits->idle_timeout * 1000000;
    uint64_t due = conn->sock.last_read + idle;
    if (down_of(conn)->ended) {
        down_of(conn)->ended = false; /* twice is enough */
        ask_whether_gone(down_of(conn));
    }
    /* What is paused may have sent what we do not read. */
    if (down_of(conn)->caller.n_calls > 0 || (conn->pauses & (MF_PAUSE_PEER | MF_PAUSE_PASS))) {
        mf_conn_wait(conn, now + idle);
        return;
    }
    if (now < due) {
        mf_conn_wait(conn, due);
        return;
    }
    MF_COUNT(conn->local, limit_idle_timeout);
    mf_conn_close(conn, MF_CLOSE_FLUSH, 0);
}

/* What holds now, unless it was told so. One that does not read is told when it has read what is due to it. */
static void tell(struct mf_conn *conn)
{
    struct mf_dubbo_down *down = down_of(conn);
    bool readonly = down->source.inlet->readonly || down->own_gone;
    if (readonly == down->told_readonly || mf_sock_full(&conn->sock) || !mf_conn_open(conn))
        return;
    down->told_readonly = readonly;
    mf_dubbo_frame_readonly(conn, readonly);
}

static void on_readonly(struct mf_conn *conn, bool readonly)
{
    (void)readonly; /* the inlet's state */
    tell(conn);
}

/* Who was told to go elsewhere finds who comes next there. */
static int on_pass(const struct mf_conn *conn, struct mf_passed *out)
{
    const struct mf_dubbo_down *down = (const struct mf_dubbo_down *)(const void *)conn;
    if (down->told_readonly || down->caller.ending)
        return MF_ECLOSED;
    out->dubbo = true;
    out->discard = down->discard;
    return down->caller.n_calls == 0;
}

static void nothing_ready(struct mf_conn *conn)
{
    (void)conn;
}

static const struct mf_conn_ops conn_ops = {
    .on_read = on_read,
    .on_eof = on_eof,
    .on_ready = nothing_ready,
    .on_lost = on_lost,
    .on_timer = on_timer,
    .on_readonly = on_readonly,
    .on_pass = on_pass,
    .on_room = tell,
};

/* --- answers */

static void count_answer(struct mf_dubbo_down *down, const struct mf_call *call, const struct mf_message *message)
{
    struct mf_serialization_counters *by_id = &down->source.share->serializations[call->kind];
    mf_count(&by_id->answers, 1);
    mf_count(&by_id->bytes_down, message->data.len);
    mf_count(&by_id->latency_sum_ns, call->took);
    mf_count(message->outcome == MF_OUTCOME_OK ? &by_id->ok : &by_id->errors, 1);
}

/* For what it asks, where memory is short. Short answers are not worth it before it has a great part of all, or nothing else
 * has helped. */
static bool reads_too_slowly(const struct mf_conn *conn, size_t len)
{
    return mf_budget_over(conn->local) &&
           (len >= MF_DUBBO_HOLD_FROM || mf_sock_pending(&conn->sock) > conn->local->limits->max_memory / 16 ||
            mf_budget_late(conn->local));
}

static const struct mf_fault too_far_behind = {
    MF_OUTCOME_OVERLOAD, "meshfast: overload: too many answers wait for their caller; see limits.outputMax"};

/* Why such an answer is not queued behind those that wait. One alone always is, and one that is no longer than what would
 * be said instead. */
static __attribute__((noinline)) const struct mf_fault *too_much(const struct mf_conn *conn, size_t len)
{
    struct mf_local *local = conn->local;
    if (mf_sock_full(&conn->sock) && reads_too_slowly(conn, len)) {
        MF_COUNT(local, limit_max_memory);
        return &no_room;
    }
    size_t waits = mf_sock_pending(&conn->sock);
    if (!waits || len <= MF_DUBBO_ERROR_ROOM || waits + len <= local->limits->output_max)
        return NULL;
    MF_COUNT(local, limit_output_max);
    return &too_far_behind;
}

static const struct mf_fault *deliver(struct mf_caller *caller, struct mf_call *call, const struct mf_message *message)
{
    struct mf_dubbo_down *down = caller_down(caller);
    struct mf_conn *conn = &down->conn;
    struct mf_slice body = message->data;
    count_answer(down, call, message);
    if (!mf_conn_open(conn))
        return NULL;
    if (mf_sock_full(&conn->sock) || body.len >= MF_DUBBO_HOLD_FROM) {
        const struct mf_fault *fault = too_much(conn, body.len);
        if (fault)
            return fault;
    }
    struct mf_dubbo_head head = *(const struct mf_dubbo_head *)message->head;
    head.id = call->caller_id;
    int rc = -ENOMEM;
    if (body.len < MF_DUBBO_HOLD_FROM) {
        uint8_t *to = mf_sock_reserve(&conn->sock, MF_DUBBO_HEAD_LEN + body.len);
        if (to) {
            mf_dubbo_put_head(to, &head);
            if (body.len)
                memcpy(to + MF_DUBBO_HEAD_LEN, body.ptr, body.len);
            mf_sock_commit(&conn->sock, MF_DUBBO_HEAD_LEN + body.len);
            rc = 0;
        }
    } else {
        uint8_t bytes[MF_DUBBO_HEAD_LEN];
        const uint8_t *at;
        struct mf_block *block = mf_sock_hold(message->source, body, &at);
        mf_dubbo_put_head(bytes, &head);
        if (block)
            rc = mf_dubbo_frame_held(conn, bytes, block, &(struct mf_slice){at, body.len}, 1);
        mf_block_give(block);
    }
    if (rc < 0) { /* its caller would wait for an answer that cannot come */
        mf_conn_unwritten(conn);
        return NULL;
    }
    mf_conn_check_output(conn);
    return NULL;
}

static void answer(struct mf_caller *caller, struct mf_call *call, const struct mf_fault *fault)
{
    struct mf_conn *conn = &caller_down(caller)->conn;
    struct mf_dubbo_head head = {
        .id = call->caller_id,
        .flags = MF_DUBBO_REQUEST | MF_DUBBO_TWO_WAY,
        .serialization = call->kind,
    };
    if (mf_conn_open(conn))
        mf_dubbo_frame_refuse(conn, &head, fault);
}

static void route_again(struct mf_call *call, struct mf_queue *waited, bool back)
{
    struct mf_dialer *dialer =
        waited ? MF_CONTAINER(waited, struct mf_lane, queue)->pool->dialer : mf_governed_of(call)->dialer;
    mf_dubbo_request_again((struct mf_dubbo_share *)(void *)dialer, call, back ? waited : NULL);
}

static void idle(struct mf_caller *caller)
{
    mf_conn_doom(&caller_down(caller)->conn, 0);
}

static uint8_t stat_of(const struct mf_call *call, const struct mf_fault *fault)
{
    (void)call;
    return (uint8_t)mf_stat_status_index(mf_reply_of(fault)->statuses.dubbo);
}

static const struct mf_caller_ops caller_ops = {
    .deliver = deliver,
    .answer = answer,
    .route_again = route_again,
    .idle = idle,
    .stats = mf_dubbo_code_stats,
    .stat_of = stat_of,
};

/* What the address that it dialled says of new calls, it says to this caller. */
static void own_readonly(struct mf_watcher *watcher, bool readonly)
{
    struct mf_dubbo_down *down = down_of(watcher->arg);
    if (down->source.inlet->options->direction != MF_INBOUND)
        return;
    down->own_gone = readonly;
    tell(&down->conn);
}

void mf_dubbo_down_start(struct mf_conn *conn, struct mf_dubbo_share *share, struct mf_inlet *inlet)
{
    struct mf_dubbo_down *down = down_of(conn);
    mf_caller_init(&down->caller, &caller_ops, inlet, &inlet->local->traffic[inlet->options->direction]);
    down->source = (struct mf_dubbo_source){.share = share, .inlet = inlet, .conn = conn};
    mf_inlet_own_init(&down->source.own, own_readonly, conn);
    down->discard = 0;
    down->told_readonly = down->own_gone = down->ended = false;
    conn->ops = &conn_ops;
    tell(conn);
}

void mf_dubbo_down_adopt(struct mf_conn *conn, struct mf_dubbo_share *share, struct mf_inlet *inlet, uint64_t discard)
{
    mf_dubbo_down_start(conn, share, inlet);
    down_of(conn)->discard = discard;
    on_timer(conn, mf_local_now(conn->local));
}
