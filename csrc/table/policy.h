#pragma once
/* policy: what a DestinationRule says of how instances are chosen and guarded, as the writer is given it. Each aspect is a
 * pointer, NULL where nothing is said of it; what it points at is copied. Or it lies in here, beside a bit. */
#include "table/balancer.h"
#include "table/breaker.h"
#include "table/outlier.h"

enum { MF_NO_SHARE = 0xffff };

/* Where an instance is, as a policy sees it. */
struct mf_place {
    uint32_t level; /* the least first; only their order counts, and among the members of a group */
    uint32_t part;  /* its locality's number */
    uint16_t share; /* which of `shares` its locality has a part of, or MF_NO_SHARE */
    bool local;     /* in the own region */
    bool from, to;  /* its calls are moved away, or it takes those that are */
};

/* Which localities are preferred, and how much each has. */
struct mf_policy_locality {
    const struct mf_place *places; /* one for each instance, in the order in which they were added */
    const uint32_t *shares;        /* percent that localities have together */
    uint32_t n, n_shares;
    bool weighted; /* a locality is drawn first, by its weight: its share, else the sum of its instances' */
    uint8_t panic; /* percent of a level's instances: where fewer are well, all are used */
    uint8_t moved; /* percent of calls that are moved */
};

/* Of the calls in flight so many may be tried again at once. */
struct mf_policy_budget {
    bool set;
    uint32_t share, least; /* in 1/10000; whatever that comes to */
};

struct mf_policy {
    const struct mf_policy_locality *locality; /* NULL: all instances alike */
    struct mf_policy_budget budget; /* with `guarded` */
    bool guarded; /* calls are counted while they are in flight (guard.h), whatever else is said */
    const struct mf_policy_balancer *balancer; /* NULL: by chance and weight */
    bool ejects, breaks; /* `outlier` and `breaker` hold; either asks for `guarded` */
    struct mf_outlier_rules outlier;
    struct mf_breaker_rules breaker;
};
