#include "protocol/h2_down.h"

#include "base/err.h"
#include "call/govern.h"
#include "protocol/h2_ask.h"
#include "protocol/h2_change.h"
#include "protocol/h2_code.h"
#include "protocol/h2_due.h"
#include "protocol/h2_frozen.h"
#include "protocol/h2_held.h"
#include "protocol/h2_reply.h"

#include <errno.h>
#include <stdio.h>

struct stream {
    struct mf_h2_stream h2; /* first */
    struct mf_call *call;   /* NULL: it has been answered, up to what still waits to be read */
    uint32_t owed;          /* bytes that are not credited */
    bool whole;             /* the request ended with its head */
    bool no_content;        /* it is HEAD */
    bool ended;             /* all of the request has come */
    bool served;            /* all of a provider's answer has been put */
    bool answering;         /* the head of the answer has been put */
    bool draining;          /* answered, and its reader has yet to take that: counts as under way */
    struct mf_h2_reply reply; /* what is left of a rule's answer */
    struct mf_h2_held held; /* content of the request that has to be sent yet, or again; last */
};

static struct mf_h2_down *down_of(struct mf_h2_conn *h2)
{
    return (struct mf_h2_down *)(void *)h2;
}

static struct mf_h2_down *caller_down(struct mf_caller *caller)
{
    return MF_CONTAINER(caller, struct mf_h2_down, caller);
}

static struct stream *stream_of(struct mf_h2_stream *h2)
{
    return (struct stream *)(void *)h2;
}

/* --- the end of a stream, as far as it is ours */

/* The call needs no more of the stream; what is put still goes. */
static void part(struct stream *stream)
{
    mf_h2_held_let_go(&stream->held, stream->call);
    stream->call->at_caller = NULL;
    stream->call = NULL;
}

/* The end of the answer has been put. A caller that is still asking is told that nobody listens, once it has all. Not where
 * the stream may be gone. */
static void settle(struct stream *stream)
{
    struct mf_h2_down *down = down_of(stream->h2.conn);
    if (stream->h2.queued || stream->reply.actions) {
        if (!stream->draining)
            mf_count(&down->caller.traffic->active, 1);
        stream->draining = true;
    } else if (!stream->ended) {
        mf_h2_stream_reset(&stream->h2, MF_H2_NO_ERROR);
    }
}

static void replied(struct stream *stream, enum mf_h2_reply_state state)
{
    if (state != MF_H2_REPLY_OVER)
        settle(stream);
}

/* What its caller is told in place of a provider's answer, as far as it has none of that yet. */
static void put_local(struct stream *stream, uint8_t kind, const struct mf_fault *fault)
{
    /* A sidecar that calls come in from is told so; an application would only pass it on. */
    const struct mf_inlet *inlet = down_of(stream->h2.conn)->source.inlet;
    bool nobody = inlet->options->direction == MF_INBOUND &&
                  strncmp(fault->text, MF_OUTCOME_NOBODY, strlen(MF_OUTCOME_NOBODY)) == 0;
    struct mf_h2_told told = {kind, stream->no_content, stream->ended, nobody ? MF_H2_NOBODY : NULL};
    replied(stream, mf_h2_reply_put(&stream->h2, fault, &told, &stream->reply));
}

/* --- requests */

/* Content of one caller that is kept to be sent again is no more than h2ConnectionWindow, less where much waits for its
 * providers: that is here twice then, and more of it may come. */
static void keep_less(struct mf_h2_conn *h2, struct stream *stream)
{
    const struct mf_local *local = h2->conn.local;
    const struct mf_caller *caller = stream->call->caller;
    if (caller->kept + 4 * mf_h2_conn_held(h2) <= local->limits->h2_connection_window || stream->held.len == 0)
        return;
    if (mf_govern_keeps(stream->call) &&
        caller->kept <= local->limits->h2_connection_window + local->limits->retry_body)
        return;
    MF_COUNT(down_of(h2)->source.share->local, limit_h2_kept);
    mf_h2_held_let_go(&stream->held, stream->call);
}

static void more(struct mf_call *call, uint8_t parts, struct mf_slice data, struct mf_sock *source, const void *head)
{
    struct mf_message message = {.parts = parts, .data = data, .source = source, .head = head};
    mf_call_step(call, MF_CALL_ON_MORE, &(struct mf_call_input){.message = &message});
}

static void on_head(struct mf_h2_stream *h2, const struct mf_h2_head_in *head)
{
    struct stream *stream = stream_of(h2);
    struct mf_h2_down *down = down_of(h2->conn);
    struct mf_h2_share *share = down->source.share;
    stream->ended = head->ended;
    if (head->kind == MF_H2_TRAILERS) {
        if (!stream->call)
            return;
        bool sent = stream->call->state == MF_CALL_SENT;
        if (mf_h2_held_trailers(&stream->held, stream->call, head, !sent) < 0)
            mf_conn_unwritten(&h2->conn->conn);
        else if (sent)
            more(stream->call, MF_PART_TRAILERS | MF_PART_END, mf_slice_of(NULL, 0), NULL, head);
        return;
    }
    int rc = MF_ELIMIT;
    down->caller.rash = mf_h2_conn_rash(h2->conn);
    down->caller.odd |= down->caller.rash;
    struct mf_call *call = mf_call_begin(share->calls, &down->caller, h2->id, MF_H2_READS_HTTP, true, &rc);
    stream->no_content = mf_slice_eq(head->request.method, MF_SLICE("HEAD"));
    if (!call) {
        mf_count(rc == MF_ELIMIT ? &share->local->counters.limit_max_calls : &share->local->counters.out_of_memory, 1);
        struct mf_fault fault = {MF_OUTCOME_OVERLOAD, "meshfast: too many calls in flight"};
        uint8_t kind = mf_h2_request_kind(head);
        mf_dispatch_turn_away(down->source.inlet, &h2->conn->conn, h2->id, true, &fault, mf_h2_reply_stat(kind, &fault),
                              mf_h2_reply_status(kind, &fault));
        put_local(stream, kind, &fault);
        return;
    }
    stream->call = call;
    stream->whole = head->ended;
    call->at_caller = stream;
    call->at_callee = NULL;
    call->asking = !head->ended;
    mf_h2_request_in(&down->source, call, head);
}

static void on_data(struct mf_h2_stream *h2, struct mf_slice data, bool ended)
{
    struct stream *stream = stream_of(h2);
    struct mf_call *call = stream->call;
    stream->ended = ended;
    if (!call) {
        mf_h2_stream_credit(h2, data.len, MF_H2_PART_LEAST);
        return;
    }
    stream->owed += (uint32_t)data.len;
    bool sent = call->state == MF_CALL_SENT;
    if (mf_h2_held_add(&stream->held, call, data, !sent) < 0) {
        mf_conn_unwritten(&h2->conn->conn);
        return;
    }
    if (sent)
        keep_less(h2->conn, stream);
    if (sent && (data.len || ended))
        more(call, MF_PART_DATA | (ended ? MF_PART_END : 0), data, &h2->conn->conn.sock, NULL);
}

/* What came before there was a callee, or is sent again. */
static void asked(struct mf_caller *caller, struct mf_call *call)
{
    (void)caller;
    struct stream *stream = call->at_caller;
    if (stream->whole)
        return;
    struct mf_h2_held *held = &stream->held;
    bool end = stream->ended && !held->trailers;
    if (held->len || end)
        more(call, MF_PART_DATA | (end ? MF_PART_END : 0), mf_h2_held_data(held), NULL, NULL);
    if (call->at_caller != stream) /* giving windows back may end a connection, and all calls of it */
        return;
    if (!held->trailers)
        keep_less(stream->h2.conn, stream);
    if (stream->ended && held->trailers) {
        const struct mf_h2_frozen *frozen = mf_h2_frozen_of(held->trailers);
        struct mf_h2_head_in head = {.fields = frozen->fields, .marks = frozen->marks, .n = frozen->n};
        more(call, MF_PART_TRAILERS | MF_PART_END, mf_slice_of(NULL, 0), NULL, &head);
    }
}

static void took(struct mf_caller *caller, struct mf_call *call, size_t len, size_t room)
{
    (void)caller;
    struct stream *stream = call->at_caller;
    len = len < stream->owed ? len : stream->owed; /* what is sent again was credited before */
    stream->owed -= (uint32_t)len;
    mf_h2_stream_credit(&stream->h2, len, room);
}

/* --- answers */

/* So much of the answer has gone out. */
static void ask_more(struct stream *stream, struct mf_call *call, size_t len)
{
    size_t due = call->callee->ops->took(call->callee, call, len, mf_h2_due_offer(&stream->h2));
    if (call->at_caller == stream) /* else that has ended the callee's connection, and the call */
        mf_h2_due_set(&stream->h2, due);
}

static void on_sent(struct mf_h2_stream *h2, size_t len)
{
    struct stream *stream = stream_of(h2);
    struct mf_call *call = stream->call;
    if (call && call->callee)
        ask_more(stream, call, len);
    else if (stream->reply.actions)
        replied(stream, mf_h2_reply_more(h2, stream->ended, &stream->reply));
    else if (!call && !stream->ended && h2->queued == 0)
        mf_h2_stream_reset(h2, MF_H2_NO_ERROR);
}

static const struct mf_fault too_long = {
    MF_OUTCOME_TOO_LONG, "meshfast: the answer has more header fields than the caller's MAX_HEADER_LIST_SIZE allows"};

/* Fields as their receiver counts them (RFC 9113 6.5.2). */
static bool fits(const struct mf_h2_conn *h2, const struct mf_h2_head_in *head)
{
    if (h2->peer.header_list == UINT32_MAX)
        return true;
    uint64_t size = 0;
    for (uint32_t i = 0; i < head->n; i++)
        size += head->fields[i].key.len + head->fields[i].value.len + MF_HPACK_OVERHEAD;
    return size <= h2->peer.header_list;
}

/* Where it is kept what such fields were when they were put on this connection last. NULL: they are not known. */
static struct mf_h2_again *put_before(struct mf_h2_down *down, const struct mf_h2_head_in *head)
{
    const struct mf_h2_numbered *numbered = head->recalled && head->note ? *head->note : NULL;
    if (!numbered)
        return NULL;
    for (int i = 0; i < MF_H2_ANSWERS; i++)
        if (down->answers[i].number == numbered->number)
            return &down->answers[i].again;
    uint32_t i = down->next_answer++ % MF_H2_ANSWERS;
    mf_h2_stream_forget(&down->answers[i].again);
    down->answers[i].number = numbered->number;
    return &down->answers[i].again;
}

static bool says_nobody(const struct mf_h2_head_in *head)
{
    for (uint32_t i = 0; i < head->n; i++)
        if (head->marks[i].name == MF_H2_NAME_OTHER && mf_slice_eq(head->fields[i].key, MF_SLICE(MF_H2_NOBODY)))
            return true;
    return false;
}

/* What only a sidecar may say: an application has passed it on. */
static struct mf_h2_head_in without_nobody(const struct mf_h2_share *share, const struct mf_h2_head_in *head)
{
    struct mf_h2_head_in own = *head;
    own.fields = share->fields;
    own.marks = share->marks;
    own.n = 0;
    for (uint32_t i = 0; i < head->n; i++) {
        if (mf_slice_eq(head->fields[i].key, MF_SLICE(MF_H2_NOBODY)))
            continue;
        share->fields[own.n] = head->fields[i];
        share->marks[own.n++] = head->marks[i];
    }
    return own;
}

static void put_fields(struct stream *stream, const struct mf_message *message)
{
    struct mf_h2_stream *h2 = &stream->h2;
    const struct mf_h2_head_in *head = message->head;
    bool end = message->parts & MF_PART_END, gone = stream->ended && h2->queued == 0;
    struct mf_h2_again *again = put_before(down_of(h2->conn), head);
    struct mf_h2_head_in own;
    if (end && down_of(h2->conn)->source.inlet->options->direction == MF_INBOUND && says_nobody(head)) {
        own = without_nobody(down_of(h2->conn)->source.share, head);
        head = &own;
        again = NULL;
    }
    if (head->kind == MF_H2_RESPONSE) {
        stream->answering = true;
        mf_h2_held_let_go(&stream->held, stream->call);
    }
    if (end)
        part(stream);
    int rc = message->parts & MF_PART_TRAILERS
                 ? mf_h2_stream_trailers(h2, head->fields, head->marks, head->n, again)
                 : mf_h2_stream_head(h2, head->fields, head->marks, head->n, end, again);
    if (rc == 0 && end && !gone)
        settle(stream);
}

static void put_data(struct stream *stream, struct mf_call *call, const struct mf_message *message)
{
    bool end = message->parts & MF_PART_END, ended = stream->ended;
    size_t waits = stream->h2.queued + message->data.len;
    if (end)
        part(stream);
    long put = mf_h2_stream_data(&stream->h2, message->data, message->source, end);
    if (put < 0)
        return;
    if (!end && call->at_caller == stream)
        ask_more(stream, call, (size_t)put);
    else if (!end)
        return; /* what went of others' has ended the connection */
    else if (!ended || (size_t)put < waits)
        settle(stream);
}

/* An interim answer to who reads nothing of what it was sent: that can be done without. */
static bool spared(const struct mf_h2_conn *h2, const struct mf_h2_head_in *head)
{
    struct mf_local *local = h2->conn.local;
    if (head->kind != MF_H2_INTERIM || mf_sock_pending(&h2->conn.sock) <= local->limits->output_high)
        return false;
    MF_COUNT(local, limit_output_high);
    return true;
}

static const struct mf_fault *deliver(struct mf_caller *caller, struct mf_call *call, const struct mf_message *message)
{
    struct mf_h2_conn *h2 = &caller_down(caller)->h2;
    struct stream *stream = call->at_caller;
    if (!mf_conn_open(&h2->conn)) { /* about to be lost; but the call is over now */
        if (message->parts & MF_PART_END)
            part(stream);
        return NULL;
    }
    if (message->parts & MF_PART_CUT) {
        /* Who was refused may ask again: never where that is not known. And half an answer is none, whatever is said. */
        bool ends = message->code == MF_H2_REFUSED_STREAM || message->code == MF_H2_NO_ERROR;
        uint32_t code = ends ? MF_H2_INTERNAL_ERROR : message->code;
        part(stream);
        mf_h2_stream_reset(&stream->h2, code);
    } else if (message->parts & MF_PART_DATA) {
        stream->served = message->parts & MF_PART_END;
        put_data(stream, call, message);
    } else if (fits(h2, message->head)) {
        stream->served = message->parts & MF_PART_END;
        if (!spared(h2, message->head))
            put_fields(stream, message);
    } else if (((const struct mf_h2_head_in *)message->head)->kind != MF_H2_INTERIM) { /* that can be done without */
        MF_COUNT(h2->conn.local, limit_peer_header_list);
        return &too_long;
    }
    return NULL;
}

static void answer(struct mf_caller *caller, struct mf_call *call, const struct mf_fault *fault)
{
    struct stream *stream = call->at_caller;
    (void)caller;
    if (!stream) /* what it was told is told */
        return;
    part(stream);
    if (!mf_conn_open(&stream->h2.conn->conn))
        return;
    if (stream->answering) {
        mf_h2_stream_reset(&stream->h2, mf_h2_code_reset(fault->outcome));
        return;
    }
    if (call->beside & MF_BESIDE_NOTE)
        mf_call_note(call)->record.http = mf_h2_reply_status(call->kind, fault);
    put_local(stream, call->kind, fault);
}

static void route_again(struct mf_call *call, struct mf_queue *waited, bool back)
{
    struct stream *stream = call->at_caller;
    call->asking = !stream->whole;
    mf_h2_request_again(&caller_down(call->caller)->source, call, waited, back);
}

static void idle(struct mf_caller *caller)
{
    (void)caller;
}

static uint8_t stat_of(const struct mf_call *call, const struct mf_fault *fault)
{
    return mf_h2_reply_stat(call->kind, fault);
}

/* The same where a rule changes the fields of the answer. */
static const struct mf_fault *deliver_changed(struct mf_caller *caller, struct mf_call *call, const struct mf_message *message)
{
    const struct mf_change *change = mf_govern_change(call);
    const struct mf_h2_head_in *head = message->parts & MF_PART_HEAD ? message->head : NULL;
    if (!change || !head || head->kind != MF_H2_RESPONSE || !mf_conn_open(&caller_down(caller)->h2.conn))
        return deliver(caller, call, message);
    struct mf_h2_list list = {head->fields, head->marks, head->n};
    mf_h2_change_answer(caller_down(caller)->source.share, &change->response, &list);
    struct mf_h2_head_in changed = *head;
    changed.fields = list.fields;
    changed.marks = list.marks;
    changed.n = list.n;
    changed.recalled = false;
    struct mf_message other = *message;
    other.head = &changed;
    return deliver(caller, call, &other);
}

#define OPS(how, reads, changed)                                                                                       \
    {                                                                                                                  \
        .deliver = how, .answer = answer, .route_again = route_again, .idle = idle, .asked = asked, .took = took,      \
        .stats = mf_h2_code_##reads##_stats, .stat_of = stat_of, .changing = changed,                                  \
    }

static const struct mf_caller_ops http_changing_ops = OPS(deliver_changed, http, NULL);
static const struct mf_caller_ops grpc_changing_ops = OPS(deliver_changed, grpc, NULL);
static const struct mf_caller_ops http_ops = OPS(deliver, http, &http_changing_ops);
static const struct mf_caller_ops grpc_ops = OPS(deliver, grpc, &grpc_changing_ops);

/* --- the connection */

static void on_end(struct mf_h2_stream *h2, const struct mf_h2_end *end)
{
    struct stream *stream = stream_of(h2);
    struct mf_call *call = stream->call;
    struct mf_traffic *traffic = down_of(h2->conn)->caller.traffic;
    mf_h2_reply_drop(&stream->reply);
    if (call) {
        part(stream);
        mf_call_step(call, MF_CALL_ON_DOWN_LOST, &(struct mf_call_input){0});
    }
    if (end->why == MF_H2_WHOLE && stream->served) /* what was answered here cost its caller nothing */
        mf_h2_conn_make_up(h2->conn);
    if (stream->draining) { /* as call.c does it */
        mf_store_relaxed(&traffic->last, mf_local_now(h2->conn->conn.local));
        mf_store_release(&traffic->active, mf_load_relaxed(&traffic->active) - 1);
    }
}

static void on_lost(struct mf_h2_conn *h2, int rc)
{
    struct mf_h2_down *down = down_of(h2);
    mf_conn_count_gone(&h2->conn, rc);
    mf_caller_gone(&down->caller);
    mf_inlet_let_go(&down->source.own);
    for (int i = 0; i < MF_H2_ANSWERS; i++)
        mf_h2_stream_forget(&down->answers[i].again);
}

static void on_forget(struct mf_h2_conn *h2, void *note)
{
    (void)h2;
    mf_h2_request_forget(note);
}

static void on_timer(struct mf_h2_conn *h2, uint64_t now)
{
    uint64_t idle = h2->conn.local->limits->idle_timeout * 1000000, due = h2->conn.sock.last_read + idle;
    if (h2->n_streams > 0 || now < due || h2->leaving) {
        mf_conn_wait(&h2->conn, now < due ? due : now + idle);
        return;
    }
    if (!down_of(h2)->parting)
        MF_COUNT(h2->conn.local, limit_idle_timeout);
    mf_h2_conn_goaway(h2, down_of(h2)->parting); /* who does not answer the first step is not waited for twice */
    down_of(h2)->parting = true;
    if (mf_conn_open(&h2->conn))
        mf_conn_wait(&h2->conn, now + idle);
}

/* What an application beside us says of Dubbo2 says nothing of this; a sidecar that stops does. */
static void on_readonly(struct mf_h2_conn *h2, bool readonly)
{
    if (readonly && down_of(h2)->source.inlet->draining)
        mf_h2_conn_goaway(h2, false);
}

static const struct mf_h2_ops h2_ops = {
    .stream_size = sizeof(struct stream),
    .stream_zeroed = offsetof(struct stream, held.few),
    .on_head = on_head,
    .on_data = on_data,
    .on_sent = on_sent,
    .on_end = on_end,
    .on_lost = on_lost,
    .on_forget = on_forget,
    .on_timer = on_timer,
    .on_readonly = on_readonly,
};

static void own_readonly(struct mf_watcher *watcher, bool readonly)
{
    (void)watcher;
    (void)readonly;
}

void mf_h2_down_start(struct mf_conn *conn, struct mf_h2_share *share, struct mf_inlet *inlet)
{
    struct mf_h2_down *down = (struct mf_h2_down *)(void *)conn;
    memset((char *)down + sizeof down->h2.conn, 0, sizeof *down - sizeof down->h2.conn);
    mf_caller_init(&down->caller, &http_ops, inlet, &inlet->local->traffic[inlet->options->direction]);
    down->source = (struct mf_h2_source){
        .share = share,
        .inlet = inlet,
        .conn = conn,
        .ops = {[MF_H2_READS_HTTP] = &http_ops, [MF_H2_READS_GRPC] = &grpc_ops},
    };
    mf_inlet_own_init(&down->source.own, own_readonly, conn);
    mf_h2_conn_begin(&down->h2, &h2_ops, share, true);
    mf_conn_keepalive(conn); /* its calls may take as long as they like, but not when nobody is there for their answers */
    mf_conn_wait(conn, mf_local_now(conn->local) + conn->local->limits->idle_timeout * 1000000);
    if (inlet->draining)
        mf_h2_conn_goaway(&down->h2, false);
}
