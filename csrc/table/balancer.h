#pragma once
/* balancer: how one of several instances is chosen, as the writer is told. */
#include "base/slice.h"

enum mf_balancer {
    MF_BALANCER_WEIGHTED,      /* by chance and weight: what holds where nothing is said */
    MF_BALANCER_RANDOM,        /* by chance, whatever the weights */
    MF_BALANCER_ROUND_ROBIN,   /* in turn, by weight */
    MF_BALANCER_LEAST_REQUEST, /* by calls in flight, and weight */
    MF_BALANCER_HASH,          /* by what the call says: equal calls go to one instance */
};

/* Where the text lies that a call is hashed by. */
enum mf_hash_by { MF_HASH_HEADER, MF_HASH_COOKIE, MF_HASH_PARAM, MF_HASH_SOURCE, MF_HASH_ARGUMENT };

enum { MF_WARMUP_STEPS = 64 };

struct mf_policy_balancer {
    uint8_t kind;          /* enum mf_balancer */
    uint8_t by : 7;        /* HASH: enum mf_hash_by */
    uint8_t plain : 1;     /* by a header that is one in any protocol. Set by whoever copies it */
    uint16_t argument;     /* its index, from 0 */
    uint32_t places;       /* of the table of hashes, a prime; 0: as many as are good */
    struct mf_slice key;   /* the header's, cookie's or parameter's name */
    struct mf_slice makes; /* COOKIE: a call that has none gets one; what follows its value in Set-Cookie. ptr NULL: none does */
    uint64_t warmup_ns;    /* how long who has just come gets less; 0: not at all */
    uint16_t warmth[MF_WARMUP_STEPS]; /* the share of its weight that it has then, of 65535, by how much of that has passed */
};
