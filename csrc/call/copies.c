#include "call/copies.h"

#include "base/err.h"
#include "base/mem.h"
#include "call/budget.h"
#include "call/lane.h"
#include "table/mirror.h"

#include <errno.h>

enum { FIRST = 4096 };

/* What a copy's call has, as `at_caller`. */
struct copy {
    struct mf_copies *copies;
    struct mf_dialer *dialer;
    struct mf_peer *peer;   /* with a reference */
    struct mf_meter *meter; /* with a reference */
    struct mf_actions *actions;     /* the same, or NULL: whose `change` is */
    const struct mf_change *change; /* of its request; NULL: it goes as it came */
    struct mf_block *content;
    uint32_t len;           /* of it */
    size_t answered;        /* bytes of the answer */
    uint64_t next;
    bool skipped;           /* it is not sent after all */
};

static struct copy *copy_of(const struct mf_call *call)
{
    return call->at_caller;
}

/* --- its end */

static void let_content_go(struct copy *copy)
{
    if (!copy->content)
        return;
    copy->copies->held -= copy->content->cap;
    mf_block_give(copy->content);
    copy->content = NULL;
    copy->len = 0;
}

static void skip(struct mf_copies *copies, struct mf_meter *meter)
{
    MF_COUNT(copies->main, mirrored_skipped);
    mf_meter_count(meter, MF_COPY_SKIPPED);
}

static void on_end(struct mf_call *call, int status_index, enum mf_outcome outcome, uint32_t code)
{
    (void)status_index;
    (void)code;
    struct copy *copy = copy_of(call);
    struct mf_copies *copies = copy->copies;
    call->beside = 0;
    call->at_caller = NULL;
    if (copy->skipped) {
        skip(copies, copy->meter);
    } else if (outcome <= MF_OUTCOME_REMOTE_ERROR) {
        mf_meter_count(copy->meter, outcome == MF_OUTCOME_OK ? MF_COPY_OK : MF_COPY_ERROR);
    } else {
        MF_COUNT(copies->main, mirrored_failed);
        mf_meter_count(copy->meter, MF_COPY_FAILED);
    }
    let_content_go(copy);
    mf_peer_give(copies->local.table, copy->peer);
    mf_meter_give(copy->meter);
    mf_actions_give(copy->actions);
    mf_free(copy);
}

static const struct mf_governing governing = {.end = on_end};

static void fail(struct mf_call *call, int rc)
{
    struct mf_fault fault = mf_outcome_of(rc);
    mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &fault});
}

static void give_up(struct mf_call *call)
{
    copy_of(call)->skipped = true;
    fail(call, MF_ELIMIT);
}

/* --- on its way */

/* Takes the frame over. Its one step. */
static void place(struct mf_call *call, struct mf_block *frame)
{
    struct copy *copy = copy_of(call);
    struct mf_pool *pool = copy->copies->stopped ? NULL : mf_pools_of_peer(&copy->copies->pools, copy->dialer, copy->peer);
    if (!pool) {
        mf_block_give(frame);
        fail(call, -ENOMEM);
        return;
    }
    int rc = 0;
    struct mf_lane *lane = mf_lane_shared(pool);
    struct mf_link *link = mf_lane_fits(lane, call->bytes_up, &rc) ? mf_lane_pick(lane, call, &rc) : NULL;
    if (!link && rc == 0) {
        call->move_at = 0;
        mf_call_step(call, MF_CALL_ON_WAIT, &(struct mf_call_input){.queue = &lane->queue, .frame = frame});
        return;
    }
    if (link) {
        call->frame = frame;
        rc = pool->dialer->ops->send(link, call);
        call->frame = NULL;
    }
    mf_block_give(frame);
    if (rc < 0)
        fail(call, rc);
    else
        mf_call_step(call, call->two_way ? MF_CALL_ON_ASKED : MF_CALL_ON_SENT,
                     &(struct mf_call_input){.callee = &link->callee});
}

/* Its content is whole; or whoever it waited for is not there, and nobody else is asked. */
static void route_again(struct mf_call *call, struct mf_queue *waited, bool back)
{
    (void)back;
    struct mf_block *frame = call->frame;
    call->frame = NULL;
    if (!waited) {
        place(call, frame);
        return;
    }
    mf_block_give(frame);
    fail(call, MF_EROUTE_DOWN);
}

static void asked(struct mf_caller *caller, struct mf_call *call)
{
    (void)caller;
    if (!call->asking)
        return;
    struct copy *copy = copy_of(call);
    struct mf_block *content = copy->content ? mf_block_take(copy->content) : NULL;
    struct mf_message message = {.parts = MF_PART_DATA | MF_PART_END,
                                 .data = mf_slice_of(content ? content->data : NULL, copy->len)};
    let_content_go(copy);
    mf_call_step(call, MF_CALL_ON_MORE, &(struct mf_call_input){.message = &message});
    mf_block_give(content);
}

static void took(struct mf_caller *caller, struct mf_call *call, size_t len, size_t room)
{
    (void)caller;
    (void)call;
    (void)len;
    (void)room;
}

static const struct mf_fault too_much = {MF_OUTCOME_BAD_ANSWER, "meshfast: the answer to a copy is over mirrorBody"};

/* Read and dropped; a stream is let send little at a time, and not for ever. */
static const struct mf_fault *deliver(struct mf_caller *caller, struct mf_call *call, const struct mf_message *message)
{
    (void)caller;
    if (message->parts & MF_PART_END)
        return NULL;
    struct copy *copy = copy_of(call);
    copy->answered += message->data.len;
    if (copy->answered > copy->copies->limits.mirror_body)
        return &too_much;
    if (message->data.len && call->callee->ops->took)
        call->callee->ops->took(call->callee, call, message->data.len, 1);
    return NULL;
}

/* Where a peer takes nothing, what waits there is not worth its memory. */
static void answer(struct mf_caller *caller, struct mf_call *call, const struct mf_fault *fault)
{
    (void)caller;
    if (fault->outcome != MF_OUTCOME_TIMEOUT || !call->callee)
        return;
    struct mf_link *link = MF_CONTAINER(call->callee, struct mf_link, callee);
    if (mf_sock_pending(&link->conn->sock))
        mf_conn_doom(link->conn, -ETIMEDOUT);
}

static void idle(struct mf_caller *caller)
{
    (void)caller;
}

static const uint8_t stats[MF_OUTCOMES]; /* nowhere */
static const struct mf_caller_ops whole_ops = {
    .deliver = deliver, .answer = answer, .route_again = route_again, .idle = idle, .stats = stats};
static const struct mf_caller_ops flowing_ops = {
    .deliver = deliver, .answer = answer, .route_again = route_again, .idle = idle, .asked = asked, .took = took,
    .stats = stats};

/* --- made */

/* Whether so much more may be held for those who are mirrored to; not where the worker is short of memory itself. */
static bool has_room(struct mf_copies *copies, size_t more)
{
    if (copies->local.budget.for_peers + copies->held + more <= copies->main->limits->mirror_memory &&
        !mf_budget_over(copies->main))
        return true;
    MF_COUNT(copies->main, limit_mirror_memory);
    return false;
}

static bool may(struct mf_copies *copies, size_t len)
{
    const struct mf_limits *limits = copies->main->limits;
    if (copies->calls.n_live >= limits->max_mirrored) {
        MF_COUNT(copies->main, limit_max_mirrored);
        return false;
    }
    if (len > limits->mirror_body) {
        MF_COUNT(copies->main, limit_mirror_body);
        return false;
    }
    return has_room(copies, len);
}

static uint64_t timeout_of(const struct mf_copies *copies, int64_t caller_ms, uint32_t rule_ms)
{
    uint64_t least = copies->limits.call_timeout;
    if (caller_ms > 0 && (uint64_t)caller_ms < least)
        least = (uint64_t)caller_ms;
    return rule_ms && rule_ms < least ? rule_ms : least;
}

static struct mf_call *begin(struct mf_copies *copies, const struct mf_call *call, struct mf_peer *peer,
                             struct mf_meter *meter, const struct mf_request *request)
{
    int rc;
    struct copy *copy = mf_zalloc(sizeof *copy);
    struct mf_caller *caller = call->ops->asked ? &copies->flowing : &copies->whole;
    struct mf_call *made = copy ? mf_call_begin(&copies->calls, caller, 0, call->kind, call->two_way, &rc) : NULL;
    if (!made) {
        mf_free(copy);
        return NULL;
    }
    copy->copies = copies;
    copy->dialer = copies->dialers[request->dialer->index];
    copy->peer = peer;
    mf_peer_take(peer);
    copy->meter = mf_meter_take(meter);
    made->at_caller = copy;
    made->at_callee = NULL;
    made->asking = call->asking;
    made->topic = call->topic;
    made->beside = MF_BESIDE_COPY;
    return made;
}

/* `next`: another copy of the same call whose content is still to come, or 0. Returns the id of the first of them. */
static uint64_t make(struct mf_copies *copies, const struct mf_call *call, struct mf_request *request,
                     struct mf_peer *peer, struct mf_meter *meter, const struct mf_route *route,
                     const struct mf_change *change, uint64_t next)
{
    struct mf_call *made = NULL;
    if (peer && !copies->stopped && may(copies, request->length))
        made = begin(copies, call, peer, meter, request);
    if (!made) {
        skip(copies, meter);
        return next;
    }
    MF_COUNT(copies->main, mirrored);
    copy_of(made)->change = change;
    if (change)
        mf_actions_take(copy_of(made)->actions = route->actions);
    int rc;
    uint64_t id = made->id;
    struct mf_block *frame = request->ops->freeze(request, made, &rc);
    if (!frame) {
        fail(made, rc);
        return next;
    }
    mf_call_set_timeout(made, timeout_of(copies, request->timeout_ms, route->timeout_ms));
    if (!made->asking) {
        place(made, frame);
        return next;
    }
    copy_of(made)->next = next;
    mf_call_step(made, MF_CALL_ON_WAIT, &(struct mf_call_input){.queue = &copies->calls.delayed, .frame = frame});
    return id;
}

const struct mf_change *mf_copies_change(const struct mf_call *call)
{
    return call->at_caller ? copy_of(call)->change : NULL;
}

uint64_t mf_copies_mirror(const struct mf_call *call, struct mf_request *request, const struct mf_route *route,
                          const struct mf_change *change)
{
    struct mf_local *local = call->calls->local;
    struct mf_query query = request->query;
    uint64_t first = 0;
    query.n_avoid = 0;
    query.last_resort = false;
    for (const struct mf_mirror *mirror = route->actions->mirrors; mirror; mirror = mirror->next) {
        if (!mf_mirror_drawn(mirror, mf_local_random(local)))
            continue;
        query.random = mf_local_random(local);
        first = make(local->copies, call, request, mf_mirror_pick(mirror, &query), mirror->meter, route, change,
                     first);
    }
    return first;
}

/* --- content that is still to come */

/* The copy of that id that is being filled, or NULL. */
static struct mf_call *filling(struct mf_copies *copies, uint64_t id)
{
    struct mf_call *call = id ? mf_calls_find(&copies->calls, id) : NULL;
    return call && call->queue == &copies->calls.delayed ? call : NULL;
}

static int append(struct copy *copy, struct mf_slice data)
{
    size_t len = copy->len + data.len, cap = copy->content ? copy->content->cap : FIRST;
    if (!copy->content || len > cap) {
        while (cap < len)
            cap *= 2;
        struct mf_block *block = mf_loop_block(copy->copies->local.loop, cap);
        if (!block)
            return -ENOMEM;
        if (copy->len)
            memcpy(block->data, copy->content->data, copy->len);
        uint32_t had = copy->len;
        let_content_go(copy);
        copy->content = block;
        copy->copies->held += block->cap;
        copy->len = had;
    }
    if (data.len)
        memcpy(copy->content->data + copy->len, data.ptr, data.len);
    copy->len = (uint32_t)len;
    return 0;
}

static bool takes(struct mf_copies *copies, struct copy *copy, size_t more)
{
    if (copy->len + more > copies->main->limits->mirror_body) {
        MF_COUNT(copies->main, limit_mirror_body);
        return false;
    }
    return has_room(copies, more);
}

uint64_t mf_copies_more(struct mf_copies *copies, uint64_t id, const struct mf_message *message)
{
    uint64_t first = id, *at = &first;
    for (struct mf_call *call; (call = filling(copies, *at));) { /* their time is over at once, if it is */
        struct copy *copy = copy_of(call);
        struct mf_slice data = message->data;
        if ((data.len && !takes(copies, copy, data.len)) || append(copy, data) < 0) {
            *at = copy->next; /* those behind it go on without it */
            give_up(call);
        } else if (message->parts & MF_PART_END) { /* trailers are not for copies */
            *at = copy->next;
            mf_call_step(call, MF_CALL_ON_RETRY, &(struct mf_call_input){0});
        } else {
            at = &copy->next;
        }
    }
    return first;
}

void mf_copies_rewind(struct mf_copies *copies, uint64_t id)
{
    for (struct mf_call *call; (call = filling(copies, id)); id = copy_of(call)->next)
        copy_of(call)->len = 0;
}

void mf_copies_drop(struct mf_copies *copies, uint64_t id)
{
    for (struct mf_call *call; (call = filling(copies, id));) {
        id = copy_of(call)->next;
        give_up(call);
    }
}

/* --- a worker's */

static void no_report(struct mf_local *local, enum mf_event_kind kind, int rc, const struct mf_addr *addr)
{
    (void)local;
    (void)kind;
    (void)rc;
    (void)addr;
}

int mf_copies_init(struct mf_copies *copies, struct mf_local *main)
{
    struct mf_local *local = &copies->local;
    copies->main = main;
    main->copies = copies;
    copies->limits = *main->limits;
    copies->limits.max_calls = main->limits->max_mirrored + (main->limits->max_mirrored == 0);
    copies->limits.max_body = main->limits->mirror_body; /* of answers, which nobody wants */
    copies->limits.max_kept = 0;
    copies->limits.upstream_trials = 0;
    local->limits = &copies->limits;
    local->loop = main->loop;
    local->table = main->table;
    local->reader = main->reader;
    local->random = main->random + 1;
    local->report = no_report;
    mf_list_init(&local->conns);
    mf_pools_init(&copies->pools, local);
    copies->pools.aside = true;
    mf_caller_init(&copies->whole, &whole_ops, NULL, &local->traffic[MF_OUTBOUND]);
    mf_caller_init(&copies->flowing, &flowing_ops, NULL, &local->traffic[MF_OUTBOUND]);
    int rc = mf_calls_init(&copies->calls, local);
    copies->calls.governing = &governing;
    return rc;
}

void mf_copies_dispose(struct mf_copies *copies)
{
    if (!copies->main)
        return;
    mf_pools_dispose(&copies->pools);
    mf_calls_dispose(&copies->calls);
}

void mf_copies_sweep(struct mf_copies *copies)
{
    mf_pools_sweep(&copies->pools);
    if (!mf_budget_late(copies->main))
        return;
    for (struct mf_list *node = copies->local.conns.next; node != &copies->local.conns; node = node->next)
        mf_conn_doom(MF_CONTAINER(node, struct mf_conn, all), -ETIMEDOUT);
}

void mf_copies_stop(struct mf_copies *copies)
{
    struct mf_fault fault = {MF_OUTCOME_LOST, "meshfast: the sidecar is stopping"};
    struct mf_list *node;
    copies->stopped = true;
    while ((node = mf_list_shift(&copies->calls.delayed.calls)))
        mf_call_step(MF_CONTAINER(node, struct mf_call, place), MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &fault});
    for (node = copies->pools.all.next; node != &copies->pools.all; node = node->next)
        mf_pool_stop(MF_CONTAINER(node, struct mf_pool, node), &fault);
    for (node = copies->local.conns.next; node != &copies->local.conns; node = node->next)
        mf_conn_doom(MF_CONTAINER(node, struct mf_conn, all), MF_ECLOSED);
}
