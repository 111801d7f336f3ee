#include "call/dispatch.h"

#include "base/err.h"
#include "call/labels.h"

#include <errno.h>
#include <stdio.h>

enum { TEXT_ROOM = 256 };

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
    end_with(call, MF_OUTCOME_OVERLOAD, mf_err_text(rc));
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

/* Puts a call on `pool`: sent, or queued while the connection is made. 0, or why not: then the call is unchanged. */
static int place(struct mf_call *call, struct mf_pool *pool, struct mf_request *request)
{
    int rc;
    struct mf_link *link = mf_pool_pick(pool, &rc);
    if (!link) {
        if (rc < 0)
            return rc;
        struct mf_block *frame = request->ops->freeze(request, call, &rc);
        if (!frame)
            return rc;
        mf_call_step(call, MF_CALL_ON_WAIT, &(struct mf_call_input){.queue = &pool->queue, .frame = frame});
        mf_pool_hedge(pool, call);
        if (request->from)
            mf_pool_check_queue(pool, request->from);
        return 0;
    }
    struct mf_block *kept = NULL;
    if (link->doubted_until > request->query.now && mf_call_may_keep(call))
        rc = send_kept(call, link, request, &kept);
    else
        rc = request->ops->send(request, call, link);
    if (rc < 0)
        return rc;
    mf_call_step(call, call->two_way ? MF_CALL_ON_ASKED : MF_CALL_ON_SENT,
                 &(struct mf_call_input){.callee = &link->callee, .frame = kept});
    if (request->from && mf_sock_full(&link->conn->sock))
        mf_conn_pause_for(request->from, link->conn);
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

/* There is no other peer: back to where it waited, this time for as long as it takes. */
static void wait_on(struct mf_call *call, struct mf_request *request, struct mf_queue *back)
{
    int rc;
    struct mf_block *frame = request->ops->freeze(request, call, &rc);
    if (frame)
        mf_call_step(call, MF_CALL_ON_WAIT, &(struct mf_call_input){.queue = back, .frame = frame});
    else
        fail_ours(call, rc);
}

/* Looks up and places, and looks up again where the peer cannot be reached: it is down by then, so another comes. */
static void by_table(struct mf_call *call, struct mf_request *request, struct mf_queue *back)
{
    struct mf_local *local = call->calls->local;
    struct mf_query *query = &request->query;
    char text[TEXT_ROOM];
    call->by_table = true;
    for (;;) {
        struct mf_route route;
        query->now = mf_local_now(local);
        query->random = mf_local_random(local);
        int rc = mf_route_lookup(local->table, query, &route);
        if (back && (rc < 0 || call->tries >= local->limits->max_tries)) {
            wait_on(call, request, back);
            return;
        }
        mf_call_set_stat(call, route.stat, rc == 0 && route.fallbacks > 0);
        if (rc < 0) {
            mf_dispatch_fail(call, rc, why_not(rc, query, text));
            return;
        }
        if (call->tries++ >= local->limits->max_tries) {
            MF_COUNT(local, limit_max_tries);
            mf_dispatch_fail(call, MF_EROUTE_DOWN, "meshfast: maxTries peers refused the connection");
            return;
        }
        mf_call_set_timeout(call, mf_dispatch_timeout(request->timeout_ms, route.timeout_ms, local->limits));
        struct mf_pool *pool = mf_pool_of_peer(request->inlet->pools, request->dialer, route.peer);
        rc = pool ? place(call, pool, request) : -ENOMEM;
        if (rc == 0)
            return;
        if (mf_peer_available(route.peer, query->now)) {
            if (rc != MF_EROUTE_DOWN) {
                fail_ours(call, rc);
                return;
            }
            mf_peer_set_down(route.peer, mf_health_rest(query->now, local->limits));
        }
        MF_COUNT(local, calls_retried);
    }
}

static void forward(struct mf_call *call, struct mf_pool *pool, struct mf_request *request)
{
    mf_call_set_timeout(call, mf_dispatch_timeout(request->timeout_ms, 0, call->calls->local->limits));
    int rc = place(call, pool, request);
    if (rc == 0)
        return;
    if (rc == MF_ECLOSED || mf_sock_local_error(rc))
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
        mf_labels_find(local, query, request->stampable ? request->stamps : NULL);
    query->labels = local->labels.value;
    if (!request->readable && query->service.len == 0)
        query->service = request->inlet->options->service;
    if (!request->readable && query->service.len == 0)
        end_with(call, MF_OUTCOME_NO_ROUTE,
                 "meshfast: no route: this serialization is not read; give the listener a forward or a service");
    else
        by_table(call, request, NULL);
}

static void inbound(struct mf_call *call, struct mf_request *request)
{
    struct mf_local *local = call->calls->local;
    if (request->readable)
        mf_labels_remember(local, &request->query, MF_LABELS_KEEP_FIRST, 0);
    else
        MF_COUNT(local, calls_opaque);
    if (!onward(call, request))
        end_with(call, MF_OUTCOME_NO_PEER, "meshfast: this listener has no forward address");
}

void mf_dispatch(struct mf_call *call, struct mf_request *request)
{
    request->n_stamps = 0;
    if (request->inlet->options->direction == MF_INBOUND)
        inbound(call, request);
    else
        outbound(call, request);
}

void mf_dispatch_again(struct mf_call *call, struct mf_request *request, struct mf_queue *back)
{
    struct mf_local *local = call->calls->local;
    struct mf_query *query = &request->query;
    request->n_stamps = 0;
    mf_labels_find_again(local, query);
    query->labels = local->labels.value;
    if (!request->readable && query->service.len == 0)
        query->service = request->inlet->options->service;
    by_table(call, request, back);
}
