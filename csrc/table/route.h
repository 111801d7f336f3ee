#pragma once
/* route: which peer a request goes to. The reader's side of the table: no lock, no write to shared memory.
 *
 * A lookup is only valid inside an epoch section (from one quiescent point to the next); the peer it returns must be
 * taken (mf_peer_take) to be kept longer; the stat stays valid until the call is counted as done. */
#include "base/slice.h"
#include "table/label.h"
#include "table/peer.h"
#include "table/stat.h"

struct mf_actions;
struct mf_plan;
struct mf_table;

/* What an HTTP request is besides its fields, as sent; no address: it has none. `path` is :path up to its first '?',
 * `query` what is behind that. */
struct mf_http_view {
    struct mf_slice method, scheme, authority, path, query;
};

/* In past_levels, the lookup's own: no target asks for instances of the own region any more. */
enum { MF_ANYWHERE = 128 };

/* One request as policy sees it: every protocol gives the same view. A header whose value has no address (an empty text
 * has one) is there and is no text: a number, a list. */
struct mf_query {
    struct mf_slice service, method; /* but for HTTP the path is /service/method */
    const struct mf_pair *headers;
    uint64_t name_lengths;         /* bit n % 64: a header may have a name of n bytes; 0: not known */
    uint32_t n_headers;
    uint8_t speaks;                /* enum mf_speaks */
    bool at_dubbo;                 /* of HTTP: it goes where Dubbo is spoken, for want of another port */
    bool fold_names;               /* header names ignore ASCII case, as in HTTP; else `Env` is not `env` */
    uint8_t past_levels;           /* tried again: so many of the levels that it would go to are left out; MF_ANYWHERE */
    const struct mf_slice *labels; /* by number, as many as there are (mf_label_values.value), or NULL */
    const struct mf_http_view *http; /* not NULL: it is HTTP, and goes where that is spoken; Dubbo: NULL */
    uint64_t now;                  /* monotonic ns: peers down until later are not available */
    uint64_t random;               /* any 64 bits: choose among weights and peers */
    const struct mf_peer *const *avoid; /* taken to be down, for this request alone */
    uint32_t n_avoid;
    bool last_resort; /* peers that ask for no calls are as good as others */
    bool peek;        /* no call goes by it: it uses up nobody's turn */
    /* What policy hashes calls by and cannot see here (affinity.h): of what, and the hash; 0: it has no such thing. */
    uint8_t hash_by;
    uint64_t hash;
    /* Its argument of that number, from 0, as text, which is good until the next is asked for. False: it has none that is
     * one. NULL: nothing of its kind has. */
    bool (*argument)(void *of, uint32_t index, struct mf_slice *out);
    void *of;
};

struct mf_route {
    struct mf_peer *peer;
    struct mf_stat *stat;
    const struct mf_plan *plan; /* how its group is chosen from and guarded; mostly NULL */
    struct mf_actions *actions; /* what its rule does besides, also where there is no peer; mostly NULL */
    uint32_t timeout_ms;  /* the rule's; 0: none */
    uint16_t rule;        /* which rule of the service, from 0 */
    uint16_t target;      /* which of its targets gave the peer */
    uint16_t fallbacks;   /* how many targets were passed over */
    bool governed;        /* there is a plan, or are actions */
    bool inexact;         /* no service has just this name: a pattern took it, or there is none */
};

/* Why a target or rule was passed over: what explain prints. */
enum mf_route_step_kind {
    MF_STEP_SERVICE,    /* the service was found (exact, or by a pattern): `text` is its name in the table */
    MF_STEP_NO_SERVICE,
    MF_STEP_NO_MATCH,   /* rule, match and condition that failed; `text` is the value seen (path: the method) */
    MF_STEP_MATCH,      /* rule and match (MF_NO_MATCH: the rule has none) */
    MF_STEP_TARGET,     /* rule, target, picked by weight or by fallback; `text` is the subset resolved to */
    MF_STEP_NO_LABEL,   /* rule, target: the request has no such label */
    MF_STEP_NO_SUBSET,  /* rule, target: no instance carries `text` */
    MF_STEP_EMPTY,      /* rule, target: the subset has no instance */
    MF_STEP_DOWN,       /* rule, target: instances, but none available */
    MF_STEP_END,        /* rule, target: the fallback's case does not cover this, or the chain is at its end */
    MF_STEP_PEER,       /* rule, target: `text` is the peer's address */
    MF_STEP_NO_PORT,    /* rule, target: the subset has instances, but none where the request's protocol is spoken */
    MF_STEP_HASH,       /* rule, target: an instance is chosen by the hash of `text` */
    MF_STEP_NO_HASH,    /* rule, target: the request has nothing that policy hashes: any instance */
    MF_STEP_FAR,        /* rule, target: instances, but none available in the own region */
    MF_STEP_ANYWHERE,   /* rule: nobody is left, so those in other regions are taken; it begins anew */
};
enum { MF_NO_MATCH = 0xffff };

struct mf_route_step {
    enum mf_route_step_kind kind;
    uint16_t rule, match, condition, target;
    struct mf_slice text; /* borrowed from the request or the table */
};

struct mf_route_steps {
    struct mf_route_step *steps; /* the caller's */
    uint32_t n, room;            /* further steps are dropped */
    uint32_t branch;             /* 0: the first target is drawn by weight; else it is number `branch`, from 1 */
};

/* 0 and `out`, or MF_EROUTE_SERVICE, MF_EROUTE_RULE, MF_EROUTE_PEER (no instance), MF_EROUTE_DOWN (none available);
 * then `out->stat` is set where the service is known, else NULL. */
int mf_route_lookup(const struct mf_table *table, const struct mf_query *query, struct mf_route *out);
/* The same for many, overlapping the cache misses but of HTTP. `rcs[i]` is what mf_route_lookup would return. */
void mf_route_lookup_batch(const struct mf_table *table, const struct mf_query *queries, uint32_t n,
                           struct mf_route *outs, int *rcs);
/* The same decision, with every step taken written down. */
int mf_route_explain(const struct mf_table *table, const struct mf_query *query, struct mf_route *out,
                     struct mf_route_steps *steps);
