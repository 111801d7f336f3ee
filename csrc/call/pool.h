#pragma once
/* pool: a worker's connections to one address in one protocol, shared by the calls of many callers, and the calls that
 * wait for one. The protocol dials; a pool knows a connection as a link. */
#include "base/addr.h"
#include "call/call.h"
#include "call/conn.h"
#include "call/health.h"
#include "call/stuck.h"
#include "call/trial.h"
#include "table/peer.h"

struct mf_pool;

/* One connection as its pool knows it; its role's struct has one. */
struct mf_link {
    struct mf_list node; /* on its pool's links; on none before mf_pool_add and after mf_pool_lost */
    struct mf_conn *conn;
    struct mf_pool *pool;
    struct mf_lane *lane;
    struct mf_callee callee;
    union {
        struct {
            bool there;    /* it can be given calls: connected, and as far as its protocol wants it */
            bool unheard;  /* it is there, but has to say something before it is given calls */
            bool retired;  /* it takes no new calls, and another is made in its place */
            bool readonly; /* the peer asked for no new calls */
        };
        uint32_t takes;    /* those four, for one look */
    };
    bool spends;         /* ops->spent is to be asked */
    bool spoke;          /* it has said something that makes sense in its protocol */
    uint64_t used_at;       /* when it was given a call last: of trials */
    uint64_t doubted_until; /* it is not known yet whether anybody is behind it: requests are kept until they are answered */
};

/* A protocol, as whoever needs connections in it knows it. A worker has one of each. */
struct mf_dialer {
    const struct mf_dialer_ops *ops;
    uint32_t index; /* its number in this worker, from 0 */
};

enum mf_link_spent {
    MF_LINK_FRESH,
    MF_LINK_UNSURE, /* mf_pool_credit tells when it is not, h2WindowWait that it is */
    MF_LINK_SPENT,
};

struct mf_dialer_ops {
    /* A connection being made to the pool's address. NULL: `*rc` says why not. */
    struct mf_link *(*dial)(struct mf_dialer *dialer, struct mf_pool *pool, int *rc);
    /* Sends a queued call's frame: 0, or an error (nothing was sent). */
    int (*send)(struct mf_link *link, struct mf_call *call);
    /* How many more calls it takes before another connection beside it is worth its while. */
    uint32_t (*room)(const struct mf_link *link);
    /* Whether it takes one now; where not, mf_pool_room tells. NULL: it always does. */
    bool (*takes)(struct mf_link *link);
    /* Whether another is better for this call: here it might have to wait for what others have asked, or end with what they
     * have spent. NULL: never. */
    enum mf_link_spent (*spent)(const struct mf_link *link, const struct mf_call *call);
    /* It is: callers who have spent more than their share go apart for a while. `caller`: who comes new; NULL:
     * who has done so before. NULL with `spent`. */
    void (*blame)(struct mf_link *link, const struct mf_caller *caller);
    uint32_t kinds; /* of requests, that every peer takes (trial.h) */
};

/* One of a pool's: connections, and the calls that wait for one of them. */
struct mf_lane {
    struct mf_queue queue;
    struct mf_pool *pool;
    bool trials;                    /* see lane.h */
    bool waits;                     /* some call waits until it is known whether a connection is spent */
    uint64_t late_at;               /* when its queue is looked at again; 0 */
    uint64_t barren_until;          /* the peer lets no more in than it has, so they share */
    uint32_t n_links, n_connecting; /* those that are not there yet, or unheard */
};

enum mf_lane_kind { MF_LANE_SHARED, MF_LANE_TRIAL, MF_LANES };

/* All pools of a worker. */
struct mf_pools {
    struct mf_local *local;
    struct mf_list all;
    bool aside;               /* what they learn of peers is theirs alone: to all others they are pools of addresses */
    struct mf_pool **by_peer; /* by mf_peer.id: the first pool of that peer */
    uint32_t n_by_peer;
    struct mf_list due;       /* to be probed, the first first */
    struct mf_timer probing;  /* takes a few of those at a time */
    void (*on_probing)(struct mf_timer *timer);
    uint64_t probed_at;
};

/* Is told when the address of a pool asks for no calls or is gone, and when it takes them again. */
struct mf_watcher {
    struct mf_list node; /* on a pool's watchers */
    void (*on_readonly)(struct mf_watcher *watcher, bool readonly);
    void *arg;
};

struct mf_pool {
    struct mf_list node;      /* the worker's pools */
    struct mf_pools *pools;
    struct mf_dialer *dialer;
    struct mf_pool *next;     /* of the same peer, in another protocol */
    struct mf_peer *of;       /* held; NULL: an address that is not in the table (forward, or dialled) */
    struct mf_peer *peer;     /* the same, where its health is what is learnt here */
    uint32_t users;           /* who keeps a pointer to it */
    struct mf_addr addr;
    struct mf_list links;
    struct mf_lane lanes[MF_LANES];
    struct mf_trial trial;    /* what need not be looked at closer: while some are stuck, nothing */
    struct mf_trial proved;
    struct mf_stuck stuck, warned; /* what fills windows and is not read; what one caller has filled them with */
    struct mf_list watchers;
    uint64_t last_used;
    uint64_t n_asked;         /* calls of links that are gone */
    uint64_t told_asked, told_active; /* what the peer's counts have of it */
    mf_atom64 *down_until;    /* the peer's, or `own` */
    mf_atom64 own;
    struct mf_health health;
    bool suspected;           /* a connection ended before it said a word: the next must say one before it is given calls */
    uint64_t until;           /* what `down_until` was set to: the later of the next two */
    uint64_t rest_until;      /* after a failure, or while a connection is slow to be made */
    uint64_t readonly_until;
    bool readonly;            /* all connections that there are asked for no new calls, or did when they went */
    bool stopped;
    bool told;                /* what watchers were told last */
    uint64_t told_at, tell_gap, reported_at;
    struct mf_timer tell;     /* the next word to watchers */
    struct mf_timer hedge;    /* the next call of the queue to be moved */
    struct mf_timer late;     /* those of the queue that were put off are sent */
    struct mf_timer probe;    /* after a failure: the end of its rest */
    struct mf_list due;       /* on the pools' due */
};

/* Calls that await its answers, or a connection. */
uint32_t mf_pool_calls(const struct mf_pool *pool);

/* What became of a link that was being made, or was there. `rc` 0: we closed it. True: it must be asked for a word. */
bool mf_pool_connected(struct mf_pool *pool, struct mf_link *link);
void mf_pool_lost(struct mf_pool *pool, struct mf_link *link, int rc);
/* A call was put on a lane's queue, which is looked at again in so long. */
void mf_pool_put_off(struct mf_lane *lane, uint64_t ms);
/* It is not spent, as its peer reads: the next of its queue goes there. False: none does. */
bool mf_pool_credit(struct mf_link *link);
/* One that took no more calls takes some again. */
void mf_pool_room(struct mf_pool *pool, struct mf_link *link);
/* It takes no new calls any more, and still answers those that it has: its end tells nothing of the address. */
void mf_pool_retire(struct mf_pool *pool, struct mf_link *link);
/* It is there and says nothing: the peer rests, and after that single calls try it until it speaks. */
void mf_pool_silent(struct mf_pool *pool, struct mf_link *link);
/* The peer has sent something: a connection that was accepted proves little, it may be a relay's. */
void mf_pool_alive(struct mf_pool *pool, struct mf_link *link);
/* It has answered a call that was tried alone: the next like it need not be. */
void mf_pool_proved(struct mf_link *link, const struct mf_call *call);
/* READONLY and WRITEABLE from the peer, as often as it likes: what does not change anything costs nothing. */
void mf_pool_readonly(struct mf_pool *pool, struct mf_link *link, bool readonly);
/* It answered that nobody is there: it rests a moment, after which it has said READONLY or there is somebody. */
void mf_pool_nobody(struct mf_pool *pool, struct mf_link *link);
/* From here on, and at once where the address asks for no calls now. Who watches wants it to be there: it is dialled
 * again when it is lost. */
void mf_pool_watch(struct mf_pool *pool, struct mf_watcher *watcher);
/* Ends connections for single calls that are not needed any more. */
void mf_pool_sweep(struct mf_pool *pool, uint64_t now);
/* Of mf_pools.probing: takes those that are due, a few at a time. */
void mf_pool_probing(struct mf_timer *timer);
/* Somebody may yet send calls there. */
bool mf_pool_wanted(const struct mf_pool *pool, uint64_t now);
/* Ends every call of the pool with `fault`, and dooms its connections. Returns how many calls. */
uint32_t mf_pool_stop(struct mf_pool *pool, const struct mf_fault *fault);
