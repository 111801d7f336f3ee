#include "protocol/h2_up.h"

#include "base/err.h"
#include "base/mem.h"
#include "call/govern.h"
#include "call/lane.h"
#include "call/retry.h"
#include "protocol/h2_ask.h"
#include "protocol/h2_blame.h"
#include "protocol/h2_code.h"
#include "protocol/h2_request.h"

#include <errno.h>

/* How long a live peer may take to answer a PING that is sent because it is in doubt, and then before it counts as gone. */
#define PROBE_NS UINT64_C(1000000000)
/* Servers that follow gRPC's defaults end connections of those who ask oftener in silence. */
#define PING_EVERY_NS UINT64_C(300000000000)
#define MS_NS UINT64_C(1000000)
/* How much sooner than ours a provider may count the same deadline, which goes on in whole milliseconds at the coarsest. */
#define SOONER_NS (5 * MS_NS)
enum { UNKNOWN_STATUS = 2 }; /* of gRPC */
enum { CALL_LEN = 4096 };
enum { PREFIX = 5 }; /* what a message of gRPC begins with */

static struct mf_h2_up *up_of(struct mf_h2_conn *h2)
{
    return (struct mf_h2_up *)(void *)h2;
}

static struct mf_h2_asked *stream_of(struct mf_h2_stream *h2)
{
    return (struct mf_h2_asked *)(void *)h2;
}

/* --- what is cut short */

/* Many such resets, and some providers end the connection: with all that others have there. */
static void count_cut(struct mf_h2_up *up)
{
    const struct mf_local *local = up->h2.conn.local;
    mf_lately_add(&up->cuts, mf_local_now(local), local->limits->h2_cuts);
}

static bool worn(struct mf_h2_up *up)
{
    struct mf_local *local = up->h2.conn.local;
    uint64_t most = local->limits->h2_cuts;
    return mf_lately_over(&up->cuts, mf_local_now(local), most, most);
}

/* Instead of the reset of a stream whose answer is whole and whose request is not: where no content was sent, and none was
 * announced, its end says nothing that is wrong. */
static bool may_end(const struct mf_h2_asked *stream)
{
    return !stream->fed && !stream->sized && worn(up_of(stream->h2.conn));
}

static void given_up(struct mf_callee *callee, struct mf_call *call)
{
    struct mf_h2_up *up = MF_CONTAINER(callee, struct mf_h2_up, link.callee);
    struct mf_local *local = up->h2.conn.local;
    struct mf_caller *caller = call->caller;
    uint64_t now = mf_local_now(local), most = local->limits->h2_cuts;
    mf_lately_add(&caller->cuts, now, most);
    if (!mf_lately_over(&caller->cuts, now, most, most))
        return;
    if (caller->suspected_by != up->link.pool)
        MF_COUNT(local, limit_h2_cuts);
    mf_lane_suspect(up->link.pool, caller, false);
}

/* --- what comes from it */

static struct mf_slice field(const struct mf_h2_head_in *head, enum mf_h2_name name)
{
    for (uint32_t i = 0; i < head->n; i++)
        if (head->marks[i].name == name)
            return head->fields[i].value;
    return mf_slice_of(NULL, 0);
}

/* What the whole answer is counted as; `last`: its last fields, or NULL. */
static void judge(const struct mf_h2_asked *stream, const struct mf_call *call, const struct mf_h2_head_in *last,
                  struct mf_message *message)
{
    if (call->kind == MF_H2_READS_HTTP) {
        message->outcome = (uint8_t)mf_h2_code_outcome_http(stream->status);
        message->stat = (uint8_t)mf_stat_http_index(stream->status);
        message->code = stream->status;
        return;
    }
    struct mf_slice text = last ? field(last, MF_H2_NAME_GRPC_STATUS) : mf_slice_of(NULL, 0);
    int status = mf_h2_code_grpc_of_answer(text, stream->status);
    message->outcome = (uint8_t)mf_h2_code_outcome_grpc(status);
    message->stat = (uint8_t)mf_stat_grpc_index(status);
    message->code = !text.len ? stream->status : status < 100 ? (uint32_t)status : UNKNOWN_STATUS;
    if (call->beside & MF_BESIDE_NOTE)
        mf_call_note(call)->record.code = (uint32_t)status;
}

static void pass(struct mf_h2_asked *stream, struct mf_message *message, bool ended, const struct mf_h2_head_in *last)
{
    struct mf_call *call = stream->call;
    message->source = &stream->h2.conn->conn.sock;
    if (!ended) {
        mf_call_step(call, MF_CALL_ON_PART, &(struct mf_call_input){.message = message});
        return;
    }
    message->parts |= MF_PART_END;
    judge(stream, call, last, message);
    stream->answered = true;
    struct mf_h2_up *up = up_of(stream->h2.conn);
    if (call->asking && call->caller && !may_end(stream)) /* see let_go() */
        given_up(&up->link.callee, call);
    if (up->link.lane->trials && !up->link.retired)
        mf_pool_proved(&up->link, call);
    mf_call_step(call, MF_CALL_ON_ANSWER, &(struct mf_call_input){.message = message});
}

/* Neither knows the other any more. */
static struct mf_call *part(struct mf_h2_asked *stream)
{
    struct mf_call *call = stream->call;
    stream->call = NULL;
    call->at_callee = NULL;
    return call;
}

static void retry(struct mf_h2_asked *stream, bool leaves)
{
    struct mf_queue *queue = &up_of(stream->h2.conn)->link.lane->queue;
    struct mf_call *call = part(stream);
    if (!leaves) /* who says that it stops has not failed */
        mf_govern_judge(call, 503, true);
    mf_call_step(call, MF_CALL_ON_RETRY, &(struct mf_call_input){.queue = queue});
}

/* A sidecar there says that nobody could execute it: so it goes to another peer. */
static bool nobody(struct mf_h2_asked *stream, const struct mf_h2_head_in *head)
{
    if (!head->ended || stream->call->answering || !stream->call->by_table)
        return false;
    bool said = false;
    for (uint32_t i = 0; i < head->n && !said; i++)
        said = mf_slice_eq(head->fields[i].key, MF_SLICE(MF_H2_NOBODY));
    if (!said)
        return false;
    struct mf_h2_up *up = up_of(stream->h2.conn);
    mf_pool_nobody(up->link.pool, &up->link);
    if (!stream->call->frame)
        return false;
    struct mf_h2_stream *h2 = &stream->h2;
    retry(stream, false);
    if (mf_conn_open(&up->h2.conn) && h2->state != MF_H2_ENDED)
        mf_h2_stream_reset(h2, MF_H2_NO_ERROR);
    return true;
}

/* Without memory it is encoded each time. */
static void number(struct mf_h2_share *share, void **note)
{
    struct mf_h2_numbered *numbered = mf_zalloc(sizeof *numbered);
    if (numbered)
        numbered->number = ++share->n_answers;
    *note = numbered;
}

static void on_head(struct mf_h2_stream *h2, const struct mf_h2_head_in *head)
{
    struct mf_h2_asked *stream = stream_of(h2);
    struct mf_h2_up *up = up_of(h2->conn);
    up->heard_at = mf_local_now(h2->conn->share->local);
    if (up->link.pool->health.failures)
        mf_pool_alive(up->link.pool, &up->link);
    if (!stream->call)
        return;
    if (head->kind == MF_H2_INTERIM && ++stream->interims > h2->conn->share->local->limits->h2_interims) {
        MF_COUNT(h2->conn->share->local, limit_h2_interims);
        struct mf_fault fault = {MF_OUTCOME_BAD_ANSWER, "meshfast: too many interim answers; see limits.h2Interims"};
        mf_call_step(stream->call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &fault});
        return;
    }
    if (head->recalled && head->note && !*head->note)
        number(h2->conn->share, head->note);
    struct mf_message message = {.parts = head->kind == MF_H2_TRAILERS ? MF_PART_TRAILERS : MF_PART_HEAD, .head = head};
    if (head->kind == MF_H2_RESPONSE) {
        stream->status = head->response.status;
        if (nobody(stream, head))
            return;
        if (stream->call->beside & MF_BESIDE_NOTE)
            mf_call_note(stream->call)->record.http = head->response.status;
    }
    pass(stream, &message, head->ended, head);
}

static void on_data(struct mf_h2_stream *h2, struct mf_slice data, bool ended)
{
    struct mf_h2_asked *stream = stream_of(h2);
    up_of(h2->conn)->heard_at = mf_local_now(h2->conn->share->local);
    if (!stream->call) {
        mf_h2_stream_credit(h2, data.len, MF_H2_PART_LEAST);
        return;
    }
    struct mf_message message = {.parts = MF_PART_DATA, .data = data};
    pass(stream, &message, ended, NULL);
}

static void on_sent(struct mf_h2_stream *h2, size_t len)
{
    struct mf_call *call = stream_of(h2)->call;
    if (call && call->caller)
        call->ops->took(call->caller, call, len, mf_h2_conn_share(h2->conn));
}

static void fetch(const struct mf_h2_stream *h2, bool next)
{
    const struct mf_call *call = ((const struct mf_h2_asked *)(const void *)h2)->call;
    if (!call)
        return;
    if (next)
        mf_fetch(call->at_caller, 2 * sizeof *h2);
    else
        mf_fetch(call, sizeof *call);
}

static void cut(struct mf_call *call, const struct mf_h2_end *end)
{
    struct mf_message message = {
        .parts = MF_PART_END | MF_PART_CUT,
        .outcome = MF_OUTCOME_REMOTE_ERROR,
        .code = end->code,
    };
    message.stat = (uint8_t)(call->kind != MF_H2_READS_HTTP ? mf_stat_grpc_index(mf_h2_code_grpc_of_reset(end->code))
                                                            : mf_stat_http_index(500));
    mf_call_step(call, MF_CALL_ON_ANSWER, &(struct mf_call_input){.message = &message});
}

/* A provider gave it up because its time is over, as we would have a moment later. */
static bool out_of_time(const struct mf_call *call, const struct mf_h2_end *end)
{
    return end->code == MF_H2_CANCEL && !call->answering && call->deadline &&
           mf_local_now(call->calls->local) + SOONER_NS >= call->deadline;
}

static void on_end(struct mf_h2_stream *h2, const struct mf_h2_end *end)
{
    struct mf_h2_asked *stream = stream_of(h2);
    if (!stream->call)
        return;
    bool untouched = end->untouched && !stream->call->answering;
    /* One that refuses a call in the middle of its content has at least read of it; who leaves has not. */
    bool whole = !stream->call->asking || !stream->fed || h2->conn->leaving;
    if (untouched && whole && stream->call->frame) {
        retry(stream, h2->conn->leaving);
        return;
    }
    struct mf_call *call = part(stream);
    struct mf_fault fault = {MF_OUTCOME_BAD_ANSWER, "meshfast: the provider's answer broke the rules of HTTP/2"};
    if (end->rc == -ETIMEDOUT)
        fault = (struct mf_fault){MF_OUTCOME_OVERLOAD,
                                  "meshfast: overload: the provider takes nothing of the request; see limits.stallTimeout"};
    if (untouched)
        fault = (struct mf_fault){MF_OUTCOME_NONE_UP, "meshfast: the provider did not take the call"};
    bool late = end->why == MF_H2_BY_PEER && !untouched && out_of_time(call, end);
    if (!late && !(untouched && h2->conn->leaving))
        mf_govern_judge(call, 503, true);
    if (late)
        mf_call_step(call, MF_CALL_ON_TIMEOUT, &(struct mf_call_input){0});
    else if (end->why == MF_H2_BY_PEER && !untouched)
        cut(call, end);
    else if (end->why == MF_H2_BY_PEER || end->why == MF_H2_BY_RULE)
        mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &fault});
    /* else its connection's end is the call's, with all others of it */
}

/* --- whether it is there */

static void ask(struct mf_h2_up *up)
{
    up->ping_at = up->probe_at = mf_local_now(up->h2.share->local);
    up->ping_in = up->h2.conn.sock.bytes_in;
    mf_h2_conn_ping(&up->h2);
    mf_conn_wait(&up->h2.conn, up->ping_at + PROBE_NS);
}

/* What it has sent for calls since the last one makes up for that. */
static bool may_ask(const struct mf_h2_up *up, uint64_t now)
{
    return !up->ping_at || up->heard_at > up->ping_at || now - up->ping_at >= PING_EVERY_NS;
}

/* Where nothing at all was said since then, the peer is asked for a word. */
static void doubt(struct mf_callee *callee, uint64_t since)
{
    struct mf_h2_up *up = MF_CONTAINER(callee, struct mf_h2_up, link.callee);
    bool quiet = up->h2.ready && !up->probe_at && up->h2.conn.sock.last_read < since && mf_conn_open(&up->h2.conn);
    if (quiet && may_ask(up, mf_local_now(up->h2.share->local)))
        ask(up);
}

static void on_forget(struct mf_h2_conn *h2, void *note)
{
    (void)h2;
    mf_free(note);
}

static void on_pong(struct mf_h2_conn *h2)
{
    struct mf_h2_up *up = up_of(h2);
    up->probe_at = 0;
    mf_pool_alive(up->link.pool, &up->link);
}

static void on_ready(struct mf_h2_conn *h2)
{
    struct mf_h2_up *up = up_of(h2);
    const struct mf_limits *limits = h2->share->local->limits;
    mf_conn_wait(&h2->conn, mf_local_now(h2->share->local) + limits->heartbeat * MS_NS);
    mf_conn_keepalive(&h2->conn); /* it is asked by PING only while calls wait */
    /* And not always then: what it was sent shows it, too, in the time that a PING would take. */
    (void)mf_sock_arrive_within(&h2->conn.sock, limits->heartbeat + limits->ping_timeout);
    (void)mf_pool_connected(up->link.pool, &up->link);
    mf_pool_alive(up->link.pool, &up->link); /* its settings are a word */
}

static void on_room(struct mf_h2_conn *h2)
{
    struct mf_h2_up *up = up_of(h2);
    mf_pool_room(up->link.pool, &up->link);
}

/* Its window is given back: who waited for that need not any more; where the streams that are there will take it, as many as
 * it is enough for. */
static void on_credit(struct mf_h2_conn *h2, uint32_t more)
{
    struct mf_h2_up *up = up_of(h2);
    uint32_t most = more / CALL_LEN + 1;
    if (!up->link.lane || !up->link.lane->waits)
        return;
    while ((mf_list_empty(&h2->_turns) ? !mf_h2_conn_low(h2) : most-- > 0) && mf_pool_credit(&up->link))
        ;
}

static void on_goaway(struct mf_h2_conn *h2, const struct mf_h2_goaway *goaway)
{
    (void)goaway;
    struct mf_h2_up *up = up_of(h2);
    mf_pool_retire(up->link.pool, &up->link);
}

static void on_lost(struct mf_h2_conn *h2, int rc)
{
    if (rc == -ETIMEDOUT && h2->conn.ready)
        MF_COUNT(h2->conn.local, limit_ping_timeout);
    mf_pool_lost(up_of(h2)->link.pool, &up_of(h2)->link, rc);
}

/* A word that was asked for and did not come. */
static bool silent(struct mf_h2_up *up, uint64_t now)
{
    struct mf_conn *conn = &up->h2.conn;
    if (!up->probe_at)
        return false;
    if (conn->sock.last_read >= up->probe_at && conn->sock.bytes_in > up->ping_in) { /* it says something, if not that */
        up->probe_at = 0;
        return false;
    }
    const struct mf_limits *limits = conn->local->limits;
    if (now - up->probe_at >= limits->ping_timeout * MS_NS) {
        mf_conn_close(conn, MF_CLOSE_NOW, -ETIMEDOUT);
        return true;
    }
    if (now - up->probe_at >= PROBE_NS && !up->link.retired) {
        /* Who comes new does not wait with the others: the peer may be there, and only this way to it is gone. */
        mf_pool_silent(up->link.pool, &up->link);
        mf_h2_conn_goaway(&up->h2, true);
        mf_pool_retire(up->link.pool, &up->link);
    }
    mf_conn_wait(conn, now - up->probe_at >= PROBE_NS ? up->probe_at + limits->ping_timeout * MS_NS : up->probe_at + PROBE_NS);
    return false;
}

static void on_timer(struct mf_h2_conn *h2, uint64_t now)
{
    struct mf_h2_up *up = up_of(h2);
    uint64_t every = h2->conn.local->limits->heartbeat * MS_NS, last = h2->conn.sock.last_read;
    if (!h2->ready || silent(up, now))
        return;
    bool due = now - last >= every && h2->n_streams > 0 && !up->probe_at;
    if (due && may_ask(up, now))
        ask(up);
    mf_conn_wait(&h2->conn, now - last < every ? last + every : now + every);
}

static const struct mf_h2_ops h2_ops = {
    .stream_size = sizeof(struct mf_h2_asked),
    .stream_zeroed = sizeof(struct mf_h2_asked),
    .on_head = on_head,
    .on_data = on_data,
    .on_sent = on_sent,
    .on_end = on_end,
    .fetch = fetch,
    .on_ready = on_ready,
    .on_room = on_room,
    .on_credit = on_credit,
    .on_goaway = on_goaway,
    .on_pong = on_pong,
    .on_lost = on_lost,
    .on_forget = on_forget,
    .on_timer = on_timer,
};

/* --- what goes to it */

/* How many bytes of `data` are the first message's: a byte that says whether it is compressed, its length in four (gRPC over
 * HTTP/2, Length-Prefixed-Message). */
static size_t of_first(struct mf_h2_asked *stream, struct mf_slice data)
{
    size_t at = 0;
    for (; stream->prefixed < PREFIX && at < data.len; at++)
        stream->first = stream->prefixed++ ? stream->first << 8 | data.ptr[at] : 0;
    if (stream->prefixed < PREFIX)
        return at;
    size_t left = data.len - at < stream->first ? data.len - at : stream->first;
    stream->first -= (uint32_t)left;
    return at + left;
}

/* Dubbo for Java reads what is behind the first message wrong, where a frame holds the end of that and only a part of the
 * next: so the first ends a frame. */
static long put_content(struct mf_h2_asked *stream, const struct mf_call *call, const struct mf_message *message, bool end)
{
    struct mf_slice data = message->data;
    stream->fed = stream->fed || data.len;
    bool over = call->kind == MF_H2_READS_HTTP || (stream->prefixed == PREFIX && stream->first == 0);
    size_t first = over ? 0 : of_first(stream, data);
    if (first == 0 || first == data.len) {
        long sent = mf_h2_stream_data(&stream->h2, data, message->source, end);
        if (!over && !end && sent >= 0 && call->at_callee == &stream->h2)
            mf_h2_stream_cut(&stream->h2);
        return sent;
    }
    long sent = mf_h2_stream_data(&stream->h2, mf_slice_of(data.ptr, first), message->source, false);
    if (sent < 0 || call->at_callee != &stream->h2)
        return sent;
    mf_h2_stream_cut(&stream->h2);
    long rest = mf_h2_stream_data(&stream->h2, mf_slice_of(data.ptr + first, data.len - first), message->source, end);
    return rest < 0 ? rest : sent + rest;
}

static void more(struct mf_callee *callee, struct mf_call *call, const struct mf_message *message)
{
    (void)callee;
    struct mf_h2_stream *h2 = call->at_callee;
    if (!h2) /* its connection is about to be lost */
        return;
    bool end = message->parts & MF_PART_END;
    if (message->parts & MF_PART_TRAILERS) {
        const struct mf_h2_head_in *head = message->head;
        (void)mf_h2_stream_trailers(h2, head->fields, head->marks, head->n, NULL);
        return;
    }
    struct mf_h2_conn *conn = h2->conn;
    long sent = put_content(stream_of(h2), call, message, end);
    if (sent > 0 && call->at_callee == h2) /* else what went of others' has ended its caller's connection */
        call->ops->took(call->caller, call, (size_t)sent, mf_h2_conn_share(conn));
}

/* Of the answer. */
static size_t took(struct mf_callee *callee, struct mf_call *call, size_t len, size_t room)
{
    (void)callee;
    return call->at_callee ? mf_h2_stream_credit(call->at_callee, len, room) : 0;
}

/* The answer is whole and the request is not: the stream's place is given back. */
static void let_go(struct mf_h2_asked *stream)
{
    struct mf_h2_stream *h2 = &stream->h2;
    if (mf_conn_open(&h2->conn->conn) && may_end(stream)) {
        (void)mf_h2_stream_data(h2, mf_slice_of(NULL, 0), NULL, true);
        return;
    }
    count_cut(up_of(h2->conn));
    mf_h2_stream_reset(h2, MF_H2_NO_ERROR);
}

static void left(struct mf_callee *callee, struct mf_call *call)
{
    (void)callee;
    struct mf_h2_stream *h2 = call->at_callee;
    if (!h2)
        return;
    struct mf_h2_asked *stream = stream_of(h2);
    part(stream);
    if (h2->state == MF_H2_ENDED)
        return;
    if (stream->answered) {
        let_go(stream);
        return;
    }
    count_cut(up_of(h2->conn));
    mf_h2_stream_reset(h2, MF_H2_CANCEL);
}

/* To try again is what it asks its callers not to do. */
static bool limits_rate(const struct mf_h2_head_in *head)
{
    for (uint32_t i = 0; i < head->n; i++)
        if (head->marks[i].name == MF_H2_NAME_OTHER && mf_slice_eq(head->fields[i].key, MF_SLICE("x-envoy-ratelimited")))
            return true;
    return false;
}

/* grpc-status counts where the answer is no more than its head: behind one its caller has a part of the answer. */
static void became(const struct mf_call *call, const struct mf_message *message, struct mf_try *out)
{
    out->kind = MF_TRY_RESET;
    if (message && (message->parts & MF_PART_CUT))
        out->kind = message->code == MF_H2_REFUSED_STREAM ? MF_TRY_REFUSED : MF_TRY_RESET;
    if (!message || !message->head)
        return;
    const struct mf_h2_head_in *head = message->head;
    out->kind = MF_TRY_HTTP;
    out->status = head->response.status;
    out->rate_limited = limits_rate(head);
    struct mf_slice text = field(head, MF_H2_NAME_GRPC_STATUS);
    if (head->ended && text.len && call->kind != MF_H2_READS_HTTP)
        out->grpc = mf_h2_code_grpc_of_answer(text, head->response.status);
}

static const struct mf_callee_ops callee_ops = {
    .more = more, .doubt = doubt, .took = took, .became = became, .left = left, .cut = given_up};

/* --- as the pool knows it */

static struct mf_link *dial(struct mf_dialer *dialer, struct mf_pool *pool, int *rc)
{
    struct mf_h2_share *share = (struct mf_h2_share *)(void *)dialer;
    static const struct mf_conn_ops none;
    struct mf_conn *conn = mf_conn_dial(share->local, &pool->addr, sizeof(struct mf_h2_up), &none, rc);
    if (!conn)
        return NULL;
    struct mf_h2_up *up = (struct mf_h2_up *)(void *)conn;
    up->link = (struct mf_link){.conn = conn, .pool = pool, .spends = true};
    mf_list_init(&up->link.node);
    mf_callee_init(&up->link.callee, &callee_ops);
    up->link.callee.addr = &pool->addr;
    mf_h2_conn_begin(&up->h2, &h2_ops, share, false);
    return &up->link;
}

static uint32_t room(const struct mf_link *link)
{
    return mf_h2_conn_room(&((struct mf_h2_up *)(void *)link->conn)->h2);
}

static bool takes(struct mf_link *link)
{
    return mf_h2_conn_takes(&((struct mf_h2_up *)(void *)link->conn)->h2);
}

static enum mf_link_spent spent(const struct mf_link *link, const struct mf_call *call)
{
    struct mf_h2_up *up = (struct mf_h2_up *)(void *)link->conn;
    if (worn(up))
        return MF_LINK_SPENT;
    enum mf_h2_window window = call->asking ? mf_h2_conn_window(&up->h2) : MF_H2_WINDOW_OPEN;
    return window == MF_H2_WINDOW_OPEN ? MF_LINK_FRESH : window == MF_H2_WINDOW_LOW ? MF_LINK_UNSURE : MF_LINK_SPENT;
}

const struct mf_dialer_ops mf_h2_up_dialer = {.dial = dial, .send = mf_h2_request_queued, .room = room, .takes = takes,
                                              .spent = spent, .blame = mf_h2_blame, .kinds = UINT32_MAX};
