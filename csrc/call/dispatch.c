#include "call/dispatch.h"

#include "base/err.h"
#include "call/deadline.h"
#include "call/lane.h"
#include "call/share.h"

#include <errno.h>
#include <stdio.h>

enum { TEXT_ROOM = 256, AVOIDED = 3 + MF_REQUEST_REFUSED };

static void end_with(struct mf_call *call, enum mf_outcome outcome, const char *text)
{
    struct mf_fault fault = {outcome, text};
    mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &fault});
}

void mf_dispatch_fail(struct mf_call *call, int rc, const char *text)
{
    struct mf_fault fault = mf_outcome_of(rc);
    if (rc == -ENOMEM)
        MF_COUNT(call->calls->local, out_of_memory);
    end_with(call, fault.outcome, text ? text : fault.text);
}

/* Our own trouble in placing a call, which another peer would not help. */
static void fail_ours(struct mf_call *call, int rc)
{
    if (rc == -ENOMEM)
        MF_COUNT(call->calls->local, out_of_memory);
    end_with(call, rc == MF_EH2_LIST ? MF_OUTCOME_TOO_LONG : MF_OUTCOME_OVERLOAD, mf_err_text(rc));
}

static void fail_full(struct mf_call *call)
{
    end_with(call, MF_OUTCOME_OVERLOAD,
             "meshfast: overload: too many requests wait for this provider, or for its answers");
}

/* Peers were passed over: the last one for this. */
static void fail_passed(struct mf_call *call, int why)
{
    if (why == MF_EROUTE_FULL)
        fail_full(call);
    else
        fail_ours(call, why);
}

static void set_timeout(struct mf_call *call, const struct mf_request *request, uint32_t rule_ms)
{
    const struct mf_limits *limits = call->calls->local->limits;
    if (request->timeout_ms > 0 && (uint64_t)request->timeout_ms > limits->max_call_timeout)
        MF_COUNT(call->calls->local, limit_max_call_timeout);
    if (request->flows && request->timeout_ms <= 0 && rule_ms == 0) { /* set where it has to wait */
        call->timeless = true;
        return;
    }
    mf_call_set_timeout(call, mf_dispatch_timeout(request->timeout_ms, rule_ms, limits));
}

static __attribute__((noinline, cold)) void set_timeout_by_rule(struct mf_call *call, struct mf_request *request,
                                                                uint32_t rule_ms)
{
    set_timeout(call, request, rule_ms);
    mf_deadline_stamp(call, request, true);
}

/* What policy does with a call whose lookup returned `rc`. True: that was its one step. */
static __attribute__((noinline, cold)) bool govern(struct mf_call *call, struct mf_request *request,
                                                   struct mf_route *route, int rc)
{
    if (mf_govern_rule(call, request, route, rc))
        return true;
    if (rc == 0)
        set_timeout(call, request, route->timeout_ms);
    mf_govern_timed(call, route->timeout_ms);
    if (mf_govern(call, request, route, rc))
        return true;
    if (rc == 0)
        mf_deadline_stamp(call, request, route->timeout_ms || mf_governed_of(call)->again.until);
    return false;
}

/* --- where to */

/* All that this caller ever sends goes to one place: it may be held up for that. Any other may not. */
static bool one_way_out(const struct mf_request *request)
{
    return request->inlet->options->direction == MF_INBOUND && !request->flows;
}

/* Sends a copy that is kept until somebody has answered. */
static int send_kept(struct mf_call *call, struct mf_link *link, struct mf_request *request, struct mf_block **kept)
{
    int rc;
    struct mf_block *frame = request->ops->freeze(request, call, &rc);
    if (!frame)
        return rc;
    call->frame = frame;
    rc = link->pool->dialer->ops->send(link, call);
    call->frame = NULL;
    if (rc < 0)
        mf_block_give(frame);
    else
        *kept = frame;
    return rc;
}

/* Until a connection takes it, or the lane is asked again. 0 or an error. */
static __attribute__((noinline, cold)) int wait_in(struct mf_call *call, struct mf_lane *lane, struct mf_request *request)
{
    int rc;
    if (!mf_govern_wait(call))
        return MF_EROUTE_BUSY;
    struct mf_block *frame = request->ops->freeze(request, call, &rc);
    if (!frame)
        return rc;
    mf_request_wait(call, &lane->queue, frame);
    call->move_at = 0;
    return 0;
}

/* Its caller has taken much back: perhaps this, too, before it is sent. */
static __attribute__((noinline, cold)) int put_off(struct mf_call *call, struct mf_lane *lane, struct mf_request *request)
{
    struct mf_local *local = call->calls->local;
    if (lane->queue.n_calls >= local->limits->max_pending) {
        MF_COUNT(local, limit_max_pending);
        return MF_EROUTE_FULL;
    }
    if (mf_conn_too_much(local, lane->queue.bytes)) {
        MF_COUNT(local, limit_upstream_output_max);
        return MF_EROUTE_FULL;
    }
    int rc = wait_in(call, lane, request);
    if (rc == 0) {
        MF_COUNT(local, limit_h2_cancels);
        mf_pool_put_off(lane, local->limits->h2_cancel_wait);
    }
    return rc;
}

static inline __attribute__((always_inline)) int send_on(struct mf_call *call, struct mf_link *link,
                                                        struct mf_request *request)
{
    struct mf_block *kept = NULL;
    int rc;
    if ((link->doubted_until > request->query.now || request->keeps) && mf_call_may_keep(call, request->length))
        rc = send_kept(call, link, request, &kept);
    else
        rc = request->ops->send(request, call, link);
    if (rc < 0)
        return rc;
    mf_call_step(call, call->two_way ? MF_CALL_ON_ASKED : MF_CALL_ON_SENT,
                 &(struct mf_call_input){.callee = &link->callee, .frame = kept});
    if (mf_sock_full(&link->conn->sock) && request->from && one_way_out(request))
        mf_conn_pause_for(request->from, link->conn);
    return 0;
}

/* No link of that lane takes it now; `rc`: why not. */
static __attribute__((noinline, cold)) int place_otherwise(struct mf_call *call, struct mf_lane *lane,
                                                           struct mf_request *request, int rc)
{
    struct mf_pool *pool = lane->pool;
    if (rc < 0 && rc != MF_EROUTE_FULL && lane->trials && mf_lane_shared(pool)->n_links > 0) {
        lane = mf_lane_shared(pool); /* it cannot go apart: better with the others than not at all */
        struct mf_link *link = mf_lane_pick(lane, call, &rc);
        if (link)
            return send_on(call, link, request);
    }
    if (rc < 0)
        return rc;
    if (lane->n_connecting == 0 && !lane->waits && call->by_table && !request->patient) {
        request->busy = true;
        return MF_EROUTE_FULL;
    }
    rc = wait_in(call, lane, request);
    if (rc < 0)
        return rc;
    if (lane->n_connecting)
        mf_lane_hedge(pool, call);
    else if (lane->waits)
        mf_pool_put_off(lane, call->calls->local->limits->h2_window_wait);
    if (request->from && one_way_out(request))
        mf_lane_check(lane, request->from);
    return 0;
}

/* Puts a call on `pool`: sent, or queued while the connection is made. 0, or why not: then the call is unchanged. */
static int place(struct mf_call *call, struct mf_pool *pool, struct mf_request *request)
{
    int rc = mf_share_check(call, pool);
    if (rc < 0)
        return rc;
    struct mf_lane *lane = mf_lane_shared(pool);
    if (__builtin_expect(!mf_lane_usual(pool, call, request->length), 0)) {
        lane = mf_lane_apart(pool, call, request->length);
        if (call->caller && call->caller->rash)
            return put_off(call, lane, request);
    }
    struct mf_link *link = mf_lane_fits(lane, request->length, &rc) ? mf_lane_pick(lane, call, &rc) : NULL;
    return __builtin_expect(link != NULL, 1) ? send_on(call, link, request) : place_otherwise(call, lane, request, rc);
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

/* There is no other peer: back to where it waited, this time for as long as it takes. */
static __attribute__((noinline, cold)) void wait_on(struct mf_call *call, struct mf_request *request, struct mf_queue *back)
{
    int rc;
    mf_govern_return(call);
    struct mf_block *frame = request->ops->freeze(request, call, &rc);
    if (frame)
        mf_request_wait(call, back, frame);
    else
        fail_ours(call, rc);
}

/* By the other name that it has, if that is listed: itself, or where nothing else is at all, by a pattern. */
static int look_up_alias(struct mf_request *request, struct mf_route *route, int rc)
{
    struct mf_query *query = &request->query;
    struct mf_slice asked = query->service;
    struct mf_slice alias = request->ops->alias ? request->ops->alias(request) : mf_slice_of(NULL, 0);
    if (alias.len == 0 || mf_slice_eq(alias, asked))
        return rc;
    struct mf_route other;
    query->service = alias;
    int other_rc = mf_route_lookup(request->inlet->local->table, query, &other);
    if (other_rc == MF_EROUTE_SERVICE || (other.inexact && rc != MF_EROUTE_SERVICE)) {
        query->service = asked;
        return rc;
    }
    *route = other;
    return other_rc;
}

static bool unlisted(struct mf_call *call, struct mf_request *request);

static inline __attribute__((always_inline)) int look_up(struct mf_request *request, struct mf_route *route)
{
    int rc = mf_route_lookup(request->inlet->local->table, &request->query, route);
    return route->inexact ? look_up_alias(request, route, rc) : rc;
}

/* Asks others of the same target first. Returns how many were passed over on the way to that. */
static __attribute__((noinline, cold)) int avoid_refused(struct mf_request *request, const struct mf_peer **full)
{
    struct mf_route route;
    request->query.peek = true; /* whom it asks next is what uses up a turn */
    int rc = look_up(request, &route);
    request->query.peek = false;
    memcpy(full, request->refused, request->n_refused * sizeof *full);
    request->query.avoid = full;
    request->query.n_avoid = request->n_refused;
    return rc == 0 ? route.fallbacks : 0;
}

/* Nobody else takes it: then who was passed over for no more than a reason to ask others first. */
static __attribute__((noinline, cold)) bool relent(struct mf_request *request)
{
    if (request->n_refused)
        request->n_refused = 0;
    else if (request->busy && !request->patient)
        request->patient = true;
    else
        return false;
    request->query.n_avoid = 0;
    return true;
}

/* What did not get so far has no rule. */
static __attribute__((noinline, cold)) void tell_beside(struct mf_call *call, const struct mf_route *route, int rc)
{
    if (call->beside & MF_BESIDE_GOVERNED && !route->governed)
        mf_govern_over(call);
    if (!(call->beside & MF_BESIDE_NOTE))
        return;
    struct mf_record *record = &mf_call_note(call)->record;
    record->rule = rc == 0 || rc == MF_EROUTE_PEER || rc == MF_EROUTE_DOWN ? route->rule : -1;
    record->fallbacks = rc < 0 ? 0 : route->fallbacks < UINT8_MAX ? (uint8_t)route->fallbacks : UINT8_MAX;
}

/* Looks up and places, and looks up again where the peer cannot be reached: it is down by then, so another comes. One
 * that is full, or that we lack something to reach, is only passed over by this call, and only for one of the same target:
 * its callers' traffic must not change places for that. Where all ask for no calls, one of those has it. */
static void by_table(struct mf_call *call, struct mf_request *request, struct mf_queue *back)
{
    struct mf_local *local = call->calls->local;
    struct mf_query *query = &request->query;
    const struct mf_peer *full[AVOIDED];
    char text[TEXT_ROOM];
    int passed = 0, why = 0;
    bool busy = false;
    call->by_table = true;
    query->n_avoid = 0;
    query->last_resort = false;
    query->peek = false;
    query->hash_by = 0;
    query->argument = mf_request_argument;
    query->of = request;
    query->random = mf_local_random(local);
    if (__builtin_expect(request->n_refused, 0))
        passed = avoid_refused(request, full);
    for (;;) {
        struct mf_route route;
        int rc = look_up(request, &route);
        if (rc == MF_EROUTE_DOWN && !query->last_resort) {
            query->last_resort = true;
            continue;
        }
        if (back && (rc < 0 || (call->tries >= call->calls->max_tries && !mf_govern_fresh(call)))) {
            wait_on(call, request, back);
            return;
        }
        if (query->n_avoid && (rc < 0 || route.fallbacks > passed)) {
            if (relent(request)) {
                query->last_resort = false;
                passed = 0;
                continue;
            }
            fail_passed(call, why);
            return;
        }
        mf_call_set_stat(call, route.stat, rc == 0 && route.fallbacks > 0);
        if (__builtin_expect(call->beside, 0))
            tell_beside(call, &route, rc);
        if (__builtin_expect(route.governed, 0) && mf_govern_asks(call, request, &route))
            continue;
        if (__builtin_expect(route.governed, 0) && govern(call, request, &route, rc))
            return;
        if (rc < 0) {
            if (rc != MF_EROUTE_SERVICE || !unlisted(call, request))
                mf_dispatch_fail(call, rc, why_not(rc, query, text));
            return;
        }
        if (call->tries++ >= call->calls->max_tries && !mf_govern_fresh(call)) {
            MF_COUNT(local, limit_max_tries);
            if (query->n_avoid)
                fail_passed(call, why);
            else
                mf_dispatch_fail(call, MF_EROUTE_DOWN, "meshfast: maxTries peers refused the connection");
            return;
        }
        if (__builtin_expect(route.timeout_ms != 0, 0))
            set_timeout_by_rule(call, request, route.timeout_ms);
        else
            set_timeout(call, request, 0);
        struct mf_pool *pool = mf_pools_of_peer(request->inlet->pools, request->dialer, route.peer);
        rc = pool ? place(call, pool, request) : -ENOMEM;
        if (rc == 0) {
            if (query->last_resort)
                MF_COUNT(local, calls_last_resort);
            return;
        }
        if (rc == MF_EROUTE_FULL || mf_sock_local_error(rc)) {
            why = rc;
            busy = request->busy && !request->patient;
            call->tries -= busy; /* it was not asked */
            if (query->n_avoid == AVOIDED) {
                if (relent(request)) {
                    passed = 0;
                    continue;
                }
                fail_passed(call, why);
                return;
            }
            query->avoid = full;
            full[query->n_avoid++] = route.peer;
            passed = route.fallbacks;
        } else if (rc == MF_EH2_LIST) {
            fail_ours(call, rc);
            return;
        } else if (rc == MF_EROUTE_BUSY) {
            mf_dispatch_fail(call, rc, "meshfast: busy: as many calls wait for a connection there as "
                                       "connectionPool.http.http1MaxPendingRequests allows");
            return;
        } else {
            if (mf_peer_available(route.peer, query->now)) {
                if (rc != MF_EROUTE_DOWN) {
                    fail_ours(call, rc);
                    return;
                }
                mf_peer_set_down(route.peer, mf_health_rest(query->now, local->limits));
            }
            mf_govern_missed(call, rc);
            query->random = mf_local_random(local);
        }
        if (!busy)
            MF_COUNT(local, calls_retried);
        if (call->beside & MF_BESIDE_GOVERNED)
            call->calls->governing->tried(call, false);
    }
}

static void forward(struct mf_call *call, struct mf_pool *pool, struct mf_request *request)
{
    set_timeout(call, request, 0);
    int rc = place(call, pool, request);
    if (rc == 0)
        return;
    if (rc == MF_EROUTE_FULL)
        fail_full(call);
    else if (rc == MF_ECLOSED || rc == MF_ELIMIT || rc == MF_EH2_LIST || mf_sock_local_error(rc))
        fail_ours(call, rc);
    else
        end_with(call, MF_OUTCOME_NONE_UP,
                 MF_OUTCOME_NOBODY "the address that this listener forwards to refuses connections");
}

/* To where the listener says, or the caller dialled. True: that was its one step. */
static bool onward(struct mf_call *call, struct mf_request *request)
{
    int rc;
    struct mf_pool *pool = mf_inlet_pool(request->inlet, request->dialer, request->from, request->own, &rc);
    if (pool)
        forward(call, pool, request);
    else if (rc == -ENOMEM)
        mf_dispatch_fail(call, rc, NULL);
    else
        return false;
    return true;
}

/* Nobody listed its service, so it goes where it would without us, if that is known. True: that was its one step. */
static bool unlisted(struct mf_call *call, struct mf_request *request)
{
    const struct mf_inlet_options *options = request->inlet->options;
    /* What was dialled is not known any more when it is tried again. */
    if (options->refuse_unknown || (options->transparent && !request->own))
        return false;
    call->by_table = false;
    if (!onward(call, request))
        return false;
    MF_COUNT(request->inlet->local, calls_unlisted);
    return true;
}

static void outbound(struct mf_call *call, struct mf_request *request)
{
    struct mf_local *local = call->calls->local;
    struct mf_query *query = &request->query;
    if (!request->readable) {
        MF_COUNT(local, calls_opaque);
        if (onward(call, request))
            return;
    }
    /* This workload's own labels hold for what cannot be read, too. */
    request->n_stamps =
        mf_labels_find(local, request->said, request->stampable ? request->stamps : NULL);
    query->labels = local->labels.value;
    if (!request->readable && query->service.len == 0)
        query->service = request->inlet->options->service;
    if (!request->readable && query->service.len == 0)
        end_with(call, MF_OUTCOME_NO_ROUTE,
                 "meshfast: no route: this serialization is not read; give the listener a forward or a service");
    else
        by_table(call, request, NULL);
}

/* What comes in is counted by what it asks for: no rule of ours chose where it goes. */
static void count_inbound(struct mf_call *call, const struct mf_request *request)
{
    struct mf_local *local = call->calls->local;
    enum mf_tally_place whose;
    mf_call_set_shard(call, mf_tally_find(&local->services, MF_INBOUND, request->query.service, mf_slice_of(NULL, 0), &whose));
    if (whose != MF_TALLY_OWN)
        MF_COUNT(local, limit_max_inbound_services);
}

static void inbound(struct mf_call *call, struct mf_request *request)
{
    struct mf_local *local = call->calls->local;
    count_inbound(call, request);
    enum mf_label_trust trust = request->inlet->options->labels;
    if (!request->readable)
        MF_COUNT(local, calls_opaque);
    else if (trust != MF_LABELS_STRIP)
        mf_labels_remember(local, request->said, trust, mf_inlet_caller(request->own, request->from));
    else if (request->stampable)
        request->n_stamps = mf_labels_strip(local, request->said, request->stamps);
    if (!onward(call, request))
        end_with(call, MF_OUTCOME_NO_PEER, "meshfast: this listener has no forward address");
}

static struct mf_note *note_of(struct mf_inlet *inlet, const struct mf_query *query, const struct mf_query *labelled,
                               uint64_t request_id, const struct mf_conn *from)
{
    return mf_note_begin(inlet->local->notes, (uint8_t)inlet->options->direction, query, labelled, request_id,
                         from ? from->sock.fd : -1);
}

static __attribute__((noinline, cold)) void take_note(struct mf_call *call, const struct mf_request *request)
{
    mf_call_keep_note(call, note_of(request->inlet, &request->query, request->said, call->caller_id, request->from));
}

void mf_dispatch_refuse(struct mf_call *call, struct mf_request *request, const struct mf_fault *fault)
{
    struct mf_query *query = &request->query;
    query->n_headers = 0; /* where the reading stopped is not where they end */
    if (request->inlet->notes)
        mf_call_keep_note(call, note_of(request->inlet, query, query, call->caller_id, request->from));
    mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = fault});
}

void mf_dispatch_turn_away(struct mf_inlet *inlet, struct mf_conn *from, uint64_t request_id, bool two_way,
                           const struct mf_fault *fault, uint8_t stat, uint16_t http)
{
    struct mf_local *local = inlet->local;
    mf_count(&local->ended_here[fault->outcome], 1);
    struct mf_query nothing = {.now = mf_local_now(local)};
    struct mf_note *note = inlet->notes ? note_of(inlet, &nothing, &nothing, request_id, from) : NULL;
    if (!note)
        return;
    note->record.http = http;
    mf_note_end(local->notes, note,
                &(struct mf_note_end){.outcome = (uint8_t)fault->outcome, .status = stat, .two_way = two_way});
}

void mf_dispatch(struct mf_call *call, struct mf_request *request)
{
    request->n_refused = 0;
    request->busy = request->patient = false;
    request->n_stamps = 0;
    if (request->inlet->notes)
        take_note(call, request);
    if (request->inlet->options->direction == MF_INBOUND)
        inbound(call, request);
    else
        outbound(call, request);
}

/* Where it goes there is nobody else. */
static void forward_again(struct mf_call *call, struct mf_request *request)
{
    if (call->tries++ >= call->calls->max_tries) {
        MF_COUNT(call->calls->local, limit_max_tries);
        mf_dispatch_fail(call, MF_EROUTE_DOWN, MF_OUTCOME_NOBODY "maxTries connections did not take it");
    } else if (!onward(call, request)) {
        end_with(call, MF_OUTCOME_NO_PEER, "meshfast: this listener has no forward address");
    }
}

void mf_dispatch_again(struct mf_call *call, struct mf_request *request, struct mf_queue *back)
{
    struct mf_local *local = call->calls->local;
    struct mf_query *query = &request->query;
    request->busy = request->patient = false;
    request->n_stamps = 0;
    if (!call->by_table) {
        forward_again(call, request);
        return;
    }
    if (request->timeout_ms > 0 && call->deadline && !call->timeless) /* it says what was left when it was written */
        request->timeout_ms = (int64_t)((call->deadline - call->begun) / 1000000);
    if (call->beside & MF_BESIDE_GOVERNED)
        mf_govern_again(call, request);
    mf_labels_find_again(local, request->said);
    query->labels = local->labels.value;
    if (!request->readable && query->service.len == 0)
        query->service = request->inlet->options->service;
    const struct mf_governed *governed = mf_governed_of(call);
    if (governed && governed->missed && !back && request->n_refused < MF_REQUEST_REFUSED)
        request->refused[request->n_refused++] = governed->missed;
    if (back)
        mf_govern_waited(call);
    by_table(call, request, back);
}
