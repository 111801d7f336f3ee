#pragma once
/* govern: what policy does with a call besides choosing its peer, and what it keeps of one until it ends: of those alone
 * whose group has a plan or whose rule has actions. */
#include "call/again.h"
#include "call/cookie.h"
#include "call/copies.h"
#include "call/fault.h"
#include "call/request.h"
#include "call/verdict.h"
#include "table/actions.h"
#include "table/guard.h"
#include "table/plan.h"

/* Where a call waits, while it is seen whether another takes it: within one turn, in which nothing is freed. */
struct mf_govern_place {
    struct mf_guard *guard;
    struct mf_peer *peer;
    struct mf_outlier *outlier;
    const struct mf_peer *aim; /* as again.peer */
    uint8_t counted;
};

enum mf_govern_once { MF_GOVERN_BOUNDS = 1, MF_GOVERN_MIRRORS = 2 };

struct mf_governed {
    struct mf_governed *_made, *_free;
    struct mf_call *call;
    struct mf_dialer *dialer;   /* of its request's protocol */
    struct mf_guard *guard;     /* it is counted as active there, or NULL */
    struct mf_peer *peer;       /* it is counted in flight there, with a reference; or NULL */
    struct mf_outlier *outlier; /* the guard's, where what becomes of it there is counted; or NULL */
    struct mf_verdict verdict;  /* of a try that ended before the call did; or of an end that its code does not tell */
    bool by_rule;               /* its deadline is the rule's, not its caller's */
    uint8_t counted;            /* bits of enum mf_breaker_kind: in what of the guard */
    struct mf_govern_place waited;
    const struct mf_peer *missed; /* whose connection took too long: asked again only for want of another. Only compared */
    struct mf_actions *actions; /* with a reference, or NULL */
    uint64_t copies;            /* the first of those that are still to be whole, or 0 */
    uint8_t once;               /* enum mf_govern_once bits: what is done once for a call, however often it is dispatched */
    uint32_t source;            /* a hash of where it came from, once it was asked for; else 0 */
    struct mf_timer timer;      /* while it is put off: until when; while it is with a peer: as long as a try may take */
    struct mf_timer connecting; /* while it waits for a connection: as long as that may take */
    struct mf_again again;
    const struct mf_change *change; /* what goes on, and what its caller is told, otherwise than it came: of `actions`, or the
                                       cookie's */
    struct mf_cookie *cookie;       /* that its answer tells its caller, or NULL */
    struct mf_fault_state fault;
};

/* A worker's. */
struct mf_governor {
    struct mf_local *local;
    struct mf_governed **_of_slots; /* of the calls in flight that have one, by slot; made on first use */
    struct mf_governed *_made, *_free;
    struct mf_calls *calls;
};

void mf_governor_init(struct mf_governor *governor, struct mf_local *local, struct mf_calls *calls);
void mf_governor_dispose(struct mf_governor *governor); /* no call is in flight */

/* Whether the plan of `route` hashes calls by what the lookup could not see: then the query says it now, and it is to be
 * looked up again. */
bool mf_govern_asks(struct mf_call *call, struct mf_request *request, const struct mf_route *route);
/* After a lookup that found a plan or actions, which returned `rc`: what its rule does with it here. True: the call is
 * answered, refused or put off. `route`: its timeout may change. */
bool mf_govern_rule(struct mf_call *call, struct mf_request *request, struct mf_route *route, int rc);
/* Its time has been set, with what its rule allows (0: any). */
void mf_govern_timed(struct mf_call *call, uint32_t rule_ms);
/* Then, its time being set: whether it may go to `route`'s peer, if there is one. True: it may not, and is refused. */
bool mf_govern(struct mf_call *call, struct mf_request *request, const struct mf_route *route, int rc);
/* It waits for a connection, and it is seen whether another takes it. */
void mf_govern_waited(struct mf_call *call);
/* Nobody did, in this turn: it waits on, counted as it was. */
void mf_govern_return(struct mf_call *call);
/* Policy watches it no longer where it goes now. */
void mf_govern_over(struct mf_call *call);
/* What becomes of it next is the peer's doing, and says that. */
void mf_govern_judge(struct mf_call *call, uint16_t code, bool local);
/* It could not be put on its peer, which is not our doing. */
void mf_govern_missed(struct mf_call *call, int rc);
/* False: policy allows no more calls that wait for a connection. */
bool mf_govern_wait(struct mf_call *call);
/* Ends all calls that are put off, with `fault`. Returns how many. */
uint32_t mf_govern_stop(struct mf_governor *governor, const struct mf_fault *fault);
/* Puts the call off: dispatched again after `ns`. Its one step. */
void mf_govern_delay(struct mf_call *call, struct mf_request *request, uint64_t ns);

/* It is dispatched again: by what became of its tries. */
void mf_govern_again(const struct mf_call *call, struct mf_request *request);

/* inline */

/* What is kept of it, or NULL. */
static inline struct mf_governed *mf_governed_of(const struct mf_call *call)
{
    return call->beside & MF_BESIDE_GOVERNED ? call->calls->local->governor->_of_slots[mf_call_slot(call)] : NULL;
}

/* Until when its answer is awaited from the peer that it goes to; 0: for ever. */
static inline uint64_t mf_govern_until(const struct mf_call *call)
{
    uint64_t until = call->timeless ? 0 : call->deadline;
    const struct mf_governed *governed = mf_governed_of(call);
    uint64_t own = governed ? governed->again.until : 0;
    return own && (!until || own < until) ? own : until;
}

/* Whether maxTries is not to be asked, as this is a new try by its rule. */
static inline bool mf_govern_fresh(const struct mf_call *call)
{
    const struct mf_governed *governed = mf_governed_of(call);
    return governed && mf_again_fresh(&governed->again, call);
}

/* Whether its request is kept for a retry. */
static inline bool mf_govern_keeps(const struct mf_call *call)
{
    const struct mf_governed *governed = mf_governed_of(call);
    return governed && mf_again_keeps(&governed->again);
}

/* What of it goes on otherwise than it came, or NULL. */
static inline const struct mf_change *mf_govern_change(const struct mf_call *call)
{
    if (call->beside & MF_BESIDE_COPY)
        return mf_copies_change(call);
    const struct mf_governed *governed = mf_governed_of(call);
    return governed ? governed->change : NULL;
}
