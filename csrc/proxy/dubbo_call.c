#include "proxy/dubbo_call.h"

#include "proxy/pool.h"
#include "proxy/tcp_conn.h"
#include "proxy/worker.h"

#include <errno.h>
#include <stdio.h>

/* Bodies from here on are sent from where they arrived; below, a copy into the output costs less than a segment. */
enum { HOLD_FROM = 16384 };
enum { TAIL_ROOM = 16384, TEXT_ROOM = 256 }; /* the tail: MF_LABELS stamps whose name and value are 300 bytes each */

/* A request while it is being routed: borrowed from the caller's input, or from a queued call's frame. */
struct request {
    const struct mf_dubbo_head *head;
    struct mf_slice body;
    struct mf_conn *from;    /* whose input the body is in; NULL: `frame` */
    struct mf_block *frame;  /* a queued call's, with its reference; NULL when it came in just now */
    const struct mf_dubbo_request *said;
    bool readable;           /* `said` has the attachments too */
    uint32_t n_stamps;
    struct mf_pair stamps[MF_LABELS];
    struct mf_dubbo_request own; /* room for `said` where it is not remembered */
};

static void fail(struct mf_call *call, int rc, enum mf_side side, const char *text)
{
    struct mf_fault fault = mf_fault_of(rc, side);
    if (text)
        fault.text = text;
    if (rc == -ENOMEM)
        MF_COUNT(call->worker, out_of_memory);
    mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &fault});
}

/* --- writing */

/* What is sent: the head with our id, the body, and what is added to it. */
struct outgoing {
    struct mf_dubbo_head head;
    struct mf_slice plain;         /* the body as it came, where `stamped` is not set */
    bool is_stamped;
    struct mf_dubbo_stamped stamped;
    uint8_t tail[TAIL_ROOM];
};

static int compose(const struct request *request, uint64_t id, struct outgoing *out)
{
    out->plain = request->body;
    out->is_stamped = false;
    size_t len = out->plain.len;
    if (request->n_stamps) {
        int rc = mf_dubbo_stamp(request->head->serialization, request->body, request->said, request->stamps,
                                request->n_stamps, out->tail, sizeof out->tail, &out->stamped);
        if (rc < 0 && rc != MF_EDUBBO_STAMP) /* nowhere to put a label: it goes as it came */
            return rc;
        out->is_stamped = rc == 0;
        len = out->stamped.len;
    }
    out->head = *request->head;
    out->head.id = id;
    out->head.body_len = (uint32_t)len;
    return 0;
}

static size_t length(const struct outgoing *out)
{
    return MF_DUBBO_HEAD_LEN + (size_t)out->head.body_len;
}

static void copy_to(const struct outgoing *out, uint8_t *to)
{
    mf_dubbo_put_head(to, &out->head);
    to += MF_DUBBO_HEAD_LEN;
    if (out->is_stamped)
        mf_dubbo_stamped_copy(&out->stamped, to);
    else if (out->plain.len)
        memcpy(to, out->plain.ptr, out->plain.len);
}

/* All or nothing: half a frame would spoil the connection for every call on it, so it is given up then. */
static int send_held(struct mf_conn *to, const uint8_t *head, struct mf_block *block, const struct mf_slice *pieces,
                     size_t n_pieces)
{
    int rc = mf_sock_write(&to->sock, mf_slice_of(head, MF_DUBBO_HEAD_LEN));
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n_pieces && rc == 0; i++) {
        const uint8_t *at = pieces[i].ptr;
        bool held = at >= block->data && at < block->data + block->cap;
        rc = held ? mf_sock_write_block(&to->sock, block, pieces[i]) : mf_sock_write(&to->sock, pieces[i]);
    }
    if (rc < 0)
        mf_conn_doom(to, rc);
    return rc;
}

/* The same bytes where the block has them. */
static struct mf_slice moved(struct mf_slice piece, const uint8_t *from, const uint8_t *to)
{
    return mf_slice_of(piece.len ? to + (piece.ptr - from) : NULL, piece.len);
}

static int send_request(struct mf_conn *up, const struct request *request, const struct outgoing *out)
{
    if (out->head.body_len < HOLD_FROM) {
        uint8_t *to = mf_sock_reserve(&up->sock, length(out));
        if (!to)
            return -ENOMEM;
        copy_to(out, to);
        mf_sock_commit(&up->sock, length(out));
        return 0;
    }
    const uint8_t *from = request->body.ptr, *at = from;
    struct mf_block *block =
        request->frame ? mf_block_take(request->frame) : mf_sock_hold(&request->from->sock, request->body, &at);
    if (!block)
        return -ENOMEM;
    struct mf_slice pieces[] = {moved(out->plain, from, at), {0}, {0}, {0}, {0}};
    if (out->is_stamped) {
        const struct mf_dubbo_stamped *body = &out->stamped;
        pieces[0] = moved(body->front, from, at);
        pieces[1] = body->length;
        pieces[2] = moved(body->old, from, at);
        pieces[3] = body->added;
        pieces[4] = moved(body->behind, from, at);
    }
    uint8_t head[MF_DUBBO_HEAD_LEN];
    mf_dubbo_put_head(head, &out->head);
    int rc = send_held(up, head, block, pieces, sizeof pieces / sizeof *pieces);
    mf_block_give(block);
    return rc;
}

int mf_dubbo_send_queued(struct mf_conn *up, struct mf_call *call)
{
    return mf_sock_write_block(&up->sock, call->frame, mf_slice_of(call->frame->data, call->bytes_up));
}

/* --- to whom */

/* Puts a call on `pool`: sent, or queued while the connection is made. 0, or why not: then the call is unchanged. */
static int place(struct mf_call *call, struct mf_pool *pool, struct request *request)
{
    int rc;
    struct mf_conn *up = mf_pool_pick(pool, &rc);
    if (!up && rc < 0)
        return rc;
    struct outgoing out;
    rc = compose(request, call->id, &out);
    if (rc < 0)
        return rc;
    call->bytes_up = (uint32_t)length(&out);
    if (!up) {
        struct mf_block *frame = mf_block_new(length(&out), NULL);
        if (!frame)
            return -ENOMEM;
        copy_to(&out, frame->data);
        mf_call_step(call, MF_CALL_ON_WAIT, &(struct mf_call_input){.pool = pool, .frame = frame});
        if (call->down)
            mf_pool_check_queue(pool, call->down);
        return 0;
    }
    rc = send_request(up, request, &out);
    if (rc < 0)
        return rc;
    struct mf_conn *down = call->down;
    mf_call_step(call, call->two_way ? MF_CALL_ON_ASKED : MF_CALL_ON_SENT, &(struct mf_call_input){.up = up});
    if (down && mf_sock_full(&up->sock))
        mf_conn_pause_for(down, up);
    return 0;
}

static const char *why_not(int rc, const struct mf_query *query, char text[TEXT_ROOM])
{
    int len = (int)(query->service.len < 128 ? query->service.len : 128);
    const char *service = (const char *)query->service.ptr;
    switch (rc) {
    case MF_EROUTE_SERVICE:
        snprintf(text, TEXT_ROOM, "meshfast: no route: %.*s is not in the mesh", len, service);
        break;
    case MF_EROUTE_RULE:
        snprintf(text, TEXT_ROOM, "meshfast: no route: no rule of %.*s matches this request", len, service);
        break;
    case MF_EROUTE_PEER:
        snprintf(text, TEXT_ROOM, "meshfast: no instance of %.*s for this request", len, service);
        break;
    case MF_EROUTE_DOWN:
        snprintf(text, TEXT_ROOM, "meshfast: no available instance of %.*s for this request", len, service);
        break;
    default:
        return NULL;
    }
    return text;
}

/* Looks up and places, and looks up again where the peer cannot be reached: it is down by then, so another comes. */
static void route_by_table(struct mf_call *call, struct mf_query *query, struct request *request)
{
    struct mf_worker *worker = call->worker;
    char text[TEXT_ROOM];
    call->by_table = true;
    for (;;) {
        struct mf_route route;
        query->now = mf_worker_now(worker);
        query->random = mf_worker_random(worker);
        int rc = mf_route_lookup(worker->table, query, &route);
        mf_call_set_stat(call, route.stat, rc == 0 && route.fallbacks > 0);
        if (rc < 0) {
            fail(call, rc, MF_SIDE_UPSTREAM, why_not(rc, query, text));
            return;
        }
        if (call->tries++ >= worker->limits->max_tries) {
            MF_COUNT(worker, limit_max_tries);
            fail(call, MF_EROUTE_DOWN, MF_SIDE_UPSTREAM, "meshfast: maxTries peers refused the connection");
            return;
        }
        mf_call_set_timeout(call, mf_policy_timeout(request->said->timeout_ms, route.timeout_ms, worker->limits));
        struct mf_pool *pool = mf_pool_of_peer(worker, route.peer);
        rc = pool ? place(call, pool, request) : -ENOMEM;
        if (rc == 0)
            return;
        if (mf_peer_available(route.peer, query->now)) {
            if (rc != MF_EROUTE_DOWN) { /* ours: another peer would not help */
                fail(call, rc, MF_SIDE_OURS, NULL);
                return;
            }
            mf_peer_set_down(route.peer, query->now + mf_policy_backoff(1, worker->limits));
        }
        MF_COUNT(worker, calls_retried);
    }
}

/* The application behind an inbound listener, or an outbound listener's forward, kept by the listener; or the address
 * that this connection dialled, kept by the connection. NULL: `*rc` says whether there is none, or no memory. */
static struct mf_pool *destination(struct mf_conn *down, int *rc)
{
    struct mf_door *door = down->door;
    if (door->front->options.transparent) {
        if (down->pool)
            return down->pool;
    } else if (door->forward) {
        return door->forward;
    }
    struct mf_addr to;
    *rc = mf_conn_destination(down, &to);
    if (*rc < 0)
        return NULL;
    struct mf_pool *pool = mf_pool_of_addr(down->worker, &to);
    if (!pool) {
        *rc = -ENOMEM;
        return NULL;
    }
    pool->users++;
    if (door->front->options.transparent) {
        down->pool = pool;
    } else {
        door->forward = pool;
    }
    return pool;
}

static void forward(struct mf_call *call, struct mf_pool *pool, struct request *request)
{
    mf_call_set_timeout(call, mf_policy_timeout(request->said->timeout_ms, 0, call->worker->limits));
    int rc = place(call, pool, request);
    if (rc == 0)
        return;
    bool ours = rc == -ENOMEM || rc == MF_ECLOSED;
    fail(call, ours ? rc : MF_EROUTE_DOWN, ours ? MF_SIDE_OURS : MF_SIDE_UPSTREAM,
         ours ? NULL : "meshfast: the address that this listener forwards to refuses connections");
}

/* --- labels */

static bool has_trace(const struct mf_labels *plan, const struct mf_dubbo_request *said)
{
    for (uint32_t t = 0; t < plan->n_traces; t++)
        for (uint32_t i = 0; i < said->n_attachments; i++)
            if (mf_slice_eq(plan->traces[t].text, said->attachments[i].key))
                return true;
    return false;
}

static void find_labels(struct mf_worker *worker, struct request *request)
{
    const struct mf_labels *plan = mf_table_labels(worker->table);
    const struct mf_dubbo_request *said = request->said;
    mf_label_find(plan, worker->trace, said->attachments, said->n_attachments, mf_worker_now(worker),
                  &worker->labels);
    for (uint32_t i = 0; i < plan->n_labels; i++) {
        const struct mf_label *label = &plan->labels[i];
        switch (worker->labels.kind[label->index]) {
        case MF_LABEL_HEADER:
            MF_COUNT(worker, labels_header);
            continue;
        case MF_LABEL_CONTEXT:
            MF_COUNT(worker, labels_context);
            break;
        case MF_LABEL_LOCAL:
            MF_COUNT(worker, labels_local);
            break;
        default:
            if (worker->trace && has_trace(plan, said))
                MF_COUNT(worker, labels_lost);
            else
                MF_COUNT(worker, labels_none);
            continue;
        }
        /* It came from elsewhere: it travels on in the request. */
        if (said->complete)
            request->stamps[request->n_stamps++] =
                (struct mf_pair){label->name, worker->labels.value[label->index]};
    }
    if (request->n_stamps)
        MF_COUNT(worker, labels_stamped);
}

static void remember_labels(struct mf_worker *worker, const struct mf_dubbo_request *said)
{
    if (!worker->trace)
        return;
    struct mf_label_kept kept = {0};
    mf_label_remember(mf_table_labels(worker->table), worker->trace, said->attachments, said->n_attachments,
                      mf_worker_now(worker), &kept);
    MF_COUNT_N(worker, labels_conflict, kept.conflicts);
    MF_COUNT_N(worker, labels_evicted, kept.evicted);
    MF_COUNT_N(worker, labels_refused, kept.refused);
}

/* --- reading */

static void count_limit(struct mf_worker *worker, int rc)
{
    MF_COUNT(worker, bad_frames);
    if (rc == MF_EHESSIAN_DEPTH)
        MF_COUNT(worker, limit_max_depth);
    else if (rc == MF_EHESSIAN_SIZE)
        MF_COUNT(worker, limit_max_classes);
    else if (rc == MF_ELIMIT)
        MF_COUNT(worker, limit_max_attachments);
}

/* 0 (see request->readable), or an error: `*why` says what is wrong with the bytes. */
static int parse(struct mf_worker *worker, struct request *request, const char **why)
{
    struct mf_recent none = {0};
    struct mf_recent *recent = request->from ? &request->from->recent : &none;
    int rc = mf_dubbo_read(worker, recent, request->head->serialization, request->body, &request->own, &request->said,
                           why);
    request->n_stamps = 0;
    request->readable = rc == 0;
    if (rc == MF_EDUBBO_OPAQUE) {
        request->own.n_attachments = 0;
        return 0;
    }
    return rc;
}

static struct mf_query query_of(struct mf_worker *worker, const struct request *request)
{
    const struct mf_dubbo_request *said = request->said;
    return (struct mf_query){
        .service = said->service,
        .method = said->method,
        .headers = said->attachments,
        .n_headers = said->n_attachments,
        .labels = worker->labels.value,
    };
}

static void route_outbound(struct mf_call *call, struct mf_conn *down, struct request *request)
{
    struct mf_worker *worker = call->worker;
    if (!request->readable) {
        MF_COUNT(worker, calls_opaque);
        int rc;
        struct mf_pool *pool = destination(down, &rc);
        if (pool) {
            forward(call, pool, request);
            return;
        }
        if (rc == -ENOMEM) {
            fail(call, rc, MF_SIDE_OURS, NULL);
            return;
        }
    }
    find_labels(worker, request); /* this workload's own hold for what cannot be read, too */
    struct mf_query query = query_of(worker, request);
    if (request->readable) {
        route_by_table(call, &query, request);
        return;
    }
    request->n_stamps = 0;
    if (query.service.len == 0)
        query.service = down->door->front->options.service;
    if (query.service.len) {
        route_by_table(call, &query, request);
        return;
    }
    fail(call, MF_EDUBBO_OPAQUE, MF_SIDE_OURS,
         "meshfast: no route: this serialization is not read; give the listener a forward or a service");
}

static void route_inbound(struct mf_call *call, struct mf_conn *down, struct request *request)
{
    struct mf_worker *worker = call->worker;
    if (request->readable)
        remember_labels(worker, request->said);
    else
        MF_COUNT(worker, calls_opaque);
    int rc;
    struct mf_pool *pool = destination(down, &rc);
    if (pool)
        forward(call, pool, request);
    else if (rc == -ENOMEM)
        fail(call, rc, MF_SIDE_OURS, NULL);
    else
        fail(call, MF_EROUTE_PEER, MF_SIDE_UPSTREAM, "meshfast: this listener has no forward address");
}

void mf_dubbo_refuse(struct mf_conn *down, const struct mf_dubbo_head *head, const struct mf_fault *fault)
{
    if (!(head->flags & MF_DUBBO_REQUEST) || !(head->flags & MF_DUBBO_TWO_WAY))
        return;
    uint8_t answer[MF_DUBBO_ERROR_ROOM];
    size_t len = mf_dubbo_put_error(answer, head->id, head->serialization, fault->status, fault->text);
    MF_COUNT(down->worker, answers_local);
    if (mf_sock_write(&down->sock, mf_slice_of(answer, len)) < 0)
        mf_conn_unwritten(down);
    else
        mf_conn_check_output(down);
}

void mf_dubbo_request_in(struct mf_conn *down, const struct mf_dubbo_head *head, struct mf_slice body)
{
    struct mf_worker *worker = down->worker;
    int rc = MF_ELIMIT;
    struct mf_call *call = NULL;
    if (down->n_calls >= worker->limits->max_calls_per_connection)
        MF_COUNT(worker, limit_max_calls_per_connection);
    else if (!(call = mf_call_begin(worker, down, head->id, head->serialization, head->flags & MF_DUBBO_TWO_WAY, &rc)))
        mf_count(rc == MF_ELIMIT ? &worker->counters.limit_max_calls : &worker->counters.out_of_memory, 1);
    if (!call) {
        struct mf_fault fault = mf_fault_of(rc, MF_SIDE_OURS);
        fault.text = "meshfast: too many calls in flight";
        mf_dubbo_refuse(down, head, &fault);
        return;
    }

    struct request request; /* set field by field: most of it is room that is rarely used */
    request.head = head;
    request.body = body;
    request.from = down;
    request.frame = NULL;
    const char *why;
    rc = parse(worker, &request, &why);
    if (rc < 0) {
        char text[TEXT_ROOM];
        snprintf(text, sizeof text, "meshfast: bad request: %s", why);
        count_limit(worker, rc);
        fail(call, rc, MF_SIDE_DOWNSTREAM, text);
        return;
    }
    if (down->door->front->options.direction == MF_INBOUND)
        route_inbound(call, down, &request);
    else
        route_outbound(call, down, &request);
}

/* The queued frame is the request, stamped already: it is read again because the first reading's slices are gone. */
void mf_dubbo_route_again(struct mf_call *call)
{
    struct mf_worker *worker = call->worker;
    struct mf_block *frame = call->frame;
    call->frame = NULL;
    struct request request;
    struct mf_dubbo_head head;
    mf_dubbo_parse_head(mf_slice_of(frame->data, call->bytes_up), UINT32_MAX >> 1, &head);
    request.head = &head;
    request.body = mf_slice_of(frame->data + MF_DUBBO_HEAD_LEN, head.body_len);
    request.from = NULL;
    request.frame = frame;
    const char *why;
    int rc = parse(worker, &request, &why);
    if (rc < 0) {
        fail(call, rc, MF_SIDE_OURS, why);
    } else {
        const struct mf_labels *plan = mf_table_labels(worker->table);
        mf_label_find(plan, worker->trace, request.said->attachments, request.said->n_attachments,
                      mf_worker_now(worker), &worker->labels);
        struct mf_query query = query_of(worker, &request);
        if (!request.readable && query.service.len == 0)
            query.service = call->door->front->options.service;
        route_by_table(call, &query, &request);
    }
    mf_block_give(frame);
}

/* --- the answer */

void mf_dubbo_deliver(struct mf_conn *down, struct mf_call *call, const void *from_peer, struct mf_slice body)
{
    if (down->closed || down->doomed)
        return;
    struct mf_dubbo_head head = *(const struct mf_dubbo_head *)from_peer;
    head.id = call->down_id;
    int rc = -ENOMEM;
    if (body.len < HOLD_FROM) {
        uint8_t *to = mf_sock_reserve(&down->sock, MF_DUBBO_HEAD_LEN + body.len);
        if (to) {
            mf_dubbo_put_head(to, &head);
            if (body.len)
                memcpy(to + MF_DUBBO_HEAD_LEN, body.ptr, body.len);
            mf_sock_commit(&down->sock, MF_DUBBO_HEAD_LEN + body.len);
            rc = 0;
        }
    } else {
        uint8_t bytes[MF_DUBBO_HEAD_LEN];
        const uint8_t *at;
        struct mf_block *block = mf_sock_hold(&call->up->sock, body, &at);
        mf_dubbo_put_head(bytes, &head);
        if (block)
            rc = send_held(down, bytes, block, &(struct mf_slice){at, body.len}, 1);
        mf_block_give(block);
    }
    if (rc < 0) { /* its caller would wait for an answer that cannot come */
        mf_conn_unwritten(down);
        return;
    }
    mf_conn_check_output(down);
}

void mf_dubbo_answer(struct mf_conn *down, struct mf_call *call, const struct mf_fault *fault)
{
    struct mf_dubbo_head head = {
        .id = call->down_id,
        .flags = MF_DUBBO_REQUEST | MF_DUBBO_TWO_WAY,
        .serialization = call->serialization,
    };
    if (!down->closed && !down->doomed)
        mf_dubbo_refuse(down, &head, fault);
}
