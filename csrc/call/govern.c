#include "call/govern.h"

#include "base/err.h"
#include "base/mem.h"
#include "call/guarding.h"
#include "call/limited.h"
#include "table/hash.h"

#include <errno.h>

enum { PAST_LEVELS = 120 }; /* whole rounds of as many levels as there may be, below MF_ANYWHERE */

static struct mf_governed *take(struct mf_governor *governor)
{
    struct mf_governed *governed = governor->_free;
    if (governed) {
        governor->_free = governed->_free;
        *governed = (struct mf_governed){._made = governed->_made};
        return governed;
    }
    governed = mf_zalloc(sizeof *governed);
    if (!governed)
        return NULL;
    governed->_made = governor->_made;
    governor->_made = governed;
    return governed;
}

/* The call's own, made where there is none. NULL: no memory. */
static struct mf_governed *keep(struct mf_call *call)
{
    struct mf_governor *governor = call->calls->local->governor;
    if (call->beside & MF_BESIDE_GOVERNED)
        return mf_governed_of(call);
    if (!governor->_of_slots) {
        governor->_of_slots = mf_zalloc(call->calls->max * sizeof *governor->_of_slots);
        if (!governor->_of_slots)
            return NULL;
    }
    struct mf_governed *governed = take(governor);
    if (!governed)
        return NULL;
    governed->call = call;
    governor->_of_slots[mf_call_slot(call)] = governed;
    call->beside |= MF_BESIDE_GOVERNED;
    return governed;
}

/* --- what a call is counted in while it is with a peer */

static void leave(struct mf_governed *governed)
{
    mf_timer_cancel(mf_loop_timers(governed->call->calls->local->loop), &governed->timer);
    mf_guarding_leave(governed);
    if (governed->peer) {
        atomic_fetch_sub_explicit(&governed->peer->in_flight, 1, memory_order_relaxed);
        mf_peer_give(governed->peer->_table, governed->peer);
        governed->peer = NULL;
    }
    if (governed->guard)
        mf_guard_leave(governed->guard);
    governed->guard = NULL;
}

/* Its request begins, as its callee gets it. */
static void begins(struct mf_call *call)
{
    const struct mf_governed *governed = mf_governed_of(call);
    if (governed->copies)
        mf_copies_rewind(call->calls->local->copies, governed->copies);
}

static void more(struct mf_call *call, const struct mf_message *message)
{
    struct mf_governed *governed = mf_governed_of(call);
    if (governed->copies)
        governed->copies = mf_copies_more(call->calls->local->copies, governed->copies, message);
}

static void be_with(struct mf_governed *governed, struct mf_peer *peer)
{
    governed->peer = peer;
    mf_peer_take(peer);
    atomic_fetch_add_explicit(&peer->in_flight, 1, memory_order_relaxed);
}

void mf_govern_waited(struct mf_call *call)
{
    struct mf_governed *governed = mf_governed_of(call);
    if (governed)
        governed->waited = (struct mf_govern_place){governed->guard, governed->peer, governed->outlier, governed->again.peer,
                                                    governed->counted};
}

void mf_govern_return(struct mf_call *call)
{
    struct mf_governed *governed = mf_governed_of(call);
    if (!governed || governed->peer || governed->guard || !governed->waited.peer) /* it never left */
        return;
    be_with(governed, governed->waited.peer);
    governed->outlier = governed->waited.outlier;
    governed->again.peer = governed->waited.aim;
    governed->again.until = 0;
    if (!governed->waited.guard)
        return;
    governed->guard = governed->waited.guard;
    mf_guard_enter(governed->guard);
    mf_guarding_return(governed, governed->waited.counted);
}

/* NULL; or why it may not go there. */
static const struct mf_fault *enter(struct mf_governed *governed, const struct mf_route *route)
{
    const struct mf_plan *plan = route->plan;
    const struct mf_fault *fault = NULL;
    if (plan && (plan->guard || plan->balancer))
        be_with(governed, route->peer);
    if (plan && plan->guard) {
        governed->guard = plan->guard;
        mf_guard_enter(governed->guard);
        fault = mf_guarding_enter(governed, route);
    }
    if (fault)
        leave(governed);
    return fault;
}

static void tried(struct mf_call *call, bool failed)
{
    struct mf_governed *governed = mf_governed_of(call);
    if (failed)
        mf_guarding_judge(governed, mf_verdict_of_outcome(MF_OUTCOME_LOST, false));
    else
        mf_guarding_judge(governed, governed->verdict);
    governed->verdict = (struct mf_verdict){0};
    leave(governed);
    governed->change = NULL; /* of a rule that may not hold any more */
}

static void on_late(struct mf_timer *timer);

static void begin_try(struct mf_governed *governed, const struct mf_peer *peer)
{
    struct mf_call *call = governed->call;
    uint64_t until = mf_again_go(&governed->again, call, peer);
    if (until)
        mf_timer_set(mf_loop_timers(call->calls->local->loop), &governed->timer, until, on_late);
}

/* Who has waited longer than a try may take, as there was nobody else, has all of that from here on. */
static void asked(struct mf_call *call)
{
    struct mf_governed *governed = mf_governed_of(call);
    mf_guarding_asked(governed);
    if (!governed->again.until && governed->again.peer)
        begin_try(governed, governed->again.peer);
}

void mf_govern_judge(struct mf_call *call, uint16_t code, bool local)
{
    struct mf_governed *governed = mf_governed_of(call);
    if (governed)
        governed->verdict = (struct mf_verdict){code, local};
}

void mf_govern_missed(struct mf_call *call, int rc)
{
    struct mf_governed *governed = mf_governed_of(call);
    if (governed && rc != MF_EROUTE_DOWN) /* that was known before */
        mf_guarding_judge(governed, mf_verdict_of_outcome(MF_OUTCOME_LOST, false));
}

bool mf_govern_wait(struct mf_call *call)
{
    struct mf_governed *governed = mf_governed_of(call);
    return !governed || mf_guarding_wait(governed);
}

static void on_due(struct mf_timer *timer);

/* Whether it tries again, which it does a moment later. */
static bool tries_again(struct mf_call *call, struct mf_governed *governed, const struct mf_try *tried)
{
    uint64_t wait;
    struct mf_local *local = call->calls->local;
    if (!mf_again_may(&governed->again, call, governed->guard, tried, &wait))
        return false;
    if (!call->callee->spared)
        governed->verdict = mf_verdict_of_try(tried);
    mf_call_step(call, MF_CALL_ON_WAIT, &(struct mf_call_input){.queue = &call->calls->delayed});
    call->move_at = 0;
    mf_timer_set(mf_loop_timers(local->loop), &governed->timer, mf_local_now(local) + wait, on_due);
    return true;
}

static bool again(struct mf_call *call, const struct mf_message *message)
{
    struct mf_governed *governed = mf_governed_of(call);
    struct mf_try tried = {.grpc = -1};
    if (!governed->again.policy.attempts || !call->callee->ops->became)
        return false;
    call->callee->ops->became(call, message, &tried);
    mf_again_look(&governed->again, mf_local_now(call->calls->local), &tried);
    return tries_again(call, governed, &tried);
}

/* A try has taken too long. What waits for a connection goes elsewhere, if there is another. */
static void on_late(struct mf_timer *timer)
{
    struct mf_governed *governed = MF_CONTAINER(timer, struct mf_governed, timer);
    struct mf_call *call = governed->call;
    if (call->answering)
        return;
    if (call->state == MF_CALL_QUEUED) {
        governed->again.until = 0;
        mf_call_step(call, MF_CALL_ON_RETRY, &(struct mf_call_input){.back = true});
        return;
    }
    struct mf_try tried = {.grpc = -1};
    if (call->callee->ops->became)
        call->callee->ops->became(call, NULL, &tried);
    tried.kind = MF_TRY_TIMEOUT;
    call->callee->ops->doubt(call->callee, governed->again.until - governed->again.policy.try_ms * UINT64_C(1000000));
    if (!tries_again(call, governed, &tried))
        mf_call_step(call, MF_CALL_ON_TIMEOUT, &(struct mf_call_input){0});
}

static void end(struct mf_call *call, int status_index, enum mf_outcome outcome, uint32_t code)
{
    struct mf_governor *governor = call->calls->local->governor;
    struct mf_governed *governed = mf_governed_of(call);
    if (governed->outlier)
        mf_guarding_judge(governed, governed->verdict.code ? governed->verdict
                                                            : mf_guarding_verdict(call, status_index, outcome, code));
    if (governed->again.made && outcome == MF_OUTCOME_OK)
        MF_COUNT(governor->local, retries_succeeded);
    mf_again_left(&governed->again);
    leave(governed);
    if (governed->change)
        MF_COUNT(governor->local, calls_changed);
    if (governed->copies)
        mf_copies_drop(governor->local->copies, governed->copies);
    mf_actions_give(governed->actions);
    mf_cookie_free(governed->cookie);
    governed->actions = NULL;
    governed->cookie = NULL;
    governed->_free = governor->_free;
    governor->_free = governed;
    call->beside &= (uint8_t)~MF_BESIDE_GOVERNED;
}

static const struct mf_governing governing = {
    .tried = tried, .asked = asked, .again = again, .begins = begins, .more = more, .end = end};

/* --- what it is hashed by */

static uint64_t hash_of_source(struct mf_call *call, const struct mf_request *request)
{
    struct mf_governed *governed = keep(call);
    if (governed && !governed->source && request->from) /* else it was put off, and had been asked before */
        governed->source = mf_inlet_caller(request->own, request->from);
    return governed && governed->source ? mf_hash_mix(governed->source ^ MF_HASH_A, MF_HASH_B) : 0;
}

static uint64_t hash_of_cookie(struct mf_call *call, const struct mf_request *request, const struct mf_policy_balancer *policy)
{
    struct mf_governed *governed = keep(call);
    if (governed && !governed->cookie)
        governed->cookie = mf_cookie_new(call->calls->local, policy, request->from);
    return governed && governed->cookie ? mf_cookie_hash(governed->cookie) : 0;
}

bool mf_govern_asks(struct mf_call *call, struct mf_request *request, const struct mf_route *route)
{
    const struct mf_policy_balancer *balancer = route->plan ? route->plan->balancer : NULL;
    struct mf_query *query = &request->query;
    uint64_t said;
    if (!balancer || balancer->kind != MF_BALANCER_HASH || query->hash_by == balancer->by)
        return false;
    if (mf_affinity_asks(balancer))
        query->hash = hash_of_source(call, request);
    else if (mf_affinity_makes(balancer) && query->http && !mf_affinity_find(balancer, query, &said, NULL))
        query->hash = hash_of_cookie(call, request, balancer);
    else
        return false;
    query->hash_by = balancer->by;
    return true;
}

/* --- before a call is placed */

/* The rule's word on how it is sent holds from here on. True: it cannot be sent so, and has been refused. */
static bool change(struct mf_governed *governed, struct mf_request *request, const struct mf_change *change)
{
    struct mf_call *call = governed->call;
    governed->change = change;
    if (!change)
        return false;
    if (change->response.n_levels && call->ops->changing)
        call->ops = call->ops->changing;
    int rc = request->ops->change ? request->ops->change(request, change) : MF_ECHANGE;
    if (rc == 0)
        return false;
    governed->change = NULL;
    if (rc == MF_ECHANGE) {
        MF_COUNT(call->calls->local, changes_lost);
        return false;
    }
    struct mf_fault fault = {MF_OUTCOME_BAD_REQUEST, "meshfast: bad request: a rule's rewrite makes a path of it that is refused"};
    MF_COUNT(call->calls->local, changes_refused);
    mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &fault});
    return true;
}

/* The cookie that its answer tells its caller, where it goes as that says. */
static void give_cookie(struct mf_governed *governed, const struct mf_route *route)
{
    struct mf_call *call = governed->call;
    if (!route->plan || !route->plan->balancer || !mf_affinity_makes(route->plan->balancer))
        return;
    if (call->ops->changing) /* else it is already */
        call->ops = call->ops->changing;
    governed->change = mf_cookie_put(governed->cookie, governed->change);
}

static void keep_actions(struct mf_governed *governed, struct mf_actions *actions)
{
    if (governed->actions == actions)
        return;
    if (actions)
        mf_actions_take(actions);
    mf_actions_give(governed->actions);
    governed->actions = actions;
    governed->change = NULL; /* of those that were given back */
}

/* Whether that is to be done now: once. */
static bool first(struct mf_governed *governed, enum mf_govern_once what)
{
    bool done = governed->once & what;
    governed->once |= (uint8_t)what;
    return !done;
}

void mf_govern_over(struct mf_call *call)
{
    struct mf_governed *governed = mf_governed_of(call);
    leave(governed);
    governed->change = NULL;
    governed->again.peer = NULL;
    governed->again.until = 0;
}

/* NULL: no memory, and the call has been answered. */
static struct mf_governed *begin(struct mf_call *call, const struct mf_request *request)
{
    struct mf_governed *governed = keep(call);
    if (governed) {
        governed->dialer = request->dialer;
        return governed;
    }
    struct mf_fault fault = mf_outcome_of(-ENOMEM);
    MF_COUNT(call->calls->local, out_of_memory);
    mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &fault});
    return NULL;
}

bool mf_govern_rule(struct mf_call *call, struct mf_request *request, struct mf_route *route, int rc)
{
    struct mf_governed *governed = begin(call, request);
    if (!governed)
        return true;
    leave(governed); /* where it was to go before */
    if (route->actions && route->actions->bounds && first(governed, MF_GOVERN_BOUNDS) &&
        mf_limited(call, request, route->actions))
        return true;
    keep_actions(governed, route->actions);
    if (route->actions) {
        const struct mf_change *changed = mf_actions_change(route->actions, rc == 0 ? route->target : 0);
        uint64_t ns = mf_fault_wait(&governed->fault, call, request, route->actions);
        if (ns) {
            mf_govern_delay(call, request, ns);
            return true;
        }
        if (mf_fault_answer(&governed->fault, call, request, route->actions, changed) ||
            (rc == 0 && change(governed, request, changed)))
            return true;
    }
    if (rc == 0 && governed->cookie)
        give_cookie(governed, route);
    route->timeout_ms = mf_fault_timeout(&governed->fault, call, request, route->timeout_ms);
    return false;
}

/* A cookie is its caller's alone. */
static const struct mf_change *changed_by_rule(const struct mf_governed *governed)
{
    return governed->change && governed->cookie ? mf_cookie_beside(governed->cookie) : governed->change;
}

void mf_govern_timed(struct mf_call *call, uint32_t rule_ms)
{
    mf_governed_of(call)->by_rule = rule_ms && call->deadline == call->begun + rule_ms * UINT64_C(1000000);
}

bool mf_govern(struct mf_call *call, struct mf_request *request, const struct mf_route *route, int rc)
{
    struct mf_governed *governed = begin(call, request);
    if (!governed)
        return true;
    leave(governed);
    const struct mf_actions *actions = route->actions;
    mf_again_bind(&governed->again, actions ? actions->retries : NULL);
    if (rc < 0)
        return false;
    const struct mf_fault *fault = enter(governed, route);
    if (fault) {
        mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = fault});
        return true;
    }
    if (actions && actions->mirrors && first(governed, MF_GOVERN_MIRRORS))
        governed->copies = mf_copies_mirror(call, request, route, changed_by_rule(governed));
    begin_try(governed, route->peer);
    if (mf_again_keeps(&governed->again) && !request->keeps) {
        const struct mf_limits *limits = call->calls->local->limits;
        request->keeps = request->length <= limits->retry_body;
        if (!request->keeps)
            MF_COUNT(call->calls->local, limit_retry_body);
    }
    return false;
}

/* --- calls that are put off */

static void on_due(struct mf_timer *timer)
{
    struct mf_governed *governed = MF_CONTAINER(timer, struct mf_governed, timer);
    mf_call_step(governed->call, MF_CALL_ON_RETRY, &(struct mf_call_input){0});
}

void mf_govern_delay(struct mf_call *call, struct mf_request *request, uint64_t ns)
{
    int rc;
    struct mf_block *frame = request->ops->freeze(request, call, &rc);
    if (!frame) {
        struct mf_fault fault = mf_outcome_of(rc);
        mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &fault});
        return;
    }
    struct mf_local *local = call->calls->local;
    mf_request_wait(call, &call->calls->delayed, frame);
    call->move_at = 0;
    mf_timer_set(mf_loop_timers(local->loop), &mf_governed_of(call)->timer, mf_local_now(local) + ns, on_due);
}

void mf_govern_again(const struct mf_call *call, struct mf_request *request)
{
    const struct mf_again *again = &mf_governed_of(call)->again;
    for (int i = 0; i < again->n_past && request->n_refused < MF_REQUEST_REFUSED; i++)
        request->refused[request->n_refused++] = again->past[i];
    if (again->policy.levels_every)
        request->query.past_levels = (uint8_t)(again->made / again->policy.levels_every % PAST_LEVELS);
}

uint32_t mf_govern_stop(struct mf_governor *governor, const struct mf_fault *fault)
{
    struct mf_list *node;
    uint32_t n = 0;
    for (; (node = mf_list_shift(&governor->calls->delayed.calls)); n++)
        mf_call_step(MF_CONTAINER(node, struct mf_call, place), MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = fault});
    return n;
}

void mf_governor_init(struct mf_governor *governor, struct mf_local *local, struct mf_calls *calls)
{
    *governor = (struct mf_governor){.local = local, .calls = calls};
    local->governor = governor;
    calls->governing = &governing;
}

void mf_governor_dispose(struct mf_governor *governor)
{
    for (struct mf_governed *governed = governor->_made, *next; governed; governed = next) {
        next = governed->_made;
        mf_actions_give(governed->actions);
        mf_free(governed);
    }
    mf_free(governor->_of_slots);
    *governor = (struct mf_governor){0};
}
